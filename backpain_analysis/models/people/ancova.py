"""Baseline-adjusted dose-response at one visit: a regression a trial, then the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
import scipy.linalg
from formulaic import model_matrix
from numpy.typing import ArrayLike

from backpain_analysis.engine.mixed import MixedFit, fit
from backpain_analysis.engine.terms import RandomTerm
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.dose.curves import Curve
from backpain_analysis.models.people.imputation import Imputations, pool_imputations
from backpain_analysis.models.people.visits import (
    PERSON,
    CurveEffects,
    as_visits,
    dose_name_of,
    effects_of,
    person_codes,
    prepared,
)
from backpain_analysis.models.results import WALD, check_choices


class Unfitted(ValueError):
    """A trial cannot estimate the curve; the message is the reason."""


def scaled(table: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """Columns as a matrix with a column of ones: numbers centred, categories as indicators.

    Every column but the first has mean zero and root mean square one, so that ranks do not
    depend on units.
    """
    formula = " + ".join(["1", *(f"`{name}`" for name in names)])
    matrix = model_matrix(formula, table).to_numpy(dtype=float)
    centred = matrix[:, 1:] - matrix[:, 1:].mean(axis=0)
    spread = np.sqrt(np.mean(centred**2, axis=0))
    return np.column_stack([matrix[:, 0], centred / np.where(spread > 0, spread, 1)])


def regress(
    y: np.ndarray, basis: np.ndarray, nuisance: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Coefficients of `basis` in the regressions of some y on it and on `nuisance`.

    Frisch, Waugh & Lovell: y and the basis are replaced by their residuals from the nuisance
    columns, which may repeat one another.

    Parameters
    ----------
    y : ndarray, shape (n, m)
        A column a regression.
    basis : ndarray, shape (n, k)
    nuisance : ndarray, shape (n, q)
        With the intercept.

    Returns
    -------
    estimate : ndarray, shape (m, k)
    cov : ndarray, shape (m, k, k)
        `s2 (B'B)^-1`, B the residual basis.
    df : float
        n less the rank of all columns.

    Raises
    ------
    Unfitted
    """
    k = basis.shape[1]
    distinct = len(np.unique(basis, axis=0))
    if distinct <= k:
        noun = "dose" if distinct == 1 else "different doses"
        raise Unfitted(f"{distinct} {noun}, too few for {k} coefficient{'s' * (k > 1)}")
    space = scipy.linalg.orth(nuisance, rcond=1e-9)
    df = len(y) - space.shape[1] - k
    if df < 1:
        raise Unfitted(f"{len(y)} participants are too few for {space.shape[1] + k} coefficients")
    scale = np.linalg.norm(basis - basis.mean(axis=0), axis=0)
    if np.any(scale <= 1e-9 * np.linalg.norm(basis, axis=0)):
        raise Unfitted("the moderator does not vary")
    B, e = (v - space @ (space.T @ v) for v in (basis / scale, y))
    U, singular, Vt = np.linalg.svd(B, full_matrices=False)
    if singular[-1] < 1e-6:
        raise Unfitted("dose cannot be told apart from the covariates")
    estimate = (Vt.T / singular) @ (U.T @ e)
    s2 = np.sum((e - B @ estimate) ** 2, axis=0) / df
    if np.any(s2 <= 1e-20 * np.mean(y**2, axis=0)):
        raise Unfitted("the scores do not vary beyond the model")
    cov = (Vt.T / singular**2) @ Vt / np.outer(scale, scale)
    return estimate.T / scale, s2[:, None, None] * cov, float(df)


@dataclass(frozen=True)
class TrialCurve:
    """The curve of one trial: estimate (k,), covariance (k, k), residual degrees of freedom."""

    trial: str
    estimate: np.ndarray
    cov: np.ndarray
    df: float
    participants: int


