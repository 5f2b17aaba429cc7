"""Headers in several rows, headings between rows, comparisons in a cell; all made up."""

from __future__ import annotations

import pytest

from backpain_analysis.importing import guess_mapping, import_file, read_source, unused_columns
from backpain_analysis.importing.headers import arm_field_of, field_of, meaning_of, two_groups
from backpain_analysis.importing.mapping import Mapping
from tests.importing.conftest import imported, rows

RESULT = ("trial_id", "arm_id", "outcome", "timepoint_label", "n", "mean", "dispersion")
DECIDED = {
    "population": "other",
    "outcome": "pain_intensity",
    "instrument": "NRS",
    "scale_min": "0",
    "scale_max": "10",
    "higher_is_better": "no",
    "comparator_type": "usual_care",
    "exercise_type": "yoga",
}

ARM_LEVEL = [
    ["Study", "Group", None, "Dose", None, "n", "Pain NRS 0-10 post", None],
    [None, "Arm", "Exercise type", "Sessions per week", "Minutes", None, "Mean", "SD"],
    ["Abel 2011", "Intervention", "Pilates", 2, 60, 25, 3.1, 1.4],
    ["Abel 2011", "Control", "Waiting list", None, None, 24, 5.0, 1.6],
]
SPANS = ["A1:A2", "B1:C1", "D1:E1", "F1:F2", "G1:H1"]


@pytest.mark.parametrize("merged", [SPANS, []])
def test_a_row_an_arm_under_parents(workbook, merged):
    found = imported(workbook("arms.xlsx", ARM_LEVEL, merged), **DECIDED)
    names = ("arm_id", "exercise_type", "comparator_type", "sessions_per_week", "n_randomised")
    assert rows(found.tables["arms"], *names, "minutes_per_session") == [
        ("Intervention", "pilates", "", "2", "25", "60"),
        ("Control", "none", "waitlist", "", "24", ""),
    ]
    assert rows(found.tables["outcomes"], *RESULT) == [
        ("Abel_2011", "Intervention", "pain_intensity", "post", "25", "3.1", "1.4"),
        ("Abel_2011", "Control", "pain_intensity", "post", "24", "5", "1.6"),
    ]
    assert "left" not in set(found.report["what"])


def test_a_row_an_arm_under_times_and_a_parent_that_is_no_arm(workbook):
    path = workbook(
        "arms.xlsx",
        [
            ["Study characteristics", None, "Treatment arm", None, None,
             "Outcome: disability (ODI)", None, None, None],
            ["Study", "Design", "Name", "Exercise", "N", "Baseline", None, "6 months", None],
            [*[None] * 5, "Mean", "SD", "Mean", "SD"],
            ["Abel 2011", "RCT", "Group A", "Core stabilisation", 25, 31.1, 14, 20.1, 12],
            ["Abel 2011", "RCT", "Group B", "No treatment", 24, 32.2, 14, 30.1, 12],
        ],
        ["A1:B1", "C1:E1", "F1:I1", "F2:G2", "H2:I2", *(f"{c}2:{c}3" for c in "ABCDE")],
    )  # fmt: skip
    found = imported(path, **DECIDED)
    assert rows(found.tables["arms"], "arm_id", "exercise_type", "comparator_type") == [
        ("Group_A", "core_stabilisation", ""),
        ("Group_B", "none", "no_treatment"),
    ]
    names = ("arm_id", "outcome", "timepoint_weeks", "n", "mean", "dispersion")
    assert rows(found.tables["outcomes"], *names) == [
        ("Group_A", "disability", "0", "25", "31.1", "14"),
        ("Group_A", "disability", "26", "25", "20.1", "12"),
        ("Group_B", "disability", "0", "24", "32.2", "14"),
        ("Group_B", "disability", "26", "24", "30.1", "12"),
    ]


def test_a_row_a_contrast_under_parents(workbook):
    path = workbook(
        "contrasts.xlsx",
        [
            ["Study", "Comparison", None, "Outcome", None, "Effect", None, None, None],
            [None, "Intervention", "Comparator", "Measure", "Time (weeks)", "MD", "95% CI", None,
             "P"],
            [*[None] * 6, "Lower", "Upper", None],
            ["Abel 2011", "Pilates", "Waiting list", "Pain (VAS 0-100)", 8, -9.1, -14, -4.2, 0.001],
        ],
        ["A1:A3", "B1:C1", "D1:E1", "F1:I1", "G2:H2", *(f"{c}2:{c}3" for c in "BCDEFI")],
    )  # fmt: skip
    found = imported(path, **DECIDED)
    names = ("arm_id", "ref_arm_id", "outcome", "timepoint_weeks", "effect_measure", "estimate")
    assert rows(found.tables["contrasts"], *names, "ci_low", "ci_high", "p_value") == [
        ("a1", "a2", "pain_intensity", "8", "md", "-9.1", "-14", "-4.2", "0.001")
    ]
    assert rows(found.tables["arms"], "exercise_type", "comparator_type") == [
        ("pilates", ""),
        ("none", "waitlist"),
    ]


