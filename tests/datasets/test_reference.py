"""Reference tables by name, against the printed figures."""

from __future__ import annotations

import pytest

from backpain_analysis.datasets.bundled import load_reference, reference_names


def test_names():
    assert set(reference_names()) == {
        "mcid",
        "met_defaults",
        "met_values",
        "published_meta_analyses",
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
