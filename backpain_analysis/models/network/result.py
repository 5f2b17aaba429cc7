"""What a network meta-analysis says: effects, league table, ranking, inconsistency."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from backpain_analysis.display import html_table
from backpain_analysis.models.mixed import MixedFit
from backpain_analysis.models.network import (
    contribution,
    funnel,
    inconsistency,
    net_heat,
    ranking,
    splitting,
)
from backpain_analysis.models.network.data import NetworkData
from backpain_analysis.models.results import Coefficients, quantile, two_sided_p

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class NetworkResult(Coefficients):
    """A fitted network.

    Attributes
    ----------
    params, cov
        Effects against the reference treatment; of components in an additive model.
    data : NetworkData
    loadings : DataFrame
        Effects of treatments (rows) against the reference, as sums of the parameters (columns).
    reference : str
    lower_is_better : bool
    tau2 : float
        Heterogeneity, common to all comparisons.
    engine, common : MixedFit
        The fit, and that of the common-effect model.
    """

    data: NetworkData = field(repr=False)
    loadings: pd.DataFrame = field(repr=False)
    reference: str
    lower_is_better: bool
    tau2: float
    engine: MixedFit = field(repr=False)
    common: MixedFit = field(repr=False)

    @property
    def treatments(self) -> list[str]:
        return list(self.data.treatments)

    @property
    def tau(self) -> float:
        return float(np.sqrt(self.tau2))

    @property
    def n_trials(self) -> int:
        return self.data.n_trials

    @property
    def n_participants(self) -> int:
        """In arms of known size."""
        return int(self.data.participants.sum())

    @property
    def excluded(self) -> pd.DataFrame:
        return self.data.excluded

    def effects(self, reference: str | None = None) -> pd.DataFrame:
        """Every treatment against one, the best first.

        The prediction interval is that of a new trial: t on `rows - parameters - 1` degrees of
        freedom (Higgins, Thompson & Spiegelhalter 2009, doi 10.1111/j.1467-985X.2008.00552.x);
        missing for "CE" and where no degree is left.

        Parameters
        ----------
        reference : str, optional
            By default the reference of the fit.

        Returns
        -------
        DataFrame
            Indexed by treatment: `estimate, se, ci_low, ci_high, p_value, pi_low, pi_high`,
            `trials` that compare the two directly, `participants` of the treatment.

        Raises
        ------
        ValueError
            If the reference is not in the network.
        """
        reference = self.reference if reference is None else reference
        if reference not in self.data.treatments:
            raise ValueError(
                f"no treatment {reference!r}: use one of {', '.join(self.treatments)}."
            )
        table = self.differences()
        own = table[table["versus"] == reference].drop(columns="versus").set_index("treatment")
        own["participants"] = self.data.participants.reindex(own.index)
        return own.sort_values("estimate", ascending=self.lower_is_better)

    def differences(self) -> pd.DataFrame:
        """Every treatment against every other: `treatment, versus` and the columns of `effects`."""
        estimate, se = self._pairs()
        half = quantile(self.level, self.df) * se
        spare = len(self.data.y) - len(self.params) - 1
        reach = np.full(se.shape, np.nan)
        if self.method != "CE" and spare > 0:
            reach = quantile(self.level, float(spare)) * np.sqrt(se**2 + self.tau2)
        direct = self._direct_trials()
        rows = []
        for i, j in permutations(range(len(self.treatments)), 2):
            rows.append(
                {
                    "treatment": self.treatments[i],
                    "versus": self.treatments[j],
                    "estimate": estimate[i, j],
                    "se": se[i, j],
                    "ci_low": estimate[i, j] - half[i, j],
                    "ci_high": estimate[i, j] + half[i, j],
                    "p_value": float(two_sided_p(estimate[i, j] / se[i, j], self.df)),
                    "pi_low": estimate[i, j] - reach[i, j],
                    "pi_high": estimate[i, j] + reach[i, j],
                    "trials": direct[i, j],
                }
            )
        return pd.DataFrame(rows)

    def predict(self, treatment: str, versus: str | None = None) -> pd.Series:
        """One comparison with its confidence and prediction intervals: a row of `effects`."""
        table = self.effects(versus)
        if treatment not in table.index:
            raise ValueError(f"no treatment {treatment!r}: use one of {', '.join(table.index)}.")
        return table.loc[treatment]

    def _pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Estimate and standard error of every treatment (row) against every other (column)."""
        loadings = self.loadings.to_numpy()
        level = loadings @ self.params.to_numpy()
        cov = loadings @ self.cov.to_numpy() @ loadings.T
        own = np.diag(cov)
        variance = own[:, None] + own[None, :] - 2 * cov
        return level[:, None] - level[None, :], np.sqrt(np.maximum(variance, 0.0))

    def _direct_trials(self) -> np.ndarray:
        """How many trials compare each pair of treatments directly."""
        arms = self.data.arms
        trial, _ = pd.factorize(arms["trial_id"])
        present = np.zeros((trial.max() + 1, len(self.treatments)), dtype=int)
        present[trial, arms["treatment"]] = 1
        return present.T @ present

    def league(self, digits: int = 1) -> pd.DataFrame:
        """League table: the better-ranked treatment minus the other, the best first.

        Below the diagonal what the whole network says (column minus row), above it the direct
        evidence alone (row minus column; blank where no trial compares the two).
        """
        order = list(self.p_scores().index)
        whole = self.differences().set_index(["treatment", "versus"])
        direct = self.direct().set_index(["treatment", "versus"])
        cells = pd.DataFrame("", index=order, columns=order)
        for i, row in enumerate(order):
            cells.loc[row, row] = row
            for column in order[i + 1 :]:
                cells.loc[column, row] = _cell(whole.loc[(row, column)], digits)
                if (row, column) in direct.index:
                    cells.loc[row, column] = _cell(direct.loc[(row, column)], digits)
        return cells

    def p_scores(self) -> pd.Series:
        """P-scores, the best treatment first: see `ranking.p_scores`."""
        return ranking.p_scores(self)

    def rank_probabilities(self, draws: int = 10_000, seed: int = 1) -> pd.DataFrame:
        """Probability of every rank of every treatment: see `ranking.rank_probabilities`."""
        return ranking.rank_probabilities(self, draws, seed)

    def ranking(self, draws: int = 10_000, seed: int = 1) -> pd.DataFrame:
        """P-score, SUCRA and mean rank with its interval: see `ranking.ranking`."""
        return ranking.ranking(self, draws, seed)

    def heterogeneity(self) -> pd.DataFrame:
        """tau2, I2 and Q with its parts: see `inconsistency.heterogeneity`."""
        return inconsistency.heterogeneity(self)

    def design_inconsistency(self) -> inconsistency.DesignInconsistency:
        """Test of design-by-treatment interaction: see `inconsistency.design_inconsistency`."""
        return inconsistency.design_inconsistency(self)

    def direct(self) -> pd.DataFrame:
        """Direct evidence alone on each compared pair: see `splitting.direct`."""
        return splitting.direct(self)

    def node_split(self) -> splitting.NodeSplit:
        """Direct against indirect evidence on each pair: see `splitting.node_split`."""
        return splitting.node_split(self)

    def net_heat(self) -> net_heat.NetHeat:
        """Which designs disagree with which: see `net_heat.net_heat`."""
        return net_heat.net_heat(self)

    def contribution(self) -> pd.DataFrame:
        """Share of each direct comparison in each estimate: see `contribution.contribution`."""
        return contribution.contribution(self)

    def comparison_adjusted_funnel(
        self, order: list[str] | None = None
    ) -> funnel.ComparisonAdjustedFunnel:
        """Small-study effects over the whole network: see `funnel.comparison_adjusted_funnel`."""
        return funnel.comparison_adjusted_funnel(self, order)

    def plot(self, **options: Any) -> Axes:
        """Network graph: see `figures.network_graph`."""
        from backpain_analysis import figures

        return figures.network_graph(self, **options)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as for JSON."""
        return {
            "reference": self.reference,
            "method": self.method,
            "measure": self.data.measure,
            "tau2": self.tau2,
            "llf": self.llf,
            "n_trials": self.n_trials,
            "n_participants": self.n_participants,
            "effects": self.effects().reset_index().to_dict(orient="records"),
            "league": self.differences().to_dict(orient="records"),
            "excluded": self.excluded.to_dict(orient="records"),
        }

    def summary(self) -> pd.DataFrame:
        """`effects` with the P-scores."""
        table = self.effects()
        return table.assign(p_score=self.p_scores().reindex(table.index))

    def _repr_html_(self) -> str:
        title = f"Network of {len(self.treatments)} treatments in {self.n_trials} trials"
        note = (
            f"Against {self.reference}; {self.data.measure}, {self.method}, tau {self.tau:.3g}; "
            f"{self.n_participants} participants in arms of known size."
        )
        return html_table(self.summary().reset_index(), title=title, note=note)


def _cell(row: pd.Series, digits: int) -> str:
    low, high = row["ci_low"], row["ci_high"]
    text = f"{row['estimate']:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
    return text.replace("-", "−")
