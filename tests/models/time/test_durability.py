"""After the programme: least squares and Fieller's interval by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from backpain_analysis.answers import sentences
from backpain_analysis.models.time.durability import WEEKS_A_MONTH, durability, fieller
from tests.models.time.test_time_course import effects

MONTHS = np.array([0, 3, 0, 6, 0, 12, 0, 3])
TRIALS = ["t1", "t1", "t2", "t2", "t3", "t3", "t4", "t4"]
YI = np.array([-10.0, -9.0, -12.0, -9.5, -9.0, -5.0, -11.0, -9.0])


def followed(yi=YI, months=MONTHS, trials=TRIALS, **options):
    weeks = np.asarray(months) * WEEKS_A_MONTH
    return durability(effects(weeks + 12, yi, 0.5, trials, weeks), **options)


def test_fieller_by_hand():
    """N = -5, D = -10, Var N = 2, Var D = Cov = 1, q = 2: roots of 96 r^2 - 92 r + 17."""
    share, low, high = fieller(
        np.array([-10.0, 1.0]), np.diag([1.0, 0.04]), np.array([1.0, 5.0]), 2.0
    )
    assert_allclose([share, low, high], [0.5, 24 / 96, 68 / 96])
    unclear = fieller(np.array([-1.0, 1.0]), np.eye(2), np.array([1.0, 5.0]), 2.0)
    assert np.isnan(unclear[1:]).all()


def test_common_effect_is_least_squares():
    found = followed(method="CE")
    X = np.column_stack([np.ones(8), MONTHS])
    beta, cov = np.linalg.lstsq(X, YI, rcond=None)[0], 0.5 * np.linalg.inv(X.T @ X)
    end, change = found.at_end.iloc[0], found.change.loc["all trials"]
    assert_allclose([end["estimate"], change["estimate"]], beta)
    assert_allclose([end["se"], change["se"]], np.sqrt(np.diag(cov)))
    assert_allclose(change["ci_high"], beta[1] + stats.norm.ppf(0.975) * np.sqrt(cov[1, 1]))
    row = found.retained.set_index("weeks").loc[26]
    later = np.array([1, 26 / WEEKS_A_MONTH])
    assert_allclose([row["effect"], row["retained"]], [later @ beta, later @ beta / beta[0]])
    assert row["retained_low"] < row["retained"] < row["retained_high"] < 1


def test_change_within_trials_is_kept_apart():
    """Within each trial the effect shrinks by 1 a month, but late trials have large ones."""
    yi = [-10, -7, -20, -14, -40, -28, -5, -2]
    months = [0, 3, 6, 12, 24, 36, 0, 3]
    found = followed(yi, months)
    assert_allclose(found.change.loc["within trials", "estimate"], 1.0, atol=1e-8)
    assert found.n_repeated == 4
    assert sentences.durability(found).startswith(
        "After the end of the programme the effect shrank"
    )


def test_what_trials_cannot_tell_is_missing():
    """One trial measured twice: no share retained; nothing is said beyond the last follow-up."""
    rows = [0, 1, 2, 4, 7]
    found = followed(YI[rows], MONTHS[rows], ["t1", "t1", "t2", "t3", "t4"], weeks=(13, 26))
    early, late = found.retained.to_dict("records")
    assert early["effect"] < 0 and np.isnan(early["retained"])
    assert early["note"].startswith("1 trial measured twice")
    assert np.isnan(late["effect"]) and "no follow-up later than 13" in late["note"]
    assert list(found.change.index) == ["all trials"]
    assert found.n_repeated == 1


def test_measurements_before_the_end_stay_out():
    weeks = np.array([-6.0, -0.5, 13, 0, 13, 0, 26])
    trials = ["t1", "t1", "t1", "t2", "t2", "t3", "t3"]
    found = durability(effects(weeks + 12, np.linspace(-5, -8, 7), 0.5, trials, weeks))
    assert (found.n_trials, found.last_week) == (3, 26)
    assert "26 weeks after the end" in found._note()


def test_short_followups_are_asked_at_their_last_week():
    found = followed(months=np.array([0, 1, 0, 2, 0, 2, 0, 1]))
    assert_allclose(found.retained["weeks"], 2 * WEEKS_A_MONTH)


def test_too_little_is_refused():
    with pytest.raises(ValueError, match="2 trials with 2 different times"):
        followed(YI[:3], MONTHS[:3], TRIALS[:3])
    with pytest.raises(ValueError, match="3 trials with 1 different time "):
        followed(YI[:3], [0, 0, 0], ["t1", "t2", "t3"])
    with pytest.raises(ValueError, match="programme_weeks"):
        durability(effects([4, 12], [-3, -6]))


def test_sentence_says_what_is_retained():
    text = sentences.durability(followed())
    assert "within the 4 trials that measured more than once" in text
    assert [row["weeks"] for row in followed().retained.to_dict("records")] == [26, 52]
    assert "26 weeks after the end" in text and "% of it remained (95% CI" in text


@pytest.mark.parametrize(
    ("rows", "told", "words"),
    [
        ([0, 1, 2, 3, 4, 6], True, "After the end of the programme the effect"),
        (
            [0, 1, 2, 5, 7],
            False,
            "Whether the effect lasts after the end of the programme is not told: only t1 "
            "measured more than once after it. Between the 4 trials it differs by ",
        ),
        (
            [0, 3, 5, 7],
            False,
            "Whether the effect lasts after the end of the programme is not "
            "told: no trial measured more than once after it.",
        ),
        ([0, 1], True, "After the end of the programme the effect"),
    ],
)
def test_durability_that_rests_on_one_trial_is_not_told(rows, told, words):
    found = followed(YI[rows], MONTHS[rows], [TRIALS[k] for k in rows], method="CE")
    assert found.is_told is told
    assert found.monthly.name == ("within trials" if len(rows) == 6 else "all trials")
    text = sentences.durability(found)
    assert text.startswith(words)
    assert ("may be the trials, not the time" in text) is not told
