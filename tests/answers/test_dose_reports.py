"""What each way to use reports does: the fits it stands for, by hand, and its words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from backpain_analysis.answers import dose_reports as reports
from backpain_analysis.answers import tables
from backpain_analysis.answers.dose import dose_answer
from backpain_analysis.answers.dose_questions import Answer
from backpain_analysis.answers.dose_reports import (
    LATE,
    MINUTES,
    TIMED,
    _text,
    dose_by_reports,
    timed,
)
from backpain_analysis.answers.tables.effects import unbroken
from backpain_analysis.effects.assemble import LATE_TEXT
from backpain_analysis.effects.derive import DERIVATIONS, imputed_minutes
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.evidence.evidence import load_evidence
from backpain_analysis.models.dose.fit import dose_response
from backpain_analysis.models.people.imputation import pool_imputations
from tests.answers.test_dose_answer import said
from tests.figures.drawn import make_effects

PAIN, WEEKLY = "pain_intensity", "minutes_per_week"
MODEL = {"heterogeneity": "contrasts", "test": "knapp-hartung"}
IN_USE = "quinn2011 saper2013 miyamoto2013 tankha2024 teut2016 sherman2011 roseen2023".split()
MORE_SO = "sherman2005 bramberg2017 pocovi2024 miyamoto2018 saper2017".split()


@pytest.fixture(scope="module")
def evidence():
    """Trials of which some print a P value, a follow-up or no minutes of a session."""
    return load_evidence().filter(trial_id=[*IN_USE, *MORE_SO])


@pytest.fixture(scope="module")
def answer(evidence):
    return dose_answer(evidence.effects(PAIN), WEEKLY)


@pytest.fixture(scope="module")
def found(answer, evidence):
    return dose_by_reports(answer, evidence, draws=4)


def test_trials_of_each_way(found):
    """Quinn 2011 prints P = 0.047 alone; three trials a follow-up, one of them without its week."""
    table = found.table.set_index("step")
    assert table["trials"].iloc[0] == len(IN_USE) - 1
    assert table.loc[DERIVATIONS["p_value"], "more"] == table.loc["usual", "more"] == 1
    assert table.loc[DERIVATIONS["followup"], "more"] == 3
    assert table.loc[TIMED, "more"] == 2
    assert table.loc[MINUTES, "trials"] == len(IN_USE) + 2
    assert (table["more"] == table["trials"] - table["trials"].iloc[0]).all()


def test_the_usual_way_is_the_answer(found, answer):
    row = found.table.set_index("step").loc["usual"]
    for prefix, estimate in (
        ("estimate ci_low ci_high", answer.effect),
        ("slope slope_low slope_high", answer.slope),
    ):
        assert_allclose(
            row[prefix.split()].astype(float),
            [estimate.estimate, estimate.ci_low, estimate.ci_high],
        )
    assert found.table.set_index("step").loc["usual, in standard deviations", "measure"] == "SMD"


def test_imputed_minutes_are_pooled_by_rubin(found, answer, evidence):
    """Of a step more: Rubin's rules on the slopes of each draw."""
    sets = imputed_minutes(evidence.effects(PAIN), evidence, draws=4)
    fits = [dose_response(s, dose=WEEKLY, curve="step + linear", **MODEL) for s in sets]
    pooled = pool_imputations(
        [[60 * fit.params["dose"]] for fit in fits],
        [[[3600 * fit.cov.loc["dose", "dose"]]] for fit in fits],
        min(float(np.min(fit.df)) for fit in fits),
    )
    row = found.table.set_index("step").loc[MINUTES]
    assert_allclose(row["slope"], pooled.params[0])
    half = stats.t.ppf(0.975, pooled.df[0]) * np.sqrt(pooled.cov[0, 0])
    assert_allclose(row["slope_high"], pooled.params[0] + half)


def test_follow_ups_have_their_weeks_in_the_model():
    """Effects that fade by a point a week after the programme give those at its end."""
    rows = [
        (dose, late, -10 - 0.05 * dose + late)
        for dose in (60.0, 90.0, 150.0)
        for late in (0.0, 4.0, 10.0)
    ]
    effects = make_effects(
        [
            {
                "yi": yi,
                "vi": 1.0,
                WEEKLY: dose,
                "duration_weeks": 8.0,
                "timepoint_weeks": 8.0 + late if late else np.nan,
                "obtained": LATE_TEXT if late else "",
            }
            for dose, late, yi in rows
        ]
    )
    by_week = timed(effects)
    assert by_week.table[LATE].tolist() == [late for _, late, _ in rows]
    fit = dose_response(by_week, dose=WEEKLY, curve="step + linear", moderators=LATE, **MODEL)
    assert_allclose(fit.predict([100.0])["estimate"], -15.0)
    unknown = effects.table.assign(timepoint_weeks=np.nan)
    assert timed(effects.select(unknown["obtained"] == "", "late")).n_trials == 3


