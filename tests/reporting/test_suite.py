"""A suite is checked whole before anything runs."""

from __future__ import annotations

import os

import pytest

from backpain_analysis.datasets.bundled import reports_dir
from backpain_analysis.reporting import (
    ReportingError,
    SuiteError,
    read_suite,
    run_suite,
    suite,
    with_parameters,
)
from backpain_analysis.reporting.notebooks import find_notebook, load_notebook
from tests.reporting.little import within

HEAD = "title: Test\nreports:\n"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("- a", "should be a mapping"),
        ("title: [1", "is not YAML"),
        ("title: Test", "`reports` is missing"),
        ("title: Test\nreports: []", "`reports` is empty"),
        ("title: 3\nreports: [{notebook: curve}]", "`title` is 3; it takes text"),
        ("reports: {a: 1}", "`reports` is {'a': 1}; it takes a list"),
        ("titel: x\nreports: [{notebook: curve}]", "unknown key 'titel'; did you mean 'title'?"),
        (HEAD + "- curve", "report 1: is 'curve'"),
        (HEAD + "- name: x", "report 1 (x): `notebook` is missing"),
        (HEAD + "- notebook: 3", "report 1: `notebook` is 3; it takes text"),
        (HEAD + "- notebook: curves", "unknown notebook 'curves'; did you mean 'curve'?"),
        (HEAD + "- {notebook: curve, parameter: {}}", "did you mean 'parameters'?"),
        (HEAD + "- {notebook: curve, parameters: 3}", "`parameters` is 3; it takes a mapping"),
        (HEAD + "- {notebook: curve, parameters: {lable: x}}", "did you mean 'label'?"),
        (HEAD + "- {notebook: curve, parameters: {label: 3}}", "'label' is 3; it takes str"),
        (HEAD + "- {notebook: curve, parameters: {mcid: x}}", "'mcid' is 'x'; it takes float"),
        (HEAD + "- {notebook: curve, parameters: {mcid: true}}", "'mcid' is True"),
        (HEAD + "- {notebook: curve, parameters: {steps: 1.5}}", "'steps' is 1.5; it takes int"),
        (HEAD + "- {notebook: curve, parameters: {smooth: 1}}", "'smooth' is 1; it takes bool"),
        (HEAD + "- {notebook: curve, parameters: {types: yoga}}", "'types' is 'yoga'"),
        (HEAD + "- {notebook: curve, parameters: {types: [1]}}", "'types' is [1]"),
        (HEAD + "- {notebook: curve, name: ../x}", "'../x' cannot be a file's name"),
        (HEAD + "- {notebook: curve, name: A b}", "'A b' cannot be a file's name"),
        (HEAD + "- {notebook: curve, name: index}", "'index' cannot be a file's name"),
        (HEAD + "- notebook: curve\n- notebook: curve", "reports 1, 2: the name 'curve' is used"),
        ("title: a\ntitle: b\nreports: []", "the key 'title' stands there twice"),
        (HEAD + "- {notebook: curve, parameters: {steps: 1:30}}", "1:30 would be read as another"),
        (HEAD + "- {notebook: curve, parameters: {mcid: 1:30.5}}", "1:30.5 would be read as"),
        (HEAD + "- {notebook: curve, parameters: {steps: 010}}", "010 would be read as another"),
        (HEAD + "- {notebook: curve, parameters: {label: 2020-01-31}}", "only in quotes"),
        (HEAD + "- {notebook: curve, parameters: {label: !!binary aGk=}}", "no such values"),
        (HEAD + "- {notebook: curve, parameters: {types: !!set {a}}}", "no such values are taken"),
        (
            HEAD + "- {notebook: curve, parameters: {mcid: .nan}}",
            "'mcid' is nan; it takes a finite",
        ),
        (HEAD + "- {notebook: curve, parameters: {mcid: -.inf}}", "'mcid' is -inf"),
        (HEAD + "- {notebook: curve, parameters: {steps: 99999999999999999999}}", "63 bits"),
        (HEAD + '- {notebook: curve, parameters: {label: "\\ud800"}}', "character"),
        (HEAD + '- {notebook: curve, title: "a\\0b"}', "the character \\x00"),
        (HEAD + f"- {{notebook: curve, parameters: {{label: {'x' * 10_001}}}}}", "10,001 char"),
        (HEAD + f"- {{notebook: curve, parameters: {{steps: {'9' * 5000}}}}}", "digits"),
        (HEAD + f"- {{notebook: curve, titel: {'x' * 9000}}}", "did you mean 'title'?"),
        (f"reports: {'x' * 100_000}", "it takes a list"),
        ("reports: &a [*a]", "refers to itself"),
        ("a: &a {b: *a}", "refers to itself"),
        ("title: !!python/object/apply:os.system [ls]", "is not YAML"),
        ("[" * 5000, "nested too deeply"),
        (HEAD + "- {notebook: curve, name: con}", "'con' cannot be a file's name"),
        (HEAD + "- {notebook: curve, name: nul}", "'nul' cannot be a file's name"),
        (HEAD + "- {notebook: curve, name: lpt1}", "'lpt1' cannot be a file's name"),
        (HEAD + "- {notebook: curve, name: Curve}", "'Curve' cannot be a file's name"),
        (HEAD + "- {notebook: curve, files: data}", "`files` is 'data'; it takes a list"),
        (HEAD + "- {notebook: curve, files: [1]}", "`files` takes a list of texts"),
        (HEAD + "- {notebook: curve, limits: 3}", "`limits` is 3; it takes a mapping"),
    ],
    ids=lambda value: value[:40] if value.isprintable() else "odd",
)
def test_fault_is_named_with_its_place(write_suite, text, fault):
    path = write_suite(text)
    with pytest.raises(SuiteError) as raised:
        read_suite(path)
    assert len(raised.value.faults) == 1
    assert fault in str(raised.value)
    assert str(path) in str(raised.value)
    assert len(str(raised.value)) < 1000


