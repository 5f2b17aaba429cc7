"""Outcomes by which exercise might work."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import backpain_analysis as bp
from backpain_analysis.answers import mechanisms
from backpain_analysis.effects.sensitivity import COLUMNS

THREE = ["sherman2011", "tankha2024", "miyamoto2013"]


@pytest.fixture(scope="module")
def trials():
    return bp.load_evidence().filter(population=bp.BACK_PAIN)


@pytest.fixture(scope="module")
def found(trials):
    return mechanisms.pooled(trials)


def changes(*rows):
    """(trial, setting, comparison, kPa, variance)"""
    names = ["trial_id", "setting", "comparison", "yi_kpa", "vi_kpa"]
    table = pd.DataFrame(rows, columns=names).reindex(columns=list(COLUMNS))
    return table.assign(yi=table["yi_kpa"] / 100, vi=table["vi_kpa"] / 1e4)


def test_strength_by_hand(found):
    """Steele 2017: changes 67.5 (46.3) of 77 and -0.2 (24.2) of 37, SD at the start 93.5, 99.7.

    g = J (67.5 + 0.2) / SD at the start, pooled; J = 1 - 3 / (4 x 112 - 1), Hedges 1981.
    """
    spread = np.sqrt((76 * 93.5**2 + 36 * 99.7**2) / 112)
    result = found[0]["trunk_strength"]
    assert result.estimate == pytest.approx((1 - 3 / 447) * 67.7 / spread, rel=1e-4)
    assert result.n_trials == 1


def test_each_outcome_is_pooled_one_effect_a_trial(trials, found):
    effects = trials.effects("quality_of_life", measure="SMD").against_inactive()
    expected = bp.pool(effects.one_per_trial(), test="z")
    result = found[0]["quality_of_life"]
    assert (result.estimate, result.ci_low) == pytest.approx((expected.estimate, expected.ci_low))


def test_what_was_measured_is_counted(trials, found):
    counts = found[1].set_index("outcome")
    names = {*trials.outcomes.loc[trials.outcomes["outcome"] == "balance_stability", "trial_id"]}
    names |= {*trials.contrasts.loc[trials.contrasts["outcome"] == "balance_stability", "trial_id"]}
    assert counts.loc["balance_stability", "trials"] == len(names)
    usable = counts.loc["balance_stability", "usable"]
    assert usable == 1, "Shamsi 2020, by its exact P value"
    assert counts.loc["balance_stability", "why"]


def test_types_are_pooled_apart(trials):
    """Saper 2017: yoga and physical therapy against education."""
    table = mechanisms.by_type(trials, ("depression_anxiety",)).set_index("exercise_type")
    effects = trials.effects("depression_anxiety", measure="SMD").against_inactive().table
    for kind in ("yoga", "general_mixed"):
        own = effects.loc[effects["exercise_type"] == kind, "yi"]
        assert table.loc[kind, "estimate"] == pytest.approx(own.item())


def test_gains_that_cannot_be_set_beside_relief_say_why(trials):
    together = mechanisms.go_together(trials)
    assert together["trunk_strength"].startswith("1 trial with both trunk strength and pain; 5")
    assert together["flexibility_rom"] == "no trial has usable results of flexibility and pain"


@pytest.mark.parametrize("kept", [THREE, ["andersen2014"]])
def test_few_trials_or_none(kept):
    evidence = bp.load_evidence().filter(trial_id=kept).filter(population=bp.BACK_PAIN)
    results, reported = mechanisms.pooled(evidence)
    assert results == {}
    assert len(reported) == len(mechanisms.MECHANISMS)
    assert (reported["usable"] == 0).all()
    assert mechanisms.answer(results, reported).startswith("No trial of these data measured")
    assert mechanisms.by_type(evidence).empty
    assert {type(note) for note in mechanisms.go_together(evidence).values()} == {str}


def test_answer_does_not_speak_of_others_where_there_are_none(found):
    results = {"trunk_strength": found[0]["trunk_strength"]}
    reported = pd.DataFrame({"outcome": ["trunk_strength"], "trials": [1]})
    text = mechanisms.answer(results, reported)
    assert text.startswith("Of 1 outcomes, reported 1 time by trials, 1 can")
    assert "(95% CI 0.51 to 0.89; 1 trial)" in text
    assert "others" not in text
    some = pd.DataFrame({"outcome": ["a", "b"], "trials": [1, 2]})
    assert "The others rest on" in mechanisms.answer(results, some)


def test_sensitivity_in_words_by_hand():
    """40 and 60 kPa, variance 100 each: tau2 = 200 - 100, standard error 10: 30.4 to 69.6."""
    table = changes(
        ("a", "single bout", "against no exercise", 40, 100),
        ("b", "single bout", "against no exercise", 60, 100),
        ("c", "single bout", "before and after", 500, 1),
    )
    text = mechanisms.sensitivity_answer(table)
    assert "a single bout raised it by 50 kilopascals (95% CI 30 to 70; 2 trials)" in text
    assert "no trial compares a programme with no exercise in kilopascals" in text
    assert text.endswith("Higher means less sensitive to pain.")


def test_sensitivity_without_an_effect_or_any_trial():
    table = changes(("a", "programme", "against no exercise", -5, 100))
    text = mechanisms.sensitivity_answer(table)
    assert "a programme changed it, not clearly, by −5 kilopascals" in text
    assert "1 trial)" in text
    other = mechanisms.sensitivity_answer(table, "temporal_summation")
    assert "by −0.05 standard deviations" in other and "less sensitive" not in other
    nothing = mechanisms.sensitivity_answer(changes())
    assert nothing.startswith("No trial of these data compares exercise with no exercise")
    assert mechanisms.sensitivity_pooled(changes()).empty


def test_sensitivity_and_dose(trials):
    """Effects on the line 10 kPa + 5 kPa per 60 minutes: the slope comes back."""
    minutes = {"sherman2011": 75.0, "tankha2024": 60.0, "miyamoto2013": 120.0, "saper2017": 30.0}
    arms = pd.DataFrame(
        {
            "trial_id": list(minutes),
            "exercise_type": "yoga",
            "sessions_per_week": 1.0,
            "minutes_per_session": list(minutes.values()),
        }
    )

    class Own:
        pass

    own = Own()
    own.arms = arms.reindex(columns=trials.arms.columns)
    rows = [
        (name, "programme", "against no exercise", 10 + 5 * value / 60, 1e-3)
        for name, value in minutes.items()
    ]
    text = mechanisms.sensitivity_dose(own, changes(*rows))
    assert "With 60 more minutes a week the effect of a programme differs by 5 kilopascals" in text
    few = mechanisms.sensitivity_dose(own, changes(*rows[:2]))
    assert few.endswith("are reported by 2 trials, too few.")


def test_what_was_measured_of_sensitivity():
    counts = mechanisms.sensitivity_measured(bp.load_evidence()).set_index("outcome")
    table, _ = bp.sensitivity_changes(bp.load_evidence())
    against = table[table["comparison"] == "against no exercise"]
    assert counts.loc["pressure_pain_threshold", "usable"] == against["trial_id"].nunique()
    assert counts.loc["temporal_summation", "trials"] == 0


def test_only_outcomes_of_sensitivity():
    with pytest.raises(ValueError, match="unknown outcome 'pain_intensity'"):
        bp.sensitivity_changes(bp.load_evidence(), "pain_intensity")


SENSITIVITY = [
    ((50.0, 100.0), "raised it by 50 kilopascals (95% CI 30 to 70; 1 trial)"),
    ((-50.0, 100.0), "lowered it by −50 kilopascals (95% CI −70 to −30; 1 trial)"),
    ((5.0, 100.0), "changed it, not clearly, by 5 kilopascals (95% CI −15 to 25; 1 trial)"),
    ((-5.0, 100.0), "changed it, not clearly, by −5 kilopascals (95% CI −25 to 15; 1 trial)"),
]


@pytest.mark.parametrize(("numbers", "words"), SENSITIVITY)
def test_sensitivity_both_ways(numbers, words):
    table = changes(("a", "programme", "against no exercise", *numbers))
    assert mechanisms.sensitivity_answer(table) == (
        "Pressure pain threshold against no exercise: no trial compares a single bout with no "
        f"exercise in kilopascals; a programme {words}. Higher means less sensitive to pain."
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (50.0, "raised it by 0.50 standard deviations (95% CI 0.30 to 0.70; 1 trial)"),
        (-50.0, "lowered it by −0.50 standard deviations (95% CI −0.70 to −0.30; 1 trial)"),
        (5.0, "changed it, not clearly, by 0.05 standard deviations (95% CI −0.15 to 0.25; 1 "),
        (-5.0, "changed it, not clearly, by −0.05 standard deviations (95% CI −0.25 to 0.15; 1 "),
    ],
)
def test_sensitivity_in_standard_deviations_both_ways(change, words):
    table = changes(("a", "programme", "against no exercise", change, 100))
    assert f"a programme {words}" in mechanisms.sensitivity_answer(table, "temporal_summation")


def test_no_trial_of_sensitivity_names_outcome_and_unit():
    assert mechanisms.sensitivity_answer(changes()) == (
        "No trial of these data compares exercise with no exercise on pressure pain threshold in "
        "kilopascals."
    )


ANSWERS = [
    (0, {}, "No trial of these data measured any of these outcomes."),
    (
        2,
        {},
        "No trial has a usable result on any of these outcomes against an inactive control.",
    ),
]


@pytest.mark.parametrize(("measured", "results", "words"), ANSWERS)
def test_answers_without_results(measured, results, words):
    reported = pd.DataFrame({"outcome": ["a"], "trials": [measured]})
    assert mechanisms.answer(results, reported) == words


def test_a_full_answer():
    result = bp.pool([0.5], [0.01], test="z")
    reported = pd.DataFrame({"outcome": ["trunk_strength", "kinesiophobia"], "trials": [1, 3]})
    assert mechanisms.answer({"trunk_strength": result}, reported) == (
        "Of 2 outcomes, reported 4 times by trials, 1 can be compared with no exercise: trunk "
        "strength 0.50 SD (95% CI 0.30 to 0.70; 1 trial). The others rest on results without a "
        "comparison or without their spread."
    )


def test_changes_are_pooled_by_setting_and_comparison():
    table = changes(
        ("a", "programme", "against no exercise", 40, 100),
        ("a", "programme", "against no exercise", 900, 100),
        ("b", "programme", "against no exercise", 60, 100),
        ("c", "programme", "before and after", 10, 100),
    )
    found = mechanisms.sensitivity_pooled(table).set_index("comparison")
    assert list(found["trials"]) == [2, 1]
    assert found.loc["against no exercise", "estimate"] == pytest.approx(0.5)
    assert np.isfinite(found.loc["against no exercise", "i2"])
    assert np.isnan(found.loc["before and after", "i2"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (0.5, "raised it by 0 kilopascals (95% CI 0 to 1; 1 trial)"),
        (-0.5, "lowered it by 0 kilopascals (95% CI −1 to 0; 1 trial)"),
        (0.0, "changed it, not clearly, by 0 kilopascals"),
    ],
)
def test_small_changes_have_the_direction_of_their_sign(change, words):
    table = changes(("a", "programme", "against no exercise", change, 0.01))
    assert f"a programme {words}" in mechanisms.sensitivity_answer(table)


class Doses:
    """Arms with their weekly minutes."""

    def __init__(self, minutes, columns):
        rows = [(name, "yoga", value) for name, value in minutes.items()]
        rows += [(name, "none", 999.0) for name in minutes]
        table = pd.DataFrame(rows, columns=["trial_id", "exercise_type", "minutes_per_session"])
        self.arms = table.assign(sessions_per_week=1.0).reindex(columns=columns)


def test_the_dose_of_other_outcomes_is_in_standard_deviations(trials):
    """Of programmes against none alone, each trial once: 0.1 SD per 60 minutes."""
    minutes = {"a": 75.0, "b": 60.0, "c": 120.0, "d": 30.0}
    rows = [
        (name, "programme", "against no exercise", 10 + 10 * value / 60, 1e-3)
        for name, value in minutes.items()
    ]
    rows += [("a", "programme", "against no exercise", 999.0, 1e-3)]
    rows += [("d", "single bout", "against no exercise", 999.0, 1e-3)]
    rows += [("d", "programme", "before and after", 999.0, 1e-3)]
    own = Doses(minutes, trials.arms.columns)
    text = mechanisms.sensitivity_dose(own, changes(*rows), "temporal_summation")
    assert text.startswith(
        "With 60 more minutes a week the effect of a programme differs by 0.10 standard deviations"
    )
    assert text.endswith("4 trials, compared with each other).")
    few = mechanisms.sensitivity_dose(own, changes(*rows[:1]), "temporal_summation")
    assert few == (
        "How temporal summation changes with the dose of a programme cannot be said: its weekly "
        "minutes and its effect are reported by 1 trial, too few."
    )


@pytest.mark.parametrize(
    ("used", "usable", "why"), [(None, 0, "no SD"), (2, 2, "no SD"), (3, 3, "")]
)
def test_why_others_could_not_be_used(used, usable, why, monkeypatch):
    effects = None if used is None else SimpleNamespace(n_trials=used)
    monkeypatch.setattr(mechanisms, "_measured", lambda evidence, outcome: 3)
    monkeypatch.setattr(mechanisms, "effects_of", lambda evidence, outcome: effects)
    monkeypatch.setattr(mechanisms, "each_trial_once", lambda effects: "pooled")
    monkeypatch.setattr(mechanisms, "_main_reason", lambda evidence, outcome: "no SD")
    results, reported = mechanisms.pooled(None, ("trunk_strength",))
    assert results == ({} if used is None else {"trunk_strength": "pooled"})
    assert reported.to_dict("records") == [
        {"outcome": "trunk_strength", "trials": 3, "usable": usable, "why": why}
    ]


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ({"pain_intensity"}, "no trial has usable results of trunk strength and pain"),
        ({"trunk_strength"}, "no trial has usable results of trunk strength and pain"),
        ({"trunk_strength", "pain_intensity"}, "trunk_strength pain_intensity"),
    ],
)
def test_gains_beside_relief(there, expected, monkeypatch):
    def effects_of(evidence, outcome):
        return outcome if outcome in there else None

    monkeypatch.setattr(mechanisms, "effects_of", effects_of)
    monkeypatch.setattr(mechanisms, "bivariate", lambda gain, pain: f"{gain} {pain}")
    assert mechanisms.go_together(None)["trunk_strength"] == expected


def test_all_outcomes_that_can_be_compared():
    result = bp.pool([0.5, 0.7], [0.01, 0.01], test="z")
    reported = pd.DataFrame({"outcome": ["trunk_strength"], "trials": [1]})
    text = mechanisms.answer({"trunk_strength": result}, reported)
    assert text.startswith("Of 1 outcomes, reported 1 time by trials, 1 can be compared with no ")
    assert "2 trials)." in text and "The others" not in text


def test_the_main_reason_is_the_most_frequent(monkeypatch):
    counts = pd.DataFrame({"reason": ["first", "second"], "arms": [9, 2]})
    effects = SimpleNamespace(excluded_counts=lambda: counts)
    monkeypatch.setattr(
        mechanisms, "effects_if_measured", lambda evidence, outcome, measure: effects
    )
    assert mechanisms._main_reason(None, "trunk_strength") == "first"
    counts = counts.iloc[:0]
    assert mechanisms._main_reason(None, "trunk_strength") == ""


def test_what_was_measured_of_sensitivity_by_hand(monkeypatch):
    table = changes(
        ("a", "programme", "against no exercise", 40, 100),
        ("a", "single bout", "against no exercise", 40, 100),
        ("b", "programme", "before and after", 40, 100),
    )
    left = pd.DataFrame({"trial_id": list("cde"), "arm_id": "x", "reason": ["p", "q", "q"]})
    monkeypatch.setattr(mechanisms, "_measured", lambda evidence, outcome: 5)
    monkeypatch.setattr(mechanisms, "sensitivity_changes", lambda evidence, outcome: (table, left))
    found = mechanisms.sensitivity_measured(None)
    assert (found[["trials", "usable", "why"]] == [5, 1, "q"]).all().all()
    left = left.iloc[:0]
    assert (mechanisms.sensitivity_measured(None)["why"] == "").all()
