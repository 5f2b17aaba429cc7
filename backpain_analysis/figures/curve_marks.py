"""What figures of a fitted curve share: the curve, the MCID and brackets below the data."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from backpain_analysis.figures.style import ACCENT, BAND, FAINT, TARGET, tick_text

MOST_TYPES = 8
FOOT, LANE = 0.03, 0.085
"""Heights of the rug and of a bracket, as shares of the axes."""


def draw_curve(ax: Axes, curve: pd.DataFrame, x: str) -> None:
    """Mean effect over column `x`, its confidence band and the ends of its prediction interval."""
    doses = curve[x]
    ax.fill_between(
        doses, curve["ci_low"], curve["ci_high"], color=BAND, lw=0, zorder=1, gid="band"
    )
    for limit in ("pi_low", "pi_high"):
        ax.plot(doses, curve[limit], color=ACCENT, lw=0.8, ls=(0, (4, 3)), alpha=0.7, gid="pi")
    ax.plot(doses, curve["estimate"], color=ACCENT, lw=1.9, zorder=3, gid="curve")


def set_heights(
    ax: Axes, curve: pd.DataFrame, heights: np.ndarray, threshold: float | None, lanes: int
) -> None:
    """Limits that hold points, curve, MCID, most of the intervals, and a strip for brackets."""
    values = [0.0, *heights, *curve["estimate"], *([] if threshold is None else [threshold])]
    low, high = min(values), max(values)
    reach = high - low
    for limits, share in (("ci", 0.5), ("pi", 0.25)):
        low = np.fmin(low, np.maximum(curve[f"{limits}_low"].min(), min(values) - share * reach))
        high = np.fmax(high, np.minimum(curve[f"{limits}_high"].max(), max(values) + share * reach))
    space = 0.06 * (high - low)
    low, high = low - space, high + space
    strip = FOOT + LANE * lanes
    bottom = high - (high - low) / (1 - strip)
    ax.set_ylim(bottom, high)
    if lanes:
        ticks = [tick for tick in ax.get_yticks() if low <= tick <= high]
        ax.set_yticks(ticks)
        ax.set_ylim(bottom, high)
        ax.spines["left"].set_bounds(low, high)
        ax.spines["bottom"].set_zorder(5)
        ax.axhspan(bottom, low, color="white", lw=0, zorder=4.4)
        ax.plot([0, 1], [strip] * 2, transform=ax.transAxes, color=FAINT, lw=0.6, zorder=4.5)


def draw_threshold(ax: Axes, threshold: float) -> None:
    """The MCID as a dashed line, named beside the axes."""
    ax.axhline(threshold, color=TARGET, lw=0.9, ls=(0, (4, 3)), zorder=1.6, gid="mcid")
    ax.annotate(
        f"MCID\n{tick_text(threshold)}",
        xy=(1, threshold),
        xycoords=ax.get_yaxis_transform(),
        xytext=(3, 0),
        textcoords="offset points",
        va="center",
        fontsize=7.5,
        color=TARGET,
        annotation_clip=False,
    )


def draw_bracket(
    ax: Axes,
    text: str,
    place: tuple[float, float, float],
    bounds: tuple[float, float],
    colour: str,
    lane: int,
) -> None:
    """A place on the horizontal axis with its interval, in one of the lanes below the data.

    Parameters
    ----------
    ax : Axes
        With its limits set.
    text : str
    place : (estimate, low, high)
        The estimate may be missing. Limits that are missing or out of bounds are drawn as arrows.
    bounds : (first, last)
        What the data reach.
    colour : str
    lane : int
        Counted from below.
    """
    (estimate, low, high), (first, last) = place, bounds
    height = FOOT + LANE * (lane + 0.28)
    line = {"transform": ax.get_xaxis_transform(), "color": colour, "zorder": 5}
    left, right = low if low >= first else first, high if high <= last else last
    ax.plot([left, right], [height] * 2, lw=1.2, gid="bracket", **line)
    ax.plot(left, height, marker="|" if low >= first else "<", ms=5, ls="", **line)
    ax.plot(right, height, marker="|" if high <= last else ">", ms=5, ls="", **line)
    ax.plot(estimate, height, marker="o", ms=5, ls="", gid="dose-mark", **line)
    at = left if np.isnan(estimate) else min(estimate, last)
    rightwards = at < sum(ax.get_xlim()) / 2
    ax.annotate(
        text,
        xy=(at, height),
        xycoords=ax.get_xaxis_transform(),
        xytext=(-4 if rightwards else 4, 4),
        textcoords="offset points",
        ha="left" if rightwards else "right",
        va="bottom",
        fontsize=7.5,
        color=colour,
        zorder=5,
    )


def shown_types(types: Iterable[str]) -> list[str]:
    """Types with a colour of their own in this figure; the rarest are "other" where too many."""
    words = pd.Series(list(types), dtype=object).astype(str)
    counts = words.value_counts(sort=False).sort_values(ascending=False, kind="stable")
    if len(counts) <= MOST_TYPES:
        return list(words)
    return list(words.where(words.isin(counts.index[: MOST_TYPES - 1]), "other types"))


def circle(label: str, colour: str, *, hollow: bool = False) -> Line2D:
    """An entry of a legend: a circle, filled or hollow."""
    face = {"mfc": "none", "mew": 1.3} if hollow else {"mew": 0}
    return Line2D([], [], marker="o", ls="", ms=6.5, color=colour, label=label, **face)
