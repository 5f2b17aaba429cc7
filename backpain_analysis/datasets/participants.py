"""Made-up participants of exercise trials: what is true of them, and how they are drawn from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from backpain_analysis.display import html_table
from backpain_analysis.words import did_you_mean

DOSE_CURVES: dict[str, tuple[int, Callable[..., np.ndarray]]] = {
    "constant": (1, lambda d, b: b * (d > 0)),
    "linear": (1, lambda d, b: b * d),
    "quadratic": (2, lambda d, b, c: b * d + c * d**2),
    "log": (1, lambda d, b: b * np.log1p(d)),
    "emax": (2, lambda d, most, half: most * d / (half + d)),
}
"""Effect of a dose from its coefficients (how many, function); "emax": most and half dose."""

TIME_CURVES: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "exponential": lambda week, half: -np.expm1(-np.log(2) * week / half),
    "linear": lambda week, half: week / (2 * half),
}
"""Share of the lasting effect reached by a week; half of it at the half-time in both."""


@dataclass(frozen=True)
class Measure:
    """A characteristic of people: a beta distribution between `low` and `high`."""

    name: str
    unit: str
    low: float
    high: float
    mean: float
    sd: float

    @property
    def shape(self) -> tuple[float, float]:
        """Parameters of the beta distribution with this mean and SD."""
        width = self.high - self.low
        mean, variance = (self.mean - self.low) / width, (self.sd / width) ** 2
        precision = mean * (1 - mean) / variance - 1
        return mean * precision, (1 - mean) * precision


PEOPLE = (
    Measure("age", "years", 20.0, 75.0, 45.0, 11.0),
    Measure("bmi", "kg/m2", 17.0, 45.0, 27.0, 4.5),
    Measure("pain_duration_months", "months", 0.5, 240.0, 40.0, 40.0),
    Measure("sitting_hours", "hours/day", 1.0, 14.0, 7.0, 2.5),
)
ATTENDANCE = Measure("attendance", "share", 0.0, 1.0, 0.75, 0.15)
MODIFICATION = {
    "age": -0.005,
    "baseline": 0.01,
    "pain_duration_months": -0.002,
    "current_smoker": -0.25,
    "sitting_hours": 0.03,
}
PROGNOSIS = {"sitting_hours": 0.8, "current_smoker": 3.0}
SMOKING = {"never": 0.5, "former": 0.27, "current": 0.23}
"""What `Truth` takes by default, that of the bundled set."""


def told(unit: str, meaning: str) -> dict[str, str]:
    """What a parameter of a truth carries: its unit and its meaning."""
    return {"unit": unit, "meaning": meaning}


def of(default: Any, unit: str, meaning: str) -> Any:
    """A parameter of a truth with its default, its unit and its meaning."""
    return field(default=default, metadata=told(unit, meaning))


@dataclass(frozen=True)
class Parameters:
    """Named numbers that data are drawn from, each with its unit and its meaning."""

    name: str = ""

    @classmethod
    def given(cls, truth: Self | None) -> Self:
        """The parameters given, or the usual ones; anything else is refused."""
        if truth is None:
            return cls()
        if not isinstance(truth, cls):
            name = cls.__name__
            raise ValueError(
                f"truth {truth!r} is no bp.{name}; bp.{name}().table() lists what it takes."
            )
        return truth

    def table(self) -> pd.DataFrame:
        """Every parameter: `parameter, value, unit, meaning`."""
        rows = [
            (entry.name, _words(getattr(self, entry.name)), *entry.metadata.values())
            for entry in fields(self)
        ]
        return pd.DataFrame(rows, columns=["parameter", "value", "unit", "meaning"])

    def content(self, seed: int, effects: pd.DataFrame) -> str:
        """Name, seed, every parameter and true effects, as they are written beside the data."""
        values = asdict(self)
        content = {
            "name": self.name,
            "synthetic": True,
            "seed": seed,
            "parameters": {
                entry.name: {"value": values[entry.name], **entry.metadata}
                for entry in fields(self)
            },
            "effects": {
                "unit": "points of 0-100",
                "rows": effects.round(6).reset_index().to_dict(orient="records"),
            },
        }
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    def _repr_html_(self) -> str:
        return html_table(self.table(), title=f"Truth of {self.name}")


@dataclass(frozen=True)
class Truth(Parameters):
    """How trials are made up: `table` lists every parameter with value, unit and meaning.

    The score of participant i of trial j at week t is, before it is recorded,
    `m + u_j + p_i + N g(t) + f(d) g(t) (1 + h_i + v_j) + a_i + b_i t + e_it`: baseline mean m,
    trial level u, prognosis p, natural change N, effect f of the dose prescribed, modification h,
    trial effect v, random intercept a and slope b, error e; g is the time curve. u, p, h, v, a, b
    and e have mean zero, so `effect` is the true mean effect, exactly, whatever the variances;
    recording (`limits`, `decimals`) may shift it, see `additive`.

    Raises
    ------
    ValueError
        For parameters that cannot be; names all of them.

    Examples
    --------
    >>> people = bp.simulate_participants(bp.Truth(), seed=1)
    >>> people.synthetic
    True
    """

    name: str = of("synthetic trials of exercise for back pain", "", "what the data are called")
    trial_sizes: tuple[int, ...] = of(
        (80, 88, 96, 104, 112, 120), "participants", "randomised, a number a trial"
    )
    prescriptions: tuple[tuple[float, float], ...] = of(
        ((0.0, 0.0), (2.0, 30.0), (3.0, 40.0), (4.0, 60.0)),
        "sessions/week, minutes/session",
        "the arms of every trial; their product is the dose",
    )
    programme_weeks: float = of(12.0, "weeks", "length of the programmes")
    visits: tuple[float, ...] = of((0.0, 4.0, 8.0, 12.0, 26.0), "weeks", "when pain is scored")
    baseline_mean: float = of(58.0, "points of 0-100", "mean pain at week 0")
    trial_sd: float = of(3.0, "points of 0-100", "SD of the trials' levels of pain")
    intercept_sd: float = of(10.0, "points of 0-100", "SD of participants' levels")
    slope_sd: float = of(0.15, "points/week", "SD of participants' slopes over time")
    intercept_slope_correlation: float = of(0.0, "", "between a participant's level and slope")
    residual_sd: float = of(8.0, "points of 0-100", "SD of a score around its participant's line")
    natural_change: float = of(-6.0, "points of 0-100", "change without exercise, in the end")
    time_curve: str = of("exponential", "", "how effect and natural change come")
    half_time_weeks: float = of(3.0, "weeks", "until half of them has come")
    dose_curve: str = of("quadratic", "", "shape of the lasting effect over minutes per week")
    dose_coefficients: tuple[float, ...] = of(
        (-0.11, 0.0002), "points a minute/week, points a (minute/week)^2", "of the dose curve"
    )
    effect_trial_sd: float = of(0.0, "share of the effect", "SD of the trials' own effects")
    modification: dict[str, float] = field(
        default_factory=MODIFICATION.copy,
        metadata=told("share of the effect a unit above the mean", "how much stronger it is"),
    )
    prognosis: dict[str, float] = field(
        default_factory=PROGNOSIS.copy,
        metadata=told("points of 0-100 a unit above the mean", "how much more pain there is"),
    )
    people: tuple[Measure, ...] = of(PEOPLE, "", "distributions of participants' measures")
    female_share: float = of(0.56, "share", "women")
    smoking: dict[str, float] = field(
        default_factory=SMOKING.copy, metadata=told("share", "smoking at baseline")
    )
    attendance: Measure = field(
        default=ATTENDANCE, metadata=told("", "share of prescribed sessions that is attended")
    )
    dropout: Literal["MAR", "MNAR"] = of(
        "MAR", "", "by the last score (MAR) or by the one that is then missing (MNAR)"
    )
    dropout_per_visit: float = of(0.08, "share", "lost before each visit, at mean baseline pain")
    dropout_odds_ratio: float = of(1.5, "a 10 points more pain", "of being lost")
    limits: tuple[float, float] | None = of(
        (0.0, 100.0), "points", "ends of the scale, where scores are cut off; none: not cut off"
    )
    decimals: int | None = of(0, "digits", "to which scores are rounded; none: not rounded")

    def __post_init__(self) -> None:
        if faults := list(_faults(self)):
            raise ValueError(f"this truth cannot be: {'; '.join(faults)}.")

    @property
    def doses(self) -> np.ndarray:
        """Minutes per week prescribed in each arm, shape (n_arms,)."""
        return np.prod(np.array(self.prescriptions, dtype=float), axis=1)

    def additive(self) -> Truth:
        """The same without ends of the scale and rounding, which bias effects towards zero."""
        return replace(self, limits=None, decimals=None)

    def scaled(self, ratio: float) -> Truth:
        """The same with every effect of dose so many times as large."""
        count = 1 if self.dose_curve == "emax" else len(self.dose_coefficients)
        larger = [ratio * value for value in self.dose_coefficients[:count]]
        return replace(self, dose_coefficients=(*larger, *self.dose_coefficients[count:]))

    def reached(self, week: ArrayLike) -> np.ndarray:
        """Share of the lasting effect reached by a week."""
        week = np.asarray(week, dtype=float)
        return TIME_CURVES[self.time_curve](week, self.half_time_weeks)

    def lasting_effect(self, dose: ArrayLike) -> np.ndarray:
        """Mean effect of minutes per week against none, once the time curve is at one."""
        curve = DOSE_CURVES[self.dose_curve][1]
        return curve(np.asarray(dose, dtype=float), *self.dose_coefficients)

    def effect(self, dose: ArrayLike, week: ArrayLike, **person: ArrayLike) -> Any:
        """True mean difference from no exercise, in points; below zero is less pain.

        Parameters
        ----------
        dose : array_like
            Minutes per week prescribed.
        week : array_like
            Of the visit; broadcasts with `dose`.
        **person : array_like
            Modifiers (`modification`) of the people meant, such as ``age=60`` or
            ``current_smoker=1``; the others at their means. Without any: the mean of all people.

        Returns
        -------
        float or ndarray

        Raises
        ------
        ValueError
            For what modifies nothing.
        """
        if unknown := sorted(set(person) - set(self.modification)):
            known = did_you_mean(unknown[0], self.modification)
            raise ValueError(f"{unknown[0]!r} modifies no effect. {known}")
        share: Any = 1.0
        for name, value in person.items():
            above = np.asarray(value, dtype=float) - self.centre(name)
            share = share + self.modification[name] * above
        found = self.lasting_effect(dose) * self.reached(week) * share
        return float(found) if np.ndim(found) == 0 else found

    def centre(self, modifier: str) -> float:
        """Population mean of a modifier, where it changes nothing."""
        means = {measure.name: measure.mean for measure in self.people}
        special = {"baseline": self.baseline_mean, "current_smoker": self.smoking["current"]}
        return (means | special)[modifier]

    def covariance(self, weeks: ArrayLike) -> np.ndarray:
        """Covariance of one participant's scores at `weeks` (n,), same trial, without exercise."""
        weeks = np.asarray(weeks, dtype=float)
        lines = np.column_stack([self.intercept_sd * np.ones(len(weeks)), self.slope_sd * weeks])
        r = self.intercept_slope_correlation
        random = lines @ np.array([[1, r], [r, 1]]) @ lines.T
        variance = {measure.name: measure.sd**2 for measure in self.people}
        variance["current_smoker"] = self.smoking["current"] * (1 - self.smoking["current"])
        fixed = sum(points**2 * variance[name] for name, points in self.prognosis.items())
        return random + fixed + self.residual_sd**2 * np.eye(len(weeks))

    def effects(self) -> pd.DataFrame:
        """True effects of the arms' doses: a row a dose, a column a week after baseline."""
        doses, weeks = np.unique(self.doses), self.visits[1:]
        found = self.effect(doses[:, None], np.array(weeks)[None, :])
        return pd.DataFrame(
            found,
            pd.Index(doses, name="minutes_per_week"),
            pd.Index(weeks, name="week"),
        )

    def to_json(self, seed: int) -> str:
        """The truth and the seed that drew data from it, as text; `from_json` reads it."""
        return self.content(seed, self.effects().stack().to_frame("effect"))

    @classmethod
    def from_json(cls, text: str) -> tuple[Truth, int]:
        """The truth and the seed that `to_json` wrote."""
        content = json.loads(text)
        values = {name: entry["value"] for name, entry in content["parameters"].items()}
        values["people"] = [Measure(**measure) for measure in values["people"]]
        values["attendance"] = Measure(**values["attendance"])
        return cls(**{name: frozen(value) for name, value in values.items()}), content["seed"]


