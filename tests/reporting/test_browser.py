"""The built site in a real browser, from the file system, as a reader would open it.

Pictures of the pages are kept in ``tests/artefacts``.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

from backpain_analysis import figures
from backpain_analysis.figures.style import new_axes
from backpain_analysis.reporting import page as page_module
from backpain_analysis.reporting import render
from backpain_analysis.reporting.clean import clean
from backpain_analysis.reporting.documents import find_browser
from backpain_analysis.reporting.render import render_body
from tests.reporting.hostile import CONFUSING, FETCHING, RUNNING

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")

CHROMIUM = find_browser()
ARTEFACTS = Path(__file__).parents[1] / "artefacts"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
LAPTOP, PHONE = (1280, 800), (390, 844)
PAGES = ["index", "compare", "plain", "hostile", "fails", "interpreter"]
WIDTH = "document.documentElement.scrollWidth"
EVERY_RULE = {"iframes": False, "resultTypes": ["violations"]}
RULES = {"light": EVERY_RULE, "dark": {**EVERY_RULE, "runOnly": ["color-contrast"]}}
"""In the dark only colours differ."""


pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]


@pytest.fixture(scope="module")
def chromium():
    """A browser, started once."""
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Tab:
    """A page, with all that it asked for, ran into or said while it was open."""

    def __init__(self, browser, site, **options):
        self.site = site
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.asked: list[str] = []
        self.said: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append("dialog"), dialog.dismiss()))

    def open(self, name):
        """Open a page of the site; `name` may have a fragment."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.site.as_uri()}/{name}")
        return self.page


@pytest.fixture
def tab(chromium, site):
    """A function that makes a tab with the options given; it must have been quiet at the end."""
    tabs = []

    def make(size=LAPTOP, **options):
        viewport = {"width": size[0], "height": size[1]}
        tabs.append(Tab(chromium, site, viewport=viewport, **options))
        return tabs[-1]

    yield make
    for each in tabs:
        each.context.close()
        outside = [
            url for url in each.asked if not url.startswith((site.as_uri(), "about:", "data:"))
        ]
        assert outside == []
        assert each.said == []


