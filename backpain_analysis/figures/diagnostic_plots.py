"""What single studies do to a pooled effect: Baujat, influence, cumulative forest, GOSH."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox
from numpy.typing import ArrayLike
from scipy import special

from backpain_analysis.effects.table import Effects
from backpain_analysis.engine.subsets import Chosen
from backpain_analysis.figures.forest_marks import (
    SIZE,
    Cell,
    Column,
    cut_arrows,
    diamond,
    draw_columns,
    draw_frame,
    interval_text,
    text_width,
)
from backpain_analysis.figures.funnel_plot import as_pooled, effect_label
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
    figure_of,
    figure_style,
    new_axes,
    plain_ticks,
    strokes,
)
from backpain_analysis.models.pairwise import diagnostics
from backpain_analysis.models.pairwise.diagnostics import (
    Studies,
    as_studies,
    leave_one_out,
    pool_subsets,
)
from backpain_analysis.models.pairwise.pooling import PoolResult
from backpain_analysis.words import LOWER_IS_BETTER, shortened, tick_text

LONGEST_LABEL = 32

DISTANCES = (5.0, 10.0, 16.0, 24.0, 34.0, 46.0, 60.0, 80.0)
"""Points from a study to its label; the first that is free is taken."""

DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))


@remembers
def baujat(
    result: PoolResult | Effects | pd.DataFrame, *, labels: int = 6, ax: Axes | None = None
) -> Axes:
    """Plot each study's share in the heterogeneity against its influence on the pooled effect.

    Sources: Baujat et al. 2002 (doi 10.1002/sim.1221) for a common effect; as metafor for random
    effects. With `(i)` for "without study i": x is the squared Pearson residual,
    `(y_i - mu)^2 / (v_i + tau2)`, which for a common effect is the study's part of Cochran's Q;
    y is the squared change of the pooled effect, standardised, `(mu - mu_(i))^2 / se_(i)^2`.

    Parameters
    ----------
    result : PoolResult, Effects or DataFrame
        Of independent studies; Effects and tables are pooled with the defaults of `pool`.
    labels : int
        How many studies to name: those farthest out, as shares of the largest x and y.
    ax : Axes, optional
        By default on a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        For correlated contrasts and fewer than two studies.

    Examples
    --------
    >>> yi, vi = [-12.0, -5.5, -9.1, -3.0, -15.2], [4.0, 6.2, 3.1, 5.0, 9.0]
    >>> ax = bp.figures.baujat(bp.pool(yi, vi), labels=2)
    >>> [text.get_text() for text in ax.texts]
    ['study 4', 'study 5']
    """
    pooled = as_pooled(result)
    others = leave_one_out(pooled)
    studies = pooled.table
    x = ((studies["yi"] - pooled.estimate) ** 2 / (studies["vi"] + pooled.tau2)).to_numpy()
    y = ((others["estimate"] - pooled.estimate) ** 2 / others["se"] ** 2).to_numpy()
    distance = np.hypot(_shares(x), _shares(y))
    named = np.argsort(-distance, kind="stable")[:labels]
    common = pooled.method == "CE"
    with figure_style():
        ax = new_axes(WIDTH, 4.6) if ax is None else ax
        colours = np.full(len(x), MUTED, dtype=object)
        colours[named] = ACCENT
        ax.scatter(
            x,
            y,
            s=30,
            c=list(colours),
            edgecolors="white",
            lw=0.7,
            zorder=3,
            gid="study",
        )
        ax.set(xlim=_limits(x), ylim=_limits(y))
        plain_ticks(ax)
        part = "contribution to Cochran's Q" if common else "squared Pearson residual"
        ax.set_xlabel(f"Heterogeneity: {part}")
        ax.set_ylabel("Influence on the pooled effect:\nsquared standardised change without it")
        label_points(ax, x, y, list(studies["label"]), list(named))
    return ax


def label_points(
    ax: Axes, x: np.ndarray, y: np.ndarray, labels: Sequence[str], named: Sequence[int]
) -> None:
    """Name points without covering points or names; a name that finds no room is left out.

    Parameters
    ----------
    ax : Axes
        With its limits and labels set: the figure is laid out to know what fits.
    x, y : ndarray, shape (k,)
    labels : sequence of str, length k
    named : sequence of int
        Rows to name, the most important first.
    """
    figure = figure_of(ax)
    figure.draw_without_rendering()
    points_per_pixel = 72 / figure.dpi
    places = ax.transData.transform(np.column_stack([x, y])) * points_per_pixel
    room = Bbox(ax.bbox.get_points() * points_per_pixel)
    taken = [Bbox.from_bounds(px - 3.5, py - 3.5, 7, 7) for px, py in places]
    for row in named:
        text = shortened(labels[row], LONGEST_LABEL)
        found = _free_place(places[row], text_width(text), taken, room)
        if found is None:
            continue
        shift, box = found
        taken.append(box)
        far = np.hypot(*shift) > 1.5 * DISTANCES[0]
        corner = tuple((1 - np.sign(shift)) / 2)
        line = {"arrowstyle": "-", "color": MUTED, "lw": 0.5, "shrinkB": 3, "relpos": corner}
        ax.annotate(
            text,
            xy=(x[row], y[row]),
            xytext=shift,
            textcoords="offset points",
            ha=("right", "center", "left")[int(np.sign(shift[0])) + 1],
            va=("top", "center", "bottom")[int(np.sign(shift[1])) + 1],
            fontsize=SIZE,
            color=INK,
            arrowprops=line if far else None,
            parse_math=False,
            gid="label",
        )


def _free_place(
    place: np.ndarray, width: float, taken: list[Bbox], room: Bbox
) -> tuple[tuple[float, float], Bbox] | None:
    """Shift and box, in points, of a name beside a point."""
    height = 1.3 * SIZE
    for distance in DISTANCES:
        for right, up in DIRECTIONS:
            shift = (right * distance, up * distance)
            left = place[0] + shift[0] + width * (right - 1) / 2
            bottom = place[1] + shift[1] + height * (up - 1) / 2
            box = Bbox.from_bounds(left, bottom, width, height)
            inside = room.x0 <= box.x0 and box.x1 <= room.x1 and room.y0 <= box.y0
            if inside and box.y1 <= room.y1 and not box.count_overlaps(taken):
                return shift, box
    return None


def _limits(values: np.ndarray) -> tuple[float, float]:
    largest = values.max() or 1.0
    return -0.02 * largest, 1.05 * largest


def _shares(values: np.ndarray) -> np.ndarray:
    largest = values.max()
    return values / largest if largest > 0 else values


PANEL_ROW_HEIGHT, HEAD, FOOT = 0.17, 0.4, 0.3
"""Inches."""

LONGEST_PANEL_LABEL = 24


@dataclass(frozen=True)
class Panel:
    """A diagnostic: its column, heading, where studies would lie, and limits of the unusual."""

    column: str
    heading: str
    centre: float
    limits: tuple[float, ...] = ()


@remembers
def influence(result: PoolResult | Effects | pd.DataFrame) -> Figure:
    """Draw the diagnostics of `models.diagnostics.influence`, a row a study.

    As metafor's plot of them (Viechtbauer & Cheung 2010, doi 10.1002/jrsm.11), with the studies
    downwards so that their names can be read. Grey line: the value of all studies together, or
    of a study like the others (0, 1, 1/k). Dotted: 1.96 for studentised residuals,
    3 sqrt(1/(k - 1)) for DFFITS, the median of chi-square on one degree of freedom for Cook's
    distance, 3/k for hat values. Studies that are influential by metafor's rule are orange.

    Parameters
    ----------
    result : PoolResult, Effects or DataFrame
        Of independent studies; Effects and tables are pooled with the defaults of `pool`.

    Returns
    -------
    Figure
        A figure, not `Axes`: its eight axes are `figure.axes`, in the order rstudent, dffits,
        cook_d, cov_r, tau2_del, q_del, hat, weight.

    Raises
    ------
    ValueError
        For correlated contrasts and fewer than three studies.

    Examples
    --------
    >>> yi, vi = [-12.0, -5.5, -9.1, -3.0, -15.2], [4.0, 6.2, 3.1, 5.0, 9.0]
    >>> figure = bp.figures.influence(bp.pool(yi, vi))
    >>> len(figure.axes), len(figure.axes[0].get_yticks())
    (8, 5)
    """
    pooled = as_pooled(result)
    table = diagnostics.influence(pooled)
    k = len(table)
    with figure_style():
        names = [shortened(label, LONGEST_PANEL_LABEL) for label in table["label"]]
        figure = DrawnFigure(figsize=(WIDTH, HEAD + FOOT + PANEL_ROW_HEIGHT * k))
        panels = _panels(pooled)
        room = {
            "left": (max(text_width(name, True) for name in names) + 16) / (72 * WIDTH),
            "right": 0.985,
            "top": 1 - HEAD / figure.get_figheight(),
            "bottom": FOOT / figure.get_figheight(),
            "wspace": 0.22,
        }
        grid = figure.subplots(1, len(panels), sharey=True, gridspec_kw=room, subplot_kw=PANELS)
        for axes, panel in zip(grid, panels, strict=True):
            _draw_panel(axes, table, panel)
        grid[0].set_yticks(range(k), names, fontsize=SIZE)
        for name, flagged in zip(grid[0].get_yticklabels(), table["influential"], strict=True):
            if flagged:
                name.set(color=TARGET, fontweight="bold")
    return figure


def _panels(pooled: PoolResult) -> list[Panel]:
    k = len(pooled.table)
    dffits = 3 * np.sqrt(1 / (k - 1))
    normal = float(special.ndtri(0.975))
    return [
        Panel("rstudent", "Studentised\nresidual", 0, (-normal, normal)),
        Panel("dffits", "DFFITS", 0, (-dffits, dffits)),
        Panel("cook_d", "Cook's\ndistance", 0, (float(special.chdtri(1, 0.5)),)),
        Panel("cov_r", "Covariance\nratio", 1),
        Panel("tau2_del", "τ² without", pooled.tau2),
        Panel("q_del", "Q without", pooled.q),
        Panel("hat", "Hat", 1 / k, (3 / k,)),
        Panel("weight", "Weight (%)", 100 / k),
    ]


def _draw_panel(ax: Axes, table: pd.DataFrame, panel: Panel) -> None:
    values = table[panel.column].to_numpy(dtype=float)
    rows = np.arange(len(values))
    flagged = table["influential"].to_numpy()
    for row in rows[flagged]:
        ax.axhspan(row - 0.5, row + 0.5, color=TARGET, alpha=0.1, lw=0, zorder=0, gid="row")
    strokes(ax, (panel.centre, values), (rows, rows), color=FAINT, lw=1.0, zorder=1)
    ax.axvline(panel.centre, color=MUTED, lw=0.8, zorder=0.5, gid="centre")
    for limit in _shown(panel, values):
        ax.axvline(limit, color=INK, lw=0.8, ls=(0, (1, 2)), zorder=0.5, gid="limit")
    for which, colour, gid in ((~flagged, ACCENT, "study"), (flagged, TARGET, "influential")):
        ax.scatter(values[which], rows[which], s=16, color=colour, lw=0, zorder=2, gid=gid)
    ax.set_title(panel.heading, fontsize=SIZE, loc="center", y=AT_TOP)
    ax.set_ylim(len(values) - 0.4, -0.6)
    ax.margins(x=0.12)
    ticks = _ticks(*ax.get_xlim())
    ends = (ticks[0], ticks[-1])
    ax.set_xticks(ticks, [tick_text(tick) if tick in ends else "" for tick in ticks])
    ax.tick_params(axis="x", labelsize=7)
    ax.tick_params(axis="y", length=0, left=False)
    ax.spines["left"].set_visible(False)


def _ticks(low: float, high: float) -> list[float]:
    """Round values far enough apart, and from the edges, for the first and last to be written."""
    width = high - low
    for bins in range(2, 12):
        ticks = MaxNLocator(bins, steps=[1, 2, 5, 10]).tick_values(low, high)
        inside = [t for t in ticks if low + 0.06 * width <= t <= high - 0.06 * width]
        if len(inside) > 1 and inside[-1] - inside[0] >= 0.45 * width:
            break
    return inside


def _shown(panel: Panel, values: np.ndarray) -> list[float]:
    """Limits but those far beyond every study, which would press the studies together."""
    farthest = np.nanmax(np.abs(values), initial=0.0)
    return [limit for limit in panel.limits if abs(limit) <= 2 * farthest]


STEP_HEIGHT = 0.2
"""Inches."""

LONGEST_STEP = 38


@remembers
def cumulative(
    result: PoolResult | Effects | pd.DataFrame,
    *,
    years: ArrayLike | None = None,
    xlabel: str | None = None,
    mcid: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Forest plot of a cumulative meta-analysis (Lau et al. 1992,
    doi 10.1056/NEJM199207233270406).

    Each row is the pooled effect, with its confidence interval, of the study named there and all
    above it; the last, a diamond, is that of all studies. The first is a study's own effect.

    Parameters
    ----------
    result : PoolResult, Effects or DataFrame
        Of independent studies; Effects and tables are pooled with the defaults of `pool`.
    years : array_like, shape (k,), optional
        Of the studies, which are added from the first year to the last. None: the column `year`
        of Effects or of a table, else the studies as given.
    xlabel : str, optional
        By default what the effects measure.
    mcid : float, optional
        Minimal clinically important difference (its size): a line on the side of benefit.
    ax : Axes, optional
        With room for text on both sides; by default a new figure as tall as it needs.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        For correlated contrasts; for years of another number than studies, or missing ones.

    Examples
    --------
    >>> yi, vi = [-12.0, -5.5, -9.1, -3.0, -15.2], [4.0, 6.2, 3.1, 5.0, 9.0]
    >>> ax = bp.figures.cumulative(bp.pool(yi, vi), years=[2004, 2009, 2013, 2016, 2021])
    >>> [text.get_text() for text in ax.texts if "[" in text.get_text()][-2:]
    ['−7.6 [−13.9, −1.3]', '−8.8 [−14.7, −2.9]']
    """
    pooled = as_pooled(result)
    years = _years(result) if years is None else np.asarray(years).ravel()
    steps = diagnostics.cumulative(pooled, order=years)
    higher_is_better = isinstance(result, Effects) and result.outcome not in LOWER_IS_BETTER
    benefit = 1 if higher_is_better else -1
    threshold = None if mcid is None else benefit * abs(mcid)
    limits = _step_limits(steps, threshold)
    with figure_style():
        ax = new_axes(WIDTH, 1.1 + STEP_HEIGHT * len(steps)) if ax is None else ax
        ax.set(xlim=limits, ylim=(len(steps) - 0.4, -0.6), autoscale_on=False)
        draw_frame(ax, benefit, threshold, xlabel or effect_label(result))
        ax.axvline(pooled.estimate, color=ACCENT, lw=0.7, ls=(0, (1, 2)), zorder=0)
        for y, step in enumerate(steps.itertuples()):
            _draw_step(ax, y, step, limits, last=y == len(steps) - 1)
        left, right = _columns(steps, None if years is None else np.sort(years), pooled.level)
        draw_columns(ax, left, right, heading_y=-0.75)
    return ax


