"""Dates from text: only what can be read in one way."""

from __future__ import annotations

import re
from datetime import date

_TIME = r"(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?"
_YEAR_FIRST = re.compile(rf"(\d{{4}})([-/.])(\d{{1,2}})\2(\d{{1,2}}){_TIME}", re.ASCII)
_YEAR_LAST = re.compile(rf"(\d{{1,2}})([-/.])(\d{{1,2}})\2(\d{{4}}){_TIME}", re.ASCII)
_DAY_NAMED = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?[ .-]*([A-Za-z]{3,9})[ .,-]*(\d{4})", re.ASCII)
_NAMED_DAY = re.compile(r"([A-Za-z]{3,9})[ .-]*(\d{1,2})(?:st|nd|rd|th)?[ .,-]+(\d{4})", re.ASCII)
_SHORT_YEAR = re.compile(r"\d{1,2}([-/.])\d{1,2}\1\d{2}")
_MONTHS = (
    "january february march april may june july august september october november december"
).split()


class DateError(ValueError):
    """A text is no date or could be two: `rule` tells what is wrong, `hint` what would be right."""

    def __init__(self, rule: str, hint: str) -> None:
        self.rule, self.hint = rule, hint
        super().__init__(f"{rule}. {hint}")


def read_date(text: str) -> date:
    """The date a text holds.

    Parameters
    ----------
    text
        ``2024-03-05`` (a time of day after it is passed over), ``5 March 2024``,
        ``Mar 5, 2024``, or numbers with the year last where only one order makes a date:
        ``25/03/2024``.

    Returns
    -------
    datetime.date

    Raises
    ------
    DateError
        If it is no date, or could be two.
    """
    text = text.strip()
    if match := _YEAR_FIRST.fullmatch(text):
        year, _, month, day = match.groups()
        return _calendar(int(year), int(month), int(day))
    if match := _YEAR_LAST.fullmatch(text):
        first, _, second, year = match.groups()
        return _either_order(int(first), int(second), int(year))
    if match := _DAY_NAMED.fullmatch(text):
        day, word, year = match.groups()
        return _calendar(int(year), _month(word), int(day))
    if match := _NAMED_DAY.fullmatch(text):
        word, day, year = match.groups()
        return _calendar(int(year), _month(word), int(day))
    if _SHORT_YEAR.fullmatch(text):
        raise DateError("year of two digits", "Write year-month-day, e.g. 2024-03-05.")
    if re.fullmatch(r"\d{5}(\.\d+)?", text):
        hint = "It may be a spreadsheet's day number: format the column as date, year-month-day."
        raise DateError("a number, not a date", hint)
    raise DateError("not a date", "Write year-month-day, e.g. 2024-03-05.")


def _either_order(first: int, second: int, year: int) -> date:
    """Day and month in the one order that makes a date."""
    if 1 <= first <= 12 and 1 <= second <= 12 and first != second:
        one, other = date(year, second, first), date(year, first, second)
        hint = f"Write {one} ({_long(one)}) or {other} ({_long(other)})."
        raise DateError("ambiguous date", hint)
    month, day = (second, first) if second <= 12 else (first, second)
    return _calendar(year, month, day)


def _calendar(year: int, month: int, day: int) -> date:
    try:
        return date(year, month, day)
    except ValueError:
        hint = "Check the day and the month, and write year-month-day."
        raise DateError("no such day in the calendar", hint) from None


def _month(word: str) -> int:
    """Number of an English month, of which three letters are enough."""
    for number, name in enumerate(_MONTHS, start=1):
        if name.startswith(word.lower()):
            return number
    raise DateError("not a date", "Months are read in English; year-month-day always is.")


def _long(day: date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1].capitalize()}"
