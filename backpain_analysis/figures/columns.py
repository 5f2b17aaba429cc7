"""Columns of text beside axes, as a forest plot has them; their widths are in points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

from backpain_analysis.figures.style import INK, MUTED

SIZE = 7.5
GAP = 10.0
"""Points: size of the text, space between columns."""


@dataclass(frozen=True)
class Cell:
    """A piece of text in a row.

    Attributes
    ----------
    text : str
    bold, muted : bool
    spans : bool
        May run over the columns to its right, so that it does not widen its own.
    """

    text: str
    bold: bool = False
    muted: bool = False
    spans: bool = False

    @property
    def width(self) -> float:
        """In points."""
        return text_width(self.text, self.bold)


@dataclass(frozen=True)
class Column:
    """A heading and one cell (or none) a row."""

    heading: str
    cells: Sequence[Cell | None]
    align: Literal["left", "right"] = "right"

    @property
    def width(self) -> float:
        """In points."""
        heading = max(text_width(line, True) for line in self.heading.split("\n"))
        return max([heading, *(cell.width for cell in self.cells if cell and not cell.spans)])


@cache
def text_width(text: str, bold: bool = False) -> float:
    """Width of a line of text in points."""
    font = FontProperties(family=["DejaVu Sans"], size=SIZE, weight="bold" if bold else "normal")
    return TextToPath().get_text_width_height_descent(text, font, ismath=False)[0]


def draw_columns(
    axes: Axes, left: Sequence[Column], right: Sequence[Column], heading_y: float
) -> None:
    """Write columns left and right of the axes; cell `i` stands at y = i, headings at `heading_y`.

    Headings hang above `heading_y` (data coordinates).
    """
    room = sum(column.width + GAP for column in left)
    spanning = [cell.width + GAP for cell in left[0].cells if cell and cell.spans]
    _draw(axes, left, 0.0, -max([room, *spanning]), heading_y)
    _draw(axes, right, 1.0, GAP, heading_y)


def _draw(
    axes: Axes, columns: Sequence[Column], edge: float, start: float, heading_y: float
) -> None:
    for column in columns:
        shift = start if column.align == "left" else start + column.width
        start += column.width + GAP
        heading = Cell(column.heading, bold=True)
        _write(axes, heading, edge, shift, heading_y, column.align, "bottom")
        for row, cell in enumerate(column.cells):
            if cell:
                _write(axes, cell, edge, shift, row, column.align, "center_baseline")


def _write(
    axes: Axes, cell: Cell, edge: float, shift: float, y: float, align: str, vertical: str
) -> None:
    axes.annotate(
        cell.text,
        xy=(edge, y),
        xycoords=axes.get_yaxis_transform(),
        xytext=(shift, 0),
        textcoords="offset points",
        ha=align,
        va=vertical,
        fontsize=SIZE,
        fontweight="bold" if cell.bold else "normal",
        color=MUTED if cell.muted else INK,
        annotation_clip=False,
        parse_math=False,
    )
