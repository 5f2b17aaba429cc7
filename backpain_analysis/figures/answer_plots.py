"""Answers at a glance: claims, moderators, changes of pain sensitivity, many analyses of a dose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from backpain_analysis.answers.certainty import LEVELS, NO_EVIDENCE, NOT_GRADED
from backpain_analysis.answers.verdicts import VERDICTS
from backpain_analysis.errors import require
from backpain_analysis.evidence.faults import as_frame, need_columns
from backpain_analysis.figures.forest_marks import (
    Cell,
    Column,
    cut_arrows,
    draw_columns,
    interval_text,
)
from backpain_analysis.figures.show import remembers
from backpain_analysis.figures.style import (
    ACCENT,
    BAND,
    FAINT,
    INK,
    MUTED,
    PANELS,
    TARGET,
    WIDTH,
    DrawnFigure,
    figure_style,
    new_axes,
    strokes,
)
from backpain_analysis.models.dose.comparison import CHOICES
from backpain_analysis.models.results import quantile
from backpain_analysis.words import (
    as_benefit,
    exercise_label,
    measured,
    outcome_label,
    population_label,
    readable,
    shortened,
    tick_text,
)

if TYPE_CHECKING:
    from backpain_analysis.answers.claims import Claims
    from backpain_analysis.answers.moderation import Moderation

COLOURS = dict(
    zip(VERDICTS, ("#009e73", "#56b4e9", "#e6b832", "#8c6bb1", "#d55e00", "#bdbdbd"), strict=True)
)

MARKS = dict(zip(VERDICTS, ("o", "D", "s", "v", "X", "_"), strict=True))
"""Shape and colour both say the verdict."""

ROW_HEIGHT = 0.23

LONGEST = 68


@remembers
def claims(result: Claims, *, ax: Axes | None = None) -> Axes:
    """Each claim's verdict (shape and colour) at its certainty (place).

    Parameters
    ----------
    result : Claims
    ax : Axes, optional
        With room for text on the left; by default on a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> ax = bp.figures.claims(bp.claims(ids=["C10"]))
    >>> ax.texts[1].get_text()
    'C10'
    """
    require(result, "Claims")
    table = result.table
    places = {level: number for number, level in enumerate((NO_EVIDENCE, NOT_GRADED, *LEVELS))}
    with figure_style():
        ax = new_axes(WIDTH + 1.5, 1.3 + ROW_HEIGHT * len(table)) if ax is None else ax
        ax.set(xlim=(-0.4, len(places) - 0.6), ylim=(len(table) - 0.4, -0.6), autoscale_on=False)
        ax.grid(axis="x")
        for y, row in enumerate(table.itertuples()):
            ax.plot(
                places[row.certainty],
                y,
                MARKS[row.verdict],
                color=COLOURS[row.verdict],
                ms=7,
                mew=2,
                gid="claim",
            )
        ax.set_xticks(list(places.values()), [name.replace(" ", "\n") for name in places])
        ax.set_xlabel("Certainty of the evidence")
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        names = [Cell(shortened(text, LONGEST)) for text in table["claim"]]
        ids = [Cell(name, muted=True) for name in table["claim_id"]]
        draw_columns(ax, [Column("", ids, "left"), Column("Claim", names, "left")], [], -0.75)
        handles = [
            Line2D([], [], ls="", marker=MARKS[v], color=COLOURS[v], ms=7, mew=2, label=v)
            for v in VERDICTS
        ]
        ax.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.1, 1.02), ncols=3)
    return ax


MODERATOR_ROW_HEIGHT = 0.26


@remembers
def moderation(result: Moderation, *, ax: Axes | None = None) -> Axes:
    """How the effect changes with each moderator; those that cannot be asked say why.

    Parameters
    ----------
    result : Moderation
    ax : Axes, optional
        With room for text on both sides; by default on a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> evidence = bp.load_evidence().filter(trial_id=["saper2013", "teut2016", "sherman2011"])
    >>> ax = bp.figures.moderation(bp.moderation(evidence, "pain_intensity"))
    >>> print(ax.get_xlabel())
    Change of the effect: difference in pain
    (points on 0–100)
    """
    require(result, "Moderation")
    table = result.table
    known = table[table["estimate"].notna()]
    widths = (known["ci_high"] - known["ci_low"]).sort_values()
    reach = 1.5 * float(widths.iloc[len(widths) // 2]) if len(widths) else 1.0
    bound = max(reach, 1.15 * float(known["estimate"].abs().max()) if len(known) else 1.0)
    with figure_style():
        ax = new_axes(WIDTH + 0.6, 1.0 + MODERATOR_ROW_HEIGHT * len(table)) if ax is None else ax
        ax.set(xlim=(-bound, bound), ylim=(len(table) - 0.4, -0.6), autoscale_on=False)
        ax.axvline(0, color=INK, lw=0.8)
        for y, row in table.iterrows():
            if not np.isfinite(row["estimate"]):
                continue
            low, high = max(row["ci_low"], -bound), min(row["ci_high"], bound)
            ax.plot([low, high], [y, y], color=ACCENT, lw=1.4)
            ax.plot(row["estimate"], y, "o", color=ACCENT, ms=5, gid="moderator")
            cut_arrows(ax, y, row["ci_low"], row["ci_high"], (-bound, bound), ACCENT)
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        ax.xaxis.set_major_formatter(lambda value, _: tick_text(value))
        ax.set_xlabel("Change of the effect: " + measured(result.outcome, result.measure).lower())
        draw_columns(ax, *_columns(result), heading_y=-0.75)
    return ax


def _columns(result: Moderation) -> tuple[list[Column], list[Column]]:
    table = result.table
    names = [Cell(shortened(name, 42)) for name in table["moderator"]]
    trials = [Cell(str(count)) for count in table["trials"]]
    texts: list[Cell] = []
    chances: list[Cell | None] = []
    for row in table.itertuples():
        if np.isfinite(row.estimate):
            texts.append(Cell(interval_text(row.estimate, row.ci_low, row.ci_high)))
            chances.append(Cell(f"{row.p_holm:.2f}"))
        else:
            texts.append(Cell(shortened(row.note, 34), muted=True))
            chances.append(None)
    left = [Column("", names, "left"), Column("Trials", trials)]
    return left, [Column("Change [95% CI]", texts), Column("P (Holm)", chances)]


CHANGE_ROW_HEIGHT = 0.23

NAMED = ["setting", "comparison", "population", "label"]

SETTING_COLOURS = {"against no exercise": ACCENT, "before and after": MUTED}


@remembers
def sensitivity(
    changes: pd.DataFrame,
    outcome: str = "pressure_pain_threshold",
    *,
    kpa: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Forest plot of threshold changes: single bouts and programmes, populations side by side.

    Parameters
    ----------
    changes : DataFrame
        From `effects.sensitivity.sensitivity_changes`.
    outcome : str
        What changed; thresholds are higher in less sensitive people.
    kpa : bool
        Kilopascals, where the unit is a pressure, instead of standardised changes.
    ax : Axes, optional
        With room for text on both sides; by default on a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If there is nothing to draw.

    Examples
    --------
    >>> changes, left_out = bp.sensitivity_changes(bp.load_evidence())
    >>> ax = bp.figures.sensitivity(changes)
    >>> ax.get_xlabel()
    'Change of pressure pain threshold (SD); right: less sensitive'
    """
    y, v = ("yi_kpa", "vi_kpa") if kpa else ("yi", "vi")
    changes = as_frame(changes)
    need_columns([y, v, *NAMED], changes)
    known = changes.dropna(subset=[y, v])
    if known.empty:
        raise ValueError("no changes to draw.")
    known = known.sort_values(NAMED, kind="stable")
    half = quantile(0.95, np.inf) * np.sqrt(known[v])
    rows = _with_headings(known.assign(low=known[y] - half, high=known[y] + half))
    bound = 1.1 * float(np.nanmax(np.abs([known[y] - half, known[y] + half])))
    bound = min(bound, 3 * float(known[y].abs().max()))
    with figure_style():
        ax = new_axes(WIDTH + 1, 1.0 + CHANGE_ROW_HEIGHT * len(rows)) if ax is None else ax
        ax.set(xlim=(-bound, bound), ylim=(len(rows) - 0.4, -0.6), autoscale_on=False)
        ax.axvline(0, color=INK, lw=0.8)
        cells: dict[str, list[Cell | None]] = {name: [] for name in ("who", "what", "site", "text")}
        for place, row in enumerate(rows):
            if isinstance(row, str):
                cells["who"].append(Cell(row, bold=True, spans=True))
                for name in ("what", "site", "text"):
                    cells[name].append(None)
                continue
            colour = SETTING_COLOURS[row.comparison]
            ends = [max(row.low, -bound), min(row.high, bound)]
            ax.plot(ends, [place, place], color=colour, lw=1.3)
            value = getattr(row, y)
            ax.plot(value, place, "o", color=colour, ms=4.5, gid="change")
            cut_arrows(ax, place, row.low, row.high, (-bound, bound), colour)
            people = population_label(row.population).lower()
            cells["who"].append(Cell(f"{shortened(row.label, 20)}, {people}"))
            cells["what"].append(Cell(shortened(exercise_label(row.exercise_type), 18)))
            cells["site"].append(Cell(row.site, muted=True))
            cells["text"].append(Cell(interval_text(value, row.low, row.high)))
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        ax.xaxis.set_major_formatter(lambda value, _: tick_text(value))
        unit = "kPa" if kpa else "SD"
        side = "; right: less sensitive" if outcome == "pressure_pain_threshold" else ""
        ax.set_xlabel(f"Change of {outcome_label(outcome).lower()} ({unit}){side}")
        left = [
            Column("", cells["who"], "left"),
            Column("Exercise", cells["what"], "left"),
            Column("Site", cells["site"], "left"),
        ]
        draw_columns(ax, left, [Column("Change [95% CI]", cells["text"])], heading_y=-0.75)
    return ax


