"""Run a suite: plan it, build what is not finished, keep what comes, write the site."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import cache, partial
from itertools import islice
from pathlib import Path
from threading import Lock

from backpain_analysis.reporting import pictures, warm
from backpain_analysis.reporting.cluster import Scheduler, build_there, connect
from backpain_analysis.reporting.errors import ReportingError, SuiteError
from backpain_analysis.reporting.facts import evidence_facts, gather_facts
from backpain_analysis.reporting.inputs import (
    Input,
    beside,
    imported,
    laid_out,
    of_parameter,
    taken,
)
from backpain_analysis.reporting.job import DIED, Built, Job, Outcome
from backpain_analysis.reporting.notebooks import (
    check_kernel,
    code_of,
    load_notebook,
    parse_notebook,
)
from backpain_analysis.reporting.page import neighbours, turned
from backpain_analysis.reporting.progress import Event, Listen
from backpain_analysis.reporting.schemas import nbformat
from backpain_analysis.reporting.site import write_site
from backpain_analysis.reporting.store import finished, keep, see_all, taken_folder
from backpain_analysis.reporting.suite import Report, Suite

EXECUTE = "backpain_analysis.reporting.execute"
"""Imported only by a process that builds reports itself."""


def run_suite(
    suite: Suite,
    out: Path,
    *,
    jobs: int | None = None,
    scheduler: Scheduler | None = None,
    fresh: bool = False,
    forked: bool = True,
    force: bool = False,
    full_paths: bool = False,
    listen: Listen = lambda event: None,
) -> list[Outcome]:
    """Run every report of a suite that is not finished, and write its site.

    A report is finished if `out` holds it whole, made from the same notebook, parameters,
    files and versions (see `job.made_from`). Each run works in a folder of its own that holds a
    copy of what it reads (see `inputs`).

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
    force : bool
        Whether pages in `out` that are not ours may be written over.
    full_paths : bool
        Whether tracebacks on pages may show where files are on this machine.
    listen : callable, optional
        Called with each event as it comes, one at a time.

    Returns
    -------
    list of Outcome
        In the suite's order. A report that fails has a page that shows why; the others stay.

    Raises
    ------
    SuiteError
        If evidence or a file cannot be read, before anything runs.
    ReportingError
        If the folder cannot be written or is another run's, or the cluster cannot be used. What
        is finished stays finished, and the same call goes on from there.
    """
    if forked and not scheduler:
        warm.start()
    planned = plan(suite, full_paths=full_paths)
    with taken_folder(out, [job.report.name for job in planned], force=force):
        return _run(suite.title, planned, out, jobs, scheduler, fresh, forked, listen)


def _run(
    title: str,
    planned: list[Job],
    out: Path,
    jobs: int | None,
    scheduler: Scheduler | None,
    fresh: bool,
    forked: bool,
    listen: Listen,
) -> list[Outcome]:
    done = {} if fresh else finished(planned, out)
    todo = [job for job in planned if job.report.name not in done]
    kept = len(done)
    say = _one_at_a_time(listen)

    def tell(name: str, cell: int, cells: int) -> None:
        if name not in done:
            say(Event("cell", name, cell=cell, cells=cells))

    say(Event("begin", reports=len(planned), kept=kept))
    for name in done:
        say(Event("kept", name))
    try:
        beside = neighbours([job.report for job in planned])
        for job, built in _build_all(todo, jobs, scheduler, forked, tell):
            page = f"{job.report.name}.html"
            whole = turned(built.files[page], *beside[job.report.name])
            keep(job, replace(built, files={**built.files, page: whole}), out)
            done[job.report.name] = built.outcome
            say(_ended(built.outcome))
        outcomes = [done[job.report.name] for job in planned]
        write_site(title, planned, outcomes, out)
        see_all(planned, out)
    except ReportingError as error:
        raise ReportingError(
            f"{error}\n{len(done)} of {len(planned)} reports are finished and stay in {out}; "
            "run the same again to go on from there"
        ) from error
    failed = sum(bool(outcome.error) for outcome in outcomes)
    say(Event("end", reports=len(planned), kept=kept, failed=failed))
    return outcomes


def plan(suite: Suite, *, full_paths: bool = False) -> list[Job]:
    """Make a job of each report, having looked at all that it is to read.

    Raises
    ------
    SuiteError
        If evidence or a file cannot be read.
    """
    identify = cache(evidence_facts)
    source = cache(lambda path: nbformat.writes(load_notebook(path)))
    named = cache(lambda path: _named(path, source(path)))
    faults: dict[str, None] = {}
    read: dict[Path, dict[str, Path]] = {}
    made = []
    for report in suite.reports:
        try:
            check_kernel(report.notebook, parse_notebook(source(report.notebook.path)))
        except ReportingError as error:
            faults[str(error)] = None
            continue
        path = report.evidence_path(suite.folder)
        try:
            evidence = identify(path) if report.reads_evidence else None
        except (OSError, ValueError) as error:
            faults[f"evidence {path or '(bundled)'}: {error}"] = None
            continue
        try:
            report, given = _with_places(report, suite.folder)
            read[report.notebook.path] = named(report.notebook.path)
            inputs = taken({**read[report.notebook.path], **report.files, **given})
        except (OSError, ReportingError) as error:
            faults[f"{report.name}: {error}"] = None
            continue
        text = source(report.notebook.path)
        made.append(partial(Job, report, suite.title, text, evidence, inputs))
    if faults:
        raise SuiteError(suite.source, list(faults))
    facts = gather_facts(imported("\n".join(_code(source, read))))
    return [make(facts=facts, full_paths=full_paths) for make in made]


def _code(source: Callable[[Path], str], read: Mapping[Path, Mapping[str, Path]]) -> Iterator[str]:
    """Give the code of notebooks, and of the modules that they read."""
    for notebook, files in read.items():
        yield from code_of(source(notebook))
        for path in files.values():
            if path.suffix == ".py":
                yield path.read_text(encoding="utf-8", errors="replace")


def _named(path: Path, source: str) -> dict[str, Path]:
    """Find the files that a notebook's code and prose name."""
    prose = [cell.source for cell in parse_notebook(source).cells if cell.cell_type == "markdown"]
    return {**pictures.beside(path, prose), **beside(path, code_of(source))}


