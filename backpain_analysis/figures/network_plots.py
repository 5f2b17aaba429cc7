"""Networks: who was compared with whom, forest, league table, ranking."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.patches import Rectangle
from matplotlib.typing import ColorType

from backpain_analysis.errors import require
from backpain_analysis.figures.forest_marks import Cell, Column, draw_columns
from backpain_analysis.figures.forest_plot import summary_forest
from backpain_analysis.figures.show import remembers
from backpain_analysis.figures.style import (
    ACCENT,
    BAND,
    FAINT,
    INK,
    MUTED,
    WIDTH,
    exercise_colour,
    figure_style,
    new_axes,
    strokes,
)
from backpain_analysis.words import effect_text, exercise_label, shortened

if TYPE_CHECKING:
    from backpain_analysis.models.network.network import NetworkResult
    from backpain_analysis.models.network.ranking import EqualDose


LARGEST, SMALLEST = 1400.0, 60.0
"""Area of a node in points squared."""

WIDEST = 9.0
"""Width of an edge in points."""

ROOM = 1.55
"""Half the width of the axes, where the nodes stand on a circle of radius 1."""


@remembers
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

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({
    ...     "trial": ["a", "b", "c"], "treatment1": ["yoga", "yoga", "walking"],
    ...     "treatment2": ["advice", "walking", "advice"], "d": [-8.0, -3.0, -4.0], "se": 2.0})
    >>> result = bp.network(table, trial="trial", yi="d", se="se", reference="advice", method="CE")
    >>> ax = bp.figures.network_graph(result)
    >>> [text.get_text() for text in ax.texts]
    ['1', '1', '1', 'Advice', 'Walking', 'Yoga']
    """
    require(result, "NetworkResult")
    trials = result._direct_trials()
    np.fill_diagonal(trials, 0)
    order = _order(trials)
    angle = np.pi / 2 - 2 * np.pi * np.arange(len(order)) / len(order)
    place = np.empty((len(order), 2))
    place[order] = np.column_stack([np.cos(angle), np.sin(angle)])
    with figure_style():
        wide, high = 1.45 * ROOM, 1.3
        ax = new_axes(WIDTH, WIDTH * high / wide) if ax is None else ax
        ax.set(xlim=(-wide, wide), ylim=(-high, high), aspect="equal")
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
        (float(middle[0]), float(middle[1])),
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


class Row(NamedTuple):
    """What `summary_forest` draws of a treatment; trials are those with direct evidence."""

    estimate: float
    ci_low: float
    ci_high: float
    pi_low: float
    pi_high: float
    n_trials: int
    n_participants: float | None
    level: float


@remembers
def network_forest(result: NetworkResult, *, reference: str | None = None, **options: Any) -> Axes:
    """Forest plot of the network's estimates against one treatment, the best first.

    "Trials" are those that compare the two directly, "n" the treatment's participants.

    Parameters
    ----------
    result : NetworkResult
    reference : str, optional
        By default the reference of the fit.
    **options
        Of `summary_forest`: `xlabel, mcid, ax`.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({
    ...     "trial": ["a", "b", "c"], "treatment1": ["yoga", "yoga", "walking"],
    ...     "treatment2": ["advice", "walking", "advice"], "d": [-8.0, -3.0, -4.0], "se": 2.0})
    >>> result = bp.network(table, trial="trial", yi="d", se="se", reference="advice", method="CE")
    >>> ax = bp.figures.network_forest(result)
    >>> [text.get_text() for text in ax.texts if "[" in text.get_text()]
    ['Effect [95% CI]', '−7.7 [−10.9, −4.5]', '−4.3 [−7.5, −1.1]']
    """
    require(result, "NetworkResult")
    rows = {}
    for name, effect in result.effects(reference).iterrows():
        people = effect["participants"]
        rows[str(name)] = Row(
            **effect[["estimate", "ci_low", "ci_high", "pi_low", "pi_high"]].to_dict(),
            n_trials=int(effect["trials"]),
            n_participants=int(people) if people == people else None,
            level=result.level,
        )
    better = result.lower_is_better
    return summary_forest(rows, lower_is_better=better, measure=result.measure, **options)


BETTER_WORSE = LinearSegmentedColormap.from_list("better", ["#0072b2", "#ffffff", "#d55e00"])
"""Blue favours the better-ranked treatment."""

PALEST = 0.6
"""How strong the strongest colour is: the text must stay readable."""

LONGEST = 24

