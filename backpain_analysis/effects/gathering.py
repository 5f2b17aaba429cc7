"""All that trials say of an outcome, on one scale and by trial, before effects are chosen."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from backpain_analysis.effects.choice import EVENT_MEASURES, PLAIN, Arm, Scope
from backpain_analysis.effects.derive import (
    OF_INSTRUMENT,
    marked,
    of_instruments,
    pooled_sds,
    split_equally,
    texts,
    with_errors,
    with_lengths,
    with_pooled_sds,
)
from backpain_analysis.effects.measures import pooled_sd
from backpain_analysis.evidence.conversions import SKEWED, with_sd
from backpain_analysis.evidence.dose import with_doses
from backpain_analysis.evidence.evidence import Evidence, once_per_evidence
from backpain_analysis.evidence.plausibility import contradicted
from backpain_analysis.evidence.scales import orientation, to_percent_of_scale, with_limits
from backpain_analysis.words import measure_words

CONTRADICTED = "contradicts its arms"

KEY = ["instrument", "instrument_text", "site"]


@once_per_evidence
def arm_results(evidence: Evidence, measure: str, scope: Scope = PLAIN) -> pd.DataFrame:
    """Arm-level results in the direction, and for "MD" on the scale, of the analysis.

    Returns
    -------
    DataFrame
        Of all outcomes: `outcome, trial_id, arm_id, instrument, instrument_text, site,
        timepoint_weeks, timepoint_label, kind` ("final" | "change" | "events"), `n, mean, sd,
        sd_source, obtained, design_effect, problem`; `mean` of events is their number, `obtained`
        says what was not printed so, and `problem` what keeps a row from being used (missing where
        nothing does).
    """
    table = _with_n(evidence.outcomes.assign(obtained=""), evidence, scope)
    if measure == "HR":
        table = table.assign(kind="none", sd=np.nan, sd_source=pd.NA, problem=NO_HAZARD_RATIO)
    elif measure in EVENT_MEASURES:
        table = _of_events(table, scope)
    else:
        table = _of_means(table, evidence, measure, scope)
    effects, remarks = _design_effects(evidence, scope.icc)
    table["obtained"] = marked(table, remarks.notna(), remarks)
    table["design_effect"] = effects
    columns = ["outcome", "trial_id", "arm_id", *KEY, "timepoint_weeks", "timepoint_label"]
    columns += ["kind", "n", "mean", "sd", "sd_source", "obtained", "design_effect", "problem"]
    return _plain(table[columns])


def _of_means(table: pd.DataFrame, evidence: Evidence, measure: str, scope: Scope) -> pd.DataFrame:
    table = with_sd(table)
    if "scale" in scope.derive and measure == "MD" and scope.unit is None:
        table = with_lengths(table, evidence)
    table = with_limits(table)
    kinds = {"level": "final", "change_from_baseline": "change"}
    table["kind"] = table["value_type"].astype(str).map(kinds)
    is_change = table["kind"] == "change"
    table = table.assign(**_rescale(table, measure, "mean", "sd", is_change, scope.unit))
    from_other = table["sd_source"].notna() & (table["sd_source"] != "reported SD")
    from_median = table["mean_source"] == "from median"
    spread = "SD from the " + table["sd_source"].astype("string").fillna("")
    table["obtained"] = marked(table, from_other, spread)
    table["obtained"] = marked(table, from_median, "mean from the median")
    if "pooled_sd" in scope.derive and measure == "MD" and scope.unit is None:
        table = with_pooled_sds(table)
    table["problem"] = _last(
        table.index,
        (table["sd"].le(0), "no spread in this arm (its SD is 0)"),
        (table["sd"].isna(), "no SD, standard error or interval reported"),
        (table["n"].lt(2), "fewer than two people in this arm"),
        (table["n"].isna(), "arm size unknown"),
        (table["mean"].isna(), _scale_problem(table, measure, scope.unit)),
        (table["kind"].isna(), table["value_type"].astype(str) + " cannot be pooled with means"),
        (table["mean_source"] == SKEWED, SKEWED),
    )
    return table


def _last(index: pd.Index, *problems: tuple[pd.Series, str | pd.Series]) -> pd.Series:
    """The last problem that a row has, None where it has none."""
    found = np.full(len(index), None, dtype=object)
    for rows, text in problems:
        places = np.flatnonzero(rows)
        found[places] = text if isinstance(text, str) else text.iloc[places].to_numpy(dtype=object)
    return pd.Series(found, index, dtype=object)


PERCENT_OF_PEOPLE = "% of participants"


NO_HAZARD_RATIO = "reported, but not as hazard ratio"


def _of_events(table: pd.DataFrame, scope: Scope) -> pd.DataFrame:
    counted = table["value_type"].astype(str) == "events"
    events, n = table["events"].astype(float).where(counted), table["n"].astype(float)
    share = table["mean"].astype(float).where(table["unit"] == PERCENT_OF_PEOPLE)
    from_share = events.isna() & share.notna() & n.notna() & ("percentage" in scope.derive)
    events = events.where(~from_share, np.round(share * n / 100))
    percent = texts(share, "events from {:g} per cent")
    table = table.assign(obtained=marked(table, from_share, percent))
    other_way = (orientation(table) == -1) & events.notna()
    table["mean"] = events.where(~other_way, n - events)
    table["obtained"] = marked(table, other_way, "people without the event counted")
    table["kind"], table["sd"], table["sd_source"] = "events", np.nan, pd.NA
    table["problem"] = _last(
        table.index,
        (table["mean"] > n, "more events than people"),
        (table["mean"].isna(), "no number of events reported"),
        (n.isna(), "arm size unknown"),
    )
    return table


@once_per_evidence
def contrast_results(evidence: Evidence, measure: str, scope: Scope = PLAIN) -> pd.DataFrame:
    """Reported between-arm differences, with standard errors from their intervals.

    Standard errors are half the interval's width over the t quantile on `n_arm + n_ref - 2`
    degrees of freedom for MDs of known size, else the normal one (Cochrane Handbook 6.3.1), or
    from a P value or one limit as far as `scope.derive` allows (6.3.2). A difference that
    contradicts the values of its arms is not used (see `evidence.plausibility.contradicted`).

    Returns
    -------
    DataFrame
        Of all outcomes: `outcome, trial_id, arm_id, ref_arm_id, instrument, instrument_text, site,
        timepoint_weeks, timepoint_label, effect_measure` ("md" | "smd" | "rr" | "or" | "hr"),
        `estimate` (logs of ratios), `se, n_arm, n_ref, obtained, problem`.
    """
    rows = evidence.contrasts
    kind = rows["effect_measure"].astype(str)
    table = rows.assign(site=pd.Series(pd.NA, rows.index, dtype="string"), obtained="")
    ratio = measure not in ("MD", "SMD")
    if "scale" in scope.derive and measure == "MD" and scope.unit is None:
        table = with_lengths(table, evidence)
    table = with_limits(table)
    printed, sizes = (
        _arm_sizes(evidence, split=split) for split in (False, "equal_split" in scope.derive)
    )
    for column, arm in (("n_arm", "arm_id"), ("n_ref", "ref_arm_id")):
        table[column] = _look_up(sizes, table, arm)
        if sizes is not printed:
            split = _look_up(printed, table, arm).isna() & table[column].notna()
            split &= ~table["obtained"].str.contains(SPLIT)
            table["obtained"] = marked(table, split, SPLIT)
    is_md = kind == "md"
    df = (table["n_arm"] + table["n_ref"] - 2).where(is_md)
    table = with_errors(table, df, scope.derive, kind.isin(["rr", "or", "hr"]))
    sign = orientation(table)
    if ratio:
        wanted = kind == measure.lower()
        usable = wanted & (sign != -1)
        wrong = pd.Series(f"reported, but not as {measure_words(measure)}", table.index)
        wrong = wrong.mask(wanted, "counts the opposite of this outcome")
    else:
        always = pd.Series(True, table.index)
        scaled = _rescale(table, measure, "estimate", "se", always, scope.unit)
        table["estimate"] = scaled["estimate"].where(is_md, table["estimate"] * sign)
        table["se"] = scaled["se"].where(is_md, table["se"])
        usable = kind.isin(["md"] if scope.unit else ["md", "smd"])
        wrong = pd.Series("neither a mean difference nor an SMD", table.index)
        if "pooled_sd" in scope.derive and measure == "MD" and scope.unit is None:
            table = _with_pooled_errors(table, evidence, scope)
    if "cluster" in scope.designs:
        clusters = set(evidence.trials.loc[evidence.trials["design"] == "cluster", "trial_id"])
        own = table["trial_id"].isin(clusters)
        table["obtained"] = marked(table, own, "clusters taken as allowed for by the report")
    against = _contradicted(evidence).reindex(table.index)
    unscaled = "estimate is no ratio" if ratio else _scale_problem(table, measure, scope.unit)
    table["problem"] = _last(
        table.index,
        (against.notna(), against),
        (table["se"].isna(), "difference reported without an interval"),
        (table["estimate"].isna(), unscaled),
        (rows["estimate"].isna(), "no estimate reported"),
        (~usable, wrong),
    )
    columns = ["outcome", "trial_id", "arm_id", "ref_arm_id", *KEY, "timepoint_weeks"]
    columns += ["timepoint_label", "effect_measure", "estimate", "se", "n_arm", "n_ref"]
    columns += ["obtained", "problem"]
    return _plain(table[columns])


@once_per_evidence
def _contradicted(evidence: Evidence) -> pd.Series:
    """Why reported differences must not be used, on the index of the contrasts."""
    return contradicted(evidence.outcomes, evidence.contrasts)


def _with_pooled_errors(table: pd.DataFrame, evidence: Evidence, scope: Scope) -> pd.DataFrame:
    """Differences without an error, with that of their instrument's pooled SD."""
    sds = pooled_sds(arm_results(evidence, "MD", _without(scope, *ONLY_DIFFERENCES, "pooled_sd")))
    sd = of_instruments(sds, table.assign(kind="final"))
    se = sd * np.sqrt(1 / table["n_arm"] + 1 / table["n_ref"])
    rows = table["se"].isna() & se.notna() & table["estimate"].notna()
    remark = texts(sd, OF_INSTRUMENT)
    table = table.assign(obtained=marked(table, rows, remark))
    return table.assign(se=table["se"].where(~rows, se))


