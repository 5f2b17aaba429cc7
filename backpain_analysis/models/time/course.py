"""The effect of exercise as a curve of time, from trials or from participants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from backpain_analysis.display import html_table
from backpain_analysis.effects.over_time import effects_over_time
from backpain_analysis.effects.table import Effects, refuse_evidence
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.evidence.evidence import Evidence
from backpain_analysis.models.dose.curves import Curve
from backpain_analysis.models.dose.fit import Options, fit_effects
from backpain_analysis.models.dose.result import DoseResponseResult
from backpain_analysis.models.dose.search import DoseEstimate
from backpain_analysis.models.dose.shaped import Shaped
from backpain_analysis.models.results import WALD, check_choices
from backpain_analysis.models.time.curves import (
    APPROACHES,
    HalfTime,
    Heights,
    half_time,
    half_times,
    has_half_time,
    time_curve,
)
from backpain_analysis.models.time.durability import Durability, durability
from backpain_analysis.models.time.participants import effects_of_participants
from backpain_analysis.words import LOWER_IS_BETTER, plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes


GRID = 801

DRAWS = 4000


@dataclass(frozen=True)
class TimeEstimate:
    """Weeks until a share of the maximal effect, with their interval.

    Attributes
    ----------
    fraction : float
    estimate : float
        Missing where the data do not give one; `note` says why.
    ci_low, ci_high : float
        0 and infinity where the data set no limit; both missing without an interval.
    note : str
        What limits the answer, for readers; empty where nothing does.
    """

    fraction: float
    estimate: float
    ci_low: float
    ci_high: float
    note: str


def weeks_to(result: TimeCourseResult, fraction: float, *, seed: int = 1) -> TimeEstimate:
    """Weeks until `fraction` of the maximal effect is there.

    Curves that approach a maximum: a known multiple of their half-time, whose interval is that
    of its profile likelihood (see `profile.half_time`); one-sided or missing where the data set
    fewer limits. Other curves: of their largest effect between randomisation and the last
    follow-up, with a percentile interval over curves drawn from the joint distribution of the
    coefficients (as `dose_search.dose_of_optimum`); missing where the curve has no maximum there.

    Parameters
    ----------
    result : TimeCourseResult
    fraction : float
        Strictly between 0 and 1.
    seed : int
        Of the drawn curves.

    Returns
    -------
    TimeEstimate

    Raises
    ------
    ValueError
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction {fraction} must lie between 0 and 1.")
    if result.half_time is None:
        return _on_curve(result, fraction, seed)
    half, times = result.half_time, half_times(result.asked, fraction)
    note = result.note
    if not note and half.low == 0 and np.isinf(half.high):
        note = "the data rule out neither an immediate effect nor one that still grows"
    elif not note and np.isinf(half.high):
        note = "no upper limit: an effect that still grows at the last follow-up is plausible"
    elif not note and half.low == 0:
        note = "no lower limit: an immediate effect is plausible"
    return TimeEstimate(fraction, times * half.estimate, times * half.low, times * half.high, note)


def _on_curve(result: TimeCourseResult, fraction: float, seed: int) -> TimeEstimate:
    if result.curve.name == "constant":
        why = "the curve gives the same effect at all times"
        return TimeEstimate(fraction, np.nan, np.nan, np.nan, why)
    grid = np.linspace(0, result.last_week, GRID)
    rows, mean = result.fit.gradient(grid), result.fit.mean(grid)
    largest = int(np.argmax(np.abs(mean)))
    if largest == GRID - 1:
        why = f"the effect still grows at the last follow-up (week {result.last_week:g})"
        return TimeEstimate(fraction, np.nan, np.nan, np.nan, why)
    towards = np.sign(mean[largest])
    estimate = grid[_first_reaching(towards * mean[None], fraction)[0]]
    cov, df = result.fit.cov.to_numpy(), float(np.min(result.fit.df))
    rng = np.random.default_rng(seed)
    deviations = rng.standard_normal((DRAWS, len(cov))) @ np.linalg.cholesky(cov).T
    if np.isfinite(df):
        deviations *= np.sqrt(df / rng.chisquare(df, size=(DRAWS, 1)))
    drawn = towards * (mean + deviations @ rows.T)
    turning = np.argmax(drawn, axis=1) < GRID - 1
    tail = (1 - result.level) / 2
    if np.mean(~turning) > tail:
        note = f"{np.mean(~turning):.0%} of plausible curves still grow at the last follow-up"
        return TimeEstimate(fraction, float(estimate), np.nan, np.nan, note)
    weeks = grid[_first_reaching(drawn[turning], fraction)]
    low, high = np.quantile(weeks, [tail, 1 - tail])
    return TimeEstimate(fraction, float(estimate), float(low), float(high), "")


