"""Dose-response curves with priors, against quadrature by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.polynomial.legendre import leggauss
from numpy.testing import assert_allclose
from scipy import stats
from scipy.linalg import block_diag

from backpain_analysis.engine import priors
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.dose.curves import rcs
from backpain_analysis.models.dose.fit import dose_response


@pytest.fixture(scope="module")
def table(reference_table):
    return reference_table("dose")


def on_grid(result, psi, curve=None):
    """Log-likelihood without its coefficients' part, `X'WX` and `X'Wy`, a row a node.

    Parameters
    ----------
    psi : ndarray, shape (G, q, q)
        Covariance of the coefficients between trials, for `orthogonal` columns.
    """
    effects = result.effects
    own = result.curve if curve is None else curve
    doses = effects.table[["dose", "ref_dose"]].to_numpy(dtype=float)
    Z = own.basis(doses[:, 0]) - own.basis(doses[:, 1])
    unit = orthogonal(Z)
    y, trial = effects.table["yi"].to_numpy(), effects.table["trial_id"].to_numpy()
    V = block_diag(*effects.covariance) + (unit @ psi @ unit.T) * (trial[:, None] == trial)
    W = np.linalg.inv(V)
    log = -0.5 * (np.linalg.slogdet(V)[1] + y @ W @ y)
    return log, Z.T @ W @ Z, Z.T @ W @ y


def orthogonal(Z):
    """Columns of root mean square one, the second what it has beyond the first."""
    unit = Z / np.sqrt(np.mean(Z**2, axis=0))
    if Z.shape[1] == 2:
        beyond = unit[:, 1] - np.mean(unit[:, 0] * unit[:, 1]) * unit[:, 0]
        unit[:, 1] = beyond / np.sqrt(np.mean(beyond**2))
    return unit


def test_line(table):
    """One standard deviation: that of the effect of a typical contrast."""
    result = dose_response(table, curve="linear", prior=priors.half_normal(5))
    tau = np.arange(0.05, 30, 0.1)
    log, XWX, XWy = on_grid(result, tau[:, None, None] ** 2)
    variance = 1 / XWX[:, 0, 0]
    mean = XWy[:, 0] * variance
    log += 0.5 * XWy[:, 0] * mean + 0.5 * np.log(variance) - tau**2 / 50
    mass = np.exp(log - log.max())
    below = stats.norm.cdf(-5.0, 100 * mean, 100 * np.sqrt(variance))
    assert_allclose(result.probability_at("< -5", 100), mass @ below / mass.sum(), atol=1e-7)
    assert_allclose(result.marginal("tau").mean, mass @ tau / mass.sum(), rtol=1e-3)


def test_quadratic_with_a_correlation(table):
    """Three variance parameters, by Gauss-Legendre in each."""
    few = table[table["trial_id"].isin(table["trial_id"].unique()[:6])]
    result = dose_response(few, curve="quadratic", prior=priors.half_normal(4))
    nodes, weights = leggauss(20)
    sd = 8 * (nodes + 1)
    first, second, rho = (own.ravel() for own in np.meshgrid(sd, sd, nodes, indexing="ij"))
    mass = np.einsum("i,j,k->ijk", weights, weights, weights).ravel()
    mass = mass * np.exp(-(first**2 + second**2) / 32)
    crossed = rho * first * second
    psi = np.stack([first**2, crossed, crossed, second**2], axis=-1).reshape(-1, 2, 2)
    log, XWX, XWy = on_grid(result, psi)
    mean = np.linalg.solve(XWX, XWy[..., None])[..., 0]
    log += 0.5 * (np.sum(XWy * mean, axis=1) - np.linalg.slogdet(XWX)[1])
    mass = mass * np.exp(log - log.max())
    mass /= mass.sum()
    row = np.array([100.0, 1e4])
    deviation = np.sqrt(row @ np.linalg.inv(XWX) @ row)
    below = mass @ stats.norm.cdf((-8 - mean @ row) / deviation)
    assert_allclose(result.probability_at("< -8", 100), below, atol=2e-3)
    assert_allclose(result.marginal("tau: dose").mean, mass @ first, rtol=0.01)
    assert_allclose(result.marginal("tau: dose^2").mean, mass @ second, rtol=0.01)
    new = np.linalg.lstsq(_columns(result), orthogonal(_columns(result)))[0].T @ row
    spread = np.einsum("i,gij,j->g", new, psi, new)
    below = mass @ stats.norm.cdf((-8 - mean @ row) / np.sqrt(deviation**2 + spread))
    assert_allclose(result.probability_at("< -8", 100, new=True), below, atol=2e-3)
    assert result.error < 2e-3
    names = ["tau: dose", "tau: dose^2", "correlation of tau: dose and tau: dose^2"]
    assert list(result.between_trials().index) == names


def _columns(result):
    doses = result.effects.table[["dose", "ref_dose"]].to_numpy(dtype=float)
    return result.curve.basis(doses[:, 0]) - result.curve.basis(doses[:, 1])


def test_contrasts_have_one_tau(table):
    by_contrast = dose_response(
        table, curve="quadratic", heterogeneity="contrasts", prior=priors.half_normal(10)
    )
    assert by_contrast.model.sds == ("tau",)
    classical = dose_response(table, curve="quadratic", heterogeneity="contrasts").predict([90.0])
    mine = by_contrast.predict([90.0])
    assert abs(mine["estimate"][0] - classical["estimate"][0]) < 0.2 * classical["se"][0]
    low, high = mine.loc[0, ["pi_low", "pi_high"]]
    assert low < mine["ci_low"][0] and high > mine["ci_high"][0]


def test_reference_dose_is_exactly_zero(table):
    result = dose_response(table, curve="linear", prior=priors.half_normal(5))
    row = result.predict([30.0], reference=30.0).iloc[0]
    assert (row.drop("dose") == 0).all()
    assert list(result.predict().columns[:2]) == ["dose", "estimate"]


def test_emax_with_its_ed50(table):
    """ED50 and tau, by a grid: prior N(0, 30^2) of the height, half-normal(100) of ED50."""
    few = table[table["trial_id"].isin(table["trial_id"].unique()[:8])]
    effects = priors.normal(0, 30)
    prior = priors.Prior(priors.half_normal(5), effects, shape=priors.half_normal(100))
    result = dose_response(few, curve="emax", prior=prior)
    tau = np.arange(0.1, 20, 0.2)
    logs, below, halves = [], [], np.exp(np.linspace(-7, 6.5, 150))
    for ed50 in halves:
        log, XWX, XWy = on_grid(result, tau[:, None, None] ** 2, type(result.curve)((ed50,)))
        precision = XWX[:, 0, 0] + 1 / 900
        mean, share = XWy[:, 0] / precision, 100 / (100 + ed50)
        log += 0.5 * XWy[:, 0] * mean - 0.5 * np.log(precision)
        logs.append(log + np.log(ed50) - ed50**2 / 2e4 - tau**2 / 50)
        below.append(stats.norm.cdf((-8 - share * mean) / (share * precision**-0.5)))
    mass = np.exp(np.array(logs) - np.max(logs))
    mass /= mass.sum()
    assert_allclose(result.probability_at("< -8", 100), (mass * below).sum(), atol=1e-3)
    assert_allclose(result.marginal("ED50").mean, mass.sum(axis=1) @ halves, rtol=2e-3)
    assert_allclose(result.marginal("tau").mean, mass.sum(axis=0) @ tau, rtol=2e-3)
    assert 0 < result.probability_at("< -8", 100, new=True) < 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"curve": "piecewise"}, "a piecewise curve is not to be had"),
        ({"curve": "hill"}, "flat prior leave ED50 and Hill open"),
        ({"curve": "emax"}, "flat prior leave ED50 open"),
        ({"curve": "fp2"}, "needs its powers"),
        ({"curve": "linear", "stages": 2}, "in one stage"),
    ],
)
def test_what_is_refused(table, options, text):
    with pytest.raises(ValueError, match=text):
        dose_response(table, prior=priors.half_normal(5), **options)


def test_improper_priors_of_several_variances(table):
    with pytest.raises(CannotEstimate, match="for one heterogeneity only"):
        dose_response(table, curve="quadratic", prior=priors.uniform())


def test_six_variance_parameters(table):
    """Three terms have three variances and three correlations: they are sampled."""
    few = table[table["trial_id"].isin(table["trial_id"].unique()[:9])]
    result = dose_response(few, curve=rcs(4), prior=priors.half_normal(5))
    assert len(result.between_trials()) == 6 and 0 < result.error < 0.01
    classical = dose_response(few, curve=rcs(4), heterogeneity="contrasts")
    mine, other = (r.predict([100.0]).iloc[0] for r in (result, classical))
    assert abs(mine["estimate"] - other["estimate"]) < other["se"]
    assert result.between_trials().index[-1].endswith("spline 2 given tau: dose")


def test_every_correlation_matrix_is_as_likely(table):
    """Of three all have variance 1/4 (Lewandowski et al. 2009), also the one that follows."""
    few = table[table["trial_id"].isin(table["trial_id"].unique()[:4])]
    model = dose_response(few, curve="quadratic", prior=priors.half_normal(5)).model
    model = replace(model, sds=("a", "b", "c"), correlated=((0, 1), (0, 2), (1, 2)))
    line = np.linspace(-1, 1, 61)[:-1] + 1 / 60
    grid = np.stack(np.meshgrid(line, line, line), axis=-1).reshape(-1, 3)
    values = np.hstack([np.ones_like(grid), grid])
    mass = np.exp(model._correlation_prior(values))
    assert mass.mean() * 8 == pytest.approx(1, abs=0.01)
    covariances = model.components(values)[:, 3:]
    moments = (mass[:, None] * covariances**2).sum(axis=0) / mass.sum()
    assert_allclose(moments, 0.25, atol=0.004)


def test_hill_of_steepness_one_is_emax(table):
    few = table[table["trial_id"].isin(table["trial_id"].unique()[:8])]
    shape = {"ED50": priors.half_normal(100), "Hill": priors.log_normal(0, 1e-3)}
    prior = priors.Prior(priors.half_normal(5), priors.normal(0, 30), shape=shape)
    hill = dose_response(few, curve="hill", heterogeneity="contrasts", prior=prior)
    emax = replace(prior, shape=priors.half_normal(100))
    emax = dose_response(few, curve="emax", heterogeneity="contrasts", prior=emax)
    for dose in (30.0, 150.0):
        one, other = (r.predict([dose]).iloc[0] for r in (hill, emax))
        assert_allclose(one, other, rtol=2e-3)
    assert hill.marginal("Hill").median() == pytest.approx(1, abs=1e-3)
    shrunk = emax.shrinkage()
    assert ((shrunk["estimate"] - shrunk["yi"]).abs() < 3 * np.sqrt(few["sd"].max())).all()
    with pytest.raises(CannotEstimate, match="whose shape is not known"):
        emax.bayes_factor("tau = 0")
    with pytest.raises(ValueError, match="no shape 'steep': the curves have ED50, Hill"):
        dose_response(
            few, curve="hill", prior=replace(prior, shape={"steep": priors.half_normal(1)})
        )


def test_a_new_trial_has_its_own_curve(table):
    """Variance of a dose in a new trial, at each node: `z' Psi z` with the correlation."""
    few = table[table["trial_id"].isin(table["trial_id"].unique()[:6])]
    result = dose_response(few, curve="quadratic", prior=priors.half_normal(4))
    row, spread = result._row(100.0, 0.0, None)
    values = result.parts[""].values[:50]
    z = np.linalg.lstsq(_columns(result), orthogonal(_columns(result)))[0].T @ row
    crossed = values[:, 2] * values[:, 0] * values[:, 1]
    expected = (values[:, 0] * z[0]) ** 2 + (values[:, 1] * z[1]) ** 2 + 2 * crossed * z[0] * z[1]
    assert_allclose(result.model.components(values) @ spread, expected, rtol=1e-9)
