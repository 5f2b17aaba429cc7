"""Agents ranked at an equal dose."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from backpain_analysis.display import html_table
from backpain_analysis.models.network import ranking
from backpain_analysis.models.report import Report
from backpain_analysis.models.results import quantile

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RELATIVE_JITTER = 1e-9
"""Variance added to draws, as a share of the largest one, so that equal effects rank at random."""


@dataclass(frozen=True, repr=False)
class EqualDose(Report):
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
        return ranking.p_scores(self)

    def rank_probabilities(self, draws: int = 10_000, seed: int = 1) -> pd.DataFrame:
        """Probability of every rank (column) of every agent (row), from seeded draws."""
        return ranking.rank_probabilities(self._drawable(), draws, seed)

    def ranking(self, draws: int = 10_000, seed: int = 1) -> pd.DataFrame:
        """P-score, SUCRA and mean rank with its interval: see `ranking.ranking`."""
        return ranking.ranking(self._drawable(), draws, seed)

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

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as for JSON."""
        return {"dose": self.dose, "ranking": self.summary().reset_index().to_dict("records")}

    def _title(self) -> str:
        return f"Agents at a dose of {self.dose:g}"

    def _repr_html_(self) -> str:
        return html_table(self.summary().reset_index(), title=self._title(), note=self._note())

    def _note(self) -> str | None:
        if not self.extrapolated:
            return None
        return f"Not studied up to this dose: {', '.join(self.extrapolated)}."
