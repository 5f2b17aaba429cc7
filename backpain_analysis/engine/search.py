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


Derivatives = tuple[float, np.ndarray, np.ndarray]


def maximise(
    function: Callable[[np.ndarray], Derivatives],
    start: np.ndarray,
    *,
    max_iterations: int = 200,
    tolerance: float = 1e-11,
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
            step, promised = _leave_saddle(function, theta, value, upward), np.inf
        new, step = _climb(function, theta, value, step, float(gradient @ step))
        if new is None:
            if promised < 1e-7:
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


def _leave_saddle(
    function: Callable[[np.ndarray], Derivatives],
    theta: np.ndarray,
    value: float,
    upward: np.ndarray,
) -> np.ndarray:
    """A step off a stationary point that is no maximum (a variance of zero that should not be)."""
    length = 0.5 * max(1.0, float(np.abs(theta).max()))
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
) -> tuple[Derivatives | None, np.ndarray]:
    """Halve the step until the function rises by a share of what its slope promises."""
    share, noise = 1e-4, 1e-13 * max(1.0, abs(value))
    for _ in range(60):
        try:
            new = function(theta + step)
            if new[0] >= value + share * slope - noise:
                return new, step
        except np.linalg.LinAlgError:
            pass
        step, slope = step / 2, slope / 2
    return None, step
