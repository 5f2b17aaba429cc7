"""Events as networks: what reports carry, odds ratios by hand, words by truth tables."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import backpain_analysis as bp
from backpain_analysis.answers import network_events as module
from backpain_analysis.answers.network_events import _compared, counted_arms, events, lost_arms
from backpain_analysis.answers.tables import networks
from backpain_analysis.errors import CannotEstimate


def evidence(*arms, design="parallel", outcome="dropout"):
    """Rows of trial, exercise type, randomised, measured, and events that a report counts."""
    rows = pd.DataFrame(arms, columns=["trial_id", "kind", "n_randomised", "measured", "events"])
    rows["arm_id"] = [f"a{k}" for k in range(len(rows))]
    inactive = rows["kind"] == "usual_care"
    rows["exercise_type"] = rows["kind"].mask(inactive, "none")
    rows["comparator_type"] = rows["kind"].where(inactive)
    outcomes = rows.rename(columns={"measured": "n"})[["trial_id", "arm_id", "n", "events"]]
    outcomes = outcomes.assign(outcome=outcome, timepoint_label="post", timepoint_weeks=8.0)
    trials = pd.DataFrame({"trial_id": rows["trial_id"].unique(), "design": design})
    columns = ["trial_id", "arm_id", "n_randomised", "exercise_type", "comparator_type"]
    return SimpleNamespace(trials=trials, arms=rows[columns], outcomes=outcomes)


YOGA = [
    ("a", "yoga", 40, 30, np.nan),
    ("a", "usual_care", 50, 45, np.nan),
    ("b", "yoga", 60, 54, np.nan),
    ("b", "usual_care", 60, 55, np.nan),
]


def test_lost_are_those_not_measured():
    found = lost_arms(evidence(*YOGA))
    assert found["events"].tolist() == [10, 5, 6, 5]
    assert found["n"].tolist() == [40, 50, 60, 60]
    assert found["treatment"].tolist() == ["yoga", "usual_care"] * 2
    assert lost_arms(evidence(*YOGA, design="crossover")).empty
    assert lost_arms(evidence(*YOGA[:3]))["trial_id"].tolist() == ["a", "a"]
    more = evidence(*YOGA[:2])
    again = more.outcomes.assign(n=[35, 44], timepoint_label=["post", "followup"])
    more.outcomes = pd.concat([more.outcomes, again])
    assert lost_arms(more)["events"].tolist() == [5, 5]


def test_counted_arms_take_the_first_count():
    given = evidence(("a", "yoga", 40, 38, 3), ("a", "usual_care", 40, 39, 4))
    later = given.outcomes.assign(events=[7, 9], timepoint_weeks=52.0)
    given.outcomes = pd.concat([later, given.outcomes])
    found = counted_arms(given, "dropout")
    assert found[["events", "n"]].to_numpy().tolist() == [[3, 38], [4, 39]]
    assert counted_arms(given, "responders").empty


def test_odds_ratios_by_hand():
    """Two trials of two arms: Mantel-Haenszel by its formula, and each trial's own."""
    found = events(evidence(*YOGA), "dropout", measure="OR")
    row = found.table.set_index("treatment").loc["yoga"]
    up, down = 10 * 45 / 90 + 6 * 55 / 120, 5 * 30 / 90 + 5 * 54 / 120
    assert_allclose(np.exp(row["estimate"]), up / down)
    assert row[["trials", "events", "people"]].tolist() == [2, 16, 100]
    own = np.log([10 * 45 / (5 * 30), 6 * 55 / (5 * 54)])
    assert own.min() < row["iv_estimate"] < own.max()
    assert row["iv_ci_low"] < row["ci_low"]
    shown = networks.events(found, title="Lost").html
    assert "16 of 100" in shown and f"{up / down:.2f}" in shown


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.0, 0.8, "none has clearly more or fewer people lost than usual care."),
        (-0.8, 0.0, "none has clearly more or fewer people lost than usual care."),
        (0.1, 0.8, "are clearly, against usual care: more with yoga (odds ratio"),
        (-0.8, -0.1, "are clearly, against usual care: fewer with yoga (odds ratio"),
    ],
)
def test_what_is_clear_leaves_no_difference_out(low, high, words):
    row = {"estimate": (low + high) / 2, "ci_low": low, "ci_high": high}
    result = SimpleNamespace(
        effects=lambda: pd.DataFrame([row], index=["yoga"]),
        n_trials=2,
        data=SimpleNamespace(trials_in=None, is_ratio=True),
        treatments=["usual_care", "yoga"],
        reference="usual_care",
        measure="OR",
        level=0.95,
    )
    assert words in _compared({"MH": result}, "dropout", None)


