"""What each way to obtain results adds: counts, order, and the page's table."""

from __future__ import annotations

import pytest

from backpain_analysis.answers import tables
from backpain_analysis.answers.robustness import derivations
from backpain_analysis.effects.derive import DERIVATIONS
from backpain_analysis.evidence.evidence import load_evidence


@pytest.fixture(scope="module")
def trials():
    wanted = ["quinn2011", "saper2017", "machado2010", "miyamoto2013", "natour2015"]
    return load_evidence().filter(trial_id=wanted)


@pytest.fixture(scope="module")
def found(trials):
    return derivations(trials, "pain_intensity").set_index("derived")


def test_each_step_alone_then_together(found):
    steps = [words for name, words in DERIVATIONS.items() if name != "percentage"]
    together = ["usual", "all but other trials' SDs", "all of these"]
    assert found.index.tolist() == ["as printed", *steps, *together]
    assert found.loc["usual", "step"] == "p_value+percentage"
    assert "pooled_sd" not in found.loc["all but other trials' SDs", "step"]


def test_trials_are_counted(found):
    """Quinn 2011 prints P = 0.047 and no interval, Natour 2015 P < 0.001."""
    more = found["more"]
    assert more["as printed"] == 0
    assert more["standard error from an exact P value"] == more["usual"] == 1
    assert more["standard error from one limit, or from an upper bound of P"] == 1
    assert more["all of these"] >= more["all but other trials' SDs"] == 2
    assert (found["trials"] - found.loc["as printed", "trials"]).tolist() == more.tolist()


def test_no_usable_trial_has_no_numbers(trials):
    none = derivations(trials.filter(trial_id="quinn2011"), "pain_intensity").set_index("derived")
    assert none.loc["as printed", ["trials", "participants"]].tolist() == [0, 0]
    assert none.loc["as printed", ["estimate", "ci_low"]].isna().all()
    assert none.loc["usual", "estimate"] == pytest.approx(-14.2)


def test_the_table_reads_ratios_and_points(found, trials):
    html = tables.derivations(found.reset_index(), title="Derived")._repr_html_()
    assert "Standard error from an exact P value" in html
    assert "MD [95% CI]" in html and "+1" in html
    hazards = derivations(load_evidence(), "recurrence", "HR", timepoint="latest")
    assert "scale" not in "+".join(hazards["step"])
    assert hazards["trials"].tolist() == [3] * len(hazards)
    assert "0.6" in tables.derivations(hazards, measure="HR", title="Hazards")._repr_html_()


def test_what_was_obtained_is_shown(trials):
    counts = trials.effects("pain_intensity").obtained_counts()
    html = tables.reasons(counts, title="Obtained")._repr_html_()
    assert "Obtained" in html and "standard error from the P value" in html
