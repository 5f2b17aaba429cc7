"""The real notebooks, run: as they stand, with other choices, and on a user's own trials."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest
from bs4 import BeautifulSoup
from numpy.testing import assert_allclose

import backpain_analysis as bp
from backpain_analysis.answers.tables.effects import effect_interval
from backpain_analysis.datasets.bundled import notebooks_dir, reports_dir
from backpain_analysis.evidence.evidence import load_evidence
from backpain_analysis.models.pairwise.pooling import pool
from backpain_analysis.reporting.run import run_suite
from backpain_analysis.reporting.suite import read_suite
from backpain_analysis.words import ABBREVIATIONS
from tests.reporting.audit import audit

SUITE = """
title: The notebooks
reports:
  - {notebook: 01_evidence_map, name: map}
  - {notebook: 02_pooled_effects, name: pooled}
  - notebook: 02_pooled_effects
    name: yoga-smd
    parameters: {outcome: disability, measure: SMD, exercise_types: [yoga], timepoint: [20, 60]}
  - {notebook: 03_dose_response, name: dose}
  - notebook: 03_dose_response
    name: dose-linear
    parameters:
      outcome: disability
      dose: duration_weeks
      curve: linear
      mcid: 7
      leave_out: [exclude, caution]
  - {notebook: 04_exercise_types, name: types}
  - notebook: 04_exercise_types
    name: families-smd
    parameters: {outcome: disability, lumping: families, measure: SMD, lump: {yoga: stretching}}
  - {notebook: 05_dose_by_type, name: dose-by-type}
  - {notebook: 06_time_course, name: time-course}
  - {notebook: 07_pain_sensitivity, name: sensitivity}
  - {notebook: 08_mechanisms, name: mechanisms}
  - {notebook: 09_participants, name: participants, parameters: {imputations: 3}}
  - {notebook: 10_moderators, name: moderators}
  - {notebook: 11_certainty, name: certainty}
  - {notebook: 12_claims, name: claims}
"""

OWN = """
title: My own trials
evidence: mine
reports:
  - {notebook: 01_evidence_map, name: map}
  - {notebook: 02_pooled_effects, name: pooled}
"""


def built(folder, text):
    path = folder / "suite.yml"
    path.write_text(text, encoding="utf-8")
    outcomes = run_suite(read_suite(path), folder / "site", jobs=2)
    return folder / "site", {outcome.report.name: outcome for outcome in outcomes}


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    return built(tmp_path_factory.mktemp("suite"), SUITE)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Three of the bundled trials as somebody's own folder of Parquet tables."""
    folder = tmp_path_factory.mktemp("own")
    mine = folder / "mine"
    mine.mkdir()
    evidence = load_evidence().filter(trial_id=["sherman2011", "tankha2024", "miyamoto2013"])
    for name in ("trials", "arms", "outcomes", "contrasts"):
        getattr(evidence, name).astype(object).convert_dtypes().to_parquet(mine / f"{name}.parquet")
    return built(folder, OWN)


def test_every_run_finishes(suite, own):
    assert [o.error for _, outcomes in (suite, own) for o in outcomes.values()] == [""] * len(
        [*suite[1], *own[1]]
    )


def test_each_answers_with_an_interval(suite):
    answers = {name: outcome.answer for name, outcome in suite[1].items()}
    assert answers["map"].startswith("180 trials from 1988 to 2026")
    assert "(95% confidence interval [CI] " in answers["pooled"]
    assert "that matters to patients (MCID), 15 points" in answers["pooled"]
    assert "standard deviations" in answers["yoga-smd"]
    assert "with exercise" in answers["yoga-smd"] or "between exercise" in answers["yoga-smd"]
    for name in ("dose", "dose-linear"):
        assert "with the typical dose of exercise" in answers[name]
        assert "That more exercise does more" in answers[name]
    assert "matters to patients (MCID), 7 points" in answers["dose-linear"]
    for name in ("types", "families-smd"):
        assert re.search(r"\d+ trials .* compare \d+ treatments", answers[name])
    assert "SD" not in answers["types"]
    assert "95% CI" in answers["dose-by-type"]
    assert "95% CI" in answers["time-course"]
    assert "kilopascals" in answers["sensitivity"] and "SD" in answers["mechanisms"]
    assert answers["participants"].startswith("Synthetic data: nobody in them exists.")
    assert "Of 12 moderators" in answers["moderators"]
    assert "certainty" in answers["certainty"]
    assert re.match(r"Of \d+ claims", answers["claims"])


