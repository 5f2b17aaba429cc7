from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from backpain_analysis import figures
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.dose.fit import dose_response
from tests.figures.drawn import artists, make_effects, outside, overlaps, texts

DOSES = (30.0, 60.0, 90.0, 120.0)


def fitted(
    curve="linear",
    effect=lambda dose: -0.1 * dose,
    outcome="pain_intensity",
    extra=(),
    method="CE",
):
    """Effects exactly on a curve, variance 4, so that the fit is the curve itself."""
    rows = [{"yi": effect(dose), "vi": 4.0, "minutes_per_week": dose} for dose in DOSES]
    return dose_response(
        make_effects([*rows, *extra], outcome), dose="minutes_per_week", curve=curve, method=method
    )


def test_curve_points_and_band():
    axes = figures.dose_response(fitted())
    (curve,) = artists(axes, "curve")
    assert_allclose(curve.get_ydata(), -0.1 * curve.get_xdata(), atol=1e-9)
    assert_allclose((curve.get_xdata()[0], curve.get_xdata()[-1]), (0, 120))
    (points,) = artists(axes, "contrast")
    assert_allclose(np.sort(points.get_offsets()[:, 0]), DOSES)
    (band,) = artists(axes, "band")
    edge = band.get_paths()[0].vertices
    # slope variance 4 / sum(dose^2) = 4 / 27000
    half = 1.959963984540054 * 120 * np.sqrt(4 / 27000)
    assert_allclose(
        (edge[:, 1].min(), edge[edge[:, 0] == 120][:, 1].max()), [-12 - half, half - 12]
    )
    assert artists(axes, "pi") == []
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert not any("prediction" in label for label in labels)


def test_prediction_interval_of_random_effects_is_drawn():
    axes = figures.dose_response(fitted(method="REML"))
    assert len(artists(axes, "pi")) == 2


def test_areas_are_inverse_variances():
    precise = {"yi": -3.0, "vi": 1.0, "minutes_per_week": 30.0}
    axes = figures.dose_response(fitted(extra=[precise]))
    sizes = artists(axes, "contrast")[0].get_sizes()
    assert_allclose(sizes.max() / sizes.min(), 4)


def test_contrast_with_another_reference_dose_is_hollow_and_moved_along_the_curve():
    moved = {"yi": -10.0, "vi": 4.0, "minutes_per_week": 150.0, "ref_minutes_per_week": 50.0}
    axes = figures.dose_response(fitted(extra=[moved]))
    (hollow,) = artists(axes, "contrast-hollow")
    assert_allclose(hollow.get_offsets(), [(150, -15)])
    assert len(hollow.get_facecolors()) == 0
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert "Reference arm at another dose" in labels
    assert "Yoga (5)" in labels


def test_reference_dose_is_marked_and_moves_the_curve():
    axes = figures.dose_response(fitted(), reference=60)
    (mark,) = artists(axes, "reference")
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (60, 0)
    (curve,) = artists(axes, "curve")
    assert_allclose(curve.get_ydata()[0], 6)


def test_mcid_line_and_the_dose_that_reaches_it():
    """-0.1 a minute reaches -5 at 50; the limits -0.1 +- z sqrt(4/27000) give the ends."""
    axes = figures.dose_response(fitted(), mcid=5)
    (line,) = artists(axes, "mcid")
    assert_allclose(line.get_ydata(), [-5, -5])
    (mark,) = artists(axes, "dose-mark")
    assert_allclose(mark.get_xdata(), [50])
    margin = 1.959963984540054 * np.sqrt(4 / 27000)
    (bracket,) = artists(axes, "bracket")
    assert_allclose(bracket.get_xdata(), [5 / (0.1 + margin), 5 / (0.1 - margin)])
    assert "MCID reached at 50 (95% CI 40 to 66)" in texts(axes)


def test_unreached_mcid_and_edge_optimum_are_not_marked():
    axes = figures.dose_response(fitted(), mcid=40)
    assert len(artists(axes, "mcid")) == 1
    assert artists(axes, "dose-mark") == []


def test_open_interval_says_so():
    axes = figures.dose_response(fitted(), mcid=11.5)
    assert any(text.endswith("to no upper limit)") for text in texts(axes))


def test_optimum_of_a_parabola_and_no_marks_without_annotation():
    """0.002 (d - 70)^2 - 9.8: best at 70."""
    result = fitted("quadratic", lambda dose: 0.002 * (dose - 70) ** 2 - 9.8)
    (mark,) = artists(figures.dose_response(result), "dose-mark")
    assert_allclose(mark.get_xdata(), [70], atol=0.2)
    assert artists(figures.dose_response(result, mcid=3, annotate=False), "dose-mark") == []


def test_higher_is_better_turns_the_mcid():
    result = fitted(effect=lambda dose: 0.1 * dose, outcome="pressure_pain_threshold")
    axes = figures.dose_response(result, mcid=5)
    assert_allclose(artists(axes, "mcid")[0].get_ydata(), [5, 5])
    assert_allclose(artists(axes, "dose-mark")[0].get_xdata(), [50])


def test_ground_is_grey_where_no_dose_was_studied():
    assert artists(figures.dose_response(fitted()), "not-studied") == []
    axes = figures.dose_response(fitted(), extrapolate_to=200)
    (grey,) = artists(axes, "not-studied")
    assert_allclose((grey.get_x(), grey.get_width()), (120, 80))
    (dots,) = artists(axes, "extrapolated")
    assert_allclose(dots.get_xdata()[[0, -1]], [120, 200])
    assert_allclose(dots.get_ydata()[-1], -20)
    (curve,) = artists(axes, "curve")
    assert curve.get_xdata()[-1] == 120
    with pytest.raises(CannotEstimate, match="no arm was given 200"):
        figures.dose_response(fitted(), reference=200)


def test_many_types_share_the_last_entry_of_the_legend():
    types = list(figures.EXERCISE_LABELS)[:10]
    extra = [
        {"yi": -6.0, "vi": 4.0, "minutes_per_week": 60.0, "exercise_type": word} for word in types
    ]
    axes = figures.dose_response(fitted(extra=extra))
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    counted = [label for label in labels if label.endswith(")")]
    assert len(counted) == 8
    assert sum(int(label.rpartition("(")[2][:-1]) for label in counted) == 14


def test_labels():
    axes = figures.dose_response(fitted())
    assert axes.get_xlabel() == "Minutes per week\n(as prescribed, supervised sessions)"
    assert axes.get_ylabel() == "Difference in pain\n(points on 0–100)"
    axes = figures.dose_response(fitted(), dose_label="Dose", effect_label="Effect")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Dose", "Effect")


@pytest.mark.parametrize("mcid", [3, 5, 8])
def test_texts_do_not_overlap(mcid):
    result = fitted("quadratic", lambda dose: 0.002 * (dose - 70) ** 2 - 9.8)
    axes = figures.dose_response(result, mcid=mcid)
    assert overlaps(axes) == []
    assert outside(axes) == []
