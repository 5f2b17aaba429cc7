"""From an estimate to a verdict on a claim: rules, not prose."""

from __future__ import annotations

import math
from collections.abc import Sequence

from backpain_analysis.answers.certainty import LEVELS, NO_EVIDENCE

SUPPORTED, PARTLY, NOT_SUPPORTED, NOT_TESTABLE = (
    "supported",
    "partly",
    "not supported",
    "not testable with these data",
)

VERDICTS = (SUPPORTED, PARTLY, NOT_SUPPORTED, NOT_TESTABLE)


def verdict_on_benefit(
    low: float, high: float, estimate: float, mcid: float | None, certainty: str, benefit: int
) -> tuple[str, str]:
    """Verdict on "it helps", with its reason.

    Supported: the interval lies on the side of benefit and the estimate reaches the MCID (where
    one is known), at more than very low certainty. Partly: on that side, but smaller or very
    uncertain. Not supported: the interval includes no effect, or lies on the side of harm.

    Parameters
    ----------
    low, high, estimate : float
        Interval and estimate.
    mcid : float or None
        Its size.
    certainty : str
        A level of `certainty.LEVELS`, or "no evidence".
    benefit : {-1, 1}
        Sign of a beneficial effect.

    Returns
    -------
    verdict, reason : str
    """
    if certainty == NO_EVIDENCE or not math.isfinite(estimate):
        return NOT_TESTABLE, "no usable result"
    if max(benefit * low, benefit * high) < 0:
        return NOT_SUPPORTED, "the interval lies on the side of harm"
    if min(benefit * low, benefit * high) <= 0:
        return NOT_SUPPORTED, "the interval includes no effect"
    if mcid and benefit * estimate < mcid:
        return PARTLY, "an effect, but smaller than the MCID"
    if certainty == LEVELS[0]:
        return PARTLY, "an effect, but of very low certainty"
    return SUPPORTED, "an effect that matters" if mcid else "an effect"


def verdict_on_difference(
    low: float, high: float, estimate: float, certainty: str, benefit: int
) -> tuple[str, str]:
    """Verdict on "the first is better than the second": as benefit, without an MCID."""
    verdict, reason = verdict_on_benefit(low, high, estimate, None, certainty, benefit)
    words = {
        "the interval lies on the side of harm": "the second does better",
        "the interval includes no effect": "no clear difference",
        "an effect, but of very low certainty": "a difference, but of very low certainty",
        "an effect": "a clear difference",
    }
    return verdict, words.get(reason, reason)


def verdict_on_equivalence(
    low: float, high: float, estimate: float, margin: float, certainty: str
) -> tuple[str, str]:
    """Verdict on "it makes no difference".

    Supported: the whole interval is nearer to zero than the margin, at more than very low
    certainty. Partly: so is the estimate, or the certainty is very low. Not supported: the
    interval leaves out zero on one side and the estimate passes the margin. Not testable: the
    interval passes the margin on both sides.
    """
    if certainty == NO_EVIDENCE or not math.isfinite(estimate):
        return NOT_TESTABLE, "no usable result"
    if low <= -margin and high >= margin:
        return NOT_TESTABLE, "differences that matter are in the interval both ways"
    if max(abs(low), abs(high)) < margin:
        if certainty == LEVELS[0]:
            return PARTLY, "no difference that matters, but of very low certainty"
        return SUPPORTED, "any difference is too small to matter"
    if abs(estimate) < margin or low * high <= 0:
        return PARTLY, "no difference shown, but one that matters is not ruled out"
    return NOT_SUPPORTED, "a difference that matters"


def verdict_on_wait(
    low: float, high: float, estimate: float, weeks: float, certainty: str
) -> tuple[str, str]:
    """Verdict on "it takes time": whether most of the effect comes after `weeks`.

    Supported: the whole interval is later, at more than very low certainty. Partly: so is the
    estimate. Not supported: the estimate is earlier. Not testable: any time is in the interval.
    """
    if certainty == NO_EVIDENCE or not math.isfinite(estimate) or (low <= 0 and math.isinf(high)):
        return NOT_TESTABLE, "the data do not say when"
    if estimate <= weeks:
        return NOT_SUPPORTED, f"most of it is there within {weeks:.0f} weeks"
    if low > weeks and certainty != LEVELS[0]:
        return SUPPORTED, f"it takes more than {weeks:.0f} weeks"
    return PARTLY, f"more than {weeks:.0f} weeks, but how many is uncertain"


def together(verdicts: Sequence[str]) -> str:
    """One verdict on a claim of several parts; parts that cannot be tested do not count.

    Supported if every part is (and could be tested), not supported if none is even partly, else
    partly.
    """
    tested = [verdict for verdict in verdicts if verdict != NOT_TESTABLE]
    if not tested:
        return NOT_TESTABLE
    if len(set(tested)) == 1:
        return PARTLY if len(tested) < len(verdicts) and tested[0] == SUPPORTED else tested[0]
    return PARTLY
