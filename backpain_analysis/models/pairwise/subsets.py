"""Pooling of many subsets of the same independent studies at once.

Leave-one-out, cumulative meta-analysis and random subsets are the same task: pool the studies
of every row of a mask. All subsets are estimated together, each exactly as `pool` would.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from backpain_analysis.models.pairwise.inputs import NO_RESIDUAL
from backpain_analysis.models.results import quantile, two_sided_p

_GRID_POINTS_PER_DECADE = 8

CELLS = 2_000_000
"""Studies times subsets that are pooled in one go: memory does not grow with the subsets."""


def pool_subsets(
    y: np.ndarray, v: np.ndarray, masks: np.ndarray, *, method: str, test: str, level: float
) -> pd.DataFrame:
    """Pooled effect of each subset.

    Parameters
    ----------
    y, v : ndarray, shape (k,)
        Effect sizes and sampling variances.
    masks : ndarray of bool, shape (m, k)
        Which studies are in which subset; at least one each.
    method, test, level
        As of `pool`.

    Returns
    -------
    DataFrame
        A row a subset: `n_trials, estimate, se, ci_low, ci_high, p_value, pi_low, pi_high, tau2,
        i2, h2, q, q_df, q_p`, each as in `PoolResult`.
    """
    masks = np.asarray(masks, dtype=float)
    centre = float(np.mean(y))
    y = y - centre
    k = masks.sum(axis=1)
    several = k > 1
    tau2 = np.zeros(len(masks))
    if method != "CE":
        tau2[several] = _tau2(y, v, masks[several], method)
    weights, mean, rss = _weighted(y, v, masks, tau2)
    common, _, q = _weighted(y, v, masks, np.zeros(len(masks)))
    total = weights.sum(axis=1)
    variance, df = 1 / total, np.full(len(masks), np.inf)
    spare = np.where(several, k - 1, 1)
    if test != "z":
        factor = rss / spare
        used = np.maximum(factor, 1.0) if test == "adhoc" else factor
        used = np.ones(len(k)) if test == "t" else np.where(factor > NO_RESIDUAL, used, 1.0)
        variance = np.where(several, variance * used, variance)
        df = np.where(several, k - 1, np.inf)
    se = np.sqrt(variance)
    critical = quantile(level, pd.Series(df)).to_numpy()
    estimate = mean + centre
    reach = critical * np.sqrt(variance + tau2)
    if method == "CE":
        h2 = np.maximum(1.0, q / spare)
        i2 = 100 * (h2 - 1) / h2
    else:
        reach = np.where(k < 3, np.nan, reach)
        trace = common.sum(axis=1) - (common**2).sum(axis=1) / common.sum(axis=1)
        ratio = tau2 * np.where(several, trace, 0.0) / spare
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
            "q_p": np.where(several, special.chdtrc(spare, q), np.nan),
        }
    )


def pool_rows(
    y: np.ndarray,
    v: np.ndarray,
    mask_of: Callable[[np.ndarray], np.ndarray],
    n_subsets: int,
    **options: Any,
) -> pd.DataFrame:
    """`pool_subsets` of subsets made batch by batch: `mask_of(rows)` gives those of some rows."""
    step = max(1, CELLS // len(y))
    rows = np.arange(n_subsets)
    batches = [rows[first : first + step] for first in range(0, n_subsets, step)]
    parts = [pool_subsets(y, v, mask_of(batch), **options) for batch in batches]
    return pd.concat(parts, ignore_index=True)


def _weighted(
    y: np.ndarray, v: np.ndarray, masks: np.ndarray, tau2: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights (m, k), means (m,) and weighted residual sums of squares (m,)."""
    weights = masks / (v + tau2[:, None])
    mean = weights @ y / weights.sum(axis=1)
    return weights, mean, (weights * (y - mean[:, None]) ** 2).sum(axis=1)


