"""The dose of exercise: of an arm, and of a participant.

Seven measures, derived where two known ones give a third; what a participant was given, did, and
had done by a visit.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

import numpy as np
import pandas as pd

from backpain_analysis.datasets.bundled import load_reference
from backpain_analysis.words import did_you_mean

DOSE_MEASURES = (
    "sessions_per_week",
    "minutes_per_session",
    "minutes_per_week",
    "duration_weeks",
    "total_sessions",
    "total_hours",
    "met_minutes_per_week",
)


def met_values() -> dict[str, float]:
    """MET value of each exercise type (`data/reference/met_defaults.csv`).

    Which activity of the 2011 Compendium (Ainsworth 2011, doi 10.1249/MSS.0b013e31821ece12)
    stands for which type is this project's choice; see the table's notes.
    """
    return dict(_met_defaults())


@cache
def _met_defaults() -> dict[str, float]:
    table = load_reference("met_defaults")
    return dict(zip(table["exercise_type"], table["met"].astype(float), strict=True))


def with_doses(
    arms: pd.DataFrame, *, met: Mapping[str, float] | None = None, include_home: bool = False
) -> pd.DataFrame:
    """Arms with every dose measure, and with how each was obtained.

    Reported figures are kept. `sessions_per_week` and `total_sessions` give each other through
    `duration_weeks`; products follow. Arms without exercise have dose zero in every measure.
    A single bout (`duration_weeks` 0) has no weekly dose.

    Parameters
    ----------
    arms : DataFrame
        The `arms` table of an `Evidence`; not changed.
    met : mapping, optional
        MET value by exercise type, over the defaults of `met_values`.
    include_home : bool
        Add home sessions: `home_sessions_per_week` of `home_minutes_per_session`. Where an arm has
        home sessions of unknown length, its minutes, hours and MET-minutes are unknown.

    Returns
    -------
    DataFrame
        The arms with the columns `DOSE_MEASURES` (float, missing where unknown) and
        `<measure>_source`: "reported", "derived", "no exercise" or missing.

    Raises
    ------
    ValueError
        If `met` names an unknown exercise type or a value that is not positive.
    """
    defaults = met_values()
    for word, value in (met or {}).items():
        if word not in defaults or not value > 0:
            raise ValueError(
                f"met[{word!r}] = {value}: give a positive MET for one of {', '.join(defaults)}."
            )

    def reported(name: str) -> np.ndarray:
        return arms[name].to_numpy(dtype=float, na_value=np.nan)

    per_week, minutes = reported("sessions_per_week"), reported("minutes_per_session")
    duration, in_all = reported("duration_weeks"), reported("total_sessions")
    types = arms["exercise_type"].astype(str)
    mets = types.map({**defaults, **(met or {})}).to_numpy(dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        weeks = np.where(duration > 0, duration, np.nan)
        sessions = np.where(np.isnan(per_week), in_all / weeks, per_week)
        total = np.where(np.isnan(in_all), sessions * weeks, in_all)
        by_week, all_minutes = sessions * minutes, total * minutes
        if include_home:
            home = np.nan_to_num(reported("home_sessions_per_week"))
            at_home = np.where(home == 0, 0.0, home * reported("home_minutes_per_session"))
            whole = np.nan_to_num(weeks)
            sessions, total = sessions + home, total + home * whole
            by_week, all_minutes = by_week + at_home, all_minutes + at_home * whole
            minutes = np.where(home == 0, minutes, by_week / sessions)
    doses = {
        "sessions_per_week": (sessions, per_week),
        "minutes_per_session": (minutes, reported("minutes_per_session")),
        "minutes_per_week": (by_week, None),
        "duration_weeks": (duration, duration),
        "total_sessions": (total, in_all),
        "total_hours": (all_minutes / 60, None),
        "met_minutes_per_week": (by_week * mets, None),
    }
    none = (types == "none").to_numpy()
    columns: dict[str, Any] = {}
    for name, (values, printed) in doses.items():
        source = np.full(len(arms), "derived", dtype=object)
        if printed is not None:
            source[values == printed] = "reported"
        source[np.isnan(values)] = None
        source[none] = "no exercise"
        columns[name] = np.where(none, 0.0, values)
        columns[f"{name}_source"] = pd.array(source, dtype="string")
    return arms.assign(**columns)


Exposure = Literal["prescribed", "attended", "cumulative"]
EXPOSURES = ("prescribed", "attended", "cumulative")
PERSON = ["trial_id", "participant_id"]

_SUMMED = {
    "sessions_per_week": "sessions",
    "total_sessions": "sessions",
    "minutes_per_week": "minutes",
    "total_hours": "hours",
    "met_minutes_per_week": "met_minutes",
    "duration_weeks": "weeks",
}


def known_measure(dose: str, exposure: str) -> None:
    """Refuse a dose measure or an exposure that is not known, or a pair without meaning.

    Raises
    ------
    ValueError
    """
    if dose not in DOSE_MEASURES:
        raise ValueError(f"dose: no {dose!r}. {did_you_mean(dose, DOSE_MEASURES)}")
    if exposure not in EXPOSURES:
        raise ValueError(f"exposure: no {exposure!r}. {did_you_mean(exposure, EXPOSURES)}")
    if exposure == "cumulative" and dose not in _SUMMED:
        raise ValueError(f"{dose} does not add up over visits: choose {', '.join(_SUMMED)}.")


def participant_doses(
    interventions: pd.DataFrame,
    dose: str = "minutes_per_week",
    exposure: Exposure = "prescribed",
    *,
    met: Mapping[str, float] | None = None,
) -> pd.Series:
    """One dose a participant: what was prescribed, or what was done on average.

    Without exercise the dose is 0. Several programmes of a participant count by their weeks: a
    weekly dose is the mean over the weeks from the first start to the last end, weeks without
    exercise included.

    Parameters
    ----------
    interventions
        Table of `Participants`.
    dose
        One of `DOSE_MEASURES`: sessions/week, minutes/session, minutes/week, weeks, sessions,
        hours, MET-minutes/week.
    exposure
        Which sessions a week count: ``prescribed`` or ``attended``.
    met
        MET value by exercise type, over the defaults of `met_values`.

    Returns
    -------
    Series
        Indexed by (trial_id, participant_id), in the order of the table; missing where what it
        takes is missing.

    Raises
    ------
    ValueError
        If `dose` or `exposure` is not known.
    """
    known_measure(dose, exposure)
    if exposure == "cumulative":
        raise ValueError("exposure: 'cumulative' is of visits, not of participants.")
    rates = _rates(interventions, exposure, met)
    groups = rates.groupby(PERSON, sort=False)
    if dose == "duration_weeks":
        exercise = rates[~rates["none"]].groupby(PERSON, sort=False)
        found = exercise["end_week"].max() - exercise["start_week"].min()
    elif dose == "minutes_per_session":
        shortest, longest = (groups[dose].agg(which) for which in ("min", "max"))
        mean = _whole_sums(rates, "minutes") / _whole_sums(rates, "sessions")
        found = shortest.where(shortest == longest, mean.where(np.isfinite(mean)))
    elif dose in ("total_sessions", "total_hours"):
        amounts = rates.assign(amount=rates[_SUMMED[dose]] * rates["weeks"])
        found = _whole_sums(amounts, "amount")
    else:
        alone = groups["none"].transform("size") == 1
        span = groups["end_week"].transform("max") - groups["start_week"].transform("min")
        share = (rates["weeks"] / span).where(~alone, 1.0)
        found = _whole_sums(rates.assign(amount=rates[_SUMMED[dose]] * share), "amount")
    none = groups["none"].all()
    return found.reindex(none.index).mask(none, 0.0).rename("dose")


def cumulative_doses(
    interventions: pd.DataFrame,
    visits: pd.DataFrame,
    dose: str = "minutes_per_week",
    *,
    met: Mapping[str, float] | None = None,
) -> pd.Series:
    """What the sessions attended add up to by each visit.

    A programme's attended sessions are spread evenly over its weeks. Before the first programme
    starts, and without exercise, the sum is 0.

    Parameters
    ----------
    interventions
        Table of `Participants`.
    visits
        With ``trial_id``, ``participant_id`` and ``week``.
    dose
        The weekly measure that is summed: minutes for ``minutes_per_week``, sessions for
        ``sessions_per_week`` and ``total_sessions``, hours for ``total_hours``, MET-minutes for
        ``met_minutes_per_week``, weeks of exercise for ``duration_weeks``.
    met
        As of `participant_doses`.

    Returns
    -------
    Series
        Like the rows of `visits`; missing where attended sessions, session length or weeks of a
        programme that may have begun are missing.

    Raises
    ------
    ValueError
        If the measure does not add up.
    """
    known_measure(dose, "cumulative")
    rates = _rates(interventions, "attended", met).assign(one=1.0)
    rates["rate"] = rates["one" if dose == "duration_weeks" else _SUMMED[dose]]
    rates["rate"] = rates["rate"].mask(rates["none"], 0.0)
    places = visits[[*PERSON, "week"]].assign(visit=np.arange(len(visits)))
    pairs = places.merge(rates, on=PERSON, how="left")
    elapsed = (pairs["week"] - pairs["start_week"]).clip(lower=0)
    done = pairs["rate"] * np.minimum(elapsed, pairs["weeks"])
    done = done.mask(pairs["none"].eq(True) | (elapsed == 0), 0.0)
    by_visit = done.groupby(pairs["visit"])
    sums = by_visit.sum().mask(done.isna().groupby(pairs["visit"]).any())
    return pd.Series(sums.to_numpy(), visits.index, name="dose")


def exercise_types(interventions: pd.DataFrame) -> pd.Series:
    """The types of exercise of each participant, several joined by `` + ``; ``none`` for none."""
    rows = interventions[[*PERSON, "exercise_type"]].drop_duplicates()
    exercise = rows[rows["exercise_type"] != "none"]
    several = exercise.duplicated(PERSON, keep=False)
    joined = exercise[several].groupby(PERSON, sort=False)["exercise_type"].agg(" + ".join)
    single = exercise[~several].set_index(PERSON)["exercise_type"]
    everyone = pd.MultiIndex.from_frame(rows[PERSON]).unique()
    return pd.concat([single, joined]).reindex(everyone).fillna("none")


def _rates(
    interventions: pd.DataFrame, exposure: str, met: Mapping[str, float] | None
) -> pd.DataFrame:
    """Each programme with its weeks and its sessions, minutes, hours and MET-minutes a week."""
    table = interventions[[*PERSON, "minutes_per_session", "start_week", "end_week"]].copy()
    table["none"] = interventions["exercise_type"] == "none"
    sessions = interventions[f"{exposure}_sessions_per_week"].mask(table["none"], 0.0)
    minutes = sessions * table["minutes_per_session"].mask(table["none"], 0.0)
    table["sessions"], table["minutes"], table["hours"] = sessions, minutes, minutes / 60
    mets = interventions["exercise_type"].map({**met_values(), **(met or {}), "none": 0.0})
    table["met_minutes"] = minutes * mets.astype(float)
    weeks = table["end_week"] - table["start_week"]
    table["weeks"] = weeks.where(weeks > 0)
    return table


def _whole_sums(table: pd.DataFrame, column: str) -> pd.Series:
    """Sums over the rows of each participant, missing where one of them is."""
    amounts = table[column].mask(table["none"], 0.0)
    keys = [table[name] for name in PERSON]
    sums = amounts.groupby(keys, sort=False).sum()
    return sums.mask(amounts.isna().groupby(keys, sort=False).any())
