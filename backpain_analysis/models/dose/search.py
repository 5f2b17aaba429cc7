"""The dose that first reaches an effect, and the best dose, of any curve with its covariance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import pandas as pd
import scipy

from backpain_analysis.models.dose.curves import Curve
from backpain_analysis.models.results import quantile

GRID = 801

NEAR = 1e-9
"""Doses that differ by less, relatively, are the same."""


class FittedCurve(Protocol):
    """What the search for a dose asks of a fitted curve."""

    @property
    def cov(self) -> pd.DataFrame:
        """Covariance of the parameters, shape (k, k)."""

    @property
    def df(self) -> Any:
        """Degrees of freedom: one for all parameters, or one each."""

    @property
    def level(self) -> float:
        """Of confidence."""

    @property
    def reference_dose(self) -> float:
        """The dose that effects are against."""

    def mean(self, doses: np.ndarray, reference: float = ...) -> np.ndarray:
        """Mean effects against the reference dose, shape (n,)."""

    def gradient(self, doses: np.ndarray, reference: float = ...) -> np.ndarray:
        """Derivatives of the mean effects by the parameters, shape (n, k)."""

    def critical(self, rows: np.ndarray) -> np.ndarray:
        """Critical values of combinations of the parameters, shape (n,)."""


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


def dose_reaching(
    result: FittedCurve, effect: float, low: float, high: float, reference: float
) -> DoseEstimate:
    """The lowest dose whose mean effect reaches `effect`, with an interval by test inversion.

    The interval holds the doses at which the pointwise confidence interval of the curve contains
    `effect` before the effect is certainly reached: it starts where the favourable limit first
    reaches `effect` and ends where the unfavourable limit does (Fieller 1954,
    doi 10.1111/j.2517-6161.1954.tb00159.x: exact where the estimates are normal). A limit that
    is not reached between `low` and `high` is NaN.

    Parameters
    ----------
    result : FittedCurve
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

    def moved(dose: np.ndarray, shift: float) -> np.ndarray:
        """Distance of the curve, moved by so many half-intervals, from the effect; <= 0: there."""
        rows = result.gradient(dose, reference)
        half = result.critical(rows) * np.sqrt(np.einsum("ij,jk,ik->i", rows, cov, rows))
        return _shortfall(result, dose, effect, reference) - shift * half

    estimate = first_dose(result, effect, low, high, reference)
    first, last = (_first_crossing(partial(moved, shift=shift), low, high) for shift in (1, -1))
    reached = bool(np.isfinite(estimate))
    note = reach_note(effect, estimate, first, last, low, high)
    mean = float(result.mean(np.array([estimate]), reference)[0]) if reached else np.nan
    return DoseEstimate(
        estimate, first, last, mean, low, high, reached, estimate in (low, high), note
    )


def first_dose(
    result: FittedCurve, effect: float, low: float, high: float, reference: float
) -> float:
    """The lowest dose whose mean effect reaches `effect`, without its interval; NaN for none."""
    return _first_crossing(
        partial(_shortfall, result, effect=effect, reference=reference), low, high
    )


def _shortfall(
    result: FittedCurve, dose: np.ndarray, effect: float, reference: float
) -> np.ndarray:
    """Distance of the curve from the effect; not positive where it is there."""
    return np.sign(effect) * (effect - result.mean(dose, reference))


def reach_note(
    effect: float, estimate: float, first: float, last: float, low: float, high: float
) -> str:
    """What limits a dose that reaches an effect, searched from `low` to `high`."""
    if not np.isfinite(estimate):
        target = f"{effect:g}".replace("-", "−")
        note = f"the mean curve does not reach {target} up to the largest dose, {high:g}; "
        within = f"its confidence interval does from {first:.3g}"
        return note + (within if np.isfinite(first) else "neither does its confidence interval")
    notes = []
    if estimate == low > 0:
        notes.append(f"it is there already at the smallest dose studied, {low:g}")
    if not np.isfinite(last):
        notes.append(f"no upper limit: at {high:g} a smaller effect is still plausible")
    return "; ".join(notes)


