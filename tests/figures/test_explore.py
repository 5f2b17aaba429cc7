"""The box of choices in JupyterLab: what it shows is what the functions say."""

from __future__ import annotations

import sys
from html import escape

import pytest

import backpain_analysis as bp
from backpain_analysis.figures.explore_widget import EVERY, explored
from tests.figures.drawn import make_effects

ROWS = [
    {"yi": -0.1 * dose, "vi": 4.0, "minutes_per_week": dose, "exercise_type": kind}
    for dose, kind in ((60, "yoga"), (90, "yoga"), (120, "pilates"), (150, "yoga"), (75, "pilates"))
]


@pytest.fixture
def box():
    return bp.explore(make_effects(ROWS), mcid=10)


def lists(box):
    return {chosen.description: chosen for chosen in box.children[0].children}


def test_it_opens_with_the_answer(box):
    answer = bp.dose_answer(make_effects(ROWS), "minutes_per_week", mcid=10)
    assert escape(str(answer)) in box.children[1].value and "<svg" in box.children[1].value
    assert [name for name, _ in lists(box)["Dose"].options] == ["minutes per week"]


def test_figure_and_statement_follow_the_choice(box):
    lists(box)["Curve"].value = "linear"
    effects = make_effects(ROWS)
    line = bp.dose_response(effects, dose="minutes_per_week")
    assert escape(bp.sentences.dose_response(line, 10)) in box.children[1].value
    lists(box)["Type"].value = "yoga"
    yoga = effects.select(effects.table["exercise_type"] == "yoga", "another")
    own = bp.sentences.dose_response(bp.dose_response(yoga, dose="minutes_per_week"), 10)
    assert escape(own) in box.children[1].value


def test_what_cannot_be_fitted_says_why(box):
    lists(box)["Type"].value = "pilates"
    lists(box)["Curve"].value = "rcs"
    assert "cannot carry the curve" in box.children[1].value
    assert "<svg" not in box.children[1].value


def test_names_of_others_are_shown_not_run():
    hostile = make_effects([{**row, "trial_id": f"<b>{n}</b>"} for n, row in enumerate(ROWS)])
    for curve in ("linear", "rcs"):
        assert "<b>" not in explored(hostile, "minutes_per_week", curve, EVERY, mcid=None)


def test_without_a_dose_or_ipywidgets_it_says_so(monkeypatch):
    with pytest.raises(bp.CannotEstimate, match="no dose of these arms is known"):
        bp.explore(make_effects([{"yi": 1.0, "vi": 1.0}]))
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(ImportError, match=r"backpain-analysis\[explore\]"):
        bp.explore(make_effects(ROWS))
