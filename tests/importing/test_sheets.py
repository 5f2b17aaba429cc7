"""Extraction sheets of many shapes, in the style of journals' supplements; all made up."""

from __future__ import annotations

import pytest

from backpain_analysis.evidence.checking import check_evidence
from backpain_analysis.importing import guess_mapping, read_source, write_imported
from tests.importing.conftest import decided, imported, rows

RESULT = ("trial_id", "arm_id", "timepoint_label", "n", "mean", "dispersion")


def test_a_row_a_trial_below_three_merged_header_rows(workbook):
    path = workbook(
        "table_s2.xlsx",
        [
            ["Table S2. Trials of exercise for chronic low back pain"],
            ["Study", "Control", "Frequency (per week)", "Session duration", "Pain after "
             "treatment (VAS 0-100)", *[None] * 5, "Programme"],
            [None, None, None, None, "Exercise", None, None, "Control", None, None, None],
            [None, None, None, None, *["n", "Mean", "SD"] * 2, None],
            ["Abel 2011", "Waiting list", "2-3", "60 min", 25, "31.2", "14.1", 24, 44, 15.2,
             "Pilates"],
            ["Baker 2014", "Usual care", "daily", "0.5 h", 40, 28.4, "16*", 41, 39.9, "NR",
             "Walking"],
            ["* computed from the standard error; NR, not reported"],
        ],
        ["A1:K1", "A2:A4", "B2:B4", "C2:C4", "D2:D4", "E2:J2", "E3:G3", "H3:J3", "K2:K4"],
    )  # fmt: skip
    found = imported(path)
    assert rows(found.tables["outcomes"], *RESULT) == [
        ("Abel_2011", "a1", "post", "25", "31.2", "14.1"),
        ("Abel_2011", "a2", "post", "24", "44", "15.2"),
        ("Baker_2014", "a1", "post", "40", "28.4", "16"),
        ("Baker_2014", "a2", "post", "41", "39.9", ""),
    ]
    assert rows(
        found.tables["arms"], "exercise_type", "comparator_type", "sessions_per_week",
        "minutes_per_session",
    ) == [
        ("pilates", "", "2.5", "60"),
        ("none", "waitlist", "", ""),
        ("aerobic_walking", "", "7", "30"),
        ("none", "usual_care", "", ""),
    ]  # fmt: skip
    assert found.tables["arms"]["note"][0] == "sessions_per_week 2-3 taken as 2.5"
    assert set(found.tables["outcomes"]["instrument"]) == {"VAS"}
    assert set(found.tables["outcomes"]["scale_max"]) == {"100"}
    assert found.tables["trials"]["population"].tolist() == ["chronic_nslbp"] * 2
    assert found.tables["trials"]["design"].tolist() == ["parallel"] * 2
    assert rows(found.tables["trials"], "first_author", "year") == [
        ("Abel", "2011"),
        ("Baker", "2014"),
    ]
    left = found.report[found.report["what"] == "left"]
    assert rows(left, "cell", "why") == [("A7", "a note below the table")]


def test_a_row_an_arm_with_merged_studies_and_decimal_commas(workbook):
    path = workbook(
        "arms.xlsx",
        [
            ["Author (year)", "Population", "Group", "n", "VAS baseline (mean ± SD)",
             "VAS post (mean ± SD)"],
            ["Diaz 2018", "chronic LBP", "Core stabilisation", 30, "6,1 ± 1,5", "3,2 ± 1,4"],
            [None, None, "Waitlist", 29, "6,0 ± 1,6", "5,6 ± 1,7"],
            ["Egli 2019", "subacute LBP", "Aerobic training", 22, "5,4 ± 1,9", "n. r."],
            [None, None, "No intervention", 20, "5,5 ± 2,0", "n. r."],
            ["VAS, visual analogue scale (0-10 cm)"],
        ],
        ["A2:A3", "A4:A5", "B2:B3"],
    )  # fmt: skip
    found = imported(path)
    assert rows(found.tables["outcomes"], *RESULT) == [
        ("Diaz_2018", "Core_stabilisation", "baseline", "30", "6.1", "1.5"),
        ("Diaz_2018", "Core_stabilisation", "post", "30", "3.2", "1.4"),
        ("Diaz_2018", "Waitlist", "baseline", "29", "6.0", "1.6"),
        ("Diaz_2018", "Waitlist", "post", "29", "5.6", "1.7"),
        ("Egli_2019", "Aerobic_training", "baseline", "22", "5.4", "1.9"),
        ("Egli_2019", "No_intervention", "baseline", "20", "5.5", "2.0"),
    ]
    assert set(found.tables["outcomes"]["scale_max"]) == {"10"}
    trials = rows(found.tables["trials"], "trial_id", "population")
    assert trials == [("Diaz_2018", "chronic_nslbp"), ("Egli_2019", "subacute_lbp")]
    report = found.report.set_index("cell")
    assert report.loc["B3", "why"] == "merged with row 2"
    assert (report.loc["F4", "what"], report.loc["F4", "why"]) == (
        "turned",
        "a word for a missing value",
    )


