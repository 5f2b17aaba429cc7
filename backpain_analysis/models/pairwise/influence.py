"""What changes in a pooled effect or a meta-regression without each trial."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import scipy

from backpain_analysis.engine.heterogeneity import WeightedFit
from backpain_analysis.engine.mixed import check_design
from backpain_analysis.engine.subsets import WithoutOne, fit_subsets
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.pairwise.subsets import scales

ALONE = 1e-6
"""A trial with less than this between its leverage and one may be all that a coefficient has."""


def influence_table(
    y: np.ndarray,
    v: np.ndarray,
    X: np.ndarray,
    names: Sequence[str],
    tau2: float,
    method: str,
    test: str,
) -> pd.DataFrame:
    """The columns of `MetaRegressionResult.influence`, a row a trial.

    In columns made orthonormal, and of what the whole model leaves unexplained: a coefficient of
    the other trials is then its change.

    Parameters
    ----------
    y, v : ndarray, shape (k,)
    X : ndarray, shape (k, p)
    names : sequence of str
        Of the coefficients.
    tau2 : float
        Of the whole model.
    method, test : str
    """
    k, p = X.shape
    Q, R = np.linalg.qr(X)
    full = WeightedFit(y, v, Q, tau2)
    spare = k - 1 - p
    rows = _removable(X, Q, names) if spare > 0 else np.arange(0)
    changes = [f"dfbetas {name}" for name in names]
    told = np.full((6 + p, k), np.nan)
    if len(rows):
        fits = fit_subsets(full.residual, v, Q, WithoutOne(k, rows), method)
        x, change, inner = Q[rows], fits.beta, (Q * full.weights[:, None]).T @ Q
        inner = inner / scales(np.array([full.rss]), spare + 1, test)
        scale, w = scales(fits.rss, spare, test), 1 / (v[rows] + fits.tau2)
        fitted = (x * change).sum(axis=1)
        reach = (x * np.linalg.solve(fits.information, x[:, :, None])[:, :, 0]).sum(axis=1)
        whole = np.linalg.inv(fits.information + (w * x.T).T[:, :, None] * x[:, None, :])
        back = np.linalg.inv(R)
        spread = np.sqrt(scale[:, None] * np.einsum("ij,mjk,ik->mi", back, whole, back))
        size = p * np.log(scale) - np.linalg.slogdet(fits.information)[1]
        with np.errstate(divide="ignore", invalid="ignore"):
            told[:, rows] = [
                (full.residual[rows] - fitted) / np.sqrt(scale * (1 / w + reach)),
                -fitted / np.sqrt(scale / w * full.leverage[rows]),
                np.einsum("mi,ij,mj->m", change, inner, change),
                np.exp(np.linalg.slogdet(inner)[1] + size),
                fits.tau2,
                fits.q,
                *(-(change @ back.T) / spread).T,
            ]
    weight = full.weights / full.weights.sum()
    left = np.where(full.leverage > 1 - 1e-10, np.nan, 1 - full.leverage)
    rstandard = full.residual / np.sqrt(left / full.weights)
    columns = {"rstudent": told[0], "rstandard": rstandard}
    columns |= dict(zip(["dffits", "cook_d", "cov_r", "tau2_del", "q_del"], told[1:6], strict=True))
    columns |= {"hat": full.leverage, "weight": 100 * weight}
    columns |= dict(zip(changes, told[6:], strict=True))
    columns["influential"] = (
        (np.abs(told[1]) > 3 * np.sqrt(p / max(k - p, 1)))
        | (told[2] > scipy.special.chdtri(p, 0.5))
        | (full.leverage > 3 * p / k)
        | (np.abs(told[6:]) > 1).any(axis=0)
    )
    return pd.DataFrame(columns)


def _removable(X: np.ndarray, Q: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """The trials without which the others still tell every coefficient."""
    may = np.ones(len(X), dtype=bool)
    for row in np.flatnonzero((Q * Q).sum(axis=1) > 1 - ALONE):
        try:
            check_design(np.delete(X, row, axis=0), names)
        except CannotEstimate:
            may[row] = False
    return np.flatnonzero(may)
