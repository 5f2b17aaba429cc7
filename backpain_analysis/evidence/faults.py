"""What is wrong with a user's tables, said so that it can be put right."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

_SHOWN = 100
_NUMBER = re.compile(r"[+-]?[\d.,]+")
_COUNT = re.compile(r" \(\d+ (rows|in this table)\)")
_ROWS_SHOWN = 3


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong in an input.

    Attributes
    ----------
    table
        Name of the table, such as ``arms``; None for the input as a whole.
    file
        Name of the file.
    row
        Row as a spreadsheet numbers it (the header is row 1); None where no row is meant.
    column
        Name of the column; None where no column is meant.
    value
        The offending cell as text; None where no cell is meant.
    rule
        What is wrong.
    hint
        What would be right.
    sheet
        Name of the workbook's sheet; None where the file is no workbook.
    """

    table: str | None
    file: str | None
    row: int | None
    column: str | None
    value: str | None
    rule: str
    hint: str
    sheet: str | None = None

    @property
    def place(self) -> str:
        """File and sheet, or file and table where the file is not named after it."""
        if self.sheet is not None:
            return f"{self.file}, sheet {self.sheet}"
        of_table = self.file and self.table and Path(self.file).stem != self.table
        return f"{self.file}, {self.table}" if of_table else self.file or self.table or ""

    def __str__(self) -> str:
        row = f"row {self.row}" if self.row else None
        cell = f"{self.column} = {self.value!r}" if self.value is not None else self.column
        place = ", ".join(part for part in (self.place, row, cell) if part)
        return f"{place}: {self.rule}. {self.hint}"


class EvidenceError(ValueError):
    """The input cannot be used as evidence; `faults` holds every reason found.

    Attributes
    ----------
    faults : list of Fault
        In the order of tables and rows.

    Examples
    --------
    >>> evidence = bp.load_evidence()
    >>> tables = {
    ...     name: getattr(evidence, name)
    ...     for name in ("arms", "outcomes", "contrasts", "appraisals")
    ... }
    >>> try:
    ...     bp.Evidence.from_frames(trials=evidence.trials.assign(year=-5), **tables)
    ... except bp.EvidenceError as error:
    ...     print(len(error.faults) > 0)
    True
    """

    def __init__(self, faults: Sequence[Fault], path: str | Path | None = None) -> None:
        self.faults = list(faults)
        self.path = None if path is None else str(path)
        super().__init__(self._message())

    def __reduce__(self) -> tuple:
        return type(self), (self.faults, self.path)

    def _message(self) -> str:
        count = f"{len(self.faults):,} fault{'s' if len(self.faults) != 1 else ''}"
        where = f" in {self.path}" if self.path else ""
        kinds = by_kind(self.faults)
        lines = [f"- {line}" for kind in kinds[:_SHOWN] for line in in_words(kind)]
        if rest := sum(len(kind) for kind in kinds[_SHOWN:]):
            lines.append(f"- … and {rest:,} more (all are in .faults)")
        return "\n".join([f"{count}{where}:", *lines])

    def to_frame(self) -> pd.DataFrame:
        """The faults as a table, one row a fault, columns as the attributes of `Fault`."""
        return faults_frame(self.faults)


def faults_frame(faults: Iterable[Fault]) -> pd.DataFrame:
    """Faults as a table, one row a fault, columns as the attributes of `Fault`."""
    columns = [field.name for field in fields(Fault)]
    frame = pd.DataFrame([asdict(fault) for fault in faults], columns=columns)
    return frame.astype({"row": "Int64"})


def findings(faults: Iterable[Fault], doubts: pd.DataFrame) -> pd.DataFrame:
    """Faults and warnings of `plausibility` in one table, all as text."""
    wrong = faults_frame(faults).assign(level="fault")
    wrong["rows"] = wrong["row"].astype("str")
    told = doubts.rename(columns={"look": "hint", "trial_id": "value"}).assign(level="warning")
    told["rule"] = doubts["kind"] + ": " + doubts["arithmetic"]
    columns = ["level", "table", "file", "sheet", "rows", "column", "value", "rule", "hint"]
    table = pd.concat([wrong.reindex(columns=columns), told.reindex(columns=columns)])
    return table.astype("str").reset_index(drop=True)


def spreadsheet_text(text: str) -> str:
    """Text with an apostrophe before it where a spreadsheet program would run it as a formula."""
    runs = text.startswith(("=", "+", "-", "@", "\t", "\r")) and not _NUMBER.fullmatch(text)
    return f"'{text}" if runs else text


def by_kind(faults: Iterable[Fault]) -> list[list[Fault]]:
    """Faults of one rule in one column together, in the order in which each kind comes first."""
    kinds: dict[tuple, list[Fault]] = {}
    for fault in faults:
        rule = _COUNT.sub("", fault.rule)
        kind = (fault.table, fault.file, fault.sheet, fault.column, rule)
        kinds.setdefault(kind, []).append(fault)
    return list(kinds.values())


def in_words(kind: Sequence[Fault]) -> list[str]:
    """A line for each of a few faults of a kind; one for many: how many, and the first rows."""
    first = kind[0]
    if len(kind) <= _ROWS_SHOWN:
        return [str(fault) for fault in kind]
    place = ", ".join(part for part in (first.place, first.column) if part)
    rows = ", ".join(_row(fault) for fault in kind[:_ROWS_SHOWN])
    same = all(fault.hint == first.hint for fault in kind)
    hint = first.hint if same else f"In {_row(first)}: {first.hint}"
    rule = _COUNT.sub("", first.rule)
    return [f"{place}: {rule}, {len(kind):,} times ({rows}, …). {hint}"]


def _row(fault: Fault) -> str:
    row = f"row {fault.row}" if fault.row else "no row"
    return row if fault.value is None else f"{row} {fault.value!r}"


def as_frame(data: Any) -> pd.DataFrame:
    """Data as a pandas table: polars and other frames are converted, and mappings of columns."""
    if isinstance(data, pd.DataFrame):
        return data
    if hasattr(data, "to_pandas"):
        return data.to_pandas()
    if isinstance(data, Mapping):
        return pd.DataFrame(dict(data))
    raise ValueError(f"data is of type {type(data).__name__}: give a DataFrame.")


def need_columns(needed: Sequence[str], data: pd.DataFrame) -> None:
    """Refuse a table without these columns, or with two of one name.

    Raises
    ------
    ValueError
    """
    there, needed = list(data.columns), list(dict.fromkeys(needed))
    missing = [name for name in needed if name not in there]
    if missing:
        raise ValueError(
            f"no column {', '.join(map(repr, missing))}; the data have "
            f"{', '.join(map(str, there))}."
        )
    twice = [name for name in needed if there.count(name) > 1]
    if twice:
        raise ValueError(f"the data have two columns {', '.join(map(repr, twice))}: keep one.")
