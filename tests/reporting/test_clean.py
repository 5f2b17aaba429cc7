"""Fragments are made safe and steady."""

from __future__ import annotations

import re

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from backpain_analysis.reporting.clean import clean, clean_whole
from backpain_analysis.reporting.render import latex_output, prose, render_body
from tests.reporting.audit import audit
from tests.reporting.hostile import CONFUSING, FETCHING, FORMULAE, LINKS, PICTURES, RUNNING


@pytest.mark.parametrize("hostile", FETCHING + RUNNING)
def test_nothing_that_fetches_or_runs_is_left(hostile):
    assert audit(hostile)
    assert audit(clean(hostile, "x-")) == []


@pytest.mark.parametrize("hostile", CONFUSING)
def test_nor_where_readers_of_html_disagree(hostile):
    assert audit(clean(hostile, "x-")) == []


def test_an_escaped_address_in_a_style_is_none():
    cleaned = clean(r'<p style="background:u\72l(https://example.org/x)">x</p>', "x-")
    assert "\\" not in cleaned
    assert "url(" not in cleaned


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (
            '<img alt="a &lt;dog&gt;" src="https://example.org/x.png">',
            "A picture from elsewhere, which this page does not fetch: "
            '<a href="https://example.org/x.png">a &lt;dog&gt;</a>',
        ),
        ('<img src="a b.png">', "A picture that was not found: without a name (a b.png)"),
        ('<img src="&lt;b>.png" alt=x>', "A picture that was not found: x (&lt;b&gt;.png)"),
        ('<img alt="x" src="data:image/png;base64,AAAA">', "A picture that cannot be shown: x"),
        ('<img alt="x" src="//example.org/x.png">', "A picture that cannot be shown: x"),
    ],
)
def test_a_picture_that_is_not_shown_leaves_a_word(image, said):
    assert clean(image, "x-") == f'<span class="missing">{said}</span>'
    assert clean_whole(clean(image, "x-")) == clean(image, "x-")


def test_what_runs_goes_with_its_content_and_what_is_unknown_leaves_its_text():
    assert clean("<script>1</script><form>a</form><marquee>b</marquee>", "x-") == "b"


@pytest.mark.parametrize(
    "kept",
    [
        '<a href="https://doi.org/10.1000/182">a trial</a>',
        '<a href="pooled-pain.html#forest">a report</a>',
        '<img alt="dot" src="data:image/png;base64,iVBORw0KGgo=">',
        '<table class="bp-table"><caption>c</caption><tbody><tr><th scope="row" colspan="2">1</th>'
        '</tr></tbody><tfoot><tr><td style="text-align: right">2</td></tr></tfoot></table>',
        '<svg viewBox="0 0 9 9" role="img" aria-label="a (b) \\ c"><linearGradient>'
        '<stop offset="1"></stop></linearGradient><text transform="scale(2)">t</text></svg>',
        '<math display="block"><mfrac><mi>a</mi><mn>2</mn></mfrac></math>',
        "<details><summary>more</summary>all</details>",
    ],
)
def test_what_a_reader_needs_is_left(kept):
    assert clean(kept, "x-") == kept


def test_ids_are_numbered_and_what_points_to_them_follows():
    markup = (
        '<style>#kfjwq td { color: red; }</style><table id="kfjwq"><tbody><tr><td id="h" '
        'headers="h">1</td></tr></tbody></table><svg><clipPath id="p9"></clipPath>'
        '<path clip-path="url(#p9)"></path><use xlink:href="#p9"></use></svg>'
        '<a href="#elsewhere">x</a>'
    )
    expected = (
        '<div class="scoped" id="x-s"><style>:where(#x-s) #x-1 td { color: red }</style>'
        '<table id="x-1"><tbody><tr><td id="x-2" '
        'headers="x-2">1</td></tr></tbody></table><svg><clipPath id="x-3"></clipPath>'
        '<path clip-path="url(#x-3)"></path><use xlink:href="#x-3"></use></svg>'
        '<a href="#elsewhere">x</a></div>'
    )
    assert clean(markup, "x-") == expected


def test_no_fragment_takes_an_id_of_the_page():
    assert clean('<p ID="content">a</p><p id=lead>b</p>', "x-") == (
        '<p id="x-1">a</p><p id="x-2">b</p>'
    )


@pytest.mark.parametrize(
    ("sheet", "kept"),
    [
        ("body { background: black } table { color: red }", ":where(#x-s) table { color: red }"),
        ("html.a, :root .b, * { margin: 0 }", ":where(#x-s) * { margin: 0 }"),
        (":root { --a: 1; color: red }", ":where(#x-s) { --a: 1 }"),
        ("p, q { color: red }", ":where(#x-s) p, :where(#x-s) q { color: red }"),
        ("p { color: red; body:has(&) { display: none } }", ":where(#x-s) p { color: red }"),
        ("~ *, + p { display: none }", ""),
        ("@font-face { font-family: a } @keyframes x { to { top: 0 } } @layer a;", ""),
        ("p { position: fixed; top: 0 }", ":where(#x-s) p { top: 0 }"),
        (
            "@media print { body { color: red } p { color: blue } }",
            "@media print {:where(#x-s) p { color: blue }}",
        ),
        ("} body { color: red }", ""),
        ("p { color: red", ":where(#x-s) p { color: red }"),
        ("\0 p { color: red }", ":where(#x-s) \ufffd p { color: red }"),
        (r"p::after { content: '\3c/style>' }", ":where(#x-s) p::after { content: '3c/style>' }"),
    ],
)
def test_a_style_rules_its_own_fragment_only(sheet, kept):
    cleaned, other = (clean(f"<style>{sheet}</style><p>a</p>", prefix) for prefix in ("x-", "y-"))
    assert other == cleaned.replace("x-", "y-")
    style = re.search("<style>(.*?)</style>", cleaned)
    assert style[1].replace('"', "'").replace(";", "") == kept.replace(";", "")


