"""Curves side by side."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose

from backpain_analysis import compare_curves, load_evidence


def test_weights_follow_aic_and_unfit_curves_say_why():
    effects = load_evidence().effects("pain_intensity")
    table = compare_curves(effects, dose="minutes_per_week", mcid=15)
    fitted = table["aic"].dropna()
    relative = np.exp(-(fitted - fitted.min()) / 2)
    assert_allclose(table["weight"].dropna(), relative / relative.sum())
    few = effects.select(effects.table["minutes_per_week"] == 75, "another dose")
    table = compare_curves(few, dose="minutes_per_week")
    assert "cannot carry a rcs curve" in table.loc["rcs", "note"]
    assert np.isnan(table.loc["rcs", "aic"])
