"""Log-likelihood of the linear mixed model with known sampling covariance, by batches of blocks.

With `V = S + sum_j psi_j K_j` block-diagonal and `P = W - W X (X'W X)^-1 X'W`, `W = V^-1`, the
first and second derivatives by the components `psi` are (Harville 1977,
doi 10.1080/01621459.1977.10480998; Searle, Casella & McCulloch 1992, ch. 6)

    REML   dl  = -1/2 [tr(P K_j) - y'P K_j P y]
           d2l =  1/2 tr(P K_j P K_k) - y'P K_j P K_k P y
    ML     the same with tr(W K_j) and tr(W K_j W K_k) for the traces (beta profiled out).

Every sum runs over stacks of equal-sized blocks: cost and memory are linear in the number of
blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from backpain_analysis.errors import ConvergenceError

BLURRED = 1e-12
"""What is smaller, over the largest of its kind, is rounding."""


@dataclass(frozen=True)
class Blocks:
    """Which rows belong together.

    Attributes
    ----------
    labels : ndarray, shape (n_blocks,)
        Block labels in order of first appearance.
    batches : tuple of ndarray, each of shape (n_blocks_of_this_size, size)
        Row numbers of the blocks, blocks of equal size together, so that the linear algebra
        runs on stacks of equal matrices.
    members : tuple of ndarray
        For each batch, the position in `labels` of each of its blocks.
    """

    labels: np.ndarray
    batches: tuple[np.ndarray, ...]
    members: tuple[np.ndarray, ...]

    @property
    def n_rows(self) -> int:
        return sum(batch.size for batch in self.batches)

    def split(self, values: np.ndarray) -> list[np.ndarray]:
        """Row-wise `values` (first axis: rows) as one stacked array a batch."""
        return [values[batch] for batch in self.batches]


def group(labels: Sequence | np.ndarray) -> Blocks:
    """Group rows that carry the same label; rows need not be adjacent.

    Parameters
    ----------
    labels : array_like, shape (n_rows,)

    Returns
    -------
    Blocks
    """
    codes, uniques = pd.factorize(np.asarray(labels), use_na_sentinel=False)
    order = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    batches, members = [], []
    for size in np.unique(sizes):
        which = np.flatnonzero(sizes == size)
        batches.append(order[starts[which][:, None] + np.arange(size)])
        members.append(which)
    return Blocks(np.asarray(uniques), tuple(batches), tuple(members))


def singletons(n_rows: int) -> Blocks:
    """Every row a block of its own."""
    rows = np.arange(n_rows)
    return Blocks(rows, (rows[:, None],), (rows,))


def stack_covariance(
    covariance: np.ndarray | Sequence[np.ndarray], blocks: Blocks
) -> list[np.ndarray]:
    """Known sampling covariance as one stack of matrices a batch.

    Parameters
    ----------
    covariance : ndarray of shape (n_rows,), or sequence of n_blocks square ndarrays
        Sampling variances of independent rows, or one covariance matrix a block, in the order
        of `blocks.labels` and of the rows within each block.

    Returns
    -------
    list of ndarray, each of shape (n_blocks_of_this_size, size, size)

    Raises
    ------
    ValueError
        If the shapes do not fit the blocks.
    """
    if isinstance(covariance, np.ndarray) and covariance.ndim == 1:
        if len(covariance) != blocks.n_rows:
            raise ValueError(
                f"{len(covariance)} sampling variances for {blocks.n_rows} rows: give one a row."
            )
        stacks = []
        for batch in blocks.batches:
            size = batch.shape[1]
            stack = np.zeros((*batch.shape, size))
            stack[:, np.arange(size), np.arange(size)] = covariance[batch]
            stacks.append(stack)
        return stacks
    if len(covariance) != len(blocks.labels):
        raise ValueError(
            f"{len(covariance)} covariance matrices for {len(blocks.labels)} trials: "
            "give one a trial."
        )
    stacks = []
    for batch, members in zip(blocks.batches, blocks.members, strict=True):
        size = batch.shape[1]
        for member in members:
            if np.shape(covariance[member]) != (size, size):
                raise ValueError(
                    f"trial {blocks.labels[member]!r} has {size} rows but a covariance of shape "
                    f"{np.shape(covariance[member])}: give {size} x {size}."
                )
        stacks.append(np.stack([np.asarray(covariance[m], dtype=float) for m in members]))
    return stacks


class NotDefinite(np.linalg.LinAlgError):
    """These variance components are outside the domain of the likelihood."""


def cholesky(matrices: np.ndarray) -> np.ndarray:
    """Lower-triangular factors of a stack of matrices.

    Raises
    ------
    NotDefinite
        If one of them is not positive definite.
    """
    try:
        return np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        raise NotDefinite("not positive definite") from None


@dataclass(frozen=True)
class Batch:
    """Blocks of one size: stacked y (B, n), X (B, n, p), S (B, n, n) and K (m, B, n, n).

    Determinants and traces count `times`: see `gathered`.
    """

    y: np.ndarray
    X: np.ndarray
    S: np.ndarray
    K: np.ndarray
    times: float = 1.0

    @property
    def product(self):
        """Matrix product of stacks; for 1 x 1 blocks the (faster) elementwise one."""
        return np.multiply if self.S.shape[-1] == 1 else np.matmul

    def covariance(self, psi: np.ndarray) -> np.ndarray:
        """Marginal covariance, shape (B, n, n)."""
        V = self.S
        for component, K in zip(psi, self.K, strict=True):
            V = V + component * K
        return V

    def precision(self, psi: np.ndarray) -> tuple[np.ndarray, float]:
        """Inverse of the marginal covariance and the sum of its log-determinants.

        Raises
        ------
        NotDefinite
            If a block's covariance is not positive definite.
        """
        V = self.covariance(psi)
        if V.shape[-1] == 1:
            if not np.all(V > 0):
                raise NotDefinite("not positive definite")
            return 1 / V, float(np.log(V).sum())
        lower = cholesky(V)
        logdet = 2 * np.log(np.diagonal(lower, axis1=1, axis2=2)).sum()
        inverse = np.linalg.inv(lower)
        return np.matmul(inverse.transpose(0, 2, 1), inverse), float(logdet)


def solved(information: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Solutions of stacks of normal equations.

    Raises
    ------
    NotDefinite
        If the information of one of them is singular.
    """
    try:
        return np.linalg.solve(information, sides)
    except np.linalg.LinAlgError:
        if information.shape[-1] != information.shape[-2]:
            raise
        raise NotDefinite("singular information") from None


