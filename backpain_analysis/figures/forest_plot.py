"""Forest plots: every trial, every group and the whole, with their numbers; and a line a group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy
from matplotlib.axes import Axes

from backpain_analysis.effects.table import Effects
from backpain_analysis.errors import require
from backpain_analysis.figures.forest_marks import (
    Cell,
    Column,
    Pooled,
    cut_arrows,
    diamond,
    draw_columns,
    draw_frame,
    heterogeneity_line,
    interval_text,
    prediction_bar,
    prediction_text,
)
from backpain_analysis.figures.show import remembers
from backpain_analysis.figures.style import ACCENT, INK, WIDTH, effect_axis, figure_style, new_axes
from backpain_analysis.models.bayes.posterior import PooledPosterior
from backpain_analysis.models.pairwise.pooling import PoolResult
from backpain_analysis.words import (
    EXERCISE_LABELS,
    RATIO_WORDS,
    benefit_sign,
    exercise_label,
    measure_heading,
    measured,
    natural,
    plural,
    shortened,
)

TESTS = {
    "knapp-hartung": "Knapp-Hartung intervals",
    "adhoc": "Knapp-Hartung intervals, never narrower than normal ones",
    "t": "t intervals",
    "z": "normal intervals",
}

METHODS = {"CE": "Common effect"}

AnyPooled = PoolResult | PooledPosterior
"""A pooled effect, without or with a prior."""


@dataclass(frozen=True)
class Row:
    """A line: "heading", "trial", "summary", "heterogeneity", "note" or "space".

    Attributes
    ----------
    interval : tuple of float, optional
        Estimate, lower and upper limit of a trial or a summary.
    pooled : PoolResult or PooledPosterior, optional
        Of a summary and of its heterogeneity.
    participants : tuple of float
        In the exercise and in the reference arms; NaN where unknown.
    weight : float
        Per cent; NaN where none.
    """

    kind: str
    label: str = ""
    interval: tuple[float, float, float] | None = None
    pooled: AnyPooled | None = None
    participants: tuple[float, float] = (np.nan, np.nan)
    weight: float = np.nan


def forest_rows(
    table: pd.DataFrame,
    results: Mapping[str, AnyPooled] | None,
    overall: AnyPooled | None,
    group_by: str,
) -> list[Row]:
    """Lines of the plot of `table`; see `forest.forest` for the arguments.

    A group of one effect has no summary: it would repeat the effect.
    """
    pooled = [overall, *(results or {}).values()]
    level = next((result.level for result in pooled if result), 0.95)
    weights = pd.Series(np.nan, table.index)
    if overall is not None:
        weights = pd.Series(overall.table["weight"].to_numpy(), table.index)
    rows: list[Row] = []
    if results is None:
        rows += _trials(table, weights, level)
    else:
        for name, part in _parts(table, results, group_by).items():
            result, own = results.get(name), weights[part.index]
            if overall is None and result is not None:
                own = pd.Series(result.table["weight"].to_numpy(), part.index)
            rows += [Row("heading", exercise_label(name)), *_trials(part, own, level)]
            if result is not None and len(part) > 1:
                rows += _summary("Subtotal", part, result, own.sum())
            rows.append(Row("space"))
    if overall is not None:
        rows += _summary("All effects", table, overall, weights.sum())
    method = next((result for result in pooled if result), None)
    if method is not None:
        rows.append(Row("note", _method(method)))
    if any(np.isfinite(result.pi_low) for result in pooled if result):
        rows.append(Row("note", "Pale bars: prediction intervals (PI)"))
    return rows[:-1] if rows[-1].kind == "space" else rows


def in_group(table: pd.DataFrame, group_by: str, name: str) -> pd.Series:
    """Whether each row belongs to a group, named by its word or by its label."""
    words = table[group_by].astype(str)
    return (words == name) | (words.map(EXERCISE_LABELS) == name)


def _parts(
    table: pd.DataFrame, results: Mapping[str, AnyPooled], group_by: str
) -> dict[str, pd.DataFrame]:
    parts = {name: table[in_group(table, group_by, name)] for name in results}
    rest = table.drop(index=[index for part in parts.values() for index in part.index])
    return parts | {
        name: part for name, part in rest.groupby(rest[group_by].astype(str), sort=False)
    }


def _trials(part: pd.DataFrame, weights: pd.Series, level: float) -> list[Row]:
    critical = scipy.special.ndtri((1 + level) / 2)
    rows = []
    for index, effect in part.sort_values("yi", kind="stable").iterrows():
        yi, half = float(effect["yi"]), float(critical * np.sqrt(effect["vi"]))
        participants = (float(effect.get("n_arm", np.nan)), float(effect.get("n_ref", np.nan)))
        label = str(effect["label"])
        rows.append(
            Row("trial", label, (yi, yi - half, yi + half), None, participants, weights[index])
        )
    return rows


def _summary(label: str, part: pd.DataFrame, result: AnyPooled, weight: float) -> list[Row]:
    trials = plural(result.n_trials, "trial")
    interval = (result.estimate, result.ci_low, result.ci_high)
    return [
        Row("summary", f"{label}, {trials}", interval, result, _sizes(part), weight),
        Row("heterogeneity", heterogeneity_line(result), None, result),
    ]


def _method(result: AnyPooled) -> str:
    if isinstance(result, PooledPosterior):
        return f"Posterior, credible intervals (CrI); prior of τ {result.prior}"
    model = METHODS.get(result.method, f"Random effects ({result.method})")
    return f"{model}, {TESTS[result.test]}"


def _sizes(part: pd.DataFrame) -> tuple[float, float]:
    """Participants of the exercise and of the reference arms, each arm once; NaN if any unknown."""
    if not {"trial_id", "arm_id", "ref_arm_id", "n_arm", "n_ref"} <= set(part):
        return np.nan, np.nan
    arms = part.drop_duplicates(["trial_id", "arm_id"])["n_arm"].astype(float)
    references = part.drop_duplicates(["trial_id", "ref_arm_id"])["n_ref"].astype(float)
    return arms.sum(skipna=False), references.sum(skipna=False)


ROW_HEIGHT = 0.2
"""Inches."""

LONGEST_LABEL = 38


@remembers
def forest(
    effects: Effects | pd.DataFrame,
    results: AnyPooled | Mapping[str, AnyPooled] | None = None,
    *,
    overall: AnyPooled | None = None,
    group_by: str = "exercise_type",
    xlabel: str | None = None,
    mcid: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Forest plot.

    Squares are effect sizes, their area proportional to the weight in the overall result (in the
    group's, where there is none); lines are their confidence intervals, `yi +- z sqrt(vi)`, with
    an arrow where one leaves the plot. Diamonds are pooled effects with their confidence (of
    posteriors, credible) interval, the bar through a diamond its prediction interval. Trials are
    ordered by effect.

    Parameters
    ----------
    effects : Effects or DataFrame
        A table needs `label, yi, vi`, and may have `n_arm, n_ref` and the column `group_by`.
    results : PoolResult or PooledPosterior, or mapping of group to these, optional
        One result pools all the effects. A mapping pools those of each group: its keys are
        values of the column `group_by`, or their labels ("yoga" or "Yoga"), and give the order.
        Groups without a result are drawn last, without a diamond.
    overall : PoolResult or PooledPosterior, optional
        With a mapping: the result of all the effects together.
    group_by : str
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
        If there are no effects, a result does not pool the effects given, or a group has none.

    Examples
    --------
    >>> yi, vi = [-12.0, -5.5, -9.1, -3.0, -15.2], [4.0, 6.2, 3.1, 5.0, 9.0]
    >>> pooled = bp.pool(yi, vi)
    >>> ax = bp.figures.forest(pooled.table, pooled)
    >>> [text.get_text() for text in ax.texts if "[" in text.get_text()][-2:]
    ['−8.8 [−14.7, −2.9]', 'PI [−21.5, 3.8]']
    """
    require(effects, "Effects", "DataFrame")
    table = effects.table if isinstance(effects, Effects) else effects
    if isinstance(results, AnyPooled):
        if overall is not None:
            raise ValueError("two results of all the effects: give one of results and overall.")
        results, overall = None, results
    _check(table, results, overall, group_by)
    rows = forest_rows(table, results, overall, group_by)
    outcome, measure = _described(effects, [overall, *(results or {}).values()])
    benefit = benefit_sign(outcome) if outcome else 0
    if mcid is not None and not benefit:
        raise ValueError("an mcid lies on the side of benefit: give Effects, which know theirs.")
    threshold = None if mcid is None else benefit * abs(mcid)
    limits = _limits(rows, threshold)
    largest = max((row.weight for row in rows if row.kind == "trial"), default=np.nan)
    with figure_style():
        ax = new_axes(WIDTH, 1.1 + ROW_HEIGHT * len(rows)) if ax is None else ax
        ax.set(xlim=limits, ylim=(len(rows) - 0.4, -0.6), autoscale_on=False)
        if not xlabel:
            unit = effects.unit if isinstance(effects, Effects) else ""
            xlabel = measured(outcome, measure, unit) if outcome else "Effect size"
        draw_frame(ax, benefit, threshold, xlabel)
        if measure:
            effect_axis(ax, measure)
        if overall is not None:
            ax.axvline(overall.estimate, color=ACCENT, lw=0.7, ls=(0, (1, 2)), zorder=0)
        for y, row in enumerate(rows):
            if row.kind == "trial" and row.interval is not None:
                _draw_trial(ax, y, row.interval, row.weight / largest, limits)
            elif row.kind == "summary" and row.pooled is not None:
                _draw_summary(ax, y, row.pooled, limits)
        draw_columns(ax, *_columns(rows, measure), heading_y=-0.75)
    return ax


