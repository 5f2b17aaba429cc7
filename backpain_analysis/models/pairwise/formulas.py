"""Model matrices of new data from a fitted formula."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd

from backpain_analysis.errors import CannotEstimate
from backpain_analysis.evidence.faults import as_frame, need_columns


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
    from formulaic.errors import DataMismatchWarning

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


PLAIN = re.compile(r"\s*([A-Za-z_]\w*)\s*~\s*((?:1|[A-Za-z_]\w*)(?:\s*\+\s*[A-Za-z_]\w*)*)\s*")
"""A number on the left, and on the right numbers that are only added."""


@dataclass(frozen=True)
class Design:
    """Response and model matrix of a formula, from the rows that have all it needs.

    Attributes
    ----------
    formula : str
    y : ndarray, shape (n,)
    X : ndarray, shape (n, p)
    names : tuple of str
    data : DataFrame
        The rows that entered, with all their columns.
    dropped : tuple
        Index labels of the others.
    """

    formula: str
    y: np.ndarray
    X: np.ndarray
    names: tuple[str, ...]
    data: pd.DataFrame
    dropped: tuple

    @cached_property
    def spec(self) -> Any:
        """Formulaic's ModelSpec of the right side."""
        from formulaic import model_matrix

        return model_matrix(self.formula, self.data, na_action="raise").rhs.model_spec

    def rows(self, new_data: pd.DataFrame) -> np.ndarray:
        """Rows of the model matrix at new values of the variables.

        Raises
        ------
        ValueError
            For missing columns or values, unseen categories, and formulae whose terms change with
            the rows they are given, such as `I(x - x.mean())`.
        """
        new_data = as_frame(new_data)
        needed = sorted(map(str, self.spec.required_variables))
        need_columns(needed, new_data)
        missing = new_data.index[new_data[needed].isna().any(axis=1)]
        if len(missing):
            rows = ", ".join(map(str, missing))
            raise ValueError(f"rows {rows} of the new data miss a moderator: give all values.")
        last = self.data.iloc[[-1]]
        if not np.allclose(new_rows(self.spec, last)[0], self.X[-1], rtol=1e-9, atol=0):
            raise ValueError(
                f"a term of {self.formula!r} changes with the rows it is given, so it cannot "
                "predict: use center(x) or scale(x), which remember, or make a column of it."
            )
        return new_rows(self.spec, new_data)


def design(formula: str, data: pd.DataFrame, others: Sequence[str] = ()) -> Design:
    """Response and model matrix; rows with a missing value in what is used are left out.

    Categories that no row has are dropped; nullable columns become plain ones.

    Parameters
    ----------
    formula : str
        One number on the left, as "yi ~ weeks + C(type)" (formulaic's grammar).
    data : DataFrame
    others : sequence of str
        Further columns that must not be missing.

    Raises
    ------
    ValueError
        For unknown columns, and a left side that is not one column of numbers.
    CannotEstimate
        If no row is complete.
    """
    used = variables(formula)
    plain = PLAIN.fullmatch(formula)
    need_columns([*used, *others], data)
    columns = list(dict.fromkeys([*used, *others]))
    kept = np.ones(len(data), dtype=bool)
    for name in columns:
        values = data[name].to_numpy()
        if values.dtype.kind in "mM":
            raise ValueError(f"{name} holds dates or times: make numbers of them, such as years.")
        known = ~np.isnan(values) if values.dtype.kind == "f" else data[name].notna().to_numpy()
        kept &= known
    if not kept.any():
        raise CannotEstimate(f"no row of the data has all of {', '.join(sorted(columns))}")
    dropped = () if kept.all() else tuple(data.index[~kept])
    complete = data if kept.all() else data[kept]
    left = formula.partition("~")[0].strip()
    if changed := _plain_columns(complete, columns):
        complete = complete.assign(**changed)
    if left in columns and not _is_number(complete[left]):
        complete = complete.assign(**{left: _as_numbers(complete[left])})
    if plain and all(_is_number(complete[name]) for name in used):
        y, *values = (complete[name].to_numpy(dtype=float) for name in used)
        X = np.column_stack([np.ones(len(complete)), *values])
        return Design(formula, y, X, ("Intercept", *used[1:]), complete, dropped)
    from formulaic import model_matrix
    from formulaic.errors import FormulaicError

    try:
        with np.errstate(all="ignore"):
            parts = model_matrix(formula, complete, na_action="raise")
    except (FormulaicError, ValueError) as fault:
        raise ValueError(f"formula {formula!r} cannot be computed: {fault}") from None
    if not hasattr(parts, "lhs") or parts.lhs.shape[1] != 1:
        raise ValueError(
            f"formula {formula!r} needs one column of numbers on the left, as 'yi ~ weeks'."
        )
    y, X = parts.lhs.to_numpy(dtype=float)[:, 0], parts.rhs.to_numpy(dtype=float)
    names = tuple(map(str, parts.rhs.columns))
    if not names:
        raise ValueError(f"formula {formula!r} leaves nothing to estimate: write 'yi ~ 1'.")
    wrong = [name for name, column in zip(names, X.T, strict=True) if not np.isfinite(column).all()]
    if wrong:
        raise ValueError(f"{', '.join(wrong)} of {formula!r} cannot be computed in every row.")
    return Design(formula, y, X, names, complete, dropped)


