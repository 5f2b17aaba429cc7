"""Processes that a run has started: found again and ended, whatever they did to get away."""

from __future__ import annotations

import os
import sys
from collections.abc import Container
from contextlib import suppress
from pathlib import Path

import psutil

PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Let what leaves its parent among our descendants become our child, as Linux can."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_children(but: Container[int] = ()) -> None:
    """End this process's children, and theirs as they become ours, where Linux tells of them."""
    while strays := [pid for pid in _children() if pid not in but]:
        for pid in strays:
            end_process(pid)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _children() -> list[int]:
    try:
        told = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(pid) for pid in told.split()]


def end_process(pid: int, *, itself: bool = True) -> None:
    """Kill a process, if it shall not live on, and those it has started."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for each in [*([process] if itself else []), *process.children(recursive=True)]:
            with suppress(psutil.Error):
                each.kill()