def _described(effects: Effects | pd.DataFrame, results: list[AnyPooled | None]) -> tuple[str, str]:
    """Outcome and measure of what is drawn; empty where neither effects nor results know."""
    sources = [effects if isinstance(effects, Effects) else None, *results]
    known = [(source.outcome, source.measure) for source in sources if source and source.outcome]
    return known[0] if known else ("", "")


def _check(
    table: pd.DataFrame,
    results: Mapping[str, AnyPooled] | None,
    overall: AnyPooled | None,
    group_by: str,
) -> None:
    if table.empty:
        raise ValueError("no effects to draw.")
    needed = ["label", "yi", "vi", *([group_by] if results is not None else [])]
    missing = [name for name in needed if name not in table]
    if missing:
        raise ValueError(f"the table of effects has no column {', '.join(map(repr, missing))}.")
    given = [("the overall result", overall, table)] if overall is not None else []
    for name, result in (results or {}).items():
        part = table[in_group(table, group_by, name)]
        if part.empty:
            known = ", ".join(sorted(table[group_by].astype(str).unique()))
            raise ValueError(f"no effect has {group_by} {name!r}; they have {known}.")
        given.append((f"the result of {name!r}", result, part))
    for name, result, part in given:
        own = result.table
        if len(own) != len(part) or not np.allclose(own[["yi", "vi"]], part[["yi", "vi"]]):
            raise ValueError(
                f"{name} pools {len(own)} effect(s), which are not the {len(part)} to be drawn: "
                "pool the effects that are drawn."
            )


