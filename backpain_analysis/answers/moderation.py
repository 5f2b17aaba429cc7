"""What may change the effect of exercise: one question a row, multiplicity stated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from backpain_analysis.answers.appraisals import good_trials
from backpain_analysis.effects.assemble import effects_if_measured
from backpain_analysis.effects.choice import Scope
from backpain_analysis.effects.derive import USUAL
from backpain_analysis.effects.gathering import gather
from backpain_analysis.effects.table import Effects
from backpain_analysis.effects.treatments import (
    ALONE,
    INTENSITY,
    WITH,
    lumping,
    with_co_intervention,
    with_intensity,
    with_supervision,
)
from backpain_analysis.errors import CannotEstimate, require
from backpain_analysis.evidence.evidence import Evidence
from backpain_analysis.models.network.data import connected_part
from backpain_analysis.models.network.network import network
from backpain_analysis.models.pairwise.meta_regression import meta_regression
from backpain_analysis.models.pairwise.pooling import PoolResult, fitting_test, pool, pool_by
from backpain_analysis.models.results import TableResult
from backpain_analysis.words import plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes


FEWEST_TRIALS = 4

BETWEEN, NETWORK, WITHIN = "between trials", "between arms, direct and indirect", "within trials"

POPULATIONS = {"acute_lbp": 1.0, "chronic_nslbp": 0.0}


@dataclass(frozen=True, repr=False)
class Moderation(TableResult):
    """Moderators of an effect, one at a time.

    Attributes
    ----------
    table : DataFrame
        A row a moderator: `moderator, how, trials, estimate, ci_low, ci_high, p_value, p_holm,
        note`. The estimate is the change of the effect, in its units; missing with a note where
        the trials cannot tell.
    effects : Effects
        Against no exercise; none where no trial measured the outcome.
    trials : dict
        By moderator, the trials that its estimate rests on.
    sizes : Series
        Participants randomised, by trial.

    Examples
    --------
    >>> evidence = bp.load_evidence().filter(
    ...     trial_id=["saper2013", "teut2016", "sherman2011"]
    ... )
    >>> found = bp.moderation(evidence, "pain_intensity")
    >>> type(found.table).__name__
    'DataFrame'
    """

    table: pd.DataFrame
    effects: Effects
    trials: dict[str, frozenset[str]] = field(default_factory=dict)
    sizes: pd.Series = field(default_factory=pd.Series)

    def participants(self, moderator: str) -> int:
        """People randomised in the trials behind an estimate, where that is known."""
        return int(self.sizes.reindex(sorted(self.trials[moderator])).sum())

    @property
    def outcome(self) -> str:
        return self.effects.outcome

    @property
    def measure(self) -> str:
        return self.effects.measure

    def by_population(self) -> dict[str, PoolResult]:
        """Pooled effect in each population; empty without effects."""
        return pool_by(self.effects.one_per_trial(), "population") if len(self.effects) else {}

    def summary(self) -> pd.DataFrame:
        """The table."""
        return self.table

    def _title(self) -> str:
        return "Moderators, one at a time"

    def plot(self, **options: Any) -> Axes:
        """Forest plot of the coefficients: see `figures.moderation`."""
        from backpain_analysis import figures

        return figures.moderation(self, **options)


def moderation(evidence: Evidence, outcome: str, **options: Any) -> Moderation:
    """Ask every moderator that the trials report, one at a time.

    Properties of trials (age, sex, baseline, year, size, quality, population) by meta-regression
    of one effect a trial against no exercise, Knapp & Hartung intervals; properties of arms
    (supervision, intensity, impact, co-intervention, stretching) by networks of these, which
    also use head-to-head trials. P values are adjusted by Holm 1979 over all rows. Differences
    between trials may have other causes and say nothing of a person's own age or pain
    (ecological bias; Thompson & Higgins 2002, doi 10.1002/sim.1187).

    Parameters
    ----------
    evidence : Evidence
    outcome : str
    **options
        Of `Evidence.effects`.

    Returns
    -------
    Moderation

    Examples
    --------
    >>> evidence = bp.load_evidence().filter(
    ...     trial_id=["saper2013", "teut2016", "sherman2011"]
    ... )
    >>> bp.moderation(evidence, "pain_intensity").table.columns[:3].tolist()
    ['moderator', 'how', 'trials']
    """
    require(evidence, "Evidence")
    effects = effects_if_measured(evidence, outcome, **options).against_inactive()
    every = effects_if_measured(evidence, outcome, **options, head_to_head=True)
    rows = [
        *_trial_rows(evidence, outcome, effects),
        *_arm_rows(evidence, every),
        _intensity_row(evidence, every),
    ]
    trials = {row["moderator"]: frozenset(row.pop("names", ())) for row in rows}
    columns = ["moderator", "how", "trials", "estimate", "ci_low", "ci_high", "p_value", "note"]
    table = pd.DataFrame(rows, columns=columns)
    table.insert(7, "p_holm", holm(table["p_value"]))
    sizes = evidence.trials.set_index("trial_id")["n_randomised"].fillna(0)
    return Moderation(table, effects, trials, sizes)


def holm(p: pd.Series) -> pd.Series:
    """P values adjusted by Holm 1979; missing ones stay missing and do not count."""
    adjusted = pd.Series(np.nan, p.index)
    known = p.notna()
    if known.any():
        from statsmodels.stats.multitest import multipletests

        adjusted[known] = multipletests(p[known], method="holm")[1]
    return adjusted


def trial_moderators(evidence: Evidence, outcome: str) -> dict[str, pd.Series]:
    """Properties of trials, by trial, in the steps that a coefficient is read in."""
    trials = evidence.trials.set_index("trial_id")
    return {
        "Mean age, per 10 years": trials["mean_age"].astype(float) / 10,
        "Women, per 10 per cent": trials["pct_female"].astype(float) / 10,
        "Baseline, per 10 points": baseline(evidence, outcome) / 10,
        "Acute instead of chronic": trials["population"].astype(str).map(POPULATIONS),
        "Low risk of bias instead of more": pd.Series(good_trials(evidence), dtype=float),
        "Year, per 10 years": trials["year"].astype(float) / 10,
        "Size, per 100 people": trials["n_randomised"].astype(float) / 100,
    }


def baseline(evidence: Evidence, outcome: str) -> pd.Series:
    """Mean baseline of each trial's arms on 0-100, by trial."""
    found = gather(evidence, outcome, "MD", Scope(derive=USUAL)).results
    levels = {
        trial: [
            row.mean
            for row in own.arm_rows
            if row.timepoint_label == "baseline" and row.kind == "final" and pd.notna(row.mean)
        ]
        for trial, own in found.items()
    }
    return pd.Series({trial: np.mean(own) for trial, own in levels.items() if own}, dtype=float)


