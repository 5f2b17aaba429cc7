"""A job: one report and all that it is made from, with the key that changes when any of it does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import nbformat

from backpain_analysis.reporting.facts import EvidenceFacts, Facts
from backpain_analysis.reporting.suite import Report

NOTHING: dict[str, Any] = {"notebook": "", "tables": [], "thumbnail": "", "claims": ""}


@dataclass(frozen=True)
class Job:
    """One report, and all that a worker must know to build it.

    Attributes
    ----------
    report : Report
    suite_title : str
    source : str
        The notebook's JSON, as it was when the suite began.
    evidence : EvidenceFacts or None
        The evidence the report reads, if any.
    evidence_path : Path or None
        Where it is, if it is not the bundled one.
    facts : Facts
        What computes.
    """

    report: Report
    suite_title: str
    source: str
    evidence: EvidenceFacts | None
    evidence_path: Path | None
    facts: Facts


@dataclass(frozen=True)
class Outcome:
    """How a report ended.

    Attributes
    ----------
    report : Report
    error : str
        Why it ended early; empty if it was finished.
    answer : str
        Markdown of the notebook's answer, if it gives one (see `build.answer_of`).
    seconds : float
        How long it took.
    summary : mapping
        What stands beside its page (see `downloads.Extras`).
    """

    report: Report
    error: str
    answer: str
    seconds: float
    summary: Mapping[str, Any] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True)
class Built:
    """A report's outcome and its files' content by path relative to the site's folder."""

    outcome: Outcome
    files: dict[str, bytes]


def made_from(job: Job) -> dict[str, Any]:
    """Return what a report is made from: nothing in it depends on when or where it was made.

    Returns
    -------
    dict
        `notebook` and `notebook_hash`, `parameters` but for the evidence's path, which of them
        were `asked` for, `seed`, `evidence` (name, version, hash), `versions`, `commit`,
        `library_hash`.
    """
    report = job.report
    choices = report.told()
    return {
        "notebook": report.notebook.name,
        "notebook_hash": notebook_hash(job.source),
        "parameters": choices,
        "asked": [name for name in report.parameters if name in choices],
        "seed": choices.get("seed"),
        "evidence": asdict(job.evidence) if job.evidence else None,
        **job.facts.to_dict(),
    }


def key(job: Job) -> str:
    """Return the SHA-256 of what a report is made from and of what its page is called."""
    titles = [job.report.name, job.report.title, job.suite_title]
    return _digest([titles, made_from(job)])


@cache
def notebook_hash(source: str) -> str:
    """Return the SHA-256 of a notebook's cells; outputs and a viewer's marks do not count.

    Parameters
    ----------
    source : str
        The notebook's JSON.
    """
    cells = [
        [cell.cell_type, cell.source, cell.metadata.get("tags", []), cell.get("attachments", {})]
        for cell in nbformat.reads(source, as_version=4).cells
    ]
    return _digest(cells)


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
