"""From effect sizes to estimates; `mixed.py` is the one engine under every named model."""

from backpain_analysis.models.compare import compare_curves
from backpain_analysis.models.curves import rcs
from backpain_analysis.models.dose_response import DoseResponseResult, dose_response
from backpain_analysis.models.groups import pool_by, pooled_table
from backpain_analysis.models.mixed import ConvergenceError
from backpain_analysis.models.pooling import PoolResult, pool

__all__ = [
    "ConvergenceError",
    "DoseResponseResult",
    "PoolResult",
    "compare_curves",
    "dose_response",
    "pool",
    "pool_by",
    "pooled_table",
    "rcs",
]
