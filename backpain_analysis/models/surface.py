"""A surface over two doses, such as sessions per week and minutes per session."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from backpain_analysis.models.curves import Curve, Linear, LinearInParameters


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
