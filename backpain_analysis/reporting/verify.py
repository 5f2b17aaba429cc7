"""See whether a site is what it says: make it again from its notebooks, run or as they were run."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from backpain_analysis.reporting.build import assemble, give_up
from backpain_analysis.reporting.errors import ReportingError
from backpain_analysis.reporting.facts import (
    Commit,
    EvidenceFacts,
    Facts,
    evidence_facts,
    gather_facts,
)
from backpain_analysis.reporting.inputs import Input, files_by_content, home, versions_here
from backpain_analysis.reporting.job import Built, Job, notebook_hash
from backpain_analysis.reporting.notebooks import (
    Notebook,
    described,
    notebook_parameters,
    parse_notebook,
)
from backpain_analysis.reporting.page import neighbours, turned
from backpain_analysis.reporting.pictures import taken_out
from backpain_analysis.reporting.progress import Listen
from backpain_analysis.reporting.reading import read_plain, read_plain_text
from backpain_analysis.reporting.received import Manifest, ReportEntry, read_manifest, read_record
from backpain_analysis.reporting.run import run_suite
from backpain_analysis.reporting.schemas import nbformat
from backpain_analysis.reporting.site import write_site
from backpain_analysis.reporting.store import RECORDS
from backpain_analysis.reporting.suite import Report, Suite

OF_REPORTS = (
    *("*.html", "tables/*/*", "figures/*/*", "thumbnails/*", "notebooks/*", "workbooks/*"),
    "references/*",
)
COMPARED_AFTER_RUN = tuple(name for name in OF_REPORTS if not name.startswith("notebooks"))
CRATE = "ro-crate-metadata.json"


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
    site: Path,
    *,
    run: bool = False,
    evidence: Path | None = None,
    files: Path | None = None,
    listen: Listen = lambda event: None,
) -> Verdict:
    """Make a site again in a temporary folder, and compare.

    Nothing of the site is run unless that is asked for: pages, tables, pictures, index, manifest,
    crate and records are made again from the notebooks as they were run. What was changed in such a
    notebook and everywhere else alike shows only if it is run again.

    Parameters
    ----------
    site : Path
        A folder with a ``manifest.json``.
    run : bool
        Whether to run the site's notebooks, with the rights of whoever asks. Then pages, tables
        and pictures are compared byte by byte; executed notebooks are not, since libraries put
        random ids into outputs, which pages do not show.
    evidence, files : Path, optional
        Folders with the evidence and other files that the site was made from, if it is to be run.
        Names do not matter; files are known by their content.
    listen : callable, optional
        See `run_suite`.

    Raises
    ------
    ReportingError
        If the folder holds no site, a notebook or the evidence is not what the site was made from.
    """
    manifest = read_manifest(site)
    with tempfile.TemporaryDirectory(prefix="verify-", dir=home()) as folder:
        again = Path(folder) / "site"
        if run:
            suite = _suite(manifest, site, Path(folder), [p for p in (evidence, files) if p])
            run_suite(suite, again, listen=listen)
            names = {*_matching(site, COMPARED_AFTER_RUN), *_matching(again, COMPARED_AFTER_RUN)}
            verdicts = {name: _bytes(site / name) == _bytes(again / name) for name in names}
        else:
            verdicts = _made_again(manifest, site, again)
    same = tuple(sorted(name for name, equal in verdicts.items() if equal))
    different = tuple(sorted(name for name, equal in verdicts.items() if not equal))
    return Verdict(same, different, tuple(_changed(manifest)))


def _made_again(manifest: Manifest, site: Path, again: Path) -> dict[str, bool]:
    """Make all files but times from the notebooks as they were run; say which are the same."""
    again.mkdir()
    jobs, outcomes = [], []
    verdicts: dict[str, bool] = {}
    built_of: dict[str, Built] = {}
    for entry in manifest.reports:
        job, built = _from_executed(entry, manifest, site)
        jobs.append(job)
        outcomes.append(built.outcome)
        built_of[entry.name] = built
        verdicts |= _record_verdict(site, entry.name, built)
    beside = neighbours([job.report for job in jobs])
    for name, built in built_of.items():
        page = f"{name}.html"
        files = {**built.files, page: turned(built.files[page], *beside[name])}
        verdicts |= {file: _bytes(site / file) == data for file, data in files.items()}
    write_site(manifest.title, jobs, outcomes, again)
    for name in ("index.html", "compare.html", "manifest.json"):
        if (site / name).exists() or (again / name).exists():
            verdicts[name] = _bytes(site / name) == _bytes(again / name)
    verdicts[CRATE] = _undated(site / CRATE) == _undated(again / CRATE)
    return dict.fromkeys(_matching(site, OF_REPORTS), False) | verdicts


def _from_executed(entry: ReportEntry, manifest: Manifest, site: Path) -> tuple[Job, Built]:
    """Make a report's files from its executed notebook, or those that say why there is none."""
    if entry.downloads.notebook is None:
        report = Report(entry.name, entry.title, _unread(entry), _asked(entry))
        job = _job(entry, report, "", manifest)
        return job, give_up(job, entry.error or "")
    path = site / entry.downloads.notebook
    nb = _executed(path, entry.name)
    source, injected = _unexecuted(nb)
    if notebook_hash(source) != entry.notebook_hash:
        raise ReportingError(f"{path} is not the notebook that {entry.name} was made from")
    notebook = described(parse_notebook(source), Path(f"{entry.notebook}.ipynb"))
    report = Report(entry.name, entry.title, notebook, injected | _as_told(entry))
    job = _job(entry, report, source, manifest)
    return job, assemble(job, nb, entry.error or "", 0.0)


