"""Dose-response curves: how a dose becomes columns of the model matrix.

A curve is fitted to differences from a reference dose, so no curve has an intercept; the columns
of a contrast are `basis(dose) - basis(reference dose)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations_with_replacement
from typing import ClassVar, Protocol, Self

import numpy as np
from scipy import optimize

from backpain_analysis.errors import CannotEstimate

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
            raise CannotEstimate(
                f"knots at {', '.join(f'{knot:g}' for knot in knots)} are fewer than three or "
                f"coincide",
                cure,
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
    n_estimated : int
        How many powers were found by likelihood.
    """

    powers: tuple[float, ...] | None = None
    degree: int = 2
    shift: float = 0.0
    scale: float = 1.0
    n_estimated: int = 0

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

    def settle(
        self, height: Callable[[FractionalPolynomial], float], doses: np.ndarray
    ) -> FractionalPolynomial:
        """The powers with the highest likelihood, unless they were given."""
        if self.powers is not None:
            return self
        candidates = [
            replace(self, powers=powers, n_estimated=self.degree)
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


GRID = 25


@dataclass(frozen=True)
class Shaped:
    """Base of curves whose shape is found by profile likelihood.

    Attributes
    ----------
    values : tuple of float
        The shape parameters; empty until estimated.
    """

    values: tuple[float, ...] = ()

    @property
    def shape(self) -> tuple[float, ...]:
        return self.values

    @property
    def n_estimated(self) -> int:
        return len(self.values)

    def prepare(self, doses: np.ndarray) -> Self:
        """Nothing is taken from the data but the shape, which `settle` finds."""
        return self

    def starts(self, doses: np.ndarray) -> list[np.ndarray]:
        """Grid of the transformed shape parameters, one array a parameter."""
        raise NotImplementedError

    def from_free(self, free: np.ndarray) -> tuple[float, ...]:
        """Shape parameters from unconstrained ones."""
        raise NotImplementedError

    def settle(self, height: Callable[[Self], float], doses: np.ndarray) -> Self:
        """The curve whose shape has the highest profile likelihood.

        A grid over the range of the doses, then Nelder & Mead (Brent for one parameter) from its
        best point.

        Parameters
        ----------
        height : callable
            Log-likelihood of the model with a curve of given shape.
        doses : ndarray

        Raises
        ------
        ValueError
            If the likelihood still rises at the edge of what the doses can show.
        """
        if self.values:
            return self

        def depth(free: np.ndarray) -> float:
            try:
                return -height(replace(self, values=self.from_free(np.atleast_1d(free))))
            except CannotEstimate:
                return np.inf

        grid = self.starts(doses)
        points = np.stack([axis.ravel() for axis in np.meshgrid(*grid)], axis=1)
        depths = np.array([depth(point) for point in points])
        best = points[int(np.argmin(depths))]
        for place, axis in enumerate(grid):
            if best[place] in (axis[0], axis[-1]):
                raise CannotEstimate(
                    f"the data do not bound {self.shape_terms[place]!r} of a {self.name} curve",
                    "its likelihood is highest at the edge of the doses. Use a simpler curve "
                    "(linear, log or quadratic)",
                )
        if len(grid) == 1:
            step = grid[0][1] - grid[0][0]
            found = optimize.minimize_scalar(
                depth,
                bounds=(best[0] - step, best[0] + step),
                method="bounded",
                options={"xatol": 1e-9},
            )
            return replace(self, values=self.from_free(np.array([found.x])))
        options = {"xatol": 1e-8, "fatol": 1e-11, "maxiter": 2000}
        found = optimize.minimize(depth, best, method="Nelder-Mead", options=options)
        return replace(self, values=self.from_free(found.x))


def _positive_range(doses: np.ndarray) -> tuple[float, float]:
    positive = doses[doses > 0]
    if not len(positive):
        raise CannotEstimate("no dose is above zero")
    return float(positive.min()), float(positive.max())


@dataclass(frozen=True)
class Emax(Shaped):
    """`E d / (ED50 + d)`: rises to the asymptote E, half of it at ED50.

    Source: Holford & Sheiner 1981 (doi 10.2165/00003088-198106060-00002); in meta-analysis
    Mawdsley et al. 2016 (doi 10.1002/psp4.12091).
    """

    name: str = "emax"
    terms: ClassVar[tuple[str, ...]] = ("Emax",)
    shape_terms: ClassVar[tuple[str, ...]] = ("ED50",)

    def starts(self, doses: np.ndarray) -> list[np.ndarray]:
        low, high = _positive_range(doses)
        return [np.linspace(np.log(low / 100), np.log(high * 100), GRID)]

    def from_free(self, free: np.ndarray) -> tuple[float, ...]:
        return (float(np.exp(free[0])),)

    def basis(self, doses: np.ndarray) -> np.ndarray:
        d = np.asarray(doses, dtype=float)
        return (d / (self.values[0] + d))[:, None]

    def gradient(self, doses: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        d = np.asarray(doses, dtype=float)
        half = self.values[0]
        return np.column_stack([self.basis(d)[:, 0], -coefficients[0] * d / (half + d) ** 2])


@dataclass(frozen=True)
class Hill(Shaped):
    """`E d^h / (ED50^h + d^h)`: the sigmoid Emax curve of steepness h (Hill 1910)."""

    name: str = "hill"
    terms: ClassVar[tuple[str, ...]] = ("Emax",)
    shape_terms: ClassVar[tuple[str, ...]] = ("ED50", "Hill")

    def starts(self, doses: np.ndarray) -> list[np.ndarray]:
        low, high = _positive_range(doses)
        return [
            np.linspace(np.log(low / 10), np.log(high * 10), 13),
            np.linspace(np.log(0.2), np.log(12), 9),
        ]

    def from_free(self, free: np.ndarray) -> tuple[float, ...]:
        return tuple(float(value) for value in np.exp(free))

    def basis(self, doses: np.ndarray) -> np.ndarray:
        half, steep = self.values
        ratio = (np.asarray(doses, dtype=float) / half) ** steep
        return (ratio / (1 + ratio))[:, None]

    def gradient(self, doses: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        d, (half, steep) = np.asarray(doses, dtype=float), self.values
        share = self.basis(d)[:, 0]
        spread = coefficients[0] * share * (1 - share)
        log_ratio = np.log(np.where(d > 0, d, half) / half)
        return np.column_stack([share, -spread * steep / half, spread * log_ratio])


@dataclass(frozen=True)
class EstimatedBreak(Shaped):
    """Two straight lines that meet at an estimated dose.

    Source: Muggeo 2003 (doi 10.1002/sim.1545). The interval of the break is approximate: the
    curve has a corner there.
    """

    name: str = "piecewise"
    terms: ClassVar[tuple[str, ...]] = ("dose", "dose beyond the break")
    shape_terms: ClassVar[tuple[str, ...]] = ("break",)

    def starts(self, doses: np.ndarray) -> list[np.ndarray]:
        low, high = float(doses.min()), float(doses.max())
        return [np.linspace(low, high, GRID + 2)[1:-1]]

    def from_free(self, free: np.ndarray) -> tuple[float, ...]:
        return (float(free[0]),)

    def basis(self, doses: np.ndarray) -> np.ndarray:
        d = np.asarray(doses, dtype=float)
        return np.column_stack([d, np.maximum(d - self.values[0], 0)])

    def gradient(self, doses: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        beyond = np.asarray(doses, dtype=float) > self.values[0]
        return np.column_stack([self.basis(doses), -coefficients[1] * beyond])


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
