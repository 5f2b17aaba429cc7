"""Small made-up trials of participants, for tests."""

from __future__ import annotations

import numpy as np
import pandas as pd

WEEKS = (0.0, 6.0, 12.0)


def made_visits(
    n: int = 40,
    trials: int = 3,
    doses: tuple[float, ...] = (0.0, 60.0, 120.0),
    slope: float = -0.08,
    missing: float = 0.0,
    weeks: tuple[float, ...] = WEEKS,
    seed: int = 1,
) -> pd.DataFrame:
    """`trial_id, participant_id, week, dose, value, age, sex`, n participants a trial."""
    rng = np.random.default_rng(seed)
    frames = []
    for trial in range(trials):
        dose = np.resize(doses, n)
        age = rng.normal(45 + 3 * trial, 8, n)
        sex = rng.choice(["female", "male"], n)
        person = rng.normal(0, 8, n)
        for week in weeks:
            mean = 55 - 2 * trial - 0.3 * week + slope * dose * min(week, 8) / 8
            value = mean + person + 0.1 * (age - 45) + rng.normal(0, 6, n)
            if week > 0:
                value[rng.random(n) < missing] = np.nan
            columns = {"participant_id": [f"p{i}" for i in range(n)], "week": week, "dose": dose}
            columns |= {"value": value, "age": age, "sex": sex}
            frames.append(pd.DataFrame({"trial_id": f"t{trial}", **columns}))
    return pd.concat(frames, ignore_index=True)


def at(visits: pd.DataFrame, week: float) -> pd.DataFrame:
    """Complete rows of one visit beside the score at week 0."""
    keys = ["trial_id", "participant_id"]
    first = visits.loc[visits["week"] == 0, [*keys, "value"]]
    now = visits[visits["week"] == week]
    return now.merge(first.rename(columns={"value": "baseline"}), on=keys).dropna()
