"""What a run reads though nobody named it, seen by Python's audit hook.

A run that reads an absolute path, or a module that nobody installed, cannot be known to be up to
date: it counts as unfinished. Reading by other programs, and from the network, is not seen.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import backpain_analysis
from backpain_analysis.reporting.reading import read_plain

SYSTEM = ("/proc", "/sys", "/dev", "/etc", "/usr", "/lib", "/bin", "/System", "/Library")
NOTED = "read-elsewhere"
MOST = 20


def watch(folder: Path | str) -> None:
    """From now on, note what this process and its forks read outside a run's folder.

    Parameters
    ----------
    folder : Path
        Of the run; the notes are written beside it.
    """
    from backpain_analysis.datasets.bundled import data_dir  # loads pandas, which asks for a shell

    folder = Path(folder)
    package = Path(backpain_analysis.__file__).parent
    own = [*map(str, (folder.parent, package, data_dir())), sys.prefix, sys.base_prefix, *SYSTEM]
    own.append(os.environ.get("SystemRoot", "/proc"))
    known = tuple({f"{each}{os.sep}" for each in [*own, *map(os.path.realpath, own)]})
    hidden = f"{Path.home()}{os.sep}."
    notes = os.open(folder.with_name(NOTED), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    seen: set[str] = set()

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not isinstance(arguments[0], str | bytes):
            return
        with suppress(OSError, ValueError):
            path = os.path.abspath(os.fsdecode(arguments[0]))
            if path in seen or path.startswith((*known, hidden)):
                return
            seen.add(path)
            if not arguments[2] & (os.O_WRONLY | os.O_TRUNC) and os.path.isfile(path):
                os.write(notes, f"{path}\0".encode(errors="surrogateescape"))

    sys.addaudithook(look)


def read_elsewhere(folder: Path) -> tuple[str, ...]:
    """Return what a run has read outside its folder, the first few."""
    try:
        noted = read_plain(folder.with_name(NOTED))
    except OSError:
        return ()
    paths = noted.decode(errors="replace").split("\0")[:-1]
    return tuple(dict.fromkeys(paths))[:MOST]
