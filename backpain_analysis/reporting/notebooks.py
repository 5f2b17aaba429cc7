"""Notebooks as a reader knows them: where they are, what they ask and offer to choose."""

from __future__ import annotations

import ast
import io
import json
import math
import os
import re
import tokenize
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from backpain_analysis.datasets.bundled import notebooks_dir
from backpain_analysis.reporting.errors import ReportingError, short
from backpain_analysis.reporting.reading import read_plain_text
from backpain_analysis.reporting.schemas import nbformat

SIMPLE_TYPES = {"str": str, "int": int, "float": float, "bool": bool}
NOTHING = {"", "none", "null"}
COLLECTIONS: dict[str, type] = {
    **{name: list for name in ("list", "sequence", "tuple", "iterable")},
    **{name: dict for name in ("dict", "mapping")},
}
ASSIGNED = re.compile(r"^\s*(?:(?:const|let|var)\s+)?(\w+)\s*(?:<-|=)\s*([^#\n]+)(?:#(.*))?$", re.M)
"""``name <- value`` and ``name = value``, as most languages set a value."""

LONGEST_TEXT = 10_000
LONGEST_YAML = 2_000_000
MOST_NAMES = 20
DEEPEST = 100
MOST_VALUES = 500_000
LARGEST_NOTEBOOK = 100 * 2**20
UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
"""What no page, file name or notebook can hold as text."""