def load_truth(folder: str | Path) -> tuple[Truth, int]:
    """The truth and the seed stored beside made-up data, in ``truth.json``.

    Examples
    --------
    >>> truth, seed = bp.datasets.load_truth(bp.datasets.data_dir() / "participants")
    >>> truth == bp.Truth(), seed
    (True, 1)
    """
    return Truth.from_json((Path(folder) / "truth.json").read_text(encoding="utf-8"))


def frozen(value: Any) -> Any:
    """A value read from JSON with tuples where it has lists."""
    return tuple(frozen(entry) for entry in value) if isinstance(value, list) else value


def _words(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, Measure):
        return f"{value.name} {value.low:g} to {value.high:g}, mean {value.mean:g}, SD {value.sd:g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {number:g}" for name, number in value.items())
    if isinstance(value, tuple):
        inner = [_words(entry) for entry in value]
        nested = any(isinstance(entry, tuple | Measure) for entry in value)
        return ("; " if nested else ", ").join(inner)
    return value if isinstance(value, str) else f"{value:g}"


def _faults(truth: Truth) -> Iterator[str]:
    for name, known in (("dose_curve", DOSE_CURVES), ("time_curve", TIME_CURVES)):
        if (word := getattr(truth, name)) not in known:
            yield f"{name} {word!r}: {did_you_mean(word, known)}"
    if truth.dose_curve in DOSE_CURVES:
        wanted = DOSE_CURVES[truth.dose_curve][0]
        if len(truth.dose_coefficients) != wanted:
            yield f"a {truth.dose_curve} dose_curve has {wanted} dose_coefficients"
    if truth.dropout not in ("MAR", "MNAR"):
        yield f"dropout {truth.dropout!r} must be 'MAR' or 'MNAR'"
    if not truth.trial_sizes or min(truth.trial_sizes) < 1:
        yield "trial_sizes must be whole numbers from 1"
    if not truth.prescriptions or min(map(min, truth.prescriptions)) < 0:
        yield "prescriptions must be pairs of numbers from 0"
    if len(truth.visits) < 2 or truth.visits[0] != 0 or np.any(np.diff(truth.visits) <= 0):
        yield "visits must start at week 0 and rise"
    for entry in fields(truth):
        value = getattr(truth, entry.name)
        if entry.name.endswith("_sd") and not 0 <= value < np.inf:
            yield f"{entry.name} {value:g} must be 0 or more"
    for name in ("half_time_weeks", "programme_weeks", "dropout_odds_ratio"):
        if not 0 < getattr(truth, name) < np.inf:
            yield f"{name} {getattr(truth, name):g} must be above 0"
    if not -1 <= truth.intercept_slope_correlation <= 1:
        yield "intercept_slope_correlation must lie from -1 to 1"
    if not 0 <= truth.dropout_per_visit < 1:
        yield "dropout_per_visit must be from 0 to below 1"
    if set(truth.smoking) != {"never", "former", "current"} or not np.isclose(
        sum(truth.smoking.values()), 1
    ):
        yield "smoking must give shares of never, former and current that add up to 1"
    for measure in (*truth.people, truth.attendance):
        inside = measure.low < measure.mean < measure.high and measure.sd > 0
        if not inside or min(measure.shape) <= 0:
            yield (
                f"{measure.name}: nothing between {measure.low:g} and {measure.high:g} has mean "
                f"{measure.mean:g} and SD {measure.sd:g}"
            )
    described = [measure.name for measure in PEOPLE]
    if [measure.name for measure in truth.people] != described:
        yield f"people must describe {', '.join(described)}"
    people = [*(measure.name for measure in truth.people), "current_smoker"]
    for word in truth.modification:
        if word not in (*people, "baseline"):
            yield f"modification {word!r}: {did_you_mean(word, [*people, 'baseline'])}"
    for word in truth.prognosis:
        if word not in people:
            yield f"prognosis {word!r}: {did_you_mean(word, people)}"


