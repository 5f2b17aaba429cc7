"""Rules between cells, rows and tables; how faults are reported."""

from __future__ import annotations

import pickle

import pytest

from backpain_analysis.evidence.checking import check_evidence
from backpain_analysis.evidence.evidence import load_evidence
from backpain_analysis.evidence.faults import EvidenceError, Fault


def where(fault):
    return fault.table, fault.row, fault.column, fault.value


def test_arm_of_an_unknown_trial(tables):
    rows = tables.rows("arms")
    tables.write("arms", [*rows, ["doe202", "a1", "yoga", *[""] * 4]])
    fault = tables.only_fault()
    assert where(fault) == ("arms", 7, "trial_id", "doe202")
    assert fault.rule == "not in table trials"
    assert fault.hint == "There is no trial 'doe202'. Did you mean 'doe2020'?"


def test_result_of_an_unknown_arm(broken):
    fault = broken("outcomes", 3, "arm_id", "a9")
    assert where(fault) == ("outcomes", 3, "arm_id", "a9")
    assert (fault.rule, fault.hint) == ("not in table arms", "The arms of doe2020 are a1, a2, a3.")


def test_one_fault_does_not_hide_or_break_another(tables):
    tables.set("arms", 2, "arm_id", "")
    tables.set("trials", 3, "trial_id", "")
    told = {(fault.table, fault.row, fault.column) for fault in tables.faults()}
    missing = {("trials", 3, "trial_id"), ("arms", 2, "arm_id")}
    unknown = {("outcomes", 2, "arm_id"), ("contrasts", 2, "arm_id"), ("arms", 5, "trial_id")}
    assert told >= missing | unknown


def test_contrast_of_an_unknown_arm(broken):
    assert where(broken("contrasts", 2, "arm_id", "a9")) == ("contrasts", 2, "arm_id", "a9")


def test_contrast_against_an_unknown_arm(broken):
    fault = broken("contrasts", 3, "ref_arm_id", "b1")
    assert where(fault) == ("contrasts", 3, "ref_arm_id", "b1")


def test_arm_compared_with_itself(broken):
    fault = broken("contrasts", 2, "ref_arm_id", "a1")
    assert where(fault) == ("contrasts", 2, "ref_arm_id", "a1")
    assert fault.rule == "arm against itself"


@pytest.mark.parametrize("mean", ["10.1", "-0.1"])
def test_mean_outside_its_scale(broken, mean):
    fault = broken("outcomes", 3, "mean", mean)
    assert where(fault) == ("outcomes", 3, "mean", mean)
    assert fault.rule == "mean outside its scale"
    assert "The scale is 0 to 10" in fault.hint


def test_change_may_be_below_the_scale(tables):
    tables.set("outcomes", 6, "mean", "-20")
    assert tables.faults() == []


@pytest.mark.parametrize("scale_max", ["0", "-10"])
def test_scale_without_width(broken, scale_max):
    fault = broken("outcomes", 3, "scale_max", scale_max)
    assert where(fault) == ("outcomes", 3, "scale_max", scale_max)
    assert fault.rule == "scale without width"


@pytest.mark.parametrize(("row", "column"), [(3, "dispersion"), (4, "lower"), (4, "upper")])
def test_dispersion_type_without_its_value(broken, row, column):
    fault = broken("outcomes", row, column, "")
    assert (fault.row, fault.column) == (row, "dispersion_type")
    assert fault.rule == "dispersion type without its value"


@pytest.mark.parametrize("row", [3, 4])
def test_spread_without_dispersion_type(broken, row):
    fault = broken("outcomes", row, "dispersion_type", "")
    assert where(fault) == ("outcomes", row, "dispersion_type", None)
    assert fault.rule == "spread without dispersion type"


def test_upper_limit_of_a_mean_below_its_lower_limit(broken):
    fault = broken("outcomes", 4, "upper", "1")
    assert where(fault) == ("outcomes", 4, "upper", "1")
    assert fault.rule == "upper limit below lower limit"


def test_upper_confidence_limit_below_the_lower(broken):
    fault = broken("contrasts", 2, "ci_high", "-7")
    assert where(fault) == ("contrasts", 2, "ci_high", "-7")
    assert fault.rule == "upper limit below lower limit"