Interval = tuple[float, float, float]
"""An estimate and both limits."""

CELL, FONT, MANY = 0.84, 6.4, 9
"""Width of a cell in inches, size of its text in points; from so many treatments on cells hold the
estimate alone."""


@remembers
def league(
    result: NetworkResult,
    *,
    digits: int | None = None,
    mcid: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """League table: the better-ranked treatment minus the other, the best-ranked first.

    Below the diagonal the whole network (column minus row), above it the direct evidence alone
    (row minus column), blank where there is none. Colour: the estimate against the smallest
    difference that matters, blue where the better-ranked one is better, orange where direct
    evidence says the opposite; bold: the interval leaves out no difference. Tables of ten
    treatments or more show estimates without their intervals, in one triangle.

    Parameters
    ----------
    result : NetworkResult
    digits : int, optional
        Decimals; by default one for points, two for other measures.
    mcid : float, optional
        Its size has the strongest colour; by default the largest estimate has.
    ax : Axes, optional
        By default on a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({
    ...     "trial": ["a", "b", "c"], "treatment1": ["yoga", "yoga", "walking"],
    ...     "treatment2": ["advice", "walking", "advice"], "d": [-8.0, -3.0, -4.0], "se": 2.0})
    >>> result = bp.network(table, trial="trial", yi="d", se="se", reference="advice", method="CE")
    >>> ax = bp.figures.league(result)
    >>> [text.get_text() for text in ax.texts if text.get_fontweight() == "bold"]
    ['−8.0', 'Yoga', '−3.3', '−4.0', 'Walking', '−7.7', '−4.3', 'Advice']
    """
    require(result, "NetworkResult")
    order = list(result.p_scores().index)
    size, many = len(order), len(order) > MANY
    differences = result.differences()
    whole, direct = _by_pair(differences), _by_pair(result.direct())
    strongest = float(differences["estimate"].abs().max()) if mcid is None else abs(mcid)
    height = 0.36 * size + 1.5 if many else 0.5 * CELL * size + 0.6
    font = 7.2 if many else FONT if size > 7 else 1.2 * FONT
    with figure_style():
        ax = new_axes(WIDTH if many else max(WIDTH, CELL * size), height) if ax is None else ax
        for i, row in enumerate(order):
            for j, column in enumerate(order):
                if i == j or (many and j > i):
                    continue
                source, pair = (whole, (column, row)) if i > j else (direct, (row, column))
                if pair not in source:
                    continue
                cell = source[pair]
                shade = PALEST * result.benefit * cell[0] / strongest
                colour = BETTER_WORSE(0.5 - 0.5 * float(np.clip(shade, -PALEST, PALEST)))
                _draw_box(ax, i, j, colour)
                _draw_cell(ax, i, j, cell, digits, font, many, result.measure)
            if not many:
                _draw_name(ax, row, i, font)
        ax.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5))
        if many:
            _name_axes(ax, order)
        else:
            ax.set_xlabel("Below the diagonal: whole network · above: direct evidence alone")
            ax.tick_params(bottom=False, left=False, labelbottom=False, labelleft=False)
        ax.spines[:].set_visible(False)
    return ax


def _name_axes(ax: Axes, order: list[str]) -> None:
    """Rows named on the left, columns at the foot of their cells, slanted."""
    names = [_wrapped(name) for name in order]
    last = len(order) - 1
    ax.set_yticks(range(1, last + 1), names[1:], fontsize=7)
    ax.set_xticks(range(last), names[:-1], fontsize=7, rotation=40, ha="right")
    ax.tick_params(length=0, pad=2)
    ax.set_ylim(last + 0.5, 0.5)
    ax.set_xlim(-0.5, last - 0.5)
    ax.text(
        0.99,
        0.98,
        "Column minus row, whole network\n"
        "bold: the interval leaves out no difference\nblue: the column is better",
        transform=ax.transAxes,
        ha="right",
        va="top",
        fontsize=7.5,
        color=MUTED,
    )


def _wrapped(name: str) -> str:
    return "\n".join(textwrap.wrap(shortened(exercise_label(name), LONGEST), 13))


def _draw_name(ax: Axes, name: str, place: int, font: float) -> None:
    _draw_box(ax, place, place, "#ececec")
    text = _wrapped(name)
    ax.text(place, place, text, ha="center", va="center", fontsize=font, fontweight="bold")


