"""Drawings are written shorter, and come out whole."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure
from numpy.testing import assert_allclose

from backpain_analysis import figures
from backpain_analysis.reporting.clean import clean
from backpain_analysis.reporting.drawings import (
    OF_MATPLOTLIB,
    as_file,
    figures_in,
    thinned,
    whole,
)

NUMBER = re.compile(r"-?\d+\.?\d*")
LINK = "{http://www.w3.org/1999/xlink}href"


def drawn(title: str, prefix: str) -> str:
    """A drawing with letters, as it stands in a body."""
    figure = Figure(figsize=(2, 2))
    figure.subplots().set(title=title, xlabel="walking", ylabel="walking")
    return clean(figures.show(figure, alt=f"{title}. More.")._repr_html_(), prefix)


@pytest.fixture(scope="module")
def pages():
    """A body as it was, and thinned."""
    with mpl.rc_context({"svg.hashsalt": "x"}):
        body = drawn("Saper walking", "x1-") + "<p>between</p>" + drawn("Aasa walking", "x2-")
    return body, thinned(body)


def in_full(course: str) -> str:
    """A path whose level and upright lines have both numbers."""
    steps, x, y = [], "", ""
    for command, text in re.findall(r"([A-Za-z])([^A-Za-z]*)", course):
        given = text.split()
        if command in "HV":
            given = [given[0], y] if command == "H" else [x, given[0]]
        x, y = given[-2:] if given else (x, y)
        steps.append(("L" if command in "HV" else command) + " ".join(given))
    return "".join(steps)


def seen(svg: str) -> list[tuple[str, str]]:
    """Every shape that a drawing shows, with its place, in order: what `use` uses is resolved."""
    root = ElementTree.fromstring(svg)
    by_id = {each.get("id"): each for each in root.iter() if each.get("id")}
    found = []

    def walk(element, place):
        tag = element.tag.rpartition("}")[2]
        if tag in ("defs", "style", "desc", "clipPath"):
            return
        own = element.get("transform") or ""
        if tag == "use":
            x, y = element.get("x", "0"), element.get("y", "0")
            moved = "" if (float(x), float(y)) == (0, 0) else f"translate({x} {y})"
            walk(by_id[element.get(LINK)[1:]], f"{place} {own} {moved}")
            return
        if tag == "path":
            found.append((in_full(element.get("d") or ""), " ".join(f"{place} {own}".split())))
        for child in element:
            walk(child, f"{place} {own}")

    walk(root, "")
    return found


def words(each: tuple[str, str]) -> list[str]:
    """What stands between the numbers."""
    return [word.strip() for part in each for word in NUMBER.split(part)]


def numbers(each: tuple[str, str]) -> list[float]:
    return [float(number) for part in each for number in NUMBER.findall(part)]


def files(body: str) -> list[str]:
    return [as_file(markup).decode() for _, markup in figures_in(body)]


def test_a_reader_sees_the_same_shapes_at_the_same_places(pages):
    before, after = (files(body) for body in pages)
    for one, other in zip(map(seen, before), map(seen, after), strict=True):
        assert len(one) > 30
        assert [words(each) for each in one] == [words(each) for each in other]
        for first, second in zip(one, other, strict=True):
            assert_allclose(numbers(first), numbers(second), atol=0.1)


@pytest.mark.parametrize(
    ("course", "short"),
    [
        ("M 1 2 L 3 2 L 3 4 L 1 2 z", "M1 2H3V4L1 2z"),
        ("M 1 2 C 3 4 5 6 7 8 L 7 9", "M1 2C3 4 5 6 7 8V9"),
        ("M 1 2 Q 1 9 3 4 L 1 9", "M1 2Q1 9 3 4L1 9"),
        ("M 1 2 L 3 4 z L 3 6", "M1 2L3 4zL3 6"),
        ("M 1 2 L 4 2 5 2 L 5 3", "M1 2L4 2 5 2V3"),
        ("M 10.121 2 L 10.123 3", "M10.12 2V3"),
    ],
)
def test_level_and_upright_lines_need_one_number(course, short):
    style = f"<style>{OF_MATPLOTLIB}</style>"
    svg = '<svg viewBox="0 0 9 9">{}<path d="{}"/></svg>'
    assert thinned(svg.format(style, course)) == svg.format(style, short)


def test_letters_and_words_that_stand_again_are_written_once(pages):
    before, after = pages
    assert len(after) < 0.6 * len(before)
    glyphs = re.findall(r'<path id="[^"]*" (d="[^"]*"[^<>]*)/>', after)
    assert len(glyphs) == len(set(glyphs))
    ids = re.findall(r' id="([^"]*)"', after)
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'href="#([^"]*)"', after))
    assert used <= set(ids)


def test_a_drawing_taken_out_stands_alone(pages):
    for text in files(pages[1]):
        root = ElementTree.fromstring(text)
        ids = {each.get("id") for each in root.iter()}
        assert {each.get(LINK)[1:] for each in root.iter() if each.get(LINK)} <= ids
        assert "<use href" not in text
    second = re.findall(r"<svg.*?</svg>", pages[1], re.DOTALL)[1]
    assert whole(second, pages[1]) == list(figures_in(pages[1]))[1][1]


def test_figures_are_named_by_their_first_sentence(pages):
    assert [title for title, _ in figures_in(pages[1])] == ["Saper walking", "Aasa walking"]


def test_drawings_of_others_are_only_rounded():
    other = (
        '<svg viewBox="0 0 9 9"><style>g > path {fill: red}</style><g> <path d="M 10.23456 1 "/>'
        "</g><text>1.00  2</text></svg>"
    )
    assert thinned(other) == other.replace("10.23456", "10.23")


@pytest.mark.parametrize(
    ("number", "short"),
    [("10.23456", "10.23"), ("9.876543", "9.876"), ("0.123456", "0.123456"), ("9.87", "9.87")],
)
def test_a_place_keeps_four_digits(number, short):
    drawn = f'<svg viewBox="0 0 9 9"><path d="M {number} -{number}"/></svg>'
    assert thinned(drawn) == drawn.replace(number, short)
