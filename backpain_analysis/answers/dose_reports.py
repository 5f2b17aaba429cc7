"""What each way to use what trials print does to the answer on dose, sessions' minutes included."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from backpain_analysis.answers.dose import DoseAnswer, least_half, more_of
from backpain_analysis.answers.dose_questions import Answer
from backpain_analysis.answers.robustness import USUALLY, derivation_steps
from backpain_analysis.effects.assemble import LATE_TEXT, effects_if_measured
from backpain_analysis.effects.derive import DERIVATIONS, imputed_minutes
from backpain_analysis.effects.table import Effects
from backpain_analysis.errors import CannotEstimate, require
from backpain_analysis.evidence.evidence import Evidence
from backpain_analysis.models.dose.fit import dose_response, retested
from backpain_analysis.models.people.imputation import pool_imputations
from backpain_analysis.models.results import quantile
from backpain_analysis.words import dose_with_unit, effect_text, outcome_words, unit_words

IN_SD = "usual, in standard deviations"
MINUTES = "usual, session minutes imputed"
TIMED = "such a follow-up, its weeks after the programme in the model"
LATE = "weeks_late"

COLUMNS = (
    *("step", "measure", "trials", "more", "participants"),
    *("estimate", "ci_low", "ci_high", "slope", "slope_low", "slope_high"),
)


def dose_by_reports(
    answer: DoseAnswer, evidence: Evidence, *, draws: int = 20, seed: int = 1, **options: Any
) -> Answer:
    """The typical dose's effect and the slope under each way to use what trials print.

    Each step of `effects.derive.DERIVATIONS` alone beside what is printed; the usual ones, also
    in standard deviations, which need no length of a scale; all but the one that no main analysis
    should rest on, and all. Follow-ups that stand for missing values enter a second time with
    their weeks after the programme as a moderator, and the numbers are those at its end. Last the
    usual ones with unknown minutes of sessions imputed (`imputed_minutes`), the fits pooled by
    Rubin's rules with Barnard & Rubin's degrees of freedom (`pool_imputations`). Models and
    intervals are those of the answer's first two statements.

    Parameters
    ----------
    answer : DoseAnswer
        Its dose, typical dose, step and measure are used throughout.
    evidence : Evidence
        Where its effects come from.
    draws, seed : int
        Of the imputation.
    **options
        As of `evidence.effects`, but for `measure` and `derive`.

    Returns
    -------
    Answer
        Table: `step, measure, trials, more` (than as printed), `participants`, then `estimate,
        ci_low, ci_high` of the typical dose and `slope, slope_low, slope_high` of a step more;
        missing where they cannot be estimated.

    Examples
    --------
    >>> trials = bp.load_evidence().filter(population=bp.BACK_PAIN)
    >>> answer = bp.dose_answer(trials.effects("pain_intensity"), dose="minutes_per_week")
    >>> found = bp.dose_by_reports(answer, trials, draws=5)
    >>> found.table.set_index("step")["trials"][["as printed", "usual"]].tolist()
    [7, 8]
    """
    require(answer, "DoseAnswer")
    require(evidence, "Evidence")
    measure, rows = answer.measure, []
    steps = _steps(measure)
    for step, (unit, derive) in steps.items():
        effects = effects_if_measured(
            evidence, answer.outcome, measure=unit, derive=derive, **options
        )
        rows.append({"step": step, "measure": unit} | _of_fits(answer, [effects]))
        if step == DERIVATIONS["followup"]:
            rows.append({"step": TIMED, "measure": unit} | _of_fits(answer, [timed(effects)], LATE))
        if step == USUALLY:
            usual = effects
    if (given := _minutes(answer, usual, evidence, draws, seed)) is not None:
        rows.append({"step": MINUTES, "measure": measure} | given)
    table = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    table["more"] = table["trials"] - table["trials"].iloc[0]
    return Answer(_text(answer, table[table["measure"] == measure]), table)


def _steps(measure: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Name -> measure and what is derived."""
    steps = {}
    for name, derive in derivation_steps(measure).items():
        steps[name] = (measure, derive)
        if name == USUALLY and measure == "MD":
            steps[IN_SD] = ("SMD", derive)
    return steps


