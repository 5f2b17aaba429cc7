"""Curves whose variation between trials the data do not tell: refused, and shown to be untold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import backpain_analysis as bp
from backpain_analysis.models.dose.curves import rcs

ALONE = [60, 60, 60, 60, 120]
"""Doses of five trials: the last one alone shows what 120 does."""


def trials(doses, *, unit=1.0, seed=1):
    """Trials of one dose against none, whose effects differ by more than chance."""
    rng = np.random.default_rng(seed)
    rows = []
    for number, dose in enumerate(doses):
        for own in (0, dose):
            mean = 50 - 0.1 * own + rng.normal(0, 8)
            rows.append((f"t{number}", own * unit, mean, 15.0, 30 + 5 * number))
    return pd.DataFrame(rows, columns=["trial_id", "dose", "mean", "sd", "n"])


def restricted(arms, psi):
    """Restricted log-likelihood and standard errors of a quadratic curve, one contrast a trial."""
    given, none = (arms[arms["dose"] > 0], arms[arms["dose"] == 0])
    y = given["mean"].to_numpy() - none["mean"].to_numpy()
    X = np.column_stack([given["dose"], given["dose"] ** 2])
    error = sum((own["sd"] ** 2 / own["n"]).to_numpy() for own in (given, none))
    v = error + np.einsum("ij,jk,ik->i", X, psi, X)
    information = (X.T / v) @ X
    e = y - X @ np.linalg.solve(information, (X.T / v) @ y)
    llf = -0.5 * (np.log(v).sum() + e @ (e / v) + np.linalg.slogdet(information)[1])
    return llf, np.sqrt(np.diag(np.linalg.inv(information)))


@pytest.mark.parametrize("doses", [ALONE, [60, 60, 120], [60, 90, 90, 90], [45, 60, 60, 60, 60]])
@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("knots", [None, (0, 20, 55)])
def test_a_dose_of_one_trial_alone_does_not_tell_how_curves_vary(doses, unit, knots):
    curve = "quadratic" if knots is None else rcs([unit * knot for knot in knots])
    arms = trials(doses, unit=unit)
    with pytest.raises(bp.CannotEstimate, match=f"{len(doses)} trials cannot tell how the curve"):
        bp.dose_response(arms, curve=curve)


def test_other_variances_fit_exactly_as_well_with_other_standard_errors():
    """Along what trials of 60 do not see the restricted likelihood is level, and the SE is not."""
    arms = trials(ALONE)
    unseen = np.array([60.0, -1.0])  # (60, 3600) @ unseen = 0
    psi = np.diag([0.01, 0.0])
    places = [restricted(arms, psi + size * np.outer(unseen, unseen)) for size in (0, 1e-6, 1e-4)]
    heights, errors = zip(*places, strict=True)
    assert_allclose(heights, heights[0], rtol=1e-12)
    assert errors[2][1] > 5 * errors[0][1]


@pytest.mark.parametrize(
    ("doses", "options"),
    [
        (ALONE, {"curve": "linear"}),
        (ALONE, {"heterogeneity": "contrasts"}),
        (ALONE, {"method": "CE"}),
        (ALONE, {"method": "ML"}),  # of which no variance at 120 is the most likely
        ([60, 60, 60, 120, 120], {}),
        ([60, 90, 120, 60, 90, 120], {}),
    ],
)
def test_what_several_trials_show_is_told(doses, options):
    found = bp.dose_response(trials(doses), **{"curve": "quadratic"} | options)
    assert np.isfinite(found.bse).all()