def test_a_row_a_trial_under_three_rows_whose_first_has_few_names(workbook):
    path = workbook(
        "trials.xlsx",
        [
            ["Trial characteristics", None, None, "Group 1", *[None] * 4, "Group 2", *[None] * 4],
            ["Author", "Year", "Population",
             *["Type", "Sessions/week", "n", "Pain (VAS, 0-100)", None] * 2],
            [*[None] * 6, "Mean", "SD", None, None, None, "Mean", "SD"],
            ["Abel", 2011, "CLBP", "Pilates", 2, 25, 31.1, 14, "Walking", 3, 24, 45, 16],
        ],
        ["A1:C1", "D1:H1", "I1:M1", "G2:H2", "L2:M2", *(f"{c}2:{c}3" for c in "ABCDEFIJK")],
    )  # fmt: skip
    found = imported(path)
    assert rows(found.tables["outcomes"], *RESULT) == [
        ("Abel", "a1", "pain_intensity", "post", "25", "31.1", "14"),
        ("Abel", "a2", "pain_intensity", "post", "24", "45", "16"),
    ]
    assert rows(found.tables["arms"], "arm_id", "exercise_type", "sessions_per_week") == [
        ("a1", "pilates", "2"),
        ("a2", "aerobic_walking", "3"),
    ]
    assert rows(found.tables["trials"], "first_author", "year", "population") == [
        ("Abel", "2011", "chronic_nslbp")
    ]


def test_units_and_weeks_in_a_second_header_row(workbook, text_file):
    found = imported(
        text_file(
            "units.csv",
            "Study,Group,Frequency,Session duration,n,Pain,SD\n"
            ",,(sessions/week),(min),,(VAS 0-100),\n"
            'Abel 2011,Pilates,2-3,45,"1,025",31,14\nAbel 2011,Usual care,-,-,"1,024",45,16\n',
        ),
        **DECIDED,
    )
    assert rows(found.tables["outcomes"], "arm_id", "scale_max", "n", "mean") == [
        ("Pilates", "100", "1025", "31"),
        ("Usual_care", "100", "1024", "45"),
    ]
    path = workbook(
        "weeks.xlsx",
        [
            ["Study", "Arm", "Pain NRS (0-10), mean (SD), at week", None, None, "N"],
            [None, None, 0, 6, 12, None],
            ["Abel 2011", "Pilates", "6.1 (1.4)", "3.1 (1.4)", "3.0 (1.5)", 25],
        ],
        ["A1:A2", "B1:B2", "C1:E1", "F1:F2"],
    )
    found = imported(path, **DECIDED)
    assert rows(found.tables["outcomes"], "timepoint_weeks", "n", "mean", "dispersion") == [
        ("0", "25", "6.1", "1.4"),
        ("6", "25", "3.1", "1.4"),
        ("12", "25", "3.0", "1.5"),
    ]


def test_headings_between_rows_and_totals_are_no_trials(workbook):
    sheet = [
        ["Table S3. Results"],
        ["Study", "Exercise", "Control", "Mean exercise (SD)", "n exercise", "Mean control (SD)",
         "n control"],
        ["Pain (VAS 0-100)"],
        ["Abel 2011", "Pilates", "Waiting list", "31 (14)", 25, "45 (16)", 24],
        ["Disability (RMDQ)"],
        ["Abel 2011", "Pilates", "Waiting list", "6 (3)", 25, "9 (4)", 24],
        ["Total", None, None, None, 50, None, 48],
        ["Funding: none"],
    ]  # fmt: skip
    found = imported(workbook("s.xlsx", sheet, ["A5:G5", "A8:G8"]), **DECIDED)
    assert found.tables["trials"]["trial_id"].tolist() == ["Abel_2011"]
    names = ("arm_id", "outcome", "instrument", "scale_max", "mean")
    assert rows(found.tables["outcomes"], *names) == [
        ("a1", "pain_intensity", "VAS", "100", "31"),
        ("a2", "pain_intensity", "VAS", "100", "45"),
        ("a1", "disability", "RMDQ", "24", "6"),
        ("a2", "disability", "RMDQ", "24", "9"),
    ]
    report = found.report
    of_row = report[(report["row"] == 6) & (report["field"] == "outcome")]
    assert set(of_row["cell"]) == {"A5"} and set(of_row["why"]) == {"the heading in row 5"}
    left = dict(rows(report[report["what"] == "left"], "cell", "why"))
    assert "A5" not in left and report.loc[report["row"] == 5, "what"].tolist() == ["read"]
    assert left["E7"] == "a total or a summary, not a trial"
    assert left["A8"] == "a note below the table"


