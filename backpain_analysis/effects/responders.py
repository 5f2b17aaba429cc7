"""Shares of responders from the means and SDs of arms, and their differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import scipy
from numpy.typing import ArrayLike

from backpain_analysis.effects.assemble import (
    assembled,
    best_estimate,
    check,
    checked_scope,
    references,
    unrelated,
)
from backpain_analysis.effects.choice import (
    INACTIVE,
    Arm,
    Request,
    Timepoint,
    check_timepoint,
    programme_weeks,
)
from backpain_analysis.effects.derive import USUAL
from backpain_analysis.effects.gathering import Occasion, TrialResults
from backpain_analysis.effects.sources import (
    Estimate,
    Figures,
    changes,
    figures_of,
    remarks,
)
from backpain_analysis.effects.table import Effects
from backpain_analysis.evidence.evidence import Evidence
from backpain_analysis.words import LOWER_IS_BETTER

NO_SHARE = "no mean change with its SD in this arm and the reference arm"


@dataclass(frozen=True)
class Response:
    """What counts as a response.

    Attributes
    ----------
    points : float or None
        Improvement of at least so many points.
    percent : float or None
        Or of at least so many per cent of the baseline value.
    lower_is_better : bool

    Raises
    ------
    ValueError
        Unless exactly one of `points` and `percent` is given, above zero.
    """

    points: float | None
    percent: float | None
    lower_is_better: bool = True

    def __post_init__(self) -> None:
        given = [value for value in (self.points, self.percent) if value is not None]
        if len(given) != 1 or given[0] <= 0 or (self.percent or 0) > 100:
            raise ValueError(
                "say what a response is: either mcid, in points above zero, or percent, from "
                f"above 0 to 100 (given: mcid={self.points}, percent={self.percent})."
            )

    @property
    def text(self) -> str:
        """As readers say it: "15 points or more", "30% or more"."""
        return f"{self.points:g} points or more" if self.points else f"{self.percent:g}% or more"

    @property
    def worse(self) -> int:
        """+1 where higher scores are worse, -1 where they are better."""
        return 1 if self.lower_is_better else -1

    @property
    def kept(self) -> float:
        """Multiple of the baseline that a response of so many per cent must reach."""
        return 1 - self.worse * (self.percent or 0.0) / 100

    def is_met(self, baseline: ArrayLike, value: ArrayLike) -> np.ndarray:
        """Whether a later score is a response, given the score at baseline."""
        baseline, value = np.asarray(baseline, dtype=float), np.asarray(value, dtype=float)
        if self.points is not None:
            return self.worse * (baseline - value) >= self.points
        return self.worse * (value - self.kept * baseline) <= 0


def share_below(
    mean: ArrayLike, sd: ArrayLike, n: ArrayLike, threshold: ArrayLike = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Share of a normal population at or below a threshold, from a sample's mean and SD.

    `p = Phi(z)`, `z = (threshold - mean)/sd` (Furukawa et al. 2005, Int Clin Psychopharmacol
    20:49-52; against observed responders in pain trials: da Costa et al. 2012,
    doi 10.1093/ije/dys124). Standard error by the delta method, `phi(z) sqrt(1/n + z^2/(2(n-1)))`:
    the mean has variance `sd^2/n`, the SD independently `sd^2/(2(n-1))`.

    Returns
    -------
    share, se : ndarray
    """
    mean, sd, n = (np.asarray(values, dtype=float) for values in (mean, sd, n))
    z = (np.asarray(threshold, dtype=float) - mean) / sd
    return scipy.stats.norm.cdf(z), scipy.stats.norm.pdf(z) * np.sqrt(1 / n + z**2 / (2 * (n - 1)))


def responder_effects(
    evidence: Evidence,
    outcome: str,
    *,
    mcid: float | None = None,
    percent: float | None = None,
    timepoint: Timepoint = "post",
    correlation: float = 0.5,
    reference: Mapping[str, str] | None = None,
    inactive: Sequence[str] = INACTIVE,
    flags: Sequence[str] = ("exclude",),
    designs: Sequence[str] = ("parallel", "cluster"),
    include_home: bool = False,
    met: Mapping[str, float] | None = None,
    derive: Sequence[str] = USUAL,
    icc: float | None = None,
) -> Effects:
    """Difference in the share of responders, every exercise arm against its reference arm.

    Shares follow from the mean and SD of each arm by the normal distribution (see `share_below`):
    of the change from baseline, reported or computed, for a response in points; for one in per
    cent of `final - w baseline` with `w = 1 - percent/100`, of mean `m_f - w m_b` and variance
    `s_f^2 + w^2 s_b^2 - 2 w r s_f s_b`. Where an arm prints its change instead of its final level,
    `s_f` is the root of `s_c^2 = s_b^2 + s_f^2 - 2 r s_b s_f`, if it has one.

    Parameters
    ----------
    evidence : Evidence
    outcome : str
    mcid : float, optional
        A response is an improvement of at least so many points of 0-100;
    percent : float, optional
        or of at least so many per cent of the baseline value.
    timepoint, correlation, reference, inactive, flags, designs, include_home, met, derive, icc
        As of `assemble.from_evidence`.

    Returns
    -------
    Effects
        Of the outcome "responders", measure "RD": `yi` above zero means more of them with
        exercise. Further columns:
        `share, share_se, ref_share, ref_share_se`. Covariance of a trial's contrasts: the
        variance of the share of their reference arm.

    Raises
    ------
    ValueError
        As `assemble.from_evidence`; unless exactly one of `mcid` and `percent` is given.
    """
    check(evidence, outcome, "MD", "change", correlation, reference or {}, inactive)
    scope = checked_scope(
        evidence,
        flags=flags,
        designs=designs,
        include_home=include_home,
        met=met,
        derive=derive,
        icc=icc,
    )
    response = Response(mcid, percent, outcome in LOWER_IS_BETTER)
    request = Request(
        outcome,
        "MD",
        check_timepoint(timepoint),
        ("change",),
        correlation,
        reference or {},
        inactive,
    )
    effects = assembled(evidence, request, partial(_chosen, response=response), unrelated, scope)
    generic = "no usable result of the reference arm to compare with"
    excluded = effects.excluded.replace({"reason": {generic: NO_SHARE}})
    return Effects(effects.table, effects.covariance, excluded, "responders", "RD")


