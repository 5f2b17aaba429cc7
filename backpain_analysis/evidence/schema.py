"""The shape of the trial and participant tables, built from their ``datapackage.json``."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pandas as pd
import pandera.pandas as pa

from backpain_analysis.datasets.bundled import data_dir
from backpain_analysis.datasets.datapackage import Field, Table, read_datapackage

TABLES = ("trials", "arms", "outcomes", "contrasts", "appraisals")
PARTICIPANT_TABLES = ("interventions", "scores", "participants")

OTHER = r"other: \S.{0,99}"
"""How a word of one's own is written where a vocabulary has ``other``."""

UNKNOWN_WORD = "unknown word"
TOO_LOW = "below the smallest possible value"
TOO_HIGH = "above the largest possible value"
MALFORMED = "not written as it should be"


def table_spec(name: str) -> Table:
    """Columns, keys and vocabularies of one of the tables."""
    folder = "participants" if name in PARTICIPANT_TABLES else "trials"
    return read_datapackage(data_dir() / folder).tables[name]


def vocabulary(table: str, column: str) -> tuple[str, ...]:
    """The words a column may hold, in their order; empty where any text may stand."""
    return table_spec(table).field(column).vocabulary


@cache
def table_schema(name: str) -> pa.DataFrameSchema:
    """The pandera schema of one of the tables: types, ranges, words, patterns, keys.

    Further columns are allowed. Every failure carries one of this module's phrases as message.
    """
    spec = table_spec(name)
    return pa.DataFrameSchema(
        {field.name: _column(field) for field in spec.fields},
        unique=list(spec.unique),
        report_duplicates="exclude_first",
        name=name,
    )


def typed(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """A validated table with its columns in order and its ordered vocabularies as categoricals."""
    spec = table_spec(name)
    further = [column for column in frame.columns if column not in spec.columns]
    frame = frame[[*spec.columns, *further]].reset_index(drop=True)
    for field in spec.fields:
        if field.ordered:
            words = pd.CategoricalDtype(field.vocabulary, ordered=True)
            frame[field.name] = frame[field.name].astype(words)
    return frame


def empty_table(name: str) -> pd.DataFrame:
    """The table without rows, with its columns and their types."""
    columns = {field.name: pd.Series(dtype=field.dtype) for field in table_spec(name).fields}
    return typed(pd.DataFrame(columns), name)


def _known(vocabulary: tuple[str, ...]) -> Callable[[pd.Series], pd.Series]:
    """Whether cells are words of a vocabulary; one with ``other`` takes ``other: free text``."""

    def known(cells: pd.Series) -> pd.Series:
        found = cells.isin(vocabulary)
        if "other" in vocabulary and not found.all():
            found |= cells.str.fullmatch(OTHER)
        return found

    return known


def _column(field: Field) -> pa.Column:
    checks = []
    if field.vocabulary:
        checks.append(pa.Check(_known(field.vocabulary), error=UNKNOWN_WORD))
    if field.minimum is not None:
        checks.append(pa.Check.ge(field.minimum, error=TOO_LOW))
    if field.exclusive_minimum is not None:
        checks.append(pa.Check.gt(field.exclusive_minimum, error=TOO_LOW))
    if field.maximum is not None:
        checks.append(pa.Check.le(field.maximum, error=TOO_HIGH))
    if field.pattern is not None:
        checks.append(pa.Check.str_matches(rf"^(?:{field.pattern})\Z", error=MALFORMED))
    return pa.Column(field.dtype, checks, nullable=not field.required)
