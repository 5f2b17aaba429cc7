"""Made-up trials as their reports print them: whole evidence tables whose truth is known."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy
from numpy.typing import ArrayLike

from backpain_analysis.datasets.bundled import data_dir
from backpain_analysis.datasets.datapackage import read_datapackage
from backpain_analysis.datasets.participants import DOSE_CURVES, Parameters, frozen, of, told
from backpain_analysis.words import did_you_mean

Shares = tuple[tuple[float, float], ...]
"""Values with their shares."""

INSTRUMENTS: Mapping[str, tuple[tuple[str, float], ...]] = {
    "pain_intensity": (("VAS", 100.0), ("VAS", 10.0), ("NRS", 10.0)),
    "disability": (("ODI", 100.0), ("RMDQ", 24.0), ("QBPDS", 100.0)),
}
"""What an outcome is measured with, each from 0 to the number beside it."""

REPORTS = ("levels", "changes", "differences")

MISSING = (
    *("sessions_per_week", "minutes_per_session", "duration_weeks"),
    *("sd", "arm_size", "interval", "scale", "post"),
)

AS_REPORTED: Mapping[str, float] = MappingProxyType(
    {
        "sessions_per_week": 0.36,
        "minutes_per_session": 0.62,
        "duration_weeks": 0.09,
        "sd": 0.24,
        "arm_size": 0.12,
        "interval": 0.18,
        "scale": 0.3,
        "post": 0.1,
    }
)
"""Shares that are missing in the bundled trials, version 2026.11.1; see `TrialTruth.missing`."""

_TYPES = ("aerobic_walking", "core_stabilisation", "motor_control", "pilates", "resistance", "yoga")
_COMPARATORS = ("no_treatment", "waitlist", "usual_care", "education_advice")


def words(default: Mapping[str, float], unit: str, meaning: str) -> Any:
    """A parameter with a number for each of some words."""
    return field(default_factory=lambda: dict(default), metadata=told(unit, meaning))


@dataclass(frozen=True)
class TrialTruth(Parameters):
    """How trials are made up: `table` lists every parameter with value, unit and meaning.

    An arm that exercises d minutes a week in trial j differs at the end of its programme from
    no exercise by `r (a + f(d) (1 + v_j)) + u_j + w`: the effect a of exercising at all, the
    dose curve f, the strength r of its type; deviations v and u of the trial and w of the arm
    have mean zero, so `effect` is the true mean effect. Means, SDs and correlations of an arm
    are drawn from their exact sampling distributions (normal and Wishart), as if participants
    had been. Doses, types, comparators and sizes are drawn apart from each other and from
    everything else; the defaults are about those of the bundled trials.

    Raises
    ------
    ValueError
        For parameters that cannot be; names all of them.

    Examples
    --------
    >>> truth = bp.TrialTruth(any_exercise=-6.0, dose_curve="linear", dose_coefficients=(-0.03,))
    >>> truth.effect([0, 60, 120])
    array([-0. , -7.8, -9.6])
    >>> truth.dose_reaching(-9.0)
    100.0
    """

    name: str = of("synthetic trials of exercise for back pain", "", "what the data are called")
    trials: int = of(16, "trials", "how many")
    arms: Shares = of(((2, 0.75), (3, 0.2), (4, 0.05)), "arms; share", "arms of a trial")
    arm_size: float = of(35.0, "participants", "median size of a trial's arms")
    arm_size_spread: float = of(0.6, "log scale", "SD of sizes between trials")
    smallest_arm: int = of(8, "participants", "size below which no arm is")
    inactive_share: float = of(0.8, "share", "trials with an arm without exercise")
    same_type_share: float = of(
        0.3, "share", "trials of several exercise arms with one type at several doses"
    )
    types: dict[str, float] = words(
        dict.fromkeys(_TYPES, 1.0), "times as strong", "types of exercise, each as frequent"
    )
    comparators: dict[str, float] = words(
        dict.fromkeys(_COMPARATORS, 0.0),
        "points of 0-100",
        "what arms without exercise get, each as frequent, and its effect against nothing",
    )
    sessions: Shares = of(
        ((1, 0.25), (2, 0.4), (3, 0.25), (5, 0.1)), "sessions/week; share", "of an arm"
    )
    minutes: Shares = of(
        ((30, 0.2), (45, 0.2), (60, 0.5), (90, 0.1)), "minutes/session; share", "of an arm"
    )
    weeks: Shares = of(((4, 0.15), (6, 0.25), (8, 0.3), (12, 0.3)), "weeks; share", "of programmes")
    any_exercise: float = of(-6.0, "points of 0-100", "effect of exercising at all")
    dose_curve: str = of("linear", "", "what minutes per week add to it")
    dose_coefficients: tuple[float, ...] = of(
        (-0.03,), "points a unit of the dose curve's terms", "of the dose curve"
    )
    trial_effect_sd: float = of(
        0.0, "points of 0-100", "SD of the trials' own effects of exercise, whatever its dose"
    )
    arm_effect_sd: float = of(0.0, "points of 0-100", "SD of the arms' own effects in a trial")
    dose_effect_sd: float = of(0.0, "share", "SD of the trials' own strength of the dose curve")
    outcomes: dict[str, float] = words(
        {"pain_intensity": 1.0}, "times as strong", "outcomes measured, and their effects"
    )
    baseline_mean: float = of(50.0, "points of 0-100", "at week 0")
    trial_sd: float = of(8.0, "points of 0-100", "SD of the trials' levels")
    natural_change: float = of(-5.0, "points of 0-100", "change without exercise")
    sd_start: float = of(17.0, "points of 0-100", "typical SD of scores at week 0")
    sd_end: float = of(18.0, "points of 0-100", "typical SD of scores later")
    sd_spread: float = of(0.2, "log scale", "SD of those SDs between trials")
    correlation: float = of(0.5, "", "between two scores of a participant")
    followup_share: float = of(0.4, "share", "trials that measure again after their programme")
    followup_weeks: tuple[float, ...] = of((26.0, 52.0), "weeks", "when, each as frequent")
    kept: float = of(0.6, "share", "of the effect that is left at follow-up")
    reported: dict[str, float] = words(
        {"levels": 0.5, "changes": 0.2, "differences": 0.3},
        "share",
        "trials that print levels, changes from baseline, or differences adjusted for baseline",
    )
    missing: dict[str, float] = words(
        {}, "share of trials", "what is not printed; `AS_REPORTED` is as in the bundled trials"
    )
    decimals: int | None = of(2, "digits", "of the instrument's units; none: not rounded")

    def __post_init__(self) -> None:
        if faults := list(_faults(self)):
            raise ValueError(f"this truth cannot be: {'; '.join(faults)}.")

    @property
    def doses(self) -> np.ndarray:
        """Minutes per week that arms may be prescribed, rising."""
        return np.unique([a * b for (a, _), (b, _) in product(self.sessions, self.minutes)])

    def effect(
        self,
        dose: ArrayLike,
        exercise_type: str | None = None,
        outcome: str = "pain_intensity",
    ) -> Any:
        """True mean difference from nothing at the end of a programme; below zero is better.

        Parameters
        ----------
        dose : array_like
            Minutes per week.
        exercise_type : str, optional
            One of `types`; without it the mean over them.
        outcome : str
            One of `outcomes`.

        Returns
        -------
        float or ndarray
            Points of 0-100.

        Raises
        ------
        ValueError
            For a type or an outcome that these trials do not have.
        """
        for word, known in ((exercise_type, self.types), (outcome, self.outcomes)):
            if word is not None and word not in known:
                raise ValueError(f"no {word!r} in this truth. {did_you_mean(word, known)}")
        dose = np.asarray(dose, dtype=float)
        ratio = (
            np.mean([*self.types.values()]) if exercise_type is None else self.types[exercise_type]
        )
        found = self.outcomes[outcome] * ratio * (self.any_exercise * (dose > 0) + self.added(dose))
        return float(found) if np.ndim(found) == 0 else found

    def added(self, dose: ArrayLike) -> np.ndarray:
        """What the dose curve adds to the effect of exercising at all, types of strength one."""
        return DOSE_CURVES[self.dose_curve][1](np.asarray(dose, float), *self.dose_coefficients)

    def dose_reaching(
        self, points: float, exercise_type: str | None = None, outcome: str = "pain_intensity"
    ) -> float:
        """Smallest dose, to 0.01 minutes per week, with so large an effect.

        Returns
        -------
        float
            0 where any dose has it; NaN where none up to the highest of `doses` has.
        """
        doses = np.arange(0, 100 * self.doses.max() + 1) / 100
        doses[0] = 1e-9
        share = np.asarray(self.effect(doses, exercise_type, outcome)) / points
        reached = np.flatnonzero(share >= 1 - 1e-9)
        return float(np.round(doses[reached[0]], 2)) if len(reached) else float("nan")

    def effects(self) -> pd.DataFrame:
        """True effects on the first outcome: a row a dose, a column a type."""
        outcome = next(iter(self.outcomes))
        found = {word: self.effect(self.doses, word, outcome) for word in self.types}
        return pd.DataFrame(found, pd.Index(self.doses, name="minutes_per_week"))

    def to_json(self, seed: int) -> str:
        """The truth and the seed that drew data from it, as text; `from_json` reads it."""
        return self.content(seed, self.effects())

    @classmethod
    def from_json(cls, text: str) -> tuple[TrialTruth, int]:
        """The truth and the seed that `to_json` wrote."""
        content = json.loads(text)
        values = {name: frozen(entry["value"]) for name, entry in content["parameters"].items()}
        return cls(**values), content["seed"]


class TrialTables(NamedTuple):
    """Tables of made-up trials, with the columns of the bundled ``datapackage.json``."""

    trials: pd.DataFrame
    arms: pd.DataFrame
    outcomes: pd.DataFrame
    contrasts: pd.DataFrame
    appraisals: pd.DataFrame


def write_synthetic_trials(
    folder: str | Path, truth: TrialTruth | None = None, seed: int = 1
) -> Path:
    """Write made-up trials as CSV, with ``datapackage.json`` and their truth, ``truth.json``.

    Files of these names in the folder are replaced; the same truth and seed give the same bytes.
    ``load_evidence`` reads the folder, and knows that it is synthetic.

    Returns
    -------
    Path
        The folder.

    Examples
    --------
    >>> folder = bp.datasets.write_synthetic_trials("made-up", bp.TrialTruth(trials=8))
    >>> bp.load_evidence(folder).synthetic
    True
    """
    truth, folder = TrialTruth.given(truth), Path(folder)
    tables = {
        name: table
        for name, table in simulate_trial_tables(truth, seed)._asdict().items()
        if len(table)
    }
    texts = {
        f"{name}.csv": table.dropna(axis="columns", how="all").to_csv(
            index=False, lineterminator="\n"
        )
        for name, table in tables.items()
    }
    own = json.loads((data_dir() / "trials" / "datapackage.json").read_text(encoding="utf-8"))
    kept = [resource for resource in own["resources"] if resource["name"] in tables]
    descriptor = {
        "$schema": own["$schema"],
        "name": f"{truth.name} (seed {seed})",
        "synthetic": True,
        "resources": kept,
    }
    texts["datapackage.json"] = json.dumps(descriptor, indent=2, ensure_ascii=False) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {**texts, "truth.json": truth.to_json(seed)}.items():
        (folder / name).write_text(text, encoding="utf-8", newline="")
    return folder


def simulate_trial_tables(truth: TrialTruth, seed: int) -> TrialTables:
    """The tables of a truth, typed as checked ones are."""
    rng = np.random.default_rng(seed)
    trials, arms = _design(truth, rng)
    drawn = {outcome: _scores(truth, trials, arms, outcome, rng) for outcome in truth.outcomes}
    gone = {name: rng.random(truth.trials) < truth.missing.get(name, 0.0) for name in MISSING}
    gone["post"] &= trials["followup"] > 0
    printed = [_printed(truth, trials, arms, drawn[name], name, gone) for name in drawn]
    outcomes, contrasts = (_stacked(rows) for rows in zip(*printed, strict=True))
    return TrialTables(
        _table("trials", _trial_columns(trials, arms)),
        _table("arms", _arm_columns(arms, gone)),
        _table("outcomes", outcomes),
        _table("contrasts", contrasts),
        _table("appraisals", {}),
    )


def _stacked(parts: Sequence[Columns]) -> Columns:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


NOTHING = np.array(None, dtype=object)
Columns = dict[str, np.ndarray]


def _design(truth: TrialTruth, rng: np.random.Generator) -> tuple[Columns, Columns]:
    """Who is compared with whom: trials (n_trials,) and their arms (n_arms,), references last."""
    n = truth.trials
    weeks = _pick(truth.weeks, rng, n)
    size = truth.arm_size * np.exp(truth.arm_size_spread * rng.standard_normal(n))
    later = rng.choice(truth.followup_weeks, n) if truth.followup_weeks else np.zeros(n)
    trials = {
        "weeks": weeks,
        "arms": _pick(truth.arms, rng, n).astype(int),
        "inactive": rng.random(n) < truth.inactive_share,
        "same": rng.random(n) < truth.same_type_share,
        "followup": np.where((rng.random(n) < truth.followup_share) & (later > weeks), later, 0.0),
        "report": rng.choice(len(REPORTS), n, p=_report_shares(truth)),
        "sd": np.exp(truth.sd_spread * rng.standard_normal(n)),
        "level": truth.baseline_mean + truth.trial_sd * rng.standard_normal(n),
        "u": truth.trial_effect_sd * rng.standard_normal(n),
        "v": truth.dose_effect_sd * rng.standard_normal(n),
        "instrument": rng.integers(0, 3, n),
    }
    pairs = list(product(truth.sessions, truth.minutes))
    sessions, minutes = np.array([(s, m) for (s, _), (m, _) in pairs], dtype=float).T
    share = np.array([p * q for (_, p), (_, q) in pairs])
    types = np.array(list(truth.types))
    rows: list[tuple[int, str, float, float, bool]] = []
    for own_trial in range(n):
        count = trials["arms"][own_trial] - trials["inactive"][own_trial]
        order = np.argsort(-np.log(rng.random(len(pairs))) / share)
        one_type = count > 1 and (trials["same"][own_trial] or count > len(types))
        if one_type:
            _, first = np.unique((sessions * minutes)[order], return_index=True)
            order = order[np.sort(first)]
            given = np.repeat(rng.choice(types), count)
        else:
            given = rng.choice(types, count, replace=False)
            order = rng.choice(len(pairs), count, p=share / share.sum())
        rows += [
            (own_trial, given[i], sessions[order[i]], minutes[order[i]], True) for i in range(count)
        ]
        if trials["inactive"][own_trial]:
            rows.append((own_trial, rng.choice(list(truth.comparators)), 0.0, 0.0, False))
    trial, word, per_week, long, exercises = (
        np.array(column) for column in zip(*rows, strict=True)
    )
    own = size[trial] * np.exp(0.05 * rng.standard_normal(len(trial)))
    return trials, {
        "trial": trial,
        "word": word,
        "sessions": per_week,
        "minutes": long,
        "weeks": weeks[trial],
        "exercises": exercises,
        "size": np.maximum(truth.smallest_arm, own.round()).astype(int),
        "effect": _true_effects(truth, trials, trial, word, per_week * long, exercises, rng),
        "number": np.arange(len(trial)) - np.searchsorted(trial, trial) + 1,
    }


def _pick(shares: Shares, rng: np.random.Generator, n: int) -> np.ndarray:
    values, weights = np.array(shares, dtype=float).T
    return rng.choice(values, n, p=weights / weights.sum())


def _report_shares(truth: TrialTruth) -> np.ndarray:
    shares = np.array([truth.reported.get(name, 0.0) for name in REPORTS])
    return shares / shares.sum()


def _true_effects(
    truth: TrialTruth,
    trials: Columns,
    trial: np.ndarray,
    word: np.ndarray,
    dose: np.ndarray,
    exercises: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Effect of each arm against nothing at the end of its programme, deviations included."""
    ratio = np.array([truth.types.get(name, 0.0) for name in word])
    exercise = ratio * (truth.any_exercise + truth.added(dose) * (1 + trials["v"][trial]))
    exercise += trials["u"][trial] + truth.arm_effect_sd * rng.standard_normal(len(trial))
    other = np.array([truth.comparators.get(name, 0.0) for name in word])
    return np.where(exercises, exercise, other)


