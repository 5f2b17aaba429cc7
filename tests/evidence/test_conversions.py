"""Conversions of what reports print against metafor's conv functions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.evidence.conversions import conv_2x2, conv_fivenum, conv_wald


@pytest.fixture(scope="module")
def expected(reference2):
    return reference2["conversions"]


def test_variances_as_metafor(reference_table, expected):
    table = reference_table("wald").set_index("trial_id")
    ratio, level = table["odds_ratio"], table["level"] / 100
    found = {
        "ci": conv_wald(
            ratio, ci_low=table["ci_lb"], ci_high=table["ci_ub"], level=level, log=True
        ),
        "ci_upper_only": conv_wald(ratio, ci_high=table["ci_ub"], level=level, log=True),
        "p_value": conv_wald(ratio, p_value=table["p_value"], log=True),
    }
    for name, frame in found.items():
        assert_allclose(frame["yi"], expected["wald"][name]["yi"], rtol=1e-9)
        assert_allclose(frame["vi"], expected["wald"][name]["vi"], rtol=1e-9)
        assert frame.index.equals(table.index)
    assert found["ci_upper_only"]["obtained"].eq("one limit").all()


def test_what_is_used_first():
    """SE 2, then the interval, then P: by t on 10 degrees of freedom 2.228 and 1.812."""
    found = conv_wald(
        [-4.0, -4.0, -4.0, -4.0, -4.0],
        se=[2.0, np.nan, np.nan, np.nan, np.nan],
        ci_low=[-5.0, -8.4563, np.nan, np.nan, np.nan],
        ci_high=[1.0, 0.4563, np.nan, np.nan, np.nan],
        statistic=[1.0, 1.0, -2.0, np.nan, np.nan],
        p_value=[0.5, 0.5, 0.5, 0.1, np.nan],
        df=10,
    )
    assert_allclose(np.sqrt(found["vi"]), [2, 2, 2, 4 / 1.812461, np.nan], rtol=1e-5)
    assert found["obtained"].fillna("").tolist() == [
        "SE",
        "interval",
        "test statistic",
        "P value",
        "",
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"estimate": -1.0, "se": 1.0, "log": True}, "estimate must be above zero"),
        ({"estimate": 1.0, "se": 0.0}, "se must be above zero"),
        ({"estimate": 1.0, "ci_low": 2.0, "ci_high": 3.0}, "ci_low must not lie above"),
        ({"estimate": 1.0, "p_value": 0.0}, "p_value must be above 0"),
        ({"estimate": 1.0, "ci_high": 2.0, "level": 95}, "level must lie between 0 and 1"),
    ],
)
def test_wrong_numbers_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        conv_wald(**given)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("default", {}),
        ("test_FALSE", {"test": False}),
        ("lognormal", {"distribution": "lognormal"}),
    ],
)
def test_five_numbers_as_metafor(reference_table, expected, name, options):
    table = reference_table("fivenum").rename(columns={"min": "minimum", "max": "maximum"})
    columns = {c: table[c] for c in ("minimum", "q1", "median", "q3", "maximum", "n")}
    found, wanted = conv_fivenum(**columns, **options), expected["fivenum"][name]
    for column in ("mean", "sd", "skew_test", "critical"):
        assert_allclose(found[column], np.array(wanted[column], dtype=float), rtol=1e-9)
    assert found["skewed"].tolist() == wanted["significant"]
    if name == "lognormal":
        logs = expected["fivenum"]["lognormal_log_scale"]
        assert_allclose(found["log_mean"], np.array(logs["mean"], dtype=float), rtol=1e-9)
        assert_allclose(found["log_sd"], np.array(logs["sd"], dtype=float), rtol=1e-9)


def test_five_numbers_out_of_order_are_refused():
    with pytest.raises(ValueError, match="q3, row 1: smaller"):
        conv_fivenum([20, 20], [5.0, 5.0], q1=[4.0, 4.0], q3=[6.0, 4.5])
    with pytest.raises(ValueError, match="above zero only"):
        conv_fivenum(20, 5.0, q1=0.0, q3=6.0, distribution="lognormal")
    assert conv_fivenum(20, 5.0, q1=4.0)["mean"].isna().all()


@pytest.mark.parametrize(
    ("name", "column", "options"),
    [
        ("from_odds_ratio", "odds_ratio", {}),
        ("from_phi", "phi", {}),
        ("from_chi2", "chi2", {}),
        ("from_chi2_yates", "chi2_yates", {"yates": True}),
    ],
)
def test_tables_from_margins_as_metafor(reference_table, expected, name, column, options):
    table = reference_table("twobytwo").set_index("trial_id")
    association = {column.removesuffix("_yates"): table[column]}
    found = conv_2x2(table["ni"], table["n1i"], table["n2i"], **association, **options)
    for ours, theirs in zip("abcd", ("ai", "bi", "ci", "di"), strict=True):
        assert found[ours].tolist() == expected["twobytwo"][name][theirs]
    assert found.index.equals(table.index)


def test_tables_that_cannot_be():
    assert conv_2x2(10, 5, 5, phi=1.0).iloc[0].tolist() == [5, 0, 0, 5]
    assert conv_2x2(10, 1, 9, phi=0.9).isna().all(axis=None)
    assert conv_2x2(pd.Series([40]), 20, 20, odds_ratio=1.0).iloc[0].tolist() == [10] * 4
    for wrong in ({}, {"phi": 0.1, "chi2": 2.0}, {"odds_ratio": 0.0}, {"phi": 2.0}):
        with pytest.raises(ValueError):
            conv_2x2(10, 5, 5, **wrong)
