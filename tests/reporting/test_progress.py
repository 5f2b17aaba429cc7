"""What is shown and said while a suite is run."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console
from typer.testing import CliRunner

from backpain_analysis.cli import app
from backpain_analysis.reporting.progress import Event, show_progress, time_left
from tests.reporting.little import make_suite, write_notebook

EVENTS = [
    Event("begin", reports=5, kept=1),
    Event("kept", "old"),
    Event("cell", "a[b]", cell=3, cells=7),
    Event("cell", "slow", cell=1, cells=2),
    Event("done", "quick", seconds=1),
    Event("failed", "slow", seconds=1, error="x"),
]


def shown(terminal: bool) -> str:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=160, color_system=None)
    with show_progress(console) as listen:
        for event in EVENTS:
            listen(event)
    return text.getvalue()


def test_a_terminal_shows_what_waits_runs_and_is_done():
    last = shown(True)
    assert "1 waiting, 1 running, 1 done, 1 failed, 1 kept" in last
    assert "a[b]" in last and "running cell 3 of 7" in last
    assert "about 5 s left" in last


def test_piped_there_is_a_line_for_each_report_that_ends(capsys):
    assert shown(False) == ""
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == ["done 2/5 quick 1.0 s", "failed 3/5 slow 1.0 s"]


@pytest.mark.parametrize(
    ("seconds", "waiting", "at_once", "said"),
    [
        ([], 3, 1, ""),
        ([4.0], 0, 2, ""),
        ([1.0], 1, 2, "about 5 s left"),
        ([10.0, 30.0], 4, 2, "about 40 s left"),
        ([60.0], 10, 2, "about 5 min left"),
        ([60.0], 3, 2, "about 2 min left"),
    ],
)
def test_time_left_is_told_from_how_long_others_took(seconds, waiting, at_once, said):
    assert time_left(seconds, waiting, at_once) == said


def test_events_are_lines_of_json(tmp_path):
    write_notebook(tmp_path, "lives", "print(word)")
    write_notebook(tmp_path, "fails", "raise ValueError(word)")
    make_suite(tmp_path, {"notebook": "lives"}, {"notebook": "fails"})
    words = [
        "report",
        "run",
        str(tmp_path / "suite.yml"),
        "--out",
        str(tmp_path / "site"),
        "--json",
    ]
    result = CliRunner().invoke(app, words)
    events = [json.loads(line) for line in result.output.splitlines()]
    assert result.exit_code == 1
    assert events[0] == {"event": "begin", "reports": 2, "kept": 0}
    assert events[-1] == {"event": "end", "reports": 2, "kept": 0, "failed": 1}
    ended = {event["report"]: event for event in events if event["event"] in ("done", "failed")}
    assert ended["fails"]["error"] == "ValueError: none" and ended["lives"]["event"] == "done"
    assert {e["cells"] for e in events if e["event"] == "cell"} == {3}
