"""A suite: which notebooks to run, each with which parameters."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backpain_analysis.reporting.errors import SuiteError
from backpain_analysis.reporting.notebooks import Notebook, find_notebook
from backpain_analysis.reporting.parameters import unknown_parameter


@dataclass(frozen=True)
class Report:
    """One notebook with the parameters it is to be run with; `name` is its file's stem."""

    name: str
    title: str
    notebook: Notebook
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def choices(self) -> dict[str, Any]:
        """Every parameter's value: the default unless the report sets another."""
        defaults = {name: p.default for name, p in self.notebook.parameters.items()}
        return defaults | dict(self.parameters)

    @property
    def reads_evidence(self) -> bool:
        """Whether the notebook can be told which evidence to read."""
        return "evidence" in self.notebook.parameters

    def evidence_path(self, folder: Path) -> Path | None:
        """Return the evidence asked for, relative to `folder`; None is the bundled evidence."""
        asked = self.choices().get("evidence")
        return folder / Path(asked).expanduser() if asked else None


@dataclass(frozen=True)
class Suite:
    """A titled set of reports; relative paths in it start at `folder`."""

    title: str
    reports: tuple[Report, ...]
    folder: Path
    source: str


def notebook_suite(name: str) -> Suite:
    """Make a suite of one notebook with its default parameters."""
    notebook = find_notebook(name)
    slug = re.sub(r"[^a-z0-9_-]+", "-", notebook.name.lower()).strip("-_") or "report"
    report = Report(slug, notebook.title, notebook)
    return Suite("backpain-analysis", (report,), Path.cwd(), notebook.path.name)


def with_parameters(suite: Suite, texts: Mapping[str, str]) -> Suite:
    """Set parameters, given as text, in every report of a suite that has them.

    Raises
    ------
    SuiteError
        If no report has such a parameter, or its type does not admit the value.
    """
    faults: list[str] = []
    known = {name: p for r in suite.reports for name, p in r.notebook.parameters.items()}
    faults += [unknown_parameter(name, known) for name in texts if name not in known]
    reports = []
    for report in suite.reports:
        declared = report.notebook.parameters
        values = {n: declared[n].read(text) for n, text in texts.items() if n in declared}
        if values.get("evidence"):
            values["evidence"] = str(Path(values["evidence"]).expanduser().absolute())
        found = (declared[name].fault(value) for name, value in values.items())
        faults += [f"{fault} ({report.name})" for fault in found if fault]
        merged = {**report.parameters, **values}
        reports.append(dataclasses.replace(report, parameters=merged))
    if faults:
        raise SuiteError(suite.source, faults)
    return dataclasses.replace(suite, reports=tuple(reports))
