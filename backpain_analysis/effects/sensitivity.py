"""Pain sensitivity: changes of pressure pain thresholds, single bouts apart from programmes.

Reports rarely allow the usual contrasts, so what they do allow is kept apart by how it was
compared: exercise against rest or no exercise, and before against after in one group.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import scipy

from backpain_analysis.effects.gathering import KILOPASCAL
from backpain_analysis.errors import require
from backpain_analysis.evidence.conversions import with_sd
from backpain_analysis.evidence.evidence import Evidence
from backpain_analysis.words import author_year

OUTCOMES = ("pressure_pain_threshold", "temporal_summation", "conditioned_pain_modulation")


SITES = {
    "local": r"\blocal\b|lumbar|spinous|regional",
    "remote": r"\bremote\b|distant|\bcentral\b|forehead|forearm|thumb",
}
"""Words that say where a threshold was measured; local is near what exercised or hurt."""

CONTROL, BEFORE_AFTER = "against no exercise", "before and after"
BOUT, PROGRAMME = "single bout", "programme"
SHORTEST_PROGRAMME = 1.0
"""Weeks."""

COLUMNS = (
    *("trial_id", "label", "population", "exercise_type", "setting", "comparison", "site"),
    *("unit", "n", "yi", "vi", "yi_kpa", "vi_kpa", "source"),
)


def sensitivity_changes(
    evidence: Evidence,
    outcome: str = "pressure_pain_threshold",
    *,
    correlation: float = 0.5,
    flags: tuple[str, ...] = ("exclude",),
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every change of a threshold that a report allows, with its standard error.

    Changes come as printed, or as after minus before with
    `SD^2 = SD_b^2 + SD_a^2 - 2 r SD_b SD_a` (Cochrane Handbook 6.5.2.8). Contrasts of the arms
    of one trial take these changes as independent, also in crossovers, whose within-person
    correlation is not printed: their intervals are too wide rather than too narrow. A reported
    difference with only "P < p" is given the standard error of P = p (Handbook 6.5.2.3), which
    is too large. `yi` is standardised by the SD at the start (else the SD of changes over
    `sqrt(2 (1 - r))`; SMCR of Becker 1988, doi 10.1111/j.2044-8317.1988.tb00901.x, without
    small-sample correction); `yi_kpa` is in kilopascals where the unit is a pressure. Higher:
    less sensitive.

    Parameters
    ----------
    evidence : Evidence
    outcome : str
        One of `OUTCOMES`.
    correlation : float
        Between before and after.
    flags : tuple of str
        Trials with these flags are left out.

    Returns
    -------
    changes : DataFrame
        `COLUMNS`, a row a trial, arm, setting, comparison and kind of site (the first printed).
    left_out : DataFrame
        `trial_id, arm_id, reason`.

    Raises
    ------
    ValueError
        For another outcome.

    Examples
    --------
    >>> changes, left_out = bp.sensitivity_changes(bp.load_evidence())
    >>> changes.columns[:3].tolist()
    ['trial_id', 'label', 'population']
    """
    require(evidence, "Evidence")
    if outcome not in OUTCOMES:
        raise ValueError(f"unknown outcome {outcome!r}: use one of {', '.join(OUTCOMES)}.")
    trials = evidence.trials.set_index("trial_id")
    flagged = set(trials.index[trials["flag"].isin(flags)])
    rows = evidence.outcomes[evidence.outcomes["outcome"].astype(str) == outcome]
    left = [(t, a, "flagged") for t, a in _arms_of(rows) if t in flagged]
    rows = rows[~rows["trial_id"].isin(flagged)]
    arms = evidence.arms.set_index(["trial_id", "arm_id"])
    own, faults = _arm_changes(rows, arms, correlation)
    left += faults
    paired = set(trials.index[trials["design"].astype(str) == "crossover"])
    table = [
        *_against_control(own, paired),
        *_before_after(own),
        *_reported(evidence, outcome, flagged, paired),
    ]
    changes = pd.DataFrame(table, columns=[c for c in COLUMNS if c not in ("label", "population")])
    changes["population"] = changes["trial_id"].map(trials["population"].astype(str))
    named = zip(trials["first_author"], trials["year"], trials.index, strict=True)
    names = {trial: author_year(author, year) for author, year, trial in named}
    changes["label"] = changes["trial_id"].map(names)
    keys = ["trial_id", "exercise_type", "setting", "comparison", "site"]
    changes = changes.drop_duplicates(keys).loc[:, list(COLUMNS)].reset_index(drop=True)
    return changes, pd.DataFrame(left, columns=["trial_id", "arm_id", "reason"])


