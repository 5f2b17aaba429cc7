"""All claims at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from backpain_analysis.figures.columns import Cell, Column, draw_columns
from backpain_analysis.figures.style import WIDTH, figure_style, new_axes, shortened
from backpain_analysis.models.certainty import LEVELS, NO_EVIDENCE
from backpain_analysis.models.verdicts import VERDICTS

if TYPE_CHECKING:
    from backpain_analysis.models.claims.claims import Claims

COLOURS = dict(zip(VERDICTS, ("#009e73", "#e6b832", "#d55e00", "#bdbdbd"), strict=True))
MARKS = dict(zip(VERDICTS, ("o", "D", "X", "_"), strict=True))
"""Shape and colour both say the verdict."""
ROW_HEIGHT = 0.23
LONGEST = 68


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
    places = {level: number for number, level in enumerate((NO_EVIDENCE, *LEVELS))}
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
        ax.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.1, 1.02), ncols=4)
    return ax
