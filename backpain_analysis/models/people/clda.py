"""Constrained longitudinal data analysis: baseline is an outcome with one mean for all doses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from backpain_analysis.engine.mixed import MixedFit, fit
from backpain_analysis.engine.terms import RandomTerm
from backpain_analysis.errors import CannotEstimate, ConvergenceError
from backpain_analysis.models.dose.curves import Curve
from backpain_analysis.models.people.visits import (
    PERSON,
    VisitCurves,
    VisitDesign,
    as_visits,
    dose_name_of,
    left_out,
    person_codes,
    prepared,
    visit_design,
)
from backpain_analysis.models.results import WALD, check_choices

Structure = Literal["unstructured", "random_slope"]

STRUCTURES = ("unstructured", "random_slope")

KNOWN_SHARES = (0.1, 0.01, 0.001)
PLENTY = 5
"""People with scores at two visits, for each visit: from so many on a likelihood has one hill."""


@dataclass(frozen=True)
class ResidualFit:
    """A fit and the covariance of one participant's scores at all visits, (n_weeks, n_weeks)."""

    model: MixedFit
    cov: np.ndarray


def fit_residual(
    y: np.ndarray,
    X: np.ndarray,
    people: np.ndarray,
    week: np.ndarray,
    structure: Structure,
    *,
    method: str,
    names: list[str],
) -> ResidualFit:
    """Fit a mean with scores correlated within people, each person a block of the engine.

    The engine asks for a known sampling covariance S. A residual covariance R that has nothing
    known is split as `R = (R - s I) + s I` with a small s: the first part is the engine's random
    term, the second its S. As long as s is below the smallest eigenvalue of R this changes
    nothing, neither estimates nor likelihood; where it is not, s is made smaller.

    Parameters
    ----------
    y, people, week : ndarray, shape (n_rows,)
    X : ndarray, shape (n_rows, p)
    structure : {"unstructured", "random_slope"}
        R free between any two weeks; or random intercept and slope over weeks, and independent
        errors.
    method : {"REML", "ML"}
    names : list of str
        Of the columns of X.

    Returns
    -------
    ResidualFit

    Raises
    ------
    ValueError
        If too few people have scores at two of the weeks for a free covariance.
    ConvergenceError
    """
    weeks = np.unique(week)
    free = structure == "unstructured"
    terms = _free(week, weeks, people) if free else _random_slope(week)
    moments = _moments(y, X, people, np.searchsorted(weeks, week)) if free else None
    for share in KNOWN_SHARES:
        known = share * float(np.var(y))
        variances = np.full(len(y), known)
        near = None if moments is None else _definite(moments - known * np.eye(len(weeks)), known)
        model = fit(
            y, X, variances, blocks=people, terms=terms, method=method, names=names, near=near
        )
        if np.linalg.eigvalsh(model.psi[-1])[0] > 1e-6 * known:
            break
    else:
        raise ConvergenceError(
            "scores of some visits are (nearly) a combination of those of others",
            "leave one of these visits out",
        )
    if free:
        return ResidualFit(model, model.psi[0] + known * np.eye(len(weeks)))
    line = np.column_stack([np.ones(len(weeks)), weeks])
    error = (model.psi[1].item() + known) * np.eye(len(weeks))
    return ResidualFit(model, line @ model.psi[0] @ line.T + error)


def _free(week: np.ndarray, weeks: np.ndarray, people: np.ndarray) -> list[RandomTerm]:
    place = np.searchsorted(weeks, week)
    seen = np.zeros((people.max() + 1, len(weeks)))
    seen[people, place] = 1.0
    few = np.argwhere(np.triu(seen.T @ seen <= len(weeks), 1))
    if len(few):
        pairs = ", ".join(f"{weeks[a]:g} and {weeks[b]:g}" for a, b in few[:5])
        raise CannotEstimate(
            f"too few participants have scores at both weeks {pairs} for a free covariance "
            "between visits",
            "use residual='random_slope', or fewer visits",
        )
    return [RandomTerm(np.eye(len(weeks))[place], name="visit")]


def _moments(
    y: np.ndarray, X: np.ndarray, people: np.ndarray, place: np.ndarray
) -> np.ndarray | None:
    """Mean products of residuals of least squares at any two visits, where people are plenty."""
    wide = np.zeros((people.max() + 1, place.max() + 1))
    seen = wide.copy()
    wide[people, place] = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
    seen[people, place] = 1.0
    pairs = seen.T @ seen
    return wide.T @ wide / pairs if pairs.min() >= PLENTY * len(pairs) else None


