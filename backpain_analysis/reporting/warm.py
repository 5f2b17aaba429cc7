"""Runs that start warm: from a process that has imported everything, and forks for each.

That process, ``python -m backpain_analysis.reporting.warm FD FOLDER PROFILE``, has one thread and
never runs a notebook. FD is a socket on which sockets arrive, one a report. For each it forks a
builder, which forks the notebook's kernel and renders what comes of it: a run finds what a fresh
kernel would find after its imports, nothing of any other run, and has no hand in how its page is
made. PROFILE is an empty folder inside the temporary FOLDER. When the socket's far end closes,
however that came about, all of them end and FOLDER is removed.
"""

from __future__ import annotations

import atexit
import gc
import io
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backpain_analysis.reporting.inputs import home, made_at_home
from backpain_analysis.reporting.processes import adopt_orphans, end_children, end_process

if TYPE_CHECKING:
    from backpain_analysis.reporting.job import Built, Job

STEADY = {
    "PYTHONHASHSEED": "0",
    "SOURCE_DATE_EPOCH": "315532800",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
}
"""What makes a run the same on every occasion: no hash order, date, race of threads, or place."""

CAN_FORK = hasattr(os, "fork") and sys.platform != "darwin"
"""Apple's own libraries forbid a forked process to go on."""

MODULE = "backpain_analysis.reporting.warm"

TOLD_EVERY = 0.2
"""Seconds between two tellings of a run's progress."""

LOOKS_EVERY = 0.5
"""Seconds between two looks at which builders have ended, while any runs."""

LONGEST_RENDERING = 600
"""Seconds that a builder may take after its run's limit."""

LITTER = 20_000
"""Objects that a run may make before it looks for those that nobody needs any more: Python's own
number of hundreds costs a run a twelfth of its time."""

PATIENCE = 1.0
"""Seconds that the process may take to end."""

GOODBYE = b"!"
"""What is sent to it by who lives on and needs the folder."""

APART = (
    *("backpain_analysis.__main__", "backpain_analysis.cli", "backpain_analysis.console"),
    "backpain_analysis.reporting.",
)
"""What no notebook imports; what builds a report `_fill_caches` imports."""

LATER = (
    *("backpain_analysis.answers.participants", "backpain_analysis.importing"),
    *("backpain_analysis.models.people.gee", "backpain_analysis.models.people.sampler"),
)
"""Parts of the library that few runs need."""

OUTSIDE = ("statsmodels.stats.multitest", "statsmodels.stats.proportion")
"""What parts of it import only when they need it."""

_lock = threading.Lock()
_warm: Warm | None = None


class RunDied(Exception):
    """The process that built a report ended without one."""


class Stopped(Exception):
    """Runs were told to end."""


class Overdue(Exception):
    """A builder took longer than its run may take, and was killed."""


class Warm:
    """The near end of a warm process."""

    def __init__(self) -> None:
        self._closed = self._asked = False
        self._home = home()
        self._profile = made_at_home("profile-")
        self._socket, theirs = socket.socketpair()
        with theirs:
            given = map(str, (theirs.fileno(), self._home, self._profile))
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", MODULE, *given],
                pass_fds=[theirs.fileno()],
                env=run_environment(),
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    def build(self, job: Job, folder: Path, tell: Callable[[int, int], None]) -> Built:
        """Build a report.

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
            If the builder, or the warm process, ended without a report.
        Overdue
            If it took longer than the run may take.
        Stopped
            If `close` ended it.
        """
        seconds = job.report.limits.run_seconds + LONGEST_RENDERING
        for message in self._messages((job, folder), seconds):
            if not isinstance(message, tuple):
                return message
            tell(*message)
        raise Stopped if self._closed else RunDied

    def _messages(self, request: Any, seconds: float) -> Iterator[Any]:
        """Send a request to a new builder, and give what it says until it ends."""
        ends = time.monotonic() + seconds
        ours, theirs = socket.socketpair()
        self._asked = True
        with Connection(ours.detach()) as builder:
            try:
                with theirs:
                    socket.send_fds(self._socket, [b"."], [theirs.fileno()])
                builder.send(request)
                pid = builder.recv()
                while builder.poll(max(ends - time.monotonic(), 0)):
                    message = builder.recv()
                    yield message
            except (EOFError, OSError):
                return
            _end(pid)
            raise Overdue

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def close(self) -> None:
        """End it, and with it every run."""
        self._closed = True
        with suppress(OSError):  # it has ended
            self._socket.send(GOODBYE)
        self._socket.close()
        try:
            self._process.wait(PATIENCE if self._asked else 0)
        except subprocess.TimeoutExpired:  # it may still import: then no builder runs
            _end(self._process.pid)
            self._process.wait()
        shutil.rmtree(self._profile, ignore_errors=True)


