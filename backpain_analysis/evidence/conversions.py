"""What a report prints turned into what an analysis needs, by published formulas.

First a standard deviation, from a standard error, an interval, quartiles or a range; then means
and variances of other shapes.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
import scipy
from numpy.typing import ArrayLike


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
        quantile = scipy.special.stdtrit(n - 1, (1 + level) / 2)
    return np.sqrt(n) * (np.asarray(upper, float) - np.asarray(lower, float)) / (2 * quantile)


def sd_from_quartiles(q1: ArrayLike, q3: ArrayLike, n: ArrayLike) -> np.ndarray:
    """SD from the quartiles, `(q3 - q1) / (2 z((0.75 n - 0.125) / (n + 0.25)))`.

    Source: Wan et al. 2014 (doi 10.1186/1471-2288-14-135), equation 16.
    """
    n = np.asarray(n, dtype=float)
    z = scipy.special.ndtri((0.75 * n - 0.125) / (n + 0.25))
    return (np.asarray(q3, dtype=float) - np.asarray(q1, dtype=float)) / (2 * z)


def sd_from_range(minimum: ArrayLike, maximum: ArrayLike, n: ArrayLike) -> np.ndarray:
    """SD from the range, `(max - min) / (2 z((n - 0.375) / (n + 0.25)))`.

    Source: Wan et al. 2014 (doi 10.1186/1471-2288-14-135), equation 9.
    """
    n = np.asarray(n, dtype=float)
    z = scipy.special.ndtri((n - 0.375) / (n + 0.25))
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
    labels, values = zip(*sources.values(), strict=True)
    usable = [
        (kind == word).fillna(False).to_numpy(dtype=bool) & np.isfinite(own)
        for word, own in zip(sources, values, strict=True)
    ]
    table["sd"] = np.select(usable, values, np.nan)
    source = pd.Series(np.select(usable, labels, ""), table.index, dtype="string")
    table["sd_source"] = source.mask(source == "")
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


def conv_wald(
    estimate: ArrayLike,
    *,
    ci_low: ArrayLike | None = None,
    ci_high: ArrayLike | None = None,
    se: ArrayLike | None = None,
    statistic: ArrayLike | None = None,
    p_value: ArrayLike | None = None,
    df: ArrayLike | None = None,
    level: ArrayLike = 0.95,
    log: bool = False,
) -> pd.DataFrame:
    """Sampling variances of printed estimates, from what stands beside them.

    Of several the first known is used: the standard error; the interval, `((high - low)/(2 q))^2`;
    one limit, `((limit - estimate)/q)^2`; the test statistic, `(estimate/t)^2`; the exact
    two-sided P value, whose statistic is taken from it (Cochrane Handbook 6.3.1 and 6.3.2). `q` is
    the t quantile on `df` degrees of freedom, or the normal one where these are not known.

    Parameters
    ----------
    estimate : array_like, shape (k,)
    ci_low, ci_high, se, statistic, p_value : array_like, shape (k,), optional
        The standard error is on the scale of the analysis (of the log, with `log`).
    df : array_like, optional
        Such as `n1 + n2 - 2` for a difference in means.
    level : array_like
        Of the interval, such as 0.95.
    log : bool
        The estimate and its limits are ratios; the effect and variance are of their logs.

    Returns
    -------
    DataFrame
        `yi, vi, obtained`: "SE", "interval", "one limit", "test statistic", "P value"; `vi` and
        `obtained` are missing where nothing allows a variance.

    Raises
    ------
    ValueError
        For ratios, levels or standard errors not above zero, limits on the wrong side of the
        estimate, P values not above 0 and at most 1.

    Examples
    --------
    >>> conv_wald(0.56, ci_low=0.44, ci_high=0.71, log=True).round(4)
          yi      vi  obtained
    0 -0.5798  0.0149  interval
    """
    names = ("estimate", "ci_low", "ci_high", "se", "statistic", "p_value", "df", "level")
    given = (estimate, ci_low, ci_high, se, statistic, p_value, df, level)
    index = next((v.index for v in given if isinstance(v, pd.Series)), None)
    arrays = [np.atleast_1d(np.asarray(np.nan if v is None else v, dtype=float)) for v in given]
    y, low, high, se_, t, p, df_, level_ = np.broadcast_arrays(*arrays)
    faults = [
        f"{name} must be above zero"
        for name, values in zip(names, (y, low, high), strict=False)
        if log and np.any(values <= 0)
    ]
    faults += ["se must be above zero"] * bool(np.any(se_ <= 0))
    faults += ["p_value must be above 0 and at most 1"] * bool(np.any((p <= 0) | (p > 1)))
    wrong = (level_ <= 0) | (level_ >= 1)
    faults += ["level must lie between 0 and 1, such as 0.95"] * bool(np.any(wrong))
    faults += ["ci_low must not lie above the estimate"] * bool(np.any(low > y))
    faults += ["ci_high must not lie below the estimate"] * bool(np.any(high < y))
    if faults:
        raise ValueError("; ".join(faults) + ".")
    if log:
        y, low, high = np.log(y), np.log(low), np.log(high)
    finite = np.isfinite(df_)
    on = np.where(finite, df_, 1.0)

    def upper(tail: np.ndarray) -> np.ndarray:
        return np.where(finite, np.abs(scipy.special.stdtrit(on, tail)), -scipy.special.ndtri(tail))

    with np.errstate(divide="ignore", invalid="ignore"):
        q = upper((1 - level_) / 2)
        limit = np.where(np.isfinite(high), high, low)
        errors = {
            "SE": se_,
            "interval": (high - low) / (2 * q),
            "one limit": np.abs(limit - y) / q,
            "test statistic": np.abs(y / t),
            "P value": np.abs(y) / upper(p / 2),
        }
    error = np.full(y.shape, np.nan)
    source = np.full(y.shape, None, dtype=object)
    for name, values in errors.items():
        usable = np.isnan(error) & np.isfinite(values) & (values > 0)
        error = np.where(usable, values, error)
        source[usable] = name
    obtained = pd.array(source, dtype="string")
    return pd.DataFrame({"yi": y, "vi": error**2, "obtained": obtained}, index=index)


FIVE = ("minimum", "q1", "median", "q3", "maximum")

LOGNORMAL = {"range": (0.565, 0.37), "quartiles": (0.57, 0.75), "all": (0.405, 0.315)}
"""First and second coefficient of the correction of Shi et al. 2020 (Stat Interface 13:519-531)."""


def conv_fivenum(
    n: ArrayLike,
    median: ArrayLike,
    *,
    minimum: ArrayLike | None = None,
    q1: ArrayLike | None = None,
    q3: ArrayLike | None = None,
    maximum: ArrayLike | None = None,
    distribution: Literal["normal", "lognormal"] = "normal",
    test: bool = True,
) -> pd.DataFrame:
    """Mean and SD from a median with the range, the quartiles or both.

    Means by Luo et al. 2018 (doi 10.1177/0962280216669183), SDs by Wan et al. 2014
    (doi 10.1186/1471-2288-14-135) and, of all five numbers, Shi et al. 2020
    (doi 10.1002/jrsm.1429); of a log-normal distribution by Shi et al. 2020 (Stat Interface
    13:519-531). A distribution that the test of Shi et al. 2023 (doi 10.1177/09622802231172043)
    finds too skewed for the formulas (level 5%) gets no mean and SD.

    Parameters
    ----------
    n : array_like, shape (k,)
    median : array_like, shape (k,)
    minimum, q1, q3, maximum : array_like, shape (k,), optional
        Both of a pair must be known for it to be used.
    distribution : {"normal", "lognormal"}
        "lognormal" needs numbers above zero; the test is then of their logs.
    test : bool
        False gives means and SDs whatever the skewness.

    Returns
    -------
    DataFrame
        `mean, sd, skew_test, critical, skewed`; with "lognormal" also `log_mean, log_sd`.

    Raises
    ------
    ValueError
        For an unknown distribution, numbers out of order, or numbers not above zero of a
        log-normal one.

    Examples
    --------
    >>> conv_fivenum(138, 44.7, q1=34.9, q3=56.0).round(2)
        mean     sd  skew_test  critical  skewed
    0  45.23  15.81       0.07      0.23   False
    """
    if distribution not in ("normal", "lognormal"):
        raise ValueError(f"distribution {distribution!r}: use 'normal' or 'lognormal'.")
    given = (n, minimum, q1, median, q3, maximum)
    index = next((v.index for v in given if isinstance(v, pd.Series)), None)
    arrays = [np.atleast_1d(np.asarray(np.nan if v is None else v, dtype=float)) for v in given]
    size, *five = (np.array(values) for values in np.broadcast_arrays(*arrays))
    _check_order(five)
    if distribution == "lognormal":
        if any(np.any(values <= 0) for values in five):
            raise ValueError("a log-normal distribution has numbers above zero only.")
        five = [np.log(values) for values in five]
    a, low, m, high, b = five
    has_range, has_quartiles = np.isfinite(a + b), np.isfinite(low + high)
    kinds = {
        "range": has_range & ~has_quartiles,
        "quartiles": has_quartiles & ~has_range,
        "all": has_range & has_quartiles,
    }
    with np.errstate(divide="ignore", invalid="ignore"):
        of_range, range_limit = skewness_of_range(a, m, b, size)
        of_quartiles, quartile_limit = skewness_of_quartiles(low, m, high, size)
        w1 = 2.2 / (2.2 + size**0.75)
        w2 = 0.7 - 0.72 / size**0.55
        z_range = scipy.special.ndtri((size - 0.375) / (size + 0.25))
        z_quartiles = scipy.special.ndtri((0.75 * size - 0.125) / (size + 0.25))
        means = {
            "range": mean_from_range(a, m, b, size),
            "quartiles": mean_from_quartiles(low, m, high, size),
            "all": w1 * (a + b) / 2 + w2 * (low + high) / 2 + (1 - w1 - w2) * m,
        }
        sds = {
            "range": sd_from_range(a, b, size),
            "quartiles": sd_from_quartiles(low, high, size),
            "all": (b - a) / ((2 + 0.14 * size**0.6) * z_range)
            + (high - low) / ((2 + 2 / (0.07 * size**0.6)) * z_quartiles),
        }
        skew = {
            "range": of_range,
            "quartiles": of_quartiles,
            "all": np.maximum(2.65 * np.log(0.6 * size) / np.sqrt(size) * of_range, of_quartiles),
        }
        limits = {
            "range": range_limit,
            "quartiles": quartile_limit,
            "all": 3 / np.sqrt(size) - 40 / size**3,
        }
    found = pd.DataFrame(
        {
            "mean": _chosen(kinds, means),
            "sd": _chosen(kinds, sds),
            "skew_test": _chosen(kinds, skew),
            "critical": _chosen(kinds, limits),
        },
        index=index,
    )
    found["skewed"] = found["skew_test"] > found["critical"]
    if test:
        found.loc[found["skewed"], ["mean", "sd"]] = np.nan
    if distribution == "lognormal":
        _unlogged(found, size, kinds)
    return found


def _unlogged(found: pd.DataFrame, size: np.ndarray, kinds: dict[str, np.ndarray]) -> None:
    """Mean and SD from those of the logs, corrected for bias (Shi et al. 2020)."""
    log2 = np.log(size) ** 2
    of_square = {"range": 1.01 + 0.25 / log2, "quartiles": 1 + 1.58 / size, "all": 1 + 0.28 / log2}
    of_fourth = {
        "range": 1 + 2.23 / log2,
        "quartiles": 1 + 19.2 / size**1.2,
        "all": 1 + 3.93 / size,
    }
    first, second = (
        _chosen(kinds, {kind: np.full(size.shape, pair[i]) for kind, pair in LOGNORMAL.items()})
        for i in (0, 1)
    )
    mu, s2 = found["mean"], found["sd"] ** 2 / _chosen(kinds, of_square)
    s4 = found["sd"] ** 4 / _chosen(kinds, of_fourth)
    found["log_mean"], found["log_sd"] = mu, np.sqrt(s2)
    by_first, by_second = first * s2 / size, second * s4 / size
    found["mean"] = np.exp(mu + s2 / 2) / (1 + by_first + by_second)
    second_moment = np.exp(2 * mu + 2 * s2) / (1 + 4 * by_first + 16 * by_second)
    square = np.exp(2 * mu + s2) / (1 + 4 * by_first + 4 * by_second)
    found["sd"] = np.sqrt(second_moment - square)


def _chosen(kinds: dict[str, np.ndarray], values: dict[str, np.ndarray]) -> np.ndarray:
    names = list(kinds)
    return np.select([kinds[name] for name in names], [values[name] for name in names], np.nan)


def _check_order(five: list[np.ndarray]) -> None:
    last = np.full(five[0].shape, -np.inf)
    for name, values in zip(FIVE, five, strict=True):
        wrong = np.flatnonzero(values < last)
        if len(wrong):
            raise ValueError(f"{name}, row {wrong[0]}: smaller than a number before it in order.")
        last = np.fmax(last, values)


def conv_2x2(
    total: ArrayLike,
    row: ArrayLike,
    column: ArrayLike,
    *,
    odds_ratio: ArrayLike | None = None,
    phi: ArrayLike | None = None,
    chi2: ArrayLike | None = None,
    yates: bool = False,
) -> pd.DataFrame:
    """Cells of a 2x2 table from its margins and one measure of association.

    With expected cell `e = row column/total` the cell is the root of the quadratic that an odds
    ratio gives (Bonett 2007, doi 10.1037/1082-989X.12.4.484), or `e + phi s` with
    `s = sqrt(row (total - row) column (total - column))/total`, where
    `phi = sign sqrt(chi2/total)`. Cells are rounded to whole numbers.

    Parameters
    ----------
    total, row, column : array_like, shape (k,)
        All people; those in the first row; those in the first column.
    odds_ratio, phi, chi2 : array_like, shape (k,)
        One of these; `chi2` with the sign of the association.
    yates : bool
        The chi-square was corrected for continuity.

    Returns
    -------
    DataFrame
        `a, b, c, d`; missing where no table has these margins and association.

    Raises
    ------
    ValueError
        Unless exactly one association is given, margins fit the total, odds ratios are above
        zero and correlations from -1 to 1.

    Examples
    --------
    >>> conv_2x2(114, 48, 54, odds_ratio=0.11)
       a   b   c   d
    0  9  39  45  21
    """
    given = [value for value in (odds_ratio, phi, chi2) if value is not None]
    if len(given) != 1:
        raise ValueError("give exactly one of odds_ratio, phi and chi2.")
    arrays = [np.atleast_1d(np.asarray(v, dtype=float)) for v in (total, row, column, given[0])]
    n, r, k, value = np.broadcast_arrays(*arrays)
    if np.any((r > n) | (k > n) | (r < 0) | (k < 0)):
        raise ValueError("row and column must lie from 0 to the total.")
    if odds_ratio is not None and np.any(value <= 0):
        raise ValueError("odds_ratio must be above zero.")
    if phi is not None and np.any(np.abs(value) > 1):
        raise ValueError("phi must lie from -1 to 1.")
    expected = r * k / n
    spread = np.sqrt(r * (n - r) * k * (n - k))
    if odds_ratio is not None:
        even = value == 1
        over = np.where(even, 0.5, value - 1)
        b = 1 + (r + k) / n * over
        root = np.sqrt(np.maximum(b**2 - 4 * over * value * r * k / n**2, 0))
        a = np.where(even, expected, n * (b - root) / (2 * over))
    elif phi is not None:
        a = expected + value * spread / n
    else:
        size = spread * np.sqrt(np.abs(value) / n) + (n / 2 if yates else 0)
        sign = np.where(np.signbit(value), -1, 1)
        a = expected + sign * size / n
    a = np.round(a)
    cells = np.array([a, r - a, k - a, n - r - k + a])
    cells[:, (cells < 0).any(axis=0)] = np.nan
    index = next((v.index for v in (total, row, column) if isinstance(v, pd.Series)), None)
    frame = pd.DataFrame(cells.T, columns=list("abcd"), index=index)
    return frame.astype("Int64")
