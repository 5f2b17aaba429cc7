"""Regressions, levels and networks with priors: exact values, and quadrature by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from backpain_analysis.engine import priors
from backpain_analysis.engine.sampling import sampling_covariance
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.network.network import network
from backpain_analysis.models.pairwise.meta_regression import meta_regression
from backpain_analysis.models.pairwise.multilevel import multilevel


@pytest.fixture(scope="module")
def trials(reference2, reference_table):
    smd = reference2["bayes"]["data"]["SMD"]
    return reference_table("pairwise").assign(yi=smd["yi"], vi=smd["vi"])


@pytest.mark.parametrize("key", ["half_normal_0.5", "half_normal_0.5 beta N(0,2) N(0,0.2)"])
def test_regression_on_weeks(trials, reference2, key):
    known = reference2["bayes"]["regression_weeks"][key]
    exact, effects = known["exact"], None
    if isinstance(known["prior_beta"], dict):
        pairs = zip(known["prior_beta"]["mean"], known["prior_beta"]["sd"], strict=True)
        own = (priors.normal(mean, sd) for mean, sd in pairs)
        effects = dict(zip(("Intercept", "weeks"), own, strict=True))
    prior = priors.Prior(priors.half_normal(known["prior_tau"]["scale"]), effects)
    result = meta_regression("yi ~ weeks", trials, prior=prior)
    sd = np.array([beta["sd"] for beta in exact["beta"]])
    assert_allclose(result.means, [beta["mean"] for beta in exact["beta"]], atol=1e-8 * sd.min())
    assert_allclose(result.params, [beta["median"] for beta in exact["beta"]], rtol=1e-8)
    assert_allclose(result.cov_params(), exact["beta_cov"], rtol=1e-8)
    for kind, name in (("equal-tailed", "central95"), ("shortest", "shortest95")):
        found = (result.conf_int(kind=kind).to_numpy() - [b[name] for b in exact["beta"]]) / sd[
            :, None
        ]
        assert np.abs(found).max() < 1e-5
    at = exact["at"]
    table = result.predict(pd.DataFrame({"weeks": [place["x"][1] for place in at]}))
    for columns, name in (
        (["ci_low", "ci_high"], "mean_effect"),
        (["pi_low", "pi_high"], "new_trial"),
    ):
        assert_allclose(table[columns], [place[name]["central95"] for place in at], rtol=1e-7)
    shrunk = result.shrinkage()
    assert_allclose(shrunk["estimate"], exact["shrinkage"]["mean"], rtol=1e-8)
    assert_allclose(shrunk["sd"], exact["shrinkage"]["sd"], rtol=1e-8)
    assert_allclose(result.tau_int(), exact["tau"]["shortest95"], atol=1e-6)
    if "log_marginal_likelihood" in exact:
        evidence = result.model.log_evidence(prior)
        assert_allclose(evidence, exact["log_marginal_likelihood"], atol=1e-8)
        assert_allclose(result.bayes_factor(), exact["bayes_factor_tau0"], rtol=1e-6)


def test_more_coefficients_than_trials_tell_apart(trials):
    few = trials.iloc[[0, 1]].assign(same=[1.0, 1.0])
    with pytest.raises(CannotEstimate, match="cannot tell Intercept, same apart"):
        meta_regression("yi ~ same", few, prior=priors.half_normal(1))
    prior = priors.Prior(priors.half_normal(1), priors.normal(0, 1))
    assert meta_regression("yi ~ same", few, prior=prior).error < 1e-7


def test_two_levels_by_hand(reference_table):
    """Trial and effect within trial: by a fine grid of both standard deviations."""
    data = reference_table("multilevel").iloc[:12]
    tau = {"trial_id": priors.half_normal(0.4), "trial_id/effect_id": priors.half_t(0.3, 3)}
    result = multilevel(
        "yi ~ 1", data, V="vi", random=["trial_id/effect_id"], prior=priors.Prior(tau)
    )
    y, v = data["yi"].to_numpy(), data["vi"].to_numpy()
    same = data["trial_id"].to_numpy()[:, None] == data["trial_id"].to_numpy()
    between, within = np.meshgrid(np.linspace(0, 3, 200) + 0.0075, np.linspace(0, 6, 300) + 0.01)
    V = (
        np.diag(v)
        + between[..., None, None] ** 2 * same
        + within[..., None, None] ** 2 * np.eye(12)
    )
    W = np.linalg.inv(V)
    precision = W.sum(axis=(2, 3))
    mean = (W.sum(axis=2) @ y) / precision
    rss = np.einsum("abij,i,j->ab", W, y, y) - mean**2 * precision
    log = -0.5 * (np.linalg.slogdet(V)[1] + rss + np.log(precision))
    log += stats.halfnorm.logpdf(between, scale=0.4) + stats.t.logpdf(within, 3, scale=0.3)
    mass = np.exp(log - log.max())
    mass /= mass.sum()
    below = (mass * stats.norm.cdf((-0.6 - mean) * np.sqrt(precision))).sum()
    assert_allclose(result.probability("< -0.6"), below, atol=1e-3)
    assert_allclose(result.marginal("trial_id").mean, (mass * between).sum(), atol=2e-3)
    assert_allclose(result.marginal("trial_id/effect_id").mean, (mass * within).sum(), atol=5e-3)
    assert result.error < 1e-5
    assert list(result.between_trials().index) == ["trial_id", "trial_id/effect_id"]
    at = np.array([0.1, 0.2, 0.4])
    density = result.marginal("trial_id").cdf(at)
    assert_allclose(density, [mass[between < value].sum() for value in at], atol=0.02)


def test_levels_that_are_refused(reference_table):
    data = reference_table("multilevel")
    with pytest.raises(ValueError, match="random effects are intercepts"):
        multilevel("yi ~ 1", data, V="vi", random=["weeks | trial_id"], prior=priors.half_normal(1))
    with pytest.raises(CannotEstimate, match="for one heterogeneity only"):
        multilevel("yi ~ 1", data, V="vi", random=["trial_id/effect_id"], prior=priors.uniform())
    part = priors.Prior({"trial_id": priors.half_normal(1)})
    with pytest.raises(ValueError, match="names no 'trial_id/effect_id'"):
        multilevel("yi ~ 1", data, V="vi", random=["trial_id/effect_id"], prior=part)


def test_correlated_rows_of_a_trial(reference_table):
    """One level with a sampling correlation is pooling with that covariance."""
    data = reference_table("multilevel").iloc[:14].reset_index(drop=True)
    V = sampling_covariance(data["vi"], data["trial_id"], rho=0.6)
    result = multilevel("yi ~ 1", data, V=V, random=["trial_id"], prior=priors.half_normal(0.5))
    assert result.model.sds == ("trial_id",)
    assert len(result.shrinkage()) == 14
    assert result.bayes_factor("trial_id = 0") > 0


@pytest.fixture(scope="module")
def six(reference_table):
    return reference_table("network")


def test_network_is_its_mixture_of_least_squares(six):
    """At every tau the effects are those of least squares; by a grid of tau."""
    result = network(six, prior=priors.half_normal(8))
    model = result.model
    tau = np.arange(0.02, 40, 0.04)
    heights, below = [], []
    row = result.loadings.loc["yoga"].to_numpy() - result.loadings.loc["pilates"].to_numpy()
    for value in tau:
        XWX, XWy, rest = 0.0, 0.0, 0.0
        for own, S, K in zip(model.blocks.batches, model.S, model.K, strict=True):
            V = S + value**2 * K[0]
            W, X, y = np.linalg.inv(V), model.X[own], model.y[own]
            XWX = XWX + np.einsum("bip,bij,bjq->pq", X, W, X)
            XWy = XWy + np.einsum("bip,bij,bj->p", X, W, y)
            rest -= 0.5 * (np.linalg.slogdet(V)[1].sum() + np.einsum("bi,bij,bj->", y, W, y))
        beta = np.linalg.solve(XWX, XWy)
        heights.append(rest + 0.5 * (XWy @ beta - np.linalg.slogdet(XWX)[1]) - value**2 / 128)
        sd = np.sqrt(row @ np.linalg.solve(XWX, row))
        below.append(stats.norm.cdf(3.0, row @ beta, sd))
    mass = np.exp(np.array(heights) - max(heights))
    expected = mass @ below / mass.sum()
    assert_allclose(result.probability_of("< 3", "yoga", "pilates"), expected, atol=1e-6)


def test_network_tells_effects_and_ranks(six):
    result = network(six, prior=priors.half_normal(8))
    table = result.effects()
    assert table["estimate"].is_monotonic_increasing and "usual_care" not in table.index
    turned = result.effects("yoga").loc["usual_care", "estimate"]
    assert_allclose(turned, -table.loc["yoga", "estimate"], atol=1e-9)
    assert_allclose(result.predict("yoga")["pi_low"], table.loc["yoga", "pi_low"])
    ranks = result.ranking()["sucra"]
    assert_allclose(ranks.mean(), 0.5)
    assert list(ranks.index[:2]) == list(table.index[:2])
    flipped = network(six, prior=priors.half_normal(8), lower_is_better=False)
    assert_allclose(flipped.ranking()["sucra"], 1 - ranks[flipped.ranking().index])
    with pytest.raises(ValueError, match="no treatment 'chess'"):
        result.predict("chess")


def test_network_of_wide_prior_is_close_to_reml(six, reference):
    result = network(six, prior=priors.half_cauchy(20))
    known = reference["network"]["REML"]
    assert abs(result.tau - known["tau"]) < 0.15 * known["tau"]
    low, high = result.conf_int().loc["yoga"]
    assert high - low > 2 * 1.96 * network(six).bse["yoga"]
