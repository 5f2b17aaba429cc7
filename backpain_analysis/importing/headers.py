"""What the header of a column, or a word of a cell, probably means in the terms of the tables."""

from __future__ import annotations

import re
from typing import NamedTuple

from backpain_analysis.evidence.plausibility import HIGHER_IS_BETTER, HIGHER_IS_WORSE
from backpain_analysis.evidence.scales import FIXED_LIMITS
from backpain_analysis.importing.mapping import UNDECIDED


class Meaning(NamedTuple):
    """What a column of results holds.

    Attributes
    ----------
    stat
        mean, sd, se, n, events, summary, interval, lower, upper, p, estimate, variance; empty
        where the header does not say.
    arm
        "1" the arm with exercise, "2" the other; empty for neither.
    label, weeks
        baseline, post, followup; weeks as text.
    change
        Whether it is a change from baseline.
    outcome, instrument
        Words of the vocabularies.
    spread
        What stands beside the value, where the header says so.
    scale
        Lowest and highest value, where the header says so.
    measure
        md or smd, of an estimate.
    """

    stat: str = ""
    arm: str = ""
    label: str = ""
    weeks: str = ""
    change: bool = False
    outcome: str = ""
    instrument: str = ""
    spread: str = ""
    scale: tuple[str, str] | None = None
    measure: str = ""

    @property
    def says_result(self) -> bool:
        """Whether more than an arm is said: an outcome, a time or a statistic."""
        return bool(self.stat or self.label or self.outcome or self.change)


FIELDS: tuple[tuple[str, str, str], ...] = (
    (
        "trial_id",
        "ids",
        r"(study|trial)( (id|label|name|no|number))?|studlab|slab|id|reference|ref",
    ),
    (
        "trial_id",
        "ids",
        r"(first )?authors? (and )?year|study (first )?author( year)?|trial author",
    ),
    ("first_author", "trials", r"(first |lead )?authors?( name)?"),
    ("year", "trials", r"(study |publication |pub )?year( of publication)?"),
    ("country", "trials", r"country( of origin)?|nation"),
    ("title", "trials", r"(study |trial )?title"),
    ("journal", "trials", r"journal|source"),
    ("doi", "trials", r"doi"),
    ("pmid", "trials", r"pmid|pubmed( id)?"),
    (
        "population",
        "trials",
        r"population|(type of )?(lbp|back pain)( (type|duration|stage))?|diagnosis",
    ),
    ("setting", "trials", r"setting"),
    ("design", "trials", r"(study |trial )?design"),
    ("mean_age", "trials", r"(mean |average )?age( (mean|years|y|yrs))*"),
    (
        "pct_female",
        "trials",
        r"(%|percent|pct|proportion)? ?(female|women|females)( ?(%|percent|pct))?",
    ),
    (
        "n_randomised",
        "trials",
        r"(total )?(n|sample size|sample|randomi[sz]ed|n randomi[sz]ed)( total)?",
    ),
    ("n_randomised", "trials", r"(total|overall) (n|sample|participants)"),
    (
        "arm_label",
        "arms",
        r"(study |treatment |trial |intervention )?(arm|group|groups)( (name|label))?",
    ),
    (
        "arm_label",
        "arms",
        r"intervention|treatment|treat|trt|condition|interventions|programme|program",
    ),
    ("exercise_type", "arms", r"(type of |mode of )?exercise( (type|mode|modality))?|modality"),
    (
        "total_sessions",
        "arms",
        r"(total |number of )(no of )?sessions( total)?|sessions|n sessions",
    ),
    (
        "sessions_per_week",
        "arms",
        r"(training )?(frequency|freq)( .*)?|(no of |number of )?(sessions|times|days|visits)"
        r"( per| a)? (week|wk|w)|sessions wk|times weekly",
    ),
    (
        "minutes_per_session",
        "arms",
        r"(min|mins|minutes)( per| a)?( session)?|session (length|duration|time)( .*)?"
        r"|(duration|length|time) (of|per) (a |each )?session( .*)?"
        r"|duration( of session| session)? (min|mins|minutes)",
    ),
    (
        "duration_weeks",
        "arms",
        r"(programme |program |intervention |treatment |exercise )?(duration|length|period)"
        r"( of (the )?(programme|program|intervention|treatment))?( (in )?(week|weeks|wk|wks))?"
        r"|weeks|(no of |number of )weeks|weeks of (exercise|training|treatment)",
    ),
    ("supervised", "arms", r"supervis(ed|ion)"),
    ("adherence_pct", "arms", r"(adherence|compliance|attendance)( ?(%|percent|pct))?"),
    ("intensity_text", "arms", r"intensity"),
    ("co_intervention", "arms", r"co intervention(s)?|cointervention(s)?"),
    (
        "outcome",
        "results",
        r"(outcome|outcomes|endpoint|domain)( (name|measure|domain|type))?|measure",
    ),
    (
        "instrument",
        "results",
        r"instrument|scale|outcome (tool|instrument|scale)|questionnaire|tool",
    ),
    (
        "timepoint_weeks",
        "results",
        r"(time|follow up|fu|timepoint|time point|assessment)( (time|point))? ?(in )?"
        r"(weeks|week|wk|wks)|week|follow up weeks",
    ),
    (
        "timepoint_label",
        "results",
        r"time|time ?point(s)?|follow ?up( (time|point))?|visit|assessment",
    ),
    ("scale_max", "results", r"(scale )?(max|maximum)( (score|value))?|scale max"),
    ("scale_min", "results", r"(scale )?(min|minimum) (score|value)|scale min"),
    ("note", "results", r"subgroup|comparison"),
)
"""Fields of headers that hold no result: name, table, and the whole header in plain words."""

