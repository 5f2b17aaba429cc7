"""Every instrument of pain and disability on 0-100, higher = worse; MCIDs on the same scale."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from backpain_analysis.datasets import load_reference

LOWER_IS_BETTER = frozenset(
    {"pain_intensity", "disability", "depression_anxiety", "kinesiophobia", "recurrence"}
)
"""Outcomes oriented so that higher = worse; every other outcome so that higher = better."""

FIXED_LIMITS = {"RMDQ": (0.0, 24.0), "RMDQ23": (0.0, 23.0), "ODI": (0.0, 100.0)}
"""Instruments with one range by definition, used where a report does not restate it.

RMDQ: 24 items (Roland & Morris 1983, doi 10.1097/00007632-198303000-00004) or its 23-item
version (Patrick 1995, doi 10.1097/00007632-199509000-00011); ODI: per cent (Fairbank & Pynsent
2000, doi 10.1097/00007632-200011150-00017). VAS and NRS come in several lengths: never assumed.
"""


def with_limits(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of `outcomes` or `contrasts` with scale limits filled where the instrument fixes them.

    Adds `scale_source`: "reported", "instrument" (see `FIXED_LIMITS`) or missing.
    """
    table = table.copy()
    known = table["scale_min"].notna() & table["scale_max"].notna()
    table["scale_source"] = pd.Series(pd.NA, table.index, dtype="string")
    table.loc[known, "scale_source"] = "reported"
    for instrument, (low, high) in FIXED_LIMITS.items():
        rows = ~known & (table["instrument"] == instrument)
        table.loc[rows, "scale_min"] = low
        table.loc[rows, "scale_max"] = high
        table.loc[rows, "scale_source"] = "instrument"
    return table


def orientation(table: pd.DataFrame) -> np.ndarray:
    """+1 where a row's direction is the outcome's (see `LOWER_IS_BETTER`), -1 where reversed.

    NaN where `higher_is_better` is missing. Shape (n_rows,).
    """
    higher_is_better = table["higher_is_better"].map({"yes": 1.0, "no": -1.0}).astype(float)
    wanted = np.where(table["outcome"].isin(LOWER_IS_BETTER), -1.0, 1.0)
    return higher_is_better.to_numpy() * wanted


def to_percent_of_scale(table: pd.DataFrame, value: str, *, is_difference: pd.Series) -> pd.Series:
    """A column of `table` on 0-100 in the outcome's direction.

    Parameters
    ----------
    table : DataFrame
        With `outcome`, `higher_is_better`, `scale_min`, `scale_max` (see `with_limits`).
    value : str
        Column in the units of the instrument.
    is_difference : Series of bool
        True where the value is a difference or change (no origin), False for a level.

    Returns
    -------
    Series
        Missing where the limits or the direction are unknown.
    """
    width = (table["scale_max"] - table["scale_min"]).astype(float)
    sign = orientation(table)
    scaled = 100 * table[value].astype(float) / width
    level = 100 * (table[value].astype(float) - table["scale_min"].astype(float)) / width
    level = level.where(sign > 0, 100 - level).where(np.isfinite(sign))
    return (scaled * sign).where(is_difference, level)


@cache
def mcid_table() -> pd.DataFrame:
    """Published minimal clinically important differences, on 0-100 where a scale is known.

    Returns
    -------
    DataFrame
        The rows of `data/reference/mcid.csv` with `mcid_0_100` (missing for per cent changes
        from baseline and for unknown scales).
    """
    table = load_reference("mcid").copy()
    width = table["scale_max"] - table["scale_min"]
    absolute = table["kind"].isin(["absolute", "between_group_absolute"])
    table["mcid_0_100"] = (100 * table["mcid"] / width).where(absolute)
    return table


def mcid(outcome: str) -> float | None:
    """The published MCID of a between-group difference in points of 0-100, None without one.

    The thresholds of the Cochrane review of exercise for chronic low back pain (Hayden 2021,
    doi 10.1002/14651858.CD009790.pub2), read from `data/reference/mcid.csv`. Others are in
    `mcid_table`.
    """
    words = {"pain_intensity": "pain", "disability": "functional limitations"}
    if outcome not in words:
        return None
    table = mcid_table()
    between = table[table["kind"] == "between_group_absolute"]
    return float(between.loc[between["instrument"].str.contains(words[outcome]), "mcid"].iloc[0])
