"""Curves by type: the questions a reader asks of them, and the answers in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from backpain_analysis.answers.sentences import curve_words
from backpain_analysis.datasets.bundled import load_reference
from backpain_analysis.effects.table import Effects
from backpain_analysis.effects.treatments import lumping
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.dose.curves import STEP, has_step
from backpain_analysis.models.network.dose_consistency import DoseConsistency
from backpain_analysis.models.network.dose_data import Comparators, connected_agents
from backpain_analysis.models.network.dose_network import DoseNetworkResult, dose_network
from backpain_analysis.words import (
    DOSE_LABELS,
    article,
    as_benefit,
    dose_text,
    effect_digits,
    number,
    outcome_words,
    p_text,
    plural,
    unit_words,
)

Names = Mapping[str, str] | None

NOTHING = "The trials carry no curve for any type of exercise"


def by_type(found: ByType, at: float | None = None, names: Names = None) -> str:
    """The answer: how far types differ at an equal dose, and how sure that is.

    Parameters
    ----------
    found : ByType
    at : float, optional
        The dose; by default the median of those studied.
    names : mapping, optional
        Agents as a reader calls them.
    """
    result = found.result
    if result is None:
        return f"{NOTHING}: {found.note}"
    at = found.middle if at is None else at
    text = [_what_was_fitted(result)]
    if not result.studied_at(at):
        text.append(
            f"No type was studied at {dose_text(at, at)} {_label(result)}, so none is ranked there."
        )
    elif not types_differ(result, at):
        text.append(_all_alike(result, at))
    else:
        text += [_at_equal_dose(result, at, names), _between(result, at)]
    text += [_does_dose_matter(result), _thin(result)]
    if found.note:
        text.append(f"Simplified, because the model asked for does not fit: {found.note}")
    return " ".join(part for part in text if part)


def _what_was_fitted(result: DoseNetworkResult) -> str:
    curve = next(iter(result.curves.values())).name
    shape = curve_words(curve)
    types = len(result.agents)
    return (
        f"{plural(result.n_trials, 'trial')} ({number(result.n_participants, 0)} participants in "
        f"arms of known size) connect {plural(types, 'type')} of exercise of known "
        f"{_label(result)} with no exercise ({shape})."
    )


def _at_equal_dose(result: DoseNetworkResult, at: float, names: Names) -> str:
    equal = result.rank_at(at)
    table = equal.summary()
    best = table.index.drop(result.reference)[0]
    row = table.loc[best]
    place = f"At {dose_text(at, at)} {_label(result)}"
    outcome = outcome_words(result.outcome)
    if len(equal.params) == 1:
        return (
            f"{place} only {_name(best, names)} was studied: its effect on {outcome} is "
            f"{_effect(result, row)}."
        )
    others = [agent for agent in equal.params.index if agent != best]
    versus = equal.differences().set_index(["agent", "versus"])
    gaps = versus.loc[[(best, other) for other in others]]
    clear = int((gaps["ci_low"] * gaps["ci_high"] > 0).sum())
    verdict = f"is clearly better than {clear} of the other {len(others)}"
    if clear == 0:
        verdict = f"is not clearly better than any of the other {len(others)}"
    left = ""
    if equal.left_out:
        left = f" The other {plural(len(equal.left_out), 'type')} had no trial around this dose."
    return (
        f"{place}, where {plural(len(equal.params), 'type')} were studied, the best estimate for "
        f"{outcome} is that of {_name(best, names)}, {_effect(result, row)}; it {verdict}, and its "
        f"rank among {len(table)} may be anything from {int(row['rank_low'])} to "
        f"{int(row['rank_high'])} (P-score {number(row['p_score'], 2)}).{left}"
    )


def _does_dose_matter(result: DoseNetworkResult) -> str:
    """Among those who exercise; empty for curves through zero."""
    if not all(has_step(curve) for curve in result.curves.values()):
        return ""
    test = result.test_dose()
    direct = int(test["trials"])
    basis = (
        f"{plural(direct, 'trial')} compared different doses of one type"
        if direct
        else "no trial compared different doses of one type"
    )
    verdict = "matters" if test["p_value"] < 1 - result.level else "is not shown to matter"
    text = f"Among those who exercise the dose {verdict} ({p_text(test['p_value'])}; {basis})"
    if result.shared != "step" or test["df_num"] != 1:
        return f"{text}."
    slope = result.summary().iloc[1]
    unit = 60.0 if result.max_dose(result.agents[0]) > 60 else 1.0
    low, high = sorted((unit * slope["ci_low"], unit * slope["ci_high"]))
    digits = _digits(result)
    return (
        f"{text}: {number(unit * slope['estimate'], digits)} {unit_words(result.measure)} for "
        f"{unit:g} {_label(result)} more ({result.level:.0%} CI {number(low, digits)} to "
        f"{number(high, digits)})."
    )


def dose_matters(result: DoseNetworkResult) -> bool:
    """Whether a dose may be named: with a step, only if dose among those who exercise matters.

    Curves through zero do not tell the two apart; they are named with their caveat.
    """
    if not all(has_step(curve) for curve in result.curves.values()):
        return True
    return bool(result.test_dose()["p_value"] < 1 - result.level)


def types_differ(result: DoseNetworkResult, at: float) -> bool:
    """Whether a ranking at this dose says anything: types do not all have one estimate."""
    return _spread(result, at) >= 0.5 * 10 ** -_digits(result)


def _spread(result: DoseNetworkResult, at: float) -> float:
    """Standard deviation between exchangeable types of the effect at a dose; else infinite."""
    if result.between is None:
        return np.inf
    curve = result.curves[result.agents[0]]
    basis = (curve.basis(np.array([at])) - curve.basis(np.zeros(1)))[0]
    return float(np.sqrt(max(basis @ result.between.omega @ basis, 0.0)))


def _between(result: DoseNetworkResult, at: float) -> str:
    if result.between is None:
        return ""
    spread = number(_spread(result, at), _digits(result))
    return (
        f"Between types the effect at this dose is estimated to vary with a standard deviation "
        f"of {spread} {unit_words(result.measure)}."
    )


def _all_alike(result: DoseNetworkResult, at: float) -> str:
    row = result.predict(result.studied_at(at)[0], [at]).iloc[0]
    return (
        "The types vary no more than chance would have it, so that one curve is estimated for all "
        f"and no type is first: at {dose_text(at, at)} {_label(result)} the effect on "
        f"{outcome_words(result.outcome)} is {_effect(result, row)}."
    )


def _effect(result: DoseNetworkResult, row: pd.Series) -> str:
    low, high = (number(row[name], _digits(result)) for name in ("ci_low", "ci_high"))
    size = f"{number(row['estimate'], _digits(result))} {unit_words(result.measure)}"
    return f"{size} ({result.level:.0%} CI {low} to {high})"


def _thin(result: DoseNetworkResult) -> str:
    counts = result.counts().set_index("agent")["trials"].reindex(result.agents)
    single = int((counts == 1).sum())
    if not single:
        return ""
    verb = "rests" if single == 1 else "rest"
    return f"{single} of {plural(len(counts), 'type')} {verb} on a single trial."


def consistency(result: DoseNetworkResult | None) -> str:
    """Whether the curves agree with a network in which every dose stands alone."""
    if result is None:
        return f"{NOTHING}: nothing to check."
    found: DoseConsistency = result.consistency()
    if not found.df > 0:
        return (
            "The curves have as many parameters as there are doses: the trials cannot show "
            "whether they fit."
        )
    agree = "do not clearly disagree" if found.p_value >= 1 - result.level else "disagree"
    return (
        f"The curves {agree} with a network in which every dose of every type stands alone "
        f"(Wald test on {plural(found.df, 'degree')} of freedom, {p_text(found.p_value)}; "
        f"likelihood ratio {p_text(found.likelihood_ratio_p)}). With few trials a dose, such a "
        "test can miss much."
    )


def doses(result: DoseNetworkResult | None, mcid: float | None, names: Names = None) -> str:
    """Which types reach the MCID at a dose they were studied at."""
    if result is None:
        return f"{NOTHING}: there is no dose to look for."
    if not mcid:
        return "No minimal important difference is set in these units, so none is looked for."
    if not dose_matters(result):
        p = result.test_dose()["p_value"]
        return (
            "Among those who exercise the dose is not shown to matter "
            f"({p_text(p)}), so no dose of a type is named."
        )
    target = as_benefit(mcid, result.lower_is_better)
    found = {agent: result.dose_for(agent, target) for agent in result.agents}
    reached = [agent for agent, dose in found.items() if dose.reached]
    size = f"{number(abs(mcid), 1)} {unit_words(result.measure)}"
    if not reached:
        return (
            f"No type is shown to reach a difference of {size} at a dose it was studied at: no "
            "mean curve gets there."
        )
    listed = "; ".join(
        f"{_name(agent, names)} at {dose_text(found[agent].estimate, found[agent].high)}"
        for agent in reached
    )
    sure = sum(bool(np.isfinite(found[agent].ci_high)) for agent in reached) or "none"
    return (
        f"The mean curves of {len(reached)} of {plural(len(found), 'type')} reach {size} within "
        f"the doses studied ({listed} {_label(result)}); for {sure} of them the interval of that "
        "dose has an upper limit."
    )


def published_in_words(table: pd.DataFrame) -> str:
    """How our figures compare with Owen 2020."""
    both = table.dropna(subset=["estimate", "published"])
    if both.empty:
        return "No type of the published network can be set beside ours."
    apart = (both["ci_low"] > both["published_high"]) | (both["ci_high"] < both["published_low"])
    smaller = int((both["estimate"].abs() < both["published"].abs()).sum())
    return (
        f"{len(both)} of the {len(table)} types in Owen 2020 can be set beside ours: the intervals "
        f"overlap for {len(both) - int(apart.sum())}, and our estimate is the smaller one for "
        f"{smaller}. Its trials were pooled whatever their dose; ours stand at one dose."
    )


def published_doses_in_words(table: pd.DataFrame) -> str:
    """How our figures compare with the doses of Liang 2024."""
    if table.empty:
        return "Liang 2024 gives no dose for this outcome."
    if table["curve"].isna().all():
        return "Our trials carry no curve in MET-minutes to set beside Liang 2024."
    parts = []
    for row in table.dropna(subset=["curve"]).itertuples():
        place = f"at its {row.what}, {number(row.dose, 0)}"
        if row.extrapolated:
            parts.append(
                f"no estimate {place}, as none was studied beyond {number(row.largest, 0)}"
            )
            continue
        parts.append(
            f"{number(row.estimate, 2)} (95% CI {number(row.ci_low, 2)} to "
            f"{number(row.ci_high, 2)}) {place}"
        )
    first, curve = table.iloc[0], table["curve"].dropna().iloc[0]
    shape = curve_words(curve) if curve.startswith(STEP) else article(curve_words(curve))
    return (
        f"Liang 2024 estimates {number(first['published'], 2)} standard deviations (95% CI "
        f"{number(first['published_low'], 2)} to {number(first['published_high'], 2)}) for all "
        f"exercise. All types together, on {shape} in MET-minutes per week, our "
        f"trials give {' and '.join(parts)}."
    )


def _label(result: DoseNetworkResult) -> str:
    return DOSE_LABELS.get(result.dose_name, result.dose_name)


def _digits(result: DoseNetworkResult) -> int:
    return effect_digits(result.measure)


def _name(agent: str, names: Names) -> str:
    """An agent inside a sentence: "Yoga" is "yoga", "McKenzie" stays."""
    text = (names or {}).get(agent, agent.replace("_", " "))
    return text if any(letter.isupper() for letter in text[1:]) else text.lower()


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
        """The dose at which most types were studied, nearest the arms' median; NaN without any."""
        if self.result is None:
            return np.nan
        doses = self.result.data.arms["dose"]
        doses = doses[doses > 0]
        median = float(doses.median())
        ranked = [
            (-len(self.result.studied_at(dose)), abs(dose - median), dose)
            for dose in sorted({*doses, median})
        ]
        return float(min(ranked)[2])


