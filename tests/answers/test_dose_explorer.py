"""What is known at each dose: told, refused, or without a curve."""

from __future__ import annotations

import json
import math

import pandas as pd
import pytest
from numpy.testing import assert_allclose

import backpain_analysis as bp
from backpain_analysis.answers.certainty import Certainty
from backpain_analysis.answers.claim_parts import Context
from backpain_analysis.answers.claim_tests import _at_guideline
from backpain_analysis.answers.dose_explorer import (
    MEDIA_TYPE,
    Choice,
    Explored,
    Known,
    dose_explorer,
)
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.reporting import explorer as page
from tests.figures.drawn import make_effects

WEEKLY = "minutes_per_week"
CURVE = object()


@pytest.fixture(scope="module")
def trials():
    return bp.load_evidence().filter(population=bp.BACK_PAIN)


@pytest.fixture(scope="module")
def found(trials):
    return dose_explorer(trials, ["pain_intensity"], [WEEKLY])


@pytest.fixture(scope="module")
def every(found):
    return found.chosen("pain_intensity", WEEKLY)


def effects(*doses):
    rows = [{"yi": -10.0, "vi": 4.0, WEEKLY: dose} for dose in doses]
    return make_effects(rows).with_dose(WEEKLY)


def explored(*known, doses=(60.0, 240.0), reason="", answer=CURVE):
    choice = Choice("pain_intensity", "", "", WEEKLY)
    return Explored(choice, effects(*doses), answer, reason, known)


def at(dose, estimate, low, high, trials=3):
    return Known(dose, estimate, low, high, -30.0, 10.0, trials, 120, Certainty("low"))


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (
            at(120.0, -12.04, -18.06, -6.0),
            "At 120 minutes per week, pain was 12.0 points of 100 lower than without exercise "
            "(95% CI 6.0 to 18.1 lower).",
        ),
        (
            at(120.0, 5.0, 1.0, 9.0),
            "At 120 minutes per week, pain was 5.0 points of 100 higher than without exercise "
            "(95% CI 1.0 to 9.0 higher).",
        ),
        (
            at(120.0, -5.0, -10.0, 0.0),
            "At 120 minutes per week, no clear difference in pain from no exercise: −5.0 points "
            "of 100 (95% CI −10.0 to 0.0).",
        ),
        (
            at(120.0, 1.0, 0.0, 2.0),
            "At 120 minutes per week, no clear difference in pain from no exercise: 1.0 points "
            "of 100 (95% CI 0.0 to 2.0).",
        ),
        (
            at(120.0, -5.0, -10.0, 0.1, trials=0),
            "No trial studied about 120 minutes per week, so nothing is told of it. The nearest "
            "are 60 and 240 minutes per week.",
        ),
    ],
)
def test_a_dose_is_told_in_words_or_refused(known, words):
    assert explored(known).at(120.0) == words


@pytest.mark.parametrize("dose", [45.0, 255.0])
@pytest.mark.parametrize(
    ("doses", "words"),
    [
        ((60.0, 240.0), "The doses studied reach from 60 to 240 minutes per week."),
        ((90.0, 90.0), "The only dose studied is 90 minutes per week."),
    ],
)
def test_doses_beyond_those_studied_are_refused(dose, doses, words):
    refused = f"No trial studied about {dose:g} minutes per week, so nothing is told of it. {words}"
    assert explored(doses=doses).at(dose) == refused


def test_without_a_curve_it_says_why():
    one = explored(doses=(60.0,), answer=None, reason="1 trials cannot")
    assert one.at(60.0) == "One trial has this, too few for a curve; what it found is shown."
    two = explored(answer=None, reason="all doses are equal")
    assert two.at(60.0) == (
        "2 trials carry no curve: all doses are equal. What each found is shown."
    )


def test_a_dose_between_the_steps_is_a_wrong_argument():
    with pytest.raises(ValueError, match=r"dose 61 cannot be chosen: use steps of 15\."):
        explored(at(60.0, -1.0, -2.0, -0.5)).at(61.0)


