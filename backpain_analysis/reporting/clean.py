"""Make a fragment of HTML or SVG safe to stand in a page that asks nothing of the outside.

Scripts and anything a browser would fetch or run are taken out; what stays is text, tables,
drawings and links a reader may follow. Ids are numbered in the order they appear, so that
fragments do not clash and libraries' random ids do not change a page from run to run.
"""

from __future__ import annotations

import re

from bs4 import BeautifulSoup, Comment, Declaration, Doctype, ProcessingInstruction, Tag

FORBIDDEN = [
    *("script", "iframe", "frame", "frameset", "object", "embed", "applet", "portal"),
    *("link", "meta", "base", "form", "input", "button", "textarea", "select"),
    *("audio", "video", "source", "track", "template", "noscript", "foreignobject"),
    *("animate", "set", "handler", "metadata"),
]
FETCHING = {"src", "srcset", "data", "poster", "background", "action", "formaction", "ping"}
POINTING = ("for", "headers", "list", "aria-labelledby", "aria-describedby", "aria-controls")
EMBEDDED_IMAGE = re.compile(r"data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]+\Z")
FOLLOWED_LINK = re.compile(r"(https?://|mailto:|#|[\w./-]+\.html\b)", re.IGNORECASE)
OUTSIDE_STYLE = re.compile(r"@import[^;]*;?|url\((?!\s*['\"]?#)[^)]*\)|expression\(", re.IGNORECASE)
XML_PROLOG = re.compile(r"\A\s*<\?xml.*?\?>", re.DOTALL)
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
    soup = BeautifulSoup(XML_PROLOG.sub("", markup), "html.parser")
    for node in soup.find_all(string=_is_no_content):
        node.extract()
    for tag in soup.find_all(FORBIDDEN):
        tag.decompose()
    for tag in soup.find_all(True):
        _clean_attributes(tag)
        if tag.name == "style":
            tag.string = OUTSIDE_STYLE.sub("", tag.string or "")
    _number_ids(soup, prefix)
    return soup.decode(formatter="minimal").strip()


def _is_no_content(text: str) -> bool:
    return isinstance(text, Comment | Declaration | Doctype | ProcessingInstruction)


def _clean_attributes(tag: Tag) -> None:
    for name, value in list(tag.attrs.items()):
        key = name.lower()
        if key.startswith("on") or (key in FETCHING and not _is_image(tag, key, value)):
            del tag[name]
        elif key in ("href", "xlink:href") and not _may_point(tag, value):
            del tag[name]
        elif key == "style":
            tag[name] = OUTSIDE_STYLE.sub("", value)


def _is_image(tag: Tag, key: str, value: str) -> bool:
    return tag.name == "img" and key == "src" and bool(EMBEDDED_IMAGE.match(value))


def _may_point(tag: Tag, value: str) -> bool:
    if tag.name == "a":
        return bool(FOLLOWED_LINK.match(value))
    return value.startswith("#") or (tag.name == "image" and bool(EMBEDDED_IMAGE.match(value)))


def _number_ids(soup: BeautifulSoup, prefix: str) -> None:
    numbered = {
        str(tag["id"]): f"{prefix}{number}"
        for number, tag in enumerate(soup.find_all(id=True), start=1)
    }

    def renamed(match: re.Match[str]) -> str:
        return "#" + numbered.get(match[1], match[1])

    for tag in soup.find_all(True):
        for name, value in list(tag.attrs.items()):
            if name == "id":
                tag[name] = numbered[str(value)]
            elif name in POINTING:
                words = value if isinstance(value, list) else value.split()
                tag[name] = " ".join(numbered.get(word, word) for word in words)
            elif isinstance(value, str) and "#" in value:
                tag[name] = REFERENCE.sub(renamed, value)
        if tag.name == "style":
            tag.string = REFERENCE.sub(renamed, tag.string or "")
