"""Effects: selecting, combining, doses, counting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.effects.arms import from_arms_table
from backpain_analysis.effects.table import Effects
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.pairwise.pooling import pool
from tests.effects.conftest import arm, result

ARMS = [
    arm("a1", "yoga", sessions_per_week=2, duration_weeks=6),
    arm("a2", "pilates", sessions_per_week=2, duration_weeks=8),
    arm("a3", comparator_type="waitlist"),
]
RESULTS = [result("a1", 3.0, 2.0, 25), result("a2", 4.0, 1.0, 25), result("a3", 5.0, 1.5, 36)]


@pytest.fixture
def effects(build):
    return build(ARMS, RESULTS).effects("pain_intensity", analysis="final")


def test_combined_arms_are_the_gls_mean(effects):
    """V = [[22.25, 6.25], [6.25, 10.25]], y = (-20, -10): weights 4 and 16 of 20, by hand."""
    single = effects.one_per_trial()
    assert_allclose(single.table.loc[0, "yi"], (4 * -20 + 16 * -10) / 20)
    assert_allclose(single.table.loc[0, "vi"], (22.25 * 10.25 - 6.25**2) / 20)
    assert single.n_participants == 86
    assert single.table.loc[0, "label"] == "Doe 2020"
    assert np.isnan(single.table.loc[0, "duration_weeks"])
    assert single.table.loc[0, "sessions_per_week"] == 2


def test_combining_changes_nothing_in_a_common_effect(effects):
    assert_allclose(
        pool(effects, method="CE", test="z").estimate,
        pool(effects.one_per_trial(), method="CE", test="z").estimate,
    )


@pytest.mark.parametrize(
    ("alike", "unlike", "dtype"),
    [
        (True, [True, False], bool),
        (True, [True, pd.NA], "boolean"),
        (3, [3, 4], int),
        ("a", ["a", "b"], "category"),
        ("a", ["a", None], object),
        (1.5, [1.5, np.nan], float),
        (pd.Timestamp("2020-01-01"), list(pd.to_datetime(["2020-01-01", "2021-01-01"])), None),
    ],
)
def test_what_differs_between_combined_arms_is_missing(effects, alike, unlike, dtype):
    """Of whatever kind the column is: a made-up value would be worse than none."""
    columns = {"alike": [alike] * 2, "unlike": unlike, "unknown": [None, None]}
    columns = {name: pd.Series(values, dtype=dtype) for name, values in columns.items()
               if name != "unknown" or dtype not in (bool, int)}  # fmt: skip
    single = replace(effects, table=effects.table.assign(**columns)).one_per_trial().table
    assert single.loc[0, "alike"] == alike
    assert single[[name for name in columns if name != "alike"]].isna().to_numpy().all()


def test_an_arm_that_stands_twice_tells_nothing(effects):
    arms = pd.DataFrame(ARMS).assign(trial_id=effects.trials[0])
    with pytest.raises(ValueError, match="'a1' of trial 't1' stands there twice"):
        effects.with_arms(pd.concat([arms, arms]), "exercise_type")


def test_what_is_left_out_in_turn_is_not_listed(effects):
    listed = effects.select([True, False], "not yoga")
    silent = effects.select([True, False], None)
    pd.testing.assert_frame_equal(silent.table, listed.table)
    assert_allclose(silent.covariance[0], [[22.25]])
    assert len(silent.excluded) == len(listed.excluded) - 1 == len(effects.excluded)


def test_the_size_of_some_contrasts_counts_each_arm_once():
    """Trial a: arms of 10 and 20 against one of 30; b: one of 5 against an unknown number."""
    table = pd.DataFrame(
        {
            "trial_id": ["a", "a", "b"],
            "arm_id": ["x", "y", "x"],
            "ref_arm_id": ["z", "z", "z"],
            "n_arm": [10.0, 20.0, 5.0],
            "n_ref": [30.0, 30.0, np.nan],
        }
    )
    nothing = pd.DataFrame(columns=["trial_id", "arm_id", "reason"])
    found = Effects(table, (np.eye(2), np.eye(1)), nothing, "pain_intensity", "MD")
    assert found.size_of([True, True, False]) == (1, 60)
    assert found.size_of([False, True, True]) == (2, 55)
    assert found.size_of([False, False, False]) == (0, 0)
    assert found.size_of([True, True, True]) == (2, found.n_participants) == (2, 65)


def test_selecting_keeps_the_right_part_of_the_covariance(effects):
    yoga = effects.select(lambda t: t["exercise_type"] == "yoga", "not yoga")
    assert_allclose(yoga.covariance[0], [[22.25]])
    assert yoga.excluded["reason"].tolist() == ["not yoga"]
    assert len(effects.select(lambda t: t["yi"] > 0, "no harm")) == 0


def test_a_dose_must_be_known_and_differ(build):
    same = [arm("a1", "yoga", sessions_per_week=3, duration_weeks=6)]
    same.append(arm("a2", "yoga", sessions_per_week=3, duration_weeks=4))
    effects = build(same, RESULTS[:2]).effects("pain_intensity")
    reason = effects.with_dose("sessions_per_week").excluded["reason"].iloc[-1]
    assert reason == "both arms have the same sessions_per_week"
    reason = effects.with_dose("total_hours").excluded["reason"].iloc[-1]
    assert reason == "total_hours not reported"
    assert effects.with_dose("duration_weeks").table["ref_dose"].tolist() == [4.0]


def test_unknown_sizes_are_counted_apart(build):
    from tests.effects.conftest import difference

    arms = [arm("a1", "yoga", n_randomised=20), arm("a2", comparator_type="waitlist")]
    effects = build(arms, contrasts=[difference("a1", "a2", -1.0, -2.0, 0.0)]).effects(
        "pain_intensity"
    )
    assert (effects.n_participants, effects.unsized_arms) == (20, 1)


def test_reasons_are_counted(build):
    effects = build(ARMS, RESULTS[:1]).effects("pain_intensity")
    counts = effects.excluded_counts()
    assert counts["arms"].sum() == 3
    assert list(counts.columns) == ["reason", "trials", "arms"]


def test_html(effects):
    assert "2 contrasts of 1 trial, 86 participants" in effects._repr_html_()


def test_what_a_dose_counts_is_shown(build):
    known = {"sessions_per_week": 2, "n_randomised": 25}
    arms = [arm("a1", "yoga", **known), arm("a2", comparator_type="waitlist", n_randomised=25)]
    evidence = build(arms, [result("a1", 3.0, 2.0, 25), result("a2", 4.0, 2.0, 25)])
    plain = evidence.effects("pain_intensity")
    assert "supervised sessions" not in plain._repr_html_()
    dosed = plain.with_dose("sessions_per_week")
    assert "Doses as prescribed, supervised sessions." in dosed._repr_html_()
    home = evidence.effects("pain_intensity", include_home=True).with_dose("sessions_per_week")
    assert "Doses as prescribed, home sessions included." in home._repr_html_()


def test_measures_of_a_table_of_arms_are_checked():
    rows = pd.DataFrame({"trial_id": "t", "dose": [0, 1], "mean": [1, 2], "sd": 1.0, "n": 20})
    with pytest.raises(ValueError, match=r"measure: no 'md'. Did you mean 'MD'"):
        from_arms_table(rows, measure="md")


def test_effects_without_any_say_why_there_are_none(build):
    bare = {"instrument": "PPT", "outcome": "pressure_pain_threshold", "scale_min": None}
    rows = [row | bare | {"scale_max": None, "unit": "kPa"} for row in RESULTS]
    none = build(ARMS, rows).effects("pressure_pain_threshold")
    with pytest.raises(
        CannotEstimate, match="no effect on pressure_pain_threshold is left"
    ) as told:
        pool(none)
    assert "2 arms: scale limits unknown (unit kPa)" in str(told.value)
    assert str(told.value).endswith("unit='kPa' takes differences in it.")


def test_effects_of_another_time_are_pointed_to(build):
    late = [row | {"timepoint_label": "followup", "timepoint_weeks": 52} for row in RESULTS]
    with pytest.raises(CannotEstimate, match="timepoint='followup' or 'latest' asks for another"):
        pool(build(ARMS, late).effects("pain_intensity"))
