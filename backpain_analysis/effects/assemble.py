"""From evidence to `Effects`: one row a contrast, nothing dropped silently."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, Literal

import numpy as np
import pandas as pd

from backpain_analysis.effects.choice import (
    EVENT_MEASURES,
    INACTIVE,
    LATE,
    MEASURES,
    Arm,
    Measure,
    Request,
    Scope,
    Timepoint,
    as_words,
    check_timepoint,
    exercise_arms,
    inactive_references,
    instrument_rank,
    lower_dose_reference,
    programme_weeks,
    reference_kind,
    treatment_of,
)
from backpain_analysis.effects.derive import USUAL, checked_derivations
from backpain_analysis.effects.gathering import (
    CONTRADICTED,
    Occasion,
    Row,
    TrialResults,
    gather,
    occasion_of,
)
from backpain_analysis.effects.sources import Estimate, from_source, remarks
from backpain_analysis.effects.table import AS_PRESCRIBED, HOME_INCLUDED, Effects
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.evidence.dose import DOSE_MEASURES
from backpain_analysis.evidence.evidence import (
    Evidence,
    latest_per_evidence,
    once_per_evidence,
)
from backpain_analysis.evidence.schema import vocabulary
from backpain_analysis.words import author_year, did_you_mean


def reasons(
    arms: Sequence[Arm],
    used: set[str],
    left_out: str | None,
    trial: TrialResults,
    request: Request,
) -> list[tuple[str, str, str]]:
    """(trial_id, arm_id, reason) for each arm of a trial that is not `used`."""
    return [
        (arm["trial_id"], arm["arm_id"], left_out or _reason(arm, arms, used, trial, request))
        for arm in arms
        if arm["arm_id"] not in used
    ]


def _reason(
    arm: Arm, arms: Sequence[Arm], used: set[str], trial: TrialResults, request: Request
) -> str:
    if arm["exercise_type"] == "none" and not request.head_to_head:
        if arm["comparator_type"] not in request.inactive:
            return f"no exercise and not inactive ({arm['comparator_type']})"
        return (
            "another inactive arm is the reference"
            if used
            else "inactive arm of a trial without a usable contrast"
        )
    if not (
        request.head_to_head
        or arm["trial_id"] in request.reference
        or inactive_references(arms, request.inactive)
    ):
        same = [other for other in arms if other["exercise_type"] == arm["exercise_type"]]
        if len(same) < 2:
            return "no inactive arm and no other dose of the same exercise"
        if lower_dose_reference(same) is None:
            return "no inactive arm, and no dose field tells the arms of this exercise apart"
    name = arm["arm_id"]
    rows = [row for row in trial.arm_rows if row.arm_id == name]
    rows += [row for row in trial.difference_rows if name in (row.arm_id, row.ref_arm_id)]
    if not rows:
        return "outcome not reported for this arm"
    timely = [row for row in rows if _is_timely(row, programme_weeks(arms), request)]
    if not timely:
        return "not reported at the time asked for"
    problems = [row.problem for row in timely if row.problem is not None]
    if len(problems) < len(timely):
        return "no usable result of the reference arm to compare with"
    return min(problems, key=lambda problem: CONTRADICTED not in problem)


def _is_timely(row: Row, programme: float, request: Request) -> bool:
    _, weeks, label = occasion_of(row)
    return label != "baseline" and request.rank(weeks, label, programme) is not None


Analysis = Literal["final", "change", "best"]

SOURCES = {
    "final": ("final", "reported"),
    "change": ("change", "reported"),
    "best": ("reported", "change", "final"),
}


def sources(measure: str, analysis: str) -> tuple[str, ...]:
    """Where results may come from, best first: events are counted before a printed ratio is."""
    if measure == "HR":
        return ("reported",)
    return ("events", "reported") if measure in EVENT_MEASURES else SOURCES[analysis]


def from_evidence(
    evidence: Evidence,
    outcome: str,
    measure: Measure = "MD",
    timepoint: Timepoint = "post",
    analysis: Analysis = "best",
    correlation: float = 0.5,
    *,
    reference: Mapping[str, str] | None = None,
    inactive: Sequence[str] = INACTIVE,
    head_to_head: bool = False,
    flags: Sequence[str] = ("exclude",),
    designs: Sequence[str] = ("parallel", "cluster"),
    include_home: bool = False,
    met: Mapping[str, float] | None = None,
    derive: Sequence[str] = USUAL,
    icc: float | None = None,
    unit: str | None = None,
) -> Effects:
    """Effect sizes of an outcome: every exercise arm against its trial's reference arm.

    **Reference arm.** The inactive arm (no treatment, waiting list, usual care, education: the
    first of these that has a usable result); in a trial without one, the lowest dose of the same
    exercise type. Head-to-head trials of different exercises have none and are left out, unless
    `head_to_head` asks for every arm of every trial (as a network does): then any arm may be
    compared with any reference, the one with which most arms of the trial can be compared.

    **Which result.** A trial's instrument, time and source are chosen together: the combination
    that covers most of its exercise arms, then the best time (see `choice.time_rank`), then the
    preferred instrument (`choice.INSTRUMENTS`), then the preferred source:

    - "final": final values of both arms, else the difference the trial reports;
    - "change": changes from baseline (reported, or final minus baseline with
      `SD^2 = SD_b^2 + SD_f^2 - 2 r SD_b SD_f`, Cochrane Handbook 6.5.2.8), else the difference;
    - "best": the reported difference (most are adjusted for baseline), else reported or computed
      changes, else final values. MDs of all three estimate the same quantity in a randomised
      trial (Cochrane Handbook 10.5.2).

    A reported difference that contradicts the values of its own arms (more than two standard
    errors away: a wrong sign, unit or arm) is not used; `source` says so where the arms' values
    take its place.

    **SMDs** are Hedges' g standardised by the SD of levels: the final one, for changes and
    reported differences the baseline or final one where known, else the change SD over
    `sqrt(2 (1 - r))` or the SD that the interval implies.

    **Events** ("RR", "OR", "RD", "PETO", "AS") are counted in the arms (`events`, `n`), with 1/2 in
    every cell of a trial that has a zero (not for PETO and AS); a printed risk or odds ratio stands
    in where they are not known. "HR" is as printed. Ratios are logs.

    **Derived results.** `derive` names what may be taken from what a trial prints otherwise; the
    column `obtained` says of each row what was (also SDs from standard errors, sizes as
    randomised, and the like), and `Effects.obtained_counts` counts. Usual are "p_value" and
    "percentage"; the others assume something:

    - "p_value": the standard error of a difference from its exact P (Cochrane Handbook 6.3.2);
    - "percentage": events from a percentage of the arm, where its size is known;
    - "limit": from a single (one-sided) limit, or from P as if it were its upper bound ("< 0.05"):
      too large rather than too small (6.5.2.3);
    - "equal_split": arm sizes where only the trial's total is printed;
    - "followup": with `timepoint="post"`, the earliest follow-up of a trial that reports nothing at
      the end of its programme; its time is in `timepoint_weeks`;
    - "scale": the length of a VAS or NRS whose values can only be of 0-10 or 0-100;
    - "pooled_sd": the SD of the instrument in the other trials, of MDs; for sensitivity analyses
      only (6.5.2.7).

    **Units of analysis.** A cluster trial's arms count with sizes over the design effect
    `1 + (m - 1) ICC` (23.1.4); where it prints no cluster size or no ICC (and `icc` is not given)
    its standard errors are too small, which `obtained` says. A crossover trial enters on request
    (`designs`), with the variance of paired values, `(s_1^2 + s_0^2 - 2 r s_1 s_0)/n` (23.2.7.1).

    **Covariance** of the contrasts of a trial: `SD_0^2/n_0` for arm-level results, the reference
    arm's part of the variance for events; for reported differences the share of the reference arm
    in their variances, by arm sizes.

    Parameters
    ----------
    evidence : Evidence
    outcome : str
        Such as "pain_intensity" or "disability".
    measure : {"MD", "SMD", "RR", "OR", "RD", "PETO", "AS", "HR"}
        "MD" is on 0-100 (see `evidence.scales`) and needs scale limits, or a `unit`.
    timepoint : "post", "followup", "latest" or (low, high) in weeks since baseline
    analysis : {"final", "change", "best"}
    correlation : float
        Between baseline and final values, for changes whose SD is not printed and for SMDs; and
        between the periods of a crossover trial.
    reference : mapping, optional
        Arm to use as reference, by trial id, over the rule.
    inactive : str or sequence of str
        Comparator types that count as inactive, in order of preference.
    head_to_head : bool
        Also trials without an inactive arm, and arms that neither exercise nor are inactive
        (sham, manual therapy).
    flags : sequence of str
        Trials with these flags are left out.
    designs : sequence of str
        Designs that enter; a crossover trial's arms are not independent groups.
    include_home, met
        See `evidence.dose.with_doses`.
    derive : sequence of str
        What may be derived; see above and `DERIVATIONS`.
    icc : float, optional
        Intracluster correlation of cluster trials that print their cluster size but none.
    unit : str, optional
        MDs in this unit ("cm", "kPa", "degrees"), of the results printed in it.

    Returns
    -------
    Effects

    Raises
    ------
    ValueError
        For an unknown outcome, measure, analysis, timepoint, derivation, comparator, flag, design
        or unit, correlations outside their range, or a `reference` that names no arm.
    CannotEstimate
        If no trial measured the outcome.

    Examples
    --------
    >>> import backpain_analysis as bp
    >>> trials = bp.load_evidence()
    >>> from_evidence(trials, "recurrence", "HR", "latest").table["label"].tolist()
    ['de Campos 2020', 'Pocovi 2024', 'Sihawong 2014']
    """
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
    found = _compared(
        evidence,
        outcome,
        measure,
        check_timepoint(timepoint),
        sources(measure, analysis),
        correlation,
        tuple((reference or {}).items()),
        as_words(inactive),
        head_to_head,
        scope,
    )
    return replace(
        found,
        table=found.table.copy(deep=False),
        covariance=tuple(matrix.copy() for matrix in found.covariance),
        excluded=found.excluded.copy(deep=False),
    )


@latest_per_evidence(arms=50_000)
def _compared(
    evidence: Evidence,
    outcome: str,
    measure: str,
    timepoint: Timepoint,
    sources: tuple[str, ...],
    correlation: float,
    reference: tuple[tuple[str, str], ...],
    inactive: tuple[str, ...],
    head_to_head: bool,
    scope: Scope,
) -> Effects:
    request = Request(
        outcome,
        measure,
        timepoint,
        sources,
        correlation,
        dict(reference),
        inactive,
        head_to_head,
        late="followup" in scope.derive,
    )
    return assembled(evidence, request, _estimates, unrelated, scope)


def assembled(
    evidence: Evidence,
    request: Request,
    choose: Callable[[list[Arm], TrialResults, Request], list[Estimate]],
    covariance: Callable[[list[Estimate]], np.ndarray],
    scope: Scope,
) -> Effects:
    """Effects of the estimates chosen from each trial, with their covariance.

    Parameters
    ----------
    evidence : Evidence
    request : Request
    choose : callable
        The estimates of a trial, from its arms and results.
    covariance : callable
        Of all contrasts of a trial, from those estimates.
    scope : Scope
    """
    outcome, measure = request.outcome, request.measure
    found = gather(evidence, outcome, measure, scope)
    rows, matrices, excluded = [], [], []
    for trial in found.trials:
        name = trial["trial_id"]
        own, left_out = found.arms[name], _left_out(trial, scope)
        estimates = [] if left_out else choose(own, found.results[name], request)
        if estimates:
            matrices.append(covariance(estimates))
        for estimate in estimates:
            rows.extend(_rows(trial, own, found.results[name], estimate, request))
        used = {arm for e in estimates for arm in (*e.arms, e.reference)}
        excluded.extend(reasons(own, used, left_out, found.results[name], request))
    extra = rows[0].keys() - set(_columns()) if rows else set()
    return Effects(
        table=pd.DataFrame(rows, columns=[*_columns(), *sorted(extra)]),
        covariance=tuple(matrices),
        excluded=pd.DataFrame(excluded, columns=["trial_id", "arm_id", "reason"]),
        outcome=outcome,
        measure=measure,
        unit=scope.unit or "",
        dose_basis=HOME_INCLUDED if scope.include_home else AS_PRESCRIBED,
    )


def effects_if_measured(evidence: Evidence, outcome: str, **options: Any) -> Effects:
    """As `from_evidence`, but no effects where no trial measured the outcome.

    Raises
    ------
    ValueError
        As `from_evidence`, also for an outcome that no evidence can have.
    """
    tables = (evidence.outcomes, evidence.contrasts)
    if outcome in vocabulary("outcomes", "outcome") and not any(
        (table["outcome"] == outcome).any() for table in tables
    ):
        excluded = pd.DataFrame(columns=["trial_id", "arm_id", "reason"])
        table = pd.DataFrame(columns=_columns())
        return Effects(table, (), excluded, outcome, options.get("measure", "MD"))
    return from_evidence(evidence, outcome, **options)


def check(
    evidence: Evidence,
    outcome: str,
    measure: str,
    analysis: str,
    correlation: float,
    reference: Mapping[str, str],
    inactive: Sequence[str],
) -> None:
    """Refuse what cannot be asked of these data.

    Raises
    ------
    ValueError
        Every fault is named.
    CannotEstimate
        If no trial measured the outcome.
    """
    known, faults = _outcomes(evidence), []
    words = list(dict.fromkeys([*known, *vocabulary("outcomes", "outcome")]))
    if outcome not in words:
        faults.append(f"outcome: no {outcome!r}. {did_you_mean(outcome, words)}")
    if measure not in MEASURES:
        faults.append(f"measure: no {measure!r}. {did_you_mean(measure, MEASURES)}")
    if analysis not in SOURCES:
        faults.append(f"analysis: no {analysis!r}. {did_you_mean(analysis, SOURCES)}")
    if not -1 < correlation < 1:
        faults.append(f"correlation {correlation} is not between -1 and 1")
    comparators = vocabulary("arms", "comparator_type")
    for word in as_words(inactive):
        if word not in comparators and not (evidence.arms["comparator_type"] == word).any():
            faults.append(f"inactive: no {word!r}. {did_you_mean(word, comparators)}")
    for trial, arm in reference.items():
        table = evidence.arms
        if not ((table["trial_id"] == trial) & (table["arm_id"] == arm)).any():
            faults.append(f"reference: trial {trial!r} has no arm {arm!r}")
    if faults:
        told = "; ".join(fault.removesuffix(".") for fault in faults)
        raise ValueError(told if told.endswith("?") else f"{told}.")
    if not len(evidence.trials):
        raise CannotEstimate("no trial is left", "; ".join(map(str, evidence.history)))
    if outcome not in known:
        raise CannotEstimate(f"no trial measured {outcome!r}", f"these have {', '.join(known)}")


def checked_scope(
    evidence: Evidence,
    *,
    flags: Sequence[str],
    designs: Sequence[str],
    include_home: bool,
    met: Mapping[str, float] | None,
    derive: Sequence[str],
    icc: float | None,
    unit: str | None = None,
) -> Scope:
    """Options of `from_evidence`, all known.

    Raises
    ------
    ValueError
        For an unknown flag, design, derivation or unit, or an ICC outside [0, 1).
    """
    chosen = {}
    for name, given in (("flag", flags), ("design", designs)):
        chosen[name] = (given,) if isinstance(given, str) else tuple(given)
        known = vocabulary("trials", name)
        for word in chosen[name]:
            if word not in known:
                raise ValueError(f"{name}s: no {word!r}. {did_you_mean(word, known)}")
    if icc is not None and not 0 <= icc < 1:
        raise ValueError(f"icc {icc}: give an intracluster correlation from 0 to below 1.")
    if unit is not None:
        tables = (evidence.outcomes, evidence.contrasts)
        units = sorted({str(own) for table in tables for own in table["unit"].dropna()})
        if unit not in units:
            raise ValueError(f"unit: no {unit!r}. {did_you_mean(unit, units)}")
    return Scope(
        chosen["flag"],
        chosen["design"],
        include_home,
        tuple((met or {}).items()),
        checked_derivations(derive),
        icc,
        unit,
    )


@once_per_evidence
def _outcomes(evidence: Evidence) -> list[str]:
    tables = (evidence.outcomes, evidence.contrasts)
    return sorted({word for table in tables for word in table["outcome"].astype(str)})


def _left_out(trial: dict, scope: Scope) -> str | None:
    if trial["flag"] in scope.flags:
        why = trial["flag_reason"]
        return f"flagged {trial['flag']}" + (f": {why}" if pd.notna(why) else "")
    if trial["design"] not in scope.designs:
        known = pd.notna(trial["design"])
        return f"design: {trial['design']}" if known else "design: not reported"
    return None


def references(arms: list[Arm], request: Request) -> list[list[tuple[str, list[str]]]]:
    """Ways to compare the arms of a trial, best first: each a list of (reference, arms)."""
    exercise = arms if request.head_to_head else exercise_arms(arms)
    trial = arms[0]["trial_id"]
    if trial in request.reference:
        return [[_others(request.reference[trial], exercise)]]
    if request.head_to_head:
        first = inactive_references(arms, request.inactive)
        order = dict.fromkeys([*first, *(arm["arm_id"] for arm in arms)])
        return [[_others(reference, arms)] for reference in order]
    ways = [
        [(reference, [arm["arm_id"] for arm in exercise])]
        for reference in inactive_references(arms, request.inactive)
    ]
    if ways:
        return ways
    pairs = []
    for word in dict.fromkeys(arm["exercise_type"] for arm in exercise):
        same = [arm for arm in exercise if arm["exercise_type"] == word]
        lowest = lower_dose_reference(same) if len(same) > 1 else None
        if lowest is not None:
            pairs.append((lowest, [arm["arm_id"] for arm in same if arm["arm_id"] != lowest]))
    return [pairs]


def _others(reference: str, arms: list[Arm]) -> tuple[str, list[str]]:
    return reference, [arm["arm_id"] for arm in arms if arm["arm_id"] != reference]


def unrelated(estimates: list[Estimate]) -> np.ndarray:
    """Contrasts with different reference arms of a trial are independent."""
    ends = np.cumsum([len(estimate.covariance) for estimate in estimates])
    whole = np.zeros((ends[-1], ends[-1]))
    for end, estimate in zip(ends, estimates, strict=True):
        own = slice(end - len(estimate.covariance), end)
        whole[own, own] = estimate.covariance
    return whole


def _estimates(arms: list[Arm], trial: TrialResults, request: Request) -> list[Estimate]:
    programme = programme_weeks(arms)
    most: list[Estimate] = []
    for way in references(arms, request):
        best = [
            best_estimate(reference, others, trial, trial.occasions, programme, request)
            for reference, others in way
        ]
        found = [estimate for estimate in best if estimate is not None]
        if found and not request.head_to_head:
            return found
        if sum(len(e.arms) for e in found) > sum(len(e.arms) for e in most):
            most = found
    return most


def best_estimate(
    reference: str,
    others: list[str],
    trial: TrialResults,
    occasions: Iterable[Occasion],
    programme: float,
    request: Request,
    make: Callable[..., Estimate | None] = from_source,
) -> Estimate | None:
    """The contrasts of `others` against `reference` on the best of some occasions, if any.

    `make` turns (reference, others, trial, occasion, source, request) into an estimate.
    """
    ranked: list[tuple[tuple, int, Estimate]] = []
    for occasion, source in product(occasions, request.sources):
        rank = request.rank(occasion.weeks, occasion.label, programme)
        if rank is None:
            continue
        estimate = make(reference, others, trial, occasion, source, request)
        if estimate is not None:
            instrument = instrument_rank(request.outcome, occasion.key[0])
            place = request.sources.index(source)
            order = (rank >= LATE, -len(estimate.arms), rank, instrument, place)
            ranked.append((order, len(ranked), estimate))
    return min(ranked)[2] if ranked else None


def _rows(
    trial: dict,
    arms: list[Arm],
    results: TrialResults,
    estimate: Estimate,
    request: Request,
) -> list[dict]:
    by_arm = {arm["arm_id"]: arm for arm in arms}
    reference = by_arm[estimate.reference]
    name = author_year(trial["first_author"], trial["year"])
    instrument, text, _ = estimate.occasion.key
    late = LATE_TEXT if request.late and estimate.occasion.label == "followup" else ""
    inactive = request.inactive
    rows = []
    for position, arm in enumerate(estimate.arms):
        own = by_arm[arm]
        several = len(estimate.arms) > 1
        against = results.contradicts(estimate.occasion, arm, estimate.reference)
        source = estimate.source + ("; the reported difference contradicts them" if against else "")
        obtained = estimate.obtained[position] if estimate.obtained else ""
        rows.append(
            {
                "trial_id": trial["trial_id"],
                "arm_id": arm,
                "ref_arm_id": estimate.reference,
                "label": name + (f", {own['arm_label']}" if several else ""),
                "first_author": trial["first_author"],
                "year": trial["year"],
                "population": str(trial["population"]),
                "exercise_type": str(own["exercise_type"]),
                "ref_exercise_type": str(reference["exercise_type"]),
                "comparator_type": reference["comparator_type"],
                "treatment": treatment_of(own),
                "ref_treatment": treatment_of(reference),
                "reference_kind": reference_kind(own, reference, inactive),
                "instrument": text if instrument == "other" else instrument,
                "timepoint_weeks": estimate.occasion.weeks,
                "source": source,
                "obtained": remarks(obtained, late),
                "yi": estimate.yi[position],
                "vi": estimate.covariance[position, position],
                "n_arm": estimate.n_arms[position],
                "n_ref": estimate.n_reference,
                **{name: own[name] for name in DOSE_MEASURES},
                **{f"ref_{name}": reference[name] for name in DOSE_MEASURES},
                **{name: values[position] for name, values in estimate.extra.items()},
            }
        )
    return rows


LATE_TEXT = "a follow-up, for want of a value at the end"


def _columns() -> list[str]:
    return [
        *("trial_id arm_id ref_arm_id label first_author year population exercise_type").split(),
        *("ref_exercise_type comparator_type treatment ref_treatment reference_kind").split(),
        *("instrument timepoint_weeks source obtained yi vi n_arm n_ref").split(),
        *DOSE_MEASURES,
        *(f"ref_{name}" for name in DOSE_MEASURES),
    ]
