"""How each claim is tested: one function a claim, named at the end.

The part that decides on a claim is named in `data/claims.csv`, column `primary`; the others are
shown beside it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from backpain_analysis.answers.certainty import NOT_GRADED, Body, Certainty, certainty
from backpain_analysis.answers.claim_parts import (
    HAZARD_RATIO,
    QUARTER,
    UNITS,
    Context,
    Part,
    judged,
    network_of,
    untestable,
)
from backpain_analysis.answers.dose import more_of
from backpain_analysis.answers.dose_questions import spread_model
from backpain_analysis.answers.sentences import not_without
from backpain_analysis.answers.telling import named
from backpain_analysis.answers.verdicts import (
    AGAINST,
    INCONCLUSIVE,
    verdict_on_guideline,
    verdict_on_moderator,
    verdict_on_wait,
)
from backpain_analysis.datasets.bundled import load_reference
from backpain_analysis.effects.over_time import effects_over_time
from backpain_analysis.effects.sensitivity import BOUT, CONTROL, PROGRAMME, sensitivity_changes
from backpain_analysis.effects.table import Effects
from backpain_analysis.effects.treatments import lumping
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.evidence.evidence import BACK_PAIN
from backpain_analysis.evidence.scales import mcid
from backpain_analysis.models.pairwise.meta_regression import meta_regression
from backpain_analysis.models.pairwise.pooling import fitting_test, pool
from backpain_analysis.models.results import quantile
from backpain_analysis.models.time.course import TimeCourseResult, time_course
from backpain_analysis.words import (
    benefit_sign,
    number,
    outcome_words,
    plural,
    population_label,
)

BOTH = ("pain_intensity", "disability")

NO_EXERCISE = "no exercise"


def aerobic(context: Context) -> list[Part]:
    """C01."""
    words = ("aerobic exercise", NO_EXERCISE)
    return [context.compared("pain_intensity", "aerobic", lump="families", words=words)]


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


NAMED_TYPES = {"yoga": "yoga", "pilates": "Pilates", "resistance": "resistance exercise"}


def other_types(context: Context) -> list[Part]:
    """C15: the named types together and apart, and "done properly" read as supervised."""
    return [
        *(_named_together(context, outcome) for outcome in BOTH),
        *(
            context.compared(o, name, lump="families", words=(words, NO_EXERCISE))
            for o in BOTH
            for name, words in NAMED_TYPES.items()
        ),
        *(moderator(context, o, "Supervised instead of unsupervised", "better") for o in BOTH),
    ]


def _named_together(context: Context, outcome: str) -> Part:
    what = f"yoga, Pilates or resistance exercise against {NO_EXERCISE}, {outcome_words(outcome)}"
    effects = context.effects(outcome, every=True)
    if effects is None:
        return untestable(what, "no usable result")
    lump = lumping("families", dict.fromkeys(NAMED_TYPES, "named"))
    found = network_of(effects, lump)
    return context.of_network(found, outcome, "named", "inactive", "benefit", what)


def moderator(context: Context, outcome: str, name: str, direction: str) -> Part:
    """A row of the moderators' page: the same estimate, and P adjusted for all that were asked.

    Parameters
    ----------
    context : Context
    outcome : str
    name : str
        As in `Moderation.table`.
    direction : {"better", "worse", "either"}
        What the claim says of the first named, or of more.
    """
    what = f"{name[0].lower()}{name[1:]}, effect on {outcome_words(outcome)}"
    found = context.moderation(outcome)
    row = found.table.set_index("moderator").loc[name]
    if not math.isfinite(row["estimate"]):
        return untestable(what, row["note"])
    sign = {"better": benefit_sign(outcome), "worse": -benefit_sign(outcome), "either": None}
    between = "compared between trials, which differ in much else"
    body = Body(
        estimate=row["estimate"],
        ci_low=row["ci_low"],
        ci_high=row["ci_high"],
        **context.size(found.trials[name], found.participants(name)),
        indirect=() if row["note"] and not row["note"].startswith("0 trials") else (between,),
    )
    asked = int(found.table["p_value"].notna().sum())
    verdict, reason = verdict_on_moderator(
        body.ci_low, body.ci_high, body.estimate, row["p_holm"], asked, sign[direction]
    )
    names = tuple(sorted(found.trials[name]))
    unit = UNITS[found.measure]
    return Part(what, body, unit, certainty(body), verdict, reason, names)


def high_impact(context: Context) -> list[Part]:
    """C19: it would worsen pain if runners had more of it than people without exercise."""
    effects = context.effects("pain_intensity")
    running = effects and effects.select(
        effects.table["exercise_type"] == "aerobic_running", "not running"
    )
    what = f"running against {NO_EXERCISE}, pain"
    part = context.pooled(running, "pain_intensity", what, benefit=-benefit_sign("pain_intensity"))
    if part.verdict == AGAINST:
        part = replace(part, reason="running lowered pain")
    name = "Running instead of low-impact aerobic"
    return [part, moderator(context, "pain_intensity", name, "worse")]


def static_or_dynamic(context: Context) -> list[Part]:
    """C22: more range of motion with dynamic stretching; as little pain with either."""
    words = ("dynamic stretching", "static stretching")
    effects = context.effects("flexibility_rom", "SMD", every=True)
    found = "no usable result" if effects is None else network_of(effects, lumping("types"))
    what = f"{words[0]} against {words[1]}"
    pair = ("stretching_dynamic", "stretching_static")
    return [
        context.of_network(found, "flexibility_rom", *pair, "difference", f"{what}, flexibility"),
        context.compared("pain_intensity", *pair, lump="types", rule="equivalence", words=words),
    ]


def function(context: Context) -> list[Part]:
    """C05."""
    return [context.key("disability", "MD"), _more_minutes(context)]


def _more_minutes(context: Context) -> Part:
    """What more minutes a week do to disability among those who exercise."""
    words = outcome_words("disability")
    answer = context.dose("disability")
    if isinstance(answer, str):
        return untestable(f"more minutes a week, {words}", answer)
    what = f"{more_of(answer)} among those who exercise, {words}"
    if answer.slope is None:
        return untestable(what, answer.reason)
    body = Body(
        estimate=answer.slope.estimate,
        ci_low=answer.slope.ci_low,
        ci_high=answer.slope.ci_high,
        **context.size(answer.trials, answer.n_participants),
        indirect=() if answer.direct else (BETWEEN_TRIALS,),
    )
    sign = benefit_sign("disability")
    part = judged(what, body, UNITS["MD"], sign, rule="difference", trials=answer.trials)
    if answer.slope.clear and not answer.supported:
        reason = "a line is clear, but curves without a dose fit as well"
        return replace(part, verdict=INCONCLUSIVE, reason=reason)
    return part


def _standardised(context: Context, *outcomes: str) -> list[Part]:
    return [context.key(outcome, "SMD") for outcome in outcomes]


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
    """C13: hazard ratios against no exercise, all of a trial's; shares of people beside them."""
    return [_hazard(context), _shares(context)]


