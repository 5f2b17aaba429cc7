"""Made-up objects that stand for results in truth tables, and tables as readers see them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from bs4 import BeautifulSoup


def made(kind: str, **fields: Any) -> Any:
    """An object of a class of this name that has these fields and nothing else."""
    return type(kind, (SimpleNamespace,), {})(**fields)


def rows_of(shown: Any) -> list[list[str]]:
    """The cells of a table as a reader sees them, headings first, its note last."""
    page = BeautifulSoup(shown._repr_html_(), "html.parser")
    cells = [[cell.get_text() for cell in row.select("td, th")] for row in page.select("tr")]
    return [[text.replace("\N{NO-BREAK SPACE}", " ") for text in row] for row in cells]
