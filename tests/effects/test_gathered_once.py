"""Results are gathered once for all that an evidence is filtered to; nobody may notice."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

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
