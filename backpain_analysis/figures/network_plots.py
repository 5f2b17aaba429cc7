"""Networks: who was compared with whom, forest, league table, ranking, inconsistency."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy import special

from backpain_analysis.errors import CannotEstimate
from backpain_analysis.figures.forest_marks import Cell, Column, draw_columns
from backpain_analysis.figures.forest_plot import summary_forest
from backpain_analysis.figures.show import remembers
from backpain_analysis.figures.style import (
    ACCENT,
    BAND,
    FAINT,
    INK,
    MUTED,
    TARGET,
    WIDTH,
    DrawnFigure,
    effect_axis,
    exercise_colour,
    figure_style,
    new_axes,
)
from backpain_analysis.models.results import quantile
from backpain_analysis.words import (
    RATIO_WORDS,
    effect_text,
    exercise_label,
    p_text,
    readable,
    shortened,
)

if TYPE_CHECKING:
    from backpain_analysis.models.network.diagnostics import ComparisonAdjustedFunnel
    from backpain_analysis.models.network.inconsistency import NetHeat, NodeSplit
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
    """
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
    """
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


FUNNEL_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e6b832", "#4b9fd1", "#7f7f7f")

MARKERS = "osD^vP"


@remembers
def network_funnel(funnel: ComparisonAdjustedFunnel, *, ax: Axes | None = None) -> Axes:
    """Comparisons around their direct means (Chaimani & Salanti 2012, doi 10.1002/jrsm.57).

    Parameters
    ----------
    funnel : ComparisonAdjustedFunnel
    ax : Axes, optional
        By default on a new figure.

    Returns
    -------
    Axes
    """
    table = funnel.table
    deepest = 1.06 * float(table["sei"].max())
    grid = np.linspace(0, deepest, 50)
    with figure_style():
        ax = new_axes(WIDTH, 4.4) if ax is None else ax
        ax.axvline(0, color=ACCENT, lw=1.2)
        for side in (-1, 1):
            ax.plot(side * special.ndtri(0.975) * grid, grid, color=ACCENT, lw=0.9, ls="--")
        groups = table.groupby(["treatment", "versus"], sort=True)
        for number, ((first, second), own) in enumerate(groups):
            ax.scatter(
                own["centred"],
                own["sei"],
                s=26,
                marker=MARKERS[number // len(FUNNEL_COLOURS) % len(MARKERS)],
                color=FUNNEL_COLOURS[number % len(FUNNEL_COLOURS)],
                edgecolors="white",
                lw=0.6,
                label=f"{exercise_label(first)} – {exercise_label(second)} ({len(own)})",
                zorder=3,
            )
        if np.isfinite(funnel.intercept):
            line = funnel.intercept * grid
            ax.plot(line, grid, color=INK, lw=1.1, ls=":", label=f"Egger, P = {funnel.p_value:.2g}")
        ax.set(ylim=(deepest, 0), ylabel="Standard error")
        over = "divided by" if funnel.measure in RATIO_WORDS else "minus"
        ax.set_xlabel(f"{_difference(funnel.measure)} {over} the direct mean of its comparison")
        effect_axis(ax, funnel.measure)
        ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=6)
    return ax


BETTER_WORSE = LinearSegmentedColormap.from_list("better", ["#0072b2", "#ffffff", "#d55e00"])
"""Blue favours the better-ranked treatment."""

PALEST = 0.6
"""How strong the strongest colour is: the text must stay readable."""

LONGEST = 24

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
    """
    order = list(result.p_scores().index)
    size, many = len(order), len(order) > MANY
    whole = result.differences().set_index(["treatment", "versus"])
    direct = result.direct().set_index(["treatment", "versus"])
    strongest = float(whole["estimate"].abs().max()) if mcid is None else abs(mcid)
    height = 0.36 * size + 1.5 if many else 0.5 * CELL * size + 0.6
    font = 7.2 if many else FONT if size > 7 else 1.2 * FONT
    with figure_style():
        ax = new_axes(WIDTH if many else max(WIDTH, CELL * size), height) if ax is None else ax
        for i, row in enumerate(order):
            for j, column in enumerate(order):
                if i == j or (many and j > i):
                    continue
                source, pair = (whole, (column, row)) if i > j else (direct, (row, column))
                if pair not in source.index:
                    continue
                cell = source.loc[pair]
                shade = PALEST * result.benefit * cell["estimate"] / strongest
                colour = BETTER_WORSE(0.5 - 0.5 * float(np.clip(shade, -PALEST, PALEST)))
                ax.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, fc=colour, ec="white", lw=1.2))
                _draw_cell(ax, i, j, cell, digits, font, many, result.measure)
            if not many:
                _draw_name(ax, row, i, font)
        ax.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5))
        if many:
            _name_axes(ax, order)
        else:
            ax.set_xlabel("Below the diagonal: whole network · above: direct evidence alone")
            ax.tick_params(length=0, labelbottom=False, labelleft=False)
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
    box = Rectangle((place - 0.5, place - 0.5), 1, 1, fc="#ececec", ec="white", lw=1.2)
    ax.add_patch(box)
    text = _wrapped(name)
    ax.text(place, place, text, ha="center", va="center", fontsize=font, fontweight="bold")


