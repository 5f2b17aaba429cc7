"""Curves of an effect over time, and the profile likelihood of their half-time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from scipy import optimize, special

from backpain_analysis.effects.table import Effects
from backpain_analysis.engine.mixed import fit, times_precision
from backpain_analysis.engine.search import maximise
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


STARTS = (0.1, 0.3, 1.0, 3.0, 10.0)
"""Standard deviations between trials, over the typical error of a trial's own height."""


class Heights:
    """Maximised log-likelihood of `y = f(t) (b + u) + e` for one curve f after another.

    A curve enters by two numbers a trial, `a = f'S^-1 f` and `c = f'S^-1 y`: the trial's own height
    `b + u` is `c / a` with variance `1 / a`. So S is inverted only once, and cost and memory are
    linear in the trials. The likelihood is that of `mixed.fit` by "ML" (with no u: "CE"), less
    what all curves share.

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

    def of(self, curve: Curve) -> float:
        """Maximised log-likelihood, less what all curves share.

        Raises
        ------
        ConvergenceError
        """
        f = curve.basis(self._weeks)[:, 0]
        weighted = times_precision(self._known, f[:, None])[:, 0]
        blocks = self._known.blocks
        a, c = np.zeros((2, len(blocks.labels)))
        for rows, members in zip(blocks.batches, blocks.members, strict=True):
            a[members] = np.sum(f[rows] * weighted[rows], axis=1)
            c[members] = np.sum(self._known.y[rows] * weighted[rows], axis=1)
        typical = np.median(a)
        a, c = a / typical, c / np.sqrt(typical)
        none = _at(np.zeros(1), a, c)[0]
        if not self._between:
            return none
        start = max(STARTS, key=lambda sd: _at(np.array([sd]), a, c)[0])
        return max(none, maximise(lambda sd: _at(sd, a, c), np.array([start])).value)


def _at(sd: np.ndarray, a: np.ndarray, c: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Log-likelihood, gradient and Hessian by the standard deviation of u, b profiled out.

    See `models.likelihood`, for blocks of one height each.
    """
    tau2 = sd[0] ** 2
    shrunk = 1 + tau2 * a
    w, wy = a / shrunk, c / shrunk
    total = w.sum()
    mean = wy.sum() / total
    e = wy - mean * w
    value = 0.5 * (tau2 * c @ wy + mean * wy.sum() - np.log(shrunk).sum())
    score = 0.5 * (e @ e - w.sum())
    bend = 0.5 * w @ w - w @ e**2 + (w @ e) ** 2 / total
    return value, 2 * sd * score, np.array([[2 * score + 4 * tau2 * bend]])


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


def half_time(
    curve: Shaped, height: Callable[[Curve], float], weeks: np.ndarray, level: float
) -> HalfTime:
    """Maximum and interval of the profile log-likelihood over a curve's half-time.

    The interval holds the half-times whose log-likelihood is within half the chi-square quantile
    (one degree of freedom) of the maximum (Venzon & Moolgavkar 1988, doi 10.2307/2347496).

    Parameters
    ----------
    curve : Shaped
        With one shape parameter, the half-time, found from its logarithm.
    height : callable
        Maximised log-likelihood of the model with a given curve.
    weeks : ndarray
        Of the measurements.
    level : float

    Returns
    -------
    HalfTime
    """
    ends = (Constant(), Linear())
    constant, line = (height(end) for end in ends)
    at, grid, heights = _profile(curve, height, weeks)
    best, log_best = max(_refined(at, grid, heights, place) for place in _peaks(heights))
    inside = best > max(constant, line) + FLAT
    highest = max(best, constant, line)
    floor = highest - 0.5 * float(special.chdtri(1, 1 - level))
    points, tops = np.append(grid, log_best), np.append(heights, best)
    order = np.argsort(points)
    low, high = _limits(at, points[order], tops[order], floor)
    return HalfTime(
        estimate=float(np.exp(log_best)) if inside else np.nan,
        low=0.0 if constant >= floor else float(np.exp(low)),
        high=np.inf if line >= floor else float(np.exp(high)),
        limit=None if inside else ends[int(line > constant)],
        level=level,
    )


def has_half_time(curve: Shaped, height: Callable[[Curve], float], weeks: np.ndarray) -> bool:
    """Whether some half-time fits better than a constant effect and a straight line.

    Parameters
    ----------
    curve, height, weeks
        As for `half_time`.
    """
    ends = max(height(Constant()), height(Linear())) + FLAT
    at, grid, heights = _profile(curve, height, weeks)
    if heights.max() > ends:
        return True
    return any(_refined(at, grid, heights, place)[0] > ends for place in _peaks(heights))


def _profile(
    curve: Shaped, height: Callable[[Curve], float], weeks: np.ndarray
) -> tuple[Callable[[float], float], np.ndarray, np.ndarray]:
    """The profile log-likelihood of the logarithm of the half-time, its grid, and its values."""

    def at(log_half: float) -> float:
        return height(replace(curve, values=curve.from_free(np.array([log_half]))))

    positive = weeks[weeks > 0]
    grid = np.log(np.geomspace(positive.min() / BEYOND, positive.max() * BEYOND, POINTS))
    return at, grid, np.array([at(point) for point in grid])


def _peaks(heights: np.ndarray) -> np.ndarray:
    """Places no lower than their neighbours: the profile may have more than one."""
    padded = np.concatenate([[-np.inf], heights, [-np.inf]])
    return np.flatnonzero((heights >= padded[:-2]) & (heights >= padded[2:]))


def _refined(
    at: Callable[[float], float], grid: np.ndarray, heights: np.ndarray, place: int
) -> tuple[float, float]:
    """Height and place of the maximum around a peak of the grid."""
    if place in (0, len(grid) - 1):
        return float(heights[place]), float(grid[place])
    found = optimize.minimize_scalar(
        lambda point: -at(point),
        bounds=(grid[place - 1], grid[place + 1]),
        method="bounded",
        options={"xatol": 1e-8},
    )
    return max((-float(found.fun), float(found.x)), (float(heights[place]), float(grid[place])))


def _limits(
    at: Callable[[float], float], points: np.ndarray, heights: np.ndarray, floor: float
) -> tuple[float, float]:
    """Where the profile first rises above `floor`, and where it last falls below it."""
    above = np.flatnonzero(heights >= floor)
    if not len(above):
        return (points[int(np.argmax(heights))],) * 2
    first, last = above[0], above[-1]

    def crossing(inner: int, outer: int) -> float:
        if not 0 <= outer < len(points):
            return points[inner]
        ends = points[inner], points[outer]
        return float(optimize.brentq(lambda point: at(point) - floor, *ends, xtol=1e-8))

    return crossing(first, first - 1), crossing(last, last + 1)
