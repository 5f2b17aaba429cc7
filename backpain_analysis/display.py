"""Tables as HTML: one look for every result, in JupyterLab and in reports."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from numbers import Integral, Real
from typing import TypeGuard

import numpy as np
import pandas as pd

from backpain_analysis.errors import require

_STYLE = (
    ".bp-table{border-collapse:collapse;margin:.5em 0;font-size:.92em;"
    "font-variant-numeric:tabular-nums}"
    ".bp-table caption{caption-side:top;text-align:left;font-weight:600;padding:.3em 0}"
    ".bp-table th,.bp-table td{padding:.25em .7em;text-align:left;vertical-align:top;"
    "border:0;border-bottom:1px solid rgba(128,128,128,.25)}"
    ".bp-table thead :is(th,td){border-bottom:1.5px solid currentColor;font-weight:600}"
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


class Told(str):
    """Text of a cell with the exact numbers behind it, which files of the table hold.

    Parameters
    ----------
    text : str
    **numbers
        `value`; or `estimate`, `low` and `high`; or others by the names of their columns.

    Examples
    --------
    >>> cell = Told("−4.2 [−7.0, −1.4]", estimate=-4.2137, low=-7.0452, high=-1.3822)
    >>> cell, cell.numbers["low"]
    ('−4.2 [−7.0, −1.4]', -7.0452)
    """

    __slots__ = ("numbers",)
    numbers: dict[str, float]

    def __new__(cls, text: str, **numbers: float) -> Told:
        """Keep the numbers beside the text."""
        made = super().__new__(cls, text)
        made.numbers = {name: float(value) for name, value in numbers.items()}
        return made

    def again(self, text: str) -> Told:
        """Other text for the same numbers."""
        return Told(text, **self.numbers)


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
    """A table ready for a page; JupyterLab and the report show it as HTML.

    Attributes
    ----------
    html : str
    csv : str
        The same with exact numbers, as readers take it along; see `exact_csv`.
    """

    html: str
    csv: str = field(default="", repr=False)

    def _repr_html_(self) -> str:
        return self.html

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/html": self.html, **({"text/csv": self.csv} if self.csv else {})}


def table(
    frame: pd.DataFrame | Sequence[Mapping[str, object]],
    *,
    title: str | None = None,
    note: str | None = None,
    digits: int = 3,
) -> Table:
    """Show a DataFrame, or rows, on a page, and let readers take its exact numbers along.

    See `html_table` and `exact_csv`.

    Examples
    --------
    >>> import pandas as pd
    >>> shown = bp.table(pd.DataFrame({"trials": [12]}), title="What entered")
    >>> "What entered" in shown.html
    True
    """
    require(frame, "DataFrame", "list", "tuple")
    whole = frame if isinstance(frame, pd.DataFrame) else pd.DataFrame(list(frame), dtype=object)
    return Table(html_table(whole, title=title, note=note, digits=digits), exact_csv(whole))


def with_numbers(html: str, frame: pd.DataFrame) -> dict[str, str]:
    """What JupyterLab shows of a table, and the exact numbers that a report lets take along."""
    return {"text/html": html, "text/csv": exact_csv(frame)}


LEVEL = re.compile(r"\s*\[(\d+% [^\]]+)\]$")
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def exact_csv(frame: pd.DataFrame) -> str:
    """A table as CSV (RFC 4180) in full precision.

    Parameters
    ----------
    frame : DataFrame
        A column of `Told` becomes one of numbers, or three: estimate and both limits. A text that a
        spreadsheet would take for a formula begins with an apostrophe; what is missing is empty.

    Examples
    --------
    >>> cell = Told("2.3 [1.0, 3.7]", estimate=2.3333, low=1.0, high=3.6667)
    >>> print(exact_csv(pd.DataFrame({"MD [95% CI]": [cell]}, dtype=object)))
    MD,"MD, 95% CI low","MD, 95% CI high"
    2.3333,1.0,3.6667
    """
    if not _only_numbers_rows(frame.index):
        names = [str(name or "") for name in frame.index.names]
        frame = frame.reset_index(names=names, allow_duplicates=True)
    columns: list[list[str]] = []
    for place, head in enumerate(frame.columns):
        columns += _exact_columns(str(head), list(frame.iloc[:, place]))
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(zip(*columns, strict=True))
    return text.getvalue()


def _exact_columns(head: str, cells: list[object]) -> list[list[str]]:
    """One column as readers see it becomes one or more of exact values."""
    names = list(dict.fromkeys(n for cell in cells if isinstance(cell, Told) for n in cell.numbers))
    if not names:
        return [[head, *map(_exact, cells)]]

    def value(cell: object, name: str) -> object:
        if isinstance(cell, Told):
            return cell.numbers.get(name)
        return cell if name == names[0] else None

    return [
        [_heading(head, name), *(_exact(value(cell, name)) for cell in cells)] for name in names
    ]


def _heading(head: str, name: str) -> str:
    level = LEVEL.search(head)
    base = LEVEL.sub("", head)
    if name in ("value", "estimate"):
        return base
    if name in ("low", "high"):
        return f"{base}, {level[1]} {name}" if level else f"{base} {name}"
    return name


def _exact(value: object) -> str:
    if isinstance(value, Link):
        return _exact(value.text)
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)) or value == _MISSING:
        return ""
    if _is_number(value):
        return str(int(value)) if isinstance(value, Integral) else repr(float(value))
    text = str(value).replace("\N{NO-BREAK SPACE}", " ")
    return f"'{text}" if text.startswith(FORMULA) else text


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
