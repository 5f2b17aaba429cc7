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

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import ndimage

from backpain_analysis.engine.likelihood import group, stack_covariance
from backpain_analysis.engine.mixed import components_of, typical_sd
from backpain_analysis.engine.search import Maximum, ascend, maximise
from backpain_analysis.engine.terms import RandomTerm, ScaledTerm
from backpain_analysis.errors import CannotEstimate, ConvergenceError
from backpain_analysis.models.network.contrasts import NetworkData

TINY = 1e-5

PER_DECADE = 3
"""Points of the grid of standard deviations for a factor of ten."""

UNTOLD = "the trials do not tell the mean of the agents' curves"

UNTOLD_BELOW, ROOT_BELOW = 1e-7, 1e-13
"""What counts as zero in the triangle of the mean's columns, and among eigenvalues."""

MOST_STEPS = 14

MOST_PEAKS, NEAR = 4, 8.0
"""Climbs start from so many peaks of the grid, no more than so far below the highest."""

PATIENT, FARTHER = 50, 2
"""Steps after which a climb waits, and how many of the highest go on, with heights along each step:
agents that few trials tell make long, straight ridges."""


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
    """Sums over trials at one tau2; the last row and column of each matrix belong to y.

    With `M = Z'WZ` and `v = Z'Wy` the first of them holds `M = Q'Q`, `v = Q'w`, and
    `rest = y'Wy - w'w`: from the root Q all else follows without a difference of large numbers,
    whatever the scales of the columns.
    """

    zero: np.ndarray
    once: np.ndarray
    twice: np.ndarray
    trace: float
    trace2: float
    logdet: float
    Q: np.ndarray
    w: np.ndarray
    rest: float


