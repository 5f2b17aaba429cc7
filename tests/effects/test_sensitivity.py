"""Pain sensitivity: changes as reports allow them."""

from __future__ import annotations

import numpy as np
import pytest

from backpain_analysis.effects.sensitivity import (
    BEFORE_AFTER,
    BOUT,
    CONTROL,
    PROGRAMME,
    sensitivity_changes,
    site_of,
)
from backpain_analysis.evidence.evidence import load_evidence


@pytest.fixture(scope="module")
def changes():
    return sensitivity_changes(load_evidence())[0]


def one(changes, trial, comparison, site):
    chosen = (changes["trial_id"] == trial) & (changes["comparison"] == comparison)
    return changes[chosen & (changes["site"] == site)].iloc[0]


def test_a_crossover_contrast_by_hand(changes):
    """Tomschi 2025, local sites: 56.6 (20.6) to 67.5 (26.1) against 58.5 (24.0) to 58.4 (23.3)."""
    row = one(changes, "tomschi2025", CONTROL, "local")
    exercise = 20.6**2 + 26.1**2 - 20.6 * 26.1
    rest = 24.0**2 + 23.3**2 - 24.0 * 23.3
    effect, variance = (67.5 - 56.6) - (58.4 - 58.5), (exercise + rest) / 30
    assert row["yi_kpa"] == pytest.approx(10 * effect)
    assert row["vi_kpa"] == pytest.approx(100 * variance)
    spread = np.sqrt((20.6**2 + 24.0**2) / 2)
    assert row["yi"] == pytest.approx(effect / spread)
    assert row["n"] == 30
    assert row["setting"] == BOUT


def test_a_printed_change_by_hand(changes):
    row = one(changes, "kuithan2019a", BEFORE_AFTER, "local")
    assert row["yi_kpa"] == pytest.approx(-14.87)
    assert row["vi_kpa"] == pytest.approx(61.20**2 / 21)
    assert row["yi"] == pytest.approx(-14.87 / 61.20)


def test_only_a_bound_of_p_gives_a_bound_of_the_error(changes):
    """Andersen 2014: 129 kPa, P < 0.01: the error is at most 129 / 2.5758."""
    row = one(changes, "andersen2014", CONTROL, "unclear")
    assert row["setting"] == PROGRAMME
    assert np.sqrt(row["vi_kpa"]) == pytest.approx(129 / 2.5758, rel=1e-4)
    assert "bound of P" in row["source"]


def test_forces_are_no_pressures(changes):
    assert changes.loc[changes["unit"] == "kgf", "yi_kpa"].isna().all()
    assert changes.loc[changes["unit"] == "kPa", "yi_kpa"].notna().all()


def test_what_is_left_out_says_why():
    changes, left = sensitivity_changes(load_evidence())
    assert not {"hahm2020", "xu2021"} & set(changes["trial_id"])
    assert left.set_index("trial_id").loc["otekaraca2017", "reason"].iloc[0].startswith("no change")
    more, _ = sensitivity_changes(load_evidence(), flags=())
    assert {"hahm2020", "xu2021"} <= set(more["trial_id"])


def test_no_trials_is_an_empty_table():
    some = load_evidence().filter(trial_id=["sherman2011"])
    changes, left = sensitivity_changes(some)
    assert changes.empty and left.empty and "yi_kpa" in changes


@pytest.mark.parametrize(
    ("text", "site"),
    [
        ("local: lumbar (8 sites)", "local"),
        ("remote: forehead and thumb", "remote"),
        ("rectus femoris (local)", "local"),
        ("distant", "remote"),
        ("mean of sites", "unclear"),
        (None, "unclear"),
    ],
)
def test_sites(text, site):
    assert site_of(text) == site
