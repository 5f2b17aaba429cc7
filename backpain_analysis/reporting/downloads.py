"""What a reader may take away: tables as CSV, the notebook as it was run, a picture."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import isfinite
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from lxml import html

from backpain_analysis.reporting.clean import picture
from backpain_analysis.reporting.drawings import (
    ALT_TEXT,
    as_file,
    drawing_of,
    figures_in,
    title_of,
)
from backpain_analysis.reporting.notebooks import UNWRITABLE
from backpain_analysis.reporting.references import Reference, bibtex, noted, ris
from backpain_analysis.reporting.render import (
    WIDGET,
    has_failed,
    is_removed,
    render_claims,
    slug,
    without_path,
)
from backpain_analysis.reporting.schemas import nbformat
from backpain_analysis.reporting.terminal import without_kernel

HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
DIGITS = r"[−-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[+−-]?\d+)?%?"
NUMBER = re.compile(DIGITS, re.IGNORECASE)
INTERVAL = re.compile(rf"({DIGITS})?\s*(?:\[({DIGITS}), ({DIGITS})\])?", re.IGNORECASE)
LIMITS = re.compile(r"\s*\[(\d+% [^\]]+)\]$")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
LONGEST_SLUG = 60
PLAIN_NUMBER = re.compile(r"-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?")
LONGEST_CELL = 32_000
BEGINNING = (1980, 1, 1)
"""The first day that a ZIP file knows."""

SHEET = (
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetPr>'
    '<outlinePr summaryBelow="1" summaryRight="1"/><pageSetUpPr/></sheetPr><sheetViews>'
    '<sheetView workbookViewId="0">{view}</sheetView></sheetViews>'
    '<sheetFormatPr baseColWidth="8" defaultRowHeight="15"/><sheetData>{rows}</sheetData>'
    '<pageMargins left="0.75" right="0.75" top="1" bottom="1" header="0.5" footer="0.5"/>'
    "</worksheet>"
)
HEADED = (
    '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>'
    '<selection pane="bottomLeft" activeCell="A1" sqref="A1"/>'
)
PLAIN = '<selection activeCell="A1" sqref="A1"/>'
IN_XML = {"\r": "&#13;"}

WIDEST_SPAN = 100


@dataclass(frozen=True)
class Extras:
    """What stands beside a report's page.

    Attributes
    ----------
    files : dict
        Content by path relative to the site's folder.
    summary : dict
        All that the site must know of it, small and plain (JSON), to be kept with the outcome as
        `Outcome.summary`: `notebook` (path), `tables` (each with `file` and `title`), `thumbnail`
        (path, empty without a figure), `claims` (HTML, empty but for the report that has them)
        and `others` (further files, like tables).
    references : list of dict
        What the report cites.
    """

    files: dict[str, bytes]
    summary: dict[str, Any]
    references: list[Reference] = field(default_factory=list)


def extras_of(nb: nbformat.NotebookNode, name: str, body: str = "") -> Extras:
    """Gather what can be downloaded beside a report.

    Parameters
    ----------
    nb : NotebookNode
        Executed, also in part.
    name : str
        The report's name; files are called ``notebooks/<name>.ipynb``,
        ``tables/<name>/01-<title>.csv``, ``thumbnails/<name>.svg`` (or ``.png``),
        ``workbooks/<name>.xlsx``, ``references/<name>.bib`` and ``.ris``,
        ``figures/<name>/01-<what it says>.svg``.
    body : str
        Its cells as they are shown, from `render_body`.
    """
    notebook = f"notebooks/{name}.ipynb"
    files = {notebook: executed_notebook(nb)}
    tables, others = [], []
    found = list(tables_of(nb))
    for number, (title, text) in enumerate(found, start=1):
        file = f"tables/{name}/{number:02}-{slug(title)[:LONGEST_SLUG].strip('-')}.csv"
        files[file] = text.encode()
        tables.append({"file": file, "title": title})
    if found:
        files[f"workbooks/{name}.xlsx"] = workbook(found)
        others.append(
            {"file": f"workbooks/{name}.xlsx", "title": "All tables in a workbook (XLSX)"}
        )
    for number, (title, markup) in enumerate(figures_in(body), start=1):
        if drawing := as_file(markup):
            file = f"figures/{name}/{number:02}-{slug(title)[:LONGEST_SLUG].strip('-')}.svg"
            files[file] = drawing
            others.append({"file": file, "title": f"Figure: {title} (SVG)"})
    if references := noted(nb):
        files[f"references/{name}.bib"] = bibtex(references).encode()
        files[f"references/{name}.ris"] = ris(references).encode()
        others += [
            {"file": f"references/{name}.bib", "title": "References (BibTeX)"},
            {"file": f"references/{name}.ris", "title": "References (RIS)"},
        ]
    small = thumbnail(nb)
    picture = f"thumbnails/{name}.{small.kind}" if small else ""
    if small:
        files[picture] = small.content
    claims = render_claims(nb)
    summary = {"notebook": notebook, "tables": tables, "thumbnail": picture, "claims": claims}
    return Extras(files, {**summary, "others": others}, references)


def workbook(tables: Sequence[tuple[str, str]]) -> bytes:
    """Write tables as a workbook, a sheet each; the same tables give the same bytes.

    Parameters
    ----------
    tables : sequence of (str, str)
        Title and CSV, as of `tables_of`. What is a number there is one in the workbook.
    """
    from openpyxl import Workbook
    from openpyxl.styles import Font
    from openpyxl.worksheet.worksheet import Worksheet
    from openpyxl.writer.excel import ExcelWriter

    class Writer(ExcelWriter):
        """Writes sheets from their cells in XML: openpyxl makes an object of each cell."""

        def write_worksheet(self, ws: Worksheet) -> None:
            self._archive.writestr(ws.path[1:], sheets[ws.title])
            self.manifest.append(ws)

    book = Workbook()
    book.properties.creator = "backpain-analysis"
    book.properties.created = book.properties.modified = datetime(*BEGINNING)
    contents = book.active
    contents.title = "Contents"
    contents["A1"].font = Font(bold=True)
    bold = f' s="{contents["A1"].style_id}"'
    named: dict[str, str] = {}
    sheets = {contents.title: b""}
    for title, text in tables:
        name = _sheet_name(title, [each.lower() for each in sheets])
        named[name] = title
        book.create_sheet(name)
        sheets[name] = _sheet(csv.reader(io.StringIO(text)), HEADED, bold)
    sheets[contents.title] = _sheet(named.items(), PLAIN)
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as unpacked:
        Writer(book, unpacked).save()
    return _undated(written.getvalue())


def _sheet(rows: Iterable[Sequence[str]], view: str, style_of_heads: str = "") -> bytes:
    """Write a sheet of a workbook in XML (ECMA-376, part 1, 18.3)."""
    from openpyxl.utils import get_column_letter

    lines = []
    style = style_of_heads
    for number, row in enumerate(rows, start=1):
        cells = (
            _cell(value, f'r="{get_column_letter(column)}{number}"{style}')
            for column, value in enumerate(row, start=1)
            if value or style
        )
        lines.append(f'<row r="{number}">{"".join(cells)}</row>')
        style = ""
    whole = SHEET.format(view=view, rows="".join(lines))
    return whole.encode("ascii", "xmlcharrefreplace")


def _sheet_name(title: str, taken: Sequence[str]) -> str:
    """Name a sheet as spreadsheets allow it, unlike any other."""
    legal = re.sub(r"[\[\]:*?/\\']", " ", UNWRITABLE.sub("", title))
    name = " ".join(legal.split())[:31].strip() or "Table"
    number = 1
    while name.lower() in taken:
        number += 1
        name = f"{name[:27].rstrip()} {number}"
    return name


def _cell(value: str, attributes: str) -> str:
    """Write a cell of a CSV in XML: as a number, if it is one; a text is never a formula."""
    if PLAIN_NUMBER.fullmatch(value) and isfinite(number := float(value)):
        return f'<c {attributes} t="n"><v>{number:.16g}</v></c>'
    text = UNWRITABLE.sub("", value)[:LONGEST_CELL]
    if text.startswith(FORMULA):
        text = f"'{text}"
    if not text:
        return f'<c {attributes} t="n"></c>'
    kept = ' xml:space="preserve"' if text != text.strip() else ""
    return f'<c {attributes} t="inlineStr"><is><t{kept}>{escape(text, IN_XML)}</t></is></c>'


def _undated(book: bytes) -> bytes:
    """Pack a workbook anew without the hour it was written."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book)) as source, zipfile.ZipFile(packed, "w") as target:
        for entry in sorted(source.infolist(), key=lambda each: each.filename):
            content = source.read(entry)
            if entry.filename == "docProps/core.xml":
                content = re.sub(
                    rb"(<dcterms:modified[^>]*>)[^<]*", rb"\g<1>1980-01-01T00:00:00Z", content
                )
            plain = zipfile.ZipInfo(entry.filename, (*BEGINNING, 0, 0, 0))
            plain.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(plain, content)
    return packed.getvalue()


