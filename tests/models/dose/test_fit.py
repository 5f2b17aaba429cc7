"""Dose-response: against mixmeta on simulated trials, and by hand on exact ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import linalg, optimize, stats

from backpain_analysis.engine.robust import robust_covariance
from backpain_analysis.evidence.evidence import load_evidence
from backpain_analysis.models.dose.curves import rcs
from backpain_analysis.models.dose.fit import dose_response, retested

CURVES = ["linear", "quadratic", "rcs"]


@pytest.fixture(scope="module")
def trials(reference, reference_table):
    """The simulated trials with the very covariances that mixmeta was given."""
    data, numbers = reference_table("dose"), reference["dose_response"]

    def fitted(measure: str = "md", **options):
        return dose_response(
            data,
            measure={"md": "MD", "smd": "d"}[measure],
            covariance=numbers[f"{measure}_S"],
            **options,
        )

    return fitted


def agrees(result, expected, rtol):
    """Coefficients, their covariance, the curve with its interval, and Psi where there is one."""
    size = len(result.params)
    assert_allclose(result.params, np.atleast_1d(expected["b"]), rtol=rtol)
    assert_allclose(result.cov, np.reshape(expected["vcov"], (size, size)), rtol=10 * rtol)
    predicted = result.predict(expected["grid"])
    columns = ["estimate", "ci_low", "ci_high"]
    wanted = np.column_stack([expected[key] for key in ("pred", "ci_lb", "ci_ub")])
    assert_allclose(predicted[columns], wanted, rtol=rtol, atol=rtol)
    if "psi" in expected:
        psi = np.reshape(expected["psi"], (size, size))
        units = np.sqrt(np.abs(np.diag(np.reshape(expected["vcov"], (size, size)))))
        near = np.abs(result.engine.psi[0] - psi) / np.outer(units, units)
        assert near.max() < 100 * rtol


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("measure", ["md", "smd"])
@pytest.mark.parametrize("method", ["fixed", "ml", "reml"])
def test_one_stage_against_mixmeta(trials, reference, measure, curve, method):
    """Same curve where mixmeta converged; nowhere a lower likelihood than it reached."""
    expected = reference["dose_response"][f"{measure} {curve} 1stage {method}"]
    chosen = rcs(expected["knots"]) if curve == "rcs" else curve
    ours = {"fixed": "CE", "ml": "ML", "reml": "REML"}[method]
    result = trials(measure, curve=chosen, method=ours, test="z")
    llf = result.llf
    if method == "reml":
        X = result.engine.X
        llf -= 0.5 * np.linalg.slogdet(X.T @ X)[1]
    gain = llf - expected["ll"]
    assert gain > -1e-6
    if method == "fixed" or gain < 1e-6:
        agrees(result, expected, 1e-8 if method == "fixed" else 1e-4)


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("measure", ["md", "smd"])
@pytest.mark.parametrize("method", ["fixed", "ml", "reml"])
def test_two_stages_against_mixmeta(trials, reference, measure, curve, method):
    expected = reference["dose_response"][f"{measure} {curve} 2stage {method}"]
    chosen = rcs(expected["knots"]) if curve == "rcs" else curve
    ours = {"fixed": "CE", "ml": "ML", "reml": "REML"}[method]
    result = trials(measure, curve=chosen, method=ours, stages=2, test="z")
    gain = result.llf - expected["ll"]
    assert gain > -1e-6
    if method == "fixed" or gain < 1e-6:
        agrees(result, expected, 1e-8 if method == "fixed" else 1e-4)


def test_default_covariances_are_those_of_crippa_and_orsini(reference, reference_table):
    """Cohen's d as the R function; MD with unpooled SDs throughout, unlike its diagonal."""
    data, numbers = reference_table("dose"), reference["dose_response"]
    smd = dose_response(data, measure="d").effects.covariance
    for ours, theirs in zip(smd, numbers["smd_S"], strict=True):
        assert_allclose(ours, np.array(theirs, ndmin=2), rtol=1e-9)
    md = dose_response(data).effects.covariance
    for (_, arms), ours in zip(data.groupby("trial_id", sort=False), md, strict=True):
        share = (arms["sd"] ** 2 / arms["n"]).to_numpy()
        assert_allclose(ours, np.diag(share[1:]) + share[0], rtol=1e-12)


