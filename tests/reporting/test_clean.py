"""Fragments are made safe and steady."""

from __future__ import annotations

import pytest

from backpain_analysis.reporting.clean import clean
from backpain_analysis.reporting.markup import latex_output, prose
from tests.reporting.audit import audit


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        '<img src="https://example.org/x.png">',
        '<img src=x onerror="alert(1)">',
        '<svg onload="alert(1)"><image href="https://example.org/x.png"/></svg>',
        '<svg><use xlink:href="https://example.org/x.svg#a"/></svg>',
        '<svg><foreignObject><iframe src="https://example.org"></iframe></foreignObject></svg>',
        '<a href="java&#115;cript:alert(1)">x</a>',
        '<a href=" javascript:alert(1)">x</a>',
        '<p style="background:URL( https://example.org/x )">x</p>',
        "<style>@import 'https://example.org/x.css'; p { src: url(//example.org/f) }</style>",
        '<form action="https://example.org"><input name=a></form>',
        '<video src="https://example.org/x.mp4" poster="https://example.org/y.png"></video>',
        '<meta http-equiv="refresh" content="0;url=https://example.org">',
    ],
)
def test_nothing_that_fetches_or_runs_is_left(hostile):
    assert audit(hostile)
    assert audit(clean(hostile, "x-")) == []


def test_what_a_reader_needs_is_left():
    kept = '<a href="https://doi.org/10.1000/182">a trial</a>'
    assert clean(kept, "x-") == kept
    image = '<img alt="dot" src="data:image/png;base64,iVBORw0KGgo="/>'
    assert clean(image, "x-") == image


def test_ids_are_numbered_and_what_points_to_them_follows():
    markup = (
        '<style>#kfjwq td { color: red; }</style><table id="kfjwq"><td id="h" headers="h">1</td>'
        '</table><svg><clippath id="p9"></clippath><path clip-path="url(#p9)"></path>'
        '<use xlink:href="#p9"></use></svg>'
    )
    expected = (
        '<style>#x-1 td { color: red; }</style><table id="x-1"><td headers="x-2" id="x-2">1</td>'
        '</table><svg><clippath id="x-3"></clippath><path clip-path="url(#x-3)"></path>'
        '<use xlink:href="#x-3"></use></svg>'
    )
    assert clean(markup, "x-") == expected


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
    assert latex_output(r"$$\tau^2$$") == latex_output(r"\tau^2")
    assert "<math" in latex_output(r"\tau^2")


def test_a_formula_that_cannot_be_converted_is_shown_as_written():
    assert "<code>a&lt;b^</code>" in latex_output("$a<b^$")
