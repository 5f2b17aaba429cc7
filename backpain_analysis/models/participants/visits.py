"""The table that every participant-level model takes: a row a participant and visit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

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
        belong, negative doses, or two rows for one visit; names all of them.
    """
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
    return visits.assign(**numbers).reset_index(drop=True)


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
        raise ValueError(f"a {type(data).__name__} is no table of visits: give a DataFrame.")
    chosen = {"dose": dose} if dose != "dose" else {}
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
