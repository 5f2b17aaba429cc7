"""Further questions of a dose: do types differ, does its spread over the week matter, cohorts.

Each answer is a sentence and a table; where the data cannot carry the question it says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from backpain_analysis.effects.risks import relative_risks
from backpain_analysis.effects.table import Effects
from backpain_analysis.engine.sampling import BlockCovariance
from backpain_analysis.errors import CannotEstimate, require
from backpain_analysis.evidence.faults import as_frame, need_columns
from backpain_analysis.models.dose.fit import dose_response
from backpain_analysis.models.pairwise.multilevel import MultilevelResult, multilevel
from backpain_analysis.words import DOSE_LABELS, dose_with_unit, number, p_text, plural

FEWEST = 2

FEWEST_FOR_SPREAD = 4
"""Trials, for three coefficients."""


@dataclass(frozen=True)
class Answer:
    """A sentence with its uncertainty, and the numbers behind it (empty where there are none)."""

    text: str
    table: pd.DataFrame = field(repr=False)

    def __str__(self) -> str:
        return self.text


def by_type(
    effects: Effects, dose: str, *, column: str = "exercise_type", at: float | None = None
) -> Answer:
    """Straight lines in the dose, one a group of at least two trials, and whether they differ.

    Parameters
    ----------
    effects : Effects
    dose : str
        One of `evidence.dose.DOSE_MEASURES`.
    column : str
        What makes the groups.
    at : float, optional
        Dose whose effect is shown; by default the median of those studied. Groups that were
        not studied at it, from their smallest dose to their largest, are left out and counted.

    Returns
    -------
    Answer
        Table: `group, trials, estimate, ci_low, ci_high`.

    Examples
    --------
    >>> effects = (
    ...     bp.load_evidence().filter(population=bp.BACK_PAIN).effects("pain_intensity")
    ... )
    >>> print(bp.by_type(effects, "sessions_per_week").text)
    Lines in sessions per week do not clearly differ between 2 groups (P = 0.32 for the
    interaction); effects at 1 session per week. 5 contrasts of rarer groups are not in this
    comparison.
    """
    require(effects, "Effects")
    known = effects.with_dose(dose)
    counts = known.table.groupby(column)["trial_id"].nunique()
    groups = counts[counts >= FEWEST].index
    inside = known.table[column].isin(groups)
    if len(groups) < 2:
        return no_answer(f"Fewer than two groups have {FEWEST} trials or more with a known dose.")
    kept = known.select(inside, f"a {column} with fewer than {FEWEST} trials")
    at = float(kept.table["dose"].median()) if at is None else at
    try:
        result = dose_response(kept, curve="linear", moderators=column)
    except CannotEstimate as fault:
        return no_answer(f"The trials do not carry a line for each group: {fault}")
    largest = kept.table.groupby(column)["dose"].max()
    smallest = kept.table.groupby(column)["dose"].min()
    shown = [name for name in groups if smallest[name] <= at <= largest[name]]
    rows = [
        {"group": name, "trials": int(counts[name])}
        | result.predict([at], at={column: name})
        .iloc[0][["estimate", "ci_low", "ci_high"]]
        .to_dict()
        for name in shown
    ]
    p = result.test_moderators()["p_value"]
    verdict = "differ" if p < 1 - result.level else "do not clearly differ"
    left = int((~inside).sum())
    text = (
        f"Lines in {DOSE_LABELS[dose]} {verdict} between {len(groups)} groups "
        f"({p_text(p)} for the interaction); effects at {dose_with_unit(at, dose)}."
    )
    if apart := len(groups) - len(shown):
        text += f" {plural(apart, 'group')} not studied at that dose: no effect is given."
    if left:
        are = "is" if left == 1 else "are"
        text += f" {plural(left, 'contrast')} of rarer groups {are} not in this comparison."
    columns = ["group", "trials", "estimate", "ci_low", "ci_high"]
    return Answer(
        text, pd.DataFrame(rows, columns=columns).sort_values("estimate", ignore_index=True)
    )


def spread_model(effects: Effects) -> MultilevelResult:
    """What weekly minutes, and sessions at equal weekly minutes, add to exercising at all.

    `a 1(exercise) + b minutes + c sessions`, each arm less its reference arm, with a random effect
    of the trial. A line forced through zero would take an effect that does not grow with minutes
    for one of sessions, as arms with more sessions have more minutes.

    Raises
    ------
    CannotEstimate
        If fewer than four trials report both figures, or all have the same frequency.
    """
    known = effects.with_dose("minutes_per_week")
    sessions = ["sessions_per_week", "ref_sessions_per_week"]
    known = known.select(
        known.table[sessions].notna().all(axis=1), "sessions per week not reported"
    )
    if known.n_trials < FEWEST_FOR_SPREAD or known.table[sessions[0]].nunique() < 2:
        raise CannotEstimate(
            "too few trials report minutes and sessions, or all have as many sessions",
            "use evidence with more trials",
        )
    table = known.table.assign(
        exercise=(known.table["ref_dose"] == 0).astype(float),
        minutes=known.table["dose"] - known.table["ref_dose"],
        sessions=known.table[sessions[0]] - known.table[sessions[1]],
    )
    step = "exercise + " if table["exercise"].any() else ""
    V = BlockCovariance(table["trial_id"].to_numpy(), known.covariance)
    return multilevel(
        f"yi ~ 0 + {step}minutes + sessions", table, V=V, random="trial_id", test="contain"
    )


def spread_over_week(effects: Effects, *, minutes: float | None = None) -> Answer:
    """Whether the same weekly minutes do more in many short sessions or in few long ones.

    Parameters
    ----------
    effects : Effects
    minutes : float, optional
        Weekly minutes to compare at; by default the median of those studied.

    Returns
    -------
    Answer
        Table: `sessions_per_week, minutes_per_session, estimate, ci_low, ci_high`, from
        `spread_model`.

    Examples
    --------
    >>> effects = (
    ...     bp.load_evidence().filter(population=bp.BACK_PAIN).effects("pain_intensity")
    ... )
    >>> print(bp.spread_over_week(effects).text)
    In 8 trials, how the weekly minutes are spread does not clearly matter (P = 0.89): the
    effect of 90 minutes a week by sessions per week.
    """
    require(effects, "Effects")
    try:
        result = spread_model(effects)
    except CannotEstimate as fault:
        return no_answer(f"The trials do not carry this question: {fault}")
    arms = result.data
    minutes = float(arms["dose"].median()) if minutes is None else minutes
    sessions = np.unique(arms["sessions_per_week"])
    at = pd.DataFrame({"exercise": 1.0, "minutes": minutes, "sessions": sessions})
    found = result.predict(at[list(result.params.index)])
    table = pd.DataFrame({"sessions_per_week": sessions, "minutes_per_session": minutes / sessions})
    table[["estimate", "ci_low", "ci_high"]] = found[["estimate", "ci_low", "ci_high"]].to_numpy()
    p = result.pvalues["sessions"]
    verdict = "matters" if p < 1 - result.level else "does not clearly matter"
    text = (
        f"In {plural(result.n_clusters, 'trial')}, how the weekly minutes are spread {verdict} "
        f"({p_text(p)}): the effect of {number(minutes, 0)} minutes a week by sessions per week."
    )
    return Answer(text, table)


def no_answer(text: str) -> Answer:
    """An answer without numbers."""
    return Answer(text, pd.DataFrame())


OPEN_WIDTHS = (0.5, 1.0, 2.0)
"""How wide an open category of dose is taken to be, over its neighbour."""

COHORT = ("study", "cases", "n_or_person_years", "n_kind", "dose_low", "dose_high")


def activity_and_risk(categories: pd.DataFrame) -> Answer:
    """Relative risk of later back pain for each hour of activity, from cohorts with full tables.

    Crude risks of the studies that print cases and people for every category, a line in the dose
    with one common effect; categories of one dose are taken together.

    Parameters
    ----------
    categories : DataFrame
        As `load_reference("activity_cohorts")`.

    Returns
    -------
    Answer
        Table: `open category, risk ratio, ci_low, ci_high`, for each width of `OPEN_WIDTHS`.

    Examples
    --------
    >>> print(bp.activity_and_risk(bp.load_reference("activity_cohorts")).text)
    In 3,104 cases among 18,068 people, the risk ratio of chronic low back pain after 11 years
    is 0.96 for each hour a week of hard activity more (95% CI 0.93 to 0.99; not adjusted for
    anything, a line, one effect in all). Only Heuch 2016 HUNT2-HUNT3, women and Heuch 2016
    HUNT2-HUNT3, men print cases and totals for every category; the other 13 sets of rows do
    not and are left out. People chose their activity.
    """
    categories = as_frame(categories)
    need_columns(COHORT, categories)
    counted = categories[["cases", "n_or_person_years"]].notna().all(axis=1)
    full = counted.groupby(categories["study"]).transform("all")
    full &= categories["n_kind"] == "people"
    kept = categories[full]
    left = categories.loc[~full, "study"].nunique()
    if not len(kept):
        return no_answer("No study prints cases and people for every category of activity.")
    rows = kept.groupby(["study", "dose_low", "dose_high"], dropna=False, sort=False)
    table = rows[["cases", "n_or_person_years"]].sum().reset_index()
    found = []
    for width in OPEN_WIDTHS:
        effects = relative_risks(table, trial="study", n="n_or_person_years", open_width=width)
        line = dose_response(effects, method="CE")
        low, high = line.conf_int().iloc[0]
        ratio, low, high = np.exp([line.params.iloc[0], low, high])
        found.append((f"{width:g} times its neighbour", ratio, low, high))
    ratio, low, high = (number(value, 2) for value in found[OPEN_WIDTHS.index(1.0)][1:])
    outcome = kept["outcome"].iloc[0]
    unit = kept["dose_unit"].iloc[0].replace("h/week", "hour a week of")
    text = (
        f"In {plural(int(kept['cases'].sum()), 'case')} among "
        f"{number(kept['n_or_person_years'].sum(), 0)} people, the risk ratio of {outcome} is "
        f"{ratio} for each {unit} more (95% CI {low} to {high}; not adjusted for anything, a line, "
        f"one effect in all). Only {' and '.join(table['study'].unique())} print cases and totals "
        f"for every category; the other {plural(left, 'set')} of rows do not and are left out. "
        "People chose their activity."
    )
    columns = ["open category", "risk ratio", "ci_low", "ci_high"]
    return Answer(text, pd.DataFrame(found, columns=columns))
