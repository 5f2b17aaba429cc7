"""How far a pooled effect rests on single trials and on small ones: one table, one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pandas as pd

from backpain_analysis.answers.claim_parts import each_trial_once
from backpain_analysis.effects.choice import Measure
from backpain_analysis.effects.derive import DERIVATIONS, SENSITIVITY_ONLY, USUAL
from backpain_analysis.errors import CannotEstimate, require
from backpain_analysis.evidence.evidence import Evidence
from backpain_analysis.models.pairwise.asymmetry import egger_test, pet_peese, trim_and_fill
from backpain_analysis.models.pairwise.diagnostics import influence, leave_one_out
from backpain_analysis.models.pairwise.pooling import PoolResult, pool
from backpain_analysis.models.pairwise.selection import selection_model
from backpain_analysis.words import effect_digits, number, p_text

FEWEST = 3

POWERFUL = 10
"""Below so many trials tests of funnel asymmetry say little (Cochrane Handbook 13.3.5.4)."""


def adjusted_estimates(result: PoolResult) -> pd.DataFrame:
    """The pooled effect beside what corrections for small-study effects make of it.

    Parameters
    ----------
    result : PoolResult
        Of independent effects; at least three.

    Returns
    -------
    DataFrame
        `method, estimate, ci_low, ci_high, note`: as pooled, trim and fill, PET-PEESE, selection
        model (steps at one-sided P = 0.025). A correction the data cannot carry has no numbers
        and says why.

    Examples
    --------
    >>> yi, vi = [-12.0, -5.5, -9.1, -3.0, -15.2], [4.0, 6.2, 3.1, 5.0, 9.0]
    >>> bp.adjusted_estimates(bp.pool(yi, vi))[["method", "estimate"]].round(1)
                method  estimate
    0        As pooled      -8.8
    1    Trim and fill      -8.8
    2        PET-PEESE      -2.3
    3  Selection model      -9.5
    """
    require(result, "PoolResult")

    def filled() -> tuple:
        found = trim_and_fill(result)
        noun = "trial" if found.k0 == 1 else "trials"
        note = f"{found.k0} {noun} filled in on the {found.side}"
        return found.filled.estimate, found.filled.ci_low, found.filled.ci_high, note

    def regressed() -> tuple:
        found = pet_peese(result)
        return found.estimate, found.ci_low, found.ci_high, f"{found.chosen} was chosen"

    def selected() -> tuple:
        alternative: Literal["less", "greater"] = "less" if result.estimate < 0 else "greater"
        found = selection_model(result, alternative=alternative)
        note = f"likelihood-ratio test against no selection {p_text(found.lrt_p)}"
        return found.estimate, found.ci_low, found.ci_high, note

    rows = [("As pooled", result.estimate, result.ci_low, result.ci_high, "")]
    corrections = {"Trim and fill": filled, "PET-PEESE": regressed, "Selection model": selected}
    for name, correct in corrections.items():
        try:
            rows.append((name, *correct()))
        except CannotEstimate as fault:
            rows.append((name, float("nan"), float("nan"), float("nan"), str(fault)))
    return pd.DataFrame(rows, columns=["method", "estimate", "ci_low", "ci_high", "note"])


def robustness(result: PoolResult, measure: str = "MD") -> str:
    """What leaving trials out, influence and funnel asymmetry say of a pooled effect.

    Parameters
    ----------
    result : PoolResult
        Of independent effects.
    measure : str
        "MD" or "SMD": sets the digits.

    Examples
    --------
    >>> yi, vi = [-12.0, -5.5, -9.1, -3.0, -15.2], [4.0, 6.2, 3.1, 5.0, 9.0]
    >>> print(bp.robustness(bp.pool(yi, vi)))
    Leaving out one trial at a time moves the estimate between −10.2 and −7.6; the interval
    would include zero without study 1, study 3. Influential by the usual rules: none. Egger's
    test of funnel asymmetry gives P = 0.64, but with fewer than 10 trials it says little.
    """
    require(result, "PoolResult")
    if result.n_trials < FEWEST:
        return "Too few trials to ask how far the answer rests on any one of them."
    digits = effect_digits(measure)
    left_out = leave_one_out(result)
    low, high = left_out["estimate"].min(), left_out["estimate"].max()
    text = (
        f"Leaving out one trial at a time moves the estimate between {number(low, digits)} and "
        f"{number(high, digits)}; "
    )
    text += _stability(result, left_out)
    flagged = influence(result).query("influential")["label"].tolist()
    text += f" Influential by the usual rules: {', '.join(flagged) if flagged else 'none'}."
    try:
        egger = egger_test(result)
    except CannotEstimate as fault:
        return f"{text} Funnel asymmetry cannot be tested: {fault}"
    text += f" Egger's test of funnel asymmetry gives {p_text(egger.p_value)}"
    if result.n_trials < POWERFUL:
        return f"{text}, but with fewer than {POWERFUL} trials it says little."
    return f"{text}."


def _stability(result: PoolResult, left_out: pd.DataFrame) -> str:
    clear = (left_out["ci_low"] > 0) | (left_out["ci_high"] < 0)
    if result.ci_low <= 0 <= result.ci_high:
        turning = left_out.loc[clear, "label"].tolist()
        if turning:
            return f"the interval would exclude zero without {', '.join(turning)}."
        return "the interval includes zero every time."
    fragile = left_out.loc[~clear, "label"].tolist()
    if fragile:
        return f"the interval would include zero without {', '.join(fragile)}."
    return "the interval excludes zero every time."


COMMON = "Common effect"


def pooled_otherwise(
    evidence: Evidence,
    outcome: str,
    measure: Measure = "MD",
    *,
    method: str = "REML",
    flags: Sequence[str] = ("exclude",),
    **options: Any,
) -> dict[str, PoolResult]:
    """The pooled effect under other usual choices, those under which any trial is left.

    Parameters
    ----------
    evidence : Evidence
    outcome, measure, flags
        As of `Evidence.effects`.
    method : str
        As of `pool`.
    **options
        Further ones of `Evidence.effects`, such as `timepoint`.
    """
    ways: dict[str, dict[str, Any]] = {
        "Without trials flagged for caution": {"flags": ("exclude", "caution")},
        "Final values first": {"analysis": "final"},
        "Change scores first": {"analysis": "change"},
        COMMON: {},
    }
    found = {}
    for name, reading in ways.items():
        asked = {"flags": flags, **options, **reading}
        effects = evidence.effects(outcome, measure, **asked).against_inactive()
        if len(effects) and name == COMMON:
            found[name] = pool(effects.one_per_trial(), method="CE", test="z")
        elif len(effects):
            found[name] = each_trial_once(effects, method)
    return found


PRINTED, USUALLY, WITHOUT, ALL = "as printed", "usual", "all but other trials' SDs", "all of these"


def derivations(
    evidence: Evidence,
    outcome: str,
    measure: Measure = "MD",
    *,
    method: str = "REML",
    **options: Any,
) -> pd.DataFrame:
    """What each way to use what trials print otherwise adds to a pooled effect, and changes in it.

    Each step alone is added to what is printed; then the usual ones together (what analyses use
    unless asked otherwise), all but those for sensitivity analyses only, and all.

    Parameters
    ----------
    evidence : Evidence
    outcome, measure
        As of `Evidence.effects`.
    method : str
        As of `pool`.
    **options
        Further ones of `Evidence.effects`, such as `timepoint`.

    Returns
    -------
    DataFrame
        `step` (names joined by "+"), `derived` (in words), `trials` against inactive arms, `more`
        (than as printed), `participants, estimate, ci_low, ci_high`; no numbers where no trial is
        left.

    Examples
    --------
    >>> evidence = bp.load_evidence().filter(population=bp.BACK_PAIN, exercise_type="yoga")
    >>> bp.derivations(evidence, "pain_intensity")[["derived", "trials"]].head(3)
                                                 derived  trials
    0                                         as printed       5
    1               standard error from an exact P value       5
    2  standard error from one limit, or from an uppe...       5
    """
    require(evidence, "Evidence")
    rows: list[dict[str, Any]] = []
    for words, derive in derivation_steps(measure).items():
        effects = evidence.effects(outcome, measure, derive=derive, **options).against_inactive()
        row = {"step": "+".join(derive), "derived": words, "trials": effects.n_trials}
        row["more"] = effects.n_trials - (rows[0]["trials"] if rows else effects.n_trials)
        row["participants"] = effects.n_participants
        if len(effects):
            found = each_trial_once(effects, method)
            row |= {name: getattr(found, name) for name in ("estimate", "ci_low", "ci_high")}
        rows.append(row)
    columns = "step derived trials more participants estimate ci_low ci_high".split()
    return pd.DataFrame(rows).reindex(columns=columns)


def derivation_steps(measure: str) -> dict[str, tuple[str, ...]]:
    """What is derived, by name: nothing, each way alone, the usual ones, all but some, all."""
    every = tuple(name for name in DERIVATIONS if _applies(name, measure))
    steps = {PRINTED: (), **{DERIVATIONS[name]: (name,) for name in every}, USUALLY: USUAL}
    if set(every) & set(SENSITIVITY_ONLY):
        steps[WITHOUT] = tuple(name for name in every if name not in SENSITIVITY_ONLY)
    return {**steps, ALL: every}


def _applies(name: str, measure: str) -> bool:
    """Whether a derivation can matter to a measure."""
    only = {"scale": measure == "MD", "pooled_sd": measure == "MD"}
    return only.get(name, measure not in ("MD", "SMD") or name != "percentage")