def test_unit_of_dose_does_not_matter(reference_table):
    minutes = reference_table("dose")
    hours = minutes.assign(dose=minutes["dose"] / 60)
    for curve in [*CURVES, "fp2", "emax"]:
        one, other = dose_response(minutes, curve=curve), dose_response(hours, curve=curve)
        assert_allclose(one.llf, other.llf, rtol=1e-8)
        assert_allclose(
            one.predict([60, 300])["estimate"], other.predict([1, 5])["estimate"], rtol=1e-5
        )
        assert_allclose(one.dose_for(-5).estimate, 60 * other.dose_for(-5).estimate, rtol=1e-5)


def exact(curve, doses=(30, 60, 90, 120, 180, 240), variance=1e-4, ref=0.0) -> pd.DataFrame:
    """Two-arm trials that lie exactly on a curve; each contrast has this variance."""
    rows = [
        {"trial_id": f"t{i}", "dose": float(dose), "sd": np.sqrt(variance * 25), "n": 50}
        for i, d in enumerate(doses)
        for dose in (ref, d)
    ]
    table = pd.DataFrame(rows)
    return table.assign(mean=50 + curve(table["dose"].to_numpy()))


def parabola(d):
    """Lowest, -16, at 160; -12 at 80 and at 240."""
    return -0.2 * d + 0.000625 * d**2


def test_a_name_given_to_the_index_of_one_fit_stays_there(reference_table):
    def fitted():
        found = dose_response(reference_table("dose"), curve="quadratic", test="CR2")
        return found.params, found.cov, found.psi, found.df

    for table in fitted():
        table.index.name = "mine"
    assert [table.index.name for table in fitted()] == [None] * 4


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
    found = result.predict([160], reference=0, extrapolate=True)
    assert_allclose(found["estimate"], -16, rtol=1e-5)
    assert found["extrapolated"].all()
    assert_allclose(result.predict([160], reference=80)["estimate"], -4, rtol=1e-5)


def test_prediction_interval_is_wider_and_the_reference_dose_is_exact(trials):
    table = trials(curve="quadratic").predict([0, 100, 300])
    assert table.loc[0, ["estimate", "se", "ci_low", "pi_high"]].abs().max() == 0
    assert (table["pi_low"] < table["ci_low"])[1:].all()


def test_wald_tests(trials):
    """One linear term: F is t squared; nonlinearity tests the terms after the first."""
    linear = trials()
    test = linear.test_overall()
    assert_allclose(test["statistic"], linear.tvalues.iloc[0] ** 2)
    assert_allclose(test["p_value"], linear.pvalues.iloc[0])
    with pytest.raises(ValueError, match="no term beyond the first"):
        linear.test_nonlinearity()
    bent = trials(curve="quadratic")
    assert_allclose(bent.test_nonlinearity()["p_value"], bent.pvalues.iloc[1])


def test_cr2_with_degrees_of_freedom_of_each_dose(trials):
    """Clustered by trial: the coefficients' own tests, and at one term the same at every dose."""
    line = trials(test="CR2")
    found = robust_covariance(line.engine, line.points["trial_id"])
    assert_allclose(line.cov_params(), found.cov)
    df = found.df(np.eye(1))[0]
    table = line.predict([0, 50, 300])
    half = stats.t.ppf(0.975, df) * np.sqrt(found.cov[0, 0]) * np.array([0, 50, 300])
    assert_allclose(table["ci_high"] - table["estimate"], half, atol=1e-12)
    assert_allclose(line.pvalues, stats.t.sf(abs(line.tvalues), df) * 2)
    bent = trials(curve="quadratic", test="CR2")
    low, high = bent.robust.df(bent.gradient(np.array([20.0, 390.0])))
    assert low != high
    assert bent.dose_for(-5).ci_low < bent.dose_for(-5).estimate


