"""The curves of all agents together: separate, or with shapes found by likelihood."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import scipy.linalg
from scipy import ndimage, optimize

from backpain_analysis.engine.mixed import MixedFit, fit, inverse_information, times_precision
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.dose.curves import Curve, Emax, Hill
from backpain_analysis.models.network.dose_data import DoseNetworkData
from backpain_analysis.models.network.estimation import COMMON, Method, estimate
from backpain_analysis.words import article


@dataclass(frozen=True)
class Between:
    """How agents vary around a mean curve.

    Attributes
    ----------
    mean, mean_cov : ndarray, shapes (q,), (q, q)
        Coefficients of the mean curve and their covariance.
    omega : ndarray, shape (q, q)
        Covariance of the agents' coefficients.
    """

    mean: np.ndarray
    mean_cov: np.ndarray
    omega: np.ndarray


@dataclass(frozen=True)
class AgentCurves:
    """What a fit gives, agent by agent.

    Attributes
    ----------
    curves : tuple of Curve
        One an agent, with its shape.
    params, cov : ndarray
        Linear coefficients and shape of each agent in turn, then the effects of comparators, and
        their joint covariance (singular where agents share a parameter).
    llf, tau2, q : float
        `q` is Cochran's: the residual sum of squares at tau2 = 0.
    n_estimated : int
        Free parameters, shapes and variances included.
    bic_rows : int
        Contrasts, for REML less the fixed effects (as `MixedFit.bic`).
    between : Between, optional
        Where agents are exchangeable.
    """

    curves: tuple[Curve, ...]
    params: np.ndarray
    cov: np.ndarray
    llf: float
    tau2: float
    q: float
    n_estimated: int
    bic_rows: int
    between: Between | None = None


def separate(data: DoseNetworkData, curves: Sequence[Curve], method: Method) -> AgentCurves:
    """A curve of its own for every agent; none has a shape to be found."""
    names = [
        f"{agent}: {term}"
        for agent, curve in zip(data.agents, curves, strict=True)
        for term in curve.terms
    ]
    X = np.hstack([data.design(curves), data.beside()])
    found = estimate(data.network, X, method, [*names, *data.comparators])
    return AgentCurves(
        curves=tuple(curves),
        params=found.model.beta,
        cov=found.model.cov_beta,
        llf=found.model.llf,
        tau2=found.tau2,
        q=found.common.rss,
        n_estimated=found.model.n_parameters + max(curve.n_estimated for curve in curves),
        bic_rows=bic_rows(found.model),
    )


def bic_rows(model: MixedFit) -> int:
    """Rows that count in Bayes' criterion."""
    return model.n_rows - len(model.beta) * (model.method == "REML")


ANGLES, STEPS = 24, 9
"""Points of the first search: over directions of a shape, over an ED50."""


PEAKS = 3
"""From so many of the best places of the first search the likelihood is climbed."""

Depth = Callable[[np.ndarray], float]


