"""How much worse dropouts must have fared before the conclusion tips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from backpain_analysis.display import html_table
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.dose.curves import Curve
from backpain_analysis.models.people.ancova import ancova
from backpain_analysis.models.people.imputation import Imputations, impute
from backpain_analysis.models.results import check_choices
from backpain_analysis.words import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes


DELTAS = tuple(range(0, 31, 2))
"""Points of 0-100: three times the usual minimal important difference at most."""


@dataclass(frozen=True)
class TippingPoint:
    """The effect of a dose under ever worse assumptions about dropouts.

    Attributes
    ----------
    table : DataFrame
        `delta, estimate, se, ci_low, ci_high, mean_imputed`, a row a delta (points worse than
        similar participants who stayed). `mean_imputed` is the mean score that dropouts from
        exercise are then taken to have at the week.
    tipping : float
        The smallest delta at which the interval includes zero, by straight line between rows;
        NaN where it never does, or does so without any delta.
    dose, reference, week, level : float
    dose_name : str
    mean_observed : float
        Mean observed score with exercise at the week.
    n_exercise, n_dropouts : int
        Participants with exercise, and those of them who had dropped out by the week.
    m : int
        Completed data sets.
    """

    table: pd.DataFrame = field(repr=False)
    tipping: float
    dose: float
    reference: float
    week: float
    level: float
    dose_name: str
    mean_observed: float
    n_exercise: int
    n_dropouts: int
    m: int

    @property
    def sentence(self) -> str:
        """What becomes of the conclusion."""
        largest = number(self.table["delta"].max(), 0)
        first = self.table.iloc[0]
        dropped = f"{self.n_dropouts} of {self.n_exercise} participants with exercise"
        if first["ci_low"] <= 0 <= first["ci_high"]:
            return "The interval includes zero already if scores are missing at random."
        if np.isnan(self.tipping):
            return (
                f"The interval excludes zero even if the dropouts ({dropped}) were {largest} "
                "points worse than similar participants who stayed."
            )
        return (
            f"The interval includes zero once the dropouts ({dropped}) are taken to be "
            f"{number(self.tipping)} points worse than similar participants who stayed."
        )

    def summary(self) -> pd.DataFrame:
        """The table."""
        return self.table.copy()

    def plot(self, **options: Any) -> Axes:
        """The effect over delta: see `figures.tipping_point`."""
        from backpain_analysis.figures.people_plots import tipping_point

        return tipping_point(self, **options)

    def _repr_html_(self) -> str:
        title = f"Effect of {self.dose:g} {self.dose_name} at week {self.week:g} by delta"
        return html_table(self.table, title=title, note=f"{self.sentence} {self.m} imputations.")


def tipping_point(
    data: Any,
    *,
    week: float,
    deltas: Sequence[float] = DELTAS,
    at_dose: float | None = None,
    reference: float = 0.0,
    curve: str | Curve = "linear",
    adjust: Sequence[str] = ("baseline",),
    model: Callable[[Imputations], Any] | None = None,
    m: int = 20,
    seed: int = 1,
    auxiliary: tuple[str, ...] = (),
    lower_is_better: bool = True,
    level: float = 0.95,
    **columns: str,
) -> TippingPoint:
    """Repeat an analysis with imputed scores of dropouts from exercise made worse by delta.

    A pattern-mixture model: scores are imputed as missing at random, then delta is added where a
    participant with exercise (dose above zero) had dropped out for good; gaps before a later
    score, and dropouts without exercise, keep what was imputed. Sources: National Research
    Council 2010 (The Prevention and Treatment of Missing Data in Clinical Trials, ch. 5);
    Permutt 2016 (doi 10.1002/sim.6753); Cro et al. 2020 (doi 10.1002/sim.8569).

    Parameters
    ----------
    data : DataFrame, Participants or Imputations
        See `visits.as_visits` and `imputation.impute`.
    week : float
        Visit to analyse.
    deltas : sequence of float
        Points of the outcome, zero and above; zero is always among them.
    at_dose, reference : float
        The effect to follow; by default the largest dose against none.
    curve, adjust, level
        Of the analysis, as in `ancova`.
    model : callable, optional
        Another analysis, from `Imputations` to a result with `predict(doses, reference)`, such as
        `lambda i: with_imputations(i, gee)`.
    m, seed, auxiliary
        As in `impute`.
    lower_is_better : bool
        Whether worse is higher.
    **columns : str
        Names of the columns, as of `visits.as_visits`.

    Returns
    -------
    TippingPoint

    Raises
    ------
    ValueError
        For negative deltas, a week without visits, or unusable data.

    Examples
    --------
    >>> people = bp.load_participants()
    >>> bp.tipping_point(people, week=12, deltas=(0, 20), m=2).table[
    ...     ["delta", "estimate"]
    ... ].round(0)
       delta  estimate
    0    0.0     -15.0
    1   20.0     -11.0
    """
    check_choices(level)
    steps = sorted({0.0, *map(float, deltas)})
    if steps[0] < 0:
        raise ValueError(f"delta {steps[0]:g} is below zero: deltas are points worse.")
    if not isinstance(data, Imputations):
        data = impute(data, m=m, seed=seed, auxiliary=auxiliary, **columns)
    if model is None:

        def model(imputations: Imputations) -> Any:
            return ancova(imputations, week=week, curve=curve, adjust=adjust, level=level)

    visits = data.visits
    exercised = visits[(visits["week"] == week) & (visits["dose"] > 0)]
    if exercised.empty or week <= 0:
        raise CannotEstimate(f"nobody with exercise has a visit at week {week:g} after baseline")
    at_dose = float(visits["dose"].max()) if at_dose is None else float(at_dose)
    rows = []
    for delta in steps:
        worse = data.with_delta(delta if lower_is_better else -delta, _dropped_out_of_exercise)
        effect = model(worse).predict([at_dose], reference).iloc[0]
        numbers = effect[["estimate", "se", "ci_low", "ci_high"]]
        rows.append((delta, *numbers, _mean_imputed(worse, week)))
    names = ["delta", "estimate", "se", "ci_low", "ci_high", "mean_imputed"]
    table = pd.DataFrame(rows, columns=names).astype(float)
    return TippingPoint(
        table=table,
        tipping=_tipping(table),
        dose=at_dose,
        reference=reference,
        week=float(week),
        level=level,
        dose_name=data.dose_name,
        mean_observed=float(exercised["value"].mean()),
        n_exercise=len(exercised),
        n_dropouts=int(exercised["dropout"].sum()),
        m=data.m,
    )


def _dropped_out_of_exercise(visits: pd.DataFrame) -> pd.Series:
    return visits["dropout"] & (visits["dose"] > 0)


def _mean_imputed(imputations: Imputations, week: float) -> float:
    """Mean over imputations of the scores at the week of dropouts from exercise."""
    imputed = imputations.visits[imputations.visits["imputed"]]
    wanted = (_dropped_out_of_exercise(imputed) & (imputed["week"] == week)).to_numpy()
    return float(imputations.values[:, wanted].mean()) if wanted.any() else np.nan


def _tipping(table: pd.DataFrame) -> float:
    near = "ci_high" if table["estimate"].iloc[0] < 0 else "ci_low"
    delta, bound = table["delta"].to_numpy(), table[near].to_numpy()
    crossed = np.flatnonzero(np.sign(bound) != np.sign(bound[0]))
    if table["ci_low"].iloc[0] <= 0 <= table["ci_high"].iloc[0] or not len(crossed):
        return np.nan
    after = crossed[0]
    share = bound[after - 1] / (bound[after - 1] - bound[after])
    return float(delta[after - 1] + share * (delta[after] - delta[after - 1]))
