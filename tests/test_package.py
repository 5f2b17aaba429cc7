"""The public names."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

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


def test_a_first_estimate_loads_only_what_it_needs():
    code = (
        "import sys, backpain_analysis as bp; bp.pool([1.0, 2.0, 3.0], [1.0, 1.0, 1.0]);"
        "table = dict(yi=[1.0, 2, 4, 3], vi=[1.0, 1, 2, 1], x=[1, 2, 3, 5]);"
        "bp.meta_regression('yi ~ x', table);"
        "print({'formulaic', 'matplotlib', 'pandera', 'importlib.metadata', 'scipy.special',"
        " 'scipy.linalg', 'scipy.optimize', 'scipy.stats'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_a_first_network_loads_only_what_it_needs():
    code = (
        "import sys, backpain_analysis as bp;"
        "bp.network(bp.load_evidence().effects('pain_intensity'));"
        "print({'matplotlib', 'openpyxl', 'statsmodels', 'formulaic', 'scipy.stats',"
        " 'scipy.ndimage', 'scipy.optimize'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_import_alone_loads_no_heavy_library():
    code = "import sys, backpain_analysis; print({'pandas', 'matplotlib'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