def site_of(text: object) -> str:
    """Where a threshold was measured: "local", "remote" or "unclear"."""
    found = [
        word for word, pattern in SITES.items() if re.search(pattern, str(text), re.IGNORECASE)
    ]
    return found[0] if len(found) == 1 else "unclear"


def _arms_of(rows: pd.DataFrame) -> list[tuple[str, str]]:
    pairs = rows[["trial_id", "arm_id"]].drop_duplicates()
    return list(pairs.itertuples(index=False, name=None))


def _arm_changes(
    rows: pd.DataFrame, arms: pd.DataFrame, r: float
) -> tuple[pd.DataFrame, list[tuple[str, str, str]]]:
    """Change of each arm at each site, standardised and in its unit."""
    rows = with_sd(rows).assign(site=rows["site"].fillna(""))
    rows = rows.assign(**{name: rows[name].astype(float) for name in ("mean", "sd", "n")})
    parts: dict[tuple[str, str], dict[tuple[str, str], list[dict]]] = {}
    for row in rows.to_dict("records"):
        sites = parts.setdefault((row["trial_id"], row["arm_id"]), {})
        sites.setdefault((row["site"], str(row["unit"])), []).append(row)
    about = arms[["exercise_type", "duration_weeks"]].to_dict("index")
    found, left = [], []
    for (trial, arm), sites in parts.items():
        changes = [_change(own, r) for own in sites.values()]
        usable = [change for change in changes if change is not None]
        if not usable:
            left.append((trial, arm, "no change with its SD and size"))
        weeks = [row["timepoint_weeks"] for own in sites.values() for row in own]
        last = max((week for week in weeks if pd.notna(week)), default=np.nan)
        known = about[trial, arm]
        bout = last == 0 or known["duration_weeks"] < SHORTEST_PROGRAMME
        for change in usable:
            found.append(
                {
                    "trial_id": trial,
                    "arm_id": arm,
                    "exercise_type": str(known["exercise_type"]),
                    "setting": BOUT if bout else PROGRAMME,
                    **change,
                }
            )
    return pd.DataFrame(found), left


def _change(own: list[dict], r: float) -> dict | None:
    """Mean change with its SD, and the SD that standardises it; None if one is not known."""
    printed = [row for row in own if row["value_type"] == "change_from_baseline"]
    levels = [row for row in own if row["value_type"] == "level"]
    before = [row for row in levels if row["timepoint_label"] == "baseline"]
    after = [row for row in levels if row["timepoint_label"] == "post"]
    first = own[0]
    base = {"raw_site": first["site"], "site": site_of(first["site"]), "unit": first["unit"]}
    if printed and np.isfinite(_numbers(printed)).all():
        mean, sd, n = _numbers(printed)
        spread = before[0]["sd"] if before else sd / np.sqrt(2 * (1 - r))
    elif before and after:
        start, end = _numbers(before), _numbers(after)
        if not np.isfinite([start, end]).all():
            return None
        mean, n, spread = end[0] - start[0], end[2], start[1]
        sd = np.sqrt(start[1] ** 2 + end[1] ** 2 - 2 * r * start[1] * end[1])
    else:
        return None
    return {**base, "change": mean, "change_var": sd**2 / n, "spread": spread, "n": n}


def _numbers(rows: list[dict]) -> np.ndarray:
    """Mean, SD and size of the first of some rows."""
    return np.array([rows[0][name] for name in ("mean", "sd", "n")], dtype=float)


