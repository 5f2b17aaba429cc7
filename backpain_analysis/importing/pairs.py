"""Tables of other packages: effects (``yi, vi``), pairs of treatments, doses."""

from __future__ import annotations

import re
from typing import Any

from backpain_analysis.importing.grid import Grid
from backpain_analysis.importing.headers import outcome_of, spoken
from backpain_analysis.importing.mapping import UNDECIDED
from backpain_analysis.importing.sheets import (
    Guess,
    author_year,
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
    "study": r"study|studlab|slab|trial|study id|study name|id",
    "author": r"authors?|first author",
    "year": r"year|pub(lication)? year",
    **{
        f"{name} {arm}": pattern.replace("#", side)
        for arm, side in enumerate(("( ?1| [et])", "( ?2| c)", " ?3", " ?4", " ?5", " ?6"), start=1)
        for name, pattern in {
            "long": r"treat(ment)?# long",
            "treat": r"(treat|t|treatment|arm|intervention|group|trt)#",
            "mean": r"(mean|m|y)#( i)?",
            "sd": r"sd#( i)?",
            "n": r"n#( i)?|total#",
            "events": r"(events?|r|x|responders)#( i)?",
        }.items()
    },
    "events 1": r"ai|(events?|r|x|responders)( ?1| [et])( i)?",
    "events 2": r"ci|(events?|r|x|responders)( ?2| c)( i)?",
    "treat 2": r"(treat|t|treatment|arm|intervention|group|trt) ?2|reference",
    "estimate": r"yi|te|md|smd|d|g|effect|estimate|es|diff|rr|or|hr",
    "log_estimate": r"log ?(rr|or|hr)|ln ?(rr|or|hr)|ln effect",
    "se": r"se ?te|sei|se|se ?yi|stderr|standard error",
    "variance": r"vi|var|variance",
    "lower": r"lower|ci ?(lb|low|lower)|lcl|low|lb|l?rr ?l|lrr|lower limit",
    "upper": r"upper|ci ?(ub|high|upper)|ucl|high|ub|urr|upper limit",
    "dose": r"dose|doses|dosage|(minutes|sessions|hours)( per)? week|min week",
    "mean": r"mean|y|m|response",
    "sd": r"sd|std",
    "n": r"n|total|size",
    "kind": r"exercise( type)?|treatment|intervention|type of exercise",
    "outcome": r"outcome|endpoint|measure",
    "time": r"time|time ?point|week|weeks",
}
"""Names of columns in plain words, as the packages and their examples have them."""

_MOST_SESSIONS = 21
"""A week; a dose above it is of minutes."""


def _columns(grid: Grid) -> dict[str, str]:
    found: dict[str, str] = {}
    for column in grid.columns:
        words = spoken(column)
        for name, pattern in _NAMES.items():
            if name not in found and re.fullmatch(pattern, words):
                found[name] = column
                break
    if "study" not in found and "author" in found:
        found["study"] = found["author"]
    return found


def _effect(of: dict[str, str]) -> bool:
    """Whether rows hold an effect with what tells its error."""
    error = {"se", "variance"} & set(of) or {"lower", "upper"} <= set(of)
    return bool({"estimate", "log_estimate"} & set(of) and error)


def _response(of: dict[str, str], arm: str) -> str:
    """What an arm has, mean or events, with what belongs to it; else empty."""
    if {f"mean {arm}", f"sd {arm}", f"n {arm}"} <= set(of):
        return "mean"
    return "events" if {f"events {arm}", f"n {arm}"} <= set(of) else ""


def is_pairs(grid: Grid) -> bool:
    """Whether rows hold an effect with its error, or the values of two treatments by name."""
    of = _columns(grid)
    return "dose" not in of and (_effect(of) or all(_response(of, arm) for arm in "12"))


def is_doses(grid: Grid) -> bool:
    """Whether rows hold the response to one dose of a study."""
    of = _columns(grid)
    return {"study", "dose"} <= set(of) and ({"mean", "sd", "n"} <= set(of) or _effect(of))


