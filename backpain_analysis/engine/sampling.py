"""Sampling covariance of several effect sizes of one trial under an assumed correlation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


@dataclass(frozen=True)
class BlockCovariance:
    """A block-diagonal covariance matrix.

    Attributes
    ----------
    labels : ndarray, shape (n_rows,)
        Block of each row.
    matrices : tuple of ndarray
        One a block, in order of first appearance; rows in the order of the data.
    """

    labels: np.ndarray
    matrices: tuple[np.ndarray, ...]

    def to_dense(self) -> np.ndarray:
        """The full matrix, shape (n_rows, n_rows)."""
        dense = np.zeros((len(self.labels), len(self.labels)))
        codes = pd.factorize(self.labels)[0]
        for code, matrix in enumerate(self.matrices):
            rows = np.flatnonzero(codes == code)
            dense[np.ix_(rows, rows)] = matrix
        return dense


def sampling_covariance(
    vi: str | ArrayLike,
    cluster: str | ArrayLike,
    *,
    rho: float,
    data: pd.DataFrame | None = None,
) -> BlockCovariance:
    """Covariance `rho sqrt(v_i v_j)` between the effect sizes of a trial.

    Source: Hedges, Tipton & Johnson 2010 (doi 10.1002/jrsm.5); Pustejovsky & Tipton 2022
    (doi 10.1007/s11121-021-01246-3).

    Parameters
    ----------
    vi : str or array_like, shape (n_rows,)
        Sampling variances, or their column in `data`.
    cluster : str or array_like, shape (n_rows,)
        Trial of each row, or its column.
    rho : float
        Assumed correlation between sampling errors of one trial.
    data : DataFrame, optional

    Returns
    -------
    BlockCovariance

    Raises
    ------
    ValueError
        If variances are missing or not positive, or `rho` makes a matrix that is not positive
        definite.

    Examples
    --------
    >>> V = bp.sampling_covariance([1.0, 4.0, 2.0], ["a", "a", "b"], rho=0.5)
    >>> type(V).__name__
    'BlockCovariance'
    """
    v = np.asarray(data[vi] if isinstance(vi, str) else vi, dtype=float)
    labels = np.asarray(data[cluster] if isinstance(cluster, str) else cluster)
    if len(v) != len(labels):
        raise ValueError(f"{len(v)} variances for {len(labels)} cluster labels.")
    wrong = np.flatnonzero(~(v > 0) | ~np.isfinite(v))
    if len(wrong):
        rows = ", ".join(f"row {row} ({v[row]})" for row in wrong)
        raise ValueError(f"sampling variances must be known and above zero: {rows}.")
    codes = pd.factorize(labels)[0]
    order = np.argsort(codes, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(codes))[:-1])
    largest = max(len(group) for group in groups)
    if not (-1 / max(largest - 1, 1) < rho < 1):
        raise ValueError(
            f"rho = {rho}: with up to {largest} effect sizes a trial it must lie between "
            f"{-1 / max(largest - 1, 1):.3g} and 1."
        )
    return BlockCovariance(labels, tuple(_correlated(v[group], rho) for group in groups))


def blocks_of(matrix: np.ndarray) -> BlockCovariance:
    """A full covariance matrix by the groups of rows that are correlated.

    Raises
    ------
    ValueError
        If it is not symmetric or not finite.
    """
    if not np.isfinite(matrix).all():
        raise ValueError("the covariance V holds missing or infinite values.")
    if not np.allclose(matrix, matrix.T, rtol=1e-9, atol=0):
        raise ValueError("the covariance V is not symmetric.")
    labels = connected_components(coo_array(matrix != 0), directed=False)[1]
    rows = [np.flatnonzero(labels == label) for label in dict.fromkeys(labels)]
    return BlockCovariance(labels, tuple(matrix[np.ix_(own, own)] for own in rows))


def _correlated(v: np.ndarray, rho: float) -> np.ndarray:
    matrix = rho * np.sqrt(np.outer(v, v))
    matrix[np.diag_indices(len(v))] = v
    return matrix


def merge(
    covariance: BlockCovariance | np.ndarray, blocks: Sequence
) -> list[np.ndarray] | np.ndarray:
    """A covariance in the coarser (or equal) blocks of a model, as `mixed.fit` takes it."""
    if isinstance(covariance, np.ndarray):
        return covariance
    fine = pd.factorize(covariance.labels)[0]
    coarse = pd.factorize(np.asarray(blocks))[0]
    rows_of = np.split(np.argsort(coarse, kind="stable"), np.cumsum(np.bincount(coarse))[:-1])
    position = pd.Series(fine).groupby(fine).cumcount().to_numpy()
    merged = []
    for rows in rows_of:
        same = fine[rows][:, None] == fine[rows][None, :]
        matrix = np.zeros((len(rows), len(rows)))
        for code in dict.fromkeys(fine[rows]):
            inside = np.flatnonzero(fine[rows] == code)
            own = position[rows[inside]]
            matrix[np.ix_(inside, inside)] = covariance.matrices[code][np.ix_(own, own)]
        merged.append(np.where(same, matrix, 0.0))
    return merged
