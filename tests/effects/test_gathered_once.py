"""Results are gathered once for all that an evidence is filtered to; nobody may notice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from backpain_analysis.effects.over_time import effects_over_time
from backpain_analysis.evidence.evidence import BACK_PAIN, Evidence, load_evidence
from backpain_analysis.evidence.schema import TABLES

FILTERS = {
    "population": {"population": BACK_PAIN},
    "some arms": {"exercise_type": ["yoga", "stretching_mixed"]},
    "outcomes": {"outcome": "disability"},
    "some arms of some trials": {"population": BACK_PAIN, "exercise_type": "pilates"},
}
OPTIONS = [{}, {"derive": ("limit", "pooled_sd", "scale")}, {"measure": "SMD", "derive": ()}]


@pytest.mark.parametrize("condition", FILTERS)
def test_a_filtered_evidence_gives_what_its_tables_alone_give(condition):
    part = load_evidence().filter(**FILTERS[condition])
    alone = Evidence.from_frames(**{name: getattr(part, name) for name in TABLES})
    for options in OPTIONS:
        asked = {"outcome": "disability", "head_to_head": True, **options}
        found, wanted = part.effects(**asked), alone.effects(**asked)
        pd.testing.assert_frame_equal(found.table, wanted.table)
        pd.testing.assert_frame_equal(found.excluded, wanted.excluded)
        for ours, theirs in zip(found.covariance, wanted.covariance, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_of_a_trial_with_some_arms_only_their_results_are_left():
    whole = load_evidence()
    part = whole.filter(exercise_type="yoga")
    whole.effects("pain_intensity", head_to_head=True)
    table = part.effects("pain_intensity", head_to_head=True).table
    kept = set(zip(part.arms["trial_id"], part.arms["arm_id"], strict=True))
    for arm in ("arm_id", "ref_arm_id"):
        assert set(zip(table["trial_id"], table[arm], strict=True)) <= kept
    assert "tai_chi_qigong" not in set(table["exercise_type"])


WAYS = [
    {},
    {"measure": "SMD"},
    {"timepoint": "latest"},
    {"timepoint": (0, 20)},
    {"analysis": "final"},
    {"analysis": "change", "correlation": 0.8},
    {"reference": {"sherman2011": "a2"}},
    {"inactive": "waitlist"},
    {"inactive": ["usual_care", "waitlist"]},
    {"head_to_head": True},
    {"flags": ()},
    {"designs": "parallel"},
    {"include_home": True},
    {"met": {"yoga": 9.0}},
    {"derive": ()},
    {"derive": ("scale", "followup")},
]


def test_what_is_remembered_of_one_question_is_no_answer_to_another():
    evidence = load_evidence().filter(population=BACK_PAIN)
    for way in [*WAYS, *WAYS]:
        known = evidence.effects("pain_intensity", **way)
        anew = replace(evidence).effects("pain_intensity", **way)
        pd.testing.assert_frame_equal(known.table, anew.table)
        pd.testing.assert_frame_equal(known.excluded, anew.excluded)
        assert (known.measure, known.dose_basis) == (anew.measure, anew.dose_basis)


def test_whoever_changes_effects_changes_them_for_nobody_else():
    evidence = load_evidence()
    found = evidence.effects("pain_intensity")
    wanted = found.table["yi"].tolist(), found.excluded["reason"].tolist(), len(found.table.columns)
    found.table.loc[0, "yi"] = 99.0
    found.table["further"] = 1
    found.excluded["reason"] = "changed"
    for matrix in found.covariance:
        matrix[:] = 0.0
    again = evidence.effects("pain_intensity")
    now = again.table["yi"].tolist(), again.excluded["reason"].tolist(), len(again.table.columns)
    assert now == wanted
    assert all((matrix > 0).all() for matrix in again.covariance)


@pytest.mark.parametrize("ask", [Evidence.effects, effects_over_time])
def test_one_inactive_control_may_be_named_without_a_list(ask):
    one, listed = (
        ask(load_evidence(), "pain_intensity", inactive=words)
        for words in ("waitlist", ["waitlist"])
    )
    pd.testing.assert_frame_equal(one.table, listed.table)
    assert set(one.against_inactive().table["comparator_type"]) == {"waitlist"}
