"""Reports printed by a Chromium."""

from __future__ import annotations

import pytest

from backpain_analysis.reporting import pdf
from backpain_analysis.reporting.errors import ReportingError
from backpain_analysis.reporting.pdf import find_browser, make_pdf

needs_browser = pytest.mark.skipif(find_browser() is None, reason="no Chromium is installed")


@pytest.fixture
def folder(tmp_path):
    """A site with two reports, one of a single page of paper, one of three."""
    page = '<!DOCTYPE html><title>t</title><p style="break-after: page">a</p>'
    (tmp_path / "index.html").write_text(page, encoding="utf-8")
    (tmp_path / "short.html").write_text("<!DOCTYPE html><title>t</title>a", encoding="utf-8")
    (tmp_path / "a long&odd #name.html").write_text(page * 2 + "<p>b", encoding="utf-8")
    return tmp_path


def pages_of(path):
    content = path.read_bytes()
    assert content.startswith(b"%PDF-")
    return content.count(b"/Type /Page\n")


@needs_browser
def test_every_report_of_a_site_is_printed(folder, tmp_path):
    written = make_pdf(folder, tmp_path / "out" / "pdf")
    assert [path.name for path in written] == ["a long&odd #name.pdf", "short.pdf"]
    assert [pages_of(path) for path in written] == [3, 1]
    assert sorted(path.name for path in (tmp_path / "out" / "pdf").iterdir()) == sorted(
        path.name for path in written
    )


def test_without_a_browser_it_says_what_to_do(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(pdf, "BROWSERS", ["a-browser-nobody-has"])
    with pytest.raises(ReportingError, match="needs Chromium or Google Chrome"):
        make_pdf(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_browser_that_fails_is_told_of(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(pdf, "BROWSERS", ["false"])
    with pytest.raises(ReportingError, match=r"short\.html could not be printed"):
        make_pdf(folder / "short.html", tmp_path / "out")


def test_nothing_to_print_is_told_of(tmp_path):
    with pytest.raises(ReportingError, match="holds no report"):
        make_pdf(tmp_path, tmp_path / "out")
