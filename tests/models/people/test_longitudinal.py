"""The longitudinal mixed model: the numbers of lme4, what results tell, what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from backpain_analysis.engine.search import ConvergenceError
from backpain_analysis.models.people.longitudinal import longitudinal
from backpain_analysis.models.people.longitudinal_likelihood import evaluate
from backpain_analysis.models.people.longitudinal_sums import Tally
from backpain_analysis.models.people.visits import person_codes
from tests.models.people.made_visits import made_visits
from tests.models.people.sloped_visits import sloped

LME4 = {"outcome": "pain", "dose": "minutes_per_week"}
LME4 |= {"formula": "pain ~ week * minutes_per_week + age"}
NAMES = ["Intercept", "week", "minutes_per_week", "age", "week:minutes_per_week"]


@pytest.fixture(scope="module")
def table(reference_table) -> pd.DataFrame:
    return reference_table("participants")


@pytest.fixture
def visits() -> pd.DataFrame:
    return sloped(3)


def test_random_intercepts_of_participants_and_trials_as_in_lme4(table, reference):
    expected = reference["participants"]["nested"]
    result = longitudinal(table, **LME4, random="intercept", trial_effect="random")
    assert list(result.params.index) == NAMES
    assert_allclose(result.params, expected["b"], rtol=1e-5)
    assert_allclose(result.bse, expected["se"], rtol=1e-5)
    assert_allclose(result.llf, expected["ll"], atol=1e-6)
    variances = [component["vcov"] for component in expected["varcorr"]]
    assert_allclose(result.variance_components["variance"], variances, rtol=1e-4)
    assert_allclose(result.variance_components["sd"].iloc[-1], expected["sigma"], rtol=1e-5)
    assert (result.n_trials, result.n_participants, result.n_visits) == (6, 360, 1620)


def test_random_slopes_as_in_lme4_or_better(table, reference):
    """lme4 warned that it had not converged, so its estimates are near ours but not equal."""
    expected = reference["participants"]["random_slope"]
    result = longitudinal(table, **LME4, trial_effect=None)
    assert_allclose(result.params, expected["b"], rtol=1e-4)
    assert_allclose(result.bse, expected["se"], rtol=5e-4)
    assert expected["ll"] <= result.llf < expected["ll"] + 1e-3
    found = [*np.diag(result.random_cov), result.random_cov.iloc[0, 1], result.sigma2]
    assert_allclose(found, [part["vcov"] for part in expected["varcorr"]], rtol=0.01)


def test_at_the_variances_of_lme4_the_likelihood_and_estimates_are_those_of_lme4(table, reference):
    expected = reference["participants"]["random_slope"]
    intercept, slope, covariance, sigma2 = (part["vcov"] for part in expected["varcorr"])
    X = np.column_stack([np.ones(len(table)), table["week"], table["minutes_per_week"]])
    X = np.column_stack([X, table["age"], table["week"] * table["minutes_per_week"]])
    tally = Tally("slope", None, NAMES)
    tally.add(table.rename(columns={"pain": "value"}), X, person_codes(table))
    sums, scale = tally.finish(), tally.scale
    there = np.array([[1.0, scale.week], [0.0, scale.weeks]])
    psi = there @ [[intercept, covariance], [covariance, slope]] @ there.T / sigma2
    point = evaluate(sums, np.array([psi[0, 0], psi[1, 0], psi[1, 1]]), reml=True)
    beta, cov = scale.coefficients(point.beta, point.cov_beta)
    assert_allclose(beta, expected["b"], rtol=1e-7)
    assert_allclose(np.sqrt(np.diag(cov)), expected["se"], rtol=1e-6)
    assert_allclose(scale.llf(point.llf, sums.residual_df(True), True), expected["ll"], atol=1e-6)
    assert_allclose(point.sigma2 * scale.residual**2, sigma2, rtol=1e-6)


def test_curves_give_the_same_model_as_the_formula(table):
    by_formula = longitudinal(table, **LME4, trial_effect=None)
    names = {"outcome": "pain", "dose": "minutes_per_week", "covariates": ["age"]}
    result = longitudinal(table, **names, main_effect=True, trial_effect=None)
    assert list(result.params.index) == ["Intercept", "week", "dose", "age", "dose:week"]
    assert_allclose(result.params, by_formula.params, rtol=1e-7)
    assert_allclose(result.cov_params(), by_formula.cov_params(), rtol=1e-6)
    one, other = (fit.predict([60, 120], [0, 12], 30) for fit in (result, by_formula))
    assert_allclose(one, other, rtol=1e-6)


def test_predictions_are_the_curve_times_the_time(visits):
    result = longitudinal(visits, curve="quadratic", time="log")
    b = result.params
    assert list(b.index) == ["log(1 + week)", "dose:log(1 + week)", "dose^2:log(1 + week)"]
    linear, square = b["dose:log(1 + week)"], b["dose^2:log(1 + week)"]
    by_hand = np.log(9) * (linear * (90 - 30) + square * (90**2 - 30**2))
    row = result.effect(90, 8, reference=30)
    assert_allclose(row["estimate"], by_hand, rtol=1e-9)
    weights = np.log(9) * np.array([0, 60, 90**2 - 30**2])
    assert_allclose(row["se"], np.sqrt(weights @ result.cov_params() @ weights), rtol=1e-9)
    assert result.df == 96 - 4 - 3
    half = stats.t.ppf(0.975, 89) * row["se"]
    assert_allclose([row["ci_low"], row["ci_high"]], [by_hand - half, by_hand + half], rtol=1e-8)
    at_0 = result.predict([50, 100], [0.0])
    assert (at_0[["estimate", "se"]] == 0).all(axis=None)
    assert result.predict()["week"].unique().tolist() == [12.0]


def test_wald_tests(visits):
    result = longitudinal(visits, curve="quadratic", test="z")
    assert np.isinf(result.df)
    names = ["dose:week", "dose^2:week"]
    cov = result.cov_params().loc[names, names]
    wald = result.params[names] @ np.linalg.solve(cov, result.params[names])
    assert_allclose(result.test_dose()["p_value"], stats.chi2.sf(wald, 2), rtol=1e-8)
    z = result.params["dose^2:week"] / result.bse["dose^2:week"]
    test = result.test_nonlinearity()
    assert_allclose(test["p_value"], 2 * stats.norm.sf(abs(z)), rtol=1e-8)
    with pytest.raises(ValueError, match="no curve of several terms: nothing to test"):
        longitudinal(visits).test_nonlinearity()


def test_a_formula_can_let_the_effect_depend_on_a_moderator(visits):
    result = longitudinal(visits, formula="week + dose:week + dose:week:age + sex")
    b = result.params
    assert "Intercept" not in b
    young, old = (result.effect(120, 12, at={"age": age})["estimate"] for age in (30, 70))
    assert_allclose(old - young, 120 * 12 * 40 * b["dose:week:age"], rtol=1e-8)
    mean_age = visits.dropna()["age"].mean()
    middle = 120 * 12 * (b["dose:week"] + mean_age * b["dose:week:age"])
    assert_allclose(result.effect(120, 12)["estimate"], middle, rtol=1e-8)
    with pytest.raises(ValueError, match="no moderator bmi; the formula has: age, sex"):
        result.predict([1], [1], at={"bmi": 3})
    with pytest.raises(ValueError, match="the formula has no 'dose'"):
        longitudinal(visits, formula="week + sex").predict([1], [1])
    with pytest.raises(ValueError, match="does not depend on age: give formula="):
        longitudinal(visits).predict([1], [1], at={"age": 3})


def test_what_is_left_out_is_counted():
    visits = made_visits(n=10, trials=2)
    person = visits["participant_id"]
    visits.loc[(person == "p1") & (visits["trial_id"] == "t0"), "value"] = np.nan
    visits.loc[(person == "p2") & (visits["week"] > 0), "age"] = np.nan
    result = longitudinal(visits, covariates=["age"])
    assert result.left_out.to_dict("records") == [
        {"reason": "age missing", "visits": 4, "participants": 2},
        {"reason": "value missing", "visits": 3, "participants": 1},
    ]
    assert result.excluded.to_dict("records") == [
        {"trial_id": "t0", "participant_id": "p1", "reason": "no complete visit"}
    ]
    assert (result.n_excluded, result.n_visits, result.n_participants) == (7, 53, 19)
    assert "7 visits left out" in result._repr_html_()


def test_visits_before_week_0_are_baseline(visits):
    early = visits.assign(week=visits["week"].where(visits["week"] > 0, -1.5))
    assert_allclose(longitudinal(early).params, longitudinal(visits).params, rtol=1e-9)


def test_baseline_adjusts_only_without_its_own_scores(visits):
    with pytest.raises(ValueError, match="baseline is an outcome of this model"):
        longitudinal(visits, covariates=["baseline"])
    first = visits[visits["week"] == 0].set_index(["trial_id", "participant_id"])["value"]
    later = visits[visits["week"] > 0].join(
        first.rename("baseline"), on=["trial_id", "participant_id"]
    )
    assert "baseline" in longitudinal(later, covariates=["baseline"]).params


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"random": "slopes", "method": "PM"}, "unknown random 'slopes'.*; unknown method 'PM'"),
        ({"trial_effect": "none"}, "use one of fixed, random, None"),
        ({"level": 95}, "level 95 must lie between 0 and 1"),
        ({"formula": "value ~ week + (week | participant_id)"}, "random effects are chosen by"),
        ({"formula": "~ dose", "covariates": ["age"]}, "the formula gives the whole fixed part"),
        ({"covariates": ["age", "twice"]}, "'twice' of the model is a comb|'age' of the model is"),
        ({"covariates": ["region"]}, "'region' of the model does not vary within any trial"),
        ({"curve": "emax"}, "the shape of a emax curve cannot be estimated here"),
    ],
)
def test_faults_say_what_to_do(visits, options, message):
    visits = visits.assign(
        twice=2 * visits["age"] + 1, region=visits["trial_id"].str[1].astype(int)
    )
    with pytest.raises(ValueError, match=message):
        longitudinal(visits, **options)


def test_visits_that_cannot_tell_the_variances_apart(visits):
    with pytest.raises(ValueError, match="no participant has two complete visits"):
        longitudinal(visits[visits["week"] == 12], formula="~ dose")
    with pytest.raises(ValueError, match=r"week 0 and 12 only .* random='intercept'"):
        longitudinal(visits[visits["week"].isin([0, 12])])
    with pytest.raises(ValueError, match="one trial has no variance between trials"):
        longitudinal(visits[visits["trial_id"] == "t0"], trial_effect="random")
    with pytest.raises(ValueError, match=r"no visit is complete: value missing at \d+ visits"):
        longitudinal(visits.assign(value=np.nan))
    exact = visits.assign(value=1.0 + 2 * visits["week"])
    with pytest.raises((ValueError, ConvergenceError), match=r"do not vary beyond|no maximum"):
        longitudinal(exact)


def test_faults_of_chunks(visits):
    with pytest.raises(ValueError, match=r"\d+ participants have visits in more than one chunk"):
        longitudinal([visits[visits["week"] < 6], visits[visits["week"] > 6]])
    with pytest.raises(ValueError, match="a rcs curve takes its shape from all data"):
        longitudinal([visits], curve="rcs")
    halves = [visits[visits["sex"] == "male"], visits[visits["sex"] == "female"]]
    with pytest.raises(ValueError, match="category 'female' was not in the data"):
        longitudinal(halves, covariates=["sex"])
    with pytest.raises(ValueError, match="an int is no table of visits"):
        longitudinal(3)


def test_the_result_reads_as_others_do(visits):
    result = longitudinal(visits, trial_effect="random")
    assert list(result.summary()) == ["estimate", "se", "ci_low", "ci_high", "p_value"]
    html = result._repr_html_()
    assert "linear in dose, linear in time" in html
    assert "trial: intercept" in html
    components = result.variance_components.set_index("component")
    cov = result.random_cov.to_numpy()
    expected = cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1])
    assert_allclose(components.loc["participant: slope", "correlation"], expected)
    assert result.plot(weeks=[4, 12]).get_xlabel() == "Dose"
