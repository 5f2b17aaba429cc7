"""The rules of verdicts, as truth tables: inputs to exact words."""

from __future__ import annotations

from math import inf, nan

import pytest

from backpain_analysis.answers.verdicts import (
    ONE_SIDED,
    VERDICTS,
    verdict_on_benefit,
    verdict_on_difference,
    verdict_on_equivalence,
    verdict_on_guideline,
    verdict_on_moderator,
    verdict_on_wait,
)


def test_the_list_is_closed():
    assert VERDICTS == (
        "supported",
        "supported, size uncertain or small",
        "inconclusive",
        "no worthwhile effect",
        "evidence against",
        "not tested in these trials",
    )
    assert ONE_SIDED == 0.025


SIZE = "supported, size uncertain or small"

# low, high, estimate, MCID with a benefit below zero
BENEFIT = [
    ((-25, -16, -20, 15), "supported", "an effect of at least the MCID"),
    ((-25, -15, -20, 15), "supported", "an effect of at least the MCID"),
    (
        (-25, -14.9, -20, 15),
        SIZE,
        "an effect, on average larger than the MCID, which the interval includes",
    ),
    (
        (-25, -1, -15, 15),
        SIZE,
        "an effect, on average larger than the MCID, which the interval includes",
    ),
    (
        (-25, -1, -14.9, 15),
        SIZE,
        "an effect, on average smaller than the MCID, which the interval includes",
    ),
    (
        (-15, -1, -8, 15),
        SIZE,
        "an effect, on average smaller than the MCID, which the interval includes",
    ),
    ((-14.9, -1, -8, 15), "no worthwhile effect", "an effect, but smaller than the MCID"),
    ((-14.9, 0, -7, 15), "no worthwhile effect", "an effect as large as the MCID is ruled out"),
    ((-14.9, 14.9, 0, 15), "no worthwhile effect", "an effect as large as the MCID is ruled out"),
    ((-15, 0, -7, 15), "inconclusive", "the interval includes both no effect and one that matters"),
    ((-30, 9, -7, 15), "inconclusive", "the interval includes both no effect and one that matters"),
    ((-9, 15, 3, 15), "inconclusive", "an effect that matters is ruled out, its opposite is not"),
    ((0, 20, 9, 15), "inconclusive", "an effect that matters is ruled out, its opposite is not"),
    ((0.1, 9, 5, 15), "evidence against", "the interval lies on the side of harm"),
    ((20, 30, 25, 15), "evidence against", "the interval lies on the side of harm"),
    ((-25, -12, -18, None), SIZE, "an effect, but which size matters is not known"),
    ((-25, 0, -18, None), "inconclusive", "the interval includes no effect"),
    ((1, 2, 1.5, None), "evidence against", "the interval lies on the side of harm"),
    ((nan, -12, -18, 15), "not tested in these trials", "no usable result"),
    ((-25, nan, -18, 15), "not tested in these trials", "no usable result"),
    ((-25, -12, nan, 15), "not tested in these trials", "no usable result"),
    ((-inf, -12, -18, 15), "not tested in these trials", "no usable result"),
    ((-0.5, 20, 9, 15), "inconclusive", "an effect that matters is ruled out, its opposite is not"),
    ((0.5, 20, 9, 15), "evidence against", "the interval lies on the side of harm"),
    ((-14.9, -0.5, -8, 15), "no worthwhile effect", "an effect, but smaller than the MCID"),
    ((-25, -0.5, -18, None), SIZE, "an effect, but which size matters is not known"),
    ((-9, 14.9, 3, 15), "no worthwhile effect", "an effect as large as the MCID is ruled out"),
]


@pytest.mark.parametrize(("given", "verdict", "reason"), BENEFIT)
def test_benefit_either_side(given, verdict, reason):
    low, high, estimate, mcid = given
    assert verdict_on_benefit(low, high, estimate, mcid, -1) == (verdict, reason)
    assert verdict_on_benefit(-high, -low, -estimate, mcid, 1) == (verdict, reason)


DIFFERENCE = [
    ((-25, -16, -20, 15), "supported", "a difference of at least the MCID"),
    ((-14, -1, -8, 15), "no worthwhile effect", "a difference, but smaller than the MCID"),
    (
        (-16, -1, -8, 15),
        SIZE,
        "a difference, on average smaller than the MCID, which the interval includes",
    ),
    ((-14, 3, -5, 15), "no worthwhile effect", "a difference as large as the MCID is ruled out"),
    ((-14, 3, -5, None), "inconclusive", "the interval includes no difference"),
    (
        (-20, 3, -5, 15),
        "inconclusive",
        "the interval includes both no difference and one that matters",
    ),
    (
        (-9, 20, 5, 15),
        "inconclusive",
        "a difference that matters is ruled out, its opposite is not",
    ),
    ((-9, -1, -5, None), SIZE, "a difference, but which size matters is not known"),
    ((2, 9, 5, 15), "evidence against", "the second does better"),
]


@pytest.mark.parametrize(("given", "verdict", "reason"), DIFFERENCE)
def test_difference_either_side(given, verdict, reason):
    low, high, estimate, mcid = given
    assert verdict_on_difference(low, high, estimate, mcid, -1) == (verdict, reason)
    assert verdict_on_difference(-high, -low, -estimate, mcid, 1) == (verdict, reason)


UNSURE = "a difference, but whether it reaches the MCID is uncertain"
OPEN = "no difference shown, but one that matters is not ruled out"

