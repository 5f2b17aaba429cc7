"""Covariates, classes and weeks in networks, against models written out and exact data."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

import backpain_analysis as bp
from backpain_analysis.effects.over_time import effects_over_time
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.network.network import network
from backpain_analysis.models.network.regression import (
    network_classes,
    network_course,
    network_regression,
)
from tests.models.network.dose_tables import dense, reml_or_ml


@pytest.fixture(scope="module")
def arms(reference_table):
    table = reference_table("network")
    trials = table["trial_id"].unique()
    year = dict(zip(trials, 1990 + (7 * np.arange(len(trials))) % 30, strict=True))
    return table.assign(year=table["trial_id"].map(year))


@pytest.mark.parametrize("interaction", ["common", "independent"])
def test_a_covariate_is_a_column_times_the_treatment(arms, interaction):
    """Generalised least squares of the model written out, at the maximum of its likelihood."""
    result = network_regression(arms, "year", interaction=interaction, method="ML")
    data = result.data
    x = arms.groupby("trial_id")["year"].first()
    B = np.delete(data.incidence(), data.treatments.index("usual_care"), axis=1)
    moved = B * (x.reindex(data.trial).to_numpy() - x.mean())[:, None]
    X = np.hstack([B, moved.sum(axis=1, keepdims=True) if interaction == "common" else moved])
    known = reml_or_ml(data, X, reml=False)
    assert_allclose(result.llf, known.best, atol=1e-6)
    V, T = dense(data)
    W = np.linalg.inv(V + result.tau2 * T)
    cov = np.linalg.inv(X.T @ W @ X)
    assert_allclose(result.params, cov @ X.T @ W @ data.y, rtol=1e-6)
    assert_allclose(result.cov, cov, rtol=1e-6)
    test = result.test_interaction()
    own = result.params.to_numpy()[5:]
    assert_allclose(test["statistic"], own @ np.linalg.solve(cov[5:, 5:], own), rtol=1e-6)
    assert test["df_num"] == len(own)


def test_effects_follow_the_covariate_within_its_range(arms):
    """Shifted by 0.5 a year for every active arm, the common slope is 0.5 more."""
    plain = network_regression(arms, "year")
    active = arms["treatment"] != "usual_care"
    tilted = arms.assign(mean=arms["mean"] + 0.5 * (arms["year"] - 2000) * active)
    result = network_regression(tilted, "year")
    assert result.params["year"] == pytest.approx(plain.params["year"] + 0.5)
    difference = result.effects(2010)["estimate"] - result.effects(2000)["estimate"]
    assert_allclose(difference, 10 * result.params["year"])
    assert_allclose(result.tau2, plain.tau2, rtol=1e-6)
    assert result.tau2_without > plain.tau2_without
    assert_allclose(result.effects()["estimate"].to_numpy(), result.params.iloc[:5].to_numpy())
    with pytest.raises(CannotEstimate, match="observed from 1990 to 2019, not at 2050"):
        result.effects(2050)


def test_two_words_are_subgroups_of_zero_and_one(arms):
    late = arms.assign(late=(arms["year"] > 2005).astype(float))
    words = arms.assign(late=np.where(arms["year"] > 2005, "recent", "early"))
    number, word = (network_regression(own, "late") for own in (late, words))
    assert_allclose(word.params, number.params)
    assert word.params.index[-1] == "late=recent" and word.groups == ("early", "recent")
    for name, value in (("early", 0.0), ("recent", 1.0)):
        assert_allclose(word.effects(name)["estimate"], number.effects(value)["estimate"])
    with pytest.raises(ValueError, match="no subgroup 'late' of late: they are 'early', 'recent'"):
        word.effects("late")
    with pytest.raises(ValueError, match="'early' of late: they are none: give a number"):
        number.effects("early")
    third = words.assign(late=words["late"].where(words["year"] > 1995, "old"))
    with pytest.raises(ValueError, match=r"late has 3 words \(early, old, recent\)"):
        network_regression(third, "late")
    with pytest.raises(CannotEstimate, match="late is recent in every trial"):
        network_regression(words.assign(late="recent"), "late")


def test_exchangeable_interactions_lie_between_common_and_independent(arms):
    """A large spread of slopes gives nearly the independent ones."""
    steep = {"aerobic": -3, "pilates": 3, "resistance": 2, "stretching": -2, "yoga": 0}
    tilt = arms["treatment"].map(steep).fillna(0) * (arms["year"] - 2000)
    far = arms.assign(mean=arms["mean"] + tilt)
    own = network_regression(far, "year", interaction="independent").params.iloc[5:]
    result = network_regression(far, "year", interaction="exchangeable")
    assert result.between > 1
    assert_allclose(result.params.iloc[5:], own, atol=0.25)
    with pytest.raises(CannotEstimate, match="are predictions"):
        result.test_interaction()
    assert_allclose(result.effects()["estimate"].to_numpy(), result.params.iloc[:5].to_numpy())


def test_covariates_that_cannot_be_used(arms):
    wrong = arms.astype({"year": float}).copy()
    wrong.loc[0, "year"] = np.nan
    wrong.loc[2, "year"] += 1
    with pytest.raises(ValueError, match=r"t00.: year is missing.*\n.*t01.: year is not the same"):
        network_regression(wrong, "year")
    with pytest.raises(ValueError, match="no column 'age'"):
        network_regression(arms, "age")
    with pytest.raises(ValueError, match="interaction 'none'"):
        network_regression(arms, "year", interaction="none")
    with pytest.raises(CannotEstimate, match="is 1 in every trial"):
        network_regression(arms.assign(year=1), "year")


def test_classes_by_the_likelihood_in_full(arms):
    classes = {"yoga": "mind", "pilates": "mind", "aerobic": "body", "resistance": "body"}
    result = network_classes(arms, classes, method="ML")
    data = result.data
    B = np.delete(data.incidence(), data.treatments.index("usual_care"), axis=1)
    labels = ["body", "mind", "stretching"]
    own = np.array([result.classes[name] for name in result.params.index])
    X = B @ (own[:, None] == np.array(labels)).astype(float)
    V, T = dense(data)
    known = reml_or_ml(data, X, reml=False)
    best = known.at(V + result.tau2 * T + result.within * B @ B.T)
    assert_allclose(result.llf, best, atol=1e-6)
    for step in (0.9, 1.1):
        assert known.at(V + step * result.tau2 * T + result.within * B @ B.T) <= best + 1e-9
        assert known.at(V + result.tau2 * T + step * result.within * B @ B.T) <= best + 1e-9
    W = np.linalg.inv(V + result.tau2 * T + result.within * B @ B.T)
    C = np.linalg.inv(X.T @ W @ X)
    assert_allclose(result.means["estimate"], C @ X.T @ W @ data.y, rtol=1e-5)
    assert_allclose(result.means["se"], np.sqrt(np.diag(C)), rtol=1e-5)
    with pytest.raises(CannotEstimate, match="no class has two"):
        network_classes(arms, {"yoga": "mind"})


@pytest.fixture(scope="module")
def visits():
    evidence = bp.load_evidence().filter(population=bp.BACK_PAIN)
    effects = effects_over_time(evidence, "pain_intensity")
    return effects.against_inactive()


def test_one_visit_a_trial_is_the_plain_network(visits):
    first = visits.select(~visits.table.duplicated(["trial_id", "arm_id"]), "later")
    lump = bp.lumping("broad")
    plain = network(first, reference="inactive", lump=lump)
    course = network_course(first, reference="inactive", lump=lump)
    assert_allclose(course.params.to_numpy(), plain.params.to_numpy(), rtol=1e-6)
    assert_allclose(course.tau2, plain.tau2, rtol=1e-5)


def test_courses_are_recovered_and_kept_to_the_weeks_studied(visits):
    """Exact effects of -2 - 0.1 a week for one type, -5 flat for the others."""
    table = visits.table
    lump = bp.lumping("exercise") | {"yoga": "yoga"}
    weeks = table["weeks"].astype(float)
    yoga = table["treatment"] == "yoga"
    exact = table.assign(yi=np.where(yoga, -2 - 0.1 * weeks, -5.0))
    made = bp.Effects(exact, visits.covariance, visits.excluded, visits.outcome, visits.measure)
    course = network_course(made, curve="step + linear", lump=lump, method="CE")
    typical = course.curve.typical
    assert_allclose(course.params["yoga: dose"], -0.1, atol=1e-9)
    assert_allclose(course.params["yoga: any exercise"], -2 - 0.1 * typical, atol=1e-9)
    assert_allclose(course.effects(12)["estimate"].sort_index(), [-5, -3.2], atol=1e-9)
    assert course.studied["yoga"] == (weeks[yoga].min(), weeks[yoga].max())
    late = weeks.max()
    if weeks[yoga].max() < late:
        assert "yoga" not in course.effects(late).index
    with pytest.raises(CannotEstimate, match="around week 999"):
        course.effects(999)
