"""Templates: what they hold, and that filled in they are evidence."""

from __future__ import annotations

import csv

import openpyxl
import pytest

from backpain_analysis.evidence.checking import check_evidence
from backpain_analysis.evidence.evidence import load_evidence
from backpain_analysis.evidence.participants import load_participants
from backpain_analysis.evidence.participants_checking import check_participants
from backpain_analysis.evidence.schema import PARTICIPANT_TABLES, TABLES, table_spec
from backpain_analysis.importing.workbooks import write_template


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """The workbook of trials."""
    return write_template(tmp_path_factory.mktemp("template") / "my-trials.xlsx")


def test_every_column_is_there_with_its_meaning_and_its_words(template):
    book = openpyxl.load_workbook(template)
    assert book.sheetnames == [*TABLES, "codebook", "words"]
    told = {(row[0], row[1]): row for row in book["codebook"].values}
    for name in TABLES:
        sheet, fields = book[name], table_spec(name).fields
        assert [cell.value for cell in sheet[1]] == [field.name for field in fields]
        rules = {
            str(rule.sqref).split(":")[0]: rule for rule in sheet.data_validations.dataValidation
        }
        for cell, field in zip(sheet[1], fields, strict=True):
            assert field.description in cell.comment.text
            assert told[name, field.name][6] == field.description
            rule = rules[f"{cell.column_letter}2"]
            assert rule.prompt.startswith(field.description[:200])
            assert (rule.type == "list") == bool(field.vocabulary)
            if field.vocabulary:
                place = rule.formula1.removeprefix("words!").replace("$", "")
                offered = [row[0].value for row in book["words"][place]]
                assert offered == list(field.vocabulary)


@pytest.mark.parametrize("as_csv", [False, True])
@pytest.mark.parametrize("participants", [False, True])
def test_the_only_fault_of_a_template_is_its_example(tmp_path, participants, as_csv):
    path = tmp_path / ("mine" if as_csv else "mine.xlsx")
    write_template(path, participants=participants, as_csv=as_csv)
    [fault] = (check_participants if participants else check_evidence)(path)
    assert fault.table == ("interventions" if participants else "trials")
    assert fault.rule == "made-up example of the template"


def test_a_template_filled_in_is_evidence(template, tmp_path):
    book = openpyxl.load_workbook(template)
    for name in TABLES:
        for row in book[name].iter_rows(min_row=2):
            row[0].value = "doe2021" if row[0].value else None
    book.save(tmp_path / "filled.xlsx")
    evidence = load_evidence(tmp_path / "filled.xlsx")
    assert evidence.effects("pain_intensity").table["yi"].tolist() == [-12.0]
    assert evidence.plausibility().empty


def test_the_template_of_participants_filled_in(tmp_path):
    folder = write_template(tmp_path / "people", participants=True, as_csv=True)
    for name in PARTICIPANT_TABLES:
        file = folder / f"{name}.csv"
        file.write_text(file.read_text("utf-8").replace("example2020", "t1"), "utf-8")
    assert load_participants(folder).scores["value"].tolist() == [6, 3]
    with open(folder / "codebook.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["table"] for row in rows} == set(PARTICIPANT_TABLES)


def test_nothing_is_written_over(template, tmp_path):
    before = template.read_bytes()
    with pytest.raises(FileExistsError, match="is there already"):
        write_template(template)
    assert template.read_bytes() == before
    with pytest.raises(ValueError, match=r"name an \.xlsx workbook"):
        write_template(tmp_path / "template.csv")
    assert list(tmp_path.iterdir()) == []
