"""Participants: scores over time, effects of dose, responders, dropouts, power."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from backpain_analysis.errors import require
from backpain_analysis.figures.show import remembers
from backpain_analysis.figures.style import (
    ACCENT,
    BAND,
    FAINT,
    INK,
    MUTED,
    TARGET,
    WIDTH,
    figure_style,
    legend_below,
    new_axes,
    plain_ticks,
)
from backpain_analysis.models.people.interactions import WITHIN, ModeratorResult
from backpain_analysis.models.people.longitudinal import LongitudinalResult
from backpain_analysis.models.people.power import PowerResult
from backpain_analysis.models.people.tipping_point import TippingPoint
from backpain_analysis.models.people.visits import as_visits, difference, dose_name_of, person_codes
from backpain_analysis.models.results import quantile
from backpain_analysis.words import (
    as_benefit,
    dose_measure_label,
    plain_number,
    readable,
    tick_text,
)

GRID = 201

MOST_DOSES = 5
"""More different doses are put into groups."""

MOST_WEEKS, BINS = 15, 8
"""More different weeks are put into bins: at gaps, or so many of like size."""

GAP = 0.02
"""A gap between visits, as a share of all weeks."""

DODGE = 0.004
"""How far the intervals of two doses stand apart, as a share of the weeks."""


@remembers
def longitudinal(
    result: LongitudinalResult,
    *,
    weeks: ArrayLike | None = None,
    reference: float = 0.0,
    mcid: float | None = None,
    lower_is_better: bool = True,
    dose_label: str | None = None,
    effect_label: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the difference of each dose from the reference dose at chosen weeks.

    Parameters
    ----------
    result : LongitudinalResult
    weeks : array_like, optional
        A line and a confidence band each; by default the last week of the data.
    reference : float
    mcid : float, optional
        Minimal clinically important difference (its size): a line on the side of benefit.
    lower_is_better : bool
    dose_label, effect_label : str, optional
        Of the axes.
    ax : Axes, optional
        By default on a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> people = bp.load_participants()
    >>> ax = bp.figures.longitudinal(bp.longitudinal(people), weeks=[6, 12])
    >>> ax.get_xlabel(), [text.get_text() for text in ax.get_legend().get_texts()]
    ('Minutes per week', ['Week 6', 'Week 12', '95% confidence interval'])
    """
    require(result, "LongitudinalResult")
    weeks = np.atleast_1d(result.max_week if weeks is None else weeks).astype(float)
    grid = np.linspace(min(reference, 0.0), result.max_dose, GRID)
    fitted = result.predict(grid, weeks, reference)
    colours = _shades(len(weeks))
    with figure_style():
        ax = new_axes(WIDTH, 4.2) if ax is None else ax
        for week, colour in zip(weeks, colours, strict=True):
            own = fitted[fitted["week"] == week]
            band = {"color": colour, "alpha": 0.18, "lw": 0, "gid": "band"}
            ax.fill_between(own["dose"], own["ci_low"], own["ci_high"], **band)
            ax.plot(own["dose"], own["estimate"], color=colour, lw=1.9, zorder=3, gid="line")
        ax.axhline(0, color=INK, lw=0.7, zorder=1.5)
        entries: list[Artist] = [
            Line2D([], [], color=colour, lw=1.9, label=f"Week {tick_text(week)}")
            for week, colour in zip(weeks, colours, strict=True)
        ]
        entries.append(Patch(color=FAINT, label=f"{result.level:.0%} confidence interval"))
        if mcid is not None:
            dashes: dict[str, Any] = {"color": TARGET, "lw": 0.9, "ls": (0, (4, 3))}
            ax.axhline(as_benefit(mcid, lower_is_better), gid="mcid", **dashes)
            entries.append(Line2D([], [], label="MCID", **dashes))
        ax.set_xlim(grid[0], grid[-1])
        plain_ticks(ax)
        ax.set_xlabel(dose_label or dose_measure_label(result.dose_name))
        ax.set_ylabel(effect_label or f"Difference in {_outcome_text(result.outcome_name)}")
        _draw_legend(ax, entries)
    return ax


