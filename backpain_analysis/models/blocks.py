"""Rows grouped into independent blocks (one block a trial), batched by size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd


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
