"""A short version of ``benchmarks/hostile.py``: nothing hostile ends in a traceback."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2] / "benchmarks" / "hostile.py"


@pytest.fixture(scope="module")
def hostile():
    """The benchmark as a module."""
    spec = importlib.util.spec_from_file_location("hostile_benchmark", HOME)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("kind", "trials"), [("tables", 2), ("suites", 60), ("notebooks", 60), ("sites", 20)]
)
def test_what_is_hostile_is_taken_or_refused_with_a_message(hostile, tmp_path, kind, trials):
    count = hostile.Count(kind)
    getattr(hostile, kind)(count, tmp_path, trials, random.Random(7))
    assert sum(count.ends.values()) == trials
    assert kind == "tables" or (count.ends["taken"] and count.ends["refused"])
    assert count.wrong == 0, count.first


def test_the_counting_sees_what_it_is_for(hostile):
    count = hostile.Count("broken")
    for trial in (lambda: 1 / 0, lambda: "two rows", lambda: None):
        hostile.tried(count, trial, (ValueError,), "x")
    assert count.ends == {"traceback": 1, "lost": 1, "taken": 1} and count.wrong == 2
