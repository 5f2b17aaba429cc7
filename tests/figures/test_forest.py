from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from backpain_analysis import figures
from backpain_analysis.evidence.evidence import load_evidence
from backpain_analysis.models.pairwise.pooling import pool, pool_by
from tests.figures.drawn import artists, make_effects, outside, overlaps, texts

Z = 1.959963984540054


@pytest.fixture
def effects():
    """Two trials of yoga and one of Pilates."""
    return make_effects(
        [
            {"yi": -10.0, "vi": 4.0},
            {"yi": -4.0, "vi": 4.0},
            {"yi": 1.0, "vi": 9.0, "exercise_type": "pilates"},
        ]
    )


def only_yoga(effects):
    return effects.select(lambda table: table["exercise_type"] == "yoga", "not yoga")


def test_squares_stand_at_the_effects_and_lines_end_at_their_intervals(effects):
    axes = figures.forest(only_yoga(effects))
    squares = [square.get_offsets()[0] for square in artists(axes, "square")]
    assert_allclose(squares, [(-10, 0), (-4, 1)])
    ends = [line.get_xdata() for line in artists(axes, "interval")]
    assert_allclose(ends, [(-10 - 2 * Z, -10 + 2 * Z), (-4 - 2 * Z, -4 + 2 * Z)])
    assert artists(axes, "diamond") == []
    assert "−10.0 [−13.9, −6.1]" in texts(axes)


def test_diamond_is_the_pooled_effect_with_its_interval(effects):
    """Two effects of equal variance 4: their mean -7, standard error sqrt(4/2)."""
    yoga = only_yoga(effects)
    axes = figures.forest(yoga, pool(yoga, method="CE", test="z"))
    (diamond,) = artists(axes, "diamond")
    corners = diamond.get_xy()
    half = Z * np.sqrt(2)
    assert_allclose(corners[:, 0].min(), -7 - half)
    assert_allclose(corners[:, 0].max(), -7 + half)
    assert_allclose(corners[[1, 3], 0], -7)
    assert "−7.0 [−9.8, −4.2]" in texts(axes)


def test_weights_are_areas_and_percentages():
    """Variances 1 and 4, common effect: weights 80% and 20%."""
    effects = make_effects([{"yi": -1.0, "vi": 1.0}, {"yi": 0.0, "vi": 4.0}])
    axes = figures.forest(effects, pool(effects, method="CE"))
    assert {"80.0%", "20.0%", "100.0%"} <= set(texts(axes))
    heavy, light = (square.get_sizes()[0] for square in artists(axes, "square"))
    assert heavy > 2 * light


def test_heterogeneity_line_has_the_numbers_of_the_result():
    """Effects 0 and 6, variances 2: Q = 9, df = 1; DerSimonian-Laird tau2 = (9 - 1) / 0.5 = 16."""
    effects = make_effects([{"yi": 0.0, "vi": 2.0}, {"yi": 6.0, "vi": 2.0}])
    axes = figures.forest(effects, pool(effects, method="DL"))
    assert "τ² = 16.0, I² = 89%; Q = 9.0, df = 1, p = 0.003" in texts(axes)


def test_prediction_interval_is_a_bar_through_the_diamond(effects):
    pooled = pool(effects, method="DL", test="z")
    axes = figures.forest(effects, pooled)
    (bar,) = artists(axes, "pi")
    low, high = axes.get_xlim()
    assert_allclose(bar.get_x(), max(pooled.pi_low, low))
    assert_allclose(bar.get_x() + bar.get_width(), min(pooled.pi_high, high))
    assert bar.get_y() < artists(axes, "diamond")[0].get_xy()[0, 1] < bar.get_y() + 0.2
    assert any(text.startswith("PI [") for text in texts(axes))


def test_no_bar_where_there_is_no_prediction_interval(effects):
    few = replace(pool(effects), pi_low=np.nan, pi_high=np.nan)
    for axes in (figures.forest(effects, few), figures.summary_forest({"yoga": few})):
        assert artists(axes, "pi") == []
        assert not any("nan" in text for text in texts(axes))
        assert np.isfinite(axes.get_xlim()).all()


def test_groups_have_headings_diamonds_and_the_whole_comes_last(effects):
    axes = figures.forest(effects, pool_by(effects), overall=pool(effects))
    written = texts(axes)
    assert {"Yoga", "Pilates", "Subtotal, 2 trials", "All effects, 3 trials"} <= set(written)
    assert len(artists(axes, "square")) == 3
    assert len(artists(axes, "diamond")) == 2, "yoga and all; one trial of Pilates is its own sum"
    assert written.index("Yoga") < written.index("Pilates") < written.index("All effects, 3 trials")


def test_groups_may_go_by_their_labels(effects):
    yoga = pool(only_yoga(effects))
    axes = figures.forest(effects, {"Yoga": yoga})
    assert "Pilates" in texts(axes), "a group without a result is still drawn"
    assert len(artists(axes, "diamond")) == 1


