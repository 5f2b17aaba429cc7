"""Who was compared with whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from backpain_analysis.figures.style import (
    FAINT,
    INK,
    MUTED,
    WIDTH,
    exercise_colour,
    exercise_label,
    figure_style,
    new_axes,
)

if TYPE_CHECKING:
    from backpain_analysis.models.network.result import NetworkResult

LARGEST, SMALLEST = 1400.0, 60.0
"""Area of a node in points squared."""
WIDEST = 9.0
"""Width of an edge in points."""
ROOM = 1.55
"""Half the width of the axes, where the nodes stand on a circle of radius 1."""


def network_graph(result: NetworkResult, *, ax: Axes | None = None) -> Axes:
    """Network graph: node area by participants, edge width by trials.

    Treatments stand on a circle in an order that makes few edges cross; a node whose arms are all
    of unknown size is hollow. Numbers on edges are trials.

    Parameters
    ----------
    result : NetworkResult
    ax : Axes, optional
        By default on a new figure.

    Returns
    -------
    Axes
    """
    trials = result._direct_trials()
    np.fill_diagonal(trials, 0)
    order = _order(trials)
    angle = np.pi / 2 - 2 * np.pi * np.arange(len(order)) / len(order)
    place = np.empty((len(order), 2))
    place[order] = np.column_stack([np.cos(angle), np.sin(angle)])
    with figure_style():
        ax = new_axes(WIDTH, 5.2) if ax is None else ax
        ax.set(xlim=(-1.45 * ROOM, 1.45 * ROOM), ylim=(-1.45, 1.45), aspect="equal")
        ax.axis("off")
        for i, j in np.argwhere(np.triu(trials) > 0):
            _draw_edge(ax, place[i], place[j], int(trials[i, j]), int(trials.max()))
        _draw_nodes(ax, result, place)
    return ax


def _order(trials: np.ndarray) -> np.ndarray:
    """Round the circle by the second eigenvector pair of the graph: neighbours stand together."""
    linked = (trials > 0).astype(float)
    laplacian = np.diag(linked.sum(axis=0)) - linked
    _, vectors = np.linalg.eigh(laplacian)
    if len(trials) < 4:
        return np.arange(len(trials))
    return np.argsort(np.arctan2(vectors[:, 2], vectors[:, 1]), kind="stable")


def _draw_edge(ax: Axes, start: np.ndarray, end: np.ndarray, trials: int, most: int) -> None:
    width = max(1.2, WIDEST * trials / max(most, 4))
    ax.plot(*zip(start, end, strict=True), color=FAINT, lw=width, zorder=1, gid="edge")
    middle = 0.56 * start + 0.44 * end
    ax.annotate(
        str(trials),
        middle,
        ha="center",
        va="center",
        fontsize=6.5,
        color=MUTED,
        zorder=2,
        bbox={"boxstyle": "circle,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.85},
    )


def _draw_nodes(ax: Axes, result: NetworkResult, place: np.ndarray) -> None:
    sizes = result.data.participants.to_numpy(dtype=float)
    known = np.isfinite(sizes) & (sizes > 0)
    largest = np.nanmax(np.where(known, sizes, np.nan)) if known.any() else 1.0
    for name, size, own, (x, y) in zip(result.treatments, sizes, known, place, strict=True):
        area = max(SMALLEST, LARGEST * size / largest) if own else SMALLEST
        colour = exercise_colour(name)
        face = colour if own else "white"
        ax.scatter(x, y, s=area, facecolors=face, edgecolors=INK, lw=0.8, zorder=3, gid="node")
        side = "center" if abs(x) < 0.15 else "left" if x > 0 else "right"
        text = f"{exercise_label(name)}\nn = {int(size)}" if own else exercise_label(name)
        reach = np.sqrt(area / np.pi) + 5
        ax.annotate(
            text,
            (x, y),
            xytext=(x * reach, y * reach),
            textcoords="offset points",
            ha=side,
            va="bottom" if y > 0.8 else "top" if y < -0.8 else "center",
            fontsize=7.5,
            zorder=4,
        )
