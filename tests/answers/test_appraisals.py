"""Risk of bias by domain and by trial."""

from __future__ import annotations

import pandas as pd
import pytest

import backpain_analysis as bp
from backpain_analysis.answers import appraisals

SOUND = {"sequence_generation": "low", "allocation_concealment": "low"}

TRIALS = [
    (SOUND, "low"),
    (SOUND | {"selective_reporting": "low"}, "low"),
    (SOUND | {"blinding_participants": "high", "blinding_assessors": "unclear"}, "low"),
    (SOUND | {"incomplete_outcome_data": "unclear"}, "unclear"),
    (SOUND | {"incomplete_outcome_data": "high"}, "high"),
    ({"sequence_generation": "low"}, "unclear"),
    ({"allocation_concealment": "low"}, "unclear"),
    (SOUND | {"allocation_concealment": "unclear"}, "unclear"),
    (SOUND | {"allocation_concealment": "high"}, "high"),
    ({"blinding_personnel": "low"}, "unclear"),
    ({"total": "6"}, "low"),
    ({"total": "5"}, "unclear"),
    ({"total": "4"}, "unclear"),
    ({"total": "3"}, "high"),
    ({"overall": "good"}, "low"),
    ({"overall": "fair"}, "unclear"),
    ({"overall": "poor"}, "high"),
    ({"overall": "?"}, "unclear"),
]


@pytest.mark.parametrize(("judged", "risk"), TRIALS)
def test_risk_of_a_trial(judged, risk):
    rows = pd.DataFrame([("a", *pair) for pair in judged.items()])
    rows.columns = ["trial_id", "domain", "judgement"]
    assert appraisals.trial_risk(rows) == {"a": risk}


def test_counts_leave_unknown_trials_out():
    risk = {"a": "low", "b": "unclear", "c": "high", "d": "low"}
    found = appraisals.risk_counts(risk, ["a", "b", "b", "c", "unheard", "d"])
    assert found == {"low_risk": 2, "unclear_risk": 1, "high_risk": 1}


def test_every_trial_has_a_light_and_unknown_is_said():
    evidence = bp.load_evidence()
    table = appraisals.traffic_light(evidence).set_index("trial_id")
    assert list(table.index) == list(evidence.trials["trial_id"])
    assert set(table.stack()) == set(appraisals.RISKS)
    counts = appraisals.by_domain(evidence).set_index("domain")
    assert (counts.sum(axis=1) == len(evidence.trials)).all()
    printed = evidence.appraisals.value_counts(["domain", "judgement"])
    assert counts.loc["allocation_concealment", "low"] == printed["allocation_concealment", "low"]
    assert counts.loc["overall", "unknown"] == 180 - evidence.appraisals["trial_id"].nunique()


@pytest.mark.parametrize(
    ("said", "risk"),
    [("PEDro 6/10", "low"), ("PEDro 5/10", "unclear"), ("pedro 3 / 10", "high"), ("fair", None)],
)
def test_a_printed_score_judges_a_trial_without_appraisals(said, risk):
    evidence = bp.load_evidence().filter(trial_id=["areeudomwong2019", "saper2013"])
    bare = bp.Evidence.from_frames(
        trials=evidence.trials.assign(rob_or_pedro=said),
        arms=evidence.arms,
        outcomes=evidence.outcomes,
        contrasts=evidence.contrasts,
    )
    expected = {} if risk is None else dict.fromkeys(evidence.trials["trial_id"], risk)
    assert appraisals.risk_of(bare) == expected
    assert appraisals.good_trials(bare) == {name: risk == "low" for name in expected}
