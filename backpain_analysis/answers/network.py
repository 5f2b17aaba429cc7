"""Questions a reader asks of a network; where the trials cannot carry one, the answer says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from backpain_analysis.answers.dose_questions import Answer
from backpain_analysis.effects.table import Effects
from backpain_analysis.effects.treatments import LUMPINGS, lumping, with_supervision
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.network.data import connected_part
from backpain_analysis.models.network.network import NetworkResult, network
from backpain_analysis.models.pairwise.pooling import pool
from backpain_analysis.words import (
    RATIO_WORDS,
    effect_text,
    exercise_label,
    number,
    outcome_words,
    p_text,
    plural,
    spread_text,
    unit_words,
)

SMALL_SET = 3
"""A best treatment is named only where at most so many cannot be told from the first, it included,
and no more than half of the treatments."""

DISAGREE = 0.05
"""P value from which direct and indirect evidence, or designs, disagree."""

Names = Mapping[str, str] | None


@dataclass(frozen=True)
class Headline:
    """Whether a network names a best treatment, and all that speaks against it.

    Attributes
    ----------
    best : str
        The first-ranked treatment other than the reference.
    is_named : bool
        The set of treatments that cannot be told from it is small, its interval against the
        reference leaves out zero on the side of benefit, designs and its direct and indirect
        evidence agree, and no single trial carries it.
    alike : tuple of str
        Treatments that cannot be told from it.
    objections : tuple of str
        What contradicts it, as it can stand after "but".
    """

    best: str
    is_named: bool
    alike: tuple[str, ...]
    objections: tuple[str, ...]


def headline(result: NetworkResult, names: Names = None) -> Headline | None:
    """May a best treatment be named? None where nothing ranks above the reference.

    Parameters
    ----------
    result : NetworkResult
    names : mapping, optional
        Treatments as a reader calls them.
    """
    best = str(result.p_scores().index[0])
    if best == result.reference:
        return None
    alike = tuple(name for name in result.best_set() if name != best)
    row = result.effects().loc[best]
    few = len(alike) + 1 <= min(SMALL_SET, len(result.treatments) / 2)
    helps = bool((np.sign(row[["ci_low", "ci_high"]]) == result.benefit).all())
    objections = [*_incoherent(result, best, names), *_carried_by_one(result, best)]
    return Headline(best, few and helps and not objections, alike, tuple(objections))


def _incoherent(result: NetworkResult, best: str, names: Names) -> list[str]:
    """Where direct and indirect evidence on the best one disagree."""
    found = []
    split = result.node_split().summary()
    own = split[(split["treatment"] == best) | (split["versus"] == best)]
    for row in own[own["p_value"] < DISAGREE].to_dict("records"):
        turned = row["versus"] == best
        other = row["treatment"] if turned else row["versus"]
        sign = -1 if turned else 1
        direct, indirect = (
            value_words(result, sign * row[kind]) for kind in ("direct", "indirect")
        )
        trials = plural(int(row["trials"]), "trial")
        found.append(
            f"against {called(other, names)} the direct evidence ({trials}) says {direct} and the "
            f"indirect {indirect} ({p_text(row['p_value'])})"
        )
    designs = result.design_inconsistency()
    if designs.df and designs.p_value < DISAGREE:
        found.append(f"the trials' designs disagree ({p_text(designs.p_value)})")
    return found


def _carried_by_one(result: NetworkResult, best: str) -> list[str]:
    """The one trial that the estimate rests on, or cannot do without."""
    without = result.leave_one_out(best)
    row = result.effects().loc[best]
    if len(without) == 1:
        people = without["participants"].iloc[0]
        size = f" of {number(people, 0)} people" if people == people else ""
        return [f"it rests on a single trial{size} ({without.index[0]})"]
    outside = (without["estimate"] < row["ci_low"]) | (without["estimate"] > row["ci_high"])
    clear = row["ci_low"] * row["ci_high"] > 0
    unclear = (without["ci_low"] <= 0) & (without["ci_high"] >= 0)
    needed = without[outside | without["estimate"].isna() | (clear & unclear)]
    if needed.empty:
        return []
    change = (needed["estimate"] - row["estimate"]).abs().fillna(np.inf)
    trial = change.idxmax()
    found = needed.loc[trial]
    people = found["participants"]
    size = f", a trial of {number(people, 0)} people," if people == people else ""
    if not np.isfinite(found["estimate"]):
        return [f"without {trial}{size} nothing connects it"]
    before, after = (spread_text(tau, result.measure) for tau in (result.tau, found["tau"]))
    return [
        f"without {trial}{size} it is {value_words(result, found['estimate'])}, and τ goes from "
        f"{before} to {after}"
    ]


def called(name: str, names: Names = None) -> str:
    """A treatment inside a sentence: "Yoga" is "yoga", "McKenzie" stays."""
    text = (names or {}).get(name, exercise_label(name))
    return text if any(letter.isupper() for letter in text[1:]) else text.lower()


def value_words(result: NetworkResult, value: float) -> str:
    """A number on the scale that readers know: ratios, percentage points."""
    return effect_text(value, result.measure)


def effect_words(result: NetworkResult, row: pd.Series) -> str:
    """An effect with its unit and interval."""
    value, low, high = (value_words(result, row[c]) for c in ("estimate", "ci_low", "ci_high"))
    interval = f"({result.level:.0%} CI {low} to {high})"
    if result.data.is_ratio:
        return f"{RATIO_WORDS[result.measure]} {value} {interval}"
    return f"{value} {unit_words(result.measure)} {interval}"


def answer(
    result: NetworkResult | str,
    outcome: str,
    names: Names = None,
) -> str:
    """The answer of a network: is a type best, by how much, and what speaks against it.

    Parameters
    ----------
    result : NetworkResult or str
        Or why there is none, of `fitted`.
    outcome : str
    names : mapping, optional
        Treatments as a reader calls them.
    """
    if isinstance(result, str):
        return f"These trials make no network for {outcome_words(outcome)}: {result}."
    effects = result.effects()
    clear = (np.sign(effects[["ci_low", "ci_high"]]) == result.benefit).all(axis=1)
    verb = "compares" if result.n_trials == 1 else "compare"
    against = called(result.reference, names)
    text = (
        f"{plural(result.n_trials, 'trial')}{_people(result)} {verb} {len(result.treatments)} "
        f"treatments. Of the {len(effects)} "
        f"set against {against}, {int(clear.sum())} improve {outcome_words(outcome)} with an "
        "interval that leaves out no difference."
    )
    found = headline(result, names)
    if found is None:
        return f"{text} None ranks above {against}."
    row, rank = effects.loc[found.best], result.ranking().loc[found.best]
    best, size = called(found.best, names), effect_words(result, row)
    ranks = f"its rank may be anything from {int(rank['rank_low'])} to {int(rank['rank_high'])}"
    others = len(result.treatments) - 1
    if found.is_named:
        alike = ", ".join(called(name, names) for name in found.alike)
        beaten = (
            f"clearly better than all but {alike}" if alike else "clearly better than all others"
        )
        return (
            f"{text} {best[:1].upper()}{best[1:]} helps most: {size} against {against}, {beaten} "
            f"(P-score {number(rank['p_score'], 2)}; {ranks} of {others + 1})."
        )
    doubts = [
        f"it is not clearly better than {len(found.alike)} of the other {others}, and {ranks}",
        *found.objections,
    ]
    if not found.alike:
        doubts = list(found.objections) or [ranks]
    return (
        f"{text} No treatment is shown to be the best: {best} has the best estimate, {size} "
        f"against {against}, but {'; '.join(doubts)}."
    )


def _people(result: NetworkResult) -> str:
    if not result.n_participants:
        return ""
    return f" ({number(result.n_participants, 0)} participants in arms of known size)"


def agreement(result: NetworkResult, names: Names = None) -> str:
    """Whether direct and indirect evidence agree, and how much trials differ.

    Parameters
    ----------
    result : NetworkResult
    names : mapping, optional
        Treatments as a reader calls them.
    """
    found = result.design_inconsistency()
    spread = result.heterogeneity().loc["total"]
    i2 = f" (I² {number(spread['i2'], 0)}%)" if np.isfinite(spread["i2"]) else ""
    unit = unit_words(result.measure)
    text = (
        f"Between trials of the same comparison effects vary with a standard deviation of "
        f"{spread_text(result.tau, result.measure)} {unit}{i2}. "
    )
    if not found.df:
        return text + "No comparison has both direct and indirect evidence: not testable."
    split = result.node_split().summary()
    doubtful = split[split["p_value"] < DISAGREE]
    agree = "do not clearly disagree" if found.p_value >= DISAGREE else "disagree"
    text += (
        f"Designs {agree} (design-by-treatment interaction, {found.df} degrees of freedom, "
        f"{p_text(found.p_value)}); of {plural(len(split), 'comparison')} with both kinds of "
        f"evidence, {len(doubtful)} differ with P < {DISAGREE}"
    )
    if found.p_value >= DISAGREE and doubtful.empty:
        return f"{text}. Such tests have little power in a network as thin as this one."
    pairs = "; ".join(
        f"{called(row.treatment, names)} with {called(row.versus, names)}"
        for row in doubtful.itertuples()
    )
    text += f": {pairs}" if pairs else ""
    if found.p_value >= DISAGREE:
        chance = number(DISAGREE * len(split), 0)
        return f"{text}. Of so many tests about {chance} would do so by chance."
    return f"{text}. The network's estimates are then not one answer: read the direct ones."


def beside_pooling(effects: Effects, result: NetworkResult, **options: Any) -> Answer:
    """The network's estimates against the reference, beside pooling the direct trials alone.

    Parameters
    ----------
    effects : Effects
        Of which the network was made.
    result : NetworkResult
    **options
        `lump` of the network.

    Returns
    -------
    Answer
        Table: `treatment, trials, pooled, pooled_low, pooled_high, estimate, ci_low, ci_high`.
    """
    lump = {str(old): str(new) for old, new in dict(options.get("lump") or {}).items()}
    table = effects.table
    of, against = (table[name].astype(str).replace(lump) for name in ("treatment", "ref_treatment"))
    rows = []
    for name, row in result.effects().iterrows():
        own = effects.select((of == name) & (against == result.reference), "another comparison")
        line = {"treatment": name, "trials": own.n_trials}
        if len(own):
            found = _pooled(own.one_per_trial())
            line |= dict(zip(("pooled", "pooled_low", "pooled_high"), found, strict=True))
        rows.append(line | row[["estimate", "ci_low", "ci_high"]].to_dict())
    columns = ["treatment", "trials", "pooled", "pooled_low", "pooled_high"]
    found = pd.DataFrame(rows, columns=[*columns, "estimate", "ci_low", "ci_high"])
    text = (
        "For comparing types the network is the primary analysis. It takes heterogeneity to be the "
        "same for every comparison and adds indirect evidence; pooling takes the trials of one "
        "type against the reference alone, with a heterogeneity of their own and Student's t, "
        "so that two or three trials give an interval that says little. Where the two estimates "
        "differ, indirect evidence or trials with several arms make the difference."
    )
    return Answer(text, found)


def impact(effects: Effects, **options: Any) -> Answer:
    """Low-impact aerobic exercise against the other kinds of exercise."""
    found = fitted(effects, lump=lumping("impact"), **options)
    if isinstance(found, str):
        return _none(f"Low-impact aerobic exercise cannot be set against other kinds: {found}.")
    return _between(found, "low_impact_aerobic", "other_exercise", effects.outcome)


def supervision(effects: Effects, arms: pd.DataFrame, **options: Any) -> Answer:
    """Supervised against unsupervised exercise.

    Parameters
    ----------
    effects : Effects
    arms : DataFrame
        `Evidence.arms`, with `supervised`.
    **options
        Of `network`.
    """
    known = with_supervision(effects, arms)
    found = fitted(known, lump={}, treatment="setting", **options)
    if isinstance(found, str):
        return _none(f"Supervised and unsupervised exercise cannot be compared: {found}.")
    return _between(found, "supervised", "unsupervised", effects.outcome)


def fitted(
    effects: Effects,
    *,
    lump: Mapping[str, str],
    treatment: str = "treatment",
    reference: str = "inactive",
    **options: Any,
) -> NetworkResult | str:
    """The network around a reference, or why there is none.

    Parameters
    ----------
    effects : Effects
    lump, treatment, reference, **options
        Of `network`.
    """
    if not len(effects):
        return f"no usable result of {outcome_words(effects.outcome)}"
    try:
        part = connected_part(effects, reference, treatment=treatment, lump=lump)
        return network(part, treatment=treatment, reference=reference, lump=lump, **options)
    except CannotEstimate as fault:
        return fault.reason


def _between(result: NetworkResult, first: str, second: str, outcome: str) -> Answer:
    absent = [name for name in (first, second) if name not in result.treatments]
    table = result.effects().reset_index().rename(columns={"treatment": "group"})
    table = table[["group", "trials", "estimate", "ci_low", "ci_high"]]
    if absent:
        words = " and ".join(name.replace("_", " ") for name in absent)
        return Answer(f"No trial of this network has an arm of {words} exercise.", table)
    row = result.predict(first, second)
    clear = row["ci_low"] * row["ci_high"] > 0
    better = (row["estimate"] < 0) == result.lower_is_better
    verdict = "not clearly different from"
    if clear:
        verdict = "better than" if better else "worse than"
    trials = int(row["trials"])
    directly = f"{plural(trials, 'trial')} compare{'s' * (trials == 1)} the two directly"
    text = (
        f"For {outcome_words(outcome)}, {first.replace('_', ' ')} exercise is {verdict} "
        f"{second.replace('_', ' ')}: {effect_words(result, row)}, {p_text(row['p_value'])}; "
        f"{directly}."
    )
    return Answer(text, table)


def lumpings(
    effects: Effects, names: tuple[str, ...] = ("types", "families", "broad"), **options: Any
) -> pd.DataFrame:
    """What lumping exercise types does to the network.

    Returns
    -------
    DataFrame
        A row a lumping: `lumping, treatments, trials, tau, i2, inconsistency_p, best, alike,
        is_named, estimate, ci_low, ci_high`: the first-ranked against inactive controls, how many
        cannot be told from it, and whether it may be named as best (see `headline`).

    Raises
    ------
    ValueError
        For an unknown lumping.
    """
    unknown = [name for name in names if name not in LUMPINGS]
    if unknown:
        raise ValueError(f"unknown lumping {', '.join(map(repr, unknown))}.")
    rows = []
    for name in names:
        result = fitted(effects, lump=lumping(name), **options)
        if isinstance(result, str):
            rows.append({"lumping": name})
            continue
        found = headline(result)
        row = {
            "lumping": name,
            "treatments": len(result.treatments),
            "trials": result.n_trials,
            "tau": result.tau,
            "i2": result.heterogeneity()["i2"].iloc[0],
            "inconsistency_p": result.design_inconsistency().p_value,
        }
        if found is not None:
            row |= {"best": found.best, "alike": len(found.alike), "is_named": found.is_named}
            row |= result.effects().loc[found.best, ["estimate", "ci_low", "ci_high"]].to_dict()
        rows.append(row)
    columns = (
        "lumping treatments trials tau i2 inconsistency_p best alike is_named estimate".split()
    )
    return pd.DataFrame(rows, columns=[*columns, "ci_low", "ci_high"])


def _pooled(effects: Effects) -> tuple[float, float, float]:
    """Knapp-Hartung's interval, or the normal one where that is wider."""
    try:
        found = [pool(effects, test="z")]
        if effects.n_trials > 1:
            found.append(pool(effects, test="knapp-hartung"))
    except CannotEstimate:
        return np.nan, np.nan, np.nan
    widest = max(found, key=lambda result: result.ci_high - result.ci_low)
    return widest.estimate, widest.ci_low, widest.ci_high


def _none(text: str) -> Answer:
    return Answer(text, pd.DataFrame())
