"""What pooling and its kin are given: names of methods and tests, effect sizes and variances."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from backpain_analysis.engine.heterogeneity import ESTIMATORS
from backpain_analysis.errors import MADE
from backpain_analysis.models.results import level_fault

METHODS = ("CE", "ML", "REML", *ESTIMATORS)

METHOD_SYNONYMS = {"FE": "CE", "EE": "CE", "FIXED": "CE"}

TESTS = ("knapp-hartung", "adhoc", "t", "z")

TEST_SYNONYMS = {"knha": "knapp-hartung", "hksj": "knapp-hartung", "kh": "knapp-hartung"}

NO_RESIDUAL = 1e-20
LARGEST, SMALLEST_VARIANCE, LARGEST_VARIANCE = 1e50, 1e-50, 1e100
"""Beyond these, squares and products cannot be held in a computer's numbers."""


def named_options(method: str, test: str, level: float) -> tuple[str, str, float]:
    """Method, test and level under their names here: "FE" and "EE" are "CE", "knha" Knapp-Hartung.

    Raises
    ------
    ValueError
        For an unknown method or test, or a level outside (0, 1); every fault is named.
    """
    method, test, faults = _named(method, test, level)
    if faults:
        raise ValueError("; ".join(faults) + ".")
    return method, test, float(level)


def _named(method: str, test: str, level: float) -> tuple[str, str, list[str]]:
    by_upper = {name.upper(): name for name in METHODS} | METHOD_SYNONYMS
    by_lower = {name: name for name in TESTS} | TEST_SYNONYMS
    faults = []
    if str(method).upper() not in by_upper:
        faults.append(f"unknown method {method!r}: use one of {', '.join(METHODS)}")
    if str(test).lower() not in by_lower:
        faults.append(f"unknown test {test!r}: use one of {', '.join(TESTS)}")
    if fault := level_fault(level):
        faults.append(fault)
    return by_upper.get(str(method).upper(), ""), by_lower.get(str(test).lower(), ""), faults


def study_names(k: int) -> list[str]:
    """What studies are called that were given no labels."""
    return [f"study {i + 1}" for i in range(k)]


def checked_studies(
    yi: ArrayLike,
    vi: ArrayLike | None,
    labels: Sequence[str] | None,
    method: str,
    test: str,
    level: float,
) -> tuple[np.ndarray, np.ndarray, list[str] | None, str, str]:
    """Effect sizes, variances, labels (None where none were given), method and test, checked.

    Raises
    ------
    ValueError
        If anything is wrong; every fault is named.
    """
    if vi is None:
        raise ValueError(f"give the sampling variances vi, or Effects, such as {MADE['Effects']}.")
    if isinstance(yi, pd.Series) and isinstance(vi, pd.Series) and not yi.index.equals(vi.index):
        raise ValueError(
            "yi and vi are Series with different indexes: put them in one order, or give arrays."
        )
    y, v = numbers(yi, "yi"), numbers(vi, "vi")
    method, test, faults = _named(method, test, level)
    if len(y) != len(v):
        faults.append(f"{len(y)} effect sizes but {len(v)} variances")
    if len(y) == 0:
        faults.append("no effect sizes to pool")
    labels = None if labels is None else list(labels)
    if labels is not None and len(labels) != len(y):
        faults.append(f"{len(labels)} labels for {len(y)} effect sizes")
    elif len(y) == len(v):
        faults += value_faults(y, v, labels or (f"study {i + 1}" for i in range(len(y))))
    if faults:
        raise ValueError("; ".join(faults) + ".")
    return y, v, labels, method, test


def numbers(values: ArrayLike, name: str) -> np.ndarray:
    """Values as floating-point numbers, shape (k,).

    Raises
    ------
    ValueError
        Where there are none, naming the first.
    """
    plain = np.asarray(values)
    if plain.dtype.kind in "fiu":
        return plain.astype(float).ravel()
    if plain.dtype.kind in "mMc":
        raise ValueError(f"{name} must hold numbers, not {plain.dtype}.")
    column = pd.Series(np.asarray(values, dtype=object).ravel())
    numeric = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    dates = np.array([isinstance(value, date | timedelta) for value in column], dtype=bool)
    strange = np.flatnonzero(dates | (np.isnan(numeric) & column.notna().to_numpy()))
    if len(strange):
        raise ValueError(f"{name} holds {column[strange[0]]!r}, which is no number.")
    return numeric


def value_faults(y: np.ndarray, v: np.ndarray, names: Iterable[str], vi: str = "vi") -> list[str]:
    """What is wrong with effect sizes and variances, a fault a study."""
    wrong = ~np.isfinite(y) | ~np.isfinite(v) | ~(v > 0)
    extreme = (np.abs(y) > LARGEST) | (v < SMALLEST_VARIANCE) | (v > LARGEST_VARIANCE)
    if not (wrong | extreme).any():
        return []
    names = list(names)
    faults = [
        f"{names[i]}: yi = {y[i]}, {vi} = {v[i]}; both must be known and {vi} above zero"
        for i in map(int, np.flatnonzero(wrong))
    ]
    faults += [
        f"{names[i]}: yi = {y[i]:g}, {vi} = {v[i]:g}; computed are effects up to {LARGEST:g} and "
        f"variances from {SMALLEST_VARIANCE:g} to {LARGEST_VARIANCE:g}"
        for i in map(int, np.flatnonzero(extreme & ~wrong))
    ]
    return faults
