"""Tables for readers."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from backpain_analysis.answers import tables
from backpain_analysis.answers.tables import dose_network, effects, verdicts
from backpain_analysis.models.dose.comparison import CurveComparison
from backpain_analysis.models.dose.result import DoseEstimate
from backpain_analysis.models.pairwise.bivariate import Bivariate
from backpain_analysis.models.pairwise.pooling import pool
from tests.made import rows_of


def test_pooled_effects_read_as_in_a_journal():
    """Mean -12 of four trials of variance 1: standard error 1/2, 1.96 x 0.5 = 0.98."""
    result = pool([-12.0, -11.0, -13.0, -12.0], [1.0] * 4, test="z")
    one = replace(pool([-3.0], [1.0], test="z"), n_participants=40)
    shown = tables.pooled({"tai_chi_qigong": result, "One trial": one}, title="Types")
    head, first, second, note = rows_of(shown)
    assert note[0].startswith("MD: mean difference. CI: confidence interval. I²: share of the diff")
    assert head[3:] == ["MD [95% CI]", "Prediction interval", "I² (τ²)", "P"]
    assert first[0] == "Tai chi / qigong"
    assert first[3:5] == ["−12.0 [−13.0, −11.0]", "[−13.0, −11.0]"]
    assert first[6] == "< 0.001"
    assert second[1:] == ["1", "40", "−3.0 [−5.0, −1.0]", "–", "–", "0.003"]


def test_curves_that_were_not_fitted_say_why():
    comparison = pd.DataFrame(
        {
            "aic": [40.0, np.nan, 41.0],
            "weight": [1.0, np.nan, 0.0],
            "effect": [-9.96, np.nan, -9.0],
            "ci_low": [-15.0, np.nan, -12.0],
            "ci_high": [-5.0, np.nan, -6.0],
            "mcid_dose": [np.nan] * 3,
            "note": ["", "too few trials", ""],
        },
        index=["log", "rcs", "constant"],
    )
    _, first, second, third = rows_of(
        tables.curves(CurveComparison(comparison, {}), title="Shapes")
    )
    assert first == ["log", "40.0", "100%", "−10.0 [−15.0, −5.0]", "not reached", ""]
    assert second == ["rcs", "–", "–", "–", "not reached", "too few trials"]
    assert third == ["constant", "41.0", "0%", "−9.0 [−12.0, −6.0]", "no dose in it", ""]


@pytest.mark.parametrize("method", ["REML", "CE"])
def test_a_curve_is_shown_from_the_smallest_dose_studied_on(method):
    """Not at none, nor below what any arm was given."""
    found = pd.DataFrame({"dose": [0.0, 0.5, 1.0, 60.0], "estimate": [0.0, -0.5, -1.0, -9.0]})
    found = found.assign(ci_low=found["estimate"] - 2, ci_high=found["estimate"] + 2)
    found = found.assign(pi_low=found["estimate"] - 5, pi_high=found["estimate"] + 5)
    result = SimpleNamespace(
        dose_name="minutes_per_week",
        measure="MD",
        level=0.95,
        method=method,
        studied=np.array([0.0, 1.0, 90.0]),
        max_dose=90.0,
        predict=lambda back: found,
    )
    head, *rows = rows_of(tables.predictions(result, title="Curve"))
    assert head[1:] == ["MD [95% CI]", "Prediction interval"][: 2 if method == "REML" else 1]
    assert [row[:2] for row in rows] == [["1", "−1.0 [−3.0, 1.0]"], ["60", "−9.0 [−11.0, −7.0]"]]
    assert [row[2:] for row in rows] == (
        [["[−6.0, 4.0]"], ["[−14.0, −4.0]"]] if method == "REML" else [[], []]
    )


def test_tables_keep_the_numbers_behind_their_cells():
    """Pandas' own texts would not: a table of cells is a list of rows or says dtype=object."""
    for path in Path(tables.__file__).parent.glob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "pd.DataFrame":
                said = {word.arg: ast.unparse(word.value) for word in call.keywords}
                assert said.get("dtype") == "object", f"{path.name}: {ast.unparse(call)}"


