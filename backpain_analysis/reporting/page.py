"""Pages: a report, the index before them, and two reports side by side."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape, unescape
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from lxml import html
from markupsafe import Markup

from backpain_analysis.reporting.clean import clean_whole
from backpain_analysis.reporting.facts import EvidenceFacts, Facts
from backpain_analysis.reporting.render import TEMPLATES, code_style, prose, slug
from backpain_analysis.reporting.suite import Report, without_path

SECTION = re.compile(r'<h([2-6]) class="section">(.*?)</h\1>', re.DOTALL)
SHORTEST_CONTENTS = 4
NO_CSS_TEXT = re.compile(r"[^\w .,:;?!()%+/–-]")
STYLES = ["fonts.css", "style.css"]

TOLD = "CannotEstimate: "
"""How an error begins that says what data cannot tell; all others are faults."""


def report_page(
    report: Report,
    body: str,
    *,
    suite_title: str,
    facts: Facts,
    evidence: EvidenceFacts | None,
    answer: str = "",
    error: str = "",
    summary: Mapping[str, Any] | None = None,
    references: Sequence[Mapping[str, str]] = (),
    inputs: Mapping[str, str] | None = None,
    explored: str = "",
) -> str:
    """Put a notebook's cells into a page: its answer, contents, cells, choices and a footer.

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
    answer : str
        Markdown of the notebook's answer; empty if it gives none.
    error : str
        Why the run ended early; empty if it did not.
    summary : mapping, optional
        What can be downloaded beside the page, from `downloads.extras_of`.
    references : sequence of mappings, optional
        What it cites, from `references.cited`, each with its `link`.
    inputs : mapping of str to str, optional
        SHA-256 of the files that were read, by place.
    explored : str
        What readers can choose from, as JSON from `explorer.explored_in`; empty for nothing.
    """
    body, sections = with_anchors(body)
    usual = {n: v for n, v in report.choices().items() if n not in report.parameters}
    contents = [s for s in sections if s["level"] <= 3]
    return fill(
        "page.html.j2",
        script="explorer.js" if explored else "",
        explored=Markup(escape(explored, quote=False)),
        report=report,
        suite_title=suite_title,
        asked=in_words(report, report.parameters),
        usual=in_words(report, usual),
        choices_json=json.dumps(report.told(), indent=2, ensure_ascii=False),
        contents=contents if len(contents) >= SHORTEST_CONTENTS else [],
        body=Markup(body),
        answer=Markup(clean_whole(prose(answer, "answer-"))) if answer else "",
        facts=facts,
        evidence=evidence,
        error=error,
        summary=summary,
        references=references,
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


TURN = re.compile(rb'<nav class="turn"[^>]*>.*?</nav>', re.DOTALL)
Neighbour = tuple[str, str] | None
"""A report's name and title."""

Beside = tuple[Neighbour, Neighbour, str]
"""The reports before and after one, and clean HTML of links to others."""


def turned(page: bytes, before: Neighbour, after: Neighbour, others: str = "") -> bytes:
    """Write into a page which reports stand beside it; that is not part of its making."""
    links = [
        f'<a rel="{rel}" href="{escape(other[0])}.html"><span>{word}</span> {escape(other[1])}</a>'
        for rel, word, other in (("prev", "Before", before), ("next", "Next", after))
        if other
    ]
    inside = f"{''.join(links)}{others}"
    nav = f'<nav class="turn" aria-label="Other reports">{inside}</nav>'.encode()
    return TURN.sub(lambda found: nav, page, count=1)


def neighbours(reports: Sequence[Report]) -> dict[str, Beside]:
    """Return, by name, what stands beside each report: others, the explorer, and what it explores.

    A page on which readers choose leads to the reports of notebooks that have such choices, with
    their choices for its script; every other page leads to it.
    """
    named = [None, *((report.name, report.title) for report in reports), None]
    explorer = next((report for report in reports if report.notebook.explores), None)
    return {
        report.name: (named[n], named[n + 2], _others(report, explorer, reports))
        for n, report in enumerate(reports)
    }


EXPLORED = ("outcome", "dose")


def _others(report: Report, explorer: Report | None, reports: Sequence[Report]) -> str:
    if explorer is None:
        return ""
    if report is not explorer:
        return f'<a href="{escape(explorer.name)}.html">{escape(explorer.title)}</a>'
    links = []
    for each in reports:
        choices = each.choices()
        if set(EXPLORED) <= choices.keys():
            data = "".join(f' data-{name}="{escape(str(choices[name]))}"' for name in EXPLORED)
            address = f'hidden href="{escape(each.name)}.html"'
            links.append(f"<a {address}{data}>{escape(each.title)}</a>")
    return "".join(links)


NOT_READ = re.compile(
    r"<(style|svg|math)\b.*?</\1>|<details class=\"code\".*?</details>|<[^>]*>", re.DOTALL
)
LABEL = re.compile(r'<(?:div|svg|img)\b[^>]*\b(?:aria-label|alt)="([^"]*)"[^>]*>')
DESCRIBED = re.compile(r"<svg\b[^>]*>\s*<desc>(.*?)</desc>", re.DOTALL)
ANCHORED = re.compile(r'<h[2-6] id="([^"]+)">(.*?)</h[2-6]>', re.DOTALL)


