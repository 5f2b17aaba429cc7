"""The likelihood of blocks of at most two rows, at many values of the components at once.

The inverse of a covariance of two rows is written down, and sums over blocks are products of
matrices. With `W = V^-1`, and R the rows `W X L` beside `Py`, where `L L' = (X'WX)^-1`, the
derivatives of `likelihood` are, by REML,

    dl_j   = -1/2 [tr(W K_j) - tr(F_j) + 2 q_j]
    d2l_jk =  1/2 [tr(W K_j W K_k) + <F_j, F_k> - q_j q_k] - tr(R' K_j W K_k R)

with `F_j = R' K_j R` and `q_j = y'P K_j P y`, its last cell. Both traces of four matrices are sums
over the cells of `(W/2 - RR') x W` times those of `K_j x K_k`, which do not change.

Where blocks have more rows, those on which neither effects nor their mean depend are first turned
away (`reduced`): a curve of two coefficients leaves two rows of each trial.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backpain_analysis.engine.likelihood import Batch, NotDefinite, cholesky, padded

MOST_ROWS = 2
SPARE = 1e-12
"""Rows of a block on which its model matrix depends by less than this share are spare."""
ROUNDING = 1e-13
"""Share of a variance that elimination must leave for the height to be more than rounding."""
BLUR = 1e-15
"""A height's rounding, over one and the weighted residuals, times the sum of each variance and each
coefficient's information over what elimination leaves of it."""


def reduced(batch: Batch, design: np.ndarray) -> Batch:
    """Blocks of as few rows as effects vary in, the same but for a constant of the likelihood.

    Rows are whitened and turned so that only the first depend on the random effects. The others
    are dropped where the model matrix does not depend on them either.

    Parameters
    ----------
    batch : Batch
    design : ndarray, shape (B, n, q)
        Of the only random effects, shared by all rows of a block.
    """
    q = design.shape[2]
    if batch.S.shape[-1] <= q:
        return batch
    half = np.linalg.inv(cholesky(batch.S))
    turns = np.linalg.qr(half @ design, mode="complete")[0].transpose(0, 2, 1) @ half
    X = turns @ batch.X
    size = np.abs(X).max(axis=2)
    if (size[:, q:].max(axis=1) > SPARE * size.max(axis=1)).any():
        return batch
    turns = turns[:, :q]
    K = turns @ batch.K @ turns.transpose(0, 2, 1)
    y = (turns @ batch.y[..., None])[..., 0]
    return Batch(y, X[:, :q], np.tile(np.eye(q), (len(X), 1, 1)), K)


def profiled(
    gram: np.ndarray, logdet: np.ndarray, blur: np.ndarray, outside: np.ndarray, reml: bool
) -> np.ndarray:
    """Heights of many points, less what rounding may have added, coefficients eliminated.

    Parameters
    ----------
    gram : ndarray, shape (p + 1, p + 1, g)
        `(X y)' V^-1 (X y)` of each point; used up.
    logdet : ndarray, shape (g,)
    blur : ndarray, shape (g,)
        The sum of each variance over what elimination leaves of it.
    outside : ndarray, shape (g,)
        Points outside the domain.

    Returns
    -------
    ndarray, shape (g,)
        Minus infinity outside the domain.
    """
    p = len(gram) - 1
    information = np.zeros_like(logdet)
    whole = [gram[j, j].copy() for j in range(p)]
    for j in range(p):
        pivot = gram[j, j]
        information += np.log(pivot)
        blur = blur + whole[j] / pivot
        share = gram[j, j + 1 :] / pivot
        gram[j + 1 :, j + 1 :] -= share[:, None] * gram[j, j + 1 :]
    rss = gram[p, p]
    found = -0.5 * (logdet + rss + reml * information) - BLUR * blur * (1 + rss)
    outside = outside | ~(rss >= 0) | ~np.isfinite(found + information)
    return np.where(outside, -np.inf, found)


