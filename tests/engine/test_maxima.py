"""The engine returns the highest maximum: beside dense searches that share no code with it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize

import backpain_analysis as bp
from backpain_analysis.engine.mixed import fit
from backpain_analysis.engine.one_variance import independent
from backpain_analysis.engine.search import ascend, ascend_together, maximise
from backpain_analysis.engine.terms import RandomTerm, ScaledTerm
from backpain_analysis.errors import ConvergenceError

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "maxima.py"


@pytest.fixture(scope="module")
def maxima():
    spec = importlib.util.spec_from_file_location("maxima", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def normal_llf(y, X, V, reml):
    scale = np.sqrt(np.diag(V))
    lower = np.linalg.cholesky(V / np.outer(scale, scale))
    turned = np.linalg.solve(lower, np.column_stack([X, y]) / scale[:, None])
    q, r = np.linalg.qr(turned[:, :-1])
    e = turned[:, -1] - q @ (q.T @ turned[:, -1])
    n, p = X.shape
    llf = -np.log(scale).sum() - np.log(np.diag(lower)).sum() - 0.5 * e @ e
    llf -= 0.5 * (n - p * reml) * np.log(2 * np.pi)
    if reml:
        llf += 0.5 * np.linalg.slogdet(X.T @ X)[1] - np.log(np.abs(np.diag(r))).sum()
    return llf


def test_the_maximum_away_from_zero_is_found():
    result = bp.pool([-5.79, -0.02, -0.04], [4.905, 0.317, 0.264], test="z")
    assert_allclose([result.tau2, result.estimate], [5.309, -1.269], atol=5e-4)


def random_studies(rng):
    k = int(rng.integers(2, 41))
    p = int(rng.integers(1, min(4, k)))
    v = 10.0 ** (rng.uniform(0, 8) * rng.uniform(-0.5, 0.5, k) + rng.uniform(-3, 3))
    units = 10.0 ** rng.uniform(-3, 4, p - 1)
    X = np.column_stack([np.ones(k), rng.normal(size=(k, p - 1)) * units])
    tau2 = np.median(v) * 10 ** rng.uniform(-3, 3) * (rng.random() < 0.7)
    y = rng.normal(size=k) * np.sqrt(v + tau2) * 10 ** (rng.uniform(0, 1, k) * (rng.random() < 0.3))
    return y, v, X, bool(rng.integers(2)) and k > p


@pytest.mark.parametrize("seed", range(4))
def test_one_variance_beside_a_dense_grid(seed):
    rng = np.random.default_rng(seed)
    for _ in range(100):
        y, v, X, reml = random_studies(rng)
        found = independent(y, v, X, reml=reml)
        top = 100 * max(v.max(), np.ptp(y) ** 2)
        tau2 = np.array([found.psi, 0, *np.geomspace(1e-4 * v.min(), top, 700)])
        w = 1 / (v + tau2[:, None])
        A = np.einsum("gn,np,nq->gpq", w, X, X)
        beta = np.linalg.solve(A, np.einsum("gn,np,n->gp", w, X, y)[..., None])[..., 0]
        llf = 0.5 * (np.log(w) - w * (y - beta @ X.T) ** 2).sum(axis=1)
        if reml:
            llf += 0.5 * (np.linalg.slogdet(X.T @ X)[1] - np.linalg.slogdet(A)[1])
        constant = 0.5 * (len(y) - X.shape[1] * reml) * np.log(2 * np.pi)
        assert llf[0] >= llf.max() - 1e-6
        assert_allclose(found.llf, llf[0] - constant, rtol=1e-7, atol=1e-6)


FLAT = [
    (370, "spline", [4.1808, 20.466, 2.2369, -0.084708, 4.7245, 0.0072314]),
    (958, "spline", [0.93068, 0.21639, 0.063321, -0.69777, 0.13233, 9.8994e-05]),
    (1294, "spline", [3.7334, 9.5866, 7.2846, -2.4417, -0.60671, 0.00044542]),
    (3124, "spline", [72.809, -49.757, 16.829, 4.7072, -0.85638, 0.002848]),
    (10063, "visits", [18.1552, 28.95, 0.0, 11.5781, 0.0, 0.0]),
    (1970, "line", [-2.8416, -2.6536, 0.0]),
    (2309, "visits", [-1.526, -0.032126, 0.0, 59.009, 0.0, 0.0]),
]
"""Problems of benchmarks/maxima.py, and a place of theirs on the highest hill: effects that vary in
one or two directions only."""


@pytest.mark.parametrize(("number", "kind", "place"), FLAT)
def test_hills_where_effects_vary_in_few_directions(maxima, number, kind, place):
    """Its height is computed by the benchmark's own code."""
    made = maxima.problem(np.random.default_rng(number), kind)
    assert made.engine() >= made.heights(np.array([place]))[0] - 1e-6


