"""Runs that start warm: the same bytes as with a kernel, and nothing passes between them."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import psutil
import pytest

from backpain_analysis.answers import beforehand
from backpain_analysis.answers.key_results import key_results
from backpain_analysis.answers.robustness import derivation_steps
from backpain_analysis.effects import assemble
from backpain_analysis.evidence import BACK_PAIN, load_evidence
from backpain_analysis.models.dose.comparison import readings
from backpain_analysis.reporting import inputs, run_suite, warm
from tests.reporting.little import files_of, make_suite, write_notebook
from tests.reporting.sample_site import HOSTILE, copy_notebooks

pytestmark = [
    pytest.mark.skipif(not warm.CAN_FORK, reason="this platform cannot fork"),
]

HELPER = """
import pathlib, warnings
def warn():
    warnings.warn("of the helper")
    print(pathlib.Path(__file__).parent / "x")
"""
SEEN = """
import builtins, os, random, sys
import matplotlib, numpy as np, pandas as pd
seen = [
    hasattr(builtins, "left"), "left" in os.environ, matplotlib.rcParams["lines.linewidth"] == 99,
    pd.get_option("display.precision") == 1, "left" in globals(), "left_module" in sys.modules,
    os.getcwd().endswith("elsewhere"), np.geterr()["divide"] == "raise", hasattr(pd, "leak"),
    "dask" in sys.modules, "distributed" in sys.modules,  # which nothing here needs
]
"""
LEAVE = """
builtins.left = left = os.environ["left"] = "behind"
sys.modules["left_module"] = sys
matplotlib.rcParams["lines.linewidth"] = 99
pd.set_option("display.precision", 1)
pd.leak = 1
np.seterr(divide="raise")
os.makedirs("elsewhere", exist_ok=True); os.chdir("elsewhere")
"""
DRAW = """
import numpy as np, psutil, random, uuid
from IPython.display import Markdown
warm = psutil.Process().parent().ppid()
Markdown(f"> {warm} {np.random.random()} {random.random()} {uuid.uuid4()}")
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Three runs, one after the other, that each look for what another left, and leave it."""
    folder = tmp_path_factory.mktemp("isolation")
    write_notebook(folder, "traces", SEEN, "assert not any(seen), seen", LEAVE, DRAW)
    suite = make_suite(folder, {"notebook": "traces", "grid": {"number": [1, 2, 3]}})
    return run_suite(suite, folder / "site", jobs=1)


def test_no_state_passes_from_run_to_run(outcomes):
    assert [outcome.error for outcome in outcomes] == [""] * 3


def test_runs_are_forks_of_one_process_and_draw_different_numbers(outcomes):
    parents, *drawn = zip(*(outcome.answer.split() for outcome in outcomes), strict=True)
    assert len(set(parents)) == 1 and int(parents[0]) != os.getpid()
    assert all(len(set(numbers)) == 3 for numbers in drawn)


def test_a_kernel_that_is_to_be_forked_has_begun_no_thread(tmp_path):
    code = (
        "import psutil; from backpain_analysis.reporting.kernel import make_shell; "
        f"make_shell({str(tmp_path)!r}); assert psutil.Process().num_threads() == 1"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=warm.run_environment())


def test_warm_and_cold_runs_give_the_same_bytes(tmp_path):
    copy_notebooks(tmp_path)
    (tmp_path / "helper.py").write_text(HELPER)
    write_notebook(
        tmp_path,
        "semantics",
        "from IPython.display import clear_output, display, update_display",
        "print('gone'); clear_output(wait=True); print('stays')",
        "handle = display('first', display_id=True); handle.update('second'); _ = 3",
        "import warnings; warnings.warn('careful')",
        "from threading import Thread\nfor said in ('one', 'two'):\n"
        "    thread = Thread(target=display, args=[said]); thread.start(); thread.join()",
        "async def later(): return 7\nawait later()",
        "get_ipython().__class__.__name__, __name__, In[-1][:3], Out",
        "%%capture out\nprint('held')",
        "!echo from a shell",
        "import subprocess, time; subprocess.run(['echo', 'from a process']); time.sleep(0.5)",
        "import pandas as pd; pd.options.display.max_columns, pd.options.display.width",
        "'texts as in', pd.Series(['a']).dtype.storage",
        "%matplotlib inline\nimport matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show()",
        "import helper; helper.warn()",
        "input()",
    )
    odd = {"label": HOSTILE, "mcid": 10, "types": ["yoga", 'x"; import os; os._exit(1) #']}
    curve = {"notebook": "curve", "parameters": odd}
    suite = make_suite(tmp_path, {"notebook": "semantics"}, {"notebook": "fails"}, curve)
    warm_site, cold_site = tmp_path / "warm", tmp_path / "cold"
    warm_errors = [outcome.error for outcome in run_suite(suite, warm_site)]
    cold_errors = [outcome.error for outcome in run_suite(suite, cold_site, forked=False)]
    assert warm_errors == cold_errors
    assert files_of(warm_site) == files_of(cold_site)
    assert "does not support input" in warm_errors[0] and warm_errors[1] and not warm_errors[2]
    text = (warm_site / "notebooks" / "semantics.ipynb").read_text()
    assert all(word in text for word in ["stays", "second", "careful", "from a process"])
    assert "gone\\n" not in text and "('texts as in', 'python')" in text
    assert "<svg" in text and "helper.py:4: UserWarning: of the helper" in text
    for place in (str(tmp_path), str(inputs.home()), os.path.expanduser("~/"), sys.prefix):
        assert place not in text


@pytest.mark.parametrize(("forked", "full"), [(True, False), (True, True), (False, False)])
def test_tracebacks_show_places_only_if_asked(tmp_path, forked, full):
    (tmp_path / "helper.py").write_text("import pandas\ndef fail(): pandas.read_csv('none.csv')")
    write_notebook(tmp_path, "fails", "import helper; helper.fail()")
    suite = make_suite(tmp_path, {"notebook": "fails"})
    (fails,) = run_suite(suite, tmp_path / "site", forked=forked, full_paths=full)
    text = (tmp_path / "site" / "fails.html").read_text()
    assert fails.error.startswith("FileNotFoundError") and "helper.py:2" in text
    assert ("site-packages/pandas" in text) and (sys.prefix in text) is full
    assert (str(inputs.home()) in text) is full


def test_no_setting_of_who_starts_it_reaches_a_run(tmp_path, monkeypatch):
    (tmp_path / "matplotlibrc").write_text("lines.linewidth: 9")
    for name, value in {
        "TZ": "Asia/Tokyo",
        "LC_ALL": "C",
        "MATPLOTLIBRC": str(tmp_path),
        "MPLCONFIGDIR": str(tmp_path),
        "PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}{os.pathsep}lib",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    code = (
        "import matplotlib, sys, time, locale; "
        "print(time.tzname[0], matplotlib.rcParams['lines.linewidth'], sys.path.count({!r}), "
        "locale.getpreferredencoding().lower())"
    ).format(str(tmp_path / "lib"))
    found = subprocess.run(
        [sys.executable, "-P", "-c", code],
        **{"env": warm.run_environment(), "cwd": inputs.home(), "capture_output": True},
        **{"text": True, "check": True},
    )
    assert found.stdout.split() == ["UTC", "1.5", "1", "utf-8"]


def test_a_run_that_dies_says_at_which_cell_and_the_others_go_on(tmp_path):
    write_notebook(tmp_path, "dies", "print('alive')", "import os; os._exit(3)", "print('never')")
    write_notebook(tmp_path, "lives", "print('on')")
    suite = make_suite(tmp_path, {"notebook": "dies"}, {"notebook": "lives"})
    dies, lives = run_suite(suite, tmp_path / "site", jobs=2)
    assert "kernel died" in dies.error and not lives.error
    page = (tmp_path / "site" / "dies.html").read_text()
    assert 'id="failure"' in page and "alive" in page


def test_without_fork_a_normal_kernel_does_it(tmp_path, monkeypatch):
    monkeypatch.setattr(warm, "CAN_FORK", False)
    monkeypatch.setattr(warm, "warm_process", lambda: pytest.fail("forked"))
    write_notebook(tmp_path, "lives", "import os; print(os.getpid())")
    (lives,) = run_suite(make_suite(tmp_path, {"notebook": "lives"}), tmp_path / "site")
    assert not lives.error


def test_who_ends_it_keeps_the_folder_and_nothing_else_of_it():
    ended, folder = warm.warm_process(), inputs.home()
    process, kept = psutil.Process(ended._process.pid), folder / "kept"
    kept.touch()
    warm.stop()
    assert not process.is_running() and kept.exists()
    assert not list(folder.glob("profile-*"))
    assert warm.warm_process() is not ended


def test_what_an_early_import_leaves_out_can_still_be_imported():
    code = """
import backpain_analysis.reporting.schemas
import jsonschema, sys
assert "rfc3987_syntax" not in sys.modules
jsonschema.validate("2020-01-01", {"type": "string", "format": "date"})
import importlib.util
assert importlib.util.find_spec("rfc3987_syntax")
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_several_runs_look_up_is_there_when_they_start(monkeypatch):
    monkeypatch.setattr(beforehand, "_kept", [])
    for _ in warm._fill_more(SimpleNamespace(builtin_trap=nullcontext())):
        pass
    monkeypatch.setattr(assemble, "assembled", None)  # effects are not worked out again
    trials = load_evidence().filter(population=BACK_PAIN)
    for outcome in ("pain_intensity", "disability"):
        for derive in derivation_steps("MD").values():
            assert len(trials.effects(outcome, derive=derive))
        for _, reading in readings():
            assert len(trials.effects(outcome, **reading))
        for measure in ("MD", "SMD"):
            assert len(trials.effects(outcome, measure, head_to_head=True))
    assert len(key_results(trials).table)
