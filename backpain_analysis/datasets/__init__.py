"""The data that travel with the package, by name."""

from backpain_analysis.datasets.bundled import data_dir, notebooks_dir, reports_dir
from backpain_analysis.datasets.reference import load_reference, reference_names

__all__ = ["data_dir", "load_reference", "notebooks_dir", "reference_names", "reports_dir"]