_ARM_1 = (
    "e ex exe exp exercise experimental int intervention treat treatment tx trt active i t "
    "pilates yoga walking aerobic strength resistance stabilisation stabilization"
).split()
_ARM_2 = (
    "c con cont ctrl control controls ctl comparator comparison placebo usual waitlist wl sham"
).split()
_STATS = {
    "mean": "mean m avg average means",
    "sd": "sd std stdev sds stddev",
    "se": "se sem sei",
    "n": "n number num total size ss analysed analyzed participants ni",
    "events": "events event responders cases",
    "median": "median",
    "iqr": "iqr",
    "ci": "ci cl",
    "lower": "lower lcl lci lb low ll",
    "upper": "upper ucl uci ub high ul",
    "p": "p pval pvalue",
    "estimate": "md smd wmd difference estimate effect es yi te hedges cohen cohens",
    "variance": "vi var variance",
}
_STAT_OF = {word: stat for stat, words in _STATS.items() for word in words.split()}
_BASE = "baseline base bl pre pretest preintervention initial before enrolment enrollment".split()
_POST = (
    "post posttest postintervention end final after endpoint endline immediate posttreatment"
).split()
_LATER = "followup follow fu fup later".split()
_CHANGE = "change changes delta chg".split()
_LONG = {"standard deviation": "sd", "standard error": "se"}
_ARM_NAMES = {*_ARM_1, *_ARM_2, *"group arm groups arms 1 2 3 4 a b d".split()} - {"t"}
_NO_RESULT = re.compile(
    r"\b(age|bmi|duration|history|onset|height|weight|(fe)?males?|sex|gender|years? (of|with))\b"
)
"""Headers of numbers that are no result, whatever else they say."""

_SPAN = re.compile(
    r"[<>≤≥]\s*=?\s*\d|(less|more|fewer|longer) than \d|(up|closest) to \d|(over|under) \d"
    r"|\d\s*(-|–|to)\s*\d+\s*(w(ee)?ks?|mo(nth)?s?|y(ea)?rs?)\b(?!\s*\d)"
)
"""A time that is no one week: "< 3 months", "3 to 6 months"."""

_ANY_EXERCISE = re.compile(r"exercis|training|physical activity|movement|gym|sport|work.?out")
"""What says that an arm exercised, and not how."""

_VERSUS = re.compile(r"\s(?:versus|vs\.?|v\.?|compared (?:with|to)|against)\s", re.IGNORECASE)

COUNTED = {"adverse_events": "no", "dropout": "no", "recurrence": "no", "responders": "yes"}
"""Outcomes that are counts of participants, and whether more are better."""

