"""Harms, adherence and dropout in words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import backpain_analysis as bp
from backpain_analysis.answers import tables
from backpain_analysis.answers.harms import (
    adherence_said,
    dropout_said,
    harms,
    harms_said,
    published_harm,
    published_harms,
)
from tests.made import made


def evidence(*counts, trials=3):
    """Rows of trial, outcome, events, n."""
    columns = ["trial_id", "outcome", "events", "n"]
    outcomes = pd.DataFrame(list(counts), columns=columns)
    return made("Evidence", trials=pd.DataFrame(index=range(trials)), outcomes=outcomes)


WORDED = [
    ([], [], "no report says anything of them"),
    (["a"], [], "1 trial of 3 says anything of them, in words only"),
    (["a", "a", "b"], [], "2 trials of 3 say anything of them, in words only"),
    (
        ["a"],
        [("a", "adverse_events", 3, 20), ("a", "adverse_events", 1, 20)],
        "1 trial of 3 says anything of them, in words; 1 trial with counts",
    ),
    (
        ["a"],
        [("a", "adverse_events", np.nan, 20), ("b", "dropout", 1, 20)],
        "1 trial of 3 says anything of them, in words only",
    ),
]


@pytest.mark.parametrize(("worded", "counts", "words"), WORDED)
def test_harms(worded, counts, words):
    assert harms_said(evidence(*counts), pd.DataFrame({"trial_id": worded})) == words


ADHERENCE = [
    ([], "no report prints it"),
    ([70.0], "70% of what was prescribed, in 1 exercise arm"),
    ([90.0, 40.0, 70.0], "median 70% of what was prescribed, 40 to 90%, in 3 exercise arms"),
]


@pytest.mark.parametrize(("shares", "words"), ADHERENCE)
def test_adherence(shares, words):
    assert adherence_said(pd.Series(shares, dtype=float)) == words


DROPOUT = [
    ([], "no report that was read counts it by arm"),
    ([("a", "dropout", 3, np.nan)], "no report that was read counts it by arm"),
    ([("a", "dropout", np.nan, 30)], "no report that was read counts it by arm"),
    ([("a", "dropout", 3, 30)], "10% of 30 people, in 1 arm"),
    ([("a", "dropout", 3, 30), ("a", "dropout", 17, 970)], "2% of 1,000 people, in 2 arms"),
]


@pytest.mark.parametrize(("counts", "words"), DROPOUT)
def test_dropout(counts, words):
    assert dropout_said(evidence(*counts)) == words


RATIOS = [
    (
        (1.19, 1.09, 1.30),
        "more events with exercise (risk ratio 1.19, 95% CI 1.09 to 1.30; 9 trials)",
    ),
    (
        (0.8, 0.7, 0.99),
        "fewer events with exercise (risk ratio 0.80, 95% CI 0.70 to 0.99; 9 trials)",
    ),
    (
        (0.96, 0.9, 1.0),
        "no clear change in events with exercise (risk ratio 0.96, 95% CI 0.90 to 1.00; 9 trials)",
    ),
    (
        (1.1, 1.0, 1.2),
        "no clear change in events with exercise (risk ratio 1.10, 95% CI 1.00 to 1.20; 9 trials)",
    ),
]


@pytest.mark.parametrize(("numbers", "words"), RATIOS)
def test_published_harms_either_way(numbers, words):
    row = dict(zip(("estimate", "ci_low", "ci_high"), numbers, strict=True))
    assert published_harm(row | {"outcome": "events", "k_trials": 9}) == words


def test_the_largest_review_is_quoted():
    """Niemeijer 2020: non-serious 1.19 (1.09 to 1.30), serious 0.96 (0.90 to 1.02)."""
    text = published_harms()
    assert text.startswith("Over all conditions Niemeijer 2020 found no clear change in serious ")
    assert "more non-serious adverse events with exercise (risk ratio 1.19, 95% CI 1.09" in text


def test_the_bundled_trials_count_exercise_arms_only():
    whole = bp.load_evidence()
    found = harms(whole)
    arms = whole.arms[whole.arms["exercise_type"] != "none"]
    row = found.table.set_index("what").loc["Harms"]
    assert row["arms"] == arms["adverse_events_text"].notna().sum()
    assert found.table.set_index("what").loc["Adherence", "arms"] == 17
    assert found.sentence().startswith(f"Harms: {row['trials']} trials of 180 say anything")
    assert "What is known" in tables.harms(found, title="Harms")._repr_html_()


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((1.5, 1.01, 1.9), "more events"),
        ((0.5, 0.4, 0.99), "fewer events"),
        ((1.5, 0.5, 1.9), "no clear change in events"),
        ((0.3, 0.2, 0.4), "fewer events"),
        ((2.5, 2.1, 2.9), "more events"),
    ],
)
def test_a_ratio_is_clear_on_one_side_of_one(numbers, words):
    row = dict(zip(("estimate", "ci_low", "ci_high"), numbers, strict=True))
    assert published_harm(row | {"outcome": "events", "k_trials": 9}).startswith(words)


def test_arms_without_exercise_do_not_count():
    columns = ["trial_id", "exercise_type", "adverse_events_text", "adherence_pct"]
    arms = pd.DataFrame(
        [
            ("a", "yoga", "none seen", 80.0),
            ("a", "none", "two falls", 90.0),
            ("b", "yoga", None, None),
            ("b", "pilates", "sore", 60.0),
        ],
        columns=columns,
    )
    given = evidence(("a", "dropout", 3, 30), ("a", "other", 3, 30), trials=2)
    given.arms = arms
    table = harms(given).table
    assert table["trials"].tolist() == [2, 2, 1] and table["arms"].tolist() == [2, 2, 1]
    assert table["what"].tolist() == ["Harms", "Adherence", "Dropout"]
    assert table["said"].tolist() == [
        "2 trials of 2 say anything of them, in words only",
        "median 70% of what was prescribed, 60 to 80%, in 2 exercise arms",
        "10% of 30 people, in 1 arm",
    ]
