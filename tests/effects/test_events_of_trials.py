"""Events of trials: ratios and differences of arms, as printed, and what keeps them out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.effects.measures import effect_size
from backpain_analysis.models.network.network import network
from backpain_analysis.models.pairwise.pooling import pool
from tests.effects.conftest import arm, difference, result, trial

ARMS = [
    arm("a1", "yoga", n_randomised=40),
    arm("a2", comparator_type="waitlist", n_randomised=50),
    arm("a3", "pilates", n_randomised=45),
]


def events(arm_id, count, n=None, **fields):
    base = {"outcome": "recurrence", "instrument": "other", "instrument_text": "recurrence"}
    base |= {"scale_min": None, "scale_max": None, "value_type": "events", "events": count}
    return result(arm_id, None, None, n, **{**base, **fields})


def ratio(estimate, low=None, high=None, measure="hr", **fields):
    base = {"outcome": "recurrence", "instrument": "other", "instrument_text": "recurrence"}
    base |= {"scale_min": None, "scale_max": None, "effect_measure": measure}
    return difference("a1", "a2", estimate, low, high, **{**base, **fields})


COUNTS = [events("a1", 8, 40), events("a2", 20, 50), events("a3", 9, 45)]


@pytest.mark.parametrize("measure", ["RR", "OR", "RD", "PETO", "AS"])
def test_contrasts_of_one_reference_arm(build, measure):
    """Each as two groups alone; covariance by the reference arm's part."""
    effects = build(ARMS, COUNTS).effects("recurrence", measure)
    alone = effect_size(measure, events1=[8, 9], n1=[40, 45], events2=20, n2=50)
    assert_allclose(effects.table["yi"], alone["yi"])
    assert_allclose(effects.table["vi"], alone["vi"])
    (V,) = effects.covariance
    shared = {"RR": 1 / 20 - 1 / 50, "OR": 1 / 20 + 1 / 30, "RD": 0.24 / 50, "AS": 1 / 200}
    if measure in shared:
        assert_allclose(V[0, 1], shared[measure])
    assert np.linalg.eigvalsh(V).min() > 0
    assert effects.table[["events", "ref_events"]].to_numpy().tolist() == [[8, 20], [9, 20]]


@pytest.mark.parametrize(
    ("counts", "yi", "remark"),
    [
        ((0, 5), np.log(0.5 / 41 * 51 / 5.5), "1/2 added for a zero cell"),
        ((40, 5), np.log(40.5 / 41 * 51 / 5.5), "1/2 added for a zero cell"),
        ((4, 5), np.log(4 / 40 * 50 / 5), ""),
    ],
)
def test_zero_cells(build, counts, yi, remark):
    rows = [events("a1", counts[0], 40), events("a2", counts[1], 50)]
    row = build(ARMS[:2], rows).effects("recurrence", "RR").table.iloc[0]
    assert_allclose(row["yi"], yi)
    assert row["obtained"] == remark


def test_nobody_had_the_event(build):
    evidence = build(ARMS[:2], [events("a1", 0, 40), events("a2", 0, 50)])
    for measure in ("RR", "OR", "PETO"):
        assert not len(evidence.effects("recurrence", measure))
    assert_allclose(evidence.effects("recurrence", "RD").table["yi"], 0.5 / 41 - 0.5 / 51)


def test_percentages_of_arms_of_known_size(build):
    """20 per cent of 40 are 8, 33.3 of 50 are 17."""
    share = {"events": None, "value_type": "level", "unit": "% of participants"}
    rows = [{**events(a, None, **share), "mean": m} for a, m in (("a1", 20.0), ("a2", 33.3))]
    evidence = build(ARMS[:2], rows)
    row = evidence.effects("recurrence", "RR").table.iloc[0]
    assert_allclose(row["yi"], np.log(8 / 40 * 50 / 17))
    assert row["obtained"] == "n as randomised; events from 20 per cent; events from 33.3 per cent"
    none = evidence.effects("recurrence", "RR", derive=())
    assert none.excluded["reason"].tolist()[0] == "no number of events reported"