def _tau2(y: np.ndarray, v: np.ndarray, masks: np.ndarray, method: str) -> np.ndarray:
    """Between-trial variance of each subset of at least two; see `heterogeneity`."""
    if method in ("ML", "REML"):
        return _maximum_likelihood(y, v, masks, reml=method == "REML")
    if method in ("PM", "EB", "SJIT", "DLIT"):
        return _paule_mandel(y, v, masks, masks.sum(axis=1) - 1)
    if method == "PMM":
        return _paule_mandel(y, v, masks, special.chdtri(masks.sum(axis=1) - 1, 0.5))
    k = masks.sum(axis=1)
    mean = masks @ y / k
    squares = (masks * (y - mean[:, None]) ** 2).sum(axis=1)
    if method == "HE":
        return np.maximum(0.0, squares / (k - 1) - masks @ v / k)
    if method == "SJ":
        return squares / k * _weighted(y, v, masks, squares / k)[2] / (k - 1)
    weights, _, q = _weighted(y, v, masks, np.zeros(len(masks)))
    total = weights.sum(axis=1)
    if method in ("HS", "HSk"):
        return np.maximum(0.0, (q * (k / (k - 1) if method == "HSk" else 1) - k) / total)
    return np.maximum(0.0, (q - (k - 1)) / (total - (weights**2).sum(axis=1) / total))


def _paule_mandel(
    y: np.ndarray, v: np.ndarray, masks: np.ndarray, target: np.ndarray
) -> np.ndarray:
    """Newton from zero: the generalised Q is convex and falls in tau2, so steps never overshoot."""
    tau2 = np.zeros(len(masks))
    for _ in range(200):
        weights, mean, rss = _weighted(y, v, masks, tau2)
        slope = (weights**2 * (y - mean[:, None]) ** 2).sum(axis=1)
        gap = np.maximum(rss - target, 0.0)
        step = np.divide(gap, slope, out=np.zeros(len(masks)), where=slope > 0)
        tau2 += step
        if np.all(step <= 1e-14 * (tau2 + v.min())):
            break
    return tau2


def _maximum_likelihood(
    y: np.ndarray, v: np.ndarray, masks: np.ndarray, *, reml: bool
) -> np.ndarray:
    """The highest point of a grid, then Newton's method kept between its neighbours."""
    grid = _grid(y, v)
    heights = np.stack([_height(y, v, masks, tau2, reml) for tau2 in grid], axis=1)
    best = np.argmax(heights, axis=1)
    low, tau2 = grid[np.maximum(best - 1, 0)], grid[best]
    high = grid[np.minimum(best + 1, len(grid) - 1)]
    for _ in range(200):
        slope, curvature = _slope(y, v, masks, tau2, reml)
        climbing = slope > 0
        low, high = np.where(climbing, tau2, low), np.where(climbing, high, tau2)
        concave = curvature < 0
        newton = tau2 - np.divide(slope, curvature, out=np.zeros(len(tau2)), where=concave)
        inside = concave & (newton >= low) & (newton <= high)
        new = np.where(inside, newton, (low + high) / 2)
        done = np.abs(new - tau2) <= 1e-13 * (new + v.min())
        tau2 = new
        if np.all(done):
            break
    return np.where(tau2 <= 1e-12 * v.min(), 0.0, tau2)


def _grid(y: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Zero, and values up to well above any maximum, which is of the order of range(y)^2."""
    low = 1e-4 * float(v.min())
    high = max(4 * float(np.ptp(y)) ** 2, 10 * low)
    points = int(np.ceil(_GRID_POINTS_PER_DECADE * np.log10(high / low))) + 1
    return np.concatenate([[0.0], np.geomspace(low, high, points)])


def _height(y: np.ndarray, v: np.ndarray, masks: np.ndarray, tau2: float, reml: bool) -> np.ndarray:
    """Log-likelihood of each subset at one tau2, up to a constant."""
    w = 1 / (v + tau2)
    total, first = masks @ w, masks @ (w * y)
    rss = masks @ (w * y**2) - first**2 / total
    return 0.5 * (masks @ np.log(w) - rss - reml * np.log(total))


def _slope(
    y: np.ndarray, v: np.ndarray, masks: np.ndarray, tau2: np.ndarray, reml: bool
) -> tuple[np.ndarray, np.ndarray]:
    """First and second derivative of the log-likelihood by tau2; see `likelihood`."""
    w, mean, _ = _weighted(y, v, masks, tau2)
    residual = y - mean[:, None]
    w2 = w * w
    w3 = w2 * w
    s1, s2, s3 = w.sum(axis=1), w2.sum(axis=1), w3.sum(axis=1)
    quadratic = (w2 * residual**2).sum(axis=1)
    quadratic2 = (w3 * residual**2).sum(axis=1) - (w2 * residual).sum(axis=1) ** 2 / s1
    trace, trace2 = s1, s2
    if reml:
        trace, trace2 = s1 - s2 / s1, s2 - 2 * s3 / s1 + (s2 / s1) ** 2
    return -0.5 * (trace - quadratic), 0.5 * trace2 - quadratic2
