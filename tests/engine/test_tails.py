"""Tails of single numbers, beside scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import special

from backpain_analysis.engine import tails
from backpain_analysis.engine.tails import chi_square_tail, t_quantile, t_tail

DEGREES = (0.7, 1, 2, 2.7, 5, 49, 119, 121, 2000.5, 2e4)


@pytest.mark.parametrize("df", [*DEGREES, np.inf])
def test_students_tail_and_its_quantile(df):
    sizes = np.array([0.0, 1e-3, 0.5, 1, 2, 5, 12, 30])
    expected = special.stdtr(df, -sizes) if np.isfinite(df) else special.ndtr(-sizes)
    assert_allclose([t_tail(size, df) for size in sizes], expected, rtol=5e-12)
    assert_allclose([t_tail(-size, df) for size in sizes], 1 - expected, rtol=1e-13)
    tails = np.array([0.4, 0.1, 0.025, 0.005, 1e-6])
    expected = -special.stdtrit(df, tails) if np.isfinite(df) else -special.ndtri(tails)
    assert_allclose([t_quantile(tail, df) for tail in tails], expected, rtol=2e-11)


@pytest.mark.parametrize("df", DEGREES)
def test_chi_square_tail(df):
    values = df * np.array([1e-6, 0.1, 0.9, 1, 1.1, 1.3, 4])
    expected = special.chdtrc(df, values)
    assert_allclose([chi_square_tail(x, df) for x in values], expected, rtol=1e-10, atol=1e-290)


def test_ends():
    assert np.isnan(t_tail(np.nan, 3)) and np.isnan(chi_square_tail(np.nan, 3))
    assert (t_tail(np.inf, 3), chi_square_tail(np.inf, 3), chi_square_tail(0, 3)) == (0, 0, 1)


@pytest.mark.parametrize("df", [1, 3, 4, 30, 121, 333, 5000, 20_000, 1e6])
def test_a_quantile_takes_few_steps(df, monkeypatch):
    asked = []
    monkeypatch.setattr(tails, "t_tail", lambda t, df: asked.append(t) or t_tail(t, df))
    for tail in (0.4, 0.025, 0.0001234):
        t_quantile.__wrapped__(tail, df)
    assert len(asked) <= 60
