"""Reports as Word documents, written by Pandoc."""

from __future__ import annotations

import re
import tempfile
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
        written.append(path)
    return written


def simple(page: str) -> str:
    """Return what of a page goes into a document, its drawings as pictures."""
    root = html.document_fromstring(_with_pictures(page))
    for element in root.xpath(LEFT_OUT):
        element.drop_tree()
    chosen = root.xpath(PARTS)
    for element in root.iter("main", "section", "footer", "article", "aside"):
        element.tag = "div"  # of a page with a main part, Pandoc takes no other
    title = root.findtext(".//h1") or root.findtext(".//title") or ""
    parts = "".join(html.tostring(each, encoding="unicode") for each in chosen)
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"</head><body>{parts}</body></html>"
    )


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