def _chosen(
    arms: list[Arm], trial: TrialResults, request: Request, response: Response
) -> list[Estimate]:
    """The estimates of a trial, against the first reference arm that gives any."""
    make = partial(_differences, response=response)
    for way in references(arms, request):
        found = [
            best_estimate(*pair, trial, trial.occasions, programme_weeks(arms), request, make)
            for pair in way
        ]
        if any(found):
            return [estimate for estimate in found if estimate is not None]
    return []


def _differences(
    reference: str,
    others: list[str],
    trial: TrialResults,
    occasion: Occasion,
    _source: str,
    request: Request,
    *,
    response: Response,
) -> Estimate | None:
    figures = _figures(trial, occasion, request.correlation, response)
    arms = [arm for arm in others if arm in figures]
    if reference not in figures or not arms:
        return None
    own = [figures[arm] for arm in (reference, *arms)]
    mean, sd, n = np.array([(f.mean, f.sd, f.effective) for f in own], dtype=float).T
    if np.any(n < 2) or np.any(sd <= 0):
        return None
    share, se = share_below(mean, sd, n)
    size = len(arms)
    return Estimate(
        arms=tuple(arms),
        reference=reference,
        occasion=occasion,
        source="normal approximation",
        yi=share[1:] - share[0],
        covariance=np.diag(se[1:] ** 2) + se[0] ** 2,
        n_arms=tuple(f.n for f in own[1:]),
        n_reference=own[0].n,
        obtained=tuple(remarks(f.obtained, own[0].obtained) for f in own[1:]),
        extra={
            "share": share[1:],
            "share_se": se[1:],
            "ref_share": np.full(size, share[0]),
            "ref_share_se": np.full(size, se[0]),
        },
    )


def _figures(
    trial: TrialResults, occasion: Occasion, correlation: float, response: Response
) -> dict[str, Figures]:
    """Mean, SD and size of what is zero or below in responders, by arm."""
    worse, points = response.worse, response.points
    if points is not None:
        return {
            arm: change._replace(mean=worse * change.mean + points)
            for arm, change in changes(trial, occasion, correlation).items()
        }
    baseline, kept = trial.baseline(occasion.key), response.kept
    found = {}
    for arm, level in _levels(trial, occasion, correlation).items():
        if arm in baseline:
            start, sd = baseline[arm], level.sd
            variance = sd**2 + (kept * start.sd) ** 2 - 2 * kept * correlation * sd * start.sd
            mean = worse * (level.mean - kept * start.mean)
            found[arm] = level._replace(mean=mean, sd=float(np.sqrt(variance)))
    return found


def _levels(trial: TrialResults, occasion: Occasion, correlation: float) -> dict[str, Figures]:
    """Mean, SD and size of each arm's level: as reported, else from its change and baseline."""
    baseline = trial.baseline(occasion.key)
    found = {}
    for arm, change in figures_of(trial.changes.get(occasion, {})).items():
        if arm in baseline:
            start = baseline[arm]
            square = change.sd**2 - (1 - correlation**2) * start.sd**2
            if square >= 0:
                sd = correlation * start.sd + np.sqrt(square)
                found[arm] = change._replace(mean=start.mean + change.mean, sd=float(sd))
    return {**found, **figures_of(trial.levels.get(occasion, {}))}


def arm_shares(effects: Effects) -> pd.DataFrame:
    """Each arm once, with its share of responders.

    Returns
    -------
    DataFrame
        `trial_id, arm_id, label, treatment, is_reference, n, share, se`.
    """
    table = effects.table
    columns = ["trial_id", "arm_id", "label", "treatment", "n", "share", "se"]
    own = ["trial_id", "arm_id", "label", "treatment", "n_arm", "share", "share_se"]
    other = ["trial_id", "ref_arm_id", "label", "ref_treatment", "n_ref", "ref_share"]
    other += ["ref_share_se"]
    arms = table[own].set_axis(columns, axis=1).assign(is_reference=False)
    references = table.drop_duplicates(["trial_id", "ref_arm_id"])[other]
    references = references.set_axis(columns, axis=1).assign(is_reference=True)
    both = pd.concat([arms, references]).sort_values("trial_id", kind="stable")
    return both.reset_index(drop=True)
