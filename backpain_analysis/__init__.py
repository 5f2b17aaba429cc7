"""Exercise and back pain: real trial evidence in, dose-response estimates and reports out."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backpain_analysis import figures
    from backpain_analysis.datasets import load_reference
    from backpain_analysis.display import table
    from backpain_analysis.effects import Effects
    from backpain_analysis.evidence import BACK_PAIN, Evidence, EvidenceError, load_evidence
    from backpain_analysis.evidence.dose import DOSE_LABELS, DOSE_MEASURES
    from backpain_analysis.evidence.scales import LOWER_IS_BETTER, mcid
    from backpain_analysis.models import (
        ConvergenceError,
        DoseResponseResult,
        PoolResult,
        compare_curves,
        dose_response,
        pool,
        pool_by,
        pooled_table,
        rcs,
        sentences,
    )

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
    "PoolResult": "models",
    "compare_curves": "models",
    "dose_response": "models",
    "load_evidence": "evidence",
    "load_reference": "datasets",
    "mcid": "evidence.scales",
    "pool": "models",
    "pool_by": "models",
    "pooled_table": "models",
    "rcs": "models",
    "table": "display",
}

_MODULES = {"figures": "figures", "sentences": "models.sentences"}

__all__ = [
    "BACK_PAIN",
    "DOSE_LABELS",
    "DOSE_MEASURES",
    "LOWER_IS_BETTER",
    "ConvergenceError",
    "DoseResponseResult",
    "Effects",
    "Evidence",
    "EvidenceError",
    "PoolResult",
    "compare_curves",
    "dose_response",
    "figures",
    "load_evidence",
    "load_reference",
    "mcid",
    "pool",
    "pool_by",
    "pooled_table",
    "rcs",
    "sentences",
    "table",
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
