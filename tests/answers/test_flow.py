"""Which trials enter, and why the others do not."""

from __future__ import annotations

import pandas as pd
import pytest
from bs4 import BeautifulSoup

import backpain_analysis as bp
from backpain_analysis.answers import tables
from backpain_analysis.answers.flow import STEPS, Flow, trial_flow
from tests.made import made

PEOPLE, NOT_MEASURED, FLAGGED, NO_CONTROL, UNUSABLE = STEPS

# reasons of a trial's arms, whether it is of the people asked about, measured, entered
TRIALS = [
    ((["arm size unknown"], True, True, True), "enters", ""),
    (([], False, True, False), PEOPLE, PEOPLE),
    (([], True, False, False), NOT_MEASURED, "pain not reported"),
    ((["flagged exclude: x", "arm size unknown"], True, True, False), FLAGGED, None),
    ((["no inactive arm and so on"], True, True, False), NO_CONTROL, None),
    (
        (["no inactive arm", "no exercise and not inactive (sham)"], True, True, False),
        NO_CONTROL,
        None,
    ),
    ((["compared with a lower dose"], True, True, False), NO_CONTROL, None),
    ((["design: crossover"], True, True, False), NO_CONTROL, None),
    (([], True, True, False), NO_CONTROL, NO_CONTROL),
    (
        (["inactive arm of a trial without a usable contrast"], True, True, False),
        NO_CONTROL,
        NO_CONTROL,
    ),
    ((["no inactive arm", "arm size unknown"], True, True, False), UNUSABLE, None),
    (
        (["arm size unknown", "outcome not reported for this arm"], True, True, False),
        UNUSABLE,
        "arm size unknown",
    ),
]


def evidence(trials, measured):
    columns = ["trial_id", "first_author", "year", "doi", "pmid", "population"]
    table = pd.DataFrame([(t, "Saper", 2013, None, None, "chronic_nslbp") for t in trials])
    outcomes = pd.DataFrame({"trial_id": measured, "outcome": "pain_intensity"})
    table = table.set_axis(columns, axis=1) if len(table) else pd.DataFrame(columns=columns)
    return made("Evidence", trials=table, outcomes=outcomes, contrasts=outcomes[:0])


@pytest.mark.parametrize(("given", "step", "reason"), TRIALS)
def test_the_step_and_the_reason_of_a_trial(given, step, reason):
    reasons, asked, measured, entered = given
    effects = made(
        "Effects",
        outcome="pain_intensity",
        table=pd.DataFrame({"trial_id": ["a"] * entered}),
        excluded=pd.DataFrame({"trial_id": "a", "reason": reasons}, columns=["trial_id", "reason"]),
    )
    part = evidence(["a"] * asked, ["a"] * measured)
    row = trial_flow(evidence(["a"], []), part, effects).table.iloc[0]
    assert (row["step"], row["trial"]) == (step, "Saper 2013")
    assert row["reason"] == ("; ".join(reasons) if reason is None else reason)


@pytest.fixture(scope="module")
def found():
    whole = bp.load_evidence()
    asked = whole.filter(population=bp.BACK_PAIN)
    return trial_flow(whole, asked, asked.effects("pain_intensity").against_inactive())


def test_every_trial_has_one_step_and_the_numbers_add_up(found):
    steps = found.summary()
    assert steps["left"].iloc[0] == len(found.table) == 180
    assert steps["left"].iloc[-1] == len(found.entered)
    assert len(found.entered) + len(found.left_out) == 180
    assert (steps["left"].diff().dropna() == -steps["removed"].iloc[1:]).all()
    assert (found.left_out["reason"].str.len() > 5).all() and (found.entered["reason"] == "").all()


def test_the_flow_in_a_sentence(found):
    counts = found.table["step"].value_counts()
    said = ", ".join(f"{counts[step]} {step}" for step in STEPS)
    n = len(found.entered)
    assert found.sentence() == (f"Of 180 trials, {n} enter the analysis of pain; left out: {said}.")
    one = type(found)(found.entered.iloc[:1], "disability")
    assert one.sentence() == "Of 1 trial, 1 enters the analysis of disability."


def test_trials_are_listed_with_their_address_those_that_enter_first(found):
    page = BeautifulSoup(tables.trials(found, title="Trials")._repr_html_(), "html.parser")
    rows = page.select("tbody tr")
    enters = [row.select("td")[2].text for row in rows]
    assert enters == ["yes"] * len(found.entered) + ["no"] * len(found.left_out)
    links = [row.a["href"] for row in rows if row.a]
    known = found.table["doi"].notna() | found.table["pmid"].notna()
    assert len(links) == known.sum()
    assert (
        sum(link.startswith("https://doi.org/10.") for link in links)
        == found.table["doi"].notna().sum()
    )
    shown = BeautifulSoup(tables.flow(found, title="Flow")._repr_html_(), "html.parser")
    assert len(shown.select("tbody tr")) == 6 and found.sentence() in shown.text


def test_a_trial_whose_authors_were_not_seen_has_no_made_up_name(found):
    row = found.table.set_index("trial_id").loc["anonbfr_undated"]
    assert row["trial"] == "authors and year not seen"
    assert not found.table["trial"].str.startswith("anon").any()


def test_contrasts_measure_an_outcome_too():
    effects = made(
        "Effects",
        outcome="pain_intensity",
        table=pd.DataFrame({"trial_id": []}),
        excluded=pd.DataFrame({"trial_id": ["a"], "reason": ["no_sd_known"]}),
    )
    part = evidence(["a"], [])
    part.contrasts = pd.DataFrame({"trial_id": ["a"], "outcome": ["pain_intensity"]})
    row = trial_flow(evidence(["a"], []), part, effects).table.iloc[0]
    assert (row["step"], row["reason"]) == (UNUSABLE, "no sd known")


@pytest.mark.parametrize(
    ("entered", "words"),
    [
        (0, "Of 3 trials, 0 enter the analysis of pain; left out: 3 outcome not reported."),
        (1, "Of 3 trials, 1 enters the analysis of pain; left out: 2 outcome not reported."),
        (2, "Of 3 trials, 2 enter the analysis of pain; left out: 1 outcome not reported."),
        (3, "Of 3 trials, 3 enter the analysis of pain."),
    ],
)
def test_how_many_enter(entered, words):
    steps = ["enters"] * entered + [NOT_MEASURED] * (3 - entered)
    found = Flow(pd.DataFrame({"step": steps}), "pain_intensity")
    assert found.sentence() == words
    summary = found.summary()
    assert summary["left"].tolist()[-1] == entered
    assert summary["removed"].sum() == 3 - entered
    assert "Flow of trials" in repr(found) or "Flow of trials" in found._repr_html_()