def _scores(
    truth: TrialTruth, trials: Columns, arms: Columns, outcome: str, rng: np.random.Generator
) -> Columns:
    """Mean (n_arms, 3) and covariance (n_arms, 3, 3) of scores at start, end and follow-up."""
    trial, n = arms["trial"], arms["size"]
    effect = truth.outcomes[outcome] * arms["effect"]
    course = effect[:, None] * np.array([0.0, 1.0, truth.kept])
    course += truth.natural_change * np.array([0.0, 1.0, 1.0])
    lowest, highest = np.zeros(truth.trials), np.zeros(truth.trials)
    np.minimum.at(lowest, trial, course.min(axis=1))
    np.maximum.at(highest, trial, course.max(axis=1))
    level = np.maximum(np.minimum(trials["level"], 80 - highest), 20 - lowest)
    sd = trials["sd"][trial, None] * np.array([truth.sd_start, truth.sd_end, truth.sd_end])
    r = np.full((3, 3), truth.correlation)
    np.fill_diagonal(r, 1.0)
    root = sd[:, :, None] * np.linalg.cholesky(r)
    own = np.einsum("aij,aj->ai", root, rng.standard_normal((len(n), 3)))
    mean = level[trial, None] + course + own / np.sqrt(n)[:, None]
    square = np.zeros((len(n), 3, 3))
    for i in range(3):
        square[:, i, i] = np.sqrt(rng.chisquare(n - 1 - i))
        square[:, i, :i] = rng.standard_normal((len(n), i))
    factor = root @ square / np.sqrt(n - 1)[:, None, None]
    return {
        "mean": np.clip(mean, 0.0, 100.0),
        "covariance": factor @ factor.transpose(0, 2, 1),
    }