LOST = "No report counts dropout, but "
WORDED = [
    (
        YOGA,
        f"{LOST}2 trials print for each arm how many people were randomised and how many were "
        "measured after treatment: 26 of 210 (12%) were not. 2 trials compare 2 treatments. By "
        "Mantel–Haenszel, none has clearly more or fewer people lost than inactive control.",
    ),
    (
        [*YOGA[:2], ("c", "yoga", 20, 20, np.nan), ("c", "usual_care", 20, 20, np.nan)],
        f"{LOST}2 trials print for each arm how many people were randomised and how many were "
        "measured after treatment: 15 of 130 (12%) were not. In 1 of them nobody was missing, "
        "which says nothing of ratios; some may have filled in what was missing. 1 trial compares "
        "2 treatments. By Mantel–Haenszel, none has clearly more or fewer people lost than "
        "inactive control.",
    ),
    (
        [("a", "yoga", 90, 80, 40), ("a", "usual_care", 90, 80, 4)],
        "1 trial counts people lost by arm: 44 of 160 (28%). 1 trial compares 2 treatments. By "
        "Mantel–Haenszel, people lost are clearly, against inactive control: more with yoga (odds "
        "ratio 19.00 (95% CI 6.34 to 56.90)).",
    ),
    (
        [("a", "yoga", 90, 80, 4), ("a", "usual_care", 90, 80, 40)],
        "1 trial counts people lost by arm: 44 of 160 (28%). 1 trial compares 2 treatments. By "
        "Mantel–Haenszel, people lost are clearly, against inactive control: fewer with yoga (odds "
        "ratio 0.05 (95% CI 0.02 to 0.16)).",
    ),
    (
        [("a", "yoga", 90, 80, 0), ("a", "usual_care", 90, 80, 0)],
        "1 trial counts people lost by arm: 0 of 160 (0%). There it happened to nobody, "
        "which says nothing of ratios. They make no network: no trial compares the events of two "
        "treatments.",
    ),
    (
        [(t, kind, 90, 80, 0) for t in "ab" for kind in ("yoga", "usual_care")],
        "2 trials count people lost by arm: 0 of 320 (0%). In all of them it happened to nobody, "
        "which says nothing of ratios. They make no network: no trial compares the events of two "
        "treatments.",
    ),
    (
        [("a", "yoga", 90, 80, 3), ("a", "pilates", 90, 80, 5)],
        "1 trial counts people lost by arm: 8 of 160 (5%). They make no network: no trial with "
        "events has inactive control.",
    ),
]


@pytest.mark.parametrize(("arms", "words"), WORDED)
def test_words(arms, words):
    assert events(evidence(*arms), "dropout").text == words


def test_what_the_bundled_trials_carry():
    trials = bp.load_evidence().filter(population=bp.BACK_PAIN)
    for outcome in ("responders", "adverse_events"):
        found = events(trials, outcome)
        assert found.table.empty and "they make no network" in found.text
    lost = events(trials, "dropout")
    yoga = lost.table.set_index("treatment").loc["yoga"]
    assert yoga[["trials", "events", "people"]].tolist() == [1, 11, 92]
    assert_allclose(np.exp(yoga["estimate"]), 11 * 44 / (1 * 81))
    with pytest.raises(ValueError, match="'responders', 'dropout', 'adverse_events': not 'pain'"):
        events(trials, "pain")


def result(rows, **fields):
    effects = pd.DataFrame(
        [row[1:] for row in rows],
        index=[row[0] for row in rows],
        columns=["estimate", "ci_low", "ci_high"],
    )
    plain = {
        **{"effects": lambda: effects, "n_trials": 2, "reference": "usual_care", "level": 0.95},
        **{"data": SimpleNamespace(trials_in=None, is_ratio=False), "measure": "RD"},
        **{"treatments": ["usual_care", *effects.index]},
    }
    return SimpleNamespace(**plain | fields)