@dataclass(frozen=True, repr=False)
class TwoStageResult(CurveEffects):
    """A curve pooled over the trials' own regressions.

    Attributes
    ----------
    week : float
    adjust : tuple of str
    psi : DataFrame
        Covariance of the trials' coefficients around the mean ones; zero for "CE".
    trials : DataFrame
        Stage one: `trial_id, term, estimate, se, df, participants`.
    left_out : DataFrame
        `trial_id, reason` of trials that cannot estimate the curve.
    engine : MixedFit
    """

    week: float
    adjust: tuple[str, ...]
    psi: pd.DataFrame = field(repr=False)
    trials: pd.DataFrame = field(repr=False)
    left_out: pd.DataFrame = field(repr=False)
    engine: MixedFit = field(repr=False)

    def predict(self, doses: ArrayLike | None = None, reference: float = 0.0) -> pd.DataFrame:
        """Mean effect of each dose against the reference dose.

        Returns
        -------
        DataFrame
            `dose, estimate, se, ci_low, ci_high, pi_low, pi_high`; the prediction interval is
            that of a new trial's own effect.
        """
        return effects_of(self, doses, reference, list(self.curve.terms), self.psi.to_numpy())

    def _title(self) -> str:
        return f"Effect of {self.dose_name} at week {self.week:g}, {self.curve.name}, two stages"

    def _note(self) -> str:
        lost = f" {len(self.left_out)} trials left out (see .left_out)." * bool(len(self.left_out))
        adjusted = f"Adjusted for {', '.join(self.adjust)}. " * bool(self.adjust)
        return f"{self._size()}{lost} {adjusted}{super()._note()}"


def ancova(
    data: Any,
    *,
    week: float,
    curve: str | Curve = "linear",
    adjust: Sequence[str] = ("baseline",),
    method: Literal["REML", "ML", "CE"] = "REML",
    test: Literal["t", "z"] = "t",
    level: float = 0.95,
    **columns: str,
) -> TwoStageResult:
    """Fit a curve of dose to the scores at one visit, adjusted for baseline, in two stages.

    Stage one: in each trial ordinary least squares of the score on the curve of dose, baseline and
    other covariates (analysis of covariance: Vickers & Altman 2001, doi 10.1136/bmj.323.7321.1123).
    Stage two: multivariate meta-analysis of the trials' coefficients (Burke, Ensor & Riley 2017,
    doi 10.1002/sim.7141; Gasparrini et al. 2012, doi 10.1002/sim.5471). Imputed data are pooled by
    Rubin's rules within each trial before stage two (Burgess et al. 2013, doi 10.1002/sim.5844).
    A covariate that does not vary in a trial is left out of that trial's regression.

    Parameters
    ----------
    data : DataFrame, Participants or Imputations
        See `visits.as_visits` and `imputation.impute`.
    week : float
        Visit to analyse.
    curve : str or Curve
        One that is linear in its parameters.
    adjust : sequence of str
        Columns: "baseline" and others; numbers or categories.
    method : {"REML", "ML", "CE"}
        Of stage two. A single trial stands for itself, with its own t test.
    test : {"t", "z"}
        "t" uses (trials - terms of the curve) degrees of freedom. "CE" is always "z".
    level : float
    **columns : str
        Names of the columns, as of `visits.as_visits`.

    Returns
    -------
    TwoStageResult

    Raises
    ------
    ValueError
        For a week without visits, unknown columns, a curve whose shape would have to be estimated,
        or where no trial can estimate the curve; says why.

    Examples
    --------
    >>> people = bp.load_participants()
    >>> bp.ancova(people, week=12).params.round(3)
    dose   -0.064
    dtype: float64
    """
    check_choices(level, test=(test, WALD))
    covariates = [name for name in adjust if name != "baseline"]
    visits, parts, excluded = each_at_week(data, covariates, week, adjust, **columns)
    rows = parts[0]
    curve = prepared(curve, rows["dose"].to_numpy())
    curves, left_out = trial_curves(parts, curve, adjust)
    left_out = [*_without_visit(visits, rows, week), *left_out]
    if not curves:
        reasons = "; ".join(f"{trial}: {reason}" for trial, reason in left_out)
        raise CannotEstimate(
            f"no trial can estimate a {curve.name} curve at week {week:g}", reasons
        )
    method = "CE" if len(curves) == 1 else method
    model = pool_curves(curves, curve.terms, method=method)
    kept = rows["trial_id"].isin([found.trial for found in curves])
    size, terms = len(curve.terms), list(curve.terms)
    return TwoStageResult(
        params=pd.Series(model.beta, terms),
        cov=pd.DataFrame(model.cov_beta, terms, terms),
        df=stage_two_df(curves, size, method, test),
        level=level,
        llf=model.llf,
        aic=model.aic,
        bic=model.bic,
        method=method,
        curve=curve,
        dose_name=dose_name_of(data, columns),
        max_dose=float(rows.loc[kept, "dose"].max()),
        n_trials=len(curves),
        n_participants=int(kept.sum()),
        excluded=excluded,
        week=float(week),
        adjust=tuple(adjust),
        psi=pd.DataFrame(model.psi[0] if model.psi else np.zeros((size, size)), terms, terms),
        trials=stage_one_table(curves, curve.terms),
        left_out=pd.DataFrame(left_out, columns=["trial_id", "reason"]),
        engine=model,
    )