@dataclass(frozen=True)
class Parameter:
    """One choice a reader may change: ``name: type = default  # help``."""

    name: str
    type: str
    default: Any
    help: str

    def accepts(self, value: Any) -> bool:
        """Whether `value` is of the declared type; an undeclared type takes anything."""
        kind = _parsed(self.type) if self.type else None
        return kind is None or _fits(value, kind)

    def read(self, text: str) -> Any:
        """Read a value written on the command line, by the declared type."""
        if re.search(r"\bNone\b|\bOptional\b", self.type) and text.lower() in NOTHING:
            return None
        if "Literal" in self.type and self.accepts(text):
            return text
        listed = text.lstrip().startswith("[") and "list" in self.type.lower()
        if self.type.startswith("str") and not listed:
            return text
        if self.type.lower().startswith("list") and not listed:
            text = f"[{text}]"
        try:
            return read_yaml(text)
        except (yaml.YAMLError, ValueError):
            return text

    def fault(self, value: Any) -> str | None:
        """Say what is wrong with `value`, or None if nothing is."""
        if fault := value_fault(value):
            return f"parameter {self.name!r} is {fault}"
        if self.accepts(value):
            return None
        near = get_close_matches(str(value), [str(each) for each in self.choices()], n=1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        return f"parameter {self.name!r} is {short(value)}; it takes {self.type}{meant}"

    def choices(self) -> list[Any]:
        """Return the values that the declared type names one by one; none if it names none."""
        kind = _parsed(self.type) if self.type else None
        return [
            value
            for node in (ast.walk(kind) if kind else ())
            if isinstance(node, ast.Subscript) and _name(node.value) == "Literal"
            for value in _values(node.slice)
        ]


def code_of(source: str) -> list[str]:
    """Return the code cells of a notebook's JSON."""
    return [cell.source for cell in parse_notebook(source).cells if cell.cell_type == "code"]


def tagged(nb: nbformat.NotebookNode, tag: str) -> nbformat.NotebookNode | None:
    """Return the first cell that bears `tag`, if any does."""
    return next((cell for cell in nb.cells if tag in cell.metadata.get("tags", [])), None)


def expects_error(cell: nbformat.NotebookNode) -> bool:
    """Whether a cell may fail without ending the run."""
    return "raises-exception" in cell.metadata.get("tags", [])


def notebook_parameters(nb: nbformat.NotebookNode, tag: str = "parameters") -> dict[str, Parameter]:
    """Read the parameters a notebook declares, in their order.

    Parameters
    ----------
    nb : NotebookNode
        A notebook; without a cell of that tag it has none.
    tag : str

    Raises
    ------
    SyntaxError
        If the cell is not Python.
    """
    cell = tagged(nb, tag)
    if cell is None:
        return {}
    if language_of(nb) != "python":
        return _plain_parameters(cell.source, nb)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        statements = ast.parse(cell.source).body
    comments = _comments(cell.source)
    found = {}
    for statement in statements:
        match statement:
            case ast.AnnAssign(
                target=ast.Name(id=name), annotation=kind, value=ast.expr() as value
            ):
                type_ = str(kind.value) if isinstance(kind, ast.Constant) else ast.unparse(kind)
            case ast.Assign([ast.Name(name)], value):
                type_ = ""
            case _:
                continue
        known = type_ if type_ and _parsed(type_) else ""
        found[name] = Parameter(
            name, known, _literal(value), comments.get(statement.end_lineno, "")
        )
    return found


def language_of(nb: nbformat.NotebookNode) -> str:
    """Return the language of a notebook's code."""
    spec, info = nb.metadata.get("kernelspec", {}), nb.metadata.get("language_info", {})
    named = str(spec.get("language") or info.get("name") or "python")
    return "python" if named.lower() == "python" else named


def kernel_of(nb: nbformat.NotebookNode) -> str:
    """Return the name of the kernel that a notebook of another language than Python asks for."""
    return str(nb.metadata.get("kernelspec", {}).get("name") or language_of(nb))


def _plain_parameters(source: str, nb: nbformat.NotebookNode) -> dict[str, Parameter]:
    """Read parameters of another language, of no declared type, if papermill can set them."""
    from papermill.exceptions import PapermillException
    from papermill.translators import papermill_translators

    try:
        papermill_translators.find_translator(kernel_of(nb), language_of(nb))
    except PapermillException:
        return {}
    found = {}
    for name, value, comment in ASSIGNED.findall(source):
        try:
            default = read_yaml(value.rstrip("; "))
        except (yaml.YAMLError, ValueError):
            default = value.strip()
        found[name] = Parameter(name, "", default, comment.strip())
    return found


def unknown_parameter(name: str, known: dict[str, Parameter]) -> str:
    """Say that no parameter is called `name`, and which one may have been meant."""
    near = get_close_matches(name, known, n=1)
    if near:
        return f"unknown parameter {short(name)}; did you mean {near[0]!r}?"
    takes = ", ".join(known) or "none"
    return f"unknown parameter {short(name)}; the notebook takes: {takes}"


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: t.string.lstrip("# ").strip() for t in tokens if t.type == tokenize.COMMENT}


