"""Markdown and LaTeX to HTML and MathML: formulae need no script and no font from elsewhere."""

from __future__ import annotations

import re
from html import escape

from latex2mathml.converter import convert
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from backpain_analysis.reporting.clean import clean

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


def latex_output(source: str) -> str:
    """Convert a cell's LaTeX output, with or without its dollar signs."""
    match = DELIMITERS.match(source)
    return _block(match["body"] if match else source)


def prose(source: str, prefix: str) -> str:
    """Render Markdown with formulae as clean HTML; headings start at level 2.

    Parameters
    ----------
    source : str
        Markdown; HTML in it is kept, but for what `clean` takes out.
    prefix : str
        What ids in it begin with.
    """
    return clean(MarkdownWithMath(renderer=_Renderer(escape=False)).render(source), prefix)


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
