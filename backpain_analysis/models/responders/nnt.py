"""The number needed to treat, from a difference in risk or from a difference in means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from scipy import stats

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

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as for JSON."""
        return {**vars(self), "text": self.text}


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
    shift = stats.norm.ppf(control_share)
    risks = [float(stats.norm.cdf(d + shift)) for d in (smd, low, high)]
    found = [round(risk - control_share, ROUNDING) for risk in risks]
    return number_needed(*found, level)


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