RIDGES = [
    (11649, "curve", 40, [103242.9307, -2638.178290, 0.0], 5e-5),
    (10224, "line", 40, [0.0024980435, 289.20387, 0.16561745], 2e-6),
    (70, "spline", 5, [3811.9633, -10586.293, 0.0, 186.45527, 0.0, 0.0], 5e-5),
]
"""Problems of benchmarks/maxima.py of at most so many trials, and the top of a ridge: along it the
likelihood bends by less than a millionth of its largest curvature, over far."""


@pytest.mark.parametrize(("number", "kind", "most", "place", "rounding"), RIDGES)
def test_the_tops_of_straight_ridges(maxima, number, kind, most, place, rounding):
    """Heights are computed in rational numbers: some rows vary by 1e5 times what they can show,
    which rounds the engine's own by 4e-6 to 3e-5, and not alike in every process.
    """
    made = maxima.problem(np.random.default_rng(number), kind, most)
    lower = np.zeros(made.Z.shape[-1:] * 2)
    lower[np.tril_indices(len(lower))] = place
    assert made.engine() >= made.exact(made.unit**2 * lower @ lower.T) - rounding


def test_rounding_is_no_rise(maxima):
    """Two trials, whose likelihood is level over all large sizes and there mostly rounding."""
    made = maxima.problem(np.random.default_rng(20602), "spline")
    found = made.fitted()
    assert abs(found.llf - made.exact(found.psi[0])) < 1e-7
    assert np.sqrt(np.diag(found.psi[0])).max() < 1e4 * made.unit


@pytest.mark.parametrize("number", range(1, 9))
def test_few_trials_beside_dense_searches(maxima, number):
    """Two to six trials; a search by code that shares nothing with the engine."""
    kind = ("line", "curve", "spline", "visits")[number % 4]
    rng = np.random.default_rng(number)
    made = maxima.problem(rng, kind, 6)
    assert made.engine() >= made.reference(rng) - maxima.ALLOWED


def test_a_hill_that_only_large_variances_lead_to(maxima):
    """All that is near no variance is higher than what leads up the hill, 0.096 above them."""
    rng = np.random.default_rng(411)
    made = maxima.problem(rng, "visits", 5)
    assert made.engine() >= made.reference(rng) - maxima.ALLOWED


def test_variances_that_only_fewer_rows_can_hold(maxima):
    """Two trials, of one row and of four: on two rows of each the likelihood rises to variances
    beside which the four rows' own are lost to rounding.
    """
    made = maxima.problem(np.random.default_rng(410530), "curve", 5)
    found = made.fitted()
    assert abs(found.llf - made.exact(found.psi[0])) < 1e-3
    assert np.isfinite(found.precision[0]).all()


def test_heights_in_rational_numbers(maxima):
    """The benchmark's two ways to a height agree where rounding is small."""
    for kind in ("line", "curve", "spline", "visits"):
        made = maxima.problem(np.random.default_rng(5), kind)
        q = made.Z.shape[-1]
        theta = np.eye(q)[np.tril_indices(q)]
        height = made.heights(theta[None])[0]
        assert_allclose(made.exact(made.unit**2 * np.eye(q)), height, rtol=1e-9)


