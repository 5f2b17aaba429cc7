from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from backpain_analysis import figures
from backpain_analysis.evidence.evidence import Evidence, load_evidence
from tests.effects.conftest import arm, difference, result, trial
from tests.figures.drawn import artists, outside, overlaps, texts

MAPS = (
    figures.trials_by_type_and_year,
    figures.trial_sizes,
    figures.frequency_against_minutes,
    figures.dose_fields_known,
    figures.outcomes_by_type,
    figures.risk_of_bias,
)


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    """Three trials: yoga of known dose, yoga and Pilates, Pilates without year, size and dose."""
    dose = {"sessions_per_week": 2, "minutes_per_session": 60, "duration_weeks": 8}
    trials = [
        trial("t1", n_randomised=40, rob_or_pedro="PEDro 7/10"),
        trial("t2", n_randomised=160, rob_or_pedro="Cochrane: low", year=2010),
        trial("t3", year=None, n_randomised=None),
    ]
    arms = [
        arm("a1", "yoga", trial_id="t1", **dose),
        arm("a2", comparator_type="usual_care", trial_id="t1"),
        arm("a1", "yoga", trial_id="t2", **dose),
        arm("a2", "pilates", trial_id="t2", **{**dose, "sessions_per_week": 1}),
        arm("a1", "pilates", trial_id="t3", duration_weeks=6),
    ]
    outcomes = [
        result("a1", 4, 2, 20, trial_id="t1"),
        result("a1", 3, 2, 20, week=20, label="followup", trial_id="t1"),
        result("a2", 5, 2, 20, trial_id="t1"),
    ]
    contrasts = [difference("a1", "a2", -1, trial_id="t2", outcome="disability")]
    frames = [pd.DataFrame(rows) for rows in (trials, arms, outcomes, contrasts)]
    return Evidence.from_frames(*frames)


def rows_of(axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def test_trials_by_type_and_year(evidence):
    axes = figures.trials_by_type_and_year(evidence)
    assert set(rows_of(axes)) == {"Yoga", "Pilates"}
    drawn = [tuple(offset) for dots in artists(axes, "trials") for offset in dots.get_offsets()]
    assert sorted(year for year, _ in drawn) == [2010, 2010, 2020]
    assert axes.get_xlabel() == "Year of publication  (year unknown for 1 trial, not shown)"
    assert [text for text in texts(axes) if text.isdigit()] == ["2", "2"]


def test_trial_sizes(evidence):
    axes = figures.trial_sizes(evidence)
    assert sum(bar.get_height() for bar in axes.patches) == 2
    assert_allclose(artists(axes, "median")[0].get_xdata(), [100, 100])
    assert "size unknown for 1 trial" in axes.get_xlabel()


def test_frequency_against_minutes(evidence):
    axes = figures.frequency_against_minutes(evidence)
    (bubbles,) = artists(axes, "bubbles")
    assert_allclose(bubbles.get_offsets(), [(60, 1), (60, 2)])
    one, two = bubbles.get_sizes()
    assert two == 2 * one
    assert "dose unknown for 1 exercise arm" in axes.get_xlabel()


def test_dose_fields_known(evidence):
    axes = figures.dose_fields_known(evidence)
    cells = np.array(texts(axes)).reshape(2, 6)
    by_row = dict(zip(rows_of(axes), cells.tolist(), strict=True))
    assert by_row["Yoga"] == ["2/2"] * 6
    assert by_row["Pilates"] == ["1/2", "1/2", "1/2", "2/2", "1/2", "1/2"]


def test_outcomes_by_type_counts_trials_not_rows(evidence):
    axes = figures.outcomes_by_type(evidence)
    columns = [label.get_text() for label in axes.get_xticklabels()]
    cells = np.array(texts(axes)).reshape(2, 2)
    table = pd.DataFrame(cells, rows_of(axes), [" ".join(name.split()) for name in columns])
    assert table.loc["Yoga", "Pain"] == "1"
    assert table.loc["Yoga", "Disability"] == "1"
    assert table.loc["Pilates", "Disability"] == "1"
    assert table.loc["Pilates", "Pain"] == ""


def test_risk_of_bias_shows_what_is_not_reported(evidence):
    axes = figures.risk_of_bias(evidence)
    assert rows_of(axes) == ["PEDro 7/10", "Cochrane: low", "Not reported"]
    assert [bar.get_width() for bar in axes.patches] == [1, 1, 1]
    assert axes.get_xlabel() == "Trials (of 3)"


@pytest.mark.parametrize("draw", MAPS)
def test_maps_of_the_bundled_trials_are_legible(draw):
    axes = draw(load_evidence())
    assert outside(axes) == []
    assert overlaps(axes) == []


@pytest.mark.parametrize("draw", MAPS)
def test_maps_of_little_evidence_or_none(draw, evidence):
    for few in (evidence.filter(trial_id="t3"), evidence.filter(year=(1900, 1901))):
        draw(few).get_figure().draw_without_rendering()
