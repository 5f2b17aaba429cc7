"""Trials that make no network say so."""

from __future__ import annotations

import backpain_analysis as bp
from backpain_analysis.answers import network as questions
from backpain_analysis.answers import sentences
from backpain_analysis.effects.assemble import effects_if_measured

OPTIONS = {"lump": bp.lumping("types")}


def effects(*trials):
    evidence = bp.load_evidence().filter(trial_id=list(trials))
    return effects_if_measured(evidence, "pain_intensity", head_to_head=True)


def test_three_trials_are_a_network_in_words():
    found = questions.fitted(effects("sherman2011", "tankha2024", "miyamoto2013"), **OPTIONS)
    assert found.n_trials == 3
    assert sentences.network(found, "pain_intensity").startswith("3 trials (")


def test_without_results_there_is_none():
    none = effects("manniche1988")
    found = questions.fitted(none, **OPTIONS)
    assert found == "no usable result of pain"
    expected = "These trials make no network for pain: no usable result of pain."
    assert sentences.network(found, "pain_intensity") == expected
    assert questions.impact(none).text.endswith("other kinds: no usable result of pain.")
    assert questions.lumpings(none)["treatments"].isna().all()


def test_trials_apart_from_the_reference_say_what_there_is():
    found = questions.fitted(effects("sherman2011"), lump={}, reference="aquatic")
    assert found == "no treatment 'aquatic' in the network"