def at_week(
    visits: pd.DataFrame, week: float, needed: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Complete rows of one visit, and `trial_id, participant_id, reason` of who has none.

    Raises
    ------
    ValueError
        If nobody has a score at that week.
    """
    places, excluded = _places_at_week(visits, week, needed)
    return visits.iloc[places].reset_index(drop=True), excluded


def _places_at_week(
    visits: pd.DataFrame, week: float, needed: Sequence[str]
) -> tuple[np.ndarray, pd.DataFrame]:
    """Where the rows of `at_week` are in the table of visits, and who has none."""
    scored = visits["value"].notna()
    now = np.flatnonzero((visits["week"] == week) & scored)
    if not len(now) or week <= 0:
        weeks = visits.loc[scored & (visits["week"] > 0), "week"].unique()
        known = ", ".join(f"{number:g}" for number in sorted(weeks))
        raise CannotEstimate(
            f"no scores at week {week:g} after baseline; there are some at {known}"
        )
    people = person_codes(visits)
    _, first = np.unique(people, return_index=True)
    place = np.full(len(first), -1)
    place[people[now]] = now
    reason = np.where(place < 0, f"no score at week {week:g}", "").astype(object)
    for name in ("dose", *needed):
        lacking = visits[name].isna().to_numpy()[place]
        reason[(reason == "") & lacking] = f"{name} missing"
    lost = reason != ""
    excluded = visits[PERSON].iloc[first[lost]].reset_index(drop=True)
    return place[~lost], excluded.assign(reason=pd.Series(reason[lost], dtype="str"))


def each_at_week(
    data: Any, covariates: Sequence[str], week: float, needed: Sequence[str], **columns: str
) -> tuple[pd.DataFrame, list[pd.DataFrame], pd.DataFrame]:
    """All visits, the complete rows of one of them, and `excluded`, as `at_week`.

    Of imputations the rows are those of each, which are the same but for what was imputed.
    """
    if isinstance(data, Imputations):
        missing = sorted(set(covariates) - set(data.visits.columns))
        if missing:
            raise ValueError(f"impute with auxiliary={tuple(missing)!r} to adjust for them.")
        visits = next(iter(data))
        places, excluded = _places_at_week(visits, week, needed)
        return visits, list(data.rows(places)), excluded
    visits = as_visits(data, covariates=tuple(covariates), **columns)
    rows, excluded = at_week(visits, week, needed)
    return visits, [rows], excluded


def _without_visit(visits: pd.DataFrame, rows: pd.DataFrame, week: float) -> list[tuple[str, str]]:
    everywhere, present = visits["trial_id"].unique(), set(rows["trial_id"])
    return [
        (trial, f"no complete scores at week {week:g}")
        for trial in everywhere
        if trial not in present
    ]


def trial_curves(
    tables: list[pd.DataFrame], curve: Curve, adjust: Sequence[str], by: str | None = None
) -> tuple[list[TrialCurve], list[tuple[str, str]]]:
    """Stage one: each trial's curve, and (trial, reason) of those that cannot estimate it.

    Parameters
    ----------
    tables : list of DataFrame
        Complete rows of one visit; several are imputations of one another (the same rows in the
        same order), whose estimates are pooled by Rubin's rules.
    curve : Curve
    adjust : sequence of str
    by : str, optional
        Column that multiplies the curve; its products' coefficients follow those of the curve.
    """
    fits: dict[str, list[TrialCurve]] = {}
    faults: dict[str, str] = {}
    for alike in _with_one_design(tables, [*adjust, *([by] if by else [])]):
        table = alike[0]
        basis, nuisance = curve.basis(table["dose"].to_numpy(dtype=float)), scaled(table, adjust)
        values = np.column_stack([one["value"].to_numpy(dtype=float) for one in alike])
        if by is not None:
            basis = np.hstack([basis, basis * table[[by]].to_numpy()])
        for trial, own in table.groupby("trial_id", sort=False).indices.items():
            try:
                estimates, covs, df = regress(values[own], basis[own], nuisance[own])
            except Unfitted as fault:
                faults[trial] = str(fault)
                continue
            found = zip(estimates, covs, strict=True)
            fits.setdefault(trial, []).extend(TrialCurve(trial, *e, df, len(own)) for e in found)
    curves = [_pooled(found) for trial, found in fits.items() if trial not in faults]
    return curves, list(faults.items())


def _with_one_design(tables: list[pd.DataFrame], covariates: list[str]) -> list[list[pd.DataFrame]]:
    """The tables together where no covariate was imputed, else one by one."""
    first, *others = tables
    if all(table[name].equals(first[name]) for table in others for name in covariates):
        return [tables]
    return [[table] for table in tables]


def _pooled(fits: list[TrialCurve]) -> TrialCurve:
    if len(fits) == 1:
        return fits[0]
    first = fits[0]
    found = pool_imputations([f.estimate for f in fits], [f.cov for f in fits], first.df)
    return TrialCurve(
        first.trial, found.params, found.cov, float(found.df.min()), first.participants
    )


def pool_curves(
    curves: list[TrialCurve],
    names: Sequence[str],
    *,
    weights: np.ndarray | None = None,
    method: str = "REML",
) -> MixedFit:
    """Stage two: mean coefficients, each trial a block with random effects on all of them.

    Parameters
    ----------
    curves : list of TrialCurve
    names : sequence of str
        Of the coefficients, in messages.
    weights : ndarray, shape (n_trials, w), optional
        Trial-level covariates that every coefficient may depend on; ones by default.
    method : {"REML", "ML", "CE"}
    """
    size, count = len(curves[0].estimate), len(curves)
    weights = np.ones((count, 1)) if weights is None else weights
    return fit(
        np.concatenate([found.estimate for found in curves]),
        np.vstack([np.kron(weight, np.eye(size)) for weight in weights]),
        [found.cov for found in curves],
        blocks=np.repeat(np.arange(count), size),
        terms=[RandomTerm(np.tile(np.eye(size), (count, 1)))],
        method=method,
        names=names,
    )


def stage_two_df(curves: list[TrialCurve], coefficients: int, method: str, test: str) -> float:
    """Degrees of freedom of stage two: trials less coefficients, at least one."""
    if test == "z" or (method == "CE" and len(curves) > 1):
        return np.inf
    return float(curves[0].df if len(curves) == 1 else max(len(curves) - coefficients, 1))


def stage_one_table(curves: list[TrialCurve], terms: Sequence[str]) -> pd.DataFrame:
    """`trial_id, term, estimate, se, df, participants`, a row a trial and term."""
    rows = [
        (found.trial, term, value, np.sqrt(variance), found.df, found.participants)
        for found in curves
        for term, value, variance in zip(terms, found.estimate, np.diag(found.cov), strict=True)
    ]
    columns = ["trial_id", "term", "estimate", "se", "df", "participants"]
    return pd.DataFrame(rows, columns=columns)