@dataclass(frozen=True)
class _Point:
    """The likelihood at one tau2 and Omega, and all that follows from it.

    With A the agents' covariance, `N'N = M - M S M`, `S = (M + A^-1)^-1`, and `N_r` the part of N
    that the mean leaves.

    Attributes
    ----------
    llf : float
    N, left_over : ndarray
        N and N_r.
    gradient : ndarray
        `Z'Py`, P the precision with the mean projected out.
    S, carried : ndarray
        `S`, and `(I - S M) E`.
    C, mean : ndarray
        Covariance and estimate of the fixed effects.
    """

    llf: float
    N: np.ndarray
    left_over: np.ndarray
    gradient: np.ndarray
    S: np.ndarray
    carried: np.ndarray
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
        Q, w = _root(zero[:-1, :-1], zero[:-1, -1])
        rest = max(float(zero[-1, -1] - w @ w), 0.0)
        return _Sums(zero, once, twice, trace, trace2, logdet, Q, w, rest)

    def at(self, theta: np.ndarray) -> tuple[_Sums, _Point]:
        """The likelihood at the Cholesky parameters of tau2 and Omega."""
        sums = self.sums(components_of(self.terms, theta)[0][0])
        L = self.spread(self.terms[1].factor(theta[1:]))
        left, values, right = np.linalg.svd(sums.Q @ L)
        shrink = np.ones(max(len(left), len(right)))
        shrink[: len(values)] = 1 / np.hypot(1.0, values)
        N = shrink[: len(left), None] * (left.T @ sums.Q)
        a = shrink[: len(left)] * (left.T @ sums.w)
        half = shrink[: len(right), None] * (right @ L.T)
        Z = N @ self.E
        size = np.linalg.norm(Z, axis=0)
        if not np.all(size > 0):
            raise CannotEstimate(UNTOLD)
        basis, triangle = np.linalg.qr(Z / size)
        told = np.abs(np.diag(triangle))
        if not told.min() > UNTOLD_BELOW:
            raise CannotEstimate(UNTOLD)
        back = np.linalg.inv(triangle) / size[:, None]
        mean = back @ (basis.T @ a)
        residual = a - basis @ (basis.T @ a)
        rss = sums.rest + residual @ residual
        n, p = len(self.U), self.E.shape[1]
        constant = (n - p * self.reml) * np.log(2 * np.pi)
        llf = -0.5 * (sums.logdet + np.log1p(values**2).sum() + rss + constant)
        if self.reml:
            X = self.U[:, :-1] @ self.E
            llf += 0.5 * np.linalg.slogdet(X.T @ X)[1] - float(np.log(told * size).sum())
        return sums, _Point(
            llf=float(llf),
            N=N,
            left_over=N - basis @ (basis.T @ N),
            gradient=N.T @ residual,
            S=half.T @ half,
            carried=self.E - L @ (L.T @ (N.T @ Z)),
            C=back @ back.T,
            mean=mean,
        )

    def heights(self, sums: _Sums, lowers: np.ndarray) -> np.ndarray:
        """The likelihood at one tau2 and many factors of the agents' covariance, up to a constant.

        Parameters
        ----------
        lowers : ndarray, shape (n, size, size)

        Returns
        -------
        ndarray, shape (n,)
            Minus infinity where the mean curve cannot be told.
        """
        left, values, _ = np.linalg.svd(sums.Q @ lowers)
        shrink = np.ones(left.shape[:2])
        shrink[:, : values.shape[1]] = 1 / np.hypot(1.0, values)
        both = left.transpose(0, 2, 1) @ np.column_stack([sums.Q @ self.E, sums.w])
        both *= shrink[:, :, None]
        Z, a = both[:, :, :-1], both[:, :, -1]
        size = np.linalg.norm(Z, axis=1)
        basis, triangle = np.linalg.qr(Z / np.where(size > 0, size, 1.0)[:, None, :])
        told = np.abs(np.diagonal(triangle, axis1=1, axis2=2))
        sound = (size > 0).all(axis=1) & (told > UNTOLD_BELOW).all(axis=1)
        residual = a - (basis @ (basis.transpose(0, 2, 1) @ a[:, :, None]))[:, :, 0]
        logdet = np.log1p(values**2).sum(axis=1)
        llf = -0.5 * (sums.logdet + logdet + sums.rest + (residual**2).sum(axis=1))
        if self.reml:
            llf[sound] -= np.log(told[sound] * size[sound]).sum(axis=1)
        return np.where(sound, llf, -np.inf)

    def derivatives(self, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Log-likelihood, gradient and Hessian by the Cholesky parameters.

        By the components: `-1/2 [tr(P K_j) - y'P K_j P y]` and `1/2 tr(P K_j P K_k) -
        y'P K_j P K_k P y`; for ML the traces are those of `(V + Z A Z')^-1`, S instead of R.
        """
        sums, point = self.at(theta)
        _, jacobian, curvature = components_of(self.terms, theta)
        M1, M2 = sums.once[:-1, :-1], sums.twice[:-1, :-1]
        v1, v2 = sums.once[:-1, -1], sums.twice[:-1, -1]
        L = self.spread(self.terms[1].factor(theta[1:]))
        A, N, Nr, g = L @ L.T, point.N, point.left_over, point.gradient
        R = point.S + point.carried @ point.C @ point.carried.T
        Rv = self.E @ point.mean + A @ g
        h = v1 - M1 @ Rv
        Qr = Nr.T @ Nr
        from_mean = N.T @ (N @ self.E) @ point.C @ self.E.T
        left = np.eye(len(A)) - Qr @ A - from_mean
        c = left @ h
        B, Q, around = point.S, N.T @ N, np.eye(len(A)) - N.T @ N @ A
        if self.reml:
            B, Q, around = R, Qr, left
        F = around @ M1 @ around.T
        D = [self.spread(base) for base in self._bases()]
        DQ, Dg = [d @ Q for d in D], [d @ g for d in D]
        BM1 = B @ M1
        m = 1 + len(D)
        gradient, hessian = np.zeros(m), np.zeros((m, m))
        quadratic = sums.once[-1, -1] - 2 * Rv @ v1 + Rv @ M1 @ Rv
        gradient[0] = -0.5 * (sums.trace - np.trace(BM1) - quadratic)
        quadratic2 = sums.twice[-1, -1] - 2 * Rv @ v2 + Rv @ M2 @ Rv - h @ R @ h
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
    classes: np.ndarray | None = None,
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
    classes : ndarray of int, shape (agents,), optional
        Agents vary around the mean of their class, with one Omega; by default all are one class.

    Raises
    ------
    CannotEstimate
        If the mean curve cannot be told from the data, or no maximum is found.
    """
    n, q = len(data.y), Z.shape[1] // agents
    blocks = group(data.trial)
    stacks = stack_covariance(data.covariance, blocks)
    unit = typical_sd(stacks)
    tau_term = ScaledTerm(data.heterogeneity_term(), n)
    stacked = Z.reshape(n, agents, q).transpose(1, 0, 2).reshape(-1, q)
    omega_term = ScaledTerm(RandomTerm(stacked, name="agent"), len(stacked))
    extra = np.zeros((n, 0)) if fixed is None else fixed
    scaled = (Z.reshape(n, agents, q) @ omega_term.back).reshape(n, -1)
    of = np.zeros(agents, dtype=int) if classes is None else classes
    means = (int(of.max()) + 1) * q
    E = np.zeros((agents * q + extra.shape[1], means + extra.shape[1]))
    E[: agents * q, :means] = np.kron(np.eye(means // q)[of], np.eye(q))
    E[agents * q :, means:] = np.eye(extra.shape[1])
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
    point = problem.at(theta)[1]
    forward = np.eye(len(E))
    forward[: agents * q, : agents * q] = np.kron(np.eye(agents), omega_term.back)
    mean_back = np.eye(E.shape[1])
    mean_back[:means, :means] = np.kron(np.eye(means // q), omega_term.back)
    A = problem.spread(_omega(omega_term, theta))
    effects = E @ point.mean + A @ point.gradient
    cov = point.S + point.carried @ point.C @ point.carried.T
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


def _root(M: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Q and w with `M = Q'Q`, `v = Q'w`, columns brought to one scale first."""
    size = np.sqrt(np.diag(M))
    size = np.where(size > 0, size, 1.0)
    values, vectors = np.linalg.eigh(M / np.outer(size, size))
    kept = values > ROOT_BELOW * max(values.max(), 0.0)
    root = np.sqrt(values[kept])
    vectors = vectors[:, kept]
    return root[:, None] * vectors.T * size, vectors.T @ (v / size) / root


def _omega(term: ScaledTerm, theta: np.ndarray) -> np.ndarray:
    factor = term.factor(theta[1:])
    return factor @ factor.T


def _search(problem: _Problem) -> np.ndarray:
    """Newton's method from every high peak of a grid; variances that are zero but for rounding are.

    The likelihood may have several maxima: agents whose doses run on different scales each put
    one at the size of their own coefficients, and few agents put them where coefficients are
    perfectly correlated. So the grid of standard deviations runs, evenly in their logarithm, over
    the sizes that any agent's data can show, from a fraction of the smallest standard error of a
    coefficient to a multiple of the largest coefficient; once without correlations, and once with
    perfect ones of each sign.
    """
    taus = np.array([0.0, *np.geomspace(0.03, 30.0, 1 + 3 * PER_DECADE)])
    axes = _sizes(problem)
    kinds: list[tuple[float, ...] | None] = [None]
    if problem.q > 1:
        kinds += list(product((1.0,), *[(1.0, -1.0)] * (problem.q - 1)))
    points: list[tuple[float, np.ndarray]] = []
    for signs in kinds:
        points += _peaks(problem, taus, axes, signs)
    if not points:
        raise CannotEstimate(UNTOLD, "use a simpler curve")
    points.sort(key=lambda point: -point[0])

    def level(ends: np.ndarray) -> np.ndarray:
        return np.array([_height(problem, theta) for theta in ends])

    ends: list[Maximum] = []
    for height, start in points[:MOST_PEAKS]:
        if height < points[0][0] - NEAR:
            break
        with suppress(CannotEstimate):
            ends.append(ascend(problem.derivatives, start, max_iterations=PATIENT))
    if not ends:
        raise ConvergenceError(
            "no maximum of the likelihood was found", "use fewer random effects (a simpler curve)"
        )
    ends.sort(key=lambda end: -end.value)
    for end in [end for end in ends if end.fault and end.value > ends[0].value - NEAR][:FARTHER]:
        with suppress(CannotEstimate):
            ends.append(ascend(problem.derivatives, end.theta, heights=level))
    best = max(ends, key=lambda end: end.value)
    best = maximise(problem.derivatives, best.theta, heights=level)
    theta, value = best.theta, best.value
    for part in (slice(0, 1), slice(1, None)):
        without = theta.copy()
        without[part] = 0.0
        if level(without[None])[0] >= value - (1e-10 if np.abs(theta[part]).max() < TINY else 0.0):
            theta = without
    return theta


def _peaks(
    problem: _Problem, taus: np.ndarray, axes: list[np.ndarray], signs: tuple[float, ...] | None
) -> list[tuple[float, np.ndarray]]:
    """Heights and parameters of the peaks of a grid, variances of zero lifted a little.

    Parameters
    ----------
    problem : _Problem
    taus, axes : ndarray, list of ndarray
        Standard deviations between trials, and between agents for each coefficient.
    signs : tuple of float, optional
        Of the coefficients, where they are perfectly correlated; None: uncorrelated.
    """
    tau_term, omega_term = problem.terms
    inner = [_factor(omega_term, own, signs) for own in product(*axes)]
    lowers = np.stack([problem.spread(omega_term.factor(own)) for own in inner])
    grid = []
    for tau in taus:
        theta = np.concatenate([tau_term.start(tau), inner[0]])
        grid.append(
            problem.heights(problem.sums(components_of(problem.terms, theta)[0][0]), lowers)
        )
    every = [taus, *axes]
    heights = np.array(grid).reshape([len(axis) for axis in every])
    around = ndimage.maximum_filter(heights, size=3, mode="nearest")
    found = []
    for peak in np.argwhere((heights == around) & np.isfinite(heights)):
        tau, *own = (
            axis[place] if axis[place] > 0 else axis[1] / 10
            for axis, place in zip(every, peak, strict=True)
        )
        start = np.concatenate([tau_term.start(tau), _factor(omega_term, own, signs, 0.1)])
        found.append((float(heights[tuple(peak)]), start))
    return found


def _factor(
    term: ScaledTerm, sizes: Sequence[float], signs: tuple[float, ...] | None, lift: float = 0.0
) -> np.ndarray:
    """Cholesky parameters of standard deviations without correlations, or with perfect ones.

    Of perfect ones the diagonal is lifted by a share of the standard deviations.
    """
    if signs is None:
        return np.array([sizes[a] if a == b else 0.0 for a, b in term.cells])
    values = {(a, 0): sign * sizes[a] for a, sign in enumerate(signs)}
    return np.array([values.get((a, b), lift * sizes[a] * (a == b)) for a, b in term.cells])


def _sizes(problem: _Problem) -> list[np.ndarray]:
    """Zero and standard deviations that each coefficient of the agents may have."""
    count, q = problem.agents, problem.q
    sums = problem.sums(0.0)
    M, v = sums.zero[:-1, :-1], sums.zero[:-1, -1]
    spreads, coefficients = np.zeros((count, q)), np.zeros((count, q))
    for agent in range(count):
        own = slice(agent * q, (agent + 1) * q)
        inverse = np.linalg.pinv(M[own, own], hermitian=True, rcond=1e-12)
        spreads[agent] = np.sqrt(np.maximum(np.diag(inverse), 0.0))
        coefficients[agent] = np.abs(inverse @ v[own])
    axes = []
    for shown, size in zip(spreads.T, coefficients.T, strict=True):
        low = 0.1 * shown[shown > 0].min()
        high = 10 * max(shown.max(), size.max())
        steps = np.ceil(PER_DECADE * np.log10(high / low))
        steps = int(np.clip(steps, 6, {1: 60, 2: MOST_STEPS}.get(q, MOST_STEPS // 2)))
        axes.append(np.concatenate([[0.0], np.geomspace(low, high, steps)]))
    return axes


def _height(problem: _Problem, theta: np.ndarray) -> float:
    """The log-likelihood; minus infinity where it cannot be told."""
    try:
        return problem.at(theta)[1].llf
    except (CannotEstimate, np.linalg.LinAlgError):
        return -np.inf
