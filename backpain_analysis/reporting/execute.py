"""Run one notebook in a fresh kernel of this very interpreter."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import nbformat
import papermill
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError
from papermill.execute import ERROR_MARKER_TAG

KERNEL_OPTIONS = ["--InlineBackend.figure_formats={'svg'}"]
KERNEL_ENVIRONMENT = {"PYTHONHASHSEED": "0", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}


@dataclass(frozen=True)
class Execution:
    """An executed notebook; `error` is empty if every cell ran."""

    nb: nbformat.NotebookNode
    error: str = ""


class ThisInterpreter(AsyncKernelManager):
    """Starts ``sys.executable``, whatever kernels are registered under the name python3."""

    def _kernel_spec_manager_default(self) -> KernelSpecManager:
        return KernelSpecManager(parent=self, kernel_dirs=[])

    async def start_kernel(self, **options: Any) -> None:
        """Start it; what a kernel says beside its cells' outputs is not for the user."""
        await super().start_kernel(stdout=DEVNULL, stderr=DEVNULL, **options)


def execute(notebook: Path, parameters: Mapping[str, Any]) -> Execution:
    """Run a notebook top to bottom, in its own folder, with the parameters given.

    The user's IPython profile is left aside, so that it cannot change a report. A cell that fails
    ends the run; the cells so far are kept, and `error` says what happened.
    """
    os.environ.update(KERNEL_ENVIRONMENT)
    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="backpain-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        executed = Path(folder) / "executed.ipynb"
        error = ""
        try:
            papermill.execute_notebook(
                nbformat.read(notebook, as_version=4),
                executed,
                parameters=dict(parameters),
                kernel_name="python3",
                language="python",
                progress_bar=False,
                kernel_manager_class=ThisInterpreter,
                extra_arguments=[*KERNEL_OPTIONS, f"--ipython-dir={folder}"],
                resources={"metadata": {"path": str(notebook.parent)}},
            )
        except PapermillExecutionError as failure:
            error = f"{failure.ename}: {failure.evalue}"
        except DeadKernelError:
            error = "The kernel died; the machine may have run out of memory."
        nb = _without_markers(nbformat.read(executed, as_version=4))
    if error:
        _mark_failed(nb)
    return Execution(nb, error)


def _without_markers(nb: nbformat.NotebookNode) -> nbformat.NotebookNode:
    nb.cells = [cell for cell in nb.cells if ERROR_MARKER_TAG not in cell.metadata.get("tags", [])]
    return nb


def _mark_failed(nb: nbformat.NotebookNode) -> None:
    """Mark the last cell that began, as papermill does unless the kernel died."""
    begun = [cell for cell in nb.cells if cell.metadata.get("papermill", {}).get("start_time")]
    if begun:
        begun[-1].metadata.papermill.exception = True
