"""Multilevel models and robust covariance against metafor and clubSandwich."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from backpain_analysis.engine.robust import robust_covariance
from backpain_analysis.engine.sampling import sampling_covariance
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.pairwise.multilevel import multilevel

NESTED = ["trial_id/effect_id"]


@pytest.fixture(scope="module")
def data(reference_table):
    return reference_table("multilevel")


def fitted(data, *, scale=1.0, weeks=1.0):
    data = data.assign(yi=data["yi"] * scale, vi=data["vi"] * scale**2, weeks=data["weeks"] * weeks)
    V = sampling_covariance("vi", "trial_id", rho=0.6, data=data)
    return multilevel("yi ~ weeks + outcome", data, V=V, random=NESTED)


def check(result, expected):
    assert_allclose(result.params, expected["b"], rtol=1e-6)
    assert_allclose(result.bse, expected["se"], rtol=1e-6)
    assert_allclose(result.sigma2, expected["sigma2"], rtol=1e-6)
    assert_allclose([result.llf, result.q], [expected["ll"], expected["QE"]], rtol=1e-9)


def test_three_levels(data, reference):
    expected = reference["three_level"]
    result = multilevel("yi ~ 1", data, V="vi", random=NESTED)
    check(result, {**expected, "b": [expected["b"]], "se": [expected["se"]]})


def test_correlated_sampling_errors(data, reference):
    result, expected = fitted(data), reference["multilevel_V"]
    check(result, expected)
    assert_allclose(result.cov_params(), expected["vcov"], rtol=2e-6)


def test_units_do_not_matter(data, reference):
    expected = reference["multilevel_V"]
    result = fitted(data, scale=1000.0, weeks=1 / 52)
    units = np.array([1000.0, 52_000.0, 1000.0])
    assert_allclose(result.params / units, expected["b"], rtol=1e-6)
    assert_allclose(result.bse / units, expected["se"], rtol=1e-6)
    assert_allclose(result.sigma2 / 1e6, expected["sigma2"], rtol=1e-6)


def test_cr2_with_satterthwaite(data, reference):
    result, expected = fitted(data).robust("trial_id"), reference["multilevel_CR2"]
    assert_allclose(result.bse, expected["se"], rtol=1e-6)
    assert_allclose(result.df, expected["df"], rtol=1e-6)
    assert_allclose(result.pvalues, expected["p"], rtol=1e-6)
    interval = result.conf_int()
    assert_allclose(interval["ci_low"], expected["ci_lb"], rtol=1e-6)
    assert_allclose(interval["ci_high"], expected["ci_ub"], rtol=1e-6)


def test_cr1(data, reference):
    result, expected = fitted(data).robust("trial_id", "CR1"), reference["multilevel_CR1"]
    assert_allclose(result.bse, expected["se"], rtol=1e-6)
    assert_allclose(result.df, expected["df"])
    assert_allclose(result.pvalues, expected["p"], rtol=1e-6)


def test_kinds_differ_by_their_factors(data):
    """22 trials, 3 coefficients: sqrt(22/19) for CR1, sqrt(22 (N - 1) / (21 (N - 3))) for CR1S."""
    result = fitted(data)
    plain = result.robust("trial_id", "CR0").bse
    m, n = 22, len(data)
    assert_allclose(result.robust("trial_id", "CR1").bse, plain * np.sqrt(m / (m - 3)))
    factor = np.sqrt(m * (n - 1) / ((m - 1) * (n - 3)))
    assert_allclose(result.robust("trial_id", "CR1S").bse, plain * factor)


def test_satterthwaite_against_its_definition(data):
    """The linear-time sum equals the double sum over clusters with full N x N matrices."""
    result = fitted(data)
    model, labels = result.engine, data["trial_id"].to_numpy()
    n, p = model.X.shape
    V = np.zeros((n, n))
    for rows, W in zip(model.blocks.batches, model.precision, strict=True):
        for own, block in zip(rows, W, strict=True):
            V[np.ix_(own, own)] = np.linalg.inv(block)
    W, C, X = np.linalg.inv(V), model.cov_beta, model.X
    residual_maker = np.eye(n) - X @ C @ X.T @ W
    columns = []
    for label in dict.fromkeys(labels):
        g = np.flatnonzero(labels == label)
        D = np.linalg.cholesky(V[np.ix_(g, g)]).T
        inner = D @ (residual_maker @ V @ residual_maker.T)[np.ix_(g, g)] @ D.T
        values, vectors = np.linalg.eigh(inner)
        A = D.T @ (vectors / np.sqrt(values)) @ vectors.T @ D
        columns.append(residual_maker[g].T @ A @ (W @ X)[g] @ C)
    columns = np.stack(columns)
    for c in range(p):
        q = columns[:, :, c]
        S = q @ V @ q.T
        df = robust_covariance(model, labels).df(np.eye(p))
        assert_allclose(df[c], np.trace(S) ** 2 / np.sum(S**2), rtol=1e-8)


def test_random_slope_is_free_of_units(data):
    one = multilevel("yi ~ weeks", data, V="vi", random=["weeks | trial_id"])
    years = data.assign(weeks=data["weeks"] / 52)
    other = multilevel("yi ~ weeks", years, V="vi", random=["weeks | trial_id"])
    assert_allclose(one.llf, other.llf, rtol=1e-9)
    psi, scaled = one.psi["weeks | trial_id"], other.psi["weeks | trial_id"]
    assert list(psi.columns) == ["Intercept", "weeks"]
    assert_allclose(psi * np.outer([1, 52], [1, 52]), scaled, rtol=1e-4, atol=1e-8)


def test_crossed_terms_make_one_block(data):
    """Two crossed groupings connect the trials; the likelihood is that of the dense normal."""
    few = data.iloc[:12].assign(site=[*"abcabcabcabc"])
    result = multilevel("yi ~ 1", few, V="vi", random=["trial_id", "site"])
    assert result.n_clusters == 1
    same = [few[name].to_numpy()[:, None] == few[name].to_numpy() for name in ("trial_id", "site")]
    V = np.diag(few["vi"]) + sum(s * k for s, k in zip(result.sigma2, same, strict=True))
    ones = np.ones((12, 1))
    weight = ones.T @ np.linalg.solve(V, ones)
    assert_allclose(result.params, np.linalg.solve(weight, ones.T @ np.linalg.solve(V, few["yi"])))


def test_predictions_follow_the_formula(data):
    result = fitted(data)
    new = pd.DataFrame({"weeks": [10.0], "outcome": ["pain"]}, index=["x"])
    table = result.predict(new)
    assert_allclose(table.loc["x", "estimate"], result.params @ [1, 10, 1])


def test_missing_values_are_counted(data):
    holes = data.assign(weeks=data["weeks"].where(data.index != 3))
    result = multilevel("yi ~ weeks", holes, V="vi", random=["trial_id"])
    assert result.dropped == (3,)
    assert result.n_rows == len(data) - 1
    V = sampling_covariance("vi", "trial_id", rho=0.6, data=data)
    with pytest.raises(ValueError, match="rows 3 have missing values"):
        multilevel("yi ~ weeks", holes, V=V, random=["trial_id"])


def test_faults_say_what_to_do(data):
    with pytest.raises(ValueError, match="no column 'dose', 'site'; the data have trial_id"):
        multilevel("yi ~ dose", data, V="vi", random=["site"])
    with pytest.raises(ValueError, match=r"row 0 \(-1\.0\)"):
        sampling_covariance([-1.0, 1.0], ["a", "b"], rho=0.5)
    with pytest.raises(ValueError, match=r"must lie between -0\.5 and 1"):
        sampling_covariance([1.0, 1.0, 1.0], ["a"] * 3, rho=-0.9)
    result = multilevel("yi ~ 1", data, V="vi", random=["trial_id"])
    with pytest.raises(ValueError, match="cuts through a trial"):
        result.robust(np.arange(len(data)))
    with pytest.raises(ValueError, match="unknown kind 'CR9'"):
        result.robust("trial_id", "CR9")


def test_names_of_labels_do_not_matter(data):
    """New names for trials, in another alphabetical order, change nothing."""
    names = {name: f"{99 - i}-{name}" for i, name in enumerate(data["trial_id"].unique())}
    renamed = data.assign(trial_id=data["trial_id"].map(names))
    one, other = fitted(data).robust("trial_id"), fitted(renamed).robust("trial_id")
    assert_allclose(one.params, other.params, rtol=1e-10)
    assert_allclose(one.bse, other.bse, rtol=1e-10)
    assert_allclose(one.llf, other.llf, rtol=1e-12)


def test_a_trial_split_in_two_labels_is_two_trials(data):
    """Splitting a label of a model without random effects or correlation changes nothing."""
    split = data.assign(trial_id=data["trial_id"] + data["effect_id"])
    options = {"V": "vi", "random": ["trial_id"], "method": "CE"}
    one, other = (multilevel("yi ~ weeks", d, **options) for d in (data, split))
    assert_allclose(one.params, other.params, rtol=1e-10)
    assert_allclose(one.bse, other.bse, rtol=1e-10)
    assert other.n_clusters == len(data)


@pytest.fixture(scope="module")
def nested(reference_table):
    data = reference_table("multilevel")
    V = sampling_covariance("vi", "trial_id", rho=0.6, data=data)

    def fitted_by(formula, **options):
        return multilevel(formula, data, V=V, random="trial_id/effect_id", **options)

    return fitted_by


@pytest.fixture(scope="module")
def numbers(reference2):
    return reference2["multilevel"]


WORDS = {"z": "z", "t": "t", "contain": "t_contain"}


def whole(result, expected, rtol=1e-6, variance=1e-5):
    """All numbers of a fit of rma.mv; where its optimum is flat variances agree to 1e-5."""
    assert_allclose(result.params, expected["b"], rtol=rtol)
    assert_allclose(result.bse, expected["se"], rtol=rtol)
    assert_allclose(result.cov, expected["vcov"], rtol=5 * rtol)
    assert_allclose(result.q, expected["QE"], rtol=1e-9)
    assert_allclose(result.llf, expected["ll"], rtol=1e-9)
    if "sigma2" in expected:
        own = result.sigma2.to_numpy()
        assert_allclose(own, np.atleast_1d(expected["sigma2"]), rtol=variance)
    if np.isinf(np.min(result.df)):
        names = list(result.params.index)
        tested = names if names[0] != "Intercept" else names[1:] or names
        found = result.wald(tested)
        assert_allclose(found["statistic"], expected["QM"], rtol=10 * rtol)


@pytest.mark.parametrize("test", WORDS)
def test_tests_and_prediction_metafor(data, nested, numbers, test):
    result = nested("yi ~ weeks + outcome", test=test)
    expected = numbers["wald_outcome"][WORDS[test]]
    for names, begin in (
        (list(result.params.index[2:]), ""),
        (list(result.params.index[1:]), "both_"),
    ):
        found = result.wald(names)
        assert_allclose(found["statistic"], expected[f"{begin}QM"], rtol=1e-6)
        assert_allclose(found["p_value"], expected[f"{begin}p"], rtol=1e-6)
    assert_allclose(result.omnibus["p_value"], expected["both_p"], rtol=1e-6)
    assert_allclose(result.pvalues, expected["coef_p"], rtol=1e-6)
    assert_allclose(result.conf_int()["ci_low"], expected["ci_lb"], rtol=1e-6)
    assert_allclose(result.conf_int()["ci_high"], expected["ci_ub"], rtol=1e-6)
    finite = [np.inf if df is None else df for df in expected["coef_df"]]
    assert_allclose(np.broadcast_to(result.df, 3), finite)
    for names, key in ((result.params.index[2:], "QMdf"), (result.params.index[1:], "both_QMdf")):
        wanted = [np.inf if df is None else df for df in expected[key]]
        assert_allclose(result.wald(list(names))[["df_num", "df_denom"]], wanted)
    three = multilevel("yi ~ 1", data, V="vi", random=["trial_id/effect_id"], test=test)
    wanted = [
        numbers["prediction"][WORDS[test]][k] for k in "pred se ci_lb ci_ub pi_lb pi_ub".split()
    ]
    assert_allclose(three.predict(pd.DataFrame(index=[0])).iloc[0], wanted, rtol=1e-6)


def test_i2_by_level_metafor(data, nested, numbers):
    three = multilevel("yi ~ 1", data, V="vi", random=["trial_id/effect_id"])
    for result, name in ((three, "three_level"), (nested("yi ~ weeks + outcome"), "multilevel_V")):
        expected = numbers["I2"][name]
        assert_allclose(result.i2, [expected["total"], *expected["by_level"]], rtol=1e-6)
        assert_allclose(result.typical_variance, expected["typical_v"], rtol=1e-9)


def test_hotelling_and_stata_clubsandwich(nested, numbers):
    result = nested("yi ~ weeks + outcome")
    robust, names = result.robust("trial_id"), list(result.params.index)
    for tested, key in ((names[2:], "wald_outcome"), (names[1:], "wald_weeks_outcome")):
        expected = numbers["clubSandwich"]["CR2"][key]["HTZ"]
        found = robust.wald(tested)
        wanted = [expected["Fstat"], expected["df_denom"] if "df_denom" in expected else None]
        assert_allclose(found["statistic"], wanted[0], rtol=1e-6)
        assert_allclose(found["p_value"], expected["p"], rtol=1e-6)
    contrast = robust.wald(np.array([[0.0, 0.0, 1.0]]))
    assert_allclose(contrast, robust.wald(names[2:]))


@pytest.mark.parametrize("kind", ["CR0", "CR1", "CR1S", "CR2"])
def test_robust_covariances_clubsandwich(nested, numbers, kind):
    found, expected = (
        nested("yi ~ weeks + outcome").robust("trial_id", kind),
        numbers["clubSandwich"],
    )
    if kind == "CR1":  # clubSandwich's CR1 has m/(m - 1), metafor's m/(m - p)
        found = replace(found, cov=found.cov * (19 / 21))
    expected = expected[kind]
    assert_allclose(found.cov, expected["vcov"], rtol=5e-6)
    assert_allclose(found.bse, expected["se"], rtol=1e-6)
    assert_allclose(found.tvalues, expected["t"], rtol=2e-6)
    if kind == "CR2":
        assert_allclose(found.df, expected["df_satt"], rtol=1e-6)
        assert_allclose(found.pvalues, expected["p_satt"], rtol=1e-6)
        limits = found.conf_int()
        assert_allclose(limits["ci_low"], expected["ci_lb"], rtol=1e-6)
        assert_allclose(limits["ci_high"], expected["ci_ub"], rtol=1e-6)
        return
    statistic = found.wald(["weeks", found.params.index[2]])["statistic"]
    wanted = expected["wald_weeks_outcome"]["Naive-F"]["Fstat"]
    assert_allclose(statistic, wanted, rtol=5e-6)


def test_robust_covariance_metafor(nested, numbers, reference):
    found, expected = (
        nested("yi ~ weeks + outcome").robust("trial_id", "CR1"),
        numbers["metafor_robust"],
    )
    assert_allclose(found.cov, expected["vcov"], rtol=5e-6)
    assert_allclose(found.df, [expected["df"]] * 3)
    assert_allclose(found.pvalues, expected["p"], rtol=1e-6)
    omnibus = [expected["QM"], *expected["QMdf"], expected["QMp"]]
    assert_allclose(found.omnibus, omnibus, rtol=5e-6)


def test_every_prediction_has_its_own_degrees_of_freedom(nested):
    """That of a row of the model matrix is that of the contrast which it is."""
    robust = nested("yi ~ weeks").robust("trial_id")
    new = pd.DataFrame({"weeks": [0.0, 12.0]})
    found = robust.predict(new)
    df = robust.sandwich.df(np.array([[1.0, 0.0], [1.0, 12.0]]))
    half = (found["ci_high"] - found["ci_low"]) / 2
    assert_allclose(half, stats.t.ppf(0.975, df) * found["se"], rtol=1e-9)
    assert not np.isclose(*df)


def test_likelihood_ratio_metafor(nested, numbers):
    larger = nested("yi ~ weeks + outcome", method="ML")
    found = larger.likelihood_ratio(nested("yi ~ outcome", method="ML"))
    expected = numbers["lrt_weeks_ML"]
    assert_allclose(found, [expected["LRT"], 1, expected["p"]], rtol=1e-6)
    smaller = nested("yi ~ outcome", method="ML")
    whole(larger, expected["full"])
    whole(smaller, expected["reduced"])
    for ours, theirs in (("aic", "AIC"), ("bic", "BIC")):
        found = [getattr(larger, ours), getattr(smaller, ours)]
        assert_allclose(found, expected[theirs], rtol=1e-9)
    with pytest.raises(ValueError, match="do not compare"):
        nested("yi ~ weeks").likelihood_ratio(nested("yi ~ 1"))
    with pytest.raises(ValueError, match="not smaller"):
        larger.likelihood_ratio(larger)


def test_terms_of_random(data):
    one = multilevel("yi ~ 1", data, V="vi", random="trial_id/effect_id")
    for random in (["trial_id/effect_id"], ["1 | trial_id/effect_id"]):
        other = multilevel("yi ~ 1", data, V="vi", random=random)
        assert list(other.sigma2.index) == ["trial_id", "trial_id/effect_id"]
        assert_allclose(other.sigma2, one.sigma2, rtol=1e-9)
    for random in (["trial_id", "trial_id"], ["trial_id/effect_id", "1 | trial_id"]):
        with pytest.raises(ValueError, match=r"grouping trial_id is in `random` twice"):
            multilevel("yi ~ 1", data, V="vi", random=random)


def test_the_covariance_may_be_an_array(data):
    plain = multilevel("yi ~ 1", data, V="vi", random="trial_id")
    block = sampling_covariance("vi", "trial_id", rho=0.6, data=data)
    for V, expected in (
        (data["vi"].to_numpy(), plain.llf),
        (np.diag(data["vi"]), plain.llf),
        (block.to_dense(), multilevel("yi ~ 1", data, V=block, random="trial_id").llf),
    ):
        assert_allclose(multilevel("yi ~ 1", data, V=V, random="trial_id").llf, expected)
    with pytest.raises(ValueError, match="V has shape"):
        multilevel("yi ~ 1", data, V=np.ones(3), random="trial_id")
    with pytest.raises(ValueError, match="not symmetric"):
        multilevel("yi ~ 1", data, V=np.triu(np.ones((61, 61))), random="trial_id")


def test_missing_clusters_are_named(data):
    result = multilevel("yi ~ 1", data, V="vi", random="trial_id")
    labels = data["trial_id"].where(data.index != 3)
    with pytest.raises(ValueError, match="the cluster is missing in rows 3"):
        result.robust(labels)
    with pytest.raises(ValueError, match="no column 'site'"):
        result.robust("site")


def test_responses_that_are_no_numbers_are_refused(data):
    assert_allclose(
        multilevel("yi ~ 1", data.astype({"yi": object}), V="vi", random="trial_id").params,
        multilevel("yi ~ 1", data, V="vi", random="trial_id").params,
    )
    for formula, message in (
        ("outcome ~ 1", "must hold numbers"),
        ("yi + weeks ~ 1", "one column"),
    ):
        with pytest.raises(ValueError, match=message):
            multilevel(formula, data, V="vi", random="trial_id")


# --- correlations of sampling errors, and structures, against metafor's vcalc and rma.mv


ARMS = {"arms": ("group1", "group2")}
SIZED = {**ARMS, "sizes": ("n1", "n2")}

COVARIANCES = {
    "type": {"rho": 0.6, "outcome": "outcome"},
    "time": {"time": "week", "phi": 0.97},
    "shared_control": SIZED,
    "shared_control_equal_n": ARMS,
    "full": {"rho": 0.6, "outcome": "outcome", "time": "week", "phi": 0.97, **SIZED},
}


@pytest.fixture(scope="module")
def visits(reference_table):
    return reference_table("visits")


@pytest.fixture(scope="module")
def covariance_of(visits, reference2):
    def made(kind):
        rows = visits.iloc[reference2["visits"]["V"][kind]["rows"]]
        return rows, sampling_covariance("vi", "trial_id", data=rows, **COVARIANCES[kind])

    return made


@pytest.mark.parametrize("kind", COVARIANCES)
def test_covariance_vcalc(covariance_of, reference2, kind):
    V = covariance_of(kind)[1]
    expected = reference2["visits"]["V"][kind]
    for block in expected["blocks"]:
        own = list(dict.fromkeys(V.labels)).index(block["trial_id"])
        assert_allclose(V.matrices[own], block["V"], rtol=1e-9)
    dense = V.to_dense()
    found = [np.linalg.slogdet(dense)[1], dense.sum(), (dense**2).sum()]
    assert_allclose(found, [expected[key] for key in ("logdet", "sum", "sum_squares")], rtol=1e-9)


OUTCOMES = [f"outcome {name}" for name in ("CS", "HCS", "UN", "DIAG", "ID")]
TIMES = [f"time {name}" for name in ("CS", "AR", "HAR", "CAR")]


@pytest.mark.parametrize("method", ["REML", "ML"])
@pytest.mark.parametrize("name", [*OUTCOMES, *TIMES, "full nested", "full HCS+row"])
def test_structures_metafor(covariance_of, reference2, name, method):
    kind, structure = name.split()
    expected = reference2["visits"]["fits"][f"{name} {method}"]
    rows, V = covariance_of({"outcome": "type"}.get(kind, kind))
    rows = rows.assign(row=np.arange(len(rows)))
    formula = "yi ~ outcome - 1" if kind == "outcome" else "yi ~ week"
    inner = "outcome" if kind == "outcome" else "week" if structure == "CAR" else "visit"
    random = [f"{structure}({inner}) | trial_id"]
    if name == "full nested":
        formula, random = "yi ~ outcome + week + group1", ["trial_id/row"]
    elif kind == "full":
        formula, random = "yi ~ outcome + week + group1", ["HCS(outcome) | trial_id", "row"]
    result = multilevel(formula, rows, V=V, random=random, method=method)
    assert result.llf >= expected["ll"] - 1e-9
    whole(result, expected, rtol=1e-5)
    psi = next(iter(result.psi.values())).to_numpy()
    if name != "full nested":
        assert_allclose(np.diag(psi)[: np.size(expected["tau2"])], expected["tau2"], rtol=1e-5)
    if "rho" in expected:
        between = psi[0, 1] / np.sqrt(psi[0, 0] * psi[1, 1])
        if structure == "CAR":
            places = result.psi[random[0]].index
            between **= 1 / (places[1] - places[0])
        assert_allclose(between, expected["rho"], rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give rho, phi with time, or arms"),
        ({"time": "week"}, "give time and phi together"),
        ({"outcome": "outcome", "phi": 0.5, "time": "week"}, "correlation between outcomes"),
        ({"rho": 0.5, "outcome": "outcome"}, "rows of trial 't00' repeat each other"),
        ({"time": "week", "phi": 1.5}, "phi = 1.5 must lie between 0 and 1"),
        ({"rho": 0.5, "outcome": "nothing"}, "no column 'nothing'"),
    ],
)
def test_covariances_that_cannot_be(visits, options, message):
    with pytest.raises(ValueError, match=message):
        sampling_covariance("vi", "trial_id", data=visits, **options)


def test_structures_need_levels_and_places(visits):
    options = {"V": "vi", "data": visits}
    with pytest.raises(ValueError, match="has one level only"):
        one = visits[visits["visit"] == 1]
        multilevel("yi ~ 1", one, V="vi", random="CS(visit) | trial_id")
    with pytest.raises(ValueError, match="needs numbers for the places in time"):
        multilevel("yi ~ 1", random="AR(outcome) | trial_id", **options)


@pytest.fixture(scope="module")
def both(data, nested):
    three = multilevel("yi ~ 1", data, V="vi", random=["trial_id/effect_id"])
    return {"three_level": three, "multilevel_V": nested("yi ~ weeks + outcome")}


LIMITS = {"pi_low": "pi_lb", "pi_high": "pi_ub"}


@pytest.mark.parametrize("name", ["three_level", "multilevel_V"])
def test_whole_fits_metafor(both, numbers, name):
    whole(both[name], numbers[name])


@pytest.mark.parametrize("name", ["three_level", "multilevel_V"])
def test_predictions_of_levels_metafor(both, numbers, name):
    for term, level in (("trial_id", "trial"), ("trial_id/effect_id", "effect")):
        found, expected = both[name].blups(term), numbers["ranef"][name][level]
        assert list(found.index) == expected["id"]
        for ours, theirs in {"estimate": "est", "se": "se", **LIMITS}.items():
            assert_allclose(found[ours], expected[theirs], rtol=1e-6, atol=1e-7)
    with pytest.raises(ValueError, match="no random intercept 'site'; there are trial_id"):
        both[name].blups("site")


@pytest.mark.parametrize("name", ["three_level", "multilevel_V"])
def test_intervals_of_variances_metafor(both, numbers, name):
    found, expected = both[name].variance_intervals(), numbers["profile_ci"][name]
    for row, wanted in zip(found.itertuples(), expected, strict=True):
        assert_allclose([row.ci_low, row.ci_high], [wanted["ci_lb"], wanted["ci_ub"]], rtol=1e-6)


def test_the_interval_of_a_lone_variance_is_that_of_pooling(reference, reference2):
    md = pd.DataFrame(reference["effect_sizes"]["MD"]).assign(row=range(28))
    result = multilevel("yi ~ 1", md, V="vi", random="row")
    expected = reference2["pooling"]["profile_likelihood"]["REML"]["tau2"]
    assert_allclose(
        result.variance_intervals().loc["row", ["ci_low", "ci_high"]], expected, rtol=1e-4
    )


@pytest.mark.parametrize("name", ["three_level", "multilevel_V"])
def test_influence_metafor(both, numbers, name):
    fitted, expected = both[name], numbers["influence"][name]
    found, held = fitted.influence("trial_id"), fitted.influence("trial_id", reestimate=False)
    assert list(found.index) == expected["cluster"]
    assert list(found["n_rows"]) == expected["cluster_k"]
    assert_allclose(found["cook_d"], expected["cooks"], rtol=1e-5)
    assert_allclose(found["chi_square"], expected["X2"], rtol=1e-6)
    assert_allclose(found.filter(like="dfbetas"), expected["dfbetas"], rtol=1e-5, atol=1e-6)
    assert_allclose(held["cook_d"], expected["cooks_no_refit"], rtol=1e-6)
    rows = fitted.residuals()
    assert_allclose(rows["hat"], expected["hat"], rtol=1e-6)
    assert_allclose(rows["rstandard"], expected["rstandard_z"], rtol=1e-6)
    assert_allclose(rows["fitted"] + rows["residual"], fitted.design.y)
    assert_allclose(found["hat"].sum(), len(fitted.params))


def test_deleted_residuals_metafor(both, numbers):
    deleted = both["multilevel_V"].deleted_residuals("trial_id")
    expected = numbers["influence"]["multilevel_V"]
    assert_allclose(deleted["residual"], expected["obs_resid"], rtol=1e-6)
    assert_allclose(deleted["se"], expected["obs_se"], rtol=1e-6)
    assert_allclose(deleted["rstudent"], expected["obs_z"], rtol=1e-6)


def test_influence_of_single_rows(both, numbers):
    labels = [*range(8), *(["rest"] * 53)]
    found = both["three_level"].influence(labels)["cook_d"]
    expected = numbers["influence"]["three_level"]["obs_cooks"]
    assert_allclose(found.iloc[:8], expected[:8], rtol=1e-4)


def test_clusters_must_fit_the_rows(both):
    for call in (both["three_level"].influence, both["three_level"].deleted_residuals):
        with pytest.raises(ValueError, match="2 cluster labels for 61 rows"):
            call([1, 2])
    with pytest.raises(ValueError, match="the cluster is missing in rows 0"):
        both["three_level"].influence([None, *range(60)])


def test_what_the_others_cannot_carry_is_missing():
    """Only trial b has another outcome: without it the difference has no estimate."""
    table = pd.DataFrame({"yi": [1.0, 2, 4, 3, 7], "vi": 1.0, "trial": list("abcda")})
    table["x"] = [0, 1, 0, 0, 0]
    fitted = multilevel("yi ~ x", table, V="vi", random="trial")
    assert fitted.influence("trial")["cook_d"].isna().tolist() == [False, True, False, False]
    assert fitted.deleted_residuals("trial")["rstudent"].isna().tolist() == [0, 1, 0, 0, 0]
    assert fitted.residuals()["rstandard"].isna().tolist() == [0, 1, 0, 0, 0]


SMALL = {"vi": 1.0, "trial": list("aabbc"), "x": [0.0, 1, 2, 3, 5]}


def test_nothing_left_over_is_missing():
    """As many coefficients as effects: no I2, no Q."""
    table = pd.DataFrame({"yi": [1.0, 2.0], "vi": 1.0, "trial": ["a", "b"], "x": [0.0, 1.0]})
    result = multilevel("yi ~ x", table, V="vi", random="trial", method="ML")
    assert result.i2.isna().all()
    assert np.isnan(result.typical_variance) and np.isnan(result.q_p)
    assert "trial" in result.i2.index


def test_equal_effects_have_no_robust_test():
    """Residuals of zero make a robust covariance of zero: no statistic, and no error."""
    table = pd.DataFrame({"yi": 0.0, **SMALL})
    robust = multilevel("yi ~ x", table, V="vi", random="trial").robust("trial")
    assert robust.omnibus[["statistic", "p_value"]].isna().all()
    assert robust.wald(["x"])["df_num"] == 1


TOO_FAR = [
    ({"trial": "a"}, "all effects are of one group of 'trial'"),
    ({"yi": [0.0, 1, 2, 3, 1e8]}, r"effects lie 6e\+07 standard errors apart"),
    ({"vi": [1e-9, 1, 1, 1, 1e9]}, r"sampling variances differ by a factor of 1e\+18"),
]


@pytest.mark.parametrize(("changed", "message"), TOO_FAR)
def test_what_no_model_can_hold_is_refused(changed, message):
    table = pd.DataFrame({"yi": [0.0, 1, 2, 3, 4], **SMALL, **changed})
    with pytest.raises(CannotEstimate, match=message):
        multilevel("yi ~ x", table, V="vi", random="trial")


def test_an_arm_on_both_sides_correlates_negatively():
    """x_a - x_b and x_b - x_c of equal arms share b with opposite signs: -1/2."""
    V = sampling_covariance([2.0, 2.0], ["t", "t"], arms=(["a", "b"], ["b", "c"]))
    assert_allclose(V.matrices[0], [[2.0, -1.0], [-1.0, 2.0]])
