"""Results in words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backpain_analysis.answers import sentences
from backpain_analysis.evidence.evidence import load_evidence
from backpain_analysis.models.dose.curves import CURVES
from backpain_analysis.models.dose.fit import dose_response
from backpain_analysis.models.dose.result import DoseEstimate
from backpain_analysis.models.pairwise.pooling import pool
from backpain_analysis.words import dose_with_unit
from tests.figures.drawn import make_effects

CLEAR = pool([-12.0, -11.0, -13.0, -12.0], [1.0, 1.0, 1.0, 1.0], test="z")
NULL = pool([-2.0, 2.0, -1.0, 1.0], [1.0, 1.0, 1.0, 1.0], test="z")


def dose(**fields) -> DoseEstimate:
    base = {
        "estimate": 94.9,
        "ci_low": 45.4,
        "ci_high": 120.2,
        "effect": -15.0,
        "low": 0.0,
        "high": 150.0,
        "reached": True,
        "at_edge": False,
        "note": "",
    }
    return DoseEstimate(**{**base, **fields})


def test_a_clear_effect_has_direction_size_interval_and_mcid():
    """Mean -12, standard error 1/2: interval 11.0 to 13.0; 12/15 = 0.80 of the MCID."""
    text = sentences.pooled(CLEAR, "pain_intensity", mcid=15)
    assert "In 4 trials, pain was 12.0 points of 100 lower with exercise than with no" in text
    assert "(95% CI 11.0 to 13.0 lower)" in text
    assert "0.80 of the MCID of 15 points" in text


def test_a_null_result_says_so():
    text = sentences.pooled(NULL, "disability", mcid=10)
    assert text.startswith("In 4 trials, no clear difference in disability between exercise and")
    assert "0.0 points of 100" in text
    assert "MCID" not in text


def test_participants_one_trial_and_smds():
    one = replace(pool([-0.5], [0.01], test="z"), n_participants=1234)
    text = sentences.pooled(one, "disability", "SMD", mcid=10)
    assert text.startswith("In 1 trial (1,234 participants), disability was 0.50 standard dev")
    assert "prediction" not in text
    assert "MCID" not in text


def test_doses_reached_open_ended_and_not_reached():
    text = sentences.dose_to_reach(dose(), "minutes_per_week", -15)
    assert text == (
        "The mean curve first reaches 15.0 points of 100 at 95 minutes per week "
        "(95% interval from 45 to 120)."
    )
    text = sentences.dose_to_reach(dose(ci_high=np.nan), "minutes_per_week", -15)
    assert "without an upper limit up to the largest dose, 150" in text
    text = sentences.dose_to_reach(
        dose(reached=False, estimate=np.nan, note="the reason"), "sessions_per_week", -15
    )
    assert text == "An effect of 15.0 points of 100 is not shown at any dose: the reason."


def test_an_optimum_at_the_edge_is_not_sold_as_one():
    text = sentences.best_dose(dose(note="at the edge of the data (150)"), "minutes_per_week")
    assert text.endswith("; at the edge of the data (150).")


@pytest.mark.parametrize(
    ("value", "text"), [(-1234.56, "−1,234.6"), (-0.04, "0.0"), (0.05, "0.1"), (12.0, "12.0")]
)
def test_numbers(value, text):
    assert sentences.number(value) == text


def test_p_values():
    assert [sentences.p_text(p) for p in (0.0004, 0.0123, 0.43)] == [
        "P < 0.001",
        "P = 0.012",
        "P = 0.43",
    ]


def test_the_evidence_in_a_sentence():
    text = sentences.evidence(load_evidence())
    assert text.startswith("180 trials from 1988 to 2026, with ")
    assert "risk of bias is known for 56 trials." in text


@pytest.fixture(scope="module")
def effects():
    """Ten two-arm trials around -20 d / (60 + d), so that every curve can be fitted."""
    doses = (15.0, 30.0, 45.0, 60.0, 90.0, 120.0, 150.0, 180.0, 240.0, 300.0)
    rows = [
        {"yi": -20 * d / (60 + d) + 0.2 * (-1) ** k, "vi": 0.25, "minutes_per_week": d}
        for k, d in enumerate(doses)
    ]
    return make_effects(rows)


@pytest.mark.parametrize("name", sorted(set(CURVES) - {"surface", "piecewise"}))
@pytest.mark.parametrize("step", [False, True])
def test_every_curve_has_its_sentence(effects, name, step):
    if step and name in ("emax", "hill", "fp2"):
        name = "linear"
    curve = dose_response(
        effects, dose="minutes_per_week", curve=name, any_exercise=step, method="CE"
    )
    text = sentences.dose_response(curve, mcid=10)
    assert text.startswith("In 10 trials (420 participants), ")
    assert sentences.curve_words(name) in text or name == "constant"
    if name == "constant":
        assert text.endswith("The effect is taken to be the same at every dose.")
    elif step:
        assert "exercise of any dose makes a difference to pain (P < 0.001)" in text
        assert "Among those who exercise, dose matters (a step and a " in text
    else:
        assert "exercise against none and more against less taken together" in text
        assert "first reaches 10.0 points of 100 at" in text
        assert "first reaches" not in sentences.dose_response(curve)


def test_a_step_whose_dose_does_not_matter_names_no_dose():
    """Slope -90/15750, standard error 1/sqrt(15750): z = 0.717."""
    rows = [
        {"yi": -12.0 + (-1) ** k, "vi": 1.0, "minutes_per_week": 30.0 * (k + 1)} for k in range(6)
    ]
    curve = dose_response(
        make_effects(rows), dose="minutes_per_week", any_exercise=True, method="CE"
    )
    assert sentences.dose_response(curve, mcid=10).endswith(
        "Among those who exercise, dose is not shown to matter (a step and a straight line, "
        "P = 0.47; 0 trials randomised people to different doses), so no dose is named as enough, "
        "or as best."
    )


@pytest.mark.parametrize(
    ("value", "name", "largest", "text"),
    [
        (1.0, "sessions_per_week", 3.0, "1 session per week"),
        (1.125, "sessions_per_week", 3.0, "1.1 sessions per week"),
        (1.0, "duration_weeks", 12.0, "1 week of exercise"),
        (90.4, "minutes_per_week", 150.0, "90 minutes per week"),
        (12.0, "total_hours", 30.0, "12 hours in total"),
        (2.0, "grams", 3.0, "2 grams"),
    ],
)
def test_doses_with_their_units(value, name, largest, text):
    assert dose_with_unit(value, name, largest) == text