def too_singular() -> ConvergenceError:
    """What a user is told where no value of the likelihood can be computed."""
    return ConvergenceError(
        "the sampling covariance is too close to singular for its likelihood to be computed",
        "leave out trials with extreme variances",
    )


def padded(batches: list[Batch], size: int = 1, n_blocks: int = 0) -> list[Batch]:
    """The same blocks as one batch: smaller ones get further rows of variance one and no weight.

    The likelihood is the same but for a constant. Of few blocks it takes a fraction of the time.

    Parameters
    ----------
    batches : list of Batch
    size, n_blocks : int
        Rows of a block, and blocks, at least; further blocks are all such rows.
    """
    size = max(size, *(batch.S.shape[-1] for batch in batches))
    m, p = len(batches[0].K), batches[0].X.shape[-1]
    n_blocks = max(n_blocks, sum(len(batch.y) for batch in batches))
    y, X = np.zeros((n_blocks, size)), np.zeros((n_blocks, size, p))
    S, K = np.tile(np.eye(size), (n_blocks, 1, 1)), np.zeros((m, n_blocks, size, size))
    first = 0
    for batch in batches:
        n = batch.S.shape[-1]
        own = slice(first, first + len(batch.y))
        y[own, :n], X[own, :n] = batch.y, batch.X
        S[own, :n, :n], K[:, own, :n, :n] = batch.S, batch.K
        first = own.stop
    return [Batch(y, X, S, K)]


def gathered(batch: Batch) -> Batch:
    """As few blocks as have the same likelihood, where all blocks share S and K; else the same.

    X and y then enter by sums over blocks only, of products of two of a block's numbers. So do as
    many blocks as these numbers have dimensions (by Gram and Schmidt, the largest first).
    """
    for own in (batch.S, *batch.K):
        if (np.ptp(own, axis=0) > BLURRED * np.abs(own).max()).any():
            return batch
    own = np.concatenate([batch.X, batch.y[..., None]], axis=2)
    scale = np.sqrt(np.square(own).sum(axis=(0, 1)))
    left = (own / np.where(scale > 0, scale, 1.0)).reshape(len(own), -1)
    found: list[np.ndarray] = []
    while len(found) < len(own):
        sizes = np.square(left).sum(axis=0)
        largest = int(np.argmax(sizes))
        if sizes[largest] < BLURRED**2:
            break
        unit = left[:, largest] / np.sqrt(sizes[largest])
        found.append(unit @ left)
        left = left - np.outer(unit, found[-1])
    n = len(found)
    if not 0 < n < len(own):
        return batch
    few = np.reshape(found, (n, *own.shape[1:])) * scale
    return Batch(few[..., -1], few[..., :-1], batch.S[:n], batch.K[:, :n], len(own) / n)


