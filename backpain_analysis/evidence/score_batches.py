"""A large table of scores as text, some rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from backpain_analysis.evidence.columns import ALL_TEXT, text_cells
from backpain_analysis.evidence.faults import EvidenceError, Fault
from backpain_analysis.evidence.reading import RawTable

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