def test_a_climb_that_does_not_end_says_how_far_it_came():
    def bowl(theta):
        return -float(np.sum(theta**4)), -4 * theta**3, -np.diag(12 * theta**2)

    found = ascend(bowl, np.array([50.0, 20.0]), max_iterations=3)
    assert found.fault is not None
    assert found.value == bowl(found.theta)[0] > bowl(np.array([50.0, 20.0]))[0]
    with pytest.raises(ConvergenceError, match="after 3 steps"):
        maximise(bowl, np.array([50.0, 20.0]), max_iterations=3)


def test_climbs_together_are_climbs_alone():
    """Of a function with two hills, beside a place outside its domain."""

    def two_hills(theta):
        x, y = theta
        value = -((x**2 - 4) ** 2) + x - y**2
        gradient = np.array([-4 * x * (x**2 - 4) + 1, -2 * y])
        return value, gradient, np.diag([-12 * x**2 + 16, -2.0])

    def all_hills(thetas, climbs):
        asked.append(climbs.tolist())
        found = [two_hills(theta) for theta in thetas]
        value, gradient, hessian = (np.array(part) for part in zip(*found, strict=True))
        return np.where(np.abs(thetas[:, 0]) < 50, value, np.nan), gradient, hessian

    def level(thetas, climbs=None):
        return all_hills(thetas, np.zeros(0) if climbs is None else climbs)[0]

    asked = []
    starts = [np.array(start) for start in ([3.0, 1.0], [99.0, 0.0], [-3.0, 9.0], [0.0, 0.5])]
    ends = ascend_together(all_hills, starts, [1e-11, 1e-11, 1e-3, 1e-11], heights=level)
    assert ends[1] is None
    assert asked[:2] == [[0, 1, 2, 3], [0, 2, 3]]
    assert all(numbers == sorted(numbers) for numbers in asked)
    for number, tolerance in [(0, 1e-11), (2, 1e-3), (3, 1e-11)]:
        alone = ascend(two_hills, starts[number], heights=level, tolerance=tolerance)
        assert_allclose(ends[number].theta, alone.theta, rtol=1e-12)
        assert ends[number].n_iterations == alone.n_iterations
    tops = np.roots([-4, 0, 16, 1])
    assert_allclose(ends[0].theta[0], tops.max(), rtol=1e-9)
    assert_allclose(ends[2].theta[0], tops.min(), rtol=1e-2)


def test_a_climb_from_outside_the_domain_is_told_so():
    with pytest.raises(np.linalg.LinAlgError):
        ascend(lambda theta: (np.nan, theta, np.eye(2)), np.zeros(2))


def test_steps_of_huge_parameters_do_not_overflow():
    """At the top, where the step is none, and beside a place outside the domain."""

    def bowl(thetas, climbs):
        value = -np.sum(thetas**2, axis=1)
        value[0] = np.nan if len(thetas) > 1 else value[0]
        slope = np.where(np.isfinite(value)[:, None], -2 * thetas, 1e300)
        return value, slope, np.tile(-2 * np.eye(2), (len(thetas), 1, 1))

    def level(thetas, climbs):
        return -np.sum(thetas**2, axis=1)

    with np.errstate(all="raise"):
        starts = [np.array([1e9, 1e9]), np.array([-1e9, 1.0]), np.zeros(2)]
        ends = ascend_together(bowl, starts, [1e-11] * 3, heights=level)
    assert ends[0] is None
    assert_allclose([ends[1].theta, ends[2].theta], 0.0, atol=1e-6)


