"""Whether the curves agree with the network in which every dose of every agent stands alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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


def _estimated(result: DoseNetworkResult, X: np.ndarray, method: Any) -> Estimated:
    """The model on the span of X; common-effect where nothing is left for the heterogeneity."""
    network = result.data.network
    try:
        return estimate(network, X, method if len(network.y) > X.shape[1] else "CE")
    except CannotEstimate:
        return estimate(network, X, "CE")


@dataclass(frozen=True, repr=False)
class DoseNodeSplit(TableResult):
    """Direct evidence on pairs of agents, set free from the curves.

    Attributes
    ----------
    table : DataFrame
        `agent, versus, trials, difference, se, ci_low, ci_high, p_value`: by how much trials that
        compare the two (or an agent with the reference) differ from what the curves and all other
        evidence say of their doses.
    level : float
    """

    table: pd.DataFrame
    level: float

    def summary(self) -> pd.DataFrame:
        """The table."""
        return self.table

    def _title(self) -> str:
        return "Direct evidence against the curves"


def node_split(result: DoseNetworkResult) -> DoseNodeSplit:
    """Split every pair of agents that trials compare.

    In the trials that have both, the effect of the first against the second is set free by a
    constant, whatever the doses; the Wald test is that of this constant, with heterogeneity
    estimated in the freed model. Pairs without other evidence cannot be split and are left out.
    In a trial with further arms the first agent is set free from all of them. Source: Dias et al.
    2010 (doi 10.1002/sim.3767); for doses Pedder et al. 2021 (doi 10.1177/0272989X20983315).
    """
    data, network = result.data, result.data.network
    tangent = _independent(network.incidence() @ _tangent(result))
    trial, _ = pd.factorize(network.trial)
    names = data.nodes["agent"].to_numpy()
    arms = data.arms
    members = arms.groupby("trial_id")["agent"].agg(set).reindex(pd.unique(network.trial))
    rows = []
    order = [*data.agents, *data.comparators, data.reference]
    for place, first in enumerate(order):
        for second in order[place + 1 :]:
            both = np.array([{first, second} <= own for own in members])
            if not both.any():
                continue
            inside = both[trial].astype(float)
            free = (
                (names == first)[network.treatment].astype(float) - (names == first)[network.versus]
            ) * inside
            X = np.column_stack([tangent, free])
            if np.linalg.matrix_rank(X / np.linalg.norm(X, axis=0), tol=1e-7) < X.shape[1]:
                continue
            found = _estimated(result, X, result.method).model
            value, se = float(found.beta[-1]), float(np.sqrt(found.cov_beta[-1, -1]))
            half = quantile(result.level, np.inf) * se
            line = {"agent": first, "versus": second, "trials": int(both.sum())}
            line |= {"difference": value, "se": se, "ci_low": value - half, "ci_high": value + half}
            rows.append(line | {"p_value": float(two_sided_p(np.array(value / se), np.inf))})
    columns = ["agent", "versus", "trials", "difference", "se", "ci_low", "ci_high", "p_value"]
    return DoseNodeSplit(pd.DataFrame(rows, columns=columns), result.level)


def _tangent(result: DoseNetworkResult) -> np.ndarray:
    """The nodes' effects by the free parameters of the curves, shape (n_nodes, k).

    Its span holds the curves, and to first order those of nearby shapes.
    """
    rows = result.rows_of_nodes()
    if result.shared not in ("common", "step"):
        return rows
    scale = np.sqrt(np.diag(result.cov))
    values, vectors = np.linalg.eigh(result.cov.to_numpy() / np.outer(scale, scale))
    return rows @ (scale[:, None] * vectors[:, values > 1e-8 * values.max()])


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
