"""Tables of our numbers beside published or R's ones, computed while the page is built."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

REFERENCE = Path(__file__).parents[2] / "tests" / "reference"


def reference(file: str = "reference.json") -> dict:
    """Read the numbers of R that the tests compare with."""
    return json.loads((REFERENCE / file).read_text())


def table(name: str) -> pd.DataFrame:
    """Read one of the input tables of the tests."""
    return pd.read_csv(REFERENCE / f"{name}.csv")


def side_by_side(rows: list[tuple[str, float, float]], source: str) -> pd.DataFrame:
    """Ours beside theirs: what, the two numbers, and their relative difference."""
    frame = pd.DataFrame(rows, columns=["", "backpain-analysis", source])
    difference = (frame.iloc[:, 1] - frame.iloc[:, 2]).abs() / frame.iloc[:, 2].abs().clip(1e-12)
    frame["relative difference"] = [f"{d:.0e}" for d in difference]
    return frame.set_index("")
