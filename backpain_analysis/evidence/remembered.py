"""What need be worked out only once, because evidence never changes."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from backpain_analysis.evidence.evidence import Evidence

P, R = ParamSpec("P"), TypeVar("R")


def once_per_evidence(
    work: Callable[Concatenate[Evidence, P], R],
) -> Callable[Concatenate[Evidence, P], R]:
    """Make a function remember what it returned for an evidence, as long as that lives.

    Its further arguments must be hashable, and nobody may change what it returns.
    """
    known: WeakKeyDictionary[Evidence, dict[Any, R]] = WeakKeyDictionary()

    @wraps(work)
    def remembered(evidence: Evidence, *args: P.args, **kwargs: P.kwargs) -> R:
        answers = known.setdefault(evidence, {})
        asked = (args, tuple(sorted(kwargs.items())))
        if asked not in answers:
            answers[asked] = work(evidence, *args, **kwargs)
        return answers[asked]

    return remembered
