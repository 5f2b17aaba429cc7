"""Dose-response curves: how a dose becomes columns of the model matrix.

A curve is fitted to differences from a reference dose, so no curve has an intercept; the columns
of a contrast are `basis(dose) - basis(reference dose)`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, Self

import numpy as np

QUANTILES = {
    3: (0.10, 0.50, 0.90),
    4: (0.05, 0.35, 0.65, 0.95),
    5: (0.05, 0.275, 0.50, 0.725, 0.95),
}
"""Knot positions of Harrell 2015 (Regression Modeling Strategies, 2nd ed., table 2.3)."""


class Curve(Protocol):
    """What the dose-response model asks of a curve."""

    name: str

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the linear coefficients, one a column of the basis."""

    @property
    def shape_terms(self) -> tuple[str, ...]:
        """Names of the parameters the curve is not linear in; empty for most."""

    @property
    def shape(self) -> tuple[float, ...]:
        """Their values."""

    def prepare(self, doses: np.ndarray) -> Curve:
        """The curve with whatever it takes from the data (knots)."""

    @property
    def n_estimated(self) -> int:
        """How many parameters besides the linear coefficients were found by likelihood."""

    def settle(self, height: Callable[[Curve], float], doses: np.ndarray) -> Curve:
        """The curve with its shape found: that of the highest `height` (log-likelihood)."""

    def basis(self, doses: np.ndarray) -> np.ndarray:
        """Columns at `doses` (n,), shape (n, number of terms)."""

    def gradient(self, doses: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        """Derivatives of `basis @ coefficients` by them and by the shape, (n, terms + shape)."""


class LinearInParameters:
    """Base of the curves without shape parameters."""

    shape_terms: ClassVar[tuple[str, ...]] = ()
    shape: ClassVar[tuple[float, ...]] = ()
    n_estimated: ClassVar[int] = 0

    def prepare(self, doses: np.ndarray) -> Self:
        """These curves take nothing from the data."""
        return self

    def settle(self, height: Callable[[Self], float], doses: np.ndarray) -> Self:
        """There is nothing to settle."""
        return self

    def gradient(self, doses: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        """The basis itself."""
        return self.basis(doses)


@dataclass(frozen=True)
class Linear(LinearInParameters):
    """A constant effect a unit of dose."""

    name: str = "linear"

    @property
    def terms(self) -> tuple[str, ...]:
        return ("dose",)

    def basis(self, doses: np.ndarray) -> np.ndarray:
        return np.asarray(doses, dtype=float)[:, None]


@dataclass(frozen=True)
class Quadratic(LinearInParameters):
    """`d` and `d^2`: one bend, and so an optimum."""

    name: str = "quadratic"

    @property
    def terms(self) -> tuple[str, ...]:
        return ("dose", "dose^2")

    def basis(self, doses: np.ndarray) -> np.ndarray:
        d = np.asarray(doses, dtype=float)
        return np.column_stack([d, d**2])


@dataclass(frozen=True)
class Log(LinearInParameters):
    """`log(1 + d)`: each further unit of dose adds less. Depends on the unit of dose."""

    name: str = "log"

    @property
    def terms(self) -> tuple[str, ...]:
        return ("log(1 + dose)",)

    def basis(self, doses: np.ndarray) -> np.ndarray:
        return np.log1p(np.asarray(doses, dtype=float))[:, None]


@dataclass(frozen=True)
class PiecewiseLinear(LinearInParameters):
    """Two straight lines that meet at a given dose: `d` and `max(d - break, 0)`."""

    at: float
    name: str = "piecewise"

    @property
    def terms(self) -> tuple[str, ...]:
        return ("dose", "dose beyond the break")

    def prepare(self, doses: np.ndarray) -> PiecewiseLinear:
        """Check that the break lies inside the data.

        Raises
        ------
        ValueError
        """
        check_inside("break", self.at, doses)
        return self

    def basis(self, doses: np.ndarray) -> np.ndarray:
        d = np.asarray(doses, dtype=float)
        return np.column_stack([d, np.maximum(d - self.at, 0)])


def check_inside(what: str, value: float, doses: np.ndarray) -> None:
    """Refuse a dose outside the data.

    Raises
    ------
    ValueError
    """
    if not doses.min() < value < doses.max():
        raise ValueError(
            f"the {what} at {value:g} lies outside the doses, which run from {doses.min():g} to "
            f"{doses.max():g}: move it inside."
        )


@dataclass(frozen=True)
class RestrictedCubicSpline(LinearInParameters):
    """Cubic between the knots, linear outside them.

    Source: Harrell 2015, section 2.4.5; columns divided by the squared distance of the outer
    knots, as in his `rcspline.eval`.

    Attributes
    ----------
    knots : tuple of float, optional
        In units of dose; None takes the quantiles `QUANTILES[n_knots]` of all doses.
    n_knots : int
        3, 4 or 5, where `knots` is not given.
    """

    knots: tuple[float, ...] | None = None
    n_knots: int = 3
    name: str = "rcs"

    @property
    def terms(self) -> tuple[str, ...]:
        count = self.n_knots if self.knots is None else len(self.knots)
        return ("dose", *(f"dose, spline {j + 1}" for j in range(count - 2)))

    def prepare(self, doses: np.ndarray) -> RestrictedCubicSpline:
        """Place the knots.

        Raises
        ------
        ValueError
            If knots coincide, are fewer than three, or lie outside the doses.
        """
        doses = np.asarray(doses, dtype=float)
        if self.knots is None:
            if self.n_knots not in QUANTILES:
                raise ValueError(f"{self.n_knots} knots: give 3, 4 or 5, or the knots themselves.")
            knots = np.quantile(doses, QUANTILES[self.n_knots])
            cure = "give knots yourself, or use a simpler curve"
        else:
            knots = np.array(sorted(self.knots), dtype=float)
            cure = "give at least three different knots"
        if len(knots) < 3 or np.any(np.diff(knots) <= 0):
            raise ValueError(
                f"knots at {', '.join(f'{knot:g}' for knot in knots)} are fewer than three or "
                f"coincide: {cure}."
            )
        if knots[0] < doses.min() or knots[-1] > doses.max():
            raise ValueError(
                f"knots from {knots[0]:g} to {knots[-1]:g} lie outside the doses, which run from "
                f"{doses.min():g} to {doses.max():g}: move them inside."
            )
        return replace(self, knots=tuple(float(knot) for knot in knots))

    def basis(self, doses: np.ndarray) -> np.ndarray:
        d = np.asarray(doses, dtype=float)[:, None]
        t = np.asarray(self.knots)
        inner, last, before = t[:-2], t[-1], t[-2]

        def cube(x: np.ndarray) -> np.ndarray:
            return np.maximum(x, 0) ** 3

        spline = (
            cube(d - inner)
            - cube(d - before) * (last - inner) / (last - before)
            + cube(d - last) * (before - inner) / (last - before)
        )
        return np.column_stack([d, spline / (last - t[0]) ** 2])
