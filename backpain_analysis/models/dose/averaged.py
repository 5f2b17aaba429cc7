"""Doses that several curves name together, each by its weight: the choice of curve included.

No curve is known to be the right one, so an interval from one of them alone is too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import optimize, special

from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.dose.curves import Constant
from backpain_analysis.models.dose.result import DoseResponseResult
from backpain_analysis.models.dose.search import (
    GRID,
    DoseEstimate,
    best_doses,
    edge_note,
    reach_note,
)

DRAWS = 4000


def _grid(fits: Sequence[DoseResponseResult]) -> np.ndarray:
    """From the smallest dose above zero to the largest."""
    studied = fits[0].studied
    return np.linspace(studied[studied > 0][0], studied[-1], GRID)


def effect_at(
    fits: Sequence[DoseResponseResult], weights: ArrayLike, dose: float
) -> tuple[float, float, float, float]:
    """The averaged mean effect of a dose, its interval, and the P value of no effect.

    The interval has model-averaged tail areas: with T(x) the weighted mean of the curves'
    `Pr(t > (x - f) / se)`, it ends where T is the tail probability or one minus it (Turek &
    Fletcher 2012, doi 10.1016/j.csda.2012.03.002).

    Parameters
    ----------
    fits : sequence of DoseResponseResult
        Of the same effects.
    weights : array_like
        Their weights, summing to one.
    dose : float
    """
    w = np.asarray(weights, dtype=float)
    mean, se, halves = np.array([fit.effect_at(dose) for fit in fits]).T
    df = np.array([fit.df_at(dose) for fit in fits])

    def above(x: float) -> float:
        """Averaged probability of an effect above x."""
        return float(w @ special.stdtr(df, (mean - x) / se))

    tail = (1 - fits[0].level) / 2
    start = float((mean - halves).min() - se.max())
    end = float((mean + halves).max() + se.max())
    ci_low = optimize.brentq(lambda x: above(x) - (1 - tail), start, end)
    ci_high = optimize.brentq(lambda x: above(x) - tail, start, end)
    p_value = 2 * min(above(0.0), 1 - above(0.0))
    return float(w @ mean), float(ci_low), float(ci_high), p_value


def dose_reaching(
    fits: Sequence[DoseResponseResult], weights: pd.Series, effect: float
) -> DoseEstimate:
    """The lowest dose studied whose averaged mean effect reaches `effect`.

    The interval is by test inversion with model-averaged tail areas: with P(d) the weighted mean
    of the curves' `Pr(t > (effect - f(d)) / se)`, on the side of benefit, it begins where P first
    passes the tail probability and ends where 1 - P first falls below it (Turek & Fletcher 2012,
    doi 10.1016/j.csda.2012.03.002, for the tail areas). An end that is not reached is missing.

    Parameters
    ----------
    fits : sequence of DoseResponseResult
        Of the same effects.
    weights : array_like
        Their weights, summing to one.
    effect : float
        Its sign gives the direction.
    """
    doses, sign = _grid(fits), float(np.sign(effect))
    mean, certain = np.zeros(GRID), np.zeros(GRID)
    for fit, weight in zip(fits, np.asarray(weights, dtype=float), strict=True):
        base = fit.reference_dose
        rows, own = fit.gradient(doses, base), fit.mean(doses, base)
        with np.errstate(divide="ignore"):  # the reference dose itself has no error
            beyond = sign * (own - effect) / fit.se_of(rows)
        mean += weight * own
        certain += weight * special.stdtr(fit.df_of(rows), beyond)
    tail = (1 - fits[0].level) / 2
    estimate = _first_above(doses, sign * (mean - effect))
    first, last = _first_above(doses, certain - tail), _first_above(doses, certain - (1 - tail))
    reached = bool(np.isfinite(estimate))
    return DoseEstimate(
        estimate=estimate,
        ci_low=first,
        ci_high=last,
        effect=float(np.interp(estimate, doses, mean)) if reached else np.nan,
        low=float(doses[0]),
        high=float(doses[-1]),
        reached=reached,
        at_edge=estimate in (doses[0], doses[-1]),
        note=reach_note(effect, estimate, first, last, doses[0], doses[-1]),
    )


def _first_above(doses: np.ndarray, values: np.ndarray) -> float:
    """Where the values, joined by lines, first are zero or above; NaN where they never are."""
    there = np.flatnonzero(values >= 0)
    if not len(there):
        return np.nan
    place = int(there[0])
    if place == 0:
        return float(doses[0])
    before, after = values[place - 1], values[place]
    return float(doses[place - 1] + (doses[place] - doses[place - 1]) * before / (before - after))


def dose_of_optimum(
    fits: Sequence[DoseResponseResult],
    weights: ArrayLike,
    *,
    best: str = "lowest",
    seed: int = 1,
) -> DoseEstimate:
    """The dose studied with the best averaged mean effect.

    Of each curve coefficients are drawn in proportion to its weight, as in `result.
    dose_of_optimum`, and the interval holds the middle of all best doses. A constant effect has
    no best dose: its weight goes to the others.

    Raises
    ------
    CannotEstimate
        If there is no other curve.
    """
    sign = {"lowest": 1.0, "highest": -1.0}[best]
    bent = [
        (fit, weight)
        for fit, weight in zip(fits, np.asarray(weights, dtype=float), strict=True)
        if not isinstance(fit.curve, Constant)
    ]
    total = sum(weight for _, weight in bent)
    if not total > 0:
        raise CannotEstimate("a constant effect has no best dose")
    doses, rng = _grid(fits), np.random.default_rng(seed)
    mean = sum((weight / total * fit.mean(doses) for fit, weight in bent), np.zeros(GRID))
    drawn = np.concatenate(
        [best_doses(fit, doses, sign, round(DRAWS * weight / total), rng) for fit, weight in bent]
    )
    tail = (1 - fits[0].level) / 2
    ci_low, ci_high = np.quantile(drawn, [tail, 1 - tail])
    place = int(np.argmin(sign * mean))
    return DoseEstimate(
        estimate=float(doses[place]),
        ci_low=float(ci_low),
        ci_high=float(ci_high),
        effect=float(mean[place]),
        low=float(doses[0]),
        high=float(doses[-1]),
        reached=True,
        at_edge=place in (0, GRID - 1),
        note=edge_note(doses, place, drawn, tail),
    )
