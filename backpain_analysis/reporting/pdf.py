"""Reports as PDF and figures as files, made by a Chromium that is on this machine."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from backpain_analysis.reporting.downloads import LONGEST_SLUG
from backpain_analysis.reporting.drawings import drawing_of, figures_in
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
