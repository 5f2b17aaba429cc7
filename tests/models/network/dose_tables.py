"""Arms exactly on known curves, and likelihoods with all matrices written out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import scipy.linalg
from scipy import optimize

from backpain_analysis.models.network.data import NetworkData

DOSES = (30.0, 60.0, 120.0, 180.0, 240.0)


def arms_on(curves: Mapping[str, Callable], noise: float = 0.0) -> pd.DataFrame:
    """A trial of each agent and dose against usual care, and one of every two agents at 60."""
    rng = np.random.default_rng(1)
    trials = [[("usual_care", 0.0), (agent, dose)] for agent in curves for dose in DOSES]
    names = list(curves)
    trials += [[(a, 60.0), (b, 60.0)] for a in names for b in names if a < b]
    trials += [[(agent, 60.0), (agent, 240.0)] for agent in names]
    rows = []
    for number, arms in enumerate(trials):
        for agent, dose in arms:
            effect = curves[agent](dose) if dose else 0.0
            mean = 50 + number + effect + noise * rng.standard_normal()
            rows.append((f"t{number}", agent, dose, mean, 20.0, 50))
    return pd.DataFrame(rows, columns=["trial_id", "agent", "dose", "mean", "sd", "n"])


def dense(network: NetworkData) -> tuple[np.ndarray, np.ndarray]:
    """Sampling covariance of all contrasts, and that of the heterogeneity at tau2 = 1."""
    trials = pd.factorize(network.trial)[0]
    V = np.zeros((len(trials), len(trials)))
    for number, matrix in enumerate(network.covariance):
        V[np.ix_(trials == number, trials == number)] = matrix
    shared = (network.versus[:, None] == network.versus) | (
        network.treatment[:, None] == network.treatment
    )
    same = trials[:, None] == trials
    return V, np.where(same & shared, 0.5, 0.0) + 0.5 * np.eye(len(trials))


@dataclass(frozen=True)
class Likelihood:
    """Of `y ~ N(X b, V)`, b profiled out; with 1/2 log|X'X| for REML."""

    y: np.ndarray
    X: np.ndarray
    reml: bool
    S: np.ndarray
    T: np.ndarray

    def at(self, V: np.ndarray) -> float:
        W = scipy.linalg.inv(V)
        information = self.X.T @ W @ self.X
        b = scipy.linalg.solve(information, self.X.T @ W @ self.y)
        residual = self.y - self.X @ b
        n = len(self.y) - self.reml * self.X.shape[1]
        llf = n * np.log(2 * np.pi) + np.linalg.slogdet(V)[1] + residual @ W @ residual
        if self.reml:
            llf += np.linalg.slogdet(information)[1] - np.linalg.slogdet(self.X.T @ self.X)[1]
        return -0.5 * float(llf)

    @cached_property
    def _highest(self) -> optimize.OptimizeResult:
        return optimize.minimize_scalar(
            lambda tau2: -self.at(self.S + tau2 * self.T),
            bounds=(0, 400),
            method="bounded",
            options={"xatol": 1e-6},
        )

    @property
    def tau2(self) -> float:
        return float(self._highest.x)

    @property
    def best(self) -> float:
        return -float(self._highest.fun)


def reml_or_ml(network: NetworkData, X: np.ndarray, *, reml: bool) -> Likelihood:
    """The likelihood of a network's contrasts with the model matrix X."""
    return Likelihood(network.y, X, reml, *dense(network))