def _definite(matrix: np.ndarray, least: float) -> np.ndarray:
    """The matrix with no eigenvalue below the least."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, least)) @ vectors.T


def _random_slope(week: np.ndarray) -> list[RandomTerm]:
    rows = np.arange(len(week))
    line = np.column_stack([np.ones(len(week)), week])
    error = RandomTerm(np.ones((len(week), 1)), rows, structure="identity", name="error")
    return [RandomTerm(line, name="participant"), error]


@dataclass(frozen=True, repr=False)
class CldaResult(VisitCurves):
    """A constrained longitudinal model.

    Attributes
    ----------
    residual : str
        "unstructured" or "random_slope".
    residual_cov : DataFrame
        Covariance of one participant's scores at all visits (weeks by weeks).
    means : DataFrame
        `trial_id, week, estimate, se`: mean score without exercise (dose zero).
    engine : MixedFit
    """

    residual: str
    residual_cov: pd.DataFrame = field(repr=False)
    means: pd.DataFrame = field(repr=False)
    engine: MixedFit = field(repr=False)

    def _title(self) -> str:
        return f"Effect of {self.dose_name} at every visit, {self.curve.name}, cLDA"

    def _note(self) -> str:
        return f"{super()._note()} Residual covariance: {self.residual.replace('_', ' ')}."


def clda(
    data: Any,
    *,
    curve: str | Curve = "linear",
    residual: Structure = "unstructured",
    method: Literal["REML", "ML"] = "REML",
    test: Literal["t", "z"] = "t",
    level: float = 0.95,
    **columns: str,
) -> CldaResult:
    """Fit a curve of dose at every visit, the mean at baseline being the same for all doses.

    `y = m(trial, visit) + [f(d) - f(0)] b(visit) + e`, no dose at baseline; e correlated within a
    participant. Participants without a baseline or with missed visits stay in, valid if scores
    are missing at random. Sources: Liang & Zeger 2000 (Sankhya B 62:134-148); Lu 2010
    (doi 10.1111/j.1541-0420.2009.01332.x). The effect of dose is taken as equal in all trials:
    whether it is, `ancova` tells.

    Parameters
    ----------
    data : DataFrame or Participants
        See `visits.as_visits`.
    curve : str or Curve
        One that is linear in its parameters.
    residual : {"unstructured", "random_slope"}
        Covariance within a participant: free between any two visits, or random intercept and slope
        over weeks with independent errors, for trials with visits at many different weeks.
    method : {"REML", "ML"}
    test : {"t", "z"}
        "t" uses (participants - trials - terms of the curve) degrees of freedom.
    level : float
    **columns : str
        Names of the columns, as of `visits.as_visits`.

    Returns
    -------
    CldaResult

    Raises
    ------
    ValueError
        For unusable data, or pairs of visits that too few participants attended for a free
        covariance; says what to do.
    ConvergenceError
        If the likelihood has no maximum.

    Examples
    --------
    >>> people = bp.load_participants()
    >>> bp.clda(people, residual="random_slope").params.tail(1).round(3)
    dose, week 26   -0.061
    dtype: float64
    """
    check_choices(level, residual=(residual, STRUCTURES), test=(test, WALD))
    visits = as_visits(data, **columns)
    rows = with_baseline(visits)
    curve = prepared(curve, rows["dose"].to_numpy())
    design = visit_design(rows, curve)
    X = np.hstack([design.effects, design.means])
    means = [f"mean of {trial}, week {week:g}" for trial, week in design.visits.to_numpy()]
    people = person_codes(rows)
    fitted = fit_residual(
        rows["value"].to_numpy(dtype=float),
        X,
        people,
        rows["week"].to_numpy(dtype=float),
        residual,
        method=method,
        names=[*design.names, *means],
    )
    model, weeks = fitted.model, [0.0, *design.weeks]
    size, names = len(design.names), design.names
    n_people, n_trials = int(people.max()) + 1, rows["trial_id"].nunique()
    df = float(max(n_people - n_trials - len(curve.terms), 1)) if test == "t" else np.inf
    return CldaResult(
        params=pd.Series(model.beta[:size], names),
        cov=pd.DataFrame(model.cov_beta[:size, :size], names, names),
        df=df,
        level=level,
        llf=model.llf,
        aic=model.aic,
        bic=model.bic,
        method=method,
        curve=curve,
        dose_name=dose_name_of(data, columns),
        max_dose=float(rows["dose"].max()),
        n_trials=n_trials,
        n_participants=n_people,
        excluded=left_out(visits, rows, "no score or no dose"),
        weeks=design.weeks,
        n_scores=len(rows),
        residual=residual,
        residual_cov=pd.DataFrame(fitted.cov, weeks, weeks),
        means=_means(design, model, size),
        engine=model,
    )


def with_baseline(visits: pd.DataFrame) -> pd.DataFrame:
    """Observed scores after baseline, and each participant's baseline as a score at week 0."""
    after = visits[visits["week"] > 0][[*PERSON, "week", "dose", "value"]]
    first = visits.groupby(PERSON, sort=False)[["dose", "baseline"]].first().reset_index()
    first = first.rename(columns={"baseline": "value"}).assign(week=0.0)
    rows = pd.concat([first, after], ignore_index=True).dropna(subset=["value", "dose"])
    if not (rows["week"] > 0).any():
        raise CannotEstimate("there are no scores after baseline")
    order = rows.groupby(PERSON, sort=False).ngroup()
    return rows.assign(order=order).sort_values(["order", "week"]).drop(columns="order")


def _means(design: VisitDesign, model: MixedFit, size: int) -> pd.DataFrame:
    se = np.sqrt(np.diag(model.cov_beta)[size:])
    return design.visits.assign(estimate=model.beta[size:], se=se)
