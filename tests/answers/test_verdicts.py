"""The rules of verdicts."""

from __future__ import annotations

import math

import pytest

from backpain_analysis.answers.verdicts import (
    NOT_SUPPORTED,
    NOT_TESTABLE,
    PARTLY,
    SUPPORTED,
    together,
    verdict_on_benefit,
    verdict_on_difference,
    verdict_on_equivalence,
    verdict_on_wait,
)

BENEFIT = [
    ((-25, -12, -18, 15, "moderate", -1), SUPPORTED),
    ((-25, -12, -18, 15, "very low", -1), PARTLY),
    ((-14, -6, -10, 15, "high", -1), PARTLY),
    ((-14, 1, -7, 15, "high", -1), NOT_SUPPORTED),
    ((2, 9, 5, 15, "high", -1), NOT_SUPPORTED),
    ((0.2, 0.6, 0.4, None, "low", 1), SUPPORTED),
    ((-25, -12, -18, 15, "no evidence", -1), NOT_TESTABLE),
    ((math.nan, math.nan, math.nan, 15, "low", -1), NOT_TESTABLE),
]


@pytest.mark.parametrize(("given", "verdict"), BENEFIT)
def test_benefit(given, verdict):
    found, reason = verdict_on_benefit(*given)
    assert found == verdict and reason


def test_harm_is_called_harm():
    assert "harm" in verdict_on_benefit(2, 9, 5, 15, "high", -1)[1]
    assert verdict_on_difference(2, 9, 5, "high", -1) == (NOT_SUPPORTED, "the second does better")


def test_difference_needs_no_mcid():
    assert verdict_on_difference(-9, -1, -5, "low", -1) == (SUPPORTED, "a clear difference")
    assert verdict_on_difference(-9, 1, -4, "low", -1) == (NOT_SUPPORTED, "no clear difference")


EQUIVALENCE = [
    ((-3, 4, 0.5, 15, "moderate"), SUPPORTED),
    ((-3, 4, 0.5, 15, "very low"), PARTLY),
    ((-30, 5, -2, 15, "low"), PARTLY),
    ((-30, 25, -2, 15, "moderate"), NOT_TESTABLE),
    ((5, 30, 18, 15, "low"), NOT_SUPPORTED),
    ((5, 30, 18, 15, "no evidence"), NOT_TESTABLE),
]


@pytest.mark.parametrize(("given", "verdict"), EQUIVALENCE)
def test_equivalence(given, verdict):
    found, reason = verdict_on_equivalence(*given)
    assert found == verdict and reason


TOGETHER = [
    ([SUPPORTED, SUPPORTED], SUPPORTED),
    ([SUPPORTED, PARTLY], PARTLY),
    ([SUPPORTED, NOT_SUPPORTED], PARTLY),
    ([NOT_SUPPORTED, NOT_SUPPORTED], NOT_SUPPORTED),
    ([NOT_SUPPORTED, NOT_TESTABLE], NOT_SUPPORTED),
    ([SUPPORTED, NOT_TESTABLE], PARTLY),
    ([NOT_TESTABLE, NOT_TESTABLE], NOT_TESTABLE),
]


@pytest.mark.parametrize(("parts", "verdict"), TOGETHER)
def test_parts_together(parts, verdict):
    assert together(parts) == verdict


def test_a_wait_of_any_length_says_nothing():
    assert verdict_on_wait(0.0, math.inf, 20.0, 4.0, "low")[0] == NOT_TESTABLE
    assert verdict_on_wait(0.0, 50.0, 20.0, 4.0, "low")[0] == PARTLY
