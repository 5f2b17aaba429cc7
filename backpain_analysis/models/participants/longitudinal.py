"""Scores of participants over time in one mixed model: dose, time and dose by time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from backpain_analysis.models.curves import Curve
from backpain_analysis.models.participants.curve_effects import dose_name_of
from backpain_analysis.models.participants.longitudinal_fit import fit_sums
from backpain_analysis.models.participants.longitudinal_likelihood import TrialEffect
from backpain_analysis.models.participants.longitudinal_mean import CurveMean, FormulaMean, Mean
from backpain_analysis.models.participants.longitudinal_result import LongitudinalResult
from backpain_analysis.models.participants.longitudinal_sums import RandomEffects, Tally
from backpain_analysis.models.participants.visits import PERSON, as_visits, person_codes

CHOICES = {
    "random": ("slope", "intercept"),
    "trial_effect": ("fixed", "random", None),
    "method": ("REML", "ML"),
    "test": ("t", "z"),
}


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
    """
    chosen = {"random": random, "trial_effect": trial_effect, "method": method, "test": test}
    _check_choices(chosen, level)
    names = {"outcome": outcome, "dose": dose, "week": week}
    names |= {"participant": participant, "trial": trial}
    mean: Mean
    if formula is None:
        mean = CurveMean(curve, time, tuple(covariates), main_effect)
        needed = ["value", "dose", *covariates]
    else:
        if covariates or main_effect or (curve, time) != ("linear", "linear"):
            raise ValueError(
                "the formula gives the whole fixed part: put covariates and curves into it, and "
                "leave out covariates=, curve=, time= and main_effect=."
            )
        mean, names = _by_formula(formula, names)
        own = {mean.columns_of["dose"]: "dose", mean.columns_of["week"]: "week"}
        needed = ["value", *(own.get(name, name) for name in mean.variables)]
        covariates = [name for name in mean.variables if name not in own]
    whole = isinstance(data, pd.DataFrame) or callable(getattr(data, "visits", None))
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
        raise ValueError(f"no visit is complete: {intake.reasons()}.")
    return _result(
        tally,
        intake,
        mean,
        reml=method == "REML",
        test=test,
        level=level,
        outcome_name=names["outcome"] if names["outcome"] != "value" else "score",
        dose_name=dose_name_of(data, {"dose": dose}) if whole else dose,
    )


def _check_choices(chosen: dict[str, Any], level: float) -> None:
    faults = [
        f"unknown {name} {value!r}: use one of {', '.join(map(repr, CHOICES[name]))}"
        for name, value in chosen.items()
        if value not in CHOICES[name]
    ]
    if not 0 < level < 1:
        faults.append(f"level {level} is not between 0 and 1")
    if faults:
        raise ValueError("; ".join(faults) + ".")


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
            f"a {type(data).__name__} is no table of visits: give a DataFrame, Participants, or "
            "DataFrames one after the other."
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
