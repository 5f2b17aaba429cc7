"""How certain a body of trial evidence is: GRADE's questions as rules that are written down.

GRADE asks for judgement; these rules make the same judgement every time, and each says why, with
its numbers. They follow GRADE as written today: the target is stated (Hultcrantz et al. 2017, doi
10.1016/j.jclinepi.2017.05.006); imprecision asks which thresholds the interval crosses (Zeng et al.
2022, doi 10.1016/j.jclinepi.2022.07.014); inconsistency asks the same of the prediction interval
of that comparison (Guyatt et al. 2023, doi 10.1016/j.jclinepi.2023.03.003); information size of 400
participants (Guyatt et al. 2011, doi 10.1016/j.jclinepi.2011.01.012); publication bias (doi
10.1016/j.jclinepi.2011.01.011). They are a start for a reader's own judgement, not its replacement.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from backpain_analysis.errors import require
from backpain_analysis.words import p_text, plural

LEVELS = ("very low", "low", "moderate", "high")

NO_EVIDENCE, NOT_GRADED = "no evidence", "not graded"

DOMAINS = (
    "risk of bias",
    "inconsistency",
    "indirectness",
    "imprecision",
    "small-study effects",
    "incoherence",
)

INFORMATION_SIZE = 400

SUBSTANTIAL_I2 = 50.0
"""Cochrane Handbook 10.10.2."""

FEWEST_FOR_ASYMMETRY = 10

ASYMMETRY_P = INCOHERENCE_P = 0.10

HIGHEST_UNKNOWN = "moderate"
"""Certainty is at most this where the risk of bias of more than half of the trials is unknown."""


@dataclass(frozen=True)
class Body:
    """A body of evidence on one question.

    Attributes
    ----------
    estimate, ci_low, ci_high : float
    n_trials : int
    n_participants : int
        In arms of known size; 0 where no report prints one.
    low_risk, unclear_risk, high_risk : int
        Trials whose appraisal says so (see `appraisals.trial_risk`); the others have none.
    i2 : float
        Per cent, of this comparison; missing for one trial.
    pi_low, pi_high : float
        Prediction interval; missing where there is none.
    mcid : float or None
        Size of the smallest difference that matters, in the units of the estimate.
    asymmetry_p : float
        P value of a test of small-study effects; missing where not tested.
    incoherence_p : float
        P value of direct against indirect evidence; missing where there is one of them only.
    indirect : tuple of str
        Ways in which the trials do not answer the question directly.
    """

    estimate: float
    ci_low: float
    ci_high: float
    n_trials: int
    n_participants: int
    low_risk: int = 0
    unclear_risk: int = 0
    high_risk: int = 0
    i2: float = math.nan
    pi_low: float = math.nan
    pi_high: float = math.nan
    mcid: float | None = None
    asymmetry_p: float = math.nan
    incoherence_p: float = math.nan
    indirect: tuple[str, ...] = ()

    @property
    def appraised(self) -> int:
        """Trials with an appraisal of their risk of bias."""
        return self.low_risk + self.unclear_risk + self.high_risk

    @property
    def bias_unknown(self) -> bool:
        """Whether more than half of the trials have no appraisal."""
        return 2 * self.appraised < self.n_trials

    @property
    def target(self) -> str:
        """What certainty is about: an effect of at least the MCID, a smaller one, or any."""
        if not self.mcid:
            return "an effect that is not zero"
        reached = abs(self.estimate) >= self.mcid
        return "an effect of at least the MCID" if reached else "an effect smaller than the MCID"


@dataclass(frozen=True)
class Certainty:
    """A level of certainty and how each domain was judged.

    Attributes
    ----------
    level : str
        "high", "moderate", "low", "very low", or "no evidence".
    judgements : tuple of (str, int, str)
        Domain, steps down, reason with its numbers; every domain, also those without a step.
    target : str
        What the certainty is about.
    """

    level: str
    judgements: tuple[tuple[str, int, str], ...] = ()
    target: str = ""

    @property
    def downgrades(self) -> tuple[tuple[str, int, str], ...]:
        """The judgements that lowered it."""
        return tuple(item for item in self.judgements if item[1])

    @property
    def reasons(self) -> str:
        """The downgrades in a line."""
        return "; ".join(f"{domain} −{steps}: {why}" for domain, steps, why in self.downgrades)

    def table(self) -> pd.DataFrame:
        """`domain, steps, reason`."""
        return pd.DataFrame(self.judgements, columns=["domain", "steps", "reason"])


def certainty(body: Body) -> Certainty:
    """Grade a body of evidence from randomised trials: high, less what lowers it.

    Where more than half of the trials have no appraisal, the risk of bias is unknown: no step is
    taken for it, and certainty is at most moderate.

    Parameters
    ----------
    body : Body

    Returns
    -------
    Certainty

    Examples
    --------
    >>> body = Body(-20.0, -24.0, -16.0, n_trials=6, n_participants=900, low_risk=5, mcid=15.0)
    >>> certainty(body).level, certainty(body).target
    ('high', 'an effect of at least the MCID')
    """
    require(body, "Body")
    if body.n_trials == 0 or not math.isfinite(body.estimate):
        return Certainty(NO_EVIDENCE)
    rules = (
        *(risk_of_bias, inconsistency, indirectness),
        *(imprecision, small_study_effects, incoherence),
    )
    judged = tuple((domain, *rule(body)) for domain, rule in zip(DOMAINS, rules, strict=True))
    steps = sum(item[1] for item in judged)
    level = LEVELS[max(0, len(LEVELS) - 1 - steps)]
    if body.bias_unknown:
        level = min(level, HIGHEST_UNKNOWN, key=LEVELS.index)
    return Certainty(level, judged, body.target)


def risk_of_bias(body: Body) -> tuple[int, str]:
    """One step down where most appraised trials are not at low risk; none where it is unknown."""
    if body.bias_unknown:
        unknown = body.n_trials - body.appraised
        return 0, f"unknown for {unknown} of {plural(body.n_trials, 'trial')}: at most moderate"
    text = f"{body.low_risk} of {plural(body.appraised, 'appraised trial')} at low risk"
    return int(2 * body.low_risk < body.appraised), text


def inconsistency(body: Body) -> tuple[int, str]:
    """A step for each threshold that the prediction interval crosses and the interval does not.

    Without a prediction interval, a step for substantial heterogeneity.
    """
    if body.n_trials == 1:
        return 0, "one trial: agreement cannot be judged"
    spread = f"I² {body.i2:.0f}%" if math.isfinite(body.i2) else "I² not known"
    if not (math.isfinite(body.pi_low) and math.isfinite(body.pi_high)):
        return int(body.i2 >= SUBSTANTIAL_I2), spread
    more = _crossed(body.pi_low, body.pi_high, body) - _crossed(body.ci_low, body.ci_high, body)
    if more <= 0:
        return 0, f"{spread}; the prediction interval crosses no other threshold"
    border = ("the MCID", "the MCID both ways")[more - 1] if body.mcid else "no effect"
    return more, f"{spread}; the prediction interval also includes {border}"


def indirectness(body: Body) -> tuple[int, str]:
    """One step down if the trials answer a neighbouring question."""
    return (1, ", ".join(body.indirect)) if body.indirect else (0, "the question as asked")


def imprecision(body: Body) -> tuple[int, str]:
    """A step for each threshold in the interval: the MCID both ways, or no effect without one.

    Or, where that is more, a step for fewer participants than the information size, two for fewer
    than half of it.
    """
    crossed = _crossed(body.ci_low, body.ci_high, body)
    border = ("the MCID", "the MCID both ways") if body.mcid else ("no effect",)
    said = f"the interval includes {border[crossed - 1]}" if crossed else "no threshold crossed"
    if not body.n_participants:
        return max(crossed, 1), f"{said}; the reports print no arm sizes"
    few = (body.n_participants < INFORMATION_SIZE) + (2 * body.n_participants < INFORMATION_SIZE)
    people = f"{body.n_participants:,} participants"
    size = f"{people}, fewer than {INFORMATION_SIZE}" if few else people
    return max(crossed, few), f"{said}; {size}"


def small_study_effects(body: Body) -> tuple[int, str]:
    """One step down for asymmetry, which fewer than ten trials cannot show."""
    if body.n_trials < FEWEST_FOR_ASYMMETRY:
        return 0, f"fewer than {FEWEST_FOR_ASYMMETRY} trials cannot show them"
    if not math.isfinite(body.asymmetry_p):
        return 0, "not tested"
    if body.asymmetry_p < ASYMMETRY_P:
        return 1, f"small trials show other effects (Egger's test, {p_text(body.asymmetry_p)})"
    return 0, f"none shown (Egger's test, {p_text(body.asymmetry_p)})"


def incoherence(body: Body) -> tuple[int, str]:
    """One step down where direct and indirect evidence of a network disagree."""
    if not math.isfinite(body.incoherence_p):
        return 0, "direct or indirect evidence only"
    disagree = body.incoherence_p < INCOHERENCE_P
    text = f"direct against indirect evidence {p_text(body.incoherence_p)}"
    return int(disagree), text


def _crossed(low: float, high: float, body: Body) -> int:
    """How many thresholds an interval has inside it."""
    borders = (-body.mcid, body.mcid) if body.mcid else (0.0,)
    return sum(low < border < high for border in borders)
