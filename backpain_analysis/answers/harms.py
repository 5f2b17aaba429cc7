"""Harms, adherence and dropout: outcomes of their own, as far as reports print them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from backpain_analysis.datasets.bundled import load_reference
from backpain_analysis.errors import require
from backpain_analysis.evidence.evidence import Evidence
from backpain_analysis.models.results import TableResult
from backpain_analysis.words import number, plural

ADVERSE, DROPOUT = "adverse_events", "dropout"

REVIEW = "Niemeijer 2020"
"""Adverse events of exercise over all conditions (doi 10.1136/bjsports-2018-100461)."""


@dataclass(frozen=True, repr=False)
class Harms(TableResult):
    """How many reports say anything of harms, adherence and dropout, and what.

    Attributes
    ----------
    table : DataFrame
        `what, trials, arms, said`: a row each for harms, adherence and dropout.

    Examples
    --------
    >>> found = bp.harms(bp.load_evidence())
    >>> found.table[["what", "trials", "arms"]]
            what  trials  arms
    0      Harms      12    15
    1  Adherence      11    17
    2    Dropout       0     0
    """

    table: pd.DataFrame

    def summary(self) -> pd.DataFrame:
        """The table."""
        return self.table

    def sentence(self) -> str:
        """What is known of each, in a sentence each."""
        return " ".join(f"{row.what}: {row.said}." for row in self.table.itertuples())

    def _title(self) -> str:
        return "Harms, adherence and dropout"


def harms(evidence: Evidence) -> Harms:
    """Harms, adherence and dropout of the exercise arms.

    Parameters
    ----------
    evidence : Evidence

    Returns
    -------
    Harms

    Examples
    --------
    >>> bp.harms(bp.load_evidence()).table[["what", "trials"]]
            what  trials
    0      Harms      12
    1  Adherence      11
    2    Dropout       0
    """
    require(evidence, "Evidence")
    arms = evidence.arms[evidence.arms["exercise_type"] != "none"]
    worded = arms[arms["adverse_events_text"].notna()]
    kept = arms[arms["adherence_pct"].notna()]
    rows = [
        _row("Harms", worded, harms_said(evidence, worded)),
        _row("Adherence", kept, adherence_said(kept["adherence_pct"].astype(float))),
        _row("Dropout", _counted(evidence, DROPOUT), dropout_said(evidence)),
    ]
    return Harms(pd.DataFrame(rows))


def _row(what: str, arms: pd.DataFrame, said: str) -> dict[str, object]:
    return {"what": what, "trials": arms["trial_id"].nunique(), "arms": len(arms), "said": said}


def _counted(evidence: Evidence, outcome: str) -> pd.DataFrame:
    """Results of an outcome that count events."""
    table = evidence.outcomes
    return table[(table["outcome"].astype(str) == outcome) & table["events"].notna()]


def harms_said(evidence: Evidence, worded: pd.DataFrame) -> str:
    """How many reports speak of harms, and how many count them in every arm."""
    if worded.empty:
        return "no report says anything of them"
    trials = worded["trial_id"].nunique()
    text = (
        f"{plural(trials, 'trial')} of {number(len(evidence.trials), 0)} "
        f"say{'s' * (trials == 1)} anything of them, in words"
    )
    counted = _counted(evidence, ADVERSE)["trial_id"].nunique()
    return f"{text}; {plural(counted, 'trial')} with counts" if counted else f"{text} only"


def adherence_said(shares: pd.Series) -> str:
    """Share of prescribed sessions attended: median and range over arms."""
    if shares.empty:
        return "no report prints it"
    if len(shares) == 1:
        return f"{number(shares.iloc[0], 0)}% of what was prescribed, in 1 exercise arm"
    low, middle, high = (number(shares.quantile(q), 0) for q in (0.0, 0.5, 1.0))
    arms = plural(len(shares), "exercise arm")
    return f"median {middle}% of what was prescribed, {low} to {high}%, in {arms}"


def dropout_said(evidence: Evidence) -> str:
    """Share of people lost, where reports count them."""
    counted = _counted(evidence, DROPOUT)
    known = counted[counted["n"].notna()]
    if known.empty:
        return "no report that was read counts it by arm"
    lost, people = int(known["events"].sum()), int(known["n"].sum())
    arms = plural(len(known), "arm")
    return f"{number(100 * lost / people, 0)}% of {number(people, 0)} people, in {arms}"


def published_harms() -> str:
    """What the largest review found of exercise over all conditions, in a sentence."""
    table = load_reference("published_meta_analyses")
    rows = table[(table["review"] == REVIEW) & (table["measure"] == "RR")]
    said = [published_harm(row) for row in rows.to_dict("records")]
    return f"Over all conditions {REVIEW} found {' and '.join(said)}."


def published_harm(row: Mapping[Any, Any]) -> str:
    """One risk ratio of the review in words."""
    clear = "more" if row["ci_low"] > 1 else "fewer" if row["ci_high"] < 1 else "no clear change in"
    numbers = [number(float(row[name]), 2) for name in ("estimate", "ci_low", "ci_high")]
    return (
        f"{clear} {row['outcome']} with exercise (risk ratio {numbers[0]}, 95% CI {numbers[1]} to "
        f"{numbers[2]}; {number(float(row['k_trials']), 0)} trials)"
    )
