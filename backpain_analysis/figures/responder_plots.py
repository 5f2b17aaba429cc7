"""Shares of people who respond: by dose, and with and without exercise."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from backpain_analysis.errors import require
from backpain_analysis.figures.forest_marks import Cell, Column, draw_columns
from backpain_analysis.figures.show import remembers
from backpain_analysis.figures.style import (
    ACCENT,
    FAINT,
    INK,
    MUTED,
    WIDTH,
    figure_style,
    legend_below,
    new_axes,
)
from backpain_analysis.models.pairwise.responders import TrialResponders
from backpain_analysis.models.people.responders import Responders
from backpain_analysis.models.results import quantile
from backpain_analysis.words import dose_measure_label, plain_number, shortened

ROW_HEIGHT = 0.3

LABEL_LENGTH = 44


@remembers
def responders(
    result: Responders, *, dose_label: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the share of responders in each group of dose, with its interval and NNT.

    Parameters
    ----------
    result : Responders
    dose_label : str, optional
        Of the horizontal axis.
    ax : Axes, optional
        By default on a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> people = bp.load_participants()
    >>> ax = bp.figures.responders(bp.responders(people, week=12, mcid=15))
    >>> ax.get_xlabel(), [label.get_text() for label in ax.get_xticklabels()]
    ('Minutes per week', ['0', '60', '120', '240'])
    """
    require(result, "Responders")
    shares = result.shares
    places = np.arange(len(shares), dtype=float)
    needed = result.differences.set_index("group")["nnt"]
    with figure_style():
        ax = new_axes(WIDTH, 3.9) if ax is None else ax
        ax.bar(places, shares["share"], width=0.62, color=FAINT, zorder=1, gid="share")
        errors = np.abs(shares[["ci_low", "ci_high"]].T.to_numpy() - shares["share"].to_numpy())
        ax.errorbar(
            places, shares["share"], yerr=errors, fmt="o", ms=5, color=ACCENT, lw=1.4, zorder=3
        )
        for place, row in zip(places, shares.itertuples(), strict=True):
            text = f"{row.responders:.0f} of {row.n:.0f}"
            if row.group in needed:
                estimate, _, interval = needed[row.group].partition(" (")
                text += f"\n{estimate}\n({interval.removeprefix(f'{result.level:.0%} CI ')}"
            ax.annotate(
                text,
                xy=(place, row.ci_high),
                xytext=(0, 4),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=7.5,
                color=MUTED,
            )
        ax.set_xticks(places, shares["group"])
        ax.set_xlim(-0.6, len(shares) - 0.4)
        ax.set_ylim(0, min(1.28, 1.3 * shares["ci_high"].max() + 0.05))
        ticks = [tick for tick in ax.get_yticks() if 0 <= tick <= 1]
        ax.set_yticks(ticks, [f"{tick:.0%}" for tick in ticks])
        ax.set_ylim(0, min(1.28, 1.3 * shares["ci_high"].max() + 0.05))
        name = result.dose_name
        ax.set_xlabel(dose_label or dose_measure_label(name))
        ax.set_ylabel(f"Improved by {result.response.text}\nat week {result.week:g}")
    return ax


@remembers
def trial_responders(result: TrialResponders, *, ax: Axes | None = None) -> Axes:
    """Draw the share of responders without and with exercise, a row a contrast.

    Parameters
    ----------
    result : TrialResponders
    ax : Axes, optional
        With room for text on both sides; by default on a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> yoga = bp.load_evidence().filter(population=bp.BACK_PAIN, exercise_type="yoga")
    >>> ax = bp.figures.trial_responders(bp.responders_from_means(yoga, "pain_intensity"))
    >>> ax.get_xlabel()
    'People who improved by 15 points or more'
    """
    require(result, "TrialResponders")
    table = result.effects.table.sort_values("yi", ascending=False, kind="stable")
    level = result.difference.level
    half = quantile(level, np.inf) * np.sqrt(table["vi"].to_numpy(dtype=float))
    with figure_style():
        rows = len(table) + 1
        ax = new_axes(WIDTH, 1.25 + ROW_HEIGHT * rows) if ax is None else ax
        ax.set_ylim(rows - 0.3, -0.8)
        ax.set_xlim(0, 1)
        for place, row in enumerate(table.itertuples()):
            _draw_row(ax, place, row.ref_share, row.share)
        found, control = result.summary().loc["difference"], result.control_share
        pooled = float(np.clip(control + found["estimate"], 0, 1))
        ax.axhline(rows - 1.5, color=FAINT, lw=0.8)
        _draw_row(ax, rows - 1, control, pooled)
        labels = [Cell(shortened(label, LABEL_LENGTH)) for label in table["label"]]
        differences = [
            Cell(_points(value, value - reach, value + reach))
            for value, reach in zip(table["yi"], half, strict=True)
        ]
        mean = Cell(_points(found["estimate"], found["ci_low"], found["ci_high"]), bold=True)
        heading = f"Difference, points\n[{level:.0%} CI]"
        left = Column("", [*labels, Cell("All trials", bold=True)], align="left")
        draw_columns(ax, [left], [Column(heading, [*differences, mean])], -0.75)
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        ticks = np.linspace(0, 1, 6)
        ax.set_xticks(ticks, [f"{tick:.0%}" for tick in ticks])
        ax.set_xlabel(f"People who improved by {result.response.text}")
        entries = [
            Line2D([], [], marker="o", ls="", mfc="white", mec=INK, label="Without exercise"),
            Line2D([], [], marker="o", ls="", color=ACCENT, label="With exercise"),
        ]
        legend_below(ax, entries, ncols=2, drop=4.0)
    return ax


def _draw_row(ax: Axes, place: float, without: float, treated: float) -> None:
    ax.plot([without, treated], [place] * 2, color=FAINT, lw=3, zorder=1, solid_capstyle="butt")
    ax.plot(without, place, "o", mfc="white", mec=INK, ms=6, zorder=3, gid="without")
    ax.plot(treated, place, "o", color=ACCENT, ms=6, zorder=2, gid="with")


def _points(estimate: float, low: float, high: float) -> str:
    """A difference in percentage points with its interval."""
    numbers = [plain_number(100 * value, 0) for value in (estimate, low, high)]
    return f"{numbers[0]} [{numbers[1]}, {numbers[2]}]"
