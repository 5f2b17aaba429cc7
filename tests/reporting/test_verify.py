"""A site is made again from what it says of itself."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from backpain_analysis.cli import app
from backpain_analysis.reporting import ReportingError, run_suite, verify_site
from tests.reporting.little import make_suite, write_notebook

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
