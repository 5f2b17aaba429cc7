"""XLSX workbooks as text, every cell as its reader sees it."""

from __future__ import annotations

import datetime as dt
import io
import re
import warnings
import zipfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import openpyxl

MOST_BYTES = 1 << 30
"""What the parts of a workbook may unpack to."""

MOST_CELLS = 5_000_000
"""Cells of a sheet that are looked at; of a large one, those that hold something."""

LARGE = 5_000_000
"""Bytes of a sheet from which its empty cells are left out before it is parsed."""

_OLE = b"\xd0\xcf\x11\xe0"
_MERGED = re.compile(rb'<(?:\w+:)?mergeCell ref="([A-Z]{1,3}\d{1,7}:[A-Z]{1,3}\d{1,7})"')
_FORMULA = re.compile(rb"<(?:\w+:)?f[ >]")
_VALUE = re.compile(rb"<(?:\w+:)?(?:v|is)[ >]")
_NO_PLACE = re.compile(rb"<(?:c|row)(?![^<>]* r=)[ />]|<!")
_EMPTY_CELL = re.compile(rb"<c (?:[^<>]*[^<>/])?(?:/>|></c>)")
_EMPTY_ROW = re.compile(rb"<row (?:[^<>]*[^<>/])?(?:/>|>\s*</row>)")


class UnreadableWorkbook(ValueError):
    """The file is no workbook that can be read.

    Attributes
    ----------
    reason, hint : str
        What is wrong, and what would be right.
    """

    def __init__(self, reason: str, hint: str = "Save it again as XLSX.") -> None:
        super().__init__(f"{reason}. {hint}")
        self.reason, self.hint = reason, hint


class CellProblem(NamedTuple):
    """A cell that shows no value: row from 1, column from 0."""

    row: int
    column: int
    value: str
    rule: str
    hint: str


@dataclass(frozen=True)
class Sheet:
    """The rows of a sheet that hold text, by number from 1; text without surrounding blanks."""

    title: str
    rows: dict[int, list[str]]
    problems: list[CellProblem]


class Workbook:
    """A workbook that can be read; chart sheets are passed over. Close it, or use ``with``.

    Parameters
    ----------
    file
        Only read, never written.

    Raises
    ------
    UnreadableWorkbook
        If it is encrypted, corrupt, of another format, or unpacks to more than `MOST_BYTES`.
    """

    def __init__(self, file: Path) -> None:
        has_formulas, large = _inspected(file)
        self._values = _opened(file, large, data_only=True)
        self._formulas = _opened(file, large, data_only=False) if has_formulas else None
        self.titles: tuple[str, ...] = tuple(sheet.title for sheet in self._values.worksheets)

    def __enter__(self) -> Workbook:
        return self

    def __exit__(self, *error: object) -> None:
        self._values.close()
        if self._formulas is not None:
            self._formulas.close()

    def merged(self, title: str) -> list[tuple[int, int, int, int]]:
        """Merged cells of a sheet: first column, first row, last column, last row, from 1."""
        sheet, tail = self._values[title], b""
        try:
            with self._values._archive.open(sheet._worksheet_path) as part:
                while chunk := part.read(1 << 20):
                    tail += chunk
                    _, end, after = tail.rpartition(b"sheetData>")
                    tail = end + after if end else after[-16:]
        except Exception as error:
            raise _unreadable(error) from error
        from openpyxl.utils.cell import range_boundaries

        return [range_boundaries(ref.decode()) for ref in _MERGED.findall(tail)]

    def sheet(self, title: str) -> Sheet:
        """The cells of a sheet.

        A cell formatted as per cent holds what it shows (0.55 shown as 55% is 55), a date is
        year-month-day. A formula without a stored value and the error value of a formula are
        problems, and their cells empty.

        Raises
        ------
        UnreadableWorkbook
            If the sheet is corrupt or larger than `MOST_CELLS`.
        """
        rows: dict[int, list[str]] = {}
        problems: list[CellProblem] = []
        formulas = iter(()) if self._formulas is None else _cells(self._formulas[title])
        for number, row in enumerate(_cells(self._values[title]), start=1):
            formula = next(formulas, ())
            if not row:
                continue
            texts = [_shown(cell, number, place, problems) for place, cell in enumerate(row)]
            if any(texts):
                rows[number] = texts
            for place, (cell, own) in enumerate(zip(formula, row, strict=False)):
                if cell.data_type == "f" and own.value is None and own.data_type != "str":
                    text = str(getattr(cell.value, "text", cell.value))
                    rule, hint = "formula without a stored value", _RECALCULATE
                    problems.append(CellProblem(number, place, text, rule, hint))
        return Sheet(title, rows, problems)


