"""Make a fragment of HTML or SVG safe to stand in a page that asks nothing of the outside.

The fragment is read as a browser reads it and only what is known to be harmless is kept: text,
tables, drawings, formulae and links a reader may follow. Ids are numbered in the order they
appear, so that fragments do not clash and libraries' random ids do not change a page from run
to run.
"""

from __future__ import annotations

import re
from base64 import b64decode

import nh3

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
EMBEDDED_IMAGE = re.compile(r"data:(image/(?:png|jpeg|gif|webp));base64,([A-Za-z0-9+/=\s]+)\Z")
FOLLOWED_LINK = re.compile(r"(https?://|mailto:|(?!//)[\w./-]+\.html\b)", re.IGNORECASE)
BEGINNINGS = {
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/gif": re.compile(rb"GIF8[79]a"),
    "image/webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
}
"""What a picture of each kind that may stand in a page begins with."""

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
    return _cleaned(markup, _Fragment(markup, prefix))


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
                return value if tag == "img" and _is_picture(value) else None
            case _ if name in POINTING:
                return " ".join(map(self.numbered, value.split()))
            case _ if name in PAINTING:
                return self.style(value)
        return value

    def link(self, tag: str, value: str) -> str | None:
        """Links to elsewhere may only be followed by readers, not by their browser."""
        if value.startswith("#"):
            return "#" + self.numbered(value[1:])
        if tag == "a":
            return value if FOLLOWED_LINK.match(value) else None
        return value if tag == "image" and _is_picture(value) else None

    def style(self, text: str) -> str:
        """Take out of a style what fetches, and let it point to the numbered ids."""
        return REFERENCE.sub(lambda m: "#" + self.numbered(m[1]), OUTSIDE.sub("", text))

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


def _is_picture(address: str) -> bool:
    embedded = EMBEDDED_IMAGE.match(address)
    return embedded is not None and picture(embedded[1], embedded[2]) is not None
