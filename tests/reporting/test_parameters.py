"""What a parameters cell declares."""

from __future__ import annotations

import json

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from backpain_analysis.reporting import (
    ReportingError,
    SuiteError,
    find_notebook,
    notebook_suite,
    with_parameters,
)
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
        ("Optional[float]", [1, 1.5, None], ["x", [1]]),
        ("typing.Optional[str]", ["x", None], [1]),
        ("Union[int, str]", [1, "x"], [1.5, None]),
        ("Literal['a', 'b', 3, True]", ["a", 3, True], ["c", "3", 1, None]),
        ("Literal['a'] | None", ["a", None], ["b"]),
        ("list[Literal['a', 'b']]", [[], ["a", "b"]], [["c"], "a"]),
        ("Sequence[float]", [[1, 2.5]], ["x", ["x"]]),
        ("tuple[int, str]", [[1, "x"]], [[1], ["x", 1]]),
        ("dict[str, int]", [{}, {"a": 1}], [{"a": "x"}, []]),
        ("Annotated[int, 'counts']", [1], ["x"]),
        ("'int | None'", [1, None], ["x"]),
        ("numpy.ndarray", [1, "x"], []),
    ],
)
def test_a_type_takes_what_it_says(type_, good, bad):
    parameter = Parameter("p", type_, None, "")
    assert all(parameter.accepts(value) for value in good)
    assert not any(parameter.accepts(value) for value in bad)


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        ("float", "1e-3", 1e-3),
        ("float", "-2E+05", -2e5),
        ("float | None", "1.5e3", 1500.0),
        ("Optional[float]", "none", None),
        ("List[float]", "1e-3, 2", [1e-3, 2]),
        ("Literal['1', '2']", "1", "1"),
        ("Literal[1, 2]", "1", 1),
        ("str", "1e-3", "1e-3"),
        ("bool", "true", True),
        ("", "1e-3", 1e-3),
        ("", "e5", "e5"),
    ],
)
def test_what_is_typed_is_read_by_the_declared_type(type_, text, value):
    parameter = Parameter("p", type_, None, "")
    read = parameter.read(text)
    assert read == value and type(read) is type(value)
    assert parameter.fault(read) is None


def test_a_value_that_is_none_of_those_named_is_refused_with_the_nearest():
    parameter = Parameter("dose", "Literal['minutes_per_week', 'total_hours']", None, "")
    assert parameter.fault("minutes") == (
        "parameter 'dose' is 'minutes'; it takes Literal['minutes_per_week', 'total_hours']; "
        "did you mean 'minutes_per_week'?"
    )
    with pytest.raises(SuiteError, match=r"'dose' is 'minutes'; .* mean 'minutes_per_"):
        with_parameters(notebook_suite("03_dose_response"), {"dose": "minutes"})


@pytest.mark.parametrize("language", ["R", "julia"])
def test_parameters_of_other_languages_are_read_without_types(language):
    source = "# choices\nmcid <- 10  # points\nname = 'yoga'\nx[1] <- 3\nf(y = 2)\nscale <- c(1, 2)"
    nb = new_notebook(cells=[new_code_cell(source, metadata={"tags": ["parameters"]})])
    nb.metadata.kernelspec = {"name": "other", "language": language, "display_name": "x"}
    found = notebook_parameters(nb)
    assert {name: p.default for name, p in found.items()} == {
        "mcid": 10,
        "name": "yoga",
        "scale": "c(1, 2)",
    }
    assert found["mcid"] == Parameter("mcid", "", 10, "points")
    nb.metadata.kernelspec["language"] = "a language that nobody can set parameters of"
    assert notebook_parameters(nb) == {}


@pytest.mark.parametrize(
    "source",
    [
        "{1, 2}",
        "b'x'",
        "1 + 2j",
        "float('nan')",
        "1e999",
        "'\\ud800'",
        "(1, 2)",
        "f(x)",
        "9" * 50,
    ],
)
def test_a_default_that_no_page_can_state_is_shown_as_it_is_written(source):
    (parameter,) = declared(f"a = {source}").values()
    assert isinstance(parameter.default, str)


def test_what_is_no_type_admits_anything():
    assert declared('a: "list[" = 1')["a"] == Parameter("a", "", 1, "")


CELL = {"cell_type": "code", "id": "a", "metadata": {}, "source": "", "outputs": []}
CELL |= {"execution_count": None}


def odd(**changes):
    return {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5} | changes


@pytest.mark.parametrize(
    "content",
    [
        *("", "\0", "{", "[]", "null", "3", '"x"', "{}", "[" * 100_000, '{"a":' * 5000),
        *map(
            json.dumps,
            [
                *(odd(cells=None), odd(cells={}), odd(cells=[None]), odd(cells=["x"])),
                *(odd(cells=[{}]), odd(cells=[{"cell_type": "code"}]), odd(nbformat="x")),
                *(odd(nbformat=99), odd(nbformat=None), odd(nbformat_minor="x"), odd(metadata=[])),
                *(odd(cells=[CELL | {key: value}]) for key, value in {
                    "source": 3, "metadata": [], "cell_type": "video", "outputs": 7, "id": "",
                }.items()),
                *(odd(cells=[CELL | {"metadata": {"tags": v}}]) for v in (3, "a", [1], None)),
            ],
        ),
    ],
    ids=lambda _: "odd",
)  # fmt: skip
def test_a_malformed_notebook_is_one_short_message(tmp_path, content):
    (tmp_path / "odd.ipynb").write_text(content)
    with pytest.raises(ReportingError, match="is not a notebook") as raised:
        find_notebook("odd", tmp_path)
    assert len(str(raised.value).splitlines()) == 1 and len(str(raised.value)) < 500


@pytest.mark.parametrize(
    "source", ["a = (", "%time", "a = " + "(" * 500 + ")" * 500, "\0", "a = " + "9" * 5000]
)
def test_parameters_that_are_not_python_are_one_message(tmp_path, source):
    cell = CELL | {"source": source, "metadata": {"tags": ["parameters"]}}
    (tmp_path / "odd.ipynb").write_text(json.dumps(odd(cells=[cell])))
    with pytest.raises(ReportingError, match="the parameters cell is not Python"):
        find_notebook("odd", tmp_path)


def test_a_file_that_is_no_text_or_cannot_be_read_is_one_message(tmp_path):
    (tmp_path / "bytes.ipynb").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ReportingError, match="is not a notebook"):
        find_notebook("bytes", tmp_path)


def test_what_papermill_noted_before_is_left_aside(tmp_path):
    noted = CELL | {"metadata": {"papermill": 3, "execution": [], "tags": ["a"]}}
    (tmp_path / "odd.ipynb").write_text(json.dumps(odd(cells=[noted], metadata={"papermill": 1})))
    assert find_notebook("odd", tmp_path).parameters == {}
