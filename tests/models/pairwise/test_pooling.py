"""Pooling against metafor's numbers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.models.pairwise.pooling import pool

METHODS = ["CE", "DL", "HE", "HS", "SJ", "PM", "ML", "REML", "EB"]


@pytest.fixture(scope="module")
def trials(reference):
    md = reference["effect_sizes"]["MD"]
    return np.array(md["yi"]), np.array(md["vi"])


@pytest.mark.parametrize("scale", [1.0, 1000.0])
@pytest.mark.parametrize(("test", "word"), [("z", "z"), ("knapp-hartung", "knha")])
@pytest.mark.parametrize("method", METHODS)
def test_metafor(trials, reference, method, test, word, scale):
    expected = reference["pool"][f"{'EE' if method == 'CE' else method} {word}"]
    yi, vi = trials
    result = pool(yi * scale, vi * scale**2, method=method, test=test)
    got = np.array([result.estimate, result.se, result.ci_low, result.ci_high]) / scale
    assert_allclose(got, [expected[key] for key in ("b", "se", "ci_lb", "ci_ub")], rtol=1e-6)
    assert_allclose(result.tau2 / scale**2, expected["tau2"], rtol=1e-6)
    assert_allclose(
        [result.q, result.q_p, result.i2, result.h2, result.p_value],
        [expected[key] for key in ("QE", "QEp", "I2", "H2", "p")],
        rtol=1e-6,
        atol=1e-25,
    )
    if scale == 1.0:
        assert_allclose(result.llf, expected["ll"], rtol=1e-6)
    if "pi_lb" in expected:
        assert_allclose(
            np.array([result.pi_low, result.pi_high]) / scale,
            [expected["pi_lb"], expected["pi_ub"]],
            rtol=1e-6,
            atol=1e-5,
        )
    if "tau2_ci" in expected:
        limits = np.array([result.tau2_ci_low, result.tau2_ci_high]) / scale**2
        assert_allclose(limits, expected["tau2_ci"], rtol=1e-4)


def test_one_trial_is_its_own_estimate():
    result = pool([-8.0], [4.0])
    assert result.estimate == -8.0
    assert result.tau2 == 0.0
    assert_allclose(result.ci_high, -8 + 1.959963984540054 * 2, rtol=1e-12)


def test_homogeneous_trials_have_no_tau2():
    result = pool([1.0, 1.1, 0.9], [1.0, 1.0, 1.0], test="z")
    assert_allclose(result.tau2, 0.0, atol=1e-12)
    assert_allclose([result.estimate, result.se], [1.0, np.sqrt(1 / 3)], rtol=1e-9)


def test_every_fault_is_named():
    with pytest.raises(ValueError, match=r"unknown method 'XX'.*b: yi = nan.*c: yi = 1\.0, vi = 0"):
        pool([1.0, np.nan, 1.0], [1.0, 1.0, 0.0], method="XX", labels=list("abc"))


def test_weights_add_to_a_hundred(trials):
    result = pool(*trials)
    assert_allclose(result.table["weight"].sum(), 100)
    assert result.table["weight"].idxmax() == int(np.argmin(trials[1]))
