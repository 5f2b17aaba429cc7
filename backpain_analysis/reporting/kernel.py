"""The kernel of a forked process: Jupyter's own kernel and shell, with a pipe for sockets.

A process that is to be forked makes shell and kernel (`make_shell`) before it imports anything
else; each fork serves one notebook (`serve`). Cells mean what they mean in any kernel. The thread
that sends messages is started by the fork: the process itself has one thread.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import tornado.platform.asyncio  # noqa: F401 - or the thread of every run would import it
from ipykernel import zmqshell
from ipykernel.compiler import XCachingCompiler
from ipykernel.inprocess.ipkernel import InProcessKernel
from ipykernel.inprocess.socket import DummySocket
from ipykernel.iostream import BackgroundSocket, IOPubThread, OutStream
from jupyter_client.session import Session
from traitlets.config import Config

from backpain_analysis.reporting.inputs import own_place, watch

RC = {"svg.hashsalt": "backpain"}
FIGURES = {"figure_formats": {"svg"}, "rc": RC}
"""How figures a notebook leaves to matplotlib become outputs; their ids are the same each time."""

TEXTS = ("mode.string_storage", "python")
"""How pandas keeps texts in a run: as Python does. In tables of thousands of rows that takes a
sixth off its time; a notebook of millions may set "pyarrow"."""

LOOKED_AT = ("header", "parent_header", "metadata", "msg_type", "content")
"""Parts of a message that a client looks at."""


class ZMQInteractiveShell(zmqshell.ZMQInteractiveShell):
    """Jupyter's shell, under the name that libraries ask for."""

    def enable_gui(self, gui: Any = None) -> None:
        """Have no event loop of windows, as ``%matplotlib inline`` wants none."""

    def ask_exit(self) -> None:
        """Take notice that a cell wants the kernel to end; whoever sent the cell decides."""
        self.exit_now = False
        self.payload_manager.write_payload({"source": "ask_exit"})


def make_shell(profile: str) -> ZMQInteractiveShell:
    """Make the one shell of this process, with its kernel.

    Parameters
    ----------
    profile : str
        An empty folder to stand for the user's profile, which must not change a report.
    """
    config = Config(
        {
            "InlineBackend": FIGURES,
            "HistoryManager": {"enabled": False},
            "InteractiveShell": {"ipython_dir": profile},
        }
    )
    shell = ZMQInteractiveShell.instance(config=config, user_ns={}, compiler_class=XCachingCompiler)
    InProcessKernel(shell_class=ZMQInteractiveShell, iopub_socket=BackgroundSocket(None))
    shell.display_formatter.format(shell.transform_cell("1"))  # makes parts that every run needs
    return shell


class _Outlet(DummySocket):
    """The pipe that stands for the socket on which a kernel says what its cells lead to."""

    def __init__(self, session: Session, connection: Connection, longest: int):
        super().__init__()
        self._session, self._connection, self._longest = session, connection, longest

    def send_multipart(self, msg_parts: list[bytes], *args: Any, **options: Any) -> None:
        """Send what a client looks at, each text as far as any of it can be shown."""
        _, parts = self._session.feed_identities(msg_parts)
        message = self._session.deserialize(parts)
        looked_at = {part: message[part] for part in LOOKED_AT}
        looked_at["content"] = cut(message["content"], self._longest)
        self._connection.send(looked_at)


class _Thread(IOPubThread):
    """The thread that sends; whoever asks it calls its loop, and needs no socket of its own."""

    def _setup_event_pipe(self) -> None:
        pass

    def schedule(self, f: Callable[[], Any]) -> None:
        """Call something in this thread; at once if it does not run, as in a fork."""
        if self.thread.is_alive():
            self.io_loop.add_callback(f)
        else:
            f()


def cut(content: Any, longest: int) -> Any:
    """Cut every text in a message's content to one character more than may be shown."""
    match content:
        case str():
            return content[: longest + 1]
        case dict():
            return {name: cut(each, longest) for name, each in content.items()}
        case list():
            return [cut(each, longest) for each in content]
    return content


def serve(connection: Connection, folder: Path, longest: int) -> None:
    """Run every cell that arrives, until the other end is closed.

    Parameters
    ----------
    connection : Connection
        Sources of cells arrive on it. On it are sent the messages of Jupyter's protocol that a
        cell leads to, the last of them a ``status`` that is idle and has a `reply`:
        `execution_count`, whether it `failed`, and its `payload`.
    folder : Path
        Where the notebook runs.
    longest : int
        How long a text may be shown.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    os.environ.update(own_place(folder))
    tempfile.tempdir = None
    sys.path.insert(0, "")
    watch(folder)
    kernel = ZMQInteractiveShell.instance().kernel
    kernel.session.pid = os.getpid()
    kernel.iopub_thread = _Thread(_Outlet(kernel.session, connection, longest))
    kernel.iopub_thread.start()
    kernel.iopub_socket.io_thread = kernel.iopub_thread
    sys.stdout, sys.stderr = (
        OutStream(kernel.session, kernel.iopub_thread, name) for name in ("stdout", "stderr")
    )
    kernel.shell.builtin_trap.auto_builtins["input"] = kernel.raw_input
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    while True:
        try:
            source = connection.recv()
        except EOFError:
            return
        try:
            reply = loop.run_until_complete(_run(kernel.shell, source))
        except KeyboardInterrupt:
            reply = {"failed": True, "payload": []}
        sys.stdout.flush()
        sys.stderr.flush()
        idle = {"execution_state": "idle", "reply": reply}
        kernel.session.send(kernel.iopub_socket, "status", idle)


async def _run(shell: ZMQInteractiveShell, source: str) -> dict[str, Any]:
    """Run a cell as Jupyter's kernel does: in a running loop, awaited if it awaits."""
    fault = None
    try:
        transformed = shell.transform_cell(source)
    except Exception:
        transformed, fault = source, sys.exc_info()
    how = {"transformed_cell": transformed, "preprocessing_exc_tuple": fault}
    if shell.should_run_async(source, **how):
        try:
            result = await shell.run_cell_async(source, store_history=True, **how)
        finally:
            shell.events.trigger("post_execute")
        shell.events.trigger("post_run_cell", result)
    else:
        result = shell.run_cell(source, store_history=True)
    payload = shell.payload_manager.read_payload()
    shell.payload_manager.clear_payload()
    count = shell.execution_count - 1
    return {"execution_count": count, "failed": not result.success, "payload": payload}
