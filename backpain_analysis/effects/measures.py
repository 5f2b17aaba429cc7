"""Effect sizes from means and SDs, in the conventions of metafor's escalc."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
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


Columns = dict[str, np.ndarray]

Estimate = tuple[np.ndarray, np.ndarray]


def _mean_difference(c: Columns) -> Estimate:
    return c["m1"] - c["m2"], c["sd1"] ** 2 / c["n1"] + c["sd2"] ** 2 / c["n2"]


def _standardised(c: Columns) -> Estimate:
    df = c["n1"] + c["n2"] - 2
    pooled = ((c["n1"] - 1) * c["sd1"] ** 2 + (c["n2"] - 1) * c["sd2"] ** 2) / df
    g = hedges_factor(df) * (c["m1"] - c["m2"]) / np.sqrt(pooled)
    return g, 1 / c["n1"] + 1 / c["n2"] + g**2 / (2 * (c["n1"] + c["n2"]))


def _standardised_unequal(c: Columns) -> Estimate:
    var1, var2, df1, df2 = c["sd1"] ** 2, c["sd2"] ** 2, c["n1"] - 1, c["n2"] - 1
    average = (var1 + var2) / 2
    g = hedges_factor(df1 + df2) * (c["m1"] - c["m2"]) / np.sqrt(average)
    of_sd = g**2 * (var1**2 / df1 + var2**2 / df2) / (8 * average**2)
    return g, of_sd + (var1 / df1 + var2 / df2) / average


def _log_ratio(c: Columns) -> Estimate:
    of_mean1 = (c["sd1"] / c["m1"]) ** 2 / c["n1"]
    of_mean2 = (c["sd2"] / c["m2"]) ** 2 / c["n2"]
    return np.log(c["m1"] / c["m2"]) + (of_mean1 - of_mean2) / 2, of_mean1 + of_mean2


def _log_variability_ratio(c: Columns) -> Estimate:
    half1, half2 = 1 / (2 * (c["n1"] - 1)), 1 / (2 * (c["n2"] - 1))
    return np.log(c["sd1"] / c["sd2"]) + half1 - half2, half1 + half2


def _log_variation_ratio(c: Columns) -> Estimate:
    ratio, of_means = _log_ratio(c)
    variability, of_sds = _log_variability_ratio(c)
    return variability - ratio, of_means + of_sds


def _change_variance(c: Columns) -> np.ndarray:
    return c["sd1"] ** 2 + c["sd2"] ** 2 - 2 * c["r"] * c["sd1"] * c["sd2"]


def _mean_change(c: Columns) -> Estimate:
    return c["m1"] - c["m2"], _change_variance(c) / c["n"]


def _standardised_change(c: Columns) -> Estimate:
    g = hedges_factor(c["n"] - 1) * (c["m1"] - c["m2"]) / np.sqrt(_change_variance(c))
    return g, 1 / c["n"] + g**2 / (2 * c["n"])


def _standardised_raw_change(c: Columns) -> Estimate:
    g = hedges_factor(c["n"] - 1) * (c["m1"] - c["m2"]) / c["sd1"]
    return g, 2 * (1 - c["r"]) / c["n"] + g**2 / (2 * c["n"])


MEASURES: dict[str, Callable[[Columns], Estimate]] = {
    "MD": _mean_difference,
    "SMD": _standardised,
    "SMDH": _standardised_unequal,
    "ROM": _log_ratio,
    "VR": _log_variability_ratio,
    "CVR": _log_variation_ratio,
    "MC": _mean_change,
    "SMCC": _standardised_change,
    "SMCR": _standardised_raw_change,
}

_TWO_GROUPS = ("m1", "sd1", "n1", "m2", "sd2", "n2")

_BEFORE_AFTER = ("m1", "m2", "sd1", "sd2", "n", "r")

_UNUSED = {"VR": ("m1", "m2"), "SMCR": ("sd2",)}


def effect_size(measure: str, **columns: ArrayLike) -> pd.DataFrame:
    """Effect sizes and sampling variances of independent trials.

    Two groups, from `m1, sd1, n1, m2, sd2, n2`:

    - "MD" mean difference `m1 - m2`, variance `sd1^2/n1 + sd2^2/n2` (Cochrane Handbook 6.5.1).
    - "SMD" Hedges' g with the exact factor J on n1 + n2 - 2 degrees of freedom, variance
      `1/n1 + 1/n2 + g^2/(2(n1 + n2))` (Hedges 1981, doi 10.3102/10769986006002107).
    - "SMDH" the same for unequal SDs, standardised by `sqrt((sd1^2 + sd2^2)/2)`; variance of
      Bonett 2009 (doi 10.1037/a0016619; 2008, doi 10.1037/1082-989X.13.2.99) at g.
    - "ROM" log ratio of means `ln(m1/m2)`, corrected for its bias by `(c1 - c2)/2`, with variance
      `c1 + c2` where `c = sd^2/(n m^2)` (Hedges, Gurevitch & Curtis 1999,
      doi 10.1890/0012-9658(1999)080[1150:TMAORR]2.0.CO;2; Lajeunesse 2015,
      doi 10.1890/14-2402.1).
    - "VR" log ratio of SDs `ln(sd1/sd2) + 1/(2(n1 - 1)) - 1/(2(n2 - 1))` (Nakagawa et al. 2015,
      doi 10.1111/2041-210X.12309); "CVR" log ratio of coefficients of variation, VR less ROM
      (Senior, Viechtbauer & Nakagawa 2020, doi 10.1002/jrsm.1423).

    Before and after in one group, from `m1` (after), `m2` (before), `sd1`, `sd2`, `n` and their
    correlation `r`:

    - "MC" mean change `m1 - m2`.
    - "SMCC" mean change over the SD of the change, with J on n - 1 degrees of freedom, variance
      `1/n + g^2/(2n)` (Gibbons, Hedeker & Davis 1993, doi 10.3102/10769986018003271).
    - "SMCR" mean change over `sd1`, with J on n - 1 degrees of freedom, variance
      `2(1 - r)/n + g^2/(2n)` (Becker 1988, doi 10.1111/j.2044-8317.1988.tb00901.x). As in
      metafor the standardiser is the SD of the first mean given, so here the SD after; for the
      SD before, give the times the other way round and change the sign of yi.

    Parameters
    ----------
    measure : str
        One of the above.
    **columns : float, array_like or Series
        The columns of the measure; "VR" uses no means and "SMCR" no `sd2`, which may be left out.
        Scalars are repeated. Series must share one index.

    Returns
    -------
    DataFrame
        `yi` and `vi`, a row a trial, on the index of the Series (else numbered from 0). A trial
        with a missing value in a column that is used has missing `yi` and `vi`.

    Raises
    ------
    ValueError
        For an unknown measure; for missing or unexpected columns, unequal lengths or indexes; for
        used values that are no numbers or break a rule (SDs above zero, groups of at least two and
        for SMCC and SMCR at least three, ratios only of means above zero, correlations strictly
        between -1 and 1). All faults are named at once.
    """
    if measure not in MEASURES:
        raise ValueError(f"unknown measure {measure!r}: use one of {', '.join(MEASURES)}.")
    faults = _names(measure, columns)
    index = _index(columns, faults)
    if faults:
        raise ValueError("; ".join(faults) + ".")
    values = {name: _numbers(name, columns[name], index, faults) for name in _used(measure)}
    for name, number in values.items():
        rule, holds = _rule(measure, name, number)
        faults += [
            f"{name}, row {index[i]}: {number[i]:g}; {rule}"
            for i in np.flatnonzero(~np.isnan(number) & ~holds)
        ]
    if faults:
        raise ValueError("; ".join(faults) + ".")
    yi, vi = MEASURES[measure](values)
    missing = np.isnan(yi + vi)
    return pd.DataFrame(
        {"yi": np.where(missing, np.nan, yi), "vi": np.where(missing, np.nan, vi)}, index=index
    )


def _used(measure: str) -> list[str]:
    return [name for name in _family(measure) if name not in _UNUSED.get(measure, ())]


def _family(measure: str) -> tuple[str, ...]:
    return _BEFORE_AFTER if measure in ("MC", "SMCC", "SMCR") else _TWO_GROUPS


def _names(measure: str, columns: dict[str, ArrayLike]) -> list[str]:
    absent = [name for name in _used(measure) if name not in columns]
    unexpected = [name for name in columns if name not in _family(measure)]
    return [f"{measure} needs column {name!r}" for name in absent] + [
        f"{measure} has no column {name!r}: it uses {', '.join(_used(measure))}"
        for name in unexpected
    ]


def _index(columns: dict[str, ArrayLike], faults: list[str]) -> pd.Index:
    """The index of the rows; adds to `faults` the columns that do not fit it."""
    series = {name: c for name, c in columns.items() if isinstance(c, pd.Series)}
    sizes = {name: len(np.atleast_1d(c)) for name, c in columns.items() if np.ndim(c)}
    faults += [f"{name}: give one dimension" for name, c in columns.items() if np.ndim(c) > 1]
    rows = next(iter(sizes.values()), 1)
    index = next((c.index for c in series.values()), pd.RangeIndex(rows))
    if len(set(sizes.values())) > 1:
        lengths = ", ".join(f"{name} {size}" for name, size in sizes.items())
        faults.append(f"columns of unequal length: {lengths}")
    else:
        different = [name for name, c in series.items() if not c.index.equals(index)]
        if different:
            first = next(iter(series))
            faults.append(f"the index of {', '.join(different)} differs from that of {first}")
    return index


def _numbers(name: str, column: ArrayLike, index: pd.Index, faults: list[str]) -> np.ndarray:
    values = pd.Series(np.ravel(np.asarray(column, dtype=object)), dtype=object)
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    for i in np.flatnonzero(np.isnan(numbers) & values.notna().to_numpy()):
        row = f"row {index[i]}" if np.ndim(column) else "every row"
        faults.append(f"{name}, {row}: {values[i]!r}; give a number")
    return np.broadcast_to(numbers, len(index))


def _rule(measure: str, name: str, values: np.ndarray) -> tuple[str, np.ndarray]:
    if name.startswith("sd"):
        return "give a finite SD above zero", (values > 0) & np.isfinite(values)
    if name.startswith("n"):
        least = 3 if measure in ("SMCC", "SMCR") else 2
        return f"give at least {least} participants", (values >= least) & np.isfinite(values)
    if name == "r":
        return "give a correlation strictly between -1 and 1", np.abs(values) < 1
    if measure in ("ROM", "CVR"):
        return "a ratio needs finite means above zero", (values > 0) & np.isfinite(values)
    return "give a finite mean", np.isfinite(values)
