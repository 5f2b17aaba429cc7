"""Claims on who, how hard and with what else: C20, C21, C23-C26."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from backpain_analysis.effects import Effects
from backpain_analysis.effects.settings import (
    ALONE,
    WITH,
    with_co_intervention,
    with_intensity,
)
from backpain_analysis.evidence import BACK_PAIN
from backpain_analysis.evidence.scales import mcid
from backpain_analysis.models.certainty import Body
from backpain_analysis.models.claims.context import UNITS, Context
from backpain_analysis.models.claims.part import Part, judged, untestable
from backpain_analysis.models.meta_regression import meta_regression
from backpain_analysis.models.mixed import ConvergenceError
from backpain_analysis.models.moderation import FEWEST_TRIALS, baseline
from backpain_analysis.models.sentences import outcome_words, plural

BOTH = ("pain_intensity", "disability")
ECOLOGICAL = "compared between trials: not what a person's own age or pain would do"


def intensity(context: Context) -> list[Part]:
    """C20: low against high intensity where a report's own words say which."""
    what = "low against high intensity, pain"
    pair = ("low intensity", "high intensity")
    return [_settings(context, "pain_intensity", with_intensity, pair, what)]


def combined(context: Context) -> list[Part]:
    """C21: with a recorded co-intervention against without one."""
    what = "exercise with a co-intervention against exercise alone"
    return [
        _settings(context, o, with_co_intervention, (WITH, ALONE), f"{what}, {outcome_words(o)}")
        for o in BOTH
    ]


def _settings(
    context: Context,
    outcome: str,
    add: Callable[[Effects, pd.DataFrame], Effects],
    pair: tuple[str, str],
    what: str,
) -> Part:
    effects = context.effects(outcome, every=True)
    known = effects and add(effects, context.evidence.arms)
    if not known:
        return untestable(what, "no usable result")
    found = context.network_of(known, "none", "setting")
    return context.of_network(found, outcome, *pair, "difference", what)


def people(context: Context) -> list[Part]:
    """C23: mean age of a trial, per ten years; baseline pain, per ten points."""
    ages = context.evidence.trials.set_index("trial_id")["mean_age"].astype(float) / 10
    pain = baseline(context.evidence, "pain_intensity") / 10
    return [
        _slope(context, "pain_intensity", ages, "ten years older, effect on pain"),
        _slope(context, "disability", ages, "ten years older, effect on disability"),
        _slope(
            context, "pain_intensity", pain, "ten points more pain at the start, effect on pain"
        ),
    ]


def _slope(context: Context, outcome: str, moderator: pd.Series, what: str) -> Part:
    effects = context.effects(outcome)
    kept = None if effects is None else effects.against_inactive().one_per_trial()
    if kept is None:
        return untestable(what, "no usable result")
    table = kept.table.assign(x=kept.table["trial_id"].map(moderator).astype(float))
    known = table.dropna(subset=["x"])
    if len(known) < FEWEST_TRIALS or known["x"].nunique() < 3:
        return untestable(what, f"reported by {plural(len(known), 'trial')}, too few")
    return _regression(context, known, outcome, "x", what, kept.measure, (ECOLOGICAL,))


def _regression(
    context: Context,
    table: pd.DataFrame,
    outcome: str,
    column: str,
    what: str,
    measure: str,
    indirect: tuple[str, ...],
) -> Part:
    try:
        fitted = meta_regression(f"yi ~ {column}", table)
    except (ValueError, ConvergenceError) as fault:
        return untestable(what, str(fault).split(":")[0])
    name = fitted.params.index[-1]
    low, high = fitted.conf_int().loc[name]
    names = set(table["trial_id"])
    body = Body(
        estimate=fitted.params[name],
        ci_low=low,
        ci_high=high,
        n_trials=len(names),
        n_participants=int(np.nansum(table[["n_arm", "n_ref"]].to_numpy(float))),
        appraised_good=len(names & context.appraised),
        indirect=indirect,
    )
    sign = 1 if body.estimate > 0 else -1
    return judged(what, body, UNITS[measure], outcome, rule="difference", benefit=sign)


def lifestyle(context: Context) -> list[Part]:
    """C24."""
    why = "reports of trials do not relate them to the effect; that needs participants' own data"
    return [untestable(f"{word} as a moderator", why) for word in ("smoking", "sitting")]


def acute(context: Context) -> list[Part]:
    """C25: acute against chronic trials."""
    what = "acute against chronic pain, effect on pain"
    effects = context.effects("pain_intensity")
    kept = None if effects is None else effects.against_inactive().one_per_trial()
    if kept is None:
        return [untestable(what, "no usable result")]
    table = kept.table[kept.table["population"].isin(["acute_lbp", "chronic_nslbp"])]
    table = table.assign(acute=(table["population"] == "acute_lbp").astype(float))
    if table["acute"].nunique() < 2:
        return [untestable(what, "only one of the two populations has usable trials")]
    few = int(table["acute"].sum())
    note = (f"{plural(few, 'trial')} of acute pain; compared between trials",)
    return [_regression(context, table, "pain_intensity", "acute", what, kept.measure, note)]


def neck(context: Context) -> list[Part]:
    """C26: neck pain beside back pain; takes evidence with both populations."""
    effects = context.effects("pain_intensity")
    what = "exercise against no exercise, pain, neck pain"
    other = "neck against back pain, effect on pain"
    if effects is None or not (effects.table["population"] == "neck_pain").any():
        return [untestable(what, "no usable trial of neck pain")]
    only = effects.select(effects.table["population"] == "neck_pain", "not neck pain")
    kept = effects.against_inactive().one_per_trial()
    table = kept.table[kept.table["population"].isin([*BACK_PAIN, "neck_pain"])]
    table = table.assign(neck=(table["population"] == "neck_pain").astype(float))
    part = _regression(
        context, table, "pain_intensity", "neck", other, kept.measure, ("compared between trials",)
    )
    if part.body is not None:
        part = judged(
            other,
            part.body,
            part.unit,
            "pain_intensity",
            rule="equivalence",
            margin=mcid("pain_intensity"),
        )
    return [context.pooled(only, "pain_intensity", what), part]
