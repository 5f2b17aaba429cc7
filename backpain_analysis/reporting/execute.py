"""Run one notebook with papermill: in a kernel forked from this process, or in a fresh one."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from subprocess import DEVNULL
from threading import Event
from typing import Any

import papermill
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import ensure_event_loop
from nbclient.exceptions import (
    CellExecutionComplete,
    CellExecutionError,
    CellTimeoutError,
    DeadKernelError,
)
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, NotebookExecutionManager, papermill_engines

from backpain_analysis.reporting.inputs import home, own_place
from backpain_analysis.reporting.job import DIED
from backpain_analysis.reporting.kernel import FIGURES, RC, TEXTS, serve
from backpain_analysis.reporting.notebooks import expects_error, kernel_of, language_of
from backpain_analysis.reporting.processes import adopt_orphans, end_children, end_process
from backpain_analysis.reporting.schemas import nbformat
from backpain_analysis.reporting.suite import Limits
from backpain_analysis.reporting.warm import run_environment

ENDED_ITSELF = "The notebook ended itself before its last cell had ended."
LONGEST_ERROR = 2000
GRACE = 2.0
"""Seconds that an interrupted cell has to end in."""

WATCH = (
    "from backpain_analysis.reporting.inputs import watch; watch({!r}); "
    f"import pandas; pandas.set_option(*{TEXTS})"
)
"""What a fresh kernel begins with."""

SHOWN = {"stream", "display_data", "execute_result", "update_display_data", "error"}
"""Kinds of messages that show something."""

Tell = Callable[[int, int], None]
"""Told the number of a cell that begins, and of how many."""


class RunEnded(Exception):
    """A run was ended before its last cell; the message says why."""


@dataclass(frozen=True)
class Execution:
    """An executed notebook; `error` is empty if every cell ran."""

    nb: nbformat.NotebookNode
    error: str = ""

    @property
    def died(self) -> bool:
        """Whether the process of its kernel came to an end before the notebook."""
        return self.error == DIED


def execute(
    nb: nbformat.NotebookNode,
    parameters: Mapping[str, Any],
    folder: Path,
    *,
    limits: Limits | None = None,
    forked: bool = False,
    tell: Tell = lambda cell, cells: None,
) -> Execution:
    """Run a notebook top to bottom with the parameters given.

    The user's IPython profile is left aside, so that it cannot change a report. A cell that fails
    ends the run; the cells so far are kept, and `error` says what happened.

    Parameters
    ----------
    nb : NotebookNode
        Left as it is.
    parameters : mapping
        Put into a cell after the one tagged ``parameters``.
    folder : Path
        Where it runs.
    limits : Limits, optional
        What it may take.
    forked : bool
        Whether the kernel is forked from this process, which has one thread and has called
        `kernel.make_shell`; otherwise one is started for this interpreter.
    tell : callable, optional
        Told of each cell that begins.
    """
    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    watch = _Watch(tell, limits or Limits())
    error = ""
    try:
        papermill.execute_notebook(
            nb,
            None,
            parameters=dict(parameters),
            engine_name="backpain-forked" if forked else "backpain-fresh",
            request_save_on_cell_execute=False,
            kernel_name="python3" if language_of(nb) == "python" else kernel_of(nb),
            language=language_of(nb),
            progress_bar=False,
            watch=watch,
            folder=folder,
        )
    except DeadKernelError:
        error = DIED
    except RunEnded as end:
        error = str(end)
    except CellTimeoutError:
        error = watch.overdue()
    executed = watch.nb
    error = error or _unexpected(executed) or _exit_of(executed)
    executed.metadata = nb.metadata
    if error:
        _mark_failed(executed)
    return Execution(executed, error)


@dataclass
class _Watch:
    """Sees a run from outside: keeps the notebook as it grows, tells of its cells, has a clock."""

    tell: Tell
    limits: Limits
    nb: nbformat.NotebookNode = field(init=False)
    ends: float = field(init=False)

    def begin(self, manager: NotebookExecutionManager) -> None:
        self.nb, start, total = manager.nb, manager.cell_start, len(manager.nb.cells)
        self.ends = time.monotonic() + self.limits.run_seconds

        def cell_start(cell: nbformat.NotebookNode, cell_index: int, **options: Any) -> None:
            self.tell(cell_index + 1, total)
            start(cell, cell_index, **options)

        manager.cell_start = cell_start

    def patience(self) -> float:
        """Return the seconds that a cell which begins now may take."""
        return max(min(self.limits.cell_seconds, self.ends - time.monotonic()), 0.1)

    def overdue(self) -> str:
        """Say which limit a cell that took too long has met."""
        if time.monotonic() >= self.ends:
            return f"The run took longer than its limit of {self.limits.run_seconds:g} s."
        return f"The cell took longer than its limit of {self.limits.cell_seconds:g} s."


class _Client(PapermillNotebookClient):
    """Papermill's client, which keeps of each cell's output no more than it may show."""

    def __init__(self, nb_man: NotebookExecutionManager, watch: _Watch, **options: Any):
        super().__init__(nb_man, **options)
        self.watch = watch
        self._left_of_page = int(watch.limits.page_mb * 2**20)
        self._left_of_cell: dict[int, int] = {}
        self._told: set[int] = set()
        self._pieces: dict[str, list[dict[str, Any]]] = {}

    def process_message(
        self, msg: dict[str, Any], cell: nbformat.NotebookNode, cell_index: int
    ) -> nbformat.NotebookNode | None:
        """Take in a message; what is too much for a cell or a page is left out with a word."""
        if msg["msg_type"] != "stream":
            self.settle(cell, cell_index)
        if msg["msg_type"] not in SHOWN:
            return super().process_message(msg, cell, cell_index)
        limits, content, size = self.watch.limits, msg["content"], _size(msg["content"])
        of_cell = self._left_of_cell.setdefault(cell_index, int(limits.output_mb * 2**20))
        room = min(of_cell, self._left_of_page)
        self._left_of_cell[cell_index] -= min(size, room)
        self._left_of_page -= min(size, room)
        if size <= room:
            return self._take(msg, cell, cell_index)
        if msg["msg_type"] == "error":
            said = str(content["evalue"])[:LONGEST_ERROR]
            content |= {"evalue": said, "traceback": []}
            return self._take(msg, cell, cell_index)
        if msg["msg_type"] == "stream" and room:
            content["text"] = content["text"][:room]
            self._take(msg, cell, cell_index)
        if cell_index not in self._told:
            self._told.add(cell_index)
            self.settle(cell, cell_index)
            full = ("cell", limits.output_mb) if of_cell == room else ("page", limits.page_mb)
            word = "What else this cell shows is left out: it is more than a {}'s {:g} MB.\n"
            cell.outputs.append(
                nbformat.v4.new_output("stream", name="stderr", text=word.format(*full))
            )
        return None

    def _take(
        self, msg: dict[str, Any], cell: nbformat.NotebookNode, cell_index: int
    ) -> nbformat.NotebookNode | None:
        """Take in a message, or keep a piece of a stream until all of it is there."""
        if msg["msg_type"] != "stream":
            return super().process_message(msg, cell, cell_index)
        self._pieces.setdefault(msg["content"]["name"], []).append(msg)
        return None

    def settle(self, cell: nbformat.NotebookNode, cell_index: int) -> None:
        """Take in the streams that came in pieces, one each."""
        pieces, self._pieces = self._pieces, {}
        for messages in pieces.values():
            text = "".join(each["content"]["text"] for each in messages)
            whole = {**messages[0], "content": {**messages[0]["content"], "text": text}}
            super().process_message(whole, cell, cell_index)
        if pieces:
            _merge_streams(cell.outputs)


def _merge_streams(outputs: list[nbformat.NotebookNode]) -> None:
    """Merge the streams at the end of a cell's outputs, stdout before stderr.

    When a stream is sent depends on clocks and load, and a page must not; but before anything else
    is shown, both have been.
    """
    texts: dict[str, str] = {}
    start = len(outputs)
    while start and outputs[start - 1].output_type == "stream":
        start -= 1
    for output in outputs[start:]:
        texts[output.name] = texts.get(output.name, "") + output.text
    outputs[start:] = [
        nbformat.v4.new_output("stream", name=name, text=texts[name])
        for name in sorted(texts, key=["stdout", "stderr"].index)
    ]


def _size(content: Any) -> int:
    """Return about how many bytes a message's content takes."""
    match content:
        case str():
            return len(content)
        case dict():
            return sum(map(_size, content.values()))
        case list():
            return sum(map(_size, content))
    return 8


