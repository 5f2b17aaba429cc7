"""Participants over time: dose-response at chosen weeks, and everybody's scores by dose."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from backpain_analysis.evidence.scales import as_benefit
from backpain_analysis.figures.style import (
    FAINT,
    INK,
    MUTED,
    TARGET,
    WIDTH,
    dose_measure_label,
    figure_style,
    legend_below,
    new_axes,
    plain_ticks,
    readable,
    tick_text,
)
from backpain_analysis.models.participants.curve_effects import dose_name_of
from backpain_analysis.models.participants.longitudinal_result import LongitudinalResult
from backpain_analysis.models.participants.visits import as_visits, person_codes
from backpain_analysis.models.results import quantile

GRID = 201
MOST_DOSES = 5
"""More different doses are put into groups."""
MOST_WEEKS, BINS = 15, 8
"""More different weeks are put into bins: at gaps, or so many of like size."""
GAP = 0.02
"""A gap between visits, as a share of all weeks."""
DODGE = 0.004
"""How far the intervals of two doses stand apart, as a share of the weeks."""


def longitudinal(
    result: LongitudinalResult,
    *,
    weeks: ArrayLike | None = None,
    reference: float = 0.0,
    mcid: float | None = None,
    lower_is_better: bool = True,
    dose_label: str | None = None,
    effect_label: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the difference of each dose from the reference dose at chosen weeks.

    Parameters
    ----------
    result : LongitudinalResult
    weeks : array_like, optional
        A line and a confidence band each; by default the last week of the data.
    reference : float
    mcid : float, optional
        Minimal clinically important difference (its size): a line on the side of benefit.
    lower_is_better : bool
    dose_label, effect_label : str, optional
        Of the axes.
    ax : Axes, optional
        By default on a new figure.

    Returns
    -------
    Axes
    """
    weeks = np.atleast_1d(result.max_week if weeks is None else weeks).astype(float)
    grid = np.linspace(min(reference, 0.0), result.max_dose, GRID)
    fitted = result.predict(grid, weeks, reference)
    colours = _shades(len(weeks))
    with figure_style():
        ax = new_axes(WIDTH, 4.2) if ax is None else ax
        for week, colour in zip(weeks, colours, strict=True):
            own = fitted[fitted["week"] == week]
            band = {"color": colour, "alpha": 0.18, "lw": 0, "gid": "band"}
            ax.fill_between(own["dose"], own["ci_low"], own["ci_high"], **band)
            ax.plot(own["dose"], own["estimate"], color=colour, lw=1.9, zorder=3, gid="line")
        ax.axhline(0, color=INK, lw=0.7, zorder=1.5)
        entries = [
            Line2D([], [], color=colour, lw=1.9, label=f"Week {tick_text(week)}")
            for week, colour in zip(weeks, colours, strict=True)
        ]
        entries.append(Patch(color=FAINT, label=f"{result.level:.0%} confidence interval"))
        if mcid is not None:
            dashes = {"color": TARGET, "lw": 0.9, "ls": (0, (4, 3))}
            ax.axhline(as_benefit(mcid, lower_is_better), gid="mcid", **dashes)
            entries.append(Line2D([], [], label="MCID", **dashes))
        ax.set_xlim(grid[0], grid[-1])
        plain_ticks(ax)
        ax.set_xlabel(dose_label or dose_measure_label(result.dose_name))
        ax.set_ylabel(effect_label or f"Difference in {_outcome_text(result.outcome_name)}")
        _draw_legend(ax, entries)
    return ax


