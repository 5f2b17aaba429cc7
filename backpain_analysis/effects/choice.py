"""Which arm is the reference, which time counts, which instrument speaks for an outcome."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

INACTIVE = ("no_treatment", "waitlist", "usual_care", "education_advice")
"""Comparators that count as inactive, in order of preference as a trial's reference arm."""

INSTRUMENTS = {
    "pain_intensity": (
        "VAS",
        "NRS",
        "CPGS_pain",
        "BPI",
        "NRS0_6",
        "VRS",
        "PPI",
        "SF_MPQ",
        "MPQ",
    ),
    "disability": ("ODI", "RMDQ", "RMDQ23", "QBPDS", "CPGS_disability", "PDI", "PSFS"),
}
"""Order of preference where a trial reports several instruments; others follow alphabetically."""

Timepoint = Literal["post", "followup", "latest"] | tuple[float, float]


EVENT_MEASURES = ("RR", "OR", "RD", "PETO", "AS")
"""Measures of events in arms; RR and OR also as printed, as HR always is."""

MEASURES = ("MD", "SMD", *EVENT_MEASURES, "HR")

Measure = Literal["MD", "SMD", "RR", "OR", "RD", "PETO", "AS", "HR"]


@dataclass(frozen=True)
class Scope:
    """Which trials and results enter, and what may be derived (see `assemble.from_evidence`).

    Attributes
    ----------
    flags, designs : tuple of str
    include_home : bool
    met : tuple of (str, float)
    derive : tuple of str
        Of `derive.DERIVATIONS`.
    icc : float or None
    unit : str or None
    """

    flags: tuple[str, ...] = ("exclude",)
    designs: tuple[str, ...] = ("parallel", "cluster")
    include_home: bool = False
    met: tuple[tuple[str, float], ...] = ()
    derive: tuple[str, ...] = ()
    icc: float | None = None
    unit: str | None = None


PLAIN = Scope()


def as_words(words: str | Iterable[str]) -> tuple[str, ...]:
    """Several words, or the one."""
    return (words,) if isinstance(words, str) else tuple(words)


@dataclass(frozen=True)
class Request:
    """What was asked for (see `assemble.from_evidence`)."""

    outcome: str
    measure: str
    timepoint: Timepoint
    sources: tuple[str, ...]
    correlation: float
    reference: Mapping[str, str]
    inactive: str | Sequence[str]
    head_to_head: bool = False
    late: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "inactive", as_words(self.inactive))

    def rank(self, weeks: float, label: str, programme: float) -> float | None:
        """How well a time fits; see `time_rank`."""
        return time_rank(weeks, label, self.timepoint, programme, self.late)


Arm = dict[str, Any]
"""A row of the arms table, with its doses."""


def exercise_arms(arms: Sequence[Arm]) -> list[Arm]:
    """The arms of a trial that exercise."""
    return [arm for arm in arms if arm["exercise_type"] != "none"]


def treatment_of(arm: Arm) -> str:
    """What an arm received: its exercise type, or what its comparator was."""
    exercise = str(arm["exercise_type"])
    return str(arm["comparator_type"]) if exercise == "none" else exercise


def reference_kind(arm: Arm, reference: Arm, inactive: Sequence[str]) -> str:
    """What an arm is compared with: "inactive", "lower dose", or another exercise or treatment."""
    if reference["exercise_type"] == "none":
        return "inactive" if reference["comparator_type"] in inactive else "other treatment"
    same = reference["exercise_type"] == arm["exercise_type"]
    return "lower dose" if same else "other exercise"


def programme_weeks(arms: Sequence[Arm]) -> float:
    """Length of a trial's longest programme in weeks; NaN where unknown."""
    weeks = [arm["duration_weeks"] for arm in exercise_arms(arms)]
    return max((week for week in weeks if not math.isnan(week)), default=math.nan)


def inactive_references(arms: Sequence[Arm], inactive: Sequence[str]) -> list[str]:
    """Arms of one trial that may serve as its inactive reference, best first."""
    return [arm["arm_id"] for word in inactive for arm in arms if arm["comparator_type"] == word]


def lower_dose_reference(arms: Sequence[Arm]) -> str | None:
    """The lowest-dosed of several arms of one exercise type, or None where none is lowest.

    Doses are compared by the first of minutes per week, sessions per week, total sessions,
    minutes per session and weeks that is known for all the arms and differs between them.
    """
    for measure in (
        "minutes_per_week",
        "sessions_per_week",
        "total_sessions",
        "minutes_per_session",
        "duration_weeks",
    ):
        doses = [arm[measure] for arm in arms]
        if len(set(doses)) > 1 and not any(math.isnan(dose) for dose in doses):
            lowest = [arm["arm_id"] for arm in arms if arm[measure] == min(doses)]
            return lowest[0] if len(lowest) == 1 else None
    return None


LATE = 1e7
"""Rank from which on a time is taken only for want of a better one."""


def time_rank(
    weeks: float, label: str, timepoint: Timepoint, programme: float, late: bool = False
) -> float | None:
    """How well a time of measurement fits the request: 0 is best, None means not at all.

    "post" takes measurements labelled so, nearest to the end of the programme; "followup" those
    labelled so and later than the programme, the latest first; "latest" the latest of all; a
    window `(low, high)` in weeks since baseline any that lies inside, nearest to its middle. With
    `late`, "post" also takes follow-ups, the earliest first, after everything else.

    Parameters
    ----------
    weeks : float
        Since baseline; NaN where unknown.
    label : str
    timepoint : "post", "followup", "latest" or (low, high)
    programme : float
        Length of the trial's programme in weeks; NaN where unknown.
    """
    if timepoint == "post":
        if label == "followup" and late:
            return LATE + (1e6 if np.isnan(weeks) else weeks)
        if label != "post":
            return None
        if np.isnan(weeks):
            return 1e6
        return abs(weeks - programme) if np.isfinite(programme) else 1e3 - weeks
    if timepoint == "latest":
        return None if label == "baseline" else 1e6 if np.isnan(weeks) else 1e4 - weeks
    if timepoint == "followup":
        if label != "followup" or (weeks <= programme):
            return None
        return 1e6 if np.isnan(weeks) else 1e3 - weeks
    low, high = timepoint
    if label == "baseline" or np.isnan(weeks) or not low <= weeks <= high:
        return None
    return abs(weeks - (low + high) / 2) if np.isfinite(high) else weeks - low


def instrument_rank(outcome: str, instrument: str) -> int:
    """Place of an instrument in the order of preference of its outcome."""
    order = INSTRUMENTS.get(outcome, ())
    return order.index(instrument) if instrument in order else len(order)


def check_timepoint(timepoint: Any) -> Timepoint:
    """The time asked for, as "post", "followup", "latest" or a pair of weeks.

    Raises
    ------
    ValueError
        For anything else.
    """
    if timepoint in ("post", "followup", "latest"):
        return timepoint
    try:
        low, high = (float(week) for week in timepoint)
    except (TypeError, ValueError):
        low, high = 1.0, 0.0
    if not 0 <= low <= high:
        raise ValueError(
            f"timepoint {timepoint!r}: give 'post', 'followup', 'latest' or a pair of weeks "
            "(low, high)."
        )
    return low, high
