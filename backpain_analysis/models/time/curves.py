"""Curves of an effect over time, and the profile likelihood of their half-time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from scipy import special

from backpain_analysis.effects.table import Effects
from backpain_analysis.engine.mixed import fit, times_precision
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.dose.curves import (
    Curve,
    Linear,
    LinearInParameters,
    RestrictedCubicSpline,
    named,
)
from backpain_analysis.models.dose.shaped import Emax, Shaped

KNOT_QUANTILES = (0.10, 0.50, 0.90)

NAMES = ("exponential", "emax", "rcs", "linear", "log", "quadratic", "constant")


@dataclass(frozen=True)
class Exponential(Shaped):
    """`E (1 - 2^(-t/h))`: approaches E at the rate `ln 2 / h`, half of it at week h.

    Source: first-order approach to a plateau, as in time-course meta-analysis (Pedder et al.
    2019, doi 10.1002/jrsm.1351).
    """

    name: ClassVar[str] = "exponential"
    terms: ClassVar[tuple[str, ...]] = ("maximal effect",)
    shape_terms: ClassVar[tuple[str, ...]] = ("half-time",)

    def from_free(self, free: np.ndarray) -> tuple[float, ...]:
        return (float(np.exp(free[0])),)

    def basis(self, doses: np.ndarray) -> np.ndarray:
        t = np.asarray(doses, dtype=float)
        return -np.expm1(-np.log(2) * t / self.values[0])[:, None]

    def gradient(self, doses: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        t, half = np.asarray(doses, dtype=float), self.values[0]
        slope = -coefficients[0] * np.log(2) * t / half**2 * 2 ** (-t / half)
        return np.column_stack([self.basis(t)[:, 0], slope])


@dataclass(frozen=True)
class EmaxInTime(Emax):
    """`E t / (h + t)`: approaches E more slowly than the exponential, half of it at week h."""

    terms: ClassVar[tuple[str, ...]] = ("maximal effect",)
    shape_terms: ClassVar[tuple[str, ...]] = ("half-time",)


@dataclass(frozen=True)
class Constant(LinearInParameters):
    """The same effect at all times after randomisation: an approach too fast to be seen."""

    name: str = "constant"

    @property
    def terms(self) -> tuple[str, ...]:
        return ("effect",)

    def basis(self, doses: np.ndarray) -> np.ndarray:
        return (np.asarray(doses, dtype=float) > 0).astype(float)[:, None]


APPROACHES: dict[str, Shaped] = {"exponential": Exponential(), "emax": EmaxInTime()}
"""Curves with a maximum that is approached, and a half-time."""


def half_times(name: str, fraction: float) -> float:
    """Half-times until this fraction of the maximal effect is reached."""
    if name == "emax":
        return fraction / (1 - fraction)
    return float(-np.log2(1 - fraction))


def time_curve(curve: str | Curve, weeks: np.ndarray) -> Curve:
    """A curve by its name, splines with knots at quantiles of the weeks; or the curve itself.

    Raises
    ------
    ValueError
        For an unknown name.
    CannotEstimate
        If the follow-ups are too few for a spline.
    """
    if not isinstance(curve, str):
        return curve
    if curve not in NAMES:
        raise ValueError(f"unknown curve {curve!r}: use one of {', '.join(NAMES)}.")
    if curve == "rcs":
        knots = np.unique(np.quantile(weeks, KNOT_QUANTILES))
        if len(knots) < 3:
            raise CannotEstimate("the follow-ups are too few for a spline", "use another curve")
        return RestrictedCubicSpline(knots=tuple(float(knot) for knot in knots))
    own: dict[str, Curve] = {**APPROACHES, "constant": Constant()}
    return own.get(curve) or named(curve)


NARROWINGS = 4

SPREADS = np.geomspace(1e-4, 1e5, 37)[:, None]
"""Standard deviations between trials, over the typical error of a trial's own height."""

FINER = np.linspace(0.0, 1.0, 33)[:, None]


