"""Holding participants, their visits and their exposure."""

from __future__ import annotations

import pandas as pd
import pandas.testing as pdt
import pytest

from backpain_analysis.evidence.dose import cumulative_doses, exercise_types, participant_doses
from backpain_analysis.evidence.participants import Participants, doses, load_participants

INTERVENTIONS = pd.DataFrame(
    [
        # two 60-minute sessions a week prescribed, 1.5 attended, 12 weeks
        ("t1", "p1", "yoga", 2, 1.5, 60, 0, 12),
        # attendance not recorded
        ("t1", "p2", "pilates", 2, None, 45, 0, 12),
        ("t1", "p3", "none", None, None, None, None, None),
        # 6 weeks of one, then 6 of another
        ("t2", "p1", "yoga", 2, 1, 60, 0, 6),
        ("t2", "p1", "resistance", 3, 1, 30, 6, 12),
        # waits for 10 weeks, then 10 weeks of walking
        ("t2", "p2", "none", None, None, None, 0, 10),
        ("t2", "p2", "aerobic_walking", 5, 5, 30, 10, 20),
        # a single bout
        ("t2", "p3", "aerobic_cycling", 1, 1, 20, 0, 0),
    ],
    columns=[
        "trial_id",
        "participant_id",
        "exercise_type",
        "prescribed_sessions_per_week",
        "attended_sessions_per_week",
        "minutes_per_session",
        "start_week",
        "end_week",
    ],
)
SCORES = pd.DataFrame(
    [
        ("t1", "p1", 0, "NRS", 6),
        ("t1", "p1", -2, "NRS", 7),
        ("t1", "p1", 4, "NRS", 4),
        ("t1", "p1", 16, "NRS", 3),
        ("t1", "p2", 4, "NRS", 5),
        ("t1", "p3", -1, "NRS", 8),
        ("t1", "p3", 4, "NRS", None),
        ("t2", "p1", 0, "NRS", 9),
        ("t2", "p1", 8, "NRS", 2),
        ("t2", "p2", 0, "NRS", 5),
        ("t2", "p2", 14, "NRS", 4),
    ],
    columns=["trial_id", "participant_id", "week", "instrument", "value"],
)
PEOPLE = pd.DataFrame(
    [("t1", "p1", 50, "female"), ("t1", "p2", None, "male"), ("t1", "p3", 30, None)]
    + [("t2", f"p{number}", 40, "other") for number in (1, 2, 3)],
    columns=["trial_id", "participant_id", "age", "sex"],
)
PERSONS = ["t1 p1", "t1 p2", "t1 p3", "t2 p1", "t2 p2", "t2 p3"]
NONE = float("nan")


@pytest.fixture(scope="module")
def made_up():
    return Participants.from_frames(INTERVENTIONS, SCORES, PEOPLE, name="made-up")


def by_person(series):
    return {f"{trial} {person}": value for (trial, person), value in series.items()}


@pytest.mark.parametrize(
    ("dose", "expected"),
    [
        ("sessions_per_week", [2, 2, 0, 2.5, 2.5, 1]),
        ("minutes_per_session", [60, 45, 0, 42, 30, 20]),
        ("minutes_per_week", [120, 90, 0, 105, 75, 20]),
        ("duration_weeks", [12, 12, 0, 12, 10, 0]),
        ("total_sessions", [24, 24, 0, 30, 50, NONE]),
        ("total_hours", [24, 18, 0, 21, 25, NONE]),
        # METs: yoga 2.5, Pilates 3, resistance 3.5, walking 3.5, cycling 4.8
        ("met_minutes_per_week", [300, 270, 0, 307.5, 262.5, 96]),
    ],
)
def test_prescribed_doses(made_up, dose, expected):
    found = participant_doses(made_up.interventions, dose)
    assert by_person(found) == pytest.approx(dict(zip(PERSONS, expected, strict=True)), nan_ok=True)


@pytest.mark.parametrize(
    ("dose", "expected"),
    [
        ("sessions_per_week", [1.5, NONE, 0, 1, 2.5, 1]),
        ("minutes_per_session", [60, 45, 0, 45, 30, 20]),
        ("minutes_per_week", [90, NONE, 0, 45, 75, 20]),
        ("total_hours", [18, NONE, 0, 9, 25, NONE]),
    ],
)
def test_attended_doses(made_up, dose, expected):
    found = participant_doses(made_up.interventions, dose, "attended")
    assert by_person(found) == pytest.approx(dict(zip(PERSONS, expected, strict=True)), nan_ok=True)


@pytest.mark.parametrize(
    ("dose", "expected"),
    [
        # p1 of t1: weeks 0, 4, 16 (programme over at 12); p2: unknown; p3; t2
        ("minutes_per_week", [0, 360, 1080, NONE, 0, 0, 420, 0, 600]),
        ("sessions_per_week", [0, 6, 18, NONE, 0, 0, 8, 0, 20]),
        ("total_sessions", [0, 6, 18, NONE, 0, 0, 8, 0, 20]),
        ("total_hours", [0, 6, 18, NONE, 0, 0, 7, 0, 10]),
        ("met_minutes_per_week", [0, 900, 2700, NONE, 0, 0, 1110, 0, 2100]),
        ("duration_weeks", [0, 4, 12, 4, 0, 0, 8, 0, 4]),
    ],
)
def test_cumulative_doses(made_up, dose, expected):
    visits = made_up.visits(dose=dose, exposure="cumulative")
    assert visits["dose"].tolist() == pytest.approx(expected, nan_ok=True)


