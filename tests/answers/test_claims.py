"""Every claim is answered, and its numbers are those of the models called by hand."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

import backpain_analysis as bp
from backpain_analysis.answers import claims as claims_module
from backpain_analysis.answers.certainty import Body, certainty
from backpain_analysis.answers.claim_parts import HAZARD_RATIO, Context, judged, untestable
from backpain_analysis.answers.claim_tests import (
    BACK_PAIN_ONLY,
    EVERYBODY,
    others,
    posture,
    unharmonised,
)
from backpain_analysis.answers.claims import Claims, claims_table
from backpain_analysis.answers.published import agreement, published_answers
from backpain_analysis.answers.verdicts import VERDICTS
from backpain_analysis.datasets.bundled import data_dir, notebooks_dir

IDS = [f"C{number:02}" for number in range(1, 28)]
THREE = ["sherman2011", "tankha2024", "miyamoto2013"]


@pytest.fixture(scope="module")
def evidence():
    return bp.load_evidence()


@pytest.fixture(scope="module")
def backs(evidence):
    return evidence.filter(population=bp.BACK_PAIN)


@pytest.fixture(scope="module")
def found(evidence):
    return bp.claims(evidence)


def part(found, claim, words):
    parts = found.parts[found.parts["claim_id"] == claim]
    chosen = parts[parts["what"].str.contains(words, regex=False)]
    assert len(chosen) == 1
    return chosen.iloc[0]


def numbers(row):
    return tuple(float(row[name]) for name in ("estimate", "ci_low", "ci_high"))


def test_every_claim_is_answered_once(found):
    assert list(found.table["claim_id"]) == IDS
    assert sorted([*BACK_PAIN_ONLY, *EVERYBODY]) == IDS
    assert set(found.parts["claim_id"]) == set(IDS)
    assert set(found.table["verdict"]) <= set(VERDICTS)
    assert (found.table["reason"].str.len() > 5).all()
    assert found.counts().sum() == len(IDS)


def test_trials_stand_in_reasons_by_name(found):
    said = " ".join([*found.parts["reason"], *found.table["reason"]])
    assert "not estimable without Machado 2010" in said
    assert not [name for name in bp.load_evidence().trials["trial_id"] if name in said]


def test_each_names_a_notebook_that_asks_it():
    names = {path.stem for path in notebooks_dir().glob("*.ipynb")}
    assert set(claims_table()["notebook"]) <= names


def test_columns_are_those_of_the_codebook():
    text = (data_dir() / "README.md").read_text(encoding="utf-8")
    section = text.split(": `claims.csv`\n", 1)[1]
    documented = re.findall(r"^\| `(\w+)` \|", section.split("\n## ")[0], re.MULTILINE)
    assert documented == list(claims_table().columns)


def test_aerobic_exercise_is_a_network(backs, found):
    """C01."""
    lump = bp.lumping("families")
    effects = backs.effects("pain_intensity", head_to_head=True)
    result = bp.network(
        bp.connected_part(effects, "inactive", lump=lump), reference="inactive", lump=lump
    )
    row = result.predict("aerobic", "inactive")
    assert numbers(part(found, "C01", "aerobic")) == pytest.approx(numbers(row))


def test_disability_is_pooled(backs, found):
    """C05."""
    single = backs.effects("disability").against_inactive().one_per_trial()
    result = bp.pool(single)
    own = part(found, "C05", "against no exercise")
    assert numbers(own) == pytest.approx((result.estimate, result.ci_low, result.ci_high))
    assert own["trials"] == single.n_trials


def test_more_minutes_are_the_dose_answer(backs, found):
    """C05."""
    answer = bp.dose_answer(backs.effects("disability"), "minutes_per_week", mcid=10)
    own = part(found, "C05", "among those who exercise")
    slope = answer.slope
    assert numbers(own) == pytest.approx((slope.estimate, slope.ci_low, slope.ci_high))
    if not answer.supported:
        assert own["verdict"] == "inconclusive"


def test_single_bouts_by_hand(found):
    """C06: differences of changes in kPa, with their variances (tests/effects/test_sensitivity)."""
    result = bp.pool([18.0, 110.0, 45.0], [4377.1, 3758.666667, 182.808155])
    own = part(found, "C06", "single bout")
    assert numbers(own) == pytest.approx((result.estimate, result.ci_low, result.ci_high), rel=1e-5)


def test_recurrence_by_hand(found):
    """C13: three ratios of one trial, 1.11, 0.95 and 0.69, correlated by a half; two of others."""
    ratios = np.array(
        [
            [1.11, 0.80, 1.54],
            [0.95, 0.72, 1.26],
            [0.69, 0.46, 1.04],
            [0.72, 0.60, 0.85],
            [0.37, 0.22, 0.64],
        ]
    )
    logs, low, high = np.log(ratios).T
    se = (high - low) / (2 * 1.959964)
    alike = np.full((3, 3), 0.5) + 0.5 * np.eye(3)
    together = se[:3] @ alike @ se[:3] / 9
    result = bp.pool([logs[:3].mean(), *logs[3:]], [together, *se[3:] ** 2])
    own = part(found, "C13", "hazard")
    assert numbers(own) == pytest.approx((result.estimate, result.ci_low, result.ci_high), rel=1e-5)
    assert own["unit"] == HAZARD_RATIO
    assert own["text"].startswith(f"hazard ratio {np.exp(result.estimate):.2f} [")
    assert own["reason"].endswith("(1 trial of people without pain)")
    shares = part(found, "C13", "share of people")
    assert shares["reason"] == (
        "Calatayud 2020 8% against 33%, Hides 2001 30% against 84%; without arm sizes there is no "
        "interval"
    )


def test_guideline_dose_on_the_curve(backs, found):
    """C16."""
    answer = bp.dose_answer(backs.effects("disability"), "minutes_per_week", mcid=10)
    recommended = part(found, "C16", "as guidelines print it")
    assert (recommended["verdict"], recommended["certainty"]) == ("supported", "not graded")
    assert recommended["reason"] == "2 of 2 guidelines on file say so"
    own = part(found, "C16", "disability")
    assert numbers(own) == pytest.approx(numbers(answer.result.predict([150.0]).iloc[0]))


def test_age_is_a_meta_regression(backs, found):
    """C23."""
    single = backs.effects("disability").against_inactive().one_per_trial()
    ages = backs.trials.set_index("trial_id")["mean_age"].astype(float)
    table = single.table.assign(age=single.table["trial_id"].map(ages)).dropna(subset=["age"])
    fitted = bp.meta_regression("yi ~ age", table)
    own = part(found, "C23", "effect on disability")
    asked = bp.moderation(backs, "disability").table.set_index("moderator")
    row = asked.loc["Mean age, per 10 years"]
    assert numbers(own) == pytest.approx(numbers(row))
    assert own["estimate"] == pytest.approx(10 * fitted.params["age"])


def test_neck_pain_is_pooled_by_itself(evidence, found):
    """C26."""
    effects = evidence.filter(population="neck_pain").effects("pain_intensity").against_inactive()
    result = bp.pool(effects.one_per_trial(), test="z")
    own = part(found, "C26", "against no exercise")
    assert numbers(own) == pytest.approx((result.estimate, result.ci_low, result.ci_high))


def test_what_no_trial_measured_is_not_testable(found):
    for claim in ("C10", "C24", "C27"):
        row = found.table.set_index("claim_id").loc[claim]
        assert row["verdict"] == "not tested in these trials"
        assert (row["certainty"], row["data"], row["estimate"]) == ("no evidence", "none", "")
    assert part(found, "C10", "posture")["reason"] == "no trial measured posture"


def test_words_are_looked_for_in_the_tables(evidence):
    outcomes = evidence.outcomes.copy()
    outcomes.loc[0, "instrument_text"] = "Posture score, serum IL-6"

    class Own:
        contrasts = evidence.contrasts

    own = Own()
    own.outcomes = outcomes
    context = Context(own)
    assert posture(context)[0].reason == "posture is not harmonised"
    assert unharmonised(context, "", "cortisol", "cortisol").reason == "no trial measured cortisol"


def test_running_is_judged_by_the_trial_of_runners(found):
    """C19: Neason 2024 printed -15.3 on 0-100: high impact did not worsen pain."""
    own = part(found, "C19", "running against no exercise")
    assert own["estimate"] == pytest.approx(-15.3)
    assert (own["verdict"], own["reason"]) == ("evidence against", "running lowered pain")


@pytest.mark.parametrize(
    ("claim", "words", "moderator"),
    [
        ("C15", "supervised instead of unsupervised, effect on pain", "Supervised instead of"),
        ("C20", "higher intensity", "Higher intensity instead"),
        ("C21", "co-intervention instead of alone, effect on pain", "With a co-intervention"),
        ("C25", "acute", "Acute instead of chronic"),
    ],
)
def test_claims_say_what_the_moderators_page_says(backs, found, claim, words, moderator):
    table = bp.moderation(backs, "pain_intensity").table
    row = table[table["moderator"].str.startswith(moderator)].iloc[0]
    parts = found.parts[found.parts["claim_id"] == claim]
    own = parts[parts["what"].str.contains(words) & ~parts["what"].str.contains("disab")].iloc[0]
    if not np.isfinite(row["estimate"]):
        assert (own["reason"], own["text"]) == (row["note"], "")
        return
    assert numbers(own) == pytest.approx(numbers(row))
    assert own["verdict"] == "inconclusive" and row["p_holm"] >= 0.05


def test_the_part_named_in_advance_decides(found):
    for _, row in found.table.iterrows():
        parts = found.parts[found.parts["claim_id"] == row["claim_id"]]
        own = parts[parts["primary"]]
        assert list(own["what"]) == [row["primary"]]
        for column in ("verdict", "certainty", "reason"):
            assert row[column] == own[column].iloc[0]
        assert row["estimate"] == own["text"].iloc[0]


def test_published_answers_stand_beside_each_verdict(found):
    row = found.table.set_index("claim_id").loc["C13"]
    count = (published_answers("C13")["direction_for_claim"] == "supports").sum()
    assert row["verdict"] == "inconclusive" and count > 4
    assert row["agreement"].startswith("These trials cannot say; ")
    assert agreement(judged("x", SOUND, "kPa", -1), published_answers("C99")).startswith("No pub")


SOUND = Body(-18.0, -22.0, -16.0, n_trials=8, n_participants=900, low_risk=8, mcid=15.0)


def test_a_part_is_judged_by_its_rules():
    own = judged("x", SOUND, "points of 100", -1, trials=["b", "a", "a"])
    assert (own.certainty, own.verdict, own.trials) == (certainty(SOUND), "supported", ("a", "b"))
    assert own.estimate_text == "−18.0 [−22.0 to −16.0] points of 100"
    worse = judged("x", SOUND, "points of 100", 1)
    assert worse.verdict == "evidence against" and "harm" in worse.reason
    other = judged("x", SOUND, "points of 100", 1, rule="difference")
    assert other.reason == "the second does better"
    wide = judged("x", SOUND, "points of 100", -1, rule="equivalence")
    assert wide.verdict == "evidence against"
    endless = Body(20.0, 0.0, np.inf, n_trials=3, n_participants=90)
    assert judged("x", endless, "weeks", 1).estimate_text == "20.0 [0.0 to ∞] weeks"
    ratio = Body(np.log(0.5), np.log(0.25), 0.0, n_trials=3, n_participants=90)
    text = judged("x", ratio, HAZARD_RATIO, -1).estimate_text
    assert text == "hazard ratio 0.50 [0.25 to 1.00]"


def test_other_people_are_counted_and_named():
    people = pd.Series(["chronic_nslbp", "healthy", "neck_pain", "healthy", "other"])
    assert others(people) == (
        "2 trials of people without pain",
        "1 trial of neck pain",
        "1 trial of other",
    )
    assert others(pd.Series(["acute_lbp"])) == ()


def test_some_claims_only(evidence):
    few = bp.claims(evidence, ids=["C10", "C24"])
    assert list(few.table["claim_id"]) == ["C10", "C24"]
    assert few.answer() == "Of 2 claims: 2 not tested in these trials."
    with pytest.raises(ValueError, match=f"no claim 'C99'.* to {IDS[-1]}"):
        bp.claims(evidence, ids=["C99"])


@pytest.mark.parametrize(
    ("name", "primary", "told"),
    [
        ("C10", "exercise, posture", "'exercise, posture' is no part of its answer. Parts are: "),
        ("C99", "exercise, posture", "nothing in answers/claim_tests.py answers C99"),
    ],
)
def test_a_claim_without_its_answer_is_named(evidence, monkeypatch, name, primary, told):
    listed = claims_table()
    listed.loc[9, ["claim_id", "primary"]] = name, primary
    monkeypatch.setattr("backpain_analysis.answers.claims.claims_table", lambda: listed)
    with pytest.raises(ValueError, match=rf"^claims\.csv.*{re.escape(told)}"):
        bp.claims(evidence, ids=[name])


@pytest.mark.parametrize("kept", [THREE, ["andersen2014"], ["manniche1988"]])
def test_few_trials_or_none_are_said(evidence, kept):
    few = bp.claims(evidence.filter(trial_id=kept))
    assert list(few.table["claim_id"]) == IDS
    texts = " ".join([*few.table["estimate"], *few.table["reason"], few.answer()])
    assert not re.search(r"\bnan\b|\binf\b|None", texts)
    untestable = few.parts["verdict"] == "not tested in these trials"
    assert untestable.sum() > 30
    assert (few.parts.loc[untestable, "reason"].str.len() > 5).all()


def test_as_a_page(found):
    assert "C27" in found._repr_html_()


def test_the_claims_in_a_sentence():
    """Of two tested ones 0.05 would be supported by chance, 0.1 as it is shown."""
    table = pd.DataFrame(
        {
            "verdict": ["supported", "inconclusive", "not tested in these trials", "supported"],
            "certainty": ["moderate", "low", "no evidence", "high"],
        }
    )
    assert Claims(table, pd.DataFrame()).answer() == (
        "Of 4 claims: 2 supported; 1 inconclusive; 1 not tested in these trials. For 2 of them the "
        "evidence is of moderate or high certainty. If none of the 3 tested claims were true, "
        "about 0.1 would still be called supported by chance."
    )


@pytest.mark.parametrize(("trials", "data"), [(0, "none"), (1, "1 trial"), (9, "9 trials")])
def test_what_a_claim_rests_on(trials, data):
    body = Body(-20.0, -24.0, -16.0, n_trials=trials, n_participants=90, mcid=15.0)
    part = judged("x, pain", body, "points of 100", -1)
    assert claims_module._row("C99", part)["data"] == data
    shown = claims_module._part(part)
    assert (shown["trials"], shown["participants"], shown["ci_low"]) == (trials, 90, -24.0)
    nothing = claims_module._part(untestable("x", "why"))
    assert (nothing["trials"], nothing["participants"], nothing["estimate"]) == (0, 0, None)
    assert claims_module._row("C99", untestable("x", "why"))["data"] == "none"
