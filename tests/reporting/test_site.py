"""The suite built in a temporary folder, and what its pages must and must not hold."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from backpain_analysis.reporting import page as page_module
from backpain_analysis.reporting.facts import Facts
from backpain_analysis.reporting.page import (
    Entry,
    compare_page,
    index_page,
    report_page,
    texts_of,
    turned,
)
from tests.reporting.audit import audit
from tests.reporting.sample_site import HOSTILE, build

REPORTS = ["plain", "hostile", "fails", "interpreter"]
PAGES = [*REPORTS, "index", "compare"]
TABLES = {1: "the-table", 2: "ours"}
VARYING = {"timings.json", "ro-crate-metadata.json"}


@pytest.fixture(scope="session")
def soups(pages):
    """Every page, parsed."""
    return {name: BeautifulSoup(page, "html.parser") for name, page in pages.items()}


def files_of(folder):
    """Every file that a reader may see, by path."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in paths if not path.parts[0].startswith(".")}


def test_every_report_has_a_page_and_only_the_failing_one_an_error(built):
    site, outcomes = built
    assert [outcome.report.name for outcome in outcomes] == REPORTS
    assert [bool(outcome.error) for outcome in outcomes] == [False, False, True, False]
    of_runs = {
        *(f"tables/{name}/0{n}-{title}.csv" for name in REPORTS[:2] for n, title in TABLES.items()),
        *(f"notebooks/{name}.ipynb" for name in REPORTS),
        *(f"workbooks/{name}.xlsx" for name in REPORTS[:2]),
        *(f"thumbnails/{name}.svg" for name in REPORTS[:2]),
    }
    assert {file for file in files_of(site) if "/" in file} >= of_runs
    assert {file for file in files_of(site) if "/" not in file} == {
        *(f"{page}.html" for page in PAGES),
        *("manifest.json", "timings.json", "ro-crate-metadata.json"),
    }


@pytest.mark.parametrize(
    "hostile",
    [
        '<img src="https://example.org/a.png">',
        '<img src="a.png">',
        "<script>1</script>",
        '<svg><use href="https://example.org/a.svg#b"/></svg>',
        '<a href="javascript:alert(1)">x</a>',
        '<p style="background: url(https://example.org)">x</p>',
        "<style>@import 'a.css';</style>",
        '<meta http-equiv="refresh" content="0">',
        '<p onclick="x()">x</p>',
    ],
)
def test_the_audit_finds_what_it_is_for(hostile):
    assert audit(hostile)


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_fetched_or_run(pages, name):
    assert audit(pages[name]) == []


