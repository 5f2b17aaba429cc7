"""Dose-response curves of all agents of a network, on one pair of axes or in panels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from backpain_analysis.errors import require
from backpain_analysis.figures.show import remembers
from backpain_analysis.figures.style import (
    AT_TOP,
    EXERCISE_COLOURS,
    FAINT,
    INK,
    MUTED,
    PANELS,
    TARGET,
    WIDTH,
    DrawnFigure,
    figure_style,
    new_axes,
    plain_ticks,
)
from backpain_analysis.models.dose.curves import has_step
from backpain_analysis.words import (
    as_benefit,
    dose_measure_label,
    exercise_label,
    measured,
    tick_text,
)

if TYPE_CHECKING:
    from backpain_analysis.models.network.dose_network import DoseNetworkResult


GRID = 161

LARGEST_AREA = 170.0
"""Square points."""

MOST_BANDS = 4

SPARE_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#5b4bb3", "#b8860b", "#00b3b3")
"""For agents that are no exercise type."""


@remembers
def dose_network(
    result: DoseNetworkResult,
    *,
    agents: Sequence[str] | None = None,
    mcid: float | None = None,
    dose_label: str | None = None,
    effect_label: str | None = None,
    extrapolate: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draw the curves of several agents on one pair of axes.

    Lines: mean effects against the reference; bands: their confidence intervals (of up to four
    agents); dots, where asked for: beyond the largest dose the agent was studied at. Circles:
    contrasts of trials at the dose of the arm, their area proportional to `1/vi`; hollow where the
    other arm was another treatment, at the contrast plus the mean effect of that one, so that a
    contrast of two doses stands at both.

    Parameters
    ----------
    result : DoseNetworkResult
    agents : sequence of str, optional
        By default all.
    mcid : float, optional
        Minimal clinically important difference (its size): a line on the side of benefit.
    dose_label, effect_label : str, optional
        Of the axes.
    extrapolate : bool
        Draw every curve, dotted, up to the largest dose of any agent.
    ax : Axes, optional
        By default on a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        For an unknown agent.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({
    ...     "agent": ["usual_care", "yoga", "usual_care", "walking"], "dose": [0, 120, 0, 60],
    ...     "trial_id": list("aabb"), "mean": [40.0, 28.0, 41.0, 33.0], "sd": 20.0, "n": 50})
    >>> result = bp.dose_network(table, method="CE")
    >>> ax = bp.figures.dose_network(result)
    >>> [text.get_text() for text in ax.get_legend().get_texts()][:2]
    ['Walking', 'Yoga']
    """
    require(result, "DoseNetworkResult")
    shown = list(result.agents if agents is None else agents)
    colours = _colours(result)
    largest = max(result.max_dose(agent) for agent in shown)
    curves = {agent: result.predict(agent, _drawn(result, agent)) for agent in shown}
    points, heaviest = _all_points(result, shown)
    with figure_style():
        ax = new_axes(WIDTH, 4.7) if ax is None else ax
        _limit(ax, _heights(result, curves, points, mcid), largest)
        for agent in shown:
            band = len(shown) <= MOST_BANDS
            end = largest if extrapolate else result.max_dose(agent)
            _draw_curve(ax, result, agent, curves[agent], colours[agent], end, band=band)
            _draw_points(ax, points[agent], heaviest, colours[agent])
        _mark_differences(ax, result, mcid)
        ax.set_xlabel(dose_label or dose_measure_label(result.dose_name))
        ax.set_ylabel(effect_label or measured(result.outcome, result.measure))
        entries = [
            Line2D([], [], color=colours[a], marker="o", ms=5, lw=1.9, label=exercise_label(a))
            for a in shown
        ]
        ax.legend(
            handles=[*entries, *_keys(result, shown, points, mcid, extrapolate=extrapolate)],
            loc="upper left",
            bbox_to_anchor=(0, -0.14),
            ncols=3,
            columnspacing=1.6,
            handletextpad=0.6,
        )
    return ax


