"""Render an executed notebook as the body of a page, through the template `paper`."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape
from itertools import count
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup
from nbconvert.exporters import TemplateExporter
from nbconvert.filters import get_metadata, strip_ansi
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from traitlets.config import Config

from backpain_analysis.reporting.clean import clean
from backpain_analysis.reporting.markup import latex_output, prose

TEMPLATES = Path(__file__).parent / "templates"
OUTPUT_PRIORITY = [
    *("text/html", "image/svg+xml", "image/png", "text/markdown", "text/latex", "text/plain"),
]
CODE_FORMATTER = HtmlFormatter(cssclass="highlight", wrapcode=True)
KERNEL_FILE = re.compile(r"\S*ipykernel_\d+[/\\]\d+\.py")
EVIDENCE_PATH = re.compile(r"^evidence = .*\n?", re.MULTILINE)
TITLE = re.compile(r"\A\s*#\s[^\n]*\n?")


def render_body(nb: nbformat.NotebookNode) -> str:
    """Render a notebook's cells as HTML that holds all it needs.

    Parameters
    ----------
    nb : NotebookNode
        Executed; its first heading, the title, is left to the page's header.
    """
    exporter = TemplateExporter(
        template_name="paper",
        template_file="index.html.j2",
        extra_template_basedirs=[str(TEMPLATES)],
        filters=_filters(),
        config=Config({"NbConvertBase": {"display_data_priority": OUTPUT_PRIORITY}}),
    )
    exporter.environment.tests["failed"] = has_failed
    body, _ = exporter.from_notebook_node(_prepared(nb))
    return body


def has_failed(cell: nbformat.NotebookNode) -> bool:
    """Whether a cell ended the run."""
    return cell.metadata.get("papermill", {}).get("exception") is True


def plain(text: str) -> str:
    """Escape text and take terminal colours and kernels' file names out of it."""
    return escape(KERNEL_FILE.sub("cell", strip_ansi(text)))


def code_style() -> str:
    """Return the style sheet of highlighted code, for light and for dark pages."""
    light = HtmlFormatter(style="vs").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    return f"{light}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}"


def _prepared(nb: nbformat.NotebookNode) -> nbformat.NotebookNode:
    cells = [cell for cell in nb.cells if cell.cell_type != "raw"]
    for cell in cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.source = EVIDENCE_PATH.sub("", cell.source)
    first = next((cell for cell in cells if cell.cell_type == "markdown"), None)
    if first:
        first.source = TITLE.sub("", first.source)
    nb.cells = [cell for cell in cells if cell.source.strip() or cell.get("outputs")]
    return nb


def _filters() -> dict[str, Callable]:
    """Make the template's filters; each page counts its fragments, tables and figures anew."""
    fragments, tables, figures = count(1), count(1), count(1)

    def prefix() -> str:
        return f"x{next(fragments)}-"

    def html_output(output: str) -> str:
        markup = clean(output, prefix())
        region = f'tabindex="0" role="region" aria-label="Table {next(tables)}"'
        if "<table" in markup:
            return f'<div class="output scroll" {region}>{markup}</div>'
        return f'<div class="output">{markup}</div>'

    def alternative(output: nbformat.NotebookNode, kind: str, title: str = "") -> str:
        number = next(figures)
        return get_metadata(output, "alt", kind) or title or f"Figure {number}"

    def svg_figure(output: nbformat.NotebookNode) -> str:
        soup = BeautifulSoup(clean(output.data["image/svg+xml"], prefix()), "html.parser")
        svg = soup.svg
        svg["role"] = "img"
        svg["aria-label"] = alternative(output, "image/svg+xml", svg.title and svg.title.string)
        return soup.decode(formatter="minimal")

    def png_figure(output: nbformat.NotebookNode) -> str:
        data = "".join(output.data["image/png"].split())
        alt = escape(alternative(output, "image/png"))
        return f'<img src="data:image/png;base64,{data}" alt="{alt}">'

    return {
        "html_output": html_output,
        "prose": lambda source: prose(source, prefix()),
        "latex_output": latex_output,
        "highlight_code": lambda source: highlight(source, PythonLexer(), CODE_FORMATTER),
        "plain": plain,
        "svg_figure": svg_figure,
        "png_figure": png_figure,
    }