SAME_PEOPLE = 0.5
"""Assumed correlation of hazard ratios of one trial, which are of the same people."""


def _hazard(context: Context) -> Part:
    what = f"exercise against {NO_EXERCISE}, hazard of a new episode"
    evidence = context.evidence
    table = evidence.contrasts
    table = table[(table["outcome"] == "recurrence") & (table["effect_measure"] == "hr")]
    table = table.dropna(subset=["estimate", "ci_low", "ci_high"])
    inactive = evidence.arms[evidence.arms["exercise_type"] == "none"]
    keys = set(zip(inactive["trial_id"], inactive["arm_id"], strict=True))
    against = [key in keys for key in zip(table["trial_id"], table["ref_arm_id"], strict=True)]
    table = table[against]
    if table.empty:
        return untestable(what, "no trial with a hazard ratio and its interval")
    width = np.log(table["ci_high"].astype(float)) - np.log(table["ci_low"].astype(float))
    spread = quantile(0.95, np.inf) * 2
    logs = table.assign(yi=np.log(table["estimate"].astype(float)), se=width / spread)
    by_trial = logs.groupby("trial_id", sort=False)
    y = by_trial["yi"].mean()
    m = by_trial.size()
    squares = by_trial["se"].apply(lambda se: float((se**2).sum()))
    crossed = by_trial["se"].sum() ** 2 - squares
    v = (squares + SAME_PEOPLE * crossed) / m**2
    result = pool(y.to_numpy(), v.to_numpy(), test=fitting_test(len(y)))
    trials = evidence.trials.set_index("trial_id").loc[y.index]
    people = int(trials["n_randomised"].fillna(0).sum())
    body = replace(
        context.body(result, y.index, people), mcid=QUARTER, indirect=others(trials["population"])
    )
    part = judged(what, body, HAZARD_RATIO, benefit_sign("recurrence"), trials=y.index)
    return _with_people(part)


