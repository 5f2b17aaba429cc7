"""Outcomes by which exercise might work, side by side; sensitivity in words."""

from __future__ import annotations

import pandas as pd

from backpain_analysis.answers.claim_parts import each_trial_once
from backpain_analysis.answers.moderation import slope
from backpain_analysis.effects.assemble import effects_if_measured
from backpain_analysis.effects.sensitivity import (
    BOUT,
    CONTROL,
    OUTCOMES,
    PROGRAMME,
    sensitivity_changes,
)
from backpain_analysis.effects.table import Effects, count_reasons
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.evidence.dose import with_doses
from backpain_analysis.evidence.evidence import Evidence
from backpain_analysis.models.pairwise.bivariate import Bivariate, bivariate
from backpain_analysis.models.pairwise.pooling import PoolResult, fitting_test, pool
from backpain_analysis.words import number, outcome_words, plural

MECHANISMS = (
    "trunk_strength",
    "trunk_endurance",
    "flexibility_rom",
    "balance_stability",
    "quality_of_life",
    "depression_anxiety",
    "kinesiophobia",
)

PRESSURE = "pressure_pain_threshold"

STEP = 60.0
"""Minutes a week."""

GAINS = ("trunk_strength", "trunk_endurance", "flexibility_rom")


def effects_of(evidence: Evidence, outcome: str, measure: str = "SMD") -> Effects | None:
    """Effects of an outcome against inactive controls, None where there are none."""
    found = effects_if_measured(evidence, outcome, measure=measure).against_inactive()
    return found if len(found) else None


def pooled(
    evidence: Evidence, outcomes: tuple[str, ...] = MECHANISMS
) -> tuple[dict[str, PoolResult], pd.DataFrame]:
    """Standardised effect of exercise on each outcome.

    Returns
    -------
    results : dict
        By outcome, where any trial has a usable result.
    reported : DataFrame
        `outcome, trials, usable, why`: how many trials measured it, how many could be used, and
        the most frequent reason against the others.
    """
    results, rows = {}, []
    for outcome in outcomes:
        measured = _measured(evidence, outcome)
        effects = effects_of(evidence, outcome)
        usable = 0 if effects is None else effects.n_trials
        if effects is not None:
            results[outcome] = each_trial_once(effects)
        why = _main_reason(evidence, outcome) if usable < measured else ""
        rows.append({"outcome": outcome, "trials": measured, "usable": usable, "why": why})
    return results, pd.DataFrame(rows, columns=["outcome", "trials", "usable", "why"])


def _measured(evidence: Evidence, outcome: str) -> int:
    names: set[str] = set()
    for table in (evidence.outcomes, evidence.contrasts):
        names |= set(table.loc[table["outcome"].astype(str) == outcome, "trial_id"])
    return len(names)


def _main_reason(evidence: Evidence, outcome: str) -> str:
    counts = effects_if_measured(evidence, outcome, measure="SMD").excluded_counts()
    return str(counts["reason"].iloc[0]) if len(counts) else ""


def go_together(evidence: Evidence) -> dict[str, Bivariate | str]:
    """Whether trials with more of each gain in fitness show more pain relief, or why not known."""
    pain = effects_of(evidence, "pain_intensity")
    found: dict[str, Bivariate | str] = {}
    for outcome in GAINS:
        gain = effects_of(evidence, outcome)
        if gain is None or pain is None:
            found[outcome] = f"no trial has usable results of {outcome_words(outcome)} and pain"
            continue
        try:
            found[outcome] = bivariate(gain, pain)
        except CannotEstimate as fault:
            found[outcome] = fault.reason
    return found


def answer(results: dict[str, PoolResult], reported: pd.DataFrame) -> str:
    """What trials say of the mechanisms, in a sentence or two."""
    measured, usable = int(reported["trials"].sum()), len(results)
    if not measured:
        return "No trial of these data measured any of these outcomes."
    if not usable:
        return "No trial has a usable result on any of these outcomes against an inactive control."
    parts = []
    for outcome, result in results.items():
        interval = f"{number(result.ci_low, 2)} to {number(result.ci_high, 2)}"
        parts.append(
            f"{outcome_words(outcome)} {number(result.estimate, 2)} SD (95% CI {interval}; "
            f"{plural(result.n_trials, 'trial')})"
        )
    text = (
        f"Of {len(reported)} outcomes, reported {plural(measured, 'time')} by trials, {usable} can "
        f"be compared with no exercise: {'; '.join(parts)}."
    )
    if usable < len(reported):
        text += " The others rest on results without a comparison or without their spread."
    return text