_RECALCULATE = "Open the workbook in a spreadsheet program and save it, or write the value."


def _inspected(file: Path) -> tuple[bool, set[str]]:
    """Whether any sheet holds a formula, and the large sheets whose empty cells can be left out.

    Refuses what is no plain zip of modest size.
    """
    with open(file, "rb") as start:
        if start.read(4) == _OLE:
            reason = "not readable as an XLSX workbook (it has a password, or is an old .xls)"
            raise UnreadableWorkbook(reason, "Save it as XLSX without a password.")
    try:
        with zipfile.ZipFile(file) as parts:
            size = sum(part.file_size for part in parts.infolist())
            if size > MOST_BYTES:
                raise UnreadableWorkbook(
                    f"unpacks to {size / 1e9:.1f} GB, more than is read",
                    "Copy the cells that are needed into a new workbook.",
                )
            has_formulas, large = False, set()
            for name in parts.namelist():
                if name.startswith("xl/worksheets/"):
                    content = parts.read(name)
                    has_formulas = has_formulas or bool(_FORMULA.search(content))
                    if len(content) > LARGE:
                        values = islice(_VALUE.finditer(content), MOST_CELLS + 1)
                        _refuse_too_many(name, sum(1 for _ in values))
                        if not _NO_PLACE.search(content):
                            large.add(name)
            return has_formulas, large
    except UnreadableWorkbook:
        raise
    except Exception as error:
        raise _unreadable(error) from error


def _refuse_too_many(sheet: str, cells: int) -> None:
    if cells > MOST_CELLS:
        raise UnreadableWorkbook(
            f"{sheet} has more than {MOST_CELLS:,} cells",
            "Copy the cells that are needed into a new workbook, or save the sheet as CSV.",
        )


def _opened(file: Path, large: Collection[str], *, data_only: bool) -> openpyxl.Workbook:
    import openpyxl

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles that openpyxl does not keep
            book = openpyxl.load_workbook(file, read_only=True, data_only=data_only)
    except Exception as error:  # whatever openpyxl stumbles over, the file is at fault
        raise _unreadable(error) from error
    for sheet in book.worksheets:
        if sheet._worksheet_path in large:
            sheet._get_source = partial(_without_empty, book._archive, sheet._worksheet_path)
    return book


def _without_empty(archive: zipfile.ZipFile, name: str) -> io.BytesIO:
    """The part of a sheet without the cells and rows that hold nothing but a format."""
    return io.BytesIO(_EMPTY_ROW.sub(b"", _EMPTY_CELL.sub(b"", archive.read(name))))


def _cells(sheet: openpyxl.worksheet._read_only.ReadOnlyWorksheet) -> Iterator[tuple]:
    """The rows of a sheet, whatever size it claims to have."""
    seen = 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sheet.reset_dimensions()
            for row in sheet.rows:
                seen += len(row) + 1
                _refuse_too_many(f"sheet {sheet.title}", seen)
                yield row
    except UnreadableWorkbook:
        raise
    except Exception as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> UnreadableWorkbook:
    said = " ".join(str(error).split())[:200] or type(error).__name__
    return UnreadableWorkbook(f"not readable as an XLSX workbook ({said})")


def _shown(cell: Any, row: int, column: int, problems: list[CellProblem]) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, str):
        text = value.strip()
        if cell.data_type == "e" and text != "#N/A":
            hint = "Mend the formula, or write the value."
            problems.append(CellProblem(row, column, text, "error value of a formula", hint))
            return ""
        return text
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int | float):
        if _is_percent(cell.number_format):
            return f"{100 * value:.15g}"
        return number_text(value)
    if isinstance(value, dt.datetime):
        return str(value.date() if value.time() == dt.time() else value)
    return str(value).strip()


def number_text(value: float) -> str:
    """A number as text, without the point of a whole one."""
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
    return str(int(value)) if whole else str(value)


@lru_cache(maxsize=1000)
def _is_percent(number_format: str) -> bool:
    """Whether a format multiplies by a hundred: a per cent sign that is not quoted."""
    return "%" in re.sub(r'"[^"]*"|\\.', "", number_format)
