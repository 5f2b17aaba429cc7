"""Which treatment is best, and how sure that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import special

if TYPE_CHECKING:
    from backpain_analysis.models.network.result import NetworkResult


def p_scores(result: NetworkResult) -> pd.Series:
    """Mean certainty that a treatment is better than another one, the best first.

    `P_i = mean_j Phi((d_j - d_i) / se_ij)` where small outcomes are desirable. Source: Rücker &
    Schwarzer 2015 (doi 10.1186/s12874-015-0060-8).
    """
    estimate, se = result._pairs()
    sign = -1.0 if result.lower_is_better else 1.0
    better = special.ndtr(sign * estimate / np.where(se > 0, se, 1.0))
    np.fill_diagonal(better, 0.0)
    scores = better.sum(axis=1) / (len(better) - 1)
    return pd.Series(scores, result.treatments, name="p_score").sort_values(ascending=False)


def draw_ranks(result: NetworkResult, draws: int, seed: int) -> np.ndarray:
    """Ranks (1 is best) in draws of the effects from their normal distribution.

    Returns
    -------
    ndarray of int, shape (draws, n_treatments)
    """
    generator = np.random.default_rng(seed)
    params = generator.multivariate_normal(
        result.params.to_numpy(), result.cov.to_numpy(), size=draws, method="cholesky"
    )
    effects = params @ result.loadings.to_numpy().T
    order = np.argsort(effects if result.lower_is_better else -effects, axis=1)
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(1, effects.shape[1] + 1), axis=1)
    return ranks


def rank_probabilities(result: NetworkResult, draws: int = 10_000, seed: int = 1) -> pd.DataFrame:
    """Probability that a treatment (row) has a rank (column; 1 is best).

    Source: Salanti, Ades & Ioannidis 2011 (doi 10.1016/j.jclinepi.2010.03.016).

    Parameters
    ----------
    result : NetworkResult
    draws, seed : int
    """
    ranks = draw_ranks(result, draws, seed)
    size = ranks.shape[1]
    counts = np.stack([(ranks == rank).mean(axis=0) for rank in range(1, size + 1)], axis=1)
    table = pd.DataFrame(counts, result.treatments, range(1, size + 1))
    return table.rename_axis(index="treatment", columns="rank").loc[list(p_scores(result).index)]


def ranking(result: NetworkResult, draws: int = 10_000, seed: int = 1) -> pd.DataFrame:
    """The ranking with its uncertainty, the best first.

    SUCRA is `(T - mean rank) / (T - 1)`, the mean of the cumulative rank probabilities (Salanti,
    Ades & Ioannidis 2011).

    Returns
    -------
    DataFrame
        Indexed by treatment: `p_score, sucra, mean_rank, rank_low, rank_high` (quantiles at the
        result's level), `best` (the probability of rank 1).
    """
    ranks = draw_ranks(result, draws, seed)
    tail = (1 - result.level) / 2
    low, high = np.quantile(ranks, [tail, 1 - tail], axis=0, method="inverted_cdf")
    mean = ranks.mean(axis=0)
    table = pd.DataFrame(
        {
            "sucra": (ranks.shape[1] - mean) / (ranks.shape[1] - 1),
            "mean_rank": mean,
            "rank_low": low.astype(int),
            "rank_high": high.astype(int),
            "best": (ranks == 1).mean(axis=0),
        },
        index=pd.Index(result.treatments, name="treatment"),
    )
    scores = p_scores(result)
    table.insert(0, "p_score", scores.reindex(table.index))
    return table.loc[list(scores.index)]
