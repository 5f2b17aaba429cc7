"""Dose networks of `Effects`: which arms enter, and how a lost reference arm is replaced."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.models.network.dose_data import ALONE, NO_DOSE, connected_agents
from backpain_analysis.models.network.dose_network import dose_network
from tests.figures.drawn import make_effects

WEEK = "minutes_per_week"


def row(trial, arm, treatment, dose, yi, vi=4.0, ref="r", ref_treatment="usual_care", ref_dose=0.0):
    return {
        "trial_id": trial,
        "arm_id": arm,
        "ref_arm_id": ref,
        "treatment": treatment,
        "ref_treatment": ref_treatment,
        WEEK: dose,
        f"ref_{WEEK}": ref_dose,
        "yi": yi,
        "vi": vi,
    }


def effects_of(rows, shared=0.0):
    """Effects in which contrasts of a trial have covariance `shared`."""
    made = make_effects(rows)
    table, covariance = made.table, []
    for _, own in table.groupby("trial_id", sort=False):
        V = np.full((len(own), len(own)), shared)
        np.fill_diagonal(V, own["vi"])
        covariance.append(V)
    return replace(made, covariance=tuple(covariance))


PLAIN = [
    row("t1", "a", "yoga", 60.0, -6.0),
    row("t2", "a", "yoga", 120.0, -12.0),
    row("t3", "a", "pilates", 100.0, -20.0),
]
CE = {"dose": WEEK, "method": "CE"}


def reasons(effects):
    return {(r.trial_id, r.arm_id): r.reason for r in effects.excluded.itertuples()}


def test_a_dose_measure_and_the_treatment_as_agent():
    result = dose_network(make_effects(PLAIN), **CE)
    assert_allclose(result.params, [-0.2, -0.1])
    assert_allclose(result.bse, [2 / 100, 2 / np.hypot(60, 120)])
    assert (result.dose_name, result.outcome, result.measure) == (WEEK, "pain_intensity", "MD")
    assert result.n_participants == 3 * (20 + 22)


def test_head_to_head_arms_at_an_equal_dose_enter():
    """Pilates at 100 less yoga at 100 is -5; yoga alone is -0.1 a minute in the other trials."""
    direct = row("t4", "a", "pilates", 100.0, -5.0, ref_treatment="yoga", ref_dose=100.0)
    result = dose_network(make_effects([*PLAIN[:2], direct]), **CE)
    assert_allclose(result.params, [-0.15, -0.1])


def test_arms_without_dose_or_place_are_left_out_and_listed():
    rows = [
        *PLAIN,
        row("t4", "a", "yoga", np.nan, -3.0),
        row("t5", "a", "yoga", 60.0, -3.0, ref_treatment="sham"),
        row("t6", "a", "pilates", 100.0, -18.0),
        row("t6", "b", "manual", 0.0, -9.0),
    ]
    result = dose_network(effects_of(rows), **CE)
    listed = reasons(result)
    assert listed[("t4", "a")] == f"{WEEK} not reported"
    assert listed[("t4", "r")] == ALONE
    assert (listed[("t5", "r")], listed[("t5", "a")]) == (NO_DOSE, ALONE)
    assert listed[("t6", "b")] == NO_DOSE
    assert set(listed) == {("t4", "a"), ("t4", "r"), ("t5", "r"), ("t5", "a"), ("t6", "b")}
    assert result.n_trials == 4
    with_sham = dose_network(effects_of(rows), lump={"sham": "usual_care"}, **CE)
    assert with_sham.n_trials == 5


def test_a_lost_reference_arm_leaves_the_differences_of_the_others():
    """Variances 4 + 6 - 2 x 3 = 4 (b - a) and 4 + 5 - 2 x 3 = 3 (c - a); both 4 - 3 - 3 + 3 = 1."""
    sham = {"ref_treatment": "sham"}
    rows = [
        *PLAIN,
        row("t4", "a", "yoga", 100.0, -1.0, 4.0, **sham),
        row("t4", "b", "pilates", 100.0, -9.0, 6.0, **sham),
        row("t4", "c", "usual_care", 0.0, 8.0, 5.0, **sham),
    ]
    part = connected_agents(effects_of(rows, shared=3.0), dose=WEEK)
    own = part.table[part.table["trial_id"] == "t4"]
    assert own[["arm_id", "ref_arm_id"]].to_numpy().tolist() == [["b", "a"], ["c", "a"]]
    assert_allclose(own["yi"], [-8, 9])
    assert_allclose(part.covariance[3], [[4, 1], [1, 3]])
    assert own["ref_dose"].tolist() == [100, 100]
    assert own["ref_agent"].tolist() == ["yoga", "yoga"]
    assert reasons(part)[("t4", "r")] == NO_DOSE
    result = dose_network(part, **CE)
    assert_allclose(result.data.network.y[-2:], [-8, 9])


def test_connected_agents_keeps_the_part_of_the_reference():
    apart = row("t4", "a", "core", 60.0, -3.0, ref_treatment="mckenzie", ref_dose=60.0)
    chained = row("t5", "a", "tai_chi", 60.0, -3.0, ref_treatment="yoga", ref_dose=60.0)
    effects = make_effects([*PLAIN, apart, chained])
    with pytest.raises(ValueError, match=r"2\. core, mckenzie"):
        dose_network(effects, **CE)
    part = connected_agents(effects, dose=WEEK)
    assert dose_network(part, **CE).agents == ["pilates", "tai_chi", "yoga"]
    assert reasons(part)[("t4", "a")] == "no trial connects it with usual_care"


def test_nothing_left():
    with pytest.raises(ValueError, match="no trial compares two arms of known agent and dose"):
        dose_network(make_effects([row("t1", "a", "yoga", np.nan, -3.0)]), **CE)
    yoga = row("t1", "a", "yoga", 60.0, -3.0, ref_treatment="pilates", ref_dose=60.0)
    with pytest.raises(ValueError, match="no trial compares 'usual_care' with an agent"):
        connected_agents(make_effects([yoga]), dose=WEEK)


def test_wrong_words():
    effects = make_effects(PLAIN)
    with pytest.raises(ValueError, match="unknown dose 'hours'"):
        dose_network(effects, dose="hours")
    with pytest.raises(ValueError, match="no column 'kind', 'ref_kind'"):
        dose_network(effects, agent="kind", dose=WEEK)
    with pytest.raises(ValueError, match="these effects are MDs"):
        dose_network(effects, dose=WEEK, measure="SMD")
