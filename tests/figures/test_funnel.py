from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from backpain_analysis import figures
from backpain_analysis.evidence.evidence import BACK_PAIN, load_evidence
from backpain_analysis.models.pairwise.asymmetry import egger_test, trim_and_fill
from backpain_analysis.models.pairwise.pooling import pool
from tests.figures.drawn import artists, make_effects, outside, overlaps

Z = 1.959963984540054


@pytest.fixture(scope="module")
def pooled(reference):
    md = reference["effect_sizes"]["MD"]
    return pool(md["yi"], md["vi"], test="z")


@pytest.fixture
def two():
    """Mean -7 at equal variances; standard errors 2."""
    return pool([-10.0, -4.0], [4.0, 4.0], method="CE", test="z")


def points(axes, gid):
    (found,) = artists(axes, gid)
    return np.asarray(found.get_offsets())


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_points_are_effects_at_their_standard_errors(two):
    axes = figures.funnel(two)
    assert_allclose(points(axes, "study"), [(-10, 2), (-4, 2)])
    bottom, top = axes.get_ylim()
    assert bottom > 2
    assert top == 0


def test_pseudo_limits_open_from_the_estimate(two):
    axes = figures.funnel(two)
    assert_allclose(artists(axes, "estimate")[0].get_xdata(), [-7, -7])
    for side, line in zip((-1, 1), artists(axes, "limit"), strict=True):
        se = np.asarray(line.get_ydata())
        assert_allclose(line.get_xdata(), -7 + side * Z * se)
        assert se.min() == 0
        assert se.max() > 2


def test_limits_have_the_level_of_the_result():
    axes = figures.funnel(pool([-10.0, -4.0], [4.0, 4.0], method="CE", test="z", level=0.9))
    line = artists(axes, "limit")[1]
    assert_allclose(line.get_xdata(), -7 + 1.6448536269514722 * line.get_ydata())
    assert "Pseudo 90% limits" in legend(axes)


def test_contours_meet_at_the_quantiles_of_their_p_values(two):
    axes = figures.funnel(two)
    inner_and_outer = []
    for contour in artists(axes, "contour")[1::2]:
        x, se = contour.get_paths()[0].vertices.T
        at_the_bottom = x[np.isclose(se, se.max())] / se.max()
        inner_and_outer.append((at_the_bottom.min(), at_the_bottom.max()))
    quantiles = [0, 1.6448536269514722, 1.959963984540054, 2.5758293035489004]
    assert_allclose([inner for inner, _ in inner_and_outer], quantiles)
    assert_allclose([outer for _, outer in inner_and_outer][:3], quantiles[1:])
    assert inner_and_outer[3][1] * se.max() > np.abs(axes.get_xlim()).max()


def test_contours_may_be_left_out(two):
    axes = figures.funnel(two, contour=False)
    assert artists(axes, "contour") == []
    assert not any(text.startswith("P ") for text in legend(axes))


def test_precision_is_the_inverse(two):
    axes = figures.funnel(two, kind="precision")
    assert_allclose(points(axes, "study"), [(-10, 0.5), (-4, 0.5)])
    line = artists(axes, "limit")[1]
    assert_allclose(line.get_xdata(), -7 + Z / line.get_ydata())
    low, high = axes.get_ylim()
    assert low < 0.5 < high


def test_filled_studies_are_hollow_and_their_estimate_as_metafor(pooled, reference):
    filled = trim_and_fill(pooled)
    axes = figures.funnel(pooled, trim_and_fill=filled)
    assert len(points(axes, "filled")) == reference["trim_and_fill"]["k0"] == 2
    assert_allclose(artists(axes, "filled")[0].get_facecolor()[0, :3], 1)
    line = artists(axes, "filled-estimate")[0]
    assert_allclose(line.get_xdata(), reference["trim_and_fill"]["b"], rtol=1e-6)
    # the two largest effects, mirrored at the centre of the other 26
    largest = pooled.table.nlargest(2, "yi") if filled.side == "left" else None
    largest = pooled.table.nsmallest(2, "yi") if largest is None else largest
    rest = pooled.table.drop(largest.index)
    centre = pool(rest["yi"], rest["vi"], test="z").estimate
    expected = np.column_stack([2 * centre - largest["yi"], np.sqrt(largest["vi"])])
    drawn = points(axes, "filled")
    assert_allclose(drawn[np.argsort(-drawn[:, 0])], expected, rtol=1e-6)
    assert "Filled in (2)" in legend(axes)


def test_nothing_filled_draws_no_second_estimate():
    symmetric = pool([-1.0, 0.0, 1.0], [4.0, 1.0, 4.0], method="CE", test="z")
    axes = figures.funnel(symmetric, trim_and_fill=trim_and_fill(symmetric, side="left"))
    assert artists(axes, "filled-estimate") == []
    assert "Filled in (0)" in legend(axes)


def test_egger_line_and_p_value_as_metafor(pooled, reference):
    axes = figures.funnel(pooled, egger=egger_test(pooled))
    (line,) = artists(axes, "egger")
    limit, slope = reference["pet"]["b"]
    assert_allclose(line.get_xdata(), limit + slope * line.get_ydata(), rtol=1e-6)
    assert f"Egger's test, P = {reference['egger_mixed']['p']:.3f}" in legend(axes)


def test_effects_and_tables_are_pooled_first():
    effects = make_effects([{"yi": -10.0, "vi": 4.0}, {"yi": -4.0, "vi": 4.0}])
    axes = figures.funnel(effects)
    assert_allclose(artists(axes, "estimate")[0].get_xdata(), -7)
    assert axes.get_xlabel().startswith("Difference in pain")
    axes = figures.funnel(pd.DataFrame({"yi": [-10, -4], "vi": [4, 4]}), xlabel="Pain")
    assert_allclose(artists(axes, "estimate")[0].get_xdata(), -7)
    assert axes.get_xlabel() == "Pain"


def test_all_points_and_the_foot_of_the_funnel_are_inside(pooled):
    axes = figures.funnel(pooled, trim_and_fill=trim_and_fill(pooled))
    low, high = axes.get_xlim()
    drawn = np.vstack([points(axes, "study"), points(axes, "filled")])
    assert low < drawn[:, 0].min()
    assert drawn[:, 0].max() < high
    widest = drawn[:, 1].max()
    assert low < pooled.estimate - Z * widest < pooled.estimate + Z * widest < high


def test_own_axes_are_drawn_on(two):
    own = figures.funnel(two)
    own.clear()
    assert figures.funnel(two, ax=own) is own


def test_what_cannot_be_drawn_is_refused(two, pooled):
    with pytest.raises(ValueError, match="unknown kind 'variance': use one of se, precision"):
        figures.funnel(two, kind="variance")
    with pytest.raises(ValueError, match=r"of 28 effect\(s\), which are not the 2 to be drawn"):
        figures.funnel(two, trim_and_fill=trim_and_fill(pooled))
    with pytest.raises(ValueError, match="no column 'vi'"):
        figures.funnel(pd.DataFrame({"yi": [1.0]}))


def test_texts_of_the_bundled_trials_do_not_overlap():
    effects = load_evidence().filter(population=BACK_PAIN).effects("pain_intensity")
    pooled = pool(effects.against_inactive())
    axes = figures.funnel(pooled)
    assert overlaps(axes) == []
    assert outside(axes) == []