def test_a_row_a_contrast_with_intervals(workbook):
    path = workbook(
        "contrasts.xlsx",
        [
            ["Study ID", "Experimental", "Comparator", "Outcome", "Time point", "MD [95% CI]",
             "P value"],
            ["Fox2020", "Strength training", "Usual care", "Pain (NRS 0-10)", "12 weeks",
             "−1.2 [−2.3 to −0.1]", "0.03"],
            ["Fox2020", "Strength training", "Usual care", "Disability (RMDQ)", "12 weeks",
             "−2.5 [−4.1, −0.9]", "P = 0.002"],
            ["Gray2021", "Stretching", "No treatment", "Pain (NRS 0-10)", "6 months",
             "-0.4 (0.3 to -1.1)", "ns"],
        ],
    )  # fmt: skip
    found = imported(path, population="chronic_nslbp")
    assert rows(
        found.tables["contrasts"], "trial_id", "instrument", "scale_max", "timepoint_weeks",
        "estimate", "ci_level", "ci_low", "ci_high", "p_value",
    ) == [
        ("Fox2020", "NRS", "10", "12", "-1.2", "95", "-2.3", "-0.1", "0.03"),
        ("Fox2020", "RMDQ", "24", "12", "-2.5", "95", "-4.1", "-0.9", "0.002"),
    ]  # fmt: skip
    left = found.report[found.report["what"] == "left"]
    told = set(rows(left, "cell", "why"))
    assert ("F4", "the value lies outside its interval") in told
    assert ("G4", "not a P value") in told


def test_a_row_a_result_in_a_file_with_semicolons(text_file):
    path = text_file(
        "long.csv",
        "Trial;Year;Arm;Outcome;Instrument;Timepoint;N;Mean;SD\n"
        "Hale;2015;Pilates;Pain;VAS (0-100);baseline;20;55,2;18,1\n"
        "Hale;2015;Pilates;Pain;VAS (0-100);8 weeks;19;31,0;17,5\n"
        "Hale;2015;Control (no exercise);Pain;VAS (0-100);8 weeks;20;50,3;20,2\n"
        "Ito;2016;Yoga – gentle;Disability;ODI;12 weeks;33;20,1;9,9\n",
        encoding="cp1252",
    )
    found = imported(path, population="other")
    assert rows(found.tables["outcomes"], *RESULT, "timepoint_weeks", "instrument") == [
        ("Hale", "Pilates", "baseline", "20", "55.2", "18.1", "0", "VAS"),
        ("Hale", "Pilates", "post", "19", "31.0", "17.5", "8", "VAS"),
        ("Hale", "Control_(no_exercise)", "post", "20", "50.3", "20.2", "8", "VAS"),
        ("Ito", "Yoga_–_gentle", "post", "33", "20.1", "9.9", "12", "ODI"),
    ]
    assert "n_randomised" not in found.tables["arms"]


def test_names_of_columns_as_programmers_write_them(text_file):
    path = text_file(
        "codes.csv",
        "study,mean_post_ex,sd_post_ex,n_ex,mean_post_ctrl,sd_post_ctrl,n_ctrl,mean_pre_ex,"
        "sd_pre_ex\nJones 2012,3.1,1.8,30,4.9,2.0,31,6.0,1.5\n",
    )
    _, guess = guess_mapping(read_source(path))
    told = "\n".join(guess.mapping.undecided())
    for question in ("common.outcomes.instrument", "trials.population", "2.comparator_type"):
        assert question in told
    found = imported(
        path, population="other", outcome="pain_intensity", instrument="NRS", scale_min="0",
        scale_max="10", higher_is_better="no", exercise_type="yoga", comparator_type="waitlist",
    )  # fmt: skip
    assert rows(found.tables["outcomes"], *RESULT) == [
        ("Jones_2012", "a1", "post", "30", "3.1", "1.8"),
        ("Jones_2012", "a2", "post", "31", "4.9", "2.0"),
        ("Jones_2012", "a1", "baseline", "30", "6.0", "1.5"),
    ]