def test_what_is_placed_is_kept_within_its_fragment():
    cleaned = clean('<div style="position: fixed; top: 0; margin: -9px">x</div>', "x-")
    assert cleaned.startswith('<div class="scoped"') and "fixed" not in cleaned


def test_colours_are_not_taken_for_references():
    assert "#fff" in clean('<p id="a" style="color: #fff">x</p>', "x-")


def test_svg_prolog_and_date_go():
    svg = (
        '<?xml version="1.0"?>\n<!DOCTYPE svg PUBLIC "a" "b">\n<svg><metadata>2026</metadata>'
        "<title>A forest plot</title></svg>"
    )
    assert clean(svg, "x-") == "<svg><title>A forest plot</title></svg>"


def test_markdown_headings_start_at_two():
    page = prose("# One\n\n## Two\n\n### Three", "x-")
    assert [page.count(f"<h{level} ") for level in (1, 2, 3)] == [0, 2, 1]


def test_latex_with_and_without_dollars_is_the_same_formula():
    assert latex_output(r"$$\tau^2$$", "x-") == latex_output(r"\tau^2", "x-")
    assert "<math" in latex_output(r"\tau^2", "x-")


def test_a_formula_that_cannot_be_converted_is_shown_as_written():
    assert "<code>a&lt;b^</code>" in latex_output("$a<b^$", "x-")


DOT = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJg"
    "gg=="
)


def body_of(data: dict, **markdown) -> str:
    shown = new_code_cell("x", outputs=[new_output("display_data", data=data)])
    return render_body(new_notebook(cells=[new_markdown_cell("text", **markdown), shown]))


@pytest.mark.parametrize("formula", FORMULAE)
def test_no_formula_fetches_or_runs(formula):
    for body in (body_of({"text/latex": formula}), prose(formula, "x-")):
        assert audit(body) == [] and "<meta" not in body


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg"])
@pytest.mark.parametrize("data", PICTURES)
def test_what_only_says_it_is_a_picture_is_named_as_missing(kind, data):
    body = body_of({kind: data})
    assert audit(body) == [] and "<img" not in body and "<meta" not in body
    assert "that cannot be read" in body


def test_drawings_are_written_to_two_decimals_and_nothing_else_is():
    svg = (
        '<svg viewBox="0 0 72.1234 36"><path d="M 123.456789 1.23456789 L 0.012345678 -9.5"></path>'
        '<g transform="translate(12.349876 0) scale(0.015625)"><use x="7.5"></use></g>'
        '<text x="10.999">d="11.123456"</text></svg>'
    )
    body = body_of({"text/html": f'{svg}<p>x="10.999"</p>'})
    assert '<path d="M 123.45 1.234 L 0.012345678 -9.5"/>' in body
    assert 'transform="translate(12.34 0) scale(0.015625)"><use x="7.5"/>' in body
    assert 'd="11.123456"</text>' in body and '<p>x="10.999"</p>' in body
    assert 'viewBox="0 0 72.1234 36"' in body


def test_a_picture_of_the_wrong_kind_is_none_and_a_right_one_stays():
    assert "<img" not in body_of({"image/jpeg": DOT})
    assert f'src="data:image/png;base64,{DOT}"' in body_of({"image/png": DOT})
    assert "<img" not in clean(f'<img src="data:image/gif;base64,{DOT}">', "x-")


@pytest.mark.parametrize("link", LINKS)
def test_links_lead_only_where_a_closed_list_says(link):
    assert "href" not in clean(f'<a href="{link}">x</a>', "x-")
    assert "href" not in clean_whole(f'<a href="{link}">x</a>')


@pytest.mark.parametrize("hostile", [*FETCHING, *RUNNING, *CONFUSING])
def test_a_body_is_cleaned_once_more_as_a_whole(hostile):
    assert audit(clean_whole(f'<section id="a"><p>text</p>{hostile}</section>')) == []


def test_cleaning_the_whole_leaves_a_clean_body_as_it_is():
    body = body_of({"text/html": "<table id=a><tr><td headers=a>1</td></tr></table>"})
    assert clean_whole(body) == body


def test_an_output_no_page_can_show_is_told_of():
    body = body_of({"application/x-thing": "1"})
    assert "An output that no page can show (application/x-thing)" in body


def test_attached_pictures_are_shown_and_missing_ones_do_no_harm():
    cell = new_markdown_cell(
        "![a dot](attachment:my%20dot.png) ![gone](attachment:gone.png) ![bad](attachment:bad.png)",
        attachments={"my dot.png": {"image/png": DOT}, "bad.png": {"image/png": "<svg>"}},
    )
    body = render_body(new_notebook(cells=[cell]))
    assert body.count("<img") == 1 and DOT in body
    assert "gone" in body and audit(body) == []
