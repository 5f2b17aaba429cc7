"""Selection models against metafor."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats

from backpain_analysis.models.pairwise.meta_regression import meta_regression
from backpain_analysis.models.pairwise.pooling import pool
from backpain_analysis.models.pairwise.selection import BetaWeights, Steps, selection_model

few = settings(max_examples=8, deadline=None, derandomize=True)

# Odds ratios with 95% limits of 37 studies of lung cancer and passive smoking: Hackshaw 1998
# (Statistical Methods in Medical Research 7, 119-136), as in metadat's dat.hackshaw1998.
HACKSHAW = """
1.18 0.90 1.54, 1.45 1.02 2.08, 2.02 0.48 8.56, 1.20 0.80 1.60, 0.75 0.43 1.30, 2.07 0.81 5.25,
2.13 1.19 3.83, 0.80 0.34 1.90, 0.79 0.25 2.45, 2.01 1.09 3.72, 1.23 0.81 1.87, 1.20 0.50 3.30,
1.52 0.87 2.63, 1.03 0.41 2.55, 1.55 0.90 2.67, 1.03 0.61 1.74, 2.34 0.81 6.75, 1.65 1.16 2.35,
1.19 0.82 1.73, 1.52 0.39 5.96, 2.16 1.08 4.29, 1.08 0.64 1.82, 2.55 0.74 8.78, 1.62 0.90 2.91,
1.06 0.74 1.52, 0.79 0.62 1.02, 0.74 0.32 1.69, 2.27 0.75 6.82, 0.97 0.78 1.21, 1.60 0.80 3.00,
1.19 0.66 2.13, 1.66 0.73 3.78, 1.26 1.04 1.54, 1.10 0.62 1.96, 1.66 1.12 2.45, 1.16 0.80 1.69,
1.11 0.67 1.84
"""


# Hedges' g and standard errors of 23 trials of practice facilitation: Baskerville, Liddy & Hogg
# 2012 (Annals of Family Medicine 10, 63-74, doi 10.1370/afm.1312), as in metadat.
BASKERVILLE = """
1.01 .52, .82 .46, .59 .23, .44 .18, .84 .29, .73 .29, 1.12 .36, .04 .37, .24 .15, .32 .4, 1.04 .32,
1.31 .57, .59 .29, .66 .19, .62 .31, .47 .27, 1.08 .32, .98 .32, .26 .18, .39 .18, .6 .31, .94 .53,
.11 .27
"""


@pytest.fixture(scope="module")
def baskerville():
    g, se = np.array([[float(x) for x in row.split()] for row in BASKERVILLE.split(",")]).T
    return g, se**2


@pytest.fixture(scope="module")
def trials(reference):
    md = reference["effect_sizes"]["MD"]
    return np.array(md["yi"]), np.array(md["vi"])


@pytest.fixture(scope="module")
def hackshaw():
    odds, low, high = np.log([[float(x) for x in row.split()] for row in HACKSHAW.split(",")]).T
    return odds, ((high - low) / (2 * 1.959963984540054)) ** 2


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_three_parameters_as_metafor(trials, reference, scale):
    expected = reference["selection_3psm"]
    result = selection_model(trials[0] * scale, trials[1] * scale**2)
    assert_allclose(result.estimate / scale, expected["b"], rtol=1e-5)
    assert_allclose(result.se / scale, expected["se"], rtol=1e-4)
    assert_allclose(result.tau2 / scale**2, expected["tau2"], rtol=1e-4)
    assert_allclose(result.delta["delta"], expected["delta"], rtol=1e-4)
    assert_allclose([result.lrt, result.lrt_p], [expected["lrt"], expected["lrtp"]], rtol=1e-4)
    assert result.llf + 28 * np.log(scale) >= expected["ll"] - 1e-9


def test_published_example(hackshaw):
    """The numbers that metafor 5 prints for four intervals of these studies."""
    result = selection_model(*hackshaw, steps=[0.05, 0.10, 0.50], alternative="greater")
    delta = result.delta
    assert list(delta["n_trials"]) == [7, 8, 16, 6]
    assert_allclose(delta["delta"], [1, 2.422079, 0.977543, 0.396713], rtol=1e-5)
    assert_allclose(delta["se"], [np.nan, 1.66085, 0.820387, 0.469235], rtol=1e-5)
    assert_allclose([result.lrt, result.tau2], [7.066137, 0.03071325], rtol=1e-5)
    assert result.lrt_df == 3
    assert_allclose(delta["ci_high"], delta["delta"] + 1.959963984540054 * delta["se"])
    assert delta["ci_low"].min() == 0.0


def test_beta_weights_as_published(baskerville):
    """As metafor 3.8-1 prints it for Citkowicz & Vevea's example; it stops a little below."""
    result = selection_model(*baskerville, form="beta", alternative="greater")
    assert_allclose(result.estimate, 0.1147500, rtol=3e-4)
    assert_allclose(result.se, 0.16645966, rtol=3e-3)
    assert_allclose(result.delta["delta"], [0.47311202, 4.46128630], rtol=5e-5)
    assert_allclose(result.delta["se"], [0.23525156, 2.18464662], rtol=3e-3)
    assert -2.79240358 <= result.llf < -2.792
    assert_allclose([result.lrt, result.lrt_p], [7.84690346, 0.01977273], rtol=2e-4)
    assert (result.lrt_df, result.tau2) == (2, pytest.approx(0, abs=1e-9))
    assert "Chance of publication as p^-0.527 (1 - p)^3.46." in result._repr_html_()


