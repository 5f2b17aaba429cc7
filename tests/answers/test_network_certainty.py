"""CINeMA's questions as truth tables, and shares of trials against closed forms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import backpain_analysis as bp
from backpain_analysis.answers import network_certainty as certainty
from backpain_analysis.effects.assemble import effects_if_measured
from tests.answers.test_network import made
from tests.made import made as made_up

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
    (0, 20, 10, 10, 500, "some"),
    (-20, 0, -10, 10, 500, "some"),
    (0.5, 20, 10, 10, 400, "none"),
    (-20, -0.5, -10, 10, 400, "none"),
    (-10, 5, 0.5, 10, 500, "major"),
    (-10, 5, 0, 10, 500, "major"),
    (-5, 10, -0.5, -10, 500, "major"),
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
        ((-30, -1), 2, "none"),
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
        (0.01, 0.9, True, 0.5, "some"),
        (np.nan, 0.01, False, 0.0, "some"),
        (np.nan, 0.10, False, 0.0, "none"),
        (np.nan, np.nan, True, 0.9, "some"),
        (np.nan, 0.05, True, 0.9, "some"),
        (np.nan, np.nan, False, 1.0, "some"),
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


@pytest.mark.parametrize(
    ("interval", "pi", "expected"),
    [
        ((-20, 5), (-30, 9), "none"),
        ((-20, 5), (-30, 10), "some"),
        ((-20, 10), (-30, 20), "none"),
        ((-20, -5), (-30, 9), "some"),
        ((-20, -5), (-30, 10), "major"),
    ],
)
def test_a_prediction_interval_concerns_where_it_says_more(interval, pi, expected):
    limits = {"ci_low": interval[0], "ci_high": interval[1], "pi_low": pi[0], "pi_high": pi[1]}
    row = pd.Series({"estimate": -8} | limits)
    assert certainty.heterogeneity(row, 10)[0] == expected


REASONS = [
    (
        certainty.within_study_bias,
        ({"a": 0.6, "b": 0.4}, {"a": POOR}),
        "60% of the evidence from trials appraised as poor",
    ),
    (
        certainty.within_study_bias,
        ({"a": 0.4, "b": 0.6}, {"a": GOOD}),
        "40% of the evidence from trials appraised as good",
    ),
    (certainty.reporting_bias, (0.031,), "small trials show other effects (P = 0.031)"),
    (
        certainty.indirectness,
        ({"a": 0.3}, {"a": True}),
        "30% of the evidence answers another question",
    ),
    (
        certainty.indirectness,
        ({"a": 0.6}, {"a": True}),
        "60% of the evidence answers another question",
    ),
    (certainty.imprecision, (-9, -1, -5, 10, 399), "399 people had the treatment"),
    (certainty.imprecision, (-9, 1, -5, None), "the interval includes no difference"),
    (certainty.imprecision, (-9, 1, -5, 10), "the interval includes no difference"),
    (
        certainty.imprecision,
        (-9, 11, -5, 10),
        "the interval includes differences that matter both ways",
    ),
    (
        certainty.incoherence,
        (0.004, 1, True, 0.5),
        "direct and indirect evidence disagree (P = 0.004)",
    ),
    (
        certainty.incoherence,
        (0.04, 1, True, 0.5),
        "direct and indirect evidence may disagree (P = 0.040)",
    ),
    (
        certainty.incoherence,
        (np.nan, np.nan, False, 0),
        "indirect evidence alone, and nothing to test it by",
    ),
    (
        certainty.incoherence,
        (np.nan, 0.04, False, 0),
        "indirect evidence alone, in a network whose designs disagree (P = 0.040)",
    ),
]


@pytest.mark.parametrize(("judge", "given", "why"), REASONS)
def test_why_there_are_concerns(judge, given, why):
    assert judge(*given)[1] == why


@pytest.mark.parametrize(
    ("concerns", "expected"),
    [
        ({"within-study bias": "major", "reporting bias": "some"}, "very low"),
        ({"within-study bias": "major", "indirectness": "major"}, "very low"),
        ({"imprecision": "some"}, "moderate"),
        ({"incoherence": "some", "imprecision": "major"}, "low"),
    ],
)
def test_steps_of_different_kinds_add_up(concerns, expected):
    assert certainty.level(concerns) == expected


def judged(*rows):
    """Treatment, level and the domains of concern of each comparison."""
    return certainty.NetworkCertainty(
        pd.DataFrame(
            [
                {"treatment": name, "versus": "none", "level": level}
                | dict.fromkeys(certainty.DOMAINS, "none")
                | dict.fromkeys(domains, "some")
                for name, level, domains in rows
            ]
        )
    )


WORDED = [
    (
        [("yoga", "high", []), ("pilates", "high", [])],
        "Certainty of the 2 comparisons: 2 high.",
    ),
    (
        [("yoga", "low", ["imprecision", "incoherence"]), ("pilates", "moderate", ["incoherence"])],
        "Certainty of the 2 comparisons with no exercise: 1 moderate, 1 low (high or moderate: "
        "pilates). The most frequent concern is incoherence, in 2 of them.",
    ),
    (
        [("yoga", "very low", ["imprecision"]), ("pilates", "low", ["indirectness"])],
        "Certainty of the 2 comparisons with no exercise: 1 low, 1 very low. The most frequent "
        "concern is indirectness, in 1 of them.",
    ),
]


@pytest.mark.parametrize(("rows", "words"), WORDED)
def test_certainty_in_words(rows, words):
    assert certainty.certainty_words(judged(*rows)) == words


def test_every_comparison_is_judged_by_its_own_trials():
    """Yoga by t0 and t1, good, of 800 people in all; pilates by t2 alone, indirect and poor."""
    result = made(("yoga", "none", -9, 1), ("yoga", "none", -9, 1), ("pilates", "none", -9, 1))
    good, other = {"t0": True, "t1": True, "t2": False}, {"t2": True}
    found = certainty.network_certainty(result, mcid=10, good=good, indirect=other)
    table = found.summary().set_index("treatment")
    assert (table["versus"] == "none").all()
    assert table["within-study bias"].to_dict() == {"yoga": "none", "pilates": "major"}
    assert table["indirectness"].to_dict() == {"yoga": "none", "pilates": "major"}
    assert table["heterogeneity"].to_dict() == {"yoga": "none", "pilates": "some"}
    assert (table["incoherence"] == "none").all()
    assert (
        "within-study bias: 100% of the evidence from trials appraised as poor; "
        in (table.loc["pilates", "reasons"])
    )
    assert "within-study bias" not in table.loc["yoga", "reasons"]
    assert table["level"].to_dict()["pilates"] == "very low"
    plain = certainty.network_certainty(result).table.set_index("treatment")
    assert (plain["indirectness"] == "none").all()
    assert (plain["within-study bias"] == "some").all()
    other = certainty.network_certainty(result, reference="yoga").table
    assert set(other["treatment"]) == {"none", "pilates"} and (other["versus"] == "yoga").all()
    assert "Certainty of the network" in repr(found)


def test_baselines_are_read_on_their_own_scales():
    """5 of 0-10 is 50; 30 of 20-60 is 25, higher is better: 75; later results do not count."""
    names = ["trial_id", "outcome", "timepoint_label", "mean", "scale_min", "scale_max"]
    rows = [
        ("a", "pain_intensity", "baseline", 5.0, 0.0, 10.0, "no"),
        ("a", "pain_intensity", "baseline", 7.0, 0.0, 10.0, "no"),
        ("b", "pain_intensity", "baseline", 30.0, 20.0, 60.0, "yes"),
        ("b", "pain_intensity", "post", 60.0, 20.0, 60.0, "yes"),
        ("c", "disability", "baseline", 5.0, 0.0, 10.0, "no"),
    ]
    outcomes = pd.DataFrame(rows, columns=[*names, "higher_is_better"])
    found = certainty.baselines(made_up("Evidence", outcomes=outcomes), "pain_intensity")
    assert found.to_dict() == pytest.approx({"a": 60.0, "b": 75.0})


def test_what_may_modify_effects_trial_by_trial():
    """A dose of none is not known; treatments lumped into one are no comparison."""
    names = ["trial_id", "treatment", "ref_treatment", "timepoint_weeks", "minutes_per_week"]
    rows = [
        ("a", "yoga", "none", 12.0, 90.0, 8.0),
        ("a", "yoga", "none", 12.0, 0.0, 10.0),
        ("b", "none", "pilates", 0.5, 60.0, 0.0),
        ("c", "yoga", "hatha", 9.0, 60.0, 8.0),
    ]
    effects = made_up(
        "Effects",
        table=pd.DataFrame(rows, columns=[*names, "duration_weeks"]),
        outcome="pain_intensity",
    )
    trials = pd.DataFrame({"trial_id": list("abc"), "mean_age": [40.0, 50.0, 60.0]})
    columns = ["trial_id", "outcome", "timepoint_label", "mean", "scale_min", "scale_max"]
    outcomes = pd.DataFrame(columns=[*columns, "higher_is_better"])
    evidence = made_up("Evidence", trials=trials.assign(pct_female=70.0), outcomes=outcomes)
    found = certainty.transitivity(effects, evidence, lump={"hatha": "yoga"})
    assert found["comparison"].tolist() == ["none : pilates", "none : yoga"]
    assert found["mean_age"].tolist() == [50.0, 40.0]
    assert found["minutes_per_week"].tolist() == [60.0, 90.0]
    assert found["timepoint_weeks"].tolist() == [0.5, 12.0]
    assert found["duration_weeks"].isna().tolist() == [True, False]
    assert found["duration_weeks"].iloc[1] == 9.0