_OUTCOMES: tuple[tuple[str, str], ...] = (
    (r"adverse|side effect|harms", "adverse_events"),
    (r"drop.?outs?\b|withdraw|attrition", "dropout"),
    (r"recurr", "recurrence"),
    (r"respond|recovered|improved|\bmcid\b|clinically (important|relevant)", "responders"),
    (r"catastroph", "pain_catastrophising"),
    (r"tampa|kinesiophob|\btsk|fear|fabq", "kinesiophobia"),
    (r"pressure|\bppts?\b", "pressure_pain_threshold"),
    (r"self.?efficacy|\bpseq", "self_efficacy"),
    (r"depress|anxiety|\bhads|\bbdi|\bphq", "depression_anxiety"),
    (r"quality of life|\bqol|\bhrqol|\bsf.?36|\bsf.?12|\beq.?5d", "quality_of_life"),
    (r"disab|function|oswestry|\bodi\b|roland|\brmdq|\brdq|quebec|\bqbpds", "disability"),
    (r"pain|\bvas\b|\bn?p?rs\b|\bnprs\b", "pain_intensity"),
)
_INSTRUMENTS: tuple[tuple[str, str], ...] = (
    (r"\bvas\b|visual.?analog", "VAS"),
    (r"\bnp?rs\b|numeric", "NRS"),
    (r"oswestry|\bodi\b", "ODI"),
    (r"roland|\brmdq|\brdq", "RMDQ"),
    (r"quebec|\bqbpds", "QBPDS"),
    (r"\btsk.?11", "TSK11"),
    (r"tampa|\btsk", "TSK"),
    (r"\bfabq", "FABQ"),
    (r"catastroph", "PCS"),
    (r"\bpseq|self.?efficacy q", "PSEQ"),
    (r"pressure|\bppts?\b", "PPT"),
    (r"\bhads", "HADS"),
    (r"\bbdi|beck", "BDI"),
    (r"\bphq", "PHQ"),
    (r"\beq.?5d.?vas", "EQ5D_VAS"),
    (r"\beq.?5d", "EQ5D"),
    (r"\bsf.?36.*(pcs|physical comp)", "SF36_PCS"),
    (r"\bsf.?36.*(mcs|mental comp)", "SF36_MCS"),
    (r"\bsf.?36.*(pf|physical func)", "SF36_PF"),
    (r"\bpsfs|patient.?specific", "PSFS"),
    (r"\bpdi\b|pain disability index", "PDI"),
    (r"\bndi\b|neck disability", "NDI"),
)
_EXERCISES: tuple[tuple[str, str], ...] = (
    (r"pilates", "pilates"),
    (r"yoga", "yoga"),
    (r"tai.?chi|qi.?gong", "tai_chi_qigong"),
    (r"mckenzie|\bmdt\b|mechanical diagnosis", "mckenzie"),
    (r"aqua|water|hydro|swim", "aquatic"),
    (r"functional restoration", "functional_restoration"),
    (r"motor control", "motor_control"),
    (r"stabili|\bcore\b", "core_stabilisation"),
    (r"walk", "aerobic_walking"),
    (r"running|jogging", "aerobic_running"),
    (r"cycl|\bbike|ergometer", "aerobic_cycling"),
    (r"aerobic", "aerobic_other"),
    (r"resist|strength|weight train", "resistance"),
    (r"stretch|flexib", "stretching_mixed"),
    (r"general exercise|multimodal|mixed exercise|combined exercise", "general_mixed"),
)
_COMPARATORS: tuple[tuple[str, str], ...] = (
    (r"wait", "waitlist"),
    (r"sham|placebo", "sham"),
    (r"usual|standard care|\bgp\b|routine care", "usual_care"),
    (r"educat|advice|booklet|back school|information", "education_advice"),
    (r"no (treat|interv|exerc|therapy)|untreated", "no_treatment"),
    (r"massage|manual|manipul|mobili[sz]|osteopath|chiropra", "manual_therapy"),
    (r"\btens\b|ultrasound|laser|heat|passive|electro", "passive_modality"),
    (r"acupunct|needl", "acupuncture"),
    (r"medic|drug|nsaid|paracetamol", "medication"),
    (r"\bcbt\b|cognitive|psycholog|mindful", "psychological_therapy"),
    (r"inject", "spinal_injection"),
    (r"surg|fusion", "surgery"),
    (r"self.?manage", "self_management"),
)
_POPULATIONS: tuple[tuple[str, str], ...] = (
    (r"sub.?acute", "subacute_lbp"),
    (r"chronic|\bclbp|\bcnslbp|persistent", "chronic_nslbp"),
    (r"acute", "acute_lbp"),
    (r"recurr", "recurrent_lbp"),
    (r"mixed", "mixed_lbp"),
    (r"neck", "neck_pain"),
    (r"healthy", "healthy"),
)


