"""Scores of participants over time in one mixed model: dose, time and dose by time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from backpain_analysis.display import html_table
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.dose.curves import Curve, named
from backpain_analysis.models.dose.search import round_doses
from backpain_analysis.models.people.longitudinal_likelihood import TrialEffect, fit_sums
from backpain_analysis.models.people.longitudinal_sums import (
    CurveMean,
    FormulaMean,
    Mean,
    RandomEffects,
    Tally,
)
from backpain_analysis.models.people.visits import PERSON, as_visits, dose_name_of, person_codes
from backpain_analysis.models.results import WALD, Coefficients, check_choices, quantile, wald_test
from backpain_analysis.words import article

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, repr=False)
class LongitudinalResult(Coefficients):
    """A fitted longitudinal mixed model.

    Attributes
    ----------
    mean : CurveMean or FormulaMean
        The fixed part.
    random_cov : DataFrame
        Covariance of the participants' intercepts (at week 0) and slopes (a week).
    trial_effect : {"fixed", "random", None}
    trial_variance : float or None
        Variance of the trials' intercepts, where they are random.
    sigma2 : float
        Residual variance.
    outcome_name, dose_name : str
    max_dose, max_week : float
        The edge of the data.
    n_trials, n_participants, n_visits : int
        What entered.
    left_out : DataFrame
        `reason, visits, participants`: visits that did not enter, and of how many participants.
    excluded : DataFrame
        `trial_id, participant_id, reason` of participants without a single visit that did.
    n_iterations : int
    """

    mean: Mean = field(repr=False)
    random_cov: pd.DataFrame = field(repr=False)
    trial_effect: str | None
    trial_variance: float | None
    sigma2: float
    outcome_name: str
    dose_name: str
    max_dose: float
    max_week: float
    n_trials: int
    n_participants: int
    n_visits: int
    left_out: pd.DataFrame = field(repr=False)
    excluded: pd.DataFrame = field(repr=False)
    n_iterations: int

    @property
    def n_excluded(self) -> int:
        """Visits that did not enter; `left_out` says why."""
        return int(self.left_out["visits"].sum())

    @property
    def variance_components(self) -> pd.DataFrame:
        """`component, variance, sd, correlation` (of slope and intercept)."""
        names = [f"participant: {name}" for name in self.random_cov.index]
        variances = np.diag(self.random_cov).tolist()
        correlations = [np.nan] * (len(names) + 1)
        if len(names) == 2 and min(variances) > 0:
            covariance = self.random_cov.iloc[0, 1]
            correlations[1] = covariance / np.sqrt(variances[0] * variances[1])
        if self.trial_variance is not None:
            names.append("trial: intercept")
            variances.append(self.trial_variance)
            correlations.append(np.nan)
        table = pd.DataFrame({"component": [*names, "residual"]})
        table["variance"] = [*variances, self.sigma2]
        return table.assign(sd=np.sqrt(table["variance"]), correlation=correlations)

    def predict(
        self,
        doses: ArrayLike | None = None,
        weeks: ArrayLike | None = None,
        reference: float = 0.0,
        at: Mapping[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Mean difference of each dose from the reference dose at each week.

        Parameters
        ----------
        doses : array_like, shape (n,), optional
            By default some round doses from zero to the largest.
        weeks : array_like, shape (m,), optional
            By default the last week of the data.
        reference : float
        at : mapping, optional
            Moderators that a formula multiplies dose by; by default their means (categories: the
            first of the data).

        Returns
        -------
        DataFrame
            `week, dose, estimate, se, ci_low, ci_high`, a row a week and dose.
        """
        doses = round_doses(self.max_dose) if doses is None else np.atleast_1d(doses)
        weeks = np.atleast_1d(self.max_week if weeks is None else weeks).astype(float)
        week, dose = (grid.ravel() for grid in np.meshgrid(weeks, doses, indexing="ij"))
        rows = self.mean.contrast(dose.astype(float), week, reference, at or {})
        estimate = rows @ self.params.to_numpy()
        se = np.sqrt(np.einsum("ij,jk,ik->i", rows, self.cov.to_numpy(), rows))
        half = quantile(self.level, self.df) * se
        return pd.DataFrame(
            {
                "week": week,
                "dose": dose,
                "estimate": estimate,
                "se": se,
                "ci_low": estimate - half,
                "ci_high": estimate + half,
            }
        )

    def effect(
        self,
        dose: float,
        week: float,
        reference: float = 0.0,
        at: Mapping[str, Any] | None = None,
    ) -> pd.Series:
        """The difference of one dose at one week: a row of `predict`."""
        return self.predict([dose], [week], reference, at).iloc[0]

    def test_dose(self) -> pd.Series:
        """Wald test that dose makes no difference at any week.

        Raises
        ------
        ValueError
            If dose is not in the model.
        """
        return self._wald(self.mean.of_dose, "dose is not in the model")

    def test_nonlinearity(self) -> pd.Series:
        """Wald test that the terms of the curve beyond the first are zero at all weeks.

        Raises
        ------
        ValueError
            For a formula, or a curve with a single term.
        """
        names = self.mean.nonlinear if isinstance(self.mean, CurveMean) else []
        return self._wald(names, "the dose has no curve of several terms")

    def _wald(self, names: list[str], otherwise: str) -> pd.Series:
        if not names:
            raise ValueError(f"{otherwise}: nothing to test.")
        cov = self.cov.loc[names, names].to_numpy()
        return wald_test(self.params[names].to_numpy(), cov, float(np.min(self.df)))

    def plot(self, **options: Any) -> Axes:
        """Dose-response at chosen weeks: see `figures.longitudinal`."""
        from backpain_analysis.figures.people_plots import longitudinal

        return longitudinal(self, **options)

    def _title(self) -> str:
        return f"Longitudinal mixed model of {self.outcome_name}: {self.mean.title}"

    def _note(self) -> str:
        trials = "trial" if self.n_trials == 1 else "trials"
        left = f"; {self.n_excluded} visits left out (see .left_out)" if self.n_excluded else ""
        return (
            f"{self.n_visits} visits of {self.n_participants} participants in {self.n_trials} "
            f"{trials}{left}. {super()._note()}"
        )

    def _repr_html_(self) -> str:
        variances = html_table(self.variance_components, title="Variance components")
        return super()._repr_html_() + variances


