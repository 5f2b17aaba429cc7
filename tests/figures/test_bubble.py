from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from backpain_analysis import figures
from backpain_analysis.evidence.evidence import load_evidence
from backpain_analysis.models.pairwise.meta_regression import meta_regression
from tests.figures.drawn import artists, outside, overlaps

Z = 1.959963984540054


@pytest.fixture(scope="module")
def trials(reference, reference_table):
    md = reference["effect_sizes"]["MD"]
    return reference_table("pairwise").assign(yi=md["yi"], vi=md["vi"])


@pytest.fixture(scope="module")
def fitted(trials):
    return meta_regression("yi ~ weeks + frequency + type", trials, test="z")


def line(axes):
    (found,) = artists(axes, "line")
    return np.asarray(found.get_xdata()), np.asarray(found.get_ydata())


def title(axes):
    return axes.get_legend().get_title().get_text()


def test_line_and_intervals_by_hand():
    """Effects 1, 3, 5 at 0, 1, 2, variances 1: line 1 + 2x with variance 1/3 + (x - 1)^2 / 2."""
    data = pd.DataFrame({"yi": [1.0, 3.0, 5.0], "vi": 1.0, "dose": [0.0, 1.0, 2.0]})
    axes = figures.bubble(meta_regression("yi ~ dose", data, method="CE", test="z"), "dose")
    x, y = line(axes)
    assert_allclose((x[0], x[-1]), (0, 2))
    assert_allclose(y, 1 + 2 * x)
    half = Z * np.sqrt(1 / 3 + (x - 1) ** 2 / 2)
    (band,) = artists(axes, "band")
    edge = band.get_paths()[0].vertices
    at_start = edge[edge[:, 0] == 0, 1]
    assert_allclose((at_start.min(), at_start.max()), (1 - half[0], 1 + half[0]))
    limits = [np.asarray(limit.get_ydata()) for limit in artists(axes, "pi")]
    assert_allclose(limits, [y - half, y + half], err_msg="no tau2: no wider than the mean")


def test_others_are_held_at_mean_and_reference_as_metafor(fitted, reference, trials):
    expected = reference["meta_regression"]["z"]
    axes = figures.bubble(fitted, "weeks")
    x, y = line(axes)
    frequency = np.full(len(x), trials["frequency"].mean())
    design = np.column_stack([np.ones(len(x)), x, frequency, 0 * x, 0 * x])
    assert_allclose(y, design @ expected["b"], rtol=1e-6)
    variance = np.einsum("ij,jk,ik->i", design, np.array(expected["vcov"]), design)
    low, high = (np.asarray(limit.get_ydata()) for limit in artists(axes, "pi"))
    reach = Z * np.sqrt(variance + expected["tau2"])
    assert_allclose(low, y - reach, rtol=1e-5)
    assert_allclose(high, y + reach, rtol=1e-5)
    edge = artists(axes, "band")[0].get_paths()[0].vertices
    ends = edge[np.isclose(edge[:, 0], x[-1]), 1]
    half = Z * np.sqrt(variance[-1])
    assert_allclose((ends.min(), ends.max()), (y[-1] - half, y[-1] + half), rtol=1e-5)
    assert title(axes) == f"Held at: frequency {trials['frequency'].mean():.3g}, type aerobic"


def test_points_are_the_effects_with_areas_by_weight():
    """Without heterogeneity weights are 1/vi: 1 and 4."""
    data = pd.DataFrame({"yi": [1.0, 3.0, 5.0], "vi": [4.0, 1.0, 4.0], "dose": [0.0, 1.0, 2.0]})
    axes = figures.bubble(meta_regression("yi ~ dose", data, method="CE"), "dose")
    (points,) = artists(axes, "study")
    assert_allclose(points.get_offsets(), [(1, 3), (0, 1), (2, 5)])
    assert_allclose(points.get_sizes() / points.get_sizes()[1], [4, 1, 1])


def test_rows_left_out_are_not_drawn(trials):
    partly = trials.assign(weeks=trials["weeks"].where(trials.index > 2))
    axes = figures.bubble(meta_regression("yi ~ weeks", partly), "weeks")
    assert len(artists(axes, "study")[0].get_offsets()) == 25
    assert axes.get_legend().get_texts()[0].get_text() == "25 trials, area by weight"


def test_reference_category_is_that_of_the_model(trials):
    formula = 'yi ~ weeks + C(type, contr.treatment("pilates"))'
    result = meta_regression(formula, trials)
    axes = figures.bubble(result, "weeks")
    assert title(axes) == "Held at: type pilates"
    x, y = line(axes)
    assert_allclose(y, result.params.iloc[0] + result.params["weeks"] * x)


def test_a_number_may_be_a_category_of_another_moderator(trials):
    data = trials.assign(arms=np.where(trials.index % 2, 3, 2))
    axes = figures.bubble(meta_regression("yi ~ weeks + C(arms)", data), "weeks")
    assert title(axes) == "Held at: arms 2"


def test_curves_are_drawn_as_fitted(trials):
    result = meta_regression("yi ~ weeks + I(weeks**2)", trials)
    x, y = line(figures.bubble(result, "weeks"))
    assert_allclose(y, result.params.to_numpy() @ np.stack([np.ones(len(x)), x, x**2]))


def test_labels(fitted):
    axes = figures.bubble(fitted, "weeks")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Weeks", "Effect size")
    axes = figures.bubble(fitted, "weeks", xlabel="Duration", ylabel="Pain")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Duration", "Pain")


def test_wide_prediction_intervals_do_not_flatten_the_effects():
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"yi": rng.normal(0, 5, 4), "vi": 1.0, "dose": [0.0, 1.0, 2.0, 3.0]})
    axes = figures.bubble(meta_regression("yi ~ dose", data), "dose")
    assert np.ptp(axes.get_ylim()) < 4 * np.ptp([0, *data["yi"], *line(axes)[1]])
    assert axes.get_ylim()[0] < data["yi"].min() < data["yi"].max() < axes.get_ylim()[1]


def test_texts_do_not_overlap(fitted):
    effects = load_evidence().effects("pain_intensity").against_inactive()
    table = effects.table[~effects.table.duplicated("trial_id")]
    of_trials = meta_regression("yi ~ duration_weeks", table)
    label = figures.measured("pain_intensity", "MD")
    for axes in (
        figures.bubble(fitted, "weeks"),
        figures.bubble(of_trials, "duration_weeks", xlabel="Duration\n(weeks)", ylabel=label),
    ):
        assert overlaps(axes) == []
        assert outside(axes) == []
        legend = axes.get_legend().get_window_extent()
        assert not legend.overlaps(axes.xaxis.label.get_window_extent())


def test_own_axes_are_drawn_on(fitted):
    own = figures.bubble(fitted, "weeks")
    own.clear()
    assert figures.bubble(fitted, "weeks", ax=own) is own


def test_what_cannot_be_drawn_is_refused(fitted):
    with pytest.raises(ValueError, match="no moderator 'dose'; the model has frequency, type, w"):
        figures.bubble(fitted, "dose")
    with pytest.raises(ValueError, match="type is a category"):
        figures.bubble(fitted, "type")
