"""How many people benefit, from published trials: responders and the number needed to treat."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd
import scipy

from backpain_analysis.display import html_table
from backpain_analysis.effects.responders import Response, arm_shares, responder_effects
from backpain_analysis.effects.table import Effects
from backpain_analysis.errors import CannotEstimate, require
from backpain_analysis.evidence.evidence import Evidence
from backpain_analysis.evidence.scales import mcid as published_mcid
from backpain_analysis.models.pairwise.pooling import PoolResult, pool
from backpain_analysis.words import LOWER_IS_BETTER, plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes


ROUNDING = 12
"""Digits of a difference in risk; what is left of one of zero is no number needed."""


@dataclass(frozen=True)
class NNT:
    """A number needed to treat for one more responder.

    Attributes
    ----------
    estimate : float
        `1/RD`; negative where fewer respond (a number needed to treat for harm).
    ci_low, ci_high : float
        Reciprocals of the limits of RD, in the order of the limits: where RD may be zero the
        interval runs from `ci_high` (benefit) through infinity to `ci_low` (harm).
    level : float
    """

    estimate: float
    ci_low: float
    ci_high: float
    level: float = 0.95

    @property
    def spans_infinity(self) -> bool:
        """Whether both benefit and harm are inside the interval."""
        return self.ci_low < 0 < self.ci_high

    @property
    def interval(self) -> str:
        """The interval as Altman (1998) writes it."""
        if self.spans_infinity:
            return f"{_named(self.ci_high)} to ∞ to {_named(self.ci_low)}"
        near, far = sorted((abs(self.ci_low), abs(self.ci_high)))
        return f"{_rounded(near)} to {_rounded(far)}"

    @property
    def text(self) -> str:
        """Such as "NNTB 10 (95% CI NNTB 4 to ∞ to NNTH 20)"."""
        return f"{_named(self.estimate)} ({self.level:.0%} CI {self.interval})"


def number_needed(difference: float, low: float, high: float, level: float = 0.95) -> NNT:
    """The number needed to treat for one more responder, by inverting a difference in risk.

    Source: Altman 1998 (doi 10.1136/bmj.317.7168.1309), also for an interval of the difference
    that holds zero: "NNTB 4 to ∞ to NNTH 20".

    Parameters
    ----------
    difference, low, high : float
        More responders with treatment is above zero.
    level : float

    Raises
    ------
    ValueError
        Unless -1 <= low <= difference <= high <= 1.
    """
    if not -1 <= low <= difference <= high <= 1:
        raise ValueError(
            f"a difference in risk lies between its limits and they between -1 and 1: "
            f"{difference:g} from {low:g} to {high:g}."
        )
    return NNT(_inverse(difference), _inverse(low), _inverse(high, -1), level)


def nnt_from_smd(
    smd: float, low: float, high: float, control_share: float, level: float = 0.95
) -> NNT:
    """The number needed to treat at an assumed share of responders without treatment.

    `1/(Phi(d + Phi^-1(c)) - c)`, c the control share and d the standardised difference in the
    direction of benefit (Furukawa & Leucht 2011, doi 10.1371/journal.pone.0019070; in pain
    trials: da Costa et al. 2012, doi 10.1093/ije/dys124). The interval is that of d; c is taken
    as known.

    Parameters
    ----------
    smd, low, high : float
        Above zero is better: turn the sign of outcomes where lower is better.
    control_share : float
        Strictly between 0 and 1.
    level : float

    Raises
    ------
    ValueError
    """
    if not 0 < control_share < 1:
        raise ValueError(f"control_share {control_share} must lie between 0 and 1.")
    shift = scipy.stats.norm.ppf(control_share)
    estimate, lower, upper = (
        round(float(scipy.stats.norm.cdf(d + shift)) - control_share, ROUNDING)
        for d in (smd, low, high)
    )
    return number_needed(estimate, lower, upper, level)


def nnt_from_md(
    md: float, low: float, high: float, sd: float, control_share: float, level: float = 0.95
) -> NNT:
    """The same from a difference in means and the SD of the outcome within arms.

    `d = md/sd` (Cochrane Handbook 15.5.3); for shares of people who improve by some amount the
    SD is that of changes.

    Parameters
    ----------
    md, low, high : float
        Above zero is better.
    sd : float
    control_share, level
        As of `nnt_from_smd`.

    Raises
    ------
    ValueError
    """
    if not sd > 0:
        raise ValueError(f"sd {sd} must be above zero.")
    return nnt_from_smd(md / sd, low / sd, high / sd, control_share, level)


def _inverse(difference: float, sign: int = 1) -> float:
    return 1 / difference if difference else sign * math.inf


def _rounded(number: float) -> str:
    size = abs(number)
    return "∞" if math.isinf(size) else f"{size:.1f}" if size < 9.95 else f"{size:,.0f}"


def _named(number: float) -> str:
    """With what the number is needed for: benefit or harm."""
    return f"{'NNTB' if number > 0 else 'NNTH'} {_rounded(number)}"


@dataclass(frozen=True)
class TrialResponders:
    """Shares of responders pooled over trials.

    Attributes
    ----------
    effects : Effects
        Differences in the share of responders, above zero where more respond with exercise.
    difference : PoolResult
        Their mean.
    control : PoolResult
        Mean share in the reference arms, as log odds; see `control_share`.
    response : Response
        What counts as a response.
    outcome : str
        In which people respond.
    """

    effects: Effects = field(repr=False)
    difference: PoolResult
    control: PoolResult
    response: Response
    outcome: str

    @property
    def n_trials(self) -> int:
        return self.effects.n_trials

    @property
    def n_participants(self) -> int:
        """Participants in arms of known size."""
        return self.effects.n_participants

    @property
    def control_share(self) -> float:
        """Mean share of responders without exercise."""
        return float(scipy.special.expit(self.control.estimate))

    @property
    def shares(self) -> pd.DataFrame:
        """Each arm's share: see `effects.responders.arm_shares`."""
        return arm_shares(self.effects)

    @property
    def nnt(self) -> NNT:
        """The number needed to treat for one more responder; limits of RD are cut at -1 and 1."""
        return nnt_of(self.difference)

    def summary(self) -> pd.DataFrame:
        """Mean share without exercise and mean difference: `estimate, ci_low, ci_high, pi_*`."""
        columns = ["estimate", "ci_low", "ci_high", "pi_low", "pi_high"]
        control = scipy.special.expit(self.control.summary()[columns])
        difference = self.difference.summary()[columns].clip(-1, 1)
        table = pd.concat([control, difference])
        return table.set_index(pd.Index(["share without exercise", "difference"]))

    def excluded_counts(self) -> pd.DataFrame:
        """How many arms (and trials) were left out for which reason."""
        return self.effects.excluded_counts()

    def plot(self, **options: Any) -> Axes:
        """Share with and without exercise, trial by trial: see `figures.responders`."""
        from backpain_analysis.figures.responder_plots import trial_responders

        return trial_responders(self, **options)

    def _repr_html_(self) -> str:
        title = f"Responders: improvement of {self.response.text}"
        note = f"{plural(self.n_trials, 'trial')}; normal approximation. {self.nnt.text}."
        return html_table(self.summary(), title=title, note=note)


