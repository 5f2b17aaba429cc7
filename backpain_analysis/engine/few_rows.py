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

from collections.abc import Sequence
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


CELLS = np.array([[[1.0, 0], [0, 0]], [[0, 1], [1, 0]], [[0, 0], [0, 1]]])
"""Where the three cells of a symmetric block stand: the first, those beside it, and the last."""


@dataclass(frozen=True)
class FewRows:
    """One batch of B blocks of two rows; of one row, padded. Of each block three cells are held.

    Or such batches of several problems: then all shapes, and those of `heights` and `derivatives`,
    begin with their number.

    Attributes
    ----------
    S : ndarray, shape (3 B,)
    K : ndarray, shape (m, 3 B)
    own : ndarray, shape (p + 1, 2, B)
        The columns of X, and y.
    crossed : ndarray, shape ((p + 1)^2, 3 B)
        Products of each two of them, by cell.
    twice : ndarray, shape (3 B, m)
        Cells of `K_j`, those beside the first counted twice.
    pairs : ndarray, shape (9 B, m^2)
        Of each block the products of cells of `K_j` and of `K_k`.
    """

    S: np.ndarray
    K: np.ndarray
    own: np.ndarray
    crossed: np.ndarray
    twice: np.ndarray
    pairs: np.ndarray

    @classmethod
    def of(cls, batch: Batch, n_blocks: int = 0) -> FewRows:
        """With blocks that say nothing where there are fewer than so many."""
        if batch.S.shape[-1] < MOST_ROWS or len(batch.y) < n_blocks:
            (batch,) = padded([batch], MOST_ROWS, n_blocks)
        m, B, *_ = batch.K.shape
        row, column = (0, 0, 1), (0, 1, 1)
        S = batch.S[:, row, column].T.ravel()
        K = batch.K[:, :, row, column].swapaxes(1, 2).reshape(m, -1)
        twice = np.repeat((1.0, 2.0, 1.0), B) * K
        turned = CELLS[:, None, None] @ batch.K
        pairs = np.einsum("ejbxy,fkbyx->efbjk", turned, turned).reshape(-1, m * m)
        own = np.concatenate([batch.X, batch.y[..., None]], axis=2).transpose(2, 1, 0).copy()
        outer = own[:, None, :, None] * own[:, None]
        beside = outer[:, :, 0, 1] + outer[:, :, 1, 0]
        crossed = np.concatenate([outer[:, :, 0, 0], beside, outer[:, :, 1, 1]], axis=2)
        return cls(S, K, own, crossed.reshape(len(own) ** 2, -1), twice.T.copy(), pairs)

    @classmethod
    def stacked(cls, batches: Sequence[Batch]) -> FewRows:
        """Several problems of as many components and coefficients."""
        most = max(len(batch.y) for batch in batches)
        parts = [vars(cls.of(batch, most)).values() for batch in batches]
        return cls(*(np.stack(own) for own in zip(*parts, strict=True)))

    def only(self, chosen: np.ndarray) -> FewRows:
        """Some of several problems."""
        return FewRows(*(part[chosen] for part in vars(self).values()))

    def heights(self, components: np.ndarray, *, reml: bool) -> np.ndarray:
        """As `several_variances.Problem.heights`, of so few points that memory holds them.

        Parameters
        ----------
        components : ndarray, shape (g, m)
        """
        *_, k, _, B = self.own.shape
        W, det, lost = self._inverse(components)
        gram = self.crossed @ W.reshape(*W.shape[:-3], 3 * B, -1)
        gram = np.moveaxis(gram, -2, 0).reshape(k, k, *lost.shape)
        return profiled(gram, np.log(det).sum(axis=-2), lost + B, np.isnan(lost), reml)

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
        *_, k, _, B = self.own.shape
        *many, m = components.shape
        W, det, _ = self._inverse(components)
        W = np.moveaxis(W, -1, -3).copy()
        columns = self.own[..., None, :, :, :]
        weighted = (
            W[..., None, :2, :] * columns[..., :1, :] + W[..., None, 1:, :] * columns[..., 1:, :]
        )
        weighted = weighted.reshape(*many, k, -1)
        own = columns.reshape(*columns.shape[:-2], -1)
        gram = weighted @ own.swapaxes(-1, -2)
        lower, told = _lower(gram[..., :-1, :-1])
        inverse = np.linalg.inv(lower)
        turn = np.zeros((*many, k, k))
        turn[..., :-1, :-1] = inverse
        turn[..., -1:, :-1] = -(inverse @ gram[..., :-1, -1:]).swapaxes(-1, -2) @ inverse
        turn[..., -1, -1] = 1.0
        R = turn @ weighted
        rss = ((turn[..., -1:, :] @ own)[..., 0, :] * R[..., -1, :]).sum(axis=-1)
        value = -0.5 * (np.log(det).sum(axis=-2) + rss)
        one, two = R[..., :B], R[..., B:]
        outer = np.empty((*many, k, k, 3, B))
        for cell, (left, right) in enumerate([(one, one), (one, two), (two, two)]):
            np.multiply(left[..., :, None, :], right[..., None, :, :], out=outer[..., cell, :])
        F = outer.reshape(*many[:-1], -1, 3 * B) @ self.twice
        F = F.reshape(*many, k, k, m)
        F = (0.5 * (F + F.swapaxes(-2, -3))).reshape(*many, -1, m)
        quadratic = F[..., -1, :]
        trace = W.reshape(*many, -1) @ self.twice
        outer = outer.reshape(*many, -1, 3, B)
        used = outer[..., :: k + 1, :, :] if reml else outer[..., -1:, :, :]
        bent = (0.5 * W - used.sum(axis=-3))[..., None, :] * W[..., None, :, :]
        hessian = (bent.reshape(*many, -1) @ self.pairs).reshape(*many, m, m)
        if reml:
            value -= np.log(np.diagonal(lower, axis1=-2, axis2=-1)).sum(axis=-1)
            trace = trace - F[..., : -1 : k + 1, :].sum(axis=-2)
            both = quadratic[..., :, None] * quadratic[..., None, :]
            hessian += 0.5 * (F.swapaxes(-1, -2) @ F - both)
        else:
            crossed = F[..., k - 1 : -1 : k, :]
            hessian += crossed.swapaxes(-1, -2) @ crossed
        return np.where(told, value, np.nan), -0.5 * (trace - quadratic), hessian

    def _inverse(self, components: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of g points the inverse covariance of each block, shape (3, B, g), its determinant, and
        the sum of variances over what elimination leaves of them: all NaN outside the domain.
        """
        V = self.K.swapaxes(-1, -2) @ components.swapaxes(-1, -2)
        V += self.S[..., None]
        V = V.reshape(*V.shape[:-2], 3, -1, V.shape[-1])
        one, both, two = (V[..., cell, :, :] for cell in range(3))
        whole = one * two
        det = whole - both * both
        sound = det > ROUNDING * whole
        if not sound.all():
            det = np.where(sound, det, np.nan)
        W = np.empty_like(V)
        for cell, cofactor in enumerate((two, -both, one)):
            np.divide(cofactor, det, out=W[..., cell, :, :])
        return W, det, (whole / det).sum(axis=-2)


def _lower(information: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower-triangular factors of stacked matrices, and which are positive definite."""
    told = np.ones(information.shape[:-2], dtype=bool)
    try:
        return cholesky(information), told
    except NotDefinite:
        for place in np.ndindex(told.shape):
            try:
                cholesky(information[place])
            except NotDefinite:
                told[place] = False
        eye = np.eye(information.shape[-1])
        return cholesky(np.where(told[..., None, None], information, eye)), told
