"""Small notebooks and suites, written where a test wants them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from backpain_analysis.reporting import Suite, read_suite

PARAMETERS = 'number: int = 0  # counts\nword: str = "none"  # is shown'


def write_notebook(folder: Path, name: str, *cells: str, parameters: str = PARAMETERS) -> Path:
    """Write a notebook with a title, a cell of parameters and the code cells given."""
    tagged = new_code_cell(parameters, metadata={"tags": ["parameters"]})
    code = [new_code_cell(source) for source in cells]
    path = folder / f"{name}.ipynb"
    nbformat.write(new_notebook(cells=[new_markdown_cell(f"# A {name}"), tagged, *code]), path)
    return path


def make_suite(folder: Path, *reports: dict, **more: object) -> Suite:
    """Write a suite file and read it."""
    path = folder / "suite.yml"
    path.write_text(yaml.safe_dump({"title": "Little", "reports": list(reports), **more}))
    return read_suite(path)


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Raise `TimeoutError` in what waits longer, on systems with alarms."""

    def ring(*_: object) -> None:
        raise TimeoutError(f"longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def files_of(site: Path) -> dict[str, bytes]:
    """Every file of a site by path, but for those that tell of time."""
    return {
        path.relative_to(site).as_posix(): path.read_bytes()
        for path in site.rglob("*")
        if path.is_file() and path.name != "timings.json" and ".finished" not in path.parts
    }
