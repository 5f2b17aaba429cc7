"""The figure of a multiverse of analyses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from backpain_analysis import figures

CHOICES = {"curve": {"line": 1, "spline": 2}, "results": {"final values": 1, "changes": 2}}


def table(**columns) -> pd.DataFrame:
    base = {
        "curve": ["line", "spline", "line", "spline"],
        "results": ["final values", "final values", "changes", "changes"],
        "estimate": [-9.0, -6.0, -3.0, np.nan],
        "ci_low": [-12.0, -9.0, -7.0, np.nan],
        "ci_high": [-6.0, -3.0, 1.0, np.nan],
    }
    return pd.DataFrame({**base, **columns})


def test_estimates_options_and_mcid_are_drawn_where_they_belong():
    figure = figures.multiverse(table(), mcid=5, choices=CHOICES)
    top, bottom = figure.axes
    (points,) = [line for line in top.lines if line.get_gid() == "estimates"]
    assert_allclose(points.get_ydata(), [-9, -6, -3])
    (mcid,) = [line for line in top.lines if line.get_gid() == "mcid"]
    assert_allclose(mcid.get_ydata(), [-5, -5])
    labels = [label.get_text() for label in bottom.get_yticklabels()]
    assert labels == ["Curve", "line", "spline", "Results", "final values", "changes"]
    marks = [len(line.get_xdata()) / 3 for line in bottom.lines]
    assert marks == [2, 1, 2, 1]


def test_labels_are_not_cut_off():
    figure = figures.multiverse(table(), choices={**CHOICES})
    figure.canvas.draw()
    left = min(
        label.get_window_extent().x0 for axes in figure.axes for label in axes.get_yticklabels()
    )
    assert left > 0


def test_nothing_fitted_is_an_error():
    with pytest.raises(ValueError, match="nothing to draw"):
        figures.multiverse(table(estimate=[np.nan] * 4), choices=CHOICES)