def curves_by_type(
    effects: Effects,
    dose: str,
    *,
    lump: Mapping[str, str],
    curve: str = "linear",
    shared: str | None = "exchangeable",
    reference: str = "inactive",
    comparators: Comparators = "all",
    **options: Any,
) -> ByType:
    """The curves asked for, or the nearest that the trials carry.

    If the model cannot be fitted, types get curves of their own, then straight lines, then
    exchangeable ones.

    Parameters
    ----------
    effects : Effects
    dose, lump, curve, shared, reference, comparators
        As for `dose_network`.
    **options
        `any_exercise, method, lower_is_better, level` of `dose_network`.
    """
    own: dict[str, Any] = {"dose": dose, "lump": lump, "reference": reference}
    own["comparators"] = comparators
    try:
        part = connected_agents(effects, **own)
    except CannotEstimate as fault:
        return ByType(None, _sentence(fault))
    step = bool(options.pop("any_exercise", False))
    loose = "exchangeable" if shared == "step" else shared
    tries: list[tuple[str, Any, bool]] = [
        (curve, shared, step),
        (curve, None, step),
        ("linear", shared, step),
    ]
    tries += [("constant", loose, False)] * step
    tries += [("linear", loose, False), ("linear", None, False), ("linear", "exchangeable", False)]
    refused = ""
    for shape, tied, stepped in dict.fromkeys(tries):
        try:
            result = dose_network(
                part, curve=shape, shared=tied, any_exercise=stepped, **own, **options
            )
        except CannotEstimate as fault:
            refused = refused or _sentence(fault)
            continue
        return ByType(result, refused)
    return ByType(None, refused)


