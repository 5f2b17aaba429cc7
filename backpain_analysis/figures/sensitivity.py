"""Changes of pain sensitivity, by how they were compared."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from backpain_analysis.figures.columns import Cell, Column, draw_columns
from backpain_analysis.figures.forest_marks import cut_arrows, interval_text
from backpain_analysis.figures.style import (
    ACCENT,
    INK,
    MUTED,
    WIDTH,
    exercise_label,
    figure_style,
    new_axes,
    outcome_label,
    population_label,
    readable,
    shortened,
    tick_text,
)
from backpain_analysis.models.results import quantile

ROW_HEIGHT = 0.23
COLOURS = {"against no exercise": ACCENT, "before and after": MUTED}


def sensitivity(
    changes: pd.DataFrame,
    outcome: str = "pressure_pain_threshold",
    *,
    kpa: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Forest plot of threshold changes: single bouts and programmes, populations side by side.

    Parameters
    ----------
    changes : DataFrame
        From `effects.sensitivity.sensitivity_changes`.
    outcome : str
        What changed; thresholds are higher in less sensitive people.
    kpa : bool
        Kilopascals, where the unit is a pressure, instead of standardised changes.
    ax : Axes, optional
        With room for text on both sides; by default on a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If there is nothing to draw.
    """
    y, v = ("yi_kpa", "vi_kpa") if kpa else ("yi", "vi")
    known = changes.dropna(subset=[y, v])
    if known.empty:
        raise ValueError("no changes to draw.")
    known = known.sort_values(["setting", "comparison", "population", "label"], kind="stable")
    half = quantile(0.95, np.inf) * np.sqrt(known[v])
    rows = _with_headings(known.assign(low=known[y] - half, high=known[y] + half))
    bound = 1.1 * float(np.nanmax(np.abs([known[y] - half, known[y] + half])))
    bound = min(bound, 3 * float(known[y].abs().max()))
    with figure_style():
        ax = new_axes(WIDTH + 1, 1.0 + ROW_HEIGHT * len(rows)) if ax is None else ax
        ax.set(xlim=(-bound, bound), ylim=(len(rows) - 0.4, -0.6), autoscale_on=False)
        ax.axvline(0, color=INK, lw=0.8)
        cells = {name: [] for name in ("who", "what", "site", "text")}
        for place, row in enumerate(rows):
            if isinstance(row, str):
                cells["who"].append(Cell(row, bold=True, spans=True))
                for name in ("what", "site", "text"):
                    cells[name].append(None)
                continue
            colour = COLOURS[row.comparison]
            ends = [max(row.low, -bound), min(row.high, bound)]
            ax.plot(ends, [place, place], color=colour, lw=1.3)
            value = getattr(row, y)
            ax.plot(value, place, "o", color=colour, ms=4.5, gid="change")
            cut_arrows(ax, place, row.low, row.high, (-bound, bound), colour)
            people = population_label(row.population).lower()
            cells["who"].append(Cell(f"{shortened(row.label, 20)}, {people}"))
            cells["what"].append(Cell(shortened(exercise_label(row.exercise_type), 18)))
            cells["site"].append(Cell(row.site, muted=True))
            cells["text"].append(Cell(interval_text(value, row.low, row.high)))
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        ax.xaxis.set_major_formatter(lambda value, _: tick_text(value))
        unit = "kPa" if kpa else "SD"
        side = "; right: less sensitive" if outcome == "pressure_pain_threshold" else ""
        ax.set_xlabel(f"Change of {outcome_label(outcome).lower()} ({unit}){side}")
        left = [
            Column("", cells["who"], "left"),
            Column("Exercise", cells["what"], "left"),
            Column("Site", cells["site"], "left"),
        ]
        draw_columns(ax, left, [Column("Change [95% CI]", cells["text"])], heading_y=-0.75)
    return ax


def _with_headings(known: pd.DataFrame) -> list:
    rows: list = []
    for (setting, comparison), part in known.groupby(["setting", "comparison"], sort=False):
        rows.append(f"{readable(setting)}, {comparison}")
        rows.extend(part.itertuples())
    return rows
