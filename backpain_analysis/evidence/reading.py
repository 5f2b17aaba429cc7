"""Read a user's tables as text, so that a bad cell becomes a fault and not a crash."""

from __future__ import annotations

import csv
import io
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from openpyxl.utils.exceptions import InvalidFileException
from pyarrow import ArrowException
from pyarrow import csv as arrow_csv

from backpain_analysis.evidence.faults import Fault
from backpain_analysis.evidence.schema import TABLES

ALL_TEXT = arrow_csv.ConvertOptions(
    check_utf8=True, strings_can_be_null=False, default_column_type=pa.string()
)


def plain_csv_cells(file: Path) -> pd.DataFrame | None:
    """The cells of a CSV file, or None unless every row has the cells of a proper header.

    A file with quotation marks is never plain. Cells are those of the careful reader: text
    without surrounding blanks, missing where empty, index = spreadsheet row.
    """
    content = file.read_bytes()
    if b'"' in content:
        return None
    parse = arrow_csv.ParseOptions(quote_char=False, ignore_empty_lines=False)
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(content), parse_options=parse, convert_options=ALL_TEXT
        )
    except pa.ArrowException:
        return None
    names = [name.strip() for name in table.column_names]
    if len(names) < 2 or len(set(names)) < len(names) or "" in names or not len(table):
        return None
    return text_cells(table.rename_columns(names))


def frame_cells(frame: pd.DataFrame) -> pd.DataFrame | None:
    """The cells of a frame as text, or None where its columns are not each of one plain type."""
    names = [str(column).strip() for column in frame.columns]
    if not len(frame) or not names or len(set(names)) < len(names) or "" in names:
        return None
    try:
        table = pa.Table.from_pandas(frame.set_axis(names, axis="columns"), preserve_index=False)
        return text_cells(table)
    except pa.ArrowException:
        return None


def text_cells(table: pa.Table, first_row: int = 2) -> pd.DataFrame:
    """Columns of any plain type as text; rows without any text are passed over.

    Parameters
    ----------
    table
        With distinct column names.
    first_row
        Spreadsheet row of the first row.

    Returns
    -------
    DataFrame
        Dtype ``str``, missing where empty, index = spreadsheet row.
    """
    columns = {name: _texts(table[name]) for name in table.column_names}
    filled = np.zeros(len(table), dtype=bool)
    for column in columns.values():
        filled |= column.is_valid().to_numpy()
    index = np.flatnonzero(filled) + first_row
    kept = pa.table(columns).filter(pa.array(filled))
    frame = kept.to_pandas(types_mapper={pa.string(): pd.StringDtype(na_value=np.nan)}.get)
    return frame.set_axis(index)


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    return pc.if_else(pc.equal(text, ""), None, text)


NEEDED = ("trials", "arms", "interventions", "scores")


@dataclass(frozen=True)
class RawTable:
    """A table as it was found: cells as text (missing where empty), index = spreadsheet row."""

    name: str
    file: str
    cells: pd.DataFrame


def read_tables(
    path: Path, names: Sequence[str] = TABLES
) -> tuple[dict[str, RawTable], list[Fault]]:
    """Read the tables of a folder (CSV, Parquet or XLSX) or of one XLSX workbook.

    Parameters
    ----------
    path
        Folder with a ``.csv``, ``.parquet`` or ``.xlsx`` file for each table, or one workbook
        with a sheet for each. Only read, never written.
    names
        `TABLES` or `PARTICIPANT_TABLES`.

    Returns
    -------
    tables : dict of RawTable
        The tables that could be read. Blanks around a cell's text are removed.
    faults : list of Fault
        Missing, unreadable, empty and ragged tables.

    Raises
    ------
    FileNotFoundError
        If there is nothing at `path`.
    """
    if not path.exists():
        raise FileNotFoundError(
            f"Nothing at {path}: give a folder of CSV or Parquet tables "
            f"({', '.join(names)}) or one XLSX workbook with sheets of these names."
        )
    faults: list[Fault] = []
    if path.is_dir():
        tables = _read_folder(path, names, faults)
    elif path.suffix.lower() == ".xlsx":
        tables = _read_workbook(path, names, faults)
    else:
        hint = "Give a folder of CSV or Parquet tables, or one XLSX workbook."
        return {}, [Fault(None, path.name, None, None, None, "not a folder or workbook", hint)]
    if path.is_dir() or tables:
        faults.extend(_absent(tables, names, faults, path))
    return tables, faults


