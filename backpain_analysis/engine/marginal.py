"""Marginal likelihood of the mixed model given its variances, at many of them at once.

Given the standard deviations the model is linear and normal, so the posterior of the coefficients
is normal and the marginal likelihood is known exactly (Lindley & Smith 1972,
doi 10.1111/j.2517-6161.1972.tb00885.x).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backpain_analysis.engine.likelihood import Blocks

BY_HAND = 6
"""Rows of a block up to which its covariance is factored entry by entry."""


@dataclass(frozen=True)
class Conditional:
    """At G values of the variance parameters: marginal likelihood and the normal of the effects.

    Attributes
    ----------
    log_likelihood : ndarray, shape (G,)
        Effects integrated out.
    mean : ndarray, shape (G, p)
    cov : ndarray, shape (G, p, p)
    """

    log_likelihood: np.ndarray
    mean: np.ndarray
    cov: np.ndarray


class OneVariance:
    """Marginal likelihood of `V = S + psi K` at many psi at once.

    One generalised eigendecomposition a block makes V diagonal for every psi.

    Parameters
    ----------
    y, X : ndarray, shape (n,) and (n, p)
    S, K : sequence of ndarray, shape (B, m, m)
        Sampling covariance and its change with psi, a stack a batch of `blocks`.
    blocks : Blocks
    mean, precision : ndarray, shape (p,)
        Of the normal prior of the coefficients; precision 0 is flat.
    power : ndarray of shape (n,), optional
        Weight of each row's log-likelihood; equal within a block.

    Attributes
    ----------
    tail : float
        The likelihood falls as `psi**(-tail / 2)` for large psi.
    """

    def __init__(
        self,
        y: np.ndarray,
        X: np.ndarray,
        S: Sequence[np.ndarray],
        K: Sequence[np.ndarray],
        blocks: Blocks,
        mean: np.ndarray,
        precision: np.ndarray,
        power: np.ndarray | None = None,
    ) -> None:
        self.shift = np.linalg.lstsq(X, y, rcond=None)[0] if X.shape[1] else np.zeros(0)
        y = y - X @ self.shift
        self.prior = mean - self.shift, precision
        rows, responses, roots, powers, logdet = [], [], [], [], 0.0
        for own, sampling, change in zip(blocks.batches, S, K, strict=True):
            weight = np.ones(own.shape) if power is None else power[own]
            if sampling.shape[-1] == 1:
                scale = 1 / np.sqrt(sampling[:, :, 0])
                root = change[:, :, 0] * scale**2
                turned, response = X[own] * scale[..., None], y[own] * scale
                logdet -= float(2 * (weight * np.log(scale)).sum())
            else:
                lower = np.linalg.cholesky(sampling)
                inverse = np.linalg.inv(lower)
                root, vectors = np.linalg.eigh(inverse @ change @ inverse.transpose(0, 2, 1))
                turn = vectors.transpose(0, 2, 1) @ inverse
                turned, response = turn @ X[own], (turn @ y[own][..., None])[..., 0]
                diagonal = np.diagonal(lower, axis1=1, axis2=2)
                logdet += float(2 * (weight * np.log(diagonal)).sum())
            rows.append(turned.reshape(own.size, X.shape[1]))
            responses.append(response.ravel())
            roots.append(np.maximum(root.ravel(), 0.0))
            powers.append(weight.ravel())
        turned, response = np.concatenate(rows), np.concatenate(responses)
        self.roots, self.power = np.concatenate(roots), np.concatenate(powers)
        self.logdet = logdet
        p = turned.shape[1]
        free = self.roots > 0
        known = np.linalg.matrix_rank(np.vstack([turned[~free], np.diag(precision)])) if p else 0
        self.tail = float(self.power[free].sum() - (p - known))
        squares = (turned[:, :, None] * turned[:, None, :]).reshape(len(turned), p * p)
        products = np.column_stack([squares, turned * response[:, None], response**2])
        self.products = products * self.power[:, None]

    def __call__(self, psi: np.ndarray) -> Conditional:
        """At the components `psi`, shape (G,)."""
        growth = 1 + psi[:, None] * self.roots
        sums = (1 / growth) @ self.products
        logdet = self.logdet + np.log(growth) @ self.power
        return _conditional(sums, logdet, float(self.power.sum()), self.prior, self.shift)


class ManyVariances:
    """Marginal likelihood of `V = S + sum_j psi_j K_j` at many psi at once.

    Parameters are those of `OneVariance`, with K of shape (m, B, n, n) a batch.
    """

    def __init__(
        self,
        y: np.ndarray,
        X: np.ndarray,
        S: Sequence[np.ndarray],
        K: Sequence[np.ndarray],
        blocks: Blocks,
        mean: np.ndarray,
        precision: np.ndarray,
    ) -> None:
        self.shift = np.linalg.lstsq(X, y, rcond=None)[0]
        self.y, self.X = y - X @ self.shift, X
        self.S, self.K, self.blocks = S, K, blocks
        self.prior = mean - self.shift, precision

    def __call__(self, psi: np.ndarray) -> Conditional:
        """At the components `psi`, shape (G, m)."""
        both = np.column_stack([self.X, self.y])[None]
        K = [stack[None] for stack in self.K]
        return _at(psi, both, K, self.S, self.blocks, self.prior, self.shift)


def with_designs(
    psi: np.ndarray,
    X: np.ndarray,
    K: Sequence[np.ndarray],
    y: np.ndarray,
    S: Sequence[np.ndarray],
    blocks: Blocks,
    prior: tuple[np.ndarray, np.ndarray],
) -> Conditional:
    """Marginal likelihood where the model matrix and K differ from node to node.

    Parameters
    ----------
    psi : ndarray, shape (G, m)
    X : ndarray, shape (G, n, p)
    K : sequence of ndarray, shape (G or 1, m, B, n, n)
        A batch of `blocks` each.
    y, S, blocks
        As of `OneVariance`.
    prior : (ndarray, ndarray), shapes (p,)
        Means and precisions of the coefficients.
    """
    response = np.broadcast_to(y[:, None], (*X.shape[:2], 1))
    both = np.concatenate([X, response], axis=2)
    return _at(psi, both, K, S, blocks, prior, np.zeros(X.shape[2]))


def _at(
    psi: np.ndarray,
    both: np.ndarray,
    K: Sequence[np.ndarray],
    S: Sequence[np.ndarray],
    blocks: Blocks,
    prior: tuple[np.ndarray, np.ndarray],
    shift: np.ndarray,
) -> Conditional:
    """`both`: X and y side by side, shape (G or 1, n, p + 1)."""
    p = both.shape[-1] - 1
    sums, logdet = np.zeros((len(psi), p + 1, p + 1)), np.zeros(len(psi))
    for own, sampling, change in zip(blocks.batches, S, K, strict=True):
        turned, height = _whitened(psi, change, sampling, both[:, own])
        logdet += height
        flat = turned.reshape(len(psi), -1, p + 1)
        sums += flat.transpose(0, 2, 1) @ flat
    packed = np.column_stack([sums[:, :p, :p].reshape(len(psi), -1), sums[:, :p, p], sums[:, p, p]])
    return _conditional(packed, logdet, float(both.shape[1]), prior, shift)


def _whitened(
    psi: np.ndarray, change: np.ndarray, sampling: np.ndarray, both: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """`L^-1 both` with `V = S + sum_j psi_j K_j = L L'`, and the sums of log|V|.

    Small blocks are factored entry by entry for all nodes and blocks at once; their pivots are no
    smaller than those of S, as V - S is positive semidefinite. Shapes (G or 1, m,
    B, n, n) of `change`, (G or 1, B, n, p + 1) of `both`.
    """
    n = sampling.shape[-1]
    full = (len(psi), *both.shape[1:])
    if n > BY_HAND:
        whole = _weighted(psi, change.reshape(*change.shape[:2], -1))
        whole = whole.reshape(len(psi), -1, n, n)
        lower = np.linalg.cholesky(whole + sampling)
        logdet = 2 * np.log(np.diagonal(lower, axis1=2, axis2=3)).sum(axis=(1, 2))
        return np.linalg.solve(lower, np.broadcast_to(both, full)), logdet
    factor: list[list[np.ndarray]] = []
    rows: list[np.ndarray] = []
    logdet = np.zeros(len(psi))
    least = np.diagonal(np.linalg.cholesky(sampling), axis1=1, axis2=2) ** 2
    for i in range(n):
        own: list[np.ndarray] = []
        for j in range(i + 1):
            entry = _weighted(psi, change[..., i, j]) + sampling[:, i, j]
            for k in range(j):
                entry -= own[k] * (own[k] if i == j else factor[j][k])
            if i == j:
                own.append(np.sqrt(np.maximum(entry, least[:, i])))
            else:
                own.append(entry / factor[j][j])
        row = np.broadcast_to(both[:, :, i], (*full[:2], full[3])).copy()
        for k in range(i):
            row -= own[k][..., None] * rows[k]
        rows.append(row / own[i][..., None])
        logdet += 2 * np.log(own[i]).sum(axis=1)
        factor.append(own)
    return np.stack(rows, axis=2), logdet


def _weighted(psi: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Sums over m of psi (G, m) times change (G or 1, m, B): shape (G, B)."""
    if len(change) == 1:
        return psi @ np.ascontiguousarray(change[0])
    return np.einsum("gm,gmb->gb", psi, change)


def _conditional(
    sums: np.ndarray,
    logdet: np.ndarray,
    size: float,
    prior: tuple[np.ndarray, np.ndarray],
    shift: np.ndarray,
) -> Conditional:
    mean, precision = prior
    p = len(mean)
    count = len(sums)
    XWX = sums[:, : p * p].reshape(count, p, p)
    XWy, yWy = sums[:, p * p : -1], sums[:, -1]
    lower = np.linalg.cholesky(XWX + np.diag(precision))
    inverse = np.linalg.inv(lower)
    cov = inverse.transpose(0, 2, 1) @ inverse
    beta = np.einsum("gij,gj->gi", cov, XWy + precision * mean)
    rss = yWy - 2 * np.einsum("gi,gi->g", beta, XWy)
    rss += np.einsum("gi,gij,gj->g", beta, XWX, beta) + (beta - mean) ** 2 @ precision
    known = precision[precision > 0]
    log_likelihood = -0.5 * (logdet + rss + size * np.log(2 * np.pi))
    log_likelihood -= np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(axis=1)
    log_likelihood += 0.5 * (np.log(known).sum() + (p - len(known)) * np.log(2 * np.pi))
    return Conditional(log_likelihood, beta + shift, cov)
