"""Scores larger than memory: whole participants, some at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from backpain_analysis.evidence.checking import check_tables
from backpain_analysis.evidence.exposure import PERSON, Exposure, known_measure
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
from backpain_analysis.evidence.schema import PARTICIPANT_TABLES, empty_table
from backpain_analysis.evidence.visits import (
    Scale,
    known_people,
    named,
    refuse_absent,
    refuse_mixed,
    refuse_several,
    scale_forms,
    visit_table,
)

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