def _draw_cell(
    ax: Axes,
    row: int,
    column: int,
    cell: pd.Series,
    digits: int | None,
    font: float,
    alone: bool,
    measure: str,
) -> None:
    values = cell[["estimate", "ci_low", "ci_high"]].to_numpy(dtype=float)
    clear = values[1] * values[2] > 0
    middle, low, high = (effect_text(value, measure, digits) for value in values)
    weight = "bold" if clear else "normal"
    style: dict[str, Any] = {"ha": "center", "va": "center", "color": INK}
    shift = 0.0 if alone else 0.13
    ax.text(column, row - shift, middle, fontsize=font, fontweight=weight, **style)
    if not alone:
        ax.text(column, row + 0.22, f"{low} to {high}", fontsize=0.86 * font, **style)


@remembers
def comparison_forest(
    result: NetworkResult,
    *,
    reference: str | None = None,
    mcid: float | None = None,
    xlabel: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Each treatment against one: direct, indirect and network estimate, with prediction interval.

    Parameters
    ----------
    result : NetworkResult
    reference : str, optional
        By default the reference of the fit.
    mcid : float, optional
        Minimal clinically important difference (its size): a line on the side of benefit.
    xlabel : str
    ax : Axes, optional
        With room for text on both sides; by default on a new figure.

    Returns
    -------
    Axes
    """
    against = result.reference if reference is None else reference
    effects = result.effects(against)
    split = result.node_split().table
    critical = quantile(result.level, np.inf)
    rows: list[tuple[str, str, float, float, str, float]] = []
    for name, row in effects.iterrows():
        pair = split[split[["treatment", "versus"]].isin([name, against]).all(axis=1)].iloc[0]
        sign = 1.0 if pair["treatment"] == name else -1.0
        own = []
        for kind in ("direct", "indirect"):
            if np.isfinite(pair[kind]) and np.isfinite(pair[f"{kind}_se"]):
                words = f"direct ({int(pair['trials'])})" if kind == "direct" else "indirect"
                half = critical * pair[f"{kind}_se"]
                own.append((str(name), words, sign * pair[kind], half, kind, pair["p_value"]))
        half = (row["ci_high"] - row["ci_low"]) / 2
        both = own if len(own) == 2 else []
        only = "network" if len(own) == 2 else f"{own[0][1]} = network"
        rows += [*both, (str(name), only, row["estimate"], half, "network", np.nan)]
    lines = len(rows)
    names: list[Cell | None] = [None] * lines
    kinds, values = [], []
    with figure_style():
        ax = new_axes(WIDTH, 1.1 + LINE_HEIGHT * lines) if ax is None else ax
        ax.axvline(0, color=INK, lw=0.7)
        if mcid is not None:
            at = result.benefit * abs(mcid)
            ax.axvline(at, color=TARGET, lw=0.9, ls=(0, (4, 3)), gid="mcid")
        before = ""
        for line, (name, words, estimate, half, kind, p) in enumerate(rows):
            if name != before:
                names[line] = Cell(shortened(exercise_label(name), 26), bold=True)
            elif np.isfinite(p):
                names[line] = Cell(p_text(p), muted=True)
            before = name
            if kind == "network" and np.isfinite(effects.loc[name, "pi_low"]):
                limits = effects.loc[name, ["pi_low", "pi_high"]]
                ax.plot(limits, [line, line], color=BAND, lw=4, solid_capstyle="butt", gid="pi")
            colour = KINDS[kind]
            ax.plot([estimate - half, estimate + half], [line, line], color=colour, lw=1.3)
            ax.plot(estimate, line, "D" if kind == "network" else "o", color=colour, ms=4.5)
            kinds.append(Cell(words, muted=kind != "network"))
            text = _interval(estimate, half, result.measure)
            values.append(Cell(text, muted=kind != "network"))
        ax.set(ylim=(lines - 0.4, -0.6), xlabel=xlabel or _difference(result.measure))
        effect_axis(ax, result.measure)
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        left = [Column("", names, "left"), Column("Evidence", kinds, "left")]
        draw_columns(ax, left, [Column(f"Estimate [{result.level:.0%} CI]", values)], -0.75)
    return ax


MOST_COMPARISONS = 12


@remembers
def transitivity(found: pd.DataFrame, labels: Mapping[str, str]) -> Figure:
    """What may modify effects: a point a trial, a row a comparison, a panel a characteristic.

    Parameters
    ----------
    found : DataFrame
        `comparison` ("a : b"), `trial_id` and a column a characteristic.
    labels : mapping
        Of these columns to what a reader calls them; those without any value are left out.

    Returns
    -------
    Figure
    """
    shown = [name for name in labels if found[name].notna().any()]
    counts = found["comparison"].value_counts()
    order = list(counts.index[:MOST_COMPARISONS])
    columns = min(3, len(shown))
    lines = -(-len(shown) // columns)
    with figure_style():
        size = (WIDTH, lines * (0.9 + 0.2 * len(order)))
        figure = DrawnFigure(figsize=size, layout="constrained")
        grid = figure.subplots(lines, columns, sharey=True, squeeze=False)
        for place, ax in enumerate(grid.flat):
            if place >= len(shown):
                ax.remove()
                continue
            name = shown[place]
            for row, comparison in enumerate(order):
                values = found.loc[found["comparison"] == comparison, name].dropna()
                ax.plot(values, np.full(len(values), row), "o", color=ACCENT, ms=4, alpha=0.6)
                if len(values):
                    ax.plot(values.median(), row, "|", color=INK, ms=11, gid="median")
            middle = found[name].median()
            ax.axvline(middle, color=FAINT, lw=1, zorder=0)
            ax.set_title(textwrap.fill(labels[name], 22), fontsize=8)
            ax.set_ylim(len(order) - 0.5, -0.5)
            names = [
                " – ".join(shortened(exercise_label(part), 18) for part in pair.split(" : "))
                for pair in order
            ]
            ax.set_yticks(range(len(order)), names, fontsize=6.5)
            ax.tick_params(axis="x", labelsize=7)
    return figure


ROW_HEIGHT = 0.26


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
    """
    table = result.ranking(draws, seed)
    chances = result.rank_probabilities(draws, seed).loc[table.index].to_numpy()
    size = len(table)
    with figure_style():
        ax = new_axes(WIDTH, 1.0 + ROW_HEIGHT * size) if ax is None else ax
        ax.set(xlim=(0.5, size + 0.5), ylim=(size - 0.4, -0.6), autoscale_on=False)
        spots = np.arange(size)
        shades = [to_rgba(BAND, _shade(chance)) for chance in chances.ravel()]
        starts = np.tile(spots + 0.52, size)
        ax.barh(np.repeat(spots, size), 0.96, left=starts, height=0.8, color=shades)
        ax.hlines(spots, table["rank_low"], table["rank_high"], color=ACCENT, lw=1.4)
        ax.plot(table["mean_rank"], spots, "o", color=ACCENT, ms=5, gid="mean-rank")
        ax.set_xlabel("Rank (1 is best)")
        ax.set_xticks(range(1, size + 1))
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        names = [Cell(shortened(exercise_label(name), 30)) for name in table.index]
        left = [Column("", names, "left")]
        interval = [
            Cell(f"{mean:.1f} [{low} to {high}]")
            for mean, low, high in zip(
                table["mean_rank"], table["rank_low"], table["rank_high"], strict=True
            )
        ]
        right = [
            Column("P-score", [Cell(f"{score:.2f}") for score in table["p_score"]]),
            Column(f"Mean rank [{result.level:.0%}]", interval),
            Column("Best", [Cell(f"{chance:.0%}") for chance in table["best"]]),
        ]
        draw_columns(ax, left, right, heading_y=-0.75)
    return ax


def _shade(chance: float) -> float:
    return float(np.clip(2.5 * chance, 0.0, 1.0))


KINDS = {"direct": TARGET, "indirect": MUTED, "network": ACCENT}

LINE_HEIGHT = 0.19


@remembers
def node_split(split: NodeSplit, *, xlabel: str | None = None, ax: Axes | None = None) -> Axes:
    """Forest plot of the comparisons that have both direct and indirect evidence.

    Parameters
    ----------
    split : NodeSplit
    xlabel : str
    ax : Axes, optional
        With room for text on both sides; by default on a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    CannotEstimate
        If no comparison has both.
    """
    table = split.summary()
    if table.empty:
        raise CannotEstimate("no comparison has both direct and indirect evidence")
    lines = 4 * len(table) - 1
    critical, ratio = quantile(split.level, np.inf), split.measure in RATIO_WORDS
    names: list[Cell | None] = [None] * lines
    kinds, values = names.copy(), names.copy()
    with figure_style():
        ax = new_axes(WIDTH, 0.9 + LINE_HEIGHT * lines) if ax is None else ax
        ax.axvline(0, color=INK, lw=0.7)
        for place, row in table.iterrows():
            first, second = exercise_label(row["treatment"]), exercise_label(row["versus"])
            names[4 * place] = Cell(f"{first} – {second}", bold=True)
            names[4 * place + 1] = Cell(p_text(row["p_value"]), muted=True)
            for line, (kind, colour) in enumerate(KINDS.items(), start=4 * place):
                estimate, half = row[kind], critical * row[f"{kind}_se"]
                ax.plot([estimate - half, estimate + half], [line, line], color=colour, lw=1.3)
                ax.plot(estimate, line, "o" if kind != "network" else "D", color=colour, ms=4.5)
                kinds[line] = Cell(_words(kind, row))
                values[line] = Cell(_interval(estimate, half, split.measure))
        first = "first against second" if ratio else "first minus second"
        xlabel = xlabel or f"{_difference(split.measure)} ({first})"
        ax.set(ylim=(lines - 0.4, -0.6), xlabel=xlabel)
        effect_axis(ax, split.measure)
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        left = [Column("", names, "left"), Column("Evidence", kinds, "left")]
        draw_columns(ax, left, [Column(f"Estimate [{split.level:.0%} CI]", values)], -0.75)
    return ax


def _words(kind: str, row: pd.Series) -> str:
    return f"direct ({row['trials']})" if kind == "direct" else kind


def _interval(estimate: float, half: float, measure: str) -> str:
    middle, low, high = (
        effect_text(value, measure) for value in (estimate, estimate - half, estimate + half)
    )
    return f"{middle} [{low} to {high}]"


def _difference(measure: str) -> str:
    """What an axis of effects shows, where no outcome is named."""
    unit = {"RD": " in percentage points"}.get(measure, "")
    return readable(RATIO_WORDS.get(measure, "difference")) + unit


GREY = "#9a9a9a"


INCHES_A_LETTER = 0.05
"""About, of the names of designs."""

LEAST_AREA = 0.01
"""Of a square, in square points: a smaller one is not seen, and not drawn."""


@remembers
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
    names = [" : ".join(map(exercise_label, design)) for design in heat.designs]
    size = len(names)
    bound = max(float(heat.heat.abs().to_numpy().max()), 1e-9)
    with figure_style():
        beside = INCHES_A_LETTER * max(map(len, names), default=0)
        ax = new_axes(WIDTH, WIDTH - 0.3 * beside - 0.5) if ax is None else ax
        image = ax.imshow(heat.heat, cmap=BETTER_WORSE, vmin=-bound, vmax=bound, aspect="equal")
        area = np.clip(heat.share.to_numpy(), 0, 1) * (150 / size) ** 2
        rows, columns = np.nonzero(area >= LEAST_AREA)
        ax.scatter(columns, rows, s=area[rows, columns], marker="s", c=GREY, lw=0, alpha=0.75)
        ax.set_xticks(range(size), names, rotation=40, ha="right", fontsize=6.5)
        ax.set_yticks(range(size), names, fontsize=6.5)
        ax.set_xlabel("Detached design")
        ax.spines[:].set_visible(False)
        bar = ax.figure.colorbar(image, ax=ax, shrink=0.8, pad=0.02)
        bar.set_label("Fall in inconsistency (Q)")
        bar.outline.set_visible(False)
    return ax