def numbers(*rows):
    names = ("trials", "estimate", "slope", "slope_low", "slope_high")
    return pd.DataFrame(rows, columns=names)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (
            numbers((7, -11.0, -4.0, -16.0, 8.0), (12, -12.5, 3.0, 1.0, 5.0)),
            "With 7 to 12 trials, by what is derived from the reports, the effect of 90 minutes "
            "per week on pain is −12.5 to −11.0 points of 100, and that of 60 more minutes per "
            "week −4.0 to 3.0; the interval of the latter leaves zero out in 1 of 2.",
        ),
        (
            numbers((7, -11.0, -4.0, -16.0, 8.0), (0, *[np.nan] * 4)),
            "With 0 to 7 trials, by what is derived from the reports, the effect of 90 minutes "
            "per week on pain is −11.0 to −11.0 points of 100, and that of 60 more minutes per "
            "week −4.0 to −4.0; the interval of the latter leaves zero out in none of 1.",
        ),
        (
            numbers((2, -11.0, *[np.nan] * 3), (3, -12.0, *[np.nan] * 3)),
            "With 2 to 3 trials, by what is derived from the reports, the effect of 90 minutes "
            "per week on pain is −12.0 to −11.0 points of 100.",
        ),
        (
            numbers((7, -11.0, -4.0, -8.0, 0.0), (7, -11.0, 4.0, 0.0, 8.0)),
            "With 7 to 7 trials, by what is derived from the reports, the effect of 90 minutes "
            "per week on pain is −11.0 to −11.0 points of 100, and that of 60 more minutes per "
            "week −4.0 to 4.0; the interval of the latter leaves zero out in none of 2.",
        ),
        (
            numbers((7, -11.0, -4.0, -8.0, -0.1), (7, -11.0, 4.0, 0.1, 8.0)),
            "With 7 to 7 trials, by what is derived from the reports, the effect of 90 minutes "
            "per week on pain is −11.0 to −11.0 points of 100, and that of 60 more minutes per "
            "week −4.0 to 4.0; the interval of the latter leaves zero out in 2 of 2.",
        ),
        (
            numbers((0, *[np.nan] * 4)),
            "No way to use what trials print carries this question.",
        ),
    ],
)
def test_words(table, words):
    assert _text(said(), table) == words


def test_tables(found, answer):
    html = tables.dose_by_reports(found, answer, title="Ways")._repr_html_()
    assert "Usual, session minutes imputed" in html and "+1" in html
    assert "60 more minutes per week [95% CI]" in html and "ci_low" not in html
    html = tables.dose_answer(answer, title="Numbers")._repr_html_()
    assert "Effect of 60 more minutes per week" in html and "MD [95% CI]" in html
    html = tables.left_out(answer.result, answer.typical, title="Without")._repr_html_()
    assert "Saper 2013" in html and "saper2013" not in html
    row = {"open category": "twice", "risk ratio": 0.957, "ci_low": 0.927, "ci_high": 0.988}
    ratios = Answer("", pd.DataFrame([row]))
    assert unbroken("0.96 [0.93, 0.99]") in tables.risk_ratios(ratios, title="Cohorts").html
    assert tables.risk_ratios(Answer("none", pd.DataFrame()), title="Cohorts") is None


def test_ways_are_named_as_readers_know_them(found):
    ways = found.table["step"].tolist()
    assert ways[0] == "as printed" and ways[-1] == "usual, session minutes imputed"
    assert ways[ways.index("usual") + 1] == "usual, in standard deviations"
    assert TIMED == "such a follow-up, its weeks after the programme in the model"
    assert ways.count(TIMED) == 1


@pytest.mark.parametrize(("measure", "both"), [("MD", True), ("SMD", False)])
def test_points_are_told_in_standard_deviations_too(measure, both):
    steps = reports._steps(measure)
    assert ("usual, in standard deviations" in steps) is both
    assert all(unit == measure for name, (unit, _) in steps.items() if name != reports.IN_SD)
    assert not both or steps[reports.IN_SD] == ("SMD", steps["usual"][1])


@pytest.mark.parametrize(
    ("week", "obtained", "late"),
    [
        (12.0, LATE_TEXT, 4.0),
        (8.0, LATE_TEXT, 0.0),
        (6.0, LATE_TEXT, 0.0),
        (12.0, "", 0.0),
        (np.nan, "", 0.0),
        (8.5, f"x; {LATE_TEXT}; y", 0.5),
    ],
)
def test_weeks_after_the_programme(week, obtained, late):
    row = {"yi": -1.0, "vi": 1.0, "duration_weeks": 8.0}
    effects = make_effects([row | {"timepoint_weeks": week, "obtained": obtained}])
    assert timed(effects).table[LATE].tolist() == [late]


