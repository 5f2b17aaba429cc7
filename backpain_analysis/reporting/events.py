"""What happens while a suite is run, as it happens."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

FIELDS = {
    "begin": ("reports", "kept"),
    "kept": ("report",),
    "cell": ("report", "cell", "cells"),
    "done": ("report", "seconds"),
    "failed": ("report", "seconds", "error"),
    "end": ("reports", "kept", "failed"),
}
"""What each kind of event says."""


@dataclass(frozen=True)
class Event:
    """Something that happened to a report or, if it is a "begin" or an "end", to the suite.

    Attributes
    ----------
    kind : {"begin", "kept", "cell", "done", "failed", "end"}
        A report that was finished before is "kept".
    report : str
        The report's name.
    cell, cells : int
        The cell that begins, counted from 1, and of how many.
    seconds : float
        How long the report took.
    error : str
        Why it failed.
    reports, kept, failed : int
        How many reports the suite has, how many were finished before, and how many failed.
    """

    kind: str
    report: str = ""
    cell: int = 0
    cells: int = 0
    seconds: float = 0.0
    error: str = ""
    reports: int = 0
    kept: int = 0
    failed: int = 0

    def to_json(self) -> str:
        """Return one line of JSON with the fields that belong to this kind of event."""
        said = {name: getattr(self, name) for name in FIELDS[self.kind]}
        return json.dumps({"event": self.kind, **said})


Listen = Callable[[Event], None]
