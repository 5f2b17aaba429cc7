from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.answers import sentences
from backpain_analysis.answers.tables import people as tables
from backpain_analysis.effects.over_time import effects_over_time
from backpain_analysis.evidence.evidence import BACK_PAIN, load_evidence
from backpain_analysis.figures.responder_plots import responders as draw_responders
from backpain_analysis.figures.time_plot import time_course as draw
from backpain_analysis.models.pairwise.responders import responders_from_means
from backpain_analysis.models.people.responders import responders
from backpain_analysis.models.time.course import compare_courses, time_course
from tests.figures.drawn import artists, outside, overlaps, texts
from tests.models.people.test_responders import TWO_TRIALS, people
from tests.models.time.test_durability import followed
from tests.models.time.test_time_course import WEEKS, early, effects, noisy


@pytest.fixture(scope="module")
def result():
    weeks, yi = noisy()
    return time_course(effects(weeks, yi, 0.36, [f"t{i // 2}" for i in range(14)]), method="CE")


@pytest.fixture(scope="module")
def bundled():
    effects = effects_over_time(load_evidence(), "disability").against_inactive()
    return time_course(effects)


def test_curve_points_and_courses(result):
    axes = draw(result, mcid=8)
    (curve,) = artists(axes, "curve")
    E, half = result.params
    assert_allclose(curve.get_ydata(), E * (1 - 2 ** (-curve.get_xdata() / half)), rtol=1e-9)
    (points,) = artists(axes, "contrast")
    assert len(points.get_offsets()) == 14
    assert len(artists(axes, "course")) == 7
    assert_allclose(artists(axes, "mcid")[0].get_ydata(), [-8, -8])
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert "95% prediction interval" not in labels


def test_brackets_stand_at_the_weeks_to_half_and_90_per_cent(result):
    axes = draw(result)
    times = [result.weeks_to(share) for share in (0.5, 0.9)]
    marks = [mark.get_xdata().item() for mark in artists(axes, "dose-mark")]
    assert_allclose(marks, [time.estimate for time in times])
    for line, time in zip(artists(axes, "bracket"), times, strict=True):
        assert_allclose(line.get_xdata(), [time.ci_low, time.ci_high])
    assert any("50% of the largest effect after" in text for text in texts(axes))


def test_one_sided_interval_has_no_mark():
    yi = [-10.3, -9.8, -10.1, -9.9, -10, -9.7, -10.2]
    axes = draw(time_course(effects(WEEKS, yi, 0.04), method="CE"))
    assert any("after at most" in text and "95% limit" in text for text in texts(axes))
    assert all(np.isnan(mark.get_xdata()).all() for mark in artists(axes, "dose-mark"))


@pytest.mark.parametrize(
    ("names", "marked"),
    [("a", []), ("ab", ["50%", "90%"])],
)
def test_weeks_that_the_answer_does_not_tell_are_not_marked(names, marked):
    """-5 at week 2 and -10 later: with one early trial, and with two."""
    result = time_course(early(*names), method="CE")
    assert ("not told" in sentences.speed(result)) == (not marked)
    axes = result.plot()
    assert [text.split()[0] for text in texts(axes) if "largest effect" in text] == marked
    assert len(artists(axes, "bracket")) == len(artists(axes, "dose-mark")) == len(marked)


def test_without_an_estimate_only_half_is_told_and_marked():
    yi = [-10.3, -9.8, -10.1, -9.9, -10, -9.7, -10.2]
    axes = draw(time_course(effects(WEEKS, yi, 0.04), method="CE"))
    assert len(artists(axes, "bracket")) == 1


@pytest.mark.parametrize("outcome", ["pain_intensity", "disability"])
def test_figure_table_and_answer_tell_the_same_of_the_bundled_trials(outcome):
    trials = load_evidence().filter(population=BACK_PAIN)
    result = time_course(effects_over_time(trials, outcome).against_inactive())
    untold = "not told" in sentences.speed(result)
    compared = compare_courses(trials, outcome, curves=[]).head(1)
    assert compared["rests_on"].item() == result.rests_on
    shown = tables.courses(compared, trials, at=12, title="Choices").html
    assert ("not told" in shown) == untold
    assert (artists(result.plot(), "bracket") == []) == untold


def test_bundled_figures_have_no_overlaps(bundled):
    shares = responders_from_means(load_evidence(), "disability")
    for axes in (bundled.plot(mcid=10), shares.plot()):
        assert overlaps(axes) == []
        assert outside(axes) == []


def test_shares_with_and_without_exercise():
    result = responders_from_means(load_evidence(), "disability")
    axes = result.plot()
    table = result.effects.table.sort_values("yi", ascending=False, kind="stable")
    treated = [mark.get_xdata()[0] for mark in artists(axes, "with")]
    assert_allclose(treated[:-1], table["share"])
    assert_allclose(artists(axes, "without")[-1].get_xdata(), [result.control_share])
    assert "All trials" in texts(axes)


def test_bars_are_the_shares_and_name_the_nnt():
    axes = draw_responders(responders(people(TWO_TRIALS), week=12, mcid=15))
    bars = artists(axes, "share")
    assert_allclose([bar.get_height() for bar in bars], [15 / 40, 40 / 60])
    assert "40 of 60\nNNTB 4.0\n(2.3 to 17)" in texts(axes)
    assert overlaps(axes) == [] and outside(axes) == []


def test_tables_say_what_is_missing(result, bundled):
    assert "−12" in tables.time_effects(result, title="Effects").html
    shown = tables.lasting(followed(), title="After").html
    assert "At the end of the programme" in shown and "52 weeks later" in shown
    assert "nan" not in shown
    compared = compare_courses(load_evidence(), "disability", curve="constant", curves=["log"])
    shown = tables.courses(compared, load_evidence(), at=12, title="Choices").html
    assert "the curve gives the same effect at all times" in shown and "nan" not in shown
    few = responders(people(TWO_TRIALS), week=12, mcid=15)
    shown = tables.dose_responders(few, title="Doses").html
    assert "15 of 40" in shown and "NNTB 4.0" in shown and "nan" not in shown
    trials = responders_from_means(load_evidence(), "disability")
    assert "All trials" in tables.arm_responders(trials, title="Trials").html


@pytest.mark.parametrize(
    ("limits", "text"),
    [((0, 4.26), "at most 4.3"), ((2, np.inf), "at least 2.0"), ((0, np.inf), "–")],
)
def test_one_sided_weeks_in_words(limits, text):
    assert tables.weeks_between(*limits) == text
