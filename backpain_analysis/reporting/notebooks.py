"""Notebooks as a reader knows them: where they are, what they ask, which choices they offer."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import nbformat

from backpain_analysis.datasets.bundled import notebooks_dir
from backpain_analysis.reporting.errors import ReportingError
from backpain_analysis.reporting.parameters import Parameter, notebook_parameters

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
