"""Risk of bias: a traffic light, trial by trial and domain by domain, and its summary."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from backpain_analysis.answers.appraisals import (
    DOMAIN_WORDS,
    HIGH,
    LOW,
    RISKS,
    UNCLEAR,
    UNKNOWN,
    by_domain,
    traffic_light,
)
from backpain_analysis.evidence.evidence import Evidence
from backpain_analysis.figures.behind import remembers
from backpain_analysis.figures.style import INK, WIDTH, figure_style, new_axes
from backpain_analysis.words import author_year

COLOURS = {LOW: "#009e73", UNCLEAR: "#e6b832", HIGH: "#d55e00", UNKNOWN: "#d9d9d9"}

SIGNS = {LOW: "+", UNCLEAR: "?", HIGH: "−", UNKNOWN: ""}
"""Colour and sign both say the risk."""

ROW_HEIGHT = 0.2

COLUMNS = {**DOMAIN_WORDS, "overall": "Overall"}


@remembers
def risk_of_bias_lights(evidence: Evidence, *, ax: Axes | None = None) -> Axes:
    """Every appraised trial by domain; grey where no appraisal says anything.

    Parameters
    ----------
    evidence : Evidence
    ax : Axes, optional
        With room for names on the left; by default on a new figure.
    """
    table = traffic_light(evidence).set_index("trial_id")
    table = table[table["overall"] != UNKNOWN]
    named = evidence.trials.set_index("trial_id")
    names = [author_year(*named.loc[trial, ["first_author", "year"]]) for trial in table.index]
    with figure_style():
        ax = new_axes(WIDTH, 1.6 + ROW_HEIGHT * len(table)) if ax is None else ax
        for place, column in enumerate(COLUMNS):
            _lights(ax, place, table[column])
        ax.set_xlim(-0.6, len(COLUMNS) - 0.4)
        ax.set_ylim(len(table) - 0.4, -0.6)
        ax.set_yticks(range(len(table)), names)
        ax.xaxis.tick_top()
        ax.set_xticks(range(len(COLUMNS)), list(COLUMNS.values()), rotation=40, ha="left")
        ax.tick_params(length=0)
        for spine in ax.spines.values():
            spine.set_visible(False)
    return ax


def _lights(ax: Axes, place: int, judged: pd.Series) -> None:
    for risk in RISKS:
        rows = np.flatnonzero(judged.to_numpy() == risk)
        if not len(rows):
            continue
        ax.plot(
            *(np.full(len(rows), place), rows),
            *("o",),
            color=COLOURS[risk],
            ms=9,
            ls="",
            gid=f"light {risk}",
        )
        for row in rows:
            ax.text(place, float(row), SIGNS[risk], ha="center", va="center", color=INK, fontsize=8)


@remembers
def risk_of_bias_summary(evidence: Evidence, *, ax: Axes | None = None) -> Axes:
    """Share of trials at each risk, by domain, with those that nobody appraised in grey."""
    table = by_domain(evidence).set_index("domain").loc[list(COLUMNS)]
    shares = 100 * table / table.sum(axis=1).iloc[0]
    with figure_style():
        ax = new_axes(WIDTH, 0.9 + 0.3 * len(shares)) if ax is None else ax
        start = np.zeros(len(shares))
        for risk in RISKS:
            ax.barh(range(len(shares)), shares[risk], left=start, color=COLOURS[risk], label=risk)
            start += shares[risk].to_numpy()
        ax.set_yticks(range(len(shares)), list(COLUMNS.values()))
        ax.set_ylim(len(shares) - 0.4, -0.6)
        ax.set_xlim(0, 100)
        ax.set_xlabel("Trials, per cent")
        ax.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=len(RISKS))
    return ax