def test_many_studies_are_grouped_for_the_grid_only():
    rng = np.random.default_rng(3)
    v = 10 ** rng.uniform(-2, 2, 3000)
    y = rng.normal(size=3000) * np.sqrt(v + 0.3)
    X = np.column_stack([np.ones(3000), rng.normal(size=3000)])
    found = independent(y, v, X, reml=True)
    slope = [
        normal_score(y, v, X, tau2) for tau2 in (found.psi * (1 - 1e-7), found.psi * (1 + 1e-7))
    ]
    assert slope[0] > 0 > slope[1]


def normal_score(y, v, X, tau2):
    """Score of the restricted likelihood by tau2."""
    w = 1 / (v + tau2)
    C = np.linalg.inv((X.T * w) @ X)
    residual = y - X @ (C @ ((X.T * w) @ y))
    leverage = np.einsum("ij,jk,ik->i", X, C, X) * w
    return 0.5 * float(np.sum(w**2 * residual**2) - np.sum(w * (1 - leverage)))


def random_trials(rng, kind):
    """Trials of one to three rows: of two levels, on a quadratic in a dose, on a line (kind)."""
    k = int(rng.integers(3, 25))
    labels = np.repeat(np.arange(k), rng.integers(1, 4, k))
    n = len(labels)
    dose = rng.uniform(0, 1, n) * 10 ** rng.uniform(-2, 3)
    dose = np.where(rng.random(n) < 0.3, 60 * dose, dose)
    ones = np.ones((n, 1))
    X = ones if kind == 0 else np.column_stack([dose, dose**2] if kind == 1 else [ones, dose])
    variances = 10.0 ** (rng.uniform(0, 8) * rng.uniform(-0.5, 0.5, k) + rng.uniform(-3, 3))
    V = np.zeros((n, n))
    for trial in range(k):
        rows = np.flatnonzero(labels == trial)
        root = np.sqrt(variances[trial] * rng.uniform(0.5, 2, len(rows)))
        share = rng.uniform(0, 0.8)
        V[np.ix_(rows, rows)] = np.outer(root, root) * (share + (1 - share) * np.eye(len(rows)))
    unit = np.sqrt(np.median(np.diag(V)))
    Z = X if kind == 0 else np.linalg.qr(X)[0] * np.sqrt(n)
    sizes = unit * 10 ** rng.uniform(-2, 2, 2) * (rng.random(2) < 0.8)
    u = rng.normal(size=(k, Z.shape[1])) * sizes[: Z.shape[1]]
    y = np.sum(Z * u[labels], axis=1) + np.linalg.cholesky(V) @ rng.normal(size=n)
    y = y + (kind == 0) * sizes[1] * rng.normal(size=n)
    return y, X, Z, V, labels, unit, n > X.shape[1] and bool(rng.integers(2))


@pytest.mark.parametrize("kind", range(3))
@pytest.mark.parametrize("seed", range(5))
def test_several_variances_beside_many_starts(kind, seed):
    rng = np.random.default_rng(30 + 10 * seed + kind)
    y, X, Z, V, labels, unit, reml = random_trials(rng, kind)
    same = labels[:, None] == labels
    terms = [RandomTerm(X)] if kind else [RandomTerm(X), RandomTerm(X, np.arange(len(y)))]
    blocks = [V[np.ix_(labels == t, labels == t)] for t in dict.fromkeys(labels)]
    found = fit(y, X, blocks, blocks=labels, terms=terms, method="REML" if reml else "ML")

    def down(theta):
        if np.abs(theta).max() > 1e5:
            return 1e10
        if kind == 0:
            added = theta[0] ** 2 * same + theta[1] ** 2 * np.eye(len(y))
        else:
            L = np.array([[theta[0], 0], [theta[1], theta[2]]])
            added = same * (Z @ L @ L.T @ Z.T)
        return -normal_llf(y, X, V + unit**2 * added, reml)

    size = 2 if kind == 0 else 3
    starts = rng.normal(size=(6, size)) * 10 ** rng.uniform(-2, 2, (6, size))
    lowest = min(optimize.minimize(down, start, method="L-BFGS-B").fun for start in starts)
    assert found.llf >= -lowest - 1e-6


