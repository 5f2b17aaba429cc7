"""The one lexicon: how numbers, outcomes, treatments, populations and doses are written.

And which sign is a benefit: every axis, sentence and verdict asks here.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

import pandas as pd

OUTCOME_WORDS = {
    "pain_intensity": "pain",
    "disability": "disability",
    "pressure_pain_threshold": "pressure pain threshold",
    "temporal_summation": "temporal summation",
    "conditioned_pain_modulation": "conditioned pain modulation",
    "quality_of_life": "quality of life",
    "depression_anxiety": "depression and anxiety",
    "kinesiophobia": "fear of movement",
    "pain_catastrophising": "pain catastrophising",
    "self_efficacy": "self-efficacy",
    "trunk_strength": "trunk strength",
    "trunk_endurance": "trunk endurance",
    "flexibility_rom": "flexibility",
    "balance_stability": "balance and stability",
    "recurrence": "recurrence",
    "adherence": "adherence",
    "other": "other outcomes",
}

EXERCISE_LABELS = {
    "aerobic_walking": "Walking",
    "aerobic_running": "Running",
    "aerobic_cycling": "Cycling",
    "aerobic_other": "Other aerobic",
    "aquatic": "Aquatic",
    "resistance": "Resistance",
    "core_stabilisation": "Core stabilisation",
    "motor_control": "Motor control",
    "pilates": "Pilates",
    "yoga": "Yoga",
    "tai_chi_qigong": "Tai chi / qigong",
    "stretching_static": "Static stretching",
    "stretching_dynamic": "Dynamic stretching",
    "stretching_mixed": "Mixed stretching",
    "mckenzie": "McKenzie",
    "general_mixed": "General / mixed",
    "functional_restoration": "Functional restoration",
    "none": "No exercise",
}

TREATMENT_LABELS = EXERCISE_LABELS | {
    "inactive": "Inactive control",
    "no_treatment": "No treatment",
    "waitlist": "Waiting list",
    "usual_care": "Usual care",
    "education_advice": "Education / advice",
    "aerobic": "Aerobic",
    "core_motor_control": "Core / motor control",
    "stretching": "Stretching",
    "mind_body": "Yoga / tai chi",
}

POPULATION_LABELS = {
    "acute_lbp": "Acute low back pain",
    "subacute_lbp": "Subacute low back pain",
    "chronic_nslbp": "Chronic low back pain",
    "recurrent_lbp": "Recurrent low back pain",
    "mixed_lbp": "Low back pain, mixed",
}

DOSE_LABELS = {
    "sessions_per_week": "sessions per week",
    "minutes_per_session": "minutes per session",
    "minutes_per_week": "minutes per week",
    "duration_weeks": "weeks of exercise",
    "total_sessions": "sessions in total",
    "total_hours": "hours in total",
    "met_minutes_per_week": "MET-minutes per week",
}

DOSE_STEPS = {
    "sessions_per_week": 1.0,
    "minutes_per_session": 15.0,
    "minutes_per_week": 60.0,
    "duration_weeks": 4.0,
    "total_sessions": 10.0,
    "total_hours": 10.0,
    "met_minutes_per_week": 250.0,
}
"""How much more of a dose a reader thinks of as a step."""

LOWER_IS_BETTER = frozenset(
    {"pain_intensity", "disability", "depression_anxiety", "kinesiophobia", "recurrence"}
)
"""Outcomes oriented so that higher = worse; every other outcome so that higher = better."""


def benefit_sign(outcome: str) -> int:
    """The sign of a benefit: -1 where lower is better, else 1.

    >>> benefit_sign("pain_intensity"), benefit_sign("quality_of_life")
    (-1, 1)
    """
    return -1 if outcome in LOWER_IS_BETTER else 1


def as_benefit(size: float, lower_is_better: bool) -> float:
    """An effect of this size with the sign of a benefit."""
    return -abs(size) if lower_is_better else abs(size)


def number(value: float, digits: int = 1) -> str:
    """A number as text: thousands with commas, a true minus, no minus zero.

    >>> number(-1234.56), number(-0.04)
    ('−1,234.6', '0.0')
    """
    text = f"{value:,.{digits}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def plain_number(value: float, digits: int = 1) -> str:
    """A number as `number` writes it, without commas for thousands."""
    return number(value, digits).replace(",", "")


def tick_text(value: float) -> str:
    """A number as short as it goes, with a true minus sign."""
    return f"{value:g}".replace("-", "−")


def dose_text(value: float, largest: float) -> str:
    """A dose as text: whole numbers where doses run to twenty or more."""
    return number(value, 0 if largest >= 20 else 1)


def short_dose(value: float, largest: float) -> str:
    """A dose as text; a whole number without decimals."""
    return dose_text(value, 20 if float(value).is_integer() else largest)


def dose_with_unit(value: float, name: str, largest: float | None = None) -> str:
    """A dose with its unit: "120 minutes per week", "1 session per week", "0.5 hours in total".

    Parameters
    ----------
    value : float
    name : str
        One of `evidence.dose.DOSE_MEASURES`, or another name as it is.
    largest : float, optional
        The largest dose spoken of, which says how finely this one is written.
    """
    text = short_dose(value, largest or value)
    label = DOSE_LABELS.get(name, name)
    if value == 1:
        first, _, rest = label.partition(" ")
        label = f"{first.removesuffix('s')} {rest}".strip()
    return f"{text} {label}"


def effect_digits(measure: str) -> int:
    """Decimals of an effect: one for points of 0-100, two for other measures."""
    return 1 if measure == "MD" else 2


def p_text(p: float) -> str:
    """A P value as journals print it.

    >>> p_text(0.0004), p_text(0.0312), p_text(0.312)
    ('P < 0.001', 'P = 0.031', 'P = 0.31')
    """
    return "P < 0.001" if p < 0.001 else f"P = {p:.3f}" if p < 0.1 else f"P = {p:.2f}"


def unit_words(measure: str) -> str:
    """What effects are counted in."""
    return "points of 100" if measure == "MD" else "standard deviations"


def plural(count: int, noun: str) -> str:
    """A count with its noun: "1 trial", "1,200 trials"."""
    return f"{count} {noun}" if count == 1 else f"{number(count, 0)} {noun}s"


def author_year(author: object, year: object, otherwise: object) -> str:
    """A study as readers cite it, "Saper 2013"; `otherwise` where its author is not known."""
    if pd.isna(author):
        return str(otherwise)
    return f"{author}" if pd.isna(year) else f"{author} {int(year)}"


def readable(word: str) -> str:
    """A word of a vocabulary as text: underscores become spaces, the first letter a capital."""
    text = str(word).replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def shortened(text: str, length: int) -> str:
    """Text of at most `length` characters, cut at a word where one ends nearby."""
    text = " ".join(str(text).split())
    if len(text) <= length:
        return text
    cut = text[: length - 1]
    word = cut.rpartition(" ")[0]
    return (word if len(word) > 0.7 * length else cut).rstrip(" ,;:+/(") + "…"


def outcome_words(outcome: str) -> str:
    """An outcome as a reader says it: "pain_intensity" is "pain"."""
    return OUTCOME_WORDS.get(outcome, str(outcome).replace("_", " "))


def outcome_label(outcome: str) -> str:
    """An outcome as a heading or an axis begins with it: "Pain"."""
    return readable(outcome_words(outcome))


def exercise_label(exercise_type: str) -> str:
    """A treatment as readers write it: "aerobic_walking" is "Walking"."""
    return TREATMENT_LABELS.get(exercise_type, readable(exercise_type))


def population_label(population: str) -> str:
    """A population as readers write it: "acute_lbp" is "Acute low back pain"."""
    return POPULATION_LABELS.get(population, readable(population))


def dose_measure_label(name: str) -> str:
    """A measure of dose as a reader knows it; another name as it is."""
    return readable(DOSE_LABELS.get(name, name))


def measured(outcome: str, measure: str) -> str:
    """What an effect size measures, as an axis says it, in two lines."""
    unit = "SMD, Hedges' g" if measure == "SMD" else "points on 0–100"
    return f"Difference in {outcome_words(outcome)}\n({unit})"


def nearest(word: object, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The known word most like `word`, or None where none is like it."""
    by_lower = {str(name).lower(): str(name) for name in known}
    match = get_close_matches(str(word).strip().lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[match[0]] if match else None


def did_you_mean(word: object, known: Iterable[str], *, limit: int = 20) -> str:
    """A sentence that names the nearest known word, or else the known words (at most `limit`)."""
    known = [str(name) for name in known]
    if match := nearest(word, known):
        return f"Did you mean {match!r}?"
    more = f", … ({len(known)} in all)" if len(known) > limit else ""
    return f"Known: {', '.join(known[:limit])}{more}."
