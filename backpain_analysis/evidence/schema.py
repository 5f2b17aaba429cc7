"""The shape of the trial and participant tables, and what must hold in them.

Types, ranges, vocabularies and duplicates come from their ``datapackage.json``. What must hold
between the cells of a row, between rows and between tables is one function a rule, which takes the
tables (typed, index = spreadsheet row) and yields its faults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from string import Formatter
from typing import TYPE_CHECKING

import pandas as pd

from backpain_analysis.datasets.bundled import data_dir
from backpain_analysis.datasets.datapackage import Field, Table, read_datapackage
from backpain_analysis.evidence.faults import Fault
from backpain_analysis.words import did_you_mean

if TYPE_CHECKING:
    import pandera.pandas as pa

TABLES = ("trials", "arms", "outcomes", "contrasts", "appraisals")
PARTICIPANT_TABLES = ("interventions", "scores", "participants")

OTHER = r"other: \S.{0,99}"
"""How a word of one's own is written where a vocabulary has ``other``."""

UNKNOWN_WORD = "unknown word"
TOO_LOW = "below the smallest possible value"
TOO_HIGH = "above the largest possible value"
MALFORMED = "not written as it should be"


@cache
def table_spec(name: str) -> Table:
    """Columns, keys and vocabularies of one of the tables."""
    folder = "participants" if name in PARTICIPANT_TABLES else "trials"
    return read_datapackage(data_dir() / folder).tables[name]


def vocabulary(table: str, column: str) -> tuple[str, ...]:
    """The words a column may hold, in their order; empty where any text may stand."""
    return table_spec(table).field(column).vocabulary


def vocabularies() -> dict[str, tuple[str, ...]]:
    """The words of every column that has some, by the column's name."""
    return {
        field.name: field.vocabulary
        for name in (*TABLES, *PARTICIPANT_TABLES)
        for field in table_spec(name).fields
        if field.vocabulary
    }


@cache
def table_schema(name: str) -> pa.DataFrameSchema:
    """The pandera schema of one of the tables: types, ranges, words, patterns, keys.

    Further columns are allowed. Every failure carries one of this module's phrases as message.
    """
    import pandera.pandas as pa

    spec = table_spec(name)
    return pa.DataFrameSchema(
        {field.name: _column(field) for field in spec.fields},
        unique=list(spec.unique),
        report_duplicates="exclude_first",
        name=name,
    )