def _trial_rows(evidence: Evidence, outcome: str, effects: Effects) -> list[dict[str, Any]]:
    single = effects.one_per_trial() if len(effects) else effects
    rows = []
    for name, values in trial_moderators(evidence, outcome).items():
        table = single.table.assign(x=single.table["trial_id"].map(values).astype(float))
        rows.append({"moderator": name, "how": BETWEEN, **slope(table)})
    return rows


def slope(table: pd.DataFrame) -> dict[str, Any]:
    """Meta-regression of `yi` on `x`: `trials, estimate, ci_low, ci_high, p_value`, or a `note`."""
    known = table.dropna(subset=["x"])
    size = {"trials": len(known)}
    if len(known) < FEWEST_TRIALS:
        return size | {"note": f"reported by {plural(len(known), 'trial')}, too few"}
    if known["x"].nunique() < 2:
        return size | {"note": "the same in all trials"}
    try:
        fitted = meta_regression("yi ~ x", known)
    except CannotEstimate as fault:
        return size | {"note": fault.reason}
    low, high = fitted.conf_int().loc["x"]
    found = {"estimate": fitted.params["x"], "ci_low": low, "ci_high": high}
    names = known["trial_id"] if "trial_id" in known else ()
    return size | found | {"p_value": fitted.pvalues["x"], "note": "", "names": names}


