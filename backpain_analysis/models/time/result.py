"""What a fitted time course can tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from backpain_analysis.display import html_table
from backpain_analysis.effects import Effects
from backpain_analysis.models.curves import Curve
from backpain_analysis.models.dose_result import DoseResponseResult
from backpain_analysis.models.dose_search import DoseEstimate
from backpain_analysis.models.time.durability import Durability, durability
from backpain_analysis.models.time.profile import HalfTime
from backpain_analysis.models.time.reaching import TimeEstimate, weeks_to

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FOLLOW_UPS = (4.0, 8.0, 12.0, 26.0, 52.0, 104.0)
"""Weeks at which effects are shown unless others are asked for."""


@dataclass(frozen=True)
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

    def leave_one_out(self, weeks: ArrayLike | None = None) -> pd.DataFrame:
        """The effect without each trial, at the same half-time: see `dose_fit.leave_one_out`.

        Returns
        -------
        DataFrame
            `trial_id, weeks, estimate, se, ci_low, ci_high`.
        """
        return self.fit.leave_one_out(weeks).rename(columns={"dose": "weeks"})

    def goodness_of_fit(self) -> pd.Series:
        """Deviance test and decorrelated R2: see `dose_fit.goodness_of_fit`."""
        return self.fit.goodness_of_fit()

    def excluded_counts(self) -> pd.DataFrame:
        """How many arms (and trials) were left out for which reason."""
        return self.fit.excluded_counts()

    def plot(self, **options: Any) -> Axes:
        """The curve with its trials: see `figures.time_course`."""
        from backpain_analysis.figures.time_course import time_course

        return time_course(self, **options)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as for JSON."""
        shares = [self.weeks_to(fraction).to_dict() for fraction in (0.5, 0.9)]
        fitted = self.fit.to_dict()
        fitted.pop("dose")
        return {**fitted, "asked": self.asked, "note": self.note, "weeks_to": shares}

    def _repr_html_(self) -> str:
        table = self.summary().rename_axis("coefficient").reset_index()
        size = f"{self.n_trials} trials, {len(self.effects)} contrasts and times. "
        note = f"{self.note[:1].upper()}{self.note[1:]}." if self.note else ""
        return html_table(table, title=f"Time course: {self.curve.name}", note=size + note)