def _years(result: PoolResult | Effects | pd.DataFrame) -> np.ndarray | None:
    table = result.table if isinstance(result, Effects) else result
    if isinstance(table, pd.DataFrame) and "year" in table:
        return table["year"].to_numpy()
    return None


def _step_limits(steps: pd.DataFrame, threshold: float | None) -> tuple[float, float]:
    """Limits that show every estimate, and every interval but the far ends of very wide ones."""
    points = [0.0, *steps["estimate"], *([] if threshold is None else [threshold])]
    reach = 2 * float((steps["ci_high"] - steps["ci_low"]).median())
    low = max(min([*points, *steps["ci_low"]]), min(points) - reach)
    high = min(max([*points, *steps["ci_high"]]), max(points) + reach)
    space = 0.04 * (high - low)
    return low - space, high + space


def _draw_step(ax: Axes, y: int, step: Any, limits: tuple[float, float], *, last: bool) -> None:
    cut_arrows(ax, y, step.ci_low, step.ci_high, limits, ACCENT if last else INK)
    if last:
        diamond(ax, y, step)
        return
    ends = [step.ci_low, step.ci_high]
    ax.plot(ends, [y, y], color=INK, lw=0.9, solid_capstyle="butt", gid="interval")
    ax.scatter(step.estimate, y, s=18, color=INK, lw=0, zorder=3, gid="estimate")