SPLIT = "arm sizes by an equal split"


def _with_n(rows: pd.DataFrame, evidence: Evidence, scope: Scope) -> pd.DataFrame:
    """Outcome rows with the number randomised where the number analysed is not printed."""
    analysed = rows["n"].astype(float)
    n = analysed.fillna(_look_up(_randomised(evidence), rows, "arm_id"))
    table = rows.assign(obtained=marked(rows, analysed.isna() & n.notna(), "n as randomised"))
    if "equal_split" in scope.derive:
        split = n.isna()
        n = n.fillna(_look_up(split_equally(evidence), rows, "arm_id"))
        table["obtained"] = marked(table, split & n.notna(), SPLIT)
    return table.assign(n=n)


@once_per_evidence
def _randomised(evidence: Evidence) -> pd.Series:
    """Randomised arm sizes by (trial_id, arm_id)."""
    return evidence.arms.set_index(["trial_id", "arm_id"])["n_randomised"].astype(float)


@once_per_evidence
def _arm_sizes(evidence: Evidence, *, split: bool) -> pd.Series:
    """Randomised arm sizes, else the largest number analysed in any outcome, else as split."""
    analysed = evidence.outcomes.groupby(["trial_id", "arm_id"])["n"].max().astype(float)
    sizes = _randomised(evidence).fillna(analysed)
    return sizes.fillna(split_equally(evidence)) if split else sizes


