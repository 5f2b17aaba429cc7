"""Whether a time course depends on the choices made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from backpain_analysis.effects.over_time import effects_over_time
from backpain_analysis.evidence.evidence import Evidence
from backpain_analysis.models.mixed import ConvergenceError
from backpain_analysis.models.time.course import time_course
from backpain_analysis.models.time.result import TimeCourseResult

CURVES = ("exponential", "emax", "log", "constant")
CORRELATIONS = (
    ("no correlation over time", 0.0, "constant"),
    ("correlation over time 0.3", 0.3, "constant"),
    ("correlation over time 0.8", 0.8, "constant"),
    ("correlation 0.7 between times 12 weeks apart, decaying", 0.7, "decay"),
)


def compare_courses(
    evidence: Evidence,
    outcome: str,
    *,
    curve: str = "exponential",
    at: float = 12.0,
    curves: Sequence[str] = CURVES,
    flags: Sequence[str] = ("exclude",),
    correlation_over_time: float = 0.5,
    pattern: str = "constant",
    **options: Any,
) -> pd.DataFrame:
    """The time course against no exercise under other choices, one changed at a time.

    Other curves, other correlations of a trial's follow-ups, and without trials flagged for
    caution.

    Parameters
    ----------
    evidence, outcome
        As of `effects.over_time.effects_over_time`.
    curve : str
        The curve of the main analysis.
    at : float
        Week whose effect is compared.
    curves : sequence of str
        Others to try.
    flags, correlation_over_time, pattern, **options
        As of `effects_over_time`.

    Returns
    -------
    DataFrame
        `choice, aic, estimate, ci_low, ci_high, half_time, half_low, half_high, note`: AIC by
        maximum likelihood, comparable between curves only; the effect at week `at`; the weeks to
        half of the largest effect. A choice that cannot be fitted has missing values and says why.
    """
    as_asked = {"r": correlation_over_time, "pattern": pattern, "flags": tuple(flags)}
    choices = [("as above", curve, as_asked)]
    choices += [(f"curve: {name}", name, as_asked) for name in curves if name != curve]
    choices += [
        (label, curve, {**as_asked, "r": r, "pattern": kind}) for label, r, kind in CORRELATIONS
    ]
    if "caution" not in flags:
        stricter = {**as_asked, "flags": (*flags, "caution")}
        choices.append(("without trials flagged for caution", curve, stricter))
    rows = []
    for label, name, chosen in choices:
        effects = effects_over_time(
            evidence,
            outcome,
            correlation_over_time=chosen["r"],
            pattern=chosen["pattern"],
            flags=chosen["flags"],
            **options,
        ).against_inactive()
        try:
            fitted = time_course(effects, curve=name)
            aic = (
                time_course(effects, curve=name, method="ML").aic if chosen == as_asked else np.nan
            )
        except (ValueError, ConvergenceError) as fault:
            rows.append({"choice": label, "note": str(fault)})
            continue
        rows.append({"choice": label, "aic": aic, **_row(fitted, at)})
    columns = "choice aic estimate ci_low ci_high half_time half_low half_high note"
    return pd.DataFrame(rows, columns=columns.split())


def _row(fitted: TimeCourseResult, at: float) -> dict[str, float | str]:
    effect, half = fitted.effect([at]).iloc[0], fitted.weeks_to(0.5)
    return {
        "estimate": effect["estimate"],
        "ci_low": effect["ci_low"],
        "ci_high": effect["ci_high"],
        "half_time": half.estimate,
        "half_low": half.ci_low,
        "half_high": half.ci_high,
        "note": half.note,
    }
