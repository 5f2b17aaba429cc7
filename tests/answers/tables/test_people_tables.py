"""Tables of participants, time courses and responders, cell by cell."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from backpain_analysis.answers.tables import people
from backpain_analysis.evidence.evidence import load_evidence

NAN, INF = np.nan, np.inf
NARROW = "\N{NO-BREAK SPACE}"


def rows_of(shown) -> list[list[str]]:
    page = BeautifulSoup(shown._repr_html_(), "html.parser")
    cells = [[cell.get_text() for cell in row.select("td, th")] for row in page.select("tr")]
    return [[text.replace(NARROW, " ") for text in row] for row in cells]


def test_models_side_by_side():
    found = pd.DataFrame(
        [("ANCOVA", "x", -5.0, -9.0, -1.0, ""), ("GEE", "y", NAN, NAN, NAN, "too few")],
        columns=["model", "assumes", "estimate", "ci_low", "ci_high", "note"],
    )
    head, first, second = rows_of(people.models(found, title="M"))
    assert head == ["Model", "Dropout taken as", "Difference [95% CI]", "Note"]
    assert first == ["ANCOVA", "x", "−5.0 [−9.0, −1.0]", "–"]
    assert second == ["GEE", "y", "–", "too few"]


def test_moderators_of_participants():
    found = pd.DataFrame(
        [
            ("pain_duration_months", "12 months", "within trials", 1.0, 0.5, 1.5, 0.0004, ""),
            ("sex", NAN, NAN, NAN, NAN, NAN, NAN, "not recorded"),
        ],
        columns=[
            *("moderator", "per", "source", "estimate", "ci_low", "ci_high", "p_value", "note")
        ],
    )
    _, first, second = rows_of(people.interactions(found, title="M"))
    assert first == [
        *("Pain duration months", "12 months", "within trials", "1.0 [0.5, 1.5]", "< 0.001", "–")
    ]
    assert second == ["Sex", "–", "–", "–", "–", "not recorded"]


def test_the_truth_and_what_was_found():
    found = pd.DataFrame(
        [(4.0, 60.0, -3.0, -2.0, -4.0, -0.5, True), (12.5, 120.0, -6.0, -2.0, -4.0, -0.5, False)],
        columns=["week", "dose", "truth", "estimate", "ci_low", "ci_high", "inside"],
    )
    _, first, second = rows_of(people.truth(found, title="T"))
    assert first == ["4", "60", "−3.0", "−2.0 [−4.0, −0.5]", "yes"]
    assert second == ["12.5", "120", "−6.0", "−2.0 [−4.0, −0.5]", "no"]
    assert people.truth(None, title="T") is None


@pytest.mark.parametrize(
    ("measure", "cells"),
    [
        ("MD", ["4", "−5.0 [−9.0, −1.0]", "[−20.0, 10.0]"]),
        ("SMD", ["4", "−5.00 [−9.00, −1.00]", "[−20.00, 10.00]"]),
    ],
)
def test_effects_at_usual_follow_ups(measure, cells):
    row = {"weeks": 4, "estimate": -5.0, "ci_low": -9.0, "ci_high": -1.0}
    table = pd.DataFrame([row | {"pi_low": -20.0, "pi_high": 10.0}])
    course = SimpleNamespace(
        effects=SimpleNamespace(measure=measure), level=0.9, effect=lambda: table
    )
    head, first = rows_of(people.time_effects(course, title="T"))
    assert head == ["Weeks", f"{measure} [90% CI]", "Prediction interval"]
    assert first == cells


def test_choices_of_a_course():
    columns = ["choice", "aic", "estimate", "ci_low", "ci_high"]
    columns += ["half_time", "half_low", "half_high", "rests_on", "note"]
    found = pd.DataFrame(
        [
            ("exponential curve", 40.0, -5.0, -9.0, -1.0, 3.0, 0.0, 9.0, (), "limit"),
            ("emax curve", 41.0, -5.0, -9.0, -1.0, 3.0, 0.0, 9.0, ("x",), "limit"),
            ("decay", 42.0, -5.0, -9.0, -1.0, 3.0, 1.0, 9.0, ("x", "machado2010"), ""),
            ("line", NAN, NAN, NAN, NAN, NAN, NAN, NAN, (), "not fitted"),
        ],
        columns=columns,
    )
    shown = people.courses(found, load_evidence(), at=12.0, title="C")
    head, first, one, two, last = rows_of(shown)
    assert head[2] == "MD at week 12 [95% CI]"
    assert first == [
        "Exponential curve",
        "40.0",
        "−5.0 [−9.0, −1.0]",
        "3.0",
        "at most 9.0",
        "limit",
    ]
    assert one[3:] == ["not told", "–", "not estimable without x"]
    assert two[3:] == ["not told", "–", "not estimable without x or Machado 2010"]
    assert last == ["Line", "–", "–", "–", "–", "not fitted"]


def test_what_lasts():
    effect = {"estimate": -8.0, "ci_low": -12.0, "ci_high": -4.0}
    columns = ["weeks", "effect", "ci_low", "ci_high", "retained", "retained_low", "retained_high"]
    found = SimpleNamespace(
        level=0.95,
        at_end=pd.DataFrame([effect]),
        retained=pd.DataFrame(
            [
                (26.0, -6.0, -9.0, -3.0, 0.75, 0.5, 1.0, ""),
                (52.0, -5.0, -9.0, -1.0, NAN, NAN, NAN, "?"),
            ],
            columns=[*columns, "note"],
        ),
        change=pd.DataFrame(
            [{"estimate": 0.5, "ci_low": 0.1, "ci_high": 0.9}], index=["all trials"]
        ),
    )
    head, end, half, year, change = rows_of(people.lasting(found, title="L"))
    assert head[1] == "MD [95% CI]"
    assert end == ["At the end of the programme", "−8.0 [−12.0, −4.0]", "100%", ""]
    assert half == ["26 weeks later", "−6.0 [−9.0, −3.0]", "75% [50, 100]", ""]
    assert year == ["52 weeks later", "−5.0 [−9.0, −1.0]", "–", "?"]
    assert change == ["Change a month, all trials", "0.50 [0.10, 0.90]", "", ""]


def test_responders_of_trials_have_no_mean_over_acute_and_chronic():
    columns = ["label", "ref_share", "share", "n_arm", "n_ref"]
    effects = pd.DataFrame([("A 2001", 0.2, 0.455, 30, 31), ("B 2002", 0.87, 1.02, 9, 9)])
    row = pd.DataFrame({"estimate": [0.19], "ci_low": [-0.11], "ci_high": [0.49]})
    result = SimpleNamespace(
        effects=SimpleNamespace(table=effects.set_axis(columns, axis=1)),
        summary=lambda: row.set_axis(["difference"]),
    )
    rows = rows_of(people.arm_responders(result, title="R"))
    assert rows[1:3] == [["A 2001", "20%", "46%", "61"], ["B 2002", "87%", "100%", "18"]]
    assert rows[3][0].startswith("All trials: 19 percentage points more with exercise [−11, 49].")


def test_responders_by_dose():
    columns = [
        "group",
        "responders",
        "n",
        "share",
        "ci_low",
        "ci_high",
        "difference",
        "low",
        "high",
    ]
    found = pd.DataFrame(
        [
            ("0 minutes", 10, 40, 0.25, 0.1, 0.4, NAN, NAN, NAN, ""),
            ("60 minutes", 20, 40, 0.5, 0.3, 0.7, 0.25, 0.05, 0.45, "NNTB 4"),
        ],
        columns=[*columns, "nnt"],
    )
    result = SimpleNamespace(level=0.95, summary=lambda: found)
    _, none, some = rows_of(people.dose_responders(result, title="D"))
    assert none == ["0 minutes", "10 of 40", "25 [10, 40]", "–", "–"]
    assert some == ["60 minutes", "20 of 40", "50 [30, 70]", "25 [5, 45]", "NNTB 4"]


WEEKS = [
    ((NAN, 9.0), "–"),
    ((0.0, INF), "–"),
    ((0.0, 9.0), "at most 9.0"),
    ((2.0, INF), "at least 2.0"),
    ((2.0, 9.0), "2.0 to 9.0"),
]


@pytest.mark.parametrize(("given", "words"), WEEKS)
def test_weeks_between(given, words):
    assert people.weeks_between(*given) == words