def _with_headings(known: pd.DataFrame) -> list:
    rows: list = []
    for (setting, comparison), part in known.groupby(["setting", "comparison"], sort=False):
        rows.append(f"{readable(setting)}, {comparison}")
        rows.extend(part.itertuples())
    return rows


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

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({
    ...     "curve": ["line", "log"], "estimate": [-9.0, -6.0], "ci_low": [-12.0, -9.0],
    ...     "ci_high": [-6.0, -3.0]})
    >>> figure = bp.figures.multiverse(table, choices={"curve": {"line": "linear", "log": "log"}})
    >>> figure.axes[1].get_xlabel()
    '2 analyses, sorted by their estimate'
    """
    table = as_frame(table)
    need_columns(["estimate", "ci_low", "ci_high", *choices], table)
    fitted = table.dropna(subset="estimate").reset_index(drop=True)
    if fitted.empty:
        raise ValueError("no analysis could be fitted: there is nothing to draw.")
    options = [name for choice in choices for name in choices[choice]]
    with figure_style():
        height = 3.2 + 0.19 * (len(options) + len(choices))
        figure = DrawnFigure(figsize=(WIDTH, height))
        figure.subplots_adjust(left=0.24, right=0.93, top=0.98, bottom=0.4 / height, hspace=0.04)
        heights = [3.0, 0.19 * (len(options) + len(choices))]
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=heights, subplot_kw=PANELS)
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
        ends = part["ci_low"], part["ci_high"]
        strokes(ax, (x[chosen], x[chosen]), ends, color=colour, lw=1.6, zorder=1)
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
            strokes(ax, (x, x), (place - 0.32, place + 0.32), color=MUTED, lw=1.2)
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
