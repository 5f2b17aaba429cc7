"""Further questions of a dose: borders of what is asked, and the words of each answer."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.answers import dose_questions
from backpain_analysis.answers.dose_questions import activity_and_risk, by_type, spread_over_week
from tests.answers.test_dose import row
from tests.figures.drawn import make_effects

WEEKLY = "minutes_per_week"
BORDER = 1 - 0.95


def lines(p):
    """Fits whose interaction has this P value; every effect is minus the dose asked for."""

    def fit(kept, *, curve, moderators):
        return SimpleNamespace(
            level=0.95,
            predict=lambda doses, at: pd.DataFrame(
                {"estimate": [-doses[0]], "ci_low": [-99.0], "ci_high": [1.0]}
            ),
            test_moderators=lambda: {"p_value": p},
        )

    return fit


def typed(*groups):
    """Effects of (type, doses)."""
    return make_effects([row(-5.0, dose, kind) for kind, doses in groups for dose in doses])


TYPES = [
    # trials by type, P, dose asked for, groups shown, the answer
    (
        [("yoga", (60, 90)), ("pilates", (60, 90))],
        0.049,
        None,
        ["pilates", "yoga"],
        "Lines in minutes per week differ between 2 groups (P = 0.049 for the interaction); "
        "effects at 75 minutes per week.",
    ),
    (
        [("yoga", (60, 90)), ("pilates", (60, 90)), ("aquatic", (60,))],
        BORDER,
        60.0,
        ["pilates", "yoga"],
        "Lines in minutes per week do not clearly differ between 2 groups (P = 0.050 for the "
        "interaction); effects at 60 minutes per week. 1 contrast of rarer groups is not in this "
        "comparison.",
    ),
    (
        [("yoga", (60, 90)), ("pilates", (100, 120))],
        0.2,
        90.0,
        ["yoga"],
        "Lines in minutes per week do not clearly differ between 2 groups (P = 0.20 for the "
        "interaction); effects at 90 minutes per week. 1 group not studied at that dose: no effect "
        "is given.",
    ),
    (
        [("yoga", (60, 90)), ("pilates", (100, 120))],
        0.2,
        95.0,
        [],
        "Lines in minutes per week do not clearly differ between 2 groups (P = 0.20 for the "
        "interaction); effects at 95 minutes per week. 2 groups not studied at that dose: no "
        "effect is given.",
    ),
]


@pytest.mark.parametrize(("groups", "p", "at", "shown", "words"), TYPES)
def test_lines_of_types(groups, p, at, shown, words, monkeypatch):
    monkeypatch.setattr(dose_questions, "dose_response", lines(p))
    found = by_type(typed(*groups), WEEKLY, at=at)
    assert found.text == words
    assert sorted(found.table["group"]) == shown
    assert (found.table["trials"] == 2).all()


@pytest.mark.parametrize("groups", [[("yoga", (60, 90))], [("yoga", (60, 90)), ("pilates", (60,))]])
def test_two_groups_of_two_trials_are_needed(groups):
    found = by_type(typed(*groups), WEEKLY)
    assert found.text == ("Fewer than two groups have 2 trials or more with a known dose.")
    assert found.table.empty


def test_lines_that_cannot_be_fitted():
    same = by_type(typed(("yoga", (60, 60)), ("pilates", (60, 60))), WEEKLY)
    assert same.table.empty or "do not clearly differ" in same.text


@pytest.mark.parametrize(
    ("trials", "sessions", "carried"),
    [
        (3, (1.0, 2.0, 3.0), False),
        (4, (1.0, 2.0, 3.0, 1.0), True),
        (4, (1.0, 2.0, 2.0, 1.0), True),
        (4, (2.0,) * 4, False),
    ],
)
def test_what_the_spread_over_the_week_is_asked_of(trials, sessions, carried):
    noise = (0.1, -0.2, 0.15, -0.05)
    rows = [
        row(-5.0 - 0.1 * dose + e, dose, sessions=n)
        for dose, n, e in zip((60, 90, 150, 200)[:trials], sessions, noise, strict=False)
    ]
    text = spread_over_week(make_effects(rows)).text
    refused = (
        "The trials do not carry this question: too few trials report minutes and sessions, or all "
        "have as many sessions: use evidence with more trials."
    )
    assert (text == refused) is not carried


@pytest.mark.parametrize("p", [0.049, BORDER, 0.3])
def test_the_spread_over_the_week_in_words(p, monkeypatch):
    """By default at the median of the minutes."""
    asked = []

    def predict(at):
        asked.append(at)
        return pd.DataFrame({"estimate": [-1.0, -2.0], "ci_low": -3.0, "ci_high": 1.0})

    fitted = SimpleNamespace(
        data=pd.DataFrame({"dose": [60.0, 90.0, 200.0], "sessions_per_week": [1.0, 1.0, 3.0]}),
        params=pd.Series(0.0, ["exercise", "minutes", "sessions"]),
        predict=predict,
        pvalues={"sessions": p},
        level=0.95,
        n_clusters=8,
    )
    monkeypatch.setattr(dose_questions, "spread_model", lambda effects: fitted)
    found = spread_over_week(make_effects([row(-5.0, 60)]))
    verdict = "matters" if p < 0.05 else "does not clearly matter"
    shown = {0.049: "P = 0.049", BORDER: "P = 0.050", 0.3: "P = 0.30"}[p]
    assert found.text == (
        f"In 8 trials, how the weekly minutes are spread {verdict} ({shown}): the effect of 90 "
        "minutes a week by sessions per week."
    )
    assert asked[0].to_numpy().tolist() == [[1.0, 90.0, 1.0], [1.0, 90.0, 3.0]]
    assert found.table["minutes_per_session"].tolist() == [90.0, 30.0]


def test_arms_that_exercise_in_both_groups_have_no_step():
    """Doses against doses: a line through zero in what minutes and sessions differ by."""
    rows = [
        row(-0.1 * (dose - 30) + e, dose, sessions=n)
        | {f"ref_{WEEKLY}": 30.0, "ref_sessions_per_week": 1.0}
        for dose, n, e in ((60, 2.0, 0.1), (90, 1.0, -0.1), (150, 3.0, 0.05), (200, 2.0, -0.05))
    ]
    assert list(dose_questions.spread_model(make_effects(rows)).params.index) == [
        "minutes",
        "sessions",
    ]
    none = [{**each, f"ref_{WEEKLY}": 0.0, "ref_sessions_per_week": 0.0} for each in rows]
    model = dose_questions.spread_model(make_effects(none))
    assert list(model.params.index) == ["exercise", "minutes", "sessions"]
    assert (model.data["exercise"] == 1.0).all()


def cohort(study, *rows, kind="people"):
    columns = ["dose_low", "dose_high", "cases", "n_or_person_years"]
    table = pd.DataFrame(list(rows), columns=columns)
    return table.assign(study=study, n_kind=kind, outcome="back pain", dose_unit="h/week walking")


FULL = [(0.0, 2.0, 200.0, 1000.0), (2.0, 4.0, 160.0, 1000.0), (4.0, np.nan, 120.0, 1000.0)]


def test_activity_and_later_pain():
    """Risks of 0.2, 0.16 and 0.12 at 1, 3 and 5 hours; the open category as wide as the last."""
    bare = [(*FULL[0][:2], np.nan, 1000.0), FULL[1]]
    table = pd.concat(
        [cohort("A", *FULL), cohort("B", *bare), cohort("C", *FULL, kind="person-years")]
    )
    found = activity_and_risk(table)
    ratios = found.table.set_index("open category")["risk ratio"]
    assert list(ratios.index) == [
        "0.5 times its neighbour",
        "1 times its neighbour",
        "2 times its neighbour",
    ]
    assert_allclose(ratios.iloc[1], 0.6 ** (1 / 4), atol=0.02)
    assert ratios.is_monotonic_increasing
    shown = f"{ratios.iloc[1]:.2f}"
    assert found.text.startswith(
        f"In 480 cases among 3,000 people, the risk ratio of back pain is {shown} for each hour a "
        "week of walking more (95% CI 0."
    )
    assert "Only A print cases and totals for every category; the other 2 sets of rows do " in (
        found.text
    )


def test_activity_without_counts():
    found = activity_and_risk(cohort("A", (0.0, 2.0, np.nan, 1000.0)))
    assert found.text == "No study prints cases and people for every category of activity."
    assert found.table.empty
