"""The lines of a forest plot, top to bottom, before anything is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from backpain_analysis.figures.forest_marks import heterogeneity_line
from backpain_analysis.figures.style import EXERCISE_LABELS, exercise_label
from backpain_analysis.models.pooling import PoolResult

TESTS = {"knapp-hartung": "Knapp-Hartung intervals", "z": "normal intervals"}
METHODS = {"CE": "Common effect"}


@dataclass(frozen=True)
class Row:
    """A line: "heading", "trial", "summary", "heterogeneity", "note" or "space".

    Attributes
    ----------
    interval : tuple of float, optional
        Estimate, lower and upper limit of a trial or a summary.
    pooled : PoolResult, optional
        Of a summary and of its heterogeneity.
    participants : tuple of float
        In the exercise and in the reference arms; NaN where unknown.
    weight : float
        Per cent; NaN where none.
    """

    kind: str
    label: str = ""
    interval: tuple[float, float, float] | None = None
    pooled: PoolResult | None = None
    participants: tuple[float, float] = (np.nan, np.nan)
    weight: float = np.nan


def forest_rows(
    table: pd.DataFrame,
    results: Mapping[str, PoolResult] | None,
    overall: PoolResult | None,
    group_by: str,
) -> list[Row]:
    """Lines of the plot of `table`; see `forest.forest` for the arguments.

    A group of one effect has no summary: it would repeat the effect.
    """
    pooled = [overall, *(results or {}).values()]
    level = next((result.level for result in pooled if result), 0.95)
    weights = pd.Series(np.nan, table.index)
    if overall is not None:
        weights = pd.Series(overall.table["weight"].to_numpy(), table.index)
    rows: list[Row] = []
    if results is None:
        rows += _trials(table, weights, level)
    else:
        for name, part in _parts(table, results, group_by).items():
            result, own = results.get(name), weights[part.index]
            if overall is None and result is not None:
                own = pd.Series(result.table["weight"].to_numpy(), part.index)
            rows += [Row("heading", exercise_label(name)), *_trials(part, own, level)]
            if result is not None and len(part) > 1:
                rows += _summary("Subtotal", part, result, own.sum())
            rows.append(Row("space"))
    if overall is not None:
        rows += _summary("All effects", table, overall, weights.sum())
    method = next((result for result in pooled if result), None)
    if method is not None:
        rows.append(Row("note", _method(method)))
    if any(np.isfinite(result.pi_low) for result in pooled if result):
        rows.append(Row("note", "Pale bars: prediction intervals (PI)"))
    return rows[:-1] if rows[-1].kind == "space" else rows


def in_group(table: pd.DataFrame, group_by: str, name: str) -> pd.Series:
    """Whether each row belongs to a group, named by its word or by its label."""
    words = table[group_by].astype(str)
    return (words == name) | (words.map(EXERCISE_LABELS) == name)


def _parts(
    table: pd.DataFrame, results: Mapping[str, PoolResult], group_by: str
) -> dict[str, pd.DataFrame]:
    parts = {name: table[in_group(table, group_by, name)] for name in results}
    rest = table.drop(index=[index for part in parts.values() for index in part.index])
    return parts | {
        name: part for name, part in rest.groupby(rest[group_by].astype(str), sort=False)
    }


def _trials(part: pd.DataFrame, weights: pd.Series, level: float) -> list[Row]:
    critical = stats.norm.ppf((1 + level) / 2)
    rows = []
    for index, effect in part.sort_values("yi", kind="stable").iterrows():
        yi, half = float(effect["yi"]), float(critical * np.sqrt(effect["vi"]))
        participants = tuple(float(effect.get(name, np.nan)) for name in ("n_arm", "n_ref"))
        label = str(effect["label"])
        rows.append(
            Row("trial", label, (yi, yi - half, yi + half), None, participants, weights[index])
        )
    return rows


def _summary(label: str, part: pd.DataFrame, result: PoolResult, weight: float) -> list[Row]:
    trials = "1 trial" if result.n_trials == 1 else f"{result.n_trials} trials"
    interval = (result.estimate, result.ci_low, result.ci_high)
    return [
        Row("summary", f"{label}, {trials}", interval, result, _sizes(part), weight),
        Row("heterogeneity", heterogeneity_line(result), None, result),
    ]


def _method(result: PoolResult) -> str:
    model = METHODS.get(result.method, f"Random effects ({result.method})")
    return f"{model}, {TESTS[result.test]}"


def _sizes(part: pd.DataFrame) -> tuple[float, float]:
    """Participants of the exercise and of the reference arms, each arm once; NaN if any unknown."""
    if not {"trial_id", "arm_id", "ref_arm_id", "n_arm", "n_ref"} <= set(part):
        return np.nan, np.nan
    arms = part.drop_duplicates(["trial_id", "arm_id"])["n_arm"].astype(float)
    references = part.drop_duplicates(["trial_id", "ref_arm_id"])["n_ref"].astype(float)
    return arms.sum(skipna=False), references.sum(skipna=False)
