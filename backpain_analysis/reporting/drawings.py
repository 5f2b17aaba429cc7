"""Drawings of a page: written short, and taken out whole as files.

Nearly all of a drawing of matplotlib is its letters, each a shape of its own; so letters are
written in few characters, and a shape that several drawings of a page have stands there once. A
drawing that is taken out gets back what it borrowed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from html import unescape

from backpain_analysis.reporting.clean import clean

TO_END = r"[^<]*+(?:<(?!/svg>)[^<]*+)*+</svg>"
"""The rest of a drawing, found many times faster than by ``.*?</svg>``."""

SVG = re.compile(rf"<svg\b{TO_END}")
SHAPE = re.compile(
    r"<(?:path|use|g|rect|circle|line|text|tspan|polyline|polygon|clipPath)\b"
    r"[^<>.]*+(?:\.(?!\d{3})[^<>.]*+)*+\.\d{3}[^<>]*+>"
)
GEOMETRY = re.compile(r' (?:d|x|y|x[12]|y[12]|cx|cy|r|points|transform|width|height)="[^"]*"')
EXACT = re.compile(r"(\.(?:(?<=\d\d\.)\d\d|(?<=[1-9]\.)(?<!\d\d\.)\d{3}))\d+")
EMPTY = re.compile(r"></(?:use|path|rect|circle|line)>")
OF_MATPLOTLIB = "stroke-linejoin: round; stroke-linecap: butt"
LETTER = re.compile(
    r'<use xlink:href="(#[^"]*)" transform="translate\((-?\d+(?:\.\d{1,2})?)\d* 0\)"/>'
)
COURSE = re.compile(r' d="([^"]*)"')
STYLE = re.compile(r' style="(?:fill|stroke)[^"]*"')
TWICE = re.compile(r"#([0-9a-f])\1([0-9a-f])\2([0-9a-f])\3(?![0-9a-f])")
STEP = re.compile(r"([A-Za-z])([^A-Za-z]*)")
GROUP = re.compile(r"<g\b[^<>]*(?<!/)>|</g>")
BETWEEN = re.compile(r">\s+(?=</?(?:path|use|g|defs|clipPath|rect)\b)")
GLYPH = re.compile(r'<path id="([^"]*)" (d="[^"]*"[^<>]*)/>')
WORD = re.compile(r'((?:<use href="#[^"]*+"(?: x="[^"]*+")?+/>){2,}+)')
NAMED_WORD = re.compile(r'<g id="(x0-\d+)">(?:<use href="#[^"]*"(?: x="[^"]*")?/>)+</g>')
SHORTEST = 50
LENT = re.compile(r'<use href="#([^"]*)"')

FIGURE = re.compile(rf'(?:aria-label="(?P<alt>[^"]*)"[^>]*>\s*)?(?P<svg><svg\b{TO_END})')
ALT_TEXT = re.compile(r'\baria-label="([^"]*)"')
FIRST = re.compile(r"(.*?[^.\d])[.:](?:\s|$)", re.DOTALL)
OWN_STYLE = re.compile(r":where\(#[\w-]+\) ")
CONTENT = re.compile(r"<svg\b[^>]*>([^<]*+(?:<(?!/svg>)[^<]*+)*+)</svg>")
VIEW_BOX = re.compile(r'<svg\b[^>]*\bviewBox="([^"]+)"')
LONG_NUMBER = re.compile(r"(\d\.\d)\d+")
PLACES = re.compile(r' (?:d|x|y|points)="[^"]*"')
NAMESPACES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'


def thinned(body: str) -> str:
    """Write the drawings of a clean body shorter; what a reader sees stays as it is."""
    glyphs: dict[str, str] = {}

    def thin(found: re.Match[str]) -> str:
        svg = EMPTY.sub("/>", found[0])
        if OF_MATPLOTLIB not in svg:
            return SHAPE.sub(_rounded, svg)
        svg = LETTER.sub(lambda use: f'<use href="{use[1]}" x="{use[2]}"/>', svg)
        svg = svg.replace("<use xlink:href=", "<use href=")
        return _short(SHAPE.sub(_rounded, _sharing(svg, glyphs)))

    return _words_once(SVG.sub(thin, body))


def _words_once(body: str) -> str:
    """Write a word of letters once, and use it wherever it stands again."""
    pieces = WORD.split(body)
    counts = Counter(pieces[1::2])
    names: dict[str, str] = {}

    def once(word: str) -> str:
        if counts[word] < 2 or len(word) < SHORTEST:
            return word
        if word in names:
            return f'<use href="#{names[word]}"/>'
        names[word] = f"x0-{len(names)}"
        return f'<g id="{names[word]}">{word}</g>'

    pieces[1::2] = map(once, pieces[1::2])
    return "".join(pieces)


def _rounded(tag: re.Match[str]) -> str:
    """No place needs more than two decimals."""
    return GEOMETRY.sub(lambda attribute: EXACT.sub(lambda places: places[1], attribute[0]), tag[0])


def _short(svg: str) -> str:
    svg = STYLE.sub(_plain, COURSE.sub(_close, svg))
    return BETWEEN.sub(">", _without_bare_groups(svg))


def _without_bare_groups(svg: str) -> str:
    bare: list[bool] = []

    def kept(tag: re.Match[str]) -> str:
        if tag[0] == "</g>":
            return "" if bare and bare.pop() else tag[0]
        bare.append(tag[0] == "<g>")
        return "" if bare[-1] else tag[0]

    return GROUP.sub(kept, svg)


def _close(course: re.Match[str]) -> str:
    """Commands of a path need no space around them; a level or upright line needs one number."""
    steps: list[str] = []
    before = ["", ""]
    for command, numbers in STEP.findall(course[1]):
        ends = numbers.split()
        here = ends[-2:] if command in "MLQC" else ["", ""]
        if command == "L" and len(ends) == 2 and here[1] == before[1]:
            steps += "H", here[0]
        elif command == "L" and len(ends) == 2 and here[0] == before[0]:
            steps += "V", here[1]
        else:
            steps += command, numbers.strip()
        before = here
    return f' d="{"".join(steps)}"'


def _plain(style: re.Match[str]) -> str:
    text = style[0].replace(": ", ":").replace("; ", ";")
    return TWICE.sub(r"#\1\2\3", text)


def _sharing(svg: str, known: dict[str, str]) -> str:
    """Leave out the shapes that an earlier drawing of the page has, and use them from there."""
    borrowed: dict[str, str] = {}

    def once(glyph: re.Match[str]) -> str:
        if (first := known.setdefault(glyph[2], glyph[1])) == glyph[1]:
            return glyph[0]
        borrowed[glyph[1]] = first
        return ""

    svg = GLYPH.sub(once, svg)
    return LENT.sub(lambda use: f'<use href="#{borrowed.get(use[1], use[1])}"', svg)


def figures_in(body: str) -> Iterator[tuple[str, str]]:
    """Find the drawings of a page or its body: what each says, and its markup, whole."""
    lent = _lent_in(body)
    for figure in FIGURE.finditer(body):
        own = ALT_TEXT.search(figure["svg"].partition(">")[0])
        said = figure["alt"] or (own[1] if own else "Figure")
        yield title_of(said), _with_borrowed(figure["svg"], lent)


def whole(markup: str, page: str) -> str:
    """Return a drawing of a page with what it borrows from others of it."""
    return _with_borrowed(markup, _lent_in(page))


def _lent_in(page: str) -> dict[str, str]:
    """The shapes and words of a page by their ids."""
    return {found[1]: found[0] for kind in (GLYPH, NAMED_WORD) for found in kind.finditer(page)}


def _with_borrowed(svg: str, lent: dict[str, str]) -> str:
    own, start = _lent_in(svg), svg.index(">") + 1
    shapes: dict[str, str] = {}
    asked = LENT.findall(svg)
    while asked:
        name = asked.pop()
        if name in lent and name not in own and name not in shapes:
            shapes[name] = lent[name]
            asked += LENT.findall(lent[name])
    defs = f"<defs>{''.join(shapes[name] for name in sorted(shapes))}</defs>" if shapes else ""
    return f"{svg[:start]}{defs}{svg[start:]}".replace("<use href=", "<use xlink:href=")


def title_of(alt: str) -> str:
    """The first sentence of an alternative text."""
    text = " ".join(unescape(alt).split())
    first = FIRST.match(text)
    return first[1] if first else text.rstrip(".")


def drawing_of(markup: str, *, rounded: bool = False) -> bytes | None:
    """Take a drawing out of a page, as a file of its own; None if there is none.

    Parameters
    ----------
    markup : str
        As it came; it is cleaned.
    rounded : bool
        Whether things may be placed to a tenth of a unit.
    """
    return as_file(clean(markup, "f"), rounded=rounded)


def as_file(cleaned: str, *, rounded: bool = False) -> bytes | None:
    """Write a clean drawing as a file of its own; None if it is none."""
    cleaned = OWN_STYLE.sub("", cleaned)
    box, drawing = VIEW_BOX.search(cleaned), CONTENT.search(cleaned)
    if not (box and drawing):
        return None
    content = drawing[1]
    if rounded:
        content = PLACES.sub(lambda found: LONG_NUMBER.sub(r"\1", found[0]), content)
    content = content.replace("&nbsp;", "\u00a0")
    return f'<svg {NAMESPACES} viewBox="{box[1]}">{content}</svg>\n'.encode()
