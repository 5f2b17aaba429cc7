"""CSV, Parquet and XLSX say the same; what cannot be read is told, not crashed on."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re

import openpyxl
import pandas as pd
import pandas.testing as pdt
import pytest

from backpain_analysis.evidence.checking import check_evidence
from backpain_analysis.evidence.evidence import load_evidence
from backpain_analysis.evidence.faults import EvidenceError

NAMES = ("trials", "arms", "outcomes", "contrasts", "appraisals")


def told(folder):
    return [(fault.file, fault.row, fault.rule) for fault in check_evidence(folder)]


def as_parquet(evidence, folder):
    folder.mkdir()
    for name in NAMES:
        getattr(evidence, name).to_parquet(folder / f"{name}.parquet")
    return folder


def as_workbook(evidence, file):
    with pd.ExcelWriter(file) as writer:
        for name in NAMES:
            getattr(evidence, name).to_excel(writer, sheet_name=name, index=False)
        pd.DataFrame({"free": ["text"]}).to_excel(writer, sheet_name="Remarks")
    return file


def as_csv(evidence, folder):
    folder.mkdir()
    for name in NAMES:
        getattr(evidence, name).to_csv(folder / f"{name}.csv", index=False)
    return folder


@pytest.mark.parametrize(
    ("write", "path"),
    [(as_csv, "again"), (as_parquet, "columns"), (as_workbook, "book.xlsx")],
    ids=["csv", "parquet", "xlsx"],
)
@pytest.mark.parametrize("source", ["bundled", "made up"])
def test_every_format_holds_the_same_evidence(tables, tmp_path, write, path, source):
    evidence = load_evidence(None if source == "bundled" else tables.folder)
    again = load_evidence(write(evidence, tmp_path / path))
    for name in NAMES:
        pdt.assert_frame_equal(getattr(again, name), getattr(evidence, name))
    assert again.content_hash == evidence.content_hash


def test_the_hash_is_of_the_content(tables):
    evidence = load_evidence(tables.folder)
    assert load_evidence(tables.folder).content_hash == evidence.content_hash
    tables.set("arms", 2, "sessions_per_week", "2.50")
    assert load_evidence(tables.folder).content_hash == evidence.content_hash
    tables.set("arms", 2, "sessions_per_week", "2.51")
    assert load_evidence(tables.folder).content_hash != evidence.content_hash


def test_reading_changes_no_file(tables):
    def prints():
        return {
            file.name: hashlib.sha256(file.read_bytes()).hexdigest()
            for file in tables.folder.iterdir()
        }

    tables.set("outcomes", 3, "mean", "12,5")
    before = prints()
    assert tables.faults()
    tables.set("outcomes", 3, "mean", "3.2")
    assert before != prints()
    before = prints()
    load_evidence(tables.folder)
    assert prints() == before


def test_cells_are_typed(tables):
    evidence = load_evidence(tables.folder)
    assert evidence.trials["year"].dtype == "Int64"
    assert evidence.outcomes["mean"].tolist() == [6.1, 3.2, 3.9, 5.5, -1.5, 412.7]
    assert evidence.outcomes["scale_max"].dtype == "float64"
    assert evidence.outcomes["scale_max"].isna().tolist() == [False] * 5 + [True]
    assert evidence.arms["exercise_type"].tolist()[2] == "none"
    assert evidence.contrasts["p_value"].tolist()[0] == "<0.01"
    assert evidence.contrasts["p_value"].isna().tolist() == [False, True]
    assert evidence.contrasts["note"].tolist()[1] == 'one-sided, "noninferior" or not'
    label = evidence.outcomes["timepoint_label"]
    assert label.cat.ordered and list(label.cat.categories) == ["baseline", "post", "followup"]
    assert (label > "baseline").tolist() == [False, True, True, True, True, True]


@pytest.mark.parametrize("absent", ["outcomes", "contrasts"])
def test_one_table_of_results_is_enough(tables, absent):
    full = load_evidence(tables.folder)
    (tables.folder / f"{absent}.csv").unlink()
    evidence = load_evidence(tables.folder)
    frame = getattr(evidence, absent)
    assert frame.empty
    assert frame.dtypes.to_dict() == getattr(full, absent).dtypes.to_dict()


def test_optional_columns_may_be_absent(tables):
    arms = load_evidence(tables.folder).arms
    assert arms["total_sessions"].isna().all() and arms["total_sessions"].dtype == "float64"


def test_a_column_of_ones_own_is_kept_as_text(tables):
    rows = tables.rows("arms")
    tables.write("arms", [[*row, text] for row, text in zip(rows, ["room", *"12345"], strict=True)])
    assert load_evidence(tables.folder).arms["room"].tolist() == list("12345")


@pytest.mark.parametrize("absent", ["trials", "arms"])
def test_a_needed_table_is_missing(tables, absent):
    (tables.folder / f"{absent}.csv").unlink()
    fault = tables.only_fault()
    assert (fault.table, fault.rule) == (absent, "table is missing")


def test_no_results_at_all(tables):
    for name in ("outcomes", "contrasts"):
        (tables.folder / f"{name}.csv").unlink()
    assert "both outcomes and contrasts are missing" in tables.only_fault().rule


def test_a_folder_of_other_things(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    assert [fault.table for fault in check_evidence(tmp_path)] == [None, "trials", "arms"]


def test_table_is_there_as_csv_and_parquet(tables):
    load_evidence(tables.folder).arms.to_parquet(tables.folder / "arms.parquet")
    assert told(tables.folder) == [("arms.csv and arms.parquet", None, "table is there twice")]


def test_byte_order_mark_of_excel_is_no_fault(tables):
    plain = load_evidence(tables.folder)
    for name in NAMES:
        file = tables.folder / f"{name}.csv"
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert load_evidence(tables.folder).content_hash == plain.content_hash


def test_not_utf8(tables):
    file = tables.folder / "trials.csv"
    file.write_bytes(file.read_bytes().replace(b"Roe", b"R\xf6e"))
    assert told(tables.folder) == [("trials.csv", 3, "not UTF-8 text")]


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff", ",,\n"])
def test_empty_file(tables, content):
    (tables.folder / "trials.csv").write_text(content, encoding="utf-8")
    assert told(tables.folder) == [("trials.csv", None, "the table is empty")]


def test_header_without_rows(tables):
    tables.write("trials", tables.rows("trials")[:1])
    assert told(tables.folder) == [("trials.csv", None, "the table has no rows")]


def test_results_without_rows(tables):
    tables.write("contrasts", tables.rows("contrasts")[:1])
    assert tables.faults() == []
    tables.write("outcomes", tables.rows("outcomes")[:1])
    assert told(tables.folder) == [("outcomes.csv", None, "no results")]


def test_column_is_there_twice(tables):
    rows = tables.rows("trials")
    tables.write("trials", [[*row, cell] for row, cell in zip(rows, ["year", *"12"], strict=True)])
    fault = tables.only_fault()
    assert (fault.row, fault.column, fault.rule) == (1, "year", "column is there twice")


def test_column_without_a_name(tables):
    rows = tables.rows("trials")
    tables.write("trials", [["", *rows[0]], *(["x", *row] for row in rows[1:])])
    assert told(tables.folder) == [("trials.csv", 1, "column without a name")]


def test_semicolons(tables):
    file = tables.folder / "trials.csv"
    file.write_text(file.read_text(encoding="utf-8").replace(",", ";"), encoding="utf-8")
    assert tables.faults() == []


def test_row_with_too_many_or_too_few_cells(tables):
    rows = tables.rows("trials")
    tables.write("trials", [rows[0], [*rows[1], "one more"], rows[2]])
    assert told(tables.folder) == [("trials.csv", 2, "11 cells where the header has 10")]
    tables.write("trials", [rows[0], rows[1], rows[2][:-1]])
    assert told(tables.folder) == [("trials.csv", 3, "9 cells where the header has 10")]


def test_quotation_mark_left_open(tables):
    with open(tables.folder / "trials.csv", "a", encoding="utf-8") as file:
        file.write('x,"Poe\n')
    [fault] = tables.faults()
    assert fault.row == 4 and fault.rule.startswith("not readable as CSV")


def test_file_that_only_claims_to_be_parquet(tables):
    (tables.folder / "arms.csv").rename(tables.folder / "arms.parquet")
    [fault] = tables.faults()
    assert fault.file == "arms.parquet" and fault.rule.startswith("not readable as Parquet")


def test_file_that_only_claims_to_be_a_workbook(tmp_path):
    file = tmp_path / "book.xlsx"
    file.write_text("trial_id\n")
    [fault] = check_evidence(file)
    assert fault.file == "book.xlsx" and fault.rule.startswith("not readable as an XLSX workbook")


def test_workbook_names_the_sheet_and_its_row(tables, tmp_path):
    file = as_workbook(load_evidence(tables.folder), tmp_path / "book.xlsx")
    book = openpyxl.load_workbook(file)
    column = [cell.value for cell in book["arms"][1]].index("sessions_per_week") + 1
    book["arms"].cell(row=3, column=column, value="twice")
    book["arms"].insert_rows(2)
    book.save(file)
    [fault] = check_evidence(file)
    assert (fault.table, fault.row, fault.value) == ("arms", 4, "twice")
    assert str(fault).startswith("book.xlsx, sheet arms, row 4, sessions_per_week = 'twice': not a")


def test_a_single_file_is_no_evidence(tables):
    [fault] = check_evidence(tables.folder / "trials.csv")
    assert fault.rule == "not a folder or workbook"
    other = tables.folder / "tables.ods"
    other.write_bytes(b"PK")
    (fault,) = check_evidence(other)
    assert fault.hint == "Save it as XLSX."


def test_name_and_version_come_from_a_datapackage(tables):
    evidence = load_evidence(tables.folder)
    assert (evidence.name, evidence.version) == ("mine", None)
    descriptor = tables.folder / "datapackage.json"
    descriptor.write_text(json.dumps({"name": "doe-trials", "version": "3.1"}))
    named = load_evidence(tables.folder)
    assert (named.name, named.version) == ("doe-trials", "3.1")
    assert named.content_hash == evidence.content_hash
    descriptor.write_text("{not json")
    assert load_evidence(tables.folder).name == "mine"


def test_frames_are_checked_as_files_are(tables):
    evidence = load_evidence(tables.folder)
    again = type(evidence).from_frames(evidence.trials, evidence.arms, evidence.outcomes, name="x")
    assert again.name == "x" and again.contrasts.empty
    bad = evidence.arms.assign(sessions_per_week=-1.0)
    with pytest.raises(EvidenceError) as caught:
        type(evidence).from_frames(evidence.trials, bad, evidence.outcomes)
    assert [fault.row for fault in caught.value.faults] == [2, 3, 4, 5, 6]


def separated(tables, delimiter, suffix="csv", **encoding):
    """The tables as a spreadsheet program of another locale writes them."""
    for name in NAMES:
        rows = tables.rows(name)
        (tables.folder / f"{name}.csv").unlink()
        with open(tables.folder / f"{name}.{suffix}", "w", newline="", **encoding) as file:
            comma = [[re.sub(r"^(-?\d+)\.(\d+)$", r"\1,\2", cell) for cell in row] for row in rows]
            csv.writer(file, delimiter=delimiter).writerows(comma)


@pytest.mark.parametrize(
    ("delimiter", "suffix", "encoding"),
    [
        (";", "csv", "utf-8"),
        (";", "csv", "utf-8-sig"),
        ("\t", "csv", "utf-16"),
        ("\t", "tsv", "utf-8"),
        ("\t", "TSV", "utf-16"),
    ],
)
def test_other_separators_and_decimal_commas(tables, delimiter, suffix, encoding):
    plain = load_evidence(tables.folder)
    separated(tables, delimiter, suffix, encoding=encoding)
    assert load_evidence(tables.folder).content_hash == plain.content_hash


def test_a_decimal_comma_between_commas_is_a_fault(tables):
    tables.set("outcomes", 3, "mean", "3,2")
    assert tables.only_fault().hint == "Write 3.2."


def test_thousands_are_not_guessed(tables):
    separated(tables, ";", encoding="utf-8")
    file = tables.folder / "trials.csv"
    file.write_text(file.read_text(encoding="utf-8").replace(";60;", ";1.060,5;"), encoding="utf-8")
    [fault] = tables.faults()
    assert (fault.column, fault.value, fault.rule) == ("n_randomised", "1.060,5", "not a number")


@pytest.mark.parametrize("name", ["Outcomes.csv", "OUTCOMES.CSV", " outcomes .csv"])
def test_case_and_blanks_of_file_names_do_not_matter(tables, name):
    plain = load_evidence(tables.folder)
    (tables.folder / "outcomes.csv").rename(tables.folder / name)
    assert load_evidence(tables.folder).content_hash == plain.content_hash


def test_a_file_that_is_nearly_a_table_is_named(tables):
    (tables.folder / "contrasts.csv").unlink()
    for name in ("outcomes_final.csv", "outcome.csv"):
        place = next(tables.folder.glob("outcome*.csv"))
        place.rename(tables.folder / name)
        fault = tables.only_fault()
        assert (fault.file, fault.rule) == (name, "not the name of a table")
    assert "Did you mean outcomes.csv?" in fault.hint


@pytest.mark.parametrize(
    "suffix", [".xls", ".ods", ".txt", ".csv.gz", ".zip", ".feather", ".csv.bak", ""]
)
def test_a_table_of_a_format_that_is_not_read_is_named(tables, suffix):
    (tables.folder / "outcomes.csv").rename(tables.folder / f"outcomes{suffix}")
    fault = tables.only_fault()
    assert (fault.table, fault.file) == ("outcomes", f"outcomes{suffix}")
    last = suffix[suffix.rfind(".") :] if suffix else ""
    assert fault.rule == (
        f"{last} is no format that is read" if last else "a name without an ending"
    )


@pytest.mark.parametrize("kind", ["folder", "pipe", "dead link"])
def test_what_is_no_file_is_named_and_not_waited_for(tables, kind):
    place = tables.folder / "outcomes.csv"
    place.unlink()
    if kind == "folder":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to("nowhere")
    fault = tables.only_fault()
    assert (fault.table, fault.file) == ("outcomes", "outcomes.csv")
    assert "not a" in fault.rule


def test_other_files_are_left_alone(tables):
    (tables.folder / "remarks.csv").write_text("a,b\n1,2\n")
    (tables.folder / "~$trials.xlsx").write_text("of a spreadsheet program")
    (tables.folder / ".arms.csv").write_text("of an editor")
    assert tables.faults() == []


def test_columns_that_differ_in_case_alone_are_one_twice(tables):
    rows = tables.rows("trials")
    tables.write("trials", [[*row, cell] for row, cell in zip(rows, ["Year", *"12"], strict=True)])
    assert (tables.only_fault().column, tables.only_fault().rule) == (
        *("year", "column is there twice"),
    )


def test_words_for_a_missing_value_in_frames(tables):
    evidence = load_evidence(tables.folder)
    arms = evidence.arms.astype(object).where(evidence.arms.notna(), "NA")
    again = type(evidence).from_frames(
        evidence.trials, arms, evidence.outcomes, evidence.contrasts, evidence.appraisals
    )
    assert again.content_hash == evidence.content_hash


def test_identifiers_that_became_decimals(tables):
    for name in NAMES:
        rows = tables.rows(name)
        ids = {"doe2020": "1.0" if name == "outcomes" else "1"}
        tables.write(name, [[ids.get(cell, cell) for cell in row] for row in rows])
    assert "1" in load_evidence(tables.folder).outcomes["trial_id"].tolist()


def test_very_many_columns_and_bad_rows_are_capped(tables):
    (tables.folder / "trials.csv").write_text(",".join(map(str, range(100_000))) + "\n", "utf-8")
    [fault] = [fault for fault in tables.faults() if fault.table == "trials"]
    assert fault.rule == "100,000 columns, where at most 1,000 are read"
    rows = tables.rows("outcomes")
    bad = [*rows[1][:-5], "inf", *rows[1][-4:]]
    tables.write("trials", tables.rows("appraisals"))
    tables.write("outcomes", [rows[0], *([bad] * 2000)])
    lines = str(EvidenceError(tables.faults())).splitlines()
    assert len(lines) < 30 and max(map(len, lines)) < 500


@pytest.mark.parametrize("value", ["inf", "-inf", "Infinity", "1e400"])
def test_infinite_values_are_faults(tables, value):
    tables.set("outcomes", 3, "mean", value)
    assert tables.only_fault().rule == "not a number"
    evidence_of = load_evidence
    tables.set("outcomes", 3, "mean", "3.2")
    evidence = evidence_of(tables.folder)
    bad = evidence.outcomes.assign(mean=float(value))
    with pytest.raises(EvidenceError, match="not a number"):
        type(evidence).from_frames(evidence.trials, evidence.arms, bad)
