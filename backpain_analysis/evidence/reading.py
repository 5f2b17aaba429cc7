"""Read a user's tables as text, so that a bad cell becomes a fault and not a crash."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import ArrowException
from pyarrow import csv as arrow_csv

from backpain_analysis.evidence.faults import Fault, as_frame
from backpain_analysis.evidence.schema import TABLES, table_spec
from backpain_analysis.evidence.workbooks import Sheet, UnreadableWorkbook, Workbook, number_text
from backpain_analysis.words import nearest

NEEDED = ("trials", "arms", "interventions", "scores")

MISSING = ("NA", "N/A", "n/a", "#N/A", ".")
"""Words that stand for a missing value in any column."""

MOST_COLUMNS = 1000

_OTHER_WORKBOOKS = (".xls", ".xlsm", ".xlsb", ".ods", ".numbers")

_DATE_COLUMNS = {
    "interventions": ("start_date", "end_date"),
    "scores": ("date",),
    "participants": ("start_date",),
}
_OTHER_FORMATS = (
    *("", *_OTHER_WORKBOOKS, ".txt", ".json", ".sav", ".dta", ".rds"),
    *(".rda", ".rdata", ".feather", ".arrow", ".pkl", ".db", ".sqlite", ".zip", ".gz", ".7z"),
)


@dataclass(frozen=True)
class RawTable:
    """A table as it was found: cells as text (missing where empty), index = spreadsheet row.

    Attributes
    ----------
    name, file : str
    cells : DataFrame
    sheet : str or None
        Of a workbook.
    decimal : str
        "," where numbers may be written with a comma, as in files that separate by semicolons.
    faulty : frozenset of (row, column)
        Cells that are told to be wrong already, and are missing here.
    """

    name: str
    file: str
    cells: pd.DataFrame
    sheet: str | None = None
    decimal: str = "."
    faulty: frozenset[tuple[int, str]] = field(default_factory=frozenset)


def read_tables(
    path: Path, names: Sequence[str] = TABLES, missing: Collection[str] = ()
) -> tuple[dict[str, RawTable], list[Fault]]:
    """Read the tables of a folder (CSV, Parquet or XLSX) or of one XLSX workbook.

    Case, blanks and underscores in the names of files, sheets and columns do not matter. Numbers
    of files that separate cells by semicolons or tabs may have a decimal comma.

    Parameters
    ----------
    path
        Folder with a ``.csv``, ``.tsv``, ``.parquet`` or ``.xlsx`` file for each table, or one
        workbook with a sheet for each. Only read, never written.
    names
        `TABLES` or `PARTICIPANT_TABLES`.
    missing
        Words that stand for a missing value, besides those of `MISSING`.

    Returns
    -------
    tables : dict of RawTable
        The tables that could be read. Blanks around a cell's text are removed.
    faults : list of Fault
        Missing, unreadable, empty and ragged tables; files and sheets that are nearly a table.

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
    elif path.suffix.lower() == ".xlsx" and path.is_file():
        tables = _read_workbook(path, names, faults)
    else:
        hint = (
            "Give a folder of CSV or Parquet tables, or one XLSX workbook. "
            "backpain data import makes tables of a file of another shape."
        )
        if path.suffix.lower() in _OTHER_WORKBOOKS:
            hint = "Save it as XLSX."
        return {}, [Fault(None, path.name, None, None, None, "not a folder or workbook", hint)]
    if path.is_dir() or tables:
        faults.extend(_absent(tables, names, faults, path))
    words = {*MISSING, *missing}
    return {name: _without(table, words) for name, table in tables.items()}, faults


def canonical(name: object) -> str:
    """A name without regard to case, blanks, dashes and underscores."""
    return re.sub(r"[\s_\-.]+", "_", str(name).strip()).strip("_").casefold()


