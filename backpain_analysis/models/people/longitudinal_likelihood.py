"""The likelihood of the longitudinal mixed model from sums a participant, and its maximum.

y = X b + Z u + 1 v + e,   u ~ N(0, s2 Psi),   v ~ N(0, s2 phi),   e ~ N(0, s2)

with u a participant's and v a trial's. Every participant enters by `A = Z'Z` and `C = Z'[X y]`
only. With `H = (I + A Psi)^-1` (Woodbury)

    Z'V^-1 Z = H A = M,   Z'V^-1 [X y] = H C = N,   log|V| = log|I + A Psi|,
    [X y]'V^-1 [X y] = [X y]'[X y] - C' Psi N = D

so an evaluation costs algebra of size q = 1 or 2 a participant, however many visits. A trial's
intercept is a second Woodbury step, over participants. b and s2 are profiled out: Laird & Ware
1982 (doi 10.2307/2529876), Lindstrom & Bates 1988 (doi 10.2307/2290128), Bates et al. 2015
(doi 10.18637/jss.v067.i01). Derivatives follow from `dM = -M E M`, `dN = -M E N`, `dD = -N'E N`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from backpain_analysis.engine.mixed import components_of
from backpain_analysis.engine.search import ConvergenceError, Derivatives, maximise
from backpain_analysis.engine.terms import RandomTerm, ScaledTerm
from backpain_analysis.errors import CannotEstimate

CELLS = {1: [(0, 0)], 2: [(0, 0), (1, 0), (1, 1)]}
"""Distinct cells of a symmetric matrix of size q."""

TrialEffect = Literal["fixed", "random"] | None

Components = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Sums:
    """What the likelihood needs of the data; k = columns of X and y, q = random effects.

    Attributes
    ----------
    design : ndarray, shape (q, q, n_people)
        A of each participant; the first column of Z is one.
    scores : ndarray, shape (q, k, n_people)
        C of each participant, y last.
    weight : ndarray, shape (n_people,)
        One for a participant. Sums over many participants with equal A (see
        `longitudinal_sums.condensed`) are kept as a few weighted ones.
    cross : ndarray, shape (k, k)
        `[X y]'[X y]` over all visits.
    first : ndarray, shape (n_trials,)
        Where each trial's participants begin: they stand in the order of their trials.
    n_visits : int
    trial_effect : {"fixed", "random", None}
    """

    design: np.ndarray
    scores: np.ndarray
    weight: np.ndarray
    cross: np.ndarray
    first: np.ndarray
    n_visits: int
    trial_effect: TrialEffect

    def residual_df(self, reml: bool) -> int:
        """Divisor of the residual variance: visits, less coefficients for REML."""
        trials = len(self.first) if self.trial_effect == "fixed" else 0
        return self.n_visits - (len(self.cross) - 1 + trials) * reml


@dataclass(frozen=True)
class Jet:
    """A quantity with its derivatives by the variance components: leading axes (m,), (m, m)."""

    value: np.ndarray
    first: np.ndarray
    second: np.ndarray

    def block(self, size: int) -> Jet:
        """The leading `size` rows and columns of a matrix."""
        return Jet(*(part[..., :size, :size] for part in (self.value, self.first, self.second)))


@dataclass(frozen=True)
class Point:
    """The likelihood at one value of the variance components.

    Attributes
    ----------
    llf : float
        As lme4's: the restricted one without `1/2 log|X'X|`.
    gradient, hessian : ndarray
    beta, cov_beta : ndarray
    sigma2 : float
    """

    llf: float
    gradient: np.ndarray
    hessian: np.ndarray
    beta: np.ndarray
    cov_beta: np.ndarray
    sigma2: float


def evaluate(sums: Sums, components: np.ndarray, *, reml: bool) -> Point:
    """Profiled log-likelihood with derivatives at relative variance components.

    Parameters
    ----------
    sums : Sums
    components : ndarray, shape (m,)
        Distinct cells of Psi by rows, then phi where trials are random; both over sigma2.
    reml : bool

    Raises
    ------
    numpy.linalg.LinAlgError
        Where X'V^-1 X is not positive definite, or nothing is left of y.
    """
    E, psi = _directions(sums, components)
    logdet, D, M, N = _over_people(sums, E, psi)
    if sums.trial_effect is not None:
        phi = components[-1] if sums.trial_effect == "random" else None
        change, D = _sweep_trials(D, _trial_sums(sums, E, M, N), phi)
        if reml or phi is not None:
            logdet = _added(logdet, change)
    p, df = len(sums.cross) - 1, sums.residual_df(reml)
    every, fixed = _log_determinant(D), _log_determinant(D.block(p))
    llf, gradient, hessian = (
        -0.5 * (l + df * d + (reml - df) * x)
        for l, d, x in zip(_parts(logdet), _parts(every), _parts(fixed), strict=True)
    )
    sigma2 = float(np.exp(every.value - fixed.value)) / df
    inverse = np.linalg.inv(D.value[:p, :p])
    return Point(
        llf=float(llf) - 0.5 * df * (1 + np.log(2 * np.pi / df)),
        gradient=gradient,
        hessian=hessian,
        beta=inverse @ D.value[:p, p],
        cov_beta=sigma2 * inverse,
        sigma2=sigma2,
    )


def _parts(jet: Jet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return jet.value, jet.first, jet.second


def _added(one: Jet, other: Jet) -> Jet:
    return Jet(*(a + b for a, b in zip(_parts(one), _parts(other), strict=True)))


def _directions(sums: Sums, components: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Derivative of Psi by each component (m, q, q; zero by phi), and Psi."""
    q = len(sums.design)
    E = np.zeros((len(components), q, q))
    for number, (a, b) in enumerate(CELLS[q]):
        E[number, a, b] = E[number, b, a] = 1.0
    return E, np.tensordot(components, E, axes=1)


def _inverse(F: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inverses and determinants of matrices of size one or two, shape (q, q, n)."""
    if len(F) == 1:
        return 1 / F, F[0, 0]
    determinant = F[0, 0] * F[1, 1] - F[0, 1] * F[1, 0]
    adjugate = np.array([[F[1, 1], -F[0, 1]], [-F[1, 0], F[0, 0]]])
    return adjugate / determinant, determinant


def _over_people(
    sums: Sums, E: np.ndarray, psi: np.ndarray
) -> tuple[Jet, Jet, np.ndarray, np.ndarray]:
    """Jets of log|V| and D over participants, and M (q, q, n), N (q, k, n)."""
    q, k, n = sums.scores.shape
    F = np.einsum("abn,bc->acn", sums.design, psi) + np.eye(q)[:, :, None]
    H, determinant = _inverse(F)
    M = np.einsum("abn,bcn->acn", H, sums.design)
    N = np.einsum("abn,bkn->akn", H, sums.scores)
    squared = sums.weight**2
    flat, M_flat = N.reshape(q * k, n), M.reshape(q * q, n)
    pairs = ((M_flat * squared) @ M_flat.T).reshape(q, q, q, q)
    logdet = Jet(
        np.log(determinant) @ squared,
        np.einsum("jab,ab->j", E, M @ squared),
        -np.einsum("abcd,jbc,lda->jl", pairs, E, E),
    )
    shrunk = np.einsum("ab,bkn->akn", psi, N).reshape(q * k, n)
    gram = (flat @ flat.T).reshape(q, k, q, k)
    weighted = np.empty((q, q, q * k, q * k))
    for c, d in CELLS[q]:
        weighted[c, d] = weighted[d, c] = (flat * M[c, d]) @ flat.T
    second = np.einsum("jac,ldb,cdaxby->jlxy", E, E, weighted.reshape(q, q, q, k, q, k))
    taken = sums.scores.reshape(q, k, n).transpose(1, 0, 2).reshape(k, q * n) @ (
        shrunk.reshape(q, k, n).transpose(1, 0, 2).reshape(k, q * n).T
    )
    D = Jet(
        sums.cross - (taken + taken.T) / 2,
        -np.einsum("jab,axby->jxy", E, gram),
        second + second.transpose(1, 0, 2, 3),
    )
    return logdet, D, M, N


def _trial_sums(sums: Sums, E: np.ndarray, M: np.ndarray, N: np.ndarray) -> Jet:
    """Jet of `1'V^-1 [1 X y]` in each trial, shape (1 + k, n_trials); 1 = Z (1, 0)'."""
    own = M[:, 0] * sums.weight
    N = np.concatenate([own[:, None], N], axis=1)

    def over_trials(parts: np.ndarray) -> np.ndarray:
        return np.add.reduceat(parts, sums.first, axis=-1)

    q, size = len(M), N.shape[1]
    once = over_trials(own[:, None, None] * N)
    twice = np.empty((q, q, q, q, size, len(sums.first)))
    for a in range(q):
        for c, d in CELLS[q]:
            twice[a, c, d] = twice[a, d, c] = over_trials((own[a] * M[c, d]) * N)
    second = np.einsum("jac,ldb,acdbxt->jlxt", E, E, twice)
    return Jet(
        over_trials(sums.weight * N[0]),
        -np.einsum("jab,abxt->jxt", E, once),
        second + second.transpose(1, 0, 2, 3),
    )


def _sweep_trials(D: Jet, R: Jet, phi: float | None) -> tuple[Jet, Jet]:
    """Jets of the change of the log-determinant, and of D, once trials have their intercepts.

    With `m = 1'V^-1 1`, `r = 1'V^-1 [X y]`: D less `g r r'` a trial, where `g = phi / (1 + phi m)`
    and log|V| grows by `log(1 + phi m)`; for fixed trials (phi infinite) `g = 1/m`, and
    log|X'V^-1 X| grows by `log m`.
    """
    m, m1, m2 = (part[..., 0, :] for part in _parts(R))
    r, r1, r2 = (part[..., 1:, :] for part in _parts(R))
    by_phi = np.zeros((len(m1), 1))
    if phi is None:
        s, g, grown = np.zeros_like(m), 1 / m, np.log(m)
    else:
        s = 1 / (1 + phi * m)
        g, grown = phi * s, -np.log(s)
        by_phi[-1] = 1.0
    by_m, mixed, both = _outer(m1, m1), _outer(m1, by_phi), _outer(by_phi, by_phi)
    mixed = mixed + mixed.transpose(1, 0, 2)
    g1 = s**2 * by_phi - g**2 * m1
    g2 = 2 * g**3 * by_m - g**2 * m2 - 2 * g * s**2 * mixed - 2 * m * s**3 * both
    change = Jet(
        grown.sum(),
        (g * m1 + m * s * by_phi).sum(axis=-1),
        (g * m2 - g**2 * by_m + s**2 * mixed - (m * s) ** 2 * both).sum(axis=-1),
    )
    crossed = np.einsum("jt,lat,bt->jlab", g1, r1, r)
    taken = Jet(
        np.einsum("t,at,bt->ab", g, r, r),
        np.einsum("jt,at,bt->jab", g1, r, r) + _symmetric(np.einsum("t,jat,bt->jab", g, r1, r)),
        np.einsum("jlt,at,bt->jlab", g2, r, r)
        + _symmetric(
            crossed
            + crossed.transpose(1, 0, 2, 3)
            + np.einsum("t,jlat,bt->jlab", g, r2, r)
            + np.einsum("t,jat,lbt->jlab", g, r1, r1)
        ),
    )
    return change, Jet(*(a - b for a, b in zip(_parts(D), _parts(taken), strict=True)))


def _outer(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Products of derivatives, (m, T) by (m, T) to (m, m, T)."""
    return one[:, None] * other[None]