def variables(formula: str) -> list[str]:
    """The columns that a formula needs: of a plain one the left side first.

    Raises
    ------
    ValueError
        If it is no formula.
    """
    if not isinstance(formula, str):
        raise ValueError(f"a formula is text, as 'yi ~ weeks', not {formula!r}.")
    if plain := PLAIN.fullmatch(formula):
        right = (name.strip() for name in plain[2].split("+"))
        return [plain[1], *dict.fromkeys(name for name in right if name != "1")]
    from formulaic import Formula
    from formulaic.errors import FormulaParsingError

    try:
        return sorted(map(str, Formula(formula).required_variables))
    except FormulaParsingError:
        raise ValueError(
            f"formula {formula!r} cannot be read: write it as 'yi ~ weeks + C(type)'."
        ) from None


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _as_numbers(column: pd.Series) -> pd.Series:
    numeric = pd.to_numeric(column.astype(object), errors="coerce")
    wrong = numeric.index[numeric.isna()]
    if len(wrong):
        raise ValueError(
            f"{column.name} must hold numbers, but row {wrong[0]} holds {column[wrong[0]]!r}."
        )
    return numeric


def _plain_columns(data: pd.DataFrame, names: list[str]) -> dict[str, pd.Series]:
    """The columns that need it as ones that model matrices and searches can take."""
    changed: dict[str, pd.Series] = {}
    for name in names:
        column = data[name]
        if isinstance(column.dtype, np.dtype) and column.dtype != object:
            continue
        if isinstance(column.dtype, pd.CategoricalDtype):
            changed[name] = column.cat.remove_unused_categories()
        elif pd.api.types.is_bool_dtype(column.dtype):
            changed[name] = column.astype(bool)
        elif pd.api.types.is_numeric_dtype(column.dtype):
            changed[name] = column.astype(float)
        elif isinstance(column.dtype, pd.StringDtype) or column.dtype == object:
            numeric = all(isinstance(value, Number) for value in column)
            changed[name] = pd.to_numeric(column) if numeric else column.astype(object)
    return changed


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


NO_MODERATORS = pd.DataFrame(index=[0])


def moderators(formula: str | None, table: pd.DataFrame) -> Moderators:
    """Build the matrix of a one-sided formula such as "exercise_type" or "year + supervised".

    Raises
    ------
    ValueError
        For unknown columns or missing values; names the trials.
    """
    if formula is None:
        ones = np.ones((len(table), 1))
        return Moderators(ones, ("Intercept",), np.ones(1), None, NO_MODERATORS)
    from formulaic import Formula, model_matrix

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
