"""Pooling with a prior against exact quadrature (reference2.json, `bayes`) and by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import integrate, stats

from backpain_analysis.engine import priors
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.pairwise.pooling import pool
from tests.figures.drawn import make_effects

BAYES = json.loads((Path(__file__).parents[2] / "reference/reference2.json").read_text())["bayes"]
RESULTS = BAYES["results"]
HALF_NORMAL = priors.half_normal(0.5)
SIZES = (3, 9)


def prior_of(words: dict) -> priors.Prior:
    tau, mu = words["prior_tau"], words["prior_mu"]
    family = tau["family"]
    if family == "half-normal":
        chosen = priors.half_normal(tau["scale"])
    elif family == "half-Cauchy":
        chosen = priors.half_cauchy(tau["scale"])
    elif family.startswith("improper"):
        chosen = priors.uniform()
    elif family.startswith("log-t"):
        chosen = priors.log_t(tau["location"], tau["scale"])
    else:
        chosen = priors.log_normal(tau["mu"], tau["sigma"])
    effects = None if isinstance(mu, str) else priors.normal(mu["mean"], mu["sd"])
    return priors.Prior(chosen, effects)


def posterior_of(key: str):
    name, count = key.split()[:2]
    data = BAYES["data"][name]
    return pool(data["yi"][: int(count)], data["vi"][: int(count)], prior=prior_of(RESULTS[key]))


@pytest.mark.parametrize("key", RESULTS)
def test_exact_values(key):
    """All of it to 1e-4 of a posterior SD, most to 1e-9.

    Where the SD is infinite the reference ends its integral at tau of about a million: there
    probabilities agree to 2e-6 (`test_heavy_tail` has the rest).
    """
    exact, result = RESULTS[key]["exact"], posterior_of(key)
    assert result.error < 1e-7
    parts = {"tau": ("tau", False), "mu": ("estimate", False), "theta_new": ("estimate", True)}
    for part, (name, new) in parts.items():
        found, expected = result.marginal(name, new=new), exact[part]
        probs, quantiles = np.array(exact["probs"]), np.array(expected["quantiles"])
        assert_allclose(found.cdf(quantiles), probs, atol=2e-6)
        if "sd" not in expected:
            continue
        sd = expected["sd"]
        assert_allclose(found.ppf(probs), quantiles, atol=1e-4 * sd)
        assert_allclose(found.interval(0.95, "equal-tailed"), expected["central95"], atol=1e-4 * sd)
        assert_allclose(found.interval(0.95, "shortest"), expected["shortest95"], atol=1e-4 * sd)
        assert_allclose(
            [found.median(), found.mean], [expected["median"], expected["mean"]], atol=1e-6 * sd
        )
        assert_allclose(found.sd, sd, rtol=3e-4)
        if part == "tau":
            density = found.pdf(np.array(expected["density_at"]))
            assert_allclose(density, expected["density"], rtol=1e-4, atol=1e-6)
        else:
            assert_allclose(result.probability("< 0", new=new), expected["p_below_0"], atol=1e-9)
    shrunk = result.shrinkage()
    assert_allclose(shrunk["estimate"], exact["shrinkage"]["mean"], atol=1e-6)
    assert_allclose(shrunk["sd"], exact["shrinkage"]["sd"], rtol=1e-5)
    if "log_marginal_likelihood" in exact:
        evidence = result.model.log_evidence(result.prior)
        assert_allclose(evidence, exact["log_marginal_likelihood"], atol=1e-8)
        assert_allclose(result.bayes_factor(), exact["bayes_factor_tau0"], rtol=1e-6)
        assert_allclose(result.bayes_factor("estimate = 0"), exact["bayes_factor_mu0"], rtol=1e-6)


def test_heavy_tail():
    """Three trials, uniform tau: quantiles by integrating over 1 / tau, which ends nowhere."""
    y, v = (np.array(BAYES["data"]["SMD"][name][:3]) for name in ("yi", "vi"))

    def density(tau):
        w = 1 / (v + tau**2)
        mean = w @ y / w.sum()
        return np.sqrt(w.prod() / w.sum()) * np.exp(-0.5 * w @ (y - mean) ** 2)

    def beyond(tau):
        return integrate.quad(lambda u: density(1 / u) / u**2, 1e-300, 1 / tau, epsabs=0)[0]

    total = integrate.quad(density, 0, 2, epsabs=0)[0] + beyond(2)
    result = pool(y, v, prior=priors.uniform())
    ends = result.marginal("tau").ppf(np.array([0.75, 0.95, 0.995]))
    assert_allclose([beyond(end) / total for end in ends], [0.25, 0.05, 0.005], rtol=1e-6)
    assert np.isnan(result.means["estimate"]) and np.isnan(result.bse["estimate"])


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_units_do_not_matter(factor):
    y, v = np.array([-0.5, -0.2, -1.0]), np.array([0.04, 0.05, 0.1])
    plain = pool(y, v, prior=HALF_NORMAL).summary().iloc[0]
    scaled = pool(y * factor, v * factor**2, prior=priors.half_normal(0.5 * factor))
    assert_allclose(scaled.summary().iloc[0] / factor, plain, rtol=1e-9)


def test_a_far_origin_does_not_matter():
    y, v = np.array([-0.5, -0.2, -1.0]), np.array([0.04, 0.05, 0.1])
    plain, moved = (pool(y + far, v, prior=HALF_NORMAL) for far in (0.0, 1e6))
    assert_allclose(moved.conf_int() - 1e6, plain.conf_int(), atol=1e-8)


def test_one_trial_is_the_prior_and_its_sampling_error():
    """With one trial tau keeps its prior, and mu is y with variance v + tau2."""
    result = pool([-8.0], [4.0], prior=priors.half_normal(3.0))
    tau = result.marginal("tau")
    at = np.array([0.5, 2.0, 6.0])
    assert_allclose(tau.cdf(at), stats.halfnorm(scale=3).cdf(at), atol=1e-8)
    low, _ = integrate.quad(
        lambda t: stats.halfnorm(scale=3).pdf(t) * stats.norm(-8, np.hypot(2, t)).cdf(-12), 0, 60
    )
    assert_allclose(result.probability("< -12"), low, atol=1e-8)
    assert result.estimate == pytest.approx(-8.0)


@pytest.mark.parametrize(("count", "more"), [(1, 2), (2, 1)])
def test_uniform_prior_of_few_trials_is_improper(count, more):
    with pytest.raises(CannotEstimate, match=f"{count} trials? is improper: add {more} more"):
        pool([-1.0, -2.0][:count], [1.0, 1.0][:count], prior=priors.uniform())
    normal = priors.Prior(priors.uniform(), priors.normal(0, 1))
    if count == 2:
        assert pool([-1.0, -2.0], [1.0, 1.0], prior=normal).n_trials == 2
    assert pool([-1.0, -2.0][:count], [1.0, 1.0][:count], prior=priors.uniform(5)).error < 1e-7


def test_equal_effects_and_unequal_variances():
    """No heterogeneity at all; and variances that differ by ten orders of magnitude."""
    equal = pool([1.0, 1.0, 1.0, 1.0], [1.0] * 4, prior=HALF_NORMAL)
    assert equal.tau_int()[0] == 0.0
    assert_allclose(equal.estimate, 1.0)
    wide = pool([0.0, 5.0, 9.0], [1e-6, 1.0, 1e4], prior=HALF_NORMAL)
    w_max = integrate.quad(lambda t: _height(t, wide), 0, 6, epsabs=0, points=[0.3], limit=300)[0]
    low = integrate.quad(
        lambda t: _height(t, wide) * _below(t, wide, 0.5), 0, 6, epsabs=0, points=[0.3], limit=300
    )
    assert_allclose(wide.probability("< 0.5"), low[0] / w_max, atol=1e-7)


def _weighted(tau, result):
    y, v = result.table["yi"].to_numpy(), result.table["vi"].to_numpy()
    w = 1 / (v + tau**2)
    return y, w, w @ y / w.sum()


def _height(tau, result):
    y, w, mean = _weighted(tau, result)
    likelihood = np.sqrt(w.prod() / w.sum()) * np.exp(-0.5 * w @ (y - mean) ** 2)
    return likelihood * stats.halfnorm(scale=0.5).pdf(tau)


def _below(tau, result, value):
    _, w, mean = _weighted(tau, result)
    return stats.norm(mean, w.sum() ** -0.5).cdf(value)


def test_weights_of_a_mixture_follow_the_evidence():
    y, v = [-0.9, -0.7, -1.0], [0.04, 0.05, 0.1]
    sceptical = priors.Prior(HALF_NORMAL, priors.normal(0, 0.2))
    keen = priors.Prior(HALF_NORMAL, priors.normal(-0.8, 0.3))
    alone = {name: pool(y, v, prior=p) for name, p in (("no", sceptical), ("yes", keen))}
    both = pool(y, v, prior=priors.mixture({"no": sceptical, "yes": keen}, {"no": 3, "yes": 1}))
    heights = {name: np.exp(one.model.log_evidence(one.prior)) for name, one in alone.items()}
    share = 0.75 * heights["no"] / (0.75 * heights["no"] + 0.25 * heights["yes"])
    assert_allclose(both.part_weights["no"], share, rtol=1e-9)
    for name, new in (("estimate", False), ("estimate", True), ("tau", False)):
        parts = [one.probability("< 0.1", name, new=new) for one in alone.values()]
        mixed = share * parts[0] + (1 - share) * parts[1]
        assert_allclose(both.probability("< 0.1", name, new=new), mixed, rtol=1e-9)
    assert_allclose(both.marginal("tau").cdf(np.array([both.tau])), 0.5)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_earlier_trials_count_by_their_weight(weight):
    """By hand: the earlier likelihood to a power, on a grid of mu and tau."""
    y, v = np.array([-0.9, -0.3]), np.array([0.04, 0.1])
    y0, v0 = np.array([-0.2, 0.1, -0.4]), np.array([0.05, 0.03, 0.08])
    prior = priors.Prior(HALF_NORMAL, earlier=priors.earlier(y0, v0, weight))
    result = pool(y, v, prior=prior)
    mu, tau = np.linspace(-9, 8, 1201)[:, None, None], (np.arange(400) + 0.5)[None, :, None] / 100
    log = stats.norm.logpdf(y, mu, np.sqrt(v + tau**2)).sum(axis=2)
    log = log + weight * stats.norm.logpdf(y0, mu, np.sqrt(v0 + tau**2)).sum(axis=2)
    mass = np.exp(log) * stats.halfnorm(scale=0.5).pdf(tau[..., 0])
    mass = mass.sum(axis=1) / mass.sum()
    assert_allclose(result.means["estimate"], mass @ mu[:, 0, 0], atol=2e-4)
    assert len(result.shrinkage()) == 2
    if weight == 1:
        together = pool(np.r_[y, y0], np.r_[v, v0], prior=HALF_NORMAL)
        assert_allclose(result.conf_int(), together.conf_int(), rtol=1e-10)
    if weight == 0:
        assert_allclose(result.conf_int(), pool(y, v, prior=HALF_NORMAL).conf_int(), rtol=1e-10)


def test_arms_of_one_trial_are_correlated():
    """Two arms against one reference: mean and covariance by hand at every tau."""
    effects = make_effects(
        [
            {"trial_id": "t1", "yi": -8.0, "vi": 4.0},
            {"trial_id": "t1", "arm_id": "a3", "yi": -3.0, "vi": 4.0},
            {"trial_id": "t2", "yi": -6.0, "vi": 9.0},
        ]
    )
    S = np.array([[4.0, 2.0], [2.0, 4.0]])
    effects = type(effects)(
        effects.table, (S, np.array([[9.0]])), effects.excluded, "pain_intensity", "MD"
    )
    result = pool(effects, prior=priors.half_normal(5))
    y = effects.table["yi"].to_numpy()
    V = np.zeros((3, 3))

    def at(tau):
        V[:2, :2] = S + tau**2 * np.array([[1, 0.5], [0.5, 1]])
        V[2, 2] = 9 + tau**2
        W = np.linalg.inv(V)
        mean = W.sum(0) @ y / W.sum()
        height = np.exp(-0.5 * (y - mean) @ W @ (y - mean))
        height *= np.sqrt(np.linalg.det(W) / W.sum()) * stats.halfnorm(scale=5).pdf(tau)
        return height, stats.norm(mean, W.sum() ** -0.5).cdf(-5)

    total = integrate.quad(lambda t: at(t)[0], 0, 50)[0]
    below = integrate.quad(lambda t: np.prod(at(t)), 0, 50)[0]
    assert_allclose(result.probability("< -5"), below / total, atol=1e-7)
    assert result.n_trials == 2
    assert_allclose(result.table["weight"].sum(), 100)


def test_auto_prior():
    """Points of 100: the prior of standardised differences times the SD that the trials imply."""
    rows = [
        {"yi": -8.0, "vi": 400 * (1 / 20 + 1 / 22)},
        {"yi": -5.0, "vi": 400 * (1 / 20 + 1 / 22)},
    ]
    result = pool(make_effects(rows), prior="auto")
    assert result.prior == priors.empirical("pain_intensity", "MD", sd=20.0)
    assert result.prior.source == "Rhodes et al. 2015, pain"
    assert result.n_participants == 84
    with pytest.raises(ValueError, match="prior='auto' needs to know outcome and measure"):
        pool([1.0, 2.0], [1.0, 1.0], prior="auto")
    with pytest.raises(ValueError, match="unknown prior 'flat'"):
        pool([1.0, 2.0], [1.0, 1.0], prior="flat")
    unsized = make_effects([{**row, "n_arm": np.nan} for row in rows])
    with pytest.raises(CannotEstimate, match="no arm's size is known"):
        pool(unsized, prior="auto")


def test_one_line_says_what_it_is():
    found = pool([-10.0, -3.0], [4.0, 5.0], prior=priors.half_normal(5))
    low, high = found.conf_int(kind="equal-tailed").iloc[0]
    shown = f"{found.estimate:.4g} (95% CrI {low:.4g} to {high:.4g})"
    assert repr(found) == f"<PooledPosterior: {shown}, 2 trials>"
    assert "Prior: half-normal(5). Numerical" in str(found)
    told = pool([-10.0, -3.0], [4.0, 5.0], prior=priors.empirical("pain", "MD", sd=20))
    assert "on tau² (Rhodes et al. 2015, pain). Numerical" in str(told)


def test_sensitivity():
    result = pool([-0.9, -0.7, -0.2], [0.04, 0.05, 0.1], prior=HALF_NORMAL)
    table = result.sensitivity(than="< -0.5")
    assert list(table.index) == [
        "as chosen",
        "half as wide",
        "twice as wide",
        "half-Cauchy, same median",
    ]
    other = pool([-0.9, -0.7, -0.2], [0.04, 0.05, 0.1], prior=priors.half_normal(1.0))
    row = table.loc["twice as wide"]
    assert_allclose([row["estimate"], row["tau"]], [other.estimate, other.tau], rtol=1e-9)
    assert_allclose(row["probability"], other.probability("< -0.5"), rtol=1e-9)
    cauchy = pool([-0.9, -0.7, -0.2], [0.04, 0.05, 0.1], prior=priors.half_cauchy(1.0))
    assert list(cauchy.sensitivity().index)[3:] == ["half-normal, same median"]

    own = result.sensitivity({"wide": priors.half_cauchy(2)})
    assert list(own.index) == ["as chosen", "wide"] and "probability" not in own


WRONG = {
    "no comparison": lambda r: r.probability("-10"),
    "holds no number": lambda r: r.probability("< ten"),
    "no parameter 'weeks'": lambda r: r.probability("< 0", "weeks"),
    "unknown interval 'central'": lambda r: r.conf_int(kind="central"),
    "level 95 must lie": lambda r: r.conf_int(95),
    "is none: write": lambda r: r.bayes_factor("tau"),
    "only 'tau = 0'": lambda r: r.bayes_factor("tau = 1"),
    "no parameter 'slope'": lambda r: r.bayes_factor("slope = 0"),
    "flat prior of estimate gives no Bayes factor": lambda r: r.bayes_factor("estimate = 0"),
}


@pytest.mark.parametrize("text", WRONG)
def test_faults(text):
    with pytest.raises(ValueError, match=text):
        WRONG[text](pool([-0.9, -0.7, -0.2], [0.04, 0.05, 0.1], prior=HALF_NORMAL))


def test_improper_prior_has_no_bayes_factor():
    result = pool([-0.9, -0.7, -0.2], [0.04, 0.05, 0.1], prior=priors.uniform())
    with pytest.raises(CannotEstimate, match="improper prior of tau gives no Bayes factor"):
        result.bayes_factor()


def test_unknown_coefficient_in_a_prior():
    prior = priors.Prior(HALF_NORMAL, {"weeks": priors.normal(0, 1)})
    with pytest.raises(ValueError, match="no coefficient 'weeks': the model has estimate"):
        pool([1.0, 2.0], [1.0, 1.0], prior=prior)


def test_it_reads_as_other_results():
    result = pool([-0.9, -0.7, -0.2], [0.04, 0.05, 0.1], prior=HALF_NORMAL)
    assert re.search(r"Prior: half-normal\(0.5\). Numerical error below \de-\d\d\.", str(result))
    assert "Posterior, 3 trials" in result._repr_html_()
    low, high = result.conf_int(0.8).iloc[0]
    assert result.ci_low < low < result.estimate < high < result.ci_high
    assert result.pi_low < result.ci_low
    density = result.density()
    assert_allclose(np.trapezoid(density["density"], density["x"]), 0.998, atol=1e-4)


@pytest.mark.parametrize(
    ("prior", "count", "mean", "sd"),
    [
        (priors.half_t(1, 3), 1, True, True),
        (priors.half_t(1, 2), 1, True, False),
        (priors.half_cauchy(1), 1, False, False),
        (priors.half_cauchy(1), 2, True, False),
        (priors.half_cauchy(1), 3, True, True),
        (priors.half_normal(1), 1, True, True),
        (priors.uniform(), 3, False, False),
        (priors.uniform(), 4, True, False),
        (priors.uniform(), 5, True, True),
        (priors.log_t(-3, 2), 2, True, False),
        (priors.log_t(-3, 2), 3, True, True),
        (priors.log_normal(-3, 2), 1, True, True),
    ],
    ids=str,
)
def test_moments_exist_where_the_tail_is_light_enough(prior, count, mean, sd):
    """The posterior of tau falls as `tau**-(k - 1)` times the prior, the mean as wide as tau."""
    result = pool(np.arange(count) / 2.0, np.ones(count), prior=prior)
    assert np.isfinite(result.means.iloc[0]) == mean
    assert np.isfinite(result.bse.iloc[0]) == sd


def test_history_in_a_mixture_is_weighed_as_a_prior():
    """With and without earlier trials: evidence is that of the new data given the earlier ones."""
    y, v = np.array([-0.9, -0.3]), np.array([0.04, 0.1])
    y0, v0 = np.array([-0.2, 0.1, -0.4]), np.array([0.05, 0.03, 0.08])
    vague = priors.normal(0, 1)
    history = priors.Prior(HALF_NORMAL, vague, earlier=priors.earlier(y0, v0, 1.0))
    none = priors.Prior(HALF_NORMAL, vague)
    both = pool(y, v, prior=priors.mixture({"history": history, "none": none}))
    heights = {}
    for name, data in (("new", (y, v)), ("old", (y0, v0)), ("all", (np.r_[y, y0], np.r_[v, v0]))):
        one = pool(*data, prior=none)
        heights[name] = one.model.log_evidence(none)
    given, alone = np.exp(heights["all"] - heights["old"]), np.exp(heights["new"])
    assert_allclose(both.part_weights["history"], given / (given + alone), rtol=1e-8)


def test_both_sides_of_a_comparison():
    result = pool([-0.9, -0.7, -0.2], [0.04, 0.05, 0.1], prior=HALF_NORMAL)
    for value in (-1, -0.6, 0.2):
        below = result.probability(f"< {value}")
        assert_allclose(result.probability(f">= {value}"), 1 - below, rtol=1e-12)
    assert_allclose(result.probability("< −0.6"), result.probability("< -0.6"))
    assert result.probability("< 0") > 0.9 > result.probability("> 0")


def test_bayes_factor_of_a_value():
    """Savage & Dickey: posterior over prior density of the effect, at that value."""
    prior = priors.Prior(HALF_NORMAL, priors.normal(0.1, 0.8))
    result = pool([-0.9, -0.7, -0.2], [0.04, 0.05, 0.1], prior=prior)
    for value in (-0.5, 0.0, 0.3):
        density = result.marginal().pdf(np.array([value]))[0]
        expected = density / stats.norm(0.1, 0.8).pdf(value)
        assert_allclose(result.bayes_factor(f"estimate = {value}"), expected, rtol=1e-6)
