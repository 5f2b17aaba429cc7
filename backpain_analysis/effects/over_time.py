"""Effect sizes at every time a trial reports, with their covariance over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np

from backpain_analysis.effects.assemble import (
    Analysis,
    assembled,
    best_estimate,
    check,
    checked_scope,
    references,
    sources,
)
from backpain_analysis.effects.choice import INACTIVE, Arm, Measure, Request, instrument_rank
from backpain_analysis.effects.derive import USUAL
from backpain_analysis.effects.gathering import TrialResults
from backpain_analysis.effects.sources import Estimate
from backpain_analysis.effects.table import Effects
from backpain_analysis.errors import require
from backpain_analysis.evidence.evidence import Evidence

Pattern = Literal["constant", "decay"]
PATTERNS = ("constant", "decay")
APART = 12.0
"""Weeks between two measurements that `correlation_over_time` is of, where it decays."""
A_DAY = 1 / 7
"""Weeks: anything measured earlier followed a single bout, not a programme."""


def effects_over_time(
    evidence: Evidence,
    outcome: str,
    measure: Measure = "MD",
    analysis: Analysis = "best",
    correlation: float = 0.5,
    *,
    correlation_over_time: float = 0.5,
    pattern: Pattern = "constant",
    reference: Mapping[str, str] | None = None,
    inactive: Sequence[str] = INACTIVE,
    flags: Sequence[str] = ("exclude",),
    designs: Sequence[str] = ("parallel", "cluster"),
    include_home: bool = False,
    met: Mapping[str, float] | None = None,
    derive: Sequence[str] = USUAL,
    icc: float | None = None,
    unit: str | None = None,
    head_to_head: bool = False,
) -> Effects:
    """Effect sizes of an outcome at every follow-up whose week is known.

    The reference arm, the source of a result and SMDs are as in `assemble.from_evidence`. A trial
    enters with one instrument at all its times: the one that gives most contrasts, then the
    preferred one (`choice.INSTRUMENTS`).

    **Covariance over time.** With `V_s = L_s L_s'` the covariance of a trial's contrasts at time
    s, that between times s and t is `r(s, t) L_s L_t'`: for one contrast `r sqrt(v_s v_t)`, for
    equal V at both times `r V`, and positive definite for any r that is a correlation. No trial
    prints r. Trials support one value for all pairs of times ("constant": Frison & Pocock 1992,
    doi 10.1002/sim.4780111304); over 20 trials of patient-reported outcomes it was 0.50 on
    average between baseline and follow-up (Walters et al. 2019, doi 10.1186/s13063-019-3671-2),
    which is the default here. With "decay" it is `r^(|s - t|/12)`, r being the correlation 12
    weeks apart. Both structures in meta-analysis: Musekiwa et al. 2016
    (doi 10.1371/journal.pone.0164898).

    Parameters
    ----------
    evidence, outcome, measure, analysis, correlation
        As of `assemble.from_evidence`.
    correlation_over_time : float
        Between two follow-ups of a trial, from 0 to below 1.
    pattern : {"constant", "decay"}
    reference, inactive, flags, designs, include_home, met, derive, icc, unit, head_to_head
        As of `assemble.from_evidence`.

    Returns
    -------
    Effects
        A row a contrast and time, with three further columns: `weeks` since randomisation,
        `programme_weeks` (length of the arm's programme) and `weeks_after_programme` (since its
        end, negative before it); the last two are missing where the length is unknown.

    Raises
    ------
    ValueError
        As `assemble.from_evidence`; for an unknown pattern or correlation.

    Examples
    --------
    >>> evidence = bp.load_evidence().filter(population=bp.BACK_PAIN)
    >>> bp.effects_over_time(evidence, "pain_intensity").table[
    ...     ["trial_id", "weeks", "yi"]
    ... ].round(1).head(3)
               trial_id  weeks    yi
    0      bramberg2017   26.0  -6.5
    1      bramberg2017   26.0  -9.4
    2  cuestavargas2012   52.0 -26.0
    """
    require(evidence, "Evidence")
    scope = checked_scope(
        evidence,
        flags=flags,
        designs=designs,
        include_home=include_home,
        met=met,
        derive=derive,
        icc=icc,
        unit=unit,
    )
    check(evidence, outcome, measure, analysis, correlation, reference or {}, inactive)
    if pattern not in PATTERNS or not 0 <= correlation_over_time < 1:
        raise ValueError(
            f"pattern {pattern!r} must be 'constant' or 'decay', and the correlation over time "
            f"({correlation_over_time}) from 0 to below 1."
        )
    request = Request(
        outcome,
        measure,
        (A_DAY, np.inf),
        sources(measure, analysis),
        correlation,
        reference or {},
        inactive,
        head_to_head=head_to_head,
    )
    over_time = partial(covariance_over_time, r=correlation_over_time, pattern=pattern)
    effects = assembled(
        evidence,
        request,
        _course,
        over_time,
        scope,
    )
    weeks = effects.table["timepoint_weeks"].astype(float)
    programme = effects.table["duration_weeks"].astype(float)
    timed = effects.table.assign(
        weeks=weeks, programme_weeks=programme, weeks_after_programme=weeks - programme
    )
    return replace(effects, table=timed)


def _course(arms: list[Arm], trial: TrialResults, request: Request) -> list[Estimate]:
    """The estimates of a trial at all times, against the first reference arm that gives any."""
    for way in references(arms, request):
        found = [estimate for pair in way for estimate in _of_pair(*pair, trial, request)]
        if found:
            return found
    return []


def _of_pair(
    reference: str, others: list[str], trial: TrialResults, request: Request
) -> list[Estimate]:
    """Estimates against one reference arm on the instrument that gives most of them."""
    courses: list[tuple[int, int, int, list[Estimate]]] = []
    for key in dict.fromkeys(occasion.key for occasion in trial.occasions):
        occasions = [occasion for occasion in trial.occasions if occasion.key == key]
        course: list[Estimate] = []
        for week in sorted({o.weeks for o in occasions if not np.isnan(o.weeks)}):
            now = [occasion for occasion in occasions if occasion.weeks == week]
            best = best_estimate(reference, others, trial, now, np.nan, request)
            course += [] if best is None else [best]
        contrasts = sum(len(estimate.arms) for estimate in course)
        courses.append((-contrasts, instrument_rank(request.outcome, key[0]), len(courses), course))
    return min(courses)[-1] if courses else []


def covariance_over_time(estimates: Sequence[Estimate], r: float, pattern: Pattern) -> np.ndarray:
    """Covariance of the contrasts of one trial at several times; see `effects_over_time`.

    Parameters
    ----------
    estimates : sequence of Estimate
        One a time (and reference arm: contrasts against different ones are independent).
    r : float
    pattern : {"constant", "decay"}

    Returns
    -------
    ndarray, shape (n_contrasts, n_contrasts)
    """
    weeks = np.concatenate([np.full(len(e.arms), e.occasion.weeks) for e in estimates])
    pairs = [(e.reference, arm) for e in estimates for arm in e.arms]
    known = {pair: place for place, pair in enumerate(dict.fromkeys(pairs))}
    factor = np.zeros((len(pairs), len(known)))
    first = 0
    for estimate in estimates:
        size = len(estimate.arms)
        columns = [known[pair] for pair in pairs[first : first + size]]
        factor[first : first + size, columns] = np.linalg.cholesky(estimate.covariance)
        first += size
    apart = np.abs(weeks[:, None] - weeks[None, :])
    over_time = r ** (apart / APART) if pattern == "decay" else np.where(apart > 0, r, 1.0)
    return over_time * (factor @ factor.T)