def _first_reaching(curves: np.ndarray, fraction: float) -> np.ndarray:
    """Place on the grid where each curve first reaches a share of its maximum."""
    return np.argmax(curves >= fraction * curves.max(axis=1, keepdims=True), axis=1)


FOLLOW_UPS = (4.0, 8.0, 12.0, 26.0, 52.0, 104.0)
"""Weeks at which effects are shown unless others are asked for."""


@dataclass(frozen=True, repr=False)
class TimeCourseResult:
    """The effect of exercise as a curve of weeks since randomisation.

    Attributes
    ----------
    fit : DoseResponseResult
        The curve, with weeks as its dose; `params`, `bse` and the like are its own.
    asked : str
        Name of the curve asked for; `curve` is another one where the data have no half-time.
    half_time : HalfTime or None
        Of curves that approach a maximum.
    lower_is_better : bool
    """

    fit: DoseResponseResult = field(repr=False)
    asked: str
    half_time: HalfTime | None
    lower_is_better: bool

    @property
    def curve(self) -> Curve:
        """The fitted curve."""
        return self.fit.curve

    @property
    def effects(self) -> Effects:
        """What was fitted: a row a contrast and time, with `weeks`."""
        return self.fit.effects

    @property
    def params(self) -> pd.Series:
        """Coefficients: the maximal effect and the half-time, or those of the curve."""
        return self.fit.params

    @property
    def bse(self) -> pd.Series:
        """Standard errors."""
        return self.fit.bse

    @property
    def pvalues(self) -> pd.Series:
        return self.fit.pvalues

    @property
    def llf(self) -> float:
        return self.fit.llf

    @property
    def aic(self) -> float:
        return self.fit.aic

    @property
    def bic(self) -> float:
        return self.fit.bic

    @property
    def level(self) -> float:
        return self.fit.level

    @property
    def n_trials(self) -> int:
        return self.fit.n_trials

    @property
    def n_participants(self) -> int:
        """Participants in arms of known size."""
        return self.fit.n_participants

    @property
    def first_week(self) -> float:
        """The earliest measurement after randomisation."""
        return float(self.effects.table["weeks"].min())

    @property
    def last_week(self) -> float:
        """The latest measurement: the edge of the data."""
        return float(self.effects.table["weeks"].max())

    @property
    def note(self) -> str:
        """What the data did not let the curve be; empty where it is the one asked for."""
        if self.half_time is None or self.half_time.limit is None:
            return ""
        if self.curve.name == "constant":
            return (
                f"the effect is no smaller at the first follow-up (week {self.first_week:g}) than "
                "later, so the data only bound its half-time from above"
            )
        return (
            f"the effect still grows in a straight line at the last follow-up (week "
            f"{self.last_week:g}), so the data only bound its half-time from below"
        )

    def cov_params(self) -> pd.DataFrame:
        """Covariance of the coefficients."""
        return self.fit.cov_params()

    def conf_int(self, level: float | None = None) -> pd.DataFrame:
        """Confidence intervals of the coefficients; for the half-time prefer `weeks_to`."""
        return self.fit.conf_int(level)

    def summary(self) -> pd.DataFrame:
        """A row a coefficient: `estimate, se, ci_low, ci_high, p_value`."""
        return self.fit.summary()

    def effect(self, weeks: ArrayLike | None = None) -> pd.DataFrame:
        """Mean effect at these weeks since randomisation.

        Parameters
        ----------
        weeks : array_like, shape (n,), optional
            By default usual follow-ups up to the last one of the data.

        Returns
        -------
        DataFrame
            `weeks, estimate, se, ci_low, ci_high, pi_low, pi_high`.
        """
        if weeks is None:
            weeks = [week for week in FOLLOW_UPS if week <= self.last_week] or [self.last_week]
        found = self.fit.predict(np.atleast_1d(np.asarray(weeks, dtype=float)))
        return found.rename(columns={"dose": "weeks"})

    def predict(self, weeks: ArrayLike | None = None) -> pd.DataFrame:
        """The same as `effect`."""
        return self.effect(weeks)

    def weeks_to(self, fraction: float = 0.5) -> TimeEstimate:
        """Weeks until this share of the maximal effect: see `reaching.weeks_to`."""
        return weeks_to(self, fraction)

    def weeks_for(self, effect: float) -> DoseEstimate:
        """The first week whose mean effect reaches `effect`, such as minus the MCID.

        See `dose_search.dose_reaching`.
        """
        return self.fit.dose_for(effect)

    def durability(self) -> Durability:
        """What becomes of the effect after the programme: see `durability.durability`."""
        return durability(self.effects, level=self.level)

    @cached_property
    def rests_on(self) -> tuple[str, ...]:
        """Trials without any one of which the data give no half-time, though with all they do.

        Empty where there is no half-time, or one trial alone.
        """
        if self.half_time is None or self.half_time.limit is not None or self.n_trials < 2:
            return ()
        curve = replace(APPROACHES[self.asked], values=(self.half_time.estimate,))
        heights = Heights(self.effects, between=self.fit.method != "CE")
        trials = self.effects.table["trial_id"].to_numpy()
        weeks = self.effects.table["weeks"].to_numpy(dtype=float)
        return tuple(
            str(trial)
            for trial in self.effects.trials
            if not has_half_time(curve, partial(heights.of, without=trial), weeks[trials != trial])
        )

    def leave_one_out(self, weeks: ArrayLike | None = None) -> pd.DataFrame:
        """The course without each trial, its half-time found anew.

        Parameters
        ----------
        weeks : array_like, shape (n,), optional
            By default as for `effect`; those after the last follow-up that is left are missing.

        Returns
        -------
        DataFrame
            `trial_id, weeks, estimate, se, ci_low, ci_high, half_time`: the last missing where the
            other trials give none. A trial without which the curve cannot be fitted has missing
            values.

        Raises
        ------
        CannotEstimate
            With one trial.
        """
        if self.n_trials < 2:
            raise CannotEstimate("one trial cannot be left out: there is no other")
        columns = ["trial_id", "weeks", "estimate", "se", "ci_low", "ci_high", "half_time"]
        asked = list(self.effect(weeks)["weeks"])
        shape = self.asked if self.half_time is not None else self.curve
        test: Literal["t", "z"] = "t" if np.isfinite(np.min(self.fit.df)) else "z"
        rows: list[dict[str, Any]] = []
        for trial, rest in self._without_each():
            try:
                course = _fitted(
                    *(rest, shape, self.fit.method, test, self.level, self.lower_is_better),
                    limits=False,
                )
            except CannotEstimate:
                rows += [{"trial_id": trial, "weeks": week} for week in asked]
                continue
            half = np.nan if course.half_time is None else course.half_time.estimate
            inside = [week for week in dict.fromkeys(asked) if week <= course.last_week]
            found = course.effect(inside).set_index("weeks")[columns[2:6]].to_dict("index")
            rows += [
                {"trial_id": trial, "weeks": week, "half_time": half} | found.get(week, {})
                for week in asked
            ]
        return pd.DataFrame(rows, columns=columns)

    def _without_each(self) -> Iterator[tuple[str, Effects]]:
        trials = self.effects.table["trial_id"]
        for trial in trials.unique():
            yield str(trial), self.effects.select(trials != trial, None)

    def goodness_of_fit(self) -> pd.Series:
        """Deviance test and decorrelated R2: see `dose_fit.goodness_of_fit`."""
        return self.fit.goodness_of_fit()

    def excluded_counts(self) -> pd.DataFrame:
        """How many arms (and trials) were left out for which reason."""
        return self.fit.excluded_counts()

    def plot(self, **options: Any) -> Axes:
        """The curve with its trials: see `figures.time_course`."""
        from backpain_analysis.figures.time_plot import time_course

        return time_course(self, **options)

    def __repr__(self) -> str:
        return (
            f"<TimeCourseResult: {len(self.params)} coefficients, {plural(self.n_trials, 'trial')}>"
        )

    def __str__(self) -> str:
        return str(self.summary())

    def _repr_html_(self) -> str:
        table = self.summary().rename_axis("coefficient").reset_index()
        size = f"{plural(self.n_trials, 'trial')}, {len(self.effects)} contrasts and times. "
        note = f"{self.note[:1].upper()}{self.note[1:]}." if self.note else ""
        return html_table(table, title=f"Time course: {self.curve.name}", note=size + note)


