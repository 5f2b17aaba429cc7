"""Build one report: run its notebook, render it, put the page in its place."""

from __future__ import annotations

import os
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

from nbconvert.filters import strip_ansi

from backpain_analysis.reporting.execute import execute
from backpain_analysis.reporting.facts import EvidenceFacts, Facts
from backpain_analysis.reporting.notebooks import answer_of
from backpain_analysis.reporting.page import report_page
from backpain_analysis.reporting.render import render_body
from backpain_analysis.reporting.suite import Report


@dataclass(frozen=True)
class Job:
    """One report, and all that a worker must know to build it."""

    report: Report
    suite_title: str
    evidence_path: Path | None
    evidence: EvidenceFacts | None
    facts: Facts
    out: Path


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
    """

    report: Report
    error: str
    answer: str
    seconds: float


def build(job: Job) -> Outcome:
    """Build a report's page; a notebook that fails yields a page that shows where and why."""
    start = time.monotonic()
    parameters = dict(job.report.parameters)
    if job.evidence_path:
        parameters["evidence"] = str(job.evidence_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        execution = execute(job.report.notebook.path, parameters)
        body = render_body(execution.nb)
    error = strip_ansi(execution.error)
    _write_page(job, body, error)
    return Outcome(job.report, error, answer_of(execution.nb), time.monotonic() - start)


def give_up(job: Job, error: str) -> Outcome:
    """Leave a page that says why a report has no content."""
    _write_page(job, "", error)
    return Outcome(job.report, error, "", 0.0)


def write_aside(path: Path, text: str) -> None:
    """Write a file under another name, then move it into place: it is never half there."""
    aside = path.with_name(f".{path.name}.part")
    aside.write_text(text, encoding="utf-8", newline="\n")
    os.replace(aside, path)


def _write_page(job: Job, body: str, error: str) -> None:
    page = report_page(
        job.report,
        body,
        suite_title=job.suite_title,
        facts=job.facts,
        evidence=job.evidence,
        error=error,
    )
    write_aside(job.out / f"{job.report.name}.html", page)
