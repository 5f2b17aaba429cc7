"""The commands ``backpain data``: start from a template, import, check, describe.

Each command imports what it needs when it runs, so that help comes at once.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from backpain_analysis.console import one_message, terminal_table

if TYPE_CHECKING:
    import pandas as pd

    from backpain_analysis.evidence.faults import Fault

data = typer.Typer(
    no_args_is_help=True,
    help="Start your own tables, import what you have, check it; look at the bundled evidence.",
)

_SHOWN = 20
"""Warnings of a kind that are printed."""

Missing = Annotated[
    list[str] | None,
    typer.Option("--missing", metavar="WORD", help="A word that means a missing value."),
]


@data.command("template")
def template(
    path: Annotated[Path, typer.Argument(help="A new .xlsx workbook; with --csv a new folder.")],
    participants: Annotated[
        bool, typer.Option("--participants", help="Tables of participants, not of trials.")
    ] = False,
    csv: Annotated[bool, typer.Option("--csv", help="CSV files instead of a workbook.")] = False,
) -> None:
    """Write tables to fill in: headers, a made-up example, drop-down lists, a codebook.

    For example:

    * `backpain data template my-trials.xlsx`
    * `backpain data template my-participants --participants --csv`
    """
    with _told():
        from backpain_analysis.importing import write_template

        print(write_template(path, participants=participants, as_csv=csv))


@data.command("import")
def import_(
    path: Annotated[Path, typer.Argument(help="A workbook, CSV, TSV or RevMan 5 (.rm5) file.")],
    mapping: Annotated[
        Path | None,
        typer.Option("--map", help="How it is turned (YAML). Written if it is not there yet."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A new folder for the tables.")] = None,
    sheet: Annotated[str | None, typer.Option(help="Of a workbook, until --map says it.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the folder of an earlier import.")
    ] = False,
) -> None:
    """Make tables of a file of another shape: guess how, show it, let it be edited, do it.

    A first run guesses a mapping and says what must be decided; edit its file, and run the same
    command again. The folder gets the tables, the mapping, and import_report.csv with every cell
    that was read, turned or left. Exit code 1 says that something is to be decided or put right.

    For example:

    * `backpain data import extraction.xlsx`
    * `backpain data import extraction.xlsx --map mapping.yml --out my-trials/`
    * `backpain data import review.rm5 --map mapping.yml --out my-trials/`
    """
    with _told():
        from backpain_analysis import importing

        if mapping is not None and mapping.exists():
            chosen = importing.read_mapping(mapping)
            grid = importing.read_source(path, chosen)
        else:
            grid = importing.read_source(path, sheet=sheet)
            form, guess = importing.guess_mapping(grid)
            chosen = guess.mapping
            print(f"{path}: {form}, {len(grid.rows):,} rows. The mapping is guessed.")
            text = importing.mapping_text(chosen, path.name)
            if mapping is not None:
                mapping.write_text(text, encoding="utf-8")
                print(f"It is in {mapping}: look at it, edit it, and run the same again.")
            else:
                print(f"Keep it with --map mapping.yml, and edit it there:\n\n{text}")
            for told in guess.assumed:
                print(f"Assumed: {told}.")
            if unused := importing.unused_columns(grid, chosen):
                print(f"Columns that are not used: {', '.join(unused)}.")
            if grid.others:
                print(f"Sheets that are not read: {', '.join(grid.others)}.")
        if undecided := chosen.undecided():
            print("To be decided:")
            for told in undecided:
                print(f"- {told}")
            raise typer.Exit(1)
        turned = importing.turn(grid, chosen)
        print(f"{turned.counts()}.")
        reasons = turned.left()
        for told in reasons[:_SHOWN]:
            print(f"- left: {told}")
        if len(reasons) > _SHOWN:
            print(f"- … and {len(reasons) - _SHOWN} more reasons (all in the import report)")
        if out is None:
            print("Nothing is written without --out.")
            return
        print(importing.write_imported(turned, chosen, path.name, out, force=force))
    check(out)


@data.command("words")
def words(
    column: Annotated[str | None, typer.Argument(help="By default the columns are listed.")] = None,
) -> None:
    """List the words a column may hold.

    For example:

    * `backpain data words`
    * `backpain data words exercise_type`
    """
    with _told():
        from backpain_analysis.evidence.schema import vocabularies
        from backpain_analysis.words import did_you_mean

        known = vocabularies()
        if column is None:
            rows = ([name, len(found), ", ".join(found[:4])] for name, found in known.items())
            Console().print(
                terminal_table("Columns with words", ["column", "words", "such as"], rows)
            )
            return
        name = column.rpartition(".")[2].strip()
        if name not in known:
            raise ValueError(f"no column {column!r} with words. {did_you_mean(name, known)}")
    for word in known[name]:
        print(word)
    if "other" in known[name]:
        print("other: words of your own")


@data.command("check")
def check(
    path: Annotated[Path, typer.Argument(help="A folder of CSV or Parquet tables, or an XLSX.")],
    told: Annotated[
        Literal["text", "csv", "json", "html"], typer.Option("--format", help="How to tell it.")
    ] = "text",
    mark: Annotated[
        Path | None, typer.Option(help="Write a copy with what was found coloured, as .xlsx.")
    ] = None,
    missing: Missing = None,
) -> None:
    """Check your own tables of trials, or of participants: say everything that is wrong or odd.

    Faults keep tables from being used (exit code 1); warnings say what may be wrong.

    For example:

    * `backpain data check my-trials/`
    * `backpain data check my-trials.xlsx --mark marked.xlsx`
    * `backpain data check my-participants/ --missing NR --format csv > faults.csv`
    """
    with _told():
        from backpain_analysis.evidence.checking import checked_tables
        from backpain_analysis.evidence.participants_checking import (
            check_participants,
            holds_participants,
        )
        from backpain_analysis.evidence.plausibility import no_doubts, plausibility

        doubts = no_doubts()
        if holds_participants(path):
            faults = check_participants(path, missing or ())
        else:
            tables, faults = checked_tables(path, missing or ())
            doubts = plausibility(tables) if tables else doubts
        if mark is not None:
            from backpain_analysis.importing.workbooks import write_marked

            write_marked(path, faults, doubts, mark)
        _tell(path, faults, doubts, told)
    if faults:
        raise typer.Exit(1)


@data.command("describe")
def describe(
    path: Annotated[Path | None, typer.Argument(help="By default the bundled evidence.")] = None,
    missing: Missing = None,
) -> None:
    """Count what the evidence, or a set of participants, holds.

    For example:

    * `backpain data describe`
    * `backpain data describe my-trials/`
    * `backpain data describe my-participants/`
    """
    with one_message():
        from backpain_analysis.evidence.evidence import load_evidence
        from backpain_analysis.evidence.participants import load_participants
        from backpain_analysis.evidence.participants_checking import holds_participants

        found: Any
        if path is not None and holds_participants(path):
            found = load_participants(path, missing=missing or ())
            counts = found.summary()
        else:
            found = load_evidence(path, missing=missing or ())
            counts = found.describe()
    print(f"{found.name}, version {found.version or 'not given'}")
    print(f"content {found.content_hash}\n")
    Console().print(terminal_table("Counts", list(counts), counts.itertuples(index=False)))


@data.command("cite")
def cite(
    path: Annotated[Path | None, typer.Argument(help="By default the bundled evidence.")] = None,
    form: Annotated[
        Literal["bib", "ris"], typer.Option("--as", help="BibTeX, or RIS for Zotero and the like.")
    ] = "bib",
) -> None:
    """Print the references of all trials, and with the bundled evidence of all reviews.

    For example:

    * `backpain data cite > exercise.bib`
    * `backpain data cite my-trials/ --as ris > my-trials.ris`
    """
    with one_message():
        from backpain_analysis.reporting.references import bibtex, of_reviews, of_trials, ris

        references = of_trials(path) if path else [*of_trials(None), *of_reviews()]
    print((bibtex if form == "bib" else ris)(references), end="")


def _tell(path: Path, faults: list[Fault], doubts: pd.DataFrame, form: str) -> None:
    from backpain_analysis.evidence.faults import findings, spreadsheet_text

    if form == "text":
        _tell_in_words(path, faults, doubts)
        return
    table = findings(faults, doubts)
    if form == "json":
        rows = table.astype(object).where(table.notna(), None).to_dict("records")
        json.dump({"path": str(path), "found": rows}, sys.stdout, indent=1, ensure_ascii=False)
        print()
    elif form == "csv":
        table = table.map(spreadsheet_text, na_action="ignore")
        print(table.to_csv(index=False), end="")
    else:
        from backpain_analysis.display import html_table

        title = f"{path}: {_counts(faults, doubts)}"
        print(f'<!DOCTYPE html>\n<meta charset="utf-8">\n{html_table(table, title=title)}')


def _tell_in_words(path: Path, faults: list[Fault], doubts: pd.DataFrame) -> None:
    from backpain_analysis.evidence.faults import by_kind, in_words

    print(f"{path}: {_counts(faults, doubts)}")
    for kind in by_kind(faults):
        for line in in_words(kind):
            print(f"- {line}")
    if doubts.empty:
        return
    print("\nWarnings, to look at in the reports:")
    for kind, group in doubts.groupby("kind", sort=False):
        for doubt in group.head(_SHOWN).itertuples():
            rows = doubt.rows.split(", ")
            row = ("rows " if len(rows) > 1 else "row ") + ", ".join(rows[:5])
            more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
            place = f"{doubt.trial_id}, {doubt.table} {row}{more}"
            look = doubt.look[:1].lower() + doubt.look[1:]
            print(f"- {place}: {kind}. {doubt.arithmetic}. To look at: {look}")
        if len(group) > _SHOWN:
            print(f"- … and {len(group) - _SHOWN:,} more: {kind} (all with --format csv)")
    print("A warning that was looked at and is right: write its kind into 'checked' of trials.")


def _counts(faults: list[Fault], doubts: pd.DataFrame) -> str:
    from backpain_analysis.words import plural

    told = plural(len(faults), "fault") if faults else "no faults"
    return f"{told}, {plural(len(doubts), 'warning')}" if len(doubts) else told


def _told():
    """As `one_message`, and for wrong arguments."""
    return one_message(ValueError)
