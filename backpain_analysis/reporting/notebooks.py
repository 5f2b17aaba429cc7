"""Notebooks as a reader knows them: where they are, what they ask and offer to choose."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import nbformat
import yaml

from backpain_analysis.datasets.bundled import notebooks_dir
from backpain_analysis.reporting.errors import ReportingError

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


HEADING = re.compile(r"^#\s+(.+?)\s*#*$", re.MULTILINE)
NO_PARAGRAPH = re.compile(r"[#|>]|[-+*] |\d+[.)] |\$\$|```|<|!\[")


@dataclass(frozen=True)
class Notebook:
    """A notebook that can be run: its file, title, first paragraph and parameters."""

    path: Path
    title: str
    description: str
    parameters: dict[str, Parameter]

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem


def load_notebook(path: Path) -> nbformat.NotebookNode:
    """Read a notebook file in the current format, quietly mending what older writers left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return nbformat.read(path, as_version=4)
        except (
            nbformat.reader.NotJSONError,
            nbformat.ValidationError,
            UnicodeDecodeError,
        ) as error:
            raise ReportingError(f"{path} is not a notebook: {error}") from error


def read_notebook(path: Path) -> Notebook:
    """Read what a notebook says about itself.

    Raises
    ------
    ReportingError
        If the file is not a notebook, or its parameters cell is not Python.
    """
    nb = load_notebook(path)
    prose = "\n\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")
    heading = HEADING.search(prose)
    try:
        parameters = notebook_parameters(nb)
    except SyntaxError as error:
        raise ReportingError(f"{path}: the parameters cell is not Python: {error}") from error
    title = heading.group(1) if heading else path.stem.replace("_", " ")
    return Notebook(path.resolve(), title, _first_paragraph(prose), parameters)


def answer_of(nb: nbformat.NotebookNode) -> str:
    """Return the answer an executed notebook gives: its first quotation, as Markdown without `>`.

    A notebook answers its question in a cell whose result is Markdown that starts with ``>``.
    """
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            text = output.get("data", {}).get("text/markdown", "")
            if text.startswith(">"):
                return " ".join(line.lstrip("> ") for line in text.splitlines()).strip()
    return ""


def list_notebooks() -> list[Notebook]:
    """List the bundled notebooks in reading order."""
    return [read_notebook(path) for path in sorted(notebooks_dir().glob("*.ipynb"))]


def find_notebook(name: str, folder: Path | None = None) -> Notebook:
    """Find a notebook by its path, or by its name in `folder` or among the bundled ones.

    Raises
    ------
    ReportingError
        If there is none; the message offers the nearest name.
    """
    folders = [folder or Path.cwd(), notebooks_dir()]
    for candidate in _candidates(name, folders):
        if candidate.is_file():
            return read_notebook(candidate)
    known = [path.stem for place in folders for path in sorted(place.glob("*.ipynb"))]
    raise ReportingError(f"unknown notebook {name!r}{_nearest(name, known)}")


def _candidates(name: str, folders: Iterable[Path]) -> Iterable[Path]:
    file = name if name.endswith(".ipynb") else f"{name}.ipynb"
    return (folder / Path(file).expanduser() for folder in folders)


def _nearest(name: str, known: list[str]) -> str:
    near = get_close_matches(Path(name).stem, known, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known notebooks: {', '.join(dict.fromkeys(known)) or 'none'}"


def _first_paragraph(prose: str) -> str:
    paragraphs = (part.strip() for part in re.split(r"\n\s*\n", prose))
    plain = (part for part in paragraphs if part and not NO_PARAGRAPH.match(part))
    return " ".join(next(plain, "").split())
