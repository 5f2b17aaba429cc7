"""Dose by moderator: within trials apart from across trials, against regressions by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from numpy.testing import assert_allclose

from backpain_analysis.models.pairwise.meta_regression import meta_regression
from backpain_analysis.models.pairwise.pooling import pool
from backpain_analysis.models.people.imputation import impute
from backpain_analysis.models.people.interactions import dose_by_moderator
from tests.models.people.made_visits import at, made_visits

INSIDE, BETWEEN = "dose:age within trials", "dose:age across trials"


@pytest.fixture(scope="module")
def visits() -> pd.DataFrame:
    return made_visits(trials=5, missing=0.1)


@pytest.fixture(scope="module")
def result(visits):
    return dose_by_moderator(visits, "age", week=12, test="z")


@pytest.fixture(scope="module")
def by_trial(visits) -> list[pd.DataFrame]:
    rows = at(visits, 12)
    rows["centred"] = rows["age"] - rows.groupby("trial_id")["age"].transform("mean")
    return [part for _, part in rows.groupby("trial_id")]


def test_within_trials_is_the_pooled_interaction(result, by_trial):
    fits = [smf.ols("value ~ dose * centred + baseline", part).fit() for part in by_trial]
    yi = [fitted.params["dose:centred"] for fitted in fits]
    vi = [fitted.bse["dose:centred"] ** 2 for fitted in fits]
    pooled = pool(yi, vi, method="REML", test="z")
    assert_allclose(result.params[INSIDE], pooled.estimate, rtol=1e-6)
    assert_allclose(result.bse[INSIDE], pooled.se, rtol=1e-6)


def test_across_trials_is_the_meta_regression_on_trial_means(result, by_trial):
    fits = [smf.ols("value ~ dose + age + baseline", part).fit() for part in by_trial]
    table = pd.DataFrame(
        {
            "yi": [fitted.params["dose"] for fitted in fits],
            "vi": [fitted.bse["dose"] ** 2 for fitted in fits],
            "age": [part["age"].mean() for part in by_trial],
        }
    )
    table["age"] -= table["age"].mean()
    theirs = meta_regression("yi ~ age", table, test="z")
    assert_allclose(result.params[["dose", BETWEEN]], theirs.params, rtol=1e-5)
    assert_allclose(result.bse[["dose", BETWEEN]], theirs.bse, rtol=1e-5)
    assert result.cov_params().loc[INSIDE, [BETWEEN, "dose"]].eq(0).all()


def test_ecological_bias_stays_out_of_the_within_trial_interaction():
    """The effect depends on the trial's mean age by -0.02 a year, on a person's own by nothing."""
    visits = made_visits(n=90, trials=8, slope=0.0)
    mean = visits.groupby("trial_id")["age"].transform("mean")
    visits["value"] += (visits["week"] == 12) * visits["dose"] * -0.02 * (mean - 55)
    result = dose_by_moderator(visits, "age", week=12)
    assert abs(result.params[INSIDE]) < 3 * result.bse[INSIDE]
    assert result.bse[INSIDE] < 0.002
    assert_allclose(result.params[BETWEEN], -0.02, atol=3 * result.bse[BETWEEN])
    difference = result.table(100, per=10).set_index("source").loc["across less within"]
    assert difference["p_value"] < 0.01
    assert_allclose(difference["estimate"], 1000 * (result.params[BETWEEN] - result.params[INSIDE]))
    variance = result.bse[BETWEEN] ** 2 + result.bse[INSIDE] ** 2
    assert_allclose(difference["se"], 1000 * np.sqrt(variance))


def test_a_shift_of_a_whole_trial_leaves_the_within_trial_interaction(visits, result):
    shift = visits["trial_id"].map({f"t{i}": 7.0 * i**2 for i in range(5)})
    shifted = dose_by_moderator(visits.assign(age=visits["age"] + shift), "age", week=12, test="z")
    assert_allclose(shifted.params[INSIDE], result.params[INSIDE], rtol=1e-6)
    assert abs(shifted.params[BETWEEN] / result.params[BETWEEN] - 1) > 0.1


def test_table_and_predictions_follow_from_the_coefficients(result):
    table = result.table(90, reference=30, per=10).set_index("source")
    assert_allclose(table.loc["within trials", "estimate"], 600 * result.params[INSIDE])
    assert_allclose(table.loc["within trials", "se"], 600 * result.bse[INSIDE])
    assert table["free_of_ecological_bias"].tolist() == [True, False, False]
    assert table["trials"].tolist() == [5, 5, 5]
    row = result.predict([60], at=-4).iloc[0]
    assert_allclose(row["estimate"], 60 * result.params["dose"] - 240 * result.params[INSIDE])
    variance = result.bse["dose"] ** 2 + 16 * result.bse[INSIDE] ** 2
    assert_allclose(row["se"], 60 * np.sqrt(variance))


def test_words_say_which_one_is_free_of_ecological_bias(result):
    text = result.sentence(60, per=10)
    change = f"{600 * result.params[INSIDE]:.2f}".replace("-", "−")
    assert f"10 units more of age changes the effect of 60 dose by {change}" in text
    assert text.index("free of ecological bias") < text.index("Between trials")
    assert "says nothing about single people" in text
    assert "free of ecological bias" in result._repr_html_()


def test_two_categories_are_a_moderator(visits):
    result = dose_by_moderator(visits, "sex", week=12)
    assert "dose:sex (male) within trials" in result.params
    numeric = visits.assign(male=(visits["sex"] == "male").astype(float))
    assert_allclose(
        result.params, dose_by_moderator(numeric, "male", week=12).params, rtol=1e-6, atol=1e-9
    )
    assert "sex (male) instead of the other category" in result.sentence()


def test_baseline_is_a_moderator(visits):
    result = dose_by_moderator(visits, "baseline", week=12)
    rows = at(visits, 12)
    rows = rows[rows["trial_id"] == "t1"]
    centred = rows["baseline"] - rows["baseline"].mean()
    fitted = smf.ols("value ~ dose * centred", rows.assign(centred=centred)).fit()
    own = result.trials.query("trial_id == 't1' and kind == 'within trials'").iloc[0]
    assert_allclose(own["estimate"], fitted.params["dose:centred"], rtol=1e-8)
    assert_allclose(own["moderator_mean"], rows["baseline"].mean())


def test_a_trial_of_one_kind_counts_across_trials_only(visits):
    women = visits.copy()
    women.loc[women["trial_id"] == "t3", "sex"] = "female"
    result = dose_by_moderator(women, "sex", week=12)
    assert result.table()["trials"].tolist() == [4, 5, 4]
    assert result.left_out.to_dict("records") == [
        {"trial_id": "t3", "kind": "within trials", "reason": "the moderator does not vary"}
    ]
    assert result.df["dose:sex (male) within trials"] == 3


def test_few_trials_have_no_across_trial_interaction(visits):
    two = visits[visits["trial_id"].isin(["t0", "t1"])]
    result = dose_by_moderator(two, "age", week=12)
    assert list(result.params.index) == ["dose", INSIDE]
    assert result.across_note == "2 trials only"
    assert result.table()["source"].tolist() == ["within trials"]
    assert "no comparison across trials: 2 trials only" in result.sentence()
    equal = made_visits(trials=4)
    equal["age"] -= equal.groupby("trial_id")["age"].transform("mean")
    assert dose_by_moderator(equal, "age", week=12).across_note == "all trials have the same mean"


def test_curves_of_two_terms_and_imputed_data(visits):
    result = dose_by_moderator(visits, "age", week=12, curve="quadratic")
    names = ["dose:age within trials", "dose^2:age within trials"]
    row = 10 * np.array([80.0, 6400.0])
    found = result.table(80, per=10).iloc[0]
    assert_allclose(found["estimate"], row @ result.params[names])
    assert_allclose(found["se"] ** 2, row @ result.cov_params().loc[names, names] @ row)
    whole = made_visits(trials=3)
    direct = dose_by_moderator(whole, "age", week=12)
    imputed = dose_by_moderator(impute(whole, m=2, auxiliary=("age",)), "age", week=12)
    assert_allclose(imputed.params, direct.params)
    assert_allclose(imputed.bse, direct.bse)


def test_what_cannot_moderate_is_refused(visits):
    many = visits.assign(smoking=np.resize(["never", "former", "current"], len(visits)))
    with pytest.raises(ValueError, match=r"3 categories \(current, former, never\)"):
        dose_by_moderator(many, "smoking", week=12)
    with pytest.raises(ValueError, match="apart: t0: the moderator does not vary; t1"):
        dose_by_moderator(visits.assign(age=40.0), "age", week=12)
