"""Contrasts from a plain table of arms: mean, SD and size at each dose of each trial."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from backpain_analysis.effects.measures import hedges_factor
from backpain_analysis.effects.table import Effects
from backpain_analysis.evidence.faults import as_frame, need_columns
from backpain_analysis.words import did_you_mean


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
    measure : {"MD", "SMD", "d"}
        "MD" as `measures.mean_differences`; "SMD" is Hedges' g with the SD pooled over the trial's
        arms, as `measures.standardised_mean_differences`; "d" is Cohen's d, without the
        small-sample factor, and the covariance of Gleser & Olkin, as in Crippa & Orsini 2016
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
    if measure not in ("MD", "SMD", "d"):
        raise ValueError(f"measure: no {measure!r}. {did_you_mean(measure, ('MD', 'SMD', 'd'))}")
    doses = [dose] if isinstance(dose, str) else list(dose)
    data = as_frame(data)
    need_columns((trial, *doses, mean, sd, n), data)
    codes, names = pd.factorize(data[trial])
    order = np.argsort(codes, kind="stable")
    codes, rows = codes[order], data.iloc[order]
    first = np.flatnonzero(np.diff(codes, prepend=-2))
    values = {c: _numbers(rows[c]) for c in (mean, sd, n, *doses)}
    _check(rows, first, trial, doses, (mean, sd, n), values)
    if covariance is not None and len(covariance) != len(first):
        raise ValueError(f"{len(covariance)} covariance matrices for {len(first)} trials.")
    ends = np.append(first[1:], len(codes))
    reference = np.repeat(first, ends - first)
    yi, parts = contrasts_of_arms(values[mean], values[sd], values[n], first, ends, measure)
    matrices = (
        [np.array(V, dtype=float, ndmin=2) for V in covariance]
        if covariance is not None
        else covariance_of_contrasts(*parts, first, ends)
    )
    arm = np.arange(len(codes)) != reference
    label = [str(name) for name in names.take(codes[arm])]
    place = (np.arange(len(codes)) - reference)[arm]
    columns = {name: rows[name].array[arm] for name in rows}
    columns |= {
        "trial_id": names.take(codes[arm]),
        "arm_id": [f"{name}:{number}" for name, number in zip(label, place, strict=True)],
        "ref_arm_id": [f"{name}:0" for name in label],
        "label": label,
        "yi": yi[arm],
        "vi": np.concatenate([np.diag(V) for V in matrices]),
        "n_arm": values[n][arm],
        "n_ref": values[n][reference][arm],
    }
    for number, name in enumerate(doses):
        suffix = "" if number == 0 else f"_{number + 1}"
        columns[f"dose{suffix}"] = values[name][arm]
        columns[f"ref_dose{suffix}"] = values[name][reference][arm]
    excluded = pd.DataFrame(columns=["trial_id", "arm_id", "reason"])
    return Effects(pd.DataFrame(columns), tuple(matrices), excluded, "outcome", measure)


def _numbers(column: pd.Series) -> np.ndarray:
    return column.to_numpy(dtype=float, na_value=np.nan)


def contrasts_of_arms(
    mean: np.ndarray,
    sd: np.ndarray,
    n: np.ndarray,
    first: np.ndarray,
    ends: np.ndarray,
    measure: str,
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Effects of all arms against the first of their trial, and what their covariance is made of.

    Returns
    -------
    yi : ndarray, shape (n_arms,)
        Zero for the reference arms.
    parts : (ndarray, ndarray)
        Each arm's own variance, and what pairs of a trial share besides, as a product of two
        factors (zero for "MD"; `g / sqrt(2N)` for "SMD", `d / sqrt(2N)` for "d").
    """
    sizes = ends - first
    yi = mean - np.repeat(mean[first], sizes)
    if measure == "MD":
        return yi, (sd**2 / n, np.zeros(len(mean)))
    total = np.add.reduceat(n, first)
    pooled = np.sqrt(np.add.reduceat((n - 1) * sd**2, first) / (total - sizes))
    if measure == "SMD":
        pooled = pooled / hedges_factor(total - sizes)
    yi = yi / np.repeat(pooled, sizes)
    return yi, (1 / n, yi / np.sqrt(2 * np.repeat(total, sizes)))


def covariance_of_contrasts(
    own: np.ndarray, factor: np.ndarray, first: np.ndarray, ends: np.ndarray
) -> list[np.ndarray]:
    """Covariance of each trial's contrasts, trials of equal size at once."""
    matrices: list[np.ndarray] = [np.empty(0)] * len(first)
    sizes = ends - first - 1
    for size in np.unique(sizes):
        members = np.flatnonzero(sizes == size)
        arms = first[members][:, None] + 1 + np.arange(size)
        stack = np.eye(size) * own[arms][:, :, None] + own[first[members]][:, None, None]
        stack += factor[arms][:, :, None] * factor[arms][:, None, :]
        for member, matrix in zip(members, stack, strict=True):
            matrices[member] = matrix
    return matrices


def _check(
    rows: pd.DataFrame,
    first: np.ndarray,
    trial: str,
    doses: list[str],
    columns: tuple[str, str, str],
    values: dict[str, np.ndarray],
) -> None:
    """Look closely at the trials that break a rule, and name all their faults."""
    mean, sd, n = (values[column] for column in columns)
    bad = ~np.isfinite(mean) | ~(sd > 0) | ~(n > 1)
    same = np.ones(len(first), dtype=bool)
    for name in doses:
        bad |= ~(values[name] >= 0)
        lowest = np.minimum.reduceat(values[name], first)
        same &= lowest == np.maximum.reduceat(values[name], first)
    unnamed = rows[trial].isna().to_numpy()[first]
    suspects = np.flatnonzero(same | unnamed | np.logical_or.reduceat(bad, first))
    parts = np.split(np.arange(len(rows)), first[1:])
    faults = []
    for suspect in suspects:
        arms = rows.iloc[parts[suspect]]
        faults += _faults(arms[trial].iloc[0], arms, doses, *columns)
    if faults:
        raise ValueError("\n".join(faults))


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
