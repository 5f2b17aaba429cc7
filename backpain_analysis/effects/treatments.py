"""What counts as one treatment: types lumped coarser or finer, and ways exercise was given."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

import pandas as pd

from backpain_analysis.effects.table import Effects

INACTIVE_CONTROLS = {
    name: "inactive" for name in ("no_treatment", "waitlist", "usual_care", "education_advice")
}

_FAMILIES = {
    **{f"aerobic_{kind}": "aerobic" for kind in ("walking", "running", "cycling", "other")},
    **{name: "core_motor_control" for name in ("core_stabilisation", "motor_control")},
    **{f"stretching_{kind}": "stretching" for kind in ("static", "dynamic", "mixed")},
}

_TYPES = (
    *("aerobic_walking aerobic_running aerobic_cycling aerobic_other aquatic resistance").split(),
    *("core_stabilisation motor_control pilates yoga tai_chi_qigong stretching_static").split(),
    *("stretching_dynamic stretching_mixed mckenzie general_mixed functional_restoration").split(),
)

_LOW_IMPACT = ("aerobic_walking", "aerobic_cycling", "aquatic")

LUMPINGS: Mapping[str, Mapping[str, str]] = {
    "types": INACTIVE_CONTROLS,
    "families": INACTIVE_CONTROLS | _FAMILIES,
    "broad": INACTIVE_CONTROLS
    | _FAMILIES
    | {"aquatic": "aerobic", "yoga": "mind_body", "tai_chi_qigong": "mind_body"}
    | {"pilates": "core_motor_control", "functional_restoration": "general_mixed"},
    "impact": INACTIVE_CONTROLS
    | {name: "other_exercise" for name in _TYPES}
    | {name: "low_impact_aerobic" for name in _LOW_IMPACT}
    | {"aerobic_running": "high_impact_aerobic", "aerobic_other": "unclear_impact_aerobic"},
    "exercise": INACTIVE_CONTROLS | {name: "exercise" for name in _TYPES},
    "none": {},
}
"""From what was done to the treatment of a network.

"types": every exercise type, all inactive controls together. "families": aerobic together, core
stabilisation with motor control, stretching together. "broad": also aquatic with aerobic, yoga
with tai chi, Pilates with core. "impact": low-impact aerobic (walking, cycling, aquatic) against
the rest. "exercise": all exercise together. "none": controls apart as well.
"""


def lumping(name: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """A lumping by name, with your own changes on top.

    Parameters
    ----------
    name : str
        One of `LUMPINGS`.
    extra : mapping, optional
        Such as {"yoga": "stretching"}; it wins.

    Raises
    ------
    ValueError
        For an unknown name.

    Examples
    --------
    >>> bp.lumping("types")["usual_care"]
    'inactive'
    """
    if name not in LUMPINGS:
        raise ValueError(f"unknown lumping {name!r}: use one of {', '.join(LUMPINGS)}.")
    return {**LUMPINGS[name], **(extra or {})}


SUPERVISION = {"yes": "supervised", "no": "unsupervised", "mixed": "partly supervised"}

INTENSITY = {
    "low intensity": r"\b(?:low|light)[- ]intensity\b|\bgentle\b",
    "moderate intensity": r"\bmoderate[- ]intensity\b",
    "high intensity": (
        r"\b(?:high[- ]intensity|vigorous|all-out)\b|to (?:\w+ )*(?:failure|fatigue)\b"
    ),
}
"""Words of a report that say how hard its exercise was, in rising order; else it is unknown."""

WITH, ALONE = "with co-intervention", "exercise alone"


def supervision_word(word: object) -> str | None:
    """How exercise was supervised; None where unknown."""
    return SUPERVISION.get(word) if isinstance(word, str) else None


def with_supervision(effects: Effects, arms: pd.DataFrame) -> Effects:
    """Effects with how exercise was supervised as `setting` and `ref_setting`.

    "supervised", "unsupervised" or "partly supervised".
    """
    return with_setting(effects, arms, "supervised", supervision_word)


def with_intensity(effects: Effects, arms: pd.DataFrame) -> Effects:
    """Effects with a word of `INTENSITY` as `setting`, where a report says so."""
    return with_setting(effects, arms, "intensity_text", intensity_word)


def with_co_intervention(effects: Effects, arms: pd.DataFrame) -> Effects:
    """Effects with whether an arm got a co-intervention as `setting`.

    What every arm of a trial got is no co-intervention of any: it cancels in the contrast. Where a
    control is usual care or education, care or education beside exercise is not one either.
    """
    own = arms.assign(co_intervention=_beyond_others(arms))
    return with_setting(
        effects, own, "co_intervention", lambda text: WITH if isinstance(text, str) else ALONE
    )


SHARED_BY_CONTROL = {
    "education_advice": r"education|advice|booklet|back school|reassurance|ergonomics",
    "usual_care": r"usual care|medical management|medication|GP consultation|booklet",
}
"""Co-interventions that a control of this type gets too."""


def _beyond_others(arms: pd.DataFrame) -> pd.Series:
    """Each arm's co-intervention, missing where it has none that another arm lacks."""
    found, controls = arms["co_intervention"].tolist(), arms["comparator_type"].tolist()
    for places in arms.groupby("trial_id").indices.values():
        items = {place: _items(found[place]) for place in places}
        shared = set.intersection(*items.values()) if len(items) > 1 else set()
        names = [controls[place] for place in places]
        patterns = [SHARED_BY_CONTROL[name] for name in names if name in SHARED_BY_CONTROL]
        for place, named in items.items():
            if all(
                any(re.search(pattern, item, re.I) for pattern in patterns)
                for item in named - shared
            ):
                found[place] = pd.NA
    return pd.Series(found, arms.index, dtype=arms["co_intervention"].dtype)


def _items(text: object) -> set[str]:
    """The items of a list in words."""
    listed = re.split(r"[;,]", text) if isinstance(text, str) else []
    return {item.strip().lower() for item in listed}


def with_setting(
    effects: Effects, arms: pd.DataFrame, column: str, word: Callable[[object], str | None]
) -> Effects:
    """Effects with `setting` and `ref_setting`: a word for exercise arms, else the treatment.

    Parameters
    ----------
    effects : Effects
    arms : DataFrame
        `Evidence.arms`, with `column`.
    column : str
        What the word is made from.
    word : callable
        None where it is unknown: contrasts with such an arm are left out. Inactive controls
        count as one treatment.
    """
    table = effects.with_arms(arms, [column]).table
    settings = {}
    for prefix in ("", "ref_"):
        treatment = table[f"{prefix}treatment"].replace(lumping("exercise"))
        words = table[f"{prefix}{column}"].map(word, na_action=None)
        settings[f"{prefix}setting"] = words.where(treatment == "exercise", treatment)
    joined = replace(effects, table=table.assign(**settings))
    clear = joined.table[["setting", "ref_setting"]].notna().all(axis=1)
    return joined.select(clear, f"{column.replace('_', ' ')} unknown")


def intensity_word(text: object) -> str | None:
    """How hard an exercise was, if its report says so in one way only."""
    if not isinstance(text, str):
        return None
    found = [word for word, pattern in INTENSITY.items() if re.search(pattern, text, re.I)]
    return found[0] if len(found) == 1 else None
