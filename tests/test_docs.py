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


MODULES = {"datasets", "figures", "priors", "sentences"}


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


def test_the_reference_lists_every_public_name():
    listed = re.findall(r"^   (\w+)$", (ROOT / "docs" / "api.md").read_text(), re.M)
    assert sorted(listed) == sorted(set(bp.__all__) - MODULES)


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


def public() -> list[str]:
    return sorted(
        n
        for n in bp.__all__
        if inspect.isfunction(getattr(bp, n)) or inspect.isclass(getattr(bp, n))
    )


def test_every_public_name_has_an_example():
    assert [n for n in public() if ">>> " not in (getattr(bp, n).__doc__ or "")] == []


def modules() -> list[str]:
    return sorted({getattr(bp, n).__module__ for n in public()})


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
