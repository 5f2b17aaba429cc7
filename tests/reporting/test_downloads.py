"""What can be taken away: tables as CSV, the notebook as it was run, a small picture."""

from __future__ import annotations

import csv
import io
from base64 import b64encode
from xml.etree import ElementTree

import nbformat
import openpyxl
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from backpain_analysis.reporting.downloads import extras_of, tables_of, workbook
from backpain_analysis.reporting.references import FIELDS, NOTE
from tests.reporting.audit import audit

TABLE = """<table><caption>By <b>type</b></caption><thead><tr><th rowspan="2"></th><th colspan="2">
MD</th></tr><tr><th>low</th><th>high</th></tr></thead><tbody><tr><td rowspan="2">yoga</td>
<td>−1,234.5</td><td>–</td></tr><tr><td>=cmd()</td><td>1,2 or −3</td></tr></tbody>
<tfoot><tr><td colspan="3">a note</td></tr></tfoot></table>"""
DRAWING = """<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"
 xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 72 36" width="72pt"><defs>
<style type="text/css">*{stroke-linejoin: round} g > a{}</style>
<path id="m" d="M 0.123456 1"/></defs>
<use xlink:href="#m" x="3.98765" transform="scale(0.01234)"/><text>a&#160;&lt;b</text>
<image href="https://example.org/x.png"/><script>1</script></svg>"""


def notebook(*cells, **metadata):
    return new_notebook(cells=list(cells), metadata=metadata)


def shown(data: dict, source: str = "", **metadata):
    output = new_output("display_data", data=data)
    return new_code_cell(source, outputs=[output], metadata=metadata)


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def test_a_table_is_read_as_it_is_shown_with_numbers_for_machines():
    ((title, text),) = tables_of(notebook(shown({"text/html": TABLE})))
    assert title == "By type"
    assert read(text) == [
        ["", "MD", "MD"],
        ["", "low", "high"],
        ["yoga", "-1234.5", ""],
        ["yoga", "'=cmd()", "1,2 or −3"],
    ]


FIGURE = (
    '<figure><div role="img" aria-label="Forest plot of 1.5 points. More &amp; more.">'
    "<svg viewBox='0 0 9 9'><path d='M0 0'/></svg></div></figure>"
)


def test_what_a_figure_was_drawn_from_is_a_table_once():
    data = {"text/html": FIGURE, "text/csv": "yi,vi\r\n-1.23456789,2\r\n"}
    other = {"text/html": FIGURE, "text/csv": "yi\r\n3\r\n"}
    found = list(tables_of(notebook(shown(data), shown(data), shown(other))))
    assert [title for title, _ in found] == ["Behind the figure: Forest plot of 1.5 points"] * 2
    assert read(found[0][1]) == [["yi", "vi"], ["-1.23456789", "2"]]
    assert read(found[1][1]) == [["yi"], ["3"]]


def test_each_figure_is_a_file_named_by_what_it_says():
    body = (
        FIGURE.replace("<path", "<style>:where(#x1-s) .a{fill:red}</style><path")
        + "<svg viewBox='0 0 1 1'><g/></svg>"
    ).replace("'", '"')
    extras = extras_of(notebook(), "pain", body)
    names = ["figures/pain/01-forest-plot-of-1-5-points.svg", "figures/pain/02-figure.svg"]
    assert [name for name in extras.files if name.startswith("figures")] == names
    first = ElementTree.fromstring(extras.files[names[0]])
    assert first.get("viewBox") == "0 0 9 9" and first[0].text == ".a{fill:red}"
    assert [each["title"] for each in extras.summary["others"]] == [
        *("Figure: Forest plot of 1.5 points (SVG)", "Figure: Figure (SVG)")
    ]


