"""Whether a network's evidence agrees: direct with indirect, designs, small trials, people."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import special

from backpain_analysis.errors import CannotEstimate, require
from backpain_analysis.evidence.faults import as_frame, need_columns
from backpain_analysis.figures.forest_marks import Cell, Column, draw_columns
from backpain_analysis.figures.network_plots import BETTER_WORSE
from backpain_analysis.figures.show import remembers
from backpain_analysis.figures.style import (
    ACCENT,
    AT_TOP,
    BAND,
    FAINT,
    INK,
    MUTED,
    PANELS,
    TARGET,
    WIDTH,
    DrawnFigure,
    effect_axis,
    figure_style,
    new_axes,
    strokes,
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

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({
    ...     "trial": ["a", "b", "c"], "treatment1": ["yoga", "yoga", "walking"],
    ...     "treatment2": ["advice", "walking", "advice"], "d": [-8.0, -3.0, -4.0], "se": 2.0})
    >>> result = bp.network(table, trial="trial", yi="d", se="se", reference="advice", method="CE")
    >>> ax = bp.figures.network_funnel(result.comparison_adjusted_funnel())
    >>> ax.get_xlabel()
    'Difference minus the direct mean of its comparison'
    """
    require(funnel, "ComparisonAdjustedFunnel")
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

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({
    ...     "trial": ["a", "b", "c"], "treatment1": ["yoga", "yoga", "walking"],
    ...     "treatment2": ["advice", "walking", "advice"], "d": [-8.0, -3.0, -4.0], "se": 2.0})
    >>> result = bp.network(table, trial="trial", yi="d", se="se", reference="advice", method="CE")
    >>> ax = bp.figures.comparison_forest(result)
    >>> [text.get_text() for text in ax.texts][-6:-3]
    ['−8.0 [−11.9 to −4.1]', '−7.0 [−12.5 to −1.5]', '−7.7 [−10.9 to −4.5]']
    """
    require(result, "NetworkResult")
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
    drawn: dict[str, list[Estimate]] = {kind: [] for kind in KINDS}
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
            drawn[kind].append((line, estimate, half))
            kinds.append(Cell(words, muted=kind != "network"))
            text = _interval(estimate, half, result.measure)
            values.append(Cell(text, muted=kind != "network"))
        _draw_estimates(ax, drawn)
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

    Examples
    --------
    >>> import pandas as pd
    >>> found = pd.DataFrame({
    ...     "comparison": ["yoga : none", "yoga : none", "walking : none"],
    ...     "trial_id": ["a", "b", "c"], "age": [40.0, 50.0, 60.0]})
    >>> figure = bp.figures.transitivity(found, {"age": "Mean age (years)"})
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['Yoga – No exercise', 'Walking – No exercise']
    """
    found = as_frame(found)
    need_columns(["comparison", "trial_id", *labels], found)
    shown = [name for name in labels if found[name].notna().any()]
    counts = found["comparison"].value_counts()
    order = list(counts.index[:MOST_COMPARISONS])
    names = [
        " – ".join(shortened(exercise_label(part), 18) for part in pair.split(" : "))
        for pair in order
    ]
    rows = found["comparison"].map({pair: row for row, pair in enumerate(order)})
    columns = min(3, len(shown))
    lines = -(-len(shown) // columns)
    with figure_style():
        size = (WIDTH, lines * (0.9 + 0.2 * len(order)))
        figure = DrawnFigure(figsize=size, layout="constrained")
        grid = figure.subplots(lines, columns, sharey=True, squeeze=False, subplot_kw=PANELS)
        for place, ax in enumerate(grid.flat):
            if place >= len(shown):
                ax.remove()
                continue
            name = shown[place]
            known = found[name].notna() & rows.notna()
            ax.plot(found[name][known], rows[known], "o", color=ACCENT, ms=4, alpha=0.6)
            medians = found[name][known].groupby(rows[known]).median()
            ax.plot(medians, medians.index, "|", color=INK, ms=11, gid="median")
            middle = found[name].median()
            ax.axvline(middle, color=FAINT, lw=1, zorder=0)
            ax.set_title(textwrap.fill(labels[name], 22), fontsize=8, y=AT_TOP)
            ax.tick_params(axis="x", labelsize=7)
        grid[0, 0].set_ylim(len(order) - 0.5, -0.5)
        grid[0, 0].set_yticks(range(len(order)), names)
        for ax in grid[:, 0]:
            ax.tick_params(axis="y", labelsize=6.5)
    return figure


Estimate = tuple[int, float, float]
"""Row, middle and half width of an interval."""

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

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({
    ...     "trial": ["a", "b", "c"], "treatment1": ["yoga", "yoga", "walking"],
    ...     "treatment2": ["advice", "walking", "advice"], "d": [-8.0, -3.0, -4.0], "se": 2.0})
    >>> result = bp.network(table, trial="trial", yi="d", se="se", reference="advice", method="CE")
    >>> ax = bp.figures.node_split(result.node_split())
    >>> [text.get_text() for text in ax.texts][1:3]
    ['Advice – Walking', 'P = 0.77']
    """
    require(split, "NodeSplit")
    table = split.summary()
    if table.empty:
        raise CannotEstimate("no comparison has both direct and indirect evidence")
    lines = 4 * len(table) - 1
    critical, ratio = quantile(split.level, np.inf), split.measure in RATIO_WORDS
    names: list[Cell | None] = [None] * lines
    kinds, values = names.copy(), names.copy()
    drawn: dict[str, list[Estimate]] = {kind: [] for kind in KINDS}
    with figure_style():
        ax = new_axes(WIDTH, 0.9 + LINE_HEIGHT * lines) if ax is None else ax
        ax.axvline(0, color=INK, lw=0.7)
        for place, row in table.iterrows():
            first, second = exercise_label(row["treatment"]), exercise_label(row["versus"])
            names[4 * place] = Cell(f"{first} – {second}", bold=True)
            names[4 * place + 1] = Cell(p_text(row["p_value"]), muted=True)
            for line, kind in enumerate(KINDS, start=4 * place):
                estimate, half = row[kind], critical * row[f"{kind}_se"]
                drawn[kind].append((line, estimate, half))
                kinds[line] = Cell(_words(kind, row))
                values[line] = Cell(_interval(estimate, half, split.measure))
        _draw_estimates(ax, drawn)
        first = "first against second" if ratio else "first minus second"
        xlabel = xlabel or f"{_difference(split.measure)} ({first})"
        ax.set(ylim=(lines - 0.4, -0.6), xlabel=xlabel)
        effect_axis(ax, split.measure)
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        left = [Column("", names, "left"), Column("Evidence", kinds, "left")]
        draw_columns(ax, left, [Column(f"Estimate [{split.level:.0%} CI]", values)], -0.75)
    return ax


def _draw_estimates(ax: Axes, drawn: dict[str, list[Estimate]]) -> None:
    """Draw each kind of evidence in its colour."""
    for kind, estimates in drawn.items():
        if not estimates:
            continue
        line, middle, half = np.array(estimates).T
        ends, marker = (middle - half, middle + half), "D" if kind == "network" else "o"
        strokes(ax, ends, (line, line), color=KINDS[kind], lw=1.3)
        ax.plot(middle, line, marker, color=KINDS[kind], ms=4.5)


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

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({
    ...     "trial": ["a", "b", "c"], "treatment1": ["yoga", "yoga", "walking"],
    ...     "treatment2": ["advice", "walking", "advice"], "d": [-8.0, -3.0, -4.0], "se": 2.0})
    >>> result = bp.network(table, trial="trial", yi="d", se="se", reference="advice", method="CE")
    >>> ax = bp.figures.net_heat(result.net_heat())
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['Advice : Yoga', 'Walking : Yoga', 'Advice : Walking']
    """
    require(heat, "NetHeat")
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
