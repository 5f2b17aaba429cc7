"""Suite files: YAML, read and checked whole before anything runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from functools import cache, partial
from pathlib import Path
from typing import Any

import yaml

from backpain_analysis.reporting.errors import ReportingError, SuiteError
from backpain_analysis.reporting.grid import expand, grid_faults, grid_names, grid_title
from backpain_analysis.reporting.notebooks import Notebook, find_notebook
from backpain_analysis.reporting.parameters import unknown_parameter
from backpain_analysis.reporting.suite import Report, Suite

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
