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