def _printed(
    truth: TrialTruth,
    trials: Columns,
    arms: Columns,
    drawn: Columns,
    outcome: str,
    gone: Columns,
) -> tuple[Columns, Columns]:
    """What reports print of one outcome: rows of `outcomes` and of `contrasts`."""
    trial, times = arms["trial"], _times(trials, gone["post"])
    results, contrasts = [], []
    report = np.array(REPORTS)[trials["report"]]
    mean, covariance = drawn["mean"], drawn["covariance"]
    change = mean - mean[:, :1]
    variance = np.einsum("aii->ai", covariance)
    spread = variance + variance[:, :1] - 2 * covariance[:, :, 0]
    for time, label in enumerate(("baseline", "post", "followup")):
        printed = np.isfinite(times[:, time])
        there = (printed & (report == "levels"))[trial]
        there |= (time == 0) & (report == "changes")[trial]
        results.append(
            _result_rows(arms, there, times, time, label, mean[:, time], variance[:, time], "level")
        )
        if time:
            there = (printed & (report == "changes"))[trial]
            kind = "change_from_baseline"
            results.append(
                _result_rows(
                    arms, there, times, time, label, change[:, time], spread[:, time], kind
                )
            )
            here = printed & (report == "differences")
            contrasts.append(_contrast_rows(arms, drawn, here, times, time, label))
    return (
        _on_instrument(truth, trials, _stacked(results), outcome, gone),
        _on_instrument(truth, trials, _stacked(contrasts), outcome, gone),
    )


