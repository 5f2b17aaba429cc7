"""Contrasts from a plain table of arms: mean, SD and size at each dose of each trial."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from backpain_analysis.effects.effect_sizes import (
    mean_differences,
    standardised_mean_differences,
)
from backpain_analysis.effects.table import Effects


def from_arms_table(
    data: pd.DataFrame,
    *,
    trial: str = "trial_id",
    dose: str | Sequence[str] = "dose",
    mean: str = "mean",
    sd: str = "sd",
    n: str = "n",
    measure: str = "MD",
    covariance: Sequence[np.ndarray] | None = None,
) -> Effects:
    """Effects of every arm against the first arm of its trial.

    Parameters
    ----------
    data : DataFrame
        A row an arm; the first row of a trial is its reference arm. Further columns are kept.
    trial, mean, sd, n : str
        Columns.
    dose : str or sequence of two str
        Column of the dose, or two of them.
    measure : {"MD", "SMD"}
        "MD" as `effect_sizes.mean_differences`; "SMD" is Cohen's d with the SD pooled over the
        trial's arms and the covariance of Gleser & Olkin, as in Crippa & Orsini 2016
        (doi 10.1186/s12874-016-0189-0).
    covariance : sequence of ndarray, optional
        Covariance matrix of the contrasts of each trial, in the order of the data, over the
        computed one.

    Returns
    -------
    Effects
        With `dose` and `ref_dose` (a second dose as `dose_2` and `ref_dose_2`).

    Raises
    ------
    ValueError
        For missing columns, trials with one arm, missing or negative doses, equal doses in all
        arms, missing means, SDs or sizes; every trial at fault is named with the cure.
    """
    doses = [dose] if isinstance(dose, str) else list(dose)
    missing = [c for c in (trial, *doses, mean, sd, n) if c not in data]
    if missing:
        raise ValueError(
            f"no column {', '.join(map(repr, missing))}; the data have {', '.join(data.columns)}."
        )
    groups = list(data.groupby(trial, sort=False, dropna=False))
    faults = [fault for name, arms in groups for fault in _faults(name, arms, doses, mean, sd, n)]
    if faults:
        raise ValueError("\n".join(faults))
    given = None if covariance is None else list(covariance)
    if given is not None and len(given) != len(groups):
        raise ValueError(f"{len(given)} covariance matrices for {len(groups)} trials.")
    contrast = mean_differences if measure == "MD" else _cohens_d
    parts, matrices = [], []
    for number, (name, arms) in enumerate(groups):
        yi, V = contrast(arms[mean], arms[sd], arms[n])
        V = V if given is None else np.array(given[number], dtype=float, ndmin=2)
        part = arms.iloc[1:].assign(
            trial_id=name,
            arm_id=[f"{name}:{i}" for i in range(1, len(arms))],
            ref_arm_id=f"{name}:0",
            label=str(name),
            yi=yi,
            vi=np.diag(V),
            n_arm=arms[n].iloc[1:].astype(float),
            n_ref=float(arms[n].iloc[0]),
        )
        for place, column in enumerate(doses):
            suffix = "" if place == 0 else f"_{place + 1}"
            part[f"dose{suffix}"] = arms[column].iloc[1:].astype(float)
            part[f"ref_dose{suffix}"] = float(arms[column].iloc[0])
        parts.append(part)
        matrices.append(V)
    table = pd.concat(parts, ignore_index=True)
    excluded = pd.DataFrame(columns=["trial_id", "arm_id", "reason"])
    return Effects(table, tuple(matrices), excluded, "outcome", measure)


def _cohens_d(mean: pd.Series, sd: pd.Series, n: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    return standardised_mean_differences(mean, sd, n, hedges=False)


def _faults(
    name: str, arms: pd.DataFrame, doses: list[str], mean: str, sd: str, n: str
) -> list[str]:
    where = f"trial {name!r}"
    if pd.isna(name):
        return ["rows without a trial: give each arm the name of its trial."]
    if len(arms) == 1:
        return [f"{where} has one arm: add its reference arm, or leave the trial out."]
    faults = []
    for column in doses:
        values = arms[column].astype(float)
        if pd.isna(values.iloc[0]):
            faults.append(f"{where} has no {column} for its reference (first) arm: fill it in.")
        elif values.isna().any():
            faults.append(f"{where} has an arm without {column}: fill it in or drop the arm.")
        if (values < 0).any():
            faults.append(f"{where} has a negative {column} ({values.min():g}): doses start at 0.")
    distinct = arms[doses].drop_duplicates()
    if not faults and len(distinct) == 1:
        faults.append(
            f"{where} has the same {' and '.join(doses)} in all its arms: it says nothing about "
            "the dose; leave it out."
        )
    for column, rule in ((mean, None), (sd, 0), (n, 1)):
        values = arms[column].astype(float)
        if values.isna().any() or (rule is not None and (values <= rule).any()):
            need = "known" if rule is None else f"known and above {rule}"
            faults.append(f"{where}: {column} must be {need} in every arm.")
    return faults