def _against_control(own: pd.DataFrame, paired: set[str]) -> list[dict]:
    rows = []
    for (trial, _), part in own.groupby(["trial_id", "raw_site"], sort=False) if len(own) else ():
        control = part[part["exercise_type"] == "none"]
        if control.empty:
            continue
        rest = control.iloc[0]
        for _, arm in part[part["exercise_type"] != "none"].iterrows():
            effect = arm["change"] - rest["change"]
            variance = arm["change_var"] + rest["change_var"]
            spread = np.sqrt((arm["spread"] ** 2 + rest["spread"] ** 2) / 2)
            source = "difference of changes"
            n = max(arm["n"], rest["n"]) if trial in paired else arm["n"] + rest["n"]
            rows.append(_row(arm, CONTROL, effect, variance, spread, n, source))
    return rows


def _before_after(own: pd.DataFrame) -> list[dict]:
    exercise = own[own["exercise_type"] != "none"] if len(own) else own
    return [
        _row(arm, BEFORE_AFTER, arm["change"], arm["change_var"], arm["spread"], arm["n"], "change")
        for _, arm in exercise.iterrows()
    ]


def _row(
    arm: pd.Series,
    comparison: str,
    effect: float,
    variance: float,
    spread: float,
    n: float,
    source: str,
) -> dict:
    d = effect / spread
    factor = KILOPASCAL.get(str(arm["unit"]), np.nan)
    names = ("trial_id", "exercise_type", "setting", "site", "unit")
    return {
        **{name: arm[name] for name in names},
        "comparison": comparison,
        "n": n,
        "yi": d,
        "vi": variance / spread**2 + d**2 / (2 * n),
        "yi_kpa": effect * factor,
        "vi_kpa": variance * factor**2,
        "source": source,
    }


def _reported(evidence: Evidence, outcome: str, flagged: set[str], paired: set[str]) -> list[dict]:
    """Reported differences against an arm without exercise, in kilopascals."""
    table = evidence.contrasts[evidence.contrasts["outcome"].astype(str) == outcome]
    table = table[~table["trial_id"].isin(flagged) & table["estimate"].notna()]
    arms = evidence.arms.set_index(["trial_id", "arm_id"])
    rows = []
    for row in table.itertuples():
        reference = arms.loc[(row.trial_id, row.ref_arm_id)]
        arm = arms.loc[(row.trial_id, row.arm_id)]
        if str(reference["exercise_type"]) != "none" or str(row.effect_measure) != "md":
            continue
        se, source = _standard_error(row)
        factor = KILOPASCAL.get(str(row.unit), np.nan)
        if not np.isfinite(se * factor):
            continue
        sizes = pd.Series([arm["n_randomised"], reference["n_randomised"]], dtype="Float64")
        total = sizes.max() if row.trial_id in paired else sizes.sum(min_count=1)
        n = float(total) if pd.notna(total) else np.nan
        rows.append(
            {
                "trial_id": row.trial_id,
                "exercise_type": str(arm["exercise_type"]),
                "setting": BOUT if row.timepoint_weeks == 0 else PROGRAMME,
                "comparison": CONTROL,
                "site": "unclear",
                "unit": row.unit,
                "n": n,
                "yi": np.nan,
                "vi": np.nan,
                "yi_kpa": row.estimate * factor,
                "vi_kpa": (se * factor) ** 2,
                "source": source,
            }
        )
    return rows


def _standard_error(row: Any) -> tuple[float, str]:
    """From the interval, else from an upper bound of the P value (a bound of the error)."""
    if pd.notna(row.ci_low) and pd.notna(row.ci_high):
        level = 0.95 if pd.isna(row.ci_level) else row.ci_level / 100
        width = row.ci_high - row.ci_low
        return width / (2 * scipy.special.ndtri((1 + level) / 2)), "reported difference"
    bound = re.fullmatch(r"\s*<\s*(0?\.\d+)\s*", str(row.p_value))
    if bound:
        z = -scipy.special.ndtri(float(bound[1]) / 2)
        return abs(row.estimate) / z, "reported difference, error from a bound of P"
    return np.nan, ""