def raw_from_frame(name: str, file: str, frame: pd.DataFrame, faults: list[Fault]) -> RawTable:
    """A table in memory or from Parquet as a `RawTable`; row 2 is the frame's first."""
    if (cells := frame_cells(frame)) is not None:
        return RawTable(name, file, cells)
    rows = frame.astype(object).itertuples(index=False, name=None)
    header = [str(column) for column in frame.columns]
    return _to_raw(name, file, [header, *rows], faults)


def raw_from_frames(
    frames: Mapping[str, pd.DataFrame | None], faults: list[Fault]
) -> dict[str, RawTable]:
    """Tables in memory by name; an absent one, or one without a column, is left out."""
    given = {
        name: frame for name, frame in frames.items() if frame is not None and len(frame.columns)
    }
    raw = {name: raw_from_frame(name, name, frame, faults) for name, frame in given.items()}
    return {name: table for name, table in raw.items() if table is not None}


def read_descriptor(folder: Path) -> dict[str, Any]:
    """The content of a folder's ``datapackage.json``; empty where there is none to be read."""
    descriptor = folder / "datapackage.json"
    if not descriptor.is_file():
        return {}
    try:
        content = json.loads(descriptor.read_text(encoding="utf-8-sig"))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def read_label(folder: Path) -> tuple[str, str | None]:
    """Name and version of a data set: from its ``datapackage.json``, else the path's own name."""
    content = read_descriptor(folder)
    version = content.get("version")
    return str(content.get("name", folder.stem)), None if version is None else str(version)


def _read_folder(folder: Path, names: Sequence[str], faults: list[Fault]) -> dict[str, RawTable]:
    tables = {}
    for name in names:
        found = [folder / f"{name}{suffix}" for suffix in _READERS]
        found = [file for file in found if file.is_file()]
        if len(found) > 1:
            files = " and ".join(file.name for file in found)
            faults.append(
                Fault(name, files, None, None, None, "table is there twice", "Keep one of them.")
            )
        elif found:
            if (table := _READERS[found[0].suffix](name, found[0], faults)) is not None:
                tables[name] = table
    return tables


def _read_csv(name: str, file: Path, faults: list[Fault]) -> RawTable | None:
    if (cells := plain_csv_cells(file)) is not None:
        return RawTable(name, file.name, cells)
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = error.object[: error.start].count(b"\n") + 1
        hint = "Save it as 'CSV UTF-8'."
        faults.append(Fault(name, file.name, row, None, None, "not UTF-8 text", hint))
        return None
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), strict=True):
            rows.append(row)
    except csv.Error as error:
        hint = "Check the quotation marks of this row, or of the one before it."
        rule = f"not readable as CSV ({error})"
        faults.append(Fault(name, file.name, len(rows) + 1, None, None, rule, hint))
        return None
    return _to_raw(name, file.name, rows, faults)


def _read_parquet(name: str, file: Path, faults: list[Fault]) -> RawTable | None:
    try:
        frame = pd.read_parquet(file)
    except (ArrowException, OSError) as error:
        rule = f"not readable as Parquet ({str(error).splitlines()[0]})"
        faults.append(Fault(name, file.name, None, None, None, rule, "Write the file again."))
        return None
    return raw_from_frame(name, file.name, frame, faults)


