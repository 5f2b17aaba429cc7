"""One test a rule: a single wrong cell gives a single fault that says where and what."""

from __future__ import annotations

import pytest

from backpain_analysis.evidence.schema import TABLES, empty_table, table_schema, vocabulary


def where(fault):
    return fault.table, fault.row, fault.column, fault.value


def test_the_tables_of_these_tests_have_no_fault(tables):
    assert tables.faults() == []


@pytest.mark.parametrize(
    ("table", "column", "word", "meant"),
    [
        ("arms", "exercise_type", "pilatess", "pilates"),
        ("arms", "exercise_type", "Pilates", "pilates"),
        ("trials", "population", "chronic_lbp", "chronic_nslbp"),
        ("outcomes", "outcome", "pain", "pain_intensity"),
        ("outcomes", "instrument", "RMDQ24", "RMDQ23"),
        ("outcomes", "timepoint_label", "follow-up", "followup"),
        ("contrasts", "effect_measure", "MD", "md"),
        ("trials", "flag", "excluded", "exclude"),
        ("appraisals", "tool", "RoB", "RoB1"),
        ("appraisals", "domain", "allocation_concealed", "allocation_concealment"),
        ("appraisals", "judgement", "Low", "low"),
    ],
)
def test_unknown_word_names_the_nearest_known_one(broken, table, column, word, meant):
    fault = broken(table, 2, column, word)
    assert where(fault) == (table, 2, column, word)
    assert fault.rule == "unknown word"
    assert fault.hint.startswith(f"Did you mean '{meant}'" if meant else "Known: pain_intensity, ")


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("12,5", "Write 12.5."),
        ("−3.2", "Write -3.2."),
        ("NR", "Leave the cell empty where the value is missing, or name the word"),
        ("2026-04-03", "A spreadsheet took it for a date."),
        ("about 3", "Give one number"),
        ("nan", "Leave the cell empty"),
        ("inf", "Give one number"),
        ("1e999", "Give one number"),
        ("0x10", "Give one number"),
        ("1_0", "Give one number"),
    ],
)
def test_text_where_a_number_belongs(broken, value, hint):
    fault = broken("contrasts", 2, "ci_level", value)
    assert where(fault) == ("contrasts", 2, "ci_level", value)
    assert fault.rule == "not a number"
    assert fault.hint.startswith(hint)


def test_bad_number_in_a_required_column_is_one_fault(broken):
    assert broken("outcomes", 5, "mean", "NR").rule == "not a number"


def test_fraction_where_a_count_belongs(broken):
    fault = broken("outcomes", 3, "n", "18.5")
    assert where(fault) == ("outcomes", 3, "n", "18.5")
    assert fault.rule == "not a whole number"


def test_whole_number_may_be_written_with_a_decimal_point(tables):
    tables.set("trials", 2, "year", "2020.0")
    assert tables.faults() == []


@pytest.mark.parametrize(
    ("table", "column", "value", "rule", "hint"),
    [
        ("trials", "year", "1066", "below", "at least 1900"),
        ("trials", "year", "20200", "above", "at most 2100"),
        ("trials", "pct_female", "-1", "below", "at least 0 percent"),
        ("trials", "pct_female", "100.5", "above", "at most 100 percent"),
        ("arms", "sessions_per_week", "-2", "below", "at least 0 sessions/week"),
        ("arms", "minutes_per_session", "6000", "above", "at most 600 minutes/session"),
        ("outcomes", "n", "0", "below", "at least 1 participants"),
        ("outcomes", "n", "9" * 21, "above", "Participants analysed"),
        ("outcomes", "dispersion", "-1.5", "below", "at least 0 instrument units"),
        ("contrasts", "ci_level", "0.95", "below", "at least 50 percent"),
    ],
)
def test_number_out_of_range(broken, table, column, value, rule, hint):
    fault = broken(table, 2, column, value)
    assert where(fault) == (table, 2, column, value)
    assert fault.rule.startswith(rule) and hint in fault.hint


@pytest.mark.parametrize(
    ("column", "value"),
    [("doi", "https://doi.org/10.1000/1"), ("pmcid", "123"), ("source_url", "www.example.org")],
)
def test_identifier_not_written_as_it_should_be(tables, column, value):
    rows = tables.rows("trials")
    cells = [column, value, *[""] * (len(rows) - 2)]
    tables.write("trials", [[*row, cell] for row, cell in zip(rows, cells, strict=True)])
    fault = tables.only_fault()
    assert where(fault) == ("trials", 2, column, value)
    assert fault.rule == "not written as it should be" and fault.hint


def test_p_value_is_text_but_not_any_text(broken):
    fault = broken("contrasts", 2, "p_value", "significant")
    assert where(fault) == ("contrasts", 2, "p_value", "significant")


@pytest.mark.parametrize("value", ["<0.001", "0.03", "> 0.05", "1.0", ".5", "2e-5"])
def test_p_values_as_they_are_printed(tables, value):
    tables.set("contrasts", 2, "p_value", value)
    assert tables.faults() == []


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("trials", "population"),
        ("arms", "exercise_type"),
        ("outcomes", "value_type"),
        ("outcomes", "mean"),
        ("appraisals", "judgement"),
    ],
)
def test_required_value_is_missing(tables, table, column):
    tables.set(table, 2, column, "")
    faults = [fault for fault in tables.faults() if fault.column == column]
    assert [where(fault) for fault in faults] == [(table, 2, column, None)]
    assert faults[0].rule == "required value is missing"


def test_blanks_are_not_a_value(tables):
    tables.set("trials", 2, "population", "  ")
    assert tables.only_fault().rule == "required value is missing"


def test_column_of_required_values_is_missing_once(tables):
    rows = tables.rows("outcomes")
    at = rows[0].index("instrument")
    tables.write("outcomes", [row[:at] + row[at + 1 :] for row in rows])
    fault = tables.only_fault()
    assert where(fault) == ("outcomes", None, "instrument", None)
    assert fault.rule == "required column is missing"


def test_misspelt_column_is_no_column_of_ones_own(tables):
    rows = tables.rows("arms")
    rows[0][rows[0].index("sessions_per_week")] = "sessions_per_weeks"
    tables.write("arms", rows)
    fault = tables.only_fault()
    assert where(fault) == ("arms", None, "sessions_per_weeks", None)
    assert fault.hint.startswith("Did you mean 'sessions_per_week'?")


@pytest.mark.parametrize("table", TABLES)
def test_row_is_there_twice(tables, table):
    rows = tables.rows(table)
    tables.write(table, [*rows, rows[1]])
    fault = tables.only_fault()
    assert (fault.table, fault.row, fault.rule) == (table, len(rows) + 1, "row is there twice")


def test_rows_that_differ_in_the_note_alone_are_two(tables):
    rows = tables.rows("contrasts")
    tables.write("contrasts", [*rows, [*rows[1][:-1], "men only"]])
    assert tables.faults() == []


def test_every_table_has_its_columns_and_types_without_rows():
    for name in TABLES:
        frame = empty_table(name)
        assert frame.empty and list(frame.columns) == list(table_schema(name).columns)
    assert empty_table("outcomes")["timepoint_label"].cat.ordered


def test_words_keep_their_order():
    assert vocabulary("outcomes", "timepoint_label") == ("baseline", "post", "followup")
    assert vocabulary("trials", "title") == ()
