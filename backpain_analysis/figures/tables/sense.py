"""Tables of pain sensitivity and mechanisms."""

from __future__ import annotations

import math

import pandas as pd

from backpain_analysis.display import Table, table
from backpain_analysis.figures.style import exercise_label, outcome_label, readable
from backpain_analysis.figures.tables.effects import MISSING, interval_text
from backpain_analysis.models.bivariate import Bivariate
from backpain_analysis.models.sentences import number


def sensitivity(found: pd.DataFrame, *, title: str) -> Table:
    """What `mechanisms.sensitivity_pooled` found, a row a setting and comparison."""
    rows = [
        {
            "": f"{readable(row.setting)}, {row.comparison}",
            "Trials": row.trials,
            "SMD [95% CI]": interval_text(row.estimate, row.ci_low, row.ci_high, 2),
            "I²": f"{row.i2:.0f}%" if math.isfinite(row.i2) else MISSING,
        }
        for row in found.itertuples()
    ]
    return table(pd.DataFrame(rows), title=title)


def hypoalgesia(reviews: pd.DataFrame, *, title: str) -> Table:
    """Published reviews of single bouts, signs as printed."""
    rows = []
    for row in reviews.itertuples():
        if pd.isna(row.estimate):
            continue
        year = "" if pd.isna(row.year) else f" {int(row.year)}"
        year = "" if year.strip() in str(row.review) else year
        known = pd.notna(row.ci_low)
        text = interval_text(row.estimate, row.ci_low, row.ci_high, 2)
        rows.append(
            {
                "Review": f"{row.review}{year}",
                "People": row.population,
                "Exercise": row.exercise_type,
                "Outcome": row.outcome,
                "Studies": MISSING if pd.isna(row.k) else str(int(row.k)),
                "Effect [95% CI]": f"{text if known else number(row.estimate, 2)} {row.measure}",
                "Note": MISSING if pd.isna(row.note) else row.note,
            }
        )
    return table(pd.DataFrame(rows), title=title)


def reported(counts: pd.DataFrame, *, title: str) -> Table:
    """What `mechanisms.pooled` says was measured and used."""
    rows = [
        {
            "Outcome": outcome_label(row.outcome),
            "Trials that report it": row.trials,
            "Usable against no exercise": row.usable,
            "Most frequent reason against the others": row.why or MISSING,
        }
        for row in counts.itertuples()
    ]
    return table(pd.DataFrame(rows), title=title)


def by_type(found: pd.DataFrame, *, title: str) -> Table:
    """What `mechanisms.by_type` found, a row an outcome and type."""
    rows = [
        {
            "Outcome": outcome_label(row.outcome),
            "Type": exercise_label(row.exercise_type),
            "Trials": row.trials,
            "SMD [95% CI]": interval_text(row.estimate, row.ci_low, row.ci_high, 2),
        }
        for row in found.itertuples()
    ]
    return table(pd.DataFrame(rows), title=title)


def together(found: dict[str, Bivariate | str], *, title: str) -> Table:
    """What `mechanisms.go_together` found; why nothing is known where nothing is."""
    rows = []
    for outcome, result in found.items():
        known = isinstance(result, Bivariate)
        slope = MISSING
        if known:
            slope = interval_text(result.slope, result.slope_low, result.slope_high, 2)
        rows.append(
            {
                "Gain": outcome_label(outcome),
                "Trials": result.n_trials if known else MISSING,
                "Pain effect per SD of gain [95% CI]": slope,
                "Note": "association between trials" if known else result,
            }
        )
    return table(pd.DataFrame(rows), title=title)
