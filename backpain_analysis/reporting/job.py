"""A job: one report and all that it is made from, with the key that changes when any of it does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

from backpain_analysis.reporting.facts import EvidenceFacts, Facts
from backpain_analysis.reporting.inputs import Input
from backpain_analysis.reporting.notebooks import parse_notebook
from backpain_analysis.reporting.suite import Report

DIED = "The kernel died; the machine may have run out of memory."
NOTHING: dict[str, Any] = {"notebook": "", "tables": [], "thumbnail": "", "claims": ""}
NOTHING |= {"sections": [], "others": []}


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
    inputs : tuple of Input
        The files it reads, its evidence's among them unless that is the bundled one.
    facts : Facts
        What computes.
    full_paths : bool
        Whether its page may show where files are on this machine.
    """

    report: Report
    suite_title: str
    source: str
    evidence: EvidenceFacts | None
    inputs: tuple[Input, ...]
    facts: Facts
    full_paths: bool = False


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
    elsewhere : tuple of str
        Files that it read though nobody named them (see `watch`).
    """

    report: Report
    error: str
    answer: str
    seconds: float
    summary: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    elsewhere: tuple[str, ...] = ()


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
        were `asked` for, `seed`, `evidence` (name, version, hash) and the `evidence_place`
        where its run finds it, `inputs` (SHA-256 by place), `versions`, `packages`, `commit`,
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
        "evidence_place": report.parameters.get("evidence") or None,
        "inputs": {each.place: each.sha256 for each in job.inputs},
        **job.facts.to_dict(),
    }


def key(job: Job) -> str:
    """Return the SHA-256 of what a report is made from and of what its page is called."""
    titles = [job.report.name, job.report.title, job.suite_title]
    shown = [asdict(job.report.limits), job.full_paths]
    return _digest([titles, shown, made_from(job)])


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
        for cell in parse_notebook(source).cells
    ]
    return _digest(cells)


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
