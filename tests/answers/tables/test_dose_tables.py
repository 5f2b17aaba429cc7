"""Tables of the answer on dose: made-up answers to the words of cells."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pandas as pd
import pytest

from backpain_analysis.answers import tables
from backpain_analysis.answers.dose import Estimate
from backpain_analysis.answers.dose_questions import Answer
from backpain_analysis.models.dose.search import DoseEstimate
from tests.made import rows_of


def answered(slope=True, mcid_dose=None, optimum=None):
    return SimpleNamespace(
        **{"measure": "MD", "level": 0.95, "typical": 90.0, "dose_name": "minutes_per_week"},
        **{"highest": 150.0, "step": 60.0, "mcid_dose": mcid_dose, "optimum": optimum},
        effect=Estimate(-9.0, -12.0, -6.0, 0.0004),
        slope=Estimate(-1.0, -3.0, 1.0, 0.32) if slope else None,
    )


def at(estimate, low, high):
    return DoseEstimate(estimate, low, high, -15.0, 0.0, 150.0, True, False, "")


EFFECT = ["Effect of 90 minutes per week", "−9.0 [−12.0, −6.0]", "< 0.001"]
SLOPE = ["Effect of 60 more minutes per week", "−1.0 [−3.0, 1.0]", "0.320"]
ANSWERS = [
    (answered(), [EFFECT, SLOPE]),
    (answered(slope=False), [EFFECT]),
    (
        answered(mcid_dose=at(75.0, 60.4, math.nan), optimum=at(120.0, 90.0, 150.0)),
        [
            EFFECT,
            SLOPE,
            ["MCID first reached at, minutes per week", "75 [60, –]", "–"],
            ["Best at, minutes per week", "120 [90, 150]", "–"],
        ],
    ),
]


@pytest.mark.parametrize(("answer", "rows"), ANSWERS)
def test_the_answer_on_dose(answer, rows):
    head, *shown = rows_of(tables.dose_answer(answer, title="T"))
    assert head == ["", "MD [95% CI]", "P"]
    assert shown == rows


@pytest.mark.parametrize(("more", "words"), [(0, "–"), (1, "+1"), (-1, "–")])
def test_the_answer_by_what_is_derived(more, words):
    row = {"step": "as_printed", "trials": 9, "more": more, "participants": 900, "measure": "MD"}
    row |= {"estimate": -9.0, "ci_low": -12.0, "ci_high": -6.0}
    row |= {"slope": -1.0, "slope_low": -3.0, "slope_high": 1.0}
    found = Answer("", pd.DataFrame([row]))
    head, shown = rows_of(tables.dose_by_reports(found, answered(), title="T"))
    assert head[4] == "Effect of 90 minutes per week [95% CI]"
    assert shown == ["As printed", "9", words, "900", "−9.0 [−12.0, −6.0]", "−1.0 [−3.0, 1.0]"]


def test_calibration_in_whole_per_cent():
    row = {"truth": "no_slope", "trials": 20.0, "sets": 400, "more": 2.4, "less": 0.0}
    row |= {
        "effect_held": 95.2,
        "mcid_held": 96.0,
        "named": 40.0,
        "mcid_held_where_named": math.nan,
    }
    head, shown = rows_of(tables.dose_calibration(Answer("", pd.DataFrame([row])), title="T"))
    assert head[1:3] == ["More does more", "More does less"]
    assert head[5:] == ["MCID dose named", "of these, held"]
    assert shown == ["No slope, 20 trials (400)", "2%", "0%", "95%", "96%", "40%", "–"]


def test_without_each_trial():
    cited = pd.DataFrame({"trial_id": ["a"], "first_author": ["Saper"], "year": [2013]})
    found = pd.DataFrame([{"trial_id": "a", "estimate": -9.0, "ci_low": -12.0, "ci_high": -6.0}])
    result = SimpleNamespace(
        effects=SimpleNamespace(table=cited),
        measure="MD",
        level=0.95,
        leave_one_out=lambda doses: found.assign(estimate=-doses[0]),
    )
    head, row = rows_of(tables.left_out(result, 8.0, title="T"))
    assert head == ["Without", "MD [95% CI]"] and row == ["Saper 2013", "−8.0 [−12.0, −6.0]"]


def test_risk_ratios_of_cohorts():
    row = {"open category": "1 times its neighbour", "risk ratio": 0.956}
    found = Answer("", pd.DataFrame([row | {"ci_low": 0.93, "ci_high": 0.99}]))
    assert rows_of(tables.risk_ratios(found, title="T"))[1] == [
        "1 times its neighbour",
        "0.96 [0.93, 0.99]",
    ]
    assert tables.risk_ratios(Answer("none", pd.DataFrame()), title="T") is None


FEW = "few trials cannot carry the curve 'rcs', of 2 terms."
FEW_SHOWN = "few trials cannot carry the curve, of 2 terms."


@pytest.mark.parametrize(
    ("notes", "rows"),
    [
        (["", "", ""], None),
        (["", "no dose.", ""], [["Spline", "no dose.", "1"]]),
        (
            ["no dose.", "", FEW, FEW],
            [["Spline", FEW_SHOWN, "2"], ["Line", "no dose.", "1"]],
        ),
        ([FEW, FEW, FEW], [["Spline", FEW_SHOWN, "2"], ["Line", FEW_SHOWN, "1"]]),
    ],
)
def test_why_analyses_could_not_be_fitted(notes, rows):
    estimates = [math.nan if note else -9.0 for note in notes]
    curves = ["line", "spline", "spline", "spline"][: len(notes)]
    analyses = pd.DataFrame({"curve": curves, "estimate": estimates, "note": notes})
    shown = tables.not_fitted(analyses, title="Not fitted")
    assert shown is None if rows is None else rows_of(shown)[1:] == rows
