"""Which trials stand behind a number: from all of them to those that enter, reason by reason."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from backpain_analysis.effects.table import Effects
from backpain_analysis.errors import require
from backpain_analysis.evidence.evidence import Evidence
from backpain_analysis.models.results import TableResult
from backpain_analysis.words import author_year, number, outcome_words, plural

ENTERED = "enters"

OTHER_PEOPLE, NOT_MEASURED, FLAGGED, NO_CONTROL, UNUSABLE = STEPS = (
    "people or exercise not asked about",
    "outcome not reported",
    "flagged as not to be pooled",
    "no comparison with little or no treatment",
    "result not usable",
)
"""Why a trial does not enter, in the order in which it is asked."""

NOT_COMPARED = ("no inactive arm", "no exercise and not inactive", "compared with", "design:")

FOLLOWS = ("inactive arm of a trial without", "outcome not reported for this arm")
"""Reasons of single arms that only follow from those of others."""


@dataclass(frozen=True, repr=False)
class Flow(TableResult):
    """What became of every trial.

    Attributes
    ----------
    table : DataFrame
        A row a trial: `trial_id, trial, doi, pmid, population, step, reason`; `step` is "enters"
        or one of `STEPS`, `reason` says it in the words of the analysis.
    outcome : str

    Examples
    --------
    >>> whole = bp.load_evidence()
    >>> asked = whole.filter(exercise_type="yoga")
    >>> flow = bp.trial_flow(whole, asked, asked.effects("pain_intensity"))
    >>> flow.summary().shape[0] > 2
    True
    """

    table: pd.DataFrame
    outcome: str

    def summary(self) -> pd.DataFrame:
        """How many trials each step removes and leaves: `step, removed, left`."""
        left = len(self.table)
        rows: list[dict[str, object]] = [{"step": "trials in the data", "removed": 0, "left": left}]
        for step in STEPS:
            removed = int((self.table["step"] == step).sum())
            left -= removed
            rows.append({"step": step, "removed": removed, "left": left})
        return pd.DataFrame(rows)

    @property
    def entered(self) -> pd.DataFrame:
        """The trials that enter."""
        return self.table[self.table["step"] == ENTERED]

    @property
    def left_out(self) -> pd.DataFrame:
        """The trials that do not, with their reasons."""
        return self.table[self.table["step"] != ENTERED]

    def sentence(self) -> str:
        """From how many trials to how many, and why."""
        counts = self.table["step"].value_counts()
        words = [f"{counts[step]} {step}" for step in STEPS if step in counts]
        start = f"Of {plural(len(self.table), 'trial')}, {number(len(self.entered), 0)}"
        verb = "enters" if len(self.entered) == 1 else "enter"
        text = f"{start} {verb} the analysis of {outcome_words(self.outcome)}"
        return f"{text}; left out: {', '.join(words)}." if words else f"{text}."

    def _title(self) -> str:
        return "Flow of trials"


def trial_flow(whole: Evidence, asked: Evidence, effects: Effects) -> Flow:
    """What became of every trial on the way to an analysis.

    Parameters
    ----------
    whole : Evidence
        Before anything was filtered.
    asked : Evidence
        The people and types of exercise asked about.
    effects : Effects
        That are analysed, of `asked`.

    Returns
    -------
    Flow

    Examples
    --------
    >>> whole = bp.load_evidence()
    >>> asked = whole.filter(exercise_type="yoga")
    >>> flow = bp.trial_flow(whole, asked, asked.effects("pain_intensity"))
    >>> len(flow.entered)
    6
    """
    require(whole, "Evidence")
    require(asked, "Evidence")
    require(effects, "Effects")
    outcome = effects.outcome
    measured: set[str] = set()
    for table in (asked.outcomes, asked.contrasts):
        measured |= set(table.loc[table["outcome"].astype(str) == outcome, "trial_id"].astype(str))
    inside = set(asked.trials["trial_id"].astype(str))
    entered = set(effects.table["trial_id"].astype(str))
    excluded = effects.excluded.astype({"trial_id": str}).groupby("trial_id")["reason"]
    reasons = {trial: list(dict.fromkeys(own)) for trial, own in excluded}
    rows = []
    for row in whole.trials.to_dict("records"):
        trial = str(row["trial_id"])
        said = [text.replace("_", " ") for text in reasons.get(trial, [])]
        own = [text for text in said if not text.startswith(FOLLOWS)]
        if trial in entered:
            step, reason = ENTERED, ""
        elif trial not in inside:
            step, reason = OTHER_PEOPLE, OTHER_PEOPLE
        elif trial not in measured:
            step, reason = NOT_MEASURED, f"{outcome_words(outcome)} not reported"
        else:
            step, reason = _step(own), "; ".join(own) or NO_CONTROL
        name = author_year(row["first_author"], row["year"])
        rows.append(
            {"trial_id": trial, "trial": name, "doi": row["doi"], "pmid": row["pmid"]}
            | {"population": row["population"], "step": step, "reason": reason}
        )
    return Flow(pd.DataFrame(rows), outcome)


def _step(reasons: list[str]) -> str:
    """The step that the reasons of a trial's arms belong to."""
    if any(text.startswith("flagged") for text in reasons):
        return FLAGGED
    if all(text.startswith(NOT_COMPARED) for text in reasons):
        return NO_CONTROL
    return UNUSABLE
