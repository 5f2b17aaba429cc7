"""The exercise dose of an arm: seven measures, derived where two known ones give a third."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from backpain_analysis.datasets.bundled import load_reference

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
    table = arms.copy()
    reported = {
        name: table[name].astype(float)
        for name in ("sessions_per_week", "minutes_per_session", "duration_weeks", "total_sessions")
    }
    weeks = reported["duration_weeks"].where(reported["duration_weeks"] > 0)
    sessions = reported["sessions_per_week"].fillna(reported["total_sessions"] / weeks)
    total = reported["total_sessions"].fillna(sessions * weeks)
    minutes = reported["minutes_per_session"]
    by_week, in_all = sessions * minutes, total * minutes
    if include_home:
        home = table["home_sessions_per_week"].astype(float).fillna(0)
        at_home = (home * table["home_minutes_per_session"].astype(float)).mask(home == 0, 0.0)
        sessions, total = sessions + home, total + home * weeks.fillna(0)
        by_week, in_all = by_week + at_home, in_all + at_home * weeks.fillna(0)
        minutes = minutes.where(home == 0, by_week / sessions)
    doses = {
        "sessions_per_week": sessions,
        "minutes_per_session": minutes,
        "minutes_per_week": by_week,
        "duration_weeks": reported["duration_weeks"],
        "total_sessions": total,
        "total_hours": in_all / 60,
        "met_minutes_per_week": by_week
        * table["exercise_type"].astype(str).map({**defaults, **(met or {})}).astype(float),
    }
    none = (table["exercise_type"].astype(str) == "none").to_numpy()
    for name, values in doses.items():
        source = np.full(len(table), "derived", dtype=object)
        if name in reported:
            source[(values == reported[name]).to_numpy()] = "reported"
        source[values.isna().to_numpy()] = None
        source[none] = "no exercise"
        table[name] = values.mask(none, 0.0)
        table[f"{name}_source"] = pd.Series(source, table.index, dtype="string")
    return table
