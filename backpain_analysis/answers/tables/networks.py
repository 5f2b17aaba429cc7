"""Tables of networks: certainty, transitivity, the network beside pooling, other groupings."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from backpain_analysis.answers.dose_questions import Answer
from backpain_analysis.answers.network_certainty import (
    CHARACTERISTICS,
    DOMAINS,
    MAJOR,
    SOME,
    NetworkCertainty,
    transitivity_summary,
)
from backpain_analysis.answers.tables.effects import MISSING, effect_interval, p_value
from backpain_analysis.display import Table, Told, table
from backpain_analysis.words import exercise_label, measure_heading, plural, spread_text

Names = Mapping[str, str] | None


def certainty(found: NetworkCertainty, *, measure: str = "MD", title: str) -> Table:
    """Concerns and certainty of every comparison."""
    rows = [
        {
            "Treatment": exercise_label(row["treatment"]),
            f"{measure_heading(measure)} [95% CI]": effect_interval(row, measure),
            "Concerns": _concerns(row),
            "Certainty": row["level"],
        }
        for row in found.table.to_dict("records")
    ]
    return table(rows, title=title)


def _concerns(row: dict) -> str:
    """The domains of a comparison that raise concerns, the greatest concern first."""
    found = {level: [name for name in DOMAINS if row[name] == level] for level in (MAJOR, SOME)}
    said = [f"{level}: {', '.join(names)}" for level, names in found.items() if names]
    return "; ".join(said) or "none"


def beside_pooling(found: Answer, *, measure: str = "MD", title: str) -> Table:
    """What `network.beside_pooling` found: both analyses of each treatment."""
    heading = measure_heading(measure)
    rows = []
    for row in found.table.to_dict("records"):
        alone = {"estimate": row["pooled"], "ci_low": row["pooled_low"]}
        alone["ci_high"] = row["pooled_high"]
        rows.append(
            {
                "Treatment": exercise_label(row["treatment"]),
                f"Network: {heading} [95% CI]": effect_interval(row, measure),
                "Direct trials": row["trials"],
                f"Pooling them alone: {heading} [95% CI]": effect_interval(alone, measure),
            }
        )
    return table(rows, title=title)


def lumpings(found: pd.DataFrame, *, measure: str = "MD", title: str) -> Table:
    """What `network.lumpings` found, a row a grouping."""
    rows = []
    for row in found.to_dict("records"):
        known = math.isfinite(row["estimate"])
        others = row["treatments"] - 1 if known else 0
        rows.append(
            {
                "Grouping": row["lumping"],
                "Treatments": f"{row['treatments']:.0f} in {plural(row['trials'], 'trial')}"
                if known
                else MISSING,
                "τ": Told(spread_text(row["tau"], measure), value=row["tau"])
                if math.isfinite(row["tau"])
                else MISSING,
                "Inconsistency, P": p_value(row["inconsistency_p"]),
                "Best estimate": exercise_label(row["best"]) if known else MISSING,
                f"{measure_heading(measure)} against the reference [95% CI]": effect_interval(
                    row, measure
                ),
                "Not told from it": f"{int(row['alike'])} of {int(others)}" if known else MISSING,
            }
        )
    return table(rows, title=title)


def transitivity(found: pd.DataFrame, *, most: int = 14, title: str) -> Table:
    """Medians and ranges of what may modify effects, the comparisons with most trials first."""
    summary = transitivity_summary(found)
    known = [name for name in CHARACTERISTICS if summary[name].notna().any()]
    rows = []
    for row in summary.head(most).to_dict("records"):
        names = " – ".join(exercise_label(name) for name in row["comparison"].split(" : "))
        rows.append(
            {"Comparison": f"{names}, {plural(int(row['trials']), 'trial')}"}
            | {CHARACTERISTICS[name]: _range(row, name) for name in known}
        )
    return table(rows, title=title)


def _range(row: dict, name: str) -> str:
    if not math.isfinite(row[name]):
        return MISSING
    low, middle, high = (f"{row[key]:.0f}" for key in (f"{name}_low", name, f"{name}_high"))
    text = middle if low == high else f"{middle} ({low}–{high})"
    return Told(text, value=row[name], low=row[f"{name}_low"], high=row[f"{name}_high"])


def moderators(found: Answer, *, measure: str = "MD", title: str) -> Table:
    """What `network_variants.by_moderator` found: the change of the effect with each moderator."""
    rows = [
        {
            "Moderator": row["moderator"],
            "Trials": row["trials"],
            f"Change, {measure_heading(measure)} [95% CI]": effect_interval(row, measure),
            "P": p_value(row["p_value"]),
            "Note": row["note"] or MISSING,
        }
        for row in found.table.to_dict("records")
    ]
    return table(rows, title=title)


def events(found: Answer, *, measure: str = "OR", words: str = "People lost", title: str) -> Table:
    """What `network_events.events` found: counts, and both estimates of each treatment."""
    heading = measure_heading(measure)
    rows = []
    for row in found.table.to_dict("records"):
        by_inverse = {name: row[f"iv_{name}"] for name in ("estimate", "ci_low", "ci_high")}
        rows.append(
            {
                "Treatment": exercise_label(row["treatment"]),
                "Trials": row["trials"],
                words: f"{row['events']:.0f} of {row['people']:.0f}",
                f"Mantel–Haenszel: {heading} [95% CI]": effect_interval(row, measure),
                f"Inverse variance: {heading} [95% CI]": effect_interval(by_inverse, measure),
            }
        )
    return table(rows, title=title)
