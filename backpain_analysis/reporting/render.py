"""Render Markdown, formulae and an executed notebook as the body of a page."""

from __future__ import annotations

import json
import re
import warnings
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import cache, partial
from html import escape
from pathlib import Path
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context
from nbconvert.exporters import TemplateExporter
from nbconvert.filters import get_metadata
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import PythonLexer, get_lexer_by_name
from pygments.util import ClassNotFound
from traitlets.config import Config

from backpain_analysis.reporting.clean import clean, clean_whole, picture
from backpain_analysis.reporting.drawings import thinned
from backpain_analysis.reporting.formulae import Formulae
from backpain_analysis.reporting.notebooks import (
    answer_place,
    expects_error,
    language_of,
    tagged,
)
from backpain_analysis.reporting.pictures import SOURCE, attached, size_of
from backpain_analysis.reporting.schemas import nbformat
from backpain_analysis.reporting.terminal import as_html, without_kernel

DELIMITERS = re.compile(r"\A\s*(\${1,2}|\\\[|\\\()(?P<body>.*?)(\${1,2}|\\\]|\\\))\s*\Z", re.DOTALL)
NO_FORMULAE = Formulae()


def latex_output(source: str, prefix: str, formulae: Formulae = NO_FORMULAE) -> str:
    """Convert a cell's LaTeX output, with or without its dollar signs, to clean HTML.

    Parameters
    ----------
    source : str
    prefix : str
        What ids in it begin with.
    formulae : Formulae, optional
        What the page's formulae share.
    """
    match = DELIMITERS.match(source)
    return clean(_block(formulae, match["body"] if match else source), prefix)


def prose(
    source: str,
    prefix: str,
    attachments: Mapping[str, Any] | None = None,
    formulae: Formulae = NO_FORMULAE,
) -> str:
    """Render Markdown with formulae as clean HTML; headings start at level 2.

    Parameters
    ----------
    source : str
        Markdown; HTML in it is kept, but for what `clean` takes out.
    prefix : str
        What ids in it begin with.
    attachments : mapping, optional
        A cell's attachments, by name and then by media type.
    formulae : Formulae, optional
        What the page's formulae share.
    """
    renderer = _Renderer(formulae, attachments or {})
    return clean(MarkdownWithMath(renderer=renderer).render(formulae.references(source)), prefix)


def _block(formulae: Formulae, latex: str) -> str:
    made = formulae.mathml(latex, "block")
    return f'<div class="formula">{made}</div>' if made else ""


class _Renderer(IPythonRenderer):
    """Renders Markdown with a cell's pictures and a page's formulae."""

    def __init__(self, formulae: Formulae, attachments: Mapping[str, Any]):
        super().__init__(escape=False)
        self._formulae = formulae
        self._given = attachments

    def heading(self, text: str, level: int, **attrs: object) -> str:
        level = max(level, 2)
        return f'<h{level} class="section">{text}</h{level}>\n'

    def image(self, text: str, url: str, title: str | None = None) -> str:
        address = attached(url, self._given) or url
        titled = f' title="{escape(title)}"' if title else ""
        return f'<img src="{escape(address)}" alt="{escape(text)}"{titled}{_measures(address)}>'

    def inline_html(self, html: str) -> str:
        return SOURCE.sub(self._with_picture, super().inline_html(html))

    def block_html(self, html: str) -> str:
        return SOURCE.sub(self._with_picture, super().block_html(html))

    def _with_picture(self, found: re.Match[str]) -> str:
        address = attached(found[2] or found[3] or found[4] or "", self._given)
        return f'{found[1]}"{address}"' if address else found[0]

    def inline_math(self, body: str) -> str:
        if body[:1].isspace() or body[-1:].isspace():
            return escape(f"${body}$")  # sums of money, as in Pandoc
        return self._formulae.mathml(body)

    def block_math(self, body: str) -> str:
        return _block(self._formulae, body)

    def latex_environment(self, name: str, body: str) -> str:
        return _block(self._formulae, f"\\begin{{{name}}}{body}\\end{{{name}}}")


def _measures(address: str) -> str:
    """Write a picture's size as attributes, where it stands in its address."""
    kind, _, data = address.removeprefix("data:").partition(";base64,")
    content = picture(kind, data) if data else None
    size = size_of(content) if content else None
    return f' width="{size[0]}" height="{size[1]}"' if size else ""


