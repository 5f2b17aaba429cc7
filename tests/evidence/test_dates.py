"""Dates that can be read in one way are read, all others are told."""

from __future__ import annotations

from datetime import date

import pytest

from backpain_analysis.evidence.participants_checking import DateError, read_date


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-25",
        "2024-3-25",
        "2024/03/25",
        "2024-03-25 00:00:00",
        "2024-03-25T09:30:00.123Z",
        "25/03/2024",
        "03/25/2024",
        "25.3.2024",
        "25-03-2024 10:15",
        "25 March 2024",
        "25 Mar 2024",
        "25-mar-2024",
        "25Mar2024",
        "25th of March 2024".replace("of ", ""),
        "March 25, 2024",
        "Mar 25 2024",
        " 2024-03-25 ",
    ],
)
def test_one_reading(text):
    assert read_date(text) == date(2024, 3, 25)


def test_same_day_and_month_are_not_ambiguous():
    assert read_date("04/04/2024") == date(2024, 4, 4)


def test_ambiguous():
    with pytest.raises(DateError) as caught:
        read_date("05/03/2024")
    assert caught.value.rule == "ambiguous date"
    assert caught.value.hint == "Write 2024-03-05 (5 March) or 2024-05-03 (3 May)."


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("2024-02-30", "no such day in the calendar"),
        ("2023-02-29", "no such day in the calendar"),
        ("13/13/2024", "no such day in the calendar"),
        ("00/05/2024", "no such day in the calendar"),
        ("0000-01-01", "no such day in the calendar"),
        ("05/03/24", "year of two digits"),
        ("45356", "a number, not a date"),
        ("45356.5", "a number, not a date"),
        ("25 Marzo 2024", "not a date"),
        ("soon", "not a date"),
        ("2024", "not a date"),
        ("2024-03", "not a date"),
        ("20240325", "not a date"),
        ("٢٠٢٤-٠٣-٢٥", "not a date"),
    ],
)
def test_no_date(text, rule):
    with pytest.raises(DateError) as caught:
        read_date(text)
    assert caught.value.rule == rule
    assert caught.value.hint
