"""Power and precision of a trial design by its size."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from backpain_analysis.figures.style import (
    ACCENT,
    MUTED,
    TARGET,
    WIDTH,
    figure_style,
    legend_below,
    new_axes,
    number,
    tick_text,
)
from backpain_analysis.models.participants.power_result import PowerResult


def power(
    result: PowerResult, *, show: str = "power", target: float = 0.8, ax: Axes | None = None
) -> Axes:
    """Draw how a simulated design gains by size.

    Points: simulated sizes; bars: their 95% Monte-Carlo intervals.

    Parameters
    ----------
    result : PowerResult
    show : {"power", "width"}
        Power to show the effect, with a line at `target` and, where it is reached within the
        sizes simulated, the size that it takes; or the mean width of the confidence interval.
    target : float
        Power aimed at.
    ax : Axes, optional
        By default on a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        For another `show`, or a target that is no power.
    """
    if show not in ("power", "width"):
        raise ValueError(f"show {show!r} must be 'power' or 'width'.")
    needed = result.n_for(target)["n"]
    with figure_style():
        ax = new_axes(WIDTH, 4.0) if ax is None else ax
        draw = _draw_power if show == "power" else _draw_width
        draw(ax, result)
        if show == "power":
            _draw_target(ax, result, target, needed)
        of = "" if result.n_trials == 1 else f" of each of {result.n_trials} trials"
        ax.set_xlabel(f"Participants randomised to each arm{of}")
        ax.xaxis.set_major_formatter(lambda value, _: tick_text(value))
        ax.margins(x=0.05)
    return ax


def _draw_power(ax: Axes, result: PowerResult) -> None:
    table = 100 * result.table[["power", "power_low", "power_high"]]
    _draw_points(ax, result, *table.to_numpy().T)
    ax.set_ylim(0, 103)
    ax.set_ylabel(
        f"Power to show {number(result.effect)} points (%)\n"
        f"{result.dose:g} against {result.reference:g} minutes per week, week {result.week:g}"
    )


def _draw_width(ax: Axes, result: PowerResult) -> None:
    width, error = result.table[["width", "width_se"]].to_numpy().T
    _draw_points(ax, result, width, width - 1.96 * error, width + 1.96 * error)
    ax.set_ylim(0, None)
    ax.set_ylabel(
        f"Mean width of the {result.level:.0%} interval (points)\n"
        f"{result.dose:g} against {result.reference:g} minutes per week, week {result.week:g}"
    )


def _draw_points(
    ax: Axes, result: PowerResult, value: np.ndarray, low: np.ndarray, high: np.ndarray
) -> None:
    size = result.table["n_per_arm"]
    ax.vlines(size, low, high, color=ACCENT, lw=1.2, gid="interval")
    ax.plot(size, value, color=ACCENT, marker="o", ms=4, zorder=3, gid="line")


def _draw_target(ax: Axes, result: PowerResult, target: float, needed: float) -> None:
    ax.axhline(100 * target, color=MUTED, lw=0.9, ls=(0, (4, 3)), gid="target")
    entries = [
        Line2D([], [], color=ACCENT, marker="o", ms=4, label="Power, 95% simulation interval"),
        Line2D([], [], color=MUTED, lw=0.9, ls=(0, (4, 3)), label=f"{target:.0%} power"),
    ]
    sizes = result.table["n_per_arm"]
    if sizes.min() < needed <= sizes.max():
        ax.axvline(needed, color=TARGET, lw=1.2, zorder=2, gid="needed")
        label = f"About {np.ceil(needed):.0f} per arm"
        entries.append(Line2D([], [], color=TARGET, lw=1.2, label=label))
    legend_below(ax, entries, ncols=3)