CLEARLY = [
    (
        {"MH": result([("yoga", 0.05, 0.01, 0.09), ("pilates", -0.05, -0.09, -0.01)])},
        "2 trials compare 3 treatments. By Mantel–Haenszel, people lost are clearly, against usual "
        "care: more with yoga (5.0 percentage points (95% CI 1.0 to 9.0)); fewer with pilates "
        "(−5.0 percentage points (95% CI −9.0 to −1.0)).",
    ),
    (
        {"REML": result([("yoga", 0.05, 0.01, 0.09)], n_trials=1)},
        "1 trial compares 2 treatments. By inverse variance, people lost are clearly, against "
        "usual care: more with yoga (5.0 percentage points (95% CI 1.0 to 9.0)).",
    ),
    (
        {
            "MH": result(
                [("yoga", 0.05, -0.01, 0.09)],
                data=SimpleNamespace(trials_in=np.array([3, 4]), is_ratio=False),
            ),
            "REML": result([("yoga", 0.05, 0.01, 0.09)]),
        },
        "7 trials compare 2 treatments. By Mantel–Haenszel, none has clearly more or fewer people "
        "lost than usual care.",
    ),
]


@pytest.mark.parametrize(("found", "words"), CLEARLY)
def test_events_compared_in_words(found, words):
    assert _compared(found, "dropout", None) == words


COUNTED = [
    # events by trial, how they are told, measure, end of the sentence
    (([3, 4], [1, 1]), "count", "OR", "2 trials count people lost by arm: 9 of 400 (2%)."),
    (([3, 4],), "count", "OR", "1 trial counts people lost by arm: 7 of 200 (4%)."),
    (([0, 0], [1, 1]), "count", "RD", "2 trials count people lost by arm: 2 of 400 (0%)."),
    (([0, 0],), "lost", "RR", "There nobody was missing, which says nothing of ratios; some may "),
    (([0, 0], [0, 1]), "lost", "RR", "In 1 of them nobody was missing, which says nothing of rat"),
    (([0, 0], [0, 0]), "lost", "OR", "In all of them nobody was missing, which says nothing of "),
]


@pytest.mark.parametrize(("trials", "told", "measure", "words"), COUNTED)
def test_counts_in_words(trials, told, measure, words):
    rows = [
        {"trial_id": f"t{number}", "treatment": kind, "events": events, "n": 100.0}
        for number, counts in enumerate(trials)
        for kind, events in zip(("yoga", "usual_care"), counts, strict=True)
    ]
    text = module._counted(pd.DataFrame(rows), "dropout", told, measure)
    assert words in text
    assert text.endswith(words) or told == "lost"
    assert ("filled in what was missing" in text) == (told == "lost")
    if told == "lost":
        verb = "1 trial prints for" if len(trials) == 1 else "2 trials print for"
        assert text.startswith(f"No report counts dropout, but {verb} each arm how many people")


def test_people_measured_beyond_those_randomised_do_not_count():
    found = lost_arms(
        evidence(("a", "yoga", 40, 41, np.nan), ("a", "usual_care", 50, 50, np.nan), *YOGA[2:])
    )
    assert found["trial_id"].tolist() == ["b", "b"]
    even = lost_arms(evidence(("a", "yoga", 40, 40, np.nan), ("a", "usual_care", 50, 45, np.nan)))
    assert even["events"].tolist() == [0, 5]


@pytest.mark.parametrize("missing", ["MH", "REML"])
def test_one_method_alone_fills_its_columns(missing, monkeypatch):
    fit = module.network

    def refuse(own, *, method, **options):
        if method == missing:
            raise CannotEstimate("none")
        return fit(own, method=method, **options)

    monkeypatch.setattr(module, "network", refuse)
    table = events(evidence(*YOGA), "dropout", lump={}, reference="usual_care").table
    assert table[["estimate", "iv_estimate"]].isna().all().tolist() == [
        missing == "MH",
        missing == "REML",
    ]
    assert table["treatment"].tolist() == ["yoga", "usual_care"]


def test_what_no_method_fits_says_why(monkeypatch):
    def refuse(own, *, method, **options):
        raise CannotEstimate(f"no {method}")

    monkeypatch.setattr(module, "network", refuse)
    assert events(evidence(*YOGA), "dropout").text.endswith("They make no network: no REML.")


def test_treatments_are_lumped_as_asked():
    arms = [("a", "yoga", 90, 80, 4), ("a", "pilates", 90, 80, 9), ("a", "usual_care", 90, 80, 9)]
    plain = events(evidence(*arms), "dropout")
    assert sorted(plain.table["treatment"]) == ["inactive", "pilates", "yoga"]
    lumped = events(
        evidence(*arms), "dropout", lump={"yoga": "x", "pilates": "x"}, reference="usual_care"
    )
    assert sorted(lumped.table["treatment"]) == ["usual_care", "x"]
    assert lumped.table.set_index("treatment").loc["x", "people"] == 160