@once_per_evidence
def _design_effects(evidence: Evidence, icc: float | None) -> tuple[pd.Series, pd.Series]:
    """Design effect of each outcome row, `1 + (cluster size - 1) ICC`, and its remark.

    Handbook 23.1.4.
    """
    trials = evidence.trials[["trial_id", "design", "cluster_size", "icc"]]
    clusters = trials[trials["design"] == "cluster"].set_index("trial_id")
    size, printed = clusters["cluster_size"].astype(float), clusters["icc"].astype(float)
    assumed = printed.isna() & size.notna() & (icc is not None)
    effect = 1 + (size - 1) * (printed if icc is None else printed.fillna(icc))
    remark = pd.Series("clusters ignored: their size or ICC is not printed", clusters.index)
    known = texts(effect, "design effect {:.2f}")
    remark = remark.mask(effect.notna(), known)
    remark = remark.mask(assumed, known + f" with an assumed ICC of {icc}")
    rows = evidence.outcomes["trial_id"]
    effects = rows.map(effect).astype(float).fillna(1.0)
    return effects, rows.map(remark).astype("string")


def _look_up(values: pd.Series, table: pd.DataFrame, arm: str) -> pd.Series:
    """`values` by (trial, arm) for each row of `table`."""
    known = values.to_dict()
    pairs = zip(table["trial_id"].tolist(), table[arm].tolist(), strict=True)
    return pd.Series([known.get(pair, np.nan) for pair in pairs], table.index, dtype=float)


