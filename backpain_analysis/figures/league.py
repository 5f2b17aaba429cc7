"""The league table as a matrix to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

from backpain_analysis.figures.style import (
    INK,
    WIDTH,
    exercise_label,
    figure_style,
    new_axes,
    shortened,
)

if TYPE_CHECKING:
    from backpain_analysis.models.network.result import NetworkResult

BETTER_WORSE = LinearSegmentedColormap.from_list("better", ["#0072b2", "#ffffff", "#d55e00"])
"""Blue favours the better-ranked treatment."""
PALEST = 0.6
"""How strong the strongest colour is: the text must stay readable."""
LONGEST = 18
CELL, FONT = 0.84, 6.4
"""Width of a cell in inches, and size of its text in points."""


def league(result: NetworkResult, *, digits: int = 1, ax: Axes | None = None) -> Axes:
    """League table: the better-ranked treatment minus the other, the best-ranked first.

    Below the diagonal the whole network (column minus row), above it the direct evidence alone
    (row minus column). Cells are coloured where the interval leaves out zero: blue where the
    better-ranked one is better, orange where direct evidence says the opposite.

    Parameters
    ----------
    result : NetworkResult
    digits : int
        Decimals.
    ax : Axes, optional
        By default on a new figure.

    Returns
    -------
    Axes
    """
    order = list(result.p_scores().index)
    size = len(order)
    whole = result.differences().set_index(["treatment", "versus"])
    direct = result.direct().set_index(["treatment", "versus"])
    strongest = float(whole["estimate"].abs().max())
    benefit = -1.0 if result.lower_is_better else 1.0
    font = FONT if size > 7 else 1.2 * FONT
    with figure_style():
        ax = new_axes(max(WIDTH, CELL * size), 0.5 * CELL * size + 0.6) if ax is None else ax
        for i, row in enumerate(order):
            for j, column in enumerate(order):
                if i == j:
                    _draw_name(ax, row, i, font)
                    continue
                source, pair = (whole, (column, row)) if i > j else (direct, (row, column))
                if pair not in source.index:
                    continue
                cell = source.loc[pair]
                clear = cell["ci_low"] * cell["ci_high"] > 0
                shade = PALEST * benefit * cell["estimate"] / strongest if clear else 0.0
                colour = BETTER_WORSE(0.5 - 0.5 * float(np.clip(shade, -1, 1)))
                ax.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, fc=colour, ec="white", lw=1.2))
                _draw_cell(ax, i, j, cell, digits, font)
        ax.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5))
        ax.set_xlabel("Below the diagonal: whole network · above: direct evidence alone")
        ax.tick_params(length=0, labelbottom=False, labelleft=False)
        ax.spines[:].set_visible(False)
    return ax


def _draw_name(ax: Axes, name: str, place: int, font: float) -> None:
    box = Rectangle((place - 0.5, place - 0.5), 1, 1, fc="#ececec", ec="white", lw=1.2)
    ax.add_patch(box)
    words = shortened(exercise_label(name), LONGEST).replace(" / ", " /\n")
    text = words.replace(" ", "\n", 1) if len(words) > 9 and "\n" not in words else words
    ax.text(place, place, text, ha="center", va="center", fontsize=font, fontweight="bold")


def _draw_cell(ax: Axes, row: int, column: int, cell: pd.Series, digits: int, font: float) -> None:
    centre = f"{cell['estimate']:.{digits}f}".replace("-", "−")
    interval = f"{cell['ci_low']:.{digits}f} to {cell['ci_high']:.{digits}f}".replace("-", "−")
    ax.text(column, row - 0.13, centre, ha="center", va="center", fontsize=font, color=INK)
    ax.text(column, row + 0.22, interval, ha="center", va="center", fontsize=0.86 * font, color=INK)
