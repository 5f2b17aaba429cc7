"""From participants' tables to the table that analyses take: one row a visit.

Scores larger than memory are read some whole participants at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from backpain_analysis.evidence.checking import check_tables
from backpain_analysis.evidence.dose import (
    PERSON,
    Exposure,
    cumulative_doses,
    exercise_types,
    known_measure,
    participant_doses,
)
from backpain_analysis.evidence.faults import EvidenceError, Fault
from backpain_analysis.evidence.participants_checking import (
    PARTICIPANT_RULES,
    Starts,
    Trials,
    derived,
    in_dates,
    with_weeks,
)
from backpain_analysis.evidence.reading import ALL_TEXT, RawTable, read_tables, text_cells
from backpain_analysis.evidence.scales import with_limits
from backpain_analysis.evidence.schema import PARTICIPANT_TABLES, empty_table
from backpain_analysis.words import did_you_mean

Scale = Literal["recorded", "0-100"]

HIGHER_IS_BETTER = frozenset({"PSFS", "PROMIS_function"})
"""Instruments of pain or disability whose higher scores are better: turned round on 0-100."""


_FORM = ["instrument", "scale_min", "scale_max"]


def visit_table(
    interventions: pd.DataFrame,
    scores: pd.DataFrame,
    people: pd.DataFrame,
    *,
    dose: str = "minutes_per_week",
    exposure: Exposure = "prescribed",
    scale: Scale = "recorded",
) -> pd.DataFrame:
    """The visits of participants, from the scores that `of_instruments` chose.

    See :meth:`Participants.visits`.
    """
    known_measure(dose, exposure)
    limits = (0.0, 100.0) if scale == "0-100" else _limits(scores)
    scores = scores.assign(value=_on_scale(scores, scale)).dropna(subset=["value"])
    twice = scores.duplicated([*PERSON, "week"])
    if twice.any():
        trial, person, week = scores.loc[twice, [*PERSON, "week"]].iloc[0]
        raise ValueError(
            f"participant {person!r} of trial {trial!r} has scores of several instruments in week "
            f"{week:g}: choose one instrument."
        )
    visits = scores[[*PERSON, "week", "value"]].sort_values([*PERSON, "week"], ignore_index=True)
    before = visits[visits["week"] <= 0].drop_duplicates(PERSON, keep="last")
    before = before.rename(columns={"value": "baseline", "week": "baseline_week"})
    visits = visits.merge(before, on=PERSON, how="left")
    earlier = visits["week"] < visits["baseline_week"]
    visits = visits[~earlier].drop(columns="baseline_week").reset_index(drop=True)
    persons = pd.MultiIndex.from_frame(visits[PERSON])
    if exposure == "cumulative":
        visits["dose"] = cumulative_doses(interventions, visits, dose)
    else:
        doses = participant_doses(interventions, dose, exposure)
        visits["dose"] = doses.reindex(persons).to_numpy()
    visits["exercise_type"] = exercise_types(interventions).reindex(persons).to_numpy()
    visits = visits.merge(people, on=PERSON, how="left", suffixes=("", "_of_participant"))
    if limits is not None:
        visits.attrs["scale"] = limits
    return visits


def of_instruments(scores: pd.DataFrame, instrument: str | Iterable[str] | None) -> pd.DataFrame:
    """The scores of the instruments asked for, or of the only one there is.

    Raises
    ------
    ValueError
        If one of them has no scores, or none is asked for where there are several.
    """
    there = list(scores["instrument"].unique())
    if instrument is None:
        refuse_several(there)
        return scores
    wanted = named(instrument)
    refuse_absent(wanted, there)
    return scores[scores["instrument"].isin(wanted)]


def named(instrument: str | Iterable[str]) -> list[str]:
    """One instrument or several, as a list."""
    return [instrument] if isinstance(instrument, str) else list(instrument)


def refuse_several(there: list[str]) -> None:
    """An error where an instrument has to be chosen."""
    if len(there) > 1:
        raise ValueError(f"instrument: choose one of {', '.join(there)}.")


def refuse_absent(wanted: list[str], there: Iterable[str]) -> None:
    """An error for an instrument without scores."""
    there = list(there)
    for word in wanted:
        if word not in there:
            raise ValueError(f"instrument: no {word!r}. {did_you_mean(word, there)}")


def scale_forms(scores: pd.DataFrame) -> pd.DataFrame:
    """The different instruments and limits in which scores are recorded."""
    return with_limits(scores)[_FORM].drop_duplicates()


def _limits(scores: pd.DataFrame) -> tuple[float, float] | None:
    """The limits of scores recorded on one scale, where they are known."""
    forms = scale_forms(scores)[["scale_min", "scale_max"]].drop_duplicates()
    if len(forms) != 1 or forms.isna().any(axis=None):
        return None
    return float(forms["scale_min"].iloc[0]), float(forms["scale_max"].iloc[0])


def refuse_mixed(forms: pd.DataFrame, scale: str) -> None:
    """An error where scores cannot stand in one column.

    Raises
    ------
    ValueError
        For scores recorded on several scales, scores to be put on 0-100 whose limits are not
        known, or an unknown word for `scale`.
    """
    if scale not in ("recorded", "0-100"):
        raise ValueError(f"scale: no {scale!r}. Known: recorded, 0-100.")
    if scale == "recorded" and len(forms) > 1:
        texts = ", ".join(_form(*row) for row in forms.itertuples(index=False))
        raise ValueError(
            f"scores are recorded on several scales ({texts}): use visits(scale='0-100'), or "
            "choose one instrument."
        )
    unknown = forms.loc[forms["scale_min"].isna(), "instrument"].unique()
    if scale == "0-100" and len(unknown):
        raise ValueError(
            f"{', '.join(unknown)}: the scale is not known, so scores cannot be put on 0-100. "
            "Give scale_min and scale_max in table scores."
        )


def known_people(people: pd.DataFrame) -> pd.DataFrame:
    """What is known of participants: the columns that hold anything."""
    return people[[name for name in people if name in PERSON or people[name].notna().any()]]


def _on_scale(scores: pd.DataFrame, scale: str) -> pd.Series:
    """Values as recorded, or as per cent of their scale."""
    refuse_mixed(scale_forms(scores), scale)
    if scale == "recorded":
        return scores["value"]
    limited = with_limits(scores)
    low, high = limited["scale_min"], limited["scale_max"]
    percent = 100 * (scores["value"] - low) / (high - low)
    return percent.mask(scores["instrument"].isin(HIGHER_IS_BETTER), 100 - percent)


def _form(instrument: str, low: float, high: float) -> str:
    limits = "unknown range" if pd.isna(low) else f"{low:g} to {high:g}"
    return f"{instrument} {limits}"


_ROWS = 100_000

_BYTES = 1 << 23


def score_batches(folder: Path) -> Iterator[RawTable]:
    """The rows of ``scores.csv`` or ``scores.parquet``, in order; never the whole file.

    Raises
    ------
    EvidenceError
        If there is no such file, or both, or one that cannot be read to its end.
    """
    found = [file for name in _READERS if (file := folder / f"scores{name}").is_file()]
    if len(found) != 1:
        rule = "table is there twice" if found else "table is missing"
        hint = "Keep one of them." if found else "Add scores.csv or scores.parquet."
        files = " and ".join(file.name for file in found) or None
        raise EvidenceError([Fault("scores", files, None, None, None, rule, hint)], folder)
    [file] = found
    row = 2
    try:
        for batch in _READERS[file.suffix](file):
            table = pa.Table.from_batches([batch])
            names = [name.strip() for name in table.column_names]
            _refuse_header(names, file)
            cells = text_cells(table.rename_columns(names), row)
            row += len(table)
            yield RawTable("scores", file.name, cells)
    except pa.ArrowException as error:
        rule = f"not readable ({str(error).splitlines()[0]})"
        hint = "Every row needs as many cells as the header, in UTF-8 text."
        fault = Fault("scores", file.name, None, None, None, rule, hint)
        raise EvidenceError([fault], folder) from error


def _csv_batches(file: Path) -> Iterator[pa.RecordBatch]:
    read = csv.ReadOptions(block_size=_BYTES)
    parse = csv.ParseOptions(ignore_empty_lines=False)
    with csv.open_csv(file, read, parse, ALL_TEXT) as reader:
        yield from reader


def _parquet_batches(file: Path) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(file) as parquet:
        yield from parquet.iter_batches(_ROWS)


_READERS = {".csv": _csv_batches, ".parquet": _parquet_batches}


def _refuse_header(names: list[str], file: Path) -> None:
    """A header whose names do not tell columns apart."""
    for name in names:
        if not name or names.count(name) > 1:
            rule = "column is there twice" if name else "column without a name"
            hint = "Give every column a name of its own."
            fault = Fault("scores", file.name, 1, name or None, None, rule, hint)
            raise EvidenceError([fault], file.parent)


_HELD = ("interventions", "participants")

_SEPARATOR = "\x1f"


def visits_in_chunks(
    path: str | Path,
    instrument: str | Iterable[str] | None = None,
    *,
    participants_per_chunk: int = 20_000,
    dose: str = "minutes_per_week",
    exposure: Exposure = "prescribed",
    scale: Scale = "recorded",
) -> Iterator[pd.DataFrame]:
    """The analysis table in parts that fit into memory, each of whole participants.

    Scores are read and checked part by part; ``interventions`` and ``participants`` (a row or so
    a participant) are held in memory. Together the parts are :meth:`Participants.visits`, the
    participants in the order of the file.

    Parameters
    ----------
    path
        A folder as of :func:`load_participants`, with ``scores`` as ``.csv`` or ``.parquet`` and
        the rows of a participant together.
    instrument, dose, exposure, scale
        As of :meth:`Participants.visits`.
    participants_per_chunk
        Most participants of a part.

    Yields
    ------
    DataFrame
        Columns of :meth:`Participants.visits`.

    Raises
    ------
    EvidenceError
        If anything is wrong with the tables held in memory. While reading on: if anything is
        wrong with the scores of a part (all its faults at once), or a participant comes again
        after others.
    ValueError
        If a word is not known, or the scores of the instruments do not go together.
    FileNotFoundError
        If there is nothing at `path`.

    Examples
    --------
    >>> from backpain_analysis.datasets import data_dir
    >>> chunks = bp.visits_in_chunks(
    ...     data_dir() / "participants", participants_per_chunk=300
    ... )
    >>> [len(chunk) for chunk in chunks]
    [1298, 1286]
    """
    known_measure(dose, exposure)
    refuse_mixed(scale_forms(empty_table("scores")), scale)
    if participants_per_chunk < 1:
        raise ValueError(f"participants_per_chunk = {participants_per_chunk}: give 1 or more.")
    folder = Path(path)
    raw, faults = read_tables(folder, _HELD)
    raw, more = derived(raw)
    tables, faults = check_tables(raw, [*faults, *more], PARTICIPANT_TABLES, PARTICIPANT_RULES)
    if faults:
        raise EvidenceError(faults, folder)
    everyone = _Everyone(tables, raw)
    wanted = None if instrument is None else named(instrument)
    options = {"dose": dose, "exposure": exposure, "scale": scale}
    parts = _whole_participants(score_batches(folder), participants_per_chunk)
    return _visits(everyone, parts, wanted, options)


def _visits(
    everyone: _Everyone, parts: Iterator[RawTable], wanted: list[str] | None, options: dict
) -> Iterator[pd.DataFrame]:
    there: set[str] = set()
    forms = scale_forms(empty_table("scores"))
    for part in parts:
        tables = everyone.of(part)
        scores = tables["scores"]
        there |= set(scores["instrument"])
        if wanted is None:
            refuse_several(sorted(there))
        else:
            scores = scores[scores["instrument"].isin(wanted)]
        if scores.empty:
            continue
        forms = pd.concat([forms, scale_forms(scores)]).drop_duplicates()
        refuse_mixed(forms, options["scale"])
        people = tables["participants"][everyone.known]
        yield visit_table(tables["interventions"], scores, people, **options)
    refuse_absent(wanted or [], sorted(there))


class _Everyone:
    """The tables held in memory, and whose scores have come."""

    def __init__(self, tables: Mapping[str, pd.DataFrame], raw: Mapping[str, RawTable]) -> None:
        self.trials, self.starts = Trials.of(tables["interventions"]), Starts.of(raw)
        self.tables = {name: tables[name] for name in _HELD}
        self.known = list(known_people(tables["participants"]))
        codes, persons = pd.factorize(_keys(tables["interventions"]))
        self.persons = pd.Index(persons)
        others = self.persons.get_indexer(_keys(tables["participants"]))
        self.codes = {"interventions": codes, "participants": others}
        self.seen = np.zeros(len(persons), dtype=bool)

    def of(self, part: RawTable) -> dict[str, pd.DataFrame]:
        """The part's scores, typed and checked, with the rows of its participants."""
        scores, faults = self.trials.fill(part)
        if set(PERSON) <= set(scores.cells):
            scores, more = with_weeks(scores, self.starts)
            codes, again = self._meet(scores)
            faults += more + again
        else:
            codes = np.array([-1])
        held = self.tables
        if (codes >= 0).all():
            held = {name: held[name][np.isin(self.codes[name], codes)] for name in _HELD}
        rules = (PARTICIPANT_TABLES, PARTICIPANT_RULES)
        checked, faults = check_tables({"scores": scores}, faults, *rules, held)
        if faults:
            told = [in_dates(fault, {"scores": part}) for fault in faults]
            raise EvidenceError([fault for fault in told if fault is not None])
        return checked

    def _meet(self, scores: RawTable) -> tuple[np.ndarray, list[Fault]]:
        """Codes of the part's participants, -1 if unknown; faults of those who came before."""
        keys = _keys(scores.cells)
        first = keys[keys != keys.shift()]
        codes = self.persons.get_indexer(first)
        known = codes >= 0
        came = known & (pd.Series(codes).duplicated().to_numpy() | self.seen[codes])
        self.seen[codes[known]] = True
        rule = "participant comes again, after others"
        hint = (
            "To be read in parts, scores must hold the rows of a participant together: sort them "
            "by trial_id and participant_id."
        )
        faults = [
            Fault(scores.name, scores.file, row, "participant_id", person, rule, hint)
            for row, person in scores.cells.loc[first.index[came], "participant_id"].items()
        ]
        return codes, faults


def _whole_participants(batches: Iterator[RawTable], most: int) -> Iterator[RawTable]:
    """The same rows in tables of at most `most` participants, none of them cut in two."""
    held: RawTable | None = None
    for batch in batches:
        cells = batch.cells if held is None else pd.concat([held.cells, batch.cells])
        persons = _keys(cells)
        starts = np.flatnonzero((persons != persons.shift()).to_numpy())
        done = range(0, (len(starts) - 1) // most * most, most)
        for place in done:
            yield replace(batch, cells=cells.iloc[starts[place] : starts[place + most]])
        rest = starts[len(done) * most] if len(starts) else 0
        held = replace(batch, cells=cells.iloc[rest:])
    if held is not None:
        yield held


def _keys(table: pd.DataFrame) -> pd.Series:
    """One text for the identifiers of each row."""
    keys = pd.Series("", table.index, dtype="str")
    for name in PERSON:
        if name in table:
            keys = keys + _SEPARATOR + table[name].fillna("")
    return keys
