"""Make a fragment of HTML or SVG safe to stand in a page that asks nothing of the outside.

The fragment is read as a browser reads it and only what is known to be harmless is kept: text,
tables, drawings, formulae and links a reader may follow. Ids are numbered in the order they
appear, so that fragments do not clash and libraries' random ids do not change a page from run
to run.
"""

from __future__ import annotations

import re

import nh3

from backpain_analysis.reporting.allowed import ATTRIBUTES, REMOVED_WITH_CONTENT, TAGS

POINTING = {"headers", "aria-labelledby", "aria-describedby", "aria-controls"}
PAINTING = {
    *("style", "fill", "stroke", "clip-path", "mask", "filter"),
    *("marker-start", "marker-mid", "marker-end"),
}
EMBEDDED_IMAGE = re.compile(r"data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]+\Z")
FOLLOWED_LINK = re.compile(r"(https?://|mailto:|[\w./-]+\.html\b)", re.IGNORECASE)
OUTSIDE = re.compile(
    r"@import[^;]*;?|(?:url|image|image-set|src)\((?!\s*['\"]?#)[^)]*\)|expression\(|\\",
    re.IGNORECASE,
)
EMPTY_IMAGE = re.compile(r"<img\b(?![^>]*\ssrc=)[^>]*>")
ALT = re.compile(r'\salt="([^"]*)"')
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
    fragment = _Fragment(markup, prefix)
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
        cleaned = STYLE_SHEET.sub(lambda m: m[1] + fragment.style(m[2]) + m[3], cleaned)
    return EMPTY_IMAGE.sub(_said_of, cleaned).strip()


def _said_of(image: re.Match[str]) -> str:
    """Return what an image without a picture says of itself."""
    alt = ALT.search(image[0])
    return alt[1] if alt else ""


class _Fragment:
    """What becomes of one fragment's attributes and style sheets."""

    def __init__(self, markup: str, prefix: str):
        self.ids = set(ID.findall(markup))
        self.prefix = prefix
        self.numbers: dict[str, str] = {}

    def attribute(self, tag: str, name: str, value: str) -> str | None:
        """Return the value an attribute shall have, or None if it must go."""
        match name:
            case "id":
                self.ids.add(value)
                return self.numbered(value)
            case "href":
                return self.link(tag, value)
            case "src":
                return value if tag == "img" and EMBEDDED_IMAGE.match(value) else None
            case _ if name in POINTING:
                return " ".join(map(self.numbered, value.split()))
            case _ if name in PAINTING:
                return self.style(value)
        return value

    def link(self, tag: str, value: str) -> str | None:
        """Links to elsewhere may only be followed by readers, not by their browser."""
        if value.startswith("#"):
            return "#" + self.numbered(value[1:])
        allowed = {"a": FOLLOWED_LINK, "image": EMBEDDED_IMAGE}.get(tag)
        return value if allowed and allowed.match(value) else None

    def style(self, text: str) -> str:
        """Take out of a style what fetches, and let it point to the numbered ids."""
        return REFERENCE.sub(lambda m: "#" + self.numbered(m[1]), OUTSIDE.sub("", text))

    def numbered(self, name: str) -> str:
        """Return the new name of an id; what is no id of this fragment stays."""
        if name not in self.ids:
            return name
        return self.numbers.setdefault(name, f"{self.prefix}{len(self.numbers) + 1}")
