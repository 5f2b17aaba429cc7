"""What is finished and where: files that are never half there, and a record a finished report."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from backpain_analysis.reporting.errors import ReportingError
from backpain_analysis.reporting.job import Built, Job, Outcome, key

RECORDS = ".finished"


def write_aside(path: Path, content: str | bytes) -> None:
    """Write a file under another name, then move it into place: it is never half there.

    Raises
    ------
    ReportingError
        If it cannot be written; what was there before still is.
    """
    aside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        with suppress(OSError):
            aside.unlink()
        raise ReportingError(f"{path} cannot be written: {error.strerror or error}") from error


def prepare(out: Path) -> None:
    """Make a site's folder, and take away what an ended run left half written.

    Raises
    ------
    ReportingError
        If it cannot be made, or nothing can be written to it.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        for part in out.rglob(".*.part"):
            part.unlink()
    except OSError as error:
        raise ReportingError(f"the output folder cannot be made: {error}") from error
    write_aside(out / RECORDS / "README.txt", "What `backpain report run` need not do again.\n")


def keep(job: Job, built: Built, out: Path) -> None:
    """Put a report's files in their places, then record it as finished.

    Raises
    ------
    ReportingError
        If a file cannot be written; the report then counts as not done.
    """
    name, before = job.report.name, _record(out, job.report.name)
    for file, content in built.files.items():
        write_aside(out / file, content)
    outcome = built.outcome
    record = {
        "key": key(job),
        "files": {file: hashlib.sha256(data).hexdigest() for file, data in built.files.items()},
        "error": outcome.error,
        "answer": outcome.answer,
        "seconds": outcome.seconds,
        "summary": dict(outcome.summary),
    }
    write_aside(out / RECORDS / f"{name}.json", json.dumps(record))
    for file in before.get("files", {}).keys() - built.files.keys():
        (out / file).unlink(missing_ok=True)


def finished(jobs: Sequence[Job], out: Path) -> dict[str, Outcome]:
    """Find the reports that are finished as asked, from the same inputs, with their files whole.

    Returns
    -------
    dict of str to Outcome
        By name. A report that failed is not finished.
    """
    found = {}
    for job in jobs:
        record = _record(out, job.report.name)
        if record and not record["error"] and record["key"] == key(job) and _whole(record, out):
            found[job.report.name] = Outcome(
                job.report, "", record["answer"], record["seconds"], record["summary"]
            )
    return found


def _record(out: Path, name: str) -> dict[str, Any]:
    try:
        return json.loads((out / RECORDS / f"{name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _whole(record: dict[str, Any], out: Path) -> bool:
    try:
        return all(
            hashlib.sha256((out / file).read_bytes()).hexdigest() == digest
            for file, digest in record["files"].items()
        )
    except OSError:
        return False
