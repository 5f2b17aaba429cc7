"""Network meta-analysis of continuous outcomes, multi-arm trials exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import permutations
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from backpain_analysis.display import html_table
from backpain_analysis.effects.table import Effects
from backpain_analysis.engine.mixed import MixedFit
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.network import contribution, funnel, inconsistency, ranking
from backpain_analysis.models.network.data import NetworkData, check_connected, network_data
from backpain_analysis.models.network.estimation import (
    METHODS,
    Method,
    estimate,
)
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
        return inconsistency.direct(self)

    def node_split(self) -> inconsistency.NodeSplit:
        """Direct against indirect evidence on each pair: see `inconsistency.node_split`."""
        return inconsistency.node_split(self)

    def net_heat(self) -> net_heat.NetHeat:
        """Which designs disagree with which: see `net_heat.net_heat`."""
        return inconsistency.net_heat(self)

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


def network(
    data: Effects | pd.DataFrame,
    *,
    trial: str = "trial_id",
    treatment: str = "treatment",
    mean: str = "mean",
    sd: str = "sd",
    n: str = "n",
    measure: Literal["MD", "SMD"] | None = None,
    reference: str = "usual_care",
    method: Method = "REML",
    lower_is_better: bool = True,
    components: str | None = None,
    lump: Mapping[str, str] | None = None,
    level: float = 0.95,
) -> NetworkResult:
    """Compare all treatments of a connected network by direct and indirect evidence.

    `y = B d + u + e`: contrasts of a trial against its first arm, `d` the effects against the
    reference treatment, the exact sampling covariance of a trial's contrasts, and heterogeneity
    tau2 common to all comparisons, with correlation one half between contrasts that share an arm
    (Lu & Ades 2004, doi 10.1002/sim.1875; Rücker 2012, doi 10.1002/jrsm.1058).

    Parameters
    ----------
    data : Effects or DataFrame
        A row an arm; or effects, with columns `treatment` and `ref_treatment` (see
        `effects.from_evidence` with `head_to_head`).
    trial, treatment, mean, sd, n : str
        Columns; arms of one treatment in a trial are combined.
    measure : {"MD", "SMD"}
        Of a table ("MD" by default); "SMD" standardises by the SD pooled over a trial's arms
        (Crippa & Orsini 2016, doi 10.1186/s12874-016-0189-0). `Effects` have their own.
    reference : str
        The treatment that others are compared with.
    method : {"REML", "ML", "DL", "CE"}
        "DL" is the moment estimator for networks, `(Q - df) / tr(P K)`, with `K` the structure of
        the heterogeneity (Jackson, White & Riley 2012, doi 10.1002/sim.4350); "CE" the
        common-effect model.
    lower_is_better : bool
        Whether smaller outcomes are desirable, for rankings.
    components : str, optional
        Separator of components in treatment names ("+"): effects of components then add up
        (Welton et al. 2009, doi 10.1093/aje/kwp014; Rücker, Petropoulou & Schwarzer 2020,
        doi 10.1002/bimj.201800167), and the network need not be connected.
    lump : mapping, optional
        New names of treatments, such as {"aerobic_walking": "aerobic"}.
    level : float
        Of intervals.

    Returns
    -------
    NetworkResult

    Raises
    ------
    ValueError
        For unusable data, an unknown reference, a network in several parts, or effects that the
        contrasts cannot tell apart.
    ConvergenceError
        If the likelihood has no maximum.
    """
    if isinstance(data, Effects) and measure not in (None, data.measure):
        raise ValueError(f"these effects are {data.measure}s: make them with measure={measure!r}.")
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}: use one of {', '.join(METHODS)}.")
    columns = {"trial": trial, "treatment": treatment, "mean": mean, "sd": sd, "n": n}
    contrasts = network_data(data, **columns, measure=measure or "MD", lump=lump)
    if reference not in contrasts.treatments:
        raise CannotEstimate(
            f"reference {reference!r} is not in the network",
            f"use one of {', '.join(contrasts.treatments)}",
        )
    if components is None:
        check_connected(contrasts)
    loadings = _loadings(contrasts.treatments, reference, components)
    names = list(loadings.columns)
    found = estimate(contrasts, contrasts.incidence() @ loadings.to_numpy(), method, names)
    return NetworkResult(
        params=pd.Series(found.model.beta, names),
        cov=pd.DataFrame(found.model.cov_beta, names, names),
        df=np.inf,
        level=level,
        llf=float(found.model.llf),
        aic=float(found.model.aic),
        bic=float(found.model.bic),
        method=method,
        data=contrasts,
        loadings=loadings,
        reference=reference,
        lower_is_better=lower_is_better,
        tau2=found.tau2,
        engine=found.model,
        common=found.common,
    )


def _loadings(treatments: tuple[str, ...], reference: str, components: str | None) -> pd.DataFrame:
    """Effects of treatments (rows) as sums of parameters (columns), the reference without any."""
    parts = {name: [name] if components is None else name.split(components) for name in treatments}
    columns = sorted({part.strip() for own in parts.values() for part in own})
    table = pd.DataFrame(0.0, index=list(treatments), columns=columns)
    for name, own in parts.items():
        for part in own:
            table.loc[name, part.strip()] += 1.0
    return table.drop(columns=[part.strip() for part in parts[reference]])
