"""Numbers needed to treat, against printed ones."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from backpain_analysis.models.pairwise.responders import nnt_from_md, nnt_from_smd, number_needed


def test_interval_through_infinity_as_altman_writes_it():
    """Altman 1998: a difference of 10% (-5% to 25%) is NNTB 10, from NNTB 4 to NNTH 20."""
    needed = number_needed(0.10, -0.05, 0.25)
    assert_allclose([needed.estimate, needed.ci_high, needed.ci_low], [10, 4, -20])
    assert needed.spans_infinity
    assert needed.text == "NNTB 10 (95% CI NNTB 4.0 to ∞ to NNTH 20)"


def test_intervals_on_one_side():
    """Gladstone & Black 2002 in Barrowman 2002: 16.6% (0.9% to 32.2%) is 3.1 to 111.1."""
    assert number_needed(0.166, 0.009, 0.322).text == "NNTB 6.0 (95% CI 3.1 to 111)"
    assert number_needed(-0.1, -0.2, -0.05, 0.9).text == "NNTH 10 (90% CI 5.0 to 20)"
    assert number_needed(0.1, 0.0, 0.2).interval == "5.0 to ∞"


def test_from_smd_as_dmetar_prints_it():
    """`NNT(d = 0.245, CER = 0.35)` of R's dmetar prints 10.61533."""
    assert_allclose(nnt_from_smd(0.245, 0.1, 0.4, 0.35).estimate, 10.61533, rtol=1e-6)


def test_from_md_by_hand():
    """5 points of an SD of 20 at 30%: Phi(0.25 - 0.5244) - 0.3."""
    needed = nnt_from_md(5, 0, 10, 20, 0.3)
    assert_allclose(1 / needed.estimate, stats.norm.cdf(0.25 - 0.524400512708041) - 0.3)
    assert np.isinf(needed.ci_low)


def test_unusable_numbers_are_refused():
    with pytest.raises(ValueError, match="between its limits"):
        number_needed(0.3, 0.4, 0.5)
    with pytest.raises(ValueError, match="control_share 0"):
        nnt_from_smd(0.2, 0.1, 0.3, 0)
    with pytest.raises(ValueError, match="sd 0"):
        nnt_from_md(5, 1, 9, 0, 0.3)