def _times(trials: Columns, without_post: np.ndarray) -> np.ndarray:
    """Weeks of start, end and follow-up, shape (n_trials, 3); NaN where not measured."""
    end = np.where(without_post, np.nan, trials["weeks"])
    later = np.where(trials["followup"] > 0, trials["followup"], np.nan)
    return np.column_stack([np.zeros(len(end)), end, later])


def _result_rows(
    arms: Columns,
    there: np.ndarray,
    times: np.ndarray,
    time: int,
    label: str,
    mean: np.ndarray,
    variance: np.ndarray,
    kind: str,
) -> Columns:
    trial = arms["trial"][there]
    return {
        "trial": trial,
        "arm_id": _arm_names(arms["number"][there]),
        "timepoint_weeks": times[trial, time],
        "timepoint_label": np.full(len(trial), label, dtype=object),
        "value_type": np.full(len(trial), kind, dtype=object),
        "n": arms["size"][there].astype(float),
        "mean": mean[there],
        "dispersion": np.sqrt(variance[there]),
    }


def _contrast_rows(
    arms: Columns, drawn: Columns, here: np.ndarray, times: np.ndarray, time: int, label: str
) -> Columns:
    """Differences of each arm from its trial's last, adjusted for baseline (ANCOVA)."""
    trial, n = arms["trial"], arms["size"]
    last = np.searchsorted(trial, trial, side="right") - 1
    rows = np.flatnonzero(here[trial] & (last != np.arange(len(trial))))
    weight = (n - 1.0)[:, None, None]
    first = np.searchsorted(trial, np.arange(len(here)))
    sums = np.add.reduceat(weight * drawn["covariance"], first, axis=0)
    df = np.add.reduceat(n - 1, first)[trial[rows]]
    sxx, sxy, syy = (sums[trial[rows], i, j] for i, j in ((0, 0), (0, time), (time, time)))
    slope = sxy / sxx
    apart = drawn["mean"][rows] - drawn["mean"][last[rows]]
    variance = (syy - slope * sxy) / (df - 1)
    se = np.sqrt(variance * (1 / n[rows] + 1 / n[last[rows]] + apart[:, 0] ** 2 / sxx))
    estimate = apart[:, time] - slope * apart[:, 0]
    half = scipy.stats.t.ppf(0.975, df - 1) * se
    return {
        "trial": trial[rows],
        "arm_id": _arm_names(arms["number"][rows]),
        "ref_arm_id": _arm_names(arms["number"][last[rows]]),
        "timepoint_weeks": times[trial[rows], time],
        "timepoint_label": np.full(len(rows), label, dtype=object),
        "estimate": estimate,
        "ci_low": estimate - half,
        "ci_high": estimate + half,
        "p": 2 * scipy.stats.t.sf(np.abs(estimate) / se, df - 1),
    }


