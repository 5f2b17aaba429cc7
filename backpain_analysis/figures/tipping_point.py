"""The effect of a dose as dropouts are taken to be worse and worse."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from backpain_analysis.figures.style import (
    ACCENT,
    BAND,
    INK,
    MUTED,
    TARGET,
    WIDTH,
    figure_style,
    legend_below,
    new_axes,
    number,
    plain_ticks,
)
from backpain_analysis.models.participants.tipping_point import TippingPoint


def tipping_point(
    result: TippingPoint,
    *,
    mcid: float | None = None,
    effect_label: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a tipping-point analysis.

    Line: effect of the dose at each delta; band: its confidence interval; vertical line: the delta
    at which the interval first includes zero. The axis above gives the mean score that dropouts
    from exercise are then taken to have had, to judge whether that is plausible. Source: Permutt
    2016 (doi 10.1002/sim.6753).

    Parameters
    ----------
    result : TippingPoint
    mcid : float, optional
        Minimal clinically important difference (its size): a line on the side of the effect.
    effect_label : str, optional
        Of the vertical axis.
    ax : Axes, optional
        By default on a new figure.

    Returns
    -------
    Axes
    """
    table = result.table
    delta = table["delta"].to_numpy()
    label = f"Effect of {result.dose:g} against {result.reference:g} "
    label += f"{result.dose_name.replace('_', ' ')}\nat week {result.week:g} (points)"
    with figure_style():
        ax = new_axes(WIDTH, 4.4) if ax is None else ax
        ax.fill_between(
            delta, table["ci_low"], table["ci_high"], color=BAND, lw=0, zorder=1, gid="band"
        )
        ax.plot(delta, table["estimate"], color=ACCENT, lw=1.9, zorder=3, gid="line")
        ax.axhline(0, color=INK, lw=0.8, zorder=2)
        if mcid is not None:
            threshold = np.copysign(abs(mcid), table["estimate"].iloc[0])
            ax.axhline(threshold, color=MUTED, lw=0.9, ls=(0, (4, 3)), gid="mcid")
        if np.isfinite(result.tipping):
            ax.axvline(result.tipping, color=TARGET, lw=1.3, zorder=2.5, gid="tipping")
        ax.set_xlim(delta.min(), delta.max())
        plain_ticks(ax)
        ax.set_xlabel("Delta: how much worse dropouts from exercise were than predicted (points)")
        ax.set_ylabel(effect_label or label)
        if table["mean_imputed"].notna().all():
            _draw_upper_axis(ax, result)
        _draw_legend(ax, result, mcid is not None)
    return ax


def _draw_upper_axis(ax: Axes, result: TippingPoint) -> None:
    """Mean imputed scores, which move with delta point by point."""
    mean = result.table["mean_imputed"].to_numpy()
    upper = ax.secondary_xaxis("top")
    ticks = [tick for tick in ax.get_xticks() if 0 <= tick <= result.table["delta"].max()]
    sign = np.sign(mean[-1] - mean[0])
    upper.set_xticks(ticks, [number(mean[0] + sign * tick, 0) for tick in ticks])
    observed = number(result.mean_observed, 0)
    upper.set_xlabel(
        f"Mean score of dropouts from exercise at week {result.week:g} (observed: {observed})"
    )
    upper.spines["top"].set_visible(True)


def _draw_legend(ax: Axes, result: TippingPoint, mcid: bool) -> None:
    entries = [
        Line2D([], [], color=ACCENT, lw=1.9, label="Mean effect"),
        Patch(color=BAND, label=f"{result.level:.0%} confidence interval"),
    ]
    if np.isfinite(result.tipping):
        tip = f"Tipping point: {number(result.tipping)} points"
        entries.append(Line2D([], [], color=TARGET, lw=1.3, label=tip))
    if mcid:
        dashes = {"lw": 0.9, "ls": (0, (4, 3))}
        entries.append(Line2D([], [], color=MUTED, label="MCID", **dashes))
    legend_below(ax, entries, ncols=2)
