"""Agents as a random effect, against likelihoods written out in full."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import optimize, stats

from backpain_analysis.models.network import exchangeable
from backpain_analysis.models.network.dose_data import ONE_NODE
from backpain_analysis.models.network.dose_network import dose_network
from tests.models.network.dose_tables import arms_on, dense, reml_or_ml


@pytest.fixture(scope="module")
def table(reference_table):
    return reference_table("dose_network")


def full_likelihood(network, Z, q, reml):
    """-llf at (tau, Cholesky factor of Omega), all matrices written out."""
    V, T = dense(network)
    agents = Z.shape[1] // q
    X = Z.reshape(len(Z), agents, q).sum(axis=1)

    def marginal(theta):
        lower = np.zeros((q, q))
        lower[np.tril_indices(q)] = theta[1:]
        A = np.kron(np.eye(agents), lower @ lower.T)
        return V + theta[0] ** 2 * T + Z @ A @ Z.T, A

    def depth(theta):
        return -reml_or_ml(network, X, reml=reml).at(marginal(theta)[0])

    return depth, marginal, X


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("curve", ["linear", "quadratic"])
def test_exchangeable_agents_by_the_likelihood_in_full(table, curve, reml):
    method = "REML" if reml else "ML"
    hours = table.assign(dose=table["dose"] / 60)
    result = dose_network(hours, curve=curve, shared="exchangeable", method=method)
    q = len(result.curves["yoga"].terms)
    Z = result.data.design([result.curves["yoga"]] * 4)
    depth, marginal, X = full_likelihood(result.data.network, Z, q, reml)
    lower = np.linalg.cholesky(result.between.omega + 1e-10 * np.eye(q))
    ours = np.append(result.tau, lower[np.tril_indices(q)])
    assert_allclose(depth(ours), -result.llf, atol=1e-5)
    options = {"xatol": 1e-7, "fatol": 1e-10, "maxiter": 3000, "maxfev": 1500}
    for start in (np.full(len(ours), 2.0),):
        found = optimize.minimize(depth, start, method="Nelder-Mead", options=options)
        assert -found.fun <= result.llf + 1e-6
    V, A = marginal(ours)
    W = np.linalg.inv(V)
    C = np.linalg.inv(X.T @ W @ X)
    mu = C @ X.T @ W @ result.data.network.y
    assert_allclose(result.between.mean, mu, rtol=1e-4)
    assert_allclose(result.between.mean_cov, C, rtol=1e-4)
    E = np.tile(np.eye(q), (4, 1))
    blup = E @ mu + A @ Z.T @ W @ (result.data.network.y - X @ mu)
    assert_allclose(result.params, blup, rtol=1e-4)
    H = E - A @ Z.T @ W @ X
    cov = A - A @ Z.T @ W @ Z @ A + H @ C @ H.T
    assert_allclose(result.cov, cov, rtol=1e-3, atol=1e-6 * np.abs(cov).max())


@pytest.mark.parametrize("reml", [True, False])
def test_derivatives_of_the_exchangeable_likelihood(table, reml, monkeypatch):
    """Gradient and Hessian by differences of the likelihood."""
    seen = {}
    monkeypatch.setattr(exchangeable, "_search", lambda problem: seen.setdefault("at", problem))
    result = dose_network(table, curve="quadratic")
    Z = result.data.design([result.curves["yoga"]] * 4)
    with pytest.raises(TypeError):
        exchangeable.fit_exchangeable(result.data.network, Z, 4, reml=reml)
    problem, theta = seen["at"], np.array([0.6, 0.5, -0.2, 0.3])
    _, gradient, hessian = problem.derivatives(theta)
    h = 1e-5 * np.eye(4)
    up = [problem.derivatives(theta + step) for step in h]
    down = [problem.derivatives(theta - step) for step in h]
    slope = [(a[0] - b[0]) / 2e-5 for a, b in zip(up, down, strict=True)]
    bend = [(a[1] - b[1]) / 2e-5 for a, b in zip(up, down, strict=True)]
    assert_allclose(gradient, slope, rtol=1e-6, atol=1e-6)
    assert_allclose(hessian, bend, rtol=1e-6, atol=1e-6)


def test_exchangeable_estimates_lie_between_own_and_common():
    arms = arms_on({"a": lambda d: -0.05 * d, "b": lambda d: -0.1 * d, "c": lambda d: -0.15 * d})
    own = dose_network(arms).params.to_numpy()[[0, 2]]
    result = dose_network(arms, shared="exchangeable")
    mean = float(result.between.mean[0])
    weight = (result.params.to_numpy()[[0, 2]] - mean) / (own - mean)
    assert np.all((weight > 0.5) & (weight < 1))


def test_equal_agents_become_one():
    """No variance between agents: the fit is that of all agents lumped.

    Lumping drops the three trials of two agents at 60, each a density N(0; 0, 2 x 20^2 / 50).
    """
    arms = arms_on({"a": lambda d: -0.1 * d, "b": lambda d: -0.1 * d, "c": lambda d: -0.1 * d})
    result = dose_network(arms, shared="exchangeable", method="ML")
    lumped = dose_network(arms, lump={"b": "a", "c": "a"}, method="ML")
    assert_allclose(result.between.omega, 0, atol=1e-12)
    assert_allclose(result.params, np.repeat(lumped.params.iloc[0], 3), rtol=1e-8)
    assert_allclose(result.cov, lumped.cov.iloc[0, 0], rtol=1e-8)
    assert_allclose(result.llf, lumped.llf + 3 * stats.norm.logpdf(0, scale=4), atol=1e-8)
    assert (lumped.excluded["reason"] == ONE_NODE).sum() == 3
    ranks = result.rank_at(60)
    assert_allclose(ranks.p_scores()[["a", "b", "c"]], 2 / 3, atol=1e-6)
    assert_allclose(ranks.rank_probabilities().loc[["a", "b", "c"], [1, 2, 3]], 1 / 3, atol=0.03)


def test_exchangeable_emax_shares_the_ed50(table):
    result = dose_network(table, curve="emax", shared="exchangeable", method="ML")
    half = result.params.filter(like="ED50")
    column = table["dose"] / (half.iloc[0] + table["dose"])
    fixed = dose_network(table.assign(dose=column), shared="exchangeable", method="ML")
    assert half.nunique() == 1
    assert_allclose(result.llf, fixed.llf, atol=1e-6)
    assert_allclose(result.params.filter(like="Emax"), fixed.params, rtol=1e-5)
    assert result.bse["yoga: ED50"] > 0


def on_mixed_scales(seed):
    """Trials of agents whose doses differ by factors up to ten thousand."""
    rng = np.random.default_rng(seed)
    agents = int(rng.integers(2, 6))
    scales = 10.0 ** rng.uniform(-2, 2, agents)
    slopes = rng.normal(0, 5, agents) / scales
    rows = []
    for trial in range(int(rng.integers(6, 20))):
        agent = trial if trial < agents else int(rng.integers(agents))
        for name, dose in (("usual_care", 0.0), (agent, scales[agent] * rng.integers(1, 5))):
            n = int(rng.integers(15, 120))
            effect = slopes[agent] * dose if dose else 0.0
            mean = 50 + effect + rng.normal(0, 3) + rng.normal(0, 20 / np.sqrt(n))
            rows.append((trial, str(name), dose, mean, 20.0, n))
    return pd.DataFrame(rows, columns=["trial_id", "agent", "dose", "mean", "sd", "n"])


@pytest.mark.parametrize("seed", [3, 8, 17, 40, 46])
def test_the_maximum_is_the_highest_whatever_the_scales_of_dose(seed):
    """Against a dense grid of both variances, refined; seed 40 has several maxima."""
    reml = bool(seed % 2)
    result = dose_network(
        on_mixed_scales(seed), shared="exchangeable", method="REML" if reml else "ML"
    )
    network, count = result.data.network, len(result.agents)
    Z = result.data.design([result.curves[result.agents[0]]] * count)
    X = Z.sum(axis=1, keepdims=True)
    V, T = dense(network)
    known = reml_or_ml(network, X, reml=reml)
    A = Z @ Z.T

    def depth(theta):
        return -known.at(V + np.exp(theta[0]) * T + np.exp(theta[1]) * A)

    points = [(a, b) for a in np.linspace(-8, 8, 9) for b in np.linspace(-18, 16, 35)]
    depths = [depth(point) for point in points]
    for place in np.argsort(depths)[:2]:
        found = optimize.minimize(depth, points[place], method="Nelder-Mead")
        assert -found.fun <= result.llf + 1e-6


@pytest.mark.parametrize("seed", [44, 225, 245])
def test_the_maximum_may_lie_at_perfect_correlation(seed):
    """Against a dense grid with correlations of 0, 1 and -1, refined."""
    result = dose_network(on_mixed_scales(seed), curve="quadratic", shared="exchangeable")
    network, count = result.data.network, len(result.agents)
    Z = result.data.design([result.curves[result.agents[0]]] * count)
    size = np.linalg.norm(Z.reshape(-1, count, 2), axis=(0, 1)) / np.sqrt(len(Z))
    depth, _, _ = full_likelihood(network, Z / np.tile(size, count), 2, True)
    sizes = np.geomspace(0.1, 100, 7)
    starts = [
        (tau, s, r * t, t * (r == 0))
        for tau in (0.1, 2)
        for s in sizes
        for t in sizes
        for r in (0, 1, -1)
    ]
    depths = [depth(np.array(start)) for start in starts]
    for place in np.argsort(depths)[:3]:
        found = optimize.minimize(
            depth, starts[place], method="Nelder-Mead", options={"maxfev": 400, "fatol": 1e-8}
        )
        assert -found.fun <= result.llf + 1e-6


def many_agents(seed):
    """Three to seven agents, doses that differ by up to ten thousand, bent curves of any size."""
    rng = np.random.default_rng(seed)
    agents = int(rng.integers(3, 8))
    scales = 10.0 ** rng.uniform(-1, 3, agents)
    slopes, bends = rng.normal(-5, 4, agents), rng.normal(0, 2, agents)
    rows = []
    for trial in range(int(rng.integers(2 * agents, 6 * agents))):
        chosen = rng.choice(agents, int(rng.integers(1, 3)), replace=False)
        n, spread = int(10 ** rng.uniform(1, 2.5)), rng.choice([0.0, 1.0, 3.0])
        doses = rng.choice([0.5, 1.0, 1.5, 2.0, 3.0, 4.0], len(chosen))
        for agent, dose in [(None, 0.0), *zip(chosen, doses, strict=True)]:
            effect = 0.0 if agent is None else slopes[agent] * dose + bends[agent] * dose**2
            mean = 50 + effect + rng.normal(0, spread) + rng.normal(0, 20 / np.sqrt(n))
            name, size = ("usual_care", 1.0) if agent is None else (f"a{agent}", scales[agent])
            rows.append((trial, name, size * dose, mean, 20.0, n))
    return pd.DataFrame(rows, columns=["trial_id", "agent", "dose", "mean", "sd", "n"])


@pytest.mark.parametrize("seed", [1, 23, 43, 47])
def test_searches_of_agents_on_different_scales_end(seed):
    """On long ridges too, and no lower than climbs by scipy from many places."""
    method = "REML" if seed % 2 else "ML"
    arms = many_agents(seed)
    result = dose_network(arms, curve="quadratic", shared="exchangeable", method=method)
    network, count = result.data.network, len(result.agents)
    Z = result.data.design([result.curves[result.agents[0]]] * count)
    size = np.linalg.norm(Z.reshape(-1, count, 2), axis=(0, 1)) / np.sqrt(len(Z))
    depth, _, _ = full_likelihood(network, Z / np.tile(size, count), 2, method == "REML")
    rng = np.random.default_rng(0)
    starts = rng.normal(size=(40, 4)) * 10 ** rng.uniform(-1, 3, (40, 4))
    depths = [depth(start) for start in starts]
    for place in np.argsort(depths)[:2]:
        found = optimize.minimize(depth, starts[place], method="L-BFGS-B")
        assert -found.fun <= result.llf + 1e-6


def test_classes_have_means_of_their_own():
    """Two classes without variance inside are two lumped agents."""
    lines = {"a": -0.1, "b": -0.1, "c": -0.3, "d": -0.3}
    arms = arms_on({name: (lambda d, s=slope: s * d) for name, slope in lines.items()})
    data = dose_network(arms).data
    Z = data.design([dose_network(arms).curves["a"]] * 4)
    found = exchangeable.fit_exchangeable(
        data.network, Z, 4, reml=False, classes=np.array([0, 0, 1, 1])
    )
    assert_allclose(found.mean, [-0.1, -0.3], rtol=1e-8)
    assert_allclose(found.effects, list(lines.values()), rtol=1e-8)
