"""The page on which readers choose a dose: its data is checked, its script tells what we tell."""

from __future__ import annotations

import json
from copy import deepcopy

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import backpain_analysis as bp
from backpain_analysis.answers.dose_explorer import FINE
from backpain_analysis.reporting import read_suite
from backpain_analysis.reporting.build import assemble
from backpain_analysis.reporting.documents import find_browser
from backpain_analysis.reporting.downloads import executed_notebook
from backpain_analysis.reporting.explorer import MEDIA_TYPE, explored_in
from backpain_analysis.reporting.page import neighbours, turned
from backpain_analysis.reporting.run import plan
from tests.reporting.audit import audit
from tests.reporting.little import make_suite, write_notebook

DOSES = ["sessions_per_week", "minutes_per_week"]
CHOICES = 'outcome: str = "pain_intensity"\ndose: str = "sessions_per_week"'


@pytest.fixture(scope="module")
def found():
    trials = bp.load_evidence().filter(population=bp.BACK_PAIN)
    return bp.dose_explorer(trials, ["pain_intensity"], DOSES)


@pytest.fixture(scope="module")
def data(found):
    return json.loads(json.dumps(found.to_data()))


@pytest.fixture(scope="module")
def site(found, data, tmp_path_factory):
    """A page of choices beside a page on one of them, without a kernel."""
    folder = tmp_path_factory.mktemp("explorer")
    tagged = new_code_cell("found", metadata={"tags": ["explorer"]})
    cells = [new_markdown_cell("# Which dose?"), tagged]
    nbformat.write(new_notebook(cells=cells), folder / "choose.ipynb")
    write_notebook(folder, "curve", parameters=CHOICES)
    suite = make_suite(
        folder,
        {"notebook": "curve", "name": "a-curve", "title": "Pain & sessions"},
        {"notebook": "choose", "name": "explorer", "title": "Choose"},
    )
    jobs = plan(suite)
    beside = neighbours([job.report for job in jobs])
    ran = deepcopy(tagged)
    ran.outputs = [
        new_output("display_data", data={MEDIA_TYPE: data, "text/html": found._repr_html_()})
    ]
    for job, nb in zip(jobs, [new_notebook(), new_notebook(cells=[cells[0], ran])], strict=True):
        name = job.report.name
        page = assemble(job, nb, "", 0.0).files[f"{name}.html"]
        (folder / f"{name}.html").write_bytes(turned(page, *beside[name]))
    return folder


def shown(content) -> nbformat.NotebookNode:
    output = new_output("display_data", data={MEDIA_TYPE: content})
    return new_notebook(cells=[new_code_cell("x", outputs=[output])])


def test_data_of_the_known_shape_are_kept(data):
    assert json.loads(explored_in(shown(data))) == data
    assert explored_in(new_notebook(cells=[new_code_cell("x")])) == ""


def test_the_notebook_as_it_was_run_makes_the_same_page(data):
    ran = shown(data)
    again = nbformat.reads(executed_notebook(ran).decode(), as_version=4)
    assert explored_in(again) == explored_in(ran)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("words"),
        lambda d: d.update(more=1),
        lambda d: d["doses"].clear(),
        lambda d: d["doses"][0].update(step=0),
        lambda d: d["outcomes"][0].update(digits=99),
        lambda d: d["explored"][0]["rows"][0].pop(),
        lambda d: d["explored"][0].update(studied=[]),
        lambda d: d["explored"][0].update(studied=["<b>"]),
        lambda d: d["explored"][0]["points"][0].__setitem__(2, -1.0),
        lambda d: d["explored"][0].update(said="x" * 3000),
    ],
)
def test_data_of_another_shape_are_not_shown(data, change):
    other = deepcopy(data)
    change(other)
    assert explored_in(shown(other)) == ""


@pytest.mark.parametrize("odd", [None, 3, "text", [], {"explored": float("nan")}])
def test_what_is_no_such_data_is_not_shown(odd):
    assert explored_in(shown(odd)) == ""


def test_the_page_runs_its_own_script_only_and_is_led_to(site):
    page = (site / "explorer.html").read_text(encoding="utf-8")
    assert audit(page) == [] and page.count("<script>") == 1
    soup = BeautifulSoup(page, "html.parser")
    (link,) = soup.select(".turn a[data-outcome]")
    assert (link["href"], link["data-dose"]) == ("a-curve.html", "sessions_per_week")
    other = BeautifulSoup((site / "a-curve.html").read_text(encoding="utf-8"), "html.parser")
    assert [a["href"] for a in other.select(".turn a")] == ["explorer.html", "explorer.html"]
    assert "<script" not in str(other)


def test_a_label_cannot_leave_its_place(data, site):
    other = deepcopy(data)
    other["types"][0]["label"] = "</template><script>alert(1)</script>"
    job = next(job for job in plan(read_suite(site / "suite.yml")) if job.report.notebook.explores)
    page = assemble(job, shown(other), "", 0.0).files["explorer.html"].decode()
    assert audit(page) == [] and "<script>alert" not in page


sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
browser_only = pytest.mark.skipif(find_browser() is None, reason="no Chromium is installed")
FLAGS = ["--no-sandbox", "--disable-gpu"]


@pytest.fixture(scope="module")
def opened(site):
    """The page in a browser; it must have asked for nothing and said nothing at the end."""
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda each: said.append(each.url))
        address = (site / "explorer.html").as_uri()
        page.goto(address)
        yield page
        assert {each.partition("#")[0] for each in said} == {address}
        browser.close()


ASK = """([choice, at]) => {
  const names = ['outcome', 'population', 'type', 'dose'];
  location.hash = new URLSearchParams([...names.map((n, i) => [n, choice[i]]), ['at', at]]);
  return new Promise(done => setTimeout(() => done([
    document.querySelector('.effect').textContent, document.querySelector('.rests').textContent,
    document.querySelector('.drawn svg') !== null, document.querySelector('.given').textContent,
  ]), 20));
}"""


def ask(page, choice, at):
    parts = [choice.outcome, choice.population, choice.exercise_type, choice.dose_name]
    return page.evaluate(ASK, [parts, at])


@browser_only
def test_it_tells_what_the_library_tells(opened, found):
    for each in found.explored[:: len(found.explored) // 8]:
        step, last = FINE[each.choice.dose_name], each.studied[-1]
        for dose in [step, *(known.dose for known in each.doses[::2]), step * (last // step + 1)]:
            if dose % step:
                continue
            words, rests, drawn, _ = ask(opened, each.choice, dose)
            assert words == each.at(dose) and drawn
            known = next((k for k in each.doses if k.dose == dose and k.n_trials), None)
            assert bool(rests) == (known is not None or words == each.said)
            if known:
                assert f"Certainty: {known.certainty.level}" in rests
                assert f": {known.n_trials} trial" in rests


def test_firefox_tells_it_too(firefox, site, found):
    firefox.open((site / "explorer.html").as_uri())
    each = found.chosen("pain_intensity", "sessions_per_week")
    parts = [each.choice.outcome, each.choice.population, each.choice.exercise_type]
    told = []
    for dose in (1, 2, 4):
        asked = json.dumps([[*parts, each.choice.dose_name], dose])
        words, _, drawn, given = firefox.run(f"({ASK})({asked})")
        told.append(words)
        assert words == each.at(dose) and drawn and given.startswith(f"{dose} session")
    assert len(set(told)) == 3 and told[2].startswith("No trial studied about 4 sessions")


@browser_only
def test_a_choice_without_a_trial_says_so_and_is_marked(opened, found):
    every = found.chosen("pain_intensity", "minutes_per_week")
    ask(opened, every.choice, 90)
    lacking = {
        each.choice.exercise_type
        for each in found.explored
        if each.choice.dose_name == "sessions_per_week" and not each.choice.population
    } - {
        each.choice.exercise_type
        for each in found.explored
        if each.choice.dose_name == "minutes_per_week" and not each.choice.population
    }
    assert lacking, "a type with sessions but no minutes"
    options = opened.locator("select[name=type] option")
    marked = {o["v"] for o in options.evaluate_all(MARKED)}
    assert marked == lacking
    opened.locator("select[name=type]").select_option(sorted(lacking)[0])
    assert opened.locator(".effect").inner_text() == (
        "No trial of this choice has a result against no exercise at a known dose."
    )
    assert opened.locator(".drawn svg").count() == 0


MARKED = "all => all.filter(o => o.textContent.endsWith('(no trial)')).map(o => ({v: o.value}))"


@browser_only
def test_keys_move_the_dose_and_the_new_words_are_spoken(opened, found):
    every = found.chosen("pain_intensity", "sessions_per_week")
    ask(opened, every.choice, 1)
    slider = opened.get_by_role("slider", name="Dose")
    slider.focus()
    opened.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "1.5 sessions per week"
    assert opened.get_by_role("status").inner_text().startswith(every.at(1.5))
    assert "at=1.5" in opened.url
    opened.keyboard.press("End")
    assert opened.locator(".told.refused").count() == 1
    for label in ("Outcome", "Back pain", "Exercise", "Measure of dose"):
        assert opened.get_by_role("combobox", name=label, exact=True).count() == 1
    assert (
        opened.get_by_role("link", name="Pain & sessions", exact=True).get_attribute("href")
        == "a-curve.html"
    )
    assert opened.locator(".drawn svg").get_attribute("aria-label").startswith("Difference in pain")


@browser_only
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_axe_finds_nothing(opened, site, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    browser = opened.context.browser
    size = {"width": width, "height": 800}
    context = browser.new_context(viewport=size, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.goto((site / "explorer.html").as_uri())
    page.locator(".along summary").click()
    assert page.locator(".along tbody tr").count() > 3
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator(".drawn svg").bounding_box()["width"] <= width
    found = axe.Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    assert [(each["id"], [n["html"] for n in each["nodes"]]) for each in found] == []
    context.close()
