"""What a simulated trial design can show, size by size."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from backpain_analysis.datasets.truth import Truth
from backpain_analysis.models.report import Report
from backpain_analysis.models.sentences import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class PowerResult(Report):
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

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as for JSON."""
        parameters = self.truth.table()[["parameter", "value"]]
        truth = dict(parameters.itertuples(index=False, name=None))
        return super().to_dict() | {"truth": truth}

    def plot(self, **options: Any) -> Axes:
        """The power curve: see `figures.power`."""
        from backpain_analysis.figures.power import power

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
        raise ValueError(
            "no replicate could be analysed: with these participants, dropout and curve the model "
            "cannot be fitted, or it returns no estimate, ci_low and ci_high."
        )
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
