"""Why an arm gave no effect size: the reason a reader is told."""

from __future__ import annotations

from collections.abc import Sequence

from backpain_analysis.effects.choice import (
    Arm,
    Request,
    inactive_references,
    lower_dose_reference,
    programme_weeks,
    time_rank,
)
from backpain_analysis.effects.trial_results import Row, TrialResults, occasion_of


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
    return problems[0]


def _is_timely(row: Row, programme: float, request: Request) -> bool:
    _, weeks, label = occasion_of(row)
    return label != "baseline" and time_rank(weeks, label, request.timepoint, programme) is not None
