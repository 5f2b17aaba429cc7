"""The command ``backpain``: what it prints and how it exits."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from backpain_analysis.__main__ import main
from backpain_analysis.cli import app
from backpain_analysis.console import live_console
from backpain_analysis.datasets.bundled import data_dir

NOTEBOOKS = Path(__file__).parent / "reporting" / "notebooks"
COMMANDS = [
    *(["report", name] for name in ("run", "verify", "serve", "pdf", "docx", "figures", "list")),
    *(["data", name] for name in ("template", "words", "check", "describe")),
    ["lab"],
]


def backpain(*words: object):
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_of_every_command_has_an_example(command):
    result = backpain(*command, "--help")
    assert result.exit_code == 0
    assert f"backpain {' '.join(command)}" in result.output.split("For example")[1]


def test_help_does_not_wait_for_the_scientific_packages():
    code = (
        "import sys; from backpain_analysis.cli import app; app(['--help'], standalone_mode=False);"
        "sys.exit(bool({'pandas', 'papermill', 'nbconvert', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        ("report run", True),
        ("report run a.yml --jobs 2", True),
        ("report run --help", False),
        ("report run a.yml --no-warm", False),
        ("report run --scheduler=tcp://a:1", False),
        ("report run --inputs", False),
        ("report verify run", False),
        ("run report", False),
        ("report", False),
        ("", False),
    ],
)
def test_what_forks_runs_begins_before_the_command_is_read(words, begins, monkeypatch):
    done = []
    monkeypatch.setattr("backpain_analysis.reporting.warm.start", lambda: done.append("warm"))
    monkeypatch.setattr("backpain_analysis.cli.app", lambda: done.append("read"))
    monkeypatch.setattr(sys, "argv", ["backpain", *words.split()])
    main()
    assert done == ["warm", "read"][not begins :]


def test_a_wrong_option_is_told_at_once(tmp_path):
    """Without waiting for the process that has begun, of which nothing is left."""
    run = [sys.executable, "-m", "backpain_analysis", "report", "run", "--wrong"]
    found = subprocess.run(
        run, capture_output=True, text=True, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    assert found.returncode == 2 and "No such option" in found.stderr
    assert not list(tmp_path.iterdir())


def test_no_room_for_temporary_files_is_one_message(tmp_path):
    given = [str(NOTEBOOKS / "curve.ipynb"), "--out", str(tmp_path)]
    code = f"""
import sys, tempfile
from backpain_analysis.__main__ import main
def full(*_, **__):
    raise OSError(28, "No space left on device")
tempfile.mkdtemp = full
sys.argv = ["backpain", "report", "run", *{given}]
main()
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode == 2 and not found.stdout
    assert found.stderr.startswith("no temporary folder can be made: No space left on device; ")
    assert len(found.stderr.splitlines()) == 1


