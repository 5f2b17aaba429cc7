"""Curves of an effect over time: nothing at randomisation, then towards a maximum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from backpain_analysis.models.curve_names import named
from backpain_analysis.models.curves import Curve, LinearInParameters, RestrictedCubicSpline
from backpain_analysis.models.shaped_curves import Emax, Shaped

KNOT_QUANTILES = (0.10, 0.50, 0.90)
NAMES = ("exponential", "emax", "rcs", "linear", "log", "quadratic", "constant")


@dataclass(frozen=True)
class Exponential(Shaped):
    """`E (1 - 2^(-t/h))`: approaches E at the rate `ln 2 / h`, half of it at week h.

    Source: first-order approach to a plateau, as in time-course meta-analysis (Pedder et al.
    2019, doi 10.1002/jrsm.1351).
    """

    name: str = "exponential"
    terms: ClassVar[tuple[str, ...]] = ("maximal effect",)
    shape_terms: ClassVar[tuple[str, ...]] = ("half-time",)

    def from_free(self, free: np.ndarray) -> tuple[float, ...]:
        return (float(np.exp(free[0])),)

    def basis(self, doses: np.ndarray) -> np.ndarray:
        t = np.asarray(doses, dtype=float)
        return -np.expm1(-np.log(2) * t / self.values[0])[:, None]

    def gradient(self, doses: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        t, half = np.asarray(doses, dtype=float), self.values[0]
        slope = -coefficients[0] * np.log(2) * t / half**2 * 2 ** (-t / half)
        return np.column_stack([self.basis(t)[:, 0], slope])


@dataclass(frozen=True)
class EmaxInTime(Emax):
    """`E t / (h + t)`: approaches E more slowly than the exponential, half of it at week h."""

    terms: ClassVar[tuple[str, ...]] = ("maximal effect",)
    shape_terms: ClassVar[tuple[str, ...]] = ("half-time",)


@dataclass(frozen=True)
class Constant(LinearInParameters):
    """The same effect at all times after randomisation: an approach too fast to be seen."""

    name: str = "constant"

    @property
    def terms(self) -> tuple[str, ...]:
        return ("effect",)

    def basis(self, doses: np.ndarray) -> np.ndarray:
        return (np.asarray(doses, dtype=float) > 0).astype(float)[:, None]


APPROACHES = {"exponential": Exponential(), "emax": EmaxInTime()}
"""Curves with a maximum that is approached, and a half-time."""


def half_times(name: str, fraction: float) -> float:
    """Half-times until this fraction of the maximal effect is reached."""
    if name == "emax":
        return fraction / (1 - fraction)
    return float(-np.log2(1 - fraction))


def time_curve(curve: str | Curve, weeks: np.ndarray) -> Curve:
    """A curve by its name, splines with knots at quantiles of the weeks; or the curve itself.

    Raises
    ------
    ValueError
        For an unknown name.
    """
    if not isinstance(curve, str):
        return curve
    if curve not in NAMES:
        raise ValueError(f"unknown curve {curve!r}: use one of {', '.join(NAMES)}.")
    if curve == "rcs":
        knots = np.unique(np.quantile(weeks, KNOT_QUANTILES))
        return RestrictedCubicSpline(knots=tuple(float(knot) for knot in knots))
    return {**APPROACHES, "constant": Constant()}.get(curve) or named(curve)