class _Engine(Engine):
    """Leaves the executed notebook to the run's `watch`.

    Papermill would go through what it is given back and write all of it out, to nowhere.
    """

    @classmethod
    def execute_notebook(cls, *args: Any, **options: Any) -> nbformat.NotebookNode:
        """Execute a notebook; an empty one is returned."""
        super().execute_notebook(*args, **options)
        return nbformat.v4.new_notebook()


class ForkedEngine(_Engine):
    """Runs the cells in a fork of this process."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: NotebookExecutionManager, kernel_name: str, **options: Any
    ) -> None:
        """Fork a kernel, run the cells in it, and end it."""
        watch = options["watch"]
        watch.begin(nb_man)
        longest = int(watch.limits.output_mb * 2**20)
        with _fork(options["folder"], longest) as kernel:
            limit_memory(kernel.pid, watch.limits.memory_mb)
            _ForkedClient(nb_man, watch, kernel).papermill_execute_cells()


@dataclass(frozen=True)
class _Fork:
    """A forked kernel: its process and the pipe to it."""

    pid: int
    pipe: Connection


@contextmanager
def _fork(folder: Path, longest: int) -> Iterator[_Fork]:
    """Fork a kernel that runs in a folder; at the end, end it and all that it started."""
    ours, theirs = Pipe()
    adopt_orphans()
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            serve(theirs, folder, longest)
        finally:
            os._exit(0)
    theirs.close()
    try:
        yield _Fork(pid, ours)
    finally:
        ours.close()
        end_process(pid)
        os.waitpid(pid, 0)
        end_children()


class _ForkedClient(_Client):
    """Sends cells to a forked kernel and gathers what it says."""

    def __init__(self, nb_man: NotebookExecutionManager, watch: _Watch, kernel: _Fork):
        super().__init__(nb_man, watch, record_timing=False)
        self.kernel = kernel
        self.reset_execution_trackers()

    def execute_cell(self, cell: nbformat.NotebookNode, index: int) -> None:
        """Run a cell; see nbclient's method of this name."""
        tags = cell.metadata.get("tags", [])
        if cell.cell_type != "code" or not cell.source.strip() or self.skip_cells_with_tag in tags:
            return
        cell.outputs = []
        self.clear_before_next_output = False
        try:
            self.kernel.pipe.send(cell.source)
            reply = self._gather(cell, index, self.watch.patience())
            if reply is None:
                os.kill(self.kernel.pid, signal.SIGINT)
                self._gather(cell, index, GRACE)
                raise RunEnded(self.watch.overdue())
        except (EOFError, OSError) as end:
            raise DeadKernelError(DIED) from end
        finally:
            self.settle(cell, index)
        cell.execution_count = reply.get("execution_count")
        _heed(reply)
        if reply["failed"] and not expects_error(cell):
            raise CellExecutionError.from_cell_and_msg(cell, {"ename": "", "evalue": ""})

    def _gather(
        self, cell: nbformat.NotebookNode, index: int, seconds: float
    ) -> dict[str, Any] | None:
        """Take in messages until the one that says that the cell has ended, or time is up."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0 and self.kernel.pipe.poll(left):
            message = self.kernel.pipe.recv()
            try:
                self.process_message(message, cell, index)
            except CellExecutionComplete:
                return message["content"]["reply"]
        return None


def _heed(reply: Mapping[str, Any]) -> None:
    """End a run whose notebook has asked for its end."""
    if any(each.get("source") == "ask_exit" for each in reply.get("payload", [])):
        raise RunEnded(ENDED_ITSELF)


def _unexpected(nb: nbformat.NotebookNode) -> str:
    """Return the error of the first cell that failed and is not tagged as one that may."""
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error" and not (expects_error(cell) or _ended_well(output)):
                return f"{output.ename}: {output.evalue}"
    return ""


def _ended_well(output: nbformat.NotebookNode) -> bool:
    """Whether an error is the end that a notebook asked for without one."""
    return output.ename == "SystemExit" and output.evalue in ("", "0")


def _exit_of(nb: nbformat.NotebookNode) -> str:
    """Say that a cell has raised SystemExit, which papermill takes for success if it is 0."""
    for cell in nb.cells:
        if expects_error(cell):
            continue
        for output in cell.get("outputs", []):
            if output.output_type == "error" and output.ename == "SystemExit":
                return f"{ENDED_ITSELF} (SystemExit: {output.evalue or 'no value'})"
    return ""


def limit_memory(pid: int, megabytes: int) -> None:
    """Limit the memory of a process and of each that it starts, where the platform can."""
    if sys.platform == "linux":
        import resource

        most = int(megabytes) * 2**20
        with suppress(OSError, ValueError):
            resource.prlimit(pid, resource.RLIMIT_DATA, (most, most))


class FreshEngine(_Engine):
    """Runs the cells in a kernel that is started for them."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: NotebookExecutionManager, kernel_name: str, **options: Any
    ) -> None:
        """Start a kernel, run the cells in it, and end it."""
        watch = options["watch"]
        watch.begin(nb_man)
        with (
            tempfile.TemporaryDirectory(dir=home()) as profile,
            ThreadPoolExecutor(1) as thread,
        ):
            of_python = kernel_name == "python3"
            figures = [
                f"--InlineBackend.figure_formats={FIGURES['figure_formats']}",
                *(f"--InlineBackend.rc={key}={value}" for key, value in RC.items()),
                f"--IPKernelApp.exec_lines=exec({WATCH.format(str(options['folder']))!r}, {{}})",
            ]
            client = _FreshClient(
                nb_man,
                watch,
                log=logging.getLogger("papermill"),
                kernel_name=kernel_name,
                kernel_manager_class=_ThisInterpreter if of_python else _Quiet,
                shutdown_kernel="immediate",
                timeout_func=lambda cell: watch.patience(),
                on_cell_executed=lambda execute_reply, **_: _heed(execute_reply["content"]),
                extra_arguments=[*figures, f"--ipython-dir={profile}"] if of_python else [],
                resources={"metadata": {"path": str(options["folder"])}},
            )
            thread.submit(_with_own_loop, client.execute).result()


