"""What is known at each dose, for every outcome, population, type and measure of dose.

The numbers behind a page on which a reader chooses a dose. The curve is that of `dose_answer`: a
step at the first dose and a line. A dose is told only if trials studied about as much, within half
a step (`words.DOSE_STEPS`); other doses are refused in words, also those between two that were
studied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from backpain_analysis.answers.appraisals import risk_counts, risk_of
from backpain_analysis.answers.certainty import NO_EVIDENCE, Body, Certainty, certainty
from backpain_analysis.answers.claim_tests import BETWEEN_TRIALS
from backpain_analysis.answers.dose import DoseAnswer, dose_answer, dose_sentence
from backpain_analysis.effects.table import Effects
from backpain_analysis.errors import CannotEstimate, require
from backpain_analysis.evidence.dose import DOSE_MEASURES
from backpain_analysis.evidence.evidence import Evidence
from backpain_analysis.evidence.scales import mcid
from backpain_analysis.models.results import TableResult
from backpain_analysis.words import (
    DOSE_LABELS,
    DOSE_STEPS,
    benefit_sign,
    dose_with_unit,
    effect_digits,
    exercise_label,
    measured,
    number,
    outcome_label,
    outcome_words,
    plural,
    population_label,
    readable,
    unit_words,
)

MEDIA_TYPE = "application/vnd.backpain.explorer+json"

FINE = {
    "sessions_per_week": 0.5,
    "minutes_per_session": 5.0,
    "minutes_per_week": 15.0,
    "duration_weeks": 1.0,
    "total_sessions": 2.0,
    "total_hours": 2.0,
    "met_minutes_per_week": 50.0,
}
"""How far apart the doses are that can be chosen."""

BEYOND = 1.25
"""How far doses can be chosen beyond the largest that was studied, to be told that nobody did."""

ALL = ""
"""All populations, or all types."""


@dataclass(frozen=True)
class Choice:
    """What a reader chooses but for the dose; `ALL` where all are taken together."""

    outcome: str
    population: str
    exercise_type: str
    dose_name: str

    @property
    def words(self) -> tuple[str, str, str, str]:
        """Outcome, population, type and measure of dose as a reader knows them."""
        return (
            outcome_label(self.outcome),
            population_label(self.population) if self.population else "All kinds",
            exercise_label(self.exercise_type) if self.exercise_type else "All types",
            readable(DOSE_LABELS.get(self.dose_name, self.dose_name)),
        )


@dataclass(frozen=True)
class Known:
    """What is known at one dose.

    Attributes
    ----------
    dose, estimate, ci_low, ci_high, pi_low, pi_high : float
        Mean effect against no exercise with its confidence and prediction intervals.
    n_trials, n_participants : int
        That studied about this dose; without any the dose is not told.
    certainty : Certainty
        Of the effect at this dose, from all trials of the curve.
    """

    dose: float
    estimate: float
    ci_low: float
    ci_high: float
    pi_low: float
    pi_high: float
    n_trials: int
    n_participants: int
    certainty: Certainty


@dataclass(frozen=True)
class Explored:
    """A choice with its trials and, if they carry one, its curve.

    Attributes
    ----------
    choice : Choice
    effects : Effects
        With known doses.
    answer : DoseAnswer or None
    reason : str
        Why there is no curve; empty where there is one.
    doses : tuple of Known
        Along the curve, rising.
    """

    choice: Choice
    effects: Effects = field(repr=False)
    answer: DoseAnswer | None = field(repr=False)
    reason: str
    doses: tuple[Known, ...] = field(repr=False)

    @cached_property
    def studied(self) -> np.ndarray:
        """The distinct doses above zero that people were given, rising."""
        doses = self.effects.table[["dose", "ref_dose"]].to_numpy(dtype=float)
        return np.unique(doses[doses > 0])

    @property
    def said(self) -> str:
        """Whether more does more, or why there is no curve."""
        if self.answer is not None:
            return dose_sentence(self.answer)
        if self.effects.n_trials == 1:
            return "One trial has this, too few for a curve; what it found is shown."
        trials = plural(self.effects.n_trials, "trial")
        return f"{trials} carry no curve: {self.reason}. What each found is shown."

    def at(self, dose: float) -> str:
        """What is known at a dose, or why it is not told."""
        name, studied = self.choice.dose_name, self.studied
        here = _given(dose, name)
        if not studied[0] <= dose <= studied[-1]:
            return f"{NOBODY.format(dose=here)} {self._reach()}"
        if self.answer is None:
            return self.said
        known = next((each for each in self.doses if np.isclose(each.dose, dose)), None)
        if known is None:
            raise ValueError(f"dose {dose:g} cannot be chosen: use steps of {FINE[name]:g}.")
        if not known.n_trials:
            below, above = studied[studied < dose][-1], studied[studied > dose][0]
            nearest = NEAREST.format(low=f"{below:g}", high=_given(above, name))
            return f"{NOBODY.format(dose=here)} {nearest}"
        return self._effect(known)

    def _effect(self, known: Known) -> str:
        measure = self.effects.measure
        digits = effect_digits(measure)
        numbers = [known.estimate, known.ci_low, known.ci_high]
        clear = known.ci_low > 0 or known.ci_high < 0
        if clear:
            near, far = sorted(abs(limit) for limit in numbers[1:])
            numbers = [abs(known.estimate), near, far]
        middle, low, high = (number(each, digits) for each in numbers)
        way = "lower" if known.estimate < 0 else "higher"
        return (CLEAR if clear else UNCLEAR).format(
            dose=_given(known.dose, self.choice.dose_name),
            outcome=outcome_words(self.choice.outcome),
            estimate=middle,
            low=low,
            high=high,
            unit=unit_words(measure),
            way=way,
        )

    def _reach(self) -> str:
        lowest, highest = self.studied[0], self.studied[-1]
        words = ONLY if lowest == highest else REACH
        return words.format(low=f"{lowest:g}", high=_given(highest, self.choice.dose_name))


def _given(dose: float, name: str) -> str:
    """A dose with its unit, with all its decimals."""
    words = dose_with_unit(1.0 if dose == 1 else 2.0, name).partition(" ")[2]
    return f"{dose:g} {words}"


NOBODY = "No trial studied about {dose}, so nothing is told of it."
REACH = "The doses studied reach from {low} to {high}."
ONLY = "The only dose studied is {high}."
NEAREST = "The nearest are {low} and {high}."
CLEAR = (
    "At {dose}, {outcome} was {estimate} {unit} {way} than without exercise "
    "(95% CI {low} to {high} {way})."
)
UNCLEAR = (
    "At {dose}, no clear difference in {outcome} from no exercise: {estimate} {unit} "
    "(95% CI {low} to {high})."
)


@dataclass(frozen=True, repr=False)
class DoseExplorer(TableResult):
    """Curves and what is known along them, for every choice that trials say something on.

    Attributes
    ----------
    explored : tuple of Explored

    Examples
    --------
    >>> trials = bp.load_evidence().filter(population=bp.BACK_PAIN)
    >>> found = bp.dose_explorer(trials, ["pain_intensity"], ["sessions_per_week"])
    >>> print(found.chosen("pain_intensity", "sessions_per_week").at(2))
    At 2 sessions per week, pain was 13.5 points of 100 lower than without exercise (95% CI 7.5 to
    19.5 lower).
    >>> print(found.chosen("pain_intensity", "sessions_per_week").at(3.5))
    No trial studied about 3.5 sessions per week, so nothing is told of it. The doses studied
    reach from 1 to 3 sessions per week.
    """

    explored: tuple[Explored, ...]

    def chosen(
        self, outcome: str, dose_name: str, *, population: str = ALL, exercise_type: str = ALL
    ) -> Explored:
        """One choice.

        Raises
        ------
        CannotEstimate
            If no trial has this outcome at a known dose.
        """
        choice = Choice(outcome, population, exercise_type, dose_name)
        for each in self.explored:
            if each.choice == choice:
                return each
        raise CannotEstimate("no trial of this choice has a result at a known dose")

    def answer(self) -> str:
        """What can be asked here, in a sentence."""
        if not self.explored:
            return "No trial of exercise against none has a result at a known dose."
        curves = sum(each.answer is not None for each in self.explored)
        trials = {trial for each in self.explored for trial in each.effects.table["trial_id"]}
        return (
            f"Choose an outcome, a population, a type of exercise and a dose: "
            f"{plural(len(trials), 'trial')} of exercise against none have a result at a known "
            f"dose, and {curves} of {plural(len(self.explored), 'choice')} carry a curve. Doses "
            "that nobody studied are refused."
        )

    def summary(self) -> pd.DataFrame:
        """A row a choice that has a curve: what it rests on and what its typical dose does.

        Of all kinds of back pain together; `to_frame` has every choice and dose.
        """
        return pd.DataFrame(
            [
                _row(each, each.answer)
                for each in self.explored
                if each.answer is not None and each.choice.population == ALL
            ]
        )

    def to_frame(self) -> pd.DataFrame:
        """A row a dose of every curve, in full precision; `told` says whether trials studied it."""
        return pd.DataFrame(
            [
                {
                    **dict(zip(CHOSEN, e.choice.words, strict=True)),
                    **{name: getattr(known, name) for name in NUMBERS},
                    "trials": known.n_trials,
                    "participants": known.n_participants,
                    "certainty": known.certainty.level if known.n_trials else "",
                    "told": bool(known.n_trials),
                }
                for e in self.explored
                for known in e.doses
            ]
        )

    def to_data(self) -> dict[str, Any]:
        """All that the page of the explorer needs, as plain JSON; numbers as they are shown."""
        reasons: dict[str, int] = {}
        choices = [each.choice for each in self.explored]
        outcomes = list(dict.fromkeys(choice.outcome for choice in choices))
        measures = {e.choice.outcome: e.effects.measure for e in self.explored}
        largest = {
            name: max(e.studied[-1] for e in self.explored if e.choice.dose_name == name)
            for name in dict.fromkeys(choice.dose_name for choice in choices)
        }
        explored = [_data(each, reasons) for each in self.explored]
        return {
            "outcomes": [_outcome(name, measures[name]) for name in outcomes],
            "populations": _named(choices, "population", 1),
            "types": _named(choices, "exercise_type", 2),
            "doses": [_scale(name, top) for name, top in largest.items()],
            "words": WORDS,
            "reasons": list(reasons),
            "explored": explored,
        }

    def _title(self) -> str:
        return "What the typical dose does, all kinds of back pain"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return {
            "text/html": self._repr_html_(),
            "text/csv": self.to_frame().to_csv(index=False, lineterminator="\r\n"),
            MEDIA_TYPE: self.to_data(),
        }


CHOSEN = ("outcome", "population", "type", "measure")
NUMBERS = ("dose", "estimate", "ci_low", "ci_high", "pi_low", "pi_high")

WORDS = {
    "nobody": NOBODY,
    "clear": CLEAR,
    "unclear": UNCLEAR,
    "reach": REACH,
    "only": ONLY,
    "nearest": NEAREST,
    "nothing": "No trial of this choice has a result against no exercise at a known dose.",
}


def dose_explorer(
    evidence: Evidence,
    outcomes: Sequence[str] = ("pain_intensity", "disability"),
    doses: Sequence[str] = DOSE_MEASURES,
    **options: Any,
) -> DoseExplorer:
    """Fit the curve of every outcome, population, type of exercise and measure of dose.

    Parameters
    ----------
    evidence : Evidence
    outcomes : sequence of str
    doses : sequence of str
        Of `evidence.dose.DOSE_MEASURES`.
    **options
        Of `Evidence.effects`, such as `include_home`.

    Returns
    -------
    DoseExplorer

    Examples
    --------
    >>> import backpain_analysis as bp
    >>> trials = bp.load_evidence().filter(population=bp.BACK_PAIN)
    >>> int(bp.dose_explorer(trials, ["disability"], ["duration_weeks"]).summary()["Trials"].max())
    16
    """
    require(evidence, "Evidence")
    risk = risk_of(evidence)
    explored = []
    for outcome in outcomes:
        try:
            effects = evidence.effects(outcome, **options)
        except CannotEstimate:
            continue
        groups = [
            [ALL, *sorted(effects.table[name].dropna().astype(str).unique())]
            for name in ("population", "exercise_type")
        ]
        chosen = _choices(effects.table, doses)
        found: dict[tuple[str, bytes], Explored | None] = {}
        for population, exercise_type, name in product(*groups, doses):
            choice = Choice(outcome, population, exercise_type, name)
            keep = chosen(choice)
            key = (name, keep.tobytes())
            if key not in found:
                found[key] = _explored(choice, effects, keep, risk) if keep.any() else None
            if (each := found[key]) is not None:
                explored.append(replace(each, choice=choice))
    return DoseExplorer(tuple(explored))


def _choices(table: pd.DataFrame, doses: Sequence[str]) -> Callable[[Choice], np.ndarray]:
    """What tells which contrasts are of a choice."""
    known = {name: table[name].notna().to_numpy() for name in doses}
    populations, types = (_by_word(table[name]) for name in ("population", "exercise_type"))

    def chosen(choice: Choice) -> np.ndarray:
        of_people = known[choice.dose_name] & populations[choice.population]
        return of_people & types[choice.exercise_type]

    return chosen


def _by_word(column: pd.Series) -> dict[str, np.ndarray]:
    """The rows with each word, and all of them."""
    words = column.to_numpy(dtype=object)
    found = {str(word): words == word for word in column.dropna().unique()}
    return {ALL: np.ones(len(words), dtype=bool), **found}


def _explored(
    choice: Choice, effects: Effects, keep: np.ndarray, risk: dict[str, str]
) -> Explored | None:
    """One choice with its curve; None if no trial has it at a known dose."""
    known = effects.select(keep, "not chosen").with_dose(choice.dose_name)
    if not len(known):
        return None
    threshold = mcid(choice.outcome) if effects.measure == "MD" else None
    try:
        answer = dose_answer(known, choice.dose_name, mcid=threshold, shapes=False)
    except CannotEstimate as fault:
        return Explored(choice, known, None, fault.reason, ())
    return Explored(choice, known, answer, "", tuple(_along(answer, known, risk)))


def _along(answer: DoseAnswer, effects: Effects, risk: dict[str, str]) -> Iterator[Known]:
    """What is known at each dose that can be chosen, and at both ends."""
    step = FINE[answer.dose_name]
    inside = step * np.arange(np.ceil(answer.lowest / step), np.floor(answer.highest / step) + 1)
    doses = np.unique([answer.lowest, *inside, answer.highest])
    size = {**risk_counts(risk, answer.trials), "n_trials": answer.n_trials}
    indirect = () if answer.direct else (BETWEEN_TRIALS,)
    sizes: dict[bytes, tuple[int, int]] = {}
    for row in answer.result.predict(doses).to_dict("records"):
        numbers: dict[str, Any] = {column: float(row[column]) for column in NUMBERS}
        body = Body(
            **{column: numbers[column] for column in NUMBERS[1:]},
            **size,
            n_participants=answer.n_participants,
            mcid=answer.mcid,
            indirect=indirect,
        )
        about = _about(effects.table, numbers["dose"], answer.dose_name)
        key = about.tobytes()
        if key not in sizes:
            sizes[key] = effects.size_of(about)
        yield Known(**numbers, n_trials=sizes[key][0], n_participants=sizes[key][1],
                    certainty=certainty(body))  # fmt: skip


def _about(table: pd.DataFrame, dose: float, name: str) -> np.ndarray:
    """Which contrasts have an arm within half a step of a dose."""
    given = np.array([table["dose"], table["ref_dose"]], dtype=float)
    near = np.abs(given - dose) <= DOSE_STEPS[name] / 2
    return np.logical_or(*(near & (given > 0)))


def _row(each: Explored, answer: DoseAnswer) -> dict[str, object]:
    outcome, _, type_, dose = each.choice.words
    digits = effect_digits(answer.measure)
    middle, low, high = answer.effect.signed(digits)
    return {
        "Outcome": outcome,
        "Exercise": type_,
        "Dose": dose,
        "Trials": answer.n_trials,
        "Participants": answer.n_participants,
        "Studied": f"{answer.lowest:g} to {answer.highest:g}",
        "Typical": answer.typical,
        "Effect [95% CI]": f"{middle} [{low}, {high}]",
        "Does more do more?": answer.verdict,
    }


def _data(each: Explored, reasons: dict[str, int]) -> dict[str, Any]:
    digits = effect_digits(each.effects.measure)
    table = each.effects.table
    of_none = table[table["ref_dose"] == 0]
    points = zip(of_none["dose"], of_none["yi"], np.sqrt(of_none["vi"]), of_none["label"],
                 strict=True)  # fmt: skip
    rows = []
    for known in each.doses:
        graded = known.certainty if known.n_trials else Certainty(NO_EVIDENCE)
        why = reasons.setdefault(graded.reasons, len(reasons))
        numbers = (_rounded(getattr(known, name), digits) for name in NUMBERS[1:])
        rows.append([known.dose, *numbers, known.n_trials, known.n_participants,
                     graded.level, why])  # fmt: skip
    return {
        "choice": [
            each.choice.outcome,
            each.choice.population,
            each.choice.exercise_type,
            each.choice.dose_name,
        ],
        "said": each.said,
        "verdict": each.answer.verdict if each.answer else "",
        "trials": each.effects.n_trials,
        "participants": each.effects.n_participants,
        "typical": each.answer.typical if each.answer else float(each.studied[0]),
        "studied": [float(dose) for dose in each.studied],
        "rows": rows,
        "points": [[float(dose), round(float(y), 2), round(float(se), 2), str(label)]
                   for dose, y, se, label in points],
    }  # fmt: skip


def _rounded(value: float, digits: int) -> float | None:
    return round(value, digits) if np.isfinite(value) else None


def _outcome(name: str, measure: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": outcome_label(name),
        "words": outcome_words(name),
        "unit": unit_words(measure),
        "axis": " ".join(measured(name, measure).split()),
        "digits": effect_digits(measure),
        "benefit": benefit_sign(name),
        "mcid": mcid(name) if measure == "MD" else None,
    }


def _named(choices: Iterable[Choice], name: str, place: int) -> list[dict[str, str]]:
    """Populations or types in the order of the evidence, all first."""
    found = {getattr(choice, name): choice.words[place] for choice in choices}
    return [{"name": value, "label": label} for value, label in sorted(found.items())]


def _scale(name: str, largest: float) -> dict[str, Any]:
    """A measure of dose: its words, and the doses that can be chosen."""
    step = FINE[name]
    top = step * np.ceil(BEYOND * largest / step)
    return {
        "name": name,
        "label": readable(DOSE_LABELS.get(name, name)),
        "one": dose_with_unit(1.0, name).partition(" ")[2],
        "many": DOSE_LABELS.get(name, name),
        "step": step,
        "about": DOSE_STEPS[name] / 2,
        "largest": float(top),
    }