def _unread(entry: ReportEntry) -> Notebook:
    return Notebook(Path(f"{entry.notebook}.ipynb"), entry.question, "", {})


def _asked(entry: ReportEntry) -> dict[str, Any]:
    return {name: value for name, value in entry.parameters.items() if name in entry.asked}


def _as_told(entry: ReportEntry) -> dict[str, Any]:
    return {"evidence": entry.evidence_place} if entry.evidence_place else {}


def _job(entry: ReportEntry, report: Report, source: str, manifest: Manifest) -> Job:
    """Make the job that a manifest's entry tells of."""
    evidence = EvidenceFacts(**entry.evidence.model_dump()) if entry.evidence else None
    commit = Commit(**entry.commit.model_dump()) if entry.commit else None
    facts = Facts(entry.versions, manifest.packages, entry.library_hash, commit)
    inputs = tuple(Input(Path(), place, sha256, 0) for place, sha256 in entry.inputs.items())
    return Job(report, manifest.title, source, evidence, inputs, facts)


def _executed(path: Path, name: str) -> nbformat.NotebookNode:
    if not path.is_file():
        raise ReportingError(f"{path} is missing; {name} cannot be made again without it")
    try:
        return parse_notebook(read_plain_text(path), outputs=True)
    except (OSError, ValueError) as error:
        raise ReportingError(f"{path} is not a notebook: {error}") from error


def _unexecuted(nb: nbformat.NotebookNode) -> tuple[str, dict[str, Any]]:
    """Return an executed notebook as it was before it ran, and the parameters it ran with."""
    injected = notebook_parameters(nb, "injected-parameters")
    nb = taken_out(deepcopy(nb))
    cells = [c for c in nb.cells if "injected-parameters" not in c.metadata.get("tags", [])]
    source = parse_notebook(nbformat.writes(nbformat.from_dict({**nb, "cells": cells})))
    return nbformat.writes(source), {name: p.default for name, p in injected.items()}


def _record_verdict(site: Path, name: str, built: Built) -> dict[str, bool]:
    """Compare a report's record, if there is one, with what it ought to say."""
    path = site / RECORDS / f"{name}.json"
    if not path.exists():
        return {}
    record, outcome = read_record(path, name), built.outcome
    return {
        f"{RECORDS}/{name}.json": record is not None
        and record.files.keys() == built.files.keys()
        and (record.error, record.answer) == (outcome.error, outcome.answer)
        and record.summary.model_dump() == dict(outcome.summary)
    }


