"""Dose-response at chosen weeks, and profiles of participants."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.figures.people_plots import longitudinal, profiles
from backpain_analysis.models.people.longitudinal import longitudinal as fit
from tests.figures.drawn import artists, outside, overlaps
from tests.models.people.made_visits import made_visits


@pytest.fixture(scope="module")
def visits() -> pd.DataFrame:
    return made_visits(missing=0.1)


@pytest.fixture(scope="module")
def result(visits):
    return fit(visits, curve="quadratic")


def test_a_line_and_a_band_a_week(result):
    axes = longitudinal(result, weeks=[6, 12], mcid=8)
    lines = artists(axes, "line")
    assert len(lines) == len(artists(axes, "band")) == 2
    for line, week in zip(lines, (6.0, 12.0), strict=True):
        dose, effect = line.get_data()
        assert (dose[0], dose[-1]) == (0, 120)
        assert_allclose(effect[-1], result.effect(120, week)["estimate"])
    assert artists(axes, "mcid")[0].get_ydata()[0] == -8
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == ["Week 6", "Week 12", "95% confidence interval", "MCID"]
    assert not overlaps(axes)
    assert not outside(axes)


def test_the_last_week_is_drawn_unless_others_are_asked_for(result):
    axes = longitudinal(result, reference=60, lower_is_better=False, mcid=5)
    (line,) = artists(axes, "line")
    dose, effect = line.get_data()
    assert_allclose(np.interp(60, dose, effect), 0, atol=1e-9)
    assert_allclose(effect[-1], result.effect(120, 12, reference=60)["estimate"])
    assert artists(axes, "mcid")[0].get_ydata()[0] == 5


def test_profiles_show_means_of_what_was_observed(visits):
    axes = profiles(visits, participants=30)
    assert len(artists(axes, "participant")) == 30
    means = artists(axes, "mean")
    observed = visits.groupby(["dose", "week"])["value"]
    assert len(means) == 3
    for line, dose in zip(means, (0.0, 60.0, 120.0), strict=True):
        assert_allclose(line.get_ydata(), observed.mean()[dose])
    last = artists(axes, "interval")[-1].get_segments()[-1]
    scores = observed.get_group((120.0, 12.0)).dropna()
    half = 1.959963984540054 * scores.std() / np.sqrt(len(scores))
    assert_allclose(last[:, 1], [scores.mean() - half, scores.mean() + half])
    assert axes.get_legend().get_title().get_text() == "Dose (participants)"
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    counts = (
        visits.dropna()
        .groupby("dose")
        .apply(lambda rows: len(rows[["trial_id", "participant_id"]].drop_duplicates()))
    )
    assert texts == [f"{dose:g} ({n})" for dose, n in counts.items()]
    assert not outside(axes)


def test_the_same_seed_draws_the_same_participants(visits):
    def drawn(seed):
        lines = artists(profiles(visits, participants=5, seed=seed), "participant")
        return [line.get_ydata().tolist() for line in lines]

    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)


def test_many_doses_and_weeks_are_grouped(visits):
    rng = np.random.default_rng(1)
    shifts = rng.uniform(0, 1, len(visits)) * (visits["week"] > 0)
    dose = visits["dose"] * visits["participant_id"].str[1:].astype(int)
    axes = profiles(visits.assign(week=visits["week"] + shifts, dose=dose))
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts[0].startswith("0 (")
    assert len(texts) == 5
    for line in artists(axes, "mean"):
        assert len(line.get_xdata()) == 3
    even = visits.assign(week=np.linspace(0, 50, len(visits)))
    assert len(artists(profiles(even), "mean")[0].get_xdata()) == 8


def test_without_scores_there_is_nothing_to_draw(visits):
    with pytest.raises(ValueError, match="nothing to draw"):
        profiles(visits.assign(value=np.nan))