def _limits(rows: list[Row], threshold: float | None) -> tuple[float, float]:
    """Limits that show every estimate, and every interval but the far ends of very wide ones."""
    intervals = np.array([row.interval for row in rows if row.kind == "trial"])
    pooled = [row.pooled for row in rows if row.kind == "summary" and row.pooled is not None]
    points = [0.0, *intervals[:, 0], *(p.estimate for p in pooled)]
    points += [] if threshold is None else [threshold]
    reach = 1.5 * float(np.median(intervals[:, 2] - intervals[:, 0]))
    ends = [*points, *intervals[:, 1:].ravel()]
    ends += [end for p in pooled for end in (p.ci_low, p.ci_high, p.pi_low, p.pi_high)]
    low = max(np.nanmin(ends), min(points) - reach)
    high = min(np.nanmax(ends), max(points) + reach)
    space = 0.04 * (high - low)
    return low - space, high + space


def _draw_trial(
    ax: Axes,
    y: int,
    interval: tuple[float, float, float],
    weight: float,
    limits: tuple[float, float],
) -> None:
    """An effect as a square, its area by the weight as a share of the largest one."""
    estimate, low, high = interval
    ax.plot([low, high], [y, y], color=INK, lw=0.9, solid_capstyle="butt", gid="interval")
    cut_arrows(ax, y, low, high, limits, INK)
    area = 36.0 if np.isnan(weight) else 5 + 70 * weight
    ax.scatter(estimate, y, marker="s", s=area, color=INK, lw=0, zorder=3, gid="square")


