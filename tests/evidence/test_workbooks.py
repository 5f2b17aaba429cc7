"""Workbooks are read as a reader sees them, and what is no workbook is told in a line."""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from pathlib import Path

import openpyxl
import pytest
from openpyxl.chart import BarChart, Reference

from backpain_analysis.evidence import workbooks
from backpain_analysis.evidence.checking import check_evidence
from backpain_analysis.evidence.evidence import load_evidence
from backpain_analysis.evidence.participants_checking import check_participants, holds_participants
from backpain_analysis.evidence.workbooks import UnreadableWorkbook, Workbook

CASES = Path(__file__).parent / "cases"


@pytest.fixture
def book(tables):
    """The tables of the fixture as a workbook in memory: one sheet each."""
    found = openpyxl.Workbook()
    found.remove(found.active)
    for name in ("trials", "arms", "outcomes", "contrasts", "appraisals"):
        sheet = found.create_sheet(name)
        for row in tables.rows(name):
            sheet.append([_number(cell) for cell in row])
    return found


def _number(text):
    try:
        return float(text)
    except ValueError:
        return text or None


def saved(book, folder):
    file = folder / "book.xlsx"
    book.save(file)
    return file


def column_of(sheet, name):
    return [cell.value for cell in sheet[1]].index(name) + 1


def test_a_workbook_of_numbers_is_the_evidence_of_its_texts(tables, book, tmp_path):
    own = load_evidence(saved(book, tmp_path))
    assert own.content_hash == load_evidence(tables.folder).content_hash


@pytest.mark.parametrize(
    ("titles", "header"),
    [
        (str.upper, str.upper),
        (lambda name: f" {name.title()} ", lambda name: name.replace("_", " ").title()),
        (str, lambda name: f"  {name.replace('_', '-')} "),
    ],
)
def test_case_and_blanks_of_names_do_not_matter(tables, book, tmp_path, titles, header):
    for sheet in book.worksheets:
        title, sheet.title = titles(sheet.title), "aside"
        sheet.title = title
        for cell in sheet[1]:
            cell.value = header(cell.value)
    own = load_evidence(saved(book, tmp_path))
    assert own.content_hash == load_evidence(tables.folder).content_hash


def test_no_sheet_with_the_name_of_a_table(book, tmp_path):
    for sheet, title in zip(book.worksheets, ("Extraction", "Arm", "c", "d", "e"), strict=True):
        sheet.title = title
    [fault] = check_evidence(saved(book, tmp_path))
    assert fault.rule == "no sheet has the name of a table"
    assert "'Extraction' (did you mean trials?), 'Arm' (did you mean arms?), 'c'" in fault.hint
    assert "backpain data import book.xlsx" in fault.hint


def test_a_sheet_that_is_nearly_a_table_is_named(book, tmp_path):
    book["outcomes"].title = "Outcome"
    faults = check_evidence(saved(book, tmp_path))
    assert [(fault.sheet, fault.rule) for fault in faults] == [
        ("Outcome", "not the name of a table")
    ]
    assert "Did you mean outcomes?" in faults[0].hint


def test_two_sheets_of_one_name(book, tmp_path):
    book.create_sheet("Arms ")
    faults = check_evidence(saved(book, tmp_path))
    assert [(fault.sheet, fault.rule) for fault in faults] == [
        ("arms and Arms ", "table is there twice")
    ]


def test_every_fault_names_its_sheet(book, tmp_path):
    sheet = book["outcomes"]
    sheet.cell(3, column_of(sheet, "mean"), "twelve")
    sheet.cell(4, column_of(sheet, "arm_id"), "a9")
    sheet.cell(5, column_of(sheet, "value_type"), "levels")
    faults = check_evidence(saved(book, tmp_path))
    assert {fault.sheet for fault in faults} == {"outcomes"} and len(faults) == 3
    assert all(str(fault).startswith("book.xlsx, sheet outcomes, row ") for fault in faults)


