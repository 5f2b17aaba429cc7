"""Fractional polynomials of degree one and two, with their powers found by likelihood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement

import numpy as np

from backpain_analysis.models.curves import LinearInParameters

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
            raise ValueError("all doses are equal.")
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
