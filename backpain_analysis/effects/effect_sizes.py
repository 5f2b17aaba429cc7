"""Effect sizes of the arms of one trial against its reference arm, with their covariance."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln


def hedges_factor(df: ArrayLike) -> np.ndarray:
    """Exact small-sample correction `J = G(m/2) / (sqrt(m/2) G((m-1)/2))`, m degrees of freedom.

    Source: Hedges 1981 (doi 10.3102/10769986006002107).
    """
    m = np.asarray(df, dtype=float)
    return np.exp(gammaln(m / 2) - gammaln((m - 1) / 2) - 0.5 * np.log(m / 2))


def pooled_sd(sd: ArrayLike, n: ArrayLike) -> float:
    """Within-arm SD pooled over the arms of a trial, on `sum(n) - arms` degrees of freedom."""
    sd, n = np.asarray(sd, dtype=float), np.asarray(n, dtype=float)
    return float(np.sqrt(np.sum((n - 1) * sd**2) / (np.sum(n) - len(n))))


def mean_differences(
    mean: ArrayLike, sd: ArrayLike, n: ArrayLike, reference: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Differences in means against a shared reference arm.

    Variances `sd_i^2/n_i + sd_0^2/n_0`, covariances `sd_0^2/n_0`; positive definite for positive
    SDs. Source: Cochrane Handbook 10.5.1; for the covariance Franchini et al. 2012
    (doi 10.1002/jrsm.1049).

    Parameters
    ----------
    mean, sd, n : array_like, shape (n_arms,)
    reference : int
        Position of the reference arm.

    Returns
    -------
    yi : ndarray, shape (n_arms - 1,)
    V : ndarray, shape (n_arms - 1, n_arms - 1)
    """
    mean, sd, n = (np.asarray(values, dtype=float) for values in (mean, sd, n))
    variance = sd**2 / n
    others = np.arange(len(mean)) != reference
    return mean[others] - mean[reference], np.diag(variance[others]) + variance[reference]


def standardised_mean_differences(
    mean: ArrayLike,
    sd: ArrayLike,
    n: ArrayLike,
    reference: int = 0,
    *,
    hedges: bool = True,
    standardiser: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Standardised mean differences against a shared reference arm.

    The standardiser is the SD pooled over all arms given. Variances
    `1/n_i + 1/n_0 + d_i^2/(2N)`, covariances `1/n_0 + d_i d_j/(2N)`, N the total of all arms.
    Source: Gleser & Olkin 2009 (in The Handbook of Research Synthesis, ch. 19) as in Crippa &
    Orsini 2016 (doi 10.1186/s12874-016-0189-0).

    Parameters
    ----------
    mean, sd, n : array_like, shape (n_arms,)
    reference : int
    hedges : bool
        Multiply by the exact small-sample factor (Hedges' g), else leave Cohen's d.
    standardiser : float, optional
        Another SD to standardise by, such as that of levels where `mean` and `sd` are of changes;
        the first part of the covariance is then times `(pooled SD / standardiser)^2`.

    Returns
    -------
    yi : ndarray, shape (n_arms - 1,)
    V : ndarray, shape (n_arms - 1, n_arms - 1)
    """
    n = np.asarray(n, dtype=float)
    yi, _ = mean_differences(mean, sd, n, reference)
    common = pooled_sd(sd, n)
    level = common if standardiser is None else standardiser
    yi = yi / level
    if hedges:
        yi = yi * hedges_factor(np.sum(n) - len(n))
    others = np.arange(len(n)) != reference
    V = (common / level) ** 2 * (np.diag(1 / n[others]) + 1 / n[reference])
    return yi, V + np.outer(yi, yi) / (2 * np.sum(n))
