"""Coefficients of moderators, one row each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from backpain_analysis.figures.columns import Cell, Column, draw_columns
from backpain_analysis.figures.forest_marks import cut_arrows, interval_text
from backpain_analysis.figures.style import (
    ACCENT,
    INK,
    WIDTH,
    figure_style,
    measured,
    new_axes,
    shortened,
    tick_text,
)

if TYPE_CHECKING:
    from backpain_analysis.models.moderation import Moderation

ROW_HEIGHT = 0.26


def moderation(result: Moderation, *, ax: Axes | None = None) -> Axes:
    """How the effect changes with each moderator; those that cannot be asked say why.

    Parameters
    ----------
    result : Moderation
    ax : Axes, optional
        With room for text on both sides; by default on a new figure.

    Returns
    -------
    Axes
    """
    table = result.table
    known = table[table["estimate"].notna()]
    widths = (known["ci_high"] - known["ci_low"]).sort_values()
    reach = 1.5 * float(widths.iloc[len(widths) // 2]) if len(widths) else 1.0
    bound = max(reach, 1.15 * float(known["estimate"].abs().max()) if len(known) else 1.0)
    with figure_style():
        ax = new_axes(WIDTH + 0.6, 1.0 + ROW_HEIGHT * len(table)) if ax is None else ax
        ax.set(xlim=(-bound, bound), ylim=(len(table) - 0.4, -0.6), autoscale_on=False)
        ax.axvline(0, color=INK, lw=0.8)
        for y, row in table.iterrows():
            if not np.isfinite(row["estimate"]):
                continue
            low, high = max(row["ci_low"], -bound), min(row["ci_high"], bound)
            ax.plot([low, high], [y, y], color=ACCENT, lw=1.4)
            ax.plot(row["estimate"], y, "o", color=ACCENT, ms=5, gid="moderator")
            cut_arrows(ax, y, row["ci_low"], row["ci_high"], (-bound, bound), ACCENT)
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        ax.xaxis.set_major_formatter(lambda value, _: tick_text(value))
        ax.set_xlabel("Change of the effect: " + measured(result.outcome, result.measure).lower())
        draw_columns(ax, *_columns(result), heading_y=-0.75)
    return ax


def _columns(result: Moderation) -> tuple[list[Column], list[Column]]:
    table = result.table
    names = [Cell(shortened(name, 42)) for name in table["moderator"]]
    trials = [Cell(str(count)) for count in table["trials"]]
    texts, chances = [], []
    for row in table.itertuples():
        if np.isfinite(row.estimate):
            texts.append(Cell(interval_text(row.estimate, row.ci_low, row.ci_high)))
            chances.append(Cell(f"{row.p_holm:.2f}"))
        else:
            texts.append(Cell(shortened(row.note, 34), muted=True))
            chances.append(None)
    left = [Column("", names, "left"), Column("Trials", trials)]
    return left, [Column("Change [95% CI]", texts), Column("P (Holm)", chances)]
