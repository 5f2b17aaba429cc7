"""How often the answer on dose is right, where the truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd

from backpain_analysis.answers.dose_questions import Answer
from backpain_analysis.datasets.bundled import data_dir
from backpain_analysis.datasets.trials import TRIAL_TRUTHS

MCID = 10.0
"""Points; that of `benchmarks/dose_calibration.py`."""


def dose_calibration() -> Answer:
    """What `dose_answer` said of made-up trials, from the stored table of benchmarks.

    Returns
    -------
    Answer
        Table: `truth, trials, sets`, then in per cent of the sets `answered`, `more` and `less`
        (verdicts), `effect_held` (the interval of the typical dose's effect holds the true one),
        `mcid_held` (that of the dose that reaches 10 points), `named` (that dose is named) and
        `mcid_held_where_named`.

    Examples
    --------
    >>> bp.dose_calibration().table["trials"].unique().tolist()
    [8, 16, 40]
    """
    table = pd.read_csv(data_dir() / "dose_calibration.csv")
    return Answer(calibration_words(table), table)


def calibration_words(table: pd.DataFrame) -> str:
    """How often the rule errs and finds, and the intervals hold."""
    flat = table["truth"].map(lambda name: np.ptp(TRIAL_TRUTHS[name].added([1.0, 1e3])) == 0)
    wrong, right = table[flat], table[~flat]
    low = table.loc[table["effect_held"].idxmin()]
    place = table.loc[table["mcid_held"].idxmin()]
    return (
        f"In made-up trials whose truth is known ({_span(table['sets'], '')} sets of "
        f"{', '.join(map(str, sorted(table['trials'].unique())))} trials a truth), the rule said "
        f'"more does more" in {_span(wrong["more"])} of sets where dose does not matter, and in '
        f"{_span(right['more'])} where it does, the more often the more trials there were. The "
        "interval of the typical dose's effect, meant to hold the truth in 95%, held it in "
        f"{_span(table['effect_held'])} (least with {_cell(low)}), and that of the dose for "
        f"{MCID:g} points in {_span(table['mcid_held'])} (least with {_cell(place)})."
    )


def _span(values: pd.Series, unit: str = "%") -> str:
    low, high = (f"{value:.0f}" for value in (values.min(), values.max()))
    return f"{low}{unit}" if low == high else f"{low} to {high}{unit}"


def _cell(row: pd.Series) -> str:
    return f"{row['trials']} trials and {row['truth']}"