People = dict[str, np.ndarray]
"""By name, arrays (..., n): the measures, `female`, `smoking` (words), `current_smoker` (0, 1)."""


def draw_people(truth: Truth, rng: np.random.Generator, shape: tuple[int, ...]) -> People:
    """Characteristics at baseline, independent of one another; measures to one decimal."""
    people: People = {}
    for measure in truth.people:
        share = rng.beta(*measure.shape, size=shape)
        people[measure.name] = (measure.low + (measure.high - measure.low) * share).round(1)
    people["female"] = rng.random(shape) < truth.female_share
    habits = list(truth.smoking)
    people["smoking"] = rng.choice(habits, size=shape, p=list(truth.smoking.values()))
    people["current_smoker"] = (people["smoking"] == "current").astype(float)
    return people


def draw_scores(
    truth: Truth, dose: np.ndarray, trial: np.ndarray, people: People, rng: np.random.Generator
) -> np.ndarray:
    """Scores at every visit, as recorded, NaN from a dropout on.

    Parameters
    ----------
    truth : Truth
    dose : ndarray, shape (n,)
        Minutes per week.
    trial : ndarray of int, shape (n,)
        Numbers of the trials, from 0.
    people : dict
        Of `draw_people`, arrays (..., n); leading axes are data sets.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, shape (..., n, n_visits)
        The model is that of `Truth`. Dropout is for good; its logit is linear in the recorded
        score before it (or, for "MNAR", in the one that it hides).
    """
    weeks = np.array(truth.visits)
    shape = people["current_smoker"].shape
    trials = (*shape[:-1], int(trial.max()) + 1)
    level: np.ndarray = truth.baseline_mean + rng.normal(0, truth.trial_sd, trials)[..., trial]
    for name, points in truth.prognosis.items():
        level = level + points * (people[name] - truth.centre(name))
    own = rng.standard_normal((2, *shape))
    r = truth.intercept_slope_correlation
    level = level + truth.intercept_sd * own[0]
    slope = truth.slope_sd * (r * own[0] + np.sqrt(1 - r**2) * own[1])
    scores = rng.normal(0, truth.residual_sd, (*shape, len(weeks)))
    scores += level[..., None] + slope[..., None] * weeks
    share: np.ndarray = 1 + rng.normal(0, truth.effect_trial_sd, trials)[..., trial]
    for name, change in truth.modification.items():
        value = recorded(truth, scores[..., 0]) if name == "baseline" else people[name]
        share = share + change * (value - truth.centre(name))
    change = truth.natural_change + truth.lasting_effect(dose) * share
    scores += change[..., None] * truth.reached(weeks)
    scores = recorded(truth, scores)
    scores[dropped_out(truth, scores, rng)] = np.nan
    return scores


