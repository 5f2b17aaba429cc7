"""A sheet of any shape as rows of text under one name a column, every cell with its place."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from openpyxl.utils import get_column_letter

from backpain_analysis.evidence.faults import EvidenceError, Fault
from backpain_analysis.evidence.reading import MOST_COLUMNS, canonical
from backpain_analysis.evidence.workbooks import Sheet, UnreadableWorkbook, Workbook
from backpain_analysis.importing.values import is_value
from backpain_analysis.words import did_you_mean

MOST_BYTES = 200_000_000
MOST_MERGED = 100_000

_MOST_HEADER_ROWS = 4


@dataclass(frozen=True)
class Grid:
    """A sheet: its columns by name, its rows by the number a spreadsheet gives them.

    Attributes
    ----------
    file : str
    sheet : str or None
        Of a workbook.
    header_rows : tuple of int
    columns : tuple of str
        Header rows joined from the top; distinct.
    rows : dict of int to list of str
        Text of each cell, in the order of `columns`; empty where nothing is there.
    merged : dict of (row, place) to row
        Cells whose text is that of a cell above, merged with them.
    problems : dict of (row, place) to str
        Why a cell shows no value.
    around : tuple of str
        Texts above the header and below the rows: titles and footnotes.
    notes : frozenset of int
        Rows that are footnotes.
    places : dict of int to str
        Where a row was found, in files that have no rows.
    """

    file: str
    sheet: str | None
    header_rows: tuple[int, ...]
    columns: tuple[str, ...]
    rows: dict[int, list[str]]
    merged: dict[tuple[int, int], int] = field(default_factory=dict)
    problems: dict[tuple[int, int], str] = field(default_factory=dict)
    around: tuple[str, ...] = ()
    notes: frozenset[int] = frozenset()
    places: dict[int, str] = field(default_factory=dict)

    def column(self, name: str) -> list[str]:
        """The cells of a column, without footnotes."""
        place = self.columns.index(name)
        return [row[place] for number, row in self.rows.items() if number not in self.notes]

    def cell_place(self, row: int, place: int) -> str:
        """A cell as a spreadsheet names it: ``C5``."""
        return self.places.get(row) or f"{get_column_letter(place + 1)}{row}"


def refused(file: str, rule: str, hint: str, sheet: str | None = None) -> EvidenceError:
    """The error of a file that cannot be imported."""
    return EvidenceError([Fault(None, file, None, None, None, rule, hint, sheet)])


def read_grid(
    path: Path, sheet: str | None = None, header_rows: Sequence[int] | None = None
) -> Grid:
    """Read a CSV file or a sheet of a workbook; only read, never written.

    Parameters
    ----------
    path
        ``.csv``, ``.tsv`` or ``.txt`` of any separator, in UTF-8, UTF-16 or Windows-1252; or
        ``.xlsx``.
    sheet
        Of a workbook; by default the one with the most cells.
    header_rows
        Rows that name the columns; by default found.

    Raises
    ------
    EvidenceError
        If it cannot be read, or holds no row below a header.
    """
    check_regular(path)
    if path.suffix.lower() == ".xlsx":
        title, texts, merged, problems = _of_workbook(path, sheet)
    else:
        title, texts, merged, problems = None, _of_csv(path), [], {}
    if not texts:
        raise refused(path.name, "nothing is in it", "Give a sheet with a header and rows.", title)
    width = max(len(row) for row in texts.values())
    if width > MOST_COLUMNS:
        rule = f"{width:,} columns, where at most {MOST_COLUMNS:,} are read"
        raise refused(path.name, rule, "Keep the columns that are needed.", title)
    texts = {number: row + [""] * (width - len(row)) for number, row in texts.items()}
    filled = _fill_merged(texts, merged)
    head = tuple(header_rows or _find_header(texts))
    if absent := [row for row in head if row not in texts]:
        raise refused(
            path.name, f"header_rows: row {absent[0]} is empty", "Name rows that hold text.", title
        )
    columns = _joined([texts[row] for row in head], bool(merged))
    above = [_first(texts[row]) for row in texts if row < min(head)]
    rows = {row: cells for row, cells in texts.items() if row > max(head)}
    notes = [row for row in _trailing(rows) if not any((row, place) in filled for place in (0, 1))]
    around = (*above, *(_first(rows[row]) for row in notes))
    if len(rows) == len(notes):
        raise refused(path.name, "no rows below the header", "Check header_rows.", title)
    return Grid(path.name, title, head, columns, rows, filled, problems, around, frozenset(notes))


def check_regular(path: Path) -> None:
    """Raise unless there is a regular file of a size that can be read."""
    if not path.exists():
        raise FileNotFoundError(f"Nothing at {path}: name the file to import.")
    if not path.is_file():
        raise refused(path.name, "not a regular file", "Give a file to import.")
    if path.stat().st_size > MOST_BYTES:
        rule = f"{path.stat().st_size / 1e6:,.0f} MB, more than is read"
        raise refused(path.name, rule, "Keep the rows that are needed.")


def decimal_of(cells: Iterable[str]) -> str:
    """The decimal sign of cells: "," where more of them write 1,5 than 1.5."""
    signs: Counter[str] = Counter()
    for cell in cells:
        signs.update(re.findall(r"(?<![\d.,])\d+([.,])\d{1,2}(?![\d.,])", cell))
    return "," if signs[","] > signs["."] else "."


def _of_workbook(
    path: Path, sheet: str | None
) -> tuple[str, dict[int, list[str]], list[tuple[int, int, int, int]], dict[tuple[int, int], str]]:
    try:
        with Workbook(path) as book:
            if not book.titles:
                raise UnreadableWorkbook("the workbook has no sheet of cells")
            if sheet is None:
                read = max(map(book.sheet, book.titles), key=_cells)
            else:
                own = [title for title in book.titles if canonical(title) == canonical(sheet)]
                if not own:
                    hint = f"Its sheets: {', '.join(book.titles[:20])}. "
                    hint += did_you_mean(sheet, book.titles)
                    raise refused(path.name, f"no sheet {sheet!r}", hint)
                read = book.sheet(own[0])
            merged = book.merged(read.title)[:MOST_MERGED]
    except UnreadableWorkbook as error:
        raise refused(path.name, error.reason, error.hint) from error
    problems = {(found.row, found.column): found.rule for found in read.problems}
    return read.title, dict(read.rows), merged, problems


def _cells(sheet: Sheet) -> int:
    return sum(sum(bool(cell) for cell in row) for row in sheet.rows.values())


def _of_csv(path: Path) -> dict[int, list[str]]:
    content = path.read_bytes()
    if b"\0" in content and content[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        hint = "Save it as CSV or XLSX."
        raise refused(path.name, f"{path.suffix or 'a file'} is not text", hint)
    encodings = ["utf-16"] if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ["utf-8-sig", "cp1252"]
    text = None
    for encoding in encodings:
        try:
            text = content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    if text is None:
        raise refused(path.name, "not readable as text", "Save it as CSV UTF-8 or XLSX.")
    lines = text[:200_000].splitlines()[:50]
    separator = max(
        ",;\t", key=lambda sign: sorted(line.count(sign) for line in lines)[len(lines) // 2]
    )
    rows: dict[int, list[str]] = {}
    try:
        for number, row in enumerate(
            csv.reader(io.StringIO(text, newline=""), delimiter=separator), 1
        ):
            texts = [cell.strip() for cell in row]
            if any(texts):
                rows[number] = texts
    except csv.Error as error:
        hint = "Check the quotation marks of the row after it."
        raise refused(path.name, f"row {len(rows)}: not readable as CSV ({error})", hint) from error
    return rows


def _fill_merged(
    texts: dict[int, list[str]], merged: Sequence[tuple[int, int, int, int]]
) -> dict[tuple[int, int], int]:
    """Give every cell of a merged block the block's text, in place."""
    filled = {}
    for left, top, right, bottom in merged:
        if top not in texts or left > len(texts[top]):
            continue
        text = texts[top][left - 1]
        for row in range(top, min(bottom, max(texts)) + 1):
            for place in range(left - 1, min(right, len(texts[top]))):
                if row in texts and not texts[row][place] and text:
                    texts[row][place] = text
                    filled[row, place] = top
    return filled


