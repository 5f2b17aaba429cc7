"""Leave-one-out, influence and cumulative pooling against metafor and against single refits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from backpain_analysis.effects.measures import effect_size
from backpain_analysis.effects.table import Effects
from backpain_analysis.engine.subsets import Chosen
from backpain_analysis.models.pairwise.diagnostics import (
    cumulative,
    influence,
    leave_one_out,
    pool_subsets,
)
from backpain_analysis.models.pairwise.inputs import METHODS, TESTS
from backpain_analysis.models.pairwise.meta_regression import meta_regression
from backpain_analysis.models.pairwise.pooling import pool

SCALES = pytest.mark.parametrize("scale", [1.0, 1000.0])
NUMBERS = "estimate se ci_low ci_high p_value pi_low pi_high tau2 i2 h2 q q_df q_p".split()
few = settings(max_examples=10, deadline=None, derandomize=True)


@pytest.fixture(scope="module")
def trials(reference):
    md = reference["effect_sizes"]["MD"]
    return np.array(md["yi"]), np.array(md["vi"])


def simulated(seed, k):
    random = np.random.default_rng(seed)
    v = random.uniform(0.05, 0.5, k)
    return random.normal(0.3, np.sqrt(v + random.uniform(0, 0.4))), v


@SCALES
def test_leave_one_out_as_metafor(trials, reference, scale):
    yi, vi = trials
    expected = reference["leave_one_out"]
    result = leave_one_out(yi * scale, vi * scale**2, test="z")
    assert_allclose(result["estimate"] / scale, expected["estimate"], rtol=1e-6)
    assert_allclose(result["se"] / scale, expected["se"], rtol=1e-6)
    assert_allclose(result["tau2"] / scale**2, expected["tau2"], rtol=1e-6)
    assert_allclose(result["i2"], expected["I2"], rtol=1e-6)


@SCALES
def test_influence_as_metafor(trials, reference, scale):
    yi, vi = trials
    expected = reference["influence"]
    result = influence(yi * scale, vi * scale**2, test="z")
    names = {"rstudent": "rstudent", "dffits": "dffits", "cook_d": "cook", "cov_r": "cov_r"}
    for ours, theirs in {**names, "hat": "hat"}.items():
        assert_allclose(result[ours], expected[theirs], rtol=1e-6)
    assert_allclose(result["tau2_del"] / scale**2, reference["leave_one_out"]["tau2"], rtol=1e-6)
    assert_allclose(result["weight"], 100 * np.array(expected["hat"]), rtol=1e-6)


@SCALES
def test_cumulative_as_metafor(trials, reference, reference_table, scale):
    table, expected = reference_table("pairwise"), reference["cumulative"]
    yi, vi = trials
    options = {"order": table["weeks"], "labels": list(table["trial_id"]), "test": "z"}
    result = cumulative(yi * scale, vi * scale**2, **options)
    assert list(result["label"]) == expected["order"]
    assert_allclose(result["estimate"] / scale, expected["estimate"], rtol=1e-6)
    assert_allclose(result["se"] / scale, expected["se"], rtol=1e-6)


@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize("method", METHODS)
def test_each_subset_is_what_pool_gives(method, test):
    """Subsets of all sizes, with and without heterogeneity."""
    y, v = simulated(3, 9)
    y[6:] = y[5] + np.array([0.01, 0.02, 0.03])
    masks = np.array(
        [[1] + [0] * 8, [1, 1] + [0] * 7, [0] * 5 + [1] * 4, [1] * 9, [1, 0] * 4 + [1]]
    )
    result = pool_subsets(y, v, Chosen(masks), method=method, test=test, level=0.9)
    for (_, row), mask in zip(result.iterrows(), masks.astype(bool), strict=True):
        one = pool(y[mask], v[mask], method=method, test=test, level=0.9)
        expected = [getattr(one, name) for name in NUMBERS]
        if mask.sum() == 1:
            expected[8:10] = [np.nan, np.nan]
        assert_allclose(row[NUMBERS].to_numpy(float), expected, rtol=1e-6, atol=1e-7)


def test_subsets_find_the_highest_of_several_maxima():
    """One precise outlier among imprecise studies: the restricted likelihood has two maxima."""
    y = np.array([0.0, 3.0, 3.1, 2.9, 3.05, 0.02])
    v = np.array([1e-4, 2.0, 2.0, 2.0, 2.0, 1e-4])
    masks = np.vstack([np.ones(6), 1 - np.eye(6)])
    result = pool_subsets(y, v, Chosen(masks), method="REML", test="z", level=0.95)
    grid = np.concatenate([[0.0], np.geomspace(1e-7, 1e3, 4000)])

    def height(tau2, mask):
        w = 1 / (v[mask] + tau2)
        mean = w @ y[mask] / w.sum()
        return 0.5 * (np.log(w).sum() - np.log(w.sum()) - w @ (y[mask] - mean) ** 2)

    for tau2, mask in zip(result["tau2"], masks.astype(bool), strict=True):
        assert height(tau2, mask) >= max(height(t, mask) for t in grid) - 1e-10


def test_influence_with_knapp_hartung():
    """By the definitions, from single fits of `pool`."""
    y, v = simulated(5, 8)
    result = influence(y, v)
    full, rest = pool(y, v), pool(y[1:], v[1:])
    w, w_del = 1 / (v + full.tau2), 1 / (v + rest.tau2)
    s2 = rest.se**2 * w_del[1:].sum()
    shift, hat = full.estimate - rest.estimate, w[0] / w.sum()
    expected = {
        "rstudent": (y[0] - rest.estimate) / np.sqrt(s2 * (v[0] + rest.tau2) + rest.se**2),
        "dffits": shift / np.sqrt(s2 * hat * (v[0] + rest.tau2)),
        "cook_d": shift**2 / full.se**2,
        "cov_r": rest.se**2 / full.se**2,
        "q_del": rest.q,
        "dfbetas": shift / np.sqrt(s2 / w_del.sum()),
    }
    assert_allclose(result.loc[0, list(expected)].to_numpy(float), [*expected.values()], rtol=1e-6)


def test_influential_studies_are_flagged(trials):
    """The second trial: dffits 0.62 is over 3/sqrt(27) = 0.577, as no other is."""
    assert list(influence(*trials, test="z").query("influential").index) == [1]
    far = influence([0.0, 0.1, -0.1, 0.05, -0.05, 9.0], [0.1] * 6, test="z")
    assert list(far.query("influential")["label"]) == ["study 6"]
    heavy = influence([0.0, 0.1, -0.1, 0.05, -0.05, 0.0], [1.0] * 5 + [1e-3], method="CE")
    assert heavy["hat"].iloc[5] > 0.5
    assert heavy["influential"].iloc[5]


def test_a_pooled_result_brings_its_choices(trials):
    labels = [f"trial {i}" for i in range(28)]
    pooled = pool(*trials, method="DL", test="z", level=0.8, labels=labels)
    direct = leave_one_out(*trials, method="DL", test="z", level=0.8, labels=labels)
    pd.testing.assert_frame_equal(leave_one_out(pooled), direct)
    pd.testing.assert_frame_equal(
        leave_one_out(pooled, method="REML", level=0.95),
        leave_one_out(*trials, test="z").assign(label=labels),
    )


def effects_of(trial_ids, yi, vi):
    columns = {"trial_id": trial_ids, "label": [f"{t}!" for t in trial_ids], "yi": yi, "vi": vi}
    table = pd.DataFrame(columns)
    variances = table.groupby("trial_id", sort=False)["vi"]
    covariance = tuple(np.diag(own.to_numpy()) for _, own in variances)
    return Effects(table, covariance, pd.DataFrame(), outcome="pain", measure="MD")


def test_effects_of_two_arm_trials():
    result = leave_one_out(effects_of(["a", "b", "c"], [1.0, 2.0, 6.0], [1.0] * 3), method="CE")
    assert list(result["label"]) == ["a!", "b!", "c!"]
    assert_allclose(result["estimate"], [4.0, 3.5, 1.5])


@pytest.mark.parametrize("diagnostic", [leave_one_out, influence, cumulative])
def test_correlated_contrasts_are_refused(diagnostic):
    pooled = replace(pool([1.0, 2.0, 3.0], [1.0, 1.0, 1.0]), n_trials=2)
    for correlated in (pooled, effects_of(["a", "a", "b"], [1.0, 2.0, 3.0], [1.0] * 3)):
        with pytest.raises(ValueError, match=r"3 contrasts of 2 trials: .* one contrast a trial"):
            diagnostic(correlated)


def test_equal_labels_are_studies_of_their_own():
    result = leave_one_out([1.0, 2.0, 6.0], [1.0] * 3, labels=["a", "a", "b"], method="CE")
    assert list(result["label"]) == ["a", "a", "b"]
    assert_allclose(result["estimate"], [4.0, 3.5, 1.5])


def test_few_studies():
    two = leave_one_out([1.0, 2.0], [4.0, 9.0])
    assert_allclose(two[["estimate", "se", "tau2"]], [[2.0, 3.0, 0.0], [1.0, 2.0, 0.0]])
    assert two[["i2", "q_p", "pi_low"]].isna().all(axis=None)
    with pytest.raises(ValueError, match="1 study given, but this diagnostic needs at least 2"):
        leave_one_out([1.0], [1.0])
    with pytest.raises(ValueError, match="2 studies given, but this diagnostic needs at least 3"):
        influence([1.0, 2.0], [1.0, 1.0])
    assert_allclose(cumulative([1.0], [4.0])[["estimate", "se"]], [[1.0, 2.0]])


def test_identical_effects():
    result = influence([2.0] * 4, [1.0, 2.0, 3.0, 4.0], test="z")
    assert_allclose(result[["dffits", "cook_d", "tau2_del"]], 0, atol=1e-12)
    assert not result["influential"].any()


@pytest.mark.parametrize("diagnostic", [leave_one_out, influence, cumulative])
def test_unusable_studies_are_named(diagnostic):
    with pytest.raises(ValueError, match=r"b: yi = nan.*c: yi = 3\.0, vi = 0\.0"):
        diagnostic([1.0, np.nan, 3.0], [1.0, 1.0, 0.0], labels=list("abc"))
    with pytest.raises(ValueError, match="leave out vi"):
        diagnostic(pool([1.0, 2.0, 3.0], [1.0] * 3), [1.0] * 3)
    with pytest.raises(ValueError, match="give the sampling variances"):
        diagnostic([1.0, 2.0, 3.0])


def test_order_must_be_known():
    with pytest.raises(ValueError, match="order has 2 values for 3 studies"):
        cumulative([1.0, 2.0, 3.0], [1.0] * 3, order=[1, 2])
    with pytest.raises(ValueError, match="order is missing for b"):
        cumulative([1.0, 2.0, 3.0], [1.0] * 3, order=[1, None, 2], labels=list("abc"))
    years = cumulative([1.0, 2.0, 3.0], [1.0] * 3, order=[2001, 1999, 2001], labels=list("abc"))
    assert list(years["label"]) == ["b", "a", "c"]


@few
@given(seed=st.integers(0, 999), shift=st.floats(-50, 50), scale=st.sampled_from([1e-3, 7.0, 1e4]))
def test_order_shift_and_scale(seed, shift, scale):
    y, v = simulated(seed, 10)
    order = np.random.default_rng(seed).permutation(10)
    plain = influence(y, v)
    other = influence((y[order] + shift) * scale, v[order] * scale**2).sort_index()
    free = ["rstudent", "dffits", "cook_d", "cov_r", "q_del", "hat", "dfbetas"]
    assert_allclose(other[free], plain.loc[order, free], rtol=1e-6, atol=1e-7)
    moved = leave_one_out((y[order] + shift) * scale, v[order] * scale**2)
    left_out = leave_one_out(y, v).loc[order]
    assert_allclose(moved["estimate"] / scale - shift, left_out["estimate"], rtol=1e-6, atol=1e-7)
    assert_allclose(moved["se"] / scale, left_out["se"], rtol=1e-6)


def bcg():
    """The vaccine trials of Colditz et al. 1994 (doi 10.1001/jama.1994.03510330076038)."""
    counts = {
        "events1": [4, 6, 3, 62, 33, 180, 8, 505, 29, 17, 186, 5, 27],
        "no1": [119, 300, 228, 13536, 5036, 1361, 2537, 87886, 7470, 1699, 50448, 2493, 16886],
        "events2": [11, 29, 11, 248, 47, 372, 10, 499, 45, 65, 141, 3, 29],
        "no2": [128, 274, 209, 12619, 5761, 1079, 619, 87892, 7232, 1600, 27197, 2338, 17825],
        "ablat": [44, 55, 42, 52, 13, 44, 19, 13, 27, 42, 18, 33, 33],
    }
    table = pd.DataFrame(counts).assign(alloc=list("rrrraarrrssss"))
    arms = {f"n{arm}": table[f"events{arm}"] + table[f"no{arm}"] for arm in (1, 2)}
    return table.assign(
        **effect_size("RR", events1=table["events1"], events2=table["events2"], **arms)
    )


@pytest.mark.parametrize(
    ("method", "column", "expected"),
    [
        ("SJ", "tau2_del", [0.261016938334, 0.258590545801, 0.262382873011]),
        ("SJ", "dffits", [0.1854144829824, -0.1072761216847, -0.0772607644988]),
        ("SJ", "cov_r", [1.765653650062, 2.255733436221, 1.847302466422]),
        ("DL", "rstudent", [0.389679114203, -0.198939263171, -0.292170318733]),
        ("DL", "cook_d", [0.02254312172580, 0.01278279327789, 0.00588249842718]),
    ],
)
def test_influence_of_a_regression_as_metafor(method, column, expected):
    """`influence(rma(yi, vi, mods = ~ ablat + alloc, test = "knha"))`, metafor 3.8-1."""
    fit = meta_regression("yi ~ ablat + alloc", bcg(), method=method)
    assert_allclose(fit.influence()[column].head(3), expected, rtol=1e-7)


def test_leave_one_out_with_median_unbiased_tau2_as_metafor():
    """`leave1out(rma(method = "PMM"))`, tolerance 1e-14, metafor 3.8-1."""
    first = leave_one_out(bcg()["yi"], bcg()["vi"], method="PMM").iloc[0]
    assert_allclose(first[["tau2", "estimate"]].tolist(), [0.386277737262, -0.710477073145])
