"""The likelihood of the longitudinal model against dense matrices, statsmodels, and itself."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from numpy.testing import assert_allclose
from scipy import stats

from backpain_analysis.models.dose.curves import rcs
from backpain_analysis.models.people import longitudinal_sums
from backpain_analysis.models.people.longitudinal import longitudinal
from backpain_analysis.models.people.longitudinal_likelihood import evaluate
from backpain_analysis.models.people.longitudinal_sums import Tally
from backpain_analysis.models.people.visits import person_codes
from tests.models.people.made_visits import made_visits
from tests.models.people.sloped_visits import sloped


@pytest.fixture
def visits() -> pd.DataFrame:
    return sloped(3)


def dense(rows, X, result, reml):
    """Log-likelihood, coefficients and covariance from one dense covariance matrix."""
    rows = rows.reset_index(drop=True)
    Z = np.column_stack([np.ones(len(rows)), rows["week"]])[:, : len(result.random_cov)]
    people = person_codes(rows)
    V = (Z @ result.random_cov.to_numpy() @ Z.T) * (people[:, None] == people)
    trial = rows["trial_id"].to_numpy()
    V = V + (result.trial_variance or 0.0) * (trial[:, None] == trial)
    V = V + result.sigma2 * np.eye(len(rows))
    W = np.linalg.inv(V)
    cov = np.linalg.inv(X.T @ W @ X)
    beta = cov @ X.T @ W @ rows["value"]
    llf = stats.multivariate_normal(X @ beta, V).logpdf(rows["value"])
    if reml:
        llf += 0.5 * np.linalg.slogdet(cov)[1] + 0.5 * X.shape[1] * np.log(2 * np.pi)
    return llf, beta, cov


@pytest.mark.parametrize("trial_effect", ["fixed", "random", None])
@pytest.mark.parametrize("random", ["slope", "intercept"])
@pytest.mark.parametrize("method", ["REML", "ML"])
def test_likelihood_and_estimates_are_those_of_one_dense_matrix(
    visits, trial_effect, random, method
):
    result = longitudinal(
        visits, covariates=["age"], trial_effect=trial_effect, random=random, method=method
    )
    rows = visits.dropna()
    X = np.column_stack([rows["week"], rows["age"], rows["dose"] * rows["week"]])
    fixed = trial_effect == "fixed"
    first = pd.get_dummies(rows["trial_id"]) if fixed else np.ones((len(rows), 1))
    X = np.column_stack([X, first]).astype(float)
    llf, beta, cov = dense(rows, X, result, method == "REML")
    names = ["week", "age", "dose:week", *["Intercept"] * (not fixed)]
    size = len(names)
    assert_allclose(result.llf, llf, atol=1e-7)
    assert_allclose(result.params[names], beta[:size], rtol=1e-6)
    assert_allclose(result.cov_params().loc[names, names], cov[:size, :size], rtol=1e-6, atol=1e-12)
    variances = {"slope": 3, "intercept": 1}[random] + 1 + (trial_effect == "random")
    assert_allclose(result.aic, -2 * llf + 2 * (X.shape[1] + variances), atol=1e-6)


@pytest.mark.parametrize(("seed", "reml"), [(1, True), (2, False), (3, True), (4, False)])
def test_random_problems_as_in_statsmodels(seed, reml):
    visits = sloped(seed)
    visits["week"] /= 10
    rows = visits.dropna()
    model = smf.mixedlm(
        "value ~ trial_id + week + dose:week", rows, groups=person_codes(rows), re_formula="~week"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = model.fit(reml=reml)
    result = longitudinal(visits, method="REML" if reml else "ML")
    assert peer.llf - 1e-7 <= result.llf < peer.llf + 1e-4
    assert_allclose(result.params["dose:week"], peer.params["dose:week"], rtol=1e-3)
    assert_allclose(np.diag(result.random_cov), np.diag(peer.cov_re), rtol=0.02)
    assert_allclose(result.sigma2, peer.scale, rtol=0.01)


@pytest.mark.parametrize("trial_effect", ["fixed", "random", None])
@pytest.mark.parametrize("reml", [True, False])
def test_derivatives_against_finite_differences(visits, trial_effect, reml):
    rows = visits.dropna()
    X = np.column_stack([np.ones(len(rows)), rows["week"], rows["dose"] * rows["week"]])
    fixed = trial_effect == "fixed"
    tally = Tally("slope", trial_effect, ["Intercept", "week", "dose:week"][fixed:])
    tally.add(rows, X[:, fixed:], person_codes(rows))
    sums, step = tally.finish(), 1e-5
    at = np.array([1.2, 0.3, 0.7, *[0.4] * (trial_effect == "random")])
    here = evaluate(sums, at, reml=reml)
    steps = step * np.eye(len(at))
    ahead = [evaluate(sums, at + move, reml=reml) for move in steps]
    behind = [evaluate(sums, at - move, reml=reml) for move in steps]
    pairs = list(zip(ahead, behind, strict=True))
    gradient = [(one.llf - other.llf) / (2 * step) for one, other in pairs]
    hessian = [(one.gradient - other.gradient) / (2 * step) for one, other in pairs]
    assert_allclose(here.gradient, gradient, rtol=1e-6, atol=1e-6)
    assert_allclose(here.hessian, hessian, rtol=1e-6, atol=1e-6)


def test_balanced_data_have_the_variances_of_the_analysis_of_variance():
    """REML of the random intercept: within mean square, and (between - within) / visits."""
    rng = np.random.default_rng(8)
    people, weeks = 30, np.array([0.0, 4.0, 8.0])
    scores = 50 - weeks + rng.normal(0, 6, (people, 1)) + rng.normal(0, 4, (people, 3))
    visits = pd.DataFrame(
        {
            "trial_id": "t",
            "participant_id": np.repeat(np.arange(people), 3),
            "week": np.tile(weeks, people),
            "dose": 0.0,
            "value": scores.ravel(),
        }
    )
    result = longitudinal(visits, formula="~ C(week)", trial_effect=None, random="intercept")
    residual = scores - scores.mean(axis=0) - scores.mean(axis=1, keepdims=True) + scores.mean()
    within = np.sum(residual**2) / (2 * (people - 1))
    between = 3 * np.var(scores.mean(axis=1), ddof=1)
    assert_allclose(result.sigma2, within, rtol=1e-7)
    assert_allclose(result.random_cov.iloc[0, 0], (between - within) / 3, rtol=1e-6)


def test_units_do_not_matter(visits):
    plain = longitudinal(visits, covariates=["age"], curve="quadratic", method="ML")
    other = visits.assign(
        value=visits["value"] * 0.01,
        dose=visits["dose"] / 6e4,
        week=visits["week"] * 7e3,
        age=visits["age"] * 1e5 + 1e6,
    )
    scaled = longitudinal(other, covariates=["age"], curve="quadratic", method="ML")
    one, two = plain.predict([60], [12]), scaled.predict([60 / 6e4], [12 * 7e3])
    names = ["estimate", "se", "ci_low", "ci_high"]
    assert_allclose(two[names], one[names] * 0.01, rtol=1e-6)
    assert_allclose(scaled.llf, plain.llf - plain.n_visits * np.log(0.01), atol=1e-6)
    back = np.diag([0.01, 0.01 / 7e3])
    assert_allclose(scaled.random_cov, back @ plain.random_cov @ back, rtol=1e-4)


def in_chunks(visits, size):
    people = person_codes(visits)
    for first in range(0, people.max() + 1, size):
        yield visits[(people >= first) & (people < first + size)]


@pytest.mark.parametrize("trial_effect", ["fixed", "random", None])
@pytest.mark.parametrize("random", ["slope", "intercept"])
@pytest.mark.parametrize("irregular", [False, True])
def test_chunks_give_what_the_whole_gives(visits, monkeypatch, trial_effect, random, irregular):
    if irregular:
        shift = np.random.default_rng(1).uniform(0, 2, len(visits))
        visits = visits.assign(week=visits["week"] + shift * (visits["week"] > 0))
    options = {"trial_effect": trial_effect, "random": random, "covariates": ["sex", "age"]}
    options |= {"curve": rcs([0, 60, 120])}
    whole = longitudinal(visits, **options)
    monkeypatch.setattr(longitudinal_sums, "HELD", 25)
    parts = longitudinal(in_chunks(visits, 30), **options)
    assert_allclose(parts.params, whole.params, rtol=1e-6)
    assert_allclose(parts.cov_params(), whole.cov_params(), rtol=1e-6, atol=1e-15)
    assert_allclose(parts.llf, whole.llf, atol=1e-7)
    assert_allclose(parts.random_cov, whole.random_cov, rtol=1e-5)
    for name in ("n_trials", "n_participants", "n_visits", "n_excluded", "max_dose", "max_week"):
        assert getattr(parts, name) == getattr(whole, name)
    pd.testing.assert_frame_equal(parts.left_out, whole.left_out)


def test_sums_need_no_more_memory_than_there_are_schedules():
    visits = made_visits(n=400, trials=2, seed=2)
    tally = Tally("slope", "fixed", ["week"])
    tally.add(visits, visits[["week"]].to_numpy(), person_codes(visits))
    sums = tally.finish()
    assert tally.n_participants == 800
    columns = 1 + 2 * 2
    assert len(sums.weight) == 2 * columns
    assert_allclose(np.sum(sums.weight**2), 800)


def residuals(visits, keep):
    """Scores whose part along `keep` (n_visits a participant, a projection) is all there is."""
    people, count = person_codes(visits).max() + 1, len(np.unique(visits["week"]))
    noise = np.random.default_rng(4).normal(0, 5, (people, count)) @ keep
    mean = 50 + 0.1 * visits["week"] - 0.01 * visits["dose"] * visits["week"]
    return visits.assign(value=mean + noise.ravel())


@pytest.fixture
def balanced():
    made = made_visits(n=30, trials=2, weeks=(0.0, 4.0, 8.0, 12.0))
    return made.sort_values(["trial_id", "participant_id", "week"], ignore_index=True)


@pytest.mark.parametrize("method", ["REML", "ML"])
def test_slopes_that_do_not_vary_have_variance_zero(balanced, method):
    week = np.array([-6.0, -2.0, 2.0, 6.0]) / np.sqrt(80)
    visits = residuals(balanced, np.eye(4) - 0.95 * np.outer(week, week))
    visits["value"] += np.repeat(np.random.default_rng(6).normal(0, 9, 60), 4)
    result = longitudinal(visits, method=method)
    without = longitudinal(visits, method=method, random="intercept")
    assert np.linalg.matrix_rank(result.random_cov, tol=1e-6) == 1
    assert result.llf >= without.llf - 1e-8
    assert np.isfinite(result.bse).all()
    assert np.isfinite(result.predict()).all(axis=None)


@pytest.mark.parametrize("random", ["slope", "intercept"])
def test_participants_that_do_not_differ_leave_ordinary_least_squares(balanced, random):
    keep = np.eye(4) - 0.25 * np.ones((4, 4))
    week = np.array([-6.0, -2.0, 2.0, 6.0]) / np.sqrt(80)
    visits = residuals(balanced, keep - np.outer(week, week))
    result = longitudinal(visits, random=random, method="ML")
    ordinary = smf.ols("value ~ trial_id + week + dose:week", visits).fit()
    assert_allclose(result.llf, ordinary.llf, atol=1e-7)
    assert_allclose(result.random_cov, 0, atol=1e-8)
    assert_allclose(result.params["dose:week"], ordinary.params["dose:week"], rtol=1e-7)
