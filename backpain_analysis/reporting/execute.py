"""Run one notebook with papermill: in a kernel forked from this process, or in a fresh one."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import nbformat
import papermill
import psutil
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import ensure_event_loop
from nbclient.exceptions import CellExecutionComplete, CellExecutionError, DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, NotebookExecutionManager, papermill_engines
from papermill.exceptions import PapermillExecutionError
from papermill.execute import ERROR_MARKER_TAG

from backpain_analysis.reporting.kernel import FIGURES, serve
from backpain_analysis.reporting.warm import run_environment

DIED = "The kernel died; the machine may have run out of memory."

Tell = Callable[[int, int], None]
"""Told the number of a cell that begins, and of how many."""


@dataclass(frozen=True)
class Execution:
    """An executed notebook; `error` is empty if every cell ran, `died` if its kernel did not."""

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
    forked : bool
        Whether the kernel is forked from this process, which has one thread and has called
        `kernel.make_shell`; otherwise one is started for this interpreter.
    tell : callable, optional
        Told of each cell that begins.
    """
    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    watch = _Watch(tell)
    error = ""
    try:
        papermill.execute_notebook(
            nb,
            None,
            parameters=dict(parameters),
            engine_name="backpain-forked" if forked else "backpain-fresh",
            request_save_on_cell_execute=False,
            kernel_name="python3",
            language="python",
            progress_bar=False,
            watch=watch,
            folder=folder,
        )
    except PapermillExecutionError as failure:
        error = f"{failure.ename}: {failure.evalue}"
    except DeadKernelError:
        error = DIED
    executed = _without_markers(watch.nb)
    executed.metadata = nb.metadata
    if error:
        _mark_failed(executed)
    return Execution(executed, error)


@dataclass
class _Watch:
    """Sees a run from outside: keeps the notebook as it grows and tells of its cells."""

    tell: Tell
    nb: nbformat.NotebookNode = field(init=False)

    def begin(self, manager: NotebookExecutionManager) -> None:
        self.nb, start, total = manager.nb, manager.cell_start, len(manager.nb.cells)

        def cell_start(cell: nbformat.NotebookNode, cell_index: int, **options: Any) -> None:
            self.tell(cell_index + 1, total)
            start(cell, cell_index, **options)

        manager.cell_start = cell_start


class ForkedEngine(Engine):
    """Runs the cells in a fork of this process."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: NotebookExecutionManager, kernel_name: str, **options: Any
    ) -> None:
        """Fork a kernel, run the cells in it, and end it."""
        options["watch"].begin(nb_man)
        with _fork(options["folder"]) as kernel:
            _ForkedClient(nb_man, kernel).papermill_execute_cells()


@dataclass(frozen=True)
class _Fork:
    """A forked kernel: its process and the pipe to it."""

    pid: int
    pipe: Connection


@contextmanager
def _fork(folder: Path) -> Iterator[_Fork]:
    """Fork a kernel that runs in a folder; at the end, end it and all that it started."""
    ours, theirs = Pipe()
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            serve(theirs, folder)
        finally:
            os._exit(0)
    theirs.close()
    try:
        yield _Fork(pid, ours)
    finally:
        ours.close()
        end_process(pid)
        os.waitpid(pid, 0)


class _ForkedClient(PapermillNotebookClient):
    """Sends cells to a forked kernel and gathers what it says."""

    def __init__(self, nb_man: NotebookExecutionManager, kernel: _Fork):
        super().__init__(nb_man, record_timing=False)
        self.pipe = kernel.pipe
        self.reset_execution_trackers()

    def execute_cell(self, cell: nbformat.NotebookNode, index: int) -> None:
        """Run a cell; see nbclient's method of this name."""
        tags = cell.metadata.get("tags", [])
        if cell.cell_type != "code" or not cell.source.strip() or self.skip_cells_with_tag in tags:
            return
        cell.outputs = []
        self.clear_before_next_output = False
        try:
            self.pipe.send(cell.source)
            reply = self._gather(cell, index)
        except (EOFError, OSError) as end:
            raise DeadKernelError(DIED) from end
        cell.execution_count = reply.get("execution_count")
        if reply["failed"] and "raises-exception" not in tags:
            raise CellExecutionError.from_cell_and_msg(cell, {"ename": "", "evalue": ""})

    def _gather(self, cell: nbformat.NotebookNode, index: int) -> dict[str, Any]:
        """Take in messages until the one that says that the cell has ended."""
        while True:
            message = self.pipe.recv()
            try:
                self.process_message(message, cell, index)
            except CellExecutionComplete:
                return message["content"]["reply"]


