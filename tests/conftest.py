"""Reference tables and the numbers that established R packages give for them."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

REFERENCE = Path(__file__).parent / "reference"


@pytest.fixture(scope="session")
def reference() -> dict:
    """The first set of numbers of R packages; see tests/reference/README.md."""
    return json.loads((REFERENCE / "reference.json").read_text())


@pytest.fixture(scope="session")
def reference_table():
    """A function from a name to its input table."""
    return lambda name: pd.read_csv(REFERENCE / f"{name}.csv")


@pytest.fixture(scope="session")
def reference2() -> dict:
    """The second set of numbers; see tests/reference/README.md."""
    return json.loads((REFERENCE / "reference2.json").read_text())
