"""Exercise and back pain: real trial evidence in, dose-response estimates and reports out."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backpain_analysis import figures
    from backpain_analysis.datasets import load_reference
    from backpain_analysis.datasets.participants import simulate_participants
    from backpain_analysis.datasets.truth import Truth
    from backpain_analysis.display import table
    from backpain_analysis.effects import Effects, effect_size
    from backpain_analysis.effects.lumping import LUMPINGS, lumping
    from backpain_analysis.effects.over_time import effects_over_time
    from backpain_analysis.effects.sensitivity import sensitivity_changes
    from backpain_analysis.effects.table import count_reasons
    from backpain_analysis.evidence import BACK_PAIN, Evidence, EvidenceError, load_evidence
    from backpain_analysis.evidence.dose import DOSE_LABELS, DOSE_MEASURES
    from backpain_analysis.evidence.participants import Participants, load_participants
    from backpain_analysis.evidence.scales import LOWER_IS_BETTER, mcid
    from backpain_analysis.evidence.streaming import visits_in_chunks
    from backpain_analysis.evidence.wide import reshape_wide
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
    from backpain_analysis.models.bivariate import bivariate
    from backpain_analysis.models.certainty import certainty
    from backpain_analysis.models.claims.claims import Claims, claims
    from backpain_analysis.models.findings import Findings, summary_of_findings
    from backpain_analysis.models.moderation import Moderation, moderation
    from backpain_analysis.models.network.connected import connected_part, network_components
    from backpain_analysis.models.network.dose_effects import connected_agents
    from backpain_analysis.models.network.dose_network import dose_network
    from backpain_analysis.models.network.dose_network_result import DoseNetworkResult
    from backpain_analysis.models.network.network import network
    from backpain_analysis.models.network.result import NetworkResult
    from backpain_analysis.models.participants.ancova import ancova
    from backpain_analysis.models.participants.clda import clda
    from backpain_analysis.models.participants.imputation import impute
    from backpain_analysis.models.participants.imputed_result import with_imputations
    from backpain_analysis.models.participants.interactions import dose_by_moderator
    from backpain_analysis.models.participants.longitudinal import longitudinal
    from backpain_analysis.models.participants.marginal import gee
    from backpain_analysis.models.participants.power import power_of_design
    from backpain_analysis.models.participants.rubin import pool_imputations
    from backpain_analysis.models.participants.tipping_point import tipping_point
    from backpain_analysis.models.responders.participants import responders
    from backpain_analysis.models.responders.trials import responders_from_means
    from backpain_analysis.models.time.course import time_course

__version__ = _version("backpain-analysis")

_HOME = {
    "BACK_PAIN": "evidence",
    "Claims": "models.claims.claims",
    "ConvergenceError": "models",
    "DOSE_LABELS": "evidence.dose",
    "DOSE_MEASURES": "evidence.dose",
    "DoseNetworkResult": "models.network.dose_network_result",
    "DoseResponseResult": "models",
    "Effects": "effects",
    "Evidence": "evidence",
    "EvidenceError": "evidence",
    "Findings": "models.findings",
    "LOWER_IS_BETTER": "evidence.scales",
    "LUMPINGS": "effects.lumping",
    "MetaRegressionResult": "models",
    "Moderation": "models.moderation",
    "MultilevelResult": "models",
    "NetworkResult": "models.network.result",
    "Participants": "evidence.participants",
    "PoolResult": "models",
    "Truth": "datasets.truth",
    "adjusted_estimates": "models",
    "ancova": "models.participants.ancova",
    "bivariate": "models.bivariate",
    "by_type": "models",
    "certainty": "models.certainty",
    "claims": "models.claims.claims",
    "clda": "models.participants.clda",
    "compare_curves": "models",
    "connected_agents": "models.network.dose_effects",
    "connected_part": "models.network.connected",
    "count_reasons": "effects.table",
    "cumulative": "models",
    "dose_by_moderator": "models.participants.interactions",
    "dose_network": "models.network.dose_network",
    "dose_response": "models",
    "effect_size": "effects",
    "effects_over_time": "effects.over_time",
    "egger_test": "models",
    "gee": "models.participants.marginal",
    "impute": "models.participants.imputation",
    "influence": "models",
    "leave_one_out": "models",
    "load_evidence": "evidence",
    "load_participants": "evidence.participants",
    "load_reference": "datasets",
    "longitudinal": "models.participants.longitudinal",
    "lumping": "effects.lumping",
    "mcid": "evidence.scales",
    "meta_regression": "models",
    "moderation": "models.moderation",
    "multilevel": "models",
    "multiverse": "models",
    "network": "models.network.network",
    "network_components": "models.network.connected",
    "pet_peese": "models",
    "piecewise": "models",
    "pool": "models",
    "pool_by": "models",
    "pool_imputations": "models.participants.rubin",
    "pooled_table": "models",
    "power_of_design": "models.participants.power",
    "rank_test": "models",
    "rcs": "models",
    "reshape_wide": "evidence.wide",
    "responders": "models.responders.participants",
    "responders_from_means": "models.responders.trials",
    "robustness": "models",
    "sampling_covariance": "models",
    "select_fractional_polynomial": "models",
    "selection_model": "models",
    "sensitivity_changes": "effects.sensitivity",
    "simulate_participants": "datasets.participants",
    "spread_over_week": "models",
    "summary_of_findings": "models.findings",
    "table": "display",
    "time_course": "models.time.course",
    "tipping_point": "models.participants.tipping_point",
    "trim_and_fill": "models",
    "visits_in_chunks": "evidence.streaming",
    "with_imputations": "models.participants.imputed_result",
}

_MODULES = {"datasets": "datasets", "figures": "figures", "sentences": "models.sentences"}

__all__ = [
    "BACK_PAIN",
    "DOSE_LABELS",
    "DOSE_MEASURES",
    "LOWER_IS_BETTER",
    "LUMPINGS",
    "Claims",
    "ConvergenceError",
    "DoseNetworkResult",
    "DoseResponseResult",
    "Effects",
    "Evidence",
    "EvidenceError",
    "Findings",
    "MetaRegressionResult",
    "Moderation",
    "MultilevelResult",
    "NetworkResult",
    "Participants",
    "PoolResult",
    "Truth",
    "adjusted_estimates",
    "ancova",
    "bivariate",
    "by_type",
    "certainty",
    "claims",
    "clda",
    "compare_curves",
    "connected_agents",
    "connected_part",
    "count_reasons",
    "cumulative",
    "datasets",
    "dose_by_moderator",
    "dose_network",
    "dose_response",
    "effect_size",
    "effects_over_time",
    "egger_test",
    "figures",
    "gee",
    "impute",
    "influence",
    "leave_one_out",
    "load_evidence",
    "load_participants",
    "load_reference",
    "longitudinal",
    "lumping",
    "mcid",
    "meta_regression",
    "moderation",
    "multilevel",
    "multiverse",
    "network",
    "network_components",
    "pet_peese",
    "piecewise",
    "pool",
    "pool_by",
    "pool_imputations",
    "pooled_table",
    "power_of_design",
    "rank_test",
    "rcs",
    "reshape_wide",
    "responders",
    "responders_from_means",
    "robustness",
    "sampling_covariance",
    "select_fractional_polynomial",
    "selection_model",
    "sensitivity_changes",
    "sentences",
    "simulate_participants",
    "spread_over_week",
    "summary_of_findings",
    "table",
    "time_course",
    "tipping_point",
    "trim_and_fill",
    "visits_in_chunks",
    "with_imputations",
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