def listed(page):
    """The names of the reports that the index shows."""
    return page.locator(".reports > li:visible").evaluate_all("all => all.map(x => x.dataset.name)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_open_without_a_request_or_a_word_and_axe_finds_nothing(tab, scheme):
    own = tab(bypass_csp=True, color_scheme=scheme)
    for name in PAGES:
        page = own.open(f"{name}.html")
        found = axe.Axe().run(page, options=RULES[scheme])
        all_found = found.response["violations"]
        assert [(v["id"], [n["html"] for n in v["nodes"]]) for v in all_found] == [], name


def test_firefox_shows_and_searches_it_too(firefox, site):
    for name in PAGES:
        firefox.open(f"{site.as_uri()}/{name}.html", *PHONE)
        assert firefox.run("innerWidth - document.documentElement.scrollWidth") >= 0, name
        assert firefox.run("document.querySelector('h1').offsetHeight") > 10, name
    firefox.open(f"{site.as_uri()}/index.html")
    assert len(firefox.run(SEEN)) == 4
    firefox.run(TYPE_SMITH)
    assert firefox.run("document.querySelector('.hits').innerText") == "4 sections of 2 reports"
    assert firefox.run(SEEN) == ["plain", "hostile"]


SEEN = """[...document.querySelectorAll('.reports > li')].filter(li => li.offsetHeight)
    .map(li => li.dataset.name)"""
TYPE_SMITH = """{
    const field = document.querySelector('input[type=search]');
    field.value = 'smith';
    field.dispatchEvent(new Event('input', {bubbles: true}));
}"""


def test_no_page_scrolls_sideways_on_a_phone(tab):
    own = tab(PHONE)
    widths = {n: own.open(f"{n}.html").evaluate(WIDTH) for n in PAGES}
    assert widths == dict.fromkeys(PAGES, PHONE[0])


def test_a_wide_figure_scrolls_by_itself_and_its_caption_stays(chromium, tmp_path):
    figure = figures.show(new_axes(), alt="A figure", caption="Words " * 60)
    outputs = [new_output("display_data", data={"text/html": figure._repr_html_()})]
    body = render_body(new_notebook(cells=[new_code_cell("x", outputs=outputs)]))
    style = (Path(render.__file__).parent / "templates" / "style.css").read_text(encoding="utf-8")
    page = tmp_path / "page.html"
    page.write_text(
        f'<!DOCTYPE html><meta name="viewport" content="width=device-width"><style>{style}</style>'
        f"<main>{body}</main>"
    )
    context = chromium.new_context(viewport={"width": PHONE[0], "height": PHONE[1]})
    shown = context.new_page()
    shown.goto(page.as_uri())
    assert shown.evaluate(WIDTH) == PHONE[0]
    assert shown.locator("figcaption").bounding_box()["width"] <= PHONE[0]
    reach = "each => [each.scrollWidth > each.clientWidth, getComputedStyle(each).overflowX]"
    scrolled = shown.locator(".bp-scroll")
    assert scrolled.evaluate(reach) == [True, "auto"]
    for scheme in ("light", "dark"):
        shown.emulate_media(color_scheme=scheme)
        scrolled.evaluate("each => each.scrollLeft = 0")
        assert edges(scrolled, tmp_path) == ["white", "shaded"], scheme
        scrolled.evaluate("each => each.scrollLeft = each.scrollWidth")
        assert edges(scrolled, tmp_path) == ["shaded", "white"], scheme
    context.close()


def edges(locator, folder):
    """How the ends of what scrolls look: shaded where there is more to see."""
    locator.screenshot(path=folder / "part.png")
    with Image.open(folder / "part.png") as image:
        grey = image.convert("L")
    columns = (2, grey.width - 3)
    lightest = [max(grey.getpixel((x, y)) for y in range(20, grey.height - 20)) for x in columns]
    return ["white" if level > 250 else "shaded" for level in lightest]


def test_pictures_of_the_pages_are_kept(tab):
    ARTEFACTS.mkdir(exist_ok=True)
    own = tab()
    for name in ["index", "compare", "hostile"]:
        page = own.open(f"{name}.html")
        for kind, size in {"laptop": LAPTOP, "phone": PHONE}.items():
            for scheme in ("light", "dark"):
                page.set_viewport_size({"width": size[0], "height": size[1]})
                page.emulate_media(color_scheme=scheme)
                path = ARTEFACTS / f"{name}-{kind}-{scheme}.png"
                assert page.screenshot(path=path, full_page=True).startswith(b"\x89PNG")


def test_formulae_tables_and_figures_are_seen(tab):
    page = tab().open("plain.html")
    for part in ["math", ".output table", "figure svg"]:
        boxes = [each.bounding_box() for each in page.locator(part).all()]
        assert boxes
        assert all(box and box["width"] > 5 and box["height"] > 5 for box in boxes), part
    fraction = page.locator("math mfrac").first
    above, below = (fraction.locator("> *").nth(n).bounding_box() for n in (0, 1))
    assert above["y"] + above["height"] <= below["y"] + 1, "a fraction is set as one"
    assert page.evaluate("document.fonts.check('1em \"Backpain Serif\"')")


def test_code_opens_and_the_content_is_reached_by_keyboard(tab):
    page = tab().open("plain.html")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("#content$"))
    code = page.locator("details.code").first
    code.locator("summary").focus()
    page.keyboard.press("Enter")
    assert code.locator(".highlight").first.is_visible()


def test_figures_keep_a_white_ground_in_the_dark(tab):
    page = tab(color_scheme="dark").open("plain.html")
    colour = "element => getComputedStyle(element).backgroundColor"
    assert page.locator("figure.scroll").first.evaluate(colour) == "rgb(255, 255, 255)"
    dark = page.locator("body").evaluate(colour)
    assert max(map(int, re.findall(r"\d+", dark))) < 60


