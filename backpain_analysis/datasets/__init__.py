"""The data that travel with the package, and made-up data with known truth, by name."""

from backpain_analysis.datasets.bundled import data_dir, notebooks_dir, reports_dir
from backpain_analysis.datasets.participants import simulate_participants
from backpain_analysis.datasets.reference import load_reference, reference_names
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
