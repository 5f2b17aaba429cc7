"""A Dask cluster that is there already: reports are sent to it, and what a run reads with them."""

from __future__ import annotations

import logging
import socket
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from backpain_analysis.reporting.errors import ReportingError
from backpain_analysis.reporting.facts import library_hash, versions
from backpain_analysis.reporting.job import Built, Job

if TYPE_CHECKING:
    from dask.distributed import Client, Future

AHEAD = 2
"""Reports handed out per thread of a cluster: none of them idles, and few results wait here."""

LEAST_AHEAD = 4
PATIENCE = "20s"
TABLES = {".csv", ".parquet", ".xlsx", ".json"}


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


@dataclass(frozen=True)
class Parcel:
    """The evidence of a folder, or of a file if `folder` is empty, on its way to a worker."""

    folder: str
    content_hash: str
    files: dict[str, bytes]


def pack_all(jobs: Iterable[Job]) -> dict[Path, Parcel]:
    """Read the evidence of every job that has its own, as it is now, by its path."""
    hashes = {job.evidence_path: job.evidence.content_hash for job in jobs if job.evidence_path}
    return {path: _pack(path, content_hash) for path, content_hash in hashes.items()}


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
        raise ReportingError(f"{scheduler.address} cannot be used: {error}") from error
    with client:
        yield client


def build_there(
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
    from dask.distributed import as_completed

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


def work(job: Job, parcel: Parcel | None, forked: bool, topic: str) -> Built:
    """Build a report on a worker, and tell the topic of its cells as they begin.

    It runs in its notebook's folder where there is one of that path, as on a shared file system.

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

    if parcel:
        job = replace(job, evidence_path=unpack(parcel, Path(worker.local_directory)))
    home = job.report.notebook.path.parent
    place = nullcontext(home) if home.is_dir() else tempfile.TemporaryDirectory(prefix="backpain-")
    with place as folder:
        return build_one(job, Path(folder), forked=forked, tell=tell)


def check_same(job: Job) -> None:
    """See to it that a page names what made it.

    Raises
    ------
    ReportingError
        If this process has other versions than the one that asks.
    """
    wanted, here = job.facts.versions, versions()
    other = [
        f"{name} {here[name]}, not {wanted[name]}" for name in here if here[name] != wanted[name]
    ]
    if not other and library_hash() != job.facts.library_hash:
        other = ["backpain-analysis in another state of its files"]
    if other:
        raise ReportingError(
            f"the worker on {socket.gethostname()} has {'; '.join(other)}; "
            "install there what is installed here"
        )


def unpack(parcel: Parcel, place: Path) -> Path:
    """Put evidence where runs can read it, once on each worker, and return its path."""
    home = place / f"evidence-{parcel.content_hash}"
    if not home.exists():
        aside = Path(tempfile.mkdtemp(dir=place))
        (aside / parcel.folder).mkdir(exist_ok=True)
        for name, content in parcel.files.items():
            (aside / parcel.folder / name).write_bytes(content)
        with suppress(OSError):
            aside.rename(home)
    return home / (parcel.folder or next(iter(parcel.files)))


def _pack(path: Path, content_hash: str) -> Parcel:
    files = path.iterdir() if path.is_dir() else [path]
    tables = {file.name: file.read_bytes() for file in files if file.suffix.lower() in TABLES}
    return Parcel(path.name if path.is_dir() else "", content_hash, tables)


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
