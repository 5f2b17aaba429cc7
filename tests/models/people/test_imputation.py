"""Rubin's rules against numbers by hand; imputation against likelihood and theory."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.models.people.ancova import ancova
from backpain_analysis.models.people.clda import clda
from backpain_analysis.models.people.imputation import impute, pool_imputations, with_imputations
from tests.models.people.made_visits import made_visits


def test_rubins_rules_on_a_published_example():
    """Means and errors of SAS/STAT User's Guide, PROC MIANALYZE, "Reading Means and Standard
    Errors from a DATA= Data Set" (oxygen, run time; 30 degrees of freedom), pooled by hand.
    """
    oxygen = [47.0120, 47.2407, 47.4995, 47.1485, 47.0042]
    run_time = [10.4441, 10.5040, 10.5922, 10.5279, 10.4913]
    errors = np.transpose(
        [
            [0.95984, 0.93540, 1.00766, 0.95439, 0.96528],
            [0.28520, 0.26661, 0.26302, 0.26405, 0.27275],
        ]
    )
    means = np.transpose([oxygen, run_time])
    pooled = pool_imputations(means, [np.diag(row**2) for row in errors], 30)
    assert_allclose(np.diag(pooled.between), [0.041478, 0.002948], rtol=5e-4)
    assert_allclose(np.diag(pooled.within), [0.930853, 0.073142], rtol=3e-5)
    assert_allclose(np.diag(pooled.cov), [0.980626, 0.076679], rtol=3e-5)
    assert_allclose(pooled.df, [26.298, 26.503], rtol=1e-4)
    assert_allclose(pooled.riv, [0.053471, 0.048365], rtol=5e-4)


def test_rubins_rules_by_hand():
    """Q = (1, 3), U = 1: B = 2, T = 4, lambda = 3/4, r = 3; v_old = 16/9, v_obs = 11/13 10/4."""
    pooled = pool_imputations([[1.0], [3.0]], [[[1.0]], [[1.0]]], 10)
    assert pooled.params[0] == 2
    assert pooled.cov[0, 0] == 4
    assert_allclose(pooled.df[0], 1 / (9 / 16 + 26 / 55), rtol=1e-12)
    assert_allclose(pooled.fmi[0], (3 + 2 / (pooled.df[0] + 3)) / 4, rtol=1e-12)
    assert_allclose(pool_imputations([[1.0], [3.0]], [[[1.0]], [[1.0]]]).df[0], 16 / 9)


def test_covariances_between_coefficients_are_pooled_too():
    Q = np.array([[1.0, 2.0], [2.0, 4.0], [3.0, 3.0]])
    U = np.array([[[2.0, 1.0], [1.0, 2.0]]] * 3)
    pooled = pool_imputations(Q, U)
    assert_allclose(pooled.between, [[1.0, 0.5], [0.5, 1.0]])
    assert_allclose(pooled.cov, [[2 + 4 / 3, 1 + 2 / 3], [1 + 2 / 3, 2 + 4 / 3]])


def test_imputations_that_agree_keep_the_degrees_of_freedom_of_complete_data():
    pooled = pool_imputations([[2.0]] * 3, [[[0.5]]] * 3, 17)
    assert pooled.df[0] == 17
    assert pooled.fmi[0] == 0


def test_unusable_estimates_are_refused():
    with pytest.raises(ValueError, match="two imputations"):
        pool_imputations([[1.0]], [[[1.0]]])
    with pytest.raises(ValueError, match=r"shape \(2, 1\) and covariances of shape \(2, 2, 2\)"):
        pool_imputations([[1.0], [2.0]], [np.eye(2)] * 2)


@pytest.fixture(scope="module")
def visits() -> pd.DataFrame:
    return made_visits(missing=0.2)


@pytest.fixture(scope="module")
def imputations(visits):
    return impute(visits, m=5, seed=3)


def test_observed_scores_stay_and_missing_ones_are_filled(visits, imputations):
    keys = ["trial_id", "participant_id", "week"]
    missing = visits.set_index(keys)["value"].isna()
    assert imputations.n_imputed == missing.sum()
    previous = None
    for table in imputations:
        value = table.set_index(keys)["value"].loc[missing.index]
        assert_allclose(value[~missing], visits.set_index(keys)["value"][~missing])
        assert np.isfinite(value).all()
        assert previous is None or np.all(value[missing] != previous[missing])
        previous = value


def test_a_visit_without_a_row_is_a_missed_one(visits):
    rows = visits.dropna(subset="value")
    first, second = impute(visits, m=2, seed=5), impute(rows, m=2, seed=5)
    pd.testing.assert_frame_equal(first.visits, second.visits, check_dtype=False)
    assert_allclose(first.values, second.values)


def test_the_seed_decides(visits, imputations):
    again, other = impute(visits, m=5, seed=3), impute(visits, m=5, seed=4)
    assert_allclose(imputations.values, again.values, rtol=0)
    assert not np.allclose(imputations.values, other.values)


def test_nothing_missing_gives_the_complete_case_analysis():
    whole = made_visits()
    imputations = impute(whole, m=3)
    assert imputations.n_imputed == 0
    model, pooled = clda(whole), with_imputations(imputations, clda)
    assert_allclose(pooled.params, model.params)
    assert_allclose(pooled.cov_params(), model.cov_params())
    assert (pooled.df == model.df).all()
    assert_allclose(pooled.predict([60])["ci_low"], model.predict([60])["ci_low"])
    two_stage, alone = ancova(imputations, week=12), ancova(whole, week=12)
    assert_allclose(two_stage.summary(), alone.summary())


@pytest.fixture(scope="module")
def monotone():
    """Two arms, baseline complete, half of the later scores missing by baseline; m = 150."""
    rng = np.random.default_rng(11)
    n = 120
    arm = np.arange(n) % 2
    baseline = rng.normal(50, 10, n)
    later = 10 + 0.7 * baseline - 5 * arm + rng.normal(0, 6, n)
    missing = rng.random(n) < 1 / (1 + np.exp(-(baseline - 50) / 5))
    table = pd.DataFrame({"participant_id": np.tile(np.arange(n), 2), "week": np.repeat([0, 9], n)})
    table["value"] = [*baseline, *np.where(missing, np.nan, later)]
    table = table.assign(trial_id="t", dose=np.tile(arm, 2) * 90.0)
    design = np.column_stack([np.ones(n), arm, baseline])
    return design, later, missing, impute(table, m=150, seed=2)


def test_mean_and_spread_of_imputations_are_those_of_the_posterior(monotone):
    """Regression of the later score on arm and baseline among the observed (Anderson 1957).

    The mean of the missing scores has posterior variance `s2 (1/k + x'(X'X)^-1 x)`, x their mean
    row; imputing each row for itself would lose the second part.
    """
    X, later, missing, imputations = monotone
    seen, x, k = X[~missing], X[missing].mean(axis=0), missing.sum()
    beta, rss = np.linalg.lstsq(seen, later[~missing], rcond=None)[:2]
    df = len(seen) - 3
    parameter = x @ np.linalg.solve(seen.T @ seen, x)
    assert parameter > 0.5 / k
    expected = rss[0] / (df - 2) * (1 / k + parameter)
    means = imputations.values.mean(axis=1)
    assert abs(means.mean() - x @ beta) < 4 * np.sqrt(expected / len(means))
    assert_allclose(means.var(ddof=1), expected, rtol=0.4)


def test_residuals_of_imputed_scores_vary_as_observed_ones(monotone):
    X, later, missing, imputations = monotone
    seen, unseen = X[~missing], X[missing]
    beta, rss = np.linalg.lstsq(seen, later[~missing], rcond=None)[:2]
    residuals = imputations.values - unseen @ beta
    leverage = np.einsum("ij,ij->i", unseen, np.linalg.solve(seen.T @ seen, unseen.T).T)
    expected = rss[0] / (len(seen) - 5) * (1 + leverage.mean())
    assert_allclose(np.mean(residuals**2), expected, rtol=0.1)


def test_patterns_of_missing_visits_are_told_apart():
    """Columns {1, 5} and {2, 3}: statsmodels' own hash takes them for one pattern."""
    visits = made_visits(n=60, trials=1, weeks=(0, 2, 4, 6, 8, 10, 12))
    weeks, person = visits["week"], visits["participant_id"].str[1:].astype(int)
    visits.loc[(person < 5) & weeks.isin([2, 10]), "value"] = np.nan
    visits.loc[(person >= 5) & (person < 10) & weeks.isin([4, 6]), "value"] = np.nan
    imputations = impute(visits, m=2)
    assert imputations.values.shape == (2, 20)
    assert np.isfinite(imputations.values).all()


