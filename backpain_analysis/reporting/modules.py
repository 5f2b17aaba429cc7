"""Modules that code imports: their files where no version tells of them, else their versions."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

OURS = "backpain-analysis"
IMPORT = re.compile(
    r"(?:^|[;:])[ \t]*(?:from|import|%run|%load_ext)[ \t]+([\w., \t/-]+)", re.MULTILINE
)
ALIAS = re.compile(r"\s+(?:as\s+\w+|import\b.*)")
INSTALLED = {"site-packages", "dist-packages"}


def imported(code: str) -> set[str]:
    """Return the first parts of the names that code imports: ``a`` of ``from a.b import c``."""
    found = set()
    for names in IMPORT.findall(code):
        for name in re.split(r"[,\s]+", ALIAS.sub("", names)):
            found.add(name.removesuffix(".py").replace(".", "/").split("/")[0])
    return found - {""}


@cache
def of_no_version(module: str) -> Path | None:
    """Return the file or folder of a module on Python's path that nobody installed, if it is one.

    Its files count by their content, as of one that lies beside the notebook. A module in the
    working folder is none: what a run finds does not depend on where it is started.
    """
    place = _place(module)
    if place is None or INSTALLED & set(place.parts):
        return None
    named = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    paths = [os.path.abspath(path) for path in named]
    if place.parent == Path.cwd() and str(place.parent) not in paths:
        return None
    return place


def _place(module: str) -> Path | None:
    """Return where a module is that comes neither with Python nor with this package."""
    if module in sys.stdlib_module_names or canonicalize_name(module) == OURS:
        return None
    try:
        spec = find_spec(module)
    except (ImportError, ValueError, AttributeError):  # odd entries among those imported already
        return None
    if spec is None or not spec.origin:
        return None
    place = Path(spec.origin)
    return place.parent if spec.submodule_search_locations else place


@cache
def packages(name: str = OURS) -> dict[str, str]:
    """Return the versions of a package and of all that it asks for, and they in turn."""
    found: dict[str, str] = {}
    waiting = [name]
    while waiting:
        package = canonicalize_name(waiting.pop())
        try:
            if package not in found:
                about = distribution(package)
                found[package] = about.version
                asked = map(Requirement, about.requires or [])
                waiting += [each.name for each in asked if _applies(each)]
        except PackageNotFoundError:
            continue
    return dict(sorted(found.items()))


def _applies(requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})


def packages_of(modules: Iterable[str]) -> dict[str, str]:
    """Return the versions of the packages that modules belong to, and of all that these ask for."""
    found: dict[str, str] = {}
    for module in modules:
        place = _place(module)
        if place and INSTALLED & set(place.parts) and canonicalize_name(module) not in packages():
            for name in _owners(module):
                found |= packages(name)
    return found


def _owners(module: str) -> list[str]:
    """Return the packages that a module came with; most are called like it."""
    return [module] if packages(module) else packages_distributions().get(module, [])


def versions_here(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of those packages that are installed."""
    return {name: found[name] for name in names if name in (found := packages(name))}