WEEKS = "weeks since randomisation"


def time_course(
    data: Any,
    *,
    curve: str | Curve = "exponential",
    method: Literal["REML", "ML", "CE"] = "REML",
    test: Literal["t", "z"] = "t",
    level: float = 0.95,
    lower_is_better: bool | None = None,
    **participants: Any,
) -> TimeCourseResult:
    """Fit a curve of time to the effects at all follow-ups.

    `y = f(t; h) (b + u) + e`, f(0) = 0: `u ~ N(0, Psi)` is the trial's own deviation, e has the
    covariance of a trial's contrasts over time. For "exponential", `1 - 2^(-t/h)`, and "emax",
    `t/(h + t)`, b is the maximal effect and the half-time h is found by profile likelihood (ML).
    Where a constant effect or a straight line, which the curve becomes at the ends of h, fits as
    well as any h, that is fitted instead and `note` says so. Sources: Pedder et al. 2019
    (doi 10.1002/jrsm.1351) for time-course meta-analysis; Musekiwa et al. 2016
    (doi 10.1371/journal.pone.0164898).

    Parameters
    ----------
    data : Effects, DataFrame or Participants
        `Effects` with a column `weeks` (see `effects.over_time.effects_over_time`); or
        participants' visits, reduced to effects by `time.participants.effects_of_participants`.
    curve : str or Curve
        "exponential", "emax", "rcs", "linear", "log", "quadratic" or "constant".
    method : {"REML", "ML", "CE"}
        "CE" has no random effects; a single trial stands for itself.
    test : {"t", "z"}
        "t" uses (trials - coefficients) degrees of freedom.
    level : float
    lower_is_better : bool, optional
        By default as of the outcome of `Effects`, and true of participants' scores.
    **participants
        Options of `effects_of_participants`.

    Returns
    -------
    TimeCourseResult

    Raises
    ------
    ValueError
        For unusable data, or too few trials or distinct weeks for the curve; says what to do.
    ConvergenceError
        If the likelihood has no maximum.

    Examples
    --------
    >>> evidence = bp.load_evidence().filter(population=bp.BACK_PAIN)
    >>> course = bp.effects_over_time(evidence, "pain_intensity")
    >>> bp.time_course(course, curve="constant").params.round(1)
    effect   -11.8
    dtype: float64
    """
    check_choices(level, test=(test, WALD))
    refuse_evidence(data)
    if isinstance(data, Effects):
        if participants:
            raise TypeError(f"{', '.join(participants)}: only for participants' data.")
        effects = data
        if lower_is_better is None:
            lower_is_better = data.outcome in LOWER_IS_BETTER
    else:
        effects = effects_of_participants(data, **participants)
    effects = _with_time(effects)
    if not len(effects):
        raise CannotEstimate("no effect of these trials has a known week")
    better_lower = True if lower_is_better is None else lower_is_better
    return _fitted(effects, curve, method, test, level, better_lower)


