"""The table that participant-level models take, and the effects by visit that results share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from backpain_analysis.errors import CannotEstimate
from backpain_analysis.evidence.faults import as_frame
from backpain_analysis.models.dose.curves import Curve, named
from backpain_analysis.models.dose.search import round_doses
from backpain_analysis.models.results import Coefficients, quantile, wald_test
from backpain_analysis.words import article, did_you_mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes


PERSON = ["trial_id", "participant_id"]
"""What tells participants apart: identifiers may repeat between trials."""

KEY = [*PERSON, "week"]

NUMBERS = ("week", "value", "dose", "baseline")

KEYWORDS = {
    "trial_id": "trial",
    "participant_id": "participant",
    "week": "week",
    "value": "outcome",
    "dose": "dose",
}
"""The argument of `as_visits` that names each column."""

SHOWN = 5
"""Rows named in a message."""


def as_visits(
    data: Any,
    *,
    outcome: str = "value",
    dose: str = "dose",
    week: str = "week",
    participant: str = "participant_id",
    trial: str = "trial_id",
    covariates: Sequence[str] = (),
    **unknown: object,
) -> pd.DataFrame:
    """Check a table of visits and name its columns as the models do.

    Parameters
    ----------
    data : DataFrame or Participants
        A table with one row a participant and visit. From `Participants` it is made by their
        method `visits`: `outcome` is then the instrument and `dose` the measure of dose, where
        given.
    outcome, dose, week, participant, trial : str
        Names of the columns. Participants of different trials may share identifiers.
    covariates : sequence of str
        Further columns to keep, under their own names.

    Returns
    -------
    DataFrame
        `trial_id, participant_id, week, value, dose, baseline` and the covariates, rows in the
        order given. `baseline` is that of the table, else each participant's last score at or
        before week 0. Scores, doses and covariates may be missing; the models count them.

    Raises
    ------
    ValueError
        For unknown columns, missing identifiers or weeks, words or infinities where numbers
        belong, negative doses, or two rows for one visit; names all of them. For unknown
        arguments.
    """
    if unknown:
        raise ValueError(
            f"no argument {', '.join(map(repr, unknown))}: columns are named by outcome (of "
            "Participants the instrument), dose, week, participant and trial."
        )
    if hasattr(data, "to_pandas"):
        data = as_frame(data)
    if not isinstance(data, pd.DataFrame):
        data, outcome, dose = _table_of(data, outcome, dose), "value", "dose"
    names = dict(zip(KEYWORDS, (trial, participant, week, outcome, dose), strict=True))
    visits = _checked(data, names, covariates)
    people = person_codes(visits)
    _refuse_repeated(visits, people)
    given = "baseline" in visits
    return visits if given else visits.assign(baseline=_baselines(visits, people))


def person_codes(visits: pd.DataFrame) -> np.ndarray:
    """A number a participant from zero, by first appearance: identifiers may repeat in trials."""
    return visits.groupby(PERSON, sort=False).ngroup().to_numpy()


def _checked(data: pd.DataFrame, names: dict[str, str], covariates: Sequence[str]) -> pd.DataFrame:
    """The columns `names` (new name: name in the table), `baseline` and the covariates."""
    faults = [
        f"no column {old!r} ({KEYWORDS[new]}): name the right one with {KEYWORDS[new]}="
        for new, old in names.items()
        if old not in data
    ]
    extra = [name for name in dict.fromkeys(covariates) if name not in (*names, "baseline")]
    faults += [f"no column {name!r} (covariate)" for name in extra if name not in data]
    if faults:
        known = ", ".join(str(name) for name in data.columns)
        raise ValueError(f"{'; '.join(faults)}. The table has: {known}.")
    columns = names | {name: name for name in ("baseline", *extra) if name in data}
    visits = pd.DataFrame({new: data[old] for new, old in columns.items()})
    numbers = {name: _number(visits[name]) for name in NUMBERS if name in visits}
    faults = [fault for name in columns for fault in _faults(visits, name, numbers)]
    if faults:
        raise ValueError(f"the visits cannot be used: {'; '.join(faults)}.")
    visits = visits.assign(**numbers).reset_index(drop=True)
    visits.attrs = dict(data.attrs)
    return visits


def _refuse_repeated(visits: pd.DataFrame, people: np.ndarray) -> None:
    repeated = pd.DataFrame({"person": people, "week": visits["week"]}).duplicated()
    if repeated.any():
        shown = [
            f"{row.participant_id} of {row.trial_id} at week {row.week:g}"
            for row in visits.loc[repeated].head(SHOWN).itertuples()
        ]
        count = int(repeated.sum())
        raise ValueError(
            f"{count} visit{'s' * (count > 1)} given twice: {_list(shown, count)}. Keep one row a "
            "participant and visit (and one instrument)."
        )


def _table_of(data: Any, outcome: str, dose: str) -> pd.DataFrame:
    if not callable(getattr(data, "visits", None)):
        raise ValueError(f"{article(type(data).__name__)} is no table of visits: give a DataFrame.")
    chosen = {"dose": dose} if dose != "dose" else {}
    there = list(data.scores["instrument"].unique())
    if outcome == "value" and len(there) > 1:
        raise ValueError(f"outcome: choose one of {', '.join(there)}.")
    if outcome != "value" and outcome not in there:
        raise ValueError(f"outcome: no {outcome!r}. {did_you_mean(outcome, there)}")
    return data.visits(None if outcome == "value" else outcome, **chosen)


def _number(column: pd.Series) -> pd.Series:
    """The column as floats; NaN where it holds no number."""
    return pd.to_numeric(column, errors="coerce").astype(float)


def _faults(visits: pd.DataFrame, name: str, numbers: dict[str, pd.Series]) -> list[str]:
    column, faults = visits[name], []
    if name in KEY and column.isna().any():
        faults.append(_fault(name, column.isna(), "is missing"))
    if name not in numbers:
        return faults
    number = numbers[name]
    words = number.isna() & column.notna()
    if words.any():
        faults.append(_fault(name, words, f"is no number (for example {column[words].iloc[0]!r})"))
    if (infinite := np.isinf(number)).any():
        faults.append(_fault(name, infinite, "is infinite"))
    if name == "dose" and (negative := number < 0).any():
        faults.append(_fault(name, negative, "is negative"))
    return faults


def _fault(name: str, where: pd.Series, rule: str) -> str:
    count = int(where.sum())
    shown = [str(label) for label in where.index[where][:SHOWN]]
    return f"{name} {rule} in row{'s' * (count > 1)} {_list(shown, count)} (by index)"


def _list(shown: list[str], count: int) -> str:
    rest = f" and {count - len(shown)} more" if count > len(shown) else ""
    return ", ".join(shown) + rest


def _baselines(visits: pd.DataFrame, people: np.ndarray) -> np.ndarray:
    """Each row's participant's last score at or before week 0; NaN where there is none."""
    week, value = visits["week"].to_numpy(), visits["value"].to_numpy()
    rows = np.flatnonzero((week <= 0) & ~np.isnan(value))
    rows = rows[np.argsort(week[rows], kind="stable")]
    last = pd.Series(value[rows]).groupby(people[rows]).last()
    return last.reindex(people).to_numpy()


@dataclass(frozen=True, repr=False)
class CurveEffects(Coefficients):
    """Effects of dose from participants' data.

    Attributes
    ----------
    curve : Curve
        With its knots.
    dose_name : str
    max_dose : float
        The largest dose anyone had: the edge of the data.
    n_trials, n_participants : int
        What entered.
    excluded : DataFrame
        `trial_id, participant_id, reason` of who did not.
    """

    curve: Curve
    dose_name: str
    max_dose: float
    n_trials: int
    n_participants: int
    excluded: pd.DataFrame = field(repr=False)

    def excluded_counts(self) -> pd.DataFrame:
        """How many participants (and of how many trials) were left out for which reason."""
        counts = self.excluded.groupby("reason", sort=False).agg(
            trials=("trial_id", "nunique"), participants=("participant_id", "size")
        )
        return counts.sort_values("participants", ascending=False, kind="stable").reset_index()

    def plot(self, **options: Any) -> Axes:
        """The curve with its intervals: see `figures.dose_effects`."""
        from backpain_analysis.figures.people_plots import dose_effects

        return dose_effects(self, **options)

    def _size(self) -> str:
        left = f", {len(self.excluded)} left out (see .excluded)" if len(self.excluded) else ""
        trials = "trial" if self.n_trials == 1 else "trials"
        return f"{self.n_participants} participants of {self.n_trials} {trials}{left}."


def dose_name_of(data: Any, columns: dict[str, str]) -> str:
    """What the dose of a table, of `Participants` or of `Imputations` is called."""
    default = "minutes_per_week" if hasattr(data, "visits") else "dose"
    return getattr(data, "dose_name", None) or columns.get("dose", default)


def prepared(curve: str | Curve, doses: np.ndarray) -> Curve:
    """A curve with its knots; refused where its shape would have to be estimated.

    Raises
    ------
    ValueError
        For a curve that is not linear in its parameters, or whose powers or break are unknown.
    """
    curve = named(curve).prepare(np.asarray(doses, dtype=float))
    settled = curve.settle(lambda _: 0.0, doses) if not curve.shape_terms else curve
    if curve.shape_terms or settled.n_estimated:
        raise ValueError(
            f"the shape of a {curve.name} curve cannot be estimated here: use linear, quadratic, "
            "log, rcs, piecewise(at=...) or powers of your own."
        )
    return curve


def difference(curve: Curve, doses: np.ndarray, reference: float = 0.0) -> np.ndarray:
    """Basis of doses less that of the reference dose, shape (n_doses, n_terms)."""
    return curve.basis(np.asarray(doses, dtype=float)) - curve.basis(np.array([reference]))


def effects_of(
    result: CurveEffects,
    doses: ArrayLike | None,
    reference: float,
    names: list[str],
    between: np.ndarray | None = None,
) -> pd.DataFrame:
    """Effects of doses against the reference from the coefficients `names` of the curve's terms.

    Parameters
    ----------
    result : CurveEffects
    doses : array_like, shape (n,), optional
        By default some round doses from zero to the largest.
    reference : float
    names : list of str
    between : ndarray, shape (n_terms, n_terms), optional
        Covariance of the trials' own coefficients, for prediction intervals.

    Returns
    -------
    DataFrame
        `dose, estimate, se, ci_low, ci_high` and, with `between`, `pi_low, pi_high`.
    """
    doses = round_doses(result.max_dose) if doses is None else np.atleast_1d(doses).astype(float)
    rows = difference(result.curve, doses, reference)
    cov = result.cov.loc[names, names].to_numpy()
    df = result.df[names].min() if isinstance(result.df, pd.Series) else result.df
    critical = quantile(result.level, df)
    estimate = rows @ result.params[names].to_numpy()
    variance = np.einsum("ij,jk,ik->i", rows, cov, rows)
    half = critical * np.sqrt(variance)
    columns = {"dose": doses, "estimate": estimate, "se": np.sqrt(variance)}
    columns |= {"ci_low": estimate - half, "ci_high": estimate + half}
    if between is not None:
        reach = critical * np.sqrt(variance + np.einsum("ij,jk,ik->i", rows, between, rows))
        columns |= {"pi_low": estimate - reach, "pi_high": estimate + reach}
    return pd.DataFrame(columns)


@dataclass(frozen=True, repr=False)
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
            raise CannotEstimate("there is one visit after baseline", "nothing to compare")
        size, visits = len(self.curve.terms), len(self.weeks)
        contrasts = np.kron(np.diff(np.eye(visits), axis=0), np.eye(size))
        cov = contrasts @ self.cov.to_numpy() @ contrasts.T
        return wald_test(contrasts @ self.params.to_numpy(), cov, float(np.min(self.df)))

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


def coefficient_names(curve: Curve, weeks: Iterable[float]) -> list[str]:
    return [f"{term}, week {week:g}" for week in weeks for term in curve.terms]


def left_out(everyone: pd.DataFrame, kept: pd.DataFrame, reason: str) -> pd.DataFrame:
    """`trial_id, participant_id, reason` of participants without a row in `kept`."""
    people, present = everyone[PERSON].drop_duplicates(), kept[PERSON].drop_duplicates()
    both = people.merge(present, how="left", on=PERSON, indicator=True)
    lost = both.loc[both["_merge"] == "left_only", PERSON]
    return lost.assign(reason=reason).reset_index(drop=True)
