"""Pictures that a notebook names: found before it runs, and put into it when it has run."""

from __future__ import annotations

import hashlib
import html
import io
import os
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from backpain_analysis.reporting.clean import picture
from backpain_analysis.reporting.schemas import nbformat

KINDS = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
}
NAMED = re.compile(
    r"""<img\b[^>]*?\bsrc\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))"""
    r"""|!\[[^\]]*\]\(\s*(?:<([^>\n]*)>|([^\s)]+))"""
    r"""|^\s{0,3}\[[^\]\n]+\]:\s*(?:<([^>\n]*)>|(\S+))""",
    re.IGNORECASE | re.MULTILINE,
)
"""Where HTML and Markdown name a picture."""

SOURCE = re.compile(r"""(<img\b[^>]*?\bsrc\s*=\s*)(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.I)
NOTE = "backpain_pictures"
"""Notes in a cell's metadata which of its attachments are from files."""

SVG_SIZE = re.compile(rb'<svg\b[^>]*?\bwidth="([\d.]+)(?:px)?"[^>]*?\bheight="([\d.]+)(?:px)?"')


def named_in(sources: Iterable[str]) -> Iterator[str]:
    """Yield the addresses of pictures that Markdown or HTML names, but for those elsewhere."""
    for source in sources:
        for found in NAMED.finditer(source):
            address = html.unescape(next(filter(None, found.groups()), ""))
            if _is_file(address):
                yield address


def beside(notebook: Path, sources: Iterable[str]) -> dict[str, Path]:
    """Find the pictures that a notebook's prose names.

    Parameters
    ----------
    notebook : Path
    sources : iterable of str
        Its Markdown cells.

    Returns
    -------
    dict of str to Path
        Files by their place in a run's folder.
    """
    found = {}
    for address in named_in(sources):
        for name in dict.fromkeys([address, unquote(address)]):
            path = Path(os.path.normpath(notebook.parent / Path(name)))
            if path.suffix.lower() in KINDS and path.is_file():
                found[_place(name)] = path
    return found


def put_in(nb: nbformat.NotebookNode, folder: Path, most_bytes: float) -> nbformat.NotebookNode:
    """Put the pictures that an executed notebook names into it.

    Those of its prose become attachments of their cells, those of its outputs stand in their
    addresses; what is no picture, or too large, is left named.

    Parameters
    ----------
    nb : NotebookNode
        Changed.
    folder : Path
        Where it ran.
    most_bytes : float
        The largest picture that is taken.
    """

    def read(address: str) -> tuple[str, str] | None:
        for name in dict.fromkeys([address, unquote(address)]):
            kind = KINDS.get(Path(name).suffix.lower(), "")
            try:
                path = folder / _place(name)
                path = path if path.is_file() else folder / name
                if kind and path.is_file() and path.stat().st_size <= most_bytes:
                    data = b64encode(path.read_bytes()).decode()
                    return (kind, data) if picture(kind, data) else None
            except (OSError, ValueError):
                continue
        return None

    def inline(found: re.Match[str]) -> str:
        address = html.unescape(found[2] or found[3] or found[4] or "")
        taken = read(address) if _is_file(address) else None
        return f'{found[1]}"data:{taken[0]};base64,{taken[1]}"' if taken else found[0]

    for cell in nb.cells:
        if cell.cell_type == "markdown":
            for address in named_in([cell.source]):
                given = cell.setdefault("attachments", nbformat.NotebookNode())
                if address not in given and (taken := read(address)):
                    given[address] = {taken[0]: taken[1]}
                    cell.metadata.setdefault(NOTE, []).append(address)
            if not cell.get("attachments"):
                cell.pop("attachments", None)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if isinstance(drawn := data.get("text/html"), str) and "<img" in drawn.lower():
                data["text/html"] = SOURCE.sub(inline, drawn)
            if isinstance(prose := data.get("text/markdown"), str):
                prose = SOURCE.sub(inline, prose)
                for address in set(named_in([prose])):
                    if taken := read(address):
                        prose = prose.replace(
                            f"]({address}", f"](data:{taken[0]};base64,{taken[1]}"
                        )
                data["text/markdown"] = prose
    return nb


def taken_out(nb: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Take the pictures of its prose out again, as the notebook was before it ran."""
    for cell in nb.cells:
        noted = cell.metadata.pop(NOTE, [])
        for address in noted if isinstance(noted, list) else []:
            cell.get("attachments", {}).pop(str(address), None)
        if not cell.get("attachments"):
            cell.pop("attachments", None)
    return nb


def size_of(content: bytes) -> tuple[int, int] | None:
    """Return a picture's width and height in pixels, if it says."""
    from PIL import Image, UnidentifiedImageError

    if drawn := SVG_SIZE.search(content[:4000]):
        return round(float(drawn[1])), round(float(drawn[2]))
    try:
        with Image.open(io.BytesIO(content)) as opened:
            return opened.size
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return None


def attached(address: str, attachments: Mapping[str, Any]) -> str | None:
    """Return the address, with its content, of a picture that a cell has; None if it has none."""
    name = address.removeprefix("attachment:")
    for each in dict.fromkeys([name, unquote(name), html.unescape(name)]):
        for kind, data in (attachments.get(each) or {}).items():
            if content := picture(kind, data):
                return f"data:{kind};base64,{b64encode(content).decode()}"
    return None


def _is_file(address: str) -> bool:
    """Whether an address is of a file of this machine."""
    try:
        scheme = urlsplit(address).scheme
    except ValueError:
        return False
    own = not scheme or len(scheme) == 1  # as C: is
    return bool(address) and own and not address.startswith(("//", "#")) and "\0" not in address


def _place(name: str) -> str:
    """Say where a run finds a picture: one with an absolute path stands among its inputs."""
    path = Path(name)
    if not path.is_absolute():
        return Path(os.path.normpath(path)).as_posix()
    return f"inputs/pictures/{hashlib.sha256(name.encode()).hexdigest()[:8]}-{path.name}"