def texts_of(body: str) -> list[dict[str, str]]:
    """Return the text of each section of a body, for searching: `anchor`, `title`, `text`."""
    parts = ANCHORED.split(with_anchors(body)[0])
    found = zip(["content", *parts[1::3]], ["", *parts[2::3]], parts[0::3], strict=True)
    read = [(anchor, _plain(title), _plain(text)) for anchor, title, text in found]
    return [{"anchor": a, "title": h, "text": t} for a, h, t in read if (h or t) and h != "Code"]


def _plain(markup: str) -> str:
    labelled = LABEL.sub(lambda found: f" {found[1]} {found[0]}", markup)
    labelled = DESCRIBED.sub(lambda found: f" {found[1]} {found[0]}", labelled)
    return " ".join(unescape(NOT_READ.sub(" ", labelled)).split())


def with_anchors(body: str) -> tuple[str, list[dict[str, Any]]]:
    """Give each heading of a body an address; return the body and its sections."""
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
    environment.filters["css_text"] = lambda text: NO_CSS_TEXT.sub("", text)
    environment.globals["style"] = Markup("".join(styles))
    environment.globals["code_style"] = Markup(code_style())
    environment.filters["untold"] = untold
    return environment


def untold(error: str) -> str:
    """Return why data cannot answer; empty for an error that is a fault."""
    return error.removeprefix(TOLD) if error.startswith(TOLD) else ""


MOST_VALUES = 40
MOST_ANSWERS = 4
LEAST_RUNS = 5
MOST_TEXT = 3_000_000
SENTENCE = re.compile(r".*?[.!?](?=\s|$)", re.DOTALL)
BRIEF = re.compile(r"(?:verdict|certainty|estimate)\b", re.IGNORECASE)
CELL = re.compile(r"(<(?:td|dd)[^>]*>)([^<]+)<")


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
    claims, others = _one_line_each(clean_whole(lead))
    return fill(
        "index.html.j2",
        script="index.js",
        suite_title=suite_title,
        runs=runs,
        key_answers=_key_answers(entries, runs),
        texts=_texts(entries),
        claims=Markup(_linked(claims, runs)),
        facets=_facets(runs),
        several=_several(runs),
        evidence=evidence,
        lead=Markup(_linked(others, runs)),
    )


def _key_answers(
    entries: Sequence[Entry], runs: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Choose the answers that open an index: of the first notebooks that have one and a figure."""
    found: dict[str, dict[str, Any]] = {}
    for entry, run in zip(entries, runs, strict=True):
        summary = entry.summary
        if entry.answer and summary["thumbnail"] and not (entry.error or summary["claims"]):
            first = SENTENCE.match(entry.answer)
            said = prose(first[0] if first else entry.answer, f"k{len(found)}-")
            found.setdefault(run["kind"], {**run, "sentence": Markup(said)})
    return list(found.values())[:MOST_ANSWERS] if len(runs) >= LEAST_RUNS else []


def _texts(entries: Sequence[Entry]) -> list[dict[str, str]]:
    """Return what can be searched: sections by page, cut short where all would be too much."""
    texts = [
        {"page": entry.report.name, "report": entry.report.title, **section}
        for entry in entries
        for section in entry.summary.get("sections", [])
    ]
    if not texts:
        return []
    room = MOST_TEXT // len(texts)
    cut = sum(len(each["text"]) for each in texts) > MOST_TEXT
    return [{**each, "text": each["text"][:room]} for each in texts] if cut else texts


def _one_line_each(markup: str) -> tuple[str, str]:
    """Write a table of claims as a line each, with the rest on demand; and what is no such table.

    A table is one of claims if a column is called so; a line holds the claim, and the beginning of
    its verdict, certainty and estimate.
    """
    root = html.fragment_fromstring(markup, create_parent="div") if markup else None
    table = root.find(".//table") if root is not None else None
    heads = [] if table is None else [_said(cell) for cell in table.iterfind(".//thead/tr/th")]
    rows = [] if table is None else [row.findall("td") for row in table.iterfind(".//tbody/tr")]
    names = [head.lower() for head in heads]
    if "claim" not in names or any(len(cells) != len(heads) for cells in rows):
        return "", markup
    brief = [n for n, head in enumerate(heads) if BRIEF.match(head)]
    lines = []
    for cells in rows:
        parts = (_said(cells[n]).partition(";")[0] for n in brief)
        said = "".join(f'<span class="part">{escape(part)}</span>' for part in parts)
        more = "".join(
            f"<div><dt>{escape(head)}</dt><dd>{_inner(cell)}</dd></div>"
            for head, cell in zip(heads, cells, strict=True)
            if head.lower() != "claim" and _said(cell)
        )
        claim = f'<span class="claim">{_inner(cells[names.index("claim")])}</span>'
        lines.append(
            f"<li><details><summary>{claim} {said}</summary><dl>{more}</dl></details></li>"
        )
    notes = [] if table is None else table.iterfind(".//tfoot/tr/td")
    note = "".join(f"<p>{_inner(cell)}</p>" for cell in notes)
    return clean_whole(f'<ul class="claims">{"".join(lines)}</ul>{note}'), ""


def _said(element: html.HtmlElement) -> str:
    return " ".join(element.text_content().split())


def _inner(element: html.HtmlElement) -> str:
    text = escape(element.text or "", quote=False)
    return text + "".join(html.tostring(each, encoding="unicode") for each in element)


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
        "explores": report.notebook.explores,
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
