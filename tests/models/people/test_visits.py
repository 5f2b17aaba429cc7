"""The table of visits: names, baselines, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from backpain_analysis.models.people.visits import as_visits, person_codes


@pytest.fixture
def table() -> pd.DataFrame:
    """Two trials that use the same identifier; one visit before week 0."""
    return pd.DataFrame(
        {
            "study": ["s1", "s1", "s1", "s2", "s2"],
            "id": ["p", "p", "p", "p", "p"],
            "weeks": [6, 0, -2, 0, 6],
            "pain": [30, 50, 40, None, 20],
            "minutes": [60, 60, 60, 0, 0],
            "age": [40, 40, 40, 50, 50],
        },
        index=[10, 11, 12, 13, 14],
    )


NAMES = {
    "outcome": "pain",
    "dose": "minutes",
    "week": "weeks",
    "participant": "id",
    "trial": "study",
}


def test_columns_get_their_names_and_rows_keep_their_order(table):
    visits = as_visits(table, **NAMES, covariates=["age"])
    assert set(visits) == {
        *("trial_id", "participant_id", "week", "value", "dose", "baseline", "age")
    }
    assert list(visits.index) == [0, 1, 2, 3, 4]
    assert visits["week"].tolist() == [6.0, 0.0, -2.0, 0.0, 6.0]
    assert visits["value"].dtype == float
    assert person_codes(visits).tolist() == [0, 0, 0, 1, 1]


def test_baseline_is_the_last_score_at_or_before_week_0(table):
    baseline = as_visits(table, **NAMES)["baseline"]
    assert baseline[:3].tolist() == [50.0, 50.0, 50.0]
    assert baseline[3:].isna().all()
    table.loc[11, "pain"] = np.nan
    assert as_visits(table, **NAMES)["baseline"][:3].tolist() == [40.0, 40.0, 40.0]
    given = as_visits(table.assign(baseline=[1, 1, 1, 2, 2]), **NAMES)
    assert given["baseline"].tolist() == [1.0, 1.0, 1.0, 2.0, 2.0]


class Held:
    """Stands for `Participants`."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.table, self.asked = table, None
        self.scores = pd.DataFrame({"instrument": ["VAS"]})

    def visits(self, instrument=None, *, dose="minutes_per_week"):
        self.asked = (instrument, dose)
        return self.table


def test_participants_make_their_own_table(table):
    names = {"study": "trial_id", "id": "participant_id", "weeks": "week", "pain": "value"}
    held = Held(table.rename(columns={**names, "minutes": "dose"}))
    assert len(as_visits(held)) == 5
    assert held.asked == (None, "minutes_per_week")
    as_visits(held, outcome="VAS", dose="total_hours")
    assert held.asked == ("VAS", "total_hours")


def test_all_columns_that_are_not_there_are_named(table):
    with pytest.raises(ValueError, match=r"no column 'value' \(outcome\).*outcome=; no column 'q'"):
        as_visits(table, **{**NAMES, "outcome": "value"}, covariates=["q"])
    with pytest.raises(ValueError, match="The table has: study, id, weeks, pain, minutes, age"):
        as_visits(table)


def test_all_unusable_cells_are_named_by_their_index(table):
    table = table.assign(
        pain=[30, 50, "much", None, 20],
        minutes=[-1, 60, 60, 0, np.inf],
        weeks=[6, 0, -2, np.nan, 6],
    )
    with pytest.raises(ValueError) as raised:
        as_visits(table, **NAMES)
    message = str(raised.value)
    assert "value is no number (for example 'much') in row 12 (by index)" in message
    assert "dose is negative in row 10" in message
    assert "dose is infinite in row 14" in message
    assert "week is missing in row 13" in message


def test_a_visit_is_given_once(table):
    table.loc[12, "weeks"] = 0
    with pytest.raises(ValueError, match="1 visit given twice: p of s1 at week 0"):
        as_visits(table, **NAMES)


def test_something_else_is_no_table():
    with pytest.raises(ValueError, match="a list is no table of visits"):
        as_visits([1, 2])
