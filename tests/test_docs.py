"""What README, documentation and docstrings show runs."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

import backpain_analysis as bp

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(?:\{code-cell\} ipython3|python)\n(.*?)^```$", re.M | re.S)
OPTIONS = re.compile(r"\A(---\n.*?\n---\n|(:\w+:[^\n]*\n)+)", re.S)
ELSEWHERE = re.compile(r"my-|dask_(jobqueue|kubernetes)")
"""Files of the reader, packages of a cluster."""
COMMAND = re.compile(r"^!", re.M)
"""Pages with commands run when the documentation is built, which fails with them."""
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)]*)?\)")

NAMESPACES = {"bp": bp, "figures": bp.figures}
"""Whose public names stand in the reference, each with an example."""

LISTS = re.compile(r"^\.\. currentmodule:: (\S+)\n(.*?)^```", re.M | re.S)


def blocks(page: Path) -> list[str]:
    found = [OPTIONS.sub("", code) for code in BLOCK.findall(page.read_text())]
    if any(COMMAND.search(code) for code in found):
        return []
    return [code for code in found if not ELSEWHERE.search(code)]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=name_of)
def test_code_of_pages_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(ROOT / "docs" / "_ext"), *sys.path])
    namespace: dict[str, object] = {}
    for number, code in enumerate(blocks(page), 1):
        exec(compile(code, f"{name_of(page)}, block {number}", "exec"), namespace)
    plt.close("all")


@pytest.mark.parametrize("room", NAMESPACES.values(), ids=NAMESPACES)
def test_the_reference_lists_every_public_name(room):
    lists = LISTS.findall((ROOT / "docs" / "api.md").read_text())
    own = "\n".join(names for module, names in lists if module == room.__name__)
    public = [name for name in room.__all__ if not inspect.ismodule(getattr(room, name))]
    assert sorted(re.findall(r"^   (\w+)$", own, re.M)) == sorted(public)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_within_the_project_lead_somewhere(page):
    targets = [link for link, _ in LINK.findall(page.read_text())]
    assert [t for t in targets if not (page.parent / t).exists()] == []


def documented(room) -> dict[str, object]:
    """The public functions and classes."""
    named = {name: getattr(room, name) for name in room.__all__}
    return {n: one for n, one in named.items() if inspect.isfunction(one) or inspect.isclass(one)}


@pytest.mark.parametrize("room", NAMESPACES.values(), ids=NAMESPACES)
def test_every_public_name_has_an_example(room):
    assert [n for n, one in documented(room).items() if ">>> " not in (one.__doc__ or "")] == []


def modules() -> list[str]:
    rooms = NAMESPACES.values()
    return sorted({one.__module__ for room in rooms for one in documented(room).values()})


@pytest.mark.parametrize("module", modules())
def test_examples_of_docstrings(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(
        importlib.import_module(module),
        extraglobs={"bp": bp},
        optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS,
    )
    plt.close("all")
    assert result.failed == 0