@remembers
def dose_network_panels(
    result: DoseNetworkResult,
    *,
    agents: Sequence[str] | None = None,
    mcid: float | None = None,
    dose_label: str | None = None,
    effect_label: str | None = None,
) -> Figure:
    """Draw one panel an agent, as `dose_network`, with the other curves in grey behind it.

    Dashes: the prediction interval of a new trial, at the doses that the agent was studied at.
    Triangles: the confidence interval goes on beyond the panel.

    Parameters
    ----------
    result, agents, mcid, dose_label, effect_label
        As for `dose_network`.

    Returns
    -------
    Figure

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({
    ...     "agent": ["usual_care", "yoga", "usual_care", "walking"], "dose": [0, 120, 0, 60],
    ...     "trial_id": list("aabb"), "mean": [40.0, 28.0, 41.0, 33.0], "sd": 20.0, "n": 50})
    >>> result = bp.dose_network(table, method="CE")
    >>> figure = bp.figures.dose_network_panels(result)
    >>> [ax.get_title(loc="left") for ax in figure.axes]
    ['Walking', 'Yoga']
    """
    require(result, "DoseNetworkResult")
    shown = list(result.agents if agents is None else agents)
    colours = _colours(result)
    largest = max(result.max_dose(agent) for agent in shown)
    curves = {agent: result.predict(agent, _drawn(result, agent)) for agent in shown}
    points, heaviest = _all_points(result, shown)
    columns = 2 if len(shown) in (2, 4) else min(3, len(shown))
    lines = -(-len(shown) // columns)
    with figure_style():
        figure = DrawnFigure(figsize=(WIDTH, 2.3 * lines + 0.9), layout="constrained")
        grid = figure.subplots(
            lines, columns, sharex=True, sharey=True, squeeze=False, subplot_kw=PANELS
        )
        _limit(grid[0, 0], _heights(result, curves, points, mcid), largest)
        for ax, agent in zip(grid.flat, shown, strict=False):
            for other, curve in curves.items():
                if other != agent:
                    ax.plot(curve["dose"], curve["estimate"], color=FAINT, lw=1.2, gid="other")
            own, colour = result.max_dose(agent), colours[agent]
            _draw_curve(ax, result, agent, curves[agent], colour, own, prediction=True)
            _draw_points(ax, points[agent], heaviest, colour)
            ax.set_title(exercise_label(agent), y=AT_TOP)
        for place, ax in enumerate(grid.flat):
            if place >= len(shown):
                ax.remove()
                continue
            _mark_differences(ax, result, mcid)
            _mark_cut(ax, curves[shown[place]].iloc[-1], colours[shown[place]])
            if place + columns >= len(shown):
                ax.tick_params(labelbottom=True)
                ax.set_xlabel(dose_label or dose_measure_label(result.dose_name))
        figure.supylabel(effect_label or measured(result.outcome, result.measure), fontsize=8.5)
        keys = _keys(result, shown, points, mcid, prediction=True)
        figure.legend(handles=keys, loc="outside lower center", ncols=3)
    return figure


def contrast_points(result: DoseNetworkResult, agent: str) -> pd.DataFrame:
    """Contrasts of trials with an arm of the agent, as effects against the reference.

    Returns
    -------
    DataFrame
        `trial_id, dose, effect, variance, hollow`: hollow where the other arm was no reference,
        to whose mean effect the contrast is added.
    """
    return _points(result, agent, result.effects_of_nodes(), _variances(result))


def _all_points(
    result: DoseNetworkResult, agents: list[str]
) -> tuple[dict[str, pd.DataFrame], float]:
    """The contrasts of each agent, and the weight of the heaviest of all."""
    effect, variance = result.effects_of_nodes(), _variances(result)
    points = {agent: _points(result, agent, effect, variance) for agent in agents}
    return points, float((1 / variance).max())


def _points(
    result: DoseNetworkResult, agent: str, effect: np.ndarray, variance: np.ndarray
) -> pd.DataFrame:
    network, nodes = result.data.network, result.data.nodes
    mine = (nodes["agent"] == agent).to_numpy() & (nodes["dose"] > 0).to_numpy()
    dosed = ~(nodes["dose"] == 0).to_numpy()
    doses = nodes["dose"].to_numpy()
    sides = []
    for own, other, sign in (
        (network.treatment, network.versus, 1.0),
        (network.versus, network.treatment, -1.0),
    ):
        rows = mine[own]
        sides.append(
            pd.DataFrame(
                {
                    "trial_id": network.trial[rows],
                    "dose": doses[own[rows]],
                    "effect": sign * network.y[rows] + effect[other[rows]],
                    "variance": variance[rows],
                    "hollow": dosed[other[rows]],
                }
            )
        )
    return pd.concat(sides, ignore_index=True)


def _variances(result: DoseNetworkResult) -> np.ndarray:
    network = result.data.network
    variance = np.empty(len(network.y))
    places = pd.Series(np.arange(len(network.y))).groupby(pd.factorize(network.trial)[0]).indices
    for number, V in enumerate(network.covariance):
        variance[places[number]] = np.diag(V)
    return variance


def _colours(result: DoseNetworkResult) -> dict[str, str]:
    """A colour an agent: that of its exercise type, else one that is not taken."""
    colours = {name: EXERCISE_COLOURS[name] for name in result.agents if name in EXERCISE_COLOURS}
    spare = [colour for colour in SPARE_COLOURS if colour not in colours.values()] or [MUTED]
    rest = [name for name in result.agents if name not in colours]
    return colours | {name: spare[place % len(spare)] for place, name in enumerate(rest)}


def _draw_curve(
    ax: Axes,
    result: DoseNetworkResult,
    agent: str,
    curve: pd.DataFrame,
    colour: str,
    largest: float,
    *,
    band: bool = True,
    prediction: bool = False,
) -> None:
    own = result.max_dose(agent)
    if band:
        limits = curve["dose"], curve["ci_low"], curve["ci_high"]
        ax.fill_between(*limits, color=colour, alpha=0.16, lw=0, gid="band")
    there = curve.iloc[-1]
    if prediction and np.isfinite(there["pi_low"]):
        for limit in ("pi_low", "pi_high"):
            ends = [result.min_dose(agent), own]
            if ends[0] == own:
                ax.plot(ends, [there[limit]] * 2, marker="_", color=colour, ms=8, gid="pi")
                continue
            inside = curve[curve["dose"] >= ends[0]]
            ax.plot(inside["dose"], inside[limit], color=colour, lw=0.8, ls=(0, (4, 3)), gid="pi")
    if len(curve) == 1:
        ax.vlines(
            own, curve["ci_low"], curve["ci_high"], color=colour, alpha=0.35, lw=5, gid="band"
        )
    marker = "D" if len(curve) == 1 else None
    line: dict[str, Any] = {"color": colour, "lw": 1.9, "marker": marker, "ms": 4.5}
    ax.plot(curve["dose"], curve["estimate"], zorder=3, gid="curve", **line)
    if largest > own:
        beyond = result.predict(agent, np.linspace(own, largest, GRID), extrapolate=True)
        style: dict[str, Any] = {"color": colour, "lw": 1.4, "ls": (0, (1, 2)), "alpha": 0.8}
        ax.plot(beyond["dose"], beyond["estimate"], zorder=2.5, gid="extrapolated", **style)


def _drawn(result: DoseNetworkResult, agent: str) -> np.ndarray:
    """The doses an agent's curve is drawn at, up to the largest one studied.

    With a step only those between its studied ones.
    """
    low, high = result.min_dose(agent), result.max_dose(agent)
    if not has_step(result.curves[agent]):
        low = 0.0
    return np.array([high]) if low == high else np.linspace(low, high, GRID)


def _draw_points(ax: Axes, points: pd.DataFrame, heaviest: float, colour: str) -> None:
    for hollow, own in points.groupby("hollow"):
        ax.scatter(
            own["dose"],
            own["effect"],
            s=np.maximum(LARGEST_AREA / own["variance"] / heaviest, 14),
            facecolors="none" if hollow else colour,
            edgecolors=colour if hollow else "white",
            linewidths=1.2 if hollow else 0.6,
            alpha=0.85,
            zorder=4,
            clip_on=False,
            gid="contrast-hollow" if hollow else "contrast",
        )


def _limit(ax: Axes, heights: tuple[float, float], largest: float) -> None:
    ax.set_xlim(-0.02 * largest, 1.08 * largest)
    ax.set_ylim(*heights)
    plain_ticks(ax)


def _mark_differences(ax: Axes, result: DoseNetworkResult, mcid: float | None) -> None:
    """The line of no effect, the MCID."""
    threshold = None if mcid is None else as_benefit(mcid, result.lower_is_better)
    ax.axhline(0, color=INK, lw=0.7, zorder=1.5)
    if threshold is not None:
        ax.axhline(threshold, color=TARGET, lw=0.9, ls=(0, (4, 3)), zorder=1.6, gid="mcid")


def _mark_cut(ax: Axes, own: pd.Series, colour: str) -> None:
    """A triangle where the confidence interval at the largest dose leaves the panel."""
    low, high = ax.get_ylim()
    for end, marker, cut in (
        (low, "v", own["ci_low"] < low),
        (high, "^", own["ci_high"] > high),
    ):
        if cut:
            ax.plot(own["dose"], end, marker, color=colour, ms=6, clip_on=False, gid="goes-on")


def _heights(
    result: DoseNetworkResult,
    curves: Mapping[str, pd.DataFrame],
    points: Mapping[str, pd.DataFrame],
    mcid: float | None,
) -> tuple[float, float]:
    """Limits that hold all points and curves, and half as much again of the intervals."""
    values = [0.0] if mcid is None else [0.0, as_benefit(mcid, result.lower_is_better)]
    limits: list[float] = []
    for agent, curve in curves.items():
        values += [*curve["estimate"], *points[agent]["effect"]]
        limits += [*curve["ci_low"], *curve["ci_high"]]
    low, high = min(values), max(values)
    reach = 0.5 * (high - low)
    low, high = max(min([low, *limits]), low - reach), min(max([high, *limits]), high + reach)
    space = 0.05 * (high - low)
    return low - space, high + space


def _keys(
    result: DoseNetworkResult,
    shown: list[str],
    points: Mapping[str, pd.DataFrame],
    mcid: float | None,
    prediction: bool = False,
    extrapolate: bool = False,
) -> list[Line2D | Patch]:
    """What lines and circles mean, whatever the agent; only what is drawn."""
    level, largest = f"{result.level:.0%}", max(result.max_dose(agent) for agent in shown)
    hollow = pd.concat([own["hollow"] for own in points.values()])
    circle: dict[str, Any] = {"marker": "o", "ls": "", "ms": 6, "color": MUTED}
    keys: list[Line2D | Patch] = []
    if prediction or len(shown) <= MOST_BANDS:
        keys.append(Patch(color=FAINT, label=f"{level} confidence interval"))
    if prediction and np.isfinite(result.predict(shown[0])["pi_low"]).any():
        keys.append(_line(f"{level} prediction interval", MUTED, 0.8, (4, 3)))
    if extrapolate and any(result.max_dose(agent) < largest for agent in shown):
        keys.append(_line("Beyond the doses studied", MUTED, 1.4, (1, 2)))
    if not hollow.all():
        keys.append(Line2D([], [], label="Trial, against no dose", **circle))
    if hollow.any():
        keys.append(Line2D([], [], label="Trial, against another treatment", mfc="none", **circle))
    if mcid is not None:
        keys.append(_line(f"MCID, {tick_text(abs(mcid))}", TARGET, 0.9, (4, 3)))
    return keys


def _line(label: str, colour: str, width: float, dashes: tuple[int, int]) -> Line2D:
    return Line2D([], [], color=colour, lw=width, ls=(0, dashes), label=label)
