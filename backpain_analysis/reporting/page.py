"""Pages: what stands around a notebook's cells, and the index of a suite."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from backpain_analysis.reporting.facts import EvidenceFacts, Facts
from backpain_analysis.reporting.markup import prose, slug
from backpain_analysis.reporting.render import TEMPLATES, code_style
from backpain_analysis.reporting.suite import Report

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)
SECTION = re.compile(r'<h([2-6]) class="section">(.*?)</h\1>', re.DOTALL)
SHORTEST_CONTENTS = 4


def report_page(
    report: Report,
    body: str,
    *,
    suite_title: str,
    facts: Facts,
    evidence: EvidenceFacts | None,
    error: str = "",
) -> str:
    """Put a notebook's cells into a page with a header, contents and a footer.

    Parameters
    ----------
    report : Report
        What was run.
    body : str
        Its cells, from `render_body`.
    suite_title : str
        The title of the suite it belongs to.
    facts, evidence : Facts, EvidenceFacts or None
        What computed, and the evidence read, if any.
    error : str
        Why the run ended early; empty if it did not.
    """
    body, sections = _with_anchors(body)
    usual = {n: v for n, v in report.choices().items() if n not in report.parameters}
    contents = [s for s in sections if s["level"] <= 3]
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            report=report,
            suite_title=suite_title,
            asked=in_words(report, report.parameters),
            usual=in_words(report, usual),
            choices_json=json.dumps(choices(report), indent=2, ensure_ascii=False),
            contents=contents if len(contents) >= SHORTEST_CONTENTS else [],
            body=Markup(body),
            facts=facts,
            evidence=evidence,
            error=error,
        )
    )


class Entry(NamedTuple):
    """A report in the index: its answer in Markdown and why it ended early, if either is known."""

    report: Report
    answer: str
    error: str


def index_page(
    suite_title: str, entries: Sequence[Entry], evidence: Sequence[EvidenceFacts]
) -> str:
    """List a suite's reports: what each answers or asks, how it differs, whether it was finished.

    Parameters
    ----------
    suite_title : str
        The site's title.
    entries : sequence of Entry
    evidence : sequence of EvidenceFacts
        What the reports read.
    """
    shown = [
        {
            "name": entry.report.name,
            "title": entry.report.title,
            "text": Markup(prose(entry.answer or entry.report.notebook.description, f"x{number}-")),
            "choices": in_words(entry.report, entry.report.parameters),
            "error": entry.error,
        }
        for number, entry in enumerate(entries, start=1)
    ]
    return (
        _environment()
        .get_template("site.html.j2")
        .render(suite_title=suite_title, entries=shown, evidence=evidence)
    )


def choices(report: Report) -> dict[str, Any]:
    """Return a report's parameters but for the evidence's path: its name and hash say more."""
    return _without_path(report.choices())


def in_words(report: Report, values: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return parameters in a reader's words: name, value and the notebook's help."""
    declared = report.notebook.parameters
    return [
        {"name": name.replace("_", " "), "value": _word(value), "help": declared[name].help}
        for name, value in _without_path(values).items()
    ]


def _without_path(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != "evidence"}


def _word(value: Any) -> str:
    match value:
        case None | "":
            return "not set"
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(_word(item) for item in value) or "not set"
        case str():
            return value.replace("_", " ")
    return str(value)


def _with_anchors(body: str) -> tuple[str, list[dict[str, Any]]]:
    sections: list[dict[str, Any]] = []

    def anchored(match: re.Match[str]) -> str:
        level, text = int(match[1]), match[2]
        anchor = slug(text)
        taken = {section["anchor"] for section in sections}
        while anchor in taken:
            anchor += "-again"
        sections.append({"level": level, "anchor": anchor, "text": Markup(text)})
        return f'<h{level} id="{anchor}">{text}</h{level}>'

    return SECTION.sub(anchored, body), sections


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    environment.globals["style"] = Markup(style)
    environment.globals["code_style"] = Markup(code_style())
    environment.globals["policy"] = CONTENT_SECURITY_POLICY
    return environment
