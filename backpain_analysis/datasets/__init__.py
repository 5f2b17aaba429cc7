"""The data that travel with the package, and made-up data with known truth, by name."""

from typing import Any

from backpain_analysis.datasets.bundled import (
    data_dir,
    load_reference,
    notebooks_dir,
    reference_names,
    reports_dir,
)
from backpain_analysis.datasets.truth import Truth, load_truth

__all__ = [
    "Truth",
    "data_dir",
    "load_reference",
    "load_truth",
    "notebooks_dir",
    "reference_names",
    "reports_dir",
    "simulate_participants",
]


def __getattr__(name: str) -> Any:
    """Hand out the simulator, which gives checked `Participants` and so lives above."""
    if name != "simulate_participants":
        raise AttributeError(f"module 'backpain_analysis.datasets' has no attribute {name!r}")
    import backpain_analysis

    return backpain_analysis.simulate_participants
