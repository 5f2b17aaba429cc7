"""Run one notebook with papermill: in this very process, or in a kernel of its own."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import nbformat
import papermill
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import ensure_event_loop
from nbclient.exceptions import DeadKernelError
from papermill.engines import NBClientEngine, NotebookExecutionManager, papermill_engines
from papermill.exceptions import PapermillExecutionError
from papermill.execute import ERROR_MARKER_TAG

from backpain_analysis.reporting.warm import run_environment

FIGURES = {"figure_formats": {"svg"}, "rc": {"svg.hashsalt": "backpain"}}
"""How figures a notebook leaves to matplotlib become outputs; their ids are the same each time."""

Tell = Callable[[int, int], None]
"""Told the number of a cell that begins, and of how many."""


@dataclass(frozen=True)
class Execution:
    """An executed notebook; `error` is empty if every cell ran."""

    nb: nbformat.NotebookNode
    error: str = ""


def execute(
    nb: nbformat.NotebookNode,
    parameters: Mapping[str, Any],
    folder: Path,
    *,
    engine: str = "kernel",
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
    engine : {"kernel", "here"}
        In a kernel of this interpreter, or in this process, which then must not run another.
    tell : callable, optional
        Told of each cell that begins.
    """
    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    watch = _Watch(tell)
    error = ""
    with tempfile.TemporaryDirectory(prefix="backpain-") as profile:
        try:
            papermill.execute_notebook(
                nb,
                None,
                parameters=dict(parameters),
                engine_name=f"backpain-{engine}",
                request_save_on_cell_execute=False,
                kernel_name="python3",
                language="python",
                progress_bar=False,
                watch=watch,
                profile=profile,
                folder=str(folder),
            )
        except PapermillExecutionError as failure:
            error = f"{failure.ename}: {failure.evalue}"
        except DeadKernelError:
            error = "The kernel died; the machine may have run out of memory."
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


class ThisInterpreter(AsyncKernelManager):
    """Starts ``sys.executable``, whatever kernels are registered under the name python3."""

    def _kernel_spec_manager_default(self) -> KernelSpecManager:
        return KernelSpecManager(parent=self, kernel_dirs=[])

    async def start_kernel(self, **options: Any) -> None:
        """Start it; what a kernel says beside its cells' outputs is not for the user."""
        await super().start_kernel(stdout=DEVNULL, stderr=DEVNULL, env=run_environment(), **options)


class KernelEngine(NBClientEngine):
    """Papermill's own engine, with a fresh kernel of this interpreter."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: NotebookExecutionManager, kernel_name: str, **options: Any
    ) -> None:
        """Start a kernel, run the cells in it, and end it."""
        options.pop("watch").begin(nb_man)
        figures = [
            f"--InlineBackend.figure_formats={FIGURES['figure_formats']}",
            *(f"--InlineBackend.rc={key}={value}" for key, value in FIGURES["rc"].items()),
        ]
        run = partial(
            super().execute_managed_notebook,
            nb_man,
            kernel_name,
            kernel_manager_class=ThisInterpreter,
            extra_arguments=[*figures, f"--ipython-dir={options.pop('profile')}"],
            resources={"metadata": {"path": options.pop("folder")}},
            **options,
        )
        with ThreadPoolExecutor(1) as thread:
            thread.submit(_with_own_loop, run).result()


papermill_engines.register("backpain-kernel", KernelEngine)


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
