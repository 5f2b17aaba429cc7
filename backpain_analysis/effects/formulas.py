"""The formula of every effect size of independent trials: estimate and sampling variance.

In the conventions of metafor's escalc; sources stand in `measures.effect_size`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

Columns = dict[str, np.ndarray]

Estimate = tuple[np.ndarray, np.ndarray]


def hedges_factor(df: ArrayLike) -> np.ndarray:
    """Exact small-sample correction `J = G(m/2) / (sqrt(m/2) G((m-1)/2))`, m degrees of freedom.

    Source: Hedges 1981 (doi 10.3102/10769986006002107).
    """
    m = np.asarray(df, dtype=float)
    return np.exp(special.gammaln(m / 2) - special.gammaln((m - 1) / 2) - 0.5 * np.log(m / 2))


def _mean_difference(c: Columns) -> Estimate:
    return c["m1"] - c["m2"], c["sd1"] ** 2 / c["n1"] + c["sd2"] ** 2 / c["n2"]


def _standardised(c: Columns, corrected: bool = False) -> Estimate:
    df = c["n1"] + c["n2"] - 2
    pooled = ((c["n1"] - 1) * c["sd1"] ** 2 + (c["n2"] - 1) * c["sd2"] ** 2) / df
    J = hedges_factor(df)
    g = J * (c["m1"] - c["m2"]) / np.sqrt(pooled)
    first = (J**2 if corrected else 1) * (1 / c["n1"] + 1 / c["n2"])
    return g, first + g**2 / (2 * (c["n1"] + c["n2"]))


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


def _standardised_change(c: Columns, corrected: bool = False) -> Estimate:
    J = hedges_factor(c["n"] - 1)
    g = J * (c["m1"] - c["m2"]) / np.sqrt(_change_variance(c))
    return g, (J**2 if corrected else 1) / c["n"] + g**2 / (2 * c["n"])


def _raw_change(c: Columns, corrected: bool = False) -> Estimate:
    J = hedges_factor(c["n"] - 1)
    g = J * (c["m1"] - c["m2"]) / c["sd1"]
    first = (J**2 if corrected else 1) * 2 * (1 - c["r"]) / c["n"]
    return g, first + g**2 / (2 * c["n"])


def _raw_change_unequal(c: Columns) -> Estimate:
    df = c["n"] - 1
    g = hedges_factor(df) * (c["m1"] - c["m2"]) / c["sd1"]
    return g, (_change_variance(c) / c["sd1"] ** 2 + g**2 / 2) / df


def _average_change(c: Columns) -> tuple[np.ndarray, np.ndarray]:
    """The change over the root mean of both variances, and that mean."""
    average = (c["sd1"] ** 2 + c["sd2"] ** 2) / 2
    J = hedges_factor(2 * (c["n"] - 1) / (1 + c["r"] ** 2))
    return J * (c["m1"] - c["m2"]) / np.sqrt(average), average


def _pooled_change(c: Columns) -> Estimate:
    g, _ = _average_change(c)
    return g, (2 * (1 - c["r"]) + g**2 * (1 + c["r"] ** 2) / 4) / c["n"]


def _pooled_change_unequal(c: Columns) -> Estimate:
    g, average = _average_change(c)
    var1, var2 = c["sd1"] ** 2, c["sd2"] ** 2
    of_sd = g**2 * (var1**2 + var2**2 + 2 * c["r"] ** 2 * var1 * var2) / (8 * average**2)
    return g, (_change_variance(c) / average + of_sd) / (c["n"] - 1)


def _log_ratio_of_change(c: Columns) -> Estimate:
    cv1, cv2 = c["sd1"] / c["m1"], c["sd2"] / c["m2"]
    variance = (cv1**2 + cv2**2 - 2 * c["r"] * cv1 * cv2) / c["n"]
    return np.log(c["m1"] / c["m2"]) + (cv1**2 - cv2**2) / (2 * c["n"]), variance


def _log_variability_ratio_of_change(c: Columns) -> Estimate:
    return np.log(c["sd1"] / c["sd2"]), (1 - c["r"] ** 2) / (c["n"] - 1)


def _log_variation_ratio_of_change(c: Columns) -> Estimate:
    ratio, of_means = _log_ratio_of_change(c)
    variability, of_sds = _log_variability_ratio_of_change(c)
    return variability - ratio, of_means + of_sds


def _risk_ratio(c: Columns) -> Estimate:
    variance = 1 / c["events1"] - 1 / c["n1"] + 1 / c["events2"] - 1 / c["n2"]
    return np.log(c["events1"] / c["n1"] * c["n2"] / c["events2"]), variance


def _odds_ratio(c: Columns) -> Estimate:
    rest1, rest2 = c["n1"] - c["events1"], c["n2"] - c["events2"]
    variance = 1 / c["events1"] + 1 / rest1 + 1 / c["events2"] + 1 / rest2
    return np.log(c["events1"] / rest1 * rest2 / c["events2"]), variance


def _risk_difference(c: Columns) -> Estimate:
    p1, p2 = c["events1"] / c["n1"], c["events2"] / c["n2"]
    return p1 - p2, p1 * (1 - p1) / c["n1"] + p2 * (1 - p2) / c["n2"]


def observed_less_expected(c: Columns) -> Estimate:
    """Events in the first group less those expected, and their hypergeometric variance."""
    total, events = c["n1"] + c["n2"], c["events1"] + c["events2"]
    share = c["n1"] / total
    variance = events * share * (1 - share) * (total - events) / (total - 1)
    return c["events1"] - events * share, variance


def _peto(c: Columns) -> Estimate:
    excess, variance = observed_less_expected(c)
    return excess / variance, 1 / variance


def _arcsine(c: Columns) -> Estimate:
    p1, p2 = c["events1"] / c["n1"], c["events2"] / c["n2"]
    difference = np.arcsin(np.sqrt(p1)) - np.arcsin(np.sqrt(p2))
    return difference, 1 / (4 * c["n1"]) + 1 / (4 * c["n2"])


def _rate_ratio(c: Columns) -> Estimate:
    ratio = np.log(c["events1"] / c["time1"] * c["time2"] / c["events2"])
    return ratio, 1 / c["events1"] + 1 / c["events2"]


def _rate_difference(c: Columns) -> Estimate:
    rate1, rate2 = c["events1"] / c["time1"], c["events2"] / c["time2"]
    return rate1 - rate2, rate1 / c["time1"] + rate2 / c["time2"]


def _root_rate_difference(c: Columns) -> Estimate:
    difference = np.sqrt(c["events1"] / c["time1"]) - np.sqrt(c["events2"] / c["time2"])
    return difference, 1 / (4 * c["time1"]) + 1 / (4 * c["time2"])


def _hazard_ratio(c: Columns) -> Estimate:
    width = np.log(c["ci_high"]) - np.log(c["ci_low"])
    return np.log(c["hr"]), (width / (2 * special.ndtri((1 + c["level"]) / 2))) ** 2


def _fisher_z(c: Columns) -> Estimate:
    return np.arctanh(c["r"]), 1 / (c["n"] - 3)


def _logit(c: Columns) -> Estimate:
    rest = c["n"] - c["events"]
    return np.log(c["events"] / rest), 1 / c["events"] + 1 / rest


def _freeman_tukey(c: Columns) -> Estimate:
    lower = np.arcsin(np.sqrt(c["events"] / (c["n"] + 1)))
    upper = np.arcsin(np.sqrt((c["events"] + 1) / (c["n"] + 1)))
    return (lower + upper) / 2, 1 / (4 * c["n"] + 2)


@dataclass(frozen=True)
class Formula:
    """How a measure is computed and from what.

    Attributes
    ----------
    family : tuple of str
        The columns that may be given; those in `unused` may be left out.
    compute : callable
    unused : tuple of str
    defaults : mapping
        Columns with a value of their own where none is given.
    least : int
        Participants that a group needs.
    positive : bool
        Whether means must be above zero.
    adds : bool
        Whether counts of zero are mended before it is computed.
    """

    family: tuple[str, ...]
    compute: Callable[[Columns], Estimate]
    unused: tuple[str, ...] = ()
    defaults: Mapping[str, float] = field(default_factory=dict)
    least: int = 2
    positive: bool = False
    adds: bool = False

    @property
    def used(self) -> list[str]:
        """Columns that are needed or have a default."""
        return [name for name in self.family if name not in self.unused]


MEANS = ("m1", "sd1", "n1", "m2", "sd2", "n2")
CHANGES = ("m1", "m2", "sd1", "sd2", "n", "r")
EVENTS = ("events1", "n1", "events2", "n2")
RATES = ("events1", "time1", "events2", "time2")
SHARE = ("events", "n")

FORMULAS: dict[str, Formula] = {
    "MD": Formula(MEANS, _mean_difference),
    "SMD": Formula(MEANS, _standardised),
    "SMDH": Formula(MEANS, _standardised_unequal),
    "ROM": Formula(MEANS, _log_ratio, positive=True),
    "VR": Formula(MEANS, _log_variability_ratio, unused=("m1", "m2")),
    "CVR": Formula(MEANS, _log_variation_ratio, positive=True),
    "MC": Formula(CHANGES, _mean_change),
    "SMCC": Formula(CHANGES, _standardised_change, least=3),
    "SMCR": Formula(CHANGES, _raw_change, unused=("sd2",), least=3),
    "SMCRH": Formula(CHANGES, _raw_change_unequal, least=3),
    "SMCRP": Formula(CHANGES, _pooled_change, least=3),
    "SMCRPH": Formula(CHANGES, _pooled_change_unequal, least=3),
    "ROMC": Formula(CHANGES, _log_ratio_of_change, positive=True),
    "VRC": Formula(CHANGES, _log_variability_ratio_of_change, unused=("m1", "m2")),
    "CVRC": Formula(CHANGES, _log_variation_ratio_of_change, positive=True),
    "RR": Formula(EVENTS, _risk_ratio, least=1, adds=True),
    "OR": Formula(EVENTS, _odds_ratio, least=1, adds=True),
    "RD": Formula(EVENTS, _risk_difference, least=1, adds=True),
    "PETO": Formula(EVENTS, _peto, least=1, adds=True),
    "AS": Formula(EVENTS, _arcsine, least=1),
    "IRR": Formula(RATES, _rate_ratio, adds=True),
    "IRD": Formula(RATES, _rate_difference, adds=True),
    "IRSD": Formula(RATES, _root_rate_difference),
    "HR": Formula(("hr", "ci_low", "ci_high", "level"), _hazard_ratio, defaults={"level": 0.95}),
    "ZCOR": Formula(("r", "n"), _fisher_z, least=4),
    "PLO": Formula(SHARE, _logit, least=1, adds=True),
    "PFT": Formula(SHARE, _freeman_tukey, least=1),
}

CORRECTED: dict[str, Callable[[Columns], Estimate]] = {
    "SMD": partial(_standardised, corrected=True),
    "SMCC": partial(_standardised_change, corrected=True),
    "SMCR": partial(_raw_change, corrected=True),
}
"""Measures that also have the variance `J^2 v(d)` of Borenstein 2009: `vtype="LS2"`."""


def with_added(columns: Columns, add: float, to: str, drop00: bool) -> Columns:
    """Counts with `add` in every cell of the tables named by `to`; see `measures.effect_size`."""
    pairs = [name for name in columns if name.startswith("events")]
    size = {name: name.replace("events", "n") for name in pairs}
    has_rest = all(name in columns for name in size.values())
    events = np.array([columns[name] for name in pairs])
    rest = np.array([columns[size[name]] - columns[name] for name in pairs]) if has_rest else events
    zero = (events == 0).any(axis=0) | (rest == 0).any(axis=0)
    chosen = {
        "all": np.ones_like(zero),
        "only0": zero,
        "if0all": np.full_like(zero, zero.any()),
        "none": np.zeros_like(zero),
    }[to]
    extra = np.where(chosen, add, 0.0)
    found = dict(columns)
    for name in pairs:
        found[name] = columns[name] + extra
        if has_rest:
            found[size[name]] = columns[size[name]] + 2 * extra
    if drop00 and len(pairs) == 2:
        both = (events == 0).all(axis=0) | ((rest == 0).all(axis=0) & has_rest)
        found = {name: np.where(both, np.nan, values) for name, values in found.items()}
    return found
