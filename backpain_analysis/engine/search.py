"""Newton's method with exact derivatives, safe on saddles and at the boundary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from backpain_analysis.errors import ConvergenceError

PATIENCE, STANDSTILL = 20, 1e-8
"""A search that gains less than this in so many steps is on a flat ridge, at its height."""


@dataclass(frozen=True)
class Maximum:
    """Where the search ended, or, with a `fault`, how far it came before it gave up."""

    theta: np.ndarray
    value: float
    n_iterations: int
    fault: ConvergenceError | None = None


QUICK = 6
"""From so many steps on the best length is always taken."""

ROUNDING = 1e-13
"""Relative error of a value of the function: a smaller rise cannot be seen."""

Derivatives = tuple[float, np.ndarray, np.ndarray]
Heights = Callable[[np.ndarray], np.ndarray]

LENGTHS = 2.0 ** np.array([0.0, 2, 1, -1, -2, -3, -4, -5, -6, -8, -10, -13, -17])
"""Of a step, over Newton's."""

LONGEST, LONGER, LITTLE = 4.0, 4.0 ** np.arange(2, 13), 0.1
"""The longest of these, and those tried beyond it where it ends highest but wins little: on a
straight ridge."""

LEVEL = 1e-6
"""A function that bends by less than this, over its largest curvature, is level."""

RISE, REACH, TRIED = 1e-9, 0.5 * 4.0 ** np.arange(-10, 8), 3
"""By how much heights along a level line must rise to go there; places on it that are looked at,
over the largest parameter; and how many of the highest are tried."""
BESIDE = 1 + 1e-9 * np.array([[-3], [-2], [-1], [0], [1], [2], [3]])
"""Places so near that their heights differ by rounding only."""


def maximise(
    function: Callable[[np.ndarray], Derivatives], start: np.ndarray, **options: Any
) -> Maximum:
    """As `ascend`, for climbs that must end.

    Raises
    ------
    ConvergenceError
        If no maximum is found within `max_iterations`.
    """
    found = ascend(function, start, **options)
    if found.fault is not None:
        raise found.fault
    return found


def ascend(
    function: Callable[[np.ndarray], Derivatives],
    start: np.ndarray,
    *,
    max_iterations: int = 200,
    tolerance: float = 1e-11,
    heights: Heights | None = None,
) -> Maximum:
    """Maximise a smooth function of a few parameters.

    Each step solves the Newton equations with the absolute values of the Hessian's eigenvalues,
    so it always climbs and leaves saddles, and is halved until the function rises (Nocedal &
    Wright 2006, section 3.4). The search ends when the rise that the quadratic model promises
    is below `tolerance`; the last step is still taken, so the error left is of second order.

    Parameters
    ----------
    function : callable
        Gives value, gradient (m,) and Hessian (m, m); raises LinAlgError outside its domain.
    start : ndarray, shape (m,)
    heights : callable, optional
        Gives the function, but for a constant, at many points (n, m) at once: then the highest of
        many lengths of each step is taken, not the first that rises, and level ground is left
        along the lines that rise.

    Returns
    -------
    Maximum
        Of a climb that does not end how far it came, and its fault.
    """
    theta = np.array(start, dtype=float)
    value, gradient, hessian = function(theta)
    earlier, left, least = -np.inf, theta, max(RISE, tolerance)
    for iteration in range(1, max_iterations + 1):
        step, upward, bend = _newton_step(theta, gradient, hessian)
        promised = 0.5 * float(gradient @ step)
        new = None
        if promised >= tolerance:
            if heights is not None and iteration > QUICK:
                step = _best_length(heights, theta, step) * step
            new, step = _climb(function, theta, value, step, float(gradient @ step), heights)
        if new is None:
            if heights is not None and bend > -LEVEL:
                lines = [upward, theta - left, theta]
                new, away = _along(function, heights, theta, value, lines, least)
            elif heights is None and bend > LEVEL and promised < tolerance:
                new, away = _off_saddle(function, theta, value, upward)
            if new is not None:
                step, left = away, theta
            elif promised < tolerance:
                new, step = _climb(function, theta, value, step, float(gradient @ step), heights)
                if new is not None:
                    theta, value = theta + step, new[0]
                return Maximum(theta, value, iteration)
            elif promised < 1e-7 or abs(gradient @ step) < ROUNDING * max(1.0, abs(value)):
                return Maximum(theta, value, iteration)
            else:
                return Maximum(theta, value, iteration, _stuck())
        theta = theta + step
        value, gradient, hessian = new
        if iteration % PATIENCE == 0:
            risen, earlier = value - earlier, value
            if risen < STANDSTILL:
                return Maximum(theta, value, iteration)
            if heights is not None and risen < LITTLE:
                lines = [upward, theta - left, theta]
                new, away = _along(function, heights, theta, value, lines, least)
                left = theta
                if new is not None:
                    theta = theta + away
                    value, gradient, hessian = new
    fault = ConvergenceError(
        f"no maximum of the likelihood after {max_iterations} steps",
        "the data may not identify "
        "all variance parameters. Use fewer random effects (a simpler curve), method='CE', or "
        "more trials",
    )
    return Maximum(theta, value, max_iterations, fault)


