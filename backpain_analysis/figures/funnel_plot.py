"""Funnel plot: effects against their precision, where small-study effects show as asymmetry."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy import special

from backpain_analysis.effects.table import Effects
from backpain_analysis.errors import require
from backpain_analysis.figures.show import remembers
from backpain_analysis.figures.style import (
    ACCENT,
    INK,
    MUTED,
    TARGET,
    WIDTH,
    figure_style,
    new_axes,
)
from backpain_analysis.models.pairwise.asymmetry import EggerTest, TrimAndFill
from backpain_analysis.models.pairwise.pooling import PoolResult, pool
from backpain_analysis.words import measured, tick_text

P_LIMITS = (0.1, 0.05, 0.01)

SHADES = ("white", "#cfcfcf", "#e0e0e0", "#efefef")
"""From P > 0.1 outwards to P < 0.01."""

GRID = 201

AXES = {
    "se": ("Standard error", lambda se: se),
    "precision": ("Precision (1 / standard error)", lambda se: 1 / se),
}
"""Label of the vertical axis, and its values of standard errors; both are their own inverse."""


@remembers
def funnel(
    result: PoolResult | Effects | pd.DataFrame,
    *,
    contour: bool = True,
    kind: Literal["se", "precision"] = "se",
    trim_and_fill: TrimAndFill | None = None,
    egger: EggerTest | None = None,
    xlabel: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Funnel plot, contour-enhanced (Peters et al. 2008, doi 10.1016/j.jclinepi.2007.11.010).

    Points are effects; the ground shows their two-sided P value against no effect,
    `2 Phi(-|yi| / se)`. Dashes are pseudo confidence limits, `estimate +- z se`: where effects
    would lie if sampling error alone made them differ (Sterne & Egger 2001,
    doi 10.1016/S0895-4356(01)00377-8).

    Parameters
    ----------
    result : PoolResult, Effects or DataFrame
        Effects and tables (`yi, vi` and perhaps `label`) are pooled with the defaults of `pool`.
    contour : bool
        Whether to shade P < 0.1, 0.05 and 0.01.
    kind : {"se", "precision"}
        The vertical axis: standard error, zero at the top; or its inverse.
    trim_and_fill : TrimAndFill, optional
        Of the same effects: its filled studies are hollow points, its estimate a dotted line.
    egger : EggerTest, optional
        Its line, `limit + slope se`.
    xlabel : str, optional
        By default what the effects measure.
    ax : Axes, optional
        By default on a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If there is nothing to draw, `kind` is unknown, or `trim_and_fill` is of other effects.

    Examples
    --------
    >>> yi, vi = [-12.0, -5.5, -9.1, -3.0, -15.2], [4.0, 6.2, 3.1, 5.0, 9.0]
    >>> ax = bp.figures.funnel(bp.pool(yi, vi), egger=bp.egger_test(yi, vi))
    >>> [text.get_text() for text in ax.get_legend().get_texts()][:4]
    ['Studies', 'Pooled effect', 'Pseudo 95% limits', "Egger's test, P = 0.643"]
    """
    if kind not in AXES:
        raise ValueError(f"unknown kind {kind!r}: use one of {', '.join(AXES)}.")
    pooled = as_pooled(result)
    filled = _filled(trim_and_fill, pooled)
    effects, se = pooled.table["yi"].to_numpy(), np.sqrt(pooled.table["vi"].to_numpy())
    label, height = AXES[kind]
    with figure_style():
        ax = new_axes(WIDTH, 4.8) if ax is None else ax
        heights = _vertical_limits(se, kind)
        grid = np.linspace(min(heights), max(heights), GRID)
        spread = height(grid)
        reach = special.ndtri((1 + pooled.level) / 2) * spread
        ax.set(xlim=_horizontal_limits(pooled, filled, contour), ylim=heights, autoscale_on=False)
        if contour:
            _draw_contours(ax, grid, spread)
            ax.axvline(0, color=INK, lw=0.7, zorder=1)
        ax.axvline(pooled.estimate, color=ACCENT, lw=1.2, zorder=1.2, gid="estimate")
        for side in (-1, 1):
            limit = pooled.estimate + side * reach
            ax.plot(limit, grid, color=ACCENT, lw=0.9, ls=(0, (4, 3)), zorder=1.2, gid="limit")
        if egger is not None:
            line = egger.limit + egger.slope * spread
            ax.plot(line, grid, color=TARGET, lw=1.4, zorder=1.5, gid="egger")
        if trim_and_fill is not None and len(filled):
            centre = trim_and_fill.filled.estimate
            ax.axvline(centre, color=INK, lw=1.2, ls=(0, (1, 2)), zorder=1.3, gid="filled-estimate")
        _draw_points(ax, filled["yi"], height(np.sqrt(filled["vi"])), "filled")
        _draw_points(ax, effects, height(se), "study")
        ax.xaxis.set_major_formatter(lambda value, _: tick_text(value))
        ax.set_xlabel(xlabel or effect_label(result))
        ax.set_ylabel(label)
        _draw_legend(ax, pooled, contour, trim_and_fill, egger)
    return ax


