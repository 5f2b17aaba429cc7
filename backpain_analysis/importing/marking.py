"""A coloured copy of a user's tables: what is wrong is red, what to look at is yellow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import openpyxl
import pandas as pd
from openpyxl.cell import Cell
from openpyxl.comments import Comment
from openpyxl.styles import Font, PatternFill
from openpyxl.worksheet.worksheet import Worksheet

from backpain_analysis.evidence.faults import Fault, faults_frame
from backpain_analysis.evidence.reading import canonical, known_columns, read_tables
from backpain_analysis.evidence.schema import PARTICIPANT_TABLES, TABLES

MOST_COMMENTS = 2000
"""Cells that get a comment; all get their colour and a row in the list."""

_RED, _YELLOW = PatternFill("solid", "FFFFC7CE"), PatternFill("solid", "FFFFEB9C")
_LIST = "what was found"


def write_marked(
    path: str | Path, faults: Sequence[Fault], doubts: pd.DataFrame, out: str | Path
) -> Path:
    """Write a copy of a workbook, or of a folder's tables, with faults and warnings marked.

    Parameters
    ----------
    path
        The workbook or folder that was checked; only read.
    faults
        Of `check_evidence` or `check_participants`.
    doubts
        Of `plausibility`, with rows as a spreadsheet numbers them.
    out
        A new ``.xlsx`` file. Every marked cell has a comment that says what is wrong; a sheet
        more lists everything.

    Returns
    -------
    Path

    Raises
    ------
    FileExistsError
        If there is something at `out`.
    ValueError
        If `out` is no ``.xlsx``, or `path` is a file that cannot be copied.
    """
    path, out = Path(path), Path(out)
    if out.exists():
        raise FileExistsError(f"{out} is there already: give another name, or remove it first.")
    if out.suffix.lower() != ".xlsx":
        raise ValueError(f"{out}: the marked copy is a workbook; name it .xlsx.")
    if path.is_dir():
        book = _of_folder(path)
    else:
        try:
            book = openpyxl.load_workbook(path)
        except Exception as error:  # whatever openpyxl stumbles over, the file is at fault
            raise ValueError(f"{path} cannot be copied: it is not readable as XLSX.") from error
    sheets = {canonical(sheet.title): sheet for sheet in book.worksheets}
    marks = _Marks()
    for fault in faults:
        if (sheet := sheets.get(fault.table or "")) is not None:
            cell = _cell(sheet, fault.table, fault.row, fault.column)
            marks.add(cell, _RED, f"{fault.rule}. {fault.hint}")
    for doubt in doubts.itertuples():
        for row in doubt.rows.split(", ") if doubt.table in sheets else ():
            cell = _cell(sheets[doubt.table], doubt.table, int(row), "trial_id")
            marks.add(cell, _YELLOW, f"{doubt.kind}: {doubt.arithmetic}. {doubt.look}")
    _add_list(book, faults, doubts)
    book.save(out)
    return out


class _Marks:
    """Colours and comments, of which there may be too many for a spreadsheet program."""

    def __init__(self) -> None:
        self.comments = 0

    def add(self, cell: Cell, fill: PatternFill, text: str) -> None:
        cell.fill = fill
        self.comments += 1
        if self.comments <= MOST_COMMENTS:
            before = f"{cell.comment.text}\n" if cell.comment else ""
            cell.comment = Comment(before + text, "backpain-analysis", 120, 320)


def _of_folder(folder: Path) -> openpyxl.Workbook:
    """The tables of a folder as sheets, every cell as text, rows where the files have them."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    raw = {**read_tables(folder, TABLES)[0], **read_tables(folder, PARTICIPANT_TABLES)[0]}
    for name, table in raw.items():
        sheet = book.create_sheet(name)
        _write_row(sheet, 1, list(table.cells.columns))
        for row, *cells in table.cells.itertuples(name=None):
            _write_row(sheet, row, cells)
    return book


def _write_row(sheet: Worksheet, row: int, cells: Sequence[object]) -> None:
    for place, value in enumerate(cells, start=1):
        if isinstance(value, str):
            cell = sheet.cell(row, place, value)
            cell.data_type = "s"  # never a formula


def _cell(sheet: Worksheet, table: str | None, row: int | None, column: str | None) -> Cell:
    """The cell that is meant; the first of its row, or the head of its column, where none is."""
    first = next(
        (cells[0].row for cells in sheet.iter_rows() if any(cell.value for cell in cells)), 1
    )
    known = known_columns(table or "trials")
    for cell in sheet[first]:
        if known.get(canonical(cell.value), str(cell.value).strip()) == column:
            return sheet.cell(row or first, cell.column)
    return sheet.cell(row or first, 1)


def _add_list(book: openpyxl.Workbook, faults: Sequence[Fault], doubts: pd.DataFrame) -> None:
    sheet = book.create_sheet(_LIST)
    listed = faults_frame(faults)[["table", "row", "column", "value", "rule", "hint"]]
    head = ["", *listed.columns]
    _write_row(sheet, 1, head)
    rows = [["fault", *fault] for fault in listed.itertuples(index=False)]
    for doubt in doubts.itertuples():
        told = f"{doubt.kind}: {doubt.arithmetic}"
        rows.append(["warning", doubt.table, doubt.rows, "", doubt.trial_id, told, doubt.look])
    for number, row in enumerate(rows, start=2):
        _write_row(sheet, number, ["" if pd.isna(cell) else str(cell) for cell in row])
    for cell in sheet[1]:
        cell.font = Font(bold=True)
    for letter, width in zip("ABCDEFG", (9, 14, 9, 22, 22, 60, 60), strict=True):
        sheet.column_dimensions[letter].width = width
