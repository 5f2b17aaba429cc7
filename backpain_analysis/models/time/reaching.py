"""Weeks until a share of the maximal effect is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from backpain_analysis.models.time.curves import half_times

if TYPE_CHECKING:
    from backpain_analysis.models.time.result import TimeCourseResult

GRID = 801
DRAWS = 4000


@dataclass(frozen=True)
class TimeEstimate:
    """Weeks until a share of the maximal effect, with their interval.

    Attributes
    ----------
    fraction : float
    estimate : float
        Missing where the data do not give one; `note` says why.
    ci_low, ci_high : float
        0 and infinity where the data set no limit; both missing without an interval.
    note : str
        What limits the answer, for readers; empty where nothing does.
    """

    fraction: float
    estimate: float
    ci_low: float
    ci_high: float
    note: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as for JSON."""
        return dict(vars(self))


def weeks_to(result: TimeCourseResult, fraction: float, *, seed: int = 1) -> TimeEstimate:
    """Weeks until `fraction` of the maximal effect is there.

    Curves that approach a maximum: a known multiple of their half-time, whose interval is that
    of its profile likelihood (see `profile.half_time`); one-sided or missing where the data set
    fewer limits. Other curves: of their largest effect between randomisation and the last
    follow-up, with a percentile interval over curves drawn from the joint distribution of the
    coefficients (as `dose_search.dose_of_optimum`); missing where the curve has no maximum there.

    Parameters
    ----------
    result : TimeCourseResult
    fraction : float
        Strictly between 0 and 1.
    seed : int
        Of the drawn curves.

    Returns
    -------
    TimeEstimate

    Raises
    ------
    ValueError
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction {fraction} must lie between 0 and 1.")
    if result.half_time is None:
        return _on_curve(result, fraction, seed)
    half, times = result.half_time, half_times(result.asked, fraction)
    note = result.note
    if not note and half.low == 0 and np.isinf(half.high):
        note = "the data rule out neither an immediate effect nor one that still grows"
    elif not note and np.isinf(half.high):
        note = "no upper limit: an effect that still grows at the last follow-up is plausible"
    elif not note and half.low == 0:
        note = "no lower limit: an immediate effect is plausible"
    return TimeEstimate(fraction, times * half.estimate, times * half.low, times * half.high, note)


def _on_curve(result: TimeCourseResult, fraction: float, seed: int) -> TimeEstimate:
    if result.curve.name == "constant":
        why = "the curve gives the same effect at all times"
        return TimeEstimate(fraction, np.nan, np.nan, np.nan, why)
    grid = np.linspace(0, result.last_week, GRID)
    rows, mean = result.fit.gradient(grid), result.fit.mean(grid)
    largest = int(np.argmax(np.abs(mean)))
    if largest == GRID - 1:
        why = f"the effect still grows at the last follow-up (week {result.last_week:g})"
        return TimeEstimate(fraction, np.nan, np.nan, np.nan, why)
    towards = np.sign(mean[largest])
    estimate = grid[_first_reaching(towards * mean[None], fraction)[0]]
    cov, df = result.fit.cov.to_numpy(), float(np.min(result.fit.df))
    rng = np.random.default_rng(seed)
    deviations = rng.standard_normal((DRAWS, len(cov))) @ np.linalg.cholesky(cov).T
    if np.isfinite(df):
        deviations *= np.sqrt(df / rng.chisquare(df, size=(DRAWS, 1)))
    drawn = towards * (mean + deviations @ rows.T)
    turning = np.argmax(drawn, axis=1) < GRID - 1
    tail = (1 - result.level) / 2
    if np.mean(~turning) > tail:
        note = f"{np.mean(~turning):.0%} of plausible curves still grow at the last follow-up"
        return TimeEstimate(fraction, float(estimate), np.nan, np.nan, note)
    weeks = grid[_first_reaching(drawn[turning], fraction)]
    low, high = np.quantile(weeks, [tail, 1 - tail])
    return TimeEstimate(fraction, float(estimate), float(low), float(high), "")


def _first_reaching(curves: np.ndarray, fraction: float) -> np.ndarray:
    """Place on the grid where each curve first reaches a share of its maximum."""
    return np.argmax(curves >= fraction * curves.max(axis=1, keepdims=True), axis=1)
