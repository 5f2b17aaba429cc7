"""CINeMA's questions as truth tables, and shares of trials against closed forms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import backpain_analysis as bp
from backpain_analysis.answers import network_certainty as certainty
from backpain_analysis.effects.assemble import effects_if_measured
from tests.answers.test_network import made

GOOD, POOR, UNKNOWN = True, False, None


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ({"a": 0.51, "b": 0.49}, "none"),
        ({"a": 0.50, "b": 0.50}, "some"),
        ({"a": 0.49, "b": 0.51}, "major"),
        ({"c": 1.0}, "some"),
        ({"b": 0.50, "c": 0.50}, "some"),
        ({"x": 1.0}, "some"),
    ],
)
def test_within_study_bias(shares, expected):
    found = certainty.within_study_bias(shares, {"a": GOOD, "b": POOR, "c": UNKNOWN})
    assert found[0] == expected


@pytest.mark.parametrize(("p", "expected"), [(0.09, "some"), (0.10, "none"), (np.nan, "none")])
def test_reporting_bias(p, expected):
    assert certainty.reporting_bias(p)[0] == expected


@pytest.mark.parametrize(("share", "expected"), [(0.25, "none"), (0.26, "some"), (0.51, "major")])
def test_indirectness(share, expected):
    assert certainty.indirectness({"a": share, "b": 1 - share}, {"a": True})[0] == expected


INTERVALS = [
    # low, high, estimate, mcid, people, expected
    (-20, -1, -10, 10, 500, "none"),
    (1, 20, 10, 10, 500, "none"),
    (-20, -1, -10, 10, 399, "some"),
    (-20, 9, -6, 10, 500, "some"),
    (-20, 10, -6, 10, 500, "major"),
    (-9, 20, 6, 10, 500, "some"),
    (-10, 20, 6, 10, 500, "major"),
    (-20, 90, 6, None, 500, "some"),
]


@pytest.mark.parametrize(("low", "high", "estimate", "mcid", "people", "expected"), INTERVALS)
def test_imprecision(low, high, estimate, mcid, people, expected):
    assert certainty.imprecision(low, high, estimate, mcid, people)[0] == expected


@pytest.mark.parametrize(
    ("pi", "trials", "expected"),
    [
        ((-30, -1), 3, "none"),
        ((-30, 5), 3, "some"),
        ((-30, 10), 3, "major"),
        ((np.nan, np.nan), 3, "none"),
        ((-30, -1), 1, "some"),
    ],
)
def test_heterogeneity(pi, trials, expected):
    row = pd.Series(
        {"estimate": -10, "ci_low": -20, "ci_high": -5, "pi_low": pi[0], "pi_high": pi[1]}
    )
    assert certainty.heterogeneity(row, 10, trials)[0] == expected


@pytest.mark.parametrize(
    ("split", "designs", "direct", "share", "expected"),
    [
        (0.009, 0.9, True, 0.5, "major"),
        (0.05, 0.9, True, 0.5, "some"),
        (0.10, 0.001, True, 0.5, "none"),
        (np.nan, np.nan, True, 1.0, "none"),
        (np.nan, np.nan, False, 0.0, "some"),
        (np.nan, 0.5, False, 0.0, "none"),
        (np.nan, 0.05, False, 0.0, "some"),
        (np.nan, 0.005, False, 0.0, "major"),
    ],
)
def test_incoherence(split, designs, direct, share, expected):
    assert certainty.incoherence(split, designs, direct, share)[0] == expected


@pytest.mark.parametrize(
    ("concerns", "expected"),
    [
        ({}, "high"),
        ({"within-study bias": "some"}, "moderate"),
        ({"within-study bias": "major"}, "low"),
        ({"imprecision": "some", "heterogeneity": "some"}, "low"),
        ({"imprecision": "major", "heterogeneity": "major", "incoherence": "major"}, "low"),
        ({"imprecision": "major", "within-study bias": "some"}, "very low"),
        (
            {"indirectness": "major", "reporting bias": "some", "within-study bias": "major"},
            "very low",
        ),
    ],
)
def test_levels(concerns, expected):
    assert certainty.level(concerns) == expected


def test_shares_of_trials():
    """Two trials of b by weight 1 and 1/4; c by one loop: half direct, a quarter each side."""
    result = made(
        ("b", "none", -3, 1), ("b", "none", -3, 2), ("c", "d", -1, 1), ("d", "none", 0, 1)
    )
    shares = certainty.trial_shares(result)
    assert shares[frozenset(("b", "none"))] == pytest.approx({"t0": 0.8, "t1": 0.2})
    assert shares[frozenset(("c", "none"))] == pytest.approx({"t2": 0.5, "t3": 0.5})
    assert all(sum(own.values()) == pytest.approx(1) for own in shares.values())


def test_the_bundled_network_is_judged():
    evidence = bp.load_evidence().filter(population=bp.BACK_PAIN)
    effects = effects_if_measured(evidence, "pain_intensity", head_to_head=True)
    lump = bp.lumping("broad")
    part = bp.connected_part(effects, "inactive", lump=lump)
    result = bp.network(part, reference="inactive", lump=lump)
    found = certainty.network_certainty(result, mcid=15)
    assert len(found.table) == len(result.treatments) - 1
    assert not found.table["level"].isin(["high"]).any()
    arms = result.data.arms["treatment"].value_counts()
    single = {result.treatments[code] for code, size in arms.items() if size == 1}
    lone = found.table[found.table["treatment"].isin(single)]
    assert lone["reasons"].str.contains("one trial has the treatment").all() and len(lone)
    assert certainty.certainty_words(found).startswith("Certainty of the 11 comparisons with")
    table = certainty.transitivity(part, evidence, lump=lump)
    assert all(len(set(pair.split(" : "))) == 2 for pair in table["comparison"])
    ages = evidence.trials.set_index("trial_id")["mean_age"]
    own = table.dropna(subset=["mean_age"])
    assert len(own) and (own["mean_age"].to_numpy() == ages[own["trial_id"]].to_numpy()).all()
    summary = certainty.transitivity_summary(table)
    assert summary["trials"].iloc[0] == summary["trials"].max()
    assert ((summary["mean_age_low"] <= summary["mean_age"]) | summary["mean_age"].isna()).all()


@pytest.mark.parametrize(
    ("share", "expected"), [(0.25, "none"), (0.26, "some"), (0.5, "some"), (0.51, "major")]
)
def test_other_questions_concern_from_more_than_a_quarter_on(share, expected):
    shares = {"a": share, "b": 1 - share}
    assert certainty.indirectness(shares, {"a": True})[0] == expected
