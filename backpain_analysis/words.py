"""The one lexicon: numbers, P values, units; names of outcomes, types and doses; benefit."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

OUTCOME_WORDS = {
    "pain_intensity": "pain",
    "disability": "disability",
    "quality_of_life": "quality of life",
    "pressure_pain_threshold": "pressure pain threshold",
    "depression_anxiety": "depression and anxiety",
    "kinesiophobia": "fear of movement",
    "trunk_strength": "trunk strength",
    "trunk_endurance": "trunk endurance",
    "flexibility_rom": "flexibility",
    "balance_stability": "balance and stability",
}


def outcome_words(outcome: str) -> str:
    """An outcome as a reader says it."""
    return OUTCOME_WORDS.get(outcome, outcome.replace("_", " "))


def number(value: float, digits: int = 1) -> str:
    """A number as text: thousands with commas, a true minus, no minus zero."""
    text = f"{value:,.{digits}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def dose_text(value: float, largest: float) -> str:
    """A dose as text: whole numbers where doses run to twenty or more."""
    return number(value, 0 if largest >= 20 else 1)


def p_text(p: float) -> str:
    """A P value as journals print it."""
    return "P < 0.001" if p < 0.001 else f"P = {p:.3f}" if p < 0.1 else f"P = {p:.2f}"


def unit_words(measure: str) -> str:
    """What effects are counted in."""
    return "points of 100" if measure == "MD" else "standard deviations"


def plural(count: int, noun: str) -> str:
    """A count with its noun: "1 trial", "1,200 trials"."""
    return f"{count} {noun}" if count == 1 else f"{number(count, 0)} {noun}s"


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

OUTCOME_LABELS = {
    "pain_intensity": "Pain intensity",
    "disability": "Disability",
    "pressure_pain_threshold": "Pressure pain threshold",
    "temporal_summation": "Temporal summation",
    "conditioned_pain_modulation": "Conditioned pain modulation",
    "quality_of_life": "Quality of life",
    "depression_anxiety": "Depression / anxiety",
    "kinesiophobia": "Kinesiophobia",
    "pain_catastrophising": "Pain catastrophising",
    "self_efficacy": "Self-efficacy",
    "trunk_strength": "Trunk strength",
    "trunk_endurance": "Trunk endurance",
    "flexibility_rom": "Flexibility",
    "balance_stability": "Balance",
    "recurrence": "Recurrence",
    "adherence": "Adherence",
    "other": "Other",
}


def exercise_label(exercise_type: str) -> str:
    """A treatment as readers write it: "aerobic_walking" is "Walking"."""
    return TREATMENT_LABELS.get(exercise_type, readable(exercise_type))


def outcome_label(outcome: str) -> str:
    """An outcome as readers write it: "pain_intensity" is "Pain intensity"."""
    return OUTCOME_LABELS.get(outcome, readable(outcome))


def population_label(population: str) -> str:
    """A population as readers write it: "acute_lbp" is "Acute low back pain"."""
    return POPULATION_LABELS.get(population, readable(population))


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


def plain_number(value: float, digits: int = 1) -> str:
    """A number as `number` writes it, without commas for thousands."""
    return number(value, digits).replace(",", "")


def tick_text(value: float) -> str:
    """A number as short as it goes, with a true minus sign."""
    return f"{value:g}".replace("-", "−")


def dose_measure_label(name: str) -> str:
    """A measure of dose as a reader knows it; another name as it is."""
    return readable(DOSE_LABELS.get(name, name))


def measured(outcome: str, measure: str) -> str:
    """What an effect size measures, as an axis says it, in two lines."""
    name = outcome_label(outcome).lower()
    if measure == "SMD":
        return f"Difference in {name}\n(SMD, Hedges' g)"
    return f"Difference in {name}\n(points on 0–100)"


DOSE_LABELS = {
    "sessions_per_week": "sessions per week",
    "minutes_per_session": "minutes per session",
    "minutes_per_week": "minutes per week",
    "duration_weeks": "weeks of exercise",
    "total_sessions": "sessions in total",
    "total_hours": "hours in total",
    "met_minutes_per_week": "MET-minutes per week",
}

LOWER_IS_BETTER = frozenset(
    {"pain_intensity", "disability", "depression_anxiety", "kinesiophobia", "recurrence"}
)
"""Outcomes oriented so that higher = worse; every other outcome so that higher = better."""


def as_benefit(size: float, lower_is_better: bool) -> float:
    """An effect of this size with the sign of a benefit."""
    return -abs(size) if lower_is_better else abs(size)


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
