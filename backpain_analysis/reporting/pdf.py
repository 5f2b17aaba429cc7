"""Reports as PDF, printed by a Chromium that is on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from backpain_analysis.reporting.errors import ReportingError

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
    pages = _pages(source)
    browser = find_browser()
    if browser is None:
        raise ReportingError(
            "a PDF needs Chromium or Google Chrome, and neither was found on this machine; "
            "install one, or open the report in any browser and print it to a file"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReportingError(f"the output folder cannot be made: {error}") from error
    return [_print(browser, page, out / f"{page.stem}.pdf") for page in pages]


def _pages(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    pages = [path for path in sorted(source.glob("*.html")) if path.name not in NO_REPORT]
    if not pages:
        raise ReportingError(f"{source} holds no report to print")
    return pages


def _print(browser: str, page: Path, out: Path) -> Path:
    """Print one page in a browser with a profile of its own, aside, then move it into place."""
    with tempfile.TemporaryDirectory(prefix="backpain-") as folder:
        printed = Path(folder) / "page.pdf"
        command = [
            *(browser, *QUIET, *_without_sandbox(), f"--user-data-dir={folder}/profile"),
            *(f"--print-to-pdf={printed}", page.resolve().as_uri()),
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
