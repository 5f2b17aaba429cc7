"""The public names."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import backpain_analysis as bp


def test_every_public_name_resolves():
    for name in bp.__all__:
        found = getattr(bp, name)
        assert found is not None
        rooms = ("datasets", "figures", "priors", "sentences")
        assert not isinstance(found, ModuleType) or name in rooms


def test_public_names_are_listed_once_and_all_of_them():
    stub = ast.parse(Path(bp.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    names = [a.name for node in stub.body if isinstance(node, ast.ImportFrom) for a in node.names]
    (listed,) = (ast.literal_eval(node.value) for node in stub.body if isinstance(node, ast.Assign))
    assert sorted(names) == sorted(listed) == sorted(bp.__all__) == sorted(set(names))


NUMBERS = "dict(yi=[1.0, 2, 4, 3, 2], vi=[1.0, 1, 2, 1, 1], x=[1, 2, 3, 5, 5], z=list('aabbc'))"
EVIDENCE = "bp.load_evidence().effects('pain_intensity')"
SPECIAL = {"scipy.special", "scipy.linalg", "scipy.optimize", "scipy.stats"}
SHOWING = {"matplotlib", "openpyxl", "statsmodels", "backpain_analysis.models.bayes"}


@pytest.mark.parametrize(
    ("first", "unused"),
    [
        (
            "bp.pool([1.0, 2, 3], [1.0, 1, 1])",
            {"formulaic", "importlib.metadata", "pandera"} | SPECIAL,
        ),
        (f"bp.meta_regression('yi ~ x', {NUMBERS})", {"formulaic", "pandera"} | SPECIAL),
        (f"bp.meta_regression('yi ~ x + I(x**2)', {NUMBERS})", {"pandera", "scipy.special"}),
        (
            f"bp.multilevel('yi ~ x', {NUMBERS}, V='vi', random=['z'])",
            {"formulaic", "scipy.optimize"},
        ),
        (f"bp.network({EVIDENCE})", {"formulaic", "scipy.ndimage", "scipy.optimize"}),
        (
            f"bp.dose_response({EVIDENCE}, dose='minutes_per_week')",
            {"formulaic", "scipy.linalg", "scipy.optimize", "scipy.sparse"},
        ),
        ("import backpain_analysis.reporting.run", {"IPython", "papermill", "requests"}),
    ],
)
def test_what_comes_first_loads_only_what_it_needs(first, unused):
    code = f"import sys, backpain_analysis as bp; {first};"
    code += f"print({unused | SHOWING} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_figures_and_answers_wait_for_statsmodels_until_they_need_it():
    code = "import sys, backpain_analysis.figures, backpain_analysis.answers.claims;"
    code += "print({'statsmodels', 'scipy.stats'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_import_alone_loads_no_heavy_library():
    code = "import sys, backpain_analysis; print({'pandas', 'matplotlib'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
