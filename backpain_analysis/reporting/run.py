"""Build a suite: execute each report, render it, write pages, index and manifest."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from multiprocessing import get_context
from pathlib import Path

from backpain_analysis.reporting.build import Job, Outcome, build, give_up
from backpain_analysis.reporting.errors import ReportingError, SuiteError
from backpain_analysis.reporting.facts import evidence_facts, gather_facts
from backpain_analysis.reporting.site import write_site
from backpain_analysis.reporting.suite import Suite


def run_suite(
    suite: Suite,
    out: Path,
    *,
    jobs: int | None = None,
    progress: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Run every report of a suite and write its site.

    Parameters
    ----------
    suite : Suite
        From `read_suite` or `notebook_suite`.
    out : Path
        The folder for ``index.html``, one page a report, ``manifest.json``, ``timings.json``.
    jobs : int, optional
        How many reports run at a time; by default one a processor.
    progress : callable, optional
        Called with each outcome as it comes.

    Returns
    -------
    list of Outcome
        In the suite's order. A report that fails has a page that shows why; the others stay.

    Raises
    ------
    SuiteError
        If an evidence folder cannot be read, before anything runs.
    """
    planned = plan(suite, out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReportingError(f"the output folder cannot be made: {error}") from error
    outcomes = {}
    for outcome in _build_all(planned, jobs or os.cpu_count() or 1):
        outcomes[outcome.report.name] = outcome
        progress(outcome)
    ordered = [outcomes[job.report.name] for job in planned]
    write_site(suite.title, planned, ordered, out)
    return ordered


def plan(suite: Suite, out: Path) -> list[Job]:
    """Make a job of each report, having looked at the evidence it is to read.

    Raises
    ------
    SuiteError
        If an evidence folder cannot be read.
    """
    facts = gather_facts()
    identify = cache(evidence_facts)
    faults: dict[str, None] = {}
    jobs = []
    for report in suite.reports:
        path, evidence = report.evidence_path(suite.folder), None
        try:
            evidence = identify(path) if report.reads_evidence else None
        except (OSError, ValueError) as error:
            faults[f"evidence {path or '(bundled)'}: {error}"] = None
        jobs.append(Job(report, suite.title, path, evidence, facts, out))
    if faults:
        raise SuiteError(suite.source, list(faults))
    return jobs


def _build_all(planned: list[Job], at_a_time: int) -> Iterator[Outcome]:
    workers = min(at_a_time, len(planned))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(build, job): job for job in planned}
        for future in as_completed(waiting):
            failure = future.exception()
            if failure is None:
                yield future.result()
            elif isinstance(failure, BrokenProcessPool):
                yield give_up(waiting[future], "The process that ran this report was ended.")
            else:
                yield give_up(waiting[future], f"{type(failure).__name__}: {failure}")
