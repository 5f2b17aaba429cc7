"""A suite: which notebooks to run, each with which parameters, and how its file is read."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from backpain_analysis.reporting.errors import ReportingError, SuiteError
from backpain_analysis.reporting.notebooks import Notebook, find_notebook, unknown_parameter


@dataclass(frozen=True)
class Report:
    """One notebook with the parameters it is to be run with; `name` is its file's stem."""

    name: str
    title: str
    notebook: Notebook
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def choices(self) -> dict[str, Any]:
        """Every parameter's value: the default unless the report sets another."""
        defaults = {name: p.default for name, p in self.notebook.parameters.items()}
        return defaults | dict(self.parameters)

    def told(self) -> dict[str, Any]:
        """Every parameter's value but the evidence's path: its name and hash say more."""
        return without_path(self.choices())

    @property
    def reads_evidence(self) -> bool:
        """Whether the notebook can be told which evidence to read."""
        return "evidence" in self.notebook.parameters

    def evidence_path(self, folder: Path) -> Path | None:
        """Return the evidence asked for, relative to `folder`; None is the bundled evidence."""
        asked = self.choices().get("evidence")
        return folder / Path(asked).expanduser() if asked else None


def without_path(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the evidence's path, which is of one machine only."""
    return {name: value for name, value in values.items() if name != "evidence"}


@dataclass(frozen=True)
class Suite:
    """A titled set of reports; relative paths in it start at `folder`."""

    title: str
    reports: tuple[Report, ...]
    folder: Path
    source: str


def notebook_suite(name: str) -> Suite:
    """Make a suite of one notebook with its default parameters."""
    notebook = find_notebook(name)
    slug = re.sub(r"[^a-z0-9_-]+", "-", notebook.name.lower()).strip("-_") or "report"
    report = Report(slug, notebook.title, notebook)
    return Suite("backpain-analysis", (report,), Path.cwd(), notebook.path.name)


def with_parameters(suite: Suite, texts: Mapping[str, str]) -> Suite:
    """Set parameters, given as text, in every report of a suite that has them.

    Raises
    ------
    SuiteError
        If no report has such a parameter, or its type does not admit the value.
    """
    faults: list[str] = []
    known = {name: p for r in suite.reports for name, p in r.notebook.parameters.items()}
    faults += [unknown_parameter(name, known) for name in texts if name not in known]
    reports = []
    for report in suite.reports:
        declared = report.notebook.parameters
        values = {n: declared[n].read(text) for n, text in texts.items() if n in declared}
        if values.get("evidence"):
            values["evidence"] = str(Path(values["evidence"]).expanduser().absolute())
        found = (declared[name].fault(value) for name, value in values.items())
        faults += [f"{fault} ({report.name})" for fault in found if fault]
        merged = {**report.parameters, **values}
        reports.append(dataclasses.replace(report, parameters=merged))
    if faults:
        raise SuiteError(suite.source, faults)
    return dataclasses.replace(suite, reports=tuple(reports))


MOST_REPORTS = 100_000
LONGEST_NAME = 100
DIGEST = 8


def grid_faults(grid: Mapping[str, Any], fixed: Mapping[str, Any], notebook: Notebook) -> list[str]:
    """Say what is wrong with a grid.

    Parameters
    ----------
    grid : mapping
        Lists of values by parameter.
    fixed : mapping
        The parameters that are the same in every report of the grid.
    notebook : Notebook
    """
    faults = [] if grid else ["`grid` is empty; give it a parameter with a list of values"]
    for name, values in grid.items():
        if name not in notebook.parameters:
            faults.append(unknown_parameter(str(name), notebook.parameters))
        elif not (isinstance(values, list) and values):
            faults.append(f"`grid` has {name!r} as {values!r}; it takes a list of values")
        elif name in fixed:
            faults.append(f"parameter {name!r} stands in `parameters` and in `grid`; choose one")
        else:
            found = map(notebook.parameters[name].fault, values)
            faults += [f"`grid`: {fault}" for fault in found if fault]
            counts = Counter(json.dumps(value, default=str) for value in values)
            twice = [word for word, count in counts.items() if count > 1]
            faults += [f"`grid` has {word} more than once in {name!r}" for word in twice]
    size = math.prod(len(values) for values in grid.values() if isinstance(values, list))
    if size > MOST_REPORTS:
        faults.append(f"`grid` makes {size:,} reports; {MOST_REPORTS:,} is the most")
    return faults


def expand(grid: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    """Combine every value with every other; the last parameter changes fastest."""
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


def grid_names(name: str, cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name the reports of a grid after their values: ``dose-disability-linear``.

    Names that would be too long, or the same as another, end with a digest of their values.
    """
    names = ["-".join([name, *map(_slug, cell.values())]) for cell in cells]
    counts = Counter(names)
    return [
        whole if counts[whole] == 1 and len(whole) <= LONGEST_NAME else _with_digest(whole, cell)
        for whole, cell in zip(names, cells, strict=True)
    ]


def grid_title(title: str, cell: Mapping[str, Any]) -> str:
    """Title a report of a grid after its values: ``Dose: disability, linear``."""
    return f"{title}: {', '.join(_word(value).replace('_', ' ') for value in cell.values())}"


def _word(value: Any) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case list():
            return " and ".join(map(_word, value)) or "any"
    return str(value)


def _slug(value: Any) -> str:
    return re.sub(r"[^a-z0-9_]+", "-", _word(value).lower()).strip("-_") or "x"


def _with_digest(name: str, cell: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(dict(cell), default=str).encode()).hexdigest()[:DIGEST]
    return f"{name[: LONGEST_NAME - DIGEST - 1].strip('-_')}-{digest}"


SUITE_KEYS = {"title": str, "evidence": str, "reports": list}
REPORT_KEYS = {"notebook": str, "name": str, "title": str, "parameters": dict, "grid": dict}
KINDS = {str: "text", list: "a list", dict: "a mapping"}
SAFE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")
RESERVED_NAMES = {"index", "compare"}


def read_suite(path: Path) -> Suite:
    """Read a suite file and check it whole.

    Parameters
    ----------
    path : Path
        A YAML file with `reports`, a `title` and, optionally, `evidence`: a folder that every
        report whose notebook has such a parameter reads instead of the bundled evidence. A
        report with a `grid` stands for one report for every combination of the grid's values.

    Raises
    ------
    SuiteError
        With every fault: unknown keys, notebooks and parameters, values of the wrong type,
        names that are used twice or could leave the output folder.
    """
    content = _read_yaml(path)
    if not isinstance(content, dict):
        raise SuiteError(str(path), ["should be a mapping with `title` and `reports`"])
    faults = _shape_faults(content, SUITE_KEYS, "reports")
    if faults and not isinstance(content.get("reports"), list):
        raise SuiteError(str(path), faults)

    folder = path.resolve().parent
    find = cache(partial(find_notebook, folder=folder))
    reports: list[Report] = []
    names: dict[str, list[int]] = {}
    for number, entry in enumerate(content["reports"], start=1):
        made, found = _read_entry(entry, find, content.get("evidence"))
        faults += [f"{_position(number, entry)}: {fault}" for fault in found]
        reports += made
        for name in [report.name for report in made] or _given_name(entry):
            names.setdefault(name, []).append(number)
    faults += [
        f"reports {', '.join(map(str, numbers))}: the name {name!r} is used more than once"
        for name, numbers in names.items()
        if len(numbers) > 1
    ]
    if not content["reports"]:
        faults.append("`reports` is empty; list at least one")
    if faults:
        raise SuiteError(str(path), faults)
    title = content.get("title", path.stem)
    return Suite(title, tuple(reports), folder, path.name)


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(str(path), [f"cannot be read: {error}"]) from error
    except yaml.YAMLError as error:
        raise SuiteError(str(path), [f"is not YAML: {' '.join(str(error).split())}"]) from error


def _read_entry(
    entry: Any, find: Callable[[str], Notebook], evidence: str | None
) -> tuple[list[Report], list[str]]:
    """Read an entry of `reports`: one report, or as many as its grid has cells."""
    if not isinstance(entry, dict):
        return [], [f"is {entry!r}; it should be a mapping with `notebook`"]
    faults = _shape_faults(entry, REPORT_KEYS, "notebook")
    if "name" in entry:
        faults += _name_faults(entry["name"])
    if not isinstance(entry.get("notebook"), str):
        return [], faults
    try:
        notebook = find(entry["notebook"])
    except ReportingError as error:
        return [], [*faults, str(error)]

    parameters, grid = entry.get("parameters", {}), entry.get("grid", {})
    if isinstance(parameters, dict):
        faults += _parameter_faults(parameters, notebook)
    if "grid" in entry and isinstance(grid, dict) and isinstance(parameters, dict):
        faults += grid_faults(grid, parameters, notebook)
    name, title = entry.get("name", notebook.name), entry.get("title", notebook.title)
    if "name" not in entry:
        faults += _name_faults(name)
    if faults:
        return [], faults
    if evidence and "evidence" in notebook.parameters:
        parameters = {"evidence": evidence, **parameters}
    if not grid:
        return [Report(name, title, notebook, parameters)], []
    cells = expand(grid)
    return [
        Report(its_name, grid_title(title, cell), notebook, {**parameters, **cell})
        for its_name, cell in zip(grid_names(name, cells), cells, strict=True)
    ], []


def _shape_faults(entry: dict, allowed: dict[str, type], required: str) -> list[str]:
    faults = [] if required in entry else [f"`{required}` is missing"]
    for key, value in entry.items():
        if key not in allowed:
            near = get_close_matches(str(key), allowed, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(allowed)}"
            faults.append(f"unknown key {key!r}; {hint}")
        elif not isinstance(value, allowed[key]):
            faults.append(f"`{key}` is {value!r}; it takes {KINDS[allowed[key]]}")
    return faults


def _name_faults(name: Any) -> list[str]:
    if isinstance(name, str) and SAFE_NAME.fullmatch(name) and name not in RESERVED_NAMES:
        return []
    return [
        f"name {name!r} cannot be a file's name; use a-z, 0-9, - and _, "
        "begin with a letter or digit, and not 'index' or 'compare'"
    ]


def _parameter_faults(given: dict[str, Any], notebook: Notebook) -> list[str]:
    known = notebook.parameters
    found = (
        known[name].fault(value) if name in known else unknown_parameter(str(name), known)
        for name, value in given.items()
    )
    return [fault for fault in found if fault]


def _given_name(entry: Any) -> list[str]:
    name = entry.get("name") if isinstance(entry, dict) else None
    return [name] if isinstance(name, str) else []


def _position(number: int, entry: Any) -> str:
    return " ".join([f"report {number}", *(f"({name})" for name in _given_name(entry))])
