"""What is finished is not done twice, whatever ended the batch before."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import signal
import subprocess
import sys
import time

import psutil
import pytest
from typer.testing import CliRunner

from backpain_analysis.cli import app
from backpain_analysis.reporting import ReportingError, run_suite, warm
from tests.reporting.little import files_of, make_suite, write_notebook


def counting(folder) -> str:
    """A cell that notes that it has run, outside its own folder."""
    return f"open({str(folder / 'runs.txt')!r}, 'a').write(f'{{number}}\\n'); print(number)"


@pytest.fixture
def counted(tmp_path):
    """A suite of three runs whose notebook notes every time it runs, and a function to count."""
    write_notebook(tmp_path, "counts", counting(tmp_path))
    suite = make_suite(tmp_path, {"notebook": "counts", "grid": {"number": [1, 2, 3]}})

    def ran() -> list[str]:
        notes = tmp_path / "runs.txt"
        found = sorted(notes.read_text().split()) if notes.exists() else []
        notes.unlink(missing_ok=True)
        return found

    return suite, ran


def test_a_finished_run_is_not_done_twice_unless_asked(counted, tmp_path):
    suite, ran = counted
    site = tmp_path / "site"
    first = run_suite(suite, site)
    before = files_of(site)
    assert ran() == ["1", "2", "3"]
    assert run_suite(suite, site) == first
    assert ran() == [] and files_of(site) == before
    run_suite(suite, site, fresh=True)
    assert ran() == ["1", "2", "3"] and files_of(site) == before


def test_what_has_changed_is_run_again_and_nothing_else(counted, tmp_path):
    suite, ran = counted
    site = tmp_path / "site"
    run_suite(suite, site)
    ran()
    more = {"notebook": "counts", "grid": {"number": [2, 3, 4]}}
    run_suite(make_suite(tmp_path, more), site)
    assert ran() == ["4"]
    (site / "counts-3.html").write_text("half a pa")
    (site / "notebooks" / "counts-4.ipynb").unlink()
    run_suite(make_suite(tmp_path, more), site)
    assert ran() == ["3", "4"]
    write_notebook(tmp_path, "counts", counting(tmp_path), "2")
    run_suite(make_suite(tmp_path, more), site)
    assert ran() == ["2", "3", "4"]


def test_outputs_saved_in_a_notebook_do_not_count_as_a_change(counted, tmp_path):
    suite, ran = counted
    run_suite(suite, tmp_path / "site")
    ran()
    path = tmp_path / "counts.ipynb"
    nb = json.loads(path.read_text())
    nb["cells"][-1] |= {"execution_count": 3, "outputs": []}
    path.write_text(json.dumps(nb))
    run_suite(
        make_suite(tmp_path, {"notebook": "counts", "grid": {"number": [1, 2, 3]}}),
        tmp_path / "site",
    )
    assert ran() == []


def test_a_failed_run_is_tried_again(tmp_path):
    there = tmp_path / "there.txt"
    write_notebook(tmp_path, "fragile", f"open({str(there)!r}).close()")
    suite = make_suite(tmp_path, {"notebook": "fragile"})
    (outcome,) = run_suite(suite, tmp_path / "site")
    assert outcome.error.startswith("FileNotFoundError")
    there.touch()
    (outcome,) = run_suite(suite, tmp_path / "site")
    assert not outcome.error


def test_a_full_disk_loses_nothing_finished(counted, tmp_path, monkeypatch):
    suite, ran = counted
    site = tmp_path / "site"
    flush, pages = os.fsync, []

    def fsync(handle: int) -> None:
        pages.append(handle)
        if len(pages) > 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    ended = warm.warm_process()
    with pytest.raises(ReportingError, match="No space left on device") as raised:
        run_suite(suite, site, jobs=1)
    assert "1 of 3 reports are finished and stay" in str(raised.value)
    assert not list(site.rglob(".*.part"))
    monkeypatch.undo()
    done = ran()
    run_suite(suite, site)
    assert "1" in done and ran() == ["2", "3"]
    assert len(list(site.glob("counts-*.html"))) == 3
    assert warm.warm_process() is not ended, "who ends a batch ends its processes; others come"


def backpain(folder, *options: str) -> subprocess.Popen:
    words = [sys.executable, "-m", "backpain_analysis", "report", "run", str(folder / "suite.yml")]
    return subprocess.Popen(
        [*words, "--out", str(folder / "site"), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def alone_after_a_while(processes: list[psutil.Process]) -> bool:
    """Whether these and what they started end within half a minute."""
    for process in list(processes):
        with contextlib.suppress(psutil.NoSuchProcess):
            processes += process.children(recursive=True)
    return not psutil.wait_procs(processes, timeout=30)[1]


def test_a_batch_that_is_killed_again_and_again_ends_with_the_same_site(tmp_path):
    """SIGKILL of the runner at random moments: no file is half there, and no run is lost."""
    write_notebook(
        tmp_path, "slow", "import time; time.sleep(0.2); print('x' * 100_000)", counting(tmp_path)
    )
    suite = make_suite(tmp_path, {"notebook": "slow", "grid": {"number": list(range(12))}})
    whole = tmp_path / "whole"
    run_suite(suite, whole)
    (tmp_path / "runs.txt").unlink()

    site, chance = tmp_path / "site", random.Random(8)
    for wanted in (2, 5):
        runner = backpain(tmp_path, "--json")
        for line in runner.stdout:
            if '"done"' in line and len(list(site.glob("*.html"))) >= wanted:
                time.sleep(chance.uniform(0, 0.3))
                left = psutil.Process(runner.pid).children(recursive=True)
                runner.kill()
                break
        runner.stdout.close()
        assert runner.wait() == -signal.SIGKILL
        assert alone_after_a_while(left), "what the runner left behind ends by itself"
        for page in site.glob("*.html"):
            assert page.read_bytes() == (whole / page.name).read_bytes()
    kept = len(list((site / ".finished").glob("*.json")))
    runs = (tmp_path / "runs.txt").read_text().split()
    assert kept >= 5 and len(runs) <= kept + 2 * 2
    run_suite(suite, site)
    assert files_of(site) == files_of(whole)
    assert len((tmp_path / "runs.txt").read_text().split()) == len(runs) + 12 - kept


def test_runs_whose_processes_are_killed_are_done_all_the_same(tmp_path):
    """SIGKILL from outside of the process of a run, and then of its builder."""
    write_notebook(
        tmp_path,
        "victim",
        f"import os, signal, pathlib\nonce = pathlib.Path({str(tmp_path)!r}) / f'{{number}}.txt'",
        "if not once.exists():\n"
        "    once.touch()\n"
        "    os.kill(os.getppid() if number == 2 else os.getpid(), signal.SIGKILL)\n"
        "    __import__('time').sleep(5)",
        "print(number)",
    )
    suite = make_suite(tmp_path, {"notebook": "victim", "grid": {"number": [1, 2, 3, 4]}})
    outcomes = run_suite(suite, tmp_path / "site", jobs=1)
    assert [outcome.error for outcome in outcomes] == [""] * 4


def test_many_runs_with_a_few_that_fail(tmp_path):
    """The failing ones have pages that say why; the exit code is 1 and the summary counts."""
    write_notebook(tmp_path, "many", "print(number)\nassert number not in (7, 11, 23), number")
    make_suite(tmp_path, {"notebook": "many", "grid": {"number": list(range(30))}})
    site = tmp_path / "site"
    words = ["report", "run", str(tmp_path / "suite.yml"), "--out", str(site)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert f"30 run, 0 kept, 3 failed: {site / 'index.html'}" in result.output
    failed = [line for line in result.output.splitlines() if ".html  " in line]
    assert [line.split()[-1] for line in failed] == ["7", "11", "23"]
    assert len(list(site.glob("many-*.html"))) == 30
    status = [
        report["status"] for report in json.loads((site / "manifest.json").read_text())["reports"]
    ]
    assert status.count("failed") == 3
    assert "could not be finished" in (site / "many-7.html").read_text()
    result = CliRunner().invoke(app, words)
    assert f"3 run, 27 kept, 3 failed: {site / 'index.html'}" in result.output
