"""What README, documentation and docstrings show runs."""

from __future__ import annotations

import ast
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

NAMESPACES = {"backpain_analysis": bp} | {
    f"backpain_analysis.{name}": getattr(bp, name)
    for name in bp.__all__
    if inspect.ismodule(getattr(bp, name))
}
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


def listed(name: str) -> list[str]:
    lists = LISTS.findall((ROOT / "docs" / "api.md").read_text())
    own = "\n".join(names for module, names in lists if module == name)
    return sorted(re.findall(r"^   (\w+)$", own, re.M))


def test_the_reference_lists_every_public_name():
    assert listed("backpain_analysis") == sorted(
        name for name in bp.__all__ if not inspect.ismodule(getattr(bp, name))
    )


@pytest.mark.parametrize("name", NAMESPACES)
def test_the_reference_lists_what_the_namespaces_do(name):
    own = set(listed(name))
    assert set(documented(NAMESPACES[name])) <= own | set(bp.__all__)
    assert own <= set(NAMESPACES[name].__all__)


@pytest.mark.parametrize("name", NAMESPACES)
def test_namespaces_name_what_is_theirs_and_nothing_they_use(name):
    room = NAMESPACES[name]
    assert {each for each in dir(room) if not each.startswith("_")} == set(room.__all__)
    for each in room.__all__:
        assert getattr(room, each) is not None
        assert name == "backpain_analysis" or not inspect.ismodule(getattr(room, each))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_within_the_project_lead_somewhere(page):
    targets = [link for link, _ in LINK.findall(page.read_text())]
    assert [t for t in targets if not (page.parent / t).exists()] == []


CELL = re.compile(r"^\|[^\n]*?(?<!\\)\| ([^\n]*) \|$", re.M)
HEADING = re.compile(
    r"^### Arguments of `[\w.]+` are those of `bp\.(\w+)`$(.*?)(?=^##|\Z)", re.M | re.S
)
CODE = re.compile(r"`([^`\n]+)`")


def calls(page: str) -> list[ast.Call]:
    """The calls of our functions in the right-hand cells of a page's tables."""
    cells = [cell.replace("\\|", "|") for cell in CELL.findall(page)]
    codes = [code.replace("…", "...") for cell in cells for code in CODE.findall(cell)]
    found = []
    for code in codes:
        # `, ...` stands for further arguments
        text = code.replace("=...", "=0").replace(", ...)", ")")
        try:
            tree = ast.parse(text, mode="eval")
        except SyntaxError:
            continue
        found += [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call for call in found if ast.unparse(call.func).startswith("bp.")]


def test_what_those_who_come_from_r_are_told_to_write_exists():
    page = (ROOT / "docs" / "from-r.md").read_text()
    told = calls(page)
    assert len(told) > 25
    for call in told:
        parameters = inspect.signature(eval(ast.unparse(call.func), {"bp": bp})).parameters
        if "columns" not in parameters:
            assert {k.arg for k in call.keywords} <= set(parameters), ast.unparse(call)
    sections = HEADING.findall(page)
    assert len(sections) >= 6
    for name, text in sections:
        parameters = inspect.signature(getattr(bp, name)).parameters
        codes = [code for cell in CELL.findall(text) for code in CODE.findall(cell)]
        used = {match[1] for code in codes if (match := re.match(r"(\w+)=", code))}
        assert used - {"kind"} <= set(parameters), name


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
