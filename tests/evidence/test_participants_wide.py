"""Wide exports become long scores in one call."""

from __future__ import annotations

import pandas as pd
import pytest

from backpain_analysis.evidence.faults import EvidenceError
from backpain_analysis.evidence.participants import Participants
from backpain_analysis.evidence.wide import reshape_wide

WIDE = pd.DataFrame(
    {
        "trial_id": "t1",
        "record_id": ["p2", "p1"],
        "week_4_pain": ["3", ""],
        "week_0_pain": [6, 7.5],
        "week_0_function": [12, None],
        "week_0_mood": ["sad", "well"],
        "redcap_event_name": "baseline",
    }
)


def test_long_scores():
    long = reshape_wide(WIDE, {"pain": "NRS", "function": "RMDQ"}, scales={"pain": (0, 10)})
    columns = [
        "trial_id",
        "participant_id",
        "week",
        "instrument",
        "value",
        "scale_min",
        "scale_max",
    ]
    none = float("nan")
    expected = pd.DataFrame(
        [
            ("t1", "p2", 0.0, "NRS", 6.0, 0.0, 10.0),
            ("t1", "p2", 4.0, "NRS", 3.0, 0.0, 10.0),
            ("t1", "p2", 0.0, "RMDQ", 12.0, none, none),
            ("t1", "p1", 0.0, "NRS", 7.5, 0.0, 10.0),
            ("t1", "p1", 4.0, "NRS", none, 0.0, 10.0),
            ("t1", "p1", 0.0, "RMDQ", none, none, none),
        ],
        columns=columns,
    )
    pd.testing.assert_frame_equal(long, expected, check_dtype=False)


def test_what_comes_out_can_be_loaded():
    interventions = pd.DataFrame(
        {"trial_id": "t1", "participant_id": ["p1", "p2"], "exercise_type": "yoga"}
    )
    long = reshape_wide(WIDE.drop(columns="trial_id"), {"pain": "NRS"})
    data = Participants.from_frames(interventions, long)
    assert data.visits()["value"].tolist() == [7.5, 6, 3]
    assert data.summary().set_index(["topic", "item"])["count"]["missing", "score of a visit"] == 1


@pytest.mark.parametrize(
    ("columns", "pattern"),
    [
        (["week_0_pain", "week_4_pain"], None),
        (["Week0_Pain", "Week4_Pain"], None),
        (["pain_week_0", "pain_week_4"], None),
        (["pain_week0", "pain_week4"], None),
        (["v0.pain", "v4.pain"], "v{week}.{score}"),
        (["pain (wk 0)", "pain (wk 4)"], "{score} (wk {week})"),
        (["pain_0", "pain_4"], "{score}_{week}"),
    ],
)
def test_names_of_columns(columns, pattern):
    table = pd.DataFrame([["p1", 6, 3]], columns=["participant_id", *columns])
    long = reshape_wide(table, {"pain": "VAS"}, pattern=pattern)
    assert long[["week", "value"]].to_numpy().tolist() == [[0, 6], [4, 3]]


def test_scores_with_a_word_in_common_are_kept_apart():
    table = pd.DataFrame({"participant_id": ["p1"], "week_0_pain": 6, "week_0_pain_leg": 2})
    assert reshape_wide(table, {"pain": "NRS"})["value"].tolist() == [6]
    long = reshape_wide(table, {"pain": "NRS", "pain_leg": "VAS"})
    assert dict(zip(long["instrument"], long["value"], strict=True)) == {"NRS": 6, "VAS": 2}


def test_all_faults_at_once():
    table = pd.DataFrame(
        {
            "trial_id": ["t1", "t1", "t1", "t1"],
            "participant_id": ["p1", "p2", "p1", None],
            "week_0_pain": ["6", "7,5", "5", "1"],
            "week0_pain": ["6", "NR", "5", "n/a"],
        }
    )
    with pytest.raises(EvidenceError) as caught:
        reshape_wide(table, {"pain": "NRS", "functoin": "RMDQ"})
    assert [str(fault) for fault in caught.value.faults] == [
        "wide, functoin: no column of this score. Known: pain.",
        "wide, row 1, week0_pain: a second column of pain in week 0. "
        "The first is week_0_pain. Keep one of them.",
        "wide, row 3, week_0_pain = '7,5': not a number. Write 7.5.",
        "wide, row 3, week0_pain = 'NR': not a number. "
        "Leave the cell empty where the value is missing, or name the word as missing.",
        "wide, row 5, participant_id: required value is missing. Say whose scores these are.",
        "wide, row 4, participant_id = 'p1': participant is there twice. "
        "Row 2 has the same trial_id, participant_id: a wide table has one row each.",
    ]


def test_no_column_fits():
    with pytest.raises(EvidenceError, match="Name columns of visits like week_4_pain"):
        reshape_wide(pd.DataFrame({"participant_id": ["p1"], "pain": [3]}), {"pain": "NRS"})
    with pytest.raises(EvidenceError, match="wide, participant_id: column is missing"):
        reshape_wide(pd.DataFrame({"participant": ["p1"], "week_0_pain": [3]}), {"pain": "NRS"})


def test_wrong_words():
    with pytest.raises(ValueError, match=r"instruments\['pain'\]: no 'NSR'\. Did you mean 'NRS'\?"):
        reshape_wide(WIDE, {"pain": "NSR"})
    with pytest.raises(ValueError, match=r"it must hold .week. and .score. once"):
        reshape_wide(WIDE, {"pain": "NRS"}, pattern="week_{week}")


def test_columns_that_are_left_out_are_named():
    table = pd.DataFrame({"record_id": [1], "week_0_pain": [5], "week_0_odi": [30], "sex": ["F"]})
    assert reshape_wide(table, {"pain": "NRS"}).attrs["left_out"] == ["week_0_odi", "sex"]
