"""Made-up participants are drawn from the truth that is stored beside them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.datasets.bundled import data_dir
from backpain_analysis.datasets.participants import (
    Truth,
    draw_people,
    draw_scores,
    load_truth,
    simulate_tables,
    write_synthetic,
)
from backpain_analysis.evidence.participants import load_participants, simulate_participants
from backpain_analysis.models.dose.curves import CURVES, Emax
from backpain_analysis.models.time.curves import Exponential

BUNDLED = data_dir() / "participants"
MANY = 40_000
WHOLE = replace(Truth().additive(), dropout_per_visit=0.0, trial_sd=0.0)


def drawn(truth: Truth, n: int = MANY, seed: int = 1):
    """Doses, people and scores of one large trial of equal arms."""
    rng = np.random.default_rng(seed)
    dose = np.repeat(truth.doses, n // len(truth.doses))
    people = draw_people(truth, rng, (n,))
    return dose, people, draw_scores(truth, dose, np.zeros(n, dtype=int), people, rng)


def differences(dose: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean differences from no exercise at each visit and their standard errors."""
    control = scores[dose == 0]
    groups = [scores[dose == d] for d in np.unique(dose)[1:]]
    mean = [group.mean(axis=0) - control.mean(axis=0) for group in groups]
    se = [np.sqrt(g.var(axis=0) / len(g) + control.var(axis=0) / len(control)) for g in groups]
    return np.array(mean), np.array(se)


def test_the_bundled_set_is_what_its_stored_truth_draws(tmp_path):
    truth, seed = load_truth(BUNDLED)
    assert truth == Truth()
    write_synthetic(tmp_path, truth, seed)
    for name in ("interventions.csv", "scores.csv", "participants.csv", "truth.json"):
        assert (tmp_path / name).read_bytes() == (BUNDLED / name).read_bytes(), name


def test_the_bundled_set_is_as_planned_and_called_synthetic():
    data = load_participants()
    assert data.synthetic and "synthetic" in data.name
    people = data.interventions
    assert len(people) == 600 and people["trial_id"].nunique() == 6
    assert people["trial_id"].str.startswith("synthetic").all()
    doses = people["prescribed_sessions_per_week"] * people["minutes_per_session"].fillna(0)
    assert sorted(doses.unique()) == [0, 60, 120, 240]
    exercise = people[people["exercise_type"] != "none"]
    attended = exercise["attended_sessions_per_week"] / exercise["prescribed_sessions_per_week"]
    assert (attended < 1).all()
    assert abs(attended.mean() - 0.75) < 4 * 0.15 / np.sqrt(len(exercise))
    assert sorted(data.scores["week"].unique()) == [0, 4, 8, 12, 26]
    assert data.scores["value"].between(0, 100).all()
    assert (data.scores["value"] % 1 == 0).all()
    seen = data.scores["week"].value_counts()
    assert seen[0] == 600 and 0.65 < seen[26] / 600 < 0.85


def test_same_seed_same_data_and_another_seed_another():
    one, same, other = (simulate_participants(seed=seed) for seed in (3, 3, 4))
    assert one.content_hash == same.content_hash != other.content_hash
    assert one.synthetic and "synthetic" in one.name and "seed 3" in one.name


def test_true_effects_by_hand():
    """-0.11 * 120 + 0.0002 * 120^2 = -10.32; 4 half-times of 3 weeks leave 1/16 to come."""
    assert_allclose(Truth().effect(120, 12), -10.32 * 15 / 16)
    assert_allclose(Truth().effect([0, 60], [[3], [6]]), [[0, -5.88 / 2], [0, -5.88 * 3 / 4]])
    assert_allclose(Truth().effect(120, 12, current_smoker=1, age=55), -9.675 * (1 - 0.1925 - 0.05))
    linear = replace(Truth(), time_curve="linear", half_time_weeks=6.0)
    assert_allclose(linear.effect(120, [3, 12, 24]), -10.32 * np.array([0.25, 1, 2]))
    assert_allclose(Truth().scaled(2).effect(240, 8), 2 * Truth().effect(240, 8))


def test_dose_and_time_curves_are_those_of_the_models():
    doses = np.array([0.0, 45.0, 300.0])
    straight = {"linear": (-0.1,), "quadratic": (-0.1, 2e-4), "log": (-3.0,)}
    for name, coefficients in straight.items():
        truth = replace(Truth(), dose_curve=name, dose_coefficients=coefficients)
        assert_allclose(truth.lasting_effect(doses), CURVES[name].basis(doses) @ coefficients)
    emax = replace(Truth(), dose_curve="emax", dose_coefficients=(-20.0, 90.0))
    assert_allclose(emax.lasting_effect(doses), -20 * Emax(values=(90.0,)).basis(doses)[:, 0])
    assert_allclose(emax.scaled(3).lasting_effect(90), -30)
    weeks = np.array([0.0, 3.0, 20.0])
    assert_allclose(Truth().reached(weeks), Exponential(values=(3.0,)).basis(weeks)[:, 0])


