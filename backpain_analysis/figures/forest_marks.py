"""What forests are drawn with: frame, diamonds, prediction bars, columns of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Polygon, Rectangle

from backpain_analysis.figures.letters import LETTERS, TEXTS
from backpain_analysis.figures.style import ACCENT, BAND, INK, MUTED, TARGET
from backpain_analysis.models.bayes.posterior import PooledPosterior
from backpain_analysis.models.pairwise.pooling import PoolResult
from backpain_analysis.words import plain_number, tick_text

SIZE = 7.5

GAP = 10.0
"""Points: size of the text, space between columns."""


@dataclass(frozen=True)
class Cell:
    """A piece of text in a row.

    Attributes
    ----------
    text : str
    bold, muted : bool
    spans : bool
        May run over the columns to its right, so that it does not widen its own.
    """

    text: str
    bold: bool = False
    muted: bool = False
    spans: bool = False

    @property
    def width(self) -> float:
        """In points."""
        return text_width(self.text, self.bold)


class Pooled(Protocol):
    """An effect with its intervals and what it rests on, as `PoolResult` has them."""

    @property
    def estimate(self) -> float: ...
    @property
    def ci_low(self) -> float: ...
    @property
    def ci_high(self) -> float: ...
    @property
    def pi_low(self) -> float: ...
    @property
    def pi_high(self) -> float: ...
    @property
    def n_trials(self) -> int: ...
    @property
    def n_participants(self) -> float | None: ...
    @property
    def level(self) -> float: ...


@dataclass(frozen=True)
class Column:
    """A heading and one cell (or none) a row."""

    heading: str
    cells: Sequence[Cell | None]
    align: Literal["left", "right"] = "right"

    @property
    def width(self) -> float:
        """In points."""
        heading = max(text_width(line, True) for line in self.heading.split("\n"))
        return max([heading, *(cell.width for cell in self.cells if cell and not cell.spans)])


@lru_cache(TEXTS)
def text_width(text: str, bold: bool = False) -> float:
    """Width of a line of text in points."""
    font = FontProperties(family=["DejaVu Sans"], size=SIZE, weight="bold" if bold else "normal")
    return LETTERS.get_text_width_height_descent(text, font, ismath=False)[0]


def draw_columns(
    axes: Axes, left: Sequence[Column], right: Sequence[Column], heading_y: float
) -> None:
    """Write columns left and right of the axes; cell `i` stands at y = i, headings at `heading_y`.

    Headings hang above `heading_y` (data coordinates).
    """
    room = sum(column.width + GAP for column in left)
    spanning = [cell.width + GAP for cell in left[0].cells if cell and cell.spans]
    _draw(axes, left, 0.0, -max([room, *spanning]), heading_y)
    _draw(axes, right, 1.0, GAP, heading_y)


def _draw(
    axes: Axes, columns: Sequence[Column], edge: float, start: float, heading_y: float
) -> None:
    for column in columns:
        shift = start if column.align == "left" else start + column.width
        start += column.width + GAP
        heading = Cell(column.heading, bold=True)
        _write(axes, heading, edge, shift, heading_y, column.align, "bottom")
        widest = max((cell.width for cell in column.cells if cell), default=0.0)
        for row, cell in enumerate(column.cells):
            if cell:
                counts = cell.width == widest
                _write(axes, cell, edge, shift, row, column.align, "center_baseline", counts)


def _write(
    axes: Axes,
    cell: Cell,
    edge: float,
    shift: float,
    y: float,
    align: str,
    vertical: str,
    counts: bool = True,
) -> None:
    """Write a cell; `counts` if the layout must make room for it."""
    axes.annotate(
        cell.text,
        xy=(edge, y),
        xycoords=axes.get_yaxis_transform(),
        xytext=(shift, 0),
        textcoords="offset points",
        ha=align,
        va=vertical,
        fontsize=SIZE,
        fontweight="bold" if cell.bold else "normal",
        color=MUTED if cell.muted else INK,
        annotation_clip=False,
        parse_math=False,
        in_layout=counts,
    )


def heterogeneity_line(pooled: PoolResult | PooledPosterior) -> str:
    """Between-trial variance, I2 and Cochran's test, as printed under a diamond.

    Of a posterior, the median of tau and its shortest credible interval.
    """
    if isinstance(pooled, PooledPosterior):
        return f"τ {interval_text(pooled.tau, *pooled.tau_int())}"
    if pooled.q_df < 1:
        return "Heterogeneity: one effect, not estimable"
    p = "p < 0.001" if pooled.q_p < 0.001 else f"p = {pooled.q_p:.3f}"
    tau2 = plain_number(pooled.tau2, 1 if pooled.tau2 >= 1 or pooled.tau2 == 0 else 3)
    test = f"Q = {pooled.q:.1f}, df = {pooled.q_df}, {p}"
    return f"τ² = {tau2}, I² = {pooled.i2:.0f}%; {test}"


def interval_text(estimate: float, low: float, high: float, ratio: bool = False) -> str:
    """An estimate and its interval: "−4.2 [−7.0, −1.4]"; two decimals of ratios and below 3."""
    places = 2 if ratio or max(abs(estimate), abs(low), abs(high)) < 3 else 1
    centre, *limits = (plain_number(value, places) for value in (estimate, low, high))
    return f"{centre} [{', '.join(limits)}]"


def prediction_text(estimate: float, low: float, high: float, ratio: bool = False) -> str:
    """A prediction interval: "[−7.0, −1.4]", or a dash where there is none."""
    if not np.isfinite(low):
        return "–"
    text = interval_text(estimate, low, high, ratio)
    return text[text.index("[") :]


def draw_frame(ax: Axes, benefit: int, threshold: float | None, xlabel: str) -> None:
    """What every forest has: zero line, MCID line, which side favours what, a bare x axis.

    Parameters
    ----------
    ax : Axes
        With its limits set.
    benefit : {-1, 0, 1}
        Sign of an effect that favours exercise; 0 where neither side does.
    threshold : float, optional
        The MCID with its sign.
    xlabel : str
    """
    ax.axvline(0, color=INK, lw=0.8, zorder=0.5)
    if threshold is not None:
        ax.axvline(threshold, color=TARGET, lw=0.9, ls=(0, (4, 3)), zorder=0.4, gid="mcid")
        low, high = ax.get_xlim()
        place = (threshold - low) / (high - low)
        side = "left" if place < 0.2 else "right" if place > 0.8 else "center"
        _note(ax, f"MCID {tick_text(threshold)}", threshold, 1, (0, 2.5), side, "bottom", TARGET)
    ax.plot([0, 1], [1, 1], transform=ax.transAxes, color=INK, lw=0.7, clip_on=False)
    ax.spines["left"].set_visible(False)
    ax.set_yticks([])
    ax.locator_params(axis="x", nbins=6)
    ax.xaxis.set_major_formatter(lambda value, _: tick_text(value))
    ax.set_xlabel(xlabel, labelpad=13 if benefit else 4)
    if not benefit:
        return
    left, right = ("exercise", "control") if benefit < 0 else ("control", "exercise")
    _note(ax, f"◂ favours {left}", 0, 0, (-4, -18), "right", "top", MUTED)
    _note(ax, f"favours {right} ▸", 0, 0, (4, -18), "left", "top", MUTED)


def diamond(ax: Axes, y: float, pooled: Pooled, colour: str = ACCENT) -> None:
    """A pooled effect as a diamond from limit to limit of its confidence interval."""
    corners = [
        (pooled.ci_low, y),
        (pooled.estimate, y - 0.33),
        (pooled.ci_high, y),
        (pooled.estimate, y + 0.33),
    ]
    ax.add_patch(Polygon(corners, closed=True, fc=colour, ec=colour, lw=0.5, gid="diamond"))


def prediction_bar(ax: Axes, y: float, pooled: Pooled, limits: tuple[float, float]) -> None:
    """A prediction interval, if there is one, as a thin bar cut at the limits of the plot."""
    if not np.isfinite(pooled.pi_low):
        return
    low, high = max(pooled.pi_low, limits[0]), min(pooled.pi_high, limits[1])
    ax.add_patch(
        Rectangle((low, y - 0.1), high - low, 0.2, fc=BAND, ec="none", zorder=0.8, gid="pi")
    )
    cut_arrows(ax, y, pooled.pi_low, pooled.pi_high, limits, BAND)


def cut_arrows(
    ax: Axes, y: float, low: float, high: float, limits: tuple[float, float], colour: str
) -> None:
    """Arrows at the edges of the plot that an interval runs over."""
    for cut, edge, marker in (
        (low < limits[0], limits[0], "<"),
        (high > limits[1], limits[1], ">"),
    ):
        if cut:
            ax.plot(edge, y, marker=marker, ms=4, color=colour, mec="none", clip_on=False)


def _note(
    ax: Axes,
    text: str,
    x: float,
    height: float,
    shift: tuple[float, float],
    side: str,
    vertical: str,
    colour: str,
) -> None:
    """Small text at a data x and a height of the axes (0 bottom, 1 top), shifted in points."""
    ax.annotate(
        text,
        xy=(x, height),
        xycoords=ax.get_xaxis_transform(),
        xytext=shift,
        textcoords="offset points",
        ha=side,
        va=vertical,
        fontsize=7,
        color=colour,
        annotation_clip=False,
    )
