"""Two-stage analysis of covariance, against statsmodels' regressions and the pooling model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from numpy.testing import assert_allclose

from backpain_analysis.models.dose.curves import piecewise
from backpain_analysis.models.pairwise.pooling import pool
from backpain_analysis.models.people.ancova import ancova
from backpain_analysis.models.people.imputation import impute, pool_imputations
from tests.models.people.made_visits import at, made_visits


@pytest.fixture(scope="module")
def visits() -> pd.DataFrame:
    return made_visits(missing=0.15)


@pytest.fixture(scope="module")
def regressions(visits):
    """Every trial's regression by statsmodels."""
    formula = "value ~ dose + baseline + age + sex"
    return [smf.ols(formula, rows).fit() for _, rows in at(visits, 12).groupby("trial_id")]


def test_stage_one_is_a_regression_a_trial(visits, regressions):
    result = ancova(visits, week=12, adjust=("baseline", "age", "sex"))
    stage_one = result.trials.set_index("trial_id")
    assert list(stage_one.index) == ["t0", "t1", "t2"]
    for fitted, (_, row) in zip(regressions, stage_one.iterrows(), strict=True):
        assert_allclose(row["estimate"], fitted.params["dose"], rtol=1e-9)
        assert_allclose(row["se"], fitted.bse["dose"], rtol=1e-9)
        assert row["df"] == fitted.df_resid
        assert row["participants"] == fitted.nobs


def test_stage_two_is_the_random_effects_model(visits, regressions):
    result = ancova(visits, week=12, adjust=("baseline", "age", "sex"), test="z")
    yi = [fitted.params["dose"] for fitted in regressions]
    vi = [fitted.bse["dose"] ** 2 for fitted in regressions]
    pooled = pool(yi, vi, method="REML", test="z")
    assert_allclose(result.params["dose"], pooled.estimate, rtol=1e-6)
    assert_allclose(result.bse["dose"], pooled.se, rtol=1e-6)
    assert_allclose(result.psi.iloc[0, 0], pooled.tau2, rtol=1e-5, atol=1e-10)


def test_a_curve_with_two_terms_without_heterogeneity_is_weighted_by_inverse_covariance(visits):
    result = ancova(visits, week=12, curve="quadratic", method="CE")
    fits = [
        smf.ols("value ~ dose + I(dose**2) + baseline", rows).fit()
        for _, rows in at(visits, 12).groupby("trial_id")
    ]
    names = ["dose", "I(dose ** 2)"]
    weights = [np.linalg.inv(fitted.cov_params().loc[names, names]) for fitted in fits]
    cov = np.linalg.inv(sum(weights))
    pairs = zip(weights, fits, strict=True)
    mean = cov @ sum(weight @ fitted.params[names] for weight, fitted in pairs)
    assert_allclose(result.params, mean, rtol=1e-7)
    assert_allclose(result.cov_params(), cov, rtol=1e-6)
    row = np.array([60.0, 60.0**2]) - np.array([20.0, 20.0**2])
    predicted = result.predict([60], reference=20).iloc[0]
    assert_allclose(predicted["estimate"], row @ mean, rtol=1e-7)
    assert_allclose(predicted["se"], np.sqrt(row @ cov @ row), rtol=1e-6)
    assert np.isinf(result.df)


def test_prediction_interval_adds_the_spread_of_trials():
    visits = pd.concat(
        [
            made_visits(n=60, trials=1, slope=slope, seed=seed).assign(trial_id=f"t{seed}")
            for seed, slope in enumerate((-0.2, 0.0, -0.1, 0.1, -0.3))
        ]
    )
    result = ancova(visits, week=12)
    tau2 = result.psi.loc["dose", "dose"]
    assert tau2 > 0
    assert result.df == 4
    row = result.predict([100]).iloc[0]
    critical = 2.7764451051977987
    assert_allclose(row["ci_high"] - row["estimate"], critical * row["se"], rtol=1e-9)
    reach = critical * np.sqrt(row["se"] ** 2 + 100**2 * tau2)
    assert_allclose(row["pi_high"] - row["estimate"], reach, rtol=1e-9)


