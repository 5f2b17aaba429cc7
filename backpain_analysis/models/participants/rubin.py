"""Rubin's rules: one estimate, with all its uncertainty, from several completed data sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Pooled:
    """Estimates over imputations.

    Attributes
    ----------
    params : ndarray, shape (p,)
        Mean over the imputations.
    cov : ndarray, shape (p, p)
        Total covariance, `within + (1 + 1/m) between`.
    within, between : ndarray, shape (p, p)
    df : ndarray, shape (p,)
        Degrees of freedom of Barnard & Rubin.
    riv : ndarray, shape (p,)
        Relative increase in variance due to missing values.
    fmi : ndarray, shape (p,)
        Fraction of missing information.
    m : int
    """

    params: np.ndarray
    cov: np.ndarray
    within: np.ndarray
    between: np.ndarray
    df: np.ndarray
    riv: np.ndarray
    fmi: np.ndarray
    m: int


def pool_imputations(
    estimates: Sequence[ArrayLike] | np.ndarray,
    covariances: Sequence[ArrayLike] | np.ndarray,
    df_complete: float | ArrayLike = np.inf,
) -> Pooled:
    """Pool the estimates of m completed data sets.

    With `U` the mean covariance and `B` the covariance of the estimates, the total covariance is
    `T = U + (1 + 1/m) B` (Rubin 1987, Multiple Imputation for Nonresponse in Surveys, ch. 3). With
    `lambda = (1 + 1/m) B / T` and `r = (1 + 1/m) B / U`, coefficient by coefficient, the degrees
    of freedom are `1 / (1/v_old + 1/v_obs)`, `v_old = (m - 1) / lambda^2`,
    `v_obs = (v_com + 1) / (v_com + 3) v_com (1 - lambda)` (Barnard & Rubin 1999,
    doi 10.1093/biomet/86.4.948), and the fraction of missing information is
    `(r + 2 / (v + 3)) / (1 + r)` (van Buuren 2018, Flexible Imputation of Missing Data, 2.3.5).
    A coefficient that all imputations agree on keeps the degrees of freedom of complete data.

    Parameters
    ----------
    estimates : array_like, shape (m, p)
    covariances : array_like, shape (m, p, p)
    df_complete : float or array_like, shape (p,)
        Degrees of freedom had nothing been missing; infinite for normal tests.

    Returns
    -------
    Pooled

    Raises
    ------
    ValueError
        For fewer than two imputations, or shapes that do not fit.
    """
    Q, U = np.asarray(estimates, dtype=float), np.asarray(covariances, dtype=float)
    if Q.ndim != 2 or U.shape != (*Q.shape, Q.shape[1]):
        raise ValueError(
            f"estimates of shape {Q.shape} and covariances of shape {U.shape} do not fit: give "
            "(m, p) and (m, p, p)."
        )
    m, p = Q.shape
    if m < 2:
        raise ValueError("Rubin's rules need two imputations at least.")
    within = U.mean(axis=0)
    between = np.atleast_2d(np.cov(Q, rowvar=False))
    extra = (1 + 1 / m) * between
    cov = within + extra
    share, riv = np.diag(extra) / np.diag(cov), np.diag(extra) / np.diag(within)
    complete = np.broadcast_to(np.asarray(df_complete, dtype=float), (p,))
    df = np.array([_df(m, part, of) for part, of in zip(share, complete, strict=True)])
    fmi = np.where(riv > 0, (riv + 2 / (df + 3)) / (1 + riv), 0.0)
    return Pooled(Q.mean(axis=0), cov, within, between, df, riv, fmi, m)


def _df(m: int, share: float, complete: float) -> float:
    """Degrees of freedom where `share` of the total variance lies between imputations."""
    if share < 1e-12:
        return float(complete)
    old = (m - 1) / share**2
    if np.isinf(complete):
        return old
    observed = (complete + 1) / (complete + 3) * complete * (1 - share)
    return 1 / (1 / old + 1 / observed)
