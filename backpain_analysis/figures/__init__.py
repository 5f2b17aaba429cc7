"""From estimates to matplotlib figures; every function takes and returns `Axes`.

None of them touches `pyplot`: a figure lives as long as its `Axes`, and `show` puts it on a page.
"""

from backpain_analysis.figures.baujat import baujat
from backpain_analysis.figures.bubble import bubble
from backpain_analysis.figures.claims import claims
from backpain_analysis.figures.cumulative import cumulative
from backpain_analysis.figures.dose_effects import dose_effects, interactions
from backpain_analysis.figures.dose_network import dose_network, dose_network_panels
from backpain_analysis.figures.dose_response import dose_response
from backpain_analysis.figures.evidence_map import (
    dose_fields_known,
    frequency_against_minutes,
    outcomes_by_type,
    risk_of_bias,
    trial_sizes,
    trials_by_type_and_year,
)
from backpain_analysis.figures.forest import forest
from backpain_analysis.figures.funnel import funnel
from backpain_analysis.figures.gosh import gosh
from backpain_analysis.figures.influence import influence
from backpain_analysis.figures.league import league
from backpain_analysis.figures.longitudinal import longitudinal, profiles
from backpain_analysis.figures.moderation import moderation
from backpain_analysis.figures.multiverse import multiverse
from backpain_analysis.figures.net_heat import net_heat
from backpain_analysis.figures.network_forest import network_forest
from backpain_analysis.figures.network_funnel import network_funnel
from backpain_analysis.figures.network_graph import network_graph
from backpain_analysis.figures.node_split import node_split
from backpain_analysis.figures.power import power
from backpain_analysis.figures.ranking import ranking
from backpain_analysis.figures.responders import responders, trial_responders
from backpain_analysis.figures.sensitivity import sensitivity
from backpain_analysis.figures.show import Shown, show
from backpain_analysis.figures.style import (
    EXERCISE_COLOURS,
    EXERCISE_LABELS,
    TREATMENT_LABELS,
    exercise_label,
    figure_style,
    measured,
    outcome_label,
)
from backpain_analysis.figures.summary_forest import summary_forest
from backpain_analysis.figures.time_course import time_course
from backpain_analysis.figures.tipping_point import tipping_point

__all__ = [
    "EXERCISE_COLOURS",
    "EXERCISE_LABELS",
    "TREATMENT_LABELS",
    "Shown",
    "baujat",
    "bubble",
    "claims",
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
    "power",
    "profiles",
    "ranking",
    "responders",
    "risk_of_bias",
    "sensitivity",
    "show",
    "summary_forest",
    "time_course",
    "tipping_point",
    "trial_responders",
    "trial_sizes",
    "trials_by_type_and_year",
]
