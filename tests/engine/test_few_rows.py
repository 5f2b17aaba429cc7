"""Many values of the likelihood of small blocks at once: beside the likelihood block by block."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from backpain_analysis.engine import several_variances
from backpain_analysis.engine.few_rows import FewRows, reduced
from backpain_analysis.engine.likelihood import (
    Batch,
    evaluate,
    gathered,
    group,
    padded,
    stack_covariance,
)
from backpain_analysis.engine.mixed import fit, fitting, together
from backpain_analysis.engine.several_variances import Problem
from backpain_analysis.engine.terms import RandomTerm, ScaledTerm
from backpain_analysis.errors import CannotEstimate, ConvergenceError


def trials(rows, seed=3, n_trials=9):
    """Trials of so many rows at most, a curve of two coefficients, known covariance."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(n_trials), rng.integers(1, rows + 1, n_trials))
    dose = rng.uniform(1, 10, len(labels))
    X = np.linalg.qr(np.column_stack([dose, dose**2]))[0]
    covariance = []
    for trial in range(n_trials):
        size = np.sum(labels == trial)
        covariance.append((np.diag(rng.uniform(0.5, 2, size)) + 0.4) * 10 ** rng.uniform(-2, 2))
    return rng.normal(size=len(labels)) * 3, X, covariance, labels


def blocks_of(y, X, covariance, labels, *terms):
    blocks = group(labels)
    stacks = stack_covariance(covariance, blocks)
    bases = [term.bases(blocks) for term in terms]
    return blocks, [
        Batch(y[rows], X[rows], stacks[i], np.concatenate([basis[i] for basis in bases]))
        for i, rows in enumerate(blocks.batches)
    ]


