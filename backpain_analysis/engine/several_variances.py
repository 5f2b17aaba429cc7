"""Models with several variance parameters: the highest of the maxima that many starts reach.

The likelihood of several variances may have maxima in the interior and on the boundary, where a
variance is zero or a correlation one, and no bound tells which is highest. So heights are taken
on a grid of standard deviations, zero among them, evenly in their logarithm: from well below
what the most precise rows can show to beyond what the residuals of all rows need. The size of
each direction comes from its own model, with all other variances zero, whose highest maximum is
known (`one_variance`). Newton's method climbs from the highest peaks of the grid, from each
direction's own maximum, and from near correlations of one; the highest end is the answer. Few
trials, whose likelihoods have many hills, get a fine grid and many climbs; many trials, whose
likelihood has one, a coarse grid and few.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np

from backpain_analysis.engine.likelihood import Batch, NotDefinite, evaluate
from backpain_analysis.engine.one_variance import whitened
from backpain_analysis.engine.search import Maximum, maximise
from backpain_analysis.engine.terms import ScaledTerm, components_of, split
from backpain_analysis.errors import ConvergenceError

WORK, FINEST, MOST_HEIGHTS = 4e5, 9, 700
"""Multiplications that the grid may take, its points along a direction, and in all."""
CHUNK = 2e6
CLIMBS, FEW_CLIMBS, NEAR = 6, 3, 12.0
"""Climbs of problems of few and of many trials, from peaks no further below the highest."""
ROUGH = 1e-3
"""A climb whose promised rise is this small goes on only if its hill may be the highest."""
SAME = 0.05
LEAN = 0.9
"""Correlation of the starts beside the boundary."""


def derivatives_at(
    theta: np.ndarray, *, batches: list[Batch], terms: list[ScaledTerm], reml: bool
) -> tuple[float, np.ndarray, np.ndarray]:
    """Log-likelihood, gradient and Hessian by the Cholesky parameters."""
    values, jacobian, curvature = components_of(terms, theta)
    point = evaluate(batches, values, reml=reml, derivatives=True)
    assert point.gradient is not None and point.hessian is not None
    gradient = jacobian.T @ point.gradient
    hessian = jacobian.T @ point.hessian @ jacobian
    return point.llf, gradient, hessian + np.tensordot(point.gradient, curvature, axes=1)


def heights(batches: list[Batch], components: np.ndarray, *, reml: bool) -> np.ndarray:
    """The log-likelihood, up to a constant, at many values of the components.

    Parameters
    ----------
    batches : list of Batch
    components : ndarray, shape (n, m)

    Returns
    -------
    ndarray, shape (n,)
        Minus infinity outside the domain.
    """
    size = sum(batch.S.size for batch in batches) * 2
    step = max(1, int(CHUNK // size))
    parts = [
        _heights(batches, components[first : first + step], reml)
        for first in range(0, len(components), step)
    ]
    return np.concatenate(parts)


def _heights(batches: list[Batch], components: np.ndarray, reml: bool) -> np.ndarray:
    p = batches[0].X.shape[-1]
    gram = np.zeros((len(components), p + 1, p + 1))
    logdet = np.zeros(len(components))
    outside = np.zeros(len(components), dtype=bool)
    for batch in batches:
        V = batch.S + np.tensordot(components, batch.K, axes=1)
        Z = np.concatenate([batch.X, batch.y[..., None]], axis=2)
        if V.shape[-1] == 1:
            logdet += np.log(V).sum(axis=(1, 2, 3))
            gram += np.einsum("gb,bi,bj->gij", 1 / V[:, :, 0, 0], Z[:, 0], Z[:, 0], optimize=True)
            continue
        values, vectors = np.linalg.eigh(V)
        sound = values[..., 0] > 0
        outside |= ~sound.all(axis=1)
        values = np.where(sound[..., None], values, 1.0)
        logdet += np.log(values).sum(axis=(1, 2))
        turned = vectors.swapaxes(-1, -2) @ Z
        scaled = (turned / np.sqrt(values)[..., None]).reshape(len(components), -1, p + 1)
        gram += scaled.swapaxes(1, 2) @ scaled
    sign, information = np.linalg.slogdet(gram[:, :p, :p])
    outside |= sign <= 0
    gram[outside] = np.eye(p + 1)
    b = gram[:, :p, p]
    rss = gram[:, p, p] - (b * np.linalg.solve(gram[:, :p, :p], b[..., None])[..., 0]).sum(axis=1)
    found = -0.5 * (logdet + rss + reml * information)
    return np.where(outside, -np.inf, found)


def highest(batches: list[Batch], terms: list[ScaledTerm], *, reml: bool) -> tuple[np.ndarray, int]:
    """Parameters at the highest maximum found, and the steps of the climb that found it.

    Raises
    ------
    ConvergenceError
        If no climb ended.
    """
    at = partial(derivatives_at, batches=batches, terms=terms, reml=reml)
    few = _work(batches) * 50 < WORK
    best: Maximum | None = None
    failure = ConvergenceError(
        "the sampling covariance is too close to singular for its likelihood to be computed",
        "leave out trials with extreme variances",
    )
    for start in _starts(batches, terms, reml)[: CLIMBS if few else FEW_CLIMBS]:
        try:
            found = maximise(at, start, tolerance=1e-11 if best is None else ROUGH)
            if best is not None and _another(terms, found, best):
                found = maximise(at, found.theta)
        except NotDefinite:
            continue
        except ConvergenceError as fault:
            failure = fault
            continue
        if best is None or found.value > best.value:
            best = found
    if best is None:
        raise failure
    theta, value = best.theta, best.value
    for number in range(len(terms)):
        parts = split(terms, theta)
        parts[number] = terms[number].start(0.0)
        without = np.concatenate(parts)
        lower = at(without)[0]
        if lower >= value - (
            1e-10 if terms[number].size(split(terms, theta)[number]) < 1e-5 else 0
        ):
            theta, value = without, max(lower, value)
    return theta, best.n_iterations


def _another(terms: list[ScaledTerm], found: Maximum, best: Maximum) -> bool:
    """Whether a rough climb is on a hill of its own that may be the highest."""
    own, other = (components_of(terms, end.theta)[0] for end in (found, best))
    same = np.all(np.abs(own - other) <= SAME * (np.abs(other).max() + np.abs(other)))
    return found.value > best.value - 2 * ROUGH and not (same and found.value < best.value)


def _work(batches: list[Batch]) -> float:
    return sum(batch.S.size * batch.S.shape[-1] for batch in batches)


def _starts(batches: list[Batch], terms: list[ScaledTerm], reml: bool) -> list[np.ndarray]:
    """Where to climb from, the most promising first."""
    axes = [(number, own) for number, term in enumerate(terms) for own in range(term.n_sizes)]
    sizes = [_size(batches, terms, number, own, reml) for number, own in axes]
    budget = min(MOST_HEIGHTS, max(3.0 ** min(len(axes), 3), WORK / _work(batches)))
    points = int(np.clip(budget ** (1 / len(axes)), 2, FINEST))
    grids = [
        np.array([0.0, *np.geomspace(low, high, points - 1)] if points > 2 else [low / 10, middle])
        for low, middle, high in sizes
    ]
    if len(axes) > 6:
        grids = [np.array([0.0, middle]) for _, middle, _ in sizes]
    shape = [len(grid) for grid in grids]
    corners = np.array(list(product(*grids)))[:4096]
    bounds = np.cumsum([0, *(term.n_sizes for term in terms)])
    cells = [
        term.cells_at_sizes(corners[:, a:b])
        for term, a, b in zip(terms, bounds, bounds[1:], strict=False)
    ]
    level = heights(batches, np.concatenate(cells, axis=1), reml=reml)
    order = _peaks(level, shape) if len(corners) == np.prod(shape) else np.argsort(-level)
    order = order[level[order] >= level.max() - NEAR]
    nudge = [min(low, middle) / 10 for low, middle, _ in sizes]
    tops = [np.maximum(corners[row], nudge) for row in order]
    alone = [
        np.where(np.arange(len(axes)) == own, middle, nudge)
        for own, (_, middle, _) in enumerate(sizes)
    ]
    candidates = [_theta(terms, top) for top in [*tops, *alone]]
    candidates += [lean for top in tops[:2] for lean in _leaning(terms, top)]
    components = np.stack([components_of(terms, theta)[0] for theta in candidates])
    height = heights(batches, components, reml=reml)
    first = 0 if not tops else int(np.argmax(height[: len(tops)]))
    rest = [row for row in np.argsort(-height, kind="stable") if row != first]
    return [candidates[row] for row in [first, *rest]]


def _size(
    batches: list[Batch], terms: list[ScaledTerm], number: int, own: int, reml: bool
) -> tuple[float, float, float]:
    """Standard deviations of a direction: well below, at, and beyond its own maximum."""
    sizes = np.zeros(sum(term.n_sizes for term in terms))
    sizes[sum(term.n_sizes for term in terms[:number]) + own] = 1.0
    unit = components_of(terms, _theta(terms, sizes))[0]
    alone = [replace(batch, K=np.tensordot(unit, batch.K, axes=1)[None]) for batch in batches]
    rows = whitened(alone, reml=reml)
    d = rows.d[rows.d > 1e-12 * rows.d.max()]
    low, typical = 0.1 / np.sqrt(d.max()), 1 / np.sqrt(np.median(d))
    own_maximum = np.sqrt(rows.highest().psi)
    middle = max(own_maximum, low) if own_maximum > 0 else 0.3 * typical
    return float(low), float(middle), float(3 * max(own_maximum, typical))


def _theta(terms: list[ScaledTerm], sizes: np.ndarray, lean: float = 0.0) -> np.ndarray:
    parts, first = [], 0
    for term in terms:
        parts.append(term.at_sizes(sizes[first : first + term.n_sizes], lean))
        first += term.n_sizes
    return np.concatenate(parts)


def _leaning(terms: list[ScaledTerm], sizes: np.ndarray) -> list[np.ndarray]:
    """The same standard deviations with strong correlations."""
    if all(term.n_parameters == term.n_sizes for term in terms):
        return []
    return [_theta(terms, sizes, lean) for lean in (LEAN, -LEAN)]


def _peaks(level: np.ndarray, shape: list[int]) -> np.ndarray:
    """Points of the grid with no higher neighbour, the highest first."""
    grid = level.reshape(shape)
    peak = np.ones(shape, dtype=bool)
    for axis in range(len(shape)):
        up, down = np.full(shape, -np.inf), np.full(shape, -np.inf)
        ahead = [slice(None)] * len(shape)
        behind = [slice(None)] * len(shape)
        ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
        up[tuple(behind)] = grid[tuple(ahead)]
        down[tuple(ahead)] = grid[tuple(behind)]
        peak &= (grid >= up) & (grid >= down)
    rows = np.flatnonzero(peak.ravel())
    return rows[np.argsort(-level[rows], kind="stable")]
