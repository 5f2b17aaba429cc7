"""What a printed cell says: numbers, values with a spread, intervals, ranges of doses."""

from __future__ import annotations

import re
from typing import NamedTuple

SPREADS = ("sd", "se", "ci95", "iqr", "range")
"""What stands beside a value, in the words of the column ``dispersion_type``."""

AUTHOR_YEAR = re.compile(r"(.+?)(?: et al\.?| and others)?,?[\s_]\(?((?:19|20)\d\d)[a-z]?\)?")
"""A study as reviews name it: "Smith 2019", "Smith et al. (2019)"."""

_NUMBER = r"[+-]?(?:\d+(?:\.\d+)?|\.\d+)"
_TO = r"\s*(?:to|bis|through|;|,|-|…|\.\.)\s*"
_MARKS = re.compile(r"(?<=[\d)\]])\s?[*†‡§¶#¹²³]+(?=[\s(\[]|$)")
_PAIR = re.compile(rf"({_NUMBER}){_TO}({_NUMBER})")
_SUMMARY = re.compile(
    rf"(?:(?P<first>mean|median)\s*[:=]?\s*)?"
    rf"(?P<value>{_NUMBER})\s*(?:%|mm|cm|points?|kPa|kg)?\s*"
    rf"(?:(?P<label>95\s*%?\s*CI|CI|SDs?|SE|SEM|IQR|range)\s*[:=,]?\s*)?"
    rf"(?:±\s*(?P<plus>{_NUMBER})|[(\[{{]\s*(?P<inner>[^()\[\]{{}}]*?)\s*[)\]}}])?\s*"
    rf"(?:[,;]?\s*n\s*=\s*(?P<n>\d+))?",
    re.IGNORECASE,
)
_INNER = re.compile(
    rf"(?:(?P<label>95\s*%?\s*CI|CI\s*95\s*%?|CI|SD|SE|SEM|IQR|range)\s*[:=,]?\s*)?"
    rf"(?:(?P<low>{_NUMBER}){_TO}(?P<high>{_NUMBER})|±?\s*(?P<one>{_NUMBER}))"
    rf"(?:\s*[;,]?\s*(?P<after>95\s*%?\s*CI|SD|SE|IQR|range))?",
    re.IGNORECASE,
)
_LABELS = {"sd": "sd", "sds": "sd", "se": "se", "sem": "se", "iqr": "iqr", "range": "range"}
_UNITS = {
    "minutes": {"min": 1.0, "mins": 1.0, "minute": 1.0, "minutes": 1.0, "'": 1.0}
    | dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 60.0),
    "weeks": {"w": 1.0, "wk": 1.0, "wks": 1.0, "week": 1.0, "weeks": 1.0},
    "sessions": {
        f"{count}{per}": 1.0
        for count in ("", "x", "x ", "times", "times ", "sessions", "sessions ", "classes ")
        for per in ("", "/wk", "/week", "per week", "a week", "weekly", "per wk")
    },
    "percent": {"%": 1.0, "percent": 1.0, "per cent": 1.0},
    "years": {"y": 1.0, "yr": 1.0, "yrs": 1.0, "years": 1.0, "year": 1.0},
    "participants": {},
}
_MIXED = "a decimal comma among points"
_COUNTED = {"once": "1", "twice": "2", "daily": "7", "every day": "7"}


class Unclear(ValueError):
    """A cell that does not say one thing; its text says why."""


class Summary(NamedTuple):
    """A value with what stands beside it, each as text with a decimal point."""

    value: str
    spread: str = ""
    single: str = ""
    low: str = ""
    high: str = ""
    n: str = ""


def plain(text: str, decimal: str = ".") -> str:
    """A cell with plain signs: minus, dashes and decimal point; marks of footnotes removed."""
    text = re.sub(r"[\u2212\u2010-\u2015]", "-", text.replace("\u00a0", " ").strip())
    text = text.replace("+/-", "±").replace("+-", "±").replace("·", ".")
    text = _MARKS.sub("", text).strip()
    return re.sub(r"(?<=\d),(?=\d)", ".", text) if decimal == "," else text


def is_value(text: str) -> bool:
    """Whether a cell holds a number, alone or with a spread."""
    text = plain(text)
    after = r"$|[±(\[,;]|%(?!\s*CI)|[/-]\s*[\d.+-]|to\s"
    return bool(re.match(rf"(?:mean |median |[<>]\s?)?{_NUMBER}\s*(?:{after})", text))


def number(text: str, decimal: str = ".") -> str:
    """The one number of a cell.

    Raises
    ------
    Unclear
        If there is none, or more than one.
    """
    found = plain(text, decimal)
    if re.fullmatch(_NUMBER, found):
        return found.removeprefix("+")
    if re.fullmatch(rf"{_NUMBER}\s*%", found):
        return found.rstrip("% ")
    raise Unclear(_MIXED if _mixed(re.compile(_NUMBER), text, decimal) else "not one number")


