"""The engine: likelihoods, derivatives, invariances, boundaries, faults."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize, stats

from backpain_analysis.engine.likelihood import Batch, evaluate, group, stack_covariance
from backpain_analysis.engine.mixed import fit
from backpain_analysis.engine.terms import RandomTerm, ScaledTerm, multi_arm_term


@pytest.fixture
def trials(rng):
    """Forty trials of one to four correlated contrasts with a random intercept and slope."""
    labels = np.repeat(np.arange(40), rng.integers(1, 5, 40))
    dose = rng.uniform(0, 10, len(labels))
    X = np.column_stack([np.ones_like(dose), dose])
    S = []
    for label in range(40):
        size = np.sum(labels == label)
        S.append(np.diag(rng.uniform(0.5, 2, size)) + 0.4)
    u = rng.normal(size=(40, 2)) * [1.5, 0.3]
    e = np.concatenate([rng.multivariate_normal(np.zeros(len(s)), s) for s in S])
    y = X @ [2.0, -1.0] + np.sum(X * u[labels], axis=1) + e
    return y, X, S, labels


@pytest.fixture
def rng():
    return np.random.default_rng(20)


def dense_llf(y, X, S, labels, psi, reml):
    """The same likelihood from one dense covariance matrix and scipy's normal density."""
    V = np.zeros((len(y), len(y)))
    for label, block in zip(dict.fromkeys(labels), S, strict=True):
        rows = np.flatnonzero(labels == label)
        V[np.ix_(rows, rows)] = block + X[rows] @ psi @ X[rows].T
    W = np.linalg.inv(V)
    beta = np.linalg.solve(X.T @ W @ X, X.T @ W @ y)
    llf = stats.multivariate_normal(X @ beta, V).logpdf(y)
    if reml:
        p = X.shape[1]
        llf += 0.5 * (np.linalg.slogdet(X.T @ X)[1] - np.linalg.slogdet(X.T @ W @ X)[1])
        llf += 0.5 * p * np.log(2 * np.pi)
    return llf, beta


@pytest.mark.parametrize("method", ["REML", "ML"])
def test_likelihood_is_the_normal_density(trials, method):
    y, X, S, labels = trials
    result = fit(y, X, S, blocks=labels, terms=[RandomTerm(X)], method=method)
    llf, beta = dense_llf(y, X, S, labels, result.psi[0], method == "REML")
    assert_allclose(result.llf, llf, rtol=1e-10)
    assert_allclose(result.beta, beta, rtol=1e-9)


@pytest.mark.parametrize("method", ["REML", "ML"])
def test_no_higher_likelihood_is_found_by_a_general_optimiser(trials, method):
    y, X, S, labels = trials
    result = fit(y, X, S, blocks=labels, terms=[RandomTerm(X)], method=method)

    def height(theta):
        lower = np.array([[theta[0], 0], [theta[1], theta[2]]])
        return -dense_llf(y, X, S, labels, lower @ lower.T, method == "REML")[0]

    found = optimize.minimize(height, [1.0, 0.0, 0.5], method="Nelder-Mead", tol=1e-9)
    assert result.llf >= -found.fun - 1e-8
    assert_allclose(result.llf, -found.fun, atol=1e-5)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("structure", ["unstructured", "diagonal", "identity"])
def test_derivatives_against_finite_differences(trials, structure, reml):
    y, X, S, labels = trials
    blocks = group(labels)
    stacks = stack_covariance(S, blocks)
    terms = [
        ScaledTerm(RandomTerm(X, structure=structure), len(y)),
        ScaledTerm(RandomTerm(np.ones_like(y), levels=np.arange(len(y))), len(y)),
    ]
    bases = [term.bases(blocks) for term in terms]
    batches = [
        Batch(y[rows], X[rows], stacks[i], np.concatenate([basis[i] for basis in bases]))
        for i, rows in enumerate(blocks.batches)
    ]
    psi = np.concatenate([term.components(term.start(0.7) + 0.1)[0] for term in terms])
    point = evaluate(batches, psi, reml=reml, derivatives=True)
    steps = 1e-5 * np.eye(len(psi))
    ends = [
        [evaluate(batches, psi + sign * step, reml=reml, derivatives=True) for sign in (1, -1)]
        for step in steps
    ]
    gradient = [(up.llf - down.llf) / 2e-5 for up, down in ends]
    hessian = [(up.gradient - down.gradient) / 2e-5 for up, down in ends]
    assert_allclose(point.gradient, gradient, rtol=1e-6, atol=1e-6)
    assert_allclose(point.hessian, hessian, rtol=1e-5, atol=1e-5)


