"""From estimates to matplotlib figures; every function takes and returns `Axes`.

None of them touches `pyplot`: a figure lives as long as its `Axes`, and `show` puts it on a page.
"""

from backpain_analysis.figures.agreement_plots import (
    comparison_forest,
    net_heat,
    network_funnel,
    node_split,
    transitivity,
)
from backpain_analysis.figures.answer_plots import claims, moderation, multiverse, sensitivity
from backpain_analysis.figures.bayes_plot import posterior, prior_sensitivity
from backpain_analysis.figures.bubble_plot import bubble
from backpain_analysis.figures.diagnostic_plots import baujat, cumulative, gosh, influence
from backpain_analysis.figures.dose_network_plot import dose_network, dose_network_panels
from backpain_analysis.figures.dose_plot import dose_response
from backpain_analysis.figures.evidence_map import (
    dose_fields_known,
    frequency_against_minutes,
    outcomes_by_type,
    risk_of_bias,
    risk_of_bias_lights,
    risk_of_bias_summary,
    trial_sizes,
    trials_by_type_and_year,
)
from backpain_analysis.figures.forest_plot import forest, summary_forest
from backpain_analysis.figures.funnel_plot import funnel
from backpain_analysis.figures.network_plots import league, network_forest, network_graph, ranking
from backpain_analysis.figures.people_plots import (
    dose_effects,
    interactions,
    longitudinal,
    power,
    profiles,
    tipping_point,
)
from backpain_analysis.figures.responder_plots import responders, trial_responders
from backpain_analysis.figures.show import Shown, show
from backpain_analysis.figures.style import EXERCISE_COLOURS, figure_style
from backpain_analysis.figures.time_plot import time_course
from backpain_analysis.words import (
    EXERCISE_LABELS,
    TREATMENT_LABELS,
    exercise_label,
    measured,
    outcome_label,
)

__all__ = [
    "EXERCISE_COLOURS",
    "EXERCISE_LABELS",
    "TREATMENT_LABELS",
    "Shown",
    "baujat",
    "bubble",
    "claims",
    "comparison_forest",
    "cumulative",
    "dose_effects",
    "dose_fields_known",
    "dose_network",
    "dose_network_panels",
    "dose_response",
    "exercise_label",
    "figure_style",
    "forest",
    "frequency_against_minutes",
    "funnel",
    "gosh",
    "influence",
    "interactions",
    "league",
    "longitudinal",
    "measured",
    "moderation",
    "multiverse",
    "net_heat",
    "network_forest",
    "network_funnel",
    "network_graph",
    "node_split",
    "outcome_label",
    "outcomes_by_type",
    "posterior",
    "power",
    "prior_sensitivity",
    "profiles",
    "ranking",
    "responders",
    "risk_of_bias",
    "risk_of_bias_lights",
    "risk_of_bias_summary",
    "sensitivity",
    "show",
    "summary_forest",
    "time_course",
    "tipping_point",
    "transitivity",
    "trial_responders",
    "trial_sizes",
    "trials_by_type_and_year",
]


def __dir__() -> list[str]:
    return __all__
