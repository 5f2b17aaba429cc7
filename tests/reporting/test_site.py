"""The suite built in a temporary folder, and what its pages must and must not hold."""

from __future__ import annotations

import json
import re
import sys
from itertools import pairwise

import pytest
from bs4 import BeautifulSoup

from backpain_analysis.reporting.page import Entry, compare_page, index_page
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
    assert HOSTILE in page.header.get_text()
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
    assert links == ["The curve", "The table", "A table of ours", "What must not be fetched"]
    assert soups["fails"].find("nav") is None


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
    assert len(links) == 3
    assert links[1:] == [a["href"] for a in soups["plain"].select(".downloads a")][:-1]
    assert all((site / link).is_file() for link in [*links, run.img["src"]])
    assert (site / links[2]).read_text() == "trial,n\nSmith 2010,40\n"


def test_index_filters_by_what_differs_between_runs_of_a_notebook(soups):
    names = [field["name"] for field in soups["index"].select(".filters [name]")]
    assert names == ["q", "notebook", "state", "p.label", "p.mcid", "p.types"]
    values = json.loads(soups["index"].select_one('li[data-name="hostile"]')["data-choices"])
    assert values["label"] == HOSTILE


def test_index_opens_with_the_claims(soups):
    rows = soups["index"].select(".lead table tr")
    assert [cell.get_text() for cell in rows[1].find_all("td")] == [
        "Yoga <script>alert(1)</script> helps",
        "partly",
        "curve",
    ]
    assert [a["href"] for a in rows[1].find_all("a")] == ["plain.html"]


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
