"""How much each direct comparison contributes to each estimate of the network."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order

if TYPE_CHECKING:
    from backpain_analysis.models.network.network import NetworkResult

NO_FLOW = 1e-10


def contribution(result: NetworkResult) -> pd.DataFrame:
    """Contributions by streams of evidence along shortest paths.

    The network is read as an electrical one, conductances the weights of direct comparisons: the
    evidence on `a` against `b` is a unit current from `a` to `b`. It is taken apart into streams,
    the path with fewest comparisons first; the share of a stream is divided evenly over its
    comparisons. Source: Papakonstantinou et al. 2018 (doi 10.12688/f1000research.14770.3); the
    analogy: Rücker 2012 (doi 10.1002/jrsm.1058).

    Returns
    -------
    DataFrame
        A row an estimate "a:b", a column a direct comparison "a:b", in per cent; rows sum to 100.
    """
    laplacian = _laplacian(result)
    weights = -np.triu(laplacian, 1)
    edges = [tuple(edge) for edge in np.argwhere(np.abs(weights) > NO_FLOW * weights.max())]
    names = result.treatments
    potentials = np.linalg.pinv(laplacian, hermitian=True)
    rows = {}
    for a, b in combinations(range(len(names)), 2):
        level = potentials[a] - potentials[b]
        current = {(i, j): weights[i, j] * (level[i] - level[j]) for i, j in edges}
        rows[f"{names[a]}:{names[b]}"] = _streams(current, a, b, len(names))
    table = pd.DataFrame.from_dict(rows, orient="index", columns=edges, dtype=float)
    table.columns = [f"{names[i]}:{names[j]}" for i, j in edges]
    return 100 * table.fillna(0.0)


def _laplacian(result: NetworkResult) -> np.ndarray:
    """Precision of the treatments' means, summed over trials; shape (T, T), rows sum to zero."""
    incidence = result.data.incidence()
    total = np.zeros((incidence.shape[1], incidence.shape[1]))
    for rows, W in zip(result.engine.blocks.batches, result.engine.precision, strict=True):
        B = incidence[rows]
        total += np.einsum("bnt,bnm,bmu->tu", B, W, B, optimize=True)
    return total


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