def profiles(
    data: Any,
    *,
    participants: int = 60,
    seed: int = 1,
    level: float = 0.95,
    outcome_label: str | None = None,
    ax: Axes | None = None,
    **columns: str,
) -> Axes:
    """Draw single participants' scores over time, and the mean scores of each dose.

    Thin lines: participants drawn at random, as many of each dose as there are; thick lines: means
    of all observed scores at a visit, with their normal confidence intervals. The means are what
    was seen, not a model: they differ between trials, and by who dropped out. Many different doses
    are put into groups of like size (zero apart), many different weeks too.

    Parameters
    ----------
    data : DataFrame or Participants
        See `models.participants.visits.as_visits`.
    participants : int
        How many thin lines.
    seed : int
        Of the draw.
    level : float
    outcome_label : str, optional
        Of the vertical axis.
    ax : Axes, optional
        By default on a new figure.
    **columns : str
        Names of the columns, as of `as_visits`.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        For unusable data, or where no visit has a score and a dose.
    """
    visits = as_visits(data, **columns)
    rows = visits[visits["value"].notna() & visits["dose"].notna()]
    if rows.empty:
        raise ValueError("no visit has a score and a dose: there is nothing to draw.")
    rows = rows.assign(
        person=person_codes(rows), bin=_bins(rows["week"]), group=_dose_groups(rows["dose"])
    )
    groups = rows["group"].cat.categories
    palette = dict(zip(groups, _shades(len(groups), MUTED), strict=True))
    drawn = _some(rows["person"].to_numpy(), participants, seed)
    with figure_style():
        ax = new_axes(WIDTH, 4.6) if ax is None else ax
        for _, own in rows[rows["person"].isin(drawn)].groupby("person"):
            own = own.sort_values("week")
            line = {"color": palette[own["group"].iloc[-1]], "lw": 0.6, "alpha": 0.35}
            ax.plot(own["week"], own["value"], zorder=1, gid="participant", **line)
        means, span = _means(rows, level), float(np.ptp(rows["week"]))
        for place, (group, own) in enumerate(means.groupby("group", observed=True)):
            week = own["week"] + DODGE * span * (place - (len(groups) - 1) / 2)
            line = {"color": palette[group], "zorder": 3}
            ax.vlines(week, own["ci_low"], own["ci_high"], lw=1.2, gid="interval", **line)
            ax.plot(week, own["mean"], lw=2.0, marker="o", ms=4, gid="mean", **line)
        plain_ticks(ax)
        ax.set_xlabel("Week")
        ax.set_ylabel(outcome_label or readable(_outcome_text(columns.get("outcome", "value"))))
        counts = rows.groupby("group", observed=True)["person"].nunique()
        entries = [
            Line2D([], [], color=palette[group], lw=2.0, marker="o", ms=4, label=f"{group} ({n})")
            for group, n in counts.items()
        ]
        _draw_legend(
            ax, entries, f"{dose_measure_label(dose_name_of(data, columns))} (participants)"
        )
    return ax


def _shades(count: int, first: str | None = None) -> list:
    """Blues from light to dark; `first` stands before them where there is more than one."""
    blues = mpl.colormaps["GnBu"]
    if count == 1:
        return [blues(0.85)]
    if first is not None:
        return [first, *(blues(shade) for shade in np.linspace(0.45, 1, count - 1))]
    return [blues(shade) for shade in np.linspace(0.45, 1, count)]


def _some(people: np.ndarray, count: int, seed: int) -> np.ndarray:
    everyone = np.unique(people)
    rng = np.random.default_rng(seed)
    return rng.choice(everyone, min(count, len(everyone)), replace=False)


def _bins(weeks: pd.Series) -> pd.Series:
    """The week itself, or the number of its bin."""
    distinct = np.sort(weeks.unique())
    if len(distinct) <= MOST_WEEKS:
        return weeks
    begins = distinct[1:][np.diff(distinct) > GAP * np.ptp(distinct)]
    if 1 < len(begins) < MOST_WEEKS:
        return pd.Series(np.searchsorted(begins, weeks, side="right"), weeks.index)
    return pd.qcut(weeks, BINS, labels=False, duplicates="drop")


def _dose_groups(doses: pd.Series) -> pd.Series:
    """Ordered categories: the doses, or groups of like size with zero apart."""
    if doses.nunique() <= MOST_DOSES:
        names = {dose: tick_text(dose) for dose in np.sort(doses.unique())}
        kind = pd.CategoricalDtype(list(names.values()), ordered=True)
        return doses.map(names).astype(kind)
    above = doses[doses > 0]
    edges = np.unique(np.quantile(above, np.linspace(0, 1, MOST_DOSES)))
    labels = [
        f"{tick_text(float(f'{low:.3g}'))} to {tick_text(float(f'{high:.3g}'))}"
        for low, high in pairwise(edges)
    ]
    place = np.clip(np.searchsorted(edges, doses, side="left") - 1, 0, len(labels) - 1)
    named = np.where(doses > 0, np.array(labels, dtype=object)[place], "0")
    kept = [label for label in ["0", *labels] if (named == label).any()]
    return pd.Series(pd.Categorical(named, dict.fromkeys(kept), ordered=True), doses.index)


def _means(rows: pd.DataFrame, level: float) -> pd.DataFrame:
    found = rows.groupby(["group", "bin"], observed=True).agg(
        week=("week", "mean"), mean=("value", "mean"), sd=("value", "std"), n=("value", "size")
    )
    half = quantile(level, np.inf) * found["sd"].fillna(0) / np.sqrt(found["n"])
    bounds = {"ci_low": found["mean"] - half, "ci_high": found["mean"] + half}
    return found.assign(**bounds).reset_index()


def _outcome_text(name: str) -> str:
    return "score" if name == "value" else name.replace("_", " ")


def _draw_legend(ax: Axes, entries: list, title: str | None = None) -> None:
    legend_below(ax, entries, title=title, ncols=len(entries) if len(entries) <= 4 else 3)
