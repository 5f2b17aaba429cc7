"""Effects of dose from participants' data: the curve, and its interaction with a moderator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from backpain_analysis.evidence.scales import as_benefit
from backpain_analysis.figures.style import (
    ACCENT,
    BAND,
    INK,
    MUTED,
    TARGET,
    WIDTH,
    dose_measure_label,
    figure_style,
    legend_below,
    new_axes,
    plain_ticks,
    readable,
    tick_text,
)
from backpain_analysis.models.participants.curve_effects import difference
from backpain_analysis.models.participants.interactions import WITHIN, ModeratorResult
from backpain_analysis.models.results import quantile

GRID = 201


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
    """
    largest = getattr(result, "results", (result,))[0].max_dose
    grid = np.linspace(min(reference, 0.0), largest, GRID)
    fitted = result.predict(grid, reference, **predict)
    name = getattr(result, "results", (result,))[0].dose_name
    with figure_style():
        ax = new_axes(WIDTH, 4.2) if ax is None else ax
        ax.fill_between(
            grid, fitted["ci_low"], fitted["ci_high"], color=BAND, lw=0, zorder=1, gid="band"
        )
        for limit in ("pi_low", "pi_high"):
            if limit in fitted:
                dashes = {"color": ACCENT, "lw": 0.8, "ls": (0, (4, 3)), "alpha": 0.7}
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
        _draw_legend(ax, result.level, "pi_low" in fitted, mcid is not None)
    return ax


def _draw_legend(ax: Axes, level: float, prediction: bool, mcid: bool) -> None:
    entries = [
        Line2D([], [], color=ACCENT, lw=1.9, label="Mean effect"),
        Patch(color=BAND, label=f"{level:.0%} confidence interval"),
    ]
    dashes = {"lw": 0.8, "ls": (0, (4, 3))}
    if prediction:
        label = f"{level:.0%} prediction interval of a new trial"
        entries.append(Line2D([], [], color=ACCENT, label=label, **dashes))
    if mcid:
        entries.append(Line2D([], [], color=TARGET, label="MCID", **dashes))
    legend_below(ax, entries, ncols=2)


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
    """
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
    size = {"ms": 8 if pooled else 5, "marker": "D" if pooled else "s"}
    face = "white" if pooled and not free else colour
    line = {"color": colour, "lw": 1.8 if pooled else 1.1, "zorder": 2, "gid": "interval"}
    ax.plot([row["ci_low"], row["ci_high"]], [y, y], **line)
    ax.plot(row["estimate"], y, ls="", mfc=face, mec=colour, zorder=3, gid="estimate", **size)
