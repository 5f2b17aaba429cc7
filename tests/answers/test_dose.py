"""Questions of a dose, and the multiverse of analyses."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.answers.dose_questions import (
    activity_and_risk,
    by_type,
    spread_over_week,
)
from backpain_analysis.datasets.bundled import load_reference
from backpain_analysis.effects.choice import INACTIVE
from backpain_analysis.evidence.evidence import BACK_PAIN, load_evidence
from backpain_analysis.models.dose import comparison
from backpain_analysis.models.dose.comparison import CHOICES, multiverse
from backpain_analysis.models.dose.fit import dose_response, fitting_contrasts
from tests.figures.drawn import make_effects


def row(yi, dose, exercise_type="yoga", sessions=2.0, vi=0.01):
    return {
        "yi": yi,
        "vi": vi,
        "minutes_per_week": float(dose),
        "exercise_type": exercise_type,
        "sessions_per_week": sessions,
    }


def test_types_with_different_lines_are_told_apart():
    """Slopes -0.1 and -0.2: at 90 minutes -9 and -18."""
    rows = [row(-0.1 * d, d) for d in (60, 90, 120)]
    rows += [row(-0.2 * d, d, "pilates") for d in (60, 90, 120)]
    found = by_type(make_effects([*rows, row(-5, 60, "aquatic")]), "minutes_per_week", at=90)
    table = found.table.set_index("group")
    assert_allclose(table.loc["yoga", "estimate"], -9, atol=1e-6)
    assert_allclose(table.loc["pilates", "estimate"], -18, atol=1e-6)
    assert "differ between 2 groups (P < 0.001" in found.text
    assert "1 contrast of rarer groups is not" in found.text


def test_a_question_the_trials_cannot_carry_is_said_to_be_one():
    one = make_effects([row(-5, d) for d in (60, 90, 120)])
    assert by_type(one, "minutes_per_week").text.startswith("Fewer than two groups")
    assert "question: too few trials report minutes" in spread_over_week(one).text
    assert spread_over_week(one).table.empty


def test_spread_over_the_week():
    """With effects -3 - 0.1 d - 2 n: at 100 minutes -15 with one session, -19 with three."""
    rows = [
        row(-3 - 0.1 * d - 2 * n, d, sessions=n) for d in (60, 90, 120) for n in (1.0, 2.0, 3.0)
    ]
    found = spread_over_week(make_effects(rows), minutes=100)
    table = found.table.set_index("sessions_per_week")
    assert_allclose(table.loc[[1.0, 3.0], "estimate"], [-15, -19], atol=1e-6)
    assert_allclose(table.loc[3.0, "minutes_per_session"], 100 / 3)
    assert "matters (P < 0.001)" in found.text


def test_an_effect_that_does_not_grow_with_minutes_is_not_taken_for_one_of_sessions():
    """More sessions have more minutes: -25 for all is a line through zero in no other way."""
    noise = [0.05, -0.05, 0.02, -0.02, 0.03, -0.03]
    doses = [(60, 1.0), (90, 1.0), (120, 2.0), (180, 3.0), (150, 2.0), (240, 5.0)]
    rows = [row(-25 + e, d, sessions=n) for (d, n), e in zip(doses, noise, strict=True)]
    assert "does not clearly matter" in spread_over_week(make_effects(rows)).text


@pytest.fixture(scope="module")
def evidence():
    return load_evidence().filter(population=BACK_PAIN)


def test_each_world_is_the_analysis_it_names(evidence):
    choices = {
        "curve": {"line": "linear", "spline": "rcs"},
        "results": {"final values": "final"},
        "correlation": {"0.7": 0.7},
        "reference": {"untreated": ("no_treatment", "waitlist")},
        "trials": {"all": ()},
    }
    table = multiverse(
        evidence, "disability", dose="sessions_per_week", at=2.0, mcid=10, choices=choices
    )
    effects = evidence.effects(
        "disability",
        analysis="final",
        correlation=0.7,
        inactive=("no_treatment", "waitlist"),
        flags=(),
    )
    line = dose_response(effects, dose="sessions_per_week")
    found = table.set_index("curve").loc["line"]
    assert_allclose(found["estimate"], line.predict([2.0])["estimate"].iloc[0])
    assert_allclose(found["mcid_dose"], line.dose_for(-10).estimate)
    assert found["n_trials"] == line.n_trials


def test_choices_that_come_to_the_same_effects_have_rows_of_their_own(evidence):
    """Final values do not need the correlation with the baseline; changes do."""
    choices = {**CHOICES, "curve": {"line": "linear"}, "trials": {"all": ()}}
    del choices["derived"]
    table = multiverse(evidence, "disability", dose="sessions_per_week", at=2.0, choices=choices)
    assert len(table) == 3 * 3 * 3
    spread = table.groupby(["results", "reference"])["estimate"].agg(np.ptp).unstack("results")
    assert (spread["final values"] == 0).all()
    assert (spread["changes"] > 0).any()
    for _, found in table[table["results"] == "changes"].iterrows():
        effects = evidence.effects(
            "disability",
            analysis="change",
            correlation=float(found["correlation"]),
            inactive=CHOICES["reference"][found["reference"]],
            flags=(),
        )
        line = dose_response(effects, dose="sessions_per_week")
        assert_allclose(found["estimate"], line.predict([2.0])["estimate"].iloc[0], rtol=1e-9)


def test_deriving_more_is_a_choice_like_the_others(evidence):
    """The trials it adds, and the estimate they give, are those of `evidence.effects`."""
    choices = {name: dict([next(iter(of.items()))]) for name, of in CHOICES.items()}
    choices["derived"] = CHOICES["derived"]
    table = multiverse(evidence, "disability", dose="sessions_per_week", at=2.0, choices=choices)
    trials = table.set_index("derived")["n_trials"]
    more = CHOICES["derived"]["all but other trials' SDs"]
    effects = evidence.effects("disability", inactive=INACTIVE[:2], derive=more)
    assert "pooled_sd" not in more
    known = effects.with_dose("sessions_per_week")
    assert trials["all but other trials' SDs"] == known.n_trials > trials["as usual"]


def test_trials_that_are_flagged_are_left_out_by_choice(evidence):
    choices = {name: dict([next(iter(of.items()))]) for name, of in CHOICES.items()}
    choices["trials"] = {"all": (), **CHOICES["trials"]}
    table = multiverse(evidence, "disability", dose="sessions_per_week", at=2.0, choices=choices)
    found = table.set_index("trials")
    for name, flags in choices["trials"].items():
        effects = evidence.effects("disability", inactive=INACTIVE[:2], flags=flags)
        line = dose_response(effects, dose="sessions_per_week")
        assert found.loc[name, "n_trials"] == line.n_trials
        assert_allclose(found.loc[name, "estimate"], line.predict([2.0])["estimate"].iloc[0])
    assert found.loc["without cautions", "n_trials"] < found.loc["all", "n_trials"]


def test_no_data_are_fitted_twice(evidence, monkeypatch):
    """Nor where choices differ in trials alone that do not say the dose."""
    fitted = []

    def noted(contrasts, options):
        fitted.append((contrasts.yi.tobytes(), contrasts.dose.tobytes(), *contrasts.trials))
        return fitting_contrasts(contrasts, options)

    monkeypatch.setattr(comparison, "fitting_contrasts", noted)
    choices = {**CHOICES, "curve": {"line": "linear"}, "correlation": {"0.5": 0.5}}
    table = multiverse(evidence, "pain_intensity", dose="minutes_per_week", at=90, choices=choices)
    assert 0 < len(set(fitted)) == len(fitted) < len(table)


def test_a_multiverse_of_no_dose_is_refused(evidence):
    with pytest.raises(ValueError, match="unknown dose 'minutes': use one of"):
        multiverse(evidence, "disability", dose="minutes", at=2.0)


def test_a_world_that_cannot_be_fitted_says_why(evidence):
    three = evidence.filter(trial_id=["sherman2011", "tankha2024"])
    table = multiverse(three, "disability", dose="sessions_per_week", at=2.0)
    bent = table[table["curve"].isin(["quadratic", "spline"])]
    assert np.isnan(bent["estimate"]).all()
    words = r"(1 trial|2 trials) .* cannot carry the curve '.*', of 2 terms\."
    assert bent["note"].str.fullmatch(words).all()


def test_a_group_not_studied_at_the_dose_has_no_effect_there():
    rows = [row(-0.1 * d, d) for d in (60, 90, 120)]
    rows += [row(-0.1 * d, d, "pilates") for d in (150, 180, 240)]
    found = by_type(make_effects(rows), "minutes_per_week", at=90)
    assert list(found.table["group"]) == ["yoga"]
    assert "1 group not studied at that dose: no effect is given." in found.text


def test_activity_and_later_back_pain_of_cohorts_with_full_tables():
    """Women and men of one cohort; the categories without hard activity are taken together."""
    categories = load_reference("activity_cohorts")
    found = activity_and_risk(categories)
    assert "In 3,104 cases among 18,068 people" in found.text
    assert "HUNT2-HUNT3, women and Heuch 2016 HUNT2-HUNT3, men print cases" in found.text
    assert "not adjusted for anything" in found.text
    assert (found.table["risk ratio"] < 1).all()
    assert found.table["risk ratio"].is_monotonic_increasing
    none = activity_and_risk(categories[categories["cases"].isna()])
    assert none.table.empty
    assert none.text.startswith("No study prints cases")


@pytest.mark.parametrize(
    ("count", "words"),
    [(3, "too few trials report minutes"), (4, "In 4 trials, how")],
)
def test_the_spread_over_the_week_is_asked_of_four_trials(count, words):
    doses = [(60, 1.0), (120, 2.0), (90, 3.0), (150, 2.0)][:count]
    rows = [row(-0.1 * d - 2 * n, d, sessions=n) for d, n in doses]
    assert words in spread_over_week(make_effects(rows), minutes=90).text
