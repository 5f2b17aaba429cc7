"""A site described for archives: RO-Crate 1.1 with the Process Run Crate profile 0.5.

Source: Soiland-Reyes et al. 2022, doi:10.3233/DS-210053 (RO-Crate); Leo et al. 2024,
doi:10.1371/journal.pone.0309210 (Workflow Run RO-Crate). Nothing is looked up.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

SPECIFICATION = "https://w3id.org/ro/crate/1.1"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
PAGE, NOTEBOOK, TABLE = "text/html", "application/x-ipynb+json", "text/csv"
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
        entities |= {entity["@id"]: entity for entity in _report(report)}
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


def _report(report: Mapping[str, Any]) -> Iterator[Entity]:
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