def recorded(truth: Truth, scores: np.ndarray) -> np.ndarray:
    """Scores on their scale: cut off at its ends and rounded, where the truth says so."""
    if truth.limits is not None:
        scores = np.clip(scores, *truth.limits)
    return scores if truth.decimals is None else np.round(scores, truth.decimals)


def dropped_out(truth: Truth, scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mask of the scores that dropout hides, shape of `scores`; never the first visit."""
    chance = rng.random(scores[..., 1:].shape)
    seen = scores[..., :-1] if truth.dropout == "MAR" else scores[..., 1:]
    p = truth.dropout_per_visit
    odds = p / (1 - p) * truth.dropout_odds_ratio ** ((seen - truth.baseline_mean) / 10)
    gone = np.logical_or.accumulate(chance < odds / (1 + odds), axis=-1)
    return np.concatenate([np.zeros_like(gone[..., :1]), gone], axis=-1)


TYPES = ("aerobic_walking", "core_stabilisation", "resistance", "yoga", "motor_control", "pilates")
"""Exercise of the trials, in turn; the type makes no difference."""

STATUS = {"acute": 1.5, "subacute": 3.0, "chronic": np.inf}
"""Months of pain up to which it is called so."""


class SyntheticTables(NamedTuple):
    """Tables of made-up participants, with the columns of the bundled ``datapackage.json``."""

    interventions: pd.DataFrame
    scores: pd.DataFrame
    participants: pd.DataFrame


def write_synthetic(folder: str | Path, truth: Truth | None = None, seed: int = 1) -> Path:
    """Write made-up participants as CSV with their truth beside them, in ``truth.json``.

    Files of these names in the folder are replaced; the same truth and seed give the same bytes.

    Returns
    -------
    Path
        The folder.
    """
    truth, folder = Truth.given(truth), Path(folder)
    tables = simulate_tables(truth, seed)._asdict()
    texts = {f"{name}.csv": _csv(table) for name, table in tables.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {**texts, "truth.json": truth.to_json(seed)}.items():
        (folder / name).write_text(text, encoding="utf-8", newline="")
    return folder


def simulate_tables(truth: Truth, seed: int) -> SyntheticTables:
    """The tables of a truth, unchecked."""
    rng = np.random.default_rng(seed)
    trial = np.repeat(np.arange(len(truth.trial_sizes)), truth.trial_sizes)
    arm = np.concatenate([_allocated(truth, size, rng) for size in truth.trial_sizes])
    people = draw_people(truth, rng, trial.shape)
    scores = draw_scores(truth, truth.doses[arm], trial, people, rng)
    keys = _identifiers(truth, trial)
    return SyntheticTables(
        _interventions(truth, keys, trial, arm, rng),
        _scores(truth, keys, scores),
        _participants(keys, people),
    )


def _allocated(truth: Truth, size: int, rng: np.random.Generator) -> np.ndarray:
    """Arms of one trial's participants, as equal in number as they can be, in random order."""
    return rng.permutation(np.arange(size) % len(truth.prescriptions))


def _identifiers(truth: Truth, trial: np.ndarray) -> pd.DataFrame:
    number = np.concatenate([np.arange(1, size + 1) for size in truth.trial_sizes])
    width = len(str(max(truth.trial_sizes)))
    return pd.DataFrame(
        {
            "trial_id": [f"synthetic_{code + 1}" for code in trial],
            "participant_id": [
                f"s{code + 1}-{count:0{width}d}" for code, count in zip(trial, number, strict=True)
            ],
        }
    )


def _interventions(
    truth: Truth,
    keys: pd.DataFrame,
    trial: np.ndarray,
    arm: np.ndarray,
    rng: np.random.Generator,
) -> pd.DataFrame:
    sessions, minutes = np.array(truth.prescriptions, dtype=float)[arm].T
    exercises = sessions * minutes > 0
    share = rng.beta(*truth.attendance.shape, size=arm.shape)
    attended = np.floor(100 * sessions * share) / 100
    kind = np.array(TYPES)[trial % len(TYPES)]
    return keys.assign(
        exercise_type=np.where(exercises, kind, "none"),
        prescribed_sessions_per_week=np.where(exercises, sessions, 0.0),
        attended_sessions_per_week=np.where(exercises, attended, 0.0),
        minutes_per_session=np.where(exercises, minutes, np.nan),
        start_week=np.where(exercises, 0.0, np.nan),
        end_week=np.where(exercises, truth.programme_weeks, np.nan),
        intensity=pd.Series("moderate", range(len(exercises)), dtype="str").where(exercises),
    )


def _scores(truth: Truth, keys: pd.DataFrame, scores: np.ndarray) -> pd.DataFrame:
    low, high = (np.nan, np.nan) if truth.limits is None else truth.limits
    rows = keys.loc[keys.index.repeat(len(truth.visits))].reset_index(drop=True)
    table = rows.assign(
        week=np.tile(truth.visits, len(keys)),
        instrument="other" if truth.limits is None else "VAS",
        value=scores.ravel(),
        scale_min=float(low),
        scale_max=float(high),
    )
    return table[table["value"].notna()].reset_index(drop=True)


def _participants(keys: pd.DataFrame, people: People) -> pd.DataFrame:
    months = people["pain_duration_months"]
    return keys.assign(
        age=people["age"],
        sex=np.where(people["female"], "female", "male"),
        bmi=people["bmi"],
        pain_duration_months=months,
        smoking=people["smoking"],
        sitting_hours=people["sitting_hours"],
        baseline_status=np.array(list(STATUS))[np.searchsorted(list(STATUS.values()), months)],
    )


def _csv(table: pd.DataFrame) -> str:
    """A table as CSV, columns of whole numbers without a decimal point."""
    numbers = table.select_dtypes("float")
    whole = [name for name in numbers if (numbers[name].dropna() % 1 == 0).all()]
    return table.astype(dict.fromkeys(whole, "Int64")).to_csv(index=False, lineterminator="\n")