def _rescale(
    table: pd.DataFrame,
    measure: str,
    value: str,
    spread: str,
    is_difference: pd.Series,
    unit: str | None,
) -> dict[str, pd.Series]:
    """`value` and `spread` on 0-100 ("MD"), or in their units but the outcome's direction."""
    if measure == "SMD" or unit is not None:
        factor = 1.0 if unit is None else _factor(table, unit)
        turned = table[value].astype(float) * orientation(table) * factor
        return {value: turned, spread: table[spread].astype(float) * factor}
    width = (table["scale_max"] - table["scale_min"]).astype(float)
    return {
        value: to_percent_of_scale(table, value, is_difference=is_difference),
        spread: 100 * table[spread].astype(float) / width,
    }


KILOPASCAL = {"kPa": 1.0, "N/cm2": 10.0, "kg/cm2": 98.0665, "kgf/cm2": 98.0665}
"""Kilopascals a unit of pressure; forces (N, kgf) are none: the probe's area is not printed."""


def _factor(table: pd.DataFrame, unit: str) -> pd.Series:
    """What turns the rows' units into `unit`; missing where nothing does."""
    own = table["unit"].astype("string")
    factor = pd.Series(np.nan, table.index).mask((own == unit).fillna(False), 1.0)
    if unit in KILOPASCAL:
        factor = factor.fillna(own.map(KILOPASCAL).astype(float) / KILOPASCAL[unit])
    return factor


def _scale_problem(table: pd.DataFrame, measure: str, unit: str | None) -> pd.Series:
    own = table["unit"].astype("string").fillna("")
    if unit is not None:
        text = ("in " + own + f", not in {unit}").where(own != "", "unit unknown")
        return text.mask(own == unit, "direction of the scale unknown")
    if measure != "MD":
        return pd.Series("direction of the scale unknown", table.index)
    text = pd.Series("scale limits unknown", table.index, dtype="string")
    return text.mask(own != "", text + " (unit " + own + ")")


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Categories as text and missing keys as empty text, so that rows compare."""
    plain = {}
    for column in [*KEY, "timepoint_label"]:
        texts = table[column].to_numpy(dtype=object, na_value="", copy=True)
        plain[column] = pd.Series(texts, table.index, dtype=object)
    return table.assign(timepoint_weeks=table["timepoint_weeks"].astype(float), **plain)


Row = Any
"""A named tuple of `arm_results` or `contrast_results`."""


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
    levels, changes, events : dict
        Usable arm results: occasion -> arm -> row (the first of the table).
    differences : dict
        Usable reported differences: occasion -> rows.
    arm_rows, difference_rows : list
        All rows, usable or not.
    paired : bool
        Whether the same people were in all arms (a crossover trial).
    """

    levels: dict[Occasion, dict[str, Row]] = field(default_factory=lambda: defaultdict(dict))
    changes: dict[Occasion, dict[str, Row]] = field(default_factory=lambda: defaultdict(dict))
    events: dict[Occasion, dict[str, Row]] = field(default_factory=lambda: defaultdict(dict))
    differences: dict[Occasion, list[Row]] = field(default_factory=lambda: defaultdict(list))
    arm_rows: list[Row] = field(default_factory=list)
    difference_rows: list[Row] = field(default_factory=list)
    paired: bool = False

    @property
    def occasions(self) -> list[Occasion]:
        """Every occasion after baseline, in the order of the tables."""
        found = dict.fromkeys([*self.levels, *self.changes, *self.events, *self.differences])
        return [occasion for occasion in found if occasion.label != "baseline"]

    def contradicts(self, occasion: Occasion, arm: str, reference: str) -> bool:
        """Whether a difference reported of two arms is one that their own values contradict."""
        return any(
            {row.arm_id, row.ref_arm_id} == {arm, reference} and occasion_of(row) == occasion
            for row in self.difference_rows
            if row.problem is not None and CONTRADICTED in row.problem
        )

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


def by_trial(results: Iterable[Row], differences: Iterable[Row]) -> dict[str, TrialResults]:
    """The results of every trial, from rows of `arm_results` and `contrast_results`."""
    trials: dict[str, TrialResults] = defaultdict(TrialResults)
    for row in results:
        own = trials[row.trial_id]
        own.arm_rows.append(row)
        if row.problem is None:
            kind = {"final": own.levels, "change": own.changes, "events": own.events}[row.kind]
            kind[occasion_of(row)].setdefault(row.arm_id, row)
    for row in differences:
        own = trials[row.trial_id]
        own.difference_rows.append(row)
        if row.problem is None:
            own.differences[occasion_of(row)].append(row)
    return trials