def test_cumulative_dose_of_a_single_bout_is_not_known_after_it(made_up):
    visits = pd.DataFrame({"trial_id": "t2", "participant_id": "p3", "week": [0.0, 1.0]})
    found = cumulative_doses(made_up.interventions, visits)
    assert found.tolist() == pytest.approx([0, NONE], nan_ok=True)


def test_met_values_may_be_given(made_up):
    found = participant_doses(made_up.interventions, "met_minutes_per_week", met={"yoga": 4})
    assert found["t1", "p1"] == 480


def test_types_of_exercise(made_up):
    found = list(exercise_types(made_up.interventions))
    assert found == [
        "yoga",
        "pilates",
        "none",
        "yoga + resistance",
        "aerobic_walking",
        "aerobic_cycling",
    ]


def test_visits(made_up):
    visits = made_up.visits()
    assert list(visits) == [
        *("trial_id", "participant_id", "week", "value", "baseline"),
        *("dose", "exercise_type", "age", "sex"),
    ]
    expected = pd.DataFrame(
        [
            ("t1", "p1", 0.0, 6.0, 6.0, 120.0, 50.0),
            ("t1", "p1", 4.0, 4.0, 6.0, 120.0, 50.0),
            ("t1", "p1", 16.0, 3.0, 6.0, 120.0, 50.0),
            ("t1", "p2", 4.0, 5.0, NONE, 90.0, NONE),
            ("t1", "p3", -1.0, 8.0, 8.0, 0.0, 30.0),
            ("t2", "p1", 0.0, 9.0, 9.0, 105.0, 40.0),
            ("t2", "p1", 8.0, 2.0, 9.0, 105.0, 40.0),
            ("t2", "p2", 0.0, 5.0, 5.0, 75.0, 40.0),
            ("t2", "p2", 14.0, 4.0, 5.0, 75.0, 40.0),
        ],
        columns=["trial_id", "participant_id", "week", "value", "baseline", "dose", "age"],
    )
    pdt.assert_frame_equal(visits[expected.columns], expected)
    assert visits["sex"].tolist()[3:5] == ["male", pytest.approx(NONE, nan_ok=True)]


def test_unknown_words_name_the_nearest(made_up):
    with pytest.raises(ValueError, match="Did you mean 'minutes_per_week'"):
        made_up.visits(dose="minutes_a_week")
    with pytest.raises(ValueError, match="Did you mean 'attended'"):
        made_up.visits(exposure="attend")
    with pytest.raises(ValueError, match=r"no .VAS.\. Known: NRS"):
        made_up.visits("VAS")
    with pytest.raises(ValueError, match="Known: recorded, 0-100"):
        made_up.visits(scale="percent")
    with pytest.raises(ValueError, match="minutes_per_session does not add up"):
        made_up.visits(dose="minutes_per_session", exposure="cumulative")


def with_scores(*rows):
    columns = ["trial_id", "participant_id", "week", "instrument", "value"]
    scores = pd.DataFrame(rows, columns=[*columns, "scale_min", "scale_max"])
    return Participants.from_frames(INTERVENTIONS, scores)


def test_scores_on_a_common_scale():
    data = with_scores(
        ("t1", "p1", 0, "NRS", 6, 0, 10),
        ("t1", "p2", 0, "VAS", 35, 0, 100),
        ("t1", "p3", 0, "RMDQ", 18, None, None),
        ("t2", "p1", 0, "PSFS", 3, 0, 10),
        ("t2", "p2", 0, "TSK", 30, 17, 68),
    )
    visits = data.visits(["NRS", "VAS", "RMDQ", "PSFS"], scale="0-100")
    # PSFS: higher is better, so 3 of 10 is 70 of 100 worse
    assert visits["value"].tolist() == pytest.approx([60, 35, 75, 70])
    assert data.visits("TSK", scale="0-100")["value"].tolist() == pytest.approx([100 * 13 / 51])
    with pytest.raises(ValueError, match="choose one of NRS, VAS, RMDQ, PSFS, TSK"):
        data.visits()
    with pytest.raises(ValueError, match=r"NRS 0 to 10, VAS 0 to 100.*use visits\(scale='0-100'\)"):
        data.visits(["NRS", "VAS"])


def test_one_instrument_on_two_scales_is_not_mixed():
    data = with_scores(("t1", "p1", 0, "VAS", 6, 0, 10), ("t1", "p2", 0, "VAS", 35, 0, 100))
    with pytest.raises(ValueError, match="VAS 0 to 10, VAS 0 to 100"):
        data.visits()
    assert data.visits(scale="0-100")["value"].tolist() == pytest.approx([60, 35])


