"""Questions a reader asks of a network; where the trials cannot carry one, the answer says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from backpain_analysis.answers.dose import Answer
from backpain_analysis.effects.table import Effects
from backpain_analysis.effects.treatments import LUMPINGS, lumping, with_supervision
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.network.data import connected_part
from backpain_analysis.models.network.network import NetworkResult, network
from backpain_analysis.words import number, outcome_words, p_text, plural, unit_words


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
    digits, unit = (1, unit_words("MD")) if result.data.measure == "MD" else (2, unit_words("SMD"))
    clear = row["ci_low"] * row["ci_high"] > 0
    better = (row["estimate"] < 0) == result.lower_is_better
    verdict = "not clearly different from"
    if clear:
        verdict = "better than" if better else "worse than"
    trials = int(row["trials"])
    directly = f"{plural(trials, 'trial')} compare{'s' * (trials == 1)} the two directly"
    text = (
        f"For {outcome_words(outcome)}, {first.replace('_', ' ')} exercise is {verdict} "
        f"{second.replace('_', ' ')}: {number(row['estimate'], digits)} {unit} "
        f"({result.level:.0%} CI {number(row['ci_low'], digits)} to "
        f"{number(row['ci_high'], digits)}; {p_text(row['p_value'])}); {directly}."
    )
    return Answer(text, table)


def lumpings(
    effects: Effects, names: tuple[str, ...] = ("types", "families", "broad"), **options: Any
) -> pd.DataFrame:
    """What lumping exercise types does to the network.

    Returns
    -------
    DataFrame
        A row a lumping: `lumping, treatments, trials, tau, i2, inconsistency_p, best, p_score,
        estimate, ci_low, ci_high` (the best against inactive controls).

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
        best = result.p_scores()
        effect = result.effects().loc[lambda t, first=best.index[0]: t.index == first]
        rows.append(
            {
                "lumping": name,
                "treatments": len(result.treatments),
                "trials": result.n_trials,
                "tau": result.tau,
                "i2": result.heterogeneity()["i2"].iloc[0],
                "inconsistency_p": result.design_inconsistency().p_value,
                "best": best.index[0],
                "p_score": best.iloc[0],
                **(effect[["estimate", "ci_low", "ci_high"]].iloc[0] if len(effect) else {}),
            }
        )
    columns = "lumping treatments trials tau i2 inconsistency_p best p_score estimate".split()
    return pd.DataFrame(rows, columns=[*columns, "ci_low", "ci_high"])


def _none(text: str) -> Answer:
    return Answer(text, pd.DataFrame())
