"""The closed test finds the simplest curve that is good enough."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from backpain_analysis.models.dose.comparison import select_fractional_polynomial

DOSES = np.array([20.0, 40, 60, 80, 100, 120, 150, 180, 210, 240, 270, 300])


def trials(truth, sd=1.0, seed=5):
    """Twelve two-arm trials of 50 people an arm around a true curve."""
    rng = np.random.default_rng(seed)
    rows = []
    for i, dose in enumerate(DOSES):
        for d in (0.0, dose):
            rows.append((f"t{i}", d, 50 + truth(d) + rng.normal(0, sd / np.sqrt(50)), sd, 50))
    return pd.DataFrame(rows, columns=["trial_id", "dose", "mean", "sd", "n"])


@pytest.mark.parametrize(
    ("truth", "chosen"),
    [
        (lambda d: 0.0, "none"),
        (lambda d: -0.05 * d, "linear"),
        (lambda d: -2.0 * np.log((d + 20) / 20), "fp1"),
        (lambda d: -0.2 * d + 0.0008 * d**2, "fp2"),
    ],
)
def test_the_truth_is_chosen(truth, chosen):
    selection = select_fractional_polynomial(trials(truth))
    assert selection.chosen == chosen
    assert (selection.result is None) == (chosen == "none")


def test_numbers_of_the_test_against_no_effect():
    """Zero effects: deviance and df from the normal density and the count of parameters."""
    data = trials(lambda d: 0.0)
    selection = select_fractional_polynomial(data)
    row = selection.table.iloc[0]
    assert row["df"] == 2 + 2 + 3
    assert_allclose(row["p_value"], stats.chi2.sf(row["deviance"], 7), rtol=1e-9)
