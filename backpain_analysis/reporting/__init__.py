"""Notebooks in, self-contained HTML reports out. Knows notebooks, not statistics."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backpain_analysis.reporting.errors import ReportingError, SuiteError
    from backpain_analysis.reporting.notebooks import Notebook, find_notebook, list_notebooks
    from backpain_analysis.reporting.run import run_suite
    from backpain_analysis.reporting.suite import (
        Report,
        Suite,
        notebook_suite,
        read_suite,
        with_limits,
        with_parameters,
    )
    from backpain_analysis.reporting.verify import verify_site

_HOME = {
    "Notebook": "notebooks",
    "Report": "suite",
    "ReportingError": "errors",
    "Suite": "suite",
    "SuiteError": "errors",
    "find_notebook": "notebooks",
    "list_notebooks": "notebooks",
    "notebook_suite": "suite",
    "read_suite": "suite",
    "run_suite": "run",
    "verify_site": "verify",
    "with_limits": "suite",
    "with_parameters": "suite",
}

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
    "verify_site",
    "with_limits",
    "with_parameters",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: what runs reports can start meanwhile."""
    if name not in _HOME:
        raise AttributeError(f"module 'backpain_analysis.reporting' has no attribute {name!r}")
    return getattr(import_module(f"backpain_analysis.reporting.{_HOME[name]}"), name)
