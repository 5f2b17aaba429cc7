"""Shares of responders from means and SDs, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from backpain_analysis.effects.responders import (
    NO_SHARE,
    Response,
    arm_shares,
    responder_effects,
    share_below,
)
from backpain_analysis.words import benefit_sign
from tests.effects.conftest import arm, result

ARMS = [arm("a1", "yoga"), arm("a2", comparator_type="waitlist")]
CHANGE = {"value_type": "change_from_baseline"}
PAIN = "pain_intensity"


def baseline(arm_id, mean, sd, n):
    return result(arm_id, mean, sd, n, week=0, label="baseline")


def test_share_by_hand():
    """With z = (-15 - -20)/20 = 0.25: Phi = 0.5987; SE 0.38667 sqrt(1/50 + 0.0625/98)."""
    share, se = share_below(-20, 20, 50, -15)
    assert_allclose([share, se], [0.598706, 0.055548], atol=1e-6)


def test_standard_error_is_that_of_simulated_samples():
    rng = np.random.default_rng(5)
    samples = rng.normal(-10, 20, size=(20_000, 40))
    shares = share_below(samples.mean(axis=1), samples.std(axis=1, ddof=1), 40, -15)[0]
    assert_allclose(shares.std(), share_below(-10, 20, 40, -15)[1], rtol=0.03)


def test_reported_changes_in_points(build):
    """Changes of -20 (SD 20, n 50) and -5 (SD 20, n 50); 15 points: Phi(0.25) and Phi(-0.5)."""
    rows = [result("a1", -2.0, 2.0, 50, **CHANGE), result("a2", -0.5, 2.0, 50, **CHANGE)]
    effects = responder_effects(build(ARMS, rows), PAIN, mcid=15)
    row = effects.table.iloc[0]
    assert_allclose([row["share"], row["ref_share"]], stats.norm.cdf([0.25, -0.5]))
    assert_allclose(row["yi"], stats.norm.cdf(0.25) - stats.norm.cdf(-0.5))
    spread = stats.norm.pdf([0.25, -0.5]) ** 2 * (1 / 50 + np.array([0.25, 0.5]) ** 2 / 98)
    assert_allclose(row["vi"], spread.sum())
    assert effects.measure == "RD"


@pytest.mark.parametrize(
    ("outcome", "higher", "sign"), [(PAIN, "no", -1), ("quality_of_life", "yes", 1)]
)
def test_more_responders_are_a_benefit_whatever_they_respond_in(build, outcome, higher, sign):
    own = {"outcome": outcome, "higher_is_better": higher, **CHANGE}
    rows = [result(name, sign * size, 2.0, 50, **own) for name, size in (("a1", 2.0), ("a2", 0.5))]
    effects = responder_effects(build(ARMS, rows), outcome, mcid=15)
    assert effects.table["yi"].iloc[0] > 0
    assert benefit_sign(effects.outcome) == 1


def test_arms_share_the_variance_of_their_reference(build):
    rows = [result(name, -2.0, 2.0, 50, **CHANGE) for name in ("a1", "a2", "a3")]
    effects = responder_effects(build([*ARMS, arm("a3", "pilates")], rows), PAIN, mcid=15)
    one = share_below(-20, 20, 50, -15)[1] ** 2
    assert_allclose(effects.covariance[0], [[2 * one, one], [one, 2 * one]])
    shares = arm_shares(effects)
    assert list(shares["arm_id"]) == ["a1", "a3", "a2"]
    assert list(shares["is_reference"]) == [False, False, True]


LEVELS = [
    baseline("a1", 6.0, 2.0, 30),
    baseline("a2", 6.0, 2.0, 30),
    result("a1", 4.0, 2.0, 30),
    result("a2", 5.0, 2.0, 30),
]


def test_per_cent_of_baseline_by_hand(build):
    """Final - 0.7 baseline: means -2 and 8, variance 400 + 196 - 280 = 316 (r = 0.5)."""
    row = responder_effects(build(ARMS, LEVELS), PAIN, percent=30).table.iloc[0]
    assert_allclose(
        [row["share"], row["ref_share"]], stats.norm.cdf([2 / np.sqrt(316), -8 / np.sqrt(316)])
    )


def test_final_levels_follow_from_changes_and_baselines(build):
    """SD of change 20, of baseline 20, r = 0.5: that of the final level is 10 + 10 = 20."""
    rows = [*LEVELS[:2], result("a1", -2.0, 2.0, 30, **CHANGE)]
    rows.append(result("a2", -1.0, 2.0, 30, **CHANGE))
    row = responder_effects(build(ARMS, rows), PAIN, percent=30).table.iloc[0]
    assert_allclose(row["share"], stats.norm.cdf(2 / np.sqrt(316)))


def test_final_levels_without_a_baseline_give_no_share(build):
    effects = responder_effects(build(ARMS, LEVELS[2:]), PAIN, mcid=15)
    assert len(effects) == 0
    assert NO_SHARE in set(effects.excluded["reason"])


def test_higher_is_better_turns_the_threshold(build):
    """Quality of life on 0-100: 0-10 scores of 5 to 7 gain 20; 15 points at SD 20: Phi(0.25)."""
    scale = {"outcome": "quality_of_life", "higher_is_better": "yes"}
    rows = [result("a1", 2.0, 2.0, 50, **CHANGE, **scale)]
    rows.append(result("a2", 0.5, 2.0, 50, **CHANGE, **scale))
    row = responder_effects(build(ARMS, rows), "quality_of_life", mcid=15).table.iloc[0]
    assert_allclose([row["share"], row["ref_share"]], stats.norm.cdf([0.25, -0.5]))


def test_response_of_single_scores():
    points, percent = Response(15, None), Response(None, 30)
    assert list(points.is_met([60, 60, 60], [45, 46, 70])) == [True, False, False]
    assert list(percent.is_met([60, 60], [42, 43])) == [True, False]
    assert list(Response(None, 30, False).is_met([50, 50], [65, 64])) == [True, False]
    assert (points.text, percent.text) == ("15 points or more", "30% or more")


@pytest.mark.parametrize("given", [(None, None), (15, 30), (-1, None), (None, 120)])
def test_an_unclear_response_is_refused(given):
    with pytest.raises(ValueError, match="say what a response is"):
        Response(*given)
