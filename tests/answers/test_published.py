"""Published answers: their order, their words, and whether they agree."""

from __future__ import annotations

import math
from functools import cache

import pandas as pd
import pytest

from backpain_analysis.answers import published
from backpain_analysis.answers.certainty import Body, Certainty
from backpain_analysis.answers.claim_parts import Part
from backpain_analysis.answers.published import agreement, estimate_text, published_answers
from backpain_analysis.datasets.bundled import load_reference

SUPPORTED, UNSURE, AGAINST = "supported", "inconclusive", "evidence against"


def answers(*rows):
    """Rows of direction, design, and then measure, outcome, low, high where given."""
    made = []
    for number, (direction, design, *rest) in enumerate(rows):
        measure, outcome, low, high = rest or ("other", "pain", math.nan, math.nan)
        made.append(
            {"direction_for_claim": direction, "design": design, "review_id": f"Review {number}"}
            | {"measure": measure, "outcome": outcome, "ci_low": low, "ci_high": high}
        )
    columns = ["direction_for_claim", "design", "review_id", "measure", "outcome"]
    return pd.DataFrame(made, columns=[*columns, "ci_low", "ci_high"])


def part(verdict, low=-20.0, high=-10.0, unit="points of 100"):
    body = Body((low + high) / 2, low, high, n_trials=3, n_participants=500)
    return Part("exercise against no exercise, pain", body, unit, Certainty("low"), verdict, "")


FOR, CONTRARY, NONE = (
    ("supports", "systematic review"),
    ("against", "network"),
    ("no clear difference", "IPD"),
)
TRIAL = ("against", "trial")

AGREEMENT = [
    (SUPPORTED, [], "No published answer is on file."),
    (SUPPORTED, [("indirect", "network")], "No published answer on file is direct."),
    (
        SUPPORTED,
        [FOR],
        "In line with published answers: 1 of 1 published synthesis supports the claim.",
    ),
    (
        "supported, size uncertain or small",
        [FOR, FOR, NONE],
        "In line with published answers: 2 of 3 published syntheses support the claim.",
    ),
    (
        SUPPORTED,
        [FOR, CONTRARY],
        "Published answers are divided: 2 published syntheses disagree with each other.",
    ),
    (
        SUPPORTED,
        [FOR, TRIAL, TRIAL],
        "In line with published answers: 1 of 1 published synthesis supports the claim.",
    ),
    (
        SUPPORTED,
        [TRIAL],
        "At odds with published answers: 1 of 1 published study speaks against it.",
    ),
    (
        AGAINST,
        [CONTRARY, CONTRARY],
        "In line with published answers: 2 of 2 published syntheses speak against it.",
    ),
    (
        "no worthwhile effect",
        [NONE],
        "In line with published answers: 1 of 1 published synthesis found no clear difference.",
    ),
    (
        "no worthwhile effect",
        [FOR],
        "At odds with published answers: 1 of 1 published synthesis supports the claim.",
    ),
    (UNSURE, [FOR], "These trials cannot say; 1 of 1 published synthesis supports the claim."),
    (
        "not tested in these trials",
        [TRIAL, TRIAL],
        "These trials cannot say; 2 of 2 published studies speak against it.",
    ),
]


@pytest.mark.parametrize(("verdict", "given", "words"), AGREEMENT)
def test_agreement(verdict, given, words):
    assert agreement(part(verdict), answers(*given)) == words


SIZES = [
    (("MD0_100", "pain", -18.0, -5.0), "points of 100", "its size is in line with that"),
    (("MD0_100", "pain", 5.0, 18.0), "points of 100", "its size is in line with that"),
    (("MD0_100", "pain", -9.9, -5.0), "points of 100", "ours is larger than that"),
    (("MD0_100", "pain", -30.0, -20.1), "points of 100", "ours is smaller than that"),
    (("MD0_100", "disability", -30.0, -20.1), "points of 100", None),
    (("SMD", "pain", -30.0, -20.1), "points of 100", None),
    (("MD0_100", "pain", -30.0, -20.1), "kPa", None),
]


@pytest.mark.parametrize(("row", "unit", "words"), SIZES)
def test_sizes_are_compared_in_one_unit_and_outcome(row, unit, words):
    text = agreement(part(SUPPORTED, unit=unit), answers((*FOR, *row)))
    start = "In line with published answers: 1 of 1 published synthesis supports the claim"
    assert text == (f"{start}; {words} of Review 0." if words else f"{start}.")


def test_ratios_are_compared_as_logarithms():
    """0.5 to 0.8 here; 0.82 to 0.95 there is a smaller benefit, 0.2 to 0.4 a larger one."""
    ours = part(SUPPORTED, math.log(0.5), math.log(0.8), "hazard ratio")
    weaker = answers((*FOR, "HR", "pain", 0.82, 0.95))
    assert "ours is larger" in agreement(ours, weaker)
    assert "ours is smaller" in agreement(ours, answers((*FOR, "HR", "pain", 0.2, 0.4)))


def test_published_answers_are_to_the_claim_the_direct_syntheses_first():
    for claim in load_reference("published_claims")["claim_id"].unique():
        found = published_answers(claim)
        assert len(found) and set(found["claim_id"]) == {claim}
        indirect = (found["direction_for_claim"] == "indirect").tolist()
        assert indirect == sorted(indirect)
    recurrence = published_answers("C13")
    assert recurrence["design"].iloc[0] != "trial"
    assert published_answers("C99").empty


TEXTS = [
    (("SMD", -0.23, -0.35, -0.1), "−0.23 [−0.35 to −0.10] SD"),
    (("MD0_100", -15.3, -25.33, -5.27), "−15.3 [−25.3 to −5.3] points of 100"),
    (("HR", 0.72, 0.6, 0.85), "HR 0.72 [0.60 to 0.85]"),
    (("other", 56.35, math.nan, math.nan), "56.35"),
    (("SMD", math.nan, math.nan, math.nan), ""),
]


