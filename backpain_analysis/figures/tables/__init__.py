"""Tables for readers: words for names, intervals in one cell, P values as journals print them."""

from backpain_analysis.figures.tables.effects import (
    MISSING,
    answer,
    corrections,
    curves,
    inconsistency,
    interval_text,
    lumpings,
    pooled,
    predictions,
    published_doses,
    reasons,
)
from backpain_analysis.figures.tables.sense import (
    by_type,
    hypoalgesia,
    reported,
    sensitivity,
    together,
)
from backpain_analysis.figures.tables.verdicts import (
    adverse_events,
    claim_parts,
    claims,
    downgrades,
    findings,
    moderators,
    populations,
    published_effects,
)

__all__ = [
    "MISSING",
    "adverse_events",
    "answer",
    "by_type",
    "claim_parts",
    "claims",
    "corrections",
    "curves",
    "downgrades",
    "findings",
    "hypoalgesia",
    "inconsistency",
    "interval_text",
    "lumpings",
    "moderators",
    "pooled",
    "populations",
    "predictions",
    "published_doses",
    "published_effects",
    "reasons",
    "reported",
    "sensitivity",
    "together",
]
