"""The rules of certainty, one at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backpain_analysis.answers.certainty import Body, certainty, good_quality

SOUND = Body(
    estimate=-18.0,
    ci_low=-22.0,
    ci_high=-14.0,
    n_trials=12,
    n_participants=900,
    appraised_good=9,
    i2=20.0,
    pi_low=-25.0,
    pi_high=-9.0,
    mcid=15.0,
    asymmetry_p=0.6,
)


def test_sound_trials_are_of_high_certainty():
    assert certainty(SOUND).level == "high"
    assert certainty(SOUND).downgrades == ()


ONE_FAULT = [
    ({"appraised_good": 6}, "risk of bias", 1),
    ({"i2": 50.0}, "inconsistency", 1),
    ({"i2": 75.0}, "inconsistency", 2),
    ({"pi_high": 2.0}, "inconsistency", 1),
    ({"n_trials": 1, "appraised_good": 1, "i2": np.nan}, "inconsistency", 1),
    ({"indirect": ("other people",)}, "indirectness", 1),
    ({"n_participants": 399}, "imprecision", 1),
    ({"ci_low": -30.0, "ci_high": 2.0, "pi_low": -40.0, "pi_high": 9.0}, "imprecision", 1),
    ({"asymmetry_p": 0.04}, "small-study effects", 1),
]


@pytest.mark.parametrize(("change", "domain", "steps"), ONE_FAULT)
def test_each_fault_lowers_it_with_a_reason(change, domain, steps):
    found = certainty(replace(SOUND, **change))
    assert [(d, s) for d, s, _ in found.downgrades] == [(domain, steps)]
    assert found.level == ("moderate" if steps == 1 else "low")
    assert found.reasons.startswith(f"{domain} −{steps}: ")
    assert found.table()["reason"].str.len().min() > 5


def test_faults_add_up_to_very_low_and_no_further():
    found = certainty(
        replace(SOUND, appraised_good=0, i2=90.0, n_participants=30, indirect=("other people",))
    )
    assert found.level == "very low"
    assert sum(steps for _, steps, _ in found.downgrades) == 5


def test_few_trials_cannot_show_asymmetry():
    assert certainty(replace(SOUND, n_trials=9, asymmetry_p=0.001)).level == "high"


def test_a_null_effect_ruled_small_is_not_imprecise():
    narrow = replace(SOUND, estimate=0.0, ci_low=-4.0, ci_high=4.0, pi_low=-9.0, pi_high=9.0)
    assert certainty(narrow).level == "high"


def test_nothing_is_no_evidence():
    assert certainty(replace(SOUND, n_trials=0)).level == "no evidence"
    assert certainty(replace(SOUND, estimate=np.nan)).level == "no evidence"


@pytest.mark.parametrize(
    ("text", "good"),
    [("PEDro 6/10", True), ("PEDro 5/10", False), ("AHRQ quality: Fair", False), (None, False)],
)
def test_good_quality_is_pedro_six(text, good):
    assert good_quality(text) is good


def test_unknown_sizes_are_imprecise_and_called_unknown():
    found = certainty(replace(SOUND, n_participants=0))
    assert found.downgrades == (("imprecision", 1, "the reports print no arm sizes"),)
