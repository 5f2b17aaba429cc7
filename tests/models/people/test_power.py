"""Simulated power is the power that theory gives, within simulation error."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from numpy.testing import assert_allclose
from scipy import integrate, special, stats
from statsmodels.stats.power import TTestIndPower

from backpain_analysis.datasets.participants import Truth
from backpain_analysis.engine.search import ConvergenceError
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.dose.curves import Quadratic
from backpain_analysis.models.people import power
from backpain_analysis.models.people.ancova import ancova
from backpain_analysis.models.people.longitudinal import longitudinal
from backpain_analysis.models.people.power import PLAIN, PowerResult, power_of_design, regressions

DOSES = (0.0, 60.0, 120.0, 240.0)
MANY = 4000
KNOWN = {"sd": 20.0, "correlation": 0.5, "dropout": 0.0}


def t_power(noncentrality: float, df: float) -> float:
    """Power of a two-sided t test at 5%."""
    critical = stats.t.ppf(0.975, df)
    upper = stats.nct.sf(critical, df, noncentrality)
    return upper + stats.nct.cdf(-critical, df, noncentrality)


def agrees(row: pd.Series, power: float, replicates: int = MANY) -> bool:
    """Within four simulation errors."""
    return abs(row["power"] - power) < 4 * np.sqrt(power * (1 - power) / replicates)


def mean_s(df: int) -> float:
    """Mean of a sample SD in units of the true one."""
    return np.sqrt(2 / df) * np.exp(special.gammaln((df + 1) / 2) - special.gammaln(df / 2))


def test_two_arms_without_baseline_have_the_power_and_width_of_a_t_test():
    sizes = [8, 20, 60]
    result = power_of_design(
        sizes, effect=-10, **KNOWN, model="final_score", replicates=MANY, seed=1
    )
    for (_, row), n in zip(result.table.iterrows(), sizes, strict=True):
        assert agrees(row, TTestIndPower().power(0.5, n, 0.05))
        df = 2 * n - 2
        width = 2 * stats.t.ppf(0.975, df) * 20 * mean_s(df) * np.sqrt(2 / n)
        assert abs(row["width"] - width) < 4 * row["width_se"]
        assert abs(row["estimate"] + 10) < 4 * row["estimate_se"]
        assert abs(row["coverage"] - 0.95) < 4 * np.sqrt(0.95 * 0.05 / MANY)
        assert row["scored"] == row["participants"] == 2 * n


def test_baseline_adjustment_has_the_power_that_theory_gives():
    """The squared correlation of baseline and arm is beta distributed; exact given it."""
    n, effect, residual = 15, 12.0, 20 * np.sqrt(1 - 0.6**2)
    imbalance = stats.beta(0.5, n - 1)

    def at(square: float) -> float:
        return t_power(effect / residual * np.sqrt(n / 2 * (1 - square)), 2 * n - 3)

    exact = integrate.quad(lambda u: at(imbalance.ppf(u)), 0, 1)[0]
    design = {"sd": 20, "correlation": 0.6, "dropout": 0}
    row = power_of_design(n, effect=effect, **design, replicates=MANY).table.iloc[0]
    assert agrees(row, exact)


@pytest.mark.parametrize("trials", [1, 3])
def test_trend_over_doses_has_the_power_that_theory_gives(trials):
    n, slope = 10, -8 / 240
    spread = n * trials * np.sum((np.array(DOSES) - np.mean(DOSES)) ** 2)
    exact = t_power(slope * np.sqrt(spread) / 20, 4 * n * trials - trials - 1)
    row = power_of_design(
        n, DOSES, effect=-8, **KNOWN, n_trials=trials, model="final_score", replicates=MANY
    ).table.iloc[0]
    assert agrees(row, exact)
    assert row["participants"] == 40 * trials


def test_without_an_effect_one_in_twenty_is_found():
    row = power_of_design(12, DOSES, truth=PLAIN.scaled(0.0), replicates=MANY).table.iloc[0]
    assert agrees(row, 0.05)


def test_dropout_leaves_the_share_that_it_should():
    row = power_of_design(
        50, DOSES, effect=-8, visits=(0, 4, 8, 12, 26), week=12, **KNOWN | {"dropout": 0.3}
    ).table.iloc[0]
    assert abs(row["scored"] - 140) < 4 * np.sqrt(200 * 0.3 * 0.7 / 500)


def test_many_regressions_are_those_of_statsmodels():
    rng = np.random.default_rng(4)
    dose, trial = np.tile(DOSES, 15), np.repeat([0, 1, 2], 20)
    baseline = rng.normal(55, 10, (6, 60))
    y = baseline * 0.5 - 0.1 * dose + 3e-4 * dose**2 + 4 * trial + rng.normal(0, 8, (6, 60))
    y[rng.random(y.shape) < 0.2] = np.nan
    curve = Quadratic()
    contrast = curve.basis(np.array([240.0]))[0]
    found = regressions(y, curve.basis(dose), contrast, trial, baseline, 0.9)
    for number in range(6):
        table = pd.DataFrame({"y": y[number], "b": baseline[number], "d": dose, "t": trial})
        fitted = smf.ols("y ~ C(t) + b + d + I(d**2)", table.dropna()).fit()
        test = fitted.t_test(np.array([0, 0, 0, 0, *contrast]))
        expected = [test.effect[0], *test.conf_int(0.1)[0]]
        assert_allclose(found[number], expected, rtol=1e-7)


def test_what_cannot_be_told_is_not_told():
    y = np.array([[1.0, 2.0, np.nan, np.nan], [1.0, 2.0, 4.0, 6.0]])
    dose, trial = np.array([0.0, 0.0, 60.0, 60.0])[:, None], np.zeros(4, dtype=int)
    found = regressions(y, dose, np.array([60.0]), trial, None, 0.95)
    assert np.isnan(found[0]).all()
    assert_allclose(found[1, 0], 3.5)


def test_any_model_can_be_asked_and_sees_the_same_trials():
    arguments = {"doses": DOSES, "effect": -8, **KNOWN, "replicates": 15, "seed": 5}

    def model(visits: pd.DataFrame) -> pd.DataFrame:
        return ancova(visits, week=12).predict([240])

    own, named = (power_of_design(20, **arguments, model=each) for each in (model, "ancova"))
    assert_allclose(own.table.to_numpy(), named.table.to_numpy(), rtol=1e-7)
    assert own.model == "of the user"


def test_the_longitudinal_model_can_be_asked():
    truth = replace(PLAIN.scaled(0.05), time_curve="linear", half_time_weeks=6.0)
    result = power_of_design(
        25,
        DOSES,
        truth=truth,
        visits=(0, 4, 8, 12),
        replicates=25,
        model=lambda v: longitudinal(v).predict([240], 12),
    )
    row = result.table.iloc[0]
    assert result.effect == pytest.approx(-12)
    assert row["failed"] == 0 and abs(row["estimate"] + 12) < 4 * row["estimate_se"]


def test_the_table_that_a_model_gets_is_that_of_participants():
    seen = []

    def model(visits: pd.DataFrame) -> pd.Series:
        seen.append(visits)
        return pd.DataFrame([{"estimate": -1.0, "ci_low": -2.0, "ci_high": 1.0}])

    truth = replace(Truth(), dropout_per_visit=0.5)
    result = power_of_design(5, DOSES, truth=truth, n_trials=2, replicates=3, model=model)
    visits = seen[0]
    first = ["trial_id", "participant_id", "week", "dose", "value", "baseline"]
    assert list(visits.columns[:6]) == first and {"age", "smoking"} <= set(visits.columns)
    people = visits.drop_duplicates(["trial_id", "participant_id"])
    assert people.groupby(["trial_id", "dose"]).size().tolist() == [5] * 8
    assert visits["value"].notna().all() and 40 < len(visits) < 80
    start = visits[visits["week"] == 0]
    assert (start["value"] == start["baseline"]).all()
    assert result.table["power"].item() == 0 and result.table["estimate"].item() == -1


def test_replicates_that_fail_do_not_show_the_effect():
    calls = iter(range(4))

    def model(_: pd.DataFrame) -> pd.DataFrame:
        if next(calls) % 2:
            raise ConvergenceError("no maximum")
        return pd.DataFrame([{"estimate": -5.0, "ci_low": -8.0, "ci_high": -2.0}])

    row = power_of_design(5, effect=-8, replicates=4, model=model).table.iloc[0]
    assert row["power"] == 0.5 and row["failed"] == 0.5 and row["width"] == 6

    def never(_: pd.DataFrame) -> pd.DataFrame:
        raise CannotEstimate("too few")

    with pytest.raises(CannotEstimate, match="no replicate could be analysed"):
        power_of_design(5, effect=-8, replicates=2, model=never)


def test_the_effect_asked_is_the_effect_drawn():
    emax = replace(PLAIN, dose_curve="emax", dose_coefficients=(-1.0, 80.0))
    result = power_of_design(5, (30, 240), effect=-9, week=8, truth=emax, replicates=2)
    true = result.truth
    assert_allclose(true.effect(240, 8) - true.effect(30, 8), -9)
    assert true.dose_coefficients[1] == 80
    assert result.effect == pytest.approx(-9)
    own = power_of_design(5, DOSES, truth=Truth(), week=12, replicates=2)
    assert own.effect == pytest.approx(-14.88 * 15 / 16)


def test_same_seed_same_numbers_whatever_the_other_sizes():
    arguments = {"effect": -8, "replicates": 200}
    both = power_of_design([20, 10], DOSES, **arguments)
    alone = power_of_design(20, DOSES, **arguments)
    other = power_of_design(20, DOSES, **arguments, seed=2)
    assert both.table["n_per_arm"].tolist() == [10, 20]
    assert both.table.iloc[1].equals(alone.table.iloc[0])
    assert not other.table.equals(alone.table)


def test_progress_is_told_part_by_part_to_the_end(monkeypatch):
    monkeypatch.setattr(power, "AT_ONCE", 2 * 4 * 10 * 20)
    told = []
    power_of_design(
        [10, 20], DOSES, effect=-8, replicates=30, progress=lambda *done: told.append(done)
    )
    assert told == [(20, 60), (30, 60), (40, 60), (50, 60), (60, 60)]


def made(power: list[float]) -> PowerResult:
    result = power_of_design([10, 20, 30], effect=-8, replicates=2)
    table = result.table.assign(power=power, power_low=np.array(power) - 0.1)
    return replace(result, table=table.assign(power_high=np.array(power) + 0.1))


def test_size_for_a_power_is_interpolated():
    found = made([0.3, 0.5, 0.9]).n_for(0.8)
    assert_allclose(found[["n", "n_low", "n_high"]], [27.5, 25.0, 30.0])
    assert made([0.3, 0.4, 0.5]).n_for(0.8).isna().all()
    assert made([0.85, 0.9, 0.95]).n_for(0.8)["n"] == 10


def test_monte_carlo_interval_is_wilsons():
    """Of 200 with 80%: centre (0.8 + z^2/400) / (1 + z^2/200), by hand 0.7391 to 0.8496."""
    outcomes = iter([1.0] * 160 + [-1.0] * 40)

    def model(_: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame([{"estimate": 5.0, "ci_low": next(outcomes), "ci_high": 9.0}])

    row = power_of_design(2, effect=5, replicates=200, model=model).table.iloc[0]
    assert_allclose(row[["power", "power_low", "power_high"]], [0.8, 0.7391, 0.8496], atol=1e-4)


def test_result_reads_as_others_do():
    result = power_of_design([10, 20], DOSES, effect=-8, replicates=50)
    assert "20 participants per arm" in result.sentence
    assert "0, 60, 120, 240 minutes per week" in result._repr_html_()
    assert result.summary().equals(result.table)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_per_arm": 1, "doses": (60,), "effect": 1}, r"n_per_arm \[1\].*two different ones"),
        ({"n_per_arm": 9.5, "effect": 1}, r"n_per_arm \[9.5\]"),
        ({"n_per_arm": 9, "effect": 1, "level": 95}, "level 95"),
        ({"n_per_arm": 9, "effect": 1, "visits": (0, 8)}, "week 12 must be one of the visits"),
        ({"n_per_arm": 9, "effect": 1, "model": "anova"}, "one of ancova, final_score"),
        ({"n_per_arm": 9}, "how large the effect is"),
        ({"n_per_arm": 9, "effect": 1, "sd": 20}, "give both or neither"),
        ({"n_per_arm": 9, "effect": 1, "sd": 20, "correlation": 1}, "correlation 1"),
        ({"n_per_arm": 9, "effect": 1, "dropout": 1}, "dropout 1 must be"),
        ({"n_per_arm": 9, "effect": 1, "replicates": 0}, "replicates 0"),
        ({"n_per_arm": 9, "effect": 1, "truth": PLAIN.scaled(0)}, "flat"),
        ({"n_per_arm": 9, "effect": 1, "curve": "emax"}, "cannot be estimated here"),
    ],
)
def test_a_design_that_cannot_be_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        power_of_design(**arguments)


def test_trials_that_differ_need_a_model_that_lets_them():
    truth = replace(PLAIN, effect_trial_sd=0.3)
    with pytest.raises(ValueError, match="takes trials to share one effect"):
        power_of_design(9, effect=-8, truth=truth, n_trials=3)