def test_profile_intervals_metafor(baskerville):
    """confint(selmodel(rma(smd, se^2, method="ML"), type="stepfun", steps=.025)), metafor 3.8-1."""
    result = selection_model(*baskerville, alternative="greater")
    assert_allclose(result.delta["delta"][1], 0.4404337, rtol=1e-4)
    found = result.profile_intervals()
    assert_allclose(found.loc["tau2"], [0.0076933, 0.0, 0.0847162], rtol=1e-4)
    assert_allclose(found.loc[1], [0.4404337, 0.1175227, 1.6648406], rtol=1e-4)
    wide, narrow = result.profile_intervals(0.99), result.profile_intervals(0.5)
    assert wide.loc[1, "ci_low"] < found.loc[1, "ci_low"] < narrow.loc[1, "ci_low"]


def test_a_profile_that_never_falls_has_no_end():
    """Four studies alike, three of them significant: delta can be next to nothing."""
    result = selection_model([0.8, 0.9, 0.7, 0.01], [0.04] * 4, alternative="greater")
    limits = result.profile_intervals(0.99)
    assert limits.loc[1, "ci_low"] < 0.02
    assert limits.loc["tau2", "ci_low"] == 0


def test_moderators_metafor(reference, reference_table):
    """selmodel(rma(yi, vi, mods=~weeks, method="ML"), type="stepfun", steps=.025,
    alternative="less") and its confint, metafor 3.8-1.
    """
    md = reference["effect_sizes"]["MD"]
    table = reference_table("pairwise").assign(yi=md["yi"], vi=md["vi"])
    fitted = meta_regression("yi ~ weeks", table)
    result = selection_model(fitted)
    assert_allclose(result.coefficients["estimate"], [-11.0185744, -0.35297185], rtol=1e-6)
    assert_allclose(result.coefficients["se"], [4.19263633, 0.24687670], rtol=1e-5)
    assert_allclose([result.tau2, result.delta["delta"][1]], [34.518475, 0.84055459], rtol=1e-5)
    assert_allclose([result.llf, result.lrt_p], [-95.7975333717, 0.81547604], rtol=1e-7)
    limits = result.profile_intervals().loc[1, ["ci_low", "ci_high"]]
    assert_allclose(limits, [0.1764480, 3.4613468], rtol=1e-5)
    assert list(result.coefficients.index) == ["Intercept", "weeks"]
    assert result.unadjusted.method == "ML"
    beta = selection_model(fitted, form="beta")
    assert beta.llf >= -94.6033751709 - 2e-4  # R's integrals are good to 1e-4
    assert_allclose(beta.delta["delta"], [0.8118675, 0.7845714], rtol=1e-3)
    assert_allclose(beta.coefficients.loc["weeks", "estimate"], -0.4315083, rtol=1e-3)
    with pytest.raises(ValueError, match="carries its own variances"):
        selection_model(fitted, table["vi"])


