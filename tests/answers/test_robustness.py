"""How far a pooled effect rests on single and on small trials."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

import backpain_analysis as bp
from backpain_analysis.answers.robustness import (
    _applies,
    adjusted_estimates,
    pooled_otherwise,
    robustness,
)
from backpain_analysis.models.pairwise.pooling import pool


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
