"""How exercise was given, as treatments."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from backpain_analysis.effects.table import Effects
from backpain_analysis.effects.treatments import (
    intensity_word,
    with_co_intervention,
    with_intensity,
    with_supervision,
)

TRIALS = ["a", "b", "c"]


@pytest.fixture
def effects():
    """Yoga against a waiting list; walking against running; Pilates against manual therapy."""
    table = pd.DataFrame(
        {
            "trial_id": TRIALS,
            "arm_id": "x",
            "ref_arm_id": "y",
            "treatment": ["yoga", "aerobic_walking", "pilates"],
            "ref_treatment": ["waitlist", "aerobic_running", "manual_therapy"],
            "yi": [-9.0, 1.0, -2.0],
            "vi": 4.0,
        }
    )
    excluded = pd.DataFrame(columns=["trial_id", "arm_id", "reason"])
    return Effects(table, (np.array([[4.0]]),) * 3, excluded, "pain_intensity", "MD")


def arms(column, values):
    """Values of the arms x and y of each trial."""
    keys = [(trial, arm) for trial in TRIALS for arm in ("x", "y")]
    return pd.DataFrame(keys, columns=["trial_id", "arm_id"]).assign(**{column: values})


def settings(found):
    return list(zip(found.table["setting"], found.table["ref_setting"], strict=True))


def test_supervision_names_exercise_and_leaves_controls(effects):
    given = arms("supervised", ["yes", None, "no", "mixed", None, None])
    found = with_supervision(effects, given)
    assert settings(found) == [
        ("supervised", "inactive"),
        ("unsupervised", "partly supervised"),
    ]
    assert found.n_trials == 2
    assert list(found.excluded["trial_id"]) == ["c"]
    assert found.excluded["reason"].tolist() == ["supervised unknown"]


def test_no_recorded_co_intervention_means_exercise_alone(effects):
    given = arms("co_intervention", ["advice", None, None, "massage", None, None])
    given["comparator_type"] = None
    found = with_co_intervention(effects, given)
    assert settings(found) == [
        ("with co-intervention", "inactive"),
        ("exercise alone", "with co-intervention"),
        ("exercise alone", "manual_therapy"),
    ]


@pytest.mark.parametrize(
    ("texts", "controls", "words"),
    [
        (["massage", "massage"], [None, None], ["exercise alone", "exercise alone"]),
        (["massage, tape", "Massage"], [None, None], ["with co-intervention", "exercise alone"]),
        (["back school", None], [None, "education_advice"], ["exercise alone", "exercise alone"]),
        (["medication; massage", None], [None, "usual_care"], ["with co-intervention", None]),
        (["medication", None], [None, "no_treatment"], ["with co-intervention", None]),
    ],
)
def test_what_the_other_arm_got_too_is_no_co_intervention(effects, texts, controls, words):
    one = effects.select(effects.table["trial_id"] == "b", "not asked")
    given = pd.DataFrame({"trial_id": "b", "arm_id": ["x", "y"], "co_intervention": texts})
    found = settings(with_co_intervention(one, given.assign(comparator_type=controls)))
    assert [word for word, said in zip(found[0], words, strict=True) if said] == list(
        filter(None, words)
    )


def test_intensity_is_only_what_a_report_says(effects):
    given = arms("intensity_text", ["gentle", None, "vigorous", "to volitional failure", "?", None])
    found = with_intensity(effects, given)
    assert settings(found) == [
        ("low intensity", "inactive"),
        ("high intensity", "high intensity"),
    ]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("low intensity walking", "low intensity"),
        ("3 sets to momentary muscular failure", "high intensity"),
        ("from low intensity to high intensity", None),
        ("moderate", None),
        ("gentleman's club", None),
        (None, None),
        (np.nan, None),
    ],
)
def test_words_of_intensity(text, word):
    assert intensity_word(text) == word
