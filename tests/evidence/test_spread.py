"""SDs from what trials print, against published tables and exact order statistics."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import integrate, special, stats

from backpain_analysis.evidence.conversions import (
    mean_from_quartiles,
    mean_from_range,
    sd_from_ci,
    sd_from_quartiles,
    sd_from_range,
    sd_from_se,
    with_sd,
)


def test_handbook_standard_error():
    """Cochrane Handbook 6.5.2.2: SD = SE sqrt(N)."""
    assert_allclose(sd_from_se(0.5, 100), 5.0)


def test_handbook_interval_of_a_small_group():
    """Handbook 6.5.2.2: for 25 people divide by 2 x 2.0639 = 4.128 in place of 3.92."""
    assert_allclose(sd_from_ci(30.0, 34.2, 25), 5 * 4.2 / 4.128, rtol=1e-4)


def test_handbook_interval_of_a_large_group():
    assert_allclose(sd_from_ci(0.0, 3.92, 10_000), 100.0, rtol=1e-3)


@pytest.mark.parametrize(
    ("n", "xi"), [(10, 3.078), (20, 3.735), (25, 3.931), (30, 4.086), (40, 4.322), (50, 4.498)]
)
def test_wan_range_against_their_exact_table(n, xi):
    """Wan 2014, Table 1: SD = range / xi(n), which their equation 9 approximates to 0.5%."""
    assert_allclose(sd_from_range(0.0, xi, n), 1.0, rtol=5e-3)


@pytest.mark.parametrize("q", [5, 10, 25, 50])
def test_wan_quartiles_against_exact_order_statistics(q):
    """For n = 4Q + 1 the expected quartiles of a normal sample, by integration, give back SD 1."""
    n, rank = 4 * q + 1, 3 * q + 1

    def density(z):
        log = special.gammaln(n + 1) - special.gammaln(rank) - special.gammaln(n - rank + 1)
        log += (rank - 1) * stats.norm.logcdf(z) + (n - rank) * stats.norm.logsf(z)
        return z * np.exp(log + stats.norm.logpdf(z))

    upper = integrate.quad(density, -8, 8)[0]
    assert_allclose(sd_from_quartiles(-upper, upper, n), 1.0, rtol=1e-2)


def test_luo_means_of_symmetric_and_skewed_figures():
    """Luo 2018: w = 0.7 + 0.39/n for quartiles, 4/(4 + n^0.75) for the range, by hand at n = 16."""
    assert_allclose(mean_from_quartiles(2.0, 4.0, 6.0, 16), 4.0)
    w = 0.7 + 0.39 / 16
    assert_allclose(mean_from_quartiles(2.0, 3.0, 6.0, 16), w * 4 + (1 - w) * 3)
    w = 4 / (4 + 8)
    assert_allclose(mean_from_range(0.0, 3.0, 12.0, 16), w * 6 + (1 - w) * 3)


def outcome(**fields) -> dict:
    empty = dict.fromkeys(["dispersion", "lower", "upper"], np.nan)
    base = {"n": 25.0, "mean": 4.0, "dispersion_type": None, "value_type": "level"}
    return {**base, **empty, **fields}


def test_each_sd_is_marked_with_its_source():
    table = with_sd(
        pd.DataFrame(
            [
                outcome(dispersion_type="sd", dispersion=2.0),
                outcome(dispersion_type="se", dispersion=0.5),
                outcome(dispersion_type="ci95", lower=3.0, upper=5.0),
                outcome(dispersion_type="iqr", lower=3.0, upper=6.0, value_type="median"),
                outcome(dispersion_type="range", lower=0.0, upper=9.0),
                outcome(dispersion_type="se", dispersion=0.5, n=np.nan),
                outcome(),
            ]
        )
    )
    sources = ["reported SD", "SE", "95% CI", "quartiles", "range"]
    assert table["sd_source"].tolist()[:5] == sources
    assert table["sd"].tolist()[:2] == [2.0, 2.5]
    assert table["sd_source"].isna().tolist()[5:] == [True, True]
    assert table["sd"].isna().tolist()[5:] == [True, True]
    assert table["mean_source"].tolist()[3] == "from median"
    assert table["value_type"].tolist()[3] == "level"
    assert_allclose(table["mean"].tolist()[3], mean_from_quartiles(3.0, 4.0, 6.0, 25))


def test_a_median_without_quartiles_stays_a_median():
    table = with_sd(pd.DataFrame([outcome(value_type="median")]))
    assert table["value_type"].tolist() == ["median"]
