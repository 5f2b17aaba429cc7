"""A run ends at its limits, in both engines, whatever its notebook does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from backpain_analysis.reporting import SuiteError, run_suite, with_limits
from tests.reporting.little import make_suite, write_notebook

STUBBORN = {
    "sleeps": "import time; print('so far', flush=True); time.sleep(300)",
    "ignores": (
        "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "print('so far', flush=True)\nwhile True: time.sleep(1)"
    ),
    "forks": (
        "import subprocess, sys, time, os; print('so far', flush=True)\n"
        "held = [subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])\n"
        "        for _ in range(3)]\n"
        "open({marks!r}, 'w').write(' '.join(str(each.pid) for each in held))\n"
        "time.sleep(300)"
    ),
}


ESCAPES = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open({marks!r}, "w").write(str(os.getpid()))
        time.sleep(300)
    os._exit(0)
while not os.path.exists({marks!r}):
    time.sleep(0.02)
time.sleep(0.2)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux finds it again")
def test_what_leaves_its_parent_and_its_group_ends_with_its_run(tmp_path):
    marks = tmp_path / "marks"
    write_notebook(tmp_path, "escapes", ESCAPES.replace("{marks!r}", repr(str(marks))))
    (outcome,) = run_suite(make_suite(tmp_path, {"notebook": "escapes"}), tmp_path / "site")
    assert not outcome.error and not runs(int(marks.read_text()))


@pytest.mark.parametrize("forked", [True, False], ids=["forked", "fresh"])
def test_a_hung_notebook_ends_at_its_limit_with_what_it_has_shown(tmp_path, forked):
    marks = str(tmp_path / "marks")
    for name, source in STUBBORN.items():
        write_notebook(tmp_path, name, source.replace("{marks!r}", repr(marks)), "print('after')")
    limits = {"cell_seconds": 1.5}
    suite = make_suite(tmp_path, *({"notebook": name} for name in STUBBORN), limits=limits)
    outcomes = run_suite(suite, tmp_path / "site", jobs=3, forked=forked)
    assert {outcome.error for outcome in outcomes} == {
        "The cell took longer than its limit of 1.5 s."
    }
    for name in STUBBORN:
        page = (tmp_path / "site" / f"{name}.html").read_text()
        assert "so far" in page and 'id="failure"' in page
    pids = [int(pid) for pid in Path(marks).read_text().split()]
    assert not any(runs(pid) for pid in pids), "what a notebook starts ends with it"


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_run_of_many_cells_ends_at_the_limit_of_the_run(tmp_path):
    write_notebook(tmp_path, "long", *["import time; time.sleep(0.6)"] * 8)
    suite = with_limits(make_suite(tmp_path, {"notebook": "long"}), {"run_seconds": "1.5"})
    (outcome,) = run_suite(suite, tmp_path / "site")
    assert outcome.error == "The run took longer than its limit of 1.5 s."


@pytest.mark.parametrize("forked", [True, False], ids=["forked", "fresh"])
def test_floods_and_memory_are_kept_in_bounds_and_said(tmp_path, forked):
    write_notebook(
        tmp_path,
        "floods",
        "print('x' * 5_000_000)",
        "for n in range(8): print('y' * 500_000)",
        "from IPython.display import HTML\nHTML('<p>' + 'z' * 5_000_000)",
        "print('goes on')",
    )
    write_notebook(tmp_path, "eats", "held = bytearray(3_000_000_000)", "print('never')")
    limits = {"output_mb": 1, "memory_mb": 2000}
    suite = make_suite(tmp_path, {"notebook": "floods"}, {"notebook": "eats"}, limits=limits)
    floods, eats = run_suite(suite, tmp_path / "site", forked=forked)
    assert not floods.error
    page = (tmp_path / "site" / "floods.html").read_text()
    assert len(page) < 2_500_000 and "goes on" in page
    assert (
        page.count("What else this cell shows is left out: it is more than a cell&#x27;s 1 MB")
        + (page.count("What else this cell shows is left out: it is more than a cell's 1 MB"))
        == 3
    )
    if sys.platform == "linux":
        assert eats.error.startswith("MemoryError")


def test_a_page_has_a_limit_too(tmp_path):
    write_notebook(tmp_path, "many", *["print('x' * 900_000)"] * 4)
    limits = {"output_mb": 1, "page_mb": 2}
    (outcome,) = run_suite(
        make_suite(tmp_path, {"notebook": "many"}, limits=limits), tmp_path / "s"
    )
    page = (tmp_path / "s" / "many.html").read_text()
    assert not outcome.error and len(page) < 2_500_000 and "page" in page and "2 MB" in page


@pytest.mark.parametrize(
    ("limits", "fault"),
    [
        ({"cell_second": 3}, "unknown limit 'cell_second'"),
        ({"cell_seconds": 0}, "`cell_seconds` is 0; it takes a positive number"),
        ({"memory_mb": "much"}, "`memory_mb` is 'much'"),
        ({"page_mb": True}, "`page_mb` is True"),
    ],
)
def test_odd_limits_are_faults(tmp_path, limits, fault):
    write_notebook(tmp_path, "lives", "1")
    with pytest.raises(SuiteError, match=fault):
        make_suite(tmp_path, {"notebook": "lives"}, limits=limits)
    with pytest.raises(SuiteError, match=r"limit"):
        with_limits(make_suite(tmp_path, {"notebook": "lives"}), {k: "x" for k in limits})


@pytest.mark.parametrize(
    "cell",
    ["import sys; sys.exit(0)", "import sys; sys.exit()", "raise SystemExit", "exit()", "quit()"],
)
def test_a_notebook_that_ends_itself_is_not_finished(tmp_path_factory, cell, ended):
    assert ended[cell].startswith("The notebook ended itself")


def test_a_code_that_a_notebook_ends_with_is_told(ended):
    assert ended["import sys; sys.exit(3)"] == "SystemExit: 3"


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """How runs end whose cells say that they end, warm and, for two of them, fresh."""
    folder = tmp_path_factory.mktemp("ends")
    cells = [
        *("import sys; sys.exit(0)", "import sys; sys.exit()", "raise SystemExit"),
        *("exit()", "quit()", "import sys; sys.exit(3)"),
    ]
    for number, cell in enumerate(cells):
        write_notebook(folder, f"ends-{number}", cell, "print('after')")
    every = [{"notebook": f"ends-{number}"} for number in range(len(cells))]
    outcomes = run_suite(make_suite(folder, *every), folder / "site")
    fresh = run_suite(make_suite(folder, every[0], every[3]), folder / "fresh", forked=False)
    assert all(outcome.error.startswith("The notebook ended itself") for outcome in fresh)
    return {cell: outcome.error for cell, outcome in zip(cells, outcomes, strict=True)}


@pytest.mark.parametrize("warm", ["--warm", "--no-warm"])
def test_ctrl_c_ends_any_run_and_leaves_no_process(tmp_path, warm):
    marks = tmp_path / "marks"
    source = STUBBORN["ignores"].replace(
        "while", f"open({str(marks)!r}, 'w').write(f'{{os.getpid()}} {{child}}')\nwhile"
    )
    leaves = "import os, time\nchild = os.fork()\nif not child: os.setsid(); time.sleep(300)\n"
    write_notebook(tmp_path, "hangs", leaves + source)
    make_suite(tmp_path, {"notebook": "hangs"})
    words = ["report", "run", str(tmp_path / "suite.yml"), "--out", str(tmp_path / "site"), warm]
    runner = subprocess.Popen(
        [sys.executable, "-m", "backpain_analysis", *words],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    while not (marks.exists() and marks.read_text()):
        assert runner.poll() is None
        time.sleep(0.05)
    runner.send_signal(signal.SIGINT)
    _, said = runner.communicate(timeout=20)
    assert runner.returncode == 130 and len(said.splitlines()) == 1
    assert said.startswith("Stopped. 0 of 1 reports are finished; what is finished stays in ")
    assert not any(runs(int(pid)) for pid in marks.read_text().split())
    assert not list(tmp_path.glob("backpain-*"))
