"""Dose-response curves: how a dose becomes columns of the model matrix.

A curve is fitted to differences from a reference dose, so no curve has an intercept; the columns
of a contrast are `basis(dose) - basis(reference dose)`. Curves with a step tell exercising at all
apart from the dose: see `AnyExercise`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations_with_replacement
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.dose.shaped import Emax, EstimatedBreak, Hill

QUANTILES = {
    3: (0.10, 0.50, 0.90),
    4: (0.05, 0.35, 0.65, 0.95),
    5: (0.05, 0.275, 0.50, 0.725, 0.95),
}
"""Knot positions of Harrell 2015 (Regression Modeling Strategies, 2nd ed., table 2.3)."""


Height = Callable[[Any], float]
"""Log-likelihood of the model with a given curve."""


class Curve(Protocol):
    """What the dose-response model asks of a curve."""

    @property
    def name(self) -> str:
        """What the curve is called."""

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

    def settle(self, height: Height, doses: np.ndarray) -> Curve:
        """The curve with its shape found: that of the highest `height` (log-likelihood)."""

    def basis(self, doses: np.ndarray) -> np.ndarray:
        """Columns at `doses` (n,), shape (n, number of terms)."""

    def gradient(self, doses: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        """Derivatives of `basis @ coefficients` by them and by the shape, (n, terms + shape)."""


class LinearInParameters:
    """Base of the curves without shape parameters."""

    shape_terms: ClassVar[tuple[str, ...]] = ()
    shape: ClassVar[tuple[float, ...]] = ()

    @property
    def n_estimated(self) -> int:
        """None of the parameters is found by likelihood but the linear coefficients."""
        return 0

    def prepare(self, doses: np.ndarray) -> Self:
        """These curves take nothing from the data."""
        return self

    def settle(self, height: Height, doses: np.ndarray) -> Self:
        """There is nothing to settle."""
        return self

    def basis(self, doses: np.ndarray) -> np.ndarray:
        """Columns at `doses`, shape (n, number of terms)."""
        raise NotImplementedError

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


ANY = "any exercise"
"""Name of the coefficient of exercising at all."""


@dataclass(frozen=True)
class Constant(LinearInParameters):
    """The same effect at every dose above zero: exercise against none, whatever the dose."""

    name: str = "constant"

    @property
    def terms(self) -> tuple[str, ...]:
        return (ANY,)

    def prepare(self, doses: np.ndarray) -> Constant:
        """Check that some arm had no dose.

        Raises
        ------
        CannotEstimate
            If none had.
        """
        _check_step(doses)
        return self

    def basis(self, doses: np.ndarray) -> np.ndarray:
        return (np.asarray(doses, dtype=float) > 0).astype(float)[:, None]


def _check_step(doses: np.ndarray) -> None:
    doses = np.asarray(doses, dtype=float)
    if doses.ndim > 1:
        raise ValueError("a step is for one dose: a surface has two.")
    if not (doses == 0).any() or not (doses > 0).any():
        raise CannotEstimate(
            "no arm without a dose is compared with one that has a dose, so the effect of any "
            "exercise is not to be had"
        )


@dataclass(frozen=True)
class AnyExercise:
    """A step at the first dose above zero, and a curve of what dose adds around a typical dose.

    `1(d > 0) [b0 + g(d) - g(typical)]`: b0 is the effect of the typical dose against none, g what
    dose adds or takes away among those who exercise. A curve without the step must pass through
    zero at no dose, so that its slope mixes the effect of exercising at all with that of dose.

    Attributes
    ----------
    among : Curve
        The curve g.
    typical : float, optional
        None takes the median dose of the arms with a dose above zero.
    """

    among: Curve
    typical: float | None = None

    @property
    def name(self) -> str:
        return f"step + {self.among.name}"

    @property
    def terms(self) -> tuple[str, ...]:
        return (ANY, *self.among.terms)

    @property
    def shape_terms(self) -> tuple[str, ...]:
        return self.among.shape_terms

    @property
    def shape(self) -> tuple[float, ...]:
        return self.among.shape

    @property
    def n_estimated(self) -> int:
        return self.among.n_estimated

    def prepare(self, doses: np.ndarray) -> AnyExercise:
        """Take the typical dose, and what the inner curve needs, from the doses above zero.

        Raises
        ------
        CannotEstimate
            If no arm, or every arm, has dose zero, or those above zero are all equal.
        """
        _check_step(doses)
        above = doses[doses > 0]
        if len(np.unique(above)) < 2:
            raise CannotEstimate(
                f"all arms with a dose above zero had the same, {above[0]:g}",
                "curve='constant' gives its effect",
            )
        typical = float(np.median(above)) if self.typical is None else self.typical
        return replace(self, among=self.among.prepare(above), typical=typical)

    def settle(self, height: Height, doses: np.ndarray) -> AnyExercise:
        """The curve with the shape of its inner curve found."""

        def inner(among: Curve) -> float:
            return height(replace(self, among=among))

        return replace(self, among=self.among.settle(inner, doses[doses > 0]))

    def basis(self, doses: np.ndarray) -> np.ndarray:
        return self._around(self.among.basis, doses)

    def gradient(self, doses: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        return self._around(
            lambda d: self.among.gradient(d, np.asarray(coefficients)[1:]),
            doses,
        )

    def _around(self, columns: Callable[[np.ndarray], np.ndarray], doses: np.ndarray) -> np.ndarray:
        """The step, then the columns minus those of the typical dose, all zero at dose zero."""
        d = np.asarray(doses, dtype=float)
        on = d > 0
        middle = np.array([self.typical], dtype=float)
        inner = columns(np.where(on, d, middle)) - columns(middle)
        return np.column_stack([on.astype(float), inner])


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
        CannotEstimate
            If the quantiles of the doses coincide.
        ValueError
            If given knots coincide, are fewer than three, or lie outside the doses.
        """
        doses = np.asarray(doses, dtype=float)
        if self.knots is None:
            if self.n_knots not in QUANTILES:
                raise ValueError(f"{self.n_knots} knots: give 3, 4 or 5, or the knots themselves.")
            knots = np.quantile(doses, QUANTILES[self.n_knots])
            if np.any(np.diff(knots) <= 0):
                raise CannotEstimate(
                    f"the knots of a spline, at {_listed(knots)}, coincide",
                    "give knots yourself, or use a simpler curve",
                )
        else:
            knots = np.array(sorted(self.knots), dtype=float)
            if len(knots) < 3 or np.any(np.diff(knots) <= 0):
                raise ValueError(
                    f"knots at {_listed(knots)} are fewer than three or coincide: give at least "
                    "three different knots."
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


def _listed(knots: np.ndarray) -> str:
    return ", ".join(f"{knot:g}" for knot in knots)


@dataclass(frozen=True)
class Surface(LinearInParameters):
    """Tensor product of two curves: both sets of columns and all their products.

    Source: Wood 2017 (Generalized Additive Models, 2nd ed., section 5.6) for tensor product
    smooths. Doses are pairs, shape (n, 2).

    Attributes
    ----------
    first, second : Curve
        Curves of the two doses, linear in their parameters.
    main_effects : bool
        Whether each dose also acts alone; False leaves the products only, so that the effect is
        zero wherever one of the doses is.
    """

    first: Curve = field(default_factory=Linear)
    second: Curve = field(default_factory=Linear)
    main_effects: bool = True
    name: str = "surface"

    @property
    def terms(self) -> tuple[str, ...]:
        first = [term.replace("dose", "dose 1") for term in self.first.terms]
        second = [term.replace("dose", "dose 2") for term in self.second.terms]
        products = [f"{a} x {b}" for a in first for b in second]
        return (*first, *second, *products) if self.main_effects else tuple(products)

    def prepare(self, doses: np.ndarray) -> Surface:
        """Prepare both curves on their own doses.

        Raises
        ------
        ValueError
            If the doses are not pairs.
        """
        self._check(doses)
        return Surface(
            self.first.prepare(doses[:, 0]),
            self.second.prepare(doses[:, 1]),
            self.main_effects,
        )

    def basis(self, doses: np.ndarray) -> np.ndarray:
        pairs = np.atleast_2d(np.asarray(doses, dtype=float))
        if pairs.shape == (1, 1):
            pairs = np.repeat(pairs, 2, axis=1)
        self._check(pairs)
        a, b = self.first.basis(pairs[:, 0]), self.second.basis(pairs[:, 1])
        products = (a[:, :, None] * b[:, None, :]).reshape(len(pairs), -1)
        return np.hstack([a, b, products]) if self.main_effects else products

    @staticmethod
    def _check(doses: np.ndarray) -> None:
        if doses.ndim != 2 or doses.shape[1] != 2:
            raise ValueError("a surface needs two doses: give dose=(first, second).")


POWERS = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0)


