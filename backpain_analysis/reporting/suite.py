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

from backpain_analysis.reporting.errors import ReportingError, SuiteError, short
from backpain_analysis.reporting.inputs import listed
from backpain_analysis.reporting.notebooks import (
    LONGEST_REASON,
    Notebook,
    find_notebook,
    read_yaml,
    unknown_parameter,
    value_fault,
)
from backpain_analysis.reporting.reading import read_plain_text


@dataclass(frozen=True)
class Limits:
    """What a run may take; generous, so that only a run gone wrong meets them.

    Attributes
    ----------
    cell_seconds, run_seconds : float
        For each cell, and for all of them.
    memory_mb : int
        Of the kernel, and of each process it starts. Kept on Linux.
    output_mb, page_mb : float
        Of what one cell shows, and of what all of them show; more is left out with a word.
    """

    cell_seconds: float = 3600
    run_seconds: float = 14_400
    memory_mb: int = 16_384
    output_mb: float = 20
    page_mb: float = 100

    def changed(self, texts: Mapping[str, Any]) -> Limits:
        """Return these limits with some replaced.

        Raises
        ------
        ValueError
            With what is wrong with them.
        """
        for name, value in texts.items():
            if name not in LIMITS:
                raise ValueError(f"unknown limit {short(name)}; known: {', '.join(LIMITS)}")
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not 0 < value < math.inf:
                raise ValueError(f"limit `{name}` is {short(value)}; it takes a positive number")
        return dataclasses.replace(self, **texts)


LIMITS = tuple(field.name for field in dataclasses.fields(Limits))


@dataclass(frozen=True)
class Report:
    """One notebook with the parameters it is to be run with.

    Attributes
    ----------
    name : str
        The stem of its files' names.
    title : str
    notebook : Notebook
    parameters : mapping
        Those asked for.
    origins : mapping of str to Path
        Where a parameter's relative path starts, if not in the suite's folder.
    files : mapping of str to Path
        Files that the run reads and the suite lists, by their place in its folder.
    limits : Limits
    """

    name: str
    title: str
    notebook: Notebook
    parameters: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, Path] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)

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
        folder = self.origins.get("evidence", folder)
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

    Relative paths among them start in the working folder.

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
        found = (declared[name].fault(value) for name, value in values.items())
        faults += [f"{fault} ({report.name})" for fault in found if fault]
        merged = {**report.parameters, **values}
        origins = {**report.origins, **dict.fromkeys(values, Path.cwd())}
        reports.append(dataclasses.replace(report, parameters=merged, origins=origins))
    if faults:
        raise SuiteError(suite.source, faults)
    return dataclasses.replace(suite, reports=tuple(reports))


def with_limits(suite: Suite, texts: Mapping[str, str]) -> Suite:
    """Set limits, given as text, for every report of a suite.

    Raises
    ------
    SuiteError
        If there is no such limit, or its value is no positive number.
    """
    values: dict[str, Any] = {}
    for name, text in texts.items():
        try:
            values[name] = float(text)
        except ValueError:
            values[name] = text
    try:
        reports = [
            dataclasses.replace(report, limits=report.limits.changed(values))
            for report in suite.reports
        ]
    except ValueError as error:
        raise SuiteError(suite.source, [str(error)]) from error
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
            faults.append(f"`grid` has {name!r} as {short(values)}; it takes a list of values")
        elif name in fixed:
            faults.append(f"parameter {name!r} stands in `parameters` and in `grid`; choose one")
        else:
            found = map(notebook.parameters[name].fault, values)
            faults += [f"`grid`: {fault}" for fault in found if fault]
            counts = Counter(json.dumps(value, default=str) for value in values)
            twice = [word for word, count in counts.items() if count > 1]
            faults += [
                f"`grid` has {short(word)[1:-1]} more than once in {name!r}" for word in twice
            ]
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


