"""Curves with parameters they are not linear in: Emax, Hill, estimated breaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from scipy import optimize

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
            except ValueError:
                return np.inf

        grid = self.starts(doses)
        points = np.stack([axis.ravel() for axis in np.meshgrid(*grid)], axis=1)
        depths = np.array([depth(point) for point in points])
        best = points[int(np.argmin(depths))]
        for place, axis in enumerate(grid):
            if best[place] in (axis[0], axis[-1]):
                raise ValueError(
                    f"the data do not bound {self.shape_terms[place]!r} of a {self.name} curve: "
                    "its likelihood is highest at the edge of the doses. Use a simpler curve "
                    "(linear, log or quadratic)."
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
        raise ValueError("no dose is above zero.")
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
