"""The commands ``backpain data``: what they print, write and how they exit."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys

import openpyxl
import pytest
from bs4 import BeautifulSoup
from typer.testing import CliRunner

from backpain_analysis.cli import app
from backpain_analysis.datasets.bundled import data_dir
from backpain_analysis.evidence import load_evidence
from backpain_analysis.evidence.schema import vocabulary
from backpain_analysis.reporting.references import of_reviews

LONG = "a_trial_whose_name_is_longer_than_any_column_of_a_narrow_terminal_would_ever_show"


def data(*words: object, width: str = "80"):
    return CliRunner().invoke(app, ["data", *map(str, words)], env={"COLUMNS": width})


@pytest.fixture
def mine(tmp_path):
    """A folder of two trials with three kinds of faults, one of them often."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "trials.csv").write_text(
        f"trial_id,population,year\n{LONG},chronic_nslbp,2020\nt2,chronic,2021\n"
    )
    arms = [f"{LONG},a1,pilates,,2", f"{LONG},a2,none,waitlist,", "t2,a1,yoga,,2 x"]
    (folder / "arms.csv").write_text(
        "\n".join(["trial_id,arm_id,exercise_type,comparator_type,sessions_per_week", *arms])
    )
    head = "trial_id,arm_id,outcome,instrument,timepoint_label,value_type,mean,note"
    rows = [f"{LONG},a1,pain_intensity,VAS,post,level,{n} cm,{n}" for n in range(40)]
    rows.append('t2,a1,pain_intensity,VAS,post,level,=HYPERLINK("x"),')
    (folder / "outcomes.csv").write_text("\n".join([head, *rows]))
    return folder


def test_faults_are_grouped_and_never_cut(mine):
    for width in ("40", "200"):
        result = data("check", mine, width=width)
        assert result.exit_code == 1
        lines = result.output.splitlines()
        assert lines == [
            f"{mine}: 43 faults",
            "- trials.csv, row 3, population = 'chronic': unknown word. Did you mean "
            "'chronic_nslbp'? Or write 'other: …' in words of your own.",
            "- arms.csv, row 4, sessions_per_week = '2 x': not a number. Give one number with a "
            "decimal point and no unit, e.g. 12.5, or leave the cell empty.",
            "- outcomes.csv, mean: not a number, 41 times (row 2 '0 cm', row 3 '1 cm', row 4 "
            "'2 cm', …). Give one number with a decimal point and no unit, e.g. 12.5, or leave "
            "the cell empty.",
        ]


def test_faults_as_a_table_for_a_spreadsheet(mine):
    result = data("check", mine, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(result.output)))
    assert result.exit_code == 1 and len(rows) == 43
    assert {row["level"] for row in rows} == {"fault"}
    assert rows[-1]["value"] == '\'=HYPERLINK("x")'
    assert (rows[2]["file"], rows[2]["rows"], rows[2]["column"]) == ("outcomes.csv", "2", "mean")


def test_faults_as_json_and_html(mine):
    found = json.loads(data("check", mine, "--format", "json").output)["found"]
    assert len(found) == 43 and found[0]["hint"].startswith("Did you mean")
    page = BeautifulSoup(data("check", mine, "--format", "html").output, "html.parser")
    assert len(page.select("tbody tr")) == 43
    assert '=HYPERLINK("x")' in page.get_text()


def test_a_marked_copy_of_a_folder(mine, tmp_path):
    out = tmp_path / "marked.xlsx"
    before = {file.name: file.read_bytes() for file in mine.iterdir()}
    assert data("check", mine, "--mark", out).exit_code == 1
    assert {file.name: file.read_bytes() for file in mine.iterdir()} == before
    book = openpyxl.load_workbook(out)
    assert book.sheetnames == ["trials", "arms", "outcomes", "what was found"]
    red = {
        (sheet.title, cell.coordinate)
        for sheet in book.worksheets
        for row in sheet.iter_rows()
        for cell in row
        if cell.fill.fgColor.rgb == "FFFFC7CE"
    }
    means = {("outcomes", f"G{row}") for row in range(2, 43)}
    assert red == {("trials", "B3"), ("arms", "E4")} | means
    assert book["outcomes"]["G42"].data_type == "s"
    assert book["trials"]["B3"].comment.text.startswith("unknown word. Did you mean")
    assert len(list(book["what was found"].values)) == 44