LONGEST_SLUG = 100


def slug(text: str) -> str:
    """Make a fragment identifier of a heading."""
    words = re.sub(r"<[^>]+>", "", text).lower()
    return re.sub(r"[^a-z0-9]+", "-", words)[:LONGEST_SLUG].strip("-") or "section"


TEMPLATES = Path(__file__).parent / "templates"
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
OUTPUT_PRIORITY = [
    *("text/html", "image/svg+xml", *PICTURES, "text/markdown", "text/latex"),
    *("application/json", "text/plain"),
]
INTERACTIVE = re.compile(r"application/(?:vnd\.|javascript|pdf|x-)|text/vnd\.|audio/|video/")
WIDGET = "application/vnd.jupyter.widget-view+json"
SEEN = re.compile(r"<(?:img|svg|math|table|hr|input|meter|progress)\b", re.IGNORECASE)
STYLE = re.compile(r"<style\b.*?</style>", re.DOTALL)
MARKUP = re.compile(r"<[^>]*>")
REMOVED = {"cell": {"remove-cell", "remove_cell"}, "input": {"remove-input", "remove_input"}}
REMOVED["output"] = {"remove-output", "remove_output"}
CLOSED = {"hide-output", "hide_output", "hide-cell", "hide_cell"}
CODE_FORMATTER = HtmlFormatter(cssclass="highlight", wrapcode=True)
PYTHON = PythonLexer()
EVIDENCE_PATH = re.compile(r"^evidence = .*\n?", re.MULTILINE)
TITLE = re.compile(r"\A\s*#\s[^\n]*\n?")
SVG_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.DOTALL)


def render_body(nb: nbformat.NotebookNode) -> str:
    """Render a notebook's cells as HTML that holds all it needs.

    Parameters
    ----------
    nb : NotebookNode
        Executed; its first heading, the title, and its answer are left to the page's header.
    """
    kinds = {"include_code": True, "include_markdown": True}
    resources = {"page": _Page(nb), "global_content_filter": kinds}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an output that cannot be shown the page tells
        body = _exporter().template.render(nb=_prepared(nb), resources=resources)
    return thinned(clean_whole(body))


def render_claims(nb: nbformat.NotebookNode) -> str:
    """Render what the cell tagged ``claims`` shows, for the top of a site; empty without one."""
    cell = tagged(nb, "claims")
    outputs = cell.get("outputs", []) if cell else []
    tables = [output.data["text/html"] for output in outputs if "text/html" in _data(output)]
    return "\n".join(clean(table, f"claims{n}-") for n, table in enumerate(tables, start=1))


def has_failed(cell: nbformat.NotebookNode) -> bool:
    """Whether a cell ended the run; a notebook as it was run has our own mark of it."""
    noted = cell.metadata.get("papermill", {}).get("exception") is True
    return noted or cell.metadata.get("backpain", {}).get("failed") is True