@dataclass(frozen=True)
class FractionalPolynomial(LinearInParameters):
    """`b1 x^p1 (+ b2 x^p2)`, powers from -2 to 3, `x^0` for `log x`, equal powers with a log.

    x is the dose plus the smallest difference between two doses, over the largest dose: doses may
    be zero, and the unit does not matter. Sources: Royston & Altman 1994 (doi 10.2307/2986270);
    Royston & Sauerbrei 2008 (Multivariable Model-building, section 4.2) for the shift.

    Attributes
    ----------
    powers : tuple of float, optional
        None finds the powers of the given degree with the highest likelihood.
    degree : {1, 2}
    shift, scale : float
        Taken from the data.
    n_found : int
        How many powers were found by likelihood.
    """

    powers: tuple[float, ...] | None = None
    degree: int = 2
    shift: float = 0.0
    scale: float = 1.0
    n_found: int = 0

    @property
    def n_estimated(self) -> int:
        return self.n_found

    @property
    def name(self) -> str:
        return f"fp{self.degree if self.powers is None else len(self.powers)}"

    @property
    def terms(self) -> tuple[str, ...]:
        if self.powers is None:
            return tuple(f"x^p{j + 1}" for j in range(self.degree))
        names = []
        for place, power in enumerate(self.powers):
            text = "log x" if power == 0 else f"x^{power:g}"
            names.append(f"{text} log x" if power in self.powers[:place] else text)
        return tuple(names)

    def prepare(self, doses: np.ndarray) -> FractionalPolynomial:
        """Take shift and scale from the doses."""
        distinct = np.unique(np.asarray(doses, dtype=float))
        if len(distinct) < 2:
            raise CannotEstimate("all doses are equal")
        return replace(self, shift=float(np.diff(distinct).min()), scale=float(distinct[-1]))

    def settle(self, height: Height, doses: np.ndarray) -> FractionalPolynomial:
        """The powers with the highest likelihood, unless they were given."""
        if self.powers is not None:
            return self
        candidates = [
            replace(self, powers=powers, n_found=self.degree)
            for powers in combinations_with_replacement(POWERS, self.degree)
        ]
        return max(candidates, key=height)

    def basis(self, doses: np.ndarray) -> np.ndarray:
        x = (np.asarray(doses, dtype=float) + self.shift) / self.scale
        columns, powers = [], self.powers or (1.0,) * self.degree
        for place, power in enumerate(powers):
            column = np.log(x) if power == 0 else x**power
            columns.append(column * np.log(x) if power in powers[:place] else column)
        return np.column_stack(columns)


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
    "constant": Constant(),
}


