"""Draw made-up people and their scores as arrays, any number of data sets at once."""

from __future__ import annotations

import numpy as np

from backpain_analysis.datasets.truth import Truth

People = dict[str, np.ndarray]
"""By name, arrays (..., n): the measures, `female`, `smoking` (words), `current_smoker` (0, 1)."""


def draw_people(truth: Truth, rng: np.random.Generator, shape: tuple[int, ...]) -> People:
    """Characteristics at baseline, independent of one another; measures to one decimal."""
    people = {}
    for measure in truth.people:
        share = rng.beta(*measure.shape, size=shape)
        people[measure.name] = (measure.low + (measure.high - measure.low) * share).round(1)
    people["female"] = rng.random(shape) < truth.female_share
    habits = list(truth.smoking)
    people["smoking"] = rng.choice(habits, size=shape, p=list(truth.smoking.values()))
    people["current_smoker"] = (people["smoking"] == "current").astype(float)
    return people


def draw_scores(
    truth: Truth, dose: np.ndarray, trial: np.ndarray, people: People, rng: np.random.Generator
) -> np.ndarray:
    """Scores at every visit, as recorded, NaN from a dropout on.

    Parameters
    ----------
    truth : Truth
    dose : ndarray, shape (n,)
        Minutes per week.
    trial : ndarray of int, shape (n,)
        Numbers of the trials, from 0.
    people : dict
        Of `draw_people`, arrays (..., n); leading axes are data sets.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, shape (..., n, n_visits)
        The model is that of `Truth`. Dropout is for good; its logit is linear in the recorded
        score before it (or, for "MNAR", in the one that it hides).
    """
    weeks = np.array(truth.visits)
    shape = people["current_smoker"].shape
    trials = (*shape[:-1], int(trial.max()) + 1)
    level = truth.baseline_mean + rng.normal(0, truth.trial_sd, trials)[..., trial]
    for name, points in truth.prognosis.items():
        level = level + points * (people[name] - truth.centre(name))
    own = rng.standard_normal((2, *shape))
    r = truth.intercept_slope_correlation
    level = level + truth.intercept_sd * own[0]
    slope = truth.slope_sd * (r * own[0] + np.sqrt(1 - r**2) * own[1])
    scores = rng.normal(0, truth.residual_sd, (*shape, len(weeks)))
    scores += level[..., None] + slope[..., None] * weeks
    share = 1 + rng.normal(0, truth.effect_trial_sd, trials)[..., trial]
    for name, change in truth.modification.items():
        value = recorded(truth, scores[..., 0]) if name == "baseline" else people[name]
        share = share + change * (value - truth.centre(name))
    change = truth.natural_change + truth.lasting_effect(dose) * share
    scores += change[..., None] * truth.reached(weeks)
    scores = recorded(truth, scores)
    scores[dropped_out(truth, scores, rng)] = np.nan
    return scores


def recorded(truth: Truth, scores: np.ndarray) -> np.ndarray:
    """Scores on their scale: cut off at its ends and rounded, where the truth says so."""
    if truth.limits is not None:
        scores = np.clip(scores, *truth.limits)
    return scores if truth.decimals is None else np.round(scores, truth.decimals)


def dropped_out(truth: Truth, scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mask of the scores that dropout hides, shape of `scores`; never the first visit."""
    chance = rng.random(scores[..., 1:].shape)
    seen = scores[..., :-1] if truth.dropout == "MAR" else scores[..., 1:]
    p = truth.dropout_per_visit
    odds = p / (1 - p) * truth.dropout_odds_ratio ** ((seen - truth.baseline_mean) / 10)
    gone = np.logical_or.accumulate(chance < odds / (1 + odds), axis=-1)
    return np.concatenate([np.zeros_like(gone[..., :1]), gone], axis=-1)