def without_path(nb: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Return a notebook's cells without the evidence's path: it is of one machine only."""
    return [
        nbformat.from_dict({**cell, "source": EVIDENCE_PATH.sub("", cell.source)})
        if "injected-parameters" in cell.metadata.get("tags", [])
        else cell
        for cell in nb.cells
    ]


def is_removed(cell: nbformat.NotebookNode, part: str) -> bool:
    """Whether a cell, or its "input" or "output", is tagged to be left out; a failed one stays."""
    return not has_failed(cell) and bool(REMOVED[part] & set(_tags(cell)))


def _has_code(cell: nbformat.NotebookNode) -> bool:
    """Whether a cell's code stands among that of its page."""
    code = cell.cell_type == "code" and bool(cell.source.strip())
    return code and not has_failed(cell) and not is_removed(cell, "input")


def _is_closed(cell: nbformat.NotebookNode) -> bool:
    return not has_failed(cell) and bool(CLOSED & set(_tags(cell)))


def _tags(cell: nbformat.NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def code_style() -> str:
    """Return the style sheet of highlighted code, for light and for dark pages."""
    light = HtmlFormatter(style="vs").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    return f"{light}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}"


def _data(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    return output.get("data", {})


def _prepared(nb: nbformat.NotebookNode) -> nbformat.NotebookNode:
    cells = [cell for cell in without_path(nb) if cell.cell_type != "raw"]
    if (found := answer_place(cells)) is not None:
        at, place = found
        left = [output for n, output in enumerate(cells[at].outputs) if n != place]
        cells[at] = nbformat.from_dict({**cells[at], "outputs": left})
    first = next((n for n, cell in enumerate(cells) if cell.cell_type == "markdown"), None)
    if first is not None:
        untitled = TITLE.sub("", cells[first].source)
        cells[first] = nbformat.from_dict({**cells[first], "source": untitled})
    shown = [
        cell
        for cell in cells
        if (cell.source.strip() or cell.get("outputs")) and not is_removed(cell, "cell")
    ]
    return nbformat.NotebookNode({**nb, "cells": _figure_first(shown)})


def _figure_first(cells: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Let the prose that opens a notebook follow its first figure, if no section begins before."""
    drawn = next((n for n, cell in enumerate(cells) if _has_figure(cell)), 0)
    before = [cell for cell in cells[:drawn] if cell.cell_type == "markdown"]
    if any(re.search(r"^#", cell.source, re.MULTILINE) for cell in before):
        return cells
    rest = [cell for cell in cells[:drawn] if cell.cell_type != "markdown"]
    return [*rest, *cells[drawn : drawn + 1], *before, *cells[drawn + 1 :]]


def _has_figure(cell: nbformat.NotebookNode) -> bool:
    for output in cell.get("outputs", []):
        data = _data(output)
        if any(kind in data for kind in ("image/svg+xml", *PICTURES)):
            return True
        if "<svg" in data.get("text/html", ""):
            return True
    return False


class _Page:
    """The numbers a page gives to its fragments, tables and figures, and what its cells share."""

    def __init__(self, nb: nbformat.NotebookNode) -> None:
        self.fragments = self.tables = self.figures = 0
        self.formulae = Formulae(cell.source for cell in nb.cells if cell.cell_type == "markdown")
        self.lexer = _lexer(language_of(nb))

    def prefix(self) -> str:
        self.fragments += 1
        return f"x{self.fragments}-"

    def table(self) -> str:
        self.tables += 1
        return f"Table {self.tables}"

    def figure(self) -> str:
        self.figures += 1
        return f"Figure {self.figures}"


@cache
def _lexer(language: str) -> Lexer:
    if language == "python":
        return PYTHON
    try:
        return get_lexer_by_name(language)
    except ClassNotFound:
        return get_lexer_by_name("text")


@cache
def _exporter() -> TemplateExporter:
    exporter = TemplateExporter(
        template_name="paper",
        template_file="index.html.j2",
        extra_template_basedirs=[str(TEMPLATES)],
        filters=_filters(),
        config=Config(
            {
                "NbConvertBase": {"display_data_priority": OUTPUT_PRIORITY},
                "Exporter": {"default_preprocessors": []},
            }
        ),
    )
    exporter.environment.tests |= {
        "failed": has_failed,
        "expecting": expects_error,
        "closed": _is_closed,
        "with_code": _has_code,
        "without_output": partial(is_removed, part="output"),
        "skipped": lambda cell: "skip-execution" in _tags(cell),
    }
    return exporter


def _filters() -> dict[str, Callable]:
    """Make the template's filters; those that number things ask the page for the next number."""

    def page_of(context: Context) -> _Page:
        return context["resources"]["page"]

    @pass_context
    def html_output(context: Context, output: nbformat.NotebookNode) -> str:
        source = output.data["text/html"]
        markup = clean(source, page_of(context).prefix()).replace(*NO_HEADING)
        if not _is_seen(markup) and ("<script" in source.lower() or _interactive(output)):
            return instead_of(context, output)
        if "<table" in markup:
            region = f'tabindex="0" role="region" aria-label="{page_of(context).table()}"'
            return f'<div class="output scroll" {region}>{markup}</div>'
        return f'<div class="output">{markup}</div>'

    def instead_of(context: Context, output: nbformat.NotebookNode) -> str:
        """Say what cannot be shown, and show the picture that comes with it, if one does."""
        said = f'<p class="missing">{_what_it_was(output)}</p>'
        for kind in ("image/svg+xml", *PICTURES):
            if kind in output.data:
                return f"{said}\n{shown_picture(context, output, kind)}"
        text = output.data.get("text/plain", "")
        return said if not text or OBJECT.fullmatch(text) else f"{said}\n{_text(text)}"

    def shown_picture(context: Context, output: nbformat.NotebookNode, kind: str) -> str:
        drawn = svg_of(context, output) if kind == "image/svg+xml" else dots(context, output, kind)
        return f'<figure class="scroll" tabindex="0">\n{drawn}\n</figure>'

    def svg_of(context: Context, output: nbformat.NotebookNode) -> str:
        kind = "image/svg+xml"
        markup = clean(output.data[kind], page_of(context).prefix())
        if "<svg" not in markup:
            return f'<p class="missing">A picture ({kind}) that cannot be read.</p>'
        number = page_of(context).figure()
        title = SVG_TITLE.search(markup)
        alt = get_metadata(output, "alt", kind)
        name = escape(alt) if alt else title[1] if title else number
        return markup.replace("<svg", f'<svg role="img" aria-label="{name}"', 1)

    def dots(context: Context, output: nbformat.NotebookNode, kind: str) -> str:
        content = picture(kind, output.data[kind])
        if content is None:
            return f'<p class="missing">A picture ({kind}) that cannot be read.</p>'
        number = page_of(context).figure()
        alt = escape(get_metadata(output, "alt", kind) or number)
        own = size_of(content) or (None, None)
        size = "".join(
            f' {side}="{round(value)}"'
            for side, natural in zip(("width", "height"), own, strict=True)
            if isinstance(value := get_metadata(output, side, kind) or natural, int | float)
        )
        return f'<img src="data:{kind};base64,{b64encode(content).decode()}" alt="{alt}"{size}>'

    @pass_context
    def figure(context: Context, output: nbformat.NotebookNode, kind: str) -> str:
        return shown_picture(context, output, kind)

    @pass_context
    def other_output(context: Context, output: nbformat.NotebookNode) -> str:
        kind = next(kind for kind in OUTPUT_PRIORITY if kind in output.data)
        if kind in PICTURES:
            return shown_picture(context, output, kind)
        text = json.dumps(output.data[kind], indent=2, ensure_ascii=False)
        return f'<pre class="text">{escape(text)}</pre>'

    @pass_context
    def plain_output(context: Context, output: nbformat.NotebookNode) -> str:
        text = output.data["text/plain"]
        return instead_of(context, output) if _interactive(output) else _text(text)

    @pass_context
    def cell_prose(context: Context, cell: nbformat.NotebookNode) -> str:
        page = page_of(context)
        return prose(cell.source, page.prefix(), cell.get("attachments", {}), page.formulae)

    @pass_context
    def told(context: Context, text: str) -> str:
        return prose(text, page_of(context).prefix(), formulae=page_of(context).formulae)

    @pass_context
    def latex(context: Context, source: str) -> str:
        return latex_output(source, page_of(context).prefix(), page_of(context).formulae)

    @pass_context
    def highlight_code(context: Context, source: str) -> str:
        return highlight(source, page_of(context).lexer, CODE_FORMATTER)

    return {
        "html_output": html_output,
        "prose": told,
        "cell_prose": cell_prose,
        "latex_output": latex,
        "highlight_code": highlight_code,
        "plain": lambda text: escape(without_kernel(text)),
        "terminal": as_html,
        "figure": figure,
        "plain_output": plain_output,
        "other_output": other_output,
        "kinds": lambda output: ", ".join(sorted(output.get("data", {}))) or "nothing",
    }


NO_HEADING = ("<th></th>", "<td></td>")
"""A corner of a table that heads nothing is no heading to those who hear the page."""

OBJECT = re.compile(r"\s*<[\w.]+ (?:object|at)[^\n]*>\s*")


def _text(text: str) -> str:
    return f'<pre class="text">{as_html(text)}</pre>'


def _is_seen(markup: str) -> bool:
    """Whether a reader would see anything of some HTML."""
    return bool(SEEN.search(markup) or MARKUP.sub("", STYLE.sub("", markup)).strip())


def _interactive(output: nbformat.NotebookNode) -> list[str]:
    """List the kinds of an output's data that only a running program can show."""
    return [kind for kind in output.data if INTERACTIVE.match(kind)]


def _what_it_was(output: nbformat.NotebookNode) -> str:
    kinds = ", ".join(_interactive(output)) or "a script"
    if WIDGET in output.data:
        return "A widget, which only a running notebook can show."
    return f"An output that only a program can show ({escape(kinds)})."