def _shares(context: Context) -> Part:
    """Shares of people with a recurrence where no arm size, so no interval, is printed."""
    what = f"exercise against {NO_EXERCISE}, share of people with a new episode"
    rows = context.evidence.outcomes
    rows = rows[(rows["outcome"] == "recurrence") & rows["mean"].notna()]
    arms = context.evidence.arms.set_index(["trial_id", "arm_id"])["exercise_type"]
    said = []
    for trial, own in rows.groupby("trial_id", sort=False):
        first = own.groupby("arm_id", sort=False)["mean"].first()
        without = [arms[(trial, arm)] == "none" for arm in first.index]
        if sorted(without) == [False, True]:
            exercise, none = first.iloc[without.index(False)], first.iloc[without.index(True)]
            shares = f"{number(exercise, 0)}% against {number(none, 0)}%"
            said.append(f"{context.name(trial)} {shares}")
    if not said:
        return untestable(what, "no trial prints it")
    return untestable(what, f"{', '.join(said)}; without arm sizes there is no interval")


def others(populations: pd.Series) -> tuple[str, ...]:
    """How many trials are not of people with back pain, by who they are of."""
    counts = Counter(name for name in populations.astype(str) if name not in BACK_PAIN)
    words = {"healthy": "people without pain", "neck_pain": "neck pain"}
    return tuple(
        f"{plural(count, 'trial')} of {words.get(name, population_label(name).lower())}"
        for name, count in sorted(counts.items())
    )


def _with_people(part: Part) -> Part:
    """A part that says in its sentence whom else its trials are of."""
    if part.body is None or not part.body.indirect:
        return part
    return replace(part, reason=f"{part.reason} ({', '.join(part.body.indirect)})")


MEASURED = {
    "temporal_summation": "temporal summation",
    "conditioned_pain_modulation": "conditioned pain modulation",
}


def sensitivity(context: Context) -> list[Part]:
    """C06: thresholds against no exercise, after a programme and after a bout."""
    changes, _ = sensitivity_changes(context.evidence)
    changes = changes[changes["comparison"] == CONTROL].dropna(subset=["yi_kpa"])
    populations = context.evidence.trials.set_index("trial_id")["population"]
    parts = []
    for setting in (PROGRAMME, BOUT):
        what = f"{setting} against {NO_EXERCISE}, pressure pain threshold"
        own = changes[changes["setting"] == setting].drop_duplicates("trial_id")
        if own.empty:
            parts.append(untestable(what, "no trial with a usable result"))
            continue
        result = pool(own["yi_kpa"], own["vi_kpa"], test=fitting_test(len(own)))
        body = replace(
            context.body(result, own["trial_id"], int(own["n"].sum())),
            indirect=others(populations.loc[own["trial_id"]]),
        )
        sign = benefit_sign("pressure_pain_threshold")
        parts.append(_with_people(judged(what, body, "kPa", sign, trials=own["trial_id"])))
    measured = set(context.evidence.outcomes["outcome"].astype(str))
    measured |= set(context.evidence.contrasts["outcome"].astype(str))
    for outcome, words in MEASURED.items():
        why = "no usable result" if outcome in measured else "no trial measured it"
        parts.append(untestable(f"exercise against {NO_EXERCISE}, {words}", why))
    return parts


GUIDELINE_MINUTES = 150.0
"""World Health Organization 2020: at least 150 minutes of moderate exercise a week."""

SESSIONS = (1, 3)
"""A week that its minutes are spread over: the claim names no numbers."""

WEEKLY_MINUTES = re.compile(r"(\d+)(?:-\d+)? min/week")

MOST = 0.9

PATIENCE = 4.0
"""Weeks that a patient may expect to wait."""

HALF_YEAR = 6
"""Months."""

BETWEEN_TRIALS = "most doses are compared between trials, not within them"


def guideline(context: Context) -> list[Part]:
    """C16: what guidelines print, and what such a week is worth in these trials."""
    words = f"{GUIDELINE_MINUTES:.0f} minutes a week against none"
    return [_recommended(), *(_fitted(context, o, words, _at_guideline) for o in BOTH)]


def _recommended() -> Part:
    """Whether guidelines of moderate exercise begin at the minutes of the claim."""
    table = load_reference("guidelines")
    moderate = table[table["recommendation"].str.contains("moderate-intensity")]
    printed = [WEEKLY_MINUTES.search(text) for text in moderate["dose"]]
    minutes = [float(found[1]) for found in printed if found]
    verdict, reason = verdict_on_guideline(len(minutes), minutes.count(GUIDELINE_MINUTES))
    what = f"{GUIDELINE_MINUTES:.0f} minutes a week of moderate exercise, as guidelines print it"
    return Part(what, None, "", Certainty(NOT_GRADED), verdict, reason)