def profiles(
    data: Any,
    *,
    participants: int = 60,
    seed: int = 1,
    level: float = 0.95,
    outcome_label: str | None = None,
    ax: Axes | None = None,
    **columns: str,
) -> Axes:
    """Draw single participants' scores over time, and the mean scores of each dose.

    Thin lines: participants drawn at random, as many of each dose as there are; thick lines: means
    of all observed scores at a visit, with their normal confidence intervals. The means are what
    was seen, not a model: they differ between trials, and by who dropped out. Many different doses
    are put into groups of like size (zero apart), many different weeks too.

    Parameters
    ----------
    data : DataFrame or Participants
        See `models.participants.visits.as_visits`.
    participants : int
        How many thin lines.
    seed : int
        Of the draw.
    level : float
    outcome_label : str, optional
        Of the vertical axis.
    ax : Axes, optional
        By default on a new figure.
    **columns : str
        Names of the columns, as of `as_visits`.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        For unusable data, or where no visit has a score and a dose.

    Examples
    --------
    >>> people = bp.load_participants()
    >>> ax = bp.figures.profiles(people, participants=20)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['0 (150)', '60 (150)', '120 (150)', '240 (150)']
    """
    visits = as_visits(data, **columns)
    rows = visits[visits["value"].notna() & visits["dose"].notna()]
    if rows.empty:
        raise ValueError("no visit has a score and a dose: there is nothing to draw.")
    rows = rows.assign(
        person=person_codes(rows), bin=_bins(rows["week"]), group=_dose_groups(rows["dose"])
    )
    groups = rows["group"].cat.categories
    palette = dict(zip(groups, _shades(len(groups), MUTED), strict=True))
    drawn = _some(rows["person"].to_numpy(), participants, seed)
    with figure_style():
        ax = new_axes(WIDTH, 4.6) if ax is None else ax
        for _, own in rows[rows["person"].isin(drawn)].groupby("person"):
            own = own.sort_values("week")
            line: dict[str, Any] = {
                "color": palette[own["group"].iloc[-1]],
                "lw": 0.6,
                "alpha": 0.35,
            }
            ax.plot(own["week"], own["value"], zorder=1, gid="participant", **line)
        means, span = _means(rows, level), float(np.ptp(rows["week"]))
        for place, (group, own) in enumerate(means.groupby("group", observed=True)):
            week = own["week"] + DODGE * span * (place - (len(groups) - 1) / 2)
            line = {"color": palette[group], "zorder": 3}
            ax.vlines(week, own["ci_low"], own["ci_high"], lw=1.2, gid="interval", **line)
            ax.plot(week, own["mean"], lw=2.0, marker="o", ms=4, gid="mean", **line)
        plain_ticks(ax)
        ax.set_xlabel("Week")
        ax.set_ylabel(outcome_label or readable(_outcome_text(columns.get("outcome", "value"))))
        counts = rows.groupby("group", observed=True)["person"].nunique()
        entries = [
            Line2D([], [], color=palette[group], lw=2.0, marker="o", ms=4, label=f"{group} ({n})")
            for group, n in counts.items()
        ]
        _draw_legend(
            ax, entries, f"{dose_measure_label(dose_name_of(data, columns))} (participants)"
        )
    return ax


def _shades(count: int, first: str | None = None) -> list:
    """Blues from light to dark; `first` stands before them where there is more than one."""
    blues = mpl.colormaps["GnBu"]
    if count == 1:
        return [blues(0.85)]
    if first is not None:
        return [first, *(blues(shade) for shade in np.linspace(0.45, 1, count - 1))]
    return [blues(shade) for shade in np.linspace(0.45, 1, count)]


def _some(people: np.ndarray, count: int, seed: int) -> np.ndarray:
    everyone = np.unique(people)
    rng = np.random.default_rng(seed)
    return rng.choice(everyone, min(count, len(everyone)), replace=False)


def _bins(weeks: pd.Series) -> pd.Series:
    """The week itself, or the number of its bin."""
    distinct = np.sort(weeks.unique())
    if len(distinct) <= MOST_WEEKS:
        return weeks
    begins = distinct[1:][np.diff(distinct) > GAP * np.ptp(distinct)]
    if 1 < len(begins) < MOST_WEEKS:
        return pd.Series(np.searchsorted(begins, weeks, side="right"), weeks.index)
    return pd.qcut(weeks, BINS, labels=False, duplicates="drop")