def _symmetric(parts: np.ndarray) -> np.ndarray:
    return parts + parts.swapaxes(-1, -2)


def _log_determinant(D: Jet) -> Jet:
    """Jet of log|D|: `d = tr D^-1 D_j`, `d2 = tr D^-1 D_jl - tr D^-1 D_j D^-1 D_l`."""
    value = 2 * np.log(np.diag(np.linalg.cholesky(D.value))).sum()
    inverse = np.linalg.inv(D.value)
    moved = inverse @ D.first
    second = np.einsum("ab,jlba->jl", inverse, D.second) - np.einsum("jab,lba->jl", moved, moved)
    return Jet(value, np.trace(moved, axis1=1, axis2=2), second)


STARTS = (0.2, 1.0, 5.0, 25.0, 125.0)
"""Standard deviations of the random effects over the residual one."""

NEGLIGIBLE = 1e-5


@dataclass(frozen=True)
class SumsFit:
    """Where the likelihood is highest.

    Attributes
    ----------
    point : Point
    psi : ndarray, shape (q, q)
        Covariance of a participant's random effects.
    trial_variance : float or None
        Variance of the trials' intercepts, where they are random.
    n_variance_parameters : int
        With the residual variance.
    n_iterations : int
    """

    point: Point
    psi: np.ndarray
    trial_variance: float | None
    n_variance_parameters: int
    n_iterations: int


