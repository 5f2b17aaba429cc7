"""What stands beside the reports: the index for readers, the manifest for machines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backpain_analysis.reporting.build import Job, Outcome
from backpain_analysis.reporting.crate import crate
from backpain_analysis.reporting.index import Entry, compare_page, index_page
from backpain_analysis.reporting.keys import made_from
from backpain_analysis.reporting.store import write_aside


def write_site(
    title: str, jobs: Sequence[Job], outcomes: Sequence[Outcome], out: Path, lead: str = ""
) -> None:
    """Write all that a site has beside its reports.

    That is ``index.html``, ``compare.html`` if a notebook was run more than once,
    ``manifest.json``, ``ro-crate-metadata.json`` and, apart because they vary, ``timings.json``.

    Parameters
    ----------
    title : str
    jobs, outcomes : sequence of Job, Outcome
        In the same order. Of an outcome it needs `report`, `answer`, `error`, `seconds` and
        `summary`, which are small; pages and notebooks are not read again.
    out : Path
    lead : str
        Clean HTML for the top of the index; by default the claims, if a report has them.
    """
    entries = [Entry(o.report, o.answer, o.error, o.summary) for o in outcomes]
    lead = lead or next(filter(None, (entry.summary["claims"] for entry in entries)), "")
    evidence = list(dict.fromkeys(job.evidence for job in jobs if job.evidence))
    write_aside(out / "index.html", index_page(title, entries, evidence, lead))
    _write_or_remove(out / "compare.html", compare_page(title, entries))
    reports = [_report(job, entry) for job, entry in zip(jobs, entries, strict=True)]
    _write_json(out / "manifest.json", {"title": title, "reports": reports})
    _write_json(out / "ro-crate-metadata.json", crate(title, reports))
    timings = {outcome.report.name: round(outcome.seconds, 2) for outcome in outcomes}
    _write_json(out / "timings.json", {"seconds": timings})


def _report(job: Job, entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.report.name,
        "title": entry.report.title,
        "file": f"{entry.report.name}.html",
        "question": entry.report.notebook.title,
        "answer": entry.answer or None,
        "status": "failed" if entry.error else "ok",
        "error": entry.error or None,
        "downloads": {
            "notebook": entry.summary["notebook"] or None,
            "tables": entry.summary["tables"],
        },
        **made_from(job),
    }


def _write_or_remove(path: Path, text: str) -> None:
    if text:
        write_aside(path, text)
    else:
        path.unlink(missing_ok=True)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_aside(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