def test_dropout_is_what_comes_after_the_last_score():
    visits = made_visits(n=30, trials=1)
    person = visits["participant_id"]
    visits.loc[(person == "p0") & (visits["week"] == 6), "value"] = np.nan
    visits.loc[(person == "p1") & (visits["week"] > 0), "value"] = np.nan
    found = impute(visits, m=2).visits
    dropouts = found.loc[found["dropout"], ["participant_id", "week"]]
    assert dropouts.to_numpy().tolist() == [["p1", 6.0], ["p1", 12.0]]
    assert found["imputed"].sum() == 3
    counts = impute(visits, m=2).summary()
    assert counts["imputed"].sum() == 3
    assert counts["after_dropout"].sum() == 2


def test_a_missing_baseline_is_one_number_a_participant():
    visits = made_visits(n=30, trials=1)
    visits.loc[(visits["participant_id"] == "p2") & (visits["week"] == 0), "value"] = np.nan
    for table in impute(visits, m=2):
        own = table[table["participant_id"] == "p2"]
        assert own["baseline"].nunique() == 1
        assert own.loc[own["week"] == 0, "value"].item() == own["baseline"].iloc[0]


def test_delta_is_added_to_chosen_imputed_scores_only(imputations):
    shifted = imputations.with_delta(7, lambda t: t["dose"] == 120)
    chosen = imputations.visits.loc[imputations.visits["imputed"], "dose"].to_numpy() == 120
    change = shifted.values - imputations.values
    assert_allclose(change[:, chosen], 7)
    assert_allclose(change[:, ~chosen], 0, atol=0)