def as_pooled(result: PoolResult | Effects | pd.DataFrame) -> PoolResult:
    """What a figure of a pooled effect is given, pooled with the defaults of `pool` if not yet.

    Raises
    ------
    ValueError
        If a table has no column `yi` or `vi`, what it holds cannot be pooled, or it is no table.
    """
    if isinstance(result, PoolResult):
        return result
    if isinstance(result, Effects):
        return pool(result)
    require(result, "PoolResult", "Effects", "DataFrame")
    missing = [repr(name) for name in ("yi", "vi") if name not in result]
    if missing:
        raise ValueError(f"the table of effects has no column {', '.join(missing)}.")
    labels = list(result["label"]) if "label" in result else None
    return pool(result["yi"], result["vi"], labels=labels)


def effect_label(result: PoolResult | Effects | pd.DataFrame) -> str:
    """What the effects measure, as an axis says it."""
    return (
        measured(result.outcome, result.measure) if isinstance(result, Effects) else "Effect size"
    )


def _filled(trim_and_fill: TrimAndFill | None, pooled: PoolResult) -> pd.DataFrame:
    if trim_and_fill is None:
        return pooled.table.iloc[:0]
    table = trim_and_fill.table
    own, given = table[~table["filled"]], pooled.table
    if len(own) != len(given) or not np.allclose(own[["yi", "vi"]], given[["yi", "vi"]]):
        raise ValueError(
            f"trim_and_fill is of {len(own)} effect(s), which are not the {len(given)} to be "
            "drawn: give it the same result."
        )
    return table[table["filled"]]


def _vertical_limits(se: np.ndarray, kind: str) -> tuple[float, float]:
    """Bottom and top; the least precise study is at the bottom."""
    if kind == "se":
        return 1.06 * se.max(), 0.0
    return 0.85 / se.max(), 1.06 / se.min()


def _horizontal_limits(
    pooled: PoolResult, filled: pd.DataFrame, contour: bool
) -> tuple[float, float]:
    """Room for all points and the foot of the funnel, and for that of P > 0.1 where shaded."""
    widest = float(np.sqrt(pooled.table["vi"].max()))
    feet = [(pooled.estimate, (1 + pooled.level) / 2)]
    if contour:
        feet.append((0.0, 1 - P_LIMITS[0] / 2))
    values = [*pooled.table["yi"], *filled["yi"]]
    values += [x + side * special.ndtri(p) * widest for x, p in feet for side in (-1, 1)]
    low, high = min(values), max(values)
    space = 0.03 * (high - low)
    return low - space, high + space


def _draw_contours(ax: Axes, grid: np.ndarray, spread: np.ndarray) -> None:
    edges = [0.0, *special.ndtri(1 - np.array(P_LIMITS) / 2), np.inf]
    beyond = np.abs(ax.get_xlim()).max() * 2
    for shade, (inner, outer) in zip(SHADES, pairwise(edges), strict=True):
        far = np.full(len(grid), beyond) if np.isinf(outer) else outer * spread
        for side in (-1, 1):
            ax.fill_betweenx(
                grid, side * inner * spread, side * far, color=shade, lw=0, zorder=0, gid="contour"
            )


def _draw_points(ax: Axes, x: np.ndarray, y: np.ndarray, gid: str) -> None:
    face, edge = (INK, "white") if gid == "study" else ("white", INK)
    ax.scatter(x, y, s=26, facecolors=face, edgecolors=edge, lw=0.8, zorder=3, gid=gid)


def _draw_legend(
    ax: Axes,
    pooled: PoolResult,
    contour: bool,
    trim_and_fill: TrimAndFill | None,
    egger: EggerTest | None,
) -> None:
    dashes = (0, (4, 3))
    entries: list[Artist] = [
        _point("Studies", INK),
        Line2D([], [], color=ACCENT, lw=1.2, label="Pooled effect"),
        Line2D([], [], color=ACCENT, lw=0.9, ls=dashes, label=f"Pseudo {pooled.level:.0%} limits"),
    ]
    if trim_and_fill is not None:
        entries.append(_point(f"Filled in ({trim_and_fill.k0})", "white"))
        if trim_and_fill.k0:
            dots: dict[str, Any] = {"color": INK, "lw": 1.2, "ls": (0, (1, 2))}
            entries.append(Line2D([], [], label="Pooled with filled in", **dots))
    if egger is not None:
        p = "P < 0.001" if egger.p_value < 0.001 else f"P = {egger.p_value:.3f}"
        entries.append(Line2D([], [], color=TARGET, lw=1.4, label=f"Egger's test, {p}"))
    if contour:
        words = ("P > 0.10", "P 0.05 to 0.10", "P 0.01 to 0.05", "P < 0.01")
        entries += [
            Patch(fc=shade, ec=MUTED, lw=0.4, label=word)
            for shade, word in zip(SHADES, words, strict=True)
        ]
    ax.legend(handles=entries, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)


def _point(label: str, face: str) -> Line2D:
    edge = "white" if face == INK else INK
    return Line2D([], [], marker="o", ls="", ms=5.5, mfc=face, mec=edge, mew=0.8, label=label)
