"""Where the files that travel with the package are: data, notebooks, report suites."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent
_ROOTS = (_PACKAGE / "_bundled", _PACKAGE.parent)


def data_dir() -> Path:
    """Folder of the bundled data (``trials/``, ``reference/`` and the codebook)."""
    return _bundled_folder("data")


def notebooks_dir() -> Path:
    """Folder of the bundled notebooks."""
    return _bundled_folder("notebooks")


def reports_dir() -> Path:
    """Folder of the bundled report suites."""
    return _bundled_folder("reports")


def _bundled_folder(name: str) -> Path:
    """Find a folder in an installed wheel (``_bundled/``), else in a checkout's root."""
    for root in _ROOTS:
        if (root / name).is_dir():
            return root / name
    looked = " or ".join(str(root / name) for root in _ROOTS)
    raise FileNotFoundError(
        f"The folder {name!r} that belongs to backpain-analysis is missing: looked for {looked}. "
        "Install the package again, or run from a complete checkout."
    )
