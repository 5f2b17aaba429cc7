"""Fit, variance partition, trials' own curves, leaving out, bootstrap."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import linalg, stats

from backpain_analysis.models.dose.fit import dose_response


@pytest.fixture(scope="module")
def data(reference_table):
    return reference_table("dose")


@pytest.fixture(scope="module")
def result(data):
    return dose_response(data, curve="quadratic")


def dense(result):
    """y, X, sampling covariance and marginal covariance with dense matrices."""
    table = result.points
    basis = result.curve.basis(table["dose"].to_numpy()) - result.curve.basis(
        table["ref_dose"].to_numpy()
    )
    S = linalg.block_diag(*result.effects.covariance)
    same = table["trial_id"].to_numpy()[:, None] == table["trial_id"].to_numpy()
    V = S + same * (basis @ result.psi.to_numpy() @ basis.T)
    return table["yi"].to_numpy(), basis, S, V


def test_goodness_of_fit_from_dense_matrices(result):
    """Whatever the method, at the common-effect coefficients, where the deviance is smallest."""
    y, X, S, _ = dense(result)
    weighted = np.linalg.solve(S, X)
    e = y - X @ np.linalg.solve(weighted.T @ X, weighted.T @ y)
    deviance, total = e @ np.linalg.solve(S, e), y @ np.linalg.solve(S, y)
    found = result.goodness_of_fit()
    df = len(y) - 2
    assert_allclose(found["deviance"], deviance, rtol=1e-8)
    assert_allclose(found["r2"], 1 - deviance / total, rtol=1e-8)
    assert_allclose(found["adjusted_r2"], 1 - deviance / total * len(y) / df, rtol=1e-8)
    assert_allclose(found["p_value"], stats.chi2.sf(deviance, df), rtol=1e-6)


def test_variance_partition_by_its_definition(result):
    _, _, S, V = dense(result)
    found = result.variance_partition()
    between = np.diag(V) - np.diag(S)
    assert_allclose(found["between"], between, rtol=1e-8)
    assert_allclose(found["vpc"], between / np.diag(V), rtol=1e-8)
    at = result.variance_partition([0, 100])
    assert at["vpc"].iloc[0] == 0
    z = result.curve.basis(np.array([100.0]))[0]
    assert_allclose(at["between"].iloc[1], z @ result.psi.to_numpy() @ z)


def test_trial_curves_are_the_blups(result):
    """B + u with u = Psi Z'V^-1 (y - Xb); errors from the joint prediction variance."""
    y, X, _, V = dense(result)
    b, psi = result.params.to_numpy(), result.psi.to_numpy()
    W, C = np.linalg.inv(V), result.cov.to_numpy()
    table = result.points
    trial = table["trial_id"].iloc[0]
    own = (table["trial_id"] == trial).to_numpy()
    Z = X * own[:, None]
    u = psi @ Z.T @ W @ (y - X @ b)
    basis = result.curve.basis(np.array([150.0]))[0]
    row = result.trial_curves([150]).query("trial_id == @trial").iloc[0]
    assert_allclose(row["estimate"], basis @ (b + u), rtol=1e-8)
    A = psi @ Z.T @ W
    G = np.eye(2) - A @ Z
    joint = psi - A @ Z @ psi + G @ C @ G.T
    assert_allclose(row["se"], np.sqrt(basis @ joint @ basis), rtol=1e-7)


def test_leaving_out_is_refitting(result, data):
    found = result.leave_one_out([120]).set_index("trial_id")
    first = data["trial_id"].iloc[0]
    without = dose_response(data[data["trial_id"] != first], curve="quadratic")
    assert_allclose(found.loc[first, "estimate"], without.predict([120])["estimate"], rtol=1e-9)
    assert len(found) == data["trial_id"].nunique()


def test_bootstrap_spreads_as_the_standard_errors(data):
    """Common effect: the estimator is linear, so its draws are normal with cov_params."""
    result = dose_response(data, curve="quadratic", method="CE")
    drawn = result.bootstrap(4000, seed=2)
    assert_allclose(drawn.mean(), result.params, atol=4 * result.bse.max() / np.sqrt(4000))
    assert_allclose(drawn.std(), result.bse, rtol=0.05)
    assert drawn.equals(result.bootstrap(4000, seed=2))


def test_bootstrap_of_random_effects(result):
    drawn = result.bootstrap(300, seed=3)
    assert_allclose(drawn.std(), result.bse, rtol=0.25)
    with pytest.raises(ValueError, match="shape parameters"):
        dose_response(result.effects, curve="emax").bootstrap(2)
