"""A first mapping of an extraction sheet: one row a trial, an arm, a contrast or a result.

Also Covidence's extraction CSV, which is such a sheet with a reviewer a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from backpain_analysis.evidence.reading import MISSING
from backpain_analysis.evidence.schema import vocabulary
from backpain_analysis.importing.grid import HEADING, Grid, decimal_of
from backpain_analysis.importing.headers import (
    COUNTED,
    Meaning,
    arm_field_of,
    arm_of,
    direction_of,
    exercise_of,
    field_of,
    is_no_result,
    limits_of,
    meaning_of,
    outcome_of,
    population_of,
    spoken,
    time_of,
    two_groups,
)
from backpain_analysis.importing.mapping import RESULTS, UNDECIDED, Mapping
from backpain_analysis.importing.values import AUTHOR_YEAR, is_value, plain
from backpain_analysis.words import nearest

_MISSING = frozenset(
    "nr|na|n a|n r|not reported|not available|unclear|unknown|none|missing|not stated".split("|")
)

MOST_WORDS = 200
"""Distinct texts of a column for which a mapping lists words."""


@dataclass
class Guess:
    """A mapping, with what was assumed to get it.

    Attributes
    ----------
    content : dict
        As a mapping's file holds it.
    assumed : list of str
    """

    content: dict[str, Any]
    assumed: list[str] = field(default_factory=list)

    @property
    def mapping(self) -> Mapping:
        """The mapping, validated; what rows of a table have in common stands there once."""
        tables = self.content["tables"]
        common = {name: _alike(rows) for name, rows in tables.items() if len(rows) > 1}
        if {"outcomes", "contrasts"} <= set(tables):
            common[RESULTS] = _alike([*tables["outcomes"], *tables["contrasts"]])
        both = set(common.get(RESULTS, ()))
        common = {
            name: {f: s for f, s in row.items() if name == RESULTS or f not in both}
            for name, row in common.items()
        }
        common = {name: row for name, row in common.items() if row}
        shared = {
            name: {*common.get(name, ()), *(both if name in ("outcomes", "contrasts") else ())}
            for name in tables
        }
        own = {
            name: [{f: s for f, s in row.items() if f not in shared[name]} for row in rows]
            for name, rows in tables.items()
        }
        head = {name: part for name, part in self.content.items() if name != "tables"}
        return Mapping.model_validate({**head, "common": common, "tables": own})


def _alike(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The fields that have the same source in all rows."""
    first = rows[0]
    return {f: source for f, source in first.items() if all(row.get(f) == source for row in rows)}


def value(text: str) -> dict[str, str]:
    """A source that is the same for every row."""
    return {"value": text}


def words_of(column: str, words: dict[str, str], **further: str) -> dict[str, Any]:
    """A source whose texts mean words."""
    return {"column": column, "words": words, **further}


def texts_of(grid: Grid, column: str) -> list[str]:
    """The distinct texts of a column, in order; none of a column that is not there."""
    there = grid.column(column) if column in grid.columns else []
    return list(dict.fromkeys(filter(None, there)))[:MOST_WORDS]


def start(grid: Grid) -> dict[str, Any]:
    """The head of a mapping: sheet, header rows, decimal sign."""
    decimal = decimal_of(cell for row in list(grid.rows.values())[:500] for cell in row)
    head: dict[str, Any] = {}
    if grid.sheet is not None:
        head["sheet"] = grid.sheet
    head["header_rows"] = [str(row) for row in grid.header_rows]
    if decimal == ",":
        head["decimal"] = ","
    return head


def guess_sheet(grid: Grid) -> Guess:
    """A mapping of an extraction sheet from its headers and its first cells."""
    return _Sheet(grid).guess()


def treatment_fields(grid: Grid, *columns: str, part: int | None = None) -> dict[str, Any]:
    """Exercise type and comparator type of an arm from the texts that name it.

    Of several columns each field takes the one whose texts say it most often, the first of equals.
    `part` of a column of comparisons ("yoga versus usual care"): 0 or 1.
    """
    fields = {}
    for place, name in enumerate(("exercise_type", "comparator_type")):
        found = {}
        for column in columns:
            texts = {text: _side(text, part) for text in texts_of(grid, column)}
            found[column] = {text: exercise_of(own)[place] for text, own in texts.items()}
        said = {
            c: sum(w not in ("", UNDECIDED) for w in words.values()) for c, words in found.items()
        }
        best = max(columns, key=said.__getitem__)
        fields[name] = words_of(best, found[best])
    return fields


