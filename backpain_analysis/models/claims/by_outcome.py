"""Claims on outcomes other than pain: C05, C07-C13, C27."""

from __future__ import annotations

import numpy as np
import pandas as pd

from backpain_analysis.models.certainty import Body
from backpain_analysis.models.claims.context import Context
from backpain_analysis.models.claims.part import HAZARD_RATIO, Part, judged, untestable
from backpain_analysis.models.dose_response import dose_response
from backpain_analysis.models.mixed import ConvergenceError
from backpain_analysis.models.pooling import pool
from backpain_analysis.models.results import quantile
from backpain_analysis.models.sentences import outcome_words

MORE_MINUTES = 30.0


def function(context: Context) -> list[Part]:
    """C05."""
    effects = context.effects("disability")
    what = "exercise against no exercise, disability"
    return [context.pooled(effects, "disability", what), _more_minutes(context)]


def _more_minutes(context: Context) -> Part:
    """What thirty more minutes a week do to disability, on a straight line."""
    what = f"{MORE_MINUTES:.0f} more minutes a week, disability"
    effects = context.effects("disability")
    if effects is None:
        return untestable(what, "no usable result")
    try:
        line = dose_response(effects, dose="minutes_per_week", curve="linear")
    except (ValueError, ConvergenceError) as fault:
        return untestable(what, str(fault).split(":")[0])
    slope = MORE_MINUTES * line.params.iloc[0]
    low, high = MORE_MINUTES * line.conf_int().iloc[0]
    entered = set(line.points["trial_id"])
    body = Body(
        estimate=slope,
        ci_low=low,
        ci_high=high,
        n_trials=len(entered),
        n_participants=line.n_participants,
        appraised_good=len(entered & context.appraised),
        indirect=("most doses are compared between trials, not within them",),
    )
    return judged(what, body, "points of 100", "disability", rule="difference")


def _standardised(context: Context, *outcomes: str) -> list[Part]:
    return [
        context.pooled(
            context.effects(outcome, "SMD"),
            outcome,
            f"exercise against no exercise, {outcome_words(outcome)}",
        )
        for outcome in outcomes
    ]


def strength(context: Context) -> list[Part]:
    """C07."""
    return _standardised(context, "trunk_strength", "trunk_endurance")


def flexibility(context: Context) -> list[Part]:
    """C08."""
    return _standardised(context, "flexibility_rom")


def stability(context: Context) -> list[Part]:
    """C09."""
    return _standardised(context, "balance_stability")


def posture(context: Context) -> list[Part]:
    """C10."""
    what = "exercise against no exercise, posture"
    return [unharmonised(context, what, "posture", "postur")]


def mechanism(context: Context) -> list[Part]:
    """C27."""
    asked = {
        "endorphins": "endorphin",
        "cortisol": "cortisol",
        "blood flow": "blood flow|perfusion",
        "inflammation": r"inflamm|cytokine|interleukin|\bIL-?\d|\bCRP\b|\bTNF",
    }
    return [
        unharmonised(context, f"exercise against no exercise, {word}", word, pattern)
        for word, pattern in asked.items()
    ]


def unharmonised(context: Context, what: str, word: str, pattern: str) -> Part:
    """An outcome without a scale of ours: looked for by its words in every table of results."""
    tables = (context.evidence.outcomes, context.evidence.contrasts)
    texts = pd.concat([table[c] for table in tables for c in ("outcome", "instrument_text")])
    found = texts.astype(str).str.contains(pattern, case=False).any()
    return untestable(what, f"{word} is not harmonised" if found else f"no trial measured {word}")


def quality_of_life(context: Context) -> list[Part]:
    """C11."""
    return _standardised(context, "quality_of_life")


def mood(context: Context) -> list[Part]:
    """C12."""
    return _standardised(context, "depression_anxiety")


def recurrence(context: Context) -> list[Part]:
    """C13: hazard ratios of exercise against no exercise, the first of each trial."""
    what = "exercise against no exercise, hazard of a new episode"
    evidence = context.evidence
    table = evidence.contrasts
    table = table[(table["outcome"] == "recurrence") & (table["effect_measure"] == "hr")]
    table = table.dropna(subset=["estimate", "ci_low", "ci_high"])
    inactive = evidence.arms[evidence.arms["exercise_type"] == "none"]
    keys = set(zip(inactive["trial_id"], inactive["arm_id"], strict=True))
    against = [key in keys for key in zip(table["trial_id"], table["ref_arm_id"], strict=True)]
    table = table[against].drop_duplicates("trial_id")
    if table.empty:
        return [untestable(what, "no trial with a hazard ratio and its interval")]
    y = np.log(table["estimate"].to_numpy(float))
    width = np.log(table["ci_high"].to_numpy(float)) - np.log(table["ci_low"].to_numpy(float))
    result = pool(y, (width / (2 * quantile(0.95, np.inf))) ** 2, test="z")
    trials = evidence.trials.set_index("trial_id").loc[table["trial_id"]]
    body = context.body(
        result, table["trial_id"], int(trials["n_randomised"].fillna(0).sum()), "recurrence"
    )
    healthy = trials["population"].eq("healthy").any()
    if healthy:
        why = "one trial is of people without back pain at the start"
        body = Body(**{**vars(body), "indirect": (why,)})
    return [judged(what, body, HAZARD_RATIO, "recurrence")]
