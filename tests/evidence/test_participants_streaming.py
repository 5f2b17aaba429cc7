"""Scores read in parts give the same visits, and the same care."""

from __future__ import annotations

import pandas as pd
import pandas.testing as pdt
import pytest

from backpain_analysis.evidence import visits as score_batches
from backpain_analysis.evidence.faults import EvidenceError
from backpain_analysis.evidence.participants import Participants, load_participants
from backpain_analysis.evidence.visits import visits_in_chunks

PEOPLE = 40
WEEKS = (0, 4, 12)
IDS = [f"p{number:02d}" for number in range(PEOPLE)]


@pytest.fixture
def folder(tmp_path):
    """Forty participants of two trials, in a folder of CSV tables."""
    trials = ["t1" if number < 25 else "t2" for number in range(PEOPLE)]
    persons = pd.DataFrame({"trial_id": trials, "participant_id": IDS})
    interventions = persons.assign(
        exercise_type=["none" if number % 4 == 0 else "yoga" for number in range(PEOPLE)],
        prescribed_sessions_per_week=[number % 4 for number in range(PEOPLE)],
        attended_sessions_per_week=[0.5 * (number % 4) for number in range(PEOPLE)],
        minutes_per_session=30,
        start_week=0,
        end_week=8,
    )
    scores = persons.loc[persons.index.repeat(len(WEEKS))].assign(
        week=list(WEEKS) * PEOPLE, instrument="NRS", value=[i % 11 for i in range(PEOPLE * 3)]
    )
    people = persons.assign(age=[None, *range(21, 20 + PEOPLE)])
    data = Participants.from_frames(interventions, scores, people)
    return data.to_folder(tmp_path / "data")


def rewrite(folder, change):
    """Write the table of scores again, changed."""
    scores = pd.read_csv(folder / "scores.csv")
    change(scores).to_csv(folder / "scores.csv", index=False)