def test_cr2_of_a_curve_with_a_shape_is_that_of_its_linearisation(trials, reference):
    """The sandwich by dense matrices, with derivatives of Emax taken by differences."""
    curve = trials(curve="emax", heterogeneity="contrasts", test="CR2")
    points = curve.points
    dose, reference_dose = points["dose"].to_numpy(), points["ref_dose"].to_numpy()

    def mean(theta):
        most, half = theta
        return most * dose / (half + dose) - most * reference_dose / (half + reference_dose)

    theta = curve.params.to_numpy()
    J = np.column_stack(
        [(mean(theta + step) - mean(theta - step)) / 2e-4 for step in 1e-4 * np.eye(2)]
    )
    rows = list(points.groupby("trial_id", sort=False).indices.values())
    V = [
        S + curve.tau2 * (np.eye(len(S)) + 1) / 2
        for S in map(np.atleast_2d, reference["dose_response"]["md_S"])
    ]
    C = np.linalg.inv(
        sum(J[own].T @ np.linalg.solve(v, J[own]) for own, v in zip(rows, V, strict=True))
    )
    left, meat = points["yi"].to_numpy() - mean(theta), np.zeros((2, 2))
    for own, v in zip(rows, V, strict=True):
        D = np.linalg.cholesky(v).T
        inner = D @ (v - J[own] @ C @ J[own].T) @ D.T
        A = D.T @ np.linalg.inv(linalg.sqrtm(inner)) @ D
        score = J[own].T @ np.linalg.solve(v, A @ left[own])
        meat += np.outer(score, score)
    assert_allclose(curve.cov_params(), C @ meat @ C, rtol=1e-5)


@pytest.mark.parametrize("test", ["z", "t", "knapp-hartung", "CR2"])
def test_another_test_of_the_same_fit_is_that_of_a_new_one(trials, test):
    other = retested(trials(curve="quadratic"), test)
    new = trials(curve="quadratic", test=test)
    assert_allclose(other.conf_int(), new.conf_int())
    assert_allclose(other.predict([20, 390]), new.predict([20, 390]))
    assert_allclose(other.refit(other.effects).cov, new.cov)


def test_too_little_data_is_refused():
    with pytest.raises(ValueError, match=r"2 trials with 3 distinct doses of dose cannot carry"):
        dose_response(exact(parabola, doses=(60, 90)), curve="quadratic")


def test_every_trial_at_fault_is_named_with_its_cure():
    table = exact(parabola)
    of = table["trial_id"]
    table["dose"] = table["dose"].mask(of == "t0", -30)
    table["dose"] = table["dose"].mask((of == "t1") & (table["dose"] == 0))
    table["sd"] = table["sd"].mask(of == "t2", 0.0)
    with pytest.raises(ValueError) as caught:
        dose_response(table.drop(index=7))
    text = str(caught.value)
    assert "trial 't0' has a negative dose (-30): doses start at 0." in text
    assert "trial 't1' has no dose for its reference (first) arm: fill it in." in text
    assert "trial 't2': sd must be known and above 0 in every arm." in text
    assert "trial 't3' has one arm: add its reference arm, or leave the trial out." in text
    same = exact(parabola)
    with pytest.raises(ValueError, match="trial 't4' has the same dose in all its arms"):
        dose_response(same.assign(dose=same["dose"].mask(same["trial_id"] == "t4", 60)))
    with pytest.raises(ValueError, match="rows without a trial: give each arm the name"):
        dose_response(same.assign(trial_id=same["trial_id"].where(same.index > 1)))
    with pytest.raises(ValueError, match="no column 'dosis'; the data have trial_id"):
        dose_response(same, dose="dosis")


def test_effects_say_which_dose_they_need():
    effects = load_evidence().effects("disability")
    with pytest.raises(ValueError, match="say which dose: one of sessions_per_week"):
        dose_response(effects)
    with pytest.raises(ValueError, match="unknown dose 'steps'"):
        dose_response(effects, dose="steps")
    with pytest.raises(ValueError, match="these effects are MDs"):
        dose_response(effects, dose="duration_weeks", measure="SMD")