def known_columns(name: str) -> dict[str, str]:
    """The columns that a table knows, by their canonical names."""
    columns = (*table_spec(name).columns, *_DATE_COLUMNS.get(name, ()))
    return {canonical(column): column for column in columns}


def raw_from_frame(
    name: str, file: str, frame: pd.DataFrame, faults: list[Fault]
) -> RawTable | None:
    """A table in memory or from Parquet as a `RawTable`; row 2 is the frame's first."""
    if (cells := frame_cells(frame)) is not None and _is_renamed(name, cells, cells.columns):
        return RawTable(name, file, cells)
    rows = frame.astype(object).itertuples(index=False, name=None)
    header = [str(column) for column in frame.columns]
    return _to_raw(name, file, [header, *rows], faults)


def raw_from_frames(
    frames: Mapping[str, pd.DataFrame | None], faults: list[Fault]
) -> dict[str, RawTable]:
    """Tables in memory by name; an absent one, or one without a column, is left out."""
    given = {name: as_frame(frame) for name, frame in frames.items() if frame is not None}
    raw = {
        name: raw_from_frame(name, name, frame, faults)
        for name, frame in given.items()
        if len(frame.columns)
    }
    words = set(MISSING)
    return {name: _without(table, words) for name, table in raw.items() if table is not None}


def read_descriptor(folder: Path) -> dict[str, Any]:
    """The content of a folder's ``datapackage.json``; empty where there is none to be read."""
    descriptor = folder / "datapackage.json"
    if not descriptor.is_file():
        return {}
    try:
        content = json.loads(descriptor.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def read_label(folder: Path) -> tuple[str, str | None]:
    """Name and version of a data set: from its ``datapackage.json``, else the path's own name."""
    content = read_descriptor(folder)
    version = content.get("version")
    return str(content.get("name", folder.stem)), None if version is None else str(version)


def _without(table: RawTable, words: set[str]) -> RawTable:
    """The table with words that stand for a missing value as missing."""
    cells = table.cells
    return replace(table, cells=cells.mask(cells.isin(words))) if cells.size else table


def _read_folder(folder: Path, names: Sequence[str], faults: list[Fault]) -> dict[str, RawTable]:
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith((".", "~$")))
    tables, taken = {}, set()
    for name in names:
        own = [entry for entry in entries if canonical(entry.stem) == name]
        files = [entry for entry in own if entry.suffix.lower() in _READERS and entry.is_file()]
        if len(files) > 1:
            told = " and ".join(file.name for file in files)
            taken.add(name)
            faults.append(
                Fault(name, told, None, None, None, "table is there twice", "Keep one of them.")
            )
        elif files:
            taken.add(name)
            read = _READERS[files[0].suffix.lower()]
            if (table := read(name, files[0], faults)) is not None:
                tables[name] = table
        else:
            found = list(_not_read(name, [entry for entry in entries if _called(entry) == name]))
            taken |= {name} if found else set()
            faults += found
    rest = [entry for entry in entries if entry.suffix.lower() in _READERS]
    faults += _nearly(rest, [name for name in names if name not in taken], folder)
    return tables


def _not_read(name: str, entries: Sequence[Path]) -> Iterator[Fault]:
    """Faults of what has the name of a table and cannot be one."""
    for entry in entries:
        endings = [ending.strip().lower() for ending in entry.suffixes]
        suffix = entry.suffix.lower()
        if suffix in _READERS:
            kind = "folder" if entry.is_dir() else "link to nothing" if _is_dead(entry) else None
            rule = f"a {kind}, not a file" if kind else "not a regular file"
            hint = f"Put the table {name} in its place."
        elif entry.is_file() and ({*endings, suffix} & {*_OTHER_FORMATS, *_READERS}):
            rule = f"{suffix} is no format that is read" if suffix else "a name without an ending"
            hint = "Save it as CSV UTF-8, XLSX or Parquet."
        else:
            continue
        yield Fault(name, entry.name, None, None, None, rule, hint)