def test_on_paper_there_is_nothing_to_press(tab):
    page = tab().open("index.html")
    page.emulate_media(media="print")
    for part in [".filters", ".take", ".skip"]:
        assert not page.locator(part).first.is_visible(), part
    assert page.locator(".reports h3").first.is_visible()


def test_search_and_filters_narrow_the_list_and_can_be_sent_on(tab):
    page = tab().open("index.html")
    status = page.locator(".found [role=status]")
    assert status.inner_text() == "4 reports"
    search = page.get_by_role("searchbox")
    search.fill("MINUTES  alert(1)")
    assert listed(page) == ["hostile"]
    assert status.inner_text() == "1 of 4 reports"
    search.fill("mcid: 10")
    assert listed(page) == ["hostile"]
    search.fill("no such words")
    assert listed(page) == []
    page.get_by_role("button", name="Show all").click()
    assert len(listed(page)) == 4
    page.get_by_label("State").select_option("not finished")
    assert listed(page) == ["fails"]
    page.get_by_label("State").select_option("")
    page.get_by_label("Question").select_option("How much is enough?")
    page.get_by_label("Mcid").select_option("not set")
    assert listed(page) == ["plain"]

    again = tab().open(f"index.html#{page.url.partition('#')[2]}")
    assert listed(again) == ["plain"]
    assert again.get_by_label("Mcid").input_value() == "not set"


def test_the_text_of_all_reports_is_searched(tab):
    page = tab().open("index.html")
    search, hits = page.get_by_role("searchbox"), page.locator(".hits")
    search.fill("smith")
    assert hits.inner_text() == "4 sections of 2 reports"
    assert set(page.locator(".results mark").all_inner_texts()) == {"Smith"}
    assert listed(page) == ["plain", "hostile"]
    search.fill("smith nowhere")
    assert hits.inner_text() == "0 sections of 0 reports" and listed(page) == []
    search.fill("s")
    assert hits.inner_text() == "" and page.locator(".results li").count() == 0
    search.fill("SMITH ours")
    link = page.locator(".results a").first
    assert link.inner_text() == "How much is enough?: A table of ours"
    link.click()
    assert page.url.endswith("plain.html#a-table-of-ours")


def test_contents_stand_beside_the_text_where_there_is_room(tab):
    page = tab((1280, 900)).open("plain.html")
    beside, text = (page.locator(part).bounding_box() for part in ("nav.contents", "main"))
    assert beside["x"] + beside["width"] < text["x"] and beside["y"] < text["y"]
    page.set_viewport_size({"width": 900, "height": 800})
    above, text = (page.locator(part).bounding_box() for part in ("nav.contents", "main"))
    assert above["y"] + above["height"] <= text["y"]


def test_a_style_in_an_output_leaves_the_page_as_it_is(chromium, tmp_path):
    hostile = "<style>body, * { display: none } p { color: red }</style><p>in</p>"
    cover = '<div style="position: absolute; inset: -99px; margin: -99px">cover</div>'
    own = Tab(chromium, tmp_path)
    own.page.goto("about:blank")
    style = (Path(page_module.TEMPLATES) / "style.css").read_text()
    own.page.set_content(
        f"<!DOCTYPE html><title>t</title><style>{style}</style><p id=out>out</p>"
        f"{clean(hostile, 'a-')}{clean(cover, 'b-')}<p id=under>under</p>"
    )
    assert own.page.locator("#out").is_visible()
    box = own.page.locator("#under").bounding_box()
    at = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
    found = own.page.evaluate("([x, y]) => document.elementFromPoint(x, y).id", at)
    assert found == "under"
    own.context.close()


ALL_LOADED = """Promise.all([...document.images].map(image =>
    image.complete || new Promise(done => { image.onload = image.onerror = done; })))"""
