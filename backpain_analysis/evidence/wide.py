"""Wide exports (one column a visit, as REDCap writes them) as long scores."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from backpain_analysis.evidence.checking import as_number, number
from backpain_analysis.evidence.faults import EvidenceError, Fault, as_frame
from backpain_analysis.evidence.reading import MISSING
from backpain_analysis.evidence.schema import vocabulary
from backpain_analysis.words import did_you_mean

PATTERNS = (
    "week_{week}_{score}",
    "week{week}_{score}",
    "{score}_week_{week}",
    "{score}_week{week}",
)
"""How columns of visits may be named by default, without regard to case."""

_EXAMPLE = "Name columns of visits like week_4_pain, or say how they are named by pattern."


class _Visit(NamedTuple):
    column: object
    week: float
    score: str


def reshape_wide(
    table: pd.DataFrame,
    instruments: Mapping[str, str],
    *,
    id_columns: Sequence[str] = ("trial_id", "participant_id"),
    pattern: str | None = None,
    scales: Mapping[str, tuple[float, float]] | None = None,
) -> pd.DataFrame:
    """Long scores from a wide table: ``week_0_pain``, ``week_4_pain``, … become rows.

    Parameters
    ----------
    table
        One row a participant.
    instruments
        The instrument of each score named in the columns: ``{"pain": "NRS"}``. Scores that are
        not named here are left out.
    id_columns
        Columns that say whose scores they are. ``trial_id`` may be absent; ``record_id``, as
        REDCap has it, stands for an absent ``participant_id``.
    pattern
        How columns of visits are named: ``"v{week}_{score}"``. By default any of `PATTERNS`.
    scales
        Lowest and highest possible value of a score: ``{"pain": (0, 10)}``.

    Returns
    -------
    DataFrame
        `id_columns`, ``week``, ``instrument``, ``value`` and, with `scales`, ``scale_min`` and
        ``scale_max``: the table ``scores`` of :meth:`Participants.from_frames`. By participant
        in the order of `table`, then by instrument and week; the value of an empty cell is
        missing. ``attrs["left_out"]`` names the columns of `table` that are not in it.

    Raises
    ------
    EvidenceError
        If a cell is no number, a participant is there twice or has no id, or columns are
        missing; it holds all faults at once. Rows count as in a spreadsheet: the first is row 2.
    ValueError
        If an instrument is not known, or `pattern` lacks ``{week}`` or ``{score}``.

    Examples
    --------
    >>> import pandas as pd
    >>> wide = pd.DataFrame(
    ...     {
    ...         "trial_id": "A",
    ...         "participant_id": [1, 2],
    ...         "week_0_pain": [60, 55],
    ...         "week_4_pain": [40, 50],
    ...     }
    ... )
    >>> bp.reshape_wide(wide, {"pain": "NRS"}).shape
    (4, 5)
    """
    known = vocabulary("scores", "instrument")
    for score, instrument in instruments.items():
        if instrument not in known:
            hint = did_you_mean(instrument, known, limit=len(known))
            raise ValueError(f"instruments[{score!r}]: no {instrument!r}. {hint}")
    instruments = {score.lower(): instrument for score, instrument in instruments.items()}
    scales = scales and {score.lower(): limits for score, limits in scales.items()}
    table = as_frame(table)
    if "participant_id" not in table and "record_id" in table:
        table = table.rename(columns={"record_id": "participant_id"})
    table = table.set_axis(range(2, len(table) + 2))
    ids = [name for name in id_columns if name != "trial_id" or name in table]
    visits = _visits(table, PATTERNS if pattern is None else (pattern,))
    wanted = [visit for visit in visits if visit.score in instruments]
    faults = [*_column_faults(table, ids, visits, instruments), *_cell_faults(table, wanted)]
    if faults := faults + (_id_faults(table, ids) if set(ids) <= set(table) else []):
        raise EvidenceError(faults)
    parts = []
    for column, week, score in wanted:
        part = table[ids].assign(week=week, instrument=instruments[score])
        part["value"] = [number(_text(cell)) for cell in table[column]]
        if scales is not None:
            part["scale_min"], part["scale_max"] = scales.get(score, (float("nan"),) * 2)
        parts.append(part)
    long = pd.concat(parts).rename_axis("row").reset_index()
    long = long.sort_values(["row", "instrument", "week"], kind="stable", ignore_index=True)
    long = long.drop(columns="row")
    used = {*ids, *(visit.column for visit in wanted)}
    long.attrs["left_out"] = [str(column) for column in table.columns if column not in used]
    return long


def _visits(table: pd.DataFrame, patterns: Sequence[str]) -> list[_Visit]:
    """The columns of visits that fit a pattern."""
    found = []
    shapes = [_shape(pattern) for pattern in patterns]
    for column in table.columns:
        for shape in shapes:
            if match := shape.fullmatch(str(column).strip()):
                found.append(_Visit(column, float(match["week"]), match["score"].lower()))
                break
    return found


def _shape(pattern: str) -> re.Pattern[str]:
    if pattern.count("{week}") != 1 or pattern.count("{score}") != 1:
        raise ValueError(f"pattern = {pattern!r}: it must hold {{week}} and {{score}} once each.")
    shape = re.escape(pattern).replace(r"\{week\}", r"(?P<week>-?\d+(?:\.\d+)?)")
    return re.compile(shape.replace(r"\{score\}", r"(?P<score>[^\W\d]\w*?)"), re.IGNORECASE)


def _column_faults(
    table: pd.DataFrame, ids: Sequence[str], visits: list[_Visit], scores: Mapping[str, str]
) -> Iterator[Fault]:
    """Identifiers and scores without a column; visits with two."""
    for name in ids:
        if name not in table:
            hint = did_you_mean(name, table.columns)
            yield Fault("wide", None, None, name, None, "column is missing", hint)
    found = list(dict.fromkeys(visit.score for visit in visits))
    for score in scores:
        if score not in found:
            hint = did_you_mean(score, found) if found else _EXAMPLE
            yield Fault("wide", None, None, score, None, "no column of this score", hint)
    first: dict[tuple[float, str], object] = {}
    for column, week, score in visits:
        if score in scores and first.setdefault((week, score), column) != column:
            rule = f"a second column of {score} in week {week:g}"
            hint = f"The first is {first[week, score]}. Keep one of them."
            yield Fault("wide", None, 1, str(column), None, rule, hint)


def _cell_faults(table: pd.DataFrame, visits: list[_Visit]) -> Iterator[Fault]:
    """Cells that are neither empty nor a number."""
    for visit in visits:
        for row, cell in table[visit.column].items():
            text = _text(cell)
            if text and pd.isna(number(text)):
                place = ("wide", None, row, str(visit.column), text)
                yield Fault(*place, "not a number", as_number(text))


def _id_faults(table: pd.DataFrame, ids: Sequence[str]) -> list[Fault]:
    """Rows without an identifier, and participants with two rows."""
    faults = []
    for name in ids:
        for row in table.index[table[name].isna()]:
            hint = "Say whose scores these are."
            faults.append(Fault("wide", None, row, name, None, "required value is missing", hint))
    person = table[ids[-1]]
    again = table.duplicated(ids) & person.notna()
    first = table.index.to_series().groupby([table[name] for name in ids]).transform("first")
    for row, above in first[again].items():
        hint = f"Row {above:.0f} has the same {', '.join(ids)}: a wide table has one row each."
        faults.append(
            Fault("wide", None, row, ids[-1], str(person[row]), "participant is there twice", hint)
        )
    return faults


def _text(cell: object) -> str:
    text = "" if pd.isna(cell) else str(cell).strip()
    return "" if text in MISSING else text
