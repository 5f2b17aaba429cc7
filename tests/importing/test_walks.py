"""From a messy file to a report, as a researcher walks it: under ten commands each."""

from __future__ import annotations

import json
import random
import re

import matplotlib.pyplot as plt
import pytest
from typer.testing import CliRunner

import backpain_analysis as bp
from backpain_analysis.cli import app
from tests.importing.test_exports import RM5


class Walk:
    """Commands run one after another, counted."""

    def __init__(self) -> None:
        self.commands = 0

    def __call__(self, *words: object, code: int = 0) -> str:
        self.commands += 1
        result = CliRunner().invoke(app, [*map(str, words)], env={"COLUMNS": "100"})
        assert result.exit_code == code, result.output
        return result.output

    def edit(self, file, *changes: tuple[str, str]) -> None:
        """A mapping edited by hand, a command too."""
        self.commands += 1
        text = file.read_text("utf-8")
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        file.write_text(text, "utf-8")


@pytest.fixture
def walk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Walk()


def page_text(path) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", path.read_text("utf-8")).split())


def test_wide_workbook_to_report(walk, workbook, tmp_path):
    kinds = ["Pilates", "Yoga", "Walking", "Strength training"]
    others = ["Waiting list", "Usual care", "No treatment"]
    rows = [
        ["Extraction: trials in chronic low back pain (pain VAS 0-100; mean (SD))"],
        ["Study", "Intervention", "Comparator", "Sessions per week", "Session length (min)",
         "Weeks", "Exercise", None, None, "Control", None, None],
        [*[None] * 6, *["n", "VAS pre", "VAS post"] * 2],
    ]  # fmt: skip
    for i in range(8):
        post = "NR" if i == 5 else f"{44 + i}.5 ± {15 + i % 3}"
        rows.append(
            [f"Author{i} {2005 + i}", kinds[i % 4], others[i % 3],
             ["2-3", "2", "3x/week", "twice weekly"][i % 4], ["60", "45–60 min", "1 h"][i % 3],
             [8, "12 weeks", "6"][i % 3], 20 + 3 * i, f"{55 + i % 5}.{i} (15.0)",
             f"{33 + i} (14.5)*", 21 + 3 * i, "56.1 (16.2)", post]
        )  # fmt: skip
    rows.append(["* adjusted; NR, not reported"])
    spans = ["A1:L1", "G2:I2", "J2:L2", *(f"{column}2:{column}3" for column in "ABCDEF")]
    workbook("wide.xlsx", rows, spans, title="Extraction")

    told = walk("data", "import", "wide.xlsx", "--map", "mapping.yml", "--out", "mine")
    assert "8 trials, 16 arms, 31 outcomes" in told and "mine: no faults" in told
    assert "Assumed: population is chronic_nslbp" in told
    assert "left: 1 cell (Study; A12" in told
    walk("data", "check", "mine", "--mark", "marked.xlsx")
    walk("report", "run", "02_pooled_effects", "-p", "evidence", "mine", "--out", "site",
         "--no-warm")  # fmt: skip
    assert walk.commands < 10
    text = page_text(tmp_path / "site" / "02_pooled_effects.html")
    assert "In 7 trials (425 participants), pain was" in text and "Author4 2009" in text
    effects = bp.load_evidence("mine").effects("pain_intensity", analysis="final")
    assert effects.table["yi"].round(6).tolist() == [-11.5] * 7


def test_revman_file_to_forest_plot(walk, text_file):
    twice = RM5.replace(
        "</CONT_SUBGROUP>",
        '<CONT_DATA STUDY_ID="STD-B" MEAN_1="30.0" SD_1="16" TOTAL_1="40" MEAN_2="41.5" '
        'SD_2="17" TOTAL_2="41"/></CONT_SUBGROUP>',
    )
    text_file("review.rm5", twice)
    told = walk("data", "import", "review.rm5", "--map", "mapping.yml", "--out", "mine")
    assert "mine: no faults" in told
    effects = bp.load_evidence("mine").effects("pain_intensity", analysis="final")
    assert effects.table["yi"].round(6).tolist() == [31.2 - 44.0, 30.0 - 41.5]
    axes = bp.pool(effects).plot()
    labels = " ".join(text.get_text() for text in axes.figure.findobj(plt.Text))
    assert "Abel 2011" in labels and "Baker 2014" in labels
    plt.close("all")
    assert walk.commands < 10


def test_redcap_export_to_participants_report(walk, text_file, tmp_path):
    draw = random.Random(1)
    lines = [
        "record_id,redcap_event_name,group,sessions_per_week,session_minutes,age,sex,pain_nrs,"
        "form_complete"
    ]
    groups = [("Walking twice", "2", "30"), ("Walking more", "4", "30"), ("Usual care", "", "")]
    for person in range(60):
        group, sessions, minutes = groups[person % 3]
        start = draw.gauss(6, 1.2)
        for week, event in ((0, "baseline_arm_1"), (4, "week_4_arm_1"), (12, "week_12_arm_1")):
            fall = (1.2, 2.2, 0.5)[person % 3] * week / 12
            score = str(min(10, max(0, round(start - fall + draw.gauss(0, 0.8)))))
            who = f"{group},{sessions},{minutes},{40 + person % 20},{'FM'[person % 2]}"
            own = who if week == 0 else ",,,,"
            lines.append(f"{person},{event},{own},{'' if week and person % 9 == 0 else score},2")
    text_file("backs.csv", "\n".join(lines) + "\n")

    told = walk("data", "import", "backs.csv", "--map", "m.yml", "--out", "backs", code=1)
    assert "To be decided" in told and "end_week: how many weeks was the programme?" in told
    walk.edit(
        tmp_path / "m.yml",
        ("end_week:\n      value: '?'", "end_week:\n      value: '12'"),
        ("scale_min:\n      value: '?'", "scale_min:\n      value: '0'"),
        ("scale_max:\n      value: '?'", "scale_max:\n      value: '10'"),
    )
    told = walk("data", "import", "backs.csv", "--map", "m.yml", "--out", "backs")
    assert "60 interventions, 166 scores, 60 participants" in told
    assert "form_complete" in told and "backs: no faults" in told
    assert "60" in walk("data", "describe", "backs")
    walk("report", "run", "09_participants", "-p", "participants", "backs", "-p", "imputations",
         "2", "--out", "site", "--no-warm")  # fmt: skip
    assert walk.commands < 10
    assert "15 points or more" in page_text(tmp_path / "site" / "09_participants.html")
    assert json.loads((tmp_path / "site" / "manifest.json").read_text())
