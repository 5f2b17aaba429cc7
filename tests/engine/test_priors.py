"""Priors: densities, moments by hand, sources, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import integrate, stats

from backpain_analysis.engine import priors


@pytest.mark.parametrize(
    ("prior", "density"),
    [
        (priors.half_normal(0.5), stats.halfnorm(scale=0.5).pdf),
        (priors.half_cauchy(0.5), stats.halfcauchy(scale=0.5).pdf),
        (priors.half_t(0.7, 4), lambda x: 2 * stats.t(4, scale=0.7).pdf(x)),
        (priors.uniform(2.0), stats.uniform(0, 2).pdf),
        (priors.log_normal(-2.05, 1.71), lambda x: 2 * x * _lognormal(x**2)),
        (
            priors.log_t(-3.02, 2.27),
            lambda x: stats.t(5, -3.02, 2.27).pdf(np.log(x**2)) * 2 / x,
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, priors.TauPrior) else "",
)
def test_densities(prior, density):
    tau = np.array([0.01, 0.2, 0.6, 1.9])
    assert_allclose(np.exp(prior.log_density(tau)), density(tau), rtol=1e-12)
    middle, _ = integrate.quad(
        lambda u: float(np.exp(u + prior.log_density(np.exp(u)))),
        -400,
        np.log(prior.median),
        limit=500,
        points=[-20, -5],
    )
    assert_allclose(middle, 0.5, atol=1e-6)


def _lognormal(tau2):
    return stats.lognorm(s=1.71, scale=np.exp(-2.05)).pdf(tau2)


@pytest.mark.parametrize(
    "prior",
    [priors.half_normal(0.5), priors.half_t(0.5, 3), priors.uniform(2), priors.log_t(-3, 2)],
    ids=str,
)
def test_other_units(prior):
    """If tau has the prior, 20 tau has the rescaled one."""
    tau = np.array([0.1, 0.7, 1.9])
    assert_allclose(prior.rescaled(20).log_density(20 * tau), prior.log_density(tau) - np.log(20))


@pytest.mark.parametrize(
    ("arguments", "location", "scale"),
    [
        (("pain_intensity",), -3.02, 2.27),
        (("disability",), -3.02, 2.27),
        (("depression_anxiety",), None, None),
        (("general",), -3.44, 2.59),
        (("pain", "OR"), -2.05, 1.71),
        (("general", "OR"), -2.56, 1.74),
    ],
)
def test_empirical(arguments, location, scale):
    """The papers' numbers; mental health is not in the table of standardised differences."""
    if location is None:
        with pytest.raises(ValueError, match="unknown setting 'depression_anxiety'"):
            priors.empirical(*arguments)
        return
    found = priors.empirical(*arguments)
    assert (found.location, found.scale) == (location, scale)


def test_reference_uses_the_same_empirical_priors(reference2):
    rhodes = reference2["bayes"]["results"]["SMD 3 rhodes"]["prior_tau"]
    turner = reference2["bayes"]["results"]["OR 3 turner"]["prior_tau"]
    smd, odds = priors.empirical("pain"), priors.empirical("pain", "OR")
    assert (smd.location, smd.scale) == (rhodes["location"], rhodes["scale"])
    assert (odds.location, odds.scale) == (turner["mu"], turner["sigma"])


def test_editions_and_comparisons():
    assert priors.empirical("pain", "OR", comparison="active").location == -1.38
    assert priors.empirical("subjective", "OR", edition=2012).location == -2.01
    assert priors.empirical("pain", "MD", sd=20).median == pytest.approx(20 * np.exp(-1.51))


FAULTS = {
    "scale -1": lambda: priors.half_normal(-1),
    "df 0": lambda: priors.half_t(1, 0),
    "upper 0": lambda: priors.uniform(0),
    "sd inf": lambda: priors.normal(0, np.inf),
    "weight 1.5": lambda: priors.earlier([1], [1], 1.5),
    "2 earlier effect sizes but 1 variances": lambda: priors.earlier([1, 2], [1], 0.5),
    "must be known": lambda: priors.earlier([np.nan], [1], 0.5),
    "'MD' needs sd": lambda: priors.empirical("pain", "MD"),
    "measure 'RR'": lambda: priors.empirical("pain", "RR"),
    "unknown comparison": lambda: priors.empirical("pain", "OR", comparison="drug"),
    "unknown edition": lambda: priors.empirical("pain", "OR", edition=2020),
    "at least two": lambda: priors.mixture({"a": priors.half_normal(1)}),
    "weights name a but parts a, b": lambda: priors.mixture(
        {"a": priors.half_normal(1), "b": priors.half_normal(2)}, {"a": 1}
    ),
    "above 0": lambda: priors.mixture(
        {"a": priors.half_normal(1), "b": priors.half_normal(2)}, {"a": 1, "b": 0}
    ),
    "'b' has an improper prior": lambda: priors.mixture(
        {"a": priors.half_normal(1), "b": priors.uniform()}
    ),
    "flat and with normal": lambda: priors.mixture(
        {"a": priors.half_normal(1), "b": priors.Prior(priors.half_normal(1), priors.normal(0, 1))}
    ),
}


@pytest.mark.parametrize("text", FAULTS)
def test_faults(text):
    with pytest.raises(ValueError, match=text):
        FAULTS[text]()


@pytest.mark.parametrize(
    ("prior", "text"),
    [
        (priors.half_cauchy(0.5), "half-Cauchy(0.5)"),
        (priors.half_t(0.5, 4), "half-t(0.5, 4 df)"),
        (priors.uniform(), "uniform on tau"),
        (priors.uniform(2), "uniform(2)"),
        (priors.log_normal(-2.05, 1.71), "log-normal(-2.05, 1.71) on tau²"),
        (
            priors.Prior(priors.half_normal(1), {"weeks": priors.normal(0, 2)}),
            "half-normal(1), weeks normal(0, 2)",
        ),
    ],
)
def test_words(prior, text):
    assert str(prior) == text


def test_empirical_numbers_add_up():
    """Locations are a part of the outcome plus one of the comparison: to rounding all differ alike.

    Beside Rhodes's, its column of drugs against placebo; beside Turner's, the two of ours.
    """
    drugs = {"obstetric": -4.13, "resource_use": -2.55, "internal_structure": -2.43, "pain": -3.16}
    drugs |= {"signs_symptoms": -3.00, "biological_markers": -3.41, "subjective": -2.76}
    for setting, other in drugs.items():
        assert priors.RHODES[setting][0] - other == pytest.approx(0.14, abs=0.0101)
    for setting, (control, active) in priors.TURNER_2015.items():
        apart = 0 if setting == "general" else 0.665
        assert active[0] - control[0] == pytest.approx(apart, abs=0.0101), setting
        assert active[1] <= control[1]
