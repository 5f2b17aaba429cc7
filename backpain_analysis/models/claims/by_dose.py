"""Claims on dose and time: C16-C18."""

from __future__ import annotations

import math
from collections.abc import Callable

from backpain_analysis.effects.over_time import effects_over_time
from backpain_analysis.evidence.scales import LOWER_IS_BETTER, mcid
from backpain_analysis.models.certainty import Body, certainty
from backpain_analysis.models.claims.context import UNITS, Context
from backpain_analysis.models.claims.part import Part, judged, untestable
from backpain_analysis.models.dose_response import dose_response
from backpain_analysis.models.dose_result import DoseResponseResult
from backpain_analysis.models.mixed import ConvergenceError
from backpain_analysis.models.results import quantile
from backpain_analysis.models.sentences import number, outcome_words
from backpain_analysis.models.time.course import time_course
from backpain_analysis.models.time.result import TimeCourseResult
from backpain_analysis.models.verdicts import verdict_on_wait

BOTH = ("pain_intensity", "disability")
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
    except (ValueError, ConvergenceError) as fault:
        return untestable(what, str(fault).split(":")[0])


def _at_guideline(context: Context, outcome: str, what: str, effects) -> Part:
    """The spline's effect at 150 minutes, and which dose first reaches the MCID."""
    curve = dose_response(effects, dose="minutes_per_week", curve="rcs")
    row = curve.predict([GUIDELINE_MINUTES]).iloc[0]
    indirect = [BETWEEN_TRIALS]
    if curve.max_dose < GUIDELINE_MINUTES:
        indirect.append(f"no trial went beyond {curve.max_dose:.0f} minutes a week")
    threshold = mcid(outcome)
    if threshold and effects.measure == "MD":
        sign = -1 if outcome in LOWER_IS_BETTER else 1
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
    except (ValueError, ConvergenceError) as fault:
        why = str(fault).split(":")[0]
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
    except (ValueError, ConvergenceError) as fault:
        return untestable(what, str(fault).split(":")[0])
    numbers = (HALF_YEAR * month[["estimate", "ci_low", "ci_high"]]).to_numpy(dtype=float)
    body = Body(*numbers, **size, mcid=mcid(outcome))
    unit = UNITS[course.effects.measure]
    return judged(what, body, unit, outcome, rule="equivalence", margin=mcid(outcome))