def _by_pair(table: pd.DataFrame) -> dict[tuple[str, str], Interval]:
    """Estimate and interval of each treatment against each other."""
    pairs = zip(table["treatment"], table["versus"], strict=True)
    intervals = table[["estimate", "ci_low", "ci_high"]].astype(float)
    return dict(zip(pairs, intervals.itertuples(index=False, name=None), strict=True))


def _draw_box(ax: Axes, row: int, column: int, colour: ColorType) -> None:
    box = Rectangle((column - 0.5, row - 0.5), 1, 1, fc=colour, ec="white", lw=1.2)
    box.set_in_layout(False)
    ax.add_patch(box)


def _draw_cell(
    ax: Axes,
    row: int,
    column: int,
    cell: Interval,
    digits: int | None,
    font: float,
    alone: bool,
    measure: str,
) -> None:
    clear = cell[1] * cell[2] > 0
    middle, low, high = (effect_text(value, measure, digits) for value in cell)
    weight = "bold" if clear else "normal"
    style: dict[str, Any] = {"ha": "center", "va": "center", "color": INK, "in_layout": False}
    shift = 0.0 if alone else 0.13
    ax.text(column, row - shift, middle, fontsize=font, fontweight=weight, **style)
    if not alone:
        ax.text(column, row + 0.22, f"{low} to {high}", fontsize=0.86 * font, **style)


ROW_HEIGHT = 0.26

RANK_CELL = np.array([(0, 0), (0.96, 0), (0.96, 0.8), (0, 0.8)])
"""Corners, from the first."""


@remembers
def ranking(
    result: NetworkResult | EqualDose,
    *,
    draws: int = 10_000,
    seed: int = 1,
    ax: Axes | None = None,
) -> Axes:
    """Where each treatment may rank: probabilities as shades, the mean rank and its interval.

    Parameters
    ----------
    result : NetworkResult or EqualDose
    draws, seed : int
        Of `NetworkResult.ranking`.
    ax : Axes, optional
        With room for text on both sides; by default on a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({
    ...     "trial": ["a", "b", "c"], "treatment1": ["yoga", "yoga", "walking"],
    ...     "treatment2": ["advice", "walking", "advice"], "d": [-8.0, -3.0, -4.0], "se": 2.0})
    >>> result = bp.network(table, trial="trial", yi="d", se="se", reference="advice", method="CE")
    >>> ax = bp.figures.ranking(result, draws=1000)
    >>> [text.get_text() for text in ax.texts][1:4]
    ['Yoga', 'Walking', 'Advice']
    """
    require(result, "NetworkResult", "EqualDose")
    table = result.ranking(draws, seed)
    chances = result.rank_probabilities(draws, seed).loc[table.index].to_numpy()
    size = len(table)
    with figure_style():
        ax = new_axes(WIDTH, 1.0 + ROW_HEIGHT * size) if ax is None else ax
        ax.set(xlim=(0.5, size + 0.5), ylim=(size - 0.4, -0.6), autoscale_on=False)
        spots = np.arange(size)
        rows, ranks = np.nonzero(chances)
        shades = [to_rgba(BAND, _shade(chance)) for chance in chances[rows, ranks]]
        cells = np.column_stack([ranks + 0.52, rows - 0.4])[:, None] + RANK_CELL
        ax.add_collection(PolyCollection(cells, facecolors=shades, edgecolors="none", gid="rank"))
        interval = table["rank_low"], table["rank_high"]
        strokes(ax, interval, (spots, spots), color=ACCENT, lw=1.4)
        ax.plot(table["mean_rank"], spots, "o", color=ACCENT, ms=5, gid="mean-rank")
        ax.set_xlabel("Rank (1 is best)")
        ax.set_xticks(range(1, size + 1))
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        names = [Cell(shortened(exercise_label(name), 30)) for name in table.index]
        left = [Column("", names, "left")]
        ranked = [
            Cell(f"{mean:.1f} [{low} to {high}]")
            for mean, low, high in zip(
                table["mean_rank"], table["rank_low"], table["rank_high"], strict=True
            )
        ]
        right = [
            Column("P-score", [Cell(f"{score:.2f}") for score in table["p_score"]]),
            Column(f"Mean rank [{result.level:.0%}]", ranked),
            Column("Best", [Cell(f"{chance:.0%}") for chance in table["best"]]),
        ]
        draw_columns(ax, left, right, heading_y=-0.75)
    return ax


def _shade(chance: float) -> float:
    return float(np.clip(2.5 * chance, 0.0, 1.0))
