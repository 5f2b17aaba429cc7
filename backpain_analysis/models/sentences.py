"""Results in words: the sentence that answers, computed and with its uncertainty."""

from __future__ import annotations

import math
from typing import Any

from backpain_analysis.evidence import Evidence
from backpain_analysis.evidence.dose import DOSE_LABELS, with_doses
from backpain_analysis.evidence.scales import LOWER_IS_BETTER
from backpain_analysis.models.dose_result import DoseResponseResult
from backpain_analysis.models.dose_search import DoseEstimate
from backpain_analysis.models.pooling import PoolResult

OUTCOME_WORDS = {
    "pain_intensity": "pain",
    "disability": "disability",
    "quality_of_life": "quality of life",
    "pressure_pain_threshold": "pressure pain threshold",
    "depression_anxiety": "depression and anxiety",
    "kinesiophobia": "fear of movement",
    "trunk_strength": "trunk strength",
    "trunk_endurance": "trunk endurance",
    "flexibility_rom": "flexibility",
    "balance_stability": "balance and stability",
}

CURVE_WORDS = {
    "linear": "straight line",
    "quadratic": "quadratic curve",
    "log": "logarithmic curve",
    "rcs": "restricted cubic spline",
}


def outcome_words(outcome: str) -> str:
    """An outcome as a reader says it."""
    return OUTCOME_WORDS.get(outcome, outcome.replace("_", " "))


def number(value: float, digits: int = 1) -> str:
    """A number as text: thousands with commas, a true minus, no minus zero."""
    text = f"{value:,.{digits}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def dose_text(value: float, largest: float) -> str:
    """A dose as text: whole numbers where doses run to twenty or more."""
    return number(value, 0 if largest >= 20 else 1)


def p_text(p: float) -> str:
    """A P value as journals print it."""
    return "P < 0.001" if p < 0.001 else f"P = {p:.3f}" if p < 0.1 else f"P = {p:.2f}"


def unit_words(measure: str) -> str:
    """What effects are counted in."""
    return "points of 100" if measure == "MD" else "standard deviations"


def share_of_mcid(effect: float, mcid: float | None) -> str:
    """How an effect compares with the MCID; empty without one."""
    if not mcid:
        return ""
    return f" That is {number(abs(effect) / mcid, 2)} of the MCID of {number(mcid, 0)} points."


def evidence(data: Evidence) -> str:
    """What the evidence is: how many trials and people, from when, and how much is known."""
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
    """
    word, unit = outcome_words(outcome), unit_words(measure)
    digits = 1 if measure == "MD" else 2
    size = size_words(result)
    clear = result.ci_low > 0 or result.ci_high < 0
    direction = "lower" if result.estimate < 0 else "higher"
    level = f"{result.level:.0%} CI"
    if clear:
        near, far = sorted((abs(result.ci_low), abs(result.ci_high)))
        text = (
            f"In {size}, {word} was {number(abs(result.estimate), digits)} {unit} {direction} with "
            f"{what} than with {against} ({level} {number(near, digits)} to "
            f"{number(far, digits)} {direction})."
        )
        text += share_of_mcid(result.estimate, mcid if measure == "MD" else None)
    else:
        text = (
            f"In {size}, no clear difference in {word} between {what} and {against}: "
            f"{number(result.estimate, digits)} {unit} ({level} {number(result.ci_low, digits)} to "
            f"{number(result.ci_high, digits)})."
        )
    if math.isfinite(result.pi_low) and result.method != "CE":
        text += (
            f" In a new trial the effect is expected between {number(result.pi_low, digits)} and "
            f"{number(result.pi_high, digits)} (prediction interval)."
        )
    return text


def dose_to_reach(dose: DoseEstimate, dose_name: str, effect: float, *, measure: str = "MD") -> str:
    """Which dose first reaches an effect, or that none does."""
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
    """Where the best mean effect lies, or that the data show no turning point."""
    label = DOSE_LABELS.get(dose_name, dose_name)
    effect = number(dose.effect, 1 if measure == "MD" else 2)
    at, low, high, _ = _doses(dose)
    text = (
        f"The best mean effect, {effect} {unit_words(measure)}, is at {at} {label} "
        f"(95% interval from {low} to {high})"
    )
    return f"{text}; {dose.note}." if dose.note else f"{text}."


def _doses(dose: DoseEstimate) -> tuple[str, ...]:
    """Estimate, interval and largest dose as text."""
    values = (dose.estimate, dose.ci_low, dose.ci_high, dose.high)
    return tuple(dose_text(value, dose.high) for value in values)


def dose_response(result: DoseResponseResult, mcid: float | None = None) -> str:
    """The answer of a dose-response analysis in a few sentences."""
    label, word = DOSE_LABELS.get(result.dose_name, result.dose_name), outcome_words(result.outcome)
    test = result.test_overall()
    size = size_words(result)
    verdict = "is related" if test["p_value"] < 1 - result.level else "is not clearly related"
    text = [
        f"In {size}, {word} {verdict} to {label} ({CURVE_WORDS[result.curve.name]}, "
        f"{p_text(test['p_value'])})."
    ]
    if mcid:
        sign = -1 if result.outcome in LOWER_IS_BETTER else 1
        reach = result.dose_for(sign * mcid)
        text.append(dose_to_reach(reach, result.dose_name, mcid, measure=result.measure))
    best = result.optimum(best="lowest" if result.outcome in LOWER_IS_BETTER else "highest")
    text.append(best_dose(best, result.dose_name, measure=result.measure))
    return " ".join(text)


def size_words(result: Any) -> str:
    """Trials of a result or of effects, with the participants where they are known."""
    size = plural(result.n_trials, "trial")
    if not result.n_participants:
        return size
    people = f"{number(result.n_participants, 0)} participants"
    if result.unsized_arms:
        people += f" and {plural(result.unsized_arms, 'arm')} of unknown size"
    return f"{size} ({people})"


def plural(count: int, noun: str) -> str:
    """A count with its noun: "1 trial", "1,200 trials"."""
    return f"{count} {noun}" if count == 1 else f"{number(count, 0)} {noun}s"