def _arm_names(numbers: np.ndarray) -> np.ndarray:
    return np.array([f"a{number}" for number in numbers], dtype=object)


def _on_instrument(
    truth: TrialTruth, trials: Columns, rows: Columns, outcome: str, gone: Columns
) -> Columns:
    """Rows in the units of each trial's instrument, without what its report leaves out."""
    trial = rows.pop("trial")
    named, top = zip(*INSTRUMENTS[outcome], strict=True)
    which = trials["instrument"][trial]
    highest = np.array(top)[which]
    for column in rows.keys() & {"mean", "dispersion", "estimate", "ci_low", "ci_high"}:
        rows[column] = rows[column] * highest / 100
        if truth.decimals is not None:
            rows[column] = rows[column].round(truth.decimals)
    if "mean" in rows:
        hidden = gone["sd"][trial]
        rows["dispersion"] = np.where(hidden, np.nan, rows["dispersion"])
        rows["dispersion_type"] = np.where(hidden, NOTHING, "sd")
        rows["n"] = np.where(gone["arm_size"][trial], np.nan, rows["n"])
    else:
        hidden = gone["interval"][trial]
        p = [f"{value:.3f}" if value >= 0.001 else "<0.001" for value in rows.pop("p")]
        rows["p_value"] = np.where(hidden, np.array(p, dtype=object), NOTHING)
        rows["ci_level"] = np.where(hidden, np.nan, 95.0)
        rows |= {name: np.where(hidden, np.nan, rows[name]) for name in ("ci_low", "ci_high")}
        rows["effect_measure"] = np.full(len(trial), "md", dtype=object)
    texts = [f"{name} 0-{best:g} (made up)" for name, best in INSTRUMENTS[outcome]]
    scale = np.where(gone["scale"][trial], np.nan, 0.0)
    return rows | {
        "trial_id": _trial_names(trial, truth.trials),
        "outcome": np.full(len(trial), outcome, dtype=object),
        "instrument": np.array(named, dtype=object)[which],
        "instrument_text": np.array(texts, dtype=object)[which],
        "scale_min": scale,
        "scale_max": scale + highest,
        "higher_is_better": np.full(len(trial), "no", dtype=object),
        "note": np.full(len(trial), "synthetic", dtype=object),
    }


