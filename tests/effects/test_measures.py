"""Effect sizes of independent trials against metafor's escalc."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.effects.measures import effect_size

TWO_GROUPS = ["MD", "SMD", "SMDH", "ROM", "VR", "CVR"]
BEFORE_AFTER = ["MC", "SMCC", "SMCR"]
ONE = {"m1": 20.0, "sd1": 10.0, "n1": 25, "m2": 30.0, "sd2": 10.0, "n2": 25}


@pytest.fixture(scope="module")
def trials(reference_table):
    return reference_table("pairwise").set_index("trial_id")


def columns(measure, t):
    if measure in TWO_GROUPS:
        return {name: t[name] for name in ("m1", "sd1", "n1", "m2", "sd2", "n2")}
    names = {"m1": "m1", "m2": "pre1", "sd1": "sd1", "sd2": "sd_pre1", "n": "n1", "r": "ri"}
    return {name: t[column] for name, column in names.items()}


@pytest.mark.parametrize("measure", TWO_GROUPS + BEFORE_AFTER)
def test_metafor(trials, reference, measure):
    expected = reference["effect_sizes"][measure]
    result = effect_size(measure, **columns(measure, trials))
    assert_allclose(result["yi"], expected["yi"], rtol=1e-9)
    assert_allclose(result["vi"], expected["vi"], rtol=1e-9)
    assert result.index.equals(trials.index)


@pytest.mark.parametrize("measure", ["SMD", "SMDH", "ROM", "VR", "CVR", "SMCC", "SMCR"])
def test_the_unit_of_the_outcome_does_not_matter(trials, reference, measure):
    scaled = {
        name: column * (1000 if name[:2] in ("m1", "m2", "sd") else 1)
        for name, column in columns(measure, trials).items()
    }
    expected = reference["effect_sizes"][measure]
    assert_allclose(effect_size(measure, **scaled)["yi"], expected["yi"], rtol=1e-9)
    assert_allclose(effect_size(measure, **scaled)["vi"], expected["vi"], rtol=1e-9)


def test_scalars_and_arrays():
    """MD -10 with variance 100/25 + 100/25; d -1 times J on 48 degrees of freedom."""
    assert_allclose(effect_size("MD", **ONE), [[-10.0, 8.0]])
    g = effect_size("SMD", **{**ONE, "m1": [20.0, 25.0]})
    J = math.gamma(24) / math.sqrt(24) / math.gamma(23.5)
    assert_allclose(g["yi"], np.array([-1.0, -0.5]) * J)
    assert list(g.index) == [0, 1]


def test_a_missing_value_is_a_missing_effect():
    result = effect_size("MD", **{**ONE, "m1": [np.nan, 20.0], "sd2": [10, None]})
    assert result.isna().all(axis=None)
    known = effect_size("MD", **{**ONE, "sd2": pd.Series([10, pd.NA], ["a", "b"], dtype="Int64")})
    assert_allclose(known.loc["a"], [-10.0, 8.0])
    assert known.loc["b"].isna().all()


def test_only_used_columns_are_needed():
    """VR of equal SDs in 5 and 9: 1/8 - 1/16 and 1/8 + 1/16; SMCR does without sd2."""
    result = effect_size("VR", sd1=3.0, n1=5, sd2=3.0, n2=9, m1=np.nan)
    assert_allclose(result, [[1 / 16, 3 / 16]])
    result = effect_size("SMCR", m1=1.0, m2=1.0, sd1=2.0, n=10, r=0.5)
    assert_allclose(result, [[0.0, 0.1]])


def test_every_fault_is_named():
    bad = {
        "m1": pd.Series([10.0, 0.0, "x"], ["t1", "t2", "t3"]),
        "sd1": [1.0, -2.0, np.inf],
        "n1": [10, 1, 10],
    }
    with pytest.raises(ValueError) as fault:
        effect_size("ROM", **{**ONE, **bad})
    text = str(fault.value)
    assert "m1, row t3: 'x'; give a number" in text
    assert "m1, row t2: 0; a ratio needs finite means above zero" in text
    assert "sd1, row t2: -2; give a finite SD above zero" in text
    assert "sd1, row t3: inf" in text
    assert "n1, row t2: 1; give at least 2 participants" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"r": 0.5}, r"MD has no column 'r': it uses m1, sd1, n1, m2, sd2, n2"),
        ({"m1": [1, 2], "m2": [1, 2, 3]}, "unequal length: m1 2, m2 3"),
        ({"m1": pd.Series([1], ["a"]), "m2": pd.Series([1], ["b"])}, "index of m2 differs"),
        ({"m1": [[1.0]]}, "m1: give one dimension"),
        ({"sd1": "wide"}, "sd1, every row: 'wide'"),
    ],
)
def test_columns_that_do_not_fit(change, message):
    with pytest.raises(ValueError, match=message):
        effect_size("MD", **{**ONE, **change})


def test_missing_columns_and_unknown_measure():
    with pytest.raises(ValueError, match=r"SMCC needs column 'n'; SMCC needs column 'r'"):
        effect_size("SMCC", m1=1.0, m2=2.0, sd1=1.0, sd2=1.0)
    with pytest.raises(ValueError, match=r"unknown measure 'smd'\. Did you mean 'SMD'"):
        effect_size("smd", **ONE)


def test_small_groups_and_certain_correlations():
    paired = {"m1": 1.0, "m2": 2.0, "sd1": 1.0, "sd2": 1.0}
    with pytest.raises(ValueError, match=r"n, row 0: 2; give at least 3 .*r, row 0: 1; give"):
        effect_size("SMCC", **paired, n=2, r=1.0)


def test_duplicate_labels_are_rows_of_their_own():
    twice = pd.Series([20.0, 25.0], ["a", "a"])
    assert_allclose(effect_size("MD", **{**ONE, "m1": twice}).loc["a", "yi"], [-10.0, -5.0])


def test_no_rows():
    assert effect_size("SMD", **{**ONE, "m1": []}).shape == (0, 2)
