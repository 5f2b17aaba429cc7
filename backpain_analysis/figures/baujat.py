"""Baujat plot: which studies make the heterogeneity, and which move the pooled effect."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from backpain_analysis.effects import Effects
from backpain_analysis.figures.columns import SIZE, text_width
from backpain_analysis.figures.funnel import as_pooled
from backpain_analysis.figures.style import (
    ACCENT,
    INK,
    MUTED,
    WIDTH,
    figure_style,
    new_axes,
    plain_ticks,
    shortened,
)
from backpain_analysis.models.diagnostics import leave_one_out
from backpain_analysis.models.pooling import PoolResult

LONGEST_LABEL = 32
DISTANCES = (5.0, 10.0, 16.0, 24.0, 34.0, 46.0, 60.0, 80.0)
"""Points from a study to its label; the first that is free is taken."""
DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))


def baujat(
    result: PoolResult | Effects | pd.DataFrame, *, labels: int = 6, ax: Axes | None = None
) -> Axes:
    """Plot each study's share in the heterogeneity against its influence on the pooled effect.

    Sources: Baujat et al. 2002 (doi 10.1002/sim.1221) for a common effect; as metafor for random
    effects. With `(i)` for "without study i": x is the squared Pearson residual,
    `(y_i - mu)^2 / (v_i + tau2)`, which for a common effect is the study's part of Cochran's Q;
    y is the squared change of the pooled effect, standardised, `(mu - mu_(i))^2 / se_(i)^2`.

    Parameters
    ----------
    result : PoolResult, Effects or DataFrame
        Of independent studies; Effects and tables are pooled with the defaults of `pool`.
    labels : int
        How many studies to name: those farthest out, as shares of the largest x and y.
    ax : Axes, optional
        By default on a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        For correlated contrasts and fewer than two studies.
    """
    pooled = as_pooled(result)
    others = leave_one_out(pooled)
    studies = pooled.table
    x = ((studies["yi"] - pooled.estimate) ** 2 / (studies["vi"] + pooled.tau2)).to_numpy()
    y = ((others["estimate"] - pooled.estimate) ** 2 / others["se"] ** 2).to_numpy()
    distance = np.hypot(_shares(x), _shares(y))
    named = np.argsort(-distance, kind="stable")[:labels]
    common = pooled.method == "CE"
    with figure_style():
        ax = new_axes(WIDTH, 4.6) if ax is None else ax
        colours = np.full(len(x), MUTED, dtype=object)
        colours[named] = ACCENT
        ax.scatter(
            x,
            y,
            s=30,
            c=list(colours),
            edgecolors="white",
            lw=0.7,
            zorder=3,
            gid="study",
        )
        ax.set(xlim=_limits(x), ylim=_limits(y))
        plain_ticks(ax)
        part = "contribution to Cochran's Q" if common else "squared Pearson residual"
        ax.set_xlabel(f"Heterogeneity: {part}")
        ax.set_ylabel("Influence on the pooled effect:\nsquared standardised change without it")
        label_points(ax, x, y, list(studies["label"]), named)
    return ax


def label_points(
    ax: Axes, x: np.ndarray, y: np.ndarray, labels: Sequence[str], named: Sequence[int]
) -> None:
    """Name points without covering points or names; a name that finds no room is left out.

    Parameters
    ----------
    ax : Axes
        With its limits and labels set: the figure is laid out to know what fits.
    x, y : ndarray, shape (k,)
    labels : sequence of str, length k
    named : sequence of int
        Rows to name, the most important first.
    """
    ax.get_figure(root=True).draw_without_rendering()
    points_per_pixel = 72 / ax.get_figure(root=True).dpi
    places = ax.transData.transform(np.column_stack([x, y])) * points_per_pixel
    room = Bbox(ax.bbox.get_points() * points_per_pixel)
    taken = [Bbox.from_bounds(px - 3.5, py - 3.5, 7, 7) for px, py in places]
    for row in named:
        text = shortened(labels[row], LONGEST_LABEL)
        found = _free_place(places[row], text_width(text), taken, room)
        if found is None:
            continue
        shift, box = found
        taken.append(box)
        far = np.hypot(*shift) > 1.5 * DISTANCES[0]
        corner = tuple((1 - np.sign(shift)) / 2)
        line = {"arrowstyle": "-", "color": MUTED, "lw": 0.5, "shrinkB": 3, "relpos": corner}
        ax.annotate(
            text,
            xy=(x[row], y[row]),
            xytext=shift,
            textcoords="offset points",
            ha=("right", "center", "left")[int(np.sign(shift[0])) + 1],
            va=("top", "center", "bottom")[int(np.sign(shift[1])) + 1],
            fontsize=SIZE,
            color=INK,
            arrowprops=line if far else None,
            parse_math=False,
            gid="label",
        )


def _free_place(
    place: np.ndarray, width: float, taken: list[Bbox], room: Bbox
) -> tuple[tuple[float, float], Bbox] | None:
    """Shift and box, in points, of a name beside a point."""
    height = 1.3 * SIZE
    for distance in DISTANCES:
        for right, up in DIRECTIONS:
            shift = (right * distance, up * distance)
            left = place[0] + shift[0] + width * (right - 1) / 2
            bottom = place[1] + shift[1] + height * (up - 1) / 2
            box = Bbox.from_bounds(left, bottom, width, height)
            inside = room.x0 <= box.x0 and box.x1 <= room.x1 and room.y0 <= box.y0
            if inside and box.y1 <= room.y1 and not box.count_overlaps(taken):
                return shift, box
    return None


def _limits(values: np.ndarray) -> tuple[float, float]:
    largest = values.max() or 1.0
    return -0.02 * largest, 1.05 * largest


def _shares(values: np.ndarray) -> np.ndarray:
    largest = values.max()
    return values / largest if largest > 0 else values