@pytest.mark.parametrize(("row", "text"), TEXTS)
def test_estimates_as_printed(row, text):
    names = ("measure", "estimate", "ci_low", "ci_high")
    assert estimate_text(dict(zip(names, row, strict=True))) == text


def test_an_answer_of_unknown_size_stands_last_among_its_like(monkeypatch):
    table = pd.DataFrame({"review_id": ["unknown", "one", "many"], "n_studies": [math.nan, 1, 9]})
    table = table.assign(claim_id="C01", certainty_as_reported=None, ci_low=-1.0)
    table = table.assign(direction_for_claim="supports", design="systematic review")
    monkeypatch.setattr(published, "load_reference", lambda name: table)
    monkeypatch.setattr(
        published, "_strongest_first", cache(published._strongest_first.__wrapped__)
    )
    assert list(published_answers("C01")["review_id"]) == ["many", "one", "unknown"]


@pytest.mark.parametrize("limits", [(0.1, 0.4), (-0.4, -0.1), (0.4, 0.1)])
def test_limits_are_sizes_whatever_sign_a_source_gives_a_benefit(limits):
    assert published._magnitudes(list(limits)) == [0.1, 0.4]


MANY = [
    (
        [("supports", "trial"), ("supports", "trial"), ("against", "trial")],
        "In line with published answers: 2 of 3 published studies support the claim.",
    ),
    (
        [("supports", "IPD")] * 3 + [("indirect", "network")] * 9,
        "In line with published answers: 3 of 3 published syntheses support the claim.",
    ),
    (
        [FOR, FOR, CONTRARY, CONTRARY],
        "Published answers are divided: 4 published syntheses disagree with each other.",
    ),
    (
        [("against", "trial"), ("supports", "trial")],
        "Published answers are divided: 2 published studies disagree with each other.",
    ),
    (
        [NONE],
        "At odds with published answers: 1 of 1 published synthesis found no clear difference.",
    ),
]


@pytest.mark.parametrize(("given", "words"), MANY)
def test_the_voice_of_more_than_half(given, words):
    assert agreement(part(SUPPORTED), answers(*given)) == words


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (("MD0_100", "pain", -10.0, -5.0), "its size is in line with that"),
        (("MD0_100", "pain", -30.0, -20.0), "its size is in line with that"),
        (("MD0_100", "pain and more", -30.0, -21.0), "ours is smaller than that"),
        (("MD0_100", "pain", math.nan, -5.0), None),
        (("RR", "pain", 0.5, 0.8), None),
    ],
)
def test_the_borders_of_sizes(row, words):
    text = agreement(part(SUPPORTED), answers((*FOR, *row)))
    assert text.endswith(f"; {words} of Review 0." if words else "supports the claim.")
    nobody = Part("x, pain", None, "", Certainty("low"), SUPPORTED, "")
    assert agreement(nobody, answers((*FOR, *row))).endswith("supports the claim.")


def test_the_first_of_the_same_unit_is_compared():
    rows = answers(
        (*FOR, "SMD", "pain", -3.0, -2.0),
        (*FOR, "MD0_100", "pain", -9.0, -5.0),
        (*FOR, "MD0_100", "pain", -60.0, -50.0),
    )
    assert agreement(part(SUPPORTED), rows).endswith("; ours is larger than that of Review 1.")
    sd = part(SUPPORTED, -1.0, -0.5, "SD")
    assert agreement(sd, rows).endswith("; ours is smaller than that of Review 0.")


@pytest.mark.parametrize(
    ("limits", "sizes"),
    [([-0.1, 0.1], [-0.1, 0.1]), ([-0.3, 0.9], [-0.3, 0.9]), ([-0.9, 0.3], [-0.3, 0.9])],
)
def test_limits_on_both_sides_of_zero(limits, sizes):
    assert published._magnitudes(limits) == sizes


def test_the_strongest_answers_come_first(monkeypatch):
    """By directness, design, certainty, whether an interval is printed, and number of studies."""
    columns = ["review_id", "direction_for_claim", "design", "certainty_as_reported", "ci_low"]
    plain = ("supports", "network", "Low", -1.0, 5)
    rows = [
        ("indirect", "indirect", "network", "high", -1.0, 99),
        ("single", "supports", "trial", "high", -1.0, 99),
        ("ungraded", *plain[:2], None, -1.0, 99),
        ("very low", *plain[:2], "very low", -1.0, 99),
        ("bare", *plain[:3], math.nan, 99),
        ("few", *plain),
        ("many", *plain[:4], 6),
        ("moderate", *plain[:2], "Moderate", -1.0, 1),
        ("high", *plain[:2], "HIGH", -1.0, 1),
    ]
    table = pd.DataFrame(rows, columns=[*columns, "n_studies"]).assign(claim_id="C01")
    monkeypatch.setattr(published, "load_reference", lambda name: table)
    monkeypatch.setattr(
        published, "_strongest_first", cache(published._strongest_first.__wrapped__)
    )
    expected = ["high", "moderate", "many", "few", "bare", "very low", "ungraded", "single"]
    assert published_answers("C01")["review_id"].tolist() == [*expected, "indirect"]


def test_an_estimate_without_an_interval_has_its_unit():
    row = {"measure": "SMD", "estimate": -0.234, "ci_low": math.nan, "ci_high": math.nan}
    assert estimate_text(row) == "−0.23 SD"
    assert estimate_text(row | {"measure": "MD0_100"}) == "−0.2 points of 100"
    assert estimate_text(row | {"measure": "RR"}) == "RR −0.23"