def spoken(name: str) -> str:
    """A header in plain words: lower case, one blank between words and numbers."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).casefold()
    return " ".join(re.findall(r"[a-z]+|\d+(?:\.\d+)?|%|±", name.replace("+/-", "±")))


def field_of(*parts: str, arm: str = "") -> tuple[str, str] | None:
    """The field that a header names, with its table; None where it names none.

    Of a header in several rows the lower ones may name it, where the upper say nothing of a
    result, and the column is not of one `arm`.
    """
    for place, part in enumerate(parts):
        words = spoken(" ".join(parts[place:]))
        for field, table, pattern in FIELDS:
            if re.fullmatch(pattern, words):
                return field, table
        if arm or meaning_of(part).says_result:
            return None
    return None


def arm_field_of(name: str) -> str:
    """The field of arms that the header of one arm's column names; empty where it names none."""
    words = [word for word in spoken(name).split() if word not in _ARM_NAMES]
    found = field_of(" ".join(words)) if words else None
    if found is None or found[0] == "arm_label":
        return ""
    if found[0] == "n_randomised":
        return "n_randomised" if any("randomi" in word for word in words) else ""
    return found[0] if found[1] == "arms" else ""


def is_no_result(name: str) -> bool:
    """Whether a header is of numbers that are no result: ages, durations, weights."""
    return _NO_RESULT.search(spoken(name)) is not None


def meaning_of(*parts: str) -> Meaning:
    """What the header of a column of results says, in its rows from the top.

    The lowest row that names a statistic says which it is.
    """
    told = [re.sub(r"\(?\bn\s*=\s*\d+\)?", " ", part, flags=re.IGNORECASE) for part in parts]
    name = " ".join(told)
    text = spoken(name)
    words = text.split()
    if is_no_result(name):
        return Meaning()
    rows = [_stats_of(spoken(part)) for part in told]
    stats = next(filter(None, reversed(rows)), frozenset())
    if any("ci" in row for row in rows) and stats & {"lower", "upper"}:
        stats |= {"ci"}
    label, weeks = time_of(name)
    stat, spread = _statistic(stats, "±" in words)
    measure = ""
    if {"smd", "hedges", "cohen", "cohens"} & set(words):
        measure = "smd"
    elif {"md", "wmd"} & set(words) or "mean difference" in text:
        measure = "md"
    outcome, instrument = outcome_of(name)
    if outcome in COUNTED and stat == "n" and "%" in words:
        stat = "events"
    return Meaning(
        stat=stat,
        arm=arm_of(name),
        label=label,
        weeks=weeks,
        change=bool(set(_CHANGE) & set(words)),
        outcome=outcome,
        instrument=instrument,
        spread=spread,
        scale=scale_of(name),
        measure=measure,
    )


def _stats_of(text: str) -> frozenset[str]:
    stats = {_STAT_OF[word] for word in text.split() if word in _STAT_OF}
    stats |= {short for long, short in _LONG.items() if long in text}
    return frozenset(stats)


def _statistic(stats: frozenset[str], plus: bool) -> tuple[str, str]:
    limits = stats & {"lower", "upper"}
    if len(limits) == 1:
        return next(iter(limits)), "ci95" if "ci" in stats else ""
    if "estimate" in stats:
        return ("summary", "ci95") if limits or "ci" in stats else ("estimate", "")
    beside = next((kind for kind in ("sd", "se", "iqr") if kind in stats), "")
    if limits or "ci" in stats:
        beside = beside or "ci95"
    if {"mean", "median"} & stats and (beside or plus):
        return "summary", beside
    if plus:
        return "summary", beside
    if limits or {"ci", "iqr"} & stats:
        return "interval", beside
    for stat in ("sd", "se", "variance", "mean", "median", "events", "p", "n"):
        if stat in stats:
            return "mean" if stat == "median" else stat, "iqr" if stat == "median" else ""
    return "", ""


def arm_of(name: str) -> str:
    """The arm that a header names: "1" with exercise, "2" the other, or its number; else empty."""
    text = re.sub(
        r"(pre|post|after|before|end of)( the)? (intervention|treatment)", "", spoken(name)
    )
    words = text.split()
    short = re.fullmatch(r"(m|sd|n|mean|events|total) ?([12])( i)?", text)
    if short:
        return short[2]
    one = any(word in _ARM_1 for word in words)
    two = any(word in _ARM_2 for word in words)
    if one != two:
        return "1" if one else "2"
    group = re.search(r"(?:group|arm|treatment|g) ([1-9a-d])\b", text)
    if group:
        return {"a": "1", "b": "2", "c": "3", "d": "4"}.get(group[1], group[1])
    return ""


def two_groups(text: str) -> tuple[str, str] | None:
    """The two groups of a comparison: "Pilates versus usual care"; None where it names no two."""
    one, found, two = (part.strip() for part in _VERSUS.sub("\0", text, count=1).partition("\0"))
    return (one, two) if found and one and two else None


