"""RevMan: review files of version 5 (``.rm5``), its CSV of analyses, and that of RevMan Web."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from lxml import etree

from backpain_analysis.importing.grid import Grid, check_regular, refused
from backpain_analysis.importing.headers import spoken, time_of, two_groups
from backpain_analysis.importing.mapping import UNDECIDED
from backpain_analysis.importing.sheets import (
    Guess,
    author_year,
    outcome_columns,
    parallel,
    population_source,
    start,
    texts_of,
    treatment_fields,
    value,
    words_of,
)

COLUMNS = (
    *("study", "year", "comparison", "group 1", "group 2", "outcome", "subgroup", "effect measure"),
    *("mean 1", "sd 1", "events 1", "n 1", "mean 2", "sd 2", "events 2", "n 2"),
    *("estimate", "log estimate", "se"),
)
"""Columns of the grid of a RevMan 5 file; a row a study's data in an outcome."""

_DATA = {
    "MEAN_1": "mean 1",
    "SD_1": "sd 1",
    "EVENTS_1": "events 1",
    "TOTAL_1": "n 1",
    "MEAN_2": "mean 2",
    "SD_2": "sd 2",
    "EVENTS_2": "events 2",
    "TOTAL_2": "n 2",
    "ESTIMATE": "estimate",
    "SE": "se",
}
_KINDS = {"CONT": ("mean", "sd", "n"), "DICH": ("events", "n"), "IV": ("estimate", "se")}
_RATIOS = {"RR": "rr", "OR": "or", "HR": "hr", "PETO_OR": "or"}
_WEB = {
    "study": "study",
    "study year": "year",
    "analysis group": "comparison",
    "analysis name": "outcome",
    "subgroup": "subgroup",
    "experimental mean": "mean 1",
    "experimental sd": "sd 1",
    "experimental cases": "events 1",
    "experimental n": "n 1",
    "control mean": "mean 2",
    "control sd": "sd 2",
    "control cases": "events 2",
    "control n": "n 2",
    "giv mean": "estimate",
    "giv se": "se",
}
_WEB_KINDS = {
    name: next((kind for kind in ("giv", "cases", "n") if kind in name.split()), "mean")
    for name, column in _WEB.items()
    if column[-1] in "12" or name.startswith("giv")
}
"""Of the columns of RevMan Web, those of figures: for which kind of data."""


def read_rm5(path: Path) -> Grid:
    """The analysis data of a RevMan 5 file, a row a study in an outcome.

    Entities are not expanded, nothing outside the file is read.

    Raises
    ------
    EvidenceError
        If it is no RevMan file, or holds no analysis data.
    """
    check_regular(path)
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_pis=True
    )
    try:
        tree = etree.parse(path, parser)
    except etree.XMLSyntaxError as error:
        rule = f"not readable as XML ({' '.join(str(error).split())[:200]})"
        raise refused(path.name, rule, "Export the review from RevMan again.") from error
    if tree.docinfo.internalDTD is not None and tree.docinfo.internalDTD.entities():
        hint = "A review file of RevMan has none; export it again."
        raise refused(path.name, "the file defines entities, which are not read", hint)
    if tree.getroot().tag != "COCHRANE_REVIEW":
        raise refused(path.name, "not a RevMan 5 file", "Give the .rm5 file of a review.")
    rows: dict[int, list[str]] = {}
    places = {}
    for number, (place, row) in enumerate(_data_of(tree.getroot()), start=2):
        rows[number] = [row.get(column, "") for column in COLUMNS]
        places[number] = place
    if not rows:
        raise refused(path.name, "no data of analyses", "Give a review with data and analyses.")
    title = tree.findtext(".//COVER_SHEET/TITLE") or ""
    return Grid(path.name, None, (1,), COLUMNS, rows, around=(title,), places=places)


def _data_of(root: Any) -> Iterator[tuple[str, dict[str, str]]]:
    studies = {study.get("ID"): study for study in root.iter("STUDY")}
    for comparison in root.iter("COMPARISON"):
        for outcome in comparison:
            if not isinstance(outcome.tag, str) or not outcome.tag.endswith("_OUTCOME"):
                continue
            kind = outcome.tag.removesuffix("_OUTCOME")
            for data in outcome.iter(f"{kind}_DATA"):
                parent = data.getparent()
                study = studies.get(data.get("STUDY_ID"))
                row = {
                    "study": _name(study, data.get("STUDY_ID")),
                    "year": "" if study is None else study.get("YEAR", ""),
                    "comparison": _text(comparison, "NAME"),
                    "outcome": _text(outcome, "NAME"),
                    "subgroup": _text(parent, "NAME") if parent is not outcome else "",
                    "effect measure": outcome.get("EFFECT_MEASURE", ""),
                }
                groups = _groups(comparison, outcome)
                row["group 1"], row["group 2"] = groups
                wanted = _KINDS.get(kind, ())
                for attribute, column in _DATA.items():
                    if column.split()[0] in wanted:
                        row[column] = data.get(attribute, "")
                if row["effect measure"].upper() in _RATIOS and "estimate" in row:
                    row["log estimate"] = row.pop("estimate")
                number = f"{comparison.get('NO', '?')}.{outcome.get('NO', '?')}"
                yield f"analysis {number}, {row['study']}", row


