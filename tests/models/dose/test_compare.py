"""Curves side by side."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from backpain_analysis.errors import CannotEstimate
from backpain_analysis.evidence.evidence import load_evidence
from backpain_analysis.models.dose.comparison import compare_curves
from backpain_analysis.models.dose.fit import dose_response
from backpain_analysis.models.dose.search import _root
from tests.figures.drawn import make_effects


@pytest.fixture(scope="module")
def comparison(reference_table):
    return compare_curves(reference_table("dose"), ["linear", "quadratic", "log"], mcid=10)


def test_weights_follow_aic(comparison):
    aic = comparison.table["aic"]
    relative = np.exp(-(aic - aic.min()) / 2)
    assert_allclose(comparison.table["weight"], relative / relative.sum())


def test_likelihood_ratio_against_the_line(comparison, reference_table):
    """ML fits: 2 coefficients and 3 variances against 1 and 1."""
    line, bent = (
        dose_response(reference_table("dose"), curve=curve, method="ML").llf
        for curve in ("linear", "quadratic")
    )
    row = comparison.table.loc["quadratic"]
    assert_allclose(row["lrt"], 2 * (bent - line), rtol=1e-9)
    assert row["lrt_df"] == 3
    assert_allclose(row["lrt_p"], stats.chi2.sf(2 * (bent - line), 3), rtol=1e-9)
    assert np.isnan(comparison.table.loc["log", "lrt"])


def test_average_by_hand(comparison):
    weights = comparison.table["weight"]
    own = {name: fit.predict([100]).iloc[0] for name, fit in comparison.results.items()}
    mean = sum(weights[name] * row["estimate"] for name, row in own.items())
    se = sum(
        weights[name] * np.hypot(row["se"], row["estimate"] - mean) for name, row in own.items()
    )
    averaged = comparison.predict([100]).iloc[0]
    assert_allclose(averaged[["estimate", "se"]], [mean, se])


def test_curves_that_cannot_be_fitted_say_why():
    effects = load_evidence().effects("pain_intensity")
    few = effects.select(effects.table["minutes_per_week"] == 75, "another dose")
    table = compare_curves(few, dose="minutes_per_week").table
    assert "cannot carry the curve 'rcs'" in table.loc["rcs", "note"]
    assert np.isnan(table.loc["rcs", "aic"])
    with pytest.raises(ValueError, match="no curve can be fitted"):
        compare_curves(few, ["rcs"], dose="minutes_per_week")


def test_one_curve_averaged_is_that_curve(reference_table):
    """Places and intervals of a comparison of one are those of its fit."""
    alone = compare_curves(reference_table("dose"), ["linear"], heterogeneity="contrasts")
    fit = alone.results["linear"]
    ours, own = alone.dose_for(-5), fit.dose_for(-5)
    assert_allclose(
        [ours.estimate, ours.ci_low, ours.ci_high],
        [own.estimate, own.ci_low, own.ci_high],
        rtol=1e-4,
    )
    assert alone.optimum().estimate == fit.optimum().estimate
    assert alone.weight_of_dose == 1


def test_a_constant_effect_has_no_best_dose(reference_table):
    flat = compare_curves(reference_table("dose"), ["constant"], heterogeneity="contrasts")
    assert flat.weight_of_dose == 0
    with pytest.raises(CannotEstimate, match="no best dose"):
        flat.optimum()


def test_the_averaged_effect_of_one_curve_is_its_own(reference_table):
    alone = compare_curves(reference_table("dose"), ["linear"], heterogeneity="contrasts")
    fit = alone.results["linear"]
    row = fit.predict([80.0]).iloc[0]
    estimate, low, high, p = alone.effect_at(80.0)
    assert_allclose([estimate, low, high], row[["estimate", "ci_low", "ci_high"]].astype(float))
    assert_allclose(p, 2 * stats.t.sf(abs(row["estimate"] / row["se"]), float(np.min(fit.df))))


def test_without_an_arm_of_no_dose_effects_are_against_the_smallest():
    """As those of each curve are: an averaged effect has the reference dose of its curves."""
    rows = [
        {"yi": yi, "vi": 1.0, "minutes_per_week": high, "ref_minutes_per_week": low}
        for yi, low, high in (
            (-3, 30, 60),
            (-6, 30, 90),
            (-5, 60, 120),
            (-9, 30, 120),
            (-2, 60, 90),
        )
    ]
    alone = compare_curves(
        make_effects(rows), ["linear"], dose="minutes_per_week", heterogeneity="contrasts"
    )
    fit = alone.results["linear"]
    row = fit.predict([100.0]).iloc[0]
    assert fit.reference_dose == 30
    assert_allclose(
        alone.effect_at(100.0)[:3], row[["estimate", "ci_low", "ci_high"]].astype(float)
    )
    ours, own = alone.dose_for(-4), fit.dose_for(-4)
    assert_allclose(
        [ours.estimate, ours.ci_low, ours.ci_high],
        [own.estimate, own.ci_low, own.ci_high],
        rtol=1e-3,
    )


def test_averages_take_the_degrees_of_freedom_of_each_dose(reference_table):
    """Of one curve with a robust covariance they are its own, interval by interval."""
    alone = compare_curves(
        reference_table("dose"), ["quadratic"], heterogeneity="contrasts", test="CR2"
    )
    fit = alone.results["quadratic"]
    columns = ["estimate", "se", "ci_low", "ci_high"]
    assert_allclose(alone.predict([20, 390])[columns], fit.predict([20, 390])[columns])
    row = fit.predict([20.0]).iloc[0]
    assert_allclose(alone.effect_at(20.0)[:3], row[["estimate", "ci_low", "ci_high"]].astype(float))
    ours, own = alone.dose_for(-5), fit.dose_for(-5)
    assert_allclose([ours.ci_low, ours.ci_high], [own.ci_low, own.ci_high], rtol=2e-3)


def test_a_best_dose_is_found_where_the_covariance_has_no_full_rank():
    cov = np.outer([1.0, 1e-3, -2e-6], [1.0, 1e-3, -2e-6])
    root = _root(cov)
    assert_allclose(root @ root.T, cov, atol=1e-15)


def test_the_averaged_interval_has_averaged_tails(comparison):
    """At its ends the curves' tail areas, each by its weight, average to 2.5%."""
    estimate, low, high, p = comparison.effect_at(100.0)
    weights = comparison.weights.to_numpy()
    rows = [fit.predict([100.0]).iloc[0] for fit in comparison.results.values()]
    df = [float(np.min(fit.df)) for fit in comparison.results.values()]

    def tail(end, side):
        t = [side * (row["estimate"] - end) / row["se"] for row in rows]
        return float(weights @ stats.t.sf(t, df))

    assert_allclose([tail(high, -1), tail(low, 1)], 0.025)
    assert_allclose(estimate, weights @ [row["estimate"] for row in rows])
    assert_allclose(p, 2 * min(tail(0.0, 1), tail(0.0, -1)))
    assert low < estimate < high
