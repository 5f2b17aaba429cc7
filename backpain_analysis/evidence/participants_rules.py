"""What must hold in participant-level tables beyond types, ranges, words and keys.

Rules take the three tables (typed, index = spreadsheet row) and yield faults, as those of
``evidence/rules.py`` do for the trial tables.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from backpain_analysis.datasets.words import nearest
from backpain_analysis.evidence.exposure import PERSON
from backpain_analysis.evidence.faults import Fault
from backpain_analysis.evidence.participants_weeks import UNKNOWN_TRIAL
from backpain_analysis.evidence.rules import Rule, Tables, broken_rows
from backpain_analysis.evidence.scales import WIDEST_LIMITS, with_limits

MOST_MINUTES_PER_WEEK = 16 * 60 * 7
"""The waking hours of a week."""

_MANY = 5000


def participants_with_interventions(tables: Tables) -> Iterator[Fault]:
    """Who has scores or a row in ``participants`` has a row in ``interventions``."""
    advice = "add a row to interventions; a control has exercise_type none."
    for name in ("scores", "participants"):
        yield from _strangers(tables, name, "interventions", "without interventions", advice)


def participants_in_their_table(tables: Tables) -> Iterator[Fault]:
    """With a table ``participants``, whoever has interventions or scores is in it."""
    advice = "add a row to participants; its cells may be empty."
    rule = "not in table participants"
    for name in ("interventions", "scores"):
        yield from _strangers(tables, name, "participants", rule, advice)


def exercise_has_a_dose(tables: Tables) -> Iterator[Fault]:
    """Without exercise there are no sessions."""
    frame = tables["interventions"]
    none = frame["exercise_type"] == "none"
    hint = "Name the exercise in exercise_type, or leave the sessions empty."
    for column in ("prescribed_sessions_per_week", "attended_sessions_per_week"):
        broken = none & (frame[column] > 0)
        yield from broken_rows(
            "interventions", frame, broken, column, "sessions without exercise", hint
        )


def attended_is_plausible(tables: Tables) -> Iterator[Fault]:
    """Nobody attends more than twice what was prescribed."""
    frame = tables["interventions"]
    prescribed, attended = (
        frame[f"{word}_sessions_per_week"] for word in ("prescribed", "attended")
    )
    broken = (prescribed > 0) & (attended > 2 * prescribed)
    hint = (
        "{prescribed_sessions_per_week} a week are prescribed. Give sessions a week, not those "
        "of the whole programme; exercise beyond the programme gets a row of its own."
    )
    rule = "attended more than twice what was prescribed"
    column = "attended_sessions_per_week"
    yield from broken_rows("interventions", frame, broken, column, rule, hint)


def minutes_fit_a_week(tables: Tables) -> Iterator[Fault]:
    """Sessions of a week fit into its waking hours."""
    frame = tables["interventions"]
    hint = (
        f"Sessions a week times {{minutes_per_session}} minutes is above {MOST_MINUTES_PER_WEEK}, "
        "the waking minutes of a week. Check both."
    )
    for column in ("prescribed_sessions_per_week", "attended_sessions_per_week"):
        broken = frame[column] * frame["minutes_per_session"] > MOST_MINUTES_PER_WEEK
        rule = "more minutes than a week has"
        yield from broken_rows("interventions", frame, broken, column, rule, hint)


def end_not_before_start(tables: Tables) -> Iterator[Fault]:
    """A programme does not end before it starts."""
    frame = tables["interventions"]
    broken = frame["end_week"] < frame["start_week"]
    hint = "It starts in week {start_week}; it must not end before."
    yield from broken_rows("interventions", frame, broken, "end_week", "end before start", hint)


def several_programmes_have_weeks(tables: Tables) -> Iterator[Fault]:
    """Where a participant has several programmes, each says when it was."""
    frame = tables["interventions"]
    several = frame.duplicated(PERSON, keep=False)
    hint = "A participant with several programmes needs start and end of each."
    for column in ("start_week", "end_week"):
        broken = several & frame[column].isna()
        rule = "programme of several without its weeks"
        yield from broken_rows("interventions", frame, broken, column, rule, hint)


def programmes_do_not_overlap(tables: Tables) -> Iterator[Fault]:
    """Two programmes of the same type of one participant do not share weeks."""
    frame = tables["interventions"]
    keys = [*PERSON, "exercise_type"]
    several = frame[frame.duplicated(keys, keep=False)].sort_values([*keys, "start_week"])
    ends = several.groupby(keys, sort=False)["end_week"]
    before = ends.cummax().groupby([several[key] for key in keys], sort=False).shift()
    several = several.assign(end_before=before)
    same_start = several.duplicated([*keys, "start_week"])
    broken = (several["start_week"] < several["end_before"]) & ~same_start
    hint = "The one before ends in week {end_before}; as it stands the weeks count twice."
    rule = "programmes of the same type overlap"
    yield from broken_rows("interventions", several, broken, "start_week", rule, hint)


def scale_is_whole(tables: Tables) -> Iterator[Fault]:
    """A scale has both limits, the largest above the smallest."""
    frame = tables["scores"]
    low, high = frame["scale_min"], frame["scale_max"]
    rule, hint = "limit of a scale without the other", "Give both scale_min and scale_max."
    yield from broken_rows("scores", frame, low.notna() & high.isna(), "scale_max", rule, hint)
    yield from broken_rows("scores", frame, low.isna() & high.notna(), "scale_min", rule, hint)
    hint = "scale_min is {scale_min}: scale_max must be above it."
    yield from broken_rows("scores", frame, high <= low, "scale_max", "scale without width", hint)


def score_on_its_scale(tables: Tables) -> Iterator[Fault]:
    """A score lies within the limits of its instrument."""
    frame = tables["scores"]
    limits = with_limits(frame, WIDEST_LIMITS)
    low, high = limits["scale_min"], limits["scale_max"]
    outside = ((frame["value"] < low) | (frame["value"] > high)) & (low < high)
    told = frame.assign(scale_min=low, scale_max=high)
    for source, hint in (
        ("reported", "The scale of this row is {scale_min} to {scale_max}."),
        ("instrument", "{instrument} goes from {scale_min} to {scale_max}."),
    ):
        rows = outside & (limits["scale_source"] == source)
        yield from broken_rows("scores", told, rows, "value", "impossible score", hint)


PARTICIPANT_RULES: tuple[Rule, ...] = (
    participants_with_interventions,
    participants_in_their_table,
    exercise_has_a_dose,
    attended_is_plausible,
    minutes_fit_a_week,
    end_not_before_start,
    several_programmes_have_weeks,
    programmes_do_not_overlap,
    scale_is_whole,
    score_on_its_scale,
)


def _strangers(tables: Tables, name: str, target: str, rule: str, advice: str) -> Iterator[Fault]:
    """Participants of one table that are not in another: one fault a participant."""
    frame, others = tables[name][PERSON].dropna(), tables[target][PERSON].dropna()
    if others.empty:
        return
    capital = advice[0].upper() + advice[1:]
    known = pd.MultiIndex.from_frame(others)
    strange = frame[~pd.MultiIndex.from_frame(frame).isin(known)]
    for (trial, person), rows in strange.groupby(PERSON, sort=False):
        places = others.loc[others["participant_id"] == person, "trial_id"].unique()
        if len(places):
            hint = f"{target} has a participant {person!r} in trial {', '.join(places[:5])}."
        else:
            near = others if trial == UNKNOWN_TRIAL else others[others["trial_id"] == trial]
            meant = nearest(person, near["participant_id"]) if len(near) <= _MANY else None
            hint = f"Did you mean {meant!r}? Otherwise {advice}" if meant else capital
        told = f"participant {rule}" if rule.startswith("without") else rule
        if len(rows) > 1:
            told = f"{told} ({len(rows)} rows)"
        yield Fault(name, None, rows.index[0], "participant_id", person, told, hint)