def _groups(comparison: Any, outcome: Any) -> tuple[str, str]:
    """Names of the two groups: of the comparison where it names two, else of the outcome."""
    labels = (_text(outcome, "GROUP_LABEL_1"), _text(outcome, "GROUP_LABEL_2"))
    return two_groups(_text(comparison, "NAME")) or labels


def _text(element: Any, tag: str) -> str:
    found = element.find(tag)
    return "" if found is None else " ".join("".join(found.itertext()).split())


def _name(study: Any, identifier: str | None) -> str:
    return (identifier or "") if study is None else study.get("NAME", identifier or "")


_ANALYSES = {
    "mean 1": "mean 1",
    "sd 1": "sd 1",
    "events 1": "events 1",
    "total 1": "n 1",
    "mean 2": "mean 2",
    "sd 2": "sd 2",
    "events 2": "events 2",
    "total 2": "n 2",
    "effect estimate": "estimate",
    "se": "se",
}
_TYPES = {"DIC": _KINDS["DICH"], "CON": _KINDS["CONT"], "GIV": _KINDS["IV"]}


def holds_analyses(grid: Grid) -> bool:
    """Whether a grid is the CSV of "data and analyses" that RevMan 5 exports."""
    known = {spoken(column) for column in grid.columns}
    return {"comparison number", "outcome number", "subgroup number", "data type"} <= known


def of_analyses(grid: Grid) -> Grid:
    """The same rows as of an ``.rm5`` file: a row a study in an outcome.

    Rows of comparisons, outcomes and subgroups stand above the studies they hold. RevMan prints
    zeros where a kind of data has no such figure, so only the figures of its kind are taken. The
    estimates of generic data are of ratios, their SEs of logarithms: those are left.
    """
    places = {spoken(column): place for place, column in enumerate(grid.columns)}
    rows: dict[int, list[str]] = {}
    comparison, outcome, subgroup = "", {"": ""}, ("", "")
    for number, cells in grid.rows.items():
        told = {name: cells[place].strip() for name, place in places.items()}
        group = told["subgroup number"]
        if told["outcome number"] in ("", "0"):
            comparison = told["name"]
        elif told["data type"]:
            outcome, subgroup = told, ("", "")
        elif group not in ("", "0") and group != subgroup[0]:
            subgroup = (group, told["name"])
        else:
            row = {"study": told["name"], "year": told.get("year of study", "")}
            row |= {"comparison": comparison, "outcome": outcome["name"]}
            row |= {"subgroup": subgroup[1] if group == subgroup[0] else ""}
            row["effect measure"] = outcome.get("effect measure", "")
            row["group 1"], row["group 2"] = two_groups(comparison) or (
                *(outcome.get("group label 1", ""), outcome.get("group label 2", "")),
            )
            wanted = _TYPES.get(outcome["data type"], ())
            if wanted == _KINDS["IV"] and row["effect measure"] in _RATIOS:
                wanted = ()
            for name, column in _ANALYSES.items():
                if column.split()[0] in wanted:
                    row[column] = told.get(name, "")
            rows[number] = [row.get(column, "") for column in COLUMNS]
    if not rows:
        raise refused(grid.file, "no data of analyses", "Export the data and analyses again.")
    return Grid(
        *(grid.file, grid.sheet, grid.header_rows, COLUMNS, rows),
        places={number: f"row {number}" for number in rows},
    )


def of_web(grid: Grid) -> Grid:
    """RevMan Web's rows, without the zeros that stand where a kind of data has no such figure.

    The kind of an analysis is that of the figures which are not zero in any of its studies.
    """
    places = {spoken(column): place for place, column in enumerate(grid.columns)}
    kinds = {places[name]: kind for name, kind in _WEB_KINDS.items() if name in places}
    heads = [places[name] for name in ("analysis group", "analysis number") if name in places]
    rows = {number: list(cells) for number, cells in grid.rows.items()}
    told: dict[tuple[str, ...], set[str]] = {}
    for cells in rows.values():
        own = {kind for place, kind in kinds.items() if cells[place].strip("0. ")}
        told.setdefault(tuple(cells[place] for place in heads), set()).update(own)
    for cells in rows.values():
        there = told[tuple(cells[place] for place in heads)] - {"n"}
        for place, kind in kinds.items():
            absent = there == {"giv"} if kind == "n" else bool(there) and kind not in there
            if absent and not cells[place].strip("0. "):
                cells[place] = ""
    return replace(grid, rows=rows)


