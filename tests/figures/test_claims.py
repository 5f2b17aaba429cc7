"""Figures and tables of claims, certainty, moderators and pain sensitivity."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

import backpain_analysis as bp
from backpain_analysis import figures
from backpain_analysis.answers import tables
from backpain_analysis.answers.certainty import DOMAINS, LEVELS
from backpain_analysis.answers.claims import Claims, claims_table
from backpain_analysis.answers.findings import COLUMNS, Findings
from backpain_analysis.answers.key_results import Assumed
from backpain_analysis.answers.moderation import Moderation
from backpain_analysis.answers.verdicts import VERDICTS
from backpain_analysis.effects.table import Effects
from tests.figures.drawn import artists, outside, overlaps, texts

NARROW = "\N{NO-BREAK SPACE}"
EFFECTS = Effects(pd.DataFrame(), (), pd.DataFrame(), "pain_intensity", "MD")


def rows_of(shown) -> list[list[str]]:
    page = BeautifulSoup(shown._repr_html_(), "html.parser")
    cells = [[cell.get_text() for cell in row.select("td, th")] for row in page.select("tr")]
    return [[text.replace(NARROW, " ") for text in row] for row in cells]


@pytest.fixture
def judged():
    """Every claim of the project with made-up verdicts; the first has two parts."""
    text = "−12.0 [−20.0 to −4.0] points of 100"
    table = claims_table().assign(data="2 trials", estimate=text, reason="why", agreement="Yes.")
    table["noticed"] = [0.834, *[np.nan] * (len(table) - 1)]
    table["verdict"] = [VERDICTS[number % 6] for number in range(len(table))]
    places = ("no evidence", "not graded", *LEVELS)
    table["certainty"] = [places[number % 6] for number in range(len(table))]
    names = ["C01", *table["claim_id"]]
    parts = pd.DataFrame({"claim_id": names, "what": "yoga against no exercise, pain"})
    parts = parts.assign(
        trials=2, participants=0, text="−12.0 [−20.0 to −4.0] points of 100", certainty="low"
    )
    parts = parts.assign(estimate=-12.0, ci_low=-20.0, ci_high=-4.0)
    parts["noticed"] = [0.004, *[np.nan] * (len(parts) - 1)]
    parts["verdict"] = [VERDICTS[0], *table["verdict"]]
    parts = parts.assign(reason="an effect", downgrades="a −1: x; b −1: y", target="zero")
    parts["primary"] = [number % 2 == 0 for number in range(len(parts))]
    return Claims(table, parts)


def test_each_claim_stands_at_its_certainty_with_its_verdict(judged):
    axes = figures.claims(judged)
    marks = artists(axes, "claim")
    assert len(marks) == len(judged.table)
    assert [mark.get_xdata()[0] for mark in marks[:6]] == [0, 1, 2, 3, 4, 5]
    assert [mark.get_marker() for mark in marks[:6]] == ["o", "D", "s", "v", "X", "_"]
    assert len({mark.get_color() for mark in marks}) == 6
    assert overlaps(axes) == [] and outside(axes) == []


def test_claims_read_line_by_line(judged):
    head, first, second = rows_of(tables.claims(judged, title="Claims"))[:3]
    assert len(head) == 7
    assert head[2:5] == ["Verdict", "Certainty", "Estimate [95% CI] that decides"]
    assert first[2] == "● supported"
    told = "−12.0 [−20.0 to −4.0]; larger than the MCID: 83%; why"
    assert first[4:] == [told, "Yes.", "04_exercise_types"]
    assert second[4] == "−12.0 [−20.0 to −4.0]; why"
    assert second[2] == "◆ supported, size uncertain or small"


def test_parts_of_claims(judged):
    head, first, second = rows_of(tables.claim_parts(judged, title="Parts"))[:3]
    assert len(head) == 7
    assert first == [
        *("C01 decides", "Yoga against no exercise, pain (2 trials)"),
        *("−12.0 [−20.0 to −4.0] points of 100", "below 1%", "● supported: an effect", "low: zero"),
        "a −1: x; b −1: y",
    ]
    assert (second[0], second[3]) == ("C01", "–")


def test_published_answers_lead_to_their_source(judged):
    shown = tables.published_answers(judged, title="Published")
    rows = rows_of(shown)
    assert len(rows[0]) == 7
    pocovi = next(row for row in rows if row[0] == "C01")
    assert pocovi[1] == "Pocovi 2022 (systematic review)"
    assert pocovi[4:] == ["−0.23 [−0.35 to −0.10] SD", "high", "supports"]
    page = BeautifulSoup(shown._repr_html_(), "html.parser")
    assert "pedro.org.au" in page.select_one("td a")["href"]


def moderators():
    return pd.DataFrame(
        {
            "moderator": ["Running instead of low-impact aerobic", "Women, per 10 per cent", "Age"],
            "how": "between trials",
            "trials": [12, 1, 7],
            "estimate": [-3.0, np.nan, 2.0],
            "ci_low": [-60.0, np.nan, 1.0],
            "ci_high": [54.0, np.nan, 3.0],
            "p_value": [0.9, np.nan, 0.0004],
            "p_holm": [0.9, np.nan, 0.0008],
            "note": ["", "reported by 1 trial, too few", ""],
        }
    )


def test_coefficients_are_drawn_and_gaps_say_why():
    axes = figures.moderation(Moderation(moderators(), EFFECTS))
    marks = artists(axes, "moderator")
    assert [(m.get_xdata()[0], m.get_ydata()[0]) for m in marks] == [(-3.0, 0), (2.0, 2)]
    assert "reported by 1 trial, too few" in texts(axes)
    assert overlaps(axes) == [] and outside(axes) == []


def test_moderators_where_none_can_be_asked():
    nothing = moderators().assign(estimate=np.nan, p_value=np.nan, p_holm=np.nan, note="too few")
    result = Moderation(nothing, EFFECTS)
    assert artists(figures.moderation(result), "moderator") == []
    assert rows_of(tables.moderators(result, title="M"))[1][3:] == ["–", "–", "–", "too few"]
    assert rows_of(tables.populations(result, title="P"))[1] == ["Nothing to list."]


def test_moderators_as_a_table():
    rows = rows_of(tables.moderators(Moderation(moderators(), EFFECTS), title="M"))
    assert rows[0][3] == "Change, MD [95% CI]"
    assert rows[3][3:6] == ["2.0 [1.0, 3.0]", "< 0.001", "< 0.001"]


STRENGTH = "exercise against no exercise, trunk strength"


def findings():
    yoga = {"what": "yoga against no exercise, pain", "outcome": "pain_intensity", "trials": 3}
    yoga |= {"participants": 1200, "estimate": -12.0, "ci_low": -20.0, "ci_high": -4.0}
    yoga |= {"unit": "points of 100", "share_of_mcid": 0.8, "certainty": "low"}
    yoga |= {"noticed": 0.26, "nnt": 5.0, "nnt_text": "NNTB 5.0 (95% CI 3.0 to 20)"}
    strength = {
        "what": "exercise against no exercise, trunk strength",
        "outcome": "trunk_strength",
        "trials": 1,
    }
    strength |= {"participants": 0, "estimate": 0.7, "ci_low": 0.5, "ci_high": 0.9}
    strength |= {"unit": "SD", "certainty": "moderate"}
    pilates = yoga | {"what": "pilates against no exercise, pain", "certainty": "no evidence"}
    pilates |= dict.fromkeys(
        ("estimate", "ci_low", "ci_high", "share_of_mcid", "noticed", "nnt_text")
    )
    pilates |= {"trials": 0, "participants": 0}
    table = pd.DataFrame([yoga, strength, pilates], columns=COLUMNS)
    taken = {"inconsistency": 1, "imprecision": 2}
    steps = [
        (what, domain, taken.get(domain, 0), "w")
        for what in (
            "yoga against no exercise, pain",
            "exercise against no exercise, trunk strength",
        )
        for domain in DOMAINS
    ]
    downgrades = pd.DataFrame(steps, columns=["what", "domain", "steps", "reason"])
    return Findings(table, downgrades, {"pain_intensity": Assumed(0.43, 4, 21.9, "acute_lbp")})


def test_summary_of_findings_reads_as_in_a_review():
    shown = tables.findings(findings(), title="Findings")
    _, yoga, strength, pilates, note = rows_of(shown)
    assert yoga == [
        *("Yoga, pain", "3 (1,200)", "−12.0 [−20.0, −4.0]", "0.80", "26%"),
        *("NNTB 5.0 (3.0 to 20)", "low"),
    ]
    assert strength[2:6] == ["0.70 [0.50, 0.90] SD", "–", "–", "–"]
    assert pilates[1:] == ["–", "–", "–", "–", "–", "no evidence"]
    assert (
        "43% of people with acute low back pain improve as much without exercise (from 4 trials)"
        in note[0]
    )
    assert "standard deviation of 22 points" in note[0]


def test_domains_of_certainty_stand_side_by_side():
    head, yoga, strength, _ = rows_of(tables.downgrades(findings(), title="Why"))
    assert head == [
        *("Result", "Certainty", "Risk of bias", "Inconsistency", "Indirectness", "Imprecision"),
        "Small-study effects; incoherence",
    ]
    assert yoga == ["Yoga, pain", "low", "0: w", "−1: w", "0: w", "−2: w", "0: w; 0: w"]
    assert strength[1] == "moderate"


def test_published_estimates_stand_beside_ours():
    rows = rows_of(tables.published_effects(findings(), title="Published"))
    assert rows[1] == ["pain", "This report", "3", "−12.0 [−20.0, −4.0]", "–"]
    hayden = next(row for row in rows if "Hayden 2021" in row[1])
    assert hayden[3:] == ["−15.0 [−18.0, −12.0]", "yes"]


def test_adverse_events_are_word_for_word():
    evidence = bp.load_evidence().filter(trial_id=["pocovi2024", "sherman2011"])
    rows = rows_of(tables.adverse_events(evidence, title="Harms"))
    arms = evidence.arms
    printed = arms.loc[arms["trial_id"] == "pocovi2024", "adverse_events_text"].dropna()
    assert rows[1][0] == "Pocovi 2024"
    assert rows[1][2] == printed.iloc[0]
    assert rows[-1] == ["1 of 2 trials says anything."]


@pytest.fixture(scope="module")
def changes():
    return bp.sensitivity_changes(bp.load_evidence())[0]


@pytest.mark.parametrize("kpa", [False, True])
def test_changes_of_sensitivity_are_drawn_with_real_names(changes, kpa):
    axes = figures.sensitivity(changes, kpa=kpa)
    column = "yi_kpa" if kpa else "yi"
    marks = artists(axes, "change")
    assert sorted(mark.get_xdata()[0] for mark in marks) == sorted(changes[column].dropna())
    assert ("(kPa)" if kpa else "(SD)") in axes.get_xlabel()
    assert overlaps(axes) == [] and outside(axes) == []


def test_other_outcomes_do_not_say_which_side_is_better(changes):
    axes = figures.sensitivity(changes, "temporal_summation")
    assert axes.get_xlabel() == "Change of temporal summation (SD)"
    with pytest.raises(ValueError, match="no changes"):
        figures.sensitivity(changes[:0])


def test_outcomes_with_different_sides_name_none():
    results = {"Strength": bp.pool([0.7], [0.01]), "Depression": bp.pool([-0.1], [0.01])}
    axes = figures.summary_forest(results, lower_is_better=None)
    assert not any("favours" in text for text in texts(axes))
    assert any("favours" in text for text in texts(figures.summary_forest(results)))
