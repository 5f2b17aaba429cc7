"""Generalised estimating equations: the marginal check of the mixed models."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.genmod.cov_struct import Exchangeable
from statsmodels.genmod.generalized_estimating_equations import GEE
from statsmodels.tools.sm_exceptions import ConvergenceWarning, IterationLimitWarning

from backpain_analysis.errors import CannotEstimate, ConvergenceError
from backpain_analysis.models.dose.curves import Curve
from backpain_analysis.models.people.ancova import scaled
from backpain_analysis.models.people.visits import (
    PERSON,
    VisitCurves,
    as_visits,
    dose_name_of,
    left_out,
    person_codes,
    prepared,
    visit_design,
)
from backpain_analysis.models.results import check_choices


@dataclass(frozen=True, repr=False)
class GeeResult(VisitCurves):
    """A marginal model.

    Attributes
    ----------
    adjust : tuple of str
    correlation : float
        Working correlation of two scores of one participant.
    naive_cov : DataFrame
        Covariance if the working correlation were true.
    """

    adjust: tuple[str, ...]
    correlation: float
    naive_cov: pd.DataFrame = field(repr=False)

    def _title(self) -> str:
        return f"Effect of {self.dose_name} at every visit, {self.curve.name}, GEE"

    def _note(self) -> str:
        adjusted = f" Adjusted for {', '.join(self.adjust)}." * bool(self.adjust)
        return (
            f"{self._size()} {self.n_scores} scores.{adjusted} Exchangeable working correlation "
            f"{self.correlation:.2f}; robust standard errors, clustered by participant."
        )


def gee(
    data: Any,
    *,
    curve: str | Curve = "linear",
    adjust: Sequence[str] = ("baseline",),
    level: float = 0.95,
    **columns: str,
) -> GeeResult:
    """Fit a curve of dose at every visit by generalised estimating equations.

    The mean is that of `clda`, less the baseline visit and with baseline as a covariate: a mean a
    trial and visit, and a curve of dose a visit. Exchangeable working correlation within
    participants, sandwich standard errors and normal tests (Liang & Zeger 1986,
    doi 10.1093/biomet/73.1.13; `statsmodels`' GEE). Unlike the mixed models it is biased where
    dropout depends on earlier scores after baseline.

    Parameters
    ----------
    data : DataFrame or Participants
        See `visits.as_visits`.
    curve : str or Curve
        One that is linear in its parameters.
    adjust : sequence of str
        Columns: "baseline" and others; numbers or categories.
    level : float
    **columns : str
        Names of the columns, as of `visits.as_visits`.

    Returns
    -------
    GeeResult

    Raises
    ------
    ValueError
        For unusable data.
    ConvergenceError

    Examples
    --------
    >>> people = bp.load_participants()
    >>> bp.gee(people).params.tail(2).round(3)
    dose, week 12   -0.065
    dose, week 26   -0.062
    dtype: float64
    """
    check_choices(level)
    covariates = tuple(name for name in adjust if name != "baseline")
    visits = as_visits(data, covariates=covariates, **columns)
    rows = visits[visits["week"] > 0].dropna(subset=["value", "dose", *adjust])
    if rows.empty:
        raise CannotEstimate(
            f"nobody has a score after baseline with {', '.join(adjust) or 'a dose'}"
        )
    curve = prepared(curve, rows["dose"].to_numpy())
    design = visit_design(rows, curve)
    nuisance = scaled(rows, adjust)[:, 1:]
    X = np.hstack([design.effects, design.means, nuisance])
    scale = np.sqrt(np.mean(X**2, axis=0))
    _check_rank(X[:, scale > 0] / scale[scale > 0], scale, design.names)
    found = _solve(rows["value"].to_numpy(dtype=float), X / scale, person_codes(rows))
    names, size = design.names, len(design.names)
    units = np.outer(scale[:size], scale[:size])
    return GeeResult(
        params=pd.Series((found.params / scale)[:size], names),
        cov=pd.DataFrame(found.cov_robust[:size, :size] / units, names, names),
        df=np.inf,
        level=level,
        llf=np.nan,
        aic=np.nan,
        bic=np.nan,
        method="GEE",
        curve=curve,
        dose_name=dose_name_of(data, columns),
        max_dose=float(rows["dose"].max()),
        n_trials=rows["trial_id"].nunique(),
        n_participants=len(rows[PERSON].drop_duplicates()),
        excluded=left_out(visits, rows, "no complete scores after baseline"),
        weeks=design.weeks,
        n_scores=len(rows),
        adjust=tuple(adjust),
        correlation=float(found.cov_struct.dep_params),
        naive_cov=pd.DataFrame(found.cov_naive[:size, :size] / units, names, names),
    )


def _check_rank(X: np.ndarray, scale: np.ndarray, names: list[str]) -> None:
    if np.any(scale[: len(names)] == 0) or np.linalg.matrix_rank(X, tol=1e-8 * len(X)) < len(scale):
        raise CannotEstimate(
            "the data cannot tell the effects of dose at all visits apart from the means of the "
            "trials and the covariates",
            "use a simpler curve, or fewer covariates",
        )


def _solve(y: np.ndarray, X: np.ndarray, people: np.ndarray) -> Any:
    model = GEE(y, X, groups=people, cov_struct=Exchangeable())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in (ConvergenceWarning, IterationLimitWarning):
            warnings.simplefilter("error", kind)
        try:
            return model.fit(cov_type="robust")
        except (ConvergenceWarning, IterationLimitWarning):
            raise ConvergenceError(
                "the estimating equations did not converge",
                "use a simpler curve, or fewer covariates",
            ) from None