@dataclass(frozen=True)
class Point:
    """The likelihood at one value of the components."""

    llf: float
    beta: np.ndarray
    cov_beta: np.ndarray
    rss: float
    gradient: np.ndarray | None = None
    hessian: np.ndarray | None = None


def evaluate(
    batches: list[Batch], psi: np.ndarray, *, reml: bool, derivatives: bool = False
) -> Point:
    """Log-likelihood, fixed effects profiled out, at the components `psi`.

    Parameters
    ----------
    batches : list of Batch
    psi : ndarray, shape (m,)
    reml : bool
        Restricted likelihood (with X orthonormal this is metafor's, which includes
        `1/2 log|X'X|`), else full likelihood.
    derivatives : bool
        Whether to return gradient (m,) and Hessian (m, m).

    Raises
    ------
    NotDefinite
        If a block's covariance, or X'WX, is not positive definite.
    """
    p = batches[0].X.shape[-1]
    n_rows = sum(batch.y.size * batch.times for batch in batches)
    logdet = 0.0
    XWX, XWy = np.zeros((p, p)), np.zeros(p)
    parts = []
    for batch in batches:
        W, batch_logdet = batch.precision(psi)
        A = batch.product(W, batch.X)
        a = batch.product(W, batch.y[..., None])[..., 0]
        flat = A.reshape(-1, p)
        XWX += batch.X.reshape(-1, p).T @ flat
        XWy += flat.T @ batch.y.ravel()
        logdet += batch_logdet * batch.times
        parts.append((batch, W, A, a))
    lower = cholesky(XWX)
    inverse = np.linalg.inv(lower)
    C = inverse.T @ inverse
    beta = C @ XWy
    rss = 0.0
    residuals = []
    for batch, _, A, a in parts:
        Py = a - A @ beta
        residuals.append(Py)
        rss += float((batch.y - batch.X @ beta).ravel() @ Py.ravel())
    llf = -0.5 * (logdet + rss + (n_rows - p * reml) * np.log(2 * np.pi))
    if reml:
        llf -= float(np.log(np.diag(lower)).sum())
    if not derivatives:
        return Point(llf, beta, C, rss)
    gradient, hessian = _derivatives(parts, residuals, C, len(psi), reml)
    return Point(llf, beta, C, rss, gradient, hessian)


def _derivatives(
    parts: list, residuals: list[np.ndarray], C: np.ndarray, m: int, reml: bool
) -> tuple[np.ndarray, np.ndarray]:
    p = len(C)
    trace, quadratic = np.zeros(m), np.zeros(m)
    trace2, cross, quadratic2 = np.zeros((m, m)), np.zeros((m, m)), np.zeros((m, m))
    B, c = np.zeros((m, p, p)), np.zeros((m, p))
    for (batch, W, A, _), Py in zip(parts, residuals, strict=True):
        K, flat = batch.K, A.reshape(-1, p)
        WK = batch.product(W, K)
        KPy = batch.product(K, Py[..., None])[..., 0].reshape(m, -1)
        WKPy = batch.product(W, KPy.reshape(m, *Py.shape)[..., None]).reshape(m, -1)
        trace += batch.times * np.einsum("jbrr->j", WK)
        quadratic += KPy @ Py.ravel()
        both = WK.reshape(m, -1) @ WK.transpose(0, 1, 3, 2).reshape(m, -1).T
        trace2 += batch.times * both
        quadratic2 += KPy @ WKPy.T
        c += KPy @ flat
        if reml:
            KA = batch.product(K, A)
            WKA = batch.product(W, KA)
            cross += (KA.reshape(-1, p) @ C).reshape(m, -1) @ WKA.reshape(m, -1).T
            B += flat.T @ KA.reshape(m, -1, p)
    quadratic2 -= c @ C @ c.T
    if reml:
        CB = C @ B
        trace -= np.einsum("jrr->j", CB)
        trace2 += -cross - cross.T + CB.reshape(m, -1) @ CB.transpose(0, 2, 1).reshape(m, -1).T
    return -0.5 * (trace - quadratic), 0.5 * trace2 - quadratic2
