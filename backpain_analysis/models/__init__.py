"""From effect sizes to estimates; `mixed.py` is the one engine under every named model."""

from backpain_analysis.models.compare import compare_curves
from backpain_analysis.models.curve_names import piecewise, rcs
from backpain_analysis.models.diagnostics import cumulative, influence, leave_one_out
from backpain_analysis.models.dose_questions import by_type, spread_over_week
from backpain_analysis.models.dose_response import dose_response
from backpain_analysis.models.dose_result import DoseResponseResult
from backpain_analysis.models.fp_selection import select_fractional_polynomial
from backpain_analysis.models.groups import pool_by, pooled_table
from backpain_analysis.models.meta_regression import MetaRegressionResult, meta_regression
from backpain_analysis.models.mixed import ConvergenceError
from backpain_analysis.models.multilevel import MultilevelResult, multilevel
from backpain_analysis.models.multiverse import multiverse
from backpain_analysis.models.pooling import PoolResult, pool
from backpain_analysis.models.robustness import adjusted_estimates, robustness
from backpain_analysis.models.sampling import sampling_covariance
from backpain_analysis.models.selection import selection_model
from backpain_analysis.models.small_study import egger_test, pet_peese, rank_test
from backpain_analysis.models.trim_and_fill import trim_and_fill

__all__ = [
    "ConvergenceError",
    "DoseResponseResult",
    "MetaRegressionResult",
    "MultilevelResult",
    "PoolResult",
    "adjusted_estimates",
    "by_type",
    "compare_curves",
    "cumulative",
    "dose_response",
    "egger_test",
    "influence",
    "leave_one_out",
    "meta_regression",
    "multilevel",
    "multiverse",
    "pet_peese",
    "piecewise",
    "pool",
    "pool_by",
    "pooled_table",
    "rank_test",
    "rcs",
    "robustness",
    "sampling_covariance",
    "select_fractional_polynomial",
    "selection_model",
    "spread_over_week",
    "trim_and_fill",
]