def test_predictions_are_pooled_row_by_row(imputations):
    pooled = with_imputations(imputations, clda)
    name = "dose, week 12"
    predicted = pooled.predict([0, 50])
    assert_allclose(predicted["estimate"], [0, 50 * pooled.params[name]])
    assert_allclose(predicted["se"], [0, 50 * pooled.bse[name]])
    ends = 50 * pooled.conf_int().loc[name].to_numpy()
    assert_allclose(predicted.loc[1, ["ci_low", "ci_high"]].astype(float), ends)
    assert pooled.fmi[name] > 0.05
    assert {"df", "fmi"} <= set(pooled.summary())
    assert "5 imputations" in pooled._repr_html_()


def test_auxiliary_variables_help():
    """A later score that age gives away is imputed close to the truth."""
    whole = made_visits(n=80, trials=1, weeks=(0, 12))
    whole.loc[whole["week"] == 12, "value"] = 2 * whole["age"] + whole["dose"] / 100
    whole.loc[whole["week"] == 12, "value"] += np.resize([-0.1, 0.05, 0.0, 0.05], 80)
    holed = whole.copy()
    holed.loc[(holed["week"] == 12) & (holed.index % 4 == 1), "value"] = np.nan
    found = impute(holed, m=3, auxiliary=("age",))
    truth = found.visits.loc[found.visits["imputed"]]
    assert_allclose(found.values, np.tile(2 * truth["age"] + truth["dose"] / 100, (3, 1)), atol=0.5)


def test_what_cannot_be_imputed_is_refused(visits):
    with pytest.raises(ValueError, match="at least two"):
        impute(visits, m=1)
    changing = visits.assign(dose=visits["dose"] * visits["week"])
    few = visits[visits["participant_id"].isin(["p0", "p1", "p2", "p3"])].copy()
    few.loc[(few["week"] == 12) & (few["participant_id"] == "p0"), "value"] = np.nan
    with pytest.raises(ValueError, match=r"'t0': the dose changes.*'t1': the dose changes"):
        impute(changing)
    with pytest.raises(ValueError, match=r"'t1': 4 participants cannot carry .* 5 variables"):
        impute(few)
    copies = made_visits(trials=1, missing=0.2).assign(age=lambda t: t["dose"] / 2)
    with pytest.raises(ValueError, match="'t0': its variables repeat each other"):
        impute(copies, auxiliary=("age",))
