"""Integration over variances: the engine's own likelihood, exact integrals, stated errors."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from backpain_analysis.engine import importance, integration
from backpain_analysis.engine.importance import sample
from backpain_analysis.engine.integration import Axis, NormalMixture, integrate
from backpain_analysis.engine.likelihood import Batch, evaluate, group
from backpain_analysis.engine.marginal import (
    Conditional,
    ManyVariances,
    OneVariance,
    with_designs,
)
from backpain_analysis.errors import CannotEstimate


@pytest.fixture(scope="module")
def blocks():
    """Blocks of one to seven rows, two covariates, three changes of the covariance."""
    rng = np.random.default_rng(5)
    sizes = [1, 1, 2, 2, 3, 7]
    labels = np.repeat(np.arange(len(sizes)), sizes)
    grouped = group(labels)
    n = len(labels)
    X, y = rng.normal(size=(n, 2)), rng.normal(size=n) + 3
    S, K = [], []
    for batch in grouped.batches:
        count, size = batch.shape
        root = rng.normal(size=(4, count, size, size))
        stack = root @ root.transpose(0, 1, 3, 2)
        S.append(stack[0] + 0.5 * np.eye(size))
        K.append(stack[1:])
    return y, X, S, K, grouped


def engines(y, X, S, K, grouped, psi):
    """The engine's restricted likelihood, without its `1/2 log|X'X|` for X not orthonormal."""
    batches = [
        Batch(y[own], X[own], sampling, change)
        for own, sampling, change in zip(grouped.batches, S, K, strict=True)
    ]
    return evaluate(batches, np.asarray(psi), reml=True)


def test_many_variances_are_the_engines_likelihood(blocks):
    psi = np.array([[0.3, 1.2, 0.0], [2.0, 0.0, 0.7], [0.0, 0.0, 0.0]])
    found = ManyVariances(*blocks, np.zeros(2), np.zeros(2))(psi)
    for number, row in enumerate(psi):
        point = engines(*blocks, row)
        assert_allclose(found.log_likelihood[number], point.llf, rtol=1e-10)
        assert_allclose(found.mean[number], point.beta, rtol=1e-8)
        assert_allclose(found.cov[number], point.cov_beta, rtol=1e-8)


def test_one_variance_is_the_engines_likelihood(blocks):
    y, X, S, K, grouped = blocks
    psi = np.array([0.0, 0.4, 30.0])
    one = OneVariance(y, X, S, [change[0] for change in K], grouped, np.zeros(2), np.zeros(2))
    found = one(psi)
    for number, value in enumerate(psi):
        point = engines(y, X, S, [change[:1] for change in K], grouped, [value])
        assert_allclose(found.log_likelihood[number], point.llf, rtol=1e-10)
        assert_allclose(found.mean[number], point.beta, rtol=1e-8)
        assert_allclose(found.cov[number], point.cov_beta, rtol=1e-8)
    assert one.tail == len(y) - 2


def test_a_normal_prior_is_as_if_observed(blocks):
    """A coefficient N(1, 0.5^2) is a further observation of it, but for the constant."""
    y, X, S, K, grouped = blocks
    mean, precision = np.array([1.0, 0.0]), np.array([4.0, 0.0])
    first = [change[0] for change in K]
    found = OneVariance(y, X, S, first, grouped, mean, precision)(np.array([0.4]))
    V = np.zeros((len(y), len(y)))
    for own, sampling, change in zip(grouped.batches, S, first, strict=True):
        for rows, s, k in zip(own, sampling, change, strict=True):
            V[np.ix_(rows, rows)] = s + 0.4 * k
    marginal = V + np.outer(X[:, 0], X[:, 0]) / 4
    W = np.linalg.inv(marginal)
    z, r = X[:, 1], y - X[:, 0]
    slope = z @ W @ r / (z @ W @ z)
    whole = stats.multivariate_normal(slope * z, marginal).logpdf(r)
    expected = whole + 0.5 * np.log(2 * np.pi / (z @ W @ z))
    assert_allclose(found.log_likelihood[0], expected, rtol=1e-10)
    assert_allclose(found.mean[0, 1], slope, rtol=1e-10)


def test_power_counts_rows_as_often(blocks):
    """Twice the log-likelihood of a row is that of two such rows."""
    y, v = np.array([1.0, 2.0, 4.0]), np.array([0.5, 1.0, 2.0])
    labels = {"once": np.arange(3), "twice": np.arange(4)}
    again = {"once": [0, 1, 2], "twice": [0, 1, 2, 2]}
    power = {"once": np.array([1.0, 1.0, 2.0]), "twice": None}
    found = {}
    for name, rows in again.items():
        stack = v[rows][:, None, None]
        own = [stack], [np.ones_like(stack)], group(labels[name])
        X = np.ones((len(rows), 1))
        one = OneVariance(y[rows], X, *own, np.zeros(1), np.zeros(1), power[name])
        found[name] = one(np.array([0.7]))
    for field in ("log_likelihood", "mean", "cov"):
        assert_allclose(getattr(found["once"], field), getattr(found["twice"], field), rtol=1e-12)


def normal_of(values, height):
    """A joint whose effect is N(share of the parameters, 1)."""
    one = np.ones((len(values), 1, 1))
    size = values.sum(axis=1, keepdims=True)
    return height, Conditional(height, size / (1 + np.abs(size)), one)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_one_dimension(scale):
    """A gamma density: mass, mean, quantiles, wherever the search begins."""
    law = stats.gamma(3.0, scale=scale)
    found = integrate(lambda x: normal_of(x, law.logpdf(x[:, 0])), [Axis("tau", centre=2.0)])
    own = found.marginal(0)
    assert_allclose(found.log_evidence, 0, atol=1e-9)
    assert_allclose([own.mean, own.sd], [law.mean(), law.std()], rtol=1e-9)
    shares = np.array([0.001, 0.3, 0.999])
    assert_allclose(own.ppf(shares), law.ppf(shares), rtol=1e-5)
    assert_allclose(own.cdf(law.ppf(shares)), shares, atol=1e-8)
    assert found.error < 1e-7


def test_bounded_parameter():
    law = stats.beta(2.0, 5.0, loc=-1, scale=2)
    found = integrate(lambda x: normal_of(x, law.logpdf(x[:, 0])), [Axis("r", 1.0, -1.0)])
    assert_allclose(found.log_evidence, 0, atol=1e-9)
    assert_allclose(found.marginal(0).interval(0.9, "equal-tailed"), law.interval(0.9), rtol=1e-6)


def test_two_modes_are_both_found():
    """A quarter of the mass far from the rest, with a valley between."""

    def height(x):
        u = np.log(x[:, 0])
        parts = stats.norm.logpdf(u, [[-4.0], [3.0]], 0.3) - u
        return normal_of(x, np.logaddexp(np.log(0.25) + parts[0], np.log(0.75) + parts[1]))

    own = integrate(height, [Axis("tau")]).marginal(0)
    assert_allclose(own.cdf(np.array([1.0])), 0.25, atol=1e-7)


@pytest.mark.parametrize(("names", "tolerance"), [("ab", 1e-5), ("abc", 2e-3)])
def test_more_dimensions(names, tolerance):
    """Independent gammas, and a dependence that is known: c given a and b."""
    laws = [stats.gamma(2.0 + number) for number in range(len(names))]

    def height(x):
        return normal_of(x, sum(law.logpdf(x[:, j]) for j, law in enumerate(laws)))

    found = integrate(height, [Axis(name) for name in names])
    assert_allclose(found.log_evidence, 0, atol=tolerance)
    for number, law in enumerate(laws):
        own = found.marginal(number)
        assert_allclose(own.mean, law.mean(), rtol=tolerance)
        at = law.ppf([0.05, 0.5, 0.95])
        assert_allclose(own.cdf(at), [0.05, 0.5, 0.95], atol=2 * tolerance)
    assert found.error <= tolerance


def test_an_integral_that_cannot_be_trusted_is_refused():
    """A comb of spikes, finer than any lattice."""

    def height(x):
        u = np.log(x[:, 0])
        return normal_of(x, 30 * np.sin(5e4 * u) - u**2 / 2 - u)

    with pytest.raises(CannotEstimate, match="could not be integrated"):
        integrate(height, [Axis("tau")])


FIVE = [stats.gamma(3.0, scale=size) for size in (1.0, 4.0, 0.2, 30.0, 2.0)]


def test_many_parameters_are_sampled():
    """Four gammas and a fifth whose scale is the first: mass, means, quantiles."""

    def joint(x):
        height = np.sum([law.logpdf(x[:, j]) for j, law in enumerate(FIVE[:4])], axis=0)
        height = height + stats.gamma(3.0, scale=x[:, 0]).logpdf(x[:, 4])
        return normal_of(x, height)

    found = sample(joint, [Axis(name, centre=1.0) for name in "abcde"])
    assert found.error < 1e-2 and abs(found.log_evidence) < found.error
    for j, law in enumerate(FIVE[:4]):
        own = found.marginal(j)
        assert_allclose([own.mean, own.sd], [law.mean(), law.std()], rtol=0.02)
        shares = np.array([0.025, 0.5, 0.975])
        assert_allclose(own.cdf(law.ppf(shares)), shares, atol=0.01)
        assert_allclose(law.cdf(own.ppf(shares)), shares, atol=0.01)
        assert_allclose(own.pdf(law.median()), law.pdf(law.median()), rtol=0.05)
    fifth = found.marginal(4)
    assert_allclose([fifth.mean, fifth.sd], [9.0, np.sqrt(3 * 12 + 9 * 3)], rtol=0.03)
    again = sample(joint, [Axis(name, centre=1.0) for name in "abcde"])
    assert again.log_evidence == found.log_evidence


def test_one_sided_tails_of_six_deviations_are_sampled():
    """Truncated normals: by their logs they fall slowly to the left, fast to the right."""
    sizes = (1.0, 2.0, 0.5, 3.0, 1.0, 10.0)
    laws = [stats.truncnorm(-15 / 8, np.inf, loc=1.5 * f, scale=0.8 * f) for f in sizes]

    def joint(x):
        return normal_of(x, sum(law.logpdf(x[:, j]) for j, law in enumerate(laws)))

    found = sample(joint, [Axis(name, centre=1.0) for name in "abcdef"])
    assert found.error < 1e-2 and abs(found.log_evidence) < found.error
    shares = np.array([0.01, 0.5, 0.975])
    for j, law in enumerate(laws):
        assert_allclose(found.marginal(j).cdf(law.ppf(shares)), shares, atol=0.01)


@pytest.mark.parametrize(
    ("errors", "nodes"),
    [
        ([0.004], 1),
        ([0.02, 0.006, 0.0049], 4),
        ([0.006, 0.006, 0.006, 0.006], 8),
        ([0.03, 0.03, 0.03, 0.011, 0.011, 0.0099], 32),
        ([0.03, 0.03, 0.03, 0.03, 0.03, 0.0101], None),
    ],
)
def test_nodes_are_doubled_until_the_error_can_be_let_through(errors, nodes, monkeypatch):
    drawn = []

    def draw(log_joint, axes, proposal, count):
        drawn.append(count // importance.NODES)
        return SimpleNamespace(error=errors[len(drawn) - 1])

    monkeypatch.setattr(importance, "_drawn", draw)
    axes = [Axis(name) for name in "abcd"]
    if nodes is None:
        with pytest.raises(CannotEstimate, match=r"may be off by 0\.01"):
            sample(lambda x: normal_of(x, -x.sum(axis=1)), axes)
    else:
        assert sample(lambda x: normal_of(x, -x.sum(axis=1)), axes).error == errors[-1]
        assert drawn[-1] == nodes


def test_what_cannot_be_sampled_is_refused(monkeypatch):
    monkeypatch.setattr(importance, "TOLERANCE", 1e-9)
    monkeypatch.setattr(importance, "FURTHER", 0)
    with pytest.raises(CannotEstimate, match=r"posterior of 4 parameters .* may be off by"):
        sample(lambda x: normal_of(x, -x.sum(axis=1)), [Axis(name) for name in "abcd"])


def test_a_design_for_each_node(blocks):
    """Two designs and two K at once are each of them alone."""
    y, X, S, K, grouped = blocks
    psi = np.array([[0.3, 1.2, 0.1], [2.0, 0.4, 0.7]])
    designs, prior = np.stack([X, X**2]), (np.array([1.0, 0.0]), np.array([4.0, 0.5]))
    changes = [np.stack([change, 2 * change]) for change in K]
    found = with_designs(psi, designs, changes, y, S, grouped, prior)
    for number, scale in enumerate((1.0, 2.0)):
        own = [scale * change for change in K]
        alone = ManyVariances(y, designs[number], S, own, grouped, *prior)(psi[[number]])
        for field in ("log_likelihood", "mean", "cov"):
            assert_allclose(getattr(found, field)[number], getattr(alone, field)[0], rtol=1e-9)


def test_a_mixture_of_normals():
    weights, means, sds = np.array([0.2, 0.8]), np.array([-3.0, 1.0]), np.array([0.5, 2.0])
    mixed = NormalMixture(weights, means, sds)
    at = np.array([-4.0, 0.0, 2.5])
    parts = [stats.norm(m, s) for m, s in zip(means, sds, strict=True)]
    assert_allclose(mixed.cdf(at), 0.2 * parts[0].cdf(at) + 0.8 * parts[1].cdf(at))
    assert_allclose(mixed.pdf(at), 0.2 * parts[0].pdf(at) + 0.8 * parts[1].pdf(at))
    shares = np.array([1e-12, 0.01, 0.5, 0.999])
    assert_allclose(mixed.cdf(mixed.ppf(shares)), shares, rtol=1e-9)
    assert_allclose(mixed.ppf(np.array([0.0, 1.0])), [-np.inf, np.inf])
    assert_allclose([mixed.mean, mixed.sd**2], [0.2, 0.2 * (0.25 + 10.24) + 0.8 * (4 + 0.64)])


def test_shortest_interval_of_a_skew_law():
    """Of an exponential it starts at zero; of a gamma both ends are equally dense."""
    law = stats.expon(scale=2.0)
    found = integrate(lambda x: normal_of(x, law.logpdf(x[:, 0])), [Axis("tau")]).marginal(0)
    low, high = found.interval(0.9, "shortest")
    assert low == 0.0
    assert_allclose(high, law.ppf(0.9), rtol=1e-6)
    skew = stats.gamma(3.0)
    own = integrate(lambda x: normal_of(x, skew.logpdf(x[:, 0])), [Axis("tau")]).marginal(0)
    low, high = own.interval(0.9, "shortest")
    assert_allclose(skew.pdf(low), skew.pdf(high), rtol=1e-4)
    assert_allclose(skew.cdf(high) - skew.cdf(low), 0.9, atol=1e-6)
    assert high - low < np.diff(skew.interval(0.9))[0]


def test_too_many_nodes_are_refused(monkeypatch):
    monkeypatch.setattr(integration, "NODES", 300)
    with pytest.raises(CannotEstimate, match="more informative prior"):
        integrate(lambda x: normal_of(x, -x.sum(axis=1)), [Axis(name) for name in "abc"])
