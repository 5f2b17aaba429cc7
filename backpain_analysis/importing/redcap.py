"""REDCap exports of participants: wide (a column a visit) and long (a row a visit)."""

from __future__ import annotations

import re
from typing import Any

from backpain_analysis.importing.grid import Grid
from backpain_analysis.importing.headers import exercise_of, limits_of, outcome_of, spoken, time_of
from backpain_analysis.importing.mapping import UNDECIDED
from backpain_analysis.importing.sheets import Guess, start, texts_of, value, words_of
from backpain_analysis.importing.values import is_value

_PERSON = r"record id|participant id|subject id|study id|patient id|id|pid|participant|subject"
_EVENT = r"redcap event name|event name|visit|week|event"
_GROUP = (
    r"(treatment |study |trial |rand |allocated |assigned |randomi[sz]ed |intervention )?"
    r"(group|arm|allocation|randomi[sz]ation|treatment)( name| allocation| assignment)?"
)
_PEOPLE = {
    "age": r"age( (at )?baseline| years)?",
    "sex": r"sex|gender",
    "bmi": r"bmi|body mass index",
    "pain_duration_months": r"(pain )?duration months",
    "smoking": r"smok(ing|er)( status)?",
}
_SEXES = {"f", "m", "female", "male", "w", "woman", "man"}
_DOSES = {
    "prescribed_sessions_per_week": r"(prescribed )?sessions( per)? (week|wk)|frequency",
    "attended_sessions_per_week": r"attended( sessions)?( per)?( week)?",
    "minutes_per_session": r"min(ute)?s?( per)? session|session (length|duration|min|minutes)",
}


def is_redcap(grid: Grid) -> bool:
    """Whether rows are of participants: REDCap's own columns, or scores by visit of one person."""
    names = {spoken(column) for column in grid.columns}
    if "record id" in names or "redcap event name" in names:
        return True
    person = any(re.fullmatch(r"(participant|subject|patient)( id)?", name) for name in names)
    sexes = {text.casefold() for text in texts_of(grid, _column(grid, _PEOPLE["sex"]) or "")}
    person = person or (bool(sexes & _SEXES) and _column(grid, _PERSON) is not None)
    return person and bool(_visits(grid) or _column(grid, _EVENT))


def guess_redcap(grid: Grid) -> Guess:
    """A mapping of participants: interventions by group, scores by visit, people."""
    person = _column(grid, _PERSON) or grid.columns[0]
    group, event = _column(grid, _GROUP), _column(grid, _EVENT)
    trial = next((c for c in grid.columns if spoken(c) in ("trial id", "trial", "site")), None)
    guess = Guess(start(grid))
    guess.content["ids"] = {
        "trial_id": trial or value(_trial_name(grid.file)),
        "participant_id": person,
    }
    if trial is None:
        guess.assumed.append(f"all rows are of one trial, {_trial_name(grid.file)}")
    taken = {person, group, event, trial}
    people = _named(grid, _PEOPLE, taken)
    doses = _named(grid, _DOSES, taken)
    repeated = _column(grid, r"redcap repeat instrument|repeat instrument")
    if repeated is not None and any(texts_of(grid, repeated)):
        plain = [not text for text in grid.column(repeated)]
        named = [c for c in grid.columns if any(outcome_of(c)) and not _is_status(c)]
        if any(
            cell and own for c in named for cell, own in zip(grid.column(c), plain, strict=True)
        ):
            guess.content["keep"] = {repeated: [""]}
            told = (
                f"rows of repeated instruments ({', '.join(texts_of(grid, repeated))}) do not count"
            )
            guess.assumed.append(told)
        else:
            event = _column(grid, r"redcap repeat instance|repeat instance") or event
    scores = _wide_scores(grid) or _long_scores(grid, event, taken | {*people.values()})
    people = {name: _person(grid, name, column) for name, column in people.items()}
    programme: dict[str, Any] = {"exercise_type": value(UNDECIDED)}
    if group is not None:
        words = {text: exercise_of(text)[0] for text in texts_of(grid, group)}
        programme = {"exercise_type": words_of(group, words)}
    elif event is not None and len(_arms_of(texts_of(grid, event))) > 1:
        words = {text: UNDECIDED for text in texts_of(grid, event)}
        programme = {"exercise_type": words_of(event, words)}
    programme |= doses | {"start_week": value("0"), "end_week": value(UNDECIDED)}
    guess.content["tables"] = {"interventions": [programme], "scores": scores}
    if people:
        guess.content["tables"]["participants"] = [people]
    return guess


