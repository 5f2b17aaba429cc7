"""Curves: their columns, knots and faults."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.models.curves import CURVES, named, rcs


def test_simple_columns():
    d = np.array([0.0, 2.0])
    assert_allclose(named("linear").basis(d), [[0], [2]])
    assert_allclose(named("quadratic").basis(d), [[0, 0], [2, 4]])
    assert_allclose(named("log").basis(d), [[0], [np.log(3)]])


def test_spline_by_hand():
    """Harrell: knots 0, 1, 3; at d = 2: (8 - 1 x 3/2) / 9, at d = 5: (125 - 64 x 3/2 + 8/2) / 9."""
    curve = rcs([0.0, 1.0, 3.0])
    assert_allclose(curve.basis(np.array([2.0]))[0], [2, (8 - 1.5) / 9])
    assert_allclose(curve.basis(np.array([5.0]))[0], [5, (125 - 96 + 4) / 9])


def test_spline_is_linear_outside_the_knots():
    curve = rcs([1.0, 2.0, 4.0, 8.0])
    outside = curve.basis(np.array([9.0, 10.0, 11.0]))
    assert_allclose(np.diff(outside, n=2, axis=0), 0, atol=1e-10)
    assert_allclose(curve.basis(np.array([0.0, 0.5]))[:, 1:], 0)


@pytest.mark.parametrize("name", CURVES)
def test_terms_name_the_columns(name):
    doses = np.arange(12.0)
    curve = named(name).prepare(doses)
    assert curve.basis(doses).shape == (12, len(curve.terms))


def test_knots_at_the_usual_quantiles():
    doses = np.arange(101.0)
    assert rcs(3).prepare(doses).knots == (10.0, 50.0, 90.0)
    assert_allclose(rcs(5).prepare(doses).knots, (5.0, 27.5, 50.0, 72.5, 95.0))


def test_faults_say_what_to_do():
    with pytest.raises(ValueError, match="unknown curve 'cubic': use one of linear"):
        named("cubic")
    with pytest.raises(ValueError, match="3, 4 or 5"):
        rcs(9).prepare(np.arange(5.0))
    with pytest.raises(ValueError, match="coincide"):
        rcs(3).prepare(np.zeros(5))
    with pytest.raises(ValueError, match="outside the doses, which run from 0 to 4"):
        rcs([1.0, 2.0, 9.0]).prepare(np.arange(5.0))
