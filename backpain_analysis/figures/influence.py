"""Influence panel: what each study does to the pooled effect, eight diagnostics side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy import special

from backpain_analysis.effects import Effects
from backpain_analysis.figures.columns import SIZE, text_width
from backpain_analysis.figures.funnel import as_pooled
from backpain_analysis.figures.style import (
    ACCENT,
    FAINT,
    INK,
    MUTED,
    TARGET,
    WIDTH,
    figure_style,
    shortened,
    tick_text,
)
from backpain_analysis.models import diagnostics
from backpain_analysis.models.pooling import PoolResult

ROW_HEIGHT, HEAD, FOOT = 0.17, 0.4, 0.3
"""Inches."""
LONGEST_LABEL = 24


@dataclass(frozen=True)
class Panel:
    """A diagnostic: its column, heading, where studies would lie, and limits of the unusual."""

    column: str
    heading: str
    centre: float
    limits: tuple[float, ...] = ()


def influence(result: PoolResult | Effects | pd.DataFrame) -> Figure:
    """Draw the diagnostics of `models.diagnostics.influence`, a row a study.

    As metafor's plot of them (Viechtbauer & Cheung 2010, doi 10.1002/jrsm.11), with the studies
    downwards so that their names can be read. Grey line: the value of all studies together, or
    of a study like the others (0, 1, 1/k). Dotted: 1.96 for studentised residuals,
    3 sqrt(1/(k - 1)) for DFFITS, the median of chi-square on one degree of freedom for Cook's
    distance, 3/k for hat values. Studies that are influential by metafor's rule are orange.

    Parameters
    ----------
    result : PoolResult, Effects or DataFrame
        Of independent studies; Effects and tables are pooled with the defaults of `pool`.

    Returns
    -------
    Figure
        A figure, not `Axes`: its eight axes are `figure.axes`, in the order rstudent, dffits,
        cook_d, cov_r, tau2_del, q_del, hat, weight.

    Raises
    ------
    ValueError
        For correlated contrasts and fewer than three studies.
    """
    pooled = as_pooled(result)
    table = diagnostics.influence(pooled)
    k = len(table)
    with figure_style():
        names = [shortened(label, LONGEST_LABEL) for label in table["label"]]
        figure = Figure(figsize=(WIDTH, HEAD + FOOT + ROW_HEIGHT * k))
        panels = _panels(pooled)
        room = {
            "left": (max(text_width(name, True) for name in names) + 16) / (72 * WIDTH),
            "right": 0.985,
            "top": 1 - HEAD / figure.get_figheight(),
            "bottom": FOOT / figure.get_figheight(),
            "wspace": 0.22,
        }
        grid = figure.subplots(1, len(panels), sharey=True, gridspec_kw=room)
        for axes, panel in zip(grid, panels, strict=True):
            _draw_panel(axes, table, panel)
        grid[0].set_yticks(range(k), names, fontsize=SIZE)
        for name, flagged in zip(grid[0].get_yticklabels(), table["influential"], strict=True):
            if flagged:
                name.set(color=TARGET, fontweight="bold")
    return figure


def _panels(pooled: PoolResult) -> list[Panel]:
    k = len(pooled.table)
    dffits = 3 * np.sqrt(1 / (k - 1))
    normal = float(special.ndtri(0.975))
    return [
        Panel("rstudent", "Studentised\nresidual", 0, (-normal, normal)),
        Panel("dffits", "DFFITS", 0, (-dffits, dffits)),
        Panel("cook_d", "Cook's\ndistance", 0, (float(special.chdtri(1, 0.5)),)),
        Panel("cov_r", "Covariance\nratio", 1),
        Panel("tau2_del", "τ² without", pooled.tau2),
        Panel("q_del", "Q without", pooled.q),
        Panel("hat", "Hat", 1 / k, (3 / k,)),
        Panel("weight", "Weight (%)", 100 / k),
    ]


def _draw_panel(ax: Axes, table: pd.DataFrame, panel: Panel) -> None:
    values = table[panel.column].to_numpy(dtype=float)
    rows = np.arange(len(values))
    flagged = table["influential"].to_numpy()
    for row in rows[flagged]:
        ax.axhspan(row - 0.5, row + 0.5, color=TARGET, alpha=0.1, lw=0, zorder=0, gid="row")
    ax.hlines(rows, panel.centre, values, color=FAINT, lw=1.0, zorder=1)
    ax.axvline(panel.centre, color=MUTED, lw=0.8, zorder=0.5, gid="centre")
    for limit in _shown(panel, values):
        ax.axvline(limit, color=INK, lw=0.8, ls=(0, (1, 2)), zorder=0.5, gid="limit")
    for which, colour, gid in ((~flagged, ACCENT, "study"), (flagged, TARGET, "influential")):
        ax.scatter(values[which], rows[which], s=16, color=colour, lw=0, zorder=2, gid=gid)
    ax.set_title(panel.heading, fontsize=SIZE, loc="center")
    ax.set_ylim(len(values) - 0.4, -0.6)
    ax.margins(x=0.12)
    ticks = _ticks(*ax.get_xlim())
    ends = (ticks[0], ticks[-1])
    ax.set_xticks(ticks, [tick_text(tick) if tick in ends else "" for tick in ticks])
    ax.tick_params(axis="x", labelsize=7)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def _ticks(low: float, high: float) -> list[float]:
    """Round values far enough apart, and from the edges, for the first and last to be written."""
    width = high - low
    for bins in range(2, 12):
        ticks = MaxNLocator(bins, steps=[1, 2, 5, 10]).tick_values(low, high)
        inside = [t for t in ticks if low + 0.06 * width <= t <= high - 0.06 * width]
        if len(inside) > 1 and inside[-1] - inside[0] >= 0.45 * width:
            break
    return inside


def _shown(panel: Panel, values: np.ndarray) -> list[float]:
    """Limits but those far beyond every study, which would press the studies together."""
    farthest = np.nanmax(np.abs(values), initial=0.0)
    return [limit for limit in panel.limits if abs(limit) <= 2 * farthest]
