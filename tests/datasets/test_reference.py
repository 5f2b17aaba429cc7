"""Reference tables by name, against the printed figures."""

from __future__ import annotations

import csv

import pytest

from backpain_analysis.datasets.bundled import data_dir, load_reference, reference_names


def test_names():
    assert set(reference_names()) == {
        "mcid",
        "met_defaults",
        "met_values",
        "published_meta_analyses",
        "published_claims",
        "activity_cohorts",
        "guidelines",
        "pre_post_correlation",
        "exercise_induced_hypoalgesia_reviews",
        "exercise_induced_hypoalgesia_studies",
    }


@pytest.mark.parametrize(("word", "hint"), [("mcids", "'mcid'"), ("zzz", "Known: mcid, ")])
def test_unknown_name(word, hint):
    with pytest.raises(ValueError, match=hint):
        load_reference(word)


def test_codes_keep_their_leading_zero():
    mets = load_reference("met_defaults").set_index("exercise_type")
    assert mets.loc["yoga", ["met", "compendium_code"]].tolist() == [2.5, "02150"]


def test_mcids_of_ostelo_2008():
    mcid = load_reference("mcid")
    ostelo = mcid[mcid["source"].str.startswith("Ostelo 2008") & (mcid["kind"] == "absolute")]
    found = ostelo.set_index("instrument")["mcid"].to_dict()
    assert {name: found[name] for name in ("VAS", "NRS", "RMDQ", "ODI", "QBPDS")} == {
        "VAS": 15,
        "NRS": 2,
        "RMDQ": 5,
        "ODI": 10,
        "QBPDS": 20,
    }


def test_hayden_2021_is_as_printed():
    table = load_reference("published_meta_analyses")
    row = table[(table["review"] == "Hayden 2021 Cochrane") & (table["outcome"] == "pain")].iloc[0]
    columns = ["k_trials", "n", "estimate", "ci_low", "ci_high"]
    assert row[columns].tolist() == [35, 2746, -15, -18, -12]


def test_answers_are_to_claims_that_are_there():
    with open(data_dir() / "claims.csv", encoding="utf-8", newline="") as file:
        claims = {row["claim_id"] for row in csv.DictReader(file)}
    answers = load_reference("published_claims")
    assert set(answers["claim_id"]) <= claims
    row = answers[(answers["review_id"] == "Pocovi 2022") & (answers["estimate"] == -0.23)].iloc[0]
    assert row[["claim_id", "ci_low", "ci_high", "n_studies"]].tolist() == ["C01", -0.35, -0.1, 10]


def test_answers_said_to_be_in_the_other_table_are_there():
    answers = load_reference("published_claims")
    twice = answers[answers["note"].str.contains("Already in published_meta_analyses")]
    assert 0 < len(twice) < len(answers)
    there = load_reference("published_meta_analyses")["estimate"].dropna()
    printed = twice["estimate"].dropna()
    assert printed.isin(there).all(), printed[~printed.isin(there)]


def test_heuch_2016_is_as_printed():
    cohorts = load_reference("activity_cohorts")
    women = cohorts[cohorts["study"] == "Heuch 2016 HUNT2-HUNT3, women"]
    assert women["cases"].tolist() == [331, 735, 419, 322, 108]
    counted = cohorts[cohorts["cases"].notna() & (cohorts["n_kind"] == "people")]
    assert (counted["cases"] <= counted["n_or_person_years"]).all()
    limits = cohorts.dropna(subset=["rr", "ci_low", "ci_high"])
    assert (limits["ci_low"] <= limits["rr"]).all() and (limits["rr"] <= limits["ci_high"]).all()
