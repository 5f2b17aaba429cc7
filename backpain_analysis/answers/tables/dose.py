"""Tables of the answer on dose."""

from __future__ import annotations

from typing import Any

import pandas as pd

from backpain_analysis.answers.dose import DoseAnswer, more_of
from backpain_analysis.answers.dose_questions import Answer
from backpain_analysis.answers.tables.effects import (
    MISSING,
    effect_interval,
    interval_text,
    p_value,
)
from backpain_analysis.display import Table, table
from backpain_analysis.models.dose.result import DoseResponseResult
from backpain_analysis.models.dose.search import DoseEstimate
from backpain_analysis.words import (
    author_year,
    dose_measure_label,
    dose_with_unit,
    measure_heading,
    plural,
    readable,
    short_dose,
)


def dose_answer(answer: DoseAnswer, *, title: str) -> Table:
    """The numbers of an answer on dose, a row each."""
    heading = f"{measure_heading(answer.measure)} [{answer.level:.0%} CI]"
    dose = dose_with_unit(answer.typical, answer.dose_name, answer.highest)
    rows = [
        {
            "": what,
            heading: effect_interval(vars(found), answer.measure),
            "P": p_value(found.p_value),
        }
        for what, found in (
            (f"Effect of {dose}", answer.effect),
            (f"Effect of {more_of(answer)}", answer.slope),
        )
        if found is not None
    ]
    label = dose_measure_label(answer.dose_name).lower()
    places = (("MCID first reached at", answer.mcid_dose), ("Best at", answer.optimum))
    for what, place in places:
        if place is not None:
            rows.append({"": f"{what}, {label}", heading: _place(place, answer), "P": MISSING})
    return table(rows, title=title)


def _place(place: DoseEstimate, answer: DoseAnswer) -> str:
    ends = (place.estimate, place.ci_low, place.ci_high)
    middle, low, high = (short_dose(end, answer.highest) if end == end else MISSING for end in ends)
    return f"{middle} [{low}, {high}]"


def dose_by_reports(found: Answer, answer: DoseAnswer, *, title: str) -> Table:
    """What `answers.dose_reports.dose_by_reports` found, a row a way to use what trials print."""
    dose = dose_with_unit(answer.typical, answer.dose_name, answer.highest)
    rows = [
        {
            "Derived": readable(row["step"]),
            "Trials": row["trials"],
            "More": f"+{row['more']}" if row["more"] > 0 else MISSING,
            "Participants": row["participants"],
            f"Effect of {dose} [{answer.level:.0%} CI]": effect_interval(row, row["measure"]),
            f"{more_of(answer).capitalize()} [{answer.level:.0%} CI]": effect_interval(
                {
                    "estimate": row["slope"],
                    "ci_low": row["slope_low"],
                    "ci_high": row["slope_high"],
                },
                row["measure"],
            ),
        }
        for row in found.table.to_dict("records")
    ]
    return table(rows, title=title)


def dose_calibration(found: Answer, *, title: str) -> Table:
    """How often answers on dose were right, a row a truth and number of trials."""
    columns = {
        "more": "More does more",
        "less": "More does less",
        "effect_held": "Typical dose held",
        "mcid_held": "MCID dose held",
        "named": "MCID dose named",
        "mcid_held_where_named": "of these, held",
    }
    rows = [
        {
            "Truth (sets)": f"{readable(row['truth'])}, {plural(int(row['trials']), 'trial')} "
            f"({row['sets']})"
        }
        | {
            heading: MISSING if pd.isna(row[name]) else f"{row[name]:.0f}%"
            for name, heading in columns.items()
        }
        for row in found.table.to_dict("records")
    ]
    return table(rows, title=title)


def left_out(result: DoseResponseResult, dose: float, *, title: str) -> Table:
    """The effect of a dose without each trial in turn."""
    cited = {
        row.trial_id: author_year(row.first_author, row.year)
        for row in result.effects.table.itertuples()
    }
    rows: list[dict[str, Any]] = [
        {
            "Without": cited[row["trial_id"]],
            f"{measure_heading(result.measure)} [{result.level:.0%} CI]": effect_interval(
                row, result.measure
            ),
        }
        for row in result.leave_one_out([dose]).to_dict("records")
    ]
    return table(rows, title=title)


NAMED = r" the curve '[^']*'"
"""A curve by the name that functions know it by."""


def not_fitted(analyses: pd.DataFrame, *, title: str) -> Table | None:
    """Why analyses of `bp.multiverse` could not be fitted, the most frequent reason first.

    None where all could.
    """
    left = analyses[analyses["estimate"].isna()]
    if left.empty:
        return None
    why = left["note"].str.replace(NAMED, " the curve", regex=True)
    counts = left.assign(why=why).groupby(["curve", "why"], sort=False).size()
    counts = counts.sort_values(ascending=False, kind="stable")
    rows = [
        {"Curve": curve.capitalize(), "Why": note, "Analyses": count}
        for (curve, note), count in counts.items()
    ]
    return table(rows, title=title)


def risk_ratios(found: Answer, *, title: str) -> Table | None:
    """The numbers of `dose_questions.activity_and_risk`; nothing where there are none."""
    if found.table.empty:
        return None
    rows = [
        {
            "Open category": row["open category"],
            "Risk ratio [95% CI]": interval_text(
                row["risk ratio"], row["ci_low"], row["ci_high"], 2
            ),
        }
        for row in found.table.to_dict("records")
    ]
    return table(rows, title=title)
