"""The pages that stand before the reports: the index, and two reports side by side."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from html import unescape
from typing import Any, NamedTuple

from markupsafe import Markup

from backpain_analysis.reporting.facts import EvidenceFacts
from backpain_analysis.reporting.markup import prose
from backpain_analysis.reporting.page import fill, in_words
from backpain_analysis.reporting.suite import Report

MOST_VALUES = 40
CELL = re.compile(r"(<td[^>]*>)([^<]+)<")
NOTHING: dict[str, Any] = {"notebook": "", "tables": [], "thumbnail": "", "claims": ""}


class Entry(NamedTuple):
    """A report in the index.

    Attributes
    ----------
    report : Report
    answer : str
        Markdown; empty if the notebook gives none.
    error : str
        Why it ended early; empty if it did not.
    summary : mapping
        From `downloads.extras_of`; `NOTHING` for a report that never began.
    """

    report: Report
    answer: str
    error: str
    summary: Mapping[str, Any]


def index_page(
    suite_title: str,
    entries: Sequence[Entry],
    evidence: Sequence[EvidenceFacts],
    lead: str = "",
) -> str:
    """List a suite's reports: what each answers or asks, how it differs, whether it was finished.

    Parameters
    ----------
    suite_title : str
        The site's title.
    entries : sequence of Entry
    evidence : sequence of EvidenceFacts
        What the reports read.
    lead : str
        Clean HTML to stand before the list; cells of its tables that name a notebook become links.
    """
    runs = _runs(entries)
    return fill(
        "index.html.j2",
        script="index.js",
        suite_title=suite_title,
        runs=runs,
        facets=_facets(runs),
        several=_several(runs),
        evidence=evidence,
        lead=Markup(_linked(lead, runs)),
    )


def compare_page(suite_title: str, entries: Sequence[Entry]) -> str:
    """Make the page that sets any two reports of one notebook side by side; empty if none has two.

    Parameters
    ----------
    suite_title : str
        The site's title.
    entries : sequence of Entry
    """
    runs = _runs(entries)
    several = _several(runs)
    if not several:
        return ""
    groups = [[run for run in runs if run["kind"] == kind] for kind in several]
    return fill(
        "compare.html.j2", script="compare.js", frames=True, suite_title=suite_title, groups=groups
    )


def _runs(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    return [_run(number, entry) for number, entry in enumerate(entries, start=1)]


def _run(number: int, entry: Entry) -> dict[str, Any]:
    report = entry.report
    choices = in_words(report, report.choices())
    return {
        "name": report.name,
        "title": report.title,
        "file": f"{report.name}.html",
        "kind": report.notebook.name,
        "question": report.notebook.title,
        "text": Markup(prose(entry.answer or report.notebook.description, f"x{number}-")),
        "asked": in_words(report, report.parameters),
        "choices": choices,
        "values": json.dumps({c["name"]: c["value"] for c in choices}, ensure_ascii=False),
        "error": entry.error,
        **entry.summary,
    }


def _linked(markup: str, runs: Sequence[Mapping[str, Any]]) -> str:
    """Let each table cell that names a notebook lead to the first report of it."""
    first: dict[str, str] = {}
    for run in runs:
        first.setdefault(run["kind"], run["file"])

    def link(cell: re.Match[str]) -> str:
        name = unescape(cell[2])
        return f'{cell[1]}<a href="{first[name]}">{cell[2]}</a><' if name in first else cell[0]

    return CELL.sub(link, markup)


def _facets(runs: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Find the parameters worth a filter: those that differ between runs of one notebook."""
    values: dict[str, dict[str, None]] = {}
    differing = set()
    first: dict[tuple[str, str], str] = {}
    for run in runs:
        for choice in run["choices"]:
            name, value = choice["name"], choice["value"]
            values.setdefault(name, {})[value] = None
            if first.setdefault((run["kind"], name), value) != value:
                differing.add(name)
    return {
        name: list(found)
        for name, found in values.items()
        if name in differing and len(found) <= MOST_VALUES
    }


def _several(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name the notebooks that were run more than once."""
    return [kind for kind, times in Counter(run["kind"] for run in runs).items() if times > 1]
