"""How far a pooled effect rests on single and on small trials."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import backpain_analysis as bp
from backpain_analysis.answers import robustness as module
from backpain_analysis.answers.robustness import (
    _applies,
    adjusted_estimates,
    pooled_otherwise,
    robustness,
)
from backpain_analysis.models.pairwise.pooling import pool
from tests.made import made


def test_reference_corrections_side_by_side(reference):
    md = reference["effect_sizes"]["MD"]
    table = adjusted_estimates(pool(md["yi"], md["vi"], test="z")).set_index("method")
    filled, selected = reference["trim_and_fill"], reference["selection_3psm"]
    assert_allclose(table.loc["As pooled", "estimate"], reference["pool"]["REML z"]["b"], rtol=1e-6)
    assert_allclose(table.loc["Trim and fill", "estimate"], filled["b"], rtol=1e-6)
    assert_allclose(table.loc["PET-PEESE", "estimate"], reference["peese"]["b"][0], rtol=1e-6)
    assert_allclose(table.loc["Selection model", "estimate"], selected["b"], rtol=1e-4)
    assert table.loc["Trim and fill", "note"] == "2 trials filled in on the right"


def test_sentence_of_the_reference_trials(reference):
    md, expected = reference["effect_sizes"]["MD"], reference["leave_one_out"]["estimate"]
    text = robustness(pool(md["yi"], md["vi"], test="z"))
    low, high = (f"{abs(f(expected)):.1f}" for f in (min, max))
    assert f"between −{low} and −{high}; the interval excludes zero every time." in text
    assert "Egger's test of funnel asymmetry gives P = 0.70." in text


def test_a_fragile_result_names_the_trial_it_rests_on():
    text = robustness(pool([-20.0, -3.0, -3.2, -2.8], [1.0, 1.1, 1.2, 1.3], test="z"))
    assert "the interval would exclude zero without study 1." in text
    few = robustness(pool([-3.0, -2.9, -3.1, -3.0], [1.0, 1.1, 1.2, 1.3], test="z"))
    assert "with fewer than 10 trials it says little." in few


def test_too_few_trials_and_corrections_without_footing():
    assert robustness(pool([1.0, 2.0], [1.0, 1.0])).startswith("Too few trials")
    equal = pool([-3.0, -2.0, -4.0], [1.0, 1.0, 1.0])
    table = adjusted_estimates(equal).set_index("method")
    assert np.isnan(table.loc["PET-PEESE", "estimate"])
    assert "same standard error" in table.loc["PET-PEESE", "note"]
    assert "Funnel asymmetry cannot be tested: all studies have the same" in robustness(equal)


STABLE = [
    ([-20.0, -21.0, -19.0, -20.5], "the interval excludes zero every time."),
    ([20.0, 21.0, 19.0, 20.5], "the interval excludes zero every time."),
    ([0.1, -0.2, 0.1, 0.0], "the interval includes zero every time."),
    ([-9.0, 0.2, -0.1, 0.05], "the interval would include zero without study 1."),
]


@pytest.mark.parametrize(("yi", "words"), STABLE)
def test_whether_it_rests_on_one_trial(yi, words):
    result = pool(yi, [1.0, 1.1, 1.2, 1.3], method="CE", test="z")
    text = robustness(result)
    assert words in text
    assert text.startswith("Leaving out one trial at a time moves the estimate between ")


def test_smds_have_two_digits_and_influence_is_named():
    """Without 0.4: (50 + 54.5 + 38.5) / 267.8 = 0.53; without 0.6: 0.47."""
    text = robustness(pool([0.5, 0.6, 0.4, 0.5], [0.01, 0.011, 0.012, 0.013], test="z"), "SMD")
    assert "between 0.47 and 0.53; " in text
    assert "Influential by the usual rules: none." in text


def test_both_sides_of_the_null_are_corrected_alike(reference):
    """The selection model asks on the side of the effect: turned round, it finds the opposite."""
    md = reference["effect_sizes"]["MD"]
    yi, vi = np.array(md["yi"]) / 100, np.array(md["vi"]) / 100**2
    one = adjusted_estimates(pool(yi, vi, test="z")).set_index("method")
    other = adjusted_estimates(pool(-yi, vi, test="z")).set_index("method")
    assert_allclose(other["estimate"], -one["estimate"], rtol=1e-4)
    assert other.loc["Trim and fill", "note"] == "2 trials filled in on the left"


APPLIES = [
    ("scale", "MD", True),
    ("scale", "SMD", False),
    ("scale", "HR", False),
    ("pooled_sd", "MD", True),
    ("pooled_sd", "SMD", False),
    ("percentage", "MD", False),
    ("percentage", "SMD", False),
    ("percentage", "HR", True),
    ("another", "SMD", True),
]


@pytest.mark.parametrize(("name", "measure", "expected"), APPLIES)
def test_which_derivations_matter(name, measure, expected):
    assert _applies(name, measure) is expected


def test_other_choices_that_leave_no_trial_are_left_out():
    """Levels at the end of the programme alone: no change from baseline can be told."""
    truth = bp.TrialTruth(trials=3, reported={"levels": 1.0}, inactive_share=1.0)
    evidence = bp.simulate_trials(truth, seed=1)
    keep = evidence.outcomes["timepoint_label"] != "baseline"
    bare = bp.Evidence.from_frames(
        trials=evidence.trials, arms=evidence.arms, outcomes=evidence.outcomes[keep]
    )
    found = pooled_otherwise(bare, "pain_intensity")
    assert list(found) == [
        "Without trials flagged for caution",
        "Final values first",
        "Common effect",
    ]
    single = bare.effects("pain_intensity", analysis="final").against_inactive().one_per_trial()
    common = bp.pool(single, method="CE", test="z")
    assert found["Common effect"].estimate == common.estimate
    assert found["Common effect"].ci_low == common.ci_low


def left(*rows):
    columns = ["label", "ci_low", "ci_high"]
    return pd.DataFrame(rows, columns=columns)


RESTS = [
    (
        (-3.0, -0.1),
        [("a", -3.0, -0.1), ("b", -2.0, 0.0)],
        "the interval would include zero without b.",
    ),
    (
        (-3.0, -0.1),
        [("a", -3.0, -0.1), ("b", -2.0, -0.2)],
        "the interval excludes zero every time.",
    ),
    ((0.1, 3.0), [("a", 0.1, 3.0), ("b", 0.0, 2.0)], "the interval would include zero without b."),
    (
        (-3.0, 0.0),
        [("a", -3.0, -0.1), ("b", 0.5, 2.0)],
        "the interval would exclude zero without a, b.",
    ),
    ((0.0, 3.0), [("a", 0.0, 3.0), ("b", -3.0, 0.0)], "the interval includes zero every time."),
    ((-0.9, -0.1), [("a", -0.9, -0.1)], "the interval excludes zero every time."),
    ((0.1, 0.9), [("a", 0.1, 0.9)], "the interval excludes zero every time."),
]


@pytest.mark.parametrize(("limits", "rows", "words"), RESTS)
def test_what_the_interval_would_do_without_a_trial(limits, rows, words):
    result = SimpleNamespace(ci_low=limits[0], ci_high=limits[1])
    assert module._stability(result, left(*rows)) == words


@pytest.mark.parametrize(
    ("trials", "begins"), [(2, "Too few trials"), (3, "Leaving out one trial at a time")]
)
def test_three_trials_are_enough_to_leave_one_out(trials, begins):
    result = pool([-3.0, -2.0, -4.0][:trials], [1.0, 2.0, 3.0][:trials])
    assert robustness(result).startswith(begins)


@pytest.mark.parametrize(("trials", "little"), [(9, True), (10, False)])
def test_tests_of_asymmetry_say_little_of_fewer_than_ten(trials, little):
    result = pool(np.linspace(-3, -1, trials), np.linspace(1, 2, trials))
    assert ("with fewer than 10 trials it says little" in robustness(result)) is little


def test_an_influential_trial_is_named():
    result = pool([-20.0, -3.0, -3.2, -2.8, -3.1], [1.0, 1.1, 1.2, 1.3, 1.2], labels=list("abcde"))
    assert "Influential by the usual rules: a." in robustness(result)


@pytest.mark.parametrize(
    ("k0", "noun", "estimate", "asked"),
    [
        (1, "1 trial filled in on the left", -0.5, "less"),
        (0, "0 trials filled in on the left", 0.0, "greater"),
    ],
)
def test_notes_of_corrections(k0, noun, estimate, asked, monkeypatch):
    row = SimpleNamespace(estimate=-1.0, ci_low=-2.0, ci_high=0.5)
    filled = SimpleNamespace(k0=k0, side="left", filled=row)
    monkeypatch.setattr(module, "trim_and_fill", lambda result: filled)
    monkeypatch.setattr(
        module, "pet_peese", lambda result: SimpleNamespace(chosen="PET", **vars(row))
    )
    sides = []

    def selected(result, alternative):
        sides.append(alternative)
        return SimpleNamespace(lrt_p=0.03, **vars(row))

    monkeypatch.setattr(module, "selection_model", selected)
    result = made("PoolResult", **vars(row) | {"estimate": estimate})
    table = adjusted_estimates(result)
    assert sides == [asked]
    assert table["note"].tolist() == [
        "",
        noun,
        "PET was chosen",
        "likelihood-ratio test against no selection P = 0.030",
    ]
    assert table["estimate"].tolist() == [estimate, -1.0, -1.0, -1.0]


@pytest.mark.parametrize(("measure", "without"), [("MD", True), ("SMD", True), ("HR", True)])
def test_ways_to_use_what_is_printed(measure, without):
    steps = module.derivation_steps(measure)
    names = list(steps)
    assert names[0] == "as printed" and steps["as printed"] == ()
    assert names[-1] == "all of these" and "usual" in names
    every = set(steps["all of these"])
    left_out = every & set(module.SENSITIVITY_ONLY)
    assert ("all but other trials' SDs" in names) is bool(left_out)
    if left_out:
        assert set(steps["all but other trials' SDs"]) == every - left_out
