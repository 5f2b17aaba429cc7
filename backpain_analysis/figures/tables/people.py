"""Tables of participants' own data."""

from __future__ import annotations

import math

import pandas as pd

from backpain_analysis.display import Table, table
from backpain_analysis.figures.style import readable
from backpain_analysis.figures.tables.effects import MISSING, interval_text, p_value
from backpain_analysis.models.sentences import number


def models(found: pd.DataFrame, *, title: str) -> Table:
    """What `participants.report.side_by_side` found, a row a model."""
    rows = [
        {
            "Model": row.model,
            "Dropout taken as": row.assumes,
            "Difference [95% CI]": interval_text(row.estimate, row.ci_low, row.ci_high)
            if math.isfinite(row.estimate)
            else MISSING,
            "Note": row.note or MISSING,
        }
        for row in found.itertuples()
    ]
    return table(pd.DataFrame(rows), title=title)


def interactions(found: pd.DataFrame, *, title: str) -> Table:
    """What `participants.report.moderators` found, within and across trials apart."""
    rows = [
        {
            "Moderator": readable(row.moderator),
            "Step": row.per if isinstance(row.per, str) else MISSING,
            "Compared": row.source if isinstance(row.source, str) else MISSING,
            "Change of the effect [95% CI]": interval_text(row.estimate, row.ci_low, row.ci_high),
            "P": p_value(row.p_value),
            "Note": row.note or MISSING,
        }
        for row in found.itertuples()
    ]
    return table(pd.DataFrame(rows), title=title)


def truth(found: pd.DataFrame | None, *, title: str) -> Table | None:
    """What was put in and what was found; nothing for data without a truth."""
    if found is None:
        return None
    rows = [
        {
            "Week": f"{row.week:g}",
            "Minutes a week": f"{row.dose:g}",
            "Put in": number(row.truth),
            "Found [95% CI]": interval_text(row.estimate, row.ci_low, row.ci_high),
            "Held": "yes" if row.inside else "no",
        }
        for row in found.itertuples()
    ]
    return table(pd.DataFrame(rows), title=title)
