"""How each claim is tested: one function a claim, C01 to C27."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd

from backpain_analysis.answers.certainty import Body, certainty
from backpain_analysis.answers.claim_parts import (
    HAZARD_RATIO,
    UNITS,
    Context,
    Part,
    judged,
    untestable,
)
from backpain_analysis.answers.moderation import FEWEST_TRIALS, baseline
from backpain_analysis.answers.verdicts import verdict_on_wait
from backpain_analysis.effects.over_time import effects_over_time
from backpain_analysis.effects.sensitivity import BOUT, CONTROL, PROGRAMME, sensitivity_changes
from backpain_analysis.effects.table import Effects
from backpain_analysis.effects.treatments import (
    ALONE,
    WITH,
    with_co_intervention,
    with_intensity,
    with_supervision,
)
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.evidence.evidence import BACK_PAIN
from backpain_analysis.evidence.scales import mcid
from backpain_analysis.models.dose.fit import dose_response
from backpain_analysis.models.dose.result import DoseResponseResult
from backpain_analysis.models.pairwise.meta_regression import meta_regression
from backpain_analysis.models.pairwise.pooling import pool
from backpain_analysis.models.results import quantile
from backpain_analysis.models.time.course import TimeCourseResult, time_course
from backpain_analysis.words import benefit_sign, number, outcome_words, plural

BOTH = ("pain_intensity", "disability")

NO_EXERCISE = "no exercise"


def aerobic(context: Context) -> list[Part]:
    """C01."""
    words = ("aerobic exercise", NO_EXERCISE)
    return [context.compared("pain_intensity", "aerobic", lump="broad", words=words)]


def resistance(context: Context) -> list[Part]:
    """C02."""
    words = ("resistance exercise", NO_EXERCISE)
    return [context.compared(o, "resistance", lump="families", words=words) for o in BOTH]


def stretching(context: Context) -> list[Part]:
    """C03."""
    words = ("stretching", NO_EXERCISE)
    effects = context.effects("flexibility_rom", "SMD")
    only = effects and effects.select(
        effects.table["exercise_type"].str.startswith("stretching"), "not stretching"
    )
    return [
        context.compared("pain_intensity", "stretching", lump="families", words=words),
        context.pooled(only, "flexibility_rom", "stretching against no exercise, flexibility"),
    ]


def core(context: Context) -> list[Part]:
    """C04."""
    name, words = "core_motor_control", "core and motor-control exercise"
    effects = context.effects("balance_stability", "SMD")
    only = effects and effects.select(
        effects.table["exercise_type"].isin(["core_stabilisation", "motor_control"]), "not core"
    )
    return [
        *(context.compared(o, name, lump="families", words=(words, NO_EXERCISE)) for o in BOTH),
        *(
            context.compared(
                o,
                name,
                "general_mixed",
                lump="families",
                rule="difference",
                words=(words, "general exercise"),
            )
            for o in BOTH
        ),
        context.pooled(only, "balance_stability", f"{words} against no exercise, balance"),
    ]


def low_impact(context: Context) -> list[Part]:
    """C14."""
    words = ("low-impact aerobic exercise", "other exercise")
    return [
        context.compared(
            o,
            "low_impact_aerobic",
            "other_exercise",
            lump="impact",
            rule="difference",
            words=words,
        )
        for o in BOTH
    ]


def other_types(context: Context) -> list[Part]:
    """C15: three types against no exercise, and "done properly" read as supervised."""
    types = {"yoga": "yoga", "pilates": "Pilates", "resistance": "resistance exercise"}
    parts = [
        context.compared(o, name, lump="families", words=(words, NO_EXERCISE))
        for o in BOTH
        for name, words in types.items()
    ]
    for outcome in BOTH:
        effects = context.effects(outcome, every=True)
        what = f"supervised against unsupervised exercise, {outcome.replace('_intensity', '')}"
        if effects is None:
            parts.append(untestable(what, "no usable result"))
            continue
        known = with_supervision(effects, context.evidence.arms)
        found = context.network_of(known, "none", "setting")
        parts.append(
            context.of_network(found, outcome, "supervised", "unsupervised", "difference", what)
        )
    return parts


def high_impact(context: Context) -> list[Part]:
    """C19: it would worsen pain if low impact did better."""
    return [
        context.compared(
            "pain_intensity",
            "low_impact_aerobic",
            "high_impact_aerobic",
            lump="impact",
            rule="difference",
            words=("low-impact aerobic exercise", "running"),
        )
    ]


def static_or_dynamic(context: Context) -> list[Part]:
    """C22."""
    words = ("dynamic stretching", "static stretching")
    effects = context.effects("flexibility_rom", "SMD", every=True)
    found = "no usable result" if effects is None else context.network_of(effects, "types")
    what = f"{words[0]} against {words[1]}"
    pair = ("stretching_dynamic", "stretching_static")
    return [
        context.compared("pain_intensity", *pair, lump="types", rule="difference", words=words),
        context.of_network(found, "flexibility_rom", *pair, "difference", f"{what}, flexibility"),
    ]


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
    except CannotEstimate as fault:
        return untestable(what, fault.reason)
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


MEASURED = {
    "temporal_summation": "temporal summation",
    "conditioned_pain_modulation": "conditioned pain modulation",
}


def sensitivity(context: Context) -> list[Part]:
    """C06: thresholds against no exercise, after a bout and after a programme."""
    changes, _ = sensitivity_changes(context.evidence)
    changes = changes[changes["comparison"] == CONTROL].dropna(subset=["yi_kpa"])
    parts = []
    for setting in (BOUT, PROGRAMME):
        what = f"{setting} against no exercise, pressure pain threshold"
        own = changes[changes["setting"] == setting].drop_duplicates("trial_id")
        if own.empty:
            parts.append(untestable(what, "no trial with a usable result"))
            continue
        result = pool(own["yi_kpa"], own["vi_kpa"], test="z")
        body = context.body(result, own["trial_id"], int(own["n"].sum()), "")
        parts.append(judged(what, body, "kPa", "pressure_pain_threshold"))
    measured = set(context.evidence.outcomes["outcome"].astype(str))
    measured |= set(context.evidence.contrasts["outcome"].astype(str))
    for outcome, words in MEASURED.items():
        why = "no usable result" if outcome in measured else "no trial measured it"
        parts.append(untestable(f"exercise against no exercise, {words}", why))
    return parts


GUIDELINE_MINUTES = 150.0
"""World Health Organization 2020: at least 150 minutes of moderate exercise a week."""

SPREAD_MINUTES = 150.0

MOST = 0.9

PATIENCE = 4.0
"""Weeks that a patient may expect to wait."""

HALF_YEAR = 6
"""Months."""

BETWEEN_TRIALS = "most doses are compared between trials, not within them"


def guideline(context: Context) -> list[Part]:
    """C16."""
    return [_fitted(context, outcome, _at_guideline) for outcome in BOTH]


def spread(context: Context) -> list[Part]:
    """C17."""
    return [_fitted(context, outcome, _per_session) for outcome in BOTH]


def _fitted(
    context: Context, outcome: str, ask: Callable[[Context, str, str, object], Part]
) -> Part:
    words = {
        _at_guideline: f"{GUIDELINE_MINUTES:.0f} minutes a week against none",
        _per_session: f"{SPREAD_MINUTES:.0f} minutes a week in three sessions instead of one",
    }
    what = f"{words[ask]}, {outcome_words(outcome)}"
    effects = context.effects(outcome)
    if effects is None:
        return untestable(what, "no usable result")
    try:
        return ask(context, outcome, what, effects)
    except CannotEstimate as fault:
        return untestable(what, fault.reason)


def _at_guideline(context: Context, outcome: str, what: str, effects) -> Part:
    """The spline's effect at 150 minutes, and which dose first reaches the MCID."""
    curve = dose_response(effects, dose="minutes_per_week", curve="rcs")
    row = curve.predict([GUIDELINE_MINUTES]).iloc[0]
    indirect = [BETWEEN_TRIALS]
    if curve.max_dose < GUIDELINE_MINUTES:
        indirect.append(f"no trial went beyond {curve.max_dose:.0f} minutes a week")
    threshold = mcid(outcome)
    if threshold and effects.measure == "MD":
        sign = benefit_sign(outcome)
        reach = curve.dose_for(sign * threshold)
        at = f"first at {number(reach.estimate, 0)} minutes" if reach.reached else "at no dose"
        what += f" (the MCID is reached {at})"
    body = Body(
        **row[["estimate", "ci_low", "ci_high", "pi_low", "pi_high"]],
        **_size(context, curve),
        mcid=threshold,
        indirect=tuple(indirect),
    )
    return judged(what, body, UNITS[effects.measure], outcome)


