"""Speed of network meta-analysis, beside the same model as one dense matrix in the same run.

    python benchmarks/network.py

With pimeta installed (see requirements.txt here; numbers only are compared) both read the same
table of contrasts, and every contrast of theirs is checked against ours at their tau; where tau
differs, the restricted log-likelihood of one dense matrix says whose is higher. The other peer is
the
textbook route: all contrasts of all trials in one covariance matrix, restricted
likelihood maximised by scipy. netmeta (R) takes 20 s for 60 and 42 s for 400 three-arm trials on
12 treatments by REML (measured elsewhere). All data are simulated here.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import tracemalloc
from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.linalg import block_diag, cho_factor, cho_solve
from scipy.optimize import minimize_scalar
from timing import best_of

import backpain_analysis as bp
from backpain_analysis.models.network.data import all_pairs
from backpain_analysis.models.network.estimation import at_tau2
from backpain_analysis.models.network.network import NetworkResult


def trials(k: int, treatments: int = 12, arms: int = 3, seed: int = 1) -> pd.DataFrame:
    """Arms of k trials that each compare a few treatments drawn at random."""
    rng = np.random.default_rng(seed)
    names = np.array(["usual_care", *(f"treatment {i}" for i in range(1, treatments))])
    chosen = np.stack([rng.choice(treatments, arms, replace=False) for _ in range(k)])
    shift = rng.normal(0, 3, chosen.shape)
    n = rng.integers(20, 80, chosen.shape)
    mean = 50 - chosen + shift + rng.normal(0, 20 / np.sqrt(n))
    return pd.DataFrame(
        {
            "trial_id": np.repeat(np.arange(k), arms),
            "treatment": names[chosen.ravel()],
            "mean": mean.ravel(),
            "sd": 20.0,
            "n": n.ravel(),
        }
    )


def dense_likelihood(result: NetworkResult) -> Callable[[float], float]:
    """Minus twice the restricted log-likelihood of tau2, from one dense matrix."""
    y, X = result.data.y, result.engine.X
    S = block_diag(*result.data.covariance)
    same = result.data.trial[:, None] == result.data.trial[None, :]
    K = np.where(np.eye(len(y)) > 0, 1.0, np.where(same, 0.5, 0.0))

    def loss(tau2: float) -> float:
        factor = cho_factor(S + tau2 * K, lower=True)
        WX = cho_solve(factor, X)
        beta = np.linalg.solve(X.T @ WX, WX.T @ y)
        residual = y - X @ beta
        logdet = 2 * np.log(np.diag(factor[0])).sum() + np.linalg.slogdet(X.T @ WX)[1]
        return float(logdet + residual @ cho_solve(factor, residual))

    return loss


def dense_reml(result: NetworkResult) -> float:
    """tau2 by the restricted likelihood of one dense matrix; the data as `result` has them."""
    found = minimize_scalar(dense_likelihood(result), bounds=(0, 100), method="bounded")
    return float(found.x)


def beside_pimeta() -> None:
    """Both from one table of all pairs of contrasts, and ours from the arms, too; milliseconds."""
    try:
        import pimeta
    except ImportError:
        print("pimeta is not installed: not compared")
        return
    print(f"{'trials':>7} {'method':>7} {'arms':>8} {'pairs':>8} {'pimeta':>9} {'ratio':>7}")
    for k in (60, 400):
        data = trials(k)
        pairs = all_pairs(bp.network(data, method="CE").data).assign(se=lambda t: t["vi"] ** 0.5)
        given = [pairs[c].tolist() for c in ("yi", "se", "treatment1", "treatment2", "trial_id")]
        for method in ("DL", "REML"):
            options = {"yi": "yi", "se": "se", "method": method}
            ours = best_of(lambda data=data, m=method: bp.network(data, method=m), 5)
            from_pairs = best_of(lambda p=pairs, o=options: bp.network(p, **o), 5)

            def theirs(given=given, method=method):
                return pimeta.netmeta(*given, method_tau=method)

            peer = best_of(theirs, 3 if k < 100 else 1)
            found, mine = theirs(), bp.network(pairs, **options)
            place = [found.trts.index(name) for name in mine.treatments]
            at_theirs = network_at(mine, found.tau**2)
            apart = np.abs(found.TE_random[np.ix_(place, place)] - at_theirs).max()
            loss = dense_likelihood(mine)
            higher = (loss(found.tau**2) - loss(mine.tau2)) / 2
            print(
                f"{k:>7} {method:>7} {ours:>8.1f} {from_pairs:>8.1f} {peer:>9.1f} "
                f"{peer / ours:>6.1f}x   at their tau {apart:.0e} apart; tau {mine.tau:.4f}, "
                f"theirs {found.tau:.4f}, log-likelihood of ours higher by {higher:.3f}"
            )


def network_at(result: NetworkResult, tau2: float) -> np.ndarray:
    """Every treatment against every other at a given tau2."""
    beta = at_tau2(result.data, result.engine.X, tau2).beta
    level = result.loadings.to_numpy() @ beta
    return level[:, None] - level[None, :]


def main() -> None:
    """Print the table."""
    print("three-arm trials on 12 treatments, REML; milliseconds")
    print(f"{'trials':>7} {'network':>9} {'dense':>9} {'ratio':>7} {'split all':>10} {'MB':>6}")
    for k in (60, 400, 4000, 20_000):
        data = trials(k)
        ours = best_of(lambda data=data: bp.network(data), 7 if k < 4000 else 3)
        result = bp.network(data)
        split = best_of(result.node_split, 3)
        tracemalloc.start()
        bp.network(data)
        peak = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        dense = np.nan
        if k <= 400:
            dense = best_of(lambda result=result: dense_reml(result), 1)
            assert abs(dense_reml(result) - result.tau2) < 1e-3 * result.tau2
        ratio = dense / ours
        print(f"{k:>7} {ours:>9.1f} {dense:>9.1f} {ratio:>6.1f}x {split:>10.1f} {peak:>6.0f}")


if __name__ == "__main__":
    beside_pimeta()
    main()
