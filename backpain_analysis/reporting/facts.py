"""What a page must say about its making: evidence, package versions, commit. No dates."""

from __future__ import annotations

import platform
import subprocess
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import backpain_analysis
from backpain_analysis.evidence import load_evidence

PACKAGES = [
    *("backpain-analysis", "numpy", "pandas", "scipy", "statsmodels", "matplotlib"),
    *("papermill", "nbconvert"),
]


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
    """What ran, the same for every report of a suite."""

    versions: dict[str, str]
    commit: Commit | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)


def gather_facts() -> Facts:
    """Gather the versions of what computes, and the commit if there is one."""
    versions = {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
    return Facts(versions, _commit(Path(backpain_analysis.__file__).parent))


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
