"""Made-up participants of exercise trials whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from backpain_analysis.datasets.truth import Truth

People = dict[str, np.ndarray]
"""By name, arrays (..., n): the measures, `female`, `smoking` (words), `current_smoker` (0, 1)."""


def draw_people(truth: Truth, rng: np.random.Generator, shape: tuple[int, ...]) -> People:
    """Characteristics at baseline, independent of one another; measures to one decimal."""
    people: People = {}
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
    level: np.ndarray = truth.baseline_mean + rng.normal(0, truth.trial_sd, trials)[..., trial]
    for name, points in truth.prognosis.items():
        level = level + points * (people[name] - truth.centre(name))
    own = rng.standard_normal((2, *shape))
    r = truth.intercept_slope_correlation
    level = level + truth.intercept_sd * own[0]
    slope = truth.slope_sd * (r * own[0] + np.sqrt(1 - r**2) * own[1])
    scores = rng.normal(0, truth.residual_sd, (*shape, len(weeks)))
    scores += level[..., None] + slope[..., None] * weeks
    share: np.ndarray = 1 + rng.normal(0, truth.effect_trial_sd, trials)[..., trial]
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


TYPES = ("aerobic_walking", "core_stabilisation", "resistance", "yoga", "motor_control", "pilates")
"""Exercise of the trials, in turn; the type makes no difference."""

STATUS = {"acute": 1.5, "subacute": 3.0, "chronic": np.inf}
"""Months of pain up to which it is called so."""


class SyntheticTables(NamedTuple):
    """Tables of made-up participants, with the columns of the bundled ``datapackage.json``."""

    interventions: pd.DataFrame
    scores: pd.DataFrame
    participants: pd.DataFrame


def write_synthetic(folder: str | Path, truth: Truth | None = None, seed: int = 1) -> Path:
    """Write made-up participants as CSV with their truth beside them, in ``truth.json``.

    Files of these names in the folder are replaced; the same truth and seed give the same bytes.

    Returns
    -------
    Path
        The folder.
    """
    truth, folder = Truth() if truth is None else truth, Path(folder)
    tables = simulate_tables(truth, seed)._asdict()
    texts = {f"{name}.csv": _csv(table) for name, table in tables.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {**texts, "truth.json": truth.to_json(seed)}.items():
        (folder / name).write_text(text, encoding="utf-8", newline="")
    return folder


def simulate_tables(truth: Truth, seed: int) -> SyntheticTables:
    """The tables of a truth, unchecked."""
    rng = np.random.default_rng(seed)
    trial = np.repeat(np.arange(len(truth.trial_sizes)), truth.trial_sizes)
    arm = np.concatenate([_allocated(truth, size, rng) for size in truth.trial_sizes])
    people = draw_people(truth, rng, trial.shape)
    scores = draw_scores(truth, truth.doses[arm], trial, people, rng)
    keys = _identifiers(truth, trial)
    return SyntheticTables(
        _interventions(truth, keys, trial, arm, rng),
        _scores(truth, keys, scores),
        _participants(keys, people),
    )


def _allocated(truth: Truth, size: int, rng: np.random.Generator) -> np.ndarray:
    """Arms of one trial's participants, as equal in number as they can be, in random order."""
    return rng.permutation(np.arange(size) % len(truth.prescriptions))


def _identifiers(truth: Truth, trial: np.ndarray) -> pd.DataFrame:
    number = np.concatenate([np.arange(1, size + 1) for size in truth.trial_sizes])
    width = len(str(max(truth.trial_sizes)))
    return pd.DataFrame(
        {
            "trial_id": [f"synthetic_{code + 1}" for code in trial],
            "participant_id": [
                f"s{code + 1}-{count:0{width}d}" for code, count in zip(trial, number, strict=True)
            ],
        }
    )


def _interventions(
    truth: Truth,
    keys: pd.DataFrame,
    trial: np.ndarray,
    arm: np.ndarray,
    rng: np.random.Generator,
) -> pd.DataFrame:
    sessions, minutes = np.array(truth.prescriptions, dtype=float)[arm].T
    exercises = sessions * minutes > 0
    share = rng.beta(*truth.attendance.shape, size=arm.shape)
    attended = np.floor(100 * sessions * share) / 100
    kind = np.array(TYPES)[trial % len(TYPES)]
    return keys.assign(
        exercise_type=np.where(exercises, kind, "none"),
        prescribed_sessions_per_week=np.where(exercises, sessions, 0.0),
        attended_sessions_per_week=np.where(exercises, attended, 0.0),
        minutes_per_session=np.where(exercises, minutes, np.nan),
        start_week=np.where(exercises, 0.0, np.nan),
        end_week=np.where(exercises, truth.programme_weeks, np.nan),
        intensity=pd.Series("moderate", range(len(exercises)), dtype="str").where(exercises),
    )


def _scores(truth: Truth, keys: pd.DataFrame, scores: np.ndarray) -> pd.DataFrame:
    low, high = (np.nan, np.nan) if truth.limits is None else truth.limits
    rows = keys.loc[keys.index.repeat(len(truth.visits))].reset_index(drop=True)
    table = rows.assign(
        week=np.tile(truth.visits, len(keys)),
        instrument="other" if truth.limits is None else "VAS",
        value=scores.ravel(),
        scale_min=float(low),
        scale_max=float(high),
    )
    return table[table["value"].notna()].reset_index(drop=True)


def _participants(keys: pd.DataFrame, people: People) -> pd.DataFrame:
    months = people["pain_duration_months"]
    return keys.assign(
        age=people["age"],
        sex=np.where(people["female"], "female", "male"),
        bmi=people["bmi"],
        pain_duration_months=months,
        smoking=people["smoking"],
        sitting_hours=people["sitting_hours"],
        baseline_status=np.array(list(STATUS))[np.searchsorted(list(STATUS.values()), months)],
    )


def _csv(table: pd.DataFrame) -> str:
    """A table as CSV, columns of whole numbers without a decimal point."""
    numbers = table.select_dtypes("float")
    whole = [name for name in numbers if (numbers[name].dropna() % 1 == 0).all()]
    return table.astype(dict.fromkeys(whole, "Int64")).to_csv(index=False, lineterminator="\n")