def test_all_faults_come_at_once(write_suite):
    path = write_suite(
        HEAD + "- {notebook: curve, name: A, parameters: {mcid: x, label: 3}}\n- {notebook: nope}"
    )
    with pytest.raises(SuiteError) as raised:
        read_suite(path)
    assert [fault.split(":")[0] for fault in raised.value.faults] == [
        *["report 1 (A)"] * 3,
        "report 2",
    ]


def test_missing_file_is_a_clear_error(tmp_path):
    with pytest.raises(SuiteError, match="cannot be read"):
        read_suite(tmp_path / "none.yml")


def test_names_and_titles_come_from_the_notebook_unless_given(write_suite):
    suite = read_suite(write_suite(HEAD + "- notebook: curve\n- {notebook: fails, title: T}"))
    assert [(r.name, r.title) for r in suite.reports] == [
        ("curve", "How much is enough?"),
        ("fails", "T"),
    ]


def test_suite_evidence_reaches_the_reports_that_can_use_it(write_suite):
    text = "title: T\nevidence: mine\nreports: [{notebook: curve}, {notebook: fails}]"
    suite = read_suite(write_suite(text))
    curve, fails = suite.reports
    assert curve.evidence_path(suite.folder) == suite.folder / "mine"
    assert fails.evidence_path(suite.folder) is None


