"""How much a pooled effect rests on single studies, and how it grew with them.

Leave-one-out, cumulative meta-analysis and random subsets are the same task: pool the studies of
every row of a mask. All subsets are estimated together, each exactly as `pool` would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special

from backpain_analysis.effects.table import Effects, refuse_evidence
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.pairwise.inputs import NO_RESIDUAL, checked_studies, study_names
from backpain_analysis.models.pairwise.meta_regression import MetaRegressionResult
from backpain_analysis.models.pairwise.pooling import PoolResult
from backpain_analysis.models.results import quantile, two_sided_p
from backpain_analysis.words import plural

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


@dataclass(frozen=True)
class Studies:
    """Checked effect sizes of independent studies and how they are to be pooled.

    Attributes
    ----------
    y, v : ndarray, shape (k,)
    labels : list of str
        Need not be unique: each row is a study of its own.
    method, test : str
    level : float
    """

    y: np.ndarray
    v: np.ndarray
    labels: list[str]
    method: str
    test: str
    level: float

    def __len__(self) -> int:
        return len(self.y)

    @property
    def options(self) -> dict:
        """Keyword arguments of `pool` and `meta_regression`."""
        return {"method": self.method, "test": self.test, "level": self.level}


def as_studies(
    yi: ArrayLike | PoolResult | Effects,
    vi: ArrayLike | None,
    labels: Sequence[str] | None,
    *,
    method: str | None = None,
    test: str | None = None,
    level: float | None = None,
    least: int = 1,
) -> Studies:
    """The studies of a diagnostic.

    Parameters
    ----------
    yi, vi, labels
        Effect sizes, sampling variances and names of independent studies; or a `PoolResult` or
        `Effects` as `yi` alone.
    method, test, level
        As of `pool`; None: those of the `PoolResult`, else the defaults of `pool`.
    least : int
        How many studies the diagnostic needs.

    Raises
    ------
    ValueError
        For unusable or too few effect sizes, for variances given twice, and for correlated
        contrasts (trials with several arms against one reference), to which these diagnostics do
        not apply.
    """
    refuse_evidence(yi)
    given: dict[str, Any] = {"method": "REML", "test": "knapp-hartung", "level": 0.95}
    values: Any = yi
    if isinstance(yi, PoolResult | Effects):
        if vi is not None:
            raise ValueError("a pooled result carries its own variances: leave out vi.")
        if isinstance(yi, PoolResult):
            given = {name: getattr(yi, name) for name in given}
        table = yi.table
        if yi.n_trials < len(table):
            raise ValueError(
                f"{len(table)} contrasts of {plural(yi.n_trials, 'trial')}: contrasts of one trial "
                "are correlated, but this diagnostic is for independent ones. Keep one contrast a "
                "trial."
            )
        values, vi = table["yi"].to_numpy(), table["vi"].to_numpy()
        labels = list(table["label"]) if labels is None else labels
    chosen = {"method": method, "test": test, "level": level}
    given |= {name: value for name, value in chosen.items() if value is not None}
    y, v, labels, given["method"], given["test"] = checked_studies(values, vi, labels, **given)
    labels = labels or study_names(len(y))
    if len(y) < least:
        size = f"{len(y)} {'study' if len(y) == 1 else 'studies'}"
        raise CannotEstimate(f"{size} given, but this diagnostic needs at least {least}")
    return Studies(y, v, labels, **given)


def leave_one_out(
    yi: ArrayLike | PoolResult | Effects,
    vi: ArrayLike | None = None,
    *,
    labels: Sequence[str] | None = None,
    method: str | None = None,
    test: str | None = None,
    level: float | None = None,
) -> pd.DataFrame:
    """The pooled effect without each study in turn.

    Parameters
    ----------
    yi : array_like, shape (k,), or PoolResult or Effects
        Effect sizes of independent studies; or a pooled result, whose method, test and level are
        then the defaults.
    vi : array_like, shape (k,)
        Sampling variances.
    labels : sequence of str, optional
        Names of the studies; equal ones are still studies of their own.
    method, test, level : optional
        As of `pool`, with its defaults "REML", "knapp-hartung" and 0.95.

    Returns
    -------
    DataFrame
        A row a study left out: `label`, then `n_trials, estimate, se, ci_low, ci_high, p_value,
        pi_low, pi_high, tau2, i2, h2, q, q_df, q_p` of the others, each as in `PoolResult`.

    Raises
    ------
    ValueError
        For unusable input (missing values, variances of zero) or correlated contrasts; for fewer
        than two studies.

    Examples
    --------
    >>> yi, vi = [-12.0, -5.5, -9.1, -3.0, -15.2], [4.0, 6.2, 3.1, 5.0, 9.0]
    >>> bp.leave_one_out(yi, vi)[["estimate", "ci_low", "ci_high"]].round(1).head(2)
       estimate  ci_low  ci_high
    0      -8.0   -16.2      0.2
    1      -9.6   -17.7     -1.6
    """
    studies = as_studies(yi, vi, labels, method=method, test=test, level=level, least=2)
    return _labelled(studies.labels, _without_each(studies))


def influence(
    yi: ArrayLike | PoolResult | Effects | MetaRegressionResult,
    vi: ArrayLike | None = None,
    *,
    labels: Sequence[str] | None = None,
    method: str | None = None,
    test: str | None = None,
    level: float | None = None,
) -> pd.DataFrame:
    """Outlier and influence diagnostics of each study.

    Source: Viechtbauer & Cheung 2010 (doi 10.1002/jrsm.11). With `(i)` for "without study i" and
    s2 for the scale that Knapp-Hartung gives the variance (1 for "z"):

    - `rstudent`: `(y_i - mu_(i)) / sqrt(s2_(i) (v_i + tau2_(i)) + se_(i)^2)`
    - `dffits`: `(mu - mu_(i)) / sqrt(s2_(i) h_i (v_i + tau2_(i)))`
    - `cook_d`: `(mu - mu_(i))^2 / se^2`
    - `cov_r`: `se_(i)^2 / se^2`
    - `tau2_del`, `q_del`: tau2 and Cochran's Q without the study
    - `hat`: `h_i`, its share of the weights; `weight` the same in per cent
    - `dfbetas`: `(mu - mu_(i)) / sqrt(s2_(i) / sum_j 1/(v_j + tau2_(i)))`
    - `influential`: metafor's rule, any of |dffits| > 3 sqrt(1/(k - 1)), cook_d beyond the median
      of chi-square on one degree of freedom, hat > 3/k, |dfbetas| > 1.

    Parameters
    ----------
    yi, vi, labels, method, test, level
        As of `leave_one_out`. A fitted meta-regression as `yi` gives `fit.influence()`; multilevel
        models have `fit.influence(cluster)`.

    Returns
    -------
    DataFrame
        A row a study: `label` and the columns above.

    Raises
    ------
    ValueError
        As `leave_one_out`; for fewer than three studies.

    Examples
    --------
    >>> yi, vi = [-12.0, -5.5, -9.1, -3.0, -15.2], [4.0, 6.2, 3.1, 5.0, 9.0]
    >>> bp.influence(yi, vi)[["rstudent", "hat"]].round(2).head(2)
       rstudent   hat
    0     -0.72  0.21
    1      0.72  0.19
    """
    if isinstance(yi, MetaRegressionResult):
        if any(given is not None for given in (vi, labels, method, test, level)):
            raise ValueError("a fitted meta-regression carries all its options: give it alone.")
        return yi.influence()
    studies = as_studies(yi, vi, labels, method=method, test=test, level=level, least=3)
    y, v, k = studies.y, studies.v, len(studies)
    full = pool_subsets(y, v, np.ones((1, k)), **studies.options).iloc[0]
    others = _without_each(studies)
    se_del, tau2_del = others["se"].to_numpy(), others["tau2"].to_numpy()
    weights = 1 / (v + full["tau2"])
    hat = weights / weights.sum()
    all_weights = np.array([np.sum(1 / (v + tau2)) for tau2 in tau2_del])
    scale = se_del**2 * (all_weights - 1 / (v + tau2_del))
    shift = full["estimate"] - others["estimate"].to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        table = pd.DataFrame(
            {
                "rstudent": (y - others["estimate"]) / np.sqrt(scale * (v + tau2_del) + se_del**2),
                "dffits": shift / np.sqrt(scale * hat * (v + tau2_del)),
                "cook_d": shift**2 / full["se"] ** 2,
                "cov_r": se_del**2 / full["se"] ** 2,
                "tau2_del": tau2_del,
                "q_del": others["q"],
                "hat": hat,
                "weight": 100 * hat,
                "dfbetas": shift / np.sqrt(scale / all_weights),
            }
        )
    table["influential"] = (
        (table["dffits"].abs() > 3 * np.sqrt(1 / (k - 1)))
        | (table["cook_d"] > special.chdtri(1, 0.5))
        | (table["hat"] > 3 / k)
        | (table["dfbetas"].abs() > 1)
    )
    return _labelled(studies.labels, table)


def cumulative(
    yi: ArrayLike | PoolResult | Effects,
    vi: ArrayLike | None = None,
    *,
    order: ArrayLike | None = None,
    labels: Sequence[str] | None = None,
    method: str | None = None,
    test: str | None = None,
    level: float | None = None,
) -> pd.DataFrame:
    """The pooled effect as studies are added one by one.

    Source: Lau et al. 1992 (doi 10.1056/NEJM199207233270406).

    Parameters
    ----------
    yi, vi, labels, method, test, level
        As of `leave_one_out`.
    order : array_like, shape (k,), optional
        What to sort the studies by, such as their years, smallest first; equal values stay as
        given. None: as given.

    Returns
    -------
    DataFrame
        A row a step: `label` of the study added, then the columns of `leave_one_out`. The first
        step is that study's own effect with a normal interval.

    Raises
    ------
    ValueError
        As `leave_one_out`; if `order` is of another length or holds missing values.

    Examples
    --------
    >>> yi, vi = [-12.0, -5.5, -9.1, -3.0, -15.2], [4.0, 6.2, 3.1, 5.0, 9.0]
    >>> bp.cumulative(yi, vi)[["estimate", "ci_low", "ci_high"]].round(1).tail(2)
       estimate  ci_low  ci_high
    3      -7.6   -13.9     -1.3
    4      -8.8   -14.7     -2.9
    """
    studies = as_studies(yi, vi, labels, method=method, test=test, level=level)
    rows = _sorted(order, studies.labels)
    k = len(rows)

    def first(steps: np.ndarray) -> np.ndarray:
        return np.arange(k) <= steps[:, None]

    steps = pool_rows(studies.y[rows], studies.v[rows], first, k, **studies.options)
    return _labelled([studies.labels[row] for row in rows], steps)


def _without_each(studies: Studies) -> pd.DataFrame:
    k = len(studies)

    def others(left_out: np.ndarray) -> np.ndarray:
        return np.arange(k) != left_out[:, None]

    return pool_rows(studies.y, studies.v, others, k, **studies.options)


def _sorted(order: ArrayLike | None, labels: list[str]) -> np.ndarray:
    if order is None:
        return np.arange(len(labels))
    keys = pd.Series(np.asarray(order).ravel())
    if len(keys) != len(labels):
        raise ValueError(f"order has {len(keys)} values for {len(labels)} studies.")
    missing = [labels[i] for i in np.flatnonzero(keys.isna())]
    if missing:
        raise ValueError(f"order is missing for {', '.join(missing)}: give it, or drop them.")
    return keys.argsort(kind="stable").to_numpy()


def _labelled(labels: Sequence[str], table: pd.DataFrame) -> pd.DataFrame:
    table.insert(0, "label", list(labels))
    return table
