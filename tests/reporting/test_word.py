"""Reports as Word documents."""

from __future__ import annotations

import re
import sys
import zipfile
from types import SimpleNamespace

import pytest

from backpain_analysis.reporting import ReportingError, documents

PAGE = """<!DOCTYPE html><title>t</title><style>p {}</style>
<header><nav class="turn">next</nav><h1>Dose &amp; effect</h1>
<div class="answer"><p>It is so.</p></div>
<p class="notice">n</p></header><nav class="contents">c</nav>
<main id="content"><h2>A section</h2><math><mi>x</mi></math>
<table><caption>Trials</caption><tr><th>a</th></tr><tr><td>1</td></tr></table>
<section class="codes"><h2>Code</h2><details class="code">import os</details></section></main>
<section class="references"><ol><li><a href="https://doi.org/10.1000/182">T</a></li></ol></section>
<section class="downloads">d</section><footer class="making">made</footer>"""


def test_what_goes_into_a_document():
    text = documents.simple(PAGE)
    parts = ["It is so.", "A section", "<math", "Trials", "10.1000/182", "made"]
    assert [text.index(part) for part in parts] == sorted(text.index(part) for part in parts)
    assert "<title>Dose &amp; effect</title>" in text
    assert not any(part in text for part in ("import os", "next", "<style", ">c<", ">d<"))


def test_columns_have_the_room_their_words_need():
    table = (
        "<table><caption>c</caption><thead><tr><th>n</th><th>Estimate</th><th>Why</th></tr></thead>"
        "<tr><td>1</td><td>−12.3\u00a0[−45.6,\u00a07.8]</td><td>many short words that may be broken"
        " anywhere they like</td></tr><tr><td colspan=3>a note over all</td></tr></table>"
    )
    text = documents.simple(f"<main>{table}</main>")
    widths = [float(w) for w in re.findall(r'<col style="width: ([\d.]+)%"', text)]
    assert len(widths) == 3 and sum(widths) == pytest.approx(100, abs=0.2)
    assert widths[0] < widths[1] < widths[2] < 2 * widths[1]
    assert text.index("<caption>") < text.index("<colgroup>") < text.index("<thead>")


def test_drawings_become_pictures(monkeypatch):
    def put(drawing, path, browser):
        path.write_bytes(drawing[:4])
        return path

    monkeypatch.setattr(documents, "browser_of", lambda: "a browser")
    monkeypatch.setattr(documents, "put_figure", put)
    svg = '<svg viewBox="0 0 72 36"><path d="M 0 1"></path></svg>'
    wide = svg.replace("0 0 72 36", "0 0 7200 36")
    page = f'<main><div role="img" aria-label="A &amp; b">{svg}</div>{wide}</main>'
    text = documents.simple(page)
    assert 'src="data:image/png;base64,PHN2Zw==" alt="A &amp; b" width="96"' in text
    assert 'alt="Figure" width="620"' in text and "<path" not in text


def test_without_pandoc_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pypandoc", None)
    with pytest.raises(ReportingError, match=r"needs Pandoc; .*\[word\]'$"):
        documents.make_docx(tmp_path, tmp_path / "out")


def test_a_pandoc_that_fails_is_told_of(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("Pandoc died\nwith code 99")

    (tmp_path / "a.html").write_text(PAGE)
    monkeypatch.setitem(sys.modules, "pypandoc", SimpleNamespace(convert_text=fail))
    with pytest.raises(
        ReportingError, match=r"a\.html could not be written for Word: with code 99"
    ):
        documents.make_docx(tmp_path / "a.html", tmp_path / "out")


def test_a_document_has_real_headings_tables_formulae_and_links(tmp_path):
    pytest.importorskip("pypandoc")
    (tmp_path / "a.html").write_text(PAGE)
    (path,) = documents.make_docx(tmp_path / "a.html", tmp_path / "out")
    with zipfile.ZipFile(path) as parts:
        text = parts.read("word/document.xml").decode()
        links = parts.read("word/_rels/document.xml.rels").decode()
        styles = parts.read("word/styles.xml").decode()
    compact = styles[styles.index('w:styleId="Compact"') :].partition("</w:style>")[0]
    assert '<w:sz w:val="18"/>' in compact
    assert all(part in text for part in ("Heading2", "<w:tbl>", "<m:oMath>", "It is so.", "made"))
    assert "https://doi.org/10.1000/182" in links
