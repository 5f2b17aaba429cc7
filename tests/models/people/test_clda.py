"""cLDA against closed forms, direct maximisation, and lme4."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from numpy.testing import assert_allclose
from scipy import optimize

from backpain_analysis.engine.search import ConvergenceError
from backpain_analysis.models.people.clda import clda, fit_residual, with_baseline
from tests.models.people.made_visits import at, made_visits


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("curve", ["linear", "quadratic"])
def test_with_one_visit_the_effect_is_that_of_ancova(missing, curve):
    """Maximum likelihood with a common baseline mean is the regression on baseline (Lu 2010)."""
    visits = made_visits(trials=1, weeks=(0, 12), missing=missing)
    result = clda(visits, curve=curve, method="ML")
    formula = "value ~ baseline + dose" + " + I(dose**2)" * (curve == "quadratic")
    fitted = smf.ols(formula, at(visits, 12)).fit()
    assert_allclose(result.params, fitted.params.iloc[2:], rtol=1e-5)
    assert result.n_participants == 40
    assert result.n_scores == 40 + fitted.nobs


@pytest.fixture(scope="module")
def holed() -> pd.DataFrame:
    """Two trials, three visits, scores missing everywhere, one baseline too."""
    visits = made_visits(n=30, trials=2, missing=0.25)
    visits.loc[(visits["participant_id"] == "p5") & (visits["week"] == 0), "value"] = np.nan
    return visits


def mean_of(rows: pd.DataFrame) -> np.ndarray:
    """Dose at weeks 6 and 12, then an indicator a trial and visit."""
    dose = [rows["dose"] * (rows["week"] == week) for week in (6, 12)]
    cells = [
        (rows["trial_id"] == trial) & (rows["week"] == week)
        for trial in ("t0", "t1")
        for week in (0, 6, 12)
    ]
    return np.column_stack([*dose, *cells]).astype(float)


def test_free_covariance_against_direct_maximisation(holed):
    result = clda(holed, method="ML")
    rows = holed.dropna(subset="value")
    people = [part for _, part in rows.groupby(["trial_id", "participant_id"])]
    blocks = [
        (part["value"].to_numpy(), mean_of(part), (part["week"] // 6).astype(int).to_numpy())
        for part in people
    ]

    def solve(parameters):
        lower = np.zeros((3, 3))
        lower[np.tril_indices(3)] = parameters
        R = 10 * lower @ lower.T
        information, score = np.zeros((8, 8)), np.zeros(8)
        known = [np.linalg.inv(R[np.ix_(place, place)]) for *_, place in blocks]
        for (y, X, _), W in zip(blocks, known, strict=True):
            information += X.T @ W @ X
            score += X.T @ W @ y
        beta = np.linalg.solve(information, score)
        llf = 0.0
        for (y, X, _), W in zip(blocks, known, strict=True):
            left = y - X @ beta
            llf += (np.linalg.slogdet(W / (2 * np.pi))[1] - left @ W @ left) / 2
        return llf, beta, np.linalg.inv(information), R

    start = [3.0, 2.0, 2.0, 2.0, 1.0, 2.0]
    best = optimize.minimize(lambda p: -solve(p)[0], start, method="BFGS", options={"gtol": 1e-5})
    llf, beta, cov, R = solve(best.x)
    assert_allclose(result.llf, llf, atol=1e-6)
    assert_allclose(result.params, beta[:2], rtol=1e-4)
    assert_allclose(result.means["estimate"].sort_values(), np.sort(beta[2:]), rtol=1e-4)
    assert_allclose(result.bse, np.sqrt(np.diag(cov)[:2]), rtol=1e-4)
    assert_allclose(result.residual_cov, R, rtol=1e-3)


def test_random_slope_against_lme4(reference, reference_table):
    """A random slope by week, with lme4's restricted likelihood (no |X'X|/2); lme4 stopped 4e-5
    below the maximum, which moves its standard errors by up to 3e-4.
    """
    rows = reference_table("participants")
    expected = reference["participants"]["random_slope"]
    week, dose = rows["week"].to_numpy(float), rows["minutes_per_week"].to_numpy(float)
    X = np.column_stack([np.ones(len(rows)), week, dose, rows["age"], week * dose])
    people = rows.groupby(["trial_id", "participant_id"]).ngroup().to_numpy()
    options = {"method": "REML", "names": expected["names"]}
    y = rows["pain"].to_numpy(float)
    found = fit_residual(y, X, people, week, "random_slope", **options)
    assert found.model.llf - 0.5 * np.linalg.slogdet(X.T @ X)[1] > expected["ll"] - 1e-6
    assert_allclose(found.model.beta, expected["b"], rtol=1e-4)
    assert_allclose(np.sqrt(np.diag(found.model.cov_beta)), expected["se"], rtol=5e-4)
    weeks = np.unique(week)
    a, d, c, error = (part["vcov"] for part in expected["varcorr"])
    R = a + c * np.add.outer(weeks, weeks) + d * np.outer(weeks, weeks)
    assert_allclose(found.cov, R + error * np.eye(len(weeks)), rtol=2e-3)


def test_random_slope_has_the_mean_of_the_free_covariance(holed):
    result = clda(holed, residual="random_slope")
    rows = holed.dropna(subset="value")
    people = rows.groupby(["trial_id", "participant_id"]).ngroup().to_numpy()
    y, week = rows["value"].to_numpy(), rows["week"].to_numpy()
    options = {"method": "REML", "names": [f"x{j}" for j in range(8)]}
    found = fit_residual(y, mean_of(rows), people, week, "random_slope", **options)
    assert_allclose(result.llf, found.model.llf, rtol=1e-8)
    assert_allclose(result.params, found.model.beta[:2], rtol=1e-5)


def test_baseline_column_and_baseline_rows_are_the_same(holed):
    keys = ["trial_id", "participant_id"]
    first = holed[holed["week"] == 0].set_index(keys)["value"].rename("baseline")
    later = holed[holed["week"] > 0].join(first, on=keys)
    assert_allclose(clda(later).params, clda(holed).params, rtol=1e-9)


def test_baseline_is_a_score_at_week_0(holed):
    rows = with_baseline(holed.assign(baseline=50.0))
    assert (rows.loc[rows["week"] == 0, "value"] == 50).all()
    assert len(rows) == 60 + holed.loc[holed["week"] > 0, "value"].notna().sum()


def test_effects_over_time_and_their_test(holed):
    result = clda(holed)
    effects = result.over_time(100, reference=40)
    assert effects["week"].tolist() == [6, 12]
    assert_allclose(effects["estimate"], 60 * result.params.to_numpy())
    assert_allclose(effects["se"], 60 * result.bse.to_numpy())
    change = np.array([-1, 1])
    variance = change @ result.cov_params().to_numpy() @ change
    test = result.test_time()
    assert_allclose(test["statistic"], (change @ result.params.to_numpy()) ** 2 / variance)
    assert test["df_denom"] == result.df == 60 - 2 - 1
    assert_allclose(result.predict([100])["estimate"], 100 * result.params["dose, week 12"])
    with pytest.raises(ValueError, match="no visit at week 8; there are 6, 12"):
        result.predict([100], week=8)
    with pytest.raises(ValueError, match="one visit"):
        clda(made_visits(trials=1, weeks=(0, 12))).test_time()


def test_participants_without_scores_are_counted(holed):
    gone = holed.copy()
    gone.loc[gone["participant_id"] == "p7", "value"] = np.nan
    result = clda(gone)
    assert result.n_participants == 58
    assert len(result.excluded) in (0, 2)
    assert "unstructured" in result._repr_html_()


def test_what_cannot_be_fitted_is_refused(holed):
    apart = holed[(holed["week"] != 6) | (holed["trial_id"] == "t0")]
    apart = apart[(apart["week"] != 12) | (apart["trial_id"] == "t1")]
    with pytest.raises(ValueError, match="both weeks 6 and 12 for a free covariance"):
        clda(apart)
    assert len(clda(apart, residual="random_slope").params) == 2
    copies = made_visits(trials=1)
    copies.loc[copies["week"] == 12, "value"] = copies.loc[copies["week"] == 6, "value"].to_numpy()
    with pytest.raises(ConvergenceError, match="combination of those of others"):
        clda(copies)
    with pytest.raises(ValueError, match="residual 'ar1'"):
        clda(holed, residual="ar1")
    with pytest.raises(ValueError, match="no scores after baseline"):
        clda(holed[holed["week"] == 0])


def test_a_climb_from_the_moments_ends_as_high_as_the_search_from_many_starts(holed, monkeypatch):
    quick = clda(holed)
    monkeypatch.setattr("backpain_analysis.models.people.clda.PLENTY", np.inf)
    slow = clda(holed)
    assert quick.engine.n_iterations != slow.engine.n_iterations, "of their own starts"
    assert_allclose(quick.engine.llf, slow.engine.llf, rtol=1e-12)
    assert_allclose(quick.params, slow.params, rtol=1e-8)
