"""What a dose does, whether more does more, and where enough is.

Dose is told apart from doing in three statements, each from the last (`dose_answer`). First the
effect of the typical dose against none. Then whether, among those who exercise, dose matters: the
slope of a line beside a step at the first dose above zero, as a line through no effect at no dose
mixes both. Only where the data support that dose matters, by the rule `judged`, is a dose named
that reaches the MCID, or is best. Where the trials cannot carry a question its answer says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import special

from backpain_analysis.answers.dose_questions import Answer, no_answer
from backpain_analysis.answers.sentences import share_of_mcid, size_words
from backpain_analysis.display import html_table
from backpain_analysis.effects.table import Effects
from backpain_analysis.errors import CannotEstimate, require
from backpain_analysis.models.dose.comparison import CurveComparison, compare_curves
from backpain_analysis.models.dose.fit import dose_response, retested
from backpain_analysis.models.dose.result import DoseResponseResult
from backpain_analysis.models.dose.search import DoseEstimate
from backpain_analysis.models.network.dose_data import connected_agents
from backpain_analysis.models.network.dose_network import dose_network
from backpain_analysis.models.results import Summary, quantile, two_sided_p
from backpain_analysis.words import (
    DOSE_LABELS,
    DOSE_STEPS,
    benefit_sign,
    dose_with_unit,
    effect_digits,
    number,
    outcome_words,
    p_text,
    plural,
    short_dose,
    unit_words,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MORE, LESS, NOT_SHOWN, UNKNOWN = VERDICTS = (
    "more does more",
    "more does less",
    "not shown",
    "cannot be told",
)

WEIGHT_OF_DOSE = 0.9
"""The least weight of the curves in which dose matters, against a constant effect, that counts."""

FEWEST_DOSES = 3
"""Distinct doses above zero without which dose among exercisers is not asked about."""


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    `least` is half the normal interval by the model's own covariance: where effects happen to agree
    closely others are narrower than the errors within the trials allow.
    """

    estimate: float
    ci_low: float
    ci_high: float
    p_value: float = np.nan
    least: float = 0.0

    @property
    def too_narrow(self) -> bool:
        """Whether the interval is narrower than that by more than a tenth."""
        return self.ci_high - self.ci_low < 0.9 * 2 * self.least

    @property
    def clear(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.ci_low > 0 or self.ci_high < 0

    def signed(self, digits: int) -> tuple[str, str, str]:
        """Estimate and limits as text."""
        return (
            number(self.estimate, digits),
            number(self.ci_low, digits),
            number(self.ci_high, digits),
        )

    def sizes(self, digits: int) -> tuple[str, str, str]:
        """Estimate and limits without signs, the smaller limit first."""
        near, far = sorted((abs(self.ci_low), abs(self.ci_high)))
        return number(abs(self.estimate), digits), number(near, digits), number(far, digits)


@dataclass(frozen=True, repr=False)
class DoseAnswer:
    """What the trials say about the dose, in three steps.

    Attributes
    ----------
    outcome, measure, dose_name, level
        Of the effects; `dose_name` is one of `evidence.dose.DOSE_MEASURES`.
    typical : float
        The median dose of the arms that exercised, each arm once.
    effect : Estimate
        Of the typical dose against no exercise, with the P value of no effect; averaged over
        curves where the data support that dose matters.
    slope : Estimate or None
        What `step` more dose adds among those who exercise; None where it cannot be estimated,
        and then `reason` says why.
    step : float
        A natural step of dose (`words.DOSE_STEPS`).
    weight : float
        Akaike weight of the curves in which dose matters; NaN where they were not compared.
    direct : tuple of str
        Trials that randomised people to different doses above zero.
    without : tuple of str
        Trials without any one of which the slope would not be clear; asked where it is clear.
    verdict : str
        One of `VERDICTS`.
    mcid : float or None
    mcid_dose, optimum : DoseEstimate or None
        Where the averaged curve first reaches the MCID, and is best; None unless the data
        support that dose matters.
    n_trials, n_participants, unsized_arms : int
    trials : tuple of str
    lowest, highest : float
        The range of doses above zero that were studied.
    result : DoseResponseResult
        The fit behind the first two steps: a step and a line, or a constant effect.
    curves : CurveComparison or None
        The curves compared, with one variance between trials so that they differ in their mean
        only.
    reason : str

    Examples
    --------
    >>> effects = (
    ...     bp.load_evidence().filter(population=bp.BACK_PAIN).effects("pain_intensity")
    ... )
    >>> answer = bp.dose_answer(effects, dose="sessions_per_week")
    >>> answer.typical, answer.verdict
    (1.0, 'not shown')
    """

    outcome: str
    measure: str
    dose_name: str
    level: float
    typical: float
    effect: Estimate
    slope: Estimate | None
    step: float
    weight: float
    direct: tuple[str, ...]
    without: tuple[str, ...]
    verdict: str
    mcid: float | None
    mcid_dose: DoseEstimate | None
    optimum: DoseEstimate | None
    n_trials: int
    n_participants: int
    unsized_arms: int
    trials: tuple[str, ...]
    lowest: float
    highest: float
    result: DoseResponseResult = field(repr=False)
    curves: CurveComparison | None = field(repr=False)
    reason: str = ""

    @property
    def supported(self) -> bool:
        """Whether the data support that dose matters among those who exercise."""
        return self.verdict in (MORE, LESS)

    @property
    def text(self) -> str:
        """The three statements, and what the doses are."""
        basis = f"Doses are {self.result.effects.dose_basis}."
        return " ".join([effect_sentence(self), dose_sentence(self), place_sentence(self), basis])

    def to_frame(self) -> pd.DataFrame:
        """The numbers as a plain table, as in `summary`."""
        return pd.DataFrame(self.summary())

    def summary(self) -> Summary:
        """A row a number of the answer: `estimate, ci_low, ci_high, p_value`."""
        label = DOSE_LABELS.get(self.dose_name, self.dose_name)
        rows: dict[str, Estimate | DoseEstimate | None] = {
            f"effect of {dose_with_unit(self.typical, self.dose_name)}": self.effect,
            f"effect of {more_of(self)}": self.slope,
            f"MCID reached at, {label}": self.mcid_dose,
            f"best dose, {label}": self.optimum,
        }
        table = {
            name: {
                "estimate": found.estimate,
                "ci_low": found.ci_low,
                "ci_high": found.ci_high,
                "p_value": getattr(found, "p_value", np.nan),
            }
            for name, found in rows.items()
            if found is not None
        }
        return Summary.from_dict(table, orient="index")

    def plot(self, **options: Any) -> Axes:
        """The fit behind the first two statements, and the doses that the third names.

        See `figures.dose_response`.
        """
        from backpain_analysis.figures.dose_plot import BEST, REACHED, dose_response

        reach, best = self.mcid_dose, self.optimum
        named = {} if reach is None or not reach.reached else {REACHED: reach}
        if best is not None and not best.at_edge:
            named[BEST] = best
        return dose_response(self.result, mcid=self.mcid, annotate=named, **options)

    def __repr__(self) -> str:
        return f"<DoseAnswer: {self.outcome}, {self.dose_name}: {self.verdict}>"

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        table = self.summary().rename_axis("").reset_index()
        return html_table(table, title="Dose told apart from doing", note=self.text)


def dose_answer(
    effects: Effects,
    dose: str,
    *,
    mcid: float | None = None,
    level: float = 0.95,
    shapes: bool = True,
) -> DoseAnswer:
    """Say what the typical dose does, whether more does more, and where enough is reached.

    Trials differ by one variance of their contrasts, with correlation one half between those that
    share a reference arm, whatever the curve (`dose_response` with heterogeneity="contrasts").
    Effects of doses have the bias-reduced covariance clustered by trial (test="CR2"), which also
    holds where trials differ in another way than that: by their own strength of the dose, say. The
    slope is tested by Knapp & Hartung, which keeps its error rate there too, and finds more; it is
    never surer than the errors within the trials allow. Where the data support that dose matters,
    the effect of the typical dose is the mean over curves, as a line is then not the only one that
    fits. benchmarks/README.md says how often the answer is right where the truth is known.

    Parameters
    ----------
    effects : Effects
    dose : str
        One of `evidence.dose.DOSE_MEASURES`.
    mcid : float, optional
        Size of the minimal clinically important difference, in the units of the effects.
    level : float
        Of intervals; the test of dose is at one minus this.
    shapes : bool
        Whether to compare shapes of curves also where the verdict does not hang on them, as the
        slope is not clear. It takes most of the time.

    Returns
    -------
    DoseAnswer

    Raises
    ------
    CannotEstimate
        If not even a constant effect can be estimated.

    Examples
    --------
    >>> import backpain_analysis as bp
    >>> trials = bp.simulate_trials(bp.TrialTruth(trials=12), seed=2)
    >>> answer = bp.dose_answer(trials.effects("pain_intensity"), dose="minutes_per_week", mcid=15)
    >>> answer.verdict in ("more does more", "more does less", "not shown", "cannot be told")
    True
    """
    require(effects, "Effects")
    known = effects.with_dose(dose)
    options: dict[str, Any] = {
        "dose": dose,
        "heterogeneity": "contrasts",
        "level": level,
    }
    result, effect, reason = _fitted(known, options)
    typical = result.typical_dose
    studied = result.studied
    slope: Estimate | None = None
    curves: CurveComparison | None = None
    without: tuple[str, ...] = ()
    weight, verdict, step = np.nan, UNKNOWN, DOSE_STEPS.get(dose, 1.0)
    mcid_dose = optimum = None
    sign = benefit_sign(effects.outcome)
    if not reason:
        line = retested(result, "knapp-hartung")
        slope = _slope(line, step)
        if shapes or _clear_p(slope, level):
            curves = compare_curves(known, test="CR2", **options)
            weight = curves.weight_of_dose
        verdict = judged(slope, weight, sign, level)
        if curves is not None and verdict in (MORE, LESS):
            effect = Estimate(*curves.effect_at(typical), effect.least)
            without = _carried_by(line, step, level)
            optimum = curves.optimum(best="lowest" if sign < 0 else "highest")
            mcid_dose = curves.dose_for(sign * abs(mcid)) if mcid else None
    return DoseAnswer(
        outcome=effects.outcome,
        measure=effects.measure,
        dose_name=dose,
        level=level,
        typical=typical,
        effect=effect,
        slope=slope,
        step=step,
        weight=weight,
        direct=tuple(result.direct_trials),
        without=without,
        verdict=verdict,
        mcid=mcid,
        mcid_dose=mcid_dose,
        optimum=optimum,
        n_trials=result.n_trials,
        n_participants=result.n_participants,
        unsized_arms=result.unsized_arms,
        trials=tuple(result.effects.trials),
        lowest=float(studied[studied > 0][0]),
        highest=float(studied[-1]),
        result=result,
        curves=curves,
        reason=reason,
    )


def judged(slope: Estimate, weight: float, sign: int, level: float) -> str:
    """The rule: dose matters if the slope is clear and curves in which it does have the weight.

    Parameters
    ----------
    slope : Estimate
        Of the line beside a step, with its P value.
    weight : float
        Akaike weight of all curves but the constant effect.
    sign : {-1, 1}
        Of a benefit.
    level : float
    """
    if not (_clear_p(slope, level) and weight >= WEIGHT_OF_DOSE):
        return NOT_SHOWN
    return MORE if np.sign(slope.estimate) == sign else LESS


def _clear_p(slope: Estimate, level: float) -> bool:
    """Whether P is below one minus the level, whatever the rounding of that difference."""
    return slope.p_value < round(1 - level, 9)


def _fitted(known: Effects, options: dict[str, Any]) -> tuple[DoseResponseResult, Estimate, str]:
    """The step and line, or a constant effect with the reason why there is no line."""
    above = known.table["dose"][known.table["dose"] > 0]
    distinct = len(np.unique([*above, *known.table["ref_dose"][known.table["ref_dose"] > 0]]))
    reason = ""
    if distinct < FEWEST_DOSES:
        reason = f"the trials studied only {plural(distinct, 'dose')} above zero"
    else:
        try:
            return *_with_effect(known, "step + linear", options), ""
        except CannotEstimate as fault:
            reason = fault.reason
    return *_with_effect(known, "constant", options), reason


def _with_effect(
    known: Effects, curve: str, options: dict[str, Any]
) -> tuple[DoseResponseResult, Estimate]:
    """A fit, and the effect of its typical dose."""
    result = dose_response(known, curve=curve, test="CR2", **options)
    estimate, se, half = result.effect_at(result.typical_dose)
    p_value = float(two_sided_p(np.array(estimate / se), result.df_at(result.typical_dose)))
    row = result.gradient(np.array([result.typical_dose]), result.reference_dose)[0]
    least = least_half(result, row)
    return result, Estimate(estimate, estimate - half, estimate + half, p_value, least)


def _slope(result: DoseResponseResult, step: float) -> Estimate:
    """What a step more adds, its interval and P value no narrower than the model's normal ones.

    Where effects agree to the last digit, the model's own P value is none (0 of 0).
    """
    limits, slope = result.conf_int().loc["dose"], step * float(result.params["dose"])
    least = least_half(result, step * (result.params.index == "dose"))
    half = max(step * float(limits["ci_high"] - limits["ci_low"]) / 2, least)
    normal = 2 * special.ndtr(-abs(slope) * quantile(result.level, np.inf) / least)
    p_value = float(np.fmax(result.pvalues["dose"], normal))
    return Estimate(slope, slope - half, slope + half, p_value, least)


def least_half(result: DoseResponseResult, row: np.ndarray) -> float:
    """Half the normal interval of a combination of coefficients, by the model's own covariance."""
    se = float(np.sqrt(row @ result.engine.cov_beta @ row))
    return float(quantile(result.level, np.inf)) * se


def _carried_by(result: DoseResponseResult, step: float, level: float) -> tuple[str, ...]:
    """Trials without any one of which the slope is not clear, or cannot be estimated."""
    carried = []
    for trial in result.effects.trials:
        others = result.effects.select(result.points["trial_id"] != trial, None)
        try:
            clear = _clear_p(_slope(result.refit(others), step), level)
        except CannotEstimate:
            clear = False
        if not clear:
            carried.append(trial)
    return tuple(carried)


def effect_sentence(answer: DoseAnswer) -> str:
    """What the typical dose does against no exercise."""
    word, unit = outcome_words(answer.outcome), unit_words(answer.measure)
    digits, level = effect_digits(answer.measure), f"{answer.level:.0%} CI"
    size, found = size_words(answer), answer.effect
    dose = dose_with_unit(answer.typical, answer.dose_name, answer.highest)
    if not found.clear:
        middle, low, high = found.signed(digits)
        return (
            f"In {size}, no clear difference in {word} between the typical dose of exercise, "
            f"{dose}, and none: {middle} {unit} ({level} {low} to {high}).{_too_narrow(answer)}"
        )
    middle, low, high = found.sizes(digits)
    direction = "lower" if found.estimate < 0 else "higher"
    share = share_of_mcid(found.estimate, answer.mcid if answer.measure == "MD" else None)
    return (
        f"In {size}, {word} was {middle} {unit} {direction} with the typical dose of exercise, "
        f"{dose}, than with none ({level} {low} to {high} {direction}).{share}"
        f"{_too_narrow(answer)}"
    )


def _too_narrow(answer: DoseAnswer) -> str:
    """What the errors within the trials would allow, where they agree more closely than that."""
    found = answer.effect
    if not found.too_narrow:
        return ""
    digits = effect_digits(answer.measure)
    low, high = (number(found.estimate + side * found.least, digits) for side in (-1, 1))
    return (
        f" The trials agree more closely than their own errors would let expect: by those alone "
        f"the interval is {low} to {high}."
    )


def dose_sentence(answer: DoseAnswer) -> str:
    """Whether, among those who exercise, more does more; and what that rests on."""
    slope = answer.slope
    if slope is None:
        return f"Whether more exercise does more cannot be told: {answer.reason}."
    word, unit = outcome_words(answer.outcome), unit_words(answer.measure)
    digits, more = effect_digits(answer.measure), more_of(answer)
    p = p_text(slope.p_value)
    if answer.supported:
        middle, low, high = slope.sizes(digits)
        what = "lowered" if slope.estimate < 0 else "raised"
        did = "more did more" if answer.verdict == MORE else "more did less"
        text = (
            f"Among those who exercised {did}: {more} {what} {word} by {middle} {unit} "
            f"({answer.level:.0%} CI {low} to {high}, {p})"
        )
        return f"{text}{_hangs_on(answer)}. {_direct(answer)}"
    middle, low, high = slope.signed(digits)
    text = (
        f"That more exercise does more is not shown: {more} changed {word} by {middle} {unit} "
        f"({answer.level:.0%} CI {low} to {high}, {p})"
    )
    if _clear_p(slope, answer.level):
        text += (
            f", but the curves in which dose matters have only {answer.weight:.0%} of the weight "
            "beside a constant effect"
        )
    return f"{text}. {_ruled_out(answer)}{_direct(answer)}"


def place_sentence(answer: DoseAnswer) -> str:
    """Where the MCID is reached and the effect is best, if the data support that dose matters."""
    if not answer.supported:
        return "So no dose is named as enough, or as best."
    parts = []
    if answer.mcid and answer.mcid_dose is not None:
        parts.append(_reached(answer, answer.mcid_dose, answer.mcid))
    if answer.optimum is not None:
        parts.append(_best(answer, answer.optimum))
    return " ".join(parts)


def more_of(answer: DoseAnswer) -> str:
    """A step of dose: "60 more minutes per week"."""
    count, _, label = dose_with_unit(answer.step, answer.dose_name).partition(" ")
    return f"{count} more {label}"


def _range(answer: DoseAnswer) -> str:
    low = short_dose(answer.lowest, answer.highest)
    return f"{low} to {dose_with_unit(answer.highest, answer.dose_name)}"


def _ruled_out(answer: DoseAnswer) -> str:
    """Whether the slope's interval leaves room for an MCID between the doses studied."""
    if not answer.mcid or answer.slope is None:
        return ""
    steps = (answer.highest - answer.lowest) / answer.step
    farthest = steps * max(abs(answer.slope.ci_low), abs(answer.slope.ci_high))
    verdict = (
        "are not ruled out"
        if farthest >= abs(answer.mcid)
        else "are ruled out, if dose acts along a line"
    )
    return f"Differences that matter between the doses studied, {_range(answer)}, {verdict}. "


def _direct(answer: DoseAnswer) -> str:
    """How many trials randomised people to different doses."""
    count = len(answer.direct)
    if not count:
        return "No trial randomised people to different doses: trials are compared with each other."
    only = "Only " if count == 1 else ""
    return f"{only}{plural(count, 'trial')} randomised people to different doses."


def _hangs_on(answer: DoseAnswer) -> str:
    if not answer.without:
        return ""
    if len(answer.without) <= 3:
        names = " or ".join(answer.without)
        return f", which is not clear without {names}"
    return f", which is not clear without any one of {len(answer.without)} of the trials"


def _reached(answer: DoseAnswer, dose: DoseEstimate, mcid: float) -> str:
    target = f"{number(abs(mcid), effect_digits(answer.measure))} {unit_words(answer.measure)}"
    if not dose.reached:
        return f"A difference of {target} is not shown at any dose studied: {dose.note}."
    at, low, high = _doses(answer, dose)
    if dose.estimate == dose.low:
        return f"A difference of {target} is there already at the smallest dose studied, {at}."
    end = f"to {high}" if np.isfinite(dose.ci_high) else "without an upper limit"
    return (
        f"A difference of {target} is first reached at {at} ({answer.level:.0%} interval from "
        f"{low} {end}, the choice of curve included)."
    )


def _best(answer: DoseAnswer, dose: DoseEstimate) -> str:
    if dose.at_edge:
        return f"No best dose is shown: the effect is largest {dose.note}."
    at, low, high = _doses(answer, dose)
    effect = number(dose.effect, effect_digits(answer.measure))
    text = (
        f"The best mean effect, {effect} {unit_words(answer.measure)}, is at {at} "
        f"({answer.level:.0%} interval from {low} to {high}, the choice of curve included)"
    )
    return f"{text}; {dose.note}." if dose.note else f"{text}."


def _doses(answer: DoseAnswer, dose: DoseEstimate) -> tuple[str, str, str]:
    return (
        dose_with_unit(dose.estimate, answer.dose_name, answer.highest),
        short_dose(dose.ci_low, answer.highest),
        short_dose(dose.ci_high, answer.highest),
    )


def dose_in_network(answer: DoseAnswer, effects: Effects, lump: Mapping[str, str]) -> Answer:
    """The slope among exercisers from trials of exercise against any treatment, beside the answer.

    A network in which each type of exercise has a step of its own, exchangeable between types,
    one line of dose is shared by all, and treatments without a dose stand for themselves
    (`dose_network` with shared="step").

    Parameters
    ----------
    answer : DoseAnswer
    effects : Effects
        Of every arm (`evidence.effects` with head_to_head=True), in the measure of the answer.
    lump : mapping
        Names of treatments, see `effects.lumping`.

    Returns
    -------
    Answer
        Table: `group, trials, estimate, ci_low, ci_high`, of a step more of dose.

    Examples
    --------
    >>> evidence = bp.load_evidence().filter(population=bp.BACK_PAIN)
    >>> effects = evidence.effects("pain_intensity", head_to_head=True)
    >>> answer = bp.dose_answer(effects.against_inactive(), dose="sessions_per_week")
    >>> print(bp.dose_in_network(answer, effects, bp.lumping("types")).text)
    In 24 trials of exercise against other exercise, other care or none, the dose is not shown
    to matter among those who exercise: 1 more session per week changed pain by −1.1 points of
    100 (95% CI −4.8 to 2.6, P = 0.57; 2 trials compared different doses of one type).
    """
    require(answer, "DoseAnswer")
    require(effects, "Effects")
    options: dict[str, Any] = {"dose": answer.dose_name, "lump": lump, "reference": "inactive"}
    options["comparators"] = "all"
    try:
        part = connected_agents(effects, **options)
        result = dose_network(part, any_exercise=True, shared="step", **options)
    except CannotEstimate as fault:
        return no_answer(f"A network of all treatments does not carry this question: {fault}")
    row = answer.step * result.summary().loc[f"{result.agents[0]}: dose"]
    p = result.test_dose()["p_value"]
    wide = Estimate(float(row["estimate"]), float(row["ci_low"]), float(row["ci_high"]), float(p))
    middle, low, high = wide.signed(effect_digits(answer.measure))
    verdict = "is shown to matter" if _clear_p(wide, answer.level) else "is not shown to matter"
    direct = plural(int(result.test_dose()["trials"]), "trial")
    text = (
        f"In {plural(result.n_trials, 'trial')} of exercise against other exercise, other care or "
        f"none, the dose {verdict} among those who exercise: {more_of(answer)} changed "
        f"{outcome_words(answer.outcome)} by {middle} {unit_words(answer.measure)} "
        f"({answer.level:.0%} CI {low} to {high}, {p_text(wide.p_value)}; {direct} compared "
        "different doses of one type)."
    )
    rows = [] if answer.slope is None else [("against no exercise", answer.n_trials, answer.slope)]
    rows.append(("network of all treatments", result.n_trials, wide))
    table = [
        {"group": name, "trials": trials, "estimate": found.estimate}
        | {"ci_low": found.ci_low, "ci_high": found.ci_high}
        for name, trials, found in rows
    ]
    return Answer(text, pd.DataFrame(table))