@dataclass(frozen=True)
class FewRows:
    """One batch of B blocks of two rows; of one row, padded.

    Attributes
    ----------
    S : ndarray, shape (B 4,)
    K : ndarray, shape (m, B 4)
    own : ndarray, shape (B, 2, p + 1)
        The columns of X, and y.
    crossed : ndarray, shape ((p + 1)^2, B 4)
        Products of each two of them, by cell.
    pairs : ndarray, shape (B 16, m^2)
        Of each block the products of cells of `K_j` and of `K_k`.
    """

    S: np.ndarray
    K: np.ndarray
    own: np.ndarray
    crossed: np.ndarray
    pairs: np.ndarray

    @classmethod
    def of(cls, batch: Batch) -> FewRows:
        if batch.S.shape[-1] < MOST_ROWS:
            (batch,) = padded([batch], MOST_ROWS)
        K = batch.K
        pairs = np.einsum("jbxy,kbzw->bwxyzjk", K, K).reshape(-1, len(K) ** 2)
        own = np.concatenate([batch.X, batch.y[..., None]], axis=2)
        crossed = np.einsum("bxu,byv->uvbxy", own, own).reshape(own.shape[2] ** 2, -1)
        return cls(batch.S.ravel(), K.reshape(len(K), -1), own, crossed, pairs)

    def heights(self, components: np.ndarray, *, reml: bool) -> np.ndarray:
        """As `several_variances.Problem.heights`, of so few points that memory holds them.

        Parameters
        ----------
        components : ndarray, shape (g, m)
        """
        k = self.own.shape[2]
        W, det, lost = self._inverse(components)
        outside = np.isnan(lost)
        gram = (self.crossed @ W.reshape(len(W), -1).T).reshape(k, k, -1)
        return profiled(gram, np.log(det).sum(axis=1), lost + len(self.own), outside, reml)

    def derivatives(
        self, components: np.ndarray, *, reml: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The log-likelihood, but for a constant, and its first two derivatives.

        Parameters
        ----------
        components : ndarray, shape (c, m)

        Returns
        -------
        tuple of ndarray, shapes (c,), (c, m) and (c, m, m)
            Values outside the domain are NaN.
        """
        B, _, k = self.own.shape
        c, m = len(components), len(self.K)
        W, det, _ = self._inverse(components)
        own = self.own.reshape(-1, k)
        weighted = (W @ self.own).reshape(c, -1, k)
        gram = own.T @ weighted
        lower, told = _lower(gram[:, :-1, :-1])
        inverse = np.linalg.inv(lower)
        turn = np.zeros((c, k, k))
        turn[:, :-1, :-1] = inverse.transpose(0, 2, 1)
        turn[:, :-1, -1:] = -turn[:, :-1, :-1] @ (inverse @ gram[:, :-1, -1:])
        turn[:, -1, -1] = 1.0
        R = weighted @ turn
        rss = ((own @ turn[:, :, -1:])[..., 0] * R[..., -1]).sum(axis=1)
        value = -0.5 * (np.log(det).sum(axis=1) + rss)
        rows = R.reshape(c, B, 2, k)
        outer = rows[:, :, :, None, :, None] * rows[:, :, None, :, None, :]
        F = self.K @ outer.reshape(c, -1, k * k)
        quadratic = F[:, :, -1]
        trace = W.reshape(c, -1) @ self.K.T
        used = rows if reml else rows[..., -1:]
        bent = (0.5 * W - used @ used.transpose(0, 1, 3, 2)).reshape(c, B, 2, 2, 1, 1)
        bent = bent * W.reshape(c, B, 1, 1, 2, 2)
        hessian = (bent.reshape(c, -1) @ self.pairs).reshape(c, m, m)
        if reml:
            value -= np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(axis=1)
            trace = trace - F[:, :, : -1 : k + 1].sum(axis=2)
            both = quadratic[:, :, None] * quadratic[:, None]
            hessian += 0.5 * (F @ F.transpose(0, 2, 1) - both)
        else:
            crossed = F[:, :, k - 1 : -1 : k]
            hessian += crossed @ crossed.transpose(0, 2, 1)
        return np.where(told, value, np.nan), -0.5 * (trace - quadratic), hessian

    def _inverse(self, components: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of many points the inverse covariance of each block, its determinant, and the sum of
        variances over what elimination leaves of them: all NaN outside the domain.
        """
        V = (components @ self.K + self.S).reshape(len(components), -1, 2, 2)
        one, both, two = V[..., 0, 0], V[..., 0, 1], V[..., 1, 1]
        whole = one * two
        det = whole - both * both
        sound = det > ROUNDING * whole
        if not sound.all():
            det = np.where(sound, det, np.nan)
        W = np.empty_like(V)
        W[..., 0, 0], W[..., 1, 1] = two / det, one / det
        W[..., 0, 1] = W[..., 1, 0] = -both / det
        return W, det, (whole / det).sum(axis=1)


def _lower(information: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower-triangular factors of stacked matrices, and which are positive definite."""
    told = np.ones(len(information), dtype=bool)
    try:
        return cholesky(information), told
    except NotDefinite:
        for number, own in enumerate(information):
            try:
                cholesky(own)
            except NotDefinite:
                told[number] = False
        eye = np.eye(information.shape[-1])
        return cholesky(np.where(told[:, None, None], information, eye)), told
