"""The network asked otherwise: with types leaning on each other, over the weeks, by moderators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from backpain_analysis.answers.dose_questions import Answer
from backpain_analysis.answers.network import Names, called, value_words
from backpain_analysis.answers.network_certainty import baselines
from backpain_analysis.answers.verdicts import ONE_SIDED
from backpain_analysis.effects.over_time import effects_over_time
from backpain_analysis.effects.table import Effects
from backpain_analysis.effects.treatments import lumping
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.evidence.evidence import Evidence
from backpain_analysis.models.network.data import connected_part
from backpain_analysis.models.network.network import NetworkResult
from backpain_analysis.models.network.regression import (
    NetworkCourse,
    network_classes,
    network_course,
    network_regression,
)
from backpain_analysis.words import number, plural, spread_text, unit_words

WEEKS = (12.0, 26.0, 52.0)
"""About three months, half a year and a year after randomisation."""

COLUMNS = ["estimate", "ci_low", "ci_high"]


def leaning(
    effects: Effects, result: NetworkResult, *, lump: Mapping[str, str], names: Names = None
) -> Answer:
    """Types of exercise as a sample from one family, so that those with few trials lean on others.

    Parameters
    ----------
    effects : Effects
        Of which the network was made.
    result : NetworkResult
    lump : mapping
        Of the network.
    names : mapping, optional
        Treatments as a reader calls them.

    Returns
    -------
    Answer
        Table: `group` and its estimate with interval, leaning on the family, the best first; the
        family's mean in the end.
    """
    family = lumping("exercise")
    classes = {
        name: "exercise"
        for name in result.treatments
        if "exercise" in (name, family.get(name)) or name in FAMILIES
    }
    try:
        part = connected_part(effects, result.reference, lump=lump)
        method: Any = "ML" if result.method == "ML" else "REML"
        found = network_classes(
            part, classes, reference=result.reference, lump=lump, method=method, level=result.level
        )
    except CannotEstimate as fault:
        return Answer(f"Types cannot lean on each other here: {fault.reason}.", pd.DataFrame())
    interval = found.conf_int()
    table = pd.DataFrame({"estimate": found.params, **interval}).loc[list(classes)]
    table = table.sort_values("estimate", ascending=result.lower_is_better)
    spread = float(np.sqrt(found.within))
    first = called(str(table.index[0]), names)
    before = result.effects().loc[table.index[0], "estimate"]
    mean = found.means.loc["exercise", COLUMNS]
    text = (
        f"If {len(classes)} types of exercise are taken as a sample of one family, their effects "
        f"vary around {value_words(result, mean['estimate'])} {unit_words(result.measure)} with a "
        f"standard deviation of {spread_text(spread, result.measure)}, and types with few trials "
        f"are drawn towards that mean. First is then {first}, "
        f"{value_words(result, table['estimate'].iloc[0])} instead of "
        f"{value_words(result, before)} on its own."
    )
    rows = table.rename_axis("group").reset_index()
    rows.loc[len(rows)] = {"group": "mean of all types", **mean.to_dict()}
    return Answer(text, rows)


FAMILIES = ("aerobic", "core_motor_control", "stretching", "mind_body")
"""What lumpings make of types of exercise."""


def over_weeks(
    trials: Evidence,
    outcome: str,
    *,
    lump: Mapping[str, str],
    reference: str = "inactive",
    weeks: tuple[float, ...] = WEEKS,
    **choices: Any,
) -> Answer:
    """Effects of types at given weeks, from all visits of all trials.

    A level and a slope for each type where the visits carry them, else one effect at all weeks;
    told only at weeks around which a type was measured.

    Parameters
    ----------
    trials : Evidence
    outcome : str
    lump, reference
        Of the network.
    weeks : tuple of float
    **choices
        Of `effects_over_time`.

    Returns
    -------
    Answer
        Table: `group, weeks` (the week, or the first and the last) and the estimate with its
        interval.
    """
    try:
        visits = effects_over_time(trials, outcome, head_to_head=True, **choices)
        part = connected_part(visits, reference, lump=lump)
        found, curve = _course(part, reference=reference, lump=lump)
    except CannotEstimate as fault:
        return Answer(f"Not to be told over the weeks: {fault.reason}.", pd.DataFrame())
    size = f"{plural(len(part), 'contrast')} at {plural(part.table['weeks'].nunique(), 'time')}"
    text = f"All visits of {plural(part.n_trials, 'trial')} together give {size}. "
    if curve == "constant":
        text += (
            "They do not carry a course for each type, as most types were measured at too few "
            "different weeks. So each type has one effect here, the same at all weeks between the "
            "first and the last at which it was measured."
        )
        return Answer(text, _at_all_weeks(found))
    return Answer(text + "Each type has a level and a slope over the weeks.", _at(found, weeks))


def _at_all_weeks(found: NetworkCourse) -> pd.DataFrame:
    ends = {name: dict.fromkeys(found.studied[name]) for name in found.treatments}
    spans = {name: " to ".join(f"{week:g}" for week in own) for name, own in ends.items()}
    table = pd.concat([found.effects(found.studied[n][0]).loc[[n]] for n in found.treatments])
    table = table.assign(weeks=pd.Series(spans)).rename_axis("group").reset_index()
    table = table.sort_values("estimate", ascending=found.lower_is_better, ignore_index=True)
    return table[["group", "weeks", *COLUMNS]]


def _at(found: NetworkCourse, weeks: tuple[float, ...]) -> pd.DataFrame:
    rows = []
    for week in weeks:
        try:
            own = found.effects(week).rename_axis("group").reset_index()
        except CannotEstimate:
            continue
        rows.append(own.assign(weeks=f"{week:g}"))
    table = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()
    return table.reindex(columns=["group", "weeks", *COLUMNS])


def _course(effects: Effects, **options: Any) -> tuple[NetworkCourse, str]:
    """A level and a slope for each type; where the trials do not carry that, a level."""
    try:
        return network_course(effects, curve="step + linear", **options), "step + linear"
    except CannotEstimate:
        return network_course(effects, curve="constant", **options), "constant"


MODERATORS = {
    "baseline": ("Baseline, per 10 points", 10.0),
    "year": ("Year, per 10 years", 10.0),
    "mean_age": ("Mean age, per 10 years", 10.0),
    "good": ("Appraised as of good quality, against not", 1.0),
}
"""What the effect may change with, and by how many units."""


def by_moderator(
    effects: Effects,
    evidence: Evidence,
    *,
    good: Mapping[object, bool | None],
    lump: Mapping[str, str],
    reference: str = "inactive",
) -> Answer:
    """Whether effects against the reference change with what trials differ in.

    One change for all treatments (`network_regression`, interaction "common"), a moderator at a
    time, among the trials that report it.

    Parameters
    ----------
    effects : Effects
    evidence : Evidence
    good : mapping of trial to bool or None
        Whether a trial is appraised as of good quality.
    lump, reference
        Of the network.

    Returns
    -------
    Answer
        Table: `moderator, trials` and the change with its interval, `note`.
    """
    known = _moderators(effects, evidence, good)
    rows = []
    for name, (label, unit) in MODERATORS.items():
        own = replace(effects, table=effects.table.assign(moderator=known[name] / unit))
        own = own.select(known[name].notna(), "moderator not reported")
        row: dict[str, object] = {"moderator": label, "trials": own.n_trials}
        try:
            part = connected_part(own, reference, lump=lump)
            row["trials"] = part.n_trials
            found = network_regression(part, "moderator", reference=reference, lump=lump)
            interval = found.conf_int().loc["moderator"]
            row |= {"estimate": found.params["moderator"], **interval, "note": ""}
            row["p_value"] = found.pvalues["moderator"]
        except CannotEstimate:
            row |= {"note": "too few trials report it, or they are too alike in it"}
        rows.append(row)
    table = pd.DataFrame(rows, columns=["moderator", "trials", *COLUMNS, "p_value", "note"])
    return Answer(_moderators_in_words(table), table)


def _moderators(
    effects: Effects, evidence: Evidence, good: Mapping[object, bool | None]
) -> pd.DataFrame:
    """A row a contrast: the values of its trial."""
    trial = effects.table["trial_id"]
    facts = evidence.trials.set_index("trial_id")
    return pd.DataFrame(
        {
            "baseline": trial.map(baselines(evidence, effects.outcome)),
            "year": trial.map(facts["year"]).astype(float),
            "mean_age": trial.map(facts["mean_age"]).astype(float),
            "good": trial.map({name: found for name, found in good.items() if found is not None}),
        },
        index=effects.table.index,
    ).astype(float)


def _moderators_in_words(table: pd.DataFrame) -> str:
    told = table[table["estimate"].notna()]
    if told.empty:
        return "The trials do not carry any of these questions."
    clear = told[told["p_value"] < 2 * ONE_SIDED / len(told)]
    asked = f"Of {plural(len(told), 'moderator')} that could be asked"
    caution = "Trials were not randomised to any of them."
    if clear.empty:
        return f"{asked}, none clearly changes the effects (P adjusted for their number). {caution}"
    listed = "; ".join(
        f"{row.moderator[0].lower()}{row.moderator[1:]}: {number(row.estimate, 1)} "
        f"({number(row.ci_low, 1)} to {number(row.ci_high, 1)})"
        for row in clear.itertuples()
    )
    return f"{asked}, these change the effects (P adjusted for their number): {listed}. {caution}"
