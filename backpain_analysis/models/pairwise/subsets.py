"""Pooling of many subsets of the same independent studies at once, each exactly as by `pool`."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import scipy

from backpain_analysis.engine.subsets import Family, FirstOnes, fit_subsets
from backpain_analysis.models.pairwise.inputs import NO_RESIDUAL
from backpain_analysis.models.results import quantile, two_sided_p

FIRST = 256
"""Cumulative meta-analysis goes to so many studies at first, then to twice as many each time."""


def pool_subsets(
    y: np.ndarray, v: np.ndarray, family: Family, *, method: str, test: str, level: float
) -> pd.DataFrame:
    """Pooled effect of each subset.

    Parameters
    ----------
    y, v : ndarray, shape (k,)
        Effect sizes and sampling variances.
    family : Family
        Which studies are in which subset; at least one each.
    method, test, level
        As of `pool`.

    Returns
    -------
    DataFrame
        A row a subset: `n_trials, estimate, se, ci_low, ci_high, p_value, pi_low, pi_high, tau2,
        i2, h2, q, q_df, q_p`, each as in `PoolResult`.
    """
    shift = float(y[0] + np.mean(y - y[0]))
    fits = fit_subsets(y - shift, v, np.ones((len(y), 1)), family, method)
    k, tau2 = fits.n, fits.tau2
    several, spare = k > 1, np.maximum(k - 1, 1)
    variance = scales(fits.rss, spare, test) / fits.information[:, 0, 0]
    df = np.where(several & (test != "z"), k - 1, np.inf)
    se = np.sqrt(variance)
    critical = quantile(level, pd.Series(df)).to_numpy()
    estimate, q = fits.beta[:, 0] + shift, fits.q
    reach = critical * np.sqrt(variance + tau2)
    if method == "CE":
        h2 = np.maximum(1.0, q / spare)
        i2 = 100 * (h2 - 1) / h2
    else:
        reach = np.where(k < 3, np.nan, reach)
        ratio = tau2 * np.where(several, fits.trace, 0.0) / spare
        h2, i2 = 1 + ratio, 100 * ratio / (1 + ratio)
    t = np.divide(estimate, se, out=np.full(len(se), np.nan), where=se > 0)
    return pd.DataFrame(
        {
            "n_trials": k.astype(int),
            "estimate": estimate,
            "se": se,
            "ci_low": estimate - critical * se,
            "ci_high": estimate + critical * se,
            "p_value": two_sided_p(t, df),
            "pi_low": estimate - reach,
            "pi_high": estimate + reach,
            "tau2": tau2,
            "i2": np.where(several, i2, np.nan),
            "h2": np.where(several, h2, np.nan),
            "q": q,
            "q_df": (k - 1).astype(int),
            "q_p": np.where(several, scipy.special.chdtrc(spare, q), np.nan),
        }
    )


def scales(rss: np.ndarray, spare: np.ndarray | int, test: str) -> np.ndarray:
    """What each subset's test multiplies the covariance by; see `scaled_covariance`."""
    factor = rss / spare
    if test in ("z", "t"):
        return np.ones(len(rss))
    used = np.maximum(factor, 1.0) if test == "adhoc" else factor
    return np.where(factor > NO_RESIDUAL, used, 1.0)


def pool_growing(y: np.ndarray, v: np.ndarray, **options: Any) -> pd.DataFrame:
    """`pool_subsets` of the first, the first two, ... studies.

    In pieces, so that few studies are not looked for in the range of all.
    """
    ends = [0]
    while ends[-1] < len(y):
        ends.append(min(max(2 * ends[-1], FIRST), len(y)))
    parts = [
        pool_subsets(y[:stop], v[:stop], FirstOnes(stop, start), **options)
        for start, stop in pairwise(ends)
    ]
    return pd.concat(parts, ignore_index=True)
