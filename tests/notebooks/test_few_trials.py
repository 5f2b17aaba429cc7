"""Notebooks that ask much of the trials, on three of them and on some that tell nothing."""

from __future__ import annotations

import ast
import re

import nbformat
import pytest

from backpain_analysis.datasets.bundled import notebooks_dir
from backpain_analysis.evidence.evidence import load_evidence

NOTEBOOKS = (
    *("04_exercise_types", "07_pain_sensitivity", "08_mechanisms", "10_moderators"),
    *("11_certainty", "12_claims", "13_dose_explorer"),
)
FEW = {
    "three trials": ["sherman2011", "tankha2024", "miyamoto2013"],
    "neck pain only": ["andersen2014"],
    "no pain measured": ["tomschi2025", "vaegter2018"],
}


@pytest.fixture(scope="module", params=FEW)
def folder(request, tmp_path_factory):
    """Somebody's own trials, as Parquet tables."""
    path = tmp_path_factory.mktemp("few")
    evidence = load_evidence().filter(trial_id=FEW[request.param])
    for name in ("trials", "arms", "outcomes", "contrasts"):
        getattr(evidence, name).astype(object).convert_dtypes().to_parquet(path / f"{name}.parquet")
    return path


def shown(name: str, evidence: str) -> list[str]:
    """What each cell of a notebook shows, as HTML or Markdown."""
    space: dict = {}
    found = []
    for cell in nbformat.read(notebooks_dir() / f"{name}.ipynb", as_version=4).cells:
        if cell.cell_type != "code":
            continue
        tree = ast.parse(cell.source)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, name, "exec"), space)
        if "parameters" in cell.metadata.get("tags", []):
            space["evidence"] = evidence
        if last is not None:
            value = eval(compile(ast.Expression(last.value), name, "eval"), space)
            said = getattr(value, "_repr_markdown_", lambda: None)()
            found.append(said or (value._repr_html_() if value is not None else ""))
    return found


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_cell_says_something_readable(folder, name):
    cells = shown(name, str(folder))
    answer = next(text for text in cells if text)
    assert re.match(r"> [A-Z0-9].{30,}\.$", answer)
    visible = [
        re.sub(r"<style.*?</style>|<svg.*?</svg>|<[^>]+>", " ", text, flags=re.S) for text in cells
    ]
    assert not re.search(r"\bnan\b|\bNaN\b|\binf\b|<NA>|\bNone\b(?! of)", " ".join(visible))
