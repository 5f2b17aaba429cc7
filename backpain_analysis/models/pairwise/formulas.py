"""Model matrices of new data from a fitted formula."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from formulaic import Formula, model_matrix
from formulaic.errors import DataMismatchWarning


def new_rows(spec: Any, data: pd.DataFrame) -> np.ndarray:
    """Rows of the model matrix at new values of the variables.

    Parameters
    ----------
    spec : formulaic.ModelSpec
    data : DataFrame

    Returns
    -------
    ndarray, shape (n_rows, p)

    Raises
    ------
    ValueError
        For missing values, or categories the model has not seen.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataMismatchWarning)
        try:
            rows = spec.get_model_matrix(data).to_numpy(dtype=float)
        except DataMismatchWarning as fault:
            unseen = str(fault).partition("{")[2].partition("}")[0]
            raise ValueError(
                f"category {unseen} was not in the data of the model: use those that were."
            ) from None
    if len(rows) != len(data):
        raise ValueError("the new data hold missing values: fill them in or drop those rows.")
    return rows


@dataclass(frozen=True)
class Moderators:
    """A model matrix with one column of ones first.

    Attributes
    ----------
    matrix : ndarray, shape (n_contrasts, m)
    names : tuple of str
        "Intercept" first.
    base : ndarray, shape (m,)
        The row at the reference levels, numbers at zero.
    spec : formulaic.ModelSpec or None
    example : DataFrame
        One row of the variables, to build others from.
    """

    matrix: np.ndarray
    names: tuple[str, ...]
    base: np.ndarray
    spec: Any
    example: pd.DataFrame

    @property
    def size(self) -> int:
        return len(self.names)

    def coefficient_names(self, terms: tuple[str, ...]) -> list[str]:
        """Names of the coefficients: the curve's terms, then their products with moderators."""
        products = [f"{term}:{name}" for name in self.names[1:] for term in terms]
        return [*terms, *products]

    def products(self, basis: np.ndarray) -> np.ndarray:
        """Every column of the basis times every moderator, shape (n, terms x m)."""
        return np.hstack([basis * column[:, None] for column in self.matrix.T])

    def row(self, at: Mapping[str, Any] | None = None) -> np.ndarray:
        """The row at given values; by default at the reference levels.

        Raises
        ------
        ValueError
            For an unknown moderator or level.
        """
        if not at:
            return self.base
        unknown = sorted(set(at) - set(self.example.columns))
        if unknown:
            known = ", ".join(self.example.columns) or "none"
            raise ValueError(f"no moderator {', '.join(unknown)}; the model has: {known}.")
        new = self.example.assign(**{name: [value] for name, value in at.items()})
        return new_rows(self.spec, new)[0]


def moderators(formula: str | None, table: pd.DataFrame) -> Moderators:
    """Build the matrix of a one-sided formula such as "exercise_type" or "year + supervised".

    Raises
    ------
    ValueError
        For unknown columns or missing values; names the trials.
    """
    if formula is None:
        ones = np.ones((len(table), 1))
        return Moderators(ones, ("Intercept",), np.ones(1), None, pd.DataFrame(index=[0]))
    names = [str(name) for name in Formula(formula).required_variables]
    missing = [name for name in names if name not in table]
    if missing:
        raise ValueError(f"no column {', '.join(missing)} to moderate by.")
    holes = table[names].isna().any(axis=1)
    if holes.any():
        trials = ", ".join(dict.fromkeys(table.loc[holes, "trial_id"].astype(str)))
        raise ValueError(f"moderators are missing in trials {trials}: leave them out first.")
    matrix = model_matrix(formula, table)
    base = np.zeros(matrix.shape[1])
    base[0] = 1.0
    if matrix.columns[0] != "Intercept":
        raise ValueError("moderators need an intercept: leave out '0 +' or '- 1'.")
    return Moderators(
        matrix.to_numpy(dtype=float),
        tuple(matrix.columns),
        base,
        matrix.model_spec,
        table[names].iloc[[0]],
    )
