"""Render Markdown, formulae and an executed notebook as the body of a page."""

from __future__ import annotations

import re
import warnings
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from jinja2 import pass_context
from jinja2.runtime import Context
from latex2mathml.converter import convert
from nbconvert.exporters import TemplateExporter
from nbconvert.filters import get_metadata, strip_ansi
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from traitlets.config import Config

from backpain_analysis.reporting.clean import clean, clean_whole, picture
from backpain_analysis.reporting.notebooks import tagged
from backpain_analysis.reporting.schemas import nbformat

ATTACHED = re.compile(r"attachment:([^)\s\"'>]+)")
DELIMITERS = re.compile(r"\A\s*(\${1,2}|\\\[|\\\()(?P<body>.*?)(\${1,2}|\\\]|\\\))\s*\Z", re.DOTALL)


def mathml(latex: str, display: str = "inline") -> str:
    """Convert a formula to MathML, or show its source if it cannot be converted.

    Parameters
    ----------
    latex : str
        The formula without delimiters.
    display : {"inline", "block"}
        Within a line, or on lines of its own.
    """
    try:
        return convert(latex.strip(), display=display)
    except Exception:  # latex2mathml raises whatever its parser stumbles over
        return f"<code>{escape(latex)}</code>"


def latex_output(source: str, prefix: str) -> str:
    """Convert a cell's LaTeX output, with or without its dollar signs, to clean HTML.

    Parameters
    ----------
    source : str
    prefix : str
        What ids in it begin with.
    """
    match = DELIMITERS.match(source)
    return clean(_block(match["body"] if match else source), prefix)


def prose(source: str, prefix: str, attachments: Mapping[str, Any] | None = None) -> str:
    """Render Markdown with formulae as clean HTML; headings start at level 2.

    Parameters
    ----------
    source : str
        Markdown; HTML in it is kept, but for what `clean` takes out.
    prefix : str
        What ids in it begin with.
    attachments : mapping, optional
        A cell's attachments, by name and then by media type.
    """
    source = ATTACHED.sub(lambda m: _attached(m[1], attachments or {}), source)
    return clean(MarkdownWithMath(renderer=_Renderer(escape=False)).render(source), prefix)


def _attached(name: str, attachments: Mapping[str, Any]) -> str:
    """Return the address of an attached picture; of a missing one, none that can be fetched."""
    given = attachments.get(unquote(name)) or attachments.get(name) or {}
    for kind, data in given.items():
        if content := picture(kind, data):
            return f"data:{kind};base64,{b64encode(content).decode()}"
    return "missing.png"


def _block(latex: str) -> str:
    return f'<div class="formula">{mathml(latex, "block")}</div>'


class _Renderer(IPythonRenderer):
    def heading(self, text: str, level: int, **attrs: object) -> str:
        level = max(level, 2)
        return f'<h{level} class="section">{text}</h{level}>\n'

    def inline_math(self, body: str) -> str:
        return mathml(body)

    def block_math(self, body: str) -> str:
        return _block(body)

    def latex_environment(self, name: str, body: str) -> str:
        return _block(f"\\begin{{{name}}}{body}\\end{{{name}}}")


def slug(text: str) -> str:
    """Make a fragment identifier of a heading."""
    words = re.sub(r"<[^>]+>", "", text).lower()
    return re.sub(r"[^a-z0-9]+", "-", words).strip("-") or "section"


TEMPLATES = Path(__file__).parent / "templates"
OUTPUT_PRIORITY = [
    *("text/html", "image/svg+xml", "image/png", "image/jpeg", "text/markdown", "text/latex"),
    "text/plain",
]
CODE_FORMATTER = HtmlFormatter(cssclass="highlight", wrapcode=True)
PYTHON = PythonLexer()
KERNEL_FILE = re.compile(r"(?<!\S)\S*ipykernel_\d+[/\\]\d+\.py")
EVIDENCE_PATH = re.compile(r"^evidence = .*\n?", re.MULTILINE)
TITLE = re.compile(r"\A\s*#\s[^\n]*\n?")
SVG_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.DOTALL)


