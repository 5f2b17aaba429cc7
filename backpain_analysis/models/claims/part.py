"""One testable part of a claim: an estimate, its certainty and a verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from backpain_analysis.evidence.scales import LOWER_IS_BETTER
from backpain_analysis.models.certainty import NO_EVIDENCE, Body, Certainty, certainty
from backpain_analysis.models.sentences import number
from backpain_analysis.models.verdicts import (
    NOT_TESTABLE,
    verdict_on_benefit,
    verdict_on_difference,
    verdict_on_equivalence,
)

HAZARD_RATIO = "hazard ratio"
"""Unit of estimates that are logarithms of hazard ratios; the text shows the ratio."""

Rule = Literal["benefit", "difference", "equivalence"]


@dataclass(frozen=True)
class Part:
    """One testable part of a claim.

    Attributes
    ----------
    what : str
        What was estimated, in words: "aerobic against no exercise, pain".
    body : Body or None
        Estimate and evidence; None where there is none.
    unit : str
        Of the estimate.
    certainty : Certainty
    verdict, reason : str
        See `verdicts`.
    """

    what: str
    body: Body | None
    unit: str
    certainty: Certainty
    verdict: str
    reason: str

    @property
    def estimate_text(self) -> str:
        """The estimate with its interval; empty where there is none."""
        if self.body is None or not math.isfinite(self.body.estimate):
            return ""
        digits = 1 if self.unit.startswith(("points", "weeks", "kPa")) else 2
        values = (self.body.estimate, self.body.ci_low, self.body.ci_high)
        if self.unit == HAZARD_RATIO:
            values = tuple(math.exp(value) for value in values)
        centre, low, high = (_text(value, digits) for value in values)
        return f"{centre} [{low} to {high}] {self.unit}".strip()


def _text(value: float, digits: int) -> str:
    return number(value, digits).replace("inf", "∞")


def untestable(what: str, why: str) -> Part:
    """A part that these data cannot test."""
    return Part(what, None, "", Certainty(NO_EVIDENCE), NOT_TESTABLE, why)


def judged(
    what: str,
    body: Body,
    unit: str,
    outcome: str,
    *,
    rule: Rule = "benefit",
    margin: float | None = None,
    benefit: int | None = None,
) -> Part:
    """Grade and judge an estimate.

    Parameters
    ----------
    what : str
    body : Body
    unit : str
    outcome : str
        Says which direction is a benefit, unless `benefit` does.
    rule : {"benefit", "difference", "equivalence"}
        See `verdicts`.
    margin : float, optional
        Of equivalence.
    benefit : {-1, 1}, optional
    """
    graded = certainty(body)
    sign = benefit or (-1 if outcome in LOWER_IS_BETTER else 1)
    interval = (body.ci_low, body.ci_high, body.estimate)
    if rule == "benefit":
        verdict, reason = verdict_on_benefit(*interval, body.mcid, graded.level, sign)
    elif rule == "difference":
        verdict, reason = verdict_on_difference(*interval, graded.level, sign)
    else:
        verdict, reason = verdict_on_equivalence(*interval, margin or math.nan, graded.level)
    return Part(what, body, unit, graded, verdict, reason)
