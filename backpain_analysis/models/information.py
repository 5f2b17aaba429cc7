"""Covariance of parameters from the information of a fitted model."""

from __future__ import annotations

import numpy as np

from backpain_analysis.models.mixed import MixedFit


def times_precision(model: MixedFit, matrix: np.ndarray) -> np.ndarray:
    """`V^-1` of a fitted model times the rows of `matrix`, shape (n_rows, k)."""
    product = np.empty_like(matrix)
    for rows, W in zip(model.blocks.batches, model.precision, strict=True):
        product[rows] = W @ matrix[rows]
    return product


def inverse_information(J: np.ndarray, weighted: np.ndarray, fault: str) -> np.ndarray:
    """`(J' V^-1 J)^-1` for any units of the columns.

    Parameters
    ----------
    J, weighted : ndarray, shape (n_rows, k)
        Derivatives of the mean by the parameters, and `V^-1 J`.
    fault : str
        What to say if the data do not tell the parameters apart.

    Raises
    ------
    ValueError
        With that text.
    """
    information = J.T @ weighted
    scale = np.sqrt(np.diag(information))
    if np.any(scale == 0) or np.linalg.cond(information / np.outer(scale, scale)) > 1e13:
        raise ValueError(fault)
    return np.linalg.inv(information / np.outer(scale, scale)) / np.outer(scale, scale)