@pytest.mark.parametrize("indented", [False, True])
def test_studies_that_stand_above_their_arms(workbook, indented):
    def arm(*cells):
        return [None, *cells] if indented else list(cells)

    head = ["Study", "Group"] if indented else ["Study / group"]
    sheet = [
        [*head, "n", "Pain VAS 0-100 mean", "SD"],
        ["Abel 2011"],
        arm("Pilates", 25, 31, 14),
        arm("Waiting list", 24, 45, 16),
        ["Baker 2014"],
        arm("Yoga", 30, 36, 19),
        arm("Usual care", 31, 44, 21),
    ]
    found = imported(workbook("blocks.xlsx", sheet), **DECIDED)
    assert rows(found.tables["outcomes"], "trial_id", "arm_id", "n", "mean", "dispersion") == [
        ("Abel_2011", "Pilates", "25", "31", "14"),
        ("Abel_2011", "Waiting_list", "24", "45", "16"),
        ("Baker_2014", "Yoga", "30", "36", "19"),
        ("Baker_2014", "Usual_care", "31", "44", "21"),
    ]


def test_a_trial_with_nothing_beside_its_name_is_no_heading(text_file):
    text = "Study,Arm,n,VAS 0-100 post mean\nAbel 2011,Yoga,20,31\nBo 2012,,,\nCai 2013,Yoga,9,30\n"
    grid = read_source(text_file("gap.csv", text))
    assert not grid.headings


def test_comparisons_in_a_cell_of_a_trial_with_three_arms(text_file):
    path = text_file(
        "pairs.csv",
        "Study,Comparison,Outcome,Follow-up (weeks),Pain MD,Pain 95% CI,Sample size\n"
        "Abel 2011,Pilates vs. waiting list,Pain (VAS 0-100),8,-9.1,-14 to -4.2,49\n"
        "Abel 2011,Yoga vs. waiting list,Pain (VAS 0-100),8,-7.1,-12 to -2.2,50\n"
        "Abel 2011,Pilates versus yoga,Pain (VAS 0-100),8,-2,-7 to 3,51\n",
    )
    found = imported(path, **DECIDED)
    names = ("arm_id", "ref_arm_id", "estimate", "ci_low", "ci_high")
    assert rows(found.tables["contrasts"], *names) == [
        ("Pilates", "waiting_list", "-9.1", "-14", "-4.2"),
        ("Yoga", "waiting_list", "-7.1", "-12", "-2.2"),
        ("Pilates", "Yoga", "-2", "-7", "3"),
    ]
    assert rows(found.tables["arms"], "arm_id", "exercise_type", "comparator_type") == [
        ("Pilates", "pilates", ""),
        ("waiting_list", "none", "waitlist"),
        ("Yoga", "yoga", ""),
    ]
    assert "n_randomised" not in found.tables["trials"]


def test_intervals_stay_with_their_own_outcome(text_file):
    path = text_file(
        "two.csv",
        "Study,Comparison,Pain NRS 0-10 MD,Pain NRS 0-10 95% CI,Disability ODI MD,"
        'Disability ODI 95% CI\nA,Pilates vs waiting list,-1.9,"-2.8, -1.0",-6.1,"-9.9, -2.3"\n',
    )
    found = imported(path, **DECIDED)
    assert rows(found.tables["contrasts"], "outcome", "estimate", "ci_low", "ci_high") == [
        ("pain_intensity", "-1.9", "-2.8", "-1.0"),
        ("disability", "-6.1", "-9.9", "-2.3"),
    ]


