"""What a report is made from, and the key that changes when any of it does."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from functools import cache
from typing import Any

import nbformat

from backpain_analysis.reporting import page
from backpain_analysis.reporting.build import Job


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
    choices = page.choices(report)
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
