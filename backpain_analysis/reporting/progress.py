"""What happens while a suite is run, and how a terminal shows it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

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
    """Give a listener that keeps a few lines up to date; piped, it prints a line a report.

    Parameters
    ----------
    console : rich.console.Console
    """
    bars = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[state]}", markup=False),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    if not console.is_terminal:
        yield _Lines()
        return
    with bars:
        yield _Board(bars)


class Tally:
    """Counts how reports end."""

    def __init__(self) -> None:
        self.count = {"reports": 0, "kept": 0, "done": 0, "failed": 0}

    def __call__(self, event: Event) -> None:
        """Take notice of an event."""
        if event.kind == "begin":
            self.count |= {"reports": event.reports, "kept": event.kept}
        elif event.kind in ("done", "failed"):
            self.count[event.kind] += 1

    def ended(self) -> int:
        """Return how many reports are over, those of earlier runs among them."""
        return self.count["kept"] + self.count["done"] + self.count["failed"]

    def summary(self) -> str:
        """Say it in a line: ``2 run, 21 kept``."""
        ran = self.count["done"] + self.count["failed"]
        failed = f", {self.count['failed']} failed" if self.count["failed"] else ""
        return f"{ran} run, {self.count['kept']} kept{failed}"


class _Lines(Tally):
    """Prints a line for each report that ends."""

    def __call__(self, event: Event) -> None:
        """Take notice of an event."""
        super().__call__(event)
        if event.kind in ("done", "failed"):
            place = f"{self.ended()}/{self.count['reports']}"
            print(f"{event.kind:6}  {place:>9}  {event.report}  {event.seconds:.1f} s", flush=True)


def time_left(seconds: Sequence[float], waiting: int, at_once: int) -> str:
    """Say how long reports that wait will take, from how long others took; empty if none did.

    Parameters
    ----------
    seconds : sequence of float
        How long those took that were run.
    waiting : int
        How many are not over, those that run among them.
    at_once : int
        How many run at a time.
    """
    if not seconds or not waiting:
        return ""
    left = sum(seconds) / len(seconds) * waiting / max(at_once, 1)
    if left < 90:
        return f"about {max(5 * round(left / 5), 5)} s left"
    return f"about {round(left / 60)} min left"


class _Board(Tally):
    """Counts what it is told: a line for the suite, and one for each report that runs."""

    def __init__(self, bars: Progress):
        super().__init__()
        self._bars = bars
        self._lines: dict[str, TaskID] = {}
        self._seconds: list[float] = []
        self._at_once = 1
        self._suite = bars.add_task("all reports", total=None, state="")

    def __call__(self, event: Event) -> None:
        """Take notice of an event."""
        super().__call__(event)
        match event.kind:
            case "cell":
                line = self._line(event.report)
                state = f"running cell {event.cell} of {event.cells}"
                self._bars.update(line, completed=event.cell - 1, total=event.cells, state=state)
            case "done" | "failed":
                self._seconds.append(event.seconds)
                self._bars.remove_task(self._line(event.report))
                del self._lines[event.report]
        self._sum_up()

    def _line(self, report: str) -> TaskID:
        if report not in self._lines:
            self._lines[report] = self._bars.add_task(report, total=None, state="")
            self._at_once = max(self._at_once, len(self._lines))
        return self._lines[report]

    def _sum_up(self) -> None:
        count, ended = self.count, self.ended()
        waiting = count["reports"] - ended - len(self._lines)
        state = f"{waiting} waiting, {len(self._lines)} running, {count['done']} done"
        state += f", {count['failed']} failed" if count["failed"] else ""
        state += f", {count['kept']} kept" if count["kept"] else ""
        left = time_left(self._seconds, count["reports"] - ended, self._at_once)
        state += f", {left}" if left else ""
        self._bars.update(self._suite, total=count["reports"], completed=ended, state=state)
