"""Doses read off a fitted curve: the one that first reaches an effect, and the best one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import optimize

if TYPE_CHECKING:
    from backpain_analysis.models.dose_result import DoseResponseResult

GRID = 801


@dataclass(frozen=True)
class DoseEstimate:
    """A dose with its interval.

    Attributes
    ----------
    estimate, ci_low, ci_high : float
        NaN for what is not reached between `low` and `high`.
    effect : float
        Mean effect at the estimate; NaN where there is none.
    low, high : float
        The doses searched.
    reached : bool
        Whether the mean curve reaches the effect (always true of an optimum).
    at_edge : bool
        Whether the estimate lies at `low` or `high`, so that the data show no turning point.
    note : str
        What limits the answer, for readers; empty where nothing does.
    """

    estimate: float
    ci_low: float
    ci_high: float
    effect: float
    low: float
    high: float
    reached: bool
    at_edge: bool
    note: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as for JSON."""
        return dict(vars(self))


def dose_reaching(
    result: DoseResponseResult, effect: float, low: float, high: float, reference: float
) -> DoseEstimate:
    """The lowest dose whose mean effect reaches `effect`, with an interval by test inversion.

    The interval holds the doses at which the pointwise confidence interval of the curve contains
    `effect` before the effect is certainly reached: it starts where the favourable limit first
    reaches `effect` and ends where the unfavourable limit does (Fieller 1954,
    doi 10.1111/j.2517-6161.1954.tb00159.x: exact where the estimates are normal). A limit that
    is not reached between `low` and `high` is NaN.

    Parameters
    ----------
    result : DoseResponseResult
    effect : float
        In units of the outcome; its sign gives the direction.
    low, high : float
        Doses between which to search.
    reference : float
        Dose the effect is a difference from.

    Returns
    -------
    DoseEstimate
    """
    cov = result.cov.to_numpy()

    def shortfall(dose: np.ndarray, shift: float) -> np.ndarray:
        """Distance of the curve, moved by so many half-intervals, from the effect; <= 0: there."""
        doses = np.atleast_1d(dose)
        rows = result.gradient(doses, reference)
        se = np.sqrt(np.einsum("ij,jk,ik->i", rows, cov, rows))
        half = shift * result.critical(rows) * se
        return np.sign(effect) * (effect - result.mean(doses, reference)) - half

    estimate, first, last = (
        _first_crossing(lambda d, s=s: shortfall(d, s), low, high) for s in (0, 1, -1)
    )
    reached = bool(np.isfinite(estimate))
    note = ""
    if not reached:
        target = f"{effect:g}".replace("-", "−")
        note = f"the mean curve does not reach {target} up to the largest dose, {high:g}; "
        within = f"its confidence interval does from {first:.3g}"
        note += within if np.isfinite(first) else "neither does its confidence interval"
    elif not np.isfinite(last):
        note = f"no upper limit: at {high:g} a smaller effect is still plausible"
    mean = float(result.mean(np.array([estimate]), reference)[0]) if reached else np.nan
    return DoseEstimate(estimate, first, last, mean, low, high, reached, estimate == high, note)


def _first_crossing(function, low: float, high: float) -> float:
    grid = np.linspace(low, high, GRID)
    values = function(grid)
    there = np.flatnonzero(values <= 0)
    if not len(there):
        return np.nan
    first = there[0]
    if first == 0:
        return low
    return float(
        optimize.brentq(lambda d: float(function(np.array([d]))[0]), grid[first - 1], grid[first])
    )


def dose_of_optimum(
    result: DoseResponseResult,
    low: float,
    high: float,
    *,
    best: str = "lowest",
    seed: int = 1,
    draws: int = 4000,
) -> DoseEstimate:
    """The dose with the best mean effect, with a percentile interval from the joint distribution.

    The coefficients are drawn from the multivariate t (normal for infinite degrees of freedom)
    of their estimates and the best dose of each drawn curve is found; draws whose best dose is at
    an edge count as that edge.

    Parameters
    ----------
    result : DoseResponseResult
    low, high : float
        Doses between which to search.
    best : {"lowest", "highest"}
        Which effect is best.
    seed, draws : int

    Returns
    -------
    DoseEstimate
    """
    sign = {"lowest": 1.0, "highest": -1.0}[best]
    grid = np.linspace(low, high, GRID)
    rows, mean = result.gradient(grid), result.mean(grid)
    cov = result.cov.to_numpy()
    place = int(np.argmin(sign * mean))
    rng = np.random.default_rng(seed)
    deviations = rng.standard_normal((draws, len(cov))) @ np.linalg.cholesky(cov).T
    df = float(np.min(result.df))
    if np.isfinite(df):
        deviations *= np.sqrt(df / rng.chisquare(df, size=(draws, 1)))
    doses = grid[np.argmin(sign * (mean + deviations @ rows.T), axis=1)]
    tail = (1 - result.level) / 2
    ci_low, ci_high = np.quantile(doses, [tail, 1 - tail])
    at_edge = place in (0, GRID - 1)
    share = float(np.mean((doses == low) | (doses == high)))
    note = ""
    if at_edge:
        note = (
            f"at the edge of the data ({grid[place]:g}): no turning point between the doses studied"
        )
    elif share > tail:
        note = f"{share:.0%} of plausible curves have their best dose at an edge of the data"
    return DoseEstimate(
        float(grid[place]),
        float(ci_low),
        float(ci_high),
        float(mean[place]),
        low,
        high,
        True,
        at_edge,
        note,
    )
