"""Exercise and back pain: real trial evidence in, dose-response estimates and reports out."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backpain_analysis import figures
    from backpain_analysis.datasets import load_reference
    from backpain_analysis.display import table
    from backpain_analysis.effects import Effects, effect_size
    from backpain_analysis.effects.lumping import LUMPINGS, lumping
    from backpain_analysis.evidence import BACK_PAIN, Evidence, EvidenceError, load_evidence
    from backpain_analysis.evidence.dose import DOSE_LABELS, DOSE_MEASURES
    from backpain_analysis.evidence.scales import LOWER_IS_BETTER, mcid
    from backpain_analysis.models import (
        ConvergenceError,
        DoseResponseResult,
        MetaRegressionResult,
        MultilevelResult,
        PoolResult,
        adjusted_estimates,
        by_type,
        compare_curves,
        cumulative,
        dose_response,
        egger_test,
        influence,
        leave_one_out,
        meta_regression,
        multilevel,
        multiverse,
        pet_peese,
        piecewise,
        pool,
        pool_by,
        pooled_table,
        rank_test,
        rcs,
        robustness,
        sampling_covariance,
        select_fractional_polynomial,
        selection_model,
        sentences,
        spread_over_week,
        trim_and_fill,
    )
    from backpain_analysis.models.network.connected import connected_part, network_components
    from backpain_analysis.models.network.network import network
    from backpain_analysis.models.network.result import NetworkResult

__version__ = _version("backpain-analysis")

_HOME = {
    "BACK_PAIN": "evidence",
    "ConvergenceError": "models",
    "DOSE_LABELS": "evidence.dose",
    "DOSE_MEASURES": "evidence.dose",
    "DoseResponseResult": "models",
    "Effects": "effects",
    "Evidence": "evidence",
    "EvidenceError": "evidence",
    "LOWER_IS_BETTER": "evidence.scales",
    "LUMPINGS": "effects.lumping",
    "MetaRegressionResult": "models",
    "MultilevelResult": "models",
    "NetworkResult": "models.network.result",
    "PoolResult": "models",
    "adjusted_estimates": "models",
    "by_type": "models",
    "compare_curves": "models",
    "connected_part": "models.network.connected",
    "cumulative": "models",
    "dose_response": "models",
    "effect_size": "effects",
    "egger_test": "models",
    "influence": "models",
    "leave_one_out": "models",
    "load_evidence": "evidence",
    "load_reference": "datasets",
    "lumping": "effects.lumping",
    "mcid": "evidence.scales",
    "meta_regression": "models",
    "multilevel": "models",
    "multiverse": "models",
    "network": "models.network.network",
    "network_components": "models.network.connected",
    "pet_peese": "models",
    "piecewise": "models",
    "pool": "models",
    "pool_by": "models",
    "pooled_table": "models",
    "rank_test": "models",
    "rcs": "models",
    "robustness": "models",
    "sampling_covariance": "models",
    "select_fractional_polynomial": "models",
    "selection_model": "models",
    "spread_over_week": "models",
    "table": "display",
    "trim_and_fill": "models",
}

_MODULES = {"figures": "figures", "sentences": "models.sentences"}

__all__ = [
    "BACK_PAIN",
    "DOSE_LABELS",
    "DOSE_MEASURES",
    "LOWER_IS_BETTER",
    "LUMPINGS",
    "ConvergenceError",
    "DoseResponseResult",
    "Effects",
    "Evidence",
    "EvidenceError",
    "MetaRegressionResult",
    "MultilevelResult",
    "NetworkResult",
    "PoolResult",
    "adjusted_estimates",
    "by_type",
    "compare_curves",
    "connected_part",
    "cumulative",
    "dose_response",
    "effect_size",
    "egger_test",
    "figures",
    "influence",
    "leave_one_out",
    "load_evidence",
    "load_reference",
    "lumping",
    "mcid",
    "meta_regression",
    "multilevel",
    "multiverse",
    "network",
    "network_components",
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
    "sentences",
    "spread_over_week",
    "table",
    "trim_and_fill",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import backpain_analysis` is fast."""
    if name in _MODULES:
        return import_module(f"backpain_analysis.{_MODULES[name]}")
    if name not in _HOME:
        raise AttributeError(f"module 'backpain_analysis' has no attribute {name!r}")
    return getattr(import_module(f"backpain_analysis.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