def _fitted(
    effects: Effects,
    curve: str | Curve,
    method: Literal["REML", "ML", "CE"],
    test: Literal["t", "z"],
    level: float,
    lower_is_better: bool,
    *,
    limits: bool = True,
) -> TimeCourseResult:
    """The course of effects with weeks as their dose; `limits` as of `half_time`."""
    weeks = effects.table["weeks"].to_numpy(dtype=float)
    asked = time_curve(curve, weeks)
    method = "CE" if effects.n_trials == 1 else method
    settled, found = asked, None
    if isinstance(asked, Shaped) and asked.name in APPROACHES and not asked.shape:
        heights = Heights(effects, between=method != "CE")
        found = half_time(asked, heights.of, weeks, level, limits=limits)
        settled = found.limit or replace(asked, values=(found.estimate,))
    options = Options(settled, WEEKS, 1, method, None, test, level)
    return TimeCourseResult(fit_effects(effects, options), asked.name, found, lower_is_better)


def _with_time(effects: Effects) -> Effects:
    """The effects with weeks as their dose, against none at randomisation.

    Raises
    ------
    ValueError
    """
    if "weeks" not in effects.table:
        raise ValueError(
            "these effects have no column 'weeks': make them with effects_over_time, which gives "
            "every follow-up."
        )
    weeks = effects.table["weeks"].to_numpy(dtype=float)
    wrong = effects.table.loc[~(weeks > 0), "label"]
    if len(wrong):
        raise ValueError(f"weeks must be known and above zero: {', '.join(wrong.astype(str))}.")
    return replace(effects, table=effects.table.assign(dose=weeks, ref_dose=np.zeros(len(weeks))))


