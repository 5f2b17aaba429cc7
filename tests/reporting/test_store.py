"""A site's folder: one run at a time, nothing of others touched, nothing read back unchecked."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from backpain_analysis.reporting import ReportingError, run_suite, store
from backpain_analysis.reporting.received import read_manifest, read_record, seal
from backpain_analysis.reporting.store import keep, stale_pages, taken_folder
from tests.reporting.little import files_of, make_suite, within, write_notebook


@pytest.fixture
def suite(tmp_path):
    write_notebook(tmp_path, "lives", "print(number)")
    return make_suite(tmp_path, {"notebook": "lives", "grid": {"number": [1, 2]}})


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A suite and its site, which tests copy and damage."""
    folder = tmp_path_factory.mktemp("built")
    write_notebook(
        folder, "answers", "from IPython.display import Markdown; Markdown(f'> It is {number}')"
    )
    suite = make_suite(folder, {"notebook": "answers", "grid": {"number": [1, 2]}})
    run_suite(suite, folder / "site")
    return suite, folder / "site"


@pytest.fixture
def site(built, tmp_path):
    """A copy of that site; beside it a file that nobody may touch."""
    import shutil

    shutil.copytree(built[1], tmp_path / "site")
    (tmp_path / "precious.txt").write_text("mine")
    return tmp_path / "site"


def test_a_second_run_on_a_folder_is_refused_with_who_and_since_when(suite, tmp_path):
    site = tmp_path / "site"
    with taken_folder(site, []), pytest.raises(ReportingError) as raised:
        run_suite(suite, site)
    assert re.search(
        rf"written to by process {os.getpid()} of \S+ on \S+ since 2\d", str(raised.value)
    )
    assert len(run_suite(suite, site)) == 2


def test_a_lock_whose_holder_was_killed_holds_nobody_up(suite, tmp_path):
    site = tmp_path / "site"
    code = (
        "import sys, time; from pathlib import Path;"
        "from backpain_analysis.reporting.store import taken_folder\n"
        "with taken_folder(Path(sys.argv[1]), []): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(site)], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(ReportingError, match=f"process {holder.pid} "):
        run_suite(suite, site)
    holder.kill()
    holder.communicate()
    assert len(run_suite(suite, site)) == 2


@pytest.mark.parametrize("name", ["index.html", "compare.html", "lives-1.html", "manifest.json"])
def test_a_file_of_another_origin_is_not_written_over_unless_asked(suite, tmp_path, name):
    site = tmp_path / "site"
    site.mkdir()
    (site / name).write_text("<html>my own</html>")
    with pytest.raises(ReportingError, match=rf"{name} is not from backpain-analysis; .*--force"):
        run_suite(suite, site)
    assert (site / name).read_text() == "<html>my own</html>"
    run_suite(suite, site, force=True)
    assert "my own" not in (site / name).read_text()


@pytest.mark.parametrize("name", [*store.FOLDERS, "tables/a", ".finished/lock"])
def test_what_leads_elsewhere_is_refused_and_nothing_there_is_touched(tmp_path, name):
    elsewhere, site = tmp_path / "elsewhere", tmp_path / "site"
    elsewhere.mkdir()
    (elsewhere / f".mine{store.PART}").write_text("precious")
    (site / name).parent.mkdir(parents=True)
    target = elsewhere / f".mine{store.PART}" if name.endswith("lock") else elsewhere
    (site / name).symlink_to(target)
    with pytest.raises(ReportingError, match=r"symbolic link"), taken_folder(site, ["a"]):
        pass
    assert [path.read_text() for path in elsewhere.iterdir()] == ["precious"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("name", [".finished/lock", "index.html", "a.html", ".finished/a.json"])
def test_a_pipe_in_the_place_of_a_file_holds_nobody_up(tmp_path, name):
    (tmp_path / ".finished").mkdir()
    os.mkfifo(tmp_path / name)
    with within(10), suppress(ReportingError), taken_folder(tmp_path, ["a"]):
        assert store.read_record(tmp_path / ".finished" / "a.json", "a") is None
        assert stale_pages(tmp_path, []) == []


def test_what_was_begun_under_our_name_by_others_is_not_written_through(tmp_path):
    precious = tmp_path / "precious.txt"
    precious.write_text("precious")
    (tmp_path / f".a.html{store.PART}").symlink_to(precious)
    store.write_aside(tmp_path / "a.html", "a")
    assert precious.read_text() == "precious" and (tmp_path / "a.html").read_text() == "a"
    assert not (tmp_path / "a.html").is_symlink()


def test_only_our_own_half_written_files_are_removed(tmp_path):
    theirs = [".notes.part", "sub/.x.backpain-part", "notebooks/.y.part", "z.backpain-part"]
    ours = [".index.html.backpain-part", "notebooks/.a.ipynb.backpain-part"]
    for name in [*theirs, *ours]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with taken_folder(tmp_path, []):
        pass
    assert all((tmp_path / name).exists() for name in theirs)
    assert not any((tmp_path / name).exists() for name in ours)


def test_pages_of_earlier_suites_are_named(site):
    (site / "by-hand.html").write_text("<html></html>")
    assert stale_pages(site, ["answers-1"]) == ["answers-2.html"]


def test_pages_that_are_removed_meanwhile_are_missed(suite, tmp_path):
    site = tmp_path / "site"

    def listen(event):
        if event.kind == "done":
            (site / f"{event.report}.html").unlink()

    with pytest.raises(ReportingError, match=r"2 pages were removed .*lives-1\.html"):
        run_suite(suite, site, listen=listen)


def test_a_folder_that_is_removed_meanwhile_is_made_again_by_the_next_run(suite, tmp_path):
    import shutil

    site, removed = tmp_path / "site", []

    def listen(event):
        if event.kind == "done" and not removed:
            removed.append(shutil.rmtree(site))

    with pytest.raises(ReportingError, match="1 pages were removed"):
        run_suite(suite, site, jobs=1, listen=listen)
    run_suite(suite, site)
    whole = tmp_path / "whole"
    run_suite(suite, whole)
    assert files_of(site) == files_of(whole)


def forged(record: dict, **changes) -> dict:
    record = record | changes
    return record | {"seal": seal(record)}


@pytest.mark.parametrize(
    "file",
    [
        "../precious.txt",
        "/etc/hostname",
        "notebooks/../../precious.txt",
        "answers-2.html",
        "tables/x",
        "workbooks/answers-1.exe",
        "workbooks/answers-2.xlsx",
        "references/answers-1.html",
    ],
)
def test_a_record_that_names_what_is_not_its_own_is_no_record(built, site, file):
    path = site / ".finished" / "answers-1.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(forged(record, files={**record["files"], file: "0" * 64})))
    assert read_record(path, "answers-1") is None
    run_suite(built[0], site, fresh=True)
    assert (site.parent / "precious.txt").read_text() == "mine"
    assert (site / "answers-2.html").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"answer": "It is 7"},
        {"seconds": -1},
        {"seconds": float("nan")},
        {"summary": {}},
        {"error": None},
        {"more": 1},
        {"files": []},
    ],
)
def test_a_changed_or_odd_record_is_no_record_and_reaches_no_index(built, site, changes):
    path = site / ".finished" / "answers-1.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    assert read_record(path, "answers-1") is None
    kinds = []
    run_suite(built[0], site, listen=lambda event: kinds.append(event.kind))
    assert kinds.count("done") == 1 and kinds.count("kept") == 1
    assert "It is 7" not in (site / "index.html").read_text()