def test_an_interval_has_width(tables, broken):
    tables.set("contrasts", 2, "ci_low", "-2.4")
    fault = broken("contrasts", 2, "ci_high", "-2.4")
    assert where(fault) == ("contrasts", 2, "ci_high", "-2.4")
    assert fault.rule == "interval without width"
    assert fault.hint == "ci_low is -2.4, too: give more digits, or leave both limits empty."


def test_an_interval_of_a_mean_has_width(tables, broken):
    tables.set("outcomes", 4, "lower", "3.9")
    assert broken("outcomes", 4, "upper", "3.9").rule == "interval without width"


def test_mean_outside_its_interval(broken):
    fault = broken("outcomes", 4, "mean", "5")
    assert where(fault) == ("outcomes", 4, "mean", "5")
    assert (fault.rule, fault.hint) == ("mean outside its interval", "lower is 2.9, upper is 4.9.")


def test_estimate_outside_its_interval(broken):
    fault = broken("contrasts", 2, "estimate", "2.4")
    assert where(fault) == ("contrasts", 2, "estimate", "2.4")
    assert fault.rule == "estimate outside its interval"


def test_estimate_outside_its_only_limit(broken):
    fault = broken("contrasts", 3, "estimate", "0.7")
    assert fault.hint == "ci_low is not given, ci_high is 0.6."


def test_estimate_may_be_missing_where_only_p_is_printed(tables):
    for column in ("estimate", "ci_level", "ci_low", "ci_high"):
        tables.set("contrasts", 2, column, "")
    assert tables.faults() == []


def test_more_analysed_than_randomised(broken):
    fault = broken("outcomes", 3, "n", "21")
    assert where(fault) == ("outcomes", 3, "n", "21")
    assert (fault.rule, fault.hint) == (
        "more analysed than randomised",
        "The arm has 20 randomised.",
    )


def test_arms_hold_more_than_their_trial(broken):
    fault = broken("trials", 2, "n_randomised", "59")
    assert where(fault) == ("trials", 2, "n_randomised", "59")
    assert fault.rule == "fewer randomised than its arms hold"
    assert "Its arms hold 60" in fault.hint


def test_in_a_crossover_each_arm_alone_is_held_against_the_trial(broken):
    fault = broken("trials", 3, "n_randomised", "19")
    assert where(fault) == ("trials", 3, "n_randomised", "19")
    assert "Its arms hold 20" in fault.hint


def test_exercise_arm_with_a_comparator_type(broken):
    fault = broken("arms", 2, "comparator_type", "usual_care")
    assert where(fault) == ("arms", 2, "comparator_type", "usual_care")
    assert fault.rule == "comparator type of an exercise arm"


def test_arm_without_exercise_and_without_comparator_type(broken):
    fault = broken("arms", 4, "comparator_type", "")
    assert where(fault) == ("arms", 4, "comparator_type", None)
    assert fault.rule == "arm without exercise and without comparator type"


def test_all_faults_are_told_at_once_in_order(tables):
    tables.set("contrasts", 2, "ci_high", "-7")
    tables.set("trials", 3, "year", "NR")
    tables.set("arms", 2, "exercise_type", "pilatess")
    tables.set("outcomes", 4, "mean", "12,5")
    tables.set("outcomes", 3, "n", "21")
    told = [(fault.table, fault.row, fault.column) for fault in tables.faults()]
    assert told == [
        ("trials", 3, "year"),
        ("arms", 2, "exercise_type"),
        ("outcomes", 3, "n"),
        ("outcomes", 4, "mean"),
        ("contrasts", 2, "ci_high"),
    ]
    with pytest.raises(EvidenceError) as caught:
        load_evidence(tables.folder)
    assert caught.value.faults == tables.faults()
    lines = str(caught.value).splitlines()
    assert lines[0] == f"5 faults in {tables.folder}:"
    assert lines[4] == "- outcomes.csv, row 4, mean = '12,5': not a number. Write 12.5."


def test_rows_are_counted_as_a_spreadsheet_counts_them(tables):
    rows = tables.rows("outcomes")
    rows[1].append("note")
    text = ",".join([*rows[0], "note"]) + "\n"
    text += ",".join([*rows[1][:-1], '"two\nlines"']) + "\n\n"
    text += ",".join([*rows[2][:11], "x", *rows[2][12:], ""]) + "\n"
    (tables.folder / "outcomes.csv").write_text(text, encoding="utf-8")
    assert rows[0][11] == "mean"
    fault = tables.only_fault()
    assert where(fault) == ("outcomes", 4, "mean", "x")


