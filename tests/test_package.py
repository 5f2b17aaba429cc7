"""The public names."""

from __future__ import annotations

import subprocess
import sys

import backpain_analysis as bp


def test_every_public_name_resolves():
    for name in bp.__all__:
        assert getattr(bp, name) is not None
    assert set(bp._HOME) | set(bp._MODULES) == set(bp.__all__)


def test_import_alone_loads_no_heavy_library():
    code = "import sys, backpain_analysis; print({'pandas', 'matplotlib'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
