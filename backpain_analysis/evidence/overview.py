"""What the evidence holds: per trial, and in all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from backpain_analysis.display import html_table

if TYPE_CHECKING:
    from backpain_analysis.evidence.evidence import Evidence

REPORTED_DOSES = (
    "sessions_per_week",
    "minutes_per_session",
    "duration_weeks",
    "total_sessions",
    "home_sessions_per_week",
)
"""The dose fields of an arm as a report gives them; nothing derived."""


def coverage(evidence: Evidence) -> pd.DataFrame:
    """What each trial reports.

    Parameters
    ----------
    evidence
        Any evidence.

    Returns
    -------
    pandas.DataFrame
        One row a trial, in the order of ``evidence.trials``: ``trial_id``, ``year``,
        ``population``, ``exercise_types`` (of its arms, separated by a comma), ``exercise_arms``
        (how many); for each of `REPORTED_DOSES` how many of these arms have it reported; for
        each outcome in the evidence ``arms`` (values per arm), ``contrasts`` (differences between
        arms), ``both``, or missing; ``results``, the same over all outcomes.
    """
    trials = evidence.trials[["trial_id", "year", "population"]]
    arms = evidence.arms
    arms = arms[arms["exercise_type"] != "none"]
    by_trial = arms.groupby("trial_id", sort=False)
    doses = by_trial[list(REPORTED_DOSES)].count()
    doses.insert(0, "exercise_arms", by_trial.size())
    types = by_trial["exercise_type"].agg(lambda words: ", ".join(dict.fromkeys(words)))
    frame = trials.merge(types.rename("exercise_types"), on="trial_id", how="left")
    counts = doses.reindex(frame["trial_id"]).fillna(0).astype("int64").reset_index(drop=True)
    results = {"arms": evidence.outcomes, "contrasts": evidence.contrasts}
    kinds = pd.concat(
        [table[["trial_id", "outcome"]].assign(kind=kind) for kind, table in results.items()]
    )
    outcomes = {
        outcome: _kind_of_results(frame["trial_id"], kinds[kinds["outcome"] == outcome])
        for outcome in kinds["outcome"].value_counts().index
    }
    outcomes["results"] = _kind_of_results(frame["trial_id"], kinds)
    return pd.concat([frame, counts, pd.DataFrame(outcomes, frame.index)], axis="columns")


def describe(evidence: Evidence) -> pd.DataFrame:
    """The counts a reader wants first.

    Returns
    -------
    pandas.DataFrame
        Columns ``topic``, ``item``, ``count`` (Int64) and ``unit`` (what is counted). Topics:
        size, year, population, exercise type, comparator, outcome, risk of bias (trials a tool
        judged), flag, missing. A trial with two types, outcomes or tools counts under each.
    """
    trials, arms = evidence.trials, evidence.arms
    outcomes, contrasts = evidence.outcomes, evidence.contrasts
    exercise = arms[arms["exercise_type"] != "none"]
    results = pd.concat([outcomes[["trial_id", "outcome"]], contrasts[["trial_id", "outcome"]]])
    rows = [
        ("size", "trials", len(trials), "trials"),
        ("size", "arms", len(arms), "arms"),
        ("size", "exercise arms", len(exercise), "arms"),
        ("size", "randomised", trials["n_randomised"].sum(), "participants"),
        ("size", "results per arm", len(outcomes), "rows"),
        ("size", "results between arms", len(contrasts), "rows"),
        ("size", "judgements of risk of bias", len(evidence.appraisals), "rows"),
        ("year", "first", trials["year"].min(), "year"),
        ("year", "last", trials["year"].max(), "year"),
        *_tally("population", trials["population"], "trials"),
        *_tally("exercise type", _once_a_trial(exercise, "exercise_type"), "trials"),
        *_tally("comparator", arms["comparator_type"], "arms"),
        *_tally("outcome", _once_a_trial(results, "outcome"), "trials"),
        *_tally("risk of bias", _once_a_trial(evidence.appraisals, "tool"), "trials"),
        *_tally("flag", trials["flag"].fillna("no flag"), "trials"),
        ("missing", "year", trials["year"].isna().sum(), "trials"),
        ("missing", "n_randomised", trials["n_randomised"].isna().sum(), "trials"),
        *(
            ("missing", dose, exercise[dose].isna().sum(), "exercise arms")
            for dose in REPORTED_DOSES[:-1]
        ),
        ("missing", "n", outcomes["n"].isna().sum(), "results per arm"),
        ("missing", "spread", outcomes["dispersion_type"].isna().sum(), "results per arm"),
        (
            "missing",
            "confidence interval",
            contrasts[["ci_low", "ci_high"]].isna().any(axis=1).sum(),
            "results between arms",
        ),
    ]
    frame = pd.DataFrame(rows, columns=["topic", "item", "count", "unit"])
    return frame.astype({"count": "Int64"})


def as_html(evidence: Evidence) -> str:
    """The counts of `describe` as a table, headed by the data set and its hash."""
    title = f"{evidence.name} {evidence.version or ''}".strip()
    note = f"Content hash {evidence.content_hash[:12]}"
    counts = describe(evidence)
    counts["topic"] = counts["topic"].mask(counts["topic"].duplicated(), "")
    return html_table(counts, title=title, note=note)


def _kind_of_results(trial_ids: pd.Series, kinds: pd.DataFrame) -> pd.Series:
    """For each trial whether its results are per arm, between arms, both, or missing."""
    found = {
        kind: trial_ids.isin(kinds.loc[kinds["kind"] == kind, "trial_id"])
        for kind in ("arms", "contrasts")
    }
    words = pd.Series(pd.NA, trial_ids.index, dtype="str")
    for kind, there in found.items():
        words[there] = kind
    words[found["arms"] & found["contrasts"]] = "both"
    return words


def _once_a_trial(frame: pd.DataFrame, column: str) -> pd.Series:
    return frame[["trial_id", column]].drop_duplicates()[column]


def _tally(topic: str, words: pd.Series, unit: str) -> list[tuple[str, str, int, str]]:
    """How often each word stands, the most frequent first."""
    counts = words.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    return [(topic, word, count, unit) for word, count in counts.items()]
