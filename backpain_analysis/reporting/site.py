"""What stands beside the reports: the index for readers, manifest and crate for machines."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backpain_analysis.reporting.job import Job, Outcome, made_from
from backpain_analysis.reporting.page import (
    Entry,
    compare_page,
    index_page,
    neighbours,
    turned,
)
from backpain_analysis.reporting.reading import read_plain
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
    packages = jobs[0].facts.packages if jobs else {}
    _write_json(out / "manifest.json", {"title": title, "packages": packages, "reports": reports})
    _write_json(out / "ro-crate-metadata.json", crate(title, reports))
    beside = neighbours([job.report for job in jobs])
    for name, others in beside.items():
        page = out / f"{name}.html"
        content = read_plain(page) if page.is_file() else b""
        if (whole := turned(content, *others)) != content:
            write_aside(page, whole)
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
            "others": entry.summary["others"],
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


SPECIFICATION = "https://w3id.org/ro/crate/1.1"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
PAGE, NOTEBOOK, TABLE = "text/html", "application/x-ipynb+json", "text/csv"
KINDS = {
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".svg": "image/svg+xml",
    ".bib": "application/x-bibtex",
    ".ris": "application/x-research-info-systems",
}
STATUS = {
    "ok": "http://schema.org/CompletedActionStatus",
    "failed": "http://schema.org/FailedActionStatus",
}
TERMS = {
    "@id": "#terms",
    "@type": "CreativeWork",
    "name": "Terms of use",
    "description": "Whoever publishes this site decides on them. The software that made it is "
    "under the BSD 3-Clause License; the numbers read belong to the sources they cite.",
}

Entity = dict[str, Any]


def crate(title: str, reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Describe a site: its files, and which run of which notebook made them.

    The date of publication is today, or the day of the environment variable SOURCE_DATE_EPOCH.

    Parameters
    ----------
    title : str
        The site's title.
    reports : sequence of mappings
        The reports of the manifest.

    Returns
    -------
    dict
        JSON-LD, for ``ro-crate-metadata.json``.
    """
    entities: dict[str, Entity] = {}
    for report in reports:
        entities |= {entity["@id"]: entity for entity in _run(report)}
    index = _file("index.html", f"{title}: all reports", PAGE)
    manifest = _file("manifest.json", "Parameters, hashes and versions", "application/json")
    parts = [index, manifest, *(e for e in entities.values() if e["@type"] == "File")]
    actions = [entity for entity in entities.values() if entity["@type"] == "CreateAction"]
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": title,
        "description": f"Reports built from notebooks: {len(reports)}, each a page that holds "
        "everything it needs, with its tables and the notebook as it was run.",
        "datePublished": _today(),
        "license": _id(TERMS),
        "conformsTo": {"@id": PROFILE},
        "mainEntity": _id(index),
        "hasPart": _ids(parts),
        "mentions": _ids(actions),
    }
    descriptor = {
        "@id": "ro-crate-metadata.json",
        "@type": "CreativeWork",
        "conformsTo": {"@id": SPECIFICATION},
        "about": _id(root),
    }
    profile = {
        "@id": PROFILE,
        "@type": "CreativeWork",
        "name": "Process Run Crate",
        "version": "0.5",
    }
    graph = [descriptor, root, profile, TERMS, index, manifest, *entities.values()]
    return {"@context": f"{SPECIFICATION}/context", "@graph": graph}


def _run(report: Mapping[str, Any]) -> Iterator[Entity]:
    """Describe a report's files and the run that made them; what runs share has the same id."""
    software = _software("backpain-analysis", report["versions"])
    notebook = {
        "@id": f"#notebook-{report['notebook']}",
        "@type": ["SoftwareSourceCode", "SoftwareApplication"],
        "name": report["question"],
        "identifier": report["notebook"],
        "programmingLanguage": "Python",
        "softwareRequirements": _id(software),
        "version": f"sha256:{report['notebook_hash']}",
    }
    evidence = list(_evidence(report["evidence"]))
    results = [_file(report["file"], report["title"], PAGE)]
    downloads = report["downloads"]
    if downloads["notebook"]:
        name = f"{report['title']}: the notebook as it was run"
        results.append(_file(downloads["notebook"], name, NOTEBOOK))
    results += [
        _file(table["file"], f"{report['title']}: {table['title']}", TABLE)
        for table in downloads["tables"]
    ]
    results += [
        _file(other["file"], f"{report['title']}: {other['title']}", KINDS[other["file"][-4:]])
        for other in downloads["others"]
    ]
    values = [
        {
            "@id": f"#{report['name']}-{name}",
            "@type": "PropertyValue",
            "name": name,
            "value": "" if value is None else value if _is_plain(value) else str(value),
        }
        for name, value in report["parameters"].items()
    ]
    action = {
        "@id": f"#run-{report['name']}",
        "@type": "CreateAction",
        "name": report["title"],
        "description": report["answer"] or report["question"],
        "instrument": _id(notebook),
        "object": _ids([*evidence, *values]),
        "result": _ids(results),
        "actionStatus": STATUS[report["status"]],
    }
    if report["error"]:
        action["error"] = report["error"]
    yield from [software, notebook, *evidence, *results, *values, action]


def _software(name: str, versions: Mapping[str, str]) -> Entity:
    others = ", ".join(f"{other} {v}" for other, v in versions.items() if other != name)
    return {
        "@id": f"#software-{name}",
        "@type": "SoftwareApplication",
        "name": name,
        "softwareVersion": versions[name],
        "description": f"Ran with {others}.",
    }


def _evidence(evidence: Mapping[str, Any] | None) -> Iterator[Entity]:
    if evidence:
        yield {
            "@id": f"#evidence-{evidence['content_hash'][:12]}",
            "@type": "CreativeWork",
            "name": evidence["name"],
            "version": evidence["version"] or "not given",
            "identifier": f"sha256:{evidence['content_hash']}",
        }


def _file(path: str, name: str, kind: str) -> Entity:
    return {"@id": path, "@type": "File", "name": name, "encodingFormat": kind}


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)


def _id(entity: Entity) -> Entity:
    return {"@id": entity["@id"]}


def _ids(entities: Iterable[Entity]) -> list[Entity] | Entity:
    """Refer to entities; the specification asks that a single one is no list."""
    ids = [_id(entity) for entity in entities]
    return ids[0] if len(ids) == 1 else ids


def _today() -> str:
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    day = datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)
    return day.date().isoformat()
