"""Questions a reader asks of a dose: does it differ by type, does its spread over the week matter.

Each answer is a sentence and a table; where the trials cannot carry the question it says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from backpain_analysis.effects.table import Effects
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.dose.fit import dose_response
from backpain_analysis.words import DOSE_LABELS, dose_text, number, p_text

FEWEST = 2


@dataclass(frozen=True)
class Answer:
    """A sentence with its uncertainty, and the numbers behind it (empty where there are none)."""

    text: str
    table: pd.DataFrame = field(repr=False)


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
        Dose whose effect is shown; by default the median of those studied.

    Returns
    -------
    Answer
        Table: `group, trials, estimate, ci_low, ci_high`.
    """
    known = effects.with_dose(dose)
    counts = known.table.groupby(column)["trial_id"].nunique()
    groups = counts[counts >= FEWEST].index
    inside = known.table[column].isin(groups)
    if len(groups) < 2:
        return _none(f"Fewer than two groups have {FEWEST} trials or more with a known dose.")
    kept = known.select(inside, f"a {column} with fewer than {FEWEST} trials")
    at = float(kept.table["dose"].median()) if at is None else at
    try:
        result = dose_response(kept, curve="linear", moderators=column)
    except CannotEstimate as fault:
        return _none(f"The trials do not carry a line for each group: {fault}")
    rows = [
        {"group": name, "trials": int(counts[name])}
        | result.predict([at], at={column: name})
        .iloc[0][["estimate", "ci_low", "ci_high"]]
        .to_dict()
        for name in groups
    ]
    p = result.test_moderators()["p_value"]
    verdict = "differ" if p < 1 - result.level else "do not clearly differ"
    left = int((~inside).sum())
    text = (
        f"Lines in {DOSE_LABELS[dose]} {verdict} between {len(groups)} groups "
        f"({p_text(p)} for the interaction); effects at {dose_text(at, at)} {DOSE_LABELS[dose]}."
    )
    if left:
        text += f" {number(left, 0)} contrasts of rarer groups are not in this comparison."
    return Answer(text, pd.DataFrame(rows).sort_values("estimate", ignore_index=True))


def spread_over_week(effects: Effects, *, minutes: float | None = None) -> Answer:
    """Whether the same weekly minutes do more in many short sessions or in few long ones.

    A straight line in minutes per week whose slope may change with the sessions per week; the
    surface of frequency and session length at equal weekly minutes.

    Parameters
    ----------
    effects : Effects
    minutes : float, optional
        Weekly minutes to compare at; by default the median of those studied.

    Returns
    -------
    Answer
        Table: `sessions_per_week, minutes_per_session, estimate, ci_low, ci_high`.
    """
    known = effects.with_dose("minutes_per_week")
    known = known.select(known.table["sessions_per_week"].notna(), "sessions per week not reported")
    if known.n_trials < 4 or known.table["sessions_per_week"].nunique() < 2:
        return _none("Too few trials report both figures, or all have the same frequency.")
    minutes = float(known.table["dose"].median()) if minutes is None else minutes
    try:
        result = dose_response(known, curve="linear", moderators="sessions_per_week")
    except CannotEstimate as fault:
        return _none(f"The trials do not carry this question: {fault}")
    sessions = np.unique(known.table["sessions_per_week"])
    rows = [
        {"sessions_per_week": n, "minutes_per_session": minutes / n}
        | result.predict([minutes], at={"sessions_per_week": n})
        .iloc[0][["estimate", "ci_low", "ci_high"]]
        .to_dict()
        for n in sessions
    ]
    p = result.test_moderators()["p_value"]
    verdict = "matters" if p < 1 - result.level else "does not clearly matter"
    text = (
        f"In {known.n_trials} trials, how the weekly minutes are spread {verdict} "
        f"({p_text(p)}): the effect of {number(minutes, 0)} minutes a week by sessions per week."
    )
    return Answer(text, pd.DataFrame(rows))


def _none(text: str) -> Answer:
    return Answer(text, pd.DataFrame())
