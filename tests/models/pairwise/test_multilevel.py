"""Multilevel models and robust covariance against metafor and clubSandwich."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.engine.robust import robust_covariance
from backpain_analysis.engine.sampling import sampling_covariance
from backpain_analysis.models.pairwise.multilevel import multilevel

NESTED = ["trial_id/effect_id"]


@pytest.fixture(scope="module")
def data(reference_table):
    return reference_table("multilevel")


def fitted(data, *, scale=1.0, weeks=1.0):
    data = data.assign(yi=data["yi"] * scale, vi=data["vi"] * scale**2, weeks=data["weeks"] * weeks)
    V = sampling_covariance("vi", "trial_id", rho=0.6, data=data)
    return multilevel("yi ~ weeks + outcome", data, V=V, random=NESTED)


def check(result, expected):
    assert_allclose(result.params, expected["b"], rtol=1e-6)
    assert_allclose(result.bse, expected["se"], rtol=1e-6)
    assert_allclose(result.sigma2, expected["sigma2"], rtol=1e-6)
    assert_allclose([result.llf, result.q], [expected["ll"], expected["QE"]], rtol=1e-9)


def test_three_levels(data, reference):
    expected = reference["three_level"]
    result = multilevel("yi ~ 1", data, V="vi", random=NESTED)
    check(result, {**expected, "b": [expected["b"]], "se": [expected["se"]]})


def test_correlated_sampling_errors(data, reference):
    result, expected = fitted(data), reference["multilevel_V"]
    check(result, expected)
    assert_allclose(result.cov_params(), expected["vcov"], rtol=2e-6)


def test_units_do_not_matter(data, reference):
    expected = reference["multilevel_V"]
    result = fitted(data, scale=1000.0, weeks=1 / 52)
    units = np.array([1000.0, 52_000.0, 1000.0])
    assert_allclose(result.params / units, expected["b"], rtol=1e-6)
    assert_allclose(result.bse / units, expected["se"], rtol=1e-6)
    assert_allclose(result.sigma2 / 1e6, expected["sigma2"], rtol=1e-6)


def test_cr2_with_satterthwaite(data, reference):
    result, expected = fitted(data).robust("trial_id"), reference["multilevel_CR2"]
    assert_allclose(result.bse, expected["se"], rtol=1e-6)
    assert_allclose(result.df, expected["df"], rtol=1e-6)
    assert_allclose(result.pvalues, expected["p"], rtol=1e-6)
    interval = result.conf_int()
    assert_allclose(interval["ci_low"], expected["ci_lb"], rtol=1e-6)
    assert_allclose(interval["ci_high"], expected["ci_ub"], rtol=1e-6)


def test_cr1(data, reference):
    result, expected = fitted(data).robust("trial_id", "CR1"), reference["multilevel_CR1"]
    assert_allclose(result.bse, expected["se"], rtol=1e-6)
    assert_allclose(result.df, expected["df"])
    assert_allclose(result.pvalues, expected["p"], rtol=1e-6)


def test_kinds_differ_by_their_factors(data):
    """22 trials, 3 coefficients: sqrt(22/19) for CR1, sqrt(22 N / (21 (N - 3))) for CR1S."""
    result = fitted(data)
    plain = result.robust("trial_id", "CR0").bse
    m, n = 22, len(data)
    assert_allclose(result.robust("trial_id", "CR1").bse, plain * np.sqrt(m / (m - 3)))
    factor = np.sqrt(m * n / ((m - 1) * (n - 3)))
    assert_allclose(result.robust("trial_id", "CR1S").bse, plain * factor)


def test_satterthwaite_against_its_definition(data):
    """The linear-time sum equals the double sum over clusters with full N x N matrices."""
    result = fitted(data)
    model, labels = result.engine, data["trial_id"].to_numpy()
    n, p = model.X.shape
    V = np.zeros((n, n))
    for rows, W in zip(model.blocks.batches, model.precision, strict=True):
        for own, block in zip(rows, W, strict=True):
            V[np.ix_(own, own)] = np.linalg.inv(block)
    W, C, X = np.linalg.inv(V), model.cov_beta, model.X
    residual_maker = np.eye(n) - X @ C @ X.T @ W
    columns = []
    for label in dict.fromkeys(labels):
        g = np.flatnonzero(labels == label)
        D = np.linalg.cholesky(V[np.ix_(g, g)]).T
        inner = D @ (residual_maker @ V @ residual_maker.T)[np.ix_(g, g)] @ D.T
        values, vectors = np.linalg.eigh(inner)
        A = D.T @ (vectors / np.sqrt(values)) @ vectors.T @ D
        columns.append(residual_maker[g].T @ A @ (W @ X)[g] @ C)
    columns = np.stack(columns)
    for c in range(p):
        q = columns[:, :, c]
        S = q @ V @ q.T
        df = robust_covariance(model, labels).df(np.eye(p))
        assert_allclose(df[c], np.trace(S) ** 2 / np.sum(S**2), rtol=1e-8)


def test_random_slope_is_free_of_units(data):
    one = multilevel("yi ~ weeks", data, V="vi", random=["weeks | trial_id"])
    years = data.assign(weeks=data["weeks"] / 52)
    other = multilevel("yi ~ weeks", years, V="vi", random=["weeks | trial_id"])
    assert_allclose(one.llf, other.llf, rtol=1e-9)
    psi, scaled = one.psi["weeks | trial_id"], other.psi["weeks | trial_id"]
    assert list(psi.columns) == ["Intercept", "weeks"]
    assert_allclose(psi * np.outer([1, 52], [1, 52]), scaled, rtol=1e-4, atol=1e-8)


def test_crossed_terms_make_one_block(data):
    """Two crossed groupings connect the trials; the likelihood is that of the dense normal."""
    few = data.iloc[:12].assign(site=[*"abcabcabcabc"])
    result = multilevel("yi ~ 1", few, V="vi", random=["trial_id", "site"])
    assert result.n_clusters == 1
    same = [few[name].to_numpy()[:, None] == few[name].to_numpy() for name in ("trial_id", "site")]
    V = np.diag(few["vi"]) + sum(s * k for s, k in zip(result.sigma2, same, strict=True))
    ones = np.ones((12, 1))
    weight = ones.T @ np.linalg.solve(V, ones)
    assert_allclose(result.params, np.linalg.solve(weight, ones.T @ np.linalg.solve(V, few["yi"])))


def test_predictions_follow_the_formula(data):
    result = fitted(data)
    new = pd.DataFrame({"weeks": [10.0], "outcome": ["pain"]}, index=["x"])
    table = result.predict(new)
    assert_allclose(table.loc["x", "estimate"], result.params @ [1, 10, 1])


def test_missing_values_are_counted(data):
    holes = data.assign(weeks=data["weeks"].where(data.index != 3))
    result = multilevel("yi ~ weeks", holes, V="vi", random=["trial_id"])
    assert result.dropped == (3,)
    assert result.n_rows == len(data) - 1
    V = sampling_covariance("vi", "trial_id", rho=0.6, data=data)
    with pytest.raises(ValueError, match="rows 3 have missing values"):
        multilevel("yi ~ weeks", holes, V=V, random=["trial_id"])


def test_faults_say_what_to_do(data):
    with pytest.raises(ValueError, match="no column 'dose', 'site'; the data have trial_id"):
        multilevel("yi ~ dose", data, V="vi", random=["site"])
    with pytest.raises(ValueError, match=r"row 0 \(-1\.0\)"):
        sampling_covariance([-1.0, 1.0], ["a", "b"], rho=0.5)
    with pytest.raises(ValueError, match=r"must lie between -0\.5 and 1"):
        sampling_covariance([1.0, 1.0, 1.0], ["a"] * 3, rho=-0.9)
    result = multilevel("yi ~ 1", data, V="vi", random=["trial_id"])
    with pytest.raises(ValueError, match="cuts through a trial"):
        result.robust(np.arange(len(data)))
    with pytest.raises(ValueError, match="unknown kind 'CR9'"):
        result.robust("trial_id", "CR9")


def test_names_of_labels_do_not_matter(data):
    """New names for trials, in another alphabetical order, change nothing."""
    names = {name: f"{99 - i}-{name}" for i, name in enumerate(data["trial_id"].unique())}
    renamed = data.assign(trial_id=data["trial_id"].map(names))
    one, other = fitted(data).robust("trial_id"), fitted(renamed).robust("trial_id")
    assert_allclose(one.params, other.params, rtol=1e-10)
    assert_allclose(one.bse, other.bse, rtol=1e-10)
    assert_allclose(one.llf, other.llf, rtol=1e-12)


def test_a_trial_split_in_two_labels_is_two_trials(data):
    """Splitting a label of a model without random effects or correlation changes nothing."""
    split = data.assign(trial_id=data["trial_id"] + data["effect_id"])
    options = {"V": "vi", "random": ["trial_id"], "method": "CE"}
    one, other = (multilevel("yi ~ weeks", d, **options) for d in (data, split))
    assert_allclose(one.params, other.params, rtol=1e-10)
    assert_allclose(one.bse, other.bse, rtol=1e-10)
    assert other.n_clusters == len(data)
