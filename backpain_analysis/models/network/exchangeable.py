"""Agents as a random effect: curves that borrow strength from each other.

`y = Z b + u + e`, `b_a ~ N(mu, Omega)` for every agent, `u` the heterogeneity of the network. As
an agent is in many trials, its random effect crosses them: `V + Z A Z'`, `A = I (x) Omega`, is not
block-diagonal. Its inverse is that of V, less a matrix of low rank (Woodbury). With `P` that of
REML and `W = V^-1`,

    P = W - W Z R Z' W,   R = S + (I - S M) E C E' (I - M S),   S = L (I + L'ML)^-1 L',

`M = Z'WZ`, `L L' = A`, `X = Z E` and `C = (X'(V + ZAZ')^-1 X)^-1`; so the likelihood and its first
two derivatives need only sums over trials of Z'WZ, Z'WTWZ and Z'WTWTWZ (T: structure of the
heterogeneity), and the cost is linear in the number of trials. Sources: Harville 1977
(doi 10.1080/01621459.1977.10480998); for the model Pedder et al. 2021
(doi 10.1177/0272989X20983315).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np

from backpain_analysis.engine.likelihood import group, stack_covariance
from backpain_analysis.engine.mixed import STARTS, components_of, typical_sd
from backpain_analysis.engine.search import maximise
from backpain_analysis.engine.terms import RandomTerm, ScaledTerm
from backpain_analysis.models.network.data import NetworkData

TINY = 1e-5


@dataclass(frozen=True)
class ExchangeableFit:
    """A fit with agents as a random effect.

    Attributes
    ----------
    mean, mean_cov : ndarray, shapes (p,), (p, p)
        Fixed effects: the mean curve, then what `fixed` added.
    effects, cov : ndarray
        Best linear unbiased predictions of each agent's coefficients (then of what `fixed`
        added) and the covariance of their errors.
    omega : ndarray, shape (q, q)
    tau2, llf : float
    n_variance_parameters : int
    """

    mean: np.ndarray
    mean_cov: np.ndarray
    effects: np.ndarray
    cov: np.ndarray
    omega: np.ndarray
    tau2: float
    llf: float
    n_variance_parameters: int


@dataclass(frozen=True)
class _Sums:
    """Sums over trials at one tau2; the last row and column of each matrix belong to y."""

    zero: np.ndarray
    once: np.ndarray
    twice: np.ndarray
    trace: float
    trace2: float
    logdet: float


@dataclass(frozen=True)
class _Point:
    """The likelihood and all that follows from it."""

    llf: float
    S: np.ndarray
    R: np.ndarray
    C: np.ndarray
    mean: np.ndarray


@dataclass(frozen=True)
class _Problem:
    """What the likelihood is computed from, in the engine's units.

    Attributes
    ----------
    U : ndarray, shape (n_rows, K q + extra + 1)
        Columns of Z, then y.
    E : ndarray, shape (K q + extra, p)
        X = Z E.
    """

    U: np.ndarray
    E: np.ndarray
    batches: tuple[np.ndarray, ...]
    S: list[np.ndarray]
    T: list[np.ndarray]
    terms: list[ScaledTerm]
    agents: int
    reml: bool

    @property
    def q(self) -> int:
        return self.terms[1].q

    def spread(self, block: np.ndarray) -> np.ndarray:
        """`I (x) block`, with zeros for the columns that are not random."""
        size = len(self.E)
        full = np.zeros((size, size))
        inner = np.kron(np.eye(self.agents), block)
        full[: len(inner), : len(inner)] = inner
        return full

    def sums(self, tau: float) -> _Sums:
        size = self.U.shape[1]
        zero, once, twice = (np.zeros((size, size)) for _ in range(3))
        trace = trace2 = logdet = 0.0
        for rows, S, T in zip(self.batches, self.S, self.T, strict=True):
            lower = np.linalg.cholesky(S + tau * T)
            logdet += 2 * float(np.log(np.diagonal(lower, axis1=1, axis2=2)).sum())
            half = np.linalg.inv(lower)
            W = half.transpose(0, 2, 1) @ half
            U = self.U[rows]
            WU, WT = W @ U, W @ T
            TWU = T @ WU
            zero += np.tensordot(U, WU, axes=([0, 1], [0, 1]))
            once += np.tensordot(WU, TWU, axes=([0, 1], [0, 1]))
            twice += np.tensordot(TWU, W @ TWU, axes=([0, 1], [0, 1]))
            trace += float(np.einsum("bii->", WT))
            trace2 += float(np.einsum("bij,bji->", WT, WT))
        return _Sums(zero, once, twice, trace, trace2, logdet)

    def at(self, theta: np.ndarray) -> tuple[_Sums, _Point]:
        """The likelihood at the Cholesky parameters of tau2 and Omega."""
        values = components_of(self.terms, theta)[0]
        sums = self.sums(values[0])
        L = self.spread(self.terms[1].factor(theta[1:]))
        M, v, size = sums.zero[:-1, :-1], sums.zero[:-1, -1], len(self.E)
        G = np.eye(size) + L.T @ M @ L
        S = L @ np.linalg.solve(G, L.T)
        rest = np.eye(size) - S @ M
        lower = np.linalg.cholesky(self.E.T @ M @ rest @ self.E)
        half = np.linalg.inv(lower)
        C = half.T @ half
        carried = rest @ self.E
        R = S + carried @ C @ carried.T
        rss = sums.zero[-1, -1] - v @ R @ v
        n, p = len(self.U), self.E.shape[1]
        constant = (n - p * self.reml) * np.log(2 * np.pi)
        llf = -0.5 * (sums.logdet + np.linalg.slogdet(G)[1] + rss + constant)
        if self.reml:
            X = self.U[:, :-1] @ self.E
            llf += 0.5 * np.linalg.slogdet(X.T @ X)[1] - float(np.log(np.diag(lower)).sum())
        return sums, _Point(float(llf), S, R, C, C @ carried.T @ v)

    def derivatives(self, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Log-likelihood, gradient and Hessian by the Cholesky parameters.

        By the components: `-1/2 [tr(P K_j) - y'P K_j P y]` and `1/2 tr(P K_j P K_k) -
        y'P K_j P K_k P y`; for ML the traces are those of `(V + Z A Z')^-1`, S instead of R.
        """
        sums, point = self.at(theta)
        _, jacobian, curvature = components_of(self.terms, theta)
        M0, M1, M2 = (part[:-1, :-1] for part in (sums.zero, sums.once, sums.twice))
        v0, v1, v2 = (part[:-1, -1] for part in (sums.zero, sums.once, sums.twice))
        Rv = point.R @ v0
        g, h = v0 - M0 @ Rv, v1 - M1 @ Rv
        left = np.eye(len(M0)) - M0 @ point.R
        c = left @ h
        B = point.R if self.reml else point.S
        Q = M0 - M0 @ B @ M0
        around = np.eye(len(M0)) - M0 @ B
        F = around @ M1 @ around.T
        D = [self.spread(base) for base in self._bases()]
        DQ, Dg = [d @ Q for d in D], [d @ g for d in D]
        Qr = M0 - M0 @ point.R @ M0
        BM1 = B @ M1
        m = 1 + len(D)
        gradient, hessian = np.zeros(m), np.zeros((m, m))
        quadratic = sums.once[-1, -1] - 2 * Rv @ v1 + Rv @ M1 @ Rv
        gradient[0] = -0.5 * (sums.trace - np.trace(BM1) - quadratic)
        quadratic2 = sums.twice[-1, -1] - 2 * Rv @ v2 + Rv @ M2 @ Rv - h @ point.R @ h
        trace2 = sums.trace2 - 2 * np.trace(B @ M2) + np.trace(BM1 @ BM1)
        hessian[0, 0] = 0.5 * trace2 - quadratic2
        for j in range(m - 1):
            gradient[j + 1] = -0.5 * (np.trace(DQ[j]) - g @ Dg[j])
            cross = 0.5 * np.trace(D[j] @ F) - c @ Dg[j]
            hessian[0, j + 1] = hessian[j + 1, 0] = cross
            for k in range(m - 1):
                hessian[j + 1, k + 1] = 0.5 * np.trace(DQ[j] @ DQ[k]) - Dg[j] @ Qr @ Dg[k]
        by_theta = jacobian.T @ hessian @ jacobian + np.tensordot(gradient, curvature, axes=1)
        return point.llf, jacobian.T @ gradient, by_theta

    def _bases(self) -> list[np.ndarray]:
        """Derivative of Omega by each of its components."""
        bases = []
        for a, b in self.terms[1].cells:
            base = np.zeros((self.q, self.q))
            base[a, b] = base[b, a] = 1.0
            bases.append(base)
        return bases