def test_an_outcome_counted_the_other_way_round_is_turned(build):
    free = {"higher_is_better": "yes"}
    rows = [events("a1", 32, 40, **free), events("a2", 30, 50, **free)]
    row = build(ARMS[:2], rows).effects("recurrence", "RR").table.iloc[0]
    assert_allclose(row["yi"], np.log(8 / 40 * 50 / 20))
    assert row["obtained"] == "people without the event counted"


def test_hazard_ratios_as_printed(build):
    evidence = build(ARMS[:2], contrasts=[ratio(0.5, 0.25, 1.0)])
    row = evidence.effects("recurrence", "HR").table.iloc[0]
    assert_allclose([row["yi"], row["vi"]], [np.log(0.5), (np.log(4) / (2 * 1.959964)) ** 2])
    excluded = evidence.effects("recurrence", "RR").excluded
    assert excluded["reason"].tolist()[0] == "reported, but not as risk ratio"


def test_events_are_counted_before_a_printed_ratio_is(build):
    printed = ratio(0.9, 0.8, 1.0, "rr")
    counted = build(ARMS[:2], COUNTS[:2], [printed]).effects("recurrence", "RR").table.iloc[0]
    assert_allclose(counted["yi"], np.log(0.5))
    assert counted["source"] == "events"
    alone = build(ARMS[:2], contrasts=[printed]).effects("recurrence", "RR").table.iloc[0]
    assert_allclose(alone["yi"], np.log(0.9))
    assert alone["source"] == "reported difference"


def test_a_ratio_of_people_without_the_event_is_not_taken(build):
    evidence = build(ARMS[:2], contrasts=[ratio(2.0, 1.5, 3.0, higher_is_better="yes")])
    reasons = evidence.effects("recurrence", "HR").excluded["reason"].tolist()
    assert reasons[0] == "counts the opposite of this outcome"


def test_pooled_and_read_as_a_ratio(build):
    effects = build(ARMS, COUNTS).effects("recurrence", "RR")
    found = pool(effects, method="CE", test="z")
    weight = np.linalg.inv(effects.covariance[0]).sum(axis=0)
    assert_allclose(found.estimate, weight @ effects.table["yi"] / weight.sum())


def test_clusters_of_events(build):
    from tests.effects.conftest import trial

    trials = [trial(design="cluster", cluster_size=11, icc=0.05)]
    row = build(ARMS[:2], COUNTS[:2], trials=trials).effects("recurrence", "RR").table.iloc[0]
    plain = effect_size("RR", events1=8, n1=40, events2=20, n2=50).iloc[0]
    assert_allclose([row["yi"], row["vi"]], [plain["yi"], 1.5 * plain["vi"]])


@pytest.mark.parametrize("method", ["REML", "MH"])
@pytest.mark.parametrize("measure", ["OR", "RR", "RD"])
def test_events_of_trials_are_a_network(build, measure, method):
    """As from a table of the same arms; one trial compares yoga with pilates only."""
    trials = [trial(name) for name in ("t1", "t2", "t3")]
    given = {
        "t1": [("yoga", 8, 40), ("waitlist", 20, 50), ("pilates", 9, 45)],
        "t2": [("yoga", 5, 40), ("pilates", 11, 44)],
        "t3": [("yoga", 6, 38), ("waitlist", 15, 41)],
    }
    arms, counts, rows = [], [], []
    for name, own in given.items():
        for place, (kind, count, n) in enumerate(own):
            idle = kind == "waitlist"
            named = ("none", kind) if idle else (kind, None)
            arms.append(arm(f"a{place}", *named, trial_id=name, n_randomised=n))
            counts.append(events(f"a{place}", count, n, trial_id=name))
            rows.append((name, kind, count, n))
    effects = build(arms, counts, trials=trials).effects("recurrence", measure, head_to_head=True)
    table = pd.DataFrame(rows, columns=["trial_id", "treatment", "events", "n"])
    options = {"reference": "waitlist", "method": method}
    expected = network(table, events="events", measure=measure, **options)
    found = network(effects, **options)
    assert_allclose(found.params, expected.params, rtol=1e-8)
    assert_allclose(found.bse, expected.bse, rtol=1e-8)
    assert found.n_participants == table["n"].sum()
