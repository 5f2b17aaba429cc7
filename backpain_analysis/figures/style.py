"""How every figure looks: colours, labels, fonts, sizes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator
from numpy.typing import ArrayLike

from backpain_analysis.figures.ticks import LightAxes
from backpain_analysis.words import RATIO_WORDS, natural, tick_text

INK = "#222222"
MUTED = "#6b6b6b"
FAINT = "#d9d9d9"
BAND = "#cfdfec"
ACCENT = "#0072b2"
TARGET = "#d55e00"
"""Text and data; secondary text; grid; confidence band; estimates; MCID."""

CSS_PIXELS_PER_INCH = 96
WIDTH = 7.5
"""Inches: 720 px on a page."""

AT_TOP = 1.0
"""Where titles of panels stand: matplotlib lays all ticks out to find it, if it is not told."""

EXERCISE_COLOURS = {
    "aerobic_walking": "#0072b2",
    "aerobic_running": "#00466e",
    "aerobic_cycling": "#4b9fd1",
    "aerobic_other": "#9cc9e6",
    "aquatic": "#00b3b3",
    "resistance": "#d55e00",
    "core_stabilisation": "#009e73",
    "motor_control": "#66c9a9",
    "pilates": "#cc79a7",
    "yoga": "#882d67",
    "tai_chi_qigong": "#e3b3d0",
    "stretching_static": "#b8860b",
    "stretching_dynamic": "#7d5c08",
    "stretching_mixed": "#e6b832",
    "mckenzie": "#5b4bb3",
    "general_mixed": "#7f7f7f",
    "functional_restoration": "#3d3d3d",
    "none": "#bdbdbd",
}
"""Hues of Okabe & Ito 2008 (https://jfly.uni-koeln.de/color/); a family shares one hue."""

TREATMENT_COLOURS = EXERCISE_COLOURS | {
    "inactive": "#bdbdbd",
    "aerobic": "#0072b2",
    "low_impact_aerobic": "#4b9fd1",
    "high_impact_aerobic": "#00466e",
    "core_motor_control": "#009e73",
    "stretching": "#b8860b",
    "mind_body": "#882d67",
    "exercise": "#0072b2",
}
"""Also controls, and types lumped into families (see `effects.lumping`)."""


_RC: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8.5,
    "text.color": INK,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": False,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "legend.fontsize": 8,
    "legend.title_fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "backpain-analysis",
    "pdf.fonttype": 42,
}


@contextmanager
def figure_style() -> Iterator[None]:
    """The project's matplotlib settings, inside a `with` block only.

    Returns
    -------
    context manager
        For axes of your own that figures are drawn on.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> with bp.figures.figure_style():
    ...     first, second = Figure(figsize=(9, 4)).subplots(1, 2)
    >>> ax = bp.figures.funnel(bp.pool([-9.0, -4.0, -6.0], [4.0, 6.0, 5.0]), ax=second)
    >>> ax is second
    True
    """
    with mpl.rc_context(_RC):
        yield


class DrawnFigure(Figure):
    """A figure known to no `pyplot` that shows itself where it ends a cell."""

    def _repr_png_(self) -> tuple[bytes, dict[str, float]]:
        buffer = io.BytesIO()
        with figure_style():
            self.savefig(buffer, format="png", dpi=2 * CSS_PIXELS_PER_INCH)
        width, height = (float(inches) * CSS_PIXELS_PER_INCH for inches in self.get_size_inches())
        return buffer.getvalue(), {"width": width, "height": height}


class DrawnAxes(LightAxes):
    """Axes whose figure shows itself where they end a cell."""

    def _repr_png_(self) -> tuple[bytes, dict[str, float]] | None:
        figure = self.get_figure(root=True)
        return figure._repr_png_() if isinstance(figure, DrawnFigure) else None


PANELS = {"axes_class": DrawnAxes}
"""What each of several axes of a figure is."""


def new_axes(width: float = WIDTH, height: float = 4.5) -> Axes:
    """Axes on a figure of their own, in inches; known to no `pyplot`. Use inside `figure_style`."""
    return DrawnFigure(figsize=(width, height), layout="constrained").add_subplot(
        axes_class=DrawnAxes
    )


def exercise_colour(exercise_type: str) -> str:
    """The fixed colour of a treatment; unknown ones are grey."""
    return TREATMENT_COLOURS.get(exercise_type, MUTED)


def plain_ticks(ax: Axes) -> None:
    """Numbers of both axes as `tick_text`."""
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(lambda value, _: tick_text(value))


def effect_axis(ax: Axes, measure: str, most: int = 7) -> None:
    """Ticks of a horizontal axis of effects as readers read them: ratios, percentage points.

    The axis itself stays that of the estimates, with zero as no difference. Call with its limits
    set.
    """
    ax.xaxis.set_major_formatter(lambda value, _: tick_text(round(natural(value, measure), 10)))
    if measure not in RATIO_WORDS:
        return
    low, high = ax.get_xlim()
    series = [(1, 2, 5), (1, 3), (1,)]
    ticks = [
        np.array([digit * 10.0**power for power in range(-6, 7) for digit in digits])
        for digits in series
    ]
    shown = [own[(np.log(own) >= low) & (np.log(own) <= high)] for own in ticks]
    best = max((own for own in shown if len(own) <= most), key=len, default=shown[-1][::2])
    if len(best) < 3:
        even = MaxNLocator(6, steps=[1, 2, 5, 10])
        best = np.asarray(even.tick_values(np.exp(low), np.exp(high)))
        best = best[best > 0]
    ax.xaxis.set_major_locator(FixedLocator(np.log(best)))
    ax.set_xlim(low, high)


def strokes(
    ax: Axes, x: tuple[ArrayLike, ArrayLike], y: tuple[ArrayLike, ArrayLike], **style: Any
) -> None:
    """Draw straight lines, from the first to the second of `x` and `y`, as one path."""
    starts_x, ends_x, starts_y, ends_y = np.broadcast_arrays(*x, *y)
    gaps = np.full(starts_x.size, np.nan)
    across = np.column_stack([starts_x, ends_x, gaps]).ravel()
    up = np.column_stack([starts_y, ends_y, gaps]).ravel()
    ax.plot(across, up, solid_capstyle="butt", **style)


def figure_of(ax: Axes) -> Figure:
    """The whole figure that axes stand in.

    Raises
    ------
    ValueError
        For axes that were removed from theirs.
    """
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError("these axes stand in no figure: they were removed from it.")
    return figure


def legend_below(
    ax: Axes,
    entries: list,
    *,
    ncols: int,
    title: str | None = None,
    drop: float = 4.6,
    **spacing: float,
) -> None:
    """A legend under the label of the horizontal axis; `drop` in heights of its text."""
    ax.legend(
        handles=entries,
        title=title,
        alignment="left",
        loc="upper left",
        bbox_to_anchor=(0, 0),
        borderaxespad=drop,
        ncols=ncols,
        **spacing,
    )
