from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.figures.people_plots import power
from backpain_analysis.models.people.power import PLAIN, PowerResult
from tests.figures.drawn import artists, outside, overlaps


def made(shares=(0.3, 0.6, 0.9), trials: int = 1) -> PowerResult:
    table = pd.DataFrame({"n_per_arm": [20, 40, 80], "power": shares})
    table["power_low"], table["power_high"] = table["power"] - 0.05, table["power"] + 0.05
    table["width"], table["width_se"] = [16.0, 11.3, 8.0], 0.2
    return PowerResult(
        table=table,
        effect=-8.0,
        dose=240.0,
        reference=0.0,
        doses=(0.0, 120.0, 240.0),
        week=12.0,
        n_trials=trials,
        model="ancova",
        level=0.95,
        replicates=500,
        seed=1,
        truth=PLAIN,
    )


def legend(axes) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_points_and_intervals_are_the_numbers_of_the_table():
    axes = power(made())
    (line,) = artists(axes, "line")
    assert_allclose(line.get_xydata(), [[20, 30], [40, 60], [80, 90]])
    (bars,) = artists(axes, "interval")
    assert_allclose([bar[:, 1] for bar in bars.get_segments()], [[25, 35], [55, 65], [85, 95]])


def test_size_for_the_target_is_between_the_sizes_around_it():
    axes = power(made())
    (mark,) = artists(axes, "needed")
    assert_allclose(mark.get_xdata(), 40 + 40 * (0.8 - 0.6) / 0.3)
    assert "About 67 per arm" in legend(axes)
    (target,) = artists(axes, "target")
    assert_allclose(target.get_ydata(), 80)


@pytest.mark.parametrize("shares", [(0.1, 0.2, 0.3), (0.9, 0.95, 0.99)])
def test_no_size_is_claimed_beyond_those_simulated(shares):
    axes = power(made(shares))
    assert artists(axes, "needed") == []
    assert not any("About" in text for text in legend(axes))


def test_width_has_no_target():
    axes = power(made(), show="width")
    (line,) = artists(axes, "line")
    assert_allclose(line.get_ydata(), [16.0, 11.3, 8.0])
    (bars,) = artists(axes, "interval")
    assert_allclose(np.diff([bar[:, 1] for bar in bars.get_segments()]), 2 * 1.96 * 0.2)
    assert artists(axes, "target") == []
    assert axes.get_legend() is None


def test_axes_say_what_is_drawn():
    axes = power(made(trials=3))
    assert "−8.0 points" in axes.get_ylabel()
    assert "240 against 0 minutes per week, week 12" in axes.get_ylabel()
    assert "of each of 3 trials" in axes.get_xlabel()


def test_texts_do_not_overlap():
    for show in ("power", "width"):
        axes = power(made(), show=show)
        assert overlaps(axes) == []
        assert outside(axes) == []
    axes = power(made())
    axes.get_figure().draw_without_rendering()
    box = axes.get_legend().get_window_extent()
    assert not box.overlaps(axes.xaxis.label.get_window_extent())


def test_wrong_words_are_refused():
    with pytest.raises(ValueError, match="'power' or 'width'"):
        power(made(), show="bias")
    with pytest.raises(ValueError, match="between 0 and 1"):
        power(made(), target=80)


def test_own_axes_are_drawn_on():
    own = power(made())
    own.clear()
    assert made().plot(ax=own) is own