def test_a_scale_is_never_assumed(made_up):
    with pytest.raises(ValueError, match="NRS: the scale is not known"):
        made_up.visits(scale="0-100")


def test_two_instruments_of_one_visit():
    data = with_scores(("t1", "p1", 0, "NRS", 6, 0, 10), ("t1", "p1", 0, "VAS", 35, 0, 100))
    with pytest.raises(ValueError, match="'p1' of trial 't1' has scores of several instruments"):
        data.visits(["NRS", "VAS"], scale="0-100")


def test_a_column_of_ones_own_does_not_hide_the_dose():
    people = PEOPLE.assign(dose="high")
    visits = Participants.from_frames(INTERVENTIONS, SCORES, people).visits()
    assert visits["dose"].iloc[0] == 120 and visits["dose_of_participant"].iloc[0] == "high"


def test_summary_counts_what_is_missing(made_up):
    counts = made_up.summary().set_index(["topic", "item"])["count"]
    assert counts["size"].to_dict() == {"trials": 2, "participants": 6, "visits with a score": 10}
    assert counts["exercise type"].to_dict() == {
        **{"none": 2, "yoga": 2, "aerobic_cycling": 1, "aerobic_walking": 1},
        **{"pilates": 1, "resistance": 1},
    }
    missing = counts["missing"]
    assert (missing["baseline score"], missing["any score"], missing["score of a visit"]) == (
        2,
        1,
        1,
    )
    assert (missing["attended_sessions_per_week"], missing["start_week"]) == (1, 0)
    assert (missing["age"], missing["sex"]) == (1, 1)
    assert "bmi" not in missing


def test_retention(made_up):
    found = made_up.retention().set_index(["trial_id", "week"])
    # t1: p3 has no score after the baseline, p2 none after week 4; t2: p3 was never scored
    assert found["scored"].to_dict() == {
        ("t1", 0): 2, ("t1", 4): 2, ("t1", 16): 1, ("t2", 0): 2, ("t2", 8): 1, ("t2", 14): 1,
    }  # fmt: skip
    assert found["left"].tolist() == [0, 1, 2, 1, 1, 2]
    assert found["pct_left"].tolist() == pytest.approx(
        [0, 100 / 3, 200 / 3, *[100 / 3] * 2, 200 / 3]
    )


def test_doses_by_type(made_up):
    found = doses(made_up).set_index(["trial_id", "exercise_type"])
    assert found.loc[("t1", "yoga")].tolist() == [1, 120, 120, 120, 90, 0]
    assert found.loc[("t2", "yoga + resistance")].tolist() == [1, 105, 105, 105, 45, 0]
    assert found["attended_missing"].tolist() == [0, 1, 0, 0, 0, 0]


def test_overview_says_what_it_is(made_up):
    html = made_up._repr_html_()
    assert "made-up" in html and "synthetic" not in html and made_up.content_hash[:12] in html
    assert repr(made_up) == "<Participants made-up: 2 trials, 6 participants, 11 scores>"
    again = Participants.from_frames(INTERVENTIONS, SCORES, name="<b>", synthetic=True)
    assert "&lt;b&gt; (synthetic: these participants are made up)" in again._repr_html_()
    assert "synthetic" in repr(again)


def test_to_folder_and_back(made_up, tmp_path):
    folder = made_up.to_folder(tmp_path / "deep" / "copy")
    again = load_participants(folder)
    for name in ("interventions", "scores", "people"):
        pdt.assert_frame_equal(getattr(again, name), getattr(made_up, name))
    assert (again.name, again.version, again.synthetic) == ("made-up", None, False)
    assert again.content_hash == made_up.content_hash
    assert [file.name for file in folder.parent.iterdir()] == ["copy"]


def test_to_folder_never_touches_what_is_there(made_up, tmp_path):
    there = tmp_path / "there"
    there.mkdir()
    for path in (there, tmp_path / "file"):
        if path.suffix == "" and not path.exists():
            path.write_text("mine")
        with pytest.raises(FileExistsError, match="left as it is"):
            made_up.to_folder(path)
    assert list(there.iterdir()) == [] and (tmp_path / "file").read_text() == "mine"


def test_to_folder_leaves_nothing_half_written(made_up, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(OSError, match="No space left"):
        made_up.to_folder(tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


def test_synthetic_is_kept(tmp_path):
    data = Participants.from_frames(INTERVENTIONS, SCORES, name="made", version="1", synthetic=True)
    again = load_participants(data.to_folder(tmp_path / "x"))
    assert (again.name, again.version, again.synthetic) == ("made", "1", True)
    assert again.people.empty


def test_nobody_was_scored():
    data = Participants.from_frames(INTERVENTIONS, SCORES.assign(value=None))
    assert data.visits().empty and data.retention().empty
    counts = data.summary().set_index(["topic", "item"])["count"]
    assert (counts["missing", "any score"], counts["size", "visits with a score"]) == (6, 0)
    assert "<table" in data._repr_html_()
