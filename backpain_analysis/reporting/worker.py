"""What a worker does: receive a report's notebook and evidence, build it, say how far it is."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from dask.distributed import get_worker

from backpain_analysis.reporting import warm
from backpain_analysis.reporting.build import Built, Job, build
from backpain_analysis.reporting.errors import ReportingError
from backpain_analysis.reporting.facts import library_hash, versions

TABLES = {".csv", ".parquet", ".xlsx", ".json"}


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


def _pack(path: Path, content_hash: str) -> Parcel:
    files = path.iterdir() if path.is_dir() else [path]
    tables = {file.name: file.read_bytes() for file in files if file.suffix.lower() in TABLES}
    return Parcel(path.name if path.is_dir() else "", content_hash, tables)


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


def work(job: Job, parcel: Parcel | None, forked: bool, topic: str) -> Built:
    """Build a report, and tell the topic of its cells as they begin.

    It runs in its notebook's folder where there is one of that path, as on this machine or a
    shared file system. A run whose process dies is run again in a kernel of its own, which lives
    on to say at which cell it died.

    Raises
    ------
    ReportingError
        If this worker would not make what the process that asks would make.
    """
    check_same(job)
    worker = get_worker()

    def tell(cell: int, cells: int) -> None:
        worker.log_event(topic, (job.report.name, cell, cells))

    if parcel:
        job = replace(job, evidence_path=unpack(parcel, Path(worker.local_directory)))
    home = job.report.notebook.path.parent
    place = nullcontext(home) if home.is_dir() else tempfile.TemporaryDirectory(prefix="backpain-")
    with place as folder:
        if forked and warm.CAN_FORK:
            with suppress(warm.RunDied):
                return warm.zygote().run(job, Path(folder), tell)
        return build(job, Path(folder), tell=tell)


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