def is_revman(grid: Grid) -> bool:
    """Whether a grid is that of a RevMan file, or RevMan Web's CSV."""
    return grid.columns == COLUMNS or is_web(grid)


def is_web(grid: Grid) -> bool:
    """Whether a grid is the CSV of RevMan Web."""
    return {"analysis name", "study", "experimental n"} <= set(map(spoken, grid.columns))


def guess_revman(grid: Grid) -> Guess:
    """A mapping of RevMan's data: two arms a row, named by the comparison."""
    if grid.columns == COLUMNS:
        of = {column: column for column in COLUMNS if any(grid.column(column))}
    else:
        of = {
            _WEB[spoken(column)]: column
            for column in grid.columns
            if spoken(column) in _WEB and any(grid.column(column))
        }
    content = start(grid)
    if grid.columns == COLUMNS:
        del content["header_rows"]
    content["ids"] = {"trial_id": of["study"]}
    assumed: list[str] = []
    trial: dict[str, Any] = {
        "population": population_source(grid, assumed),
        "design": parallel(assumed),
    }
    if "year" in of:
        trial["year"] = of["year"]
    trial |= author_year(grid, of["study"], *trial)
    if "author_year" not in trial:
        trial["first_author"] = of["study"]
    arms, outcomes = [], []
    common = _common(grid, of)
    for number in ("1", "2"):
        name = of.get(f"group {number}")
        arm: dict[str, Any] = {"arm_id": name or value(f"a{number}")}
        if name:
            arm |= {"arm_label": name, **treatment_fields(grid, name)}
        elif number == "1":
            arm["exercise_type"] = value(UNDECIDED)
        else:
            arm |= {"exercise_type": value("none"), "comparator_type": value(UNDECIDED)}
        arms.append(arm)
        for stat, kind in (("mean", "level"), ("events", "events")):
            if f"{stat} {number}" in of:
                row = {"arm_id": arm["arm_id"], **common, "value_type": value(kind)}
                row |= {"n": of[f"n {number}"], stat: of[f"{stat} {number}"]}
                if stat == "mean":
                    row["sd"] = of[f"sd {number}"]
                outcomes.append(row)
    if "group 1" not in of:
        assumed.append("every study has two arms, a1 with exercise and a2 without")
    assumed.append("values are final values, not changes (value_type)")
    tables: dict[str, Any] = {"trials": [trial], "arms": arms}
    if outcomes:
        tables["outcomes"] = outcomes
    if "estimate" in of and "effect measure" not in of:
        told = "estimates are differences; of ratios they are logarithms: name them log_estimate"
        assumed.append(told)
    contrasts = [
        _contrast(grid, of, name, arms, common)
        for name in ("estimate", "log estimate")
        if name in of
    ]
    if contrasts:
        tables["contrasts"] = contrasts
    return Guess({**content, "tables": tables}, assumed)


def _common(grid: Grid, of: dict[str, str]) -> dict[str, Any]:
    """Outcome, instrument, scale, time and note of a row."""
    fields = outcome_columns(grid, of["outcome"], grid.around)
    figures = [of[name] for name in of if name[-1] in "12" and "group" not in name]
    figures += [of[name] for name in ("estimate", "log estimate") if name in of]
    told = set()
    for column in figures:
        cells = zip(grid.column(of["outcome"]), grid.column(column), strict=True)
        told |= {outcome for outcome, cell in cells if cell}
    for source in fields.values():  # outcomes without figures need no decision
        source["words"] |= dict.fromkeys(set(source["words"]) - told, "")
    column = of.get("subgroup", of["outcome"])
    times = {text: time_of(text) for text in texts_of(grid, column)}
    if not any(label for label, _ in times.values()):
        column = of["outcome"]
        times = {text: time_of(text) for text in texts_of(grid, column)}
    if any(label for label, _ in times.values()):
        labels = {text: label or "post" for text, (label, _) in times.items()}
        fields["timepoint_label"] = words_of(column, labels, otherwise="post")
        fields["timepoint_weeks"] = words_of(
            column, {text: weeks for text, (_, weeks) in times.items()}, otherwise=""
        )
    else:
        fields["timepoint_label"] = value("post")
    if "subgroup" in of:
        fields["note"] = of["subgroup"]
    return fields


def _contrast(
    grid: Grid, of: dict[str, str], name: str, arms: list[dict[str, Any]], common: dict[str, Any]
) -> dict[str, Any]:
    row = {"arm_id": arms[0]["arm_id"], "ref_arm_id": arms[1]["arm_id"], **common}
    known = _RATIOS if name == "log estimate" else {"MD": "md", "SMD": "smd"}
    column = of.get("effect measure")
    if column:
        texts = [text for text in texts_of(grid, column) if text.upper() in known]
        words = {text: known[text.upper()] for text in texts}
        row["effect_measure"] = words_of(column, words, otherwise="")
    else:
        row["effect_measure"] = value(UNDECIDED)
    return row | {name.replace(" ", "_"): of[name], "se": of["se"]}
