"""Pooling against metafor's numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.models.pairwise.pooling import pool

METHODS = ["CE", "DL", "HE", "HS", "SJ", "PM", "ML", "REML", "EB"]


@pytest.fixture(scope="module")
def trials(reference):
    md = reference["effect_sizes"]["MD"]
    return np.array(md["yi"]), np.array(md["vi"])


@pytest.mark.parametrize(("test", "word"), [("z", "z"), ("knapp-hartung", "knha")])
@pytest.mark.parametrize("method", METHODS)
def test_metafor_in_other_units(trials, reference, method, test, word):
    scale = 1000.0
    expected = reference["pool"][f"{'EE' if method == 'CE' else method} {word}"]
    yi, vi = trials
    result = pool(yi * scale, vi * scale**2, method=method, test=test)
    got = np.array([result.estimate, result.se, result.ci_low, result.ci_high]) / scale
    assert_allclose(got, [expected[key] for key in ("b", "se", "ci_lb", "ci_ub")], rtol=1e-6)
    assert_allclose(result.tau2 / scale**2, expected["tau2"], rtol=1e-6)
    assert_allclose(
        [result.q, result.q_p, result.i2, result.h2, result.p_value],
        [expected[key] for key in ("QE", "QEp", "I2", "H2", "p")],
        rtol=1e-6,
        atol=1e-25,
    )
    if "pi_lb" in expected:
        assert_allclose(
            np.array([result.pi_low, result.pi_high]) / scale,
            [expected["pi_lb"], expected["pi_ub"]],
            rtol=1e-6,
            atol=1e-5,
        )
    if "tau2_ci" in expected:
        limits = np.array([result.tau2_ci_low, result.tau2_ci_high]) / scale**2
        assert_allclose(limits, expected["tau2_ci"], rtol=1e-4)


def test_one_trial_is_its_own_estimate():
    result = pool([-8.0], [4.0])
    assert result.estimate == -8.0
    assert result.tau2 == 0.0
    assert_allclose(result.ci_high, -8 + 1.959963984540054 * 2, rtol=1e-12)


def test_homogeneous_trials_have_no_tau2():
    result = pool([1.0, 1.1, 0.9], [1.0, 1.0, 1.0], test="z")
    assert_allclose(result.tau2, 0.0, atol=1e-12)
    assert_allclose([result.estimate, result.se], [1.0, np.sqrt(1 / 3)], rtol=1e-9)


def test_every_fault_is_named():
    with pytest.raises(ValueError, match=r"unknown method 'XX'.*b: yi = nan.*c: yi = 1\.0, vi = 0"):
        pool([1.0, np.nan, 1.0], [1.0, 1.0, 0.0], method="XX", labels=list("abc"))


def test_weights_add_to_a_hundred(trials):
    result = pool(*trials)
    assert_allclose(result.table["weight"].sum(), 100)
    assert result.table["weight"].idxmax() == int(np.argmin(trials[1]))


@pytest.mark.parametrize("method", ["ML", "REML"])
def test_profile_likelihood_interval(trials, reference2, method):
    found = pool(*trials, method=method).heterogeneity("profile-likelihood")
    expected = reference2["pooling"]["profile_likelihood"][method]
    for theirs, ours in {"tau2": "tau2", "I2": "i2", "H2": "h2"}.items():
        assert_allclose(found.loc[ours, ["ci_low", "ci_high"]], expected[theirs], rtol=1e-4)
    with pytest.raises(ValueError, match="unknown kind 'x'"):
        pool(*trials).heterogeneity("x")
    with pytest.raises(ValueError, match="'DL' has no likelihood"):
        pool(*trials, method="DL").heterogeneity("profile-likelihood")


def test_a_profile_interval_reaches_zero_where_the_likelihood_does():
    found = pool([1.0, 1.2, 0.9, 1.6], [1.0, 1.0, 1.0, 1.0]).heterogeneity("profile-likelihood")
    assert found.loc["tau2", "ci_low"] == 0
    assert 0 < found.loc["tau2", "ci_high"] < np.inf


NARROW = "The Knapp-Hartung interval is narrower than that of a common effect, "
NOTES = [
    ([1.0, 1.01, 0.99], [53.0] * 3, "knha", [NARROW]),
    ([1.0, 1.01, 0.99], [53.0] * 3, "adhoc", []),
    ([1.0, 1.01, 0.99], [53.0] * 3, "z", []),
    ([1.0, 5.0, -9.0], [1.0] * 3, "knha", []),
    ([5.0, 5.0, 5.0], [1.0] * 3, "knha", ["The effects are equal"]),
    ([1.0, 3.0], [1.0, 1.0], "knha", ["Two trials leave one degree of freedom"]),
    ([1.0, 3.0], [1.0, 1.0], "z", []),
    ([1.0], [1.0], "knha", []),
]


@pytest.mark.parametrize(("yi", "vi", "test", "begin"), NOTES)
def test_notes(yi, vi, test, begin):
    notes = pool(yi, vi, test=test).notes
    assert len(notes) == len(begin)
    assert all(note.startswith(start) for note, start in zip(notes, begin, strict=True))


def test_notes_name_the_common_effect():
    text = pool([1.0, 3.0], [1.0, 1.0]).notes[0]
    assert "it would be 2 (95% CI 0.6141 to 3.386)" in text
    assert text in str(pool([1.0, 3.0], [1.0, 1.0]))


def test_equal_effects_say_what_can_be_known():
    result = pool([5.0] * 3, [1.0] * 3)
    assert_allclose([result.estimate, result.se], [5, np.sqrt(1 / 3)])
    assert 0 < result.p_value < 0.05


def test_adhoc_is_never_narrower_than_z():
    yi, vi = [1.0, 1.01, 0.99], [53.0] * 3
    plain, lifted = pool(yi, vi), pool(yi, vi, test="adhoc")
    assert_allclose(plain.factor, 0.0001 / 53, rtol=1e-9)
    assert_allclose(lifted.se, pool(yi, vi, test="z").se)
    wide = [10.0, 50.0, -90.0]
    assert pool(wide, vi, method="CE", test="adhoc").factor > 1
    assert_allclose(pool(wide, vi, method="CE", test="adhoc").se, pool(wide, vi, method="CE").se)


def test_one_vocabulary():
    yi, vi = [1.0, 2.0, 4.0], [1.0, 2.0, 1.0]
    for method in ("FE", "EE", "ce"):
        assert pool(yi, vi, method=method).method == "CE"
    for test in ("knha", "hksj", "Knapp-Hartung"):
        assert pool(yi, vi, test=test).test == "knapp-hartung"


HOSTILE = [
    ({"level": 95}, "level 95 must lie between 0 and 1; for 95% give 0.95"),
    ({"level": "95%"}, "level '95%' is no number"),
    ({"method": "MH2"}, "unknown method 'MH2': use one of CE, ML, REML"),
    ({"yi": [1e300, 1.0, 2.0]}, r"study 1: yi = 1e\+300"),
    ({"vi": [1e-300, 1.0, 2.0]}, r"vi = 1e-300; computed are"),
    ({"yi": [1.0, "two", 2.0]}, "yi holds 'two', which is no number"),
    ({"yi": pd.date_range("2020-01-01", periods=3)}, "yi must hold numbers, not datetime64"),
    ({"yi": [pd.Timestamp(2020, 1, 1), 1.0, 2.0]}, "yi holds Timestamp"),
    ({"vi": [1 + 2j, 1.0, 1.0]}, "vi must hold numbers, not complex128"),
    ({"yi": pd.Series([1.0, 2, 3], [2, 1, 0]), "vi": pd.Series([1.0, 1, 1])}, "different indexes"),
]


@pytest.mark.parametrize(("changed", "message"), HOSTILE)
def test_hostile_input_is_refused(changed, message):
    options = {"yi": [1.0, 2.0, 4.0], "vi": [1.0, 2.0, 1.0], **changed}
    with pytest.raises(ValueError, match=message):
        pool(options.pop("yi"), options.pop("vi"), **options)


@pytest.mark.parametrize("seed", range(20))
def test_no_warning_whatever_the_size(seed):
    rng = np.random.default_rng(seed)
    k = int(rng.integers(1, 6))
    yi = rng.choice([0.0, 1.0, -1.0, 1e-30, 1e20, -1e50], k)
    vi = rng.choice([1e-50, 1e-9, 1.0, 1e9, 1e100], k)
    for method in ("REML", "DL", "PM", "CE"):
        assert np.isfinite(pool(yi, vi, method=method).estimate)


def test_results_read_like_the_others(trials):
    result = pool(*trials)
    assert_allclose(result.cov_params().iloc[0, 0], result.se**2)
    assert_allclose(result.pvalues["estimate"], result.p_value)
    assert_allclose(result.conf_int().iloc[0], [result.ci_low, result.ci_high])
    assert result.conf_int(0.9)["ci_low"].iloc[0] > result.ci_low
    with pytest.raises(ValueError, match=r"for 90% give 0\.9"):
        result.conf_int(90)
    assert_allclose(
        result.predict()[["pi_low", "pi_high"]].iloc[0], [result.pi_low, result.pi_high]
    )
    assert_allclose(result.aic, -2 * result.llf + 4)
    assert_allclose(result.bic, -2 * result.llf + 2 * np.log(27))
    assert repr(result).startswith("<PoolResult: -16.18 (95% CI -19.19 to -13.18), 28 trials>")
    assert "estimate" in str(result) and "n_trials" in str(result)
    assert result.benefit is None


@pytest.mark.parametrize(
    ("outcome", "left"), [("pain_intensity", "exercise"), ("quality_of_life", "control")]
)
def test_a_plot_says_which_side_favours_exercise(outcome, left):
    rows = {"trial_id": ["a", "b"], "label": ["A", "B"], "yi": [1.0, 2.0], "vi": [0.5, 0.4]}
    rows |= {"n_arm": [20, 20], "n_ref": [20, 20]}
    pooled = replace(pool(rows["yi"], rows["vi"]), outcome=outcome, measure="SMD")
    texts = [text.get_text() for text in pooled.plot().texts]
    assert f"◂ favours {left}" in texts
    assert not any("favours" in text.get_text() for text in pool([1.0, 2], [1, 1]).plot().texts)
