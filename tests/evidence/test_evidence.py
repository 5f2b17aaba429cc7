"""Holding, filtering and summarising evidence; the bundled trials."""

from __future__ import annotations

import csv
import pickle
from dataclasses import FrozenInstanceError

import pandas as pd
import pytest

from backpain_analysis.datasets.bundled import data_dir
from backpain_analysis.evidence.checking import check_evidence
from backpain_analysis.evidence.evidence import BACK_PAIN, load_evidence
from backpain_analysis.evidence.schema import vocabulary

NAMES = ("trials", "arms", "outcomes", "contrasts", "appraisals")


def csv_rows(name):
    """The rows of a table of the bundled trials, as its file has them."""
    with open(data_dir() / "trials" / f"{name}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def bundled():
    return load_evidence()


@pytest.fixture
def made_up(tables):
    return load_evidence(tables.folder)


def arms_of(evidence):
    return list(zip(evidence.arms["trial_id"], evidence.arms["arm_id"], strict=True))


def results(evidence):
    return len(evidence.outcomes), len(evidence.contrasts)


def test_bundled_trials_are_all_there(bundled):
    assert [len(getattr(bundled, name)) for name in NAMES] == [180, 411, 904, 225, 161]
    assert [len(csv_rows(name)) for name in NAMES] == [180, 411, 904, 225, 161]
    assert (bundled.name, bundled.version) == ("backpain-trials", "2026.11.1")
    assert len(bundled.content_hash) == 64


def test_bundled_trials_have_a_source_for_every_number(bundled):
    for name in ("trials", "outcomes", "contrasts"):
        assert getattr(bundled, name)["source_url"].notna().all()
    for name in ("outcomes", "contrasts"):
        assert getattr(bundled, name)["source_locator"].notna().all()


def test_bundled_flags_have_a_reason(bundled):
    trials = bundled.trials
    assert trials["flag"].value_counts().to_dict() == {"caution": 34, "exclude": 33}
    assert (trials["flag"].notna() == trials["flag_reason"].notna()).all()


def test_rows_alike_but_for_their_note_are_kept(bundled):
    contrasts = bundled.contrasts
    haufe = contrasts[(contrasts["trial_id"] == "haufe2017") & (contrasts["instrument"] == "VAS")]
    assert haufe["estimate"].tolist() == [-0.74, -1.42, -0.48]


def test_back_pain_is_part_of_the_vocabulary():
    assert set(BACK_PAIN) < set(vocabulary("trials", "population"))


def test_evidence_is_frozen(made_up):
    with pytest.raises(FrozenInstanceError):
        made_up.name = "other"
    with pytest.raises(AttributeError):
        made_up.trials = pd.DataFrame()
    before = made_up.trials.copy()
    frame = made_up.trials
    frame.loc[0, "year"] = 1999
    frame["country"] = "Nowhere"
    pd.testing.assert_frame_equal(made_up.trials, before)


def test_evidence_travels_between_processes(made_up):
    assert pickle.loads(pickle.dumps(made_up)).content_hash == made_up.content_hash


def test_filter_without_conditions_changes_nothing(bundled):
    same = bundled.filter()
    assert same.content_hash == bundled.content_hash
    assert (same.name, same.version) == (bundled.name, bundled.version)


@pytest.mark.parametrize(
    "condition",
    [
        {"trial_id": "doe2020"},
        {"trial_id": ["doe2020"]},
        {"population": "chronic_nslbp"},
        {"population": BACK_PAIN},
        {"year": (2019, 2020)},
        {"year": (2020, 2020)},
        {"design": ["parallel", "cluster"]},
        {"country": "Spain"},
        {"outcome": "disability"},
        {"outcome": ["pain_intensity", "disability"], "country": ["Spain", "Norway"]},
    ],
)
def test_filter_keeps_the_trials_that_meet_the_conditions(made_up, condition):
    kept = made_up.filter(**condition)
    assert kept.trials["trial_id"].tolist() == ["doe2020"]
    assert arms_of(kept) == [("doe2020", arm) for arm in ("a1", "a2", "a3")]
    assert set(kept.outcomes["trial_id"]) | set(kept.contrasts["trial_id"]) == {"doe2020"}
    assert kept.content_hash != made_up.content_hash


def test_filter_by_flag(made_up):
    assert made_up.filter(flag="caution").trials["trial_id"].tolist() == ["roe2021"]


def test_without_flags(made_up, bundled):
    assert made_up.without_flags("caution").trials["trial_id"].tolist() == ["doe2020"]
    assert made_up.without_flags("exclude").content_hash == made_up.content_hash
    flags = [row["flag"] for row in csv_rows("trials")]
    kept = bundled.without_flags("exclude")
    assert len(kept.trials) == len(flags) - flags.count("exclude")
    assert len(bundled.without_flags("exclude", "caution").trials) == flags.count("")


def test_filter_by_exercise_type_keeps_its_arms_and_the_arms_without_exercise(made_up):
    yoga = made_up.filter(exercise_type="yoga")
    assert arms_of(yoga) == [("doe2020", "a2"), ("doe2020", "a3")]
    assert yoga.outcomes["arm_id"].tolist() == ["a2", "a3", "a3"]
    assert yoga.contrasts["arm_id"].tolist() == ["a2"]
    both = made_up.filter(exercise_type=["yoga", "aerobic_cycling"])
    assert arms_of(both) == [*arms_of(yoga), ("roe2021", "a1"), ("roe2021", "a2")]


def test_filter_by_outcome_keeps_its_rows(made_up):
    kept = made_up.filter(outcome="disability")
    assert set(kept.outcomes["outcome"]) | set(kept.contrasts["outcome"]) == {"disability"}
    assert results(kept) == (1, 2)


def test_filter_may_leave_nothing(made_up):
    nothing = made_up.filter(exercise_type="mckenzie")
    assert [len(getattr(nothing, name)) for name in NAMES] == [0] * 5
    assert nothing.coverage().empty
    assert nothing.describe().set_index("item").loc["randomised", "count"] == 0
    assert "<table" in nothing._repr_html_()


def test_trial_without_a_year_is_in_no_range_of_years(bundled):
    years = [row["year"] for row in csv_rows("trials")]
    assert years.count("") == 12
    assert len(bundled.filter(year=(1900, 2100)).trials) == len(years) - 12


def test_a_filter_remembers_what_each_condition_removed(bundled):
    count = len(bundled.trials)
    acute = bundled.filter(population="acute_lbp")
    left = len(acute.trials)
    gone = acute.without_flags("exclude").filter(exercise_type="yoga", outcome="recurrence")
    assert [str(step) for step in gone.history] == [
        f"population filter removed {count - left} of {count} trials",
        f"flag filter removed 0 of {left} trials",
        f"exercise_type filter removed {left} of {left} trials",
        "outcome filter removed 0 of 0 trials",
    ]
    assert bundled.history == () and sum(step.removed for step in gone.history) == count


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"exercise_type": "pilate"}, "exercise_type: no 'pilate'. Did you mean 'pilates'?"),
        ({"population": ["healthy", "acute"]}, "population: no 'acute'."),
        ({"outcome": "disabilty"}, "Did you mean 'disability'?"),
        ({"trial_id": "doe202"}, "Did you mean 'doe2020'?"),
        ({"country": "spain"}, "Did you mean 'Spain'?"),
        ({"flag": "none"}, "flag: no 'none'. Known: exclude, caution."),
        ({"year": (2021, 2020)}, "the first year must not be later"),
    ],
)
def test_unknown_word_in_a_filter(made_up, condition, message):
    with pytest.raises(ValueError) as caught:
        made_up.filter(**condition)
    assert message in str(caught.value)


