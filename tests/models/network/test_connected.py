"""Networks in several parts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.effects.treatments import LUMPINGS, lumping
from backpain_analysis.evidence.evidence import load_evidence
from backpain_analysis.models.network.contrasts import _merge
from backpain_analysis.models.network.data import connected_part, network_components
from backpain_analysis.models.network.network import network


@pytest.fixture
def two_parts():
    rows = [
        ("a", "usual_care", 50),
        ("a", "yoga", 45),
        ("b", "usual_care", 50),
        ("b", "pilates", 44),
        ("c", "walking", 40),
        ("c", "running", 41),
    ]
    table = pd.DataFrame(rows, columns=["trial_id", "treatment", "mean"])
    return table.assign(sd=10.0, n=30)


def test_components_are_listed_the_largest_first(two_parts):
    table = network_components(two_parts)
    assert table["component"].tolist() == [1, 1, 1, 2, 2]
    assert table["treatment"].tolist() == ["pilates", "usual_care", "yoga", "running", "walking"]
    assert table.set_index("treatment").loc["usual_care", ["trials", "participants"]].tolist() == [
        2,
        60,
    ]


def test_a_disconnected_network_is_an_error_that_lists_its_parts(two_parts):
    with pytest.raises(ValueError) as fault:
        network(two_parts)
    assert "1. pilates, usual_care, yoga" in str(fault.value)
    assert "2. running, walking" in str(fault.value)


def test_no_comparison_is_an_error(two_parts):
    lump = dict.fromkeys(two_parts["treatment"], "all")
    with pytest.raises(ValueError, match="no trial compares two different treatments"):
        network_components(two_parts, lump=lump)


@pytest.fixture(scope="module")
def effects():
    return load_evidence().effects("pain_intensity", head_to_head=True)


def test_bundled_trials_make_one_network(effects):
    table = network_components(effects, lump=lumping("types"))
    assert table["component"].max() == 1
    part = connected_part(effects, "inactive", lump=lumping("types"))
    assert len(part) == len(effects)


def test_connected_part_lists_what_it_leaves(effects):
    chosen = effects.select(
        effects.table["trial_id"].isin(["sherman2011", "garcia2018", "machado2010"]), "not chosen"
    )
    part = connected_part(chosen, "yoga", lump=lumping("types"))
    assert set(part.table["trial_id"]) == {"sherman2011", "garcia2018", "machado2010"}
    apart = connected_part(chosen, "yoga", lump=lumping("none"))
    assert set(apart.table["trial_id"]) == {"sherman2011"}
    left = apart.excluded.iloc[-2:]
    assert set(left["reason"]) == {"no trial connects it to the rest of the network"}
    with pytest.raises(ValueError, match="no treatment 'swimming'"):
        connected_part(chosen, "swimming")


def test_lumpings_are_known_by_name():
    assert lumping("families", {"yoga": "stretching"})["yoga"] == "stretching"
    assert lumping("types")["waitlist"] == "inactive"
    assert LUMPINGS["impact"]["aquatic"] == "low_impact_aerobic"
    with pytest.raises(ValueError, match="unknown lumping"):
        lumping("colours")


def test_treatments_of_a_trial_that_nothing_connects_are_merged_apart():
    """1 against 0 twice, with variances of 4; 3 against 2 once."""
    given, against, y, V = _merge(
        np.array([1, 1, 3]), np.array([0, 0, 2]), np.array([-10.0, -6.0, -3.0]), np.diag([4, 4, 9])
    )
    assert [given.tolist(), against.tolist()] == [[1, 3], [0, 2]]
    assert_allclose(y, [-8, -3])
    assert_allclose(V, [[2, 0], [0, 9]], atol=1e-12)
