"""Posterior of the mixed model: exact normals in the effects, integrated over the variances.

Given the standard deviations sigma the posterior of the coefficients is normal and the marginal
likelihood is known exactly (see `marginal`). What is left is an integral over the sigmas (or
shapes of a curve): over more than three by `importance`, over one to three by the trapezoidal
rule on a lattice in coordinates `u = centre + stretch * sinh(t)` of log sigma: it converges faster
than any power of the step, and reaches heavy tails and spikes at zero (Takahasi & Mori 1974;
Trefethen & Weideman 2014, doi 10.1137/130932132). Every integral is done on two interleaved
lattices; how far they differ is its stated error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy
from scipy import special

from backpain_analysis.engine.marginal import Conditional
from backpain_analysis.errors import CannotEstimate

REACH = 300.0
"""Largest |log sigma| that is looked at."""
STEPS = {1: 0.2, 2: 0.5, 3: 0.45}
"""First step of the lattice, by its dimension, in coordinates of about unit spread."""
FINER = 1.5
"""By how much the step shrinks where the lattices differ too much."""
DEPTHS = {1: 45.0, 2: 30.0, 3: 16.0}
"""How far below the highest point, in log density, the lattice ends."""
COARSE = {1: 81, 2: 21, 3: 13}
"""Points an axis when looking for where the mass is."""
NODES = 60_000
"""Most points of a lattice."""
TOLERANCES = {1: 1e-5, 2: 1e-5, 3: 2e-3}
"""Largest error of a probability that is let through, by dimension."""


@dataclass(frozen=True)
class Axis:
    """One parameter on (lower, upper), and how it is stretched to the real line.

    With an infinite `upper` (then `lower` is 0) the coordinate u is its log, else the logit of
    its share of the way. Nothing is looked at outside `span`, in units of u.
    """

    name: str
    upper: float = np.inf
    lower: float = 0.0
    centre: float = 0.0
    stretch: float = 1.0
    span: tuple[float, float] = (-REACH, REACH)

    @property
    def ends(self) -> tuple[float, float]:
        """The t of the ends of the span."""
        low, high = ((end - self.centre) / self.stretch for end in self.span)
        return float(np.arcsinh(low)), float(np.arcsinh(high))

    @property
    def end(self) -> float:
        """Largest |t|."""
        return max(self.ends[1], -self.ends[0])

    def within(self, t: np.ndarray) -> np.ndarray:
        """Whether a coordinate lies in the span."""
        u = self.coordinate(t)
        return (u >= self.span[0]) & (u <= self.span[1])

    def coordinate(self, t: np.ndarray) -> np.ndarray:
        return self.centre + self.stretch * np.sinh(t)

    def value(self, t: np.ndarray) -> np.ndarray:
        u = self.coordinate(t)
        if np.isinf(self.upper):
            return np.exp(u)
        return self.lower + (self.upper - self.lower) * special.expit(u)

    def log_slope(self, t: np.ndarray) -> np.ndarray:
        """Log of dvalue/dt."""
        u = self.coordinate(t)
        slope = np.log(self.stretch * np.cosh(t))
        if np.isinf(self.upper):
            return slope + u
        width = np.log(self.upper - self.lower)
        return slope + width + special.log_expit(u) + special.log_expit(-u)

    def position(self, value: np.ndarray) -> np.ndarray:
        """The t of a value."""
        with np.errstate(divide="ignore"):
            if np.isinf(self.upper):
                u = np.log(value)
            else:
                u = special.logit((value - self.lower) / (self.upper - self.lower))
        return np.arcsinh((u - self.centre) / self.stretch)


LogJoint = Callable[[np.ndarray], tuple[np.ndarray, Conditional]]
"""From parameters (G, d) to the log of prior times likelihood, and the normal of the effects."""


@dataclass(frozen=True)
class Integral:
    """A posterior as a mixture of normals over the nodes of a lattice.

    Attributes
    ----------
    axes : tuple of Axis
    step : float
        Between nodes along an axis, both lattices together.
    t, values : ndarray, shape (G, d)
        Nodes, as coordinates and as parameters.
    weights : ndarray, shape (G,)
        Posterior mass, summing to one.
    mean, cov : ndarray, shape (G, p) and (G, p, p)
        Of the effects at each node.
    log_evidence : float
        Log of the integral of prior times likelihood.
    error : float
        Largest difference of a probability between two interleaved lattices.
    """

    axes: tuple[Axis, ...]
    step: float
    t: np.ndarray
    values: np.ndarray
    weights: np.ndarray
    mean: np.ndarray
    cov: np.ndarray
    log_evidence: float
    error: float

    def marginal(self, axis: int) -> Marginal:
        """The posterior of one parameter."""
        number = np.rint(2 * self.t[:, axis] / self.step).astype(int)
        places, inverse = np.unique(number, return_inverse=True)
        density = np.bincount(inverse, self.weights) / self.step
        full = np.arange(places[0], places[-1] + 1)
        spread = np.zeros(len(full))
        spread[places - places[0]] = density
        return Marginal(self.axes[axis], full * self.step / 2, spread)


def integrate(log_joint: LogJoint, axes: Sequence[Axis]) -> Integral:
    """Integrate `log_joint` over its parameters.

    Parameters
    ----------
    log_joint : callable
    axes : sequence of Axis
        At most three.

    Raises
    ------
    CannotEstimate
        If two interleaved lattices of `NODES` points differ by more than `TOLERANCES`.
    """
    axes = _located(log_joint, list(axes))
    step, tolerance = STEPS[len(axes)], TOLERANCES[len(axes)]
    target = min(tolerance, 1e-7) if len(axes) == 1 else tolerance
    best = None
    while True:
        found = _on_lattices(log_joint, axes, step)
        if best is None or found.error < best.error:
            best = found
        if found.error <= target:
            return found
        step /= FINER
        if len(found.t) * FINER ** len(axes) > NODES:
            break
    if best.error <= tolerance:
        return best
    raise CannotEstimate(
        f"the posterior could not be integrated to {tolerance:g}: two lattices differ by "
        f"{best.error:.1g}",
        "use a more informative prior",
    )


def joint(
    log_joint: LogJoint, axes: Sequence[Axis], t: np.ndarray
) -> tuple[np.ndarray, np.ndarray, Conditional]:
    """Values and log density by t at the coordinates `t`, shape (G, d)."""
    values = np.column_stack([axis.value(t[:, j]) for j, axis in enumerate(axes)])
    height, conditional = log_joint(values)
    for j, axis in enumerate(axes):
        height = height + axis.log_slope(t[:, j])
    return values, height, conditional


def within(axes: Sequence[Axis], t: np.ndarray) -> np.ndarray:
    """Which coordinates lie in the span of every axis."""
    return np.all([axis.within(t[:, j]) for j, axis in enumerate(axes)], axis=0)


def _located(log_joint: LogJoint, axes: list[Axis]) -> list[Axis]:
    """The axes, centred and stretched to where the mass is."""
    count = COARSE[len(axes)]
    ends = [axis.end if len(axes) < 3 else 4.0 for axis in axes]
    for _ in range(12):
        lines = [np.linspace(-end, end, count) for end in ends]
        t = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, len(axes))
        height, inside = np.full(len(t), -np.inf), within(axes, t)
        height[inside] = joint(log_joint, axes, t[inside])[1]
        mass = np.exp(height - height.max()).reshape([count] * len(axes))
        moved, settled = [], True
        for j, (axis, line) in enumerate(zip(axes, lines, strict=True)):
            own = mass.sum(axis=tuple(i for i in range(len(axes)) if i != j))
            below = (np.cumsum(own) - own / 2) / own.sum()
            low, middle, high = axis.coordinate(np.interp([0.16, 0.5, 0.84], below, line))
            gap = line[1] - line[0]
            narrow = own.max() > 0.7 * own.sum()
            stretch = max((high - low) / 2, 1e-9)
            if narrow:
                stretch = min(stretch, axis.stretch * gap * 0.5)
            near = abs(middle - axis.centre) < stretch and 0.5 < stretch / axis.stretch < 2
            settled = settled and near and not narrow
            moved.append(replace(axis, centre=float(middle), stretch=float(stretch)))
        axes = moved
        if settled:
            break
        ends = [4.0 if len(axes) > 1 else axis.end for axis in axes]
    return axes


def _on_lattices(log_joint: LogJoint, axes: Sequence[Axis], step: float) -> Integral:
    """Two lattices of this step, the second shifted by half a step along every axis."""
    d = len(axes)
    depth = DEPTHS[d]
    if d == 1:
        count = int(axes[0].end / step)
        numbers = np.arange(-2 * count, 2 * count + 1)[:, None]
        t = numbers * (step / 2)
        t = t[within(axes, t)]
        values, height, conditional = joint(log_joint, axes, t)
    else:
        t, values, height, conditional = _flooded(log_joint, axes, step, depth)
    top = height.max()
    kept = height > top - depth
    t, values, density = t[kept], values[kept], np.exp(height[kept] - top)
    mean, cov = conditional.mean[kept], conditional.cov[kept]
    second = np.rint(2 * t[:, 0] / step).astype(int) % 2 == 1
    total = float(density.sum())
    return Integral(
        axes=tuple(axes),
        step=step,
        t=t,
        values=values,
        weights=density / total,
        mean=mean,
        cov=cov,
        log_evidence=float(top + np.log(total) + d * np.log(step) - np.log(2)),
        error=_difference(density, second, t, mean, cov),
    )


def _flooded(
    log_joint: LogJoint, axes: Sequence[Axis], step: float, depth: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Conditional]:
    """Both lattices, grown outward from the centre until the density is lost."""
    d = len(axes)
    side = 1 << 16
    base = np.array([side**j for j in range(d)])
    moves = np.array([sign * 2 * base[j] for j in range(d) for sign in (-1, 1)])
    offset = int(base.sum()) * (side // 2)
    around = np.stack(np.meshgrid(*[np.arange(-6, 7)] * d, indexing="ij"), axis=-1).reshape(-1, d)
    around = around[(np.ptp(around % 2, axis=1) == 0)]
    seen = np.sort(around @ base + offset)
    fresh, parts, top = seen, [], -np.inf
    while len(fresh):
        numbers = (fresh[:, None] // base) % side - side // 2
        t = numbers * (step / 2)
        inside = within(axes, t)
        fresh, t = fresh[inside], t[inside]
        if not len(fresh):
            break
        values, height, conditional = joint(log_joint, axes, t)
        parts.append((t, values, height, conditional.mean, conditional.cov))
        top = max(top, float(height.max()))
        alive = fresh[height > top - depth]
        beside = np.unique(alive[:, None] + moves)
        fresh = np.setdiff1d(beside, seen, assume_unique=True)
        seen = np.union1d(seen, fresh)
        if len(seen) > 2 * NODES:
            raise CannotEstimate(
                f"the posterior spreads over more than {NODES} nodes",
                "use a more informative prior",
            )
    t, values, height, mean, cov = (np.concatenate(column) for column in zip(*parts, strict=True))
    return t, values, height, Conditional(height, mean, cov)


def _difference(
    density: np.ndarray,
    second: np.ndarray,
    t: np.ndarray,
    mean: np.ndarray,
    cov: np.ndarray,
) -> float:
    """Largest difference between the lattices: of the mass, and of probabilities of effects."""
    first_mass, second_mass = float(density[~second].sum()), float(density[second].sum())
    if first_mass == 0 or second_mass == 0:
        return np.inf
    found = abs(first_mass / second_mass - 1)
    weights = density / density.sum()
    for column in t.T:
        found = max(found, _gap(special.expit(column), density, second))
    deviation = np.sqrt(np.diagonal(cov, axis1=1, axis2=2))
    middle = weights @ mean
    with np.errstate(over="ignore"):
        spread = 1 / (weights @ (1 / deviation))
    for shift in (-1.5, 0.0, 1.5):
        below = special.ndtr((middle + shift * spread - mean) / deviation)
        found = max(found, *(_gap(column, density, second) for column in below.T), 0.0)
    return found


def _gap(share: np.ndarray, density: np.ndarray, second: np.ndarray) -> float:
    first = share[~second] @ density[~second] / density[~second].sum()
    return abs(float(first - share[second] @ density[second] / density[second].sum()))


class Distribution:
    """Quantiles and intervals of a distribution that knows its `cdf` and `pdf`."""

    def cdf(self, x: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def pdf(self, x: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def ppf(self, p: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def median(self) -> float:
        return float(self.ppf(np.array([0.5]))[0])

    def interval(self, level: float, kind: str) -> tuple[float, float]:
        """The central interval, or the shortest one.

        Parameters
        ----------
        level : float
        kind : {"equal-tailed", "shortest"}

        Raises
        ------
        ValueError
        """
        if kind == "equal-tailed":
            low, high = self.ppf(np.array([(1 - level) / 2, (1 + level) / 2]))
            return float(low), float(high)
        if kind != "shortest":
            raise ValueError(f"unknown interval {kind!r}: use 'equal-tailed' or 'shortest'.")

        def ends(below: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return self.ppf(below), self.ppf(below + level)

        shares = (1 - level) * np.concatenate([[1e-9], np.linspace(0, 1, 42)[1:-1], [1 - 1e-9]])
        low, high = ends(shares)
        best = int(np.argmin(high - low))
        if best == 0:
            return float(self.ppf(np.zeros(1))[0]), float(self.ppf(np.array([level]))[0])

        def slope(below: float) -> float:
            left, right = ends(np.array([below]))
            return float(self.pdf(left)[0] - self.pdf(right)[0])

        below = shares[best]
        a, b = shares[best - 1], shares[min(best + 1, len(shares) - 1)]
        if slope(a) * slope(b) < 0:
            below = float(scipy.optimize.brentq(slope, a, b, xtol=1e-13))
        left, right = ends(np.array([below]))
        return float(left[0]), float(right[0])


class NormalMixture(Distribution):
    """A mixture of normals.

    Parameters
    ----------
    weights, mean, sd : ndarray, shape (G,)
    """

    def __init__(self, weights: np.ndarray, mean: np.ndarray, sd: np.ndarray) -> None:
        kept = weights > 1e-16
        self.weights, self.means, self.sds = weights[kept], mean[kept], sd[kept]
        self.weights = self.weights / self.weights.sum()

    def cdf(self, x: np.ndarray) -> np.ndarray:
        x = np.asarray(x, dtype=float)
        return special.ndtr((x[..., None] - self.means) / self.sds) @ self.weights

    def pdf(self, x: np.ndarray) -> np.ndarray:
        z = (np.asarray(x, dtype=float)[..., None] - self.means) / self.sds
        with np.errstate(under="ignore"):
            return np.exp(-0.5 * z**2) @ (self.weights / self.sds) / np.sqrt(2 * np.pi)

    @cached_property
    def _scale(self) -> tuple[float, float]:
        order = np.argsort(self.sds)
        half = np.searchsorted(np.cumsum(self.weights[order]), 0.5)
        return float(self.weights @ np.clip(self.means, *self._ends)), float(self.sds[order[half]])

    @property
    def _ends(self) -> tuple[float, float]:
        order = np.argsort(self.means)
        below = np.cumsum(self.weights[order])
        low, high = np.searchsorted(below, [0.01, 0.99])
        return float(self.means[order[low]]), float(self.means[order[min(high, len(order) - 1)]])

    def ppf(self, p: np.ndarray) -> np.ndarray:
        """Quantiles, by Newton steps kept inside a bracket, in a stretched coordinate."""
        p = np.asarray(p, dtype=float)
        centre, scale = self._scale
        low, high = np.full(p.shape, -60.0), np.full(p.shape, 60.0)
        z = np.arcsinh(special.ndtri(np.clip(p, 1e-300, 1 - 1e-16)))
        for _ in range(200):
            x = centre + scale * np.sinh(z)
            gap = self.cdf(x) - p
            low, high = np.where(gap < 0, z, low), np.where(gap < 0, high, z)
            slope = self.pdf(x) * scale * np.cosh(z)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                newton = z - gap / slope
            inside = (newton > low) & (newton < high)
            following = np.where(inside, newton, (low + high) / 2)
            moved = np.abs(following - z)
            z = following
            if np.all((moved <= 1e-13 * (1 + np.abs(z))) | (high - low < 1e-13)):
                break
        x = centre + scale * np.sinh(z)
        return np.where(p <= 0, -np.inf, np.where(p >= 1, np.inf, x))

    @property
    def mean(self) -> float:
        return float(self.weights @ self.means)

    @property
    def sd(self) -> float:
        return float(np.sqrt(self.weights @ (self.sds**2 + (self.means - self.mean) ** 2)))


class Marginal(Distribution):
    """The posterior of a parameter of the lattice, by a spline through its density by t."""

    def __init__(self, axis: Axis, t: np.ndarray, density: np.ndarray) -> None:
        self.axis = axis
        self.spline = scipy.interpolate.make_interp_spline(t, density, k=5 if len(t) > 5 else 1)
        self.below = self.spline.antiderivative()
        self.start, self.end = float(t[0]), float(t[-1])
        self.total = float(self.below(self.end))
        self.t, self.density = t, density / density.sum()
        self.shares = np.maximum.accumulate(self.below(t) / self.total)

    def cdf(self, x: np.ndarray) -> np.ndarray:
        t = np.clip(self.axis.position(np.asarray(x, dtype=float)), self.start, self.end)
        return self.below(t) / self.total

    def pdf(self, x: np.ndarray) -> np.ndarray:
        t = self.axis.position(np.asarray(x, dtype=float))
        inside = (t >= self.start) & (t <= self.end)
        t = np.where(inside, t, self.start)
        slope = np.exp(self.axis.log_slope(t))
        return np.where(inside, np.maximum(self.spline(t), 0) / self.total / slope, 0.0)

    def ppf(self, p: np.ndarray) -> np.ndarray:
        p = np.asarray(p, dtype=float)
        place = np.searchsorted(self.shares, p).clip(1, len(self.t) - 1)
        low, high = self.t[place - 1], self.t[place]
        t = (low + high) / 2
        for _ in range(60):
            gap = self.below(t) / self.total - p
            low, high = np.where(gap < 0, t, low), np.where(gap < 0, high, t)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                newton = t - gap * self.total / self.spline(t)
            following = np.where((newton > low) & (newton < high), newton, (low + high) / 2)
            moved = np.abs(following - t).max(initial=0.0)
            t = following
            if moved < 1e-14:
                break
        x = self.axis.value(t)
        return np.where(p <= 0, self.axis.lower, np.where(p >= 1, self.axis.upper, x))

    @property
    def mean(self) -> float:
        return float(self.density @ self.axis.value(self.t))

    @property
    def sd(self) -> float:
        return float(np.sqrt(self.density @ (self.axis.value(self.t) - self.mean) ** 2))