def _trial_names(trial: np.ndarray, count: int) -> np.ndarray:
    width = len(str(count))
    return np.array([f"synthetic_{number + 1:0{width}d}" for number in trial], dtype=object)


def _trial_columns(trials: Columns, arms: Columns) -> Columns:
    count = len(trials["weeks"])
    titles = [f"Made-up trial {number + 1}: nobody took part in it" for number in range(count)]
    return {
        "trial_id": _trial_names(np.arange(count), count),
        "title": np.array(titles, dtype=object),
        "population": np.full(count, "chronic_nslbp", dtype=object),
        "n_randomised": np.bincount(arms["trial"], arms["size"]),
        "design": np.full(count, "parallel", dtype=object),
        "note": np.full(count, "synthetic", dtype=object),
    }


def _arm_columns(arms: Columns, gone: Columns) -> Columns:
    trial, exercises, words = arms["trial"], arms["exercises"], arms["word"].astype(object)

    def known(name: str, values: np.ndarray) -> np.ndarray:
        return np.where(exercises & ~gone[name][trial], values, np.nan)

    sessions = known("sessions_per_week", arms["sessions"])
    weeks = known("duration_weeks", arms["weeks"])
    doses = [f" {dose:g} min/week" if dose else "" for dose in arms["sessions"] * arms["minutes"]]
    return {
        "trial_id": _trial_names(trial, len(gone["sd"])),
        "arm_id": _arm_names(arms["number"]),
        "arm_label": words + np.array(doses, dtype=object),
        "exercise_type": np.where(exercises, words, "none"),
        "comparator_type": np.where(exercises, NOTHING, words),
        "sessions_per_week": sessions,
        "minutes_per_session": known("minutes_per_session", arms["minutes"]),
        "duration_weeks": weeks,
        "total_sessions": sessions * weeks,
        "n_randomised": np.where(gone["arm_size"][trial], np.nan, arms["size"]),
        "note": np.full(len(trial), "synthetic", dtype=object),
    }


