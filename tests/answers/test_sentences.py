"""Results in words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backpain_analysis.answers import sentences
from backpain_analysis.evidence.evidence import load_evidence
from backpain_analysis.models.dose.result import DoseEstimate
from backpain_analysis.models.pairwise.pooling import pool

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
