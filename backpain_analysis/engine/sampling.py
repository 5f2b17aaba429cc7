"""Sampling covariance of several effect sizes of one trial under an assumed correlation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from backpain_analysis.evidence.faults import as_frame


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
    rho: float | None = None,
    outcome: str | ArrayLike | None = None,
    time: str | ArrayLike | None = None,
    phi: float | None = None,
    arms: tuple[str | ArrayLike, str | ArrayLike] | None = None,
    sizes: tuple[str | ArrayLike, str | ArrayLike] | None = None,
    data: pd.DataFrame | None = None,
) -> BlockCovariance:
    """Covariance of the effect sizes of a trial, from assumed or known correlations.

    The correlation of two rows of a trial is the product of

    - `rho` where their outcomes differ (of any two rows, where no `outcome` is given),
    - `phi` to the power of the time between them,
    - what their arms share: contrasts of two treatments against one control of the trial correlate
      by the control's part of their variances, 1/2 for arms of equal size.

    Sources: Hedges, Tipton & Johnson 2010 (doi 10.1002/jrsm.5); Pustejovsky & Tipton 2022
    (doi 10.1007/s11121-021-01246-3); Gleser & Olkin 2009 for shared controls; Trikalinos & Olkin
    2012 (doi 10.1177/1740774512465109) for times.

    Parameters
    ----------
    vi : str or array_like, shape (n_rows,)
        Sampling variances, or their column in `data`.
    cluster : str or array_like, shape (n_rows,)
        Trial of each row, or its column.
    rho : float, optional
        Assumed correlation between sampling errors of one trial, or between its outcomes.
    outcome, time : str or array_like, shape (n_rows,), optional
    phi : float, optional
        Correlation over one unit of time; with `time`.
    arms : pair of str or array_like, optional
        The arm and the arm that it is compared with, of each row.
    sizes : pair of str or array_like, optional
        Participants in the two; equal by default.
    data : DataFrame, optional

    Returns
    -------
    BlockCovariance

    Raises
    ------
    ValueError
        If variances are missing or not positive, correlations are missing, or make a matrix that
        is not positive definite.

    Examples
    --------
    >>> V = bp.sampling_covariance([1.0, 4.0, 2.0], ["a", "a", "b"], rho=0.5)
    >>> type(V).__name__
    'BlockCovariance'
    """
    data = None if data is None else as_frame(data)

    def column(given: str | ArrayLike) -> np.ndarray:
        if isinstance(given, str):
            if data is None or given not in data:
                raise ValueError(f"no column {given!r} in the data.")
            return data[given].to_numpy()
        return np.asarray(given)

    v, labels = column(vi).astype(float), column(cluster)
    if len(v) != len(labels):
        raise ValueError(f"{len(v)} variances for {len(labels)} cluster labels.")
    if pd.isna(labels).any():
        raise ValueError(f"the cluster is missing in row {int(np.argmax(pd.isna(labels)))}.")
    wrong = np.flatnonzero(~(v > 0) | ~np.isfinite(v))
    if len(wrong):
        named = ", ".join(f"row {row} ({v[row]})" for row in wrong)
        raise ValueError(f"sampling variances must be known and above zero: {named}.")
    if (time is None) != (phi is None):
        raise ValueError("give time and phi together.")
    if rho is None and phi is None and arms is None:
        raise ValueError("give rho, phi with time, or arms: what correlates the rows of a trial.")
    if outcome is not None and rho is None:
        raise ValueError("give rho, the correlation between outcomes.")
    codes = pd.factorize(labels)[0]
    order = np.argsort(codes, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(codes))[:-1])
    largest = max(len(group) for group in groups)
    least = -1 / max(largest - 1, 1) if outcome is None else -1.0
    if rho is not None and not least < rho < 1:
        raise ValueError(
            f"rho = {rho}: with up to {largest} effect sizes a trial it must lie between "
            f"{least:.3g} and 1."
        )
    if phi is not None and not 0 < phi < 1:
        raise ValueError(f"phi = {phi} must lie between 0 and 1.")
    kinds = None if outcome is None else pd.factorize(column(outcome))[0]
    times = None if time is None else column(time).astype(float)
    pairs = None if arms is None else [column(side) for side in arms]
    counts = [np.ones(len(v))] * 2
    if sizes is not None:
        counts = [column(side).astype(float) for side in sizes]
    matrices = []
    for rows in groups:
        correlation = np.ones((len(rows), len(rows)))
        if rho is not None:
            same = np.eye(len(rows), dtype=bool)
            same = same if kinds is None else kinds[rows][:, None] == kinds[rows]
            correlation = np.where(same, 1.0, rho)
        if times is not None and phi is not None:
            correlation = correlation * phi ** np.abs(np.subtract.outer(times[rows], times[rows]))
        if pairs is not None:
            sides = [side[rows] for side in pairs]
            correlation = correlation * _shared(sides, [count[rows] for count in counts])
        root = np.sqrt(v[rows])
        if len(rows) > 1 and np.linalg.eigvalsh(correlation)[0] <= 1e-10:
            raise ValueError(
                f"the rows of trial {labels[rows[0]]!r} repeat each other, or these correlations "
                "cannot be together: say in what they differ (outcome, time, arms)."
            )
        matrices.append(correlation * np.outer(root, root))
    return BlockCovariance(labels, tuple(matrices))


def _shared(sides: list[np.ndarray], sizes: list[np.ndarray]) -> np.ndarray:
    """Correlation of contrasts of means by the arms that they share."""
    total = np.zeros((len(sides[0]), len(sides[0])))
    for one, first in enumerate(sides):
        for two, second in enumerate(sides):
            sign = 1.0 if one == two else -1.0
            total += sign * (first[:, None] == second) / sizes[one][:, None]
    total = (total + total.T) / 2
    scale = np.sqrt(np.diag(total))
    return total / np.outer(scale, scale)


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


def merge(
    covariance: BlockCovariance | np.ndarray, blocks: Sequence | np.ndarray
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
