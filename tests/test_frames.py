"""Tables of other libraries, told by `to_pandas` as polars has it, wherever a table is taken."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import backpain_analysis as bp


class Polars:
    """What a table of another library looks like: nothing that pandas has but its columns."""

    def __init__(self, table):
        self._table = table
        self.columns = list(table.columns)

    def to_pandas(self):
        return self._table


ARMS = pd.DataFrame(
    {
        "trial_id": list("AAABBCCC"),
        "agent": ["usual_care", "walk", "walk", "usual_care", "yoga", "usual_care", "walk", "yoga"],
        "dose": [0.0, 60, 120, 0, 90, 0, 60, 180],
        "mean": [50.0, 45, 42, 52, 44, 49, 46, 40],
        "sd": 20.0,
        "n": 30,
        "cases": [20, 15, 12, 22, 14, 19, 16, 10],
        "year": [2001] * 3 + [2009] * 2 + [2004] * 3,
    }
)
TWICE = ARMS.assign(trial_id=ARMS["trial_id"] + "2", year=ARMS["year"] + 3, mean=range(40, 48))
ROWS = pd.DataFrame({"trial": list("aabc"), "yi": [1.0, 2, 4, 3], "vi": [1.0, 1, 2, 1]})
WIDE = pd.DataFrame({"participant_id": [1, 2], "week_0_pain": [6, 5], "week_4_pain": [4, 5]})
VISITS = bp.load_participants().visits()
EVIDENCE = bp.load_evidence()
TABLES = [EVIDENCE.trials, EVIDENCE.arms, EVIDENCE.outcomes, EVIDENCE.contrasts]


def params(result):
    return result.params.to_frame()


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (ARMS, lambda t: params(bp.dose_response(t))),
        (ARMS, lambda t: params(bp.dose_network(t, curve="linear"))),
        (ARMS, lambda t: params(bp.network(t, treatment="agent"))),
        (
            ARMS,
            lambda t: params(bp.network_classes(t, {"walk": "x", "yoga": "x"}, treatment="agent")),
        ),
        (
            pd.concat([ARMS, TWICE], ignore_index=True),
            lambda t: params(bp.network_regression(t, "year", treatment="agent")),
        ),
        (ARMS, lambda t: bp.relative_risks(t).table),
        (ROWS, lambda t: bp.aggregate(t, "trial", rho=0.5)),
        (ROWS, lambda t: params(bp.multilevel("yi ~ 1", t, V="vi", random=["trial"]))),
        (
            ROWS,
            lambda t: pd.DataFrame(
                bp.sampling_covariance("vi", "trial", rho=0.5, data=t).matrices[0]
            ),
        ),
        (WIDE, lambda t: bp.reshape_wide(t, {"pain": "NRS"})),
        (VISITS, lambda t: params(bp.ancova(t, week=12))),
        (VISITS, lambda t: params(bp.longitudinal(t))),
    ],
)
def test_a_table_of_another_library_is_taken_as_pandas(table, told):
    assert_frame_equal(told(Polars(table)), told(table))


def test_evidence_from_tables_of_another_library():
    ours = bp.Evidence.from_frames(*TABLES).effects("pain_intensity")
    theirs = bp.Evidence.from_frames(*map(Polars, TABLES)).effects("pain_intensity")
    assert_frame_equal(theirs.table, ours.table)
    arms = theirs.with_arms(Polars(EVIDENCE.arms), "supervised").table
    assert_frame_equal(arms, ours.with_arms(EVIDENCE.arms, ["supervised"]).table)


@pytest.mark.parametrize(
    "fit",
    [
        bp.dose_response,
        bp.dose_network,
        lambda t: bp.network(t, treatment="agent"),
        lambda t: bp.relative_risks(t.rename(columns={"mean": "cases", "cases": "x"})),
    ],
)
def test_two_columns_of_one_name_are_refused(fit):
    with pytest.raises(ValueError, match=r"the data have two columns '(mean|cases)': keep one"):
        fit(pd.concat([ARMS, ARMS[["mean"]]], axis=1))


def test_what_is_no_table_is_refused_in_words():
    with pytest.raises(ValueError, match="data is of type ndarray: give a DataFrame"):
        bp.dose_response(np.zeros((3, 5)))