NARROW = [(34, 2, (-43.38650932, 96.81945997)), (185, 1, (-2.89953126, 3.36233412))]
"""Seeds and kinds of problems, and the direction of Psi on hills that no lattice shows."""


@pytest.mark.parametrize(("seed", "kind", "direction"), NARROW)
def test_hills_where_precise_rows_do_not_vary(seed, kind, direction):
    y, X, Z, V, labels, unit, reml = random_trials(np.random.default_rng(seed), kind)
    blocks = [V[np.ix_(labels == t, labels == t)] for t in dict.fromkeys(labels)]
    method = "REML" if reml else "ML"
    found = fit(y, X, blocks, blocks=labels, terms=[RandomTerm(X)], method=method)
    seen = (labels[:, None] == labels) * np.outer(Z @ direction, Z @ direction)
    assert found.llf >= normal_llf(y, X, V + unit**2 * seen, reml) - 1e-6


@pytest.mark.parametrize("structure", ["CS", "HCS", "AR", "HAR", "CAR"])
def test_derivatives_of_structures(structure):
    design = np.kron(np.ones((4, 1)), np.eye(3))
    term = ScaledTerm(RandomTerm(design, structure=structure, positions=(1.0, 2.0, 4.5)), 12)
    theta = np.append(np.linspace(0.7, 1.4, term.n_sizes), np.arcsin(0.3))
    values, jacobian, curvature = term.components(theta)
    for i in range(len(theta)):
        step = 1e-5 * np.eye(len(theta))[i]
        up, down = term.components(theta + step), term.components(theta - step)
        assert_allclose(jacobian[:, i], (up[0] - down[0]) / 2e-5, atol=1e-8)
        assert_allclose(curvature[:, :, i], (up[1] - down[1]) / 2e-5, atol=1e-7)
    psi = term.psi(theta) / term.back[0, 0] ** 2
    assert_allclose([psi[cell] for cell in term.cells], values)
    far = np.abs(np.subtract.outer([1.0, 2.0, 4.5], [1.0, 2.0, 4.5]))
    power = np.ones((3, 3)) - np.eye(3) if structure in ("CS", "HCS") else far
    sizes = np.sqrt(np.diag(psi))
    assert_allclose(psi, np.outer(sizes, sizes) * term.rho(theta) ** power, rtol=1e-12)


@pytest.mark.parametrize(("structure", "lowest"), [("CS", -0.5), ("HCS", -0.5), ("AR", -1.0)])
def test_correlations_reach_their_lowest_value(structure, lowest):
    design = np.kron(np.ones((4, 1)), np.eye(3))
    term = ScaledTerm(RandomTerm(design, structure=structure, positions=(1.0, 2.0, 3.0)), 12)
    assert_allclose(term.rho(np.append(np.ones(term.n_sizes), -np.pi / 2)), lowest)


@pytest.mark.parametrize("structure", ["HCS", "diagonal", "unstructured"])
def test_what_one_row_alone_could_show_stays_small(structure):
    """Its variance is not told, so that the restricted likelihood is level and rounding calls."""
    for seed in (26, 40, 58):
        rng = np.random.default_rng(seed)
        k = int(rng.integers(3, 8))
        level = rng.integers(0, 2, k)
        level[rng.integers(k)] = 2
        design = np.eye(3)[level]
        y = rng.normal(size=k) * 10 ** rng.uniform(-1, 1)
        v = 10 ** rng.uniform(-1, 1, k)
        trials = rng.integers(0, max(2, k // 2), k)
        covariance = [np.diag(v[trials == trial]) for trial in dict.fromkeys(trials)]
        term = RandomTerm(design, structure=structure)
        found = fit(y, design, covariance, blocks=trials, terms=[term])
        assert np.sqrt(np.diag(found.psi[0])).max() < 1e3
