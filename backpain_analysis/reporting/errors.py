"""What can go wrong when reports are built, in words a user can act on."""

from __future__ import annotations

from collections.abc import Sequence


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
