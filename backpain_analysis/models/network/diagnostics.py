"""What a network rests on: shares of direct comparisons; small-study effects over all trials."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order

from backpain_analysis.models.network.inconsistency import direct, pairwise
from backpain_analysis.models.results import TableResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from backpain_analysis.models.network.network import NetworkResult

NO_FLOW = 1e-10


def contribution(result: NetworkResult) -> pd.DataFrame:
    """How much of each estimate rests on each direct comparison.

    The network is read as an electrical one, conductances the weights of direct comparisons: the
    evidence on `a` against `b` is a unit current from `a` to `b`. It is taken apart into streams,
    the path with fewest comparisons first; the share of a stream is divided evenly over its
    comparisons. Source: Papakonstantinou et al. 2018 (doi 10.12688/f1000research.14770.3); the
    analogy: Rücker 2012 (doi 10.1002/jrsm.1058).

    In an additive model evidence on a component comes from every comparison that it tells apart,
    not only along paths; there the share of a comparison is that of its weight in the estimate,
    in absolute value (the row of the hat matrix; König, Krahn & Binder 2013,
    doi 10.1002/sim.6001).

    Returns
    -------
    DataFrame
        A row an estimate "a:b", a column a direct comparison "a:b", in per cent; rows sum to 100.
        Where a name holds a colon, another separator is used.
    """
    laplacian = _laplacian(result)
    weights = -np.triu(laplacian, 1)
    edges = [(int(i), int(j)) for i, j in np.argwhere(np.abs(weights) > NO_FLOW * weights.max())]
    size = len(result.treatments)
    loadings = result.loadings.to_numpy() if result.is_additive else np.eye(size)
    inner = loadings.T @ laplacian @ loadings
    levels = loadings @ np.linalg.pinv(inner, hermitian=True) @ loadings.T
    rows = {}
    for a, b in combinations(range(size), 2):
        level = levels[a] - levels[b]
        current = {(i, j): weights[i, j] * (level[i] - level[j]) for i, j in edges}
        share = _shares(current) if result.is_additive else _streams(current, a, b, size)
        rows[result.data.joined((a, b))] = share
    table = pd.DataFrame.from_dict(rows, orient="index", columns=edges, dtype=float)
    table.columns = [result.data.joined(edge) for edge in edges]
    return 100 * table.fillna(0.0)


def _laplacian(result: NetworkResult) -> np.ndarray:
    """Precision of the treatments' means, summed over trials; shape (T, T), rows sum to zero."""
    incidence = result.data.incidence()
    total = np.zeros((incidence.shape[1], incidence.shape[1]))
    for rows, W in zip(result.engine.blocks.batches, result.engine.precision, strict=True):
        B = incidence[rows]
        total += np.einsum("bnt,bnm,bmu->tu", B, W, B, optimize=True)
    return total


def _shares(current: dict[tuple[int, int], float]) -> dict[tuple[int, int], float]:
    size = {edge: abs(amount) for edge, amount in current.items()}
    total = sum(size.values())
    return {edge: amount / total if total > NO_FLOW else np.nan for edge, amount in size.items()}


def _streams(
    current: dict[tuple[int, int], float], source: int, sink: int, size: int
) -> dict[tuple[int, int], float]:
    """Share of each comparison, given the current along it (negative: from second to first)."""
    flow = np.zeros((size, size))
    for (i, j), amount in current.items():
        flow[(i, j) if amount > 0 else (j, i)] = abs(amount)
    share: dict[tuple[int, int], float] = {}
    while True:
        flow[flow < NO_FLOW] = 0.0
        path = _shortest_path(flow, source, sink)
        if not path:
            break
        amount = min(flow[step] for step in path)
        for i, j in path:
            flow[i, j] -= amount
            edge = (i, j) if i < j else (j, i)
            share[edge] = share.get(edge, 0.0) + amount / len(path)
    total = sum(share.values())
    return {edge: part / total for edge, part in share.items()}


def _shortest_path(flow: np.ndarray, source: int, sink: int) -> list[tuple[int, int]]:
    """Steps of a path with fewest comparisons; empty if there is none."""
    _, before = breadth_first_order(csr_array(flow), source, directed=True)
    steps: list[tuple[int, int]] = []
    node = sink
    while node != source:
        if before[node] < 0:
            return []
        steps.append((int(before[node]), int(node)))
        node = before[node]
    return steps[::-1]


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
    line = scipy.stats.linregress(1 / table["sei"], table["centred"] / table["sei"])
    t = line.intercept / line.intercept_stderr
    p = 2 * scipy.stats.t.sf(abs(t), len(table) - 2)
    return float(line.intercept), float(line.intercept_stderr), float(p)
