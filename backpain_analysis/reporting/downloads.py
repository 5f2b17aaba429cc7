"""What a reader may take away: tables as CSV, the notebook as it was run, a picture."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from lxml import html

from backpain_analysis.reporting.clean import clean, picture
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
        (path, empty without a figure) and `claims` (HTML, empty but for the report that has them).
    """

    files: dict[str, bytes]
    summary: dict[str, Any]


def extras_of(nb: nbformat.NotebookNode, name: str) -> Extras:
    """Gather what can be downloaded beside a report.

    Parameters
    ----------
    nb : NotebookNode
        Executed, also in part.
    name : str
        The report's name; files are called ``notebooks/<name>.ipynb``,
        ``tables/<name>/01-<title>.csv``, ``thumbnails/<name>.svg`` (or ``.png``).
    """
    notebook = f"notebooks/{name}.ipynb"
    files = {notebook: executed_notebook(nb)}
    tables = []
    for number, (title, text) in enumerate(tables_of(nb), start=1):
        file = f"tables/{name}/{number:02}-{slug(title)[:LONGEST_SLUG].strip('-')}.csv"
        files[file] = text.encode()
        tables.append({"file": file, "title": title})
    small = thumbnail(nb)
    picture = f"thumbnails/{name}.{small.kind}" if small else ""
    if small:
        files[picture] = small.content
    claims = render_claims(nb)
    summary = {"notebook": notebook, "tables": tables, "thumbnail": picture, "claims": claims}
    return Extras(files, summary)


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
    becomes three, one of intervals two.

    Yields
    ------
    title : str
        The table's caption, or else the heading it stands under.
    text : str
        CSV (RFC 4180) with a line of column names. A text that a spreadsheet would take for a
        formula begins with an apostrophe.
    """
    heading = "Table"
    for cell in _shown(nb):
        if cell.cell_type == "markdown":
            heading = (HEADING.findall(cell.source) or [heading])[-1]
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            source = data.get("text/html", "")
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


DRAWING = re.compile(r"<svg\b[^>]*>(.*?)</svg>", re.DOTALL)
VIEW_BOX = re.compile(r'<svg\b[^>]*\bviewBox="([^"]+)"')
LONG_NUMBER = re.compile(r"(\d\.\d)\d+")
GEOMETRY = re.compile(r' (?:d|x|y|points)="[^"]*"')
NAMESPACES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'


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
            if "<svg" in drawn and (drawing := _drawing(drawn)):
                return Thumbnail("svg", drawing)
            if content := picture("image/png", data.get("image/png", "")):
                return Thumbnail("png", content)
    return None


def _drawing(markup: str) -> bytes | None:
    """Take a drawing out of a page; what is drawn is placed to a tenth of a unit."""
    cleaned = clean(markup, "f").replace(":where(#fs) ", "")
    box, drawing = VIEW_BOX.search(cleaned), DRAWING.search(cleaned)
    if not (box and drawing):
        return None
    content = GEOMETRY.sub(lambda found: LONG_NUMBER.sub(r"\1", found[0]), drawing[1])
    content = content.replace("&nbsp;", "\u00a0")
    return f'<svg {NAMESPACES} viewBox="{box[1]}">{content}</svg>\n'.encode()
