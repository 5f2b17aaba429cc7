"""One line a group: the forest plot that most readers want first."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from backpain_analysis.figures.columns import Cell, Column, draw_columns
from backpain_analysis.figures.forest_marks import (
    cut_arrows,
    diamond,
    draw_frame,
    interval_text,
    prediction_bar,
    prediction_text,
)
from backpain_analysis.figures.style import (
    ACCENT,
    INK,
    WIDTH,
    exercise_label,
    figure_style,
    new_axes,
    shortened,
)
from backpain_analysis.models.pooling import PoolResult

ROW_HEIGHT = 0.24
"""Inches."""
LONGEST_LABEL = 30


def summary_forest(
    results: Mapping[str, PoolResult],
    *,
    overall: PoolResult | None = None,
    xlabel: str = "Effect size",
    mcid: float | None = None,
    lower_is_better: bool | None = True,
    ax: Axes | None = None,
) -> Axes:
    """Pooled effects of several groups, one row each, the most favourable first.

    Diamonds reach over the confidence interval, the bar behind them over the prediction interval.

    Parameters
    ----------
    results : mapping of str to PoolResult
        By exercise type or any other name.
    overall : PoolResult, optional
        Drawn last.
    xlabel : str
    mcid : float, optional
        Minimal clinically important difference (its size): a line on the side of benefit.
    lower_is_better : bool or None
        Whether a negative difference favours exercise; None where the rows differ in that: then
        they keep their order and no side is named.
    ax : Axes, optional
        With room for text on both sides; by default a new figure as tall as it needs.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If there are no results.
    """
    if not results:
        raise ValueError("no results to draw.")
    benefit = {True: -1, None: 0, False: 1}[lower_is_better]
    threshold = None if mcid is None or not benefit else benefit * abs(mcid)
    rows = sorted(results.items(), key=lambda item: -benefit * item[1].estimate)
    if overall is not None:
        rows.append(("All", overall))
    limits = _limits([pooled for _, pooled in rows], threshold)
    with figure_style():
        ax = new_axes(WIDTH, 1.1 + ROW_HEIGHT * len(rows)) if ax is None else ax
        ax.set(xlim=limits, ylim=(len(rows) - 0.4, -0.6), autoscale_on=False)
        draw_frame(ax, benefit, threshold, xlabel)
        for y, (_, pooled) in enumerate(rows):
            prediction_bar(ax, y, pooled, limits)
            diamond(ax, y, pooled, INK if pooled is overall else ACCENT)
            cut_arrows(ax, y, pooled.ci_low, pooled.ci_high, limits, ACCENT)
        draw_columns(ax, *_columns(rows, overall), heading_y=-0.75)
    return ax


def _limits(pooled: list[PoolResult], threshold: float | None) -> tuple[float, float]:
    """Limits that show every estimate, and every interval but the far ends of very wide ones."""
    points = [0.0, *(p.estimate for p in pooled)]
    points += [] if threshold is None else [threshold]
    widths = sorted(p.ci_high - p.ci_low for p in pooled)
    reach = 2 * widths[len(widths) // 2]
    ends = [*points, *(end for p in pooled for end in (p.ci_low, p.ci_high, p.pi_low, p.pi_high))]
    low = max(np.nanmin(ends), min(points) - reach)
    high = min(np.nanmax(ends), max(points) + reach)
    space = 0.04 * (high - low)
    return low - space, high + space


def _columns(
    rows: list[tuple[str, PoolResult]], overall: PoolResult | None
) -> tuple[list[Column], list[Column]]:
    names, trials, participants, intervals, predictions = [], [], [], [], []
    for name, pooled in rows:
        bold = pooled is overall
        names.append(Cell(shortened(exercise_label(name), LONGEST_LABEL), bold))
        trials.append(Cell(str(pooled.n_trials), bold))
        known = pooled.n_participants
        participants.append(Cell(str(known) if known else "–", bold))
        interval = interval_text(pooled.estimate, pooled.ci_low, pooled.ci_high)
        intervals.append(Cell(interval, bold))
        predictions.append(Cell(prediction_text(pooled), bold))
    level = f"{rows[0][1].level:.0%}"
    left = [Column("", names, "left"), Column("Trials", trials)]
    left.append(Column("n", participants))
    right = [Column(f"Effect [{level} CI]", intervals), Column(f"{level} PI", predictions)]
    return left, right
