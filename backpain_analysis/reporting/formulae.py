"""Formulae: LaTeX as browsers show it (MathML), with the macros and labels of the whole page."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

from latex2mathml.converter import convert

DEFINITION = re.compile(
    r"\\(?:re|provide)?(?:newcommand|DeclareMathOperator)\*?\s*\{?\s*\\(?P<name>[A-Za-z]+)\s*\}?"
    r"\s*(?:\[(?P<count>\d)\])?\s*(?=\{)|\\def\s*\\(?P<defined>[A-Za-z]+)\s*(?P<marks>(?:#\d)*)(?=\{)"
)
COMMAND = re.compile(r"\\([A-Za-z]+)(?![A-Za-z])")
LABEL = re.compile(r"\\label\s*\{([^{}]*)\}")
REFERRED = re.compile(r"\\(eqref|ref)\s*\{([^{}]*)\}")
TAG = re.compile(r"\\tag\*?\s*\{([^{}]*)\}")
DROPPED = re.compile(r"\\(?:nonumber|notag|displaylimits)(?![A-Za-z])|\\require\s*\{[^{}]*\}")
ENVIRONMENT = re.compile(r"\\(begin|end)\s*\{(\w+)(\*?)\}")
AS_ALIGN = {"align", "aligned", "alignat", "alignedat", "flalign", "xalignat", "split"}
AS_COLUMNS = {"eqnarray": "rcl", "gather": "c", "gathered": "c", "multline": "c", "multlined": "c"}
COUNTED = re.compile(r"\\begin\s*\{(?:x?alignat|alignedat)\*?\}\s*\{\d+\}")
NOT_CONVERTED = re.compile(r"<m[ion][^>]*>\s*(?:\\[A-Za-z]+|&(?:amp;)?)\s*</m[ion]>")
NAMED = {
    "bm": r"\boldsymbol",
    "argmin": r"\operatorname{argmin}",
    "argmax": r"\operatorname{argmax}",
    "arg": r"\operatorname{arg}",
    "ensuremath": "",
}
DEEPEST = 20
LONGEST = 20_000


class Formulae:
    """What the formulae of one page share: macros, and the numbers of labelled ones.

    Parameters
    ----------
    sources : iterable of str
        All Markdown of the page, in its order.
    """

    def __init__(self, sources: Iterable[str] = ()) -> None:
        self._macros: dict[str, tuple[int, str]] = {n: (0, body) for n, body in NAMED.items()}
        self._labels: dict[str, str] = {}
        for source in sources:
            self._without_definitions(source)
            for label in LABEL.findall(source):
                self._labels.setdefault(label, str(len(self._labels) + 1))

    def references(self, text: str) -> str:
        """Write the numbers of labelled formulae for what refers to them."""

        def number(found: re.Match[str]) -> str:
            known = self._labels.get(found[2])
            if known is None:
                return found[0]
            return f"({known})" if found[1] == "eqref" else known

        return REFERRED.sub(number, text)

    def mathml(self, latex: str, display: str = "inline") -> str:
        """Convert a formula to MathML; what cannot be converted is shown as it is written.

        Parameters
        ----------
        latex : str
            The formula without delimiters.
        display : {"inline", "block"}
            Within a line, or on lines of its own.
        """
        try:
            body = self._expanded(self._without_definitions(latex))
            if not body.strip():
                return ""
            made = convert(self._plain(body), display=display)
        except Exception:  # latex2mathml raises whatever its parser stumbles over
            made = ""
        if made and not NOT_CONVERTED.search(made):
            return made
        shown = f"<code>{escape(latex.strip())}</code> <small>(formula as written)</small>"
        return f'<span class="as-written">{shown}</span>'

    def _plain(self, latex: str) -> str:
        """Write environments that the converter does not know as those that it does."""
        latex = DROPPED.sub("", COUNTED.sub(r"\\begin{align*}", latex))
        latex = LABEL.sub(lambda m: rf"\tag{{{self._labels.get(m[1], '')}}}", latex)
        latex = TAG.sub(lambda m: rf"\qquad\text{{({m[1]})}}" if m[1] else "", latex)
        return ENVIRONMENT.sub(_known_environment, self.references(latex))

    def _without_definitions(self, text: str) -> str:
        """Take macros' definitions out of a text, and keep them."""
        left, at = [], 0
        for found in DEFINITION.finditer(text):
            if found.start() < at or (body := _group(text, found.end())) is None:
                continue
            name = found["name"] or found["defined"]
            count = int(found["count"] or 0) or len(found["marks"] or "") // 2
            operator = "DeclareMathOperator" in found[0]
            made = rf"\operatorname{{{body}}}" if operator else body
            self._macros[name] = (count, made)
            left.append(text[at : found.start()])
            at = found.end() + len(body) + 2
        return "".join([*left, text[at:]])

    def _expanded(self, latex: str) -> str:
        """Write out macros; ones that call each other for ever, or grow beyond reason, fail."""
        for _ in range(DEEPEST):
            made = self._once(latex)
            if made == latex:
                return latex
            if len(made) > LONGEST:
                break
            latex = made
        raise ValueError("the macros of a formula have no end")

    def _once(self, latex: str) -> str:
        made, at = [], 0
        for found in COMMAND.finditer(latex):
            if found.start() < at or found[1] not in self._macros:
                continue
            count, body = self._macros[found[1]]
            end = found.end()
            for number in range(1, count + 1):
                end += len(latex[end:]) - len(latex[end:].lstrip())
                given = _group(latex, end)
                end += 1 if given is None else len(given) + 2
                body = body.replace(f"#{number}", latex[end - 1 : end] if given is None else given)
            if COMMAND.search(body) and body.rstrip()[-1:].isalpha():
                body += " "  # or a letter that follows would belong to its name
            made += [latex[at : found.start()], body]
            at = end
        return "".join([*made, latex[at:]])


def _known_environment(found: re.Match[str]) -> str:
    kind, name = found[1], found[2]
    if name in AS_ALIGN:
        return rf"\{kind}{{align*}}"
    if name in AS_COLUMNS:
        columns = f"{{{AS_COLUMNS[name]}}}" if kind == "begin" else ""
        return rf"\{kind}{{array}}{columns}"
    return "" if name in ("equation", "displaymath", "math") else found[0]


def _group(text: str, start: int) -> str | None:
    """Return what stands in the braces that open at `start`; None if none do."""
    if text[start : start + 1] != "{":
        return None
    depth = 0
    for at in range(start, len(text)):
        if text[at] in "{}" and text[at - 1] != "\\":
            depth += 1 if text[at] == "{" else -1
            if depth == 0:
                return text[start + 1 : at]
    return None
