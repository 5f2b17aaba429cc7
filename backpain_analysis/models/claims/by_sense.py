"""The claim on pain sensitivity: C06."""

from __future__ import annotations

from backpain_analysis.effects.sensitivity import BOUT, CONTROL, PROGRAMME, sensitivity_changes
from backpain_analysis.models.claims.context import Context
from backpain_analysis.models.claims.part import Part, judged, untestable
from backpain_analysis.models.pooling import pool

MEASURED = {
    "temporal_summation": "temporal summation",
    "conditioned_pain_modulation": "conditioned pain modulation",
}


def sensitivity(context: Context) -> list[Part]:
    """C06: thresholds against no exercise, after a bout and after a programme."""
    changes, _ = sensitivity_changes(context.evidence)
    changes = changes[changes["comparison"] == CONTROL].dropna(subset=["yi_kpa"])
    parts = []
    for setting in (BOUT, PROGRAMME):
        what = f"{setting} against no exercise, pressure pain threshold"
        own = changes[changes["setting"] == setting].drop_duplicates("trial_id")
        if own.empty:
            parts.append(untestable(what, "no trial with a usable result"))
            continue
        result = pool(own["yi_kpa"], own["vi_kpa"], test="z")
        body = context.body(result, own["trial_id"], int(own["n"].sum()), "")
        parts.append(judged(what, body, "kPa", "pressure_pain_threshold"))
    measured = set(context.evidence.outcomes["outcome"].astype(str))
    measured |= set(context.evidence.contrasts["outcome"].astype(str))
    for outcome, words in MEASURED.items():
        why = "no usable result" if outcome in measured else "no trial measured it"
        parts.append(untestable(f"exercise against no exercise, {words}", why))
    return parts