@pytest.mark.parametrize("size", [13, 40, 1000])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_parts_are_the_whole(folder, size, kind, monkeypatch):
    monkeypatch.setattr(score_batches, "_ROWS", 10)
    monkeypatch.setattr(score_batches, "_BYTES", 200)
    whole = load_participants(folder).visits(exposure="cumulative")
    if kind == "parquet":
        pd.read_csv(folder / "scores.csv").to_parquet(folder / "scores.parquet")
        (folder / "scores.csv").unlink()
    parts = list(visits_in_chunks(folder, participants_per_chunk=size, exposure="cumulative"))
    assert len(parts) == -(-PEOPLE // size)
    counts = [part.drop_duplicates(["trial_id", "participant_id"]).shape[0] for part in parts]
    assert counts[:-1] == [size] * (len(parts) - 1) and sum(counts) == PEOPLE
    pdt.assert_frame_equal(pd.concat(parts, ignore_index=True), whole)


def test_dates_and_absent_trials(folder):
    whole = load_participants(folder).visits()
    start = pd.Timestamp("2024-01-01")
    file = folder / "interventions.csv"
    interventions = pd.read_csv(file).assign(start_date=start.date())
    interventions.to_csv(file, index=False)

    def dated(scores):
        days = start + pd.to_timedelta(7 * scores["week"], "D")
        return scores.drop(columns=["trial_id", "week"]).assign(date=days.dt.date)

    rewrite(folder, dated)
    parts = visits_in_chunks(folder, participants_per_chunk=9)
    pdt.assert_frame_equal(pd.concat(parts, ignore_index=True), whole)


def test_faults_name_the_row_of_the_file(folder, monkeypatch):
    monkeypatch.setattr(score_batches, "_BYTES", 200)

    def broken(scores):
        value = scores["value"].astype(object)
        value[[70, 71, 110]] = ["x", "200", "y"]
        return scores.assign(value=value)

    rewrite(folder, broken)
    parts = visits_in_chunks(folder, participants_per_chunk=10)
    assert [len(next(parts)) for _ in range(2)] == [30, 30]
    with pytest.raises(EvidenceError) as caught:
        next(parts)
    told = [(fault.file, fault.row, fault.value) for fault in caught.value.faults]
    assert told == [("scores.csv", 72, "x"), ("scores.csv", 73, "200")]


def test_participant_comes_again(folder):
    rewrite(folder, lambda scores: scores.sort_values("week", kind="stable"))
    with pytest.raises(EvidenceError) as caught:
        list(visits_in_chunks(folder, participants_per_chunk=30))
    fault = caught.value.faults[0]
    assert (fault.row, fault.value) == (42, "p00")
    assert fault.rule == "participant comes again, after others"
    assert "sort them by trial_id and participant_id" in fault.hint
    with pytest.raises(EvidenceError, match=r"after others, 80 times \(row 42 'p00', row 43"):
        list(visits_in_chunks(folder, participants_per_chunk=1000))


@pytest.mark.parametrize("size", [39, 1000])
def test_unknown_participant(folder, size):
    rewrite(folder, lambda scores: scores.replace({"participant_id": {"p39": "P39"}}))
    with pytest.raises(EvidenceError, match=r"'P39': participant without interventions \(3 rows\)"):
        list(visits_in_chunks(folder, participants_per_chunk=size))


def test_the_tables_in_memory_are_checked_before_the_first_part(folder):
    file = folder / "interventions.csv"
    file.write_text(file.read_text().replace("yoga", "yogha"))
    with pytest.raises(EvidenceError, match="Did you mean 'yoga'"):
        visits_in_chunks(folder)


def test_instruments_of_different_parts_are_not_mixed(folder):
    def two(scores):
        late = scores.index >= 60
        return scores.assign(instrument=scores["instrument"].mask(late, "VAS"))

    rewrite(folder, two)
    with pytest.raises(ValueError, match="choose one of NRS, VAS"):
        list(visits_in_chunks(folder, participants_per_chunk=20))
    parts = list(visits_in_chunks(folder, "VAS", participants_per_chunk=20))
    assert sum(len(part) for part in parts) == 60
    with pytest.raises(ValueError, match=r"no 'RMDQ'\. Known: NRS, VAS"):
        list(visits_in_chunks(folder, "RMDQ", participants_per_chunk=20))


def test_scales_of_different_parts_are_not_mixed(folder):
    def two(scores):
        late = scores.index >= 60
        high = pd.Series(10, scores.index).mask(late, 100)
        return scores.assign(scale_min=0, scale_max=high)

    rewrite(folder, two)
    with pytest.raises(ValueError, match="NRS 0 to 10, NRS 0 to 100"):
        list(visits_in_chunks(folder, participants_per_chunk=20))
    parts = visits_in_chunks(folder, participants_per_chunk=5, scale="0-100")
    whole = load_participants(folder).visits(scale="0-100")
    pdt.assert_frame_equal(pd.concat(parts, ignore_index=True), whole)


def test_wrong_words_are_told_at_once(folder):
    with pytest.raises(ValueError, match="Did you mean 'minutes_per_week'"):
        visits_in_chunks(folder, dose="minutes_a_week")
    with pytest.raises(ValueError, match="Known: recorded, 0-100"):
        visits_in_chunks(folder, scale="percent")
    with pytest.raises(ValueError, match="give 1 or more"):
        visits_in_chunks(folder, participants_per_chunk=0)


def test_files_that_cannot_be_read(folder):
    scores = (folder / "scores.csv").read_text()
    (folder / "scores.csv").write_text(scores + "t1,p99\n")
    with pytest.raises(EvidenceError, match=r"not readable .*Every row needs as many cells"):
        list(visits_in_chunks(folder))
    (folder / "scores.csv").write_text(scores.replace("week,", "value,", 1))
    with pytest.raises(EvidenceError, match=r"scores.csv, row 1, value: column is there twice"):
        list(visits_in_chunks(folder))
    (folder / "scores.parquet").write_text("no parquet")
    with pytest.raises(
        EvidenceError, match=r"scores.csv and scores.parquet, scores: table is there twice"
    ):
        list(visits_in_chunks(folder))
    (folder / "scores.csv").unlink()
    with pytest.raises(EvidenceError, match="not readable"):
        list(visits_in_chunks(folder))
    (folder / "scores.parquet").unlink()
    with pytest.raises(EvidenceError, match=r"Add scores.csv or scores.parquet"):
        list(visits_in_chunks(folder))