def _table(name: str, columns: Columns) -> pd.DataFrame:
    """The columns with all others of their table, each of the type that the codebook says."""
    rows = len(next(iter(columns.values()), ()))
    typed = {
        field.name: pd.array(columns[field.name], dtype=field.dtype)
        if field.name in columns
        else _nothing(field.dtype, rows)
        for field in read_datapackage(data_dir() / "trials").tables[name].fields
    }
    return pd.DataFrame(typed, copy=False)


@lru_cache(maxsize=256)
def _nothing(dtype: str, rows: int) -> pd.api.extensions.ExtensionArray:
    return pd.array([None] * rows, dtype=dtype)


def _faults(truth: TrialTruth) -> Iterator[str]:
    if truth.dose_curve not in DOSE_CURVES:
        yield f"dose_curve {truth.dose_curve!r}: {did_you_mean(truth.dose_curve, DOSE_CURVES)}"
    elif len(truth.dose_coefficients) != (wanted := DOSE_CURVES[truth.dose_curve][0]):
        yield f"a {truth.dose_curve} dose_curve has {wanted} dose_coefficients"
    if truth.trials < 1:
        yield f"trials {truth.trials} must be 1 or more"
    if truth.smallest_arm < 5:
        yield f"smallest_arm {truth.smallest_arm} must be 5 or more"
    for name in ("arms", "sessions", "minutes", "weeks"):
        pairs: Shares = getattr(truth, name)
        if not pairs or min(value for value, _ in pairs) <= 0 or min(s for _, s in pairs) <= 0:
            yield f"{name} must be pairs of a value and a share, both above 0"
    if any(count not in (2, 3, 4) for count, _ in truth.arms):
        yield "arms must be 2, 3 or 4"
    for entry in fields(truth):
        value = getattr(truth, entry.name)
        if entry.name.endswith(("_sd", "_spread")) and not 0 <= value < np.inf:
            yield f"{entry.name} {value:g} must be 0 or more"
        if entry.name.endswith("_share") and not 0 <= value <= 1:
            yield f"{entry.name} {value:g} must be from 0 to 1"
    for name in ("arm_size", "sd_start", "sd_end"):
        if not 0 < getattr(truth, name) < np.inf:
            yield f"{name} {getattr(truth, name):g} must be above 0"
    if not -0.5 < truth.correlation < 1:
        yield f"correlation {truth.correlation:g} must be above -0.5 and below 1"
    known: Sequence[tuple[str, Sequence[str]]] = (
        ("outcomes", tuple(INSTRUMENTS)),
        ("reported", REPORTS),
        ("missing", MISSING),
    )
    for name, listed in known:
        for word in getattr(truth, name):
            if word not in listed:
                yield f"{name} {word!r}: {did_you_mean(word, listed)}"
    tables = read_datapackage(data_dir() / "trials").tables
    for name, column in (("types", "exercise_type"), ("comparators", "comparator_type")):
        listed = tables["arms"].field(column).vocabulary
        if not getattr(truth, name):
            yield f"{name} needs a word"
        for word in getattr(truth, name):
            if word not in listed or word == "none":
                yield f"{name} {word!r}: {did_you_mean(word, listed)}"
    if not truth.outcomes:
        yield "outcomes needs a word"
    if min(truth.reported.values(), default=0.0) < 0 or sum(truth.reported.values()) <= 0:
        yield "reported must give shares from 0, one of them above"
    if any(not 0 <= share <= 1 for share in truth.missing.values()):
        yield "missing must give shares from 0 to 1"


