"""A multiverse of analyses: every estimate, and which choices gave it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from backpain_analysis.figures.behind import remembers
from backpain_analysis.figures.style import (
    ACCENT,
    BAND,
    FAINT,
    INK,
    MUTED,
    TARGET,
    WIDTH,
    DrawnFigure,
    figure_style,
)
from backpain_analysis.models.dose.comparison import CHOICES
from backpain_analysis.words import as_benefit


@remembers
def multiverse(
    table: pd.DataFrame,
    *,
    mcid: float | None = None,
    ylabel: str = "Effect",
    lower_is_better: bool = True,
    choices: Mapping[str, Mapping[str, Any]] = CHOICES,
) -> Figure:
    """Draw what `models.multiverse` found.

    Above, every analysis that could be fitted, sorted by its estimate, with its confidence
    interval (pale where it includes zero); below, the option of each choice that it took.

    Parameters
    ----------
    table : DataFrame
    mcid : float, optional
        Its size: a line on the side of benefit.
    ylabel : str
    lower_is_better : bool
    choices : mapping
        As given to `models.multiverse`.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If no analysis could be fitted.
    """
    fitted = table.dropna(subset="estimate").reset_index(drop=True)
    if fitted.empty:
        raise ValueError("no analysis could be fitted: there is nothing to draw.")
    options = [name for choice in choices for name in choices[choice]]
    with figure_style():
        height = 3.2 + 0.19 * (len(options) + len(choices))
        figure = DrawnFigure(figsize=(WIDTH, height))
        figure.subplots_adjust(left=0.24, right=0.93, top=0.98, bottom=0.4 / height, hspace=0.04)
        heights = [3.0, 0.19 * (len(options) + len(choices))]
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=heights)
        _draw_estimates(top, fitted, mcid, ylabel, lower_is_better)
        _draw_options(bottom, fitted, choices)
    return figure


def _draw_estimates(
    ax: Axes, fitted: pd.DataFrame, mcid: float | None, ylabel: str, lower_is_better: bool
) -> None:
    x = np.arange(len(fitted))
    clear = ((fitted["ci_high"] < 0) | (fitted["ci_low"] > 0)).to_numpy()
    for chosen, colour in ((~clear, FAINT), (clear, BAND)):
        part = fitted[chosen]
        ax.vlines(x[chosen], part["ci_low"], part["ci_high"], color=colour, lw=1.6, zorder=1)
    ax.plot(x, fitted["estimate"], ".", color=ACCENT, ms=3.5, zorder=3, gid="estimates")
    ax.axhline(0, color=INK, lw=0.7)
    if mcid is not None:
        threshold = as_benefit(mcid, lower_is_better)
        ax.axhline(threshold, color=TARGET, lw=0.9, ls=(0, (4, 3)), gid="mcid")
        ax.annotate(
            "MCID",
            (1, threshold),
            xycoords=("axes fraction", "data"),
            xytext=(3, 0),
            textcoords="offset points",
            color=TARGET,
            va="center",
            fontsize=7.5,
        )
    reach = 1.6 * float(np.nanmedian(fitted["ci_high"] - fitted["ci_low"]))
    low, high = fitted["estimate"].min() - reach, fitted["estimate"].max() + reach
    ax.set_ylim(max(low, fitted["ci_low"].min()), min(high, fitted["ci_high"].max()))
    ax.set_ylabel(ylabel)
    ax.tick_params(bottom=False)


def _draw_options(ax: Axes, fitted: pd.DataFrame, choices: Mapping[str, Mapping[str, Any]]) -> None:
    place, ticks, labels = 0.0, [], []
    for choice, options in choices.items():
        ticks.append(place)
        labels.append(choice.capitalize())
        for name in options:
            place += 1
            x = np.flatnonzero((fitted[choice] == name).to_numpy())
            ax.vlines(x, place - 0.32, place + 0.32, color=MUTED, lw=1.2)
            ticks.append(place)
            labels.append(name)
        place += 1.3
    ax.set_ylim(place - 0.6, -0.6)
    ax.set_yticks(ticks, labels)
    for label in ax.get_yticklabels():
        if label.get_text() in {choice.capitalize() for choice in choices}:
            label.set_fontweight("bold")
    ax.tick_params(axis="y", length=0, labelsize=7.5)
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.set_xticks([])
    ax.set_xlabel(f"{len(fitted)} analyses, sorted by their estimate")