@pytest.mark.parametrize(
    ("curve", "truth", "shape"),
    [
        ("emax", lambda d: -20 * d / (70 + d), [70.0]),
        ("hill", lambda d: -20 * d**3 / (90.0**3 + d**3), [90.0, 3.0]),
        ("piecewise", lambda d: -0.1 * d + 0.15 * np.maximum(d - 100, 0), [100.0]),
    ],
)
def test_shapes_are_found(curve, truth, shape):
    doses = (15, 30, 45, 60, 80, 90, 110, 120, 150, 180, 240, 300)
    result = dose_response(exact(truth, doses=doses, variance=1e-6), curve=curve, method="CE")
    assert_allclose(list(result.curve.shape), shape, rtol=1e-3)
    assert_allclose(result.predict([100])["estimate"], truth(np.array([100.0])), rtol=1e-4)


def test_emax_against_a_general_optimiser(reference_table):
    """The joint maximum of the normal likelihood over E and ED50."""
    data = reference_table("dose")
    result = dose_response(data, curve="emax", method="CE")
    effects = result.effects
    first = np.cumsum([0, *(len(V) for V in effects.covariance)])

    def loss(free):
        value, half = 0.0, np.exp(free[1])
        for start, V in zip(first, effects.covariance, strict=False):
            rows = effects.table.iloc[start : start + len(V)]
            d, d0 = rows["dose"].to_numpy(), rows["ref_dose"].to_numpy()
            e = rows["yi"].to_numpy() - free[0] * (d / (half + d) - d0 / (half + d0))
            value += 0.5 * (e @ np.linalg.solve(V, e) + np.linalg.slogdet(2 * np.pi * V)[1])
        return value

    found = optimize.minimize(loss, [-30.0, np.log(200.0)], method="Nelder-Mead", tol=1e-10)
    assert_allclose(result.llf, -found.fun, rtol=1e-9)
    assert_allclose(result.params, [found.x[0], np.exp(found.x[1])], rtol=1e-4)


def test_shapes_the_data_do_not_bound_are_refused():
    with pytest.raises(ValueError, match="do not bound 'ED50' of a emax curve"):
        dose_response(exact(lambda d: -0.1 * d), curve="emax", method="CE")


def test_fractional_polynomial_finds_its_powers():
    table = exact(lambda d: -2 * np.sqrt(d + 30), doses=(30, 60, 90, 150, 240), variance=1e-6)
    result = dose_response(table, curve="fp1", method="CE")
    assert result.curve.powers == (0.5,)
    assert result.curve.n_estimated == 1


def test_moderators_give_each_group_its_curve(reference_table):
    """Separate slopes by group, CE: the same as fitting the groups apart."""
    data = reference_table("dose")
    first = sorted(data["trial_id"].unique())[:9]
    data = data.assign(group=np.where(data["trial_id"].isin(first), "a", "b"))
    both = dose_response(data, method="CE", moderators="group")
    apart = {name: dose_response(part, method="CE") for name, part in data.groupby("group")}
    for name, own in apart.items():
        ours, theirs = both.predict([100], at={"group": name}), own.predict([100])
        assert_allclose(ours["estimate"], theirs["estimate"], rtol=1e-9)
        assert_allclose(ours["se"], theirs["se"], rtol=1e-9)
    gap = apart["b"].params.iloc[0] - apart["a"].params.iloc[0]
    z = gap / np.hypot(apart["a"].bse.iloc[0], apart["b"].bse.iloc[0])
    assert_allclose(both.test_moderators()["statistic"], z**2, rtol=1e-9)
    with pytest.raises(ValueError, match="no moderator colour"):
        both.predict([100], at={"colour": "red"})
    with pytest.raises(ValueError, match=r"category .* was not in the data of the model"):
        both.predict([100], at={"group": "c"})


def test_surface_of_two_doses():
    pairs = [(f, m) for f in (1.0, 2.0, 3.0, 5.0) for m in (20.0, 40.0, 60.0)]
    rows = [
        (f"t{i}", *pair, 50 - 0.05 * pair[0] * pair[1], 0.01, 50)
        for i, own in enumerate(pairs)
        for pair in ((0.0, 0.0), own)
    ]
    table = pd.DataFrame(rows, columns=["trial_id", "frequency", "minutes", "mean", "sd", "n"])
    result = dose_response(table, dose=("frequency", "minutes"), curve="surface", method="CE")
    assert_allclose(result.params, [0, 0, -0.05], atol=1e-9)
    assert_allclose(result.predict([[2, 30]])["estimate"], [-3.0], rtol=1e-9)