def longitudinal(
    data: Any,
    *,
    outcome: str = "value",
    dose: str = "dose",
    week: str = "week",
    participant: str = "participant_id",
    trial: str = "trial_id",
    curve: str | Curve = "linear",
    time: str | Curve = "linear",
    covariates: Sequence[str] = (),
    main_effect: bool = False,
    formula: str | None = None,
    random: RandomEffects = "slope",
    trial_effect: TrialEffect = "fixed",
    method: Literal["REML", "ML"] = "REML",
    test: Literal["t", "z"] = "t",
    level: float = 0.95,
) -> LongitudinalResult:
    """Fit a linear mixed model to all visits of all participants.

    `y = trial + g(week) + f(dose) g(week) + covariates + u0 + u1 week + e`, with a participant's
    own intercept and slope (Laird & Ware 1982, doi 10.2307/2529876), f and g curves that are zero
    at zero: dose makes no difference at week 0, as randomisation sees to, and what it makes later
    is the estimand (`predict`). Visits before week 0 count as week 0. Missed visits may be
    missing at random. Dose is compared within trials with `trial_effect="fixed"`, and its effect
    is taken as equal in all trials: whether it is, `ancova` tells.

    Parameters
    ----------
    data : DataFrame, Participants or iterable of DataFrame
        See `visits.as_visits`. An iterable gives chunks of visits, one after the other, each with
        all visits of its participants: only sums are kept, so files larger than memory can be
        fitted. Categories of covariates must all occur in the first chunk (or be declared by a
        categorical dtype), knots be given.
    outcome, dose, week, participant, trial : str
        Names of the columns.
    curve, time : str or Curve
        f and g: any that is linear in its parameters ("linear", "quadratic", "log", "rcs"...).
    covariates : sequence of str
        Columns that add to the mean; numbers or categories.
    main_effect : bool
        Whether f(dose) enters by itself too, a difference at week 0: for participants who were
        not randomised.
    formula : str, optional
        Any fixed part instead, such as "pain ~ week * minutes_per_week + age" (formulaic), in the
        names of the data. Weeks are taken as they are.
    random : {"slope", "intercept"}
        Random effects of a participant.
    trial_effect : {"fixed", "random", None}
        An intercept a trial, a normal one, or one for all.
    method : {"REML", "ML"}
    test : {"t", "z"}
        "t" has (participants - trials - coefficients) degrees of freedom, those between
        participants: lme4 gives none, and with hundreds of participants t and z agree.
    level : float

    Returns
    -------
    LongitudinalResult
        Log-likelihood and criteria as lme4's: that of REML depends on the units of the columns,
        so compare it at equal fixed parts only.

    Raises
    ------
    ValueError
        For unusable data or choices, collinear columns, too few visits, or baseline as a
        covariate beside its own scores; says what to do.
    ConvergenceError
        If the likelihood has no maximum.

    Examples
    --------
    >>> people = bp.load_participants()
    >>> bp.longitudinal(people).params.round(3)
    week        -0.202
    dose:week   -0.002
    dtype: float64
    """
    check_choices(
        level,
        random=(random, ("slope", "intercept")),
        trial_effect=(trial_effect, ("fixed", "random", None)),
        method=(method, ("REML", "ML")),
        test=(test, WALD),
    )
    names = {"outcome": outcome, "dose": dose, "week": week}
    names |= {"participant": participant, "trial": trial}
    mean: Mean
    if formula is None:
        mean = CurveMean(named(curve), named(time), tuple(covariates), main_effect)
        needed = ["value", "dose", *covariates]
    else:
        if covariates or main_effect or (curve, time) != ("linear", "linear"):
            raise ValueError(
                "the formula gives the whole fixed part: put covariates and curves into it, and "
                "leave out covariates=, curve=, time= and main_effect=."
            )
        written, names = _by_formula(formula, names)
        own = {written.columns_of["dose"]: "dose", written.columns_of["week"]: "week"}
        needed = ["value", *(own.get(name, name) for name in written.variables)]
        covariates = [name for name in written.variables if name not in own]
        mean = written
    whole = any(hasattr(data, name) for name in ("columns", "visits"))
    intake = _Intake(needed, clip=formula is None)
    tally = None
    for chunk in [data] if whole else _chunks(data):
        visits = as_visits(chunk, covariates=covariates, **names)
        rows, people = intake.complete(visits)
        if rows.empty:
            continue
        if formula is None and "baseline" in covariates and (rows["week"] <= 0).any():
            raise ValueError(
                "baseline is an outcome of this model, the scores at week 0: leave it out of the "
                "covariates, or those visits out of the data."
            )
        if tally is None:
            mean = mean.fitted_to(rows, whole=whole, intercept=trial_effect != "fixed")
            tally = Tally(random, trial_effect, mean.names)
        tally.add(rows, mean.columns(rows), people)
    if tally is None:
        raise CannotEstimate("no visit is complete", intake.reasons())
    return _result(
        tally,
        intake,
        mean,
        reml=method == "REML",
        test=test,
        level=level,
        outcome_name=names["outcome"] if names["outcome"] != "value" else "score",
        dose_name=dose_name_of(data, {} if dose == "dose" else {"dose": dose}),
    )