def test_participants_of_a_shared_control_count_once():
    shared = {"trial_id": "t1", "n_ref": 22.0, "vi": 4.0}
    effects = make_effects(
        [{**shared, "yi": -3.0}, {**shared, "yi": -5.0, "arm_id": "a3"}, {"yi": 0.0, "vi": 1.0}]
    )
    axes = figures.forest(effects.table, pool(effects.table["yi"], effects.table["vi"]))
    assert "60 / 44" in texts(axes)


def test_unknown_numbers_of_participants_are_not_added_up():
    effects = make_effects([{"yi": -3.0, "vi": 1.0, "n_arm": np.nan}, {"yi": 0.0, "vi": 1.0}])
    written = texts(figures.forest(effects, pool(effects)))
    assert "– / 22" in written
    assert "– / 44" in written


@pytest.mark.parametrize(
    ("outcome", "side"), [("pain_intensity", -10), ("pressure_pain_threshold", 10)]
)
def test_mcid_line_lies_on_the_side_of_benefit(outcome, side):
    effects = make_effects([{"yi": 2.0, "vi": 1.0}], outcome)
    axes = figures.forest(effects, mcid=10)
    (line,) = artists(axes, "mcid")
    assert_allclose(line.get_xdata(), [side, side])
    left = "◂ favours exercise" if side < 0 else "◂ favours control"
    assert left in texts(axes)


def test_arrow_where_an_interval_leaves_the_plot():
    rows = [{"yi": -float(n), "vi": 1.0} for n in range(5)] + [{"yi": 0.0, "vi": 400.0}]
    axes = figures.forest(make_effects(rows))
    low, high = axes.get_xlim()
    arrows = {line.get_marker(): line.get_xdata()[0] for line in axes.lines}
    assert (arrows["<"], arrows[">"]) == (low, high)
    assert low > -20 * Z


@pytest.mark.parametrize("trials", [1, 80])
def test_any_number_of_trials(trials):
    rng = np.random.default_rng(3)
    rows = [{"yi": y, "vi": 4.0} for y in rng.normal(-5, 6, trials)]
    rows[0]["label"] = "A label far longer than any column of a forest plot could ever hold"
    effects = make_effects(rows)
    axes = figures.forest(effects, pool(effects), mcid=10)
    assert len(artists(axes, "square")) == trials
    assert overlaps(axes) == []
    assert outside(axes) == []


def test_height_grows_with_the_rows():
    heights = [
        figures.forest(make_effects([{"yi": 0.0, "vi": 1.0}] * rows)).figure.get_figheight()
        for rows in (5, 10, 15)
    ]
    assert_allclose(heights[2] - heights[1], heights[1] - heights[0])
    assert heights[1] > heights[0]


def test_texts_of_the_bundled_trials_do_not_overlap():
    effects = load_evidence().effects("disability").against_inactive()
    axes = figures.forest(effects, pool_by(effects), overall=pool(effects), mcid=10)
    assert overlaps(axes) == []
    assert outside(axes) == []
    axes = figures.summary_forest(pool_by(effects), overall=pool(effects), mcid=10)
    assert overlaps(axes) == []
    assert outside(axes) == []


def test_summary_forest_orders_groups_by_benefit(effects):
    results = pool_by(effects)
    axes = figures.summary_forest({"pilates": results["pilates"], "yoga": results["yoga"]})
    centres = [diamond.get_xy()[1, 0] for diamond in artists(axes, "diamond")]
    assert_allclose(centres, [-7, 1])
    written = texts(axes)
    assert written.index("Yoga") < written.index("Pilates")
    turned = figures.summary_forest(results, lower_is_better=False, overall=pool(effects))
    assert [text for text in texts(turned) if text in ("Yoga", "Pilates", "All")] == [
        "Pilates",
        "Yoga",
        "All",
    ]


def test_own_axes_are_drawn_on(effects):
    own = figures.forest(effects)
    own.clear()
    assert figures.forest(effects, ax=own) is own
    assert len(artists(own, "square")) == 3


def test_what_cannot_be_drawn_is_refused(effects):
    yoga = pool(only_yoga(effects))
    with pytest.raises(ValueError, match=r"pools 2 effect\(s\), which are not the 3"):
        figures.forest(effects, yoga)
    with pytest.raises(ValueError, match="no effect has exercise_type 'mckenzie'; they have pil"):
        figures.forest(effects, {"mckenzie": yoga})
    with pytest.raises(ValueError, match="the result of 'pilates' pools 2"):
        figures.forest(effects, {"pilates": yoga})
    with pytest.raises(ValueError, match="no column 'vi'"):
        figures.forest(pd.DataFrame({"label": ["a"], "yi": [1.0]}))
    with pytest.raises(ValueError, match="no effects"):
        figures.forest(effects.table.iloc[:0])
    with pytest.raises(ValueError, match="two results"):
        figures.forest(effects, pool(effects), overall=pool(effects))
    with pytest.raises(ValueError, match="no results"):
        figures.summary_forest({})