def _with_places(report: Report, folder: Path) -> tuple[Report, dict[str, Path]]:
    """Find the files that a report's parameters name, and tell it where its run finds them."""
    files: dict[str, Path] = {}
    told = {}
    for name, value in report.choices().items():
        base = folder if name in report.parameters else report.notebook.path.parent
        value_told, found = of_parameter(name, value, report.origins.get(name, base))
        files |= found
        if name in report.parameters or value_told != value:
            told[name] = value_told
    return replace(report, parameters=told), files


def _build_all(
    todo: list[Job],
    jobs: int | None,
    scheduler: Scheduler | None,
    forked: bool,
    tell: Callable[[str, int, int], None],
) -> Iterator[tuple[Job, Built]]:
    if not todo:
        return
    if scheduler:
        with connect(scheduler) as client:
            yield from build_there(client, todo, forked=forked, tell=tell)
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
    if execute := sys.modules.get(EXECUTE):
        execute.go_on()
    pool = ThreadPoolExecutor(at_once)
    running: dict[Future[Built], Job] = {}
    waiting = iter(jobs)

    def submit(job: Job) -> Future[Built]:
        name = job.report.name
        return pool.submit(build_one, job, forked=forked, tell=lambda *cell: tell(name, *cell))

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


def build_one(
    job: Job,
    *,
    forked: bool,
    tell: Callable[[int, int], None],
    source: Callable[[Input], Path] = lambda each: each.path,
) -> Built:
    """Build a report in a folder of its own, warm if it may.

    A run that dies may have been killed from outside, and gets a second try.

    Parameters
    ----------
    job : Job
    forked, tell
        See `build_here`.
    source : callable
        Says where the content of an input is.
    """
    from backpain_analysis.reporting.build import build, give_up

    built = give_up(job, "The process that built this report died twice.")
    for _ in range(2):
        with laid_out(job.inputs, source) as folder:
            if not (forked and warm.CAN_FORK and job.report.notebook.language == "python"):
                built = build(job, folder, tell=tell)
            else:
                try:
                    built = warm.warm_process().build(job, folder, tell)
                except warm.RunDied:
                    continue
                except warm.Overdue:
                    return give_up(job, "The report was not built within its run's limit.")
        if built.outcome.error != DIED:
            break
    return built


def _end_runs() -> None:
    """End every run of this process."""
    if execute := sys.modules.get(EXECUTE):
        execute.end_all()
    warm.stop()


def _ended(outcome: Outcome) -> Event:
    kind = "failed" if outcome.error else "done"
    return Event(kind, outcome.report.name, seconds=outcome.seconds, error=outcome.error)


def _one_at_a_time(listen: Listen) -> Listen:
    lock = Lock()

    def say(event: Event) -> None:
        with lock:
            listen(event)

    return say
