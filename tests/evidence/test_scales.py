"""Scales to 0-100, higher = worse, and the MCIDs on it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.testing import assert_allclose

from backpain_analysis.evidence.scales import (
    mcid,
    mcid_table,
    orientation,
    to_percent_of_scale,
    with_limits,
)


def rows(**columns) -> pd.DataFrame:
    base = {
        "outcome": "disability",
        "instrument": "RMDQ",
        "scale_min": 0.0,
        "scale_max": 24.0,
        "higher_is_better": "no",
        "mean": 6.0,
    }
    return pd.DataFrame([{**base, **columns}])


def scaled(table: pd.DataFrame, *, difference: bool) -> float:
    return to_percent_of_scale(table, "mean", is_difference=pd.Series([difference])).iloc[0]


def test_level_and_change_on_24_points():
    assert scaled(rows(), difference=False) == 25.0
    assert scaled(rows(mean=-3.0), difference=True) == -12.5


def test_better_is_turned_to_worse():
    """PSFS 0-10, higher = better: 7 of 10 is 30 of 100 worse; a rise of 2 is a fall of 20."""
    psfs = rows(instrument="PSFS", scale_max=10.0, higher_is_better="yes", mean=7.0)
    assert_allclose(scaled(psfs, difference=False), 30.0)
    assert_allclose(scaled(psfs.assign(mean=2.0), difference=True), -20.0)


def test_offset_scales():
    assert_allclose(scaled(rows(scale_min=3.0, scale_max=30.0, mean=3.0), difference=False), 0.0)


def test_quality_of_life_keeps_higher_is_better():
    table = rows(outcome="quality_of_life", scale_max=100.0, higher_is_better="yes", mean=40.0)
    assert scaled(table, difference=False) == 40.0


def test_unknown_direction_is_missing():
    table = rows(higher_is_better=None)
    assert np.isnan(orientation(table)[0])
    assert np.isnan(scaled(table, difference=False))


def test_only_instruments_with_one_range_are_filled():
    table = pd.concat([rows(scale_max=np.nan), rows(instrument="VAS", scale_max=np.nan)])
    filled = with_limits(table.reset_index(drop=True))
    assert filled["scale_max"].tolist()[0] == 24.0
    assert filled["scale_source"].tolist()[0] == "instrument"
    assert np.isnan(filled["scale_max"].tolist()[1])
    assert pd.isna(filled["scale_source"].tolist()[1])


def test_mcid_of_the_cochrane_review():
    """Hayden 2021: 15 points for pain, 10 for functional limitations."""
    assert mcid("pain_intensity") == 15
    assert mcid("disability") == 10
    assert mcid("adherence") is None


def test_mcid_table_on_0_100():
    """Ostelo 2008: NRS 2 of 10 is 20, RMDQ 5 of 24 is 20.8; per cent changes have none."""
    table = mcid_table()
    ostelo = table[table["source"].str.startswith("Ostelo")]
    absolute = ostelo[ostelo["kind"] == "absolute"].set_index("instrument")["mcid_0_100"]
    assert_allclose(absolute["NRS"], 20)
    assert_allclose(absolute["RMDQ"], 500 / 24)
    assert ostelo.loc[ostelo["kind"] == "percent", "mcid_0_100"].isna().all()
