"""Fragments are made safe and steady."""

from __future__ import annotations

import pytest

from backpain_analysis.reporting.clean import clean
from backpain_analysis.reporting.render import latex_output, prose
from tests.reporting.audit import audit
from tests.reporting.hostile import CONFUSING, FETCHING, RUNNING


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


def test_of_a_picture_from_outside_its_description_stays():
    assert clean('<img alt="a &lt;dog&gt;" src="https://example.org/x.png">', "x-") == (
        "a &lt;dog&gt;"
    )


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
        '<style>#x-1 td { color: red; }</style><table id="x-1"><tbody><tr><td id="x-2" '
        'headers="x-2">1</td></tr></tbody></table><svg><clipPath id="x-3"></clipPath>'
        '<path clip-path="url(#x-3)"></path><use xlink:href="#x-3"></use></svg>'
        '<a href="#elsewhere">x</a>'
    )
    assert clean(markup, "x-") == expected


def test_no_fragment_takes_an_id_of_the_page():
    assert clean('<p ID="content">a</p><p id=lead>b</p>', "x-") == (
        '<p id="x-1">a</p><p id="x-2">b</p>'
    )


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
