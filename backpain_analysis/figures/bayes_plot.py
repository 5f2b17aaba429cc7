"""Posteriors: what is believed of an effect, and how much of that the prior makes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from backpain_analysis.errors import require
from backpain_analysis.evidence.faults import as_frame, need_columns
from backpain_analysis.figures.show import remembers
from backpain_analysis.figures.style import (
    ACCENT,
    BAND,
    INK,
    MUTED,
    TARGET,
    WIDTH,
    figure_style,
    legend_below,
    new_axes,
    plain_ticks,
)
from backpain_analysis.models.bayes.posterior import Posterior
from backpain_analysis.words import as_benefit, measured, readable

ROW_HEIGHT = 0.42


def posterior(
    result: Posterior,
    name: str | None = None,
    *,
    mcid: float | None = None,
    xlabel: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the posterior density of an effect, and of that in a new trial.

    Line: density of the mean effect; filled: the part past the MCID, or past zero without one;
    dashes: the effect in a new trial; bar below: median and credible interval.

    Parameters
    ----------
    result : Posterior
    name : str, optional
        Of the coefficient; the first if left out.
    mcid : float, optional
        Size of the difference that patients notice, above zero.
    xlabel : str, optional
        By default what the effect measures.
    ax : Axes, optional
        By default on a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> result = bp.pool([-24.0, -16.0], [20.0, 22.0], prior=bp.priors.half_normal(5))
    >>> ax = bp.figures.posterior(result, mcid=15)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['Mean effect', 'Effect in a new trial', 'Beyond the difference patients notice']
    """
    require(result, "Posterior")
    name = result.names[0] if name is None else name
    mean, new = result.density(name), result.density(name, new=True)
    lower_is_better = result.benefit != 1
    limit = as_benefit(mcid or 0.0, lower_is_better)
    low, high = result.conf_int().loc[name]
    top = float(mean["density"].max())
    with figure_style():
        ax = new_axes(WIDTH, 3.4) if ax is None else ax
        past = mean["x"] <= limit if lower_is_better else mean["x"] >= limit
        ax.fill_between(mean["x"], mean["density"], where=past, color=BAND, lw=0, gid="past")
        ax.plot(mean["x"], mean["density"], color=ACCENT, gid="mean")
        ax.plot(new["x"], new["density"], color=MUTED, ls="--", lw=1.1, gid="new")
        ax.plot([low, high], [-0.06 * top] * 2, color=ACCENT, lw=2, gid="interval")
        ax.plot(result.params[name], -0.06 * top, "o", color=ACCENT, ms=5, gid="median")
        ax.axvline(0, color=INK, lw=0.7)
        entries: list[Line2D | Patch] = [
            Line2D([], [], color=ACCENT, label="Mean effect"),
            Line2D([], [], color=MUTED, ls="--", lw=1.1, label="Effect in a new trial"),
        ]
        if mcid is not None:
            ax.axvline(limit, color=TARGET, lw=1.1, ls=":", gid="mcid")
            entries.append(Patch(color=BAND, label="Beyond the difference patients notice"))
        centre, reach = result.params[name], max(high - low, 1e-12)
        ax.set_xlim(
            max(float(new["x"].min()), min(centre - 2 * reach, 0.0)),
            min(float(new["x"].max()), max(centre + 2 * reach, 0.0)),
        )
        ax.set_ylim(-0.12 * top, 1.05 * top)
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        plain_ticks(ax)
        ax.set_yticks([])
        ax.set_xlabel(xlabel or _label(result, name))
        legend_below(ax, entries, ncols=3, drop=5.6)
    return ax


def _label(result: Posterior, name: str) -> str:
    if result.outcome and name == "estimate":
        return measured(result.outcome, result.measure)
    return readable(name)


@remembers
def prior_sensitivity(
    table: pd.DataFrame, *, xlabel: str = "Effect", ax: Axes | None = None
) -> Axes:
    """Draw the estimate under several priors.

    Points: medians; thick: credible intervals; thin: prediction intervals.

    Parameters
    ----------
    table : DataFrame
        As `Posterior.sensitivity` gives it; a probability, where there is one, stands beside.
    xlabel : str
    ax : Axes, optional
        By default on a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> result = bp.pool([-24.0, -16.0], [20.0, 22.0], prior=bp.priors.half_normal(5))
    >>> table = result.sensitivity({"wider": bp.priors.half_normal(10)})
    >>> ax = bp.figures.prior_sensitivity(table)
    >>> [label.get_text().splitlines()[0] for label in ax.get_yticklabels()]
    ['As chosen', 'Wider']
    """
    table = as_frame(table)
    need_columns(["prior", "estimate", "ci_low", "ci_high", "pi_low", "pi_high"], table)
    rows = np.arange(len(table))
    with figure_style():
        ax = new_axes(WIDTH, 1.1 + ROW_HEIGHT * len(table)) if ax is None else ax
        ax.hlines(rows, table["pi_low"], table["pi_high"], color=MUTED, lw=0.9, gid="prediction")
        ax.hlines(rows, table["ci_low"], table["ci_high"], color=ACCENT, lw=2.4, gid="interval")
        ax.plot(table["estimate"], rows, "o", color=ACCENT, ms=5, gid="estimate")
        ax.axvline(0, color=INK, lw=0.7)
        labels = [f"{readable(name)}\n{row}" for name, row in table["prior"].items()]
        ax.set_yticks(rows, labels)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.set_ylim(len(table) - 0.5, -0.5)
        ax.set_xlabel(xlabel)
        if "probability" in table:
            ax.annotate(
                "Probability", (1.01, -0.5), xycoords=("axes fraction", "data"), color=MUTED
            )
            for row, value in zip(rows, table["probability"], strict=True):
                ax.annotate(
                    f"{value:.0%}",
                    (1.01, row),
                    xycoords=("axes fraction", "data"),
                    va="center",
                    gid="probability",
                )
    return ax