def responders_from_means(
    evidence: Evidence,
    outcome: str,
    *,
    mcid: float | None = None,
    percent: float | None = None,
    method: str = "REML",
    test: str = "knapp-hartung",
    level: float = 0.95,
    **options: Any,
) -> TrialResponders:
    """How many more people respond with exercise than without, from trial means and SDs.

    Parameters
    ----------
    evidence : Evidence
    outcome : str
    mcid : float, optional
        A response is an improvement of at least so many points of 0-100; by default, without
        `percent`, the published MCID of the outcome.
    percent : float, optional
        Or of at least so many per cent of the baseline value.
    method, test, level
        As of `models.pooling.pool`.
    **options
        Of `effects.responders.responder_effects`, such as `timepoint` and `correlation`.

    Returns
    -------
    TrialResponders
        Of arms compared with inactive ones.

    Raises
    ------
    ValueError
        If no trial gives a share, or nothing says what a response is.

    Examples
    --------
    >>> evidence = bp.load_evidence().filter(population=bp.BACK_PAIN, exercise_type="yoga")
    >>> bp.responders_from_means(evidence, "pain_intensity").n_trials
    2
    """
    require(evidence, "Evidence")
    if mcid is None and percent is None:
        mcid = published_mcid(outcome)
    effects = responder_effects(evidence, outcome, mcid=mcid, percent=percent, **options)
    effects = effects.against_inactive()
    if not len(effects):
        raise CannotEstimate(
            f"no trial of {outcome} gives the mean change and its SD of both an exercise arm and "
            "an inactive arm",
            "choose another time, or a response in points",
        )
    share, se = effects.table.drop_duplicates("trial_id")[
        ["ref_share", "ref_share_se"]
    ].T.to_numpy()
    pooling: Mapping[str, Any] = {"method": method, "test": test, "level": level}
    return TrialResponders(
        effects=effects,
        difference=pool(effects, **pooling),
        control=pool(scipy.special.logit(share), (se / (share * (1 - share))) ** 2, **pooling),
        response=Response(mcid, percent, outcome in LOWER_IS_BETTER),
        outcome=outcome,
    )


def nnt_of(difference: PoolResult) -> NNT:
    """The number needed to treat of a pooled difference in risk, its limits cut at -1 and 1."""
    low, high = max(difference.ci_low, -1.0), min(difference.ci_high, 1.0)
    return number_needed(difference.estimate, low, high, difference.level)
