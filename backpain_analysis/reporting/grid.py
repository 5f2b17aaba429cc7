"""A grid in a suite: lists of parameters' values, of which every combination is a report."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from backpain_analysis.reporting.notebooks import Notebook
from backpain_analysis.reporting.parameters import unknown_parameter

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
