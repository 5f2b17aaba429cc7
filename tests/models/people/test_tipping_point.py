"""Tipping points, by hand where the analysis is a difference of two means."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.models.people.ancova import ancova
from backpain_analysis.models.people.clda import clda
from backpain_analysis.models.people.imputation import impute, with_imputations
from backpain_analysis.models.people.tipping_point import tipping_point
from tests.models.people.made_visits import made_visits


@pytest.fixture(scope="module")
def visits():
    """One trial, two arms of 40; 8 dropped out of exercise and 4 of control by week 12."""
    visits = made_visits(n=80, trials=1, doses=(0.0, 100.0), slope=-0.07)
    person = visits["participant_id"].str[1:].astype(int)
    out = ((visits["dose"] > 0) & (person < 16)) | ((visits["dose"] == 0) & (person < 8))
    visits.loc[out & (visits["week"] == 12), "value"] = np.nan
    return visits


@pytest.fixture(scope="module")
def imputations(visits):
    return impute(visits, m=10)


def test_without_delta_it_is_the_analysis_at_random(visits, imputations):
    result = tipping_point(visits, week=12, m=10)
    row = ancova(imputations, week=12).predict([100]).iloc[0]
    assert result.table["delta"].iloc[0] == 0
    names = ["estimate", "se", "ci_low", "ci_high"]
    assert_allclose(result.table.loc[0, names].astype(float), row[names].astype(float))


def test_delta_moves_the_difference_of_means_by_the_share_of_dropouts(imputations):
    """Of 40 with exercise 8 had dropped out: a fifth of every delta."""
    result = tipping_point(imputations, week=12, adjust=(), deltas=(5, 10, 40))
    table = result.table
    assert table["delta"].tolist() == [0, 5, 10, 40]
    assert_allclose(table["estimate"] - table["estimate"][0], [0, 1, 2, 8], atol=1e-9)
    assert_allclose(table["mean_imputed"] - table["mean_imputed"][0], [0, 5, 10, 40])
    assert (result.n_exercise, result.n_dropouts, result.m) == (40, 8, 10)


def test_the_tipping_point_is_where_the_interval_meets_zero(imputations):
    result = tipping_point(imputations, week=12, deltas=range(0, 61, 5))
    table = result.table
    after = int(np.argmax(table["ci_high"] > 0))
    assert table["delta"][after - 1] < result.tipping < table["delta"][after]
    at = tipping_point(imputations, week=12, deltas=[result.tipping]).table.iloc[-1]
    assert abs(at["ci_high"]) < 0.02
    assert f"{result.tipping:.1f} points worse" in result.sentence
    assert "8 of 40 participants" in result.sentence


def test_a_conclusion_may_hold_throughout_or_not_at_all(imputations):
    short = tipping_point(imputations, week=12, deltas=(1, 2))
    assert np.isnan(short.tipping)
    assert "excludes zero even if the dropouts (8 of 40" in short.sentence
    nothing = tipping_point(imputations, week=12, deltas=(1, 2), at_dose=50, reference=50)
    assert np.isnan(nothing.tipping)
    assert nothing.sentence.startswith("The interval includes zero already")


def test_higher_may_be_better(visits):
    mirrored = visits.assign(value=100 - visits["value"])
    options = {"week": 12, "m": 3, "deltas": range(0, 61, 10)}
    worse = tipping_point(visits, **options)
    better = tipping_point(mirrored, lower_is_better=False, **options)
    assert_allclose(np.diff(better.table["estimate"]), -np.diff(worse.table["estimate"]), rtol=0.05)
    assert better.table["estimate"].iloc[0] > 0
    assert better.tipping > 0


def test_gaps_and_control_dropouts_keep_what_was_imputed(visits):
    gap = visits.copy()
    gap.loc[(gap["week"] == 6) & (gap["dose"] > 0) & (gap.index % 3 == 0), "value"] = np.nan
    gap = gap.dropna(subset="value")
    result = tipping_point(gap, week=6, m=3, deltas=(20,))
    dropped = impute(gap, m=3).visits.query("week == 6 and dose > 0")["dropout"].sum()
    assert result.n_dropouts == dropped
    moved = result.table["estimate"].iloc[1] - result.table["estimate"].iloc[0]
    assert moved < 20 * (dropped + 1) / 40


def test_another_model_can_be_followed(imputations):
    result = tipping_point(
        imputations, week=12, deltas=(10,), model=lambda i: with_imputations(i, clda)
    )
    direct = with_imputations(imputations, clda).predict([100]).iloc[0]
    assert_allclose(result.table["estimate"].iloc[0], direct["estimate"])


def test_plain_values_and_page(imputations):
    result = tipping_point(imputations, week=12, deltas=(10,))
    assert "10 imputations" in result._repr_html_()
    assert result.summary().equals(result.table)


def test_what_makes_no_sense_is_refused(imputations):
    with pytest.raises(ValueError, match="delta -5 is below zero"):
        tipping_point(imputations, week=12, deltas=(-5, 5))
    with pytest.raises(ValueError, match="visit at week 7"):
        tipping_point(imputations, week=7)
