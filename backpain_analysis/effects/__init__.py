"""From what trials reported to effect sizes and their covariance."""

from backpain_analysis.effects.assemble import from_evidence
from backpain_analysis.effects.measures import effect_size
from backpain_analysis.effects.table import Effects

__all__ = ["Effects", "effect_size", "from_evidence"]