def fit_exchangeable(
    data: NetworkData,
    Z: np.ndarray,
    agents: int,
    *,
    reml: bool,
    fixed: np.ndarray | None = None,
) -> ExchangeableFit:
    """Fit agents as a random effect by REML or ML.

    Parameters
    ----------
    data : NetworkData
    Z : ndarray, shape (n_rows, agents * q)
        Columns of each agent's curve, agent by agent.
    agents : int
    reml : bool
    fixed : ndarray, shape (n_rows, k), optional
        Further columns with fixed effects.

    Raises
    ------
    ValueError
        If the mean curve cannot be told from the data.
    ConvergenceError
        If no maximum is found.
    """
    n, q = len(data.y), Z.shape[1] // agents
    blocks = group(data.trial)
    stacks = stack_covariance(data.covariance, blocks)
    unit = typical_sd(stacks)
    tau_term = ScaledTerm(data.heterogeneity_term(), n)
    mean_columns = Z.reshape(n, agents, q).sum(axis=1)
    omega_term = ScaledTerm(RandomTerm(mean_columns, name="agent"), n)
    extra = np.zeros((n, 0)) if fixed is None else fixed
    scaled = (Z.reshape(n, agents, q) @ omega_term.back).reshape(n, -1)
    E = np.zeros((agents * q + extra.shape[1], q + extra.shape[1]))
    E[: agents * q, :q] = np.tile(np.eye(q), (agents, 1))
    E[agents * q :, q:] = np.eye(extra.shape[1])
    problem = _Problem(
        U=np.column_stack([scaled, extra, data.y / unit]),
        E=E,
        batches=blocks.batches,
        S=[stack / unit**2 for stack in stacks],
        T=[base[0] for base in tau_term.bases(blocks)],
        terms=[tau_term, omega_term],
        agents=agents,
        reml=reml,
    )
    theta = _search(problem)
    sums, point = problem.at(theta)
    forward = np.eye(len(E))
    forward[: agents * q, : agents * q] = np.kron(np.eye(agents), omega_term.back)
    mean_back = np.eye(E.shape[1])
    mean_back[:q, :q] = omega_term.back
    A = problem.spread(_omega(omega_term, theta))
    M, v = sums.zero[:-1, :-1], sums.zero[:-1, -1]
    gain = A - A @ (M - M @ point.S @ M) @ A
    carried = E - A @ (M - M @ point.S @ M) @ E
    residual = v - M @ E @ point.mean
    effects = E @ point.mean + A @ (residual - M @ point.S @ residual)
    cov = gain + carried @ point.C @ carried.T
    factor = omega_term.factor(theta[1:])
    loading = omega_term.back @ factor * unit
    n_effective = n - E.shape[1] * reml
    return ExchangeableFit(
        mean=unit * mean_back @ point.mean,
        mean_cov=unit**2 * mean_back @ point.C @ mean_back.T,
        effects=unit * forward @ effects,
        cov=unit**2 * forward @ cov @ forward.T,
        omega=loading @ loading.T,
        tau2=float(2 * unit**2 * tau_term.psi(theta[:1])[0, 0]),
        llf=float(point.llf - n_effective * np.log(unit)),
        n_variance_parameters=len(theta),
    )


def _omega(term: ScaledTerm, theta: np.ndarray) -> np.ndarray:
    factor = term.factor(theta[1:])
    return factor @ factor.T


def _search(problem: _Problem) -> np.ndarray:
    """Newton's method from several starts; variances that are zero but for rounding are zero."""
    tau_term, omega_term = problem.terms
    best = None
    for sizes in product(STARTS, repeat=2):
        start = np.concatenate([tau_term.start(sizes[0]), omega_term.start(sizes[1])])
        found = maximise(problem.derivatives, start)
        if best is None or found.value > best.value:
            best = found
    theta, value = best.theta, best.value
    height = partial(_height, problem)
    for part in (slice(0, 1), slice(1, None)):
        if 0 < np.abs(theta[part]).max() < TINY:
            without = theta.copy()
            without[part] = 0.0
            theta = without if height(without) >= value - 1e-10 else theta
    return theta


def _height(problem: _Problem, theta: np.ndarray) -> float:
    return problem.at(theta)[1].llf
