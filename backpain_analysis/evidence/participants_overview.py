"""What participant-level data hold: counts, who stayed, and the doses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from backpain_analysis.display import html_table
from backpain_analysis.evidence.exposure import PERSON, exercise_types, participant_doses

if TYPE_CHECKING:
    from backpain_analysis.evidence.participants import Participants

_WEEKS_SHOWN = 15
_DOSE_COLUMNS = (
    "prescribed_sessions_per_week",
    "attended_sessions_per_week",
    "minutes_per_session",
    "start_week",
    "end_week",
)


def summary(data: Participants) -> pd.DataFrame:
    """The counts a reader wants first.

    Returns
    -------
    pandas.DataFrame
        Columns ``topic``, ``item``, ``count`` (Int64) and ``unit`` (what is counted). Topics:
        size, exercise type, instrument, missing. A participant with two types counts under both.
    """
    interventions, scores = data.interventions, data.scores
    everyone = pd.MultiIndex.from_frame(interventions[PERSON]).unique()
    taken = scores.dropna(subset=["value"])
    exercise = interventions[interventions["exercise_type"] != "none"]
    rows = [
        ("size", "trials", interventions["trial_id"].nunique(), "trials"),
        ("size", "participants", len(everyone), "participants"),
        ("size", "visits with a score", len(taken[[*PERSON, "week"]].drop_duplicates()), "visits"),
        *_tally("exercise type", interventions.drop_duplicates([*PERSON, "exercise_type"])),
        *_tally("instrument", taken.drop_duplicates([*PERSON, "instrument"])),
        (
            "missing",
            "baseline score",
            _without(everyone, taken[taken["week"] <= 0]),
            "participants",
        ),
        ("missing", "any score", _without(everyone, taken), "participants"),
        ("missing", "score of a visit", scores["value"].isna().sum(), "rows"),
        *(("missing", name, exercise[name].isna().sum(), "programmes") for name in _DOSE_COLUMNS),
        *(
            ("missing", name, len(everyone) - data.people[name].notna().sum(), "participants")
            for name in data.people.columns.difference(PERSON, sort=False)
            if data.people[name].notna().any()
        ),
    ]
    frame = pd.DataFrame(rows, columns=["topic", "item", "count", "unit"])
    return frame.astype({"count": "Int64"})


def retention(data: Participants) -> pd.DataFrame:
    """Who was still there at each week.

    Returns
    -------
    pandas.DataFrame
        One row a trial and week (scores' weeks rounded to whole ones, 0 and later):
        ``trial_id``, ``week``, ``participants`` (all of the trial), ``scored`` (with a score that
        week), ``left`` (without a score that week or later), ``pct_left``.
    """
    everyone = data.interventions[PERSON].drop_duplicates().groupby("trial_id").size()
    taken = data.scores.dropna(subset=["value"])
    taken = taken[PERSON].assign(week=taken["week"].round().clip(lower=0)).drop_duplicates()
    scored = taken.groupby(["trial_id", "week"]).size().rename("scored").reset_index()
    last = taken.groupby(PERSON)["week"].max().groupby("trial_id").value_counts()
    staying = last.rename("last_seen").reset_index()
    table = scored.merge(staying, on=["trial_id", "week"], how="left")
    table["last_seen"] = table["last_seen"].fillna(0)
    still = table[::-1].groupby("trial_id")["last_seen"].cumsum()
    table["participants"] = table["trial_id"].map(everyone).astype("int64")
    table["left"] = table["participants"] - still.astype("int64")
    table["pct_left"] = 100 * table["left"] / table["participants"]
    return table[["trial_id", "week", "participants", "scored", "left", "pct_left"]]


def doses(data: Participants) -> pd.DataFrame:
    """Weekly minutes by trial and type of exercise.

    Returns
    -------
    pandas.DataFrame
        ``trial_id``, ``exercise_type``, ``participants``; in minutes/week ``lowest``,
        ``prescribed`` (median) and ``highest`` prescription, ``attended`` (median);
        ``attended_missing`` (participants).
    """
    frame = pd.DataFrame(
        {
            "exercise_type": exercise_types(data.interventions),
            "prescribed": participant_doses(data.interventions),
            "attended": participant_doses(data.interventions, exposure="attended"),
        }
    )
    groups = frame.reset_index().groupby(["trial_id", "exercise_type"], sort=False)
    table = groups[["prescribed", "attended"]].median()
    table.insert(0, "lowest", groups["prescribed"].min())
    table.insert(2, "highest", groups["prescribed"].max())
    table.insert(0, "participants", groups.size())
    table["attended_missing"] = groups["attended"].apply(lambda column: column.isna().sum())
    return table.reset_index()


def as_html(data: Participants) -> str:
    """Counts, who stayed and doses, headed by the data set and its hash."""
    title = f"{data.name} {data.version or ''}".strip()
    if data.synthetic:
        title += " (synthetic: these participants are made up)"
    counts = summary(data)
    counts["topic"] = counts["topic"].mask(counts["topic"].duplicated(), "")
    weeks = retention(data).groupby("week", as_index=False)[["scored", "left"]].sum()
    more = len(weeks) > _WEEKS_SHOWN
    note = f"The first {_WEEKS_SHOWN} of {len(weeks)} weeks." if more else None
    weeks = weeks.rename(columns={"left": "dropped out"})
    minutes = doses(data).rename(
        columns={
            "lowest": "lowest prescribed",
            "prescribed": "median prescribed",
            "highest": "highest prescribed",
            "attended": "median attended",
            "attended_missing": "attended not known",
        }
    )
    return "\n".join(
        [
            html_table(counts, title=title, note=f"Content hash {data.content_hash[:12]}"),
            html_table(weeks.head(_WEEKS_SHOWN), title="Participants seen by week", note=note),
            html_table(minutes, title="Minutes per week by participant"),
        ]
    )


def _without(everyone: pd.MultiIndex, rows: pd.DataFrame) -> int:
    return int((~everyone.isin(pd.MultiIndex.from_frame(rows[PERSON]))).sum())


def _tally(topic: str, rows: pd.DataFrame) -> list[tuple[str, str, int, str]]:
    """How many participants have each word, the most frequent first."""
    counts = rows[topic.replace(" ", "_")].value_counts()
    counts = counts.sort_index().sort_values(ascending=False, kind="stable")
    return [(topic, word, count, "participants") for word, count in counts.items()]
