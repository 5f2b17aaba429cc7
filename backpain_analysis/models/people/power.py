"""Power and precision of a dose-response trial, by simulation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from backpain_analysis.datasets.participants import People, Truth, draw_people, draw_scores
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.dose.curves import Curve
from backpain_analysis.models.people.visits import difference, prepared
from backpain_analysis.models.results import TableResult, level_fault, quantile
from backpain_analysis.words import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, repr=False)
class PowerResult(TableResult):
    """Power and precision of a design by size.

    Attributes
    ----------
    table : DataFrame
        A row a size: `n_per_arm`; `participants` of all arms and trials; `scored`, mean number
        with a score at the week; `power` with its 95% Monte-Carlo interval `power_low,
        power_high` (Wilson 1927, doi 10.1080/01621459.1927.10502953); `width`, mean width of the
        confidence interval, with its Monte-Carlo error `width_se`; `estimate`, mean estimate,
        with `estimate_se`; `coverage`, share of intervals that hold the true effect; `failed`,
        share of replicates that could not be analysed, which count as not showing the effect.
    effect : float
        True effect of `dose` against `reference` at `week`, in points.
    dose, reference, week : float
    doses : tuple of float
        Minutes per week of the arms.
    n_trials, replicates, seed : int
    model : str
    level : float
    truth : Truth
        What the trials were drawn from, but for their size.
    """

    table: pd.DataFrame = field(repr=False)
    effect: float
    dose: float
    reference: float
    doses: tuple[float, ...]
    week: float
    n_trials: int
    model: str
    level: float
    replicates: int
    seed: int
    truth: Truth = field(repr=False)

    def n_for(self, power: float = 0.8) -> pd.Series:
        """Participants per arm for a power, from straight lines between the sizes simulated.

        Returns
        -------
        Series
            `n, n_low, n_high`: where the power, and the upper and lower end of its Monte-Carlo
            interval, first reach it. The smallest size where that is enough already; missing
            where the largest is not.

        Raises
        ------
        ValueError
            If `power` does not lie between 0 and 1.
        """
        if not 0 < power < 1:
            raise ValueError(f"power {power:g} must lie between 0 and 1.")
        columns = {"n": "power", "n_low": "power_high", "n_high": "power_low"}
        size = self.table["n_per_arm"].to_numpy(dtype=float)
        reached = {
            name: _first_reached(size, self.table[column].to_numpy(), power)
            for name, column in columns.items()
        }
        return pd.Series(reached)

    @property
    def sentence(self) -> str:
        """What the largest size can show."""
        last = self.table.iloc[-1]
        share, low, high = (
            number(100 * last[name], 0) for name in ("power", "power_low", "power_high")
        )
        return (
            f"With {last['n_per_arm']:.0f} participants per arm, {share}% of simulated trials "
            f"(simulation interval {low}% to {high}%) show the effect of "
            f"{number(self.effect)} points; the {self.level:.0%} confidence interval is "
            f"{number(last['width'])} points wide on average."
        )

    def summary(self) -> pd.DataFrame:
        """The table."""
        return self.table.copy()

    def plot(self, **options: Any) -> Axes:
        """The power curve: see `figures.power`."""
        from backpain_analysis.figures.people_plots import power

        return power(self, **options)

    def _title(self) -> str:
        return (
            f"Power for {number(self.effect)} points: {self.dose:g} against {self.reference:g} "
            f"minutes per week at week {self.week:g}"
        )

    def _note(self) -> str:
        trials = "one trial" if self.n_trials == 1 else f"{self.n_trials} trials together"
        arms = ", ".join(f"{dose:g}" for dose in self.doses)
        return (
            f"{self.sentence} Arms of {arms} minutes per week; {trials}; model {self.model}; "
            f"{self.replicates} replicates, seed {self.seed}."
        )


def replicates_summary(found: np.ndarray, effect: float) -> dict[str, float]:
    """Columns of `PowerResult.table` from estimate, limits and scores of each replicate (r, 4).

    Raises
    ------
    ValueError
        If no replicate could be analysed.
    """
    there = np.isfinite(found[:, :3]).all(axis=1)
    if not there.any():
        raise CannotEstimate(
            "no replicate could be analysed",
            "with these participants, dropout and curve the model "
            "cannot be fitted, or it returns no estimate, ci_low and ci_high",
        )
    from statsmodels.stats.proportion import proportion_confint

    total, (estimate, low, high, _) = len(found), found[there].T
    shown = int(np.sum((low > 0) | (high < 0)))
    power_low, power_high = proportion_confint(shown, total, method="wilson")
    width = high - low
    return {
        "scored": float(found[:, 3].mean()),
        "power": shown / total,
        "power_low": float(power_low),
        "power_high": float(power_high),
        "width": float(width.mean()),
        "width_se": _error(width),
        "estimate": float(estimate.mean()),
        "estimate_se": _error(estimate),
        "coverage": float(np.mean((low <= effect) & (effect <= high))),
        "failed": 1 - len(estimate) / total,
    }


def _error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.nan


def _first_reached(size: np.ndarray, power: np.ndarray, wanted: float) -> float:
    above = np.flatnonzero(power >= wanted)
    if not len(above):
        return np.nan
    if (after := above[0]) == 0:
        return float(size[0])
    share = (wanted - power[after - 1]) / (power[after] - power[after - 1])
    return float(size[after - 1] + share * (size[after] - size[after - 1]))


PLAIN = replace(
    Truth().additive(),
    name="synthetic planned trial",
    dose_curve="linear",
    dose_coefficients=(-1.0,),
    modification={},
    prognosis={},
)
"""Scores of a planned trial where nothing else is said: an effect in proportion to dose."""

MODELS = ("ancova", "final_score")

AT_ONCE = 1_000_000
"""Scores drawn at a time."""

Analysis = Callable[[pd.DataFrame], pd.DataFrame]


def power_of_design(
    n_per_arm: int | Sequence[int],
    doses: Sequence[float] = (0.0, 120.0),
    *,
    effect: float | None = None,
    week: float = 12.0,
    visits: Sequence[float] | None = None,
    sd: float | None = None,
    correlation: float | None = None,
    dropout: float | None = None,
    n_trials: int = 1,
    truth: Truth | None = None,
    curve: str | Curve = "linear",
    model: str | Analysis = "ancova",
    level: float = 0.95,
    replicates: int = 500,
    seed: int = 1,
    progress: Callable[[int, int], Any] | None = None,
) -> PowerResult:
    """Simulate a dose-response trial to see how surely and how precisely it shows its effect.

    Every replicate is a trial drawn from the truth and analysed; power is the share of replicates
    whose confidence interval for the effect of the largest dose against the smallest excludes
    zero. Source: Morris, White & Crowther 2019 (doi 10.1002/sim.8086) for simulation studies and
    their Monte-Carlo errors.

    Parameters
    ----------
    n_per_arm : int or sequence of int
        Participants randomised to each arm of each trial; several give a row each.
    doses : sequence of float
        Minutes per week of the arms.
    effect : float, optional
        True effect of the largest dose against the smallest at `week`, in points; the truth's
        dose curve is scaled to it, for which that curve must not be flat.
    week : float
        Visit that is analysed.
    visits : sequence of float, optional
        Weeks at which pain is scored, week 0 first; by default 0 and `week`.
    sd, correlation : float, optional
        SD of scores at any one visit and the correlation of two visits, instead of the truth's
        (both or neither). `data/reference/pre_post_correlation.csv` has published correlations.
    dropout : float, optional
        Share lost by `week` completely at random, instead of the truth's dropout.
    n_trials : int
        Trials of this design, analysed together.
    truth : Truth, optional
        All else; by default `PLAIN`, a straight line in dose, needs `effect`.
    curve : str or Curve
        Dose curve of the built-in analyses, linear in its parameters.
    model : {"ancova", "final_score"} or callable
        "ancova": least squares of the score at `week` on the curve of dose, the baseline and the
        trial, of participants who have a score; "final_score": without the baseline. A callable
        takes the visits (`trial_id, participant_id, week, value, dose, baseline` and people's
        measures) and returns what to judge: a table whose first row has `estimate, ci_low,
        ci_high`, such as ``lambda v: longitudinal(v).predict([240], 12)``.
    level : float
        Of the confidence interval; 0.95 is a two-sided test at 5%.
    replicates : int
    seed : int
        The same arguments and seed give the same numbers.
    progress : callable, optional
        Called with the replicates done and all replicates.

    Returns
    -------
    PowerResult

    Raises
    ------
    ValueError
        For a design that cannot be; if no replicate can be analysed.

    Examples
    --------
    >>> found = bp.power_of_design(40, (0, 120), effect=-10, replicates=20, seed=1)
    >>> type(found.table).__name__
    'DataFrame'
    """
    sizes = np.atleast_1d(n_per_arm).tolist()
    doses = [float(dose) for dose in doses]
    visits = [0.0, float(week)] if visits is None else [float(visit) for visit in visits]
    _check(sizes, doses, visits, week, n_trials, replicates, model, level)
    base = _base(truth, effect, sd, correlation, dropout, visits, week)
    prescriptions = tuple((1.0, dose) for dose in doses)
    drawn = replace(base, prescriptions=prescriptions, visits=tuple(visits))
    plan = Plan(drawn, float(week), max(doses), min(doses), curve, model, level)
    if effect is not None:
        if plan.effect == 0:
            raise ValueError("the truth's dose curve is flat: it cannot be scaled to an effect.")
        plan = replace(plan, truth=drawn.scaled(effect / plan.effect))
    if n_trials > 1 and plan.truth.effect_trial_sd > 0 and model in MODELS:
        raise ValueError(
            f"model {model!r} takes trials to share one effect, but the truth's effect_trial_sd "
            f"is {plan.truth.effect_trial_sd:g}: give a model that lets it vary, such as "
            f"lambda v: ancova(v, week={week:g}).predict([{plan.high:g}])."
        )
    rows, done = [], 0
    for n in map(int, sizes):
        found = []
        for part in plan.sized(n, n_trials).replicates(replicates, seed):
            found.append(part)
            done += len(part)
            if progress is not None:
                progress(done, replicates * len(sizes))
        people = {"n_per_arm": n, "participants": n * len(doses) * n_trials}
        rows.append(people | replicates_summary(np.concatenate(found), plan.effect))
    return PowerResult(
        table=pd.DataFrame(rows).sort_values("n_per_arm", ignore_index=True),
        effect=plan.effect,
        dose=plan.high,
        reference=plan.low,
        doses=tuple(doses),
        week=plan.week,
        n_trials=n_trials,
        model=model if isinstance(model, str) else "of the user",
        level=level,
        replicates=replicates,
        seed=seed,
        truth=plan.truth,
    )


@dataclass(frozen=True)
class Plan:
    """What is drawn and how it is analysed; arms of each trial are equal in size."""

    truth: Truth
    week: float
    high: float
    low: float
    curve: str | Curve
    model: str | Analysis
    level: float

    @property
    def effect(self) -> float:
        """True effect of the largest dose against the smallest at the week."""
        return self.truth.effect(self.high, self.week) - self.truth.effect(self.low, self.week)

    def sized(self, n_per_arm: int, n_trials: int) -> Plan:
        """The plan with so many participants to an arm of each trial."""
        sizes = (n_per_arm * len(self.truth.doses),) * n_trials
        return replace(self, truth=replace(self.truth, trial_sizes=sizes))

    def replicates(self, count: int, seed: int) -> Iterator[np.ndarray]:
        """Estimate, limits and number of scores at the week of each replicate, in parts (r, 4)."""
        truth, arms = self.truth, len(self.truth.doses)
        per_arm, trials = truth.trial_sizes[0] // arms, len(truth.trial_sizes)
        rng = np.random.default_rng([seed, per_arm])
        dose = np.tile(np.repeat(truth.doses, per_arm), trials)
        trial = np.repeat(np.arange(trials), per_arm * arms)
        most = max(1, AT_ONCE // (len(dose) * len(truth.visits)))
        for first in range(0, count, most):
            people = draw_people(truth, rng, (min(most, count - first), len(dose)))
            scores = draw_scores(truth, dose, trial, people, rng)
            yield self.analysed(dose, trial, people, scores)

    def analysed(
        self, dose: np.ndarray, trial: np.ndarray, people: People, scores: np.ndarray
    ) -> np.ndarray:
        """What the model says of scores (r, n, visits), shape (r, 4)."""
        final = scores[..., self.truth.visits.index(self.week)]
        if callable(self.model):
            tables = visit_tables(self.truth, dose, trial, people, scores)
            found = np.array([_judged(self.model, table) for table in tables])
        else:
            curve = prepared(self.curve, dose)
            baseline = scores[..., 0] if self.model == "ancova" else None
            contrast = difference(curve, np.array([self.high]), self.low)[0]
            basis = difference(curve, dose)
            found = regressions(final, basis, contrast, trial, baseline, self.level)
        return np.column_stack([found, np.isfinite(final).sum(axis=-1)])


def _check(
    sizes: list[int],
    doses: list[float],
    visits: list[float],
    week: float,
    n_trials: int,
    replicates: int,
    model: str | Analysis,
    level: float,
) -> None:
    faults = []
    if not sizes or min(sizes) < 2 or any(n != int(n) for n in sizes):
        faults.append(f"n_per_arm {sizes} must be whole numbers from 2")
    if len(set(doses)) < 2 or min(doses) < 0:
        faults.append(f"doses {doses} must be two different ones or more, none below zero")
    if week not in visits[1:]:
        faults.append(f"week {week:g} must be one of the visits after the first, {visits}")
    if n_trials < 1 or replicates < 1:
        faults.append(f"n_trials {n_trials} and replicates {replicates} must be 1 or more")
    if not callable(model) and model not in MODELS:
        faults.append(f"model {model!r} must be one of {', '.join(MODELS)} or a callable")
    if fault := level_fault(level):
        faults.append(fault)
    if faults:
        raise ValueError(f"this design cannot be: {'; '.join(faults)}.")


def _base(
    truth: Truth | None,
    effect: float | None,
    sd: float | None,
    correlation: float | None,
    dropout: float | None,
    visits: list[float],
    week: float,
) -> Truth:
    """The truth with what the planner knows better."""
    if truth is None and effect is None:
        raise ValueError("say how large the effect is (effect=) or all that is true (truth=).")
    truth = PLAIN if truth is None else truth
    if sd is not None and correlation is not None:
        if not sd > 0 or not 0 <= correlation < 1:
            raise ValueError(f"sd {sd:g} must be above 0 and correlation {correlation:g} 0 to 1.")
        within, between = sd * np.sqrt([1 - correlation, correlation])
        truth = replace(
            truth,
            intercept_sd=float(between),
            residual_sd=float(within),
            slope_sd=0.0,
            prognosis={},
        )
    elif sd is not None or correlation is not None:
        raise ValueError("sd and correlation go together: give both or neither.")
    if dropout is not None:
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout {dropout:g} must be from 0 to below 1.")
        a_visit = 1 - (1 - dropout) ** (1 / visits.index(week))
        truth = replace(truth, dropout_per_visit=a_visit, dropout_odds_ratio=1.0)
    return truth


def _judged(model: Analysis, visits: pd.DataFrame) -> tuple[float, float, float]:
    """What a model says of one replicate; NaN where it says that it cannot be fitted."""
    try:
        row = pd.DataFrame(model(visits)).iloc[0]
    except CannotEstimate:
        return np.nan, np.nan, np.nan
    return row["estimate"], row["ci_low"], row["ci_high"]


def visit_tables(
    truth: Truth, dose: np.ndarray, trial: np.ndarray, people: People, scores: np.ndarray
) -> Iterator[pd.DataFrame]:
    """The table of visits of every replicate, as `Participants.visits` gives it."""
    n, visits = len(dose), len(truth.visits)
    rows = pd.DataFrame(
        {
            "trial_id": np.repeat([f"synthetic_{code + 1}" for code in trial], visits),
            "participant_id": np.repeat([f"s{number + 1}" for number in range(n)], visits),
            "week": np.tile(truth.visits, n),
            "dose": np.repeat(dose, visits),
        }
    )
    for position, own in enumerate(scores):
        known = {name: np.repeat(value[position], visits) for name, value in people.items()}
        baseline = np.repeat(own[:, 0], visits)
        yield rows.assign(value=own.ravel(), baseline=baseline, **known).dropna(subset=["value"])


def regressions(
    y: np.ndarray,
    basis: np.ndarray,
    contrast: np.ndarray,
    trial: np.ndarray,
    baseline: np.ndarray | None,
    level: float,
) -> np.ndarray:
    """Ordinary least squares of many data sets that share doses and trials.

    Parameters
    ----------
    y : ndarray, shape (r, n)
        NaN where missing: such rows are left out.
    basis : ndarray, shape (n, k)
        Of the curve.
    contrast : ndarray, shape (k,)
        Of the curve's coefficients.
    trial : ndarray of int, shape (n,)
        Each trial has its own intercept.
    baseline : ndarray, shape (r, n), optional
        A covariate with one slope.
    level : float

    Returns
    -------
    ndarray, shape (r, 3)
        `contrast @ coefficients` and its t interval; NaN where the rows left cannot tell.
    """
    scale = np.abs(basis).max(axis=0)
    fixed = np.column_stack([np.eye(trial.max() + 1)[trial], basis / scale])
    X = np.broadcast_to(fixed, (*y.shape, fixed.shape[1]))
    if baseline is not None:
        spread = baseline.std(axis=1, keepdims=True)
        standard = (baseline - baseline.mean(axis=1, keepdims=True)) / spread
        X = np.concatenate([X, standard[..., None]], axis=-1)
    there = np.isfinite(y)
    X, y = X * there[..., None], np.where(there, y, 0.0)
    cross = X.swapaxes(1, 2) @ X
    rank = np.linalg.matrix_rank(cross, hermitian=True)
    inverse = np.linalg.pinv(cross, hermitian=True)
    beta = (inverse @ (X.swapaxes(1, 2) @ y[..., None]))[..., 0]
    rss = np.sum((y - (X @ beta[..., None])[..., 0]) ** 2, axis=1)
    df = there.sum(axis=1) - X.shape[-1]
    told = (rank == X.shape[-1]) & (df > 0)
    weights = np.zeros(X.shape[-1])
    first = fixed.shape[1] - len(contrast)
    weights[first : fixed.shape[1]] = contrast / scale
    df = pd.Series(np.where(told, df, 1).astype(float))
    variance = rss / df.to_numpy() * (weights @ inverse @ weights)
    half = quantile(level, df).to_numpy() * np.sqrt(variance)
    estimate = beta @ weights
    found = np.column_stack([estimate, estimate - half, estimate + half])
    return np.where(told[:, None], found, np.nan)
