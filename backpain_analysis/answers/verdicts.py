"""From an estimate to a verdict on a claim: rules, not prose.

A verdict follows from where the whole 95% interval lies; how certain the evidence is stands beside
it and never turns it into another. Each claim has one part, named in advance, that decides.
"""

from __future__ import annotations

import math

SUPPORTED, SIZE_UNCERTAIN, INCONCLUSIVE, NOT_WORTHWHILE, AGAINST, NOT_TESTED = VERDICTS = (
    "supported",
    "supported, size uncertain or small",
    "inconclusive",
    "no worthwhile effect",
    "evidence against",
    "not tested in these trials",
)

ONE_SIDED = 0.025
"""Chance that a claim without truth in it is called supported: half of what an interval misses."""

Verdict = tuple[str, str]
"""A verdict and its reason."""


def verdict_on_benefit(
    low: float,
    high: float,
    estimate: float,
    mcid: float | None,
    benefit: int,
    noun: str = "effect",
    opposite: str = "the interval lies on the side of harm",
) -> Verdict:
    """Verdict on "it helps", or on "the first is better than the second".

    ============================================  ==================================
    The whole interval is                         Verdict
    ============================================  ==================================
    at least the MCID                             supported
    a benefit, and reaches the MCID               supported, size uncertain or small
    nearer to zero than the MCID, both ways       no worthwhile effect
    harm, whatever its size                       evidence against
    anything else that includes no effect         inconclusive
    ============================================  ==================================

    Parameters
    ----------
    low, high, estimate : float
        Interval and estimate.
    mcid : float or None
        Size of the smallest difference that matters; without it every benefit is of uncertain size.
    benefit : {-1, 1}
        Sign of a beneficial effect.
    noun, opposite : str
        What the reason calls the effect, and an interval on the other side.
    """
    if not all(math.isfinite(value) for value in (low, high, estimate)):
        return NOT_TESTED, "no usable result"
    worst, best = sorted((benefit * low, benefit * high))
    article = "an" if noun[0] in "aeiou" else "a"
    if best < 0:
        return AGAINST, opposite
    if worst > 0:
        if not mcid:
            return SIZE_UNCERTAIN, f"{article} {noun}, but which size matters is not known"
        if worst >= mcid:
            return SUPPORTED, f"{article} {noun} of at least the MCID"
        if best < mcid:
            return NOT_WORTHWHILE, f"{article} {noun}, but smaller than the MCID"
        on_average = "smaller" if benefit * estimate < mcid else "larger"
        return (
            SIZE_UNCERTAIN,
            f"{article} {noun}, on average {on_average} than the MCID, which the interval includes",
        )
    if not mcid:
        return INCONCLUSIVE, f"the interval includes no {noun}"
    if best >= mcid:
        return INCONCLUSIVE, f"the interval includes both no {noun} and one that matters"
    if worst <= -mcid:
        return (
            INCONCLUSIVE,
            f"{article} {noun} that matters is ruled out, its opposite is not",
        )
    return NOT_WORTHWHILE, f"{article} {noun} as large as the MCID is ruled out"


def verdict_on_difference(
    low: float, high: float, estimate: float, mcid: float | None, benefit: int
) -> Verdict:
    """Verdict on "the first is better than the second": as of a benefit."""
    return verdict_on_benefit(
        low, high, estimate, mcid, benefit, "difference", "the second does better"
    )


def verdict_on_equivalence(low: float, high: float, margin: float | None) -> Verdict:
    """Verdict on "it makes no difference".

    Supported: the whole interval is nearer to zero than the margin. Evidence against: the whole
    interval is beyond it. Else inconclusive.
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        return NOT_TESTED, "no usable result"
    if not margin:
        return INCONCLUSIVE, "which difference matters is not known"
    if max(abs(low), abs(high)) < margin:
        return SUPPORTED, "any difference is smaller than the MCID"
    if low >= margin or high <= -margin:
        return AGAINST, "a difference of at least the MCID"
    if low * high > 0:
        return INCONCLUSIVE, "a difference, but whether it reaches the MCID is uncertain"
    if low <= -margin and high >= margin:
        return INCONCLUSIVE, "differences that matter are in the interval both ways"
    return INCONCLUSIVE, "no difference shown, but one that matters is not ruled out"


def verdict_on_moderator(
    low: float, high: float, estimate: float, p_adjusted: float, asked: int, benefit: int | None
) -> Verdict:
    """Verdict on "the effect differs", with P adjusted for all moderators that were asked.

    Parameters
    ----------
    low, high, estimate : float
    p_adjusted : float
        By Holm 1979 over the moderators of the same outcome.
    asked : int
        How many these are.
    benefit : {-1, 1} or None
        The direction that the claim names; None where it names none.
    """
    if not (math.isfinite(estimate) and math.isfinite(p_adjusted)):
        return NOT_TESTED, "no usable result"
    if p_adjusted >= 2 * ONE_SIDED:
        if low * high > 0:
            return INCONCLUSIVE, f"a difference taken alone, none after adjustment for {asked}"
        return INCONCLUSIVE, "the interval includes no difference"
    if benefit is not None and benefit * estimate < 0:
        return AGAINST, f"a difference the other way, also after adjustment for {asked}"
    return SIZE_UNCERTAIN, f"a difference, also after adjustment for {asked}"


def verdict_on_wait(low: float, high: float, estimate: float, weeks: float) -> Verdict:
    """Verdict on "it takes time": whether most of the effect comes after `weeks`.

    Supported: the whole interval is later. Evidence against: the whole interval is not. Else
    inconclusive.
    """
    if not math.isfinite(estimate):
        return NOT_TESTED, "the data do not say when"
    if low > weeks:
        return SUPPORTED, f"it takes more than {weeks:.0f} weeks"
    if high <= weeks:
        return AGAINST, f"most of it is there within {weeks:.0f} weeks"
    if low <= 0 and math.isinf(high):
        return INCONCLUSIVE, "any time is in the interval"
    return INCONCLUSIVE, f"{weeks:.0f} weeks are in the interval"


def verdict_on_guideline(named: int, agreeing: int) -> Verdict:
    """Verdict on "this is the recommendation": by what guidelines print.

    Parameters
    ----------
    named : int
        Guidelines that print a dose of this kind.
    agreeing : int
        Of these, whose dose begins where the claim says.
    """
    if not named:
        return NOT_TESTED, "no guideline on file names such a dose"
    if agreeing == named:
        return SUPPORTED, f"{agreeing} of {named} guidelines on file say so"
    if not agreeing:
        return AGAINST, f"none of {named} guidelines on file says so"
    return INCONCLUSIVE, f"{agreeing} of {named} guidelines on file say so"
