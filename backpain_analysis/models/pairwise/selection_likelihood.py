"""Likelihoods of effects that are published with a chance that depends on their P value."""

from __future__ import annotations

import numpy as np
from scipy import special

_LOG_WEIGHT_LIMIT = 30.0
_NODES = 100

SMALLEST_P = 1e-5
"""Of beta weights: smaller P values count as this."""


class Selected:
    """Effects with weights of publication; larger effects have smaller P values.

    A study with effect y has the density `w(p) f(y) / A`, f normal with mean `x b` and variance
    `v + tau2`, A the mean of w over f.

    Attributes
    ----------
    y, v : ndarray, shape (k,)
    X : ndarray, shape (k, p)
    n_weights : int
        Free parameters of w.
    """

    n_weights: int

    def __init__(self, y: np.ndarray, v: np.ndarray, X: np.ndarray) -> None:
        self.y, self.v, self.X = y, v, X

    def rows(
        self, mean: np.ndarray, tau2: float, delta: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Log-densities, and their derivatives by mean, tau2 and free weights.

        Returns
        -------
        value : ndarray, shape (k,)
        first : ndarray, shape (k, m)
        second : ndarray, shape (k, m, m)
        """
        raise NotImplementedError

    def parameters(self, theta: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
        """Coefficients, tau2 and delta from coefficients, tau and logarithms of the free delta.

        Raises
        ------
        LinAlgError
            Where a weight runs off.
        """
        p = self.X.shape[1]
        if np.abs(theta[p + 1 :]).max() > _LOG_WEIGHT_LIMIT:
            raise np.linalg.LinAlgError("a relative chance of publication runs off")
        return theta[:p], float(theta[p] ** 2), self.weights(np.exp(theta[p + 1 :]))

    def weights(self, free: np.ndarray) -> np.ndarray:
        """All weights from the free ones."""
        return free

    def at(self, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Log-likelihood, gradient and Hessian by the search's parameters."""
        p = self.X.shape[1]
        beta, tau2, delta = self.parameters(theta)
        value, gradient, hessian = self.derivatives(beta, tau2, delta)
        free = delta[len(delta) - self.n_weights :]
        scale = np.concatenate([np.ones(p), [2 * theta[p]], free])
        bend = np.concatenate([np.zeros(p), [2.0], free])
        return value, scale * gradient, scale[:, None] * hessian * scale + np.diag(gradient * bend)

    def derivatives(
        self, beta: np.ndarray, tau2: float, delta: np.ndarray
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Log-likelihood, gradient and Hessian by coefficients, tau2 and free delta."""
        X, p = self.X, self.X.shape[1]
        value, first, second = self.rows(X @ beta, tau2, delta)
        gradient = np.concatenate([X.T @ first[:, 0], first[:, 1:].sum(axis=0)])
        hessian = np.zeros((len(gradient), len(gradient)))
        hessian[:p, :p] = X.T @ (X * second[:, :1, 0])
        hessian[:p, p:] = X.T @ second[:, 0, 1:]
        hessian[p:, :p] = hessian[:p, p:].T
        hessian[p:, p:] = second[:, 1:, 1:].sum(axis=0)
        return float(value.sum()), gradient, hessian

    def _normal(
        self, mean: np.ndarray, tau2: float, m: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Log-densities without selection and their derivatives, of `m` parameters."""
        variance, residual = self.v + tau2, self.y - mean
        value = -0.5 * (np.log(2 * np.pi * variance) + residual**2 / variance)
        first, second = np.zeros((len(value), m)), np.zeros((len(value), m, m))
        first[:, 0] = residual / variance
        first[:, 1] = 0.5 * (residual**2 - variance) / variance**2
        second[:, 0, 0] = -1 / variance
        second[:, 0, 1] = second[:, 1, 0] = -residual / variance**2
        second[:, 1, 1] = 0.5 / variance**2 - residual**2 / variance**3
        return value, first, second


class Steps(Selected):
    """Weights that are constant between cut points of the P value; the first is one.

    With cut points `c_1 > c_2 > ...` of y between segments of weight delta and `u = (c - mu)/s`,
    `s^2 = v + tau2`, `A = sum_h delta_h P(segment h)`, so that `dA = sum_m D_m d Phi(u_m)`, `D_m`
    the delta below the cut less the delta above it.
    """

    def __init__(
        self, y: np.ndarray, v: np.ndarray, X: np.ndarray, steps: np.ndarray, alternative: str
    ) -> None:
        super().__init__(y, v, X)
        se = np.sqrt(v)
        if alternative == "two.sided":
            p = 2 * special.ndtr(-np.abs(y / se))
            quantiles = -special.ndtri(steps / 2)
            quantiles = np.concatenate([quantiles, -quantiles[::-1]])
            segments = [*range(len(steps) + 1), *reversed(range(len(steps)))]
        else:
            p = special.ndtr(-y / se)
            quantiles, segments = -special.ndtri(steps), list(range(len(steps) + 1))
        self.interval = np.searchsorted(steps, p, side="left")
        self.counts = np.bincount(self.interval, minlength=len(steps) + 1)
        self.cuts = se[:, None] * quantiles
        self.member = np.eye(len(steps) + 1)[segments]
        self.n_weights = len(steps)

    def weights(self, free: np.ndarray) -> np.ndarray:
        return np.append(1.0, free)

    def rows(
        self, mean: np.ndarray, tau2: float, delta: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        variance = self.v + tau2
        s = np.sqrt(variance)
        u = (self.cuts - mean[:, None]) / s[:, None]
        density = np.exp(-0.5 * u**2) / np.sqrt(2 * np.pi)
        chances = _segment_chances(u) @ self.member
        A = chances @ delta
        jumps = np.diff(self.member, axis=0)
        D = jumps @ delta
        by_mean = -density / s[:, None]
        by_tau2 = -u * density / (2 * variance[:, None])
        n = len(delta) + 1
        of_A = np.column_stack([by_mean @ D, by_tau2 @ D, chances[:, 1:]]) / A[:, None]
        bent = np.zeros((len(s), n, n))
        bent[:, 0, 0] = by_tau2 @ D * 2
        bent[:, 0, 1] = bent[:, 1, 0] = (1 - u**2) * density @ D / (2 * s**3)
        bent[:, 1, 1] = u * (3 - u**2) * density @ D / (4 * variance**2)
        bent[:, 0, 2:] = bent[:, 2:, 0] = by_mean @ jumps[:, 1:]
        bent[:, 1, 2:] = bent[:, 2:, 1] = by_tau2 @ jumps[:, 1:]
        value, first, second = self._normal(mean, tau2, n)
        value += np.log(delta[self.interval] / A)
        own = (self.interval[:, None] == np.arange(1, len(delta))) / delta[1:]
        first -= of_A
        first[:, 2:] += own
        second += of_A[:, :, None] * of_A[:, None, :] - bent / A[:, None, None]
        places = np.arange(2, n)
        second[:, places, places] -= own**2
        return value, first, second


class BetaWeights(Selected):
    """Weights `p^(delta_1 - 1) (1 - p)^(delta_2 - 1)` of the one-sided P value.

    P counts as 0.00001 where it is smaller, and likewise at one, as in the program of Citkowicz &
    Vevea: the weights would have no mean otherwise. Between these, A is the integral of a smooth
    function of `z = y / se`, by Gauss and Legendre's rule; beyond, of normal tails.
    """

    n_weights = 2

    def __init__(self, y: np.ndarray, v: np.ndarray, X: np.ndarray) -> None:
        super().__init__(y, v, X)
        end = -special.ndtri(SMALLEST_P)
        nodes, shares = np.polynomial.legendre.leggauss(_NODES)
        self.z, self.shares = end * nodes, end * shares
        self.ends = np.array([-end, end])
        z = np.clip(y / np.sqrt(v), -end, end)
        self.own, self.logs, self.tails = (
            np.stack([special.log_ndtr(-at), special.log_ndtr(at)], axis=-1)
            for at in (z, self.z, self.ends)
        )

    def rows(
        self, mean: np.ndarray, tau2: float, delta: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        variance, se = self.v + tau2, np.sqrt(self.v)[:, None]
        s, wide = np.sqrt(variance)[:, None], variance[:, None]
        u = (se * self.z - mean[:, None]) / s
        weight = self.shares * np.exp(self.logs @ (delta - 1)) / np.sqrt(2 * np.pi)
        mass = weight * np.exp(-0.5 * u**2) * se / s
        scores = np.stack([u / s, (u**2 - 1) / (2 * wide)], axis=-1)
        A, of_A = mass.sum(axis=1), np.zeros((len(variance), 4))
        bent = np.zeros((len(variance), 4, 4))
        of_A[:, :2], of_A[:, 2:] = np.einsum("kn,kna->ka", mass, scores), mass @ self.logs
        weighted = mass[:, :, None] * scores
        bent[:, :2, :2] = weighted.transpose(0, 2, 1) @ scores
        bent[:, 0, 0] -= A / variance
        bent[:, 0, 1] -= (mass * u).sum(axis=1) / s[:, 0] ** 3
        bent[:, 1, 1] += (mass * (0.5 - u**2)).sum(axis=1) / variance**2
        bent[:, :2, 2:] = weighted.transpose(0, 2, 1) @ self.logs
        bent[:, 2:, 2:] = np.einsum("kn,na,nb->kab", mass, self.logs, self.logs)
        for end, logs, side in zip(self.ends, self.tails, (1.0, -1.0), strict=True):
            u = (se * end - mean[:, None]) / s
            tail = np.exp(logs @ (delta - 1))
            density = side * tail * np.exp(-0.5 * u**2) / np.sqrt(2 * np.pi)
            chance = tail * special.ndtr(side * u[:, 0])
            moved = np.hstack([-density / s, -u * density / (2 * wide)])
            A += chance
            of_A[:, :2] += moved
            of_A[:, 2:] += chance[:, None] * logs
            bent[:, 0, 0] += 2 * moved[:, 1]
            bent[:, 0, 1] += ((1 - u**2) * density / (2 * s**3))[:, 0]
            bent[:, 1, 1] += (u * (3 - u**2) * density / (4 * wide**2))[:, 0]
            bent[:, :2, 2:] += moved[:, :, None] * logs
            bent[:, 2:, 2:] += chance[:, None, None] * np.outer(logs, logs)
        bent[:, 1, 0] = bent[:, 0, 1]
        bent[:, 2:, :2] = bent[:, :2, 2:].transpose(0, 2, 1)
        if not A.min() > 0:
            raise np.linalg.LinAlgError("the weights have no mean")
        of_A = of_A / A[:, None]
        value, first, second = self._normal(mean, tau2, 4)
        first[:, 2:] += self.own
        second += of_A[:, :, None] * of_A[:, None, :] - bent / A[:, None, None]
        return value + self.own @ (delta - 1) - np.log(A), first - of_A, second


def _segment_chances(u: np.ndarray) -> np.ndarray:
    """Normal chances between descending cut points, exact in both tails."""
    edge = np.full((len(u), 1), np.inf)
    upper, lower = np.hstack([edge, u]), np.hstack([u, -edge])
    right = special.ndtr(-lower) - special.ndtr(-upper)
    return np.where(lower > 0, right, special.ndtr(upper) - special.ndtr(lower))
