"""Exercise and back pain: real trial evidence in, dose-response estimates and reports out."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

from backpain_analysis import _moved

if TYPE_CHECKING:
    from backpain_analysis import datasets, figures
    from backpain_analysis.answers import sentences
    from backpain_analysis.answers.certainty import certainty
    from backpain_analysis.answers.claims import Claims, claims
    from backpain_analysis.answers.dose import by_type, spread_over_week
    from backpain_analysis.answers.findings import Findings, summary_of_findings
    from backpain_analysis.answers.moderation import Moderation, moderation
    from backpain_analysis.answers.robustness import adjusted_estimates, robustness
    from backpain_analysis.datasets.bundled import load_reference
    from backpain_analysis.datasets.truth import Truth
    from backpain_analysis.display import table
    from backpain_analysis.effects.measures import effect_size
    from backpain_analysis.effects.over_time import effects_over_time
    from backpain_analysis.effects.sensitivity import sensitivity_changes
    from backpain_analysis.effects.table import Effects, count_reasons
    from backpain_analysis.effects.treatments import LUMPINGS, lumping
    from backpain_analysis.engine.sampling import sampling_covariance
    from backpain_analysis.errors import ConvergenceError
    from backpain_analysis.evidence.dose import DOSE_MEASURES
    from backpain_analysis.evidence.evidence import BACK_PAIN, Evidence, load_evidence
    from backpain_analysis.evidence.faults import EvidenceError
    from backpain_analysis.evidence.participants import (
        Participants,
        load_participants,
        simulate_participants,
    )
    from backpain_analysis.evidence.scales import mcid
    from backpain_analysis.evidence.streaming import visits_in_chunks
    from backpain_analysis.evidence.wide import reshape_wide
    from backpain_analysis.models.dose.comparison import (
        compare_curves,
        multiverse,
        select_fractional_polynomial,
    )
    from backpain_analysis.models.dose.curves import piecewise, rcs
    from backpain_analysis.models.dose.fit import dose_response
    from backpain_analysis.models.dose.result import DoseResponseResult
    from backpain_analysis.models.network.data import connected_part, network_components
    from backpain_analysis.models.network.dose_data import connected_agents
    from backpain_analysis.models.network.dose_network import DoseNetworkResult, dose_network
    from backpain_analysis.models.network.network import NetworkResult, network
    from backpain_analysis.models.pairwise.asymmetry import (
        egger_test,
        pet_peese,
        rank_test,
        trim_and_fill,
    )
    from backpain_analysis.models.pairwise.bivariate import bivariate
    from backpain_analysis.models.pairwise.diagnostics import cumulative, influence, leave_one_out
    from backpain_analysis.models.pairwise.meta_regression import (
        MetaRegressionResult,
        meta_regression,
    )
    from backpain_analysis.models.pairwise.multilevel import MultilevelResult, multilevel
    from backpain_analysis.models.pairwise.pooling import PoolResult, pool, pool_by, pooled_table
    from backpain_analysis.models.pairwise.responders import responders_from_means
    from backpain_analysis.models.pairwise.selection import selection_model
    from backpain_analysis.models.people.ancova import ancova
    from backpain_analysis.models.people.clda import clda
    from backpain_analysis.models.people.gee import gee
    from backpain_analysis.models.people.imputation import (
        impute,
        pool_imputations,
        with_imputations,
    )
    from backpain_analysis.models.people.interactions import dose_by_moderator
    from backpain_analysis.models.people.longitudinal import longitudinal
    from backpain_analysis.models.people.power import power_of_design
    from backpain_analysis.models.people.responders import responders
    from backpain_analysis.models.people.tipping_point import tipping_point
    from backpain_analysis.models.time.course import time_course
    from backpain_analysis.words import DOSE_LABELS, LOWER_IS_BETTER

__version__ = _version("backpain-analysis")

_moved.install()

_HOME = {
    "BACK_PAIN": "evidence.evidence",
    "Claims": "answers.claims",
    "ConvergenceError": "engine.search",
    "DOSE_LABELS": "words",
    "DOSE_MEASURES": "evidence.dose",
    "DoseNetworkResult": "models.network.dose_network",
    "DoseResponseResult": "models.dose.result",
    "Effects": "effects.table",
    "Evidence": "evidence.evidence",
    "EvidenceError": "evidence.faults",
    "Findings": "answers.findings",
    "LOWER_IS_BETTER": "words",
    "LUMPINGS": "effects.treatments",
    "MetaRegressionResult": "models.pairwise.meta_regression",
    "Moderation": "answers.moderation",
    "MultilevelResult": "models.pairwise.multilevel",
    "NetworkResult": "models.network.network",
    "Participants": "evidence.participants",
    "PoolResult": "models.pairwise.pooling",
    "Truth": "datasets.truth",
    "adjusted_estimates": "answers.robustness",
    "ancova": "models.people.ancova",
    "bivariate": "models.pairwise.bivariate",
    "by_type": "answers.dose",
    "certainty": "answers.certainty",
    "claims": "answers.claims",
    "clda": "models.people.clda",
    "compare_curves": "models.dose.comparison",
    "connected_agents": "models.network.dose_data",
    "connected_part": "models.network.data",
    "count_reasons": "effects.table",
    "cumulative": "models.pairwise.diagnostics",
    "dose_by_moderator": "models.people.interactions",
    "dose_network": "models.network.dose_network",
    "dose_response": "models.dose.fit",
    "effect_size": "effects.measures",
    "effects_over_time": "effects.over_time",
    "egger_test": "models.pairwise.asymmetry",
    "gee": "models.people.gee",
    "impute": "models.people.imputation",
    "influence": "models.pairwise.diagnostics",
    "leave_one_out": "models.pairwise.diagnostics",
    "load_evidence": "evidence.evidence",
    "load_participants": "evidence.participants",
    "load_reference": "datasets.bundled",
    "longitudinal": "models.people.longitudinal",
    "lumping": "effects.treatments",
    "mcid": "evidence.scales",
    "meta_regression": "models.pairwise.meta_regression",
    "moderation": "answers.moderation",
    "multilevel": "models.pairwise.multilevel",
    "multiverse": "models.dose.comparison",
    "network": "models.network.network",
    "network_components": "models.network.data",
    "pet_peese": "models.pairwise.asymmetry",
    "piecewise": "models.dose.curves",
    "pool": "models.pairwise.pooling",
    "pool_by": "models.pairwise.pooling",
    "pool_imputations": "models.people.imputation",
    "pooled_table": "models.pairwise.pooling",
    "power_of_design": "models.people.power",
    "rank_test": "models.pairwise.asymmetry",
    "rcs": "models.dose.curves",
    "reshape_wide": "evidence.wide",
    "responders": "models.people.responders",
    "responders_from_means": "models.pairwise.responders",
    "robustness": "answers.robustness",
    "sampling_covariance": "engine.sampling",
    "select_fractional_polynomial": "models.dose.comparison",
    "selection_model": "models.pairwise.selection",
    "sensitivity_changes": "effects.sensitivity",
    "simulate_participants": "evidence.participants",
    "spread_over_week": "answers.dose",
    "summary_of_findings": "answers.findings",
    "table": "display",
    "time_course": "models.time.course",
    "tipping_point": "models.people.tipping_point",
    "trim_and_fill": "models.pairwise.asymmetry",
    "visits_in_chunks": "evidence.streaming",
    "with_imputations": "models.people.imputation",
}

_MODULES = {"datasets": "datasets", "figures": "figures", "sentences": "answers.sentences"}

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