SHARED_KEYS: dict[str, type] = {"title": str, "files": list, "limits": dict}
SUITE_KEYS: dict[str, type] = {**SHARED_KEYS, "evidence": str, "reports": list}
REPORT_KEYS: dict[str, type] = {
    **SHARED_KEYS,
    "notebook": str,
    "name": str,
    "parameters": dict,
    "grid": dict,
}
KINDS: dict[type, str] = {str: "text", list: "a list", dict: "a mapping"}
SAFE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")
RESERVED_NAMES = {"index", "compare"}
DEVICES = {"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(10))}
"""What Windows takes for a device whatever its ending."""

MOST_FAULTS = 50


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
    if fault := value_fault({key: value for key, value in content.items() if key != "reports"}):
        faults.append(f"holds {fault}")
    if faults and not isinstance(content.get("reports"), list):
        raise SuiteError(str(path), faults)

    folder = path.resolve().parent
    find = _finder(folder)
    shared, found = _shared(content, Shared(folder=folder))
    faults += found
    reports: list[Report] = []
    names: dict[str, list[int]] = {}
    if len(content["reports"]) > MOST_REPORTS:
        many = f"has {len(content['reports']):,} reports; {MOST_REPORTS:,} are the most"
        raise SuiteError(str(path), [*faults, many])
    for number, entry in enumerate(content["reports"], start=1):
        made, found = _read_entry(entry, find, shared)
        faults += [f"{_position(number, entry)}: {fault}" for fault in found]
        reports += made
        for name in [report.name for report in made] or _given_name(entry):
            names.setdefault(name, []).append(number)
    faults += [
        f"reports {_some(numbers)}: the name {name!r} is used more than once"
        for name, numbers in names.items()
        if len(numbers) > 1
    ]
    if not content["reports"]:
        faults.append("`reports` is empty; list at least one")
    if faults:
        more = len(faults) - MOST_FAULTS
        faults[MOST_FAULTS:] = [f"… and {more:,} more"] if more > 0 else []
        raise SuiteError(str(path), faults)
    title = content.get("title", path.stem)
    return Suite(title, tuple(reports), folder, path.name)


def _finder(folder: Path) -> Callable[[str], Notebook]:
    """Return what finds a notebook, or says once for all why there is none."""

    @cache
    def sought(name: str) -> Notebook | str:
        try:
            return find_notebook(name, folder)
        except ReportingError as error:
            return str(error)

    def find(name: str) -> Notebook:
        found = sought(name)
        if isinstance(found, str):
            raise ReportingError(found)
        return found

    return find


def _some(numbers: list[int], most: int = 10) -> str:
    more = f" and {len(numbers) - most:,} more" if len(numbers) > most else ""
    return ", ".join(map(str, numbers[:most])) + more


@dataclass(frozen=True)
class Shared:
    """What a suite says for all of its reports."""

    folder: Path
    evidence: str = ""
    files: Mapping[str, Path] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)


def _shared(entry: Mapping[str, Any], above: Shared) -> tuple[Shared, list[str]]:
    """Read what a suite, or an entry of it, says of evidence, files and limits."""
    faults: list[str] = []
    evidence, limits = entry.get("evidence", above.evidence), above.limits
    patterns, asked = entry.get("files", []), entry.get("limits", {})
    if not isinstance(patterns, list):
        return above, []
    if not all(isinstance(each, str) for each in patterns):
        return above, ["`files` takes a list of texts"]
    files, faults = listed(patterns, above.folder)
    if isinstance(asked, dict):
        try:
            limits = above.limits.changed(asked)
        except ValueError as error:
            faults.append(str(error))
    evidence = evidence if isinstance(evidence, str) else ""
    return Shared(above.folder, evidence, {**above.files, **files}, limits), faults


def _read_yaml(path: Path) -> Any:
    try:
        return read_yaml(read_plain_text(path))
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(str(path), [f"cannot be read: {error}"]) from error
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())[:LONGEST_REASON]
        raise SuiteError(str(path), [f"is not YAML: {said}"]) from error
    except ValueError as error:
        raise SuiteError(str(path), [str(error)]) from error


def _read_entry(
    entry: Any, find: Callable[[str], Notebook], above: Shared
) -> tuple[list[Report], list[str]]:
    """Read an entry of `reports`: one report, or as many as its grid has cells."""
    if not isinstance(entry, dict):
        return [], [f"is {short(entry)}; it should be a mapping with `notebook`"]
    faults = _shape_faults(entry, REPORT_KEYS, "notebook")
    plain = {key: value for key, value in entry.items() if key not in ("parameters", "grid")}
    if fault := value_fault(plain):
        return [], [*faults, f"holds {fault}"]
    shared, found = _shared(entry, above)
    faults += found
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
    if shared.evidence and "evidence" in notebook.parameters:
        parameters = {"evidence": shared.evidence, **parameters}
    make = partial(Report, files=shared.files, limits=shared.limits)
    if not grid:
        return [make(name, title, notebook, parameters)], []
    cells = expand(grid)
    return [
        make(its_name, grid_title(title, cell), notebook, {**parameters, **cell})
        for its_name, cell in zip(grid_names(name, cells), cells, strict=True)
    ], []


def _shape_faults(entry: dict, allowed: dict[str, type], required: str) -> list[str]:
    faults = [] if required in entry else [f"`{required}` is missing"]
    for key, value in entry.items():
        if key not in allowed:
            near = get_close_matches(str(key)[:LONGEST_NAME], allowed, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(allowed)}"
            faults.append(f"unknown key {short(key)}; {hint}")
        elif not isinstance(value, allowed[key]):
            faults.append(f"`{key}` is {short(value)}; it takes {KINDS[allowed[key]]}")
    return faults


def _name_faults(name: Any) -> list[str]:
    if isinstance(name, str) and SAFE_NAME.fullmatch(name):
        if name not in RESERVED_NAMES | DEVICES:
            return []
    return [
        f"name {short(name)} cannot be a file's name; use a-z, 0-9, - and _, "
        "begin with a letter or digit, and not 'index', 'compare' or a device's name like 'con'"
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
    return " ".join(
        [f"report {number}", *(f"({name[:LONGEST_NAME]})" for name in _given_name(entry))]
    )