def test_a_single_trial_stands_for_itself(visits):
    one = visits[visits["trial_id"] == "t1"]
    result = ancova(one, week=12)
    fitted = smf.ols("value ~ dose + baseline", at(one, 12)).fit()
    assert result.method == "CE"
    assert_allclose(result.conf_int().loc["dose"], fitted.conf_int().loc["dose"], rtol=1e-8)
    assert_allclose(result.pvalues["dose"], fitted.pvalues["dose"], rtol=1e-7)


def test_who_is_left_out_for_two_reasons_is_told_the_first(visits):
    some = visits.copy()
    people = some[["trial_id", "participant_id"]]
    own = (people == people.iloc[-1]).all(axis=1)
    some.loc[own, ["dose", "age"]] = np.nan
    some.loc[some.index[-1], "value"] = 50.0
    absent = int(some.loc[some["week"] == 12, "value"].isna().sum())
    counts = ancova(some, week=12, adjust=("baseline", "age")).excluded_counts()
    found = counts.set_index("reason")["participants"].to_dict()
    assert found == {"no score at week 12": absent, "dose missing": 1}


def test_who_is_left_out_is_counted(visits):
    some = visits[(visits["trial_id"] != "t2") | (visits["week"] < 12)].copy()
    result = ancova(some, week=12)
    assert result.left_out.to_dict("records") == [
        {"trial_id": "t2", "reason": "no complete scores at week 12"}
    ]
    at_12 = some[(some["week"] == 12)]
    absent = int(at_12["value"].isna().sum()) + 40
    assert result.excluded_counts().to_dict("records") == [
        {"reason": "no score at week 12", "trials": 3, "participants": absent}
    ]
    assert result.n_participants == 120 - absent
    assert result.n_trials == 2
    assert f"{absent} left out" in result._repr_html_()


def test_a_missing_covariate_is_a_reason():
    visits = made_visits()
    visits.loc[visits["participant_id"] == "p3", "age"] = np.nan
    result = ancova(visits, week=12, adjust=("baseline", "age"))
    assert result.excluded["reason"].tolist() == ["age missing"] * 3
    assert ancova(visits, week=12).excluded.empty


def test_trials_that_cannot_estimate_the_curve_say_why():
    visits = made_visits(trials=5)
    two_doses = (visits["trial_id"] == "t0") & (visits["dose"] == 60)
    tiny = (visits["trial_id"] == "t1") & ~visits["participant_id"].isin(["p0", "p1", "p2", "p4"])
    result = ancova(visits[~two_doses & ~tiny], week=12, curve="quadratic")
    reasons = result.left_out.set_index("trial_id")["reason"]
    assert reasons["t0"] == "2 different doses, too few for 2 coefficients"
    assert reasons["t1"] == "4 participants are too few for 4 coefficients"
    assert result.n_trials == 3


def test_a_covariate_constant_in_a_trial_is_left_out_there():
    visits = made_visits()
    visits.loc[visits["trial_id"] == "t0", "sex"] = "female"
    rows = at(visits, 12)
    result = ancova(visits, week=12, adjust=("baseline", "sex")).trials.set_index("trial_id")
    without = smf.ols("value ~ dose + baseline", rows[rows["trial_id"] == "t0"]).fit()
    assert_allclose(result.loc["t0", "se"], without.bse["dose"], rtol=1e-9)
    assert result.loc["t0", "df"] == without.df_resid