@pytest.mark.parametrize(
    ("value", "style", "shown"),
    [
        (0.55, "0%", 55),
        (0.555, "0.0%", 55.5),
        (0.07, "0.00%", 7),
        (1, "0%", 100),
        (55, '0"%"', 55),
        (55, r"0\%", 55),
        (55, "General", 55),
    ],
)
def test_a_percentage_loads_as_it_is_shown(book, tmp_path, value, style, shown):
    sheet = book["trials"]
    cell = sheet.cell(2, column_of(sheet, "pct_female"), value)
    cell.number_format = style
    evidence = load_evidence(saved(book, tmp_path))
    assert evidence.trials["pct_female"].tolist() == [shown, 50]


def test_a_formula_without_its_value_is_a_fault(book, tmp_path):
    sheet = book["outcomes"]
    sheet.cell(3, column_of(sheet, "mean"), "=6.1-2.9")
    [fault] = check_evidence(saved(book, tmp_path))
    assert (fault.sheet, fault.row, fault.column, fault.value) == (
        *("outcomes", 3, "mean", "=6.1-2.9"),
    )
    assert fault.rule == "formula without a stored value"


def with_cell(file, old, new):
    """The workbook with a piece of its XML changed."""
    content = io.BytesIO(file.read_bytes())
    with zipfile.ZipFile(content) as source, zipfile.ZipFile(file, "w") as target:
        found = 0
        for part in source.infolist():
            text = source.read(part)
            found += text.count(old)
            target.writestr(part, text.replace(old, new))
    assert found == 1


def test_a_formula_with_its_value_is_its_value(book, tmp_path):
    sheet = book["outcomes"]
    sheet.cell(3, column_of(sheet, "mean"), "=6.1-2.9")
    file = saved(book, tmp_path)
    with_cell(file, b"<f>6.1-2.9</f><v></v>", b"<f>6.1-2.9</f><v>3.2</v>")
    assert load_evidence(file).outcomes["mean"].tolist()[1] == 3.2


def test_a_formula_that_gives_the_empty_text_is_empty(book, tmp_path):
    sheet = book["trials"]
    at = column_of(sheet, "pct_female")
    sheet.cell(2, at, '=""')
    file = saved(book, tmp_path)
    cell = f'<c r="{sheet.cell(2, at).coordinate}"'.encode()
    with_cell(file, cell + b'><f>""</f><v></v>', cell + b' t="str"><f>""</f><v></v>')
    assert load_evidence(file).trials["pct_female"].isna().tolist() == [True, False]


def test_the_error_value_of_a_formula_is_a_fault(book, tmp_path):
    sheet = book["outcomes"]
    sheet.cell(3, column_of(sheet, "mean"), "#DIV/0!")
    [fault] = check_evidence(saved(book, tmp_path))
    assert (fault.value, fault.rule) == ("#DIV/0!", "error value of a formula")


def test_a_number_that_became_a_date_is_told_so(book, tmp_path):
    sheet = book["arms"]
    sheet.cell(2, column_of(sheet, "sessions_per_week"), dt.datetime(2026, 3, 2))
    [fault] = check_evidence(saved(book, tmp_path))
    assert fault.value == "2026-03-02" and "took it for a date" in fault.hint


def test_identifiers_1_and_1_point_0_are_one(tables, book, tmp_path):
    for sheet in book.worksheets:
        for row in sheet.iter_rows(min_row=2):
            for cell in row:
                cell.value = {"doe2020": 1, "roe2021": "2.0"}.get(cell.value, cell.value)
    book["outcomes"].cell(2, 1, "1.0")
    evidence = load_evidence(saved(book, tmp_path))
    assert set(evidence.outcomes["trial_id"]) == {"1", "2"} == set(evidence.arms["trial_id"])


