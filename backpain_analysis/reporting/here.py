"""Papermill's engine for a process that exists to run one notebook: the kernel lives in it.

It is Jupyter's own kernel and shell, without sockets and a second process between them, so cells
mean what they mean everywhere.
"""

from __future__ import annotations

import os
import sys
import threading
from types import SimpleNamespace
from typing import Any

import nbformat
from ipykernel.inprocess.ipkernel import InProcessKernel
from ipykernel.inprocess.manager import InProcessKernelManager
from ipykernel.iostream import OutStream
from ipykernel.zmqshell import ZMQInteractiveShell
from nbclient.exceptions import CellExecutionComplete, CellExecutionError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, NotebookExecutionManager, papermill_engines
from traitlets.config import Config

from backpain_analysis.reporting.execute import FIGURES


class HereEngine(Engine):
    """Runs a notebook in this process; the process must not run another."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: NotebookExecutionManager, kernel_name: str, **options: Any
    ) -> None:
        """Start a kernel in this process and run the cells in it."""
        options["watch"].begin(nb_man)
        os.chdir(options["folder"])
        sys.path.insert(0, "")
        client = _Client(nb_man, record_timing=False)
        client.start(options["profile"])
        client.papermill_execute_cells()


class _Kernel(InProcessKernel):
    """Jupyter's kernel in this process; it may `await`, which Jupyter's own forgets to allow."""

    shell_class = ZMQInteractiveShell
    _supports_kernel_subshells = False

    def __init__(self, **traits: Any):
        super().__init__(**traits)
        self.shell_channel_thread = SimpleNamespace(parent_thread=threading.current_thread())
        self.stdout, self.stderr = (
            OutStream(self.session, self.iopub_thread, name) for name in ("stdout", "stderr")
        )


class _Client(PapermillNotebookClient):
    """A client whose requests have been answered when they return."""

    def start(self, profile: str) -> None:
        """Start a kernel with the figures and the empty profile of every run."""
        config = Config(
            {
                "InlineBackend": FIGURES,
                "HistoryManager": {"enabled": False},
                "InteractiveShell": {"ipython_dir": profile},
            }
        )
        self.reset_execution_trackers()
        manager = InProcessKernelManager()
        manager.kernel = _Kernel(parent=manager, config=config, session=manager.session)
        self.km, self.kc = manager, manager.client()
        self.kc.start_channels()
        self.kc.allow_stdin = False

    def execute_cell(self, cell: nbformat.NotebookNode, index: int) -> None:
        """Run a cell and gather what it says; see nbclient's method of this name."""
        tags = cell.metadata.get("tags", [])
        if cell.cell_type != "code" or not cell.source.strip() or self.skip_cells_with_tag in tags:
            return
        cell.outputs = []
        self.clear_before_next_output = False
        self.kc.execute(cell.source)
        content = self.kc.get_shell_msg(timeout=self.iopub_timeout)["content"]
        cell.execution_count = content["execution_count"]
        try:
            while True:
                message = self.kc.get_iopub_msg(timeout=self.iopub_timeout)
                self.process_message(message, cell, index)
        except CellExecutionComplete:
            pass
        if content["status"] == "error" and "raises-exception" not in tags:
            raise CellExecutionError.from_cell_and_msg(cell, content)


papermill_engines.register("backpain-here", HereEngine)
