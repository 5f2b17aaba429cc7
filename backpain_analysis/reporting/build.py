"""Build one report: run its notebook, render it, gather the files that stand for it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from pathlib import Path

import nbformat
from nbconvert.filters import strip_ansi

from backpain_analysis.reporting.downloads import Extras, extras_of
from backpain_analysis.reporting.execute import execute
from backpain_analysis.reporting.job import NOTHING, Built, Job, Outcome
from backpain_analysis.reporting.notebooks import answer_of
from backpain_analysis.reporting.page import report_page
from backpain_analysis.reporting.render import render_body


def build(
    job: Job,
    folder: Path,
    *,
    forked: bool = False,
    tell: Callable[[int, int], None] = lambda cell, cells: None,
) -> Built:
    """Build a report; a notebook that fails yields a page that shows where and why.

    A run whose kernel died is run once more: it may have been killed from outside.

    Parameters
    ----------
    job : Job
    folder : Path
        Where its notebook runs.
    forked, tell
        See `execute`.
    """
    start = time.monotonic()
    parameters = dict(job.report.parameters)
    if job.evidence_path:
        parameters["evidence"] = str(job.evidence_path)
    nb = nbformat.reads(job.source, as_version=4)
    execution = execute(nb, parameters, folder, forked=forked, tell=tell)
    if execution.died:
        execution = execute(nb, parameters, folder, forked=forked, tell=tell)
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
