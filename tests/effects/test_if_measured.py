"""Effects of an outcome that these trials may not have measured."""

from __future__ import annotations

import pytest

from backpain_analysis.effects.assemble import effects_if_measured
from backpain_analysis.evidence.evidence import load_evidence


@pytest.fixture(scope="module")
def evidence():
    return load_evidence().filter(trial_id=["andersen2014", "tankha2024"])


def test_a_measured_outcome_gives_its_effects(evidence):
    found = effects_if_measured(evidence, "pain_intensity", measure="SMD")
    plain = evidence.effects("pain_intensity", measure="SMD")
    assert list(found.table["yi"]) == list(plain.table["yi"])
    assert found.measure == "SMD"


def test_an_outcome_nobody_measured_gives_none(evidence):
    found = effects_if_measured(evidence, "kinesiophobia", measure="SMD")
    assert (len(found), found.n_trials, found.measure) == (0, 0, "SMD")
    assert len(found.against_inactive()) == 0
    assert found.excluded_counts().empty


def test_an_outcome_nobody_can_measure_is_an_error(evidence):
    with pytest.raises(ValueError, match=r"outcome: no 'pains'\. Did you mean 'pain_intensity'"):
        effects_if_measured(evidence, "pains")
