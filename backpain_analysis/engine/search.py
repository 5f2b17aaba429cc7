"""Newton's method with exact derivatives, safe on saddles and at the boundary."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from backpain_analysis.errors import ConvergenceError

ITERATIONS, TOLERANCE = 200, 1e-11
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
AllDerivatives = tuple[np.ndarray, np.ndarray, np.ndarray]
Heights = Callable[[np.ndarray], np.ndarray]


class Place(NamedTuple):
    """The function at one place of a climb.

    Attributes
    ----------
    value : float
    gradient : ndarray, shape (m,)
    step : ndarray, shape (m,)
        Newton's, with the absolute values of the Hessian's eigenvalues.
    upward : ndarray, shape (m,)
        The direction in which the function bends most upward.
    bend : float
        By how much it does: a share of the largest curvature, negative where all directions bend
        down.
    """

    value: float
    gradient: np.ndarray
    step: np.ndarray
    upward: np.ndarray
    bend: float


Climb = Generator[np.ndarray, Any, Maximum]
"""Asks for the `Place` of parameters (m,), or for the heights of many, (n, m); a place outside the
domain is answered by a LinAlgError."""
Part = Generator[np.ndarray, Any, tuple[Place | None, np.ndarray]]
"""Of a climb: the place it leads to, if any, and the step."""

LENGTHS = 2.0 ** np.array([0.0, 2, 1, -1, -2, -3, -4, -5, -6, -8, -10, -13, -17])
"""Of a step, over Newton's."""

ENDS = np.append(LENGTHS, 0.0)[:, None]
"""These, and none."""

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
    max_iterations: int = ITERATIONS,
    tolerance: float = TOLERANCE,
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
    climb = _climb(start, max_iterations, tolerance, heights is not None)
    asked = next(climb)
    try:
        while True:
            try:
                answer = heights(asked) if heights and asked.ndim > 1 else _place(function, asked)
            except np.linalg.LinAlgError as outside:
                asked = climb.throw(outside)
            else:
                asked = climb.send(answer)
    except StopIteration as end:
        return end.value