def _first_crossing(function: Callable[[np.ndarray], np.ndarray], low: float, high: float) -> float:
    grid = np.linspace(low, high, GRID)
    values = function(grid)
    there = np.flatnonzero(values <= 0)
    if not len(there):
        return np.nan
    first = there[0]
    if first == 0:
        return low
    return float(
        scipy.optimize.brentq(
            lambda d: float(function(np.array([d]))[0]), grid[first - 1], grid[first]
        )
    )


def dose_of_optimum(
    result: FittedCurve,
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
    result : FittedCurve
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
    mean = result.mean(grid, result.reference_dose)
    place = int(np.argmin(sign * mean))
    doses = best_doses(result, grid, sign, draws, np.random.default_rng(seed))
    tail = (1 - result.level) / 2
    ci_low, ci_high = np.quantile(doses, [tail, 1 - tail])
    return DoseEstimate(
        float(grid[place]),
        float(ci_low),
        float(ci_high),
        float(mean[place]),
        low,
        high,
        True,
        place in (0, GRID - 1),
        edge_note(grid, place, doses, tail),
    )


def best_doses(
    result: FittedCurve,
    grid: np.ndarray,
    sign: float,
    draws: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """The dose of the grid with the lowest `sign` times effect of each drawn curve, (draws,)."""
    root = _root(result.cov.to_numpy())
    deviations = rng.standard_normal((draws, len(root))) @ root.T
    df = float(np.min(result.df))
    if np.isfinite(df):
        deviations *= np.sqrt(df / rng.chisquare(df, size=(draws, 1)))
    curves = result.mean(grid) + deviations @ result.gradient(grid).T
    return grid[np.argmin(sign * curves, axis=1)]


def _root(cov: np.ndarray) -> np.ndarray:
    """R with `R R' = cov`; a robust covariance of few clusters may lack full rank."""
    spread = np.sqrt(np.diag(cov))
    values, vectors = np.linalg.eigh(cov / np.outer(spread, spread))
    return spread[:, None] * vectors * np.sqrt(np.maximum(values, 0.0))


def edge_note(grid: np.ndarray, place: int, doses: np.ndarray, tail: float) -> str:
    """What limits a best dose: an edge of the data, in the mean curve or in the drawn ones."""
    if place in (0, len(grid) - 1):
        return (
            f"at the edge of the data ({grid[place]:g}): no turning point between the doses studied"
        )
    share = float(np.mean((doses == grid[0]) | (doses == grid[-1])))
    if share <= tail:
        return ""
    return f"{share:.0%} of plausible curves have their best dose at an edge of the data"


@dataclass(frozen=True)
class AgentCurve:
    """One agent's curve as `dose_search` reads it.

    Attributes
    ----------
    curve : Curve
    params, cov : Series, DataFrame
    df, level : float
    reference_dose : float
        Effects are against none of it.
    """

    curve: Curve
    params: pd.Series
    cov: pd.DataFrame
    df: float
    level: float
    reference_dose: float = 0.0

    def gradient(self, doses: np.ndarray, reference: float = 0.0) -> np.ndarray:
        """Derivatives of the mean effect by the parameters, shape (n_doses, k)."""
        linear = self.params.to_numpy()[: len(self.curve.terms)]
        base = self.curve.gradient(np.atleast_1d(float(reference)), linear)
        return self.curve.gradient(np.asarray(doses, dtype=float), linear) - base

    def mean(self, doses: np.ndarray, reference: float = 0.0) -> np.ndarray:
        """Mean effect of each dose against the reference dose, shape (n_doses,)."""
        linear = self.params.to_numpy()[: len(self.curve.terms)]
        base = self.curve.basis(np.atleast_1d(float(reference)))
        return (self.curve.basis(np.asarray(doses, dtype=float)) - base) @ linear

    def critical(self, rows: np.ndarray) -> np.ndarray:
        """Critical values, shape (n,)."""
        return np.full(len(rows), quantile(self.level, self.df))


def round_doses(largest: float) -> np.ndarray:
    """Five to ten round doses from zero to at most `largest`."""
    rough = largest / 8
    power = 10 ** np.floor(np.log10(rough))
    step = next(power * size for size in (1, 2, 2.5, 5, 10) if power * size >= rough)
    return np.arange(0, largest + step / 1e6, step)