class Heights:
    """Maximised log-likelihood of `y = f(t) (b + u) + e` for many curves f at once.

    A curve enters by two numbers a trial, `a = f'S^-1 f` and `c = f'S^-1 y`: the trial's own height
    `b + u` is `c / a` with variance `1 / a`. So S is inverted only once, and cost and memory are
    linear in the trials. The likelihood is that of `mixed.fit` by "ML" (with no u: "CE"), less
    what all curves share. Its maximum by the standard deviation of u is the highest of a grid,
    narrowed again and again.

    Parameters
    ----------
    effects : Effects
        With weeks as their dose.
    between : bool
        Whether trials deviate from the mean curve.

    Raises
    ------
    ValueError
        For effects that `mixed.fit` refuses.
    """

    def __init__(self, effects: Effects, *, between: bool) -> None:
        self._weeks = effects.table["dose"].to_numpy(dtype=float)
        y, trials = (effects.table[name].to_numpy() for name in ("yi", "trial_id"))
        ones = np.ones((len(y), 1))
        self._known = fit(y, ones, effects.covariance, blocks=trials, method="CE")
        self._between = between

    def of(self, curves: Sequence[Curve], without: str | None = None) -> np.ndarray:
        """Maximised log-likelihoods, less what all curves share, shape (n_curves,).

        Of all trials, or `without` one; a trial that is left alone does not deviate.
        """
        f = np.column_stack([curve.basis(self._weeks)[:, 0] for curve in curves])
        weighted = times_precision(self._known, f)
        blocks = self._known.blocks
        a, c = np.zeros((2, len(blocks.labels), len(curves)))
        for rows, members in zip(blocks.batches, blocks.members, strict=True):
            a[members] = np.sum(f[rows] * weighted[rows], axis=1)
            c[members] = np.sum(self._known.y[rows][:, :, None] * weighted[rows], axis=1)
        between = self._between
        if without is not None:
            left = blocks.labels != without
            a, c, between = a[left], c[left], between and left.sum() > 1
        typical = np.median(a, axis=0)
        a, c = a / typical, c / np.sqrt(typical)
        none = _at(np.zeros((1, 1)), a, c)[0]
        if not between:
            return none
        points, every = np.repeat(SPREADS, len(curves), axis=1), np.arange(len(curves))
        for narrowing in range(NARROWINGS + 1):
            values = _at(points, a, c)
            best = values.argmax(axis=0)
            if narrowing < NARROWINGS:
                low = points[np.maximum(best - 1, 0), every]
                high = points[np.minimum(best + 1, len(points) - 1), every]
                points = low * (high / low) ** FINER
        return np.maximum(none, values[best, every])