def ascend_together(
    function: Callable[[np.ndarray, np.ndarray], AllDerivatives],
    starts: Sequence[np.ndarray],
    tolerances: Sequence[float],
    *,
    heights: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> list[Maximum | None]:
    """As `ascend` from many starts, step by step together.

    Parameters
    ----------
    function : callable
        Gives values (c,), gradients (c, m) and Hessians (c, m, m) at parameters of shape (c, m),
        of the climbs with the numbers (c,), which rise; values outside its domain are not finite.
    starts : sequence of ndarray, shape (m,)
    tolerances : sequence of float
        Of each climb.
    heights : callable
        Gives heights (n,) at parameters of shape (n, m), of the climbs with the numbers (n,).

    Returns
    -------
    list of Maximum
        None for starts outside the domain.
    """
    climbs = [
        _climb(start, ITERATIONS, tolerance, True)
        for start, tolerance in zip(starts, tolerances, strict=True)
    ]
    ends: list[Maximum | None] = [None] * len(climbs)
    asked = {number: next(climb) for number, climb in enumerate(climbs)}
    while asked:
        at = [number for number, points in asked.items() if points.ndim == 1]
        answers: dict[int, Any] = {}
        if at:
            thetas = np.stack([asked[number] for number in at])
            answers.update(zip(at, _places(thetas, *function(thetas, np.array(at))), strict=True))
        if along := [number for number in asked if number not in answers]:
            lengths = [len(asked[number]) for number in along]
            points = np.concatenate([asked[number] for number in along])
            level = heights(points, np.repeat(along, lengths))
            answers.update(zip(along, np.split(level, np.cumsum(lengths)[:-1]), strict=True))
        asked = {}
        for number in sorted(answers):
            try:
                if answers[number] is None:
                    asked[number] = climbs[number].throw(_outside())
                else:
                    asked[number] = climbs[number].send(answers[number])
            except StopIteration as end:
                ends[number] = end.value
            except np.linalg.LinAlgError:
                continue
    return ends


def _climb(start: np.ndarray, max_iterations: int, tolerance: float, by_heights: bool) -> Climb:
    """One climb, as `ascend` describes it."""
    theta = np.array(start, dtype=float)
    here: Place = yield theta
    earlier, left, least = -np.inf, theta, max(RISE, tolerance)
    for iteration in range(1, max_iterations + 1):
        step, upward = here.step, here.upward
        promised = 0.5 * float(here.gradient @ step)
        new = None
        if promised >= tolerance:
            if by_heights and iteration > QUICK:
                step = (yield from _best_length(theta, step)) * step
            new, step = yield from _rise(theta, here, step, by_heights)
        if new is None:
            if by_heights and here.bend > -LEVEL:
                lines = [upward, theta - left, theta]
                new, away = yield from _along(theta, here.value, lines, least)
            elif not by_heights and here.bend > LEVEL and promised < tolerance:
                new, away = yield from _off_saddle(theta, here.value, upward)
            if new is not None:
                step, left = away, theta
            elif promised < tolerance:
                new, step = yield from _rise(theta, here, step, by_heights)
                if new is not None:
                    theta, here = theta + step, new
                return Maximum(theta, here.value, iteration)
            elif promised < 1e-7 or _unseen(float(here.gradient @ step), here.value):
                return Maximum(theta, here.value, iteration)
            else:
                return Maximum(theta, here.value, iteration, _stuck())
        theta, here = theta + step, new
        if iteration % PATIENCE == 0:
            risen, earlier = here.value - earlier, here.value
            if risen < STANDSTILL:
                return Maximum(theta, here.value, iteration)
            if by_heights and risen < LITTLE:
                lines = [upward, theta - left, theta]
                new, away = yield from _along(theta, here.value, lines, least)
                left = theta
                if new is not None:
                    theta, here = theta + away, new
    fault = ConvergenceError(
        f"no maximum of the likelihood after {max_iterations} steps",
        "the data may not identify "
        "all variance parameters. Use fewer random effects (a simpler curve), method='CE', or "
        "more trials",
    )
    return Maximum(theta, here.value, max_iterations, fault)


def _place(function: Callable[[np.ndarray], Derivatives], theta: np.ndarray) -> Place:
    found = _places(theta[None], *(np.asarray(part)[None] for part in function(theta)))[0]
    if found is None:
        raise _outside()
    return found


def _places(
    theta: np.ndarray, value: np.ndarray, gradient: np.ndarray, hessian: np.ndarray
) -> list[Place | None]:
    """The function at parameters of shape (c, m); None where it is not finite.

    Newton's steps are cut to a length within which its model may hold.
    """
    sound = np.isfinite(value) & np.isfinite(gradient).all(axis=1)
    sound &= np.isfinite(hessian).all(axis=(1, 2))
    if not sound.all():
        gradient = np.where(sound[:, None], gradient, 0.0)
        hessian = np.where(sound[:, None, None], hessian, 0.0)
    eigenvalues, eigenvectors = np.linalg.eigh(-hessian)
    size = np.abs(eigenvalues)
    largest = size.max(axis=1)
    floor = 1e-8 * np.maximum(largest, 1e-8)
    turned = (gradient[:, None] @ eigenvectors)[:, 0] / np.maximum(size, floor[:, None])
    step = (eigenvectors @ turned[:, :, None])[:, :, 0]
    longest = 0.6 * np.maximum(1.0, np.abs(theta).max(axis=1))
    step *= (longest / np.maximum(np.abs(step).max(axis=1), longest))[:, None]
    bend = -eigenvalues[:, 0] / np.maximum(largest, 1.0)
    parts = zip(value.tolist(), gradient, step, eigenvectors[:, :, 0], bend.tolist(), strict=True)
    return [Place(*part) if own else None for own, part in zip(sound.tolist(), parts, strict=True)]


def _best_length(theta: np.ndarray, step: np.ndarray) -> Generator[np.ndarray, np.ndarray, float]:
    """The length of the step that ends highest; Newton's own where that is as good."""
    level = yield theta + ENDS * step
    if not np.isfinite(level[-1]):
        return 1.0
    risen = level[:-1] - level[-1]
    place = int(np.argmax(risen))
    if risen[0] >= 0.99 * risen[place] - 1e-9:
        return 1.0
    if LENGTHS[place] == LONGEST and risen[place] < LITTLE:
        beyond = (yield theta + LONGER[:, None] * step) - level[-1]
        farther = int(np.argmax(beyond))
        if beyond[farther] > risen[place]:
            return float(LONGER[farther])
    return float(LENGTHS[place])


def _off_saddle(theta: np.ndarray, value: float, upward: np.ndarray) -> Part:
    """A step off a stationary point that is no maximum (a variance of zero that should not be)."""
    length = 0.5 * max(1.0, float(np.abs(theta).max()))
    while length > 1e-6:
        for step in (length * upward, -length * upward):
            new = yield from _higher(theta + step, value)
            if new is not None:
                return new, step
        length /= 4
    return None, upward


def _along(theta: np.ndarray, value: float, lines: list[np.ndarray], least: float) -> Part:
    """The step along one of these lines that rises most, if by more than the least.

    A level place may lie on a long ridge, whose slope and bend rounding hides from derivatives. A
    rise that the places beside do not share is rounding, too.
    """
    steps = [np.zeros((1, len(theta)))]
    reach = REACH[:, None] * max(1.0, float(np.abs(theta).max()))
    for line in lines:
        far = float(np.abs(line).max())
        if far > 0:
            away = reach / far * line
            steps += [away, -away]
    moves = np.concatenate(steps)
    level = yield theta + moves
    for place in np.argsort(-level)[:TRIED]:
        if not -np.inf < level[0] < level[place] - least < np.inf:
            break
        end = theta + moves[place]
        around = yield end * BESIDE
        sure = np.isfinite(around).all() and np.ptp(around) < 0.3 * (level[place] - level[0])
        new = (yield from _higher(end, value)) if sure else None
        if new is not None:
            return new, moves[place]
    return None, moves[0]


def _higher(theta: np.ndarray, value: float) -> Generator[np.ndarray, Place, Place | None]:
    """The place, if it is higher."""
    try:
        new = yield theta
    except np.linalg.LinAlgError:
        return None
    return new if new.value > value else None


def _outside() -> np.linalg.LinAlgError:
    return np.linalg.LinAlgError("outside the domain of the function")


def _stuck() -> ConvergenceError:
    return ConvergenceError(
        "the likelihood could not be increased any further although its slope is not zero",
        "check for trials with extreme effects or near-zero variances, or use fewer random effects",
    )


def _unseen(rise: float, value: float) -> bool:
    return abs(rise) < ROUNDING * max(1.0, abs(value))


def _rise(theta: np.ndarray, here: Place, step: np.ndarray, by_heights: bool) -> Part:
    """Halve the step, or take its best length, until a share of what the slope promises is won."""
    share, noise = 0.1 if by_heights else 1e-4, ROUNDING * max(1.0, abs(here.value))
    slope = float(here.gradient @ step)
    for attempt in range(60):
        try:
            new = yield theta + step
            if new.value >= here.value + share * slope - noise:
                return new, step
        except np.linalg.LinAlgError:
            pass
        length = 0.5
        if by_heights and attempt == 0:
            length, share = min((yield from _best_length(theta, step)), LONGEST), 1e-4
        step, slope = length * step, length * slope
        if _unseen(slope, here.value):
            break
    return None, step
