"""The fixed part of the longitudinal model: curves of dose and time, or a formula."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self

import numpy as np
import pandas as pd
from formulaic import Formula, model_matrix

from backpain_analysis.models.curve_names import named
from backpain_analysis.models.curves import Curve
from backpain_analysis.models.formulas import new_rows
from backpain_analysis.models.participants.curve_effects import difference, prepared


class Mean(Protocol):
    """What the longitudinal model asks of its fixed part.

    Attributes
    ----------
    names : list of str
        Of the coefficients; an intercept stands first.
    of_dose : list of str
        Those that dose has a part in.
    title : str
    """

    names: list[str]
    of_dose: list[str]
    title: str

    def fitted_to(self, rows: pd.DataFrame, *, whole: bool, intercept: bool) -> Self:
        """With all it takes from the data, of which `rows` are the first or the `whole`."""

    def columns(self, rows: pd.DataFrame) -> np.ndarray:
        """The model matrix of complete visits, shape (n_rows, p)."""

    def contrast(
        self, doses: np.ndarray, weeks: np.ndarray, reference: float, at: Mapping[str, Any]
    ) -> np.ndarray:
        """Rows of doses less those of the reference dose at the same weeks, shape (n, p)."""


@dataclass(frozen=True)
class CurveMean:
    """`g(week) + f(dose) g(week) + covariates`, and `f(dose)` with `main_effect`.

    f and g are zero at dose 0 and week 0.
    """

    curve: str | Curve
    time: str | Curve
    covariates: tuple[str, ...] = ()
    main_effect: bool = False
    intercept: bool = True
    covariate_names: tuple[str, ...] = ()
    spec: Any = field(default=None, repr=False)

    @property
    def times(self) -> list[str]:
        return [term.replace("dose", "week") for term in self.time.terms]

    @property
    def of_dose(self) -> list[str]:
        alone = list(self.curve.terms) if self.main_effect else []
        return [*alone, *(f"{dose}:{week}" for dose in self.curve.terms for week in self.times)]

    @property
    def nonlinear(self) -> list[str]:
        """Coefficients of the curve's terms beyond the first."""
        later = self.curve.terms[1:]
        return [name for name in self.of_dose if name.split(":")[0] in later]

    @property
    def names(self) -> list[str]:
        first = ["Intercept"] if self.intercept else []
        products = self.of_dose
        alone = [products.pop(0) for _ in self.curve.terms] if self.main_effect else []
        return [*first, *self.times, *alone, *self.covariate_names, *products]

    @property
    def title(self) -> str:
        return f"{self.curve.name} in dose, {self.time.name} in time"

    def fitted_to(self, rows: pd.DataFrame, *, whole: bool, intercept: bool) -> CurveMean:
        """With knots, and the categories of the covariates.

        Raises
        ------
        ValueError
            For curves whose shape would have to be estimated, or, from a part of the data, those
            that take their knots from all.
        """
        ready = prepared if whole else _without_data
        mean = replace(
            self,
            curve=ready(self.curve, rows["dose"].to_numpy()),
            time=ready(self.time, rows["week"].to_numpy()),
            intercept=intercept,
        )
        if not self.covariates:
            return mean
        matrix = model_matrix(" + ".join(["1", *(f"`{name}`" for name in self.covariates)]), rows)
        return replace(mean, covariate_names=tuple(matrix.columns[1:]), spec=matrix.model_spec)

    def columns(self, rows: pd.DataFrame) -> np.ndarray:
        dose, week = rows["dose"].to_numpy(), rows["week"].to_numpy()
        first = [np.ones((len(rows), 1))] if self.intercept else []
        adjust = [] if self.spec is None else [new_rows(self.spec, rows)[:, 1:]]
        alone, products = self._parts(difference(self.curve, dose), week)
        return np.hstack([*first, difference(self.time, week), *alone, *adjust, *products])

    def contrast(
        self, doses: np.ndarray, weeks: np.ndarray, reference: float, at: Mapping[str, Any]
    ) -> np.ndarray:
        if at:
            raise ValueError(
                f"the effect of dose does not depend on {', '.join(at)}: give formula= with a "
                "product of dose and moderator."
            )
        alone, products = self._parts(difference(self.curve, doses, reference), weeks)
        rows = pd.DataFrame(0.0, index=range(len(doses)), columns=self.names)
        rows[self.of_dose] = np.hstack([*alone, *products])
        return rows.to_numpy()

    def _parts(self, basis: np.ndarray, week: np.ndarray) -> tuple[list, list]:
        time = difference(self.time, week)
        products = [basis[:, [term]] * time for term in range(basis.shape[1])]
        return [basis] * self.main_effect, products


