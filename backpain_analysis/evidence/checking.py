"""From cells of text to validated tables, with every fault found on the way."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from backpain_analysis.datasets.datapackage import Field
from backpain_analysis.evidence.faults import Fault
from backpain_analysis.evidence.reading import NEEDED, RawTable, read_tables
from backpain_analysis.evidence.schema import (
    MALFORMED,
    RULES,
    TABLES,
    TOO_HIGH,
    TOO_LOW,
    UNKNOWN_WORD,
    Rule,
    empty_table,
    table_schema,
    table_spec,
    typed,
)
from backpain_analysis.words import did_you_mean, nearest

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_PLAIN = r"\A-?\d{1,15}(\.\d{1,15})?\z"
_MISSING_WORDS = {"na", "nan", "nr", "none", "null", "nil", "-", "–", "?", "missing"}
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\b")
_IDENTIFIERS = ("trial_id", "arm_id", "ref_arm_id", "participant_id")


def check_evidence(path: str | Path, missing: str | Iterable[str] = ()) -> list[Fault]:
    """Everything that is wrong with a folder or workbook of evidence tables.

    Parameters
    ----------
    path, missing
        As in :func:`load_evidence`. Only read, never written.

    Returns
    -------
    list of Fault
        Empty if the input can be loaded.

    Raises
    ------
    FileNotFoundError
        If there is nothing at `path`.
    """
    return checked_tables(path, missing)[1]


_SPREAD = ("dispersion_type", "dispersion", "lower", "upper")
"""Columns that say one thing: a fault in one of them is not told again of another."""


def checked_tables(
    path: str | Path, missing: str | Iterable[str] = ()
) -> tuple[dict[str, pd.DataFrame], list[Fault]]:
    """The tables of `path`, index = spreadsheet row; none at all if there are faults."""
    raw, faults = read_tables(Path(path), missing=words_of(missing))
    rows = {name: table.cells.index for name, table in raw.items()}
    tables, faults = check_tables(raw, faults)
    return {
        name: frame.set_axis(rows[name]) if name in rows else frame
        for name, frame in tables.items()
    }, faults


def words_of(words: str | Iterable[str]) -> tuple[str, ...]:
    """One word or several as a tuple."""
    return (words,) if isinstance(words, str) else tuple(words)


def check_tables(
    raw: Mapping[str, RawTable],
    faults: list[Fault],
    names: Sequence[str] = TABLES,
    rules: Sequence[Rule] = RULES,
    checked: Mapping[str, pd.DataFrame] | None = None,
) -> tuple[dict[str, pd.DataFrame], list[Fault]]:
    """Type and check tables of text.

    Parameters
    ----------
    raw
        The tables that could be read.
    faults
        What reading found already.
    names, rules
        The tables there may be, and what must hold within and between them.
    checked
        Tables that have been checked already.

    Returns
    -------
    tables : dict of DataFrame
        All tables of `names`, an absent one without rows; none at all if there are faults.
    faults : list of Fault
        Those given and those found, by table and row.
    """
    faults = list(faults)
    tables = {}
    for name in names:
        if name in raw:
            own = replace(raw[name], cells=_with_plain_ids(raw[name].cells))
            frame, found = _check_columns(own)
            frame, unreadable = _coerce(frame, own)
            tables[name] = frame
            found += unreadable
            faults += found
            faults += _schema_faults(frame, own, found)
        else:
            tables[name] = (checked or {}).get(name, empty_table(name))
    faults += _without_rows(raw)
    told = {(fault.table, fault.row, fault.column) for fault in faults}
    columns = {(table, column) for table, _, column in told}
    spreads = {(table, row) for table, row, column in told if column in _SPREAD}
    for rule in rules:
        for fault in rule(tables):
            of_column = fault.row is None and (fault.table, fault.column) in columns
            of_spread = fault.column in _SPREAD and (fault.table, fault.row) in spreads
            if not (of_column or of_spread or (fault.table, fault.row, fault.column) in told):
                own = raw[fault.table or ""]
                faults.append(replace(fault, file=own.file, sheet=own.sheet))
    if not faults:
        return {name: typed(frame, name) for name, frame in tables.items()}, []
    order = {name: place for place, name in enumerate(names)}
    faults.sort(key=lambda fault: (order.get(fault.table or "", -1), fault.row or 0))
    return {}, faults


def _with_plain_ids(cells: pd.DataFrame) -> pd.DataFrame:
    """Cells in which the identifier 1.0, as spreadsheets and pandas write it, is 1."""
    ids = {
        name: cells[name].str.replace(r"^(\d+)\.0+$", r"\1", regex=True)
        for name in cells
        if name in _IDENTIFIERS
    }
    return cells.assign(**ids) if ids else cells


def _check_columns(raw: RawTable) -> tuple[pd.DataFrame, list[Fault]]:
    """The cells with every known column; faults of missing and of misspelt columns."""
    spec, cells = table_spec(raw.name), raw.cells
    absent = [field for field in spec.fields if field.name not in cells]
    faults = []
    for column in cells.columns.difference(spec.columns):
        if meant := nearest(column, [field.name for field in absent], cutoff=0.8):
            hint = f"Did you mean {meant!r}? A column of your own needs a name less like it."
            place = (raw.name, raw.file, None, column, None)
            faults.append(Fault(*place, "unknown column", hint, raw.sheet))
    for field in absent:
        if field.required:
            rule, hint = "required column is missing", field.description
            faults.append(Fault(raw.name, raw.file, None, field.name, None, rule, hint, raw.sheet))
    missing = pd.DataFrame({field.name: pd.NA for field in absent}, cells.index, dtype="str")
    return pd.concat([cells, missing], axis="columns"), faults


def _coerce(cells: pd.DataFrame, raw: RawTable) -> tuple[pd.DataFrame, list[Fault]]:
    """Numbers from text; a cell that is no number becomes missing, and a fault."""
    frame, faults = cells.copy(), []
    for field in table_spec(raw.name).fields:
        if field.kind == "string":
            continue
        text = cells[field.name]
        if raw.decimal == ",":
            text = text.str.replace(r"^([+-]?\d*),(\d+)$", r"\1.\2", regex=True)
        numbers = _numbers(text)
        for row, cell in text[text.notna() & numbers.isna()].items():
            place = (raw.name, raw.file, row, field.name, cell)
            faults.append(Fault(*place, "not a number", as_number(cell), raw.sheet))
        if field.kind == "integer":
            fraction, huge = numbers % 1 > 0, numbers.abs() >= 2**53
            for rule, which in ((TOO_HIGH, huge), ("not a whole number", fraction & ~huge)):
                for row, cell in text[which].items():
                    place = (raw.name, raw.file, row, field.name, cell)
                    faults.append(Fault(*place, rule, field.description, raw.sheet))
            numbers = numbers.mask(fraction | huge)
        frame[field.name] = numbers.astype(field.dtype)
    return frame, faults


def _numbers(text: pd.Series) -> pd.Series:
    """What `number` gives for each cell, of a whole column where every cell holds a number."""
    cells = pa.array(text, pa.string())
    try:
        if pc.all(pc.match_substring_regex(cells, _PLAIN)).as_py():
            numbers = cells.cast(pa.float64()).to_numpy(zero_copy_only=False)
            return pd.Series(numbers, text.index, dtype="float64")
    except pa.ArrowException:
        pass
    return pd.Series([number(cell) for cell in text], text.index, dtype="float64")


def number(cell: object) -> float:
    """The number a cell holds, NaN where it holds none."""
    if not isinstance(cell, str) or not _NUMBER.fullmatch(cell):
        return math.nan
    number = float(cell)
    return number if math.isfinite(number) else math.nan


def as_number(text: str) -> str:
    """How a cell that is no number should be written."""
    if text.lower() in _MISSING_WORDS:
        return "Leave the cell empty where the value is missing, or name the word as missing."
    if _DATE.match(text):
        return "A spreadsheet took it for a date. Format the cell as text and write it again."
    plain = text.replace("−", "-").replace("–", "-").replace(",", ".")
    if not math.isnan(number(plain)):
        return f"Write {plain}."
    return "Give one number with a decimal point and no unit, e.g. 12.5, or leave the cell empty."


def _schema_faults(frame: pd.DataFrame, raw: RawTable, known: list[Fault]) -> Iterator[Fault]:
    """Failures of the pandera schema as faults, without repeating those known already."""
    from pandera.errors import SchemaErrors

    try:
        table_schema(raw.name).validate(frame, lazy=True)
        return
    except SchemaErrors as error:
        cases = error.failure_cases
    spec = table_spec(raw.name)
    told = {(fault.row, fault.column) for fault in known} | raw.faulty
    failed = cases.drop_duplicates(["column", "check", "index"])
    texts = {
        column: raw.cells[column].astype(object).to_dict()
        for column in set(failed["column"]) & set(raw.cells.columns)
    }
    explained = cache(lambda check, column, text: _explained(check, spec.field(column), text))
    twice = set()
    for column, check, row in failed[["column", "check", "index"]].itertuples(index=False):
        if check == "multiple_fields_uniqueness":
            twice.add(row)
        elif (row, column) not in told and (None, column) not in told:
            value = texts.get(column, {}).get(row)
            text = None if pd.isna(value) else str(value)
            yield Fault(
                raw.name, raw.file, row, column, text, *explained(check, column, text), raw.sheet
            )
    if twice:
        yield from _repeated(frame, raw, twice)


def _repeated(frame: pd.DataFrame, raw: RawTable, twice: set[int]) -> Iterator[Fault]:
    """Rows with the key of a row above them; a row whose key is not whole repeats none."""
    spec = table_spec(raw.name)
    keys = list(spec.unique)
    whole = frame[[key for key in keys if spec.field(key).required]].notna().all(axis=1)
    first = frame.index.to_series().groupby([frame[key] for key in keys], dropna=False)
    column = keys[-1] if keys[-1].endswith("_id") else None
    broken = whole & whole.index.isin(twice)
    above = first.transform("first")[broken]
    values = frame.loc[broken, column] if column else [None] * len(above)
    for (row, other), value in zip(above.items(), values, strict=True):
        hint = f"Row {other} has the same {', '.join(keys)}. Keep one of them."
        place = (raw.name, raw.file, row, column, value)
        yield Fault(*place, "row is there twice", hint, raw.sheet)


def _explained(check: str, field: Field, value: str | None) -> tuple[str, str]:
    """Rule and hint of a failed check."""
    unit = f" {field.unit}" if field.unit else ""
    if check == UNKNOWN_WORD:
        own = " Or write 'other: …' in words of your own." if "other" in field.vocabulary else ""
        return check, did_you_mean(value, field.vocabulary) + own
    if check == TOO_LOW and field.exclusive_minimum is not None:
        return check, f"It must be above {field.exclusive_minimum:g}{unit}."
    if check == TOO_LOW:
        return check, f"It must be at least {field.minimum:g}{unit}."
    if check == TOO_HIGH:
        return check, f"It must be at most {field.maximum:g}{unit}."
    if check == MALFORMED:
        return check, field.description
    if check == "not_nullable":
        return "required value is missing", field.description
    return check, field.description


def _without_rows(raw: Mapping[str, RawTable]) -> Iterator[Fault]:
    """Every needed table has rows, and so has one table of results."""
    bare = [name for name, table in raw.items() if table.cells.empty]
    for name in NEEDED:
        if name in bare:
            hint = "Add a row below the column names."
            place = (name, raw[name].file, None, None, None)
            yield Fault(*place, "the table has no rows", hint, raw[name].sheet)
    results = [name for name in ("outcomes", "contrasts") if name in raw]
    if results and set(results) <= set(bare):
        name = results[0]
        rule, hint = "no results", "outcomes or contrasts needs a row."
        yield Fault(name, raw[name].file, None, None, None, rule, hint, raw[name].sheet)
