"""What can go wrong when reports are built, in words a user can act on."""

from __future__ import annotations

from collections.abc import Sequence
from reprlib import Repr
from typing import Any

_REPR = Repr()
_REPR.maxlevel = 3
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 80


def short(value: Any) -> str:
    """Return how a value is written, in a line at most."""
    try:
        return _REPR.repr(value)
    except ValueError:  # a number of more digits than Python writes
        return f"a huge {type(value).__name__}"


class ReportingError(Exception):
    """A report cannot be built; the message says why and what would be right."""


class SuiteError(ReportingError):
    """A suite is faulty; nothing has been run.

    Parameters
    ----------
    source : str
        The suite's file, or what else it was made from.
    faults : sequence of str
        Every fault found, each with its position.
    """

    def __init__(self, source: str, faults: Sequence[str]):
        self.source = source
        self.faults = tuple(faults)
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        super().__init__("\n".join([f"{source}: {count}", *(f"  {f}" for f in self.faults)]))
