"""What each way to use reports does: the fits it stands for, by hand, and its words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

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