def _parsed(type_: str) -> ast.expr | None:
    """Read a type; None if it is not written as one."""
    try:
        return ast.parse(type_, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _literal(value: ast.expr) -> Any:
    """Return a default's value if a page can state it, or else how it is written."""
    try:
        literal = ast.literal_eval(value)
        if not value_fault(literal):
            return literal
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        pass
    try:
        return ast.unparse(value)[:LONGEST_TEXT]
    except (ValueError, RecursionError):
        return "…"


def value_fault(value: Any) -> str:
    """Say what keeps a value out of a page, a manifest or a notebook; empty if nothing does."""
    match value:
        case None | bool():
            return ""
        case int():
            return "" if abs(value) < 2**63 else "a number of more than 63 bits"
        case float():
            return "" if math.isfinite(value) else f"{value}; it takes a finite number"
        case str():
            if len(value) > LONGEST_TEXT:
                return f"a text of {len(value):,} characters; {LONGEST_TEXT:,} are the most"
            wrong = UNWRITABLE.search(value)
            return f"a text with the character {ascii(wrong[0])[1:-1]}" if wrong else ""
        case list():
            return next(filter(None, map(value_fault, value)), "")
        case dict():
            keys = [key for key in value if not isinstance(key, str)]
            return (
                f"a mapping with the key {short(keys[0])}, which is no text"
                if keys
                else next(filter(None, map(value_fault, [*value, *value.values()])), "")
            )
    return f"{short(value)}, a {type(value).__name__}; it takes text, numbers, lists or mappings"


class _StrictLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML 1.1 without what means another thing than it seems to."""


def _refused(what: str) -> Callable[[yaml.SafeLoader, yaml.Node], Any]:
    def refuse(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
        raise yaml.constructor.ConstructorError(None, None, what, node.start_mark)

    return refuse


def _number(kind: str) -> Callable[[yaml.SafeLoader, yaml.Node], Any]:
    usual = getattr(yaml.SafeLoader, f"construct_yaml_{kind}")

    def construct(loader: yaml.SafeLoader, node: Any) -> Any:
        if ":" in node.value or re.fullmatch(r"[-+]?0[0-9_]+", node.value):
            _refused(f"{node.value} would be read as another number; put it in quotes")(
                loader, node
            )
        return usual(loader, node)

    return construct


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> Iterator[dict[Any, Any]]:
    seen: set[Any] = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if key.value in seen:
                _refused(f"the key {short(key.value)} stands there twice")(loader, key)
            seen.add(key.value)
    data: dict[Any, Any] = {}
    yield data
    data.update(loader.construct_mapping(node))


for _tag, _constructor in {
    "int": _number("int"),
    "float": _number("float"),
    "map": _mapping,
    "timestamp": _refused("a date or time is read as one only in quotes"),
    **dict.fromkeys(("binary", "set", "omap", "pairs"), _refused("no such values are taken")),
}.items():
    _StrictLoader.add_constructor(f"tag:yaml.org,2002:{_tag}", _constructor)

_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(?:\.\d*)?[eE][-+]?\d+\Z"), list("-+0123456789")
)  # or 1e-3 were a text, as YAML 1.1 has it


def read_yaml(text: str) -> Any:
    """Read YAML; what is ambiguous, refers to itself or grows beyond reason is refused.

    Raises
    ------
    yaml.YAMLError
        If it is not YAML, or has keys twice, unquoted dates, ``1:30``, bytes, sets.
    ValueError
        If it is too long, too deep, or has characters YAML does not know.
    """
    if len(text) > LONGEST_YAML:
        raise ValueError(f"is longer than {LONGEST_YAML:,} characters")
    if _depth(text) > DEEPEST:
        raise ValueError("is nested too deeply")
    loader = _StrictLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _weigh(node, {}, set())
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _depth(text: str) -> int:
    """Return how deeply YAML is nested, as far as the first that is deeper than may be."""
    depth = deepest = 0
    for event in yaml.parse(text, Loader=_StrictLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        deepest = max(deepest, depth)
        if deepest > DEEPEST:
            break
    return deepest


def _weigh(node: yaml.Node, known: dict[int, int], above: set[int]) -> int:
    """Count a node's values as if what is referred to stood there again."""
    if id(node) in above:
        raise ValueError("refers to itself")
    if id(node) not in known:
        inside: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            inside = node.value
        elif isinstance(node, yaml.MappingNode):
            inside = [each for pair in node.value for each in pair]
        above.add(id(node))
        known[id(node)] = 1 + sum(_weigh(each, known, above) for each in inside)
        above.discard(id(node))
        if known[id(node)] > MOST_VALUES:
            raise ValueError(f"holds more than {MOST_VALUES:,} values")
    return known[id(node)]


def _name(kind: ast.expr) -> str:
    """Return the last part of a type's name: ``typing.Optional`` is Optional."""
    match kind:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _values(inside: ast.expr) -> list[Any]:
    """Return the values within ``Literal[...]``."""
    nodes = inside.elts if isinstance(inside, ast.Tuple) else [inside]
    try:
        return [ast.literal_eval(node) for node in nodes]
    except (ValueError, TypeError, SyntaxError):
        return []


def _fits(value: Any, kind: ast.expr) -> bool:
    match kind:
        case ast.Attribute():
            return _fits(value, ast.Name(_name(kind)))
        case ast.Subscript(value=outer, slice=inner):
            return _fits_inside(value, _name(outer).lower(), inner)
        case ast.Constant(value=str(text)) if (written := _parsed(text)) is not None:
            return _fits(value, written)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _fits(value, left) or _fits(value, right)
        case ast.Constant(value=None):
            return value is None
        case ast.Name(id=name) if name.lower() in COLLECTIONS:
            return isinstance(value, COLLECTIONS[name.lower()])
        case ast.Name(id="float"):
            return isinstance(value, int | float) and not isinstance(value, bool)
        case ast.Name(id="int"):
            return isinstance(value, int) and not isinstance(value, bool)
        case ast.Name(id=name) if name in SIMPLE_TYPES:
            return isinstance(value, SIMPLE_TYPES[name])
    return True


def _fits_inside(value: Any, outer: str, inner: ast.expr) -> bool:
    """Whether a value is of a type such as ``list[int]``, ``Optional[str]`` or ``Literal["a"]``."""
    inside = inner.elts if isinstance(inner, ast.Tuple) else [inner]
    match outer:
        case "optional":
            return value is None or _fits(value, inner)
        case "union":
            return any(_fits(value, each) for each in inside)
        case "annotated":
            return _fits(value, inside[0])
        case "literal":
            known = _values(inner)
            return not known or any(type(value) is type(k) and value == k for k in known)
        case "dict" | "mapping":
            of_value = inside[-1]
            return isinstance(value, dict) and all(_fits(v, of_value) for v in value.values())
        case "tuple" if not any(isinstance(each, ast.Constant) for each in inside):
            right = isinstance(value, list) and len(value) == len(inside)
            return right and all(map(_fits, value, inside))
        case _ if outer in COLLECTIONS:
            return isinstance(value, list) and all(_fits(item, inside[0]) for item in value)
    return True


HEADING = re.compile(r"^#\s+(.+?)\s*#*$", re.MULTILINE)
NOTED = {"papermill", "execution"}
LONGEST_REASON = 200
LONGEST_PATH = 1000
NO_PARAGRAPH = re.compile(r"[#|>]|[-+*] |\d+[.)] |\$\$|```|<|!\[")


@dataclass(frozen=True)
class Notebook:
    """A notebook that can be run: its file, title, first paragraph and parameters.

    `explores` says whether its page is one on which readers choose a dose (see `explorer`).
    """

    path: Path
    title: str
    description: str
    parameters: dict[str, Parameter]
    language: str = "python"
    explores: bool = False

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem


def load_notebook(path: Path) -> nbformat.NotebookNode:
    """Read a notebook file in the current format, quietly mending what older writers left out.

    Outputs, and what papermill noted at an earlier run, are left aside.

    Raises
    ------
    ReportingError
        If the file is not a notebook.
    """
    try:
        return parse_notebook(read_plain_text(path, LARGEST_NOTEBOOK))
    except OSError as error:
        raise ReportingError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ReportingError(f"{path} is not a notebook: {error}") from error


def parse_notebook(text: str, *, outputs: bool = False) -> nbformat.NotebookNode:
    """Read a notebook's JSON; see `load_notebook`.

    Parameters
    ----------
    text : str
    outputs : bool
        Whether to keep what cells have shown.

    Raises
    ------
    ValueError
        If it is not that of a notebook; the message is a line.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if not isinstance(json.loads(text), dict):
                raise ValueError("it is no mapping")
            nb = nbformat.reads(text, as_version=4)
            for cell in nb.cells:
                cell.metadata = {k: v for k, v in cell.metadata.items() if k not in NOTED}
                if cell.cell_type == "code" and not outputs:
                    cell.outputs, cell.execution_count = [], None
            nb.metadata.pop("papermill", None)
            nbformat.validate(nb, relax_add_props=True)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        except Exception as error:  # nbformat trips over malformed files in many ways
            said = f"{type(error).__name__}: {error}".splitlines()[0]
            raise ValueError(said[:LONGEST_REASON]) from error
    return nb


def read_notebook(path: Path) -> Notebook:
    """Read what a notebook says about itself.

    Raises
    ------
    ReportingError
        If the file is not a notebook, or its parameters cell is not Python.
    """
    return described(load_notebook(path), path.resolve())


def described(nb: nbformat.NotebookNode, path: Path) -> Notebook:
    """Say what a notebook says about itself; see `read_notebook`."""
    prose = "\n\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")
    heading = HEADING.search(prose)
    try:
        parameters = notebook_parameters(nb)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ReportingError(f"{path}: the parameters cell is not Python: {error}") from error
    title = heading.group(1) if heading else path.stem.replace("_", " ")
    explores = tagged(nb, "explorer") is not None
    return Notebook(path, title, _first_paragraph(prose), parameters, language_of(nb), explores)


def check_kernel(notebook: Notebook, nb: nbformat.NotebookNode) -> None:
    """See to it that what runs a notebook of another language is there.

    Raises
    ------
    ReportingError
        If it is not.
    """
    if notebook.language == "python":
        return
    from jupyter_client.kernelspec import KernelSpecManager

    name = kernel_of(nb)
    if name not in KernelSpecManager().find_kernel_specs():
        raise ReportingError(
            f"{notebook.path.name} is written in {notebook.language}; its kernel {name!r} is not "
            "installed on this machine (`jupyter kernelspec list` shows those that are)"
        )


def answer_of(nb: nbformat.NotebookNode) -> str:
    """Return the answer an executed notebook gives: its first quotation, as Markdown without `>`.

    A notebook answers its question in a cell whose result is Markdown that starts with ``>``.
    """
    if (found := answer_place(nb.cells)) is None:
        return ""
    text = nb.cells[found[0]].outputs[found[1]].data["text/markdown"]
    return " ".join(line.lstrip("> ") for line in text.splitlines()).strip()


def answer_place(cells: Sequence[nbformat.NotebookNode]) -> tuple[int, int] | None:
    """Return which cell, and which output of it, holds a notebook's answer; None if none does."""
    for number, cell in enumerate(cells):
        for place, output in enumerate(cell.get("outputs", [])):
            if str(output.get("data", {}).get("text/markdown", "")).startswith(">"):
                return number, place
    return None


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
    with suppress(OSError):  # a name too long for a file
        for candidate in _candidates(name, folders):
            if candidate.is_file():
                return read_notebook(candidate)
            if os.path.lexists(candidate):
                raise ReportingError(f"{candidate} is no plain file")
    found = [path for place in folders for path in sorted(place.glob("*.ipynb"))]
    known = [path.stem for path in found if path.is_file()]
    raise ReportingError(f"unknown notebook {short(name)}{_nearest(name[:LONGEST_PATH], known)}")


def _candidates(name: str, folders: Iterable[Path]) -> Iterable[Path]:
    file = name if name.endswith(".ipynb") else f"{name}.ipynb"
    return (folder / Path(file).expanduser() for folder in folders)


def _nearest(name: str, known: list[str]) -> str:
    near = get_close_matches(Path(name).stem, known, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    names = list(dict.fromkeys(known))
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"; known notebooks: {', '.join(names[:MOST_NAMES]) or 'none'}{more}"


def _first_paragraph(prose: str) -> str:
    paragraphs = (part.strip() for part in re.split(r"\n\s*\n", prose))
    plain = (part for part in paragraphs if part and not NO_PARAGRAPH.match(part))
    return " ".join(next(plain, "").split())