def _dose_groups(doses: pd.Series) -> pd.Series:
    """Ordered categories: the doses, or groups of like size with zero apart."""
    if doses.nunique() <= MOST_DOSES:
        names = {dose: tick_text(dose) for dose in np.sort(doses.unique())}
        kind = pd.CategoricalDtype(list(names.values()), ordered=True)
        return doses.map(names).astype(kind)
    above = doses[doses > 0]
    edges = np.unique(np.quantile(above, np.linspace(0, 1, MOST_DOSES)))
    labels = [
        f"{tick_text(float(f'{low:.3g}'))} to {tick_text(float(f'{high:.3g}'))}"
        for low, high in pairwise(edges)
    ]
    place = np.clip(np.searchsorted(edges, doses, side="left") - 1, 0, len(labels) - 1)
    named = np.where(doses > 0, np.array(labels, dtype=object)[place], "0")
    kept = [label for label in ["0", *labels] if (named == label).any()]
    return pd.Series(pd.Categorical(named, dict.fromkeys(kept), ordered=True), doses.index)


def _means(rows: pd.DataFrame, level: float) -> pd.DataFrame:
    found = rows.groupby(["group", "bin"], observed=True).agg(
        week=("week", "mean"), mean=("value", "mean"), sd=("value", "std"), n=("value", "size")
    )
    half = quantile(level, np.inf) * found["sd"].fillna(0) / np.sqrt(found["n"])
    bounds = {"ci_low": found["mean"] - half, "ci_high": found["mean"] + half}
    return found.assign(**bounds).reset_index()


def _outcome_text(name: str) -> str:
    return "score" if name == "value" else name.replace("_", " ")


def _draw_legend(ax: Axes, entries: list, title: str | None = None) -> None:
    legend_below(ax, entries, title=title, ncols=len(entries) if len(entries) <= 4 else 3)


EFFECTS_GRID = 201


@remembers
def dose_effects(
    result: Any,
    *,
    reference: float = 0.0,
    mcid: float | None = None,
    lower_is_better: bool = True,
    dose_label: str | None = None,
    effect_label: str = "Difference in score",
    ax: Axes | None = None,
    **predict: Any,
) -> Axes:
    """Draw the effect of dose against the reference dose.

    Line: mean effect; band: its confidence interval; dashes: the prediction interval of a new
    trial, where the model has one.

    Parameters
    ----------
    result : CurveEffects or ImputedResult
        Anything with `predict(doses, reference, ...)`.
    reference : float
    mcid : float, optional
        Minimal clinically important difference (its size): a line on the side of benefit.
    lower_is_better : bool
    dose_label, effect_label : str, optional
        Of the axes.
    ax : Axes, optional
        By default on a new figure.
    **predict
        Passed on to `predict`, such as `week=12`.

    Returns
    -------
    Axes

    Examples
    --------
    >>> people = bp.load_participants()
    >>> ax = bp.figures.dose_effects(bp.ancova(people, week=12), mcid=10)
    >>> ax.get_xlabel()
    'Minutes per week'
    """
    require(result, "CurveEffects", "LongitudinalResult", "ImputedResult")
    largest = getattr(result, "results", (result,))[0].max_dose
    grid = np.linspace(min(reference, 0.0), largest, EFFECTS_GRID)
    fitted = result.predict(grid, reference, **predict)
    name = getattr(result, "results", (result,))[0].dose_name
    with figure_style():
        ax = new_axes(WIDTH, 4.2) if ax is None else ax
        ax.fill_between(
            grid, fitted["ci_low"], fitted["ci_high"], color=BAND, lw=0, zorder=1, gid="band"
        )
        for limit in ("pi_low", "pi_high"):
            if limit in fitted:
                dashes: dict[str, Any] = {
                    "color": ACCENT,
                    "lw": 0.8,
                    "ls": (0, (4, 3)),
                    "alpha": 0.7,
                }
                ax.plot(grid, fitted[limit], gid="pi", **dashes)
        ax.plot(grid, fitted["estimate"], color=ACCENT, lw=1.9, zorder=3, gid="line")
        ax.axhline(0, color=INK, lw=0.7, zorder=1.5)
        if mcid is not None:
            threshold = as_benefit(mcid, lower_is_better)
            ax.axhline(threshold, color=TARGET, lw=0.9, ls=(0, (4, 3)), gid="mcid")
        ax.set_xlim(grid[0], grid[-1])
        plain_ticks(ax)
        ax.set_xlabel(dose_label or dose_measure_label(name))
        ax.set_ylabel(effect_label)
        _draw_effects_legend(ax, result.level, "pi_low" in fitted, mcid is not None)
    return ax


