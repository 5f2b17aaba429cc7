"""Every fault of participants' tables, told with its place and what would be right."""

from __future__ import annotations

import hashlib

import pytest

from backpain_analysis.evidence.faults import EvidenceError
from backpain_analysis.evidence.participants import load_participants


def test_no_fault(people):
    assert people.told() == []


@pytest.mark.parametrize(
    ("table", "row", "cells", "message"),
    [
        (
            "interventions", 2, {"exercise_type": "yogha"},
            "interventions.csv, row 2, exercise_type = 'yogha': unknown word. "
            "Did you mean 'yoga'?",
        ),
        (
            "interventions", 2, {"attended_sessions_per_week": "18"},
            "interventions.csv, row 2, attended_sessions_per_week = '18': attended more than twice "
            "what was prescribed. 2 a week are prescribed. Give sessions a week, not those of the "
            "whole programme; exercise beyond the programme gets a row of its own.",
        ),
        (
            "interventions", 2, {"end_week": "-1"},
            "interventions.csv, row 2, end_week = '-1': end before start. "
            "It starts in week 0; it must not end before.",
        ),
        (
            "interventions", 4, {"attended_sessions_per_week": "1"},
            "interventions.csv, row 4, attended_sessions_per_week = '1': sessions without exercise."
            " Name the exercise in exercise_type, or leave the sessions empty.",
        ),
        (
            "interventions", 2,
            {"prescribed_sessions_per_week": "20", "minutes_per_session": "400"},
            "interventions.csv, row 2, prescribed_sessions_per_week = '20': more minutes than a "
            "week has. Sessions a week times 400 minutes is above 6720, the waking minutes of a "
            "week. Check both.",
        ),
        (
            "interventions", 2, {"minutes_per_session": "1 hour"},
            "interventions.csv, row 2, minutes_per_session = '1 hour': not a number. Give one "
            "number with a decimal point and no unit, e.g. 12.5, or leave the cell empty.",
        ),
        (
            "interventions", 2, {"intensity": "moderat"},
            "interventions.csv, row 2, intensity = 'moderat': unknown word. "
            "Did you mean 'moderate'?",
        ),
        (
            "scores", 3, {"instrument": "NRSS"},
            "scores.csv, row 3, instrument = 'NRSS': unknown word. Did you mean 'NRS'? "
            "Or write 'other: …' in words of your own.",
        ),
        (
            "scores", 3, {"value": "30"},
            "scores.csv, row 3, value = '30': impossible score. The scale of this row is 0 to 10.",
        ),
        (
            "scores", 5, {"value": "25"},
            "scores.csv, row 5, value = '25': impossible score. RMDQ goes from 0 to 24.",
        ),
        (
            "scores", 3, {"scale_min": "", "scale_max": "", "value": "-1"},
            "scores.csv, row 3, value = '-1': impossible score. NRS goes from 0 to 100.",
        ),
        (
            "scores", 3, {"scale_max": ""},
            "scores.csv, row 3, scale_max: limit of a scale without the other. "
            "Give both scale_min and scale_max.",
        ),
        (
            "scores", 3, {"scale_max": "0"},
            "scores.csv, row 3, scale_max = '0': scale without width. "
            "scale_min is 0: scale_max must be above it.",
        ),
        (
            "scores", 3, {"week": "0"},
            "scores.csv, row 3: row is there twice. Row 2 has the same trial_id, participant_id, "
            "week, instrument. Keep one of them.",
        ),
        (
            "scores", 3, {"week": ""},
            "scores.csv, row 3, week: required value is missing. When the score was taken, in "
            "weeks since the participant's start; the last score at or before week 0 is the "
            "baseline.",
        ),
        (
            "scores", 3, {"week": "1041"},
            "scores.csv, row 3, week = '1041': above the largest possible value. "
            "It must be at most 1040 weeks since start.",
        ),
        (
            "participants", 2, {"age": "500"},
            "participants.csv, row 2, age = '500': above the largest possible value. "
            "It must be at most 120 years.",
        ),
        (
            "participants", 3, {"participant_id": "p1"},
            "participants.csv, row 3, participant_id = 'p1': row is there twice. "
            "Row 2 has the same trial_id, participant_id. Keep one of them.",
        ),
    ],
)  # fmt: skip
def test_fault(people, table, row, cells, message):
    for column, value in cells.items():
        people.set(table, row, column, value)
    assert message in people.told()


