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
    has_half_time,
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


def of_trials(data: Effects, names: list[str]) -> Effects:
    found = zip(data.trials, data.covariance, strict=True)
    table = data.table[data.table["trial_id"].isin(names)].reset_index(drop=True)
    return replace(data, table=table, covariance=tuple(S for name, S in found if name in names))


@pytest.mark.parametrize("between", [True, False])
def test_heights_without_a_trial_are_those_of_the_others(between):
    data = correlated(1.0)
    heights = Heights(data, between=between)
    for trial in data.trials:
        rest = of_trials(data, [name for name in data.trials if name != trial])
        found = heights.of(CURVES, without=trial)
        assert_allclose(found, Heights(rest, between=between).of(CURVES), atol=1e-8)


def test_a_trial_that_is_left_alone_does_not_deviate():
    data = correlated(1.0)
    first, second = data.trials[:2]
    pair, alone = of_trials(data, [first, second]), of_trials(data, [first])
    found = Heights(pair, between=True).of(CURVES, without=second)
    assert_allclose(found, Heights(alone, between=False).of(CURVES), atol=1e-8)


def test_the_half_time_of_the_curve_is_tried_first():
    asked = []

    def height(curves):
        asked.append(len(curves))
        return np.array([-abs(getattr(curve, "values", (50.0,))[0] - 3.0) for curve in curves])

    weeks = np.array([1.0, 12.0])
    assert has_half_time(Exponential(values=(3.0,)), height, weeks)
    assert asked == [3]
    assert has_half_time(Exponential(values=(90.0,)), height, weeks)
    assert has_half_time(Exponential(), height, weeks)
    curve = Exponential(values=(3.0,))
    assert not has_half_time(curve, lambda curves: np.zeros(len(curves)), weeks)


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
