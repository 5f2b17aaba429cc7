"""A small suite: a notebook with hostile content, the same with other parameters, one that
fails, and one that says which Python ran it.
"""

from __future__ import annotations

from pathlib import Path

from backpain_analysis.reporting import read_suite, run_suite

NOTEBOOKS = Path(__file__).parent / "notebooks"
HOSTILE = '<script>alert("x")</script>'

SUITE = f"""
title: 'A suite of <b>tests</b>'
reports:
  - notebook: curve
    name: plain
  - notebook: curve
    name: hostile
    title: 'Minutes <script>alert(1)</script>'
    parameters:
      label: '{HOSTILE}'
      mcid: 10
      types: [yoga, 'x"; import os; os._exit(1) #']
  - notebook: fails
    parameters:
      person: '{HOSTILE}'
  - notebook: interpreter
"""


def copy_notebooks(folder: Path) -> None:
    """Copy the notebooks of these tests."""
    for notebook in NOTEBOOKS.glob("*.ipynb"):
        (folder / notebook.name).write_bytes(notebook.read_bytes())


def build(folder: Path) -> tuple[Path, list]:
    """Build the suite of these tests and return its site and outcomes."""
    copy_notebooks(folder)
    path = folder / "suite.yml"
    path.write_text(SUITE, encoding="utf-8")
    outcomes = run_suite(read_suite(path), folder / "site", jobs=2)
    return folder / "site", outcomes