def test_files_beside_a_page_reproduce_its_pooled_number(suite):
    """As docs/howto/export.md says; the numbers are those of the page, digit by digit."""
    folder = suite[0] / "tables" / "pooled"
    (effects,) = folder.glob("*-behind-the-figure-funnel-plot.csv")
    (table,) = folder.glob("*-by-type-of-exercise.csv")
    trials, told = pd.read_csv(effects), pd.read_csv(table, index_col=0).loc["All types"]
    again = pool(trials["yi"], trials["vi"], test="knha")
    numbers = [
        told["MD"],
        told["MD, 95% CI low"],
        told["MD, 95% CI high"],
        told["I², %"],
        told["P"],
    ]
    assert_allclose(
        numbers, [again.estimate, again.ci_low, again.ci_high, again.i2, again.p_value], rtol=1e-6
    )
    (arms,) = folder.glob("*-behind-the-figure-forest-plot-*.csv")
    assert {"trial", "arm_id", "yi", "vi", "n_arm", "n_ref", "minutes_per_week"} <= set(
        pd.read_csv(arms)
    )


def test_the_page_of_dose_agrees_with_the_library_and_the_index(suite):
    """Headline, tables and index hold the same numbers, as `dose_answer` and stored tables do."""
    site, outcomes = suite
    effects = bp.load_evidence().filter(population=bp.BACK_PAIN).effects("pain_intensity")
    answer = bp.dose_answer(effects, "minutes_per_week", mcid=bp.mcid("pain_intensity"))
    spelled = answer.text.replace("CI", "confidence interval [CI]", 1)
    assert outcomes["dose"].answer == spelled
    index, page = (
        BeautifulSoup((site / name).read_text(encoding="utf-8"), "html.parser").get_text(" ")
        for name in ("index.html", "dose.html")
    )
    assert spelled in " ".join(index.split())
    for found in (answer.effect, answer.slope):
        assert page.count(effect_interval(vars(found), "MD")) >= 2
    for curve in answer.curves.table.to_dict("records"):
        assert effect_interval(curve | {"estimate": curve["effect"]}, "MD") in page
    assert bp.dose_calibration().text in " ".join(page.split())


def test_own_trials_are_what_is_analysed(own):
    site, outcomes = own
    assert outcomes["map"].answer.startswith("3 trials from 2011 to 2024")
    assert outcomes["pooled"].answer.startswith("In 3 trials")
    reports = json.loads((site / "manifest.json").read_text())["reports"]
    bundled = load_evidence().content_hash
    assert {report["evidence"]["name"] for report in reports} == {"mine"}
    assert bundled not in {report["evidence"]["content_hash"] for report in reports}


@pytest.mark.parametrize(
    "name",
    "map pooled yoga-smd dose dose-linear types time-course sensitivity mechanisms participants "
    "moderators claims".split(),
)
def test_pages_hold_what_a_reader_needs_and_reach_nowhere(suite, name):
    text = (suite[0] / f"{name}.html").read_text(encoding="utf-8")
    assert audit(text) == []
    page = BeautifulSoup(text, "html.parser")
    assert len(page.find_all("h1")) == 1
    assert "What this cannot say" in [h.get_text() for h in page.find_all("h2")]
    figures = page.select("figure [role=img]")
    assert figures and all(figure["aria-label"].strip() for figure in figures)
    assert not page.select(".messages, .error, .traceback")
    visible = page.main.get_text()
    assert "nan" not in visible.split() and "[nan" not in visible


def _same(suite, first, second, pattern):
    """What a pattern finds in the answers of two pages, without signs."""
    pages = [suite[1][name].answer for name in (first, second)]
    found = [re.search(pattern[place], pages[place]) for place in (0, 1)]
    assert all(found), pages
    return [tuple(number.lstrip("−") for number in one.groups()) for one in found]


LIMITS = r"[^(]*\(95% (?:CI|confidence interval \[CI\])"


