"""Pages: a report, the index before them, and two reports side by side."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from html import unescape
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from backpain_analysis.reporting.clean import clean_whole
from backpain_analysis.reporting.facts import EvidenceFacts, Facts
from backpain_analysis.reporting.render import TEMPLATES, code_style, prose, slug
from backpain_analysis.reporting.suite import Report, without_path

SECTION = re.compile(r'<h([2-6]) class="section">(.*?)</h\1>', re.DOTALL)
SHORTEST_CONTENTS = 4
STYLES = ["fonts.css", "style.css"]


def report_page(
    report: Report,
    body: str,
    *,
    suite_title: str,
    facts: Facts,
    evidence: EvidenceFacts | None,
    error: str = "",
    summary: Mapping[str, Any] | None = None,
    inputs: Mapping[str, str] | None = None,
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
    summary : mapping, optional
        What can be downloaded beside the page, from `downloads.extras_of`.
    inputs : mapping of str to str, optional
        SHA-256 of the files that were read, by place.
    """
    body, sections = _with_anchors(body)
    usual = {n: v for n, v in report.choices().items() if n not in report.parameters}
    contents = [s for s in sections if s["level"] <= 3]
    return fill(
        "page.html.j2",
        report=report,
        suite_title=suite_title,
        asked=in_words(report, report.parameters),
        usual=in_words(report, usual),
        choices_json=json.dumps(report.told(), indent=2, ensure_ascii=False),
        contents=contents if len(contents) >= SHORTEST_CONTENTS else [],
        body=Markup(body),
        facts=facts,
        evidence=evidence,
        error=error,
        summary=summary,
        inputs=inputs or {},
    )


def fill(template: str, *, script: str = "", frames: bool = False, **values: Any) -> str:
    """Fill a template of a page that may reach nothing outside its folder.

    Parameters
    ----------
    template : str
        Its file's name.
    script : str
        The file name of the one script that may run in it; empty for none.
    frames : bool
        Whether it may show other pages of its folder.
    **values
        What the template asks for. Text is escaped.
    """
    code = (TEMPLATES / script).read_text(encoding="utf-8") if script else ""
    policy = content_security_policy(code, frames)
    return template_of(template).render(policy=policy, script=code, **values)


def template_of(name: str) -> Template:
    """Read a template, once in a process."""
    return _environment().get_template(name)


def content_security_policy(script: str = "", frames: bool = False) -> str:
    """Say what a page's browser may load and run: by default nothing but what the page holds.

    The one script of a page is known by its SHA-256, as Content Security Policy Level 3 has it; a
    page with a script may also show pictures of its own folder.
    """
    rules = ["default-src 'none'", "style-src 'unsafe-inline'", "font-src data:"]
    rules += ["img-src 'self' data:" if script else "img-src data:"]
    if script:
        digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
        rules += [f"script-src 'sha256-{digest}'", "require-trusted-types-for 'script'"]
    if frames:
        rules += ["frame-src 'self'"]
    return "; ".join([*rules, "base-uri 'none'", "form-action 'none'"])


def in_words(report: Report, values: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return parameters in a reader's words: name, value and the notebook's help."""
    declared = report.notebook.parameters
    return [
        {"name": name.replace("_", " "), "value": _word(value), "help": declared[name].help}
        for name, value in without_path(values).items()
    ]


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
    styles = [(TEMPLATES / name).read_text(encoding="utf-8") for name in STYLES]
    environment.globals["style"] = Markup("".join(styles))
    environment.globals["code_style"] = Markup(code_style())
    return environment


MOST_VALUES = 40
CELL = re.compile(r"(<td[^>]*>)([^<]+)<")


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
        From `downloads.extras_of`; `job.NOTHING` for a report that never began.
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
        lead=Markup(_linked(clean_whole(lead), runs)),
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