def occasion_of(row: Row) -> Occasion:
    """The occasion of a row; all unknown weeks are one and the same NaN, so that they match."""
    weeks = row.timepoint_weeks
    key = (row.instrument, row.instrument_text, row.site)
    return Occasion(key, np.nan if math.isnan(weeks) else weeks, row.timepoint_label)


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

    trials: list[dict[Hashable, Any]]
    arms: Mapping[str, list[Arm]]
    results: Mapping[str, TrialResults]


def gather(evidence: Evidence, outcome: str, measure: str, scope: Scope) -> Gathered:
    """Gather what trials say of an outcome."""
    results = _results(evidence, outcome, measure, _of_results(scope, measure))
    trials = [trial for trial in _trials(evidence) if trial["trial_id"] in results]
    arms = _arms(evidence, met=scope.met, include_home=scope.include_home)
    return Gathered(trials, arms, results)


@once_per_evidence
def _trials(evidence: Evidence) -> list[dict[Hashable, Any]]:
    return evidence.trials.to_dict("records")


ONLY_ARMS = ("percentage",)
ONLY_DIFFERENCES = ("p_value", "limit")
"""What is derived in one of the tables only."""


def _of_results(scope: Scope, measure: str) -> Scope:
    """The scope as far as results depend on it, so that they are gathered once for many."""
    unused = {"followup"} if measure in EVENT_MEASURES else {"followup", "percentage"}
    if measure != "MD" or scope.unit is not None:
        unused |= {"scale", "pooled_sd"}
    designs = tuple(name for name in scope.designs if name == "cluster")
    return _without(
        Scope((), designs, derive=scope.derive, icc=scope.icc, unit=scope.unit), *unused
    )


def _without(scope: Scope, *derivations: str) -> Scope:
    return replace(scope, derive=tuple(d for d in scope.derive if d not in derivations))


@once_per_evidence
def _results(
    evidence: Evidence, outcome: str, measure: str, scope: Scope
) -> dict[str, TrialResults]:
    """Results of an outcome by trial.

    What a trial says does not depend on other trials, so that it is looked up once for all that
    an evidence is filtered to; only SDs of an instrument in the other trials are of those left.
    """
    if evidence.whole is not evidence and "pooled_sd" not in scope.derive:
        return _of_part(_results(evidence.whole, outcome, measure, scope), evidence)
    tables = (
        arm_results(evidence, measure, _without(scope, *ONLY_DIFFERENCES)),
        contrast_results(evidence, measure, _without(scope, *ONLY_ARMS)),
    )
    own = (table[table["outcome"].astype(str) == outcome] for table in tables)
    results = by_trial(*(table.itertuples(index=False) for table in own))
    for trial in evidence.trials.loc[evidence.trials["design"] == "crossover", "trial_id"]:
        if trial in results:
            results[trial].paired = True
    return results


def _of_part(results: Mapping[str, TrialResults], evidence: Evidence) -> dict[str, TrialResults]:
    """The results of the arms that are in `evidence`."""
    kept, found = defaultdict(set), {}
    for trial, arm in evidence.arms[["trial_id", "arm_id"]].astype(object).to_numpy():
        kept[trial].add(arm)
    for trial, arms in kept.items():
        if (own := results.get(trial)) is None:
            continue
        of_arms = [row for row in own.arm_rows if row.arm_id in arms]
        of_pairs = [row for row in own.difference_rows if {row.arm_id, row.ref_arm_id} <= arms]
        if len(of_arms) == len(own.arm_rows) and len(of_pairs) == len(own.difference_rows):
            found[trial] = own
        elif of_arms or of_pairs:
            found[trial] = replace(by_trial(of_arms, of_pairs)[trial], paired=own.paired)
    return found


@once_per_evidence
def _arms(
    evidence: Evidence, *, met: tuple[tuple[str, float], ...], include_home: bool
) -> dict[str, list[Arm]]:
    arms = defaultdict(list)
    for arm in with_doses(evidence.arms, met=dict(met), include_home=include_home).to_dict(
        "records"
    ):
        arms[arm["trial_id"]].append(arm)
    return arms
