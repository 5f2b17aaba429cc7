"""Net heat plot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from backpain_analysis.figures.league import BETTER_WORSE
from backpain_analysis.figures.style import WIDTH, exercise_label, figure_style, new_axes

if TYPE_CHECKING:
    from backpain_analysis.models.network.net_heat import NetHeat

GREY = "#9a9a9a"


def net_heat(heat: NetHeat, *, ax: Axes | None = None) -> Axes:
    """Net heat plot (Krahn, Binder & König 2013, doi 10.1186/1471-2288-13-35).

    Grey squares show how much the row's estimate rests on the column's design; colours how the
    row's inconsistency changes when the column's design is detached: orange, it falls (the
    column is a source of inconsistency); blue, it rises.

    Parameters
    ----------
    heat : NetHeat
    ax : Axes, optional
        By default on a new figure.

    Returns
    -------
    Axes
    """
    names = [_name(design) for design in heat.heat.index]
    size = len(names)
    bound = max(float(heat.heat.abs().to_numpy().max()), 1e-9)
    with figure_style():
        ax = new_axes(WIDTH, 1.8 + 0.3 * size) if ax is None else ax
        image = ax.imshow(heat.heat, cmap=BETTER_WORSE, vmin=-bound, vmax=bound, aspect="equal")
        rows, columns = np.indices(heat.share.shape)
        share = np.clip(heat.share.to_numpy(), 0, 1).ravel()
        side = 150 / size
        ax.scatter(columns, rows, s=share * side**2, marker="s", c=GREY, lw=0, alpha=0.75)
        ax.set_xticks(range(size), names, rotation=40, ha="right", fontsize=6.5)
        ax.set_yticks(range(size), names, fontsize=6.5)
        ax.set_xlabel("Detached design")
        ax.spines[:].set_visible(False)
        bar = ax.figure.colorbar(image, ax=ax, shrink=0.8, pad=0.02)
        bar.set_label("Fall in inconsistency (Q)")
        bar.outline.set_visible(False)
    return ax


def _name(design: str) -> str:
    return " : ".join(exercise_label(part) for part in design.split(":"))