def _per_session(context: Context, outcome: str, what: str, effects) -> Part:
    """Three sessions against one at equal weekly minutes, by the interaction of both doses."""
    known = effects.with_dose("minutes_per_week")
    known = known.select(known.table["sessions_per_week"].notna(), "sessions not reported")
    line = dose_response(known, curve="linear", moderators="sessions_per_week")
    name = line.params.index[-1]
    shift = 2 * SPREAD_MINUTES
    half = quantile(line.level, line.df) * line.bse[name]
    body = Body(
        estimate=shift * line.params[name],
        ci_low=shift * (line.params[name] - half),
        ci_high=shift * (line.params[name] + half),
        **_size(context, line),
        mcid=mcid(outcome),
        indirect=(BETWEEN_TRIALS,),
    )
    margin = mcid(outcome)
    return judged(what, body, UNITS[known.measure], outcome, rule="equivalence", margin=margin)


def _size(context: Context, curve: DoseResponseResult) -> dict[str, int]:
    entered = set(curve.points["trial_id"])
    return {
        "n_trials": len(entered),
        "n_participants": curve.n_participants,
        "appraised_good": len(entered & context.appraised),
    }


def time_to_effect(context: Context) -> list[Part]:
    """C18: weeks to most of the effect, and its change in the half year after the programme."""
    return [part for outcome in BOTH for part in _over_time(context, outcome)]