def _newton_step(
    theta: np.ndarray, gradient: np.ndarray, hessian: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """The step, the direction in which the function bends most upward, and by how much it does.

    The bend is a share of the largest curvature, and negative where all directions bend down.
    """
    eigenvalues, eigenvectors = np.linalg.eigh(-hessian)
    size = np.abs(eigenvalues)
    floor = 1e-8 * max(float(size.max()), 1e-8)
    step = eigenvectors @ ((eigenvectors.T @ gradient) / np.maximum(size, floor))
    longest = 0.6 * max(1.0, float(np.abs(theta).max()))
    step = step * min(1.0, longest / max(float(np.abs(step).max()), 1e-300))
    return step, eigenvectors[:, 0], float(-eigenvalues[0] / max(float(size.max()), 1.0))


def _best_length(heights: Heights, theta: np.ndarray, step: np.ndarray) -> float:
    """The length of the step that ends highest; Newton's own where that is as good."""
    ends = theta + np.append(LENGTHS, 0.0)[:, None] * step
    level = heights(ends)
    if not np.isfinite(level[-1]):
        return 1.0
    risen = level[:-1] - level[-1]
    place = int(np.argmax(risen))
    if risen[0] >= 0.99 * risen[place] - 1e-9:
        return 1.0
    if LENGTHS[place] == LONGEST and risen[place] < LITTLE:
        beyond = heights(theta + LONGER[:, None] * step) - level[-1]
        farther = int(np.argmax(beyond))
        if beyond[farther] > risen[place]:
            return float(LONGER[farther])
    return float(LENGTHS[place])


def _off_saddle(
    function: Callable[[np.ndarray], Derivatives],
    theta: np.ndarray,
    value: float,
    upward: np.ndarray,
) -> tuple[Derivatives | None, np.ndarray]:
    """A step off a stationary point that is no maximum (a variance of zero that should not be)."""
    length = 0.5 * max(1.0, float(np.abs(theta).max()))
    while length > 1e-6:
        for step in (length * upward, -length * upward):
            new = _higher(function, theta + step, value)
            if new is not None:
                return new, step
        length /= 4
    return None, upward


def _along(
    function: Callable[[np.ndarray], Derivatives],
    heights: Heights,
    theta: np.ndarray,
    value: float,
    lines: list[np.ndarray],
    least: float,
) -> tuple[Derivatives | None, np.ndarray]:
    """The step along one of these lines that rises most, if by more than the least.

    A level place may lie on a long ridge, whose slope and bend rounding hides from derivatives. A
    rise that the places beside do not share is rounding, too.
    """
    steps = np.zeros((1, len(theta)))
    for line in lines:
        far = float(np.abs(line).max())
        if far > 0:
            lengths = REACH * max(1.0, float(np.abs(theta).max())) / far
            steps = np.concatenate([steps, lengths[:, None] * line, -lengths[:, None] * line])
    level = heights(theta + steps)
    for place in np.argsort(-level)[:TRIED]:
        if not -np.inf < level[0] < level[place] - least < np.inf:
            break
        end = theta + steps[place]
        around = heights(end * BESIDE)
        sure = np.isfinite(around).all() and np.ptp(around) < 0.3 * (level[place] - level[0])
        new = _higher(function, end, value) if sure else None
        if new is not None:
            return new, steps[place]
    return None, steps[0]


def _higher(
    function: Callable[[np.ndarray], Derivatives], theta: np.ndarray, value: float
) -> Derivatives | None:
    """The function and its derivatives there, if it is higher."""
    try:
        new = function(theta)
    except np.linalg.LinAlgError:
        return None
    return new if new[0] > value else None


def _stuck() -> ConvergenceError:
    return ConvergenceError(
        "the likelihood could not be increased any further although its slope is not zero",
        "check for trials with extreme effects or near-zero variances, or use fewer random effects",
    )


def _climb(
    function: Callable[[np.ndarray], Derivatives],
    theta: np.ndarray,
    value: float,
    step: np.ndarray,
    slope: float,
    heights: Heights | None,
) -> tuple[Derivatives | None, np.ndarray]:
    """Halve the step, or take its best length, until a share of what the slope promises is won."""
    share, noise = 1e-4 if heights is None else 0.1, ROUNDING * max(1.0, abs(value))
    for attempt in range(60):
        try:
            new = function(theta + step)
            if new[0] >= value + share * slope - noise:
                return new, step
        except np.linalg.LinAlgError:
            pass
        length = 0.5
        if heights is not None and attempt == 0:
            length, share = min(_best_length(heights, theta, step), LONGEST), 1e-4
        step, slope = length * step, length * slope
        if abs(slope) < noise:
            break
    return None, step