def _side(text: str, part: int | None) -> str:
    return text if part is None else (two_groups(text) or (text, ""))[part]


def instrument_fields(outcome: str, instrument: str, *texts: str) -> dict[str, Any]:
    """Outcome, instrument, scale and direction as constants, with what must be decided."""
    if outcome in COUNTED:
        fields = {"outcome": value(outcome), "instrument": value("other")}
        return fields | {"higher_is_better": value(COUNTED[outcome])}
    instrument = instrument or UNDECIDED
    fields = {"outcome": value(outcome or UNDECIDED), "instrument": value(instrument)}
    limits = limits_of(instrument, *texts)
    if limits is not None:
        fields |= {"scale_min": value(limits[0]), "scale_max": value(limits[1])}
    return fields | {"higher_is_better": value(direction_of(instrument, outcome))}


def outcome_columns(grid: Grid, column: str, around: Iterable[str] = ()) -> dict[str, Any]:
    """Outcome, instrument, scale and direction from a column that names outcomes."""
    texts = texts_of(grid, column)
    known = {text: outcome_of(text) for text in texts}
    made = {
        text: instrument_fields(outcome, instrument, text, *around)
        for text, (outcome, instrument) in known.items()
    }
    fields = {}
    for name in ("outcome", "instrument", "scale_min", "scale_max", "higher_is_better"):
        words = {text: part[name]["value"] if name in part else "" for text, part in made.items()}
        if any(words.values()):
            fields[name] = words_of(column, words)
    return fields


def time_columns(grid: Grid, column: str) -> dict[str, Any]:
    """Label and weeks from a column that names times."""
    texts = texts_of(grid, column)
    if texts and all(is_value(text) for text in texts):
        labels = {text: "baseline" if float(plain(text)) == 0 else "post" for text in texts}
        return {"timepoint_weeks": column, "timepoint_label": words_of(column, labels)}
    times = {text: time_of(text) for text in texts}
    labels = {text: label or UNDECIDED for text, (label, _) in times.items()}
    fields = {"timepoint_label": words_of(column, labels)}
    if any(weeks for _, weeks in times.values()):
        weeks = {text: weeks for text, (_, weeks) in times.items()}
        fields["timepoint_weeks"] = words_of(column, weeks)
    return fields


def author_year(grid: Grid, study: object, *known: str) -> dict[str, str]:
    """Author and year from the column that names studies, where no column of their own is known."""
    if isinstance(study, str) and not {"first_author", "year"} <= set(known):
        if all(AUTHOR_YEAR.fullmatch(text) for text in texts_of(grid, study)):
            return {"author_year": study}
    return {}


def parallel(assumed: list[str]) -> dict[str, str]:
    """The design of trials of which nothing else is said."""
    assumed.append("people were randomised to parallel groups (design): change crossover, cluster")
    return value("parallel")


def population_source(grid: Grid, assumed: list[str]) -> dict[str, str]:
    """The population that titles, footnotes and the file's name say, as a constant."""
    told = {population_of(text) for text in (*grid.around, spoken(grid.file))} - {UNDECIDED}
    found = told.pop() if len(told) == 1 else UNDECIDED
    if found != UNDECIDED:
        assumed.append(f"population is {found}, as a title, a footnote or the file's name says")
    return value(found)


