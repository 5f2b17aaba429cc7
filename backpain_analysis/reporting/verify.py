"""Make a site again from what it says it was made from, and compare."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from backpain_analysis.reporting.errors import ReportingError
from backpain_analysis.reporting.facts import evidence_facts, gather_facts
from backpain_analysis.reporting.job import notebook_hash
from backpain_analysis.reporting.notebooks import load_notebook, read_notebook
from backpain_analysis.reporting.progress import Listen
from backpain_analysis.reporting.run import run_suite
from backpain_analysis.reporting.suite import Report, Suite

COMPARED = ("*.html", "tables/*/*.csv", "thumbnails/*")


@dataclass(frozen=True)
class Verdict:
    """What making a site again showed.

    Attributes
    ----------
    same : tuple of str
        Files that came out byte for byte as they are.
    different : tuple of str
        Files that did not, or that are missing on either side.
    changed : tuple of str
        What computes now otherwise than when the site was made, in words.
    """

    same: tuple[str, ...]
    different: tuple[str, ...]
    changed: tuple[str, ...]


def verify_site(
    site: Path, *, evidence: Path | None = None, listen: Listen = lambda event: None
) -> Verdict:
    """Run every report of a site again in a temporary folder, and compare byte by byte.

    Pages, tables and small pictures are compared; executed notebooks are not, since libraries put
    random ids into outputs, which pages do not show.

    Parameters
    ----------
    site : Path
        A folder with a ``manifest.json``. The notebooks are taken from its ``notebooks/``.
    evidence : Path, optional
        The evidence of a site that was not made from the bundled trials.
    listen : callable, optional
        See `run_suite`.

    Raises
    ------
    ReportingError
        If the folder holds no site, a notebook or the evidence is not what the site was made from.
    """
    manifest = _manifest(site)
    with tempfile.TemporaryDirectory(prefix="backpain-verify-") as folder:
        again = Path(folder) / "site"
        suite = _suite(manifest, site, Path(folder), evidence)
        run_suite(suite, again, listen=listen)
        files = sorted({*_compared(site), *_compared(again)})
        same = tuple(name for name in files if _bytes(site / name) == _bytes(again / name))
    different = tuple(name for name in files if name not in same)
    return Verdict(same, different, tuple(_changed(manifest)))


def _manifest(site: Path) -> dict[str, Any]:
    path = site / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if all(report["notebook_hash"] for report in manifest["reports"]):
            return manifest
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise ReportingError(f"{site} holds no site with a complete manifest.json to verify")


def _suite(manifest: Mapping[str, Any], site: Path, folder: Path, evidence: Path | None) -> Suite:
    """Make the suite of a site from its manifest; its notebooks go to `folder`."""
    identity = evidence_facts(evidence).content_hash
    reports = []
    for entry in manifest["reports"]:
        parameters = dict(entry["parameters"])
        if entry["evidence"]:
            if entry["evidence"]["content_hash"] != identity:
                raise ReportingError(
                    f"{entry['name']} was made from other evidence: {entry['evidence']['name']}, "
                    f"content {entry['evidence']['content_hash']}; point to it with --evidence"
                )
            if evidence:
                parameters["evidence"] = str(evidence.absolute())
        path = folder / entry["name"] / f"{entry['notebook']}.ipynb"
        path.parent.mkdir()
        path.write_text(_notebook(entry, site), encoding="utf-8")
        notebook = read_notebook(path)
        given = {n: v for n, v in parameters.items() if n in entry["asked"] or n == "evidence"}
        reports.append(Report(entry["name"], entry["title"], notebook, given))
    return Suite(manifest["title"], tuple(reports), folder, f"{site / 'manifest.json'}")


def _notebook(entry: Mapping[str, Any], site: Path) -> str:
    """Recover a report's notebook, as it was before it ran, from its executed notebook."""
    path = site / "notebooks" / f"{entry['name']}.ipynb"
    if not path.is_file():
        raise ReportingError(f"{path} is missing; {entry['name']} cannot be made again without it")
    nb = load_notebook(path)
    nb.cells = [c for c in nb.cells if "injected-parameters" not in c.metadata.get("tags", [])]
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    source = nbformat.writes(nb)
    if notebook_hash(source) != entry["notebook_hash"]:
        raise ReportingError(f"{path} is not the notebook that {entry['name']} was made from")
    return source


def _changed(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Say what computes now otherwise than then."""
    then, now = manifest["reports"][0], gather_facts().to_dict()
    for name in sorted({*then["versions"], *now["versions"]}):
        before, here = then["versions"].get(name), now["versions"].get(name)
        if before != here:
            yield f"{name} was {before}, is {here}"
    if then["commit"] != now["commit"]:
        yield f"the commit was {_commit(then['commit'])}, is {_commit(now['commit'])}"
    elif then["library_hash"] != now["library_hash"]:
        yield "the library's files have changed"


def _commit(commit: Mapping[str, Any] | None) -> str:
    if not commit:
        return "none"
    return commit["id"] + (" with changes" if commit["modified"] else "")


def _compared(site: Path) -> Iterator[str]:
    return (
        path.relative_to(site).as_posix() for pattern in COMPARED for path in site.glob(pattern)
    )


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