@pytest.mark.parametrize("word", ["NA", "n/a", "N/A", ".", "#N/A"])
def test_words_for_a_missing_value(book, tmp_path, word):
    sheet = book["trials"]
    for column in ("pct_female", "country"):
        sheet.cell(2, column_of(sheet, column), word)
    trials = load_evidence(saved(book, tmp_path)).trials
    assert trials["pct_female"].isna().tolist() == [True, False]
    assert trials["country"].isna().tolist() == [True, False]


def test_a_word_of_ones_own_for_a_missing_value(book, tmp_path):
    sheet = book["trials"]
    sheet.cell(2, column_of(sheet, "pct_female"), "not seen")
    file = saved(book, tmp_path)
    assert [fault.value for fault in check_evidence(file)] == ["not seen"]
    assert check_evidence(file, missing="not seen") == []
    assert load_evidence(file, missing=["x", "not seen"]).trials["pct_female"].isna().sum() == 1


def test_case_capitals():
    evidence = load_evidence(CASES / "xlsx" / "Trials.xlsx")
    assert evidence.trials["trial_id"].tolist() == ["a", "b"] and len(evidence.outcomes) == 4


def test_case_identifiers_of_numbers():
    assert load_evidence(CASES / "xlsx" / "b.xlsx").arms["trial_id"].tolist() == list("1122")


def test_case_one_sheet_of_another_name():
    [fault] = check_evidence(CASES / "xlsx" / "sheet1.xlsx")
    assert "'Sheet1' (did you mean outcomes?)" in fault.hint


def test_case_people():
    file = CASES / "xlsx" / "people.xlsx"
    assert holds_participants(file)
    told = [(fault.table, fault.sheet, fault.rule) for fault in check_participants(file)]
    assert told == [("scores", "Scores", "the table is empty")]


def test_case_numbered_rows():
    evidence = load_evidence(CASES / "csv")
    assert evidence.trials["trial_id"].tolist() == ["müller2019", "b"]
    assert next(iter(evidence.trials)) == "trial_id"


def chart_only(file):
    book = openpyxl.Workbook()
    chart = BarChart()
    chart.add_data(Reference(book.active, min_col=1, min_row=1, max_row=2))
    book.create_chartsheet("trials").add_chart(chart)
    book.remove(book.active)
    book.save(file)


def truncated(file):
    openpyxl.Workbook().save(file)
    file.write_bytes(file.read_bytes()[:-200])


def flipped(file):
    book = openpyxl.Workbook()
    book.active.append(["x"] * 50)
    book.save(file)
    content = bytearray(file.read_bytes())
    for place in range(len(content) // 3, len(content) // 3 + 40):
        content[place] ^= 0xFF
    file.write_bytes(content)


def encrypted(file):
    file.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000))


def of_parts(**parts):
    def write(file):
        with zipfile.ZipFile(file, "w") as target:
            for name, text in parts.items():
                target.writestr(name.replace("__", "/") + ".xml", text)

    return write


def odd_compression(file):
    openpyxl.Workbook().save(file)
    content = bytearray(file.read_bytes())
    for mark, at in ((b"PK\x01\x02", 10), (b"PK\x03\x04", 8)):
        place = -1
        while (place := content.find(mark, place + 1)) >= 0:
            content[place + at : place + at + 2] = (99).to_bytes(2, "little")
    file.write_bytes(content)


def bomb(file):
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
        with target.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as part:
            part.write(bytes(11_000_000))


LAUGHS = "<!DOCTYPE x [" + "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(9))


def laughing(file):
    book = openpyxl.Workbook()
    book.active.append(["trial_id"])
    book.save(file)
    content = io.BytesIO(file.read_bytes())
    with zipfile.ZipFile(content) as source, zipfile.ZipFile(file, "w") as target:
        for part in source.infolist():
            text = source.read(part)
            if part.filename.endswith("sheet1.xml"):
                text = text.replace(
                    b"<worksheet", LAUGHS.encode() + b'<!ENTITY l0 "ha">]><worksheet'
                )
            target.writestr(part, text)