def render_body(nb: nbformat.NotebookNode) -> str:
    """Render a notebook's cells as HTML that holds all it needs.

    Parameters
    ----------
    nb : NotebookNode
        Executed; its first heading, the title, is left to the page's header.
    """
    resources = {"page": _Page(), "deprecated": {}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an output that cannot be shown the page tells
        body, _ = _exporter().from_notebook_node(_prepared(nb), resources=resources)
    return clean_whole(body)


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


def without_kernel(text: str) -> str:
    """Take terminal colours and kernels' file names out of a text."""
    return KERNEL_FILE.sub("cell", strip_ansi(text))


def without_path(nb: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Return a notebook's cells without the evidence's path: it is of one machine only."""
    return [
        nbformat.from_dict({**cell, "source": EVIDENCE_PATH.sub("", cell.source)})
        if "injected-parameters" in cell.metadata.get("tags", [])
        else cell
        for cell in nb.cells
    ]


def code_style() -> str:
    """Return the style sheet of highlighted code, for light and for dark pages."""
    light = HtmlFormatter(style="vs").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    return f"{light}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}"


def _data(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    return output.get("data", {})


def _prepared(nb: nbformat.NotebookNode) -> nbformat.NotebookNode:
    cells = [cell for cell in without_path(nb) if cell.cell_type != "raw"]
    first = next((n for n, cell in enumerate(cells) if cell.cell_type == "markdown"), None)
    if first is not None:
        untitled = TITLE.sub("", cells[first].source)
        cells[first] = nbformat.from_dict({**cells[first], "source": untitled})
    shown = [cell for cell in cells if cell.source.strip() or cell.get("outputs")]
    return nbformat.NotebookNode({**nb, "cells": shown})


class _Page:
    """The numbers a page gives to its fragments, tables and figures."""

    def __init__(self) -> None:
        self.fragments = self.tables = self.figures = 0

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
    exporter.environment.tests["failed"] = has_failed
    return exporter


def _filters() -> dict[str, Callable]:
    """Make the template's filters; those that number things ask the page for the next number."""

    def page_of(context: Context) -> _Page:
        return context["resources"]["page"]

    @pass_context
    def html_output(context: Context, source: str) -> str:
        markup = clean(source, page_of(context).prefix())
        if "<table" in markup:
            region = f'tabindex="0" role="region" aria-label="{page_of(context).table()}"'
            return f'<div class="output scroll" {region}>{markup}</div>'
        return f'<div class="output">{markup}</div>'

    @pass_context
    def svg_figure(context: Context, output: nbformat.NotebookNode) -> str:
        kind = "image/svg+xml"
        markup = clean(output.data[kind], page_of(context).prefix())
        number = page_of(context).figure()
        title = SVG_TITLE.search(markup)
        alt = get_metadata(output, "alt", kind)
        name = escape(alt) if alt else title[1] if title else number
        return markup.replace("<svg", f'<svg role="img" aria-label="{name}"', 1)

    def picture_of(context: Context, output: nbformat.NotebookNode, kind: str) -> str:
        content = picture(kind, output.data[kind])
        if content is None:
            return f'<p class="missing">A picture ({kind}) that cannot be read.</p>'
        number = page_of(context).figure()
        alt = escape(get_metadata(output, "alt", kind) or number)
        return f'<img src="data:{kind};base64,{b64encode(content).decode()}" alt="{alt}">'

    @pass_context
    def png_figure(context: Context, output: nbformat.NotebookNode) -> str:
        return picture_of(context, output, "image/png")

    @pass_context
    def jpeg_figure(context: Context, output: nbformat.NotebookNode) -> str:
        return picture_of(context, output, "image/jpeg")

    @pass_context
    def cell_prose(context: Context, cell: nbformat.NotebookNode) -> str:
        return prose(cell.source, page_of(context).prefix(), cell.get("attachments", {}))

    @pass_context
    def latex(context: Context, source: str) -> str:
        return latex_output(source, page_of(context).prefix())

    return {
        "html_output": html_output,
        "prose": pass_context(lambda context, text: prose(text, page_of(context).prefix())),
        "cell_prose": cell_prose,
        "latex_output": latex,
        "highlight_code": lambda source: highlight(source, PYTHON, CODE_FORMATTER),
        "plain": lambda text: escape(without_kernel(text)),
        "svg_figure": svg_figure,
        "png_figure": png_figure,
        "jpeg_figure": jpeg_figure,
        "kinds": lambda output: ", ".join(sorted(output.get("data", {}))) or "nothing",
    }
