"""Every file that a run reads counts by its content, and runs share no folder."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

import pytest
from packaging.requirements import Requirement

from backpain_analysis.evidence.evidence import load_evidence
from backpain_analysis.reporting import (
    ReportingError,
    SuiteError,
    inputs,
    run_suite,
)
from backpain_analysis.reporting.facts import gather_facts
from backpain_analysis.reporting.run import plan
from backpain_analysis.reporting.store import finished
from backpain_analysis.reporting.suite import with_parameters
from tests.reporting.little import files_of, make_suite, write_notebook

PARAMETERS = 'number: int = 0  # counts\npeople: str = ""  # a folder\nlabel: str = ""  # shown'
READS = """
import helper, os, pathlib
from IPython.display import Markdown
everything = pathlib.Path(os.curdir).rglob("*")
found = sorted(str(path) for path in everything if path.is_file() and "__pyc" not in str(path))
year = 2020
seen = [helper.VALUE, open("data/numbers.csv").read(), open(f"part_{year}.txt").read()]
seen += [open(f"{people}/scores.csv").read()] if people else []
"""
LEAVES = """
assert not os.path.exists("scratch.txt"), "another run was here"
open("scratch.txt", "w").write(str(number))
import time; time.sleep(0.2)
assert open("scratch.txt").read() == str(number)
"""
LISTENS = """
import psutil
mine = psutil.Process()
ports = [port for each in [mine, *mine.parents()[:2]] for port in each.net_connections("inet")]
open_to_all = [each for each in ports if each.status == "LISTEN" and each.laddr.ip != "127.0.0.1"]
assert not open_to_all, open_to_all
"""


@pytest.fixture
def folder(tmp_path):
    """A notebook that reads much of what lies beside it, and a bystander that it does not."""
    write_notebook(
        tmp_path, "reads", READS, LEAVES, "Markdown('> ' + '; '.join(found))", parameters=PARAMETERS
    )
    for place, content in {
        "helper.py": "from further import VALUE",
        "further.py": "VALUE = 1",
        "data/numbers.csv": "1",
        "data/more/deep.csv": "2",
        "part_2020.txt": "2020",
        "mine/scores.csv": "id,score",
        "mine/interventions.csv": "id",
        "mine/bystander.csv": "no table",
        "bystander.csv": "no one names it",
    }.items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(content)
    return tmp_path


def suite_of(folder, **parameters):
    return make_suite(folder, {"notebook": "reads", "parameters": parameters})


def places(suite) -> list[str]:
    (job,) = plan(suite)
    return [each.place for each in job.inputs]


BESIDE = ["data/numbers.csv", "further.py", "helper.py", "part_2020.txt"]


def test_what_the_code_and_the_parameters_name_is_found_and_nothing_else(folder):
    assert places(suite_of(folder)) == BESIDE
    found = places(suite_of(folder, people="mine"))
    assert found == sorted([*BESIDE, "mine/interventions.csv", "mine/scores.csv"])


def test_the_content_of_each_counts_and_that_of_no_other_file(folder):
    suite = suite_of(folder, people="mine")
    before = {each.place: each.sha256 for each in plan(suite)[0].inputs}
    for place in [*before, "bystander.csv", "mine/bystander.csv"]:
        path = folder / place
        old = path.read_bytes()
        path.write_bytes(old + b"\n")
        after = {each.place: each.sha256 for each in plan(suite)[0].inputs}
        changed = {name for name in before if after[name] != before[name]}
        assert changed == ({place} & before.keys())
        path.write_bytes(old)


def test_a_change_is_run_again_and_runs_leave_each_other_nothing(folder):
    suite = make_suite(
        folder, {"notebook": "reads", "grid": {"number": [1, 2]}, "parameters": {"people": "mine"}}
    )
    outcomes = run_suite(suite, folder / "site", jobs=2)
    assert [outcome.error for outcome in outcomes] == ["", ""]
    assert outcomes[0].answer == "; ".join(
        sorted([*BESIDE, "mine/interventions.csv", "mine/scores.csv"])
    )
    assert not (folder / "scratch.txt").exists()
    told = []
    for change in (None, "mine/scores.csv", "further.py", "bystander.csv"):
        if change:
            (folder / change).write_text((folder / change).read_text() + " ")
        run_suite(suite, folder / "site", listen=lambda event: told.append(event.kind))
        told.append(str(change))
    done = [told[: told.index("None")].count("done")]
    done += [
        told[told.index(a) : told.index(b)].count("done")
        for a, b in [
            ("None", "mine/scores.csv"),
            ("mine/scores.csv", "further.py"),
            ("further.py", "bystander.csv"),
        ]
    ]
    assert done == [0, 2, 2, 0]
    page = (folder / "site" / "reads-1.html").read_text()
    assert str(folder) not in page and "mine/scores.csv" in page


@pytest.mark.parametrize("way", ["absolute", "above", "home", "command line"])
def test_a_path_of_one_machine_appears_on_no_page(folder, way, monkeypatch):
    inner = folder / "inner"
    inner.mkdir()
    write_notebook(
        inner, "shows", "print(open(people + '/scores.csv').read())", parameters=PARAMETERS
    )
    monkeypatch.setenv("HOME", str(folder))
    given = {"absolute": str(folder / "mine"), "above": "../mine", "home": "~/mine"}.get(way, "")
    suite = make_suite(inner, {"notebook": "shows", "parameters": {"people": given}})
    if way == "command line":
        monkeypatch.chdir(folder)
        suite = with_parameters(suite, {"people": "mine"})
    (outcome,) = run_suite(suite, folder / "site")
    assert not outcome.error
    for name, content in files_of(folder / "site").items():
        assert str(folder).encode() not in content, name
    text = (folder / "site" / "shows.html").read_text()
    assert ("inputs/people/mine" in text) is (way != "command line")


def test_a_word_that_happens_to_name_a_file_stays_as_it_is(folder):
    (job,) = plan(suite_of(folder, label="mine"))
    assert job.report.parameters["label"] == "mine"


def test_a_mapping_names_files_as_a_list_does(folder):
    value = {"one": "data/numbers.csv", "two": [str(folder / "mine/scores.csv"), 3]}
    told, found = inputs.of_parameter("files", value, folder)
    assert told == {"one": "data/numbers.csv", "two": ["inputs/files-2-1/scores.csv", 3]}
    assert list(found) == ["data/numbers.csv", "inputs/files-2-1/scores.csv"]


def test_a_module_on_the_path_that_nobody_installed_counts_by_content(folder, monkeypatch):
    place = folder / "lib"
    (place / "unversioned").mkdir(parents=True)
    (place / "unversioned" / "__init__.py").write_text("import unversioned_too")
    (place / "unversioned_too.py").write_text("")
    (place / "further.py").write_text("")
    monkeypatch.syspath_prepend(place)
    code = ["import unversioned.part, further, json, yaml, backpain_analysis"]
    found = inputs.beside(folder / "reads.ipynb", code)
    assert sorted(found) == ["further.py", "unversioned/__init__.py", "unversioned_too.py"]
    assert found["further.py"] == folder / "further.py"
    inputs.of_no_version.cache_clear()
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.chdir(place)
    assert inputs.of_no_version("unversioned_too") is None, "what a run would not find there"
    monkeypatch.setenv("PYTHONPATH", str(place))
    inputs.of_no_version.cache_clear()
    assert inputs.of_no_version("unversioned_too") == place / "unversioned_too.py"
    inputs.of_no_version.cache_clear()


def test_the_versions_of_what_a_notebook_imports_count_too():
    known = gather_facts().packages
    more = gather_facts(["yaml", "pytest", "json", "nothing_like_it", "numpy"]).packages
    assert {"pytest", "iniconfig"} <= more.keys() - known.keys() and known.items() <= more.items()


def test_one_thread_at_a_time_parses_requirements(monkeypatch):
    alone = Lock()

    def slow(text):
        assert alone.acquire(blocking=False), "CPython 3.11.7 may fail here with a SystemError"
        time.sleep(0.001)
        alone.release()
        return Requirement(text)

    monkeypatch.setattr(inputs, "Requirement", slow)
    inputs.packages.cache_clear()
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(inputs.packages, ["jinja2", "pydantic"]))
    assert "markupsafe" in found[0] and "pydantic-core" in found[1]


@pytest.mark.parametrize("forked", [True, False])
def test_a_report_that_reads_what_nobody_named_is_not_finished(tmp_path, forked):
    inner, data = tmp_path / "inner", tmp_path / "data"
    for place in (inner, data):
        place.mkdir()
    (data / "x.csv").write_text("1")
    own = (
        "import tempfile, os; own = tempfile.mkstemp()[1]; open(own).read(); print(os.getenv('TZ'))"
    )
    mine = str(data / "y.csv")
    again = f"open({mine!r}, 'w').write('x'); open({mine!r}).read()"
    write_notebook(inner, "named", "open('../data/x.csv').read()", own, again, LISTENS)
    write_notebook(inner, "built", f"import os; open(os.path.join({str(data)!r}, 'x.csv')).read()")
    suite = make_suite(inner, {"notebook": "named"}, {"notebook": "built"})
    outcomes = run_suite(suite, tmp_path / "site", forked=forked)
    assert [(each.error, each.elsewhere) for each in outcomes] == [
        ("", ()),
        ("", (str(data / "x.csv"),)),
    ]
    assert list(finished(plan(suite), tmp_path / "site")) == ["named"]
    record = (tmp_path / "site" / ".finished" / "built.json").read_text()
    assert str(data) not in record, "records go with the site"


def test_notes_of_what_was_read_that_end_early_are_taken_as_far_as_they_go(tmp_path):
    (tmp_path / "read-elsewhere").write_bytes(b"/a\0/b\0/a\0half")
    assert inputs.read_elsewhere(tmp_path / "run") == ("/a", "/b")
    assert inputs.read_elsewhere(tmp_path / "none" / "run") == ()


def test_two_evidence_folders_of_equal_content_both_serve(tmp_path):
    small = load_evidence().filter(trial_id=["sherman2011", "tankha2024"])
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for table in ("trials", "arms", "outcomes", "contrasts"):
            getattr(small, table).to_csv(tmp_path / name / f"{table}.csv", index=False)
    write_notebook(
        tmp_path,
        "looks",
        "import os; print(sorted(os.listdir(evidence)))",
        parameters='evidence: str = ""',
    )
    suite = make_suite(tmp_path, {"notebook": "looks", "grid": {"evidence": ["one", "two"]}})
    assert [outcome.error for outcome in run_suite(suite, tmp_path / "site")] == ["", ""]


def test_what_a_suite_lists_is_there_and_what_it_lists_in_vain_is_a_fault(folder):
    report = {"notebook": "reads", "files": ["bystander.csv", "mine/*.csv"]}
    found = places(make_suite(folder, report, files=["data"]))
    assert {"bystander.csv", "mine/bystander.csv", "mine/scores.csv"} <= set(found)
    with pytest.raises(SuiteError, match=r"'none\.csv', which is no file") as raised:
        make_suite(folder, {"notebook": "reads", "files": ["none.csv", "../out", "a/*"]})
    assert len(raised.value.faults) == 3


def test_a_file_that_nothing_names_is_missing_with_a_word_on_how_to_name_it(folder):
    write_notebook(folder, "builds", "open('by' + 'stander' + '.csv')")
    (outcome,) = run_suite(make_suite(folder, {"notebook": "builds"}), folder / "site")
    assert outcome.error.startswith("FileNotFoundError") and "under `files`" in outcome.error


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import os; os.listdir()", ["bystander.csv", "further.py", "helper.py", "part_2020.txt"]),
        ("Path.cwd().glob('*.csv')", ["bystander.csv", "further.py", "helper.py", "part_2020.txt"]),
        ("%run helper.py", ["further.py", "helper.py"]),
        ("from data import more", ["data/more/deep.csv", "data/numbers.csv"]),
        ("open('/etc/hostname'); open('a' * 9000); open('..'); open('\\0')", []),
        ("'data' + ' ' + '[' + 'nothing/here.csv'", ["data/more/deep.csv", "data/numbers.csv"]),
        ("import os; import further", ["further.py"]),
        ("if True: import os, further as f", ["further.py"]),
        ("importlib.import_module('further')", ["further.py"]),
        ("!cat data/numbers.csv | wc", ["data/numbers.csv"]),
        ("n = !wc part_2020.txt", ["part_2020.txt"]),
        ("%%bash\nsort <part_2020.txt\nwc -l further.py", ["further.py", "part_2020.txt"]),
        ("x != part_2020.txt", []),
    ],
)
def test_how_code_names_files(folder, code, expected):
    assert sorted(inputs.beside(folder / "reads.ipynb", [code])) == expected


def test_files_above_the_notebook_are_laid_out_where_it_looks(folder):
    inner = folder / "notebooks"
    inner.mkdir()
    write_notebook(inner, "up", "print(open('../data/numbers.csv').read())")
    (outcome,) = run_suite(make_suite(inner, {"notebook": "up"}), folder / "site")
    assert not outcome.error


def test_a_file_that_changes_meanwhile_ends_the_suite_with_its_name(folder):
    (job,) = plan(suite_of(folder))
    (folder / "helper.py").write_text("VALUE = 3")
    with (
        pytest.raises(ReportingError, match=r"helper\.py has changed since"),
        inputs.laid_out(job.inputs),
    ):
        pass


def test_too_much_to_lay_out_is_refused_with_the_largest(folder, monkeypatch):
    monkeypatch.setattr(inputs, "MOST_BYTES", 10)
    (folder / "data" / "numbers.csv").write_text("x" * 100)
    with pytest.raises(SuiteError, match=r"the largest \S+numbers\.csv"):
        plan(suite_of(folder))


def test_temporary_folders_of_killed_processes_are_removed_and_no_others(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for name in (f"backpain-{ended.pid}-x", f"backpain-{os.getpid()}-x", "backpain-notes-x", "x"):
        (tmp_path / name).mkdir()
    code = "from backpain_analysis.reporting.inputs import home; print(home(), end='')"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert Path(said.stdout).parent == tmp_path and not Path(said.stdout).exists()
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == sorted([f"backpain-{os.getpid()}-x", "backpain-notes-x", "x"])


def test_no_room_for_temporary_files_is_one_line(monkeypatch, tmp_path):
    def full(*_: object, **__: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(inputs.tempfile, "mkdtemp", full)
    with pytest.raises(ReportingError, match=r"^no temporary folder .* No space left .* TMPDIR"):
        with inputs.laid_out([]):
            pass