def test_two_header_rows_with_gaps_per_cents_medians_and_a_formula(workbook):
    path = workbook(
        "notes.xlsx",
        [
            ["Supplementary file 3"],
            ["Values are mean (SD) unless stated otherwise"],
            [],
            ["Reference", "Sample size", "% female", "Exercise group", None, "Comparison group",
             None, "Notes"],
            [None, None, None, *["Baseline NRS (0-10)", "8 wk NRS (0-10)"] * 2, None],
            ["Lopez 2017", 60, 0.55, "5.9 (1.7)", "3.4 (1.9)", "6.1 (1.5)", "5.0 (2.2)", "ITT"],
            ["Meyer 2018", 44, 0.6, "median 6 (IQR 5–7)", "=1+1", "6.0 (1.4)", "about 5", None],
        ],
        formats={"C6": "0%", "C7": "0%"},
    )  # fmt: skip
    found = imported(path, population="other", exercise_type="yoga", comparator_type="usual_care")
    assert rows(found.tables["trials"], "n_randomised", "pct_female") == [
        ("60", "55"),
        ("44", "60"),
    ]
    assert rows(
        found.tables["outcomes"], "arm_id", "timepoint_weeks", "value_type", "mean",
        "dispersion_type", "dispersion", "lower", "upper",
    ) == [
        ("a1", "0", "level", "5.9", "sd", "1.7", "", ""),
        ("a1", "8", "level", "3.4", "sd", "1.9", "", ""),
        ("a2", "0", "level", "6.1", "sd", "1.5", "", ""),
        ("a2", "8", "level", "5.0", "sd", "2.2", "", ""),
        ("a1", "0", "median", "6", "iqr", "", "5", "7"),
        ("a2", "0", "level", "6.0", "sd", "1.4", "", ""),
    ]  # fmt: skip
    left = rows(found.report[found.report["what"] == "left"], "cell", "why")
    assert left == [
        ("H6", "no field of the mapping takes this column"),
        ("E7", "formula without a stored value"),
        ("G7", "not a value with a spread"),
    ]


def test_what_stands_in_brackets_is_asked_where_nothing_says_it(text_file):
    path = text_file("v.csv", "Study,Arm,VAS 0-100 post\nA,Yoga,31 (14)\nA,Waitlist,44 (15)\n")
    _, guess = guess_mapping(read_source(path))
    assert [line for line in guess.mapping.undecided() if "summary" in line] == [
        "tables.outcomes.summary: what stands beside the value: sd, se, ci95, iqr or range?"
    ]
    found = imported(path, population="other", summary="se")
    assert rows(found.tables["outcomes"], "dispersion_type", "dispersion") == [
        ("se", "14"),
        ("se", "15"),
    ]


def test_covidence_keeps_the_consensus(text_file):
    path = text_file(
        "covidence.csv",
        "Covidence #,Study ID,Reviewer Name,Intervention group description,Control group "
        "description,Intervention Pain NRS (0-10) 8 weeks mean,Intervention Pain NRS (0-10) "
        "8 weeks SD,Intervention N,Control Pain NRS (0-10) 8 weeks mean,Control Pain NRS (0-10) "
        "8 weeks SD,Control N\n"
        "#12,Abel 2011,Ann Lee,Pilates classes,Waiting list,3.1,1.4,25,5.5,1.7,24\n"
        "#12,Abel 2011,Consensus,Pilates classes,Waiting list,3.2,1.4,25,5.6,1.7,24\n",
    )
    found = imported(path, population="chronic_nslbp")
    assert rows(found.tables["outcomes"], *RESULT) == [
        ("Abel_2011", "a1", "post", "25", "3.2", "1.4"),
        ("Abel_2011", "a2", "post", "24", "5.6", "1.7"),
    ]
    why = found.report.loc[found.report["row"] == 2, "why"]
    assert set(why) == {"row not kept: Reviewer Name is 'Ann Lee'"} and len(why) == 11


def test_every_cell_that_holds_something_is_in_the_report(workbook, tmp_path):
    sheet = [
        ["Study", "Group", "n", "Pain NRS 0-10 post mean", "Pain NRS 0-10 post SD", "Remarks"],
        ["A", "Pilates", 20, 3, 1.5, "x"],
        ["A", "Waiting list", 20, 5, None, None],
        [None, None, None, None, None, "a stray remark"],
        ["B", "Yoga", "20 of 22", "three", 1, "y"],
    ]
    found = imported(workbook("all.xlsx", sheet), population="other")
    there = {
        f"{letter}{number}"
        for number, row in enumerate(sheet[1:], start=2)
        for letter, cell in zip("ABCDEF", row, strict=True)
        if cell is not None
    }
    assert set(found.report["cell"]) == there
    assert set(found.report["what"]) == {"read", "turned", "left"}
    assert not found.report.loc[found.report["what"] == "left", "became"].any()
    grid = read_source(tmp_path / "all.xlsx")
    mapping = decided(guess_mapping(grid)[1], population="other")
    out = write_imported(found, mapping, "all.xlsx", tmp_path / "out")
    assert check_evidence(out) == []
    assert {file.name for file in out.iterdir()} == {
        "trials.csv", "arms.csv", "outcomes.csv", "import_report.csv", "mapping.yml"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rows_of", "message"),
    [
        ([], "nothing is in it"),
        ([["Study", "Pain"]], "no rows below the header"),
        ([["a"] * 1200, ["1"] * 1200], "1,200 columns, where at most 1,000 are read"),
    ],
)
def test_sheets_that_hold_nothing_to_import(workbook, rows_of, message):
    with pytest.raises(ValueError, match=message):
        read_source(workbook("none.xlsx", rows_of))
