"""Suite files: YAML, read and checked whole before anything runs."""

from __future__ import annotations

import re
from collections import Counter
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from backpain_analysis.reporting.errors import ReportingError, SuiteError
from backpain_analysis.reporting.notebooks import Notebook, find_notebook
from backpain_analysis.reporting.parameters import unknown_parameter
from backpain_analysis.reporting.suite import Report, Suite

SUITE_KEYS = {"title": str, "evidence": str, "reports": list}
REPORT_KEYS = {"notebook": str, "name": str, "title": str, "parameters": dict}
KINDS = {str: "text", list: "a list", dict: "a mapping"}
SAFE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")
RESERVED_NAMES = {"index"}


def read_suite(path: Path) -> Suite:
    """Read a suite file and check it whole.

    Parameters
    ----------
    path : Path
        A YAML file with `reports`, a `title` and, optionally, `evidence`: a folder that every
        report whose notebook has such a parameter reads instead of the bundled evidence.

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
    reports = []
    for number, entry in enumerate(content["reports"], start=1):
        report, found = _read_report(entry, folder, content.get("evidence"))
        faults += [f"{_position(number, entry)}: {fault}" for fault in found]
        reports.append(report)
    faults += _repeated_names(content["reports"], reports)
    if not content["reports"]:
        faults.append("`reports` is empty; list at least one")
    if faults:
        raise SuiteError(str(path), faults)
    return Suite(content.get("title", path.stem), tuple(reports), folder, path.name)


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(str(path), [f"cannot be read: {error}"]) from error
    except yaml.YAMLError as error:
        raise SuiteError(str(path), [f"is not YAML: {' '.join(str(error).split())}"]) from error


def _read_report(entry: Any, folder: Path, evidence: str | None) -> tuple[Report | None, list[str]]:
    if not isinstance(entry, dict):
        return None, [f"is {entry!r}; it should be a mapping with `notebook`"]
    faults = _shape_faults(entry, REPORT_KEYS, "notebook")
    if "name" in entry:
        faults += _name_faults(entry["name"])
    if not isinstance(entry.get("notebook"), str):
        return None, faults
    try:
        notebook = find_notebook(entry["notebook"], folder)
    except ReportingError as error:
        return None, [*faults, str(error)]

    parameters = entry.get("parameters") or {}
    if isinstance(parameters, dict):
        faults += _parameter_faults(parameters, notebook)
    name = entry.get("name", notebook.name)
    if "name" not in entry:
        faults += _name_faults(name)
    if faults:
        return None, faults
    if evidence and "evidence" in notebook.parameters:
        parameters = {"evidence": evidence, **parameters}
    return Report(name, entry.get("title", notebook.title), notebook, parameters), []


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
        "begin with a letter or digit, and not 'index'"
    ]


def _parameter_faults(given: dict[str, Any], notebook: Notebook) -> list[str]:
    known = notebook.parameters
    found = (
        known[name].fault(value) if name in known else unknown_parameter(str(name), known)
        for name, value in given.items()
    )
    return [fault for fault in found if fault]


def _repeated_names(entries: list[Any], reports: list[Report | None]) -> list[str]:
    names = [
        report.name if report else entry.get("name") if isinstance(entry, dict) else None
        for entry, report in zip(entries, reports, strict=True)
    ]
    counts = Counter(name for name in names if isinstance(name, str))
    return [
        f"reports {', '.join(str(n) for n, name in enumerate(names, 1) if name == repeated)}: "
        f"the name {repeated!r} is used more than once"
        for repeated, count in counts.items()
        if count > 1
    ]


def _position(number: int, entry: Any) -> str:
    name = entry.get("name") if isinstance(entry, dict) else None
    return f"report {number} ({name})" if isinstance(name, str) else f"report {number}"
