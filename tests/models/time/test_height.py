"""The likelihood from the trials' heights against the engine's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.effects.table import Effects
from backpain_analysis.engine.mixed import fit
from backpain_analysis.engine.terms import RandomTerm
from backpain_analysis.models.dose.curves import Linear
from backpain_analysis.models.time.curves import (
    Constant,
    EmaxInTime,
    Exponential,
    Heights,
    _peaks,
)
from tests.models.time.test_time_course import effects

CURVES = (
    Constant(),
    Linear(),
    *(Exponential(values=(half,)) for half in (0.01, 3.0, 5000.0)),
    EmaxInTime(values=(6.0,)),
)


def correlated(spread: float) -> Effects:
    """Twelve trials of one to three follow-ups, apart in the table, errors correlated."""
    rng = np.random.default_rng(4)
    trials = rng.permutation(np.repeat(np.arange(12), [1, 2, 3] * 4))
    weeks = rng.uniform(1, 60, len(trials))
    rise = 1 - 2 ** (-weeks / 6)
    yi = rise * (-8 + spread * rng.standard_normal(12))[trials] + rng.standard_normal(len(trials))
    found = effects(weeks, yi, trials=[f"t{trial}" for trial in trials])
    matrices = tuple(0.4 + 0.6 * np.eye(len(S)) for S in found.covariance)
    return replace(found, table=found.table.assign(dose=weeks), covariance=matrices)


@pytest.mark.parametrize("method", ["ML", "CE"])
@pytest.mark.parametrize("spread", [0.0, 1.0, 100.0])
def test_likelihood_is_that_of_the_engine(spread, method):
    data = correlated(spread)
    heights = Heights(data, between=method == "ML")
    differences = []
    for curve, height in zip(CURVES, heights.of(CURVES), strict=True):
        basis = curve.basis(data.table["dose"].to_numpy())
        model = fit(
            data.table["yi"].to_numpy(),
            basis,
            data.covariance,
            blocks=data.table["trial_id"].to_numpy(),
            terms=[RandomTerm(basis)],
            method=method,
        )
        differences.append(model.llf - height)
    assert_allclose(differences, differences[0], atol=1e-8)


def test_effects_that_the_engine_refuses_are_refused():
    data = correlated(1.0)
    flat = replace(data, covariance=tuple(0 * S for S in data.covariance))
    with pytest.raises(ValueError, match="not positive definite"):
        Heights(flat, between=True)


@pytest.mark.parametrize(
    ("heights", "places"),
    [
        ([1, 2, 3, 2, 1], [2]),
        ([3, 2, 1, 2, 4], [0, 4]),
        ([1, 3, 3, 1], [1, 2]),
        ([2, 2, 2, 1, 5, 1], [2, 4]),
        ([5, 1, 2, 2, 2], [0, 2]),
        ([4, 4, 4], [0]),
        ([1, 1, 2, 1, 1], [2]),
    ],
)
def test_maxima_are_looked_for_beside_level_ground_and_not_within(heights, places):
    assert _peaks(np.array(heights, dtype=float)).tolist() == places