class FreshEngine(Engine):
    """Runs the cells in a kernel that is started for them."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: NotebookExecutionManager, kernel_name: str, **options: Any
    ) -> None:
        """Start a kernel, run the cells in it, and end it."""
        options["watch"].begin(nb_man)
        with (
            tempfile.TemporaryDirectory(prefix="backpain-") as profile,
            ThreadPoolExecutor(1) as thread,
        ):
            figures = [
                f"--InlineBackend.figure_formats={FIGURES['figure_formats']}",
                *(f"--InlineBackend.rc={key}={value}" for key, value in FIGURES["rc"].items()),
            ]
            client = _FreshClient(
                nb_man,
                log=logging.getLogger("papermill"),
                kernel_name=kernel_name,
                kernel_manager_class=_ThisInterpreter,
                shutdown_kernel="immediate",
                extra_arguments=[*figures, f"--ipython-dir={profile}"],
                resources={"metadata": {"path": str(options["folder"])}},
            )
            thread.submit(_with_own_loop, client.execute).result()


class _ThisInterpreter(AsyncKernelManager):
    """Starts ``sys.executable``, whatever kernels are registered under the name python3."""

    def _kernel_spec_manager_default(self) -> KernelSpecManager:
        return KernelSpecManager(parent=self, kernel_dirs=[])

    async def start_kernel(self, **options: Any) -> None:
        """Start it; what a kernel says beside its cells' outputs is not for the user."""
        await super().start_kernel(stdout=DEVNULL, stderr=DEVNULL, env=run_environment(), **options)


class _FreshClient(PapermillNotebookClient):
    """Papermill's own client, which leaves nothing running."""

    def papermill_execute_cells(self) -> None:
        """Run the cells; at the end, end what they started. The kernel is ended by who asked."""
        pid = self.km.provisioner.pid
        _started.add(pid)
        try:
            super().papermill_execute_cells()
        finally:
            _started.discard(pid)
            end_process(pid, itself=False)


_started: set[int] = set()
"""Kernels that were started by this process and run."""


def end_all() -> None:
    """End every kernel that this process has started."""
    for pid in list(_started):
        end_process(pid)


def end_process(pid: int, *, itself: bool = True) -> None:
    """Kill a process, if it shall not live on, and those it has started."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for each in [*([process] if itself else []), *process.children(recursive=True)]:
            with suppress(psutil.Error):
                each.kill()


papermill_engines.register("backpain-forked", ForkedEngine)
papermill_engines.register("backpain-fresh", FreshEngine)


def _with_own_loop(run: Callable[[], None]) -> None:
    """Call in a thread what starts an event loop of its thread and would leave it open."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run()
    finally:
        ensure_event_loop().close()


def _without_markers(nb: nbformat.NotebookNode) -> nbformat.NotebookNode:
    nb.cells = [cell for cell in nb.cells if ERROR_MARKER_TAG not in cell.metadata.get("tags", [])]
    return nb


def _mark_failed(nb: nbformat.NotebookNode) -> None:
    """Mark the last cell that began, as papermill does unless the kernel died."""
    begun = [cell for cell in nb.cells if cell.metadata.get("papermill", {}).get("start_time")]
    if begun:
        begun[-1].metadata.papermill.exception = True
