"""Every follow-up of a trial as an effect size, and their covariance over time."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.effects.over_time import effects_over_time
from backpain_analysis.evidence.evidence import load_evidence
from tests.effects.conftest import arm, difference, result

ARMS = [arm("a1", "yoga", duration_weeks=6), arm("a2", comparator_type="waitlist")]
PAIN = "pain_intensity"


def at(week, mean1, mean2, label="followup", **fields):
    """Both arms at one week: SDs 2 and 1.5, 25 and 36 people, so V = 22.25 on 0-100."""
    time = {"week": week, "label": label, **fields}
    return [result("a1", mean1, 2.0, 25, **time), result("a2", mean2, 1.5, 36, **time)]


TWICE = [*at(6, 3.0, 5.0, "post"), *at(18, 3.5, 5.0)]


def test_every_followup_is_a_row_with_its_weeks(build):
    effects = effects_over_time(build(ARMS, [*at(0, 6, 6, "baseline"), *TWICE]), PAIN)
    table = effects.table
    assert_allclose(table["yi"], [-20, -15])
    assert list(table["weeks"]) == [6, 18]
    assert list(table["weeks_after_programme"]) == [0, 12]
    assert (effects.n_trials, effects.n_participants) == (1, 61)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 0.5),
        ({"correlation_over_time": 0.8}, 0.8),
        ({"correlation_over_time": 0.0}, 0.0),
        ({"correlation_over_time": 0.64, "pattern": "decay"}, 0.64),
    ],
)
def test_covariance_of_one_contrast_is_r_times_its_standard_errors(build, options, expected):
    """12 weeks apart, both variances 400/25 + 225/36 = 22.25."""
    evidence = build(ARMS, TWICE)
    effects = effects_over_time(evidence, PAIN, analysis="final", **options)
    (V,) = effects.covariance
    assert_allclose(V, 22.25 * np.array([[1, expected], [expected, 1]]))


def test_correlation_decays_with_the_weeks_between(build):
    """0.64 at 12 weeks is 0.8 at 6 and 0.512 at 18."""
    rows = [*at(6, 3.0, 5.0, "post"), *at(12, 3.2, 5.0), *at(24, 3.5, 5.0)]
    options = {"correlation_over_time": 0.64, "pattern": "decay", "analysis": "final"}
    (V,) = effects_over_time(build(ARMS, rows), PAIN, **options).covariance
    assert_allclose(V[0] / 22.25, [1, 0.8, 0.512])


def test_arms_that_share_a_reference_keep_their_covariance_over_time(build):
    """V is the same at both weeks, so that between them it is V / 2; an arm may miss a week."""
    arms = [*ARMS, arm("a3", "pilates")]
    later = {"week": 18, "label": "followup"}
    rows = [*TWICE, result("a3", 4.0, 1.0, 25, week=6), result("a3", 4.2, 1.0, 25, **later)]
    now = np.array([[22.25, 6.25], [6.25, 10.25]])
    effects = effects_over_time(build(arms, rows), PAIN, analysis="final")
    assert_allclose(effects.covariance[0], np.kron([[1, 0.5], [0.5, 1]], now))
    fewer = effects_over_time(build(arms, rows[:-1]), PAIN, analysis="final")
    assert_allclose(fewer.covariance[0][2], [22.25 / 2, 6.25 / 2, 22.25])


def test_a_trial_keeps_one_instrument_and_unknown_weeks_stay_out(build):
    """The NRS has two times, the VAS three but one without a week: the NRS is preferred less."""
    vas = {"instrument": "VAS", "instrument_text": "VAS"}
    once = at(6, 3.0, 5.0, "post", **vas)
    unknown = at(None, 3.0, 5.0, **vas)
    table = effects_over_time(build(ARMS, [*once, *unknown, *TWICE]), PAIN).table
    assert list(table["instrument"]) == ["NRS", "NRS"]
    only = effects_over_time(build(ARMS, [*once, *unknown]), PAIN)
    assert list(only.table["weeks"]) == [6]


def test_single_bouts_are_no_followup(build):
    effects = effects_over_time(build(ARMS, at(0, 3.0, 5.0, "post")), PAIN)
    assert len(effects) == 0
    assert set(effects.excluded["reason"]) >= {"not reported at the time asked for"}


def test_reported_differences_enter_at_their_weeks(build):
    arms = [arm("a1", "yoga", n_randomised=10), arm("a2", comparator_type="waitlist")]
    rows = [
        difference("a1", "a2", -1.5, -2.5, -0.5, week=8),
        difference("a1", "a2", -1.0, -2.0, 0.0, week=26),
    ]
    table = effects_over_time(build(arms, contrasts=rows), PAIN).table
    assert_allclose(table["yi"], [-15, -10])
    assert table["weeks_after_programme"].isna().all()


def test_unusable_choices_are_refused(build):
    evidence = build(ARMS, TWICE)
    with pytest.raises(ValueError, match="'constant' or 'decay'"):
        effects_over_time(evidence, PAIN, pattern="ar1")
    with pytest.raises(ValueError, match=r"\(1.0\) from 0 to below 1"):
        effects_over_time(evidence, PAIN, correlation_over_time=1.0)
    with pytest.raises(ValueError, match="outcome: no 'joy'"):
        effects_over_time(evidence, "joy")


def test_bundled_covariances_are_positive_definite_and_times_distinct():
    effects = effects_over_time(load_evidence(), "disability", correlation_over_time=0.9)
    assert all(np.linalg.eigvalsh(V)[0] > 0 for V in effects.covariance)
    assert not effects.table.duplicated(["trial_id", "arm_id", "ref_arm_id", "weeks"]).any()
    tilbrook = effects.table[effects.table["trial_id"] == "tilbrook2011"]
    assert list(tilbrook["weeks"]) == [12, 26, 52]
    assert list(tilbrook["weeks_after_programme"]) == [0, 14, 40]