def _find_header(texts: dict[int, list[str]]) -> list[int]:
    """The rows that name the columns: below titles, down to the first row that holds numbers."""
    numbers = list(texts)
    wide = max(len(set(filter(None, row))) for row in texts.values())
    start = next(
        place for place, row in enumerate(numbers) if len(set(filter(None, texts[row]))) > wide / 3
    )
    head = [numbers[start]]
    for number in numbers[start + 1 : start + _MOST_HEADER_ROWS]:
        above, row = texts[head[-1]], texts[number]
        gaps = [not cell for cell in above]
        repeated = len(set(filter(None, above))) < sum(map(bool, above))
        if any(map(is_value, row)) or not (any(gaps) or repeated) or not row_names(row, above):
            break
        head.append(number)
    return head


def row_names(row: Sequence[str], above: Sequence[str]) -> bool:
    """Whether a row may name columns below the names of `above`: it fills their gaps."""
    under = [cell for cell, name in zip(row, above, strict=True) if cell and not name]
    same = [cell for cell, name in zip(row, above, strict=True) if cell and cell == name]
    words = [cell for cell in row if cell]
    return bool(words) and (bool(under) or bool(same) or len(set(above)) < len(above))


def _joined(head: list[list[str]], merged: bool) -> tuple[str, ...]:
    """One distinct name a column; names of upper rows reach to the right over gaps."""
    rows = [list(row) for row in head]
    for number, row in enumerate(rows[:-1]):
        for place in range(1, len(row)):
            below = any(lower[place] for lower in rows[number + 1 :])
            if not merged and not row[place] and below:
                row[place] = row[place - 1]
    names, seen = [], Counter[str]()
    for place, parts in enumerate(zip(*rows, strict=True)):
        name = " ".join(" ".join(dict.fromkeys(part for part in parts if part)).split())
        name = name or f"column {get_column_letter(place + 1)}"
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(names)


def _trailing(rows: dict[int, list[str]]) -> list[int]:
    """The last rows with a text in their first cell and nothing beside it: footnotes."""
    found: list[int] = []
    for number in reversed(rows):
        filled = [place for place, cell in enumerate(rows[number]) if cell]
        if filled != [0] or len(rows[number]) < 2:
            break
        found.insert(0, number)
    return found


def _first(row: list[str]) -> str:
    return next(filter(None, row), "")
