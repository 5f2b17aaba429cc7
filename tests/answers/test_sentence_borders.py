"""The borders of what sentences say: signs, limits and P values at which words change."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from backpain_analysis.answers import sentences
from backpain_analysis.models.dose.curves import CURVES
from tests.answers.test_sentences import CLEAR, SPEED, course, dose, lasting
from tests.made import made


@pytest.mark.parametrize(
    ("limits", "level", "words"),
    [
        ((0.5, 0.9), 0.95, "In 4 trials, pain was 0.7 points of 100 higher with exercise than"),
        ((-0.9, -0.5), 0.95, "In 4 trials, pain was 0.7 points of 100 lower with exercise than"),
        ((0.0, 1.4), 0.95, "In 4 trials, no clear difference in pain between exercise and"),
        ((-1.4, 0.0), 0.95, "In 4 trials, no clear difference in pain between exercise and"),
        ((0.5, 0.9), 0.9, "(90% CI 0.5 to 0.9 higher)"),
        ((-0.5, 1.9), 0.9, "(90% CI −0.5 to 1.9)"),
    ],
)
def test_small_effects_have_the_direction_of_their_sign(limits, level, words):
    result = replace(CLEAR, estimate=sum(limits) / 2, ci_low=limits[0], ci_high=limits[1])
    assert words in sentences.pooled(replace(result, level=level), "pain_intensity")


def test_an_estimate_of_zero_is_not_lower():
    result = replace(CLEAR, estimate=0.0, ci_low=0.1, ci_high=0.2)
    assert "points of 100 higher with" in sentences.pooled(result, "pain_intensity")


ARMS = ["arm_id", "trial_id", "exercise_type", "minutes_per_week"]


@pytest.mark.parametrize(
    ("years", "span"),
    [
        ([1999.0, 2010.0, np.nan], "from 1999 to 2010"),
        ([2010.0, np.nan, np.nan], "from 2010 to 2010"),
        ([np.nan] * 3, "without a year"),
    ],
)
def test_what_the_evidence_is(years, span, monkeypatch):
    rows = [("a1", "a", "yoga", 90.0), ("a2", "a", "none", 60.0), ("b1", "b", "yoga", np.nan)]
    trials = pd.DataFrame({"year": years, "n_randomised": [1000.0, 234.0, np.nan]})
    data = made(
        "Evidence",
        arms=pd.DataFrame(rows, columns=ARMS),
        trials=trials.assign(rob_or_pedro=["low", None, None]),
    )
    monkeypatch.setattr(sentences, "with_doses", lambda arms: arms)
    assert sentences.evidence(data) == (
        f"3 trials {span}, with 1,234 people randomised and 2 exercise arms of 1 type. Minutes of "
        "exercise per week are known for 1 of these arms; an appraisal of the risk of bias is "
        "known for 1 trial."
    )


@pytest.mark.parametrize(
    ("measure", "effect", "size"),
    [("MD", -15.0, "15.0 points of 100"), ("SMD", -0.5, "0.50 standard deviations")],
)
def test_the_effect_that_a_dose_reaches(measure, effect, size):
    text = sentences.dose_to_reach(dose(), "grams", effect, measure=measure)
    assert text.startswith(f"The mean curve first reaches {size} at 95 grams (95% ")


def test_the_best_dose_of_a_ratio():
    text = sentences.best_dose(dose(effect=np.log(0.5)), "grams", measure="RR")
    assert text.startswith("The best mean effect, a risk ratio of 0.50, is at 95 grams (95% ")


def fitted(overall, dose_p=0.5, trials=0.0, step=True, outcome="pain_intensity", name="linear"):
    """A curve with these P values, whose best dose is asked on the side of benefit."""
    asked = []
    curve = CURVES["constant"]() if name == "constant" else SimpleNamespace(name=name)
    result = made(
        "DoseResponseResult",
        **{"outcome": outcome, "level": 0.95, "curve": curve, "measure": "MD"},
        **{"n_trials": 5, "n_participants": 0, "dose_name": "grams", "stepped": step},
        test_overall=lambda: {"p_value": overall},
        test_dose=lambda: {"p_value": dose_p, "trials": trials},
        dose_for=lambda target: asked.append(target) or dose(),
        optimum=lambda best: asked.append(best) or dose(),
    )
    return result, asked


BORDER = 1 - 0.95


@pytest.mark.parametrize(
    ("overall", "step", "words"),
    [
        (0.049, True, "In 5 trials, exercise of any dose makes a difference to pain (P = 0.049)."),
        (BORDER, True, "In 5 trials, exercise of any dose makes no clear difference to pain (P "),
        (0.049, False, "In 5 trials, pain is related to grams (straight line, P = 0.049), exerc"),
        (BORDER, False, "In 5 trials, pain is not clearly related to grams (straight line, P = "),
    ],
)
def test_whether_the_curve_says_anything(overall, step, words, monkeypatch):
    monkeypatch.setattr(sentences, "has_step", lambda curve: step)
    result, _ = fitted(overall, step=step)
    assert sentences.dose_response(result).startswith(words)


@pytest.mark.parametrize(
    ("p", "trials", "words", "places"),
    [
        (0.049, 1.0, "dose matters (straight line, P = 0.049; 1 trial randomised people to ", True),
        (BORDER, 2.0, "dose is not shown to matter (straight line, P = 0.050; 2 trials ran", False),
    ],
)
@pytest.mark.parametrize(
    ("outcome", "target", "best"),
    [("pain_intensity", -10.0, "lowest"), ("quality_of_life", 10.0, "highest")],
)
def test_a_dose_is_named_on_the_side_of_benefit(
    p, trials, words, places, outcome, target, best, monkeypatch
):
    monkeypatch.setattr(sentences, "has_step", lambda curve: True)
    result, asked = fitted(0.01, p, trials, outcome=outcome)
    assert words in sentences.dose_response(result, 10.0)
    assert asked == ([target, best] if places else [])
    asked.clear()
    sentences.dose_response(result)
    assert asked == ([best] if places else [])


@pytest.mark.parametrize(("name", "asked"), [("linear", 2), ("surface", 0)])
def test_no_place_is_named_on_a_surface(name, asked, monkeypatch):
    monkeypatch.setattr(sentences, "has_step", lambda curve: False)
    result, places = fitted(0.01, name=name)
    sentences.dose_response(result, 10.0)
    assert len(places) == asked
    assert sentences.curve_words("odd") == "odd curve"


@pytest.mark.parametrize(
    ("first", "last", "weeks"),
    [
        (4.0, 12.0, ["4", "12"]),
        (4.1, 12.0, ["12"]),
        (2.0, 11.9, ["4"]),
        (12.0, 26.0, ["12", "26"]),
        (26.0, 52.0, ["26", "52"]),
        (52.5, 60.0, ["60"]),
    ],
)
def test_weeks_that_the_data_reach(first, last, weeks):
    result = course(*SPEED[0][0], last=last)
    result.first_week = first
    text = sentences.time_course(result, "pain_intensity")
    assert [part.split(" ")[0] for part in text.split("at week ")[1:]] == weeks


@pytest.mark.parametrize(
    ("limits", "verb"),
    [((0.01, 0.9), "shrank"), ((-0.9, -0.01), "grew"), ((-0.9, 0.9), "did not clearly change")],
)
def test_small_changes_after_the_end_are_clear_by_their_limits(limits, verb):
    text = sentences.durability(lasting((sum(limits) / 2, *limits), -0.5))
    assert text.startswith(f"After the end of the programme the effect {verb}: ")
    smd = sentences.durability(lasting((0.1234, *limits), -0.5), "SMD")
    assert "0.123 standard deviations a month" in smd


def test_an_effect_that_was_none_at_the_end_shrank():
    assert "the effect shrank" in sentences.durability(lasting((0.5, 0.1, 0.9), 0.0))
