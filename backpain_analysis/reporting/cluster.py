"""The one runner: Dask, on this machine or on any cluster it is pointed to."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from uuid import uuid4

from dask.distributed import Client, Future, KilledWorker, LocalCluster, Security, as_completed
from dask.system import CPU_COUNT

from backpain_analysis.reporting import warm
from backpain_analysis.reporting.build import Built, Job, give_up
from backpain_analysis.reporting.errors import ReportingError
from backpain_analysis.reporting.worker import Parcel, work

AHEAD = 2
"""Reports handed out per thread of a cluster: none of them idles, and few results wait here."""

LEAST_AHEAD = 4
PATIENCE = "20s"


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
def connect(jobs: int | None = None, scheduler: Scheduler | None = None) -> Iterator[Client]:
    """Connect to a cluster, or start one that fits this machine.

    Parameters
    ----------
    jobs : int, optional
        Reports at a time on this machine; by default one a processor.
    scheduler : Scheduler, optional
        A cluster that is there already.

    Raises
    ------
    ReportingError
        If the scheduler cannot be reached, or refuses.
    """
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with _remote(scheduler) if scheduler else _local(jobs or CPU_COUNT) as client:
        yield client


def build_all(
    client: Client,
    jobs: Iterable[Job],
    parcels: Mapping[Path, Parcel],
    *,
    forked: bool = True,
    tell: Callable[[str, int, int], None] = lambda name, cell, cells: None,
) -> Iterator[tuple[Job, Built]]:
    """Build reports on a cluster, which gets a few more at a time than it can work on.

    Parameters
    ----------
    client : Client
    jobs : iterable of Job
    parcels : mapping of Path to Parcel
        The evidence that is sent along, by `Job.evidence_path`.
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
    topic = f"backpain-{uuid4().hex}"
    client.subscribe_topic(topic, lambda event: tell(*event[1]))
    shipped = {path: _ship(client, parcel) for path, parcel in parcels.items()}
    running: dict[str, Job] = {}

    def submit(job: Job) -> Future:
        key = f"{topic}-{job.report.name}"
        running[key] = job
        return client.submit(work, job, shipped.get(job.evidence_path), forked, topic, key=key)

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


@contextmanager
def _remote(scheduler: Scheduler) -> Iterator[Client]:
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
        raise ReportingError(f"{scheduler.address} cannot be used: {error}") from error
    with client:
        yield client


@contextmanager
def _local(threads: int) -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=threads,
            processes=False,
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        try:
            yield client
        except BaseException:
            warm.stop()
            raise


def _ship(client: Client, parcel: Parcel) -> Future:
    """Hand evidence to a cluster; unlike scattered data it outlives the worker that holds it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return client.submit(_same, parcel, pure=False)


def _same(parcel: Parcel) -> Parcel:
    return parcel


def _room(client: Client) -> int:
    return max(AHEAD * sum(client.nthreads().values()), LEAST_AHEAD)


def _result(future: Future, job: Job) -> Built:
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
