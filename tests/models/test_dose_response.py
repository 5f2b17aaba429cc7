"""Dose-response: against mixmeta on simulated trials, and by hand on exact ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from backpain_analysis.effects import Effects
from backpain_analysis.models import dose_response, rcs

CURVES = ["linear", "quadratic", "rcs"]


def effects_of(table: pd.DataFrame, yi, covariance, measure="MD") -> Effects:
    """Effects of a table of arms whose first arm a trial is the reference."""
    first = table.groupby("trial_id", sort=False).cumcount() == 0
    reference = table[first].set_index("trial_id")
    rows = table[~first].reset_index(drop=True)
    rows = rows.assign(
        arm_id=[f"a{i}" for i in rows.index],
        ref_arm_id="ref",
        label=rows["trial_id"],
        exercise_type="yoga",
        yi=yi,
        vi=np.concatenate([np.diag(m) for m in covariance]),
        n_arm=rows["n"],
        n_ref=rows["trial_id"].map(reference["n"]),
        minutes_per_week=rows["dose"],
        ref_minutes_per_week=rows["trial_id"].map(reference["dose"]),
    ).drop(columns="dose")
    return Effects(rows, tuple(covariance), pd.DataFrame(), "pain_intensity", measure)


@pytest.fixture(scope="module")
def trials(reference, reference_table):
    """The simulated trials with the very contrasts and covariances that mixmeta was given."""
    data, numbers = reference_table("dose"), reference["dose_response"]
    first = (data.groupby("trial_id", sort=False).cumcount() == 0).to_numpy()

    def make(measure: str) -> Effects:
        covariance = [np.array(m, ndmin=2) for m in numbers[f"{measure}_S"]]
        yi = np.array(numbers[f"{measure}_y"])[~first]
        return effects_of(data, yi, covariance, measure.upper())

    return make


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("measure", ["md", "smd"])
@pytest.mark.parametrize("method", ["fixed", "ml", "reml"])
def test_one_stage_against_mixmeta(trials, reference, measure, curve, method):
    """Same curve where mixmeta converged; nowhere a lower likelihood than it reached."""
    expected = reference["dose_response"][f"{measure} {curve} 1stage {method}"]
    chosen = rcs(expected["knots"]) if curve == "rcs" else curve
    ours = {"fixed": "CE", "ml": "ML", "reml": "REML"}[method]
    result = dose_response(trials(measure), curve=chosen, method=ours)
    llf = result.llf
    if method == "reml":
        X = result.engine.X
        llf -= 0.5 * np.linalg.slogdet(X.T @ X)[1]
    gain = llf - expected["ll"]
    assert gain > -1e-6
    predicted = result.predict(expected["grid"])
    if method == "fixed":
        columns = ["estimate", "ci_low", "ci_high"]
        wanted = np.column_stack([expected[key] for key in ("pred", "ci_lb", "ci_ub")])
        assert_allclose(predicted[columns], wanted, rtol=1e-8, atol=1e-9)
    elif gain < 1e-6:
        assert_allclose(predicted["estimate"], expected["pred"], rtol=1e-5, atol=1e-5)


def test_unit_of_dose_does_not_matter(trials):
    minutes = trials("md")
    hours = Effects(
        minutes.table.assign(
            minutes_per_week=minutes.table["minutes_per_week"] / 60,
            ref_minutes_per_week=minutes.table["ref_minutes_per_week"] / 60,
        ),
        *(minutes.covariance, minutes.excluded, minutes.outcome, minutes.measure),
    )
    for curve in CURVES:
        one, other = dose_response(minutes, curve=curve), dose_response(hours, curve=curve)
        assert_allclose(one.llf, other.llf, rtol=1e-8)
        assert_allclose(
            one.predict([60, 300])["estimate"], other.predict([1, 5])["estimate"], rtol=1e-7
        )
        assert_allclose(one.dose_for(-5).estimate, 60 * other.dose_for(-5).estimate, rtol=1e-6)


def exact(curve, doses=(30, 60, 90, 120, 180, 240), variance=1e-4, ref=0.0) -> Effects:
    """Trials that lie exactly on a curve, with next to no error."""
    table = pd.DataFrame(
        [
            {"trial_id": f"t{i}", "dose": dose, "n": 50}
            for i, d in enumerate(doses)
            for dose in (ref, d)
        ]
    )
    d = np.array(doses, dtype=float)
    return effects_of(table, curve(d) - curve(np.array(ref)), [np.array([[variance]])] * len(d))


def parabola(d):
    """Lowest, -16, at 160; -12 at 80 and at 240."""
    return -0.2 * d + 0.000625 * d**2


def test_known_parabola_is_found_with_its_optimum_and_mcid_dose():
    result = dose_response(exact(parabola), curve="quadratic", method="CE")
    assert_allclose(result.params, [-0.2, 0.000625], rtol=1e-6)
    optimum = result.optimum()
    assert_allclose(optimum.estimate, 160, atol=0.2)
    assert optimum.ci_low < 160 < optimum.ci_high
    assert not optimum.at_edge
    mcid = result.dose_for(-12)
    assert_allclose(mcid.estimate, 80, atol=1e-3)
    assert mcid.ci_low < 80 < mcid.ci_high


def test_dose_for_is_where_the_band_crosses():
    """One linear coefficient: the limits are effect / (b -+ z se), Fieller's with no intercept."""
    result = dose_response(exact(lambda d: -0.1 * d, variance=4.0), method="CE")
    z, b, se = stats.norm.ppf(0.975), result.params.iloc[0], result.bse.iloc[0]
    dose = result.dose_for(-10)
    assert_allclose([dose.ci_low, dose.ci_high], [-10 / (b - z * se), -10 / (b + z * se)])