STEP = "step + "


def named(curve: str | Curve, *, any_exercise: bool = False) -> Curve:
    """A curve by its name, or the curve itself; with a step where that is asked for.

    Parameters
    ----------
    curve : str or Curve
        A name of `CURVES`, "step + " and such a name, or a curve.
    any_exercise : bool
        Add the step; "constant" has it already.

    Raises
    ------
    ValueError
        For an unknown name.

    Examples
    --------
    >>> named("linear", any_exercise=True).terms
    ('any exercise', 'dose')
    """
    if isinstance(curve, str):
        name = curve.removeprefix(STEP)
        if name not in CURVES:
            raise ValueError(f"unknown curve {curve!r}: use one of {', '.join(CURVES)}.")
        any_exercise |= curve.startswith(STEP)
        curve = CURVES[name]
    return AnyExercise(curve) if any_exercise and not has_step(curve) else curve


def has_step(curve: Curve) -> bool:
    """Whether the curve tells exercising at all apart from the dose."""
    return isinstance(curve, (Constant, AnyExercise))


def rcs(knots: Sequence[float] | int = 3) -> RestrictedCubicSpline:
    """A restricted cubic spline with so many knots, or with these.

    Examples
    --------
    >>> bp.rcs(4).n_knots
    4
    >>> bp.rcs([1, 2, 4]).knots
    (1.0, 2.0, 4.0)
    """
    if isinstance(knots, int):
        return RestrictedCubicSpline(n_knots=knots)
    return RestrictedCubicSpline(knots=tuple(float(knot) for knot in knots))


def piecewise(at: float | None = None) -> PiecewiseLinear | EstimatedBreak:
    """Two straight lines that meet at a given dose, or at an estimated one.

    Examples
    --------
    >>> bp.piecewise(2).at
    2
    """
    return EstimatedBreak() if at is None else PiecewiseLinear(at)