def _draw_summary(ax: Axes, y: int, pooled: AnyPooled, limits: tuple[float, float]) -> None:
    prediction_bar(ax, y, pooled, limits)
    diamond(ax, y, pooled)
    cut_arrows(ax, y, pooled.ci_low, pooled.ci_high, limits, ACCENT)


def _columns(rows: list[Row], measure: str) -> tuple[list[Column], list[Column]]:
    pooled = next((row.pooled for row in rows if row.pooled), None)
    level = 0.95 if pooled is None else pooled.level
    kind = "CrI" if isinstance(pooled, PooledPosterior) else "CI"
    left = [Column("Trial", [_label_cell(row) for row in rows], "left")]
    if any(np.isfinite(row.participants).any() for row in rows):
        left.append(Column("n exercise\n/ control", [_size_cell(row) for row in rows]))
    heading = f"{measure_heading(measure) if measure else 'Effect'} [{level:.0%} {kind}]"
    right = [Column(heading, [_interval_cell(row, measure) for row in rows])]
    if any(np.isfinite(row.weight) for row in rows):
        right.append(Column("Weight", [_weight_cell(row) for row in rows]))
    return left, right


def _label_cell(row: Row) -> Cell:
    if row.kind == "trial":
        return Cell(shortened(row.label, LONGEST_LABEL))
    if row.kind == "summary":
        return Cell(row.label, bold=True)
    return Cell(row.label, bold=row.kind == "heading", muted=row.kind != "heading", spans=True)


def _size_cell(row: Row) -> Cell | None:
    if row.kind not in ("trial", "summary"):
        return None
    sizes = [f"{size:.0f}" if np.isfinite(size) else "–" for size in row.participants]
    return Cell("–" if sizes == ["–", "–"] else " / ".join(sizes), bold=row.kind == "summary")


def _interval_cell(row: Row, measure: str) -> Cell | None:
    if row.interval:
        estimate, low, high = (natural(value, measure) for value in row.interval)
        text = interval_text(estimate, low, high, measure in RATIO_WORDS)
        return Cell(text, bold=row.kind == "summary")
    pooled = row.pooled
    if row.kind == "heterogeneity" and pooled and np.isfinite(pooled.pi_low):
        ends = (pooled.estimate, pooled.pi_low, pooled.pi_high)
        estimate, low, high = (natural(value, measure) for value in ends)
        text = prediction_text(estimate, low, high, measure in RATIO_WORDS)
        return Cell(f"PI {text}", muted=True)
    return None


def _weight_cell(row: Row) -> Cell | None:
    if row.kind not in ("trial", "summary"):
        return None
    text = f"{row.weight:.1f}%" if np.isfinite(row.weight) else "–"
    return Cell(text, bold=row.kind == "summary")


SUMMARY_ROW_HEIGHT = 0.24
"""Inches."""

LONGEST_GROUP = 30


