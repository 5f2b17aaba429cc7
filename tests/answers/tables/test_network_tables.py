"""Tables of networks and dose networks: made-up results to the words of cells."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from backpain_analysis.answers.dose_network import TOGETHER
from backpain_analysis.answers.dose_questions import Answer
from backpain_analysis.answers.network_certainty import CHARACTERISTICS, DOMAINS, MAJOR, NONE, SOME
from backpain_analysis.answers.tables import dose_network, networks
from backpain_analysis.models.dose.search import DoseEstimate
from tests.made import rows_of

EFFECT = {"estimate": -0.25, "ci_low": -0.5, "ci_high": 0.1}


@pytest.mark.parametrize(
    ("concerns", "words"),
    [
        ({}, "none"),
        ({"imprecision": SOME}, f"{SOME}: imprecision"),
        (
            {"imprecision": SOME, "incoherence": MAJOR, "heterogeneity": SOME},
            f"{MAJOR}: incoherence; {SOME}: imprecision, heterogeneity",
        ),
    ],
)
def test_concerns_the_greatest_first(concerns, words):
    row = dict.fromkeys(DOMAINS, NONE) | concerns | EFFECT
    found = SimpleNamespace(table=pd.DataFrame([row | {"treatment": "yoga", "level": "low"}]))
    head, shown = rows_of(networks.certainty(found, measure="RD", title="T"))
    assert head[1] == "RD (percentage points) [95% CI]"
    assert shown == ["Yoga", "−25.0 [−50.0, 10.0]", words, "low"]


@pytest.mark.parametrize(("pooled", "words"), [(-0.2, "−20.0 [−30.0, 5.0]"), (math.nan, "–")])
def test_a_network_beside_pooling(pooled, words):
    alone = {"pooled": pooled, "pooled_low": -0.3, "pooled_high": 0.05}
    found = Answer("", pd.DataFrame([{"treatment": "yoga", "trials": 3} | EFFECT | alone]))
    head, row = rows_of(networks.beside_pooling(found, measure="RD", title="T"))
    assert head[1] == "Network: RD (percentage points) [95% CI]"
    assert row == ["Yoga", "−25.0 [−50.0, 10.0]", "3", words]


GROUPED = {
    **{"lumping": "By type", "treatments": 9.0, "trials": 12, "tau": 0.123},
    **{"inconsistency_p": 0.04, "best": "yoga", "alike": 3.0},
} | EFFECT


@pytest.mark.parametrize(
    ("given", "cells"),
    [
        (
            {},
            ["9 in 12 trials", "0.12", "0.040", "Yoga", "−0.25 [−0.50, 0.10]", "3 of 8"],
        ),
        ({"tau": math.nan, "trials": 1}, ["9 in 1 trial", "–", "0.040", "Yoga"]),
        ({"estimate": math.nan}, ["–", "0.12", "0.040", "–", "–", "–"]),
    ],
)
def test_groupings_of_a_network(given, cells):
    found = pd.DataFrame([GROUPED | given])
    _, row = rows_of(networks.lumpings(found, measure="SMD", title="T"))
    assert row[0] == "By type" and row[1 : 1 + len(cells)] == cells


def test_transitivity_shows_the_comparisons_with_most_trials():
    """Medians with ranges; one value without; a characteristic that nobody reports not at all."""
    nothing = dict.fromkeys(CHARACTERISTICS, math.nan)
    rows = [
        {"comparison": "none : yoga", "trial_id": "a"} | nothing | {"mean_age": 40.0},
        {"comparison": "none : yoga", "trial_id": "b"} | nothing | {"mean_age": 50.0},
        {"comparison": "none : walking", "trial_id": "c"} | nothing | {"mean_age": 61.0},
        {"comparison": "none : pilates", "trial_id": "d"} | nothing,
    ]
    head, *shown = rows_of(networks.transitivity(pd.DataFrame(rows), title="T"))
    assert head == ["Comparison", "Mean age, years"]
    assert shown[0] == ["No exercise – Yoga, 2 trials", "45 (40–50)"]
    assert sorted(shown[1:]) == [
        ["No exercise – Pilates, 1 trial", "–"],
        ["No exercise – Walking, 1 trial", "61"],
    ]
    assert len(rows_of(networks.transitivity(pd.DataFrame(rows), most=2, title="T"))) == 3
    many = [row | {"comparison": f"none : t{n}"} for n, row in enumerate(rows * 4)]
    assert len(rows_of(networks.transitivity(pd.DataFrame(many), title="T"))) == 1 + 14


@pytest.mark.parametrize(("note", "words"), [("", "–"), ("too few", "too few")])
def test_moderators_of_a_network(note, words):
    row = {"moderator": "Age", "trials": 9, "p_value": 0.0004, "note": note} | EFFECT
    head, shown = rows_of(networks.moderators(Answer("", pd.DataFrame([row])), title="T"))
    assert head[2] == "Change, MD [95% CI]"
    assert shown == ["Age", "9", "−0.2 [−0.5, 0.1]", "< 0.001", words]


def test_events_by_two_ways():
    row = {"treatment": "yoga", "trials": 3, "events": 12.0, "people": 340.0}
    row |= {"estimate": 0.0, "ci_low": math.log(0.5), "ci_high": math.log(2)}
    row |= {"iv_estimate": math.log(2), "iv_ci_low": 0.0, "iv_ci_high": math.log(4)}
    head, shown = rows_of(networks.events(Answer("", pd.DataFrame([row])), title="T"))
    assert head[2:4] == ["People lost", "Mantel–Haenszel: OR [95% CI]"]
    assert shown == ["Yoga", "3", "12 of 340", "1.00 [0.50, 2.00]", "2.00 [1.00, 4.00]"]


def test_what_the_curves_of_agents_rest_on():
    columns = ["agent", "trials", "arms", "participants", "lowest", "highest"]
    rows = [("yoga", 3, 4, 1200.4, 30.0, 90.0), ("walking", 1, 1, 0.0, math.nan, math.nan)]
    result = SimpleNamespace(
        dose_name="minutes_per_week",
        agents=["yoga", "walking"],
        max_dose={"yoga": 90.0, "walking": 4.0}.get,
        counts=lambda: pd.DataFrame(rows, columns=columns),
    )
    head, first, second = rows_of(dose_network.agents(result, title="T"))
    assert head[4:] == ["Minutes per week, lowest", "highest"]
    assert first == ["Yoga", "3", "4", "1,200", "30", "90"]
    assert second == ["Walking", "1", "1", "–", "none", "none"]


@pytest.mark.parametrize(
    ("measure", "text"), [("MD", "−8.2 [−12.0, −4.0]"), ("SMD", "−8.24 [−12.00, −4.00]")]
)
def test_agents_at_one_dose_and_comparators(measure, text):
    effect = {"estimate": -8.24, "ci_low": -12.0, "ci_high": -4.0}
    found = pd.DataFrame(
        [effect | {"p_score": 0.756, "best": 0.404}, dict.fromkeys(effect, 0.0)],
        index=["yoga", "usual_care"],
    )
    equal = SimpleNamespace(level=0.9, reference="usual_care", summary=lambda: found)
    head, *rows = rows_of(dose_network.equal_dose(equal, measure=measure, title="T"))
    assert head[1:] == [f"{measure} [90% CI]", "P-score", "Ranks first"]
    assert rows == [["Yoga", text, "0.76", "40%"]]
    result = SimpleNamespace(
        level=0.9,
        counts=lambda: pd.DataFrame({"agent": ["yoga"], "trials": [2.0]}),
        comparators_table=lambda: found.loc[["yoga"]],
    )
    head, row = rows_of(dose_network.comparators(result, measure=measure, title="T"))
    assert head == ["Treatment", "Trials", f"{measure} [90% CI]"] and row == ["Yoga", "2", text]


@pytest.mark.parametrize(
    ("mcid", "lower", "at_edge", "cells"),
    [
        (15.0, True, False, ["75 [60 to 90]", "−15"]),
        (15.0, False, False, ["75 [60 to 90]", "15"]),
        (15.0, True, True, ["none between the doses studied", "−15"]),
        (None, True, False, ["75 [60 to 90]"]),
    ],
)
def test_the_doses_of_agents(mcid, lower, at_edge, cells):
    """The dose for the MCID is asked on the side of benefit."""
    found = {"estimate": [-9.0], "ci_low": [-12.0], "ci_high": [-6.0]}

    def dose_for(agent, target):
        return DoseEstimate(
            abs(target), 0.0, np.inf, target, 0.0, 150.0, target == float(asked), False, ""
        )

    asked = (cells[1:] or ["0"])[0].replace("−", "-")
    result = SimpleNamespace(
        **{"agents": ["yoga"], "level": 0.95, "measure": "MD", "lower_is_better": lower},
        max_dose=lambda agent: 150.0,
        predict=lambda agent, doses: pd.DataFrame(found),
        optimum=lambda agent: DoseEstimate(75.0, 60.0, 90.0, -9.0, 0.0, 150.0, True, at_edge, ""),
        dose_for=dose_for,
    )
    head, row = rows_of(dose_network.doses(result, mcid, title="T"))
    assert row[:4] == ["Yoga", "150", "−9.0 [−12.0, −6.0]", cells[0]]
    assert row[4:] == ["15 [0 to no limit]"] * (mcid is not None)
    assert head[4:] == ["MCID reached at"] * (mcid is not None)


@pytest.mark.parametrize(
    ("p", "words"), [(0.0004, "< 0.001"), (0.031, "0.031"), (0.31, "0.31"), (math.nan, "–")]
)
def test_curves_against_the_doses_on_their_own(p, words):
    columns = ["agent", "dose", "trials", "curve", "split", "ci_low", "ci_high", "p_value"]
    rows = [("yoga", 60.0, 2, -5.04, -6.04, -9.0, -3.0, p)]
    found = SimpleNamespace(table=pd.DataFrame(rows, columns=columns))
    _, row = rows_of(dose_network.lack_of_fit(found, title="T"))
    assert row == ["Yoga", "60", "2", "−5.0", "−6.0 [−9.0, −3.0]", words]


def test_ways_of_sharing_side_by_side():
    columns = ["sharing", "agent", "trials", "estimate", "ci_low", "ci_high"]
    rows = [
        ("separate", "yoga", 9, -8.0, -12.0, -4.0),
        ("separate", "pilates", 9, -6.0, -9.0, -3.0),
        ("common_slope", TOGETHER, 1, -7.0, -9.0, -5.0),
    ]
    found = pd.DataFrame(rows, columns=columns)
    head, *shown = rows_of(dose_network.sharing(found, title="T"))
    assert head == [
        "Type",
        "Separate (9 trials): MD [95% CI]",
        "Common slope (1 trial): MD [95% CI]",
    ]
    assert shown == [
        ["Yoga", "−8.0 [−12.0, −4.0]", "–"],
        ["Pilates", "−6.0 [−9.0, −3.0]", "–"],
        ["All types together", "–", "−7.0 [−9.0, −5.0]"],
    ]


@pytest.mark.parametrize(
    ("agent", "estimate", "cells"),
    [
        ("yoga", -0.4, ["Yoga", "2", "−0.40 [−0.50, 0.10]"]),
        (None, math.nan, ["–", "–", "–"]),
    ],
)
def test_beside_a_published_network(agent, estimate, cells):
    row = {"comparison": "Yoga vs true control (no treatment)", "trials": 2.0, "agent": agent}
    row |= {"published": -0.6, "published_low": -0.9, "published_high": -0.3}
    found = pd.DataFrame([row | EFFECT | {"estimate": estimate}])
    _, shown = rows_of(dose_network.beside_published(found, title="T"))
    assert shown == ["Yoga", "−0.60 [−0.90, −0.30]", *cells]


@pytest.mark.parametrize(
    ("low", "words"),
    [(0.0, "2.0 [0 to 2.5]"), (1.0, "2.0 [1.0 to 2.5]"), (0.5, "2.0 [0.5 to 2.5]")],
)
def test_no_dose_has_no_decimals(low, words):
    dose = DoseEstimate(2.0, low, 2.5, -15.0, 0.0, 3.0, True, False, "")
    assert dose_network._dose(dose) == words