def _at(sd: np.ndarray, a: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Log-likelihoods by standard deviations of u, b profiled out; see `engine.likelihood`.

    Parameters
    ----------
    sd : ndarray, shape (n_points, n_curves) or (1, 1)
    a, c : ndarray, shape (n_trials, n_curves)

    Returns
    -------
    ndarray, shape (n_points, n_curves)
    """
    tau2 = sd**2
    shrunk = 1 + tau2[:, None, :] * a
    logs = np.log(shrunk).sum(axis=1)
    weights = np.reciprocal(shrunk, out=shrunk)
    wa, wy, squares = (np.einsum("ptc,tc->pc", weights, values) for values in (a, c, c**2))
    return 0.5 * (tau2 * squares - logs + wy**2 / wa)


POINTS = 41

BEYOND = 256.0
"""The half-times tried reach this factor beyond the first and the last week measured."""

FLAT = 1e-4
"""Log-likelihood by which a curve with a half-time must beat the curves without one."""


@dataclass(frozen=True)
class HalfTime:
    """A half-time and its profile likelihood interval.

    As the half-time goes to zero the curve becomes a constant effect, as it grows a straight
    line; both belong to the profile, so limits may be missing on either side.

    Attributes
    ----------
    estimate : float
        Weeks; missing where one of the two curves at the ends fits as well as any.
    low, high : float
        Limits; 0 and infinity where the data set none.
    limit : Curve or None
        The curve at the end of the profile that fits best, where there is no estimate.
    level : float
    """

    estimate: float
    low: float
    high: float
    limit: Curve | None
    level: float


Height = Callable[[Sequence[Curve]], np.ndarray]
"""Maximised log-likelihoods of a model with each of some curves."""


def half_time(
    curve: Shaped, height: Height, weeks: np.ndarray, level: float, *, limits: bool = True
) -> HalfTime:
    """Maximum and interval of the profile log-likelihood over a curve's half-time.

    The interval holds the half-times whose log-likelihood is within half the chi-square quantile
    (one degree of freedom) of the maximum (Venzon & Moolgavkar 1988, doi 10.2307/2347496).

    Parameters
    ----------
    curve : Shaped
        With one shape parameter, the half-time, found from its logarithm.
    height : callable
    weeks : ndarray
        Of the measurements.
    level : float
    limits : bool
        Whether the interval is looked for; else its limits are NaN.

    Returns
    -------
    HalfTime
    """
    ends = (Constant(), Linear())
    constant, line = height(ends)
    at, grid, heights = _profile(curve, height, weeks)
    best, log_best = max(_refined(at, grid, place) for place in _peaks(heights))
    inside = best > max(constant, line) + FLAT
    low, high = np.nan, np.nan
    if limits:
        floor = max(best, constant, line) - 0.5 * float(special.chdtri(1, 1 - level))
        points, tops = np.append(grid, log_best), np.append(heights, best)
        order = np.argsort(points)
        low, high = np.exp(_limits(at, points[order], tops[order], floor))
        low, high = (0.0 if constant >= floor else low), (np.inf if line >= floor else high)
    return HalfTime(
        estimate=float(np.exp(log_best)) if inside else np.nan,
        low=float(low),
        high=float(high),
        limit=None if inside else ends[int(line > constant)],
        level=level,
    )


def has_half_time(curve: Shaped, height: Height, weeks: np.ndarray) -> bool:
    """Whether some half-time fits better than a constant effect and a straight line.

    Parameters
    ----------
    curve, height, weeks
        As for `half_time`; the half-time that the curve has, if any, is tried first.
    """
    constant, line, *own = height((Constant(), Linear(), *([curve] if curve.shape else [])))
    ends = max(constant, line) + FLAT
    if own and own[0] > ends:
        return True
    at, grid, heights = _profile(curve, height, weeks)
    if heights.max() > ends:
        return True
    return any(_refined(at, grid, place)[0] > ends for place in _peaks(heights))


def _profile(
    curve: Shaped, height: Height, weeks: np.ndarray
) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray, np.ndarray]:
    """The profile log-likelihood of the logarithm of the half-time, its grid, and its values."""

    def at(log_halves: np.ndarray) -> np.ndarray:
        shapes = [curve.from_free(np.array([point])) for point in log_halves]
        return height([replace(curve, values=shape) for shape in shapes])

    positive = weeks[weeks > 0]
    grid = np.log(np.geomspace(positive.min() / BEYOND, positive.max() * BEYOND, POINTS))
    return at, grid, at(grid)


def _peaks(heights: np.ndarray) -> np.ndarray:
    """The highest place, and those no lower than their neighbours: the profile may have several.

    Within level ground, where the curve has become a constant or a line, there is none.
    """
    before, after = np.r_[heights[0], heights[:-1]], np.r_[heights[1:], heights[-1]]
    level = (heights == before) & (heights == after)
    peak = (heights >= before) & (heights >= after) & ~level
    peak[np.argmax(heights)] = True
    return np.flatnonzero(peak)


def _refined(
    at: Callable[[np.ndarray], np.ndarray], grid: np.ndarray, place: int
) -> tuple[float, float]:
    """Height and place of the maximum around a peak of the grid."""
    low, high = grid[max(place - 1, 0)], grid[min(place + 1, len(grid) - 1)]
    for _ in range(NARROWINGS):
        points = low + (high - low) * FINER[:, 0]
        values = at(points)
        best = int(np.argmax(values))
        low, high = points[max(best - 1, 0)], points[min(best + 1, len(points) - 1)]
    return float(values[best]), float(points[best])


def _limits(
    at: Callable[[np.ndarray], np.ndarray], points: np.ndarray, heights: np.ndarray, floor: float
) -> tuple[float, float]:
    """Where the profile first rises above `floor`, and where it last falls below it."""
    above = np.flatnonzero(heights >= floor)
    if not len(above):
        return (points[int(np.argmax(heights))],) * 2
    first, last = above[0], above[-1]

    def crossing(inner: int, outer: int) -> float:
        if not 0 <= outer < len(points):
            return points[inner]
        below, over = points[outer], points[inner]
        for _ in range(NARROWINGS):
            between = below + (over - below) * FINER[:, 0]
            reached = int(np.argmax(at(between) >= floor)) or len(between) - 1
            below, over = between[reached - 1], between[reached]
        return float(over)

    return crossing(first, first - 1), crossing(last, last + 1)