def test_unknown_flag(made_up):
    with pytest.raises(ValueError, match="Did you mean 'exclude'"):
        made_up.without_flags("excluded")


def test_what_is_filtered_is_still_without_fault(bundled, tmp_path):
    kept = bundled.filter(exercise_type=["pilates", "yoga"], population=BACK_PAIN)
    for name in NAMES:
        getattr(kept, name).to_csv(tmp_path / f"{name}.csv", index=False)
    assert check_evidence(tmp_path) == []
    assert load_evidence(tmp_path).content_hash == kept.content_hash


def test_coverage(made_up):
    coverage = made_up.coverage().set_index("trial_id")
    doe, roe = coverage.loc["doe2020"], coverage.loc["roe2021"]
    assert doe["exercise_types"] == "pilates, yoga"
    doses = ["exercise_arms", "sessions_per_week", "minutes_per_session", "duration_weeks"]
    assert doe[doses].tolist() == [2, 2, 2, 0]
    assert roe[doses].tolist() == [1, 0, 1, 0]
    outcomes = ["pain_intensity", "disability", "pressure_pain_threshold", "results"]
    assert doe[outcomes].fillna("-").tolist() == ["arms", "both", "-", "both"]
    assert roe[outcomes].fillna("-").tolist() == ["-", "-", "arms", "arms"]


