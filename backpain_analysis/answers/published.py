"""Published answers to a claim beside ours: the strongest of them, and whether they agree."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import pandas as pd

from backpain_analysis.answers.claim_parts import RATIOS, Part
from backpain_analysis.answers.verdicts import (
    AGAINST,
    NOT_WORTHWHILE,
    SIZE_UNCERTAIN,
    SUPPORTED,
)
from backpain_analysis.datasets.bundled import load_reference
from backpain_analysis.words import number

SYNTHESES = ("systematic review", "network", "IPD")
"""Designs that speak for many studies; they decide on agreement where there are any."""

DIRECTIONS = FOR, CONTRARY, NO_DIFFERENCE, INDIRECT = (
    "supports",
    "against",
    "no clear difference",
    "indirect",
)

DIVIDED = "divided"

SAME_UNIT = {"points of 100": "MD0_100", "SD": "SMD", "hazard ratio": "HR", "risk ratio": "RR"}

MEASURE_WORDS = {"MD0_100": "points of 100", "SMD": "SD"}

SHOWN = 3
"""Published answers that stand beside a verdict."""

CERTAINTIES = ("high", "moderate", "low", "very low")


def published_answers(claim_id: str) -> pd.DataFrame:
    """Every published answer to a claim, the strongest first.

    In the order of directness (indirect ones last), design (syntheses first), certainty as
    printed, whether an interval is printed, and number of studies.

    Parameters
    ----------
    claim_id : str
        Such as "C13".

    Returns
    -------
    DataFrame
        Rows of the reference table `published_claims`.
    """
    table = _strongest_first()
    return table[table["claim_id"] == claim_id].reset_index(drop=True)


@cache
def _strongest_first() -> pd.DataFrame:
    table = load_reference("published_claims")
    printed = table["certainty_as_reported"].fillna("").str.lower()
    rank = printed.map({name: place for place, name in enumerate(CERTAINTIES)})
    keys = pd.DataFrame(
        {
            "indirect": table["direction_for_claim"] == INDIRECT,
            "single": ~table["design"].isin(SYNTHESES),
            "certainty": rank.fillna(len(CERTAINTIES)),
            "bare": table["ci_low"].isna(),
            "studies": -table["n_studies"].astype(float).fillna(0),
        }
    )
    return table.loc[keys.sort_values(list(keys), kind="stable").index]


def estimate_text(row: Mapping[str, Any]) -> str:
    """A published estimate as printed, with its interval and unit; empty where there is none."""
    if pd.isna(row["estimate"]):
        return ""
    digits = 1 if row["measure"] == "MD0_100" else 2
    text = number(float(row["estimate"]), digits)
    if pd.notna(row["ci_low"]):
        low, high = (number(float(row[name]), digits) for name in ("ci_low", "ci_high"))
        text += f" [{low} to {high}]"
    if row["measure"] in MEASURE_WORDS:
        return f"{text} {MEASURE_WORDS[row['measure']]}"
    return text if row["measure"] == "other" else f"{row['measure']} {text}"


def agreement(part: Part, answers: pd.DataFrame) -> str:
    """Whether published answers agree with our verdict, in a sentence.

    Syntheses count, single studies only where there is no synthesis; indirect answers do not
    count. Published answers speak with one voice where more than half of them do.

    Parameters
    ----------
    part : Part
        The one that decides on the claim.
    answers : DataFrame
        From `published_answers`.
    """
    direct = answers[answers["direction_for_claim"] != INDIRECT]
    pooled = direct[direct["design"].isin(SYNTHESES)]
    counted = pooled if len(pooled) else direct
    if counted.empty:
        none = "No published answer on file is direct."
        return none if len(answers) else "No published answer is on file."
    voice, count = _voice(counted)
    noun = "synthesis" if len(pooled) else "study"
    total = f"{len(counted)} published {_plural(noun, len(counted))}"
    s = "" if count > 1 else "s"
    said = {
        FOR: f"{count} of {total} support{s} the claim",
        CONTRARY: f"{count} of {total} speak{s} against it",
        NO_DIFFERENCE: f"{count} of {total} found no clear difference",
        DIVIDED: f"{total} disagree with each other",
    }[voice]
    ours = _our_voice(part.verdict)
    if not ours:
        return f"These trials cannot say; {said}."
    if voice == DIVIDED:
        return f"Published answers are divided: {said}."
    if ours != voice:
        return f"At odds with published answers: {said}."
    return f"In line with published answers: {said}{_size(part, counted)}."


def _voice(counted: pd.DataFrame) -> tuple[str, int]:
    """What more than half of the answers say, with how many; or that they are divided."""
    counts = counted["direction_for_claim"].value_counts()
    most, count = str(counts.index[0]), int(counts.iloc[0])
    return (most, count) if 2 * count > len(counted) else (DIVIDED, 0)


def _our_voice(verdict: str) -> str:
    voices = {SUPPORTED: FOR, SIZE_UNCERTAIN: FOR, AGAINST: CONTRARY}
    return (voices | {NOT_WORTHWHILE: NO_DIFFERENCE}).get(verdict, "")


def _size(part: Part, counted: pd.DataFrame) -> str:
    """How our size compares with the strongest published one in the same unit and outcome."""
    if part.body is None or part.unit not in SAME_UNIT:
        return ""
    outcome = part.what.rpartition(", ")[2]
    same = counted[
        (counted["measure"] == SAME_UNIT[part.unit])
        & counted["outcome"].str.contains(outcome, regex=False)
        & counted["ci_low"].notna()
    ]
    if same.empty:
        return ""
    row = same.iloc[0]
    ours = _magnitudes([part.body.ci_low, part.body.ci_high])
    printed = [float(row["ci_low"]), float(row["ci_high"])]
    theirs = _magnitudes([math.log(x) for x in printed] if part.unit in RATIOS else printed)
    if ours[0] > theirs[1]:
        return f"; ours is larger than that of {row['review_id']}"
    if ours[1] < theirs[0]:
        return f"; ours is smaller than that of {row['review_id']}"
    return f"; its size is in line with that of {row['review_id']}"


def _magnitudes(limits: list[float]) -> list[float]:
    """Limits of a benefit as sizes, the smaller first: conventions of sign differ."""
    turn = -1.0 if sum(limits) < 0 else 1.0
    return sorted(turn * limit for limit in limits)


def _plural(noun: str, count: int) -> str:
    return noun if count == 1 else {"synthesis": "syntheses", "study": "studies"}[noun]
