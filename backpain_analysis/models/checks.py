"""What effect sizes and choices must be before they are pooled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

METHODS = ("CE", "DL", "HE", "HS", "SJ", "PM", "ML", "REML", "EB")
TESTS = ("knapp-hartung", "z")


def fitting_test(n_trials: int) -> str:
    """The test for reports that pool few trials: "knapp-hartung" from three on, else "z".

    With two trials the t quantile on one degree of freedom is 12.7, and the interval says nothing
    (Cochrane Handbook 10.10.4.4).
    """
    return "knapp-hartung" if n_trials > 2 else "z"


def check_options(method: str, test: str, level: float) -> None:
    """Refuse an unknown method or test, or a level outside (0, 1).

    Raises
    ------
    ValueError
        Every fault is named.
    """
    faults = _option_faults(method, test, level)
    if faults:
        raise ValueError("; ".join(faults) + ".")


def _option_faults(method: str, test: str, level: float) -> list[str]:
    faults = []
    if method not in METHODS:
        faults.append(f"unknown method {method!r}: use one of {', '.join(METHODS)}")
    if test not in TESTS:
        faults.append(f"unknown test {test!r}: use one of {', '.join(TESTS)}")
    if not 0 < level < 1:
        faults.append(f"level {level} is not between 0 and 1")
    return faults


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
) -> tuple[np.ndarray, np.ndarray, list[str] | None]:
    """Effect sizes, variances and labels (None where none were given) that can be pooled.

    Raises
    ------
    ValueError
        If anything is wrong; every fault is named.
    """
    if vi is None:
        raise ValueError("give the sampling variances vi.")
    y, v = np.asarray(yi, dtype=float).ravel(), np.asarray(vi, dtype=float).ravel()
    faults = _option_faults(method, test, level)
    if len(y) != len(v):
        faults.append(f"{len(y)} effect sizes but {len(v)} variances")
    if len(y) == 0:
        faults.append("no effect sizes to pool")
    labels = None if labels is None else list(labels)
    if labels is not None and len(labels) != len(y):
        faults.append(f"{len(labels)} labels for {len(y)} effect sizes")
    elif len(y) == len(v):
        wrong = ~np.isfinite(y) | ~np.isfinite(v) | ~(v > 0)
        if wrong.any():
            names = labels or study_names(len(y))
            faults.extend(
                f"{names[i]}: yi = {y[i]}, vi = {v[i]}; both must be known and vi above zero"
                for i in np.flatnonzero(wrong)
            )
    if faults:
        raise ValueError("; ".join(faults) + ".")
    return y, v, labels
