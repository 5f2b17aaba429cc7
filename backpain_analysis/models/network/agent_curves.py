"""Curves of all agents estimated together, however their shapes are tied."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backpain_analysis.models.curves import Curve
from backpain_analysis.models.mixed import MixedFit
from backpain_analysis.models.network.dose_data import DoseNetworkData
from backpain_analysis.models.network.estimation import Method, estimate


@dataclass(frozen=True)
class Between:
    """How agents vary around a mean curve.

    Attributes
    ----------
    mean, mean_cov : ndarray, shapes (q,), (q, q)
        Coefficients of the mean curve and their covariance.
    omega : ndarray, shape (q, q)
        Covariance of the agents' coefficients.
    """

    mean: np.ndarray
    mean_cov: np.ndarray
    omega: np.ndarray


@dataclass(frozen=True)
class AgentCurves:
    """What a fit gives, agent by agent.

    Attributes
    ----------
    curves : tuple of Curve
        One an agent, with its shape.
    params, cov : ndarray
        Linear coefficients and shape of each agent in turn, and their joint covariance (singular
        where agents share a parameter).
    llf, tau2, q : float
        `q` is Cochran's: the residual sum of squares at tau2 = 0.
    n_estimated : int
        Free parameters, shapes and variances included.
    bic_rows : int
        Contrasts, for REML less the fixed effects (as `MixedFit.bic`).
    between : Between, optional
        Where agents are exchangeable.
    """

    curves: tuple[Curve, ...]
    params: np.ndarray
    cov: np.ndarray
    llf: float
    tau2: float
    q: float
    n_estimated: int
    bic_rows: int
    between: Between | None = None


def separate(data: DoseNetworkData, curve: Curve, method: Method) -> AgentCurves:
    """A curve of its own for every agent; `curve` has no shape to be found."""
    curves = (curve,) * len(data.agents)
    names = [f"{agent}: {term}" for agent in data.agents for term in curve.terms]
    found = estimate(data.network, data.design(curves), method, names)
    return AgentCurves(
        curves=curves,
        params=found.model.beta,
        cov=found.model.cov_beta,
        llf=found.model.llf,
        tau2=found.tau2,
        q=found.common.rss,
        n_estimated=found.model.n_parameters,
        bic_rows=bic_rows(found.model),
    )


def bic_rows(model: MixedFit) -> int:
    """Rows that count in Bayes' criterion."""
    return model.n_rows - len(model.beta) * (model.method == "REML")
