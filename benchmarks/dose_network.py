"""Speed of a dose-response network meta-analysis, beside the same likelihood with dense matrices.

    python benchmarks/dose_network.py

The peer is what a generic mixed-model or generalised-least-squares routine does with this model:
the covariance of all contrasts as one matrix, the restricted likelihood maximised with numerical
derivatives (scipy's L-BFGS-B). It has the model matrix and the covariance handed to it, as "data
ready" has, and its cost is cubic in the number of contrasts, so it runs up to 300 trials only.
"gain" is our log-likelihood less the peer's: never below zero. Times are the best of several runs,
in milliseconds. All data are simulated here.
"""

from __future__ import annotations

import os
from collections.abc import Callable

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import scipy.linalg
from scipy import optimize
from timing import best_of

from backpain_analysis.models.network.dose_network import dose_network
from backpain_analysis.models.network.dose_shapes import ProportionalShape, separate, with_shape
from backpain_analysis.models.network.exchangeable import fit_exchangeable

AGENTS = ("aerobic", "aquatic", "core", "pilates", "resistance", "yoga")
DOSES = (30.0, 60, 90, 120, 180, 240)
SIZES = (30, 300, 3000)
LARGEST_DENSE = 300
MODELS = (("quadratic", None), ("quadratic", "exchangeable"), ("quadratic", "common"))


def arms(trials: int) -> pd.DataFrame:
    """Three arms a trial: usual care and two agents at some dose, or three agents."""
    rng = np.random.default_rng(trials)
    slope = dict(zip(AGENTS, rng.normal(-0.14, 0.04, len(AGENTS)), strict=True))
    rows = []
    for number in range(trials):
        control = rng.random() < 0.8
        chosen = rng.choice(len(AGENTS), 2 if control else 3, replace=False)
        nodes = [(AGENTS[k], float(rng.choice(DOSES))) for k in chosen]
        for agent, dose in [("usual_care", 0.0), *nodes] if control else nodes:
            n = int(rng.integers(20, 81))
            effect = slope.get(agent, 0.0) * (dose - dose**2 / 500) + 3 * rng.standard_normal()
            mean = 50 + effect + 20 / np.sqrt(n) * rng.standard_normal()
            rows.append((f"trial {number}", agent, dose, mean, 20.0, n))
    return pd.DataFrame(rows, columns=["trial_id", "agent", "dose", "mean", "sd", "n"])


def dense(result) -> Callable[[], float]:
    """A function that maximises the same likelihood with all contrasts in one matrix."""
    network = result.data.network
    curves = list(result.curves.values())
    q, Z = len(curves[0].terms), result.data.design(curves)
    Z = (Z.reshape(-1, q) / np.abs(Z.reshape(-1, q)).max(axis=0)).reshape(len(Z), -1)
    V = scipy.linalg.block_diag(*network.covariance)
    design = network.heterogeneity_term().design
    same = pd.factorize(network.trial)[0]
    T = (design @ design.T) / 2 * (same[:, None] == same)
    X = Z if result.shared is None else Z.reshape(len(Z), -1, q).sum(axis=1)

    def depth(theta: np.ndarray) -> float:
        marginal = V + theta[0] ** 2 * T
        if result.shared == "exchangeable":
            lower = np.zeros((q, q))
            lower[np.tril_indices(q)] = theta[1:]
            marginal = marginal + Z @ np.kron(np.eye(len(curves)), lower @ lower.T) @ Z.T
        factor = np.linalg.cholesky(marginal)
        A = scipy.linalg.solve_triangular(factor, np.column_stack([X, network.y]), lower=True)
        A, y = A[:, :-1], A[:, -1]
        b = np.linalg.lstsq(A, y, rcond=None)[0]
        value = 2 * np.log(np.diag(factor)).sum() + ((y - A @ b) ** 2).sum()
        value += np.linalg.slogdet(A.T @ A)[1] - np.linalg.slogdet(X.T @ X)[1]
        return 0.5 * (value + (len(y) - X.shape[1]) * np.log(2 * np.pi))

    start = [10.0]
    if result.shared == "exchangeable":
        start += list(np.full(q * (q + 1) // 2, 2.0))
    return lambda: -optimize.minimize(depth, start, method="L-BFGS-B").fun


def ready(result) -> Callable[[], object]:
    """The fit alone, from contrasts that are there already."""
    data, curve = result.data, next(iter(result.curves.values()))
    if result.shared is None:
        return lambda: separate(data, curve, "REML")
    if result.shared == "common":
        return lambda: with_shape(ProportionalShape.of(data, curve), "REML")
    Z = data.design([curve] * len(data.agents))
    return lambda: fit_exchangeable(data.network, Z, len(data.agents), reml=True)


def speed(trials: int, curve: str, shared: str | None) -> dict:
    """Ours from a table of arms, and the dense peer where it is run and does this model."""
    data = arms(trials)
    result = dose_network(data, curve=curve, shared=shared)
    ours = best_of(lambda: dose_network(data, curve=curve, shared=shared), 3)
    row = {"trials": trials, "contrasts": len(result.data.network.y), "shared": str(shared)}
    alone = best_of(ready(result), 3)
    row |= {
        "from a table": ours,
        "data ready": alone,
        "dense": np.nan,
        "ratio": np.nan,
        "gain": np.nan,
    }
    if trials <= LARGEST_DENSE and shared != "common":
        peer = dense(result)
        found = peer()
        row["gain"] = result.llf - found
        row["dense"] = best_of(peer, 3 if trials < LARGEST_DENSE else 1)
        row["ratio"] = row["dense"] / alone
    return row


def main() -> None:
    rows = [speed(trials, *model) for model in MODELS for trials in SIZES]
    print("Quadratic curves of six agents, trials of three arms, REML; milliseconds")
    print(pd.DataFrame(rows).round(3).to_string(index=False, na_rep="-"))


if __name__ == "__main__":
    main()