def log_density(y, X, covariance, labels, Z, psi, reml):
    """From one dense covariance matrix and scipy's normal density; X is orthonormal."""
    V = np.zeros((len(y), len(y)))
    for trial, S in enumerate(covariance):
        rows = np.flatnonzero(labels == trial)
        V[np.ix_(rows, rows)] = S + Z[rows] @ psi @ Z[rows].T
    information = X.T @ np.linalg.solve(V, X)
    beta = np.linalg.solve(information, X.T @ np.linalg.solve(V, y))
    height = stats.multivariate_normal(X @ beta, V).logpdf(y)
    return height - reml * 0.5 * np.linalg.slogdet(information)[1]


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
@pytest.mark.parametrize("reml", [True, False])
def test_heights_and_values_are_the_normal_density(rows, reml):
    y, X, covariance, labels = trials(rows)
    term = ScaledTerm(RandomTerm(X), len(y))
    blocks, batches = blocks_of(y, X, covariance, labels, term)
    fewer = [reduced(b, term.design[r]) for b, r in zip(batches, blocks.batches, strict=True)]
    assert max(batch.S.shape[-1] for batch in fewer) == min(rows, 2)
    few = FewRows.of(padded(fewer)[0])
    lower = np.random.default_rng(1).normal(size=(20, 2, 2)) * [[[2.0, 0.0], [1.0, 0.3]]]
    psi = lower @ lower.swapaxes(1, 2)
    components = psi[:, [0, 1, 1], [0, 0, 1]]
    expected = [log_density(y, X, covariance, labels, term.design, own, reml) for own in psi]
    for found in (few.heights(components, reml=reml), few.derivatives(components, reml=reml)[0]):
        assert_allclose(found - found[0], expected - expected[0], atol=1e-9)


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("reml", [True, False])
def test_derivatives_of_any_terms(rows, reml):
    """Of two levels, beside the likelihood that takes blocks of any size, one point at a time."""
    y, X, covariance, labels = trials(rows)
    terms = [
        ScaledTerm(RandomTerm(X), len(y)),
        ScaledTerm(RandomTerm(np.ones_like(y), levels=np.arange(len(y))), len(y)),
    ]
    batches = padded(blocks_of(y, X, covariance, labels, *terms)[1])
    components = np.array([[1.0, 0.2, 0.5, 0.3], [4.0, -1.0, 0.25, 0.0], [0.0, 0.0, 0.0, 0.0]])
    found = FewRows.of(batches[0]).derivatives(components, reml=reml)
    for value, gradient, hessian, psi in zip(*found, components, strict=True):
        point = evaluate(batches, psi, reml=reml, derivatives=True)
        at_none = evaluate(batches, components[2], reml=reml)
        assert_allclose(value - found[0][2], point.llf - at_none.llf, atol=1e-10)
        assert_allclose(gradient, point.gradient, rtol=1e-9, atol=1e-10)
        assert_allclose(hessian, point.hessian, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("reml", [True, False])
def test_problems_together_are_each_the_normal_density(reml):
    """Of different numbers of trials; all of them, and some."""
    made, batches, terms = [], [], []
    for n_trials in (9, 4, 6):
        made.append(trials(3, seed=n_trials, n_trials=n_trials))
        terms.append(ScaledTerm(RandomTerm(made[-1][1]), len(made[-1][0])))
        blocks, whole = blocks_of(*made[-1], terms[-1])
        fewer = [
            reduced(b, terms[-1].design[r]) for b, r in zip(whole, blocks.batches, strict=True)
        ]
        batches += padded(fewer)
    lower = np.random.default_rng(1).normal(size=(3, 5, 2, 2)) * [[[2.0, 0.0], [1.0, 0.3]]]
    psi = lower @ lower.swapaxes(-1, -2)
    components = psi[..., [0, 1, 1], [0, 0, 1]]
    few = FewRows.stacked(batches)
    for some in ([0, 1, 2], [1, 2]):
        chosen = few.only(np.array(some))
        level = chosen.heights(components[some], reml=reml)
        value, gradient, hessian = chosen.derivatives(components[some], reml=reml)
        for row, number in enumerate(some):
            design = terms[number].design
            expected = [log_density(*made[number], design, own, reml) for own in psi[number]]
            for found in (level[row], value[row]):
                assert_allclose(found - found[0], expected - expected[0], atol=1e-9)
            alone = FewRows.of(batches[number]).derivatives(components[number], reml=reml)
            assert_allclose(gradient[row], alone[1], rtol=1e-9, atol=1e-9)
            assert_allclose(hessian[row], alone[2], rtol=1e-9, atol=1e-9)


def caught(fit_of):
    """A fit that gives its fault."""
    try:
        return (yield from fit_of)
    except CannotEstimate as fault:
        return fault


def test_fits_together_are_fits_alone():
    """Of several forms, of one variance, of large blocks, and of some that cannot be."""
    asked = []
    for seed, method, size in product(range(4), ("REML", "ML"), (2, 4)):
        y, X, covariance, labels = trials(size, seed, 5 + seed)
        given = {"blocks": labels, "method": method}
        asked.append(((y, X, covariance), given | {"terms": [RandomTerm(X)]}))
        asked.append(((y, X, covariance), given | {"terms": [RandomTerm(X[:, :1])]}))
        levels = RandomTerm(np.ones_like(y), levels=np.arange(len(y)))
        asked.append(((y, X, covariance), given | {"terms": [RandomTerm(X[:, :1]), levels]}))
        asked.append(((y[:2], X[:2], np.ones(2)), {"terms": [RandomTerm(X[:2])]}))
    found = together(caught(fitting(*given, **options)) for given, options in asked)
    for one, (given, options) in zip(found, asked, strict=True):
        if len(given[0]) == 2:
            assert isinstance(one, CannotEstimate)
            continue
        other = fit(*given, **options)
        assert_allclose(one.llf, other.llf, rtol=1e-10)
        assert_allclose(one.beta, other.beta, rtol=1e-4, atol=1e-6)
        assert one.told == other.told


def test_a_fault_of_one_search_leaves_others_alone(monkeypatch):
    """Nor does it depend on whether the fault is met before or after the climbs."""
    y, X, covariance, labels = trials(2)
    asked = [{"blocks": labels, "terms": [RandomTerm(X)], "method": m} for m in ("REML", "ML")]
    for name in ("_starts", "_best"):
        own = getattr(several_variances, name)

        def faulty(problem, *rest, own=own):
            if problem.reml:
                raise ConvergenceError("none", "")
            return own(problem, *rest)

        with monkeypatch.context() as patch:
            patch.setattr(several_variances, name, faulty)
            fault, found = together(caught(fitting(y, X, covariance, **o)) for o in asked)
        assert isinstance(fault, ConvergenceError)
        assert_allclose(found.llf, fit(y, X, covariance, **asked[1]).llf, rtol=1e-12)


def test_rows_that_the_mean_depends_on_are_kept():
    """Here not all of the model matrix lies where effects vary."""
    y, X, covariance, labels = trials(4)
    term = ScaledTerm(RandomTerm(X), len(y))
    wider = np.linalg.qr(np.column_stack([X, np.arange(len(y)) % 3 == 0]))[0]
    blocks, batches = blocks_of(y, wider, covariance, labels, term)
    for batch, rows in zip(batches, blocks.batches, strict=True):
        assert reduced(batch, term.design[rows]).S.shape == batch.S.shape


def test_places_outside_the_domain_leave_others_alone():
    y, X, covariance, labels = trials(2)
    terms = [ScaledTerm(RandomTerm(X), len(y))]
    problem = Problem(padded(blocks_of(y, X, covariance, labels, *terms)[1]), terms, True)
    within = np.array([[1.0, 0.2, 0.5]])
    both = np.concatenate([within, [[-1e3, 0.0, 0.0]], [[np.inf, 0.0, 0.0]], within])
    few = problem.few_rows
    alone = few.derivatives(within, reml=True)
    with np.errstate(invalid="ignore"):
        value, gradient, _ = few.derivatives(both, reml=True)
    assert np.isnan(value[1:3]).all()
    assert_allclose(value[[0, 3]], alone[0][0], rtol=1e-12)
    assert_allclose(gradient[3], alone[1][0], rtol=1e-12)
    level = problem.heights(both)
    assert np.isneginf(level[1:3]).all() and level[0] == level[3]


@pytest.mark.parametrize("seed", range(3))
def test_the_fit_does_not_depend_on_how_blocks_are_held(seed):
    """Rows that say nothing, of huge variance, make blocks that cannot be reduced to two rows."""
    y, X, covariance, labels = trials(2, seed)
    found = fit(y, X, covariance, blocks=labels, terms=[RandomTerm(X)])
    rng = np.random.default_rng(seed)
    more = np.arange(9).repeat(2)
    design = np.concatenate([X, rng.normal(size=(len(more), 2))])
    apart = np.concatenate([np.zeros(len(y)), np.ones(len(more))])
    noise = 1e9
    wide = []
    for S in covariance:
        size = len(S) + 2
        wide.append(np.eye(size) * noise)
        wide[-1][: len(S), : len(S)] = S
    other = fit(
        np.concatenate([y, np.zeros(len(more))]),
        np.column_stack([design, apart * rng.normal(size=len(apart))]),
        wide,
        blocks=np.concatenate([labels, more]),
        terms=[RandomTerm(design)],
    )
    assert_allclose(other.psi[0], found.psi[0], rtol=1e-4, atol=1e-4)
    assert_allclose(other.beta[:2], found.beta, rtol=1e-4)


def people(n_people, visits):
    """Scores of people at the same visits, of three groups and a dose; sampling variances equal."""
    rng = np.random.default_rng(n_people)
    labels, place = np.repeat(np.arange(n_people), visits), np.tile(np.arange(visits), n_people)
    mean = np.eye(3 * visits)[place * 3 + labels % 3]
    X = np.linalg.qr(np.column_stack([mean, rng.uniform(0, 9, n_people)[labels] * place]))[0]
    y = rng.normal(size=len(labels)) + rng.normal(size=n_people)[labels]
    covariance = [0.1 * np.eye(visits)] * n_people
    return y, X, covariance, labels, RandomTerm(np.eye(visits)[place])


@pytest.mark.parametrize("reml", [True, False])
def test_people_of_the_same_visits_are_gathered(reml):
    y, X, covariance, labels, visit = people(40, 3)
    term = ScaledTerm(visit, len(y))
    _, (batch,) = blocks_of(y, X, covariance, labels, term)
    few = gathered(batch)
    assert len(few.y) == 3 + 1 + 3
    lower = np.random.default_rng(1).normal(size=(8, 3, 3))
    psi = lower @ lower.swapaxes(1, 2)
    components = psi[:, *np.tril_indices(3)]
    expected = [log_density(y, X, covariance, labels, term.design, own, reml) for own in psi]
    heights = Problem([few], [term], reml).heights(components)
    assert_allclose(heights - heights[0], np.array(expected) - expected[0], rtol=1e-9)
    for own, llf in zip(components, expected, strict=True):
        found = evaluate([few], own, reml=reml, derivatives=True)
        whole = evaluate([batch], own, reml=reml, derivatives=True)
        assert_allclose(found.llf - reml * X.shape[1] * np.log(2 * np.pi) / 2, llf, rtol=1e-10)
        for name in ("beta", "cov_beta", "rss", "gradient", "hessian"):
            size = np.abs(getattr(whole, name)).max()
            assert_allclose(getattr(found, name), getattr(whole, name), atol=1e-10 * size)


def test_blocks_that_differ_are_not_gathered():
    y, X, covariance, labels, visit = people(40, 3)
    covariance = [*covariance[1:], 0.2 * np.eye(3)]
    _, (batch,) = blocks_of(y, X, covariance, labels, ScaledTerm(visit, len(y)))
    assert gathered(batch) is batch


@pytest.mark.parametrize(("n_people", "visits"), [(30, 2), (40, 3)])
def test_a_climb_from_nearby_ends_where_the_search_does(n_people, visits):
    y, X, covariance, labels, visit = people(n_people, visits)
    whole = fit(y, X, covariance, blocks=labels, terms=[visit])
    near = fit(y, X, covariance, blocks=labels, terms=[visit], near=np.eye(visits))
    assert_allclose(near.llf, whole.llf, rtol=1e-10)
    assert_allclose(near.psi[0], whole.psi[0], atol=1e-5)