@pytest.mark.parametrize(
    "truth",
    [
        WHOLE,
        replace(WHOLE, time_curve="linear", half_time_weeks=13.0, intercept_slope_correlation=0.5),
        replace(WHOLE, dose_curve="emax", dose_coefficients=(-20.0, 90.0), modification={}),
    ],
    ids=["bundled", "linear time", "emax"],
)
def test_drawn_means_are_the_true_effects(truth):
    mean, se = differences(*drawn(truth)[::2])
    true = truth.effects().to_numpy()[1:]
    z = (mean - np.column_stack([np.zeros(3), true])) / se
    assert np.abs(z).max() < 4


def test_drawn_covariance_is_the_true_one():
    truth = replace(WHOLE, slope_sd=0.4, intercept_slope_correlation=-0.6)
    dose, _, scores = drawn(truth)
    found = np.cov(scores[dose == 0].T)
    true = truth.covariance(truth.visits)
    error = np.sqrt((true**2 + np.outer(np.diag(true), np.diag(true))) / (MANY / 4))
    assert np.abs((found - true) / error).max() < 4.5
    by_hand = 100 + 2 * -0.6 * 10 * 0.4 * 26 + 0.16 * 26**2 + 64 + 0.8**2 * 2.5**2 + 9 * 0.1771
    assert_allclose(true[4, 4], by_hand)


def test_trials_differ_as_much_as_they_should():
    still = {"intercept_sd": 0.0, "slope_sd": 0.0, "residual_sd": 0.0, "prognosis": {}}
    truth = replace(WHOLE, **still, modification={}, trial_sd=3.0, effect_trial_sd=0.2)
    rng, trial = np.random.default_rng(2), np.repeat(np.arange(4000), 2)
    dose = np.tile([0.0, 240.0], 4000)
    scores = draw_scores(truth, dose, trial, draw_people(truth, rng, trial.shape), rng)
    levels, effects = scores[::2, 0], scores[1::2, -1] - scores[::2, -1]
    assert_allclose(levels.std(), 3, rtol=0.05)
    assert_allclose(effects.std(), 0.2 * 14.843384, rtol=0.05)
    assert abs(effects.mean() + 14.843384) < 4 * effects.std() / np.sqrt(4000)


def test_people_have_the_stated_means_and_sds():
    _, people, _ = drawn(WHOLE)
    for measure in WHOLE.people:
        found = people[measure.name]
        assert abs(found.mean() - measure.mean) < 4 * measure.sd / np.sqrt(MANY), measure.name
        assert_allclose(found.std(), measure.sd, rtol=0.03)
        assert found.min() >= measure.low and found.max() <= measure.high
    assert abs(people["current_smoker"].mean() - 0.23) < 4 * np.sqrt(0.23 * 0.77 / MANY)


def test_modifiers_and_prognosis_are_recovered_by_regression():
    """Noise-free lines: change from baseline is exactly the effect of each person."""
    truth = replace(WHOLE, residual_sd=0.0, slope_sd=0.0)
    dose, people, scores = drawn(truth, n=400)
    change = scores[:, 3] - scores[:, 0] - truth.natural_change * 15 / 16
    names = ["age", "pain_duration_months", "current_smoker", "sitting_hours"]
    person = {name: people[name] for name in names} | {"baseline": scores[:, 0]}
    assert_allclose(change, truth.effect(dose, 12, **person), atol=1e-9)
    level = replace(truth, intercept_sd=0.0)
    _, people, scores = drawn(level, n=400)
    design = np.column_stack([np.ones(400), people["sitting_hours"], people["current_smoker"]])
    found = np.linalg.lstsq(design, scores[:, 0], rcond=None)[0]
    assert_allclose(found[1:], [0.8, 3.0])


def test_ends_of_the_scale_hardly_matter_in_the_bundled_set():
    """The README promises less than 0.02 points; both are drawn with the same random numbers."""
    whole = replace(Truth(), dropout_per_visit=0.0)
    (dose, _, cut), (_, _, free) = drawn(whole), drawn(whole.additive())
    for d in whole.doses:
        assert np.abs((cut - free)[dose == d].mean(axis=0)).max() < 0.02


