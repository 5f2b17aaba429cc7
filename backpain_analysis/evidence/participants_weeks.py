"""What participant tables may leave to be derived: trials of participants, weeks of dates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd

from backpain_analysis.evidence.dates import DateError, read_date
from backpain_analysis.evidence.exposure import PERSON
from backpain_analysis.evidence.faults import Fault
from backpain_analysis.evidence.reading import RawTable

DATES = {
    "interventions": {"start_week": "start_date", "end_week": "end_date"},
    "scores": {"week": "date"},
}
"""The column of dates that may stand for a column of weeks."""

UNKNOWN_TRIAL = "?"
_START_HINT = (
    "Add start_date to the participant's row of interventions or participants (a control starts "
    "on the day of randomisation), or give weeks."
)


@dataclass(frozen=True)
class Trials:
    """Which trial each participant belongs to, to fill in where a table does not say."""

    of_participant: pd.Series
    in_several: tuple[str, ...]

    @classmethod
    def of(cls, interventions: pd.DataFrame) -> Trials:
        """The trials of the participants of an ``interventions`` table."""
        pairs = interventions[PERSON].dropna().drop_duplicates()
        several = pairs.loc[pairs["participant_id"].duplicated(), "participant_id"].unique()
        first = pairs.drop_duplicates("participant_id").set_index("participant_id")["trial_id"]
        return cls(first, tuple(several))

    def fill(self, raw: RawTable) -> tuple[RawTable, list[Fault]]:
        """The table with ``trial_id``; a participant of no trial gets `UNKNOWN_TRIAL`."""
        if "trial_id" in raw.cells or "participant_id" not in raw.cells:
            return raw, []
        ids = raw.cells["participant_id"]
        faults = []
        if several := sorted(set(self.in_several) & set(ids.dropna())):
            shown = ", ".join(several[:5]) + (", …" if len(several) > 5 else "")
            rule = f"trial_id is missing, and participant ids occur in several trials ({shown})"
            hint = "Add the column trial_id."
            faults.append(Fault(raw.name, raw.file, None, "trial_id", None, rule, hint))
        trials = ids.map(self.of_participant).astype("str").fillna(UNKNOWN_TRIAL)
        return replace(raw, cells=raw.cells.assign(trial_id=trials)), faults


@dataclass(frozen=True)
class Starts:
    """The day that is week 0 of each participant.

    Attributes
    ----------
    days : Series of datetime64, indexed by (trial_id, participant_id)
        ``start_date`` of table ``participants`` where given, else the earliest ``start_date`` of
        the participant's ``interventions``.
    lacking : MultiIndex
        Participants of ``interventions`` for whom no start date is written at all.
    """

    days: pd.Series
    lacking: pd.MultiIndex

    @classmethod
    def of(cls, raw: Mapping[str, RawTable]) -> Starts:
        """Start dates as the tables give them; a cell that is no date is passed over."""
        written = [
            raw[name].cells.dropna(subset=["start_date", *PERSON])
            for name in ("participants", "interventions")
            if name in raw and {"start_date", *PERSON} <= set(raw[name].cells)
        ]
        found = [_days(cells["start_date"])[0].set_axis(_persons(cells)) for cells in written]
        none = pd.Series(dtype="datetime64[s]", index=_persons(None))
        earliest = [days.dropna().groupby(level=[0, 1], sort=False).min() for days in found]
        days = pd.concat([none, *earliest])
        lacking = _persons(raw["interventions"].cells.dropna(subset=PERSON)).drop_duplicates()
        for cells in written:
            lacking = lacking[~lacking.isin(_persons(cells))]
        return cls(days[~days.index.duplicated()], lacking)


def with_weeks(raw: RawTable, starts: Starts) -> tuple[RawTable, list[Fault]]:
    """The table with weeks where it has dates; a week that is given is kept.

    Parameters
    ----------
    raw
        ``interventions`` or ``scores``, with ``trial_id`` and ``participant_id``.
    starts
        Week 0 of the participants.

    Returns
    -------
    RawTable
        Weeks (days / 7) as text, rounded to four digits.
    list of Fault
        Cells that are no date or an ambiguous one; dates of a participant without start date,
        once a participant.
    """
    cells, faults = raw.cells.copy(), []
    for week, column in DATES[raw.name].items():
        if column not in cells:
            continue
        if week not in cells:
            cells[week] = pd.Series(pd.NA, cells.index, dtype="str")
        rows = cells[cells[column].notna() & cells[week].isna()]
        days, errors = _days(rows[column])
        persons = _persons(rows)
        for row, error in errors.items():
            place = (raw.name, raw.file, row, column, rows.at[row, column])
            faults.append(Fault(*place, error.rule, error.hint))
        lacking = rows[persons.isin(starts.lacking)]
        for _, of_one in lacking.groupby(PERSON, sort=False):
            row, text = of_one.index[0], of_one[column].iloc[0]
            rule = f"date of a participant without start date ({len(of_one)} in this table)"
            faults.append(Fault(raw.name, raw.file, row, column, text, rule, _START_HINT))
        since = days - starts.days.reindex(persons).to_numpy()
        weeks = (since.dt.days / 7).round(4)
        texts = weeks.map("{:.15g}".format, na_action="ignore").astype("str")
        cells.loc[rows.index, week] = texts
    return replace(raw, cells=cells), faults


def in_dates(fault: Fault, raw: Mapping[str, RawTable]) -> Fault | None:
    """A fault of a week that came from a date, told of the date; None where it is told already."""
    column = DATES.get(fault.table, {}).get(fault.column)
    cells = raw[fault.table].cells if fault.table in raw else {}
    if fault.row is None or column not in cells:
        return fault
    written, given = cells.at[fault.row, column], fault.column in cells
    if given and (pd.isna(written) or pd.notna(cells.at[fault.row, fault.column])):
        return fault
    if pd.isna(written):
        return replace(fault, column=column)
    if fault.value is None:
        return None
    hint = f"It is week {fault.value} since the participant's start. {fault.hint}"
    return replace(fault, column=column, value=written, hint=hint)


def _persons(cells: pd.DataFrame | None) -> pd.MultiIndex:
    """The participants of the rows."""
    empty = pd.DataFrame(columns=PERSON, dtype="str")
    return pd.MultiIndex.from_frame(empty if cells is None else cells[PERSON])


def _days(texts: pd.Series) -> tuple[pd.Series, dict[int, DateError]]:
    """Dates of text cells, missing where they are none; the errors by row."""
    days, errors = {}, {}
    for text in texts.unique():
        try:
            days[text] = pd.Timestamp(read_date(text))
        except DateError as error:
            errors[text] = error
    broken = texts[texts.isin(list(errors))]
    series = pd.Series(texts.map(days), texts.index).astype("datetime64[s]")
    return series, {row: errors[text] for row, text in broken.items()}
