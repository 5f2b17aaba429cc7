"""Effects of dose visit by visit: the model matrix and the result that cLDA and GEE share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from backpain_analysis.models.curves import Curve
from backpain_analysis.models.participants.curve_effects import (
    CurveEffects,
    difference,
    effects_of,
)
from backpain_analysis.models.participants.visits import PERSON
from backpain_analysis.models.results import wald_test


@dataclass(frozen=True)
class VisitCurves(CurveEffects):
    """A curve of dose at every visit after baseline.

    Attributes
    ----------
    weeks : tuple of float
        Visits after baseline; a coefficient of term `dose` at week 12 is "dose, week 12".
    n_scores : int
        Scores that entered.
    """

    weeks: tuple[float, ...]
    n_scores: int

    def names_at(self, week: float) -> list[str]:
        """Coefficients of one visit.

        Raises
        ------
        ValueError
            If it is none of `weeks`.
        """
        if week not in self.weeks:
            known = ", ".join(f"{number:g}" for number in self.weeks)
            raise ValueError(f"no visit at week {week:g}; there are {known}.")
        return coefficient_names(self.curve, [week])

    def predict(
        self,
        doses: ArrayLike | None = None,
        reference: float = 0.0,
        week: float | None = None,
    ) -> pd.DataFrame:
        """Mean effect of each dose against the reference dose at one visit, by default the last.

        Returns
        -------
        DataFrame
            `dose, estimate, se, ci_low, ci_high`.
        """
        week = self.weeks[-1] if week is None else week
        return effects_of(self, doses, reference, self.names_at(week))

    def over_time(self, dose: float | None = None, reference: float = 0.0) -> pd.DataFrame:
        """Effect of one dose (by default the largest) at every visit.

        Returns
        -------
        DataFrame
            `week, dose, estimate, se, ci_low, ci_high`.
        """
        dose = self.max_dose if dose is None else dose
        frames = [self.predict([dose], reference, week) for week in self.weeks]
        found = pd.concat(frames, ignore_index=True)
        found.insert(0, "week", self.weeks)
        return found

    def test_time(self) -> pd.Series:
        """Wald test that the effect of dose is the same at all visits.

        Raises
        ------
        ValueError
            With a single visit.
        """
        if len(self.weeks) == 1:
            raise ValueError("there is one visit after baseline: nothing to compare.")
        size, visits = len(self.curve.terms), len(self.weeks)
        contrasts = np.kron(np.diff(np.eye(visits), axis=0), np.eye(size))
        cov = contrasts @ self.cov.to_numpy() @ contrasts.T
        return wald_test(contrasts @ self.params.to_numpy(), cov, float(np.min(self.df)))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as for JSON."""
        return super().to_dict() | {"weeks": list(self.weeks), "n_scores": self.n_scores}

    def _note(self) -> str:
        return f"{self._size()} {self.n_scores} scores. {super()._note()}"


@dataclass(frozen=True)
class VisitDesign:
    """Columns of the mean at every visit.

    Attributes
    ----------
    effects : ndarray, shape (n_rows, n_terms x n_weeks)
        Curve of dose at the row's own visit, zero at the others and at baseline.
    names : list of str
    means : ndarray, shape (n_rows, n_means)
        An indicator a trial and visit.
    visits : DataFrame
        `trial_id, week` of the means.
    weeks : tuple of float
    """

    effects: np.ndarray = field(repr=False)
    names: list[str]
    means: np.ndarray = field(repr=False)
    visits: pd.DataFrame
    weeks: tuple[float, ...]


def visit_design(rows: pd.DataFrame, curve: Curve) -> VisitDesign:
    """The model matrix of rows with `trial_id, week, dose`; visits after baseline have a curve.

    Every trial has its own mean at every visit (at dose zero), so that doses are compared within
    trials only.
    """
    week = rows["week"].to_numpy(dtype=float)
    weeks = tuple(float(number) for number in np.unique(week[week > 0]))
    basis = difference(curve, rows["dose"].to_numpy(dtype=float))
    effects = np.hstack([basis * (week == number)[:, None] for number in weeks])
    visits = rows[["trial_id", "week"]].drop_duplicates().reset_index(drop=True)
    place = pd.Series(visits.index, pd.MultiIndex.from_frame(visits))
    code = place.loc[pd.MultiIndex.from_frame(rows[["trial_id", "week"]])].to_numpy()
    return VisitDesign(
        effects, coefficient_names(curve, weeks), np.eye(len(visits))[code], visits, weeks
    )


def coefficient_names(curve: Curve, weeks: ArrayLike) -> list[str]:
    return [f"{term}, week {week:g}" for week in weeks for term in curve.terms]


def nobody_left_out() -> pd.DataFrame:
    return pd.DataFrame(columns=[*PERSON, "reason"])


def left_out(everyone: pd.DataFrame, kept: pd.DataFrame, reason: str) -> pd.DataFrame:
    """`trial_id, participant_id, reason` of participants without a row in `kept`."""
    people, present = everyone[PERSON].drop_duplicates(), kept[PERSON].drop_duplicates()
    both = people.merge(present, how="left", on=PERSON, indicator=True)
    lost = both.loc[both["_merge"] == "left_only", PERSON]
    return lost.assign(reason=reason).reset_index(drop=True)
