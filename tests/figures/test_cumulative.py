from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from backpain_analysis import figures
from backpain_analysis.evidence.evidence import BACK_PAIN, load_evidence
from backpain_analysis.models.pairwise.pooling import pool
from tests.figures.drawn import artists, make_effects, outside, overlaps, texts

Z = 1.959963984540054


@pytest.fixture
def two():
    """The later study comes first; by hand: -4 [-4 +- 2 Z], then -7 with variance 2."""
    return pool([-10.0, -4.0], [4.0, 4.0], method="CE", test="z", labels=["Late", "Early"])


def test_steps_by_hand(two):
    axes = figures.cumulative(two, years=[2010, 2001])
    (point,) = artists(axes, "estimate")
    assert_allclose(point.get_offsets(), [(-4, 0)])
    (line,) = artists(axes, "interval")
    assert_allclose(line.get_xdata(), [-4 - 2 * Z, -4 + 2 * Z])
    (diamond,) = artists(axes, "diamond")
    half = Z * np.sqrt(2)
    assert_allclose(diamond.get_xy()[:4], [(-7 - half, 1), (-7, 0.67), (half - 7, 1), (-7, 1.33)])
    written = texts(axes)
    assert written.index("Early") < written.index("+ Late")
    assert written.index("2001") < written.index("2010")
    assert "−7.0 [−9.8, −4.2]" in written


def test_estimates_and_intervals_as_metafor(reference, reference_table):
    table, md, expected = reference_table("pairwise"), reference["effect_sizes"]["MD"], {}
    expected = {name: np.array(values) for name, values in reference["cumulative"].items()}
    pooled = pool(md["yi"], md["vi"], test="z", labels=list(table["trial_id"]))
    axes = figures.cumulative(pooled, years=table["weeks"])
    drawn = [point.get_offsets()[0] for point in artists(axes, "estimate")]
    assert_allclose([x for x, _ in drawn], expected["estimate"][:-1], rtol=1e-6)
    assert [y for _, y in drawn] == list(range(27))
    ends = np.array([line.get_xdata() for line in artists(axes, "interval")])
    for side, end in ((-1, 0), (1, 1)):
        limits = expected["estimate"] + side * Z * expected["se"]
        assert_allclose(ends[:, end], limits[:-1], rtol=1e-5)
        corner = artists(axes, "diamond")[0].get_xy()[[0, 2][end], 0]
        assert_allclose(corner, limits[-1], rtol=1e-5)
    names = [text.removeprefix("+ ") for text in texts(axes)]
    assert [name for name in names if name in set(table["trial_id"])] == list(expected["order"])


def test_heterogeneity_of_each_step():
    """Effects 0, 6: Q = 18 on 1, I2 = 17/18; with 3: Q = 18 on 2, I2 = 8/9."""
    pooled = pool([0.0, 6.0, 3.0], np.ones(3), method="CE", test="z")
    written = texts(figures.cumulative(pooled))
    assert [text for text in written if text.endswith("%") or text == "–"] == ["–", "94%", "89%"]


def test_years_of_effects_and_tables_are_used():
    rows = [
        {"yi": 0.0, "vi": 1.0, "year": 2020, "label": "New"},
        {"yi": 1.0, "vi": 1.0, "year": 1999, "label": "Old"},
    ]
    effects = make_effects(rows)
    for given in (effects, effects.table):
        written = texts(figures.cumulative(given))
        assert written.index("Old") < written.index("+ New")
        assert {"Year", "1999", "2020"} <= set(written)


def test_without_years_studies_come_as_given(two):
    written = texts(figures.cumulative(two))
    assert "Year" not in written
    assert written.index("Late") < written.index("+ Early")


def test_heading_has_the_level():
    pooled = pool([0.0, 1.0], [1.0, 1.0], level=0.9)
    assert "Effect [90% CI]" in texts(figures.cumulative(pooled))


@pytest.mark.parametrize(
    ("outcome", "side"), [("pain_intensity", -10), ("pressure_pain_threshold", 10)]
)
def test_mcid_line_lies_on_the_side_of_benefit(outcome, side):
    rows = [{"yi": 2.0, "vi": 1.0, "year": 2000}, {"yi": 1.0, "vi": 1.0, "year": 2001}]
    axes = figures.cumulative(make_effects(rows, outcome), mcid=10)
    assert_allclose(artists(axes, "mcid")[0].get_xdata(), side)


def test_arrows_where_an_interval_of_two_studies_leaves_the_plot():
    """Two far effects by Knapp-Hartung: a t quantile of 12.7."""
    yi = [0.0, 10.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0]
    axes = figures.cumulative(pool(yi, np.ones(8)))
    low, high = axes.get_xlim()
    arrows = {line.get_marker(): line.get_xdata()[0] for line in axes.lines}
    assert (arrows["<"], arrows[">"]) == (low, high)
    assert high < 5 + 12.7 * 5


@pytest.mark.parametrize("k", [1, 60])
def test_any_number_of_studies(k):
    rng = np.random.default_rng(3)
    labels = ["A label far longer than any column of a forest plot could ever hold"] * k
    pooled = pool(rng.normal(-5, 6, k), np.full(k, 4.0), labels=labels)
    axes = figures.cumulative(pooled, years=np.arange(k) + 1960, mcid=10)
    assert len(artists(axes, "estimate")) == k - 1
    assert overlaps(axes) == []
    assert outside(axes) == []


def test_texts_of_the_bundled_trials_do_not_overlap():
    effects = load_evidence().filter(population=BACK_PAIN).effects("pain_intensity")
    effects = effects.against_inactive()
    with pytest.raises(ValueError, match="contrasts of one trial are correlated"):
        figures.cumulative(effects)
    one_arm = effects.select(~effects.table.duplicated("trial_id"), "second arm")
    with pytest.raises(ValueError, match="order is missing for Quinn"):
        figures.cumulative(one_arm)
    dated = one_arm.select(one_arm.table["year"].notna(), "no year")
    axes = figures.cumulative(dated, mcid=10)
    assert overlaps(axes) == []
    assert outside(axes) == []


def test_own_axes_are_drawn_on(two):
    own = figures.cumulative(two)
    own.clear()
    assert figures.cumulative(two, ax=own) is own


def test_years_that_do_not_fit_are_refused(two):
    with pytest.raises(ValueError, match="order has 3 values for 2 studies"):
        figures.cumulative(two, years=[1, 2, 3])
    with pytest.raises(ValueError, match="order is missing for Early"):
        figures.cumulative(two, years=[2001, None])
