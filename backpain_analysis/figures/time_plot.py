"""The effect of exercise over time, with the trials it was fitted to."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from backpain_analysis.answers.sentences import weeks_told
from backpain_analysis.errors import require
from backpain_analysis.figures.dose_plot import (
    circle,
    draw_bracket,
    draw_curve,
    draw_threshold,
    set_heights,
    shown_types,
)
from backpain_analysis.figures.show import remembers
from backpain_analysis.figures.style import (
    ACCENT,
    BAND,
    INK,
    MUTED,
    WIDTH,
    exercise_colour,
    figure_style,
    legend_below,
    new_axes,
    plain_ticks,
)
from backpain_analysis.models.time.course import TimeCourseResult, TimeEstimate
from backpain_analysis.words import as_benefit, exercise_label, measured

GRID = 401

LARGEST_AREA = 200.0
"""Square points."""


@remembers
def time_course(
    result: TimeCourseResult,
    *,
    mcid: float | None = None,
    effect_label: str | None = None,
    annotate: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw the effect over the weeks since randomisation.

    Line: mean effect; band: its confidence interval; dashes: the prediction interval of a new
    trial. Circles: contrasts, their area proportional to `1/vi`, those of one arm at several times
    joined by a line.

    Parameters
    ----------
    result : TimeCourseResult
    mcid : float, optional
        Minimal clinically important difference (its size): a line on the side of benefit.
    effect_label : str, optional
        Of the vertical axis.
    annotate : bool
        Whether to mark the weeks at which half and 90% of the largest effect are there, as far as
        an answer tells them (see `sentences.weeks_told`).
    ax : Axes, optional
        By default on a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> evidence = bp.load_evidence().filter(population=bp.BACK_PAIN)
    >>> course = bp.time_course(bp.effects_over_time(evidence, "pain_intensity"), curve="constant")
    >>> ax = bp.figures.time_course(course)
    >>> ax.get_xlabel()
    'Weeks since randomisation'
    """
    require(result, "TimeCourseResult")
    effects, last = result.effects, result.last_week
    threshold = None if mcid is None else as_benefit(mcid, result.lower_is_better)
    grid = np.linspace(0, last, GRID)[1:]
    curve, prediction = result.effect(grid), result.fit.method != "CE"
    if not prediction:
        curve[["pi_low", "pi_high"]] = np.nan
    marks = _marks(result) if annotate else []
    with figure_style():
        ax = new_axes(WIDTH, 4.7) if ax is None else ax
        draw_curve(ax, curve, "weeks")
        colours = _draw_points(ax, effects.table)
        ax.plot(0, 0, marker="D", ms=5, color=INK, ls="", zorder=5, gid="randomisation")
        ax.set_xlim(-0.02 * last, 1.03 * last)
        set_heights(ax, curve, effects.table["yi"].to_numpy(dtype=float), threshold, len(marks))
        ax.axhline(0, color=INK, lw=0.7, zorder=1.5)
        if threshold is not None:
            draw_threshold(ax, threshold)
        for lane, (text, time) in enumerate(marks):
            place = (time.estimate, time.ci_low or -np.inf, time.ci_high)
            draw_bracket(ax, text, place, (0.0, last), ACCENT, lane)
        plain_ticks(ax)
        ax.set_xlabel("Weeks since randomisation")
        ax.set_ylabel(effect_label or measured(effects.outcome, effects.measure))
        _draw_legend(ax, result.level, colours, prediction)
    return ax


def _marks(result: TimeCourseResult) -> list[tuple[str, TimeEstimate]]:
    """The weeks that are told and have a limit within the data."""
    found = []
    for share, time in weeks_told(result).items():
        bounded = time.ci_low > 0 or np.isfinite(time.ci_high)
        if bounded and time.ci_low <= result.last_week:
            found.append((f"{share:.0%} of the largest effect {_when(time, result.level)}", time))
    return found


def _when(time: TimeEstimate, level: float) -> str:
    if time.ci_low == 0:
        limits = f"at most {_weeks(time.ci_high)}"
    elif np.isinf(time.ci_high):
        limits = f"at least {_weeks(time.ci_low)}"
    else:
        limits = f"{_weeks(time.ci_low)} to {_weeks(time.ci_high)}"
    if np.isnan(time.estimate):
        return f"after {limits} weeks ({level:.0%} limit)"
    return f"after {_weeks(time.estimate)} weeks ({level:.0%} CI {limits})"


def _weeks(value: float) -> str:
    return f"{value:.0f}" if value >= 20 else f"{value:.1f}"


def _draw_points(ax: Axes, table: pd.DataFrame) -> dict[str, str]:
    """Draw the contrasts, large ones first; returns labels and colours for the legend."""
    weight = 1 / table["vi"].to_numpy(dtype=float)
    area = np.maximum(LARGEST_AREA * weight / weight.max(), 14)
    if "exercise_type" in table:
        types = pd.Series(shown_types(table["exercise_type"]), dtype=object)
        colour = np.array([exercise_colour(word) for word in types])
        labels = {
            exercise_label(word): exercise_colour(word) for word in types.value_counts().index
        }
    else:
        colour, labels = np.full(len(table), MUTED), {"Trials": MUTED}
    weeks, yi = table["weeks"].to_numpy(dtype=float), table["yi"].to_numpy(dtype=float)
    for rows in table.groupby(["trial_id", "arm_id"], sort=False).indices.values():
        if len(rows) > 1:
            rows = rows[np.argsort(weeks[rows])]
            line = {"color": colour[rows[0]], "lw": 0.9, "alpha": 0.6, "zorder": 2.5}
            ax.plot(weeks[rows], yi[rows], gid="course", **line)
    order = np.argsort(-area, kind="stable")
    ax.scatter(
        weeks[order],
        yi[order],
        s=area[order],
        facecolors=colour[order],
        edgecolors="white",
        linewidths=0.6,
        alpha=0.85,
        zorder=4,
        gid="contrast",
    )
    return labels


def _draw_legend(ax: Axes, level: float, colours: dict[str, str], prediction: bool) -> None:
    entries = [
        Line2D([], [], color=ACCENT, lw=1.9, label="Mean effect"),
        Patch(color=BAND, label=f"{level:.0%} confidence interval"),
    ]
    if prediction:
        label = f"{level:.0%} prediction interval"
        entries.append(Line2D([], [], color=ACCENT, lw=0.8, ls=(0, (4, 3)), label=label))
    entries.extend(circle(label, colour) for label, colour in colours.items())
    title = "Circles: contrasts of trials, area by weight; lines join the times of one arm"
    legend_below(ax, entries, title=title, ncols=3, columnspacing=1.6, handletextpad=0.6)