def _columns(
    steps: pd.DataFrame, years: np.ndarray | None, level: float
) -> tuple[list[Column], list[Column]]:
    names = [shortened(label, LONGEST_STEP) for label in steps["label"]]
    names = [name if row == 0 else f"+ {name}" for row, name in enumerate(names)]
    intervals = [interval_text(s.estimate, s.ci_low, s.ci_high) for s in steps.itertuples()]
    i2 = [f"{value:.0f}%" if np.isfinite(value) else "–" for value in steps["i2"]]
    left = [Column("Study added", _cells(names), "left")]
    if years is not None:
        left.append(Column("Year", _cells([tick_text(year) for year in years])))
    right = [Column(f"Effect [{level:.0%} CI]", _cells(intervals)), Column("I²", _cells(i2))]
    return left, right


def _cells(texts: list[str]) -> list[Cell]:
    return [Cell(text, bold=row == len(texts) - 1) for row, text in enumerate(texts)]


CELLS, BINS = (45, 17), 60

BATCH = 1000

DENSITY = LinearSegmentedColormap.from_list("density", [BAND, ACCENT, "#00294a"])

SHARE = LinearSegmentedColormap.from_list("share", [ACCENT, FAINT, TARGET])


@remembers
def gosh(
    result: PoolResult | Effects | pd.DataFrame,
    *,
    subsets: int = 10_000,
    seed: int = 1,
    contains: str | None = None,
    xlabel: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Pool subsets of the studies and plot I2 against the pooled effect (Olkin, Dahabreh &
    Trikalinos 2012, doi 10.1002/jrsm.1053).

    One cloud means that the studies agree; several mean that some study or group of studies
    pulls the effect. Marginal histograms stand above and on the right; the diamond is the pooled
    effect of all studies. Subsets have at least two studies, as one has no I2.

    Parameters
    ----------
    result : PoolResult, Effects or DataFrame
        Of independent studies; Effects and tables are pooled with the defaults of `pool`.
    subsets : int
        How many to pool, each subset equally likely; all of them where there are no more.
    seed : int
        Of the sampling.
    contains : str, optional
        Label of a study: colours show the share of subsets that contain it, and the histograms
        are split by it. Otherwise colours show how many subsets there are.
    xlabel : str, optional
        By default what the effects measure.
    ax : Axes, optional
        By default on a new figure; the histograms are insets beyond its top and right edges.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        For correlated contrasts, fewer than three studies, no subsets, an unknown label.

    Examples
    --------
    >>> yi, vi = [-12.0, -5.5, -9.1, -3.0, -15.2], [4.0, 6.2, 3.1, 5.0, 9.0]
    >>> ax = bp.figures.gosh(bp.pool(yi, vi))
    >>> ax.get_title(loc="left")
    'All 26 subsets of 5 studies'
    """
    pooled = as_pooled(result)
    studies = as_studies(pooled, None, None, least=3)
    if contains is not None and contains not in studies.labels:
        raise ValueError(f"no study {contains!r}; they are {', '.join(studies.labels)}.")
    masks = subset_masks(len(studies), subsets, seed)
    found = pool_masks(studies, masks)
    inside = None if contains is None else masks[:, studies.labels.index(contains)]
    x, y = found["estimate"].to_numpy(), found["i2"].to_numpy()
    with figure_style():
        ax = new_axes(WIDTH, 5.0) if ax is None else ax
        cells = _draw_cells(ax, x, y, inside)
        ax.plot(
            pooled.estimate,
            pooled.i2,
            marker="D",
            ms=7,
            color="white",
            mec=INK,
            mew=1.2,
            ls="",
            zorder=4,
            gid="all",
        )
        ax.set(xlim=_padded(x), ylim=(-3, 103))
        _draw_histograms(ax, x, y, inside)
        ax.xaxis.set_major_formatter(lambda value, _: tick_text(value))
        ax.set_xlabel(xlabel or _pooled_label(result))
        ax.set_ylabel("I² (%)")
        _draw_key(ax, cells, contains)
        which = "All" if len(masks) == n_subsets(len(studies)) else "Random sample:"
        note = f"{which} {len(masks):,} subsets of {len(studies)} studies"
        ax.set_title(note, y=1.2, fontsize=8, fontweight="normal", color=MUTED)
    return ax


def subset_masks(k: int, subsets: int, seed: int) -> np.ndarray:
    """Subsets of at least two of k studies: all, or as many as asked for, drawn at random.

    Parameters
    ----------
    k, subsets, seed : int

    Returns
    -------
    ndarray of bool, shape (m, k)
        Random subsets are drawn with replacement, each equally likely.
    """
    if subsets < 1:
        raise ValueError(f"{subsets} subsets: give at least one.")
    if n_subsets(k) <= subsets:
        masks = np.arange(2**k)[:, None] >> np.arange(k) & 1 == 1
        return masks[masks.sum(axis=1) > 1]
    random = np.random.default_rng(seed)
    masks = random.random((subsets, k)) < 0.5
    while (few := masks.sum(axis=1) < 2).any():
        masks[few] = random.random((few.sum(), k)) < 0.5
    return masks


def n_subsets(k: int) -> int:
    """How many subsets of at least two studies there are."""
    return 2**k - 1 - k


def pool_masks(studies: Studies, masks: np.ndarray) -> pd.DataFrame:
    """`pool_subsets` in batches, so that memory does not grow with the number of subsets."""
    batches = [masks[start : start + BATCH] for start in range(0, len(masks), BATCH)]
    parts = [
        pool_subsets(studies.y, studies.v, Chosen(part), **studies.options) for part in batches
    ]
    return pd.concat(parts, ignore_index=True)


def _padded(x: np.ndarray) -> tuple[float, float]:
    space = 0.04 * (np.ptp(x) or 1.0)
    return x.min() - space, x.max() + space


def _draw_cells(
    ax: Axes, x: np.ndarray, y: np.ndarray, inside: np.ndarray | None
) -> PolyCollection:
    low, high = _padded(x)
    shape: dict[str, Any] = {"gridsize": CELLS, "extent": (low, high, 0, 100), "mincnt": 1}
    look: dict[str, Any] = {"lw": 0.2, "edgecolors": "face", "gid": "cells"}
    if inside is None:
        return ax.hexbin(x, y, cmap=DENSITY, bins="log", **shape, **look)
    share: dict[str, Any] = {
        "C": 100.0 * inside,
        "reduce_C_function": np.mean,
        "vmin": 0,
        "vmax": 100,
    }
    return ax.hexbin(x, y, cmap=SHARE, **share, **shape, **look)


def _draw_histograms(ax: Axes, x: np.ndarray, y: np.ndarray, inside: np.ndarray | None) -> None:
    above = ax.inset_axes((0, 1.02, 1, 0.16), sharex=ax)
    beside = ax.inset_axes((1.02, 0, 0.12, 1), sharey=ax)
    everyone = np.ones(len(x), dtype=bool)
    parts = [(everyone, ACCENT)] if inside is None else [(~inside, ACCENT), (inside, TARGET)]
    low, high = ax.get_xlim()
    columns, lines = np.linspace(low, high, BINS + 1), np.linspace(0, 100, BINS // 2 + 1)
    look: dict[str, Any] = {"alpha": 0.6, "lw": 0}
    for rows, colour in parts:
        above.hist(x[rows], bins=list(columns), color=colour, **look)
        beside.hist(y[rows], bins=list(lines), orientation="horizontal", color=colour, **look)
    above.set_axis_off()
    beside.set_axis_off()


def _draw_key(ax: Axes, cells: PolyCollection, contains: str | None) -> None:
    bar = ax.inset_axes((1.19, 0.0, 0.025, 0.45))
    key = figure_of(ax).colorbar(cells, cax=bar)
    key.outline.set_visible(False)
    if contains is None:
        most = cells.get_clim()[1]
        ticks = (1, 2, 5, 10, 20, 50, 100, 200, 500)
        key.set_ticks([tick for tick in ticks if tick <= most])
    bar.minorticks_off()
    bar.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    what = "Subsets" if contains is None else f"% of subsets with\n{shortened(contains, 24)}"
    bar.set_ylabel(what, fontsize=8)


def _pooled_label(result: PoolResult | Effects | pd.DataFrame) -> str:
    label = effect_label(result)
    return f"Pooled {label[:1].lower()}{label[1:]}"