@pytest.mark.parametrize(("known", "drawn", "fits"), [(3, 3, False), (3, 4, True)])
def test_minutes_are_imputed_where_that_adds_arms(known, drawn, fits, monkeypatch):
    asked = []

    def imputed(usual, evidence, draws, seed):
        asked.append((draws, seed))
        return [make_effects([{"yi": 0.0, "vi": 1.0, WEEKLY: 60.0}] * drawn)] * draws

    monkeypatch.setattr(reports, "imputed_minutes", imputed)
    monkeypatch.setattr(reports, "_of_fits", lambda answer, sets: {"trials": len(sets)})
    usual = make_effects([{"yi": 0.0, "vi": 1.0, WEEKLY: 60.0}] * known)
    found = reports._minutes(said(), usual, None, 20, 7)
    assert found == ({"trials": 20} if fits else None)
    assert asked == [(2, 7), (20, 7)][: 1 + fits]


def test_minutes_that_cannot_be_imputed(monkeypatch):
    def refuse(*given, **options):
        raise CannotEstimate("none")

    monkeypatch.setattr(reports, "imputed_minutes", refuse)
    usual = make_effects([{"yi": 0.0, "vi": 1.0, WEEKLY: 60.0}])
    assert reports._minutes(said(), usual, None, 2, 1) is None


VALUES = [
    # values and their variances, degrees of freedom and least halves of each set of effects
    ([((-10.0, -4.0), (4.0, 1.0), (np.inf, np.inf), (0.0, 0.0))], [(-10, 3.92), (-4, 1.96)]),
    ([((-10.0, -4.0), (4.0, 1.0), (np.inf, np.inf), (5.0, 3.0))], [(-10, 5.0), (-4, 3.0)]),
    ([((-10.0, -4.0), (4.0, 1.0), (5.0, np.inf), (0.0, 0.0))], [(-10, 5.141), (-4, 1.96)]),
]


@pytest.mark.parametrize(("fits", "expected"), VALUES)
def test_numbers_of_fits(fits, expected, monkeypatch):
    """t(0.975; 5) = 2.5706; an interval is never narrower than the least."""
    found = iter([tuple(np.array(part) for part in fit) for fit in fits])
    monkeypatch.setattr(reports, "_numbers", lambda *given: next(found))
    effects = make_effects([{"yi": 0.0, "vi": 1.0, WEEKLY: 60.0}])
    row = reports._of_fits(said(), [effects] * len(fits))
    assert (row["trials"], row["participants"]) == (1, 42)
    for names, (value, half) in zip(
        (("estimate", "ci_low", "ci_high"), ("slope", "slope_low", "slope_high")),
        expected,
        strict=True,
    ):
        ends = [row[name] for name in names]
        assert_allclose(ends, [value, value - half, value + half], atol=2e-3)


@pytest.mark.parametrize(("refused", "there"), [(0, 8), (1, 5), (2, 2)])
def test_a_constant_effect_has_no_slope(refused, there, monkeypatch):
    tried = []

    def numbers_of(answer, effects, curve, moderator):
        tried.append(curve)
        if len(tried) <= refused:
            raise CannotEstimate("none")
        return tuple(np.array(part) for part in VALUES[0][0][0])

    monkeypatch.setattr(reports, "_numbers", numbers_of)
    effects = make_effects([{"yi": 0.0, "vi": 1.0, WEEKLY: 60.0}])
    assert len(reports._of_fits(said(), [effects])) == there
    assert tried == ["step + linear", "constant"][: 1 + refused]


def test_sets_are_pooled_with_the_least_degrees_of_freedom(monkeypatch):
    """Rubin: within 4, between 2 (values -10 and -12): 4 + 1.5 * 2 = 7."""
    one = ((-10.0, -4.0), (4.0, 1.0), (1e9, 1e9), (0.0, 0.0))
    two = ((-12.0, -4.0), (4.0, 1.0), (1e9, 1e9), (0.0, 6.0))
    found = iter([tuple(np.array(part) for part in fit) for fit in (one, two)])
    monkeypatch.setattr(reports, "_numbers", lambda *given: next(found))
    effects = make_effects([{"yi": 0.0, "vi": 1.0, WEEKLY: 60.0}])
    row = reports._of_fits(said(), [effects, effects])
    assert_allclose(row["estimate"], -11.0)
    df = (1 / (3 / 7)) ** 2
    assert_allclose(row["ci_high"] + 11.0, stats.t.ppf(0.975, df) * np.sqrt(7), rtol=1e-4)
    assert_allclose([row["slope"], row["slope_high"]], [-4.0, -1.0])


def test_twenty_draws_are_the_default(monkeypatch):
    drawn = []

    def minutes(answer, usual, evidence, draws, seed):
        drawn.append((draws, seed))

    monkeypatch.setattr(reports, "_minutes", minutes)
    monkeypatch.setattr(reports, "_of_fits", lambda *given: {"trials": 3, "participants": 9})
    monkeypatch.setattr(reports, "effects_if_measured", lambda *given, **options: None)
    monkeypatch.setattr(reports, "timed", lambda effects: effects)
    evidence = load_evidence().filter(trial_id=IN_USE)
    found = dose_by_reports(said(), evidence)
    assert drawn == [(20, 1)]
    assert (found.table["more"] == 0).all()
    assert found.text == "No way to use what trials print carries this question."
