"""The one lexicon: how numbers, outcomes, treatments, populations and doses are written.

And which sign is a benefit: every axis, sentence and verdict asks here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

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
    "responders": "response to treatment",
    "adverse_events": "adverse events",
    "dropout": "dropout",
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
    | {"adverse_events", "dropout"}
)
"""Outcomes oriented so that higher = worse; every other outcome so that higher = better."""


def benefit_sign(outcome: str) -> int:
    """The sign of a benefit: -1 where lower is better, else 1.

    The outcome of a plain table, "outcome", is taken as one of which less is better.

    >>> benefit_sign("pain_intensity"), benefit_sign("quality_of_life"), benefit_sign("outcome")
    (-1, 1, -1)
    """
    return -1 if outcome in LOWER_IS_BETTER or outcome == "outcome" else 1


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


MEASURE_WORDS = {
    "MD": "mean difference",
    "SMD": "standardised mean difference",
    "d": "standardised mean difference (Cohen's d)",
    "SMDH": "standardised mean difference (unequal SDs)",
    "ROM": "ratio of means",
    "VR": "ratio of standard deviations",
    "CVR": "ratio of coefficients of variation",
    "MC": "mean change",
    "SMCC": "standardised mean change",
    "SMCR": "standardised mean change",
    "SMCRH": "standardised mean change",
    "SMCRP": "standardised mean change",
    "SMCRPH": "standardised mean change",
    "ROMC": "ratio of means, after to before",
    "VRC": "ratio of standard deviations, after to before",
    "CVRC": "ratio of coefficients of variation, after to before",
    "RR": "risk ratio",
    "OR": "odds ratio",
    "PETO": "odds ratio",
    "RD": "risk difference",
    "AS": "arcsine difference",
    "IRR": "rate ratio",
    "IRD": "rate difference",
    "IRSD": "difference of square roots of rates",
    "HR": "hazard ratio",
    "ZCOR": "correlation",
    "PLO": "share",
    "PFT": "share",
}

RATIO_WORDS = {
    name: MEASURE_WORDS[name] for name in "ROM VR CVR ROMC VRC CVRC RR OR PETO IRR HR".split()
}
"""Measures whose effects are logarithms of ratios; 1 is no effect."""

SHARE_MEASURES = frozenset({"PLO", "PFT"})

POINTS_OF_A_SCALE = frozenset({"MD", "MC"})


def back_transform(value: ArrayLike, measure: str) -> Any:
    """An effect from the scale of the analysis to the one that is read.

    Ratios from their logs, correlations from Fisher's z, shares from log odds or (as for many
    people) from the double arcsine; other measures as they are.

    Parameters
    ----------
    value : float or array_like
        An estimate or a limit of its interval.
    measure : str

    Returns
    -------
    float or ndarray

    Examples
    --------
    >>> float(back_transform(0.0, "RR")), float(back_transform(-3.0, "MD"))
    (1.0, -3.0)
    """
    values = np.asarray(value, dtype=float)
    if measure in RATIO_WORDS:
        with np.errstate(over="ignore"):
            return np.exp(values)
    if measure == "ZCOR":
        return np.tanh(values)
    if measure == "PLO":
        return 1 / (1 + np.exp(-values))
    if measure == "PFT":
        return np.sin(np.clip(values, 0, np.pi / 2)) ** 2
    return values


def effect_digits(measure: str) -> int:
    """Decimals of an effect: one for points of 0-100 and per cent, two for other measures."""
    return 1 if measure in POINTS_OF_A_SCALE | SHARE_MEASURES | {"RD"} else 2


def effect_interval(
    estimate: float, low: float, high: float, measure: str, level: float = 0.95
) -> str:
    """An effect with its unit and interval, as in a sentence.

    >>> effect_interval(-0.6931, -1.2, -0.1, "RR")
    '0.50 (95% CI 0.30 to 0.90)'
    >>> effect_interval(-7.24, -10.06, -4.4, "MD")
    '−7.2 points of 100 (95% CI −10.1 to −4.4)'
    """
    texts = [effect_text(value, measure) for value in (estimate, low, high)]
    unit = "" if measure in RATIO_WORDS else f" {unit_words(measure)}".rstrip()
    return f"{texts[0]}{unit} ({level * 100:g}% CI {texts[1]} to {texts[2]})"


def measure_words(measure: str) -> str:
    """A measure as a sentence says it: "RR" is "risk ratio"; another name as it is."""
    return MEASURE_WORDS.get(measure, measure)


def natural(value: float, measure: str) -> float:
    """An effect as readers read it: a ratio, not its logarithm; shares and risks in per cent.

    >>> natural(0.0, "OR"), natural(0.25, "RD"), natural(-3.0, "MD")
    (1.0, 25.0, -3.0)
    """
    per_cent = measure in SHARE_MEASURES or measure == "RD"
    return float(back_transform(value, measure)) * (100 if per_cent else 1)


def effect_text(value: float, measure: str, digits: int | None = None) -> str:
    """An effect as readers read it, as text.

    >>> effect_text(0.0, "OR"), effect_text(-0.251, "RD"), effect_text(-3.0, "MD")
    ('1.00', '−25.1', '−3.0')
    """
    usual = effect_digits(measure)
    return number(natural(value, measure), usual if digits is None else digits)


def spread_text(sd: float, measure: str) -> str:
    """A standard deviation of effects as text; of ratios that of their logarithms."""
    return effect_text(sd, measure) if measure == "RD" else number(sd, effect_digits(measure))


def measure_heading(measure: str) -> str:
    """A measure as it heads a column of effects: "RD" are percentage points there."""
    return "RD (percentage points)" if measure == "RD" else measure


def p_text(p: float) -> str:
    """A P value as journals print it.

    >>> p_text(0.0004), p_text(0.0312), p_text(0.312)
    ('P < 0.001', 'P = 0.031', 'P = 0.31')
    """
    return "P < 0.001" if p < 0.001 else f"P = {p:.3f}" if p < 0.1 else f"P = {p:.2f}"


UNITS = {
    "MD": "points of 100",
    "MC": "points of 100",
    "RD": "percentage points",
    "PLO": "per cent",
    "PFT": "per cent",
    "IRD": "events a unit of time",
    "AS": "",
    "IRSD": "",
    "ZCOR": "",
}


def unit_words(measure: str) -> str:
    """What effects are counted in."""
    if measure in RATIO_WORDS:
        return "on the log scale"
    return UNITS.get(measure, "standard deviations")


ABBREVIATIONS = {
    "CI": "confidence interval",
    "CrI": "credible interval",
    "MCID": "smallest difference that matters to patients",
    "SMD": "standardised mean difference",
    "MD": "mean difference",
    "SD": "standard deviation",
}


def spelled_out(text: str) -> str:
    """A text with each abbreviation spelled out where it first stands, unless it already is.

    >>> spelled_out("Pain fell by 11.7 points (95% CI 7.4 to 16.0).")
    'Pain fell by 11.7 points (95% confidence interval [CI] 7.4 to 16.0).'
    >>> spelled_out("It was 0.70 SD, more than the smallest difference that matters (MCID).")
    'It was 0.70 standard deviations (SD), more than the smallest difference that matters (MCID).'
    """
    for short, words in ABBREVIATIONS.items():
        found = re.search(rf"(?<![\w(\[]){short}(?![\w:)\]])|[(\[]{short}[)\]]", text)
        if found is None or found[0] != short:
            continue
        before, after = text[: found.start()], text[found.end() :]
        several = "s" if short == "SD" and re.search(r"\d $", before) else ""
        inside = before.count("(") > before.count(")")
        given = f"[{short}]" if inside else f"({short})"
        text = f"{before}{words}{several} {given}{after}"
    return text


def plural(count: int, noun: str) -> str:
    """A count with its noun.

    Examples
    --------
    >>> bp.sentences.plural(1, "trial"), bp.sentences.plural(1200, "trial")
    ('1 trial', '1,200 trials')
    """
    return f"{count} {noun}" if count == 1 else f"{number(count, 0)} {noun}s"


def article(word: str) -> str:
    """A word with its indefinite article: "an emax", "a line"."""
    return f"{'an' if word[:1].lower() in 'aeiou' else 'a'} {word}"


def author_year(author: object, year: Any) -> str:
    """A study as readers cite it: "Saper 2013", "authors not seen, 2014".

    >>> author_year("Saper", 2013), author_year(None, 2014), author_year(None, None)
    ('Saper 2013', 'authors not seen, 2014', 'authors and year not seen')
    """
    known = pd.notna(year)
    if pd.isna(author):
        return f"authors not seen, {int(year)}" if known else "authors and year not seen"
    return f"{author} {int(year)}" if known else f"{author}"


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
    """An outcome as a reader says it, within a sentence.

    Examples
    --------
    >>> bp.sentences.outcome_words("pain_intensity")
    'pain'
    """
    return OUTCOME_WORDS.get(outcome, str(outcome).replace("_", " "))


def outcome_label(outcome: str) -> str:
    """An outcome as a heading or an axis begins with it.

    Parameters
    ----------
    outcome : str

    Returns
    -------
    str

    Examples
    --------
    >>> bp.figures.outcome_label("pain_intensity")
    'Pain'
    """
    return readable(outcome_words(outcome))


def exercise_label(exercise_type: str) -> str:
    """A treatment as readers write it.

    Parameters
    ----------
    exercise_type : str
        Of an unknown one the name itself, without underscores.

    Returns
    -------
    str

    Examples
    --------
    >>> bp.figures.exercise_label("aerobic_walking")
    'Walking'
    """
    return TREATMENT_LABELS.get(exercise_type, readable(exercise_type))


def population_label(population: str) -> str:
    """A population as readers write it: "acute_lbp" is "Acute low back pain"."""
    return POPULATION_LABELS.get(population, readable(population))


def dose_measure_label(name: str) -> str:
    """A measure of dose as a reader knows it; another name as it is."""
    return readable(DOSE_LABELS.get(name, name))


def dose_axis(name: str, basis: str) -> str:
    """A measure of dose as an axis says it, in two lines: what was prescribed, or done.

    >>> print(dose_axis("minutes_per_week", "as prescribed, supervised sessions"))
    Minutes per week
    (as prescribed, supervised sessions)
    """
    label = dose_measure_label(name)
    return f"{label}\n({basis})" if name in DOSE_LABELS else label


def measured(outcome: str, measure: str, unit: str = "") -> str:
    """What an effect size measures, as an axis says it, in two lines.

    Parameters
    ----------
    outcome, measure : str
    unit : str
        By default that of the measure.

    Returns
    -------
    str

    Examples
    --------
    >>> print(bp.figures.measured("recurrence", "RR"))
    Risk ratio
    (recurrence)
    """
    word = outcome_words(outcome)
    if measure in RATIO_WORDS:
        return f"{readable(RATIO_WORDS[measure])}\n({word})"
    if measure in SHARE_MEASURES:
        return f"Share with {word}\n(per cent)"
    named = {
        "MD": "points on 0–100",
        "SMD": "SMD, Hedges' g",
        "d": "Cohen's d",
        "RD": "percentage points",
    }
    text = unit or named.get(measure, measure_words(measure))
    return f"Difference in {word}\n({text})"


FEWEST_LETTERS = 4
"""Of a beginning that is enough to know a word by."""


def nearest(word: object, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The known word most like `word`, else the first that begins with it; None without either.

    >>> nearest("pain", ["disability", "pain_intensity"])
    'pain_intensity'
    """
    by_lower = {str(name).lower(): str(name) for name in known}
    wanted = str(word).strip().lower()
    match = get_close_matches(wanted, by_lower, n=1, cutoff=cutoff)
    if not match and len(wanted) >= FEWEST_LETTERS:
        match = [name for name in by_lower if name.startswith(wanted.removesuffix("s"))]
    return by_lower[match[0]] if match else None


def did_you_mean(word: object, known: Iterable[str], *, limit: int = 20) -> str:
    """A sentence that names the nearest known word, or else the known words (at most `limit`)."""
    known = [str(name) for name in known]
    if match := nearest(word, known):
        return f"Did you mean {match!r}?"
    more = f", … ({len(known)} in all)" if len(known) > limit else ""
    return f"Known: {', '.join(known[:limit])}{more}."
