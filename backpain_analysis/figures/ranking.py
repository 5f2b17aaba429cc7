"""Rankings with their uncertainty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba

from backpain_analysis.figures.columns import Cell, Column, draw_columns
from backpain_analysis.figures.style import (
    ACCENT,
    BAND,
    WIDTH,
    exercise_label,
    figure_style,
    new_axes,
    shortened,
)

if TYPE_CHECKING:
    from backpain_analysis.models.network.result import NetworkResult

ROW_HEIGHT = 0.26


def ranking(
    result: NetworkResult, *, draws: int = 10_000, seed: int = 1, ax: Axes | None = None
) -> Axes:
    """Where each treatment may rank: probabilities as shades, the mean rank and its interval.

    Parameters
    ----------
    result : NetworkResult
    draws, seed : int
        Of `NetworkResult.ranking`.
    ax : Axes, optional
        With room for text on both sides; by default on a new figure.

    Returns
    -------
    Axes
    """
    table = result.ranking(draws, seed)
    chances = result.rank_probabilities(draws, seed).loc[table.index].to_numpy()
    size = len(table)
    with figure_style():
        ax = new_axes(WIDTH, 1.0 + ROW_HEIGHT * size) if ax is None else ax
        ax.set(xlim=(0.5, size + 0.5), ylim=(size - 0.4, -0.6), autoscale_on=False)
        spots = np.arange(size)
        shades = [to_rgba(BAND, _shade(chance)) for chance in chances.ravel()]
        left = np.tile(spots + 0.52, size)
        ax.barh(np.repeat(spots, size), 0.96, left=left, height=0.8, color=shades)
        ax.hlines(spots, table["rank_low"], table["rank_high"], color=ACCENT, lw=1.4)
        ax.plot(table["mean_rank"], spots, "o", color=ACCENT, ms=5, gid="mean-rank")
        ax.set_xlabel("Rank (1 is best)")
        ax.set_xticks(range(1, size + 1))
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        names = [Cell(shortened(exercise_label(name), 30)) for name in table.index]
        left = [Column("", names, "left")]
        interval = [
            Cell(f"{mean:.1f} [{low} to {high}]")
            for mean, low, high in zip(
                table["mean_rank"], table["rank_low"], table["rank_high"], strict=True
            )
        ]
        right = [
            Column("P-score", [Cell(f"{score:.2f}") for score in table["p_score"]]),
            Column(f"Mean rank [{result.level:.0%}]", interval),
            Column("Best", [Cell(f"{chance:.0%}") for chance in table["best"]]),
        ]
        draw_columns(ax, left, right, heading_y=-0.75)
    return ax


def _shade(chance: float) -> float:
    return float(np.clip(2.5 * chance, 0.0, 1.0))
