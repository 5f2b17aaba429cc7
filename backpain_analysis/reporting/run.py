"""Run a suite: plan it, build what is not finished, keep what comes, write the site."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import cache
from itertools import islice
from pathlib import Path
from threading import Lock

import nbformat

from backpain_analysis.reporting import warm
from backpain_analysis.reporting.cluster import Parcel, Scheduler, build_there, connect, pack_all
from backpain_analysis.reporting.errors import ReportingError, SuiteError
from backpain_analysis.reporting.facts import evidence_facts, gather_facts
from backpain_analysis.reporting.job import Built, Job, Outcome
from backpain_analysis.reporting.notebooks import load_notebook
from backpain_analysis.reporting.progress import Event, Listen
from backpain_analysis.reporting.site import write_site
from backpain_analysis.reporting.store import finished, keep, prepare
from backpain_analysis.reporting.suite import Suite


def run_suite(
    suite: Suite,
    out: Path,
    *,
    jobs: int | None = None,
    scheduler: Scheduler | None = None,
    fresh: bool = False,
    forked: bool = True,
    listen: Listen = lambda event: None,
) -> list[Outcome]:
    """Run every report of a suite that is not finished, and write its site.

    A report is finished if `out` holds it whole, made from the same notebook, parameters,
    evidence and versions (see `job.made_from`).

    Parameters
    ----------
    suite : Suite
        From `read_suite` or `notebook_suite`.
    out : Path
        The folder for ``index.html``, one page a report, ``manifest.json``, ``timings.json``.
    jobs : int, optional
        How many reports run at a time on this machine; by default one a processor.
    scheduler : Scheduler, optional
        A Dask cluster to run on; by default this machine does.
    fresh : bool
        Whether to run finished reports too.
    forked : bool
        Whether runs may start from an interpreter that has imported everything (see `warm`);
        otherwise each has a kernel started for it.
    listen : callable, optional
        Called with each event as it comes, one at a time.

    Returns
    -------
    list of Outcome
        In the suite's order. A report that fails has a page that shows why; the others stay.

    Raises
    ------
    SuiteError
        If an evidence folder cannot be read, before anything runs.
    ReportingError
        If the folder cannot be written or the cluster cannot be used. What is finished stays
        finished, and the same call goes on from there.
    """
    if forked and not scheduler:
        warm.start()
    planned = plan(suite)
    prepare(out)
    done = {} if fresh else finished(planned, out)
    todo = [job for job in planned if job.report.name not in done]
    parcels = pack_all(todo) if scheduler else {}
    kept = len(done)
    say = _one_at_a_time(listen)

    def tell(name: str, cell: int, cells: int) -> None:
        if name not in done:
            say(Event("cell", name, cell=cell, cells=cells))

    say(Event("begin", reports=len(planned), kept=kept))
    for name in done:
        say(Event("kept", name))
    try:
        for job, built in _build_all(todo, parcels, jobs, scheduler, forked, tell):
            keep(job, built, out)
            done[job.report.name] = built.outcome
            say(_ended(built.outcome))
        outcomes = [done[job.report.name] for job in planned]
        write_site(suite.title, planned, outcomes, out)
    except ReportingError as error:
        raise ReportingError(
            f"{error}\n{len(done)} of {len(planned)} reports are finished and stay in {out}; "
            "run the same again to go on from there"
        ) from error
    failed = sum(bool(outcome.error) for outcome in outcomes)
    say(Event("end", reports=len(planned), kept=kept, failed=failed))
    return outcomes


def plan(suite: Suite) -> list[Job]:
    """Make a job of each report, having looked at the evidence it is to read.

    Raises
    ------
    SuiteError
        If an evidence folder cannot be read.
    """
    facts = gather_facts()
    identify = cache(evidence_facts)
    source = cache(lambda path: nbformat.writes(load_notebook(path)))
    faults: dict[str, None] = {}
    jobs = []
    for report in suite.reports:
        path, evidence = report.evidence_path(suite.folder), None
        try:
            evidence = identify(path) if report.reads_evidence else None
        except (OSError, ValueError) as error:
            faults[f"evidence {path or '(bundled)'}: {error}"] = None
        jobs.append(Job(report, suite.title, source(report.notebook.path), evidence, path, facts))
    if faults:
        raise SuiteError(suite.source, list(faults))
    return jobs


def _build_all(
    todo: list[Job],
    parcels: dict[Path, Parcel],
    jobs: int | None,
    scheduler: Scheduler | None,
    forked: bool,
    tell: Callable[[str, int, int], None],
) -> Iterator[tuple[Job, Built]]:
    if not todo:
        return
    if scheduler:
        with connect(scheduler) as client:
            yield from build_there(client, todo, parcels, forked=forked, tell=tell)
    else:
        yield from build_here(todo, jobs or os.cpu_count() or 1, forked=forked, tell=tell)


def build_here(
    jobs: Iterable[Job],
    at_once: int,
    *,
    forked: bool = True,
    tell: Callable[[str, int, int], None] = lambda name, cell, cells: None,
) -> Iterator[tuple[Job, Built]]:
    """Build reports on this machine, a few at a time; whoever stops asking ends those that run.

    Parameters
    ----------
    jobs : iterable of Job
    at_once : int
        How many run at a time.
    forked : bool
        Whether runs may start warm; see `warm`.
    tell : callable
        Told a report's name, the number of the cell that begins, and of how many. Called from
        other threads.

    Yields
    ------
    job, built : Job, Built
        As they come. What could not be built has a page that says why.
    """
    pool = ThreadPoolExecutor(at_once)
    running: dict[Future[Built], Job] = {}
    waiting = iter(jobs)

    def submit(job: Job) -> Future[Built]:
        name, folder = job.report.name, job.report.notebook.path.parent
        return pool.submit(
            build_one, job, folder, forked=forked, tell=lambda *cell: tell(name, *cell)
        )

    try:
        while True:
            for job in islice(waiting, 2 * at_once - len(running)):
                running[submit(job)] = job
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        _end_runs()
        raise
    finally:
        pool.shutdown()


def build_one(job: Job, folder: Path, *, forked: bool, tell: Callable[[int, int], None]) -> Built:
    """Build a report, warm if it may; a builder that dies gets a second try."""
    if forked and warm.CAN_FORK:
        for _ in range(2):
            with suppress(warm.RunDied):
                return warm.warm_process().build(job, folder, tell)
    from backpain_analysis.reporting.build import build, give_up

    if forked and warm.CAN_FORK:
        return give_up(job, "The process that built this report died twice.")
    return build(job, folder, tell=tell)


def _end_runs() -> None:
    """End every run of this process."""
    warm.stop()
    if execute := sys.modules.get("backpain_analysis.reporting.execute"):
        execute.end_all()


def _ended(outcome: Outcome) -> Event:
    kind = "failed" if outcome.error else "done"
    return Event(kind, outcome.report.name, seconds=outcome.seconds, error=outcome.error)


def _one_at_a_time(listen: Listen) -> Listen:
    lock = Lock()

    def say(event: Event) -> None:
        with lock:
            listen(event)

    return say