def test_one_question_has_one_number_on_every_page(suite):
    """The effect on pain, disability and quality of life on the pages that state them."""
    pooled = rf"pain was ([\d.]+) points of 100 lower{LIMITS} ([\d.]+) to ([\d.]+) lower\)"
    graded = rf"pain −([\d.]+) points of 100{LIMITS} −([\d.]+) to −([\d.]+);"
    first, second = _same(suite, "pooled", "certainty", (pooled, graded))
    assert (first[0], sorted(first[1:])) == (second[0], sorted(second[1:]))
    parts = table_of(suite, "claims", "What was estimated for each claim")
    results = table_of(suite, "certainty", "Main results and their certainty")
    said = {f"{row['Result'].lower()}": row["Effect [95% CI]"] for row in results}
    assert numbers_of(said["exercise, pain"]) == list(second)
    claimed = {
        question.lower().replace("-", " ").replace(" exercise against", " against"): row[
            "Estimate [95% CI]"
        ]
        for row in parts
        for question in row["Part"].split(" (")[:1]
    }
    same = [
        (numbers_of(effect), numbers_of(claimed[question]))
        for result, effect in said.items()
        if (question := " against no exercise, ".join(result.split(", ", 1))) in claimed
    ]
    assert len(same) > 5
    assert [graded for graded, _ in same] == [part for _, part in same]
    answered = suite[1]["mechanisms"].answer
    life = re.search(rf"quality of life ([−\d.]+) [^(]*{LIMITS} ([−\d.]+) to ([−\d.]+)", answered)
    assert [n.lstrip("−") for n in life.groups()] == numbers_of(said["exercise, quality of life"])


def test_the_number_needed_to_treat_is_one(suite):
    results = table_of(suite, "certainty", "Main results and their certainty")
    needed = next(row["NNT [95% CI]"] for row in results if row["Result"] == "Exercise, pain")
    course = page_of(suite, "time-course").get_text(" ")
    assert numbers_of(needed)[0] in re.search(r"Over all trials, exercise.*", course)[0]


CODE = re.compile(r"\b[a-z]+(?:_[a-z0-9]+)+\b")
WIDEST = 7
SHORT = ("CI", "MCID", "SMD")


@pytest.mark.parametrize(
    "name",
    "map pooled dose types dose-by-type time-course sensitivity mechanisms moderators certainty "
    "claims index".split(),
)
def test_pages_are_in_words(suite, name):
    """No trial by its id, no word of code, no abbreviation unexplained, no table too wide."""
    page = page_of(suite, name)
    for part in page.select("script, style, pre, code, svg, details, select, p.set"):
        part.decompose()
    said = page.get_text(" ")
    ids = "|".join(map(re.escape, load_evidence().trials["trial_id"]))
    assert re.findall(rf"\b(?:{ids})\b", said) == []
    assert CODE.findall(said) == []
    assert re.findall(r"P = 0\.000|\b1 trials\b|\bnan\b", said) == []
    for short in SHORT:
        if found := re.search(rf".{{0,60}}\b{short}\b.{{0,60}}", said):
            assert ABBREVIATIONS[short] in said.lower(), found[0]
    widths = [len(table.select("thead th")) for table in page.select("table")]
    assert max(widths, default=0) <= WIDEST


def page_of(suite, name):
    return BeautifulSoup((suite[0] / f"{name}.html").read_text(encoding="utf-8"), "html.parser")


def table_of(suite, name, title):
    """The rows of a table, by heading."""
    for table in page_of(suite, name).select("table"):
        if table.caption and title in table.caption.get_text():
            heads = [cell.get_text(" ", strip=True) for cell in table.select("thead th")]
            rows = [
                [cell.get_text(" ", strip=True) for cell in row.select("td")]
                for row in table.select("tbody tr")
            ]
            return [dict(zip(heads, row, strict=True)) for row in rows]
    raise AssertionError(f"no table {title!r} on {name}")


def numbers_of(text):
    """The estimate and its limits in a cell, without signs."""
    return re.findall(r"\d+(?:\.\d+)?", text)[:3]


def test_default_suite_asks_what_it_promises():
    suite = read_suite(reports_dir() / "default.yml")
    asked = {
        (report.notebook.name, report.parameters.get("outcome"), report.parameters.get("dose"))
        for report in suite.reports
    }
    both = ("pain_intensity", "disability")
    doses = ("minutes_per_week", "sessions_per_week", "duration_weeks")
    assert ("01_evidence_map", None, None) in asked
    assert {("02_pooled_effects", outcome, None) for outcome in both} <= asked
    assert {("03_dose_response", o, d) for o in both for d in doses} <= asked
    assert {("04_exercise_types", outcome, None) for outcome in both} <= asked
    assert {("05_dose_by_type", outcome, "minutes_per_week") for outcome in both} <= asked


def test_notebooks_are_prose_first_and_short():
    """At most a screen of code in a cell, and every notebook says what it cannot say."""
    for path in sorted(notebooks_dir().glob("*.ipynb")):
        cells = json.loads(path.read_text())["cells"]
        assert cells[0]["cell_type"] == "markdown"
        code = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
        assert max(source.count("\n") for source in code) < 30
        assert "What this cannot say" in "".join(cells[-1]["source"])
