"""Every instrument of pain and disability on 0-100, higher = worse; MCIDs on the same scale."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import pandas as pd

from backpain_analysis.datasets.bundled import load_reference
from backpain_analysis.words import LOWER_IS_BETTER, OUTCOME_WORDS, did_you_mean

FIXED_LIMITS = {"RMDQ": (0.0, 24.0), "RMDQ23": (0.0, 23.0), "ODI": (0.0, 100.0)}
"""Instruments with one range by definition, used where a report does not restate it.

RMDQ: 24 items (Roland & Morris 1983, doi 10.1097/00007632-198303000-00004) or its 23-item
version (Patrick 1995, doi 10.1097/00007632-199509000-00011); ODI: per cent (Fairbank & Pynsent
2000, doi 10.1097/00007632-200011150-00017). VAS and NRS come in several lengths: never assumed.
"""


WIDEST_LIMITS = {
    **FIXED_LIMITS,
    "VAS": (0.0, 100.0),
    "NRS": (0.0, 100.0),
    "NRS0_6": (0.0, 6.0),
    "CPGS_pain": (0.0, 100.0),
    "CPGS_disability": (0.0, 100.0),
    "SF_MPQ": (0.0, 45.0),
    "PPI": (0.0, 5.0),
    "QBPDS": (0.0, 100.0),
    "NDI": (0.0, 100.0),
    "PDI": (0.0, 70.0),
    "EQ5D_VAS": (0.0, 100.0),
    "TSK": (17.0, 68.0),
    "TSK11": (11.0, 44.0),
    "FABQ": (0.0, 96.0),
    "PCS": (0.0, 52.0),
    "PSEQ": (0.0, 60.0),
    "HADS": (0.0, 42.0),
    "BDI": (0.0, 63.0),
}
"""The widest range of each instrument: no form of it gives a value outside.

VAS: 100 mm; NRS: up to 101 points (Jensen 1986, Pain 27:117). Sums of items: CPGS subscales are
rescaled to 100 (Von Korff 1992, Pain 50:133); SF-MPQ 15 x 0-3 (Melzack 1987, Pain 30:191), PPI
0-5 (Melzack 1975, Pain 1:277); QBPDS 20 x 0-5 (Kopec 1995, Spine 20:341); NDI 10 x 0-5 or per
cent (Vernon 1991, JMPT 14:409); PDI 7 x 0-10 (Tait 1990, Pain 40:171); TSK 17 x 1-4 (Vlaeyen
1995, Pain 62:363), TSK-11 11 x 1-4 (Woby 2005, Pain 117:137); FABQ 16 x 0-6 (Waddell 1993, Pain
52:157); PCS 13 x 0-4 (Sullivan 1995, Psychol Assess 7:524); PSEQ 10 x 0-6 (Nicholas 2007, Eur J
Pain 11:153); HADS 14 x 0-3 (Zigmond 1983, Acta Psychiatr Scand 67:361); BDI 21 x 0-3 (Beck 1961,
Arch Gen Psychiatry 4:561). They serve to catch impossible scores, never to rescale.
"""


def with_limits(
    table: pd.DataFrame, of_instruments: Mapping[str, tuple[float, float]] = FIXED_LIMITS
) -> pd.DataFrame:
    """Rows of `outcomes`, `contrasts` or `scores` with scale limits filled where known.

    Adds `scale_source`: "reported", "instrument" (of `of_instruments`) or missing.
    """
    table = table.copy()
    known = table["scale_min"].notna() & table["scale_max"].notna()
    rows = ~known & table["instrument"].isin(list(of_instruments))
    source = pd.Series(pd.NA, table.index, dtype="string")
    table["scale_source"] = source.mask(known, "reported").mask(rows, "instrument")
    if rows.any():
        named = table.loc[rows, "instrument"].astype(str)
        ends = np.array([of_instruments[name] for name in named], dtype=float)
        table.loc[rows, ["scale_min", "scale_max"]] = ends
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
    """The published MCID of a between-group difference in points of 0-100.

    Pain and disability have one; for other outcomes it is None.

    The thresholds of the Cochrane review of exercise for chronic low back pain (Hayden 2021,
    doi 10.1002/14651858.CD009790.pub2), read from `data/reference/mcid.csv`. Others are in
    `mcid_table`.

    Raises
    ------
    ValueError
        For an outcome that is not known; the message names the nearest one.

    Examples
    --------
    >>> mcid("pain_intensity"), mcid("disability"), mcid("quality_of_life")
    (15.0, 10.0, None)
    """
    if outcome not in OUTCOME_WORDS and not str(outcome).startswith("other: "):
        raise ValueError(f"outcome: no {outcome!r}. {did_you_mean(outcome, OUTCOME_WORDS)}")
    return _between_groups().get(outcome)


@cache
def _between_groups() -> dict[str, float]:
    """MCIDs of differences between groups by outcome."""
    table = mcid_table()
    table = table[table["kind"] == "between_group_absolute"]
    return {
        outcome: float(table.loc[table["instrument"].str.contains(words), "mcid"].iloc[0])
        for outcome, words in (("pain_intensity", "pain"), ("disability", "functional limitations"))
    }
