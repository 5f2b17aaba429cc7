"""A time course in words: computed, with its uncertainty."""

from __future__ import annotations

import math

from backpain_analysis.models.sentences import (
    number,
    outcome_words,
    p_text,
    plural,
    size_words,
    unit_words,
)
from backpain_analysis.models.time.durability import Durability
from backpain_analysis.models.time.reaching import TimeEstimate
from backpain_analysis.models.time.result import TimeCourseResult

SHOWN = (4.0, 12.0, 26.0, 52.0)
"""Weeks whose effects are named, where the data reach so far."""


def time_course(result: TimeCourseResult, outcome: str) -> str:
    """The answer of a time course: the effect at usual follow-ups, and how fast it came.

    Parameters
    ----------
    result : TimeCourseResult
    outcome : str
        Such as "pain_intensity".
    """
    weeks = [w for w in SHOWN if result.first_week <= w <= result.last_week] or [result.last_week]
    digits = 1 if result.effects.measure == "MD" else 2
    parts = [
        f"{number(row.estimate, digits)} at week {row.weeks:g} ({result.level:.0%} CI "
        f"{number(row.ci_low, digits)} to {number(row.ci_high, digits)})"
        for row in result.effect(weeks).itertuples()
    ]
    return (
        f"In {size_words(result.effects)}, the effect of exercise on {outcome_words(outcome)}, in "
        f"{unit_words(result.effects.measure)}, was {_listed(parts)}. {speed(result)}"
    )


def speed(result: TimeCourseResult) -> str:
    """When half and 90% of the largest effect were there, or why the data cannot tell."""
    half, most = result.weeks_to(0.5), result.weeks_to(0.9)
    level = f"{result.level:.0%}"
    if not math.isnan(half.estimate):
        text = (
            f"Half of the largest effect was there after {number(half.estimate)} weeks "
            f"({level} CI {_limits(half)}), 90% of it after {number(most.estimate)} "
            f"({_limits(most)})"
        )
        return f"{text}; {half.note}." if half.note else f"{text}."
    text = f"How fast the effect came the data do not give: {half.note}"
    if math.isnan(half.ci_low) or (half.ci_low == 0 and math.isinf(half.ci_high)):
        return f"{text}."
    return f"{text}; half of it was there after {_limits(half)} weeks ({level} limit)."


def durability(found: Durability, measure: str = "MD") -> str:
    """What became of the effect after the programme."""
    digits = 1 if measure == "MD" else 2
    kind = "within trials" if "within trials" in found.change.index else "all trials"
    row, level = found.change.loc[kind], f"{found.level:.0%}"
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