def test_faults_as_a_table(tables):
    tables.set("trials", 3, "year", "NR")
    frame = EvidenceError(tables.faults()).to_frame()
    assert frame.to_dict("records") == [
        {
            "table": "trials",
            "file": "trials.csv",
            "row": 3,
            "column": "year",
            "value": "NR",
            "rule": "not a number",
            "hint": "Leave the cell empty where the value is missing, or name the word as missing.",
            "sheet": None,
        }
    ]
    columns = ["table", "file", "row", "column", "value", "rule", "hint", "sheet"]
    assert list(EvidenceError([]).to_frame().columns) == columns


def test_a_very_long_list_is_cut_in_print_only():
    faults = [
        Fault("arms", "arms.csv", row, f"c{kind}", "x", "wrong", "Right.")
        for row in (2, 3)
        for kind in range(150)
    ]
    error = EvidenceError(faults)
    assert len(error.faults) == 300
    lines = str(error).splitlines()
    assert lines[0] == "300 faults:" and len(lines) == 1 + 200 + 1
    assert lines[-1] == "- … and 100 more (all are in .faults)"


def test_many_faults_of_a_kind_are_one_line():
    one = Fault("arms", "arms.csv", 9, "met", "x", "wrong", "Right.")
    many = [
        Fault("arms", "a.xlsx", n, "n", f"{n}x", "no number", f"Write {n}.", "Arms")
        for n in range(2, 51_002)
    ]
    lines = str(EvidenceError([many[0], one, *many[1:]])).splitlines()
    assert lines == [
        "51,001 faults:",
        "- a.xlsx, sheet Arms, n: no number, 51,000 times (row 2 '2x', row 3 '3x', row 4 '4x', …). "
        "In row 2 '2x': Write 2.",
        "- arms.csv, row 9, met = 'x': wrong. Right.",
    ]
    assert str(EvidenceError(many[:3])).count("\n- ") == 3


def test_error_travels_between_processes(tables):
    tables.set("trials", 3, "year", "NR")
    error = EvidenceError(tables.faults(), "mine")
    again = pickle.loads(pickle.dumps(error))
    assert again.faults == error.faults and str(again) == str(error)


def test_nothing_at_the_path(tmp_path):
    with pytest.raises(FileNotFoundError, match="give a folder of CSV or Parquet tables"):
        check_evidence(tmp_path / "nowhere")


def with_events(tables, **cells):
    """The tables with a row of events, 5 of 20 unless `cells` say otherwise; its row number."""
    rows = tables.rows("outcomes")
    header = [*rows[0], "events"]
    row = dict.fromkeys(header, "") | {
        "trial_id": "doe2020",
        "arm_id": "a1",
        "outcome": "adverse_events",
        "instrument": "other",
        "timepoint_label": "post",
        "value_type": "events",
        "n": "20",
        "events": "5",
    }
    row |= cells
    tables.write("outcomes", [header, *([*old, ""] for old in rows[1:]), list(row.values())])
    return len(rows) + 1


@pytest.mark.parametrize("outcome", ["recurrence", "responders", "adverse_events", "dropout"])
def test_events_have_a_total_and_no_mean(tables, outcome):
    with_events(tables, outcome=outcome)
    assert tables.faults() == []
    found = load_evidence(tables.folder).outcomes
    assert found["events"].dropna().tolist() == [5] and found["mean"].isna().sum() == 1


@pytest.mark.parametrize(
    ("cells", "column", "rule"),
    [
        ({"events": ""}, "events", "required value is missing"),
        ({"n": ""}, "n", "required value is missing"),
        ({"mean": "25"}, "mean", "mean beside events"),
        ({"events": "21", "n": "20"}, "events", "more events than participants"),
        ({"events": "-1"}, "events", "below the smallest possible value"),
        ({"events": "2.5"}, "events", "not a whole number"),
        ({"value_type": "level", "mean": "25"}, "events", "mean beside events"),
    ],
)
def test_events_that_cannot_be(tables, cells, column, rule):
    row = with_events(tables, **cells)
    fault = tables.only_fault()
    assert (fault.table, fault.row, fault.column) == ("outcomes", row, column)
    assert fault.rule == rule


