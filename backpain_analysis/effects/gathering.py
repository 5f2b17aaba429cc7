"""All that trials say of an outcome, on one scale and by trial, before effects are chosen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from backpain_analysis.effects.choice import Arm
from backpain_analysis.effects.measures import pooled_sd
from backpain_analysis.evidence.dose import with_doses
from backpain_analysis.evidence.evidence import Evidence, once_per_evidence
from backpain_analysis.evidence.scales import orientation, to_percent_of_scale, with_limits
from backpain_analysis.evidence.spread import with_sd

KEY = ["instrument", "instrument_text", "site"]


def arm_results(evidence: Evidence, outcome: str, measure: str) -> pd.DataFrame:
    """Arm-level results of an outcome in the direction, and for "MD" on the scale, of the analysis.

    Returns
    -------
    DataFrame
        `trial_id, arm_id, instrument, instrument_text, site, timepoint_weeks, timepoint_label,
        kind` ("final" | "change"), `n, mean, sd, sd_source, problem`; `problem` says what keeps
        a row from being used (missing where nothing does).
    """
    rows = evidence.outcomes[evidence.outcomes["outcome"].astype(str) == outcome]
    table = with_limits(with_sd(_with_n(rows, evidence)))
    kinds = {"level": "final", "change_from_baseline": "change"}
    table["kind"] = table["value_type"].astype(str).map(kinds)
    table = table.assign(**_rescale(table, measure, "mean", "sd", table["kind"] == "change"))
    problem = pd.Series(pd.NA, table.index, dtype="string")
    problem = problem.mask(table["sd"].isna(), "no SD, standard error or interval reported")
    problem = problem.mask(table["n"].isna(), "arm size unknown")
    problem = problem.mask(table["mean"].isna(), _scale_problem(measure))
    problem = problem.mask(
        table["kind"].isna(), table["value_type"].astype(str) + " cannot be pooled with means"
    )
    table["problem"] = problem
    columns = ["trial_id", "arm_id", *KEY, "timepoint_weeks", "timepoint_label", "kind", "n"]
    return _plain(table[[*columns, "mean", "sd", "sd_source", "problem"]])


def contrast_results(evidence: Evidence, outcome: str, measure: str) -> pd.DataFrame:
    """Reported between-arm differences of an outcome, with standard errors from their intervals.

    Standard errors are half the interval's width over the t quantile on `n_arm + n_ref - 2`
    degrees of freedom for MDs of known size, else the normal one (Cochrane Handbook 6.3.1).

    Returns
    -------
    DataFrame
        `trial_id, arm_id, ref_arm_id, instrument, instrument_text, site, timepoint_weeks,
        timepoint_label, effect_measure` ("md" | "smd"), `estimate, se, n_arm, n_ref, problem`.
    """
    rows = evidence.contrasts[evidence.contrasts["outcome"].astype(str) == outcome]
    table = with_limits(rows.assign(site=pd.Series(pd.NA, rows.index, dtype="string")))
    sizes = _arm_sizes(evidence)
    for column, arm in (("n_arm", "arm_id"), ("n_ref", "ref_arm_id")):
        table[column] = _look_up(sizes, table, arm)
    level = table["ci_level"].astype(float).fillna(95) / 100
    width = table["ci_high"].astype(float) - table["ci_low"].astype(float)
    is_md = table["effect_measure"].astype(str) == "md"
    df = (table["n_arm"] + table["n_ref"] - 2).where(is_md)
    quantile = np.where(
        df.notna(), stats.t.ppf((1 + level) / 2, df.fillna(1)), stats.norm.ppf((1 + level) / 2)
    )
    table["se"] = width / (2 * quantile)
    scaled = _rescale(table, measure, "estimate", "se", pd.Series(True, table.index))
    oriented = table["estimate"].astype(float) * orientation(table)
    table["estimate"] = scaled["estimate"].where(is_md, oriented)
    table["se"] = scaled["se"].where(is_md, table["se"])
    usable = table["effect_measure"].astype(str).isin(["md", "smd"])
    problem = pd.Series(pd.NA, table.index, dtype="string")
    problem = problem.mask(table["se"].isna(), "difference reported without an interval")
    problem = problem.mask(table["estimate"].isna(), _scale_problem(measure))
    problem = problem.mask(rows["estimate"].isna(), "no estimate reported")
    problem = problem.mask(~usable, "neither a mean difference nor an SMD")
    table["problem"] = problem
    columns = ["trial_id", "arm_id", "ref_arm_id", *KEY, "timepoint_weeks", "timepoint_label"]
    return _plain(
        table[[*columns, "effect_measure", "estimate", "se", "n_arm", "n_ref", "problem"]]
    )


def _with_n(rows: pd.DataFrame, evidence: Evidence) -> pd.DataFrame:
    """Outcome rows with the number randomised where the number analysed is not printed."""
    randomised = evidence.arms.set_index(["trial_id", "arm_id"])["n_randomised"].astype(float)
    return rows.assign(n=rows["n"].astype(float).fillna(_look_up(randomised, rows, "arm_id")))


def _arm_sizes(evidence: Evidence) -> pd.Series:
    """Randomised arm sizes, else the largest number analysed in any outcome."""
    keys = ["trial_id", "arm_id"]
    randomised = evidence.arms.set_index(keys)["n_randomised"].astype(float)
    analysed = evidence.outcomes.groupby(keys)["n"].max().astype(float)
    return randomised.fillna(analysed)


def _look_up(values: pd.Series, table: pd.DataFrame, arm: str) -> pd.Series:
    """`values` by (trial, arm) for each row of `table`."""
    keys = pd.MultiIndex.from_frame(table[["trial_id", arm]])
    return pd.Series(values.reindex(keys).to_numpy(dtype=float), table.index)


def _rescale(
    table: pd.DataFrame, measure: str, value: str, spread: str, is_difference: pd.Series
) -> dict[str, pd.Series]:
    """`value` and `spread` on 0-100 ("MD"), or in their units but the outcome's direction."""
    if measure == "SMD":
        return {value: table[value].astype(float) * orientation(table), spread: table[spread]}
    width = (table["scale_max"] - table["scale_min"]).astype(float)
    return {
        value: to_percent_of_scale(table, value, is_difference=is_difference),
        spread: 100 * table[spread].astype(float) / width,
    }


