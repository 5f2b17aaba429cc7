"""What a diagnostic is given: independent effect sizes, or the result of pooling them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from backpain_analysis.effects import Effects
from backpain_analysis.models.checks import checked_studies, study_names
from backpain_analysis.models.pooling import PoolResult


@dataclass(frozen=True)
class Studies:
    """Checked effect sizes of independent studies and how they are to be pooled.

    Attributes
    ----------
    y, v : ndarray, shape (k,)
    labels : list of str
        Need not be unique: each row is a study of its own.
    method, test : str
    level : float
    """

    y: np.ndarray
    v: np.ndarray
    labels: list[str]
    method: str
    test: str
    level: float

    def __len__(self) -> int:
        return len(self.y)

    @property
    def options(self) -> dict:
        """Keyword arguments of `pool` and `meta_regression`."""
        return {"method": self.method, "test": self.test, "level": self.level}


def as_studies(
    yi: ArrayLike | PoolResult | Effects,
    vi: ArrayLike | None,
    labels: Sequence[str] | None,
    *,
    method: str | None = None,
    test: str | None = None,
    level: float | None = None,
    least: int = 1,
) -> Studies:
    """The studies of a diagnostic.

    Parameters
    ----------
    yi, vi, labels
        Effect sizes, sampling variances and names of independent studies; or a `PoolResult` or
        `Effects` as `yi` alone.
    method, test, level
        As of `pool`; None: those of the `PoolResult`, else the defaults of `pool`.
    least : int
        How many studies the diagnostic needs.

    Raises
    ------
    ValueError
        For unusable or too few effect sizes, for variances given twice, and for correlated
        contrasts (trials with several arms against one reference), to which these diagnostics do
        not apply.
    """
    given = {"method": "REML", "test": "knapp-hartung", "level": 0.95}
    if isinstance(yi, PoolResult | Effects):
        if vi is not None:
            raise ValueError("a pooled result carries its own variances: leave out vi.")
        if isinstance(yi, PoolResult):
            given = {name: getattr(yi, name) for name in given}
        table = yi.table
        if yi.n_trials < len(table):
            raise ValueError(
                f"{len(table)} contrasts of {yi.n_trials} trials: contrasts of one trial are "
                "correlated, but this diagnostic is for independent ones. Keep one contrast a "
                "trial."
            )
        yi, vi = table["yi"], table["vi"]
        labels = list(table["label"]) if labels is None else labels
    chosen = {"method": method, "test": test, "level": level}
    given |= {name: value for name, value in chosen.items() if value is not None}
    y, v, labels = checked_studies(yi, vi, labels, **given)
    labels = labels or study_names(len(y))
    if len(y) < least:
        size = f"{len(y)} {'study' if len(y) == 1 else 'studies'}"
        raise ValueError(f"{size} given, but this diagnostic needs at least {least}.")
    return Studies(y, v, labels, **given)
