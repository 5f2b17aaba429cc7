"""Small awkward problems end in an answer or in words: the first of benchmarks/fuzz.py."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "fuzz.py"


@pytest.fixture(scope="module")
def fuzz():
    spec = importlib.util.spec_from_file_location("fuzz", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_problem_ends_well(fuzz):
    ends = {
        number: fuzz.outcome(number) for number in (*range(35), 4242, 26692, 27027, 30307, 31212)
    }
    assert set(ends.values()) == {"answered", "refused"}, ends


def test_what_is_wrong_is_told(fuzz, monkeypatch):
    """Errors of libraries, and warnings, count as wrong."""

    def broken(rng):
        raise KeyError("x")

    def refusing(rng):
        raise fuzz.bp.CannotEstimate("too few")

    monkeypatch.setattr(fuzz, "MODELS", [broken, refusing])
    assert fuzz.outcome(0).startswith("broken: KeyError at fuzz")
    assert fuzz.outcome(1) == "refused"
