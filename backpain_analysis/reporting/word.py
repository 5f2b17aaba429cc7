"""Reports as Word documents, written by Pandoc."""

from __future__ import annotations

import re
import tempfile
import zipfile
from base64 import b64encode
from html import escape, unescape
from pathlib import Path
from typing import Any

from lxml import html

from backpain_analysis.reporting.drawings import FIGURE, drawing_of, whole
from backpain_analysis.reporting.errors import ReportingError
from backpain_analysis.reporting.pdf import browser_of, pages_of, put_figure

WIDEST = 620
"""Of a figure, in pixels of 96 to an inch: the text of a page of A4."""

LONGEST_LINE, FEWEST = 30, 5
"""Characters: of a text of many words, and of the narrowest column."""

COMPACT = re.compile(
    rb'(<w:style\b[^>]*w:styleId="Compact"(?:(?!</w:style>).)*?)(</w:style>)', re.DOTALL
)
NINE_POINTS = b'<w:rPr><w:sz w:val="18"/><w:szCs w:val="18"/></w:rPr>'
LEFT_OUT = (
    "//details[contains(@class, 'code')] | //style | //script | //nav | //template"
    " | //section[contains(@class, 'codes') or contains(@class, 'downloads')]"
)
PARTS = (
    "//header//*[@class='question' or @class='answer' or @role='alert']"
    " | //main | //section[@class='chosen' or @class='references' or @class='cite']"
    " | //footer[@class='making']"
)
VIEW = re.compile(rb'viewBox="[-\d.]+ [-\d.]+ ([\d.]+) ')


def make_docx(source: Path, out: Path) -> list[Path]:
    """Write a page, or every report of a site, as a Word document.

    Headings, tables, formulae and links stay such; figures become pictures of 300 dots an inch,
    which takes a Chromium. Code is left out.

    Parameters
    ----------
    source : Path
        A built page, or the folder of a site.
    out : Path
        The folder to write to, made if need be; files are called as their pages are.

    Raises
    ------
    ReportingError
        If Pandoc or a Chromium is not there, or fails, or there is nothing to write.
    """
    pandoc = _pandoc()
    written = []
    for page in pages_of(source):
        text = page.read_text(encoding="utf-8")
        path = out / f"{page.stem}.docx"
        try:
            out.mkdir(parents=True, exist_ok=True)
            pandoc.convert_text(
                simple(text), "docx", format="html", outputfile=str(path), sandbox=True
            )
        except (RuntimeError, OSError) as error:
            said = (str(error).strip().splitlines() or [""])[-1]
            raise ReportingError(f"{page.name} could not be written for Word: {said}") from error
        _with_small_tables(path)
        written.append(path)
    return written


def _with_small_tables(path: Path) -> None:
    """Set what stands in tables, which Pandoc calls compact, in nine points."""
    with zipfile.ZipFile(path) as book:
        parts = {entry: book.read(entry) for entry in book.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        for entry, content in parts.items():
            if entry.filename == "word/styles.xml":
                content = COMPACT.sub(rb"\1" + NINE_POINTS + rb"\2", content, count=1)
            book.writestr(entry, content)


def simple(page: str) -> str:
    """Return what of a page goes into a document, its drawings as pictures."""
    root = html.document_fromstring(_with_pictures(page))
    for element in root.xpath(LEFT_OUT):
        element.drop_tree()
    for table in root.iter("table"):
        _set_widths(table)
    chosen = root.xpath(PARTS)
    for element in root.iter("main", "section", "footer", "article", "aside"):
        element.tag = "div"  # of a page with a main part, Pandoc takes no other
    title = root.findtext(".//h1") or root.findtext(".//title") or ""
    parts = "".join(html.tostring(each, encoding="unicode") for each in chosen)
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"</head><body>{parts}</body></html>"
    )


def _set_widths(table: html.HtmlElement) -> None:
    """Give columns the room their words need; without it Pandoc makes all alike."""
    room: list[int] = []
    for row in table.iter("tr"):
        cells = row.findall("th") + row.findall("td")
        if any(cell.get("colspan") for cell in cells):
            continue
        for place, cell in enumerate(cells):
            words = (cell.text_content() or "").split(" ")  # what is unbroken stays so
            needed = max(max(map(len, words)) + 2, min(len(" ".join(words)), LONGEST_LINE))
            room[place:] = [max(needed, *room[place : place + 1], FEWEST), *room[place + 1 :]]
    for group in table.findall("colgroup"):
        group.drop_tree()
    if room:
        group = html.Element("colgroup")
        for width in room:
            group.append(html.Element("col", style=f"width: {100 * width / sum(room):.1f}%"))
        table.insert(1 if table.find("caption") is not None else 0, group)


def _with_pictures(page: str) -> str:
    """Write pictures for the drawings of a page."""
    if not FIGURE.search(page):
        return page
    browser = browser_of()
    with tempfile.TemporaryDirectory(prefix="backpain-") as folder:

        def picture(figure: re.Match[str]) -> str:
            drawing = drawing_of(whole(figure["svg"], page))
            if drawing is None:
                return ""
            place = put_figure(drawing, Path(folder) / "figure.png", browser)
            size = VIEW.search(drawing)
            width = min(round(float(size[1]) * 96 / 72), WIDEST) if size else WIDEST
            data = b64encode(place.read_bytes()).decode()
            alt = escape(unescape(figure["alt"] or "Figure"))
            opened = figure[0][: figure.start("svg") - figure.start()]
            return f'{opened}<img src="data:image/png;base64,{data}" alt="{alt}" width="{width}">'

        return FIGURE.sub(picture, page)


def _pandoc() -> Any:
    try:
        import pypandoc
    except ImportError as error:
        raise ReportingError(
            "a Word document needs Pandoc; install it with: pip install 'backpain-analysis[word]'"
        ) from error
    return pypandoc
