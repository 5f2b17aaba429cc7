"""Questions a reader asks of curves by type; where trials cannot carry one, the answer says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from backpain_analysis.datasets import load_reference
from backpain_analysis.effects import Effects
from backpain_analysis.effects.lumping import lumping
from backpain_analysis.models.mixed import ConvergenceError
from backpain_analysis.models.network.dose_effects import connected_agents
from backpain_analysis.models.network.dose_network import dose_network
from backpain_analysis.models.network.dose_network_result import DoseNetworkResult

TOGETHER = "exercise"
SHARINGS = {None: "each its own", "exchangeable": "exchangeable"}
PUBLISHED = ("Owen 2020", "Liang 2024")
WORDS = {"pain_intensity": "pain"}


@dataclass(frozen=True)
class ByType:
    """Curves of the types that trials connect with no exercise.

    Attributes
    ----------
    result : DoseNetworkResult or None
        None where the trials carry no curve at all.
    note : str
        What was asked for and could not be had, and why; else empty.
    """

    result: DoseNetworkResult | None
    note: str

    @property
    def middle(self) -> float:
        """The median dose above zero of the arms; NaN without a result."""
        if self.result is None:
            return np.nan
        doses = self.result.data.arms["dose"]
        return float(doses[doses > 0].median())


def curves_by_type(
    effects: Effects,
    dose: str,
    *,
    lump: Mapping[str, str],
    curve: str = "linear",
    shared: str | None = "exchangeable",
    reference: str = "inactive",
    **options: Any,
) -> ByType:
    """The curves asked for, or the nearest that the trials carry.

    If the model cannot be fitted, types get curves of their own, then straight lines, then
    exchangeable ones.

    Parameters
    ----------
    effects : Effects
    dose, lump, curve, shared, reference
        As for `dose_network`.
    **options
        `method, lower_is_better, level` of `dose_network`.
    """
    own = {"dose": dose, "lump": lump, "reference": reference}
    try:
        part = connected_agents(effects, **own)
    except ValueError as fault:
        return ByType(None, _sentence(fault))
    tries = [(curve, shared), (curve, None), ("linear", shared), ("linear", None)]
    tries.append(("linear", "exchangeable"))
    refused = ""
    for shape, tied in dict.fromkeys(tries):
        try:
            result = dose_network(part, curve=shape, shared=tied, **own, **options)
        except (ValueError, ConvergenceError) as fault:
            refused = refused or _sentence(fault)
            continue
        return ByType(result, refused)
    return ByType(None, refused)


def _sentence(fault: Exception) -> str:
    text = " ".join(str(fault).split())
    return text[:1].upper() + text[1:]


def by_sharing(
    effects: Effects, dose: str, at: float | None = None, *, lump: Mapping[str, str], **options: Any
) -> pd.DataFrame:
    """The effect of each type at one dose, by how much types lean on each other.

    Parameters
    ----------
    effects, dose, lump, **options
        As for `curves_by_type`, without `shared`.
    at : float, optional
        The dose; by default the median of those studied.

    Returns
    -------
    DataFrame
        A row a type and sharing that could be fitted: `sharing, agent, trials, estimate, ci_low,
        ci_high`; the last sharing, "one curve", has all types together, in the trials that
        connect them.
    """
    frames = []
    every = {}
    for shared, words in SHARINGS.items():
        found = curves_by_type(effects, dose, lump=lump, shared=shared, **options)
        if found.result is None:
            continue
        every = dict(lump) | {agent: TOGETHER for agent in found.result.agents}
        every |= {name: TOGETHER for name, new in lump.items() if new in found.result.agents}
        if not found.note:
            table = found.result.rank_at(found.middle if at is None else at).summary()
            table = table.drop(index=found.result.reference).reset_index()
            frames.append(table.assign(sharing=words, trials=found.result.n_trials))
    one = curves_by_type(effects, dose, lump=every, shared=None, **options)
    if one.result is not None and every:
        row = one.result.predict(TOGETHER, [one.middle if at is None else at])
        frames.append(row.assign(agent=TOGETHER, sharing="one curve", trials=one.result.n_trials))
    columns = ["sharing", "agent", "trials", "estimate", "ci_low", "ci_high"]
    return pd.concat(frames)[columns] if frames else pd.DataFrame(columns=columns)


def by_lumping(
    effects: Effects,
    dose: str,
    at: float | None = None,
    names: tuple[str, ...] = ("types", "families", "broad", "exercise"),
    **options: Any,
) -> pd.DataFrame:
    """What lumping types does to the effects at one dose.

    Parameters
    ----------
    effects, dose, **options
        As for `curves_by_type`, without `lump`; `extra` changes every lumping.
    at : float, optional
        The dose; by default the median of those studied under each lumping.
    names : tuple of str
        Of `effects.lumping.LUMPINGS`.

    Returns
    -------
    DataFrame
        A row a lumping: `lumping, agents, trials, tau, best, estimate, ci_low, ci_high` of the
        type ranked first at this dose.
    """
    extra = options.pop("extra", None)
    rows = []
    for name in names:
        found = curves_by_type(effects, dose, lump=lumping(name, extra), **options)
        if found.result is None:
            rows.append({"lumping": name})
            continue
        ranked = (
            found.result.rank_at(found.middle if at is None else at)
            .summary()
            .drop(index=found.result.reference)
        )
        best = ranked.iloc[0]
        rows.append(
            {
                "lumping": name,
                "agents": len(found.result.agents),
                "trials": found.result.n_trials,
                "tau": found.result.tau,
                "best": best.name,
                **best[["estimate", "ci_low", "ci_high"]],
            }
        )
    columns = ["lumping", "agents", "trials", "tau", "best", "estimate", "ci_low", "ci_high"]
    return pd.DataFrame(rows, columns=columns)


def beside_published(
    effects: Effects, dose: str, at: float | None = None, **options: Any
) -> pd.DataFrame:
    """Published effects of types against no treatment, beside ours at one dose.

    Owen 2020 pools whatever doses were given; our types are lumped into its families.

    Parameters
    ----------
    effects : Effects
        SMDs, as the published figures are.
    dose, at, **options
        As for `by_lumping`, without `lump`.

    Returns
    -------
    DataFrame
        `review, comparison, published, published_low, published_high, agent, trials, estimate,
        ci_low, ci_high, extrapolated`; ours is missing where no trial has the type.
    """
    extra = options.pop("extra", None)
    families = lumping("families", extra)
    found = curves_by_type(effects, dose, lump=families, **options)
    known = load_reference("published_meta_analyses")
    word = WORDS.get(effects.outcome, effects.outcome)
    rows = known[
        (known["review"] == PUBLISHED[0]) & (known["outcome"] == word) & known["estimate"].notna()
    ]
    ours = {} if found.result is None else _ours(found.result, found.middle if at is None else at)
    lines = []
    for row in rows.itertuples():
        types = str(row.brief_exercise_type).split("|")
        agents = {families.get(name, name) for name in types} & set(ours)
        if row.brief_exercise_type == "none" or pd.isna(row.brief_exercise_type):
            continue
        line = {
            "review": row.review,
            "comparison": row.exercise_type_or_comparison,
            "published": row.estimate,
            "published_low": row.ci_low,
            "published_high": row.ci_high,
        }
        lines.append(line | (ours[agents.pop()] if len(agents) == 1 else {}))
    columns = "review comparison published published_low published_high agent trials estimate"
    table = pd.DataFrame(lines, columns=[*columns.split(), "ci_low", "ci_high", "extrapolated"])
    return table.sort_values("published", ignore_index=True)


def _ours(result: DoseNetworkResult, at: float) -> dict[str, dict[str, Any]]:
    trials = result.counts().set_index("agent")["trials"]
    table = result.rank_at(at).summary()
    kept = table[["estimate", "ci_low", "ci_high", "extrapolated"]]
    return {
        agent: {"agent": agent, "trials": int(trials[agent]), **kept.loc[agent]}
        for agent in result.agents
    }


def beside_published_doses(effects: Effects, **options: Any) -> pd.DataFrame:
    """The doses that Liang 2024 names, with what our trials say at them, all exercise together.

    Parameters
    ----------
    effects : Effects
        SMDs, as the published effect is.
    **options
        As for `curves_by_type`, without `lump`, `shared` and the dose, which is MET-minutes per
        week; `extra` changes the lumping.

    Returns
    -------
    DataFrame
        `what, dose, published, published_low, published_high, curve, estimate, ci_low, ci_high,
        extrapolated`; the published effect is that of all exercise, at no stated dose.
    """
    lump = lumping("exercise", options.pop("extra", None))
    found = curves_by_type(
        effects, "met_minutes_per_week", **{**options, "lump": lump, "shared": None}
    )
    known = load_reference("published_meta_analyses")
    word = WORDS.get(effects.outcome, effects.outcome)
    rows = known[(known["review"] == PUBLISHED[1]) & (known["outcome"] == word)]
    lines = []
    for row in rows[rows["optimum_dose"].notna()].itertuples():
        doses = {
            "dose that reaches the MCID": row.mcid_dose,
            "best dose": pd.to_numeric(row.optimum_dose, errors="coerce"),
        }
        for what, dose in doses.items():
            line = {"what": what, "dose": dose, "published": row.estimate}
            line |= {"published_low": row.ci_low, "published_high": row.ci_high}
            if found.result is not None and np.isfinite(dose):
                own = found.result.predict(TOGETHER, [dose]).iloc[0]
                line["curve"] = found.result.curves[TOGETHER].name
                line |= own[["estimate", "ci_low", "ci_high", "extrapolated"]].to_dict()
            lines.append(line)
    columns = "what dose published published_low published_high curve estimate ci_low ci_high"
    return pd.DataFrame(lines, columns=[*columns.split(), "extrapolated"])