def _called(entry: Path) -> str:
    """What a file is called without any of its endings."""
    return canonical(entry.name.partition(".")[0])


def _is_dead(entry: Path) -> bool:
    return entry.is_symlink() and not entry.exists()


def _nearly(entries: Sequence[Path], absent: Sequence[str], folder: Path) -> Iterator[Fault]:
    """Faults of files whose name is nearly that of a table that is absent."""
    for entry in entries:
        called = canonical(entry.stem)
        longer = next((name for name in absent if called.startswith(f"{name}_")), None)
        meant = longer or nearest(called, absent, cutoff=0.8)
        if meant is not None and called not in TABLES:
            hint = f"Did you mean {meant}{entry.suffix}? Rename it, or move it out of the folder."
            yield Fault(meant, entry.name, None, None, None, "not the name of a table", hint)


def _read_csv(name: str, file: Path, faults: list[Fault]) -> RawTable | None:
    content = file.read_bytes()
    text = _decoded(name, file, content, faults)
    if text is None:
        return None
    delimiter = "\t" if file.suffix.lower() == ".tsv" else _delimiter(name, text)
    decimal = "." if delimiter == "," else ","
    if (cells := plain_csv_cells(text.encode(), delimiter)) is not None:
        if _is_renamed(name, cells, cells.columns):
            return RawTable(name, file.name, cells, decimal=decimal)
    rows: list[list[str]] = []
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        shared: dict[str, str] = {}
        for row in reader:
            rows.append([shared.setdefault(cell, cell) for cell in row])
    except csv.Error as error:
        hint = "Check the quotation marks of this row, or of the one before it."
        rule = f"not readable as CSV ({error})"
        faults.append(Fault(name, file.name, len(rows) + 1, None, None, rule, hint))
        return None
    return _to_raw(name, file.name, rows, faults, decimal=decimal)


def _decoded(name: str, file: Path, content: bytes, faults: list[Fault]) -> str | None:
    """The text of a file; None, and a fault, where it is no Unicode."""
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        row = error.object[: error.start].count(b"\n") + 1
        hint = "Save it as 'CSV UTF-8', or as an XLSX workbook."
        faults.append(Fault(name, file.name, row, None, None, "not UTF-8 text", hint))
        return None


def _delimiter(name: str, text: str) -> str:
    """The separator that gives most known columns; a comma where none gives any."""
    header = next((line for line in text[:100_000].splitlines() if line.strip()), "")
    known = known_columns(name)

    def columns(delimiter: str) -> int:
        return sum(canonical(part.strip('"')) in known for part in header.split(delimiter))

    return max(",;\t", key=columns)


def plain_csv_cells(content: bytes, delimiter: str = ",") -> pd.DataFrame | None:
    """The cells of a CSV file, or None unless every row has the cells of a proper header.

    A file with quotation marks is never plain. Cells are those of the careful reader: text
    without surrounding blanks, missing where empty, index = spreadsheet row.
    """
    if b'"' in content:
        return None
    parse = arrow_csv.ParseOptions(delimiter=delimiter, quote_char=False, ignore_empty_lines=False)
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(content), parse_options=parse, convert_options=ALL_TEXT
        )
    except pa.ArrowException:
        return None
    names = [name.strip() for name in table.column_names]
    if not 1 < len(names) <= MOST_COLUMNS or len(set(names)) < len(names) or "" in names:
        return None
    return text_cells(table.rename_columns(names)) if len(table) else None


def frame_cells(frame: pd.DataFrame) -> pd.DataFrame | None:
    """The cells of a frame as text, or None where its columns are not each of one plain type."""
    names = [str(column).strip() for column in frame.columns]
    if not len(frame) or not names or len(set(names)) < len(names) or "" in names:
        return None
    if len(names) > MOST_COLUMNS:
        return None
    try:
        table = pa.Table.from_pandas(frame.set_axis(names, axis="columns"), preserve_index=False)
        return text_cells(table)
    except pa.ArrowException:
        return None


