"""Grids of parameters in a suite."""

from __future__ import annotations

import pytest

from backpain_analysis.reporting import SuiteError, read_suite
from backpain_analysis.reporting.suite import LONGEST_NAME, grid_names

HEAD = "title: Test\nreports:\n"


def test_every_combination_is_a_report_and_the_last_parameter_changes_fastest(write_suite):
    text = HEAD + (
        "- notebook: curve\n  name: c\n  title: Curves\n"
        "  parameters: {label: here}\n  grid: {smooth: [true, false], mcid: [null, 2.5]}"
    )
    reports = read_suite(write_suite(text)).reports
    assert [report.name for report in reports] == [
        "c-yes-none",
        "c-yes-2-5",
        "c-no-none",
        "c-no-2-5",
    ]
    assert reports[1].title == "Curves: yes, 2.5"
    assert dict(reports[2].parameters) == {"label": "here", "smooth": False, "mcid": None}


def test_names_that_would_be_the_same_or_too_long_end_with_a_digest():
    names = grid_names("a", [{"x": -5}, {"x": 5}, {"x": 6}])
    assert names[2] == "a-6"
    assert names[0] != names[1] and all(name.startswith("a-5-") for name in names[:2])
    (long,) = grid_names("a", [{"x": ["word"] * 50}])
    assert len(long) <= LONGEST_NAME


@pytest.mark.parametrize(
    ("grid", "fault"),
    [
        ("{}", "`grid` is empty"),
        ("3", "`grid` is 3; it takes a mapping"),
        ("{mcdi: [1]}", "did you mean 'mcid'?"),
        ("{mcid: 3}", "'mcid' as 3; it takes a list of values"),
        ("{mcid: []}", "'mcid' as []; it takes a list of values"),
        ("{mcid: [1, x]}", "'mcid' is 'x'; it takes float | None"),
        ("{mcid: [1, 2, 1]}", "1 more than once in 'mcid'"),
        ("{label: [a]}", "'label' stands in `parameters` and in `grid`"),
        ("{steps: [" + ",".join(map(str, range(400))) + "], mcid: ["
         + ",".join(map(str, range(400))) + "]}", "makes 160,000 reports"),
    ],
)  # fmt: skip
def test_faults_of_a_grid_are_named(write_suite, grid, fault):
    path = write_suite(f"{HEAD}- {{notebook: curve, parameters: {{label: x}}, grid: {grid}}}")
    with pytest.raises(SuiteError) as raised:
        read_suite(path)
    assert len(raised.value.faults) == 1
    assert fault in str(raised.value)


def test_a_name_used_by_a_grid_and_a_report_is_a_fault(write_suite):
    text = (
        HEAD + "- {notebook: curve, name: c, grid: {steps: [1, 2]}}\n- {notebook: curve, name: c-2}"
    )
    with pytest.raises(SuiteError, match="reports 1, 2: the name 'c-2'"):
        read_suite(write_suite(text))


@pytest.mark.parametrize("where", ["parameters: {%s: 1}", "grid: {%s: [1]}", "%s: 1"])
def test_a_name_of_any_length_is_told_in_a_line(write_suite, where):
    with pytest.raises(SuiteError) as raised:
        read_suite(write_suite(f"{HEAD}- {{notebook: curve, {where % ('a' * 1_000)}}}"))
    assert "unknown" in str(raised.value) and max(map(len, raised.value.faults)) < 400
