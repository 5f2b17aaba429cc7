"""Import a file of another shape: find its format, guess a mapping, turn it, write the tables."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from backpain_analysis.evidence.faults import spreadsheet_text
from backpain_analysis.evidence.schema import PARTICIPANT_TABLES, TABLES
from backpain_analysis.importing import pairs, redcap, revman
from backpain_analysis.importing.grid import Grid, read_grid
from backpain_analysis.importing.mapping import Mapping, mapping_text
from backpain_analysis.importing.sheets import Guess, guess_sheet
from backpain_analysis.importing.turning import Imported, turn

FORMATS: dict[str, tuple[Callable[[Grid], bool], Callable[[Grid], Guess]]] = {
    "RevMan": (revman.is_revman, revman.guess_revman),
    "REDCap": (redcap.is_redcap, redcap.guess_redcap),
    "table of pairs or effects": (pairs.is_pairs, pairs.guess_pairs),
    "dose table": (pairs.is_doses, pairs.guess_doses),
    "extraction sheet": (lambda grid: True, guess_sheet),
}
"""How a source is recognised and its mapping guessed, in the order in which they are tried."""

REPORT_FILE, MAPPING_FILE = "import_report.csv", "mapping.yml"

_OWN = {REPORT_FILE, MAPPING_FILE, *(f"{name}.csv" for name in (*TABLES, *PARTICIPANT_TABLES))}


def read_source(path: str | Path, mapping: Mapping | None = None, sheet: str | None = None) -> Grid:
    """The rows of a file: of RevMan 5 (``.rm5``), a workbook, or CSV.

    Parameters
    ----------
    path
        Only read, never written.
    mapping
        Says which sheet and which header rows.
    sheet
        Of a workbook, where no mapping says it.

    Raises
    ------
    EvidenceError
        If it cannot be read.
    FileNotFoundError
        If there is nothing at `path`.
    """
    path = Path(path)
    if path.suffix.lower() == ".rm5":
        return revman.read_rm5(path)
    if mapping is None:
        grid = read_grid(path, sheet)
    else:
        grid = read_grid(path, mapping.sheet or sheet, mapping.header_rows)
    if revman.is_web(grid):
        return revman.of_web(grid)
    return revman.of_analyses(grid) if revman.holds_analyses(grid) else grid


def guess_mapping(grid: Grid) -> tuple[str, Guess]:
    """The format of a source, and a mapping to begin with.

    What its headers and texts do not say stands as a question mark.
    """
    name = next(name for name, (recognised, _) in FORMATS.items() if recognised(grid))
    return name, FORMATS[name][1](grid)


def import_file(path: str | Path, mapping: Mapping) -> Imported:
    """Turn a file into tables as a mapping says.

    Parameters
    ----------
    path
        A workbook, CSV or ``.rm5`` file; only read, never written.
    mapping
        Decided: without a question mark.

    Returns
    -------
    Imported
        Tables of text, and the report of every cell.

    Raises
    ------
    EvidenceError
        If the file cannot be read, or does not fit the mapping.
    """
    return turn(read_source(path, mapping), mapping)


def write_imported(
    imported: Imported, mapping: Mapping, source: str, folder: str | Path, *, force: bool = False
) -> Path:
    """Write tables as CSV, with the mapping and the import report, to a folder.

    Parameters
    ----------
    imported, mapping
        What was turned, and how.
    source
        Name of the file it came from.
    folder
        A new one. The folder appears whole or not at all.
    force
        Replace a folder of an earlier import, with everything changed in it since.

    Raises
    ------
    FileExistsError
        If there is something at `folder`, and it is not an earlier import to be replaced.
    """
    folder = Path(folder)
    if folder.is_symlink() or folder.exists():
        if not force:
            raise FileExistsError(
                f"{folder} is there already, and is left as it is: name a new folder, or replace "
                "an earlier import with --force."
            )
        names = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
        if folder.is_symlink() or REPORT_FILE not in names or not names <= _OWN:
            raise FileExistsError(f"{folder} holds more than an import: name a new folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, table in imported.tables.items():
            table.to_csv(aside / f"{name}.csv", index=False, lineterminator="\n")
        report = imported.report.copy()
        for column in ("column", "text", "became"):
            report[column] = report[column].map(spreadsheet_text)
        report.to_csv(aside / REPORT_FILE, index=False, lineterminator="\n")
        (aside / MAPPING_FILE).write_text(mapping_text(mapping, source), encoding="utf-8")
        aside.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        aside.rename(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return folder
