"""The results of one trial, indexed by occasion: instrument, week and label of a measurement."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from backpain_analysis.effects.effect_sizes import pooled_sd

Row = Any
"""A named tuple of `candidates.arm_results` or `candidates.contrast_results`."""


class Occasion(NamedTuple):
    """When and with what an outcome was measured; `weeks` is NaN where unknown."""

    key: tuple[str, str, str]
    weeks: float
    label: str


@dataclass
class TrialResults:
    """What one trial reports of an outcome.

    Attributes
    ----------
    levels, changes : dict
        Usable arm results: occasion -> arm -> row (the first of the table).
    differences : dict
        Usable reported differences: occasion -> rows.
    arm_rows, difference_rows : list
        All rows, usable or not.
    """

    levels: dict[Occasion, dict[str, Row]] = field(default_factory=lambda: defaultdict(dict))
    changes: dict[Occasion, dict[str, Row]] = field(default_factory=lambda: defaultdict(dict))
    differences: dict[Occasion, list[Row]] = field(default_factory=lambda: defaultdict(list))
    arm_rows: list[Row] = field(default_factory=list)
    difference_rows: list[Row] = field(default_factory=list)

    @property
    def occasions(self) -> list[Occasion]:
        """Every occasion after baseline, in the order of the tables."""
        found = dict.fromkeys([*self.levels, *self.changes, *self.differences])
        return [occasion for occasion in found if occasion.label != "baseline"]

    def baseline(self, key: tuple[str, str, str]) -> dict[str, Row]:
        """Usable baseline levels on one instrument, by arm."""
        found: dict[str, Row] = {}
        for occasion, rows in self.levels.items():
            if occasion.key == key and occasion.label == "baseline":
                found = {**rows, **found}
        return found

    def level_sd(self, key: tuple[str, str, str], arms: Iterable[str]) -> float | None:
        """SD of levels pooled over `arms`: at baseline, else at the first time all have one."""
        arms = list(arms)
        occasions = [occasion for occasion in self.levels if occasion.key == key]
        for occasion in sorted(occasions, key=lambda o: (o.label != "baseline", o.weeks)):
            rows = self.levels[occasion]
            if all(arm in rows for arm in arms):
                return pooled_sd([rows[arm].sd for arm in arms], [rows[arm].n for arm in arms])
        return None


def by_trial(results: pd.DataFrame, differences: pd.DataFrame) -> dict[str, TrialResults]:
    """The results of every trial; see `candidates` for the two tables."""
    trials: dict[str, TrialResults] = defaultdict(TrialResults)
    for row in results.itertuples(index=False):
        own = trials[row.trial_id]
        own.arm_rows.append(row)
        if row.problem is None:
            kind = own.levels if row.kind == "final" else own.changes
            kind[occasion_of(row)].setdefault(row.arm_id, row)
    for row in differences.itertuples(index=False):
        own = trials[row.trial_id]
        own.difference_rows.append(row)
        if row.problem is None:
            own.differences[occasion_of(row)].append(row)
    return trials


def occasion_of(row: Row) -> Occasion:
    """The occasion of a row; all unknown weeks are one and the same NaN, so that they match."""
    weeks = np.nan if pd.isna(row.timepoint_weeks) else float(row.timepoint_weeks)
    key = (row.instrument, row.instrument_text, row.site)
    return Occasion(key, weeks, row.timepoint_label)
