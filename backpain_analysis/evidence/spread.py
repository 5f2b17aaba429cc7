"""Standard deviations from what a trial printed: SE, confidence interval, quartiles or range."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats


def sd_from_se(se: ArrayLike, n: ArrayLike) -> np.ndarray:
    """SD from the standard error of a mean, `SE sqrt(n)`.

    Source: Cochrane Handbook 6.5.2.2.
    """
    return np.asarray(se, dtype=float) * np.sqrt(np.asarray(n, dtype=float))


def sd_from_ci(lower: ArrayLike, upper: ArrayLike, n: ArrayLike, level: float = 0.95) -> np.ndarray:
    """SD from the confidence interval of one group's mean, with the t quantile on n - 1 df.

    `sqrt(n) (upper - lower) / (2 t)`. Source: Cochrane Handbook 6.5.2.2.
    """
    n = np.asarray(n, dtype=float)
    with np.errstate(invalid="ignore"):
        quantile = stats.t.ppf((1 + level) / 2, n - 1)
    return np.sqrt(n) * (np.asarray(upper, float) - np.asarray(lower, float)) / (2 * quantile)


def sd_from_quartiles(q1: ArrayLike, q3: ArrayLike, n: ArrayLike) -> np.ndarray:
    """SD from the quartiles, `(q3 - q1) / (2 z((0.75 n - 0.125) / (n + 0.25)))`.

    Source: Wan et al. 2014 (doi 10.1186/1471-2288-14-135), equation 16.
    """
    n = np.asarray(n, dtype=float)
    z = stats.norm.ppf((0.75 * n - 0.125) / (n + 0.25))
    return (np.asarray(q3, dtype=float) - np.asarray(q1, dtype=float)) / (2 * z)


def sd_from_range(minimum: ArrayLike, maximum: ArrayLike, n: ArrayLike) -> np.ndarray:
    """SD from the range, `(max - min) / (2 z((n - 0.375) / (n + 0.25)))`.

    Source: Wan et al. 2014 (doi 10.1186/1471-2288-14-135), equation 9.
    """
    n = np.asarray(n, dtype=float)
    z = stats.norm.ppf((n - 0.375) / (n + 0.25))
    return (np.asarray(maximum, dtype=float) - np.asarray(minimum, dtype=float)) / (2 * z)


def mean_from_quartiles(
    q1: ArrayLike, median: ArrayLike, q3: ArrayLike, n: ArrayLike
) -> np.ndarray:
    """Mean from median and quartiles, `w (q1 + q3)/2 + (1 - w) median`, `w = 0.7 + 0.39/n`.

    Source: Luo et al. 2018 (doi 10.1177/0962280216669183), equation 11.
    """
    w = 0.7 + 0.39 / np.asarray(n, dtype=float)
    middle = (np.asarray(q1, dtype=float) + np.asarray(q3, dtype=float)) / 2
    return w * middle + (1 - w) * np.asarray(median, dtype=float)


def mean_from_range(
    minimum: ArrayLike, median: ArrayLike, maximum: ArrayLike, n: ArrayLike
) -> np.ndarray:
    """Mean from median and range, `w (min + max)/2 + (1 - w) median`, `w = 4/(4 + n^0.75)`.

    Source: Luo et al. 2018 (doi 10.1177/0962280216669183), equation 7.
    """
    w = 4 / (4 + np.asarray(n, dtype=float) ** 0.75)
    middle = (np.asarray(minimum, dtype=float) + np.asarray(maximum, dtype=float)) / 2
    return w * middle + (1 - w) * np.asarray(median, dtype=float)


SKEWED = "median of skewed values"


def skewness_of_quartiles(
    q1: ArrayLike, median: ArrayLike, q3: ArrayLike, n: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """Statistic `|q1 + q3 - 2 m|/(q3 - q1)` and its critical value at 5%.

    Source: Shi et al. 2023 (doi 10.1177/09622802231172043).
    """
    return _skewness(q1, median, q3), _of_quartiles(np.asarray(n, dtype=float))


def skewness_of_range(
    minimum: ArrayLike, median: ArrayLike, maximum: ArrayLike, n: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """Statistic `|min + max - 2 m|/(max - min)` and its critical value at 5%.

    Source: Shi et al. 2023 (doi 10.1177/09622802231172043).
    """
    n = np.asarray(n, dtype=float)
    return _skewness(minimum, median, maximum), 1 / np.log(n + 9) + 2.5 / (n + 1)


def _of_quartiles(n: np.ndarray) -> np.ndarray:
    return 2.65 / np.sqrt(n) - 6 / n**2


def _skewness(low: ArrayLike, middle: ArrayLike, high: ArrayLike) -> np.ndarray:
    low, middle, high = (np.asarray(values, dtype=float) for values in (low, middle, high))
    return np.abs(low + high - 2 * middle) / (high - low)


def with_sd(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Outcome rows with a mean and an SD where the printed figures allow one.

    Adds `sd` (in the units of `mean`; missing where no dispersion or no `n` is known),
    `sd_source` ("reported SD", "SE", "95% CI", "quartiles", "range" or missing) and
    `mean_source` ("reported", "from median" or "median of skewed values"). A row with `value_type`
    "median" holds a median in `mean`; it becomes an estimated mean of `value_type` "level" where
    quartiles or a range are known and not too skewed for that (see `skewness_of_quartiles`), and
    stays a median otherwise.

    Parameters
    ----------
    outcomes : DataFrame
        The `outcomes` table of an `Evidence`; not changed.

    Returns
    -------
    DataFrame, same rows and order
    """
    table = outcomes.copy()
    kind = table["dispersion_type"].astype("string")
    n, lower, upper = (table[column].astype(float) for column in ("n", "lower", "upper"))
    dispersion = table["dispersion"].astype(float)
    sources = {
        "sd": ("reported SD", dispersion),
        "se": ("SE", sd_from_se(dispersion, n)),
        "ci95": ("95% CI", sd_from_ci(lower, upper, n)),
        "iqr": ("quartiles", sd_from_quartiles(lower, upper, n)),
        "range": ("range", sd_from_range(lower, upper, n)),
    }
    table["sd"], table["sd_source"] = np.nan, pd.Series(pd.NA, table.index, dtype="string")
    for word, (label, values) in sources.items():
        usable = (kind == word).fillna(False) & np.isfinite(values)
        table.loc[usable, "sd"] = np.asarray(values)[usable]
        table.loc[usable, "sd_source"] = label
    table["mean_source"] = "reported"
    medians = (table["value_type"] == "median") & table["sd"].notna()
    for word, estimate, skewness in (
        ("iqr", mean_from_quartiles, skewness_of_quartiles),
        ("range", mean_from_range, skewness_of_range),
    ):
        rows = medians & (kind == word).fillna(False)
        with np.errstate(divide="ignore", invalid="ignore"):
            statistic, critical = skewness(lower, table["mean"].astype(float), upper, n)
        skewed = rows & (statistic > critical)
        table.loc[skewed, "mean_source"] = SKEWED
        rows &= ~skewed
        if rows.any():
            table.loc[rows, "mean"] = estimate(lower, table["mean"], upper, n)[rows]
            table.loc[rows, "mean_source"] = "from median"
            table["value_type"] = table["value_type"].astype("string")
            table.loc[rows, "value_type"] = "level"
    return table
