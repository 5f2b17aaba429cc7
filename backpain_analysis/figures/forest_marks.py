"""The marks forests share: frame, diamonds, prediction bars, arrows, and their numbers as text."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Polygon, Rectangle

from backpain_analysis.figures.style import ACCENT, BAND, INK, MUTED, TARGET, number, tick_text
from backpain_analysis.models.pooling import PoolResult


def heterogeneity_line(pooled: PoolResult) -> str:
    """Between-trial variance, I2 and Cochran's test, as printed under a diamond."""
    if pooled.q_df < 1:
        return "Heterogeneity: one effect, not estimable"
    p = "p < 0.001" if pooled.q_p < 0.001 else f"p = {pooled.q_p:.3f}"
    tau2 = number(pooled.tau2, 1 if pooled.tau2 >= 1 or pooled.tau2 == 0 else 3)
    test = f"Q = {pooled.q:.1f}, df = {pooled.q_df}, {p}"
    return f"τ² = {tau2}, I² = {pooled.i2:.0f}%; {test}"


def interval_text(estimate: float, low: float, high: float) -> str:
    """An estimate and its interval: "−4.2 [−7.0, −1.4]"; two decimals where all are below 3."""
    places = 2 if max(abs(estimate), abs(low), abs(high)) < 3 else 1
    return f"{number(estimate, places)} [{number(low, places)}, {number(high, places)}]"


def prediction_text(pooled: PoolResult) -> str:
    """A prediction interval: "[−7.0, −1.4]", or a dash where there is none."""
    if not np.isfinite(pooled.pi_low):
        return "–"
    text = interval_text(pooled.estimate, pooled.pi_low, pooled.pi_high)
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


def diamond(ax: Axes, y: float, pooled: PoolResult, colour: str = ACCENT) -> None:
    """A pooled effect as a diamond from limit to limit of its confidence interval."""
    corners = [
        (pooled.ci_low, y),
        (pooled.estimate, y - 0.33),
        (pooled.ci_high, y),
        (pooled.estimate, y + 0.33),
    ]
    ax.add_patch(Polygon(corners, closed=True, fc=colour, ec=colour, lw=0.5, gid="diamond"))


def prediction_bar(ax: Axes, y: float, pooled: PoolResult, limits: tuple[float, float]) -> None:
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
