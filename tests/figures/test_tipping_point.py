from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.figures.people_plots import tipping_point
from backpain_analysis.models.people.tipping_point import TippingPoint
from tests.figures.drawn import artists, outside, overlaps


def made(tipping: float = 12.0, imputed: bool = True) -> TippingPoint:
    delta = np.array([0.0, 10.0, 20.0])
    table = pd.DataFrame({"delta": delta, "estimate": -8 + 0.2 * delta, "se": 2.0})
    table["ci_low"], table["ci_high"] = table["estimate"] - 5.6, table["estimate"] + 5.6
    table["mean_imputed"] = 42.0 + delta if imputed else np.nan
    return TippingPoint(
        table=table,
        tipping=tipping,
        dose=240.0,
        reference=0.0,
        week=26.0,
        level=0.95,
        dose_name="minutes_per_week",
        mean_observed=37.6,
        n_exercise=100,
        n_dropouts=31,
        m=20,
    )


def legend(axes) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_line_band_and_tipping_point_are_the_numbers_of_the_table():
    result = made()
    axes = tipping_point(result)
    (line,) = artists(axes, "line")
    assert_allclose(line.get_xydata(), result.table[["delta", "estimate"]])
    (band,) = artists(axes, "band")
    corners = band.get_paths()[0].vertices
    assert_allclose([corners[:, 1].min(), corners[:, 1].max()], [-13.6, 1.6])
    (mark,) = artists(axes, "tipping")
    assert_allclose(mark.get_xdata(), 12)
    assert "Tipping point: 12.0 points" in legend(axes)


def test_upper_axis_gives_the_mean_score_of_dropouts():
    axes = tipping_point(made())
    axes.get_figure().draw_without_rendering()
    (upper,) = axes.child_axes
    at = dict(zip(upper.get_xticks(), upper.get_xticklabels(), strict=True))
    assert at[0.0].get_text() == "42"
    assert at[20.0].get_text() == "62"
    assert "observed: 38" in upper.get_xlabel()


def test_without_a_tipping_point_or_dropouts_nothing_is_claimed():
    axes = tipping_point(made(tipping=np.nan, imputed=False))
    assert artists(axes, "tipping") == []
    assert axes.child_axes == []
    assert not any("Tipping" in text for text in legend(axes))


def test_mcid_is_on_the_side_of_the_effect():
    axes = tipping_point(made(), mcid=10)
    (line,) = artists(axes, "mcid")
    assert_allclose(line.get_ydata(), -10)
    assert "MCID" in legend(axes)


def test_axes_say_what_is_drawn():
    axes = tipping_point(made())
    assert "240 against 0 minutes per week" in axes.get_ylabel()
    assert "week 26" in axes.get_ylabel()
    assert tipping_point(made(), effect_label="Pain").get_ylabel() == "Pain"


def test_texts_do_not_overlap():
    axes = tipping_point(made(), mcid=10)
    assert overlaps(axes) == []
    assert outside(axes) == []
    box = axes.get_legend().get_window_extent()
    assert not box.overlaps(axes.xaxis.label.get_window_extent())


def test_own_axes_are_drawn_on():
    own = tipping_point(made())
    own.clear()
    assert made().plot(ax=own) is own
    with pytest.raises(TypeError):
        made().plot(colour="red")