def test_types_by_what_they_share_keep_their_numbers():
    found = pd.DataFrame(
        [("each", "yoga", 3, -4.24, -7.0, -1.4), ("one", "all", 3, -3.13, -5.0, -1.0)],
        columns=["sharing", "agent", "trials", "estimate", "ci_low", "ci_high"],
    ).replace({"agent": {"all": dose_network.TOGETHER}})
    shown = dose_network.sharing(found, title="Sharing")
    head, first, second = rows_of(shown)
    assert head[0] == "Type" and head[1].startswith("Each (3 trials): MD")
    assert (first, second) == (
        ["Yoga", "−4.2 [−7.0, −1.4]", "–"],
        ["All types together", "–", "−3.1 [−5.0, −1.0]"],
    )
    assert "-4.24,-7.0,-1.4," in shown.csv and "-3.13,-5.0,-1.0" in shown.csv


def test_gains_beside_relief():
    names = ("trunk_strength", "pain_intensity")
    slope = Bivariate(names, pd.DataFrame(), -0.4, -0.9, 0.1, -0.5, 7, -3.0)
    found = {"trunk_strength": slope, "flexibility_rom": "no trial has both"}
    _, first, second = rows_of(tables.together(found, title="Gains"))
    assert first[1:] == ["7", "−0.40 [−0.90, 0.10]", "association between trials"]
    assert second[1:] == ["–", "–", "no trial has both"]


DOSES = [
    ((75.0, 60.0, 90.0, True), "75 [60 to 90]"),
    ((75.0, 0.0, 90.0, True), "75 [0 to 90]"),
    ((75.0, 60.0, np.nan, True), "75 [60 to no limit]"),
    ((75.0, 60.0, np.inf, True), "75 [60 to no limit]"),
    ((np.nan, 60.0, 90.0, False), "not reached"),
]


@pytest.mark.parametrize(("given", "words"), DOSES)
def test_a_dose_with_its_interval(given, words):
    estimate, low, high, reached = given
    dose = DoseEstimate(estimate, low, high, -15.0, 0.0, 150.0, reached, False, "")
    assert dose_network._dose(dose) == words


def test_a_lumping_without_a_type_at_the_dose_is_left_empty():
    columns = ["lumping", "agents", "trials", "tau", "best", "studied"]
    columns += ["estimate", "ci_low", "ci_high"]
    rows = [
        ("types", 5, 9, 1.2, "yoga", 3, -8.0, -12.0, -4.0),
        ("exercise", *[np.nan] * 8),
    ]
    found = pd.DataFrame(rows, columns=columns)
    _, first, second = rows_of(dose_network.lumpings(found, title="Lumped"))
    assert first == ["Every type", "5", "9", "1.2", "Yoga", "3 types", "−8.0 [−12.0, −4.0]"]
    assert second == ["All exercise together", *["–"] * 3, "not studied", "–", "–"]


@pytest.mark.parametrize(("dose", "words"), [(75.0, "75"), (np.nan, "none"), (np.inf, "none")])
def test_a_bound_of_the_doses_studied(dose, words):
    assert dose_network._bound(dose, 150.0) == words


@pytest.mark.parametrize(
    ("p", "words"),
    [(0.0009, "< 0.001"), (0.001, "0.001"), (0.0436, "0.044"), (0.9, "0.900"), (np.nan, "–")],
)
def test_p_values_in_a_column(p, words):
    assert effects.p_value(p) == words


def test_published_effects_stand_beside_the_first_result_with_trials(monkeypatch):
    theirs = [
        ("A 2020", "yoga", np.nan, -20.0, -25.0, -15.0, False),
        ("B 2021", "all", 7.0, -8.0, -10.0, -6.0, True),
    ]
    names = ["review", "comparison", "trials", "estimate", "ci_low", "ci_high", "overlap"]
    published = pd.DataFrame(theirs, columns=names)
    monkeypatch.setattr(verdicts, "published_pooled", lambda outcome, *numbers: published)
    columns = ["outcome", "what", "trials", "estimate", "ci_low", "ci_high"]
    nothing = ("pain_intensity", "exercise against no exercise, pain", 0, *[np.nan] * 3)
    ours = ("pain_intensity", "yoga against no exercise, pain", 3, -9.0, -12.0, -6.0)
    found = SimpleNamespace(table=pd.DataFrame([nothing, ours, ours], columns=columns))
    _, *rows = rows_of(verdicts.published_effects(found, title="Published"))
    assert rows == [
        ["pain", "This report", "3", "−9.0 [−12.0, −6.0]", "–"],
        ["pain", "A 2020: yoga", "–", "−20.0 [−25.0, −15.0]", "no"],
        ["pain", "B 2021: all", "7", "−8.0 [−10.0, −6.0]", "yes"],
    ]
