"""How a sheet becomes tables: a file that is guessed, shown, edited and kept.

A mapping names, for each table, what one row of the sheet gives: a list of rows of the table, each
with its fields, and where each field comes from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_serializer, model_validator

from backpain_analysis.evidence.faults import EvidenceError, Fault
from backpain_analysis.evidence.schema import PARTICIPANT_TABLES, TABLES, table_spec, vocabulary
from backpain_analysis.words import did_you_mean

UNDECIDED = "?"
"""Stands where the mapping needs a decision of its reader."""

RESULTS = "results"
"""Stands in ``common`` for outcomes and contrasts together."""

DERIVED = {
    "trials": ("author_year",),
    "outcomes": ("summary", "sd", "se", "interval"),
    "contrasts": ("log_estimate", "summary", "se", "variance", "interval"),
}
"""Fields of a mapping that fill several columns of a table.

``author_year``: "Smith et al. 2019". ``summary``: a value with its spread in one cell.
``interval``: both limits in one cell. ``sd`` and ``se`` of outcomes fill ``dispersion`` and
``dispersion_type``; ``se`` and ``variance`` of contrasts give the 95% limits, of a
``log_estimate`` on the scale of the ratio.
"""

_HEAD = """\
# How {file} becomes tables. Edit it, and import again with the same command.
# 'common' holds fields that are alike in all rows of a table.
# A field is the name of a column of the sheet, or has several parts:
#   column     where it comes from
#   value      the same for every row, instead of a column
#   words      what a text of the column means here; 'otherwise' is for all other texts
#   spread     of summary and interval: sd, se, ci95, iqr or range
#   from_row   first: the column's cell in the first row of the trial
#   also       of an id: a further column, whose text is added to it
# 'summary' is a value with its spread in one cell, such as 12.3 (4.5).
# A question mark must be decided.
"""


class Source(BaseModel):
    """Where a field comes from."""

    model_config = ConfigDict(extra="forbid")

    column: str | None = None
    value: str | None = None
    words: dict[str, str] = {}
    otherwise: str | None = None
    spread: Literal["sd", "se", "ci95", "iqr", "range", "?"] | None = None
    from_row: Literal["own", "first"] = "own"
    also: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, given: object) -> object:
        return {"column": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _one_origin(self) -> Source:
        if (self.column is None) == (self.value is None):
            raise ValueError("give either column or value")
        return self

    @model_serializer
    def _short(self) -> str | dict[str, Any]:
        parts = {
            name: part
            for name in type(self).model_fields
            if (part := getattr(self, name)) not in (None, {}, "own")
        }
        return self.column if list(parts) == ["column"] and self.column else parts

    def undecided(self) -> bool:
        """Whether a part of it is a question mark."""
        return UNDECIDED in (self.value, self.otherwise, self.spread, *self.words.values())


Row = dict[str, Source]


class Mapping(BaseModel):
    """How the rows of one sheet become rows of tables.

    Attributes
    ----------
    sheet
        Of a workbook; by default the one with the most cells.
    header_rows
        Rows that name the columns; names of several are joined.
    decimal
        How decimals are written.
    missing
        Words that stand for a missing value, besides the usual ones.
    keep
        Only rows that hold one of these texts in this column are imported.
    ids
        ``trial_id``, and ``participant_id`` for tables of participants.
    common
        By table, the fields that are alike in all of its rows below; those of ``results`` are
        of outcomes and contrasts.
    tables
        By table, the rows that a row of the sheet gives.
    """

    model_config = ConfigDict(extra="forbid")

    sheet: str | None = None
    header_rows: list[int] | None = None
    decimal: Literal[".", ","] = "."
    missing: list[str] = []
    keep: dict[str, list[str]] = {}
    ids: Row
    common: dict[str, Row] = {}
    tables: dict[str, list[Row]]

    @model_validator(mode="after")
    def _known_names(self) -> Mapping:
        known = self.known_tables
        for part, names in (("common", self.common), ("tables", self.tables)):
            for table in names:
                if table not in known and (part, table) != ("common", RESULTS):
                    raise ValueError(f"{part}: no {table!r}. {did_you_mean(table, known)}")
        wanted = ["trial_id"] if known is TABLES else ["trial_id", "participant_id"]
        if sorted(self.ids) != sorted(wanted):
            raise ValueError(f"ids must be {' and '.join(wanted)}")
        for place, source in self.sources():
            if source.also is not None and (not place.startswith("ids.") or source.column is None):
                raise ValueError(f"{place}: 'also' adds to the column of an id")
        for place, table, row in self._parts():
            columns = [*table_spec(table).columns, *DERIVED.get(table, ())]
            if place == f"common.{RESULTS}":
                columns = [name for name in columns if name in table_spec("contrasts").columns]
            for field, source in row.items():
                if field not in columns:
                    raise ValueError(f"{place}: no {field!r}. {did_you_mean(field, columns)}")
                if field in DERIVED.get(table, ()) and source.column is None:
                    raise ValueError(f"{place}.{field}: name its column")
                self._check_words(f"{place}.{field}", table, field, source)
        return self

    @property
    def known_tables(self) -> tuple[str, ...]:
        """The tables of trials, or of participants."""
        return PARTICIPANT_TABLES if "scores" in self.tables else TABLES

    def rows(self) -> Iterator[tuple[str, Row]]:
        """Every row that the mapping gives: its table, its fields with the common ones."""
        for table, rows in self.tables.items():
            shared = self.common.get(RESULTS, {}) if table in ("outcomes", "contrasts") else {}
            for row in rows:
                yield table, {**shared, **self.common.get(table, {}), **row}

    def _parts(self) -> Iterator[tuple[str, str, Row]]:
        """Fields as they are written down, with place and table."""
        for table, row in self.common.items():
            yield f"common.{table}", "outcomes" if table == RESULTS else table, row
        for table, rows in self.tables.items():
            for number, row in enumerate(rows, start=1):
                place = f"tables.{table}" + (f" {number}" if len(rows) > 1 else "")
                yield place, table, row

    def sources(self) -> Iterator[tuple[str, Source]]:
        """Every source with its place in the mapping."""
        for name, source in self.ids.items():
            yield f"ids.{name}", source
        for place, _, row in self._parts():
            for name, source in row.items():
                yield f"{place}.{name}", source

    def columns(self) -> set[str]:
        """The columns of the sheet that the mapping takes."""
        named = {name for _, source in self.sources() for name in (source.column, source.also)}
        return {name for name in named if name} | set(self.keep)

    def undecided(self) -> list[str]:
        """What must be decided before anything is imported, by place in the mapping."""
        nothing = []
        if not {"outcomes", "contrasts", "scores"} & set(self.tables):
            told = "no column is known as a result; say which are (outcomes, or contrasts)"
            nothing = [f"tables: {told}"]
        words: dict[tuple[str, str], list[str]] = {}
        plain: dict[tuple[str, str], list[str]] = {}
        for place, source in self.sources():
            part, _, name = place.rpartition(".")
            texts = [text for text, word in source.words.items() if word == UNDECIDED]
            if texts:
                asked = f"of {', '.join(map(repr, texts[:8]))}?"
                words.setdefault((part, asked), []).append(name)
            elif source.undecided():
                table, _, number = part.partition(" ")
                plain.setdefault((table, name), []).append(number)
        return [
            *nothing,
            *(f"{part}: {', '.join(names)} {asked}" for (part, asked), names in words.items()),
            *(
                f"{' '.join([table, *filter(None, [', '.join(numbers)])])}.{name}: "
                f"{_QUESTIONS.get(name, '?')}"
                for (table, name), numbers in plain.items()
            ),
        ]

    @staticmethod
    def _check_words(place: str, table: str, field: str, source: Source) -> None:
        words = vocabulary(table, field) if field in table_spec(table).columns else ()
        if not words:
            return
        own = [source.value, source.otherwise, *source.words.values()]
        for word in own:
            free = "other" in words and str(word).startswith("other: ")
            if word and word != UNDECIDED and word not in words and not free:
                raise ValueError(f"{place}: no {word!r}. {did_you_mean(word, words)}")


_QUESTIONS = {
    "population": "who took part? See backpain data words population",
    "scale_min": "the lowest possible value of the instrument ('' if it has none)?",
    "scale_max": "the highest possible value of the instrument ('' if it has none)?",
    "instrument": "which instrument? See backpain data words instrument",
    "outcome": "which outcome? See backpain data words outcome",
    "higher_is_better": "is a higher value better: yes or no?",
    "summary": "what stands beside the value: sd, se, ci95, iqr or range?",
    "interval": "what are the limits: ci95, iqr or range?",
    "arm_id": "which arm: a1, a2, or the column that names it (in arms, too)?",
    "ref_arm_id": "the arm that this one is compared with: its arm_id, or a column that names it?",
    "trial_id": "which column names the trial, or what is the trial called?",
    "comparator_type": "what did they get? See backpain data words comparator_type",
    "effect_measure": "md, smd, rr, or, hr?",
    "end_week": "how many weeks was the programme?",
    "exercise_type": "which exercise? See backpain data words exercise_type",
    "week": "which week since the start?",
}


def read_mapping(file: Path) -> Mapping:
    """Read a mapping.

    Every text is taken as it is written: `yes`, `1` and `2020-01-01` are text.

    Raises
    ------
    EvidenceError
        If it is no mapping; it names every place that is wrong.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
        content = yaml.load(text, _TextLoader)
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise _wrong(file, [f"not readable as YAML ({said})"]) from error
    try:
        return Mapping.model_validate(content)
    except ValidationError as error:
        raise _wrong(file, [_told(fault) for fault in error.errors()]) from error


def mapping_text(mapping: Mapping, file: str) -> str:
    """A mapping as the text of a file, with a word on how to edit it."""
    content = mapping.model_dump(exclude_defaults=True)
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
    return _HEAD.format(file=" ".join(file.split())) + text


def _told(fault: Any) -> str:
    place = ".".join(str(part) for part in fault["loc"])
    said = fault["msg"].removeprefix("Value error, ").rstrip(".")
    return f"{place + ': ' if place else ''}{said}"


def _wrong(file: Path, told: list[str]) -> EvidenceError:
    hint = "Mend the mapping, or remove the file to have it guessed again."
    return EvidenceError([Fault(None, file.name, None, None, None, rule, hint) for rule in told])


class _TextLoader(yaml.BaseLoader):
    """Every scalar is text; keys are distinct, and nothing refers to anything."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias (*) has no place in a mapping")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict:
        counts = Counter(str(key.value) for key, _ in node.value)
        if twice := [name for name, count in counts.items() if count > 1]:
            raise yaml.YAMLError(f"{twice[0]!r} stands twice")
        return super().construct_mapping(node, deep=deep)