@remembers
def summary_forest(
    results: Mapping[str, Pooled],
    *,
    overall: Pooled | None = None,
    xlabel: str = "Effect size",
    mcid: float | None = None,
    lower_is_better: bool | None = True,
    measure: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Pooled effects of several groups, one row each, the most favourable first.

    Diamonds reach over the confidence interval, the bar behind them over the prediction interval.

    Parameters
    ----------
    results : mapping of str to PoolResult or PooledPosterior
        By exercise type or any other name.
    overall : PoolResult or PooledPosterior, optional
        Drawn last.
    xlabel : str
    mcid : float, optional
        Minimal clinically important difference (its size): a line on the side of benefit.
    lower_is_better : bool or None
        Whether a negative difference favours exercise; None where the rows differ in that: then
        they keep their order and no side is named.
    measure : str
        Of ratios and risk differences the natural scale is shown; by default numbers as they are.
    ax : Axes, optional
        With room for text on both sides; by default a new figure as tall as it needs.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If there are no results.

    Examples
    --------
    >>> yoga, pilates = bp.pool([-9.0, -4.0], [4.0, 6.0]), bp.pool([-14.0, -12.0], [5.0, 7.0])
    >>> ax = bp.figures.summary_forest({"yoga": yoga, "pilates": pilates})
    >>> [text.get_text() for text in ax.texts if "[" in text.get_text()]
    ['Effect [95% CI]', '−13.2 [−25.7, −0.6]', '−6.7 [−38.4, 25.0]']
    """
    require(results, "dict", "Mapping")
    if not results:
        raise ValueError("no results to draw.")
    benefit = {True: -1, None: 0, False: 1}[lower_is_better]
    threshold = None if mcid is None or not benefit else benefit * abs(mcid)
    rows = sorted(results.items(), key=lambda item: -benefit * item[1].estimate)
    if overall is not None:
        rows.append(("All", overall))
    limits = _summary_limits([pooled for _, pooled in rows], threshold)
    with figure_style():
        ax = new_axes(WIDTH, 1.1 + SUMMARY_ROW_HEIGHT * len(rows)) if ax is None else ax
        ax.set(xlim=limits, ylim=(len(rows) - 0.4, -0.6), autoscale_on=False)
        draw_frame(ax, benefit, threshold, xlabel)
        for y, (_, pooled) in enumerate(rows):
            prediction_bar(ax, y, pooled, limits)
            diamond(ax, y, pooled, INK if pooled is overall else ACCENT)
            cut_arrows(ax, y, pooled.ci_low, pooled.ci_high, limits, ACCENT)
        if measure:
            effect_axis(ax, measure)
        draw_columns(ax, *_summary_columns(rows, overall, measure), heading_y=-0.75)
    return ax


def _summary_limits(pooled: list[Pooled], threshold: float | None) -> tuple[float, float]:
    """Limits that show every estimate, and every interval but the far ends of very wide ones."""
    points = [0.0, *(p.estimate for p in pooled)]
    points += [] if threshold is None else [threshold]
    widths = sorted(p.ci_high - p.ci_low for p in pooled)
    reach = 2 * widths[len(widths) // 2]
    ends = [*points, *(end for p in pooled for end in (p.ci_low, p.ci_high, p.pi_low, p.pi_high))]
    low = max(np.nanmin(ends), min(points) - reach)
    high = min(np.nanmax(ends), max(points) + reach)
    space = 0.04 * (high - low)
    return low - space, high + space


def _summary_columns(
    rows: list[tuple[str, Pooled]], overall: Pooled | None, measure: str
) -> tuple[list[Column], list[Column]]:
    names, trials, participants, intervals, predictions = [], [], [], [], []
    for name, pooled in rows:
        bold = pooled is overall
        names.append(Cell(shortened(exercise_label(name), LONGEST_GROUP), bold))
        trials.append(Cell(str(pooled.n_trials), bold))
        known = pooled.n_participants
        participants.append(Cell(str(known) if known else "–", bold))
        values = (pooled.estimate, pooled.ci_low, pooled.ci_high, pooled.pi_low, pooled.pi_high)
        estimate, low, high, new_low, new_high = (natural(value, measure) for value in values)
        intervals.append(Cell(interval_text(estimate, low, high), bold))
        predictions.append(Cell(prediction_text(estimate, new_low, new_high), bold))
    level = f"{rows[0][1].level:.0%}"
    kind = "CrI" if isinstance(rows[0][1], PooledPosterior) else "CI"
    left = [Column("", names, "left"), Column("Trials", trials)]
    left.append(Column("n", participants))
    right = [Column(f"Effect [{level} {kind}]", intervals), Column(f"{level} PI", predictions)]
    return left, right
