"""Direct against indirect evidence, comparison by comparison."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from backpain_analysis.models.blocks import group, stack_covariance
from backpain_analysis.models.network.data import NetworkData
from backpain_analysis.models.report import Report
from backpain_analysis.models.results import quantile, two_sided_p

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from backpain_analysis.models.network.result import NetworkResult

ALL_DIRECT = 1 - 1e-8
"""Share of direct evidence from which there is no indirect evidence to speak of."""


def pairwise(data: NetworkData) -> pd.DataFrame:
    """Every comparison of two arms of a trial.

    Returns
    -------
    DataFrame
        `trial_id, treatment, versus` (names, in alphabetical order), `yi, vi`.
    """
    blocks = group(data.trial)
    found = []
    for rows, V in zip(blocks.batches, stack_covariance(data.covariance, blocks), strict=True):
        size = rows.shape[1]
        for i in range(size):
            own = rows[:, i]
            found.append((own, data.treatment[own], data.versus[own], data.y[own], V[:, i, i]))
            for j in range(i + 1, size):
                together = data.versus[rows[:, i]] == data.versus[rows[:, j]]
                a, b = rows[together, i], rows[together, j]
                v = (V[:, i, i] + V[:, j, j] - 2 * V[:, i, j])[together]
                found.append((a, data.treatment[a], data.treatment[b], data.y[a] - data.y[b], v))
    row, first, second, y, v = (np.concatenate(part) for part in zip(*found, strict=True))
    turned = first > second
    names = np.array(data.treatments, dtype=object)
    table = pd.DataFrame(
        {
            "trial_id": data.trial[row],
            "treatment": names[np.where(turned, second, first)],
            "versus": names[np.where(turned, first, second)],
            "yi": np.where(turned, -y, y),
            "vi": v,
        }
    )
    return table.iloc[np.argsort(row, kind="stable")].reset_index(drop=True)


def direct(result: NetworkResult) -> pd.DataFrame:
    """The direct evidence on every compared pair, both ways round.

    Inverse-variance mean of the trials' comparisons at the heterogeneity of the network.

    Returns
    -------
    DataFrame
        `treatment, versus, trials, estimate, se, ci_low, ci_high`.
    """
    table = pairwise(result.data)
    table["weight"] = 1 / (table["vi"] + result.tau2)
    table["weighted"] = table["weight"] * table["yi"]
    pooled = table.groupby(["treatment", "versus"]).agg(
        trials=("yi", "size"), weight=("weight", "sum"), weighted=("weighted", "sum")
    )
    pooled = pooled.assign(
        estimate=pooled["weighted"] / pooled["weight"], se=1 / np.sqrt(pooled["weight"])
    )
    one_way = pooled[["trials", "estimate", "se"]].reset_index()
    other = one_way.rename(columns={"treatment": "versus", "versus": "treatment"})
    both = pd.concat([one_way, other.assign(estimate=-other["estimate"])], ignore_index=True)
    half = quantile(result.level, np.inf) * both["se"]
    both = both.assign(ci_low=both["estimate"] - half, ci_high=both["estimate"] + half)
    return both[["treatment", "versus", "trials", "estimate", "se", "ci_low", "ci_high"]]


@dataclass(frozen=True, repr=False)
class NodeSplit(Report):
    """Direct and indirect evidence on every pair of treatments.

    Attributes
    ----------
    table : DataFrame
        `treatment, versus, trials, direct_share, direct, direct_se, indirect, indirect_se,
        network, network_se, difference, difference_se, p_value`.
    level : float
    """

    table: pd.DataFrame
    level: float

    def summary(self) -> pd.DataFrame:
        """The pairs with both kinds of evidence."""
        return self.table.dropna(subset=["difference"]).reset_index(drop=True)

    def _title(self) -> str:
        return "Direct and indirect evidence"

    def plot(self, **options: Any) -> Axes:
        """Forest plot of the three estimates of each pair: see `figures.node_split`."""
        from backpain_analysis import figures

        return figures.node_split(self, **options)


def node_split(result: NetworkResult) -> NodeSplit:
    """Separate indirect from direct evidence by back-calculation.

    With `h = var(network) / var(direct)`, the share of the direct evidence,
    `indirect = (network - h direct) / (1 - h)` with variance `var(network) / (1 - h)`. Source:
    Dias et al. 2010 (doi 10.1002/sim.3767); König, Krahn & Binder 2013 (doi 10.1002/sim.6001).
    """
    estimate, se = result._pairs()
    known = direct(result).set_index(["treatment", "versus"])
    rows = []
    for i, j in combinations(range(len(result.treatments)), 2):
        pair = (result.treatments[i], result.treatments[j])
        whole, variance = estimate[i, j], se[i, j] ** 2
        row = {"treatment": pair[0], "versus": pair[1], "trials": 0, "direct_share": 0.0}
        row |= {"indirect": whole, "indirect_se": se[i, j]}
        if pair in known.index:
            own = known.loc[pair]
            share = min(variance / own["se"] ** 2, 1.0)
            row |= {"trials": int(own["trials"]), "direct_share": share}
            row |= {"direct": own["estimate"], "direct_se": own["se"]}
            rest = 1 - share if share < ALL_DIRECT else np.nan
            row["indirect"] = (whole - share * own["estimate"]) / rest
            row["indirect_se"] = float(np.sqrt(variance / rest))
        rows.append(row | {"network": whole, "network_se": se[i, j]})
    columns = "treatment versus trials direct_share direct direct_se indirect indirect_se".split()
    table = pd.DataFrame(rows, columns=[*columns, "network", "network_se"])
    difference = table["direct"] - table["indirect"]
    spread = np.sqrt(table["direct_se"] ** 2 + table["indirect_se"] ** 2)
    p = two_sided_p((difference / spread).to_numpy(dtype=float), np.inf)
    return NodeSplit(
        table.assign(difference=difference, difference_se=spread, p_value=p), result.level
    )
