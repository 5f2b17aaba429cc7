"""Tables of other packages: effects (``yi, vi``), pairs of treatments, doses."""

from __future__ import annotations

import re
from typing import Any

from backpain_analysis.importing.grid import Grid
from backpain_analysis.importing.headers import outcome_of, spoken
from backpain_analysis.importing.mapping import UNDECIDED
from backpain_analysis.importing.sheets import (
    Guess,
    instrument_fields,
    outcome_columns,
    parallel,
    population_source,
    start,
    texts_of,
    time_columns,
    treatment_fields,
    value,
    words_of,
)

_NAMES = {
    "study": r"study|studlab|slab|trial|study id|author|authors|id",
    "year": r"year",
    "treat 1": r"treat ?1|t ?1|treatment ?1|arm ?1|intervention ?1",
    "treat 2": r"treat ?2|t ?2|treatment ?2|arm ?2|intervention ?2|reference",
    "estimate": r"yi|te|md|smd|d|g|effect|estimate|es|diff",
    "log_estimate": r"log ?(rr|or|hr)|ln ?(rr|or|hr)|ln effect",
    "se": r"se ?te|sei|se|se ?yi|stderr|standard error",
    "variance": r"vi|var|variance",
    "lower": r"lower|ci ?(lb|low|lower)|lcl|low",
    "upper": r"upper|ci ?(ub|high|upper)|ucl|high",
    "mean 1": r"(mean|m|y) ?1( i)?",
    "mean 2": r"(mean|m|y) ?2( i)?",
    "sd 1": r"sd ?1( i)?",
    "sd 2": r"sd ?2( i)?",
    "n 1": r"n ?1( i)?",
    "n 2": r"n ?2( i)?",
    "dose": r"dose|doses|dosage|(minutes|sessions|hours)( per)? week|min week",
    "mean": r"mean|y|m|response",
    "sd": r"sd|std",
    "n": r"n|total|size",
    "outcome": r"outcome|endpoint|measure",
    "time": r"time|time ?point|week|weeks",
}
"""Names of columns in plain words, as the packages and their examples have them."""


def _columns(grid: Grid) -> dict[str, str]:
    found: dict[str, str] = {}
    for column in grid.columns:
        words = spoken(column)
        for name, pattern in _NAMES.items():
            if name not in found and re.fullmatch(pattern, words):
                found[name] = column
                break
    return found


def is_pairs(grid: Grid) -> bool:
    """Whether rows hold an effect with its error, or the values of two treatments by name."""
    of = set(_columns(grid))
    effect = {"estimate", "log_estimate"} & of and {"se", "variance"} & of
    named = {"treat 1", "treat 2"} <= of
    means = {"mean 1", "sd 1", "n 1", "mean 2", "sd 2", "n 2"} <= of
    return "dose" not in of and bool(effect or (named and means))


def is_doses(grid: Grid) -> bool:
    """Whether rows hold the response to one dose of a study."""
    of = set(_columns(grid))
    response = {"mean", "sd", "n"} <= of or (
        {"estimate", "log_estimate"} & of and {"se", "variance"} & of
    )
    return {"study", "dose"} <= of and bool(response)


def guess_pairs(grid: Grid) -> Guess:
    """A mapping of effects or pairs: the two arms are named, or an exercise and its comparator."""
    of = _columns(grid)
    guess = Guess(start(grid))
    trial: dict[str, Any] = {
        "population": population_source(grid, guess.assumed),
        "design": parallel(guess.assumed),
    }
    if "year" in of:
        trial["year"] = of["year"]
    arms = []
    for number in ("1", "2"):
        column = of.get(f"treat {number}")
        if column:
            fields = {"arm_label": column, **treatment_fields(grid, column)}
            arms.append({"arm_id": column, **fields})
        elif number == "1":
            arms.append({"arm_id": value("a1"), "exercise_type": value(UNDECIDED)})
        else:
            other = {"exercise_type": value("none"), "comparator_type": value(UNDECIDED)}
            arms.append({"arm_id": value("a2"), **other})
    common = _common(grid, of, guess)
    tables: dict[str, Any] = {"trials": [trial], "arms": arms}
    if "mean 1" in of and "sd 1" in of:
        tables["outcomes"] = [
            {
                "arm_id": arm["arm_id"],
                **common,
                "value_type": value("level"),
                **{name: of[f"{name} {number}"] for name in ("n", "mean", "sd")},
            }
            for number, arm in zip(("1", "2"), arms, strict=True)
        ]
        guess.assumed.append("values are final values, not changes (value_type)")
    if {"estimate", "log_estimate"} & set(of):
        tables["contrasts"] = [_contrast(of, arms, common)]
    guess.content |= {"ids": {"trial_id": _study(of)}, "tables": tables}
    return guess


