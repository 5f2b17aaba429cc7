"""Dose-response curve with the trials it was fitted to, and what figures of curves share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

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
    exercise_colour,
    figure_style,
    legend_below,
    new_axes,
    plain_ticks,
)
from backpain_analysis.models.dose.curves import AnyExercise, Constant
from backpain_analysis.models.dose.result import DoseResponseResult
from backpain_analysis.models.dose.search import DoseEstimate
from backpain_analysis.words import (
    RATIO_WORDS,
    benefit_sign,
    dose_axis,
    exercise_label,
    measured,
    tick_text,
)

MOST_TYPES = 8

REACHED, BEST = "MCID reached at", "Best dose"

MARK_COLOURS = {REACHED: TARGET, BEST: ACCENT}

FOOT, LANE = 0.03, 0.085
"""Heights of the rug and of a bracket, as shares of the axes."""


def draw_curve(ax: Axes, curve: pd.DataFrame, x: str) -> None:
    """Mean effect over column `x`, its confidence band and the ends of its prediction interval."""
    doses = curve[x]
    ax.fill_between(
        doses, curve["ci_low"], curve["ci_high"], color=BAND, lw=0, zorder=1, gid="band"
    )
    for limit in ("pi_low", "pi_high"):
        if curve[limit].notna().any():
            ax.plot(doses, curve[limit], color=ACCENT, lw=0.8, ls=(0, (4, 3)), alpha=0.7, gid="pi")
    ax.plot(doses, curve["estimate"], color=ACCENT, lw=1.9, zorder=3, gid="curve")


def set_heights(
    ax: Axes, curve: pd.DataFrame, heights: np.ndarray, threshold: float | None, lanes: int
) -> None:
    """Limits that hold points, curve, MCID, most of the intervals, and a strip for brackets."""
    values = [0.0, *heights, *curve["estimate"], *([] if threshold is None else [threshold])]
    low, high = min(values), max(values)
    reach = high - low
    for limits, share in (("ci", 0.5), ("pi", 0.25)):
        low = np.fmin(low, np.maximum(curve[f"{limits}_low"].min(), min(values) - share * reach))
        high = np.fmax(high, np.minimum(curve[f"{limits}_high"].max(), max(values) + share * reach))
    space = 0.06 * (high - low)
    low, high = low - space, high + space
    strip = FOOT + LANE * lanes
    bottom = high - (high - low) / (1 - strip)
    ax.set_ylim(bottom, high)
    if lanes:
        ticks = [tick for tick in ax.get_yticks() if low <= tick <= high]
        ax.set_yticks(ticks)
        ax.set_ylim(bottom, high)
        ax.spines["left"].set_bounds(low, high)
        ax.spines["bottom"].set_zorder(5)
        ax.axhspan(bottom, low, color="white", lw=0, zorder=4.4)
        ax.plot([0, 1], [strip] * 2, transform=ax.transAxes, color=FAINT, lw=0.6, zorder=4.5)


def draw_threshold(ax: Axes, threshold: float) -> None:
    """The MCID as a dashed line, named beside the axes."""
    ax.axhline(threshold, color=TARGET, lw=0.9, ls=(0, (4, 3)), zorder=1.6, gid="mcid")
    ax.annotate(
        f"MCID\n{tick_text(threshold)}",
        xy=(1, threshold),
        xycoords=ax.get_yaxis_transform(),
        xytext=(3, 0),
        textcoords="offset points",
        va="center",
        fontsize=7.5,
        color=TARGET,
        annotation_clip=False,
    )


def draw_bracket(
    ax: Axes,
    text: str,
    place: tuple[float, float, float],
    bounds: tuple[float, float],
    colour: str,
    lane: int,
) -> None:
    """A place on the horizontal axis with its interval, in one of the lanes below the data.

    Parameters
    ----------
    ax : Axes
        With its limits set.
    text : str
    place : (estimate, low, high)
        The estimate may be missing. Limits that are missing or out of bounds are drawn as arrows.
    bounds : (first, last)
        What the data reach.
    colour : str
    lane : int
        Counted from below.
    """
    (estimate, low, high), (first, last) = place, bounds
    height = FOOT + LANE * (lane + 0.28)
    line: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "color": colour, "zorder": 5}
    left, right = low if low >= first else first, high if high <= last else last
    ax.plot([left, right], [height] * 2, lw=1.2, gid="bracket", **line)
    ax.plot(left, height, marker="|" if low >= first else "<", ms=5, ls="", **line)
    ax.plot(right, height, marker="|" if high <= last else ">", ms=5, ls="", **line)
    ax.plot(estimate, height, marker="o", ms=5, ls="", gid="dose-mark", **line)
    at = left if np.isnan(estimate) else min(estimate, last)
    rightwards = at < sum(ax.get_xlim()) / 2
    ax.annotate(
        text,
        xy=(at, height),
        xycoords=ax.get_xaxis_transform(),
        xytext=(-4 if rightwards else 4, 4),
        textcoords="offset points",
        ha="left" if rightwards else "right",
        va="bottom",
        fontsize=7.5,
        color=colour,
        zorder=5,
    )


def shown_types(types: Iterable[str]) -> list[str]:
    """Types with a colour of their own in this figure; the rarest are "other" where too many."""
    words = pd.Series(list(types), dtype=object).astype(str)
    counts = words.value_counts(sort=False).sort_values(ascending=False, kind="stable")
    if len(counts) <= MOST_TYPES:
        return list(words)
    return list(words.where(words.isin(counts.index[: MOST_TYPES - 1]), "other types"))


def circle(label: str, colour: str, *, hollow: bool = False) -> Line2D:
    """An entry of a legend: a circle, filled or hollow."""
    face = {"mfc": "none", "mew": 1.3} if hollow else {"mew": 0}
    return Line2D([], [], marker="o", ls="", ms=6.5, color=colour, label=label, **face)


GRID = 401

LARGEST_AREA = 260.0
"""Square points."""


@remembers
def dose_response(
    result: DoseResponseResult,
    *,
    reference: float | None = None,
    mcid: float | None = None,
    dose_label: str | None = None,
    effect_label: str | None = None,
    extrapolate_to: float | None = None,
    ax: Axes | None = None,
    annotate: bool | Mapping[str, DoseEstimate] = True,
) -> Axes:
    """Draw a fitted dose-response curve.

    Line: mean effect against the reference dose; band: its confidence interval; dashes: the
    prediction interval of a new trial. Circles: contrasts, their area proportional to `1/vi`, at
    their dose; one whose reference arm had another dose than `reference` is hollow and stands at
    its effect plus the curve at that dose. Ticks at the bottom: doses of the arms. The curve is
    drawn over the doses studied; one with a step begins at the smallest dose above zero. Further
    on, where that is asked for, the mean alone is dotted, on grey ground.

    Parameters
    ----------
    result : DoseResponseResult
    reference : float, optional
        Dose that effects are differences from; by default zero, or the smallest dose studied.
    mcid : float, optional
        Minimal clinically important difference (its size): a line on the side of benefit.
    dose_label, effect_label : str, optional
        Of the axes; by default the dose and the outcome of the result.
    extrapolate_to : float, optional
        Draw the mean curve on to this dose, which was not studied.
    ax : Axes, optional
        By default on a new figure.
    annotate : bool or mapping of DoseEstimate
        Whether to mark the lowest dose that reaches the MCID, and the best dose where the curve
        turns within the data, with their intervals; or the doses to mark, by what they are.

    Returns
    -------
    Axes

    Raises
    ------
    CannotEstimate
        For a reference dose that was not studied, unless `extrapolate_to` allows it.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({
    ...     "trial_id": ["a", "a", "b", "b"], "dose": [0, 120, 0, 60],
    ...     "mean": [40.0, 28.0, 41.0, 33.0], "sd": 20.0, "n": 50})
    >>> ax = bp.figures.dose_response(bp.dose_response(table, method="CE"), mcid=5)
    >>> ax.texts[1].get_text()
    'MCID reached at 47 (95% CI 30 to 104)'
    """
    require(result, "DoseResponseResult")
    points = result.points
    reference = result.reference_dose if reference is None else reference
    benefit = benefit_sign(result.outcome)
    threshold = None if mcid is None else benefit * abs(mcid)
    studied = np.concatenate([points["dose"], points["ref_dose"]]).astype(float)
    further = extrapolate_to is not None
    grid = np.linspace(result.min_dose, result.max_dose, GRID)
    curve = result.predict(grid, reference, extrapolate=further)
    ends = (studied.min(), studied.max(), *([extrapolate_to] if further else []))
    width = np.array([min(ends), max(ends)])
    if annotate is True:
        annotate = _marked_doses(result, threshold, benefit, reference)
    marks = annotate or {}
    with figure_style():
        ax = new_axes(WIDTH, 4.7) if ax is None else ax
        _draw_ground(ax, studied, width)
        draw_curve(ax, curve, "dose")
        if further:
            _draw_further(ax, result, width, reference)
        drawn = _draw_points(ax, result, reference)
        ax.plot(reference, 0, marker="D", ms=5, color=INK, ls="", zorder=5, gid="reference")
        ax.set_xlim(width[0] - 0.03 * np.ptp(width), width[1] + 0.03 * np.ptp(width))
        set_heights(ax, curve, drawn, threshold, len(marks))
        ax.axhline(0, color=INK, lw=0.7, zorder=1.5)
        if threshold is not None:
            draw_threshold(ax, threshold)
        _draw_rug(ax, studied)
        for lane, (name, dose) in enumerate(marks.items()):
            place = (dose.estimate, dose.ci_low, dose.ci_high)
            text, colour = f"{name} {_dose_text(dose, result.level)}", MARK_COLOURS.get(name, INK)
            draw_bracket(ax, text, place, (dose.low, dose.high), colour, lane)
        plain_ticks(ax)
        if result.measure in RATIO_WORDS:
            _ratio_ticks(ax)
        ax.set_xlabel(dose_label or dose_axis(result.dose_name, result.effects.dose_basis))
        ax.set_ylabel(effect_label or measured(result.outcome, result.measure))
        _draw_legend(ax, result, reference, further=further)
    return ax


def _marked_doses(
    result: DoseResponseResult, threshold: float | None, benefit: int, reference: float
) -> dict[str, DoseEstimate]:
    if isinstance(result.curve, Constant):
        return {}
    if isinstance(result.curve, AnyExercise) and result.test_dose()["p_value"] >= 1 - result.level:
        return {}
    marks = {}
    if threshold is not None:
        dose = result.dose_for(threshold, reference=reference, extrapolate=True)
        if dose.reached:
            marks[REACHED] = dose
    best = result.optimum(best="lowest" if benefit < 0 else "highest")
    if not best.at_edge:
        marks[BEST] = best
    return marks


def _dose_text(dose: DoseEstimate, level: float) -> str:
    places = 0 if dose.estimate >= 20 else 1 if dose.estimate >= 3 else 2
    high = f"{dose.ci_high:.{places}f}" if np.isfinite(dose.ci_high) else "no upper limit"
    return f"{dose.estimate:.{places}f} ({level:.0%} CI {dose.ci_low:.{places}f} to {high})"


def _draw_further(
    ax: Axes, result: DoseResponseResult, width: np.ndarray, reference: float
) -> None:
    """The mean curve where no dose was studied, dotted, on either side of those studied."""
    for start, end in ((width[0], result.min_dose), (result.max_dose, width[1])):
        if end > start:
            doses = np.linspace(max(start, 1e-9) if result.min_dose > 0 else start, end, GRID)
            beyond = result.predict(doses, reference, extrapolate=True)
            style: dict[str, Any] = {"color": ACCENT, "lw": 1.4, "ls": (0, (1, 2)), "zorder": 2.5}
            ax.plot(doses, beyond["estimate"], gid="extrapolated", **style)


def _draw_ground(ax: Axes, studied: np.ndarray, width: np.ndarray) -> None:
    for start, end in ((width[0], studied.min()), (studied.max(), width[1])):
        if end > start:
            ax.axvspan(start, end, color=FAINT, alpha=0.5, lw=0, zorder=0, gid="not-studied")


def _draw_points(ax: Axes, result: DoseResponseResult, reference: float) -> np.ndarray:
    """Draw the contrasts, large ones first; returns their heights."""
    points = result.points
    ref_dose = points["ref_dose"].to_numpy(dtype=float)
    height = points["yi"] + result.mean(ref_dose, reference)
    weight = 1 / points["vi"].to_numpy(dtype=float)
    area = np.maximum(LARGEST_AREA * weight / weight.max(), 16)
    colour = np.array([exercise_colour(word) for word in _types(result)])
    hollow = ref_dose != reference
    order = np.argsort(-area, kind="stable")
    for kind, gid in ((~hollow, "contrast"), (hollow, "contrast-hollow")):
        rows = order[kind[order]]
        if len(rows):
            ax.scatter(
                points["dose"].to_numpy(dtype=float)[rows],
                height.to_numpy(dtype=float)[rows],
                s=area[rows],
                facecolors="none" if gid.endswith("hollow") else colour[rows],
                edgecolors=colour[rows] if gid.endswith("hollow") else "white",
                linewidths=1.3 if gid.endswith("hollow") else 0.6,
                alpha=0.85,
                zorder=4,
                gid=gid,
            )
    return height.to_numpy(dtype=float)


def _types(result: DoseResponseResult) -> list[str]:
    """Which type each contrast stands for; all one where the table does not say."""
    if "exercise_type" not in result.points:
        return ["contrasts"] * len(result.points)
    return shown_types(result.points["exercise_type"])


RATIOS = np.array([0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0])


def _ratio_ticks(ax: Axes) -> None:
    """Ratios at their logarithms, between the limits of the data."""
    low, high = ax.spines["left"].get_bounds() or ax.get_ylim()
    shown = RATIOS[(np.log(RATIOS) >= low) & (np.log(RATIOS) <= high)]
    ax.set_yticks(np.log(shown), [f"{ratio:g}" for ratio in shown])


def _draw_rug(ax: Axes, studied: np.ndarray) -> None:
    doses = np.unique(studied)
    ax.vlines(
        doses,
        0,
        0.022,
        transform=ax.get_xaxis_transform(),
        color=INK,
        lw=0.8,
        zorder=5,
        gid="rug",
    )


def _draw_legend(ax: Axes, result: DoseResponseResult, reference: float, *, further: bool) -> None:
    level = f"{result.level:.0%}"
    types = pd.Series(_types(result), dtype=object)
    dashes = Line2D(
        [], [], color=ACCENT, lw=0.8, ls=(0, (4, 3)), label=f"{level} prediction interval"
    )
    dots = Line2D([], [], color=ACCENT, lw=1.4, ls=(0, (1, 2)), label="Beyond the doses studied")
    entries = [
        Line2D([], [], color=ACCENT, lw=1.9, label="Mean effect"),
        Patch(color=BAND, label=f"{level} confidence interval"),
        *([] if result.method == "CE" else [dashes]),
        *([dots] if further else []),
        Line2D([], [], color=INK, marker="D", ms=5, ls="", label="Reference dose"),
        *(
            circle(f"{exercise_label(word)} ({count})", exercise_colour(word))
            for word, count in types.value_counts().items()
        ),
    ]
    if (result.points["ref_dose"] != reference).any():
        entries.append(circle("Reference arm at another dose", MUTED, hollow=True))
    title = "Circles: contrasts of trials (how many), area by weight"
    drop = 4.6 + 1.4 * ax.get_xlabel().count("\n")
    legend_below(ax, entries, title=title, ncols=3, drop=drop, columnspacing=1.6, handletextpad=0.6)