def test_dose_that_goes_with_a_covariate_is_refused():
    visits = made_visits(trials=1).assign(age=lambda t: 40 + t["dose"] / 10)
    with pytest.raises(ValueError, match="t0: dose cannot be told apart from the covariates"):
        ancova(visits, week=12, adjust=("baseline", "age"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"week": 8}, "no scores at week 8 after baseline; there are some at 6, 12"),
        ({"week": 0}, "no scores at week 0 after baseline"),
        ({"week": 12, "curve": "emax"}, "shape of a emax curve cannot be estimated here"),
        ({"week": 12, "curve": "fp2"}, "shape of a fp2 curve cannot be estimated here"),
        ({"week": 12, "test": "F"}, "unknown test 'F'"),
    ],
)
def test_what_cannot_be_fitted_is_refused(visits, options, message):
    with pytest.raises(ValueError, match=message):
        ancova(visits, **options)


def test_unit_of_dose_does_not_matter(visits):
    minutes = ancova(visits, week=12, curve=piecewise(60)).predict([30, 120])
    hours = visits.assign(dose=visits["dose"] / 60)
    assert_allclose(
        ancova(hours, week=12, curve=piecewise(1)).predict([0.5, 2])["ci_low"],
        minutes["ci_low"],
        rtol=1e-6,
    )


def test_imputed_data_are_pooled_within_each_trial(visits):
    imputations = impute(visits, m=4)
    result = ancova(imputations, week=12).trials.set_index("trial_id")
    for trial in ("t0", "t1", "t2"):
        fits = [
            smf.ols("value ~ dose + baseline", table[table["trial_id"] == trial]).fit()
            for table in (table[table["week"] == 12] for table in imputations)
        ]
        estimates = [[fitted.params["dose"]] for fitted in fits]
        covariances = [[[fitted.bse["dose"] ** 2]] for fitted in fits]
        pooled = pool_imputations(estimates, covariances, fits[0].df_resid)
        assert_allclose(result.loc[trial, "estimate"], pooled.params[0], rtol=1e-9)
        assert_allclose(result.loc[trial, "se"] ** 2, pooled.cov[0, 0], rtol=1e-9)
        assert_allclose(result.loc[trial, "df"], pooled.df[0], rtol=1e-9)


@pytest.mark.parametrize("imputed_baseline", [False, True])
def test_imputations_together_are_imputations_one_by_one(imputed_baseline):
    visits = made_visits(missing=0.2)
    if imputed_baseline:
        visits.loc[(visits["week"] == 0) & (visits.index % 9 == 0), "value"] = np.nan
    imputations = impute(visits, m=3)
    together = ancova(imputations, week=12).trials
    alone = [ancova(table, week=12).trials for table in imputations]
    assert_allclose(together["estimate"], np.mean([one["estimate"] for one in alone], axis=0))
    within = np.mean([one["se"] ** 2 for one in alone], axis=0)
    between = np.var([one["estimate"] for one in alone], axis=0, ddof=1)
    assert_allclose(together["se"] ** 2, within + 4 / 3 * between)


def test_a_covariate_that_was_not_imputed_with_is_refused(visits):
    with pytest.raises(ValueError, match=r"impute with auxiliary=\('age',\)"):
        ancova(impute(visits, m=2), week=12, adjust=("baseline", "age"))


def test_other_column_names(visits):
    renamed = visits.rename(columns={"value": "pain", "dose": "minutes_per_week"})
    result = ancova(renamed, week=12, outcome="pain", dose="minutes_per_week")
    assert_allclose(result.params, ancova(visits, week=12).params)


class Cohort:
    """Anything with `scores` and `visits`, as `Participants` has them."""

    scores = pd.DataFrame({"instrument": ["nrs"]})

    def visits(self, instrument: str | None = None, *, dose: str = "minutes_per_week"):
        assert instrument is None
        return made_visits().assign(dose=lambda t: t["dose"] / (60 if "hours" in dose else 1))


def test_participants_are_taken_as_they_are():
    result = ancova(Cohort(), week=12)
    assert result.dose_name == "minutes_per_week"
    assert_allclose(result.params, ancova(made_visits(), week=12).params)
    in_hours = ancova(Cohort(), week=12, dose="hours_per_week")
    assert_allclose(in_hours.params, 60 * result.params, rtol=1e-6)
    assert impute(Cohort(), m=2).dose_name == "minutes_per_week"
