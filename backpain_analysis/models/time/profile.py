"""The profile likelihood of a half-time, with the two curves at its ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize, special

from backpain_analysis.models.curves import Curve, Linear
from backpain_analysis.models.shaped_curves import Shaped
from backpain_analysis.models.time.curves import Constant

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

    def at(log_half: float) -> float:
        return height(replace(curve, values=curve.from_free(np.array([log_half]))))

    positive = weeks[weeks > 0]
    grid = np.log(np.geomspace(positive.min() / BEYOND, positive.max() * BEYOND, POINTS))
    heights = np.array([at(point) for point in grid])
    ends = (Constant(), Linear())
    constant, line = (height(end) for end in ends)
    peaks = [_refined(at, grid, heights, place) for place in _peaks(heights)]
    best, log_best = max(peaks)
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
