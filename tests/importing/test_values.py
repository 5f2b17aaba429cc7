"""What printed cells say, by truth tables: each text and what is read, or why it is not."""

from __future__ import annotations

import pytest

from backpain_analysis.importing.values import Unclear, dose, interval, number, summary


@pytest.mark.parametrize(
    ("text", "spread", "decimal", "read"),
    [
        ("12.3 (4.5)", "sd", ".", ("12.3", "sd", "4.5", "", "", "")),
        ("12.3(4.5)", "se", ".", ("12.3", "se", "4.5", "", "", "")),
        ("12.3 ± 4.5", "sd", ".", ("12.3", "sd", "4.5", "", "", "")),
        ("12.3 +/- 4.5", "sd", ".", ("12.3", "sd", "4.5", "", "", "")),
        ("12,3 ± 4,5", "sd", ",", ("12.3", "sd", "4.5", "", "", "")),
        ("12.3 [10.1 to 14.5]", "ci95", ".", ("12.3", "ci95", "", "10.1", "14.5", "")),
        ("12,3 [10,1; 14,5]", "ci95", ",", ("12.3", "ci95", "", "10.1", "14.5", "")),
        ("12,3 (10,1, 14,5)", "ci95", ",", ("12.3", "ci95", "", "10.1", "14.5", "")),
        ("−1.2 (−2.3 to −0.1)", "ci95", ".", ("-1.2", "ci95", "", "-2.3", "-0.1", "")),
        ("-1.2 (-2.3--0.1)", "ci95", ".", ("-1.2", "ci95", "", "-2.3", "-0.1", "")),
        ("-1.2 (-2.3–0.4)", "ci95", ".", ("-1.2", "ci95", "", "-2.3", "0.4", "")),
        ("12 (IQR 5–18)", "sd", ".", ("12", "iqr", "", "5", "18", "")),
        ("median 12 (IQR 5, 18)", "", ".", ("12", "iqr", "", "5", "18", "")),
        ("12.3 (95% CI 10.1 to 14.5)", "sd", ".", ("12.3", "ci95", "", "10.1", "14.5", "")),
        ("12.3 (10.1 to 14.5; 95% CI)", "", ".", ("12.3", "ci95", "", "10.1", "14.5", "")),
        ("12.3 (SE 0.9)", "sd", ".", ("12.3", "se", "0.9", "", "", "")),
        ("12.3 (4.5) n=20", "sd", ".", ("12.3", "sd", "4.5", "", "", "20")),
        ("12.3* (4.5)", "sd", ".", ("12.3", "sd", "4.5", "", "", "")),
        ("12.3 (4.5)*", "sd", ".", ("12.3", "sd", "4.5", "", "", "")),
        ("45 mm (12)", "sd", ".", ("45", "sd", "12", "", "", "")),
        ("3.4†", "", ".", ("3.4", "", "", "", "", "")),
        ("+3", "", ".", ("3", "", "", "", "", "")),
    ],
)
def test_a_value_with_its_spread(text, spread, decimal, read):
    assert tuple(summary(text, spread, decimal)) == read


@pytest.mark.parametrize(
    ("text", "spread", "why"),
    [
        ("12.3 (4.5)", "", "not known whether the number in brackets is sd or se"),
        ("12.3 (4.5)", "ci95", "not known whether the number in brackets is sd or se"),
        ("12.3 [10.1 to 14.5]", "", "not known whether the interval"),
        ("12.3 [10.1 to 14.5]", "sd", "not known whether the interval"),
        ("12.3 [13 to 14]", "ci95", "outside its interval"),
        ("12.3 [14 to 10]", "ci95", "outside its interval"),
        ("12.3 (-4.5)", "sd", "below zero"),
        ("median 12 (4)", "sd", "not known"),
        ("12.3 (n/a)", "sd", "neither a number nor an interval"),
        ("about 12", "sd", "not a value"),
        ("12.3 4.5", "sd", "not a value"),
        ("1,234 (5)", "sd", "not a value"),
        ("12 (3) (4)", "sd", "not a value"),
        ("12 SD", "sd", "label without its spread"),
        ("", "sd", "not a value"),
    ],
)
def test_a_value_that_is_not_clear_is_not_read(text, spread, why):
    with pytest.raises(Unclear, match=why):
        summary(text, spread)


@pytest.mark.parametrize(
    ("text", "unit", "read", "why"),
    [
        ("2", "sessions/week", "2", ""),
        ("2-3", "sessions/week", "2.5", "the middle of 2 to 3"),
        ("2 to 3 times per week", "sessions/week", "2.5", "the middle of 2 to 3"),
        ("2 or 3", "sessions/week", "2.5", "the middle of 2 to 3"),
        ("3x/week", "sessions/week", "3", ""),
        ("twice weekly", "sessions/week", "2", ""),
        ("daily", "sessions/week", "7", ""),
        ("45–60", "minutes/session", "52.5", "the middle of 45 to 60"),
        ("60 min", "minutes/session", "60", ""),
        ("1 h", "minutes/session", "60", "1 h are 60 minutes"),
        ("0.5-1 h", "minutes/session", "45", "the middle of 0.5 to 1 h"),
        ("8 weeks", "weeks", "8", ""),
        ("55%", "percent", "55", ""),
        ("44.5", "years", "44.5", ""),
    ],
)
def test_doses_with_units_and_ranges(text, unit, read, why):
    assert dose(text, unit) == (read, why)


@pytest.mark.parametrize(
    ("text", "unit", "why"),
    [
        ("3 months", "weeks", "'months' is no unit of weeks"),
        ("60 min", "weeks", "'min' is no unit of weeks"),
        ("2023-03-02 00:00:00", "sessions/week", "took it for a date"),
        ("28/30", "sessions/week", "not one number"),
        ("3-2", "sessions/week", "end is below its start"),
        ("several", "sessions/week", "not one number"),
        ("44 (10)", "years", "not one number"),
    ],
)
def test_a_dose_that_is_not_clear_is_not_read(text, unit, why):
    with pytest.raises(Unclear, match=why):
        dose(text, unit)


def test_numbers_and_intervals():
    assert number("−3,5", ",") == "-3.5" and number("12.0*") == "12.0"
    assert interval("[10.1, 14.5]") == ("10.1", "14.5")
    assert interval("-2,3 bis -0,1", ",") == ("-2.3", "-0.1")
    for text in ("14 to 10", "12", "a to b"):
        with pytest.raises(Unclear):
            interval(text)
    for text in ("1,234", "12 (3)", "<0.05", "1e5", "inf", "nan"):
        with pytest.raises(Unclear):
            number(text)


@pytest.mark.parametrize(("read", "text"), [(number, "38,1"), (summary, "3.4 ± 2,1")])
def test_a_decimal_comma_among_points_is_called_so(read, text):
    with pytest.raises(Unclear, match="a decimal comma among points"):
        read(text)
    with pytest.raises(Unclear, match="not "):
        read(f"about {text}")
