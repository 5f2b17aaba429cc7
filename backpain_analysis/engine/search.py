"""Newton's method with exact derivatives, safe on saddles and at the boundary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from backpain_analysis.errors import ConvergenceError

PATIENCE, STANDSTILL = 20, 1e-8
"""A search that gains less than this in so many steps is on a flat ridge, at its height."""


@dataclass(frozen=True)
class Maximum:
    """Where the search ended."""

    theta: np.ndarray
    value: float
    n_iterations: int


QUICK = 6
"""From so many steps on the best length is always taken."""

ROUNDING = 1e-13
"""Relative error of a value of the function: a smaller rise cannot be seen."""

Derivatives = tuple[float, np.ndarray, np.ndarray]
Heights = Callable[[np.ndarray], np.ndarray]

LENGTHS = 2.0 ** np.array([0.0, 2, 1, -1, -2, -3, -4, -5, -6, -8, -10, -13, -17])
"""Of a step, over Newton's."""


def maximise(
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
        many lengths of each step is taken, not the first that rises.

    Raises
    ------
    ConvergenceError
        If no maximum is found within `max_iterations`.
    """
    theta = np.array(start, dtype=float)
    value, gradient, hessian = function(theta)
    earlier = -np.inf
    for iteration in range(1, max_iterations + 1):
        step, upward = _newton_step(theta, gradient, hessian)
        promised = 0.5 * float(gradient @ step)
        if promised < tolerance and upward is not None:
            step, promised = _leave_saddle(function, theta, value, upward, heights), np.inf
        elif heights is not None and promised >= tolerance and iteration > QUICK:
            step = _best_length(heights, theta, step) * step
        new, step = _climb(function, theta, value, step, float(gradient @ step), heights)
        if new is None:
            if promised < 1e-7 or abs(gradient @ step) < ROUNDING * max(1.0, abs(value)):
                return Maximum(theta, value, iteration)
            raise ConvergenceError(
                "the likelihood could not be increased any further although its slope is not zero",
                "check for trials with extreme effects or near-zero variances, or use "
                "fewer random effects",
            )
        theta = theta + step
        value, gradient, hessian = new
        if promised < tolerance:
            return Maximum(theta, value, iteration)
        if iteration % PATIENCE == 0:
            if value - earlier < STANDSTILL:
                return Maximum(theta, value, iteration)
            earlier = value
    raise ConvergenceError(
        f"no maximum of the likelihood after {max_iterations} steps",
        "the data may not identify "
        "all variance parameters. Use fewer random effects (a simpler curve), method='CE', or "
        "more trials",
    )


def _newton_step(
    theta: np.ndarray, gradient: np.ndarray, hessian: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """The step, and the direction in which the function bends most upward, if it does."""
    eigenvalues, eigenvectors = np.linalg.eigh(-hessian)
    size = np.abs(eigenvalues)
    floor = 1e-8 * max(float(size.max()), 1e-8)
    step = eigenvectors @ ((eigenvectors.T @ gradient) / np.maximum(size, floor))
    longest = 0.6 * max(1.0, float(np.abs(theta).max()))
    step = step * min(1.0, longest / max(float(np.abs(step).max()), 1e-300))
    bends_up = eigenvalues[0] < -1e-6 * max(float(size.max()), 1.0)
    return step, eigenvectors[:, 0] if bends_up else None


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
    return float(LENGTHS[place])


def _leave_saddle(
    function: Callable[[np.ndarray], Derivatives],
    theta: np.ndarray,
    value: float,
    upward: np.ndarray,
    heights: Heights | None,
) -> np.ndarray:
    """A step off a stationary point that is no maximum (a variance of zero that should not be)."""
    length = 0.5 * max(1.0, float(np.abs(theta).max()))
    if heights is not None:
        lengths = length * np.concatenate([4.0 ** -np.arange(11), -(4.0 ** -np.arange(11)), [0.0]])
        best = int(np.argmax(heights(theta + lengths[:, None] * upward)))
        return lengths[best] * upward
    while length > 1e-6:
        for step in (length * upward, -length * upward):
            try:
                if function(theta + step)[0] > value:
                    return step
            except np.linalg.LinAlgError:
                pass
        length /= 4
    return np.zeros_like(theta)


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
            length, share = min(_best_length(heights, theta, step), 4.0), 1e-4
        step, slope = length * step, length * slope
        if abs(slope) < noise:
            break
    return None, step
