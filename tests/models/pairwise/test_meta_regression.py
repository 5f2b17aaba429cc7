"""Meta-regression against metafor."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import backpain_analysis as bp
from backpain_analysis.models.pairwise.inputs import METHODS
from backpain_analysis.models.pairwise.meta_regression import meta_regression
from backpain_analysis.models.pairwise.pooling import pool

FORMULA = "yi ~ weeks + frequency + type"
few = settings(max_examples=10, deadline=None, derandomize=True)


@pytest.fixture(scope="module")
def trials(reference, reference_table):
    md = reference["effect_sizes"]["MD"]
    return reference_table("pairwise").set_index("trial_id").assign(yi=md["yi"], vi=md["vi"])


def check(result, expected, scale=1.0, units=1.0):
    """Against metafor; `scale` multiplied yi, `units` is what coefficients are multiplied by."""
    interval = result.conf_int()
    for got, key in (
        (result.params, "b"),
        (result.bse, "se"),
        (interval["ci_low"], "ci_lb"),
        (interval["ci_high"], "ci_ub"),
    ):
        assert_allclose(got / units, expected[key], rtol=1e-6)
    assert_allclose(result.tvalues, expected["stat"], rtol=1e-6)
    assert_allclose(result.pvalues, expected["p"], rtol=1e-6)
    assert_allclose(
        result.cov_params() / np.multiply.outer(units, units), expected["vcov"], rtol=1e-6
    )
    assert_allclose(result.tau2 / scale**2, expected["tau2"], rtol=1e-6)
    numbers = [
        result.q,
        result.q_p,
        result.i2,
        result.h2,
        *result.omnibus[["statistic", "p_value"]],
    ]
    assert_allclose(numbers, [expected[key] for key in "QE QEp I2 H2 QM QMp".split()], rtol=1e-6)
    if "R2" in expected:
        assert_allclose(result.r2, expected["R2"], rtol=1e-6)
    k, p = result.n_trials, len(result.params)
    assert_allclose(result.llf + (k - p) * np.log(scale), expected["ll"], rtol=1e-6)


@pytest.mark.parametrize(("test", "word"), [("z", "z"), ("knapp-hartung", "knha")])
def test_units_do_not_matter(trials, reference, test, word):
    scaled = trials.assign(
        yi=trials["yi"] * 1000,
        vi=trials["vi"] * 1e6,
        weeks=trials["weeks"] / 52,
        frequency=trials["frequency"] * 1e4,
    )
    result = meta_regression(FORMULA, scaled, test=test)
    units = np.array([1e3, 52e3, 0.1, 1e3, 1e3])
    check(result, reference["meta_regression"][word], scale=1000.0, units=units)


@pytest.mark.parametrize(("key", "formula"), [("pet", "np.sqrt(vi)"), ("peese", "vi")])
def test_on_precision(trials, reference, key, formula):
    check(meta_regression(f"yi ~ {formula}", trials, test="z"), reference[key])


@pytest.mark.parametrize("method", METHODS)
def test_without_moderators_it_is_pooling(trials, method):
    result = meta_regression("yi ~ 1", trials, method=method)
    pooled = pool(trials["yi"], trials["vi"], method=method)
    numbers = "tau2 i2 h2 q q_p llf tau2_ci_low tau2_ci_high".split()
    assert_allclose(
        [getattr(result, name) for name in numbers],
        [getattr(pooled, name) for name in numbers],
        rtol=1e-6,
    )
    row = result.predict(pd.DataFrame(index=[0])).loc[0]
    expected = [getattr(pooled, name) for name in row.index]
    assert_allclose(row, expected, rtol=1e-6)
    assert_allclose(result.omnibus["p_value"], pooled.p_value, rtol=1e-5)
    if method not in ("CE", "HE"):
        assert result.r2 == 0.0


def test_common_effect_by_hand():
    """Weights 1, 1, 2, 2 at x = 0, 0, 1, 1: means 1 and 4, variances 1/2 and 1/4."""
    data = pd.DataFrame({"yi": [0.0, 2.0, 3.0, 5.0], "vi": [1, 1, 0.5, 0.5], "x": [0, 0, 1, 1]})
    result = meta_regression("yi ~ x", data, method="CE", test="z")
    assert_allclose(result.params, [1.0, 3.0])
    assert_allclose(result.bse, np.sqrt([0.5, 0.75]))
    assert_allclose([result.q, result.q_df], [6.0, 2])
    assert_allclose(result.omnibus["statistic"], 9 / 0.75)
    assert_allclose([result.h2, result.i2], [3.0, 200 / 3])
    assert np.isnan(result.r2)
    assert_allclose(result.table["weight"], [100 / 6, 100 / 6, 100 / 3, 100 / 3])
    assert_allclose(result.table["fitted"], [1.0, 1.0, 4.0, 4.0])


def test_predict(trials):
    result = meta_regression(FORMULA, trials)
    new = pd.DataFrame(
        {"weeks": [12, 0], "frequency": [3, 0], "type": ["pilates", "aerobic"]}, ["a", "b"]
    )
    predicted = result.predict(new)
    assert list(predicted.index) == ["a", "b"]
    assert_allclose(predicted.loc["b", "estimate"], result.params["Intercept"])
    assert_allclose(predicted.loc["b", "se"], result.bse["Intercept"])
    assert_allclose(predicted.loc["b", "ci_low"], result.conf_int().loc["Intercept", "ci_low"])
    x = np.array([1, 12, 3, 1, 0])
    se = np.sqrt(x @ result.cov_params().to_numpy() @ x)
    t = 2.068657610419  # 97.5% quantile on 23 degrees of freedom
    estimate = x @ result.params.to_numpy()
    reach = t * np.sqrt(se**2 + result.tau2)
    assert_allclose(
        predicted.loc["a"],
        [estimate, se, estimate - t * se, estimate + t * se, estimate - reach, estimate + reach],
        rtol=1e-9,
    )
    with pytest.raises(ValueError, match=r"category 'tai chi' was not in the data"):
        result.predict(new.assign(type="tai chi"))
    with pytest.raises(ValueError, match="rows b of the new data miss a moderator"):
        result.predict(new.assign(weeks=[1, None]))
    with pytest.raises(ValueError, match="no column 'frequency', 'weeks'"):
        result.predict(new[["type"]])


def test_missing_values_are_left_out_and_named(trials):
    gaps = trials.copy()
    gaps.loc["t03", "weeks"] = np.nan
    gaps.loc["t07", "yi"] = np.nan
    gaps.loc["t11", "type"] = None
    gaps.loc["t12", "pre1"] = np.nan
    result = meta_regression(FORMULA, gaps)
    assert result.dropped == ("t03", "t07", "t11")
    assert result.n_trials == 25
    whole = meta_regression(FORMULA, trials.drop(["t03", "t07", "t11"]))
    assert_allclose(result.params, whole.params)
    assert "Left out, with missing values: t03, t07, t11." in result._repr_html_()


def test_variance_inflation(trials):
    """1 / (1 - R2) of one moderator on the other, in the weighted sample."""
    result = meta_regression("yi ~ weeks + frequency", trials)
    w = 1 / (trials["vi"] + result.tau2)
    cov = np.cov(trials[["weeks", "frequency"]].T, aweights=w)
    r2 = cov[0, 1] ** 2 / cov[0, 0] / cov[1, 1]
    assert_allclose(result.vif, 1 / (1 - r2))


def test_without_intercept(trials):
    groups = meta_regression("yi ~ 0 + type", trials)
    contrasts = meta_regression("yi ~ type", trials)
    assert_allclose(groups.params["type[aerobic]"], contrasts.params["Intercept"])
    assert_allclose(groups.llf, contrasts.llf)
    assert groups.omnibus["df_num"] == 3
    assert np.isnan(groups.r2)


def test_nothing_left_to_explain():
    """Perfectly homogeneous: tau2 is zero in both models, and R2 has no meaning."""
    data = pd.DataFrame({"yi": [1.0, 1.1, 0.9, 1.0], "vi": [1.0] * 4, "x": [1, 2, 3, 4]})
    result = meta_regression("yi ~ x", data)
    assert_allclose(result.tau2, 0.0, atol=1e-12)
    assert np.isnan(result.r2)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("yi ~ weeks + I(2 * weeks)", r"column '.*weeks.*' of X is a combination"),
        ("yi ~ I(0 * weeks)", r"'I\(0 \* weeks\)' of X is all zero"),
        ("weeks + frequency", "needs one column of numbers on the left"),
        ("yi ~ nothing", "no column 'nothing'; the data have m1, sd1"),
        ("yi ~ C(m1)", r"28 trials cannot estimate 28 coefficients"),
        ("yi ~ weeks +", "'yi ~ weeks \\+' cannot be read: write it as"),
        ("yi ~ weeks.foo", "'yi ~ weeks.foo' cannot be computed"),
        ("yi ~ log(weeks - weeks)", r"log\(weeks - weeks\) of .* cannot be computed in every row"),
        ("yi ~ log(weeks - 100)", r"'yi ~ log\(weeks - 100\)' cannot be computed"),
        ("yi ~ 0", "leaves nothing to estimate"),
        (None, "a formula is text, as 'yi ~ weeks', not None"),
    ],
)
def test_unusable_formulas(trials, formula, message):
    with pytest.raises(ValueError, match=message):
        meta_regression(formula, trials)


def test_unusable_data(trials):
    bad = trials.assign(vi=trials["vi"].where(trials.index != "t02", 0.0))
    with pytest.raises(ValueError, match=r"row t02: yi = -26\.698, vi = 0\.0; .* vi above zero"):
        meta_regression(FORMULA, bad)
    with pytest.raises(ValueError, match=r"unknown method 'XX'.*unknown test 'YY'.*level 2"):
        meta_regression(FORMULA, trials, method="XX", test="YY", level=2)
    with pytest.raises(ValueError, match="no row of the data has all of vi, weeks, yi"):
        meta_regression("yi ~ weeks", trials.assign(weeks=np.nan))
    with pytest.raises(ValueError, match=r"2 trials cannot estimate 2 coefficients"):
        meta_regression("yi ~ weeks", trials.head(2))
    with pytest.raises(ValueError, match="two columns 'weeks': keep one"):
        meta_regression("yi ~ weeks", pd.concat([trials, trials[["weeks"]]], axis=1))
    dates = pd.date_range("2020-01-01", periods=len(trials))
    with pytest.raises(ValueError, match="weeks holds dates or times"):
        meta_regression("yi ~ weeks", trials.assign(weeks=dates))


def test_two_trials_with_known_variances():
    """As many trials as coefficients: the line through them, its variance from theirs alone."""
    data = pd.DataFrame({"yi": [1.0, 4.0], "vi": [1.0, 3.0], "x": [0, 1]})
    result = meta_regression("yi ~ x", data, method="CE", test="z")
    assert_allclose(result.summary()[["estimate", "se"]], [[1.0, 1.0], [3.0, 2.0]])
    assert np.isnan(result.q_p)


def test_equal_index_labels_are_rows_of_their_own(trials):
    twice = trials.set_axis(["same"] * 28)
    assert_allclose(meta_regression(FORMULA, twice).params, meta_regression(FORMULA, trials).params)


@few
@given(seed=st.integers(0, 999), shift=st.floats(-50, 50), method=st.sampled_from(METHODS))
def test_order_and_shift(seed, shift, method):
    random = np.random.default_rng(seed)
    data = pd.DataFrame({"x": random.normal(size=12), "vi": random.uniform(0.1, 1, 12)})
    data["yi"] = data["x"] + random.normal(0, np.sqrt(data["vi"] + 0.3))
    plain = meta_regression("yi ~ x", data, method=method)
    shuffled = data.sample(frac=1, random_state=seed).assign(yi=lambda t: t["yi"] + shift)
    other = meta_regression("yi ~ x", shuffled, method=method)
    assert_allclose(other.params - [shift, 0], plain.params, rtol=1e-6, atol=1e-6)
    assert_allclose(other.bse, plain.bse, rtol=1e-6)
    assert_allclose(other.tau2, plain.tau2, rtol=1e-5, atol=1e-8)


@pytest.fixture(scope="module")
def small():
    rng = np.random.default_rng(5)
    table = {"yi": rng.normal(size=9), "vi": rng.uniform(0.5, 1, 9), "x": np.arange(9.0)}
    return pd.DataFrame({**table, "g": list("aabbccabc")})


class Polars:
    """What a frame of another library looks like."""

    def __init__(self, table):
        self.table = table

    def to_pandas(self):
        return self.table


SAME = {
    "numbers as objects": lambda t: t.astype({"yi": object, "x": object}),
    "numbers as strings on the left": lambda t: t.assign(yi=t["yi"].map(repr).astype("string")),
    "nullable": lambda t: t.astype({"x": "Float64", "g": "string"}),
    "unused categories": lambda t: t.assign(g=pd.Categorical(t["g"], list("abcd"))),
    "another library": Polars,
    "a mapping": lambda t: t.to_dict("list"),
}


@pytest.mark.parametrize("kind", SAME)
@pytest.mark.parametrize("formula", ["yi ~ x", "yi ~ x + g"])
def test_the_type_of_a_column_does_not_matter(small, kind, formula):
    plain, other = (meta_regression(formula, table) for table in (small, SAME[kind](small)))
    assert_allclose(other.params, plain.params, rtol=1e-12)


@pytest.mark.parametrize(
    ("formula", "changed", "message"),
    [
        ("yi ~ x", {"yi": list("pqrstuvwx")}, "yi must hold numbers, but row 0 holds 'p'"),
        ("g ~ x", {}, "g must hold numbers, but row 0 holds 'a'"),
        ("yi + x ~ g", {}, "one column of numbers on the left"),
        ("yi ~ x", {"vi": [0.0] + [1.0] * 8}, "row 0: yi"),
        ("yi ~ x", {"yi": [1e300] + [1.0] * 8}, "computed are effects up to"),
    ],
)
def test_nonsense_is_refused(small, formula, changed, message):
    with pytest.raises(ValueError, match=message):
        meta_regression(formula, small.assign(**changed))


def test_a_term_that_forgets_is_not_used_to_predict(small):
    forgets = meta_regression("yi ~ I(x - x.mean())", small)
    with pytest.raises(ValueError, match="changes with the rows it is given"):
        forgets.predict(small.head(2))
    remembers = meta_regression("yi ~ center(x)", small).predict(small.head(2))
    plain = meta_regression("yi ~ x", small).predict(small.head(2))
    assert_allclose(remembers, plain, rtol=1e-9)


def test_effects_with_shared_reference_arms_are_refused():
    effects = bp.load_evidence().effects("pain_intensity")
    assert effects.n_trials < len(effects)
    with pytest.raises(ValueError, match="contrasts of one trial share its reference arm"):
        meta_regression("yi ~ 1", effects)
    single = effects.one_per_trial()
    assert meta_regression("yi ~ 1", single).n_trials == single.n_trials


@pytest.mark.parametrize("name", ["q_profile", "ML_PL", "REML_PL"])
def test_intervals_of_residual_heterogeneity(reference, reference2, reference_table, name):
    table = reference_table("pairwise").assign(**reference["effect_sizes"]["MD"])
    method = name.split("_")[0] if "PL" in name else "REML"
    result = meta_regression("yi ~ weeks + type", table, method=method)
    found = result.heterogeneity("profile-likelihood" if "PL" in name else "q-profile")
    expected = reference2["pooling"]["meta_regression_ci"][name]
    for theirs, ours in {"tau2": "tau2", "I2": "i2", "H2": "h2"}.items():
        assert_allclose(found.loc[ours, ["ci_low", "ci_high"]], expected[theirs], rtol=1e-4)


CHANGES = {"rstudent": "rstudent", "rstandard": "rstandard", "dffits": "dffits", "cook": "cook_d"}
CHANGES |= {"cov_r": "cov_r", "tau2_del": "tau2_del", "QE_del": "q_del"}
CHANGES |= {"hat": "hat", "weight": "weight"}


@pytest.mark.parametrize(("test", "word"), [("z", "z"), ("knapp-hartung", "knha")])
def test_influence_metafor(trials, reference2, test, word):
    expected = reference2["pooling"]["influence_weeks_type"][word]
    fitted = meta_regression("yi ~ weeks + type", trials, test=test)
    found = bp.influence(fitted)
    assert list(found.index) == list(trials.index)
    for theirs, ours in CHANGES.items():
        assert_allclose(found[ours], expected[theirs], rtol=1e-6, err_msg=ours)
    assert_allclose(found.filter(like="dfbetas"), expected["dfbetas"], rtol=1e-6)
    parts = np.array(expected["rstudent_resid"]) / expected["rstudent_se"]
    assert_allclose(found["rstudent"], parts, rtol=1e-6)
    assert list(found.index[found["influential"]]) == ["t01"]
    with pytest.raises(ValueError, match="carries all its options"):
        bp.influence(fitted, method="DL")


def test_influence_without_moderators_is_that_of_pooling(trials):
    found = meta_regression("yi ~ 1", trials).influence()
    pooled = bp.influence(trials["yi"], trials["vi"])
    for name in CHANGES.values():
        if name in pooled:
            assert_allclose(found[name], pooled[name], rtol=1e-6, err_msg=name)
    assert_allclose(found["dfbetas Intercept"], pooled["dfbetas"], rtol=1e-6)
    assert list(found["influential"]) == list(pooled["influential"])


def test_influence_where_the_others_cannot_carry_the_model():
    """Only the second trial has another x."""
    data = pd.DataFrame({"yi": [1.0, 2, 4, 3, 7], "vi": 1.0, "x": [0, 1, 0, 0, 0]})
    found = meta_regression("yi ~ x", data).influence()
    assert found["rstudent"].isna().tolist() == [False, True, False, False, False]
    assert found["rstandard"].isna().tolist() == [False, True, False, False, False]
