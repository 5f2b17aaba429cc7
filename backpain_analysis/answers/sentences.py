"""Results in words: the sentence that answers, computed and with its uncertainty."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from backpain_analysis.errors import require
from backpain_analysis.evidence.dose import with_doses
from backpain_analysis.evidence.evidence import Evidence
from backpain_analysis.models.dose.curves import STEP, Constant, has_step
from backpain_analysis.models.dose.result import DoseResponseResult
from backpain_analysis.models.dose.search import DoseEstimate
from backpain_analysis.models.pairwise.pooling import PoolResult
from backpain_analysis.models.pairwise.responders import TrialResponders
from backpain_analysis.models.people.responders import Responders
from backpain_analysis.models.time.course import TimeCourseResult, TimeEstimate
from backpain_analysis.models.time.durability import Durability
from backpain_analysis.words import (
    DOSE_LABELS,
    RATIO_WORDS,
    back_transform,
    benefit_sign,
    dose_text,
    effect_digits,
    effect_interval,
    effect_text,
    number,
    outcome_words,
    p_text,
    plural,
    population_label,
    unit_words,
)

__all__ = [
    "best_dose",
    "caution",
    "curve_words",
    "dose_response",
    "dose_to_reach",
    "durability",
    "effect_interval",
    "effect_text",
    "evidence",
    "not_without",
    "number",
    "outcome_words",
    "p_text",
    "plural",
    "pooled",
    "responders",
    "share_of_mcid",
    "size_words",
    "speed",
    "time_course",
    "trial_responders",
    "weeks_told",
    "where_from",
]


def __dir__() -> list[str]:
    return __all__


CURVE_WORDS = {
    "linear": "straight line",
    "quadratic": "quadratic curve",
    "log": "logarithmic curve",
    "rcs": "restricted cubic spline",
    "piecewise": "two lines that meet at a break",
    "fp1": "fractional polynomial of one power",
    "fp2": "fractional polynomial of two powers",
    "emax": "Emax curve",
    "hill": "Hill curve",
    "surface": "surface of two doses",
    "constant": "same effect at every dose",
}


def curve_words(name: str) -> str:
    """A curve as a reader knows it; of one with a step the curve of what dose adds.

    Examples
    --------
    >>> bp.sentences.curve_words("rcs")
    'restricted cubic spline'
    """
    inner = name.removeprefix(STEP)
    words = CURVE_WORDS.get(inner, f"{inner} curve")
    return words if inner == name else f"a step and a {words}"


def share_of_mcid(effect: float, mcid: float | None) -> str:
    """How an effect compares with the MCID; empty without one.

    Examples
    --------
    >>> bp.sentences.share_of_mcid(-11.2, 15)
    ' That is 0.75 of the smallest difference that matters to patients (MCID), 15 points.'
    """
    if not mcid:
        return ""
    return (
        f" That is {number(abs(effect) / mcid, 2)} of the smallest difference that matters to "
        f"patients (MCID), {number(mcid, 0)} points."
    )


def evidence(data: Evidence) -> str:
    """What the evidence is: how many trials and people, from when, and how much is known.

    Examples
    --------
    >>> trials = bp.simulate_trials(bp.TrialTruth(trials=8))
    >>> bp.sentences.evidence(trials)
    '8 trials without a year, with 778 people randomised and 15 exercise arms of 5 types. ...'
    """
    require(data, "Evidence")
    arms = with_doses(data.arms)
    exercise = arms[arms["exercise_type"] != "none"]
    years = data.trials["year"].dropna()
    span = f"from {years.min():.0f} to {years.max():.0f}" if len(years) else "without a year"
    people = data.trials["n_randomised"].sum()
    weekly = exercise["minutes_per_week"].notna()
    judged = data.trials["rob_or_pedro"].notna().sum()
    types = exercise["exercise_type"].nunique()
    return (
        f"{plural(len(data.trials), 'trial')} {span}, with {number(people, 0)} people "
        f"randomised and {plural(len(exercise), 'exercise arm')} of {plural(types, 'type')}. "
        f"Minutes of exercise per week are known for {number(weekly.sum(), 0)} of these arms; "
        f"an appraisal of the risk of bias is known for {plural(judged, 'trial')}."
    )


BUNDLED = "backpain-trials"


def where_from(data: Evidence) -> str:
    """How the trials were found and read, as far as that is known of these data.

    Examples
    --------
    >>> bp.sentences.where_from(bp.simulate_trials())
    'These trials are made up: nobody in them exists.'
    """
    require(data, "Evidence")
    if data.synthetic:
        return "These trials are made up: nobody in them exists."
    if data.name != BUNDLED:
        return "These are your own trials: how they were found and read is not recorded here."
    return (
        "The trials were found by searching exercise family by family, not by a registered "
        "protocol: this is not a systematic review. Many reports were read in excerpts, so a field "
        "that is empty here may be printed in the full paper."
    )


def pooled(
    result: PoolResult,
    outcome: str,
    measure: str = "MD",
    *,
    what: str = "exercise",
    against: str = "no exercise",
    mcid: float | None = None,
) -> str:
    """The answer of a pooled analysis: direction, size, interval, spread of new trials.

    Parameters
    ----------
    result : PoolResult
    outcome, measure : str
        As of the `Effects` that were pooled.
    what, against : str
        The two sides of the comparison.
    mcid : float, optional
        In points of 0-100; not used for SMDs.

    Examples
    --------
    >>> result = bp.pool([-8.0, -12.0, -10.0], [9.0, 12.0, 10.0], test="z")
    >>> bp.sentences.pooled(result, "pain_intensity")
    'In 3 trials, pain was 9.8 points of 100 lower with exercise than with no exercise (95% CI 6.2
    to 13.4 lower). ...'
    """
    require(result, "PoolResult")
    word, unit = outcome_words(outcome), unit_words(measure)
    size = size_words(result)
    clear = result.ci_low > 0 or result.ci_high < 0
    direction = "lower" if result.estimate < 0 else "higher"
    level = f"{result.level:.0%} CI"
    ratio = ""
    if measure in RATIO_WORDS:
        ends = (result.estimate, result.ci_low, result.ci_high)
        ratio = f"{RATIO_WORDS[measure]} {effect_interval(*ends, measure, result.level)}"
    if clear and ratio:
        text = f"In {size}, {word} was {direction} with {what} than with {against}: {ratio}."
    elif clear:
        near, far = sorted((abs(result.ci_low), abs(result.ci_high)))
        text = (
            f"In {size}, {word} was {effect_text(abs(result.estimate), measure)} {unit} "
            f"{direction} with {what} than with {against} ({level} {effect_text(near, measure)} to "
            f"{effect_text(far, measure)} {direction})."
        )
        text += share_of_mcid(result.estimate, mcid if measure == "MD" else None)
    else:
        texts = (effect_text(v, measure) for v in (result.estimate, result.ci_low, result.ci_high))
        middle, low, high = texts
        text = (
            f"In {size}, no clear difference in {word} between {what} and {against}: "
            + (ratio or f"{middle} {unit} ({level} {low} to {high})")
            + "."
        )
    text += caution(result, measure)
    if math.isfinite(result.pi_low) and result.method != "CE":
        text += (
            f" In a new trial the effect is expected between {effect_text(result.pi_low, measure)} "
            f"and {effect_text(result.pi_high, measure)} (prediction interval)."
        )
    return text


def caution(result: PoolResult, measure: str) -> str:
    """What to know of an interval by Knapp and Hartung that is too sure; empty of any other.

    Examples
    --------
    >>> alike = bp.pool([-8.0, -8.1, -8.2], [9.0, 12.0, 10.0])
    >>> bp.sentences.caution(alike, "MD")
    ' The trials agree more than their errors let expect; by these errors alone the effect is
    −8.1 points of 100 (95% CI −11.7 to −4.5).'
    """
    require(result, "PoolResult")
    if not result.surer_than_errors:
        return ""
    return (
        " The trials agree more than their errors let expect; by these errors alone the effect is "
        f"{effect_interval(*result.common, measure, result.level)}."
    )


def dose_to_reach(dose: DoseEstimate, dose_name: str, effect: float, *, measure: str = "MD") -> str:
    """Which dose first reaches an effect, or that none does.

    Examples
    --------
    >>> effects = bp.simulate_trials().effects("pain_intensity")
    >>> curve = bp.dose_response(effects, dose="minutes_per_week", curve="linear")
    >>> bp.sentences.dose_to_reach(curve.dose_for(-10), "minutes_per_week", 10)
    'The mean curve first reaches 10.0 points of 100 at 124 minutes per week (95% interval from 83
    to 240).'
    """
    require(dose, "DoseEstimate")
    label = DOSE_LABELS.get(dose_name, dose_name)
    unit = unit_words(measure)
    target = f"{number(abs(effect), 1 if measure == 'MD' else 2)} {unit}"
    if not dose.reached:
        return f"An effect of {target} is not shown at any dose: {dose.note}."
    at, low, high, largest = _doses(dose)
    interval = f"95% interval from {low}"
    if math.isfinite(dose.ci_high):
        interval += f" to {high}"
    else:
        interval += f", without an upper limit up to the largest dose, {largest}"
    return f"The mean curve first reaches {target} at {at} {label} ({interval})."


def best_dose(dose: DoseEstimate, dose_name: str, *, measure: str = "MD") -> str:
    """Where the best mean effect lies, or that the data show no turning point.

    Examples
    --------
    >>> effects = bp.simulate_trials().effects("pain_intensity")
    >>> curve = bp.dose_response(effects, dose="minutes_per_week", curve="linear")
    >>> bp.sentences.best_dose(curve.optimum(best="lowest"), "minutes_per_week")
    'The best mean effect, −24.2 points of 100, is at 300 minutes per week (95% interval from 300
    to 300); at the edge of the data (300): no turning point between the doses studied.'
    """
    require(dose, "DoseEstimate")
    label = DOSE_LABELS.get(dose_name, dose_name)
    effect = f"{number(dose.effect, effect_digits(measure))} {unit_words(measure)}"
    if measure in RATIO_WORDS:
        ratio = float(back_transform(dose.effect, measure))
        effect = f"a {RATIO_WORDS[measure]} of {number(ratio, 2)}"
    at, low, high, _ = _doses(dose)
    text = f"The best mean effect, {effect}, is at {at} {label} (95% interval from {low} to {high})"
    return f"{text}; {dose.note}." if dose.note else f"{text}."


def _doses(dose: DoseEstimate) -> tuple[str, ...]:
    """Estimate, interval and largest dose as text."""
    values = (dose.estimate, dose.ci_low, dose.ci_high, dose.high)
    return tuple(dose_text(value, dose.high) for value in values)


def dose_response(result: DoseResponseResult, mcid: float | None = None) -> str:
    """What one fitted curve says; `answers.dose.dose_answer` weighs several.

    A curve through no effect at no dose does not tell the dose from exercising at all, and the
    sentence says so; doses are named if an MCID is given. Of a curve with a step no dose is named
    unless dose matters among those who exercise.

    Examples
    --------
    >>> effects = bp.simulate_trials().effects("pain_intensity")
    >>> curve = bp.dose_response(effects, dose="minutes_per_week", curve="linear")
    >>> bp.sentences.dose_response(curve)
    'In 11 trials (1,086 participants), pain is related to minutes per week (straight line, P <
    0.001), exercise against none and more against less taken together.'
    """
    require(result, "DoseResponseResult")
    word, level = outcome_words(result.outcome), 1 - result.level
    overall = result.test_overall()["p_value"]
    size, related = size_words(result), overall < level
    if not has_step(result.curve):
        label = DOSE_LABELS.get(result.dose_name, result.dose_name)
        verdict = "is related" if related else "is not clearly related"
        first = (
            f"In {size}, {word} {verdict} to {label} ({curve_words(result.curve.name)}, "
            f"{p_text(overall)}), exercise against none and more against less taken together."
        )
        places = _places(result, mcid) if mcid and result.curve.name != "surface" else []
        return " ".join([first, *places])
    verdict = "makes a difference" if related else "makes no clear difference"
    first = f"In {size}, exercise of any dose {verdict} to {word} ({p_text(overall)})."
    if isinstance(result.curve, Constant):
        return f"{first} The effect is taken to be the same at every dose."
    test = result.test_dose()
    matters = test["p_value"] < level
    direct = plural(int(test["trials"]), "trial")
    second = (
        f"Among those who exercise, dose {'matters' if matters else 'is not shown to matter'} "
        f"({curve_words(result.curve.name)}, {p_text(test['p_value'])}; {direct} randomised people "
        "to different doses)"
    )
    if matters:
        return " ".join([first, f"{second}.", *_places(result, mcid)])
    return f"{first} {second}, so no dose is named as enough, or as best."


def _places(result: DoseResponseResult, mcid: float | None) -> list[str]:
    """Where a curve first reaches the MCID, and where it is best."""
    text, sign = [], benefit_sign(result.outcome)
    if mcid:
        reach = result.dose_for(sign * abs(mcid))
        text.append(dose_to_reach(reach, result.dose_name, mcid, measure=result.measure))
    best = result.optimum(best="lowest" if sign < 0 else "highest")
    return [*text, best_dose(best, result.dose_name, measure=result.measure)]


def size_words(result: Any) -> str:
    """Trials of a result or of effects, with the participants where they are known.

    Examples
    --------
    >>> bp.sentences.size_words(bp.pool([-8.0, -12.0, -10.0], [9.0, 12.0, 10.0]))
    '3 trials'
    """
    if not hasattr(result, "n_trials"):
        require(result, "PoolResult", "Effects")
    size = plural(result.n_trials, "trial")
    if not result.n_participants:
        return size
    people = f"{number(result.n_participants, 0)} participants"
    if result.unsized_arms:
        people += f" and {plural(result.unsized_arms, 'arm')} of unknown size"
    return f"{size} ({people})"


SHOWN = (4.0, 12.0, 26.0, 52.0)
"""Weeks whose effects are named, where the data reach so far."""


def time_course(result: TimeCourseResult, outcome: str) -> str:
    """The answer of a time course: the effect at usual follow-ups, and how fast it came.

    Parameters
    ----------
    result : TimeCourseResult
    outcome : str
        Such as "pain_intensity".

    Examples
    --------
    >>> trials = bp.load_evidence().filter(population=bp.BACK_PAIN)
    >>> course = bp.time_course(bp.effects_over_time(trials, "pain_intensity"))
    >>> bp.sentences.time_course(course, "pain_intensity")
    'In ... trials (...), the effect of exercise on pain, in points of 100, was ... at week 4 ...'
    """
    require(result, "TimeCourseResult")
    weeks = [w for w in SHOWN if result.first_week <= w <= result.last_week] or [result.last_week]
    digits = effect_digits(result.effects.measure)
    parts = [
        f"{number(row.estimate, digits)} at week {row.weeks:g} ({result.level:.0%} CI "
        f"{number(row.ci_low, digits)} to {number(row.ci_high, digits)})"
        for row in result.effect(weeks).itertuples()
    ]
    return (
        f"In {size_words(result.effects)}, the effect of exercise on {outcome_words(outcome)}, in "
        f"{unit_words(result.effects.measure)}, was {_listed(parts)}. {speed(result)}"
    )


HALF, MOST = 0.5, 0.9
"""Shares of the largest effect whose weeks are told."""


def speed(result: TimeCourseResult) -> str:
    """When half and 90% of the largest effect were there, or why the data cannot tell.

    Weeks that the data give only with a certain trial are not told, but that trial's name is.

    Examples
    --------
    >>> trials = bp.load_evidence().filter(population=bp.BACK_PAIN)
    >>> course = bp.time_course(bp.effects_over_time(trials, "pain_intensity"))
    >>> bp.sentences.speed(course)
    'Half of the largest effect was there after ... weeks ...'
    """
    require(result, "TimeCourseResult")
    if result.rests_on:
        return f"How fast the effect came is not told: {not_without(result.rests_on)}."
    told, level = weeks_told(result), f"{result.level:.0%}"
    if MOST in told:
        half, most = told[HALF], told[MOST]
        text = (
            f"Half of the largest effect was there after {number(half.estimate)} weeks "
            f"({level} CI {_limits(half)}), {MOST:.0%} of it after {number(most.estimate)} "
            f"({_limits(most)})"
        )
        return f"{text}; {half.note}." if half.note else f"{text}."
    text = f"How fast the effect came the data do not give: {result.weeks_to(HALF).note}"
    if not told:
        return f"{text}."
    return f"{text}; half of it was there after {_limits(told[HALF])} weeks ({level} limit)."


def weeks_told(result: TimeCourseResult) -> dict[float, TimeEstimate]:
    """The weeks to half and 90% of the largest effect, as far as an answer tells them.

    None that rest on one trial; without estimates, those to half if the data set them a limit.
    What marks these weeks, in a figure or a table, marks no others.

    Parameters
    ----------
    result : TimeCourseResult

    Returns
    -------
    dict of float to TimeEstimate
        By share of the largest effect.

    Examples
    --------
    >>> trials = bp.load_evidence().filter(population=bp.BACK_PAIN)
    >>> course = bp.time_course(bp.effects_over_time(trials, "pain_intensity"), curve="constant")
    >>> bp.sentences.weeks_told(course)
    {}
    """
    require(result, "TimeCourseResult")
    half = result.weeks_to(HALF)
    if result.rests_on:
        return {}
    if not math.isnan(half.estimate):
        return {HALF: half, MOST: result.weeks_to(MOST)}
    limited = half.ci_low > 0 or math.isfinite(half.ci_high)
    return {HALF: half} if limited else {}


def not_without(trials: Sequence[str]) -> str:
    """Why what rests on a trial is not told; by the ids of any such trials.

    Examples
    --------
    >>> bp.sentences.not_without(["machado2010"])
    'not estimable without machado2010'
    """
    return f"not estimable without {' or '.join(trials)}"


def durability(found: Durability, measure: str = "MD") -> str:
    """What became of the effect after the programme.

    Examples
    --------
    >>> trials = bp.load_evidence().filter(population=bp.BACK_PAIN)
    >>> course = bp.time_course(bp.effects_over_time(trials, "pain_intensity"))
    >>> bp.sentences.durability(course.durability())
    'Whether the effect lasts after the end of the programme is not told: only ... measured more
    than once after it. ...'
    """
    require(found, "Durability")
    digits = effect_digits(measure)
    row, level = found.monthly, f"{found.level:.0%}"
    kind = row.name
    growth = row["estimate"] * found.at_end["estimate"].iloc[0]
    clear = row["ci_low"] > 0 or row["ci_high"] < 0
    verdict = "did not clearly change"
    if clear:
        verdict = "grew" if growth > 0 else "shrank"
    basis = f"within the {plural(found.n_repeated, 'trial')} that measured more than once"
    if kind == "all trials":
        basis = (
            f"over {plural(found.n_trials, 'trial')}, {found.n_repeated} measured more than once"
        )
    change, low, high = (
        number(row[name], digits + 1) for name in ("estimate", "ci_low", "ci_high")
    )
    if not found.is_told:
        who = f"only {found.repeated[0]}" if found.repeated else "no trial"
        return (
            f"Whether the effect lasts after the end of the programme is not told: {who} measured "
            f"more than once after it. Between the {plural(found.n_trials, 'trial')} it differs by "
            f"{change} {unit_words(measure)} a month of follow-up ({level} CI {low} to {high}), "
            "which may be the trials, not the time."
        )
    text = (
        f"After the end of the programme the effect {verdict}: {change} {unit_words(measure)} a "
        f"month ({level} CI {low} to {high}, {p_text(row['p_value'])}; {basis})."
    )
    return " ".join([text, *(_kept(share, level) for share in found.retained.to_dict("records"))])


def _kept(share: dict, level: str) -> str:
    when = f"{number(share['weeks'], 0)} weeks after the end"
    if math.isnan(share["retained_low"]):
        return f"What share of the effect remains {when} cannot be told: {share['note']}."
    low, high = (number(100 * share[name], 0) for name in ("retained_low", "retained_high"))
    start = f"{when} {share['retained']:.0%} of it remained"
    return f"{start} ({level} CI {low} to {high}%)."


def _limits(time: TimeEstimate) -> str:
    """An interval in words; one-sided where there is one limit only."""
    if math.isnan(time.ci_low):
        return "not available"
    if time.ci_low == 0 and math.isinf(time.ci_high):
        return "any time"
    if time.ci_low == 0:
        return f"at most {number(time.ci_high)}"
    if math.isinf(time.ci_high):
        return f"at least {number(time.ci_low)}"
    return f"{number(time.ci_low)} to {number(time.ci_high)}"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def trial_responders(result: TrialResponders) -> str:
    """How many more respond with exercise, over published trials.

    Examples
    --------
    >>> yoga = bp.load_evidence().filter(population=bp.BACK_PAIN, exercise_type="yoga")
    >>> found = bp.responders_from_means(yoga, "pain_intensity", mcid=15)
    >>> bp.sentences.trial_responders(found)
    'In 2 trials (311 participants), 6 percentage points more people with exercise than without
    (95% CI 4 to 7) improved in pain by 15 points or more, ...'
    """
    require(result, "TrialResponders")
    found = result.summary().loc["difference"]
    more = "more" if found["estimate"] >= 0 else "fewer"
    return (
        f"In {size_words(result.effects)}, {_percent(abs(found['estimate']))} percentage points "
        f"{more} people with exercise than without ({result.difference.level:.0%} CI "
        f"{_percent(found['ci_low'])} to {_percent(found['ci_high'])}) improved in "
        f"{outcome_words(result.outcome)} by {result.response.text}, by the normal approximation."
        f"{caution(result.difference, 'RD')} Without exercise it was {_without_exercise(result)}."
    )


def _without_exercise(result: TrialResponders) -> str:
    """Share of responders in the reference arms, one kind of pain at a time."""
    shares = result.shares
    shares = shares[shares["is_reference"]]
    kinds = result.effects.table.drop_duplicates("trial_id").set_index("trial_id")["population"]
    by_kind = shares["share"].groupby(shares["trial_id"].map(kinds).astype(str))
    return _listed(
        [
            f"{_percent(float(own.mean()))}% in {plural(len(own), 'trial')} of "
            f"{population_label(kind).lower()}"
            for kind, own in by_kind
        ]
    )


def responders(result: Responders) -> str:
    """How many respond at each dose, from participants.

    Examples
    --------
    >>> found = bp.responders(bp.load_participants(), week=12, mcid=15)
    >>> bp.sentences.responders(found)
    'Of 478 participants in 6 trials, 20% at a dose of 0 improved by 15 points or more at week 12,
    and 28% at 60 (NNTB 11 ...), 53% at 120 ...'
    """
    require(result, "Responders")
    first, *others = result.shares.to_dict("records")
    differences = result.differences.set_index("group")
    parts = [
        f"{_percent(row['share'])}% at {row['group']} ({differences.loc[row['group'], 'nnt']})"
        for row in others
    ]
    return (
        f"Of {plural(result.n_participants, 'participant')} in {plural(result.n_trials, 'trial')}, "
        f"{_percent(first['share'])}% at a dose of {first['group']} improved by "
        f"{result.response.text} at week {result.week:g}, and {', '.join(parts)}."
    )


def _percent(share: float) -> str:
    return number(100 * share, 0)
