"""Every arm of every trial, as a network wants them."""

from __future__ import annotations

import pytest

from backpain_analysis.evidence.evidence import load_evidence


@pytest.fixture(scope="module")
def evidence():
    return load_evidence()


@pytest.fixture(scope="module")
def effects(evidence):
    return evidence.effects("disability", head_to_head=True)


def test_it_adds_trials_and_changes_none(evidence, effects):
    keys = ["trial_id", "arm_id", "ref_arm_id"]
    usual, every = evidence.effects("disability").table, effects.table
    assert set(usual["trial_id"]) < set(every["trial_id"])
    both = usual.merge(every, on=keys, suffixes=("", "_every"))
    assert len(both) >= len(usual) - 1
    assert (both["yi"] == both["yi_every"]).all() and (both["vi"] == both["vi_every"]).all()
    assert every["reference_kind"].value_counts()["other exercise"] >= 10


def test_a_head_to_head_difference_is_what_was_reported(evidence, effects):
    """Ferreira 2007: motor control and manual therapy against general exercise."""
    rows = effects.table[effects.table["trial_id"] == "ferreira2007"]
    assert set(rows["treatment"]) == {"motor_control", "manual_therapy"}
    assert set(rows["ref_treatment"]) == {"general_mixed"}
    assert set(rows["reference_kind"]) == {"other exercise"}


def test_inactive_stays_the_reference_where_there_is_one(effects):
    trials = effects.table.groupby("trial_id")["ref_treatment"].first()
    assert trials["sherman2011"] == "education_advice"
    assert trials["tilbrook2011"] == "usual_care"


def test_against_inactive_leaves_the_rest(effects):
    kept = effects.against_inactive()
    assert set(kept.table["ref_exercise_type"]) == {"none"}
    assert "sham" not in set(kept.table["ref_treatment"])


def test_arm_columns_join_both_arms(evidence, effects):
    joined = effects.with_arms(evidence.arms, ["supervised", "co_intervention"]).table
    arms = evidence.arms.set_index(["trial_id", "arm_id"])["supervised"]
    row = joined[joined["trial_id"] == "ferreira2007"].iloc[0]
    assert row["supervised"] == arms["ferreira2007", row["arm_id"]]
    assert row["ref_supervised"] == arms["ferreira2007", row["ref_arm_id"]]
    assert "ref_co_intervention" in joined
    with pytest.raises(ValueError, match="no column 'colour'"):
        effects.with_arms(evidence.arms, ["colour"])
