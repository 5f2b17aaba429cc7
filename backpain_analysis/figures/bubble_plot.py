"""Bubble plot: effects against a moderator, with the meta-regression fitted to them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from formulaic import ModelSpec
from formulaic.parser.types import Factor
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from backpain_analysis.errors import require
from backpain_analysis.figures.show import remembers
from backpain_analysis.figures.style import (
    ACCENT,
    BAND,
    INK,
    MUTED,
    WIDTH,
    figure_style,
    legend_below,
    new_axes,
    plain_ticks,
)
from backpain_analysis.models.pairwise.meta_regression import MetaRegressionResult
from backpain_analysis.words import plural, readable

GRID = 201

LARGEST_AREA = 260.0
"""Square points."""


@remembers
def bubble(
    result: MetaRegressionResult,
    moderator: str,
    *,
    xlabel: str | None = None,
    ylabel: str = "Effect size",
    ax: Axes | None = None,
) -> Axes:
    """Draw a meta-regression over one moderator.

    Circles are effects as observed, their area proportional to their weight. Line: mean effect;
    band: its confidence interval; dashes: the prediction interval of a new trial. Other
    moderators are held at their mean, categories at the reference category; the legend says so.

    Parameters
    ----------
    result : MetaRegressionResult
    moderator : str
        A numeric column of the data that the formula uses.
    xlabel, ylabel : str, optional
        By default the moderator's name, and "Effect size".
    ax : Axes, optional
        By default on a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If the model has no such moderator, or it is a category.

    Examples
    --------
    >>> import pandas as pd
    >>> yi, vi = [-12.0, -5.5, -9.1, -3.0, -15.2], [4.0, 6.2, 3.1, 5.0, 9.0]
    >>> table = pd.DataFrame({"yi": yi, "vi": vi, "weeks": [12, 6, 8, 4, 12]})
    >>> ax = bp.figures.bubble(bp.meta_regression("yi ~ weeks", table), "weeks")
    >>> ax.get_xlabel()
    'Weeks'
    """
    require(result, "MetaRegressionResult")
    _check(result.spec, moderator)
    held = _held(result, moderator)
    observed = result.data[moderator].to_numpy(dtype=float)
    grid = np.linspace(observed.min(), observed.max(), GRID)
    fitted = result.predict(pd.DataFrame({moderator: grid, **held}))
    with figure_style():
        ax = new_axes(WIDTH, 4.6) if ax is None else ax
        _draw_fit(ax, grid, fitted)
        _draw_effects(ax, observed, result.table)
        ax.axhline(0, color=INK, lw=0.7, zorder=1.5)
        ax.margins(x=0.04)
        ax.set_ylim(_vertical_limits(result.table["yi"], fitted))
        plain_ticks(ax)
        ax.set_xlabel(xlabel or readable(moderator))
        ax.set_ylabel(ylabel)
        _draw_legend(ax, result, held)
    return ax


def _check(spec: ModelSpec, moderator: str) -> None:
    known = sorted(map(str, spec.required_variables))
    if moderator not in known:
        raise ValueError(f"no moderator {moderator!r}; the model has {', '.join(known) or 'none'}.")
    if moderator in _categories(spec):
        raise ValueError(f"{moderator} is a category: a bubble plot needs a number.")


def _categories(spec: ModelSpec) -> set[str]:
    """Variables that the model encodes as categories."""
    coded = {
        str(factor)
        for factor, (kind, _) in spec.encoder_state.items()
        if kind is Factor.Kind.CATEGORICAL
    }
    used = [names for factor, names in spec.factor_variables.items() if str(factor) in coded]
    return {str(name) for names in used for name in names} & set(map(str, spec.required_variables))


def _held(result: MetaRegressionResult, moderator: str) -> dict[str, object]:
    """Values of the other moderators: means, and reference categories."""
    spec, data = result.spec, result.data
    others = sorted({*map(str, spec.required_variables)} - {moderator})
    categories = _categories(spec)
    held = {name: data[name].mean() for name in others if name not in categories}
    for name in others:
        if name in categories:
            held[name] = _reference(spec, data, name)
    return held


def _reference(spec: ModelSpec, data: pd.DataFrame, name: str) -> object:
    """The category that the others are compared with: its rows of the design are emptiest."""
    levels = sorted(data[name].unique())
    row = data.iloc[[0]]
    designs = [spec.get_model_matrix(row.assign(**{name: level})) for level in levels]
    filled = [np.count_nonzero(design.to_numpy(dtype=float)) for design in designs]
    return levels[int(np.argmin(filled))]


def _vertical_limits(effects: pd.Series, fitted: pd.DataFrame) -> tuple[float, float]:
    """Limits that show every effect, and every interval but the far ends of very wide ones."""
    points = [0.0, *effects, *fitted["estimate"]]
    reach = 0.75 * (max(points) - min(points))
    low = max(min([*points, *fitted["pi_low"]]), min(points) - reach)
    high = min(max([*points, *fitted["pi_high"]]), max(points) + reach)
    space = 0.06 * (high - low)
    return low - space, high + space


def _draw_fit(ax: Axes, grid: np.ndarray, fitted: pd.DataFrame) -> None:
    ax.fill_between(
        grid, fitted["ci_low"], fitted["ci_high"], color=BAND, lw=0, zorder=1, gid="band"
    )
    for limit in ("pi_low", "pi_high"):
        ax.plot(grid, fitted[limit], color=ACCENT, lw=0.8, ls=(0, (4, 3)), alpha=0.7, gid="pi")
    ax.plot(grid, fitted["estimate"], color=ACCENT, lw=1.9, zorder=3, gid="line")


def _draw_effects(ax: Axes, observed: np.ndarray, table: pd.DataFrame) -> None:
    """Circles, large ones first."""
    weight = table["weight"].to_numpy()
    order = np.argsort(-weight, kind="stable")
    ax.scatter(
        observed[order],
        table["yi"].to_numpy()[order],
        s=LARGEST_AREA * (weight / weight.max())[order],
        color=MUTED,
        edgecolors="white",
        lw=0.7,
        alpha=0.75,
        zorder=4,
        gid="study",
    )


def _draw_legend(ax: Axes, result: MetaRegressionResult, held: dict[str, object]) -> None:
    level = f"{result.level:.0%}"
    circle: dict[str, Any] = {"marker": "o", "ls": "", "ms": 6.5, "color": MUTED, "mew": 0}
    entries = [
        Line2D([], [], label=f"{plural(result.n_trials, 'trial')}, area by weight", **circle),
        Line2D([], [], color=ACCENT, lw=1.9, label="Mean effect"),
        Patch(color=BAND, label=f"{level} confidence interval"),
        Line2D([], [], color=ACCENT, lw=0.8, ls=(0, (4, 3)), label=f"{level} prediction interval"),
    ]
    said = ", ".join(f"{readable(name).lower()} {_value(value)}" for name, value in held.items())
    title = f"Held at: {said}" if said else None
    legend_below(ax, entries, title=title, ncols=2, drop=4.6 + 1.4 * ax.get_xlabel().count("\n"))


def _value(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