def guess_pairs(grid: Grid) -> Guess:
    """A mapping of effects or pairs: the two arms are named, or an exercise and its comparator."""
    of = _columns(grid)
    guess = Guess(start(grid))
    arms = []
    numbers = [arm for arm in "123456" if arm in "12" or f"treat {arm}" in of]
    for number in numbers:
        column, kind = of.get(f"treat {number}"), of.get("kind") if number == "1" else None
        if column:
            label = of.get(f"long {number}", column)
            fields = {"arm_label": label, **treatment_fields(grid, label)}
            arms.append({"arm_id": column, **fields})
        elif kind:
            own = {"arm_label": kind, **treatment_fields(grid, kind)}
            arms.append({"arm_id": value("a1"), **own})
        elif number == "1":
            arms.append({"arm_id": value("a1"), "exercise_type": value(UNDECIDED)})
        else:
            other = {"exercise_type": value("none"), "comparator_type": value(UNDECIDED)}
            arms.append({"arm_id": value("a2"), **other})
    common = _common(grid, of, guess)
    tables: dict[str, Any] = {"trials": [_trial(grid, of, guess)], "arms": arms}
    outcomes = []
    for number, arm in zip(numbers, arms, strict=True):
        response = _response(of, number)
        if response:
            kept = ("n", "mean", "sd") if response == "mean" else ("n", "events")
            told = value("level" if response == "mean" else "events")
            own = {name: of[f"{name} {number}"] for name in kept}
            outcomes.append({"arm_id": arm["arm_id"], **common, "value_type": told, **own})
    if outcomes:
        tables["outcomes"] = outcomes
        if any("mean" in row for row in outcomes):
            guess.assumed.append("values are final values, not changes (value_type)")
    if _effect(of):
        tables["contrasts"] = [_contrast(grid, of, arms, common)]
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
    doses = [float(text) for text in texts_of(grid, of["dose"]) if _is_number(text)]
    if "minute" in told or "min week" in told or max(doses, default=0) > _MOST_SESSIONS:
        arm |= {"minutes_per_session": of["dose"], "sessions_per_week": value("1")}
        guess.assumed.append("minutes a week are put down as one session a week of this length")
    else:
        arm["sessions_per_week"] = of["dose"]
        guess.assumed.append(f"{of['dose']} are sessions a week")
    common = _common(grid, of, guess)
    tables: dict[str, Any] = {"trials": [_trial(grid, of, guess)], "arms": [arm]}
    if {"mean", "sd", "n"} <= set(of):
        row = {"arm_id": of["dose"], **common, "value_type": value("level")}
        tables["outcomes"] = [row | {name: of[name] for name in ("n", "mean", "sd")}]
        guess.assumed.append("values are final values, not changes (value_type)")
    else:
        reference = {"column": of["dose"], "from_row": "first"}
        both: list[dict[str, Any]] = [{"arm_id": of["dose"]}, {"arm_id": reference}]
        tables["contrasts"] = [_contrast(grid, of, both, common)]
        guess.assumed.append("the first row of a study is the reference of its other rows")
    guess.content |= {"ids": {"trial_id": _study(of)}, "tables": tables}
    return guess


def _trial(grid: Grid, of: dict[str, str], guess: Guess) -> dict[str, Any]:
    row: dict[str, Any] = {
        "population": population_source(grid, guess.assumed),
        "design": parallel(guess.assumed),
    }
    if "author" in of:
        row["first_author"] = of["author"]
    if "year" in of:
        row["year"] = of["year"]
    return row | author_year(grid, of["study"] if "study" in of else None, *row)


def _contrast(
    grid: Grid, of: dict[str, str], arms: list[dict[str, Any]], common: dict[str, Any]
) -> dict[str, Any]:
    row = {"arm_id": arms[0]["arm_id"], "ref_arm_id": arms[1]["arm_id"], **common}
    estimate = next(name for name in ("log_estimate", "estimate") if name in of)
    told = spoken(of[estimate])
    known = {"md": "md", "smd": "smd", "g": "smd", "d": "smd"}
    ratio = next((kind for kind in ("rr", "or", "hr") if told.endswith(kind)), UNDECIDED)
    measure = ratio if ratio != UNDECIDED else known.get(told, UNDECIDED)
    row |= {"effect_measure": value(measure), estimate: of[estimate]}
    error = next((name for name in ("variance", "se") if name in of), None)
    if error and (estimate == "log_estimate" or ratio == UNDECIDED):
        return row | {error: of[error]}
    if {"lower", "upper"} <= set(of) and not (
        estimate == "log_estimate"
        and any(text.startswith("-") for text in grid.column(of["lower"]))
    ):
        return row | {"ci_low": of["lower"], "ci_high": of["upper"], "ci_level": value("95")}
    return row


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


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\d+(?:\.\d+)?", text) is not None


def _is_zero(text: str) -> bool:
    return re.fullmatch(r"0+(?:[.,]0+)?", text) is not None
