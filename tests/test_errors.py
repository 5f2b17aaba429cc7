"""What a user can be told, and what must surface."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pytest

import backpain_analysis as bp
from backpain_analysis.answers import claim_parts
from backpain_analysis.engine import likelihood, mixed, one_variance
from backpain_analysis.errors import CannotEstimate, ConvergenceError

PACKAGE = Path(bp.__file__).parent
TELLING = [*(PACKAGE / "answers").rglob("*.py"), *(PACKAGE / "models").rglob("*.py")]


def test_the_reason_is_data_and_the_message_a_sentence():
    error = CannotEstimate("all doses are equal", "use fewer filters")
    assert (error.reason, error.advice) == ("all doses are equal", "use fewer filters")
    assert str(error) == "all doses are equal: use fewer filters."
    assert str(CannotEstimate("all doses are equal")) == "all doses are equal."
    assert isinstance(error, ValueError) and issubclass(ConvergenceError, CannotEstimate)


@pytest.mark.parametrize("path", TELLING, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_estimating_and_telling_catch_nothing_that_may_be_a_bug(path):
    """ValueError and its kind may be a broadcasting error; only `CannotEstimate` is told."""
    broad = {"ValueError", "Exception", "BaseException", "RuntimeError", "TypeError", "KeyError"}
    text = path.read_text(encoding="utf-8")
    caught = {
        name.id
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ExceptHandler)
        for name in ast.walk(node.type or ast.Name("BaseException"))
        if isinstance(name, ast.Name)
    }
    translated = {"formulas.py": {"ValueError"}, "dose_data.py": {"ValueError"}}
    assert caught & broad <= translated.get(path.name, set())
    assert (
        not re.search(r"str\(\w+\)\.(split|partition|splitlines)\(", text)
        or path.name in translated
    )


def broadcasting(*_: object, **__: object) -> None:
    np.ones(2) + np.ones(3)


@pytest.mark.parametrize(
    ("module", "name"),
    [(mixed, "_search"), (claim_parts, "pool"), (claim_parts, "network")],
    ids=["engine", "pooling", "network"],
)
def test_a_bug_in_a_fit_fails_the_claims_instead_of_becoming_not_testable(
    monkeypatch, module, name
):
    monkeypatch.setattr(module, name, broadcasting)
    with pytest.raises(ValueError, match="broadcast") as found:
        bp.claims(bp.load_evidence())
    assert not isinstance(found.value, CannotEstimate)


def test_singular_information_is_told_apart_from_a_bug():
    sides = np.ones((2, 1))
    assert likelihood.solved(2 * np.eye(2), sides).tolist() == [[0.5], [0.5]]
    with pytest.raises(likelihood.NotDefinite):
        likelihood.solved(np.ones((2, 2)), sides)
    with pytest.raises(np.linalg.LinAlgError) as found:
        likelihood.solved(np.ones((2, 3)), sides)
    assert not isinstance(found.value, likelihood.NotDefinite)


def test_a_bug_in_linear_algebra_is_not_called_a_bad_covariance(monkeypatch):
    def singular(*_: object, **__: object) -> None:
        np.linalg.inv(np.zeros((2, 2)))

    monkeypatch.setattr(mixed, "_search", singular)
    with pytest.raises(np.linalg.LinAlgError):
        mixed.fit(np.arange(3.0), np.ones((3, 1)), np.ones(3), terms=[])
    monkeypatch.undo()
    monkeypatch.setattr(one_variance.Rows, "_products", singular)
    with pytest.raises(np.linalg.LinAlgError) as found:
        bp.pool([1.0, 2.0, 4.0], [1.0, 1.0, 2.0])
    assert not isinstance(found.value, CannotEstimate | likelihood.NotDefinite)
    monkeypatch.undo()
    twice = [np.ones((2, 2)), np.eye(1)]
    with pytest.raises(CannotEstimate, match="covariance of trial 'a' is not positive definite"):
        mixed.fit(np.arange(3.0), np.ones((3, 1)), twice, blocks=["a", "a", "b"])
