"""One number, one place: pages that speak of the same question hold the same number."""

from __future__ import annotations

import json
import math

import pandas as pd
import pytest

import backpain_analysis as bp
from backpain_analysis.answers import findings, mechanisms, sentences
from backpain_analysis.answers.claim_parts import Context, each_trial_once
from backpain_analysis.answers.key_results import (
    Assumed,
    KeyResults,
    assumption,
    improved,
    number_needed,
)
from backpain_analysis.datasets.bundled import notebooks_dir
from backpain_analysis.effects.over_time import effects_over_time
from backpain_analysis.models.time.course import time_course

NUMBERS = ["estimate", "ci_low", "ci_high"]


@pytest.fixture(scope="module")
def trials():
    return bp.load_evidence().filter(population=bp.BACK_PAIN)


@pytest.fixture(scope="module")
def context(trials):
    return Context(trials)


@pytest.fixture(scope="module")
def key(context):
    return bp.key_results(context)


@pytest.fixture(scope="module")
def summary(trials):
    return bp.summary_of_findings(trials)


def numbers(row):
    return tuple(float(row[name]) for name in NUMBERS)


@pytest.mark.parametrize("outcome", ["pain_intensity", "disability"])
def test_the_page_of_pooled_effects_holds_the_key_number(trials, key, outcome):
    effects = trials.effects(outcome, flags=["exclude"]).against_inactive()
    overall = each_trial_once(effects)
    row = key.table.set_index("outcome").loc[outcome]
    assert (overall.estimate, overall.ci_low, overall.ci_high) == pytest.approx(numbers(row))
    assert (overall.pi_low, overall.pi_high) == pytest.approx((row["pi_low"], row["pi_high"]))
    said = sentences.pooled(overall, outcome, mcid=bp.mcid(outcome))
    assert f"{abs(row['estimate']):.1f} points" in said
    people = f"In {row['trials']} trials ({row['participants']:,} participants)"
    assert said.startswith(people)


def test_what_is_done_to_key_results_stays_with_who_did_it(trials):
    changed = bp.key_results(trials)
    changed.table["estimate"] = 0.0
    changed.parts.clear()
    changed.assumed.clear()
    again = bp.key_results(trials)
    assert (again.table["estimate"] != 0).all()
    assert set(again.parts) >= set(again.assumed) >= {"pain_intensity"}


def test_findings_hold_the_key_numbers(summary, key):
    found = summary.table.set_index("what")
    for row in key.table.to_dict("records"):
        own = found.loc[key.parts[row["outcome"]].what]
        assert numbers(own) == pytest.approx(numbers(row))
        assert own["certainty"] == row["certainty"]
        assert pd.isna(own["nnt_text"]) or own["nnt_text"] == row["nnt_text"]


def test_claims_hold_the_key_numbers(key):
    found = bp.claims(ids=["C05", "C07", "C11", "C12"]).parts.set_index("what")
    for outcome in ("disability", "trunk_strength", "quality_of_life", "depression_anxiety"):
        part = key.parts[outcome]
        own = found.loc[part.what]
        assert (own["text"], own["certainty"]) == (part.estimate_text, part.certainty.level)


def test_mechanisms_hold_the_key_numbers(trials, key):
    results, _ = mechanisms.pooled(trials)
    table = key.table.set_index("outcome")
    assert set(results) <= set(table.index)
    for outcome, result in results.items():
        own = (result.estimate, result.ci_low, result.ci_high)
        assert own == pytest.approx(numbers(table.loc[outcome]))


def test_the_time_course_page_and_its_claim_are_one_model(trials):
    effects = effects_over_time(trials, "pain_intensity", flags=["exclude"]).against_inactive()
    course = time_course(effects)
    assert course.rests_on == ("machado2010",)
    parts = bp.claims(ids=["C18"]).parts.set_index("what")
    waits = parts.loc["weeks until 90% of the effect, pain"]
    assert waits["reason"] == "not estimable without Machado 2010"
    assert waits["verdict"] == "not tested in these trials" and math.isnan(waits["estimate"])
    lasts = parts.loc["change in the 6 months after the programme, pain"]
    assert lasts["reason"] == "1 trial measured more than once"
    page = effects_over_time(trials, "disability", flags=["exclude"]).against_inactive()
    month = time_course(page).durability().monthly
    own = parts.loc["change in the 6 months after the programme, disability"]
    expected = [6 * month[name] for name in ("estimate", "ci_low", "ci_high")]
    assert numbers(own) == pytest.approx(expected)