def guess_doses(grid: Grid) -> Guess:
    """A mapping of doses: a row an arm; the first row of a study is its reference."""
    of = _columns(grid)
    guess = Guess(start(grid))
    words = {text: "none" if _is_zero(text) else UNDECIDED for text in texts_of(grid, of["dose"])}
    compared = {text: UNDECIDED for text, word in words.items() if word == "none"}
    arm: dict[str, Any] = {"arm_id": of["dose"]}
    if any(word == "none" for word in words.values()):
        kinds = {text: word for text, word in words.items() if word == "none"}
        arm["exercise_type"] = words_of(of["dose"], kinds, otherwise=UNDECIDED)
        arm["comparator_type"] = words_of(of["dose"], compared, otherwise="")
    else:
        arm["exercise_type"] = value(UNDECIDED)
    told = spoken(of["dose"])
    if "minute" in told or "min week" in told:
        arm |= {"minutes_per_session": of["dose"], "sessions_per_week": value("1")}
        guess.assumed.append("minutes a week are put down as one session a week of this length")
    else:
        arm["sessions_per_week"] = of["dose"]
        guess.assumed.append(f"{of['dose']} are sessions a week")
    common = _common(grid, of, guess)
    tables: dict[str, Any] = {
        "trials": [
            {
                "population": population_source(grid, guess.assumed),
                "design": parallel(guess.assumed),
            }
        ],
        "arms": [arm],
    }
    if {"mean", "sd", "n"} <= set(of):
        row = {"arm_id": of["dose"], **common, "value_type": value("level")}
        tables["outcomes"] = [row | {name: of[name] for name in ("n", "mean", "sd")}]
        guess.assumed.append("values are final values, not changes (value_type)")
    else:
        reference = {"column": of["dose"], "from_row": "first"}
        both: list[dict[str, Any]] = [{"arm_id": of["dose"]}, {"arm_id": reference}]
        tables["contrasts"] = [_contrast(of, both, common)]
        guess.assumed.append("the first row of a study is the reference of its other rows")
    guess.content |= {"ids": {"trial_id": _study(of)}, "tables": tables}
    return guess


def _contrast(
    of: dict[str, str], arms: list[dict[str, Any]], common: dict[str, Any]
) -> dict[str, Any]:
    row = {"arm_id": arms[0]["arm_id"], "ref_arm_id": arms[1]["arm_id"], **common}
    estimate = next(name for name in ("log_estimate", "estimate") if name in of)
    told = spoken(of[estimate])
    known = {"md": "md", "smd": "smd", "g": "smd", "d": "smd"}
    ratio = next((kind for kind in ("rr", "or", "hr") if told.endswith(kind)), UNDECIDED)
    measure = ratio if estimate == "log_estimate" else known.get(told, UNDECIDED)
    row |= {"effect_measure": value(measure), estimate: of[estimate]}
    if "variance" in of or "se" in of:
        name = "variance" if "variance" in of else "se"
        return row | {name: of[name]}
    return row | {"ci_low": of["lower"], "ci_high": of["upper"], "ci_level": value("95")}


def _common(grid: Grid, of: dict[str, str], guess: Guess) -> dict[str, Any]:
    if "outcome" in of:
        fields = outcome_columns(grid, of["outcome"])
    else:
        fields = instrument_fields(*outcome_of(grid.file.replace("_", " ")), *grid.around, "")
    if "time" in of:
        return fields | time_columns(grid, of["time"])
    guess.assumed.append("results are after treatment (post)")
    return fields | {"timepoint_label": value("post")}


def _study(of: dict[str, str]) -> Any:
    return of.get("study", value(UNDECIDED))


def _is_zero(text: str) -> bool:
    return re.fullmatch(r"0+(?:[.,]0+)?", text) is not None
