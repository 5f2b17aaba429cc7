"""Formats and dates of participants' tables: whatever is clear is read, the rest is told."""

from __future__ import annotations

import csv

import pandas as pd
import pytest

from backpain_analysis.evidence.faults import EvidenceError
from backpain_analysis.evidence.participants import Participants, load_participants
from backpain_analysis.evidence.participants_checking import check_participants, holds_participants

DATED = """\
trial_id,participant_id,exercise_type,prescribed_sessions_per_week,start_date,end_date
t1,p1,yoga,2,2024-01-01,2024-03-25
t1,p2,none,,1 February 2024,
"""
DATED_SCORES = """\
participant_id,date,instrument,value
p1,2023-12-31,NRS,6
p1,29/01/2024,NRS,4
p2,2024-02-01,NRS,7
p2,2024-03-01,NRS,6
"""


@pytest.fixture
def dated(tmp_path):
    (tmp_path / "interventions.csv").write_text(DATED)
    (tmp_path / "scores.csv").write_text(DATED_SCORES)

    def change(table, old, new):
        file = tmp_path / f"{table}.csv"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))
        return [str(fault) for fault in check_participants(tmp_path)]

    change.path = tmp_path
    return change


def test_dates_become_weeks_since_the_participants_start(dated):
    data = load_participants(dated.path)
    assert data.scores["week"].tolist() == [round(-1 / 7, 4), 4, 0, round(29 / 7, 4)]
    assert data.scores["trial_id"].tolist() == ["t1"] * 4
    yoga = data.interventions.iloc[0]
    assert (yoga["start_week"], yoga["end_week"]) == (0, 12)
    again = load_participants(data.to_folder(dated.path / "copy"))
    pd.testing.assert_frame_equal(again.scores, data.scores)


def test_start_date_of_participants_counts_first(dated):
    (dated.path / "participants.csv").write_text(
        "trial_id,participant_id,start_date\nt1,p1,2023-12-25\nt1,p2,\n"
    )
    data = load_participants(dated.path)
    assert data.interventions["start_week"].tolist() == [1, 0]
    assert data.scores["week"].tolist()[1:3] == [5, 0]


def test_a_week_that_is_given_counts(dated):
    file = dated.path / "scores.csv"
    lines = file.read_text().splitlines()
    weeks = ["week", "0", "", "", ""]
    file.write_text("\n".join(f"{line},{week}" for line, week in zip(lines, weeks, strict=True)))
    assert load_participants(dated.path).scores["week"].tolist()[:2] == [0, 4]


def test_ambiguous_date(dated):
    assert dated("scores", "2024-03-01", "01/03/2024") == [
        "scores.csv, row 5, date = '01/03/2024': ambiguous date. "
        "Write 2024-03-01 (1 March) or 2024-01-03 (3 January)."
    ]


def test_wrong_start_date_is_told_once(dated):
    assert dated("interventions", "2024-01-01", "2024-02-30") == [
        "interventions.csv, row 2, start_date = '2024-02-30': no such day in the calendar. "
        "Check the day and the month, and write year-month-day."
    ]


def test_participant_without_start_date(dated):
    assert dated("interventions", "1 February 2024", "") == [
        "scores.csv, row 4, date = '2024-02-01': date of a participant without start date (2 in "
        "this table). Add start_date to the participant's row of interventions or participants "
        "(a control starts on the day of randomisation), or give weeks."
    ]


def test_faults_of_weeks_are_told_of_their_dates(dated):
    assert dated("scores", "2024-03-01", "2204-03-01") == [
        "scores.csv, row 5, date = '2204-03-01': above the largest possible value. It is week "
        "9396 since the participant's start. It must be at most 1040 weeks since start."
    ]
    dated("scores", "2204-03-01", "2024-03-01")
    assert dated("interventions", "2024-03-25", "2023-12-25") == [
        "interventions.csv, row 2, end_date = '2023-12-25': end before start. It is week -1 since "
        "the participant's start. It starts in week 0; it must not end before."
    ]


def test_the_same_day_twice(dated):
    [told] = dated("scores", "29/01/2024", "2023-12-31")
    assert told.startswith("scores.csv, row 3: row is there twice. Row 2 has the same")


def test_no_date_at_all(dated):
    [told] = dated("scores", "2024-03-01", "")
    assert told.startswith("scores.csv, row 5, date: required value is missing.")


def test_participant_id_of_two_trials_needs_trial_id(dated):
    told = dated("interventions", "t1,p2,none", "t2,p1,none,,2024-01-01,\nt1,p2,none")
    assert told == [
        "scores.csv, trial_id: trial_id is missing, and participant ids occur in several trials "
        "(p1). Add the column trial_id."
    ]


