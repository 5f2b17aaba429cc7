"""Forest plot: every trial, every group and the whole, with their numbers beside them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from backpain_analysis.effects import Effects
from backpain_analysis.evidence.scales import LOWER_IS_BETTER
from backpain_analysis.figures.columns import Cell, Column, draw_columns
from backpain_analysis.figures.forest_marks import (
    cut_arrows,
    diamond,
    draw_frame,
    interval_text,
    prediction_bar,
    prediction_text,
)
from backpain_analysis.figures.forest_rows import Row, forest_rows, in_group
from backpain_analysis.figures.style import (
    ACCENT,
    INK,
    WIDTH,
    figure_style,
    measured,
    new_axes,
    shortened,
)
from backpain_analysis.models.pooling import PoolResult

ROW_HEIGHT = 0.2
"""Inches."""
LONGEST_LABEL = 38


def forest(
    effects: Effects | pd.DataFrame,
    results: PoolResult | Mapping[str, PoolResult] | None = None,
    *,
    overall: PoolResult | None = None,
    group_by: str = "exercise_type",
    xlabel: str | None = None,
    mcid: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Forest plot.

    Squares are effect sizes, their area proportional to the weight in the overall result (in the
    group's, where there is none); lines are their confidence intervals, `yi +- z sqrt(vi)`, with
    an arrow where one leaves the plot. Diamonds are pooled effects with their confidence
    interval, the bar through a diamond its prediction interval. Trials are ordered by effect.

    Parameters
    ----------
    effects : Effects or DataFrame
        A table needs `label, yi, vi`, and may have `n_arm, n_ref` and the column `group_by`.
    results : PoolResult, or mapping of group to PoolResult, optional
        One result pools all the effects. A mapping pools those of each group: its keys are
        values of the column `group_by`, or their labels ("yoga" or "Yoga"), and give the order.
        Groups without a result are drawn last, without a diamond.
    overall : PoolResult, optional
        With a mapping: the result of all the effects together.
    group_by : str
    xlabel : str, optional
        By default what the effects measure.
    mcid : float, optional
        Minimal clinically important difference (its size): a line on the side of benefit.
    ax : Axes, optional
        With room for text on both sides; by default a new figure as tall as it needs.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If there are no effects, a result does not pool the effects given, or a group has none.
    """
    table = effects.table if isinstance(effects, Effects) else effects
    if isinstance(results, PoolResult):
        if overall is not None:
            raise ValueError("two results of all the effects: give one of results and overall.")
        results, overall = None, results
    _check(table, results, overall, group_by)
    rows = forest_rows(table, results, overall, group_by)
    known = isinstance(effects, Effects)
    benefit = 1 if known and effects.outcome not in LOWER_IS_BETTER else -1
    threshold = None if mcid is None else benefit * abs(mcid)
    limits = _limits(rows, threshold)
    largest = max((row.weight for row in rows if row.kind == "trial"), default=np.nan)
    with figure_style():
        ax = new_axes(WIDTH, 1.1 + ROW_HEIGHT * len(rows)) if ax is None else ax
        ax.set(xlim=limits, ylim=(len(rows) - 0.4, -0.6), autoscale_on=False)
        if not xlabel:
            xlabel = measured(effects.outcome, effects.measure) if known else "Effect size"
        draw_frame(ax, benefit, threshold, xlabel)
        if overall is not None:
            ax.axvline(overall.estimate, color=ACCENT, lw=0.7, ls=(0, (1, 2)), zorder=0)
        for y, row in enumerate(rows):
            if row.kind == "trial":
                _draw_trial(ax, y, row, limits, largest)
            elif row.kind == "summary":
                _draw_summary(ax, y, row.pooled, limits)
        draw_columns(ax, *_columns(rows, effects.measure if known else "Effect"), heading_y=-0.75)
    return ax


