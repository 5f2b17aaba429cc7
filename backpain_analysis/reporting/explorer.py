"""What a page lets its readers choose from: read from a notebook's output, and checked."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from backpain_analysis.reporting.schemas import nbformat

MEDIA_TYPE = "application/vnd.backpain.explorer+json"
MOST_CHARACTERS = 5_000_000

Text = Annotated[str, Field(max_length=2000)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0, lt=1e9)]
Limit = float | None
Row = tuple[float, float, float, float, Limit, Limit, Count, Count, Text, Count]
"""Dose, estimate, interval, prediction interval, trials and people about it, certainty, why."""

Point = tuple[float, float, Annotated[float, Field(ge=0)], Text]
"""Dose, effect, standard error, label of a trial."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class _Named(_Strict):
    name: Text
    label: Text


class _Outcome(_Named):
    words: Text
    unit: Text
    axis: Text
    digits: Annotated[int, Field(ge=0, le=6)]
    benefit: Literal[-1, 1]
    mcid: float | None


class _Scale(_Named):
    one: Text
    many: Text
    step: Positive
    about: Positive
    largest: Positive


class _Words(_Strict):
    nobody: Text
    clear: Text
    unclear: Text
    reach: Text
    only: Text
    nearest: Text
    nothing: Text


class _Explored(_Strict):
    choice: tuple[Text, Text, Text, Text]
    said: Text
    verdict: Text
    trials: Count
    participants: Count
    typical: Positive
    studied: Annotated[list[float], Field(min_length=1)]
    rows: list[Row]
    points: list[Point]


class _Explorer(_Strict):
    outcomes: list[_Outcome]
    populations: list[_Named]
    types: list[_Named]
    doses: Annotated[list[_Scale], Field(min_length=1)]
    words: _Words
    reasons: list[Text]
    explored: Annotated[list[_Explored], Field(min_length=1)]


def explored_in(nb: nbformat.NotebookNode) -> str:
    """Return what readers can choose from, as JSON of a known shape; empty if there is nothing.

    Parameters
    ----------
    nb : NotebookNode
        Executed. What an output of `MEDIA_TYPE` holds is checked like what is typed.
    """
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            found = output.get("data", {}).get(MEDIA_TYPE)
            if found is not None:
                return _checked(found)
    return ""


def _checked(content: object) -> str:
    try:
        text = json.dumps(
            content, ensure_ascii=False, separators=(",", ":"), allow_nan=False, sort_keys=True
        )
        if len(text) > MOST_CHARACTERS:
            return ""
        _Explorer.model_validate_json(text)
    except (ValidationError, ValueError, TypeError, RecursionError):
        return ""
    return text
