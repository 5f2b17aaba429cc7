"""Events pooled from the cells themselves: Mantel-Haenszel and Peto, no 1/2 added.

Both hold one common effect. They serve where events are few (Cochrane Handbook 10.4.4); with
between-trial variance pool the effects of `effects.measures.effect_size` instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special

from backpain_analysis.effects.formulas import Columns, observed_less_expected
from backpain_analysis.effects.measures import effect_size
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.results import (
    TableResult,
    check_choices,
    checked_level,
    quantile,
    two_sided_p,
)
from backpain_analysis.words import did_you_mean, effect_interval, measure_words, p_text, plural


@dataclass(frozen=True, repr=False)
class EventsResult(TableResult):
    """A common effect from the cells of several trials.

    Attributes
    ----------
    measure : str
    estimate, se, ci_low, ci_high, p_value : float
        On the scale of the analysis: logs of ratios.
    q, q_df, q_p : float
        Cochran's test of heterogeneity, of the single effects (with 1/2 where a cell is zero;
        without trials where no one or everyone had the event).
    i2 : float
        In per cent.
    cmh, cmh_p : float
        Cochran-Mantel-Haenszel test of no association; missing for RR, RD, IRD and Peto's method.
    tarone, tarone_p : float
        Tarone's test that odds ratios are alike; missing for other measures.
    n_trials : int
        All trials given.
    silent : int
        Trials that say nothing, as no one or everyone had the event.
    n_participants : int or None
        None for person-time.
    level : float
    method : str

    Examples
    --------
    >>> events = {
    ...     "events1": [5, 11, 8],
    ...     "n1": [28, 145, 60],
    ...     "events2": [23, 17, 14],
    ...     "n2": [124, 133, 58],
    ... }
    >>> result = bp.mantel_haenszel("RR", **events)
    >>> round(result.estimate, 3)
    -0.421
    """

    measure: str
    estimate: float
    se: float
    ci_low: float
    ci_high: float
    p_value: float
    q: float
    q_df: int
    q_p: float
    i2: float
    cmh: float
    cmh_p: float
    tarone: float
    tarone_p: float
    n_trials: int
    silent: int
    n_participants: int | None
    level: float
    method: str

    @property
    def params(self) -> pd.Series:
        return pd.Series({self.measure: self.estimate})

    @property
    def bse(self) -> pd.Series:
        return pd.Series({self.measure: self.se})

    def conf_int(self, level: float | None = None) -> pd.DataFrame:
        """The interval, columns `ci_low` and `ci_high`."""
        half = quantile(self.level if level is None else checked_level(level), np.inf) * self.se
        ends = {"ci_low": [self.estimate - half], "ci_high": [self.estimate + half]}
        return pd.DataFrame(ends, index=[self.measure])

    def __str__(self) -> str:
        interval = effect_interval(self.estimate, self.ci_low, self.ci_high, self.measure)
        return (
            f"{self.method}: {measure_words(self.measure)} {interval}, {p_text(self.p_value)}; "
            f"{plural(self.n_trials, 'trial')}."
        )

    def _title(self) -> str:
        return f"{self.method}, {measure_words(self.measure)}"


def mantel_haenszel(
    measure: str = "RR", *, level: float = 0.95, correct: bool = True, **columns: ArrayLike
) -> EventsResult:
    """Pool events by Mantel and Haenszel.

    Variances: OR Robins, Breslow & Greenland 1986 (doi 10.2307/2531053); RR, IRR and IRD Greenland
    & Robins 1985 (doi 10.2307/2530643) and Rothman, Greenland & Lash 2008 (Modern Epidemiology,
    ch. 15); RD Sato, Greenland & Robins 1989 (doi 10.2307/2531784). Tests: Mantel & Haenszel 1959
    (doi 10.1093/jnci/22.4.719), Tarone 1985 (doi 10.1093/biomet/72.1.91).

    Parameters
    ----------
    measure : {"RR", "OR", "RD", "IRR", "IRD"}
    level : float
    correct : bool
        Continuity correction of 1/2 in the Cochran-Mantel-Haenszel test.
    **columns : array_like, shape (k,)
        `events1, n1, events2, n2`, or `events1, time1, events2, time2` for rates. Trials with a
        missing value are left out.

    Returns
    -------
    EventsResult

    Raises
    ------
    ValueError
        For an unknown measure, and as `effect_size`.
    CannotEstimate
        If no trial, or for a ratio only one of the groups, has events.

    Examples
    --------
    >>> cells = {"events1": [5, 11], "n1": [28, 145], "events2": [23, 17], "n2": [124, 133]}
    >>> print(mantel_haenszel("RR", **cells))
    Mantel-Haenszel: risk ratio 0.71 (95% CI 0.41 to 1.24), P = 0.23; 2 trials.
    """
    if measure not in METHODS:
        raise ValueError(f"unknown measure {measure!r}. {did_you_mean(measure, METHODS)}")
    check_choices(level)
    cells, single = _cells(measure, columns)
    estimate, variance = METHODS[measure](cells)
    if not (np.isfinite(estimate) and variance > 0):
        raise CannotEstimate(
            "the trials have no events in one of the groups",
            "a risk difference (measure='RD') can still be pooled",
        )
    cmh = tarone = (np.nan, np.nan)
    if measure in ("OR", "IRR"):
        cmh = _cmh(cells, correct)
    if measure == "OR":
        tarone = _tarone(cells, float(np.exp(estimate)))
    return _result(
        measure, estimate, variance, cells, single, level, "Mantel-Haenszel", cmh, tarone
    )


def peto(*, level: float = 0.95, **columns: ArrayLike) -> EventsResult:
    """Pool odds ratios by Peto's method, `sum(O - E)/sum(V)`.

    For rare events, effects that are not large and groups of similar size (Yusuf et al. 1985,
    doi 10.1016/S0033-0620(85)80003-7; Cochrane Handbook 10.4.2).

    Parameters
    ----------
    level : float
    **columns : array_like, shape (k,)
        `events1, n1, events2, n2`.

    Returns
    -------
    EventsResult

    Raises
    ------
    ValueError
        As `effect_size`.
    CannotEstimate
        If no trial has events.

    Examples
    --------
    >>> events = {
    ...     "events1": [5, 11, 8],
    ...     "n1": [28, 145, 60],
    ...     "events2": [23, 17, 14],
    ...     "n2": [124, 133, 58],
    ... }
    >>> round(bp.peto(**events).estimate, 3)
    -0.487
    """
    check_choices(level)
    cells, _ = _cells("PETO", columns)
    excess, variance = observed_less_expected(cells)
    total = float(variance.sum())
    if not total > 0:
        raise CannotEstimate("no trial has both people with the event and people without it")
    tells = variance > 0
    single = pd.DataFrame(
        {"yi": excess[tells] / variance[tells], "vi": 1 / variance[tells]},
    )
    nothing = (np.nan, np.nan)
    return _result(
        "PETO", excess.sum() / total, 1 / total, cells, single, level, "Peto", nothing, nothing
    )


def _cells(measure: str, columns: dict[str, Any]) -> tuple[Columns, pd.DataFrame]:
    """The counts of the complete trials, and their single effects."""
    single = effect_size(measure, drop00=True, **columns)
    table = pd.DataFrame({name: np.asarray(c, dtype=float) for name, c in columns.items()})
    whole = table.notna().all(axis=1).to_numpy()
    if not whole.any():
        raise CannotEstimate("no trial has events and totals in both groups")
    return {name: table.loc[whole, name].to_numpy() for name in table}, single.dropna()


def _result(
    measure: str,
    estimate: float,
    variance: float,
    cells: Columns,
    single: pd.DataFrame,
    level: float,
    method: str,
    cmh: tuple[float, float],
    tarone: tuple[float, float],
) -> EventsResult:
    se = float(np.sqrt(variance))
    half = quantile(checked_level(level), np.inf) * se
    q = float(((single["yi"] - estimate) ** 2 / single["vi"]).sum())
    q_df = len(single) - 1
    people = None if "time1" in cells else int(cells["n1"].sum() + cells["n2"].sum())
    return EventsResult(
        measure=measure,
        estimate=float(estimate),
        se=se,
        ci_low=float(estimate - half),
        ci_high=float(estimate + half),
        p_value=float(two_sided_p(np.array(estimate / se), np.inf)),
        q=q,
        q_df=q_df,
        q_p=float(special.chdtrc(q_df, q)) if q_df else np.nan,
        i2=100 * max(0.0, (q - q_df) / q) if q > 0 else 0.0,
        cmh=cmh[0],
        cmh_p=cmh[1],
        tarone=tarone[0],
        tarone_p=tarone[1],
        n_trials=len(cells["events1"]),
        silent=int((~_tells(cells)).sum()),
        n_participants=people,
        level=level,
        method=method,
    )


def _tells(c: Columns) -> np.ndarray:
    some = c["events1"] + c["events2"] > 0
    return some if "time1" in c else some & (c["events1"] + c["events2"] < c["n1"] + c["n2"])


def _log_ratio(up: np.ndarray, down: np.ndarray) -> float:
    return float(np.log(up.sum() / down.sum())) if up.sum() > 0 and down.sum() > 0 else np.nan


def _odds_ratio(c: Columns) -> tuple[float, float]:
    a, c_ = c["events1"], c["events2"]
    b, d = c["n1"] - a, c["n2"] - c_
    total = c["n1"] + c["n2"]
    R, S, P, Q = a * d / total, b * c_ / total, (a + d) / total, (b + c_) / total
    estimate, up, down = _log_ratio(R, S), R.sum(), S.sum()
    if np.isnan(estimate):
        return np.nan, np.nan
    parts = (P * R).sum() / up**2 + (P * S + Q * R).sum() / (up * down) + (Q * S).sum() / down**2
    return estimate, float(parts / 2)


def _risk_ratio(c: Columns) -> tuple[float, float]:
    a, b, n1, n2 = c["events1"], c["events2"], c["n1"], c["n2"]
    total = n1 + n2
    up, down = a * n2 / total, b * n1 / total
    estimate = _log_ratio(up, down)
    if np.isnan(estimate):
        return np.nan, np.nan
    terms = (n1 * n2 * (a + b) - a * b * total) / total**2
    return estimate, float(terms.sum() / (up.sum() * down.sum()))


def _risk_difference(c: Columns) -> tuple[float, float]:
    a, b, n1, n2 = c["events1"], c["events2"], c["n1"], c["n2"]
    total = n1 + n2
    weight = (n1 * n2 / total).sum()
    estimate = ((a * n2 - b * n1) / total).sum() / weight
    P = (n1**2 * b - n2**2 * a + n1 * n2 * (n2 - n1) / 2) / total**2
    Q = (a * (n2 - b) + b * (n1 - a)) / (2 * total)
    return float(estimate), float((estimate * P.sum() + Q.sum()) / weight**2)


def _rate_ratio(c: Columns) -> tuple[float, float]:
    x1, x2, t1, t2 = c["events1"], c["events2"], c["time1"], c["time2"]
    total = t1 + t2
    up, down = x1 * t2 / total, x2 * t1 / total
    estimate = _log_ratio(up, down)
    if np.isnan(estimate):
        return np.nan, np.nan
    spread = (t1 * t2 * (x1 + x2) / total**2).sum()
    return estimate, float(spread / (up.sum() * down.sum()))


def _rate_difference(c: Columns) -> tuple[float, float]:
    x1, x2, t1, t2 = c["events1"], c["events2"], c["time1"], c["time2"]
    weight = t1 * t2 / (t1 + t2)
    estimate = (weight * (x1 / t1 - x2 / t2)).sum() / weight.sum()
    spread = (weight**2 * (x1 / t1**2 + x2 / t2**2)).sum()
    return float(estimate), float(spread / weight.sum() ** 2)


METHODS: dict[str, Callable[[Columns], tuple[float, float]]] = {
    "RR": _risk_ratio,
    "OR": _odds_ratio,
    "RD": _risk_difference,
    "IRR": _rate_ratio,
    "IRD": _rate_difference,
}


def _cmh(c: Columns, correct: bool) -> tuple[float, float]:
    if "time1" in c:
        events, total = c["events1"] + c["events2"], c["time1"] + c["time2"]
        excess = c["events1"] - events * c["time1"] / total
        variance = events * c["time1"] * c["time2"] / total**2
    else:
        excess, variance = observed_less_expected(c)
    distance = max(0.0, abs(excess.sum()) - (0.5 if correct else 0.0))
    statistic = float(distance**2 / variance.sum())
    return statistic, float(special.chdtrc(1, statistic))


def _tarone(c: Columns, ratio: float) -> tuple[float, float]:
    tells = _tells(c)
    a, n1, n2 = c["events1"][tells], c["n1"][tells], c["n2"][tells]
    events = a + c["events2"][tells]
    over = 1 - ratio
    b = n2 - events + ratio * (n1 + events)
    if abs(over) < 1e-12:
        expected = events * n1 / (n1 + n2)
    else:
        expected = (b - np.sqrt(b**2 - 4 * ratio * (ratio - 1) * n1 * events)) / (2 * (ratio - 1))
    variance = 1 / (
        1 / expected + 1 / (events - expected) + 1 / (n1 - expected) + 1 / (n2 - events + expected)
    )
    excess = a - expected
    statistic = float((excess**2 / variance).sum() - excess.sum() ** 2 / variance.sum())
    df = int(tells.sum()) - 1
    return statistic, float(special.chdtrc(df, statistic)) if df else np.nan
