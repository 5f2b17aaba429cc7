"""Fits of many subsets at once against single fits."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.engine import subsets
from backpain_analysis.engine.heterogeneity import ESTIMATORS, WeightedFit, estimate_tau2
from backpain_analysis.engine.one_variance import independent
from backpain_analysis.engine.subsets import Chosen, FirstOnes, WithoutOne, fit_subsets
from backpain_analysis.models.pairwise.inputs import METHODS


def made(seed, k, p=1):
    """Variances over many orders of size, with or without heterogeneity, and one far outlier."""
    random = np.random.default_rng(seed)
    v = 10 ** random.uniform(-2, 2, k)
    y = random.normal(0, np.sqrt(v + random.choice([0.0, 0.3, 3.0])))
    y[0] += random.choice([0.0, 100.0, 1e5])
    return y, v, np.column_stack([np.ones(k), random.normal(size=(k, p - 1))])


def alone(y, v, X, method):
    if method == "CE":
        return 0.0
    if method in ESTIMATORS:
        return estimate_tau2(y, v, X, method)
    return independent(y, v, X, reml=method == "REML").psi


def agree(y, v, X, family, method):
    fits = fit_subsets(y, v, X, family, method)
    masks = family.masks(np.arange(len(family))).astype(bool)
    for row, keep in enumerate(masks):
        if keep.sum() <= X.shape[1]:
            continue
        tau2 = alone(y[keep], v[keep], X[keep], method)
        own, none = (
            WeightedFit(y[keep], v[keep], X[keep], tau2),
            WeightedFit(y[keep], v[keep], X[keep]),
        )
        assert_allclose(fits.tau2[row], tau2, rtol=1e-8, atol=1e-8 * v[keep].min())
        assert_allclose(fits.rss[row], own.rss, rtol=1e-7)
        assert_allclose(fits.q[row], none.rss, rtol=1e-8)
        assert_allclose(fits.trace[row], none.trace_p, rtol=1e-7)
        error = np.sqrt(np.diag(own.cov))
        assert_allclose(fits.beta[row] / error, own.beta / error, atol=1e-7)
        assert_allclose(np.linalg.inv(fits.information[row]), own.cov, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("direct", [subsets.DIRECT, 0])
@pytest.mark.parametrize("method", METHODS)
def test_each_is_what_it_is_alone(method, direct, monkeypatch):
    """All kinds of subsets, whole and in pieces, by the sums and read off polynomials."""
    monkeypatch.setattr(subsets, "DIRECT", direct)
    monkeypatch.setattr(subsets, "CELLS", subsets.CELLS if direct else 300)
    y, v, X = made(METHODS.index(method), 12)
    agree(y, v, X, WithoutOne(12, np.arange(12)), method)
    agree(y, v, X, FirstOnes(12, 2), method)
    agree(y, v, X, Chosen(np.random.default_rng(1).random((5, 12)) < 0.6), method)
    y, v, X = made(100 + METHODS.index(method), 12, p=3)
    agree(y, v, X, WithoutOne(12, np.array([0, 3, 11])), method)


@pytest.mark.parametrize("direct", [subsets.DIRECT, 0])
def test_the_highest_of_several_maxima(direct, monkeypatch):
    """Three trials whose likelihood is highest at 5.309, with a lower maximum at none."""
    monkeypatch.setattr(subsets, "DIRECT", direct)
    y, v = np.array([-5.79, -0.02, -0.04, 0.3]), np.array([4.905, 0.317, 0.264, 1e4])
    found = fit_subsets(y, v, np.ones((4, 1)), WithoutOne(4, np.arange(4)), "REML")
    assert_allclose(found.tau2[3], 5.309, atol=5e-4)
    agree(y, v, np.ones((4, 1)), WithoutOne(4, np.arange(4)), "REML")


@pytest.mark.parametrize("p", [1, 2])
def test_many_studies_are_never_laid_side_by_side(p, monkeypatch):
    """Only a few are fitted alone: neither time nor memory grows with the square of the studies."""
    k = 800
    y, v, X = made(4, k, p)
    seen = []
    masks = WithoutOne.masks
    monkeypatch.setattr(
        WithoutOne, "masks", lambda self, rows: seen.extend(rows) or masks(self, rows)
    )
    fits = fit_subsets(y, v, X, WithoutOne(k, np.arange(k)), "REML")
    assert len(seen) < 5
    for row in (0, 1, 700):
        keep = np.arange(k) != row
        tau2 = independent(y[keep], v[keep], X[keep], reml=True).psi
        assert_allclose(fits.tau2[row], tau2, rtol=1e-8, atol=1e-8 * v.min())
