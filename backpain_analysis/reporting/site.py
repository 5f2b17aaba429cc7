"""What stands beside the reports: the index for readers, the manifest for machines."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from backpain_analysis.reporting.build import Job, Outcome, write_aside
from backpain_analysis.reporting.page import Entry, choices, index_page


def write_site(title: str, jobs: list[Job], outcomes: list[Outcome], out: Path) -> None:
    """Write ``index.html``, ``manifest.json`` and, apart because they vary, ``timings.json``."""
    evidence = list(dict.fromkeys(job.evidence for job in jobs if job.evidence))
    entries = [Entry(outcome.report, outcome.answer, outcome.error) for outcome in outcomes]
    write_aside(out / "index.html", index_page(title, entries, evidence))
    reports = [_entry(job, outcome) for job, outcome in zip(jobs, outcomes, strict=True)]
    _write_json(out / "manifest.json", {"title": title, "reports": reports})
    timings = {outcome.report.name: round(outcome.seconds, 2) for outcome in outcomes}
    _write_json(out / "timings.json", {"seconds": timings})


def _entry(job: Job, outcome: Outcome) -> dict[str, Any]:
    return {
        "name": job.report.name,
        "title": job.report.title,
        "file": f"{job.report.name}.html",
        "notebook": job.report.notebook.name,
        "parameters": choices(job.report),
        "answer": outcome.answer or None,
        "status": "failed" if outcome.error else "ok",
        "error": outcome.error or None,
        "evidence": asdict(job.evidence) if job.evidence else None,
        **job.facts.to_dict(),
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_aside(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
