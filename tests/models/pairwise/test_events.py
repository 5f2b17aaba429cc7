"""Events pooled by Mantel-Haenszel and Peto against metafor's rma.mh and rma.peto."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.pairwise.events import mantel_haenszel, peto

NAMES = {
    "b": "estimate",
    "se": "se",
    "p": "p_value",
    "ci_lb": "ci_low",
    "ci_ub": "ci_high",
}
NAMES |= {"QE": "q", "QEp": "q_p", "I2": "i2", "CMH": "cmh", "CMHp": "cmh_p"}
NAMES |= {"tarone": "tarone", "taronep": "tarone_p"}


@pytest.fixture(scope="module")
def trials(reference_table):
    return reference_table("binary")


@pytest.fixture(scope="module")
def expected(reference2):
    return reference2["binary"]


def counts(table, measure):
    size = "time" if measure.startswith("IR") else "n"
    return {name: table[name] for name in ("events1", f"{size}1", "events2", f"{size}2")}


def agrees(found, wanted):
    assert_allclose(found.estimate / found.se, wanted["stat"], rtol=1e-9)
    for theirs, ours in NAMES.items():
        if wanted.get(theirs) is not None:
            assert_allclose(getattr(found, ours), wanted[theirs], rtol=1e-9, err_msg=theirs)


@pytest.mark.parametrize("correct", [True, False])
@pytest.mark.parametrize("measure", ["OR", "RR", "RD", "IRR", "IRD"])
def test_mantel_haenszel_as_metafor(trials, expected, measure, correct):
    found = mantel_haenszel(measure, correct=correct, **counts(trials, measure))
    name = f"{measure} {'correct' if correct else 'uncorrected'}"
    agrees(found, expected["mantel_haenszel"][name])
    assert (found.n_trials, found.silent) == (24, 1)


def test_peto_as_metafor(trials, expected):
    found = peto(**counts(trials, "PETO"))
    agrees(found, expected["peto"])
    assert found.q_df == expected["peto"]["k_pos"] - 1


def test_equal_groups_by_hand():
    """10 of 100 against 20 of 100: RR 1/2, OR (10 80)/(90 20), RD -0.1 (variance 25e-4)."""
    one = {"events1": [10], "n1": [100], "events2": [20], "n2": [100]}
    assert_allclose(np.exp(mantel_haenszel("RR", **one).estimate), 0.5)
    assert_allclose(np.exp(mantel_haenszel("OR", **one).estimate), 4 / 9)
    found = mantel_haenszel("RD", **one)
    assert_allclose([found.estimate, found.se**2], [-0.1, 0.0025])
    assert np.isnan(found.q_p)
    size = "−10.0 percentage points (95% CI −19.8 to −0.2), P = 0.046"
    assert str(found) == f"Mantel-Haenszel: risk difference {size}; 1 trial."


def test_trials_without_events_cannot_be_pooled():
    none = {"events1": [0, 0], "n1": [10, 20], "events2": [1, 2], "n2": [10, 20]}
    for measure in ("RR", "OR"):
        with pytest.raises(CannotEstimate, match="no events in one of the groups"):
            mantel_haenszel(measure, **none)
    assert mantel_haenszel("RD", **none).estimate == pytest.approx(-0.1)
    with pytest.raises(CannotEstimate, match="no trial has both"):
        peto(events1=[0], n1=[10], events2=[0], n2=[10])
    with pytest.raises(CannotEstimate, match="events and totals in both"):
        peto(events1=[np.nan], n1=[10], events2=[0], n2=[10])
    with pytest.raises(ValueError, match=r"unknown measure 'rr'\. Did you mean 'RR'"):
        mantel_haenszel("rr", **none)


def test_a_missing_count_leaves_the_trial_out(trials):
    some = trials.assign(events1=trials["events1"].where(trials.index > 3))
    found = mantel_haenszel("RR", **counts(some, "RR"))
    alone = mantel_haenszel("RR", **counts(trials.iloc[4:], "RR"))
    assert found.estimate == pytest.approx(alone.estimate)
    assert found.n_trials == 20