def test_a_marked_copy_of_a_workbook(tmp_path):
    book = openpyxl.Workbook()
    book.active.title = "Trials"
    for row in (["", ""], ["Trial ID", "Population", "own"], ["t1", "chronic", "=1+1"]):
        book.active.append(row)
    book.save(tmp_path / "mine.xlsx")
    data("check", tmp_path / "mine.xlsx", "--mark", tmp_path / "marked.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "marked.xlsx")["Trials"]
    assert sheet["B3"].fill.fgColor.rgb == "FFFFC7CE"
    assert sheet["C3"].value == "=1+1" and sheet["A3"].comment is None


def test_warnings_are_marked_and_told_apart_from_faults(tmp_path):
    data("template", tmp_path / "mine", "--csv")
    for file in (tmp_path / "mine").iterdir():
        text = file.read_text("utf-8").replace("example2020", "t1").replace(",55,", ",0.55,")
        file.write_text(text, "utf-8")
    result = data("check", tmp_path / "mine", "--mark", tmp_path / "marked.xlsx")
    assert result.exit_code == 0
    first, _, _, told, last = result.output.splitlines()
    assert first == f"{tmp_path / 'mine'}: no faults, 1 warning"
    assert told == (
        "- t1, trials row 2: fraction where per cent belongs. pct_female is 0.55. "
        "To look at: whether 55 is meant."
    )
    assert "'checked' of trials" in last
    sheet = openpyxl.load_workbook(tmp_path / "marked.xlsx")["trials"]
    assert sheet["A2"].fill.fgColor.rgb == "FFFFEB9C"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["words", "exercise_typ"], "Did you mean 'exercise_type'?"),
        (["template", "taken.xlsx"], "is there already"),
        (["template", "new.csv"], "name an .xlsx workbook"),
        (["check", ".", "--mark", "taken.xlsx"], "is there already"),
        (["check", ".", "--mark", "new.csv"], "name it .xlsx"),
    ],
)
def test_wrong_arguments_are_one_message_and_change_nothing(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken.xlsx").write_text("mine")
    result = data(*words)
    assert result.exit_code == 2 and message in result.output
    assert [file.name for file in tmp_path.iterdir()] == ["taken.xlsx"]
    assert (tmp_path / "taken.xlsx").read_text() == "mine"


def test_words_of_a_column():
    result = data("words", "arms.comparator_type")
    known = vocabulary("arms", "comparator_type")
    assert result.output.splitlines() == [*known, "other: words of your own"]
    assert {"medication", "surgery", "acupuncture", "psychological_therapy"} <= set(known)
    assert {"self_management", "spinal_injection"} <= set(known)
    assert "comparator_type" in data("words").output


def test_a_word_for_missing_values(mine, tmp_path):
    for name in ("arms", "outcomes"):
        file = mine / f"{name}.csv"
        file.write_text(file.read_text().replace("2 x", "NR").replace('=HYPERLINK("x")', "7"))
    assert "'NR'" in data("check", mine).output
    assert "'NR'" not in data("check", mine, "--missing", "NR").output


def test_cite_prints_all_trials_and_reviews():
    count = len(load_evidence().trials) + len(of_reviews())
    assert data("cite").output.count("@article{") == count
    assert data("cite", "--as", "ris").output.count("TY  - JOUR") == count


def test_describe_of_participants():
    result = data("describe", data_dir() / "participants")
    assert result.exit_code == 0 and "participants" in result.output and "600" in result.output


def test_output_through_a_pipe_is_whole(mine):
    run = subprocess.run(
        [sys.executable, "-m", "backpain_analysis", "data", "check", str(mine)],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "20", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert run.returncode == 1 and run.stderr == ""
    told = "row 3, population = 'chronic': unknown word. Did you mean 'chronic_nslbp'?"
    assert told in run.stdout
