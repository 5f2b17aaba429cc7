"""Effects as readers read them: points, percentage points, ratios."""

from __future__ import annotations

import math

import pytest

from backpain_analysis import words

HALF = math.log(0.5)

TEXTS = [
    # estimate, measure, as text
    (-3.04, "MD", "−3.0"),
    (-0.304, "SMD", "−0.30"),
    (-0.1234, "RD", "−12.3"),
    (0.0, "OR", "1.00"),
    (HALF, "OR", "0.50"),
    (-HALF, "RR", "2.00"),
    (HALF, "HR", "0.50"),
    (HALF, "IRR", "0.50"),
    (HALF, "ROM", "0.50"),
    (HALF, "PETO", "0.50"),
    (800.0, "OR", "inf"),
]


@pytest.mark.parametrize(("estimate", "measure", "text"), TEXTS)
def test_effects_as_text(estimate, measure, text):
    assert words.effect_text(estimate, measure) == text


def test_digits_can_be_asked_for():
    assert words.effect_text(HALF, "OR", 1) == "0.5"


@pytest.mark.parametrize(
    ("sd", "measure", "text"), [(3.04, "MD", "3.0"), (0.3, "OR", "0.30"), (0.1, "RD", "10.0")]
)
def test_standard_deviations_as_text(sd, measure, text):
    assert words.spread_text(sd, measure) == text


@pytest.mark.parametrize(
    ("measure", "unit", "axis"),
    [
        ("MD", "points of 100", "Difference in recurrence\n(points on 0–100)"),
        ("SMD", "standard deviations", "Difference in recurrence\n(SMD, Hedges' g)"),
        ("RD", "percentage points", "Difference in recurrence\n(percentage points)"),
        ("HR", "on the log scale", "Hazard ratio\n(recurrence)"),
    ],
)
def test_units(measure, unit, axis):
    assert words.unit_words(measure) == unit
    assert words.measured("recurrence", measure) == axis
