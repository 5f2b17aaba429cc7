"""What is wrong with a user's tables, said so that it can be put right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

_SHOWN = 100


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
    """

    table: str | None
    file: str | None
    row: int | None
    column: str | None
    value: str | None
    rule: str
    hint: str

    def __str__(self) -> str:
        of_table = self.file and self.table and Path(self.file).stem != self.table
        file = f"{self.file}, {self.table}" if of_table else self.file or self.table
        row = f"row {self.row}" if self.row else None
        cell = f"{self.column} = {self.value!r}" if self.value is not None else self.column
        place = ", ".join(part for part in (file, row, cell) if part)
        return f"{place}: {self.rule}. {self.hint}"


class EvidenceError(ValueError):
    """The input cannot be used as evidence; `faults` holds every reason found.

    Attributes
    ----------
    faults : list of Fault
        In the order of tables and rows.
    """

    def __init__(self, faults: Sequence[Fault], path: str | Path | None = None) -> None:
        self.faults = list(faults)
        self.path = None if path is None else str(path)
        super().__init__(self._message())

    def __reduce__(self) -> tuple:
        return type(self), (self.faults, self.path)

    def _message(self) -> str:
        count = f"{len(self.faults)} fault{'s' if len(self.faults) != 1 else ''}"
        where = f" in {self.path}" if self.path else ""
        lines = [f"- {fault}" for fault in self.faults[:_SHOWN]]
        if len(self.faults) > _SHOWN:
            lines.append(f"- … and {len(self.faults) - _SHOWN} more (all are in .faults)")
        return "\n".join([f"{count}{where}:", *lines])

    def to_frame(self) -> pd.DataFrame:
        """The faults as a table, one row a fault, columns as the attributes of `Fault`."""
        columns = [field.name for field in fields(Fault)]
        frame = pd.DataFrame([asdict(fault) for fault in self.faults], columns=columns)
        return frame.astype({"row": "Int64"})
