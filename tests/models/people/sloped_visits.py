"""Made-up trials whose participants differ in how they change."""

from __future__ import annotations

import numpy as np
import pandas as pd

from backpain_analysis.models.people.visits import person_codes
from tests.models.people.made_visits import made_visits


def sloped(seed: int) -> pd.DataFrame:
    """Four visits, some missed, in four trials; scores correlated as intercepts and slopes."""
    made = made_visits(n=24, trials=4, missing=0.2, weeks=(0.0, 4.0, 8.0, 12.0), seed=seed)
    rng = np.random.default_rng(seed + 100)
    slopes = rng.normal(0, 1.2, person_codes(made).max() + 1)
    return made.assign(value=made["value"] + slopes[person_codes(made)] * made["week"])