def fit_sums(sums: Sums, *, reml: bool) -> SumsFit:
    """Maximise the profiled likelihood over Cholesky factors of the relative covariances.

    Raises
    ------
    ValueError
        Where the scores do not vary beyond the model.
    ConvergenceError
        If no maximum was found; says what to do.
    """
    q = len(sums.design)
    terms = [ScaledTerm(RandomTerm(np.eye(q)), q)]
    if sums.trial_effect == "random":
        terms.append(ScaledTerm(RandomTerm(np.ones(1)), 1))

    def at(theta: np.ndarray) -> Derivatives:
        values, jacobian, curvature = components_of(terms, theta)
        point = evaluate(sums, values, reml=reml)
        hessian = jacobian.T @ point.hessian @ jacobian
        hessian = hessian + np.tensordot(point.gradient, curvature, axes=1)
        return point.llf, jacobian.T @ point.gradient, hessian

    starts = [np.concatenate([term.start(size) for term in terms]) for size in STARTS]
    try:
        found = maximise(at, max(starts, key=lambda start: at(start)[0]))
    except np.linalg.LinAlgError:
        raise CannotEstimate(
            "the scores do not vary beyond the model", "nothing is left to fit"
        ) from None
    except ConvergenceError:
        raise ConvergenceError(
            "the likelihood has no maximum that could be found",
            "the visits may not tell the variances apart. Use "
            "random='intercept', trial_effect='fixed' (or None), or fewer "
            "terms in the fixed part; or look for scores that repeat without any variation",
        ) from None
    theta = _without_negligible(at, found.theta)
    values = components_of(terms, theta)[0]
    point = evaluate(sums, values, reml=reml)
    lower = terms[0].factor(theta[: terms[0].n_parameters])
    return SumsFit(
        point=point,
        psi=point.sigma2 * lower @ lower.T,
        trial_variance=None if len(terms) == 1 else point.sigma2 * float(values[-1]),
        n_variance_parameters=len(theta) + 1,
        n_iterations=found.n_iterations,
    )


def _without_negligible(at: Callable[[np.ndarray], Derivatives], theta: np.ndarray) -> np.ndarray:
    """Parameters that are zero but for rounding set to zero, where the likelihood allows it."""
    without = np.where(np.abs(theta) < NEGLIGIBLE, 0.0, theta)
    return without if at(without)[0] >= at(theta)[0] - 1e-8 else theta
