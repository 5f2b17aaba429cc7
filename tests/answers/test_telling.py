"""An answer as a page shows it."""

from __future__ import annotations

import pytest

import backpain_analysis as bp
from backpain_analysis.answers.telling import address

TRIALS = bp.load_evidence()


@pytest.mark.parametrize(
    ("text", "plain", "shown"),
    [
        (
            "Not without saper2013.",
            "Not without Saper 2013.",
            "> Not without [Saper 2013](<https://doi.org/10.1155/2013/658030>).",
        ),
        (
            "Not without Saper 2013.",
            "Not without Saper 2013.",
            "> Not without [Saper 2013](<https://doi.org/10.1155/2013/658030>).",
        ),
        ("See Ibrahim 2023.", "See Ibrahim 2023.", "> See Ibrahim 2023."),
        ("mysaper2013, saper2013b", "mysaper2013, saper2013b", "> mysaper2013, saper2013b"),
    ],
    ids=["id", "name", "a name of two trials", "other words"],
)
def test_trials_are_named_and_linked(text, plain, shown):
    found = bp.told(text, TRIALS)
    assert str(found) == plain
    assert found._repr_markdown_() == shown


def test_without_trials_a_text_is_only_spelled_out():
    found = bp.told("−3 (95% CI −4 to −2), saper2013")
    assert str(found) == "−3 (95% confidence interval [CI] −4 to −2), saper2013"
    assert found._repr_markdown_() == f"> {found}"


WARNED = [
    (["kim2017"], "The one trial carries a warning that is not resolved: Kim 2017 (SD looks like"),
    (["saper2013"], "The one trial carries no warning that is not resolved."),
    (["saper2013", "teut2016"], "None of the 2 trials carries a warning that is not resolved."),
    (["kim2017", "teut2016"], "Of the 2 trials, 1 carries a warning that is not resolved: Kim"),
    (["kim2017", "liu2009", "teut2016"], "Of the 3 trials, 2 carry a warning that is not"),
    ([], "No trial enters."),
]


@pytest.mark.parametrize(("trials", "begins"), WARNED)
def test_who_carries_a_warning(trials, begins):
    assert bp.warned(TRIALS, trials).startswith(begins)


def test_a_warning_of_an_arm_that_a_filter_took_is_not_told():
    """Bello 2017 has its warning in another arm than that of walking."""
    begins = "The one trial carries {} warning that is not resolved"
    assert bp.warned(TRIALS, ["bello2017"]).startswith(begins.format("a"))
    walking = TRIALS.filter(exercise_type="aerobic_walking")
    assert bp.warned(walking, ["bello2017"]).startswith(begins.format("no"))


def test_a_trial_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="trial_id: no 'nobody2020'"):
        bp.warned(TRIALS, ["saper2013", "nobody2020"])


def test_a_warning_names_its_kinds_and_links_its_trial():
    shown = bp.warned(TRIALS, ["rasmussen2015", "lehtola2016"])._repr_markdown_()
    assert "](<https://doi.org/" in shown
    assert "(interval not symmetric, clusters taken as if people were randomised)" in shown
    assert not shown.startswith(">")


@pytest.mark.parametrize(
    ("doi", "pmid", "url"),
    [
        ("10.1/x", "12", "https://doi.org/10.1/x"),
        (None, "12", "https://pubmed.ncbi.nlm.nih.gov/12/"),
        (None, None, ""),
    ],
)
def test_where_a_report_is_read(doi, pmid, url):
    assert address(doi, pmid) == url