def test_a_failing_notebook_leaves_a_page_and_exit_code_1(tmp_path):
    result = backpain(
        *("report", "run", NOTEBOOKS / "fails.ipynb", "-p", "person", "Ann = Bob"),
        *("--out", tmp_path, "--jobs", 1),
    )
    assert result.exit_code == 1
    assert "ValueError: no trial of Ann = Bob" in result.output
    assert "1 run, 0 kept, 1 failed" in result.output
    assert "no trial of Ann = Bob" in (tmp_path / "fails.html").read_text()
    assert (tmp_path / "index.html").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["report", "run", "no-such"], "unknown notebook 'no-such'"),
        (["report", "run", "no-such.yml"], "cannot be read"),
        (["report", "run", NOTEBOOKS / "curve", "-p", "mcid", "x"], "it takes float | None"),
        (["report", "run", NOTEBOOKS / "curve", "-p", "mcdi=3"], "did you mean 'mcid'?"),
        (["report", "run", NOTEBOOKS / "curve", "-p", "mcid"], "give a name and a value"),
        (["report", "list", "no-such"], "unknown notebook"),
        (["data", "check", "no-such-folder"], "no-such-folder"),
        (["data", "describe", "no-such-folder"], "no-such-folder"),
    ],
)
def test_errors_are_one_message_and_exit_code_2(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = backpain(*words)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output
    assert list(tmp_path.iterdir()) == []


def test_an_output_folder_that_cannot_be_made_is_a_message(tmp_path):
    (tmp_path / "taken").write_text("a file")
    result = backpain("report", "run", NOTEBOOKS / "fails.ipynb", "--out", tmp_path / "taken" / "x")
    assert result.exit_code == 2
    assert "output folder" in result.output


def test_what_a_run_reads_is_listed_and_nothing_is_run(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.csv").write_text("1,2")
    suite = tmp_path / "suite.yml"
    suite.write_text(f"reports: [{{notebook: {NOTEBOOKS / 'fails'}, files: [mine]}}]")
    result = backpain("report", "run", suite, "--inputs", "--out", tmp_path / "site")
    assert result.exit_code == 0
    first, second = result.output.splitlines()
    assert first == "fails: 1 files, 3 bytes" and second.split()[:2] == ["mine/a.csv", "3"]
    assert not (tmp_path / "site").exists()


def test_limits_and_force_are_options_and_pages_of_other_suites_are_named(tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    (site / "interpreter.html").write_text("mine")
    words = ("report", "run", NOTEBOOKS / "interpreter.ipynb", "--out", site)
    assert "say --force" in backpain(*words).output
    assert "unknown limit 'cells'" in backpain(*words, "--limit", "cells=3").output
    assert backpain(*words, "--force", "--limit", "cell_seconds=60").exit_code == 0
    other = backpain("report", "run", NOTEBOOKS / "fails.ipynb", "--out", site)
    assert "left from other suites, not in the index: interpreter.html" in other.output


def test_parameters_of_a_notebook_are_listed():
    result = backpain("report", "list", NOTEBOOKS / "curve.ipynb")
    assert result.exit_code == 0
    row = next(line for line in result.output.splitlines() if "mcid" in line)
    assert "float | None" in row and "smallest difference patients notice" in row


def test_bundled_notebooks_are_listed():
    result = backpain("report", "list")
    assert result.exit_code == 0
    assert "03_dose_response" in result.output


def test_sound_tables_pass_the_check_and_faulty_ones_do_not(tmp_path):
    for table in (data_dir() / "trials").glob("*.csv"):
        (tmp_path / table.name).write_bytes(table.read_bytes())
    sound = backpain("data", "check", tmp_path)
    assert sound.exit_code == 0 and "no faults" in sound.output

    trials = tmp_path / "trials.csv"
    header, first, *rest = trials.read_text(encoding="utf-8").splitlines(keepends=True)
    trials.write_text(header + first + first + "".join(rest), encoding="utf-8")
    faulty = backpain("data", "check", tmp_path)
    assert faulty.exit_code == 1
    assert "trials.csv" in faulty.output


def test_participants_are_checked_as_participants(tmp_path):
    for table in (data_dir() / "participants").glob("*.csv"):
        (tmp_path / table.name).write_bytes(table.read_bytes())
    sound = backpain("data", "check", tmp_path)
    assert sound.exit_code == 0 and "no faults" in sound.output

    scores = tmp_path / "scores.csv"
    lines = scores.read_text(encoding="utf-8").splitlines(keepends=True)
    scores.write_text("".join([*lines, lines[1]]), encoding="utf-8")
    faulty = backpain("data", "check", tmp_path)
    assert faulty.exit_code == 1 and "scores.csv" in faulty.output


def test_describe_counts_the_bundled_evidence():
    result = backpain("data", "describe")
    assert result.exit_code == 0
    assert "backpain-trials" in result.output and "exercise arms" in result.output


def test_the_laboratory_gets_the_options_of_jupyterlab(monkeypatch):
    asked = []

    def run(command, **_):
        asked.append(command)
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr(subprocess, "run", run)
    result = backpain("lab", "--no-browser", "--port", 8890)
    assert result.exit_code == 3
    assert asked[0][-3:] == ["--no-browser", "--port", "8890"]
    assert asked[0][3].startswith("--notebook-dir=")


def test_version():
    result = backpain("--version")
    assert result.exit_code == 0
    assert result.output.strip() == version("backpain-analysis")


def test_progress_is_drawn_over_itself_in_terminals_only(monkeypatch):
    """JupyterLab asks all commands of a cell for colours; what they print there is kept as text."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert not live_console().is_terminal
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert live_console().is_terminal
