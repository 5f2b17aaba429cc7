"""The three statements on dose: the rule, and the words as truth tables."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.answers import dose as dose_module
from backpain_analysis.answers.dose import (
    LESS,
    MORE,
    NOT_SHOWN,
    UNKNOWN,
    DoseAnswer,
    Estimate,
    dose_answer,
    dose_sentence,
    effect_sentence,
    judged,
    place_sentence,
)
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.dose.fit import dose_response, retested
from backpain_analysis.models.dose.search import DoseEstimate
from tests.figures.drawn import artists, make_effects

SLOPE = Estimate(-0.4, -3.1, 2.3, 0.77)


def said(**changes) -> DoseAnswer:
    base = DoseAnswer(
        outcome="pain_intensity",
        measure="MD",
        dose_name="minutes_per_week",
        level=0.95,
        typical=90.0,
        effect=Estimate(-12.0, -18.0, -6.0, 0.001),
        slope=SLOPE,
        step=60.0,
        weight=0.7,
        direct=("saper2013",),
        without=(),
        verdict=NOT_SHOWN,
        mcid=15.0,
        mcid_dose=None,
        optimum=None,
        n_trials=7,
        n_participants=794,
        unsized_arms=0,
        trials=("t1",),
        lowest=60.0,
        highest=150.0,
        result=None,
        curves=None,
    )
    return replace(base, **changes)


def at(estimate, low, high, *, effect=-15.0, edge=False, note="") -> DoseEstimate:
    return DoseEstimate(estimate, low, high, effect, 60.0, 150.0, np.isfinite(estimate), edge, note)


@pytest.mark.parametrize(
    ("slope", "weight", "sign", "verdict"),
    [
        ((-3.0, 0.049), 0.90, -1, MORE),
        ((-3.0, 0.050), 0.99, -1, NOT_SHOWN),
        ((-3.0, 0.001), 0.89, -1, NOT_SHOWN),
        ((3.0, 0.001), 0.99, -1, LESS),
        ((3.0, 0.001), 0.99, 1, MORE),
        ((-3.0, 0.001), 0.99, 1, LESS),
    ],
)
def test_the_rule(slope, weight, sign, verdict):
    estimate, p = slope
    assert judged(Estimate(estimate, -9, 9, p), weight, sign, 0.95) == verdict


def test_the_rule_asks_for_the_level():
    assert judged(Estimate(-3, -5, -1, 0.03), 0.95, -1, 0.99) == NOT_SHOWN


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {},
            "In 7 trials (794 participants), pain was 12.0 points of 100 lower with the typical "
            "dose of exercise, 90 minutes per week, than with none (95% CI 6.0 to 18.0 lower). "
            "That is 0.80 of the smallest difference that matters to patients (MCID), 15 points.",
        ),
        (
            {"effect": Estimate(-2.0, -5.0, 1.0), "mcid": None},
            "In 7 trials (794 participants), no clear difference in pain between the typical dose "
            "of exercise, 90 minutes per week, and none: −2.0 points of 100 (95% CI −5.0 to 1.0).",
        ),
        (
            {
                "outcome": "quality_of_life",
                "measure": "SMD",
                "effect": Estimate(0.4, 0.1, 0.7),
                "dose_name": "sessions_per_week",
                "typical": 1.0,
                "n_trials": 1,
            },
            "In 1 trial (794 participants), quality of life was 0.40 standard deviations higher "
            "with the typical dose of exercise, 1 session per week, than with none (95% CI 0.10 "
            "to 0.70 higher).",
        ),
    ],
)
def test_the_typical_dose_in_words(changes, words):
    assert effect_sentence(said(**changes)) == words


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {},
            "That more exercise does more is not shown: 60 more minutes per week changed pain by "
            "−0.4 points of 100 (95% CI −3.1 to 2.3, P = 0.77). Differences that matter between "
            "the doses studied, 60 to 150 minutes per week, are ruled out, if dose acts along a "
            "line. Only 1 trial "
            "randomised people to different doses.",
        ),
        (
            {"slope": Estimate(-0.4, -10.0, 9.2, 0.9), "direct": ()},
            "That more exercise does more is not shown: 60 more minutes per week changed pain by "
            "−0.4 points of 100 (95% CI −10.0 to 9.2, P = 0.90). Differences that matter between "
            "the doses studied, 60 to 150 minutes per week, are not ruled out. No trial "
            "randomised people to different doses: trials are compared with each other.",
        ),
        (
            {"slope": Estimate(-4.0, -7.0, -1.0, 0.012), "weight": 0.82, "mcid": None},
            "That more exercise does more is not shown: 60 more minutes per week changed pain by "
            "−4.0 points of 100 (95% CI −7.0 to −1.0, P = 0.012), but the curves in which dose "
            "matters have only 82% of the weight beside a constant effect. Only 1 trial "
            "randomised people to different doses.",
        ),
        (
            {
                "slope": Estimate(-4.0, -7.0, -1.0, 0.012),
                "verdict": MORE,
                "direct": ("a", "b"),
                "without": ("saper2013", "b"),
            },
            "Among those who exercised more did more: 60 more minutes per week lowered pain by "
            "4.0 points of 100 (95% CI 1.0 to 7.0, P = 0.012), which is not clear without "
            "saper2013 or b. 2 trials randomised people to different doses.",
        ),
        (
            {
                "outcome": "quality_of_life",
                "slope": Estimate(-4.0, -7.0, -1.0, 0.012),
                "verdict": LESS,
                "without": ("a", "b", "c", "d"),
            },
            "Among those who exercised more did less: 60 more minutes per week lowered quality of "
            "life by 4.0 points of 100 (95% CI 1.0 to 7.0, P = 0.012), which is not clear without "
            "any one of 4 of the trials. Only 1 trial randomised people to different doses.",
        ),
        (
            {"slope": None, "verdict": UNKNOWN, "reason": "the trials studied only 1 dose"},
            "Whether more exercise does more cannot be told: the trials studied only 1 dose.",
        ),
    ],
)
def test_more_or_not_in_words(changes, words):
    assert dose_sentence(said(**changes)) == words


def test_the_border_of_what_is_ruled_out():
    """From 60 to 150 are 1.5 steps of 60: a limit of 10 a step reaches 15."""
    there = Estimate(0.0, -10.0, 5.0, 0.9)
    assert "are not ruled out" in dose_sentence(said(slope=there))
    assert "are ruled out, if dose acts along a line" in dose_sentence(
        said(slope=replace(there, ci_low=-9.9))
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "So no dose is named as enough, or as best."),
        ({"verdict": UNKNOWN}, "So no dose is named as enough, or as best."),
        (
            {"verdict": MORE, "mcid_dose": at(95.2, 70.0, 130.0)},
            "A difference of 15.0 points of 100 is first reached at 95 minutes per week (95% "
            "interval from 70 to 130, the choice of curve included).",
        ),
        (
            {"verdict": MORE, "mcid_dose": at(95.2, 70.0, np.nan, note="no upper limit")},
            "A difference of 15.0 points of 100 is first reached at 95 minutes per week (95% "
            "interval from 70 without an upper limit, the choice of curve included).",
        ),
        (
            {"verdict": MORE, "mcid_dose": at(60.0, 60.0, 90.0, edge=True)},
            "A difference of 15.0 points of 100 is there already at the smallest dose studied, "
            "60 minutes per week.",
        ),
        (
            {"verdict": MORE, "mcid_dose": at(np.nan, 90.0, np.nan, note="the reason")},
            "A difference of 15.0 points of 100 is not shown at any dose studied: the reason.",
        ),
        (
            {"verdict": MORE, "optimum": at(150.0, 80.0, 150.0, edge=True, note="at the edge")},
            "No best dose is shown: the effect is largest at the edge.",
        ),
        (
            {"verdict": LESS, "mcid": None, "optimum": at(100.0, 80.0, 120.0, effect=-16.0)},
            "The best mean effect, −16.0 points of 100, is at 100 minutes per week (95% interval "
            "from 80 to 120, the choice of curve included).",
        ),
    ],
)
def test_the_place_in_words(changes, words):
    assert place_sentence(said(**changes)) == words


def trials(effect, doses=(30, 60, 90, 120, 150, 180, 210, 240), vi=1.0, outcome="pain_intensity"):
    rows = [{"yi": effect(d), "vi": vi, "minutes_per_week": float(d)} for d in doses]
    return make_effects(rows, outcome)


def noisy(effect):
    """Small fixed deviations, so that variances are above zero."""
    return lambda d: effect(d) + 0.3 * (-1) ** (d // 30)


def test_a_line_is_found_with_its_places():
    """-0.1 a minute: -13.5 at the typical 135, -6 an hour, -10 at 100."""
    answer = dose_answer(trials(noisy(lambda d: -0.1 * d)), "minutes_per_week", mcid=10)
    assert answer.verdict == MORE
    assert answer.typical == 135
    assert_allclose(answer.effect.estimate, -13.5, atol=0.3)
    assert_allclose(answer.slope.estimate, -6, atol=0.3)
    assert_allclose(answer.mcid_dose.estimate, 100, atol=4)
    assert answer.mcid_dose.ci_low < 100 < answer.mcid_dose.ci_high
    assert answer.optimum.at_edge
    assert answer.direct == answer.without == ()
    assert answer.weight > 0.99
    assert answer.result.dose_name == answer.dose_name == "minutes_per_week"
    table = answer.to_frame()
    assert table.loc["effect of 60 more minutes per week", "p_value"] == answer.slope.p_value
    assert escape(answer.text) in answer._repr_html_()


def test_the_effect_is_averaged_over_curves_where_dose_matters():
    """A curve that flattens is no line: the average is nearer to it at the typical dose."""
    bent = dose_answer(trials(noisy(lambda d: -25 * d / (40 + d))), "minutes_per_week")
    true = -25 * 135 / 175
    assert bent.verdict == MORE
    normal = retested(bent.result, "z").effect_at(135.0)[2]
    assert bent.effect == Estimate(*bent.curves.effect_at(135.0), pytest.approx(normal))
    assert all(fit.robust is not None for fit in bent.curves.results.values())
    line = bent.result.effect_at(135.0)[0]
    assert abs(bent.effect.estimate - true) < 0.5 * abs(line - true)
    flat = dose_answer(trials(noisy(lambda d: -12.0)), "minutes_per_week")
    assert flat.effect.estimate == flat.result.effect_at(135.0)[0]


def test_the_same_effect_at_every_dose_names_no_dose():
    answer = dose_answer(trials(noisy(lambda d: -12.0)), "minutes_per_week", mcid=10)
    assert answer.verdict == NOT_SHOWN
    assert_allclose(answer.effect.estimate, -12, atol=0.3)
    assert answer.mcid_dose is answer.optimum is None
    assert answer.text.endswith(
        "So no dose is named as enough, or as best. Doses are as prescribed, supervised sessions."
    )
    assert "4.0" not in answer.text


def test_higher_is_better_turns_the_verdict():
    up = trials(noisy(lambda d: 0.1 * d), outcome="quality_of_life")
    down = trials(noisy(lambda d: 40 - 0.1 * d), outcome="quality_of_life")
    assert dose_answer(up, "minutes_per_week").verdict == MORE
    assert dose_answer(down, "minutes_per_week").verdict == LESS


def test_one_dose_gives_the_effect_and_no_slope():
    rows = [{"yi": y, "vi": 1.0, "minutes_per_week": 90.0} for y in (-11.0, -12.0, -12.0, -13.0)]
    answer = dose_answer(make_effects(rows), "minutes_per_week")
    assert answer.verdict == UNKNOWN
    assert answer.slope is None
    assert_allclose(answer.effect.estimate, -12)
    assert "studied only 1 dose above zero" in answer.text


def test_trials_that_carry_the_slope_are_named():
    """Seven trials at 90 to 110 without a slope, one at 240 with a large effect."""
    doses = (90, 92, 95, 98, 102, 105, 110, 240)
    answer = dose_answer(
        trials(lambda d: -20.0 if d == 240 else -8 - d % 2, doses), "minutes_per_week"
    )
    assert answer.verdict == MORE
    assert answer.without == ("t8",)


def test_nothing_without_trials():
    with pytest.raises(CannotEstimate):
        dose_answer(trials(lambda d: -12.0, doses=(90,)), "minutes_per_week")


def test_the_figure_marks_the_doses_that_the_answer_names():
    """Not those of the line alone, which would be a second number for one thing."""
    doses = [30.0, 60.0, 90.0, 120.0]
    effects = make_effects([{"yi": -d / 8, "vi": 1.0, "minutes_per_week": d} for d in doses])
    fit = dose_response(effects, dose="minutes_per_week", heterogeneity="contrasts")
    answer = said(result=fit, verdict=MORE, mcid_dose=at(77.0, 70.0, 85.0), mcid=10.0)
    (mark,) = artists(answer.plot(), "dose-mark")
    assert mark.get_xdata() == [77.0]
    edge = replace(answer, mcid_dose=None, optimum=at(120.0, 90.0, 120.0, edge=True))
    assert artists(edge.plot(), "dose-mark") == []
    nowhere = replace(answer, mcid_dose=replace(at(np.nan, 70.0, np.nan), reached=False))
    assert artists(nowhere.plot(), "dose-mark") == []
    turning = replace(answer, mcid_dose=None, optimum=at(90.0, 70.0, 110.0))
    (mark,) = artists(turning.plot(), "dose-mark")
    assert mark.get_xdata() == [90.0]


def test_an_effect_that_one_trial_carries_is_not_told():
    """The other compares a dose with a dose: of exercise against none it says nothing."""
    rows = [
        {"yi": -4.3, "vi": 14.0, "duration_weeks": 12.0},
        {"yi": -2.4, "vi": 1.9, "duration_weeks": 36.0, "ref_duration_weeks": 12.0},
    ]
    with pytest.raises(CannotEstimate, match="1 cluster with information"):
        dose_answer(make_effects(rows), "duration_weeks")


def test_a_slope_is_never_surer_than_the_errors_within_the_trials_allow():
    """Equal effects: no slope, with the interval of a line of known variances through them."""
    doses = np.array([60.0, 75.0, 90.0, 120.0, 150.0])
    rows = [{"yi": -5.0, "vi": 4.0, "minutes_per_week": dose} for dose in doses]
    answer = dose_answer(make_effects(rows), "minutes_per_week", mcid=10.0, shapes=False)
    half = 1.959964 * 60 * np.sqrt(4 / np.sum((doses - doses.mean()) ** 2))
    assert_allclose([answer.slope.ci_low, answer.slope.ci_high], [-half, half], rtol=1e-6)
    assert_allclose(answer.slope.p_value, 1.0)
    assert answer.effect.ci_high - answer.effect.ci_low > 2 * answer.effect.least


@pytest.mark.parametrize(
    ("least", "words"),
    [
        (6.0, ""),
        (6.6, ""),
        (7.0, " The trials agree more closely than their own errors would let expect: by those "
              "alone the interval is −19.0 to −5.0."),
    ],
)  # fmt: skip
def test_effects_that_agree_too_closely_are_told(least, words):
    close = replace(said().effect, least=least)
    plain = effect_sentence(said())
    assert effect_sentence(said(effect=close)) == plain + words


@pytest.mark.parametrize(
    ("limits", "clear"),
    [
        ((0.1, 0.9), True),
        ((-0.9, -0.1), True),
        ((0.0, 0.9), False),
        ((-0.9, 0.0), False),
        ((-0.9, 0.9), False),
    ],
)
def test_an_interval_is_clear_without_zero(limits, clear):
    assert Estimate(sum(limits) / 2, *limits).clear is clear
    assert (
        "no clear difference" in effect_sentence(said(effect=Estimate(0, *limits)))
    ) is not clear


@pytest.mark.parametrize(("estimate", "word"), [(-0.5, "lower"), (0.5, "higher"), (0.0, "higher")])
def test_the_direction_of_the_typical_dose(estimate, word):
    text = effect_sentence(said(effect=Estimate(estimate, 0.1, 0.9)))
    assert f"points of 100 {word} with the typical dose" in text
    assert text.count(word) == 2


@pytest.mark.parametrize(
    ("estimate", "word"), [(-0.5, "lowered"), (0.5, "raised"), (0.0, "raised")]
)
def test_the_direction_of_more(estimate, word):
    slope = Estimate(estimate, 0.1, 0.9, 0.01)
    assert f"60 more minutes per week {word} pain by" in dose_sentence(
        said(slope=slope, verdict=MORE)
    )


@pytest.mark.parametrize(
    ("level", "p", "clear"),
    [(0.95, 0.05, False), (0.95, 0.0499999, True), (0.9, 0.1, False), (0.9, 0.0999999, True)],
)
def test_clear_is_below_one_minus_the_level(level, p, clear):
    text = dose_sentence(said(slope=Estimate(-4.0, -7.0, -1.0, p), level=level, weight=0.5))
    assert ("have only 50% of the weight" in text) is clear


@pytest.mark.parametrize(
    ("trials", "words"),
    [
        (("a",), ", which is not clear without a."),
        (("a", "b", "c"), ", which is not clear without a or b or c."),
        (("a", "b", "c", "d"), ", which is not clear without any one of 4 of the trials."),
    ],
)
def test_trials_that_more_hangs_on(trials, words):
    slope = Estimate(-4.0, -7.0, -1.0, 0.01)
    assert f"P = 0.010){words}" in dose_sentence(said(slope=slope, verdict=MORE, without=trials))


@pytest.mark.parametrize(
    ("step", "slope", "out"),
    [
        (60.0, (-10.0, 5.0), False),
        (60.0, (-5.0, 10.0), False),
        (60.0, (-9.99, 9.99), True),
        (30.0, (-5.0, 1.0), False),
        (30.0, (-4.9, 1.0), True),
    ],
)
def test_what_is_ruled_out_counts_steps_between_the_doses_studied(step, slope, out):
    """The 90 minutes from 60 to 150, in steps; an MCID of -15 is as far as one of 15."""
    for mcid in (15.0, -15.0):
        text = dose_sentence(said(step=step, slope=Estimate(0.0, *slope, 0.9), mcid=mcid))
        assert ("are ruled out" in text) is out


def test_places_of_ratios_and_those_with_a_note():
    best = at(100.0, 80.0, 120.0, effect=-0.5, note="the reason")
    text = place_sentence(said(verdict=MORE, measure="SMD", mcid=None, optimum=best))
    assert text == (
        "The best mean effect, −0.50 standard deviations, is at 100 minutes per week (95% interval "
        "from 80 to 120, the choice of curve included); the reason."
    )
    both = said(verdict=MORE, mcid_dose=at(75.0, 60.0, 90.0), optimum=best, level=0.9)
    assert place_sentence(both).startswith("A difference of 15.0 points of 100 is first reached at")
    assert "(90% interval from 60 to 90, the" in place_sentence(both)
    assert "The best mean effect" in place_sentence(both)


@pytest.mark.parametrize(("shapes", "compared"), [(True, True), (False, False)])
def test_shapes_are_compared_where_asked_or_where_the_slope_is_clear(shapes, compared):
    flat = dose_answer(trials(noisy(lambda d: -12.0)), "minutes_per_week", shapes=shapes)
    assert (flat.curves is not None) is compared
    assert np.isnan(flat.weight) is not compared
    steep = dose_answer(trials(noisy(lambda d: -0.1 * d)), "minutes_per_week", shapes=False)
    assert steep.verdict == MORE and steep.mcid_dose is None


@pytest.mark.parametrize(
    ("doses", "known"), [((60.0, 90.0), False), ((60.0, 90.0, 120.0), True), ((60.0,), False)]
)
def test_the_slope_is_asked_of_three_doses(doses, known):
    rows = [
        {"yi": -12.0 - k, "vi": 1.0, "minutes_per_week": dose} for dose in doses for k in range(3)
    ]
    answer = dose_answer(make_effects(rows), "minutes_per_week")
    assert (answer.slope is not None) is known
    count = f"only {len(doses)} dose{'s' * (len(doses) > 1)} above zero"
    assert (count in answer.reason) is not known


def test_doses_of_reference_arms_count_among_the_three():
    rows = [
        {"yi": -12.0 - k, "vi": 1.0, "minutes_per_week": dose, "ref_minutes_per_week": less}
        for k, (dose, less) in enumerate([(60.0, 0.0), (90.0, 0.0), (90.0, 0.5), (60.0, 0.0)] * 2)
    ]
    assert dose_answer(make_effects(rows), "minutes_per_week").slope is not None


def test_where_dose_matters_the_dose_is_asked_for_a_benefit_of_that_size():
    """Of higher scores 10 are reached by 0.1 a minute at 100, the best dose is the largest."""
    up = trials(noisy(lambda d: 0.1 * d), outcome="quality_of_life")
    answer = dose_answer(up, "minutes_per_week", mcid=-10.0)
    assert answer.mcid_dose.effect == 10.0
    assert answer.optimum.estimate == 240.0 and answer.optimum.at_edge
    assert (answer.lowest, answer.highest, answer.step) == (30.0, 240.0, 60.0)
    none = dose_answer(up, "minutes_per_week")
    assert none.mcid_dose is None and none.optimum is not None


NETWORK = "In 9 trials of exercise against other exercise, other care or none, the dose {} among "
NETWORK += (
    "those who exercise: 60 more minutes per week changed pain by −6.0 points of 100 (95% CI "
)
NETWORK += "−9.0 to −3.0, P = {}; {} compared different doses of one type)."


@pytest.mark.parametrize(
    ("p", "trials", "slope", "verdict", "groups"),
    [
        (0.049, 1.0, SLOPE, ("is shown to matter", "0.049", "1 trial"), 2),
        (0.05, 2.0, SLOPE, ("is not shown to matter", "0.050", "2 trials"), 2),
        (0.2, 0.0, None, ("is not shown to matter", "0.20", "0 trials"), 1),
    ],
)
def test_the_slope_in_a_network(p, trials, slope, verdict, groups, monkeypatch):
    rows = pd.DataFrame(
        [(9.0, 9.0, 9.0), (-0.1, -0.15, -0.05)],
        index=["yoga: step", "yoga: dose"],
        columns=["estimate", "ci_low", "ci_high"],
    )
    result = SimpleNamespace(
        **{"agents": ["yoga", "pilates"], "n_trials": 9, "summary": lambda: rows},
        test_dose=lambda: {"p_value": p, "trials": trials},
    )
    asked = {}

    def fit(part, **options):
        asked.update(options)
        return result

    monkeypatch.setattr(dose_module, "connected_agents", lambda effects, **options: effects)
    monkeypatch.setattr(dose_module, "dose_network", fit)
    effects = make_effects([{"yi": 0.0, "vi": 1.0}])
    found = dose_module.dose_in_network(said(slope=slope), effects, {"a": "b"})
    assert found.text == NETWORK.format(*verdict)
    assert (asked["shared"], asked["any_exercise"], asked["reference"]) == (
        "step",
        True,
        "inactive",
    )
    last = found.table.iloc[-1]
    assert last.tolist()[:2] == ["network of all treatments", 9]
    assert_allclose(last.tolist()[2:], [-6.0, -9.0, -3.0])
    first = [["against no exercise", 7, SLOPE.estimate, SLOPE.ci_low, SLOPE.ci_high]]
    assert found.table.iloc[:-1].to_numpy().tolist() == first[: groups - 1]


def test_a_network_that_does_not_carry_the_question():
    effects = make_effects([{"yi": 0.0, "vi": 1.0, "treatment": "a", "ref_treatment": "b"}])
    text = dose_module.dose_in_network(said(), effects, {}).text
    assert text.startswith("A network of all treatments does not carry this question: ")


@pytest.mark.parametrize(
    ("measure", "close", "words"),
    [
        ("MD", Estimate(-12.0, -12.5, -11.5, 0.001, 0.5 / 0.9 + 1e-9), "−12.6 to −11.4."),
        ("MD", Estimate(-12.0, -12.5, -11.5, 0.001, 0.5 / 0.9 - 1e-9), None),
        ("SMD", Estimate(-1.0, -1.1, -0.9, 0.001, 0.2), "−1.20 to −0.80."),
        ("MD", Estimate(-1.0, -2.0, 0.5, 0.1, 2.0), "−3.0 to 1.0."),
    ],
)
def test_agreement_beyond_errors_is_that_of_more_than_a_tenth(measure, close, words):
    text = effect_sentence(said(effect=close, measure=measure))
    assert close.too_narrow is (words is not None)
    assert text.endswith(f"by those alone the interval is {words}") is (words is not None)


def test_the_summary_holds_what_there_is():
    plain = said().summary()
    assert plain.index.tolist() == [
        "effect of 90 minutes per week",
        "effect of 60 more minutes per week",
    ]
    assert plain["p_value"].tolist() == [0.001, 0.77]
    full = said(slope=None, mcid_dose=at(75.0, 60.0, 90.0), optimum=at(90.0, 70.0, 110.0)).summary()
    assert full.index.tolist()[1:] == [
        "MCID reached at, minutes per week",
        "best dose, minutes per week",
    ]
    assert full["estimate"].tolist() == [-12.0, 75.0, 90.0]
    assert np.isnan(full["p_value"].iloc[1])
    assert repr(said()) == "<DoseAnswer: pain_intensity, minutes_per_week: not shown>"