CURVES = ("exponential", "emax", "log", "constant")

CORRELATIONS = (
    ("no correlation over time", 0.0, "constant"),
    ("correlation over time 0.3", 0.3, "constant"),
    ("correlation over time 0.8", 0.8, "constant"),
    ("correlation 0.7 between times 12 weeks apart, decaying", 0.7, "decay"),
)


def compare_courses(
    evidence: Evidence,
    outcome: str,
    *,
    curve: str = "exponential",
    at: float = 12.0,
    curves: Sequence[str] = CURVES,
    flags: Sequence[str] = ("exclude",),
    correlation_over_time: float = 0.5,
    pattern: str = "constant",
    **options: Any,
) -> pd.DataFrame:
    """The time course against no exercise under other choices, one changed at a time.

    Other curves, other correlations of a trial's follow-ups, and without trials flagged for
    caution.

    Parameters
    ----------
    evidence, outcome
        As of `effects.over_time.effects_over_time`.
    curve : str
        The curve of the main analysis.
    at : float
        Week whose effect is compared.
    curves : sequence of str
        Others to try.
    flags, correlation_over_time, pattern, **options
        As of `effects_over_time`.

    Returns
    -------
    DataFrame
        `choice, aic, estimate, ci_low, ci_high, half_time, half_low, half_high, rests_on, note`:
        AIC by maximum likelihood, comparable between curves only; the effect at week `at`; the
        weeks to half of the largest effect, and the trials without any one of which the data would
        give none. A choice that cannot be fitted has missing values and says why.
    """
    as_asked: dict[str, Any] = {
        "r": correlation_over_time,
        "pattern": pattern,
        "flags": tuple(flags),
    }
    choices = [("as above", curve, as_asked)]
    choices += [(f"curve: {name}", name, as_asked) for name in curves if name != curve]
    choices += [
        (label, curve, {**as_asked, "r": r, "pattern": kind}) for label, r, kind in CORRELATIONS
    ]
    if "caution" not in flags:
        stricter = {**as_asked, "flags": (*flags, "caution")}
        choices.append(("without trials flagged for caution", curve, stricter))
    rows: list[dict[str, Any]] = []
    for label, name, chosen in choices:
        effects = effects_over_time(
            evidence,
            outcome,
            correlation_over_time=chosen["r"],
            pattern=chosen["pattern"],
            flags=chosen["flags"],
            **options,
        ).against_inactive()
        try:
            fitted = time_course(effects, curve=name)
            aic = np.nan
            if chosen == as_asked:  # its half-time is of maximum likelihood as it is
                aic = time_course(effects, curve=fitted.fit.curve, method="ML").aic
        except CannotEstimate as fault:
            rows.append({"choice": label, "rests_on": (), "note": str(fault)})
            continue
        rows.append({"choice": label, "aic": aic, **_row(fitted, at)})
    columns = "choice aic estimate ci_low ci_high half_time half_low half_high rests_on note"
    return pd.DataFrame(rows, columns=columns.split())


def _row(fitted: TimeCourseResult, at: float) -> dict[str, Any]:
    effect, half = fitted.effect([at]).iloc[0], fitted.weeks_to(0.5)
    return {
        "estimate": effect["estimate"],
        "ci_low": effect["ci_low"],
        "ci_high": effect["ci_high"],
        "half_time": half.estimate,
        "half_low": half.ci_low,
        "half_high": half.ci_high,
        "rests_on": fitted.rests_on,
        "note": half.note,
    }