def _without_data(curve: str | Curve, doses: np.ndarray) -> Curve:
    """A curve that takes nothing from the data, for data that come in chunks."""
    curve = named(curve)
    takes = curve.name.startswith("fp") or getattr(curve, "knots", ()) is None
    if takes or curve.shape_terms:
        raise ValueError(
            f"a {curve.name} curve takes its shape from all data, which chunks do not show: use "
            "linear, quadratic, log, rcs(knots=[...]) or piecewise(at=...)."
        )
    return curve


@dataclass(frozen=True)
class FormulaMean:
    """The right side of a formula.

    Attributes
    ----------
    formula : str
    columns_of : dict
        Names of the columns of visits in the formula.
    example : DataFrame
        One row of all variables: means of numbers, first categories.
    """

    formula: str
    columns_of: dict[str, str]
    spec: Any = field(default=None, repr=False)
    example: pd.DataFrame | None = field(default=None, repr=False)
    kept: tuple[int, ...] = ()

    @property
    def variables(self) -> list[str]:
        return sorted(str(name) for name in Formula(self.formula).required_variables)

    @property
    def names(self) -> list[str]:
        return [str(self.spec.column_names[place]) for place in self.kept]

    @property
    def of_dose(self) -> list[str]:
        places = self.spec.variable_indices.get(self.columns_of["dose"], [])
        return [str(self.spec.column_names[place]) for place in places]

    @property
    def title(self) -> str:
        return f"~ {self.formula}"

    def fitted_to(self, rows: pd.DataFrame, *, whole: bool, intercept: bool) -> FormulaMean:
        """With categories, knots and centres as of `rows`."""
        frame = rows.rename(columns=self.columns_of)[self.variables]
        spec = model_matrix(self.formula, frame).model_spec
        typical = {
            name: [column.mean() if pd.api.types.is_numeric_dtype(column) else column.iloc[0]]
            for name, column in frame.items()
        }
        kept = [
            place
            for place, name in enumerate(spec.column_names)
            if intercept or str(name) != "Intercept"
        ]
        return replace(self, spec=spec, example=pd.DataFrame(typical), kept=tuple(kept))

    def columns(self, rows: pd.DataFrame) -> np.ndarray:
        frame = rows.rename(columns=self.columns_of)
        return new_rows(self.spec, frame)[:, list(self.kept)]

    def contrast(
        self, doses: np.ndarray, weeks: np.ndarray, reference: float, at: Mapping[str, Any]
    ) -> np.ndarray:
        dose, week = self.columns_of["dose"], self.columns_of["week"]
        if dose not in self.example:
            raise ValueError(f"the formula has no {dose!r}: there is no effect of it to predict.")
        unknown: Sequence[str] = sorted(set(at) - set(self.example) | set(at) & {dose, week})
        if unknown:
            known = ", ".join(sorted(set(self.example) - {dose, week})) or "none"
            raise ValueError(f"no moderator {', '.join(unknown)}; the formula has: {known}.")
        frame = self.example.loc[[0] * len(doses)].reset_index(drop=True)
        frame = frame.assign(**{name: [value] * len(doses) for name, value in at.items()})
        if week in frame:
            frame[week] = weeks
        rows = [
            new_rows(self.spec, frame.assign(**{dose: np.broadcast_to(value, len(doses))}))
            for value in (doses, reference)
        ]
        return (rows[0] - rows[1])[:, list(self.kept)]