def _check(
    table: pd.DataFrame,
    results: Mapping[str, PoolResult] | None,
    overall: PoolResult | None,
    group_by: str,
) -> None:
    if table.empty:
        raise ValueError("no effects to draw.")
    needed = ["label", "yi", "vi", *([group_by] if results is not None else [])]
    missing = [name for name in needed if name not in table]
    if missing:
        raise ValueError(f"the table of effects has no column {', '.join(map(repr, missing))}.")
    given = [("the overall result", overall, table)] if overall is not None else []
    for name, result in (results or {}).items():
        part = table[in_group(table, group_by, name)]
        if part.empty:
            known = ", ".join(sorted(table[group_by].astype(str).unique()))
            raise ValueError(f"no effect has {group_by} {name!r}; they have {known}.")
        given.append((f"the result of {name!r}", result, part))
    for name, result, part in given:
        own = result.table
        if len(own) != len(part) or not np.allclose(own[["yi", "vi"]], part[["yi", "vi"]]):
            raise ValueError(
                f"{name} pools {len(own)} effect(s), which are not the {len(part)} to be drawn: "
                "pool the effects that are drawn."
            )


def _limits(rows: list[Row], threshold: float | None) -> tuple[float, float]:
    """Limits that show every estimate, and every interval but the far ends of very wide ones."""
    intervals = np.array([row.interval for row in rows if row.kind == "trial"])
    pooled = [row.pooled for row in rows if row.kind == "summary"]
    points = [0.0, *intervals[:, 0], *(p.estimate for p in pooled)]
    points += [] if threshold is None else [threshold]
    reach = 1.5 * float(np.median(intervals[:, 2] - intervals[:, 0]))
    ends = [*points, *intervals[:, 1:].ravel()]
    ends += [end for p in pooled for end in (p.ci_low, p.ci_high, p.pi_low, p.pi_high)]
    low = max(np.nanmin(ends), min(points) - reach)
    high = min(np.nanmax(ends), max(points) + reach)
    space = 0.04 * (high - low)
    return low - space, high + space


def _draw_trial(ax: Axes, y: int, row: Row, limits: tuple[float, float], largest: float) -> None:
    estimate, low, high = row.interval
    ax.plot([low, high], [y, y], color=INK, lw=0.9, solid_capstyle="butt", gid="interval")
    cut_arrows(ax, y, low, high, limits, INK)
    area = 36.0 if np.isnan(row.weight) else 5 + 70 * row.weight / largest
    ax.scatter(estimate, y, marker="s", s=area, color=INK, lw=0, zorder=3, gid="square")


def _draw_summary(ax: Axes, y: int, pooled: PoolResult, limits: tuple[float, float]) -> None:
    prediction_bar(ax, y, pooled, limits)
    diamond(ax, y, pooled)
    cut_arrows(ax, y, pooled.ci_low, pooled.ci_high, limits, ACCENT)


def _columns(rows: list[Row], measure: str) -> tuple[list[Column], list[Column]]:
    level = next((row.pooled.level for row in rows if row.pooled), 0.95)
    left = [Column("Trial", [_label_cell(row) for row in rows], "left")]
    if any(np.isfinite(row.participants).any() for row in rows):
        left.append(Column("n exercise\n/ control", [_size_cell(row) for row in rows]))
    right = [Column(f"{measure} [{level:.0%} CI]", [_interval_cell(row) for row in rows])]
    if any(np.isfinite(row.weight) for row in rows):
        right.append(Column("Weight", [_weight_cell(row) for row in rows]))
    return left, right


def _label_cell(row: Row) -> Cell:
    if row.kind == "trial":
        return Cell(shortened(row.label, LONGEST_LABEL))
    if row.kind == "summary":
        return Cell(row.label, bold=True)
    return Cell(row.label, bold=row.kind == "heading", muted=row.kind != "heading", spans=True)


def _size_cell(row: Row) -> Cell | None:
    if row.kind not in ("trial", "summary"):
        return None
    sizes = [f"{size:.0f}" if np.isfinite(size) else "–" for size in row.participants]
    return Cell("–" if sizes == ["–", "–"] else " / ".join(sizes), bold=row.kind == "summary")


def _interval_cell(row: Row) -> Cell | None:
    if row.interval:
        return Cell(interval_text(*row.interval), bold=row.kind == "summary")
    if row.kind == "heterogeneity" and np.isfinite(row.pooled.pi_low):
        return Cell(f"PI {prediction_text(row.pooled)}", muted=True)
    return None


def _weight_cell(row: Row) -> Cell | None:
    if row.kind not in ("trial", "summary"):
        return None
    text = f"{row.weight:.1f}%" if np.isfinite(row.weight) else "–"
    return Cell(text, bold=row.kind == "summary")
