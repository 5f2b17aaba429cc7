"""How much a pooled effect rests on single studies, and how it grew with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import scipy
from numpy.typing import ArrayLike

from backpain_analysis.effects.table import Effects, refuse_evidence
from backpain_analysis.engine.subsets import Family, FirstOnes, WithoutOne, fit_subsets
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.pairwise.inputs import checked_studies, study_names
from backpain_analysis.models.pairwise.meta_regression import MetaRegressionResult, influence_table
from backpain_analysis.models.pairwise.pooling import PoolResult, pool, scales
from backpain_analysis.models.results import quantile, two_sided_p
from backpain_analysis.words import plural

FIRST = 256
"""Cumulative meta-analysis goes to so many studies at first, then to twice as many each time."""


def pool_subsets(
    y: np.ndarray,
    v: np.ndarray,
    family: Family,
    labels: Sequence[str] | None = None,
    *,
    method: str,
    test: str,
    level: float,
) -> pd.DataFrame:
    """Pooled effect of each subset.

    Parameters
    ----------
    y, v : ndarray, shape (k,)
        Effect sizes and sampling variances.
    family : Family
        Which studies are in which subset; at least one each.
    labels : sequence of str, optional
        What each subset is called.
    method, test, level
        As of `pool`.

    Returns
    -------
    DataFrame
        A row a subset: `label` where given, then `n_trials, estimate, se, ci_low, ci_high,
        p_value, pi_low, pi_high, tau2, i2, h2, q, q_df, q_p`, each as in `PoolResult`.
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
        ({} if labels is None else {"label": list(labels)})
        | {
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


def pool_growing(
    y: np.ndarray, v: np.ndarray, labels: Sequence[str], **options: Any
) -> pd.DataFrame:
    """`pool_subsets` of the first, the first two, ... studies.

    In pieces, so that few studies are not looked for in the range of all.
    """
    ends = [0]
    while ends[-1] < len(y):
        ends.append(min(max(2 * ends[-1], FIRST), len(y)))
    parts = [
        pool_subsets(y[:stop], v[:stop], FirstOnes(stop, start), labels[start:stop], **options)
        for start, stop in pairwise(ends)
    ]
    return pd.concat(parts, ignore_index=True)


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
    k = len(studies)
    others = WithoutOne(k, np.arange(k))
    return pool_subsets(studies.y, studies.v, others, studies.labels, **studies.options)


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
    - `rstandard`: `(y_i - mu) / sqrt((1 - h_i) (v_i + tau2))`
    - `dffits`: `(mu - mu_(i)) / sqrt(s2_(i) h_i (v_i + tau2_(i)))`
    - `cook_d`: `(mu - mu_(i))^2 / se^2`
    - `cov_r`: `se_(i)^2 / se^2`
    - `tau2_del`, `q_del`: tau2 and Cochran's Q without the study
    - `hat`: `h_i`, its share of the weights; `weight` the same in per cent
    - `dfbetas`: `(mu - mu_(i)) / sqrt(s2_(i) / sum_j 1/(v_j + tau2_(i)))`
    - `influential`: metafor's rule, any of `|dffits| > 3 sqrt(1/(k - 1))`, cook_d beyond the
      median of chi-square on one degree of freedom, `hat > 3/k`, `|dfbetas| > 1`.

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
    y, v = studies.y, studies.v
    tau2, ones = pool(y, v, **studies.options).tau2, np.ones((len(studies), 1))
    table = influence_table(y, v, ones, ["estimate"], tau2, studies.method, studies.test)
    table = table.rename(columns={"dfbetas estimate": "dfbetas"})
    table.insert(0, "label", studies.labels)
    return table


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
    labels = [studies.labels[row] for row in rows]
    return pool_growing(studies.y[rows], studies.v[rows], labels, **studies.options)


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