ALL_TEXT = arrow_csv.ConvertOptions(
    check_utf8=True, strings_can_be_null=False, default_column_type=pa.string()
)


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


def _is_renamed(name: str, cells: pd.DataFrame, columns: Iterable[str]) -> bool:
    """Give columns their known names in place; False where two of them have the same."""
    known = known_columns(name)
    names = [known.get(canonical(column), column) for column in columns]
    if len(set(names)) < len(names):
        return False
    cells.columns = names
    return True


def _read_parquet(name: str, file: Path, faults: list[Fault]) -> RawTable | None:
    try:
        frame = pd.read_parquet(file)
    except (ArrowException, OSError, ValueError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        rule = f"not readable as Parquet ({said})"
        faults.append(Fault(name, file.name, None, None, None, rule, "Write the file again."))
        return None
    return raw_from_frame(name, file.name, frame, faults)


def _read_only_sheet(name: str, file: Path, faults: list[Fault]) -> RawTable | None:
    """The sheet of a table's own workbook: that of its name, else the first."""
    try:
        with Workbook(file) as book:
            if not book.titles:
                raise UnreadableWorkbook("the workbook has no sheet of cells")
            own = [title for title in book.titles if canonical(title) == name]
            return _of_sheet(name, file, book.sheet((own or book.titles)[0]), faults)
    except UnreadableWorkbook as error:
        faults.append(Fault(name, file.name, None, None, None, error.reason, error.hint))
        return None


_READERS = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".parquet": _read_parquet,
    ".xlsx": _read_only_sheet,
}


def _read_workbook(file: Path, names: Sequence[str], faults: list[Fault]) -> dict[str, RawTable]:
    tables: dict[str, RawTable] = {}
    try:
        with Workbook(file) as book:
            by_name: dict[str, list[str]] = {}
            for title in book.titles:
                by_name.setdefault(canonical(title), []).append(title)
            if not set(by_name) & set(names):
                faults.append(_no_sheet(file, book, names))
                return {}
            for name in names:
                titles = by_name.get(name, [])
                if len(titles) > 1:
                    told = " and ".join(titles)
                    hint = "Keep one of them, or rename the other."
                    fault = Fault(name, file.name, None, None, None, "table is there twice", hint)
                    faults.append(replace(fault, sheet=told))
                elif titles:
                    table = _of_sheet(name, file, book.sheet(titles[0]), faults)
                    if table is not None:
                        tables[name] = table
            absent = [name for name in names if name not in by_name]
            for title in book.titles:
                meant = nearest(canonical(title), absent, cutoff=0.8)
                if meant is not None and canonical(title) not in names:
                    hint = f"Did you mean {meant}? Rename the sheet."
                    rule = "not the name of a table"
                    faults.append(
                        Fault(meant, file.name, None, None, None, rule, hint, sheet=title)
                    )
    except UnreadableWorkbook as error:
        faults.append(Fault(None, file.name, None, None, None, error.reason, error.hint))
        return {}
    return tables


def _no_sheet(file: Path, book: Workbook, names: Sequence[str]) -> Fault:
    """The fault of a workbook of which no sheet has the name of a table."""
    told = []
    for title in book.titles[:20]:
        looks = _looks_like(book.sheet(title), names)
        meant = nearest(canonical(title), names, cutoff=0.5) or looks
        told.append(f"{title!r} (did you mean {meant}?)" if meant else repr(title))
    sheets = ", ".join(told) if told else "none that holds cells"
    more = f", … ({len(book.titles)} in all)" if len(book.titles) > 20 else ""
    hint = (
        f"Its sheets: {sheets}{more}. Tables are sheets named {', '.join(names)}. Of a sheet of "
        f"another shape make tables with: backpain data import {file.name}"
    )
    return Fault(None, file.name, None, None, None, "no sheet has the name of a table", hint)


