"""The descriptor, the tables and the codebook say the same."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter

import pytest

from backpain_analysis.datasets.bundled import data_dir, load_reference, reference_names
from backpain_analysis.datasets.datapackage import read_datapackage
from backpain_analysis.evidence.participants import load_participants


def csv_rows(name):
    """The rows of a table of the bundled trials, as its file has them."""
    with open(data_dir() / "trials" / f"{name}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


FOLDERS = ("trials", "reference", "participants")
PACKAGES = {folder: read_datapackage(data_dir() / folder) for folder in FOLDERS}
TABLES = [(folder, table) for folder, found in PACKAGES.items() for table in found.tables.values()]
IDS = [f"{folder}/{table.path}" for folder, table in TABLES]
TRIALS = {name: csv_rows(name) for name in PACKAGES["trials"].tables}
CODEBOOK = (data_dir() / "README.md").read_text(encoding="utf-8")


def codebook_rows(path):
    """Cells of the codebook's table of one file, a row a column."""
    section = CODEBOOK.split(f"`{path}`\n", 1)[1].split("\n#", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]


@pytest.mark.parametrize(("folder", "table"), TABLES, ids=IDS)
def test_table_has_the_columns_of_its_descriptor(folder, table):
    with open(data_dir() / folder / table.path, encoding="utf-8", newline="") as file:
        assert tuple(next(csv.reader(file))) == table.columns


@pytest.mark.parametrize(("folder", "table"), TABLES, ids=IDS)
def test_codebook_names_every_column_with_its_unit_words_and_meaning(folder, table):
    rows = codebook_rows(table.path)
    assert [re.sub(r"[*` ]", "", row[0]) for row in rows] == list(table.columns)
    for field, row in zip(table.fields, rows, strict=True):
        name, kind, unit, allowed, meaning = (cell.strip().replace("\\|", "|") for cell in row)
        assert name.startswith("**") == field.required, field.name
        assert kind == {"string": "text", "number": "number", "integer": "whole number"}[field.kind]
        assert unit == (field.unit or "") and meaning == field.description
        words = re.findall(r"`([^`]+)`", allowed) if field.vocabulary else []
        assert words == list(field.vocabulary)


@pytest.mark.parametrize("folder", PACKAGES)
def test_every_file_is_described(folder):
    described = {table.path for table in PACKAGES[folder].tables.values()}
    assert {file.name for file in (data_dir() / folder).glob("*.csv")} == described


@pytest.mark.parametrize("folder", PACKAGES)
def test_descriptor_says_what_it_is(folder):
    content = json.loads((data_dir() / folder / "datapackage.json").read_text(encoding="utf-8"))
    assert re.fullmatch(r"\d{4}\.\d{2}\.\d+", content["version"])
    for name in ("name", "title", "description", "licenses", "contributors", "sources"):
        assert content[name]
    for resource in content["resources"]:
        assert resource["schema"]["missingValues"] == [""]
        assert all(field["description"] for field in resource["schema"]["fields"])


def test_numbers_have_a_unit():
    bare = {
        f"{table.path}: {field.name}"
        for _, table in TABLES
        for field in table.fields
        if field.kind != "string" and not field.unit
    }
    assert bare == {"trials.csv: pmid", "published_claims.csv: pmid"}


def test_sizes_the_codebook_tells_are_those_of_the_tables():
    trials, arms, outcomes, contrasts, appraisals = (len(rows) for rows in TRIALS.values())
    sizes = (
        f"{trials} trials, {arms} arms, {outcomes} results of one arm, "
        f"{contrasts} differences between arms, {appraisals} judgements of risk of bias"
    )
    assert sizes in CODEBOOK
    assert PACKAGES["trials"].version in CODEBOOK


def test_synthetic_participants_are_said_to_be_so():
    data = load_participants()
    content = json.loads((data_dir() / "participants" / "datapackage.json").read_text("utf-8"))
    assert (
        data.synthetic and "synthetic" in data.name and "made-up" in content["description"].lower()
    )
    people = len(data.interventions[["trial_id", "participant_id"]].drop_duplicates())
    size = f"{people} synthetic participants of {data.interventions['trial_id'].nunique()} trials"
    assert f"{size}, with known truth, version {data.version}" in CODEBOOK


