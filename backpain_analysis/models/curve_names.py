"""Curves by name."""

from __future__ import annotations

from collections.abc import Sequence

from backpain_analysis.models.curves import (
    Curve,
    Linear,
    Log,
    PiecewiseLinear,
    Quadratic,
    RestrictedCubicSpline,
)
from backpain_analysis.models.fractional_polynomials import FractionalPolynomial
from backpain_analysis.models.shaped_curves import Emax, EstimatedBreak, Hill
from backpain_analysis.models.surface import Surface

CURVES: dict[str, Curve] = {
    "linear": Linear(),
    "quadratic": Quadratic(),
    "log": Log(),
    "rcs": RestrictedCubicSpline(),
    "piecewise": EstimatedBreak(),
    "fp1": FractionalPolynomial(degree=1),
    "fp2": FractionalPolynomial(degree=2),
    "emax": Emax(),
    "hill": Hill(),
    "surface": Surface(),
}


def named(curve: str | Curve) -> Curve:
    """A curve by its name, or the curve itself.

    Raises
    ------
    ValueError
        For an unknown name.
    """
    if not isinstance(curve, str):
        return curve
    if curve not in CURVES:
        raise ValueError(f"unknown curve {curve!r}: use one of {', '.join(CURVES)}.")
    return CURVES[curve]


def rcs(knots: Sequence[float] | int = 3) -> RestrictedCubicSpline:
    """A restricted cubic spline with so many knots, or with these."""
    if isinstance(knots, int):
        return RestrictedCubicSpline(n_knots=knots)
    return RestrictedCubicSpline(knots=tuple(float(knot) for knot in knots))


def piecewise(at: float | None = None) -> PiecewiseLinear | EstimatedBreak:
    """Two straight lines that meet at a given dose, or at an estimated one."""
    return EstimatedBreak() if at is None else PiecewiseLinear(at)