def spread(context: Context) -> list[Part]:
    """C17."""
    words = "the same weekly minutes in three sessions instead of one"
    return [_fitted(context, outcome, words, _per_session) for outcome in BOTH]


def _fitted(
    context: Context, outcome: str, words: str, ask: Callable[[Context, str, str, Effects], Part]
) -> Part:
    what = f"{words}, {outcome_words(outcome)}"
    effects = context.effects(outcome)
    if effects is None:
        return untestable(what, "no usable result")
    try:
        return ask(context, outcome, what, effects)
    except CannotEstimate as fault:
        return untestable(what, fault.reason)


def _at_guideline(context: Context, outcome: str, what: str, effects: Effects) -> Part:
    """The effect at 150 minutes, and which dose first reaches the MCID where dose matters."""
    answer = context.dose(outcome)
    if isinstance(answer, str):
        return untestable(what, answer)
    row = answer.result.predict([GUIDELINE_MINUTES]).iloc[0]
    indirect = [] if answer.direct else [BETWEEN_TRIALS]
    if answer.highest < GUIDELINE_MINUTES:
        indirect.append(f"no trial went beyond {number(answer.highest, 0)} minutes a week")
    body = Body(
        **row[["estimate", "ci_low", "ci_high", "pi_low", "pi_high"]],
        **context.size(answer.trials, answer.n_participants),
        mcid=answer.mcid,
        indirect=tuple(indirect),
    )
    part = judged(what, body, UNITS[effects.measure], benefit_sign(outcome), trials=answer.trials)
    at = "at which dose the MCID is reached these trials do not say"
    if answer.mcid_dose is not None and answer.mcid_dose.reached:
        at = f"the MCID is first reached at {number(answer.mcid_dose.estimate, 0)} minutes"
    return replace(part, reason=f"{part.reason}; {at}")


def _per_session(context: Context, outcome: str, what: str, effects: Effects) -> Part:
    """Three sessions against one at equal weekly minutes."""
    fitted = spread_model(effects)
    extra = SESSIONS[1] - SESSIONS[0]
    low, high = extra * fitted.conf_int().loc["sessions"]
    trials = fitted.data["trial_id"]
    entered = effects.select(effects.table["trial_id"].isin(trials), "doses not reported")
    body = Body(
        estimate=extra * fitted.params["sessions"],
        ci_low=low,
        ci_high=high,
        **context.size(trials, entered.n_participants),
        mcid=mcid(outcome),
        indirect=(BETWEEN_TRIALS,),
    )
    sign = benefit_sign(outcome)
    return judged(what, body, UNITS[effects.measure], sign, rule="equivalence", trials=trials)


def time_to_effect(context: Context) -> list[Part]:
    """C18: weeks to most of the effect, and its change in the half year after the programme."""
    return [part for outcome in BOTH for part in _over_time(context, outcome)]


def _over_time(context: Context, outcome: str) -> list[Part]:
    words = outcome_words(outcome)
    wait = f"weeks until {MOST:.0%} of the effect, {words}"
    after = f"change in the {HALF_YEAR} months after the programme, {words}"
    try:
        course = time_course(effects_over_time(context.evidence, outcome).against_inactive())
    except CannotEstimate as fault:
        why = fault.reason
        return [untestable(wait, why), untestable(after, why)]
    size = context.size(course.effects.table["trial_id"], course.n_participants)
    size |= {"indirect": ("most follow-ups are compared between trials",)}
    parts = [_wait(course, wait, size), _change(course, after, outcome, size)]
    return [replace(part, reason=named(part.reason, context.evidence)[0]) for part in parts]


def _wait(course: TimeCourseResult, what: str, size: dict[str, Any]) -> Part:
    found = course.weeks_to(MOST)
    if not math.isfinite(found.estimate):
        return untestable(what, found.note)
    if course.rests_on:
        return untestable(what, not_without(course.rests_on))
    body = Body(found.estimate, found.ci_low, found.ci_high, **size, mcid=PATIENCE)
    verdict, reason = verdict_on_wait(found.ci_low, found.ci_high, found.estimate, PATIENCE)
    graded = replace(certainty(body), target=f"more or less than {PATIENCE:.0f} weeks")
    return Part(what, body, "weeks", graded, verdict, reason, _names(course))


def _names(course: TimeCourseResult) -> tuple[str, ...]:
    return tuple(sorted(set(course.effects.table["trial_id"])))