def test_pages_of_sensitivity_and_its_claim_agree():
    changes, _ = bp.sensitivity_changes(bp.load_evidence())
    text = mechanisms.sensitivity_answer(changes)
    for part in bp.claims(ids=["C06"]).parts.dropna(subset=["estimate"]).itertuples():
        low, high = f"{part.ci_low:.0f}", f"{part.ci_high:.0f}"
        assert f"{part.estimate:.0f} kilopascals (95% CI {low} to {high}" in text


def test_pages_take_their_key_numbers_from_one_place():
    """What a page computes for all exercise against no exercise, it computes by these names."""
    names = {
        "02_pooled_effects": "each_trial_once(effects",
        "06_time_course": "bp.key_results(trials)",
        "08_mechanisms": "mechanisms.pooled(trials)",
        "11_certainty": "bp.summary_of_findings(trials)",
        "12_claims": "bp.claims(trials)",
    }
    for name, call in names.items():
        cells = json.loads((notebooks_dir() / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
        code = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        assert call in code
        assert "nnt_from" not in code and ".nnt" not in code


def test_in_a_sentence(key):
    row = key.table.set_index("outcome").loc["pain_intensity"]
    assert key.sentence("pain_intensity") == (
        f"pain {key.parts['pain_intensity'].estimate_text} ({row['trials']} trials, "
        f"{row['certainty']} certainty); {row['nnt_text']} for an improvement by the MCID, where "
        f"{improved(key.assumed['pain_intensity'])}"
    )
    assert key.sentence("trunk_strength") == (
        "trunk strength 0.70 [0.51 to 0.89] SD (1 trial, low certainty)"
    )
    assert key.sentence("trunk_endurance") == (
        "trunk endurance: no trial with a usable result against an inactive control"
    )
    assert "Exercise against no exercise" in key._repr_html_()


def test_acute_and_chronic_controls_are_not_averaged(trials):
    acute = assumption(Context(trials.filter(population="acute_lbp")), "pain_intensity")
    chronic = assumption(Context(trials.filter(population="chronic_nslbp")), "pain_intensity")
    assert (acute.population, chronic.population) == ("acute_lbp", "chronic_nslbp")
    assert acute.control_share > 0.8 and chronic.control_share < 0.35


def test_no_usable_trial_gives_no_number():
    none = bp.key_results(bp.load_evidence().filter(trial_id=["manniche1988"]))
    assert isinstance(none, KeyResults) and none.table.empty and none.assumed == {}
    assert none.sentence("disability").startswith("disability: no trial with a usable result")


@pytest.mark.parametrize(
    ("assumed", "text"),
    [
        (
            Assumed(0.273, 3, 20.0),
            "27% of people with chronic low back pain improve as much without exercise "
            "(from 3 trials)",
        ),
        (
            Assumed(0.8, 1, 20.0, "acute_lbp"),
            "80% of people with acute low back pain improve as much without exercise "
            "(from 1 trial)",
        ),
    ],
)
def test_what_is_assumed_in_words(assumed, text):
    assert improved(assumed) == text


def test_a_benefit_needs_few_whatever_its_sign(key):
    part = key.parts["pain_intensity"]
    given = Assumed(0.3, 3, 20.0)
    assert number_needed(part, -1, given).text.startswith("NNTB")
    assert number_needed(part, 1, given).text.startswith("NNTH")


def test_one_context_gives_one_object(context, key, summary):
    assert context.key("disability", "MD") is key.parts["disability"]
    text = findings.answer(summary)
    assert f"pain {context.key('pain_intensity', 'MD').body.estimate:.1f}".replace("-", "−") in text
