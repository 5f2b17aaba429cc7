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
from backpain_analysis.importing.values import AUTHOR_YEAR, is_value
from backpain_analysis.words import did_you_mean

MOST_BYTES = 200_000_000
MOST_MERGED = 100_000

HEADING = "heading of rows"
"""Name of the column that holds, for each row, the heading that stands in a row above it."""

_MOST_HEADER_ROWS = 4


@dataclass(frozen=True)
class Grid:
    """A sheet: its columns by name, its rows by the number a spreadsheet gives them.

    Attributes
    ----------
    file : str
    sheet : str or None
        Of a workbook.
    others : tuple of str
        Sheets of the workbook that are not read.
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
    headings : frozenset of int
        Rows that are headings of the rows below them; those have its text as `HEADING`.
    parts : tuple of tuple of str
        What each header row says of a column, from the top.
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
    headings: frozenset[int] = frozenset()
    parts: tuple[tuple[str, ...], ...] = ()
    others: tuple[str, ...] = ()
    places: dict[int, str] = field(default_factory=dict)

    def column(self, name: str) -> list[str]:
        """The cells of a column, without footnotes and headings."""
        place, apart = self.columns.index(name), self.notes | self.headings
        return [row[place] for number, row in self.rows.items() if number not in apart]

    def parts_of(self, name: str) -> tuple[str, ...]:
        """What each header row says of a column, from the top."""
        return self.parts[self.columns.index(name)] if self.parts else (name,)

    def cell_place(self, row: int, place: int) -> str:
        """A cell as a spreadsheet names it: ``C5``."""
        if self.columns[place] == HEADING:
            row, place = self.merged.get((row, place), row), 0
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
        title, others, texts, merged, problems = _of_workbook(path, sheet)
    else:
        title, others, texts, merged, problems = None, (), _of_csv(path), [], {}
    if not texts:
        raise refused(path.name, "nothing is in it", "Give a sheet with a header and rows.", title)
    width = max(len(row) for row in texts.values())
    if width > MOST_COLUMNS:
        rule = f"{width:,} columns, where at most {MOST_COLUMNS:,} are read"
        raise refused(path.name, rule, "Keep the columns that are needed.", title)
    texts = {number: row + [""] * (width - len(row)) for number, row in texts.items()}
    filled = _fill_merged(texts, merged)
    head = tuple(header_rows or _find_header(texts, merged))
    if absent := [row for row in head if row not in texts]:
        raise refused(
            path.name, f"header_rows: row {absent[0]} is empty", "Name rows that hold text.", title
        )
    if sum(AUTHOR_YEAR.fullmatch(cell) is not None for cell in texts[head[-1]][1:]) > width / 2:
        hint = "A row is to be a study, an arm or a result: turn it (paste it transposed)."
        raise refused(path.name, "the columns are studies: the table lies on its side", hint, title)
    across = any(top in head and right > left for left, top, right, _ in merged)
    parts = _parts([texts[row] for row in head], across)
    above = [_first(texts[row]) for row in texts if row < min(head)]
    rows = {row: cells for row, cells in texts.items() if row > max(head)}
    notes, headings = _alone(rows, filled)
    around = (*above, *(_first(rows[row]) for row in notes))
    if len(rows) == len(notes) + len(headings):
        raise refused(path.name, "no rows below the header", "Check header_rows.", title)
    columns = _names(parts)
    if headings:
        columns, parts = (*columns, HEADING), (*parts, (HEADING,))
        told = _headed(rows, headings)
        for number, cells in rows.items():
            own = () if number in notes else told.get(number, ())
            cells.append(" ".join(_first(rows[row]) for row in own))
            if own:
                filled[number, width] = own[-1]
    return Grid(
        *(path.name, title, head, columns, rows, filled, problems, around),
        *(frozenset(notes), frozenset(headings), parts, others),
    )


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
) -> tuple[
    str,
    tuple[str, ...],
    dict[int, list[str]],
    list[tuple[int, int, int, int]],
    dict[tuple[int, int], str],
]:
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
            others = tuple(title for title in book.titles if title != read.title)
    except UnreadableWorkbook as error:
        raise refused(path.name, error.reason, error.hint) from error
    problems = {(found.row, found.column): found.rule for found in read.problems}
    return read.title, others, dict(read.rows), merged, problems


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


def _find_header(
    texts: dict[int, list[str]], merged: Sequence[tuple[int, int, int, int]]
) -> list[int]:
    """The rows that name the columns: below titles, down to the first row that holds numbers."""
    numbers = list(texts)
    wide = max(len(set(filter(None, row))) for row in texts.values())
    start = next(
        place for place, row in enumerate(numbers) if len(set(filter(None, texts[row]))) > wide / 3
    )
    while start and numbers[start - 1] == numbers[start] - 1 and _spans(texts[numbers[start - 1]]):
        start -= 1
    head = [numbers[start]]
    for number in numbers[start + 1 : start + _MOST_HEADER_ROWS]:
        above, row = texts[head[-1]], texts[number]
        covered = any(top in head and top < number <= bottom for _, top, _, bottom in merged)
        repeated = len(set(filter(None, above))) < sum(map(bool, above))
        open_ = repeated or not all(above)
        numbered = any(map(is_value, row))
        below = above[0] and not row[0] and (open_ or not numbered)
        if not (covered or below):
            if numbered or not open_ or not row_names(row, above):
                break
        head.append(number)
    return head


def _spans(row: Sequence[str]) -> bool:
    """Whether a row above the names of columns names groups of them, and is no title."""
    several = len(set(filter(None, row))) > 1 or not row[0]
    return several and not any(map(is_value, row))


def row_names(row: Sequence[str], above: Sequence[str]) -> bool:
    """Whether a row may name columns below the names of `above`: it fills their gaps."""
    under = [cell for cell, name in zip(row, above, strict=True) if cell and not name]
    same = [cell for cell, name in zip(row, above, strict=True) if cell and cell == name]
    words = [cell for cell in row if cell]
    return bool(words) and (bool(under) or bool(same) or len(set(above)) < len(above))


def _parts(head: list[list[str]], across: bool) -> tuple[tuple[str, ...], ...]:
    """What each row says of a column; without merged cells, upper rows reach right over gaps."""
    rows = [list(row) for row in head]
    for number, row in enumerate(rows[:-1]):
        for place in range(1, len(row)):
            below = any(lower[place] for lower in rows[number + 1 :])
            if not across and not row[place] and below:
                row[place] = row[place - 1]
    return tuple(
        tuple(dict.fromkeys(" ".join(part.split()) for part in parts if part))
        for parts in zip(*rows, strict=True)
    )


def _names(parts: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """One distinct name a column."""
    names, seen = [], Counter[str]()
    for place, own in enumerate(parts):
        name = " ".join(own) or f"column {get_column_letter(place + 1)}"
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(names)


def _alone(
    rows: dict[int, list[str]], filled: dict[tuple[int, int], int]
) -> tuple[list[int], list[int]]:
    """Rows with one text alone, in their first cell or merged over the row: notes and headings.

    Notes are the last ones. A row of one text whose next row has no first cell is a part of the
    table: it names what those rows below continue.
    """
    numbers = list(rows)
    single = [
        len(rows[number]) > 1
        and bool(rows[number][0])
        and all(
            not cell or filled.get((number, place + 1)) == number
            for place, cell in enumerate(rows[number][1:])
        )
        and (number, 0) not in filled
        for number in numbers
    ]
    last = max((place for place, alone in enumerate(single) if not alone), default=-1)
    firsts = [rows[number][0] for number, alone in zip(numbers, single, strict=True) if not alone]
    studies = any(map(AUTHOR_YEAR.fullmatch, firsts))
    headings = [
        number
        for place, number in enumerate(numbers[:last])
        if single[place]
        and len(rows[number]) > 2
        and rows[numbers[place + 1]][0]
        and not is_value(rows[number][0])
        and not (studies and AUTHOR_YEAR.fullmatch(rows[number][0]))
    ]
    return numbers[last + 1 :], headings


def _headed(rows: dict[int, list[str]], headings: Sequence[int]) -> dict[int, list[int]]:
    """The headings of each row: that above it, with those right above that."""
    found: dict[int, list[int]] = {}
    current: list[int] = []
    upper = False
    for number in rows:
        if number in headings:
            current = [*current, number] if upper else [number]
        elif current:
            found[number] = current
        upper = number in headings
    return found


def _first(row: list[str]) -> str:
    return next(filter(None, row), "")
