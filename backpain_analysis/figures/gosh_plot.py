"""GOSH plot: the pooled effect and its heterogeneity over subsets of the studies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap

from backpain_analysis.effects.table import Effects
from backpain_analysis.engine.subsets import Chosen
from backpain_analysis.figures.behind import remembers
from backpain_analysis.figures.funnel_plot import as_pooled, effect_label
from backpain_analysis.figures.style import (
    ACCENT,
    BAND,
    FAINT,
    INK,
    MUTED,
    TARGET,
    WIDTH,
    figure_of,
    figure_style,
    new_axes,
)
from backpain_analysis.models.pairwise.diagnostics import Studies, as_studies
from backpain_analysis.models.pairwise.pooling import PoolResult
from backpain_analysis.models.pairwise.subsets import pool_subsets
from backpain_analysis.words import shortened, tick_text

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
