"""A Dask cluster that is there already: reports are sent to it, and what a run reads with them."""

from __future__ import annotations

import hashlib
import logging
import re
import socket
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from backpain_analysis.reporting.errors import ReportingError
from backpain_analysis.reporting.facts import library_hash, versions
from backpain_analysis.reporting.inputs import Input, home, packages, versions_here
from backpain_analysis.reporting.job import Built, Job

if TYPE_CHECKING:
    from dask.distributed import Client, Future

AHEAD = 2
"""Reports handed out per thread of a cluster: none of them idles, and few results wait here."""

LEAST_AHEAD = 4
PATIENCE = "20s"
WORKERS_COME = 30
"""Seconds in which a cluster's first worker has to come."""

LOOPBACK = {"127.0.0.1", "localhost", "[::1]"}


@dataclass(frozen=True)
class Scheduler:
    """Where a Dask scheduler listens.

    Attributes
    ----------
    address : str
        ``tcp://host:8786`` or ``tls://host:8786``.
    ca, cert, key : str, optional
        PEM files for TLS; what is not given is taken from Dask's own configuration.
    """

    address: str
    ca: str | None = None
    cert: str | None = None
    key: str | None = None


@contextmanager
def connect(scheduler: Scheduler) -> Iterator[Client]:
    """Connect to a cluster.

    Raises
    ------
    ReportingError
        If Dask is not installed, the scheduler cannot be reached, or refuses.
    """
    try:
        from dask.distributed import Client, Security
    except ImportError as error:
        raise ReportingError(
            "--scheduler needs Dask; install it with: pip install 'backpain-analysis[cluster]'"
        ) from error
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    files = {
        "tls_ca_file": scheduler.ca,
        "tls_client_cert": scheduler.cert,
        "tls_client_key": scheduler.key,
    }
    try:
        security = Security(**{option: file for option, file in files.items() if file})
        client = Client(
            scheduler.address, security=security, timeout=PATIENCE, set_as_default=False
        )
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise ReportingError(f"{scheduler.address} cannot be used: {said}") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=WORKERS_COME)
        except TimeoutError as error:
            raise ReportingError(
                f"{scheduler.address} has had no worker for {WORKERS_COME} s; start one with "
                f"`dask worker {scheduler.address}`"
            ) from error
        yield client


def is_open_to_others(scheduler: Scheduler) -> bool:
    """Whether who can reach a scheduler beyond this machine needs no certificate to use it."""
    host = re.sub(r"^\w+://|:\d+$", "", scheduler.address)
    return not scheduler.address.startswith("tls://") and host not in LOOPBACK


def build_there(
    client: Client,
    jobs: Iterable[Job],
    *,
    forked: bool = True,
    tell: Callable[[str, int, int], None] = lambda name, cell, cells: None,
) -> Iterator[tuple[Job, Built]]:
    """Build reports on a cluster, which gets a few more at a time than it can work on.

    Parameters
    ----------
    client : Client
    jobs : iterable of Job
        Their inputs are read and sent along, each once.
    forked : bool
        Whether runs may start warm; see `warm`.
    tell : callable
        Told a report's name, the number of the cell that begins, and of how many. Called from
        another thread.

    Yields
    ------
    job, built : Job, Built
        As they come. What could not be built has a page that says why.

    Raises
    ------
    ReportingError
        If the workers cannot make what this process would make, or the cluster is gone.
    """
    from dask.distributed import as_completed

    topic = f"backpain-{uuid4().hex}"
    client.subscribe_topic(topic, lambda event: tell(*event[1]))
    shipped: dict[str, Future] = {}
    running: dict[str, Job] = {}

    def submit(job: Job) -> Future:
        key = f"{topic}-{job.report.name}"
        running[key] = job
        for each in job.inputs:
            if each.sha256 not in shipped:
                shipped[each.sha256] = _ship(client, each)
        contents = {each.sha256: shipped[each.sha256] for each in job.inputs}
        return client.submit(work, job, contents, forked, topic, key=key)

    waiting = iter(jobs)
    done = as_completed(map(submit, islice(waiting, _room(client))), loop=client.loop)
    for future in done:
        job = running.pop(future.key)
        built = _result(future, job)
        for following in islice(waiting, max(_room(client) - len(running), 0)):
            done.add(submit(following))
        del future
        yield job, built
    client.unsubscribe_topic(topic)


def work(job: Job, contents: Mapping[str, bytes], forked: bool, topic: str) -> Built:
    """Build a report on a worker, and tell the topic of its cells as they begin.

    Raises
    ------
    ReportingError
        If this worker would not make what the process that asks would make.
    """
    from dask.distributed import get_worker

    from backpain_analysis.reporting.run import build_one

    check_same(job)
    worker = get_worker()

    def tell(cell: int, cells: int) -> None:
        worker.log_event(topic, (job.report.name, cell, cells))

    def source(each: Input) -> Path:
        return unpacked(each.sha256, contents[each.sha256])

    return build_one(job, forked=forked, tell=tell, source=source)


def unpacked(sha256: str, content: bytes) -> Path:
    """Put a file where runs can copy it from, once on each worker, and return its path."""
    place = home() / "received" / sha256
    if not place.exists():
        place.parent.mkdir(exist_ok=True)
        aside = place.with_name(f"{sha256}-{uuid4().hex}")
        aside.write_bytes(content)
        aside.replace(place)
    return place


def check_same(job: Job) -> None:
    """See to it that a page names what made it.

    Raises
    ------
    ReportingError
        If this process has other versions than the one that asks.
    """
    wanted = {**job.facts.packages, "python": job.facts.versions["python"]}
    here = {**packages(), **versions_here(wanted), "python": versions()["python"]}
    other = [
        f"{name} {here.get(name, 'not at all')}, not {wanted.get(name, 'at all')}"
        for name in sorted({*wanted, *here})
        if here.get(name) != wanted.get(name)
    ]
    if not other and library_hash() != job.facts.library_hash:
        other = ["backpain-analysis in another state of its files"]
    if other:
        raise ReportingError(
            f"the worker on {socket.gethostname()} has {'; '.join(other)}; "
            "install there what is installed here"
        )


def _ship(client: Client, each: Input) -> Future:
    """Hand a file to a cluster; unlike scattered data it outlives the worker that holds it."""
    try:
        content = each.path.read_bytes()
    except OSError as error:
        raise ReportingError(f"{each.path} cannot be read: {error.strerror or error}") from error
    if hashlib.sha256(content).hexdigest() != each.sha256:
        raise ReportingError(f"{each.path} has changed since the suite began; run it again")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return client.submit(_same, content, pure=False)


def _same(content: bytes) -> bytes:
    return content


def _room(client: Client) -> int:
    return max(AHEAD * sum(client.nthreads().values()), LEAST_AHEAD)


def _result(future: Future, job: Job) -> Built:
    from dask.distributed import KilledWorker

    from backpain_analysis.reporting.build import give_up

    if future.status in ("cancelled", "lost"):
        raise ReportingError("the scheduler is gone")
    match failure := future.exception():
        case None:
            return future.result()
        case ReportingError():
            raise failure
        case ModuleNotFoundError():
            raise ReportingError(f"a worker lacks what reports need: {failure}")
        case KilledWorker():
            return give_up(job, "Every worker that ran this report was lost.")
    return give_up(job, f"{type(failure).__name__}: {failure}")