@pytest.mark.parametrize(
    "content", ["", "[]", "null", "{", "[" * 100_000, '{"key": 1}', "\x00", '"x"']
)
def test_what_is_no_json_of_ours_is_no_record_and_no_manifest(site, content):
    for name in (".finished/answers-1.json", "manifest.json"):
        (site / name).write_text(content)
    assert read_record(site / ".finished" / "answers-1.json", "answers-1") is None
    with pytest.raises(ReportingError) as raised:
        read_manifest(site)
    assert len(str(raised.value)) < 1000


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "../x"),
        ("name", "/srv/x"),
        ("notebook", "../../x"),
        ("notebook", "/etc/x"),
        ("file", "../x.html"),
        ("file", "answers-2.html"),
        ("inputs", {"/etc/passwd": "0" * 64}),
        ("inputs", {"a": "short"}),
        ("commit", {"id": "x", "modified": True}),
        ("status", "fine"),
        ("asked", None),
        ("parameters", []),
    ],
)
def test_an_odd_manifest_is_refused_with_what_is_odd(site, key, value):
    path = site / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["reports"][0][key] = value
    path.write_text(json.dumps(manifest))
    with pytest.raises(ReportingError, match="not a manifest of ours"):
        read_manifest(site)
    del manifest["reports"][0][key]
    path.write_text(json.dumps(manifest))
    with pytest.raises(ReportingError, match=rf"{key}: Field required"):
        read_manifest(site)


def test_a_clock_that_steps_back_stalls_nothing(suite, tmp_path, monkeypatch):
    real, steps = time.time, iter(range(0, 10**9, 3600))
    monkeypatch.setattr(time, "time", lambda: real() - next(steps))
    outcomes = run_suite(suite, tmp_path / "site")
    assert [outcome.error for outcome in outcomes] == ["", ""]
    assert all(outcome.seconds >= 0 for outcome in outcomes)
    assert run_suite(suite, tmp_path / "site") == outcomes


def test_a_read_only_folder_is_one_message(suite, tmp_path, monkeypatch):
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ReportingError, match=r"output folder cannot be made: .*Permission denied"):
        with store.taken_folder(tmp_path / "site", []):
            pass


def test_a_file_that_a_report_no_longer_has_is_removed(built, site):
    suite, _ = built
    from backpain_analysis.reporting.job import NOTHING, Built, Outcome
    from backpain_analysis.reporting.run import plan

    job = plan(suite)[0]
    outcome = Outcome(job.report, "", "", 1.0, NOTHING)
    keep(job, Built(outcome, {"answers-1.html": b"x"}), site)
    assert not (site / "notebooks" / "answers-1.ipynb").exists()
    assert (site / "notebooks" / "answers-2.ipynb").exists()