def test_twice_the_prescription_is_not_a_fault(people):
    people.set("interventions", 2, "attended_sessions_per_week", "4")
    assert people.told() == []


def test_participant_without_interventions_is_told_once(people):
    people.add("scores", "t1", "P1", "0", "NRS", "5", "0", "10")
    people.add("scores", "t1", "P1", "4", "NRS", "5", "0", "10")
    told = people.told()
    assert told == [
        "scores.csv, row 8, participant_id = 'P1': participant without interventions (2 rows). "
        "Did you mean 'p1'? Otherwise add a row to interventions; a control has exercise_type "
        "none.",
        "scores.csv, row 8, participant_id = 'P1': not in table participants (2 rows). "
        "Did you mean 'p1'? Otherwise add a row to participants; its cells may be empty.",
    ]


def test_participant_of_another_trial(people):
    people.set("scores", 7, "trial_id", "t2")
    assert people.told()[0] == (
        "scores.csv, row 7, participant_id = 'p3': participant without interventions. "
        "interventions has a participant 'p3' in trial t1."
    )


def test_interventions_of_who_is_not_in_participants(people):
    people.add("interventions", "t1", "x9", "none", *[""] * 6)
    assert people.told() == [
        "interventions.csv, row 5, participant_id = 'x9': not in table participants. "
        "Add a row to participants; its cells may be empty."
    ]
    (people.folder / "participants.csv").unlink()
    assert people.told() == []


def test_several_programmes_need_their_weeks_and_do_not_overlap(people):
    people.add("interventions", "t1", "p1", "yoga", "2", "", "60", "10", "20", "")
    assert people.told() == [
        "interventions.csv, row 5, start_week = '10': programmes of the same type overlap. The one "
        "before ends in week 12; as it stands the weeks count twice."
    ]
    people.set("interventions", 5, "exercise_type", "resistance")
    assert people.told() == []
    people.set("interventions", 2, "end_week", "")
    assert people.told() == [
        "interventions.csv, row 2, end_week: programme of several without its weeks. "
        "A participant with several programmes needs start and end of each."
    ]


def test_a_misspelt_column(people):
    rows = people.rows("scores")
    rows[0][2] = "weeks"
    people.write("scores", rows)
    told = people.told()
    assert told[0].startswith("scores.csv, weeks: unknown column. Did you mean 'week'?")
    assert told[1].startswith("scores.csv, week: required column is missing.")


def test_all_faults_at_once_and_no_file_changed(people):
    people.set("interventions", 2, "attended_sessions_per_week", "18")
    people.set("scores", 2, "value", "60")
    people.set("scores", 3, "week", "twelve")
    people.set("participants", 2, "sex", "f")

    def prints():
        files = sorted(people.folder.iterdir())
        return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]

    before = prints()
    with pytest.raises(EvidenceError) as caught:
        load_participants(people.folder)
    places = [(fault.table, fault.row, fault.column) for fault in caught.value.faults]
    assert places == [
        ("interventions", 2, "attended_sessions_per_week"),
        ("scores", 2, "value"),
        ("scores", 3, "week"),
        ("participants", 2, "sex"),
    ]
    assert str(caught.value).startswith("4 faults in ")
    assert prints() == before


@pytest.mark.parametrize("table", ["interventions", "scores", "participants"])
@pytest.mark.parametrize("column", ["trial_id", "participant_id"])
def test_a_missing_identifier_hides_nothing_and_breaks_nothing(people, table, column):
    rows = people.rows(table)
    place = rows[0].index(column)
    people.write(table, [row[:place] + row[place + 1 :] for row in rows])
    people.set("scores", 2, "value", "60")
    told = people.told()
    missing = f"{table}.csv, {column}: required column is missing."
    derived = column == "trial_id" and table != "interventions"
    assert any(line.startswith(missing) for line in told) != derived
    assert sum("impossible score" in line for line in told) == 1