def test_an_effect_out_of_reach_is_said_to_be():
    dose = dose_response(exact(parabola), curve="quadratic", method="CE").dose_for(-20)
    assert not dose.reached
    assert np.isnan(dose.estimate)
    assert "does not reach −20 up to the largest dose, 240; neither does" in dose.note


def test_an_effect_only_the_interval_reaches_is_told_apart():
    """Lowest -16 with an interval of +- 2 z there: -17 is within reach from where the band is."""
    result = dose_response(exact(parabola, variance=4.0), curve="quadratic", method="CE")
    dose = result.dose_for(-17)
    assert not dose.reached
    assert_allclose(result.predict([dose.ci_low])["ci_low"], -17)
    assert "its confidence interval does from" in dose.note


def test_an_optimum_at_the_edge_is_said_to_be():
    optimum = dose_response(exact(lambda d: -0.1 * d), method="CE").optimum()
    assert optimum.at_edge
    assert optimum.estimate == 240
    assert "at the edge of the data (240)" in optimum.note


def test_reference_doses_other_than_zero():
    """Contrasts against 30 minutes carry the same curve."""
    result = dose_response(
        exact(parabola, doses=(60, 90, 120, 240), ref=30.0), curve="quadratic", method="CE"
    )
    assert_allclose(result.predict([160])["estimate"], -16, rtol=1e-5)
    assert_allclose(result.predict([160], reference=80)["estimate"], -4, rtol=1e-5)


def test_prediction_interval_is_wider_and_the_reference_dose_is_exact(trials):
    table = dose_response(trials("md"), curve="quadratic").predict([0, 100, 300])
    assert table.loc[0, ["estimate", "se", "ci_low", "pi_high"]].abs().max() == 0
    assert (table["pi_low"] < table["ci_low"])[1:].all()


def test_wald_tests(trials):
    """One linear term: F is t squared; nonlinearity tests the terms after the first."""
    linear = dose_response(trials("md"))
    test = linear.test_overall()
    assert_allclose(test["statistic"], linear.tvalues.iloc[0] ** 2)
    assert_allclose(test["p_value"], linear.pvalues.iloc[0])
    with pytest.raises(ValueError, match="nothing to test"):
        linear.test_nonlinearity()
    bent = dose_response(trials("md"), curve="quadratic")
    assert_allclose(bent.test_nonlinearity()["p_value"], bent.pvalues.iloc[1])


def test_too_little_data_is_refused():
    with pytest.raises(ValueError, match=r"2 trials with 3 distinct doses of minutes_per_week"):
        dose_response(exact(parabola, doses=(60, 90)), curve="quadratic")
    with pytest.raises(ValueError, match="unknown dose 'steps'"):
        dose_response(exact(parabola), dose="steps")
