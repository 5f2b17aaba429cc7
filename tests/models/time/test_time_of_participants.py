"""Participants' scores as effects over time, trial by trial."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from numpy.testing import assert_allclose

from backpain_analysis.models.time.course import time_course
from backpain_analysis.models.time.participants import effects_of_participants
from tests.models.people.made_visits import at, made_visits


@pytest.fixture(scope="module")
def visits():
    return made_visits(n=60, weeks=(0.0, 4.0, 12.0))


@pytest.fixture(scope="module")
def effects(visits):
    return effects_of_participants(visits, at=120, programme_weeks={"t0": 8, "t1": 4})


def test_complete_visits_give_the_analysis_of_covariance(visits, effects):
    """With nobody lost the constrained model adjusts for baseline as a regression does."""
    for trial, rows in visits.groupby("trial_id"):
        own = effects.table[effects.table["trial_id"] == trial].set_index("weeks")
        for week in (4.0, 12.0):
            fitted = smf.ols("value ~ dose + baseline", at(rows, week)).fit()
            assert_allclose(own.loc[week, "yi"], 120 * fitted.params["dose"], rtol=0.03, atol=0.05)
            assert_allclose(np.sqrt(own.loc[week, "vi"]), 120 * fitted.bse["dose"], rtol=0.05)


def test_rows_of_a_trial_are_correlated_by_its_participants(effects):
    assert effects.n_trials == 3 and effects.n_participants == 180
    for V in effects.covariance:
        correlation = V[0, 1] / np.sqrt(V[0, 0] * V[1, 1])
        assert 0.1 < correlation < 0.9
    assert list(effects.table["weeks_after_programme"][:4]) == [-4, 4, 0, 8]
    assert effects.table["programme_weeks"].isna().sum() == 2


def test_effect_is_that_of_the_dose(visits, effects):
    half = effects_of_participants(visits, at=60)
    assert_allclose(2 * half.table["yi"], effects.table["yi"])
    assert effects_of_participants(visits).table["arm_id"].unique() == ["90"]


def test_course_of_one_trial_and_of_several(visits):
    """The simulated effect of 120 grows to -9.6 at week 8 and stays."""
    result = time_course(visits, at=120, method="CE")
    effect = result.effect([12]).iloc[0]
    assert effect["ci_low"] < -9.6 < effect["ci_high"]
    assert result.lower_is_better
    one = time_course(visits[visits["trial_id"] == "t0"], at=120, curve="linear")
    assert one.fit.method == "CE" and one.n_trials == 1


def test_programme_ends_come_from_participants(visits):
    ends = pd.DataFrame({"trial_id": ["t0", "t0", "t1", "t2"], "end_week": [6, 8, 10, 12]})
    scores = pd.DataFrame({"instrument": ["NRS"]})
    data = SimpleNamespace(interventions=ends, scores=scores, visits=lambda *_, **__: visits)
    table = effects_of_participants(data).table
    assert list(table.drop_duplicates("trial_id")["programme_weeks"]) == [8, 10, 12]


def test_trials_without_a_contrast_are_named(visits):
    same = visits[(visits["trial_id"] != "t2") | (visits["dose"] == 60)]
    effects = effects_of_participants(same)
    assert list(effects.excluded["trial_id"]) == ["t2"]
    assert effects.excluded["reason"].item() == "everybody has the same dose"
    with pytest.raises(ValueError, match="nobody has a dose above zero"):
        effects_of_participants(visits.assign(dose=0.0))
    with pytest.raises(ValueError, match="t2: everybody has the same dose"):
        effects_of_participants(same[same["trial_id"] == "t2"])
