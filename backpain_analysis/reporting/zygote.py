"""The process that runs are forked from: ``python -m backpain_analysis.reporting.zygote FD``.

FD is a socket on which sockets arrive, one a run. When its far end closes, however that came
about, the zygote ends itself and all that it forked.
"""

from __future__ import annotations

import builtins
import gc
import io
import os
import pkgutil
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from multiprocessing.connection import Connection
from types import SimpleNamespace

import backpain_analysis
from backpain_analysis.reporting import warm

APART = ("backpain_analysis.__main__", "backpain_analysis.cli", "backpain_analysis.reporting.")
"""What no notebook imports; what builds a report `_fill_caches` imports."""

TOLD_EVERY = 0.2
"""Seconds between two tellings of a run's progress."""


def main() -> None:
    """Import, then fork until nobody is there to ask."""
    server = socket.socket(fileno=int(sys.argv[1]))
    gc.disable()
    warm_up()
    gc.freeze()
    gc.enable()
    running: set[int] = set()
    while handles := socket.recv_fds(server, 1, 1)[1]:
        running = {pid for pid in running if os.waitpid(pid, os.WNOHANG)[0] == 0}
        child = os.fork()
        if child == 0:
            server.close()
            _run(handles[0])
        os.close(handles[0])
        running.add(child)
    os.killpg(0, signal.SIGKILL)


def warm_up() -> None:
    """Import the library and what it stands on, and fill caches that depend on nothing else."""
    warm.import_jsonschema()
    with _as_in_a_kernel():
        for module in pkgutil.walk_packages(backpain_analysis.__path__, "backpain_analysis."):
            if not module.name.startswith(APART):
                with suppress(Exception):  # whoever needs it will be told
                    import_module(module.name)
    _fill_caches()


@contextmanager
def _as_in_a_kernel() -> Iterator[None]:
    """Answer pandas, which asks when it is imported whether its reader sits at a terminal."""
    builtins.get_ipython = lambda: SimpleNamespace(kernel=None)
    yield
    del builtins.get_ipython


def _fill_caches() -> None:
    """Do once what every run would do first: read templates, fonts and schemas."""
    import ipykernel.debugger  # noqa: F401
    import nbformat
    from matplotlib.figure import Figure
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    from backpain_analysis.evidence import load_evidence
    from backpain_analysis.reporting import build, here  # noqa: F401
    from backpain_analysis.reporting.page import template_of
    from backpain_analysis.reporting.render import render_body

    load_evidence()
    template_of("page.html.j2")
    figure = Figure()
    figure.subplots().set_title("$x^2$")
    figure.savefig(io.BytesIO(), format="svg")
    nb = new_notebook(cells=[new_markdown_cell("$x^2$"), new_code_cell("1")])
    nbformat.validate(nb)
    render_body(nb)


def _run(handle: int) -> None:
    """Build the report that is asked for on a socket, and end this process."""
    os.set_inheritable(handle, False)
    connection = Connection(handle)
    try:
        _build(connection)
    finally:
        os._exit(0)


def _build(connection: Connection) -> None:
    import numpy as np

    from backpain_analysis.reporting.build import build

    np.random.seed()  # noqa: NPY002 - or every fork would draw the same numbers
    told = 0.0

    def tell(cell: int, cells: int) -> None:
        nonlocal told
        if (now := time.monotonic()) - told > TOLD_EVERY:
            told = now
            connection.send((cell, cells))

    job, folder = connection.recv()
    connection.send(build(job, folder, engine="here", tell=tell))


if __name__ == "__main__":
    main()