@pytest.mark.parametrize(
    "write",
    [
        *(chart_only, truncated, flipped, encrypted, odd_compression, bomb),
        of_parts(a="<a/>"),
        of_parts(xl__workbook="<not closed"),
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(b"PK\x03\x04" + bytes(500)),
        lambda file: file.write_text("trial_id,arm_id\n"),
    ],
)
def test_what_is_no_workbook_is_one_fault(tmp_path, write, monkeypatch):
    monkeypatch.setattr(workbooks, "MOST_BYTES", 10_000_000)
    file = tmp_path / "book.xlsx"
    write(file)
    [fault] = check_evidence(file)
    assert fault.file == "book.xlsx" and fault.hint and "\n" not in str(fault)
    assert not holds_participants(file)


def test_entities_are_not_expanded(tmp_path):
    file = tmp_path / "book.xlsx"
    laughing(file)
    try:
        with Workbook(file) as book:
            assert (
                sum(len(cell) for row in book.sheet("Sheet").rows.values() for cell in row) < 1000
            )
    except UnreadableWorkbook:
        pass


SHEET = (
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    '<row r="1"><c r="A1" t="inlineStr"><is><t>trial_id</t></is></c><c r="B1" s="1"/></row>'
    '<row r="2" s="1"/><row r="3"><c r="A3" s="1"/><c r="B3"></c></row>'
    '<row r="4"><c r="B4"/><c r="C4"><f>1+1</f><v>2</v></c><c r="D4"><f>1/0</f></c></row>'
    '<row{}><c{} s="1"/><c{}><v>7</v></c></row></sheetData></worksheet>'
)


@pytest.mark.parametrize("places", [(' r="9"', ' r="A9"', ' r="B9"'), ("", "", "")])
def test_a_large_sheet_of_formatted_nothing_reads_as_a_small_one(tmp_path, monkeypatch, places):
    file = tmp_path / "book.xlsx"
    openpyxl.Workbook().save(file)
    content = io.BytesIO(file.read_bytes())
    with zipfile.ZipFile(content) as source, zipfile.ZipFile(file, "w") as target:
        for part in source.infolist():
            sheet = part.filename.endswith("sheet1.xml")
            target.writestr(part, SHEET.format(*places) if sheet else source.read(part))
    read = []
    for large in (0, 10**9):
        monkeypatch.setattr(workbooks, "LARGE", large)
        with Workbook(file) as book:
            read.append(book.sheet("Sheet"))
    small = read[1]
    assert small.rows[4][2] == "2" and small.problems[0].row == 4
    assert small.rows[9 if places[0] else 5][1] == "7"
    filled = [
        ({n: "|".join(row).rstrip("|") for n, row in each.rows.items()}, each.problems)
        for each in read
    ]
    assert filled[0] == filled[1]
    monkeypatch.setattr(workbooks, "LARGE", 0)
    monkeypatch.setattr(workbooks, "MOST_CELLS", 2)
    with pytest.raises(UnreadableWorkbook, match="more than 2 cells"):
        Workbook(file)


def test_a_sheet_may_lie_about_its_size(book, tmp_path):
    file = saved(book, tmp_path)
    dimension = f'<dimension ref="{book["trials"].dimensions}"'.encode()
    with_cell(file, dimension, b'<dimension ref="A1:B2"')
    assert load_evidence(file).trials["pct_female"].tolist() == [55.5, 50]


def test_a_cell_far_away_costs_little(book, tmp_path):
    book["trials"].cell(1_048_576, 1, None).number_format = "0.00"
    book["arms"].cell(6, 16_384, "far")
    faults = check_evidence(saved(book, tmp_path))
    assert [(fault.table, fault.row) for fault in faults] == [("arms", 6)]
    assert faults[0].rule == "16384 cells where the header has 7"
