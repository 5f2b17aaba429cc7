"""Small-study effects over a whole network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

from backpain_analysis.models.network.inconsistency import direct, pairwise
from backpain_analysis.models.results import TableResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from backpain_analysis.models.network.network import NetworkResult


@dataclass(frozen=True, repr=False)
class ComparisonAdjustedFunnel(TableResult):
    """Comparisons of all trials around their own direct means.

    Attributes
    ----------
    table : DataFrame
        `trial_id, treatment, versus, yi, sei, centred`.
    intercept, intercept_se, p_value : float
        Egger's regression of `centred / sei` on `1 / sei`: its intercept is zero without
        small-study effects (missing for fewer than ten comparisons).
    measure : str
    """

    table: pd.DataFrame
    intercept: float
    intercept_se: float
    p_value: float
    measure: str

    def _title(self) -> str:
        return "Comparison-adjusted funnel"

    def plot(self, **options: Any) -> Axes:
        """Funnel plot: see `figures.network_funnel`."""
        from backpain_analysis import figures

        return figures.network_funnel(self, **options)


def comparison_adjusted_funnel(
    result: NetworkResult, order: list[str] | None = None
) -> ComparisonAdjustedFunnel:
    """Centre every comparison on the direct mean of its pair.

    Source: Chaimani & Salanti 2012 (doi 10.1002/jrsm.57). Multi-arm trials give one point a pair;
    their correlation is not in the test.

    Parameters
    ----------
    result : NetworkResult
    order : list of str, optional
        All treatments: a comparison is the later minus the earlier one, so that asymmetry has a
        direction. By default the reference first, then from worst to best.
    """
    if order is None:
        worst_first = list(result.p_scores().index[::-1])
        order = [result.reference, *(name for name in worst_first if name != result.reference)]
    if sorted(order) != sorted(result.treatments):
        raise ValueError(f"order must name every treatment once: {', '.join(result.treatments)}.")
    place = {name: number for number, name in enumerate(order)}
    table = pairwise(result.data)
    later = table["treatment"].map(place) > table["versus"].map(place)
    table = pd.DataFrame(
        {
            "trial_id": table["trial_id"],
            "treatment": table["treatment"].where(later, table["versus"]),
            "versus": table["versus"].where(later, table["treatment"]),
            "yi": table["yi"].where(later, -table["yi"]),
            "sei": np.sqrt(table["vi"]),
        }
    )
    means = direct(result).set_index(["treatment", "versus"])["estimate"]
    pairs = pd.MultiIndex.from_frame(table[["treatment", "versus"]])
    table["centred"] = table["yi"] - means.reindex(pairs).to_numpy()
    return ComparisonAdjustedFunnel(table, *_egger(table), result.measure)


def _egger(table: pd.DataFrame) -> tuple[float, float, float]:
    if len(table) < 10:
        return np.nan, np.nan, np.nan
    line = stats.linregress(1 / table["sei"], table["centred"] / table["sei"])
    t = line.intercept / line.intercept_stderr
    p = 2 * stats.t.sf(abs(t), len(table) - 2)
    return float(line.intercept), float(line.intercept_stderr), float(p)
