"""What a parameters cell declares."""

from __future__ import annotations

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from backpain_analysis.reporting.notebooks import Parameter, notebook_parameters


def declared(source: str) -> dict[str, Parameter]:
    cell = new_code_cell(source, metadata={"tags": ["parameters"]})
    return notebook_parameters(new_notebook(cells=[new_code_cell("x = 1"), cell]))


def test_name_type_default_and_help_are_read():
    assert declared("dose: float | None = None  # minutes a week, not #steps") == {
        "dose": Parameter("dose", "float | None", None, "minutes a week, not #steps")
    }


def test_several_lines_and_plain_assignments():
    found = declared("a = 'x # y'\nb: list[str] = [\n    'c',\n    'd',\n]  # letters\nprint(a)")
    assert found["a"] == Parameter("a", "", "x # y", "")
    assert found["b"] == Parameter("b", "list[str]", ["c", "d"], "letters")
    assert list(found) == ["a", "b"]


def test_no_tagged_cell_means_no_parameters():
    assert notebook_parameters(new_notebook(cells=[new_code_cell("a = 1")])) == {}


@pytest.mark.parametrize(
    ("type_", "good", "bad"),
    [
        ("str", ["x", ""], [1, None]),
        ("int", [1, -3], [1.0, True, "1"]),
        ("float", [1, 1.5], [True, "1.5", None]),
        ("bool", [True], [1, "yes"]),
        ("list[str]", [[], ["a"]], ["a", [1], None]),
        ("list[int | None]", [[1, None]], [["a"]]),
        ("str | None", ["x", None], [1]),
        ("", [1, "x", None, []], []),
    ],
)
def test_a_type_takes_what_it_says(type_, good, bad):
    parameter = Parameter("p", type_, None, "")
    assert all(parameter.accepts(value) for value in good)
    assert not any(parameter.accepts(value) for value in bad)
