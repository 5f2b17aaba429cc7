"""Comparison-adjusted funnel plot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from scipy import special

from backpain_analysis.figures.style import (
    ACCENT,
    INK,
    WIDTH,
    exercise_label,
    figure_style,
    new_axes,
    tick_text,
)

if TYPE_CHECKING:
    from backpain_analysis.models.network.funnel import ComparisonAdjustedFunnel

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e6b832", "#4b9fd1", "#7f7f7f")
MARKERS = "osD^vP"


def network_funnel(funnel: ComparisonAdjustedFunnel, *, ax: Axes | None = None) -> Axes:
    """Comparisons around their direct means (Chaimani & Salanti 2012, doi 10.1002/jrsm.57).

    Parameters
    ----------
    funnel : ComparisonAdjustedFunnel
    ax : Axes, optional
        By default on a new figure.

    Returns
    -------
    Axes
    """
    table = funnel.table
    deepest = 1.06 * float(table["sei"].max())
    grid = np.linspace(0, deepest, 50)
    with figure_style():
        ax = new_axes(WIDTH, 4.4) if ax is None else ax
        ax.axvline(0, color=ACCENT, lw=1.2)
        for side in (-1, 1):
            ax.plot(side * special.ndtri(0.975) * grid, grid, color=ACCENT, lw=0.9, ls="--")
        groups = table.groupby(["treatment", "versus"], sort=True)
        for number, ((first, second), own) in enumerate(groups):
            ax.scatter(
                own["centred"],
                own["sei"],
                s=26,
                marker=MARKERS[number // len(COLOURS) % len(MARKERS)],
                color=COLOURS[number % len(COLOURS)],
                edgecolors="white",
                lw=0.6,
                label=f"{exercise_label(first)} – {exercise_label(second)} ({len(own)})",
                zorder=3,
            )
        if np.isfinite(funnel.intercept):
            line = funnel.intercept * grid
            ax.plot(line, grid, color=INK, lw=1.1, ls=":", label=f"Egger, P = {funnel.p_value:.2g}")
        ax.set(ylim=(deepest, 0), ylabel="Standard error")
        ax.set_xlabel("Difference minus the direct mean of its comparison")
        ax.xaxis.set_major_formatter(lambda value, _: tick_text(value))
        ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=6)
    return ax
