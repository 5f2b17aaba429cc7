"""Runs that start warm: each in a process forked from one that has imported everything.

The parent of those forks, the zygote, is a clean process of one thread that never runs a notebook
(see `zygote`), so a run finds what a fresh kernel would find after its imports, and nothing of
any other run.
"""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backpain_analysis.reporting.build import Built, Job

STEADY = {
    "PYTHONHASHSEED": "0",
    "SOURCE_DATE_EPOCH": "315532800",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}
"""What makes a run the same on every occasion: no hash order, no date, no race of threads."""

CAN_FORK = hasattr(os, "fork") and sys.platform != "darwin"
"""Apple's own libraries forbid a forked process to go on."""

ZYGOTE = "backpain_analysis.reporting.zygote"

_lock = threading.Lock()
_zygote: Zygote | None = None


class RunDied(Exception):
    """The process of a run ended without a report."""


class Stopped(Exception):
    """Runs were told to end."""


class Zygote:
    """The near end of a process that forks a run when asked to."""

    def __init__(self) -> None:
        self._closed = False
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", ZYGOTE, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=run_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    def run(self, job: Job, folder: Path, tell: Callable[[int, int], None]) -> Built:
        """Build a report in a fork of its own.

        Parameters
        ----------
        job : Job
        folder : Path
            Where its notebook runs.
        tell : callable
            Told the number of each cell that begins, and of how many.

        Raises
        ------
        RunDied
            If that process, or the zygote, ended without a report.
        Stopped
            If `close` ended it.
        """
        for message in self._messages((job, folder)):
            if not isinstance(message, tuple):
                return message
            tell(*message)
        raise Stopped if self._closed else RunDied

    def _messages(self, request: Any) -> Iterator[Any]:
        """Send a request to a new fork, and give what it says until it ends."""
        ours, theirs = socket.socketpair()
        with Connection(ours.detach()) as child:
            try:
                with theirs:
                    socket.send_fds(self._socket, [b"."], [theirs.fileno()])
                child.send(request)
                while True:
                    message = child.recv()
                    yield message
            except (EOFError, OSError):
                return

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def close(self) -> None:
        """End it, and with it every run."""
        self._closed = True
        self._socket.close()
        self._process.wait()


def run_environment() -> dict[str, str]:
    """Return the variables a run shall find; under pytest, Jupyter's kernel would hold back."""
    inherited = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    return inherited | STEADY


def zygote() -> Zygote:
    """Return this process's zygote; start one if there is none, or none any more."""
    global _zygote
    with _lock:
        if _zygote is None or not _zygote.alive:
            stop()
            _zygote = Zygote()
        return _zygote


def import_jsonschema() -> None:
    """Import it without the grammar of web addresses, which it would build for over a second.

    No notebook's schema asks for that format (see jsonschema's `FormatChecker`).
    """
    grammar = "rfc3987_syntax"
    if grammar in sys.modules:
        return
    sys.modules[grammar] = None
    try:
        import_module("jsonschema")
    finally:
        del sys.modules[grammar]


def start() -> None:
    """Let the imports begin; whoever asks for a run waits only for what is left of them."""
    if CAN_FORK:
        zygote()


@atexit.register
def stop() -> None:
    """End this process's zygote and every run of it, if there is one."""
    if _zygote is not None:
        _zygote.close()