def test_unknown_participant_without_trial_id(dated):
    assert dated("scores", "p2,2024-03-01", "p7,2024-03-01") == [
        "scores.csv, row 5, participant_id = 'p7': participant without interventions. "
        "Add a row to interventions; a control has exercise_type none."
    ]


def frames(people):
    data = load_participants(people.folder)
    tables = {"interventions": data.interventions, "scores": data.scores}
    return data, {**tables, "participants": data.people}


def test_every_format_holds_the_same(people, tmp_path):
    data, tables = frames(people)
    for kind in ("csv", "parquet", "xlsx"):
        path = tmp_path / kind
        path.mkdir()
        for name, table in tables.items():
            write = {"csv": table.to_csv, "parquet": table.to_parquet, "xlsx": table.to_excel}[kind]
            write(path / f"{name}.{kind}", index=False)
        assert load_participants(path).content_hash == data.content_hash
    with pd.ExcelWriter(tmp_path / "book.xlsx") as writer:
        for name, table in tables.items():
            table.to_excel(writer, sheet_name=name, index=False)
    book = load_participants(tmp_path / "book.xlsx")
    assert (book.content_hash, book.name) == (data.content_hash, "book")


def test_real_dates_of_a_workbook_and_of_parquet(tmp_path):
    interventions = pd.DataFrame(
        {
            "trial_id": "t1",
            "participant_id": ["p1"],
            "exercise_type": "yoga",
            "start_date": pd.to_datetime(["2024-01-01"]),
        }
    )
    scores = pd.DataFrame(
        {
            "participant_id": "p1",
            "date": pd.to_datetime(["2024-01-01", "2024-01-15"]),
            "instrument": "NRS",
            "value": [5, 4],
        }
    )
    for kind in ("parquet", "xlsx"):
        path = tmp_path / kind
        path.mkdir()
        for name, table in {"interventions": interventions, "scores": scores}.items():
            getattr(table, {"parquet": "to_parquet", "xlsx": "to_excel"}[kind])(
                path / f"{name}.{kind}", index=False
            )
        assert load_participants(path).scores["week"].tolist() == [0, 2]
    data = Participants.from_frames(interventions, scores)
    assert data.scores["week"].tolist() == [0, 2]


def test_plain_and_quoted_files_are_read_alike(people):
    plain, _ = frames(people)
    for name in ("interventions", "scores", "participants"):
        rows = people.rows(name)
        with open(people.folder / f"{name}.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file, quoting=csv.QUOTE_ALL).writerows([[f" {c} " for c in r] for r in rows])
    assert frames(people)[0].content_hash == plain.content_hash


def test_rows_are_numbered_as_the_spreadsheet_does(people):
    rows = people.rows("scores")
    rows[2][4] = "x"
    people.write("scores", [rows[0], [""] * 7, *rows[1:]])
    assert people.told()[0].startswith("scores.csv, row 4, value = 'x': not a number.")


def test_needed_tables(people):
    (people.folder / "scores.csv").unlink()
    assert people.told() == ["scores: table is missing. Add it to mine, as .csv or .parquet."]
    with pytest.raises(FileNotFoundError, match="interventions, scores, participants"):
        check_participants(people.folder / "nowhere")


def test_table_without_rows(people):
    people.write("scores", people.rows("scores")[:1])
    assert people.told() == ["scores.csv: the table has no rows. Add a row below the column names."]


def test_frames_are_checked_as_files_are(people):
    data, tables = frames(people)
    again = Participants.from_frames(*tables.values())
    assert again.content_hash == data.content_hash
    again = Participants.from_frames(data.interventions, data.scores, data.people.head(0))
    assert again.people.empty
    with pytest.raises(EvidenceError, match="scores, row 3, value = '300': impossible score") as e:
        Participants.from_frames(tables["interventions"], data.scores.assign(value=[1, 300] * 3))
    assert len(e.value.faults) == 3


def test_which_kind_of_data_a_path_holds(people, tmp_path):
    assert holds_participants(people.folder)
    assert not holds_participants(tmp_path)
    assert not holds_participants(tmp_path / "nowhere.xlsx")
    frame = pd.DataFrame({"trial_id": ["x"]})
    for name in ("trials", "scores"):
        frame.to_excel(tmp_path / f"{name}.xlsx", sheet_name=name)
    assert not holds_participants(tmp_path / "trials.xlsx")
    assert holds_participants(tmp_path / "scores.xlsx")
    (tmp_path / "broken.xlsx").write_text("no workbook")
    assert not holds_participants(tmp_path / "broken.xlsx")
