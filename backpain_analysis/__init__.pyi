"""The public names, each from the room it lives in; `__init__.py` reads them from here."""

from . import datasets, figures
from .answers import sentences
from .answers.bayes import curve_of_few, few_trials
from .answers.certainty import certainty
from .answers.claims import Claims, claims
from .answers.dose import DoseAnswer, dose_answer, dose_in_network
from .answers.dose_calibration import dose_calibration
from .answers.dose_explorer import DoseExplorer, dose_explorer
from .answers.dose_questions import activity_and_risk, by_type, spread_over_week
from .answers.dose_reports import dose_by_reports
from .answers.findings import Findings, summary_of_findings
from .answers.flow import Flow, trial_flow
from .answers.harms import Harms, harms
from .answers.key_results import KeyResults, key_results
from .answers.moderation import Moderation, moderation
from .answers.robustness import adjusted_estimates, derivations, robustness
from .answers.telling import told, warned
from .datasets.bundled import load_reference
from .datasets.participants import Truth
from .datasets.trials import TrialTruth
from .display import table
from .effects.derive import imputed_minutes
from .effects.measures import effect_size, prepost_effect_size
from .effects.over_time import effects_over_time
from .effects.risks import relative_risks
from .effects.sensitivity import sensitivity_changes
from .effects.table import Effects, count_reasons
from .effects.treatments import LUMPINGS, lumping
from .engine import priors
from .engine.sampling import sampling_covariance
from .errors import CannotEstimate, ConvergenceError
from .evidence.conversions import conv_2x2, conv_fivenum, conv_wald
from .evidence.dose import DOSE_MEASURES
from .evidence.evidence import BACK_PAIN, Evidence, load_evidence, simulate_trials
from .evidence.faults import EvidenceError
from .evidence.participants import Participants, load_participants, simulate_participants
from .evidence.scales import mcid
from .evidence.visits import visits_in_chunks
from .evidence.wide import reshape_wide
from .figures.explore_widget import explore
from .models.bayes.posterior import Posterior
from .models.dose.comparison import compare_curves, multiverse, select_fractional_polynomial
from .models.dose.curves import piecewise, rcs
from .models.dose.fit import dose_response
from .models.dose.result import DoseResponseResult
from .models.network.data import connected_part, network_components
from .models.network.dose_data import connected_agents
from .models.network.dose_network import DoseNetworkResult, dose_network
from .models.network.network import NetworkResult, network
from .models.network.regression import network_classes, network_course, network_regression
from .models.pairwise.aggregate import aggregate
from .models.pairwise.asymmetry import egger_test, pet_peese, rank_test, trim_and_fill
from .models.pairwise.bivariate import bivariate
from .models.pairwise.diagnostics import cumulative, influence, leave_one_out
from .models.pairwise.events import EventsResult, mantel_haenszel, peto
from .models.pairwise.meta_regression import MetaRegressionResult, meta_regression
from .models.pairwise.multilevel import MultilevelResult, multilevel
from .models.pairwise.permutation import permutation_test
from .models.pairwise.pooling import PoolResult, pool, pool_by, pooled_table
from .models.pairwise.responders import responders_from_means
from .models.pairwise.selection import selection_model
from .models.people.ancova import ancova
from .models.people.clda import clda
from .models.people.gee import gee
from .models.people.imputation import impute, pool_imputations, with_imputations
from .models.people.interactions import dose_by_moderator
from .models.people.longitudinal import longitudinal
from .models.people.power import power_of_design
from .models.people.responders import responders
from .models.people.tipping_point import tipping_point
from .models.time.course import time_course
from .words import DOSE_LABELS, LOWER_IS_BETTER, back_transform

__version__: str

__all__ = [
    "BACK_PAIN",
    "DOSE_LABELS",
    "DOSE_MEASURES",
    "LOWER_IS_BETTER",
    "LUMPINGS",
    "CannotEstimate",
    "Claims",
    "ConvergenceError",
    "DoseAnswer",
    "DoseExplorer",
    "DoseNetworkResult",
    "DoseResponseResult",
    "Effects",
    "EventsResult",
    "Evidence",
    "EvidenceError",
    "Findings",
    "Flow",
    "Harms",
    "KeyResults",
    "MetaRegressionResult",
    "Moderation",
    "MultilevelResult",
    "NetworkResult",
    "Participants",
    "PoolResult",
    "Posterior",
    "TrialTruth",
    "Truth",
    "activity_and_risk",
    "adjusted_estimates",
    "aggregate",
    "ancova",
    "back_transform",
    "bivariate",
    "by_type",
    "certainty",
    "claims",
    "clda",
    "compare_curves",
    "connected_agents",
    "connected_part",
    "conv_2x2",
    "conv_fivenum",
    "conv_wald",
    "count_reasons",
    "cumulative",
    "curve_of_few",
    "datasets",
    "derivations",
    "dose_answer",
    "dose_by_moderator",
    "dose_by_reports",
    "dose_calibration",
    "dose_explorer",
    "dose_in_network",
    "dose_network",
    "dose_response",
    "effect_size",
    "effects_over_time",
    "egger_test",
    "explore",
    "few_trials",
    "figures",
    "gee",
    "harms",
    "impute",
    "imputed_minutes",
    "influence",
    "key_results",
    "leave_one_out",
    "load_evidence",
    "load_participants",
    "load_reference",
    "longitudinal",
    "lumping",
    "mantel_haenszel",
    "mcid",
    "meta_regression",
    "moderation",
    "multilevel",
    "multiverse",
    "network",
    "network_classes",
    "network_components",
    "network_course",
    "network_regression",
    "permutation_test",
    "pet_peese",
    "peto",
    "piecewise",
    "pool",
    "pool_by",
    "pool_imputations",
    "pooled_table",
    "power_of_design",
    "prepost_effect_size",
    "priors",
    "rank_test",
    "rcs",
    "relative_risks",
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
    "simulate_trials",
    "spread_over_week",
    "summary_of_findings",
    "table",
    "time_course",
    "tipping_point",
    "told",
    "trial_flow",
    "trim_and_fill",
    "visits_in_chunks",
    "warned",
    "with_imputations",
]