def _by_formula(formula: str, names: dict[str, str]) -> tuple[FormulaMean, dict[str, str]]:
    """The fixed part, and the names of the columns with the outcome of the formula."""
    left, _, right = formula.rpartition("~")
    if "|" in right:
        raise ValueError(
            f"formula {formula!r}: random effects are chosen by random= and trial_effect=, the "
            "formula gives the fixed part only."
        )
    columns = {"dose": names["dose"], "week": names["week"]}
    return FormulaMean(right.strip(), columns), names | {
        "outcome": left.strip() or names["outcome"]
    }


def _chunks(data: Any) -> Iterator[pd.DataFrame]:
    if isinstance(data, str) or not isinstance(data, Iterable):
        raise ValueError(
            f"{article(type(data).__name__)} is no table of visits: give a DataFrame, "
            "Participants, or DataFrames one after the other."
        )
    yield from data


@dataclass
class _Intake:
    """Tells complete visits from others, and counts these."""

    needed: list[str]
    clip: bool
    max_dose: float = 0.0
    max_week: float = 0.0
    _lost: list[pd.DataFrame] = field(default_factory=list)
    _absent: list[pd.DataFrame] = field(default_factory=list)

    def complete(self, visits: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
        """Complete visits with a number a participant."""
        people = person_codes(visits)
        holes = visits[list(dict.fromkeys(self.needed))].isna()
        kept = ~holes.any(axis=1).to_numpy()
        if not kept.all():
            self._count(visits, people, holes, kept)
            visits, people = visits[kept], people[kept]
        if self.clip:
            visits = visits.assign(week=visits["week"].clip(lower=0))
        if len(visits):
            self.max_dose = float(np.nanmax([self.max_dose, visits["dose"].max()]))
            self.max_week = max(self.max_week, float(visits["week"].max()))
        return visits, people

    def _count(
        self, visits: pd.DataFrame, people: np.ndarray, holes: pd.DataFrame, kept: np.ndarray
    ) -> None:
        reason = holes[~kept].idxmax(axis=1).astype(str) + " missing"
        lost = pd.DataFrame({"reason": reason, "person": people[~kept]}).groupby("reason")
        counts = lost["person"].agg(visits="size", participants="nunique")
        self._lost.append(counts.reset_index())
        seen = np.bincount(people[kept], minlength=people.max() + 1) > 0
        first = visits[~seen[people] & ~pd.Series(people).duplicated().to_numpy()]
        self._absent.append(first[PERSON].assign(reason="no complete visit"))

    def left_out(self) -> pd.DataFrame:
        """`reason, visits, participants`."""
        columns = ["reason", "visits", "participants"]
        if not self._lost:
            return pd.DataFrame(columns=columns).astype({"visits": int, "participants": int})
        counts = pd.concat(self._lost).groupby("reason", sort=False).sum().reset_index()
        return counts.sort_values("visits", ascending=False, ignore_index=True)[columns]

    def excluded(self) -> pd.DataFrame:
        """`trial_id, participant_id, reason`."""
        if not self._absent:
            return pd.DataFrame(columns=[*PERSON, "reason"])
        return pd.concat(self._absent, ignore_index=True)

    def reasons(self) -> str:
        """What was missing, in words."""
        counts = self.left_out()
        rows = zip(counts["reason"], counts["visits"], strict=True)
        return ", ".join(f"{reason} at {visits} visits" for reason, visits in rows) or "none given"


def _result(
    tally: Tally,
    intake: _Intake,
    mean: Mean,
    *,
    reml: bool,
    test: str,
    level: float,
    outcome_name: str,
    dose_name: str,
) -> LongitudinalResult:
    sums, scale, names = tally.finish(), tally.scale, tally.names
    found = fit_sums(sums, reml=reml)
    beta, cov = scale.coefficients(found.point.beta, found.point.cov_beta)
    llf = scale.llf(found.point.llf, sums.residual_df(reml), reml)
    trials = len(sums.first) if tally.trial_effect == "fixed" else 0
    size = len(names) + trials + found.n_variance_parameters
    df = tally.n_participants - len(names) - len(tally.trials) * (tally.trial_effect is not None)
    unit, effects = scale.residual**2, ["intercept", "slope"][: len(found.psi)]
    variance = found.trial_variance
    return LongitudinalResult(
        params=pd.Series(beta, names),
        cov=pd.DataFrame(cov, names, names),
        df=float(max(df, 1)) if test == "t" else np.inf,
        level=level,
        llf=llf,
        aic=-2 * llf + 2 * size,
        bic=-2 * llf + np.log(tally.n_visits) * size,
        method="REML" if reml else "ML",
        mean=mean,
        random_cov=pd.DataFrame(scale.random_covariance(found.psi), effects, effects),
        trial_effect=tally.trial_effect,
        trial_variance=None if variance is None else unit * variance,
        sigma2=unit * found.point.sigma2,
        outcome_name=outcome_name,
        dose_name=dose_name,
        max_dose=intake.max_dose,
        max_week=intake.max_week,
        n_trials=len(tally.trials),
        n_participants=tally.n_participants,
        n_visits=tally.n_visits,
        left_out=intake.left_out(),
        excluded=intake.excluded(),
        n_iterations=found.n_iterations,
    )
