"""What a page cites: found by name, and written as readers' programs read it."""

from __future__ import annotations

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from backpain_analysis import load_evidence
from backpain_analysis.reporting.references import (
    NOTE,
    bibtex,
    cited,
    link_of,
    noted,
    of_reviews,
    ris,
)

NONE = dict.fromkeys(
    ("kind", "label", "key", "author", "year", "title", "journal", "doi", "pmid", "url"), ""
)
FULL = NONE | {
    "label": "Aasa 2015",
    "key": "aasa2015",
    "author": "Aasa",
    "year": "2015",
    "title": "Lifting & {low} load: 50% \\input{x}",
    "journal": "J Orthop & Sports",
    "doi": "10.2519/jospt.2015.5021",
    "pmid": "25641309",
}


def shown(text: str):
    output = new_output("display_data", data={"text/html": f"<td>{text}</td>"})
    return new_code_cell("x", outputs=[output])


def test_trials_are_cited_where_they_are_named():
    nb = new_notebook(
        cells=[shown("Saper 2017"), new_markdown_cell("By Aasa 2015, not Saper 20131.")]
    )
    assert [each["label"] for each in cited(nb, None)] == ["Aasa 2015", "Saper 2017"]
    assert [each["key"] for each in cited(new_notebook(cells=[shown("aasa2015")]), None)] == [
        "aasa2015"
    ]
    assert cited(new_notebook(cells=[shown("XSaper 2017 Saper 20170")]), None) == []


def test_trials_whose_authors_were_not_seen_are_cited_by_identifier_only():
    trials = load_evidence().trials
    unknown = trials[trials["first_author"].isna()]["trial_id"]
    said = f"authors not seen, 2014; authors and year not seen; {unknown.iloc[0]}"
    nb = new_notebook(cells=[shown(said)])
    assert [each["key"] for each in cited(nb, None)] == [unknown.iloc[0]]


def test_a_reference_is_what_the_evidence_says():
    (found,) = cited(new_notebook(cells=[shown("Aasa 2015")]), None)
    row = load_evidence().trials.set_index("trial_id").loc["aasa2015"]
    assert found["title"] == row["title"] and found["doi"] == row["doi"]
    assert (found["author"], found["year"], found["pmid"]) == ("Aasa", "2015", str(row["pmid"]))
    assert link_of(found) == "https://doi.org/10.2519/jospt.2015.5021"


@pytest.mark.parametrize(
    ("given", "link"),
    [
        ({"doi": "10.1000/182", "pmid": "7"}, "https://doi.org/10.1000/182"),
        ({"pmid": "7", "url": "https://example.org/a"}, "https://pubmed.ncbi.nlm.nih.gov/7/"),
        ({"url": "https://example.org/a"}, "https://example.org/a"),
        ({"url": "javascript:alert(1)"}, ""),
        ({"doi": '10.1000/1"><script>', "pmid": "x"}, ""),
        ({}, ""),
    ],
)
def test_a_reference_leads_to_where_it_can_be_read(given, link):
    assert link_of(NONE | given) == link


def test_reviews_are_cited_where_they_are_named_with_all_that_tables_know():
    nb = new_notebook(
        cells=[shown("Pocovi 2022 (systematic review)"), shown("Hayden 2021 Cochrane")]
    )
    first, second = cited(nb, None)
    assert (first["kind"], first["label"], first["author"], first["year"]) == (
        *("review", "Hayden 2021 Cochrane", "Hayden", "2021"),
    )
    assert first["doi"] == "10.1002/14651858.CD009790.pub2"
    assert second["title"] == "Walking or running, cycling and swimming for back pain"
    assert (second["doi"], second["pmid"]) == ("10.2519/jospt.2022.10612", "34783263")
    assert cited(new_notebook(cells=[shown("Pocovi 20221 XPocovi 2022")]), None) == []


def test_each_review_stands_once_and_its_author_is_only_what_was_seen():
    reviews = of_reviews()
    labels = [each["label"] for each in reviews]
    assert len(set(labels)) == len(labels) == len({each["key"] for each in reviews}) > 90
    by = {each["label"]: (each["author"], each["year"]) for each in reviews}
    assert by["Mueller & Niederer 2020"] == ("Mueller & Niederer", "2020")
    assert by["PMC8910008 (authors not seen)"] == ("", "")
    assert by["Alzahrani 2019 (England and Scotland)"] == ("Alzahrani", "2019")
    assert by["IJzelenberg 2023"] == ("IJzelenberg", "2023")
    for label in ("WalkBack 2024 (Pocovi, single RCT)", "Pilates meta-regression 2013 (JBMT)"):
        assert by[label] == ("", "")
    assert all(link_of(each) for each in reviews)


def test_names_in_a_drawing_count_and_its_shapes_do_not():
    def drawn(inside):
        data = {"text/html": f"<svg x='1'>{inside}</svg>"}
        return new_notebook(
            cells=[new_code_cell("x", outputs=[new_output("display_data", data=data)])]
        )

    assert [r["key"] for r in cited(drawn("<desc>Aasa 2015</desc><path/>"), None)] == ["aasa2015"]
    assert cited(drawn("<path id='aasa2015'/>"), None) == []


def test_bibtex_holds_what_is_known_and_runs_nothing():
    assert bibtex([FULL, NONE | {"key": "b c}", "title": "T"}]) == (
        "@article{aasa2015,\n"
        "  author = {Aasa and others},\n"
        "  title = {{Lifting \\& \\{low\\} load: 50\\% input\\{x\\}}},\n"
        "  journal = {J Orthop \\& Sports},\n"
        "  year = {2015},\n"
        "  doi = {10.2519/jospt.2015.5021},\n"
        "  note = {PMID 25641309},\n"
        "}\n\n"
        "@article{bc,\n  title = {{T}},\n}\n"
    )


def test_ris_is_a_line_a_field():
    text = ris([FULL | {"title": "One\nER  - "}, NONE])
    assert text.split("\r\n") == [
        "TY  - JOUR",
        "AU  - Aasa",
        "TI  - One ER -",
        "JO  - J Orthop & Sports",
        "PY  - 2015",
        "DO  - 10.2519/jospt.2015.5021",
        "AN  - 25641309",
        "UR  - https://doi.org/10.2519/jospt.2015.5021",
        "ER  - ",
        "",
        "TY  - JOUR",
        "ER  - ",
        "",
    ]


@pytest.mark.parametrize("odd", [3, {}, "x", [3, None, []], [{"label": {"a": 1}, "doi": True}]])
def test_odd_notes_of_a_received_notebook_are_no_references(odd):
    nb = new_notebook(metadata={NOTE: odd})
    assert all(each == NONE for each in noted(nb))


def test_notes_are_kept_as_they_are():
    assert noted(new_notebook(metadata={NOTE: [FULL]})) == [FULL]
    assert noted(new_notebook(metadata={NOTE: [FULL | {"unknown": "field"}]})) == [FULL]