def test_coverage_of_the_bundled_trials(bundled):
    coverage = bundled.coverage()
    assert coverage["trial_id"].tolist() == bundled.trials["trial_id"].tolist()
    by_arm, between = ({row["trial_id"] for row in csv_rows(name)} for name in NAMES[2:4])
    expected = {"arms": by_arm - between, "contrasts": between - by_arm, "both": by_arm & between}
    for kind, trials in expected.items():
        assert set(coverage.loc[coverage["results"] == kind, "trial_id"]) == trials != set()


def test_describe(made_up):
    counts = made_up.describe().set_index(["topic", "item"])["count"].to_dict()
    expected = {
        ("size", "trials"): 2,
        ("size", "arms"): 5,
        ("size", "exercise arms"): 3,
        ("size", "randomised"): 80,
        ("size", "results per arm"): 6,
        ("size", "results between arms"): 2,
        ("year", "first"): 2020,
        ("year", "last"): 2021,
        ("population", "chronic_nslbp"): 1,
        ("exercise type", "yoga"): 1,
        ("comparator", "waitlist"): 1,
        ("outcome", "disability"): 1,
        ("outcome", "pain_intensity"): 1,
        ("risk of bias", "RoB1"): 2,
        ("risk of bias", "PEDro"): 1,
        ("flag", "caution"): 1,
        ("flag", "no flag"): 1,
        ("missing", "year"): 0,
        ("missing", "sessions_per_week"): 1,
        ("missing", "duration_weeks"): 3,
        ("missing", "n"): 0,
        ("missing", "spread"): 1,
        ("missing", "confidence interval"): 1,
    }
    assert {key: counts[key] for key in expected} == expected


def test_shown_as_a_table_and_as_a_line(made_up):
    assert (
        repr(made_up) == "<Evidence mine: 2 trials, 5 arms, 6 outcomes, 2 contrasts, 3 appraisals>"
    )
    html = made_up._repr_html_()
    assert html.count("<table") == 1 and "mine" in html and made_up.content_hash[:12] in html
    assert html == made_up._repr_html_()


def test_an_empty_frame_is_an_absent_table(made_up):
    frames = [made_up.trials, made_up.arms, made_up.outcomes]
    empty = type(made_up).from_frames(*frames, pd.DataFrame())
    assert empty.content_hash == type(made_up).from_frames(*frames).content_hash


def test_appraisals_go_with_their_trials(made_up, bundled):
    assert made_up.filter(country="Spain").appraisals["tool"].tolist() == ["RoB1", "PEDro"]
    assert set(made_up.without_flags("caution").appraisals["trial_id"]) == {"doe2020"}
    judged = {row["trial_id"] for row in csv_rows("appraisals")}
    excluded = {row["trial_id"] for row in csv_rows("trials") if row["flag"] == "exclude"}
    kept = bundled.without_flags("exclude").appraisals
    assert set(kept["trial_id"]) == judged - excluded != judged


def test_evidence_without_appraisals(tables, made_up):
    (tables.folder / "appraisals.csv").unlink()
    bare = load_evidence(tables.folder)
    assert bare.appraisals.empty
    assert list(bare.appraisals) == list(made_up.appraisals)
    assert bare.content_hash != made_up.content_hash
    assert repr(bare) == "<Evidence mine: 2 trials, 5 arms, 6 outcomes, 2 contrasts>"
    frames = [bare.trials, bare.arms, bare.outcomes, bare.contrasts]
    assert type(bare).from_frames(*frames).content_hash == bare.content_hash
    again = type(bare).from_frames(*frames, made_up.appraisals)
    assert again.content_hash == made_up.content_hash