def _sentence(fault: CannotEstimate) -> str:
    return f"{fault.reason[:1].upper()}{fault.reason[1:]}."


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
        dose_at = found.middle if at is None else at
        if not found.note and found.result.studied_at(dose_at):
            table = found.result.rank_at(dose_at).summary()
            table = table.drop(index=found.result.reference).reset_index()
            frames.append(table.assign(sharing=words, trials=found.result.n_trials))
    one = curves_by_type(effects, dose, lump=every, shared=None, **options)
    if one.result is not None and every and one.result.studied_at(one.middle if at is None else at):
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
        A row a lumping: `lumping, agents, studied, trials, tau, best, estimate, ci_low, ci_high`
        of the type ranked first among those `studied` at this dose; "no type" where they do not
        differ.
    """
    extra = options.pop("extra", None)
    rows: list[dict[str, Any]] = []
    for name in names:
        found = curves_by_type(effects, dose, lump=lumping(name, extra), **options)
        dose_at = found.middle if at is None else at
        if found.result is None or not found.result.studied_at(dose_at):
            rows.append({"lumping": name})
            continue
        equal = found.result.rank_at(dose_at)
        ranked = equal.summary().drop(index=found.result.reference)
        best = ranked.iloc[0]
        alike = _spread(found.result, dose_at) < 0.5 * 10 ** -_digits(found.result)
        rows.append(
            {
                "lumping": name,
                "agents": len(found.result.agents),
                "trials": found.result.n_trials,
                "tau": found.result.tau,
                "studied": len(ranked),
                "best": "no type" if alike else best.name,
                **best[["estimate", "ci_low", "ci_high"]],
            }
        )
    columns = ["lumping", "agents", "studied", "trials", "tau", "best", "estimate"]
    columns += ["ci_low", "ci_high"]
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
        ci_low, ci_high`; ours is missing where no trial has the type around this dose.
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
    table = pd.DataFrame(lines, columns=[*columns.split(), "ci_low", "ci_high"])
    return table.sort_values("published", ignore_index=True)


def _ours(result: DoseNetworkResult, at: float) -> dict[str, dict[str, Any]]:
    if not result.studied_at(at):
        return {}
    trials = result.counts().set_index("agent")["trials"]
    kept = result.rank_at(at).summary()[["estimate", "ci_low", "ci_high"]]
    return {
        agent: {"agent": agent, "trials": int(trials[agent]), **kept.loc[agent]}
        for agent in result.studied_at(at)
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
        largest, extrapolated`; the published effect is that of all exercise, at no stated dose.
        Ours is missing beyond the `largest` dose that our trials studied.
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
                own = found.result.predict(TOGETHER, [dose], extrapolate=True).iloc[0]
                line["curve"] = found.result.curves[TOGETHER].name
                line["largest"] = found.result.max_dose(TOGETHER)
                line["extrapolated"] = bool(own["extrapolated"])
                if not own["extrapolated"]:
                    line |= own[["estimate", "ci_low", "ci_high"]].to_dict()
            lines.append(line)
    columns = "what dose published published_low published_high curve estimate ci_low ci_high"
    return pd.DataFrame(lines, columns=[*columns.split(), "largest", "extrapolated"])
