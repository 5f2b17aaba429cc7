"""Bivariate meta-analysis."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from backpain_analysis.effects.table import Effects
from backpain_analysis.models.pairwise.bivariate import bivariate


def effects(y, v, outcome, trials=None):
    names = [f"t{i}" for i in range(len(y))] if trials is None else trials
    table = pd.DataFrame(
        {
            "trial_id": names,
            "arm_id": "a",
            "ref_arm_id": "b",
            "label": names,
            "first_author": names,
            "year": 2020,
            "yi": np.asarray(y, dtype=float),
            "vi": np.asarray(v, dtype=float),
            "n_arm": 20.0,
            "n_ref": 20.0,
        }
    )
    excluded = pd.DataFrame(columns=["trial_id", "arm_id", "reason"])
    return Effects(table, tuple(np.array([[x]]) for x in v), excluded, outcome, "SMD")


def test_tiny_errors_give_the_plain_covariance_and_slope():
    """Without sampling error REML is the sample covariance (divisor k - 1)."""
    rng = np.random.default_rng(4)
    x = rng.normal(0.5, 0.3, 12)
    y = 0.2 + 0.8 * x + rng.normal(0, 0.1, 12)
    found = bivariate(effects(x, np.full(12, 1e-10), "a"), effects(y, np.full(12, 1e-10), "b"))
    sample = np.cov(x, y)
    assert found.slope == pytest.approx(sample[0, 1] / sample[0, 0], rel=1e-5)
    assert found.rho == pytest.approx(np.corrcoef(x, y)[0, 1], rel=1e-5)
    assert found.estimates["estimate"].to_numpy() == pytest.approx([x.mean(), y.mean()])
    assert found.estimates["tau"].to_numpy() == pytest.approx([x.std(ddof=1), y.std(ddof=1)])
    assert found.slope_low < 0.8 < found.slope_high


def test_it_recovers_a_known_slope_from_noisy_trials():
    rng = np.random.default_rng(8)
    k = 60
    x = rng.normal(0.5, 0.4, k)
    y = 0.1 - 0.6 * x + rng.normal(0, 0.1, k)
    v = np.full(k, 0.01)
    found = bivariate(
        effects(x + rng.normal(0, 0.1, k), v, "strength"),
        effects(y + rng.normal(0, 0.1, k), v, "pain"),
        correlation=0.0,
    )
    assert found.slope == pytest.approx(-0.6, abs=0.12)
    assert "60 trials" in found._repr_html_()


def test_too_few_trials_say_so():
    few = effects([1, 2, 3], [1, 1, 1], "strength")
    with pytest.raises(ValueError, match="3 trials with both strength and pain; 5"):
        bivariate(few, effects([1, 2, 3], [1, 1, 1], "pain"))
    with pytest.raises(ValueError, match="correlation"):
        bivariate(few, few, correlation=1.0)