@pytest.mark.parametrize("name", PAGES)
def test_policy_forbids_what_the_audit_might_miss(soups, name):
    policy = soups[name].find("meta", {"http-equiv": "Content-Security-Policy"})["content"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules.pop("default-src") == "'none'"
    assert rules.pop("style-src") == "'unsafe-inline'"
    assert rules.pop("font-src") == "data:"
    assert rules.pop("form-action") == rules.pop("base-uri") == "'none'"
    own = name in ("index", "compare")
    assert rules.pop("img-src") == ("'self' data:" if own else "data:")
    assert bool(re.fullmatch(r"'sha256-[^' ]+'", rules.pop("script-src", ""))) is own
    assert rules.pop("require-trusted-types-for", "") == ("'script'" if own else "")
    assert rules.pop("frame-src", "") == ("'self'" if name == "compare" else "")
    assert rules == {}


@pytest.mark.parametrize("name", PAGES)
def test_page_is_well_formed_for_readers_and_machines(soups, name):
    page = soups[name]
    assert page.html["lang"] == "en"
    assert page.find("meta", {"name": "viewport"})
    assert len(page.find_all("h1")) == 1
    levels = [int(tag.name[1]) for tag in page.find_all(re.compile("^h[1-6]$"))]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert page.find("a", class_="skip")["href"] == "#content"
    ids = [tag["id"] for tag in page.find_all(id=True)]
    assert len(ids) == len(set(ids))
    inside = {a["href"][1:] for a in page.find_all("a", href=re.compile("^#"))}
    assert inside <= set(ids)


def test_text_from_parameters_and_data_is_shown_not_run(soups):
    page = soups["hostile"]
    assert page.h1.get_text() == "Minutes <script>alert(1)</script>"
    assert HOSTILE in page.select_one(".chosen").get_text()
    assert json.loads(page.select_one(".making pre").get_text())["label"] == HOSTILE
    assert "<script>alert(1)</script>" in page.select_one("table.dataframe").get_text()
    assert soups["index"].h1.get_text() == "A suite of <b>tests</b>"


def test_header_explains_and_footer_accounts(soups):
    page = soups["hostile"]
    assert page.find("p", class_="question").get_text() == "How much is enough?"
    choices = {dt.get_text(): dt.find_next("dd").get_text(" ") for dt in page.select(".choices dt")}
    assert choices["mcid"].split() == "10 smallest difference patients notice".split()
    assert choices["smooth"].startswith("yes")
    assert "backpain-trials" in choices["evidence"]
    making = page.find("footer").get_text()
    hashes = [span.get_text() for span in page.select("footer .hash")]
    assert re.fullmatch("[0-9a-f]{64}", hashes[0])
    for package in ["python", "numpy", "pandas", "scipy", "papermill", "backpain-analysis"]:
        assert re.search(rf"{package}\s\d", making)
    assert "Not medical advice" in page.header.get_text()


def test_the_title_is_not_repeated_and_contents_lead_to_every_section(soups):
    page = soups["plain"]
    assert page.h1.get_text() == "How much is enough?"
    assert page.find("p", class_="question") is None
    links = [a.get_text() for a in page.select("nav.contents a")]
    assert links == [
        "The curve",
        "The table",
        "A table of ours",
        "What must not be fetched",
        "Code",
    ]
    assert soups["fails"].select("nav.contents") == []


def test_a_page_opens_with_its_answer_and_ends_with_choices_and_code(soups):
    page = soups["interpreter"]
    assert page.header.select_one(".answer").get_text().strip().startswith("It is this one:")
    assert page.main.get_text().count("It is this one") == 0
    parts = [str(part) for part in page.body.find_all(["header", "main", "section", "footer"])]
    order = ["masthead", "content", "codes", "chosen", "downloads", "making"]
    places = [next(n for n, part in enumerate(parts) if name in part[:60]) for name in order]
    assert places == sorted(places)
    assert page.main.find_all("details", class_="code")[-1].find_parent("section")["class"] == [
        "codes"
    ]


def test_each_page_leads_to_those_before_and_after_it(soups):
    turns = {name: [a["href"] for a in soups[name].select(".turn a")] for name in REPORTS}
    assert turns == {
        "plain": ["hostile.html"],
        "hostile": ["plain.html", "fails.html"],
        "fails": ["hostile.html", "interpreter.html"],
        "interpreter": ["fails.html"],
    }
    assert soups["plain"].select_one(".turn").get_text() == "Next Minutes <script>alert(1)</script>"


def test_another_neighbour_is_no_other_report():
    page = b'<nav class="turn" aria-label="x"></nav><nav class="turn">of the notebook</nav>'
    first = turned(page, None, ("a", "A & <b>"))
    assert first.count(b'<a rel="next" href="a.html"><span>Next</span> A &amp; &lt;b&gt;</a>') == 1
    assert turned(turned(first, ("b", "B"), None), None, ("a", "A & <b>")) == first
    assert b"of the notebook" in first


def test_sections_are_read_for_searching():
    body = (
        "<p>before</p><h2 class='x' id='no'>odd</h2>"
        '<h2 class="section">One &amp; <em>two</em></h2><p>a<style>p {}</style><b>b</b></p>'
        "<svg><desc>Saper 2013</desc><text>9</text></svg>"
        '<div role="img" aria-label="A forest"></div>'
        '<h2 class="section">Code</h2><details class="code">import</details>'
    )
    assert texts_of(body) == [
        {"anchor": "content", "title": "", "text": "before odd"},
        {
            "anchor": "one-amp-two",
            "title": "One & two",
            "text": "a b Saper 2013 A forest",
        },
    ]


def entries(built, count):
    """As many finished reports of different notebooks, each with an answer and a picture."""
    report = built[1][0].report
    summary = {**built[1][0].summary, "thumbnail": "thumbnails/plain.svg"}
    for n in range(count):
        notebook = replace(report.notebook, path=Path(f"n{n}.ipynb"))
        other = replace(report, name=f"r{n}", notebook=notebook)
        yield Entry(other, f"It is {n}. And more.", "x" if n == 1 else "", summary)


def test_an_index_of_several_reports_opens_with_a_few_answers(built):
    def cards(count):
        page = BeautifulSoup(index_page("t", list(entries(built, count)), []), "html.parser")
        return [card.p.get_text() for card in page.select(".cards article")]

    assert cards(4) == []
    assert cards(8) == ["It is 0.", "It is 2.", "It is 3.", "It is 4."]


def test_what_can_be_searched_has_a_limit(built, monkeypatch):
    monkeypatch.setattr(page_module, "MOST_TEXT", 40)
    section = {"anchor": "a", "title": "T", "text": "x" * 100}
    many = [e._replace(summary={**e.summary, "sections": [section]}) for e in entries(built, 4)]
    page = BeautifulSoup(index_page("t", many, []), "html.parser")
    links = page.find(id="texts").find_all("a")
    assert [link["href"] for link in links] == [f"r{n}.html#a" for n in range(4)]
    assert all(f"<b>T</b>{'x' * 10}</a>" in str(link) for link in links)


def test_formulae_are_mathml(soups):
    formulae = soups["plain"].find_all("math")
    assert len(formulae) == 4
    assert [f.get("display") for f in formulae] == ["block", "inline", "inline", "block"]
    assert formulae[0].find("mfrac")
    assert "$" not in soups["plain"].main.get_text().split("Show the code")[0]


def test_code_is_folded_and_figures_and_tables_are_named(soups):
    page = soups["plain"]
    assert page.select("details.code") and not page.select("details.code[open]")
    assert page.select("details.code span.kn")
    figure = page.select_one("figure svg")
    assert figure["role"] == "img" and figure["aria-label"] == "Figure 1"
    assert len(page.select("div.scroll[tabindex='0'][aria-label] table")) == 2
    assert "kept" in page.main.get_text()


def test_streams_and_plain_values(soups):
    page = soups["plain"]
    assert page.select_one(".messages pre").get_text().strip() == "on stderr"
    assert "printed <b>" in [pre.get_text().strip() for pre in page.select("pre.text")]


def test_failing_cell_is_shown_with_its_error_and_nothing_after_ran(pages, soups):
    page = soups["fails"]
    failure = page.find(id="failure")
    assert failure.find("details").has_attr("open")
    message = f"ValueError: no trial of {HOSTILE}"
    assert failure.select_one(".error p").get_text() == message
    assert page.select_one(".failure pre").get_text() == message
    assert "afterwards" not in page.main.get_text()
    assert [pre.get_text().strip() for pre in page.select("pre.text")] == ["before"]
    assert "\x1b" not in pages["fails"]


def test_index_links_every_report_and_marks_the_failed(soups):
    page = soups["index"]
    assert [a["href"] for a in page.select("h3 a")] == [f"{name}.html" for name in REPORTS]
    failed = page.select("article.failed")
    assert [article.h3.a["href"] for article in failed] == ["fails.html"]
    assert "A curve of made-up numbers, for testing." in page.get_text()


def test_index_offers_what_can_be_taken_away_and_it_is_there(soups, site):
    run = soups["index"].select_one('li[data-name="plain"]')
    links = [a["href"] for a in run.select(".take a")]
    assert links[0] == "notebooks/plain.ipynb"
    assert links[3:] == ["workbooks/plain.xlsx", "figures/plain/01-figure-1.svg"]
    assert links[1:] == [a["href"] for a in soups["plain"].select(".downloads a")][:-1]
    assert all((site / link).is_file() for link in [*links, run.img["src"]])
    assert (site / links[2]).read_text() == "trial,n\nSmith 2010,40\n"


def test_index_filters_by_what_differs_between_runs_of_a_notebook(soups):
    names = [field["name"] for field in soups["index"].select(".filters [name]")]
    assert names == ["q", "notebook", "state", "p.label", "p.mcid", "p.types"]
    values = json.loads(soups["index"].select_one('li[data-name="hostile"]')["data-choices"])
    assert values["label"] == HOSTILE


def test_index_opens_with_the_claims(soups):
    (line,) = soups["index"].select(".lead .claims li")
    assert line.select_one(".claim").get_text() == "Yoga <script>alert(1)</script> helps"
    assert [part.get_text() for part in line.select(".part")] == ["partly"]
    assert [each.get_text() for each in line.select("dt, dd")][-1] == "curve"
    assert [a["href"] for a in line.find_all("a")] == ["plain.html"]


def test_a_table_of_claims_is_a_line_each_and_any_other_stays_a_table(built):
    heads = "<th>Id</th><th>Claim</th><th>Verdict</th><th>Certainty</th><th>Estimate [95% CI]</th>"
    cells = "<td>C1</td><td>A &amp; b</td><td>no</td><td>low</td><td>1 [0 to 2];<br>wide</td>"
    table = f"<table><thead><tr>{heads}</tr></thead><tbody><tr>{cells}</tr></tbody></table>"

    def lead(markup):
        entries = [Entry(o.report, o.answer, o.error, o.summary) for o in built[1]]
        return BeautifulSoup(index_page("t", entries, [], markup), "html.parser").select_one(
            ".lead"
        )

    line = lead(table).select_one(".claims li")
    assert [part.get_text() for part in line.select("summary span")] == [
        *("A & b", "no", "low", "1 [0 to 2]")
    ]
    assert [dt.get_text() for dt in line.select("dt")] == [
        *("Id", "Verdict", "Certainty", "Estimate [95% CI]")
    ]
    assert line.select("dd")[-1].get_text() == "1 [0 to 2];wide"
    for other in (table.replace("Claim", "Trial"), table.replace("<td>C1</td>", ""), "<p>a</p>"):
        assert lead(other).select(".claims") == []
        assert lead(other).get_text(strip=True).count("A & b") == other.count("A &amp; b")


def test_only_runs_of_one_notebook_can_be_compared(soups):
    offered = [box["value"] for box in soups["index"].select(".pick input")]
    assert offered == ["plain", "hostile"]
    assert [run["data-name"] for run in soups["compare"].find_all("template")] == offered


def test_without_two_runs_of_a_notebook_there_is_nothing_to_compare(built):
    entries = [Entry(o.report, o.answer, o.error, o.summary) for o in built[1][2:]]
    assert compare_page("title", entries) == ""
    page = BeautifulSoup(index_page("title", entries, []), "html.parser")
    assert len(page.select(".reports > li")) == 2
    assert page.select(".pick, .tray, .lead, nav") == []


def test_index_and_manifest_show_the_answer_of_a_notebook_that_gives_one(soups, site):
    text = " ".join(soups["index"].get_text().split())
    assert "It is this one:" in text
    reports = json.loads((site / "manifest.json").read_text())["reports"]
    answers = {report["name"]: report["answer"] for report in reports}
    assert answers["interpreter"] == "It is *this* one: <script>alert(1)</script>"
    assert answers["plain"] is None


def test_manifest_accounts_for_every_report_and_holds_no_time(site):
    manifest = json.loads((site / "manifest.json").read_text())
    reports = {report["name"]: report for report in manifest["reports"]}
    assert list(reports) == REPORTS
    assert reports["fails"]["status"] == "failed"
    assert reports["fails"]["error"] == f"ValueError: no trial of {HOSTILE}"
    assert reports["hostile"]["parameters"]["types"][1] == 'x"; import os; os._exit(1) #'
    assert reports["plain"]["parameters"]["mcid"] is None
    assert re.fullmatch("[0-9a-f]{64}", reports["plain"]["evidence"]["content_hash"])
    assert reports["interpreter"]["evidence"] is None
    assert set(json.loads((site / "timings.json").read_text())["seconds"]) == set(reports)


def test_notebooks_run_in_this_interpreter_whatever_kernel_they_name(soups):
    assert sys.executable in soups["interpreter"].main.get_text()


def test_same_inputs_give_the_same_bytes(site, tmp_path):
    again, _ = build(tmp_path)
    assert files_of(again) == files_of(site)
    for file in files_of(site) - VARYING:
        assert (again / file).read_bytes() == (site / file).read_bytes(), file


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("CannotEstimate: no <trial> is left", "These data cannot answer this: no <trial> is left"),
        ("ValueError: shapes do not match", "This report could not be finished."),
    ],
)
def test_what_data_cannot_tell_is_no_fault(built, error, words):
    facts = Facts({"backpain-analysis": "1"}, {}, "0" * 64, None)
    report = built[1][0].report
    text = report_page(report, "", suite_title="ours", facts=facts, evidence=None, error=error)
    alert = BeautifulSoup(text, "html.parser").select_one(".failure")
    assert " ".join(alert.get_text().split()).startswith(words)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("CannotEstimate: no <trial> is left", "These data cannot answer this: no <trial> is left"),
        (
            "ValueError: shapes do not match",
            "Could not be finished: ValueError: shapes do not match",
        ),
    ],
)
def test_the_index_tells_them_apart_too(built, error, words):
    entries = [Entry(built[1][0].report, "", error, built[1][0].summary)]
    page = BeautifulSoup(index_page("t", entries, []), "html.parser")
    assert page.select_one(".status").get_text() == words
