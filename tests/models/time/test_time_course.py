"""Time courses against independent least squares, and what they say where data do not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import optimize, stats

from backpain_analysis.answers import sentences
from backpain_analysis.effects.table import Effects
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.dose.curves import CURVES
from backpain_analysis.models.dose.fit import dose_response
from backpain_analysis.models.time.course import time_course
from backpain_analysis.models.time.curves import Exponential

WEEKS = np.array([2.0, 4.0, 6.0, 8.0, 12.0, 26.0, 52.0])


def effects(weeks, yi, vi=1.0, trials=None, after=None, outcome="pain_intensity") -> Effects:
    """Independent contrasts, a trial each unless told otherwise."""
    weeks = np.asarray(weeks, dtype=float)
    trials = [f"t{i}" for i in range(len(weeks))] if trials is None else trials
    table = pd.DataFrame({"trial_id": trials, "weeks": weeks, "yi": yi})
    table = table.assign(
        vi=vi, arm_id="a1", ref_arm_id="a2", label=table["trial_id"], n_arm=20.0, n_ref=20.0
    )
    if after is not None:
        table["weeks_after_programme"] = after
    groups = table.groupby("trial_id", sort=False)["vi"]
    excluded = pd.DataFrame(columns=["trial_id", "arm_id", "reason"])
    return Effects(table, tuple(np.diag(v) for _, v in groups), excluded, outcome, "MD")


def noisy(seed=2, E=-12.0, half=5.0, sd=0.6):
    rng = np.random.default_rng(seed)
    weeks = np.tile(WEEKS, 2)
    return weeks, E * (1 - 2 ** (-weeks / half)) + sd * rng.standard_normal(len(weeks))


def misfit(half, weeks, yi):
    """Residual sum of squares with the best maximal effect."""
    g = 1 - 2 ** (-weeks / half)
    return float(yi @ yi - (g @ yi) ** 2 / (g @ g))


@pytest.fixture(scope="module")
def fitted():
    weeks, yi = noisy()
    return time_course(effects(weeks, yi, 0.36), method="CE"), weeks, yi


def test_without_an_effect_or_weeks_there_is_no_course():
    with pytest.raises(CannotEstimate, match="no effect on pain_intensity is left"):
        time_course(effects([], []))
    with pytest.raises(ValueError, match=r"weeks must be known and above zero: t0, t1\."):
        time_course(effects([np.nan, np.nan], [-3.0, -4.0]))


def test_least_squares_by_scipy(fitted):
    """Equal variances and no random effects: maximum likelihood is non-linear least squares."""
    result, weeks, yi = fitted
    curve = lambda t, E, h: E * (1 - 2 ** (-t / h))  # noqa: E731
    found, cov = optimize.curve_fit(
        curve, weeks, yi, p0=(-10, 4), sigma=np.full(len(weeks), 0.6), absolute_sigma=True
    )
    assert list(result.params.index) == ["maximal effect", "half-time"]
    assert_allclose(result.params, found, rtol=1e-5)
    assert_allclose(result.cov_params(), cov, rtol=1e-3)
    effect = result.effect([5, 20])
    assert_allclose(effect["estimate"], curve(np.array([5, 20]), *found), rtol=1e-5)
    assert list(effect["weeks"]) == [5, 20]


def test_profile_interval_of_the_half_time(fitted):
    """At its limits the residual sum of squares over 0.36 is higher by the chi-square quantile."""
    result, weeks, yi = fitted
    half = result.weeks_to(0.5)
    lowest = optimize.minimize_scalar(lambda h: misfit(h, weeks, yi), bounds=(1, 20)).fun
    for limit in (half.ci_low, half.ci_high):
        rise = (misfit(limit, weeks, yi) - lowest) / 0.36
        assert_allclose(rise, stats.chi2.ppf(0.95, 1), atol=1e-3)
    assert half.ci_low < half.estimate < half.ci_high
    most = result.weeks_to(0.9)
    assert_allclose(
        [most.estimate, most.ci_low, most.ci_high],
        np.log2(10) * np.array([half.estimate, half.ci_low, half.ci_high]),
    )
    assert half.note == ""


def test_emax_in_time_is_the_emax_curve_of_weeks():
    """The random-effects fit is that of the dose-response model; 90% takes nine half-times."""
    weeks, yi = noisy(half=3)
    data = effects(weeks, yi, 0.36, trials=[f"t{i % 7}" for i in range(14)])
    ours = time_course(data, curve="emax")
    doses = data.table.assign(dose=weeks, ref_dose=0.0)
    theirs = dose_response(Effects(doses, data.covariance, data.excluded, "x", "MD"), curve="emax")
    assert_allclose(ours.params, theirs.params, rtol=1e-4)
    assert_allclose(ours.llf, theirs.llf, atol=1e-6)
    assert_allclose(ours.weeks_to(0.9).estimate, 9 * ours.weeks_to(0.5).estimate)


def test_an_effect_that_is_there_at_once_bounds_the_half_time_from_above():
    yi = [-10.3, -9.8, -10.1, -9.9, -10, -9.7, -10.2]
    result = time_course(effects(WEEKS, yi, 0.04), method="CE")
    half = result.weeks_to(0.5)
    assert result.curve.name == "constant"
    assert_allclose(result.params, np.mean(yi))
    assert np.isnan(half.estimate) and half.ci_low == 0 and half.ci_high < 2
    assert "no smaller at the first follow-up (week 2)" in half.note
    text = sentences.time_course(result, "pain_intensity")
    assert "half of it was there after at most" in text


def test_an_effect_that_still_grows_bounds_the_half_time_from_below():
    weeks = np.array([2.0, 4.0, 6.0, 8.0, 10.0, 12.0])
    yi = -weeks + np.array([0.1, -0.1, 0.0, 0.1, 0.0, -0.2])
    result = time_course(effects(weeks, yi, 0.04), method="CE")
    half = result.weeks_to(0.5)
    assert result.curve.name == "linear"
    assert np.isnan(half.estimate) and np.isinf(half.ci_high) and half.ci_low > 12
    assert "still grows in a straight line" in result.note
    assert "at least" in sentences.speed(result)


def test_no_effect_has_no_half_time():
    yi = [0.5, -0.6, 0.2, -0.3, 0.4, -0.2, 0.1]
    half = time_course(effects(WEEKS, yi, 1.0), method="CE").weeks_to(0.5)
    assert (half.ci_low, half.ci_high) == (0, np.inf)
    assert half.note


def test_weeks_on_a_quadratic_by_hand():
    """-2 t + t^2/20 is lowest (-20) at week 20 and first at half of it at 20 - sqrt(200)."""
    weeks = np.linspace(2, 30, 15)
    data = effects(weeks, -2 * weeks + weeks**2 / 20, 1e-4)
    half = time_course(data, curve="quadratic", method="CE").weeks_to(0.5)
    assert_allclose(half.estimate, 20 - np.sqrt(200), atol=0.03)
    assert half.ci_low <= half.estimate <= half.ci_high
    assert half.ci_high - half.ci_low < 0.1


@pytest.mark.parametrize(
    ("curve", "why"), [("linear", "still grows"), ("constant", "same effect at all times")]
)
def test_curves_without_a_maximum_have_no_share_of_it(fitted, curve, why):
    _, weeks, yi = fitted
    half = time_course(effects(weeks, yi), curve=curve).weeks_to(0.5)
    assert np.isnan([half.estimate, half.ci_low, half.ci_high]).all()
    assert why in half.note


def test_spline_has_knots_at_quantiles_of_the_weeks():
    weeks, yi = noisy()
    result = time_course(effects(weeks, yi, 0.36), curve="rcs", method="CE")
    assert_allclose(result.curve.knots, np.quantile(weeks, [0.1, 0.5, 0.9]))
    assert result.effect([0])["estimate"].item() == 0


def test_gradient_is_the_derivative():
    curve, t, step = Exponential((3.0,)), np.array([1.0, 5.0, 20.0]), 1e-6
    higher, lower = (Exponential((3.0 + s,)).basis(t)[:, 0] for s in (step, -step))
    assert_allclose(
        curve.gradient(t, np.array([-7.0]))[:, 1], -7 * (higher - lower) / (2 * step), rtol=1e-6
    )
    assert_allclose(curve.basis(np.array([0, 3, 6]))[:, 0], [0, 0.5, 0.75])
    assert "exponential" not in CURVES


def test_first_week_that_reaches_an_effect(fitted):
    """E (1 - 2^(-t/h)) = -6."""
    result, _, _ = fitted
    E, half = result.params
    assert_allclose(result.weeks_for(-6).estimate, -half * np.log2(1 + 6 / E), rtol=1e-6)


def test_sentence_and_table(fitted):
    result, _, _ = fitted
    text = sentences.time_course(result, "pain_intensity")
    assert text.startswith("In 14 trials (560 participants), the effect of exercise on pain, in ")
    assert text.count("95% CI") == 5
    assert "half-time" in result._repr_html_()
    assert set(result.leave_one_out([12]).columns) >= {"trial_id", "weeks", "estimate"}


def test_unusable_requests_are_refused(fitted):
    result, weeks, yi = fitted
    data = effects(weeks, yi)
    with pytest.raises(ValueError, match="no column 'weeks'"):
        time_course(
            Effects(data.table.drop(columns="weeks"), data.covariance, data.excluded, "", "")
        )
    with pytest.raises(ValueError, match="weeks must be known and above zero: t0"):
        time_course(effects([0, *weeks[1:]], yi))
    with pytest.raises(ValueError, match="unknown curve 'wave'"):
        time_course(data, curve="wave")
    with pytest.raises(ValueError, match="unknown test 'F'"):
        time_course(data, test="F")
    with pytest.raises(TypeError, match="at: only for participants"):
        time_course(data, at=60)
    with pytest.raises(ValueError, match="2 trials with 3 distinct"):
        time_course(effects([4, 12], [-3, -6]))
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        result.weeks_to(1)


LATE = [(name, week, -10.0 + 0.1 * k) for k, name in enumerate("abcd") for week in (12, 26)]


def early(*names):
    """Trials at weeks 12 and 26, all near -10; those named also at week 2, near -5."""
    rows = sorted([*LATE, *((name, 2, -5.0 + 0.1 * k) for k, name in enumerate(names))])
    trials, weeks, yi = map(list, zip(*rows, strict=True))
    return effects(np.array(weeks, dtype=float), yi, 0.04, trials)


@pytest.mark.parametrize(
    ("names", "needed", "words"),
    [
        ("a", ("a",), "How fast the effect came is not told: not estimable without a."),
        ("ab", (), "Half of the largest effect was there after 2.0 weeks"),
    ],
)
def test_a_half_time_that_rests_on_one_trial_is_not_told(names, needed, words):
    """-5 at week 2 and -10 later: a half-time of two weeks, with the early trials only."""
    result = time_course(early(*names), method="CE")
    assert result.weeks_to(0.5).estimate == pytest.approx(2.0, abs=0.1)
    assert result.rests_on == needed
    assert sentences.speed(result).startswith(words)


def test_leaving_a_trial_out_finds_the_half_time_anew():
    data = early("a")
    result = time_course(data, method="CE")
    left = result.leave_one_out([12]).set_index("trial_id")
    assert list(left.index) == ["a", "b", "c", "d"]
    assert np.isnan(left.loc["a", "half_time"])
    assert left.loc["a", "estimate"] == pytest.approx(np.mean([-9.9, -9.8, -9.7]))
    rest = data.select(data.table["trial_id"] != "b", "")
    again = time_course(rest, method="CE")
    assert left.loc["b", "half_time"] == pytest.approx(again.half_time.estimate)
    assert left.loc["b", "estimate"] == pytest.approx(again.effect([12])["estimate"].item())


def test_weeks_that_only_the_trial_left_out_had_are_missing():
    weeks = np.array([4.0, 12, 4, 12, 4, 12, 52])
    data = effects(weeks, [-5, -8, -5, -8, -5, -8, -9], 0.04, list("aabbccc"))
    left = time_course(data, curve="log", method="CE").leave_one_out([52]).set_index("trial_id")
    assert np.isnan(left.loc["c", "estimate"]) and left.loc["a", "estimate"] < 0
    assert time_course(data, curve="log", method="CE").rests_on == ()
    with pytest.raises(CannotEstimate, match="there is no other"):
        one = data.select(data.table["trial_id"] == "a", "")
        time_course(one, curve="log", method="CE").leave_one_out()
