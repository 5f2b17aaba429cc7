"""How effects of each measure are written: both signs, no effect, and what is turned back."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.effects.formulas import FORMULAS
from backpain_analysis.words import (
    MEASURE_WORDS,
    back_transform,
    benefit_sign,
    effect_interval,
    effect_text,
    measured,
    unit_words,
)


def test_every_measure_has_its_words():
    by_table_only = {"d"}  # Cohen's d, of tables of arms
    assert set(FORMULAS) | by_table_only == set(MEASURE_WORDS)


@pytest.mark.parametrize(
    ("measure", "value", "shown", "text"),
    [
        ("MD", -7.25, -7.25, "−7.2"),
        ("SMD", 0.325, 0.325, "0.33"),
        ("RR", 0.0, 1.0, "1.00"),
        ("RR", np.log(0.5), 0.5, "0.50"),
        ("HR", np.log(1.25), 1.25, "1.25"),
        ("PETO", np.log(2), 2.0, "2.00"),
        ("ROM", np.log(0.8), 0.8, "0.80"),
        ("RD", -0.125, -0.125, "−12.5"),
        ("PLO", 0.0, 0.5, "50.0"),
        ("PFT", np.pi / 6, 0.25, "25.0"),
        ("ZCOR", np.arctanh(-0.6), -0.6, "−0.60"),
        ("AS", -0.2, -0.2, "−0.20"),
    ],
)
def test_effects_as_they_are_read(measure, value, shown, text):
    assert_allclose(back_transform(value, measure), shown, atol=1e-12)
    assert effect_text(value, measure) == text


@pytest.mark.parametrize(
    ("measure", "text"),
    [
        ("MD", "0.1 points of 100 (90% CI −0.2 to 0.4)"),
        ("SMD", "0.10 standard deviations (90% CI −0.20 to 0.40)"),
        ("OR", "1.11 (90% CI 0.82 to 1.49)"),
        ("RD", "10.0 percentage points (90% CI −20.0 to 40.0)"),
        ("ZCOR", "0.10 (90% CI −0.20 to 0.38)"),
    ],
)
def test_effects_with_interval_and_unit(measure, text):
    assert effect_interval(0.1, -0.2, 0.4, measure, 0.9) == text


@pytest.mark.parametrize(
    ("outcome", "measure", "unit", "text"),
    [
        ("pain_intensity", "MD", "", "Difference in pain\n(points on 0–100)"),
        ("flexibility_rom", "MD", "cm", "Difference in flexibility\n(cm)"),
        ("disability", "SMD", "", "Difference in disability\n(SMD, Hedges' g)"),
        ("recurrence", "HR", "", "Hazard ratio\n(recurrence)"),
        ("dropout", "RD", "", "Difference in dropout\n(percentage points)"),
        ("adverse_events", "PLO", "", "Share with adverse events\n(per cent)"),
    ],
)
def test_what_an_axis_says(outcome, measure, unit, text):
    assert measured(outcome, measure, unit) == text


def test_units_and_signs():
    assert [unit_words(name) for name in ("MD", "SMD", "RR", "RD", "ZCOR")] == [
        "points of 100",
        "standard deviations",
        "on the log scale",
        "percentage points",
        "",
    ]
    signs = {"recurrence": -1, "adverse_events": -1, "dropout": -1, "responders": 1}
    assert {outcome: benefit_sign(outcome) for outcome in signs} == signs