def timed(effects: Effects) -> Effects:
    """Effects with the weeks from the end of a programme to its value; unknown ones left out.

    A value at the end of a programme is none after it, whatever its printed week.
    """
    table = effects.table
    late = table["timepoint_weeks"] - table["duration_weeks"]
    follow_up = table["obtained"].str.contains(LATE_TEXT, regex=False)
    late = late.clip(lower=0).where(follow_up, 0.0)
    found = replace(effects, table=table.assign(**{LATE: late}))
    return found.select(late.notna(), "weeks from the programme to the follow-up not known")


def _minutes(
    answer: DoseAnswer, usual: Effects, evidence: Evidence, draws: int, seed: int
) -> dict[str, float] | None:
    """The row with imputed minutes; None where they add no arm of known dose."""
    before = len(usual.with_dose(answer.dose_name))
    try:
        first = imputed_minutes(usual, evidence, draws=2, seed=seed)[0]
        if len(first.with_dose(answer.dose_name)) == before:
            return None
        return _of_fits(answer, imputed_minutes(usual, evidence, draws=draws, seed=seed))
    except CannotEstimate:
        return None


def _of_fits(
    answer: DoseAnswer, sets: list[Effects], moderator: str | None = None
) -> dict[str, float]:
    """Effect of the typical dose and slope of one set of effects, or of several pooled.

    With a moderator both are where it is zero.
    """
    known = [effects.with_dose(answer.dose_name) for effects in sets]
    row: dict[str, float] = {"trials": known[0].n_trials, "participants": known[0].n_participants}
    for curve in ("step + linear", "constant"):
        try:
            found = [_numbers(answer, effects, curve, moderator) for effects in known]
        except CannotEstimate:
            continue
        values, variances, dfs, least = (np.array(part) for part in zip(*found, strict=True))
        value, variance, df = values[0], variances[0], dfs.min(axis=0)
        if len(found) > 1:
            pooled = pool_imputations(values, [np.diag(own) for own in variances], df)
            value, variance, df = pooled.params, np.diag(pooled.cov), pooled.df
        half = quantile(answer.level, pd.Series(df)).to_numpy() * np.sqrt(variance)
        half = np.maximum(half, least.mean(axis=0))
        ends = np.column_stack([value, value - half, value + half])
        row |= dict(zip(("estimate", "ci_low", "ci_high"), ends[0], strict=True))
        if curve != "constant":
            row |= dict(zip(("slope", "slope_low", "slope_high"), ends[1], strict=True))
        break
    return row


def _numbers(
    answer: DoseAnswer, effects: Effects, curve: str, moderator: str | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Effect of the typical dose and of a step more.

    Their values, variances, degrees of freedom, and half the least interval.
    """
    fit = dose_response(
        effects,
        dose=answer.dose_name,
        curve=curve,
        moderators=moderator,
        heterogeneity="contrasts",
        test="CR2",
        level=answer.level,
    )
    dose = np.array([answer.typical])
    fit.predict(dose)
    more = answer.step * np.array([name == "dose" for name in fit.params.index], dtype=float)
    line = retested(fit, "knapp-hartung")
    found = [
        (row @ own.params, own.se_of(row[None])[0] ** 2, own.df_of(row[None])[0], least)
        for own, row, least in (
            (fit, fit.gradient(dose)[0], 0.0),
            (line, more, least_half(line, more)),
        )
    ]
    values, variances, df, floors = np.array(found, dtype=float).T
    return values, variances, df, floors


def _text(answer: DoseAnswer, table: pd.DataFrame) -> str:
    """How far trials, effect and slope move."""
    word, unit = outcome_words(answer.outcome), unit_words(answer.measure)
    told = table.dropna(subset="estimate")
    sloped = table.dropna(subset="slope")
    dose = dose_with_unit(answer.typical, answer.dose_name, answer.highest)
    trials = f"{table['trials'].min()} to {table['trials'].max()}"
    if told.empty:
        return "No way to use what trials print carries this question."
    low, high = (effect_text(told["estimate"].agg(end), answer.measure) for end in ("min", "max"))
    text = (
        f"With {trials} trials, by what is derived from the reports, the effect of {dose} on "
        f"{word} is {low} to {high} {unit}"
    )
    if sloped.empty:
        return f"{text}."
    low, high = (effect_text(sloped["slope"].agg(end), answer.measure) for end in ("min", "max"))
    clear = int(((sloped["slope_low"] > 0) | (sloped["slope_high"] < 0)).sum())
    return (
        f"{text}, and that of {more_of(answer)} {low} to {high}; the interval of the latter "
        f"leaves zero out in {clear or 'none'} of {len(sloped)}."
    )
