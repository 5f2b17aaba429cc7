"""Curves that are not linear in all parameters: their shape is found by profile likelihood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import scipy
from numpy.typing import ArrayLike

from backpain_analysis.errors import CannotEstimate

GRID = 25

NEAR = 6.0
"""Peaks of a coarse grid so far below the highest, in log-likelihood, may still pass it."""


@dataclass(frozen=True)
class Shaped:
    """Base of curves whose shape is found by profile likelihood.

    Attributes
    ----------
    values : tuple of float
        The shape parameters; empty until estimated.
    """

    values: tuple[float, ...] = ()
    name: ClassVar[str]
    terms: ClassVar[tuple[str, ...]]
    shape_terms: ClassVar[tuple[str, ...]]

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

    def basis(self, doses: np.ndarray) -> np.ndarray:
        """Columns at `doses`, shape (n, number of linear terms)."""
        raise NotImplementedError

    def gradient(self, doses: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        """Derivatives of the curve by its linear coefficients and its shape."""
        raise NotImplementedError

    def settle(self, height: Callable[[Any], float], doses: np.ndarray) -> Self:
        """The curve whose shape has the highest profile likelihood.

        A grid over the range of the doses; then Nelder & Mead (Brent for one parameter) from
        every peak of the grid that comes near the highest, since the profile may have several.

        Parameters
        ----------
        height : callable
            Log-likelihood of the model with a curve of given shape.
        doses : ndarray

        Raises
        ------
        CannotEstimate
            If the likelihood is highest at the edge of what the doses can show.
        """
        if self.values:
            return self

        def depth(free: np.ndarray) -> float:
            try:
                return -height(replace(self, values=self.from_free(np.atleast_1d(free))))
            except CannotEstimate:
                return np.inf

        grid = self.starts(doses)
        points = np.stack(np.meshgrid(*grid, indexing="ij"), axis=-1)
        depths = np.apply_along_axis(depth, -1, points)
        best = np.unravel_index(int(np.argmin(depths)), depths.shape)
        for place, term in enumerate(self.shape_terms):
            if best[place] in (0, len(grid[place]) - 1):
                raise CannotEstimate(
                    f"the data do not bound {term!r} of a {self.name} curve",
                    "its likelihood is highest at the edge of the doses. Use a simpler curve "
                    "(linear, log or quadratic)",
                )
        lowest = scipy.ndimage.minimum_filter(depths, size=3, mode="nearest")
        peaks = points[(depths == lowest) & (depths <= depths.min() + NEAR)]
        steps = np.array([axis[1] - axis[0] for axis in grid])
        found = min((self._refined(depth, peak, steps) for peak in peaks), key=lambda f: f.fun)
        return replace(self, values=self.from_free(np.atleast_1d(found.x)))

    @staticmethod
    def _refined(
        depth: Callable[[np.ndarray], float], peak: np.ndarray, steps: np.ndarray
    ) -> scipy.optimize.OptimizeResult:
        if len(peak) == 1:
            bounds = (peak[0] - steps[0], peak[0] + steps[0])
            options = {"xatol": 1e-9}
            return scipy.optimize.minimize_scalar(
                depth, bounds=bounds, method="bounded", options=options
            )
        options = {"xatol": 1e-8, "fatol": 1e-11, "maxiter": 2000}
        return scipy.optimize.minimize(depth, peak, method="Nelder-Mead", options=options)


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

    name: ClassVar[str] = "emax"
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

    name: ClassVar[str] = "hill"
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
        return saturation(np.asarray(doses, dtype=float), *self.values)[:, None]

    def gradient(self, doses: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        d, (half, steep) = np.asarray(doses, dtype=float), self.values
        share = self.basis(d)[:, 0]
        spread = coefficients[0] * share * (1 - share)
        log_ratio = np.log(np.where(d > 0, d, half) / half)
        return np.column_stack([share, -spread * steep / half, spread * log_ratio])


def saturation(doses: np.ndarray, half: ArrayLike, steep: ArrayLike = 1.0) -> np.ndarray:
    """`d^h / (ED50^h + d^h)`, without overflow whatever the shape."""
    with np.errstate(divide="ignore"):
        return scipy.special.expit(steep * (np.log(doses) - np.log(half)))


@dataclass(frozen=True)
class EstimatedBreak(Shaped):
    """Two straight lines that meet at an estimated dose.

    Source: Muggeo 2003 (doi 10.1002/sim.1545). The interval of the break is approximate: the
    curve has a corner there.
    """

    name: ClassVar[str] = "piecewise"
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
