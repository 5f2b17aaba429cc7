"""Tables of trials: counts and coverage in words."""

from __future__ import annotations

import re

import pytest
from bs4 import BeautifulSoup

import backpain_analysis as bp
from backpain_analysis.answers import tables
from backpain_analysis.answers.tables.trials import named
from backpain_analysis.display import Link


@pytest.fixture(scope="module")
def evidence():
    return bp.load_evidence()


def rows_of(shown) -> list[list[str]]:
    page = BeautifulSoup(shown._repr_html_(), "html.parser")
    return [[cell.get_text() for cell in row.select("td, th")] for row in page.select("tr")]


def test_counts_are_in_words(evidence):
    rows = rows_of(tables.counts(evidence, title="Counts"))
    assert rows[0] == ["", "What", "How many", "Of what"]
    assert rows[1] == ["Size", "Trials", "180", "trials"]
    assert ["Population", "Chronic low back pain", "119", "trials"] in rows
    assert ["", "People randomised"] in [row[:2] for row in rows] or any(
        row[1] == "People randomised" for row in rows if len(row) > 1
    )
    assert not any(re.search(r"[a-z]_[a-z]", " ".join(row)) for row in rows[:-1])


def test_coverage_is_in_words_with_an_address(evidence):
    shown = tables.coverage(evidence, title="Coverage")
    rows = rows_of(shown)
    assert len(rows) == 181 and len(rows[0]) == 6
    assert rows[1] == [
        *("Aasa 2015", "Recurrent low back pain", "Resistance, Motor control"),
        *("sessions per week, weeks of exercise, sessions in total", "pain, disability"),
        "of both kinds",
    ]
    assert not any(re.search(r"[a-z]_[a-z]", " ".join(row)) for row in rows)


@pytest.mark.parametrize(
    ("doi", "pmid", "url"),
    [
        ("10.1/x", 12, "https://doi.org/10.1/x"),
        (None, 12, "https://pubmed.ncbi.nlm.nih.gov/12/"),
        (None, None, None),
    ],
)
def test_a_trial_leads_to_its_report(doi, pmid, url):
    assert named("Saper 2013", doi, pmid) == (Link("Saper 2013", url) if url else "Saper 2013")
