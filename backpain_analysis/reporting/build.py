"""Build one report: run its notebook, render it, gather the files that stand for it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.filters import strip_ansi

from backpain_analysis.reporting.downloads import Extras, extras_of
from backpain_analysis.reporting.execute import execute
from backpain_analysis.reporting.facts import EvidenceFacts, Facts
from backpain_analysis.reporting.index import NOTHING
from backpain_analysis.reporting.notebooks import answer_of
from backpain_analysis.reporting.page import report_page
from backpain_analysis.reporting.render import render_body
from backpain_analysis.reporting.suite import Report


@dataclass(frozen=True)
class Job:
    """One report, and all that a worker must know to build it.

    Attributes
    ----------
    report : Report
    suite_title : str
    source : str
        The notebook's JSON, as it was when the suite began.
    evidence : EvidenceFacts or None
        The evidence the report reads, if any.
    evidence_path : Path or None
        Where it is, if it is not the bundled one.
    facts : Facts
        What computes.
    """

    report: Report
    suite_title: str
    source: str
    evidence: EvidenceFacts | None
    evidence_path: Path | None
    facts: Facts


@dataclass(frozen=True)
class Outcome:
    """How a report ended.

    Attributes
    ----------
    report : Report
    error : str
        Why it ended early; empty if it was finished.
    answer : str
        Markdown of the notebook's answer, if it gives one (see `notebooks.answer_of`).
    seconds : float
        How long it took.
    summary : mapping
        What stands beside its page (see `downloads.Extras`).
    """

    report: Report
    error: str
    answer: str
    seconds: float
    summary: Mapping[str, Any] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True)
class Built:
    """A report's outcome and its files' content by path relative to the site's folder."""

    outcome: Outcome
    files: dict[str, bytes]


def build(
    job: Job,
    folder: Path,
    *,
    engine: str = "kernel",
    tell: Callable[[int, int], None] = lambda cell, cells: None,
) -> Built:
    """Build a report; a notebook that fails yields a page that shows where and why.

    Parameters
    ----------
    job : Job
    folder : Path
        Where its notebook runs.
    engine, tell
        See `execute`.
    """
    start = time.monotonic()
    parameters = dict(job.report.parameters)
    if job.evidence_path:
        parameters["evidence"] = str(job.evidence_path)
    nb = nbformat.reads(job.source, as_version=4)
    execution = execute(nb, parameters, folder, engine=engine, tell=tell)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        extras = extras_of(execution.nb, job.report.name)
        body = render_body(execution.nb)
    error = strip_ansi(execution.error)
    outcome = Outcome(
        job.report, error, answer_of(execution.nb), time.monotonic() - start, extras.summary
    )
    return _built(job, outcome, body, extras)


def give_up(job: Job, error: str) -> Built:
    """Make a page that says why a report has no content."""
    return _built(job, Outcome(job.report, error, "", 0.0), "", Extras({}, NOTHING))


def _built(job: Job, outcome: Outcome, body: str, extras: Extras) -> Built:
    page = report_page(
        job.report,
        body,
        suite_title=job.suite_title,
        facts=job.facts,
        evidence=job.evidence,
        error=outcome.error,
        summary=extras.summary,
    )
    return Built(outcome, {**extras.files, f"{job.report.name}.html": page.encode()})
