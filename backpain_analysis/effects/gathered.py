"""All that trials say of an outcome, in the form from which effects are chosen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backpain_analysis.effects.candidates import arm_results, contrast_results
from backpain_analysis.effects.choice import Arm
from backpain_analysis.effects.trial_results import TrialResults, by_trial
from backpain_analysis.evidence.dose import with_doses
from backpain_analysis.evidence.evidence import Evidence
from backpain_analysis.evidence.remembered import once_per_evidence

Met = tuple[tuple[str, float], ...]
"""MET values by exercise type, as pairs."""


@dataclass(frozen=True)
class Gathered:
    """The trials that measured an outcome.

    Attributes
    ----------
    trials : list of dict
        Their rows of the trials table.
    arms : mapping
        Rows of the arms table, with doses, by trial.
    results : mapping
        Results of the outcome by trial.
    """

    trials: list[dict[str, Any]]
    arms: Mapping[str, list[Arm]]
    results: Mapping[str, TrialResults]


@once_per_evidence
def gather(
    evidence: Evidence, outcome: str, measure: str, *, met: Met, include_home: bool
) -> Gathered:
    """Gather what trials say of an outcome; see `evidence.dose.with_doses` for the last two."""
    results = by_trial(
        arm_results(evidence, outcome, measure), contrast_results(evidence, outcome, measure)
    )
    measured = evidence.trials[evidence.trials["trial_id"].isin(results.keys())]
    arms = _arms(evidence, met=met, include_home=include_home)
    return Gathered(measured.to_dict("records"), arms, results)


@once_per_evidence
def _arms(evidence: Evidence, *, met: Met, include_home: bool) -> dict[str, list[Arm]]:
    arms = defaultdict(list)
    for arm in with_doses(evidence.arms, met=dict(met), include_home=include_home).to_dict(
        "records"
    ):
        arms[arm["trial_id"]].append(arm)
    return arms
