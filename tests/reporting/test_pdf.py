"""Reports printed by a Chromium."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from PIL import Image

from backpain_analysis.reporting import documents
from backpain_analysis.reporting.documents import find_browser, make_figures, make_pdf
from backpain_analysis.reporting.errors import ReportingError

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
    monkeypatch.setattr(documents, "BROWSERS", ["a-browser-nobody-has"])
    with pytest.raises(ReportingError, match="needs Chromium or Google Chrome"):
        make_pdf(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_browser_that_fails_is_told_of(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "BROWSERS", ["false"])
    with pytest.raises(ReportingError, match=r"short\.html could not be printed"):
        make_pdf(folder / "short.html", tmp_path / "out")


SVG = '<svg viewBox="0 0 72 36"><path d="M 0.123456 1"></path><script>1</script></svg>'


@pytest.fixture
def drawn(tmp_path):
    """A page with two figures."""
    page = f'<div role="img" aria-label="Dose &amp; <b>effect">{SVG}</div><p>text</p>{SVG}'
    (tmp_path / "dose.html").write_text(f"<!DOCTYPE html><title>t</title>{page}", encoding="utf-8")
    return tmp_path / "dose.html"


def test_figures_are_written_as_they_are_drawn(drawn, tmp_path):
    written = make_figures(drawn, tmp_path / "out")
    assert [path.name for path in written] == [
        "dose-01-dose-effect.svg",
        "dose-02-figure.svg",
    ]
    root = ElementTree.parse(written[0]).getroot()
    assert root.get("viewBox") == "0 0 72 36"
    assert [(each.tag.rpartition("}")[2], each.get("d")) for each in root] == [
        ("path", "M 0.123456 1")
    ]


@needs_browser
def test_figures_are_written_as_dots_and_for_print(drawn, tmp_path):
    png, _ = make_figures(drawn, tmp_path, "png")
    with Image.open(png) as image:
        assert image.size == (300, 150), "an inch is 300 dots"
    pdf_, _ = make_figures(drawn, tmp_path, "pdf")
    assert pages_of(pdf_) == 1
    assert b"/MediaBox [0 0 72 36]" in pdf_.read_bytes()


def test_what_is_no_figure_or_kind_is_told_of(drawn, folder, tmp_path):
    with pytest.raises(ReportingError, match="svg, png or pdf, not 'gif'"):
        make_figures(drawn, tmp_path, "gif")
    with pytest.raises(ReportingError, match="holds no figure"):
        make_figures(folder / "short.html", tmp_path)


def test_nothing_to_print_is_told_of(tmp_path):
    with pytest.raises(ReportingError, match="holds no report"):
        make_pdf(tmp_path, tmp_path / "out")