def _undated(path: Path) -> Any:
    """Read a crate but for its day."""
    try:
        crate = json.loads(read_plain_text(path))
        for entity in crate["@graph"]:
            entity.pop("datePublished", None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return crate


def _suite(manifest: Manifest, site: Path, folder: Path, given: Iterable[Path]) -> Suite:
    """Make the suite of a site from its manifest; notebooks and files go to `folder`."""
    known = files_by_content(given)
    bundled = evidence_facts(None).content_hash
    reports = []
    for entry in manifest.reports:
        path = site / "notebooks" / f"{entry.name}.ipynb"
        source, _ = _unexecuted(_executed(path, entry.name))
        if notebook_hash(source) != entry.notebook_hash:
            raise ReportingError(f"{path} is not the notebook that {entry.name} was made from")
        if entry.evidence and not entry.evidence_place and entry.evidence.content_hash != bundled:
            raise ReportingError(
                f"{entry.name} was made from other evidence: {entry.evidence.name}, "
                f"content {entry.evidence.content_hash}; point to it with --evidence"
            )
        ups = max((PurePosixPath(place).parts.count("..") for place in entry.inputs), default=0)
        place_of_run = folder / entry.name / "/".join(["run"] * (ups + 1))
        place_of_run.mkdir(parents=True)
        files = {
            place: _put(place, sha256, place_of_run, folder / entry.name, known, entry.name)
            for place, sha256 in entry.inputs.items()
        }
        notebook = place_of_run / f"{entry.notebook}.ipynb"
        notebook.write_text(source, encoding="utf-8")
        parameters = _asked(entry) | _as_told(entry)
        reports.append(
            Report(
                entry.name,
                entry.title,
                described(parse_notebook(source), notebook),
                parameters,
                origins=dict.fromkeys(parameters, place_of_run),
                files=files,
            )
        )
    return Suite(manifest.title, tuple(reports), folder, f"{site / 'manifest.json'}")


def _put(
    place: str, sha256: str, folder: Path, root: Path, known: dict[str, Path], name: str
) -> Path:
    """Put a file that is known by its content where a run's notebook found it."""
    target = Path(os.path.normpath(folder / place))
    if sha256 not in known:
        raise ReportingError(
            f"{name} was made from a file that is not here: {place}, content {sha256}; point to "
            "its folder with --evidence or --files"
        )
    if not target.is_relative_to(root):
        raise ReportingError(f"{name} names a file outside its folder: {place}")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(known[sha256], target)
    return target


def _changed(manifest: Manifest) -> Iterator[str]:
    """Say what computes now otherwise than then."""
    first, now = manifest.reports[0], gather_facts()
    then = {**manifest.packages, "python": first.versions.get("python")}
    here = {**now.packages, **versions_here(then), "python": now.versions["python"]}
    for name in sorted({*then, *here}):
        if then.get(name) != here.get(name):
            yield f"{name} was {then.get(name)}, is {here.get(name)}"
    commit = Commit(**first.commit.model_dump()) if first.commit else None
    if commit != now.commit:
        yield f"the commit was {_commit(commit)}, is {_commit(now.commit)}"
    elif first.library_hash != now.library_hash:
        yield "the library's files have changed"


def _commit(commit: Commit | None) -> str:
    if not commit:
        return "none"
    return commit.id + (" with changes" if commit.modified else "")


def _matching(site: Path, patterns: Iterable[str]) -> Iterator[str]:
    return (
        path.relative_to(site).as_posix()
        for pattern in patterns
        for path in site.glob(pattern)
        if not path.name.startswith(".")
    )


def _bytes(path: Path) -> bytes | None:
    try:
        return read_plain(path)
    except OSError:
        return None
