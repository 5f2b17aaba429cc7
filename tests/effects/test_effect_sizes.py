"""Effect sizes of one trial, by hand and against metafor and dosresmeta."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose

from backpain_analysis.effects.formulas import hedges_factor
from backpain_analysis.effects.measures import (
    mean_differences,
    pooled_sd,
    standardised_mean_differences,
)


def test_mean_differences_of_three_arms_by_hand():
    """SDs 10, 12, 9 in 25, 36, 81 people: variances 4, 4, 1; the reference is the second arm."""
    yi, V = mean_differences([30.0, 40.0, 25.0], [10.0, 12.0, 9.0], [25, 36, 81], reference=1)
    assert_allclose(yi, [-10.0, -15.0])
    assert_allclose(V, [[8.0, 4.0], [4.0, 5.0]])


def test_pooled_sd_by_hand():
    """((10-1) 4 + (20-1) 9) / 28 = 207/28."""
    assert_allclose(pooled_sd([2.0, 3.0], [10, 20]), np.sqrt(207 / 28))


def test_hedges_factor_of_the_table():
    """Hedges 1981: c(10) = 0.9228, c(20) = 0.9619, close to 1 - 3/(4m - 1)."""
    assert_allclose(hedges_factor([10, 20]), [0.9228, 0.9619], atol=1e-4)
    assert_allclose(hedges_factor(50), 1 - 3 / 199, atol=1e-4)


def test_two_arm_trials_as_metafor(reference, reference_table):
    data, expected = reference_table("pairwise"), reference["effect_sizes"]
    for row, md, v, smd, smd_v in zip(
        data.itertuples(),
        expected["MD"]["yi"],
        expected["MD"]["vi"],
        expected["SMD"]["yi"],
        expected["SMD"]["vi"],
        strict=True,
    ):
        arms = [row.m1, row.m2], [row.sd1, row.sd2], [row.n1, row.n2]
        yi, V = mean_differences(*arms, reference=1)
        assert_allclose([yi[0], V[0, 0]], [md, v], rtol=1e-9)
        yi, V = standardised_mean_differences(*arms, reference=1)
        assert_allclose([yi[0], V[0, 0]], [smd, smd_v], rtol=1e-9)


def test_multi_arm_smd_covariance_as_dosresmeta(reference, reference_table):
    data = reference_table("dose")
    for (_, arms), expected in zip(
        data.groupby("trial_id", sort=False), reference["dose_response"]["smd_S"], strict=True
    ):
        _, V = standardised_mean_differences(arms["mean"], arms["sd"], arms["n"], hedges=False)
        assert_allclose(V, np.array(expected, ndmin=2), rtol=1e-9)
