"""Made-up objects that stand for results in truth tables."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


def made(kind: str, **fields: Any) -> Any:
    """An object of a class of this name that has these fields and nothing else."""
    return type(kind, (SimpleNamespace,), {})(**fields)