def _over_time(context: Context, outcome: str) -> list[Part]:
    words = outcome_words(outcome)
    wait = f"weeks until {MOST:.0%} of the effect, {words}"
    after = f"change in the {HALF_YEAR} months after the programme, {words}"
    try:
        course = time_course(effects_over_time(context.evidence, outcome))
    except CannotEstimate as fault:
        why = fault.reason
        return [untestable(wait, why), untestable(after, why)]
    trials = set(course.effects.table["trial_id"])
    size = {
        "n_trials": len(trials),
        "n_participants": course.n_participants,
        "appraised_good": len(trials & context.appraised),
        "indirect": ("most follow-ups are compared between trials",),
    }
    return [_wait(course, wait, size), _change(course, after, outcome, size)]


def _wait(course: TimeCourseResult, what: str, size: dict) -> Part:
    found = course.weeks_to(MOST)
    if not math.isfinite(found.estimate):
        return untestable(what, found.note)
    body = Body(found.estimate, found.ci_low, found.ci_high, **size)
    graded = certainty(body)
    interval = (found.ci_low, found.ci_high, found.estimate)
    verdict, reason = verdict_on_wait(*interval, PATIENCE, graded.level)
    return Part(what, body, "weeks", graded, verdict, reason)


def _change(course: TimeCourseResult, what: str, outcome: str, size: dict) -> Part:
    """Small change is what "it lasts" means: equivalence with the MCID as margin."""
    try:
        month = course.durability().change.loc["all trials"]
    except CannotEstimate as fault:
        return untestable(what, fault.reason)
    numbers = (HALF_YEAR * month[["estimate", "ci_low", "ci_high"]]).to_numpy(dtype=float)
    body = Body(*numbers, **size, mcid=mcid(outcome))
    unit = UNITS[course.effects.measure]
    return judged(what, body, unit, outcome, rule="equivalence", margin=mcid(outcome))


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
    except CannotEstimate as fault:
        return untestable(what, fault.reason)
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
