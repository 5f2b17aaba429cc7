"""Cumulative forest plot: the pooled effect as studies are added."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from backpain_analysis.effects import Effects
from backpain_analysis.evidence.scales import LOWER_IS_BETTER
from backpain_analysis.figures.columns import Cell, Column, draw_columns
from backpain_analysis.figures.forest_marks import cut_arrows, diamond, draw_frame, interval_text
from backpain_analysis.figures.funnel import as_pooled, effect_label
from backpain_analysis.figures.style import (
    ACCENT,
    INK,
    WIDTH,
    figure_style,
    new_axes,
    shortened,
    tick_text,
)
from backpain_analysis.models import diagnostics
from backpain_analysis.models.pooling import PoolResult

ROW_HEIGHT = 0.2
"""Inches."""
LONGEST_LABEL = 38


def cumulative(
    result: PoolResult | Effects | pd.DataFrame,
    *,
    years: ArrayLike | None = None,
    xlabel: str | None = None,
    mcid: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Forest plot of a cumulative meta-analysis (Lau et al. 1992,
    doi 10.1056/NEJM199207233270406).

    Each row is the pooled effect, with its confidence interval, of the study named there and all
    above it; the last, a diamond, is that of all studies. The first is a study's own effect.

    Parameters
    ----------
    result : PoolResult, Effects or DataFrame
        Of independent studies; Effects and tables are pooled with the defaults of `pool`.
    years : array_like, shape (k,), optional
        Of the studies, which are added from the first year to the last. None: the column `year`
        of Effects or of a table, else the studies as given.
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
        For correlated contrasts; for years of another number than studies, or missing ones.
    """
    pooled = as_pooled(result)
    years = _years(result) if years is None else np.asarray(years).ravel()
    steps = diagnostics.cumulative(pooled, order=years)
    higher_is_better = isinstance(result, Effects) and result.outcome not in LOWER_IS_BETTER
    benefit = 1 if higher_is_better else -1
    threshold = None if mcid is None else benefit * abs(mcid)
    limits = _limits(steps, threshold)
    with figure_style():
        ax = new_axes(WIDTH, 1.1 + ROW_HEIGHT * len(steps)) if ax is None else ax
        ax.set(xlim=limits, ylim=(len(steps) - 0.4, -0.6), autoscale_on=False)
        draw_frame(ax, benefit, threshold, xlabel or effect_label(result))
        ax.axvline(pooled.estimate, color=ACCENT, lw=0.7, ls=(0, (1, 2)), zorder=0)
        for y, step in enumerate(steps.itertuples()):
            _draw_step(ax, y, step, limits, last=y == len(steps) - 1)
        left, right = _columns(steps, None if years is None else np.sort(years), pooled.level)
        draw_columns(ax, left, right, heading_y=-0.75)
    return ax


def _years(result: PoolResult | Effects | pd.DataFrame) -> np.ndarray | None:
    table = result.table if isinstance(result, Effects) else result
    known = isinstance(table, pd.DataFrame) and "year" in table
    return table["year"].to_numpy() if known else None


def _limits(steps: pd.DataFrame, threshold: float | None) -> tuple[float, float]:
    """Limits that show every estimate, and every interval but the far ends of very wide ones."""
    points = [0.0, *steps["estimate"], *([] if threshold is None else [threshold])]
    reach = 2 * float((steps["ci_high"] - steps["ci_low"]).median())
    low = max(min([*points, *steps["ci_low"]]), min(points) - reach)
    high = min(max([*points, *steps["ci_high"]]), max(points) + reach)
    space = 0.04 * (high - low)
    return low - space, high + space


def _draw_step(ax: Axes, y: int, step: tuple, limits: tuple[float, float], *, last: bool) -> None:
    cut_arrows(ax, y, step.ci_low, step.ci_high, limits, ACCENT if last else INK)
    if last:
        diamond(ax, y, step)
        return
    ends = [step.ci_low, step.ci_high]
    ax.plot(ends, [y, y], color=INK, lw=0.9, solid_capstyle="butt", gid="interval")
    ax.scatter(step.estimate, y, s=18, color=INK, lw=0, zorder=3, gid="estimate")


def _columns(
    steps: pd.DataFrame, years: np.ndarray | None, level: float
) -> tuple[list[Column], list[Column]]:
    names = [shortened(label, LONGEST_LABEL) for label in steps["label"]]
    names = [name if row == 0 else f"+ {name}" for row, name in enumerate(names)]
    intervals = [interval_text(s.estimate, s.ci_low, s.ci_high) for s in steps.itertuples()]
    i2 = [f"{value:.0f}%" if np.isfinite(value) else "–" for value in steps["i2"]]
    left = [Column("Study added", _cells(names), "left")]
    if years is not None:
        left.append(Column("Year", _cells([tick_text(year) for year in years])))
    right = [Column(f"Effect [{level:.0%} CI]", _cells(intervals)), Column("I²", _cells(i2))]
    return left, right


def _cells(texts: list[str]) -> list[Cell]:
    return [Cell(text, bold=row == len(texts) - 1) for row, text in enumerate(texts)]