def test_three_level_metafor(reference, reference_table):
    data, expected = reference_table("multilevel"), reference["three_level"]
    X = np.ones((len(data), 1))
    terms = [RandomTerm(X), RandomTerm(X, levels=np.arange(len(data)))]
    result = fit(data["yi"], X, data["vi"].to_numpy(), blocks=data["trial_id"], terms=terms)
    assert_allclose(result.beta[0], expected["b"], rtol=1e-6)
    assert_allclose(result.cov_beta, expected["vcov"], rtol=1e-6)
    assert_allclose([psi[0, 0] for psi in result.psi], expected["sigma2"], rtol=1e-6)
    assert_allclose(result.llf, expected["ll"], rtol=1e-9)


def test_units_do_not_matter(trials):
    y, X, S, labels = trials
    plain = fit(y, X, S, blocks=labels, terms=[RandomTerm(X)])
    scale = np.array([1.0, 6000.0])
    other = fit(
        1000 * y, X * scale, [1e6 * s for s in S], blocks=labels, terms=[RandomTerm(X * scale)]
    )
    assert_allclose(other.beta * scale / 1000, plain.beta, rtol=1e-8)
    assert_allclose(other.psi[0] * np.outer(scale, scale) / 1e6, plain.psi[0], rtol=1e-6)
    n_effective = len(y) - 2
    assert_allclose(other.llf + n_effective * np.log(1000), plain.llf, rtol=1e-9)


def test_order_of_rows_does_not_matter(trials, rng):
    y, X, S, labels = trials
    order = rng.permutation(len(y))
    plain = fit(y, X, S, blocks=labels, terms=[RandomTerm(X)])
    shuffled_labels = labels[order]
    covariance = []
    for label in dict.fromkeys(shuffled_labels):
        rows = order[shuffled_labels == label]
        inside = rows - np.flatnonzero(labels == label)[0]
        covariance.append(S[label][np.ix_(inside, inside)])
    Xo = X[order]
    other = fit(y[order], Xo, covariance, blocks=shuffled_labels, terms=[RandomTerm(Xo)])
    assert_allclose(other.beta, plain.beta, rtol=1e-9)
    assert_allclose(other.llf, plain.llf, rtol=1e-11)


def test_boundary_is_zero_and_equals_the_common_effect():
    y, v = np.array([1.0, 1.01, 0.99, 1.0]), np.ones(4)
    X = np.ones((4, 1))
    random = fit(y, X, v, terms=[RandomTerm(X)], method="ML")
    common = fit(y, X, v, method="CE")
    assert_allclose(random.psi[0], 0, atol=1e-12)
    assert_allclose(random.llf, common.llf, rtol=1e-12)


def test_multi_arm_heterogeneity_has_correlation_one_half(rng):
    """With K = (I + J)/2 the term's covariance must be tau2 on, tau2/2 off the diagonal."""
    labels = np.array(["a", "a", "a", "b"])
    term = multi_arm_term(labels)
    basis = ScaledTerm(term, 4).bases(group(labels))
    three = basis[1][0, 0]
    assert_allclose(three / three[0, 0], 0.5 + 0.5 * np.eye(3))
    assert_allclose(basis[0][0, 0] / three[0, 0], [[1.0]])


def test_blups_shrink_to_the_mean():
    """One observation a trial: u = tau2/(tau2 + v) (y - mu), the empirical Bayes estimate."""
    y, v = np.array([0.0, 4.0, 8.0, 12.0]), np.array([1.0, 2.0, 3.0, 4.0])
    X = np.ones((4, 1))
    result = fit(y, X, v, terms=[RandomTerm(X)])
    tau2 = result.psi[0][0, 0]
    assert_allclose(result.blups()[:, 0], tau2 / (tau2 + v) * (y - result.beta[0]), rtol=1e-10)
    assert tau2 > 1
    assert_allclose(result.rss, np.sum((y - result.beta[0]) ** 2 / (tau2 + v)), rtol=1e-10)
    assert_allclose(result.precision[0][:, 0, 0], 1 / (tau2 + v), rtol=1e-10)


def test_faults_say_what_to_do():
    X = np.ones((3, 1))
    with pytest.raises(ValueError, match=r"'twice' of X is a combination"):
        fit(np.arange(3.0), np.column_stack([X, 2 * X]), np.ones(3), names=["one", "twice"])
    with pytest.raises(ValueError, match="missing or infinite"):
        fit(np.array([1.0, np.nan, 2.0]), X, np.ones(3))
    with pytest.raises(ValueError, match="not positive definite"):
        fit(np.arange(3.0), X, np.array([1.0, 1.0, 0.0]), method="CE")
    with pytest.raises(ValueError, match="negative"):
        fit(np.arange(3.0), X, np.array([1.0, 1.0, -1.0]), method="CE")
    with pytest.raises(ValueError, match="cannot estimate 2 coefficients"):
        fit(np.arange(1.0), np.ones((1, 2)), np.ones(1))
    with pytest.raises(ValueError, match="covariance of shape"):
        fit(np.arange(3.0), X, [np.eye(3), np.eye(1)], blocks=["a", "a", "b"])