def _mixed(shape: re.Pattern[str], text: str, decimal: str) -> bool:
    """Whether a cell would be clear with decimal commas, in a sheet that has points."""
    comma = decimal == "." and re.search(r"\d,\d{1,2}(?!\d)", text)
    return bool(comma and shape.fullmatch(plain(text, ",")))


def thousands(text: str, decimal: str = ".") -> str:
    """A whole number written with marks of thousands (1,024; of decimal commas 1.024), else ""."""
    mark = "," if decimal == "." else r"\."
    found = re.fullmatch(rf"[1-9]\d{{0,2}}(?:{mark}\d{{3}})+", text.strip())
    return re.sub(r"\D", "", text) if found else ""


def dose(text: str, unit: str, decimal: str = ".") -> tuple[str, str]:
    """A dose or another quantity in a unit, with what was done to get it.

    A range gives its midpoint, an hour 60 minutes.

    Raises
    ------
    Unclear
        If it is neither a number, a number with its unit, nor a range of numbers.
    """
    found = plain(text, decimal).casefold()
    what = next((name for name in _UNITS if unit.startswith(name)), "")
    units = _UNITS.get(what, {})
    if re.match(r"\d{4}-\d{2}-\d{2}", found):
        raise Unclear("a spreadsheet took it for a date")
    if what == "sessions":
        for word, times in _COUNTED.items():
            found = re.sub(rf"^{word}\b", f"{times} ", found).strip()
    shape = rf"({_NUMBER})(?:\s*(?:to|bis|-|or)\s*({_NUMBER}))?\s*([^\d.]*)"
    match = re.fullmatch(shape, found)
    if not match:
        raise Unclear("not one number and no range")
    low, high, word = match.groups()
    word = word.strip(" .")
    if word and word not in units:
        raise Unclear(f"{word!r} is no unit of {unit or 'this column'}")
    factor = units.get(word, 1.0)
    if high is None:
        value = float(low) * factor
        return _short(value), "" if factor == 1 else f"{low} {word} are {_short(value)} {what}"
    if float(high) < float(low):
        raise Unclear("a range whose end is below its start")
    middle = (float(low) + float(high)) / 2 * factor
    return _short(middle), f"the middle of {low} to {high}{f' {word}' if factor != 1 else ''}"


def summary(text: str, spread: str = "", decimal: str = ".") -> Summary:
    """A value with its spread, as tables print it: ``12.3 (4.5)``, ``12.3 [10.1 to 14.5]``.

    Parameters
    ----------
    text
        The cell.
    spread
        What stands in the brackets, one of `SPREADS`; a label within the cell goes before it.
    decimal
        "." or ",".

    Raises
    ------
    Unclear
        If it does not read as one value, or what stands beside it is not known.
    """
    found = plain(text, decimal)
    match = _SUMMARY.fullmatch(found)
    if not match:
        raise Unclear(_MIXED if _mixed(_SUMMARY, text, decimal) else "not a value with a spread")
    value = match["value"].removeprefix("+")
    own = _label(match["label"])
    count = match["n"] or ""
    inner = match["plus"] or match["inner"]
    if inner is None:
        if own:
            raise Unclear("a label without its spread")
        return Summary(value, n=count)
    beside = _INNER.fullmatch(inner)
    if not beside:
        raise Unclear("what stands in brackets is neither a number nor an interval")
    kind = own or _label(beside["label"]) or _label(beside["after"]) or spread
    if beside["one"] is not None:
        single = beside["one"].removeprefix("+")
        if kind not in ("sd", "se") or (match["first"] or "").casefold() == "median":
            raise Unclear("it is not known whether the number in brackets is sd or se")
        if float(single) < 0:
            raise Unclear("a spread below zero")
        return Summary(value, kind, single=single, n=count)
    if (match["first"] or "").casefold() == "median" and kind == "ci95":
        raise Unclear("a median with a confidence interval is not used")
    if kind not in ("ci95", "iqr", "range"):
        raise Unclear("it is not known whether the interval is ci95, iqr or range")
    low, high = (beside[end].removeprefix("+") for end in ("low", "high"))
    if not float(low) <= float(value) <= float(high):
        raise Unclear("the value lies outside its interval")
    return Summary(value, kind, low=low, high=high, n=count)


def interval(text: str, decimal: str = ".") -> tuple[str, str]:
    """The two limits of an interval that stands alone in a cell: ``10.1 to 14.5``.

    Raises
    ------
    Unclear
        If there are not two limits, in order.
    """
    found = plain(text, decimal).strip("()[]{} ")
    match = _PAIR.fullmatch(found)
    if not match or float(match[1]) > float(match[2]):
        raise Unclear("not an interval of two numbers in order")
    return match[1].removeprefix("+"), match[2].removeprefix("+")


def _label(text: str | None) -> str:
    if not text:
        return ""
    return "ci95" if "ci" in text.casefold() else _LABELS[text.casefold()]


def _short(value: float) -> str:
    return f"{value:.10g}"
