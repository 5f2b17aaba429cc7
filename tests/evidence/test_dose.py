"""Dose measures: what is derived, what stays missing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.evidence.dose import DOSE_MEASURES, met_values, with_doses


def arm(**fields) -> pd.DataFrame:
    """One arm with every field of the dose columns, missing unless given."""
    names = [
        "sessions_per_week",
        "minutes_per_session",
        "duration_weeks",
        "total_sessions",
        "home_sessions_per_week",
        "home_minutes_per_session",
    ]
    row = {"trial_id": "t", "arm_id": "a", "exercise_type": "yoga", **dict.fromkeys(names, np.nan)}
    return pd.DataFrame([{**row, **fields}])


def test_all_measures_from_three():
    """2 x 45 min for 6 weeks: 90 min a week, 12 sessions, 9 hours; yoga at 2.5 MET: 225."""
    dosed = with_doses(arm(sessions_per_week=2, minutes_per_session=45, duration_weeks=6)).iloc[0]
    assert_allclose([dosed[name] for name in DOSE_MEASURES], [2, 45, 90, 6, 12, 9, 225])
    assert dosed["sessions_per_week_source"] == "reported"
    assert dosed["minutes_per_week_source"] == "derived"


def test_frequency_from_total_and_weeks():
    dosed = with_doses(arm(total_sessions=12, duration_weeks=8)).iloc[0]
    assert dosed["sessions_per_week"] == 1.5
    assert dosed["sessions_per_week_source"] == "derived"
    assert pd.isna(dosed["minutes_per_week"])
    assert pd.isna(dosed["minutes_per_week_source"])


def test_reported_totals_are_kept_even_where_they_disagree():
    dosed = with_doses(arm(sessions_per_week=2, duration_weeks=6, total_sessions=5)).iloc[0]
    assert dosed["total_sessions"] == 5


def test_no_exercise_is_dose_zero_whatever_is_printed():
    dosed = with_doses(arm(exercise_type="none", minutes_per_session=10)).iloc[0]
    assert [dosed[name] for name in DOSE_MEASURES] == [0.0] * 7
    assert dosed["minutes_per_session_source"] == "no exercise"


def test_single_bout_has_no_weekly_dose():
    dosed = with_doses(arm(duration_weeks=0, total_sessions=1, minutes_per_session=15)).iloc[0]
    assert pd.isna(dosed["sessions_per_week"])
    assert dosed["total_hours"] == 0.25


def test_home_sessions_count_only_when_asked_for():
    given = arm(
        sessions_per_week=2, minutes_per_session=60, duration_weeks=6, home_sessions_per_week=3
    )
    assert with_doses(given).iloc[0]["minutes_per_week"] == 120
    timed = given.assign(home_minutes_per_session=20)
    home = with_doses(timed, include_home=True).iloc[0]
    assert [home["minutes_per_week"], home["total_sessions"], home["total_hours"]] == [180, 30, 18]
    assert_allclose([home["minutes_per_session"], home["met_minutes_per_week"]], [36, 450])
    assert home["sessions_per_week_source"] == "derived"


def test_home_sessions_of_unknown_length_are_not_counted_at_the_length_of_the_class():
    given = arm(
        sessions_per_week=2, minutes_per_session=60, duration_weeks=6, home_sessions_per_week=3
    )
    home = with_doses(given, include_home=True).iloc[0]
    assert [home["sessions_per_week"], home["total_sessions"]] == [5, 30]
    unknown = ["minutes_per_week", "minutes_per_session", "total_hours", "met_minutes_per_week"]
    assert home[unknown].isna().all()
    none = with_doses(given.assign(home_sessions_per_week=0), include_home=True).iloc[0]
    assert none["minutes_per_week"] == 120


def test_met_can_be_overridden_and_is_checked():
    given = arm(sessions_per_week=1, minutes_per_session=60, duration_weeks=6)
    assert with_doses(given, met={"yoga": 4}).iloc[0]["met_minutes_per_week"] == 240
    assert met_values()["yoga"] == 2.5
    with pytest.raises(ValueError, match=r"met\['yogha'\] = 2: give a positive MET for one of"):
        with_doses(given, met={"yogha": 2})


def test_input_is_not_changed():
    given = arm(total_sessions=12, duration_weeks=8)
    before = given.copy()
    with_doses(given)
    pd.testing.assert_frame_equal(given, before)
