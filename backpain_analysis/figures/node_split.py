"""Direct, indirect and network estimates of each comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from backpain_analysis.figures.columns import Cell, Column, draw_columns
from backpain_analysis.figures.style import (
    ACCENT,
    INK,
    MUTED,
    TARGET,
    WIDTH,
    exercise_label,
    figure_style,
    new_axes,
    tick_text,
)
from backpain_analysis.models.results import quantile

if TYPE_CHECKING:
    from backpain_analysis.models.network.splitting import NodeSplit

KINDS = {"direct": TARGET, "indirect": MUTED, "network": ACCENT}
LINE_HEIGHT = 0.19


def node_split(
    split: NodeSplit, *, xlabel: str = "Difference (first minus second)", ax: Axes | None = None
) -> Axes:
    """Forest plot of the comparisons that have both direct and indirect evidence.

    Parameters
    ----------
    split : NodeSplit
    xlabel : str
    ax : Axes, optional
        With room for text on both sides; by default on a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If no comparison has both.
    """
    table = split.summary()
    if table.empty:
        raise ValueError("no comparison has both direct and indirect evidence.")
    lines = 4 * len(table) - 1
    critical = quantile(split.level, np.inf)
    names, kinds, values = [[None] * lines for _ in range(3)]
    with figure_style():
        ax = new_axes(WIDTH, 0.9 + LINE_HEIGHT * lines) if ax is None else ax
        ax.axvline(0, color=INK, lw=0.7)
        for number, row in table.iterrows():
            first, second = exercise_label(row["treatment"]), exercise_label(row["versus"])
            names[4 * number] = Cell(f"{first} – {second}", bold=True)
            names[4 * number + 1] = Cell(f"P = {row['p_value']:.2g}", muted=True)
            for line, (kind, colour) in enumerate(KINDS.items(), start=4 * number):
                estimate, half = row[kind], critical * row[f"{kind}_se"]
                ax.plot([estimate - half, estimate + half], [line, line], color=colour, lw=1.3)
                ax.plot(estimate, line, "o" if kind != "network" else "D", color=colour, ms=4.5)
                kinds[line] = Cell(_words(kind, row))
                values[line] = Cell(_interval(estimate, half))
        ax.set(ylim=(lines - 0.4, -0.6), xlabel=xlabel)
        ax.xaxis.set_major_formatter(lambda value, _: tick_text(value))
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        left = [Column("", names, "left"), Column("Evidence", kinds, "left")]
        draw_columns(ax, left, [Column(f"Estimate [{split.level:.0%} CI]", values)], -0.75)
    return ax


def _words(kind: str, row: pd.Series) -> str:
    return f"direct ({row['trials']})" if kind == "direct" else kind


def _interval(estimate: float, half: float) -> str:
    text = f"{estimate:.1f} [{estimate - half:.1f} to {estimate + half:.1f}]"
    return text.replace("-", "−")