def missing(rows, *columns):
    """How many rows lack one of the columns."""
    return sum(not all(row[column] for column in columns) for row in rows)


def test_gaps_the_codebook_tells_are_those_of_the_tables():
    trials, arms, outcomes, contrasts, appraisals = TRIALS.values()
    exercise = [row for row in arms if row["exercise_type"] != "none"]
    known = {column: len(exercise) - missing(exercise, column) for column in arms[0]}
    by_arm, between = ({row["trial_id"] for row in rows} for rows in (outcomes, contrasts))
    flags = Counter(row["flag"] for row in trials)
    of_people = Counter(row["population"] for row in trials)
    others = {"healthy people": "healthy", "neck pain": "neck_pain", "other": "other"}
    others = {name: of_people[word] for name, word in others.items()}
    home = [row for row in arms if row["home_sessions_per_week"] or row["home_minutes_per_session"]]
    p_alone = [row for row in contrasts if row["p_value"] and missing([row], "ci_low", "ci_high")]
    told = [
        f"{len(by_arm - between)} trials give results per arm, "
        f"{len(between - by_arm)} only differences between arms, "
        f"{len(by_arm & between)} both, {len(trials) - len(by_arm | between)} none",
        f"known for {known['minutes_per_session']} of {len(exercise)} exercise arms "
        f"(sessions per week {known['sessions_per_week']}, weeks {known['duration_weeks']}, "
        f"total sessions {known['total_sessions']})",
        f"{missing(outcomes, 'dispersion_type')} of {len(outcomes)} results per arm have no "
        f"spread, and {missing(outcomes, 'n')} no number analysed",
        f"{len(p_alone)} of {len(contrasts)} differences have a P value and no interval",
        f"in {len(home) - missing(home, 'home_minutes_per_session')} of the {len(home)} arms",
        f"{missing(trials, 'year', 'first_author')} reports lack a year or a first author "
        f"({missing(trials, 'year')} the year, {missing(trials, 'first_author')} the author)",
        f"is there for {len({row['trial_id'] for row in appraisals})} trials",
        f"`exclude` for {flags['exclude']} trials",
        f"`caution` for {flags['caution']}:",
        f"{sum(others.values())} of them are of other populations "
        f"({', '.join(f'{name} {count}' for name, count in others.items())})",
    ]
    assert [sentence for sentence in told if sentence not in CODEBOOK] == []


def test_what_is_said_to_be_empty_is_empty():
    trials, arms, outcomes, _, _ = TRIALS.values()
    assert missing(outcomes, "events") == len(outcomes)
    assert missing(trials, "cluster_size") == missing(trials, "icc") == len(trials)
    minutes = [row for row in arms if row["home_minutes_per_session"]]
    assert len(minutes) == 5
    assert all(row["home_minutes_per_session"] in row["note"] for row in minutes)


@pytest.mark.parametrize("name", reference_names())
def test_reference_table_keeps_to_its_descriptor(name):
    frame, table = load_reference(name), PACKAGES["reference"].tables[name]
    assert tuple(frame.columns) == table.columns and len(frame) > 0
    for field in table.fields:
        values = frame[field.name]
        assert str(values.dtype) == field.dtype
        assert not (field.required and values.isna().any()), field.name
        assert not field.vocabulary or values.dropna().isin(field.vocabulary).all(), field.name
        assert field.minimum is None or (values.dropna() >= field.minimum).all(), field.name
        assert field.maximum is None or (values.dropna() <= field.maximum).all(), field.name
        assert field.pattern is None or values.dropna().str.fullmatch(field.pattern).all()
    assert not table.unique or not frame.duplicated(list(table.unique)).any()


def test_words_are_the_same_everywhere():
    arms = PACKAGES["trials"].tables["arms"].field("exercise_type").vocabulary
    reference = PACKAGES["reference"].tables
    for name in ("met_defaults", "met_values"):
        assert reference[name].field("exercise_type").vocabulary == arms[1:]
    assert arms[0] == "none"
    own = PACKAGES["participants"].tables
    assert own["interventions"].field("exercise_type").vocabulary == arms
    instruments = PACKAGES["trials"].tables["outcomes"].field("instrument").vocabulary
    assert own["scores"].field("instrument").vocabulary == instruments
    assert set(load_reference("met_defaults")["exercise_type"]) == set(arms[1:])
