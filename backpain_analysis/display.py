"""Tables as HTML: one look for every result, in JupyterLab and in reports."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from numbers import Integral, Real
from typing import TypeGuard

import numpy as np
import pandas as pd

_STYLE = (
    ".bp-table{border-collapse:collapse;margin:.5em 0;font-size:.92em;"
    "font-variant-numeric:tabular-nums}"
    ".bp-table caption{caption-side:top;text-align:left;font-weight:600;padding:.3em 0}"
    ".bp-table th,.bp-table td{padding:.25em .7em;text-align:left;vertical-align:top;"
    "border:0;border-bottom:1px solid rgba(128,128,128,.25)}"
    ".bp-table thead th{border-bottom:1.5px solid currentColor;font-weight:600}"
    ".bp-table .num{text-align:right;white-space:nowrap}"
    ".bp-table tfoot td{border-bottom:0;font-size:.88em;opacity:.8}"
)
_MISSING = "–"
_EMPTY = "Nothing to list."


@dataclass(frozen=True)
class Link:
    """Text of a cell that leads to an address."""

    text: str
    url: str


def html_table(
    frame: pd.DataFrame, *, title: str | None = None, note: str | None = None, digits: int = 3
) -> str:
    """A DataFrame as a self-contained HTML table.

    Parameters
    ----------
    frame
        Its columns become the table's; its index too, unless it only numbers the rows.
    title
        Caption above the table.
    note
        Line below the table.
    digits
        Significant digits of a number; those before the point are all kept. A column of whole
        numbers is shown without decimals.

    Returns
    -------
    str
        Everything from the frame is escaped; line breaks are kept. A frame without rows says
        so. The same frame gives the same bytes.
    """
    if not _only_numbers_rows(frame.index):
        names = [str(name or "") for name in frame.index.names]
        frame = frame.reset_index(names=names, allow_duplicates=True)
    columns = [frame.iloc[:, position] for position in range(frame.shape[1])]
    numeric = [_is_numeric(column) for column in columns]
    texts = [_column_texts(column, digits) for column in columns]
    head = _cells("th", [str(name) for name in frame.columns], numeric)
    body = "".join(f"<tr>{_cells('td', row, numeric)}</tr>\n" for row in zip(*texts, strict=True))
    body = body or f'<tr><td colspan="{max(len(columns), 1)}">{_EMPTY}</td></tr>\n'
    caption = f"<caption>{escape(title)}</caption>\n" if title else ""
    foot = (
        f'<tfoot><tr><td colspan="{max(len(columns), 1)}">{escape(note)}</td></tr></tfoot>\n'
        if note
        else ""
    )
    return (
        f'<style>{_STYLE}</style>\n<table class="bp-table">\n{caption}'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n{foot}</table>"
    )


@dataclass(frozen=True)
class Table:
    """A table ready for a page; JupyterLab and the report show it as HTML."""

    html: str

    def _repr_html_(self) -> str:
        return self.html


def table(
    frame: pd.DataFrame, *, title: str | None = None, note: str | None = None, digits: int = 3
) -> Table:
    """Show a DataFrame on a page; see `html_table`.

    Examples
    --------
    >>> import pandas as pd
    >>> shown = bp.table(pd.DataFrame({"trials": [12]}), title="What entered")
    >>> "What entered" in shown.html
    True
    """
    return Table(html_table(frame, title=title, note=note, digits=digits))


def _only_numbers_rows(index: pd.Index) -> bool:
    return index.name is None and index.nlevels == 1 and pd.api.types.is_integer_dtype(index)


def _cells(tag: str, texts: Iterable[str | Link], numeric: Iterable[bool]) -> str:
    opening = {True: f'<{tag} class="num">', False: f"<{tag}>"}
    return "".join(
        f"{opening[number]}{_lines(text)}</{tag}>"
        for text, number in zip(texts, numeric, strict=True)
    )


def _lines(text: str | Link) -> str:
    if isinstance(text, Link):
        return f'<a href="{escape(text.url)}">{_lines(text.text)}</a>'
    return escape(text).replace("\n", "<br> ")


def _is_numeric(column: pd.Series) -> bool:
    """Whether a column is set right: numbers, also where they stand among objects."""
    present = column.dropna()
    return len(present) > 0 and all(_is_number(value) for value in present)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def _column_texts(column: pd.Series, digits: int) -> list[str | Link]:
    """Values as a reader wants them: rounded, a real minus sign, a dash where one is missing."""
    numbers = [float(value) for value in column.dropna() if _is_number(value)]
    whole = all(number.is_integer() for number in numbers)
    return [_text(value, digits, whole) for value in column]


def _text(value: object, digits: int, whole: bool) -> str | Link:
    if isinstance(value, Link):
        return value
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return _MISSING
    return _number(value, digits, whole).replace("-", "−") if _is_number(value) else str(value)


def _number(value: float, digits: int, whole: bool) -> str:
    number = float(value)
    if math.isinf(number):
        return "∞" if number > 0 else "-∞"
    if whole or isinstance(value, Integral):
        return str(int(value))
    exponent = math.floor(math.log10(abs(number))) if number else 0
    if not -5 <= exponent < 15:
        return f"{number:.{digits - 1}e}"
    return f"{number:.{max(digits - 1 - exponent, 0)}f}"
