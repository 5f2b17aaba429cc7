"""A small picture of a report: its first figure, as a file of its own."""

from __future__ import annotations

import base64
import re
from typing import NamedTuple

import nbformat

from backpain_analysis.reporting.clean import clean

DRAWING = re.compile(r"<svg\b[^>]*>(.*?)</svg>", re.DOTALL)
VIEW_BOX = re.compile(r'<svg\b[^>]*\bviewBox="([^"]+)"')
LONG_NUMBER = re.compile(r"(\d\.\d)\d+")
GEOMETRY = re.compile(r' (?:d|x|y|points)="[^"]*"')
NAMESPACES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'


class Thumbnail(NamedTuple):
    """A picture: `kind` is the ending of its file."""

    kind: str
    content: bytes


def thumbnail(nb: nbformat.NotebookNode) -> Thumbnail | None:
    """Make a picture of an executed notebook's first figure; None if it has none."""
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            drawn = data.get("image/svg+xml") or data.get("text/html", "")
            if "<svg" in drawn and (drawing := _drawing(drawn)):
                return Thumbnail("svg", drawing)
            if "image/png" in data:
                return Thumbnail("png", base64.b64decode(data["image/png"]))
    return None


def _drawing(markup: str) -> bytes | None:
    """Take a drawing out of a page; what is drawn is placed to a tenth of a unit."""
    cleaned = clean(markup, "f")
    box, drawing = VIEW_BOX.search(cleaned), DRAWING.search(cleaned)
    if not (box and drawing):
        return None
    content = GEOMETRY.sub(lambda found: LONG_NUMBER.sub(r"\1", found[0]), drawing[1])
    content = content.replace("&nbsp;", "\u00a0")
    return f'<svg {NAMESPACES} viewBox="{box[1]}">{content}</svg>\n'.encode()
