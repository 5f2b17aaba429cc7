"""A site's folder: whose turn it is, files that are never half there, and what is finished."""

from __future__ import annotations

import errno
import getpass
import hashlib
import json
import os
import socket
import stat
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from backpain_analysis.reporting.errors import ReportingError
from backpain_analysis.reporting.job import Built, Job, Outcome, key
from backpain_analysis.reporting.page import turned
from backpain_analysis.reporting.reading import read_plain
from backpain_analysis.reporting.received import Record, is_of, read_record, seal

RECORDS = ".finished"
FOLDERS = ("notebooks", "tables", "figures", "thumbnails", "workbooks", "references", RECORDS)
OURS = b'<meta name="generator" content="backpain-analysis">'
HEAD = 4096
PART = ".backpain-part"


def write_aside(path: Path, content: str | bytes) -> None:
    """Write a file under another name, then move it into place: it is never half there.

    Raises
    ------
    ReportingError
        If it cannot be written; what was there before still is.
    """
    aside = path.with_name(f".{path.name}{PART}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.unlink(missing_ok=True)
        with aside.open("xb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        with suppress(OSError):
            aside.unlink()
        raise ReportingError(f"{path} cannot be written: {error.strerror or error}") from error


@contextmanager
def taken_folder(out: Path, names: Iterable[str], *, force: bool = False) -> Iterator[None]:
    """Have a site's folder to oneself, clear of what an ended run left half written.

    Parameters
    ----------
    out : Path
        Made if need be.
    names : iterable of str
        The reports that are to be written.
    force : bool
        Whether files that are not ours may be written over.

    Raises
    ------
    ReportingError
        If it cannot be made or written to, another run writes to it, it leads elsewhere by
        symbolic links, or a file of another origin would be written over.
    """
    try:
        (out / RECORDS).mkdir(parents=True, exist_ok=True)
        folders = [*(out / name for name in FOLDERS), *(out / "tables").glob("*")]
        if linked := [folder for folder in folders if folder.is_symlink()]:
            raise ReportingError(f"{linked[0]} is a symbolic link; a site writes to none")
        lock = _open_lock(out / RECORDS / "lock")
    except OSError as error:
        raise ReportingError(f"the output folder cannot be made: {error}") from error
    with lock:
        if not _lock(lock):
            raise ReportingError(f"{out} is being written to by {_holder(lock)}; wait for its end")
        _sign(lock)
        if not force:
            _refuse_foreign(out, names)
        _remove_parts(out)
        write_aside(out / RECORDS / "README.txt", "What `backpain report run` need not do again.\n")
        yield


def _open_lock(path: Path) -> IO[str]:
    """Open the file of the lock; what a link of that name leads to is not touched."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    handle = os.open(path, flags, 0o666)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is no plain file", str(path))
    return open(handle, "r+", encoding="utf-8", errors="replace")


def _lock(file: IO[str]) -> bool:
    """Take a lock that the system gives back however this process ends."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sign(lock: IO[str]) -> None:
    """Write down who holds the lock since when."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "unknown"
    since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    with suppress(OSError):
        lock.seek(0)
        lock.truncate()
        lock.write(f"process {os.getpid()} of {user} on {socket.gethostname()} since {since}")
        lock.flush()


def _holder(lock: IO[str]) -> str:
    for _ in range(20):  # it may just have begun
        with suppress(OSError, ValueError):
            lock.seek(0)
            if said := " ".join(lock.read(300).split()):
                return said
        time.sleep(0.05)
    return "another run"


def _refuse_foreign(out: Path, names: Iterable[str]) -> None:
    """See to it that nothing of another origin is written over."""
    pages = [out / f"{name}.html" for name in ("index", "compare", *names)]
    foreign = [
        page
        for page in pages
        if page.exists() and not is_ours(page) and not _record(out, page.stem)
    ]
    if not (out / "index.html").exists():
        others = ("manifest.json", "ro-crate-metadata.json", "timings.json")
        known = (out / RECORDS / "README.txt").exists()
        foreign += [out / name for name in others if (out / name).exists() and not known]
    if foreign:
        more = f" and {len(foreign) - 1} more files are" if len(foreign) > 1 else " is"
        raise ReportingError(
            f"{foreign[0]}{more} not from backpain-analysis; choose another folder with --out, "
            "or say --force to write over them"
        )


def is_ours(page: Path) -> bool:
    """Whether a page was made by this package."""
    if not page.is_file():
        return False
    try:
        with page.open("rb") as file:
            return OURS in file.read(HEAD)
    except OSError:
        return False


def stale_pages(out: Path, names: Iterable[str]) -> list[str]:
    """Name the pages in a folder that an earlier suite made and this one does not have."""
    wanted = {f"{name}.html" for name in ("index", "compare", *names)}
    return sorted(
        page.name for page in out.glob("*.html") if page.name not in wanted and is_ours(page)
    )


def _remove_parts(out: Path) -> None:
    """Remove what we had begun to write when we were ended."""
    for pattern in ("", *(f"{folder}/" for folder in FOLDERS), "tables/*/", "figures/*/"):
        for part in out.glob(f"{pattern}.*{PART}"):
            with suppress(OSError):
                part.unlink()


def keep(job: Job, built: Built, out: Path) -> None:
    """Put a report's files in their places, then record it as finished.

    Raises
    ------
    ReportingError
        If a file cannot be written; the report then counts as not done.
    """
    name = job.report.name
    before = _record(out, name)
    for file, content in built.files.items():
        write_aside(out / file, content)
    outcome = built.outcome
    record = {
        "key": key(job),
        "files": {file: _digest(file, data) for file, data in built.files.items()},
        "error": outcome.error,
        "answer": outcome.answer,
        "seconds": outcome.seconds,
        "summary": dict(outcome.summary),
        "again": bool(outcome.error or outcome.elsewhere),
    }
    record["seal"] = seal(record)
    write_aside(out / RECORDS / f"{name}.json", json.dumps(record))
    for file in (before.files.keys() if before else set()) - built.files.keys():
        if is_of(file, name):
            with suppress(OSError):
                (out / file).unlink(missing_ok=True)


def finished(jobs: Sequence[Job], out: Path) -> dict[str, Outcome]:
    """Find the reports that are finished as asked, from the same inputs, with their files whole.

    Returns
    -------
    dict of str to Outcome
        By name. A report that failed, or has read what nobody named, is not finished.
    """
    found = {}
    for job in jobs:
        record = _record(out, job.report.name)
        if record and not record.again and record.key == key(job) and _whole(record, out):
            found[job.report.name] = Outcome(
                job.report, "", record.answer, record.seconds, record.summary.model_dump()
            )
    return found


def see_all(jobs: Sequence[Job], out: Path) -> None:
    """See to it that every page that was written is still there.

    Raises
    ------
    ReportingError
        If one is not, as when somebody has removed it meanwhile.
    """
    gone = [job.report.name for job in jobs if not (out / f"{job.report.name}.html").is_file()]
    if gone:
        named = ", ".join(f"{name}.html" for name in gone[:5])
        raise ReportingError(f"{len(gone)} pages were removed while the suite ran: {named}")


def _record(out: Path, name: str) -> Record | None:
    return read_record(out / RECORDS / f"{name}.json", name)


def _digest(file: str, content: bytes) -> str:
    """Return the SHA-256 of a file; which reports stand beside a page is no part of it."""
    content = turned(content, None, None) if file.endswith(".html") else content
    return hashlib.sha256(content).hexdigest()


def _whole(record: Record, out: Path) -> bool:
    try:
        return all(
            _digest(file, read_plain(out / file)) == digest for file, digest in record.files.items()
        )
    except OSError:
        return False
