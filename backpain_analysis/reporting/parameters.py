"""A notebook's parameters: what its cell tagged ``parameters`` declares, and what fits it.

Papermill's own inference reads one line at a time with a pattern that has no room for
``float | None``; the cell is Python, so it is read as Python here.
"""

from __future__ import annotations

import ast
import io
import tokenize
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import nbformat
import yaml

SIMPLE_TYPES = {"str": str, "int": int, "float": float, "bool": bool}
NOTHING = {"", "none", "null"}


@dataclass(frozen=True)
class Parameter:
    """One choice a reader may change: ``name: type = default  # help``."""

    name: str
    type: str
    default: Any
    help: str

    def accepts(self, value: Any) -> bool:
        """Whether `value` is of the declared type; an undeclared type takes anything."""
        return not self.type or _fits(value, ast.parse(self.type, mode="eval").body)

    def read(self, text: str) -> Any:
        """Read a value written on the command line, by the declared type."""
        if "None" in self.type and text.lower() in NOTHING:
            return None
        listed = text.lstrip().startswith("[") and "list" in self.type
        if self.type.startswith("str") and not listed:
            return text
        if self.type.startswith("list") and not listed:
            text = f"[{text}]"
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError:
            return text

    def fault(self, value: Any) -> str | None:
        """Say what is wrong with `value`, or None if nothing is."""
        if self.accepts(value):
            return None
        return f"parameter {self.name!r} is {value!r}; it takes {self.type}"


def tagged(nb: nbformat.NotebookNode, tag: str) -> nbformat.NotebookNode | None:
    """Return the first cell that bears `tag`, if any does."""
    return next((cell for cell in nb.cells if tag in cell.metadata.get("tags", [])), None)


def notebook_parameters(nb: nbformat.NotebookNode) -> dict[str, Parameter]:
    """Read the parameters a notebook declares, in their order.

    Parameters
    ----------
    nb : NotebookNode
        A notebook; without a cell tagged ``parameters`` it has none.

    Raises
    ------
    SyntaxError
        If the cell is not Python.
    """
    cell = tagged(nb, "parameters")
    if cell is None:
        return {}
    comments = _comments(cell.source)
    found = {}
    for statement in ast.parse(cell.source).body:
        match statement:
            case ast.AnnAssign(
                target=ast.Name(id=name), annotation=kind, value=ast.expr() as value
            ):
                type_ = kind.value if isinstance(kind, ast.Constant) else ast.unparse(kind)
            case ast.Assign([ast.Name(name)], value):
                type_ = ""
            case _:
                continue
        found[name] = Parameter(
            name, str(type_), _literal(value), comments.get(statement.end_lineno, "")
        )
    return found


def unknown_parameter(name: str, known: dict[str, Parameter]) -> str:
    """Say that no parameter is called `name`, and which one may have been meant."""
    near = get_close_matches(name, known, n=1)
    if near:
        return f"unknown parameter {name!r}; did you mean {near[0]!r}?"
    takes = ", ".join(known) or "none"
    return f"unknown parameter {name!r}; the notebook takes: {takes}"


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: t.string.lstrip("# ").strip() for t in tokens if t.type == tokenize.COMMENT}


def _literal(value: ast.expr) -> Any:
    try:
        return ast.literal_eval(value)
    except ValueError:
        return ast.unparse(value)


def _fits(value: Any, kind: ast.expr) -> bool:
    match kind:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _fits(value, left) or _fits(value, right)
        case ast.Constant(value=None):
            return value is None
        case ast.Subscript(value=ast.Name(id="list"), slice=inner):
            return isinstance(value, list) and all(_fits(item, inner) for item in value)
        case ast.Name(id="list" | "dict" as name):
            return isinstance(value, {"list": list, "dict": dict}[name])
        case ast.Name(id="float"):
            return isinstance(value, int | float) and not isinstance(value, bool)
        case ast.Name(id="int"):
            return isinstance(value, int) and not isinstance(value, bool)
        case ast.Name(id=name) if name in SIMPLE_TYPES:
            return isinstance(value, SIMPLE_TYPES[name])
    return True