def _looks_like(sheet: Sheet, names: Sequence[str]) -> str | None:
    """The table whose columns a sheet's first row has, if it has at least three of one."""
    header = next(iter(sheet.rows.values()), [])
    found = {canonical(cell) for cell in header}
    counts = {name: len(found & set(known_columns(name))) for name in names}
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] >= 3 else None


def _of_sheet(name: str, file: Path, sheet: Sheet, faults: list[Fault]) -> RawTable | None:
    """A sheet as a table, its unreadable cells as faults."""
    table = _to_raw(name, file.name, sheet.rows, faults, sheet=sheet.title)
    if table is None:
        return None
    header = next(iter(sheet.rows.values()))
    known, faulty = known_columns(name), set()
    for row, place, value, rule, hint in sheet.problems:
        if place < len(header) and row in table.cells.index:
            column = known.get(canonical(header[place]), header[place])
            faults.append(Fault(name, file.name, row, column, value, rule, hint, sheet.title))
            faulty.add((row, column))
    return replace(table, faulty=frozenset(faulty))


def _to_raw(
    name: str,
    file: str,
    rows: Iterable[Iterable[object]] | Mapping[int, list[str]],
    faults: list[Fault],
    *,
    sheet: str | None = None,
    decimal: str = ".",
) -> RawTable | None:
    """Rows (the header first) as a `RawTable`; rows without any text are passed over."""

    def fault(row: int | None, column: str | None, rule: str, hint: str) -> None:
        faults.append(Fault(name, file, row, column, None, rule, hint, sheet))

    if isinstance(rows, Mapping):
        texts = dict(rows)
    else:
        texts = {
            number: [cell.strip() if isinstance(cell, str) else _text(cell) for cell in row]
            for number, row in enumerate(rows, start=1)
        }
        texts = {number: row for number, row in texts.items() if any(row)}
    if not texts:
        fault(None, None, "the table is empty", "Its first row must hold the column names.")
        return None
    header_row = min(texts)
    header = texts.pop(header_row)
    while not header[-1]:
        header.pop()
    if len(header) > MOST_COLUMNS:
        rule = f"{len(header):,} columns, where at most {MOST_COLUMNS:,} are read"
        fault(header_row, None, rule, "Keep the columns of the codebook and your own few.")
        return None
    known = known_columns(name)
    header = [known.get(canonical(column), column) for column in header]
    for column in sorted({c for c in header if c and header.count(c) > 1}):
        fault(header_row, column, "column is there twice", "Give every column a name of its own.")
    width = len(header)
    for number, row in texts.items():
        if len(row) < width or any(row[width:]):
            if sheet is None or any(row[width:]):
                rule = f"{len(row)} cells where the header has {width}"
                fault(number, None, rule, "Check the separators and quotation marks of this row.")
    cells = [row[:width] + [""] * (width - len(row)) for row in texts.values()]
    frame = pd.DataFrame(cells, index=list(texts), columns=header, dtype="str")
    nameless = [place for place, column in enumerate(header) if not column]
    for place in nameless:
        if not _numbers_rows(frame.iloc[:, place]) and (frame.iloc[:, place] != "").any():
            hint = "Give every column a name of its own."
            fault(header_row, None, "column without a name", hint)
            break
    kept = np.array([bool(column) for column in header]) & ~frame.columns.duplicated()
    frame = frame.loc[:, kept]
    return RawTable(name, file, frame.mask(frame == ""), sheet, decimal)


def _numbers_rows(column: pd.Series) -> bool:
    """Whether cells only number the rows from 0 or 1, as exports write them."""
    first = column.iloc[0] if len(column) else ""
    if first not in ("0", "1"):
        return False
    return column.tolist() == [
        str(number) for number in range(int(first), int(first) + len(column))
    ]


def _text(cell: object) -> str:
    """A cell as text without surrounding blanks; the empty text where nothing is there."""
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, float) and not np.isnan(cell):
        return number_text(cell)
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
