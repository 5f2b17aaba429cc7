"""Ways in which exercise was given, as treatments a network can compare."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pandas as pd

from backpain_analysis.effects.lumping import lumping
from backpain_analysis.effects.table import Effects

SUPERVISION = {"yes": "supervised", "no": "unsupervised", "mixed": "partly supervised"}
INTENSITY = {
    "low intensity": r"\b(?:low intensity|light intensity|gentle)\b",
    "high intensity": r"\b(?:high intensity|vigorous|all-out)\b|to (?:\w+ )*(?:failure|fatigue)\b",
}
"""Words of a report that say how hard its exercise was; anything else is unknown."""
WITH, ALONE = "with co-intervention", "exercise alone"


def with_supervision(effects: Effects, arms: pd.DataFrame) -> Effects:
    """Effects with how exercise was supervised as `setting` and `ref_setting`.

    "supervised", "unsupervised" or "partly supervised".
    """
    return with_setting(effects, arms, "supervised", SUPERVISION.get)


def with_intensity(effects: Effects, arms: pd.DataFrame) -> Effects:
    """Effects with "low intensity" or "high intensity" as `setting`, where a report says so."""
    return with_setting(effects, arms, "intensity_text", intensity_word)


def with_co_intervention(effects: Effects, arms: pd.DataFrame) -> Effects:
    """Effects with whether a co-intervention is recorded as `setting`."""
    return with_setting(
        effects, arms, "co_intervention", lambda text: WITH if isinstance(text, str) else ALONE
    )


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
