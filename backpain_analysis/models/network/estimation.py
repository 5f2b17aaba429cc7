"""Heterogeneity and effects of a network, for any model matrix of its contrasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from backpain_analysis.engine.likelihood import group, stack_covariance
from backpain_analysis.engine.mixed import MixedFit, fit, sampling
from backpain_analysis.models.network.contrasts import NetworkData

Method = Literal["REML", "ML", "DL", "CE", "MH"]
METHODS = ("REML", "ML", "DL", "CE", "MH")
COMMON = ("CE", "MH")
"""Methods of a common effect: no heterogeneity between trials."""


@dataclass(frozen=True)
class Estimated:
    """A fit, its heterogeneity, and the common-effect fit."""

    model: MixedFit
    common: MixedFit
    tau2: float


def estimate(
    data: NetworkData, X: np.ndarray, method: Method, names: Sequence[str] | None = None
) -> Estimated:
    """Fit `y = X b + u + e` with the heterogeneity of a network.

    Raises
    ------
    CannotEstimate
        As `mixed.fit`.
    """
    known = sampling(data.covariance, group(data.trial))
    common = fit(data.y, X, known, method="CE", names=names)
    if method in COMMON:
        return Estimated(common, common, 0.0)
    if method == "DL":
        tau2 = tau2_by_moments(data, common)
        return Estimated(at_tau2(data, X, tau2, names), common, tau2)
    model = fit(data.y, X, known, terms=[data.heterogeneity_term()], method=method, names=names)
    return Estimated(model, common, float(2 * model.psi[0][0, 0]))


def at_tau2(
    data: NetworkData, X: np.ndarray, tau2: float, names: Sequence[str] | None = None
) -> MixedFit:
    """Generalised least squares at a known heterogeneity."""
    V = covariance_at(data, tau2) if tau2 else data.covariance
    return fit(data.y, X, V, blocks=list(data.trial), method="CE", names=names)


def covariance_at(data: NetworkData, tau2: float) -> list[np.ndarray]:
    """Marginal covariance of each trial's contrasts, in the order of the trials."""
    blocks = group(data.trial)
    known = stack_covariance(data.covariance, blocks)
    matrices: list[np.ndarray] = [np.empty(0)] * data.n_trials
    for members, S, K in zip(blocks.members, known, structure(data, blocks.batches), strict=True):
        for member, V in zip(members, S + tau2 * K, strict=True):
            matrices[member] = V
    return matrices


def tau2_by_moments(data: NetworkData, common: MixedFit) -> float:
    """Solve `E[Q] = df + tau2 tr(P K)`, P of the common-effect fit; zero where negative.

    Source: Jackson, White & Riley 2012 (doi 10.1002/sim.4350), for one variance parameter.
    """
    trace = 0.0
    changes = structure(data, common.blocks.batches)
    for rows, W, K in zip(common.blocks.batches, common.precision, changes, strict=True):
        WX = W @ common.X[rows]
        trace += np.einsum("bij,bji->", W, K)
        trace -= np.einsum("pq,pq->", np.einsum("bip,bij,bjq->pq", WX, K, WX), common.cov_beta)
    df = len(data.y) - common.X.shape[1]
    return max(0.0, float((common.rss - df) / trace)) if df else 0.0


def structure(data: NetworkData, batches: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Covariance of the heterogeneity at tau2 = 1: variance 1, with a shared arm 1/2."""
    design = data.heterogeneity_term().design
    return [np.matmul(design[rows], design[rows].transpose(0, 2, 1)) / 2 for rows in batches]
