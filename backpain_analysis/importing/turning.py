"""From a grid and its mapping to tables, with a report of every cell: read, turned or left."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import pandas as pd
import scipy

from backpain_analysis.datasets.datapackage import Field
from backpain_analysis.evidence.faults import EvidenceError, Fault
from backpain_analysis.evidence.reading import MISSING
from backpain_analysis.evidence.schema import table_spec
from backpain_analysis.importing import values
from backpain_analysis.importing.grid import HEADING, Grid
from backpain_analysis.importing.mapping import DERIVED, Row, Source
from backpain_analysis.importing.mapping import Mapping as SheetMapping
from backpain_analysis.words import did_you_mean, plural, shortened

REPORT = (
    *("row", "cell", "column", "text", "what", "table", "table_row", "field", "became", "why"),
)
"""Columns of the import report; a row a cell and a use that was made of it."""

_ALIKE = {"trials", "arms", "interventions", "participants"}
"""Tables of which several rows of the sheet may speak of the same row."""

_VALUES = {
    "outcomes": ("mean", "events"),
    "contrasts": ("estimate", "p_value"),
    "appraisals": ("judgement",),
    "scores": ("value",),
}
"""Without one of these, a row of the sheet gives none of the table."""

_TOTAL = re.compile(
    r"(sub ?|grand )?totals?\b.*|overall\b.*|pooled\b.*|(weighted )?(mean|average)s?( \(.*\))?"
    r"|median|heterogeneity\b.*|test for .*|i ?[2²]\b.*|(random|fixed)[ -]effects? model.*|summary"
)
"""What stands where trials have their names, in rows that sum them up."""

_Z = float(scipy.special.ndtri(0.975))


class Imported(NamedTuple):
    """Tables of text by name, and the report."""

    tables: dict[str, pd.DataFrame]
    report: pd.DataFrame

    def counts(self) -> str:
        """What was done, in a line."""
        told = self.report.drop_duplicates(["row", "column", "what"])["what"].value_counts()
        rows = ", ".join(f"{len(table):,} {name}" for name, table in self.tables.items())
        cells = ", ".join(f"{told.get(what, 0):,} {what}" for what in ("read", "turned", "left"))
        return f"{rows or 'no rows'}; of the cells {cells}"

    def left(self) -> list[str]:
        """Why cells were left, the most frequent reason first, each with its columns."""
        left = self.report[self.report["what"] == "left"]
        groups = left.groupby("why", sort=False)
        told = []
        for why, rows in sorted(groups, key=lambda group: -len(group[1])):
            columns = list(dict.fromkeys(rows["column"]))
            more = f" and {len(columns) - 4} more columns" if len(columns) > 4 else ""
            first = f"{rows['cell'].iloc[0]} {shortened(rows['text'].iloc[0], 40)!r}"
            told.append(
                f"{plural(len(rows), 'cell')} ({', '.join(columns[:4])}{more}; {first}): {why}"
            )
        return told


@dataclass
class _Line:
    row: int
    place: int
    text: str
    what: str
    table: str = ""
    field: str = ""
    became: str = ""
    why: str = ""
    table_row: int | None = None
    dropped: bool = False


@dataclass
class _Out:
    """The rows of one table as they grow."""

    rows: list[dict[str, str]] = field(default_factory=list)
    known: dict[tuple, int] = field(default_factory=dict)


def turn(grid: Grid, mapping: SheetMapping) -> Imported:
    """Turn the rows of a sheet into tables.

    Raises
    ------
    EvidenceError
        If the mapping is not decided, or names a column or leaves a text that the sheet has not;
        it says all of it at once.
    """
    faults = [
        Fault(None, grid.file, None, None, None, "not decided in the mapping", told, grid.sheet)
        for told in mapping.undecided()
    ]
    faults += _unknown_columns(grid, mapping)
    if faults:
        raise EvidenceError(faults, grid.file)
    work = _Turning(grid, mapping)
    for row in grid.rows:
        work.row(row)
    if work.strange:
        raise EvidenceError(list(work.strange.values()), grid.file)
    tables = {
        name: pd.DataFrame(out.rows, columns=_columns(name, out.rows), dtype="str")
        for name, out in work.out.items()
        if out.rows
    }
    return Imported(tables, work.report())


def unused_columns(grid: Grid, mapping: SheetMapping) -> list[str]:
    """The columns that hold something and that no field of a mapping takes."""
    used = mapping.columns()
    return [c for c in grid.columns if c not in used and any(grid.column(c))]


def _unknown_columns(grid: Grid, mapping: SheetMapping) -> list[Fault]:
    named = [(place, source.column) for place, source in mapping.sources() if source.column]
    named += [(place, source.also) for place, source in mapping.sources() if source.also]
    named += [("keep", column) for column in mapping.keep]
    return [
        Fault(
            *(None, grid.file, grid.header_rows[-1], column, None),
            f"the sheet has no such column (mapping, {place})",
            did_you_mean(column, grid.columns),
            grid.sheet,
        )
        for place, column in named
        if column not in grid.columns
    ]


def _columns(name: str, rows: list[dict[str, str]]) -> list[str]:
    there = {column for row in rows for column in row}
    return [column for column in table_spec(name).columns if column in there]


class _Turning:
    def __init__(self, grid: Grid, mapping: SheetMapping) -> None:
        self.grid, self.mapping = grid, mapping
        self.mapping_rows = list(mapping.rows())
        self.missing = {"", *MISSING, *mapping.missing}
        self.columns = grid.columns
        self.places = {column: place for place, column in enumerate(grid.columns)}
        self.out = {name: _Out() for name in mapping.known_tables}
        self.lines: list[_Line] = []
        self.strange: dict[tuple[str, str], Fault] = {}
        self.first: dict[str, int] = {}
        self.last_ids: dict[str, str] = {}
        self.words: dict[int, dict[str, str]] = {}
        self.spelling: dict[tuple[str, str], str] = {}

    def row(self, number: int) -> None:
        """Turn one row of the sheet."""
        start = len(self.lines)
        cells = self.grid.rows[number]
        if number in self.grid.notes:
            self._leave(number, set(), "a note below the table")
            return
        if number in self.grid.headings:
            self._leave(number, set(), "a heading of the rows below it")
            if HEADING in self.mapping.columns():
                self.lines[-1].what, self.lines[-1].became = "read", self.lines[-1].text
            return
        for column, kept in self.mapping.keep.items():
            own = cells[self.places[column]]
            if own not in kept:
                self._leave(number, set(), f"row not kept: {column} is {own!r}")
                return
        ids = {name: self._id(number, name, source) for name, source in self.mapping.ids.items()}
        if not all(ids.values()):
            self._leave(number, set(), f"the row has no {next(n for n, t in ids.items() if not t)}")
            return
        trial = ids["trial_id"]
        if _TOTAL.fullmatch(_alike(trial.replace("_", " "))):
            self._leave(number, set(), "a total or a summary, not a trial")
            return
        self.first.setdefault(trial, number)
        gave = [self._table_row(number, table, fields, ids) for table, fields in self.mapping_rows]
        if not any(gave):
            del self.lines[start:]
            self._leave(number, set(), "the row gives no row of a table")
            return
        used = {line.place for line in self.lines[start:]}
        self._leave(number, used, "no field of the mapping takes this column")

    def _id(self, number: int, name: str, source: Source) -> str:
        """An identifier; where its cell is empty, that of the row above."""
        taken = self._take(number, "", name, source)
        if source.also is not None and taken:
            further = self._take(number, "", name, Source(column=source.also))
            taken = "_".join(filter(None, [taken, further]))
        if taken:
            taken = self._spelt("", taken)
            if name == "trial_id":
                self.last_ids = {}
            self.last_ids[name] = taken
        elif name == "trial_id" and any(self.grid.rows[number][1:]):
            taken = self.last_ids.get(name, "")
        return taken

    def _spelt(self, within: str, name: str) -> str:
        """An identifier as it was first spelt: "Yoga" and "yoga" are one."""
        return self.spelling.setdefault((within, name.casefold()), name)

    def _table_row(self, number: int, table: str, fields: Row, ids: Mapping[str, str]) -> bool:
        """Whether the row of the sheet gives a row of the table."""
        start = len(self.lines)
        derived = DERIVED.get(table, ())
        found = {name: ids[name] for name in ids if name in table_spec(table).columns}
        for name, source in fields.items():
            if name not in derived:
                found[name] = self._take(number, table, name, source)
                if name in ("arm_id", "ref_arm_id"):
                    found[name] = self._spelt(ids["trial_id"], found[name])
        for name in derived:
            if name in fields:
                self._derive(number, table, name, fields[name], found)
        if table == "arms":
            self._note_ranges(start, found)
        own = self.lines[start:]
        found.pop("log", None)
        spec = table_spec(table)
        keys = [name for name in spec.unique if table in _ALIKE and spec.field(name).required]
        keys += ["arm_id"] if table in ("outcomes", "contrasts") else []
        needed = _VALUES.get(table, ())
        if not all(found.get(name) for name in keys):
            self._drop(start, table, [name for name in keys if not found.get(name)])
            return False
        if needed and not any(found.get(name) for name in needed):
            self._drop(start, table, needed)
            return False
        if table == "contrasts" and found.get("arm_id") == found.get("ref_arm_id"):
            for line in own:
                line.what, line.became = "left", ""
                line.why, line.dropped = "the arm is its own reference", True
            return False
        if table == "outcomes":
            found.setdefault("value_type", "events" if found.get("events") else "level")
        row = self._add(table, found, own)
        for line in own:
            line.table_row = row + 2
        return True

    def _drop(self, start: int, table: str, needed: Sequence[str]) -> None:
        """Take back what was read for a row that is not given: what was there is left."""
        for line in self.lines[start:]:
            if line.what != "left" and line.became:
                line.what, line.became = "left", ""
                line.why = f"no {' or '.join(needed)} beside it for {table}"
                line.dropped = True

    def _add(self, table: str, found: dict[str, str], lines: list[_Line]) -> int:
        """The place of the row in its table: a new one, or one that is there."""
        out, spec = self.out[table], table_spec(table)
        found = {name: text for name, text in found.items() if text}
        if table not in _ALIKE:
            key: tuple = tuple(sorted(found.items()))
        else:
            key = tuple(found.get(name) for name in spec.unique)
        if (place := out.known.get(key)) is None:
            out.known[key] = len(out.rows)
            out.rows.append(found)
            return len(out.rows) - 1
        known = out.rows[place]
        for name, text in found.items():
            if name == "note" and text not in known.get(name, text):
                known[name] = f"{known[name]}; {text}"
            elif known.setdefault(name, text) != text and name != "note":
                for line in lines:
                    if line.field == name:
                        line.what, line.became = "left", ""
                        line.why = f"another row of it says {known[name]}"
        return place

    def _take(self, number: int, table: str, name: str, source: Source) -> str:
        """The text of a field; what was done with its cell is noted."""
        if source.column is None:
            return source.value or ""
        place = self.places[source.column]
        row = number
        if source.from_row == "first":
            row = self.first.get(self.last_ids.get("trial_id", ""), number)
        line = self._line(row, place, table, name)
        if line is None:
            return source.otherwise or ""
        if source.words or source.otherwise is not None:
            word = self._word(source, line.text)
            if word is None:
                self._strange(row, table, name, source.column, line.text)
                return ""
            return self._became(line, word, "" if word else "the mapping says to leave it out")
        spec = _spec(table, name)
        try:
            became, why = _field_text(spec, line.text, self.mapping.decimal)
        except values.Unclear as unclear:
            return self._unclear(line, unclear)
        return self._became(line, became, why)

    def _derive(
        self, number: int, table: str, name: str, source: Source, found: dict[str, str]
    ) -> None:
        """Fill the columns that a derived field gives."""
        assert source.column is not None, "a derived field has a column"
        line = self._line(number, self.places[source.column], table, name)
        if line is None:
            return
        try:
            given, why = _DERIVE[name](line.text, source.spread or "", self.mapping.decimal, found)
        except values.Unclear as unclear:
            self._unclear(line, unclear)
            return
        if table == "contrasts":
            given = {_OF_CONTRASTS.get(column, column): text for column, text in given.items()}
            if given.pop("dispersion_type", "") not in ("", "ci95") or given.pop("dispersion", ""):
                self._unclear(line, values.Unclear("a difference has a 95% interval beside it"))
                return
            if "ci_low" in given:
                found.setdefault("ci_level", "95")
        elif given.get("dispersion_type") in ("iqr", "range") and found.get("value_type") in (
            None,
            "level",
        ):
            given["value_type"] = "median"
        for column, text in given.items():
            if text and (column != "n" or not found.get("n")):
                found[column] = text
        told = ", ".join(f"{column} {text}" for column, text in given.items() if text)
        self._became(line, told, why)

    def _line(self, row: int, place: int, table: str, name: str) -> _Line | None:
        """A line of the report for a cell; None, and noted, where the cell holds nothing."""
        text = self.grid.rows[row][place]
        line = _Line(row, place, text, "left", table, name)
        if (row, place) in self.grid.problems:
            line.why = self.grid.problems[row, place]
            self.lines.append(line)
            return None
        if text in self.missing:
            if text:
                line.what, line.why = "turned", "a word for a missing value"
                self.lines.append(line)
            return None
        self.lines.append(line)
        return line

    def _became(self, line: _Line, became: str, why: str = "") -> str:
        line.what = "read" if became == line.text else "turned"
        line.became, line.why = became, why
        above = self.grid.merged.get((line.row, line.place))
        if above is not None:
            told = "the heading in" if self.columns[line.place] == HEADING else "merged with"
            line.what = "turned"
            line.why = f"{told} row {above}" + (f"; {why}" if why else "")
        return became

    def _unclear(self, line: _Line, unclear: values.Unclear) -> str:
        line.what, line.why = "left", str(unclear)
        return ""

    def _word(self, source: Source, text: str) -> str | None:
        """What a text means by the words of a source."""
        if id(source) not in self.words:
            self.words[id(source)] = {_alike(key): word for key, word in source.words.items()}
        return self.words[id(source)].get(_alike(text), source.otherwise)

    def _strange(self, row: int, table: str, name: str, column: str, text: str) -> None:
        """A text for which the mapping has no word."""
        rule = f"the mapping has no word for it (tables.{table}, {name})"
        hint = "Add it to words, or give otherwise."
        fault = Fault(None, self.grid.file, row, column, text, rule, hint, self.grid.sheet)
        self.strange.setdefault((f"{table}.{name}", text), fault)

    def _note_ranges(self, start: int, found: dict[str, str]) -> None:
        told = [
            f"{line.field} {line.text} taken as {line.became}"
            for line in self.lines[start:]
            if "the middle of" in line.why
        ]
        if told:
            found["note"] = "; ".join([*filter(None, [found.get("note")]), *told])

    def _leave(self, number: int, used: set[int], why: str) -> None:
        for place, text in enumerate(self.grid.rows[number]):
            if self.grid.merged.get((number, place)) == number or self.columns[place] == HEADING:
                continue
            problem = self.grid.problems.get((number, place))
            if (text or problem) and place not in used:
                self.lines.append(_Line(number, place, text, "left", why=problem or why))

    def report(self) -> pd.DataFrame:
        """What became of every cell that holds something."""
        columns = self.grid.columns
        used = {(line.row, line.place) for line in self.lines if line.what != "left"}
        rows = [
            (
                *(line.row, self.grid.cell_place(line.row, line.place), columns[line.place]),
                *(line.text, line.what, line.table, line.table_row, line.field),
                *(line.became, line.why),
            )
            for line in self.lines
            if not (line.dropped and (line.row, line.place) in used)
        ]
        frame = pd.DataFrame(rows, columns=list(REPORT)).astype({"table_row": "Int64"})
        return frame.drop_duplicates(ignore_index=True)


@cache
def _spec(table: str, name: str) -> Field | None:
    return table_spec(table).field(name) if table else None


def _alike(text: str) -> str:
    return " ".join(text.casefold().split())


def _field_text(spec: Field | None, text: str, decimal: str) -> tuple[str, str]:
    """A cell as the text of a field, and what was done to it."""
    if spec is None or spec.name.endswith("_id"):
        return re.sub(r"\s+", "_", re.sub(r"^(\d+)\.0+$", r"\1", text)), ""
    if spec.kind != "string":
        unit = spec.unit or ""
        exact = unit.startswith(
            ("instrument", "as estimate", "participants", "year", "weeks since")
        )
        if spec.kind == "integer" and (whole := values.thousands(text, decimal)):
            return whole, "without the marks of thousands"
        if exact or not unit:
            return values.number(text, decimal), ""
        return values.dose(text, unit, decimal)
    if spec.vocabulary:
        return next((word for word in spec.vocabulary if _alike(word) == _alike(text)), text), ""
    if spec.name == "p_value":
        found = re.sub(r"^[pP]\s*(?:-?value)?\s*[=:]?\s*", "", values.plain(text, decimal))
        if spec.pattern and not re.fullmatch(spec.pattern, found):
            raise values.Unclear("not a P value")
        return found, ""
    if spec.name == "doi":
        return re.sub(r"^(?:https?://(?:dx\.)?doi\.org/|doi:?\s*)", "", text), ""
    return text, ""


_Given = tuple[dict[str, str], str]


def _author_year(text: str, spread: str, decimal: str, found: dict[str, str]) -> _Given:
    match = values.AUTHOR_YEAR.fullmatch(text)
    if not match:
        raise values.Unclear("not an author and a year")
    given = {"first_author": match[1].strip(), "year": match[2]}
    return {name: part for name, part in given.items() if not found.get(name)}, ""


def _summary(text: str, spread: str, decimal: str, found: dict[str, str]) -> _Given:
    read = values.summary(text, spread, decimal)
    given = {"mean": read.value, "dispersion_type": read.spread, "dispersion": read.single}
    return {**given, "lower": read.low, "upper": read.high, "n": read.n}, ""


def _interval(text: str, spread: str, decimal: str, found: dict[str, str]) -> _Given:
    low, high = values.interval(text, decimal)
    return {"dispersion_type": spread, "lower": low, "upper": high}, ""


def _sd(text: str, spread: str, decimal: str, found: dict[str, str]) -> _Given:
    return {"dispersion_type": "sd", "dispersion": values.number(text, decimal)}, ""


def _se(text: str, spread: str, decimal: str, found: dict[str, str]) -> _Given:
    if "effect_measure" not in found:
        return {"dispersion_type": "se", "dispersion": values.number(text, decimal)}, ""
    return _limits(float(values.number(text, decimal)), found)


def _variance(text: str, spread: str, decimal: str, found: dict[str, str]) -> _Given:
    variance = float(values.number(text, decimal))
    if variance < 0:
        raise values.Unclear("a variance below zero")
    return _limits(math.sqrt(variance), found)


def _limits(se: float, found: dict[str, str]) -> _Given:
    """95% limits of an estimate, or of its exponential where its logarithm is given."""
    logs = "log" in found
    centre = found.get("log") or found.get("estimate")
    if not centre:
        raise values.Unclear("no estimate beside it")
    low, high = (float(centre) + sign * _Z * se for sign in (-1, 1))
    if logs:
        low, high = math.exp(low), math.exp(high)
    return {"lower": f"{low:.12g}", "upper": f"{high:.12g}"}, (
        f"95% limits: {'exponential of ' if logs else ''}{centre} ± {_Z:.6f} × {se:.6g}"
    )


def _log_estimate(text: str, spread: str, decimal: str, found: dict[str, str]) -> _Given:
    log = values.number(text, decimal)
    found["log"] = log
    return {"mean": f"{math.exp(float(log)):.12g}"}, f"exponential of {log}"


_OF_CONTRASTS = {"mean": "estimate", "lower": "ci_low", "upper": "ci_high"}

_DERIVE: dict[str, Callable[[str, str, str, dict[str, str]], _Given]] = {
    "author_year": _author_year,
    "log_estimate": _log_estimate,
    "summary": _summary,
    "interval": _interval,
    "sd": _sd,
    "se": _se,
    "variance": _variance,
}
