"""Which treatment is best, and how sure that is; also at an equal dose."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import special

from backpain_analysis.display import html_table
from backpain_analysis.models.results import TableResult, quantile

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from backpain_analysis.models.network.network import NetworkResult


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


RELATIVE_JITTER = 1e-9
"""Variance added to draws, as a share of the largest one, so that equal effects rank at random."""


@dataclass(frozen=True, repr=False)
class EqualDose(TableResult):
    """The effects of all agents at one dose, the reference included.

    Attributes
    ----------
    dose : float
    params, cov : Series, DataFrame
        Effects against the reference, by agent, and their covariance.
    reference : str
    extrapolated : tuple of str
        Agents that were not studied up to this dose.
    lower_is_better : bool
    level : float
    """

    dose: float
    params: pd.Series
    cov: pd.DataFrame
    reference: str
    extrapolated: tuple[str, ...]
    lower_is_better: bool
    level: float

    @property
    def treatments(self) -> list[str]:
        return [*self.params.index, self.reference]

    @property
    def loadings(self) -> pd.DataFrame:
        own = np.vstack([np.eye(len(self.params)), np.zeros(len(self.params))])
        return pd.DataFrame(own, self.treatments, self.params.index)

    def _pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Estimate and standard error of every agent (row) against every other (column)."""
        level = np.append(self.params.to_numpy(), 0.0)
        size = len(level)
        cov = np.zeros((size, size))
        cov[:-1, :-1] = self.cov.to_numpy()
        own = np.diag(cov)
        variance = own[:, None] + own[None, :] - 2 * cov
        variance[variance < 1e-12 * max(own.max(), 1e-300)] = 0.0
        return level[:, None] - level[None, :], np.sqrt(variance)

    def p_scores(self) -> pd.Series:
        """P-scores, the best first: see `ranking.p_scores`."""
        return p_scores(self)

    def rank_probabilities(self, draws: int = 10_000, seed: int = 1) -> pd.DataFrame:
        """Probability of every rank (column) of every agent (row), from seeded draws."""
        return rank_probabilities(self._drawable(), draws, seed)

    def ranking(self, draws: int = 10_000, seed: int = 1) -> pd.DataFrame:
        """P-score, SUCRA and mean rank with its interval: see `ranking.ranking`."""
        return ranking(self._drawable(), draws, seed)

    def summary(self) -> pd.DataFrame:
        """A row an agent, the best first.

        Returns
        -------
        DataFrame
            Indexed by agent: `estimate, se, ci_low, ci_high` against the reference (zero for
            itself), `p_score, sucra, mean_rank, rank_low, rank_high, best, extrapolated`.
        """
        estimate, se = self._pairs()
        half = quantile(self.level, np.inf) * se[:, -1]
        effects = pd.DataFrame(
            {
                "estimate": estimate[:, -1],
                "se": se[:, -1],
                "ci_low": estimate[:, -1] - half,
                "ci_high": estimate[:, -1] + half,
            },
            index=pd.Index(self.treatments, name="agent"),
        )
        table = effects.join(self.ranking())
        table["extrapolated"] = table.index.isin(self.extrapolated)
        return table.sort_values("p_score", ascending=False, kind="stable")

    def plot(self, **options: Any) -> Axes:
        """Ranks with their uncertainty: see `figures.ranking`."""
        from backpain_analysis import figures

        return figures.ranking(self, **options)

    def differences(self) -> pd.DataFrame:
        """`agent, versus, estimate, se, ci_low, ci_high` at this dose, every two both ways."""
        estimate, se = self._pairs()
        half = quantile(self.level, np.inf) * se
        rows = [
            {
                "agent": self.treatments[i],
                "versus": self.treatments[j],
                "estimate": estimate[i, j],
                "se": se[i, j],
                "ci_low": estimate[i, j] - half[i, j],
                "ci_high": estimate[i, j] + half[i, j],
            }
            for i, j in permutations(range(len(self.treatments)), 2)
        ]
        return pd.DataFrame(rows)

    def _drawable(self) -> EqualDose:
        """The same with a covariance that can be drawn from also where effects are tied."""
        jitter = RELATIVE_JITTER * np.diag(self.cov).max() * np.eye(len(self.cov))
        return EqualDose(**{**vars(self), "cov": self.cov + jitter})

    def _title(self) -> str:
        return f"Agents at a dose of {self.dose:g}"

    def _repr_html_(self) -> str:
        return html_table(self.summary().reset_index(), title=self._title(), note=self._note())

    def _note(self) -> str | None:
        if not self.extrapolated:
            return None
        return f"Not studied up to this dose: {', '.join(self.extrapolated)}."