def test_estimates_and_limits_stand_in_columns_of_their_own():
    head = "<tr><th>Type</th><th>MD [95% CI]</th><th>Prediction interval</th><th>Mixed</th></tr>"
    first = "<tr><td>yoga</td><td>−1,207.9 [−1e+04, 1.8]</td><td>[−26.1, 10.3]</td><td>1</td></tr>"
    second = "<tr><td>pilates</td><td>2</td><td>–</td><td>[1, 2] weeks</td></tr>"
    table = f"<table><thead>{head}</thead><tbody>{first}{second}</tbody></table>"
    ((_, text),) = tables_of(notebook(shown({"text/html": table})))
    names, *rows = read(text)
    assert names == [
        *("Type", "MD", "MD, 95% CI low", "MD, 95% CI high"),
        *("Prediction interval low", "Prediction interval high", "Mixed"),
    ]
    assert rows == [
        ["yoga", "-1207.9", "-1e+04", "1.8", "-26.1", "10.3", "1"],
        ["pilates", "2", "", "", "", "", "[1, 2] weeks"],
    ]


def test_a_table_that_brings_its_own_numbers_is_taken_at_its_word():
    data = {"text/html": "<table><tr><td>0.33</td></tr></table>", "text/csv": "x\r\n0.3333333\r\n"}
    ((title, text),) = tables_of(notebook(new_markdown_cell("## Thirds ##"), shown(data)))
    assert (title, read(text)) == ("Thirds", [["x"], ["0.3333333"]])


def test_files_are_named_after_report_and_table():
    nb = notebook(shown({"text/html": TABLE}), shown({"text/html": TABLE.replace("By", "../é By")}))
    extras = extras_of(nb, "pain")
    assert list(extras.files) == [
        "notebooks/pain.ipynb",
        "tables/pain/01-by-type.csv",
        "tables/pain/02-by-type.csv",
        "workbooks/pain.xlsx",
    ]
    assert [table["file"] for table in extras.summary["tables"]] == list(extras.files)[1:3]
    assert [other["file"] for other in extras.summary["others"]] == ["workbooks/pain.xlsx"]
    assert extras.summary["thumbnail"] == extras.summary["claims"] == ""


def test_a_workbook_holds_every_table_with_numbers_as_numbers():
    long = "A title: [of] more than/thirty-one characters"
    tables = [
        ("By type", "type,n,d,x\r\nyoga,3,-0.123456789012,1e-5\r\npilates,,'=cmd(),=1+1\r\n"),
        (long, "a\r\n1,234\r\n"),
        (long, "a\r\n5%\r\n"),
        ("contents", "a\x01b\r\n-\r\n"),
    ]
    content = workbook(tables)
    assert content == workbook(tables)
    book = openpyxl.load_workbook(io.BytesIO(content))
    first, second, last = "By type", "A title of more than thirty-one", "contents 2"
    assert book.sheetnames == ["Contents", first, second, book.sheetnames[3], last]
    assert book.sheetnames[3].endswith(" 2") and len(book.sheetnames[3]) <= 31
    assert [[cell.value for cell in row] for row in book[first]] == [
        ["type", "n", "d", "x"],
        ["yoga", 3, -0.123456789012, 1e-5],
        ["pilates", None, "'=cmd()", "'=1+1"],
    ]
    assert book[first]["D3"].data_type == "s"
    assert [row[0].value for row in book[last]] == ["ab", "'-"]
    assert [row[1].value for row in book["Contents"]] == [title for title, _ in tables]


@pytest.mark.parametrize("bad", ["\ud800", "\ufffe", "\uffff", "\x00", "\x0b", "\x7f", "[", "'"])
def test_a_title_that_no_sheet_can_have_ends_in_one_that_it_can(bad):
    book = openpyxl.load_workbook(io.BytesIO(workbook([(f"{bad}A {bad}title{bad}", "a\r\n1\r\n")])))
    assert book.sheetnames == ["Contents", "A title"]
    assert book["Contents"]["A1"].value == "A title"


def test_a_cell_of_a_workbook_holds_what_the_csv_holds():
    texts = ['<&> "é" τ² 🙂', " kept ", "a\nb", "#N/A", "1e999", "-0.1234567890123456", "", "−1"]
    numbers = ["0", "-12", "123456789012345", "1e-300", ".5"]
    written = io.StringIO()
    csv.writer(written).writerows([["head", "", "7"], *([each] for each in texts + numbers)])
    sheet = openpyxl.load_workbook(io.BytesIO(workbook([("T", written.getvalue())])))["T"]
    heads, *rows = ([cell.value for cell in row] for row in sheet)
    assert heads == ["head", None, 7] and all(cell.font.bold for cell in sheet[1])
    found = [row[0] for row in rows]
    assert found[:5] == texts[:5]
    assert found[5:8] == [float(texts[5]), None, texts[7]]
    assert found[8:] == [float(each) for each in numbers]
    assert not sheet["A2"].font.bold and sheet.freeze_panes == "A2"


