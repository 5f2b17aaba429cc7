"""Effect sizes of events, rates and changes against metafor's escalc."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.effects.measures import effect_size, prepost_effect_size

PEOPLE = ["RR", "OR", "RD", "PETO", "AS"]
TIME = ["IRR", "IRD", "IRSD"]
CHANGES = ["MC", "SMCC", "SMCR", "SMCRH", "SMCRP", "SMCRPH", "ROMC", "VRC", "CVRC"]


@pytest.fixture(scope="module")
def trials(reference_table):
    return reference_table("binary").set_index("trial_id")


@pytest.fixture(scope="module")
def changes(reference_table):
    return reference_table("prepost").set_index("trial_id")


def counts(table, measure):
    size = "time" if measure in TIME else "n"
    return {name: table[name] for name in ("events1", f"{size}1", "events2", f"{size}2")}


def agrees(found, expected, rtol=1e-9):
    assert_allclose(found["yi"], np.array(expected["yi"], dtype=float), rtol=rtol, atol=1e-12)
    assert_allclose(found["vi"], np.array(expected["vi"], dtype=float), rtol=rtol)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {}) for name in PEOPLE + TIME),
        ("OR to=all", {"to": "all"}),
        ("RR drop00", {"drop00": True}),
    ],
)
def test_events_as_metafor(trials, reference2, name, options):
    measure = name.split()[0]
    found = effect_size(measure, **options, **counts(trials, measure))
    agrees(found, reference2["binary"]["effect_sizes"][name])
    assert found.index.equals(trials.index)


def test_hazard_ratios_from_intervals(trials, reference2):
    found = effect_size("HR", hr=trials["hr"], ci_low=trials["hr_lb"], ci_high=trials["hr_ub"])
    agrees(found, reference2["binary"]["hazard_ratio"])


@pytest.mark.parametrize("measure", CHANGES)
def test_changes_and_their_differences_as_metafor(changes, reference2, measure):
    expected = reference2["prepost"][measure]
    both = {name: changes[name] for name in changes}
    one = {name: column for name, column in both.items() if name.endswith("1")}
    two = {name[:-1] + "1": column for name, column in both.items() if name.endswith("2")}
    agrees(prepost_effect_size(measure, **one), expected["arm1"])
    agrees(prepost_effect_size(measure, **two), expected["arm2"])
    agrees(prepost_effect_size(measure, **both), expected["difference"])


def test_the_variance_of_borenstein(changes, reference2):
    c = changes
    found = effect_size(
        "SMCR", vtype="LS2", m1=c["post1"], m2=c["pre1"], sd1=c["sd_pre1"], n=c["n1"], r=c["r1"]
    )
    agrees(found, reference2["prepost"]["SMCR_vtype_LS2_arm1"])


def test_by_hand():
    """R 0.5 in 28: atanh(0.5), 1/25. 4 of 20: ln(4/16), 1/4 + 1/16; no event: 0.5 of 21."""
    assert_allclose(effect_size("ZCOR", r=0.5, n=28), [[0.5493061443, 0.04]])
    assert_allclose(effect_size("PLO", events=4, n=20), [[np.log(0.25), 0.3125]])
    assert_allclose(
        effect_size("PLO", events=0, n=20), [[np.log(0.5 / 20.5), 2 + 1 / 20.5]], rtol=1e-12
    )
    tukey = (np.arcsin(np.sqrt(4 / 21)) + np.arcsin(np.sqrt(5 / 21))) / 2
    assert_allclose(effect_size("PFT", events=4, n=20), [[tukey, 1 / 82]])


def test_which_trials_get_the_half():
    """One trial with a zero, one without: the second only where all do."""
    two = {"events1": [0, 4], "n1": 20, "events2": [4, 8], "n2": 20}
    half = [np.log(0.5 / 20.5 * 16.5 / 4.5), np.log(4 / 16 * 12 / 8)]
    halves = [half[0], np.log(4.5 / 16.5 * 12.5 / 8.5)]
    assert_allclose(effect_size("OR", **two)["yi"], half)
    assert_allclose(effect_size("OR", to="if0all", **two)["yi"], halves)
    assert_allclose(effect_size("OR", to="none", **two)["yi"], [np.nan, half[1]])
    assert effect_size("OR", to="none", **two)["vi"].isna().tolist() == [True, False]


def test_only_events_in_both_groups_are_dropped_like_none():
    full = {"events1": [20, 0], "n1": 20, "events2": [20, 0], "n2": 20}
    assert effect_size("OR", drop00=True, **full)["yi"].isna().all()
    assert effect_size("OR", **full)["yi"].notna().all()


@pytest.mark.parametrize(
    ("measure", "columns", "message"),
    [
        ("RR", {"events1": 9, "n1": 8, "events2": 1, "n2": 8}, "events1, row 0: 9; give events"),
        ("RR", {"events1": -1, "n1": 8, "events2": 1, "n2": 8}, "events1, row 0: -1; give events"),
        ("IRR", {"events1": 9, "time1": 0, "events2": 1, "time2": 8}, "time1, row 0: 0; give a n"),
        ("HR", {"hr": 2.0, "ci_low": 0.5, "ci_high": 1.5}, "interval around the hazard ratio"),
        ("HR", {"hr": 1, "ci_low": 0.5, "ci_high": 2, "level": 95}, "level, row 0: 95; give a lev"),
        ("ZCOR", {"r": 0.5, "n": 3}, "n, row 0: 3; give at least 4 participants"),
        ("RR", {"events1": 1, "n1": 8, "events2": 1, "n2": 8, "to": "some"}, "to 'some': use one"),
        ("RR", {"events1": 1, "n1": 8, "events2": 1, "n2": 8, "vtype": "LS2"}, "vtype 'LS2': use"),
        ("rr", {}, "unknown measure 'rr'. Did you mean 'RR'"),
    ],
)
def test_wrong_arguments_are_named(measure, columns, message):
    with pytest.raises(ValueError, match=message):
        effect_size(measure, **columns)


def test_wrong_columns_of_two_times_are_named():
    with pytest.raises(ValueError, match=r"no column 'sd1'; needs 'sd_pre1'"):
        prepost_effect_size("MC", pre1=1, post1=2, sd1=1, sd_post1=1, n1=9, r1=0.5)
    with pytest.raises(ValueError, match="unknown measure 'MD'"):
        prepost_effect_size("MD", pre1=1)