_STRONGER = dict(zip(_TYPES, (0.5, 0.75, 1.0, 1.0, 1.25, 1.5), strict=True))

TRIAL_TRUTHS: Mapping[str, TrialTruth] = MappingProxyType(
    {
        name: replace(truth, name=f"synthetic trials, {name}")
        for name, truth in {
            "no effect": TrialTruth(any_exercise=0.0, dose_coefficients=(0.0,)),
            "same effect at every dose": TrialTruth(any_exercise=-9.0, dose_coefficients=(0.0,)),
            "linear": TrialTruth(any_exercise=0.0, dose_coefficients=(-0.08,)),
            "step and line": TrialTruth(),
            "Emax": TrialTruth(
                any_exercise=0.0, dose_curve="emax", dose_coefficients=(-15.0, 60.0)
            ),
            "types differ": TrialTruth(types=_STRONGER),
            "heterogeneity": TrialTruth(trial_effect_sd=5.0, arm_effect_sd=2.0, dose_effect_sd=0.5),
            "same effect at every dose, heterogeneity": TrialTruth(
                any_exercise=-9.0, dose_coefficients=(0.0,), trial_effect_sd=5.0, arm_effect_sd=2.0
            ),
        }.items()
    }
)
"""Truths that a method should be tried on; `dataclasses.replace(truth, trials=40)` makes more."""
