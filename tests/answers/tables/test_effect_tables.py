"""Tables of effects, doses and mechanisms: made-up results to the words of their cells."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from backpain_analysis.answers import tables
from backpain_analysis.answers.bayes import FewTrials
from backpain_analysis.answers.dose_questions import Answer
from backpain_analysis.answers.tables import effects
from backpain_analysis.models.dose.comparison import CurveComparison
from tests.made import rows_of


def exact(cell) -> dict[str, float]:
    """The numbers behind a cell, as a spreadsheet gets them."""
    return dict(cell.numbers)


@pytest.mark.parametrize(
    ("given", "digits", "words"),
    [
        ((-3.04, -5.0, 0.96), 1, "−3.0 [−5.0, 1.0]"),
        ((-3.04, -5.0, 0.96), 2, "−3.04 [−5.00, 0.96]"),
        ((-3.0, math.nan, math.nan), 1, "−3.0 –"),
        ((math.nan, -5.0, 1.0), 1, "–"),
    ],
)
def test_an_interval_in_a_cell(given, digits, words):
    assert effects.interval_text(*given, digits).replace("\N{NO-BREAK SPACE}", " ") == words


@pytest.mark.parametrize(
    ("measure", "given", "words", "numbers"),
    [
        ("MD", (-3.0, -5.0, 1.0), "−3.0 [−5.0, 1.0]", (-3.0, -5.0, 1.0)),
        ("SMD", (-0.3, -0.5, 0.1), "−0.30 [−0.50, 0.10]", (-0.3, -0.5, 0.1)),
        ("OR", (0.0, math.log(0.5), math.log(2)), "1.00 [0.50, 2.00]", (1.0, 0.5, 2.0)),
        ("RD", (-0.25, -0.5, 0.1), "−25.0 [−50.0, 10.0]", (-25.0, -50.0, 10.0)),
    ],
)
def test_an_effect_as_readers_read_its_measure(measure, given, words, numbers):
    row = dict(zip(("estimate", "ci_low", "ci_high"), given, strict=True))
    cell = effects.effect_interval(row, measure)
    assert cell.replace("\N{NO-BREAK SPACE}", " ") == words
    assert list(exact(cell).values()) == pytest.approx(numbers)
    assert effects.effect_interval(row | {"estimate": math.nan}, measure) == "–"
    low_high = effects.effect_range(*given[1:], measure)
    assert low_high.replace("\N{NO-BREAK SPACE}", " ") == words.partition(" ")[2]
    assert list(exact(low_high).values()) == pytest.approx(numbers[1:])
    assert effects.effect_range(math.nan, 1.0, measure) == "–"


@pytest.mark.parametrize(
    ("measure", "i2", "p", "cells"),
    [
        ("MD", 40.4, 0.05, ["40% (2.1)", "0.050"]),
        ("SMD", 40.4, 0.2, ["40% (2.06)", "0.20"]),
        ("MD", 0.0, 0.0009, ["0% (2.1)", "< 0.001"]),
        ("MD", math.nan, 0.001, ["–", "0.001"]),
    ],
)
def test_pooled_heterogeneity_and_p(measure, i2, p, cells):
    result = SimpleNamespace(
        **dict.fromkeys(("estimate", "ci_low", "ci_high", "pi_low", "pi_high"), -1.0),
        **{"n_trials": 4, "n_participants": 90, "level": 0.9},
        **{"i2": i2, "tau2": 2.06, "p_value": p},
    )
    head, row, _ = rows_of(tables.pooled({"yoga": result}, measure=measure, title="T"))
    assert head[3] == f"{measure} [90% CI]"
    assert row[5:] == cells


def test_coefficients_have_three_decimals_and_their_size_below():
    names = ["any exercise", "dose"]
    result = SimpleNamespace(
        level=0.95,
        params=pd.Series([-4.12345, -0.05], names),
        pvalues=pd.Series([0.0001, math.nan], names),
        conf_int=lambda: pd.DataFrame({"ci_low": [-6, -0.1], "ci_high": [-2, 0.0]}, names),
        n_trials=1,
        points=[0, 0],
    )
    head, *rows, note = rows_of(tables.coefficients(result, title="T"))
    assert head == ["", "Estimate [95% CI]", "P"]
    assert rows[0] == ["any exercise", "−4.123 [−6.000, −2.000]", "< 0.001"]
    assert rows[1] == ["dose", "−0.050 [−0.100, 0.000]", "–"]
    assert note == ["1 trial, 2 contrasts. CI: confidence interval."]


def test_a_curve_that_reaches_the_mcid_names_the_dose():
    found = pd.DataFrame(
        {
            "aic": [40.04],
            "weight": [0.254],
            "effect": [-9.96],
            "ci_low": [-15.0],
            "ci_high": [-5.0],
            "mcid_dose": [75.4],
        },
        index=["log"],
    )
    _, row = rows_of(tables.curves(CurveComparison(found, {}), measure="SMD", title="T"))
    assert row == ["log", "40.0", "25%", "−9.96 [−15.00, −5.00]", "75"]
    plain = found.drop(columns="mcid_dose")
    head, row = rows_of(tables.curves(CurveComparison(plain, {}), title="T"))
    assert head[3:] == ["MD at the typical dose [95% CI]"]
    assert row == ["log", "40.0", "25%", "−10.0 [−15.0, −5.0]"]


@pytest.mark.parametrize(
    ("measure", "text"), [("MD", "−1.2 [−2.3, 0.1]"), ("SMD", "−1.23 [−2.34, 0.10]")]
)
def test_corrections(measure, text):
    row = ("trim and fill", -1.234, -2.344, 0.1, "2 trials filled in")
    found = pd.DataFrame([row], columns=["method", "estimate", "ci_low", "ci_high", "note"])
    head, shown = rows_of(tables.corrections(found, measure=measure, title="T"))
    assert head == ["", f"{measure} [95% CI]", "Note"]
    assert shown == ["trim and fill", text, "2 trials filled in"]


@pytest.mark.parametrize(("more", "words"), [(0, "–"), (1, "+1"), (12, "+12")])
def test_derivations_say_how_many_trials_come_with_a_step(more, words):
    row = {"derived": "from_p_values", "trials": 13, "more": more, "participants": 900}
    found = pd.DataFrame([row | {"estimate": -0.1, "ci_low": -0.2, "ci_high": 0.04}])
    head, shown = rows_of(tables.derivations(found, measure="RD", title="T"))
    assert head[-1] == "RD (percentage points) [95% CI]"
    assert shown == ["From p values", "13", words, "900", "−10.0 [−20.0, 4.0]"]


def test_an_answer_shows_its_columns_and_names_its_groups():
    row = {"group": "tai_chi_qigong", "open_label": 2, "estimate": -3.0}
    found = Answer("", pd.DataFrame([row | {"ci_low": -5.0, "ci_high": -1.0}]))
    head, shown = rows_of(tables.answer(found, title="T"))
    assert head == ["Group", "Open label", "MD [95% CI]"]
    assert shown == ["Tai chi / qigong", "2", "−3.0 [−5.0, −1.0]"]
    other = Answer("", found.table.drop(columns="group"))
    head, shown = rows_of(tables.answer(other, measure="RD", title="T"))
    assert head == ["Open label", "RD (percentage points) [95% CI]"]
    assert tables.answer(Answer("none", pd.DataFrame()), title="T") is None


def test_inconsistency_of_a_network():
    found = pd.DataFrame(
        {"q": [12.34, math.nan], "df": [3.0, 0.0], "p_value": [0.0063, math.nan]},
        index=["within designs", "between designs"],
    )
    result = SimpleNamespace(heterogeneity=lambda: found)
    assert rows_of(tables.inconsistency(result, title="T"))[1:] == [
        ["Within designs", "12.3", "3", "0.006"],
        ["Between designs", "–", "0", "–"],
    ]


@pytest.mark.parametrize(
    ("outcome", "word"), [("pain_intensity", "pain"), ("disability", "disability")]
)
def test_published_doses_of_the_outcome_that_name_a_best(outcome, word, monkeypatch):
    columns = ["review", "exercise_type_or_comparison", "k_trials", "dose_unit", "outcome"]
    columns += ["optimum_dose", "mcid_dose"]
    known = pd.DataFrame(
        [
            ("A 2020", "yoga", 12, "min/week", word, "90", 60.5),
            ("B 2021", "all", 9, "min/week", word, "150", np.nan),
            ("C 2022", "all", 9, "min/week", word, np.nan, 60.0),
            ("D 2023", "all", 9, "min/week", "strength", "70", 60.0),
        ],
        columns=columns,
    )
    monkeypatch.setattr(effects, "load_reference", lambda name: known)
    head, *rows = rows_of(tables.published_doses(outcome, {"Best": "120"}, title="T"))
    assert head == ["Review", "Exercise", "Trials", "Dose", "Best", "MCID reached at"]
    assert rows[:2] == [
        ["A 2020", "yoga", "12", "min/week", "90", "60.5"],
        ["B 2021", "all", "9", "min/week", "150", "–"],
    ]
    assert [row[0] for row in rows[2:]] == ["This report"]
    assert rows[2][4] == "120"


def test_reasons_are_read_without_underscores():
    counts = pd.DataFrame({"reason": ["no_sd_known"], "n_arms": [3]})
    assert rows_of(tables.reasons(counts, title="T")) == [
        ["Reason", "N arms"],
        ["no sd known", "3"],
    ]


def test_sensitivity_by_setting_and_comparison():
    columns = ["setting", "comparison", "trials", "estimate", "ci_low", "ci_high", "i2"]
    rows = [
        ("before_and_after", "control", 5, 0.31, 0.1, 0.52, 40.4),
        ("against_no_exercise", "none", 1, 0.2, -0.1, 0.5, math.nan),
    ]
    found = pd.DataFrame(rows, columns=columns)
    shown = rows_of(tables.sensitivity(found, title="T"))
    assert shown[1:3] == [
        ["Before and after, control", "5", "0.31 [0.10, 0.52]", "40%"],
        ["Against no exercise, none", "1", "0.20 [−0.10, 0.50]", "–"],
    ]
    assert shown[3][0].startswith("SMD: standardised mean difference (Hedges' g).")


HYPOALGESIA = [
    (
        ("Naugle", 2012.0, 0.4, 0.1, 0.7, 9.0, None),
        ["Naugle 2012", "9", "0.40 [0.10, 0.70] d", "–"],
    ),
    (
        ("Naugle 2012", 2012.0, 0.4, 0.1, 0.7, 9.0, "x"),
        ["Naugle 2012", "9", "0.40 [0.10, 0.70] d", "x"],
    ),
    (("Wewege", np.nan, 0.4, np.nan, np.nan, np.nan, "x"), ["Wewege", "–", "0.40 d", "x"]),
]


@pytest.mark.parametrize(("given", "cells"), HYPOALGESIA)
def test_published_reviews_of_single_bouts(given, cells):
    names = ["review", "year", "estimate", "ci_low", "ci_high", "k", "note"]
    row = dict(zip(names, given, strict=True))
    row |= {"population": "healthy", "exercise_type": "aerobic", "outcome": "ppt", "measure": "d"}
    nothing = row | {"estimate": np.nan}
    (_, *rows) = rows_of(tables.hypoalgesia(pd.DataFrame([nothing, row]), title="T"))
    assert rows == [[cells[0], "healthy", "aerobic", "ppt", *cells[1:]]]


def test_what_was_measured_and_used():
    columns = ["outcome", "trials", "usable", "why"]
    rows = [("trunk_strength", 9, 4, "no SD"), ("pain_intensity", 3, 3, "")]
    found = pd.DataFrame(rows, columns=columns)
    _, first, second = rows_of(tables.reported(found, title="T"))
    assert first[1:] == ["9", "4", "no SD"] and second[1:] == ["3", "3", "–"]


def test_gains_by_type():
    columns = ["outcome", "exercise_type", "trials", "estimate", "ci_low", "ci_high"]
    found = pd.DataFrame(
        [("pain_intensity", "tai_chi_qigong", 2, 0.314, 0.1, 0.5)], columns=columns
    )
    _, row, note = rows_of(tables.by_type(found, title="T"))
    assert row[1:] == ["Tai chi / qigong", "2", "0.31 [0.10, 0.50]"]
    assert note[0].startswith("SMD: ")


@pytest.mark.parametrize(
    ("value", "words"), [(math.nan, "–"), (0.004, "below 1%"), (0.25, "25%"), (0.999, "above 99%")]
)
def test_a_probability_in_a_cell(value, words):
    assert effects.probability(value) == words


@pytest.mark.parametrize(
    ("mcid", "measure", "noticed"), [(15.0, "MD", True), (None, "MD", False), (None, "SMD", False)]
)
def test_few_trials_with_a_prior_and_without(mcid, measure, noticed):
    row = {"group": "Yoga", "trials": 2, "estimate": -8.5, "ci_low": -60.0, "ci_high": 43.0}
    told = {"bayes": -8.25, "bayes_low": -15.0, "bayes_high": -1.5, "benefit": 0.991}
    told |= {"noticed": 0.03, "note": ""} if noticed else {"note": ""}
    found = pd.DataFrame([row | told, row | {"group": "Pilates", "note": "no prior is known"}])
    result = FewTrials("", found, {}, measure, mcid)
    head, first, second, note = rows_of(tables.few_trials(result, title="T"))
    more = ["More than 15 points"] * noticed
    assert head == ["", "Trials", f"{measure} [95% CI]", "With a prior [95% CrI]", "Benefit", *more]
    text = "−8.2 [−15.0, −1.5]" if measure == "MD" else "−8.25 [−15.00, −1.50]"
    assert first[3:] == [text, "above 99%", *["3%"] * noticed]
    assert second[0] == "Pilates"
    assert second[3:] == ["no prior is known", "–", *["–"] * noticed]
    assert note == ["The last columns are probabilities of the mean effect."]


@pytest.mark.parametrize(
    ("value", "digits", "words"),
    [(2.25, 1, "2.2"), (-2.26, 1, "−2.3"), (2.255, 2, "2.25"), (math.nan, 1, "–")],
)
def test_a_number_in_a_column(value, digits, words):
    assert effects.rounded(value, digits) == words
    assert digits != 1 or effects.rounded(value) == words
