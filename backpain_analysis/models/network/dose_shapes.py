"""The curves of all agents together: separate, or with shapes found by likelihood."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import scipy.linalg
from scipy import optimize

from backpain_analysis.engine.mixed import MixedFit, fit, inverse_information, times_precision
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.dose.curves import Curve, Emax
from backpain_analysis.models.network.dose_data import DoseNetworkData
from backpain_analysis.models.network.estimation import Method, estimate


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
        Linear coefficients and shape of each agent in turn, and their joint covariance (singular
        where agents share a parameter).
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


def separate(data: DoseNetworkData, curve: Curve, method: Method) -> AgentCurves:
    """A curve of its own for every agent; `curve` has no shape to be found."""
    curves = (curve,) * len(data.agents)
    names = [f"{agent}: {term}" for agent in data.agents for term in curve.terms]
    found = estimate(data.network, data.design(curves), method, names)
    return AgentCurves(
        curves=curves,
        params=found.model.beta,
        cov=found.model.cov_beta,
        llf=found.model.llf,
        tau2=found.tau2,
        q=found.common.rss,
        n_estimated=found.model.n_parameters,
        bic_rows=bic_rows(found.model),
    )


def bic_rows(model: MixedFit) -> int:
    """Rows that count in Bayes' criterion."""
    return model.n_rows - len(model.beta) * (model.method == "REML")


ANGLES, STEPS = 24, 9
"""Points of the first search: over directions of a shape, over an ED50."""