"""Waits in the page; Playwright's own waiting evaluates texts, which the page forbids."""


def test_index_has_pictures_and_the_claims(tab):
    page = tab().open("index.html")
    page.evaluate(ALL_LOADED)
    assert page.evaluate("[...document.images].map(image => image.naturalWidth > 0)") == [True] * 2
    assert "Yoga <script>alert(1)</script> helps" in page.locator(".lead .claims").inner_text()


def test_a_table_is_downloaded(tab):
    page = tab().open("index.html")
    run = page.locator("li[data-name=plain]")
    run.locator("summary").click()
    with page.expect_download() as download:
        run.get_by_role("link", name="Ours").click()
    assert Path(download.value.path()).read_text() == "trial,n\nSmith 2010,40\n"


def test_two_runs_are_picked_and_set_side_by_side(tab):
    own = tab()
    page = own.open("index.html")
    page.get_by_label("Compare How much is enough?").check()
    assert page.locator(".tray").inner_text().startswith("Choose another report")
    page.get_by_label("Compare Minutes").check()
    page.get_by_role("link", name="Compare", exact=True).click()
    page.wait_for_load_state()
    chosen = [select.input_value() for select in page.locator(".filters select").all()]
    assert chosen == ["plain", "hostile"]
    table = page.locator(".differences")
    assert table.locator("caption").inner_text() == "3 of 5 choices differ"
    rows = [row.split("\t") for row in table.locator("tbody").inner_text().splitlines()]
    assert rows[0] == ["label", "minutes a week", '<script>alert("x")</script>']
    assert rows[1] == ["mcid", "not set", "10"]
    page.get_by_label("Show the choices that are the same").check()
    assert table.locator("tbody tr").count() == 5
    frames = [page.frame_locator(f"#frames iframe >> nth={n}") for n in (0, 1)]
    assert [frame.locator("h1").inner_text() for frame in frames] == [
        "How much is enough?",
        "Minutes <script>alert(1)</script>",
    ]
    page.get_by_label("One report").select_option("hostile")
    assert page.get_by_label("Another").input_value() == "plain"
    assert page.url.endswith("compare.html#left=hostile&right=plain")


def test_policy_stops_what_is_not_ours(chromium, site, tmp_path):
    """Even if cleaning failed, the browser would not fetch or run."""
    text = (site / "index.html").read_text(encoding="utf-8")
    for other in [
        "<script>document.title = 'run'</script>",
        "<img src='https://example.org/x.png'>",
    ]:
        text = text.replace("</main>", f"{other}</main>")
    (tmp_path / "index.html").write_text(text, encoding="utf-8")
    own = Tab(chromium, tmp_path)
    page = own.open("index.html")
    assert page.title() == "A suite of <b>tests</b>"
    assert len([word for word in own.said if "Content Security Policy" in word]) == 2
    assert page.locator(".found [role=status]").inner_text() == "4 reports"
    own.context.close()


@pytest.mark.parametrize("policy", [False, True], ids=["without policy", "bare"])
def test_cleaned_fragments_neither_fetch_nor_run_in_a_browser(chromium, tmp_path, policy):
    """The policy is left out, and the fragments that are not cleaned show that this can fail."""
    hostile = [*FETCHING[:2], *RUNNING[1:3], *CONFUSING]
    markup = [f if policy else clean(f, f"x{n}-") for n, f in enumerate(hostile)]
    reached = 0
    own = Tab(chromium, tmp_path)
    own.context.route("https://**", lambda route: route.abort())
    for fragment in markup:
        own.page.goto("about:blank")
        own.page.set_content(f"<!DOCTYPE html><title>t</title><main>{fragment}</main>")
        reached += own.page.locator("[onerror], [onload], [onbegin], script, iframe").count()
    asked = [url for url in own.asked if url.startswith("https:")]
    if policy:
        assert asked and reached and "dialog" in own.said
    else:
        assert (asked, reached, own.said) == ([], 0, [])
    own.context.close()
