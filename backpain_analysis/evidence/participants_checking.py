"""From participants' tables of text to validated tables, with every fault found on the way.

Rules take the three tables (typed, index = spreadsheet row) and yield faults, as those of
``evidence/schema.py`` do for the trial tables. Dates are read where they can be read in one way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pandas as pd

from backpain_analysis.evidence.checking import check_tables, words_of
from backpain_analysis.evidence.dose import PERSON
from backpain_analysis.evidence.faults import Fault
from backpain_analysis.evidence.reading import RawTable, canonical, read_tables
from backpain_analysis.evidence.scales import WIDEST_LIMITS, with_limits
from backpain_analysis.evidence.schema import (
    PARTICIPANT_TABLES,
    Rule,
    Tables,
    broken_rows,
    example_is_gone,
)
from backpain_analysis.evidence.workbooks import UnreadableWorkbook, Workbook
from backpain_analysis.words import nearest

_TIME = r"(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?"
_YEAR_FIRST = re.compile(rf"(\d{{4}})([-/.])(\d{{1,2}})\2(\d{{1,2}}){_TIME}", re.ASCII)
_YEAR_LAST = re.compile(rf"(\d{{1,2}})([-/.])(\d{{1,2}})\2(\d{{4}}){_TIME}", re.ASCII)
_DAY_NAMED = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?[ .-]*([A-Za-z]{3,9})[ .,-]*(\d{4})", re.ASCII)
_NAMED_DAY = re.compile(r"([A-Za-z]{3,9})[ .-]*(\d{1,2})(?:st|nd|rd|th)?[ .,-]+(\d{4})", re.ASCII)
_SHORT_YEAR = re.compile(r"\d{1,2}([-/.])\d{1,2}\1\d{2}")
_MONTHS = (
    "january february march april may june july august september october november december"
).split()


class DateError(ValueError):
    """A text is no date or could be two: `rule` tells what is wrong, `hint` what would be right."""

    def __init__(self, rule: str, hint: str) -> None:
        self.rule, self.hint = rule, hint
        super().__init__(f"{rule}. {hint}")


def read_date(text: str) -> date:
    """The date a text holds.

    Parameters
    ----------
    text
        ``2024-03-05`` (a time of day after it is passed over), ``5 March 2024``,
        ``Mar 5, 2024``, or numbers with the year last where only one order makes a date:
        ``25/03/2024``.

    Returns
    -------
    datetime.date

    Raises
    ------
    DateError
        If it is no date, or could be two.
    """
    text = text.strip()
    if match := _YEAR_FIRST.fullmatch(text):
        year, _, month, day = match.groups()
        return _calendar(int(year), int(month), int(day))
    if match := _YEAR_LAST.fullmatch(text):
        first, _, second, year = match.groups()
        return _either_order(int(first), int(second), int(year))
    if match := _DAY_NAMED.fullmatch(text):
        day, word, year = match.groups()
        return _calendar(int(year), _month(word), int(day))
    if match := _NAMED_DAY.fullmatch(text):
        word, day, year = match.groups()
        return _calendar(int(year), _month(word), int(day))
    if _SHORT_YEAR.fullmatch(text):
        raise DateError("year of two digits", "Write year-month-day, e.g. 2024-03-05.")
    if re.fullmatch(r"\d{5}(\.\d+)?", text):
        hint = "It may be a spreadsheet's day number: format the column as date, year-month-day."
        raise DateError("a number, not a date", hint)
    raise DateError("not a date", "Write year-month-day, e.g. 2024-03-05.")


def _either_order(first: int, second: int, year: int) -> date:
    """Day and month in the one order that makes a date."""
    if 1 <= first <= 12 and 1 <= second <= 12 and first != second:
        one, other = date(year, second, first), date(year, first, second)
        hint = f"Write {one} ({_long(one)}) or {other} ({_long(other)})."
        raise DateError("ambiguous date", hint)
    month, day = (second, first) if second <= 12 else (first, second)
    return _calendar(year, month, day)


def _calendar(year: int, month: int, day: int) -> date:
    try:
        return date(year, month, day)
    except ValueError:
        hint = "Check the day and the month, and write year-month-day."
        raise DateError("no such day in the calendar", hint) from None


def _month(word: str) -> int:
    """Number of an English month, of which three letters are enough."""
    for number, name in enumerate(_MONTHS, start=1):
        if name.startswith(word.lower()):
            return number
    raise DateError("not a date", "Months are read in English; year-month-day always is.")


def _long(day: date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1].capitalize()}"


MOST_MINUTES_PER_WEEK = 16 * 60 * 7
"""The waking hours of a week."""

_MANY = 5000
_ADVISED = 50
"""Strangers of a table for whom it is said what may be meant."""


def participants_with_interventions(tables: Tables) -> Iterator[Fault]:
    """Who has scores or a row in ``participants`` has a row in ``interventions``."""
    advice = "add a row to interventions; a control has exercise_type none."
    for name in ("scores", "participants"):
        yield from _strangers(tables, name, "interventions", "without interventions", advice)


def participants_in_their_table(tables: Tables) -> Iterator[Fault]:
    """With a table ``participants``, whoever has interventions or scores is in it."""
    advice = "add a row to participants; its cells may be empty."
    rule = "not in table participants"
    for name in ("interventions", "scores"):
        yield from _strangers(tables, name, "participants", rule, advice)


def exercise_has_a_dose(tables: Tables) -> Iterator[Fault]:
    """Without exercise there are no sessions."""
    frame = tables["interventions"]
    none = frame["exercise_type"] == "none"
    hint = "Name the exercise in exercise_type, or leave the sessions empty."
    for column in ("prescribed_sessions_per_week", "attended_sessions_per_week"):
        broken = none & (frame[column] > 0)
        yield from broken_rows(
            "interventions", frame, broken, column, "sessions without exercise", hint
        )


def attended_is_plausible(tables: Tables) -> Iterator[Fault]:
    """Nobody attends more than twice what was prescribed."""
    frame = tables["interventions"]
    prescribed, attended = (
        frame[f"{word}_sessions_per_week"] for word in ("prescribed", "attended")
    )
    broken = (prescribed > 0) & (attended > 2 * prescribed)
    hint = (
        "{prescribed_sessions_per_week} a week are prescribed. Give sessions a week, not those "
        "of the whole programme; exercise beyond the programme gets a row of its own."
    )
    rule = "attended more than twice what was prescribed"
    column = "attended_sessions_per_week"
    yield from broken_rows("interventions", frame, broken, column, rule, hint)


def minutes_fit_a_week(tables: Tables) -> Iterator[Fault]:
    """Sessions of a week fit into its waking hours."""
    frame = tables["interventions"]
    hint = (
        f"Sessions a week times {{minutes_per_session}} minutes is above {MOST_MINUTES_PER_WEEK}, "
        "the waking minutes of a week. Check both."
    )
    for column in ("prescribed_sessions_per_week", "attended_sessions_per_week"):
        broken = frame[column] * frame["minutes_per_session"] > MOST_MINUTES_PER_WEEK
        rule = "more minutes than a week has"
        yield from broken_rows("interventions", frame, broken, column, rule, hint)


def end_not_before_start(tables: Tables) -> Iterator[Fault]:
    """A programme does not end before it starts."""
    frame = tables["interventions"]
    broken = frame["end_week"] < frame["start_week"]
    hint = "It starts in week {start_week}; it must not end before."
    yield from broken_rows("interventions", frame, broken, "end_week", "end before start", hint)


def several_programmes_have_weeks(tables: Tables) -> Iterator[Fault]:
    """Where a participant has several programmes, each says when it was."""
    frame = tables["interventions"]
    several = frame.duplicated(PERSON, keep=False)
    hint = "A participant with several programmes needs start and end of each."
    for column in ("start_week", "end_week"):
        broken = several & frame[column].isna()
        rule = "programme of several without its weeks"
        yield from broken_rows("interventions", frame, broken, column, rule, hint)


def programmes_do_not_overlap(tables: Tables) -> Iterator[Fault]:
    """Two programmes of the same type of one participant do not share weeks."""
    frame = tables["interventions"]
    keys = [*PERSON, "exercise_type"]
    several = frame[frame.duplicated(keys, keep=False)].sort_values([*keys, "start_week"])
    ends = several.groupby(keys, sort=False)["end_week"]
    before = ends.cummax().groupby([several[key] for key in keys], sort=False).shift()
    several = several.assign(end_before=before)
    same_start = several.duplicated([*keys, "start_week"])
    broken = (several["start_week"] < several["end_before"]) & ~same_start
    hint = "The one before ends in week {end_before}; as it stands the weeks count twice."
    rule = "programmes of the same type overlap"
    yield from broken_rows("interventions", several, broken, "start_week", rule, hint)


def scale_is_whole(tables: Tables) -> Iterator[Fault]:
    """A scale has both limits, the largest above the smallest."""
    frame = tables["scores"]
    low, high = frame["scale_min"], frame["scale_max"]
    rule, hint = "limit of a scale without the other", "Give both scale_min and scale_max."
    yield from broken_rows("scores", frame, low.notna() & high.isna(), "scale_max", rule, hint)
    yield from broken_rows("scores", frame, low.isna() & high.notna(), "scale_min", rule, hint)
    hint = "scale_min is {scale_min}: scale_max must be above it."
    yield from broken_rows("scores", frame, high <= low, "scale_max", "scale without width", hint)


def score_on_its_scale(tables: Tables) -> Iterator[Fault]:
    """A score lies within the limits of its instrument."""
    frame = tables["scores"]
    limits = with_limits(frame, WIDEST_LIMITS)
    low, high = limits["scale_min"], limits["scale_max"]
    outside = ((frame["value"] < low) | (frame["value"] > high)) & (low < high)
    told = frame.assign(scale_min=low, scale_max=high)
    for source, hint in (
        ("reported", "The scale of this row is {scale_min} to {scale_max}."),
        ("instrument", "{instrument} goes from {scale_min} to {scale_max}."),
    ):
        rows = outside & (limits["scale_source"] == source)
        yield from broken_rows("scores", told, rows, "value", "impossible score", hint)


PARTICIPANT_RULES: tuple[Rule, ...] = (
    example_is_gone,
    participants_with_interventions,
    participants_in_their_table,
    exercise_has_a_dose,
    attended_is_plausible,
    minutes_fit_a_week,
    end_not_before_start,
    several_programmes_have_weeks,
    programmes_do_not_overlap,
    scale_is_whole,
    score_on_its_scale,
)


def _strangers(tables: Tables, name: str, target: str, rule: str, advice: str) -> Iterator[Fault]:
    """Participants of one table that are not in another: one fault a participant."""
    frame, others = tables[name][PERSON].dropna(), tables[target][PERSON].dropna()
    if others.empty:
        return
    capital = advice[0].upper() + advice[1:]
    known = pd.MultiIndex.from_frame(others)
    strange = frame[~pd.MultiIndex.from_frame(frame).isin(known)]
    elsewhere = others[others["participant_id"].isin(strange["participant_id"])].drop_duplicates()
    elsewhere = elsewhere.groupby("participant_id")["trial_id"].agg(list).to_dict()
    counts = strange.groupby(PERSON, sort=False).size().to_numpy()
    first = strange.drop_duplicates().assign(rows=counts)
    for number, (row, trial, person, rows) in enumerate(first.itertuples(name=None)):
        if person in elsewhere:
            hint = f"{target} has a participant {person!r} in trial "
            hint += f"{', '.join(elsewhere[person][:5])}."
        else:
            meant = None
            if number < _ADVISED:
                near = others if trial == UNKNOWN_TRIAL else others[others["trial_id"] == trial]
                meant = nearest(person, near["participant_id"]) if len(near) <= _MANY else None
            hint = f"Did you mean {meant!r}? Otherwise {advice}" if meant else capital
        told = f"participant {rule}" if rule.startswith("without") else rule
        if rows > 1:
            told = f"{told} ({rows} rows)"
        yield Fault(name, None, row, "participant_id", person, told, hint)


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
    table = fault.table or ""
    column = DATES.get(table, {}).get(fault.column or "")
    if fault.row is None or table not in raw or column not in raw[table].cells:
        return fault
    cells = raw[table].cells
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


def check_participants(path: str | Path, missing: str | Iterable[str] = ()) -> list[Fault]:
    """Everything that is wrong with a folder or workbook of participant-level tables.

    Parameters
    ----------
    path, missing
        As in :func:`load_participants`. Only read, never written.

    Returns
    -------
    list of Fault
        Empty if the input can be loaded.

    Raises
    ------
    FileNotFoundError
        If there is nothing at `path`.
    """
    raw, faults = read_tables(Path(path), PARTICIPANT_TABLES, words_of(missing))
    return check_participant_tables(raw, faults)[1]


def holds_participants(path: str | Path) -> bool:
    """Whether a folder or workbook has a table ``interventions`` or ``scores``.

    That tells participant-level data from tables of trials before either is checked.
    """
    path, wanted = Path(path), set(PARTICIPANT_TABLES[:2])
    if path.is_dir():
        return any(canonical(file.stem) in wanted for file in path.iterdir())
    if path.suffix.lower() != ".xlsx" or not path.is_file():
        return False
    try:
        with Workbook(path) as book:
            return bool(wanted & {canonical(title) for title in book.titles})
    except UnreadableWorkbook:
        return False


def check_participant_tables(
    raw: Mapping[str, RawTable], faults: list[Fault]
) -> tuple[dict[str, pd.DataFrame], list[Fault]]:
    """Derive trials and weeks, then type and check tables of text.

    Parameters
    ----------
    raw
        The tables that could be read.
    faults
        What reading found already.

    Returns
    -------
    tables : dict of DataFrame
        ``interventions``, ``scores`` and ``participants``, an absent one without rows; none at
        all if there are faults.
    faults : list of Fault
        Those given and those found, by table and row.
    """
    filled, more = derived(raw)
    tables, found = check_tables(filled, [*faults, *more], PARTICIPANT_TABLES, PARTICIPANT_RULES)
    told = [in_dates(fault, raw) for fault in found]
    return tables, [fault for fault in told if fault is not None]


def derived(raw: Mapping[str, RawTable]) -> tuple[dict[str, RawTable], list[Fault]]:
    """The tables with trials and weeks filled in, and what stood in the way."""
    tables = dict(raw)
    faults: list[Fault] = []
    if "interventions" not in tables or not set(PERSON) <= set(tables["interventions"].cells):
        return tables, faults
    trials = Trials.of(tables["interventions"].cells)
    for name in ("scores", "participants"):
        if name in tables:
            tables[name], found = trials.fill(tables[name])
            faults += found
    starts = Starts.of(tables)
    for name in DATES:
        if name in tables and set(PERSON) <= set(tables[name].cells):
            tables[name], found = with_weeks(tables[name], starts)
            faults += found
    return tables, faults
