"""Reports as PDF and figures as files, by a Chromium that is here; as Word documents, by Pandoc."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from base64 import b64encode
from html import escape, unescape
from pathlib import Path
from typing import Any

from lxml import html

from backpain_analysis.reporting.downloads import LONGEST_SLUG
from backpain_analysis.reporting.drawings import FIGURE, drawing_of, figures_in, whole
from backpain_analysis.reporting.errors import ReportingError, short
from backpain_analysis.reporting.render import slug

BROWSERS = [
    *("chromium", "chromium-browser", "chromium-headless-shell", "google-chrome"),
    *("google-chrome-stable", "chrome", "microsoft-edge", "msedge"),
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
]
QUIET = [
    *("--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-quic", "--no-pdf-header-footer"),
]
LONGEST_SECONDS = 120
NO_REPORT = {"index.html", "compare.html"}


def find_browser() -> str | None:
    """Return the path of a Chromium on this machine, or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def make_pdf(source: Path, out: Path) -> list[Path]:
    """Print a page, or every report of a site, as PDF.

    Parameters
    ----------
    source : Path
        A built page, or the folder of a site.
    out : Path
        The folder to write to, made if need be; files are called as their pages are.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    ReportingError
        If there is nothing to print, no Chromium, or it fails.
    """
    pages = pages_of(source)
    browser = browser_of()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReportingError(f"the output folder cannot be made: {error}") from error
    return [_print(browser, page, out / f"{page.stem}.pdf") for page in pages]


SIZE = re.compile(rb'viewBox="[-\d.]+ [-\d.]+ ([\d.]+) ([\d.]+)"')
DOTS_PER_INCH = 300
POINTS_PER_INCH = 72


def make_figures(source: Path, out: Path, kind: str = "svg") -> list[Path]:
    """Write the figures of a page, or of every report of a site, as files.

    Parameters
    ----------
    source : Path
        A built page, or the folder of a site.
    out : Path
        The folder to write to; files are called after page, place and figure.
    kind : {"svg", "png", "pdf"}
        PNG has 300 dots an inch; PNG and PDF need a Chromium.

    Raises
    ------
    ReportingError
        If there is no such kind, no figure, no Chromium where one is needed, or it fails.
    """
    if kind not in ("svg", "png", "pdf"):
        raise ReportingError(f"a figure is written as svg, png or pdf, not {short(kind)}")
    browser = None if kind == "svg" else browser_of()
    written = []
    for page in pages_of(source):
        found = figures_in(page.read_text(encoding="utf-8"))
        for number, (title, markup) in enumerate(found, start=1):
            name = slug(title)[:LONGEST_SLUG].strip("-")
            path = out / f"{page.stem}-{number:02}-{name}.{kind}"
            if drawing := drawing_of(markup):
                written.append(put_figure(drawing, path, browser))
    if not written:
        raise ReportingError(f"{source} holds no figure")
    return written


def put_figure(drawing: bytes, path: Path, browser: str | None) -> Path:
    """Write a drawing as the kind of file that its path ends with."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if browser is None:
            path.write_bytes(drawing)
            return path
    except OSError as error:
        raise ReportingError(f"{path} cannot be written: {error}") from error
    size = SIZE.search(drawing)
    width, height = (math.ceil(float(side)) for side in size.groups()) if size else (640, 480)
    page = (
        f"<!DOCTYPE html><title>{path.stem}</title><style>@page {{ size: {width}pt {height}pt; "
        "margin: 0 } body { margin: 0; background: #fff } svg { display: block; width: "
        f"{width}{'pt' if path.suffix == '.pdf' else 'px'} }}</style>{drawing.decode()}"
    )
    with tempfile.TemporaryDirectory(prefix="backpain-") as folder:
        place = Path(folder) / "figure.html"
        place.write_text(page, encoding="utf-8")
        if path.suffix == ".pdf":
            return _print(browser, place, path)
        scale = DOTS_PER_INCH / POINTS_PER_INCH
        return _print(
            browser,
            place,
            path,
            f"--window-size={width},{height}",
            f"--force-device-scale-factor={scale:.4f}",
            "--hide-scrollbars",
        )


def browser_of() -> str:
    """Return the path of a Chromium on this machine.

    Raises
    ------
    ReportingError
        If there is none.
    """
    browser = find_browser()
    if browser is None:
        raise ReportingError(
            "this needs Chromium or Google Chrome, and neither was found on this machine; "
            "install one, or open the report in any browser and print it to a file"
        )
    return browser


def pages_of(source: Path) -> list[Path]:
    """List the pages of a site's reports, or the one page that is given.

    Raises
    ------
    ReportingError
        If there is none.
    """
    if source.is_file():
        return [source]
    found = sorted(path for path in source.glob("*.html") if path.is_file())
    pages = [path for path in found if path.name not in NO_REPORT]
    if not pages:
        raise ReportingError(f"{source} holds no report to print")
    return pages


def _print(browser: str, page: Path, out: Path, *options: str) -> Path:
    """Print one page, or take its picture, in a browser with a profile of its own.

    It is written aside, then moved into place.
    """
    with tempfile.TemporaryDirectory(prefix="backpain-") as folder:
        printed = Path(folder) / f"page{out.suffix}"
        how = "--print-to-pdf" if out.suffix == ".pdf" else "--screenshot"
        command = [
            *(browser, *QUIET, *_without_sandbox(), f"--user-data-dir={folder}/profile"),
            *(*options, f"{how}={printed}", page.resolve().as_uri()),
        ]
        try:
            done = subprocess.run(command, capture_output=True, timeout=LONGEST_SECONDS)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ReportingError(f"{page.name} could not be printed: {error}") from error
        if done.returncode or not printed.is_file():
            said = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise ReportingError(f"{page.name} could not be printed: {' '.join(said)}")
        aside = out.with_name(f".{out.name}.part")
        try:
            shutil.copyfile(printed, aside)
            os.replace(aside, out)
        except OSError as error:
            raise ReportingError(f"{out} cannot be written: {error}") from error
    return out


def _without_sandbox() -> list[str]:
    """Chromium refuses to be run by root with its sandbox, as in a container."""
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return ["--no-sandbox"] if is_root else []


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