def _wide_scores(grid: Grid) -> list[dict[str, Any]]:
    rows = []
    for column, (score, week) in _visits(grid).items():
        rows.append({**_instrument(score, column), "week": value(week), "value": column})
    return rows


def _long_scores(grid: Grid, event: str | None, taken: set[str | None]) -> list[dict[str, Any]]:
    """A score for each column of numbers whose name is one of pain, function and the like."""
    week: Any = value(UNDECIDED)
    if event is not None:
        texts = texts_of(grid, event)
        if texts and all(is_value(text) for text in texts):
            week = event
        else:
            week = words_of(event, {text: time_of(text)[1] or UNDECIDED for text in texts})
    rows = []
    for column in grid.columns:
        texts = texts_of(grid, column)
        numbers = texts and sum(map(is_value, texts)) > len(texts) / 2
        if column in taken or _is_status(column):
            continue
        if numbers and any(outcome_of(column)):
            rows.append({**_instrument(column, column), "week": week, "value": column})
    return rows


def _visits(grid: Grid) -> dict[str, tuple[str, str]]:
    """Columns of visits: score and week. pain_w4, pain_baseline, w4_pain."""
    found = {}
    for column in grid.columns:
        outcome, instrument = outcome_of(column)
        label, weeks = time_of(column)
        if (outcome or instrument) and (weeks or label) and not _is_status(column):
            score = re.sub(r"[_\s]*(?:w|wk|week|baseline|base|bl|t)?[_\s]*\d*$", "", column)
            found[column] = (score or column, weeks or UNDECIDED)
    return found


def _arms_of(events: list[str]) -> set[str]:
    """The arms that names of events end with: ``week_6_arm_2``."""
    return {found[1] for text in events if (found := re.search(r"arm[_ ](\d+)", text.casefold()))}


def _is_status(column: str) -> bool:
    """Whether a column says that a form is complete, or is a box that was ticked."""
    return bool(re.search(r"complete\??$|___\d+$", column.casefold()))


def _instrument(score: str, column: str) -> dict[str, Any]:
    _, instrument = outcome_of(score)
    fields = {"instrument": value(instrument or UNDECIDED)}
    limits = limits_of(instrument or UNDECIDED, column)
    if limits is not None:
        fields |= {"scale_min": value(limits[0]), "scale_max": value(limits[1])}
    return fields


def _person(grid: Grid, name: str, column: str) -> Any:
    if name == "sex":
        return words_of(column, {text: _sex(text) for text in texts_of(grid, column)})
    if name == "smoking":
        known = {"never": "never", "former": "former", "ex": "former", "current": "current"}
        words = {t: known.get(spoken(t), UNDECIDED) for t in texts_of(grid, column)}
        return words_of(column, words)
    return column


def _sex(text: str) -> str:
    low = text.casefold()
    if low.startswith(("f", "w")):
        return "female"
    return "male" if low.startswith("m") else UNDECIDED


def _column(grid: Grid, pattern: str) -> str | None:
    return next((c for c in grid.columns if re.fullmatch(pattern, spoken(c))), None)


def _named(grid: Grid, patterns: dict[str, str], taken: set[str | None]) -> dict[str, str]:
    found = {}
    for name, pattern in patterns.items():
        column = _column(grid, pattern)
        if column is not None and column not in taken:
            found[name] = column
    return found


def _trial_name(file: str) -> str:
    return re.sub(r"\W+", "_", file.rpartition(".")[0] or file).strip("_") or "trial"