@pytest.mark.parametrize("mechanism", ["MAR", "MNAR"])
def test_dropout_follows_the_score_it_should(mechanism):
    truth = replace(Truth(), dropout=mechanism, visits=(0.0, 12.0), dropout_per_visit=0.1)
    truth = replace(truth, dropout_odds_ratio=2.0)
    _, _, whole = drawn(replace(truth, dropout_per_visit=0.0))
    _, _, seen = drawn(truth)
    assert np.isfinite(seen[:, 0]).all()
    gone = np.isnan(seen[:, 1])
    driver = whole[:, 0 if mechanism == "MAR" else 1]
    for score in (48, 58, 68):
        at = driver == score
        odds = 0.1 / 0.9 * 2.0 ** ((score - 58) / 10)
        p = odds / (1 + odds)
        assert abs(gone[at].mean() - p) < 4 * np.sqrt(p * (1 - p) / at.sum()), score
    assert np.array_equal(seen[~gone], whole[~gone])


def test_nobody_comes_back():
    seen = np.isfinite(drawn(Truth())[2])
    assert (np.diff(seen.astype(int), axis=1) <= 0).all()


def test_arms_of_a_trial_are_equal_in_number_and_in_random_order():
    tables = simulate_tables(replace(Truth(), trial_sizes=(40, 43)), seed=1)
    counts = tables.interventions.groupby(["trial_id", "prescribed_sessions_per_week"]).size()
    assert counts.tolist() == [10, 10, 10, 10, 11, 11, 11, 10]
    first = tables.interventions["prescribed_sessions_per_week"].head(40).tolist()
    assert first != sorted(first)


def test_additive_scores_are_no_scale_and_load_all_the_same():
    truth = replace(Truth().additive(), baseline_mean=10.0, trial_sizes=(40,))
    data = simulate_participants(truth, seed=2)
    assert data.scores["value"].min() < 0
    assert (data.scores["instrument"] == "other").all() and data.scores["scale_max"].isna().all()
    assert data.visits()["dose"].isin([0, 60, 120, 240]).all()


def test_status_follows_the_duration_of_pain():
    people = simulate_tables(Truth(), seed=1).participants
    months = people.groupby("baseline_status")["pain_duration_months"].agg(["min", "max"])
    assert months.loc["chronic", "min"] > 3 >= months.loc["subacute", "max"]
    assert months.loc["subacute", "min"] > 1.5 >= months.loc["acute", "max"]


def test_truth_lists_every_parameter_with_its_unit():
    table = Truth().table()
    assert table["meaning"].str.len().min() > 3
    assert table.loc[table["parameter"] == "slope_sd", "unit"].item() == "points/week"
    assert "slope_sd" in Truth()._repr_html_()


def test_truth_survives_being_stored(tmp_path):
    truth = replace(Truth().additive(), smoking={"never": 0.2, "former": 0.2, "current": 0.6})
    write_synthetic(tmp_path, truth, 9)
    assert load_truth(tmp_path) == (truth, 9)
    assert pd.read_csv(tmp_path / "scores.csv")["scale_max"].isna().all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dose_curve": "lineer"}, "Did you mean 'linear'"),
        ({"dose_curve": "linear"}, "has 1 dose_coefficients"),
        ({"residual_sd": -1.0, "visits": (4.0, 8.0)}, "visits must start.*residual_sd -1"),
        ({"dropout": "mar"}, "'MAR' or 'MNAR'"),
        ({"dropout_per_visit": 1.0}, "below 1"),
        ({"modification": {"height": 0.1}}, "modification 'height'"),
        ({"prognosis": {"baseline": 0.1}}, "prognosis 'baseline'"),
        ({"smoking": {"never": 1.0}}, "add up to 1"),
        ({"attendance": replace(Truth().attendance, sd=0.9)}, "attendance: nothing between"),
        ({"people": Truth().people[:2]}, "people must describe"),
        ({"trial_sizes": ()}, "trial_sizes"),
        ({"half_time_weeks": 0.0}, "half_time_weeks 0 must be above 0"),
        ({"intercept_slope_correlation": 2.0}, "-1 to 1"),
        ({"prescriptions": ((-1.0, 30.0),)}, "prescriptions"),
        ({"time_curve": "emax"}, "time_curve 'emax'"),
    ],
)
def test_a_truth_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(Truth(), **changes)


def test_effects_by_what_modifies_nothing_are_refused():
    with pytest.raises(ValueError, match=r"'ages' modifies no effect\. Did you mean 'age'"):
        Truth().effect(120, 12, ages=50)
