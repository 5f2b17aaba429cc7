"""Notebooks in, self-contained HTML reports out. Knows notebooks, not statistics."""

from __future__ import annotations

from backpain_analysis.reporting.errors import ReportingError, SuiteError
from backpain_analysis.reporting.notebooks import Notebook, find_notebook, list_notebooks
from backpain_analysis.reporting.run import run_suite
from backpain_analysis.reporting.suite import Report, Suite, notebook_suite, with_parameters
from backpain_analysis.reporting.suite_file import read_suite

__all__ = [
    "Notebook",
    "Report",
    "ReportingError",
    "Suite",
    "SuiteError",
    "find_notebook",
    "list_notebooks",
    "notebook_suite",
    "read_suite",
    "run_suite",
    "with_parameters",
]
