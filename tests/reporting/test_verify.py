"""A site is made again from what it says of itself."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import nullcontext

import pytest
from typer.testing import CliRunner

from backpain_analysis.cli import app
from backpain_analysis.reporting import ReportingError, run_suite, verify, verify_site
from tests.reporting.little import make_suite, within, write_notebook

TABLE = "import pandas as pd\npd.DataFrame({'n': [number]})"


@pytest.fixture
def site(tmp_path):
    write_notebook(tmp_path, "table", TABLE)
    write_notebook(tmp_path, "fails", "raise ValueError(word)")
    suite = make_suite(
        tmp_path,
        {"notebook": "table", "grid": {"number": [1, 2]}},
        {"notebook": "fails", "parameters": {"word": "<b>"}},
    )
    run_suite(suite, tmp_path / "site")
    for notebook in tmp_path.glob("*.ipynb"):
        notebook.unlink()
    return tmp_path / "site"


@pytest.mark.parametrize("run", [False, True])
def test_an_untouched_site_comes_out_the_same(site, run):
    verdict = verify_site(site, run=run)
    assert verdict.different == () and verdict.changed == ()
    assert {"index.html", "table-1.html", "fails.html"} <= set(verdict.same)
    assert any(name.startswith("tables/table-2/") for name in verdict.same)


def test_what_was_touched_is_named(site):
    page = site / "table-2.html"
    page.write_text(page.read_text().replace("2</td>", "3</td>"))
    next((site / "tables" / "table-1").iterdir()).unlink()
    result = CliRunner().invoke(app, ["report", "verify", str(site)])
    assert result.exit_code == 1
    named = [line.split()[1] for line in result.output.splitlines() if line.startswith("different")]
    assert len(named) == 2 and str(page) in named


def test_what_computes_otherwise_now_is_said(site):
    path = site / "manifest.json"
    manifest = json.loads(path.read_text())
    for report in manifest["reports"]:
        report["versions"]["numpy"] = "1.0"
    manifest["packages"]["numpy"] = "1.0"
    path.write_text(json.dumps(manifest))
    assert any(change.startswith("numpy was 1.0, is ") for change in verify_site(site).changed)


def test_a_notebook_or_evidence_that_is_another_is_refused(site, tmp_path):
    notebook = site / "notebooks" / "table-1.ipynb"
    notebook.write_text(notebook.read_text().replace("pandas as pd", "pandas as np"))
    with pytest.raises(ReportingError, match="not the notebook that table-1 was made from"):
        verify_site(site)
    path = site / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["reports"].reverse()
    other = {"name": "mine", "version": None, "content_hash": "0" * 64}
    manifest["reports"][0]["evidence"] = other
    path.write_text(json.dumps(manifest))
    with pytest.raises(ReportingError, match=r"made from other evidence: mine.*--evidence"):
        verify_site(site, run=True)
    with pytest.raises(ReportingError, match="holds no site"):
        verify_site(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A site with every kind of file."""
    folder = tmp_path_factory.mktemp("made")
    write_notebook(
        folder,
        "shows",
        "from IPython.display import Markdown; Markdown(f'> It is {number}')",
        TABLE,
        "import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show()",
        "open('mine.csv').read()",
    )
    (folder / "mine.csv").write_text("x")
    run_suite(
        make_suite(folder, {"notebook": "shows", "grid": {"number": [1, 2]}}), folder / "site"
    )
    return folder / "site"


@pytest.fixture
def copied(made, tmp_path):
    """A copy to damage."""
    shutil.copytree(made, tmp_path / "site")
    return tmp_path / "site"


def test_every_file_but_times_is_verified_and_nothing_of_the_site_is_run(made, monkeypatch):
    monkeypatch.setattr(verify, "run_suite", lambda *_, **__: pytest.fail("was run"))
    verdict = verify_site(made)
    assert verdict.different == ()
    assert set(verdict.same) == {
        *("index.html", "compare.html", "manifest.json", "ro-crate-metadata.json"),
        *(
            file.format(n)
            for n in (1, 2)
            for file in (
                *("shows-{}.html", "notebooks/shows-{}.ipynb", "thumbnails/shows-{}.svg"),
                *("tables/shows-{}/01-a-shows.csv", ".finished/shows-{}.json"),
                *("workbooks/shows-{}.xlsx", "figures/shows-{}/01-figure-1.svg"),
            )
        ),
    }


@pytest.mark.parametrize(
    ("file", "old", "new", "found"),
    [
        ("shows-1.html", "It is 1", "It is 9", {"shows-1.html"}),
        ("index.html", "It is 1", "It is 9", {"index.html"}),
        ("compare.html", "shows-1", "shows-2", {"compare.html"}),
        ("tables/shows-1/01-a-shows.csv", "1", "9", {"tables/shows-1/01-a-shows.csv"}),
        ("thumbnails/shows-1.svg", "<path", "<rect", {"thumbnails/shows-1.svg"}),
        ("ro-crate-metadata.json", "It is 1", "It is 9", {"ro-crate-metadata.json"}),
        (".finished/shows-1.json", "It is 1", "It is 9", {".finished/shows-1.json"}),
        ("manifest.json", "It is 1", "It is 9", {"manifest.json"}),
        (
            *("notebooks/shows-1.ipynb", "It is 1", "It is 9"),
            {
                *("shows-1.html", "index.html", "manifest.json", "ro-crate-metadata.json"),
                *("compare.html", ".finished/shows-1.json"),
            },
        ),
    ],
)
def test_what_is_changed_anywhere_is_found(copied, file, old, new, found):
    path = copied / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert set(verify_site(copied).different) == found


@pytest.mark.parametrize("name", ["more.html", "tables/x/1.csv", "thumbnails/x.svg", "notebooks/x"])
def test_what_does_not_belong_is_found(copied, name):
    (copied / name).parent.mkdir(exist_ok=True)
    (copied / name).write_text("x")
    assert verify_site(copied).different == (name,)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("manifest.json", "no site"),
        ("notebooks/shows-1.ipynb", "missing"),
        *((name, "") for name in ("ro-crate-metadata.json", ".finished/shows-1.json")),
        *((name, "") for name in ("shows-1.html", "index.html", "thumbnails/shows-1.svg")),
    ],
)
def test_a_pipe_or_device_in_the_place_of_a_file_is_not_opened(copied, name, said):
    (copied / name).unlink()
    os.mkfifo(copied / name)
    with within(10), pytest.raises(ReportingError, match=said) if said else nullcontext():
        assert verify_site(copied).different == (name,)


def test_a_run_that_reads_files_needs_them_wherever_they_are_now(copied, tmp_path):
    with pytest.raises(ReportingError, match=r"mine\.csv, content \w{64}; point to its folder"):
        verify_site(copied, run=True)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "renamed.csv").write_text("x")
    assert verify_site(copied, run=True, files=tmp_path / "kept").different == ()


def test_the_command_runs_nothing_unless_asked_and_says_when_it_does(copied, monkeypatch):
    asked = []
    verdict = verify.Verdict((), (), ())
    monkeypatch.setattr(verify, "verify_site", lambda site, **how: asked.append(how) or verdict)
    for words in ([], ["--run"]):
        result = CliRunner().invoke(app, ["report", "verify", str(copied), *words])
        assert ("with your rights" in result.output) is bool(words)
    assert [how["run"] for how in asked] == [False, True]
