"""Made-up participants of exercise trials whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from backpain_analysis.datasets.drawing import People, draw_people, draw_scores
from backpain_analysis.datasets.truth import Truth

if TYPE_CHECKING:
    from backpain_analysis.evidence.participants import Participants

TYPES = ("aerobic_walking", "core_stabilisation", "resistance", "yoga", "motor_control", "pilates")
"""Exercise of the trials, in turn; the type makes no difference."""
STATUS = {"acute": 1.5, "subacute": 3.0, "chronic": np.inf}
"""Months of pain up to which it is called so."""


class SyntheticTables(NamedTuple):
    """Tables of made-up participants, with the columns of the bundled ``datapackage.json``."""

    interventions: pd.DataFrame
    scores: pd.DataFrame
    participants: pd.DataFrame


def simulate_participants(truth: Truth | None = None, seed: int = 1) -> Participants:
    """Make up participants of trials whose dose effect is known.

    Parameters
    ----------
    truth : Truth, optional
        By default `Truth()`, that of the bundled synthetic set: 600 people in six trials of four
        doses. ``truth.effect(dose, week)`` is what an analysis should find.
    seed : int
        The same truth and seed give the same data.

    Returns
    -------
    Participants
        With ``synthetic`` true. Scores of pain (``VAS``, or ``other`` where `Truth.limits` is
        none and they may leave 0-100) are missing from dropout on. The effect follows the dose
        prescribed; how much of it was attended is drawn independently of everything else.
    """
    from backpain_analysis.evidence.participants import Participants

    truth = Truth() if truth is None else truth
    name = f"{truth.name} (seed {seed})"
    return Participants.from_frames(*simulate_tables(truth, seed), name=name, synthetic=True)


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
    """The tables of `simulate_participants`, unchecked."""
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
        intensity=pd.Series(np.where(exercises, "moderate", None), dtype="str"),
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