def _draw_effects_legend(ax: Axes, level: float, prediction: bool, mcid: bool) -> None:
    entries = [
        Line2D([], [], color=ACCENT, lw=1.9, label="Mean effect"),
        Patch(color=BAND, label=f"{level:.0%} confidence interval"),
    ]
    dashes: dict[str, Any] = {"lw": 0.8, "ls": (0, (4, 3))}
    if prediction:
        label = f"{level:.0%} prediction interval of a new trial"
        entries.append(Line2D([], [], color=ACCENT, label=label, **dashes))
    if mcid:
        entries.append(Line2D([], [], color=TARGET, label="MCID", **dashes))
    legend_below(ax, entries, ncols=2)


@remembers
def interactions(
    result: ModeratorResult,
    *,
    dose: float | None = None,
    per: float = 1.0,
    effect_label: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw dose by moderator: each trial, the mean within trials, and apart from it across trials.

    Parameters
    ----------
    result : ModeratorResult
    dose : float, optional
        The change in its effect is drawn; by default the largest.
    per : float
        Units of the moderator, such as 10 years.
    effect_label : str, optional
        Of the horizontal axis.
    ax : Axes, optional
        By default on a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> people = bp.load_participants()
    >>> ax = bp.figures.interactions(bp.dose_by_moderator(people, "age", week=12), per=10)
    >>> print(ax.get_xlabel())
    Change in the effect of 240 minutes per week
    with 10 units more of age
    """
    require(result, "ModeratorResult")
    dose = result.max_dose if dose is None else dose
    table = result.table(dose, per=per)
    summary = table[~table["source"].str.contains("less")]
    trials = _of_trials(result, dose, per)
    rows = pd.concat([trials, summary], ignore_index=True)
    label = f"Change in the effect of {dose:g} {result.dose_name.replace('_', ' ')}\n"
    label += f"with {result.step(per)}"
    with figure_style():
        ax = new_axes(WIDTH, 1.3 + 0.27 * len(rows)) if ax is None else ax
        height = np.arange(len(rows), dtype=float) + 0.4 * (np.arange(len(rows)) >= len(trials))
        ax.axvline(0, color=INK, lw=0.7, zorder=1)
        for y, (_, row) in zip(height, rows.iterrows(), strict=True):
            _draw_row(ax, y, row)
        ax.set_yticks(height, [*trials["source"], *summary["source"].map(readable)])
        ax.set_ylim(height[-1] + 0.7, -0.7)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.xaxis.set_major_formatter(lambda value, _: tick_text(value))
        ax.set_xlabel(effect_label or label)
    return ax


def _of_trials(result: ModeratorResult, dose: float, per: float) -> pd.DataFrame:
    """Within-trial interactions of the single trials, where the curve has one term."""
    columns = ["source", "estimate", "ci_low", "ci_high"]
    if len(result.curve.terms) > 1:
        return pd.DataFrame(columns=columns)
    own = result.trials[result.trials["kind"] == WITHIN]
    scale = per * difference(result.curve, np.array([dose])).item()
    estimate = scale * own["estimate"]
    half = quantile(result.level, own["df"]) * abs(scale) * own["se"]
    values = [own["trial_id"].astype(str), estimate, estimate - half, estimate + half]
    return pd.DataFrame(dict(zip(columns, values, strict=True)))


def _draw_row(ax: Axes, y: float, row: pd.Series) -> None:
    pooled = isinstance(row.get("free_of_ecological_bias"), bool | np.bool_)
    free = pooled and bool(row["free_of_ecological_bias"])
    colour = ACCENT if free else MUTED
    size: dict[str, Any] = {"ms": 8 if pooled else 5, "marker": "D" if pooled else "s"}
    face = "white" if pooled and not free else colour
    line: dict[str, Any] = {
        "color": colour,
        "lw": 1.8 if pooled else 1.1,
        "zorder": 2,
        "gid": "interval",
    }
    ax.plot([row["ci_low"], row["ci_high"]], [y, y], **line)
    ax.plot(row["estimate"], y, ls="", mfc=face, mec=colour, zorder=3, gid="estimate", **size)


@remembers
def tipping_point(
    result: TippingPoint,
    *,
    mcid: float | None = None,
    effect_label: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a tipping-point analysis.

    Line: effect of the dose at each delta; band: its confidence interval; vertical line: the delta
    at which the interval first includes zero. The axis above gives the mean score that dropouts
    from exercise are then taken to have had, to judge whether that is plausible. Source: Permutt
    2016 (doi 10.1002/sim.6753).

    Parameters
    ----------
    result : TippingPoint
    mcid : float, optional
        Minimal clinically important difference (its size): a line on the side of the effect.
    effect_label : str, optional
        Of the vertical axis.
    ax : Axes, optional
        By default on a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> people = bp.load_participants()
    >>> found = bp.tipping_point(people, week=12, deltas=(0, 20), m=2)
    >>> ax = bp.figures.tipping_point(found)
    >>> print(ax.get_ylabel())
    Effect of 240 against 0 minutes per week
    at week 12 (points)
    """
    require(result, "TippingPoint")
    table = result.table
    delta = table["delta"].to_numpy()
    label = f"Effect of {result.dose:g} against {result.reference:g} "
    label += f"{result.dose_name.replace('_', ' ')}\nat week {result.week:g} (points)"
    with figure_style():
        ax = new_axes(WIDTH, 4.4) if ax is None else ax
        ax.fill_between(
            delta, table["ci_low"], table["ci_high"], color=BAND, lw=0, zorder=1, gid="band"
        )
        ax.plot(delta, table["estimate"], color=ACCENT, lw=1.9, zorder=3, gid="line")
        ax.axhline(0, color=INK, lw=0.8, zorder=2)
        if mcid is not None:
            threshold = np.copysign(abs(mcid), table["estimate"].iloc[0])
            ax.axhline(threshold, color=MUTED, lw=0.9, ls=(0, (4, 3)), gid="mcid")
        if np.isfinite(result.tipping):
            ax.axvline(result.tipping, color=TARGET, lw=1.3, zorder=2.5, gid="tipping")
        ax.set_xlim(delta.min(), delta.max())
        plain_ticks(ax)
        ax.set_xlabel("Delta: how much worse dropouts from exercise were than predicted (points)")
        ax.set_ylabel(effect_label or label)
        if table["mean_imputed"].notna().all():
            _draw_upper_axis(ax, result)
        _draw_tipping_legend(ax, result, mcid is not None)
    return ax


def _draw_upper_axis(ax: Axes, result: TippingPoint) -> None:
    """Mean imputed scores, which move with delta point by point."""
    mean = result.table["mean_imputed"].to_numpy()
    upper = ax.secondary_xaxis("top")
    ticks = [tick for tick in ax.get_xticks() if 0 <= tick <= result.table["delta"].max()]
    sign = np.sign(mean[-1] - mean[0])
    upper.set_xticks(ticks, [plain_number(mean[0] + sign * tick, 0) for tick in ticks])
    observed = plain_number(result.mean_observed, 0)
    upper.set_xlabel(
        f"Mean score of dropouts from exercise at week {result.week:g} (observed: {observed})"
    )
    upper.spines["top"].set_visible(True)


def _draw_tipping_legend(ax: Axes, result: TippingPoint, mcid: bool) -> None:
    entries = [
        Line2D([], [], color=ACCENT, lw=1.9, label="Mean effect"),
        Patch(color=BAND, label=f"{result.level:.0%} confidence interval"),
    ]
    if np.isfinite(result.tipping):
        tip = f"Tipping point: {plain_number(result.tipping)} points"
        entries.append(Line2D([], [], color=TARGET, lw=1.3, label=tip))
    if mcid:
        dashes: dict[str, Any] = {"lw": 0.9, "ls": (0, (4, 3))}
        entries.append(Line2D([], [], color=MUTED, label="MCID", **dashes))
    legend_below(ax, entries, ncols=2)


@remembers
def power(
    result: PowerResult, *, show: str = "power", target: float = 0.8, ax: Axes | None = None
) -> Axes:
    """Draw how a simulated design gains by size.

    Points: simulated sizes; bars: their 95% Monte-Carlo intervals.

    Parameters
    ----------
    result : PowerResult
    show : {"power", "width"}
        Power to show the effect, with a line at `target` and, where it is reached within the
        sizes simulated, the size that it takes; or the mean width of the confidence interval.
    target : float
        Power aimed at.
    ax : Axes, optional
        By default on a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        For another `show`, or a target that is no power.

    Examples
    --------
    >>> found = bp.power_of_design([20, 40], (0, 120), effect=-10, replicates=20, seed=1)
    >>> ax = bp.figures.power(found)
    >>> len(ax.lines[0].get_xdata()), ax.get_xlabel()
    (2, 'Participants randomised to each arm')
    """
    require(result, "PowerResult")
    if show not in ("power", "width"):
        raise ValueError(f"show {show!r} must be 'power' or 'width'.")
    needed = result.n_for(target)["n"]
    with figure_style():
        ax = new_axes(WIDTH, 4.0) if ax is None else ax
        draw = _draw_power if show == "power" else _draw_width
        draw(ax, result)
        if show == "power":
            _draw_target(ax, result, target, needed)
        of = "" if result.n_trials == 1 else f" of each of {result.n_trials} trials"
        ax.set_xlabel(f"Participants randomised to each arm{of}")
        ax.xaxis.set_major_formatter(lambda value, _: tick_text(value))
        ax.margins(x=0.05)
    return ax


def _draw_power(ax: Axes, result: PowerResult) -> None:
    table = 100 * result.table[["power", "power_low", "power_high"]]
    _draw_points(ax, result, *table.to_numpy().T)
    ax.set_ylim(0, 103)
    ax.set_ylabel(
        f"Power to show {plain_number(result.effect)} points (%)\n"
        f"{result.dose:g} against {result.reference:g} minutes per week, week {result.week:g}"
    )


def _draw_width(ax: Axes, result: PowerResult) -> None:
    width, error = result.table[["width", "width_se"]].to_numpy().T
    _draw_points(ax, result, width, width - 1.96 * error, width + 1.96 * error)
    ax.set_ylim(0, None)
    ax.set_ylabel(
        f"Mean width of the {result.level:.0%} interval (points)\n"
        f"{result.dose:g} against {result.reference:g} minutes per week, week {result.week:g}"
    )


def _draw_points(
    ax: Axes, result: PowerResult, value: np.ndarray, low: np.ndarray, high: np.ndarray
) -> None:
    size = result.table["n_per_arm"]
    ax.vlines(size, low, high, color=ACCENT, lw=1.2, gid="interval")
    ax.plot(size, value, color=ACCENT, marker="o", ms=4, zorder=3, gid="line")


def _draw_target(ax: Axes, result: PowerResult, target: float, needed: float) -> None:
    ax.axhline(100 * target, color=MUTED, lw=0.9, ls=(0, (4, 3)), gid="target")
    entries = [
        Line2D([], [], color=ACCENT, marker="o", ms=4, label="Power, 95% simulation interval"),
        Line2D([], [], color=MUTED, lw=0.9, ls=(0, (4, 3)), label=f"{target:.0%} power"),
    ]
    sizes = result.table["n_per_arm"]
    if sizes.min() < needed <= sizes.max():
        ax.axvline(needed, color=TARGET, lw=1.2, zorder=2, gid="needed")
        label = f"About {np.ceil(needed):.0f} per arm"
        entries.append(Line2D([], [], color=TARGET, lw=1.2, label=label))
    legend_below(ax, entries, ncols=3)