def _scale_problem(measure: str) -> str:
    return "scale limits unknown" if measure == "MD" else "direction of the scale unknown"


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Categories as text, missing keys as empty text and no problem as None: rows compare."""
    table = table.assign(problem=table["problem"].astype(object).where(table["problem"].notna()))
    table["problem"] = table["problem"].replace({np.nan: None})
    for column in [*KEY, "timepoint_label"]:
        table[column] = table[column].astype(object).where(table[column].notna(), "")
    return table


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


Met = tuple[tuple[str, float], ...]
"""MET values by exercise type, as pairs."""


@dataclass(frozen=True)
class Gathered:
    """The trials that measured an outcome.

    Attributes
    ----------
    trials : list of dict
        Their rows of the trials table.
    arms : mapping
        Rows of the arms table, with doses, by trial.
    results : mapping
        Results of the outcome by trial.
    """

    trials: list[dict[str, Any]]
    arms: Mapping[str, list[Arm]]
    results: Mapping[str, TrialResults]


@once_per_evidence
def gather(
    evidence: Evidence, outcome: str, measure: str, *, met: Met, include_home: bool
) -> Gathered:
    """Gather what trials say of an outcome; see `evidence.dose.with_doses` for the last two."""
    results = by_trial(
        arm_results(evidence, outcome, measure), contrast_results(evidence, outcome, measure)
    )
    measured = evidence.trials[evidence.trials["trial_id"].isin(results.keys())]
    arms = _arms(evidence, met=met, include_home=include_home)
    return Gathered(measured.to_dict("records"), arms, results)


@once_per_evidence
def _arms(evidence: Evidence, *, met: Met, include_home: bool) -> dict[str, list[Arm]]:
    arms = defaultdict(list)
    for arm in with_doses(evidence.arms, met=dict(met), include_home=include_home).to_dict(
        "records"
    ):
        arms[arm["trial_id"]].append(arm)
    return arms