class _Quiet(AsyncKernelManager):
    """Starts a kernel that says nothing beside its cells' outputs, and knows that it runs."""

    async def start_kernel(self, **options: Any) -> None:
        """Start it; what a kernel says beside its cells' outputs is not for the user."""
        if _ending.is_set():
            raise RunEnded("The run was stopped.")
        env = run_environment() | own_place(Path(options["cwd"]))
        await super().start_kernel(stdout=DEVNULL, stderr=DEVNULL, env=env, **options)
        _started.add(self.provisioner.pid)


class _ThisInterpreter(_Quiet):
    """Starts ``sys.executable``, whatever kernels are registered under the name python3."""

    def _kernel_spec_manager_default(self) -> KernelSpecManager:
        return KernelSpecManager(parent=self, kernel_dirs=[])


class _FreshClient(_Client):
    """Papermill's own client, which leaves nothing running."""

    def execute_cell(self, cell: nbformat.NotebookNode, index: int) -> nbformat.NotebookNode:
        """Run a cell, and keep what it showed however it ended."""
        try:
            return super().execute_cell(cell, index)
        finally:
            if cell.cell_type == "code":
                self.settle(cell, index)

    def papermill_execute_cells(self) -> None:
        """Run the cells; at the end, end what they started. The kernel is ended by who asked."""
        pid = self.km.provisioner.pid
        limit_memory(pid, self.watch.limits.memory_mb)
        try:
            super().papermill_execute_cells()
        finally:
            _started.discard(pid)
            end_process(pid, itself=False)


_started: set[int] = set()
"""Kernels that were started by this process and run."""

_ending = Event()


def end_all() -> None:
    """End every kernel that this process has started, and start no other until `go_on`."""
    _ending.set()
    for pid in list(_started):
        end_process(pid)


def go_on() -> None:
    """Let kernels start again after `end_all`."""
    _ending.clear()


papermill_engines.register("backpain-forked", ForkedEngine)
papermill_engines.register("backpain-fresh", FreshEngine)


def _with_own_loop(run: Callable[[], None]) -> None:
    """Call in a thread what starts an event loop of its thread and would leave it open."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run()
    finally:
        loop = ensure_event_loop()
        left = asyncio.all_tasks(loop)  # of a run that was ended
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()


def _mark_failed(nb: nbformat.NotebookNode) -> None:
    """Mark the last cell that began, as papermill does unless the kernel died."""
    begun = [cell for cell in nb.cells if cell.metadata.get("papermill", {}).get("start_time")]
    if begun:
        begun[-1].metadata.papermill.exception = True
