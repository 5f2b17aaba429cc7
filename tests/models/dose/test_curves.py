"""Curves: their columns, knots and faults."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.models.dose.curves import (
    CURVES,
    Emax,
    FractionalPolynomial,
    Hill,
    Surface,
    named,
    piecewise,
    rcs,
)


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


@pytest.mark.parametrize("name", sorted(set(CURVES) - {"surface"}))
def test_terms_name_the_columns_and_gradients_are_derivatives(name):
    """The gradient by coefficients and shape equals central differences of the curve."""
    doses = np.array([0.0, 1.0, 2.5, 4.0, 7.0, 11.0])
    curve = named(name).prepare(doses)
    if curve.shape_terms:
        curve = replace(curve, values=(3.0, 1.7)[: len(curve.shape_terms)])
    coefficients = np.array([2.0, -0.5])[: len(curve.terms)]
    assert curve.basis(doses).shape == (6, len(curve.terms))
    gradient = curve.gradient(doses, coefficients)
    assert gradient.shape == (6, len(curve.terms) + len(curve.shape_terms))
    assert_allclose(gradient[:, : len(curve.terms)], curve.basis(doses))
    for place in range(len(curve.shape_terms)):
        ends = []
        for sign in (1, -1):
            values = list(curve.values)
            values[place] += sign * 1e-6
            ends.append(replace(curve, values=tuple(values)).basis(doses) @ coefficients)
        numeric = (ends[0] - ends[1]) / 2e-6
        assert_allclose(gradient[:, len(curve.terms) + place], numeric, atol=1e-6)


def test_fractional_polynomials_by_hand():
    """Doses 0, 1, 4: shift 1, scale 4; at d = 4 x = 5/4; powers (2, 2): x^2 and x^2 log x."""
    curve = FractionalPolynomial(powers=(2.0, 2.0)).prepare(np.array([0.0, 1.0, 4.0]))
    x = 1.25
    assert_allclose(curve.basis(np.array([4.0]))[0], [x**2, x**2 * np.log(x)])
    log = FractionalPolynomial(powers=(0.0,)).prepare(np.array([0.0, 1.0, 4.0]))
    assert_allclose(log.basis(np.array([0.0]))[0], [np.log(0.25)])
    assert curve.terms == ("x^2", "x^2 log x")


def test_emax_and_hill_reach_half_at_ed50():
    for curve in (Emax((3.0,)), Hill((3.0, 4.0))):
        assert_allclose(curve.basis(np.array([0.0, 3.0, 1e9]))[:, 0], [0, 0.5, 1], atol=1e-6)


def test_surface_is_the_tensor_product():
    curve = Surface().prepare(np.array([[0.0, 0.0], [2.0, 30.0], [3.0, 60.0]]))
    assert_allclose(curve.basis(np.array([[2.0, 30.0]]))[0], [2, 30, 60])
    assert curve.terms == ("dose 1", "dose 2", "dose 1 x dose 2")
    assert_allclose(Surface(main_effects=False).basis(np.array([[2.0, 30.0]]))[0], [60])


def test_given_break():
    assert_allclose(piecewise(3.0).basis(np.array([2.0, 5.0])), [[2, 0], [5, 2]])
    with pytest.raises(ValueError, match="the break at 9 lies outside the doses"):
        piecewise(9.0).prepare(np.arange(5.0))


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