def _arm_rows(evidence: Evidence, every: Effects) -> list[dict[str, Any]]:
    arms = evidence.arms
    impact = lumping("impact")
    asked: list[tuple[str, Callable[[], Effects], str, str, str, dict[str, str]]] = [
        (
            "Supervised instead of unsupervised",
            lambda: with_supervision(every, arms),
            *("setting", "supervised", "unsupervised"),
            {},
        ),
        (
            "With a co-intervention instead of alone",
            lambda: with_co_intervention(every, arms),
            *("setting", WITH, ALONE),
            {},
        ),
        (
            "Running instead of low-impact aerobic",
            lambda: every,
            *("treatment", "high_impact_aerobic", "low_impact_aerobic"),
            impact,
        ),
        (
            "Dynamic instead of static stretching",
            lambda: every,
            *("treatment", "stretching_dynamic", "stretching_static"),
            lumping("types"),
        ),
    ]
    return [
        {"moderator": name, "how": NETWORK, **_between(make(), column, first, second, lump)}
        for name, make, column, first, second, lump in asked
    ]


def _between(
    effects: Effects, column: str, first: str, second: str, lump: dict[str, str]
) -> dict[str, Any]:
    table = effects.table
    given = pd.concat([table[column], table[f"ref_{column}"]]).replace(lump)
    absent = [name for name in (first, second) if name not in set(given)]
    if absent:
        names = " or ".join(name.replace("_", " ") for name in absent)
        return {"trials": 0, "note": f"no usable arm of {names}"}
    try:
        part = connected_part(effects, first, treatment=column, lump=lump)
        result = network(part, treatment=column, reference=second, lump=lump)
    except CannotEstimate as fault:
        return {"trials": 0, "note": fault.reason}
    row = result.predict(first)
    found = {name: row[name] for name in ("estimate", "ci_low", "ci_high", "p_value")}
    trials = int(row["trials"])
    note = f"{plural(trials, 'trial')} compare{'s' * (trials == 1)} them directly"
    names = part.table["trial_id"]
    return {"trials": result.n_trials, **found, "note": note, "names": names}


def _intensity_row(evidence: Evidence, every: Effects) -> dict[str, Any]:
    """Arms of one trial whose reports say that one exercised harder, pooled."""
    row = {"moderator": "Higher intensity instead of lower", "how": WITHIN, "trials": 0}
    row |= {"note": "no trial that compares two intensities has a usable result"}
    known = with_intensity(every, evidence.arms).table if len(every) else every.table
    if known.empty:
        return row
    rank = {word: place for place, word in enumerate(INTENSITY)}
    step = known["setting"].map(rank) - known["ref_setting"].map(rank)
    apart = known.assign(yi=known["yi"] * np.sign(step))[step.abs() > 0]
    apart = apart.drop_duplicates("trial_id")
    if apart.empty:
        return row
    result = pool(apart["yi"], apart["vi"], test=fitting_test(len(apart)))
    found = {
        "estimate": result.estimate,
        "ci_low": result.ci_low,
        "ci_high": result.ci_high,
        "p_value": result.p_value,
    }
    note = f"{plural(len(apart), 'trial')} compare{'s' * (len(apart) == 1)} them directly"
    return row | found | {"trials": len(apart), "note": note, "names": apart["trial_id"]}


def answer(found: Moderation) -> str:
    """The answer in a sentence: how many were asked, how many stand."""
    known = found.table[found.table["p_value"].notna()]
    if known.empty:
        return "The trials are too few, or report too little, to ask what changes the effect."
    raw = known[known["p_value"] < 0.05]
    stand = known[known["p_holm"] < 0.05]
    text = (
        f"Of {len(found.table)} moderators, {len(known)} could be asked; {len(raw)} reach P < 0.05 "
        f"taken alone and {len(stand)} after adjustment for asking {len(known)}"
    )
    names = ", ".join(name.split(",")[0].lower() for name in stand["moderator"])
    if names:
        text += f" ({names})"
    return f"{text}. None of this shows what would happen to a person: trials differ in much else."