def executed_notebook(nb: nbformat.NotebookNode) -> bytes:
    """Return the notebook with its outputs, without times, random ids and paths of the machine."""
    cells = []
    for number, cell in enumerate(without_path(nb), start=1):
        metadata = {k: v for k, v in cell.metadata.items() if k not in ("papermill", "execution")}
        if has_failed(cell):
            metadata["backpain"] = {"failed": True}
        cell = {**cell, "id": f"cell-{number}", "metadata": metadata}
        if "outputs" in cell:
            cell["outputs"] = [_without_kernel(output) for output in cell["outputs"]]
        cells.append(cell)
    metadata = {key: value for key, value in nb.metadata.items() if key != "papermill"}
    whole = {**nb, "cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return (json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def tables_of(nb: nbformat.NotebookNode) -> Iterator[tuple[str, str]]:
    """Find every table an executed notebook shows.

    An output that brings its table as ``text/csv`` is taken at its word, in full precision;
    any other is read from its HTML, as it is shown, but a column of estimates with intervals
    becomes three, one of intervals two. What a figure was drawn from is one too, if the figure
    brings it, and no figure before was drawn from the same.

    Yields
    ------
    title : str
        The table's caption, or else the heading it stands under; of a figure what it says.
    text : str
        CSV (RFC 4180) with a line of column names. A text that a spreadsheet would take for a
        formula begins with an apostrophe.
    """
    heading, behind = "Table", list[str]()
    for cell in _shown(nb):
        if cell.cell_type == "markdown":
            heading = (HEADING.findall(cell.source) or [heading])[-1]
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            source = data.get("text/html", "")
            if "<svg" in source and data.get("text/csv") and data["text/csv"] not in behind:
                behind.append(data["text/csv"])
                label = ALT_TEXT.search(source)
                yield (
                    f"Behind the figure: {title_of(label[1] if label else heading)}",
                    data["text/csv"],
                )
            if "<table" not in source:
                continue
            found = list(html.fragment_fromstring(source, create_parent="div").iter("table"))
            for table in found:
                title = _text(table.find("caption")) or heading
                exact = data.get("text/csv") if len(found) == 1 else None
                heads = len(table.findall("thead/tr")) or 1
                yield title, exact or _csv(_limits_apart(_rows(table), heads))


def _shown(nb: nbformat.NotebookNode) -> Iterator[nbformat.NotebookNode]:
    """Yield the cells whose outputs a page shows."""
    return (c for c in nb.cells if not (is_removed(c, "cell") or is_removed(c, "output")))


def _without_kernel(output: dict[str, Any]) -> dict[str, Any]:
    if "text" in output:
        return {**output, "text": without_kernel(output["text"], colours=True)}
    if "traceback" in output:
        return {**output, "traceback": [without_kernel(line) for line in output["traceback"]]}
    if WIDGET in output.get("data", {}):  # whose number differs from run to run
        kept = {kind: content for kind, content in output["data"].items() if kind != WIDGET}
        return {**output, "data": {**kept, WIDGET: {"model_id": ""}}}
    return output


def _rows(table: html.HtmlElement) -> list[list[str]]:
    """Read a table's rows; a cell that spans several stands in each of them."""
    rows = [row for row in table.iter("tr") if row.getparent().tag != "tfoot"]
    grid: dict[tuple[int, int], str] = {}
    for down, row in enumerate(rows):
        across = 0
        for cell in row.iterchildren("th", "td"):
            while (down, across) in grid:
                across += 1
            height, width = _span(cell, "rowspan"), _span(cell, "colspan")
            value = _value(_text(cell))
            grid |= {(down + y, across + x): value for y in range(height) for x in range(width)}
            across += width
    columns = 1 + max((across for _, across in grid), default=-1)
    return [[grid.get((y, x), "") for x in range(columns)] for y in range(len(rows))]


def _span(cell: html.HtmlElement, name: str) -> int:
    asked = cell.get(name, "1")
    return min(max(int(asked), 1), WIDEST_SPAN) if asked.isdecimal() else 1


def _text(element: html.HtmlElement | None) -> str:
    return "" if element is None else " ".join(element.text_content().split())


def _value(text: str) -> str:
    """Write a shown value for machines: a plain minus sign, nothing where nothing was known."""
    if text == "–":
        return ""
    if NUMBER.fullmatch(text):
        return text.replace("−", "-").replace(",", "")
    return f"'{text}" if text.startswith(FORMULA) else text


def _limits_apart(rows: list[list[str]], heads: int) -> list[list[str]]:
    """Give the limits of intervals columns of their own, where all of a column can be so split."""
    columns = [_split(list(column), heads) for column in zip(*rows, strict=True)]
    return [list(row) for row in zip(*(part for parts in columns for part in parts), strict=True)]


def _split(column: list[str], heads: int) -> list[list[str]]:
    names, cells = column[:heads], column[heads:]
    found = [match for cell in cells if (match := INTERVAL.fullmatch(cell))]
    if len(found) < len(cells) or not any(match[2] for match in found):
        return [column]
    level = LIMITS.search(names[-1])
    name = LIMITS.sub("", names[-1])
    of = f"{name}, {level[1]}" if level else name
    parts = [[*names[:-1], name], [*names[:-1], f"{of} low"], [*names[:-1], f"{of} high"]]
    for match in found:
        for part, value in zip(parts, match.groups(), strict=True):
            part.append(_value(value or ""))
    return parts if any(match[1] for match in found) else parts[1:]


def _csv(rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue()


class Thumbnail(NamedTuple):
    """A picture: `kind` is the ending of its file."""

    kind: str
    content: bytes


def thumbnail(nb: nbformat.NotebookNode) -> Thumbnail | None:
    """Make a picture of an executed notebook's first figure; None if it has none."""
    for cell in _shown(nb):
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            drawn = data.get("image/svg+xml") or data.get("text/html", "")
            if "<svg" in drawn and (drawing := drawing_of(drawn, rounded=True)):
                return Thumbnail("svg", drawing)
            if content := picture("image/png", data.get("image/png", "")):
                return Thumbnail("png", content)
    return None
