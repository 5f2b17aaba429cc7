"""Tests and corrections for small-study effects against metafor and by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import backpain_analysis as bp
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.pairwise.asymmetry import (
    _missing,
    egger_test,
    pet_peese,
    rank_test,
    trim_and_fill,
)
from backpain_analysis.models.pairwise.pooling import pool

SCALES = pytest.mark.parametrize("scale", [1.0, 1000.0])
few = settings(max_examples=8, deadline=None, derandomize=True)
SKEWED = np.array([-1.5, -0.99, -0.98, -0.97, 1.0, 1.7, 1.74])


@pytest.fixture(scope="module")
def trials(reference):
    md = reference["effect_sizes"]["MD"]
    return np.array(md["yi"]), np.array(md["vi"])


def simulated(seed, k=12):
    random = np.random.default_rng(seed)
    v = random.uniform(0.05, 0.5, k)
    return random.normal(0.3 + np.sqrt(v), np.sqrt(v + 0.1)), v


@SCALES
def test_egger_as_metafor(trials, reference, scale):
    yi, vi = trials[0] * scale, trials[1] * scale**2
    mixed, expected = egger_test(yi, vi, test="z"), reference["egger_mixed"]
    assert_allclose([mixed.statistic, mixed.p_value], [expected["stat"], expected["p"]], rtol=1e-6)
    limit = [mixed.limit, mixed.limit_ci_low, mixed.limit_ci_high]
    pet = [reference["pet"][key][0] for key in ("b", "ci_lb", "ci_ub")]
    assert_allclose(np.array(limit) / scale, pet, rtol=1e-6)
    assert_allclose([mixed.slope, mixed.slope_se], [-0.4173098554223, 1.091671086976], rtol=1e-6)
    plain, expected = egger_test(yi, vi, model="classical"), reference["egger_classical"]
    assert_allclose([plain.statistic, plain.p_value], [expected["stat"], expected["p"]], rtol=1e-6)
    assert plain.df == 26


@pytest.fixture(scope="module")
def sizes(reference_table):
    return reference_table("pairwise")[["n1", "n2"]].sum(axis=1)


def test_egger_predictors_as_metafor(trials, sizes, reference2):
    for key, expected in reference2["pooling"]["regtest"].items():
        predictor, model, *test = key.split()
        found = egger_test(
            *trials,
            predictor=predictor,
            model={"rma": "mixed", "lm": "classical"}[model],
            ni=sizes,
            test="knha" if test else "z",
        )
        wanted = [expected["stat"], expected["p"]]
        assert_allclose([found.statistic, found.p_value], wanted, rtol=1e-6, err_msg=key)
        assert found.df == (np.inf if expected["df"] is None else expected["df"])
        limits = [found.limit, found.limit_ci_low, found.limit_ci_high]
        if expected.get("limit") is not None:
            wanted = [expected["limit"], *expected["limit_ci"]]
            assert_allclose(limits, wanted, rtol=1e-6, err_msg=key)
        elif predictor in ("ni", "sqrtni"):
            assert np.isnan(limits).all()


SIZES = [
    ({"predictor": "n"}, "unknown predictor 'n': use one of sei, vi, ni"),
    ({"predictor": "ni"}, "give ni, the number of participants"),
    ({"predictor": "ninv", "ni": [10, 20]}, "ni has 2 values for 4 studies"),
    ({"predictor": "ninv", "ni": [10, None, 20, 0]}, "not for study 2, study 4"),
    ({"predictor": "sqrtninv", "ni": [10] * 4}, "all studies are equally large"),
]


@pytest.mark.parametrize(("options", "message"), SIZES)
def test_egger_needs_sizes(options, message):
    with pytest.raises(ValueError, match=message):
        egger_test([1.0, 2.0, 4.0, 3.0], [1.0, 2.0, 3.0, 1.0], **options)


def test_egger_takes_the_sizes_of_effects(effects):
    n = effects.table["n_arm"] + effects.table["n_ref"]
    found = egger_test(effects, predictor="sqrtninv")
    assert found == egger_test(effects, predictor="sqrtninv", ni=n)


@pytest.fixture(scope="module")
def effects():
    evidence = bp.load_evidence().filter(population=bp.BACK_PAIN)
    effects = evidence.effects("pain_intensity").one_per_trial()
    return effects.select(lambda table: table["n_arm"].notna() & table["n_ref"].notna(), "size")


def test_classical_egger_is_the_intercept_of_the_original_form(trials):
    """Egger et al. 1997: yi/se on 1/se, unweighted; its intercept is our slope."""
    yi, vi = trials
    se = np.sqrt(vi)
    X = np.column_stack([np.ones(28), 1 / se])
    beta, rss, *_ = np.linalg.lstsq(X, yi / se)
    cov = np.linalg.inv(X.T @ X) * rss[0] / 26
    result = egger_test(yi, vi, model="classical")
    assert_allclose([result.slope, result.slope_se], [beta[0], np.sqrt(cov[0, 0])])
    half = 2.0555294386428709 * np.sqrt(cov[1, 1])
    assert_allclose([result.limit, result.limit_ci_low], [beta[1], beta[1] - half])


@SCALES
def test_rank_test_as_metafor(trials, reference, scale):
    result, expected = rank_test(trials[0] * scale, trials[1] * scale**2), reference["rank_test"]
    assert_allclose([result.tau, result.p_value], [expected["tau"], expected["p"]], rtol=1e-6)
    assert result.exact


def test_rank_test_exact_by_counting():
    """All of 4 studies concordant: 1 of 24 orders, or 2 of 24 two-sided."""
    result = rank_test([0.0, 1.0, 2.0, 3.0], [1.0, 1.1, 1.2, 1.3])
    assert_allclose([result.tau, result.p_value], [1.0, 2 / 24])


def test_rank_test_with_ties_by_hand():
    """Two equal variances: S = 9 of 10 pairs, variance (300 - 18)/18 of Kendall 1970."""
    result = rank_test([0.0, 1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 1.2, 1.4, 1.6])
    assert not result.exact
    assert_allclose(result.tau, 9 / np.sqrt(9 * 10))
    assert_allclose(result.p_value, math.erfc(9 / math.sqrt(2 * 282 / 18)))


@SCALES
def test_pet_and_peese_as_metafor(trials, reference, scale):
    result = pet_peese(trials[0] * scale, trials[1] * scale**2, test="z")
    for fitted, key, units in (
        (result.pet, "pet", np.array([scale, 1.0])),
        (result.peese, "peese", np.array([scale, 1 / scale])),
    ):
        expected = reference[key]
        interval = fitted.conf_int()
        assert_allclose(fitted.params / units, expected["b"], rtol=1e-6)
        assert_allclose(fitted.bse / units, expected["se"], rtol=1e-6)
        assert_allclose(interval["ci_low"] / units, expected["ci_lb"], rtol=1e-6)
        assert_allclose(interval["ci_high"] / units, expected["ci_ub"], rtol=1e-6)
        assert_allclose(fitted.pvalues, expected["p"], rtol=1e-6)
        assert_allclose(fitted.tau2 / scale**2, expected["tau2"], rtol=1e-6)
        assert_allclose(fitted.omnibus["p_value"], expected["QMp"], rtol=1e-6)
    assert result.chosen == "PEESE"
    assert_allclose(result.estimate / scale, reference["peese"]["b"][0], rtol=1e-6)
    assert_allclose(result.p_value, reference["peese"]["p"][0], rtol=1e-6)


def test_conditional_estimator_follows_alpha(trials):
    """The PET intercept has P = 0.0031."""
    strict = pet_peese(*trials, test="z", alpha=0.003)
    assert strict.chosen == "PET"
    assert strict.estimate == strict.pet.params.iloc[0]
    assert_allclose(strict.summary().loc["conditional"], strict.summary().loc["PET"])
    with pytest.raises(ValueError, match="alpha 0 is not between"):
        pet_peese(*trials, alpha=0)


@SCALES
def test_trim_and_fill_as_metafor(trials, reference, scale):
    expected = reference["trim_and_fill"]
    result = trim_and_fill(trials[0] * scale, trials[1] * scale**2, test="z")
    assert (result.k0, result.side) == (expected["k0"], expected["side"])
    got = np.array([result.filled.estimate, result.filled.se]) / scale
    assert_allclose(got, [expected["b"], expected["se"]], rtol=1e-6)
    assert_allclose(result.observed.se / scale, reference["pool"]["REML z"]["se"], rtol=1e-6)


@pytest.mark.parametrize(
    ("estimator", "filled", "estimate"),
    [("L0", [-2.32], -0.29), ("Q0", [-2.32], -0.29), ("R0", [-3.076, -3.116], -0.688)],
)
@pytest.mark.parametrize("side", ["left", "right"])
def test_trim_and_fill_by_hand(estimator, filled, estimate, side):
    """Seven equal variances.

    Centred at zero, the ranks of the positive effects add to 17: L0 = 12/13, Q0 = 6.5 - 5.5,
    R0 = 7 - 5 - 1, all 1. Centred at -0.29, without the largest, they add to 18: L0 = 16/13,
    Q0 = 6.5 - 5.12, again 1; R0 = 7 - 4 - 1 = 2, and stays so centred at -0.688.
    """
    sign = 1 if side == "left" else -1
    result = trim_and_fill(
        sign * SKEWED, np.ones(7), estimator=estimator, side=side, method="CE", test="z"
    )
    assert result.k0 == len(filled)
    new = result.table[result.table["filled"]]
    assert_allclose(sorted(sign * new["yi"], reverse=True), filled)
    assert_allclose(
        [result.filled.estimate, result.observed.estimate], [sign * estimate, 0], atol=1e-9
    )
    assert_allclose(result.table["yi"][:7], sign * SKEWED)
    assert new["label"].iloc[-1] == "filled study 7"


def test_symmetric_funnel_is_not_filled():
    """Ranks of the positive effects add to at most 8: L0 = 2/9."""
    result = trim_and_fill([-1.0, 1.0, -2.0, 2.0, 0.0], [1.0] * 5, side="left")
    assert result.k0 == 0
    assert_allclose(result.filled.estimate, result.observed.estimate)


def test_a_pooled_result_brings_its_choices(trials):
    pooled = pool(*trials, method="DL", test="z", level=0.9)
    options = {"method": "DL", "test": "z", "level": 0.9}
    assert egger_test(pooled) == egger_test(*trials, **options)
    assert rank_test(pooled) == rank_test(*trials)
    assert pet_peese(pooled).pet.level == 0.9
    assert trim_and_fill(pooled).filled.method == "DL"
    with pytest.raises(ValueError, match="28 contrasts of 20 trials"):
        egger_test(replace(pooled, n_trials=20))


@pytest.mark.parametrize("function", [egger_test, rank_test, pet_peese, trim_and_fill])
def test_unusable_studies(function):
    with pytest.raises(ValueError, match="2 studies given, but this diagnostic needs at least 3"):
        function([1.0, 2.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="all studies have the same standard error"):
        function([1.0, 2.0, 3.0, 4.0], [0.3] * 4)
    with pytest.raises(ValueError, match=r"b: yi = nan.*c: yi = 3\.0, vi = 0\.0"):
        function([1.0, np.nan, 3.0], [1.0, 1.0, 0.0], labels=list("abc"))
    if function is not rank_test:
        with pytest.raises(ValueError, match="unknown method 'XX'"):
            function([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], method="XX")


def test_unknown_choices(trials):
    with pytest.raises(ValueError, match="unknown model 'lm': use 'mixed' or 'classical'"):
        egger_test(*trials, model="lm")
    with pytest.raises(ValueError, match="unknown estimator 'L1'"):
        trim_and_fill(*trials, estimator="L1")
    with pytest.raises(ValueError, match="unknown side 'top'"):
        trim_and_fill(*trials, side="top")


def test_effects_of_zero():
    """No spread at all: a slope of zero, no test."""
    result = egger_test([0.0] * 4, [1.0, 2.0, 3.0, 4.0], model="classical")
    assert_allclose(result.slope, 0)
    assert np.isnan(result.p_value)


def test_results_can_be_shown(trials):
    labels = ["a"] * 28
    for result, words in (
        (egger_test(*trials), "Egger's test (mixed, sei)"),
        (rank_test(*trials), "Rank correlation test"),
        (pet_peese(*trials), "Conditional on P &lt; 0.1 of the PET intercept: PEESE."),
        (trim_and_fill(*trials, labels=labels), "L0: 2 studies filled on the right."),
    ):
        assert words.replace("'", "&#x27;") in result._repr_html_()
    assert egger_test(*trials).summary().loc[0, "n_trials"] == 28


@few
@given(seed=st.integers(0, 999), shift=st.floats(-50, 50), scale=st.sampled_from([1e-3, 7.0, 1e4]))
def test_order_shift_and_scale(seed, shift, scale):
    y, v = simulated(seed)
    order = np.random.default_rng(seed).permutation(len(y))
    other = (y[order] + shift) * scale, v[order] * scale**2
    for model in ("mixed", "classical"):
        first, second = egger_test(y, v, model=model), egger_test(*other, model=model)
        assert_allclose(second.statistic, first.statistic, rtol=1e-5, atol=1e-6)
        assert_allclose(second.limit / scale - shift, first.limit, rtol=1e-5, atol=1e-5)
    assert rank_test(*other).tau == pytest.approx(rank_test(y, v).tau)
    first, second = trim_and_fill(y, v), trim_and_fill(*other)
    assert (second.k0, second.side) == (first.k0, first.side)
    assert_allclose(second.filled.estimate / scale - shift, first.filled.estimate, atol=1e-6)


def test_q0_says_where_it_has_no_solution():
    """With all effects on one side of the centre, 2 k^2 - 4 k (k + 1)/2 + 1/4 is below zero."""
    with pytest.raises(CannotEstimate, match="Q0 has no solution"):
        _missing(np.arange(1.0, 7.0), "Q0")
    assert _missing(np.array([-3.0, -2.0, -1.0, 1.5, 2.5, 4.0]), "Q0") < 3