def _read_only_sheet(name: str, file: Path, faults: list[Fault]) -> RawTable | None:
    """The sheet of a table's own workbook: that of its name, else the first."""
    if (book := open_workbook(file, faults)) is None:
        return None
    sheet = book[name] if name in book.sheetnames else book.worksheets[0]
    return _to_raw(name, file.name, list(sheet.iter_rows(values_only=True)), faults)


_READERS = {".csv": _read_csv, ".parquet": _read_parquet, ".xlsx": _read_only_sheet}


def open_workbook(file: Path, faults: list[Fault]) -> openpyxl.Workbook | None:
    """An XLSX workbook, or None (and a fault) where the file is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # openpyxl warns of styles it does not keep
            return openpyxl.load_workbook(file, data_only=True)
    except (BadZipFile, InvalidFileException, KeyError, ValueError) as error:
        rule = f"not readable as an XLSX workbook ({error})"
        faults.append(Fault(None, file.name, None, None, None, rule, "Save it again as XLSX."))
        return None


def _read_workbook(file: Path, names: Sequence[str], faults: list[Fault]) -> dict[str, RawTable]:
    if (book := open_workbook(file, faults)) is None:
        return {}
    tables = {}
    for name in names:
        if name in book.sheetnames:
            rows = list(book[name].iter_rows(values_only=True))
            if (table := _to_raw(name, file.name, rows, faults)) is not None:
                tables[name] = table
    return tables


def _to_raw(
    name: str, file: str, rows: Sequence[Iterable[object]], faults: list[Fault]
) -> RawTable | None:
    """Rows (the header first) as a `RawTable`; rows without any text are passed over."""

    def fault(row: int | None, column: str | None, rule: str, hint: str) -> None:
        faults.append(Fault(name, file, row, column, None, rule, hint))

    texts = {number: [_text(cell) for cell in row] for number, row in enumerate(rows, start=1)}
    texts = {number: row for number, row in texts.items() if any(row)}
    if not texts:
        fault(None, None, "the table is empty", "Its first row must hold the column names.")
        return None
    header_row = min(texts)
    header = texts.pop(header_row)
    while not header[-1]:
        header.pop()
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        fault(header_row, None, "columns are not separated by commas", "Save it as 'CSV UTF-8'.")
        return None
    for column in sorted({column for column in header if header.count(column) > 1}):
        fault(header_row, column, "column is there twice", "Give every column a name of its own.")
    if "" in header:
        fault(header_row, None, "column without a name", "Give every column a name of its own.")
    for number, row in texts.items():
        if len(row) < len(header) or any(row[len(header) :]):
            rule = f"{len(row)} cells where the header has {len(header)}"
            fault(number, None, rule, "Check commas and quotation marks of this row.")
    cells = [row[: len(header)] + [""] * (len(header) - len(row)) for row in texts.values()]
    frame = pd.DataFrame(cells, index=list(texts), columns=header, dtype="str")
    frame = frame.loc[:, ~frame.columns.duplicated()]
    return RawTable(name, file, frame.mask(frame == ""))


def _text(cell: object) -> str:
    """A cell as text without surrounding blanks; the empty text where nothing is there."""
    if isinstance(cell, str):
        return cell.strip()
    return "" if pd.api.types.is_scalar(cell) and pd.isna(cell) else str(cell)


def _absent(
    tables: dict[str, RawTable], names: Sequence[str], faults: Sequence[Fault], path: Path
) -> Iterator[Fault]:
    """Faults of the tables that should be there and are neither read nor reported already."""
    there = {*tables, *(fault.table for fault in faults)}
    where = f"{path.name}, as {'a sheet' if path.is_file() else '.csv or .parquet'}"
    for name in names:
        if name in NEEDED and name not in there:
            yield Fault(name, None, None, None, None, "table is missing", f"Add it to {where}.")
    if "outcomes" in names and not there & {"outcomes", "contrasts"}:
        rule = "no results: both outcomes and contrasts are missing"
        yield Fault(None, path.name, None, None, None, rule, f"Add one of them to {where}.")
