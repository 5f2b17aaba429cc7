"""Answers at a glance: claims, moderators, changes of pain sensitivity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from backpain_analysis.answers.certainty import LEVELS, NO_EVIDENCE, NOT_GRADED
from backpain_analysis.answers.verdicts import VERDICTS
from backpain_analysis.figures.behind import remembers
from backpain_analysis.figures.forest_marks import (
    Cell,
    Column,
    cut_arrows,
    draw_columns,
    interval_text,
)
from backpain_analysis.figures.style import ACCENT, INK, MUTED, WIDTH, figure_style, new_axes
from backpain_analysis.models.results import quantile
from backpain_analysis.words import (
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
    """
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
    """
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
    """
    y, v = ("yi_kpa", "vi_kpa") if kpa else ("yi", "vi")
    known = changes.dropna(subset=[y, v])
    if known.empty:
        raise ValueError("no changes to draw.")
    known = known.sort_values(["setting", "comparison", "population", "label"], kind="stable")
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