def run_environment() -> dict[str, str]:
    """Return the variables a run shall find, whoever starts it and from where.

    The user's settings of matplotlib are left aside, as those of IPython are. Under pytest,
    Jupyter's kernel would hold back.
    """
    found = {name: value for name, value in os.environ.items() if "PYTEST" not in name} | STEADY
    if paths := found.get("PYTHONPATH"):
        found["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, paths.split(os.pathsep)))
    if (matplotlib := find_spec("matplotlib")) and matplotlib.origin:
        found["MATPLOTLIBRC"] = str(Path(matplotlib.origin).parent / "mpl-data" / "matplotlibrc")
    return found


def warm_process() -> Warm:
    """Return this process's warm one; start one if there is none, or none any more."""
    global _warm
    with _lock:
        if _warm is None or not _warm.alive:
            stop()
            _warm = Warm()
        return _warm


def start() -> None:
    """Let the imports begin; whoever asks for a run waits only for what is left of them."""
    if CAN_FORK:
        warm_process()


@atexit.register
def stop() -> None:
    """End this process's warm one and every run of it, if there is one."""
    if _warm is not None:
        _warm.close()


def main() -> None:
    """Import, then fork builders until nobody is there to ask."""
    server, folder, profile = socket.socket(fileno=int(sys.argv[1])), *sys.argv[2:]
    parent = os.getppid()
    running: set[int] = set()
    said = GOODBYE
    adopt_orphans()
    try:
        gc.disable()
        shell = warm_up(profile)
        gc.freeze()
        gc.set_threshold(LITTER)
        gc.enable()
        more: Iterator[None] | None = _fill_more(shell)
        while True:
            patience = 0 if running and more else LOOKS_EVERY if running else None
            if select.select([server], [], [], patience)[0]:
                said, handles, *_ = socket.recv_fds(server, 1, 1)
                if not handles:
                    break
                running.add(_fork_builder(server, handles[0]))
            elif more is not None and next(more, "all") == "all":
                more = None
                gc.freeze()
            if ended := {builder for builder in running if _has_ended(builder)}:
                running -= ended
                end_children(but=running)
    finally:
        for builder in running:
            end_process(builder)
        end_children()
        if said != GOODBYE and _is_orphan(parent):
            shutil.rmtree(folder, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def _is_orphan(parent: int) -> bool:
    """Whether whoever started this process is gone, or goes within a moment."""
    for _ in range(20):
        if os.getppid() != parent:
            return True
        time.sleep(LOOKS_EVERY / 10)
    return False


def _fork_builder(server: socket.socket, handle: int) -> int:
    builder = os.fork()
    if builder == 0:
        os.setpgid(0, 0)
        server.close()
        _serve(handle)
    with suppress(OSError):
        os.setpgid(builder, builder)
    os.close(handle)
    return builder


def _has_ended(builder: int) -> bool:
    """Whether a builder has ended; if so, whatever it left running is ended too."""
    if os.waitpid(builder, os.WNOHANG)[0] == 0:
        return False
    _end(builder)
    return True


def _end(builder: int) -> None:
    with suppress(OSError):
        os.killpg(builder, signal.SIGKILL)


def warm_up(profile: str) -> Any:
    """Import what most runs need, and do once what each would; return the shell.

    It is done with the shell in place, as in a kernel: some packages ask for it.
    """
    import backpain_analysis.reporting.schemas  # noqa: F401 - before what validates notebooks
    from backpain_analysis.reporting.kernel import TEXTS, make_shell

    shell = make_shell(profile)
    with shell.builtin_trap:
        import pandas as pd

        pd.set_option(*TEXTS)
        for name in _library():
            if not name.startswith(LATER):
                _import(name)
    _fill_caches()
    return shell


def _library() -> Iterator[str]:
    """Name the modules that a notebook may import, without importing any."""
    folder = Path(__file__).parents[1]
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        if not name.startswith(APART):
            yield name


def _import(name: str) -> None:
    with suppress(Exception):  # whoever needs it will be told
        import_module(name)


def _fill_caches() -> None:
    """Do once what each run would: read and check the trials, load templates, fonts, schemas."""
    from matplotlib.figure import Figure
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    from backpain_analysis.evidence import load_evidence
    from backpain_analysis.reporting import build  # noqa: F401
    from backpain_analysis.reporting.downloads import workbook
    from backpain_analysis.reporting.page import template_of
    from backpain_analysis.reporting.references import of_reviews, of_trials
    from backpain_analysis.reporting.render import render_body
    from backpain_analysis.reporting.schemas import nbformat

    load_evidence().plausibility()
    of_trials(None)
    of_reviews()
    for name in ("page.html.j2", "base.html.j2"):
        template_of(name)
    figure = Figure()
    figure.subplots().set_title("$x^2$")
    figure.savefig(io.BytesIO(), format="svg")
    nb = new_notebook(cells=[new_markdown_cell("$x^2$"), new_code_cell("1")])
    nbformat.validate(nb)
    render_body(nb)
    workbook([("Table", "a")])


def _fill_more(shell: Any) -> Iterator[None]:
    """Do what several runs would, a piece at a time while none is asked for."""
    from backpain_analysis.answers.beforehand import look_up

    with suppress(Exception):  # whoever needs it will be told
        yield from look_up()
    for name in (*filter(lambda name: name.startswith(LATER), _library()), *OUTSIDE):
        with shell.builtin_trap:
            _import(name)
        yield


def _serve(handle: int) -> None:
    """Build the report that is asked for on a socket, and end this process."""
    os.set_inheritable(handle, False)
    connection = Connection(handle)
    os.register_at_fork(after_in_child=connection.close)
    try:
        _build(connection)
    finally:
        os._exit(0)


def _build(connection: Connection) -> None:
    import numpy as np

    from backpain_analysis.reporting.build import build, give_up

    np.random.seed()  # noqa: NPY002 - or every fork would draw the same numbers
    told = 0.0

    def tell(cell: int, cells: int) -> None:
        nonlocal told
        if (now := time.monotonic()) - told > TOLD_EVERY:
            told = now
            connection.send((cell, cells))

    job, folder = connection.recv()
    connection.send(os.getpid())
    try:
        built = build(job, folder, forked=True, tell=tell)
    except Exception as error:  # ours: the page says so, and the other reports go on
        traceback.print_exc()
        built = give_up(job, f"{type(error).__name__}: {error}")
    connection.send(built)


if __name__ == "__main__":
    main()