def test_unreadable_evidence_stops_before_anything_runs(write_suite, tmp_path):
    text = "title: T\nevidence: no-such-folder\nreports: [{notebook: curve}]"
    with pytest.raises(SuiteError, match="no-such-folder"):
        run_suite(read_suite(write_suite(text)), tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_parameters_given_as_text_are_read_by_their_type(write_suite):
    suite = read_suite(write_suite(HEAD + "- notebook: curve\n- notebook: fails"))
    texts = {"label": "10", "mcid": "10", "steps": "3", "smooth": "false", "types": "yoga, walking"}
    curve, fails = with_parameters(suite, texts).reports
    assert curve.choices() | {"evidence": ""} == {
        "evidence": "",
        "label": "10",
        "mcid": 10,
        "steps": 3,
        "smooth": False,
        "types": ["yoga", "walking"],
    }
    assert fails.parameters == {}


def test_text_of_the_wrong_type_or_name_is_refused(write_suite):
    suite = read_suite(write_suite(HEAD + "- notebook: curve"))
    with pytest.raises(SuiteError) as raised:
        with_parameters(suite, {"steps": "many", "mcdi": "3"})
    assert "did you mean 'mcid'?" in str(raised.value)
    assert "'steps' is 'many'; it takes int (curve)" in str(raised.value)


def test_none_can_be_given_as_text(write_suite):
    suite = read_suite(write_suite(HEAD + "- {notebook: curve, parameters: {mcid: 3}}"))
    assert with_parameters(suite, {"mcid": "none"}).reports[0].choices()["mcid"] is None


def test_the_default_suite_is_sound_and_answers_what_it_must():
    suite = read_suite(reports_dir() / "default.yml")
    asked = {
        (r.notebook.name, r.choices().get("outcome"), r.choices().get("dose"))
        for r in suite.reports
    }
    outcomes = ["pain_intensity", "disability"]
    doses = ["minutes_per_week", "sessions_per_week", "duration_weeks"]
    assert asked >= {
        ("01_evidence_map", None, None),
        *(("02_pooled_effects", outcome, None) for outcome in outcomes),
        *(("03_dose_response", outcome, dose) for outcome in outcomes for dose in doses),
    }


def test_a_text_that_unfolds_to_billions_ends_at_once(write_suite):
    laughs = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 20))
    path = write_suite(f"a0: &a0 [lol]\n{laughs}\nreports: []")
    with pytest.raises(SuiteError, match="more than 500,000 values"):
        read_suite(path)


def test_many_faults_are_capped(write_suite):
    entries = "\n".join(f"- {{notebook: none{n}}}" for n in range(2000))
    with pytest.raises(SuiteError, match="… and 1,950 more"):
        read_suite(write_suite(HEAD + entries))


@pytest.mark.parametrize("text", ["2020-01-01", "1:30", "[.nan]", "&a [*a]", "a: 1, a: 2", "\0"])
def test_odd_text_on_the_command_line_is_text_or_a_fault(write_suite, text):
    suite = read_suite(write_suite(HEAD + "- notebook: curve"))
    with pytest.raises(SuiteError):
        with_parameters(suite, {"steps": text})


def test_very_many_reports_are_refused_shortly(tmp_path, monkeypatch):
    sought = []
    monkeypatch.setattr(suite, "find_notebook", lambda name, folder: sought.append(name) or fail())

    def fail():
        raise ReportingError("unknown")

    path = tmp_path / "suite.yml"
    path.write_text("reports: [" + "{notebook: none, name: x}," * 300 + "]")
    with pytest.raises(SuiteError) as raised:
        read_suite(path)
    assert len(raised.value.faults) == 51 and sought == ["none"]
    monkeypatch.setattr(suite, "MOST_REPORTS", 299)
    with pytest.raises(SuiteError, match="has 300 reports; 299 are the most"):
        read_suite(path)
    assert sought == ["none"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_suite_or_notebook_that_is_no_plain_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "suite.yml")
    with within(10), pytest.raises(SuiteError, match="no plain file"):
        read_suite(tmp_path / "suite.yml")
    with within(10), pytest.raises(ReportingError, match="no plain file"):
        load_notebook(tmp_path / "suite.yml")
    (tmp_path / "dead.ipynb").symlink_to("nowhere")
    for name, said in (("dead", "no plain file"), ("n" * 300, "unknown"), ("n" * 9000, "unknown")):
        with pytest.raises(ReportingError, match=said) as raised:
            find_notebook(name, tmp_path)
        assert len(str(raised.value)) < 1000
