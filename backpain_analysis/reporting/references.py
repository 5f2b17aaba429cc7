"""References: the trials and reviews that a page names, as a list, as BibTeX and as RIS."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache, lru_cache
from numbers import Real
from pathlib import Path
from typing import Any

import pandas as pd

from backpain_analysis.datasets.bundled import load_reference
from backpain_analysis.evidence import Evidence, load_evidence
from backpain_analysis.reporting.drawings import TO_END
from backpain_analysis.reporting.schemas import nbformat
from backpain_analysis.words import author_year

NOTE = "backpain_references"
"""Where an executed notebook keeps what it cites."""

FIELDS = ("kind", "label", "key", "author", "year", "title", "journal", "doi", "pmid", "url")
TRIAL, REVIEW = "trial", "review"
REVIEWS = {
    "published_claims": {"label": "review_id", "title": "title_short"},
    "published_meta_analyses": {"label": "review"},
    "activity_cohorts": {"label": "study"},
}
"""Tables of published work, with the columns that are called otherwise there."""

NAME = r"(?:Mc[A-Z]|IJ|[A-ZÀ-Ý])[a-zß-ÿ']+"
BY = re.compile(rf"({NAME}(?:[- ]{NAME})*(?: & {NAME})?) (\d{{4}})\b")
"""Authors and year, as "Dal Farra 2022"; what else a label begins with is no author."""

WORD = re.compile(r"\w+")
DOI = re.compile(r"10\.\d{4,9}/[^\s\"<>{}\\]+")
ADDRESS = re.compile(r"https?://[^\s\"<>{}\\]+")
SPECIAL = re.compile(r"([&%$#_{}])")
LONGEST = 2000
LONGEST_KEY = 60
MOST = 2000

Reference = dict[str, str]


def cited(nb: nbformat.NotebookNode, evidence: Path | None) -> list[Reference]:
    """Find what an executed notebook names: trials, as "Saper 2017" or by identifier, and reviews.

    Parameters
    ----------
    nb : NotebookNode
    evidence : Path or None
        The folder or workbook that it read; None for the bundled evidence.
    """
    is_named = _names_in("\n".join(_texts(nb)))
    trials = [
        trial
        for trial in of_trials(evidence)
        if is_named(trial["key"]) or (trial["author"] and is_named(trial["label"]))
    ]
    named = [review for review in of_reviews() if is_named(review["label"])]
    once = {review["doi"] or review["label"]: review for review in named}
    return [*trials, *once.values()]


def _names_in(shown: str) -> Callable[[str], bool]:
    """Return what says whether a text has a name in it, as words of their own."""
    words, shown = set(WORD.findall(shown)), f"\n{shown}\n"

    def is_named(name: str) -> bool:
        if WORD.fullmatch(name):
            return name in words
        at = shown.find(name) if words.issuperset(WORD.findall(name)) else -1
        while at >= 0:
            if not (WORD.match(shown, at - 1) or WORD.match(shown, at + len(name))):
                return True
            at = shown.find(name, at + 1)
        return False

    return is_named


def of_trials(evidence: Path | None) -> list[Reference]:
    """Return every trial of some evidence as a reference, by name."""
    return _of_trials(load_evidence(evidence))


@lru_cache(maxsize=1)
def _of_trials(evidence: Evidence) -> list[Reference]:
    found = []
    for row in evidence.trials.itertuples():
        given = {name: _text(getattr(row, name, None)) for name in FIELDS}
        about = {
            "kind": TRIAL,
            "label": author_year(row.first_author, row.year),
            "key": str(row.trial_id),
            "author": _text(row.first_author),
            "url": _text(getattr(row, "source_url", None)),
        }
        found.append({**given, **about})
    return sorted(found, key=lambda each: (each["label"], each["key"]))


@cache
def of_reviews() -> list[Reference]:
    """Return every review and cohort of the reference tables as a reference, once, by name."""
    found: dict[str, Reference] = {}
    for table, columns in REVIEWS.items():
        for row in load_reference(table).to_dict("records"):
            given = {name: _text(row.get(columns.get(name, name))) for name in FIELDS}
            label, by = given["label"], BY.match(given["label"])
            author, year = by.groups() if by else ("", given["year"])
            key = re.sub(r"\W+", "", label.lower())[:LONGEST_KEY]
            about = {"kind": REVIEW, "key": key, "author": author, "year": year}
            about["url"] = _text(row.get("source_url"))
            before = found.get(label, {})
            new = {**given, **about}
            found[label] = {name: before.get(name) or value for name, value in new.items()}
    return sorted(found.values(), key=lambda each: (each["label"], each["key"]))


def noted(nb: nbformat.NotebookNode) -> list[Reference]:
    """Return what an executed notebook has noted of its references; nothing that is not text."""
    kept = nb.metadata.get(NOTE, [])
    if not isinstance(kept, list):
        return []
    return [
        {name: _text(each.get(name))[:LONGEST] for name in FIELDS}
        for each in kept[:MOST]
        if isinstance(each, Mapping)
    ]


def link_of(reference: Mapping[str, str]) -> str:
    """Return where a reference can be read; empty if nobody noted that."""
    if DOI.fullmatch(reference["doi"]):
        return f"https://doi.org/{reference['doi']}"
    if reference["pmid"].isdecimal():
        return f"https://pubmed.ncbi.nlm.nih.gov/{reference['pmid']}/"
    return reference["url"] if ADDRESS.fullmatch(reference["url"]) else ""


def bibtex(references: Iterable[Mapping[str, str]]) -> str:
    """Write references as BibTeX."""
    entries = []
    for each in references:
        fields = {
            "author": each["author"] and f"{each['author']} and others",
            "title": each["title"] and f"{{{_escaped(each['title'])}}}",
            "journal": each["journal"],
            "year": each["year"],
            "doi": each["doi"],
            "url": "" if each["doi"] else link_of(each),
            "note": each["pmid"] and f"PMID {each['pmid']}",
        }
        raw = {"title", "doi", "url"}
        lines = [
            f"  {name} = {{{value if name in raw else _escaped(value)}}},"
            for name, value in fields.items()
            if value
        ]
        key = re.sub(r"[^\w-]", "", each["key"]) or "trial"
        entries.append("\n".join([f"@article{{{key},", *lines, "}"]))
    return "\n\n".join(entries) + "\n"


def ris(references: Iterable[Mapping[str, str]]) -> str:
    """Write references as RIS, for Zotero, EndNote and the like."""
    entries = []
    for each in references:
        fields = {
            "TY": "JOUR",
            "AU": each["author"],
            "TI": each["title"],
            "JO": each["journal"],
            "PY": each["year"],
            "DO": each["doi"],
            "AN": each["pmid"],
            "UR": link_of(each),
        }
        lines = [f"{tag}  - {' '.join(value.split())}" for tag, value in fields.items() if value]
        entries.append("\r\n".join([*lines, "ER  - "]))
    return "\r\n\r\n".join(entries) + "\r\n"


def _texts(nb: nbformat.NotebookNode) -> Iterable[str]:
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            yield cell.source
        for output in cell.get("outputs", []):
            yield str(output.get("text", ""))
            for kind, content in output.get("data", {}).items():
                if kind.startswith("text/") and isinstance(content, str):
                    yield DRAWN.sub(r" \1 ", content)


DRAWN = re.compile(rf"<svg\b[^>]*>(?:\s*<desc>(.*?)</desc>)?{TO_END}", re.DOTALL)


def _text(value: Any) -> str:
    """Return a cell of a table as text; a missing one, and what is no text or number, as none."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, Real) or pd.isna(value):
        return ""
    return f"{float(value):.17g}"


def _escaped(text: str) -> str:
    return SPECIAL.sub(r"\\\1", text.replace("\\", ""))