class Shape(Protocol):
    """A mean `X(free) b` whose free parameters are to be found."""

    data: DoseNetworkData

    @property
    def bounds(self) -> Sequence[tuple[float | None, float | None]]:
        """Limits of the free parameters."""

    def starts(self, depth: Callable[[np.ndarray], float]) -> tuple[Shape, np.ndarray]:
        """The shape and free parameters to begin with."""

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
class EmaxShape:
    """`E_a d / (ED50 + d)`, with an ED50 for each agent or one for all.

    Attributes
    ----------
    of : ndarray of int, shape (n_agents,)
        Which ED50 an agent has.
    """

    data: DoseNetworkData
    of: np.ndarray

    @property
    def bounds(self) -> list[tuple[float, float]]:
        doses = np.concatenate(list(self.data.studied.values()))
        return [(np.log(doses.min() / 100), np.log(doses.max() * 100))] * (int(self.of.max()) + 1)

    def starts(self, depth: Callable[[np.ndarray], float]) -> tuple[EmaxShape, np.ndarray]:
        """The best ED50 for all of a grid, then the best for each in turn."""
        low, high = self.bounds[0]
        free = np.full(len(self.bounds), 0.0)
        grid = np.linspace(low, high, 2 * STEPS + 1)[1:-1]
        free[:] = min(grid, key=lambda value: depth(np.full(len(free), value)))
        if len(free) == 1:
            return self, free
        for place in range(len(free)):
            tries = [np.where(np.arange(len(free)) == place, value, free) for value in grid[::2]]
            free = min([free, *tries], key=depth)
        return self, free

    def curves(self, free: np.ndarray) -> tuple[Emax, ...]:
        return tuple(Emax((float(np.exp(free[place])),)) for place in self.of)

    def design(self, free: np.ndarray) -> np.ndarray:
        return self.data.design(self.curves(free))

    def slope(self, free: np.ndarray, b: np.ndarray) -> np.ndarray:
        def by_log(curve: Emax, height: float) -> Callable[[np.ndarray], np.ndarray]:
            return lambda doses: curve.gradient(doses, [height])[:, 1:] * curve.values[0]

        pairs = zip(self.curves(free), b, strict=True)
        columns = self.data.spread([by_log(curve, height) for curve, height in pairs])
        return columns @ np.eye(len(free))[self.of]

    def coefficients(self, free: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        half = np.exp(free[self.of])
        size = len(b)
        jacobian = np.zeros((2 * size, size + len(free)))
        jacobian[2 * np.arange(size), np.arange(size)] = 1.0
        jacobian[2 * np.arange(size) + 1, size + self.of] = half
        return np.column_stack([b, half]).ravel(), jacobian

    def check(self, free: np.ndarray) -> None:
        margin = 1e-3
        loose = [
            agent
            for agent, place in zip(self.data.agents, self.of, strict=True)
            if not self.bounds[0][0] + margin < free[place] < self.bounds[0][1] - margin
        ]
        if loose:
            names = "any agent" if len(loose) == len(self.data.agents) else ", ".join(loose)
            raise CannotEstimate(
                f"the data do not bound the ED50 of {names}",
                "the likelihood is highest at the "
                "edge of the doses. Use shared='common' or a simpler curve (linear, log)",
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
        """The shape before its direction is known."""
        size = len(curve.terms)
        Z = data.design([curve] * len(data.agents)).reshape(len(data.network.y), -1, size)
        triangle = np.linalg.qr(Z.reshape(-1, size), mode="r")
        return cls(data, curve, np.eye(size)[0], Z, np.linalg.inv(triangle))

    @property
    def null(self) -> np.ndarray:
        return scipy.linalg.null_space(self.axis[None, :])

    @property
    def bounds(self) -> list[tuple[None, None]]:
        return [(None, None)] * (len(self.axis) - 1)

    def starts(self, depth: Callable[[np.ndarray], float]) -> tuple[ProportionalShape, np.ndarray]:
        """The best of a fan of directions between every two axes."""
        size = len(self.axis)
        turns = np.pi * np.arange(ANGLES) / ANGLES
        axes = [
            np.cos(turn) * np.eye(size)[i] + np.sin(turn) * np.eye(size)[j]
            for i in range(size)
            for j in range(i)
            for turn in turns
        ]
        best = min(axes, key=lambda axis: depth(_free(self.axis, self.null, axis)))
        return ProportionalShape(self.data, self.curve, best, self.columns, self.back), (
            np.zeros(size - 1)
        )

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
    network = shape.data.network
    by_ml = "CE" if method == "CE" else "ML"
    options = {"blocks": network.trial, "terms": [network.heterogeneity_term()], "method": by_ml}

    def depth(free: np.ndarray, shape: Shape = shape) -> tuple[float, np.ndarray]:
        X = shape.design(free)
        try:
            model = fit(network.y, X, network.covariance, **options)
        except CannotEstimate:
            return np.inf, np.zeros(len(free))
        residual = times_precision(model, (network.y - X @ model.beta)[:, None])[:, 0]
        return -model.llf, -shape.slope(free, model.beta).T @ residual

    shape, free = shape.starts(lambda free: depth(free)[0])
    if not np.isfinite(depth(free, shape)[0]):
        fit(network.y, shape.design(free), network.covariance, **options)
    found = optimize.minimize(
        lambda free: depth(free, shape),
        free,
        jac=True,
        bounds=shape.bounds,
        method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-7, "maxiter": 500},
    )
    shape.check(found.x)
    X = shape.design(found.x)
    model = estimate(network, X, method)
    b = model.model.beta
    J = np.hstack([X, shape.slope(found.x, b)])
    name = shape.curves(found.x)[0].name
    fault = (
        f"the data do not tell the parameters of {name} curves apart: use a simpler curve, "
        "shared='common' or shared='exchangeable'."
    )
    cov = inverse_information(J, times_precision(model.model, J), fault)
    params, jacobian = shape.coefficients(found.x, b)
    return AgentCurves(
        curves=shape.curves(found.x),
        params=params,
        cov=jacobian @ cov @ jacobian.T,
        llf=model.model.llf,
        tau2=model.tau2,
        q=model.common.rss,
        n_estimated=model.model.n_parameters + len(found.x),
        bic_rows=bic_rows(model.model),
    )
