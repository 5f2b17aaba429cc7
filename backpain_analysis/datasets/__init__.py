"""The data that travel with the package, and made-up data with known truth, by name."""

from typing import Any

from backpain_analysis.datasets.bundled import (
    data_dir,
    load_reference,
    notebooks_dir,
    reference_names,
    reports_dir,
)
from backpain_analysis.datasets.trials import (
    AS_REPORTED,
    TRIAL_TRUTHS,
    TrialTruth,
    write_synthetic_trials,
)
from backpain_analysis.datasets.truth import Truth, load_truth

__all__ = [
    "AS_REPORTED",
    "TRIAL_TRUTHS",
    "TrialTruth",
    "Truth",
    "data_dir",
    "load_reference",
    "load_truth",
    "notebooks_dir",
    "reference_names",
    "reports_dir",
    "simulate_participants",
    "simulate_trials",
    "write_synthetic_trials",
]


def __getattr__(name: str) -> Any:
    """Hand out the simulators, which give checked data and so live above."""
    if name not in ("simulate_participants", "simulate_trials"):
        raise AttributeError(f"module 'backpain_analysis.datasets' has no attribute {name!r}")
    import backpain_analysis

    return getattr(backpain_analysis, name)
