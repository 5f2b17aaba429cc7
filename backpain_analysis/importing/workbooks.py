"""Workbooks for those who type data: empty tables to fill in; their own, with faults in colour."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
from openpyxl.cell import Cell
from openpyxl.comments import Comment
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.worksheet import Worksheet

from backpain_analysis.datasets.datapackage import Field
from backpain_analysis.evidence.faults import Fault, faults_frame
from backpain_analysis.evidence.reading import canonical, known_columns, read_tables
from backpain_analysis.evidence.schema import EXAMPLE_TRIAL, PARTICIPANT_TABLES, TABLES, table_spec

LAST_ROW = 5000
"""The last row that has drop-down lists and prompts."""

_KINDS = {"string": "text", "number": "number", "integer": "whole number"}
_CODEBOOK = ("table", "column", "required", "type", "unit", "allowed", "meaning")
_REQUIRED, _EXAMPLE = PatternFill("solid", "FFDDEBF7"), PatternFill("solid", "FFF2F2F2")

_TRIAL = {"trial_id": EXAMPLE_TRIAL}
_RESULT = {
    **_TRIAL,
    "arm_id": "a1",
    "outcome": "pain_intensity",
    "instrument": "NRS",
    "scale_min": 0,
    "scale_max": 10,
    "higher_is_better": "no",
    "timepoint_weeks": 8,
    "timepoint_label": "post",
    "source_url": "https://example.org/report",
    "source_locator": "Table 2",
}
EXAMPLE: dict[str, list[dict[str, Any]]] = {
    "trials": [
        {
            **_TRIAL,
            "first_author": "Example",
            "year": 2020,
            "title": "Made up: delete the rows of this trial in every table",
            "population": "chronic_nslbp",
            "mean_age": 44.5,
            "pct_female": 55,
            "n_randomised": 60,
            "design": "parallel",
            "source_url": "https://example.org/report",
        }
    ],
    "arms": [
        {
            **_TRIAL,
            "arm_id": "a1",
            "arm_label": "Pilates",
            "exercise_type": "pilates",
            "sessions_per_week": 2,
            "minutes_per_session": 60,
            "duration_weeks": 8,
            "supervised": "yes",
            "n_randomised": 30,
        },
        {
            **_TRIAL,
            "arm_id": "a2",
            "arm_label": "Waiting list",
            "exercise_type": "none",
            "comparator_type": "waitlist",
            "n_randomised": 30,
        },
    ],
    "outcomes": [
        {
            **_RESULT,
            "value_type": "level",
            "n": 28,
            "mean": 3.4,
            "dispersion_type": "sd",
            "dispersion": 1.9,
        }
    ],
    "contrasts": [
        {
            **_RESULT,
            "ref_arm_id": "a2",
            "effect_measure": "md",
            "estimate": -1.2,
            "ci_level": 95,
            "ci_low": -2.1,
            "ci_high": -0.3,
            "p_value": "0.009",
        }
    ],
    "appraisals": [
        {**_TRIAL, "tool": "PEDro", "domain": "total", "judgement": "7", "source": "own judgement"}
    ],
    "interventions": [
        {
            **_TRIAL,
            "participant_id": "p1",
            "exercise_type": "pilates",
            "prescribed_sessions_per_week": 2,
            "attended_sessions_per_week": 1.5,
            "minutes_per_session": 60,
            "start_week": 0,
            "end_week": 8,
        }
    ],
    "scores": [
        {
            **_TRIAL,
            "participant_id": "p1",
            "week": week,
            "instrument": "NRS",
            "value": value,
            "scale_min": 0,
            "scale_max": 10,
        }
        for week, value in ((0, 6), (8, 3))
    ],
    "participants": [{**_TRIAL, "participant_id": "p1", "age": 44, "sex": "female"}],
}
"""Made-up rows that show how a table is filled in; the check tells to delete them."""


def write_template(path: str | Path, *, participants: bool = False, as_csv: bool = False) -> Path:
    """Write tables to fill in: headers, a made-up example, drop-down lists, a codebook.

    Parameters
    ----------
    path
        A new ``.xlsx`` workbook; with `as_csv` a new folder.
    participants
        The tables of participants, instead of those of trials.
    as_csv
        One CSV file a table, with ``codebook.csv`` and ``words.csv``.

    Returns
    -------
    Path

    Raises
    ------
    FileExistsError
        If there is something at `path`.
    ValueError
        If `path` is no ``.xlsx`` and `as_csv` is not asked for.
    """
    path = Path(path)
    if path.exists():
        raise FileExistsError(f"{path} is there already: give another name, or remove it first.")
    names = PARTICIPANT_TABLES if participants else TABLES
    if as_csv:
        path.mkdir(parents=True)
        for name in names:
            _write_csv(path / f"{name}.csv", _rows(name))
        _write_csv(path / "codebook.csv", [_CODEBOOK, *codebook(names)])
        _write_csv(path / "words.csv", _columns_as_rows(_words(names)))
        return path
    if path.suffix.lower() != ".xlsx":
        raise ValueError(f"{path}: name an .xlsx workbook, or ask for CSV tables.")
    book = openpyxl.Workbook()
    book.remove(book.active)
    words = _words(names)
    for name in names:
        _fill(book.create_sheet(name), name, list(words))
    _list(book.create_sheet("codebook"), [_CODEBOOK, *codebook(names)], (14, 24, 9, 13, 20, 50, 90))
    _list(book.create_sheet("words"), _columns_as_rows(words), (26,) * len(words))
    book.save(path)
    return path


def codebook(names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """What every column of some tables means, a row a column."""
    for name in names:
        for field in table_spec(name).fields:
            required = "required" if field.required else ""
            unit, allowed = field.unit or "", _allowed(field)
            kind = _KINDS[field.kind]
            yield name, field.name, required, kind, unit, allowed, field.description


def _allowed(field: Field) -> str:
    if field.vocabulary:
        own = ", or other: and words of your own" if "other" in field.vocabulary else ""
        return ", ".join(field.vocabulary) + own
    if field.exclusive_minimum is not None:
        return f"above {field.exclusive_minimum:g}"
    if field.minimum is not None and field.maximum is not None:
        return f"{field.minimum:g} to {field.maximum:g}"
    return "" if field.minimum is None else f"{field.minimum:g} or more"


def _words(names: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """The vocabularies of some tables, by table and column."""
    return {
        f"{name}.{field.name}": field.vocabulary
        for name in names
        for field in table_spec(name).fields
        if field.vocabulary
    }


def _columns_as_rows(columns: dict[str, tuple[str, ...]]) -> list[tuple[str, ...]]:
    longest = max(len(words) for words in columns.values())
    padded = [[*words, *[""] * (longest - len(words))] for words in columns.values()]
    return [tuple(columns), *zip(*padded, strict=True)]


def _rows(name: str) -> list[list[Any]]:
    columns = table_spec(name).columns
    return [list(columns), *([row.get(c, "") for c in columns] for row in EXAMPLE[name])]


def _write_csv(file: Path, rows: list) -> None:
    with open(file, "w", encoding="utf-8-sig", newline="") as target:
        csv.writer(target).writerows(rows)


def _fill(sheet: Worksheet, name: str, words: list[str]) -> None:
    """Headers, the example, and a prompt and a drop-down list for every column."""
    for row in _rows(name):
        sheet.append([None if cell == "" else cell for cell in row])
    sheet.freeze_panes = "C2"
    for place, field in enumerate(table_spec(name).fields, start=1):
        letter = get_column_letter(place)
        head = sheet.cell(1, place)
        head.font = Font(bold=field.required)
        head.fill = _REQUIRED
        unit = f" Unit: {field.unit}." if field.unit else ""
        need = " Required." if field.required else ""
        head.comment = Comment(f"{field.description}{unit}{need}", "backpain-analysis", 160, 320)
        for example in range(2, sheet.max_row + 1):
            sheet.cell(example, place).fill = _EXAMPLE
        sheet.column_dimensions[letter].width = max(12, len(field.name) + 2)
        rule = _validation(field, f"{name}.{field.name}", words)
        rule.promptTitle = field.name[:32]
        rule.prompt = f"{field.description}{unit}{need}"[:255]
        rule.add(f"{letter}2:{letter}{LAST_ROW}")
        sheet.add_data_validation(rule)


def _validation(field: Field, name: str, words: list[str]) -> DataValidation:
    """What a spreadsheet program offers and warns of; `backpain data check` is what decides."""
    shown = {"allow_blank": True, "showInputMessage": True}
    if field.vocabulary:
        letter = get_column_letter(words.index(name) + 1)
        place = f"words!${letter}$2:${letter}${len(field.vocabulary) + 1}"
        return DataValidation("list", formula1=place, **shown, **_ADVICE)
    if field.kind == "string" or (field.minimum is None and field.maximum is None):
        return DataValidation(None, **shown)
    kind = "whole" if field.kind == "integer" else "decimal"
    if field.maximum is None:
        limits = {"operator": "greaterThanOrEqual", "formula1": f"{field.minimum:g}"}
    else:
        limits = {"formula1": f"{field.minimum or 0:g}", "formula2": f"{field.maximum:g}"}
    return DataValidation(kind, **limits, **shown, **_ADVICE)


_ADVICE = {
    "showErrorMessage": True,
    "errorStyle": "warning",
    "errorTitle": "Not as the codebook has it",
    "error": "See the sheet codebook for what this column takes.",
}


def _list(sheet: Worksheet, rows: list, widths: tuple[int, ...]) -> None:
    for row in rows:
        sheet.append(list(row))
    sheet.freeze_panes = "A2"
    for place, width in enumerate(widths, start=1):
        sheet.column_dimensions[get_column_letter(place)].width = width
        sheet.cell(1, place).font = Font(bold=True)
    for row in sheet.iter_rows(min_row=2):
        for cell in row:
            cell.alignment = Alignment(wrap_text=True, vertical="top")


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