class _Sheet:
    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.assumed: list[str] = []
        self.fields: dict[str, dict[str, str]] = {
            "ids": {},
            "trials": {},
            "arms": {},
            "results": {},
        }
        self.own: dict[str, dict[str, str]] = {}
        self.meanings: dict[str, Meaning] = {}
        self.labels: dict[str, str] = {}
        self.pair = ""
        self.missing: set[str] = set()
        self._read_headers()
        arms = self.fields["arms"]
        self.label = arms.get("arm_label") or arms.get("exercise_type")
        named = any(of.arm for of in self.meanings.values())
        self.row_is_arm = bool(self.label and not (named or self.labels or self.pair))

    def guess(self) -> Guess:
        """The mapping, whatever a row is."""
        content = start(self.grid)
        if self.missing:
            content["missing"] = sorted(self.missing)
        if keep := self._kept():
            content["keep"] = keep
        content["ids"] = {"trial_id": self._trial_id()}
        results, contrasts = self._results()
        tables = {"trials": [self._trial()], "arms": self._arms()}
        if results:
            tables["outcomes"] = results
        if contrasts:
            tables["contrasts"] = contrasts
        content["tables"] = tables
        return Guess(content, self.assumed)

    def _read_headers(self) -> None:
        """What each column is: a field, the label of an arm, or a part of a result."""
        last = Meaning()
        arms = self._arms_named()
        for column in self.grid.columns:
            texts = texts_of(self.grid, column)
            if not texts:
                continue
            missing = {text for text in texts if spoken(text) in _MISSING or not spoken(text)}
            there = [text for text in texts if text not in missing]
            numbers = bool(there) and sum(map(is_value, there)) >= len(there) / 2
            if numbers:
                self.missing |= missing - set(MISSING)
            if column == HEADING:
                self._read_headings(texts)
                continue
            if not numbers and sum(two_groups(text) is not None for text in there) > len(there) / 2:
                self.pair = self.pair or column
                continue
            parts, arm = self.grid.parts_of(column), arms[column]
            found, meaning = field_of(*parts, arm=arm), meaning_of(*parts)._replace(arm=arm)
            if found and not (found[0] in ("n_randomised", "note") and arm):
                name, table = found
                if name == "arm_label" and numbers:
                    continue
                if name not in self.fields[table]:
                    self.fields[table][name] = column
                    continue
            if arm and (name := arm_field_of(column)):
                self.own.setdefault(arm, {}).setdefault(name, column)
            elif not numbers and arm and not meaning.says_result:
                self.labels.setdefault(arm, column)
            elif is_no_result(column):
                continue
            elif meaning.stat == "p" or (
                numbers and (meaning.says_result or (arm and _beside(there)))
            ):
                meaning = self._completed(meaning, last, there)
                if meaning.stat:
                    self.meanings[column] = meaning
                    if meaning.stat in ("mean", "summary"):
                        last = meaning

    def _arms_named(self) -> dict[str, str]:
        """The arm that the header of each column names.

        The highest row that names one counts, unless both arms stand below it. Where no column
        is of another arm than the one with exercise, none tells arms apart.
        """
        rows = {column: self.grid.parts_of(column) for column in self.grid.columns}
        below: dict[tuple[str, ...], set[str]] = {}
        for parts in rows.values():
            for place in range(1, len(parts)):
                below.setdefault(parts[:place], set()).update(map(arm_of, parts[place:]))
        found = {}
        for column, parts in rows.items():
            own = [
                arm_of(part)
                for place, part in enumerate(parts, start=1)
                if not {"1", "2"} <= below.get(parts[:place], set())
            ]
            found[column] = next(filter(None, own), "")
        several = set(found.values()) - {"", "1"}
        return {column: arm if several else "" for column, arm in found.items()}

    def _read_headings(self, texts: list[str]) -> None:
        """What the headings of rows say: the study, the two groups, the outcome or the time."""
        results = self.fields["results"]
        if all(map(AUTHOR_YEAR.fullmatch, texts)):
            self.fields["ids"] = {"trial_id": HEADING}
            self.fields["trials"].pop("first_author", None)
            self.fields["arms"].setdefault("arm_label", self.grid.columns[0])
        elif all(map(two_groups, texts)):
            self.pair = HEADING
        elif any(any(outcome_of(text)) for text in texts):
            results["outcome"] = HEADING
        elif any(any(time_of(text)) for text in texts):
            results["timepoint_label"] = HEADING
        else:
            results.setdefault("note", HEADING)

    def _completed(self, meaning: Meaning, last: Meaning, texts: list[str]) -> Meaning:
        """A meaning whose gaps are filled from its cells and from the result to its left."""
        if not meaning.stat:
            meaning = meaning._replace(stat="summary" if _beside(texts) else "mean")
        elif meaning.stat == "mean" and _beside(texts):
            meaning = meaning._replace(stat="summary")
        bare = not (meaning.outcome or meaning.label or meaning.instrument)
        if (
            meaning.stat in ("sd", "se", "interval", "lower", "upper", "n", "mean", "summary")
            and bare
        ):
            if (
                last.stat
                and meaning.arm in ("", last.arm)
                and meaning.stat not in ("mean", "summary")
            ):
                if meaning.stat != "n" or not meaning.arm:
                    parts = ("arm", "label", "weeks", "change", "outcome", "instrument", "scale")
                    meaning = meaning._replace(**{part: getattr(last, part) for part in parts})
        if meaning.stat == "summary" and not meaning.spread:
            meaning = meaning._replace(spread=self._spread(texts))
        return meaning

    def _spread(self, texts: list[str]) -> str:
        """What stands in brackets, from titles and footnotes; undecided where they do not say."""
        if any(" to " in text or ";" in text or "[" in text for text in texts[:5]):
            inner = "ci95" if any("ci" in spoken(note).split() for note in self.grid.around) else ""
        else:
            notes = [set(spoken(note).split()) for note in self.grid.around]
            said = {word for note in notes for word in note & {"sd", "se", "sem"}}
            said |= {"sd" for note in self.grid.around if "standard deviation" in note.casefold()}
            said |= {"se" for note in self.grid.around if "standard error" in note.casefold()}
            kinds = {"se" if word == "sem" else word for word in said}
            inner = kinds.pop() if len(kinds) == 1 else ""
        return inner or UNDECIDED

    def _kept(self) -> dict[str, list[str]]:
        """Of rows by several reviewers, those of the consensus."""
        for column in self.grid.columns:
            if spoken(column) in ("reviewer", "reviewer name", "extractor"):
                texts = texts_of(self.grid, column)
                agreed = [text for text in texts if "consensus" in text.casefold()]
                if agreed and len(texts) > len(agreed):
                    return {column: agreed}
        return {}

    def _trial_id(self) -> Any:
        own = self.fields["ids"].get("trial_id") or self.fields["trials"].get("first_author")
        if own is None:
            own = next((c for c in self.grid.columns if "study" in spoken(c).split()), None)
        year = self.fields["trials"].get("year")
        if own and year and own == self.fields["trials"].get("first_author"):
            return {"column": own, "also": year} if self._several(own, year) else own
        if own is None:
            first = self.grid.columns[0]
            if not all(map(is_value, texts_of(self.grid, first))):
                told = f"{first!r} names the trial"
                self.assumed += [told] if told not in self.assumed else []
                own = first
        return own if own is not None else value(UNDECIDED)

    def _trial(self) -> dict[str, Any]:
        row: dict[str, Any] = dict(self.fields["trials"])
        population = row.pop("population", None)
        if population is None:
            row["population"] = population_source(self.grid, self.assumed)
        else:
            texts = texts_of(self.grid, population)
            row["population"] = words_of(population, {text: population_of(text) for text in texts})
        design = row.get("design")
        words = {text: _design(text) for text in texts_of(self.grid, design)} if design else {}
        if any(words.values()):
            row["design"] = words_of(str(design), words)
        else:
            row["design"] = parallel(self.assumed)
        row |= author_year(self.grid, self._trial_id(), *row)
        if "arm_label" in self.fields["arms"] or "exercise_type" in self.fields["arms"]:
            row.pop("n_randomised", None)
        study = self._trial_id()
        for name in ("n_randomised", "mean_age", "pct_female"):
            if name in row and isinstance(study, str) and self._several(study, row[name]):
                row.pop(name)
        return row

    def _arms(self) -> list[dict[str, Any]]:
        """The arms that a row gives: one, or the two and more that its columns name."""
        fields: dict[str, Any] = dict(self.fields["arms"])
        if supervised := fields.get("supervised"):
            words = {t: _yes_no(t) for t in texts_of(self.grid, supervised)}
            fields["supervised"] = words_of(supervised, words)
        if self.row_is_arm:
            several = {"outcome", "timepoint_label", "timepoint_weeks"} & set(
                self.fields["results"]
            )
            if "n_randomised" in self.fields["trials"] and not several:
                fields["n_randomised"] = self.fields["trials"]["n_randomised"]
            named = [fields[name] for name in ("exercise_type", "arm_label") if name in fields]
            return [{"arm_id": self.label, **fields, **treatment_fields(self.grid, *named)}]
        used = {of.arm for of in self.meanings.values()} - {""}
        shared = {k: v for k, v in fields.items() if k not in ("arm_label", "exercise_type")}
        rows = []
        for number in sorted({*self.labels, *self.own, *used, "1", "2"}):
            row: dict[str, Any] = {"arm_id": self._arm_id(number)}
            own = dict(self.own.get(number, {}))
            kind = own.pop("exercise_type", None)
            label = self._label(number)
            named = [column for column in (kind, label) if column is not None]
            part = int(number) - 1 if self._of_pair(number) else None
            if label is not None:
                row["arm_label"] = label if part is None else self._sides(part)
            if named:
                row |= treatment_fields(self.grid, *named, part=part)
            elif number == "1":
                row |= {"exercise_type": value(UNDECIDED)}
            else:
                row |= {"exercise_type": value("none"), "comparator_type": value(UNDECIDED)}
            rows.append(row | (shared if number == "1" else {}) | own)
        if of_first := sorted(set(shared) - set(self.own.get("1", ()))):
            self.assumed.append(f"{', '.join(of_first)} are of arm a1, that with exercise")
        return rows

    def _label(self, number: str) -> str | None:
        """The column that names an arm."""
        if self._of_pair(number):
            return self.pair
        return self.labels.get(number) or (self.label if number == "1" else None)

    def _of_pair(self, number: str) -> bool:
        return bool(self.pair) and number in ("1", "2") and number not in self.labels

    def _sides(self, part: int, between: str = " ") -> dict[str, Any]:
        """One of the two groups of a column of comparisons."""
        sides = {text: two_groups(text) for text in texts_of(self.grid, self.pair)}
        words = {t: UNDECIDED if own is None else own[part] for t, own in sides.items()}
        return words_of(self.pair, {t: between.join(word.split()) for t, word in words.items()})

    def _arm_id(self, number: str) -> Any:
        """A number, or the name of the arm where rows of one trial name several."""
        label = self._label(number)
        study = self._trial_id()
        if label is None or not isinstance(study, str) or not self._several(study, label):
            return value(f"a{number}")
        return self._sides(int(number) - 1, "_") if self._of_pair(number) else label

    def _several(self, study: str, column: str) -> bool:
        """Whether rows of one study have several texts in a column."""
        texts: dict[str, set[str]] = {}
        own = ""
        for name, text in zip(self.grid.column(study), self.grid.column(column), strict=True):
            own = name or own
            texts.setdefault(own, set()).update([text] if text else [])
        return any(len(found) > 1 for found in texts.values())

    def _results(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Rows of outcomes and contrasts, one a group of columns that belong together."""
        groups: dict[tuple, dict[str, tuple[str, Meaning]]] = {}
        numbers: dict[str, str] = {}
        for column, meaning in self.meanings.items():
            compared = meaning.stat in ("estimate", "variance", "p") or meaning.measure
            bare = not (meaning.outcome or meaning.label)
            if meaning.stat == "n" and bare:
                numbers.setdefault(meaning.arm, column)
                continue
            key = (
                *("contrast" if compared else "arm", "" if compared else meaning.arm),
                *(
                    meaning.outcome,
                    meaning.instrument,
                    meaning.label,
                    meaning.weeks,
                    meaning.change,
                ),
            )
            groups.setdefault(key, {}).setdefault(meaning.stat, (column, meaning))
        outcomes, contrasts = [], []
        estimates = [key for key in groups if key[0] == "contrast"]
        for key, parts in groups.items():
            alike = [own for own in estimates if own[2:] == key[2:]] or estimates
            if key[0] == "arm" and not key[1] and len(alike) == 1 and "mean" not in parts:
                groups[alike[0]] |= {stat: part for stat, part in parts.items() if stat != "n"}
                continue
            if key[0] == "arm":
                outcomes += [
                    self._outcome(key[1], own, numbers)
                    for own in _means_and_events(parts)
                    if {"mean", "summary", "events"} & set(own)
                ]
        for key in estimates:
            if {"estimate", "summary"} & set(groups[key]):
                contrasts.append(self._contrast(groups[key]))
        return outcomes, contrasts

    def _outcome(
        self, arm: str, parts: dict[str, tuple[str, Meaning]], numbers: dict[str, str]
    ) -> dict[str, Any]:
        meaning = next(iter(parts.values()))[1]
        by_column = not arm and self.row_is_arm
        row: dict[str, Any] = {"arm_id": value(UNDECIDED)}
        if by_column or arm:
            row["arm_id"] = self._arm_id(arm) if arm else self.label
        row |= self._of_result(meaning)
        row["value_type"] = value("change_from_baseline" if meaning.change else "level")
        if "events" in parts:
            row["value_type"] = value("events")
        own = numbers.get(arm) or numbers.get("")
        if by_column and own is None:
            own = self.fields["trials"].get("n_randomised")
        if "n" not in parts and own:
            row["n"] = own
        for stat, (column, of) in parts.items():
            if stat in ("summary", "interval"):
                row[stat] = {"column": column, "spread": of.spread or UNDECIDED}
            else:
                row[stat] = column
        if {"lower", "upper"} <= set(parts):
            row["dispersion_type"] = value("ci95")
        return row

    def _contrast(self, parts: dict[str, tuple[str, Meaning]]) -> dict[str, Any]:
        meaning = next(iter(parts.values()))[1]
        row: dict[str, Any] = {"arm_id": self._arm_id("1"), "ref_arm_id": self._arm_id("2")}
        if self.row_is_arm:
            row = {"arm_id": self.label, "ref_arm_id": value(UNDECIDED)}
        row |= self._of_result(meaning)
        measures = {of.measure for _, of in parts.values()} - {""}
        row["effect_measure"] = value(measures.pop() if len(measures) == 1 else UNDECIDED)
        names = {"lower": "ci_low", "upper": "ci_high", "p": "p_value"}
        for stat, (column, _) in parts.items():
            if stat in ("summary", "interval"):
                row[stat] = {"column": column, "spread": "ci95"}
            else:
                row[names.get(stat, stat)] = column
        if "lower" in parts:
            row["ci_level"] = value("95")
        return row

    def _of_result(self, meaning: Meaning) -> dict[str, Any]:
        """Outcome, instrument, scale and time of a result: from its header, else from columns."""
        fields: dict[str, Any] = {}
        own = self.fields["results"]
        if meaning.outcome or "outcome" not in own:
            text = f"{meaning.scale[0]}-{meaning.scale[1]}" if meaning.scale else ""
            outcome, instrument = meaning.outcome, meaning.instrument
            if not outcome and not instrument:
                around = " ".join(self.grid.around)
                outcome, instrument = outcome_of(around)
            fields |= instrument_fields(outcome, instrument, text, *self.grid.around)
        else:
            fields |= outcome_columns(self.grid, own["outcome"], self.grid.around)
        if "instrument" in own and not meaning.instrument:
            column = own["instrument"]
            fields |= {
                name: source
                for name, source in outcome_columns(self.grid, column, self.grid.around).items()
                if name != "outcome"
            }
            if "outcome" in own:
                fields["higher_is_better"] = self._directions(column)
        for name in ("scale_min", "scale_max"):
            if name in own:
                fields[name] = own[name]
        if meaning.label or not {"timepoint_label", "timepoint_weeks"} & set(own):
            fields["timepoint_label"] = value(meaning.label or "post")
            if meaning.weeks:
                fields["timepoint_weeks"] = value(meaning.weeks)
            elif not meaning.label:
                told = "results without a time are after treatment (post)"
                if told not in self.assumed:
                    self.assumed.append(told)
        else:
            for name in ("timepoint_label", "timepoint_weeks"):
                if name in own:
                    fields |= time_columns(self.grid, own[name])
        if "note" in own:
            fields["note"] = own["note"]
        return fields

    def _directions(self, column: str) -> dict[str, Any]:
        """Direction of the instruments of a column, where outcomes are named in another."""
        words = {}
        for text in texts_of(self.grid, column):
            outcome, instrument = outcome_of(text)
            words[text] = direction_of(instrument, outcome or "pain_intensity")
        return words_of(column, words)


def _means_and_events(
    parts: dict[str, tuple[str, Meaning]],
) -> Iterator[dict[str, tuple[str, Meaning]]]:
    """Means and numbers of events of the same columns are outcomes of their own."""
    if "events" not in parts or not {"mean", "summary"} & set(parts):
        yield parts
        return
    yield {stat: part for stat, part in parts.items() if stat != "events"}
    yield {stat: part for stat, part in parts.items() if stat in ("events", "n")}


def _beside(texts: list[str]) -> bool:
    """Whether cells are values with a spread beside them."""
    return any(sign in plain(texts[0]) for sign in "(±[")


def _design(text: str) -> str:
    known = vocabulary("trials", "design")
    low = text.casefold()
    found = next((word for word in known if word.replace("_", " ") in low.replace("-", " ")), None)
    if found is None and ("rct" in spoken(text).split() or "randomi" in low):
        found = "parallel"
    return found or nearest(text, known) or ""


def _yes_no(text: str) -> str:
    low = text.casefold()
    if low.startswith(("y", "supervised", "1", "full")):
        return "yes"
    if low.startswith(("n", "unsup", "home", "0")):
        return "no"
    return "mixed" if "part" in low or "mix" in low else "unknown"