def test_what_is_cited_can_be_taken_along():
    reference = dict.fromkeys(FIELDS, "") | {"key": "a", "title": "T", "doi": "10.1000/182"}
    extras = extras_of(notebook(**{NOTE: [reference]}), "pain")
    assert extras.references == [reference]
    assert extras.files["references/pain.bib"].startswith(b"@article{a,")
    assert extras.files["references/pain.ris"].startswith(b"TY  - JOUR\r\n")
    assert [other["file"] for other in extras.summary["others"]] == [
        *("references/pain.bib", "references/pain.ris")
    ]


def test_the_executed_notebook_holds_nothing_of_the_machine_or_the_hour():
    injected = new_code_cell(
        'evidence = "/secret/place"\nmcid = 10', metadata={"tags": ["injected-parameters"]}
    )
    timed = {"papermill": {"start_time": "2026"}, "execution": {"iopub.execute_input": "2026"}}
    failing = new_code_cell("1/0", metadata=timed)
    failing.outputs = [
        new_output("error", ename="E", evalue="v", traceback=["File /x/ipykernel_7/1.py\x1b[0m"]),
        new_output("stream", name="stderr", text="/x/ipykernel_7/12.py:1: Warning"),
    ]
    one, two = (
        extras_of(notebook(injected, failing, papermill={"start_time": "2026"}), "n").files[
            "notebooks/n.ipynb"
        ]
        for _ in range(2)
    )
    assert one == two
    text = one.decode()
    for trace in ["secret", "2026", "ipykernel", "\\u001b", "papermill"]:
        assert trace not in text
    nb = nbformat.reads(text, as_version=4)
    nbformat.validate(nb)
    assert nb.cells[0].source == "mcid = 10"
    assert nb.cells[1].outputs[0].traceback == ["File cell"]
    assert injected.source.startswith("evidence"), "the notebook given is left as it was"


@pytest.mark.parametrize("kind", ["image/svg+xml", "text/html"])
def test_the_first_figure_becomes_a_small_picture_that_fetches_nothing(kind):
    markup = DRAWING if kind.startswith("image") else f"<figure>{DRAWING[21:]}</figure>"
    extras = extras_of(notebook(shown({kind: markup}), shown({kind: "<svg></svg>"})), "n")
    assert extras.summary["thumbnail"] == "thumbnails/n.svg"
    text = extras.files["thumbnails/n.svg"].decode()
    root = ElementTree.fromstring(text)
    assert root.get("viewBox") == "0 0 72 36"
    assert {tag.tag.rpartition("}")[2] for tag in root.iter()} == {
        *("svg", "defs", "style", "path", "use", "text", "image")
    }
    assert audit(text) == []
    assert 'd="M 0.1 1"' in text and 'x="3.9"' in text and "scale(0.01234)" in text


def test_a_picture_of_dots_stays_one():
    dots = b"\x89PNG\r\n\x1a\ndots"
    extras = extras_of(notebook(shown({"image/png": b64encode(dots).decode()})), "n")
    assert extras.files["thumbnails/n.png"] == dots


@pytest.mark.parametrize("data", ["<svg>", "not base64!", b64encode(b"<html>").decode()])
def test_what_only_says_it_is_a_picture_is_none(data):
    extras = extras_of(notebook(shown({"image/png": data})), "n")
    assert extras.summary["thumbnail"] == ""


def test_what_the_cell_tagged_claims_shows_is_lifted_clean():
    hostile = "<table id=t><tr><td>Yoga<script>1</script></td></tr></table>"
    nb = notebook(shown({"text/html": hostile}, tags=["claims"]))
    claims = extras_of(nb, "n").summary["claims"]
    assert claims == ('<table id="claims1-1"><tbody><tr><td>Yoga</td></tr></tbody></table>')