def time_of(text: str) -> tuple[str, str]:
    """Label and weeks of a time in words: baseline, post, followup; weeks since the start."""
    words = spoken(text)
    number = r"(\d+(?:\.\d+)?)"
    weeks = ""
    if _SPAN.search(text.casefold()):
        pass  # a span is no week
    elif count := _counted(words, "wks|weeks", "w|wk|week"):
        weeks = count
    elif count := _counted(words, "mos|months", "mo|month"):
        weeks = f"{round(float(count) * 365.25 / 12 / 7):d}"
    elif found := re.search(rf"{number} (?:y|yr|year|years)\b", words):
        weeks = f"{round(float(found[1]) * 365.25 / 7):d}"
    parts = set(words.split())
    if parts & set(_BASE) or re.search(r"\bt 0\b", words) or weeks == "0":
        return "baseline", "0"
    if parts & set(_LATER) or re.search(
        r"\bt [2-9]\b|(short|medium|intermediate|long) ?term", words
    ):
        return "followup", weeks
    if parts & set(_POST) or re.search(r"\bt 1\b", words):
        return "post", weeks
    return ("post" if weeks else ""), weeks


def _counted(words: str, several: str, one: str) -> str:
    """The number of a unit: "6 weeks", else "week 6", else "1 week"; "visit 1 week 6" is week 6."""
    number = r"(\d+(?:\.\d+)?)"
    for shape in (
        rf"{number} (?:{several})\b",
        rf"\b(?:{one}|{several}) {number}",
        rf"{number} (?:{one})\b",
    ):
        if found := re.search(shape, words):
            return found[1]
    return ""


def outcome_of(text: str) -> tuple[str, str]:
    """Outcome and instrument of a text; empty where it does not say."""
    low = " ".join(re.sub(r"[_\-.()/\[\]]+", " ", text.casefold()).split())
    instrument = next((name for shape, name in _INSTRUMENTS if re.search(shape, low)), "")
    outcome = next((name for shape, name in _OUTCOMES if re.search(shape, low)), "")
    return outcome, instrument


def scale_of(text: str) -> tuple[str, str] | None:
    """Limits of a scale in a text: 0-10, 0 to 100, /24, 100 mm, 10 cm."""
    low = re.sub(r"[\u2010-\u2015\u2212]", "-", text.casefold())
    if found := re.search(
        r"(?<![\d.])([01])\s*(?:-|to)\s*(10|11|20|23|24|30|50|52|68|70|100)\b", low
    ):
        return found[1], found[2]
    if found := re.search(r"/\s*(10|23|24|50|100)\b", low):
        return "0", found[1]
    if re.search(r"\b(100\s*-?\s*)?mm\b", low):
        return "0", "100"
    if re.search(r"\b(10\s*-?\s*)?cm\b", low):
        return "0", "10"
    return None


def exercise_of(text: str) -> tuple[str, str]:
    """Exercise type and comparator type of a text; `UNDECIDED` where it does not say."""
    low = text.casefold()
    exercise = next((name for shape, name in _EXERCISES if re.search(shape, low)), "")
    other = next((name for shape, name in _COMPARATORS if re.search(shape, low)), "")
    if exercise and not re.search(r"\bno\b|without", low):
        return exercise, ""
    if other:
        return "none", other
    return UNDECIDED, "" if _ANY_EXERCISE.search(low) and "no " not in low else UNDECIDED


def population_of(text: str) -> str:
    """A word of ``population`` for a text; `UNDECIDED` where it does not say."""
    low = text.casefold()
    return next((name for shape, name in _POPULATIONS if re.search(shape, low)), UNDECIDED)


def direction_of(instrument: str, outcome: str) -> str:
    """``higher_is_better`` of an instrument; `UNDECIDED` where that is not fixed."""
    if instrument in HIGHER_IS_BETTER:
        return "yes"
    pain = instrument in ("VAS", "NRS") and outcome == "pain_intensity"
    return "no" if instrument in HIGHER_IS_WORSE or pain else UNDECIDED


def limits_of(instrument: str, *texts: str) -> tuple[str, str] | None:
    """Limits of an instrument: fixed, or as the first text says; None where no limits are usual."""
    if instrument in FIXED_LIMITS:
        low, high = FIXED_LIMITS[instrument]
        return f"{low:g}", f"{high:g}"
    if instrument == "PPT":
        return None
    for text in texts:
        near = rf"{re.escape(instrument.casefold())}.{{0,40}}"
        if found := scale_of(text if text is texts[0] else _near(near, text)):
            return found
    return UNDECIDED, UNDECIDED


def _near(shape: str, text: str) -> str:
    found = re.search(shape, text.casefold())
    return found[0] if found else ""
