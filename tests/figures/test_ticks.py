"""Axes with light ticks are drawn as any others."""

import io
from collections.abc import Callable
from datetime import date

import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import backpain_analysis as bp
from backpain_analysis.figures.style import PANELS
from backpain_analysis.figures.ticks import LightAxes


def plain(figure: Figure, kind: type[Axes]) -> None:
    """Numbers that grow too long for their axis."""
    ax = figure.add_subplot(axes_class=kind)
    ax.plot([0, 1e7], [1e-9, 3e-9])
    ax.set(xlabel="Wide", ylabel="High", title="Title")


def logarithmic(figure: Figure, kind: type[Axes]) -> None:
    """Minor ticks with labels, grids of both, clipped."""
    ax = figure.add_subplot(axes_class=kind)
    ax.loglog([1, 30], [2, 9000])
    ax.grid(which="both", color="green", alpha=0.3)
    ax.tick_params(which="minor", length=7, labelcolor="red", labelsize=5, direction="in")


def named(figure: Figure, kind: type[Axes]) -> None:
    """Words, turned, at the top and at the right; one of them larger."""
    ax = figure.add_subplot(axes_class=kind)
    ax.barh(list("abcdefgh"), range(8))
    ax.xaxis.tick_top()
    ax.yaxis.tick_right()
    ax.set_xticks(range(3), ["one", "two", "three"], rotation=40, ha="left")
    ax.get_xticklabels()[0].set_fontsize(20)
    ax.get_yticklabels()[1].set_color("red")
    ax.set_yticks(range(20))
    ax.set_xticks(range(12))
    ax.xaxis.get_major_ticks()[2].gridline.set_visible(True)
    ax.xaxis.get_major_ticks()[3].tick1line.set_markersize(9)


def dated(figure: Figure, kind: type[Axes]) -> None:
    """Dates with an offset, minor ticks, a second axis at the right."""
    ax = figure.add_subplot(axes_class=kind)
    ax.plot([date(2020, 1, 1), date(2020, 3, 5)], [1e6, 1e6 + 3])
    ax.minorticks_on()
    other = ax.twinx()
    other.plot([date(2020, 1, 1), date(2020, 3, 5)], [4, 2])
    other.set_ylabel("Other")
    ax.spines["left"].set_position(("outward", 12))


def shared(figure: Figure, kind: type[Axes]) -> None:
    """Panels with common axes, labels in line, one of them square, one cleared."""
    grid = figure.subplots(2, 3, sharex=True, sharey="row", subplot_kw={"axes_class": kind})
    for place, ax in enumerate(grid.flat):
        ax.plot([0, place], [place, 100**place])
        ax.set(ylabel=f"{place}", xlabel="x\n" * (place % 2))
    grid[0, 1].set_aspect("equal")
    grid[1, 2].clear()
    figure.align_labels()


def within(figure: Figure, kind: type[Axes]) -> None:
    """Axes in axes, a colour bar, no frame."""
    ax = figure.add_subplot(axes_class=kind)
    image = ax.imshow([[1, 2], [3, 4]])
    figure.colorbar(image)
    inner = ax.inset_axes([0.5, 0.5, 0.4, 0.4])
    inner.plot([1, 2], [3, 4])
    ax.set_title("Above")
    ax.secondary_xaxis("top", functions=(lambda x: 2 * x, lambda x: x / 2))
    inner.set_axis_off()


def dotted(figure: Figure, kind: type[Axes]) -> None:
    """All of it as an image, its colours turned."""
    ax = figure.add_subplot(axes_class=kind)
    ax.plot([0, 1], [2, 3], color="red")
    ax.set_rasterized(True)
    ax.set_agg_filter(lambda image, dpi: (image[..., [2, 1, 0, 3]], 0, 0))


DRAWN = [plain, logarithmic, named, dated, shared, within, dotted]


def written(figure: Figure) -> bytes:
    """The figure as it is now."""
    with plt.rc_context({"svg.hashsalt": "one"}):
        figure.savefig(file := io.BytesIO(), format="svg", metadata={"Date": None})
    return file.getvalue()


@pytest.mark.parametrize("layout", ["constrained", "tight", None])
@pytest.mark.parametrize("draw", DRAWN)
def test_they_are_drawn_as_matplotlib_draws_them(draw: Callable, layout: str | None) -> None:
    """The same bytes, also after what is shown, how, and how large have changed."""
    ours, theirs = Figure(layout=layout), Figure(layout=layout)
    for figure, kind in ((ours, LightAxes), (theirs, Axes)):
        draw(figure, kind)
    assert written(ours) == written(theirs)
    for figure in (ours, theirs):
        figure.set_size_inches(9, 3)
        first = figure.axes[0]
        first.set_ylim(2, 5000)
        first.tick_params(axis="x", color="red", labelrotation=30, pad=8, length=9)
        first.get_yticklabels()[0].set_fontweight("bold")
        first.grid(axis="y", ls=":")
    assert written(ours) == written(theirs)
    assert ours.get_tightbbox().bounds == theirs.get_tightbbox().bounds


def test_a_tick_shares_nothing_with_its_copies() -> None:
    """What is changed in one stays there, and tells those who listen to it alone."""
    ax = Figure().add_subplot(axes_class=LightAxes)
    heard = []
    first, second, third = ax.xaxis.get_major_ticks(3)
    second.label1.add_callback(heard.append)
    third.label1.set(fontsize=30, text="third")
    third.tick1line.set(marker="o", markersize=8)
    assert not heard
    for tick in (first, second):
        assert tick.label1.get_fontsize() != 30
        assert tick.label1.get_text() != "third"
        assert tick.tick1line.get_marker() != "o"
    second.label1.set(text="second")
    assert heard


def test_ticks_move_between_two_looks() -> None:
    """What was found for one drawing is not what the next one finds."""
    ax = Figure().add_subplot(axes_class=LightAxes)
    before = ax.get_tightbbox()
    ax.set_yticks([0.5], ["a very long label that needs room"])
    assert ax.get_tightbbox().x0 < before.x0


def test_what_fails_in_a_drawing_keeps_no_ticks() -> None:
    """A formatter's error surfaces, and the axes draw as before once it is gone."""
    figure = Figure()
    ax = figure.add_subplot(axes_class=LightAxes)
    expected = written(figure)
    ax.xaxis.set_major_formatter(lambda value, place: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        written(figure)
    ax.xaxis.set_major_formatter("{x:.1f}")
    assert written(figure) == expected


def test_all_figures_have_them() -> None:
    """Also those of several panels."""
    assert issubclass(PANELS["axes_class"], LightAxes)
    result = bp.pool([-9.0, -4.0, -6.0], [4.0, 6.0, 5.0])
    axes = [bp.figures.funnel(result), *bp.figures.influence(result).axes]
    assert all(isinstance(ax, LightAxes) for ax in axes)
