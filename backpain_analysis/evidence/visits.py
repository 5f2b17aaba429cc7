"""From participants' tables to the table that analyses take: one row a visit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import pandas as pd

from backpain_analysis.evidence.exposure import (
    PERSON,
    Exposure,
    cumulative_doses,
    exercise_types,
    known_measure,
    participant_doses,
)
from backpain_analysis.evidence.scales import with_limits
from backpain_analysis.words import did_you_mean

Scale = Literal["recorded", "0-100"]

HIGHER_IS_BETTER = frozenset({"PSFS", "PROMIS_function"})
"""Instruments of pain or disability whose higher scores are better: turned round on 0-100."""


_FORM = ["instrument", "scale_min", "scale_max"]


def visit_table(
    interventions: pd.DataFrame,
    scores: pd.DataFrame,
    people: pd.DataFrame,
    *,
    dose: str = "minutes_per_week",
    exposure: Exposure = "prescribed",
    scale: Scale = "recorded",
) -> pd.DataFrame:
    """The visits of participants, from the scores that `of_instruments` chose.

    See :meth:`Participants.visits`.
    """
    known_measure(dose, exposure)
    limits = (0.0, 100.0) if scale == "0-100" else _limits(scores)
    scores = scores.assign(value=_on_scale(scores, scale)).dropna(subset=["value"])
    twice = scores.duplicated([*PERSON, "week"])
    if twice.any():
        trial, person, week = scores.loc[twice, [*PERSON, "week"]].iloc[0]
        raise ValueError(
            f"participant {person!r} of trial {trial!r} has scores of several instruments in week "
            f"{week:g}: choose one instrument."
        )
    visits = scores[[*PERSON, "week", "value"]].sort_values([*PERSON, "week"], ignore_index=True)
    before = visits[visits["week"] <= 0].drop_duplicates(PERSON, keep="last")
    before = before.rename(columns={"value": "baseline", "week": "baseline_week"})
    visits = visits.merge(before, on=PERSON, how="left")
    earlier = visits["week"] < visits["baseline_week"]
    visits = visits[~earlier].drop(columns="baseline_week").reset_index(drop=True)
    persons = pd.MultiIndex.from_frame(visits[PERSON])
    if exposure == "cumulative":
        visits["dose"] = cumulative_doses(interventions, visits, dose)
    else:
        doses = participant_doses(interventions, dose, exposure)
        visits["dose"] = doses.reindex(persons).to_numpy()
    visits["exercise_type"] = exercise_types(interventions).reindex(persons).to_numpy()
    visits = visits.merge(people, on=PERSON, how="left", suffixes=("", "_of_participant"))
    if limits is not None:
        visits.attrs["scale"] = limits
    return visits


def of_instruments(scores: pd.DataFrame, instrument: str | Iterable[str] | None) -> pd.DataFrame:
    """The scores of the instruments asked for, or of the only one there is.

    Raises
    ------
    ValueError
        If one of them has no scores, or none is asked for where there are several.
    """
    there = list(scores["instrument"].unique())
    if instrument is None:
        refuse_several(there)
        return scores
    wanted = named(instrument)
    refuse_absent(wanted, there)
    return scores[scores["instrument"].isin(wanted)]


def named(instrument: str | Iterable[str]) -> list[str]:
    """One instrument or several, as a list."""
    return [instrument] if isinstance(instrument, str) else list(instrument)


def refuse_several(there: list[str]) -> None:
    """An error where an instrument has to be chosen."""
    if len(there) > 1:
        raise ValueError(f"instrument: choose one of {', '.join(there)}.")


def refuse_absent(wanted: list[str], there: Iterable[str]) -> None:
    """An error for an instrument without scores."""
    there = list(there)
    for word in wanted:
        if word not in there:
            raise ValueError(f"instrument: no {word!r}. {did_you_mean(word, there)}")


def scale_forms(scores: pd.DataFrame) -> pd.DataFrame:
    """The different instruments and limits in which scores are recorded."""
    return with_limits(scores)[_FORM].drop_duplicates()


def _limits(scores: pd.DataFrame) -> tuple[float, float] | None:
    """The limits of scores recorded on one scale, where they are known."""
    forms = scale_forms(scores)[["scale_min", "scale_max"]].drop_duplicates()
    if len(forms) != 1 or forms.isna().any(axis=None):
        return None
    return float(forms["scale_min"].iloc[0]), float(forms["scale_max"].iloc[0])


def refuse_mixed(forms: pd.DataFrame, scale: str) -> None:
    """An error where scores cannot stand in one column.

    Raises
    ------
    ValueError
        For scores recorded on several scales, scores to be put on 0-100 whose limits are not
        known, or an unknown word for `scale`.
    """
    if scale not in ("recorded", "0-100"):
        raise ValueError(f"scale: no {scale!r}. Known: recorded, 0-100.")
    if scale == "recorded" and len(forms) > 1:
        texts = ", ".join(_form(*row) for row in forms.itertuples(index=False))
        raise ValueError(
            f"scores are recorded on several scales ({texts}): use visits(scale='0-100'), or "
            "choose one instrument."
        )
    unknown = forms.loc[forms["scale_min"].isna(), "instrument"].unique()
    if scale == "0-100" and len(unknown):
        raise ValueError(
            f"{', '.join(unknown)}: the scale is not known, so scores cannot be put on 0-100. "
            "Give scale_min and scale_max in table scores."
        )


def known_people(people: pd.DataFrame) -> pd.DataFrame:
    """What is known of participants: the columns that hold anything."""
    return people[[name for name in people if name in PERSON or people[name].notna().any()]]


def _on_scale(scores: pd.DataFrame, scale: str) -> pd.Series:
    """Values as recorded, or as per cent of their scale."""
    refuse_mixed(scale_forms(scores), scale)
    if scale == "recorded":
        return scores["value"]
    limited = with_limits(scores)
    low, high = limited["scale_min"], limited["scale_max"]
    percent = 100 * (scores["value"] - low) / (high - low)
    return percent.mask(scores["instrument"].isin(HIGHER_IS_BETTER), 100 - percent)


def _form(instrument: str, low: float, high: float) -> str:
    limits = "unknown range" if pd.isna(low) else f"{low:g} to {high:g}"
    return f"{instrument} {limits}"
