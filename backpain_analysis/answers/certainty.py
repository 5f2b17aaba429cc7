"""How certain a body of trial evidence is: GRADE's questions as rules that are written down.

GRADE asks for judgement; these rules make the same judgement every time, and each downgrade says
why. They follow the GRADE guidelines where those give a number: inconsistency (Guyatt et al. 2011,
doi 10.1016/j.jclinepi.2011.03.017), imprecision (Guyatt et al. 2011,
doi 10.1016/j.jclinepi.2011.01.012: 400 participants as the optimal information size of a
continuous outcome), publication bias (doi 10.1016/j.jclinepi.2011.01.011). They are a start for a
reader's own judgement, not its replacement.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import pandas as pd

LEVELS = ("very low", "low", "moderate", "high")

NO_EVIDENCE = "no evidence"

DOMAINS = ("risk of bias", "inconsistency", "indirectness", "imprecision", "small-study effects")

INFORMATION_SIZE = 400

GOOD_PEDRO = 6
"""Points of 10 from which a trial counts as of good quality (Maher et al. 2003)."""

ENOUGH_GOOD = 0.5
"""Share of trials known to be of good quality below which risk of bias lowers certainty."""

SUBSTANTIAL_I2, CONSIDERABLE_I2 = 50.0, 75.0
"""Cochrane Handbook 10.10.2."""

FEWEST_FOR_ASYMMETRY = 10

ASYMMETRY_P = 0.10

PEDRO = re.compile(r"PEDro\s+(\d+)\s*/\s*10", re.IGNORECASE)


@dataclass(frozen=True)
class Body:
    """A body of evidence on one question.

    Attributes
    ----------
    estimate, ci_low, ci_high : float
    n_trials : int
    n_participants : int
        In arms of known size; 0 where no report prints one.
    appraised_good : int
        Trials whose published appraisal says good quality (see `good_quality`).
    i2 : float
        Per cent; missing for one trial.
    pi_low, pi_high : float
        Prediction interval; missing where there is none.
    mcid : float or None
        Size of the smallest difference that matters, in the units of the estimate.
    asymmetry_p : float
        P value of a test of small-study effects; missing where not tested.
    indirect : tuple of str
        Ways in which the trials do not answer the question directly.
    """

    estimate: float
    ci_low: float
    ci_high: float
    n_trials: int
    n_participants: int
    appraised_good: int
    i2: float = math.nan
    pi_low: float = math.nan
    pi_high: float = math.nan
    mcid: float | None = None
    asymmetry_p: float = math.nan
    indirect: tuple[str, ...] = ()


@dataclass(frozen=True)
class Certainty:
    """A level of certainty and what lowered it.

    Attributes
    ----------
    level : str
        "high", "moderate", "low", "very low", or "no evidence".
    downgrades : tuple of (str, int, str)
        Domain, steps down, reason.
    """

    level: str
    downgrades: tuple[tuple[str, int, str], ...] = ()

    @property
    def reasons(self) -> str:
        """The downgrades in a line."""
        return "; ".join(f"{domain} −{steps}: {why}" for domain, steps, why in self.downgrades)

    def table(self) -> pd.DataFrame:
        """`domain, steps, reason`."""
        return pd.DataFrame(self.downgrades, columns=["domain", "steps", "reason"])


def certainty(body: Body) -> Certainty:
    """Grade a body of evidence from randomised trials: high, less what lowers it.

    Parameters
    ----------
    body : Body

    Returns
    -------
    Certainty
    """
    if body.n_trials == 0 or not math.isfinite(body.estimate):
        return Certainty(NO_EVIDENCE)
    rules = (risk_of_bias, inconsistency, indirectness, imprecision, small_study_effects)
    found = [(domain, *rule(body)) for domain, rule in zip(DOMAINS, rules, strict=True)]
    downgrades = tuple(item for item in found if item[1])
    steps = sum(item[1] for item in downgrades)
    return Certainty(LEVELS[max(0, len(LEVELS) - 1 - steps)], downgrades)


def risk_of_bias(body: Body) -> tuple[int, str]:
    """One step down unless more than half of the trials are known to be of good quality."""
    share = body.appraised_good / body.n_trials
    if share > ENOUGH_GOOD:
        return 0, ""
    return 1, f"{body.appraised_good} of {body.n_trials} trials known to be of good quality"


def inconsistency(body: Body) -> tuple[int, str]:
    """A step for substantial, two for considerable heterogeneity; a step for one trial alone."""
    if body.n_trials == 1:
        return 1, "one trial: agreement between trials is unknown"
    if math.isfinite(body.i2) and body.i2 >= CONSIDERABLE_I2:
        return 2, f"I² {body.i2:.0f}%"
    if math.isfinite(body.i2) and body.i2 >= SUBSTANTIAL_I2:
        return 1, f"I² {body.i2:.0f}%"
    if _clear(body.ci_low, body.ci_high) and not _clear(body.pi_low, body.pi_high, True):
        return 1, "the prediction interval includes no effect"
    return 0, ""


def indirectness(body: Body) -> tuple[int, str]:
    """One step down if the trials answer a neighbouring question."""
    return (1, ", ".join(body.indirect)) if body.indirect else (0, "")


def imprecision(body: Body) -> tuple[int, str]:
    """A step for few participants, a step for an interval that leaves the matter open."""
    faults = []
    if body.n_participants < INFORMATION_SIZE:
        few = f"{body.n_participants} participants, fewer than {INFORMATION_SIZE}"
        faults.append(few if body.n_participants else "the reports print no arm sizes")
    if body.mcid and not _clear(body.ci_low, body.ci_high):
        reach = max(abs(body.ci_low), abs(body.ci_high))
        if reach >= body.mcid:
            faults.append("the interval includes both no effect and one that matters")
    elif not body.mcid and not _clear(body.ci_low, body.ci_high):
        faults.append("the interval includes no effect")
    return len(faults), "; ".join(faults)


def small_study_effects(body: Body) -> tuple[int, str]:
    """One step down for asymmetry, which fewer than ten trials cannot show."""
    if body.n_trials < FEWEST_FOR_ASYMMETRY or not body.asymmetry_p < ASYMMETRY_P:
        return 0, ""
    return 1, f"small trials show other effects (Egger's test, P = {body.asymmetry_p:.2g})"


def good_quality(appraisal: object) -> bool:
    """Whether a published appraisal says good quality: PEDro 6 or more of 10."""
    found = PEDRO.search(appraisal) if isinstance(appraisal, str) else None
    return bool(found) and int(found[1]) >= GOOD_PEDRO


def _clear(low: float, high: float, missing: bool = False) -> bool:
    """Whether an interval leaves out zero; `missing` for an interval that is not known."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return missing
    return low * high > 0
