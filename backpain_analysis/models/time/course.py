"""The effect of exercise as a curve of time, from trials or from participants."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np

from backpain_analysis.effects import Effects
from backpain_analysis.evidence.scales import LOWER_IS_BETTER
from backpain_analysis.models.curves import Curve
from backpain_analysis.models.dose_response import Options, fit_effects
from backpain_analysis.models.time.curves import APPROACHES, time_curve
from backpain_analysis.models.time.height import Heights
from backpain_analysis.models.time.participants import effects_of_participants
from backpain_analysis.models.time.profile import half_time
from backpain_analysis.models.time.result import TimeCourseResult

WEEKS = "weeks since randomisation"


def time_course(
    data: Any,
    *,
    curve: str | Curve = "exponential",
    method: Literal["REML", "ML", "CE"] = "REML",
    test: Literal["t", "z"] = "t",
    level: float = 0.95,
    lower_is_better: bool | None = None,
    **participants: Any,
) -> TimeCourseResult:
    """Fit a curve of time to the effects at all follow-ups.

    `y = f(t; h) (b + u) + e`, f(0) = 0: `u ~ N(0, Psi)` is the trial's own deviation, e has the
    covariance of a trial's contrasts over time. For "exponential", `1 - 2^(-t/h)`, and "emax",
    `t/(h + t)`, b is the maximal effect and the half-time h is found by profile likelihood (ML).
    Where a constant effect or a straight line, which the curve becomes at the ends of h, fits as
    well as any h, that is fitted instead and `note` says so. Sources: Pedder et al. 2019
    (doi 10.1002/jrsm.1351) for time-course meta-analysis; Musekiwa et al. 2016
    (doi 10.1371/journal.pone.0164898).

    Parameters
    ----------
    data : Effects, DataFrame or Participants
        `Effects` with a column `weeks` (see `effects.over_time.effects_over_time`); or
        participants' visits, reduced to effects by `time.participants.effects_of_participants`.
    curve : str or Curve
        "exponential", "emax", "rcs", "linear", "log", "quadratic" or "constant".
    method : {"REML", "ML", "CE"}
        "CE" has no random effects; a single trial stands for itself.
    test : {"t", "z"}
        "t" uses (trials - coefficients) degrees of freedom.
    level : float
    lower_is_better : bool, optional
        By default as of the outcome of `Effects`, and true of participants' scores.
    **participants
        Options of `effects_of_participants`.

    Returns
    -------
    TimeCourseResult

    Raises
    ------
    ValueError
        For unusable data, or too few trials or distinct weeks for the curve; says what to do.
    ConvergenceError
        If the likelihood has no maximum.
    """
    if test not in ("t", "z"):
        raise ValueError(f"unknown test {test!r}: use 't' or 'z'.")
    if isinstance(data, Effects):
        if participants:
            raise TypeError(f"{', '.join(participants)}: only for participants' data.")
        effects = data
        if lower_is_better is None:
            lower_is_better = data.outcome in LOWER_IS_BETTER
    else:
        effects = effects_of_participants(data, **participants)
    effects = _with_time(effects)
    weeks = effects.table["weeks"].to_numpy(dtype=float)
    asked = time_curve(curve, weeks)
    method = "CE" if effects.n_trials == 1 else method
    settled, found = asked, None
    if asked.name in APPROACHES and not asked.shape:
        heights = Heights(effects, between=method != "CE")
        found = half_time(asked, heights.of, weeks, level)
        settled = found.limit or replace(asked, values=(found.estimate,))
    options = Options(settled, WEEKS, 1, method, None, test, level)
    return TimeCourseResult(
        fit=fit_effects(effects, options),
        asked=asked.name,
        half_time=found,
        lower_is_better=True if lower_is_better is None else lower_is_better,
    )


def _with_time(effects: Effects) -> Effects:
    """The effects with weeks as their dose, against none at randomisation.

    Raises
    ------
    ValueError
    """
    if "weeks" not in effects.table:
        raise ValueError(
            "these effects have no column 'weeks': make them with effects_over_time, which gives "
            "every follow-up."
        )
    weeks = effects.table["weeks"].to_numpy(dtype=float)
    wrong = effects.table.loc[~(weeks > 0), "label"]
    if len(wrong):
        raise ValueError(f"weeks must be known and above zero: {', '.join(wrong.astype(str))}.")
    return replace(effects, table=effects.table.assign(dose=weeks, ref_dose=np.zeros(len(weeks))))
