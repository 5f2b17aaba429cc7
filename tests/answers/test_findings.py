"""Summary of findings."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import backpain_analysis as bp
from backpain_analysis.answers import findings
from backpain_analysis.answers.appraisals import trial_risk
from backpain_analysis.answers.claim_parts import each_trial_once
from backpain_analysis.answers.key_results import spread_within_arms
from backpain_analysis.effects.table import Effects
from backpain_analysis.models.pairwise.responders import responders_from_means

THREE = ["sherman2011", "tankha2024", "miyamoto2013"]


@pytest.fixture(scope="module")
def trials():
    return bp.load_evidence().filter(population=bp.BACK_PAIN)


@pytest.fixture(scope="module")
def found(trials):
    return bp.summary_of_findings(trials)


def row(found, what):
    return found.table[found.table["what"] == what].iloc[0]


def test_all_exercise_is_the_pooled_effect(trials, found):
    effects = trials.effects("pain_intensity").against_inactive()
    expected = bp.pool(effects.one_per_trial())
    pain = row(found, "exercise against no exercise, pain")
    assert pain["estimate"] == pytest.approx(expected.estimate)
    assert (pain["ci_low"], pain["ci_high"]) == pytest.approx((expected.ci_low, expected.ci_high))
    assert (pain["trials"], pain["participants"]) == (expected.n_trials, effects.n_participants)
    assert pain["share_of_mcid"] == pytest.approx(-expected.estimate / 15)
    believed = bp.pool(effects.one_per_trial(), prior="auto")
    assert pain["noticed"] == pytest.approx(believed.probability("< -15"))


def test_types_come_from_the_network(trials, found):
    effects = trials.effects("disability", head_to_head=True)
    lump = bp.lumping("families")
    part = bp.connected_part(effects, "inactive", lump=lump)
    result = bp.network(part, reference="inactive", lump=lump)
    expected = result.predict("yoga", "inactive")
    yoga = row(found, "yoga against no exercise, disability")
    assert yoga["estimate"] == pytest.approx(expected["estimate"])
    assert yoga["ci_high"] == pytest.approx(expected["ci_high"])
    believed = bp.network(part, reference="inactive", lump=lump, prior="auto")
    assert yoga["noticed"] == pytest.approx(believed.probability_of("< -10", "yoga"), abs=1e-4)


def test_numbers_needed_by_hand(trials, found):
    """1 / (Phi(d + Phi^-1(c)) - c), d in standard deviations within arms."""
    chronic = trials.filter(population="chronic_nslbp")
    share = responders_from_means(chronic, "pain_intensity").control_share
    table = trials.effects("pain_intensity").table.astype({"n_arm": float, "n_ref": float})
    sd = np.nanmedian(np.sqrt(table["vi"] / (1 / table["n_arm"] + 1 / table["n_ref"])))
    pain = row(found, "exercise against no exercise, pain")
    for number, effect in (("nnt", "estimate"), ("nnt_low", "ci_high"), ("nnt_high", "ci_low")):
        improved = stats.norm.cdf(stats.norm.ppf(share) - pain[effect] / sd)
        assert pain[number] == pytest.approx(1 / (improved - share))
    assert found.assumed["pain_intensity"].sd == pytest.approx(sd)


def test_spread_within_arms_by_hand():
    """Variances 100 (1/20 + 1/20) and 400 (1/40 + 1/10): SDs 10 and 20, median 15."""
    table = pd.DataFrame(
        {"trial_id": ["a", "b", "c"], "vi": [10.0, 50.0, 9.0]}
        | {"n_arm": [20, 40, np.nan], "n_ref": [20, 10, 5]}
    )
    effects = Effects(table, (), pd.DataFrame(), "pain_intensity", "MD")
    assert spread_within_arms(effects) == pytest.approx(15.0)
    assert np.isnan(spread_within_arms(Effects(table[2:], (), table, "p", "MD")))


def test_standardised_results_have_no_share_of_an_mcid(trials, found):
    strength = row(found, "exercise against no exercise, trunk strength")
    assert strength["unit"] == "SD"
    assert pd.isna(strength["share_of_mcid"]) and pd.isna(strength["nnt"])
    single = trials.effects("trunk_strength", measure="SMD").against_inactive().one_per_trial()
    half = bp.pool(single, prior="auto").probability("> 0.5")
    assert strength["noticed"] == pytest.approx(half)


def test_every_step_down_adds_up_to_the_level(found):
    levels = ["very low", "low", "moderate", "high"]
    for _, result in found.table.iterrows():
        steps = found.downgrades.loc[found.downgrades["what"] == result["what"], "steps"].sum()
        level = levels[max(0, 3 - int(steps))]
        own = found.downgrades[found.downgrades["what"] == result["what"]]
        unknown = own["reason"].str.startswith("unknown for").any()
        if result["trials"]:
            assert result["certainty"] == (
                min(level, "moderate", key=levels.index) if unknown else level
            )
        else:
            assert result["certainty"] == "no evidence"


def test_published_estimates_beside_ours():
    """Hayden 2021: pain -15 (-18 to -12), disability -7 (-8 to -5)."""
    table = findings.published_pooled("pain_intensity", -11.0, -13.0, -9.0)
    hayden = table[table["review"] == "Hayden 2021 Cochrane"].iloc[0]
    assert (hayden["estimate"], hayden["ci_low"], hayden["ci_high"]) == (-15, -18, -12)
    assert hayden["overlap"] and not hayden["inside"]
    apart = findings.published_pooled("disability", -20.0, -22.0, -18.0).set_index("review")
    assert not apart.loc["Hayden 2021 Cochrane", "overlap"]
    within = findings.published_pooled("disability", -6.0, -7.0, -5.5).set_index("review")
    assert within.loc["Hayden 2021 Cochrane", "inside"]


@pytest.mark.parametrize("kept", [THREE, ["andersen2014"], ["manniche1988"]])
def test_few_trials_or_none(kept):
    evidence = bp.load_evidence().filter(trial_id=kept).filter(population=bp.BACK_PAIN)
    few = bp.summary_of_findings(evidence)
    text = findings.answer(few)
    assert len(few.table) == 21
    assert "nan" not in text and "inf" not in text
    if kept != THREE:
        assert "no usable trial of pain; no usable trial of disability" in text
        assert few.assumed == {}
        assert few.table["estimate"].isna().all()


def test_answer_counts_levels(found):
    text = findings.answer(found)
    counts = found.table["certainty"].value_counts()
    assert f"very low for {counts['very low']}" in text
    assert text.startswith("Exercise against no exercise: pain −")


def test_trials_of_low_risk_by_themselves(trials):
    results = findings.by_risk(trials, "disability")
    effects = trials.effects("disability").against_inactive()
    risk = trial_risk(trials.appraisals)
    low = [trial for trial in set(effects.table["trial_id"]) if risk.get(trial) == "low"]
    own = effects.select(effects.table["trial_id"].isin(low), "another")
    assert results["Low risk of bias"].estimate == pytest.approx(each_trial_once(own).estimate)
    assert results["Low risk of bias"].n_trials == len(low)
    counts = [one.n_trials for name, one in results.items() if name.endswith("risk of bias")]
    assert sum(counts) == results["All trials"].n_trials


def test_without_trials_in_doubt_domain_by_domain(trials):
    results = findings.by_risk(trials, "disability")
    lights = trials.appraisals.pivot(index="trial_id", columns="domain", values="judgement")
    entered = set(trials.effects("disability").against_inactive().table["trial_id"])
    for domain, words in (
        ("allocation_concealment", "concealed allocation"),
        ("blinding_participants", "blind participants"),
    ):
        doubt = set(lights.index[lights[domain].isin(["high", "unclear"])]) & entered
        left = results[f"Without high or unclear risk: {words}"]
        assert doubt and left.n_trials == len(entered - doubt)
    assert "Without high or unclear risk: all outcomes reported" not in results
    flagged = trials.trials.loc[trials.trials["flag"] == "caution", "trial_id"]
    left = results["Without trials flagged for caution"]
    assert left.n_trials == len(entered - set(flagged)) < len(entered)
    assert next(iter(results)) == "All trials" and "Unknown risk of bias" in results
    none = bp.load_evidence().filter(trial_id=["manniche1988"])
    assert findings.by_risk(none, "disability") == {}


def made_findings(*rows):
    """Outcome, trials and certainty of each main result."""
    table = pd.DataFrame(rows, columns=["outcome", "trials", "certainty"])
    table = table.assign(estimate=-9.04, ci_low=-12.0, ci_high=-6.0)
    return findings.Findings(table, pd.DataFrame(), {})


SAID = [
    (
        [("pain_intensity", 3, "low"), ("disability", 1, "high"), ("x", 2, "low")],
        "Exercise against no exercise: pain −9.0 points of 100 (95% CI −12.0 to −6.0; 3 trials; "
        "low certainty); disability −9.0 points of 100 (95% CI −12.0 to −6.0; 1 trial; high "
        "certainty). Of 3 main results, certainty is high for 1, low for 2.",
    ),
    (
        [("pain_intensity", 0, "no evidence"), ("disability", 1, "low"), ("disability", 9, "low")],
        "Exercise against no exercise: no usable trial of pain; disability −9.0 points of 100 (95% "
        "CI −12.0 to −6.0; 1 trial; low certainty). Of 3 main results, certainty is low for 2, not "
        "known for 1 without evidence.",
    ),
]


@pytest.mark.parametrize(("rows", "words"), SAID)
def test_the_main_results_in_a_sentence(rows, words):
    assert findings.answer(made_findings(*rows)) == words


@pytest.mark.parametrize(
    ("ours", "overlap", "inside"),
    [
        ((-12.0, -13.0, -11.0), True, True),
        ((-18.0, -19.0, -17.5), True, True),
        ((-11.0, -12.0, -10.0), True, False),
        ((-19.0, -20.0, -18.0), True, False),
        ((-11.0, -11.9, -10.0), False, False),
        ((-19.0, -20.0, -18.1), False, False),
    ],
)
def test_intervals_overlap_where_they_touch(ours, overlap, inside, monkeypatch):
    """Theirs: -18 to -12."""
    names = ["outcome", "measure", "exercise_type_or_comparison", "review", "k_trials"]
    rows = [
        ("pain", findings.SAME_SCALE[0], "exercise v none", "A", 9, -15.0, -18.0, -12.0),
        ("pain", findings.SAME_SCALE[0], "yoga", "B", 9, -15.0, -18.0, -12.0),
        ("disability", findings.SAME_SCALE[0], "exercise", "C", 9, -15.0, -18.0, -12.0),
        ("pain", "SMD", "exercise", "D", 9, -15.0, -18.0, -12.0),
        ("pain", findings.SAME_SCALE[0], "exercise", "E", 9, -15.0, np.nan, -12.0),
    ]
    table = pd.DataFrame(rows, columns=[*names, "estimate", "ci_low", "ci_high"])
    monkeypatch.setattr(findings, "load_reference", lambda name: table)
    found = findings.published_pooled("pain_intensity", *ours)
    assert found["review"].tolist() == ["A"]
    assert found[["overlap", "inside"]].to_numpy().tolist() == [[overlap, inside]]