def _change(course: TimeCourseResult, what: str, outcome: str, size: dict[str, Any]) -> Part:
    """Small change is what "it lasts" means: equivalence with the MCID as margin."""
    try:
        lasting = course.durability()
    except CannotEstimate as fault:
        return untestable(what, fault.reason)
    if not lasting.is_told:
        return untestable(what, f"{plural(lasting.n_repeated, 'trial')} measured more than once")
    month = lasting.monthly
    estimate, low, high = (HALF_YEAR * month[name] for name in ("estimate", "ci_low", "ci_high"))
    body = Body(estimate=estimate, ci_low=low, ci_high=high, **size, mcid=mcid(outcome))
    unit = UNITS[course.effects.measure]
    sign = benefit_sign(outcome)
    return judged(what, body, unit, sign, rule="equivalence", trials=_names(course))


def intensity(context: Context) -> list[Part]:
    """C20: higher against lower intensity of one trial, where reports say which is which."""
    return [moderator(context, o, "Higher intensity instead of lower", "worse") for o in BOTH]


def combined(context: Context) -> list[Part]:
    """C21: with a co-intervention that the other arm did not get, against without one."""
    return [
        moderator(context, o, "With a co-intervention instead of alone", "better") for o in BOTH
    ]


def people(context: Context) -> list[Part]:
    """C23: mean age of a trial, per ten years; baseline pain, per ten points."""
    return [
        moderator(context, "pain_intensity", "Mean age, per 10 years", "either"),
        moderator(context, "disability", "Mean age, per 10 years", "either"),
        moderator(context, "pain_intensity", "Baseline, per 10 points", "either"),
    ]


def lifestyle(context: Context) -> list[Part]:
    """C24."""
    why = "reports of trials do not relate them to the effect; that needs participants' own data"
    return [untestable(f"{word} as a moderator", why) for word in ("smoking", "sitting")]


def acute(context: Context) -> list[Part]:
    """C25: what helps chronic pain would help acute pain less."""
    return [moderator(context, "pain_intensity", "Acute instead of chronic", "worse")]


def neck(context: Context) -> list[Part]:
    """C26: neck pain beside back pain; takes evidence with both populations."""
    effects = context.effects("pain_intensity")
    what = f"exercise against {NO_EXERCISE}, pain, neck pain"
    other = "neck against back pain, effect on pain"
    if effects is None or not (effects.table["population"] == "neck_pain").any():
        return [untestable(part, "no usable trial of neck pain") for part in (what, other)]
    only = effects.select(effects.table["population"] == "neck_pain", "not neck pain")
    kept = effects.against_inactive().one_per_trial()
    table = kept.table[kept.table["population"].isin([*BACK_PAIN, "neck_pain"])]
    table = table.assign(neck=(table["population"] == "neck_pain").astype(float))
    return [
        context.pooled(only, "pain_intensity", what),
        _difference_of_populations(context, table, other, kept.measure),
    ]


def _difference_of_populations(
    context: Context, table: pd.DataFrame, what: str, measure: str
) -> Part:
    try:
        fitted = meta_regression("yi ~ neck", table)
    except CannotEstimate as fault:
        return untestable(what, fault.reason)
    low, high = fitted.conf_int().loc["neck"]
    people = int(np.nansum(table[["n_arm", "n_ref"]].to_numpy(float)))
    body = Body(
        estimate=fitted.params["neck"],
        ci_low=low,
        ci_high=high,
        **context.size(table["trial_id"], people),
        mcid=mcid("pain_intensity"),
        indirect=("compared between trials",),
    )
    sign = benefit_sign("pain_intensity")
    trials = table["trial_id"]
    return judged(what, body, UNITS[measure], sign, rule="equivalence", trials=trials)


Answer = Callable[[Context], list[Part]]

BACK_PAIN_ONLY: dict[str, Answer] = {
    "C01": aerobic,
    "C02": resistance,
    "C03": stretching,
    "C04": core,
    "C05": function,
    "C07": strength,
    "C08": flexibility,
    "C09": stability,
    "C11": quality_of_life,
    "C12": mood,
    "C14": low_impact,
    "C15": other_types,
    "C16": guideline,
    "C17": spread,
    "C18": time_to_effect,
    "C19": high_impact,
    "C20": intensity,
    "C21": combined,
    "C22": static_or_dynamic,
    "C23": people,
    "C24": lifestyle,
    "C25": acute,
}

EVERYBODY: dict[str, Answer] = {
    "C06": sensitivity,
    "C10": posture,
    "C13": recurrence,
    "C26": neck,
    "C27": mechanism,
}
"""Who answers which claim, and on which evidence: people with back pain, or all of it."""
