"""What happens while a suite is run, and how a terminal shows it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

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


@contextmanager
def show_progress(console: Console) -> Iterator[Listen]:
    """Give a listener that keeps a few lines up to date; on anything but a terminal, it is quiet.

    Parameters
    ----------
    console : rich.console.Console
    """
    bars = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[state]}", markup=False),
        _TimeLeft(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bars:
        yield _Board(bars)


class _TimeLeft(TimeRemainingColumn):
    """Says for the suite how long it will take; for one report nobody can tell."""

    def render(self, task: Task) -> Text:
        if not task.fields.get("suite"):
            return Text("")
        return super().render(task) + Text(" left")


class _Board:
    """Counts what it is told: a line for the suite, and one for each report that runs."""

    def __init__(self, bars: Progress):
        self._bars = bars
        self._lines: dict[str, TaskID] = {}
        self._count = {"reports": 0, "kept": 0, "done": 0, "failed": 0}
        self._suite = bars.add_task("all reports", total=None, state="", suite=True)

    def __call__(self, event: Event) -> None:
        """Take notice of an event."""
        match event.kind:
            case "begin":
                self._count |= {"reports": event.reports, "kept": event.kept}
            case "cell":
                line = self._line(event.report)
                state = f"running cell {event.cell} of {event.cells}"
                self._bars.update(line, completed=event.cell - 1, total=event.cells, state=state)
            case "done" | "failed":
                self._count[event.kind] += 1
                self._bars.remove_task(self._line(event.report))
                del self._lines[event.report]
        self._sum_up()

    def _line(self, report: str) -> TaskID:
        if report not in self._lines:
            self._lines[report] = self._bars.add_task(report, total=None, state="")
        return self._lines[report]

    def _sum_up(self) -> None:
        count = self._count
        ended = count["kept"] + count["done"] + count["failed"]
        waiting = count["reports"] - ended - len(self._lines)
        state = f"{waiting} waiting, {len(self._lines)} running, {count['done']} done"
        state += f", {count['failed']} failed" if count["failed"] else ""
        state += f", {count['kept']} kept" if count["kept"] else ""
        self._bars.update(self._suite, total=count["reports"], completed=ended, state=state)