EQUIVALENCE = [
    ((-3, 4, 15), "supported", "any difference is smaller than the MCID"),
    ((1, 14.9, 15), "supported", "any difference is smaller than the MCID"),
    ((1, 15, 15), "inconclusive", UNSURE),
    ((15, 30, 15), "evidence against", "a difference of at least the MCID"),
    ((14.9, 30, 15), "inconclusive", UNSURE),
    ((-5, 30, 15), "inconclusive", OPEN),
    ((0, 30, 15), "inconclusive", OPEN),
    ((-15, 15, 15), "inconclusive", "differences that matter are in the interval both ways"),
    ((-14.9, 15, 15), "inconclusive", OPEN),
    ((-3, 4, None), "inconclusive", "which difference matters is not known"),
    ((nan, 4, 15), "not tested in these trials", "no usable result"),
    ((-3, inf, 15), "not tested in these trials", "no usable result"),
    ((0.01, 20, 15), "inconclusive", UNSURE),
    ((-16, 16, 15), "inconclusive", "differences that matter are in the interval both ways"),
]


@pytest.mark.parametrize(("given", "verdict", "reason"), EQUIVALENCE)
def test_equivalence_either_way_round(given, verdict, reason):
    low, high, margin = given
    assert verdict_on_equivalence(low, high, margin) == (verdict, reason)
    assert verdict_on_equivalence(-high, -low, margin) == (verdict, reason)


TAKEN_ALONE = "a difference taken alone, none after adjustment for 12"
THE_OTHER_WAY = "a difference the other way, also after adjustment for 12"

# low, high, estimate, adjusted P, benefit
MODERATOR = [
    ((-9, -1, -5, 0.049, -1), SIZE, "a difference, also after adjustment for 12"),
    ((-9, -1, -5, 0.049, None), SIZE, "a difference, also after adjustment for 12"),
    (
        (-9, -1, -5, 0.049, 1),
        "evidence against",
        "a difference the other way, also after adjustment for 12",
    ),
    (
        (-9, -1, -5, 0.05, -1),
        "inconclusive",
        "a difference taken alone, none after adjustment for 12",
    ),
    ((-9, 0, -5, 0.3, -1), "inconclusive", "the interval includes no difference"),
    ((-9, 2, -5, 1.0, None), "inconclusive", "the interval includes no difference"),
    ((-9, 2, nan, 1.0, None), "not tested in these trials", "no usable result"),
    ((-9, 2, -5, nan, None), "not tested in these trials", "no usable result"),
    ((-9, -0.01, -5, 0.06, -1), "inconclusive", TAKEN_ALONE),
    ((-0.9, -0.1, -0.5, 0.01, -1), SIZE, "a difference, also after adjustment for 12"),
    ((-0.9, -0.1, -0.5, 0.01, 1), "evidence against", THE_OTHER_WAY),
    ((-0.9, 0.9, 0, 0.01, -1), SIZE, "a difference, also after adjustment for 12"),
]


@pytest.mark.parametrize(("given", "verdict", "reason"), MODERATOR)
def test_moderators_by_the_adjusted_p_value(given, verdict, reason):
    low, high, estimate, p, benefit = given
    assert verdict_on_moderator(low, high, estimate, p, 12, benefit) == (verdict, reason)
    turned = None if benefit is None else -benefit
    assert verdict_on_moderator(-high, -low, -estimate, p, 12, turned) == (verdict, reason)


WAIT = [
    ((4.1, 20, 9, 4), "supported", "it takes more than 4 weeks"),
    ((4.1, inf, 9, 4), "supported", "it takes more than 4 weeks"),
    ((4, 20, 9, 4), "inconclusive", "4 weeks are in the interval"),
    ((0, 4, 2, 4), "evidence against", "most of it is there within 4 weeks"),
    ((0, 4.1, 2, 4), "inconclusive", "4 weeks are in the interval"),
    ((0, inf, 20, 4), "inconclusive", "any time is in the interval"),
    ((1, inf, 20, 4), "inconclusive", "4 weeks are in the interval"),
    ((0.5, inf, 20, 4), "inconclusive", "4 weeks are in the interval"),
    ((0, 20, 9, 4), "inconclusive", "4 weeks are in the interval"),
    ((-1, inf, 20, 4), "inconclusive", "any time is in the interval"),
    ((0, inf, nan, 4), "not tested in these trials", "the data do not say when"),
    ((0, inf, inf, 4), "not tested in these trials", "the data do not say when"),
]


@pytest.mark.parametrize(("given", "verdict", "reason"), WAIT)
def test_wait(given, verdict, reason):
    assert verdict_on_wait(*given) == (verdict, reason)


GUIDELINE = [
    ((0, 0), "not tested in these trials", "no guideline on file names such a dose"),
    ((2, 2), "supported", "2 of 2 guidelines on file say so"),
    ((1, 1), "supported", "1 of 1 guidelines on file say so"),
    ((1, 0), "evidence against", "none of 1 guidelines on file says so"),
    ((3, 1), "inconclusive", "1 of 3 guidelines on file say so"),
    ((3, 0), "evidence against", "none of 3 guidelines on file says so"),
]


@pytest.mark.parametrize(("given", "verdict", "reason"), GUIDELINE)
def test_guidelines(given, verdict, reason):
    assert verdict_on_guideline(*given) == (verdict, reason)