def test_a_table_without_any_value_is_one_fault(tables):
    rows = tables.rows("outcomes")
    at = rows[0].index("mean")
    tables.write("outcomes", [row[:at] + row[at + 1 :] for row in rows])
    fault = tables.only_fault()
    assert where(fault) == ("outcomes", None, "mean", None)
    assert fault.rule == "no row has a value"


@pytest.mark.parametrize(
    ("row", "column", "value", "hint"),
    [
        (2, "judgement", "7", "RoB1 has low, unclear, high."),
        (3, "judgement", "low", "PEDro has 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10."),
        (3, "domain", "sequence_generation", "PEDro has total."),
        (4, "domain", "overall", "RoB1 has sequence_generation, "),
    ],
)
def test_appraisal_not_of_its_tool(broken, row, column, value, hint):
    fault = broken("appraisals", row, column, value)
    assert where(fault) == ("appraisals", row, column, value)
    assert fault.rule == f"not a {column} of its tool" and fault.hint.startswith(hint)


def test_appraisal_of_an_unknown_trial(broken):
    fault = broken("appraisals", 3, "trial_id", "doe202")
    assert where(fault) == ("appraisals", 3, "trial_id", "doe202")
    assert fault.rule == "not in table trials"


def test_an_arm_that_is_missing_is_told_once(tables):
    rows = tables.rows("arms")
    tables.write("arms", [row for row in rows if row[:2] != ["doe2020", "a1"]])
    told = [(fault.table, fault.row, fault.column, fault.rule) for fault in tables.faults()]
    assert told == [
        ("outcomes", 2, "arm_id", "not in table arms (2 rows)"),
        ("contrasts", 2, "arm_id", "not in table arms"),
    ]


def test_results_are_not_blamed_for_the_trial_of_their_arm(tables):
    rows = tables.rows("trials")
    tables.write("trials", rows[:2])
    told = {(fault.table, fault.column, fault.rule) for fault in tables.faults()}
    assert told == {
        ("arms", "trial_id", "not in table trials (2 rows)"),
        ("appraisals", "trial_id", "not in table trials"),
    }


@pytest.mark.parametrize(
    ("table", "row", "column"),
    [("arms", 6, "comparator_type"), ("outcomes", 2, "instrument"), ("outcomes", 2, "outcome")],
)
def test_a_word_of_ones_own_after_other(tables, table, row, column):
    tables.set(table, row, column, "other: dry needling")
    assert tables.faults() == []
    evidence = load_evidence(tables.folder)
    assert "other: dry needling" in getattr(evidence, table)[column].tolist()
    for word in ("other:", "other: ", "other:dry needling", "dry needling", "other: " + "x" * 101):
        tables.set(table, row, column, word)
        assert "Or write 'other: …'" in tables.only_fault().hint


def test_no_word_of_ones_own_without_other(broken):
    fault = broken("trials", 2, "design", "other: n of 1")
    assert fault.rule == "unknown word" and "other: …" not in fault.hint


def test_many_alike_faults_are_looked_up_once(tables, monkeypatch):
    rows = tables.rows("arms")
    bad = [["doe2020", f"b{n}", "yogga", *[""] * 4] for n in range(200)]
    tables.write("arms", [*rows, *bad])
    asked = []

    def did_you_mean(word, known):
        asked.append(word)
        return "Did you mean 'yoga'?"

    monkeypatch.setattr("backpain_analysis.evidence.checking.did_you_mean", did_you_mean)
    faults = tables.faults()
    assert [fault.value for fault in faults] == ["yogga"] * 200
    assert [fault.row for fault in faults] == list(range(len(rows) + 1, len(rows) + 201))
    assert asked == ["yogga"]


@pytest.mark.parametrize(
    ("row", "column"), [(3, "dispersion"), (4, "lower"), (4, "upper"), (3, "dispersion_type")]
)
def test_a_spread_that_cannot_be_read_is_told_once(broken, row, column):
    fault = broken("outcomes", row, column, "unclear")
    assert where(fault) == ("outcomes", row, column, "unclear")


def test_a_trial_that_is_missing_is_told_once_a_table(tables):
    for row in (2, 3):
        tables.set("contrasts", row, "trial_id", "doe1999")
    fault = tables.only_fault()
    assert where(fault) == ("contrasts", 2, "trial_id", "doe1999")
    assert fault.rule == "not in table arms (2 rows)"
    assert fault.hint.startswith("There is no trial 'doe1999'. ")