def test_the_curve_and_its_certainty_are_those_of_the_claims(trials, every):
    context = Context(trials)
    part = _at_guideline(context, "pain_intensity", "x", context.effects("pain_intensity"))
    known = next(each for each in every.doses if each.dose == 150.0)
    numbers = ["estimate", "ci_low", "ci_high", "pi_low", "pi_high"]
    assert_allclose(
        [getattr(known, name) for name in numbers], [getattr(part.body, name) for name in numbers]
    )
    assert (known.certainty.level, known.certainty.reasons) == (
        part.certainty.level,
        part.certainty.reasons,
    )


def test_trials_and_people_are_those_within_half_a_step(every):
    table = every.effects.table
    for known in every.doses:
        near = table[(table[["dose", "ref_dose"]] - known.dose).abs().le(30.0).any(axis=1)]
        arms = pd.concat(
            [
                near[["trial_id", "arm_id", "n_arm"]],
                near[["trial_id", "ref_arm_id", "n_ref"]].set_axis(
                    ["trial_id", "arm_id", "n_arm"], axis=1
                ),
            ]
        ).drop_duplicates(["trial_id", "arm_id"])
        assert (known.n_trials, known.n_participants) == (
            near["trial_id"].nunique(),
            arms["n_arm"].sum(),
        )


def test_doses_are_every_quarter_of_an_hour_and_both_ends(every):
    doses = [known.dose for known in every.doses]
    assert doses == [60.0, 75.0, 90.0, 105.0, 120.0, 135.0, 150.0]
    assert (every.studied[0], every.studied[-1]) == (60.0, 150.0)


def test_each_choice_has_its_own_trials(trials, found):
    yoga = found.chosen("pain_intensity", WEEKLY, exercise_type="yoga")
    direct = bp.dose_answer(
        trials.filter(exercise_type="yoga").effects("pain_intensity"), WEEKLY, mcid=15.0
    )
    assert (yoga.answer.n_trials, yoga.answer.verdict) == (direct.n_trials, direct.verdict)
    assert_allclose(yoga.answer.effect.estimate, direct.effect.estimate)
    chronic = found.chosen("pain_intensity", WEEKLY, population="chronic_nslbp")
    assert set(chronic.effects.table["population"]) == {"chronic_nslbp"}
    with pytest.raises(CannotEstimate, match="no trial of this choice"):
        found.chosen("pain_intensity", WEEKLY, exercise_type="aerobic_cycling")


def test_the_page_gets_the_numbers_as_they_are_shown(found, every):
    bundle = found._repr_mimebundle_()
    data = json.loads(json.dumps(bundle[MEDIA_TYPE], allow_nan=False))
    assert MEDIA_TYPE == page.MEDIA_TYPE
    (first,) = [
        each for each in data["explored"] if each["choice"] == ["pain_intensity", "", "", WEEKLY]
    ]
    for row, known in zip(first["rows"], every.doses, strict=True):
        assert row[:4] == [
            known.dose,
            *(round(x, 1) for x in (known.estimate, known.ci_low, known.ci_high)),
        ]
        assert data["reasons"][row[9]] == (known.certainty.reasons if known.n_trials else "")
    assert "</table>" in bundle["text/html"]
    exact = bundle["text/csv"].splitlines()
    assert len(exact) == 1 + sum(len(each.doses) for each in found.explored)
    assert any(repr(every.doses[0].estimate) in line for line in exact)


def test_a_missing_interval_is_no_number():
    known = at(60.0, -1.0, -2.0, -0.5)
    broken = Known(**{**known.__dict__, "pi_low": math.nan})
    from backpain_analysis.answers.dose_explorer import _data

    row = _data(explored(broken, answer=None, reason="x"), {})["rows"][0]
    assert row[4] is None and row[5] == 10.0
