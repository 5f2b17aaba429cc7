"""Tables as HTML: safe, rounded, the same bytes every time."""

from __future__ import annotations

import csv
import io
import re

import numpy as np
import pandas as pd
import pytest

from backpain_analysis.display import Link, Told, html_table, table


def rows(html):
    """Texts of the body's cells, row by row."""
    body = html.split("<tbody>")[1].split("</tbody>")[0]
    return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in body.strip().splitlines()]


def test_what_a_trial_is_called_is_shown_not_run():
    name = "<script>alert('&')</script>"
    html = html_table(pd.DataFrame({name: [name]}), title=name, note=name)
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(&#x27;&amp;&#x27;)&lt;/script&gt;") == 4


def test_same_frame_same_bytes_without_ids():
    frame = pd.DataFrame({"a": [1.5, np.nan], "b": ["x", None]})
    assert html_table(frame) == html_table(frame.copy())
    assert 'class="bp-table"' in html_table(frame) and " id=" not in html_table(frame)


def test_missing_is_an_en_dash():
    frame = pd.DataFrame(
        {
            "a": [np.nan, 1.5],
            "b": pd.array([None, 2], dtype="Int64"),
            "c": [None, "x"],
            "d": pd.to_datetime([None, "2020-01-01"]),
        }
    )
    assert rows(html_table(frame))[0] == ["–"] * 4


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([-12.3456, 0.01234], ["−12.3", "0.0123"]),
        ([1234.56, 9.996], ["1235", "10.00"]),
        ([1e-9, 0.05], ["1.00e−09", "0.0500"]),
        ([10.0, 3.0], ["10", "3"]),
        ([0.0, 0.5], ["0.00", "0.500"]),
        ([np.inf, -np.inf], ["∞", "−∞"]),
        ([2020, -5], ["2020", "−5"]),
    ],
)
def test_numbers_are_rounded_to_three_digits(values, shown):
    assert [row[0] for row in rows(html_table(pd.DataFrame({"x": values})))] == shown


def test_digits():
    assert rows(html_table(pd.DataFrame({"x": [3.14159]}), digits=5)) == [["3.1416"]]


def test_numbers_stand_right_and_text_left():
    frame = pd.DataFrame({"n": [1.0], "word": ["x"], "yes": [True], "mixed": [object()]})
    html = html_table(frame)
    assert re.findall(r"<th( class=\"num\")?>(\w+)", html) == [
        (' class="num"', "n"),
        ("", "word"),
        ("", "yes"),
        ("", "mixed"),
    ]


def test_index_is_shown_if_it_says_something():
    frame = pd.DataFrame({"x": [1, 2, 3]})
    assert rows(html_table(frame[frame["x"] > 1])) == [["2"], ["3"]]
    named = frame.set_axis(["a", "b", "c"])
    assert rows(html_table(named))[0] == ["a", "1"]
    both = frame.set_index([["a", "b", "c"], ["d", "e", "f"]])
    assert rows(html_table(both))[2] == ["c", "f", "3"]


def test_table_without_rows_says_so():
    assert rows(html_table(pd.DataFrame({"a": [], "b": []}))) == [["Nothing to list."]]
    assert 'colspan="2"' in html_table(pd.DataFrame({"a": [], "b": []}))
    assert rows(html_table(pd.DataFrame())) == [["Nothing to list."]]


def test_lines_of_a_cell_stay_lines_and_nothing_else_becomes_markup():
    html = html_table(pd.DataFrame({"a": ["one\n<br>two"]}))
    assert rows(html) == [["one<br> &lt;br&gt;two"]]


def test_table_for_a_page():
    frame = pd.DataFrame({"a": [1]})
    assert table(frame, title="T")._repr_html_() == html_table(frame, title="T")


def read(frame):
    """The exact table: its heads and rows."""
    heads, *found = csv.reader(io.StringIO(table(frame).csv))
    return heads, found


INTERVAL = Told("−1.2 [−3.0, 0.5]", estimate=-1.23456, low=-3.01, high=0.512345)


@pytest.mark.parametrize(
    ("head", "cell", "heads", "values"),
    [
        (
            "MD [95% CI]",
            INTERVAL,
            ["MD", "MD, 95% CI low", "MD, 95% CI high"],
            ["-1.23456", "-3.01", "0.512345"],
        ),
        (
            "Effect",
            INTERVAL,
            ["Effect", "Effect low", "Effect high"],
            ["-1.23456", "-3.01", "0.512345"],
        ),
        ("P", Told("< 0.001", value=1.5e-7), ["P"], ["1.5e-07"]),
        ("I² (τ²)", Told("64%", **{"I², %": 64.25, "τ²": 3.0}), ["I², %", "τ²"], ["64.25", "3.0"]),
        ("PI", Told("[1, ∞]", low=1.0, high=np.inf), ["PI low", "PI high"], ["1.0", "inf"]),
        ("n", 1234567, ["n"], ["1234567"]),
        ("x", 0.1 + 0.2, ["x"], ["0.30000000000000004"]),
        ("x", None, ["x"], [""]),
        ("x", np.nan, ["x"], [""]),
        ("x", "–", ["x"], [""]),
        ("x", "=cmd()", ["x"], ["'=cmd()"]),
        ("x", "a\N{NO-BREAK SPACE}b", ["x"], ["a b"]),
        ("x", Link("Saper 2017", "https://example.org"), ["x"], ["Saper 2017"]),
        ("yes", True, ["yes"], ["True"]),
    ],
)
def test_exact_numbers_are_taken_along(head, cell, heads, values):
    assert read([{head: cell}]) == (heads, [values])


def test_words_stand_where_there_is_no_number():
    rows = [{"a": Told("1.2", value=1.23)}, {"a": "not reached"}, {"a": "–"}, {}]
    assert read(rows) == (["a"], [["1.23"], ["not reached"], [""], [""]])
    mixed = [{"MD [95% CI]": INTERVAL}, {"MD [95% CI]": "one trial"}]
    assert read(mixed)[1][1] == ["one trial", "", ""]


def test_what_is_shown_is_the_text_and_the_same_with_an_index():
    shown = table([{"MD": INTERVAL}])
    assert rows(shown.html) == [["−1.2 [−3.0, 0.5]"]]
    assert set(shown._repr_mimebundle_()) == {"text/html", "text/csv"}
    assert read(pd.DataFrame({"x": [1.5]}, index=pd.Index(["a"], name="who"))) == (
        ["who", "x"],
        [["a", "1.5"]],
    )
    assert INTERVAL.again("other").numbers == INTERVAL.numbers