def typed(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """A validated table with its columns in order and its ordered vocabularies as categoricals."""
    spec = table_spec(name)
    further = [column for column in frame.columns if column not in spec.columns]
    frame = frame[[*spec.columns, *further]].reset_index(drop=True)
    for field in spec.fields:
        if field.ordered:
            words = pd.CategoricalDtype(field.vocabulary, ordered=True)
            frame[field.name] = frame[field.name].astype(words)
    return frame


def empty_table(name: str) -> pd.DataFrame:
    """The table without rows, with its columns and their types."""
    columns = {field.name: pd.Series(dtype=field.dtype) for field in table_spec(name).fields}
    return typed(pd.DataFrame(columns), name)


def _known(vocabulary: tuple[str, ...]) -> Callable[[pd.Series], pd.Series]:
    """Whether cells are words of a vocabulary; one with ``other`` takes ``other: free text``."""

    def known(cells: pd.Series) -> pd.Series:
        found = cells.isin(vocabulary)
        if "other" in vocabulary and not found.all():
            found |= cells.str.fullmatch(OTHER)
        return found

    return known


def _column(field: Field) -> pa.Column:
    import pandera.pandas as pa

    checks = []
    if field.vocabulary:
        checks.append(pa.Check(_known(field.vocabulary), error=UNKNOWN_WORD))
    if field.minimum is not None:
        checks.append(pa.Check.ge(field.minimum, error=TOO_LOW))
    if field.exclusive_minimum is not None:
        checks.append(pa.Check.gt(field.exclusive_minimum, error=TOO_LOW))
    if field.maximum is not None:
        checks.append(pa.Check.le(field.maximum, error=TOO_HIGH))
    if field.pattern is not None:
        checks.append(pa.Check.str_matches(rf"^(?:{field.pattern})\Z", error=MALFORMED))
    return pa.Column(field.dtype, checks, nullable=not field.required)


EXAMPLE_TRIAL = "example2020"
"""The made-up trial of the template."""

_ADVISED = 50
"""Unknown keys of a table for which the nearest known one is looked up."""

Tables = Mapping[str, pd.DataFrame]
Rule = Callable[[Tables], Iterator[Fault]]


def known_keys(tables: Tables) -> Iterator[Fault]:
    """An arm's trial, a result's arm and a contrast's reference arm are there."""
    for name, frame in tables.items():
        told: set[str] = set()
        for key in table_spec(name).foreign_keys:
            target = tables[key.table]
            known = pd.MultiIndex.from_frame(target[list(key.reference)].dropna())
            if target.empty:
                continue
            cells = frame[list(key.fields)].dropna()
            strange = cells[~pd.MultiIndex.from_frame(cells).isin(known)]
            of_trial = ~strange["trial_id"].isin(target["trial_id"])
            for fields, own in (
                (key.fields[:1], strange[of_trial & ~strange["trial_id"].isin(told)]),
                (key.fields, strange[~of_trial]),
            ):
                yield from _unknown(name, own[list(fields)], key.table, target)
            told |= set(strange.loc[of_trial, "trial_id"])


def _unknown(name: str, strange: pd.DataFrame, of: str, target: pd.DataFrame) -> Iterator[Fault]:
    """A fault for each key that is not in the target, at its first row."""
    fields = list(strange.columns)
    counts = strange.groupby(fields, sort=False)
    first = strange.drop_duplicates().assign(rows=counts.size().to_numpy())
    for number, (row, *own, rows) in enumerate(first.itertuples(name=None)):
        rule = f"not in table {of}" + (f" ({rows} rows)" if rows > 1 else "")
        hint = _near_key(own, target, advise=number < _ADVISED)
        yield Fault(name, None, row, fields[-1], own[-1], rule, hint)


def _near_key(cells: list[str], target: pd.DataFrame, *, advise: bool) -> str:
    trial, *arm = cells
    if not advise:
        return f"There is no {'arm ' if arm else 'trial '}{' '.join(arm) or trial!r}."
    trials = target["trial_id"].dropna()
    if not arm:
        return f"There is no trial {trial!r}. {did_you_mean(trial, trials.unique())}"
    arms = target.loc[target["trial_id"] == trial, "arm_id"].dropna()
    return f"The arms of {trial} are {', '.join(arms)}."


def example_is_gone(tables: Tables) -> Iterator[Fault]:
    """The made-up trial of the template is deleted."""
    for name in ("trials", "interventions"):
        if name in tables:
            broken = tables[name]["trial_id"] == EXAMPLE_TRIAL
            rule, hint = "made-up example of the template", "Delete its rows in every table."
            yield from broken_rows(name, tables[name], broken, "trial_id", rule, hint)


def arm_against_itself(tables: Tables) -> Iterator[Fault]:
    """A contrast compares two different arms."""
    contrasts = tables["contrasts"]
    broken = contrasts["arm_id"] == contrasts["ref_arm_id"]
    hint = "Name the arm it was compared with."
    yield from broken_rows("contrasts", contrasts, broken, "ref_arm_id", "arm against itself", hint)


def comparator_of_exercise(tables: Tables) -> Iterator[Fault]:
    """An exercise arm has no comparator type; an arm without exercise has one."""
    arms = tables["arms"]
    has_type = arms["comparator_type"].notna()
    exercise = arms["exercise_type"].notna() & (arms["exercise_type"] != "none")
    rule, hint = "comparator type of an exercise arm", "Leave it empty, or set exercise_type none."
    yield from broken_rows("arms", arms, exercise & has_type, "comparator_type", rule, hint)
    none = arms["exercise_type"] == "none"
    rule, hint = "arm without exercise and without comparator type", "Say what the arm received."
    yield from broken_rows("arms", arms, none & ~has_type, "comparator_type", rule, hint)


def scale_order(tables: Tables) -> Iterator[Fault]:
    """A scale's largest value is above its smallest."""
    for name in ("outcomes", "contrasts"):
        frame = tables[name]
        broken = frame["scale_max"] <= frame["scale_min"]
        hint = "scale_min is {scale_min}: scale_max must be above it."
        yield from broken_rows(name, frame, broken, "scale_max", "scale without width", hint)


def mean_on_scale(tables: Tables) -> Iterator[Fault]:
    """A level (not a change) lies within the limits of its instrument."""
    frame = tables["outcomes"]
    mean, level = frame["mean"], frame["value_type"] == "level"
    sensible = ~(frame["scale_max"] <= frame["scale_min"])
    outside = (mean < frame["scale_min"]) | (mean > frame["scale_max"])
    hint = "The scale is {scale_min} to {scale_max}; a change needs value_type to say so."
    broken = level & sensible & outside
    yield from broken_rows("outcomes", frame, broken, "mean", "mean outside its scale", hint)


def mean_or_events(tables: Tables) -> Iterator[Fault]:
    """A row holds a mean, or, where its value type is events, a count of participants of n."""
    frame = tables["outcomes"]
    counted, events, n = frame["value_type"] == "events", frame["events"], frame["n"]
    if len(frame) and not counted.any() and frame["mean"].isna().all():
        hint = "Give the means; counts of participants stand in events, with value_type events."
        yield Fault("outcomes", None, None, "mean", None, "no row has a value", hint)
        return
    for column, kept, hint in (
        ("mean", ~counted, "A count of participants needs value_type events."),
        ("events", counted, "Give the number of participants, of n."),
        ("n", counted, "Give the participants among whom the events were counted."),
    ):
        broken = frame["value_type"].notna() & kept & frame[column].isna()
        yield from broken_rows("outcomes", frame, broken, column, "required value is missing", hint)
    hint = "Where value_type is events, mean is empty; elsewhere events is."
    for column, kept in (("mean", counted), ("events", ~counted & frame["value_type"].notna())):
        broken = kept & frame[column].notna()
        yield from broken_rows("outcomes", frame, broken, column, "mean beside events", hint)
    broken = (events > n).fillna(False).astype(bool)
    yield from broken_rows(
        "outcomes", frame, broken, "events", "more events than participants", "n is {n}."
    )


def judgement_of_tool(tables: Tables) -> Iterator[Fault]:
    """Each tool has domains and judgements of its own."""
    frame = tables["appraisals"]
    for column, words in (("domain", _DOMAINS), ("judgement", _JUDGEMENTS)):
        for tool, own in words.items():
            known = vocabulary("appraisals", column)
            broken = (frame["tool"] == tool) & frame[column].isin(set(known) - set(own))
            hint = f"{tool} has {', '.join(own)}."
            rule = f"not a {column} of its tool"
            yield from broken_rows("appraisals", frame, broken, column, rule, hint)


def spread_complete(tables: Tables) -> Iterator[Fault]:
    """A dispersion type and its values come together."""
    frame = tables["outcomes"]
    kind, single = frame["dispersion_type"], frame["dispersion"].notna()
    limits = frame[["lower", "upper"]].notna()
    broken = kind.isin(["sd", "se"]) & ~single
    rule, hint = "dispersion type without its value", "Put the sd or se into dispersion."
    yield from broken_rows("outcomes", frame, broken, "dispersion_type", rule, hint)
    broken = kind.isin(["ci95", "iqr", "range"]) & ~limits.all(axis=1)
    hint = "Put both limits into lower and upper."
    yield from broken_rows("outcomes", frame, broken, "dispersion_type", rule, hint)
    broken = kind.isna() & (single | limits.any(axis=1))
    rule, hint = "spread without dispersion type", "Say what it is: sd, se, ci95, iqr or range."
    yield from broken_rows("outcomes", frame, broken, "dispersion_type", rule, hint)


def limits_in_order(tables: Tables) -> Iterator[Fault]:
    """The upper limit of an interval lies not below the lower; a confidence interval has width."""
    for name, _, low, high in _INTERVALS:
        frame = tables[name]
        hint = f"{low} is {{{low}}}: {high} must not be below it."
        broken = frame[high] < frame[low]
        yield from broken_rows(name, frame, broken, high, "upper limit below lower limit", hint)
        broken = frame[high] == frame[low]
        if name == "outcomes":
            broken &= frame["dispersion_type"] == "ci95"
        hint = f"{low} is {{{low}}}, too: give more digits, or leave both limits empty."
        yield from broken_rows(name, frame, broken, high, "interval without width", hint)


def value_in_limits(tables: Tables) -> Iterator[Fault]:
    """A mean or an estimate lies within its own interval; a one-sided interval has one limit."""
    for name, value, low, high in _INTERVALS:
        frame = tables[name]
        outside = (frame[value] < frame[low]) | (frame[value] > frame[high])
        hint = f"{low} is {{{low}}}, {high} is {{{high}}}."
        broken = outside & ~(frame[high] < frame[low])
        yield from broken_rows(name, frame, broken, value, f"{value} outside its interval", hint)


def analysed_not_above_randomised(tables: Tables) -> Iterator[Fault]:
    """No arm analyses more participants than were randomised to it."""
    keys = ["trial_id", "arm_id"]
    arms = tables["arms"].drop_duplicates(keys).set_index(keys)["n_randomised"].astype("float64")
    frame = tables["outcomes"]
    randomised = arms.reindex(pd.MultiIndex.from_frame(frame[keys])).to_numpy()
    frame = frame.assign(randomised=randomised)
    broken = frame["n"].astype("float64") > randomised
    hint = "The arm has {randomised} randomised."
    yield from broken_rows("outcomes", frame, broken, "n", "more analysed than randomised", hint)


def arms_not_above_trial(tables: Tables) -> Iterator[Fault]:
    """Arms together hold no more participants than the trial (in a crossover: each arm alone)."""
    trials, arms = tables["trials"], tables["arms"].drop_duplicates(["trial_id", "arm_id"])
    sizes = arms["n_randomised"].astype("float64").groupby(arms["trial_id"])
    sizes = sizes.agg(["sum", "max"]).reindex(trials["trial_id"]).set_axis(trials.index)
    each_alone = trials["design"] == "crossover"
    frame = trials.assign(in_arms=sizes["max"].where(each_alone, sizes["sum"]))
    broken = frame["in_arms"] > frame["n_randomised"].astype("float64")
    rule = "fewer randomised than its arms hold"
    hint = "Its arms hold {in_arms}; if each participant passes through all, design is crossover."
    yield from broken_rows("trials", frame, broken, "n_randomised", rule, hint)


_ROB1 = (
    "sequence_generation",
    "allocation_concealment",
    "blinding_participants",
    "blinding_personnel",
    "blinding_assessors",
    "incomplete_outcome_data",
    "selective_reporting",
    "analysed_as_allocated",
    "other_bias",
)
_DOMAINS = {"RoB1": _ROB1, "PEDro": ("total",), "JBI": ("overall",), "AHRQ": ("overall",)}
_JUDGEMENTS = {
    "RoB1": ("low", "unclear", "high"),
    "PEDro": tuple(str(score) for score in range(11)),
    "JBI": ("good", "fair", "poor"),
    "AHRQ": ("good", "fair", "poor"),
}

_INTERVALS = (
    ("outcomes", "mean", "lower", "upper"),
    ("contrasts", "estimate", "ci_low", "ci_high"),
)

RULES: tuple[Rule, ...] = (
    known_keys,
    example_is_gone,
    arm_against_itself,
    comparator_of_exercise,
    scale_order,
    mean_on_scale,
    mean_or_events,
    spread_complete,
    limits_in_order,
    value_in_limits,
    analysed_not_above_randomised,
    arms_not_above_trial,
    judgement_of_tool,
)


def broken_rows(
    table: str, frame: pd.DataFrame, broken: pd.Series, column: str, rule: str, hint: str
) -> Iterator[Fault]:
    """A fault for every broken row; `hint` may name columns of the row in braces."""
    broken = frame[broken]
    named = [field for _, field, _, _ in Formatter().parse(hint) if field]
    shown = {name: [_shown(cell) for cell in broken[name]] for name in {column, *named}}
    there = broken[column].notna()
    for place, row in enumerate(broken.index):
        texts = {name: cells[place] for name, cells in shown.items()}
        value = texts[column] if there.iat[place] else None
        yield Fault(table, None, row, column, value, rule, hint.format_map(texts))


def _shown(cell: object) -> str:
    if isinstance(cell, str):
        return cell
    return "not given" if pd.isna(cell) else f"{cell:.15g}"
