"""Exercising at all told apart from its dose; and nothing outside the doses studied."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from scipy.special import gammaln

from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.dose.comparison import compare_curves
from backpain_analysis.models.dose.curves import named
from backpain_analysis.models.dose.fit import dose_response, doses_of_arms
from tests.figures.drawn import make_effects


def effects(truth, doses=(30, 60, 90, 120, 150, 180), extra=(), vi=4.0):
    rows = [{"yi": truth(d), "vi": vi, "minutes_per_week": float(d)} for d in doses]
    return make_effects([*rows, *extra])


def fitted(truth, **options):
    return dose_response(effects(truth), dose="minutes_per_week", **options)


def test_the_step_and_what_dose_adds_by_hand():
    """-8 - 0.05 d: -13.25 at the median dose 105, a slope of -0.05; weighted least squares."""
    result = fitted(lambda d: -8 - 0.05 * d, any_exercise=True, method="CE")
    assert result.curve.name == "step + linear"
    assert result.typical_dose == 105
    assert_allclose(result.params, [-13.25, -0.05], atol=1e-9)
    centred = np.array([30, 60, 90, 120, 150, 180]) - 105.0
    assert_allclose(result.bse, [np.sqrt(4 / 6), np.sqrt(4 / np.sum(centred**2))])
    assert_allclose(result.predict([0, 60, 150])["estimate"], [0, -11, -15.5], atol=1e-9)


def test_dose_among_exercisers_apart_from_exercise_at_all():
    """The same effect at every dose: exercise is clear, its dose is not."""
    result = fitted(lambda d: -12 + (d % 60 > 0), any_exercise=True, method="CE")
    test = result.test_dose()
    slope = result.params["dose"] / result.bse["dose"]
    assert_allclose(test["p_value"], 2 * stats.norm.sf(abs(slope)))
    assert test["p_value"] > 0.5 > 1e-6 > result.test_overall()["p_value"]
    through_zero = fitted(lambda d: -12 + (d % 60 > 0), method="CE")
    assert through_zero.test_overall()["p_value"] < 1e-6
    with pytest.raises(CannotEstimate, match="any_exercise=True"):
        through_zero.test_dose()
    with pytest.raises(ValueError, match="no dose in it"):
        fitted(lambda d: -12, curve="constant", method="CE").test_dose()


def test_a_bend_beside_the_step_is_tested_alone():
    result = fitted(lambda d: -8 + 0.001 * (d - 100) ** 2, curve="step + quadratic", method="CE")
    bend = result.params["dose^2"] / result.bse["dose^2"]
    assert_allclose(result.test_nonlinearity()["p_value"], 2 * stats.norm.sf(abs(bend)))


def test_trials_that_randomised_to_different_doses_are_counted():
    direct = [
        {"trial_id": "d", "arm_id": "a1", "yi": -4.0, "minutes_per_week": 150.0, "vi": 4.0}
        | {"ref_minutes_per_week": 75.0},
        {"trial_id": "same", "arm_id": "a1", "yi": -9.0, "minutes_per_week": 60.0, "vi": 4.0},
    ]
    result = dose_response(
        effects(lambda d: -8.0, extra=direct), dose="minutes_per_week", any_exercise=True
    )
    assert result.direct_trials == ["d"]
    assert result.test_dose()["trials"] == 1


def test_a_constant_effect_is_the_pooled_one():
    """Inverse-variance mean; the same at every dose."""
    result = fitted(lambda d: -0.1 * d, curve="constant", method="CE")
    assert_allclose(result.params, [-10.5])
    assert_allclose(result.bse, [np.sqrt(4 / 6)])
    assert_allclose(result.predict([30, 180])["estimate"], -10.5)


@pytest.mark.parametrize("curve", ["constant", "step + linear"])
def test_a_step_needs_arms_without_a_dose(curve):
    rows = [
        {"yi": -3.0, "vi": 4.0, "minutes_per_week": d, "ref_minutes_per_week": 30.0}
        for d in (60.0, 90.0, 120.0, 150.0)
    ]
    with pytest.raises(CannotEstimate, match="no arm without a dose"):
        dose_response(make_effects(rows), dose="minutes_per_week", curve=curve)


def test_names():
    assert named("constant", any_exercise=True).name == "constant"
    assert named("step + rcs").name == named("rcs", any_exercise=True).name == "step + rcs"
    with pytest.raises(ValueError, match="unknown curve 'step \\+ cubic'"):
        named("step + cubic")


def test_heterogeneity_of_contrasts_by_hand():
    """Two-arm trials with one variance: random-effects meta-analysis of the constant effect."""
    yi = np.array([-2.0, -14.0, -6.0, -10.0, -3.0, -12.0])
    data = make_effects(
        [{"yi": y, "vi": 4.0, "minutes_per_week": 30.0 * (k + 1)} for k, y in enumerate(yi)]
    )
    options = {"dose": "minutes_per_week", "curve": "constant", "heterogeneity": "contrasts"}
    result = dose_response(data, **options)
    assert_allclose(result.tau2, np.var(yi, ddof=1) - 4, rtol=1e-6)
    assert_allclose(result.bse, np.sqrt(np.var(yi, ddof=1) / 6), rtol=1e-6)
    row = result.predict([60]).iloc[0]
    half = stats.t.ppf(0.975, 5) * np.sqrt(np.var(yi, ddof=1) / 6 + result.tau2)
    assert_allclose(row["pi_high"] - row["estimate"], half, rtol=1e-6)
    scaled = dose_response(data, test="knapp-hartung", **options)
    assert_allclose(scaled.bse, np.std(yi, ddof=1) / np.sqrt(6), rtol=1e-6)
    with pytest.raises(ValueError, match="heterogeneity='curve' only"):
        result.trial_curves()
    with pytest.raises(ValueError, match="in two stages be 'curve'"):
        dose_response(data, stages=2, **options)


def test_contrasts_that_share_an_arm_correlate_by_half():
    rows = [
        {"trial_id": f"t{k // 2}", "arm_id": f"a{k}", "ref_arm_id": "c", "yi": y, "vi": 4.0}
        | {"minutes_per_week": 30.0 * (k + 1)}
        for k, y in enumerate([-2.0, -14.0, -6.0, -10.0, -3.0, -12.0])
    ]
    data = make_effects(rows)
    data = replace(data, covariance=(np.array([[4.0, 2.0], [2.0, 4.0]]),) * 3)
    options = {"dose": "minutes_per_week", "curve": "constant", "heterogeneity": "contrasts"}
    result = dose_response(data, **options)
    (W,) = result.engine.precision
    V = np.linalg.inv(W[0])
    assert_allclose(V[0, 0], 4 + result.tau2, rtol=1e-6)
    assert_allclose(V[0, 1], 2 + result.tau2 / 2, rtol=1e-6)


@pytest.mark.parametrize(
    ("curve", "doses", "outside"),
    [
        ("linear", [0, 10, 30, 180, 181], [False, False, False, False, True]),
        ("step + linear", [0, 10, 30, 180, 181], [False, True, False, False, True]),
        ("constant", [0, 10, 30, 180, 181], [False, True, False, False, True]),
    ],
)
def test_doses_not_studied_are_refused_and_marked(curve, doses, outside):
    result = fitted(lambda d: -0.1 * d, curve=curve, method="CE")
    assert list(result.outside(doses)) == outside
    for dose, refused in zip(doses, outside, strict=True):
        if refused:
            with pytest.raises(CannotEstimate, match=f"no arm was given {dose} minutes_per_week"):
                result.predict([dose])
        else:
            result.predict([dose])
    assert list(result.predict(doses, extrapolate=True)["extrapolated"]) == outside
    assert "extrapolated" not in result.predict()
    assert not result.outside(result.predict()["dose"]).any()


def test_every_way_to_a_dose_not_studied_is_refused():
    result = fitted(lambda d: -0.1 * d, method="CE")
    for refused in (
        lambda: result.predict([60], reference=200),
        lambda: result.trial_curves([200]),
        lambda: result.dose_for(-30, high=400),
        lambda: result.optimum(high=400),
        lambda: compare_curves(result.effects, ["linear", "log"]).predict([200]),
    ):
        with pytest.raises(CannotEstimate, match="no arm was given"):
            refused()
    assert_allclose(result.dose_for(-30, high=400, extrapolate=True).estimate, 300)
    averaged = compare_curves(result.effects, ["linear", "log"]).predict([200], extrapolate=True)
    assert averaged["extrapolated"].all()


def test_leaving_out_the_only_trial_of_a_dose_leaves_no_number_there():
    found = fitted(lambda d: -0.1 * d, method="CE").leave_one_out([180]).set_index("trial_id")
    assert found["estimate"].isna().sum() == 1
    assert np.isnan(found.loc["t6", "estimate"])


def test_pairs_of_doses_outside_their_box_are_refused():
    pairs = [(f, m) for f in (1.0, 2.0, 3.0) for m in (20.0, 40.0, 60.0)]
    rows = [
        (f"t{i}", *pair, 50 - 0.05 * pair[0] * pair[1], 0.01, 50)
        for i, own in enumerate(pairs)
        for pair in ((0.0, 0.0), own)
    ]
    table = pd.DataFrame(rows, columns=["trial_id", "frequency", "minutes", "mean", "sd", "n"])
    result = dose_response(table, dose=("frequency", "minutes"), curve="surface", method="CE")
    result.predict([[3.0, 60.0]])
    with pytest.raises(CannotEstimate, match="no arm was given 3 and 70 frequency and minutes"):
        result.predict([[3.0, 70.0]])


def test_each_arm_counts_once_for_knots():
    """One reference arm at 30 and arms at 60, 90, 120: four doses, not six."""
    table = pd.DataFrame(
        {
            "trial_id": "a",
            "dose": [30.0, 60.0, 90.0, 120.0],
            "mean": [50.0, 48.0, 46.0, 44.0],
            "sd": 10.0,
            "n": 40,
        }
    )
    other = table.assign(trial_id="b", dose=[0.0, 45.0, 75.0, 150.0])
    data = pd.concat([table, other])
    found = dose_response(data, curve="rcs", method="CE")
    assert sorted(doses_of_arms(found.points)) == sorted(data["dose"])
    assert_allclose(found.curve.knots, np.quantile(data["dose"], [0.1, 0.5, 0.9]))


def test_the_prediction_band_does_not_collapse_where_psi_is_singular(reference_table):
    """Some dose has no variance between trials there; the band takes that of the contrasts."""
    result = dose_response(reference_table("dose"), curve="rcs")
    values = np.linalg.eigvalsh(result.psi)
    table = result.predict()
    between = (
        (table["pi_high"] - table["pi_low"]) ** 2 - (table["ci_high"] - table["ci_low"]) ** 2
    )[1:]
    assert values[0] < 1e-6 * values[-1], "this fit is meant to lie at the boundary"
    assert_allclose(between / between.iloc[0], 1, rtol=1e-6)
    same = dose_response(reference_table("dose"), curve="rcs", heterogeneity="contrasts")
    assert_allclose(result.tau2, same.tau2)


def test_parameters_the_data_do_not_tell_apart_are_said_to_be_so():
    """One dose beyond the break: its place and the slope beyond it are one parameter."""
    rows = effects(lambda d: -0.1 * min(d, 60) + (d > 60) * 3, doses=(30, 60, 90) * 3)
    with pytest.raises(CannotEstimate, match="do not tell the parameters of a piecewise curve"):
        dose_response(rows, dose="minutes_per_week", curve="piecewise", method="CE")


def test_smd_of_a_table_is_hedges_g_and_d_by_name():
    """Two arms of 10: g = J d, J = Gamma(9)/(sqrt(9) Gamma(8.5)); var 1/10 + 1/10 + g^2/40."""
    table = pd.DataFrame(
        {
            "trial_id": np.repeat(["a", "b"], 2),
            "dose": [0.0, 60.0, 0.0, 90.0],
            "mean": [50.0, 45.0, 50.0, 42.0],
            "sd": [8.0, 12.0, 9.0, 9.0],
            "n": 10,
        }
    )
    d = -5 / np.sqrt((64 + 144) / 2)
    factor = np.exp(gammaln(9) - gammaln(8.5)) / 3
    g = dose_response(table, measure="SMD", method="CE").points.iloc[0]
    plain = dose_response(table, measure="d", method="CE").points.iloc[0]
    assert_allclose(plain["yi"], d)
    assert_allclose(g["yi"], factor * d)
    assert_allclose(g["vi"], 0.2 + g["yi"] ** 2 / 40, rtol=1e-9)
