from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from backpain_analysis import figures
from backpain_analysis.engine import priors
from backpain_analysis.figures.forest_marks import interval_text
from backpain_analysis.models.pairwise.pooling import pool
from tests.figures.drawn import artists, make_effects, outside, overlaps, texts


@pytest.fixture(scope="module")
def result():
    rows = [{"yi": -8.0, "vi": 9.0}, {"yi": -16.0, "vi": 16.0}, {"yi": -3.0, "vi": 12.0}]
    return pool(make_effects(rows), prior=priors.half_normal(5))


def test_posterior(result):
    axes = figures.posterior(result, mcid=10)
    (mean,), (interval,), (past,) = (artists(axes, name) for name in ("mean", "interval", "past"))
    x, y = mean.get_data()
    shown = x <= -10
    assert_allclose(np.trapezoid(y[shown], x[shown]), result.probability("< -10"), atol=0.01)
    assert past.get_paths()[0].vertices[:, 0].max() <= -9.9
    assert_allclose(interval.get_xdata(), result.conf_int().iloc[0])
    assert axes.get_xlabel() == "Difference in pain\n(points on 0–100)"
    axes.figure.draw_without_rendering()
    assert not outside(axes)
    assert not overlaps(axes)


def test_shading_without_a_threshold_is_benefit(result):
    axes = figures.posterior(result)
    (past,) = artists(axes, "past")
    assert past.get_paths()[0].vertices[:, 0].max() <= 0.1
    assert not artists(axes, "mcid")


def test_prior_sensitivity(result):
    table = result.sensitivity(than="< -10")
    axes = figures.prior_sensitivity(table, xlabel="Pain")
    (points,) = artists(axes, "estimate")
    assert_allclose(points.get_xdata(), table["estimate"])
    said = [note.get_text() for note in artists(axes, "probability")]
    assert said == [f"{value:.0%}" for value in table["probability"]]
    assert axes.get_yticklabels()[0].get_text() == "As chosen\nhalf-normal(5)"
    axes.figure.draw_without_rendering()
    assert not overlaps(axes)


def test_forest_of_a_posterior(result):
    table = result.table.assign(exercise_type=["yoga", "yoga", "pilates"])
    axes = figures.forest(table, result)
    (diamond,) = artists(axes, "diamond")
    corners = diamond.get_xy()[:, 0]
    low, high = result.conf_int().iloc[0]
    assert_allclose([corners.min(), corners.max()], [low, high])
    said = texts(axes)
    low, high = result.tau_int()
    assert f"τ {interval_text(result.tau, low, high)}" in said
    assert "Posterior, credible intervals (CrI); prior of τ half-normal(5)" in said
    assert "MD [95% CrI]" in said
    axes.figure.draw_without_rendering()
    assert not overlaps(axes) and not outside(axes)
    few = pool(make_effects([{"yi": -8.0, "vi": 9.0}]), prior=priors.half_normal(5))
    beside = figures.summary_forest({"yoga": few}, overall=result)
    assert "Effect [95% CrI]" in texts(beside)
    with pytest.raises(ValueError, match="which are not the 2 to be drawn"):
        figures.forest(table[:2], result)