@pytest.mark.parametrize("alternative", ["greater", "two.sided", "beta"])
def test_derivatives(hackshaw, alternative):
    X = np.column_stack([np.ones(37), np.arange(37) / 37])
    model = BetaWeights(*hackshaw, X)
    if alternative != "beta":
        model = Steps(*hackshaw, X, np.array([0.05, 0.5]), alternative)
    theta, step = np.array([0.2, -0.1, 0.3, -0.4, 0.3]), 1e-5 * np.eye(5)
    _, gradient, hessian = model.at(theta)
    ends = [(model.at(theta + h), model.at(theta - h)) for h in step]
    assert_allclose(gradient, [(up[0] - down[0]) / 2e-5 for up, down in ends], rtol=1e-6)
    assert_allclose(hessian, [(up[1] - down[1]) / 2e-5 for up, down in ends], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("alternative", ["greater", "two.sided", "beta"])
def test_density_of_a_published_study_integrates_to_one(alternative):
    v, tau2, delta = 0.3, 0.2, np.array([1.0, 0.6, 0.2])
    p = np.array([1e-5]) if alternative == "beta" else np.array([0.05, 0.5])
    z = stats.norm.isf(p / 2 if alternative == "two.sided" else p) * np.sqrt(v)
    total = 0.0
    for low, high in pairwise(sorted({-8.0, *z, *-z, 8.0})):
        nodes, shares = np.polynomial.legendre.leggauss(60)
        y = (low + high + (high - low) * nodes) / 2
        many = y, np.full(60, v), np.ones((60, 1))
        if alternative == "beta":
            logs = BetaWeights(*many).rows(np.full(60, 0.4), tau2, np.array([0.6, 2.5]))[0]
        else:
            logs = Steps(*many, p, alternative).rows(np.full(60, 0.4), tau2, delta)[0]
        total += (high - low) / 2 * shares @ np.exp(logs)
    assert_allclose(total, 1.0, rtol=1e-9)


def test_no_better_point_nearby(hackshaw):
    """The estimates are a maximum: no random neighbour has a higher likelihood."""
    result = selection_model(*hackshaw, steps=[0.05, 0.5], alternative="two.sided")
    model = Steps(*hackshaw, np.ones((37, 1)), np.array([0.05, 0.5]), "two.sided")
    delta = result.delta["delta"].to_numpy()
    best = model.derivatives(np.array([result.estimate]), result.tau2, delta)[0]
    assert_allclose(best, result.llf)
    random = np.random.default_rng(1)
    for _ in range(200):
        mean, tau2, *others = np.array([result.estimate, result.tau2, *delta[1:]]) * np.exp(
            random.normal(0, 0.3, 4)
        )
        assert model.derivatives(np.array([mean]), tau2, np.array([1.0, *others]))[0] < best


def test_selected_trials_are_corrected():
    """400 trials of true effect 0, of the others than P < 0.025 one in five published."""
    random = np.random.default_rng(4)
    v = random.uniform(0.02, 0.1, 4000)
    y = random.normal(0, np.sqrt(v + 0.02))
    published = (y / np.sqrt(v) > 1.96) | (random.random(4000) < 0.2)
    result = selection_model(y[published], v[published], alternative="greater")
    assert result.unadjusted.ci_low > 0.03
    assert result.ci_low < 0 < result.ci_high
    assert result.delta["ci_low"][1] < 0.2 < result.delta["ci_high"][1]
    assert result.lrt_p < 1e-6


def test_homogeneous_trials_keep_tau2_at_zero():
    y = np.array([0.1, 0.5, 0.3, 0.35, 0.2, 0.42])
    result = selection_model(y, [0.02, 0.05, 0.04, 0.03, 0.02, 0.05], alternative="greater")
    assert_allclose(result.tau2, 0.0, atol=1e-9)
    assert np.isfinite([result.se, *result.delta["se"][1:]]).all()
    assert result.llf >= result.unadjusted.llf


def test_empty_intervals_are_named(trials):
    message = r"no study has 0\.95 < P <= 0\.98 or 0\.98 < P <= 1: .* Use other steps"
    with pytest.raises(ValueError, match=message):
        selection_model(*trials, steps=[0.025, 0.95, 0.98])


def test_unusable_choices(trials):
    with pytest.raises(ValueError, match="unknown alternative 'up': use one of less, greater"):
        selection_model(*trials, alternative="up")
    with pytest.raises(ValueError, match="unknown form 'exp': use 'steps' or 'beta'"):
        selection_model(*trials, form="exp")
    with pytest.raises(ValueError, match="beta weights are for one-sided P values"):
        selection_model(*trials, form="beta", alternative="two.sided")
    for steps in (0.0, [0.5, 1.0], [], [np.nan]):
        with pytest.raises(ValueError, match="give cut points between 0 and 1"):
            selection_model(*trials, steps=steps)
    with pytest.raises(ValueError, match="2 studies given, but this diagnostic needs at least 3"):
        selection_model([1.0, 2.0], [1.0, 1.0])
    with pytest.raises(ValueError, match=r"b: yi = nan.*c: yi = 3\.0, vi = 0\.0"):
        selection_model([1.0, np.nan, 3.0], [1.0, 1.0, 0.0], labels=list("abc"))


def test_a_pooled_result_brings_its_level(trials):
    pooled = pool(*trials, level=0.8)
    result = selection_model(pooled)
    assert_allclose(result.ci_high - result.estimate, 1.2815515655446 * result.se)
    assert result.unadjusted.method == "ML"
    with pytest.raises(ValueError, match="28 contrasts of 20 trials"):
        selection_model(replace(pooled, n_trials=20))


def test_it_can_be_shown(trials):
    result = selection_model(*trials)
    assert list(result.summary().index) == ["adjusted", "unadjusted"]
    assert "1 for P up to 0.025; 0.943 for P up to 1. Against none: P = 0.938." in (
        result._repr_html_()
    )


@few
@given(seed=st.integers(0, 999), scale=st.sampled_from([1e-3, 7.0, 1e4]))
def test_order_scale_and_sign(seed, scale):
    """Shifting would change the P values, and so the model."""
    random = np.random.default_rng(seed)
    v = random.uniform(0.02, 0.3, 20)
    y = np.concatenate([[1.0, -1.0], random.normal(0.3, np.sqrt(v + 0.05))[2:]])
    order = random.permutation(20)
    plain = selection_model(y, v, steps=0.3, alternative="greater")
    other = selection_model(-y[order] * scale, v[order] * scale**2, steps=0.3, alternative="less")
    assert_allclose(-other.estimate / scale, plain.estimate, rtol=1e-5, atol=1e-6)
    assert_allclose(other.delta["delta"], plain.delta["delta"], rtol=1e-4)
    assert_allclose(other.lrt, plain.lrt, rtol=1e-5, atol=1e-6)