class Shape(Protocol):
    """A mean `X(free) b` whose free parameters are to be found."""

    @property
    def data(self) -> DoseNetworkData:
        """What the curves are fitted to."""

    @property
    def powers(self) -> int:
        """How many powers of the curve were found by likelihood before."""

    @property
    def bounds(self) -> Sequence[tuple[float | None, float | None]]:
        """Limits of the free parameters."""

    def starts(self, depth: Depth) -> list[tuple[Shape, np.ndarray]]:
        """Shapes and free parameters to begin with."""

    def design(self, free: np.ndarray) -> np.ndarray:
        """X, shape (n_rows, n_agents)."""

    def slope(self, free: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Derivatives of `X b` by the free parameters, shape (n_rows, m)."""

    def curves(self, free: np.ndarray) -> tuple[Curve, ...]:
        """The curve of each agent."""

    def coefficients(self, free: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Parameters of all agents in turn, and their derivatives by `b` and `free`."""

    def check(self, free: np.ndarray) -> None:
        """Refuse a likelihood that still rises at the edge of what the doses can show."""


@dataclass(frozen=True)
class SaturatingShape:
    """`E_a d^h / (ED50^h + d^h)`, with a shape for each agent or one for all; Emax is h = 1.

    Attributes
    ----------
    curve : Emax or Hill
    of : ndarray of int, shape (n_agents,)
        Which shape an agent has.
    """

    data: DoseNetworkData
    curve: Emax | Hill
    of: np.ndarray

    @property
    def powers(self) -> int:
        return 0

    @property
    def width(self) -> int:
        """Parameters of one shape."""
        return len(self.curve.shape_terms)

    @property
    def groups(self) -> int:
        return int(self.of.max()) + 1

    @property
    def bounds(self) -> list[tuple[float, float]]:
        doses = np.concatenate(list(self.data.studied.values()))
        half = (np.log(doses.min() / 100), np.log(doses.max() * 100))
        return [half, (np.log(0.1), np.log(20.0))][: self.width] * self.groups

    def starts(self, depth: Depth) -> list[tuple[Shape, np.ndarray]]:
        """The best few shapes for all of a grid, then the best for each agent in turn."""
        axes = [
            np.linspace(low, high, (2 * STEPS if place == 0 else 6) + 1)[1:-1]
            for place, (low, high) in enumerate(self.bounds[: self.width])
        ]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        depths = np.apply_along_axis(lambda one: depth(np.tile(one, self.groups)), -1, grid)
        lowest = ndimage.minimum_filter(depths, size=3, mode="nearest")
        peaks = grid[(depths == lowest) & np.isfinite(depths)]
        order = np.argsort(depths[(depths == lowest) & np.isfinite(depths)])[:PEAKS]
        found: list[tuple[Shape, np.ndarray]] = []
        for peak in peaks[order] if len(order) else [grid.reshape(-1, self.width)[0]]:
            free = np.tile(peak, self.groups)
            for group in range(self.groups if self.groups > 1 else 0):
                own = slice(group * self.width, (group + 1) * self.width)
                tries = [free]
                for one in grid.reshape(-1, self.width)[::2]:
                    other = free.copy()
                    other[own] = one
                    tries.append(other)
                free = min(tries, key=depth)
            found.append((self, free))
        return found

    def curves(self, free: np.ndarray) -> tuple[Curve, ...]:
        values = np.exp(free).reshape(self.groups, self.width)
        return tuple(replace(self.curve, values=tuple(map(float, values[k]))) for k in self.of)

    def design(self, free: np.ndarray) -> np.ndarray:
        return self.data.design(self.curves(free))

    def slope(self, free: np.ndarray, b: np.ndarray) -> np.ndarray:
        def by_log(curve: Curve, height: float) -> Callable[[np.ndarray], np.ndarray]:
            return lambda doses: curve.gradient(doses, np.array([height]))[:, 1:] * curve.shape

        pairs = zip(self.curves(free), b, strict=True)
        columns = self.data.spread([by_log(curve, height) for curve, height in pairs])
        return columns @ np.kron(np.eye(self.groups)[self.of], np.eye(self.width))

    def coefficients(self, free: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values = np.exp(free).reshape(self.groups, self.width)[self.of]
        size, step = len(b), 1 + self.width
        jacobian = np.zeros((step * size, size + len(free)))
        jacobian[step * np.arange(size), np.arange(size)] = 1.0
        for place in range(self.width):
            column = size + self.of * self.width + place
            jacobian[step * np.arange(size) + 1 + place, column] = values[:, place]
        return np.column_stack([b, values]).ravel(), jacobian

    def check(self, free: np.ndarray) -> None:
        margin = 1e-3
        inside = [
            low + margin < value < high - margin
            for value, (low, high) in zip(free, self.bounds, strict=True)
        ]
        shapes = np.array(inside).reshape(self.groups, self.width)
        for place, term in enumerate(self.curve.shape_terms):
            loose = [
                agent
                for agent, group in zip(self.data.agents, self.of, strict=True)
                if not shapes[group, place]
            ]
            if loose:
                names = "any agent" if len(loose) == len(self.data.agents) else ", ".join(loose)
                one_shape = "shared='common' or " if self.groups > 1 else ""
                raise CannotEstimate(
                    f"the data do not bound the {term} of {names}",
                    "the likelihood is highest at the edge of the doses. Use "
                    f"{one_shape}a simpler curve (linear, log)",
                )


@dataclass(frozen=True)
class ProportionalShape:
    """`s_a g(d)`: one curve g, linear in its coefficients, that agents only stretch.

    The coefficients of g are `back (axis + null free)`: a direction in a basis that is orthonormal
    over the data, so that the search does not depend on the units of dose.

    Attributes
    ----------
    curve : Curve
    axis : ndarray, shape (q,)
    """

    data: DoseNetworkData
    curve: Curve
    axis: np.ndarray
    columns: np.ndarray = field(repr=False)
    back: np.ndarray = field(repr=False)

    @classmethod
    def of(cls, data: DoseNetworkData, curve: Curve) -> ProportionalShape:
        """The shape before its direction is known.

        Raises
        ------
        CannotEstimate
            If the doses of all agents together do not carry the curve.
        """
        size = len(curve.terms)
        Z = data.design([curve] * len(data.agents)).reshape(len(data.network.y), -1, size)
        every = Z.reshape(-1, size)
        length = np.linalg.norm(every, axis=0)
        if np.linalg.matrix_rank(every / np.where(length > 0, length, 1.0)) < size:
            raise CannotEstimate(
                "the doses of all agents together do not carry the shape of "
                f"{article(curve.name)} curve",
                "use a simpler curve",
            )
        triangle = np.linalg.qr(every, mode="r")
        return cls(data, curve, np.eye(size)[0], Z, np.linalg.inv(triangle))

    @property
    def powers(self) -> int:
        return self.curve.n_estimated

    @property
    def null(self) -> np.ndarray:
        return scipy.linalg.null_space(self.axis[None, :])

    @property
    def bounds(self) -> list[tuple[None, None]]:
        return [(None, None)] * (len(self.axis) - 1)

    def starts(self, depth: Depth) -> list[tuple[Shape, np.ndarray]]:
        """The best few of a fan of directions between every two axes."""
        size = len(self.axis)
        turns = np.pi * np.arange(ANGLES) / ANGLES
        axes = [
            np.cos(turn) * np.eye(size)[i] + np.sin(turn) * np.eye(size)[j]
            for i in range(size)
            for j in range(i)
            for turn in turns
        ]
        depths = np.array([depth(_free(self.axis, self.null, axis)) for axis in axes])
        fans = depths.reshape(-1, ANGLES)
        low = (fans <= np.roll(fans, 1, axis=1)) & (fans <= np.roll(fans, -1, axis=1))
        peaks = np.flatnonzero(low.ravel() & np.isfinite(depths))
        chosen = peaks[np.argsort(depths[peaks])][:PEAKS] if len(peaks) else [0]
        return [(replace(self, axis=axes[place]), np.zeros(size - 1)) for place in chosen]

    def _direction(self, free: np.ndarray) -> np.ndarray:
        return self.back @ (self.axis + self.null @ free)

    def curves(self, free: np.ndarray) -> tuple[Curve, ...]:
        return (self.curve,) * len(self.data.agents)

    def design(self, free: np.ndarray) -> np.ndarray:
        return self.columns @ self._direction(free)

    def slope(self, free: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.einsum("naq,a->nq", self.columns, b) @ self.back @ self.null

    def coefficients(self, free: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        direction, turn = self._direction(free), self.back @ self.null
        own = np.kron(np.eye(len(b)), direction[:, None])
        return np.kron(b, direction), np.hstack([own, np.kron(b[:, None], turn)])

    def check(self, free: np.ndarray) -> None:
        """A direction has no edge."""


def _free(axis: np.ndarray, null: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Free parameters of a direction (nearly all of it, where it is orthogonal to the axis)."""
    along = float(axis @ wanted)
    return null.T @ wanted / (along if abs(along) > 1e-9 else 1e-9)


def with_shape(shape: Shape, method: Method) -> AgentCurves:
    """The free parameters of the highest profile likelihood, then the model at these.

    Shapes are found by maximum likelihood (common-effect for "CE"), where the derivative by the
    free parameters is `(d Xb)' V^-1 (y - Xb)`, all else being at its maximum; then b and tau2 are
    estimated by `method` at that shape. The covariance is that of the linearised model,
    `(J'V^-1 J)^-1` (Bates & Watts 1988, doi 10.1002/9780470316757).

    Raises
    ------
    ValueError
        If the data do not bound a shape, or do not tell the parameters apart.
    ConvergenceError
        If no maximum is found.
    """
    network, beside, count = shape.data.network, shape.data.beside(), len(shape.data.agents)
    by_ml = "CE" if method in COMMON else "ML"
    options: dict[str, Any] = {
        "blocks": network.trial,
        "terms": [network.heterogeneity_term()],
        "method": by_ml,
    }

    def matrix(shape: Shape, free: np.ndarray) -> np.ndarray:
        return np.hstack([shape.design(free), beside])

    def depth(free: np.ndarray, shape: Shape = shape) -> tuple[float, np.ndarray]:
        X = matrix(shape, free)
        try:
            model = fit(network.y, X, network.covariance, **options)
        except CannotEstimate:
            return np.inf, np.zeros(len(free))
        residual = times_precision(model, (network.y - X @ model.beta)[:, None])[:, 0]
        return -model.llf, -shape.slope(free, model.beta[:count]).T @ residual

    best: tuple[float, Shape, np.ndarray] | None = None
    for start, free in shape.starts(lambda free: depth(free)[0]):
        if not np.isfinite(depth(free, start)[0]):
            continue
        found = optimize.minimize(
            lambda free, start=start: depth(free, start),
            free,
            jac=True,
            bounds=start.bounds,
            method="L-BFGS-B",
            options={"ftol": 1e-15, "gtol": 1e-7, "maxiter": 500},
        )
        if best is None or found.fun < best[0]:
            best = (float(found.fun), start, found.x)
    if best is None:
        start, free = shape.starts(lambda free: depth(free)[0])[0]
        fit(network.y, matrix(start, free), network.covariance, **options)
        raise CannotEstimate("no shape of the curves can be fitted", "use a simpler curve")
    _, shape, free = best
    shape.check(free)
    X = matrix(shape, free)
    model = estimate(network, X, method)
    b = model.model.beta
    J = np.hstack([X[:, :count], shape.slope(free, b[:count]), beside])
    name = shape.curves(free)[0].name
    cov = inverse_information(
        J,
        times_precision(model.model, J),
        f"the data do not tell the parameters of {name} curves apart",
        "use a simpler curve, shared='common' or shared='exchangeable'",
    )
    params, jacobian = shape.coefficients(free, b[:count])
    beyond = beside.shape[1]
    jacobian = scipy.linalg.block_diag(jacobian, np.eye(beyond)) if beyond else jacobian
    return AgentCurves(
        curves=shape.curves(free),
        params=np.append(params, b[count:]),
        cov=jacobian @ cov @ jacobian.T,
        llf=model.model.llf,
        tau2=model.tau2,
        q=model.common.rss,
        n_estimated=model.model.n_parameters + len(free) + shape.powers,
        bic_rows=bic_rows(model.model),
    )
