"""Pooled effects of several groups, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from backpain_analysis.effects import Effects
from backpain_analysis.models.pooling import PoolResult, pool


def pool_by(
    effects: Effects, column: str = "exercise_type", **options: Any
) -> dict[str, PoolResult]:
    """Pool each group of contrasts on its own.

    Each group has its own tau2 (Cochrane Handbook 10.11.2); a trial with arms in several groups
    enters each with its own arms.

    Parameters
    ----------
    effects : Effects
    column : str
        Column of `effects.table` that names the group; rows without one are left out.
    **options
        As of `pool`.

    Returns
    -------
    dict
        Group name -> PoolResult, largest number of trials first, then by name.

    Raises
    ------
    ValueError
        If there is no such column.
    """
    if column not in effects.table:
        raise ValueError(f"no column {column!r}: use one of {', '.join(effects.table.columns)}.")
    groups = {
        str(name): effects.select(effects.table[column] == name, f"another {column}")
        for name in effects.table[column].dropna().unique()
    }
    order = sorted(groups, key=lambda name: (-groups[name].n_trials, name))
    return {name: pool(groups[name], **options) for name in order}


def pooled_table(results: Mapping[str, PoolResult]) -> pd.DataFrame:
    """Several pooled effects side by side, a row a result.

    Returns
    -------
    DataFrame
        `trials, participants, estimate, ci_low, ci_high, pi_low, pi_high, tau2, i2, p_value`,
        indexed by the names of the results.
    """
    names = "estimate ci_low ci_high pi_low pi_high tau2 i2 p_value".split()
    rows = [
        {
            "trials": result.n_trials,
            "participants": result.n_participants,
            **{name: getattr(result, name) for name in names},
        }
        for result in results.values()
    ]
    return pd.DataFrame(rows, index=pd.Index(results, name="group"))