def sensitivity_answer(changes: pd.DataFrame, outcome: str = PRESSURE) -> str:
    """What trials say of pain sensitivity against no exercise, bouts apart from programmes.

    Thresholds in kilopascals, other outcomes in standard deviations.
    """
    y, v, unit, digits = _scale(outcome)
    word = outcome_words(outcome)
    against = changes[changes["comparison"] == CONTROL].dropna(subset=[y, v])
    if against.empty:
        return f"No trial of these data compares exercise with no exercise on {word} in {unit}."
    parts = []
    for setting in (BOUT, PROGRAMME):
        own = against[against["setting"] == setting].drop_duplicates("trial_id")
        if own.empty:
            parts.append(f"no trial compares a {setting} with no exercise in {unit}")
            continue
        result = pool(own[y], own[v], test=fitting_test(len(own)))
        clear = result.ci_low > 0 or result.ci_high < 0
        verb = "raised" if result.estimate > 0 else "lowered"
        effect = f"{verb} it by" if clear else "changed it, not clearly, by"
        parts.append(
            f"a {setting} {effect} {number(result.estimate, digits)} {unit} "
            f"(95% CI {number(result.ci_low, digits)} to {number(result.ci_high, digits)}; "
            f"{plural(len(own), 'trial')})"
        )
    text = f"{word.capitalize()} against no exercise: {'; '.join(parts)}."
    return f"{text} Higher means less sensitive to pain." if outcome == PRESSURE else text


def sensitivity_dose(evidence: Evidence, changes: pd.DataFrame, outcome: str = PRESSURE) -> str:
    """How the effect of programmes changes with weekly minutes, or why that cannot be said."""
    y, v, unit, digits = _scale(outcome)
    own = changes[(changes["comparison"] == CONTROL) & (changes["setting"] == PROGRAMME)]
    own = own.dropna(subset=[y, v]).drop_duplicates("trial_id")
    arms = with_doses(evidence.arms)
    minutes = arms[arms["exercise_type"] != "none"].groupby("trial_id")["minutes_per_week"].mean()
    table = pd.DataFrame(
        {"yi": own[y], "vi": own[v], "x": own["trial_id"].map(minutes).astype(float) / STEP}
    )
    found = slope(table)
    if "estimate" not in found:
        return (
            f"How {outcome_words(outcome)} changes with the dose of a programme cannot be said: "
            f"its weekly minutes and its effect are {found['note']}."
        )
    return (
        f"With {STEP:.0f} more minutes a week the effect of a programme differs by "
        f"{number(found['estimate'], digits)} {unit} (95% CI {number(found['ci_low'], digits)} to "
        f"{number(found['ci_high'], digits)}; {plural(found['trials'], 'trial')}, compared with "
        "each other)."
    )


def sensitivity_measured(evidence: Evidence) -> pd.DataFrame:
    """How many trials measured each kind of pain sensitivity, and how many changes can be used.

    Returns
    -------
    DataFrame
        `outcome, trials, usable, why`, as of `pooled`.
    """
    rows = []
    for outcome in OUTCOMES:
        changes, left_out = sensitivity_changes(evidence, outcome)
        counts = count_reasons(left_out)
        rows.append(
            {
                "outcome": outcome,
                "trials": _measured(evidence, outcome),
                "usable": changes.loc[changes["comparison"] == CONTROL, "trial_id"].nunique(),
                "why": str(counts["reason"].iloc[0]) if len(counts) else "",
            }
        )
    return pd.DataFrame(rows)


def _scale(outcome: str) -> tuple[str, str, str, int]:
    """Columns of effect and variance, unit and digits."""
    if outcome == PRESSURE:
        return "yi_kpa", "vi_kpa", "kilopascals", 0
    return "yi", "vi", "standard deviations", 2


def sensitivity_pooled(changes: pd.DataFrame) -> pd.DataFrame:
    """Standardised changes pooled by setting and comparison, the first of each trial.

    Returns
    -------
    DataFrame
        `setting, comparison, trials, estimate, ci_low, ci_high, i2`.
    """
    known = changes.dropna(subset=["yi", "vi"])
    rows = []
    for (setting, comparison), part in known.groupby(["setting", "comparison"]):
        own = part.drop_duplicates("trial_id")
        result = pool(own["yi"], own["vi"], test=fitting_test(len(own)))
        i2 = result.i2 if len(own) > 1 else float("nan")
        numbers = (result.estimate, result.ci_low, result.ci_high, i2)
        rows.append((setting, comparison, len(own), *numbers))
    names = ["setting", "comparison", "trials", "estimate", "ci_low", "ci_high", "i2"]
    return pd.DataFrame(rows, columns=names)


def by_type(evidence: Evidence, outcomes: tuple[str, ...] = MECHANISMS) -> pd.DataFrame:
    """Standardised effect of each type on each outcome.

    Returns
    -------
    DataFrame
        `outcome, exercise_type, trials, estimate, ci_low, ci_high`.
    """
    rows = []
    for outcome in outcomes:
        effects = effects_of(evidence, outcome)
        if effects is None:
            continue
        for kind in sorted(set(effects.table["exercise_type"])):
            own = effects.select(effects.table["exercise_type"] == kind, "another type")
            result = each_trial_once(own)
            numbers = (result.estimate, result.ci_low, result.ci_high)
            rows.append((outcome, kind, result.n_trials, *numbers))
    names = ["outcome", "exercise_type", "trials", "estimate", "ci_low", "ci_high"]
    return pd.DataFrame(rows, columns=names)
