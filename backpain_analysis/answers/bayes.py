"""What few trials can say: posteriors beside classical results, and probabilities in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from backpain_analysis.effects.table import Effects
from backpain_analysis.engine.priors import TauPrior
from backpain_analysis.errors import CannotEstimate, require
from backpain_analysis.models.bayes.model import chosen_prior, implied_sd
from backpain_analysis.models.bayes.posterior import PooledPosterior
from backpain_analysis.models.dose.posterior import CurvePosterior, curve_posterior
from backpain_analysis.models.dose.result import DoseResponseResult
from backpain_analysis.models.network.network import NetworkResult
from backpain_analysis.models.network.posterior import NetworkPosterior, network_posterior
from backpain_analysis.models.pairwise.pooling import pool
from backpain_analysis.words import (
    DOSE_LABELS,
    benefit_sign,
    dose_text,
    effect_digits,
    exercise_label,
    number,
    outcome_words,
    plural,
    unit_words,
)

FEW = 10
"""With fewer trials than this, a result is told with a prior beside the classical one."""


def share_text(probability: float) -> str:
    """A probability as a reader takes it in: whole per cent, never 0% or 100%.

    >>> share_text(0.834), share_text(0.0004), share_text(0.9999)
    ('83%', 'below 1%', 'above 99%')
    """
    if probability < 0.01:
        return "below 1%"
    return "above 99%" if probability > 0.99 else f"{probability:.0%}"


def beyond(size: float, sign: int) -> str:
    """The comparison that asks for more than `size` in the direction of `sign`: "< -10"."""
    return f"{'<' if sign < 0 else '>'} {sign * size!r}"


def past(outcome: str, size: float) -> str:
    """The comparison that asks for a benefit of more than `size`: "< -10", or "> 10"."""
    return beyond(size, benefit_sign(outcome))


def probable(benefit: float, noticed: float | None, mcid: float | None) -> str:
    """How likely a benefit is, and one that patients notice.

    Parameters
    ----------
    benefit, noticed : float
        Probabilities; `noticed` is None without an MCID.
    mcid : float or None
        In points of 0-100.
    """
    text = f"The probability that it is a benefit at all is {share_text(benefit)}"
    if noticed is None or mcid is None:
        return f"{text}."
    return (
        f"The probability that the effect is larger than the difference patients notice "
        f"({number(mcid, 0)} points) is {share_text(noticed)}; that it is a benefit at all, "
        f"{share_text(benefit)}."
    )


def prior_words(prior: object) -> str:
    """Where a prior of the heterogeneity comes from, as it stands in a sentence."""
    if isinstance(prior, TauPrior) and prior.source:
        paper, _, setting = prior.source.partition(", ")
        return f"from thousands of meta-analyses ({paper}, {setting})"
    return f"as a prior of {prior}"


def _size(estimate: float, low: float, high: float, measure: str) -> str:
    digits = effect_digits(measure)
    return (
        f"{number(estimate, digits)} {unit_words(measure)} (95% credible interval "
        f"{number(low, digits)} to {number(high, digits)})"
    )


def pooled_beyond(effects: Effects, size: float | None, sign: int) -> float:
    """Probability that a mean effect is larger than `size` in the direction of `sign`.

    With the empirical prior for outcome and measure; missing where none, or no size, is known.
    """
    if not size:
        return math.nan
    try:
        return pool(effects, prior="auto").probability(beyond(size, sign))
    except CannotEstimate:
        return math.nan


def network_with_prior(effects: Effects, result: NetworkResult) -> NetworkPosterior | None:
    """The posterior of a network with the empirical prior; None where none is known.

    Parameters
    ----------
    effects : Effects
        Of which the network was made; they know the standard deviation of the outcome.
    result : NetworkResult
    """
    sd = implied_sd(effects.table)
    try:
        prior = chosen_prior("auto", result.data.outcome, result.measure, sd)
        return network_posterior(
            *(result.data, result.loadings, result.reference, result.lower_is_better),
            *(prior, result.level),
        )
    except CannotEstimate:
        return None


def pooled_sentence(
    result: PooledPosterior, mcid: float | None = None, what: str = "Exercise"
) -> str:
    """The posterior of a pooled effect in words.

    Parameters
    ----------
    result : PooledPosterior
        Of `Effects`, which know outcome and measure.
    mcid : float, optional
        In points of 0-100; not used for other measures.
    what : str
        What was pooled.
    """
    size = _size(result.estimate, result.ci_low, result.ci_high, result.measure)
    known = mcid if result.measure == "MD" else None
    noticed = result.probability(past(result.outcome, known)) if known else None
    benefit = result.probability(past(result.outcome, 0.0))
    return (
        f"{what} ({plural(result.n_trials, 'trial')}): the effect on "
        f"{outcome_words(result.outcome)} is {size}. {probable(benefit, noticed, known)}"
    )


def dose_sentence(result: CurvePosterior, dose: float, mcid: float | None = None) -> str:
    """The posterior of the effect of one dose in words."""
    row = result.predict([dose]).iloc[0]
    size = _size(row["estimate"], row["ci_low"], row["ci_high"], result.measure)
    known = mcid if result.measure == "MD" else None
    noticed = result.probability_at(past(result.outcome, known), dose) if known else None
    benefit = result.probability_at(past(result.outcome, 0.0), dose)
    label = DOSE_LABELS.get(result.dose_name, result.dose_name)
    carry = "carries" if result.n_trials == 1 else "carry"
    return (
        f"Only {plural(result.n_trials, 'trial')} {carry} this curve. With what is known "
        f"{prior_words(result.prior)} of how far trials differ, the effect of "
        f"{dose_text(dose, result.max_dose)} {label} on {outcome_words(result.outcome)} is "
        f"{size}. {probable(benefit, noticed, known)}"
    )


def curve_of_few(result: DoseResponseResult, mcid: float | None = None) -> str:
    """A curve of fewer than ten trials told with the empirical prior, at the median dose.

    Contrasts differ between trials by one tau, which few trials carry.

    Examples
    --------
    >>> evidence = bp.load_evidence().filter(
    ...     trial_id=["saper2013", "teut2016", "sherman2011"]
    ... )
    >>> curve = bp.dose_response(
    ...     evidence.effects("pain_intensity"), dose="sessions_per_week"
    ... )
    >>> print(bp.curve_of_few(curve))
    Only 3 trials carry this curve. With what is known from thousands of meta-analyses (Rhodes
    et al. 2015, pain) of how far trials differ, the effect of 1.5 sessions per week on pain
    is −5.9 points of 100 (95% credible interval −14.0 to 2.4). The probability that it is a
    benefit at all is 94%.
    """
    require(result, "DoseResponseResult")
    if result.n_trials >= FEW:
        return f"{plural(result.n_trials, 'trial')} carry this curve: it needs no prior."
    if result.curve.shape_terms or result.moderators.size > 1:
        return "Curves with a shape or moderators of their own are not told with a prior here."
    dose = float(result.points["dose"].median())
    try:
        found = curve_posterior(
            result.effects, result.curve, None, "contrasts", result.dose_name, "auto", 0.95
        )
    except CannotEstimate as error:
        return f"With a prior nothing can be told: {error.reason}."
    return dose_sentence(found, dose, mcid)


@dataclass(frozen=True)
class FewTrials:
    """Pooled effects of two to nine trials, with a prior and without one.

    Attributes
    ----------
    text : str
    table : DataFrame
        A row a group: `group, trials, estimate, ci_low, ci_high` (classical), `bayes, bayes_low,
        bayes_high, benefit, noticed` (probabilities), `note` (why there is no posterior).
    posteriors : mapping of str to PooledPosterior
    measure : str
    mcid : float or None
    """

    text: str
    table: pd.DataFrame = field(repr=False)
    posteriors: Mapping[str, PooledPosterior] = field(repr=False)
    measure: str
    mcid: float | None

    def __str__(self) -> str:
        return self.text


def few_trials(
    effects: Effects, column: str = "exercise_type", *, mcid: float | None = None
) -> FewTrials:
    """Every group of two to nine trials, and all of them if they are as few, with a prior.

    The prior of the heterogeneity is the empirical one for outcome and measure.

    Parameters
    ----------
    effects : Effects
    column : str
        Column of `effects.table` that names the groups.
    mcid : float, optional
        Smallest difference that patients notice, in points of 0-100.

    Returns
    -------
    FewTrials

    Examples
    --------
    >>> evidence = bp.load_evidence().filter(
    ...     trial_id=["saper2013", "teut2016", "sherman2011"]
    ... )
    >>> found = bp.few_trials(evidence.effects("pain_intensity"))
    >>> type(found.table).__name__
    'DataFrame'
    """
    require(effects, "Effects")
    names = sorted(str(name) for name in effects.table[column].dropna().unique())
    groups = {
        exercise_label(name): effects.select(effects.table[column] == name, f"another {column}")
        for name in names
    }
    groups = {"All types": effects, **groups} if len(groups) > 1 else groups
    few = {name: own for name, own in groups.items() if 1 < own.n_trials < FEW}
    known = mcid if effects.measure == "MD" else None
    rows, posteriors = [], {}
    for name, own in few.items():
        row, posterior = _row(name, own, known)
        rows.append(row)
        if posterior is not None:
            posteriors[name] = posterior
    text = _text(few, posteriors, known)
    return FewTrials(text, pd.DataFrame(rows), posteriors, effects.measure, known)


def _row(
    name: str, effects: Effects, mcid: float | None
) -> tuple[dict[str, object], PooledPosterior | None]:
    classical = pool(effects)
    row: dict[str, object] = {
        "group": name,
        "trials": effects.n_trials,
        "estimate": classical.estimate,
        "ci_low": classical.ci_low,
        "ci_high": classical.ci_high,
    }
    try:
        result = pool(effects, prior="auto")
    except CannotEstimate as error:
        return {**row, "note": error.reason}, None
    row |= {"bayes": result.estimate, "bayes_low": result.ci_low, "bayes_high": result.ci_high}
    row["benefit"] = result.probability(past(result.outcome, 0.0))
    if mcid:
        row["noticed"] = result.probability(past(result.outcome, mcid))
    return {**row, "note": ""}, result


def _text(
    few: Mapping[str, Effects], posteriors: Mapping[str, PooledPosterior], mcid: float | None
) -> str:
    if not few:
        return "No group here has two to nine trials, so none needs a prior."
    if not posteriors:
        return "No prior of how far such trials differ is known, so few trials are not told so."
    source = prior_words(next(iter(posteriors.values())).prior)
    told = (pooled_sentence(own, mcid, name) for name, own in posteriors.items())
    return (
        "How far two to nine trials differ can hardly be estimated from them. What is known "
        f"{source} tells more. {' '.join(told)}"
    )
