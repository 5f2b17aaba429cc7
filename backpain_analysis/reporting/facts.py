"""What a page must say about its making: evidence, package versions, commit. No dates."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import backpain_analysis
from backpain_analysis.datasets.bundled import data_dir
from backpain_analysis.evidence import load_evidence
from backpain_analysis.reporting.inputs import packages, packages_of

PACKAGES = [
    *("backpain-analysis", "numpy", "pandas", "scipy", "statsmodels", "matplotlib"),
    *("papermill", "nbconvert"),
]
LIBRARY = {".py", ".j2", ".css", ".js", ".csv", ".json"}


@dataclass(frozen=True)
class EvidenceFacts:
    """Which evidence a report read; `content_hash` is the SHA-256 of the tables' content."""

    name: str
    version: str | None
    content_hash: str


@dataclass(frozen=True)
class Commit:
    """The checkout the package runs from; `modified` if it differs from the commit."""

    id: str
    modified: bool


@dataclass(frozen=True)
class Facts:
    """What ran, the same for every report of a suite.

    Attributes
    ----------
    versions : dict
        Of Python and of the packages that compute, which a page shows.
    packages : dict
        Of every package that the library or a notebook stands on, of which any may shape a page.
    library_hash : str
    commit : Commit or None
    """

    versions: dict[str, str]
    packages: dict[str, str]
    library_hash: str
    commit: Commit | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON; of the packages, a hash."""
        text = json.dumps(self.packages, sort_keys=True)
        return asdict(self) | {"packages": hashlib.sha256(text.encode()).hexdigest()}


def gather_facts(modules: Iterable[str] = ()) -> Facts:
    """Gather what identifies the code that runs: versions, the library's hash, the commit.

    Parameters
    ----------
    modules : iterable of str
        What notebooks import.
    """
    known = dict(sorted({**packages(), **packages_of(modules)}.items()))
    here = Path(backpain_analysis.__file__).parent
    return Facts(versions(), known, library_hash(), _commit(here))


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that compute and render."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


@cache
def library_hash() -> str:
    """Return the SHA-256 of the library's files and data, which change while its version stays."""
    package = Path(backpain_analysis.__file__).parent
    digest = hashlib.sha256()
    for root in (package, data_dir()):
        for path in sorted(root.rglob("*")):
            if path.suffix in LIBRARY and "_bundled" not in path.relative_to(root).parts:
                digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()


def evidence_facts(path: Path | None) -> EvidenceFacts:
    """Name the evidence in a folder, or the bundled evidence."""
    evidence = load_evidence(path)
    return EvidenceFacts(evidence.name, evidence.version, evidence.content_hash)


def _commit(package: Path) -> Commit | None:
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    id_ = _git(package, "rev-parse", "HEAD")
    changes = _git(package, "status", "--porcelain", "--", ":/")
    return Commit(id_, bool(changes)) if id_ else None


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
