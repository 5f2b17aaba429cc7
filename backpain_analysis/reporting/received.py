"""What is read back from a site is checked like what is typed: its records and its manifest."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from backpain_analysis.reporting.errors import ReportingError
from backpain_analysis.reporting.reading import read_plain_text

NAME = r"[a-z0-9][a-z0-9_-]{0,99}"

Name = Annotated[str, StringConstraints(pattern=rf"^{NAME}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
SiteFile = Annotated[
    str,
    StringConstraints(
        pattern=rf"^({NAME}\.html|notebooks/{NAME}\.ipynb|thumbnails/{NAME}\.(svg|png)"
        rf"|workbooks/{NAME}\.xlsx|references/{NAME}\.(bib|ris)"
        rf"|tables/{NAME}/[0-9]{{2,6}}-[a-z0-9][a-z0-9-]{{0,99}}\.csv"
        rf"|figures/{NAME}/[0-9]{{2,6}}-[a-z0-9][a-z0-9-]{{0,99}}\.svg)$"
    ),
]
Place = Annotated[str, StringConstraints(pattern=r"^[^/\x00\\][^\x00\\]{0,999}$")]
NotebookName = Annotated[str, StringConstraints(pattern=r"^[^/\x00\\.][^/\x00\\]{0,199}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Table(_Strict):
    """A table beside a page."""

    file: SiteFile
    title: str


class Section(_Strict):
    """A section of a page, for searching."""

    anchor: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,300}$")]
    title: str
    text: str


class Summary(_Strict):
    """What stands beside a page; see `downloads.Extras`."""

    notebook: SiteFile | Literal[""]
    tables: list[Table]
    thumbnail: SiteFile | Literal[""]
    claims: str
    sections: list[Section]
    others: list[Table]


class Record(_Strict):
    """What is known of a report: `again` if it must be run anew; its `seal` is of all the rest."""

    key: Sha256
    files: dict[SiteFile, Sha256]
    error: str
    answer: str
    seconds: float = Field(ge=0)
    summary: Summary
    again: bool
    seal: Sha256


class EvidenceEntry(_Strict):
    """Evidence as a manifest has it; see `facts.EvidenceFacts`."""

    name: str
    version: str | None
    content_hash: Sha256


class CommitEntry(_Strict):
    """A commit as a manifest has it; see `facts.Commit`."""

    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40,64}$")]
    modified: bool


class Downloads(_Strict):
    """What a manifest says can be taken away."""

    notebook: SiteFile | None
    tables: list[Table]
    others: list[Table]


class ReportEntry(_Strict):
    """A report in a manifest; see `site.write_site`."""

    name: Name
    title: str
    file: SiteFile
    question: str
    answer: str | None
    status: Literal["ok", "failed"]
    error: str | None
    downloads: Downloads
    notebook: NotebookName
    notebook_hash: Sha256
    parameters: dict[str, Any]
    asked: list[str]
    seed: Any
    evidence: EvidenceEntry | None
    evidence_place: Place | None
    inputs: dict[Place, Sha256]
    versions: dict[str, str]
    packages: Sha256
    library_hash: Sha256
    commit: CommitEntry | None


class Manifest(_Strict):
    """What a site says of itself."""

    title: str
    packages: dict[str, str]
    reports: list[ReportEntry] = Field(min_length=1)


def seal(record: dict[str, Any]) -> str:
    """Return the SHA-256 of a record but for its seal."""
    rest = {key: value for key, value in record.items() if key != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def read_record(path: Path, name: str) -> Record | None:
    """Read the record of a report; None if there is none that is whole and of that report only."""
    try:
        content = _json(path)
        record = Record.model_validate(content)
    except (OSError, ValueError, RecursionError):
        return None
    mine = all(is_of(file, name) for file in record.files)
    return record if mine and record.seal == seal(content) else None


def is_of(file: str, name: str) -> bool:
    """Whether a file of a site is one that the report `name` may have."""
    first, *rest = file.split("/")
    if not rest:
        return first == f"{name}.html"
    return rest[0] == name if first in ("tables", "figures") else rest[0].rpartition(".")[0] == name


def read_manifest(site: Path) -> Manifest:
    """Read a site's manifest.

    Raises
    ------
    ReportingError
        If there is none, or it is not what one of ours says, with the first things wrong.
    """
    path = site / "manifest.json"
    try:
        manifest = Manifest.model_validate(_json(path))
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, each['loc']))[:100]}: {each['msg']}" for each in error.errors()[:5]
        ]
        raise ReportingError(f"{path} is not a manifest of ours: {'; '.join(faults)}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ReportingError(
            f"{site} holds no site with a complete manifest.json to verify"
        ) from error
    names = [report.name for report in manifest.reports]
    for report in manifest.reports:
        listed = [*report.downloads.tables, *report.downloads.others]
        files = [report.file, report.downloads.notebook, *(each.file for each in listed)]
        if names.count(report.name) > 1 or not all(is_of(f, report.name) for f in files if f):
            raise ReportingError(f"{path} is not a manifest of ours: {report.name} has odd files")
    return manifest


def _json(path: Path) -> Any:
    return json.loads(read_plain_text(path))
