"""Whether the curves agree with the network in which every dose of every agent stands alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import special

from backpain_analysis.engine.mixed import MixedFit, times_precision
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.network.estimation import Estimated, at_tau2, estimate
from backpain_analysis.models.results import TableResult, quantile, two_sided_p

if TYPE_CHECKING:
    from backpain_analysis.models.network.dose_network import DoseNetworkResult

RANK = 1e-9
"""Share of the largest singular value (or variance) below which there is nothing."""


@dataclass(frozen=True, repr=False)
class DoseConsistency(TableResult):
    """Curves against the split network.

    Attributes
    ----------
    wald, df, p_value : float
        Wald test of the curves within the split network, at the heterogeneity of the latter;
        missing where they have as many parameters.
    likelihood_ratio, likelihood_ratio_p : float
        By maximum likelihood in both (common effect for "CE").
    tau2_curves, tau2_split : float
        Heterogeneity of both, by the method of the result.
    table : DataFrame
        Lack of fit of each node, at the split network's heterogeneity: `agent, dose, trials,
        curve, split, split_se, ci_low, ci_high` (of the split estimate), `difference,
        difference_se, p_value`. Missing where no chain of trials connects the node with the
        reference, or the curve follows it whatever it is.
    """

    wald: float
    df: int
    p_value: float
    likelihood_ratio: float
    likelihood_ratio_p: float
    tau2_curves: float
    tau2_split: float
    table: pd.DataFrame

    def _title(self) -> str:
        return "Curves against the network of separate doses"


def consistency(result: DoseNetworkResult) -> DoseConsistency:
    """Compare the curves with a network whose treatments are the agents' doses.

    The curves are linear restrictions of the split network's effects; with W at the tau2 of the
    split network, `Q(curves) - Q(split)` is chi-square. The difference of a node's two estimates
    has variance `var(split) - var(curve)`, both estimated there, as the curve is the more
    efficient one if it holds (Hausman 1978, doi 10.2307/1913827). Estimated shapes (ED50,
    a common shape) count as parameters, at their estimates. Exchangeable curves are checked as
    separate ones.
    """
    network, nodes = result.data.network, result.data.nodes
    split_X = _independent(network.incidence())
    tangent = _tangent(result)
    curve_X = _independent(network.incidence() @ tangent)
    spare = split_X.shape[1] - curve_X.shape[1]
    split = _estimated(result, split_X, result.method)
    curves = _estimated(result, curve_X, result.method)
    wald = ratio = np.nan
    if spare > 0:
        restricted = at_tau2(network, curve_X, split.tau2)
        free = at_tau2(network, split_X, split.tau2)
        wald = max(0.0, restricted.rss - free.rss)
        by_ml = "CE" if result.method == "CE" else "ML"
        both = [_estimated(result, X, by_ml).model.llf for X in (split_X, curve_X)]
        ratio = max(0.0, 2 * (both[0] - both[1]))
    trials = network.arms["treatment"].value_counts().reindex(range(len(nodes))).to_numpy()
    table = nodes.assign(trials=trials, **_lack_of_fit(result, tangent, split.tau2))
    table = table[table["dose"] > 0].sort_values(["agent", "dose"], ignore_index=True)
    return DoseConsistency(
        wald=wald,
        df=spare,
        p_value=float(special.chdtrc(spare, wald)) if spare > 0 else np.nan,
        likelihood_ratio=ratio,
        likelihood_ratio_p=float(special.chdtrc(spare, ratio)) if spare > 0 else np.nan,
        tau2_curves=curves.tau2,
        tau2_split=split.tau2,
        table=table,
    )


def _estimated(result: DoseNetworkResult, X: np.ndarray, method: str) -> Estimated:
    """The model on the span of X; common-effect where nothing is left for the heterogeneity."""
    network = result.data.network
    try:
        return estimate(network, X, method if len(network.y) > X.shape[1] else "CE")
    except CannotEstimate:
        return estimate(network, X, "CE")


def _tangent(result: DoseNetworkResult) -> np.ndarray:
    """The nodes' effects by the free parameters of the curves, shape (n_nodes, k).

    Its span holds the curves, and to first order those of nearby shapes.
    """
    rows = np.vstack([result.rows(agent, [dose]) for agent, dose in _places(result)])
    if result.shared != "common":
        return rows
    scale = np.sqrt(np.diag(result.cov))
    values, vectors = np.linalg.eigh(result.cov.to_numpy() / np.outer(scale, scale))
    return rows @ (scale[:, None] * vectors[:, values > 1e-8 * values.max()])


def _places(result: DoseNetworkResult) -> list[tuple[str, float]]:
    """Agent and dose of each node; the reference as any agent at dose zero."""
    nodes = result.data.nodes
    names = nodes["agent"].where(nodes["dose"] > 0, result.agents[0])
    return list(zip(names, nodes["dose"], strict=True))


def _independent(X: np.ndarray) -> np.ndarray:
    """An orthonormal basis of the span of X's columns, each first brought to length one."""
    norms = np.linalg.norm(X, axis=0)
    basis, size, _ = np.linalg.svd(X[:, norms > 0] / norms[norms > 0], full_matrices=False)
    return basis[:, size > RANK * size.max()]


def _lack_of_fit(result: DoseNetworkResult, tangent: np.ndarray, tau2: float) -> dict:
    """Both estimates of every node against the reference, and their difference."""
    network, base = result.data.network, result.data.reference_node
    part = network.components()
    apart = part != part[base]
    incidence = network.incidence()
    model = at_tau2(network, _independent(incidence), tau2)
    from_base = np.eye(len(part)) - np.eye(len(part))[base]
    split, split_se = _combined(model, incidence, from_base)
    split, split_se = np.where(apart, np.nan, split), np.where(apart, np.nan, split_se)
    curve, curve_se = _combined(model, incidence @ tangent, tangent)
    gap = split_se**2 - curve_se**2
    se = np.sqrt(np.where(gap > RANK * split_se**2, gap, np.nan))
    half = quantile(result.level, np.inf) * split_se
    return {
        "curve": curve,
        "split": split,
        "split_se": split_se,
        "ci_low": split - half,
        "ci_high": split + half,
        "difference": split - curve,
        "difference_se": se,
        "p_value": two_sided_p((split - curve) / se, np.inf),
    }


def _combined(model: MixedFit, X: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`rows @ b` and its standard error, b the least squares of X at the model's precision."""
    norms = np.linalg.norm(X, axis=0)
    norms = np.where(norms > 0, norms, 1.0)
    scaled = X / norms
    weighted = times_precision(model, scaled)
    cov = np.linalg.pinv(scaled.T @ weighted, rcond=RANK, hermitian=True)
    scaled_rows = rows / norms
    variance = np.einsum("ij,jk,ik->i", scaled_rows, cov, scaled_rows)
    return scaled_rows @ cov @ (weighted.T @ model.y), np.sqrt(np.maximum(variance, 0.0))
