"""Workbooks for those who type data: empty tables to fill in; their own, with faults in colour."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import openpyxl
import pandas as pd
from openpyxl.cell import WriteOnlyCell
from openpyxl.comments import Comment
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.worksheet import Worksheet

from backpain_analysis.datasets.datapackage import Field
from backpain_analysis.evidence.faults import Fault
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
    marks = _marks(faults, doubts)
    if path.is_dir():
        book = openpyxl.Workbook(write_only=True)
        _copy_folder(book, path, marks)
    else:
        try:
            book = openpyxl.load_workbook(path)
        except Exception as error:  # whatever openpyxl stumbles over, the file is at fault
            raise ValueError(f"{path} cannot be copied: it is not readable as XLSX.") from error
        for sheet in book.worksheets:
            _mark_sheet(sheet, marks.get(canonical(sheet.title), {}))
    _add_list(book, faults, doubts)
    book.save(out)
    return out


class _Mark(NamedTuple):
    """What is said of a cell; `told` is empty where there are too many comments already."""

    fill: PatternFill
    told: str


_Place = tuple[int | None, str | None]


def _marks(faults: Sequence[Fault], doubts: pd.DataFrame) -> dict[str, dict[_Place, _Mark]]:
    """By table, what is said of the cell of a row in a column; comments of the first ones."""
    said: dict[tuple[str, _Place], tuple[PatternFill, list[str]]] = {}
    for fault in faults:
        key = (fault.table or "", (fault.row, fault.column))
        said.setdefault(key, (_RED, []))[1].append(f"{fault.rule}. {fault.hint}")
    for doubt in doubts.itertuples():
        for row in doubt.rows.split(", "):
            told = f"{doubt.kind}: {doubt.arithmetic}. {doubt.look}"
            said.setdefault((doubt.table, (int(row), "trial_id")), (_YELLOW, []))[1].append(told)
    marks: dict[str, dict[_Place, _Mark]] = {}
    for number, ((table, place), (fill, lines)) in enumerate(said.items()):
        text = "\n".join(lines) if number < MOST_COMMENTS else ""
        marks.setdefault(table, {})[place] = _Mark(fill, text)
    return marks


def _copy_folder(
    book: openpyxl.Workbook, folder: Path, marks: dict[str, dict[_Place, _Mark]]
) -> None:
    """The tables of a folder as sheets, every cell as text, rows where the files have them."""
    raw = {**read_tables(folder, TABLES)[0], **read_tables(folder, PARTICIPANT_TABLES)[0]}
    for name, table in raw.items():
        sheet = book.create_sheet(name)
        columns = list(table.cells.columns)
        places = _placed(marks.get(name, {}), {c: n for n, c in enumerate(columns)}, 1)
        written = _Written(sheet)
        rows = table.cells.astype(object).where(table.cells.notna(), None)
        written.row(columns, places.get(1))
        for row, *cells in rows.itertuples(name=None):
            written.gap(row)
            written.row(cells, places.get(row))


def _placed(
    marks: dict[_Place, _Mark], columns: dict[str, int], first: int
) -> dict[int, dict[int, _Mark]]:
    """Marks by row and place in it: a row's first cell, a column's head, where none is named."""
    found: dict[int, dict[int, _Mark]] = {}
    for (row, column), mark in marks.items():
        cells, place = found.setdefault(row or first, {}), columns.get(column or "", 0)
        if place in cells:
            there = cells[place]
            mark = _Mark(there.fill, "\n".join(filter(None, [there.told, mark.told])))
        cells[place] = mark
    return found


class _Written:
    """Rows of a sheet that is written from the top."""

    def __init__(self, sheet: Any) -> None:
        self.sheet, self.next = sheet, 1
        self.styles: dict[int, Any] = {}

    def gap(self, row: int) -> None:
        """Leave rows empty up to this one."""
        while self.next < row:
            self.sheet.append(())
            self.next += 1

    def row(
        self, cells: Sequence[object], marks: dict[int, _Mark] | None = None, bold: bool = False
    ) -> None:
        """Write the next row."""
        row: list[Any] = [self._plain(value) for value in cells]
        for place, mark in (marks or {}).items():
            row[place] = self._cell(cells[place], mark)
        if bold:
            row = [self._cell(value) for value in cells]
            for cell in row:
                cell.font = Font(bold=True)
        self.sheet.append(row)
        self.next += 1

    def _plain(self, value: object) -> object:
        if isinstance(value, str) and value.startswith("="):
            return self._cell(value)
        return value

    def _cell(self, value: object, mark: _Mark | None = None) -> Any:
        cell = WriteOnlyCell(self.sheet, value)
        if isinstance(value, str):
            cell.data_type = "s"  # never a formula
        if mark is not None:
            if id(mark.fill) not in self.styles:
                cell.fill = mark.fill
                self.styles[id(mark.fill)] = cell._style
            cell._style = self.styles[id(mark.fill)]
            if mark.told:
                cell.comment = Comment(mark.told, "backpain-analysis", 120, 320)
        return cell


def _mark_sheet(sheet: Worksheet, marks: dict[_Place, _Mark]) -> None:
    """Colour the cells of a sheet, with comments."""
    if not marks:
        return
    known = known_columns(canonical(sheet.title))
    rows = enumerate(sheet.iter_rows(values_only=True), start=1)
    first, head = next(((n, row) for n, row in rows if any(row)), (1, ()))
    columns: dict[str, int] = {}
    for place, title in enumerate(head):
        columns.setdefault(known.get(canonical(title), str(title).strip()), place)
    for row, cells in _placed(marks, columns, first).items():
        for place, mark in cells.items():
            cell = sheet.cell(row, place + 1)
            cell.fill = mark.fill
            if mark.told:
                before = f"{cell.comment.text}\n" if cell.comment else ""
                cell.comment = Comment(before + mark.told, "backpain-analysis", 120, 320)


def _add_list(book: openpyxl.Workbook, faults: Sequence[Fault], doubts: pd.DataFrame) -> None:
    sheet = book.create_sheet(_LIST)
    for letter, width in zip("ABCDEFG", (9, 14, 9, 22, 22, 60, 60), strict=True):
        sheet.column_dimensions[letter].width = width
    written = _Written(sheet)
    written.row(["", "table", "row", "column", "value", "rule", "hint"], bold=True)
    for fault in faults:
        row = None if fault.row is None else str(fault.row)
        cells = [fault.table, row, fault.column, fault.value, fault.rule, fault.hint]
        written.row(["fault", *cells])
    for doubt in doubts.itertuples():
        told = f"{doubt.kind}: {doubt.arithmetic}"
        written.row(["warning", doubt.table, doubt.rows, "", doubt.trial_id, told, doubt.look])
