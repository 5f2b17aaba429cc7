"""Ordinary least squares of a score on a curve of dose, other variables swept out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import scipy.linalg
from formulaic import model_matrix


class Unfitted(ValueError):
    """A trial cannot estimate the curve; the message is the reason."""


def scaled(table: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """Columns as a matrix with a column of ones: numbers centred, categories as indicators.

    Every column but the first has mean zero and root mean square one, so that ranks do not
    depend on units.
    """
    formula = " + ".join(["1", *(f"`{name}`" for name in names)])
    matrix = model_matrix(formula, table).to_numpy(dtype=float)
    centred = matrix[:, 1:] - matrix[:, 1:].mean(axis=0)
    spread = np.sqrt(np.mean(centred**2, axis=0))
    return np.column_stack([matrix[:, 0], centred / np.where(spread > 0, spread, 1)])


def regress(
    y: np.ndarray, basis: np.ndarray, nuisance: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Coefficients of `basis` in the regressions of some y on it and on `nuisance`.

    Frisch, Waugh & Lovell: y and the basis are replaced by their residuals from the nuisance
    columns, which may repeat one another.

    Parameters
    ----------
    y : ndarray, shape (n, m)
        A column a regression.
    basis : ndarray, shape (n, k)
    nuisance : ndarray, shape (n, q)
        With the intercept.

    Returns
    -------
    estimate : ndarray, shape (m, k)
    cov : ndarray, shape (m, k, k)
        `s2 (B'B)^-1`, B the residual basis.
    df : float
        n less the rank of all columns.

    Raises
    ------
    Unfitted
    """
    k = basis.shape[1]
    distinct = len(np.unique(basis, axis=0))
    if distinct <= k:
        noun = "dose" if distinct == 1 else "different doses"
        raise Unfitted(f"{distinct} {noun}, too few for {k} coefficient{'s' * (k > 1)}")
    space = scipy.linalg.orth(nuisance, rcond=1e-9)
    df = len(y) - space.shape[1] - k
    if df < 1:
        raise Unfitted(f"{len(y)} participants are too few for {space.shape[1] + k} coefficients")
    scale = np.linalg.norm(basis - basis.mean(axis=0), axis=0)
    if np.any(scale <= 1e-9 * np.linalg.norm(basis, axis=0)):
        raise Unfitted("the moderator does not vary")
    B, e = (v - space @ (space.T @ v) for v in (basis / scale, y))
    U, singular, Vt = np.linalg.svd(B, full_matrices=False)
    if singular[-1] < 1e-6:
        raise Unfitted("dose cannot be told apart from the covariates")
    estimate = (Vt.T / singular) @ (U.T @ e)
    s2 = np.sum((e - B @ estimate) ** 2, axis=0) / df
    if np.any(s2 <= 1e-20 * np.mean(y**2, axis=0)):
        raise Unfitted("the scores do not vary beyond the model")
    cov = (Vt.T / singular**2) @ Vt / np.outer(scale, scale)
    return estimate.T / scale, s2[:, None, None] * cov, float(df)
