"""From participants' tables of text to validated tables, with every fault found on the way."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from backpain_analysis.evidence.checking import check_tables
from backpain_analysis.evidence.exposure import PERSON
from backpain_analysis.evidence.faults import Fault
from backpain_analysis.evidence.participants_rules import PARTICIPANT_RULES
from backpain_analysis.evidence.participants_weeks import (
    DATES,
    Starts,
    Trials,
    in_dates,
    with_weeks,
)
from backpain_analysis.evidence.reading import RawTable, open_workbook, read_tables
from backpain_analysis.evidence.schema import PARTICIPANT_TABLES


def check_participants(path: str | Path) -> list[Fault]:
    """Everything that is wrong with a folder or workbook of participant-level tables.

    Parameters
    ----------
    path
        As in :func:`load_participants`. Only read, never written.

    Returns
    -------
    list of Fault
        Empty if the input can be loaded.

    Raises
    ------
    FileNotFoundError
        If there is nothing at `path`.
    """
    raw, faults = read_tables(Path(path), PARTICIPANT_TABLES)
    return check_participant_tables(raw, faults)[1]


def holds_participants(path: str | Path) -> bool:
    """Whether a folder or workbook has a table ``interventions`` or ``scores``.

    That tells participant-level data from tables of trials before either is checked.
    """
    path, wanted = Path(path), set(PARTICIPANT_TABLES[:2])
    if path.is_dir():
        return any(file.stem in wanted for file in path.iterdir())
    if path.suffix.lower() != ".xlsx" or not path.is_file():
        return False
    book = open_workbook(path, [])
    return book is not None and bool(wanted & set(book.sheetnames))


def check_participant_tables(
    raw: Mapping[str, RawTable], faults: list[Fault]
) -> tuple[dict[str, pd.DataFrame], list[Fault]]:
    """Derive trials and weeks, then type and check tables of text.

    Parameters
    ----------
    raw
        The tables that could be read.
    faults
        What reading found already.

    Returns
    -------
    tables : dict of DataFrame
        ``interventions``, ``scores`` and ``participants``, an absent one without rows; none at
        all if there are faults.
    faults : list of Fault
        Those given and those found, by table and row.
    """
    filled, more = derived(raw)
    tables, found = check_tables(filled, [*faults, *more], PARTICIPANT_TABLES, PARTICIPANT_RULES)
    told = [in_dates(fault, raw) for fault in found]
    return tables, [fault for fault in told if fault is not None]


def derived(raw: Mapping[str, RawTable]) -> tuple[dict[str, RawTable], list[Fault]]:
    """The tables with trials and weeks filled in, and what stood in the way."""
    tables, faults = dict(raw), []
    if "interventions" not in tables or not set(PERSON) <= set(tables["interventions"].cells):
        return tables, faults
    trials = Trials.of(tables["interventions"].cells)
    for name in ("scores", "participants"):
        if name in tables:
            tables[name], found = trials.fill(tables[name])
            faults += found
    starts = Starts.of(tables)
    for name in DATES:
        if name in tables and set(PERSON) <= set(tables[name].cells):
            tables[name], found = with_weeks(tables[name], starts)
            faults += found
    return tables, faults