def test_an_author_of_two_years_is_two_trials(text_file):
    path = text_file(
        "authors.csv",
        "Author,Year,Group,n,VAS 0-100 after mean,SD\nSmith,2010,Pilates,25,31,14\n"
        "Smith,2010,Usual care,24,45,16\nSmith,2015,Yoga,25,33,14\nSmith,2015,Usual care,9,44,16\n",
    )
    found = imported(path, **DECIDED)
    assert rows(found.tables["trials"], "trial_id", "first_author", "year") == [
        ("Smith_2010", "Smith", "2010"),
        ("Smith_2015", "Smith", "2015"),
    ]


def test_doses_of_each_arm_and_numbers_that_are_no_results(text_file):
    path = text_file(
        "doses.csv",
        "Study,Intervention,Intervention sessions/week,Control,Control sessions/week,"
        "Age mean,Age SD,Pain duration (months),Pain VAS 0-100 post int mean,"
        "Pain VAS 0-100 post int SD,n int,Pain VAS 0-100 post con mean,n con\n"
        "Abel 2011,Pilates,2,Stretching,1,44,10,36,31,14,25,45,24\n",
    )
    found = imported(path, **DECIDED)
    assert rows(found.tables["arms"], "arm_id", "exercise_type", "sessions_per_week") == [
        ("a1", "pilates", "2"),
        ("a2", "stretching_mixed", "1"),
    ]
    assert rows(found.tables["outcomes"], "arm_id", "n", "mean", "dispersion") == [
        ("a1", "25", "31", "14"),
        ("a2", "24", "45", ""),
    ]
    grid = read_source(path)
    unused = unused_columns(grid, guess_mapping(grid)[1].mapping)
    assert unused == ["Age SD", "Pain duration (months)"]


def test_a_table_that_lies_on_its_side_is_refused(text_file):
    path = text_file("side.csv", "Item,Abel 2011,Baker 2014,Cole 2019\nn,25,30,40\nPain,31,36,30\n")
    with pytest.raises(ValueError, match="the table lies on its side"):
        read_source(path)


def test_a_sheet_without_results_is_asked_for_them(text_file):
    path = text_file("french.csv", "Étude;Groupe;moyenne\nLefèvre 2011;Pilates;3,1\n", "latin-1")
    _, guess = guess_mapping(read_source(path))
    told = "tables: no column is known as a result; say which are (outcomes, or contrasts)"
    assert told in guess.mapping.undecided()
    with pytest.raises(ValueError, match="no column is known as a result"):
        import_file(path, guess.mapping)


def test_a_further_column_belongs_to_an_id():
    ids = {"trial_id": {"column": "Author", "also": "Year"}}
    Mapping.model_validate({"ids": ids, "tables": {}})
    with pytest.raises(ValueError, match="'also' adds to the column of an id"):
        Mapping.model_validate({"ids": {"trial_id": {"value": "A", "also": "Year"}}, "tables": {}})


@pytest.mark.parametrize(
    ("parts", "stat", "spread"),
    [
        (("Effect", "MD"), "estimate", ""),
        (("Effect", "P"), "p", ""),
        (("Effect", "95% CI", "Lower"), "lower", "ci95"),
        (("Treatment effect", "Exercise", "Mean"), "mean", ""),
        (("Mean difference", "95% CI"), "interval", "ci95"),
        (("Pain, mean (SD)", "Baseline"), "summary", "sd"),
        (("Exercise (n = 25)", "Baseline"), "", ""),
        (("MD lower limit",), "lower", ""),
        (("MD (lower, upper)",), "summary", "ci95"),
        (("Age", "SD"), "", ""),
    ],
)
def test_the_lowest_row_names_the_statistic(parts, stat, spread):
    found = meaning_of(*parts)
    assert (found.stat, found.spread) == (stat, spread)


def test_fields_under_parents_and_of_one_arm():
    assert field_of("Dose", "Sessions per week") == ("sessions_per_week", "arms")
    assert field_of("Pain NRS 0-10", "n") is None
    assert field_of("Control group", "n", arm="2") is None
    assert arm_field_of("Control group sessions/week") == "sessions_per_week"
    assert arm_field_of("Group 2 duration (weeks)") == "duration_weeks"
    assert arm_field_of("Control n") == ""
    assert arm_field_of("Control n randomised") == "n_randomised"


def test_the_two_groups_of_a_comparison():
    assert two_groups("Yoga vs. usual care") == ("Yoga", "usual care")
    assert two_groups("Yoga compared with no treatment") == ("Yoga", "no treatment")
    assert two_groups("Yoga v") is None and two_groups("Activity versus") is None
