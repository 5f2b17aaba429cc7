"""Make a fragment of HTML or SVG safe to stand in a page that asks nothing of the outside.

The fragment is read as a browser reads it and only what is known to be harmless is kept: text,
tables, drawings, formulae and links a reader may follow. Ids are numbered in the order they
appear, so that fragments do not clash and libraries' random ids do not change a page from run
to run.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator
from functools import lru_cache
from html import escape, unescape
from typing import Any
from urllib.parse import quote, unquote

import nh3
import tinycss2

HTML_TAGS = """
a abbr address article aside b bdi bdo blockquote br caption cite code col colgroup dd del details
dfn div dl dt em figcaption figure footer h1 h2 h3 h4 h5 h6 header hgroup hr i img ins kbd li mark
ol p pre q rp rt ruby s samp section small span strong style sub summary sup table tbody td tfoot
th thead time tr u ul var wbr
"""
SVG_TAGS = """
svg circle clipPath defs desc ellipse filter feBlend feColorMatrix feComposite feFlood
feGaussianBlur feMerge feMergeNode feOffset g image line linearGradient marker mask path pattern
polygon polyline radialGradient rect stop switch symbol text textPath title tspan use
"""
MATHML_TAGS = """
math annotation maction menclose merror mfrac mi mmultiscripts mn mo mover mpadded mphantom
mprescripts mroot mrow ms mspace msqrt mstyle msub msubsup msup mtable mtd mtext mtr munder
munderover none semantics
"""
TAGS = {*HTML_TAGS.split(), *SVG_TAGS.split(), *MATHML_TAGS.split()}

REMOVED_WITH_CONTENT = {
    *("script", "iframe", "frame", "frameset", "object", "embed", "applet", "portal", "noscript"),
    *("form", "button", "textarea", "select", "option", "audio", "video", "template", "canvas"),
    *("foreignObject", "animate", "set", "handler", "metadata", "xmp", "noembed", "noframes"),
}

HTML_ATTRIBUTES = """
abbr align alt axis border cellpadding cellspacing char cite class colspan datetime dir disabled
headers height hidden href hreflang id lang loading open reversed role rowspan scope span src
start style tabindex title translate type valign value width
"""
SVG_ATTRIBUTES = """
alignment-baseline baseline-shift clip clip-path clip-rule clipPathUnits color color-interpolation
cx cy d direction display dominant-baseline dx dy fill fill-opacity fill-rule filter filterUnits
flood-color flood-opacity focusable font-family font-size font-style font-variant font-weight fx
fy gradientTransform gradientUnits in in2 k1 k2 k3 k4 letter-spacing marker-end marker-mid
marker-start markerHeight markerUnits markerWidth mask maskContentUnits maskUnits mode offset
opacity operator orient overflow patternContentUnits patternTransform patternUnits points
preserveAspectRatio primitiveUnits r refX refY result rotate rx ry shape-rendering spreadMethod
startOffset stdDeviation stop-color stop-opacity stroke stroke-dasharray stroke-dashoffset
stroke-linecap stroke-linejoin stroke-miterlimit stroke-opacity stroke-width text-anchor
text-decoration text-rendering textLength transform values vector-effect version viewBox
visibility word-spacing x x1 x2 xmlns y y1 y2
"""
MATHML_ATTRIBUTES = """
accent accentunder columnalign columnlines columnspacing depth displaystyle encoding fence frame
largeop linethickness lspace mathbackground mathcolor mathsize mathvariant maxsize minsize
movablelimits notation rowalign rowlines rowspacing rspace scriptlevel separator stretchy
symmetric voffset
"""
ATTRIBUTES = {*HTML_ATTRIBUTES.split(), *SVG_ATTRIBUTES.split(), *MATHML_ATTRIBUTES.split()}


POINTING = {"headers", "aria-labelledby", "aria-describedby", "aria-controls"}
PAINTING = {
    *("style", "fill", "stroke", "clip-path", "mask", "filter"),
    *("marker-start", "marker-mid", "marker-end"),
}
LOOKED_AT = {"id", "href", "src"} | POINTING | PAINTING
"""Attributes whose values are not kept as they are."""

EMBEDDED_IMAGE = re.compile(
    r"data:(image/(?:png|jpeg|gif|webp|svg\+xml));base64,([A-Za-z0-9+/=\s]+)\Z"
)
FOLLOWED_LINK = re.compile(r"(https?://|mailto:|(?!//)[\w./-]+\.html\b)", re.IGNORECASE)
BEGINNINGS = {
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/gif": re.compile(rb"GIF8[79]a"),
    "image/webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "image/svg+xml": re.compile(
        rb"\s*(?:\xef\xbb\xbf)?(?:<\?xml[^>]*>|<!--.*?-->|<!DOCTYPE[^>]*>|\s)*<svg[\s>]", re.DOTALL
    ),
}
"""What a picture of each kind that may stand in a page begins with."""

OUTSIDE = re.compile(
    r"@import[^;]*;?|(?:url|image|image-set|src)\((?!\s*['\"]?#)[^)]*\)|expression\(|\\"
    r"|position\s*:\s*(?:fixed|sticky)[^;]*",
    re.IGNORECASE,
)
NOT_SHOWN = "data:,"
"""What the address of an image begins with that is not shown; what it was follows."""

EMPTY_IMAGE = re.compile(r'<img\b(?![^>]*\ssrc="data:image/)[^>]*>')
ALT = re.compile(r'\salt="([^"]*)"')
ADDRESS = re.compile(rf'\ssrc="{NOT_SHOWN}([^"]*)"')
LONGEST_ADDRESS = 300
GONE = re.compile(
    r"<(iframe|frame|object|embed|applet|portal|audio|video|canvas)\b([^>]*)>", re.IGNORECASE
)
ITS_ADDRESS = re.compile(r"""\b(?:src|data)\s*=\s*["']?((?!data:|blob:)[^"'\s>]+)""", re.IGNORECASE)
IN_WORDS = {
    **dict.fromkeys(("iframe", "frame", "portal"), "another page"),
    **dict.fromkeys(("object", "embed", "applet"), "an object of another program"),
    **{"audio": "a sound", "video": "a film", "canvas": "a drawing made by a script"},
}
MOST_GONE = 5
PLACED = re.compile(
    r"""\sstyle="[^"]*\b(?:position|transform|translate|scale|margin|inset|z-index)""",
    re.IGNORECASE,
)
"""What could move a part of a page out of its place."""

STYLE_SHEET = re.compile(r"(<style[^>]*>)(.*?)(</style>)", re.DOTALL)
ID = re.compile(r"""id\s*=\s*["']?([^"'\s>]+)""")
REFERENCE = re.compile(r"#([A-Za-z_][\w.-]*)")


def clean(markup: str, prefix: str) -> str:
    """Clean a fragment; its ids become `prefix` and a number.

    Parameters
    ----------
    markup : str
        HTML, or an SVG document with its prolog.
    prefix : str
        What its ids begin with; unlike that of any other fragment of the page.
    """
    cleaned = _cleaned(markup, _Fragment(markup, prefix))
    if "<style" in cleaned or PLACED.search(cleaned):
        cleaned = f'<div class="scoped" id="{prefix}s">{cleaned}</div>'
    gone = list(dict.fromkeys(_what_is_gone(markup)))[:MOST_GONE]
    return "\n".join([cleaned, *gone]) if gone else cleaned


def clean_whole(body: str) -> str:
    """Clean a page's body once more, as one; ids and what points to them stay as they are."""
    return _cleaned(body, _Whole(body, ""))


def picture(kind: str, data: str) -> bytes | None:
    """Return a picture's bytes; None if the data are not base64 of a picture of that kind.

    Parameters
    ----------
    kind : str
        Its media type.
    data : str
    """
    try:
        if kind == "image/svg+xml" and data.lstrip().startswith("<"):
            content = data.encode()
        else:
            content = b64decode("".join(data.split()), validate=True)
    except (ValueError, AttributeError):
        return None
    beginning = BEGINNINGS.get(kind)
    return content if beginning and beginning.match(content) else None


def _cleaned(markup: str, fragment: _Fragment) -> str:
    cleaned = nh3.clean(
        markup,
        tags=TAGS,
        clean_content_tags=REMOVED_WITH_CONTENT,
        attributes={"*": ATTRIBUTES},
        generic_attribute_prefixes={"aria-"},
        attribute_filter=fragment.attribute,
        url_schemes={"http", "https", "mailto", "data"},
        link_rel=None,
    )
    if "<style" in cleaned:
        cleaned = STYLE_SHEET.sub(lambda m: m[1] + fragment.sheet(m[2]) + m[3], cleaned)
    return EMPTY_IMAGE.sub(_said_of, cleaned).strip()


def _said_of(image: re.Match[str]) -> str:
    """Say which picture is not shown, and why."""
    alt, found = ALT.search(image[0]), ADDRESS.search(image[0])
    address = unquote(unescape(found[1])) if found else ""
    name = alt[1] if alt and alt[1].strip() else ""
    if re.match(r"https?://", address, re.IGNORECASE):
        link = f'<a href="{escape(address)}">{name or escape(address)}</a>'
        said = f"A picture from elsewhere, which this page does not fetch: {link}"
    elif address and not address.lower().startswith(("data:", "attachment:", "//")):
        said = f"A picture that was not found: {name or 'without a name'} ({escape(address)})"
    else:
        said = f"A picture that cannot be shown: {name or 'without a name'}"
    return f'<span class="missing">{said}</span>'


def _what_is_gone(markup: str) -> Iterator[str]:
    """Say what stood in a fragment that no page can hold."""
    for found in GONE.finditer(markup):
        address = ITS_ADDRESS.search(found[2])
        where = f" ({escape(unescape(address[1])[:LONGEST_ADDRESS])})" if address else ""
        said = f"Here stood {IN_WORDS[found[1].lower()]}{where}, which this page cannot show."
        yield f'<p class="missing">{said}</p>'


class _Fragment:
    """What becomes of one fragment's attributes and style sheets."""

    def __init__(self, markup: str, prefix: str):
        self.ids = set(ID.findall(markup))
        self.prefix = prefix
        self.numbers: dict[str, str] = {}

    def attribute(self, tag: str, name: str, value: str) -> str | None:
        """Return the value an attribute shall have, or None if it must go."""
        if name not in LOOKED_AT:
            return value
        match name:
            case "id":
                self.ids.add(value)
                return self.numbered(value)
            case "href":
                return self.link(tag, value)
            case "src":
                if tag != "img":
                    return None
                named = NOT_SHOWN + quote(value[:LONGEST_ADDRESS], safe="")
                return value if _is_picture(value) or value.startswith(NOT_SHOWN) else named
            case _ if name in POINTING:
                return " ".join(map(self.numbered, value.split()))
        return self.style(value)

    def link(self, tag: str, value: str) -> str | None:
        """Links to elsewhere may only be followed by readers, not by their browser."""
        if value.startswith("#"):
            return "#" + self.numbered(value[1:])
        if tag == "a":
            return value if FOLLOWED_LINK.match(value) else None
        return value if tag == "image" and _is_picture(value) else None

    def style(self, text: str) -> str:
        """Take out of a style what fetches, and let it point to the numbered ids."""
        return REFERENCE.sub(lambda m: "#" + self.numbered(m[1]), _without_outside(text))

    def sheet(self, text: str) -> str:
        """Let a style sheet rule its own fragment and nothing else of the page."""
        return scoped(self.style(text), f":where(#{self.prefix}s)")

    def numbered(self, name: str) -> str:
        """Return the new name of an id; what is no id of this fragment stays."""
        if name not in self.ids:
            return name
        return self.numbers.setdefault(name, f"{self.prefix}{len(self.numbers) + 1}")


class _Whole(_Fragment):
    """Of a page's body, whose fragments' ids are numbered already."""

    def numbered(self, name: str) -> str:
        """Leave an id as it is."""
        return name

    def sheet(self, text: str) -> str:
        """Leave a style sheet to its fragment."""
        return self.style(text)


def scoped(sheet: str, within: str) -> str:
    """Write a style sheet anew so that it rules only what stands within an element.

    Rules of ``html`` and ``body`` go, those of ``:root`` keep their variables; rules within rules
    and all at-rules but ``@media`` and ``@supports`` go.

    Parameters
    ----------
    sheet : str
    within : str
        A selector of the element.
    """
    return _scoped(sheet).replace(WITHIN, within)


WITHIN = "\0"
"""What no style sheet holds once it has been read (CSS Syntax Level 3, 3.3)."""


@lru_cache(maxsize=100)
def _scoped(sheet: str) -> str:
    """Scope a style sheet to `WITHIN`; most tables of a page have the same."""
    rules = tinycss2.parse_stylesheet(sheet, skip_comments=True, skip_whitespace=True)
    return " ".join(filter(None, map(_scoped_rule, rules)))


def _scoped_rule(rule: Any) -> str:
    if rule.type == "at-rule" and rule.lower_at_keyword in ("media", "supports") and rule.content:
        inner = tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True)
        rules = " ".join(filter(None, map(_scoped_rule, inner)))
        return f"@{rule.lower_at_keyword}{tinycss2.serialize(rule.prelude)}{{{rules}}}"
    if rule.type != "qualified-rule":
        return ""
    found = tinycss2.parse_blocks_contents(rule.content, skip_comments=True, skip_whitespace=True)
    said = [each for each in found if each.type == "declaration"]
    selectors = [_scoped_selector(part) for part in _parts(rule.prelude)]
    if selectors == [WITHIN]:
        said = [each for each in said if each.name.startswith("--")]
    kept = ", ".join(filter(None, selectors))
    body = "; ".join(each.serialize().rstrip("; ") for each in said)
    return f"{kept} {{ {body} }}" if kept and body else ""


def _parts(prelude: list[Any]) -> Iterator[list[Any]]:
    """Split a rule's selectors at their commas."""
    part: list[Any] = []
    for token in prelude:
        if token == ",":
            yield part
            part = []
        else:
            part.append(token)
    yield part


def _scoped_selector(tokens: list[Any]) -> str:
    if any(token.type == "error" for token in tokens):
        return ""
    text = tinycss2.serialize(tokens).strip()
    if text == ":root":
        return WITHIN
    if not text or re.match(r"[+~]|(?:html|body|:root|:host)\b", text, re.IGNORECASE):
        return ""
    return f"{WITHIN} {text}"


@lru_cache(maxsize=1000)
def _without_outside(style: str) -> str:
    """Take out what fetches, until what stood around it makes no new one either."""
    while (less := OUTSIDE.sub("", style)) != style:
        style = less
    return style


def _is_picture(address: str) -> bool:
    embedded = EMBEDDED_IMAGE.match(address)
    return embedded is not None and picture(embedded[1], embedded[2]) is not None
